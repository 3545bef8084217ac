-- A backfill tells a row in the very bytes in which capture tells it: for every table of capture_types, each row is told by
-- a backfill, then deleted; the delete event carries the same key and body.
\set ECHO none
\o /dev/null
\i sql/capture_types.sql
\o
\set ECHO all
CREATE FUNCTION backfill(VARIADIC arguments text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    number bigint := muskrat.backfill_start(arguments[1], arguments[2]);
    result record;
BEGIN
    LOOP
        result := muskrat.backfill_step(number, 7);
        EXIT WHEN result.state = 'done';
    END LOOP;
    RETURN format('%s rows looked at, %s told', result.passed, result.events);
END $$;
SELECT count(*) FROM events() WHERE false;
SELECT relation, backfill(relation::text) FROM muskrat.attached ORDER BY relation::text COLLATE "C";
CREATE TABLE told AS SELECT * FROM events();
SET DateStyle = 'German, DMY';
SET TimeZone = 'Asia/Kolkata';
SET extra_float_digits = -15;
SET bytea_output = 'escape';
DO $$
DECLARE
    relation regclass;
BEGIN
    FOR relation IN SELECT a.relation FROM muskrat.attached AS a LOOP
        EXECUTE format('DELETE FROM %s', relation);
    END LOOP;
END $$;
CREATE TABLE gone AS SELECT * FROM events();
SELECT t.op, g.op, substring(t.routing_key FROM '.*\.') AS object, count(*) AS rows,
       count(*) FILTER (WHERE t.body = g.body AND t.routing_key = substring(g.routing_key FROM '.*\.') || 'Backfill') AS same
  FROM told AS t FULL JOIN gone AS g USING (ordering_key) GROUP BY 1, 2, 3 ORDER BY 3;
SELECT DISTINCT headers FROM told;
