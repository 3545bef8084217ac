"""`muskrat replay` from MariaDB: what the relay moved into muskrat.history, again."""
import json
import os
import signal

import pytest
from harness.processes import Child, wait_until
from test_replay import bytes_of, take

KEY = "Frontend.Customer:[\"west's\",{}]"


class Looking:
    """A shop whose events are kept, and its relay; the host runs when it is asked to."""

    def __init__(self, shop, consume=False):
        self.shop, self.world = shop, shop.world
        self.world.start(consume=consume)

    def change(self, first, last):
        """An insert each, committed one after the other."""
        for n in range(first, last + 1):
            self.shop.sql(f"INSERT INTO customers (region, id, email) VALUES ('west''s', {n}, 'e{n}@example.com')")

    def replay(self, *args, code=0):
        done = self.world.program.run("replay", "frontend", *args)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def take(self):
        return take(self.world, "muskrat.mirror")


@pytest.fixture
def looking(make_shop):
    return Looking(make_shop(0, retention="1d"))


def test_mysql_replay_repeats_id_body_and_headers_to_the_one_queue(looking):
    observer = looking.world.observe()
    looking.change(1, 2)
    looking.shop.sql("UPDATE customers SET plan = 'gold' WHERE id = 1")
    looking.shop.sql("UPDATE customers SET note = REPEAT('x', 9000000) WHERE id = 2")  # left out of its body, which says so
    looking.shop.sql("DELETE FROM customers WHERE id = 2")
    looking.shop.published()
    first = looking.take()
    assert len(first) == 5 and [d for d in first if "x-muskrat-omitted" in d.headers]
    observer.wait_for(lambda d: d.op == "delete")
    plan = json.loads(looking.replay("--all", "--to", "mirror", "--dry-run", "--json"))["plan"]
    assert plan["events"] == 5 and {k["routing_key"]: k["events"] for k in plan["routing_keys"]} == {
        "Frontend.Customer.Insert": 2, "Frontend.Customer.Update": 2, "Frontend.Customer.Delete": 1}
    assert "5 events sent to the endpoint mirror again" in looking.replay("--all", "--to", "mirror", "--yes")
    again = looking.take()
    assert [bytes_of(d) for d in again] == [bytes_of(d) for d in first]
    assert [d.headers["x-muskrat-routing-key"] for d in again] == [d.routing_key for d in first]
    assert len(observer.deliveries) == 5, "nobody else got any"


def test_mysql_replay_chooses_by_time_key_pattern_and_id(looking):
    looking.change(1, 2)
    looking.shop.published()
    middle = looking.shop.sql("SELECT DATE_FORMAT(UTC_TIMESTAMP(6), '%Y-%m-%dT%H:%i:%s.%f')")[0][0]
    looking.change(3, 3)
    looking.shop.sql("UPDATE customers SET plan = 'gold' WHERE id = 1")
    looking.shop.published()
    (one, *_) = looking.take()

    def ids(*args):
        looking.replay(*args, "--to", "mirror", "--yes")
        return [d.json["id"] for d in looking.take()]

    assert ids("--since", middle) == [3, 1]
    assert ids("--until", middle) == [1, 2]
    assert ids("--until", middle + "+00:00") == [1, 2]
    assert ids("--since", "1h") == [1, 2, 3, 1]
    assert ids("--key", KEY.format(1), "--key", KEY.format(3)) == [1, 3, 1]
    assert ids("--routing-key", "*.*.Update") == [1]
    assert ids("--message-id", one.properties.message_id) == [1]
    assert ids("--key", KEY.format(1), "--after", str(one.seq)) == [1]
    assert "the outbox goes back to 20" in looking.replay("--key", KEY.format(99), "--to", "mirror", "--yes", code=3)
    assert "is no time" in looking.replay("--since", "soon", "--to", "mirror", code=2)


def test_mysql_replay_leaves_out_what_the_relay_has_yet_to_publish(looking):
    looking.change(1, 1)
    looking.shop.published()
    looking.world.relay.stop()
    looking.change(2, 2)
    assert "1 event sent" in looking.replay("--all", "--to", "mirror", "--yes")
    looking.world.start(consume=False)
    looking.world.broker.wait_depth("muskrat.mirror", 3)
    assert [d.json["id"] for d in looking.take()] == [1, 1, 2]


def test_mysql_replay_to_all_gives_what_was_for_one_to_that_one(looking):
    observer = looking.world.observe()
    looking.change(1, 1)
    looking.shop.backfill("customers", "--to", "mirror")
    looking.shop.published()
    looking.take()
    text = looking.replay("--all", "--to-all", "--yes")
    assert "for mirror alone" in text and "2 events sent" in text
    assert [d.op for d in looking.take()] == ["insert", "backfill"]
    observer.wait_for(lambda d: d.op == "insert" and len(observer.deliveries) == 2)
    assert [d.op for d in observer.deliveries] == ["insert", "insert"]


def test_mysql_replay_against_newer_state_changes_nothing_and_rebuilds_an_emptied_table(make_shop):
    looking = Looking(make_shop(0, retention="1d"), consume=True)
    shop, server = looking.shop, looking.shop.server
    looking.change(1, 40)
    shop.sql("UPDATE customers SET plan = 'gold' WHERE id % 3 = 0")
    shop.sql("DELETE FROM customers WHERE id % 5 = 0")
    shop.settled()
    server.sql("CREATE TABLE writes (what char(1), id int)", "mk_mirror")
    for what, row in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
        note = f"INSERT INTO writes VALUES ('{what[0]}', {row}.id)"
        server.sql(f"CREATE TRIGGER note_{what} AFTER {what} ON customers FOR EACH ROW {note}", "mk_mirror")
    looking.replay("--routing-key", "Frontend.Customer.Insert", "--to", "mirror", "--yes")
    looking.change(41, 41)
    shop.settled()
    shop.wait_equal()
    assert list(server.sql("SELECT what, id FROM writes", "mk_mirror")) == [("I", 41)]
    server.sql("TRUNCATE customers", "mk_mirror")
    server.sql("DELETE g FROM muskrat_guard g JOIN muskrat_scope s ON g.scope = s.id WHERE s.target = 'mk_mirror.customers'", "mk_mirror")
    assert list(server.sql("SELECT COUNT(*) FROM muskrat_guard", "mk_mirror")) == [(0,)]
    looking.change(42, 42)
    looking.shop.published()
    looking.replay("--all", "--to", "mirror", "--yes")
    shop.wait_equal()


def test_mysql_replay_stopped_or_killed_goes_on_and_counts_what_the_retention_took(looking):
    looking.shop.sql("INSERT INTO customers (region, id, email) SELECT 'east', seq, 'e' FROM seq_1_to_1500")
    looking.world.broker.wait_depth("muskrat.mirror", 1500)
    looking.shop.published()
    looking.take()

    def start(*args):
        child = Child(looking.world.program.argv("replay", "frontend", "--all", "--to", "mirror", "--yes", "--rate", "300/s", *args),
                      f"{looking.world.folder}/replay.log", record=looking.world.folder)
        wait_until(lambda: looking.world.broker.depth("muskrat.mirror") > 20, 60, "some of them")
        return child

    child = start()
    child.kill9()
    assert 20 < len(looking.take()) < 1500
    child = start()
    os.kill(child.pid, signal.SIGINT)
    assert child.wait(60) == 3, child.log()
    after = child.log().rsplit("--after ", 1)[1].split(".")[0]
    first = [d.json["id"] for d in looking.take()]
    assert 20 < len(first) < 1000
    child = start("--after", after)
    looking.shop.sql("DELETE FROM muskrat.history ORDER BY id DESC LIMIT 100")  # not read yet: pages are of 500
    assert child.wait(60) == 0, child.log()
    assert "100 events went with the retention" in child.log()
    assert first + [d.json["id"] for d in looking.take()] == list(range(1, 1401))


def test_mysql_replay_without_retention_or_rights_says_what_to_do(make_shop, mariadb):
    looking = Looking(make_shop(0))
    looking.change(1, 1)
    looking.shop.published()
    assert "kept there for the source's retention" in looking.replay("--all", "--to", "mirror", "--yes", code=3)
    mariadb.sql("CREATE OR REPLACE USER looker@'127.0.0.1'")
    dsn = mariadb.dsn("", "looker")
    try:
        assert "SELECT on muskrat.history" in looking.replay("--all", "--to", "mirror", "--dsn", dsn, code=1)
        mariadb.sql("GRANT SELECT ON muskrat.history TO looker@'127.0.0.1'")
        looking.shop.sql("INSERT INTO muskrat.history SELECT 99, UTC_TIMESTAMP(6), UUID(), 'i', 'Frontend.Customer.Insert', 'k', '{}', "
                         "NULL, 1, UTC_TIMESTAMP(6)")
        assert "1 event sent" in looking.replay("--all", "--to", "mirror", "--dsn", dsn, "--yes")
    finally:
        mariadb.sql("DROP USER looker@'127.0.0.1'")
