"""Rows that were there before: `muskrat backfill`, beside live changes, killed, stopped, refused."""
import json
import os
import signal
import threading
import time

from world import ATTACH, CUSTOMERS, MIRROR
from harness.clients import connect
from harness.processes import Child, wait_until

FILL = "INSERT INTO customers (id, email, volume) SELECT n, 'c' || n || '@example.com', '200' FROM generate_series({}, {}) AS n"


def late(world, rows, endpoints=None, **more):
    """A table with rows that is attached only now, its target empty."""
    world.sql(CUSTOMERS)
    world.sql(FILL.format(1, rows))
    world.sql("ANALYZE customers")
    world.sql(ATTACH)
    world.tsql(MIRROR)
    world.configure(endpoints if endpoints is not None else {"analytics": world.mirror()}, **more)
    world.program.setup()
    return world


def backfill(world, *args, code=0):
    done = world.program.run("backfill", *args)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def start(world, *args):
    return Child(world.program.argv("backfill", *args), f"{world.folder}/backfill.log", record=world.folder)


def told(world):
    return world.sql("SELECT coalesce(sum(events), 0)::int FROM muskrat.backfill")[0][0]


class Writers:
    """Sessions that insert, update, delete and move rows until they are told to stop."""

    def __init__(self, world, count=3, rows=3000):
        self.world, self.rows, self.stop, self.errors, self.commits = world, rows, threading.Event(), [], 0
        self.threads = [threading.Thread(target=self.write, args=(n,)) for n in range(count)]
        for thread in self.threads:
            thread.start()

    def write(self, number):
        import random
        dice = random.Random(number)
        connection = connect(self.world.front, autocommit=False)
        fresh = 1_000_000 * (number + 1)
        try:
            while not self.stop.is_set():
                with connection.cursor() as c:
                    for _ in range(dice.randint(1, 4)):  # several rows in a transaction, in no order: as applications do
                        row, what = dice.randint(1, self.rows), dice.random()
                        if what < 0.6:
                            c.execute("UPDATE customers SET phone = %s WHERE id = %s", (str(dice.random()), row))
                        elif what < 0.8:
                            c.execute("DELETE FROM customers WHERE id = %s", (row,))
                        elif what < 0.9:
                            fresh += 1
                            c.execute("INSERT INTO customers (id, email) VALUES (%s, 'fresh')", (fresh,))
                        else:
                            fresh += 1
                            c.execute("UPDATE customers SET id = %s WHERE id = %s", (fresh, row))
                (connection.rollback if dice.random() < 0.1 else connection.commit)()
                self.commits += 1
        except Exception as e:
            # Two of these writers may deadlock with one another; with the backfill nobody can.
            if "deadlock" in str(e) and "backfill" not in str(e):
                connection.close()
                return self.write(number + 10) if not self.stop.is_set() else None
            self.errors.append(e)
        connection.close()

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        assert not self.errors, self.errors


def test_backfill_fills_the_endpoint_that_came_late(world):
    late(world, 1234)
    world.start()
    text = backfill(world, "customers", "--to", "analytics")
    assert "about 1234 rows" in text and "analytics" in text and "1234 events told" in text
    world.wait_equal()
    assert json.loads(world.program.run("backfill", "--list", "--json").stdout)["state"] == "done"


def test_backfill_beside_writers_makes_the_target_equal(world):
    late(world, 3000)
    world.start()
    writers = Writers(world)
    try:
        wait_until(lambda: writers.commits > 50, 60, "the writers")
        backfill(world, "customers", "--to", "analytics", "--chunk", "50", "--rate", "1500/s")
        assert writers.commits > 200
    finally:
        writers.end()
    world.wait_equal(60)
    assert world.sql("SELECT count(*) FROM muskrat.backfill_later") == [(0,)]
    assert world.broker.depth("muskrat.analytics.dead") == 0


def test_backfill_killed_in_the_middle_goes_on_where_it_was(world):
    late(world, 3000)
    world.start()
    kills = 0
    while True:
        # Slowly, while it is to be killed: it must not come to its end before we have looked.
        child = start(world, "customers", "--to", "analytics", "--chunk", "100", "--rate", "max" if kills == 6 else "200/s")
        if kills == 6:
            break
        before = told(world)
        wait_until(lambda b=before: told(world) > b or not child.running(), 60, "some rows to be told")
        child.kill9()
        kills += 1
    assert child.wait(60) == 0, child.log()
    world.wait_equal(60)
    done = world.sql("SELECT count(*), max(events), max(passed) FROM muskrat.backfill")
    assert done == [(1, 3000, 3000)], "each row once, by one backfill"


def test_backfill_stopped_by_ctrl_c_says_how_to_go_on(world):
    late(world, 2000)
    world.start()
    child = start(world, "customers", "--to", "analytics", "--rate", "500")
    wait_until(lambda: told(world) > 0, 60, "some rows to be told")
    os.kill(child.pid, signal.SIGINT)
    assert child.wait(60) == 3
    assert "--resume" in child.log()
    assert "running" in backfill(world, "--list")
    status = world.program.run("status").stdout
    assert "backfill 1" in status and "public.customers to analytics" in status
    assert "goes on" in backfill(world, "--resume")
    world.wait_equal()
    assert "No backfill of yours is unfinished" in backfill(world, "--resume")


def test_backfill_to_one_endpoint_reaches_no_other(world):
    world.tsql("CREATE TABLE other (id bigint PRIMARY KEY, email text)")
    other = {"table": "public.other", "key": ["id"], "columns": ["id", "email"]}
    late(world, 50, endpoints={"analytics": world.mirror(), "other": world.mirror(routes=[other])})
    observer = world.observe()
    world.start()
    backfill(world, "customers", "--to", "other")
    world.wait_target("SELECT count(*) FROM other", [(50,)])
    world.customers(1000)  # behind it in every queue
    observer.wait_for(lambda d: d.json["id"] == 1000)
    world.wait_target("SELECT count(*) FROM customers", [(1,)])
    assert [d.op for d in observer.deliveries] == ["insert"]


def test_backfill_without_to_reaches_every_subscriber(world):
    late(world, 50)
    observer = world.observe()
    world.start()
    text = backfill(world, "frontend.customers", code=2)
    assert "nobody to ask" in text and "analytics" in text and told(world) == 0
    backfill(world, "frontend.customers", "--yes")
    world.wait_equal()
    wait_until(lambda: len(observer.deliveries) == 50, 60, "the observer")
    first = observer.deliveries[0]
    assert first.routing_key == "Frontend.Customer.Backfill" and first.op == "backfill" and first.headers["x-muskrat-as"] == "Signup Update"
    assert first.json["subscription"]["volume"] == "200"


def test_backfill_finds_the_route_that_takes_inserts(world):
    """An endpoint that subscribes to Signup alone, with a route of its own for it."""
    route = {"table": "public.customers", "on": ["Frontend.Customer.Signup"], "key": ["id"], "columns": ["id", "email"]}
    late(world, 20, endpoints={"analytics": world.mirror(subscribe=["Frontend.Customer.Signup"], routes=[route])})
    world.start()
    text = backfill(world, "customers", "--dry-run")
    assert "does not subscribe to Frontend.Customer.Backfill" in text
    backfill(world, "customers", "--to", "analytics")
    world.wait_target("SELECT count(*) FROM customers", [(20,)])


def test_backfill_never_overwrites_newer_state_nor_brings_back_the_deleted(world):
    """The endpoint gets the live changes first, and the backfill's events, which were drawn before them, last."""
    late(world, 3)
    observer = world.observe()
    world.start(consume=False)
    backfill(world, "customers", "--yes")
    world.sql("UPDATE customers SET phone = 'new' WHERE id = 1")
    world.sql("DELETE FROM customers WHERE id = 2")
    observer.wait_for(lambda d: d.op == "delete")
    letters = sorted(observer.deliveries, key=lambda d: d.op == "backfill")
    assert [d.op for d in letters] == ["update", "delete"] + ["backfill"] * 3
    world.broker.delete_queue("muskrat.analytics")
    world.program.setup()
    for letter in letters:
        world.broker.publish(letter.routing_key, letter.body, headers=letter.headers, message_id=letter.message_id)
    world.start(relay=False)
    world.wait_target("SELECT id, phone FROM customers ORDER BY id", [(1, "new"), (3, None)])
    wait_until(lambda: world.consumer.metric("muskrat_endpoint_superseded_total", endpoint="analytics") == 2, 60, "two that came too late")


def test_backfill_waits_for_locked_rows_and_holds_up_nobody(world):
    late(world, 100)
    world.start()
    connection = connect(world.front, autocommit=False)
    with connection.cursor() as c:
        c.execute("UPDATE customers SET phone = 'held' WHERE id IN (7, 50)")
        child = start(world, "customers", "--to", "analytics", "--chunk", "10")
        world.wait_target("SELECT count(*) FROM customers", [(98,)])
        world.sql("UPDATE customers SET phone = 'free' WHERE id NOT IN (7, 50)")  # waits for nobody
        assert "2" in backfill(world, "--list")
        assert child.running()
        connection.commit()
    connection.close()
    assert child.wait(60) == 0
    world.wait_equal()


def test_backfill_runs_no_further_ahead_than_the_relay_follows(world):
    late(world, 3000)
    child = start(world, "customers", "--to", "analytics", "--backlog", "500", "--chunk", "100")
    wait_until(lambda: told(world) >= 500, 60, "the bound to be reached")
    time.sleep(0.5)  # it must not go on
    assert told(world) <= 800
    assert child.running()
    world.start()
    assert child.wait(60) == 0
    world.wait_equal()


def test_backfill_outlives_a_restart_of_the_database(world):
    late(world, 2000)
    world.start()
    child = start(world, "customers", "--to", "analytics", "--rate", "1000", "--chunk", "50")
    wait_until(lambda: told(world) > 100, 60, "some rows to be told")
    world.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
              " WHERE application_name = 'muskrat cli' AND datname = current_database()")
    assert child.wait(60) == 0, child.log()
    world.wait_equal()


def test_backfill_of_a_queue_that_goes_stops_nobody(world):
    late(world, 300)
    world.start()
    world.tsql("SELECT 1")
    backfill(world, "customers", "--to", "analytics")
    world.wait_equal()
    world.program.config["endpoints"]["gone"] = world.mirror()
    world.program.save()
    world.program.setup()
    assert world.relay.stop() == 0
    backfill(world, "customers", "--to", "gone")
    world.broker.delete_queue("muskrat.gone")
    world.start(consume=False)
    world.customers(1001)
    world.wait_equal()
    wait_until(lambda: world.relay.metric("muskrat_relay_events_astray_total") == 300, 60, "the count")
    assert world.relay.metric("muskrat_relay_held") == 0
    world.broker.wait_depth("muskrat.unrouted", 300)
    kept = world.broker.get_all("muskrat.unrouted")
    assert {d.headers["x-muskrat-routing-key"] for d in kept} == {"Frontend.Customer.Backfill"}
    assert {d.headers["x-muskrat-to"] for d in kept} == {"gone"}
    assert len({d.message_id for d in kept}) == 300


def test_backfill_tells_partitions_and_their_conditions(world):
    world.sql("CREATE TABLE customers (id bigint, email text NOT NULL, phone text, subdomain text, company text, username text,"
              " volume text, retention text, rate text, PRIMARY KEY (id)) PARTITION BY HASH (id)")
    for n in range(3):
        world.sql(f"CREATE TABLE customers_{n} PARTITION OF customers FOR VALUES WITH (MODULUS 3, REMAINDER {n})")
    world.sql(FILL.format(1, 300))
    world.sql(ATTACH)
    world.tsql(MIRROR)
    world.configure({"analytics": world.mirror()})
    world.program.setup()
    world.start()
    text = backfill(world, "customers", "--to", "analytics", "--where", "id % 2 = 0 AND email LIKE 'c%'", "--json")
    lines = [json.loads(line) for line in text.splitlines()]
    assert lines[0]["plan"]["tables"] == 3 and lines[0]["plan"]["to"] == "analytics"
    assert lines[-1]["state"] == "done" and lines[-1]["rows"] == 300 and lines[-1]["events"] == 150
    world.wait_target("SELECT count(*), min(id), max(id) FROM customers", [(150, 2, 300)])


def test_backfill_cancelled_is_over(world):
    late(world, 2000)
    world.start()
    child = start(world, "customers", "--to", "analytics", "--rate", "100")
    wait_until(lambda: told(world) > 0, 60, "some rows to be told")
    child.kill9()
    assert "is cancelled" in backfill(world, "--cancel", "1")
    assert "backfill 1 is cancelled" in backfill(world, "--cancel", "1", code=1)
    assert "No backfill of yours is unfinished" in backfill(world, "--resume")


def test_backfill_is_one_persons_at_a_time(world):
    late(world, 2000)
    child = start(world, "customers", "--to", "analytics", "--rate", "100")
    wait_until(lambda: told(world) > 0, 60, "some rows to be told")
    assert "another muskrat backfill works on number 1" in backfill(world, "customers", "--to", "analytics", code=1)
    child.kill9()


def test_backfill_with_mistakes_says_what_to_do(world):
    late(world, 5)
    world.sql("CREATE TABLE plain (id int PRIMARY KEY)")
    cases = [
        (["--to", "analytics"], 2, "which table?"),
        (["customers", "orders"], 2, "one table at a time"),
        (["custmers", "--to", "analytics"], 1, 'Did you mean "customers"'),
        (["plain", "--to", "analytics"], 1, "is not attached"),
        (["customers", "--to", "analytic"], 2, "did you mean analytics"),
        (["customers", "--to", "analytics", "--where", "emal = 'x'"], 1, "the condition cannot be used"),
        (["customers", "--to", "analytics", "--attachment", "Frontend.Customr"], 1, 'Did you mean "Frontend.Customer"'),
        (["customers", "--to", "analytics", "--rate", "fast"], 2, "is no number of rows a second"),
        (["customers", "--source", "backend"], 2, "has no source backend"),
        (["customers", "--list"], 2, "take no table"),
        (["--list", "--resume"], 2, "exclude one another"),
        (["--cancel", "7"], 1, "you have no backfill 7"),
    ]
    for args, code, words in cases:
        assert words in backfill(world, *args, code=code), args
    assert told(world) == 0
    world.broker.delete_queue("muskrat.analytics")
    assert "run muskrat setup" in backfill(world, "customers", "--to", "analytics", code=1)


def test_backfill_without_rights_says_which(world):
    late(world, 5)
    world.sql("DROP ROLE IF EXISTS backfill_stranger")
    world.sql("CREATE ROLE backfill_stranger LOGIN")
    dsn = world.front.replace("user=postgres", "user=backfill_stranger")
    assert dsn != world.front
    try:
        assert "muskrat_attach" in backfill(world, "customers", "--to", "analytics", "--dsn", dsn, code=1)
        world.sql("GRANT muskrat_attach TO backfill_stranger")
        assert "you do not own table" in backfill(world, "customers", "--to", "analytics", "--dsn", dsn, code=1)
    finally:
        world.sql("DROP OWNED BY backfill_stranger")
        world.sql("DROP ROLE backfill_stranger")


def test_backfill_by_a_broker_user_without_the_default_exchange_says_what_to_grant(world):
    late(world, 5)
    rabbitmq = world.rabbitmq
    rabbitmq.ctl("add_user", "narrow", "narrow")
    rabbitmq.ctl("set_permissions", "-p", world.vhost, "narrow", "^$", "^muskrat$", ".*")
    try:
        world.program.config["broker"]["url"] = world.broker.url.replace("guest:guest", "narrow:narrow")
        world.program.save()
        assert "amq.default" in backfill(world, "customers", "--to", "analytics", code=1)
    finally:
        rabbitmq.ctl("delete_user", "narrow")


def test_backfill_of_a_table_without_a_key_is_refused(world):
    late(world, 1)
    world.sql("CREATE TABLE keyless (a int, b int)")
    world.sql("SELECT muskrat.attach('keyless', 'Frontend.Keyless', '*', key => '{a}')")
    assert "no key by which its rows could be walked" in backfill(world, "keyless", "--yes", code=1)
