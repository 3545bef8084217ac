-- What is captured is chosen: allow-list, order, nesting, renaming; names of any kind.
\i prelude.sql
CREATE TABLE account (id int PRIMARY KEY, email text, email2 text, volume int, rate numeric, secret text);
SELECT muskrat.attach('account', 'Frontend.Account',
    '["email", {"mail": "email2"}, {"plan": ["volume", {"price": ["rate", {"per": "volume"}]}]}, "id"]');
INSERT INTO account VALUES (1, 'a@x', 'b@x', 200, 1.50, 'hush');
SELECT * FROM events();

-- what is not captured does not make an update
UPDATE account SET secret = 'hush hush';
UPDATE account SET rate = 1.50;
SELECT * FROM events();
-- 1.5 is written otherwise than 1.50, so it is a change
UPDATE account SET rate = 1.5;
UPDATE account SET email = NULL, volume = NULL;
SELECT * FROM events();

-- '*' is all columns, the ones that come later too
CREATE TABLE wide (a int PRIMARY KEY, b text);
SELECT muskrat.attach('wide', 'Frontend.Wide', '*');
INSERT INTO wide VALUES (1, 'x');
ALTER TABLE wide ADD COLUMN c int DEFAULT 7;
INSERT INTO wide VALUES (2, 'y');
UPDATE wide SET b = 'z' WHERE a = 1;
SELECT * FROM events();

-- quoted, dotted, Unicode and awkward names, in table, columns and members
CREATE SCHEMA "My Shop";
CREATE TABLE "My Shop"."Order ""A"".b" ("Id" int PRIMARY KEY, "weiß nicht" text, "a.b" text, "quote""d" text, "back\slash" text, "back\new" text, "name=x" text, "*" int);
SELECT muskrat.attach('"My Shop"."Order ""A"".b"', 'Frontend.Order', '["Id", "weiß nicht", "a.b", "quote\"d", "back\\slash", "back\\new", "name=x", "*", {"東京\n": "a.b"}]');
INSERT INTO "My Shop"."Order ""A"".b" VALUES (1, 'ä', 'b', 'c', 'd', 'n', 'e', 6);
SELECT * FROM events();
SELECT relation, columns FROM muskrat.attached WHERE name = 'Frontend.Order';
SELECT muskrat.detach('"My Shop"."Order ""A"".b"');

-- generated (stored) and identity columns, domains, dropped columns
CREATE DOMAIN percentage AS int CHECK (VALUE BETWEEN 0 AND 100);
CREATE TABLE made (gone text, id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, net numeric, share percentage, gross numeric GENERATED ALWAYS AS (net * 2) STORED);
ALTER TABLE made DROP COLUMN gone;
SELECT muskrat.attach('made', 'Frontend.Made', '*');
INSERT INTO made (net, share) VALUES (21, 5);
UPDATE made SET net = 22;
SELECT * FROM events();
