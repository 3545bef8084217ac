"""The servers that a comparison runs on: source, broker, target, and the program between them; and the sinks of our own."""
import os
import shutil
import subprocess
import time

from harness.clients import Broker, query
from harness.postgres import Postgres
from harness.processes import wait_until
from harness.program import Program
from harness.rabbitmq import RabbitMQ

import customers
from measure import Instructions, process_cpu_ms

SETTINGS = {"shared_buffers": "512MB", "max_wal_size": "8GB", "checkpoint_timeout": "1h", "track_commit_timestamp": "on"}
WINDOW = 1000
BODY_BYTES = 315
TARGET = """
CREATE TABLE customers (id bigint PRIMARY KEY, email text, phone text, subdomain text, company text, username text, volume int,
                        retention int, rate numeric(12,2), updated_at timestamptz,
                        arrived_at timestamptz NOT NULL DEFAULT clock_timestamp())
"""


class Stage:
    """A PostgreSQL with source and target, a RabbitMQ, and the program between them."""

    def __init__(self, bench, folder="delivery", broker_of=None):
        """`broker_of`: another stage, whose RabbitMQ is this one's too."""
        self.folder = os.path.join(bench.folder, folder)
        for sub in ("pg/data", "rabbitmq"):
            shutil.rmtree(os.path.join(self.folder, sub), ignore_errors=True)
        self.pg = Postgres(os.path.join(self.folder, "pg"), build=bench.build, fsync=True, settings=SETTINGS).start()
        self.rabbitmq = broker_of.rabbitmq if broker_of else RabbitMQ(os.path.join(self.folder, "rabbitmq")).start()
        self.broker_is_ours = broker_of is None
        self.build, self.number = bench.build, 0

    def close(self):
        if self.broker_is_ours:
            self.rabbitmq.remove()
        self.pg.remove()

    def world(self, endpoints=None, **source):
        self.number += 1
        return World(self, self.number, endpoints, source)


class World:
    """A database, a vhost and a configuration that no other run has touched."""

    def __init__(self, stage, number, endpoints, source):
        self.stage, self.pg, self.rabbitmq = stage, stage.pg, stage.rabbitmq
        self.name, self.target_name = f"source_{number}", f"target_{number}"
        for db in (self.name, self.target_name):
            self.pg.create_database(db, "template0")
        self.dsn, self.target = self.pg.dsn(self.name), self.pg.dsn(self.target_name)
        self.vhost = self.rabbitmq.create_vhost(f"{os.path.basename(stage.folder)}{number}")
        self.broker = Broker(self.rabbitmq, self.vhost)
        self.program = Program(os.path.join(stage.folder, "run"), stage.build)
        self.written = 0
        query(self.dsn, "CREATE EXTENSION muskrat")
        query(self.dsn, customers.TABLE.format(table="customers"))
        query(self.dsn, customers.attach("customers"))
        query(self.target, TARGET)
        if endpoints is None:
            endpoints = {"analytics": self.postgres_endpoint()}
        self.program.configure(self.broker.url, endpoints=endpoints,
                               sources={"frontend": {"kind": "postgres", "dsn": self.dsn, "window": WINDOW, **source}})
        if endpoints:
            self.program.setup()
        else:  # an exchange with one queue that nobody reads
            self.program.config["endpoints"] = {"waiting": {"kind": "null", "subscribe": "Frontend.*"}}
            self.program.save()
            self.program.setup()
        # a quorum queue that was declared a moment ago may still be choosing its leader
        time.sleep(1)

    def postgres_endpoint(self):
        names = ["id", *customers.COLUMNS.split(", ")]
        return {"kind": "postgres", "subscribe": "Frontend.*", "dsn": self.target,
                "routes": [{"table": "public.customers", "key": ["id"], "columns": names}]}

    def write(self, rows):
        """Rows in transactions of 10,000, as a backlog has many."""
        for first in range(0, rows, 10_000):
            low = self.written + first
            query(self.dsn, customers.bulk_insert("customers", low + 1, low + min(10_000, rows - first)))
        self.written += rows

    def drain(self, timeout=3600, spent=None, instructions=None):
        """Starts the relay; returns (events a second, its peak memory in MB). From the moment it leads to the last confirm.
        `spent`: its processor time by event, in µs, is added there; `instructions`: those by event of the relay and its session in
        the database, and of the broker, where perf can count them."""
        relay = self.program.relay(wait=False)
        try:
            def confirmed():
                return relay.metric("muskrat_relay_events_confirmed_total") or 0

            def leads():
                if not relay.running():
                    raise RuntimeError(f"the relay ended; its log:\n{relay.log()}")
                return relay.metric("muskrat_relay_leader")
            wait_until(leads, 30, "the relay to lead", 0.005)
            began = time.monotonic()
            if instructions is not None:
                self.count_instructions(relay, confirmed, instructions, timeout)
            wait_until(lambda: confirmed() >= self.written, timeout, f"{self.written} confirms", 0.02)
            took = time.monotonic() - began
            if spent is not None:
                spent.append(process_cpu_ms(relay.pid) * 1000 / self.written)
            return self.written / took, relay.rss_kib("VmHWM") / 1024
        finally:
            relay.stop()

    def count_instructions(self, relay, confirmed, instructions, timeout):
        sessions = query(self.dsn, "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'muskrat relay%'")
        ours, broker = Instructions(relay.pid, *(pid for pid, in sessions)), Instructions(self.rabbitmq.child.pid)
        with ours, broker:
            before = confirmed()
            wait_until(lambda: confirmed() >= self.written, timeout, f"{self.written} confirms", 0.02)
        events = self.written - before
        if ours.count and broker.count and events > self.written / 2:
            instructions.append((ours.count / events, broker.count / events))

    def close(self):
        self.program.stop()
        self.rabbitmq.delete_vhost(self.vhost)
        for db in (self.name, self.target_name):
            self.pg.drop_database(db)


def stage_of(bench):
    if "delivery" not in bench.stages:
        bench.stages["delivery"] = Stage(bench)
    return bench.stages["delivery"]


class Sink:
    """A server of the figures' own, http_sink or stub_broker, and its port."""

    def __init__(self, bench, name, *args):
        argv = [bench.bare.binary(name, "-pthread"), *map(str, args)]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


def bare_queue(world, instead_of):
    world.broker.queue("bare", patterns=["Frontend.#"])
    world.broker.delete_queue(instead_of)
