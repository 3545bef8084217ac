"""`muskrat forget`: one customer's events leave every place that Muskrat has, and nobody else's do."""
import contextlib
import glob
import json
import os
import signal
import sqlite3
import subprocess
import uuid

import pika
from test_dead_verbs import QUEUE as DEAD, bury
from test_mysql_source import Front

from harness.processes import wait_until

KEY, LONGER = "Frontend.Customer:[1]", "Frontend.Customer:[12]"
OTHER_DEAD = "muskrat.other.dead"


def forget(world, *args, code=0, **kw):
    done = world.program.run("forget", *args, **kw)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def bury_other(world, keys):
    world.broker.fill(OTHER_DEAD, [("{}", pika.BasicProperties(message_id=f"o{n}", delivery_mode=2, headers={
        "x-muskrat-key": key, "x-muskrat-routing-key": "Frontend.Customer.Update", "x-muskrat-dead-at": 1})) for n, key in enumerate(keys)])


def lay_unrouted(world, keys):
    world.broker.fill("muskrat.unrouted", [("{}", pika.BasicProperties(
        message_id=str(uuid.uuid4()), delivery_mode=2, headers={"x-muskrat-key": key})) for key in keys])


def keys_of(world, queue):
    return [d.headers["x-muskrat-key"] for d in world.broker.peek(queue)]


def outbox(world):
    return sorted(world.sql("SELECT ordering_key, count(*)::int FROM muskrat.outbox GROUP BY 1"), key=lambda row: row[0])


def plant(world):
    """Two customers, one's key the beginning of the other's, in every place."""
    world.stand(endpoints={"analytics": world.mirror(), "other": world.mirror()}, consume=False,
                consumer={"state": os.path.join(world.folder, "state.db")})
    world.customers(1, 12)
    world.sql("UPDATE customers SET phone = '555'")
    world.broker.wait_depth("muskrat.analytics", 4)
    world.published()
    bury(world, [{"id": "a", "key": KEY}, {"id": "b", "key": LONGER}, {"id": "c", "key": KEY}])
    bury_other(world, [LONGER, KEY])
    lay_unrouted(world, [KEY, LONGER, KEY, KEY])
    world.consumer = world.program.consume()
    world.settled()
    assert world.consumer.stop() == 0
    world.program.ok("pause", "analytics")  # makes the state database
    world.program.ok("resume", "analytics")
    with sqlite3.connect(state_path(world)) as db:
        db.executemany("INSERT INTO superseded (endpoint, message_id, key, routing_key, epoch, seq, by, at_us) "
                       "VALUES (?, 'm', ?, 'Frontend.Customer.Update', 1, 1, '1/2', 1)",
                       [("analytics", KEY), ("analytics", LONGER), ("other", KEY)])


def state_path(world):
    return os.path.join(world.folder, "state.db")


def noted(world):
    with sqlite3.connect(state_path(world)) as db:
        return [key for key, in db.execute("SELECT key FROM superseded ORDER BY id")]


def test_forget_takes_one_customer_out_of_every_place_and_no_other(world):
    plant(world)
    before = outbox(world)
    assert before == [(LONGER, 2), (KEY, 2)]
    plan = forget(world, "--key", KEY, "--dry-run")
    assert "Out of reach" in plan and "guards" in plan and "backups" in plan
    assert outbox(world) == before and len(keys_of(world, DEAD)) == 3 and len(noted(world)) == 3
    assert "say --yes" in forget(world, "--key", KEY, code=2)  # nobody is there to answer
    assert outbox(world) == before

    with contextlib.closing(sqlite3.connect(state_path(world))) as host:  # has it open, so that its log outlives the command
        host.execute("SELECT count(*) FROM superseded").fetchall()
        text = forget(world, "--key", KEY, "--yes")
        for path in glob.glob(state_path(world) + "*"):
            with open(path, "rb") as f:
                assert KEY.encode() not in f.read(), f"no free page keeps it: {path}"
    assert "10 events erased; 0 left" in text, text
    assert outbox(world) == [(LONGER, 2)]
    assert keys_of(world, DEAD) == [LONGER] and keys_of(world, OTHER_DEAD) == [LONGER]
    assert keys_of(world, "muskrat.unrouted") == [LONGER]
    assert noted(world) == [LONGER]
    assert "Nothing was found" in forget(world, "--key", KEY, "--yes", code=3)
    # And nothing can bring it back.
    assert "Nothing that was published" in world.program.run("replay", "frontend", "--key", KEY, "--to", "other", "--dry-run").stdout


def test_forget_says_in_json_what_it_found_and_did(world):
    plant(world)
    plan, = map(json.loads, forget(world, "--key", KEY, "--dry-run", "--json").splitlines())
    found = {(place["place"], place["name"]): place["events"] for place in plan["plan"]["places"] if place["place"] != "passed over"}
    assert found == {("outbox", "frontend"): 2, ("unrouted", "muskrat.unrouted"): 3, ("dead letters", "analytics"): 2,
                     ("dead letters", "other"): 1}
    assert plan["plan"]["underway"] == [{"endpoint": "analytics", "messages": 0}, {"endpoint": "other", "messages": 0}]
    _, end = map(json.loads, forget(world, "--key", KEY, "--yes", "--json").splitlines())
    assert (end["state"], end["erased"], end["left"], end["unseen"]) == ("done", 10, 0, 0)
    assert KEY not in json.dumps(plan) + json.dumps(end), "a key may be personal"


def test_forget_killed_at_many_calls_takes_nobody_else_and_the_same_command_does_the_rest(world):
    plant(world)
    calls = "sendto,sendmsg,write,writev,pwrite64,fsync,fdatasync"
    argv = world.program.argv("forget", "--key", KEY, "--yes")
    kills, n = [], 1
    while True:
        done = subprocess.run(["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", "-e",
                               f"inject={calls}:signal=KILL:when={n}", *argv], capture_output=True, timeout=60, check=False)
        kills.append(done.returncode == -signal.SIGKILL)
        left = [sum(count for key, count in outbox(world) if key == KEY), noted(world).count(KEY)]
        assert (LONGER, 2) in outbox(world) and noted(world).count(LONGER) == 1, f"after call {n}"
        if not kills[-1]:
            break
        n += 3
    assert sum(kills) >= 10 and done.returncode in (0, 3), (n, done.stdout, done.stderr)
    # What a killed run had in hand the broker puts back.
    for queue in (DEAD, OTHER_DEAD, "muskrat.unrouted"):
        wait_until(lambda q=queue: keys_of(world, q).count(LONGER) == 1, 60, f"the other customer's message in {queue}")
    if any(KEY in keys_of(world, queue) for queue in (DEAD, OTHER_DEAD, "muskrat.unrouted")):
        forget(world, "--key", KEY, "--yes")
    assert [keys_of(world, queue) for queue in (DEAD, OTHER_DEAD, "muskrat.unrouted")] == [[LONGER]] * 3
    assert left == [0, 0] and outbox(world) == [(LONGER, 2)] and noted(world) == [LONGER]


def test_forget_leaves_what_is_not_published_and_says_so(world):
    world.stand(consume=False)
    world.customers(1)
    world.broker.wait_depth("muskrat.analytics", 1)
    world.published()
    world.relay.stop()
    world.sql("DELETE FROM customers WHERE id = 1")
    text = forget(world, "--key", KEY, "--yes", code=3)
    assert "1 more not published yet" in text and "1 message waiting in the queue of analytics" in text
    assert "1 event erased; 1 left" in text
    assert world.sql("SELECT op FROM muskrat.outbox") == [("d",)]
    world.start()  # the deletion still travels
    world.settled()
    assert world.tsql("SELECT count(*)::int FROM customers") == [(0,)]
    assert "1 event erased; 0 left" in forget(world, "--key", KEY, "--yes")


def test_forget_takes_keys_from_a_file(world):
    world.stand(consume=False)
    world.customers(1, 12, 3)
    world.broker.wait_depth("muskrat.analytics", 3)
    world.published()
    path = os.path.join(world.folder, "keys.txt")
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"{KEY}\r\n\nFrontend.Customer:[3]\n{KEY}\n")
    assert "2 events erased; 0 left" in forget(world, "--key-file", path, "--yes")
    assert outbox(world) == [(LONGER, 1)]


def test_forget_without_a_broker_or_a_right_erases_nothing(world):
    world.stand(consume=False)
    world.customers(1)
    world.broker.wait_depth("muskrat.analytics", 1)
    world.published()
    world.sql("DROP ROLE IF EXISTS forget_nobody")
    world.sql("CREATE ROLE forget_nobody LOGIN IN ROLE muskrat_relay")
    try:
        text = forget(world, "--key", KEY, "--yes", "--dsn", f"{world.front} user=forget_nobody", code=1)
        assert "EXECUTE on muskrat.forget" in text and KEY not in text
        world.sql("GRANT EXECUTE ON FUNCTION muskrat.forget(int, text[], boolean) TO forget_nobody")
        assert "EVENTS" in forget(world, "--key", KEY, "--dry-run", "--dsn", f"{world.front} user=forget_nobody")
    finally:
        world.sql("DROP OWNED BY forget_nobody")
        world.sql("DROP ROLE forget_nobody")
    world.program.config["broker"]["url"] = "amqp://guest:guest@127.0.0.1:1/none"
    world.program.save()
    assert "127.0.0.1" in forget(world, "--key", KEY, "--yes", code=1)
    assert outbox(world) == [(KEY, 1)]


def test_forget_wrong_usage_is_refused(world):
    world.stand(consume=False)
    for args, words in (((), "whose events"), (("--key", ""), "an empty --key"), (("--key-file", "/none"), "cannot read /none"),
                        (("--key", KEY, "--source", "backend"), "backend")):
        assert words in forget(world, *args, code=2)


def test_forget_in_mysql_empties_the_history(world, mariadb):
    front = Front(mariadb)
    world.program.configure(world.broker.url, sources=front.source(retention="1h"))
    world.program.setup()
    observer = world.observe()
    world.relay = world.program.relay()
    front.say(1, 12, 1)
    observer.wait(3)
    world.relay.stop()
    assert front.value("SELECT COUNT(*) FROM muskrat.history") == 3
    front.say(1)
    text = forget(world, "--key", "Frontend.Customer:1", "--yes", code=3)
    assert "1 more not published yet" in text
    assert mariadb.sql("SELECT ordering_key FROM muskrat.history") == (("Frontend.Customer:12",),)
    assert front.value("SELECT COUNT(*) FROM muskrat.outbox") == 1
