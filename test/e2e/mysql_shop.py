"""A shop's MariaDB for tests of what looks back: a table that is attached, an endpoint that mirrors it, and writers."""
import random
import threading

import pymysql
from harness.processes import wait_until

TABLE = """CREATE TABLE customers (region varchar(10) NOT NULL, id int NOT NULL, email varchar(100), plan varchar(20), at datetime(3),
           note longtext, PRIMARY KEY (region, id)) CHARACTER SET utf8mb4"""
FILL = """INSERT INTO customers SELECT IF(seq % 3, 'west''s', 'öst'), seq, CONCAT('c', seq, '@example.com'), 'small',
          '2026-01-01 10:11:12.5', IF(seq % 2, NULL, 'n"o\\\\te') FROM seq_1_to_{}"""
COLUMNS = ["region", "id", "email", "plan", "at", "note"]
ROWS = f"SELECT {', '.join(COLUMNS)} FROM customers ORDER BY region, id"


class Shop:
    """A table of a MariaDB that is attached only now, and a mirror of it that is empty."""

    def __init__(self, world, server, rows, **source):
        self.world, self.server = world, server
        for database in ("muskrat", "mk_shop", "mk_mirror"):
            server.drop_database(database)
        for database in ("mk_shop", "mk_mirror"):
            server.create_database(database)
            server.sql(TABLE, database)
        if rows:
            server.sql(FILL.format(rows), "mk_shop")
        source = {"frontend": {"kind": "mysql", "dsn": server.dsn("mk_shop"), "lease_time": "1s", **source}}
        mirror = {"kind": "mysql", "subscribe": ["Frontend.*"], "dsn": server.dsn("mk_mirror"),
                  "routes": [{"table": "customers", "on": ["Frontend.Customer.*"], "key": ["region", "id"], "columns": COLUMNS}]}
        world.program.configure(world.broker.url, sources=source, endpoints={"mirror": mirror})
        world.program.ok("install", "frontend")
        self.attach()
        world.program.setup()

    def attach(self, *more):
        self.world.program.ok("attach", "frontend", "customers", "Frontend.Customer", "--columns", ",".join(COLUMNS), *more)

    def sql(self, text):
        return list(self.server.sql(text, "mk_shop"))

    def connect(self):
        return self.server.connect("mk_shop", autocommit=False)

    def backfill(self, *args, code=0):
        done = self.world.program.run("backfill", *args, timeout=90)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def published(self):
        wait_until(lambda: self.sql("SELECT COUNT(*) FROM muskrat.outbox") == [(0,)], 60, "the outbox to be empty")

    def settled(self):
        """As World.settled."""
        self.published()
        self.world.delivered()

    def wait_equal(self, timeout=60):
        wait_until(lambda: list(self.server.sql(ROWS, "mk_mirror")) == self.sql(ROWS), timeout, "the mirror to be equal", 0.3)
        assert self.world.broker.depth("muskrat.mirror.dead") == 0

    def drop(self):
        for database in ("muskrat", "mk_shop", "mk_mirror"):
            self.server.drop_database(database)


class Sessions:
    """Threads that write, each in a session of its own, until they are told to stop."""

    def __init__(self, shop, count=3):
        self.shop, self.stop, self.errors, self.commits = shop, threading.Event(), [], 0
        self.threads = [threading.Thread(target=self.write, args=(n,)) for n in range(count)]
        for thread in self.threads:
            thread.start()

    def write(self, number):
        raise NotImplementedError

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        assert not self.errors, self.errors


class StatementWriters(Sessions):
    """Sessions that update some twenty rows by one statement, about where a backfill is just then."""

    def __init__(self, shop):
        self.keys = shop.sql("SELECT region, id FROM customers ORDER BY region, id")
        super().__init__(shop)

    def write(self, number):
        dice = random.Random(number)
        connection = self.shop.connect()
        try:
            with connection.cursor() as c:
                while not self.stop.is_set():
                    c.execute("SELECT COALESCE(MAX(passed), 0) FROM muskrat.backfill")
                    region, first = self.keys[min(c.fetchone()[0] + dice.randrange(60), len(self.keys) - 1)]
                    c.execute("UPDATE customers SET email = %s WHERE region = %s AND id BETWEEN %s AND %s",
                              (str(dice.random()), region, first, first + 30))
                    connection.commit()
                    self.commits += 1
        except pymysql.err.Error as e:
            self.errors.append(e)
        connection.close()


class Writers(Sessions):
    """Sessions that insert, update, delete and move rows until they are told to stop."""

    def __init__(self, shop, count=3, rows=3000):
        self.rows = rows
        super().__init__(shop, count)

    def write(self, number):
        dice = random.Random(number)
        fresh = 1_000_000 * (number + 1)
        connection = self.shop.connect()
        try:
            while not self.stop.is_set():
                with connection.cursor() as c:
                    for row in sorted(dice.sample(range(1, self.rows), dice.randint(1, 4))):  # in one order: no deadlocks of their own
                        key = ("west's" if row % 3 else "öst", row)
                        what = dice.random()
                        fresh += 1
                        if what < 0.6:
                            c.execute("UPDATE customers SET email = %s WHERE region = %s AND id = %s", (str(dice.random()), *key))
                        elif what < 0.8:
                            c.execute("DELETE FROM customers WHERE region = %s AND id = %s", key)
                        elif what < 0.9:
                            c.execute("INSERT INTO customers (region, id, email) VALUES ('mid', %s, 'fresh')", (fresh,))
                        else:
                            c.execute("UPDATE customers SET id = %s WHERE region = %s AND id = %s", (fresh, *key))
                (connection.rollback if dice.random() < 0.1 else connection.commit)()
                self.commits += 1
        except pymysql.err.Error as e:
            self.errors.append(e)
        connection.close()
