-- Which rows a backfill tells, as what, and to whom. test/isolation/specs/backfill_*.spec have it beside other transactions.
\i prelude.sql
CREATE FUNCTION backfill(relation text, attachment text DEFAULT NULL, endpoint text DEFAULT NULL, condition text DEFAULT NULL, most int DEFAULT 2)
    RETURNS TABLE (step int, state text, passed bigint, events bigint, later bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    number bigint := muskrat.backfill_start(relation, attachment, endpoint, condition);
BEGIN
    step := 0;
    LOOP
        step := step + 1;
        SELECT s.state, s.passed, s.events, s.later INTO state, passed, events, later FROM muskrat.backfill_step(number, most) AS s;
        RETURN NEXT;
        EXIT WHEN state <> 'running' OR step > 50;
    END LOOP;
END $$;
CREATE TABLE customer (id int PRIMARY KEY, email text, plan text);
INSERT INTO customer VALUES (1, 'a@x', 'free'), (2, 'b@x', 'pro'), (3, 'c@x', NULL), (5, 'e@x', 'pro'), (8, 'h@x', 'free');
SELECT muskrat.attach('customer', 'Frontend.Customer', '["id", "email", {"subscription": ["plan"]}]', on_insert => 'Signup');
SELECT * FROM events();
-- all, in chunks, each in one event
SELECT * FROM backfill('customer');
SELECT * FROM events();
-- what is inserted behind the end is told by its trigger, not twice
SELECT muskrat.backfill_start('customer') AS number \gset
SELECT * FROM muskrat.backfill_step(:number, 2);
INSERT INTO customer VALUES (4, 'd@x', 'new'), (100, 'z@x', 'new');
SELECT * FROM muskrat.backfill_step(:number, 2);
SELECT * FROM muskrat.backfill_step(:number, 4);
SELECT * FROM muskrat.backfill_step(:number, 4);
SELECT op, ordering_key, body FROM events();
DELETE FROM customer WHERE id IN (4, 100);
-- some rows, to one endpoint
SELECT * FROM backfill('customer', endpoint => 'analytics', condition => $$plan = 'pro' -- who pay$$, most => 10);
SELECT ordering_key, headers FROM events() WHERE op = 'b';
-- an empty table; one whose rows are all elsewhere
CREATE TABLE nothing (id int PRIMARY KEY);
SELECT muskrat.attach('nothing', 'Frontend.Nothing', '*');
SELECT * FROM backfill('nothing');
-- the condition of an attachment, and several attachments: each tells its own body
SELECT muskrat.attach('customer', 'Frontend.Customer', '["id", "plan"]', name => 'plans', on_insert => NULL, on_update => 'PlanChange', on_delete => NULL,
                      on_truncate => NULL, condition => $$plan <> 'free'$$);
SELECT * FROM backfill('customer', most => 10);
SELECT routing_key, body, headers FROM events();
SELECT * FROM backfill('customer', 'plans', most => 10);
SELECT routing_key, body, headers FROM events();
-- one that tells nothing of what is there
SELECT muskrat.attach('nothing', 'Frontend.Nothing', '*', on_insert => NULL, on_update => NULL, name => 'ends');
SELECT muskrat.backfill_start('nothing', 'ends');
-- keys of several columns and of all sorts, in the order of their types
CREATE DOMAIN code AS varchar(10);
CREATE TYPE size AS ENUM ('small', 'large');
CREATE TABLE mixed (s size, c char(4), d code, t timestamptz, f float8, b bytea, n numeric, w text, PRIMARY KEY (s, c, d, t, f, b, n));
INSERT INTO mixed
SELECT s, c, d, t, f, b, n, 'x' FROM unnest('{small,large}'::size[]) AS s, unnest('{a,"b b"}'::text[]) AS c, unnest('{"q\"","{,}"}'::text[]) AS d,
       unnest('{2026-01-01 00:00+00,infinity}'::timestamptz[]) AS t, unnest('{0.1,0.30000000000000004,NaN}'::float8[]) AS f,
       unnest('{"\\\\x00ff","\\\\x"}'::bytea[]) AS b, unnest('{1.0,1e30}'::numeric[]) AS n;
SELECT muskrat.attach('mixed', 'Frontend.Mixed', '*');
SET DateStyle = 'German, DMY';
SET TimeZone = 'Asia/Kolkata';
SET extra_float_digits = -15;
SELECT max(step), max(passed), max(events) FROM backfill('mixed', most => 7);
RESET ALL;
SELECT count(*), count(DISTINCT ordering_key) FROM events() WHERE op = 'b';
-- partitions: each from its own start to its own end; what is in none of them yet
CREATE TABLE log (id int, at int, note text, PRIMARY KEY (at, id)) PARTITION BY RANGE (at);
CREATE TABLE log_2 PARTITION OF log FOR VALUES FROM (10) TO (20) PARTITION BY LIST (id);
CREATE TABLE log_2a PARTITION OF log_2 FOR VALUES IN (1, 2);
CREATE TABLE log_2b (note text, id int NOT NULL, at int NOT NULL);
ALTER TABLE log_2 ATTACH PARTITION log_2b DEFAULT;
CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM (0) TO (10);
CREATE TABLE log_3 PARTITION OF log FOR VALUES FROM (20) TO (30);
INSERT INTO log VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 3, 'c'), (1, 11, 'd'), (9, 12, 'e');
SELECT muskrat.attach('log', 'Frontend.Log', '*', condition => $$note <> 'b'$$);
SELECT * FROM backfill('log', condition => 'log.at > 1');
SELECT body FROM events() WHERE op = 'b' ORDER BY 1;
-- the newest version is told, and the session that changes it meanwhile tells it again
BEGIN;
UPDATE customer SET email = 'new@x' WHERE id = 1;
SELECT * FROM backfill('customer', 'Frontend.Customer', most => 10);
COMMIT;
SELECT op, body FROM events() WHERE ordering_key LIKE '%[1]';
-- unique index in the place of a primary key; a table without either
CREATE TABLE by_index (a int NOT NULL, b int NOT NULL, c int);
CREATE UNIQUE INDEX partial ON by_index (c) WHERE c > 0;
SELECT muskrat.attach('by_index', 'Frontend.Index', '*', key => '{a}');
SELECT muskrat.backfill_start('by_index');
CREATE UNIQUE INDEX whole ON by_index (b DESC);
INSERT INTO by_index SELECT n, n, n FROM generate_series(1, 5) AS n;
SELECT * FROM backfill('by_index');
SELECT count(*) FILTER (WHERE op = 'b') FROM events();
-- walked by what may change without a word
CREATE TABLE by_mail (id int NOT NULL, name text, email text NOT NULL UNIQUE);
SELECT muskrat.attach('by_mail', 'Frontend.Mail', '["id", "name"]', key => '{id}');
SELECT muskrat.backfill_cancel(muskrat.backfill_start('by_mail'));
SELECT problem FROM muskrat.backfill_plan('by_mail');
SELECT muskrat.attach('by_mail', 'Frontend.Mail', '["id", "email"]', key => '{id}', replace => true);
SELECT muskrat.backfill_cancel(muskrat.backfill_start('by_mail'));
SELECT muskrat.attach('by_mail', 'Frontend.Mail', '["id", "email"]', key => '{id}', changes_of => '{name}', replace => true);
SELECT problem FROM muskrat.backfill_plan('by_mail');
SELECT muskrat.attach('by_mail', 'Frontend.Mail', '["id", "name"]', key => '{email}', replace => true);
SELECT problem FROM muskrat.backfill_plan('by_mail');
-- a partition that goes, a key that changes, a table that goes, an attachment that goes
SELECT muskrat.backfill_start('log') AS number \gset
SELECT state, passed FROM muskrat.backfill_step(:number, 1);
DROP TABLE log_2a, log_2b;
SELECT state FROM muskrat.backfill_step(:number, 10);
SELECT state FROM muskrat.backfill_step(:number, 10);
INSERT INTO log VALUES (5, 5, 'g'), (6, 6, 'h'), (7, 21, 'i');
SELECT muskrat.backfill_start('log') AS number \gset
SELECT state, passed FROM muskrat.backfill_step(:number, 1);
ALTER TABLE log DETACH PARTITION log_1;
SELECT state FROM muskrat.backfill_step(:number, 10);
SELECT state FROM muskrat.backfill_step(:number, 10);
SELECT state, passed FROM muskrat.backfill_step(:number, 10);
SELECT muskrat.backfill_start('customer', 'plans') AS number \gset
SELECT state, passed FROM muskrat.backfill_step(:number, 2);
ALTER TABLE customer DROP CONSTRAINT customer_pkey, ADD PRIMARY KEY (email);
SELECT muskrat.backfill_step(:number, 2);
ALTER TABLE customer DROP CONSTRAINT customer_pkey, ADD PRIMARY KEY (id);
SELECT muskrat.detach('customer', 'plans');
SELECT muskrat.backfill_step(:number, 2);
DROP TABLE customer;
SELECT muskrat.backfill_step(:number, 2);
SELECT muskrat.backfill_cancel(:number);
SELECT muskrat.backfill_cancel(:number);
SELECT state FROM muskrat.backfill_step(:number, 2);
-- what cannot be
SELECT muskrat.backfill_start('nowhere');
SELECT muskrat.backfill_start('mixed', 'Frontend.Mixd');
CREATE TABLE plain (id int PRIMARY KEY);
SELECT muskrat.backfill_start('plain');
SELECT muskrat.backfill_start('plain', 'x');
SELECT muskrat.backfill_start('mixed', endpoint => repeat('x', 65));
SELECT muskrat.backfill_start('mixed', endpoint => 'a.b');
SELECT muskrat.backfill_start('mixed', condition => 'w =');
SELECT muskrat.backfill_start('mixed', condition => 'ww = 1');
SELECT muskrat.backfill_start('mixed', condition => 'w');
SELECT muskrat.backfill_start('mixed', condition => 'tableoid = 1');
SELECT muskrat.backfill_start('mixed', condition => 'w > $1');
SELECT muskrat.backfill_start('mixed', condition => 'count(*) > 1');
SELECT muskrat.backfill_start('mixed', condition => 'nowhere.f(w)');
SELECT muskrat.backfill_step(999);
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT muskrat.backfill_step(1);
ROLLBACK;
-- the plan
ANALYZE mixed;
SELECT table_name, attachment_name, object, words, table_rows, row_bytes BETWEEN 50 AND 500 AS bytes, tables, conditional, problem FROM muskrat.backfill_plan('mixed');
SELECT table_name, attachment_name, words, tables, conditional FROM muskrat.backfill_plan('log', NULL, 'id > 0');
SELECT * FROM muskrat.backfill_plan('mixed', NULL, 'nonsense');
SELECT id, table_name, attachments, endpoint, state, passed, events, later, conditional FROM muskrat.backfills() ORDER BY id;
