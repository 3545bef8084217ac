-- A segment's index has one entry for each page on which a statement's events lie; whoever reads by it finds every event,
-- whatever has become of the row that the entry points at.
CREATE EXTENSION muskrat;
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE TABLE item (id int PRIMARY KEY, v int NOT NULL DEFAULT 0);
SELECT muskrat.attach('item', 'Test.Item', columns => '"*"');
CREATE FUNCTION everything() RETURNS pg_snapshot LANGUAGE sql AS $$ SELECT pg_current_snapshot() $$;
CREATE VIEW found AS
    SELECT l.* FROM muskrat.list_new('3', '18446744073709551615', '{}', everything(), 0, 9223372036854775807, 1000000) AS l;
-- Events that one has and the other has not, or has twice, or elsewhere.
CREATE VIEW differences AS
    SELECT count(*) AS differences FROM (
        (SELECT segment, place, id, bytes FROM found
         EXCEPT ALL SELECT segment, ctid, id, octet_length(body) FROM
             (SELECT 1 AS segment, ctid, * FROM muskrat.outbox_1 UNION ALL SELECT 2, ctid, * FROM muskrat.outbox_2) AS o)
        UNION ALL
        (SELECT segment, ctid, id, octet_length(body) FROM
             (SELECT 1 AS segment, ctid, * FROM muskrat.outbox_1 UNION ALL SELECT 2, ctid, * FROM muskrat.outbox_2) AS o
         EXCEPT ALL SELECT segment, place, id, bytes FROM found)) AS d;
-- Rows that have an entry: the one plan that may use the index.
CREATE FUNCTION entries() RETURNS bigint LANGUAGE sql SET enable_seqscan = off AS
    $$ SELECT count(*) FROM muskrat.outbox_1 WHERE xid >= '3' AND muskrat.by_page(xid) $$;

INSERT INTO item SELECT n FROM generate_series(1, 2000) AS n;
SELECT count(*), entries() BETWEEN 20 AND 100 AS few_entries FROM found;
SELECT * FROM differences;

-- Several transactions on a page, savepoints that are rolled back, single rows.
INSERT INTO item VALUES (2001);
INSERT INTO item SELECT n FROM generate_series(2002, 2010) AS n;
BEGIN;
INSERT INTO item SELECT n FROM generate_series(2011, 2015) AS n;
SAVEPOINT a;
INSERT INTO item SELECT n FROM generate_series(3000, 3100) AS n;
ROLLBACK TO a;
INSERT INTO item SELECT n FROM generate_series(2016, 2040) AS n;
COMMIT;
BEGIN; INSERT INTO item SELECT n FROM generate_series(4000, 4100) AS n; ROLLBACK;
SELECT muskrat.emit('Test.Item.Hello', '1') IS NOT NULL AS emitted;
SELECT count(*) FROM found;
SELECT * FROM differences;

-- The rows with entries are deleted, and cleared away.
CREATE FUNCTION entry_rows() RETURNS SETOF tid LANGUAGE sql SET enable_seqscan = off AS
    $$ SELECT ctid FROM muskrat.outbox_1 WHERE xid >= '3' AND muskrat.by_page(xid) $$;
DELETE FROM muskrat.outbox_1 WHERE ctid IN (SELECT entry_rows()) AND id % 2 = 0;
SELECT * FROM differences;
VACUUM muskrat.outbox_1;
SELECT * FROM differences;
DELETE FROM muskrat.outbox_1 WHERE ctid IN (SELECT entry_rows()) AND id % 3 = 0;
VACUUM muskrat.outbox_1;
SELECT * FROM differences;

-- Or get another version, on their page or elsewhere.
UPDATE muskrat.outbox_1 SET headers = NULL WHERE id % 7 = 0;
VACUUM muskrat.outbox_1;
UPDATE muskrat.outbox_1 SET body = body || repeat(' ', 300) WHERE id % 5 = 0;
VACUUM muskrat.outbox_1;
SELECT * FROM differences;
DELETE FROM muskrat.outbox_1 WHERE id % 5 <> 1;
VACUUM muskrat.outbox_1;
SELECT count(*) > 200 AS many FROM found;
SELECT * FROM differences;

-- What a transaction takes back of its own, in the middle of it; what is taken back is there again.
BEGIN;
INSERT INTO item SELECT n FROM generate_series(5000, 5200) AS n;
DELETE FROM muskrat.outbox_1 WHERE ctid IN (SELECT entry_rows());
INSERT INTO item SELECT n FROM generate_series(5201, 5300) AS n;
COMMIT;
VACUUM muskrat.outbox_1;
SELECT count(*) > 150 AS many FROM found WHERE id > (SELECT max(id) - 301 FROM muskrat.outbox);
SELECT * FROM differences;
BEGIN; DELETE FROM muskrat.outbox_1; ROLLBACK;
DELETE FROM muskrat.outbox_1 WHERE id % 2 = 0;
VACUUM muskrat.outbox_1;
SELECT * FROM differences;
-- Rows that nobody captured, whatever their number; each entry is there once.
CREATE EXTENSION amcheck;
INSERT INTO muskrat.outbox_1 (id, xid, captured_at, message_id, op, routing_key, body)
    SELECT 1000000 + n, '0', now(), gen_random_uuid(), 'e', 'Test.Item.Hand', '1' FROM generate_series(1, 9) AS n;
DELETE FROM muskrat.outbox_1 WHERE id IN (1000002, 1000003);
DELETE FROM muskrat.outbox_1 WHERE id = 1000004;
UPDATE muskrat.outbox_1 SET xid = '5' WHERE id = 1000005;
SELECT bt_index_check('muskrat.outbox_1_xid');
DELETE FROM muskrat.outbox_1 WHERE id > 1000000;
-- While the index is built beside others nobody knows what has an entry.
INSERT INTO item SELECT n FROM generate_series(5301, 5330) AS n;
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'muskrat.outbox_1_xid'::regclass;
DELETE FROM muskrat.outbox_1 WHERE body = '{"id":5301,"v":0}';
UPDATE pg_index SET indisvalid = true WHERE indexrelid = 'muskrat.outbox_1_xid'::regclass;
SELECT * FROM differences;
-- In any role, with any index.
SET session_replication_role = replica;
DELETE FROM muskrat.outbox_1 WHERE ctid IN (SELECT entry_rows()) AND id % 3 = 0;
RESET session_replication_role;
VACUUM muskrat.outbox_1;
SELECT * FROM differences;
REINDEX INDEX muskrat.outbox_1_xid;
SELECT entries() = (SELECT count(*) FROM muskrat.outbox_1) AS every_row_has_one;
INSERT INTO item SELECT n FROM generate_series(6000, 6200) AS n;
SELECT * FROM differences;
DROP INDEX muskrat.outbox_1_xid;
SELECT * FROM differences;
CREATE INDEX plain ON muskrat.outbox_1 (xid);
INSERT INTO item SELECT n FROM generate_series(6201, 6400) AS n;
SELECT * FROM differences;

-- By page goes by xid alone.
CREATE INDEX two ON muskrat.outbox_1 (xid, id) WHERE muskrat.by_page(xid);
INSERT INTO item VALUES (6500);
DROP INDEX muskrat.two;
CREATE INDEX two ON muskrat.outbox_1 (ordering_key) WHERE muskrat.by_page(xid);
DELETE FROM muskrat.outbox_1 WHERE id % 2 = 0;
INSERT INTO item VALUES (6500);
DROP INDEX muskrat.two;
ALTER TABLE muskrat.outbox_1 DISABLE TRIGGER keep_found;
SELECT item, value, problem FROM muskrat.status() WHERE item = 'outbox trigger';
ALTER TABLE muskrat.outbox_1 ENABLE ALWAYS TRIGGER keep_found;
ALTER TABLE muskrat.outbox_2 ENABLE TRIGGER keep_found;
DROP TRIGGER keep_found ON muskrat.outbox_3;
SELECT item, value, problem FROM muskrat.status() WHERE item = 'outbox trigger' ORDER BY value;
ALTER TABLE muskrat.outbox_2 ENABLE ALWAYS TRIGGER keep_found;
CREATE TRIGGER keep_found AFTER UPDATE OR DELETE ON muskrat.outbox_3 FOR EACH ROW EXECUTE FUNCTION muskrat.keep_found();
ALTER TABLE muskrat.outbox_3 ENABLE ALWAYS TRIGGER keep_found;
SELECT item, value, problem FROM muskrat.status() WHERE item = 'outbox trigger';

-- Lists: so many, between ids, of those that a snapshot sees, of some transactions; how many there are.
TRUNCATE muskrat.outbox_1;
SELECT setval('muskrat.current_segment', 2) AS segment;
INSERT INTO item SELECT n FROM generate_series(7000, 7009) AS n;
CREATE TEMP TABLE at AS SELECT pg_current_snapshot() AS seen, (SELECT max(xid) FROM muskrat.outbox) AS xid, (SELECT min(id) FROM muskrat.outbox) AS first;
INSERT INTO item SELECT n FROM generate_series(7010, 7019) AS n;
SELECT array_agg(l.id - first ORDER BY l.id) FROM at, muskrat.list_new('3', '18446744073709551615', '{}', seen, first + 1, first + 8, 4) AS l GROUP BY first;
SELECT array_agg(l.id - first ORDER BY l.id) FROM at, muskrat.list_new('3', '18446744073709551615', '{}', pg_current_snapshot(), first + 7, first + 13, 100) AS l GROUP BY first;
SELECT array_agg(l.id - first ORDER BY l.id) FROM at, muskrat.list_new('3', '3', ARRAY[xid], pg_current_snapshot(), 0, 9223372036854775807, 3) AS l GROUP BY first;
SELECT count(*) FROM at, muskrat.list_new(xid, xid, '{}', pg_current_snapshot(), 0, 9223372036854775807, 3);
SELECT r.lowest - first AS lowest, r.highest - first AS highest, r.events FROM at, muskrat.range_new('3', '18446744073709551615', seen, first + 4) AS r;
SELECT r.* FROM at, muskrat.range_new('3', xid, seen, 1) AS r;
SELECT u.events, u.oldest IS NOT NULL AS old FROM at, muskrat.unread(2, xid, '{}', 100, '3:3:', 0) AS u;
SELECT u.events FROM at, muskrat.unread(2, '18446744073709551615', ARRAY[xid], 7, '3:3:', 0) AS u;
SELECT u.events FROM at, muskrat.unread(2, xid, '{}', 100, seen, first + 3) AS u;
SELECT u.events FROM at, muskrat.unread(2, xid, '{}', 100, pg_current_snapshot(), first + 13) AS u;
SELECT u.* FROM at, muskrat.unread(1, '3', ARRAY[xid], 7, '3:3:', 0) AS u;
-- What cannot be asked.
SELECT * FROM muskrat.list_new('3', '9', '{}', pg_current_snapshot(), 0, 1, 0);
SELECT * FROM muskrat.list_new('3', '9', '{}', pg_current_snapshot(), 0, 1, 10000001);
SELECT * FROM muskrat.unread(4, '3', '{}', 1, '3:3:', 0);
SELECT muskrat.keep_found();
DROP EXTENSION muskrat CASCADE;
