-- muskrat.status(): what a person wants to know first, one line an item; `problem` says what is wrong and what to do.

-- Events that the cursor has yet to read: counted up to a bound, for a backlog of millions is as clear from "100000+".
CREATE FUNCTION muskrat.events_waiting(bound int, OUT events bigint, OUT oldest timestamptz) RETURNS record
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    c muskrat.cursor%ROWTYPE;
BEGIN
    SELECT * INTO c FROM muskrat.cursor;
    c.last := coalesce(c.last, '3:3:');
    SELECT sum(w.events)::bigint, min(w.oldest) INTO events, oldest
      FROM generate_series(1, 3) AS n,
           LATERAL muskrat.unread(n, pg_snapshot_xmax(c.last), ARRAY(SELECT pg_snapshot_xip(c.last)), bound,
                                  coalesce(c.current, '3:3:'), coalesce(c.current_id, 0)) AS w;
END $$;

-- A relay renews its lease several times in `lease_time`, which is five minutes at most.
CREATE FUNCTION muskrat.relay_runs(c muskrat.cursor) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$ SELECT c.holder IS NOT NULL AND clock_timestamp() - c.beat_at < interval '5 minutes' $$;

CREATE FUNCTION muskrat.status_of_relay() RETURNS TABLE (item text, value text, problem text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    c muskrat.cursor%ROWTYPE;
    waiting record;
    age_seconds bigint;
BEGIN
    SELECT * INTO c FROM muskrat.cursor;
    age_seconds := extract(epoch FROM clock_timestamp() - c.saved_at)::bigint;
    RETURN QUERY SELECT 'relay', coalesce(c.holder || ', term ' || c.term, 'none'),
        CASE WHEN c.epoch IS NULL THEN 'no relay has ever run here: start `muskrat relay`'
             WHEN c.holder IS NULL THEN 'no relay runs: start `muskrat relay`'
             WHEN NOT muskrat.relay_runs(c) THEN format('no sign of life from it for %s s: it was killed, or cannot reach this database; '
                                                        'look at its log', extract(epoch FROM clock_timestamp() - c.beat_at)::bigint) END;
    RETURN QUERY SELECT 'epoch', coalesce(c.epoch::text, 'not yet set'),
        CASE WHEN NOT pg_is_in_recovery() THEN muskrat.history_problem(c) END;
    SELECT * INTO waiting FROM muskrat.events_waiting(100000);
    RETURN QUERY SELECT 'events waiting', CASE WHEN waiting.events >= 100000 THEN '100000+' ELSE waiting.events::text END,
        NULL::text;
    RETURN QUERY SELECT 'oldest waiting', coalesce(extract(epoch FROM clock_timestamp() - waiting.oldest)::bigint || ' s', 'none'),
        CASE WHEN clock_timestamp() - waiting.oldest > interval '5 minutes'
             THEN 'events wait for the relay: look at its log, and at RabbitMQ' END;
    RETURN QUERY SELECT 'cursor saved', coalesce(age_seconds || ' s ago', 'never'), NULL::text;
    RETURN QUERY SELECT 'held events', coalesce(cardinality(c.held), 0)::text,
        CASE WHEN cardinality(c.held) > 0 THEN 'RabbitMQ would not take them; their keys wait: see the relay''s log' END;
END $$;

CREATE FUNCTION muskrat.status_of_segments() RETURNS TABLE (item text, value text, problem text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    active  int := (SELECT last_value FROM muskrat.current_segment);
    c       muskrat.cursor%ROWTYPE;
    retired timestamptz;
    n       int;
BEGIN
    SELECT * INTO c FROM muskrat.cursor;
    FOR n IN 1 .. 3 LOOP
        retired := (SELECT s.retired_at FROM muskrat.segments AS s WHERE s.segment = n);
        item := format('segment %s', n);
        value := pg_size_pretty(muskrat.segment_bytes(n))
                 || CASE WHEN n = active THEN ', being written'
                         WHEN retired IS NOT NULL THEN ', full since ' || date_trunc('second', retired) ELSE '' END;
        problem := CASE WHEN n <> active THEN muskrat.segment_hindrance(n, c) END;
        RETURN NEXT;
    END LOOP;
END $$;

-- Sessions and prepared transactions that have written events and stay open pin a segment.
CREATE FUNCTION muskrat.status_of_writers() RETURNS TABLE (item text, value text, problem text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT 'open writer', format('segment %s', n), muskrat.segment_holder(n)
      FROM generate_series(1, 3) AS n
     WHERE EXISTS (SELECT FROM muskrat.segment_locks(n) WHERE mode = 'RowExclusiveLock' AND open_seconds > 60)
    $$;

-- What would make capture skip rows or ids repeat.
CREATE FUNCTION muskrat.status_of_capture() RETURNS TABLE (item text, value text, problem text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    advice text;
BEGIN
    RETURN QUERY
        SELECT 'capture trigger', format('%s on %s', t.trigger_name, t.relation),
               CASE t.enabled WHEN 'D' THEN 'disabled: changes of this table are not captured; ALTER TABLE … ENABLE TRIGGER'
                              WHEN 'R' THEN 'fires on replicas only: changes made here are not captured' END
          FROM muskrat.silent_triggers() AS t;
    RETURN QUERY
        SELECT 'outbox trigger', format('keep_found on %s', s.segment),
               format('%s: when rows of the outbox are deleted, others may never be read; %s',
                      CASE WHEN t.tgenabled IS NULL THEN 'missing' WHEN t.tgenabled = 'D' THEN 'disabled' ELSE 'does not fire always' END,
                      CASE WHEN t.tgenabled IS NULL THEN 'CREATE TRIGGER keep_found AFTER UPDATE OR DELETE … FOR EACH ROW EXECUTE FUNCTION '
                           'muskrat.keep_found(), and ' ELSE '' END || 'ALTER TABLE … ENABLE ALWAYS TRIGGER keep_found')
          FROM (SELECT format('muskrat.outbox_%s', n)::regclass AS segment FROM generate_series(1, 3) AS n) AS s
          LEFT JOIN pg_trigger AS t ON t.tgrelid = s.segment AND t.tgfoid = 'muskrat.keep_found()'::regprocedure
         WHERE t.tgenabled IS DISTINCT FROM 'A';
    BEGIN
        PERFORM muskrat.require_id_sequence();
        RETURN QUERY SELECT 'id sequence', 'in order', NULL::text;
    EXCEPTION WHEN SQLSTATE 'MK003' THEN
        GET STACKED DIAGNOSTICS advice = PG_EXCEPTION_HINT;
        RETURN QUERY SELECT 'id sequence', 'altered', SQLERRM || '. ' || advice;
    END;
END $$;

CREATE FUNCTION muskrat.status() RETURNS TABLE (item text, value text, problem text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT 'version', extversion, NULL FROM pg_extension WHERE extname = 'muskrat'
    UNION ALL SELECT 'attached tables', count(DISTINCT t.tgrelid)::text, NULL
      FROM pg_trigger AS t JOIN pg_proc AS f ON f.oid = t.tgfoid AND f.pronamespace = 'muskrat'::regnamespace AND f.proname = 'capture'
     WHERE NOT t.tgisinternal AND t.tgparentid = 0
    UNION ALL SELECT * FROM muskrat.status_of_capture()
    UNION ALL SELECT * FROM muskrat.status_of_relay()
    UNION ALL SELECT * FROM muskrat.status_of_segments()
    UNION ALL SELECT * FROM muskrat.status_of_writers()
    UNION ALL SELECT * FROM muskrat.status_of_backfills()
    $$;
COMMENT ON FUNCTION muskrat.status() IS 'how capture, outbox and relay are, and what to do';
