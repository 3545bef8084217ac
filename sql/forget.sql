-- Erasure: takes the published events of some ordering keys out of one segment, for good. An event that the relay has yet
-- to publish, or holds, stays and is counted as waiting: without it endpoints would miss a change, or a deletion.
--
-- What is below `last` and not in progress in it is never read again, so the relay misses nothing. Of a read that is half
-- confirmed nothing counts as published, nor where the cursor was written by another server: accept may set it back.
CREATE FUNCTION muskrat.forget(segment int, keys text[], erase boolean,
        OUT published bigint, OUT erased bigint, OUT waiting bigint) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
    AS $$
BEGIN
    IF segment IS NULL OR segment NOT BETWEEN 1 AND 3 THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('segment %s: segments are 1, 2 and 3', coalesce(segment::text, 'NULL'));
    END IF;
    EXECUTE format($q$
        WITH place AS (
            SELECT pg_snapshot_xmax(last) AS xmax, ARRAY(SELECT pg_snapshot_xip(last)) AS xip, held
              FROM muskrat.cursor
             WHERE (system_identifier, timeline, database_oid)
                   = (muskrat.system_identifier_now(), muskrat.timeline_now(), muskrat.database_oid_now())
        ), meant AS (
            SELECT o.ctid AS row,
                   coalesce(o.xid < p.xmax AND o.xid <> ALL (p.xip) AND o.id <> ALL (p.held), false) AS published
              FROM muskrat.outbox_%1$s AS o LEFT JOIN place AS p ON true
             WHERE o.ordering_key = ANY ($1)
        ), gone AS (
            DELETE FROM muskrat.outbox_%1$s AS o USING meant AS m
             WHERE $2 AND m.published AND o.ctid = m.row
            RETURNING 1
        )
        SELECT count(*) FILTER (WHERE m.published), (SELECT count(*) FROM gone), count(*) FILTER (WHERE NOT m.published)
          FROM meant AS m $q$, segment)
       INTO published, erased, waiting USING keys, erase;
END $$;

COMMENT ON FUNCTION muskrat.forget(int, text[], boolean) IS
    'erasure: deletes the published events of these ordering keys from a segment; muskrat forget calls it';
