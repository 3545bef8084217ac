-- What a transaction remembers of the segment it writes to, against what the same transaction does to that segment.
CREATE EXTENSION muskrat;
\set SHOW_CONTEXT never
\set VERBOSITY terse
CREATE FUNCTION wrote(n int) RETURNS boolean LANGUAGE sql AS $$
    SELECT muskrat.emit('Test.Row.Event', json_build_object('n', n)) IS NOT NULL
$$;

-- A column and an index that come and go, by the statement and by the savepoint.
BEGIN;
SELECT wrote(1);
ALTER TABLE muskrat.outbox_1 ADD COLUMN later text;
SELECT wrote(2);
SAVEPOINT a;
CREATE INDEX further ON muskrat.outbox_1 (id);
SELECT wrote(3);
ROLLBACK TO a;
SELECT wrote(4);
CREATE INDEX further ON muskrat.outbox_1 (id);
SELECT wrote(5);
DROP INDEX muskrat.further;
SELECT wrote(6);
ALTER TABLE muskrat.outbox_1 DROP COLUMN later;
SELECT wrote(7);
COMMIT;
SELECT id, body::json->>'n' AS n FROM muskrat.outbox_1 ORDER BY id;

-- Every index holds every row: those that were written under it, and those that were there when it was made.
BEGIN;
SELECT wrote(8);
CREATE INDEX further ON muskrat.outbox_1 (routing_key, id);
SELECT wrote(9);
SAVEPOINT a;
SELECT wrote(10);
RELEASE a;
REINDEX INDEX muskrat.further;
SELECT wrote(11);
COMMIT;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT string_agg(body::json->>'n', ' ' ORDER BY id) FROM muskrat.outbox_1 WHERE routing_key = 'Test.Row.Event';
SELECT string_agg(body::json->>'n', ' ' ORDER BY id) FROM muskrat.outbox_1 WHERE xid > '0' AND muskrat.by_page(xid);
RESET enable_seqscan;
RESET enable_bitmapscan;
DROP INDEX muskrat.further;

-- A rewritten table, a truncated one, and one statement that fails half-way.
BEGIN;
SELECT wrote(12);
ALTER TABLE muskrat.outbox_1 ALTER COLUMN op SET STORAGE PLAIN, SET (fillfactor = 90);
CREATE INDEX every_row ON muskrat.outbox_1 (xid);
CLUSTER muskrat.outbox_1 USING every_row;
DROP INDEX muskrat.every_row;
SELECT wrote(13);
SAVEPOINT a;
SELECT wrote(14 / (18 - n)) FROM generate_series(14, 18) AS n;
ROLLBACK TO a;
SELECT wrote(15);
COMMIT;
SELECT string_agg(body::json->>'n', ' ' ORDER BY id) FROM muskrat.outbox;
BEGIN;
SELECT wrote(16);
TRUNCATE muskrat.outbox_1;
SELECT wrote(17);
COMMIT;
SELECT string_agg(body::json->>'n', ' ' ORDER BY id) FROM muskrat.outbox;

-- The cell moved in mid-transaction: the next event obeys, whatever the snapshot.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT wrote(18);
SELECT setval('muskrat.current_segment', 2);
SELECT wrote(19);
SAVEPOINT a;
SELECT setval('muskrat.current_segment', 3);
SELECT wrote(20);
ROLLBACK TO a;
SELECT wrote(21);
COMMIT;
SELECT segment, body::json->>'n' AS n FROM muskrat.outbox ORDER BY id;

-- The extension is dropped, and made anew, between two events of one transaction.
BEGIN;
SELECT wrote(22);
SAVEPOINT a;
DROP EXTENSION muskrat;
SELECT wrote(23);
ROLLBACK TO a;
SELECT wrote(24);
DROP EXTENSION muskrat;
CREATE EXTENSION muskrat;
SELECT wrote(25);
COMMIT;
SELECT segment, id, body::json->>'n' AS n FROM muskrat.outbox ORDER BY id;

-- From one transaction to the next: the segment of the one before is taken for the current one, looked at behind its lock, and let go
-- where it is not. Nothing but the current one stays locked, or the relay could not empty the others.
CREATE VIEW locked AS
    SELECT string_agg(relation::regclass::text, ' ' ORDER BY relation::regclass::text) AS segments FROM pg_locks
    WHERE pid = pg_backend_pid() AND mode = 'RowExclusiveLock' AND relation::regclass::text LIKE 'muskrat.%';
SELECT wrote(26);
SELECT setval('muskrat.current_segment', 2);
BEGIN; SELECT wrote(27); SELECT segments FROM locked; COMMIT;
BEGIN; SELECT wrote(28); SELECT segments FROM locked; COMMIT;
CREATE INDEX another ON muskrat.outbox_2 (captured_at);
BEGIN; SELECT wrote(29); SELECT segments FROM locked; COMMIT;
DROP INDEX muskrat.another;
TRUNCATE muskrat.outbox_1;
SELECT setval('muskrat.current_segment', 1);
BEGIN; SELECT wrote(30); SELECT segments FROM locked; COMMIT;
DROP EXTENSION muskrat CASCADE;
SELECT wrote(31);
CREATE EXTENSION muskrat;
SELECT wrote(32);
SELECT segment, body::json->>'n' AS n FROM muskrat.outbox ORDER BY id;
