"""Published events again: `muskrat replay`, from the outbox and from what was unrouted."""
import json
import os
import re
import signal

import pika
import pytest
from world import ATTACH, CUSTOMERS
from harness.clients import Delivery, Observer
from harness.processes import Child, wait_until

FORGET_GUARD = ("DELETE FROM muskrat_endpoint.guard USING muskrat_endpoint.scope s WHERE scope = s.id AND s.target = 'public.customers'")


def replay(world, *args, code=0, **kw):
    done = world.program.run("replay", "frontend", *args, **kw)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def take(world, queue):
    """All that the queue has. An endpoint's queue, with its single active consumer, knows no basic.get."""
    def consume(channel):
        channel.basic_qos(prefetch_count=2000)
        count, taken = channel.queue_declare(queue, passive=True).method.message_count, []
        silent = 0
        for method, properties, body in channel.consume(queue, inactivity_timeout=0.7):
            if method is None:
                silent += 1
                if len(taken) >= count or silent > 40:  # the broker may take a while to begin
                    break
                continue
            taken.append(Delivery(method.routing_key, properties.message_id, body.decode(), properties.headers or {}, properties))
            channel.basic_ack(method.delivery_tag)
        channel.cancel()
        return taken
    return world.broker.call(consume)


def bytes_of(delivery):
    p = delivery.properties
    return (delivery.body, p.message_id, p.type, p.content_type, p.timestamp, p.correlation_id, p.app_id, p.delivery_mode,
            {k: v for k, v in delivery.headers.items() if k != "x-muskrat-routing-key"})


def test_replay_repeats_id_body_and_headers_to_the_one_queue(world):
    world.stand(endpoints={"analytics": world.mirror(), "other": world.mirror()}, consume=False)
    world.customers(1, 2, volume="200")
    world.sql("UPDATE customers SET phone = '555' WHERE id = 1")
    world.sql("DELETE FROM customers WHERE id = 2")
    world.broker.wait_depth("muskrat.other", 4)
    world.published()
    first = take(world, "muskrat.analytics")
    text = replay(world, "--all", "--to", "analytics", "--yes")
    assert "4 events sent to the endpoint analytics again" in text
    again = take(world, "muskrat.analytics")
    assert [bytes_of(d) for d in again] == [bytes_of(d) for d in first]
    assert [d.headers["x-muskrat-routing-key"] for d in again] == [d.routing_key for d in first]
    assert world.broker.depth("muskrat.other") == 4, "no other endpoint got any"


def test_replay_plan_says_what_would_go_and_changes_nothing(world):
    world.stand(consume=False)
    world.customers(1, 2, 3)
    world.sql("UPDATE customers SET phone = '555' WHERE id = 1")
    world.broker.wait_depth("muskrat.analytics", 4)
    world.published()
    text = replay(world, "--since", "1h", "--to", "analytics", "--dry-run")
    assert "4 events" in text and "Frontend.Customer.Signup" in text and "Frontend.Customer.Update" in text
    plan = json.loads(replay(world, "--since", "1h", "--to", "analytics", "--dry-run", "--json"))["plan"]
    assert (plan["events"], plan["to"]) == (4, "analytics")
    assert {k["routing_key"]: k["events"] for k in plan["routing_keys"]} == {"Frontend.Customer.Signup": 3, "Frontend.Customer.Update": 1}
    assert "Type the endpoint's name" not in text
    assert replay(world, "--all", "--to", "analytics", code=2)  # nobody is there to answer
    assert world.broker.depth("muskrat.analytics") == 4


def test_replay_chooses_by_time_key_pattern_and_id(world):
    world.stand(consume=False)
    world.customers(1, 2)
    world.broker.wait_depth("muskrat.analytics", 2)
    middle = world.sql("SELECT clock_timestamp()")[0][0].isoformat()
    world.customers(3)
    world.sql("UPDATE customers SET phone = '555' WHERE id = 1")
    world.broker.wait_depth("muskrat.analytics", 4)
    world.published()
    (one, *_) = take(world, "muskrat.analytics")

    def ids(*args):
        replay(world, *args, "--to", "analytics", "--yes")
        return [d.json["id"] for d in take(world, "muskrat.analytics")]

    assert ids("--since", middle) == [3, 1]
    assert ids("--until", middle) == [1, 2]
    assert ids("--key", "Frontend.Customer:[1]") == [1, 1]
    assert ids("--routing-key", "*.*.Update") == [1]
    assert ids("--message-id", one.properties.message_id) == [1]
    assert ids("--key", "Frontend.Customer:[1]", "--after", str(one.seq)) == [1]
    assert "Nothing that was published" in replay(world, "--key", "Frontend.Customer:[99]", "--to", "analytics", "--yes", code=3)


def test_replay_leaves_out_what_the_relay_has_yet_to_publish(world):
    world.stand(consume=False)
    world.customers(1)
    world.broker.wait_depth("muskrat.analytics", 1)
    world.published()
    world.relay.stop()
    world.customers(2)
    assert "1 event sent" in replay(world, "--all", "--to", "analytics", "--yes")
    world.start(consume=False)
    world.broker.wait_depth("muskrat.analytics", 3)
    assert [d.json["id"] for d in take(world, "muskrat.analytics")] == [1, 1, 2]


def test_replay_against_newer_state_changes_nothing(world):
    world.stand()
    world.customers(1, 2, 3, volume="200")
    world.sql("UPDATE customers SET volume = '500' WHERE id = 1")
    world.sql("DELETE FROM customers WHERE id = 2")
    world.settled()
    world.tsql("CREATE TABLE writes (id bigint)")
    world.tsql("CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
               "INSERT INTO writes VALUES (coalesce(new.id, old.id)); RETURN NULL; END $$")
    world.tsql("CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON customers FOR EACH ROW EXECUTE FUNCTION note()")
    # A signup alone, and a deleted row's: older than what the endpoint has.
    replay(world, "--routing-key", "Frontend.Customer.Signup", "--to", "analytics", "--yes")
    world.customers(4)
    world.settled()
    world.wait_equal()
    assert world.tsql("SELECT id FROM writes") == [(4,)]


def test_replay_rebuilds_an_emptied_table(world):
    world.stand()
    world.customers(*range(1, 41), volume="200")
    world.sql("UPDATE customers SET volume = '500' WHERE id % 3 = 0")
    world.sql("DELETE FROM customers WHERE id % 5 = 0")
    world.settled()
    world.tsql("TRUNCATE customers")
    world.tsql(FORGET_GUARD)
    world.customers(41)
    replay(world, "--all", "--to", "analytics", "--yes")
    world.wait_equal()
    assert world.broker.depth("muskrat.analytics.dead") == 0


def test_replay_to_all_reaches_every_queue_and_what_was_for_one_only_that_one(world):
    world.stand(endpoints={"analytics": world.mirror(), "other": world.mirror()}, consume=False)
    world.customers(1)
    world.program.ok("backfill", "customers", "--to", "other")
    world.broker.wait_depth("muskrat.other", 2)
    world.published()
    for queue in ("muskrat.analytics", "muskrat.other"):
        take(world, queue)
    text = replay(world, "--all", "--to-all", "--yes")
    assert "for other alone" in text and "2 events sent" in text
    assert [d.op for d in take(world, "muskrat.analytics")] == ["insert"]
    assert [d.op for d in take(world, "muskrat.other")] == ["insert", "backfill"]
    # To one endpoint: nothing that was for another alone.
    assert "1 event sent" in replay(world, "--all", "--to", "analytics", "--yes")
    # An endpoint that the configuration has no more.
    del world.program.config["endpoints"]["other"]
    world.program.save()
    assert "left out: 1 event" in replay(world, "--all", "--to-all", "--dry-run")
    assert "1 event sent" in replay(world, "--routing-key", "#", "--to-all", "--yes")


def test_replay_to_one_endpoint_of_what_was_for_it_alone_brings_nothing_of_the_same_key_that_was_for_all(world):
    world.stand(endpoints={"analytics": world.mirror(), "invoices": world.mirror(subscribe=["Frontend.Invoice.*"])}, consume=False)
    world.customers(1, 2)
    world.program.ok("backfill", "customers", "--to", "invoices")
    world.program.ok("backfill", "customers", "--yes")
    world.broker.wait_depth("muskrat.analytics", 4)
    world.published()
    alone = [d.message_id for d in take(world, "muskrat.invoices")]
    assert "2 events sent" in replay(world, "--all", "--to", "invoices", "--yes")
    assert [d.message_id for d in take(world, "muskrat.invoices")] == alone and len(alone) == 2


def test_replay_is_throttled_and_goes_on_where_it_was_stopped(world):
    world.stand(consume=False)
    world.sql("INSERT INTO customers (id, email) SELECT n, 'e' FROM generate_series(1, 1500) AS n")
    world.broker.wait_depth("muskrat.analytics", 1500)
    world.published()
    take(world, "muskrat.analytics")
    child = Child(world.program.argv("replay", "frontend", "--all", "--to", "analytics", "--yes", "--rate", "300/s"),
                  f"{world.folder}/replay.log", record=world.folder)
    wait_until(lambda: world.broker.depth("muskrat.analytics") > 20, 60, "some of them")
    os.kill(child.pid, signal.SIGINT)
    assert child.wait(60) == 3, child.log()
    after = child.log().rsplit("--after ", 1)[1].split(".")[0]
    first = [d.json["id"] for d in take(world, "muskrat.analytics")]
    assert 20 < len(first) < 1500
    replay(world, "--all", "--to", "analytics", "--yes", "--after", after)
    rest = [d.json["id"] for d in take(world, "muskrat.analytics")]
    assert first + rest == list(range(1, 1501))


def test_replay_killed_in_mid_run_is_run_again_and_the_endpoint_keeps_newer_state(world):
    """The first customers are changed, or deleted, between the runs; the endpoint has lost its rows and its guard before."""
    world.stand()
    world.sql("INSERT INTO customers (id, email) SELECT n, 'e' FROM generate_series(1, 1500) AS n")
    world.settled()
    world.tsql("TRUNCATE customers")
    world.tsql(FORGET_GUARD)
    child = Child(world.program.argv("replay", "frontend", "--all", "--to", "analytics", "--yes", "--rate", "300/s"),
                  f"{world.folder}/replay.log", record=world.folder)
    wait_until(lambda: world.tsql("SELECT count(*) > 20 FROM customers") == [(True,)], 60, "some of them")
    world.sql("UPDATE customers SET volume = '500' WHERE id <= 10")
    world.sql("DELETE FROM customers WHERE id BETWEEN 11 AND 20")
    child.kill9()
    assert world.tsql("SELECT count(*) < 1500 FROM customers") == [(True,)], "it was in mid-run"
    world.published()
    replay(world, "--all", "--to", "analytics", "--yes")
    world.wait_equal()
    assert world.sql("SELECT count(*)::int FROM customers") == [(1490,)] and world.broker.depth("muskrat.analytics.dead") == 0


def test_replay_that_the_broker_does_not_take_says_so(world):
    world.stand(consume=False)
    world.customers(1)
    world.broker.wait_depth("muskrat.analytics", 1)
    world.published()
    world.broker.delete_queue("muskrat.analytics")
    assert "muskrat setup" in replay(world, "--all", "--to", "analytics", "--yes", code=1)


def test_replay_wrong_usage_is_refused(world):
    world.stand(consume=False)
    for args, words in ((("--all",), "to which endpoint"), (("--to", "analytics"), "which events"),
                        (("--all", "--since", "1h", "--to", "analytics"), "contradict"),
                        (("--all", "--to-all", "--to", "analytics"), "contradict"),
                        (("--all", "--to", "analytic"), "analytics"), (("--since", "soon", "--to", "analytics"), "is no time"),
                        (("--all", "--to", "analytics", "--rate", "fast"), "--rate"),
                        (("--unrouted", "--all"), "--unrouted"), (("--routing-key", "", "--to", "analytics"), "match no event")):
        assert words in replay(world, *args, code=2)


def test_replay_of_a_scheduled_source_says_why_not(world):
    world.sql(CUSTOMERS)
    query = {"kind": "sql-query", "dsn": world.front, "routing_key": "Frontend.Customer.Seen", "query": "SELECT id, email FROM customers",
             "key": ["id"], "every": "1h", "mode": "snapshot"}
    world.program.configure(world.broker.url, sources={"frontend": query}, endpoints={"analytics": world.mirror()})
    assert "keeps no events that were published" in replay(world, "--all", "--to", "analytics", code=2)


def test_replay_after_a_new_epoch_repeats_the_epoch_under_which_it_was_published(world):
    world.stand(consume=False)
    world.customers(1)
    world.broker.wait_depth("muskrat.analytics", 1)
    world.published()
    world.relay.stop()
    world.program.ok("accept", "frontend", "--yes")
    world.start(consume=False)
    world.customers(2)
    world.broker.wait_depth("muskrat.analytics", 2)
    world.published()
    first = take(world, "muskrat.analytics")
    assert first[0].epoch < first[1].epoch
    replay(world, "--all", "--to", "analytics", "--yes")
    assert [(d.epoch, d.seq) for d in take(world, "muskrat.analytics")] == [(d.epoch, d.seq) for d in first]


# ---- what was unrouted ----

def test_replay_unrouted_goes_to_who_subscribes_now_and_the_rest_stays(world):
    world.sql(CUSTOMERS)
    world.sql(ATTACH)
    world.configure({})
    world.program.setup()
    world.start(consume=False)
    world.customers(1, 2)
    world.sql("UPDATE customers SET phone = '555' WHERE id = 1")
    world.sql("SELECT muskrat.emit('Frontend.Order.Paid', '{\"n\": 1}')")
    world.broker.wait_depth("muskrat.unrouted", 4)
    assert "nobody subscribes" in replay(world, "--unrouted")
    world.configure({"analytics": world.mirror()})
    world.program.setup()
    assert "2 messages sent" in replay(world, "--unrouted", "--routing-key", "*.*.Signup", "--yes")
    assert "1 message sent" in replay(world, "--unrouted", "--yes")
    got = take(world, "muskrat.analytics")
    assert [(d.json["id"], d.routing_key) for d in got] == [(1, "Frontend.Customer.Signup"), (2, "Frontend.Customer.Signup"),
                                                            (1, "Frontend.Customer.Update")]
    assert [d.routing_key for d in world.broker.peek("muskrat.unrouted")] == ["Frontend.Order.Paid"]
    stored = world.sql("SELECT message_id::text FROM muskrat.outbox WHERE routing_key LIKE 'Frontend.Customer.%' ORDER BY id")
    assert sorted(d.properties.message_id for d in got) == sorted(m for m, in stored)


def test_replay_unrouted_brings_what_was_for_one_endpoint_to_it(world):
    world.stand(consume=False)
    world.customers(1)
    world.broker.wait_depth("muskrat.analytics", 1)
    world.relay.stop()
    world.program.ok("backfill", "customers", "--to", "analytics")
    world.broker.delete_queue("muskrat.analytics")
    world.start(consume=False)
    world.broker.wait_depth("muskrat.unrouted", 1)
    assert "muskrat setup" in replay(world, "--unrouted", "--yes", code=1)
    world.program.setup()
    observer = Observer(world.broker, "observer", ("#",))
    world.observers.append(observer)
    assert "1 message sent" in replay(world, "--unrouted", "--yes")
    (message,) = take(world, "muskrat.analytics")
    assert (message.op, message.headers["x-muskrat-routing-key"]) == ("backfill", "Frontend.Customer.Backfill")
    assert "x-muskrat-to" not in message.headers
    assert world.broker.depth("muskrat.unrouted") == 0 and not observer.deliveries


def test_replay_unrouted_by_a_user_with_the_documented_rights_works_and_with_fewer_says_which(world):
    world.configure({"analytics": world.mirror()})
    world.program.setup()
    world.broker.fill("muskrat.unrouted", [("{}", pika.BasicProperties(message_id="1", delivery_mode=2, headers={
        "x-muskrat-routing-key": "Frontend.Customer.Signup", "x-muskrat-source": "frontend", "x-muskrat-key": "Frontend.Customer:[1]"}))])
    with world.user_with_rights("muskrat replay"):
        text = replay(world, "--unrouted", "--yes", code=1)
    assert "give it write on muskrat.analytics and read on muskrat, as docs/operations.md says" in text
    assert world.broker.depth("muskrat.unrouted") == 1
    with world.user_with_rights("muskrat replay --unrouted"):
        assert "1 message sent" in replay(world, "--unrouted", "--yes")
    assert world.broker.depth("muskrat.analytics") == 1


@pytest.mark.parametrize("missing", ["binding", "queue"])
def test_replay_as_the_manual_says_brings_what_one_endpoint_missed_and_another_got(world, missing):
    ids = "SELECT id, email FROM {} ORDER BY id"
    crm = {"table": "public.crm", "key": ["id"], "columns": ["id", "email"]}
    world.tsql("CREATE TABLE crm (id bigint PRIMARY KEY, email text)")
    world.stand(endpoints={"analytics": world.mirror(), "crm": world.mirror(routes=[crm])}, consume=False)
    world.customers(1)
    world.broker.wait_depth("muskrat.crm", 1)
    since = world.sql("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US')")[0][0]
    if missing == "binding":
        world.broker.unbind("muskrat.crm", "Frontend.Customer.*")
    else:
        take(world, "muskrat.crm")
        world.broker.delete_queue("muskrat.crm")
    world.customers(2, 3)
    world.sql("UPDATE customers SET email = 'new' WHERE id = 1")
    world.broker.wait_depth("muskrat.analytics", 4)
    world.published()
    assert world.broker.depth("muskrat.unrouted") == 0, "somebody got them"
    assert "has 0 messages" in replay(world, "--unrouted")
    online = world.program.run("check", "--online")
    assert "2 bindings: AMQP does not tell whether they are there; muskrat setup makes those that are missing" in online.stdout
    assert online.returncode == (0 if missing == "binding" else 3)

    (cure,) = world.manual("an endpoint's queue was missing, or a binding of it")
    commands = [text.replace("SOURCE", "frontend").replace("TIME", since).replace("ENDPOINT", "crm").split()
                for text in re.findall("`muskrat (.+?)`", cure)]
    assert [command[0] for command in commands] == ["setup", "replay"]
    world.program.ok(*commands[0])
    assert "3 events sent" in world.program.ok(*commands[1], "--yes")
    world.start(relay=False)
    for table in ("customers", "crm"):
        world.wait_target(ids.format(table), world.sql(ids.format("customers")))


def test_replay_unrouted_finds_what_lies_behind_many_megabytes(world):
    """The walk keeps 16 MiB of bodies at most: 30 MiB for nobody stand before, and 20 MiB that are meant come at once."""
    world.sql(CUSTOMERS)
    world.sql(ATTACH)
    world.configure({"analytics": world.mirror()})
    world.program.setup()

    def messages(routing_key, count, size, first=0):
        return [("x" * size, pika.BasicProperties(message_id=f"{routing_key}-{first + n}", delivery_mode=2, headers={
            "x-muskrat-routing-key": routing_key, "x-muskrat-source": "frontend", "x-muskrat-key": f"{routing_key}:{n}"}))
            for n in range(count)]
    meant, nobodys = "Frontend.Customer.Signup", "Frontend.Order.Paid"
    world.broker.fill("muskrat.unrouted", messages(nobodys, 100, 300_000) + messages(meant, 200, 100_000) +
                      messages(nobodys, 50, 300_000, 100) + messages(meant, 5, 100, 200))
    out, peak = world.program.measured("replay", "frontend", "--unrouted", "--yes", timeout=120)
    assert "205 messages sent to where they are bound now; 150 left" in out, out
    assert peak < 96 << 20, f"{peak >> 20} MiB"
    got = take(world, "muskrat.analytics")
    assert [d.properties.message_id for d in got] == [f"{meant}-{n}" for n in range(205)]
    assert [d.message_id for d in world.broker.peek("muskrat.unrouted")] == [f"{nobodys}-{n}" for n in range(150)]
