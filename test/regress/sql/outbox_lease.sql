-- The lease and the cursor: who may move it, and when the relay must refuse to guess.
CREATE EXTENSION muskrat;
\set SHOW_CONTEXT never
CREATE FUNCTION state_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END $$;

-- Before the first relay.
SELECT epoch, term, beat, holder, last, held, in_recovery, same_history, history_problem, server_encoding,
       version IS NOT NULL AS version, system_identifier_now IS NOT NULL AS system, timeline_now
  FROM muskrat.relay_hello();
SELECT muskrat.lease_take(3, 4, 'a') AS nothing_to_take;
SELECT muskrat.emit('Test.Row.Event', '{"n": 1}') IS NOT NULL AS wrote;
SELECT muskrat.lease_take(0, 0, 'a') AS first_term;
SELECT muskrat.lease_take(0, 0, 'b') AS too_late;
-- What was captured before any relay ran is to be read too.
SELECT term, beat, holder, last, abs(epoch - extract(epoch FROM now())) < 60 AS dated,
       system_identifier = system_identifier_now AS same_system, timeline = timeline_now AS same_timeline
  FROM muskrat.relay_hello();

-- Taking over: only from the (term, beat) that was seen.
SELECT muskrat.lease_beat(1);
SELECT muskrat.lease_take(1, 1, 'b') AS beat_moved;
SELECT muskrat.lease_take(1, 2, 'b') AS taken;
SELECT term, beat, holder FROM muskrat.cursor;

-- A stale term is refused by every function, and changes nothing.
SELECT f, state_of(f) FROM unnest(ARRAY[
    'SELECT muskrat.lease_beat(1)',
    'SELECT muskrat.lease_release(1)',
    'SELECT muskrat.cursor_save(1, ''9:9:'', NULL, NULL, ''{}'')',
    'SELECT muskrat.doze(1, 1)',
    'SELECT muskrat.segments_tend(1, 1, ''0'')',
    'SELECT muskrat.lease_beat(NULL)']) AS f;
SELECT term, beat, holder, last FROM muskrat.cursor;
SELECT last_value FROM muskrat.doorbell;

-- The cursor.
SELECT muskrat.cursor_save(2, '9:9:', '12:12:', 7, '{3,4}');
SELECT beat, last, current, current_id, held FROM muskrat.cursor;
SELECT f, state_of(f) FROM unnest(ARRAY[
    'SELECT muskrat.cursor_save(2, ''8:8:'', NULL, NULL, ''{}'')',
    'SELECT muskrat.cursor_save(2, ''9:9:'', NULL, 7, ''{}'')',
    'SELECT muskrat.cursor_save(2, NULL, NULL, NULL, ''{}'')',
    'SELECT muskrat.cursor_save(2, ''9:9:'', NULL, NULL, ARRAY(SELECT generate_series(1, 1001)))']) AS f;
SELECT muskrat.cursor_save(2, '9:9:', NULL, NULL, NULL);
SELECT last, current, current_id, held FROM muskrat.cursor;

-- Where the row lies is kept in a cell, which a failed transaction leaves wrong and a crash forgets: then it is looked for.
BEGIN;
SELECT muskrat.cursor_save(2, '11:11:', NULL, NULL, NULL);
ROLLBACK;
SELECT muskrat.cursor_place() = ctid AS known, last FROM muskrat.cursor;
SELECT muskrat.cursor_save(2, '9:9:', NULL, NULL, NULL);
SELECT muskrat.cursor_place() = ctid AS known, last FROM muskrat.cursor;
SELECT FROM setval('muskrat.cursor_cell', 123456789012);
SELECT muskrat.lease_beat(2);
SELECT muskrat.cursor_place() = ctid AS known FROM muskrat.cursor;

-- With an older snapshot it could not see what it must check.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT muskrat.lease_beat(2);
ROLLBACK;

-- A clean stop.
SELECT muskrat.doze(2, 12345);
SELECT muskrat.lease_release(2);
SELECT term, holder FROM muskrat.cursor;
SELECT last_value FROM muskrat.doorbell;
SELECT muskrat.lease_take(term, beat, 'c') FROM muskrat.cursor;

-- Another timeline, another server, a copy of the database: nothing goes on before somebody accepts.
CREATE FUNCTION refusals() RETURNS TABLE (f text, state text) LANGUAGE sql AS $$
    SELECT f, state_of(f) FROM unnest(ARRAY[
        'SELECT muskrat.lease_beat(term) FROM muskrat.cursor',
        'SELECT muskrat.cursor_save(term, last, NULL, NULL, held) FROM muskrat.cursor',
        'SELECT muskrat.segments_tend(term, 1, ''0'') FROM muskrat.cursor',
        'SELECT muskrat.lease_take(term, beat, ''d'') FROM muskrat.cursor']) AS f
$$;
UPDATE muskrat.cursor SET timeline = 7;
SELECT same_history, history_problem FROM muskrat.relay_hello();
SELECT * FROM refusals();
SELECT epoch AS before FROM muskrat.cursor \gset
SELECT muskrat.accept_history('promoted') > :before AS risen;
SELECT same_history, history_problem, term, holder, last FROM muskrat.relay_hello();
UPDATE muskrat.cursor SET system_identifier = 7;
SELECT same_history, regexp_replace(history_problem, '\(.*\)', '(…)') AS history_problem FROM muskrat.relay_hello();
SELECT * FROM refusals();
SELECT muskrat.accept_history('restored') > :before AS risen;
UPDATE muskrat.cursor SET database_oid = 7;
SELECT same_history, regexp_replace(history_problem, '\(.*\)', '(…)') AS history_problem FROM muskrat.relay_hello();
SELECT * FROM refusals();
SELECT muskrat.accept_history('copied') > :before AS risen;

-- `last` speaks of transactions that this server has not had yet: it cannot be of this history, so all is read again.
UPDATE muskrat.cursor SET last = '900000000000:900000000000:', current = '900000000001:900000000001:', current_id = 1,
                          held = '{1}', system_identifier = 7;
SELECT muskrat.accept_history('a dump of a busier server') > :before AS risen;
SELECT last, current, current_id, held FROM muskrat.cursor;
-- A read in hand of which this server knows nothing, though it knows `last`: what it had confirmed is told again.
UPDATE muskrat.cursor SET current = '900000000001:900000000001:', current_id = 1, held = '{1}', system_identifier = 7;
SELECT muskrat.accept_history('a dump taken in mid-read') > :before AS risen;
SELECT last, current, current_id, held FROM muskrat.cursor;
SELECT note, resumed_after, bool_and(epoch > :before OR note = 'first lease') OVER () AS rising FROM muskrat.history ORDER BY epoch;
SELECT count(DISTINCT epoch) = count(*) AS each_its_own FROM muskrat.history;
