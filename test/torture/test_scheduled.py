"""Scheduled sources killed at every step of a whole run: nothing is skipped, and what is repeated is identical.

Each N gets a state of its own and the same records: a run that is killed on entering its Nth system call, then one that is left
alone. What both have sent lies in a queue of the test's.
"""
import collections
import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time

import pytest

from doubles.braintree import Braintree
from doubles.salesforce import Salesforce
from doubles.statsserver import Statsserver, stamp_of
from harness import clients
from harness.processes import wait_until, watched
from harness.program import Program
from rig import BUILD, LONG
from schedules import SWEEP_LIMIT

# The broker, the database or API, and the state file; see schedules.SYSCALLS for why not `read`.
SYSCALLS = "sendto,sendmsg,write,writev,recvfrom,recvmsg,poll,ppoll,epoll_wait,pwrite64,fdatasync,fsync,ftruncate,unlink"
RECORDS = 8
HOUR = 3600
# Of odd records no event can be made by the one; by the other of all.
BAD_MAPPING = [{"to": "id"}, {"to": "half", "from": "half", "as": "integer"}]
GOOD_MAPPING = ["id", "half"]


class Stand:
    """A source of one kind, eight records behind it, and the queue in which its events arrive."""

    def __init__(self, rabbitmq, name, source):
        self.name = name
        self.folder = os.path.join(BUILD, "check", "torture-scheduled", name)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.vhost = rabbitmq.create_vhost(f"scheduled-{name}")
        self.rabbitmq, self.broker = rabbitmq, clients.Broker(rabbitmq, self.vhost)
        self.program = Program(self.folder, BUILD)
        self.state = os.path.join(self.folder, "relay.sqlite")
        self.program.configure(self.broker.url, sources={"scraped": {"every": "1d", "routing_key": "Scraped.Thing.Record", **source}},
                               relay={"state": self.state})
        self.program.setup()
        self.broker.queue("sweep")

    def forget(self):
        """The state is what it was when remember() was called, or none."""
        for name in os.listdir(self.folder):
            if name.startswith("relay.sqlite"):
                os.unlink(os.path.join(self.folder, name))
        for name in os.listdir(self.folder):
            if name.startswith("kept."):
                shutil.copy(os.path.join(self.folder, name), os.path.join(self.folder, name.removeprefix("kept.")))

    def remember(self):
        for name in os.listdir(self.folder):
            if name.startswith("relay.sqlite"):
                shutil.copy(os.path.join(self.folder, name), os.path.join(self.folder, "kept." + name))

    def killed_at(self, n):
        """A run that is killed at its Nth call; False when it came to its end before that."""
        argv = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={SYSCALLS}", "-e", f"inject={SYSCALLS}:signal=KILL:when={n}",
                *self.program.argv("produce", "scraped", "--json")]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode in (0, -9, 137), done.stderr
        return done.returncode != 0

    def leave(self):
        self.program.stop()
        self.rabbitmq.delete_vhost(self.vhost)


def sql_query(pg):
    dsn = pg.dsn("scraped")
    clients.query(dsn, "CREATE TABLE thing (id int PRIMARY KEY, changed timestamptz)")
    # Equal cursors across the edges of pages.
    clients.query(dsn, "INSERT INTO thing SELECT g, '2026-01-01'::timestamptz + g / 4 * interval '1 s' FROM generate_series(1, %s) g",
                  (RECORDS,))
    return {"kind": "sql-query", "dsn": dsn, "query": "SELECT * FROM thing", "key": "id", "page": 3}


def sql_query_mysql(mariadb):
    mariadb.drop_database("scraped")
    mariadb.create_database("scraped")
    mariadb.sql("CREATE TABLE thing (id int PRIMARY KEY, changed datetime)", "scraped")
    mariadb.sql(f"INSERT INTO thing SELECT seq, '2026-01-01' + INTERVAL seq DIV 4 SECOND FROM seq_1_to_{RECORDS}", "scraped")
    return {"kind": "sql-query", "dsn": mariadb.dsn("scraped"), "query": "SELECT * FROM thing", "key": "id", "page": 3}


def changed_since_a_run(stand, pg):
    """A run of all rows has passed; since then some were changed, deleted and added: as many as there are records."""
    stand.program.ok("produce", "scraped")
    stand.broker.get_all("sweep")
    stand.remember()
    clients.query(pg.dsn("scraped"), "DELETE FROM thing WHERE id <= 3")
    clients.query(pg.dsn("scraped"), "UPDATE thing SET changed = '2026-02-01' WHERE id > 5")
    clients.query(pg.dsn("scraped"), "INSERT INTO thing VALUES (9), (10)")


SCRAPED = "CREATE TABLE scraped (id bigint PRIMARY KEY, note text, changed timestamptz)"


def scrape(stand, pg, rows):
    """A table to read, and an endpoint that makes another one like it."""
    dsn = pg.dsn("scraped")
    clients.query(dsn, SCRAPED)
    clients.query(dsn, "INSERT INTO scraped SELECT g, 'row ' || g, '2026-01-01'::timestamptz + g / 4 * interval '1 s' "
                       "FROM generate_series(1, %s) g", (rows,))
    clients.query(dsn, "CREATE INDEX ON scraped (changed, id)")
    clients.query(dsn, "CREATE SCHEMA mirror")
    clients.query(dsn, SCRAPED.replace("scraped", "mirror.scraped"))
    stand.program.config["endpoints"] = {"mirror": {"kind": "postgres", "dsn": dsn, "subscribe": ["Scraped.*"], "routes": [
        {"table": "mirror.scraped", "key": ["id"], "columns": ["id", "note", "changed"]}]}}
    stand.program.save()
    stand.program.setup()
    stand.broker.delete_queue("sweep")


def http_json(server):
    base = int(time.time()) // HOUR * HOUR - 2 * HOUR
    # In two windows.
    server.add("volume", [{"key": f"k{n}", "ts": stamp_of(base + n * 600), "value": n} for n in range(RECORDS)])
    return {"kind": "http-json", "url": server.url("/v1/stats/volume"), "key": ["key", "ts"], "start": stamp_of(base),
            "pagination": "cursor", "limit": 3, "requests": 1000}


def salesforce(server):
    # Equal stamps across the edges of pages, and a deletion.
    base = int(time.time()) - HOUR
    keys = [server.org.insert("Contact", {"LastName": f"c{n}"}, stamp=stamp_of(base + n // 4)) for n in range(RECORDS)]
    server.org.objects["Contact"].rows[keys[2]]["IsDeleted"] = True
    server.traps.set(page_size=3)
    return {"kind": "salesforce", "login_url": server.url(), "login": "client_credentials", "client_id": "consumer-key",
            "client_secret": "consumer-secret", "object": "Contact", "select": ["LastName"], "requests": 1000,
            "own_fields": ["Email"], "own_users": [server.org.user.replace("0", "1")], "routing_key": "Scraped.{object}.{change}"}


def braintree(server):
    base = int(time.time()) // 60 * 60 - 86400
    for n in range(RECORDS):
        server.vault.sale(f"t{n}", stamp_of(base + n * 20))
    return {"kind": "braintree", "gateway": server.url(), "merchant": "merchant", "public_key": "public", "private_key": "private",
            "object": "transactions", "requests": 1000, "search_limit": 4, "routing_key": "Scraped.{object}.Changed"}


def braintree_customers(server):
    base = int(time.time()) // 60 * 60 - 86400
    for n in range(RECORDS + 2):
        server.vault.customer(f"c{n}", stamp_of(base + n * 20))
    return {**braintree(server), "object": "customers", "search_limit": 1000, "routing_key": "Scraped.{object}.{change}"}


def deleted_since_a_scan(stand, server):
    """A scan of all customers has passed, long ago; since then all but two were deleted."""
    stand.program.ok("produce", "scraped")
    stand.broker.get_all("sweep")
    long_ago = "2026-01-01T00:00:00Z"
    with contextlib.closing(sqlite3.connect(stand.state)) as state, state:
        cursor = json.loads(state.execute("SELECT cursor FROM scheduled").fetchone()[0])
        state.execute("UPDATE scheduled SET cursor = ?", (json.dumps([cursor[0], long_ago, *cursor[2:]]),))
        state.execute("UPDATE known SET digest = ?", (long_ago,))
    stand.remember()
    for n in range(RECORDS):
        server.vault.remove("customers", f"c{n}")


@pytest.fixture
def stand(pg, rabbitmq, mariadb, request):
    pg.drop_database("scraped")
    pg.create_database("scraped")
    with Statsserver() as server, Salesforce(daily_limit=1_000_000) as org, Braintree(page_size=3, transaction_cap=4) as shop:
        source = {"http-json": lambda: http_json(server), "salesforce": lambda: salesforce(org), "braintree": lambda: braintree(shop),
                  "braintree-gone": lambda: braintree_customers(shop),
                  "incremental": lambda: {**sql_query(pg), "cursor": "changed"},
                  "snapshot": lambda: {**sql_query(pg), "mode": "snapshot"},
                  "diff": lambda: {**sql_query(pg), "mode": "diff"},
                  "scrape": lambda: {"kind": "sql-query", "dsn": pg.dsn("scraped"), "query": "SELECT * FROM scraped", "key": "id",
                                     "cursor": "changed", "rate": 1_000_000 if LONG else 8000},
                  "held": lambda: {**sql_query(pg), "cursor": "changed", "fields": BAD_MAPPING,
                                    "query": "SELECT id, changed, id / 2.0 AS half FROM thing"},
                  "mysql-incremental": lambda: {**sql_query_mysql(mariadb), "cursor": "changed"},
                  "mysql-snapshot": lambda: {**sql_query_mysql(mariadb), "mode": "snapshot"},
                  "mysql-diff": lambda: {**sql_query_mysql(mariadb), "mode": "diff"}}[request.param.removesuffix("-again")]()
        made = Stand(rabbitmq, request.param, source)
        if request.param == "diff-again":
            changed_since_a_run(made, pg)
        if request.param == "braintree-gone":
            deleted_since_a_scan(made, shop)
        yield made
        made.leave()
    pg.drop_database("scraped")


def runs_killed(stand, pause):
    """Runs, each killed after a pause, until one comes to its end: (how many were killed, the largest memory of one in MB)."""
    kills, peak = 0, 0
    while True:
        with open(os.path.join(stand.folder, "produce.log"), "w+", encoding="utf-8") as said:
            process = subprocess.Popen(stand.program.argv("produce", "scraped", "--json"), stdout=said, stderr=subprocess.STDOUT)
            peak = max(peak, watched(process, pause))
            if process.returncode == 0:
                return kills, peak
            said.seek(0)
            assert process.returncode == -signal.SIGKILL, said.read()
        kills, pause = kills + 1, pause * 1.05  # on a busy machine a run may take longer to begin


@pytest.mark.parametrize("stand", ["scrape"], indirect=True)
def test_scheduled_scrape_killed_again_and_again_loses_nothing_in_bounded_memory(stand, pg):
    rows = int(os.environ.get("SCRAPE_ROWS") or (5_000_000 if LONG else 30_000))
    scrape(stand, pg, rows)
    host = stand.program.consume()
    began = time.monotonic()
    kills, peak = runs_killed(stand, 10 if LONG else 1.5)
    took = time.monotonic() - began
    difference = "SELECT count(*) FROM scraped s FULL JOIN mirror.scraped m USING (id) WHERE s IS DISTINCT FROM m"
    wait_until(lambda: clients.value(pg.dsn("scraped"), difference) == 0, 3600 if LONG else 120, "the mirror to be equal", 1)
    assert host.stop() == 0
    print(f"{rows:,} rows in {took:.0f} s, {kills} runs killed, {peak:.0f} MB at most")
    assert kills >= 2 and peak < 60


@pytest.mark.parametrize("stand", ["incremental", "snapshot", "diff", "diff-again", "mysql-incremental",
                                   "mysql-snapshot", "mysql-diff", "http-json", "salesforce", "braintree",
                                   "braintree-gone"], indirect=True)
def test_scheduled_run_killed_at_every_call_skips_nothing_and_repeats_identically(stand):
    kills = repeats = through = 0
    n = 1
    while through < 3 and n < SWEEP_LIMIT:
        stand.forget()
        killed = stand.killed_at(n)
        kills, through = kills + killed, 0 if killed else through + 1
        stand.program.ok("produce", "scraped")
        sent = collections.defaultdict(list)
        for d in stand.broker.get_all("sweep"):
            # A snapshot that was killed stays what it is, under its own instant; the next one is whole.
            sent[d.json.get("as_of"), d.key].append((d.message_id, d.body, d.routing_key, d.op))
        last = max(as_of for as_of, _ in sent) if None not in {as_of for as_of, _ in sent} else None
        assert len([key for as_of, key in sent if as_of == last]) == RECORDS, f"killed at call {n}: {sorted(sent)}"
        assert all(len(set(each)) == 1 for each in sent.values()), f"killed at call {n}: {dict(sent)}"
        repeats += sum(len(each) - 1 for each in sent.values())
        n += 1 if LONG else 4
    print(f"{kills} runs killed, {repeats} events repeated")
    assert kills >= (40 if LONG else 8), f"the sweep killed only {kills} runs"
    # Some of the kills fell between a page's events and its cursor. (A snapshot repeats nothing: it is another one.)
    assert repeats > 0 or stand.name.endswith("snapshot")


def swept(stand, check, step):
    """Kills a run at each of its calls, lets the next one end, and asks check() what came: (kills, repeats)."""
    kills = repeats = through = 0
    n = 1
    while through < 3 and n < SWEEP_LIMIT:
        stand.forget()
        killed = stand.killed_at(n)
        kills, through = kills + killed, 0 if killed else through + 1
        stand.program.ok("produce", "scraped")
        sent = collections.defaultdict(list)
        for d in stand.broker.get_all("sweep"):
            sent[d.key].append((d.message_id, d.body, d.seq, d.op))
        check(f"killed at call {n}: {dict(sent)}", sent)
        repeats += sum(len(each) - 1 for each in sent.values())
        n += 1 if LONG else step
    assert kills >= (20 if LONG else 6), f"the sweep killed only {kills} runs"
    return kills, repeats


def held_by(stand):
    return {line["key"]: line["number"] for line in map(json.loads, stand.program.ok("held", "list", "scraped", "--json").splitlines())}


@pytest.mark.parametrize("stand", ["held"], indirect=True)
def test_scheduled_run_killed_at_every_call_has_each_record_sent_or_held_and_sends_what_was_held_when_it_can(stand):
    keys = {n: f"Scraped.Thing:[{n}]" for n in range(1, RECORDS + 1)}

    def each_is_sent_or_held(why, sent):
        assert set(sent) == {keys[n] for n in keys if n % 2 == 0}, why
        assert set(held_by(stand)) == {keys[n] for n in keys if n % 2 == 1}, why

    print("held: %d runs killed, %d events repeated" % swept(stand, each_is_sent_or_held, 4))
    stand.remember()
    numbers = held_by(stand)
    stand.program.config["sources"]["scraped"]["fields"] = GOOD_MAPPING
    stand.program.save()

    def what_was_held_is_sent_with_its_number(why, sent):
        assert set(sent) == set(numbers) and not held_by(stand), why
        assert all(len({(i, body, seq) for i, body, seq, _ in each}) == 1 and each[0][2] == numbers[key] for key, each in sent.items()), why

    print("released: %d runs killed, %d events repeated" % swept(stand, what_was_held_is_sent_with_its_number, 2))
