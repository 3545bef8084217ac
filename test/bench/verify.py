"""verify against what it cannot do without: reading the source's table and the endpoint's, once each, out of the server."""
import subprocess
import time

from harness.clients import query

import customers
import delivery
from measure import in_turn, ratio_figure


def tables(bench):
    """Both tables with the same rows, at rest."""
    world = delivery.stage_of(bench).world()
    # rows of other objects would go into the table too, and none could be called extra
    world.program.config["endpoints"]["analytics"]["subscribe"] = "Frontend.Customer.*"
    world.program.save()
    rows = bench.size(200_000, 5_000_000)
    for n in range(1, rows + 1, 500_000):
        last = min(n + 499_999, rows)
        query(world.dsn, customers.bulk_insert("customers", n, last))
        query(world.target, customers.bulk_insert("customers", n, last))
    for dsn in (world.dsn, world.target):
        query(dsn, "VACUUM ANALYZE customers")
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

    results = in_turn({"scans": scans, "digests": verified(), "rows": verified("--no-digests")}, bench.rounds(3, 3), "verify")
    note = f"{rows:,} rows of ten columns that are equal, servers at rest"
    against = "reading both tables out of the server, one after the other"
    return [ratio_figure("verify_over_two_scans", results, "digests", "scans", against=against, goal="≤ 1.0",
                         note=note + ", by digests"),
            ratio_figure("verify_rows_over_two_scans", results, "rows", "scans", against=against,
                         note=note + ", each row by itself")]
