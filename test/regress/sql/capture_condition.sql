-- Only rows for which a condition holds. An update may make a row enter or leave.
\i prelude.sql
CREATE TABLE account (id int PRIMARY KEY, plan text, "Volume" int, note text);
SELECT muskrat.attach('account', 'Frontend.Account', '["id", "plan", "note"]', on_insert => 'Opened', on_update => 'Changed', on_delete => 'Closed',
                      condition => $$ plan = 'gold' AND "Volume" > 5 -- and a comment$$);
INSERT INTO account VALUES (1, 'free', 10, 'a'), (2, 'gold', 10, 'b'), (3, NULL, 10, 'c'), (4, 'gold', NULL, 'd');
SELECT * FROM events();
-- enters, stays, leaves
UPDATE account SET plan = 'gold' WHERE id = 1;
UPDATE account SET note = 'x' WHERE id = 1;
UPDATE account SET "Volume" = 6 WHERE id = 1;
UPDATE account SET "Volume" = NULL WHERE id = 1;
UPDATE account SET note = 'y' WHERE id = 1;
SELECT * FROM events();
-- with a new key: in and in, out and in, in and out
UPDATE account SET id = 22 WHERE id = 2;
UPDATE account SET id = 33, plan = 'gold' WHERE id = 3;
UPDATE account SET id = 44, plan = 'free' WHERE id = 33;
SELECT * FROM events();
DELETE FROM account WHERE id IN (44, 22);
SELECT * FROM events();
SELECT condition, triggers FROM muskrat.attached;
-- PostgreSQL follows a renamed column
ALTER TABLE account RENAME COLUMN "Volume" TO size;
INSERT INTO account VALUES (5, 'gold', 9), (6, 'gold', 1);
SELECT * FROM events();
SELECT condition FROM muskrat.attached;
ALTER TABLE account DROP COLUMN size;

-- where there is no word for an insert, what enters is told as an update; where there is none for a delete, what leaves is not
SELECT muskrat.attach('account', 'Frontend.Account', '["id", "plan"]', on_insert => NULL, on_update => 'Changed', on_delete => NULL,
                      condition => $$plan = 'gold'$$, replace => true);
TRUNCATE account;
INSERT INTO account VALUES (1, 'free');
UPDATE account SET plan = 'gold';
UPDATE account SET plan = 'free';
SELECT * FROM events();
SELECT condition, triggers FROM muskrat.attached;
SELECT muskrat.attach('account', 'Frontend.Account', '["id"]', on_insert => NULL, on_update => 'Changed', on_delete => NULL,
                      condition => $$plan = 'gold' AND (id > 1) IS NOT TRUE$$, replace => true);
SELECT condition FROM muskrat.attached;
CREATE TABLE flagged (id int PRIMARY KEY, active bool);
SELECT muskrat.attach('flagged', 'Frontend.Flagged', '*', on_insert => NULL, on_update => 'Changed', on_delete => NULL, condition => 'active');
SELECT condition FROM muskrat.attached WHERE relation = 'flagged'::regclass;
DROP TABLE flagged;

-- a condition means what it meant under the search_path of who wrote it
CREATE SCHEMA other;
CREATE FUNCTION other.is_big(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 > 5';
CREATE TABLE sized (id int PRIMARY KEY, size int, address text);
SET search_path = other, public;
SELECT muskrat.attach('sized', 'Frontend.Sized', '["id"]', condition => 'is_big(size)');
RESET search_path;
INSERT INTO sized VALUES (1, 5), (2, 6);
SELECT * FROM events();

-- the parts of an expression that are no columns stay as they are
CREATE TYPE place AS (city text, zip text);
CREATE TABLE house (id int PRIMARY KEY, at place, tags text[], at_night boolean);
SELECT muskrat.attach('house', 'Frontend.House', '["id"]', on_truncate => NULL,
    condition => $$(at).city = 'at' AND 'tags' <> ALL (tags) AND CASE WHEN at_night THEN "at_night" ELSE at IS NOT NULL END AND current_user IS NOT NULL$$);
INSERT INTO house VALUES (1, ('at', '1'), '{a}', true), (2, ('x', '1'), '{a}', true), (3, ('at', '1'), '{tags}', true);
SELECT * FROM events();

-- and what is no condition is refused
SELECT muskrat.attach('sized', 'Frontend.X', '*', condition => 'size >');
SELECT muskrat.attach('sized', 'Frontend.X', '*', condition => 'sise > 5');
SELECT muskrat.attach('sized', 'Frontend.X', '*', condition => 'sized.size > 5');
SELECT muskrat.attach('sized', 'Frontend.X', '*', condition => 'NEW.size > 5');
SELECT muskrat.attach('sized', 'Frontend.X', '*', condition => 'size');
SELECT muskrat.attach('sized', 'Frontend.X', '*', condition => 'size > 5, true');
SELECT muskrat.attach('sized', 'Frontend.X', '*', condition => 'true) EXECUTE FUNCTION other.evil(); SELECT (1');
SELECT muskrat.attach('sized', 'Frontend.X', '*', condition => 'true) FROM other (b');
SELECT muskrat.attach('sized', 'Frontend.X', '*', condition => 'size > 5) OR (size < 2');
SELECT muskrat.attach('sized', 'Frontend.X', '*', condition => 'size > (SELECT 1)');
SELECT muskrat.attach('sized', 'Frontend.X', '*', condition => 'no_such_function(size)');
SELECT muskrat.attach('sized', 'Frontend.X', '*', condition => 'address = 5');
SELECT muskrat.attach('sized', 'Frontend.X', '*', condition => '');
SELECT muskrat.attach('sized', 'Frontend.X', '*', condition => 'sum(size) > 5');
SELECT muskrat.attach('sized', 'Frontend.X', '*', condition => 'size > $1');
SELECT muskrat.attach('sized', 'Frontend.X', '*', condition => $$date 'yesterdayy' < current_date$$);
SELECT muskrat.attach('sized', 'Frontend.X', '*', condition => 'nope.f(id)');
SELECT muskrat.attach('sized', 'Frontend.X', '*', condition => 'id::point IS NOT NULL');
