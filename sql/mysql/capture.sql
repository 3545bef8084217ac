-- What generated triggers need beside the outbox: the list of attachments, the account that owns the triggers, a few
-- functions, and muskrat.emit(). Run after outbox.sql, by `muskrat install` or by hand; running it again brings it up to date.
-- Plain SQL that MariaDB 10.10 and MySQL 8.0.17 both take; docs/mysql.md is the manual.

-- Owns triggers and routines. Nobody can log in as it; what it may do is write the outbox, and read the tables that are
-- attached (`muskrat attach` grants that table by table). Its password, which nobody learns, is there for servers that
-- check passwords and take no account without.
SET @muskrat_change = CONCAT('CREATE USER IF NOT EXISTS ''muskrat_capture''@''localhost'' IDENTIFIED BY ''Mk1-', HEX(RANDOM_BYTES(20)), ''' ACCOUNT LOCK');
PREPARE muskrat_change FROM @muskrat_change;
EXECUTE muskrat_change;
DEALLOCATE PREPARE muskrat_change;
SET @muskrat_change = NULL;

-- What `muskrat attach` made. The triggers do the work; this is what they were made of.
CREATE TABLE IF NOT EXISTS muskrat.attachments (
    id            BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    table_schema  VARCHAR(64) NOT NULL,
    table_name    VARCHAR(64) NOT NULL,
    name          VARCHAR(255) NOT NULL,
    object        VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    options       LONGTEXT NOT NULL,  -- what was asked for, as JSON
    columns_seen  LONGTEXT NOT NULL,  -- the table's columns then, a line each
    triggers      TEXT NOT NULL,      -- names, as a JSON array
    attached_at   DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)),
    UNIQUE KEY one_name (table_schema, table_name, name)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- A routine is replaced with its grants kept, and without a moment in which it is not there: a write or CALL in that moment
-- would fail. MySQL has no OR REPLACE for routines: there `muskrat install` leaves alone what has not changed, which it knows
-- by a digest in the comment, and grants what was granted again. Whoever runs this by hand there does that too.
--
-- Routines keep the sql_mode they were made under. These may meet numbers at the edge of a type, which strict mode refuses.
SET sql_mode = 'NO_ENGINE_SUBSTITUTION';
DELIMITER $$

-- A DOUBLE's digits as PostgreSQL writes them: the server's are the shortest already, but its exponents have no sign and
-- begin elsewhere. `most` digits stand before the point at most (15; of a FLOAT 6).
/*!80000 DROP FUNCTION IF EXISTS muskrat.number_text */ $$
CREATE /*M! OR REPLACE */ DEFINER = 'muskrat_capture'@'localhost' FUNCTION muskrat.number_text(digits VARCHAR(400) CHARACTER SET ascii, most INT) RETURNS VARCHAR(400) CHARACTER SET ascii
    DETERMINISTIC NO SQL SQL SECURITY DEFINER
    COMMENT 'the digits of a DOUBLE as PostgreSQL writes them; `most` before the point'
BEGIN
    DECLARE sign VARCHAR(1) CHARACTER SET ascii DEFAULT IF(LEFT(digits, 1) = '-', '-', '');
    DECLARE mantissa, whole, fraction, significant VARCHAR(400) CHARACTER SET ascii;
    DECLARE exponent INT DEFAULT 0;
    SET mantissa = SUBSTRING_INDEX(SUBSTR(digits, LENGTH(sign) + 1), 'e', 1);
    IF LOCATE('e', digits) > 0 THEN
        SET exponent = CAST(SUBSTRING_INDEX(digits, 'e', -1) AS SIGNED);
    END IF;
    SET whole = SUBSTRING_INDEX(mantissa, '.', 1);
    SET fraction = IF(LOCATE('.', mantissa) > 0, SUBSTRING_INDEX(mantissa, '.', -1), '');
    -- value = 0.significant * 10^(exponent + 1)
    SET significant = TRIM(LEADING '0' FROM CONCAT(whole, fraction));
    IF significant = '' THEN
        RETURN CONCAT(sign, '0');
    END IF;
    SET exponent = exponent + LENGTH(whole) - 1 - (LENGTH(CONCAT(whole, fraction)) - LENGTH(significant));
    SET significant = TRIM(TRAILING '0' FROM significant);
    IF exponent < -4 OR exponent >= most THEN
        RETURN CONCAT(sign, LEFT(significant, 1), IF(LENGTH(significant) > 1, CONCAT('.', SUBSTR(significant, 2)), ''), 'e',
                      IF(exponent < 0, '-', '+'), LPAD(ABS(exponent), GREATEST(2, LENGTH(ABS(exponent))), '0'));
    ELSEIF exponent < 0 THEN
        RETURN CONCAT(sign, '0.', REPEAT('0', -exponent - 1), significant);
    ELSEIF LENGTH(significant) <= exponent + 1 THEN
        RETURN CONCAT(sign, RPAD(significant, exponent + 1, '0'));
    END IF;
    RETURN CONCAT(sign, LEFT(significant, exponent + 1), '.', SUBSTR(significant, exponent + 2));
END $$

-- A FLOAT's shortest digits that read back the same: the server itself shows six, which may be another number.
/*!80000 DROP FUNCTION IF EXISTS muskrat.float_text */ $$
CREATE /*M! OR REPLACE */ DEFINER = 'muskrat_capture'@'localhost' FUNCTION muskrat.float_text(value DOUBLE) RETURNS VARCHAR(400) CHARACTER SET ascii
    DETERMINISTIC NO SQL SQL SECURITY DEFINER
    COMMENT 'the shortest digits of a FLOAT that read back the same'
BEGIN
    DECLARE digits INT DEFAULT 1;
    DECLARE power INT;
    DECLARE shown VARCHAR(64) CHARACTER SET ascii;
    DECLARE again FLOAT;
    IF value = 0 THEN
        RETURN muskrat.number_text(CONCAT(value), 6);
    END IF;
    SET power = FLOOR(LOG10(ABS(value)));
    WHILE digits <= 9 DO
        SET shown = CONCAT(ROUND(value / POW(10, power), digits - 1), 'e', power);
        SET again = CAST(shown AS DOUBLE);
        -- what rounds beyond the largest FLOAT was cut down to it
        IF again + 0e0 = value AND ABS(CAST(shown AS DOUBLE)) < 3.4028235677973366e38 THEN
            RETURN muskrat.number_text(shown, 6);
        END IF;
        SET digits = digits + 1;
    END WHILE;
    RETURN muskrat.number_text(CONCAT(value), 6);
END $$

SET sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION' $$

-- The ordering key of `<Source>.<Object>` and a JSON array of values; a long one is hashed.
/*!80000 DROP FUNCTION IF EXISTS muskrat.ordering_key */ $$
CREATE /*M! OR REPLACE */ DEFINER = 'muskrat_capture'@'localhost' FUNCTION muskrat.ordering_key(object VARCHAR(255) CHARACTER SET ascii, key_values LONGTEXT CHARACTER SET utf8mb4)
    RETURNS VARCHAR(1024) CHARACTER SET utf8mb4
    DETERMINISTIC NO SQL SQL SECURITY DEFINER
    COMMENT 'the ordering key of an object and a JSON array of values'
    RETURN CONCAT(object, ':', IF(LENGTH(object) + 1 + LENGTH(key_values) <= 1024, key_values, CONCAT('#', SHA2(key_values, 256)))) $$

-- The headers of an event: what was left out, and the W3C trace context that the session set, if it is one:
-- SET @muskrat_traceparent = '00-…'.
-- MySQL 8.0.22 and later match no binary text with a pattern, so it is the collation that tells a from A. $ would also
-- stand before a line feed at the end; \z does not.
/*!80000 DROP FUNCTION IF EXISTS muskrat.headers */ $$
CREATE /*M! OR REPLACE */ DEFINER = 'muskrat_capture'@'localhost' FUNCTION muskrat.headers(omitted LONGTEXT CHARACTER SET utf8mb4, trace VARCHAR(255) CHARACTER SET utf8mb4)
    RETURNS LONGTEXT CHARACTER SET utf8mb4 DETERMINISTIC NO SQL SQL SECURITY DEFINER
    COMMENT 'the headers of an event: what was left out, and the trace context'
BEGIN
    DECLARE traced TINYINT DEFAULT COALESCE(trace COLLATE utf8mb4_bin REGEXP '^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\\z', 0);
    IF omitted IS NULL AND NOT traced THEN
        RETURN NULL;
    END IF;
    RETURN CONCAT('{', COALESCE(CONCAT('"omitted":', omitted), ''), IF(omitted IS NOT NULL AND traced, ',', ''),
                  IF(traced, CONCAT('"traceparent":"', trace, '"'), ''), '}');
END $$

-- Events of the application's own, in its transaction. Needs EXECUTE, which nobody has until it is granted.
/*!80000 DROP PROCEDURE IF EXISTS muskrat.emit */ $$
CREATE /*M! OR REPLACE */ DEFINER = 'muskrat_capture'@'localhost' PROCEDURE muskrat.emit(IN routing_key VARCHAR(1000) CHARACTER SET utf8mb4, IN body LONGTEXT CHARACTER SET utf8mb4,
                                          IN event_key LONGTEXT CHARACTER SET utf8mb4)
    MODIFIES SQL DATA SQL SECURITY DEFINER
    COMMENT 'CALL emit(''Frontend.Invoice.Paid'', ''{"id":7}'', ''7''): an event; of one key they stay in order, NULL: none asked for'
BEGIN
    IF routing_key IS NULL OR routing_key COLLATE utf8mb4_bin NOT REGEXP '^[A-Za-z0-9_-]+[.][A-Za-z0-9_-]+[.][A-Za-z0-9_-]+\\z' OR LENGTH(routing_key) > 255 THEN
        SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'Muskrat: no routing key: give <Source>.<Object>.<Action>, such as Frontend.Customer.Signup, of at most 255 bytes';
    ELSEIF body IS NULL OR NOT JSON_VALID(body) THEN
        SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'Muskrat: the body of the event is no JSON';
    ELSEIF LENGTH(body) > 8388608 THEN
        SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'Muskrat: the body of the event is above 8 MB; send a reference in place of the content';
    END IF;
    INSERT INTO muskrat.outbox (op, routing_key, ordering_key, body, headers)
    VALUES ('e', routing_key,
            COALESCE(muskrat.ordering_key(SUBSTRING_INDEX(routing_key, '.', 2), CONCAT('[', JSON_QUOTE(event_key), ']')), ''), body,
            muskrat.headers(NULL, @muskrat_traceparent));
END $$

DELIMITER ;

GRANT INSERT ON muskrat.outbox TO 'muskrat_capture'@'localhost';
GRANT EXECUTE ON muskrat.* TO 'muskrat_capture'@'localhost';
