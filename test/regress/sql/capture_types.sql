-- Every built-in type, written by a session with settings as unhelpful as can be. docs/event-format.md has the table.
\i prelude.sql
SET DateStyle = 'German, DMY';
SET TimeZone = 'Asia/Kolkata';
SET IntervalStyle = 'sql_standard';
SET extra_float_digits = -15;
SET bytea_output = 'escape';
SET lc_monetary = 'C';
CREATE TABLE num (id int PRIMARY KEY, b bool, s int2, i int4, l int8, r float4, d float8, n numeric, m money, o oid);
SELECT muskrat.attach('num', 'T.Num', '*', on_truncate => NULL);
INSERT INTO num VALUES
    (1, true, -32768, -2147483648, -9223372036854775808, 0.1, 0.1, 0.10, '12.34', 4294967295),
    (2, false, 32767, 2147483647, 9223372036854775807, 3.4028235e38, 1.7976931348623157e308, 12345678901234567890.123456789012345678901234567890, '-0.05', 0),
    (3, NULL, 0, 0, 9007199254740993, 1e-45, 5e-324, -1e-30, '-92233720368547758.08', 1),
    (4, NULL, 0, 0, 0, 'NaN', 'NaN', 'NaN', '0', 1),
    (5, NULL, 0, 0, 0, 'Infinity', '-Infinity', 'Infinity', '1000', 1),
    (6, NULL, 0, 0, 0, '-Infinity', 'Infinity', '-Infinity', '1', 1),
    (7, NULL, 0, 0, 0, 1e20, 1e15, 1e30, '1', 1),
    (8, NULL, 0, 0, 0, 16777216, 0.30000000000000004, '0.000', '1', 1),
    (9, NULL, NULL, NULL, NULL, -0.0, '-0', -0.0, NULL, NULL);
SELECT body FROM events();

CREATE TABLE txt (id int PRIMARY KEY, t text, v varchar(10), c char(5), n name, q "char", x xml, j json, jb jsonb, b bytea, u uuid);
SELECT muskrat.attach('txt', 'T.Txt', '*', on_truncate => NULL);
INSERT INTO txt VALUES
    (1, E'quote " backslash \\ slash / tab \t nl \n cr \r bs \b ff \f bell \a del \x7f', 'v', 'ab', 'name', 'q', '<a b="c">d</a>',
     E'{ "a" : [ 1.50 , "x y\\u00e9 \\" { " ] ,\n\t"a" : 1e400, "b": {} }', '{"b": [1.50, null, {"c": "d, : e"}], "a": 12345678901234567890.10}', '\x00ff10', '0188D3A0-0000-7000-8000-000000000001'),
    (2, E'L\u00f6we \u6771\u4eac \U0001F9AB \u2028 \u0080', '', '', '', '', NULL, '"a string"', '"a string"', '', NULL),
    (3, E'\x01\x1f', '  x ', ' x  ', 'n', '"', '', 'null', 'null', 'abc', NULL),
    (4, 'null', NULL, NULL, NULL, E'\\351', NULL, ' [ ] ', '[]', 'abcd', NULL);
SELECT body FROM events();

CREATE TABLE tim (id int PRIMARY KEY, d date, t time, tz timetz, ts timestamp, tsz timestamptz, i interval);
SELECT muskrat.attach('tim', 'T.Tim', '*', on_truncate => NULL);
SET DateStyle = 'ISO, YMD';
SET IntervalStyle = 'postgres';
INSERT INTO tim VALUES
    (1, '2026-02-28', '23:59:59.5', '10:11:12.345678+02', '2026-02-28 23:59:59.999999', '2026-02-28 23:59:59.123456+05:30', '1 year 2 mons -3 days 04:05:06.7'),
    (2, '0044-03-15 BC', '00:00', '00:00-12:30', '0044-03-15 12:00:00 BC', '0044-03-15 12:00:00+00 BC', '0'),
    (3, 'infinity', '24:00', '24:00+00', 'infinity', '-infinity', '-1 mons'),
    (4, '-infinity', '12:30:00.100', '12:00:00-07:15:30', '-infinity', 'infinity', '-00:00:00.5'),
    (5, '5874897-12-31', '00:00:00.000001', '00:00+15:59', '294276-12-31 23:59:59.999999', '294276-12-31 23:59:59.999999+00', '178000000 years 10 mons'),
    (6, '4713-01-01 BC', '01:02:03', '01:02:03+00', '4713-01-01 00:00:00 BC', '1969-12-31 23:59:59.999999+00', '-2 days +01:00:00'),
    (7, '0001-01-01', '01:02:03', '01:02:03+00', '0001-12-31 00:00:00 BC', '2000-01-01 00:00:00+00', '2562047788 hours 54.775807 sec'),
    (8, NULL, NULL, NULL, NULL, NULL, '-1 year -2 mons +3 days -04:05:06');
SET DateStyle = 'SQL, MDY';
SET IntervalStyle = 'postgres_verbose';
SELECT body FROM events();

CREATE TYPE mood AS ENUM ('sad', 'ha"ppy', 'fröhlich');
CREATE TYPE address AS (street text, "house no" int, parts text[], since date);
CREATE TYPE person AS (name text, at address, m mood);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN few AS positive[];
CREATE DOMAIN home AS address;
CREATE TABLE nest (id int PRIMARY KEY, a int[], m text[], f float8[], e mood, p person, h home, ps person[], dom positive, doms few, j jsonb[]);
SELECT muskrat.attach('nest', 'T.Nest', '*', on_truncate => NULL);
INSERT INTO nest VALUES
    (1, '{1,NULL,3}', '{{a,"b,c"},{NULL,"NULL"}}', '{0.1,NaN,-Infinity}', 'ha"ppy', ROW('n', ROW('s "x"', 5, '{p,q}', '2026-01-02'), 'sad'),
     ROW('h', NULL, NULL, 'infinity'), ARRAY[ROW('a', NULL, 'sad'), NULL, ROW(NULL, ROW(NULL, NULL, '{}', NULL), NULL)]::person[], 5, '{1,2}', ARRAY['{"a": 1}', NULL]::jsonb[]),
    (2, '{}', '[2:3][-1:0]={{a,b},{c,d}}', '{{{1},{2}},{{3},{4}}}', 'fröhlich', NULL, NULL, '{}', NULL, NULL, NULL);
SELECT body FROM events();

CREATE TABLE rng (id int PRIMARY KEY, i int4range, n numrange, ts tsrange, tz tstzrange, d daterange, m int4multirange, md datemultirange);
SELECT muskrat.attach('rng', 'T.Rng', '*', on_truncate => NULL);
SET DateStyle = 'ISO, YMD';
INSERT INTO rng VALUES
    (1, '(1,10]', '[1.50,2.50]', '(2026-01-01 00:00,2026-02-01 12:00)', '[2026-01-01 00:00+02,)', '[2026-01-01,infinity)', '{[1,3),[5,)}', '{[2026-01-01,2026-01-03)}'),
    (2, 'empty', '(,)', '[-infinity,infinity]', NULL, 'empty', '{}', NULL);
SELECT body FROM events();

SET DateStyle = 'German, DMY';
CREATE TABLE rest (id int PRIMARY KEY, bt bit(4), vb varbit, ip inet, net cidr, mac macaddr, mac8 macaddr8, tv tsvector, tq tsquery, jp jsonpath,
    p point, l line, ls lseg, bx box, pa path, po polygon, ci circle, lsn pg_lsn, x8 xid8, sn pg_snapshot, ti tid, iv int2vector, ov oidvector,
    rc regclass, rp regproc, rt regtype, rr regrole, rn regnamespace);
SELECT muskrat.attach('rest', 'T.Rest', '*', on_truncate => NULL);
SET search_path = public, pg_temp;
INSERT INTO rest VALUES (1, '1010', '1', '10.0.0.1/8', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', 'a fat cat', 'fat & cat', '$.a[*] ? (@ > 1)',
    '(0.1,0.30000000000000004)', '{1,2,3}', '[(0,0),(1,1)]', '(1,1),(0,0)', '[(0,0),(1,1)]', '((0,0),(1,1))', '<(0,0),0.1>', '16/B374D848', '18446744073709551615', '10:20:10,14,15', '(0,1)',
    '1 2', '1 2', 'rest', 'now', 'mood', 'pg_monitor', 'public');
SELECT body FROM events();
RESET ALL;

-- ranges and domains of one's own
CREATE TYPE wrapped AS RANGE (subtype = float8, subtype_diff = float8mi);
CREATE TABLE ext (id int PRIMARY KEY, w wrapped, s information_schema.sql_identifier);
SELECT muskrat.attach('ext', 'T.Ext', '*', on_truncate => NULL);
INSERT INTO ext VALUES (1, '[0.1,0.30000000000000004)', 'ident');
SELECT body FROM events();

-- each body is JSON, whatever went in
INSERT INTO txt SELECT 100 + c, chr(c), 'x' FROM generate_series(1, 300) AS c;
SELECT count(*), count(*) FILTER (WHERE (body::json ->> 't') = chr((body::json ->> 'id')::int - 100)) AS same FROM events();
