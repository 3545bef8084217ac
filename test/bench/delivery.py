"""From the outbox to the endpoint: the relay against a bare publisher, the host against a bare consumer, and how long it takes."""
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import time

from harness.clients import Broker, connect, query, value
from harness.postgres import Postgres
from harness.processes import wait_until
from harness.program import Program
from harness.rabbitmq import RabbitMQ

import customers
from measure import Figure, Instructions, in_turn, percentile, process_cpu_ms, ratio_figure
from pgbench import command

SETTINGS = {"shared_buffers": "512MB", "max_wal_size": "8GB", "checkpoint_timeout": "1h", "track_commit_timestamp": "on"}
WINDOW = 1000
BODY_BYTES = 315
UPSERT_LIBRARIES = ("-I/usr/include/postgresql", "-lrabbitmq", "-lpq", "-ljansson")
TARGET = """
CREATE TABLE customers (id bigint PRIMARY KEY, email text, phone text, subdomain text, company text, username text, volume int,
                        retention int, rate numeric(12,2), updated_at timestamptz,
                        arrived_at timestamptz NOT NULL DEFAULT clock_timestamp())
"""


class Stage:
    """A PostgreSQL with source and target, a RabbitMQ, and the program between them."""

    def __init__(self, bench):
        self.folder = os.path.join(bench.folder, "delivery")
        for sub in ("pg/data", "rabbitmq"):
            shutil.rmtree(os.path.join(self.folder, sub), ignore_errors=True)
        self.pg = Postgres(os.path.join(self.folder, "pg"), build=bench.build, fsync=True, settings=SETTINGS).start()
        self.rabbitmq = RabbitMQ(os.path.join(self.folder, "rabbitmq")).start()
        self.build, self.number = bench.build, 0

    def close(self):
        self.rabbitmq.remove()
        self.pg.remove()

    def world(self, endpoints=None, **source):
        self.number += 1
        return World(self, self.number, endpoints, source)


class World:
    """A database, a vhost and a configuration that no other run has touched."""

    def __init__(self, stage, number, endpoints, source):
        self.stage, self.pg, self.rabbitmq = stage, stage.pg, stage.rabbitmq
        self.name, self.target_name = f"source_{number}", f"target_{number}"
        for db in (self.name, self.target_name):
            self.pg.create_database(db, "template0")
        self.dsn, self.target = self.pg.dsn(self.name), self.pg.dsn(self.target_name)
        self.vhost = self.rabbitmq.create_vhost(f"bench{number}")
        self.broker = Broker(self.rabbitmq, self.vhost)
        self.program = Program(os.path.join(stage.folder, "run"), stage.build)
        self.written = 0
        query(self.dsn, "CREATE EXTENSION muskrat")
        query(self.dsn, customers.TABLE.format(table="customers"))
        query(self.dsn, customers.attach("customers"))
        query(self.target, TARGET)
        if endpoints is None:
            endpoints = {"analytics": self.postgres_endpoint()}
        self.program.configure(self.broker.url, endpoints=endpoints,
                               sources={"frontend": {"kind": "postgres", "dsn": self.dsn, "window": WINDOW, **source}})
        if endpoints:
            self.program.setup()
        else:  # an exchange with one queue that nobody reads
            self.program.config["endpoints"] = {"waiting": {"kind": "null", "subscribe": "Frontend.*"}}
            self.program.save()
            self.program.setup()
        # a quorum queue that was declared a moment ago may still be choosing its leader
        time.sleep(1)

    def postgres_endpoint(self):
        names = ["id", *customers.COLUMNS.split(", ")]
        return {"kind": "postgres", "subscribe": "Frontend.*", "dsn": self.target,
                "routes": [{"table": "public.customers", "key": ["id"], "columns": names}]}

    def write(self, rows):
        """Rows in transactions of 10,000, as a backlog has many."""
        for first in range(0, rows, 10_000):
            low = self.written + first
            query(self.dsn, customers.bulk_insert("customers", low + 1, low + min(10_000, rows - first)))
        self.written += rows

    def drain(self, timeout=3600, spent=None, instructions=None):
        """Starts the relay; returns (events a second, its peak memory in MB). From the moment it leads to the last confirm.
        `spent`: its processor time by event, in µs, is added there; `instructions`: those of the relay and of its session in the
        database by event, or None."""
        relay = self.program.relay(wait=False)
        try:
            def confirmed():
                return relay.metric("muskrat_relay_events_confirmed_total") or 0

            def leads():
                if not relay.running():
                    raise RuntimeError(f"the relay ended; its log:\n{relay.log()}")
                return relay.metric("muskrat_relay_leader")
            wait_until(leads, 30, "the relay to lead", 0.005)
            began = time.monotonic()
            if instructions is not None:
                self.count_instructions(relay, confirmed, instructions, timeout)
            wait_until(lambda: confirmed() >= self.written, timeout, f"{self.written} confirms", 0.02)
            took = time.monotonic() - began
            if spent is not None:
                spent.append(process_cpu_ms(relay.pid) * 1000 / self.written)
            return self.written / took, relay.rss_kib("VmHWM") / 1024
        finally:
            relay.stop()

    def count_instructions(self, relay, confirmed, instructions, timeout):
        sessions = query(self.dsn, "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'muskrat relay%'")
        counted = Instructions(relay.pid, *(pid for pid, in sessions))
        with counted:
            before = confirmed()
            wait_until(lambda: confirmed() >= self.written, timeout, f"{self.written} confirms", 0.02)
        events = self.written - before
        instructions.append(counted.count / events if counted.count and events > self.written / 2 else None)

    def close(self):
        self.program.stop()
        self.rabbitmq.delete_vhost(self.vhost)
        for db in (self.name, self.target_name):
            self.pg.drop_database(db)


def stage_of(bench):
    if "delivery" not in bench.stages:
        bench.stages["delivery"] = Stage(bench)
    return bench.stages["delivery"]


class Sink:
    """A server of the figures' own, http_sink or stub_broker, and its port."""

    def __init__(self, bench, name, *args):
        argv = [bench.bare.binary(name, "-pthread"), *map(str, args)]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


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

def bare_queue(world, instead_of):
    world.broker.queue("bare", patterns=["Frontend.#"])
    world.broker.delete_queue(instead_of)


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


# ---- time from commit to endpoint

def arrivals_ms(world, first_id):
    """Milliseconds from each row's commit record to its upsert in the target; both by the clock of this machine."""
    committed = dict(query(world.dsn, "SELECT id, extract(epoch FROM pg_xact_commit_timestamp(xmin)) FROM customers WHERE id > %s",
                           (first_id,)))
    arrived = dict(query(world.target, "SELECT id, extract(epoch FROM arrived_at) FROM customers WHERE id > %s", (first_id,)))
    if set(committed) != set(arrived):
        raise RuntimeError(f"{len(committed)} committed, {len(arrived)} arrived")
    return [float(arrived[i] - committed[i]) * 1000 for i in committed]


def running(stage):
    world = stage.world()
    world.program.relay()
    world.program.consume()
    return world


def wait_equal(world):
    def counts():
        return [value(dsn, "SELECT count(*) FROM customers") for dsn in (world.dsn, world.target)]
    wait_until(lambda: len(set(counts())) == 1, 60, "source and target to be equal", 0.2)


def one_run_at_rate(bench, stage, seconds):
    world = running(stage)
    try:
        warm = 2
        argv, env = command(world.pg, customers.one_insert("customers"), 4, seconds + warm, {"synchronous_commit": "on"},
                            bench.folder, ["--rate", "1000"])
        argv[-1] = world.dsn
        done = subprocess.run(argv, capture_output=True, text=True, check=False, env=env)
        if done.returncode != 0:
            raise RuntimeError(f"pgbench: {done.stderr[-300:]}")
        wait_equal(world)
        return arrivals_ms(world, 1000 * warm)
    finally:
        world.close()


def broker_alone_ms(bench, stage, messages, between_us):
    """(p50, p99) from a publish to its delivery, nothing else going on."""
    world = stage.world(endpoints={})
    try:
        bare_queue(world, "muskrat.waiting")
        return bench.bare.numbers("bare_latency", world.rabbitmq.port, world.vhost, "muskrat", "Frontend.Customer.insert", "bare",
                                  messages, BODY_BYTES, between_us)
    finally:
        world.close()


def latency(bench):
    stage, seconds = stage_of(bench), bench.size(10, 30)
    p50, p99, count, broker = [], [], 0, []
    for _ in range(bench.size(3, 5)):
        took = one_run_at_rate(bench, stage, seconds)
        count = len(took)
        p50.append(percentile(took, 0.5))
        p99.append(percentile(took, 0.99))
        broker.append(broker_alone_ms(bench, stage, 1000 * seconds, 1000))
    note = f"1,000 events/s for {seconds} s ({count} events a run), from the commit record to the upsert in the target"
    alone = [[run[which] for run in broker] for which in (0, 1)]
    yield Figure("latency_p50_ms", statistics.median(p50), "ms", p50, goal="≤ 2.0", note=note)
    yield Figure("latency_p99_ms", statistics.median(p99), "ms", p99, goal="≤ 10", note=note)
    yield Figure("latency_broker_p50_ms", statistics.median(alone[0]), "ms", alone[0],
                 note=f"the broker alone, from publish to delivery, as often; p99 {statistics.median(alone[1]):.1f} ms")


def latency_idle(bench):
    """Through one connection that stays open: a new one for each event would make the server busy with that."""
    stage, events = stage_of(bench), bench.size(10, 40)
    warm = 40  # each lane's statements are prepared and planned, as they are in a process that has run for a while
    world = running(stage)
    try:
        with contextlib.closing(connect(world.dsn)) as app, app.cursor() as cursor:
            for n in range(1, warm + events + 1):
                cursor.execute(customers.bulk_insert("customers", n, n))
                time.sleep(0.05 if n < warm else 2)
        wait_equal(world)
        took = arrivals_ms(world, warm)
    finally:
        world.close()
    broker = broker_alone_ms(bench, stage, events, 2_000_000)[0]
    yield Figure("latency_idle_p50_ms", statistics.median(took), "ms", took, goal="≤ 3.0",
                 note=f"{events} events, one every 2 s, after {warm} to begin with; the broker alone {broker:.1f} ms")


def idle(bench):
    stage, seconds = stage_of(bench), bench.size(20, 60)
    world = running(stage)
    try:
        time.sleep(5)
        daemons = [d for d in world.program.daemons if d.running()]
        before = [process_cpu_ms(d.pid) for d in daemons]
        time.sleep(seconds)
        spent = [(process_cpu_ms(d.pid) - b) / (seconds * 10) for d, b in zip(daemons, before)]
    finally:
        world.close()
    yield Figure("relay_idle_cpu", sum(spent), "%", spent, goal="≤ 0.5", note=f"relay and host together, {seconds} s; runs are the two")


# ---- large backlogs, old transactions

def backlog(bench):
    stage, many, few = stage_of(bench), bench.size(300_000, 5_000_000), 50_000
    rounds = 2 if bench.full else 3
    counts = {"few": [], "many": []}
    results = in_turn({"few": lambda: relay_rate(stage, few, [], counts["few"]),
                       "many": lambda: relay_rate(stage, many, [], counts["many"])}, rounds, "events/s")
    yield ratio_figure("backlog_scaling", results, "many", "few", goal="≥ 0.95", against=f"{few} events waiting",
                       note=f"{many} events waiting")
    yield from by_instructions("backlog_scaling.instructions", counts, "few", "many", 0.95)


def by_instructions(name, counts, before, after, goal):
    """A rate's ratio as it would be if instructions were all that it took: of the relay and its session, by event."""
    if None in counts[before] + counts[after]:
        return
    runs = [b / a for b, a in zip(counts[before], counts[after])]
    yield Figure(name, statistics.median(runs), "ratio", runs, goal=f"≥ {goal}", against=before,
                 note=f"the same runs; an event takes the relay and its session {statistics.median(counts[after]):.0f} instructions, "
                      f"and {statistics.median(counts[before]):.0f}")


def held_xmin(bench):
    """Drain rate after a transaction was held open under load, the cursor moving all the while, against none."""
    stage, seconds, events = stage_of(bench), bench.size(30, 1800), 60_000
    dead, counts = [], {"none": [], "held": []}

    def one(held):
        world = stage.world(endpoints={})
        holder = None
        try:
            world.program.relay()
            if held:
                holder = connect(world.dsn, autocommit=False)
                with holder.cursor() as cursor:
                    cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                    cursor.execute("SELECT pg_current_xact_id()")
            argv, env = command(world.pg, customers.one_insert("customers"), 4, seconds, {"synchronous_commit": "off"}, bench.folder,
                                ["--rate", "2000"])
            argv[-1] = world.dsn
            subprocess.run(argv, capture_output=True, check=True, env=env)
            world.program.stop()
            if held:
                dead.append(value(world.dsn, "SELECT sum(pg_stat_get_dead_tuples(format('muskrat.outbox_%s', n)::regclass))"
                                             " FROM generate_series(1, 3) AS n"))
            before = value(world.dsn, "SELECT max(id) FROM customers")
            query(world.dsn, customers.bulk_insert("customers", before + 1, before + events))
            world.written = events
            return world.drain(instructions=counts["held" if held else "none"])[0]
        finally:
            if holder:
                holder.close()
            world.close()

    results = in_turn({"none": lambda: one(False), "held": lambda: one(True)}, 2 if bench.full else 3, "events/s")
    yield ratio_figure("held_xmin_ratio", results, "held", "none", goal="≥ 0.97", against="no transaction held open",
                       note=f"drain of {events} events after {seconds} s at 2,000 events/s; dead tuples in the segments: {max(dead)}")
    yield from by_instructions("held_xmin_ratio.instructions", counts, "none", "held", 0.97)
