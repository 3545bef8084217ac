"""The frontend databases that a rig can have: PostgreSQL with the extension, or MariaDB with generated triggers.

Both hold the load's tables (account, head, ledger) and capture `account` as Load.Account. What schedules and rig ask of
them is the same; what only one can do (two-phase commits, snapshots) stays with it.
"""
import load as loads
import pymysql
from harness import clients
from harness.mariadb import MariaDB
from oracle import Entry


def attach(program):
    """`account` is captured from now on, as an operator would have it."""
    program.ok("attach", "load", "account", "Load.Account", "--insert", "Open", "--update", "Change", "--delete", "Close",
               "--columns", "id,v,tag,note")


class PostgresFront:
    name = "PostgreSQL"

    def __init__(self, server, number):
        self.server, self.database = server, f"load_{number}"
        server.drop_database(self.database)
        server.create_database(self.database, "template0")
        self.dsn = server.dsn(self.database)
        clients.execute(self.dsn, "CREATE EXTENSION muskrat", loads.SCHEMA)

    def capture(self, program):
        attach(program)

    def source(self):
        return {"kind": "postgres", "dsn": self.dsn}

    def drop(self):
        self.server.drop_database(self.database)

    def crash(self, hard=True):
        if hard:
            self.server.kill9()
        else:
            self.server.stop("immediate")
        self.server.start()

    def load(self, **how):
        return loads.Load(self.dsn, **how)

    def ledger(self):
        return loads.ledger(self.dsn)

    def rows(self):
        return loads.rows(self.dsn)

    def step(self, pks, tag, delete_share):
        clients.query(self.dsn, "SELECT ledger_step(%s, %s, %s, 'note')", (tag, list(pks), delete_share))

    def open_step(self, pks, tag):
        """A transaction that has written and is not committed: a connection, to be committed and closed."""
        connection = clients.connect(self.dsn, autocommit=False)
        with connection.cursor() as cursor:
            cursor.execute("SELECT ledger_step(%s, %s, 0, '')", (tag, list(pks)))
        return connection

    def at_rest(self):
        """The cursor, as it is stored, is past every event: no relay would publish any of them again."""
        return clients.value(self.dsn, """
            SELECT NOT EXISTS (SELECT FROM muskrat.outbox o, muskrat.cursor c
                                WHERE c.last IS NULL OR c.current IS NOT NULL OR o.xid >= pg_snapshot_xmax(c.last)
                                   OR o.xid IN (SELECT pg_snapshot_xip(c.last)))""")

    def release_lease(self):
        """So that the next relay need not wait until the dead one's lease has run out."""
        clients.query(self.dsn, "SELECT muskrat.lease_release(muskrat.lease_take(term, beat, 'test')) FROM muskrat.cursor"
                                " WHERE holder IS NOT NULL")


MARIA_SCHEMA = """
CREATE TABLE account (id bigint PRIMARY KEY, v bigint NOT NULL, tag text NOT NULL, note text) ENGINE = InnoDB;
CREATE TABLE head (pk bigint PRIMARY KEY, v bigint NOT NULL) ENGINE = InnoDB;
CREATE TABLE ledger (tag varchar(100), pk bigint, v bigint, PRIMARY KEY (pk, v)) ENGINE = InnoDB;
DELIMITER $$
CREATE PROCEDURE ledger_step(writer varchar(100), p bigint, delete_share double, words text)
BEGIN
  DECLARE old_v, new_v bigint;
  INSERT IGNORE INTO head VALUES (p, 0);
  SELECT v INTO old_v FROM head WHERE pk = p FOR UPDATE;
  IF old_v > 0 AND old_v % 2 = 0 AND RAND() < delete_share THEN
    SET new_v = old_v + 1;
    DELETE FROM account WHERE id = p;
  ELSE
    SET new_v = (old_v | 1) + 1;
    IF old_v > 0 AND old_v % 2 = 0 THEN
      UPDATE account SET v = new_v, tag = writer, note = words WHERE id = p;
    ELSE
      INSERT INTO account VALUES (p, new_v, writer, words);
    END IF;
  END IF;
  UPDATE head SET v = new_v WHERE pk = p;
  INSERT INTO ledger VALUES (writer, p, new_v);
END $$
"""


class MariaFront:
    name = "MariaDB"
    breaks = (pymysql.err.OperationalError, pymysql.err.InterfaceError, pymysql.err.InternalError)  # of a connection

    def __init__(self, server, number):
        self.server, self.database = server, f"load_{number}"
        for database in (self.database, "muskrat"):
            server.drop_database(database)
        server.create_database(self.database)
        server.script(MARIA_SCHEMA, self.database)
        self.dsn = server.dsn(self.database)

    def capture(self, program):
        program.ok("install", "load")
        attach(program)

    def source(self):
        return {"kind": "mysql", "dsn": self.dsn}

    def drop(self):
        for database in (self.database, "muskrat"):
            self.server.drop_database(database)

    def crash(self, hard=True):
        del hard  # MariaDB's immediate stop is its kill
        self.server.kill9()
        self.server.start()

    def load(self, **how):
        return MariaLoad(self, **how)

    def connect(self):
        connection = self.server.connect(self.database, autocommit=False)
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        return connection

    def ledger(self):
        return [Entry(*row) for row in self.server.sql("SELECT tag, pk, v FROM ledger", self.database)]

    def rows(self):
        return list(self.server.sql("SELECT id, v, tag, note FROM account ORDER BY id", self.database))

    def step(self, pks, tag, delete_share):
        connection = self.open_step(pks, tag, delete_share, "note")
        connection.commit()
        connection.close()

    def open_step(self, pks, tag, delete_share=0.0, note=""):
        connection = self.connect()
        with connection.cursor() as cursor:
            for pk in sorted(set(pks)):
                cursor.execute("CALL ledger_step(%s, %s, %s, %s)", (tag, pk, delete_share, note))
        return connection

    def at_rest(self):
        """Nothing is left in the outbox: no relay would publish any of it again."""
        return not self.server.sql("SELECT id FROM muskrat.outbox LIMIT 1")

    def release_lease(self):
        self.server.sql("UPDATE muskrat.relay SET holder = '', beat = beat + 1")


class MariaLoad(loads.Load):
    """The same writers; XA takes the place of nothing here: two-phase commits are left out."""

    breaks = MariaFront.breaks

    def __init__(self, front, **how):
        super().__init__(front.dsn, **how)
        self.front = front

    def _connect(self, number):
        del number
        return self.front.connect()

    def _closed(self, connection):
        return not connection.open

    def end_prepared(self, prefix="load-"):
        pass

    def _two_phase(self, connection, cursor, rng, tag):
        del cursor, tag
        connection.commit()

    def _release(self, cursor):
        cursor.execute("RELEASE SAVEPOINT r")

    def _step(self, cursor, rng, tag):
        pks = {rng.randrange(1, self.keys + 1) for _ in range(rng.randint(1, 2 * self.per_transaction - 1))}
        note = "x" * rng.randrange(200)
        for pk in sorted(pks):
            cursor.execute("CALL ledger_step(%s, %s, %s, %s)", (tag, pk, self.delete_share, note))
        return len(pks)


def front_of(server, number):
    return (MariaFront if isinstance(server, MariaDB) else PostgresFront)(server, number)
