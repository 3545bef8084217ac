"""Rows 29 and 30: poison while the dead letters cannot be written, and a broker that counts deliveries and waits.

The endpoint appends to a table that refuses every so manieth event for good. Every event ends in exactly one place, the
table or the dead letters, and none is anywhere else; each key's effects are in order.
"""
import json
import os
import random
import time
import uuid

import pika
import pytest

from harness import clients
from harness.processes import wait_until
from harness.program import Program
from rig import BUILD, LONG, SETTLE_SECONDS

KEYS = 500
POISON = 1000
DEAD = "muskrat.effects.dead"


class Bench:
    def __init__(self, pg, rabbitmq, name, **endpoint):
        self.pg, self.rabbitmq, self.name = pg, rabbitmq, f"dead_{name}"
        pg.drop_database(self.name)
        pg.create_database(self.name, "template0")
        self.target = pg.dsn(self.name)
        clients.execute(self.target, f"""
            CREATE TABLE effects (n bigserial, id bigint, v bigint CONSTRAINT poison CHECK (v % {POISON} <> 0));
            CREATE TABLE busy (v bigint);
            CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF EXISTS (SELECT FROM busy b WHERE b.v = new.v) THEN RAISE 'busy' USING ERRCODE = 'lock_not_available'; END IF;
                PERFORM pg_sleep(0.0005); RETURN new; END $$;
            CREATE TRIGGER slow BEFORE INSERT ON effects FOR EACH ROW EXECUTE FUNCTION slow()""")
        rabbitmq.create_vhost(self.name)
        self.broker = clients.Broker(rabbitmq, self.name)
        self.program = Program(os.path.join(BUILD, "check", "torture", self.name), BUILD)
        route = {"table": "public.effects", "mode": "append", "columns": ["id", "v"]}
        self.program.configure(self.broker.url, endpoints={"effects": {
            "kind": "postgres", "subscribe": ["Load.*"], "dsn": self.target, "routes": [route], "batch_size": 100, "prefetch": 1000,
            "retry_first": "20ms", "retry_most": "200ms", "circuit_first": "50ms", "circuit_most": "200ms", **endpoint}})
        self.program.setup()
        time.sleep(SETTLE_SECONDS)
        self.events = {}
        self.host, self.kills = None, 0

    def publish(self, count):
        """The next `count` events, spread over the keys."""
        def all_of_them(channel):
            channel.confirm_delivery()
            for v in range(len(self.events) + 1, len(self.events) + count + 1):
                key, message_id = v * 7919 % KEYS, str(uuid.uuid4())
                self.events[message_id] = (key, v)
                headers = {"x-muskrat-key": f"Load.Account:[{key}]", "x-muskrat-epoch": 1, "x-muskrat-seq": v,
                           "x-muskrat-source": "load", "x-muskrat-op": "update"}
                channel.basic_publish("muskrat", "Load.Account.Update", json.dumps({"id": key, "v": v}),
                                      pika.BasicProperties(message_id=message_id, headers=headers, delivery_mode=2))
        self.broker.call(all_of_them)

    def start(self):
        self.host = self.program.consume(wait=False)

    def kill(self, endpoint_ends=False):
        """`endpoint_ends`: what the killed host had sent has come to its end at the endpoint before another host begins."""
        self.host.kill9()
        self.kills += 1
        if endpoint_ends:
            wait_until(lambda: self.backends() == 0, 30, "the killed host's work at the endpoint to end", 0.005)
        self.start()

    def backends(self):
        return clients.value(self.target, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                                          " AND pid <> pg_backend_pid() AND backend_type = 'client backend'")

    def effects(self):
        return clients.query(self.target, "SELECT id, v FROM effects ORDER BY n")

    def done(self):
        return clients.value(self.target, "SELECT count(*) FROM effects")

    def wait_done(self, count, timeout=300):
        wait_until(lambda: self.done() >= count, timeout, f"{count} effects ({self.done()} are there)", 0.05)

    def log(self):
        with open(self.host.log_path, encoding="utf-8") as f:
            return f.read()

    def wait_log(self, text, count=1):
        wait_until(lambda: self.log().count(text) >= count, 60, f"the host to say: {text}", 0.1)

    def finish(self, timeout=300):
        """Until every event is somewhere, then a clean stop: what is unacknowledged would be in the queue again."""
        def somewhere():
            return self.done() + (self.broker.depth(DEAD) or 0) >= len(self.events)
        try:
            wait_until(lambda: somewhere() and not self.broker.depth("muskrat.effects"), timeout, "every event to be somewhere", 0.2)
        except TimeoutError:
            pass  # the verdict tells
        assert self.host.wait_ready().stop() == 0
        if self.broker.unsettled("muskrat.effects"):  # it was in hand when we stopped
            self.start()
            self.broker.wait_settled("muskrat.effects", timeout=timeout)
            assert self.host.wait_ready().stop() == 0

    def verdict(self, given_up=False):
        """`given_up`: the broker gives messages up, also such whose effect was in place and whose acknowledgement was not."""
        letters, effects = self.broker.get_all(DEAD), self.effects()
        self.letters = letters
        dead = [self.events[d.message_id][1] for d in letters]
        took = [v for _, v in effects]
        every = {v for _, v in self.events.values()}
        found = [f"lost: {v}" for v in sorted(every - set(dead) - set(took))]
        found += [f"in two places: {v}" for v in sorted(set(dead) & set(took)) if not given_up]
        found += [f"{took.count(v)} effects of {v}" for v in every if len(took) != len(set(took)) and took.count(v) > 1]
        found += [f"a dead letter without cause: {v}" for v in set(dead) if v % POISON != 0 and not given_up]
        if len(dead) - len(set(dead)) > self.kills:
            found.append(f"{len(dead) - len(set(dead))} letters came twice, with {self.kills} kills")
        newest = {}
        for key, v in effects:
            if v <= newest.get(key, 0):
                found.append(f"out of order: key {key}, {v} after {newest[key]}")
            newest[key] = max(v, newest.get(key, 0))
        if left := self.broker.depth("muskrat.effects"):
            found.append(f"{left} events are still in the queue")
        return found

    def close(self):
        self.program.stop()
        self.rabbitmq.delete_vhost(self.name)
        self.pg.drop_database(self.name)


@pytest.fixture
def make_bench(pg, rabbitmq):
    made = []

    def make(name, **endpoint):
        made.append(Bench(pg, rabbitmq, name, **endpoint))
        return made[-1]
    yield make
    for bench in made:
        bench.close()


def test_dead_letters_poison_with_their_queue_gone_unbound_and_blocked_is_in_one_place(make_bench, rabbitmq):
    """1 in 1,000. Nobody but the poisoned keys waits; a letter counts only when the broker has confirmed it."""
    bench, third = make_bench("poison"), 20_000 if LONG else 2_000
    bench.broker.delete_queue(DEAD)
    bench.publish(third)
    bench.start()
    bench.wait_log("dead letters not published")
    waiting = third // POISON
    bench.wait_done(third - waiting * (third // KEYS + 1))
    bench.kill()
    bench.wait_log("dead letters not published", 2)
    bench.program.setup()
    bench.broker.wait_depth(DEAD, waiting, 60)

    bench.broker.call(lambda c: c.queue_unbind(DEAD, "muskrat.dead", "effects"))
    bench.publish(third)
    bench.wait_log("dead letters not published", 3)
    bench.kill()
    bench.broker.call(lambda c: c.queue_bind(DEAD, "muskrat.dead", "effects"))

    bench.publish(third)
    rabbitmq.ctl("set_vm_memory_high_watermark", "0")
    try:
        bench.wait_done(2 * third)
        time.sleep(1)  # letters, if any died just now, are refused in this time
    finally:
        rabbitmq.ctl("set_vm_memory_high_watermark", "0.4")
    bench.finish()
    found = bench.verdict()
    print(f"{len(bench.events):,} events, {len(bench.letters)} letters, {bench.kills} kills")
    assert not found, "\n".join(found[:20])


@pytest.mark.parametrize("limit", [None, 3])
def test_dead_letters_host_killed_25_times_in_mid_batch_loses_nothing_to_the_delivery_limit(make_bench, rabbitmq, limit):
    """Without a policy nothing is given up; with one of three deliveries, what the broker gives up is among the letters.

    A host that begins while a killed one's last batch is still at work in the database meets the same events again, and waits
    for them there. What the broker has given up meanwhile it does not meet: so with the policy the batch is waited for.
    """
    bench = make_bench(f"limit_{limit}", lanes=1)
    if limit:
        rabbitmq.ctl("set_policy", "-p", bench.name, "--apply-to", "queues", "few", "^muskrat.effects$", '{"delivery-limit": %d}' % limit)
    bench.publish(20_000 if LONG else 4_000)
    bench.start()
    chance = random.Random(30)
    for _ in range(25):
        before = bench.log().count('"event":"consuming"')
        wait_until(lambda seen=before: bench.log().count('"event":"consuming"') > seen or bench.done() == len(bench.events),
                   60, "the host to consume", 0.02)
        time.sleep(0.05 + chance.random() * 0.15)
        bench.kill(endpoint_ends=bool(limit))
    bench.finish()
    found = bench.verdict(given_up=bool(limit))
    given_up = [d for d in bench.letters if "x-muskrat-reason" not in d.headers]
    print(f"limit {limit}: {len(bench.events):,} events, {bench.kills} kills, {len(given_up)} given up by the broker")
    assert not found, "\n".join(found[:20])
    if limit:
        assert given_up, "the broker never gave up: the policy was not felt"
    else:
        assert not given_up


def patience(rabbitmq, timeout_ms, look_every_ms):
    rabbitmq.eval(f"ok = application:set_env(rabbit, consumer_timeout, {timeout_ms}), "
                  f"ok = application:set_env(rabbit, channel_tick_interval, {look_every_ms})")


@pytest.mark.parametrize("give_back", ["1s", "1h"])
def test_dead_letters_small_consumer_timeout_loses_nothing(make_bench, rabbitmq, give_back):
    """An event that cannot go for longer than the broker waits for its acknowledgement: given back in time, the broker
    never complains; held for too long, it closes the channel, and the host takes everything again, in order."""
    patience(rabbitmq, 4000, 1000)
    try:
        bench = make_bench(f"timeout_{give_back}", give_back_after=give_back, retry_attempts=1000)
        clients.execute(bench.target, "INSERT INTO busy VALUES (7), (77)")
        bench.publish(2_000)
        bench.start()
        complaint = "delivery acknowledgement on channel"
        if give_back == "1h":
            bench.wait_log("timed out", 2)
        else:
            bench.wait_log("given back", 10)
            assert complaint not in bench.log()
        clients.execute(bench.target, "DELETE FROM busy")
        bench.finish()
        found = bench.verdict()
        assert not found, "\n".join(found[:20])
    finally:
        patience(rabbitmq, 1_800_000, 60_000)  # its defaults
