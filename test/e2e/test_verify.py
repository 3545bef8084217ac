"""Is the endpoint equal to the source? `muskrat verify`: planted differences, none, under load, and mended."""
import json
import random
import subprocess
import threading

import pytest
from test_backfill import FILL, Writers, late
from world import COLUMNS
from harness.clients import connect, query
from harness.processes import wait_until

QUICK = ("--grace", "300")


def verify(world, *args, code=0):
    """Its lines on standard output, as objects."""
    done = world.program.run("verify", *args, "--json", *(() if "--grace" in args else QUICK))
    assert done.returncode == code, done.stdout + done.stderr
    return [line for line in map(json.loads, done.stdout.splitlines()) if "progress" not in line]


def rows(lines, what):
    return sorted(json.loads(line["key"]) for line in lines if line.get("row") == what)


def mirrored(world, count=500):
    """A source table and an endpoint that is equal to it."""
    late(world, count)
    world.start()
    done = world.program.run("backfill", "customers", "--to", "analytics")
    assert done.returncode == 0, done.stdout + done.stderr
    world.settled()
    world.wait_equal()
    return world


def test_verify_of_equal_tables_finds_nothing(world):
    mirrored(world, 2345)
    done = world.program.run("verify", "customers", "analytics", "--chunk", "100", "--rate", "max")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("2345 rows of public.customers compared with analytics") and ": equal." in done.stdout


def test_verify_that_fails_in_whatever_way_is_not_taken_for_a_difference(world):
    """The system refuses it a thread, of which no Failure tells."""
    mirrored(world, 10)
    done = subprocess.run(["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=clone3", "-e", "inject=clone3:error=EAGAIN:when=2+",
                           *world.program.argv("verify", "customers", "analytics")],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and "Resource temporarily unavailable" in done.stderr, (done.returncode, done.stderr)


def test_verify_finds_what_is_missing_different_and_extra(world):
    mirrored(world)
    world.tsql("DELETE FROM customers WHERE id IN (1, 250, 500)")
    world.tsql("UPDATE customers SET phone = 'planted', rate = '7' WHERE id = 7")
    world.tsql("UPDATE customers SET volume = NULL WHERE id = 8")
    world.tsql("INSERT INTO customers (id, email) VALUES (-5, 'x'), (100000, 'y')")
    lines = verify(world, "customers", "analytics", code=1)
    assert rows(lines, "missing") == [["1"], ["250"], ["500"]]
    assert rows(lines, "different") == [["7"], ["8"]]
    assert {line["key"]: line["columns"] for line in lines if line.get("row") == "different"} == {
        '["7"]': ["phone", "rate"], '["8"]': ["volume"]}
    assert rows(lines, "extra") == [["-5"], ["100000"]]
    assert "planted" not in json.dumps(lines), "values are shown only when asked for"
    end = lines[-1]
    assert (end["rows"], end["missing"], end["different"], end["extra"], end["undecided"]) == (500, 3, 2, 2, 0)
    shown = verify(world, "frontend.customers", "analytics", "--values", "--list", "3", code=1)
    assert len(shown) == 4 and shown[-1]["different"] == 2
    seven = next(line for line in verify(world, "customers", "analytics", "--values", code=1) if line.get("key") == '["7"]')
    assert (seven["expected"], seven["found"]) == ({"phone": None, "rate": None}, {"phone": "planted", "rate": "7"})


def test_verify_repair_makes_it_equal(world):
    mirrored(world)
    world.tsql("DELETE FROM customers WHERE id <= 150")
    world.tsql("UPDATE customers SET phone = 'planted' WHERE id = 300")
    lines = verify(world, "customers", "analytics", "--repair")
    assert (lines[-1]["missing"], lines[-1]["different"], lines[-1]["repaired"]) == (150, 1, 151)
    world.wait_equal()
    assert verify(world, "customers", "analytics")[-1]["missing"] == 0


def test_verify_of_an_endpoint_that_is_behind_waits_and_does_not_guess(world):
    mirrored(world, 100)
    assert world.consumer.stop() == 0
    world.sql("UPDATE customers SET phone = 'new' WHERE id <= 10")
    world.published()
    lines = verify(world, "customers", "analytics", "--patience", "2", code=3)
    assert lines[-1]["undecided"] == 10 and lines[-1]["different"] == 0
    assert all("nobody consumes" in line["why"] for line in lines[:-1])
    world.start(relay=False)
    world.wait_equal()
    assert verify(world, "customers", "analytics")[-1]["undecided"] == 0


def test_verify_beside_writers_finds_only_what_was_planted(world):
    mirrored(world, 3000)
    world.sql(FILL.format(5001, 5020))  # rows that no writer touches
    world.settled()
    writers = Writers(world)
    try:
        wait_until(lambda: writers.commits > 50, 60, "the writers")
        for _ in range(2):
            assert verify(world, "customers", "analytics", "--rate", "4000/s", "--chunk", "200")[-1]["undecided"] == 0
        world.tsql("DELETE FROM customers WHERE id = 5001")
        world.tsql("UPDATE customers SET phone = 'planted' WHERE id = 5002")
        world.tsql("INSERT INTO customers (id, email) VALUES (-1, 'x')")
        lines = verify(world, "customers", "analytics", code=1)
        assert (rows(lines, "missing"), rows(lines, "different"), rows(lines, "extra")) == ([["5001"]], [["5002"]], [["-1"]])
        verify(world, "customers", "analytics", "--repair", "--no-extra")
    finally:
        writers.end()
    world.tsql("DELETE FROM customers WHERE id = -1")
    world.wait_equal(60)


TYPES = {
    "small": ("smallint", "7", "8"), "big": ("bigint", "9007199254740993", "9007199254740992"),
    "exact": ("numeric", "1.50", "1.51"), "scaled": ("numeric(12,2)", "12345.6", "12345.61"),
    "huge": ("numeric", "12345678901234567890.123", "0"),
    "r": ("real", "0.1", "0.2"), "d": ("double precision", "'1.7976931348623157e+308'", "1"), "nan": ("double precision", "'NaN'", "1"),
    "yes": ("boolean", "true", "false"), "t": ("text", "'Löwe'", "'löwe'"), "v": ("varchar(20)", "'ab'", "'ab '"),
    "c": ("char(6)", "'ab'", "'abc'"), "day": ("date", "'2026-11-23'", "'2026-11-24'"), "forever": ("date", "'infinity'", "'2026-01-01'"),
    "ts": ("timestamp", "'2026-11-23 10:11:12.345678'", "'2026-11-23 10:11:12.345679'"),
    "tz": ("timestamptz", "'2026-11-23 10:11:12.5+05'", "'2026-11-23 10:11:12.5+04'"),
    "tm": ("time", "'23:59:59.5'", "'23:59:59'"), "iv": ("interval", "'1 mon 2 days -3 hours'", "'1 mon 2 days'"),
    "u": ("uuid", "'0188d3a0-0000-7000-8000-000000000001'", "'0188d3a0-0000-7000-8000-000000000002'"),
    "j": ("json", """'{"b": 1.50, "a": [1, null]}'""", """'{"b": 1.51, "a": [1, null]}'"""),
    "jb": ("jsonb", """'{"b": 1.50, "a": [1, null]}'""", """'{"b": 1.50, "a": [null]}'"""),
    "by": ("bytea", r"'\x00ff10'", r"'\x00ff11'"), "mood": ("mood", "'happy'", "'sad'"), "ia": ("integer[]", "'{{1,2},{3,NULL}}'", "'{1}'"),
    "ta": ("text[]", """'{"a,b",NULL,"c\\"d"}'""", "'{a}'"), "rg": ("int4range", "'[1,10)'", "'[1,11)'"),
    "ip": ("inet", "'10.0.0.1/8'", "'10.0.0.2/8'"),
    "m": ("money", "'12.34'", "'12.35'"), "bits": ("bit(5)", "B'10101'", "B'10100'"), "p": ("point", "'(0.1,0.2)'", "'(0.1,0.3)'"),
    "x": ("xml", "'<a/>'", "'<b/>'"),
    "nothing": ("text", "NULL", "''"),
}


def typed(world):
    """A table of every type, its mirror with the same ones, filled by the endpoint itself."""
    columns = ", ".join(f"{name} {type_}" for name, (type_, _, _) in TYPES.items())
    for sql in (world.sql, world.tsql):
        sql("CREATE TYPE mood AS ENUM ('sad', 'happy')")
        sql(f"CREATE TABLE kinds (id bigint PRIMARY KEY, {columns})")
    world.sql(f"INSERT INTO kinds SELECT n, {', '.join(value for _, value, _ in TYPES.values())} FROM generate_series(1, 40) AS n")
    world.sql("SELECT muskrat.attach('kinds', 'Frontend.Kind', columns => '*')")
    route = {"table": "public.kinds", "key": ["id"], "columns": ["id", *TYPES]}
    world.configure({"analytics": world.mirror(subscribe=["Frontend.Kind.*"], routes=[route])})
    world.program.setup()
    world.start()
    assert world.program.run("backfill", "kinds", "--to", "analytics").returncode == 0
    world.settled()


def test_verify_takes_no_type_for_another_and_finds_a_change_in_each(world):
    typed(world)
    assert verify(world, "kinds", "analytics")[-1]["different"] == 0
    planted = {}
    for n, (name, (_, _, other)) in enumerate(TYPES.items(), start=1):
        world.tsql(f"UPDATE kinds SET {name} = {other} WHERE id = {n}")
        planted[f'["{n}"]'] = [name]
    lines = verify(world, "kinds", "analytics", code=1)
    assert {line["key"]: line["columns"] for line in lines[:-1]} == planted


def test_verify_knows_equal_values_that_are_written_otherwise(world):
    """As somebody else's copy may have them: other scale, other spacing."""
    typed(world)
    world.tsql("UPDATE kinds SET exact = 1.5000, d = d + 0, j = '{\"a\":[1,null],  \"b\":1.5}', jb = '{\"a\":[1,null],\"b\":1.5}',"
               " tz = tz AT TIME ZONE 'UTC' AT TIME ZONE 'UTC'")
    assert verify(world, "kinds", "analytics")[-1]["different"] == 0


def test_verify_goes_through_conversions_conditions_and_the_scale_of_columns(world):
    """What the endpoint makes of a row, and not the row, is what must be there."""
    world.tsql("CREATE TABLE mapped (no text PRIMARY KEY, plan text, email varchar(40),"
               " cents numeric(6,1), extras jsonb, seq bigint, origin text)")
    columns = [{"to": "no", "from": "id", "as": "text"},
               {"to": "plan", "from": "subscription.volume", "lookup": {"200": "big"}, "default": "none"},
               {"to": "email", "from": "email", "lower": True, "trim": True}, {"to": "cents", "from": "subscription.rate", "as": "number"},
               {"to": "extras", "from": "subscription", "as": "json"}, {"to": "seq", "from": "$seq"}, {"to": "origin", "value": "web"}]
    route = {"table": "public.mapped", "key": ["no"], "columns": columns, "when": {"field": "company", "is_not": "hidden"}}
    late(world, 60, endpoints={"analytics": world.mirror(routes=[route])})
    world.sql("UPDATE customers SET rate = '1.26', email = ' Upper@Example.com ' WHERE id <= 20")
    world.sql("UPDATE customers SET company = 'hidden' WHERE id > 50")
    world.start()
    assert world.program.run("backfill", "customers", "--to", "analytics").returncode == 0
    world.settled()  # 50 rows are there long before: the changes make them too
    world.wait_target("SELECT count(*) FROM mapped", [(50,)])
    done = world.program.run("verify", "customers", "analytics", *QUICK)
    assert done.returncode == 2 and "is no plain copy" in done.stderr and "--no-extra" in done.stderr
    assert verify(world, "customers", "analytics", "--no-extra")[-1]["rows"] == 60
    world.tsql("UPDATE mapped SET cents = 1.2 WHERE no = '3'")
    world.tsql("UPDATE mapped SET email = upper(email), seq = 0 WHERE no = '4'")
    world.tsql("UPDATE mapped SET origin = 'shop', extras = extras || '{\"rate\": \"1.27\"}' WHERE no = '5'")
    lines = verify(world, "customers", "analytics", "--no-extra", code=1)
    assert {line["key"]: line["columns"] for line in lines[:-1]} == {'["3"]': ["cents"], '["4"]': ["email"], '["5"]': ["extras", "origin"]}


def test_verify_says_what_the_endpoint_would_refuse(world):
    world.tsql("CREATE TABLE narrow (id bigint PRIMARY KEY, phone integer)")
    route = {"table": "public.narrow", "key": ["id"], "columns": ["id", {"to": "phone", "from": "phone"}]}
    late(world, 5, endpoints={"analytics": world.mirror(routes=[route])})
    world.sql("UPDATE customers SET phone = CASE id WHEN 3 THEN 'none' ELSE '12' END")
    world.start()
    assert world.program.run("backfill", "customers", "--to", "analytics").returncode == 0
    world.settled()
    world.wait_target("SELECT count(*) FROM narrow", [(4,)])
    lines = verify(world, "customers", "analytics", code=1)
    assert [(line["row"], line["key"], line["columns"]) for line in lines[:-1]] == [("refused", '["3"]', ["phone"])]
    assert "22P02" in lines[0]["why"] and "none" not in json.dumps(lines[0])


def test_verify_of_partitions_and_conditions_follows_both(world):
    world.sql("CREATE TABLE customers (id bigint, email text NOT NULL, phone text, subdomain text, company text, username text,"
              " volume text, retention text, rate text, PRIMARY KEY (id)) PARTITION BY HASH (id)")
    for n in range(3):
        world.sql(f"CREATE TABLE customers_{n} PARTITION OF customers FOR VALUES WITH (MODULUS 3, REMAINDER {n})")
    world.sql(FILL.format(1, 300))
    world.sql("SELECT muskrat.attach('customers', 'Frontend.Customer', '[\"id\", \"email\", \"phone\"]', on_insert => 'Signup',"
              " on_update => 'Update', on_delete => 'Cancel', condition => 'id <= 200')")
    world.tsql("CREATE TABLE customers (id bigint PRIMARY KEY, email text, phone text)")
    route = {"table": "public.customers", "key": ["id"], "columns": ["id", "email", "phone"]}
    world.configure({"analytics": world.mirror(routes=[route])})
    world.program.setup()
    world.start()
    assert world.program.run("backfill", "customers", "--to", "analytics").returncode == 0
    world.settled()
    world.wait_target("SELECT count(*) FROM customers", [(200,)])
    assert verify(world, "customers", "analytics", "--chunk", "64")[-1]["rows"] == 300
    world.tsql("INSERT INTO customers VALUES (250, 'of a row that is not meant')")
    world.tsql("DELETE FROM customers WHERE id = 100")
    lines = verify(world, "customers", "analytics", "--chunk", "64", code=1)
    assert (rows(lines, "extra"), rows(lines, "missing")) == ([["250"]], [["100"]])


def test_verify_does_not_call_rows_of_others_extra(world):
    mirrored(world, 10)
    world.program.config["endpoints"]["analytics"]["subscribe"] = ["Frontend.*"]
    world.program.save()
    done = world.program.run("verify", "customers", "analytics")
    assert done.returncode == 2 and "Frontend.#" in done.stderr and "--no-extra" in done.stderr


def test_verify_where_deletes_do_not_arrive_says_so(world):
    world.tsql("CREATE TABLE seen (id bigint PRIMARY KEY, email text)")
    route = {"table": "public.seen", "key": ["id"], "on": ["Frontend.Customer.Signup"], "columns": ["id", "email"]}
    late(world, 10, endpoints={"analytics": world.mirror(subscribe=["Frontend.Customer.Signup"], routes=[route])})
    world.start()
    assert world.program.run("backfill", "customers", "--to", "analytics").returncode == 0
    world.settled()
    world.sql("DELETE FROM customers WHERE id = 3")
    done = world.program.run("verify", "customers", "analytics", *QUICK)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "deletes of the source do not reach it" in done.stderr and "updates of the source do not reach it" in done.stderr


def test_verify_with_mistakes_says_what_to_do(world):
    late(world, 5, endpoints={"analytics": world.mirror(),
                              "lines": {"kind": "file", "subscribe": ["Frontend.*"], "path": f"{world.folder}/lines"},
                              "log": world.mirror(routes=[{"table": "public.customers", "mode": "append", "columns": COLUMNS}])})
    world.sql("CREATE TABLE plain (id int PRIMARY KEY)")
    world.sql("CREATE TABLE keyless (a int)")
    world.sql("SELECT muskrat.attach('keyless', 'Frontend.Keyless', '*', key => '{a}')")
    cases = [
        (["customers"], "ENDPOINT is required"),
        (["custmers", "analytics"], 'Did you mean "customers"'),
        (["customers", "analytic"], "did you mean analytics"),
        (["plain", "analytics"], "is not attached"),
        (["keyless", "analytics"], "no key by which its rows could be walked"),
        (["customers", "lines"], "is of kind file"),
        (["customers", "log"], "appends every event"),
        (["customers", "analytics", "--rate", "fast"], "is no number of rows a second"),
        (["customers", "analytics", "--attachment", "Frontend.Customr"], 'Did you mean "Frontend.Customer"'),
        (["customers", "analytics", "--source", "backend"], "has no source backend"),
    ]
    for args, words in cases:
        done = world.program.run("verify", *args)
        assert done.returncode == 2 and words in done.stderr, (args, done.stdout + done.stderr)
    world.tsql("DROP TABLE customers")
    done = world.program.run("verify", "customers", "analytics")
    assert done.returncode == 2 and "public.customers does not exist" in done.stderr, done.stderr


@pytest.mark.parametrize("side", ["source", "endpoint"])
def test_verify_without_rights_says_which(world, side):
    mirrored(world, 5)
    world.sql("DROP ROLE IF EXISTS verify_stranger")
    world.sql("CREATE ROLE verify_stranger LOGIN")
    try:
        if side == "source":
            dsn = world.front.replace("user=postgres", "user=verify_stranger")
            done = world.program.run("verify", "customers", "analytics", "--dsn", dsn)
            assert done.returncode == 2 and "muskrat_attach" in done.stderr, done.stderr
            world.sql("GRANT muskrat_attach TO verify_stranger")
            done = world.program.run("verify", "customers", "analytics", "--dsn", dsn)
            assert done.returncode == 2 and "you may not read table" in done.stderr, done.stderr
            with pytest.raises(Exception, match="you may not read every row of table customers"):
                query(dsn, "SELECT muskrat.row_as_event('customers'::regclass, '(0,1)', 'Frontend.Customer')")
            world.sql("GRANT SELECT ON customers TO verify_stranger")
            assert verify(world, "customers", "analytics", "--dsn", dsn)[-1]["rows"] == 5
            world.tsql("DELETE FROM customers WHERE id = 3")
            done = world.program.run("verify", "customers", "analytics", "--dsn", dsn, "--repair", *QUICK)
            assert done.returncode == 2 and "you do not own table" in done.stderr, done.stderr
        else:
            world.program.config["endpoints"]["analytics"]["dsn"] = world.target.replace("user=postgres", "user=verify_stranger")
            world.program.save()
            done = world.program.run("verify", "customers", "analytics")
            assert done.returncode == 2 and "permission denied" in done.stderr and "analytics" in done.stderr, done.stderr
    finally:
        world.sql("DROP OWNED BY verify_stranger")
        world.sql("DROP ROLE verify_stranger")


def test_verify_of_a_row_that_is_written_without_end_does_not_call_it_different(world):
    mirrored(world, 50)
    stop = threading.Event()

    def write():
        connection = connect(world.front, autocommit=True)
        while not stop.is_set():
            connection.cursor().execute("UPDATE customers SET phone = %s WHERE id = 7", (str(random.random()),))
            stop.wait(0.01)  # faster than a look, slower than the relay
        connection.close()
    writer = threading.Thread(target=write)
    writer.start()
    try:
        done = world.program.run("verify", "customers", "analytics", "--patience", "3", *QUICK)
        assert done.returncode in (0, 3) and "different  " not in done.stdout, done.stdout + done.stderr
    finally:
        stop.set()
        writer.join()
    world.wait_equal()
