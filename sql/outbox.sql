-- The outbox: three append-only segments written in turn, the cells that backends read without a snapshot, and the
-- cursor, which is lease and cursor in one row. docs/outbox-protocol.md says who reads and writes what, and when.

-- Rows of one transaction carry one xid; rows of one customer's row come in commit order of id.
CREATE SEQUENCE muskrat.outbox_id AS bigint CACHE 1 INCREMENT BY 1;

CREATE TABLE muskrat.outbox_1 (
    id           bigint      NOT NULL,
    xid          xid8        NOT NULL,
    captured_at  timestamptz NOT NULL,
    message_id   uuid        NOT NULL,
    op           "char"      NOT NULL,
    routing_key  text        NOT NULL,
    ordering_key text,
    body         text        NOT NULL,
    headers      text
) USING heap WITH (toast_tuple_target = 8160, autovacuum_enabled = false, toast.autovacuum_enabled = false);

CREATE TABLE muskrat.outbox_2 (LIKE muskrat.outbox_1 INCLUDING ALL) USING heap
    WITH (toast_tuple_target = 8160, autovacuum_enabled = false, toast.autovacuum_enabled = false);
CREATE TABLE muskrat.outbox_3 (LIKE muskrat.outbox_1 INCLUDING ALL) USING heap
    WITH (toast_tuple_target = 8160, autovacuum_enabled = false, toast.autovacuum_enabled = false);

-- Where a publication is FOR ALL TABLES, rows of a table without an identity cannot be deleted: muskrat forget does.
ALTER TABLE muskrat.outbox_1 REPLICA IDENTITY FULL;
ALTER TABLE muskrat.outbox_2 REPLICA IDENTITY FULL;
ALTER TABLE muskrat.outbox_3 REPLICA IDENTITY FULL;

-- True, always. An index WHERE it need not have every row, for the planner never uses it: capture writes one entry for
-- each page on which a statement's events lie, and whoever reads by it (in C, extension/pages.hpp) looks at the whole page.
CREATE FUNCTION muskrat.by_page(xid xid8) RETURNS boolean
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'muskrat_by_page';
CREATE INDEX outbox_1_xid ON muskrat.outbox_1 (xid) WHERE muskrat.by_page(xid);
CREATE INDEX outbox_2_xid ON muskrat.outbox_2 (xid) WHERE muskrat.by_page(xid);
CREATE INDEX outbox_3_xid ON muskrat.outbox_3 (xid) WHERE muskrat.by_page(xid);

-- Where a row goes that an entry points at, the others of its page get entries of their own.
CREATE FUNCTION muskrat.keep_found() RETURNS trigger LANGUAGE C AS 'MODULE_PATHNAME', 'muskrat_keep_found';
CREATE TRIGGER keep_found AFTER UPDATE OR DELETE ON muskrat.outbox_1 FOR EACH ROW EXECUTE FUNCTION muskrat.keep_found();
CREATE TRIGGER keep_found AFTER UPDATE OR DELETE ON muskrat.outbox_2 FOR EACH ROW EXECUTE FUNCTION muskrat.keep_found();
CREATE TRIGGER keep_found AFTER UPDATE OR DELETE ON muskrat.outbox_3 FOR EACH ROW EXECUTE FUNCTION muskrat.keep_found();
ALTER TABLE muskrat.outbox_1 ENABLE ALWAYS TRIGGER keep_found;
ALTER TABLE muskrat.outbox_2 ENABLE ALWAYS TRIGGER keep_found;
ALTER TABLE muskrat.outbox_3 ENABLE ALWAYS TRIGGER keep_found;

-- For people and for replay; the relay reads the segments themselves.
CREATE VIEW muskrat.outbox AS
          SELECT 1 AS segment, * FROM muskrat.outbox_1
UNION ALL SELECT 2 AS segment, * FROM muskrat.outbox_2
UNION ALL SELECT 3 AS segment, * FROM muskrat.outbox_3;

-- Whether the commit of a transaction that is visible would outlive a crash: with synchronous_commit = off it is visible
-- first and flushed later.
CREATE FUNCTION muskrat.commit_is_flushed(committed xid8) RETURNS boolean
    LANGUAGE C VOLATILE STRICT AS 'MODULE_PATHNAME', 'muskrat_commit_is_flushed';

-- The relay's small read: what became visible since a snapshot (transactions from the first on, and the others, which
-- were in progress then), in order of id, at most so many, with bodies as far as so many bytes go. Where there is
-- nothing it waits for the next commit that wrote events, so long; one row at least, which says the new snapshot.
CREATE FUNCTION muskrat.read_new(first xid8, others xid8[], most bigint, most_bytes bigint, wait_ms int, gather_us int,
    OUT snapshot text, OUT flushed boolean, OUT replicated boolean, OUT segment int, OUT place tid, OUT id bigint,
    OUT bytes int, OUT commit_flushed boolean, OUT event_id bigint, OUT captured_at timestamptz, OUT message_id uuid,
    OUT op "char", OUT routing_key text, OUT ordering_key text, OUT body text, OUT headers text) RETURNS SETOF record
    LANGUAGE C VOLATILE STRICT ROWS 10 AS 'MODULE_PATHNAME', 'muskrat_read_new';

-- A large read's lists: where the events lie of transactions from the first on and below the last, and of the others, that
-- `seen` sees, with ids between the two: the smallest ids, at most so many, in no order.
CREATE FUNCTION muskrat.list_new(first xid8, until xid8, others xid8[], seen pg_snapshot, after bigint, before bigint, most bigint,
    OUT segment int, OUT place tid, OUT id bigint, OUT bytes int) RETURNS SETOF record
    LANGUAGE C VOLATILE STRICT ROWS 10000 AS 'MODULE_PATHNAME', 'muskrat_list_new';
-- Of such transactions the lowest and the highest id from `from_id` on, and how many there are.
CREATE FUNCTION muskrat.range_new(first xid8, until xid8, seen pg_snapshot, from_id bigint,
    OUT lowest bigint, OUT highest bigint, OUT events bigint) RETURNS record
    LANGUAGE C VOLATILE STRICT AS 'MODULE_PATHNAME', 'muskrat_range_new';
-- Events of transactions from the first on and of the others, in one segment: counted up to so many, and the oldest of these.
-- Those that `confirmed` sees are left out up to `confirmed_id`: of a read that is half confirmed.
CREATE FUNCTION muskrat.unread(segment int, first xid8, others xid8[], most bigint, confirmed pg_snapshot, confirmed_id bigint,
    OUT events bigint, OUT oldest timestamptz) RETURNS record
    LANGUAGE C STABLE STRICT AS 'MODULE_PATHNAME', 'muskrat_unread';

-- Four cells, kept as sequences: a sequence's page is read without a snapshot and set without a dead tuple.
CREATE SEQUENCE muskrat.current_segment AS integer MINVALUE 1 MAXVALUE 3 START 1;
-- Unlogged: a ring that a crash forgets costs one poll; each doze would otherwise write WAL.
CREATE UNLOGGED SEQUENCE muskrat.doorbell AS integer MINVALUE 0 START 0;
-- The lease's term, which a crash forgets: behind a pooler the relay does not see one.
CREATE UNLOGGED SEQUENCE muskrat.living_term AS bigint MINVALUE 0 START 0;
-- Where the cursor's row lies, its block above 16 bits of its offset there: see muskrat.cursor_lock().
CREATE UNLOGGED SEQUENCE muskrat.cursor_cell AS bigint MINVALUE 0 START 0;

-- What rotation knows of each segment. Not dumped: a restored database starts with empty segments.
CREATE TABLE muskrat.segments (
    segment    int PRIMARY KEY CHECK (segment BETWEEN 1 AND 3),
    first_id   bigint NOT NULL DEFAULT 0,  -- every id in it is greater
    retired_at timestamptz                 -- when writers were sent to the next one; NULL = current or empty
) WITH (fillfactor = 50);
INSERT INTO muskrat.segments (segment) VALUES (1), (2), (3);

-- No row before the first lease_take: so a dump's row finds the table empty when it is restored.
-- The low fillfactor keeps updates on their page, where they are pruned without vacuum.
CREATE TABLE muskrat.cursor (
    epoch             bigint      NOT NULL,
    term              bigint      NOT NULL,
    beat              bigint      NOT NULL,
    holder            text,
    last              pg_snapshot NOT NULL,
    current           pg_snapshot,
    current_id        bigint,
    held              bigint[]    NOT NULL DEFAULT '{}' CHECK (cardinality(held) <= 1000),
    system_identifier bigint      NOT NULL,
    timeline          int         NOT NULL,
    database_oid      oid         NOT NULL,
    saved_at          timestamptz NOT NULL,
    beat_at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    highest_id        bigint      NOT NULL DEFAULT 0,  -- of the sequence, when it was saved
    one_row           boolean     NOT NULL DEFAULT true PRIMARY KEY CHECK (one_row),
    CHECK ((current IS NULL) = (current_id IS NULL))
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0);

-- Every history epoch there was, and why it began.
CREATE TABLE muskrat.history (
    epoch             bigint      PRIMARY KEY,
    since             timestamptz NOT NULL DEFAULT now(),
    note              text,
    system_identifier bigint      NOT NULL,
    timeline          int         NOT NULL,
    resumed_after     pg_snapshot NOT NULL,  -- what the first read of this epoch started from
    resumed_current   pg_snapshot,           -- the read that was half confirmed then, up to
    resumed_id        bigint                 -- this id
);

COMMENT ON SEQUENCE muskrat.outbox_id IS 'the events'' ids; the extension draws them off its page';
COMMENT ON SEQUENCE muskrat.current_segment IS 'a cell: which segment is written to';
COMMENT ON SEQUENCE muskrat.doorbell IS 'a cell: whom a commit wakes: a session that waits in muskrat.read_new, the pid of a backend whose relay sleeps, or nobody (0)';
COMMENT ON SEQUENCE muskrat.cursor_cell IS 'a cell: where the row of muskrat.cursor lies';
COMMENT ON SEQUENCE muskrat.living_term IS 'a cell: the term of the lease that was taken since the server last crashed';
COMMENT ON VIEW muskrat.outbox IS 'the captured events, all segments; x-muskrat-seq is the id';
COMMENT ON TABLE muskrat.outbox_1 IS 'a segment of the outbox: append-only, truncated when delivered and old';
COMMENT ON TABLE muskrat.outbox_2 IS 'a segment of the outbox: append-only, truncated when delivered and old';
COMMENT ON TABLE muskrat.outbox_3 IS 'a segment of the outbox: append-only, truncated when delivered and old';
COMMENT ON TABLE muskrat.cursor IS 'one row: the relay''s lease, and what it has published';
COMMENT ON TABLE muskrat.history IS 'the history epochs, when and why each began';
COMMENT ON TABLE muskrat.segments IS 'what rotation knows of each segment';

SELECT pg_catalog.pg_extension_config_dump('muskrat.cursor', '');
SELECT pg_catalog.pg_extension_config_dump('muskrat.history', '');
SELECT pg_catalog.pg_extension_config_dump('muskrat.outbox_id', '');
