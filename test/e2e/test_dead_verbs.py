"""`muskrat dead list, show, export` and the filters that all of its verbs share, also over very many letters."""
import base64
import json
import os
import stat
import time

import pika

from harness.processes import wait_until

QUEUE = "muskrat.analytics.dead"


def bury(world, letters):
    """Puts letters as the host writes them into the dead-letter queue; each is a dict of headers, id and body."""
    now = int(time.time() * 1000)

    def message(n, letter):
        headers = {"x-muskrat-routing-key": letter.get("routing_key", "Frontend.Customer.Signup"),
                   "x-muskrat-key": letter.get("key", f"Frontend.Customer:[{n}]"), "x-muskrat-source": "frontend",
                   "x-muskrat-reason": letter.get("reason", "SQLSTATE 23514"), "x-muskrat-class": letter.get("class", "permanent"),
                   "x-muskrat-attempts": 1, "x-muskrat-dead-at": now - 1000 * letter.get("age", 10)}
        return letter.get("body", '{"id": %d}' % n), pika.BasicProperties(
            message_id=letter.get("id", f"m{n}"), delivery_mode=2, content_type="application/json", headers=headers)
    world.broker.fill(QUEUE, [message(n, letter) for n, letter in enumerate(letters)])


def ready(world):
    world.configure({"analytics": world.mirror()})
    world.program.setup()


def ids(world, verb, *args):
    out = world.program.run("dead", verb, "analytics", *args).stdout
    return [json.loads(line)["message_id"] for line in out.splitlines()]


MIXED = [
    {"id": "a", "reason": "SQLSTATE 23514 constraint plan_check", "age": 7200},
    {"id": "b", "reason": "timed out (tried 10 times)", "class": "transient", "age": 7200, "key": "K1"},
    {"id": "c", "reason": "timed out (tried 10 times)", "class": "transient", "age": 60, "routing_key": "Frontend.Order.Placed"},
    {"id": "d", "reason": "held behind b", "class": "held", "age": 30, "key": "K1"},
]


def test_dead_filters_mean_the_same_letters_to_every_verb(world):
    ready(world)
    bury(world, MIXED)
    for args, meant in [(("--key", "K1"), "bd"), (("--reason", "plan_check"), "a"), (("--class", "transient"), "bc"),
                        (("--older", "1h"), "ab"), (("--newer", "1h"), "cd"), (("--older", "45s", "--newer", "1h"), "c"),
                        (("--routing-key", "Frontend.Customer.*"), "abd"), (("--message-id", "a", "--message-id", "c"), "ac"),
                        (("--class", "transient", "--key", "K1"), "b"), (("--reason", "no such"), "")]:
        assert ids(world, "list", "--json", *args) == list(meant), args
        assert ids(world, "export", *args) == list(meant), args
        assert ids(world, "show", "--json", *args) == list(meant), args
    assert ids(world, "export", "--limit", "2") == ["a", "b"]
    assert "1 dead letter of the endpoint analytics dropped; 3 left" in \
        world.program.ok("dead", "drop", "analytics", "--class", "transient", "--limit", "1", "--yes")
    assert "1 dead letter sent" in world.program.ok("dead", "retry", "analytics", "--routing-key", "Frontend.Order.*")
    assert ids(world, "list", "--json") == ["a", "d"] and world.broker.depth("muskrat.analytics") == 1


def test_dead_retry_behind_many_that_cannot_be_sent_again_reaches_the_others(world):
    """More strangers' letters, without a routing key of Muskrat's, than the broker hands over at a time."""
    ready(world)
    strangers = [("{}", pika.BasicProperties(message_id=f"s{n}", delivery_mode=2)) for n in range(1200)]
    world.broker.fill(QUEUE, strangers)
    bury(world, MIXED)
    out = world.program.ok("dead", "retry", "analytics")
    assert "4 dead letters sent" in out and "1200 left" in out and "1200 letters without a routing key" in out
    assert ids(world, "list", "--json", "--limit", "5000") == [f"s{n}" for n in range(1200)]
    assert world.broker.depth("muskrat.analytics") == 4


def test_dead_filters_that_cannot_be_are_refused(world):
    ready(world)
    for args, says in [(("--class", "odd"), "transient, permanent, held"), (("--older", "soon"), "--older: expected a duration"),
                       (("--routing-key", "a..b"), "--routing-key a..b"), (("--limit", "0"), "--limit")]:
        done = world.program.run("dead", "export", "analytics", *args)
        assert done.returncode == 2 and says in done.stderr, done


def test_dead_list_counts_by_reason_for_one_endpoint_and_for_all(world):
    ready(world)
    bury(world, MIXED + [{"id": "e", "reason": "held behind c", "class": "held"}])
    out = world.program.ok("dead", "list", "analytics", "--limit", "1")
    rows = [line.split() for line in out.splitlines()]
    assert ["2", "transient", "timed"] in [[r[0], *r[3:5]] for r in rows if len(r) > 4], out
    assert ["2", "held", "held"] in [[r[0], *r[3:5]] for r in rows if len(r) > 4], "one reason, whatever they wait for"
    assert "has 5 dead letters" in out and "Shown: 1" in out
    assert "has 5 dead letters" in world.program.ok("dead", "list")
    (counts,) = [json.loads(line) for line in world.program.ok("dead", "list", "--json").splitlines()]
    assert (counts["endpoint"], counts["letters"]) == ("analytics", 5)
    assert {r["reason"]: r["letters"] for r in counts["reasons"]}["held behind another letter"] == 2


def test_dead_show_tells_all_and_the_body_only_when_asked(world):
    world.stand(endpoints={"analytics": world.mirror(retry_attempts=3, retry_first="10ms", retry_most="20ms")})
    world.tsql("CREATE FUNCTION busy() RETURNS trigger LANGUAGE plpgsql AS "
               "$$ BEGIN RAISE 'busy' USING ERRCODE = 'lock_not_available'; END $$")
    world.tsql("CREATE TRIGGER busy BEFORE INSERT ON customers FOR EACH ROW WHEN (new.id = 7) EXECUTE FUNCTION busy()")
    world.customers(1, 7, company="Secret Ltd")
    world.broker.wait_depth(QUEUE, 1)
    (letter,) = world.broker.peek(QUEUE)
    for which in (letter.message_id, "1"):
        out = world.program.ok("dead", "show", "analytics", which)
        assert "class          transient" in out and "attempts       3" in out and "Secret" not in out
        assert out.count("SQLSTATE 55P03") >= 3, "each attempt has its line"
    assert "Secret Ltd" in world.program.ok("dead", "show", "analytics", "1", "--body")
    shown = json.loads(world.program.ok("dead", "show", "analytics", "1", "--json"))
    assert shown["class"] == "transient" and len(shown["trail"].splitlines()) == 3 and "body" not in shown
    for args, code, says in [((), 2, "which letter"), (("0",), 2, "numbered from 1"), (("000",), 2, "numbered from 1"),
                             (("2",), 3, "No such letter among the 1 dead letter"), (("nobody",), 3, "No such letter")]:
        done = world.program.run("dead", "show", "analytics", *args)
        assert done.returncode == code and says in done.stderr, done
    assert world.broker.depth(QUEUE) == 1


def test_dead_show_trail_grows_over_lives(world):
    world.stand()
    world.tsql("ALTER TABLE customers ADD CONSTRAINT plan_check CHECK (volume <> 'bad')")
    world.customers(1, volume="bad")
    world.broker.wait_depth(QUEUE, 1)
    world.program.ok("dead", "retry", "analytics")
    wait_until(lambda: world.consumer.metric("muskrat_endpoint_dead_total", endpoint="analytics") == 2, 60, "the second burial")
    out = world.program.ok("dead", "show", "analytics", "1")
    assert out.count("dead: SQLSTATE 23514 constraint plan_check") == 2 and "class          permanent" in out


def test_dead_export_holds_everything_and_takes_nothing(world):
    ready(world)
    bury(world, [{"id": "a", "body": '{"n": 12345678901234567890.123,\n "x": null}'},
                 {"id": "b", "body": b"\xff\x00"}, {"id": "c", "body": "plain"}])
    path = os.path.join(world.folder, "letters.jsonl")
    done = world.program.run("dead", "export", "analytics", "--output", path)
    assert done.returncode == 0 and "3 dead letters of the endpoint analytics exported with their bodies" in done.stderr
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    with open(path, encoding="utf-8") as f:
        lines = f.read().splitlines()
    assert '"body":{"n":12345678901234567890.123,"x":null}' in lines[0], "every digit is kept"
    assert base64.b64decode(json.loads(lines[1])["base64"]) == b"\xff\x00" and json.loads(lines[2])["text"] == "plain"
    assert json.loads(lines[0])["headers"]["x-muskrat-reason"] == "SQLSTATE 23514"
    again = world.program.run("dead", "export", "analytics", "--output", path)
    assert again.returncode == 2 and "is there already" in again.stderr
    assert world.program.run("dead", "export", "analytics", "--key", "none").returncode == 3
    assert world.broker.depth(QUEUE) == 3


def test_dead_verbs_over_20000_letters_stay_small(world):
    """Peak memory as the kernel counts it; each letter has 2 kB, so that keeping them all would show (40 MB and more)."""
    ready(world)
    bury(world, [{"id": f"m{n}", "class": "permanent" if n % 4 else "transient", "body": '{"x": "%s"}' % ("y" * 2000)}
                 for n in range(20_000)])
    took = {}

    def measured(verb, *args):
        start = time.monotonic()
        out, peak = world.program.measured("dead", verb, "analytics", *args, timeout=300)
        took[verb] = f"{time.monotonic() - start:.1f} s, {peak >> 20} MiB"
        assert peak < 96 << 20, f"{verb}: {peak >> 20} MiB"
        return out
    assert "has 20000 dead letters" in measured("list", "--limit", "3")
    path = os.path.join(world.folder, "all.jsonl")
    measured("export", "-o", path)
    with open(path, encoding="utf-8") as f:
        assert [json.loads(line)["message_id"] for line in f] == [f"m{n}" for n in range(20_000)]
    assert "500 dead letters sent to the endpoint analytics again; 19500 left" in \
        measured("retry", "--class", "transient", "--limit", "500")
    assert "15000 dead letters of the endpoint analytics dropped; 4500 left" in measured("drop", "--class", "permanent", "--yes")
    print(took)
    assert world.broker.depth(QUEUE) == 4500 and world.broker.depth("muskrat.analytics") == 500
