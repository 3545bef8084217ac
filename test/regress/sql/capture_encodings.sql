-- Bodies are valid JSON in UTF-8 whatever the server's encoding: \u escapes where it is another, base64 where bytes are no text.
\set SHOW_CONTEXT never
CREATE DATABASE muskrat_latin1 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0;
\c muskrat_latin1
\i prelude.sql
SET client_encoding = 'UTF8';
CREATE TABLE t ("größe" text PRIMARY KEY, j json, jb jsonb, b bytea);
SELECT muskrat.attach('t', 'T.T', '*');
INSERT INTO t VALUES ('Löwe "ä" \ ÿ', '{"ä" : "ö\u00fc \\\" x" }', '{"ä": ["ö"]}', '\xff');
SELECT muskrat.emit('T.T.Said', '{"wörd" :  1}', 'schlüssel');
SELECT * FROM events();
\c postgres
DROP DATABASE muskrat_latin1;

-- WIN1252 has bytes that mean nothing
CREATE DATABASE muskrat_win1252 ENCODING 'WIN1252' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0;
\c muskrat_win1252
\i prelude.sql
CREATE TABLE t (id int PRIMARY KEY, t text);
SELECT muskrat.attach('t', 'T.T', '*');
INSERT INTO t VALUES (1, 'price: ' || chr(128)), (2, 'odd: ' || chr(129));
SET client_encoding = 'UTF8';
SELECT * FROM events();
\c postgres
DROP DATABASE muskrat_win1252;

CREATE DATABASE muskrat_sql_ascii ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0;
\c muskrat_sql_ascii
\i prelude.sql
CREATE TABLE t (k text PRIMARY KEY, v varchar, j json, x text[]);
SELECT muskrat.attach('t', 'T.T', '*');
INSERT INTO t VALUES ('plain', 'Löwe 東京', '{"a": "ö"}', '{ö}');
INSERT INTO t VALUES (E'bad \xff', E'\xc3', NULL, ARRAY[E'\xed\xa0\x80', 'good']);
INSERT INTO t VALUES ('json', NULL, (E'{"a": "\xff"}')::json, NULL);
SELECT * FROM events();
\c postgres
DROP DATABASE muskrat_sql_ascii;
