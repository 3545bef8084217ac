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

-- tables that inherit are tables of their own
CREATE TABLE base (id int PRIMARY KEY);
CREATE TABLE derived (extra text) INHERITS (base);
SELECT muskrat.attach('base', 'Frontend.Base', '*');
INSERT INTO derived VALUES (1, 'x');
SELECT count(*) FROM events();
