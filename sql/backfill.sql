-- Backfill: rows that were there before an attachment, or before an endpoint, travel as events. `muskrat backfill` calls
-- backfill_plan, backfill_start and then backfill_step until it says done; docs/backfill.md is the manual.
--
-- Everything runs as its caller (SECURITY INVOKER): the owner of the table, a member of muskrat_attach. A condition is
-- SQL of whoever started the backfill, so row security keeps one role from running what another one wrote.

CREATE TABLE muskrat.backfill (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    started_by  name        NOT NULL DEFAULT current_user,
    relation    oid         NOT NULL,
    table_name  text        NOT NULL,
    attachments text[]      NOT NULL,
    endpoint    text,                             -- NULL: every endpoint whose subscriptions take the events
    condition   text,                             -- --where, and the search_path under which its names were meant
    path        text        NOT NULL,
    leaf        oid,                              -- the table (a partition, or the relation itself) in hand
    key_columns text[],                           -- of its key
    at_key      text[],                           -- told up to here
    end_key     text[],                           -- what lies behind was inserted later, and told by its trigger
    estimate    bigint      NOT NULL,             -- rows
    passed      bigint      NOT NULL DEFAULT 0,   -- rows looked at
    events      bigint      NOT NULL DEFAULT 0,   -- told
    bytes       bigint      NOT NULL DEFAULT 0,   -- of their bodies
    state       text        NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done', 'cancelled')),
    started_at  timestamptz NOT NULL DEFAULT now(),
    moved_at    timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

-- Rows whose lock somebody else held.
CREATE TABLE muskrat.backfill_later (
    backfill   bigint NOT NULL REFERENCES muskrat.backfill ON DELETE CASCADE,
    leaf       oid    NOT NULL,
    key        text[] NOT NULL,
    tries      int    NOT NULL DEFAULT 0,
    started_by name   NOT NULL DEFAULT current_user,
    PRIMARY KEY (backfill, leaf, key)
);

ALTER TABLE muskrat.backfill ENABLE ROW LEVEL SECURITY;
ALTER TABLE muskrat.backfill_later ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON muskrat.backfill USING (started_by = current_user);
CREATE POLICY own ON muskrat.backfill_later USING (started_by = current_user);
COMMENT ON TABLE muskrat.backfill IS 'the backfills of this database, and how far each is';
COMMENT ON TABLE muskrat.backfill_later IS 'rows that a backfill has yet to tell, because they were locked';

CREATE FUNCTION muskrat.backfill_row(relation oid, place tid, attachments text[], endpoint text,
                                     OUT fate "char", OUT events int, OUT bytes bigint)
    LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'muskrat_backfill_row';
COMMENT ON FUNCTION muskrat.backfill_row(oid, tid, text[], text)
    IS 'locks a row without waiting and tells it: t told, l locked by somebody, g gone, n not meant by the attachments';

-- ---- what would be done

-- The tables that hold the relation's rows, in the order in which they are told. Not those that merely inherit.
CREATE FUNCTION muskrat.leaves(relation regclass) RETURNS SETOF oid
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT c.oid FROM pg_class AS c
     WHERE c.relkind = 'r' AND (c.oid = relation OR c.oid IN (SELECT relid FROM pg_partition_tree(relation)))
     ORDER BY c.oid
    $$;

-- The columns by which a table is walked: its primary key, else a unique index that leaves out no row. NULL: none.
CREATE FUNCTION muskrat.walking_key(leaf oid) RETURNS text[]
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT (SELECT array_agg(a.attname::text ORDER BY k.n)
              FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, n)
              JOIN pg_attribute AS a ON a.attrelid = leaf AND a.attnum = k.attnum
             WHERE k.n <= i.indnkeyatts)
      FROM pg_index AS i
     WHERE i.indrelid = leaf AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
       AND NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = leaf AND a.attnum = ANY (i.indkey) AND NOT a.attnotnull)
     ORDER BY i.indisprimary DESC, i.indnkeyatts, i.indexrelid
     LIMIT 1
    $$;

-- What a walk could miss: an update of the walking key may carry a row behind it, of which the attachment says nothing.
-- Primary keys are expected to stay.
CREATE FUNCTION muskrat.walk_problem(relation regclass, attachment text) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    AS $$
    WITH told AS (
        SELECT CASE WHEN min(t.on_update) IS NULL THEN '{}'
                    ELSE coalesce(min(t.changes_of), min(t.columns_used), muskrat.column_names(relation))
                         || CASE WHEN min(t.on_insert) IS NOT NULL OR min(t.on_delete) IS NOT NULL THEN min(t.key) END END AS columns
          FROM muskrat.attachment_triggers AS t WHERE t.tgrelid = relation AND t.name = attachment),
    walked AS (
        SELECT l AS leaf, muskrat.walking_key(l) AS columns FROM muskrat.leaves(relation) AS l
         WHERE NOT EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = l AND i.indisprimary))
    SELECT format('rows of %s are walked by (%s), and a change of it is not told: a row where it changes while the backfill runs may be left out',
                  w.leaf::regclass, array_to_string(w.columns, ', '))
      FROM walked AS w, told AS t WHERE NOT w.columns <@ t.columns
     ORDER BY w.leaf LIMIT 1
    $$;

-- The names of the attachments meant, checked.
CREATE FUNCTION muskrat.backfill_attachments(relation regclass, wanted text) RETURNS text[]
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    known text[];
    meant text[];
    problem text;
BEGIN
    SELECT array_agg(a.name ORDER BY a.name),
           array_agg(a.name ORDER BY a.name) FILTER (WHERE a.on_insert IS NOT NULL OR a.on_update IS NOT NULL)
      INTO known, meant FROM muskrat.attached AS a
     WHERE a.relation = backfill_attachments.relation AND (wanted IS NULL OR wanted IN (a.name, a.object));
    IF known IS NULL AND wanted IS NULL THEN
        PERFORM muskrat.refuse(format('table %s is not attached', relation), 'A backfill tells rows as an attachment would.',
                               'Attach it first: muskrat attach, or SELECT muskrat.attach(…).');
    ELSIF known IS NULL THEN
        known := ARRAY(SELECT a.name FROM muskrat.attached AS a WHERE a.relation = backfill_attachments.relation ORDER BY 1);
        PERFORM muskrat.refuse(format('table %s has no attachment "%s"', relation, wanted), NULL,
            CASE WHEN known = '{}' THEN 'It is not attached at all.' ELSE muskrat.suggestion(wanted, known) END);
    ELSIF meant IS NULL THEN
        PERFORM muskrat.refuse(format('no attachment of table %s tells of rows that are there', relation),
                               'They tell neither of inserts nor of updates.', 'Attach it with on_insert or on_update.');
    END IF;
    SELECT min(muskrat.routing_key_problem(a.object || '.Backfill')) INTO problem FROM muskrat.attached AS a
     WHERE a.relation = backfill_attachments.relation AND a.name = ANY (meant);
    IF problem IS NOT NULL THEN
        PERFORM muskrat.refuse('its object makes no routing key with the action word Backfill', problem, 'Shorten the object.');
    END IF;
    RETURN meant;
END $$;

-- As the configuration has it: its queue's name must be one that the broker takes.
CREATE FUNCTION muskrat.check_endpoint_name(name text) RETURNS void
    LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    IF name !~ '^[A-Za-z0-9_-]{1,64}$' THEN
        PERFORM muskrat.refuse('no endpoint can have this name', NULL,
                               'A name may hold A-Z a-z 0-9 _ - only, 64 at most: as the configuration calls it.');
    END IF;
END $$;

CREATE FUNCTION muskrat.check_backfill(relation regclass, condition text, path text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    leaf oid;
    alias text := (SELECT relname FROM pg_class WHERE oid = relation);
BEGIN
    PERFORM muskrat.check_table(relation);
    IF row_security_active(relation) THEN
        PERFORM muskrat.refuse(format('row security hides rows of %s from you', relation), 'They would not be told.',
                               'Run it as a role that sees all rows: a superuser, or one with BYPASSRLS.');
    END IF;
    FOR leaf IN SELECT * FROM muskrat.leaves(relation) LOOP
        IF muskrat.walking_key(leaf) IS NULL THEN
            PERFORM muskrat.refuse(format('table %s has no key by which its rows could be walked', leaf::regclass),
                                   'It needs a primary key, or a unique index over columns that are NOT NULL.',
                                   'Add one; CREATE UNIQUE INDEX CONCURRENTLY holds nobody up.');
        END IF;
    END LOOP;
    IF condition IS NOT NULL THEN
        PERFORM set_config('search_path', path, true);
        -- As muskrat.backfill_chunk() has it; as WHERE besides, which takes no aggregates.
        EXECUTE format(E'EXPLAIN SELECT FROM (SELECT *, ctid FROM ONLY %s) AS %I WHERE (%s\n)', relation, alias, condition);
    END IF;
EXCEPTION WHEN OTHERS THEN
    IF condition IS NULL OR NOT muskrat.is_mistake_in_sql(SQLSTATE) THEN
        RAISE;
    END IF;
    PERFORM muskrat.refuse(format('the condition cannot be used: %s', condition), SQLERRM,
                           'Give an SQL expression over the table''s columns: plan <> ''free''.');
END $$;

-- By PostgreSQL's estimates; nothing is changed.
CREATE FUNCTION muskrat.backfill_plan_of(root regclass, attachment text, condition text, path text)
    RETURNS TABLE (table_name text, attachment_name text, object text, words text, table_rows bigint, row_bytes bigint, tables int,
                   conditional boolean, problem text)
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_column
DECLARE
    meant text[];
BEGIN
    PERFORM muskrat.check_backfill(root, backfill_plan_of.condition, path);
    meant := muskrat.backfill_attachments(root, attachment);
    RETURN QUERY
        WITH size AS (SELECT count(*)::int AS tables, sum(pg_relation_size(l)) AS bytes,
                             sum(CASE WHEN c.reltuples >= 0 AND c.relpages > 0
                                      THEN c.reltuples::float8 / c.relpages * (pg_relation_size(l) / 8192.0)
                                      ELSE pg_relation_size(l) / 100.0 END) AS rows  -- never analyzed
                        FROM muskrat.leaves(root) AS l JOIN pg_class AS c ON c.oid = l)
        SELECT root::text, a.name, a.object, concat_ws(' ', a.on_insert, nullif(a.on_update, a.on_insert)),
               ceil(coalesce(s.rows, 0))::bigint, ceil(coalesce(s.bytes / nullif(s.rows, 0), 0))::bigint, s.tables,
               a.condition IS NOT NULL, nullif(concat_ws('; ', a.problem, muskrat.walk_problem(root, a.name)), '')
          FROM muskrat.attached AS a, size AS s
         WHERE a.relation = root AND a.name = ANY (meant)
         ORDER BY a.name;
END $$;

CREATE FUNCTION muskrat.backfill_plan(relation text, attachment text DEFAULT NULL, condition text DEFAULT NULL)
    RETURNS TABLE (table_name text, attachment_name text, object text, words text, table_rows bigint, row_bytes bigint, tables int,
                   conditional boolean, problem text)
    LANGUAGE sql
    AS $$
    SELECT * FROM muskrat.backfill_plan_of(muskrat.table_named(relation), attachment, condition,
                                           pg_catalog.current_setting('search_path'))
    $$;
COMMENT ON FUNCTION muskrat.backfill_plan(text, text, text) IS 'what a backfill of this table would tell, by estimates';

CREATE FUNCTION muskrat.backfill_begin(root regclass, attachment text, endpoint text, condition text, path text) RETURNS bigint
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    made bigint;
    meant text[];
    name text;
    missed text;
BEGIN
    PERFORM muskrat.check_backfill(root, condition, path);
    PERFORM muskrat.check_endpoint_name(endpoint);
    meant := muskrat.backfill_attachments(root, attachment);
    INSERT INTO muskrat.backfill (relation, table_name, attachments, endpoint, condition, path, estimate)
    VALUES (root, root::text, meant, endpoint, condition, path,
            (SELECT p.table_rows FROM muskrat.backfill_plan_of(root, NULL, NULL, path) AS p LIMIT 1))
    RETURNING id INTO made;
    FOREACH name IN ARRAY meant LOOP
        missed := muskrat.walk_problem(root, name);
        IF missed IS NOT NULL THEN
            RAISE NOTICE '%', missed USING HINT = format('Add a primary key, or let attachment "%s" tell of changes of those columns.', name);
        END IF;
    END LOOP;
    RETURN made;
END $$;

CREATE FUNCTION muskrat.backfill_start(
        relation   text,                  -- the table, as in SQL
        attachment text DEFAULT NULL,     -- one of its attachments, or their object; NULL: all that tell of inserts or updates
        endpoint   text DEFAULT NULL,     -- its queue alone; NULL: every queue whose subscriptions take the events
        condition  text DEFAULT NULL)     -- only rows for which this holds
    RETURNS bigint                        -- the backfill's number
    LANGUAGE sql
    AS $$
    SELECT muskrat.backfill_begin(muskrat.table_named(relation), attachment, endpoint, condition,
                                  pg_catalog.current_setting('search_path'))
    $$;
COMMENT ON FUNCTION muskrat.backfill_start(text, text, text, text) IS 'begins a backfill; muskrat.backfill_step() goes on with it';

-- ---- one step after another

-- A key's columns as a row: "(a, b)".
CREATE FUNCTION muskrat.key_row(columns text[]) RETURNS text
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
    AS $$ SELECT '(' || string_agg(quote_ident(c), ', ' ORDER BY n) || ')' FROM unnest(columns) WITH ORDINALITY AS u (c, n) $$;

-- A key's values as a row of their types: "(($1)[1]::pg_catalog.int8, …)"
CREATE FUNCTION muskrat.key_values(leaf oid, columns text[], parameter text) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT '(' || string_agg(format('(%s)[%s]::%I.%I', parameter, n, s.nspname, y.typname), ', ' ORDER BY n) || ')'
      FROM unnest(columns) WITH ORDINALITY AS u (c, n)
      JOIN pg_attribute AS a ON a.attrelid = leaf AND a.attname = u.c
      JOIN pg_type AS y ON y.oid = a.atttypid
      JOIN pg_namespace AS s ON s.oid = y.typnamespace
    $$;

-- The array of a row's key as text: "ARRAY[a::text, b::text]::text[]"
CREATE FUNCTION muskrat.key_texts(columns text[]) RETURNS text
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT 'ARRAY[' || string_agg(quote_ident(c) || '::pg_catalog.text', ', ' ORDER BY n) || ']::pg_catalog.text[]'
      FROM unnest(columns) WITH ORDINALITY AS u (c, n)
    $$;

-- The next table of the relation, with the key of its last row; the new state of `b`. leaf NULL: there is none.
CREATE FUNCTION muskrat.backfill_next_leaf(b muskrat.backfill) RETURNS muskrat.backfill
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    b.at_key := NULL;
    LOOP
        b.leaf := (SELECT min(l) FROM muskrat.leaves(b.relation) AS l WHERE l > coalesce(b.leaf, 0));
        EXIT WHEN b.leaf IS NULL;
        b.key_columns := muskrat.walking_key(b.leaf);
        IF b.key_columns IS NULL THEN
            PERFORM muskrat.refuse(format('table %s has no key by which its rows could be walked', b.leaf::regclass), NULL,
                                   'Give it a primary key, then resume.');
        END IF;
        EXECUTE format('SELECT %s FROM ONLY %s ORDER BY %s LIMIT 1', muskrat.key_texts(b.key_columns), b.leaf::regclass,
                       (SELECT string_agg(quote_ident(c) || ' DESC', ', ' ORDER BY n) FROM unnest(b.key_columns) WITH ORDINALITY AS u (c, n)))
           INTO b.end_key;
        EXIT WHEN b.end_key IS NOT NULL;  -- else it is empty
    END LOOP;
    RETURN b;
END $$;

-- Tells the rows at these places; the keys of those that are locked are noted for later.
CREATE FUNCTION muskrat.backfill_tell(b muskrat.backfill, leaf oid, places tid[], keys text[], OUT told bigint, OUT bytes bigint)
    RETURNS record LANGUAGE sql SET search_path = pg_catalog, pg_temp
    AS $$
    WITH told AS MATERIALIZED (
        SELECT u.key, r.* FROM unnest(places, keys) AS u (place, key)
         CROSS JOIN LATERAL muskrat.backfill_row(leaf, u.place, b.attachments, b.endpoint) AS r),
    later AS (
        INSERT INTO muskrat.backfill_later (backfill, leaf, key)
        SELECT b.id, leaf, t.key::text[] FROM told AS t WHERE t.fate = 'l' ON CONFLICT DO NOTHING)
    SELECT coalesce(sum(t.events), 0)::bigint, coalesce(sum(t.bytes), 0)::bigint FROM told AS t
    $$;

-- The next rows of the table in hand. First which ones, without locks; then they are locked and told in one go, so that
-- locks are held for as long as telling takes and not for as long as finding does.
CREATE FUNCTION muskrat.backfill_chunk(b muskrat.backfill, most int) RETURNS muskrat.backfill
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    path    text := current_setting('search_path');
    places  tid[];
    keys    text[];
    seen    int;
    last    text[];
    told    record;
    keyed   text := muskrat.key_row(b.key_columns);
    alias   text := (SELECT relname FROM pg_class WHERE oid = b.relation);
BEGIN
    IF b.key_columns IS DISTINCT FROM muskrat.walking_key(b.leaf) THEN
        PERFORM muskrat.refuse(format('the key of %s changed while it was walked', b.leaf::regclass), NULL,
                               'Cancel this backfill and start another: nothing is harmed by telling a row twice.');
    END IF;
    PERFORM set_config('search_path', b.path, true);
    EXECUTE format($walk$
        SELECT array_agg(c.place ORDER BY c.n) FILTER (WHERE c.meant), array_agg(c.key::text ORDER BY c.n) FILTER (WHERE c.meant),
               count(*), (array_agg(c.key::text ORDER BY c.n DESC))[1]::text[]
          FROM (SELECT %1$I.ctid AS place, %2$s AS key, (%3$s
                       ) IS TRUE AS meant, row_number() OVER () AS n
                  FROM (SELECT *, ctid FROM ONLY %4$s WHERE %5$s <= %6$s AND (%7$s) ORDER BY %8$s LIMIT %9$s) AS %1$I) AS c
        $walk$, alias, muskrat.key_texts(b.key_columns), coalesce(b.condition, 'true'), b.leaf::regclass, keyed,
        muskrat.key_values(b.leaf, b.key_columns, '$1'),
        CASE WHEN b.at_key IS NULL THEN 'true' ELSE keyed || ' > ' || muskrat.key_values(b.leaf, b.key_columns, '$2') END,
        trim(keyed, '()'), most)
       INTO places, keys, seen, last USING b.end_key, b.at_key;
    PERFORM set_config('search_path', path, true);
    told := muskrat.backfill_tell(b, b.leaf, coalesce(places, '{}'), coalesce(keys, '{}'));
    b.passed := b.passed + seen;
    b.events := b.events + told.told;
    b.bytes := b.bytes + told.bytes;
    b.at_key := coalesce(last, b.at_key);
    IF seen < most THEN
        b := muskrat.backfill_next_leaf(b);
    END IF;
    RETURN b;
END $$;

-- Those that were locked, again: found by their key, in whichever version they are now.
CREATE FUNCTION muskrat.backfill_again(b muskrat.backfill, most int) RETURNS muskrat.backfill
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    l      muskrat.backfill_later%ROWTYPE;
    place  tid;
    keyed  text[];
    told   record;
    locked boolean;
    leaves oid[] := ARRAY(SELECT * FROM muskrat.leaves(b.relation::regclass));
BEGIN
    FOR l IN SELECT * FROM muskrat.backfill_later AS x WHERE x.backfill = b.id ORDER BY x.tries, x.leaf, x.key LIMIT most LOOP
        place := NULL;
        locked := false;
        keyed := muskrat.walking_key(l.leaf);
        IF l.leaf = ANY (leaves) AND cardinality(keyed) = cardinality(l.key) THEN  -- else it is gone, detached, or no longer what it was
            EXECUTE format('SELECT ctid FROM ONLY %s WHERE %s = %s', l.leaf::regclass, muskrat.key_row(keyed),
                           muskrat.key_values(l.leaf, keyed, '$1')) INTO place USING l.key;
        END IF;
        IF place IS NOT NULL THEN
            told := muskrat.backfill_row(l.leaf, place, b.attachments, b.endpoint);
            b.events := b.events + told.events;
            b.bytes := b.bytes + told.bytes;
            locked := told.fate = 'l';
        END IF;
        IF locked THEN
            UPDATE muskrat.backfill_later AS x SET tries = x.tries + 1 WHERE (x.backfill, x.leaf, x.key) = (b.id, l.leaf, l.key);
        ELSE
            DELETE FROM muskrat.backfill_later AS x WHERE (x.backfill, x.leaf, x.key) = (b.id, l.leaf, l.key);
        END IF;
    END LOOP;
    RETURN b;
END $$;

CREATE FUNCTION muskrat.backfill_in_hand(number bigint) RETURNS muskrat.backfill
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    b muskrat.backfill%ROWTYPE;
BEGIN
    -- With an older snapshot rows that changed since could not be locked.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_transaction_state', MESSAGE = 'a backfill must run in READ COMMITTED transactions';
    END IF;
    SELECT * INTO b FROM muskrat.backfill WHERE id = number FOR UPDATE NOWAIT;
    IF NOT FOUND THEN
        PERFORM muskrat.refuse(format('you have no backfill %s', number), NULL,
                               'SELECT * FROM muskrat.backfills() lists them; the role that started one goes on with it.');
    ELSIF b.started_by <> current_user THEN
        PERFORM muskrat.refuse(format('backfill %s was started by %s', number, b.started_by), NULL,
                               'That role goes on with it: its condition runs with the rights of who calls.');
    END IF;
    RETURN b;
END $$;

-- One chunk, in a transaction of its own. `later`: rows that are left because somebody holds their locks.
CREATE FUNCTION muskrat.backfill_step(number bigint, most int DEFAULT 500,
        OUT state text, OUT passed bigint, OUT events bigint, OUT bytes bigint, OUT later bigint) RETURNS record
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET DateStyle = 'ISO, YMD' SET IntervalStyle = 'postgres'
    SET extra_float_digits = 1 SET bytea_output = 'hex' SET lock_timeout = '1s'
    AS $$
#variable_conflict use_column
DECLARE
    b muskrat.backfill%ROWTYPE := muskrat.backfill_in_hand(number);
BEGIN
    IF b.state = 'running' THEN
        IF NOT EXISTS (SELECT FROM pg_class WHERE oid = b.relation) THEN
            PERFORM muskrat.refuse(format('the table %s is gone', b.table_name), NULL,
                                   format('Cancel it: SELECT muskrat.backfill_cancel(%s).', number));
        END IF;
        PERFORM muskrat.check_table(b.relation::regclass);
        IF b.leaf IS NULL AND b.end_key IS NULL THEN
            b := muskrat.backfill_next_leaf(b);
        END IF;
        IF b.leaf IS NULL THEN
            b := muskrat.backfill_again(b, most);
        ELSIF b.leaf NOT IN (SELECT * FROM muskrat.leaves(b.relation::regclass)) THEN
            b := muskrat.backfill_next_leaf(b);  -- a partition that was dropped or detached
        ELSE
            b := muskrat.backfill_chunk(b, most);
        END IF;
    END IF;
    later := (SELECT count(*) FROM muskrat.backfill_later AS l WHERE l.backfill = b.id);
    IF b.leaf IS NULL AND later = 0 AND b.state = 'running' THEN
        b.state := 'done';
    END IF;
    UPDATE muskrat.backfill AS x
       SET leaf = b.leaf, key_columns = b.key_columns, at_key = b.at_key, end_key = coalesce(b.end_key, '{}'), passed = b.passed,
           events = b.events, bytes = b.bytes, state = b.state, moved_at = clock_timestamp()
     WHERE x.id = b.id;
    state := b.state;
    passed := b.passed;
    events := b.events;
    bytes := b.bytes;
END $$;
COMMENT ON FUNCTION muskrat.backfill_step(bigint, int) IS 'tells the next rows of a backfill; call it until state is done';

CREATE FUNCTION muskrat.backfill_cancel(number bigint) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    b muskrat.backfill%ROWTYPE := muskrat.backfill_in_hand(number);
BEGIN
    IF b.state <> 'running' THEN
        PERFORM muskrat.refuse(format('backfill %s is %s', number, b.state), NULL, 'Only one that runs can be cancelled.');
    END IF;
    UPDATE muskrat.backfill AS x SET state = 'cancelled', moved_at = clock_timestamp() WHERE x.id = b.id;
    DELETE FROM muskrat.backfill_later AS l WHERE l.backfill = b.id;
END $$;
COMMENT ON FUNCTION muskrat.backfill_cancel(bigint) IS 'ends a backfill before it is done; what was told stays told';

-- ---- looking

-- All of them, whoever started them; without conditions, which may quote customers' data.
CREATE FUNCTION muskrat.backfills()
    RETURNS TABLE (id bigint, table_name text, attachments text[], endpoint text, state text, estimate bigint, passed bigint,
                   events bigint, bytes bigint, later bigint, started_by name, started_at timestamptz, moved_at timestamptz, conditional boolean)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT b.id, b.table_name, b.attachments, b.endpoint, b.state, b.estimate, b.passed, b.events, b.bytes,
           (SELECT count(*) FROM muskrat.backfill_later AS l WHERE l.backfill = b.id), b.started_by, b.started_at, b.moved_at,
           b.condition IS NOT NULL
      FROM muskrat.backfill AS b ORDER BY b.id
    $$;
COMMENT ON FUNCTION muskrat.backfills() IS 'every backfill, how far it is, and who started it';

-- How much waits for the relay, and whether there is one: a backfill that runs ahead of it would only let the outbox grow.
CREATE FUNCTION muskrat.backfill_pressure(bound int, OUT events bigint, OUT relay boolean) RETURNS record
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    events := (SELECT w.events FROM muskrat.events_waiting(bound) AS w);
    relay := EXISTS (SELECT FROM muskrat.cursor AS c WHERE muskrat.relay_runs(c));
END $$;

CREATE FUNCTION muskrat.status_of_backfills() RETURNS TABLE (item text, value text, problem text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT 'backfill ' || b.id,
           format('%s%s: %s of about %s rows%s', b.table_name, ' to ' || b.endpoint, b.passed, greatest(b.estimate, b.passed),
                  CASE WHEN b.later > 0 THEN format(', %s locked by others', b.later) ELSE '' END),
           CASE WHEN clock_timestamp() - b.moved_at > interval '5 minutes'
                THEN format('it stands still since %s: muskrat backfill --resume goes on, --cancel %s ends it',
                            date_trunc('second', b.moved_at), b.id) END
      FROM muskrat.backfills() AS b WHERE b.state = 'running'
    $$;

GRANT SELECT, INSERT, UPDATE ON muskrat.backfill TO muskrat_attach;
GRANT SELECT, INSERT, UPDATE, DELETE ON muskrat.backfill_later TO muskrat_attach;
GRANT EXECUTE ON FUNCTION muskrat.backfill_row(oid, tid, text[], text), muskrat.leaves(regclass), muskrat.walking_key(oid),
    muskrat.backfill_attachments(regclass, text), muskrat.walk_problem(regclass, text), muskrat.check_backfill(regclass, text, text), muskrat.check_endpoint_name(text),
    muskrat.backfill_plan_of(regclass, text, text, text), muskrat.backfill_plan(text, text, text),
    muskrat.backfill_begin(regclass, text, text, text, text), muskrat.backfill_start(text, text, text, text),
    muskrat.key_row(text[]), muskrat.key_values(oid, text[], text), muskrat.key_texts(text[]),
    muskrat.backfill_next_leaf(muskrat.backfill), muskrat.backfill_tell(muskrat.backfill, oid, tid[], text[]),
    muskrat.backfill_chunk(muskrat.backfill, int), muskrat.backfill_again(muskrat.backfill, int),
    muskrat.backfill_in_hand(bigint), muskrat.backfill_step(bigint, int), muskrat.backfill_cancel(bigint),
    muskrat.backfill_pressure(int)
    TO muskrat_attach;
GRANT EXECUTE ON FUNCTION muskrat.backfills() TO muskrat_attach, muskrat_monitor, muskrat_relay;
