-- Rotation. Segments are written in turn; one that is wholly delivered, older than the retention and free of writers is
-- truncated. Nothing here waits for a table lock: a waiting TRUNCATE would hold up every reader and writer behind it.

CREATE FUNCTION muskrat.segment_bytes(segment int) RETURNS bigint
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$ SELECT pg_table_size(format('muskrat.outbox_%s', segment)::regclass) $$;

CREATE FUNCTION muskrat.segment_is_empty(segment int) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$ SELECT pg_relation_size(format('muskrat.outbox_%s', segment)::regclass) = 0 $$;

-- Who holds a lock on the segment, for how many seconds; a prepared transaction has no pid. A statement that has been
-- reading for less than some seconds is in nobody's way: the relay itself reads all the time.
CREATE FUNCTION muskrat.segment_locks(segment int)
    RETURNS TABLE (mode text, pid int, prepared_gid text, session text, open_seconds bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT l.mode, l.pid, p.gid,
           format('%s, %s', coalesce(nullif(a.application_name, ''), a.usename, '?'), coalesce(a.state, a.backend_type, '?')),
           extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, p.prepared))::bigint
      FROM pg_locks AS l
      LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
      LEFT JOIN pg_locks AS x ON l.pid IS NULL AND x.pid IS NULL AND x.locktype = 'transactionid'
                             AND x.virtualtransaction = l.virtualtransaction
      LEFT JOIN pg_prepared_xacts AS p ON p.transaction = x.transactionid
     WHERE l.locktype = 'relation' AND l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()
       AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
       AND l.relation = format('muskrat.outbox_%s', segment)::regclass
       AND (l.mode <> 'AccessShareLock' OR a.state IS DISTINCT FROM 'active'
            OR clock_timestamp() - a.xact_start > interval '5 s')
    $$;

-- The oldest of them, as the end of a sentence; NULL when nobody but this session holds one.
CREATE FUNCTION muskrat.segment_holder(segment int) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT CASE WHEN pid IS NULL
           THEN format('the prepared transaction %L, prepared %s s ago (COMMIT PREPARED or ROLLBACK PREPARED frees it)',
                       coalesce(prepared_gid, '?'), open_seconds)
           ELSE format('pid %s (%s, transaction open for %s s)', pid, session, open_seconds) END
      FROM muskrat.segment_locks(segment)
     ORDER BY open_seconds DESC NULLS LAST
     LIMIT 1
    $$;

-- Does the segment hold a row that the cursor has yet to read, or one that the broker would not take?
CREATE FUNCTION muskrat.segment_is_needed(segment int, c muskrat.cursor) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
    AS $$
DECLARE
    needed boolean;
BEGIN
    needed := coalesce((SELECT u.events > 0 FROM muskrat.unread(segment, pg_snapshot_xmax(c.last), ARRAY(SELECT pg_snapshot_xip(c.last)), 1,
                                                                     '3:3:', 0) AS u), false);
    IF NOT needed AND (SELECT max(h) FROM unnest(c.held) AS h)
                      > (SELECT s.first_id FROM muskrat.segments AS s WHERE s.segment = segment_is_needed.segment) THEN
        EXECUTE format('SELECT EXISTS (SELECT FROM muskrat.outbox_%s WHERE id = ANY ($1))', segment)
           INTO needed USING c.held;
    END IF;
    RETURN needed;
END $$;

-- NULL when the segment is empty or may be freed at once, else what is in the way. The retention is not looked at.
CREATE FUNCTION muskrat.segment_hindrance(segment int, c muskrat.cursor) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    holder text;
BEGIN
    IF muskrat.segment_is_empty(segment) THEN
        RETURN NULL;
    ELSIF c.epoch IS NULL THEN
        RETURN format('segment %s waits for the first relay', segment);
    ELSIF c.current IS NOT NULL OR muskrat.segment_is_needed(segment, c) THEN
        RETURN format('segment %s has events that are not yet delivered, or are held', segment);
    END IF;
    holder := muskrat.segment_holder(segment);
    RETURN CASE WHEN holder IS NOT NULL THEN format('segment %s is in use by %s', segment, holder) END;
END $$;

-- Truncates the segment if nobody is inside and nothing in it is needed; false when that is not so just now.
CREATE FUNCTION muskrat.segment_free(segment int, c muskrat.cursor) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '100ms'  -- for what TRUNCATE locks besides: the TOAST table, which only an autovacuum may hold
    AS $$
BEGIN
    EXECUTE format('LOCK TABLE ONLY muskrat.outbox_%s IN ACCESS EXCLUSIVE MODE NOWAIT', segment);
    -- No writer is inside now and none enters, for it is not current: what a fresh snapshot sees is all there is.
    IF muskrat.segment_is_needed(segment, c) THEN
        RETURN false;
    END IF;
    EXECUTE format('TRUNCATE TABLE ONLY muskrat.outbox_%s', segment);
    UPDATE muskrat.segments AS s SET retired_at = NULL WHERE s.segment = segment_free.segment;
    RETURN true;
EXCEPTION
    WHEN lock_not_available OR object_in_use THEN
        RETURN false;
END $$;

-- Sends writers from `old` to `new`. The cell moves at once, whatever becomes of this transaction: that is harmless,
-- for a segment with no retired_at is stamped by the next segments_tend.
CREATE FUNCTION muskrat.segment_switch(old int, new int) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    UPDATE muskrat.segments SET first_id = (SELECT last_value FROM muskrat.outbox_id), retired_at = NULL WHERE segment = new;
    PERFORM setval('muskrat.current_segment', new);
    UPDATE muskrat.segments SET retired_at = clock_timestamp() WHERE segment = old;
END $$;

-- One step of rotation: frees what can be freed, then switches when the current segment is full and the next one empty.
-- waiting_for speaks only of what somebody should know: a full segment that cannot be left, or a session that pins one.
-- What the retention keeps is kept on purpose: the current segment grows until then.
CREATE FUNCTION muskrat.segments_tend(term bigint, switch_bytes bigint, retention interval,
        OUT current int, OUT switched boolean, OUT freed int[], OUT waiting_for text) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_column
DECLARE
    c         muskrat.cursor%ROWTYPE := muskrat.lease_lock(segments_tend.term);
    next      int;
    full_up   boolean;
    hindrance text;
    n         int;
BEGIN
    current := (SELECT last_value FROM muskrat.current_segment);
    next := current % 3 + 1;
    switched := false;
    freed := '{}';
    full_up := muskrat.segment_bytes(current) >= switch_bytes;
    UPDATE muskrat.segments SET retired_at = clock_timestamp()
     WHERE retired_at IS NULL AND segment <> segments_tend.current AND NOT muskrat.segment_is_empty(segment);
    -- By a clock that was ahead, it would be kept for as long as that was, and the retention.
    UPDATE muskrat.segments SET retired_at = clock_timestamp() WHERE retired_at > clock_timestamp();
    UPDATE muskrat.segments SET retired_at = NULL WHERE retired_at IS NOT NULL AND segment = segments_tend.current;
    FOREACH n IN ARRAY ARRAY[next, next % 3 + 1] LOOP
        CONTINUE WHEN muskrat.segment_is_empty(n)
                   OR (SELECT retired_at + retention > clock_timestamp() FROM muskrat.segments WHERE segment = n);
        hindrance := muskrat.segment_hindrance(n, c);
        IF hindrance IS NULL AND muskrat.segment_free(n, c) THEN
            freed := freed || n;
        ELSIF waiting_for IS NULL AND (full_up AND n = next OR hindrance IS NULL OR hindrance LIKE '% is in use by %') THEN
            waiting_for := coalesce(hindrance, format('segment %s was locked for a moment', n));
        END IF;
    END LOOP;
    IF full_up AND muskrat.segment_is_empty(next) AND NOT muskrat.segment_is_empty(current) THEN
        PERFORM muskrat.segment_switch(current, next);
        current := next;
        switched := true;
    END IF;
END $$;
