-- Verify: what `muskrat verify` asks of the source's database. docs/verify.md is the manual.
--
-- Everything here only looks, except verify_repair and the two functions for rows that are gone, which tell events and
-- want what a backfill wants: the table's owner with the role muskrat_attach.

CREATE FUNCTION muskrat.row_as_event(relation oid, place tid, attachment text, OUT body text, OUT omitted text) RETURNS record
    LANGUAGE C STABLE STRICT AS 'MODULE_PATHNAME', 'muskrat_row_as_event';
COMMENT ON FUNCTION muskrat.row_as_event(oid, tid, text)
    IS 'the body that an event of this row would have, for whoever may read the table; NULL where the attachment does not mean the row';

-- One row for each attachment that tells of rows that are there.
CREATE FUNCTION muskrat.verify_plan_of(root regclass, attachment text)
    RETURNS TABLE (table_oid oid, table_name text, partitioned boolean, table_rows bigint, attachment_name text, object text, words text,
                   on_update text, on_delete text, columns text, ordered_by text[], conditional boolean, key_columns text[])
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    meant text[];
    walked text[] := muskrat.walking_key(root);
BEGIN
    IF NOT has_table_privilege(root, 'SELECT') THEN
        RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege', MESSAGE = format('you may not read table %s', root),
            HINT = format('GRANT SELECT ON %s TO %I.', root, current_user);
    ELSIF row_security_active(root) THEN
        PERFORM muskrat.refuse(format('row security hides rows of %s from you', root), 'They would look like rows that are gone.',
                               'Run it as a role that sees all rows: a superuser, or one with BYPASSRLS.');
    END IF;
    meant := muskrat.backfill_attachments(root, attachment);
    IF walked IS NULL THEN
        PERFORM muskrat.refuse(format('table %s has no key by which its rows could be walked', root),
                               'It needs a primary key, or a unique index over columns that are NOT NULL; a partitioned table one over all its partitions.',
                               'Add one; CREATE UNIQUE INDEX CONCURRENTLY holds nobody up.');
    END IF;
    RETURN QUERY
        SELECT root::oid, root::text, c.relkind = 'p',
               (SELECT coalesce(sum(greatest(l.reltuples, 0)), 0)::bigint FROM muskrat.leaves(root) AS o JOIN pg_class AS l ON l.oid = o),
               a.name, a.object, concat_ws(' ', a.on_insert, nullif(a.on_update, a.on_insert)), a.on_update, a.on_delete, a.columns,
               a.key, a.condition IS NOT NULL, walked
          FROM muskrat.attached AS a JOIN pg_class AS c ON c.oid = root
         WHERE a.relation = root AND a.name = ANY (meant)
         ORDER BY a.name;
END $$;

CREATE FUNCTION muskrat.verify_plan(relation text, attachment text DEFAULT NULL)
    RETURNS TABLE (table_oid oid, table_name text, partitioned boolean, table_rows bigint, attachment_name text, object text, words text,
                   on_update text, on_delete text, columns text, ordered_by text[], conditional boolean, key_columns text[])
    LANGUAGE sql STABLE
    AS $$ SELECT * FROM muskrat.verify_plan_of(muskrat.table_named(relation), attachment) $$;
COMMENT ON FUNCTION muskrat.verify_plan(text, text) IS 'the attachments by which rows of this table are told, and the key by which it is walked';

-- Whether every event of a transaction that `seen` sees is confirmed by the broker, or held because the broker would not
-- take it.
CREATE FUNCTION muskrat.verify_passed(seen pg_snapshot, OUT passed boolean, OUT held int, OUT relay boolean) RETURNS record
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    c muskrat.cursor%ROWTYPE;
BEGIN
    SELECT * INTO c FROM muskrat.cursor;
    held := coalesce(cardinality(c.held), 0);
    relay := coalesce(muskrat.relay_runs(c), false);
    -- What `seen` sees and the last read did not is under way; when nothing waits at all there is no such thing.
    passed := coalesce(pg_snapshot_xmax(c.last) >= pg_snapshot_xmax(seen)
                       AND NOT EXISTS (SELECT FROM pg_snapshot_xip(c.last) AS x
                                        WHERE x < pg_snapshot_xmax(seen) AND pg_visible_in_snapshot(x, seen)), false)
              OR (SELECT w.events FROM muskrat.events_waiting(1) AS w) = 0;
END $$;
COMMENT ON FUNCTION muskrat.verify_passed(pg_snapshot) IS 'whether the relay has published what this snapshot sees';

-- Tells these rows to one endpoint, as a backfill does: the lock first, never waited for. `fates`: t told, l locked by
-- somebody (again, later), g gone, n not meant by the attachments; in the order of the keys, which are as
-- muskrat.key_texts() writes them, each a text[] cast to text.
CREATE FUNCTION muskrat.verify_repair(relation oid, attachments text[], endpoint text, keys text[]) RETURNS "char"[]
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET DateStyle = 'ISO, YMD' SET IntervalStyle = 'postgres'
    SET extra_float_digits = 1 SET bytea_output = 'hex' SET lock_timeout = '1s'
    AS $$
DECLARE
    walked text[] := muskrat.walking_key(relation);
    prefix text := CASE WHEN (SELECT relkind FROM pg_class WHERE oid = relation) = 'p' THEN '' ELSE 'ONLY ' END;
    fates  "char"[] := '{}';
    fate   "char";
    key    text;
    place  tid;
    leaf   oid;
BEGIN
    PERFORM muskrat.check_table(relation::regclass);
    PERFORM muskrat.check_endpoint_name(endpoint);
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_transaction_state', MESSAGE = 'rows must be told in READ COMMITTED transactions';
    END IF;
    FOREACH key IN ARRAY keys LOOP
        place := NULL;
        EXECUTE format('SELECT tableoid, ctid FROM %s%s WHERE %s = %s', prefix, relation::regclass, muskrat.key_row(walked),
                       muskrat.key_values(relation, walked, '$1')) INTO leaf, place USING key::text[];
        fate := 'g';
        IF place IS NOT NULL THEN
            fate := (SELECT r.fate FROM muskrat.backfill_row(leaf, place, attachments, endpoint) AS r);
        END IF;
        fates := fates || fate;
    END LOOP;
    RETURN fates;
END $$;
COMMENT ON FUNCTION muskrat.verify_repair(oid, text[], text, text[]) IS 'tells rows to one endpoint again, as a backfill does';

GRANT EXECUTE ON FUNCTION muskrat.row_as_event(oid, tid, text), muskrat.verify_plan(text, text),
    muskrat.verify_plan_of(regclass, text), muskrat.verify_passed(pg_snapshot), muskrat.verify_repair(oid, text[], text, text[])
    TO muskrat_attach;
