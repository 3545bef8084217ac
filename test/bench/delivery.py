"""From the outbox to the endpoint, as fast as it goes: the relay against a bare publisher, the host against a bare consumer."""
import json
import os
import statistics
import time

from harness.clients import value
from harness.processes import wait_until

import customers
from measure import Figure, in_turn, ratio_figure
from stage import BODY_BYTES, WINDOW, Sink, bare_queue, stage_of

UPSERT_LIBRARIES = ("-I/usr/include/postgresql", "-lrabbitmq", "-lpq", "-ljansson")


# ---- the relay

def bare_publish_rate(bench, stage, events):
    world = stage.world(endpoints={})
    try:
        seconds = bench.bare.run("bare_publish", stage.rabbitmq.port, world.vhost, "muskrat", "Frontend.Customer.insert", events,
                                 BODY_BYTES, WINDOW)
        return events / seconds
    finally:
        world.close()


def relay_rate(stage, events, peaks, instructions=None):
    world = stage.world(endpoints={})
    try:
        world.write(events)
        rate, peak = world.drain(instructions=instructions)
        peaks.append(peak)
        return rate
    finally:
        world.close()


def publish(bench):
    stage, events, peaks = stage_of(bench), bench.size(60_000, 500_000), []
    results = in_turn({"bare": lambda: bare_publish_rate(bench, stage, events), "relay": lambda: relay_rate(stage, events, peaks)},
                      5, "events/s")
    middle = {v: statistics.median(r) for v, r in results.items()}
    yield ratio_figure("relay_publish_ratio", results, "relay", "bare", goal="≥ 0.95", against="a bare publisher, window 1,000",
                       note=f"{events} events, one quorum queue; relay {middle['relay']:.0f}/s, bare {middle['bare']:.0f}/s")
    if bench.full:
        peaks = []
        relay_rate(stage, 5_000_000, peaks)
        events = 5_000_000
    yield Figure("relay_rss_mb", max(peaks), "MB", peaks, goal="≤ 32", note=f"peak while draining {events} events")


def read_rate(bench):
    """The relay alone: a broker that throws messages away and confirms at once."""
    stage, events, stub, spent = stage_of(bench), bench.size(200_000, 1_000_000), Sink(bench, "stub_broker"), []

    def one():
        world = stage.world(endpoints={})
        try:
            world.write(events)
            world.program.config["broker"]["url"] = f"amqp://guest:guest@127.0.0.1:{stub.port}/"
            world.program.save()
            return world.drain(spent=spent)[0]
        finally:
            world.close()

    try:
        runs = in_turn({"relay": one}, 5, "events/s")["relay"]
    finally:
        stub.close()
    yield Figure("relay_read_rate", statistics.median(runs), "events/s", runs, goal="≥ 200000",
                 note=f"{events} events, read and encoded for a broker that keeps nothing; {statistics.median(spent):.2f} µs of "
                      "the relay's processor time an event")


# ---- the host


def bare_consume_rate(bench, world, events):
    return events / bench.bare.run("bare_consume", world.rabbitmq.port, world.vhost, "bare", events, 4000, 100)


def host_rate(world, events):
    """Starts the host before a queue of so many events; returns (events a second, its peak memory in MB). From the first delivery on."""
    consumer = world.program.consume(wait=False)
    try:
        def done():
            if not consumer.running():
                raise RuntimeError(f"the host ended; its log:\n{consumer.log()}")
            return consumer.metric("muskrat_endpoint_delivered_total") or 0
        wait_until(done, 30, "the first delivery", 0.005)
        began, already = time.monotonic(), done()
        wait_until(lambda: done() >= events, 600, f"{events} deliveries (has {done()})", 0.02)
        return (events - already) / (time.monotonic() - began), consumer.rss_kib("VmHWM") / 1024
    finally:
        consumer.stop()


def consume(bench):
    stage, events, peaks = stage_of(bench), bench.size(60_000, 500_000), []

    def host(world):
        rate, peak = host_rate(world, events)
        peaks.append(peak)
        checked(world)
        return rate

    def checked(world):
        arrived = value(world.target, "SELECT count(*) FROM customers")
        if arrived != events:
            raise RuntimeError(f"{arrived} rows arrived, not {events}")

    def bare(world):
        return bare_consume_rate(bench, world, events)

    def upsert(world):
        seconds = bench.bare.run("bare_upsert", stage.rabbitmq.port, world.vhost, "bare", events, 4000, 1000, 4, world.target,
                                 "public.customers", "id," + customers.COLUMNS.replace(" ", ""), libraries=UPSERT_LIBRARIES)
        checked(world)
        return events / seconds

    def one(which):
        world = stage.world()
        try:
            if which is not host:
                bare_queue(world, "muskrat.analytics")
            world.write(events)
            world.drain()
            return which(world)
        finally:
            world.close()

    results = in_turn({"bare": lambda: one(bare), "upsert": lambda: one(upsert), "host": lambda: one(host)}, 5, "events/s")
    middle = {v: statistics.median(r) for v, r in results.items()}
    yield ratio_figure("consume_postgres_ratio", results, "host", "bare", goal="≥ 0.80", against="a bare consumer that acks",
                       note=f"{events} events into one table, every one a new row; host {middle['host']:.0f}/s, "
                            f"bare {middle['bare']:.0f}/s")
    yield ratio_figure("consume_postgres_upsert_ratio", results, "host", "upsert", against="a bare program with the same upserts",
                       note=f"four connections, batches of 1,000, no guard; bare {middle['upsert']:.0f}/s")
    yield Figure("consume_rss_mb", max(peaks), "MB", peaks, goal="≤ 32", note=f"peak with {events} events waiting")


# ---- the http and the exec endpoint, which keep a guard in the host's state database

def guarded_rate(stage, events, endpoint):
    """Events a second of a host with this endpoint alone, a backlog of so many before it."""
    world = stage.world(endpoints={"one": endpoint})
    try:
        world.program.config["consumer"]["state"] = os.path.join(stage.folder, f"state-{world.vhost}.sqlite")
        world.program.save()
        world.write(events)
        world.drain()
        return host_rate(world, events)[0]
    finally:
        world.close()


def http_against_bare(bench, name, events, taken_us, note):
    """A request an event over one connection: a host with one lane, against a client that posts the same body as often."""
    stage, sink = stage_of(bench), Sink(bench, "http_sink", taken_us)
    url = f"http://127.0.0.1:{sink.port}/hook"
    body = os.path.join(bench.folder, "body.json")
    with open(body, "w", encoding="ascii") as f:
        f.write('{"x":"' + "x" * (BODY_BYTES - 8) + '"}')

    def one():
        return guarded_rate(stage, events, {"kind": "http", "subscribe": "Frontend.*", "url": url, "lanes": 1})

    def bare():
        return events / bench.bare.run("bare_http", url, body, events, libraries=("-lcurl",))

    try:
        results = in_turn({"host": one, "bare": bare}, 3, "events/s")
    finally:
        sink.close()
    middle = {v: statistics.median(r) for v, r in results.items()}
    yield ratio_figure(name, results, "host", "bare", goal="≥ 0.80", against="a bare libcurl client",
                       note=f"{events} events, a request each over one connection, {note}; host {middle['host']:.0f}/s, "
                            f"bare {middle['bare']:.0f}/s")


def consume_http(bench):
    yield from http_against_bare(bench, "consume_http_ratio", bench.size(20_000, 200_000), 0, "to a server that takes no time")
    yield from http_against_bare(bench, "consume_http_1ms_ratio", bench.size(5_000, 50_000), 1000, "to a server that takes 1 ms")


EXEC_BATCH = 500


def consume_exec(bench):
    """One child, a line an event: a host with its one lane, against a program that writes and reads the same lines."""
    stage, events, child = stage_of(bench), bench.size(60_000, 500_000), bench.bare.binary("exec_sink")
    line = os.path.join(bench.folder, "event.jsonl")
    with open(line, "w", encoding="ascii") as f:
        facts = {"routing_key": "Frontend.Customer.insert", "message_id": "00000000-0000-7000-8000-000000000000",
                 "key": "Frontend.Customer:[12345]", "op": "insert", "epoch": 1764082800, "seq": 12345, "source": "Frontend",
                 "captured_at": "2026-11-25T12:00:00.000000Z", "body": {"x": "x" * (BODY_BYTES - 8)}}
        f.write(json.dumps(facts, separators=(",", ":")) + "\n")

    def host():
        return guarded_rate(stage, events, {"kind": "exec", "subscribe": "Frontend.*", "command": [child], "batch_size": EXEC_BATCH})

    def bare():
        return events / bench.bare.run("bare_exec", child, line, events, EXEC_BATCH, libraries=())

    def taking():
        world = stage.world(endpoints={"one": {"kind": "null", "subscribe": "Frontend.*"}})
        try:
            bare_queue(world, "muskrat.one")
            world.write(events)
            world.drain()
            return bare_consume_rate(bench, world, events)
        finally:
            world.close()

    results = in_turn({"host": host, "bare": bare, "taking": taking}, 3, "events/s")
    middle = {v: statistics.median(r) for v, r in results.items()}
    yield ratio_figure("consume_exec_ratio", results, "host", "bare", goal="≥ 0.80", against="a bare writer and reader of lines",
                       note=f"{events} events to one child, up to {EXEC_BATCH} at once; host {middle['host']:.0f}/s, "
                            f"bare {middle['bare']:.0f}/s, which takes nothing from a broker")
    yield ratio_figure("consume_exec_taken_ratio", results, "host", "taking", against="a bare consumer that acks",
                       note=f"the same events; bare {middle['taking']:.0f}/s")
