"""A scrape of one large table by the kind sql-query, against a COPY that is piped into a bare publisher."""
import json
import os
import shlex
import statistics
import subprocess
import tempfile

from harness.clients import query, value
from harness.processes import watched

from measure import Figure, in_turn, ratio_figure, say
from stage import stage_of

WINDOW = 4000  # that of the source
QUEUE = "scraped"
ROUTING_KEY = "Billing.Customer.Record"
TABLE = """
CREATE TABLE scraped (id bigint PRIMARY KEY, email text, phone text, subdomain text, company text, username text, volume int,
                      retention int, rate numeric(12,2), updated_at timestamptz NOT NULL)
"""
# A row a second: some three hundred lie within the overlap.
ROWS = """
INSERT INTO scraped SELECT n, 'customer' || n || '@example.com', '(555)' || n, 'sub' || n, 'Company ' || n, 'user' || n, n % 1000,
                           n % 90, (n % 100000) / 100.0, '2000-01-01'::timestamptz + n * interval '1 s'
FROM generate_series({first}, {last}) n
"""
QUERY = "SELECT * FROM scraped"


def filled(stage, rows):
    world = stage.world(endpoints={})
    query(world.dsn, TABLE)
    for first in range(1, rows + 1, 500_000):
        query(world.dsn, ROWS.format(first=first, last=min(first + 499_999, rows)))
    query(world.dsn, "CREATE INDEX ON scraped (updated_at, id)")
    query(world.dsn, "VACUUM ANALYZE scraped")
    return world


class Scrape:
    """The table, and a quorum queue for what is read of it; each run begins with the queue empty and nothing remembered."""

    def __init__(self, bench, rows):
        self.bench, self.rows = bench, rows
        self.world = filled(stage_of(bench), rows)
        self.peaks = []
        # Bounded: five millions of messages that nobody takes would measure the broker's memory.
        self.world.broker.queue(QUEUE, patterns=("Billing.#",), x_max_length=500_000)

    def configure(self, mode):
        folder = tempfile.mkdtemp(dir=self.bench.folder)
        self.world.program.config["sources"] = {"scraped": {
            "kind": "sql-query", "dsn": self.world.dsn, "query": QUERY, "key": "id", "every": "1d", "routing_key": ROUTING_KEY,
            "rate": 1_000_000, "page": 2000, "statement_timeout": "10m", **(mode or {"cursor": "updated_at"})}}
        self.world.program.config["relay"] = {**self.world.program.config.get("relay", {}), "state": os.path.join(folder, "relay.sqlite")}
        self.world.program.save()

    def purge(self):
        self.world.broker.call(lambda channel: channel.queue_purge(QUEUE))

    def bare(self):
        """Rows a second."""
        self.purge()
        copy = ["psql", "-X", "-q", "-d", self.world.dsn, "-c", f"COPY (SELECT row_to_json(q) FROM ({QUERY}) q) TO STDOUT"]
        pipe = [self.bench.bare.binary("bare_pipe", "-lrabbitmq"), str(self.world.rabbitmq.port), self.world.vhost, "muskrat", ROUTING_KEY,
                str(WINDOW)]
        done = subprocess.run(["bash", "-o", "pipefail", "-c", shlex.join(copy) + " | " + shlex.join(pipe)], capture_output=True, text=True,
                              check=False)
        if done.returncode != 0:
            raise RuntimeError(f"COPY into a bare publisher: {done.stderr.strip()}")
        seconds, sent = done.stdout.split()
        if int(sent) != self.rows:
            raise RuntimeError(f"COPY into a bare publisher sent {sent} of {self.rows} rows")
        return self.rows / float(seconds)

    def scrape(self, mode=None):
        """Rows a second of one run."""
        self.purge()
        self.configure(mode)
        with open(os.path.join(self.bench.folder, "produce.log"), "w+", encoding="utf-8") as said:
            process = subprocess.Popen(self.world.program.argv("produce", "scraped", "--json"), stdout=said)
            self.peaks.append(watched(process))
            said.seek(0)
            end = json.loads(said.read().splitlines()[-1])
        if process.returncode != 0 or end["sent"] != self.rows:
            raise RuntimeError(f"the run ended with {process.returncode}: {end}")
        return self.rows * 1000 / end["ms"]


def scrape(bench):
    rows = int(os.environ.get("SCRAPE_ROWS") or bench.size(200_000, 5_000_000))
    stand = Scrape(bench, rows)
    length = value(stand.world.dsn, "SELECT avg(length(row_to_json(q)::text))::int FROM (SELECT * FROM scraped LIMIT 1000) q")
    say(f"    {rows:,} rows, {length} bytes each")
    results = in_turn({"bare": stand.bare, "incremental": stand.scrape, "snapshot": lambda: stand.scrape({"mode": "snapshot"})},
                      bench.rounds(3, 1), "rows/s")
    middle = {v: statistics.median(r) for v, r in results.items()}
    note = f"{rows:,} rows of ten columns, one quorum queue; bare {middle['bare']:.0f}/s, "
    against = "COPY … TO STDOUT piped into a bare publisher, window 4,000, the same headers"
    stand.world.close()
    yield ratio_figure("scrape_ratio", results, "incremental", "bare", goal="≥ 0.8", against=against,
                       note=note + f"mode incremental {middle['incremental']:.0f}/s")
    yield ratio_figure("scrape_snapshot_ratio", results, "snapshot", "bare", goal="≥ 0.8", against=against,
                       note=note + f"mode snapshot {middle['snapshot']:.0f}/s")
    yield Figure("scrape_rss_mb", max(stand.peaks), "MB", stand.peaks, goal="≤ 60", note=f"peak of a run over {rows:,} rows")
