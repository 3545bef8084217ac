-- Everything is checked at attach, and each refusal says what to do.
\i prelude.sql
CREATE TABLE customer (id int PRIMARY KEY, email text, volume int);
CREATE TABLE keyless (id int, name text);
CREATE TEMP TABLE passing (id int PRIMARY KEY);
CREATE UNLOGGED TABLE light (id int PRIMARY KEY);
CREATE VIEW v AS SELECT * FROM customer;
CREATE MATERIALIZED VIEW mv AS SELECT * FROM customer;
CREATE SEQUENCE seq;
CREATE FOREIGN DATA WRAPPER nothing;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing;
CREATE FOREIGN TABLE far (id int) SERVER nowhere;
-- the table
SELECT muskrat.attach('custmer', 'Frontend.Customer', '*');
SELECT muskrat.attach('nowhere.customer', 'Frontend.Customer', '*');
SELECT muskrat.attach('completely_different', 'Frontend.Customer', '*');
SELECT muskrat.attach('a.b.c.d', 'Frontend.Customer', '*');
SELECT muskrat.attach('passing', 'Frontend.Customer', '*');
SELECT muskrat.attach('light', 'Frontend.Customer', '*');
SELECT muskrat.attach('v', 'Frontend.Customer', '*');
SELECT muskrat.attach('mv', 'Frontend.Customer', '*');
SELECT muskrat.attach('seq', 'Frontend.Customer', '*');
SELECT muskrat.attach('customer_pkey', 'Frontend.Customer', '*');
SELECT muskrat.attach('far', 'Frontend.Customer', '*');
SELECT muskrat.attach('pg_class', 'Frontend.Customer', '*');
SELECT muskrat.attach('muskrat.outbox_1', 'Frontend.Customer', '*');
SELECT muskrat.attach(NULL, 'Frontend.Customer', '*');
SELECT muskrat.attach('keyless', 'Frontend.Thing', '*');
-- the key
SELECT muskrat.attach('keyless', 'Frontend.Thing', '*', key => '{ID}');
SELECT muskrat.attach('keyless', 'Frontend.Thing', '*', key => '{}');
-- the words
SELECT muskrat.attach('customer', 'Frontend', '*');
SELECT muskrat.attach('customer', 'Frontend.Customer.Signup', '*');
SELECT muskrat.attach('customer', NULL, '*');
SELECT muskrat.attach('customer', 'Front end.Customer', '*');
SELECT muskrat.attach('customer', 'Frontend.', '*');
SELECT muskrat.attach('customer', 'Frontend.Customer', '*', on_insert => 'Sign.up');
SELECT muskrat.attach('customer', 'Frontend.Customer', '*', on_delete => '');
SELECT muskrat.attach('customer', 'Frontend.' || repeat('x', 260), '*');
SELECT muskrat.attach('customer', 'Frontend.Customer', '*', on_insert => NULL, on_update => NULL, on_delete => NULL, on_truncate => NULL);
-- the columns
SELECT muskrat.attach('customer', 'Frontend.Customer');
SELECT muskrat.attach('customer', 'Frontend.Customer', '');
SELECT muskrat.attach('customer', 'Frontend.Customer', 'id, email');
SELECT muskrat.attach('customer', 'Frontend.Customer', '[]');
SELECT muskrat.attach('customer', 'Frontend.Customer', '{"id": "id"}');
SELECT muskrat.attach('customer', 'Frontend.Customer', '["id", "emial"]');
SELECT muskrat.attach('customer', 'Frontend.Customer', '["id", "completely_different"]');
SELECT muskrat.attach('customer', 'Frontend.Customer', '["id", "ctid"]');
SELECT muskrat.attach('customer', 'Frontend.Customer', '["id", {"mail": "emial"}]');
SELECT muskrat.attach('customer', 'Frontend.Customer', '["id", {"plan": ["volumes"]}]');
SELECT muskrat.attach('customer', 'Frontend.Customer', '["id", "id"]');
SELECT muskrat.attach('customer', 'Frontend.Customer', '["id", {"plan": ["volume", {"volume": "email"}]}]');
SELECT muskrat.attach('customer', 'Frontend.Customer', '["id", {"plan": []}]');
SELECT muskrat.attach('customer', 'Frontend.Customer', '["id", {"plan": 5}]');
SELECT muskrat.attach('customer', 'Frontend.Customer', '["id", 5]');
SELECT muskrat.attach('customer', 'Frontend.Customer', '["id", ["email"]]');
DO $$ BEGIN PERFORM muskrat.attach('customer', 'Frontend.Customer', repeat('[{"a":', 33) || '["id"]' || repeat('}]', 33)); EXCEPTION WHEN SQLSTATE 'MK004' THEN RAISE NOTICE '%', SQLERRM; END $$;
-- what an update must change
SELECT muskrat.attach('customer', 'Frontend.Customer', '*', changes_of => '{volum}');
-- twice the same
SELECT muskrat.attach('customer', 'Frontend.Customer', '*');
SELECT muskrat.attach('customer', 'Frontend.Customer', '*');
SELECT muskrat.attach('customer', 'Frontend.Customer', '["id"]', replace => true);
SELECT muskrat.attach('customer', 'Frontend.Customer', '["email"]', name => repeat('long ', 20));
SELECT name, columns FROM muskrat.attached ORDER BY name;
SELECT muskrat.detach('customer', 'Frontend.Custmer');
SELECT muskrat.detach('keyless');
SELECT muskrat.detach('custmer');
-- another table's object
CREATE TABLE client (id int PRIMARY KEY);
SELECT muskrat.attach('client', 'Frontend.Customer', '*');
SELECT muskrat.attach('client', 'Frontend.Customer', '*', replace => true);
SELECT muskrat.attach('client', 'Frontend.Client', '*');
SELECT muskrat.detach('client');
SELECT muskrat.detach('customer');
-- SQLSTATE MK004, also for a trigger made by hand
DO $$ BEGIN PERFORM muskrat.attach('x', 'y'); EXCEPTION WHEN SQLSTATE 'MK004' THEN RAISE NOTICE 'MK004: %', SQLERRM; END $$;
CREATE TRIGGER by_hand BEFORE INSERT ON customer FOR EACH ROW EXECUTE FUNCTION muskrat.capture();
INSERT INTO customer VALUES (1);
DROP TRIGGER by_hand ON customer;
CREATE TRIGGER by_hand AFTER INSERT ON customer FOR EACH ROW EXECUTE FUNCTION muskrat.capture();
SELECT name, object, columns, problem FROM muskrat.attached WHERE 'by_hand' = ANY (triggers);
INSERT INTO customer VALUES (1);
DROP TRIGGER by_hand ON customer;
CREATE TRIGGER by_hand AFTER INSERT ON customer FOR EACH ROW EXECUTE FUNCTION muskrat.capture('name=x', 'object=A.B', 'future=1');
SELECT name, object, columns, problem FROM muskrat.attached WHERE 'by_hand' = ANY (triggers);
INSERT INTO customer VALUES (1);
DROP TRIGGER by_hand ON customer;
CREATE TRIGGER by_hand AFTER INSERT ON customer FOR EACH STATEMENT EXECUTE FUNCTION muskrat.capture('name=x', 'object=A.B');
INSERT INTO customer VALUES (1);
DROP TRIGGER by_hand ON customer;
-- objects that are closed and not open, open and not closed, nested too deeply; names of nothing; and 32 levels, which are none of these
CREATE PROCEDURE try_by_hand(arguments text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER by_hand AFTER INSERT ON customer FOR EACH ROW EXECUTE FUNCTION muskrat.capture(%L)',
                   E'name=x\nobject=A.B\ninsert=C\n' || arguments);
    RAISE NOTICE '%', (SELECT problem FROM muskrat.attached WHERE 'by_hand' = ANY (triggers));
    INSERT INTO customer VALUES (1);
    RAISE NOTICE '%', (SELECT body FROM events());
    RAISE EXCEPTION USING ERRCODE = 'MK004', MESSAGE = 'none';
EXCEPTION WHEN SQLSTATE 'MK004' THEN
    RAISE NOTICE '%', SQLERRM;
END $$;
CALL try_by_hand('close=');
CALL try_by_hand(E'close=\nopen=a\ncolumn=id');
CALL try_by_hand(E'open=a\nclose=\nclose=');
CALL try_by_hand('open=a');
CALL try_by_hand(repeat(E'open=a\n', 33) || 'column=id' || repeat(E'\nclose=', 33));
CALL try_by_hand('member=a');
CALL try_by_hand(E'member=a\nmember=b\ncolumn=id');
CALL try_by_hand(E'member=a\nopen=b\ncolumn=id\nclose=');
CALL try_by_hand(repeat(E'open=a\n', 32) || 'column=id' || repeat(E'\nclose=', 32));
-- a role that is for other events
CALL try_by_hand(E'role=leave\ndelete=D\ncolumn=id');
CALL try_by_hand(E'role=depart\ndelete=D\ncolumn=id');
-- arguments that end without a zero byte
SELECT name, object, problem FROM muskrat.attachment(convert_to(E'name=x\nobject=A.B', 'UTF8'));
SELECT name, object, problem FROM muskrat.attachment('\x');
SELECT name, object, problem FROM muskrat.attachment('\x6e616d653dff');
