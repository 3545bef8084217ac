-- Muskrat: row changes into an outbox that the relay publishes to RabbitMQ. The script is made of the parts that
-- extension/Makefile lists.
\echo Use "CREATE EXTENSION muskrat" to load this file. \quit

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
