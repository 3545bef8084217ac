-- Attaching tables. The triggers that muskrat.attach() makes are the attachment: extension/spec.hpp says how it stands in
-- their arguments. docs/capture.md is the manual.
--
-- attach and detach run as their caller (SECURITY INVOKER): who may use them is said by EXECUTE, which muskrat_attach
-- has, and by who owns the table. Nothing here can do what its caller could not.

CREATE FUNCTION muskrat.capture() RETURNS trigger LANGUAGE C AS 'MODULE_PATHNAME', 'muskrat_capture';
COMMENT ON FUNCTION muskrat.capture() IS 'the trigger function of attachments; made into triggers by muskrat.attach() alone';

-- Counts events that were void before they were written: docs/capture.md, "Triggers that write the row again".
CREATE SEQUENCE muskrat.capture_dropped;

CREATE FUNCTION muskrat.routing_key_problem(routing_key text) RETURNS text
    LANGUAGE C IMMUTABLE STRICT AS 'MODULE_PATHNAME', 'muskrat_routing_key_problem';
CREATE FUNCTION muskrat.refuse(message text, detail text DEFAULT NULL, hint text DEFAULT NULL) RETURNS void
    LANGUAGE C AS 'MODULE_PATHNAME', 'muskrat_refuse';
CREATE FUNCTION muskrat.nearest(word text, candidates text[]) RETURNS text
    LANGUAGE C IMMUTABLE STRICT AS 'MODULE_PATHNAME', 'muskrat_nearest';
CREATE FUNCTION muskrat.condition_columns(condition text) RETURNS text[]
    LANGUAGE C IMMUTABLE STRICT AS 'MODULE_PATHNAME', 'muskrat_condition_columns';
CREATE FUNCTION muskrat.qualify(condition text, row_name text) RETURNS text
    LANGUAGE C IMMUTABLE STRICT AS 'MODULE_PATHNAME', 'muskrat_qualify';
CREATE FUNCTION muskrat.attachment(tgargs bytea, OUT name text, OUT object text, OUT on_insert text, OUT on_update text,
                                   OUT on_delete text, OUT on_truncate text, OUT key text[], OUT changes_of text[],
                                   OUT columns text, OUT columns_used text[])
    LANGUAGE C IMMUTABLE STRICT AS 'MODULE_PATHNAME', 'muskrat_attachment';

-- The triggers of attachments. Those of partitions are copies that PostgreSQL keeps; they are not listed.
CREATE VIEW muskrat.attachment_triggers AS
    SELECT t.oid, t.tgrelid, t.tgname, t.tgenabled, a.*
      FROM pg_catalog.pg_trigger AS t
      JOIN pg_catalog.pg_proc AS f ON f.oid OPERATOR(pg_catalog.=) t.tgfoid
                                  AND f.pronamespace OPERATOR(pg_catalog.=) 'muskrat'::pg_catalog.regnamespace
                                  AND f.proname OPERATOR(pg_catalog.=) 'capture'
     CROSS JOIN LATERAL muskrat.attachment(t.tgargs) AS a
     WHERE t.tgparentid OPERATOR(pg_catalog.=) 0;

-- "Did you mean …?", or the names there are when none is near.
CREATE FUNCTION muskrat.suggestion(word text, candidates text[]) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT coalesce('Did you mean "' || muskrat.nearest(word, candidates) || '"?',
                    'There are: ' || array_to_string(candidates[1:20], ', ')
                                  || CASE WHEN cardinality(candidates) > 20 THEN ', …' ELSE '' END)
    $$;

CREATE FUNCTION muskrat.column_names(relation regclass) RETURNS text[]
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute
     WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped
    $$;

CREATE FUNCTION muskrat.check_column(relation regclass, name text, used_as text) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    column_found pg_attribute;
BEGIN
    SELECT * INTO column_found FROM pg_attribute
     WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped AND attname = name;
    IF NOT FOUND THEN
        PERFORM muskrat.refuse(format('table %s has no column "%s"', relation, name), format('It is named in %s.', used_as),
                               muskrat.suggestion(name, muskrat.column_names(relation)));
    ELSIF column_found.attgenerated = 'v' THEN
        PERFORM muskrat.refuse(format('column "%s" of table %s is generated when it is read', name, relation),
                               format('It is named in %s; a trigger sees no value of it.', used_as),
                               'Capture the columns that it is made from, or make it GENERATED … STORED.');
    END IF;
END $$;

-- ---- the table

CREATE FUNCTION muskrat.refuse_table(wanted text) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    near text := muskrat.nearest(wanted, ARRAY(
        SELECT unnest(ARRAY[quote_ident(c.relname), c.oid::regclass::text]) FROM pg_class AS c
         WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
           AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace, 'muskrat'::regnamespace)));
BEGIN
    PERFORM muskrat.refuse(format('there is no table "%s"', wanted), NULL,
        coalesce('Did you mean "' || near || '"?', 'Write it as in SQL, with its schema where it needs one: sales."Order".'));
END $$;

-- Looks the name up in the caller's search_path, hence none of its own.
CREATE FUNCTION muskrat.table_named(name text) RETURNS regclass
    LANGUAGE plpgsql STABLE
    AS $$
BEGIN
    IF name IS NULL THEN
        PERFORM muskrat.refuse('no table is named', NULL, 'Write it as in SQL: customer, sales."Order".');
    END IF;
    RETURN name::pg_catalog.regclass;
EXCEPTION WHEN undefined_table OR invalid_schema_name OR invalid_name OR undefined_object OR feature_not_supported OR syntax_error THEN
    PERFORM muskrat.refuse_table(name);
END $$;

CREATE FUNCTION muskrat.table_problem(c pg_class) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT CASE
        WHEN c.relnamespace = 'muskrat'::regnamespace THEN 'It is part of muskrat itself.'
        WHEN c.oid < 16384 OR c.relnamespace IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
            THEN 'It is a system table.'
        WHEN c.relkind = 'v' THEN 'It is a view; attach the tables under it.'
        WHEN c.relkind = 'm' THEN 'It is a materialized view; attach the tables under it.'
        WHEN c.relkind = 'f' THEN 'It is a foreign table; attach the table where it is stored.'
        WHEN c.relkind NOT IN ('r', 'p') THEN 'It is no table.'
        WHEN c.relpersistence = 't' THEN 'It is a temporary table.'
        WHEN c.relpersistence = 'u'
            THEN 'It is unlogged: a crash empties it, and no event would say so. ALTER TABLE … SET LOGGED makes it durable.'
    END
    $$;

CREATE FUNCTION muskrat.check_table(relation regclass) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    c pg_class;
    problem text;
BEGIN
    SELECT * INTO c FROM pg_class WHERE oid = relation;
    problem := muskrat.table_problem(c);
    IF problem IS NOT NULL THEN
        PERFORM muskrat.refuse(format('%s cannot be captured', relation), problem,
                               'Attach an ordinary or a partitioned table.');
    ELSIF NOT pg_has_role(c.relowner, 'USAGE') THEN
        PERFORM muskrat.refuse(format('you do not own table %s', relation),
                               format('Its owner is %s.', c.relowner::regrole), 'Let its owner or a superuser attach it.');
    ELSIF c.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits WHERE inhparent = relation) THEN
        RAISE NOTICE 'tables that inherit from % are not captured with it; attach them too', relation;
    END IF;
END $$;

-- The columns of a deferrable primary or unique key may hold one value in two rows until the transaction ends: their
-- events could not be put in order.
CREATE FUNCTION muskrat.check_key(relation regclass, key text[]) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    name text;
    deferrable_name text;
BEGIN
    IF key IS NULL AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = relation AND indisprimary) THEN
        PERFORM muskrat.refuse(format('table %s has no primary key', relation), 'Events of one row are ordered by its key.',
                               'Add a primary key, or say which columns order the events: key => ''{customer_id}''.');
    ELSIF cardinality(key) = 0 THEN
        PERFORM muskrat.refuse('the key has no columns', NULL, 'Leave it out to take the primary key.');
    END IF;
    FOREACH name IN ARRAY coalesce(key, '{}') LOOP
        PERFORM muskrat.check_column(relation, name, 'key');
    END LOOP;
    SELECT k.conname INTO deferrable_name FROM pg_constraint AS k
     WHERE k.conrelid = relation AND k.contype IN ('p', 'u') AND k.condeferrable
       AND CASE WHEN key IS NULL THEN k.contype = 'p'
                ELSE key <@ ARRAY(SELECT a.attname::text FROM pg_attribute AS a
                                   WHERE a.attrelid = relation AND a.attnum = ANY (k.conkey)) END;
    IF FOUND THEN
        PERFORM muskrat.refuse(format('the key of table %s is deferrable (constraint "%s")', relation, deferrable_name),
                               'Two rows may hold one key until the transaction ends, so their events have no order.',
                               'Make the constraint NOT DEFERRABLE, or name another key.');
    END IF;
END $$;

-- ---- words, columns, condition: each checked and made into trigger arguments

CREATE FUNCTION muskrat.check_words(object text, words text[]) RETURNS void
    LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    word text;
    problem text;
BEGIN
    IF object IS NULL OR array_length(string_to_array(object, '.'), 1) IS DISTINCT FROM 2 THEN
        PERFORM muskrat.refuse(format('"%s" is no object', object), 'It has two words: <Source>.<Object>.',
                               'For example Frontend.Customer; the action words come from on_insert and its like.');
    ELSIF array_remove(words, NULL) = '{}' THEN
        PERFORM muskrat.refuse(format('nothing of %s would be captured', object), 'Every action word is NULL.',
                               'Give at least one of on_insert, on_update, on_delete, on_truncate.');
    END IF;
    FOREACH word IN ARRAY array_remove(words, NULL) LOOP
        problem := muskrat.routing_key_problem(object || '.' || word);
        IF problem IS NOT NULL THEN
            PERFORM muskrat.refuse(format('"%s.%s" is no routing key', object, word), problem,
                                   'An example: Frontend.Customer.Signup.');
        END IF;
    END LOOP;
END $$;

CREATE FUNCTION muskrat.columns_as_json(columns text) RETURNS json
    LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    example constant text := 'Give ''*'' for all columns, or a list such as ''["id", "email", {"plan": ["volume", "rate"]}, {"mail": "email2"}]''.';
BEGIN
    IF columns IS NULL THEN
        PERFORM muskrat.refuse('no columns are named', 'What is captured is chosen.', example);
    ELSIF btrim(columns) IN ('*', '"*"', '["*"]') THEN
        RETURN '"*"';
    ELSIF json_typeof(columns::json) <> 'array' OR json_array_length(columns::json) = 0 THEN
        PERFORM muskrat.refuse('the columns are no list', NULL, example);
    END IF;
    RETURN columns;
EXCEPTION WHEN invalid_text_representation THEN
    PERFORM muskrat.refuse('the columns are not JSON', SQLERRM, example);
END $$;

-- One member of a level of the body: its name, and what it is made of (a column's name, or the list of a nested object).
CREATE FUNCTION muskrat.column_members(level json) RETURNS TABLE (member text, made_of json)
    LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    element json;
BEGIN
    FOR element IN SELECT value FROM json_array_elements(level) LOOP
        IF json_typeof(element) = 'string' THEN
            RETURN QUERY SELECT element #>> '{}', element;
        ELSIF json_typeof(element) = 'object' THEN
            RETURN QUERY SELECT e.key, e.value FROM json_each(element) AS e;
        ELSE
            PERFORM muskrat.refuse(format('%s is no column', element), NULL,
                'A list of columns has "column", {"name": "column"} and {"name": ["column", …]}.');
        END IF;
    END LOOP;
END $$;

CREATE FUNCTION muskrat.column_arguments(relation regclass, level json, path text) RETURNS text[]
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    m record;
    arguments text[] := '{}';
    seen text[] := '{}';
BEGIN
    FOR m IN SELECT member, made_of FROM muskrat.column_members(level) LOOP
        IF m.member = ANY (seen) THEN
            PERFORM muskrat.refuse(format('the body would have the member "%s" twice', path || m.member), NULL,
                                   'Give one of them another name: {"name": "column"}.');
        END IF;
        seen := seen || m.member;
        IF json_typeof(m.made_of) = 'string' THEN
            PERFORM muskrat.check_column(relation, m.made_of #>> '{}', 'columns');
            IF m.member <> m.made_of #>> '{}' THEN
                arguments := arguments || ('member=' || m.member);
            END IF;
            arguments := arguments || ('column=' || (m.made_of #>> '{}'));
        ELSIF json_typeof(m.made_of) = 'array' AND json_array_length(m.made_of) > 0 THEN
            arguments := arguments || ('open=' || m.member)
                || muskrat.column_arguments(relation, m.made_of, path || m.member || '.') || 'close='::text;
        ELSE
            PERFORM muskrat.refuse(format('member "%s" is made of %s', path || m.member, m.made_of), NULL,
                                   'Give the name of a column, or a list of columns.');
        END IF;
    END LOOP;
    RETURN arguments;
END $$;

CREATE FUNCTION muskrat.body_arguments(relation regclass, columns text) RETURNS text[]
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    level json := muskrat.columns_as_json(columns);
    name text;
BEGIN
    IF json_typeof(level) = 'array' THEN
        RETURN muskrat.column_arguments(relation, level, '');
    END IF;
    FOREACH name IN ARRAY muskrat.column_names(relation) LOOP
        PERFORM muskrat.check_column(relation, name, 'columns => ''*''');
    END LOOP;
    RETURN ARRAY['all='];
END $$;

CREATE FUNCTION muskrat.check_condition(relation regclass, condition text) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY coalesce(muskrat.condition_columns(condition), '{}') LOOP
        PERFORM muskrat.check_column(relation, name, 'condition');
    END LOOP;
EXCEPTION WHEN syntax_error THEN
    PERFORM muskrat.refuse(format('the condition is no SQL expression: %s', condition), SQLERRM,
                           'For example: volume > 5 AND NOT deleted.');
END $$;

CREATE FUNCTION muskrat.list_arguments(word text, items text[]) RETURNS text[]
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
    AS $$ SELECT coalesce(array_agg(word || '=' || item ORDER BY n), '{}') FROM unnest(items) WITH ORDINALITY AS u (item, n) $$;

-- ---- the triggers

-- Triggers of one event fire in the order of their names; ours are to see what the others did.
CREATE FUNCTION muskrat.trigger_name(name text, purpose text) RETURNS text
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT format('zz_muskrat_%s_%s', CASE WHEN octet_length(name) <= 40 THEN name
                                           ELSE substr(md5(name), 1, 32) END, purpose)
    $$;

-- What triggers an attachment needs: purpose, events, WHEN, role.
CREATE FUNCTION muskrat.triggers_needed(on_insert text, on_update text, on_delete text, on_truncate text, condition text)
    RETURNS TABLE (purpose text, events text, condition_sql text, role text)
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
    AS $$
    WITH c AS (SELECT muskrat.qualify(condition, 'OLD') AS old, muskrat.qualify(condition, 'NEW') AS new)
    SELECT 'row', concat_ws(' OR ', CASE WHEN on_insert IS NOT NULL THEN 'INSERT' END,
                            CASE WHEN on_update IS NOT NULL THEN 'UPDATE' END,
                            CASE WHEN on_delete IS NOT NULL THEN 'DELETE' END), NULL, NULL
     WHERE condition IS NULL AND (on_insert IS NOT NULL OR on_update IS NOT NULL OR on_delete IS NOT NULL)
    UNION ALL SELECT 'insert', 'INSERT', format('(%s)', c.new), NULL FROM c
     WHERE condition IS NOT NULL AND on_insert IS NOT NULL
    UNION ALL SELECT 'update', 'UPDATE', format('(%s) AND (%s)', c.old, c.new), NULL FROM c
     WHERE condition IS NOT NULL AND on_update IS NOT NULL
    UNION ALL SELECT 'delete', 'DELETE', format('(%s)', c.old), NULL FROM c
     WHERE condition IS NOT NULL AND on_delete IS NOT NULL
    UNION ALL SELECT 'enter', 'UPDATE', format('(%s) IS NOT TRUE AND (%s)', c.old, c.new), 'enter' FROM c
     WHERE condition IS NOT NULL AND (on_insert IS NOT NULL OR on_update IS NOT NULL)
    UNION ALL SELECT 'leave', 'UPDATE', format('(%s) AND (%s) IS NOT TRUE', c.old, c.new), 'leave' FROM c
     WHERE condition IS NOT NULL AND on_delete IS NOT NULL
    UNION ALL SELECT 'truncate', 'TRUNCATE', NULL, NULL WHERE on_truncate IS NOT NULL
    $$;

-- Runs DDL under the search_path of the caller, so that a condition means what it meant to who wrote it.
CREATE FUNCTION muskrat.run_ddl(statement text, path text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    PERFORM set_config('search_path', path, true);
    EXECUTE statement;
END $$;

CREATE FUNCTION muskrat.make_trigger(relation regclass, trigger_name text, events text, condition_sql text, arguments text[],
                                     always boolean, path text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    PERFORM muskrat.run_ddl(format('CREATE TRIGGER %I AFTER %s ON %s FOR EACH %s %s EXECUTE FUNCTION muskrat.capture(%s)',
        trigger_name, events, relation, CASE events WHEN 'TRUNCATE' THEN 'STATEMENT' ELSE 'ROW' END,
        'WHEN (' || condition_sql || ')',
        (SELECT string_agg(quote_literal(a), ', ' ORDER BY n) FROM unnest(arguments) WITH ORDINALITY AS u (a, n))), path);
    IF always THEN
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', relation, trigger_name);
    END IF;
EXCEPTION WHEN SQLSTATE '42804' OR SQLSTATE '42883' OR SQLSTATE '42P17' OR SQLSTATE '42P10' OR SQLSTATE '22P02' OR SQLSTATE '42704'
            OR SQLSTATE '0A000' THEN
    PERFORM muskrat.refuse(format('PostgreSQL refuses the trigger on %s', relation), SQLERRM,
                           CASE WHEN condition_sql IS NOT NULL THEN 'Look at the condition.' END);
END $$;

CREATE FUNCTION muskrat.drop_triggers(relation regclass, attachment_name text) RETURNS int
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    trigger_name name;
    dropped int := 0;
BEGIN
    FOR trigger_name IN SELECT t.tgname FROM muskrat.attachment_triggers AS t
                         WHERE t.tgrelid = relation AND t.name = attachment_name LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', trigger_name, relation);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$;

-- ---- attach and detach

CREATE FUNCTION muskrat.attach_checked(path text, relation regclass, object text, columns text, on_insert text,
        on_update text, on_delete text, on_truncate text, key text[], condition text, changes_of text[], name text,
        always boolean, replace boolean) RETURNS text
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    arguments text[];
    needed record;
    watched text;
BEGIN
    PERFORM muskrat.check_table(relation);
    PERFORM muskrat.check_words(object, ARRAY[on_insert, on_update, on_delete, on_truncate]);
    PERFORM muskrat.check_key(relation, key);
    PERFORM muskrat.check_condition(relation, condition);
    FOREACH watched IN ARRAY coalesce(changes_of, '{}') LOOP
        PERFORM muskrat.check_column(relation, watched, 'changes_of');
    END LOOP;
    arguments := array_remove(ARRAY['name=' || name, 'object=' || object, 'insert=' || on_insert, 'update=' || on_update,
                                    'delete=' || on_delete, 'truncate=' || on_truncate], NULL)
        || muskrat.list_arguments('key', key) || muskrat.list_arguments('changes_of', changes_of)
        || muskrat.body_arguments(relation, columns);
    IF replace THEN
        PERFORM muskrat.drop_triggers(relation, name);
    ELSIF EXISTS (SELECT FROM muskrat.attachment_triggers AS t WHERE t.tgrelid = relation AND t.name = attach_checked.name) THEN
        PERFORM muskrat.refuse(format('table %s has an attachment "%s" already', relation, name), NULL,
            'Say replace => true to put this one in its place, or give this one a name of its own: name => ''…''.');
    END IF;
    FOR needed IN SELECT * FROM muskrat.triggers_needed(on_insert, on_update, on_delete, on_truncate, condition) LOOP
        PERFORM muskrat.make_trigger(relation, muskrat.trigger_name(name, needed.purpose), needed.events, needed.condition_sql,
                                     arguments[1:2] || ('role=' || needed.role) || arguments[3:], always, path);
    END LOOP;
    RETURN name;
END $$;

CREATE FUNCTION muskrat.attach(
        relation    text,                      -- the table, as in SQL: customer, sales."Order"
        object      text,                      -- '<Source>.<Object>'
        columns     text    DEFAULT NULL,      -- to be said: '*', or '["id", {"plan": ["volume", "rate"]}, {"mail": "email2"}]'
        on_insert   text    DEFAULT 'Insert',  -- action words; NULL: not captured
        on_update   text    DEFAULT 'Update',
        on_delete   text    DEFAULT 'Delete',
        on_truncate text    DEFAULT 'Truncate',
        key         text[]  DEFAULT NULL,      -- columns of the ordering key; NULL: the primary key
        condition   text    DEFAULT NULL,      -- only rows for which this holds; SQL over bare column names
        changes_of  text[]  DEFAULT NULL,      -- only updates that change one of these; NULL: one that is captured
        name        text    DEFAULT NULL,      -- tells attachments of one table apart; NULL: the object
        always      boolean DEFAULT false,     -- capture also what replication and session_replication_role = replica write
        replace     boolean DEFAULT false)     -- put this in the place of the attachment of the same name
    RETURNS text                               -- the attachment's name
    LANGUAGE sql
    AS $$
    SELECT muskrat.attach_checked(pg_catalog.current_setting('search_path'), muskrat.table_named(relation), object, columns,
        on_insert, on_update, on_delete, on_truncate, key, condition, changes_of, COALESCE(name, object),
        COALESCE(always, false), COALESCE(replace, false))
    $$;
COMMENT ON FUNCTION muskrat.attach(text, text, text, text, text, text, text, text[], text, text[], text, boolean, boolean)
    IS 'captures a table''s changes as events <Source>.<Object>.<Action>; docs/capture.md';

CREATE FUNCTION muskrat.detach_checked(relation regclass, wanted text) RETURNS text[]
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    attachment record;
    known text[] := '{}';
    gone text[] := '{}';
BEGIN
    FOR attachment IN SELECT DISTINCT t.name, t.object FROM muskrat.attachment_triggers AS t
                       WHERE t.tgrelid = relation ORDER BY 1 LOOP
        known := known || attachment.name;
        IF wanted IS NULL OR wanted IN (attachment.name, attachment.object) THEN
            PERFORM muskrat.drop_triggers(relation, attachment.name);
            gone := gone || attachment.name;
        END IF;
    END LOOP;
    IF known = '{}' THEN
        PERFORM muskrat.refuse(format('table %s is not attached', relation), NULL, 'SELECT * FROM muskrat.attached lists what is.');
    ELSIF gone = '{}' THEN
        PERFORM muskrat.refuse(format('table %s has no attachment "%s"', relation, wanted), NULL, muskrat.suggestion(wanted, known));
    END IF;
    RETURN gone;
END $$;

CREATE FUNCTION muskrat.detach(
        relation text,                   -- the table, as in SQL
        object   text DEFAULT NULL)      -- <Source>.<Object>, or an attachment's name; NULL: every attachment of the table
    RETURNS text[]                       -- the names of the attachments that are gone
    LANGUAGE sql
    AS $$ SELECT muskrat.detach_checked(muskrat.table_named(relation), object) $$;
COMMENT ON FUNCTION muskrat.detach(text, text) IS 'ends attachments of a table; events captured so far are still delivered';

-- ---- what is attached

CREATE FUNCTION muskrat.attachment_problem(relation regclass, enabled "char"[], named text[], key text[]) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT nullif(concat_ws('; ',
        CASE WHEN 'D' = ANY (enabled) THEN 'disabled: ALTER TABLE … ENABLE TRIGGER' END,
        CASE WHEN 'R' = ANY (enabled) THEN 'fires in replica sessions only' END,
        (SELECT 'the table has no column ' || string_agg(DISTINCT quote_ident(n), ', ') || ' any more: attach it anew with replace => true'
           FROM unnest(coalesce(named, '{}') || coalesce(key, '{}')) AS n WHERE n <> ALL (muskrat.column_names(relation))),
        (SELECT CASE WHEN key IS NULL AND count(*) FILTER (WHERE indisprimary) = 0 THEN 'the table has no primary key any more: every write fails until it is attached anew with a key'
                     WHEN key IS NULL AND bool_or(NOT indimmediate) FILTER (WHERE indisprimary) THEN 'the primary key is deferrable now' END
           FROM pg_index WHERE indrelid = relation),
        (SELECT 'the table is unlogged now: a crash empties it unsaid' FROM pg_class WHERE oid = relation AND relpersistence = 'u')), '')
    $$;

CREATE VIEW muskrat.attached AS
    SELECT t.tgrelid::regclass AS relation, t.name, min(t.object) AS object, min(t.on_insert) AS on_insert,
           min(t.on_update) AS on_update, min(t.on_delete) AS on_delete, min(t.on_truncate) AS on_truncate,
           min(t.columns) AS columns, min(t.key) AS key,
           min(substring(pg_get_triggerdef(t.oid) FROM ' WHEN \((.*)\) EXECUTE FUNCTION '))
               FILTER (WHERE t.tgname::text ~ '_(insert|delete)$') AS condition,
           min(t.changes_of) AS changes_of, bool_and(t.tgenabled = 'A') AS always,
           array_agg(t.tgname::text ORDER BY t.tgname) AS triggers,
           muskrat.attachment_problem(t.tgrelid, array_agg(t.tgenabled), min(t.columns_used), min(t.key)) AS problem
      FROM muskrat.attachment_triggers AS t
     GROUP BY t.tgrelid, t.name;
COMMENT ON VIEW muskrat.attached IS 'the attachments of this database, and what is wrong with them';

CREATE FUNCTION muskrat.attached() RETURNS SETOF muskrat.attached
    LANGUAGE sql STABLE
    AS $$ SELECT * FROM muskrat.attached $$;
COMMENT ON FUNCTION muskrat.attached() IS 'the view of the same name, for those who would call it';

GRANT USAGE ON SCHEMA muskrat TO muskrat_attach, muskrat_monitor;
GRANT SELECT ON muskrat.attached, muskrat.attachment_triggers TO muskrat_attach, muskrat_monitor;
GRANT SELECT ON SEQUENCE muskrat.capture_dropped TO muskrat_monitor;
GRANT EXECUTE ON FUNCTION muskrat.attachment(bytea), muskrat.attachment_problem(regclass, "char"[], text[], text[]),
    muskrat.column_names(regclass), muskrat.attached() TO muskrat_attach, muskrat_monitor;
-- capture() too: attaching a partition, or restoring a dump, makes triggers as the user who does it.
GRANT EXECUTE ON FUNCTION muskrat.capture(),
    muskrat.attach(text, text, text, text, text, text, text, text[], text, text[], text, boolean, boolean),
    muskrat.attach_checked(text, regclass, text, text, text, text, text, text, text[], text, text[], text, boolean, boolean),
    muskrat.detach(text, text), muskrat.detach_checked(regclass, text), muskrat.table_named(text), muskrat.refuse_table(text),
    muskrat.table_problem(pg_class), muskrat.check_table(regclass), muskrat.check_key(regclass, text[]),
    muskrat.check_column(regclass, text, text), muskrat.check_words(text, text[]), muskrat.check_condition(regclass, text),
    muskrat.columns_as_json(text), muskrat.column_members(json), muskrat.column_arguments(regclass, json, text),
    muskrat.body_arguments(regclass, text), muskrat.list_arguments(text, text[]), muskrat.suggestion(text, text[]),
    muskrat.routing_key_problem(text), muskrat.refuse(text, text, text), muskrat.nearest(text, text[]),
    muskrat.condition_columns(text), muskrat.qualify(text, text), muskrat.trigger_name(text, text),
    muskrat.triggers_needed(text, text, text, text, text), muskrat.run_ddl(text, text),
    muskrat.make_trigger(regclass, text, text, text, text[], boolean, text), muskrat.drop_triggers(regclass, text)
    TO muskrat_attach;
