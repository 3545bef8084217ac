-- The relay's lease and cursor. Each function first locks the cursor row and checks the term, so that a relay which was
-- paused while another took over can change nothing (MK001), and checks that the server still has the history on which
-- the cursor was written (MK002). Bodies are owned by the extension's owner; see privileges.sql for who may call them.

CREATE FUNCTION muskrat.system_identifier_now() RETURNS bigint
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'SELECT system_identifier FROM pg_catalog.pg_control_system()';

-- pg_control lags for seconds after a promotion; the name of the WAL file being written does not. NULL in recovery.
CREATE FUNCTION muskrat.timeline_now() RETURNS int
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT CASE WHEN NOT pg_is_in_recovery()
           THEN ('x' || pg_catalog.left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int END
    $$;

CREATE FUNCTION muskrat.database_oid_now() RETURNS oid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()';

-- NULL, or why this database is not the one in which the cursor was written, and what to do.
CREATE FUNCTION muskrat.history_problem(c muskrat.cursor) RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    IF c.epoch IS NULL THEN
        RETURN NULL;
    ELSIF c.system_identifier <> muskrat.system_identifier_now() OR c.database_oid <> muskrat.database_oid_now() THEN
        RETURN format('This database is a copy: it was restored or upgraded from another (system identifier %s, database '
                      '%s; here %s, %s), so events that waited there are not here, and it may still publish. Check that, '
                      'then run `muskrat accept SOURCE` to publish from here under a new epoch.', c.system_identifier,
                      c.database_oid, muskrat.system_identifier_now(), muskrat.database_oid_now());
    ELSIF c.timeline <> muskrat.timeline_now() THEN
        RETURN format('The server is on timeline %s, the cursor was written on timeline %s: a standby was promoted or a '
                      'backup was recovered, and published events may be missing here. Check the endpoints, then run '
                      '`muskrat accept SOURCE` to publish from here under a new epoch.',
                      muskrat.timeline_now(), c.timeline);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION muskrat.require_same_history(c muskrat.cursor) RETURNS void
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    problem text := muskrat.history_problem(c);
BEGIN
    IF problem IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'MK002', MESSAGE = problem;
    END IF;
END $$;

-- The ids' promise rests on the sequence: each drawn singly, rising by one.
CREATE FUNCTION muskrat.require_id_sequence() RETURNS void
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    s   pg_catalog.pg_sequence%ROWTYPE;
    now_at bigint;
    used   bigint;
BEGIN
    SELECT * INTO s FROM pg_catalog.pg_sequence WHERE seqrelid = 'muskrat.outbox_id'::regclass;
    IF s.seqcache <> 1 OR s.seqincrement <> 1 OR s.seqcycle THEN
        RAISE EXCEPTION USING ERRCODE = 'MK003',
            MESSAGE = format('the sequence muskrat.outbox_id was altered (CACHE %s INCREMENT %s%s): ids would not follow '
                             'the order of changes', s.seqcache, s.seqincrement, CASE WHEN s.seqcycle THEN ' CYCLE' ELSE '' END),
            HINT = 'Run ALTER SEQUENCE muskrat.outbox_id CACHE 1 INCREMENT BY 1 NO CYCLE, then start the relay again.';
    END IF;
    SELECT last_value INTO now_at FROM muskrat.outbox_id;
    SELECT greatest((SELECT max(first_id) FROM muskrat.segments), (SELECT greatest(current_id, highest_id) FROM muskrat.cursor),
                    (SELECT max(h) FROM muskrat.cursor, unnest(held) AS h)) INTO used;
    IF now_at < used THEN
        RAISE EXCEPTION USING ERRCODE = 'MK003',
            MESSAGE = format('the sequence muskrat.outbox_id was set back to %s, but id %s was already used', now_at, used),
            HINT = format('Run SELECT setval(''muskrat.outbox_id'', %s) with a value above every id in muskrat.outbox, then '
                          'start the relay again.', used + 1000000);
    END IF;
END $$;

-- What the relay must know before it starts. Also answers on a standby, where nothing can be locked.
CREATE FUNCTION muskrat.relay_hello(
        OUT version text, OUT server_encoding text, OUT in_recovery bool, OUT epoch bigint, OUT term bigint,
        OUT beat bigint, OUT holder text, OUT last pg_snapshot, OUT current pg_snapshot, OUT current_id bigint,
        OUT held bigint[], OUT system_identifier_now bigint, OUT timeline_now int, OUT system_identifier bigint,
        OUT timeline int, OUT same_history bool, OUT history_problem text) RETURNS record
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_column
DECLARE
    c muskrat.cursor%ROWTYPE;
BEGIN
    PERFORM muskrat.require_id_sequence();
    SELECT * INTO c FROM muskrat.cursor;
    version := (SELECT e.extversion FROM pg_catalog.pg_extension e WHERE e.extname = 'muskrat');
    server_encoding := current_setting('server_encoding');
    in_recovery := pg_is_in_recovery();
    epoch := coalesce(c.epoch, 0);
    term := coalesce(c.term, 0);
    beat := coalesce(c.beat, 0);
    holder := c.holder;
    last := c.last;
    current := c.current;
    current_id := c.current_id;
    held := coalesce(c.held, '{}');
    system_identifier_now := muskrat.system_identifier_now();
    timeline_now := muskrat.timeline_now();
    system_identifier := c.system_identifier;
    timeline := c.timeline;
    history_problem := CASE WHEN in_recovery THEN NULL
                            ELSE muskrat.history_problem(c) END;
    same_history := history_problem IS NULL;
END $$;

CREATE FUNCTION muskrat.cursor_place() RETURNS tid
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    AS $$ SELECT format('(%s,%s)', last_value >> 16, last_value & 65535)::tid FROM muskrat.cursor_cell $$;

-- To be called with its new place by whoever has locked and written the row; the page of the table that this is in.
CREATE FUNCTION muskrat.cursor_moved(place tid) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    page bigint := (place::text::point)[0];
BEGIN
    IF place IS NULL THEN
        RAISE EXCEPTION 'the row of muskrat.cursor is not where it was locked';
    END IF;
    PERFORM setval('muskrat.cursor_cell', page << 16 | (place::text::point)[1]::bigint);
    RETURN page;
END $$;

-- Locks the cursor row for the rest of the transaction, in which muskrat.cursor_place() is right until the row is written.
-- While somebody's transaction stays open no old version of the row can go. A scan looks at all of them, so the row is
-- looked for where it was left; not there, after a crash or where that transaction failed, by a scan.
CREATE FUNCTION muskrat.cursor_lock() RETURNS muskrat.cursor
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    c muskrat.cursor%ROWTYPE;
    place tid;
BEGIN
    SELECT * INTO c FROM muskrat.cursor WHERE ctid = muskrat.cursor_place() FOR UPDATE;
    IF NOT FOUND THEN
        SELECT * INTO c FROM muskrat.cursor FOR UPDATE;
        SELECT ctid INTO place FROM muskrat.cursor;
        PERFORM muskrat.cursor_moved(place) WHERE place IS NOT NULL;
    END IF;
    RETURN c;
END $$;

-- Locks the cursor row for the rest of the transaction and checks the term and the history.
CREATE FUNCTION muskrat.lease_lock(term bigint) RETURNS muskrat.cursor
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s'
    AS $$
DECLARE
    c muskrat.cursor%ROWTYPE;
BEGIN
    -- With an older snapshot this transaction would not see what it must check.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_transaction_state',
            MESSAGE = 'the functions of Muskrat''s relay must run in READ COMMITTED transactions';
    END IF;
    c := muskrat.cursor_lock();
    IF c.term IS DISTINCT FROM lease_lock.term THEN
        RAISE EXCEPTION USING ERRCODE = 'MK001',
            MESSAGE = format('the lease was lost: this relay''s term is %s, the cursor''s is %s (%s)', lease_lock.term,
                             coalesce(c.term::text, 'not yet set'), coalesce('held by ' || c.holder, 'nobody holds it'));
    END IF;
    PERFORM muskrat.require_same_history(c);
    -- Behind a pooler a relay's connection may outlive the server's crash, and with it a snapshot of transactions whose
    -- numbers are given out again.
    IF (SELECT last_value FROM muskrat.living_term) <> c.term THEN
        RAISE EXCEPTION USING ERRCODE = 'MK001', MESSAGE = 'the lease was lost: the server has crashed since it was taken';
    END IF;
    RETURN c;
END $$;

-- The first row: everything in the outbox is still to be read.
CREATE FUNCTION muskrat.cursor_create(holder text, note text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_column
DECLARE
    created muskrat.cursor%ROWTYPE;
BEGIN
    INSERT INTO muskrat.cursor (epoch, term, beat, holder, last, system_identifier, timeline, database_oid, saved_at)
    VALUES (extract(epoch FROM clock_timestamp())::bigint, 1, 1, cursor_create.holder, '3:3:',
            muskrat.system_identifier_now(), muskrat.timeline_now(), muskrat.database_oid_now(), clock_timestamp())
    ON CONFLICT DO NOTHING RETURNING * INTO created;
    INSERT INTO muskrat.history (epoch, note, system_identifier, timeline, resumed_after)
    SELECT created.epoch, cursor_create.note, created.system_identifier, created.timeline, created.last
     WHERE created.epoch IS NOT NULL;
    PERFORM setval('muskrat.living_term', created.term) WHERE created.term IS NOT NULL;
    RETURN created.term;
END $$;

-- The new term, or NULL when (term, beat) moved since they were seen. (0, 0): there was no row yet.
CREATE FUNCTION muskrat.lease_take(seen_term bigint, seen_beat bigint, holder text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s'
    AS $$
#variable_conflict use_column
DECLARE
    c muskrat.cursor%ROWTYPE;
    place tid;
BEGIN
    PERFORM muskrat.require_id_sequence();
    c := muskrat.cursor_lock();
    IF c.term IS NULL THEN
        RETURN CASE WHEN seen_term = 0 AND seen_beat = 0 THEN muskrat.cursor_create(lease_take.holder, 'first lease') END;
    END IF;
    PERFORM muskrat.require_same_history(c);
    IF c.term <> seen_term OR c.beat <> seen_beat THEN
        RETURN NULL;
    END IF;
    UPDATE muskrat.cursor SET term = c.term + 1, beat = c.beat + 1, beat_at = clock_timestamp(), holder = lease_take.holder
     WHERE ctid = muskrat.cursor_place() RETURNING ctid INTO place;
    PERFORM muskrat.cursor_moved(place);
    PERFORM setval('muskrat.living_term', c.term + 1);
    RETURN c.term + 1;
END $$;

CREATE FUNCTION muskrat.lease_beat(term bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    place tid;
BEGIN
    PERFORM muskrat.lease_lock(term);
    UPDATE muskrat.cursor SET beat = beat + 1, beat_at = clock_timestamp()
     WHERE ctid = muskrat.cursor_place() RETURNING ctid INTO place;
    PERFORM muskrat.cursor_moved(place);
END $$;

-- A clean stop: a stand-by need not wait. The term stays; whoever takes the lease next raises it.
CREATE FUNCTION muskrat.lease_release(term bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    place tid;
BEGIN
    PERFORM muskrat.lease_lock(term);
    UPDATE muskrat.cursor SET beat = beat + 1, holder = NULL WHERE ctid = muskrat.cursor_place() RETURNING ctid INTO place;
    PERFORM muskrat.cursor_moved(place);
    PERFORM setval('muskrat.doorbell', 0);
END $$;

-- The page in which the row lies now: how far its old versions have piled up.
CREATE FUNCTION muskrat.cursor_save(term bigint, last pg_snapshot, current pg_snapshot, current_id bigint, held bigint[])
    RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_column
DECLARE
    c muskrat.cursor%ROWTYPE := muskrat.lease_lock(cursor_save.term);
    place tid;
BEGIN
    IF pg_snapshot_xmax(cursor_save.last) < pg_snapshot_xmax(c.last) THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('the cursor cannot go back from %s to %s', c.last, cursor_save.last);
    END IF;
    UPDATE muskrat.cursor
       SET last = cursor_save.last, current = cursor_save.current, current_id = cursor_save.current_id,
           held = coalesce(cursor_save.held, '{}'), beat = beat + 1, beat_at = clock_timestamp(), saved_at = clock_timestamp(),
           highest_id = (SELECT last_value FROM muskrat.outbox_id)
     WHERE ctid = muskrat.cursor_place() RETURNING ctid INTO place;
    RETURN muskrat.cursor_moved(place);
END $$;

-- Rings are wanted (pid: the listening backend) or not (0). The term's cell is enough here: a stale bell costs a needless
-- NOTIFY or one poll.
CREATE FUNCTION muskrat.doze(term bigint, pid int) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    IF (SELECT last_value FROM muskrat.living_term) IS DISTINCT FROM doze.term THEN
        RAISE EXCEPTION USING ERRCODE = 'MK001', MESSAGE = 'the lease was lost: another relay has taken over, or the server has crashed';
    END IF;
    PERFORM setval('muskrat.doorbell', coalesce(pid, 0));
END $$;

-- Is a snapshot of the cursor's still a place in this server's history of transactions? It is when the cursor row was
-- written here by a later transaction than it speaks of: true after promotion, recovery and pg_upgrade, and after a dump
-- was restored into a server whose transaction numbers were already further on (all that is captured there is newer).
CREATE FUNCTION muskrat.cursor_continues(place pg_snapshot) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
    WITH row AS (SELECT xmin::text::bigint AS written, pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS now
                   FROM muskrat.cursor),
         full_xid AS (SELECT (now / 4294967296) * 4294967296 + written AS written, now FROM row)
    SELECT CASE WHEN written > now THEN written - 4294967296 ELSE written END >= pg_snapshot_xmax(place)::text::bigint
      FROM full_xid
    $$;

-- The operator's word after a failover or restore; returns the new epoch. The lease is taken from whoever had it.
CREATE FUNCTION muskrat.accept_history(note text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s'
    AS $$
DECLARE
    c muskrat.cursor%ROWTYPE;
    continues boolean;
    place tid;
BEGIN
    PERFORM muskrat.require_id_sequence();
    PERFORM muskrat.cursor_create(NULL, 'created by accept');
    c := muskrat.cursor_lock();
    continues := muskrat.cursor_continues(c.last);
    c.epoch := greatest(c.epoch + 1, extract(epoch FROM clock_timestamp())::bigint);
    IF NOT continues THEN
        c.last := '3:3:';
        c.current := NULL;
        c.current_id := NULL;
        c.held := '{}';  -- they are read again with the rest
    ELSIF c.current IS NOT NULL AND NOT muskrat.cursor_continues(c.current) THEN
        c.current := NULL;  -- what is new here would pass for a part of that read
        c.current_id := NULL;
    END IF;
    UPDATE muskrat.cursor
       SET epoch = c.epoch, term = term + 1, beat = beat + 1, holder = NULL, last = c.last, current = c.current,
           current_id = c.current_id, held = c.held, system_identifier = muskrat.system_identifier_now(),
           timeline = muskrat.timeline_now(), database_oid = muskrat.database_oid_now(), saved_at = clock_timestamp()
     WHERE ctid = muskrat.cursor_place() RETURNING ctid INTO place;
    PERFORM muskrat.cursor_moved(place);
    PERFORM setval('muskrat.living_term', c.term + 1);
    INSERT INTO muskrat.history (epoch, note, system_identifier, timeline, resumed_after, resumed_current, resumed_id)
    VALUES (c.epoch, accept_history.note, muskrat.system_identifier_now(), muskrat.timeline_now(), c.last, c.current, c.current_id);
    RETURN c.epoch;
END $$;
