"""The host between queue and endpoint: what it gives back, in which order, and what it says meanwhile. No relay here."""
import json
import uuid
from contextlib import closing

import pika

from harness.clients import connect
from harness.processes import wait_until

TABLE = "CREATE TABLE c (id bigint PRIMARY KEY, email text NOT NULL, volume bigint)"
ROUTE = {"table": "public.c", "key": ["id"], "columns": ["id", "email", "volume"]}
WORDS = {"insert": "Signup", "update": "Update", "delete": "Cancel", "truncate": "Truncate"}


class Bench:
    """One endpoint `it`, and events published to it as the relay would."""

    def __init__(self, world, **options):
        self.world, self.seq = world, 0
        world.tsql(TABLE)
        world.configure({"it": world.mirror(subscribe=["Frontend.*"], **{"routes": [ROUTE], **options})})
        world.program.setup()

    def start(self):
        self.world.start(relay=False)
        return self.world.consumer

    def send(self, *events):
        """Events are dicts: id, and perhaps op, body, key, message_id. Confirmed, in order."""
        def publish(channel):
            channel.confirm_delivery()
            for event in events:
                self.seq += 1
                op = event.get("op", "insert")
                row = {"id": event["id"], "email": f"v{self.seq}", "volume": event.get("volume", self.seq)}
                headers = {"x-muskrat-key": event.get("key", f"Frontend.C:[{event['id']}]"), "x-muskrat-epoch": 1,
                           "x-muskrat-seq": self.seq, "x-muskrat-source": "frontend", "x-muskrat-op": op}
                properties = pika.BasicProperties(message_id=event.get("message_id", str(uuid.uuid4())), delivery_mode=2,
                                                  content_type="application/json", headers=headers)
                channel.basic_publish("muskrat", "Frontend.C." + WORDS[op], event.get("body", json.dumps(row)), properties)
        self.world.broker.call(publish)
        return self.seq

    def letters(self, count):
        self.world.broker.wait_depth("muskrat.it.dead", count)
        return self.world.broker.peek("muskrat.it.dead")

    def metric(self, name):
        return self.world.consumer.metric("muskrat_endpoint_" + name, endpoint="it")

    def log(self):
        with open(self.world.consumer.log_path, encoding="utf-8") as f:
            return f.read()


def test_host_unpublished_dead_letter_holds_its_key_and_no_other(world):
    bench = Bench(world)
    bench.start()
    world.broker.call(lambda c: c.queue_unbind("muskrat.it.dead", "muskrat.dead", "it"))
    newest = bench.send({"id": 1, "body": "no json"}, {"id": 1, "op": "update"})
    bench.send(*({"id": n} for n in range(2, 40)))
    world.wait_target("SELECT count(*), min(id) FROM c", [(38, 2)])
    wait_until(lambda: bench.metric("held_back") == 2, 60, "both events of the key to wait")
    assert "run muskrat setup" in world.wait_log(world.consumer, "dead letters not published")
    assert world.consumer.stop() == 0, "a letter that cannot be published keeps nobody from stopping"
    world.broker.wait_depth("muskrat.it", 2)
    world.broker.call(lambda c: c.queue_bind("muskrat.it.dead", "muskrat.dead", "it"))
    bench.start()
    (letter,) = bench.letters(1)
    assert "not JSON" in letter.headers["x-muskrat-reason"]
    world.wait_target("SELECT email FROM c WHERE id = 1", [(f"v{newest}",)])


def test_host_held_key_is_free_when_the_last_of_its_letters_is_in_place(world):
    bench = Bench(world, on_dead="hold")
    world.tsql("ALTER TABLE c ADD CONSTRAINT bad CHECK (volume <> 13)")
    bench.start()
    first, second, third = (str(uuid.uuid4()) for _ in range(3))
    bench.send({"id": 1, "volume": 13, "message_id": first}, {"id": 1, "op": "update", "message_id": second}, {"id": 2})
    letters = bench.letters(2)
    assert [letter.headers["x-muskrat-reason"] for letter in letters] == ["SQLSTATE 23514 constraint bad", f"held behind {first}"]
    assert [letter.headers["x-muskrat-class"] for letter in letters] == ["permanent", "held"]
    bench.send({"id": 1, "volume": 14, "message_id": first})
    world.wait_target("SELECT volume FROM c WHERE id = 1", [(14,)])
    bench.send({"id": 1, "op": "update", "message_id": third})
    assert bench.letters(3)[2].headers["x-muskrat-reason"] == f"held behind {second}", "nothing overtakes a letter that still waits"
    for event in (second, third):
        newest = bench.send({"id": 1, "op": "update", "message_id": event})
        world.wait_target("SELECT volume FROM c WHERE id = 1", [(newest,)])
    newest = bench.send({"id": 1, "op": "update"})
    world.wait_target("SELECT volume FROM c WHERE id = 1", [(newest,)])


def test_host_held_key_is_free_when_its_letters_were_dropped(world):
    bench = Bench(world, on_dead="hold")
    world.tsql("ALTER TABLE c ADD CONSTRAINT bad CHECK (volume <> 13)")
    bench.start()
    bench.send({"id": 1, "volume": 13}, {"id": 1, "op": "update"})
    bench.letters(2)
    assert "2 dead letters of the endpoint it dropped" in world.program.ok("dead", "drop", "it", "--all", "--yes")
    world.wait_log(world.consumer, "who is held is read anew")
    newest = bench.send({"id": 1})
    world.wait_target("SELECT volume FROM c WHERE id = 1", [(newest,)])
    assert world.broker.depth("muskrat.it.dead") == 0


def test_host_held_key_is_free_when_its_letters_were_dropped_and_one_without_a_key_stays(world):
    bench = Bench(world, on_dead="hold")
    world.tsql("ALTER TABLE c ADD CONSTRAINT bad CHECK (volume <> 13)")
    bench.start()
    bench.send({"id": 0, "op": "truncate", "key": ""}, {"id": 1, "volume": 13})
    bench.letters(2)
    assert "1 dead letter" in world.program.ok("dead", "drop", "it", "--key", "Frontend.C:[1]", "--yes")
    world.wait_log(world.consumer, "who is held is read anew")
    newest = bench.send({"id": 1})
    world.wait_target("SELECT volume FROM c WHERE id = 1", [(newest,)])
    assert world.broker.depth("muskrat.it.dead") == 1 and bench.log().count("who is held is read anew") == 1


def test_host_event_held_behind_one_that_is_dealt_with_may_pass_after_a_restart(world):
    bench = Bench(world, on_dead="hold")
    world.tsql("ALTER TABLE c ADD CONSTRAINT bad CHECK (volume <> 13)")
    bench.start()
    second = str(uuid.uuid4())
    bench.send({"id": 1, "volume": 13}, {"id": 1, "op": "update", "message_id": second})
    bench.letters(2)
    assert world.consumer.stop() == 0
    world.broker.call(lambda c: c.basic_get("muskrat.it.dead", auto_ack=True))
    bench.start()
    newest = bench.send({"id": 1, "op": "update", "message_id": second})
    world.wait_target("SELECT volume FROM c WHERE id = 1", [(newest,)])


def test_host_attempts_are_counted_across_giving_back(world):
    bench = Bench(world, give_back_after="700ms", retry_first="300ms", retry_most="300ms", retry_attempts=8)
    world.tsql("ALTER TABLE c ADD FOREIGN KEY (volume) REFERENCES c (id)")
    bench.start()
    bench.send({"id": 1, "volume": 99}, {"id": 1, "op": "update", "body": '{"id": 1, "email": "later", "volume": null}'})
    (letter,) = bench.letters(1)
    assert letter.headers["x-muskrat-attempts"] == 8
    assert "23503" in letter.headers["x-muskrat-reason"]
    world.wait_target("SELECT email FROM c", [("later",)])
    assert "given back" in bench.log()


def test_host_large_events_lower_the_prefetch_and_all_arrive(world):
    bench = Bench(world, in_hand_bytes="1MiB")
    bench.send(*({"id": n, "body": json.dumps({"id": n, "email": "e", "volume": 1, "x": "y" * 200_000})} for n in range(40)))
    bench.start()
    world.wait_target("SELECT count(*) FROM c", [(40,)])
    assert "prefetch is lowered" in bench.log()
    assert bench.metric("repeated_total") == 0


def test_host_truncate_waits_for_what_is_before_it_and_goes_before_the_rest(world):
    bench = Bench(world, on_truncate="apply", batch_size=10)
    bench.send(*({"id": n} for n in range(200)), {"id": 0, "op": "truncate", "key": ""}, *({"id": n} for n in range(500, 510)))
    bench.start()
    world.wait_target("SELECT count(*), min(id) FROM c", [(10, 500)])


def test_host_truncate_is_a_dead_letter_unless_told_otherwise(world):
    bench = Bench(world)
    bench.start()
    bench.send({"id": 1}, {"id": 0, "op": "truncate", "key": ""})
    (letter,) = bench.letters(1)
    assert "on_truncate" in letter.headers["x-muskrat-reason"]
    world.wait_target("SELECT id FROM c", [(1,)])


def test_host_queue_that_is_deleted_is_told_and_found_again(world):
    bench = Bench(world)
    bench.start()
    world.broker.call(lambda c: c.queue_delete("muskrat.it"))
    wait_until(lambda: world.consumer.get("/readyz")[0] == 503, 60, "the host to miss its queue")
    world.wait_log(world.consumer, "run muskrat setup")
    world.program.setup()
    wait_until(lambda: world.consumer.get("/readyz")[0] == 200, 60, "the host to consume again")
    bench.send({"id": 1})
    world.wait_target("SELECT id FROM c", [(1,)])


SLOW = """CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.004); RETURN new; END';
CREATE TRIGGER slow BEFORE INSERT ON c FOR EACH ROW EXECUTE FUNCTION slow()"""


def test_host_stopped_under_load_repeats_nothing(world):
    bench = Bench(world, batch_size=20)
    world.tsql(SLOW)
    bench.send(*({"id": n % 500, "op": "update"} for n in range(4000)))  # four seconds' work
    for _ in range(3):
        bench.start()
        wait_until(lambda: (bench.metric("delivered_total") or 0) > 40, 60, "the host to be at work")
        assert bench.metric("repeated_total") == 0
        assert world.consumer.stop() == 0
        assert world.broker.depth("muskrat.it") > 100, "it was stopped at work"
    bench.start()
    world.wait_target("SELECT count(*), min(volume) FROM c", [(500, 3501)])
    assert bench.metric("repeated_total") == 0


def test_host_parked_endpoint_stops_at_once(world):
    bench = Bench(world)
    world.tsql("ALTER TABLE c RENAME TO gone")
    world.consumer = world.program.consume(wait=False)
    assert "public.c does not exist" in world.wait_log(world.consumer, '"event":"parked"')
    assert world.consumer.stop(timeout=15) == 0
    assert bench.seq == 0


def test_host_stand_by_takes_over_in_order_after_a_stop_and_after_a_kill(world):
    """What the first had in hand comes to the second before what it had not, on its closed channel as on its death."""
    route = {"table": "public.seen", "mode": "append", "columns": ["volume"]}
    world.tsql("CREATE TABLE seen (n bigserial, volume bigint);" + SLOW.replace("INSERT ON c ", "INSERT ON seen "))
    bench = Bench(world, routes=[route], batch_size=1, prefetch=100)
    other = world.program.__class__(world.folder, world.program.binary.rsplit("/", 1)[0], "second.yaml")
    other.config = {**world.program.config, "consumer": {"listen": f"127.0.0.1:{other.consumer_port}"}}
    other.save()
    bench.send(*({"id": n % 3, "op": "update"} for n in range(900)))

    def done():
        return world.tsql("SELECT count(*) FROM seen")[0][0]
    with closing(connect(world.target, autocommit=False)) as holder:
        holder.cursor().execute("LOCK TABLE seen IN EXCLUSIVE MODE")  # the first is not through before the second is there
        bench.start()
        second = other.consume(log=f"{world.folder}/second.log")
    wait_until(lambda: done() > 50, 60, "the first to be at work")
    assert world.consumer.stop() == 0
    stopped = done()
    wait_until(lambda: done() > stopped + 50, 60, "the second to go on")
    first = world.program.consume(log=f"{world.folder}/first-again.log")
    second.kill9()
    world.wait_target("SELECT count(*) FROM seen", [(900,)], 60)
    for key in range(3):
        expected = [(v,) for v in range(1, 901) if (v - 1) % 3 == key]
        assert world.tsql(f"SELECT volume FROM seen WHERE (volume - 1) % 3 = {key} ORDER BY n") == expected
    assert first.stop() == 0
    other.stop()
