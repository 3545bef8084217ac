-- What muskrat.attach() checks before it makes a trigger, and the trigger arguments that it makes of what it was given.
-- Every mistake is refused with SQLSTATE MK004, a reason and what to do.

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
                               format('Its owner is %s.', c.relowner::regrole), 'Let its owner or a superuser do it.');
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
     WHERE (k.conrelid = relation OR k.conrelid IN (SELECT relid FROM pg_partition_tree(relation)))
       AND k.contype IN ('p', 'u') AND k.condeferrable
       AND CASE WHEN key IS NULL THEN k.contype = 'p'
                ELSE key <@ ARRAY(SELECT a.attname::text FROM pg_attribute AS a
                                   WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)) END;
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

-- Partitions, and tables that inherit from one another, may well speak under one name: their keys are of one kind.
CREATE FUNCTION muskrat.check_object(relation regclass, object text) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    other regclass;
BEGIN
    FOR other IN SELECT DISTINCT t.tgrelid FROM muskrat.attachment_triggers AS t
                  WHERE t.object = check_object.object AND t.tgrelid <> relation ORDER BY 1 LOOP
        CONTINUE WHEN other IN (
            WITH RECURSIVE family (member) AS (
                SELECT relation::oid
                UNION SELECT kin.member FROM family AS f
                  JOIN LATERAL (SELECT inhparent AS member FROM pg_inherits WHERE inhrelid = f.member
                                UNION ALL SELECT inhrelid FROM pg_inherits WHERE inhparent = f.member) AS kin ON true)
            SELECT member FROM family);
        RAISE NOTICE 'table % is attached as % too: rows of both with equal keys are one row to endpoints; give this one an object of its own, unless that is meant',
            other, object;
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
        IF cardinality(string_to_array(path, '.')) > 32 THEN
            PERFORM muskrat.refuse('the body is nested too deeply', NULL, 'Nest 32 levels at most.');
        END IF;
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

-- Errors of SQL that a user wrote: 42 syntax and names (not of a right, nor of a name that is taken), 22 values, 3F schemas.
CREATE FUNCTION muskrat.is_mistake_in_sql(state text) RETURNS boolean
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
    AS $$ SELECT left(state, 2) IN ('42', '22', '3F') AND state NOT IN ('42501', '42710') $$;

CREATE FUNCTION muskrat.list_arguments(word text, items text[]) RETURNS text[]
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
    AS $$ SELECT coalesce(array_agg(word || '=' || item ORDER BY n), '{}') FROM unnest(items) WITH ORDINALITY AS u (item, n) $$;
