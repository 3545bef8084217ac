-- The relay's small read: what is new since a snapshot, in order of id, bounded in rows and bytes.
CREATE EXTENSION muskrat;
\set SHOW_CONTEXT never
\set VERBOSITY terse
CREATE TEMP TABLE seen (at pg_snapshot);
CREATE FUNCTION pg_temp.read_new(most bigint, most_bytes bigint) RETURNS TABLE (n bigint, bytes int, same_id boolean, body text, headers text, ordering_key text)
    LANGUAGE sql AS $$
    SELECT row_number() OVER (), r.bytes, r.event_id = r.id, r.body, r.headers, r.ordering_key
      FROM seen, muskrat.read_new(pg_snapshot_xmax(at), ARRAY(SELECT pg_snapshot_xip(at)), most, most_bytes, 0, 0) AS r
    $$;

-- Nothing: one row, which says the snapshot.
INSERT INTO seen SELECT pg_current_snapshot();
SELECT pg_snapshot_xmax(snapshot::pg_snapshot) >= pg_snapshot_xmax(at) AS later, replicated, segment, place, id, bytes, commit_flushed, event_id, captured_at, message_id, op, routing_key, ordering_key, body, headers
  FROM seen, muskrat.read_new(pg_snapshot_xmax(at), '{}', 10, 1000, 0, 0);

-- Whole events, each with the place of its row.
SELECT muskrat.emit('Test.Row.Event', '{"n":1}', 'one') IS NOT NULL AS emitted;
SELECT muskrat.emit('Test.Row.Event', '{"n":22}') IS NOT NULL AS emitted;
SELECT muskrat.emit('Test.Row.Event', '{"n":333}') IS NOT NULL AS emitted;
SELECT r.segment, r.flushed IS NOT NULL AND r.commit_flushed IS NOT NULL AS told, r.bytes, r.op, r.routing_key, r.ordering_key, r.body, r.headers,
       (r.captured_at, r.message_id, r.id, r.place) = (o.captured_at, o.message_id, o.id, o.ctid) AS same
  FROM seen, muskrat.read_new(pg_snapshot_xmax(at), '{}', 10, 1000, 0, 0) AS r LEFT JOIN muskrat.outbox_1 AS o ON o.id = r.event_id;

-- The first ids, and bodies as far as the bytes go.
SELECT * FROM pg_temp.read_new(2, 1000);
SELECT * FROM pg_temp.read_new(10, 15);
SELECT * FROM pg_temp.read_new(10, 0);

-- Not what was seen before; of what was in progress then, what is named.
UPDATE seen SET at = pg_current_snapshot();
SELECT count(id) FROM seen, muskrat.read_new(pg_snapshot_xmax(at), '{}', 10, 1000, 0, 0);
SELECT count(id) FROM seen, muskrat.read_new(pg_snapshot_xmax(at), ARRAY(SELECT xid FROM muskrat.outbox WHERE body = '{"n":22}'), 10, 1000, 0, 0);
SELECT body FROM seen, muskrat.read_new(pg_snapshot_xmax(at), ARRAY(SELECT xid FROM muskrat.outbox ORDER BY id DESC), 10, 1000, 0, 0);

-- In all segments, and without the index.
SELECT setval('muskrat.current_segment', 3);
SELECT muskrat.emit('Test.Row.Event', '{"n":4}') IS NOT NULL AS emitted;
SELECT setval('muskrat.current_segment', 1);
SELECT muskrat.emit('Test.Row.Event', '{"n":5}') IS NOT NULL AS emitted;
SELECT body FROM seen, muskrat.read_new(pg_snapshot_xmax(at), '{}', 10, 1000, 0, 0);
BEGIN;
DROP INDEX muskrat.outbox_1_xid;
SELECT body FROM seen, muskrat.read_new(pg_snapshot_xmax(at), '{}', 10, 1000, 0, 0);
ROLLBACK;

-- A large body is stored apart.
SELECT muskrat.emit('Test.Row.Event', to_json(repeat('x', 100000))) IS NOT NULL AS emitted;
SELECT bytes, length(body), octet_length(body) FROM seen, muskrat.read_new(pg_snapshot_xmax(at), '{}', 10, 1000000, 0, 0) OFFSET 2;

-- What cannot be asked.
SELECT * FROM muskrat.read_new('3', '{}', 0, 1000, 0, 0);
SELECT * FROM muskrat.read_new('3', '{}', 1000001, 1000, 0, 0);
SELECT * FROM muskrat.read_new('3', '{}', 10, 1000, -1, 0);
SELECT * FROM muskrat.read_new('3', '{}', 10, 1000, 10001, 0);
SELECT * FROM muskrat.read_new('3', '{}', 10, 1000, 0, -1);
SELECT * FROM muskrat.read_new('3', '{}', 10, 1000, 0, 10001);
SELECT count(*) FROM muskrat.read_new(NULL, '{}', 10, 1000, 0, 0);
BEGIN;
ALTER TABLE muskrat.outbox_2 RENAME COLUMN body TO content;
SELECT * FROM muskrat.read_new('3', '{}', 10, 1000, 0, 0);
ROLLBACK;

-- It waits no longer than it may, and says then that there is nothing.
UPDATE seen SET at = pg_current_snapshot();
SELECT clock_timestamp() AS began \gset
SELECT id FROM seen, muskrat.read_new(pg_snapshot_xmax(at), '{}', 10, 1000, 120, 0);
SELECT clock_timestamp() - :'began' BETWEEN '120 ms' AND '30 s' AS waited;

-- It lets events gather before it looks.
SELECT clock_timestamp() AS began \gset
SELECT id FROM seen, muskrat.read_new(pg_snapshot_xmax(at), '{}', 10, 1000, 0, 10000);
SELECT clock_timestamp() - :'began' BETWEEN '10 ms' AND '30 s' AS gathered;
DROP EXTENSION muskrat;
