-- Erasure: the published events of the keys that are named, and of no other, leave every segment; what the relay has yet to
-- publish, or holds, stays and is counted.
CREATE EXTENSION muskrat;
\set SHOW_CONTEXT never
\set VERBOSITY terse
CREATE FUNCTION said(key text, n int) RETURNS void LANGUAGE sql AS $$
    SELECT muskrat.emit('Test.Row.Event', json_build_object('n', n), key)
$$;
CREATE FUNCTION forget(erase boolean, VARIADIC keys text[])
    RETURNS TABLE (segment int, published bigint, erased bigint, waiting bigint) LANGUAGE sql AS $$
    SELECT s, f.* FROM generate_series(1, 3) AS s, muskrat.forget(s, keys, erase) AS f
$$;

-- All of this also where every table is published.
SET client_min_messages = error;  -- wal_level
CREATE PUBLICATION everything FOR ALL TABLES;
RESET client_min_messages;

-- No relay was here: nothing is published yet.
SELECT said('1', 1);
SELECT said('10', 2);
SELECT * FROM forget(true, 'Test.Row:["1"]');

-- Published, in two segments; one event is held.
SELECT muskrat.lease_take(0, 0, 'relay') AS term \gset
SELECT setval('muskrat.current_segment', 2);
SELECT said('1', 3);
SELECT said('1', 4);
SELECT said('it''s "quoted\', 5);
SELECT said(NULL, 6);
SELECT muskrat.cursor_save(:term, pg_current_snapshot(), NULL, NULL, ARRAY[(SELECT max(id) - 2 FROM muskrat.outbox)]);
SELECT said('1', 7);
SELECT * FROM forget(false, 'Test.Row:["1"]');
SELECT count(*) FROM muskrat.outbox;
SELECT * FROM forget(true, 'Test.Row:["1"]');
SELECT segment, ordering_key, body::json->>'n' AS n FROM muskrat.outbox ORDER BY id;
-- Again: what is left is what waits.
SELECT * FROM forget(true, 'Test.Row:["1"]');

-- Neither a part of a key, nor a pattern, nor NULL is a key.
SELECT * FROM forget(true, 'Test.Row:["1', 'Test.Row:%', '', NULL) WHERE erased > 0 OR waiting > 0;
SELECT * FROM forget(true, 'Test.Row:["it''s \"quoted\\"]', 'Test.Row:["10"]');

-- A read in hand counts as nothing published, nor does a cursor that another server wrote.
SELECT said('3', 8);
SELECT muskrat.cursor_save(:term, pg_current_snapshot(), NULL, NULL, '{}');
SELECT said('3', 9);
SELECT muskrat.cursor_save(:term, last, pg_current_snapshot(), (SELECT max(id) FROM muskrat.outbox), '{}') FROM muskrat.cursor;
SELECT * FROM forget(false, 'Test.Row:["3"]') WHERE segment = 2;
UPDATE muskrat.cursor SET system_identifier = 1;
SELECT * FROM forget(true, 'Test.Row:["3"]') WHERE segment = 2;

-- A transaction that is open when the relay reads is not published, though its events are older than the cursor's end.
UPDATE muskrat.cursor SET system_identifier = muskrat.system_identifier_now(), current = NULL, current_id = NULL,
    last = format('%s:%s:%s', open, pg_snapshot_xmax(pg_current_snapshot()), open)::pg_snapshot
  FROM (SELECT max(xid) AS open FROM muskrat.outbox) AS o;
SELECT * FROM forget(true, 'Test.Row:["3"]') WHERE segment = 2;

-- No such segment.
SELECT muskrat.forget(4, '{a}', true);
SELECT muskrat.forget(NULL, '{a}', true);
