-- The ordering key: the primary key, or what was named; what happens when it changes.
\i prelude.sql
CREATE TABLE item (shop text, nr numeric, name text, PRIMARY KEY (shop, nr));
SELECT muskrat.attach('item', 'Frontend.Item', '["shop", "nr", "name"]', on_truncate => NULL);
INSERT INTO item VALUES ('EU', 17.00, 'a'), ('U"S', 0.50, 'b'), ('x', 1e20, 'c'), ('x', -0.0, 'd');
SELECT op, ordering_key, body FROM events();
-- 17.00 and 17 are one key: an update, not another row
UPDATE item SET nr = 17 WHERE shop = 'EU';
SELECT op, ordering_key, body FROM events();
-- the delete action under the old key, then the insert action under the new
UPDATE item SET nr = 18, name = 'A' WHERE shop = 'EU';
SELECT * FROM events();
-- a longer key becomes its hash, told apart still
INSERT INTO item VALUES (repeat('k', 1200), 1, 'long'), (repeat('k', 1200), 2, 'long');
SELECT op, ordering_key, length(body) FROM events();
SELECT 'Frontend.Item:#' || encode(sha256(convert_to(format('["%s",1]', repeat('k', 1200)), 'UTF8')), 'hex');

-- a key that is not the primary key; NULL is a value of it
CREATE TABLE line (id int PRIMARY KEY, customer int, text text);
SELECT muskrat.attach('line', 'Frontend.Line', '["id", "text"]', key => '{customer}', on_truncate => NULL);
INSERT INTO line VALUES (1, 7, 'a'), (2, 7, 'b'), (3, NULL, 'c');
UPDATE line SET customer = 8 WHERE id = 1;
UPDATE line SET text = 'B' WHERE id = 2;
UPDATE line SET id = 22 WHERE id = 2;
DELETE FROM line WHERE id = 22;
SELECT op, ordering_key, body FROM events();

-- keys that move through one statement
CREATE TABLE queue (id int PRIMARY KEY, name text);
SELECT muskrat.attach('queue', 'Frontend.Queue', '["id", "name"]', on_truncate => NULL);
INSERT INTO queue VALUES (2, 'b'), (1, 'a');
SELECT count(*) FROM events();
UPDATE queue SET id = id + 1;
SELECT op, ordering_key, body FROM events();

-- key types: no type's text depends on the session
CREATE TABLE timed (at timestamptz, day date, f float8, u uuid, PRIMARY KEY (at, day, f, u));
SELECT muskrat.attach('timed', 'Frontend.Timed', '*', on_truncate => NULL);
SET TimeZone = 'Asia/Tokyo';
SET DateStyle = 'German';
SET extra_float_digits = -15;
INSERT INTO timed VALUES ('2026-11-23 10:11:12.5+00', '2026-02-28', 0.1, '0188d3a0-0000-7000-8000-000000000001'), ('2026-11-23 10:11:12.5+00', '2026-02-28', -0.0, '0188d3a0-0000-7000-8000-000000000001');
SELECT ordering_key FROM events();
RESET ALL;

-- a deferrable key is refused, however it is named
CREATE TABLE later (id int PRIMARY KEY DEFERRABLE, other int UNIQUE DEFERRABLE INITIALLY DEFERRED, parent int);
SELECT muskrat.attach('later', 'Frontend.Later', '*');
SELECT muskrat.attach('later', 'Frontend.Later', '*', key => '{id}');
SELECT muskrat.attach('later', 'Frontend.Later', '*', key => '{other}');
SELECT muskrat.attach('later', 'Frontend.Later', '*', key => '{parent}');
