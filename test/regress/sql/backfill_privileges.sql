-- Who may backfill: the owner of the table, a member of muskrat_attach; and nobody goes on with another's.
\i prelude.sql
CREATE ROLE muskrat_test_owner;
CREATE ROLE muskrat_test_other;
GRANT CREATE ON SCHEMA public TO muskrat_test_owner, muskrat_test_other;
SET ROLE muskrat_test_owner;
CREATE TABLE customer (id int PRIMARY KEY, email text);
INSERT INTO customer VALUES (1, 'a@x'), (2, 'b@x');
SELECT muskrat.backfill_start('customer');
RESET ROLE;
GRANT muskrat_attach TO muskrat_test_owner, muskrat_test_other;
SET ROLE muskrat_test_owner;
SELECT muskrat.attach('customer', 'Frontend.Customer', '*');
SELECT muskrat.backfill_start('customer', condition => $$email <> 'secret'$$) AS number \gset
SELECT state, passed, events FROM muskrat.backfill_step(:number, 1);
SELECT table_rows > 0 AS some FROM muskrat.backfill_plan('customer');
SELECT events, relay FROM muskrat.backfill_pressure(10);
-- not of a table that is another's, by no way
SET ROLE muskrat_test_other;
SELECT muskrat.backfill_start('customer');
SELECT muskrat.backfill_plan('customer');
SELECT muskrat.backfill_row('customer'::regclass, '(0,1)', '{Frontend.Customer}', NULL);
-- nor with a backfill that is another's
SELECT muskrat.backfill_step(:number, 1);
SELECT muskrat.backfill_cancel(:number);
SELECT count(*) FROM muskrat.backfill;
UPDATE muskrat.backfill SET condition = 'true';
INSERT INTO muskrat.backfill (started_by, relation, table_name, attachments, path, estimate)
VALUES ('muskrat_test_owner', 'customer'::regclass, 'customer', '{Frontend.Customer}', '', 0);
SELECT id, table_name, state, started_by, conditional FROM muskrat.backfills();
-- a superuser sees it, but runs nobody's condition
RESET ROLE;
SELECT muskrat.backfill_step(:number, 1);
SET ROLE muskrat_monitor;
SELECT item, value, problem FROM muskrat.status() WHERE item LIKE 'backfill%';
SELECT condition FROM muskrat.backfill;
SET ROLE muskrat_test_owner;
SELECT state, passed, events FROM muskrat.backfill_step(:number, 5);
-- a partition that is another's, of a table that is one's own
CREATE TABLE log (id int PRIMARY KEY) PARTITION BY RANGE (id);
SELECT muskrat.attach('log', 'Frontend.Log', '*');
CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM (0) TO (100);
INSERT INTO log VALUES (1);
RESET ROLE;
ALTER TABLE log_1 OWNER TO muskrat_test_other;
GRANT SELECT ON log_1 TO muskrat_test_owner;
SET ROLE muskrat_test_owner;
SELECT muskrat.backfill_start('log') AS number \gset
SELECT state, events FROM muskrat.backfill_step(:number, 5);
-- row security that would hide rows
ALTER TABLE customer ENABLE ROW LEVEL SECURITY;
ALTER TABLE customer FORCE ROW LEVEL SECURITY;
SELECT muskrat.backfill_start('customer');
ALTER TABLE customer NO FORCE ROW LEVEL SECURITY;
SELECT muskrat.backfill_start('customer') IS NOT NULL AS started;
-- what has no rows of its own
CREATE VIEW customers AS SELECT * FROM customer;
SELECT muskrat.backfill_row('log'::regclass, '(0,1)', '{Frontend.Log}', NULL);
SELECT muskrat.row_as_event('log'::regclass, '(0,1)', 'Frontend.Log');
SELECT muskrat.backfill_row('customers'::regclass, '(0,1)', '{Frontend.Customer}', NULL);
SELECT muskrat.row_as_event('customers'::regclass, '(0,1)', 'Frontend.Customer');
-- places where there is no row, or none any more
CREATE TABLE few (id int PRIMARY KEY);
SELECT muskrat.attach('few', 'Frontend.Few', '*', on_delete => NULL);
INSERT INTO few VALUES (1), (2), (3);
DELETE FROM few WHERE id = 1;
VACUUM few;
DELETE FROM few WHERE id = 2;
SELECT place, b.fate, e.body
  FROM unnest('{"(0,0)","(0,1)","(0,2)","(0,3)","(0,4)","(0,200)","(0,65535)","(1,1)","(99999,1)","(4294967295,1)"}'::tid[]) AS place,
       muskrat.backfill_row('few'::regclass, place, '{Frontend.Few}', NULL) AS b,
       muskrat.row_as_event('few'::regclass, place, 'Frontend.Few') AS e;
-- the newest version is told; the caller's place stays as it is
UPDATE few SET id = 4 WHERE id = 3;
DO $$
DECLARE
    place tid := '(0,3)';
BEGIN
    PERFORM muskrat.backfill_row('few'::regclass, place, '{Frontend.Few}', NULL);
    RAISE NOTICE '%', place;
END $$;
RESET ROLE;
SELECT op, ordering_key FROM events();
DROP OWNED BY muskrat_test_owner, muskrat_test_other;
DROP ROLE muskrat_test_owner, muskrat_test_other;
