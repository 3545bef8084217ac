-- Who may do what with the outbox. A role of the application may do nothing; its captured writes need nothing.
\set SHOW_CONTEXT never
CREATE ROLE regress_muskrat_app;
-- Not into a schema that somebody else made, for it would stay his; into one that is there as a dump makes it.
CREATE SCHEMA muskrat AUTHORIZATION regress_muskrat_app;
CREATE EXTENSION muskrat;
ALTER SCHEMA muskrat OWNER TO CURRENT_USER;
CREATE EXTENSION muskrat;
\set VERBOSITY terse
CREATE ROLE regress_muskrat_relay IN ROLE muskrat_relay;
CREATE ROLE regress_muskrat_monitor IN ROLE muskrat_monitor;

CREATE VIEW rights AS
SELECT r.rolname, c.relname::text AS object, string_agg(p, ', ' ORDER BY p) AS rights
  FROM pg_roles AS r, pg_class AS c,
       unnest(CASE WHEN c.relkind = 'S' THEN ARRAY['SELECT', 'UPDATE', 'USAGE']
                   ELSE ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER'] END) AS p
 WHERE c.relnamespace = 'muskrat'::regnamespace AND r.rolname ~ '^regress_muskrat' AND c.relkind IN ('r', 'v', 'S')
   AND CASE WHEN c.relkind = 'S' THEN has_sequence_privilege(r.oid, c.oid, p) ELSE has_table_privilege(r.oid, c.oid, p) END
 GROUP BY r.rolname, c.relname
UNION ALL
SELECT r.rolname, f.oid::regprocedure::text, 'EXECUTE' FROM pg_roles AS r, pg_proc AS f
 WHERE f.pronamespace = 'muskrat'::regnamespace AND r.rolname ~ '^regress_muskrat' AND has_function_privilege(r.oid, f.oid, 'EXECUTE');

-- The application's role: nothing, in the whole schema.
SELECT * FROM rights WHERE rolname = 'regress_muskrat_app';
SELECT has_schema_privilege('regress_muskrat_app', 'muskrat', 'USAGE');
-- The relay's: exactly this.
SELECT object, rights FROM rights WHERE rolname = 'regress_muskrat_relay' ORDER BY object COLLATE "C";
-- Monitoring never sees a body.
SELECT object, rights FROM rights WHERE rolname = 'regress_muskrat_monitor' AND object ~ 'outbox';

-- Each function that runs with its owner's rights looks up nothing where its caller could put something.
SELECT f.oid::regprocedure FROM pg_proc AS f
 WHERE pronamespace = 'muskrat'::regnamespace AND prosecdef
   AND (proconfig IS NULL OR NOT 'search_path=pg_catalog, pg_temp' = ANY (proconfig));

SET ROLE regress_muskrat_app;
SELECT * FROM muskrat.outbox;
INSERT INTO muskrat.outbox_1 DEFAULT VALUES;
SELECT muskrat.emit('Test.Row.Event', '{}');
SELECT nextval('muskrat.outbox_id');
SELECT muskrat.status();
SELECT muskrat.forget(1, '{a}', true);
RESET ROLE;
SELECT muskrat.emit('Test.Row.Event', '{"n": 1}');

-- The relay's whole work.
SET ROLE regress_muskrat_relay;
SELECT same_history FROM muskrat.relay_hello();
SELECT muskrat.lease_take(0, 0, 'relay');
SELECT muskrat.doze(1, pg_backend_pid());
SELECT op, body FROM muskrat.outbox_1;
SELECT muskrat.cursor_save(1, pg_current_snapshot(), NULL, NULL, '{}');
SELECT switched, freed FROM muskrat.segments_tend(1, 1, '0');
SELECT switched, freed FROM muskrat.segments_tend(1, 1, '0');
SELECT muskrat.lease_beat(1);
SELECT count(*) > 5 AS items FROM muskrat.status();
SELECT muskrat.lease_release(1);
-- And not a step beyond it.
UPDATE muskrat.cursor SET term = 9;
INSERT INTO muskrat.outbox_1 SELECT * FROM muskrat.outbox_2;
TRUNCATE muskrat.outbox_1;
BEGIN;
LOCK TABLE muskrat.outbox_1 IN SHARE MODE;
ROLLBACK;
SELECT muskrat.segment_free(1, c) FROM muskrat.cursor AS c;
SELECT muskrat.accept_history('no');
SELECT muskrat.forget(1, '{a}', true);
SELECT muskrat.emit('Test.Row.Event', '{}');
SELECT setval('muskrat.doorbell', 1);
SELECT nextval('muskrat.outbox_id');
RESET ROLE;

SET ROLE regress_muskrat_monitor;
SELECT count(*) > 5 AS items FROM muskrat.status();
SELECT holder FROM muskrat.cursor;
SELECT body FROM muskrat.outbox_1;
SELECT muskrat.lease_take(1, 1, 'no');
RESET ROLE;

DROP ROLE regress_muskrat_app, regress_muskrat_relay, regress_muskrat_monitor;
