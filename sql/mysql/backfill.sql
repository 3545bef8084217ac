-- Backfills: rows that were there before an attachment, or before an endpoint, travel as events. `muskrat backfill` does it and
-- keeps here how far it is, in the transaction of each chunk. Run after capture.sql; running it again changes nothing.

CREATE TABLE IF NOT EXISTS muskrat.backfill (
    id            BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    started_by    VARCHAR(400) NOT NULL,             -- CURRENT_USER(); nobody else goes on with it
    table_schema  VARCHAR(64) NOT NULL,
    table_name    VARCHAR(64) NOT NULL,
    attachments   LONGTEXT NOT NULL,                 -- names, as a JSON array
    endpoint      VARCHAR(255) NULL,                 -- NULL: every endpoint whose subscriptions take the events
    row_condition LONGTEXT NULL,                     -- --where
    key_columns   LONGTEXT NOT NULL,                 -- by which the rows are walked, a JSON array
    at_key        LONGTEXT NULL,                     -- told up to here: SQL literals, a JSON array
    end_key       LONGTEXT NULL,                     -- what lies behind was inserted later, and told by its trigger
    walked        TINYINT NOT NULL DEFAULT 0,        -- all but the rows of backfill_later
    estimate      BIGINT NOT NULL,                   -- rows
    passed        BIGINT NOT NULL DEFAULT 0,         -- rows looked at
    events        BIGINT NOT NULL DEFAULT 0,         -- told
    bytes         BIGINT NOT NULL DEFAULT 0,         -- of their bodies
    state         VARCHAR(20) NOT NULL DEFAULT 'running',  -- running, done, cancelled
    started_at    DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)),
    moved_at      DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Rows whose lock somebody else held.
CREATE TABLE IF NOT EXISTS muskrat.backfill_later (
    id       BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    backfill BIGINT NOT NULL,
    row_key  LONGTEXT NOT NULL,                      -- SQL literals, a JSON array
    tries    INT NOT NULL DEFAULT 0,
    KEY backfill (backfill, tries)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
