"""The relay behind a large backlog, and beside a transaction that is held open."""
import os
import statistics
import subprocess

from harness.clients import connect, query, value
from harness.processes import wait_until

import customers
from delivery import bare_publish_rate, relay_rate
from measure import Figure, in_turn, ratio_figure, say
from pgbench import command
from stage import Stage, stage_of


def backlog(bench):
    stage, many, few = stage_of(bench), bench.size(300_000, 5_000_000), 50_000
    rounds = 2 if bench.full else 3
    counts = {"few": [], "many": []}
    results = in_turn({"few": lambda: relay_rate(stage, few, []), "many": lambda: relay_rate(stage, many, []),
                       "bare many": lambda: bare_publish_rate(bench, stage, many),
                       "bare few": lambda: bare_publish_rate(bench, stage, few)}, rounds, "events/s")
    # in turns of their own: counting costs a fifth of the rate
    for _ in range(1 if bench.full else 3):
        relay_rate(stage, few, [], counts["few"])
        relay_rate(stage, many, [], counts["many"])
    yield ratio_figure("backlog_scaling", results, "many", "few", goal="≥ 0.95", against=f"{few} events waiting",
                       note=f"{many} events waiting")
    yield ratio_figure("backlog_scaling.bare", results, "bare many", "bare few", against="the same number of messages as above",
                       note="a bare publisher: how the broker's queue fares as it grows")
    yield from by_instructions("backlog_scaling.instructions", counts, "few", "many", 0.95)


def by_instructions(name, counts, before, after, goal):
    """A rate's ratio as it would be if instructions were all that it took: of the relay, its session and the broker, by event."""
    if not counts[before] or len(counts[before]) != len(counts[after]):
        return
    runs = [sum(b) / sum(a) for b, a in zip(counts[before], counts[after])]

    def middle(which):
        return " and ".join(f"{statistics.median(side):.0f}" for side in zip(*counts[which]))
    yield Figure(name, statistics.median(runs), "ratio", runs, goal=f"≥ {goal}", against=before,
                 note=f"in turns of their own; an event takes the relay and its session, and the broker, {middle(after)} instructions; "
                      f"{before}: {middle(before)}")


def held_xmin(bench):
    """Drain rate beside a transaction that has been open for long, under load, against none. Two servers, for a snapshot knows
    of the transactions of all databases of its own; they bear the same load at the same time, and drain in turn."""
    seconds, events = int(os.environ.get("HELD_SECONDS") or bench.size(30, 1800)), bench.size(60_000, 200_000)
    counts, dead = {"none": [], "held": []}, []
    stages = {"none": stage_of(bench)}
    stages["held"] = Stage(bench, "held", broker_of=stages["none"])
    worlds = {side: stage.world(endpoints={}) for side, stage in stages.items()}
    holder = connect(worlds["held"].dsn, autocommit=False)
    try:
        with holder.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("SELECT pg_current_xact_id()")
        say(f"    {seconds} s at 2,000 events/s")
        under_load(bench, worlds.values(), seconds)

        def drain(side, counted=None):
            world = worlds[side]
            before = value(world.dsn, "SELECT max(id) FROM customers")
            query(world.dsn, customers.bulk_insert("customers", before + 1, before + events))
            world.written = events
            rate = world.drain(instructions=counted)[0]
            dead.append(value(world.dsn, "SELECT sum(pg_stat_get_dead_tuples(format('muskrat.outbox_%s', n)::regclass))"
                                         " FROM generate_series(1, 3) AS n"))
            return rate
        results = in_turn({side: lambda side=side: drain(side) for side in worlds}, 5, "events/s")
        for _ in range(3):
            for side, seen in counts.items():
                drain(side, seen)
    finally:
        holder.close()
        for world in worlds.values():
            world.close()
        stages["held"].close()
    yield ratio_figure("held_xmin_ratio", results, "held", "none", goal="≥ 0.97", against="no transaction held open",
                       note=f"drain of {events} events after {seconds} s at 2,000 events/s; dead tuples in the segments: {max(dead)}")
    yield from by_instructions("held_xmin_ratio.instructions", counts, "none", "held", 0.97)


def under_load(bench, worlds, seconds):
    """Writers and a relay at work in each, all at once."""
    relays = [world.program.relay() for world in worlds]
    writers = []
    for world in worlds:
        argv, env = command(world.pg, customers.one_insert("customers"), 4, seconds, {"synchronous_commit": "off"}, bench.folder,
                            ["--rate", "2000"])
        argv[-1] = world.dsn
        writers.append(subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env))
    try:
        for writer in writers:
            if writer.wait(seconds + 60) != 0:
                raise RuntimeError(f"pgbench ended with {writer.returncode}")
    finally:
        for writer in writers:
            if writer.poll() is None:
                writer.kill()
                writer.wait()
    for world, relay in zip(worlds, relays):
        written = value(world.dsn, "SELECT count(*) FROM muskrat.outbox")
        wait_until(lambda w=written, r=relay: r.metric("muskrat_relay_events_confirmed_total") >= w, 120, f"{written} confirms", 0.1)
        world.program.stop()
        world.broker.call(lambda channel: channel.queue_purge("muskrat.waiting"))
