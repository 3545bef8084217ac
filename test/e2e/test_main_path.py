"""The main job: what is in the frontend's table is in the target's, row for row."""
import json
import random

from world import ATTACH, CUSTOMERS, MIRROR
from harness.clients import connect
from harness.processes import wait_until


def test_main_path_insert_update_delete_arrive(world):
    world.stand()
    world.customers(1, 2, 3, phone="(555)555-5555", company="loggly", volume="200", retention="7", rate="0.0")
    world.wait_equal()
    world.sql("UPDATE customers SET volume = '500', company = NULL WHERE id = 2")
    world.sql("DELETE FROM customers WHERE id = 3")
    world.wait_equal()
    assert world.tsql("SELECT count(*) FROM customers") == [(2,)]


def test_main_path_event_is_the_requirements_example(world):
    world.stand(endpoints={})
    observer = world.observe()
    world.sql("INSERT INTO customers VALUES (48239, 'test@loggly.com', '(555)555-5555', 'logglytest', 'loggly',"
              " 'awesome_logger', '200', '7', '0.0')")
    (event,) = observer.wait(1)
    assert event.routing_key == "Frontend.Customer.Signup"
    assert event.body == ('{"id":48239,"email":"test@loggly.com","phone":"(555)555-5555","subdomain":"logglytest","company":"loggly",'
                          '"username":"awesome_logger","subscription":{"volume":"200","retention":"7","rate":"0.0"}}')
    p = event.properties
    assert (p.content_type, p.delivery_mode, p.app_id, p.type) == ("application/json", 2, "muskrat", "Signup")
    assert p.correlation_id == event.key == "Frontend.Customer:[48239]"
    assert event.op == "insert" and event.headers["x-muskrat-source"] == "frontend"
    assert event.epoch > 0 and event.seq > 0 and len(event.message_id) == 36 and p.timestamp > 0


def test_main_path_random_traffic_ends_equal(world):
    world.stand(endpoints={"analytics": world.mirror(lanes=4)})
    rng = random.Random(7)
    connection = connect(world.front, autocommit=False)
    with connection.cursor() as c:
        for n in range(1500):
            pk, what = rng.randrange(60), rng.random()
            if what < 0.2:
                c.execute("DELETE FROM customers WHERE id = %s", (pk,))
            elif what < 0.25:  # the key itself changes, where the new one is free
                c.execute("UPDATE customers SET id = %s WHERE id = %s AND NOT EXISTS (SELECT FROM customers WHERE id = %s)",
                          (pk + 1, pk, pk + 1))
            else:
                c.execute("INSERT INTO customers (id, email, rate) VALUES (%s, %s, %s) ON CONFLICT (id) DO UPDATE"
                          " SET email = excluded.email, rate = excluded.rate", (pk, f"{n}@example.com", str(n)))
            if rng.random() < 0.3:
                (connection.commit if rng.random() < 0.9 else connection.rollback)()
        connection.commit()
    connection.close()
    world.wait_equal()


TYPES = {
    "small": ("smallint", ["0", "-32768", "32767", None]),
    "whole": ("integer", ["-2147483648", "2147483647"]),
    "big": ("bigint", ["9223372036854775807", "-9223372036854775808", "9007199254740993"]),
    "money": ("numeric", ["12345678901234567890.123", "0.00", "-1e-20", "NaN"]),
    "real": ("double precision", ["0.1", "1e308", "-0", "Infinity", "NaN", "4.9e-324"]),
    "yes": ("boolean", ["true", "false", None]),
    "label": ("text", ["", "it's", 'quote " backslash \\ slash /', "tab\tline\n", "Löwe 東京 \U0001f9ab", "\x01\x1f", "null", None]),
    "code": ("char(5)", ["ab", "abcde"]),
    "day": ("date", ["2026-02-28", "0044-03-15", "9999-12-31"]),
    "at": ("timestamp", ["2026-02-28 23:59:59.999999", "1999-01-01 00:00:00"]),
    "when_": ("timestamptz", ["2026-02-28 23:59:59.123456+05:30", "1969-12-31 23:59:59Z"]),
    "clock": ("time", ["23:59:59.5", "00:00"]),
    "span": ("interval", ["1 year 2 mons -3 days 04:05:06.7", "0"]),
    "token": ("uuid", ["0188d3a0-0000-7000-8000-000000000001"]),
    "doc": ("jsonb", ['{"a": [1, 2.50, null, {"b": "x"}]}', "[]", '"text"', "0.10", None]),
    "address": ("inet", ["10.0.0.1/8", "::1"]),
}


def test_main_path_types_arrive_unchanged(world):
    columns = ", ".join(f"{name} {kind}" for name, (kind, _) in TYPES.items())
    for ask in (world.sql, world.tsql):
        ask(f"CREATE TABLE kinds (id int PRIMARY KEY, {columns})")
    world.sql("SELECT muskrat.attach('kinds', 'Frontend.Kind', columns => '*')")
    route = {"table": "public.kinds", "key": ["id"], "columns": ["id", *TYPES]}
    world.configure({"kinds": world.mirror(subscribe=["Frontend.Kind.*"], routes=[route])})
    world.program.setup()
    world.start()
    # what the writing session thinks of formats must not show in the events
    odd = "SET extra_float_digits = 0; SET DateStyle = 'German'; SET TimeZone = 'Asia/Tokyo'; SET bytea_output = 'escape'; "
    for n in range(max(len(values) for _, values in TYPES.values())):
        row = [values[n % len(values)] for _, values in TYPES.values()]
        world.sql(odd + f"INSERT INTO kinds VALUES ({', '.join(['%s'] * (len(row) + 1))})", [n, *row])
    read = "SELECT id, " + ", ".join(f"{name}::text" for name in TYPES) + " FROM kinds ORDER BY id"
    wait_until(lambda: len(world.tsql(read)) == len(world.sql(read)), 60, "all rows")
    for ours, theirs in zip(world.sql(read), world.tsql(read)):
        for name, a, b in zip(["id", *TYPES], ours, theirs):
            assert a == b, f"row {ours[0]}, {name}: {a!r} became {b!r}"


def test_main_path_two_attachments_of_one_table_each_say_theirs(world):
    world.stand(endpoints={})
    world.sql("SELECT muskrat.attach('customers', 'Frontend.Plan', on_insert => NULL, on_update => 'Change', on_delete => NULL,"
              " columns => '[\"id\", \"volume\"]')")
    observer = world.observe()
    world.customers(1, volume="200")
    world.sql("UPDATE customers SET volume = '500'")
    world.sql("UPDATE customers SET phone = '1'")
    observer.wait(4)
    assert sorted(d.routing_key for d in observer.quiet(0.5)) == [
        "Frontend.Customer.Signup", "Frontend.Customer.Update", "Frontend.Customer.Update", "Frontend.Plan.Change"]


def test_main_path_events_wait_in_the_outbox_until_the_relay_comes(world):
    world.stand(relay=False, consume=False)
    world.customers(*range(20))
    world.start()
    world.wait_equal()


def test_main_path_append_keeps_every_state(world):
    world.sql(CUSTOMERS)
    world.sql(ATTACH)
    world.tsql(MIRROR)
    world.tsql("CREATE TABLE history (id bigint, email text, op text, at timestamptz)")
    route = {"table": "public.history", "mode": "append",
             "columns": ["id", "email", {"to": "op", "from": "$op"}, {"to": "at", "from": "$captured_at"}]}
    world.configure({"history": world.mirror(routes=[route])})
    world.program.setup()
    world.start()
    world.customers(1)
    world.sql("UPDATE customers SET email = 'second@example.com'")
    world.sql("DELETE FROM customers")
    world.wait_target("SELECT id, email, op FROM history ORDER BY at",
                      [(1, "c1@example.com", "insert"), (1, "second@example.com", "update"), (1, "second@example.com", "delete")])


def test_main_path_partitioned_table_speaks_under_the_roots_name(world):
    world.sql("CREATE TABLE visits (id int, day date, note text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day)")
    world.sql("CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')")
    world.sql("SELECT muskrat.attach('visits', 'Frontend.Visit', columns => '*')")
    world.sql("CREATE TABLE visits_2 PARTITION OF visits FOR VALUES FROM ('2026-02-01') TO ('2026-03-01')")
    world.configure({})
    world.program.setup()
    observer = world.observe()
    world.start(consume=False)
    world.sql("INSERT INTO visits VALUES (1, '2026-01-05', 'a'), (2, '2026-02-05', 'b')")
    events = observer.wait(2)
    assert sorted(json.loads(e.body)["note"] for e in events) == ["a", "b"]
    assert {e.routing_key.rsplit(".", 1)[0] for e in events} == {"Frontend.Visit"}
