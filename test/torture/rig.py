"""A rig: the whole main job with a load on one end, an observer in the middle, and the oracle at the end.

    front database ─ relay ─ RabbitMQ ─┬─ consumer ─ mirror (state) and effects (append-only) in the target database
    (ledger beside the rows)           └─ observer: every publication, in order, without any of Muskrat's code

Used by schedules.py and the tests. `heal` brings everything up and waits until nothing is under way; `verdict` is what the
oracle says then.
"""
import os
import shutil
import time

import oracle
from harness import build as where
from harness import clients
from harness.program import Program
from fronts import front_of
from targets import target_of

BUILD = where.default_build()
LONG = bool(os.environ.get("MUSKRAT_TORTURE"))

# A quorum queue that was declared less than about a second before the broker's death may come back empty.
SETTLE_SECONDS = 1.5


class Rig:
    def __init__(self, pg, rabbitmq, folder, number, build, consumer=True, source=None, endpoint=None, front=None,
                 target=None):
        """`front`, `target`: the servers of the two ends, where they are not `pg`. `build`: where the program is (a seeded bug
        has a folder of its own)."""
        self.pg, self.rabbitmq, self.build = pg, rabbitmq, build
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        self.front = front_of(front or pg, number)
        self.target = target_of(target or pg, number)
        self.vhost = rabbitmq.create_vhost(f"torture{number}")
        self.broker = clients.Broker(rabbitmq, self.vhost)
        self.program = Program(folder, build)
        self.with_consumer = consumer
        self.program.configure(
            self.broker.url,
            sources={"load": {**self.front.source(), "lease_time": "1s", "held_retry": "1s", **(source or {})}},
            endpoints=self._endpoints(endpoint or {}) if consumer else None)
        self.front.capture(self.program)
        self.program.setup()
        self.observer = clients.Observer(self.broker, "observer", ("Load.#",))
        self.relay = self.consumer = None
        self.load = None
        self.crashes = 0
        self.given_up = None  # what heal() waited for in vain
        time.sleep(SETTLE_SECONDS)

    def _endpoints(self, more):
        common = {"kind": self.target.kind, "subscribe": ["Load.*"], "dsn": self.target.dsn, "circuit_first": "100ms",
                  "circuit_most": "1s", **more}
        effects = {"table": "effects", "mode": "append", "columns": ["id", "v", {"to": "op", "from": "$op"}]}
        state = {"table": "account", "key": ["id"], "columns": ["id", "v", "tag", "note"]}
        return {"mirror": {**common, "routes": [state]}, "effects": {**common, "routes": [effects]}}

    # ---- the players ----

    def start(self):
        self.relay = self.program.relay()
        if self.with_consumer:
            self.consumer = self.program.consume()
        return self

    def second_relay(self):
        """Another of this source's relays: a stand-by while the first one leads."""
        other = Program(self.folder, self.build, "second.yaml")
        other.config = {**self.program.config, "relay": {"listen": f"127.0.0.1:{other.relay_port}"}}
        other.save()
        self.program.daemons.append(other.relay(log=f"{self.folder}/second.log"))
        return self.program.daemons[-1]

    def start_load(self, **how):
        self.load = self.front.load(**how).start()
        return self.load

    def write(self, *pks, tag="w", delete_share=0.0):
        """One transaction on these rows."""
        self.front.step(pks, tag, delete_share)

    # ---- the end ----

    def seen(self):
        return [oracle.seen_of(d) for d in list(self.observer.deliveries)]

    def heal(self, timeout=60):
        """Both daemons up, servers up, and everything arrived; or nothing more has come for so many seconds (then the verdict tells)."""
        if self.load and not self.load.done():
            self.load.stop()
        if self.relay is None or not self.relay.running():
            self.relay = self.program.relay()
        if self.with_consumer and (self.consumer is None or not self.consumer.running()):
            self.consumer = self.program.consume()
        truth = {(e.pk, e.v) for e in self.front.ledger()}
        self.given_up = None
        self._until_none_is_missing(lambda: len(truth - {(s.pk, s.v) for s in self.seen()}), timeout, "events not published")
        if self.with_consumer and not self.given_up:
            self._until_none_is_missing(self._not_arrived, timeout, "rows and effects not in the target")
        self.observer.quiet(0.7, timeout)

    def _until_none_is_missing(self, missing, timeout, what):
        """What is only slow is waited for: it becomes less. What is lost does not."""
        least, since = None, time.monotonic()
        while (count := missing()):
            if least is None or count < least:
                least, since = count, time.monotonic()
            elif time.monotonic() - since > timeout:
                self.given_up = f"{count} {what}, and none has come for {timeout} s"
                return
            time.sleep(0.2)

    def _not_arrived(self):
        rows = set(self.front.rows()) ^ set(self.target.rows())
        return len(rows) + max(0, len(self.front.ledger()) - self.target.count())

    def _arrived(self):
        return self.front.rows() == self.target.rows() and self.target.count() >= len(self.front.ledger())

    def verdict(self, repeats_allowed=None):
        truth = self.front.ledger()
        found = oracle.check(truth, self.seen(), repeats_allowed)
        if self.with_consumer:
            found += oracle.check_state(self.front.rows(), self.target.rows())
            found += oracle.check_effects(truth, self.target.effects())
        if found and self.given_up:
            found.insert(0, oracle.Violation("heal", self.given_up))
        return found

    def figures(self):
        seen = self.seen()
        return (f"{len(self.front.ledger()):,} events in the ledger, {len(seen):,} publications seen, "
                f"{oracle.repeats(seen):,} repeats, {self.crashes} crashes")

    def close(self):
        if self.load and not self.load.done():
            try:
                self.load.stop()
            except AssertionError:
                pass
        self.observer.stop()
        self.program.stop()
        self.front.drop()
        self.target.drop()
        self.rabbitmq.delete_vhost(self.vhost)

