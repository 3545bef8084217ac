"""The relay behind a large backlog, and beside a transaction that is held open."""
import statistics
import subprocess

from harness.clients import connect, query, value

import customers
from delivery import relay_rate
from measure import Figure, in_turn, ratio_figure
from pgbench import command
from stage import stage_of


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
    """A rate's ratio as it would be if instructions were all that it took: of the relay, its session and the broker, by event."""
    if not counts[before] or len(counts[before]) != len(counts[after]):
        return
    runs = [sum(b) / sum(a) for b, a in zip(counts[before], counts[after])]

    def middle(which):
        return " and ".join(f"{statistics.median(side):.0f}" for side in zip(*counts[which]))
    yield Figure(name, statistics.median(runs), "ratio", runs, goal=f"≥ {goal}", against=before,
                 note=f"the same runs; an event takes the relay and its session, and the broker, {middle(after)} instructions; "
                      f"{before}: {middle(before)}")


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
