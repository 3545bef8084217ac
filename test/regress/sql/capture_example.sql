-- The requirement's own example: the body is exactly this, the routing key <Source>.<Object>.<Action>.
\i prelude.sql
CREATE TABLE customer (id bigint PRIMARY KEY, email text, phone text, subdomain text, company text, username text,
                       volume text, retention text, rate text);
SELECT muskrat.attach('customer', 'Frontend.Customer',
    '["id", "email", "phone", "subdomain", "company", "username", {"subscription": ["volume", "retention", "rate"]}]',
    on_insert => 'Signup', on_delete => 'Cancel');
INSERT INTO customer VALUES (48239, 'test@loggly.com', '(555)555-5555', 'logglytest', 'loggly', 'awesome_logger', '200', '7', '0.0');
SELECT * FROM events();
UPDATE customer SET volume = '500';
DELETE FROM customer;
SELECT * FROM events();

-- numbers where the columns are numeric
CREATE TABLE customer_in_numbers (id bigint PRIMARY KEY, email text, volume integer, retention smallint, rate numeric(10, 1));
SELECT muskrat.attach('customer_in_numbers', 'Frontend.Customer',
    '["id", "email", {"subscription": ["volume", "retention", "rate"]}]', on_insert => 'Signup');
INSERT INTO customer_in_numbers VALUES (48239, 'test@loggly.com', 200, 7, 0);
SELECT * FROM events();

-- no row but has its marks: a version 7 UUID, the transaction, the time
INSERT INTO customer_in_numbers VALUES (1, NULL, NULL, NULL, NULL);
SELECT message_id::text ~ '^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab]' AS version_7, xid < pg_current_xact_id() AS has_xid,
       captured_at BETWEEN now() - interval '1 minute' AND clock_timestamp() AS has_time FROM muskrat.outbox;
SELECT * FROM events();
