"""The demo's statistics server, from which data volumes are collected on a schedule, and the two that receive them.

The server is the tests' double of Statsserver. Some of its records become visible late, and one is corrected: analytics keeps every
snapshot with its time, billing has the newest value of each customer and hour.
"""
import time

from doubles.statsserver import Statsserver, stamp_of, volumes
from harness.clients import query
from harness.processes import wait_until

CUSTOMERS, HOURS, HOUR = 12, 6, 3600

ANALYTICS = """CREATE TABLE volume_snapshots (message_id text PRIMARY KEY, customer text NOT NULL, hour timestamptz NOT NULL,
                                              bytes bigint NOT NULL, collected_at timestamptz NOT NULL)"""
BILLING = """CREATE TABLE usage (account text, hour timestamptz, gigabytes numeric(12, 3) NOT NULL, PRIMARY KEY (account, hour))"""


class Volumes:
    def __init__(self):
        self.server = Statsserver(auth="bearer")
        self.token = self.server.issue(life=86400)
        hour = int(time.time() // HOUR * HOUR)
        self.records = volumes(CUSTOMERS, hour - HOURS * HOUR, hour, HOUR)
        self.late = self.records[-3:]
        self.corrected = []  # what stood there before
        self.server.add("volume", self.records[:-3])
        self.server.add("volume", self.late, hidden=True)

    def url(self):
        return self.server.url("/v1/stats/volume")

    def correct(self):
        """The late records appear, and the first one turns out to have been wrong."""
        self.server.reveal("volume")
        wrong = self.records[0]
        self.corrected.append(wrong)
        self.records[0] = {**wrong, "value": wrong["value"] + (1 << 30)}
        with self.server.lock:
            kept = self.server.metrics["volume"].records
            kept[:] = [(ts, seen, self.records[0] if record == wrong else record) for ts, seen, record in kept]

    def expected(self):
        """What analytics has to have, and billing."""
        everything = {(r["key"], r["ts"], r["value"]) for r in [*self.records, *self.corrected]}
        return everything, {(r["key"], r["ts"]): round(r["value"] / (1 << 30), 3) for r in self.records}

    def received(self, analytics, billing):
        snapshots = query(analytics, "SELECT customer, extract(epoch FROM hour)::bigint, bytes FROM volume_snapshots")
        usage = query(billing, "SELECT account, extract(epoch FROM hour)::bigint, gigabytes FROM usage")
        return ([(customer, stamp_of(hour), size) for customer, hour, size in snapshots],
                {(account, stamp_of(hour)): float(gigabytes) for account, hour, gigabytes in usage})

    def arrived(self, analytics, billing):
        snapshots, usage = self.received(analytics, billing)
        everything, newest = self.expected()
        return sorted(snapshots) == sorted(everything) and usage == newest

    def outcome(self, relay, analytics, billing):
        """Prints it; true when each snapshot was collected and sent once, and both have what they are to have."""
        everything, newest = self.expected()
        wait_until(lambda: self.arrived(analytics, billing), 20, "the volumes")
        sent = int(relay.metric("muskrat_relay_events_confirmed_total", source="stats"))
        runs = int(relay.metric("muskrat_scheduled_runs_total", source="stats"))
        print(f"Volumes: {runs} runs on schedule asked the statistics server {self.server.journal.count()} times and sent {sent:,} "
              f"snapshots, each once; analytics has {len(everything):,} with their times, billing the newest of {len(newest):,}.")
        return sent == len(everything)

    def leave(self):
        self.server.stop()
