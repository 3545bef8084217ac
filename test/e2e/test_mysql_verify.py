"""`muskrat verify` where a database is MariaDB: a source with endpoints of both kinds, and the endpoint of a PostgreSQL."""
import json
import threading

import pytest
from harness.processes import wait_until
from mysql_shop import Writers
from test_verify import QUICK, rows, verify
from world import ATTACH, CUSTOMERS

PG_TABLE = """CREATE TABLE customers (region text NOT NULL, id integer NOT NULL, email text, plan text, at timestamp, note text,
              PRIMARY KEY (region, id))"""
BOTH = pytest.mark.parametrize("kind", ["mysql", "postgres"])


class Pair:
    """A shop and its endpoint `mirror`, of either kind, equal to it."""

    def __init__(self, shop, kind):
        self.shop, self.world, self.kind = shop, shop.world, kind
        if kind == "postgres":
            self.world.tsql(PG_TABLE)
            mirror = self.world.program.config["endpoints"]["mirror"]
            mirror.update(dsn=self.world.target, kind="postgres", routes=[{**mirror["routes"][0], "table": "public.customers"}])
            self.world.program.save()
            self.world.program.setup()
        self.world.start()
        shop.backfill("customers", "--to", "mirror")
        shop.settled()
        assert self.ask("SELECT COUNT(*) FROM customers") == shop.sql("SELECT COUNT(*) FROM customers")

    def ask(self, sql):
        return [tuple(row) for row in (self.world.tsql(sql) if self.kind == "postgres" else self.shop.server.sql(sql, "mk_mirror"))]

    def change(self, sql):
        self.world.tsql(sql) if self.kind == "postgres" else self.shop.server.sql(sql, "mk_mirror")

    def verify(self, *args, code=0, table="customers"):
        return verify(self.world, table, "mirror", *args, code=code)


@pytest.fixture
def make_pair(make_shop):
    return lambda kind, count=300: Pair(make_shop(count), kind)


@BOTH
def test_mysql_verify_of_equal_tables_finds_nothing(make_pair, kind):
    pair = make_pair(kind, 1234)
    done = pair.world.program.run("verify", "frontend.customers", "mirror", "--chunk", "100")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("1234 rows of mk_shop.customers compared with mirror") and ": equal." in done.stdout


@BOTH
def test_mysql_verify_finds_what_is_missing_different_and_extra_and_mends_it(make_pair, kind):
    pair = make_pair(kind)
    pair.change("DELETE FROM customers WHERE id IN (1, 150, 300)")
    pair.change("UPDATE customers SET plan = 'planted', email = NULL WHERE id = 7")
    pair.change("UPDATE customers SET note = upper(note) WHERE id = 8")
    pair.change("INSERT INTO customers (region, id) VALUES ('aaa', 5), ('zzz', 5), ('WEST''S', 999)")
    lines = pair.verify("--chunk", "50", code=1)
    assert sorted(rows(lines, "missing")) == [["west's", "1"], ["öst", "150"], ["öst", "300"]]
    assert {line["key"]: line["columns"] for line in lines if line.get("row") == "different"} == {
        '["west\'s","7"]': ["email", "plan"], '["west\'s","8"]': ["note"]}
    assert rows(lines, "extra") == [["WEST'S", "999"], ["aaa", "5"], ["zzz", "5"]]
    assert "planted" not in json.dumps(lines), "values are shown only when asked for"
    seven = next(line for line in pair.verify("--values", code=1) if line.get("key") == '["west\'s","7"]')
    assert (seven["expected"], seven["found"]) == ({"email": "c7@example.com", "plan": "small"}, {"email": None, "plan": "planted"})
    pair.change("DELETE FROM customers WHERE id = 5 AND region IN ('aaa', 'zzz') OR region = 'WEST''S' AND id = 999")
    lines = pair.verify("--repair")
    assert (lines[-1]["missing"] + lines[-1]["different"], lines[-1]["repaired"]) == (5, 5)
    assert pair.verify()[-1]["rows"] == 300


def test_mysql_verify_of_an_endpoint_that_is_behind_waits_and_does_not_guess(make_pair):
    pair = make_pair("mysql", 100)
    assert pair.world.consumer.stop() == 0
    pair.shop.sql("UPDATE customers SET plan = 'new' WHERE id <= 10")
    pair.shop.published()
    lines = pair.verify("--patience", "2", code=3)
    assert lines[-1]["undecided"] == 10 and lines[-1]["different"] == 0
    assert all("nobody consumes" in line["why"] for line in lines[:-1])
    pair.world.start(relay=False)
    pair.shop.wait_equal()
    assert pair.world.relay.stop() == 0
    pair.shop.sql("UPDATE customers SET plan = 'newer' WHERE id <= 10")
    lines = pair.verify("--patience", "2", code=3)
    assert lines[-1]["undecided"] == 10 and all("relay" in line["why"] for line in lines[:-1])


@BOTH
def test_mysql_verify_beside_writers_finds_only_what_was_planted(make_pair, kind):
    pair = make_pair(kind, 1000)
    pair.shop.sql("INSERT INTO customers (region, id, email) VALUES ('still', 1, 'a'), ('still', 2, 'b')")  # no writer touches them
    pair.shop.settled()
    writers = Writers(pair.shop, rows=1000)
    try:
        wait_until(lambda: writers.commits > 50, 60, "the writers")
        assert pair.verify("--rate", "2000/s", "--chunk", "200")[-1]["undecided"] == 0
        pair.change("DELETE FROM customers WHERE region = 'still' AND id = 1")
        pair.change("UPDATE customers SET plan = 'planted' WHERE region = 'still' AND id = 2")
        pair.change("INSERT INTO customers (region, id) VALUES ('still', 3)")
        lines = pair.verify(code=1)
        found = [rows(lines, what) for what in ("missing", "different", "extra")]
        assert found == [[["still", "1"]], [["still", "2"]], [["still", "3"]]]
        pair.verify("--repair", "--no-extra")
    finally:
        writers.end()


def test_mysql_verify_does_not_call_a_row_different_that_goes_to_and_fro(make_pair):
    """MySQL has no row version: what the row says is the same again."""
    pair = make_pair("mysql", 50)
    stop = threading.Event()

    def write():
        connection = pair.shop.server.connect("mk_shop")
        with connection.cursor() as c:
            while not stop.wait(0.02):
                c.execute("UPDATE customers SET plan = IF(plan = 'small', 'large', 'small') WHERE region = 'west''s' AND id = 7")
        connection.close()
    writer = threading.Thread(target=write)
    writer.start()
    try:
        done = pair.world.program.run("verify", "customers", "mirror", "--patience", "4", *QUICK)
        assert done.returncode in (0, 3) and "different  " not in done.stdout, done.stdout + done.stderr
    finally:
        stop.set()
        writer.join()
    pair.shop.wait_equal()


# type in MariaDB, value, another; type in PostgreSQL, another there
TYPES = {
    "small": ("smallint", "7", "8", "smallint", "8"),
    "big": ("bigint unsigned", "18446744073709551615", "1", "numeric", "1"),
    "zeros": ("int(9) zerofill", "42", "43", "integer", "43"),
    "exact": ("decimal(20,4)", "1.5", "1.5001", "numeric", "1.5001"),
    "f": ("float", "0.1", "0.2", "real", "0.2"),
    "d": ("double", "1.7976931348623157e308", "1", "double precision", "1"),
    "yes": ("boolean", "true", "false", "boolean", "false"),
    "bits": ("bit(5)", "b'10110'", "b'10111'", "bit(5)", "B'10111'"),
    "t": ("text", "'Löwe \\\\ \"'", "'löwe \\\\ \"'", "text", "'löwe'"),
    "latin": ("varchar(20) character set latin1", "'Löwe'", "'Lowe'", "varchar(20)", "'Lowe'"),
    "c": ("char(6)", "'ab'", "'abc'", "char(6)", "'abc'"),
    "mood": ("enum('happy','sad')", "'happy'", "'sad'", "text", "'sad'"),
    "several": ("set('a','b','c')", "'a,c'", "'a'", "text", "'a'"),
    "day": ("date", "'2026-11-23'", "'2026-11-24'", "date", "'2026-11-24'"),
    "m": ("datetime(6)", "'2026-11-23 10:11:12.345678'", "'2026-11-23 10:11:12.345679'", "timestamp", "'2026-11-23 10:11:12.345679'"),
    "z": ("timestamp(3) null", "'2026-11-23 10:11:12.5'", "'2026-11-23 10:11:12.501'", "timestamptz", "'2026-11-23 10:11:12.5+01'"),
    "tm": ("time(1)", "'23:59:59.5'", "'23:59:59'", "time", "'23:59:59'"),
    "y": ("year", "2026", "2027", "integer", "2027"),
    "y0": ("year", "0", "2001", "integer", "2001"),
    "j": ("json", """'{"b": 1.50, "a": [1, null]}'""", """'{"b": 1.51, "a": [1, null]}'""", "jsonb", """'{"b": 1.51, "a": [1, null]}'"""),
    "u": ("uuid", "'0188d3a0-0000-7000-8000-000000000001'", "'0188d3a0-0000-7000-8000-000000000002'", "uuid",
          "'0188d3a0-0000-7000-8000-000000000002'"),
    "ip": ("inet6", "'::1'", "'::2'", "inet", "'::2'"),
    "nothing": ("text", "NULL", "''", "text", "''"),
}
BYTES = {"mysql": ("blob", "X'00ff10'", "X'00ff11'"), "postgres": ("bytea", "X'00ff10'", r"'\x00ff11'")}


@BOTH
def test_mysql_verify_takes_no_type_for_another_and_finds_a_change_in_each(make_pair, kind):
    pair = make_pair(kind, 3)
    columns = ", ".join(f"{name} {of[0]}" for name, of in TYPES.items())
    pair.shop.sql(f"CREATE TABLE kinds (id bigint PRIMARY KEY, {columns}, raw blob) CHARACTER SET utf8mb4")
    pair.shop.sql(f"INSERT INTO kinds SELECT seq, {', '.join(of[1] for of in TYPES.values())}, X'00ff10' FROM seq_1_to_40")
    mine = {name: (of[3], of[4]) if kind == "postgres" else (of[0], of[2]) for name, of in TYPES.items()}
    mine["raw"] = (BYTES[kind][0], BYTES[kind][2])
    pair.change(f"CREATE TABLE kinds (id bigint PRIMARY KEY, {', '.join(f'{name} {of[0]}' for name, of in mine.items())})")
    program = pair.world.program
    program.ok("attach", "frontend", "kinds", "Frontend.Kind", "--columns", "*")
    route = {"table": "kinds", "on": ["Frontend.Kind.*"], "key": ["id"], "columns": ["id", *mine]}
    program.config["endpoints"]["mirror"]["routes"].append(route)
    program.save()
    pair.world.consumer.stop()
    pair.world.start(relay=False)
    pair.shop.backfill("kinds", "--to", "mirror")
    pair.shop.settled()
    assert pair.verify(table="kinds")[-1]["different"] == 0
    planted = {}
    for n, (name, (_, other)) in enumerate(mine.items(), start=1):
        pair.change(f"UPDATE kinds SET {name} = {other} WHERE id = {n}")
        planted[f'["{n}"]'] = [name]
    lines = pair.verify(table="kinds", code=1)
    assert {line["key"]: line["columns"] for line in lines[:-1]} == planted


def test_mysql_verify_goes_through_conversions_conditions_and_the_scale_of_columns(make_shop):
    shop = make_shop(60)
    world, server = shop.world, shop.server
    shop.sql("UPDATE customers SET plan = '1.26', email = ' Upper@Example.com ' WHERE id <= 20")
    shop.sql("UPDATE customers SET plan = '3', note = 'hidden' WHERE id > 50")
    shop.sql("UPDATE customers SET plan = '12' WHERE id BETWEEN 21 AND 50")
    server.sql("CREATE TABLE mapped (no varchar(20) PRIMARY KEY, email varchar(40), cents decimal(6,1), seq bigint, origin varchar(9), "
               "extras json)", "mk_mirror")
    columns = [{"to": "no", "from": "id", "as": "text"}, {"to": "email", "from": "email", "lower": True, "trim": True},
               {"to": "cents", "from": "plan", "as": "number"}, {"to": "seq", "from": "$seq"}, {"to": "origin", "value": "web"},
               {"to": "extras", "from": "note"}]
    world.program.config["endpoints"]["mirror"]["routes"] = [
        {"table": "mapped", "on": ["Frontend.Customer.*"], "key": ["no"], "columns": columns,
         "when": {"field": "note", "is_not": "hidden"}}]
    world.program.save()
    world.start()
    shop.backfill("customers", "--to", "mirror")
    shop.settled()  # 50 rows are there long before: the changes make them too
    assert list(server.sql("SELECT COUNT(*) FROM mapped", "mk_mirror")) == [(50,)]
    done = world.program.run("verify", "customers", "mirror", *QUICK)
    assert done.returncode == 2 and "is no plain copy" in done.stderr and "--no-extra" in done.stderr
    assert verify(world, "customers", "mirror", "--no-extra")[-1]["rows"] == 60
    server.sql("UPDATE mapped SET cents = 1.2 WHERE no = '3'", "mk_mirror")
    server.sql("UPDATE mapped SET email = UPPER(email), seq = 0 WHERE no = '4'", "mk_mirror")
    server.sql("UPDATE mapped SET origin = 'shop', extras = '1' WHERE no = '5'", "mk_mirror")
    lines = verify(world, "customers", "mirror", "--no-extra", code=1)
    assert {line["key"]: line["columns"] for line in lines[:-1]} == {'["3"]': ["cents"], '["4"]': ["email"], '["5"]': ["origin", "extras"]}


def test_mysql_verify_follows_conditions_and_says_what_would_be_refused(make_shop):
    shop = make_shop(0)
    world, server = shop.world, shop.server
    shop.sql("CREATE TABLE orders (id int PRIMARY KEY, size varchar(20), note longblob)")
    shop.sql("INSERT INTO orders SELECT seq, IF(seq = 3, 'none', '12'), REPEAT('x', 300000) FROM seq_1_to_20")
    server.sql("CREATE TABLE orders (id int PRIMARY KEY, size int, note longblob)", "mk_mirror")
    world.program.ok("attach", "frontend", "orders", "Frontend.Order", "--columns", "*", "--condition", "id <= 10")
    world.program.config["endpoints"]["mirror"]["routes"] = [{"table": "orders", "key": ["id"], "on": ["Frontend.Order.*"],
                                                              "columns": ["id", "size", "note"]}]
    world.program.save()
    world.start()
    shop.backfill("orders", "--to", "mirror")
    shop.settled()
    assert list(server.sql("SELECT COUNT(*) FROM orders", "mk_mirror")) == [(9,)]
    server.sql("INSERT INTO orders (id) VALUES (15)", "mk_mirror")
    lines = verify(world, "orders", "mirror", code=1)
    assert [(line["row"], line["key"]) for line in lines[:-1]] == [("refused", '["3"]'), ("extra", '["15"]')]
    assert lines[0]["columns"] == ["size"] and "1366" in lines[0]["why"] and "none" not in json.dumps(lines[0]) and lines[-1]["rows"] == 20


def test_mysql_verify_with_a_postgresql_source(world, mariadb):
    """The mirror of the other kind under the other source."""
    world.sql(CUSTOMERS)
    world.sql("INSERT INTO customers (id, email, volume) SELECT n, 'c' || n, '200' FROM generate_series(1, 500) AS n")
    world.sql(ATTACH)
    mariadb.drop_database("mk_mirror")
    mariadb.create_database("mk_mirror")
    try:
        mariadb.sql("CREATE TABLE customers (id bigint PRIMARY KEY, email varchar(100), volume varchar(20))", "mk_mirror")
        route = {"table": "customers", "key": ["id"], "columns": ["id", "email", {"to": "volume", "from": "subscription.volume"}]}
        world.configure({"mirror": {"kind": "mysql", "subscribe": ["Frontend.Customer.*"], "dsn": mariadb.dsn("mk_mirror"),
                                    "routes": [route]}})
        world.program.setup()
        world.start()
        assert world.program.run("backfill", "customers", "--to", "mirror").returncode == 0
        world.settled()
        assert verify(world, "customers", "mirror")[-1]["rows"] == 500
        mariadb.sql("DELETE FROM customers WHERE id = 3", "mk_mirror")
        mariadb.sql("UPDATE customers SET volume = '300' WHERE id = 4", "mk_mirror")
        mariadb.sql("INSERT INTO customers VALUES (900, 'x', 'y')", "mk_mirror")
        lines = verify(world, "customers", "mirror", code=1)
        assert [rows(lines, what) for what in ("missing", "different", "extra")] == [[["3"]], [["4"]], [["900"]]]
        verify(world, "customers", "mirror", "--repair", "--no-extra")
    finally:
        world.program.stop()
        mariadb.drop_database("mk_mirror")


GRANTS = ["SELECT, TRIGGER ON mk_shop.customers", "SELECT ON muskrat.attachments", "EXECUTE ON muskrat.*"]  # what docs/verify.md names
LATER = ["SELECT ON muskrat.outbox", "SELECT ON muskrat.relay"]  # asked for when a row differs
REPAIR = ["LOCK TABLES ON mk_shop.*", "INSERT ON muskrat.outbox"]


def test_mysql_verify_without_rights_says_which_and_needs_no_more_than_the_documented(make_pair, mariadb):
    pair = make_pair("mysql", 20)
    program = pair.world.program
    for user in ("looker", "keeper"):
        mariadb.sql(f"CREATE OR REPLACE USER {user}@'127.0.0.1'")
    dsn = mariadb.dsn("mk_shop", "looker")
    try:
        program.config["endpoints"]["mirror"]["dsn"] = mariadb.dsn("mk_mirror", "keeper")
        program.save()
        for grant in GRANTS:
            done = program.run("verify", "customers", "mirror", "--dsn", dsn)
            reasons = ("Access denied", "may not see", "verify needs SELECT")
            assert done.returncode == 2 and any(reason in done.stderr for reason in reasons), (grant, done.stderr)
            mariadb.sql(f"GRANT {grant} TO looker@'127.0.0.1'")
        done = program.run("verify", "customers", "mirror", "--dsn", dsn)
        assert done.returncode == 2 and "mirror" in done.stderr, done.stderr
        mariadb.sql("GRANT SELECT, INSERT, UPDATE, DELETE ON mk_mirror.* TO keeper@'127.0.0.1'")
        done = program.run("verify", "customers", "mirror", "--dsn", dsn)
        assert done.returncode == 2 and "CREATE TEMPORARY TABLES" in done.stderr, done.stderr
        mariadb.sql("GRANT CREATE TEMPORARY TABLES ON mk_mirror.* TO keeper@'127.0.0.1'")
        assert pair.verify("--dsn", dsn)[-1]["rows"] == 20
        pair.change("DELETE FROM customers WHERE id = 3")
        for grant in [*LATER, *REPAIR]:
            done = program.run("verify", "customers", "mirror", "--dsn", dsn, "--repair", *QUICK)
            assert done.returncode == 2 or "LOCK TABLES" in grant, (grant, done.stdout + done.stderr)
            mariadb.sql(f"GRANT {grant} TO looker@'127.0.0.1'")
        assert pair.verify("--dsn", dsn, "--repair")[-1]["repaired"] == 1
    finally:
        for user in ("looker", "keeper"):
            mariadb.sql(f"DROP USER {user}@'127.0.0.1'")


def test_mysql_verify_with_mistakes_says_what_to_do(make_shop):
    shop = make_shop(3)
    program = shop.world.program
    shop.sql("CREATE TABLE bare (id int PRIMARY KEY)")
    shop.sql("CREATE TABLE loose (id int NOT NULL UNIQUE)")
    program.ok("attach", "frontend", "loose", "Frontend.Loose", "--columns", "id", "--key", "id")
    cases = [(["customer", "mirror"], "there is no table"), (["bare", "mirror"], "is not attached"),
             (["loose", "mirror"], "has no primary key"), (["customers", "mirro"], "did you mean mirror"),
             (["customers", "mirror", "--attachment", "Other"], 'no attachment "Other"')]
    for args, words in cases:
        done = program.run("verify", *args)
        assert done.returncode == 2 and words in done.stderr, (args, done.stdout + done.stderr)
    shop.sql("ALTER TABLE customers MODIFY plan varchar(50)")
    done = program.run("verify", "customers", "mirror")
    assert done.returncode == 2 and "is not sound" in done.stderr, done.stderr
    shop.server.sql("DROP TABLE customers", "mk_mirror")
    program.ok("attach", "frontend", "customers", "Frontend.Customer", "--refresh")
    done = program.run("verify", "customers", "mirror")
    assert done.returncode == 2 and "customers does not exist" in done.stderr, done.stderr
