"""What happens to tables while events travel: ALTER TABLE, TRUNCATE, emit, dump and restore."""
import os
import subprocess
import threading

from world import ATTACH
from harness.clients import connect
from harness.processes import wait_until


def test_traffic_alter_table_while_writers_write(world):
    world.stand()
    observer = world.observe()
    stop = threading.Event()
    errors = []

    def write(first):
        connection = connect(world.front)  # one session throughout: its plans and caches must follow the table
        n = first
        try:
            with connection.cursor() as c:
                while not stop.is_set():
                    c.execute("INSERT INTO customers (id, email) VALUES (%s, 'x')", (n,))
                    c.execute("UPDATE customers SET phone = %s WHERE id = %s", (str(n), n))
                    n += 2
        except Exception as e:
            errors.append(e)
        connection.close()

    writers = [threading.Thread(target=write, args=(n,)) for n in (1, 2)]
    for w in writers:
        w.start()
    try:
        for ddl in ("ADD COLUMN extra text DEFAULT 'e'", "DROP COLUMN extra", "ADD COLUMN extra2 int",
                    "ALTER COLUMN phone TYPE varchar(50)", "ADD COLUMN extra3 jsonb", "DROP COLUMN extra2"):
            world.sql(f"ALTER TABLE customers {ddl}")
            wait_until(lambda c=len(observer.deliveries): len(observer.deliveries) > c + 20, 60, "traffic between the changes")
    finally:
        stop.set()
        for w in writers:
            w.join()
    assert not errors, errors
    world.wait_equal()
    assert world.sql("SELECT count(*) > 20 FROM customers") == [(True,)]


def test_traffic_captured_column_cannot_vanish_in_silence(world):
    """Dropping a captured column either fails, or the writes that follow do, or the column is plainly absent: never a wrong value."""
    world.stand()
    observer = world.observe()
    world.customers(1, company="loggly")
    try:
        world.sql("ALTER TABLE customers DROP COLUMN company")
        world.sql("INSERT INTO customers (id, email) VALUES (2, 'b')")
    except Exception as e:
        assert "company" in str(e) or "muskrat" in str(e)
        return
    event = observer.wait_for(lambda d: d.json["id"] == 2)
    assert "company" not in event.json


def test_traffic_truncate_is_a_dead_letter_unless_asked_for(world):
    world.stand()
    world.customers(1, 2)
    world.wait_equal()
    world.sql("TRUNCATE customers")
    world.broker.wait_depth("muskrat.analytics.dead", 1)
    assert world.tsql("SELECT count(*) FROM customers") == [(2,)]


def test_traffic_truncate_applies_in_queue_order(world):
    world.stand(endpoints={"analytics": world.mirror(on_truncate="apply", lanes=4)}, consume=False)
    world.customers(*range(30))
    world.sql("TRUNCATE customers")
    world.customers(*range(100, 110))
    world.start(relay=False)
    world.wait_equal()
    assert world.tsql("SELECT min(id), count(*) FROM customers") == [(100, 10)]


def test_traffic_emit_travels_with_its_transaction(world):
    world.stand(endpoints={})
    observer = world.observe()
    connection = connect(world.front, autocommit=False)
    with connection.cursor() as c:
        c.execute("SELECT muskrat.emit('Frontend.Invoice.Paid', '{\"id\": 1}')")
        connection.rollback()
        c.execute("SELECT muskrat.emit('Frontend.Invoice.Paid', '{\"id\": 2, \"sum\": 10.50}')")
        connection.commit()
    connection.close()
    observer.wait(1)
    (event,) = observer.quiet(0.7)
    assert event.routing_key == "Frontend.Invoice.Paid" and event.op == "emit"
    assert event.json == {"id": 2, "sum": 10.50}


def test_traffic_restored_dump_refuses_to_guess_and_goes_on_when_told(world, pg):
    """pg_dump | psql into another server's database (here: another cluster, so another system identifier)."""
    world.stand()
    world.customers(1, 2, 3)
    world.wait_equal()
    world.program.stop()
    dump = os.path.join(world.folder, "frontend.sql")
    with open(dump, "w", encoding="utf-8") as out:
        subprocess.run([pg.program("pg_dump"), "-d", world.front, "--no-owner"], stdout=out, check=True)

    from harness.servers import Postgres
    other = Postgres(os.path.join(world.folder, "restored"), build=pg.build, major=pg.major).start()
    try:
        for role in ("muskrat_relay", "muskrat_monitor"):
            other.psql(f"DO $$ BEGIN CREATE ROLE {role} NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
        other.create_database(world.front_db, "template0")
        with open(dump, encoding="utf-8") as f:
            subprocess.run([other.program("psql"), "-Xq", "-v", "ON_ERROR_STOP=1", "-d", other.dsn(world.front_db)], stdin=f, check=True,
                           stdout=subprocess.DEVNULL)
        assert other.psql("SELECT count(*) FROM muskrat.attached()", world.front_db) == "1"
        world.front = other.dsn(world.front_db)
        world.configure({"analytics": world.mirror()})
        relay = world.program.relay(wait=False)
        refusal = world.wait_log(relay, "accept")
        assert "accept" in refusal
        world.customers(4)
        wait_until(lambda: relay.get("/readyz")[0] == 503 or not relay.running(), 60, "the refusal to show")
        assert world.broker.depth("muskrat.analytics") == 0, "nothing was published"
        world.program.stop()

        world.program.ok("accept", "frontend", "--yes")
        world.start()
        world.sql("UPDATE customers SET phone = 'new' WHERE id = 1")
        world.customers(5)
        world.wait_equal()
        assert world.program.stop() == {"relay": 0, "consume": 0}
    finally:
        other.remove()


def test_traffic_detach_ends_the_events(world):
    world.stand(endpoints={})
    observer = world.observe()
    world.customers(1)
    observer.wait(1)
    world.sql("SELECT muskrat.detach('customers')")
    world.customers(2)
    assert len(observer.quiet(0.7)) == 1
    world.sql(ATTACH)
    world.customers(3)
    assert [d.json["id"] for d in observer.wait(2)] == [1, 3]
