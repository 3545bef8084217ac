"""The relay's source kind mysql: reading, marking, history, and what an operator is told. The triggers are tested elsewhere:
here events are written into the outbox by hand."""
import os
import re
import uuid

import pytest
from harness import build as where
from harness.mysql_proxy import ReadSplitter
from harness.processes import wait_until
from harness.servers import MariaDB

SCHEMA = os.path.join(where.TOP, "sql", "mysql", "outbox.sql")
INSERT = ("INSERT INTO muskrat.outbox (captured_at, message_id, op, routing_key, ordering_key, body, headers) "
          "VALUES (UTC_TIMESTAMP(6), %s, %s, %s, %s, %s, %s)")

MANY = (INSERT.split(" VALUES")[0].replace(", headers", "") + " SELECT UTC_TIMESTAMP(6), UUID(), 'i', 'Frontend.Customer.Signup', seq, "
        "CONCAT('{{\"id\":', seq, '}}') FROM seq_{low}_to_{high}")


class Front:
    """The frontend's MariaDB, with an empty outbox."""

    def __init__(self, server):
        self.server = server
        server.drop_database("muskrat")
        with open(SCHEMA, encoding="utf-8") as f:
            server.script(f.read())

    def source(self, **more):
        return {"frontend": {"kind": "mysql", "dsn": self.server.dsn("muskrat"), "lease_time": "1s", "held_retry": "1s", **more}}

    def connect(self):
        return self.server.connect("muskrat", autocommit=False)

    def write(self, connection, n, key=None, body=None, action="Signup", headers=None, op="i"):
        with connection.cursor() as c:
            c.execute(INSERT, (str(uuid.uuid4()), op, f"Frontend.Customer.{action}", f"Frontend.Customer:{key or n}",
                               body or f'{{"id":{n}}}', headers))

    def say(self, *numbers, **how):
        connection = self.connect()
        for n in numbers:
            self.write(connection, n, **how)
        connection.commit()
        connection.close()

    def value(self, sql):
        return self.server.sql(sql)[0][0]

    def empty(self):
        return self.value("SELECT COUNT(*) FROM muskrat.outbox") == 0


@pytest.fixture
def front(mariadb):
    return Front(mariadb)


def stand(world, front, relay=True, **source):
    world.program.configure(world.broker.url, sources=front.source(**source))
    world.program.setup()
    observer = world.observe()
    if relay:
        world.relay = world.program.relay()
    return observer


def take_signups_alone(world):
    """All else is for nobody, and held."""
    world.broker.unbind("observer", "#")
    world.broker.bind("observer", "Frontend.Customer.Signup")
    world.broker.delete_queue("muskrat.unrouted")


def ids(observer):
    return [d.json["id"] for d in observer.deliveries]


def test_mysql_events_are_published_once_and_deleted(world, front):
    observer = stand(world, front)
    front.say(1, 2, 3, headers='{"omitted": ["photo"], "traceparent": "00-a-b-01"}')
    observer.wait(3)
    first = observer.deliveries[0]
    assert ids(observer) == [1, 2, 3]
    assert first.routing_key == "Frontend.Customer.Signup"
    headers = first.headers
    assert headers["x-muskrat-key"] == "Frontend.Customer:1" and headers["x-muskrat-source"] == "frontend"
    assert headers["x-muskrat-omitted"] and headers["traceparent"] == "00-a-b-01"
    wait_until(front.empty, 60, "the outbox to be empty")
    assert world.relay.stop() == 0
    world.relay = world.program.relay()
    front.say(4)
    observer.wait(4)
    observer.quiet(0.3)
    assert ids(observer) == [1, 2, 3, 4]


def test_mysql_late_low_id_comes_before_a_later_event_of_its_key(world, front):
    observer = stand(world, front)
    late = front.connect()
    front.write(late, 1, key="one")
    front.say(2, 3)
    observer.wait(2)
    late.commit()
    front.say(4, key="one")
    observer.wait(4)
    assert ids(observer) == [2, 3, 1, 4]
    late.close()


def test_mysql_ids_that_never_come_are_waited_for_and_forgotten(world, front):
    """Of what was rolled back, and where several servers share the ids: a gap for each event."""
    observer = stand(world, front)
    undone = front.connect()
    for n in range(5):
        front.write(undone, 100 + n)
        front.say(n)
    undone.rollback()
    observer.wait(5)
    steps = front.connect()
    with steps.cursor() as c:
        c.execute("SET SESSION auto_increment_increment = 3")
        c.execute(MANY.format(low=1000, high=6999))
    steps.commit()
    steps.close()
    observer.wait(6005)
    front.say(9)
    observer.wait(6006)
    assert ids(observer) == [*range(5), *range(1000, 7000), 9]
    wait_until(lambda: "ids_awaited" in world.relay.get("/")[1], 60, "the gaps to be shown")
    # After ten seconds no transaction that drew them is open: the relay says so by no longer showing them.
    wait_until(lambda: "ids_awaited" not in world.relay.get("/")[1], 60, "the gaps to be forgotten")
    undone.close()


def test_mysql_retention_keeps_delivered_events_for_a_while(world, front):
    observer = stand(world, front, retention="8s")  # time enough to see them there
    front.say(*range(150))  # in more than one step
    observer.wait(150)
    wait_until(front.empty, 60, "the outbox to be empty")
    assert front.value("SELECT COUNT(*) FROM muskrat.history WHERE epoch > 0") == 150
    wait_until(lambda: front.value("SELECT COUNT(*) FROM muskrat.history") == 0, 60, "the history to be cleaned")


def test_mysql_unroutable_event_is_held_through_a_restart_and_its_key_waits(world, front):
    observer = stand(world, front, relay=False)
    take_signups_alone(world)
    relay = world.program.relay()
    front.say(1, key="a", action="Nobody")
    front.say(2, key="a")
    front.say(3, key="b")
    observer.wait(1)
    wait_until(lambda: front.value("SELECT held FROM muskrat.relay") != "", 60, "the held ids to be saved")
    wait_until(lambda: front.value("SELECT COUNT(*) FROM muskrat.outbox") == 2, 60, "the other to be deleted")
    assert relay.stop() == 0
    assert ids(observer) == [3]
    world.broker.bind("observer", "Frontend.Customer.Nobody")
    world.program.relay()
    observer.wait(3)
    assert ids(observer) == [3, 1, 2]
    wait_until(front.empty, 60, "the outbox to be empty")
    wait_until(lambda: front.value("SELECT held FROM muskrat.relay") == "", 60, "nothing to be held")


def test_mysql_held_event_whose_row_is_deleted_holds_up_its_key_no_longer(world, front):
    observer = stand(world, front, relay=False)
    take_signups_alone(world)
    world.relay = world.program.relay()
    front.say(1, key="a", action="Nobody")
    front.say(2, key="a")
    wait_until(lambda: world.relay.metric("muskrat_relay_held") == 2, 60, "both to be held")
    front.server.sql("DELETE FROM muskrat.outbox WHERE routing_key LIKE '%Nobody'")
    observer.wait(1)
    assert ids(observer) == [2]
    world.wait_log(world.relay, "held event is gone from the outbox")
    wait_until(front.empty, 60, "the outbox to be empty")
    wait_until(lambda: front.value("SELECT held FROM muskrat.relay") == "", 60, "nothing to be held")


def test_mysql_backlog_with_large_bodies_is_read_in_bounded_memory(world, front):
    observer = stand(world, front, relay=False)
    for n in range(20):
        front.say(n, body='{"id":%d,"blob":"%s"}' % (n, "x" * 2_000_000))
    connection = front.connect()
    with connection.cursor() as c:
        c.execute(MANY.format(low=1000, high=20999))
    connection.commit()
    connection.close()
    relay = world.program.relay()
    observer.wait(20_020, 60)
    wait_until(front.empty, 60, "the outbox to be empty")
    assert ids(observer) == list(range(20)) + list(range(1000, 21000))
    assert relay.rss_kib("VmHWM") < 80 * 1024


def test_mysql_large_held_events_are_tried_again_in_bounded_memory(world, front):
    stand(world, front, relay=False)
    world.broker.delete_queue("observer")
    world.broker.delete_queue("muskrat.unrouted")
    for n in range(40):
        front.say(n, body='{"id":%d,"blob":"%s"}' % (n, "x" * 2_000_000))
    relay = world.program.relay()
    wait_until(lambda: relay.metric("muskrat_relay_held") == 40, 60, "all to be held")
    assert relay.stop() == 0
    relay = world.program.relay()  # all are due
    wait_until(lambda: relay.metric("muskrat_relay_events_returned_total") >= 20, 60, "some to be tried again")
    world.broker.queue("bills")
    world.broker.wait_depth("bills", 40)
    wait_until(front.empty, 60, "the outbox to be empty")
    assert relay.rss_kib("VmHWM") < 80 * 1024


def test_mysql_history_of_another_server_needs_accept(world, front):
    observer = stand(world, front)
    front.say(1)
    observer.wait(1)
    wait_until(front.empty, 60, "the outbox to be empty")
    world.relay.stop()
    epoch = front.value("SELECT epoch FROM muskrat.relay")
    front.server.sql("UPDATE muskrat.relay SET server = 'another #7'")
    relay = world.program.relay(wait=False)
    front.say(2)
    world.wait_log(relay, "source stopped.*muskrat accept")
    assert len(observer.deliveries) == 1
    assert "muskrat accept" in world.program.run("check", "--online").stdout
    said = world.program.ok("accept", "frontend", "--yes")
    assert "has begun" in said
    observer.wait(2)
    assert observer.deliveries[1].epoch > epoch


def test_mysql_endpoint_whose_server_logs_statements_waits_and_says_what_to_set(world):
    """With STATEMENT the server refuses what InnoDB does at READ COMMITTED: every event, whatever it holds."""
    server = MariaDB(os.path.join(world.folder, "binlog"), settings={"log-bin": "b", "binlog-format": "STATEMENT"}).start()
    try:
        server.create_database("mk_mirror")
        server.sql("CREATE TABLE customers (id BIGINT PRIMARY KEY, email VARCHAR(100))", "mk_mirror")
        world.stand({"mirror": {"kind": "mysql", "subscribe": ["Frontend.*"], "dsn": server.dsn("mk_mirror"), "circuit_first": "100ms",
                                "circuit_most": "200ms", "routes": [{"table": "customers", "key": ["id"], "columns": ["id", "email"]}]}})
        world.customers(1, 2)
        world.wait_log(world.consumer, '"event":"parked".*set binlog_format to ROW or MIXED')
        assert not world.broker.depth("muskrat.mirror.dead")
        server.sql("SET GLOBAL binlog_format = 'ROW'")
        wait_until(lambda: server.sql("SELECT count(*) FROM customers", "mk_mirror") == ((2,),), 60, "both rows")
        assert not world.broker.depth("muskrat.mirror.dead")
    finally:
        world.program.stop()
        server.stop()


def test_mysql_outbox_that_was_truncated_needs_accept(world, front):
    observer = stand(world, front)
    front.say(1, 2, 3)
    observer.wait(3)
    wait_until(front.empty, 60, "the outbox to be empty")
    assert world.relay.stop() == 0
    front.server.sql("TRUNCATE muskrat.outbox")
    front.say(4)
    relay = world.program.relay(wait=False)
    world.wait_log(relay, "source stopped.*ids of muskrat.outbox went back.*muskrat accept")
    assert "went back" in world.program.run("status").stdout
    assert ids(observer) == [1, 2, 3]
    world.program.ok("accept", "frontend", "--yes")
    observer.wait(4)
    assert observer.deliveries[3].epoch > observer.deliveries[2].epoch
    assert "went back" not in world.program.run("status").stdout


def test_mysql_accept_takes_the_lease_from_a_running_relay_which_goes_on_in_the_new_epoch(world, front):
    observer = stand(world, front)
    front.say(1)
    observer.wait(1)
    assert "has begun" in world.program.ok("accept", "frontend", "--yes")
    wait_until(lambda: front.value("SELECT holder FROM muskrat.relay") != "", 60, "the relay to lead again")
    front.say(2)
    observer.wait(2)
    assert observer.deliveries[1].epoch > observer.deliveries[0].epoch
    assert "another relay" not in world.wait_log(world.relay, "lease lost.*nobody holds it.*epoch [0-9]+ has begun")


def test_mysql_leader_whose_session_comes_to_another_server_publishes_no_more(world, front):
    observer = stand(world, front)
    front.say(1)
    observer.wait(1)
    front.server.sql("UPDATE muskrat.relay SET server = 'another #7'")  # as one that is promoted has it
    world.wait_log(world.relay, "source stopped.*published last on another server.*muskrat accept")
    front.say(2)
    assert world.relay.stop() == 1, "what a person must mend is no clean end"
    world.program.daemons.remove(world.relay)
    assert ids(observer) == [1]


@pytest.fixture
def splitter(world, front):
    """A proxy before the frontend's server, and a replica that is so far behind that it has none of the events."""
    replica = MariaDB(os.path.join(world.folder, "replica")).start()
    try:
        with open(SCHEMA, encoding="utf-8") as f:
            replica.script(f.read())
        with ReadSplitter(front.server.port, replica.port) as proxy:
            yield proxy
            world.program.stop()
    finally:
        replica.stop()


def stand_behind(proxy, world, front):
    """An event that nobody takes, and one of its key behind it: both are held."""
    observer = stand(world, front, relay=False, dsn=f"mysql://root@127.0.0.1:{proxy.port}/muskrat")
    take_signups_alone(world)
    world.relay = world.program.relay()
    front.say(1, key="a", action="Nobody")
    front.say(2, key="a")
    wait_until(lambda: front.value("SELECT held FROM muskrat.relay") == "1,2", 60, "both to be held")
    return observer


def test_mysql_held_events_that_a_lagging_replica_does_not_show_are_not_taken_for_gone(world, front, splitter):
    observer = stand_behind(splitter, world, front)
    splitter.split = r"SELECT .* FROM muskrat\.outbox"
    before = splitter.read_elsewhere
    front.say(3, key="a")
    wait_until(lambda: splitter.read_elsewhere > before + 30, 60, "held events to be tried again, and lists")
    assert world.relay.metric("muskrat_relay_held") == 2
    assert world.relay.stop() == 0
    relay = world.program.relay(wait=False)  # which finds out where they are
    world.wait_log(relay, "source away.*events that are held are in muskrat.outbox, but not where it is read.*primary alone")
    splitter.split = None
    wait_until(lambda: relay.metric("muskrat_relay_held") == 3, 60, "the third to be held too")
    world.broker.bind("observer", "Frontend.Customer.Nobody")
    observer.wait(3)
    assert ids(observer) == [1, 2, 3]
    assert "gone from the outbox" not in world.relay.log(10_000) + relay.log(10_000)


def test_mysql_proxy_that_sends_queries_to_a_replica_is_refused(world, front, splitter):
    observer = stand_behind(splitter, world, front)
    splitter.split = "SELECT"
    world.wait_log(world.relay, "source stopped.*another server .* than what is written goes to.*Let the dsn lead to")
    assert "queries to replicas" in world.program.run("status").stdout
    assert "queries to replicas" in world.program.run("check", "--online").stdout
    splitter.split = None
    world.broker.bind("observer", "Frontend.Customer.Nobody")
    observer.wait(2)
    assert ids(observer) == [1, 2]
    assert "gone from the outbox" not in world.relay.log(10_000)


def test_mysql_to_mysql_rows_follow_inserts_updates_and_deletes(world, front):
    server = front.server
    server.drop_database("mk_mirror")
    server.create_database("mk_mirror")
    server.sql("CREATE TABLE customers (id BIGINT PRIMARY KEY, email VARCHAR(100), plan VARCHAR(10))", "mk_mirror")
    mirror = {"kind": "mysql", "subscribe": ["Frontend.*"], "dsn": server.dsn("mk_mirror"),
              "routes": [{"table": "customers", "key": ["id"], "columns": ["id", "email", {"to": "plan", "from": "subscription.plan"}]}]}
    world.program.configure(world.broker.url, sources=front.source(), endpoints={"mirror": mirror})
    world.program.setup()
    world.start()
    connection = front.connect()
    for n in range(1, 51):
        front.write(connection, n, body='{"id":%d,"email":"c%d@example.com","subscription":{"plan":"small"}}' % (n, n))
    for n in range(1, 11):
        front.write(connection, n, body='{"id":%d,"email":"new","subscription":{"plan":"large"}}' % n, op="u")
    for n in range(41, 51):
        front.write(connection, n, body='{"id":%d,"email":"gone","subscription":{"plan":"small"}}' % n, op="d")
    connection.commit()
    connection.close()
    expected = [(n, "new" if n <= 10 else f"c{n}@example.com", "large" if n <= 10 else "small") for n in range(1, 41)]
    wait_until(lambda: list(server.sql("SELECT * FROM customers ORDER BY id", "mk_mirror")) == expected, 60, "the mirror to be equal")
    assert world.broker.depth("muskrat.mirror.dead") == 0
    server.drop_database("mk_mirror")


def test_mysql_check_and_status_say_what_they_see(world, front):
    stand(world, front, window_bytes="512MiB")
    wait_until(lambda: front.value("SELECT holder FROM muskrat.relay") != "", 60, "a leader")
    said = world.program.run("check", "--online").stdout
    assert "the relay may need twice as much memory" in said
    assert "the relay may read and mark the outbox" in said
    assert "innodb_flush_log_at_trx_commit is 2" in said  # as the tests' server has it, for speed
    said = world.program.run("status").stdout
    for word in ("mysql", "leader", "waiting", "durability"):
        assert word in said, said


def test_mysql_status_says_that_the_relay_was_killed_and_that_events_wait(world, front):
    def status():
        done = world.program.run("status")
        assert done.returncode == 3, done.stdout
        return done.stdout
    stand(world, front)
    wait_until(lambda: front.value("SELECT holder FROM muskrat.relay") != "", 60, "a leader")
    world.relay.kill9()
    world.program.daemons.remove(world.relay)
    assert "it was killed, or crashed" in status()
    # as one of another machine leaves it
    front.server.sql("UPDATE muskrat.relay SET holder = 'elsewhere:7 a b', beat_at = UTC_TIMESTAMP(6) - INTERVAL 200 SECOND")
    assert "no sign of life" not in world.program.run("status").stdout
    front.server.sql("UPDATE muskrat.relay SET beat_at = UTC_TIMESTAMP(6) - INTERVAL 301 SECOND")
    assert "no sign of life from it for 30" in status() and "events wait" not in status()
    front.say(1)
    front.server.sql("UPDATE muskrat.outbox SET captured_at = captured_at - INTERVAL 301 SECOND")
    assert "events wait for the relay" in status()


def test_mysql_tables_of_before_are_relayed_from_and_brought_up_to_date(world, front):
    front.server.sql("ALTER TABLE muskrat.relay DROP COLUMN beat_at, DROP COLUMN highest_id")
    observer = stand(world, front)
    front.say(1)
    observer.wait(1)
    wait_until(front.empty, 60, "the outbox to be empty")
    assert "leader" in world.program.run("status").stdout
    assert "runs: muskrat install frontend" in world.program.run("check", "--online").stdout
    assert "of version 3 (they were of version 1)" in world.program.ok("install", "frontend")
    assert "muskrat install" not in world.program.run("check", "--online").stdout
    front.say(2)
    observer.wait(2)
    assert world.relay.stop() == 0
    world.relay = world.program.relay()
    front.say(3)
    observer.wait(3)
    wait_until(lambda: front.value("SELECT beat_at IS NOT NULL AND highest_id = 3 FROM muskrat.relay") == 1, 60, "the leader to write both")


@pytest.mark.parametrize("case", ["no schema", "no privilege", "read only", "bad dsn"])
def test_mysql_relay_that_cannot_work_says_why(world, front, case):
    server = front.server
    source = front.source()
    user = f"limited_{os.getpid()}"
    server.sql(f"CREATE OR REPLACE USER '{user}'@'%' IDENTIFIED BY 'a-secret-word'")
    if case == "no schema":
        server.drop_database("muskrat")
        source["frontend"]["dsn"] = server.dsn("mysql")
        expected, code = "run muskrat install as its administrator", 1
    elif case == "no privilege":
        server.sql(f"GRANT SELECT ON muskrat.relay TO '{user}'@'%'")
        source["frontend"].update(dsn=server.dsn("muskrat", user), password="a-secret-word")
        expected, code = "SELECT and UPDATE on muskrat.relay", 1
    elif case == "read only":
        server.sql("SET GLOBAL read_only = 1")
        expected, code = "is read-only: a replica", None
    else:
        source["frontend"]["dsn"] = "mysql://u:a-secret-word@h/x?sslmode=off"
        expected, code = "mysql://user@host:port/database", None
    try:
        world.program.configure(world.broker.url, sources=source)
        if case == "bad dsn":
            done = world.program.run("check")
            assert done.returncode != 0 and expected in done.stdout + done.stderr
            assert "a-secret-word" not in done.stdout + done.stderr
            return
        world.program.setup()
        relay = world.program.relay(wait=False)
        assert "a-secret-word" not in world.wait_log(relay, expected)
        if code is not None:
            assert relay.wait(60) == code
            world.program.daemons.remove(relay)
    finally:
        server.sql("SET GLOBAL read_only = 0")
        server.sql(f"DROP USER '{user}'@'%'")


def test_mysql_attached_table_reaches_the_exchange(world, front):
    """Capture and relay together: a generated trigger's row is what the relay reads."""
    front.server.drop_database("shop")
    front.server.create_database("shop")
    front.server.sql("CREATE TABLE customers (id int PRIMARY KEY, email text)", "shop")
    observer = stand(world, front, relay=False)
    world.program.ok("install", "frontend")
    world.program.ok("attach", "frontend", "shop.customers", "Frontend.Customer", "--insert", "Signup", "--columns", "id,email")
    world.relay = world.program.relay()
    front.server.sql("INSERT INTO customers VALUES (7, 'a@example.com')", "shop")
    front.server.sql("DELETE FROM customers", "shop")
    observer.wait(2)
    assert [(d.routing_key, d.headers["x-muskrat-key"], d.headers["x-muskrat-op"]) for d in observer.deliveries] == [
        ("Frontend.Customer.Signup", "Frontend.Customer:[7]", "insert"), ("Frontend.Customer.Delete", "Frontend.Customer:[7]", "delete")]
    assert observer.deliveries[0].json == {"id": 7, "email": "a@example.com"}
    assert "shop.customers as Frontend.Customer" in world.program.run("check", "--online").stdout


def test_mysql_check_online_warns_of_attachments_that_the_hosts_guard_would_mix_up(world, front):
    front.server.drop_database("shop")
    front.server.create_database("shop")
    front.server.sql("CREATE TABLE orders (id int PRIMARY KEY, code varchar(20) NOT NULL UNIQUE, customer int, part int UNIQUE)", "shop")
    stand(world, front, relay=False)
    world.program.config["endpoints"] = {"crm": {"kind": "http", "url": "http://127.0.0.1:1/", "subscribe": ["#"]}}
    world.program.config["consumer"]["state"] = f"{world.folder}/state.sqlite"
    world.program.save()
    world.program.ok("install", "frontend")
    for name, *key in [("Code", "customer", "code"), ("Order", "ID", "customer"), ("Buyer", "customer"), ("Part", "part")]:
        world.program.ok("attach", "frontend", "shop.orders", f"Frontend.{name}", "--columns", "*",
                         *(word for column in key for word in ("--key", column)))
    out = world.program.run("check", "--online").stdout
    assert re.findall(r"warning .*endpoint crm: guard: state.* events of (\S+) are ordered by (\S+), which several rows of shop\.orders",
                      out) == [("Frontend.Buyer", "customer"), ("Frontend.Part", "part")]
