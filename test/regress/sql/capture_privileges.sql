-- Who may do what. An application needs no privilege of Muskrat's; what it must not do, it cannot.
\i prelude.sql
CREATE ROLE muskrat_test_app;
CREATE ROLE muskrat_test_owner;
GRANT CREATE ON SCHEMA public TO muskrat_test_owner, muskrat_test_app;
SET ROLE muskrat_test_owner;
CREATE TABLE customer (id int PRIMARY KEY, email text);
GRANT INSERT, SELECT ON customer TO muskrat_test_app;
-- an owner alone may not attach: EXECUTE comes with muskrat_attach
SELECT muskrat.attach('customer', 'Frontend.Customer', '*');
SELECT muskrat.capture();
RESET ROLE;
GRANT muskrat_attach TO muskrat_test_owner;
SET ROLE muskrat_test_owner;
SELECT muskrat.attach('customer', 'Frontend.Customer', '*', condition => 'id > 0');
SELECT relation, name FROM muskrat.attached;
-- its members attach what they own
RESET ROLE;
CREATE TABLE not_theirs (id int PRIMARY KEY);
GRANT ALL ON not_theirs TO muskrat_test_owner;
SET ROLE muskrat_test_owner;
SELECT muskrat.attach('not_theirs', 'Frontend.Customer', '*');
SELECT muskrat.emit('Frontend.Customer.Signup', '{}');
SELECT count(*) FROM muskrat.outbox;
-- an application that may only insert into the table
SET ROLE muskrat_test_app;
INSERT INTO customer VALUES (1, 'a@x');
SELECT * FROM muskrat.outbox_1;
INSERT INTO muskrat.outbox_1 (id) VALUES (1);
SELECT nextval('muskrat.outbox_id');
TRUNCATE muskrat.outbox_1;
SELECT muskrat.emit('Frontend.Customer.Signup', '{}');
SELECT muskrat.attach('customer', 'Frontend.Customer', '*');
SELECT muskrat.detach('customer');
SELECT * FROM muskrat.attached;
-- it cannot forge events with a trigger on a table of its own
CREATE TABLE own (id int PRIMARY KEY);
CREATE TRIGGER forge AFTER INSERT ON own FOR EACH ROW EXECUTE FUNCTION muskrat.capture('name=x', 'object=Frontend.Customer', 'insert=Signup', 'all=');
CREATE TABLE copy (LIKE customer INCLUDING ALL);
INSERT INTO copy VALUES (9, 'forged');
RESET ROLE;
SELECT * FROM events();
-- not even one that may look into the schema
GRANT USAGE ON SCHEMA muskrat TO muskrat_test_app;
SET ROLE muskrat_test_app;
CREATE TRIGGER forge AFTER INSERT ON own FOR EACH ROW EXECUTE FUNCTION muskrat.capture('name=x', 'object=Frontend.Customer', 'insert=Signup', 'all=');
SELECT muskrat.emit('Frontend.Customer.Signup', '{}');
SELECT muskrat.attach('own', 'Frontend.Customer', '*');
SELECT count(*) FROM muskrat.outbox_1;
INSERT INTO muskrat.outbox_1 (id) VALUES (1);
TRUNCATE muskrat.outbox_1;
SELECT nextval('muskrat.outbox_id');
SELECT setval('muskrat.current_segment', 2);
UPDATE muskrat.cursor SET epoch = 0;
RESET ROLE;
-- where it should emit, it is GRANTed
GRANT USAGE ON SCHEMA muskrat TO muskrat_test_app;
GRANT EXECUTE ON FUNCTION muskrat.emit TO muskrat_test_app;
SET ROLE muskrat_test_app;
SELECT muskrat.emit('Frontend.Customer.Hello', '{}');
RESET ROLE;
SELECT * FROM events();
-- nothing of ours is for PUBLIC
SELECT p.oid::regprocedure FROM pg_proc AS p WHERE pronamespace = 'muskrat'::regnamespace AND has_function_privilege('muskrat_test_app', p.oid, 'EXECUTE');
SELECT c.oid::regclass FROM pg_class AS c WHERE relnamespace = 'muskrat'::regnamespace AND relkind IN ('r', 'v') AND has_table_privilege('muskrat_test_app', c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER');
-- what runs with more rights than its caller has a fixed search_path
SELECT p.oid::regprocedure FROM pg_proc AS p WHERE pronamespace = 'muskrat'::regnamespace AND prosecdef AND NOT coalesce(proconfig::text ~ 'search_path=pg_catalog, pg_temp', false);
-- a partition made by a member of muskrat_attach is captured; row security of the table does not hide rows from capture
SET ROLE muskrat_test_owner;
CREATE TABLE log (id int PRIMARY KEY) PARTITION BY RANGE (id);
SELECT muskrat.attach('log', 'Frontend.Log', '*');
CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM (0) TO (100);
INSERT INTO log VALUES (1);
ALTER TABLE customer ENABLE ROW LEVEL SECURITY;
CREATE POLICY writes ON customer FOR INSERT WITH CHECK (true);
SET ROLE muskrat_test_app;
INSERT INTO customer VALUES (2, 'b@x');
RESET ROLE;
SELECT * FROM events();
-- who watches may see what is attached
SET ROLE muskrat_monitor;
SELECT relation, name, problem FROM muskrat.attached();
SELECT name, condition FROM muskrat.attached ORDER BY name;
SELECT is_called FROM muskrat.capture_dropped;
SELECT muskrat.attach('customer', 'Frontend.X', '*');
RESET ROLE;
DROP OWNED BY muskrat_test_app, muskrat_test_owner;
DROP ROLE muskrat_test_app, muskrat_test_owner;
