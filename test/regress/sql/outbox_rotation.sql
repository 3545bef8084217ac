-- Segments are written in turn, and truncated when nothing in them is needed.
CREATE EXTENSION muskrat;
\set SHOW_CONTEXT never
SELECT muskrat.lease_take(0, 0, 'relay');
CREATE FUNCTION write_event(n int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM muskrat.emit('Test.Row.Event', json_build_object('n', n));
END $$;
CREATE PROCEDURE read_all(held bigint[] DEFAULT '{}') LANGUAGE sql
    AS $$ SELECT muskrat.cursor_save(1, pg_current_snapshot(), NULL, NULL, held) $$;
CREATE VIEW contents AS SELECT segment, array_agg(body::json->>'n' ORDER BY id) AS events FROM muskrat.outbox GROUP BY segment ORDER BY segment;
CREATE FUNCTION tend(bytes bigint, retention interval, OUT current int, OUT switched boolean, OUT freed int[], OUT waiting_for text)
    LANGUAGE sql AS $$ SELECT * FROM muskrat.segments_tend(1, bytes, retention) $$;

-- An empty segment is not left, however small the bound.
SELECT * FROM tend(0, '0');
SELECT write_event(1);
SELECT * FROM tend(1000000, '0');
SELECT * FROM tend(1, '0');
SELECT write_event(2);
SELECT * FROM contents;
-- Segment 1 has an event that was not read: it stays, however old.
SELECT * FROM tend(1000000, '0');
SELECT * FROM contents;
-- Full again: on to segment 3. Then there is nowhere to go, the current one grows, and it is said why.
SELECT * FROM tend(1, '0');
SELECT write_event(3);
SELECT * FROM tend(1, '0');
SELECT write_event(4);
SELECT * FROM contents;
SELECT item, problem FROM muskrat.status() WHERE item ~ '^segment' ORDER BY item;

-- Read, but younger than the retention: nobody is in the way.
CALL read_all();
SELECT * FROM tend(1, '1 hour');
-- Nor does a clock that was ahead when it was retired keep it for longer.
UPDATE muskrat.segments SET retired_at = clock_timestamp() + '60 days' WHERE retired_at IS NOT NULL;
SELECT * FROM tend(1, '1 hour');
SELECT bool_or(retired_at > clock_timestamp()) AS ahead FROM muskrat.segments;
-- Old enough: both are freed, and the writers go on to segment 1.
SELECT * FROM tend(1, '0');
SELECT write_event(5);
SELECT * FROM contents;
SELECT segment, first_id, retired_at IS NOT NULL AS retired FROM muskrat.segments ORDER BY segment;

-- An event that the broker would not take is kept with its segment, and pins no other.
SELECT id AS held FROM muskrat.outbox WHERE body::json->>'n' = '5' \gset
CALL read_all(ARRAY[:held]);
SELECT * FROM tend(1, '0');
SELECT write_event(6);
SELECT * FROM tend(1000000, '0');
SELECT * FROM contents;
SELECT item, problem FROM muskrat.status() WHERE item = 'segment 1';
CALL read_all();
SELECT * FROM tend(1000000, '0');
SELECT * FROM contents;

-- A crash between the switch and its commit leaves the cell switched and the rest not: the next step mends it.
BEGIN;
SELECT * FROM tend(1, '0');
ROLLBACK;
SELECT segment, retired_at IS NOT NULL AS retired FROM muskrat.segments ORDER BY segment;
SELECT write_event(7);
SELECT * FROM tend(1000000, '1 hour');
SELECT segment, retired_at IS NOT NULL AS retired FROM muskrat.segments ORDER BY segment;
SELECT * FROM contents;

-- The same where that step had freed the segment that comes next: what is in it stays, and it is retired no longer.
SELECT * FROM tend(1, '1 hour');
SELECT write_event(8);
CALL read_all();
BEGIN;
SELECT * FROM tend(1, '0');
ROLLBACK;
SELECT segment, retired_at IS NOT NULL AS retired FROM muskrat.segments ORDER BY segment;
SELECT write_event(9);
SELECT * FROM tend(1000000, '1 hour');
SELECT segment, retired_at IS NOT NULL AS retired FROM muskrat.segments ORDER BY segment;
SELECT * FROM contents;
