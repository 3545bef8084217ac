-- Attaching tables. The triggers that muskrat.attach() makes are the attachment: extension/spec.hpp says how it stands in
-- their arguments. docs/capture.md is the manual.
--
-- attach and detach run as their caller (SECURITY INVOKER): who may use them is said by EXECUTE, which muskrat_attach
-- has, and by who owns the table. Nothing here can do what its caller could not.

CREATE FUNCTION muskrat.capture() RETURNS trigger LANGUAGE C AS 'MODULE_PATHNAME', 'muskrat_capture';
COMMENT ON FUNCTION muskrat.capture() IS 'the trigger function of attachments; made into triggers by muskrat.attach() alone';

-- Counts events that were void before they were written: docs/capture.md, "Triggers that write the row again".
CREATE SEQUENCE muskrat.capture_dropped;

CREATE FUNCTION muskrat.attachment(tgargs bytea, OUT name text, OUT object text, OUT on_insert text, OUT on_update text,
                                   OUT on_delete text, OUT on_truncate text, OUT key text[], OUT changes_of text[],
                                   OUT columns text, OUT columns_used text[], OUT problem text)
    LANGUAGE C IMMUTABLE STRICT AS 'MODULE_PATHNAME', 'muskrat_attachment';

-- The triggers of attachments. Those of partitions are copies that PostgreSQL keeps; they are not listed. One that was made
-- by hand goes by its own name where its arguments say none.
CREATE VIEW muskrat.attachment_triggers AS
    SELECT t.oid, t.tgrelid, t.tgname, t.tgenabled, COALESCE(a.name, t.tgname::pg_catalog.text) AS name, a.object, a.on_insert,
           a.on_update, a.on_delete, a.on_truncate, a.key, a.changes_of, a.columns, a.columns_used,
           'every write that fires the trigger ' OPERATOR(pg_catalog.||) pg_catalog.quote_ident(t.tgname)
               OPERATOR(pg_catalog.||) ' fails: ' OPERATOR(pg_catalog.||) a.problem
               OPERATOR(pg_catalog.||) '; drop that trigger, and attach the table with muskrat.attach()' AS problem
      FROM pg_catalog.pg_trigger AS t
      JOIN pg_catalog.pg_proc AS f ON f.oid OPERATOR(pg_catalog.=) t.tgfoid
                                  AND f.pronamespace OPERATOR(pg_catalog.=) 'muskrat'::pg_catalog.regnamespace
                                  AND f.proname OPERATOR(pg_catalog.=) 'capture'
     CROSS JOIN LATERAL muskrat.attachment(t.tgargs) AS a
     WHERE t.tgparentid OPERATOR(pg_catalog.=) 0;

-- ---- the triggers

-- Triggers of one event fire in the order of their names; ours are to see what the others did.
CREATE FUNCTION muskrat.trigger_name(name text, purpose text) RETURNS text
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT format('zz_muskrat_%s_%s', CASE WHEN octet_length(name) <= 40 THEN name
                                           ELSE substr(md5(name), 1, 32) END, purpose)
    $$;

-- What triggers an attachment needs: purpose, events, WHEN, role. In a partitioned table an update may be a deletion here
-- and an insertion there.
CREATE FUNCTION muskrat.triggers_needed(on_insert text, on_update text, on_delete text, on_truncate text, condition text,
                                        partitioned boolean)
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
    UNION ALL SELECT 'depart', 'DELETE', NULL, 'depart'
     WHERE partitioned AND on_insert IS NULL AND on_update IS NOT NULL
    UNION ALL SELECT 'arrive', 'INSERT', CASE WHEN condition IS NOT NULL THEN format('(%s)', c.new) END, 'arrive' FROM c
     WHERE partitioned AND on_insert IS NULL AND on_update IS NOT NULL
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
        (SELECT quote_literal(string_agg(replace(replace(a, '\', '\\'), E'\n', '\n'), E'\n' ORDER BY n))
           FROM unnest(arguments) WITH ORDINALITY AS u (a, n))), path);
    IF always THEN
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', relation, trigger_name);
    END IF;
EXCEPTION WHEN OTHERS THEN
    IF SQLSTATE <> '0A000' AND NOT (condition_sql IS NOT NULL AND muskrat.is_mistake_in_sql(SQLSTATE)) THEN
        RAISE;
    END IF;
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
    PERFORM muskrat.check_object(relation, object);
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
    FOR needed IN SELECT * FROM muskrat.triggers_needed(on_insert, on_update, on_delete, on_truncate, condition,
                                      (SELECT c.relkind = 'p' FROM pg_class AS c WHERE c.oid = relation)) LOOP
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

-- Triggers of capture, also the copies on partitions, that do not fire for ordinary writes; `root`: the one that was attached.
CREATE FUNCTION muskrat.silent_triggers() RETURNS TABLE (root oid, relation regclass, trigger_name name, enabled "char")
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    AS $$
    WITH RECURSIVE up AS (
        SELECT t.oid AS root, t.tgparentid AS parent, t.tgrelid, t.tgname, t.tgenabled
          FROM pg_trigger AS t
          JOIN pg_proc AS f ON f.oid = t.tgfoid AND f.pronamespace = 'muskrat'::regnamespace AND f.proname = 'capture'
         WHERE NOT t.tgisinternal AND t.tgenabled IN ('D', 'R')
        UNION ALL
        SELECT t.oid, t.tgparentid, up.tgrelid, up.tgname, up.tgenabled FROM up JOIN pg_trigger AS t ON t.oid = up.parent)
    SELECT up.root, up.tgrelid::regclass, up.tgname, up.tgenabled FROM up WHERE up.parent = 0
    $$;

CREATE FUNCTION muskrat.attachment_problem(relation regclass, triggers oid[], named text[], key text[]) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT nullif(concat_ws('; ',
        (SELECT string_agg(DISTINCT CASE s.enabled WHEN 'D' THEN 'disabled' ELSE 'fires in replica sessions only' END
                           || CASE WHEN s.relation <> attachment_problem.relation THEN ' on partition ' || s.relation::text ELSE '' END
                           || CASE s.enabled WHEN 'D' THEN ': ALTER TABLE … ENABLE TRIGGER' ELSE '' END, '; ')
           FROM muskrat.silent_triggers() AS s WHERE s.root = ANY (triggers)),
        (SELECT 'the table has no column ' || string_agg(DISTINCT quote_ident(n), ', ') || ' any more: attach it anew with replace => true'
           FROM unnest(coalesce(named, '{}') || coalesce(key, '{}')) AS n WHERE n <> ALL (muskrat.column_names(relation))),
        (SELECT CASE WHEN key IS NULL AND count(*) FILTER (WHERE indisprimary) = 0 THEN 'the table has no primary key any more: every write fails until it is attached anew with a key' END
           FROM pg_index WHERE indrelid = relation),
        (SELECT format('the key is deferrable now (constraint %I of %s): every write there fails until that is NOT DEFERRABLE, or the table attached anew with another key',
                       min(k.conname), min(k.conrelid::regclass::text))
           FROM pg_constraint AS k,
                LATERAL (SELECT array_agg(a.attname::text) AS columns FROM pg_attribute AS a
                          WHERE a.attrelid = relation AND a.attnum = ANY (k.conkey)) AS of
          WHERE (k.conrelid = relation OR k.conrelid IN (SELECT relid FROM pg_partition_tree(relation)))
            AND k.contype IN ('p', 'u') AND k.condeferrable
            AND CASE WHEN key IS NULL THEN k.contype = 'p' ELSE key <@ of.columns AND key @> of.columns END
            AND NOT EXISTS (SELECT FROM pg_index AS i
                             WHERE i.indrelid = k.conrelid AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL
                               AND (i.indkey::int2[])[0:i.indnkeyatts - 1] <@ k.conkey)
         HAVING count(*) > 0),
        (SELECT 'the table is unlogged now: a crash empties it unsaid' FROM pg_class WHERE oid = relation AND relpersistence = 'u')), '')
    $$;

-- "((C of OLD IS NOT TRUE) AND C of NEW)" → "C of NEW": both are equally long.
CREATE FUNCTION muskrat.condition_of_enter(condition text) RETURNS text
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
    AS $$ SELECT left(right(condition, (length(condition) - length('(( IS NOT TRUE) AND )')) / 2 + 1), -1) $$;

CREATE VIEW muskrat.attached AS
    SELECT t.tgrelid::regclass AS relation, t.name, min(t.object) AS object, min(t.on_insert) AS on_insert,
           min(t.on_update) AS on_update, min(t.on_delete) AS on_delete, min(t.on_truncate) AS on_truncate,
           min(t.columns) AS columns, min(t.key) AS key,
           coalesce(min(substring(pg_get_triggerdef(t.oid) FROM ' WHEN \((.*)\) EXECUTE FUNCTION '))
                        FILTER (WHERE t.tgname::text ~ '_(insert|delete)$'),
                    min(muskrat.condition_of_enter(substring(pg_get_triggerdef(t.oid) FROM ' WHEN \((.*)\) EXECUTE FUNCTION ')))
                        FILTER (WHERE t.tgname::text ~ '_enter$')) AS condition,
           min(t.changes_of) AS changes_of, bool_and(t.tgenabled = 'A') AS always,
           array_agg(t.tgname::text ORDER BY t.tgname) AS triggers,
           nullif(concat_ws('; ', min(t.problem),
               muskrat.attachment_problem(t.tgrelid, array_agg(t.oid), min(t.columns_used) || min(t.changes_of), min(t.key))), '') AS problem
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
GRANT EXECUTE ON FUNCTION muskrat.attachment(bytea), muskrat.attachment_problem(regclass, oid[], text[], text[]), muskrat.silent_triggers(),
    muskrat.column_names(regclass), muskrat.condition_of_enter(text), muskrat.attached() TO muskrat_attach, muskrat_monitor;
-- capture() too: attaching a partition, or restoring a dump, makes triggers as the user who does it.
GRANT EXECUTE ON FUNCTION muskrat.capture(),
    muskrat.attach(text, text, text, text, text, text, text, text[], text, text[], text, boolean, boolean),
    muskrat.attach_checked(text, regclass, text, text, text, text, text, text, text[], text, text[], text, boolean, boolean),
    muskrat.detach(text, text), muskrat.detach_checked(regclass, text), muskrat.table_named(text), muskrat.refuse_table(text),
    muskrat.table_problem(pg_class), muskrat.check_table(regclass), muskrat.check_key(regclass, text[]),
    muskrat.check_column(regclass, text, text), muskrat.check_words(text, text[]), muskrat.check_object(regclass, text),
    muskrat.check_condition(regclass, text), muskrat.is_mistake_in_sql(text),
    muskrat.columns_as_json(text), muskrat.column_members(json), muskrat.column_arguments(regclass, json, text),
    muskrat.body_arguments(regclass, text), muskrat.list_arguments(text, text[]), muskrat.suggestion(text, text[]),
    muskrat.routing_key_problem(text), muskrat.refuse(text, text, text), muskrat.nearest(text, text[]),
    muskrat.condition_columns(text), muskrat.qualify(text, text), muskrat.trigger_name(text, text),
    muskrat.triggers_needed(text, text, text, text, text, boolean), muskrat.run_ddl(text, text),
    muskrat.make_trigger(regclass, text, text, text, text[], boolean, text), muskrat.drop_triggers(regclass, text)
    TO muskrat_attach;
