-- What a row of the outbox holds beside the body.
CREATE EXTENSION muskrat;
BEGIN;
SELECT muskrat.emit('Test.Row.Event', '{"n": 1}') IS NOT NULL AS wrote;
SAVEPOINT a;
SELECT muskrat.emit('Test.Row.Event', '{"n": 2}') IS NOT NULL AS wrote;
RELEASE a;
-- The xid is the top-level transaction's, under a savepoint too; ids rise by one.
SELECT id, segment, xid = pg_current_xact_id() AS top_xid, op, routing_key, body::json->>'n' AS n, headers
  FROM muskrat.outbox ORDER BY id;
-- Version 7 of RFC 9562: version and variant bits, and the milliseconds of captured_at in front.
SELECT count(DISTINCT message_id) AS ids,
       bool_and(message_id::text ~ '^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$') AS version_7,
       bool_and(abs(('x' || left(replace(message_id::text, '-', ''), 12))::bit(48)::bigint
                    - trunc(extract(epoch FROM captured_at) * 1000)) <= 1) AS dated,
       bool_and(captured_at BETWEEN now() AND clock_timestamp()) AS now
  FROM muskrat.outbox;
COMMIT;

-- A rolled back event's id is not used again.
BEGIN;
SELECT muskrat.emit('Test.Row.Event', '{"n": 3}') IS NOT NULL AS wrote;
ROLLBACK;
SELECT muskrat.emit('Test.Row.Event', '{"n": 4}') IS NOT NULL AS wrote;
SELECT id, body::json->>'n' AS n FROM muskrat.outbox ORDER BY id;

-- The session's trace context goes along, and a malformed one does not.
BEGIN;
SET LOCAL muskrat.traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
SELECT muskrat.emit('Test.Row.Event', '{"n": 5}') IS NOT NULL AS wrote;
SET LOCAL muskrat.traceparent = '00-00000000000000000000000000000000-00f067aa0ba902b7-01';
SELECT muskrat.emit('Test.Row.Event', '{"n": 6}') IS NOT NULL AS wrote;
SET LOCAL muskrat.traceparent = 'ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
SELECT muskrat.emit('Test.Row.Event', '{"n": 7}') IS NOT NULL AS wrote;
COMMIT;
SELECT muskrat.emit('Test.Row.Event', '{"n": 8}') IS NOT NULL AS wrote;
SELECT body::json->>'n' AS n, headers FROM muskrat.outbox WHERE id > 4 ORDER BY id;

-- Large bodies are stored out of line and come back whole.
SELECT muskrat.emit('Test.Row.Event', json_build_object('n', string_agg(md5(i::text), '')))
       IS NOT NULL AS wrote FROM generate_series(1, 3000) AS i;
SELECT length(body::json->>'n') AS length, md5(body::json->>'n') = (SELECT md5(string_agg(md5(i::text), '')) FROM generate_series(1, 3000) AS i) AS whole
  FROM muskrat.outbox ORDER BY id DESC LIMIT 1;

-- The application's lastval() is its own.
CREATE TABLE numbered (id serial PRIMARY KEY);
INSERT INTO numbered DEFAULT VALUES;
SELECT muskrat.emit('Test.Row.Event', '{"n": 9}') IS NOT NULL AS wrote;
SELECT lastval();

-- Where nothing can be written, it is said.
BEGIN READ ONLY;
SELECT muskrat.emit('Test.Row.Event', '{"n": 10}');
ROLLBACK;
