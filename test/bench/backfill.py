"""A backfill beside an application that goes on: what its slowest transactions feel of it, and whether everything arrives."""
import collections
import glob
import os
import statistics
import subprocess

from harness.clients import query, value
from harness.processes import Child, wait_until

import customers
from measure import Figure, in_turn, percentile, ratio_figure, say
from pgbench import command
from stage import stage_of

CHANGES_A_SECOND = 1000
DEFAULT_PACE = 1000  # rows a second
# Eight of ten change a row that is there, one comes, one goes; the ids reach beyond what the backfill finds.
APPLICATION = """
\\set n random(1, {rows})
\\set what random(1, 10)
\\if :what = 1
INSERT INTO customers ({columns}) VALUES ({values});
\\elif :what = 2
DELETE FROM customers WHERE id = :n;
\\else
UPDATE customers SET phone = (:what)::text || (:n)::text, volume = volume + 1 WHERE id = :n;
\\endif
"""
SUM = "SELECT count(*), sum(hashtextextended(row(id, " + customers.COLUMNS + ")::text, 0)::numeric) FROM customers"


class Application:
    """So many changes a second; each run gives every transaction's time in ms, from when it was due."""

    def __init__(self, world, rows, seconds):
        self.world, self.seconds = world, seconds
        self.script = APPLICATION.format(rows=rows, columns=customers.COLUMNS, values=customers.VALUES.format(n="(:n)::text"))
        self.log = os.path.join(world.stage.folder, "run", "application")

    def run(self):
        argv, env = command(self.world.pg, self.script, 8, self.seconds, {}, os.path.dirname(self.log),
                            ("-R", str(CHANGES_A_SECOND), "--log", f"--log-prefix={self.log}"))
        argv[-1] = self.world.dsn
        for old in glob.glob(self.log + ".*"):
            os.remove(old)
        done = subprocess.run(argv, capture_output=True, text=True, check=False, env=env)
        if done.returncode != 0 or "deadlock" in done.stderr:
            raise RuntimeError(f"pgbench: {done.stderr.strip()[-500:]}")
        times = []
        for path in glob.glob(self.log + ".*"):
            with open(path, encoding="ascii") as f:
                times += [int(line.split()[2]) / 1000 for line in f]
        if len(times) < 0.9 * CHANGES_A_SECOND * self.seconds:
            raise RuntimeError(f"the application came to {len(times)} changes in {self.seconds} s: too slow a machine for this")
        return times


def filled(bench, rows):
    """A world whose table has so many rows, of which no event tells."""
    world = stage_of(bench).world()
    world.program.config["endpoints"]["analytics"]["subscribe"] = "Frontend.Customer.*"
    world.program.save()
    for first in range(1, rows + 1, 500_000):
        query(world.dsn, "SET session_replication_role = replica; " +
              customers.bulk_insert("customers", first, min(first + 499_999, rows)))
    query(world.dsn, f"SELECT setval(pg_get_serial_sequence('customers', 'id'), {rows})")
    query(world.dsn, "VACUUM ANALYZE customers")
    if value(world.dsn, "SELECT count(*) FROM muskrat.outbox"):
        raise RuntimeError("the rows were captured when they were written")
    return world


def peak_mb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmHWM")) / 1024


def beside(world, application, rows, pace):
    """The application while the backfill runs: (its times, rows a second, peak MB of the backfill, 0 when it was over before
    the application's first turn was)."""
    child = Child(world.program.argv("backfill", "customers", "--to", "analytics", "--yes", *pace),
                  os.path.join(world.stage.folder, "run", "backfill.log"), record=world.stage.folder)
    times, peak = [], 0.0
    began = value(world.dsn, "SELECT clock_timestamp()")
    while child.running() or not times:
        turn = application.run()
        if child.running():
            peak = peak_mb(child.pid)
        if child.running() or not times:  # the last turn is only partly beside it
            times += turn
    if child.wait(5) != 0:
        raise RuntimeError("the backfill failed: " + child.log()[-500:])
    took = value(world.dsn, "SELECT extract(epoch FROM moved_at - %s)::float8 FROM muskrat.backfill", (began,))
    return times, rows / took, peak


# rows a second, the largest peak in MB, p99 beside it over each p99 without
Run = collections.namedtuple("Run", "speed memory ratios note")


def one_run(bench, rows, *pace):
    world = filled(bench, rows)
    relay, host = world.program.relay(), world.program.consume()
    application = Application(world, rows, bench.size(10, 30))
    application.run()  # warms up
    alone = [percentile(application.run(), 0.99)]
    times, speed, peak = beside(world, application, rows, pace)
    wait_until(lambda: query(world.dsn, SUM) == query(world.target, SUM), 3600, "the endpoint to be equal to the source", 2)
    alone.append(percentile(application.run(), 0.99))
    p99 = percentile(times, 0.99)
    deadlocks = value(world.dsn, "SELECT sum(deadlocks)::int FROM pg_stat_database")
    if deadlocks:
        raise RuntimeError(f"{deadlocks} deadlocks")
    peaks = peak, peak_mb(relay.pid), peak_mb(host.pid)
    without = ", ".join(f"{a:.2f}" for a in alone)
    say(f"    backfill {' '.join(pace)}: p99 {p99:.2f} ms beside it, {without} ms without; {speed:.0f} rows/s; "
        f"peak MB: backfill {peaks[0]:.0f}, relay {peaks[1]:.0f}, host {peaks[2]:.0f}")
    world.program.stop()
    world.close()
    return Run(speed, max(peaks), [p99 / a for a in alone], f"{rows:,} rows of ten columns while {CHANGES_A_SECOND:,} changes a "
               "second go on; endpoint equal to the source at the end, no deadlock")


def gentle(bench):
    """The application alone and beside a backfill at the default pace, in turn: each time the next part of the table."""
    turns, seconds = bench.rounds(5, 9), bench.size(10, 30)
    part = DEFAULT_PACE * seconds
    world = filled(bench, turns * part)
    world.program.relay()
    world.program.consume()
    application = Application(world, turns * part, seconds)
    application.run()  # warms up
    parts = iter(range(1, turns * part + 1, part))

    def p99_beside():
        first = next(parts)
        child = Child(world.program.argv("backfill", "customers", "--to", "analytics", "--yes", "--where",
                                         f"id BETWEEN {first} AND {first + part - 1}"),
                      os.path.join(world.stage.folder, "run", "backfill.log"), record=world.stage.folder)
        p99 = percentile(application.run(), 0.99)
        if child.wait(seconds + 60) != 0:
            raise RuntimeError("the backfill failed: " + child.log()[-500:])
        return p99

    results = in_turn({"alone": lambda: percentile(application.run(), 0.99), "beside": p99_beside}, turns, "p99, ms")
    wait_until(lambda: query(world.dsn, SUM) == query(world.target, SUM), 600, "the endpoint to be equal to the source", 2)
    world.program.stop()
    world.close()
    middle = {v: statistics.median(r) for v, r in results.items()}
    return ratio_figure("backfill_p99_ratio", results, "beside", "alone", goal="≤ 1.2",
                        against="the application's p99 alone, relay and host at work",
                        note=f"at the default pace of {DEFAULT_PACE:,} rows/s, turns of {seconds} s; "
                             f"{CHANGES_A_SECOND:,} changes a second; {middle['beside']:.1f} ms, {middle['alone']:.1f} ms; "
                             "endpoint equal to the source at the end")


def backfill(bench):
    most = one_run(bench, int(os.environ.get("BACKFILL_ROWS") or bench.size(200_000, 5_000_000)), "--rate", "max")
    against = "the application's p99 before and after, relay and host at work"
    return [gentle(bench),
            Figure("backfill_max_p99_ratio", statistics.median(most.ratios), "ratio", most.ratios, against=against,
                   note=f"--rate max; {most.note}"),
            Figure("backfill_max_rate", most.speed, "rows/s", note=f"--rate max; {most.note}"),
            Figure("backfill_rss_mb", most.memory, "MB", note="the largest of backfill, relay and host; " + most.note)]
