"""The kind sql-query against MariaDB: every mode, and the same JSON as from PostgreSQL."""
import json
import subprocess

import pytest

from harness.processes import wait_until
from test_scheduled import ids, produce

USAGE = "CREATE TABLE `usage` (id int PRIMARY KEY, gb decimal(12,2), changed datetime(6), KEY (changed, id))"


class Billing:
    def __init__(self, world, server):
        self.world, self.server = world, server
        server.drop_database("billing")
        server.create_database("billing")
        self.sql(USAGE)

    def sql(self, text):
        return self.server.sql(text, "billing")

    def insert(self, *numbers, changed="2026-01-01 00:00:00"):
        self.sql("INSERT INTO `usage` VALUES " + ", ".join(f"({n}, 77.50, '{changed}')" for n in numbers))

    def configure(self, **more):
        source = {"kind": "sql-query", "dsn": self.server.dsn("billing"), "query": "SELECT * FROM `usage` -- all of it",
                  "cursor": "changed", "key": "id", "every": "1d",
                  "routing_key": "Billing.Usage.Record", "page": 3, "overlap": "1h", **more}
        self.world.program.configure(self.world.broker.url, relay={"state": self.world.folder + "/relay.sqlite"}, sources={
            "billing": {name: value for name, value in source.items() if value is not None}})
        self.world.program.setup()
        return self.world.observe()


@pytest.fixture
def billing(world, mariadb):
    made = Billing(world, mariadb)
    yield made
    mariadb.drop_database("billing")


def sent(world, seen, expected):
    before = len(seen.deliveries)
    end = json.loads(produce(world, "--json").splitlines()[-1])
    assert end["sent"] == len(expected), end
    seen.wait(before + len(expected))
    assert [(d.op, d.json["id"]) for d in seen.deliveries[before:]] == expected
    return end


def record(*numbers):
    return [("record", n) for n in numbers]


def test_mysql_incremental_reads_pages_of_equal_cursors_and_what_becomes_visible_late(world, billing):
    seen = billing.configure()
    billing.insert(*range(1, 9))
    sent(world, seen, record(*range(1, 9)))
    assert seen.deliveries[0].body == '{"id":1,"gb":77.50,"changed":"2026-01-01T00:00:00"}'
    billing.insert(9, changed="2025-12-31 23:30:00.25")
    billing.sql("UPDATE `usage` SET gb = 1, changed = '2026-01-02' WHERE id = 4")
    billing.sql("DELETE FROM `usage` WHERE id = 5")
    end = sent(world, seen, record(9, 4))
    assert end["repeated"] == 6, end
    text = produce(world, "--since", "2026-01-01T12:00:00Z")
    assert "sent     1 event," in text, text
    assert "does not convert" in produce(world, "--since", "yesterday week", code=1)
    billing.insert(10, changed="2026-01-05")
    billing.insert(11, changed="2026-01-10")
    end = json.loads(produce(world, "--since", "2026-01-07", "--json").splitlines()[-1])
    assert end["sent"] == 1 and end["cursor"] == end["cursor_before"], end
    sent(world, seen, record(10))


@pytest.mark.parametrize("overlap", ["1h", 0])
def test_mysql_rows_ahead_of_the_clock_are_told_and_stop_nothing(world, billing, overlap):
    seen = billing.configure(overlap=overlap)
    billing.insert(*range(1, 6), changed="9999-12-31")
    sent(world, seen, record(*range(1, 6)))
    billing.insert(6)
    sent(world, seen, record(6))
    billing.insert(7, changed="2026-01-02")
    sent(world, seen, record(7))
    sent(world, seen, [])


def test_mysql_dsn_may_be_written_mariadb(world, billing):
    seen = billing.configure(dsn=billing.server.dsn("billing").replace("mysql://", "mariadb://"))
    billing.insert(1)
    sent(world, seen, record(1))


def test_mysql_incremental_by_several_numbers_with_every_digit(world, billing):
    billing.sql("CREATE TABLE wide (id int, part bigint unsigned, at bigint unsigned, note varchar(9), PRIMARY KEY (at, part, id))")
    near = 18446744073709551600
    billing.sql("INSERT INTO wide VALUES " + ", ".join(f"({n}, {near + n % 3}, {near + n // 4}, NULL)" for n in range(12)))
    seen = billing.configure(query="SELECT * FROM wide", cursor="at", key=["part", "id"], overlap=0, page=2)
    produce(world)
    seen.wait(12)
    assert sorted(ids(seen)) == list(range(12))
    assert [(d.json["at"], d.json["part"], d.json["id"]) for d in seen.deliveries] == sorted(
        (d.json["at"], d.json["part"], d.json["id"]) for d in seen.deliveries)
    billing.sql(f"INSERT INTO wide VALUES (99, {near}, {near + 9}, NULL)")
    sent(world, seen, record(99))


@pytest.mark.parametrize("kind, overlap", [("datetime(6)", "1h"), ("date", "1d"), ("timestamp(6) NULL", "1h"), ("datetime(6)", 0)])
def test_mysql_incremental_reads_no_rows_whose_time_is_none(world, billing, kind, overlap):
    seen = billing.configure(overlap=overlap)
    billing.sql(f"ALTER TABLE `usage` MODIFY changed {kind}")
    broken = "0000-00-00" if "timestamp" in kind else "2026-00-01"  # the type takes no such
    with billing.server.connect("billing", sql_mode="") as db, db.cursor() as cursor:
        cursor.execute("INSERT INTO `usage` VALUES (1, 77.50, '0000-00-00'), (2, 77.50, NULL), (3, 77.50, '2026-01-01'), "
                       f"(4, 77.50, '{broken}')")
        sent(world, seen, record(3))
        cursor.execute("INSERT INTO `usage` VALUES (5, 77.50, '0000-00-00'), (6, 77.50, '2026-01-03')")
    sent(world, seen, record(6))
    assert "read     2 records" in produce(world, "--since", "2025-01-01")


def test_mysql_snapshot_is_of_one_instant_and_stamped_with_it(world, billing):
    seen = billing.configure(mode="snapshot", cursor=None, overlap=None, page=1, rate=4)
    billing.insert(*range(1, 9))
    process = subprocess.Popen(world.program.argv("produce", "billing", "--json"), stdout=subprocess.PIPE, text=True)
    try:
        seen.wait(1)
        billing.sql("UPDATE `usage` SET gb = 99")
        billing.insert(100)
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    end = json.loads(out.splitlines()[-1])
    assert end["state"] == "done", end
    seen.wait(8)
    assert sorted(ids(seen)) == list(range(1, 9)) and {d.json["gb"] for d in seen.deliveries} == {77.5}
    assert {d.json["as_of"] for d in seen.deliveries} == {end["cursor"]}


def test_mysql_diff_tells_new_changed_and_deleted_rows(world, billing):
    seen = billing.configure(mode="diff", cursor=None, overlap=None)
    billing.insert(*range(1, 9))
    sent(world, seen, record(*range(1, 9)))
    billing.sql("UPDATE `usage` SET gb = NULL WHERE id = 2")
    billing.sql("DELETE FROM `usage` WHERE id IN (4, 8)")
    billing.insert(9)
    sent(world, seen, record(2, 9) + [("delete", 4), ("delete", 8)])
    assert seen.deliveries[-1].body == '{"id":8}' and seen.deliveries[-1].headers["x-muskrat-omitted"] == '["gb","changed"]'
    sent(world, seen, [])


def test_mysql_run_that_is_killed_in_mid_stream_is_made_anew(world, billing):
    seen = billing.configure(mode="diff", cursor=None, overlap=None, rate=15)
    billing.insert(*range(1, 31))
    process = subprocess.Popen(world.program.argv("produce", "billing", "--json"), stdout=subprocess.DEVNULL)
    try:
        seen.wait(5)
    finally:
        process.kill()
        process.wait()
    world.program.config["sources"]["billing"].pop("rate")
    world.program.save()
    produce(world)
    wait_until(lambda: set(ids(seen)) == set(range(1, 31)), 60, "all rows")
    assert len({(d.message_id, d.body) for d in seen.deliveries}) == 30


TYPES = """
CREATE TABLE every (id bigint PRIMARY KEY, i smallint, n {decimal}(30,10), r double precision, f {single}, t text, d date,
                    s {timestamp}, z {zoned}, w time(6), b {bytes}, o {boolean})
"""
DIALECTS = {"pg": {"decimal": "numeric", "single": "real", "timestamp": "timestamp", "zoned": "timestamptz", "bytes": "bytea",
                   "boolean": "boolean"},
            "my": {"decimal": "decimal", "single": "float", "timestamp": "datetime(6)", "zoned": "timestamp(6) NULL",
                   "bytes": "varbinary(20)", "boolean": "boolean"}}
ROWS = [
    "1, -7, 12345678901234567890.5, 0.1, 0.5, 'L\u00f6we \"q\" / \\t', '2026-11-23', '2026-11-23 10:11:12.5', "
    "'2026-11-23 10:11:12{utc}', '23:59:59.25', {bytes}, true",
    "2, 0, 0, 1e300, 1, '', '0001-01-01', '1999-12-31 00:00:00', '2001-02-03 04:05:06.000007{utc}', '00:00:00', {empty}, false",
    "3" + ", NULL" * 11,
    "9223372036854775807, 32767, -0.0000000001, 123456789012345680, 1000000, 'x', '2026-02-28', '2026-02-28 00:00:00.100', "
    "'2026-02-28 23:00:00{utc}', '12:00:00', {bytes}, true",
    "5, 1, 1, 100000, 0.00001, 'y', '2026-02-28', '2026-02-28 00:00:00', '2026-02-28 23:00:00{utc}', '12:00:00', {bytes}, true",
]


def test_mysql_rows_are_the_same_json_as_those_of_postgresql(world, billing):
    billing.sql(TYPES.format(**DIALECTS["my"]))
    world.sql(TYPES.format(**DIALECTS["pg"]))
    for row in ROWS:
        billing.sql("INSERT INTO every VALUES (" + row.format(utc="", bytes="X'00ff5c'", empty="''").replace("\\t", "\\\\t") + ")")
        world.sql("INSERT INTO every VALUES (" + row.format(utc="+00", bytes="'\\x00ff5c'", empty="''") + ")")
    mine = billing.configure(query="SELECT * FROM every", mode="diff", cursor=None, overlap=None)
    produce(world)
    mine.wait(len(ROWS))
    world.program.config["sources"]["billing"].update(dsn=world.front)
    world.program.config["relay"]["state"] += "2"
    world.program.save()
    produce(world)
    mine.wait(2 * len(ROWS))
    bodies = [sorted(d.body for d in part) for part in (mine.deliveries[:len(ROWS)], mine.deliveries[len(ROWS):])]
    assert bodies[0] == bodies[1]


def test_mysql_types_of_its_own(world, billing):
    billing.sql("CREATE TABLE odd (id int(5) zerofill PRIMARY KEY, e enum('a','b'), s set('x','y'), j json, bit1 bit(1), bit6 bit(6), "
                "y year, never date, u uuid, long_time time)")
    billing.server.sql("INSERT INTO odd VALUES (42, 'b', 'x,y', '{\"k\": [1.50, null]}', 1, 22, 2026, '0000-00-00', "
                       "'0188d3a0-0000-7000-8000-000000000001', '-12:30:00')", "billing", sql_mode="")
    seen = billing.configure(query="SELECT * FROM odd", mode="snapshot", cursor=None, overlap=None)
    produce(world)
    seen.wait(1)
    body = seen.deliveries[0].body
    assert body.startswith('{"id":42,"e":"b","s":"x,y","j":{"k": [1.50, null]},"bit1":true,"bit6":"010110","y":2026,"never":null,'
                           '"u":"0188d3a0-0000-7000-8000-000000000001","long_time":"-12:30:00","as_of":"'), body


@pytest.mark.parametrize("more, says", [
    ({"cursor": "nothing"}, "lacks a column"),
    ({"query": "SELECT sleep(9) AS id, changed FROM `usage`", "statement_timeout": "1s"}, "took longer than statement_timeout"),
    ({"query": "DELETE FROM `usage` RETURNING *"}, "refused"),
    ({"query": "SELECT NULL AS id, gb, changed FROM `usage`"}, "NULL in id"),
    ({"query": "SELECT id, gb, CAST(1.5 AS float) AS changed FROM `usage`", "overlap": 0}, "the column changed is of type float, by which"),
    ({"query": "SELECT id, point(1, 2) AS gb, changed FROM `usage`"}, "is a geometry"),
    ({"overlap": 5}, "is of type datetime; give a duration such as 5m"),
    ({"dsn": "mysql://reader@127.0.0.1:1/billing"}, "127.0.0.1"),
    ({"mode": "diff", "cursor": None, "overlap": None, "key": "none"}, "lacks a column"),
])
def test_mysql_bad_input_is_named_and_no_value_of_a_record_is(world, billing, more, says):
    billing.configure(**more)
    billing.insert(1)
    text = produce(world, code=1)
    assert says in text and "77.5" not in text and "2026-01-01" not in text, text


def test_mysql_check_online_asks_the_database(world, billing):
    billing.configure()
    assert "the query has its columns changed, id; the cursor is of type datetime" in world.program.ok("check", "--online")


def test_mysql_query_that_would_write_is_refused_by_the_server(world, billing):
    billing.sql("CREATE FUNCTION meddle() RETURNS int MODIFIES SQL DATA BEGIN INSERT INTO `usage` VALUES (7, 7, NULL); RETURN 7; END")
    billing.configure(query="SELECT meddle() AS id, changed FROM `usage`")
    billing.insert(1)
    assert "READ ONLY transaction" in produce(world, code=1)
    assert billing.sql("SELECT COUNT(*) FROM `usage`") == ((1,),)
