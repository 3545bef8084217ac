"""Rows 27 and 28: a receiver that fails in every way it can, and a host that is killed over and over.

Every event ends in exactly one state (taken by the receiver, or a dead letter), none is lost, each key's are taken in order.
The receiver recognises what it took by message_id, as idempotency keys want it; its log of first acceptances is the truth.
"""
import json
import os
import random
import threading
import time
import uuid

import pika
import pytest

from harness import clients
from harness.http_server import HttpServer
from harness.processes import wait_until
from harness.program import Program
from rig import BUILD, LONG, SETTLE_SECONDS

KEYS = 500
POISON = 1009  # every so manieth event can never be taken


class Receiver:
    """Takes records, or fails at random: as a whole (429, 500, 503, no answer, a late one) or in part."""

    def __init__(self, seed):
        self.chance, self.lock = random.Random(seed), threading.Lock()
        self.taken, self.order, self.repeats, self.faults = set(), [], 0, {}
        self.server = HttpServer(self.answer)

    def fault(self, *shares):
        with self.lock:
            draw = self.chance.random()
            for name, share in shares:
                if draw < share:
                    self.faults[name] = self.faults.get(name, 0) + 1
                    return name
                draw -= share
        return None

    def answer(self, request, _):
        fault = self.fault(("429", .03), ("500", .03), ("503 with a date", .01), ("none", .02), ("html", .01), ("hang", .003),
                           ("half", .03))
        if fault == "429":
            return 429, {"Retry-After": "0"}, b"slow down"
        if fault == "500":
            return 500, {}, b"oops"
        if fault == "503 with a date":
            return 503, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, b""
        if fault == "html":
            return 200, {"Content-Type": "text/html", }, b"<html>log in</html>"
        results = [self.take(json.loads(line)) for line in request["body"].splitlines()]
        if fault == "none":
            return None  # everything was taken, and nobody was told
        if fault == "hang":
            time.sleep(1.3)
        if fault == "half":
            results = results[::2]
        return 200, {}, json.dumps(results).encode()

    def take(self, event):
        result = {"message_id": event["message_id"], "result": "done"}
        if event["body"]["v"] % POISON == 0:
            return {**result, "result": "dead", "reason": "poison"}
        if self.fault(("record", .01)):
            return {**result, "result": "retry", "reason": "not now"}
        with self.lock:
            if event["message_id"] in self.taken:
                self.repeats += 1
            else:
                self.taken.add(event["message_id"])
                self.order.append((event["body"]["id"], event["body"]["v"], event["message_id"]))
        return result


def publish(broker, count):
    """Events 1 … count, spread over the keys; returns {message_id: (key, v)}."""
    events = {}

    def all_of_them(channel):
        channel.confirm_delivery()
        for v in range(1, count + 1):
            key, message_id = v * 7919 % KEYS, str(uuid.uuid4())
            events[message_id] = (key, v)
            headers = {"x-muskrat-key": f"Load.Account:[{key}]", "x-muskrat-epoch": 1, "x-muskrat-seq": v,
                       "x-muskrat-source": "load", "x-muskrat-op": "update"}
            channel.basic_publish("muskrat", "Load.Account.Update", json.dumps({"id": key, "v": v}),
                                  pika.BasicProperties(message_id=message_id, headers=headers, delivery_mode=2))
    broker.call(all_of_them)
    return events


def verdict(events, receiver, dead):
    found = []
    dead_ids = {d.properties.message_id for d in dead}
    poison = {i for i, (_, v) in events.items() if v % POISON == 0}
    found += [f"lost: {events[i]}" for i in events.keys() - receiver.taken - dead_ids]
    found += [f"invented: {i}" for i in (receiver.taken | dead_ids) - events.keys()]
    found += [f"in two states: {events[i]}" for i in receiver.taken & dead_ids]
    found += [f"a dead letter without cause: {events[i]}" for i in dead_ids - poison]
    newest = {}
    for key, v, _ in receiver.order:
        if v <= newest.get(key, 0):
            found.append(f"out of order: key {key}, {v} after {newest[key]}")
        newest[key] = max(v, newest.get(key, 0))
    return found


def stopped_with_nothing_in_hand(program, broker, host):
    """The receiver may have taken an event whose answer the host never saw: a host that stops gives it back, the next one asks again."""
    for _ in range(20):
        assert host.stop() == 0
        if not broker.depth("muskrat.hook"):
            return
        host = program.consume()
        time.sleep(1)


@pytest.mark.parametrize("guard", ["state", "events"])
def test_http_endpoint_that_fails_and_host_that_is_killed_lose_nothing(rabbitmq, request, guard):
    count, kills = (100_000, 20) if LONG else (4_000, 6)
    folder = os.path.join(BUILD, "check", "torture", request.node.name.replace("[", "-").replace("]", ""))
    for name in ("state.sqlite", "state.sqlite-wal", "state.sqlite-shm"):
        if os.path.exists(os.path.join(folder, name)):
            os.remove(os.path.join(folder, name))
    vhost = rabbitmq.create_vhost(f"http_{guard}")
    broker = clients.Broker(rabbitmq, vhost)
    program, receiver = Program(folder, BUILD), Receiver(5)
    program.configure(broker.url, consumer={"state": f"{folder}/state.sqlite"}, endpoints={"hook": {
        "kind": "http", "subscribe": ["Load.*"], "url": receiver.server.url("/hook"), "batch": "lines", "payload": "event",
        "results": "expected", "guard": guard, "batch_size": 100, "prefetch": 1000, "timeout": "1s", "retry_first": "10ms",
        "retry_most": "100ms", "retry_attempts": 100, "circuit_first": "50ms", "circuit_most": "200ms"}})
    program.setup()
    time.sleep(SETTLE_SECONDS)
    try:
        began = time.monotonic()
        host = program.consume()
        events = {}
        publishing = threading.Thread(target=lambda: events.update(publish(broker, count)))
        publishing.start()
        chance, killed = random.Random(7), 0
        while killed < kills:  # spread over the whole run, whenever so many have arrived
            mark = count * (killed + 1) // (kills + 2)
            wait_until(lambda: len(receiver.taken) >= mark, 600, f"event {mark}", 0.01)
            time.sleep(chance.random() * 0.1)
            host.kill9()
            host, killed = program.consume(wait=False), killed + 1
        publishing.join()
        dead = sum(v % POISON == 0 for v in range(1, count + 1))
        try:
            wait_until(lambda: len(receiver.taken) >= count - dead and not broker.depth("muskrat.hook"), 600, "the rest", 0.2)
        except TimeoutError:
            pass  # the verdict tells
        stopped_with_nothing_in_hand(program, broker, host)
        letters = broker.get_all("muskrat.hook.dead")
        left = broker.depth("muskrat.hook")
        print(f"guard {guard}: {count:,} events, {killed} kills, {len(receiver.taken):,} taken, {len(letters)} dead letters, "
              f"{receiver.repeats} calls repeated under their key, {time.monotonic() - began:.0f} s; faults: {receiver.faults}")
        found = verdict(events, receiver, letters)
        assert not found, "\n".join(found[:20])
        assert left == 0, f"{left} events are still in the queue"
    finally:
        program.stop()
        receiver.server.stop()
        rabbitmq.delete_vhost(vhost)
