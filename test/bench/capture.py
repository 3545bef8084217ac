"""What capture costs the application: every comparison against the same write without a trigger, and against peers."""
import os
import shutil
import statistics
import subprocess

import psycopg2

from harness import build as where
from harness.clients import connect
from harness.postgres import Postgres

import customers
from decoding import Decoded
from measure import Figure, Instructions, PeakMemory, cpu_ms, in_turn, ratio_figure, ratios, say
from pgbench import pgbench

SETTINGS = {"shared_buffers": "512MB", "max_wal_size": "8GB", "checkpoint_timeout": "1h", "autovacuum": "off",
            "max_connections": "120"}

PLPGSQL_OUTBOX = """
CREATE TABLE {table}_outbox (id bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), op text, body json);
CREATE FUNCTION {table}_capture() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO {table}_outbox (op, body) VALUES (TG_OP, row_to_json(NEW));
    {notify}
    RETURN NULL;
END $$;
CREATE TRIGGER capture AFTER INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_capture()
"""


BARE = """
CREATE TABLE bare_outbox (id bigint NOT NULL, body text NOT NULL);
ALTER TABLE bare_outbox ALTER body SET STORAGE PLAIN;
CREATE INDEX bare_outbox_index ON bare_outbox (id);
CREATE SEQUENCE bare_outbox_id;
CREATE FUNCTION bare_empty() RETURNS trigger LANGUAGE c AS '{library}';
CREATE FUNCTION bare_insert() RETURNS trigger LANGUAGE c AS '{library}'
"""
LIMITS = {"empty": "a C trigger that does nothing", "bare": "a C trigger that stores a row of the same size and looks at nothing"}


class Stage:
    """One server; a table for each way of capturing, all alike."""

    def __init__(self, bench):
        folder = os.path.join(bench.folder, "capture")
        shutil.rmtree(os.path.join(folder, "data"), ignore_errors=True)
        self.pg = Postgres(folder, build=bench.build, fsync=True, settings=SETTINGS).start()
        self.connection = connect(self.pg.dsn())
        self.sql("CREATE EXTENSION muskrat")
        self.tables = {}  # variant → what to empty before each run
        self.add("plain")
        self.add("capture", customers.attach("capture"), "muskrat.outbox_1, muskrat.outbox_2, muskrat.outbox_3")
        self.add_limits(bench)
        self.add("plpgsql", PLPGSQL_OUTBOX.format(table="plpgsql", notify=""), "plpgsql_outbox")
        self.add("plpgsql_notify", PLPGSQL_OUTBOX.format(table="plpgsql_notify",
                                                         notify="PERFORM pg_notify('outbox', NEW.id::text);"), "plpgsql_notify_outbox")
        self.add_pgq()
        self.add_table_log()
        self.decoded = self.add_wal2json(bench)

    def sql(self, *statements):
        with self.connection.cursor() as cursor:
            for s in statements:
                cursor.execute(s)
            return cursor.fetchall() if cursor.description else None

    def add(self, variant, trigger="", also=""):
        self.sql(customers.TABLE.format(table=variant))
        if trigger:
            self.sql(trigger)
        self.tables[variant] = ", ".join(filter(None, [variant, also]))

    def add_limits(self, bench):
        """Triggers of bare_capture.c: the least that one costs which does nothing, and one which stores an event's row."""
        pg_config = os.path.join(where.pg_bindirs()[self.pg.major], "pg_config")
        include = subprocess.run([pg_config, "--includedir-server"], capture_output=True, text=True, check=True).stdout.strip()
        library = os.path.join(self.pg.data, "bare_capture.so")
        shutil.copy(bench.bare.binary("bare_capture", "-shared", "-fPIC", "-isystem", include), library)
        os.chmod(library, 0o755)
        self.sql(BARE.format(library=library))
        self.sql(customers.bulk_insert("capture", 1, 100))
        ((size,),) = self.sql("SELECT avg(pg_column_size(o.*))::int FROM muskrat.outbox_1 AS o")
        for variant, call in (("empty", "bare_empty()"), ("bare", f"bare_insert('{size}')")):
            self.add(variant, f"CREATE TRIGGER capture AFTER INSERT OR UPDATE ON {variant} FOR EACH ROW EXECUTE FUNCTION {call}",
                     "bare_outbox")

    def create_peer(self, extension, package):
        try:
            self.sql(f"CREATE EXTENSION {extension}")
            return True
        except psycopg2.Error:
            say(f"    {extension}: not installed: skipped; `packaging/deps.sh --bench` installs {package}")
            return False

    def add_pgq(self):
        if self.create_peer("pgq", f"postgresql-{self.pg.major}-pgq3"):
            self.sql("SELECT pgq.create_queue('bench')")
            self.add("pgq", "CREATE TRIGGER capture AFTER INSERT OR UPDATE ON pgq FOR EACH ROW"
                            " EXECUTE FUNCTION pgq.jsontriga('bench')", "pgq.event_1_0, pgq.event_1_1, pgq.event_1_2")

    def add_table_log(self):
        if self.create_peer("table_log", f"postgresql-{self.pg.major}-tablelog"):
            self.add("table_log")
            self.sql("SELECT table_log_init(4, 'table_log')")
            self.tables["table_log"] += ", table_log_log"

    def add_wal2json(self, bench):
        try:
            return Decoded(bench, SETTINGS)
        except LookupError as package:
            say(f"    wal2json: not installed: skipped; `packaging/deps.sh --bench` installs {package}")
            return None

    def peers(self):
        """The variants that are compared: plain, capture, the limits, and whoever is installed."""
        return [v for v in ("plain", "capture", *LIMITS, "plpgsql", "plpgsql_notify", "pgq", "table_log") if v in self.tables]

    def empty(self, variant):
        self.sql(f"TRUNCATE {self.tables[variant]}", "CHECKPOINT")

    def body_bytes(self):
        return self.sql("SELECT avg(octet_length(body))::int, min(octet_length(body)), max(octet_length(body)) FROM muskrat.outbox"
                        " WHERE op = 'i'")[0]

    def close(self):
        if self.decoded:
            self.decoded.close()
        self.connection.close()
        self.pg.remove()


def others(name, results, variants, note):
    """Figures of those that capture is compared with; `note`: of a variant."""
    for v in variants:
        about = f"limit: {LIMITS[v]}" if v in LIMITS else f"peer: {v}"
        yield ratio_figure(f"{name}.{v}", results, v, "plain", against="the same without a trigger", note=about + note(v))


def stage_of(bench):
    if "capture" not in bench.stages:
        bench.stages["capture"] = Stage(bench)
    return bench.stages["capture"]


# ---- one statement, many rows

def bulk(bench):
    stage, rows = stage_of(bench), 100_000
    pid = stage.connection.get_backend_pid()
    cpu = {v: [] for v in stage.peers()}

    def run(variant):
        stage.empty(variant)
        stage.sql(customers.bulk_insert(variant, 1, 100))  # pages, plans and the relcache are warm
        before, began = cpu_ms(pid), bench.clock()
        stage.sql(customers.bulk_insert(variant, 101, rows + 100))
        took = (bench.clock() - began) * 1000
        cpu[variant].append(cpu_ms(pid) - before)
        return took

    variants = {v: lambda v=v: run(v) for v in stage.peers()}
    if stage.decoded:
        variants["wal2json"] = lambda: stage.decoded.bulk(rows)
    results = in_turn(variants, bench.rounds(5, 9), "ms")
    average, least, most = stage.body_bytes()
    if not 300 <= average <= 400:
        raise RuntimeError(f"the rows make bodies of {average} bytes, not 300 to 400")
    ms = {v: statistics.median(r) for v, r in results.items()}
    cpu_ratio = statistics.median(ratios(cpu, "capture", "plain"))
    yield ratio_figure("capture_bulk_ratio", results, "capture", "plain", goal="≤ 2.2", against="the same INSERT without trigger",
                       note=f"{rows} rows, {ms['capture']:.0f} ms / {ms['plain']:.0f} ms; bodies {least}–{most} B; "
                            f"processor time alone {cpu_ratio:.2f}")
    yield from others("capture_bulk_ratio", results, stage.peers()[2:], lambda v: f"; {ms[v]:.0f} ms; processor time alone "
                      f"{statistics.median(ratios(cpu, v, 'plain')):.2f}")
    if stage.decoded:
        yield from others("capture_bulk_ratio", results, ["wal2json"], lambda v: f"; {ms[v]:.0f} ms, the INSERT and then the decoding "
                          "of its rows, with wal_level = logical")


def memory(bench):
    """The backend's own memory at its largest within one INSERT; PostgreSQL keeps its queue of triggers there too."""
    stage, rows = stage_of(bench), bench.size(1_000_000, 10_000_000)

    def peak(variant):
        stage.empty(variant)
        connection = connect(stage.pg.dsn())
        own = PeakMemory(connection.get_backend_pid())
        try:
            with connection.cursor() as cursor:
                cursor.execute(customers.bulk_insert(variant, 1, rows))
        finally:
            connection.close()
            largest = own.end()
            stage.empty(variant)
        return largest

    results = in_turn({v: lambda v=v: peak(v) for v in ("empty", "capture")}, bench.rounds(3, 1), "MB")
    runs = [a - b for a, b in zip(results["capture"], results["empty"])]
    yield Figure("capture_memory_mb", statistics.median(runs), "MB", runs, goal="≤ 16", against="the same INSERT with an empty C trigger",
                 note=f"{rows:,} rows in one INSERT; in all {statistics.median(results['capture']):.0f} MB")


# ---- many clients, one row each

class Transactions:
    """Commits a second of each variant, and, as the steadier witness on a busy machine, processor time by commit."""

    def __init__(self, bench, stage, setting, clients, rows=0):
        self.bench, self.stage, self.setting, self.clients, self.rows = bench, stage, setting, clients, rows
        self.seconds, self.cpu = bench.size(3, 10), {}

    def run(self, variant, text):
        self.stage.empty(variant)
        if self.rows:
            self.stage.sql(customers.bulk_insert(variant, 1, self.rows), f"VACUUM ANALYZE {variant}", "CHECKPOINT")
        rate, cpu = pgbench(self.stage.pg, text, self.clients, self.seconds, {"synchronous_commit": self.setting}, self.bench.folder)
        self.cpu.setdefault(variant, []).append(cpu)
        return rate

    def compare(self, variants, script):
        self.results = in_turn({v: lambda v=v: self.run(v, script(v)) for v in variants}, self.bench.rounds(5, 7), "commits/s")
        return self.results

    def note(self, captured):
        ratio = statistics.median(ratios(self.cpu, "plain", captured))
        return (f"{self.clients} clients, {self.seconds} s a run, synchronous_commit={self.setting}; "
                + ", ".join(f"{v} {statistics.median(r):.0f}/s" for v, r in self.results.items())
                + f"; by processor time a commit {ratio:.2f}")

    def beside(self, variant):
        return f"; by processor time a commit {statistics.median(ratios(self.cpu, 'plain', variant)):.2f}"


def oltp(bench):
    stage = stage_of(bench)
    runs = Transactions(bench, stage, "off", 8)
    results = runs.compare(stage.peers(), customers.one_insert)
    yield ratio_figure("capture_oltp_ratio", results, "capture", "plain", goal="≥ 0.90", against="commits/s without trigger",
                       note=runs.note("capture"))
    yield from others("capture_oltp_ratio", results, stage.peers()[2:], runs.beside)


def group_commit(bench):
    runs = Transactions(bench, stage_of(bench), "on", 64)
    results = runs.compare(["plain", "capture", *LIMITS, "plpgsql_notify"], customers.one_insert)
    yield ratio_figure("capture_group_commit_ratio", results, "capture", "plain", goal="≥ 0.97", against="commits/s without trigger",
                       note=f"fsync on; {runs.note('capture')}")
    yield from others("capture_group_commit_ratio", results, [*LIMITS, "plpgsql_notify"], runs.beside)


def updates(bench):
    stage, rows = stage_of(bench), 50_000
    names = ["id", *customers.COLUMNS.split(", ")[:-1]]  # all but updated_at
    if "part" not in stage.tables:
        quoted = ", ".join(f'"{n}"' for n in names)
        stage.add("part", customers.attach("part", f"[{quoted}]"), "muskrat.outbox_1, muskrat.outbox_2, muskrat.outbox_3")

    def compare(what, limits):
        runs = Transactions(bench, stage, "off", 8, rows)
        script = f"\\set n random(1, {rows})\nUPDATE {{}} SET {what} WHERE id = :n;\n"
        return runs, runs.compare(["plain", "part", *limits], script.format)

    runs, one = compare("phone = '(555)555-' || (:n % 10000)", LIMITS)
    yield ratio_figure("capture_update_ratio", one, "part", "plain", goal="≥ 0.90", against="commits/s without trigger",
                       note=f"one captured column changes; {rows} rows; {runs.note('part')}")
    yield from others("capture_update_ratio", one, LIMITS, runs.beside)
    runs, none = compare("updated_at = now()", ["empty"])
    yield ratio_figure("capture_update_ratio.none_captured", none, "part", "plain", goal="≥ 0.98", against="commits/s without trigger",
                       note=f"no captured column changes; {rows} rows; {runs.note('part')}")
    yield from others("capture_update_ratio.none_captured", none, ["empty"], runs.beside)


# ---- many tables

def tables(bench):
    """Processor time that capture adds to 1,000 statements of 100 rows: each into a table of its own, and all into one."""
    stage, count, rows = stage_of(bench), 1000, 100
    if "many_0" not in stage.tables:
        for kind in ("bare", "many"):
            for n in range(count):
                stage.sql(f"CREATE TABLE {kind}_{n} (LIKE plain INCLUDING ALL)")
        for n in range(count):
            stage.sql(f"SELECT muskrat.attach('many_{n}', 'Frontend.Many{n}', columns => '\"*\"')")
        stage.tables["many_0"] = ""

    counts = {}  # (kind, spread): instructions of each turn

    def run(spread, kind):
        connection = connect(stage.pg.dsn())
        pid, spent = connection.get_backend_pid(), 0
        counted = Instructions(pid)
        with connection.cursor() as cursor:
            def insert(turn):
                for n in range(count):
                    target = f"{kind}_{n if spread else 0}"
                    first = (turn * count + n) * rows
                    cursor.execute(customers.bulk_insert(target, first, first + rows - 1))
            insert(0)  # fills caches
            with counted:
                before = cpu_ms(pid)
                insert(1)
                spent = cpu_ms(pid) - before
            counts.setdefault((kind, spread), []).append(counted.count)
            names = [f"{kind}_{n}" for n in (range(count) if spread else [0])]
            cursor.execute(f"TRUNCATE {', '.join(names)}, muskrat.outbox_1, muskrat.outbox_2, muskrat.outbox_3")
        connection.close()
        return spent

    variants = {f"{kind} {where}": lambda s=where == "in 1,000", k=kind: run(s, k)
                for where in ("in 1", "in 1,000") for kind in ("bare", "many")}
    results = in_turn(variants, bench.rounds(5, 7), "ms of processor")
    cost = {w: [a - b for a, b in zip(results[f"many {w}"], results[f"bare {w}"])] for w in ("in 1", "in 1,000")}
    runs = ratios(cost, "in 1,000", "in 1")
    yield Figure("tables_scaling", statistics.median(runs), "ratio", runs, goal="≤ 1.05",
                 against="what capture adds with all rows in one table",
                 note=f"processor time that capture adds to {count} statements of {rows} rows, caches warm: "
                      + ", ".join(f"{w} {statistics.median(c):.0f} ms" for w, c in cost.items()))
    if not any(None in of for of in counts.values()):
        added = {spread: [a - b for a, b in zip(counts["many", spread], counts["bare", spread])] for spread in (False, True)}
        runs = [many / one for many, one in zip(added[True], added[False])]
        yield Figure("tables_scaling.instructions", statistics.median(runs), "ratio", runs, goal="≤ 1.05",
                     against="what capture adds with all rows in one table", note="the same runs, by instructions of the session")
