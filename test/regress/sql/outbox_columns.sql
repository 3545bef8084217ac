-- An older or newer table than the library expects: rows are built by name, against the table's own descriptor.
CREATE EXTENSION muskrat;
ALTER TABLE muskrat.outbox_1 ADD COLUMN of_a_later_version int;
SELECT muskrat.emit('Test.Row.Event', '{"n": 1}') IS NOT NULL AS wrote;
ALTER TABLE muskrat.outbox_1 DROP COLUMN of_a_later_version;
SELECT muskrat.emit('Test.Row.Event', '{"n": 2}') IS NOT NULL AS wrote;
SELECT id, body::json->>'n' AS n FROM muskrat.outbox_1 ORDER BY id;

-- A further index is kept up to date in the same session; what cannot be is refused, and nothing goes uncaptured.
CREATE INDEX further ON muskrat.outbox_1 (id, routing_key);
SELECT muskrat.emit('Test.Row.Event', '{"n": 3}') IS NOT NULL AS wrote;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT body FROM muskrat.outbox_1 WHERE id = 3;
SELECT body::json->>'n' AS n FROM muskrat.outbox_1 WHERE id = 3;
RESET enable_seqscan;
RESET enable_bitmapscan;
DROP INDEX muskrat.further;
CREATE INDEX further ON muskrat.outbox_1 (id) WHERE op = 'e';
SELECT muskrat.emit('Test.Row.Event', '{"n": 4}');
DROP INDEX muskrat.further;

-- A table that lacks what every version has.
ALTER TABLE muskrat.outbox_1 RENAME COLUMN body TO corpus;
SELECT muskrat.emit('Test.Row.Event', '{"n": 5}');
ALTER TABLE muskrat.outbox_1 RENAME COLUMN corpus TO body;
SELECT muskrat.emit('Test.Row.Event', '{"n": 6}') IS NOT NULL AS wrote;

-- The cell may be dropped and made anew under a session; a value that is none is refused.
SELECT setval('muskrat.current_segment', 3);
SELECT muskrat.emit('Test.Row.Event', '{"n": 7}') IS NOT NULL AS wrote;
SELECT segment, body::json->>'n' AS n FROM muskrat.outbox ORDER BY id;
ALTER SEQUENCE muskrat.current_segment MAXVALUE 9;
SELECT setval('muskrat.current_segment', 9);
SELECT muskrat.emit('Test.Row.Event', '{"n": 8}');
