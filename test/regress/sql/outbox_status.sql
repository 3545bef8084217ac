-- muskrat.status(): what a person wants to know first, and what to do.
CREATE EXTENSION muskrat;
CREATE VIEW said AS SELECT item, value, problem FROM muskrat.status()
 WHERE item NOT IN ('version', 'epoch') AND item !~ '^segment';
SELECT * FROM said;
SELECT muskrat.emit('Test.Row.Event', '{"n": 1}') FROM generate_series(1, 3);
SELECT muskrat.lease_take(0, 0, 'here:1');
SELECT item, CASE WHEN item IN ('cursor saved', 'oldest waiting') THEN regexp_replace(value, '\d+ s', 'N s') ELSE value END AS value, problem
  FROM said;
SELECT item, value ~ 'being written' AS current, problem FROM muskrat.status() WHERE item ~ '^segment' ORDER BY 1;

-- A read that is half confirmed; a relay that was killed.
UPDATE muskrat.cursor SET current = pg_current_snapshot(), current_id = 2, beat_at = now() - interval '10 minutes';
SELECT item, value, regexp_replace(problem, '\d+ s', 'N s') AS problem FROM said WHERE item IN ('relay', 'events waiting');
SELECT events, relay FROM muskrat.backfill_pressure(10);
SELECT muskrat.lease_beat(1);
SELECT item, value, problem FROM said WHERE item = 'relay';
SELECT events, relay FROM muskrat.backfill_pressure(10);
UPDATE muskrat.cursor SET current = NULL, current_id = NULL;

-- Long waits, held events, a disabled trigger, another history.
UPDATE muskrat.outbox_1 SET captured_at = now() - interval '1 hour' WHERE id = 1;
UPDATE muskrat.cursor SET held = '{2,3}', timeline = 9;
CREATE TABLE watched (id int PRIMARY KEY);
SELECT muskrat.attach('watched', 'Test.Watched', columns => '["id"]') IS NOT NULL AS attached;
ALTER TABLE watched DISABLE TRIGGER USER;
SELECT item, problem FROM muskrat.status() WHERE problem IS NOT NULL AND item <> 'capture trigger';
SELECT count(*) > 0 AS found, min(problem) FROM muskrat.status() WHERE item = 'capture trigger';

-- Who has written and stays open for more than a minute pins a segment: here a prepared transaction, which seems older than it is.
BEGIN;
SELECT muskrat.emit('Test.Row.Event', '{"n": 4}') IS NOT NULL AS told;
PREPARE TRANSACTION 'forgotten';
SELECT count(*) FROM muskrat.status() WHERE item = 'open writer';
ALTER FUNCTION muskrat.segment_locks(int) RENAME TO segment_locks_as_they_are;
CREATE FUNCTION muskrat.segment_locks(segment int)
    RETURNS TABLE (mode text, pid int, prepared_gid text, session text, open_seconds bigint) LANGUAGE sql
    AS $$ SELECT mode, pid, prepared_gid, session, open_seconds + 61 FROM muskrat.segment_locks_as_they_are(segment) $$;
SELECT item, value, regexp_replace(problem, '\d+ s ago', 'N s ago') AS problem FROM muskrat.status() WHERE item = 'open writer';
ROLLBACK PREPARED 'forgotten';
SELECT count(*) FROM muskrat.status() WHERE item = 'open writer';
