"""The outbox's index by page under everything at once: whoever reads by it finds what a scan of the tables finds, while
statements of many rows are written and rolled back, rows are deleted and updated by hand, and VACUUM clears away."""
import random
import threading
import time

import psycopg2
import pytest
from psycopg2.extensions import TransactionRollbackError

from harness import clients
from rig import LONG

SECONDS = 60 if LONG else 8
EVENTS = """
WITH found AS (SELECT segment, place, id FROM muskrat.list_new('3', '18446744073709551615', '{}', pg_current_snapshot(),
                                                              0, 9223372036854775807, 10000000)),
     there AS (SELECT 1 AS segment, ctid AS place, id, xid FROM muskrat.outbox_1
               UNION ALL SELECT 2, ctid, id, xid FROM muskrat.outbox_2 UNION ALL SELECT 3, ctid, id, xid FROM muskrat.outbox_3),
     seen AS (SELECT segment, place, id FROM there WHERE pg_visible_in_snapshot(xid, pg_current_snapshot()))
SELECT (SELECT count(*) FROM seen), (SELECT count(*) FROM (TABLE found EXCEPT ALL TABLE seen) AS a),
       (SELECT count(*) FROM (TABLE seen EXCEPT ALL TABLE found) AS b)
"""


@pytest.fixture
def dsn(pg):
    pg.create_database("by_page", "template0")
    dsn = pg.dsn("by_page")
    clients.query(dsn, "CREATE EXTENSION muskrat; CREATE TABLE item (id bigserial PRIMARY KEY, pad text)")
    clients.query(dsn, "SELECT muskrat.attach('item', 'Test.Item', columns => '\"*\"')")
    yield dsn
    pg.drop_database("by_page")


def insert(cursor, dice):
    cursor.execute("INSERT INTO item (pad) SELECT repeat('x', %s) FROM generate_series(1, %s)",
                   (dice.choice([0, 10, 300, 3000]), dice.choice([1, 1, 3, 40, 300])))


def write(connection, dice):
    """A transaction: some statements, now and then one that is taken back."""
    with connection.cursor() as cursor:
        for _ in range(dice.randint(1, 3)):
            cursor.execute("SAVEPOINT a")
            insert(cursor, dice)
            cursor.execute(dice.choice(["RELEASE a", "RELEASE a", "ROLLBACK TO a"]))
        dice.choice([connection.commit, connection.commit, connection.rollback])()


def meddle(connection, dice):
    """Rows of the pages that are being written, or of some page, are deleted and updated: any, or those that have an entry."""
    table = f"muskrat.outbox_{dice.choice([1, 1, 1, 2])}"
    how = dice.choice(["DELETE FROM {}", "UPDATE {} SET headers = '{{}}'"]).format(table)
    entries = f"SELECT ctid FROM {table} WHERE xid >= '3' AND muskrat.by_page(xid) ORDER BY xid DESC LIMIT 50"
    entry = dice.choice(["", f"AND ctid IN ({entries})"])
    back = dice.choice([1, 2, 5, 5000])
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SELECT greatest(pg_relation_size(%s) / 8192 - %s, 0)", (table, back))
        page = cursor.fetchone()[0]
        cursor.execute(f"{how} WHERE ctid >= '({page},0)' AND ctid < '({page + 5},0)' AND random() < 0.3 {entry}")
    dice.choice([connection.commit, connection.commit, connection.rollback])()


def switch(connection, dice):
    with connection.cursor() as cursor:
        cursor.execute("SELECT setval('muskrat.current_segment', %s)", (dice.choice([1, 2]),))
    connection.commit()
    time.sleep(0.2)


def vacuum(connection, dice):
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"VACUUM muskrat.outbox_{dice.choice([1, 1, 2])}")


class Actor(threading.Thread):
    """Does one thing again and again, until told; keeps the error that ended it."""

    def __init__(self, dsn, act, seed, over):
        super().__init__()
        self.dsn, self.act, self.dice, self.over = dsn, act, random.Random(seed), over
        self.times, self.error = 0, None

    def run(self):
        connection = psycopg2.connect(self.dsn)
        try:
            while not self.over.is_set():
                try:
                    self.act(connection, self.dice)
                    self.times += 1
                except TransactionRollbackError:  # a deadlock between two that meddle
                    connection.rollback()
        except psycopg2.Error as e:
            self.error = e
        finally:
            connection.close()


def test_by_page_index_finds_what_a_scan_finds_under_everything_at_once(dsn):
    over = threading.Event()
    acts = [write, write, write, meddle, meddle, vacuum, switch]
    actors = [Actor(dsn, act, seed, over) for seed, act in enumerate(acts)]
    for actor in actors:
        actor.start()
    looks, most = 0, 0
    try:
        connection = psycopg2.connect(dsn)
        connection.set_session("REPEATABLE READ")
        end = time.monotonic() + SECONDS
        while time.monotonic() < end or looks < 5:
            with connection.cursor() as cursor:
                cursor.execute(EVENTS)
                seen, too_many, missing = cursor.fetchone()
            connection.commit()
            assert (too_many, missing) == (0, 0), f"of {seen} events {missing} were not found, {too_many} were not there"
            looks, most = looks + 1, max(most, seen)
        connection.close()
    finally:
        over.set()
        for actor in actors:
            actor.join()
    assert [actor.error for actor in actors] == [None] * len(actors)
    assert all(actor.times > 3 for actor in actors) and most > 300
    seen, too_many, missing = clients.query(dsn, EVENTS)[0]
    assert (too_many, missing) == (0, 0)
    # No entry is there twice, which a B-tree must not have.
    clients.query(dsn, "CREATE EXTENSION amcheck")
    for segment in (1, 2):
        clients.query(dsn, "SELECT bt_index_parent_check(%s)", [f"muskrat.outbox_{segment}_xid"])
