-- Triggers that write the row again before ours fires. The last word about a row must be true.
\i prelude.sql
-- 1: an insert whose row another trigger, firing first, writes again
CREATE TABLE orders (id int PRIMARY KEY, total int);
CREATE FUNCTION set_total() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE orders SET total = 10 WHERE id = NEW.id; RETURN NULL; END $$;
CREATE TRIGGER a_nest AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION set_total();
SELECT muskrat.attach('orders', 'Frontend.Order', '*');
INSERT INTO orders VALUES (1, 0);
SELECT op, ordering_key, body FROM events();
TABLE orders;

-- 2: two rows of one statement, each one's trigger writing the other
CREATE TABLE pair (id int PRIMARY KEY, total int);
CREATE FUNCTION touch_other() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF pg_trigger_depth() = 1 THEN
        UPDATE pair SET total = total + 1 WHERE id <> NEW.id;
    END IF;
    RETURN NULL;
END $$;
INSERT INTO pair VALUES (1, -1), (2, -1);
CREATE TRIGGER a_nest AFTER UPDATE ON pair FOR EACH ROW EXECUTE FUNCTION touch_other();
SELECT muskrat.attach('pair', 'Frontend.Pair', '*');
UPDATE pair SET total = 0;
SELECT op, ordering_key, body FROM events();
SELECT * FROM pair ORDER BY id;
-- the same with a trigger that fires after ours
ALTER TRIGGER a_nest ON pair RENAME TO zzz_nest;
UPDATE pair SET total = 0;
SELECT op, ordering_key, body FROM events();
SELECT * FROM pair ORDER BY id;

-- 3: the row is deleted again: its insert is void
CREATE TABLE fleeting (id int PRIMARY KEY, total int);
CREATE FUNCTION delete_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM fleeting WHERE id = NEW.id; RETURN NULL; END $$;
CREATE TRIGGER a_nest AFTER INSERT OR UPDATE ON fleeting FOR EACH ROW EXECUTE FUNCTION delete_it();
SELECT muskrat.attach('fleeting', 'Frontend.Fleeting', '*');
SELECT last_value, is_called FROM muskrat.capture_dropped;
INSERT INTO fleeting VALUES (1, 0);
SELECT op, ordering_key, body FROM events();
SELECT last_value, is_called FROM muskrat.capture_dropped;
-- counting it is not what the application's lastval() speaks of
CREATE SEQUENCE own_numbers START 500;
SELECT nextval('own_numbers');
INSERT INTO fleeting VALUES (2, 0);
SELECT lastval();
SELECT op, ordering_key, body FROM events();

-- 4: the row is put back again: its delete is void
CREATE TABLE undying (id int PRIMARY KEY, total int);
INSERT INTO undying VALUES (1, 0), (2, 0);
CREATE FUNCTION put_back() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF OLD.id = 1 THEN INSERT INTO undying VALUES (OLD.id, OLD.total + 1); END IF; RETURN NULL; END $$;
CREATE TRIGGER a_nest AFTER DELETE ON undying FOR EACH ROW EXECUTE FUNCTION put_back();
SELECT muskrat.attach('undying', 'Frontend.Undying', '*');
DELETE FROM undying;
SELECT op, ordering_key, body FROM events();
TABLE undying;

-- 5: the key of a row is changed, and the old key taken by another row
CREATE TABLE moved (id int PRIMARY KEY, name text);
INSERT INTO moved VALUES (1, 'one');
CREATE FUNCTION take_old_key() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO moved VALUES (OLD.id, 'new one'); RETURN NULL; END $$;
CREATE TRIGGER a_nest AFTER UPDATE OF id ON moved FOR EACH ROW EXECUTE FUNCTION take_old_key();
SELECT muskrat.attach('moved', 'Frontend.Moved', '*');
UPDATE moved SET id = 2;
SELECT op, ordering_key, body FROM events();
SELECT * FROM moved ORDER BY id;

-- 6: conditions are asked of the newest version too
CREATE TABLE member (id int PRIMARY KEY, active boolean, note text);
CREATE FUNCTION deactivate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE member SET active = false WHERE id = NEW.id AND active; RETURN NULL; END $$;
CREATE TRIGGER a_nest AFTER INSERT ON member FOR EACH ROW EXECUTE FUNCTION deactivate();
SELECT muskrat.attach('member', 'Frontend.Member', '*', condition => 'active');
INSERT INTO member VALUES (1, true, 'x');
SELECT op, ordering_key, body FROM events();
DROP TRIGGER a_nest ON member;
CREATE FUNCTION activate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE member SET active = true WHERE id = NEW.id AND NOT active; RETURN NULL; END $$;
UPDATE member SET active = true;
SELECT count(*) FROM events();
CREATE TRIGGER a_nest AFTER UPDATE ON member FOR EACH ROW EXECUTE FUNCTION activate();
UPDATE member SET active = false;
SELECT op, ordering_key, body FROM events();
TABLE member;

-- 7: what a rolled back savepoint wrote over the row does not count
CREATE TABLE tried (id int PRIMARY KEY, total int);
CREATE FUNCTION try_it() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    BEGIN
        UPDATE tried SET total = 10 WHERE id = NEW.id;
        RAISE division_by_zero;
    EXCEPTION WHEN division_by_zero THEN NULL;
    END;
    RETURN NULL;
END $$;
CREATE TRIGGER a_nest AFTER INSERT ON tried FOR EACH ROW EXECUTE FUNCTION try_it();
SELECT muskrat.attach('tried', 'Frontend.Tried', '*');
INSERT INTO tried VALUES (1, 0);
SELECT op, ordering_key, body FROM events();

-- 8: the row written thrice, its key changed on the way
CREATE TABLE restless (id int PRIMARY KEY, total int);
CREATE FUNCTION on_and_on() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF pg_trigger_depth() = 1 THEN
        UPDATE restless SET total = total + 1 WHERE id = NEW.id;
        UPDATE restless SET id = NEW.id + 100 WHERE id = NEW.id;
        UPDATE restless SET total = total + 1 WHERE id = NEW.id + 100;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER a_nest AFTER INSERT ON restless FOR EACH ROW EXECUTE FUNCTION on_and_on();
SELECT muskrat.attach('restless', 'Frontend.Restless', '*');
INSERT INTO restless VALUES (1, 0);
SELECT op, ordering_key, body FROM events();
TABLE restless;
SELECT last_value, is_called FROM muskrat.capture_dropped;
