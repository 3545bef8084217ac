-- The relay refuses to start on a sequence whose ids would not follow the order of changes.
CREATE EXTENSION muskrat;
\set SHOW_CONTEXT never
SELECT count(*) FROM muskrat.relay_hello();
ALTER SEQUENCE muskrat.outbox_id CACHE 10;
DO $$ BEGIN PERFORM muskrat.relay_hello(); EXCEPTION WHEN SQLSTATE 'MK003' THEN RAISE NOTICE 'MK003: %', SQLERRM; END $$;
DO $$ BEGIN PERFORM muskrat.lease_take(0, 0, 'me'); EXCEPTION WHEN SQLSTATE 'MK003' THEN RAISE NOTICE 'MK003: %', SQLERRM; END $$;
ALTER SEQUENCE muskrat.outbox_id CACHE 1 INCREMENT BY 64;
DO $$ BEGIN PERFORM muskrat.relay_hello(); EXCEPTION WHEN SQLSTATE 'MK003' THEN RAISE NOTICE 'MK003: %', SQLERRM; END $$;
-- Writers are not misled by it meanwhile: they draw singly, whatever it says.
SELECT muskrat.emit('Test.Row.Event', '{"n": 1}') IS NOT NULL AS wrote FROM generate_series(1, 3);
SELECT array_agg(id ORDER BY id) FROM muskrat.outbox;
SELECT item, value, problem FROM muskrat.status() WHERE item = 'id sequence';
ALTER SEQUENCE muskrat.outbox_id INCREMENT BY 1;
SELECT item, value, problem FROM muskrat.status() WHERE item = 'id sequence';

-- Set back below an id that was used: events would look older than they are.
SELECT muskrat.lease_take(0, 0, 'me');
SELECT muskrat.cursor_save(1, last, pg_current_snapshot(), 3, '{2}') FROM muskrat.cursor;
SELECT setval('muskrat.outbox_id', 1);
DO $$ BEGIN PERFORM muskrat.relay_hello(); EXCEPTION WHEN SQLSTATE 'MK003' THEN RAISE NOTICE 'MK003: %', SQLERRM; END $$;
SELECT setval('muskrat.outbox_id', 3);
SELECT count(*) FROM muskrat.relay_hello();
-- Also where all is read, and no read is in hand.
SELECT muskrat.emit('Test.Row.Event', '{"n": 1}') IS NOT NULL AS wrote FROM generate_series(1, 4);
SELECT muskrat.cursor_save(1, pg_current_snapshot(), NULL, NULL, '{}');
SELECT setval('muskrat.outbox_id', 6);
DO $$ BEGIN PERFORM muskrat.relay_hello(); EXCEPTION WHEN SQLSTATE 'MK003' THEN RAISE NOTICE 'MK003: %', SQLERRM; END $$;
SELECT setval('muskrat.outbox_id', 7);
SELECT count(*) FROM muskrat.relay_hello();

-- nextval by a person and the writers' own drawing take from the same sequence, one after the other.
SELECT nextval('muskrat.outbox_id');
SELECT muskrat.emit('Test.Row.Event', '{"n": 2}') IS NOT NULL AS wrote;
SELECT nextval('muskrat.outbox_id');
SELECT max(id) FROM muskrat.outbox;
