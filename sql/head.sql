-- Muskrat: row changes into an outbox that the relay publishes to RabbitMQ. The script is made of the parts that
-- extension/Makefile lists.
\echo Use "CREATE EXTENSION muskrat" to load this file. \quit

-- A schema that is there already is taken as it is, and its owner may do in it what he likes: with our functions, too.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace AS n JOIN pg_catalog.pg_roles AS r ON r.oid = n.nspowner
                    WHERE n.nspname = 'muskrat' AND (r.rolsuper OR r.rolname = current_user)) THEN
        RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = 'there is a schema muskrat already, and it belongs to a role that is no superuser',
            HINT = 'Look at what is in it, and at who made it; then drop it, or ALTER SCHEMA muskrat OWNER TO CURRENT_USER.';
    END IF;
END $$;

COMMENT ON SCHEMA muskrat IS 'Muskrat: muskrat.attach() captures a table, muskrat.emit() writes an event, muskrat.status() says how things stand';

-- Roles belong to the cluster, not to the extension: they may be there already, and DROP EXTENSION leaves them.
DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['muskrat_relay', 'muskrat_monitor', 'muskrat_attach'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = role_name) THEN
            EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', role_name);
        END IF;
    END LOOP;
END $$;
