"""Rows 27 and 28: a receiver that fails in every way it can, and a host that is killed over and over.

Every event ends in exactly one state (taken by the receiver, or a dead letter), none is lost, each key's are taken in order.
The receiver recognises what it took by message_id, as idempotency keys want it; its log of first acceptances is the truth.
"""
import json
import random
import threading
import time

import pytest

from harness.http_server import HttpServer
from harness.processes import wait_until
from host_alone import host_alone
from rig import LONG

KEYS = 500
POISON = 1009  # every so manieth event can never be taken


class Receiver:
    """Takes records, or fails at random: as a whole (429, 500, 503, no answer, a late one) or in part."""

    def __init__(self, seed):
        self.chance, self.lock = random.Random(seed), threading.Lock()
        self.taken, self.order, self.repeats, self.faults = set(), [], 0, {}
        self.server = HttpServer(self.answer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.stop()

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


def account(v):
    return {"id": v * 7919 % KEYS, "v": v}


def verdict(events, receiver, dead):
    found = []
    dead_ids = {d.properties.message_id for d in dead}
    poison = {i for i, body in events.items() if body["v"] % POISON == 0}
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


@pytest.mark.parametrize("guard", ["state", "events"])
def test_http_endpoint_that_fails_and_host_that_is_killed_lose_nothing(rabbitmq, request, guard):
    count, kills = (100_000, 20) if LONG else (4_000, 6)
    endpoint = {
        "kind": "http", "subscribe": ["Load.*"], "batch": "lines", "payload": "event",
        "results": "expected", "guard": guard, "batch_size": 100, "prefetch": 1000, "timeout": "1s", "retry_first": "10ms",
        "retry_most": "100ms", "retry_attempts": 100, "circuit_first": "50ms", "circuit_most": "200ms"}
    with Receiver(5) as receiver, host_alone(rabbitmq, request.node.name, "hook",
                                             {**endpoint, "url": receiver.server.url("/hook")}) as stand:
        began = time.monotonic()
        host = stand.program.consume()
        events = {}
        publishing = threading.Thread(target=lambda: events.update(stand.publish(count, account)))
        publishing.start()
        chance, killed = random.Random(7), 0
        while killed < kills:  # spread over the whole run, whenever so many have arrived
            mark = count * (killed + 1) // (kills + 2)
            wait_until(lambda: len(receiver.taken) >= mark, 600, f"event {mark}", 0.01)
            time.sleep(chance.random() * 0.1)
            host.kill9()
            host, killed = stand.program.consume(wait=False), killed + 1
        publishing.join()
        dead = sum(v % POISON == 0 for v in range(1, count + 1))
        try:
            wait_until(lambda: len(receiver.taken) >= count - dead and not stand.waiting(), 600, "the rest", 0.2)
        except TimeoutError:
            pass  # the verdict tells
        stand.stop_with_nothing_in_hand(host)
        letters, left = stand.letters(), stand.waiting()
        print(f"guard {guard}: {count:,} events, {killed} kills, {len(receiver.taken):,} taken, {len(letters)} dead letters, "
              f"{receiver.repeats} calls repeated under their key, {time.monotonic() - began:.0f} s; faults: {receiver.faults}")
        found = verdict(events, receiver, letters)
        assert not found, "\n".join(found[:20])
        assert left == 0, f"{left} events are still in the queue"
