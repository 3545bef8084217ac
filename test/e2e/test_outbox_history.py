"""What breaks the history of a database, and what the outbox says to it: a crash (nothing), a dump restored, a standby
promoted. Servers and SQL alone; that the relay obeys `same_history` is tested where the relay is."""
import json
import os
import shutil
import subprocess
from contextlib import closing

import psycopg2
import pytest

from harness import build as where
from harness import clients
from harness.processes import wait_until
from harness.servers import Postgres

BUILD = where.default_build()
NEW = "xid >= pg_snapshot_xmax(last) OR xid = ANY (ARRAY(SELECT pg_snapshot_xip(last)))"


@pytest.fixture(scope="module")
def one_server():
    folder = os.path.join(BUILD, "check", "e2e-history")
    shutil.rmtree(os.path.join(folder, "data"), ignore_errors=True)
    # The standby of one test and the crashes of another need what a production server has.
    pg = Postgres(folder, build=BUILD, fsync=True, settings={"wal_level": "replica", "hot_standby": "on", "wal_writer_delay": "10s"})
    yield pg
    pg.remove()


@pytest.fixture
def server(one_server):
    pg = one_server
    if not pg.child:
        pg.start()
    pg.drop_database("front")
    pg.create_database("front", "template0")
    clients.execute(pg.dsn("front"), "CREATE EXTENSION muskrat", "CREATE TABLE customers (id int PRIMARY KEY, name text)",
                    "SELECT muskrat.attach('customers', 'Frontend.Customer', columns => '[\"id\", \"name\"]')")
    return pg


def emit(dsn, *numbers):
    for n in numbers:
        clients.query(dsn, "SELECT muskrat.emit('Test.Row.Event', %s)", (json.dumps({"n": n}),))


def waiting(dsn):
    """The numbers of the events that the cursor has yet to read."""
    return [n for n, in clients.query(dsn, f"SELECT (body::json->>'n')::int FROM muskrat.outbox, muskrat.cursor WHERE {NEW} ORDER BY id")]


def read_all(dsn):
    clients.query(dsn, "SELECT muskrat.cursor_save(term, pg_current_snapshot(), NULL, NULL, '{}') FROM muskrat.cursor")


def hello(dsn):
    return clients.query(dsn, "SELECT same_history, history_problem, epoch, in_recovery FROM muskrat.relay_hello()")[0]


def refused(dsn, statement, state):
    with pytest.raises(psycopg2.Error) as raised:
        clients.query(dsn, statement)
    return raised.value.pgcode == state


def dump_and_restore(server, database):
    """pg_dump of `front` into a new database, as an operator does it."""
    server.create_database(database, "template0")
    dump = subprocess.run([server.program("pg_dump"), "-d", server.dsn("front")], check=True, capture_output=True).stdout
    done = subprocess.run([server.program("psql"), "-Xq", "-v", "ON_ERROR_STOP=1", "-d", server.dsn(database)], input=dump,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return server.dsn(database)


def test_history_crash_of_the_server_repeats_no_id_and_loses_no_event(server):
    dsn = server.dsn("front")
    clients.query(dsn, "SELECT muskrat.lease_take(0, 0, 'test')")
    last_id = 0
    for round_number in range(3):
        if round_number == 1:
            clients.execute(dsn, "CHECKPOINT")  # replay then starts behind the sequence's last record
        emit(dsn, *range(round_number * 10, round_number * 10 + 7))
        server.kill9()
        server.start()
        # A relay that did not see the crash, behind a pooler, may have a snapshot of transactions that never were.
        for statement in ("SELECT muskrat.lease_beat(term) FROM muskrat.cursor",
                          "SELECT muskrat.cursor_save(term, last, NULL, NULL, '{}') FROM muskrat.cursor"):
            assert refused(dsn, statement, "MK001")
        assert clients.value(dsn, "SELECT muskrat.lease_take(term, beat, 'test') FROM muskrat.cursor") == round_number + 2
        clients.query(dsn, "SELECT muskrat.lease_beat(term) FROM muskrat.cursor")
        ids = [i for i, in clients.query(dsn, "SELECT id FROM muskrat.outbox ORDER BY id")]
        assert len(set(ids)) == len(ids) == (round_number + 1) * 7
        assert min(ids[-7:]) > last_id
        last_id = ids[-1]
    assert waiting(dsn) == [r * 10 + n for r in range(3) for n in range(7)]
    assert hello(dsn)[0] is True


def test_history_crash_that_reuses_transaction_numbers_skips_no_event_of_the_stored_cursor(server):
    """Commits without synchronous_commit are visible, then lost, and their xids given out again."""
    dsn = server.dsn("front")
    clients.query(dsn, "SELECT muskrat.lease_take(0, 0, 'test')")
    for n in range(5):
        read_all(dsn)
        with closing(clients.connect(dsn)) as session:
            run = session.cursor()
            run.execute("SET synchronous_commit = off")
            for _ in range(60):
                run.execute("SELECT pg_current_xact_id()")
            run.execute("SELECT pg_current_snapshot()::text")
            remembered = run.fetchone()[0]
            server.kill9()
        server.start()
        clients.query(dsn, "SELECT muskrat.lease_take(term, beat, 'test') FROM muskrat.cursor")
        emit(dsn, n)
        assert waiting(dsn) == [n]
        # A relay that went on from its memory would have missed it.
        if clients.query(dsn, "SELECT 1 FROM muskrat.outbox WHERE id = (SELECT max(id) FROM muskrat.outbox) AND xid < pg_snapshot_xmax(%s)",
                         (remembered,)):
            return
    pytest.fail("no crash lost a transaction, so nothing was shown")


def test_history_dump_restored_into_another_database_asks_for_a_decision(server):
    dsn = server.dsn("front")
    clients.query(dsn, "SELECT muskrat.lease_take(0, 0, 'test')")
    emit(dsn, 1)
    read_all(dsn)
    emit(dsn, 2)
    epoch = hello(dsn)[2]
    copy = dump_and_restore(server, "restored")
    same, problem, _, _ = hello(copy)
    assert same is False and "muskrat accept" in problem
    for statement in ("SELECT muskrat.lease_take(term, beat, 'b') FROM muskrat.cursor",
                      "SELECT muskrat.lease_beat(term) FROM muskrat.cursor"):
        assert refused(copy, statement, "MK002")
    # Attachments work there; what waited on the old server is not here, and what is captured here is read, and no id again.
    clients.query(copy, "INSERT INTO customers VALUES (1, 'x')")
    emit(copy, 3)
    ids = [i for i, in clients.query(copy, "SELECT id FROM muskrat.outbox ORDER BY id")]
    assert len(ids) == 2 and ids[0] > 2
    new_epoch = clients.value(copy, "SELECT muskrat.accept_history('restored')")
    assert new_epoch > epoch
    assert waiting(copy) == [None, 3]
    assert hello(copy)[:3] == (True, None, new_epoch)
    assert clients.value(copy, "SELECT muskrat.lease_take(term, beat, 'b') IS NOT NULL FROM muskrat.cursor") is True
    # The original goes on as if nothing had been.
    assert hello(dsn)[:3] == (True, None, epoch) and waiting(dsn) == [2]
    server.drop_database("restored")


def test_history_dump_before_the_first_relay_restores_without_a_word(server):
    emit(server.dsn("front"), 1)
    copy = dump_and_restore(server, "restored")
    assert hello(copy) == (True, None, 0, False)
    assert clients.value(copy, "SELECT muskrat.lease_take(0, 0, 'test')") == 1
    server.drop_database("restored")


def listed(dsn):
    """What the relay would list from the cursor on, by the index."""
    return clients.query(dsn, "SELECT n.id FROM muskrat.cursor, muskrat.list_new(pg_snapshot_xmax(last), '18446744073709551615',"
                              " ARRAY(SELECT pg_snapshot_xip(last)), pg_current_snapshot(), 0, 9223372036854775807, 1000000) AS n"
                              " ORDER BY id")


def test_history_pg_upgrade_keeps_what_waits_and_asks_for_a_decision(server):
    dsn = server.dsn("front")
    clients.query(dsn, "SELECT muskrat.lease_take(0, 0, 'test')")
    emit(dsn, 1)
    read_all(dsn)
    epoch = hello(dsn)[2]
    clients.query(dsn, "INSERT INTO customers SELECT n, 'x' FROM generate_series(1, 500) AS n")
    emit(dsn, 2)
    before = listed(dsn)
    assert len(before) == 501
    server.stop()
    after = server.upgraded(os.path.join(BUILD, "check", "e2e-history-upgraded"))
    try:
        there = after.dsn("front")
        same, problem, _, _ = hello(there)
        assert same is False and "muskrat accept" in problem
        assert listed(there) == before
        clients.query(there, "UPDATE customers SET name = 'y' WHERE id <= 300")
        emit(there, 3)
        assert clients.value(there, "SELECT muskrat.accept_history('upgraded')") > epoch
        assert len(listed(there)) == 501 + 301 and waiting(there)[-1] == 3
        # The index still has what VACUUM must keep findable: one row a page goes, the others are listed.
        clients.query(there, "DELETE FROM muskrat.outbox_1 WHERE id IN (SELECT min(id) FROM muskrat.outbox_1 WHERE xid >= (SELECT"
                             " pg_snapshot_xmax(last) FROM muskrat.cursor) GROUP BY (ctid::text::point)[0])")
        left = len(waiting(there))
        assert left < 502 + 300
        clients.execute(there, "VACUUM muskrat.outbox_1")
        assert len(listed(there)) == left
        assert not clients.query(there, "SELECT * FROM muskrat.status() WHERE item = 'outbox trigger'")
    finally:
        after.remove()


def test_history_promoted_standby_is_noticed_at_once_and_delivers_after_accept(server):
    dsn = server.dsn("front")
    clients.query(dsn, "SELECT muskrat.lease_take(0, 0, 'test')")
    emit(dsn, 1)
    read_all(dsn)
    emit(dsn, 2)
    epoch = hello(dsn)[2]
    standby = server.standby(os.path.join(BUILD, "check", "e2e-history-standby"))
    try:
        there = standby.dsn("front")
        wait_until(lambda: waiting(there) == [2], 60, "the standby to catch up")
        assert hello(there)[3] is True
        assert len(clients.query(there, "SELECT * FROM muskrat.status()")) > 8  # a standby answers too
        # Its snapshots do not say who is in progress: a read there would pass over them for ever.
        with pytest.raises(psycopg2.Error, match="recovery is in progress"):
            clients.query(there, "SELECT * FROM muskrat.read_new('3', '{}', 10, 1000, 0, 0)")
        server.stop("immediate")
        clients.query(standby.dsn(), "SELECT pg_promote()")
        # At once: pg_control still speaks of timeline 1 for a while.
        same, problem, _, in_recovery = hello(there)
        assert (same, in_recovery) == (False, False) and "timeline" in problem
        # The cursor row came along with its term; the relay that a pooler moved here must stop all the same.
        assert refused(there, "SELECT muskrat.cursor_save(1, pg_current_snapshot(), NULL, NULL, '{}')", "MK002")
        assert waiting(there) == [2]
        assert clients.value(there, "SELECT muskrat.accept_history('promoted')") > epoch
        emit(there, 3)
        assert waiting(there) == [2, 3]
        assert hello(there)[0] is True
    finally:
        standby.remove()
