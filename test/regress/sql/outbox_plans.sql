-- No plan of anybody's query uses an index that does not have every row.
CREATE EXTENSION muskrat;
SET jit = off;
SET max_parallel_workers_per_gather = 0;
SET enable_seqscan = off;
EXPLAIN (COSTS OFF)
SELECT id FROM muskrat.outbox_1 WHERE xid >= '900'::xid8 OR xid = ANY ('{800,801}'::xid8[])
UNION ALL SELECT id FROM muskrat.outbox_2 WHERE xid >= '900'::xid8 OR xid = ANY ('{800,801}'::xid8[])
UNION ALL SELECT id FROM muskrat.outbox_3 WHERE xid >= '900'::xid8 OR xid = ANY ('{800,801}'::xid8[]);
-- Autovacuum leaves the segments alone, bodies are kept in line up to a page.
SELECT c.relname, c.reloptions, t.reloptions AS toast_options FROM pg_class AS c JOIN pg_class AS t ON t.oid = c.reltoastrelid
 WHERE c.relnamespace = 'muskrat'::regnamespace AND c.relname ~ '^outbox_\d$' ORDER BY 1;
