-- Partitioned tables speak under the root's name, whichever way a row comes in.
\i prelude.sql
CREATE TABLE visit (id int, day date, note text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE visit_1 PARTITION OF visit FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
SELECT muskrat.attach('visit', 'Frontend.Visit', '["id", "day", "note"]');
-- a later one, with its columns in another order, and one below that
CREATE TABLE visit_2 (note text, gone int, day date NOT NULL, id int NOT NULL);
ALTER TABLE visit_2 DROP COLUMN gone;
ALTER TABLE visit ATTACH PARTITION visit_2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE TABLE visit_3 PARTITION OF visit FOR VALUES FROM ('2026-03-01') TO ('2026-04-01') PARTITION BY HASH (id);
CREATE TABLE visit_3_0 PARTITION OF visit_3 FOR VALUES WITH (MODULUS 1, REMAINDER 0);
INSERT INTO visit VALUES (1, '2026-01-05', 'a'), (2, '2026-02-05', 'b'), (3, '2026-03-05', 'c');
INSERT INTO visit_2 (id, day, note) VALUES (4, '2026-02-06', 'd');
UPDATE visit SET note = note || '!';
SELECT op, routing_key, ordering_key, body FROM events();
-- into another partition: here that is another key
UPDATE visit SET day = '2026-02-07' WHERE id = 1;
SELECT op, routing_key, ordering_key, body FROM events();
DELETE FROM visit_2 WHERE id = 2;
TRUNCATE visit;
SELECT op, routing_key, ordering_key, body FROM events();
SELECT relation, name, triggers, problem FROM muskrat.attached;
-- a trigger that is disabled in one partition, or in one below that
ALTER TABLE visit_1 DISABLE TRIGGER "zz_muskrat_Frontend.Visit_row";
ALTER TABLE visit_3_0 ENABLE REPLICA TRIGGER "zz_muskrat_Frontend.Visit_row";
SELECT relation, problem FROM muskrat.attached;
SELECT item, value, problem FROM muskrat.status() WHERE item = 'capture trigger' ORDER BY value;
ALTER TABLE visit_1 ENABLE TRIGGER "zz_muskrat_Frontend.Visit_row";
ALTER TABLE visit_3_0 ENABLE TRIGGER "zz_muskrat_Frontend.Visit_row";
-- a partition that leaves takes no attachment along
ALTER TABLE visit DETACH PARTITION visit_2;
INSERT INTO visit_2 (id, day) VALUES (5, '2026-02-08');
SELECT count(*) FROM events();
SELECT muskrat.detach('visit');
INSERT INTO visit VALUES (6, '2026-01-05');
SELECT count(*) FROM events();

-- where the key does not change when the row moves, it is still a delete and an insert, in that order
CREATE TABLE place (id int, region text, note text) PARTITION BY LIST (region);
CREATE TABLE place_eu PARTITION OF place FOR VALUES IN ('eu');
CREATE TABLE place_us PARTITION OF place FOR VALUES IN ('us');
SELECT muskrat.attach('place', 'Frontend.Place', '*', key => '{id}', always => true);
INSERT INTO place VALUES (1, 'eu', 'x');
UPDATE place SET region = 'us';
SELECT op, routing_key, ordering_key, body FROM events();

-- a condition on a partitioned table
SELECT muskrat.attach('place', 'Frontend.Place', '["id"]', key => '{id}', condition => $$note = 'x'$$, replace => true);
INSERT INTO place VALUES (2, 'eu', 'x'), (3, 'us', 'y');
UPDATE place SET note = 'y' WHERE id = 2;
SELECT op, routing_key, ordering_key, body FROM events();

-- where there is no word for an insert, an update that moves a row is an update as any other; an insert says nothing, nor
-- does a delete, nor a move that changes nothing that is watched
CREATE TABLE customer (id int, plan text, note text, region int DEFAULT 1) PARTITION BY LIST (plan);
CREATE TABLE customer_free PARTITION OF customer FOR VALUES IN ('free');
CREATE TABLE customer_gold (note text, region int, plan text, gone int, id int) PARTITION BY LIST (region);
ALTER TABLE customer_gold DROP COLUMN gone;
ALTER TABLE customer ATTACH PARTITION customer_gold FOR VALUES IN ('gold');
CREATE TABLE customer_gold_1 PARTITION OF customer_gold FOR VALUES IN (1);
CREATE TABLE customer_gold_2 PARTITION OF customer_gold FOR VALUES IN (2);
SELECT muskrat.attach('customer', 'Frontend.Customer', '["id", "plan"]', name => 'plan changes', key => '{id}',
    on_insert => NULL, on_update => 'PlanChange', on_delete => NULL, on_truncate => NULL, changes_of => '{plan}');
INSERT INTO customer VALUES (1, 'free', 'a'), (2, 'free', 'b'), (3, 'gold', 'c'), (4, 'free', 'd');
DELETE FROM customer WHERE id = 4;
SELECT * FROM events();
UPDATE customer SET plan = 'gold' WHERE id < 3;
SELECT op, routing_key, ordering_key, body FROM events();
UPDATE customer SET region = 2 WHERE id < 3;
UPDATE customer SET note = 'x';
SELECT * FROM events();
UPDATE customer SET plan = 'free', region = 1 WHERE id = 2;
UPDATE customer SET id = 11, region = 1, plan = 'gold' WHERE id = 1;
UPDATE customer SET id = 12, plan = 'gold' WHERE id = 2;
SELECT op, routing_key, ordering_key, body FROM events();
-- one command that moves a row and inserts another
WITH moved AS (UPDATE customer SET plan = 'free' WHERE id = 12 RETURNING id)
INSERT INTO customer SELECT id + 100, 'gold' FROM moved;
SELECT op, ordering_key, body FROM events();
-- in one transaction with what is written before and after, and with what another trigger moves in between
CREATE FUNCTION move_another() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE customer SET plan = 'gold' WHERE id = 21 AND plan = 'free';
    RETURN NULL;
END $$;
CREATE TRIGGER move_another AFTER INSERT ON customer FOR EACH ROW WHEN (NEW.id = 20) EXECUTE FUNCTION move_another();
BEGIN;
INSERT INTO customer VALUES (21, 'free');
INSERT INTO customer VALUES (20, 'gold');
UPDATE customer SET plan = 'free' WHERE id = 21;
UPDATE customer SET plan = 'free' WHERE id = 20;
UPDATE customer SET plan = 'gold' WHERE id = 20;
COMMIT;
SELECT op, ordering_key, body FROM events();
DROP TRIGGER move_another ON customer;
-- a move that is undone, or that ends in a deletion because the other partition does not want the row
BEGIN;
SAVEPOINT s;
UPDATE customer SET plan = 'free' WHERE id = 20;
ROLLBACK TO s;
INSERT INTO customer VALUES (22, 'free');
COMMIT;
SELECT * FROM events();
CREATE FUNCTION unwanted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER unwanted BEFORE INSERT ON customer_free FOR EACH ROW EXECUTE FUNCTION unwanted();
UPDATE customer SET plan = 'free' WHERE id = 20;
INSERT INTO customer VALUES (20, 'gold');
SELECT * FROM events();
DROP TRIGGER unwanted ON customer_free;
-- with a word for deletes the deletion is told first, so the row is told again
SELECT muskrat.attach('customer', 'Frontend.Customer', '["id", "plan"]', name => 'plan changes', key => '{id}',
    on_insert => NULL, on_update => 'PlanChange', on_delete => 'Cancel', on_truncate => NULL, changes_of => '{plan}', replace => true);
UPDATE customer SET region = 2 WHERE id = 3;
DELETE FROM customer WHERE id = 3;
SELECT op, routing_key, ordering_key, body FROM events();
-- with a condition: a row that enters, stays and leaves by moving
SELECT muskrat.attach('customer', 'Frontend.Customer', '["id", "plan"]', name => 'plan changes', key => '{id}', condition => $$plan = 'gold'$$,
    on_insert => NULL, on_update => 'PlanChange', on_delete => NULL, on_truncate => NULL, replace => true);
SELECT condition, triggers FROM muskrat.attached WHERE name = 'plan changes';
UPDATE customer SET plan = 'gold' WHERE id = 22;
SELECT op, routing_key, ordering_key, body FROM events();
UPDATE customer SET region = 2 WHERE id = 22;
UPDATE customer SET plan = 'free' WHERE id = 22;
SELECT * FROM events();
SELECT muskrat.attach('customer', 'Frontend.Customer', '["id", "plan"]', name => 'plan changes', key => '{id}', condition => $$plan = 'gold'$$,
    on_insert => 'Gold', on_update => NULL, on_delete => 'NoMore', on_truncate => NULL, replace => true);
UPDATE customer SET plan = 'gold' WHERE id = 22;
UPDATE customer SET plan = 'free' WHERE id = 22;
SELECT op, routing_key, ordering_key, body FROM events();
DROP TABLE customer;

-- tables that inherit are tables of their own
CREATE TABLE base (id int PRIMARY KEY);
CREATE TABLE derived (extra text) INHERITS (base);
SELECT muskrat.attach('base', 'Frontend.Base', '*');
INSERT INTO derived VALUES (1, 'x');
SELECT count(*) FROM events();
-- and may speak under one name, as partitions may that are attached each by itself
SELECT muskrat.attach('derived', 'Frontend.Base', '["id"]', key => '{id}');
CREATE TABLE aunt (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE aunt_1 PARTITION OF aunt FOR VALUES FROM (0) TO (10);
CREATE TABLE aunt_2 PARTITION OF aunt FOR VALUES FROM (10) TO (20);
SELECT muskrat.attach('aunt_1', 'Frontend.Aunt', '*');
SELECT muskrat.attach('aunt_2', 'Frontend.Aunt', '*');
