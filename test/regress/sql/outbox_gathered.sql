-- Rows of the outbox that wait for the end of their statement: none is lost, invented, out of order or left half-way.
CREATE EXTENSION muskrat;
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE TABLE item (id int PRIMARY KEY, v int NOT NULL DEFAULT 0, pad text);
CREATE TABLE other (id int PRIMARY KEY, v int NOT NULL DEFAULT 0);
SELECT muskrat.attach('item', 'Test.Item', columns => '"*"');
SELECT muskrat.attach('other', 'Test.Other', columns => '"*"');
CREATE VIEW told AS
    SELECT id, split_part(routing_key, '.', 2) AS object, split_part(routing_key, '.', 3) AS word, (body::json->>'id')::int AS item,
           (body::json->>'v')::int AS v FROM muskrat.outbox;
CREATE VIEW summary AS SELECT count(*), count(DISTINCT id) AS ids, count(DISTINCT item) AS items, min(item), max(item) FROM told;
-- The rows as the index has them.
CREATE FUNCTION by_index() RETURNS numeric LANGUAGE sql AS
    $$ SELECT sum(u.events) FROM generate_series(1, 3) AS n, LATERAL muskrat.unread(n, '3', '{}', 1000000, '3:3:', 0) AS u $$;
CREATE FUNCTION cleared() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM item; DELETE FROM other;
    TRUNCATE muskrat.outbox_1, muskrat.outbox_2, muskrat.outbox_3;
END $$;

-- Around the number that is inserted at a time; each is there when its statement has ended, and by the index.
BEGIN;
INSERT INTO item SELECT n FROM generate_series(1, 127) AS n; SELECT * FROM summary;
INSERT INTO item SELECT n FROM generate_series(128, 255) AS n; SELECT * FROM summary;
INSERT INTO item SELECT n FROM generate_series(256, 384) AS n; SELECT * FROM summary;
INSERT INTO item VALUES (385); SELECT * FROM summary;
INSERT INTO item SELECT n FROM generate_series(386, 2000) AS n; SELECT * FROM summary;
UPDATE item SET v = v + 1 WHERE id <= 300; SELECT * FROM summary;
DELETE FROM item WHERE id > 1900; SELECT * FROM summary;
SELECT by_index();
COMMIT;
SELECT * FROM summary;
SELECT count(*) FROM (SELECT id, lag(id) OVER (ORDER BY word, item) AS before FROM told WHERE word = 'Insert') AS t WHERE id <= before;

-- Single statements draw the ids that they use, and no more.
SELECT cleared();
INSERT INTO item VALUES (1); INSERT INTO item VALUES (2); INSERT INTO item VALUES (3);
SELECT max(id) - min(id) AS apart FROM told;

-- COPY tells at its end.
SELECT cleared();
BEGIN;
COPY item (id) FROM stdin;
1
2
3
\.
SELECT * FROM summary;
COMMIT;

-- Large bodies are not gathered in memory: each is as long as it was.
SELECT cleared();
INSERT INTO item SELECT n, 0, repeat('x', n * 1000) FROM generate_series(1, 150) AS n;
SELECT count(*), sum(length(body::json->>'pad')) FROM muskrat.outbox;

-- A statement that fails half-way leaves nothing; what came before and what comes after stays.
SELECT cleared();
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.id = 90 THEN RAISE 'no'; END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER refuse AFTER INSERT ON item FOR EACH ROW EXECUTE FUNCTION refuse();
BEGIN;
INSERT INTO item SELECT n FROM generate_series(1, 10) AS n;
SAVEPOINT a;
INSERT INTO item SELECT n FROM generate_series(11, 100) AS n;
ROLLBACK TO a;
INSERT INTO item SELECT n FROM generate_series(101, 110) AS n;
COMMIT;
SELECT * FROM summary;
SELECT by_index();
DO $$
BEGIN
    FOR part IN 0..3 LOOP
        BEGIN
            INSERT INTO item SELECT n FROM generate_series(part * 50 + 1000, part * 50 + 1049) AS n;
            INSERT INTO item SELECT n FROM generate_series(80, 80 + part * 5) AS n;
            DELETE FROM item WHERE id BETWEEN 80 AND 95;
        EXCEPTION WHEN raise_exception THEN NULL;
        END;
    END LOOP;
END $$;
SELECT min(item), max(item), count(*) FROM told WHERE item >= 1000;
DROP TRIGGER refuse ON item;

-- Savepoints inside of a trigger, some of which are rolled back, between events of the statement that they belong to: each
-- row's events come in the order of its versions, and only those that happened.
SELECT cleared();
CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    BEGIN
        UPDATE other SET v = v + 1 WHERE id = NEW.id % 7;
        IF NEW.id % 3 = 0 THEN RAISE 'no'; END IF;
        PERFORM muskrat.emit('Test.Note.Made', json_build_object('id', NEW.id, 'v', 0));
    EXCEPTION WHEN raise_exception THEN NULL;
    END;
    UPDATE other SET v = v + 1 WHERE id = NEW.id % 7;
    RETURN NULL;
END $$;
INSERT INTO other SELECT n FROM generate_series(0, 6) AS n;
CREATE TRIGGER a_meddle AFTER INSERT ON item FOR EACH ROW EXECUTE FUNCTION meddle();
CREATE TRIGGER z_meddle AFTER INSERT ON item FOR EACH ROW EXECUTE FUNCTION meddle();
INSERT INTO item SELECT n FROM generate_series(1, 200) AS n;
SELECT object, word, count(*) FROM told GROUP BY 1, 2 ORDER BY 1, 2;
SELECT count(*) AS out_of_order FROM (SELECT v, lag(v) OVER (PARTITION BY item ORDER BY id) AS before FROM told WHERE object = 'Other') AS t
 WHERE v <= before;
SELECT count(*) AS wrong FROM other WHERE v <> (SELECT max(v) FROM told WHERE object = 'Other' AND item = other.id);
SELECT by_index() = (SELECT count(*) FROM told) AS indexed;
DROP TRIGGER a_meddle ON item; DROP TRIGGER z_meddle ON item;

-- A trigger that alters the segment in mid-statement: no index misses a row, no row misses a column.
SELECT cleared();
CREATE FUNCTION alter_outbox() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.id = 10 THEN CREATE INDEX further ON muskrat.outbox_1 (id); END IF;
    IF NEW.id = 20 THEN ALTER TABLE muskrat.outbox_1 ADD COLUMN later text DEFAULT 'late'; END IF;
    IF NEW.id = 30 THEN DROP INDEX muskrat.outbox_1_xid; CREATE INDEX outbox_1_xid ON muskrat.outbox_1 (xid) WHERE muskrat.by_page(xid); END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER z_alter AFTER INSERT ON item FOR EACH ROW EXECUTE FUNCTION alter_outbox();
INSERT INTO item SELECT n FROM generate_series(1, 100) AS n;
SELECT * FROM summary;
SELECT by_index();
SET enable_seqscan = off; SET enable_bitmapscan = off;
SELECT count(*) FROM muskrat.outbox_1 WHERE id > 0;
RESET enable_seqscan; RESET enable_bitmapscan;
DROP TRIGGER z_alter ON item;

-- A trigger that takes a part of the outbox away in mid-statement: the statement fails, rather than go uncaptured.
SELECT cleared();
CREATE FUNCTION hide_outbox() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.id = 10 THEN ALTER SEQUENCE muskrat.doorbell RENAME TO hidden; END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER z_hide AFTER INSERT ON item FOR EACH ROW EXECUTE FUNCTION hide_outbox();
INSERT INTO item SELECT n FROM generate_series(1, 20) AS n;
SELECT count(*) AS items, (SELECT count(*) FROM told) AS told FROM item;
DROP TRIGGER z_hide ON item;

-- Foreign keys that cascade, constraints that wait for the end, and a cursor that is closed in the middle.
SELECT cleared();
CREATE TABLE part (id int PRIMARY KEY, item int REFERENCES item ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED, v int);
SELECT muskrat.attach('part', 'Test.Part', columns => '"*"');
BEGIN;
INSERT INTO part SELECT n, n % 50, 1 FROM generate_series(1, 200) AS n;
INSERT INTO item SELECT n FROM generate_series(0, 49) AS n;
DELETE FROM item WHERE id < 10;
COMMIT;
SELECT object, word, count(*) FROM told GROUP BY 1, 2 ORDER BY 1, 2;
SELECT by_index() = (SELECT count(*) FROM told) AS indexed;

-- However many rows a statement has: what the library keeps for itself stays small, and is looked at by the last trigger of some rows.
CREATE TABLE kept (row_id int, bytes bigint);
CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO kept SELECT NEW.id, sum(total_bytes) FROM pg_backend_memory_contexts WHERE name LIKE 'muskrat%';
    RETURN NULL;
END $$;
CREATE TRIGGER zzz_look AFTER INSERT ON item FOR EACH ROW WHEN (NEW.id % 9990 = 0) EXECUTE FUNCTION look();
INSERT INTO item SELECT n, 0, repeat('x', 300) FROM generate_series(1000, 40000) AS n;
SELECT count(*), max(bytes) < 500000 AS small FROM kept;
