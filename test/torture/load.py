"""The load: writers whose transactions write business rows and, beside them, the ledger.

Used by rig.py. One call of `ledger_step` is one transaction's work on several rows: it locks the row's `head` (where v
lives), writes the business table `account`, and writes `ledger`. Writers mix plain commits with rollbacks, savepoints that
are rolled back, slow transactions and two-phase commits. A writer whose connection breaks connects again and goes on: what became of
the transaction in hand is for the ledger to say.
"""
import random
import threading
import time

import psycopg2
from harness.clients import connect, execute, query
from oracle import Entry

SCHEMA = """
CREATE TABLE account (id bigint PRIMARY KEY, v bigint NOT NULL, tag text NOT NULL, note text);
CREATE TABLE head (pk bigint PRIMARY KEY, v bigint NOT NULL) WITH (fillfactor = 50);
CREATE TABLE ledger (tag text, pk bigint, v bigint, PRIMARY KEY (pk, v));
CREATE FUNCTION ledger_step(writer text, pks bigint[], delete_share float8, note text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE p bigint; old bigint; new bigint;
BEGIN
  FOR p IN SELECT DISTINCT x FROM unnest(pks) x ORDER BY 1 LOOP
    INSERT INTO head VALUES (p, 0) ON CONFLICT DO NOTHING;
    SELECT h.v INTO old FROM head h WHERE h.pk = p FOR UPDATE;
    IF old > 0 AND old % 2 = 0 AND random() < delete_share THEN
      new := old + 1;
      DELETE FROM account WHERE id = p;
    ELSE
      new := (old | 1) + 1;
      IF old > 0 AND old % 2 = 0 THEN
        UPDATE account a SET v = new, tag = writer, note = ledger_step.note WHERE a.id = p;
      ELSE
        INSERT INTO account VALUES (p, new, writer, ledger_step.note);
      END IF;
    END IF;
    UPDATE head SET v = new WHERE pk = p;
    INSERT INTO ledger VALUES (writer, p, new);
  END LOOP;
END $$;
"""


def ledger(dsn):
    return [Entry(*row) for row in query(dsn, "SELECT tag, pk, v FROM ledger")]


def rows(dsn):
    return query(dsn, "SELECT id, v, tag, note FROM account ORDER BY id")


class Load:
    """`writers` threads until stop() or until about `events` were written in all."""

    def __init__(self, dsn, writers=4, keys=200, per_transaction=3, events=None, delete_share=0.1, odd_share=0.1, pause=0.0,
                 seed=1, async_commit=False):
        self.dsn, self.keys, self.per_transaction, self.events = dsn, keys, per_transaction, events
        self.delete_share, self.odd_share, self.pause, self.seed = delete_share, odd_share, pause, seed
        self.async_commit = async_commit
        self.written = 0       # as far as the writers know
        self.broken = 0        # connections lost
        self.errors = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self.threads = [threading.Thread(target=self._write, args=(n,), daemon=True) for n in range(writers)]

    def start(self):
        for t in self.threads:
            t.start()
        return self

    def done(self):
        return not any(t.is_alive() for t in self.threads)

    def wait(self, timeout=600):
        """Until `events` were written."""
        deadline = time.monotonic() + timeout
        for t in self.threads:
            t.join(max(0, deadline - time.monotonic()))
        if not self.done():
            raise TimeoutError(f"the load wrote {self.written} of {self.events} events in {timeout} s")
        return self._finish()

    def stop(self):
        self._stop.set()
        for t in self.threads:
            t.join(60)
        return self._finish()

    def _finish(self):
        self.end_prepared()
        if self.errors:
            raise AssertionError(f"the load itself failed: {self.errors[0]}")
        return self

    def _write(self, number):
        rng = random.Random(self.seed * 1000 + number)
        connection = None
        count = 0
        while not self._stop.is_set() and (self.events is None or self.written < self.events):
            try:
                if connection is None or self._closed(connection):
                    connection = self._connect(number)
                count += 1
                self._transaction(connection, rng, f"w{number}-{count}")
            except self.breaks:
                self.broken += 1
                try:
                    if connection is not None:
                        connection.close()
                except Exception:  # it is gone already
                    pass
                connection = None
                self._stop.wait(0.2)
            except Exception as e:  # the load must not go wrong unseen
                self.errors.append(repr(e))
                return
            if self.pause:
                self._stop.wait(self.pause * rng.random() * 2)
        if connection is not None and not self._closed(connection):
            connection.close()

    breaks = (psycopg2.OperationalError, psycopg2.InterfaceError)  # after which a writer connects anew

    def _connect(self, number):
        connection = connect(self.dsn, autocommit=False)
        self.end_prepared(f"load-{self.seed}-w{number}-")
        if self.async_commit:
            with connection.cursor() as cursor:
                cursor.execute("SET synchronous_commit = off")
            connection.commit()
        return connection

    def _closed(self, connection):
        return connection.closed

    def _transaction(self, connection, rng, tag):
        kind = rng.random() / self.odd_share if self.odd_share else 2.0
        with connection.cursor() as cursor:
            if kind < 0.3:  # a savepoint that is rolled back leaves no event
                cursor.execute("SAVEPOINT s")
                self._step(cursor, rng, tag + "-undone")
                cursor.execute("ROLLBACK TO s")
            wrote = self._step(cursor, rng, tag)
            if 0.3 <= kind < 0.5:  # a released one keeps its own
                cursor.execute("SAVEPOINT r")
                wrote += self._step(cursor, rng, tag + "-sub")
                self._release(cursor)
            if 0.5 <= kind < 0.6:
                time.sleep(rng.random() * 0.3)  # others commit later ids first
            if 0.6 <= kind < 0.75:
                connection.rollback()
                return
            if 0.75 <= kind < 0.85:
                self._two_phase(connection, cursor, rng, tag)
            else:
                connection.commit()
        with self._lock:
            self.written += wrote

    def _release(self, cursor):
        cursor.execute("RELEASE r")

    def _two_phase(self, connection, cursor, rng, tag):
        gid = f"load-{self.seed}-{tag}"
        cursor.execute("PREPARE TRANSACTION %s", (gid,))
        # psycopg2 thinks that it is in a transaction still: end its own idea of it
        connection.rollback()
        time.sleep(rng.random() * 0.2)
        connection.autocommit = True
        cursor.execute("COMMIT PREPARED %s", (gid,))
        connection.autocommit = False

    def _step(self, cursor, rng, tag):
        pks = [rng.randrange(1, self.keys + 1) for _ in range(rng.randint(1, 2 * self.per_transaction - 1))]
        cursor.execute("SELECT ledger_step(%s, %s, %s, %s)", (tag, pks, self.delete_share, "x" * rng.randrange(200)))
        return len(set(pks))

    def end_prepared(self, prefix="load-"):
        """Two-phase commits that a crash interrupted hold row locks until their coordinator, that is us, decides. Their names."""
        found = [gid for (gid,) in query(self.dsn, "SELECT gid FROM pg_prepared_xacts WHERE database = current_database() AND"
                                                   " starts_with(gid, %s)", (prefix,))]
        for gid in found:
            execute(self.dsn, f"COMMIT PREPARED '{gid}'")
        return found
