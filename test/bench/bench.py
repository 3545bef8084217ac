"""`make bench`: every figure as a ratio within one run, on servers of its own.

    make bench                                  quick sizes, about a quarter of an hour
    make bench FULL=1                           the sizes that the goals speak of
    make bench ONLY="relay_publish_ratio …"     some of them
    test/bench/bench.py --only capture_bulk_ratio relay_publish_ratio
    test/bench/bench.py --list

Prints a table and writes build/bench.json: {"name": {"value", "unit", "runs", "against", "goal", "reached", "note"}}. What could
not be measured is absent from both, and said. docs/benchmarks.md says how each is measured; measure.py is the method.
"""
import argparse
import fcntl
import json
import os
import platform
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), HERE]

from harness import build as where  # noqa: E402
from harness.processes import clear_leftovers  # noqa: E402

import backfill  # noqa: E402
import capture  # noqa: E402
import capture_mysql  # noqa: E402
import delivery  # noqa: E402
import latency  # noqa: E402
import mapping  # noqa: E402
import mysql_source  # noqa: E402
import ordering  # noqa: E402
import scrape  # noqa: E402
import verify  # noqa: E402
import waiting  # noqa: E402
from measure import Bare, say  # noqa: E402

# The figures each comparison yields, and the function that makes it, in the order in which they run.
COMPARISONS = [
    (["capture_bulk_ratio"], capture.bulk),
    (["capture_memory_mb"], capture.memory),
    (["capture_mysql_bulk_ratio"], capture_mysql.bulk),
    (["capture_oltp_ratio"], capture.oltp),
    (["capture_group_commit_ratio"], capture.group_commit),
    (["capture_update_ratio"], capture.updates),
    (["tables_scaling", "tables_scaling.instructions"], capture.tables),
    (["mapping_table_rate", "mapping_jq_rate"], mapping.rates),
    (["relay_publish_ratio", "relay_rss_mb"], delivery.publish),
    (["relay_read_rate"], delivery.read_rate),
    ([f"{who}_keys_{count}" for who in ("relay", "host") for count in (1, 10, 100_000)], ordering.keys),
    (["relay_mysql_publish_ratio", "mysql_outbox_growth"], mysql_source.publish),
    (["consume_postgres_ratio", "consume_postgres_upsert_ratio", "consume_rss_mb"], delivery.consume),
    (["consume_http_ratio", "consume_http_1ms_ratio"], delivery.consume_http),
    (["consume_exec_ratio", "consume_exec_taken_ratio"], delivery.consume_exec),
    (["latency_p50_ms", "latency_p99_ms", "latency_broker_p50_ms"], latency.under_load),
    (["latency_idle_p50_ms"], latency.idle_event),
    (["relay_idle_cpu"], latency.idle_processes),
    (["backlog_scaling", "backlog_scaling.bare", "backlog_scaling.instructions"], waiting.backlog),
    (["held_xmin_ratio", "held_xmin_ratio.instructions"], waiting.held_xmin),
    (["backfill_p99_ratio", "backfill_max_p99_ratio", "backfill_max_rate", "backfill_rss_mb"], backfill.backfill),
    (["scrape_ratio", "scrape_snapshot_ratio", "scrape_rss_mb"], scrape.scrape),
    (["verify_over_two_scans", "verify_beside_over_two_scans", "verify_rows_over_two_scans"], verify.verify),
]


class Bench:
    def __init__(self, build, full):
        self.build, self.full = os.path.abspath(build), full
        self.folder = os.path.join(self.build, "bench")
        os.makedirs(self.folder, exist_ok=True)
        self.lock = open(os.path.join(self.folder, "lock"), "w", encoding="ascii")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(f"another run measures in {self.folder}")
        self.stages = {}  # servers, shared between comparisons
        self.bare = Bare(self.folder)
        self.clock = time.monotonic

    def rounds(self, quick, full):
        return full if self.full else quick

    size = rounds

    def drop_stage(self, name):
        if name in self.stages:
            self.stages.pop(name).close()

    def close(self):
        for name in list(self.stages):
            self.drop_stage(name)


def table(figures):
    rows = [["figure", "value", "spread", "goal", "", "against", "note"], *(f.row() for f in figures)]
    widths = [max(len(r[i]) for r in rows) for i in range(6)]
    return "\n".join("  ".join([*(c.ljust(w) for c, w in zip(r, widths)), r[6]]).rstrip() for r in rows)


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo", encoding="ascii") if line.startswith("model name")), "?")
    return {"cpu": model, "cores": os.cpu_count(), "kernel": platform.release(), "load_before": round(os.getloadavg()[0], 2)}


def save(path, bench, figures, about):
    """What an earlier run measured and this one did not stays."""
    try:
        with open(path, encoding="utf-8") as f:
            everything = json.load(f)
    except (FileNotFoundError, ValueError):
        everything = {}
    if about["all"]:
        everything = {}
    for f in figures:
        everything[f.name] = dict(f.json(), size="full" if bench.full else "quick", machine=about["machine"], at=about["at"])
    with open(path + ".new", "w", encoding="utf-8") as f:
        json.dump(everything, f, indent=1, ensure_ascii=False)
        f.write("\n")
    os.replace(path + ".new", path)


def run_all(bench, chosen):
    figures, failed = [], []
    for names, comparison in chosen:
        say(f"{', '.join(names)} …")
        began = time.monotonic()
        if names[0].startswith("relay_publish"):
            bench.drop_stage("capture")  # two cores: no server stands about idle
        try:
            for figure in comparison(bench):
                figures.append(figure)
                say("  " + "  ".join(figure.row()[:5]))
        except Exception as e:  # one comparison's trouble is not the others'
            failed.append(names)
            say(f"  could not be measured: {type(e).__name__}: {e}")
        say(f"  ({time.monotonic() - began:.0f} s)")
    return figures, failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=where.default_build())
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--only", nargs="+", metavar="NAME", default=[])
    parser.add_argument("--list", action="store_true")
    args = parser.parse_args()
    if args.list:
        print("\n".join(n for names, _ in COMPARISONS for n in names))
        return 0
    known = {n for names, _ in COMPARISONS for n in names}
    if unknown := [n for n in args.only if n not in known]:
        parser.error(f"there is no figure {', '.join(unknown)}; --list shows them")
    chosen = [(names, c) for names, c in COMPARISONS if not args.only or set(names) & set(args.only)]
    bench = Bench(args.build, args.full)
    clear_leftovers(bench.folder)
    about = {"machine": machine(), "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "all": not args.only}
    if about["machine"]["load_before"] > 1:
        say(f"the machine is busy (load {about['machine']['load_before']}): expect a wide spread")
    try:
        figures, failed = run_all(bench, chosen)
    finally:
        bench.close()
    print(table(figures))
    path = os.path.join(bench.build, "bench.json")
    save(path, bench, figures, about)
    print(f"\n{path}, {len(figures)} figures")
    return 1 if failed or not figures else 0


if __name__ == "__main__":
    sys.exit(main())
