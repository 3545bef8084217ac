-- Taken in by the capture_* tests: the extension, and events(), which shows what came into the outbox since the last call, and empties it.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS muskrat;
RESET client_min_messages;
\pset format unaligned
\pset null NULL
CREATE FUNCTION events() RETURNS TABLE (op "char", routing_key text, ordering_key text, body text, headers text)
    LANGUAGE sql
    AS $$
    WITH gone AS (DELETE FROM muskrat.outbox_1 RETURNING *)
    SELECT op, routing_key, ordering_key, body, headers FROM gone ORDER BY id
    $$;
