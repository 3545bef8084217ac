-- An event larger than muskrat.max_body loses its largest columns, never its key's, and names them.
\i prelude.sql
CREATE TABLE doc (id text PRIMARY KEY, title text, body text, extra jsonb, raw bytea, numbers int[]);
SELECT muskrat.attach('doc', 'Frontend.Doc', '["id", "title", {"content": ["body", {"more": ["extra", "raw"]}]}, "numbers"]', on_truncate => NULL);
SET muskrat.max_body = '2kB';
INSERT INTO doc VALUES ('1', 'small', 'text', '{"a": 1}', '\x00', '{1}');
INSERT INTO doc VALUES ('2', 'one too large', repeat('x', 3000), '{"a": 1}', '\x00', '{1}');
INSERT INTO doc VALUES ('3', 'two too large together', repeat('x', 1200), jsonb_build_object('a', repeat('y', 1100)), '\x00', '{1}');
INSERT INTO doc VALUES ('3b', 'the second larger', repeat('x', 1100), jsonb_build_object('a', repeat('y', 1200)), '\x00', '{1}');
INSERT INTO doc VALUES ('3c', 'the last largest', repeat('x', 700), jsonb_build_object('a', repeat('y', 700)), decode(repeat('00', 700), 'hex'), '{1}');
INSERT INTO doc VALUES ('4', 'grows as JSON', repeat(E'\x01', 500), '{"a": 1}', '\x00', '{1}');
INSERT INTO doc VALUES ('5', 'grows as base64', 'text', NULL, decode(repeat('00', 1600), 'hex'), '{1}');
INSERT INTO doc VALUES ('6', 'shrinks as JSON', 'text', NULL, NULL, (SELECT array_agg(1) FROM generate_series(1, 900)));
INSERT INTO doc VALUES ('7', 'an array', 'text', NULL, NULL, (SELECT array_agg(1) FROM generate_series(1, 5000)));
INSERT INTO doc VALUES (repeat('8', 1500), repeat('t', 600), repeat('x', 3000), NULL, NULL, NULL);
SELECT op, left(ordering_key, 40) AS ordering_key, length(body) AS bytes, left(body, 130) AS body, headers FROM events();
-- an update and a delete are cut the same way
UPDATE doc SET title = 'changed' WHERE id = '2';
DELETE FROM doc WHERE id = '2';
SELECT op, body, headers FROM events();
-- the key alone is too large: fail rather than drop
INSERT INTO doc VALUES ((SELECT string_agg(md5(i::text), '') FROM generate_series(1, 80) AS i), 'x');
-- exactly the limit, and one byte more
SET muskrat.max_body = '1kB';
INSERT INTO doc VALUES ('a', NULL, repeat('x', 1024 - length('{"id":"a","title":null,"content":{"body":"","more":{"extra":null,"raw":null}},"numbers":null}')));
INSERT INTO doc VALUES ('b', NULL, repeat('x', 1025 - length('{"id":"b","title":null,"content":{"body":"","more":{"extra":null,"raw":null}},"numbers":null}')));
SELECT length(body), headers FROM events();
-- megabytes, compressed and outside the row
SET muskrat.max_body = '1MB';
ALTER TABLE doc ALTER COLUMN body SET STORAGE EXTERNAL;
INSERT INTO doc VALUES ('c', 'compressible', repeat('x', 20000000), jsonb_build_object('a', repeat('y', 5000000)), NULL, NULL);
SELECT length(body), headers FROM events();
UPDATE doc SET title = 'touched' WHERE id = 'c';
SELECT length(body), headers FROM events();
RESET muskrat.max_body;
SHOW muskrat.max_body;
DO $$ BEGIN SET muskrat.max_body = '20MB'; EXCEPTION WHEN invalid_parameter_value THEN RAISE NOTICE 'too much'; END $$;
DO $$ BEGIN SET muskrat.max_body = 0; EXCEPTION WHEN invalid_parameter_value THEN RAISE NOTICE 'too little'; END $$;
CREATE ROLE muskrat_test_nobody;
SET ROLE muskrat_test_nobody;
SET muskrat.max_body = '1MB';
SET muskrat.traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
SET muskrat.traceparent = 'anything"';
RESET ROLE;
DROP ROLE muskrat_test_nobody;
INSERT INTO doc VALUES ('d', 'traced'), ('e', repeat('t', 9000000));
SELECT length(body), headers FROM events();
