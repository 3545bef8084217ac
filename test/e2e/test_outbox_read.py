"""The outbox read as docs/outbox-protocol.md says: each committed event exactly once, in order of its row, whatever the
writers do (savepoints, late commits, two-phase commits, REPEATABLE READ), wherever the reader stops, and while segments
are left and truncated all the time. No relay here: the reader is the protocol in thirty lines.

Writers count `v` up under the row's lock, so the table they leave is the truth: of each row, 1..v must have been
read, each once and in this order. The checker is proved: readers with a plausible mistake must be caught.
"""
import json
import random
import threading
import time

import psycopg2
import pytest

from harness import clients

SECONDS = 6
WRITERS = 5
ROWS = 12
NEW = "(xid >= pg_snapshot_xmax(%(last)s) OR xid = ANY (ARRAY(SELECT pg_snapshot_xip(%(last)s))))"


@pytest.fixture
def dsn(pg, request):
    name = "outbox_" + request.node.name.replace("[", "_").replace("]", "")[-40:]
    pg.drop_database(name)
    pg.create_database(name, "template0")
    dsn = pg.dsn(name)
    clients.execute(dsn, "CREATE EXTENSION muskrat", "CREATE TABLE rows (pk int PRIMARY KEY, v int NOT NULL DEFAULT 0)",
                    f"INSERT INTO rows SELECT generate_series(1, {ROWS})", "SELECT muskrat.lease_take(0, 0, 'test')")
    yield dsn
    pg.drop_database(name)


# ---- writers ----

class Writer(threading.Thread):
    def __init__(self, dsn, number, stop):
        super().__init__(daemon=True)
        self.dsn, self.number, self.stop = dsn, number, stop
        self.dice = random.Random(number)
        self.commits = 0
        self.error = None

    def run(self):
        try:
            with clients.connect(self.dsn) as connection, connection.cursor() as self.cursor:
                while not self.stop.is_set():
                    try:
                        self.transaction()
                    except (psycopg2.errors.SerializationFailure, psycopg2.errors.DeadlockDetected):
                        self.cursor.execute("ROLLBACK")
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def transaction(self):
        run, dice = self.cursor.execute, self.dice
        run("BEGIN ISOLATION LEVEL " + dice.choice(["READ COMMITTED", "READ COMMITTED", "REPEATABLE READ"]))
        if dice.random() < 0.3:
            run("SELECT pg_current_xact_id()")
            time.sleep(dice.random() * 0.02)
        self.write_rows(sorted(dice.sample(range(1, ROWS + 1), dice.randint(1, 4))))
        if dice.random() < 0.3:
            time.sleep(dice.random() * (0.5 if dice.random() < 0.1 else 0.02))
        if dice.random() < 0.15:
            name = f"'outbox {self.number} {self.commits}'"
            run("PREPARE TRANSACTION " + name)
            time.sleep(dice.random() * 0.05)
            run(dice.choice(["COMMIT", "COMMIT", "ROLLBACK"]) + " PREPARED " + name)
        else:
            run(dice.choice(["COMMIT", "COMMIT", "COMMIT", "ROLLBACK"]))
        self.commits += 1

    def write_rows(self, keys):
        for pk in keys:
            nested = self.dice.random() < 0.5
            if nested:
                self.cursor.execute("SAVEPOINT a")
            for _ in range(self.dice.randint(1, 3)):
                self.cursor.execute("UPDATE rows SET v = v + 1 WHERE pk = %s RETURNING v", (pk,))
                v = self.cursor.fetchone()[0]
                self.cursor.execute("SELECT muskrat.emit('Test.Row.Event', %s)", (json.dumps({"pk": pk, "v": v}),))
            if nested:
                self.cursor.execute(self.dice.choice(["ROLLBACK TO a", "RELEASE a"]))


# ---- the reader ----

class Reader:
    """Reads windows, confirms them in parts, and now and then forgets everything, as a relay that is killed."""

    def __init__(self, dsn, seed):
        self.dsn, self.dice = dsn, random.Random(seed)
        self.delivered = []  # what was confirmed, in order
        self.windows = self.resumed = self.freed = self.switched = 0
        self.connect()

    def connect(self):
        self.connection = clients.connect(self.dsn)
        self.cursor = self.connection.cursor()
        self.cursor.execute("SET jit = off; SET max_parallel_workers_per_gather = 0; SET enable_seqscan = off")

    def ask(self, sql, args=None):
        self.cursor.execute(sql, args)
        return self.cursor.fetchall()

    def read(self, condition, args):
        """The snapshot and the rows of one statement; the snapshot comes even with no rows."""
        [(snapshot, rows)] = self.ask(f"""
            SELECT pg_current_snapshot()::text, (SELECT json_agg(json_build_array(id, body::json) ORDER BY id)
                                                   FROM muskrat.outbox WHERE {condition})""", args)
        return snapshot, [(i, (body["pk"], body["v"])) for i, body in rows or []]

    def save(self, last, current, current_id):
        self.cursor.execute("SELECT muskrat.cursor_save(1, %s, %s, %s, '{}')", (last, current, current_id))

    def window(self):
        """One read, confirmed in one or two parts; False when there was nothing to read, nor a rest of a read to finish."""
        [(last, current, current_id)] = self.ask("SELECT last::text, current::text, current_id FROM muskrat.cursor")
        fresh = current is None
        if fresh:
            current, rows = self.read(NEW, {"last": last})
            self.windows += 1
        else:
            rows = self.resume(last, current, current_id)
            self.resumed += 1
        if rows and self.dice.random() < 0.4:
            part = self.dice.randint(1, len(rows))
            self.save(last, current, rows[part - 1][0])
            self.delivered += [event for _, event in rows[:part]]
            if self.dice.random() < 0.5:
                self.connection.close()
                self.connect()
            return True
        self.save(current, None, None)
        self.delivered += [event for _, event in rows]
        return bool(rows) or not fresh  # behind a rest that was empty there may be newer events

    def resume(self, last, current, current_id):
        return self.read(f"{NEW} AND pg_visible_in_snapshot(xid, %(current)s) AND id > %(id)s",
                         {"last": last, "current": current, "id": current_id})[1]

    def tend(self):
        [(switched, freed)] = self.ask("SELECT switched, freed FROM muskrat.segments_tend(1, 40000, '0')")
        self.switched += switched
        self.freed += len(freed)


class CursorOnId(Reader):
    """The mistake that everybody makes first."""
    seen = 0

    def window(self):
        _, rows = self.read("id > %(seen)s", {"seen": self.seen})
        self.delivered += [event for _, event in rows]
        self.seen = max([self.seen] + [i for i, _ in rows])
        return bool(rows)


class ResumeWithoutSnapshot(Reader):
    """Takes whatever is new behind the last id for the rest of the read that was interrupted."""

    def resume(self, last, current, current_id):
        return self.read(f"{NEW} AND id > %(id)s", {"last": last, "id": current_id})[1]


class OrderByTransaction(Reader):
    def read(self, condition, args):
        snapshot, rows = super().read(condition, args)
        order = dict(self.ask("SELECT id, xid::text::bigint FROM muskrat.outbox"))
        return snapshot, sorted(rows, key=lambda row: (order[row[0]], row[0]))


# ---- the check ----

def run(dsn, reader, worth_something=lambda: True):
    """For some seconds, and on a busy machine until the run was worth something."""
    began, stop = time.monotonic(), threading.Event()
    writers = [Writer(dsn, number, stop) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    step = 0
    while any(w.is_alive() for w in writers):
        took = time.monotonic() - began
        if took > 60 or took > SECONDS and worth_something():
            stop.set()
        reader.window()
        step += 1
        if step % 5 == 0:
            reader.tend()
        time.sleep(reader.dice.random() * 0.02)
    while reader.window():
        pass
    for writer in writers:
        if writer.error:
            raise writer.error
    return sum(w.commits for w in writers)


def complaints(dsn, delivered):
    """What is wrong with the events read, against the rows that the writers left."""
    by_key = {}
    for pk, v in delivered:
        by_key.setdefault(pk, []).append(v)
    return [f"row {pk}: 1..{v} expected, read {by_key.get(pk)}"
            for pk, v in clients.query(dsn, "SELECT pk, v FROM rows ORDER BY pk") if by_key.get(pk, []) != list(range(1, v + 1))]


def test_outbox_read_under_all_kinds_of_transactions_gives_each_event_once_in_order(dsn):
    reader = Reader(dsn, 1)

    def worth_something():
        return len(reader.delivered) > 500 and reader.resumed > 20 and reader.freed > 2
    commits = run(dsn, reader, worth_something)
    print(f"{commits} transactions, {len(reader.delivered)} events, {reader.windows} windows, {reader.resumed} resumed, "
          f"{reader.switched} switches, {reader.freed} truncations")
    assert complaints(dsn, reader.delivered) == []
    assert worth_something()


@pytest.mark.parametrize("mistaken", [CursorOnId, ResumeWithoutSnapshot, OrderByTransaction])
def test_outbox_checker_with_a_mistaken_reader_complains(dsn, mistaken):
    reader = mistaken(dsn, 1)
    reader.tend = lambda: None  # rotation follows the cursor, which not all of these keep
    run(dsn, reader)
    assert complaints(dsn, reader.delivered)
