"""verify against what it cannot do without: reading the source's table and the endpoint's, once each, out of the server."""
import statistics
import subprocess
import threading
import time

from harness.clients import query

import customers
from backfill import CHANGES_A_SECOND, Application
from measure import Figure, in_turn, ratio_figure
from stage import stage_of


def tables(bench):
    """Both tables with the same rows, at rest."""
    world = stage_of(bench).world()
    # rows of other objects would go into the table too, and none could be called extra
    world.program.config["endpoints"]["analytics"]["subscribe"] = "Frontend.Customer.*"
    world.program.save()
    rows = bench.size(200_000, 5_000_000)
    for n in range(1, rows + 1, 500_000):
        last = min(n + 499_999, rows)
        query(world.dsn, "SET session_replication_role = replica; " + customers.bulk_insert("customers", n, last))
        query(world.target, customers.bulk_insert("customers", n, last))
    for dsn in (world.dsn, world.target):
        query(dsn, "VACUUM ANALYZE customers")
    query(world.dsn, f"SELECT setval(pg_get_serial_sequence('customers', 'id'), {rows})")
    return world, rows


def verify(bench):
    world, rows = tables(bench)

    def scans():
        """One after the other, as text, to a client that throws it away."""
        began = time.monotonic()
        for dsn in (world.dsn, world.target):
            subprocess.run(["psql", "-qX", dsn, "-c", rf"\copy customers (id, {customers.COLUMNS}) TO /dev/null"], check=True)
        return time.monotonic() - began

    def verified(*options):
        def run():
            began = time.monotonic()
            done = world.program.run("verify", "customers", "analytics", *options, timeout=3600)
            assert done.returncode == 0, done.stdout + done.stderr
            return time.monotonic() - began
        return run

    def beside_changes():
        """The same while the application goes on, relay and host at work."""
        over, application = threading.Event(), Application(world, rows, 10)

        def changes():
            while not over.is_set():
                application.run()

        thread = threading.Thread(target=changes)
        thread.start()
        try:
            time.sleep(2)
            return verified()()
        finally:
            over.set()
            thread.join()

    results = in_turn({"scans": scans, "digests": verified(), "rows": verified("--no-digests")}, bench.rounds(3, 3), "verify")
    world.program.relay()
    world.program.consume()
    busy = in_turn({"beside": beside_changes}, 3, "verify")["beside"]
    world.program.stop()
    runs = [b / a for a, b in zip(results["scans"], busy)]
    note = f"{rows:,} rows of ten columns that are equal, servers at rest"
    against = "reading both tables out of the server, one after the other"
    return [ratio_figure("verify_over_two_scans", results, "digests", "scans", against=against, goal="≤ 1.0",
                         note=note + ", by digests"),
            Figure("verify_beside_over_two_scans", statistics.median(runs), "ratio", runs, against=against + ", at rest",
                   note=f"{rows:,} rows, by digests, while {CHANGES_A_SECOND:,} changes a second go on; {statistics.median(busy):.1f} s"),
            ratio_figure("verify_rows_over_two_scans", results, "rows", "scans", against=against,
                         note=note + ", each row by itself")]
