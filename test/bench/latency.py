"""How long an event takes: from its commit to the endpoint under load, alone, and what the broker takes of it. And what waiting costs."""
import contextlib
import statistics
import subprocess
import time

from harness.clients import connect, query, value
from harness.processes import wait_until

import customers
from measure import Figure, percentile, process_cpu_ms
from pgbench import command
from stage import BODY_BYTES, bare_queue, stage_of


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


def under_load(bench):
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


def idle_event(bench):
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


def idle_processes(bench):
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
