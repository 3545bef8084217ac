"""The relay from MariaDB, against a bare publisher; and what its deletions leave behind."""
import os
import shutil
import statistics
import time

from harness import build as where
from harness.clients import Broker
from harness.mariadb import MariaDB
from harness.processes import wait_until
from harness.program import Program

from delivery import bare_publish_rate
from stage import BODY_BYTES, WINDOW, stage_of
from measure import Figure, in_turn, ratio_figure

SETTINGS = {"innodb-buffer-pool-size": "512M", "innodb-log-file-size": "1G"}
# As the triggers write them: one event of one customer each, in transactions of 10,000.
EVENTS = """
INSERT INTO muskrat.outbox (captured_at, message_id, op, routing_key, ordering_key, body)
SELECT UTC_TIMESTAMP(6), UUID(), 'i', 'Frontend.Customer.Signup', CONCAT('Frontend.Customer:', seq),
       RPAD(CONCAT('{{"id":', seq, ',"note":"'), {bytes} - 2, 'x') FROM seq_{low}_to_{high}
"""


class Source:
    """A private MariaDB, and runs of the relay on an outbox that was filled before."""

    def __init__(self, bench):
        self.bench, self.stage = bench, stage_of(bench)
        folder = os.path.join(bench.folder, "mysql")
        shutil.rmtree(os.path.join(folder, "data"), ignore_errors=True)
        self.server = MariaDB(folder, fsync=True, settings=SETTINGS).start()
        self.runs = 0

    def close(self):
        self.server.leave()

    def fill(self, events, fresh):
        if fresh:
            self.server.drop_database("muskrat")
            with open(os.path.join(where.TOP, "sql", "mysql", "outbox.sql"), encoding="utf-8") as f:
                self.server.script(f.read())
        for low in range(1, events + 1, 10_000):
            self.server.sql(EVENTS.format(bytes=BODY_BYTES, low=low, high=min(low + 9_999, events)))

    def rate(self, events, fresh=True):
        """Events a second from the moment the relay leads to the last confirm."""
        self.runs += 1
        self.fill(events, fresh)
        vhost = self.stage.rabbitmq.create_vhost(f"benchmysql{self.runs}")
        program = Program(os.path.join(self.bench.folder, "mysql", "run"), self.bench.build)
        program.configure(Broker(self.stage.rabbitmq, vhost).url, endpoints={"waiting": {"kind": "null", "subscribe": "Frontend.*"}},
                          sources={"frontend": {"kind": "mysql", "dsn": self.server.dsn("muskrat"), "window": WINDOW}})
        program.setup()
        time.sleep(1)  # the quorum queue may still be choosing its leader
        relay = program.relay(wait=False)
        try:
            wait_until(lambda: relay.metric("muskrat_relay_leader"), 30, "the relay to lead", 0.005)
            began = time.monotonic()
            wait_until(lambda: (relay.metric("muskrat_relay_events_confirmed_total") or 0) >= events, 600, f"{events} confirms", 0.02)
            return events / (time.monotonic() - began)
        finally:
            program.stop()
            self.stage.rabbitmq.delete_vhost(vhost)


def source_of(bench):
    if "mysql" not in bench.stages:
        bench.stages["mysql"] = Source(bench)
    return bench.stages["mysql"]


def publish(bench):
    source, events = source_of(bench), bench.size(60_000, 500_000)
    results = in_turn({"bare": lambda: bare_publish_rate(bench, source.stage, events), "relay": lambda: source.rate(events)},
                      5, "events/s")
    middle = {v: statistics.median(r) for v, r in results.items()}
    yield ratio_figure("relay_mysql_publish_ratio", results, "relay", "bare", against="a bare publisher, window 1,000",
                       note=f"{events} events from MariaDB, one quorum queue; relay {middle['relay']:.0f}/s, bare {middle['bare']:.0f}/s")
    yield from left_behind(source, events)


def left_behind(source, events):
    """What the deleted rows still take: undo not purged yet, and the table's file."""
    def history():
        return int(source.server.sql("SHOW GLOBAL STATUS LIKE 'Innodb_history_list_length'")[0][1])

    def size():
        return os.path.getsize(os.path.join(source.server.data, "muskrat", "outbox.ibd")) / 1e6

    sizes = []
    for n in range(4):  # the same amount again and again: it must find room in what was deleted
        source.rate(events, fresh=n == 0)
        wait_until(lambda: history() < 1000, 120, "the purge", 0.2)
        sizes.append(size())
    yield Figure("mysql_outbox_growth", sizes[-1] / sizes[0], "x", [s / sizes[0] for s in sizes],
                 note=f"outbox.ibd after four times {events} events were delivered, over after once ({sizes[0]:.0f} MB)")
