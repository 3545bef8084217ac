-- Random writes under triggers that write at random: the last event of each key must be what the table says.
\i prelude.sql
CREATE TABLE played (id int PRIMARY KEY, v int, shown boolean);
CREATE FUNCTION write_something() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    a int := 1 + floor(random() * 4);
    b int := 1 + floor(random() * 4);
    dice int := floor(random() * 7);
BEGIN
    IF dice = 0 THEN
        INSERT INTO played VALUES (a, b, random() < 0.7) ON CONFLICT DO NOTHING;
    ELSIF dice = 1 THEN
        INSERT INTO played VALUES (a, b, true), (a + 1, b, true) ON CONFLICT (id) DO UPDATE SET v = played.v + 1 WHERE played.id <> a;
    ELSIF dice = 2 THEN
        UPDATE played SET v = v + 1, shown = random() < 0.7 WHERE id >= a;
    ELSIF dice = 3 THEN
        UPDATE played SET id = b WHERE id = a AND NOT EXISTS (SELECT FROM played WHERE id = b);
    ELSIF dice = 4 THEN
        DELETE FROM played WHERE id = a OR v > 20;
    ELSIF dice = 5 THEN
        BEGIN
            UPDATE played SET v = -v WHERE id = a;
            DELETE FROM played WHERE id = b;
            RAISE division_by_zero;
        EXCEPTION WHEN division_by_zero THEN NULL;
        END;
    ELSE
        WITH gone AS (DELETE FROM played WHERE id = a RETURNING v) UPDATE played SET v = v + 1 WHERE id = b;
    END IF;
END $$;
CREATE FUNCTION interfere() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF pg_trigger_depth() < 4 AND random() < 0.4 THEN
        PERFORM write_something();
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER before_ours AFTER INSERT OR UPDATE OR DELETE ON played FOR EACH ROW EXECUTE FUNCTION interfere();
CREATE TRIGGER zzz_after_ours AFTER INSERT OR UPDATE OR DELETE ON played FOR EACH ROW EXECUTE FUNCTION interfere();
SELECT muskrat.attach('played', 'T.All', '*');
SELECT muskrat.attach('played', 'T.Shown', '*', condition => 'shown');

-- What a subscriber that keeps the last word about each key has, against what is there.
CREATE FUNCTION differences(object text, only_shown boolean) RETURNS bigint LANGUAGE sql AS $$
    WITH last AS (SELECT DISTINCT ON (ordering_key) op, body::json AS body FROM muskrat.outbox_1
                   WHERE routing_key LIKE object || '.%' ORDER BY ordering_key, id DESC),
         told AS (SELECT (body ->> 'id')::int, (body ->> 'v')::int, (body ->> 'shown')::boolean FROM last WHERE op <> 'd'),
         there AS (SELECT id, v, shown FROM played WHERE shown OR NOT only_shown)
    SELECT (SELECT count(*) FROM (TABLE told EXCEPT TABLE there) AS x) + (SELECT count(*) FROM (TABLE there EXCEPT TABLE told) AS y)
$$;
CREATE TABLE found (round int, all_rows bigint, shown_rows bigint);
SELECT setseed(0.11);
DO $$
BEGIN
    FOR round IN 1..600 LOOP
        PERFORM write_something();
        INSERT INTO found VALUES (round, differences('T.All', false), differences('T.Shown', true));
    END LOOP;
END $$;
SELECT count(*), sum(all_rows) AS wrong, sum(shown_rows) AS wrong_shown FROM found;
SELECT count(*) > 1000 AS many_events, count(DISTINCT op) AS ops FROM muskrat.outbox_1;
SELECT last_value > 10 AS some_dropped FROM muskrat.capture_dropped;
