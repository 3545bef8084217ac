-- muskrat.emit(): events of the application's own.
\i prelude.sql
BEGIN;
SELECT muskrat.emit('Frontend.Invoice.Paid', '{ "id" : 1, "sum": 10.50,
    "note": "a  b" }');
SELECT muskrat.emit('Frontend.Invoice.Paid', '[]', 'customer "7"');
SELECT muskrat.emit(routing_key => 'A.b-c.D_9', body => '"text"', key => '');
SELECT muskrat.emit('Frontend.Invoice.Paid', to_json(7), repeat('k', 2000));
COMMIT;
SELECT * FROM events();
BEGIN;
SELECT muskrat.emit('Frontend.Invoice.Paid', '{}');
ROLLBACK;
SELECT count(*) FROM events();
SELECT muskrat.emit('Frontend.Invoice', '{}');
SELECT muskrat.emit('Frontend.Invoice.Paid.Twice', '{}');
SELECT muskrat.emit('Frontend..Paid', '{}');
SELECT muskrat.emit('Frontend.Invoice.', '{}');
SELECT muskrat.emit('', '{}');
SELECT muskrat.emit('Frontend.In voice.Paid', '{}');
SELECT muskrat.emit('Frontend.Invoice.#', '{}');
SELECT muskrat.emit('Frontend.Rechnung.Bezählt', '{}');
SELECT muskrat.emit('Frontend.Invoice.' || repeat('x', 238), '{}');
SELECT muskrat.emit('Frontend.Invoice.' || repeat('x', 239), '{}');
SELECT muskrat.emit(NULL, '{}');
SELECT muskrat.emit('Frontend.Invoice.Paid', NULL);
SELECT muskrat.emit('Frontend.Invoice.Paid', '{oops');
SET muskrat.max_body = '1kB';
SELECT muskrat.emit('Frontend.Invoice.Paid', json_build_object('a', repeat('x', 1016)));
SELECT muskrat.emit('Frontend.Invoice.Paid', json_build_object('a', repeat('x', 1017)));
SELECT length(routing_key), length(body) FROM events();
DO $$ BEGIN PERFORM muskrat.emit('x', '{}'); EXCEPTION WHEN SQLSTATE 'MK005' THEN RAISE NOTICE 'MK005: %', SQLERRM; END $$;
