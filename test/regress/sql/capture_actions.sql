-- Action words; NULL: not captured. Several attachments of one table, each with its own words and columns.
\i prelude.sql
CREATE TABLE customer (id int PRIMARY KEY, email text, plan text, note text);
SELECT muskrat.attach('customer', 'Frontend.Customer', '["id", "email"]', on_insert => 'Signup', on_update => NULL, on_delete => NULL, on_truncate => NULL);
SELECT muskrat.attach('customer', 'Frontend.Customer', '["id", "plan"]', on_insert => NULL, on_update => 'PlanChange', on_delete => NULL, on_truncate => NULL,
                      changes_of => '{plan}', name => 'plan changes');
INSERT INTO customer VALUES (1, 'a@x', 'free', 'n');
UPDATE customer SET email = 'b@x';
UPDATE customer SET note = 'm';
UPDATE customer SET plan = 'gold';
UPDATE customer SET plan = 'gold';
SELECT * FROM events();
-- a new key, and no word for the delete nor for the insert: told as an update, if it changes what is watched
UPDATE customer SET id = 2;
UPDATE customer SET id = 3, plan = 'free';
SELECT * FROM events();
DELETE FROM customer;
TRUNCATE customer;
SELECT * FROM events();
SELECT name, on_insert, on_update, on_delete, on_truncate, columns, changes_of, triggers FROM muskrat.attached ORDER BY name;

-- TRUNCATE: one event, no ordering key; a table that is emptied through another's CASCADE says so too
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent);
SELECT muskrat.attach('child', 'Frontend.Child', '*', on_truncate => 'Emptied');
TRUNCATE parent CASCADE;
SELECT * FROM events();

-- writes by foreign keys
ALTER TABLE child DROP CONSTRAINT child_parent_fkey, ADD FOREIGN KEY (parent) REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE;
INSERT INTO parent VALUES (1);
INSERT INTO child VALUES (10, 1);
UPDATE parent SET id = 2;
DELETE FROM parent;
SELECT * FROM events();

-- COPY, ON CONFLICT, MERGE, savepoints
COPY child (id) FROM stdin;
1
2
\.
INSERT INTO child VALUES (1, NULL), (3, NULL) ON CONFLICT (id) DO NOTHING;
INSERT INTO child VALUES (1, NULL), (4, NULL) ON CONFLICT (id) DO UPDATE SET id = child.id + 100;
SELECT * FROM events();
MERGE INTO child USING (VALUES (2), (5)) AS s (id) ON child.id = s.id
    WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.id, NULL);
SELECT * FROM events();
BEGIN;
INSERT INTO child VALUES (20);
SAVEPOINT a;
INSERT INTO child VALUES (21);
ROLLBACK TO a;
INSERT INTO child VALUES (22);
COMMIT;
BEGIN;
INSERT INTO child VALUES (23);
ROLLBACK;
SELECT * FROM events();

-- replication's writes are captured where that was asked for
CREATE TABLE copied (id int PRIMARY KEY);
SELECT muskrat.attach('copied', 'Frontend.Copied', '*', always => true, on_truncate => NULL);
SET session_replication_role = replica;
INSERT INTO copied VALUES (1);
INSERT INTO child VALUES (30);
RESET session_replication_role;
SELECT * FROM events();
SELECT name, always FROM muskrat.attached WHERE relation IN ('copied'::regclass, 'child'::regclass) ORDER BY name;

SELECT muskrat.detach('customer', 'plan changes');
SELECT muskrat.detach('customer');
SELECT muskrat.detach('customer');
