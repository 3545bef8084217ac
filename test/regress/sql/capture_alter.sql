-- ALTER TABLE in the middle of a session: plans follow; what is gone is named, never silently null.
\i prelude.sql
CREATE TABLE customer (id int PRIMARY KEY, email text, phone text, volume int);
SELECT muskrat.attach('customer', 'Frontend.Customer', '["id", "email", {"contact": ["phone"]}, {"plan": ["volume"]}]', on_truncate => NULL);
PREPARE add (int) AS INSERT INTO customer (id, email) VALUES ($1, 'a');
EXECUTE add(1);
ALTER TABLE customer ADD COLUMN first_of_all text DEFAULT 'x';
ALTER TABLE customer ALTER COLUMN volume TYPE text;
EXECUTE add(2);
UPDATE customer SET volume = 'big' WHERE id = 1;
SELECT * FROM events();
-- gone: named in the event, and once in a warning
ALTER TABLE customer DROP COLUMN phone;
EXECUTE add(3);
EXECUTE add(4);
ALTER TABLE customer RENAME COLUMN volume TO size;
EXECUTE add(5);
SELECT * FROM events();
SELECT problem FROM muskrat.attached;
ALTER TABLE customer RENAME COLUMN size TO volume;
ALTER TABLE customer ADD COLUMN phone int;
EXECUTE add(6);
SELECT * FROM events();
SELECT problem FROM muskrat.attached;

-- within a transaction, and back
BEGIN;
ALTER TABLE customer RENAME COLUMN email TO mail;
INSERT INTO customer (id, mail) VALUES (7, 'b');
ROLLBACK;
EXECUTE add(8);
SELECT * FROM events();

-- the key: by default whatever is the primary key now
ALTER TABLE customer DROP CONSTRAINT customer_pkey;
EXECUTE add(9);
SELECT problem FROM muskrat.attached;
UPDATE customer SET email = id;
ALTER TABLE customer ADD PRIMARY KEY (email, id);
EXECUTE add(10);
SELECT ordering_key FROM events();
SELECT muskrat.attach('customer', 'Frontend.Customer', '["id"]', key => '{id}', replace => true, on_truncate => NULL);
ALTER TABLE customer DROP COLUMN id CASCADE;
INSERT INTO customer (email) VALUES ('c');
SELECT problem FROM muskrat.attached;
SELECT muskrat.detach('customer');
INSERT INTO customer (email) VALUES ('d');

-- a key that becomes deferrable: two rows could hold it at a time
CREATE TABLE later (id int PRIMARY KEY, other int UNIQUE);
SELECT muskrat.attach('later', 'Frontend.Later', '*', on_truncate => NULL);
INSERT INTO later VALUES (1, 1), (2, 2);
ALTER TABLE later DROP CONSTRAINT later_pkey, ADD PRIMARY KEY (id) DEFERRABLE;
UPDATE later SET id = id + 1;
SELECT problem FROM muskrat.attached;
SELECT muskrat.attach('later', 'Frontend.Later', '*', key => '{other}', on_truncate => NULL, replace => true);
UPDATE later SET id = id + 1;
ALTER TABLE later ADD UNIQUE (other, id) DEFERRABLE;
INSERT INTO later VALUES (4, 4);
SELECT problem FROM muskrat.attached;
-- beside the index that keeps it unique at once, and without that one
ALTER TABLE later ADD UNIQUE (other) DEFERRABLE INITIALLY DEFERRED;
INSERT INTO later VALUES (5, 5);
SELECT problem FROM muskrat.attached;
ALTER TABLE later DROP CONSTRAINT later_other_key;
INSERT INTO later VALUES (6, 6);
SELECT problem FROM muskrat.attached;
ALTER TABLE later DROP CONSTRAINT later_other_key1, DROP CONSTRAINT later_pkey, ADD PRIMARY KEY (id);
SELECT muskrat.attach('later', 'Frontend.Later', '*', on_truncate => NULL, replace => true);
INSERT INTO later VALUES (7, 7);
SELECT problem FROM muskrat.attached;
SELECT ordering_key, op FROM events();
DROP TABLE later;

-- one partition alone
CREATE TABLE parts (id int PRIMARY KEY, a int) PARTITION BY RANGE (id);
CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (10);
CREATE TABLE parts_high (id int PRIMARY KEY DEFERRABLE, a int);
SELECT muskrat.attach('parts', 'Frontend.Part', '*', on_truncate => NULL);
ALTER TABLE parts ATTACH PARTITION parts_high FOR VALUES FROM (10) TO (20);
INSERT INTO parts VALUES (1, 1);
INSERT INTO parts VALUES (11, 1);
SELECT problem FROM muskrat.attached;
SELECT muskrat.attach('parts', 'Frontend.Part', '*', on_truncate => NULL, replace => true);
DROP TABLE parts;
SELECT ordering_key, op FROM events();

-- a rewritten table, a renamed table, a moved one
CREATE TABLE one (id int PRIMARY KEY, a int);
SELECT muskrat.attach('one', 'Frontend.One', '*', on_truncate => NULL);
INSERT INTO one VALUES (1, 1);
ALTER TABLE one ALTER COLUMN a TYPE numeric(5, 2), ALTER COLUMN id TYPE bigint;
ALTER TABLE one RENAME TO two;
CREATE SCHEMA attic;
ALTER TABLE two SET SCHEMA attic;
UPDATE attic.two SET a = 2;
SELECT * FROM events();
SELECT relation, name FROM muskrat.attached;

-- a composite that gets another field between two rows
CREATE TYPE pair AS (x int, y int);
CREATE TABLE holder (id int PRIMARY KEY, p pair);
SELECT muskrat.attach('holder', 'Frontend.Holder', '*', on_truncate => NULL);
INSERT INTO holder VALUES (1, (1, 2));
ALTER TYPE pair ADD ATTRIBUTE z text;
ALTER TYPE pair DROP ATTRIBUTE x;
ALTER TYPE pair ALTER ATTRIBUTE y TYPE int;
INSERT INTO holder VALUES (2, (2, 'z'));
UPDATE holder SET p.z = 'now' WHERE id = 1;
SELECT body FROM events();

-- nor is a watched column that is gone
CREATE TABLE watched (id int PRIMARY KEY, a int, b int);
SELECT muskrat.attach('watched', 'Frontend.Watched', '["id", "b"]', changes_of => '{a}', on_truncate => NULL);
ALTER TABLE watched DROP COLUMN a;
SELECT name, problem FROM muskrat.attached WHERE problem IS NOT NULL;
DROP TABLE watched;

-- a disabled trigger is no secret
ALTER TABLE holder DISABLE TRIGGER USER;
INSERT INTO holder VALUES (3, NULL);
SELECT count(*) FROM events();
SELECT name, problem FROM muskrat.attached WHERE problem IS NOT NULL;
DROP TABLE holder;
DROP EXTENSION muskrat;
DROP EXTENSION muskrat CASCADE;
INSERT INTO attic.two VALUES (5);
