"""The frontend database of the demo: what differs between PostgreSQL and MariaDB, a class for each.

Both make the same table, have it captured, and are asked the same: connect() and insert() for the application, rows() for the
comparison. demo.py and customers.py know no more of them. The analytics database is no matter of theirs.
"""
import os

from harness.clients import connect, query
from harness.servers import MariaDB

HERE = os.path.dirname(os.path.abspath(__file__))
OBJECT = "Frontend.Customer"
COLUMNS = """["id", "email", "phone", "subdomain", "company", "username",
              {"subscription": ["volume", "retention", "rate"]}]"""
INSERT = """INSERT INTO customers (email, phone, subdomain, company, username, volume, retention, rate)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"""


def _text(name):
    with open(os.path.join(HERE, name), encoding="utf-8") as f:
        return f.read()


class PostgresSource:
    """A database beside the analytics one, in the same server; captured by the extension (frontend.sql)."""
    kind = "postgres"
    own_server = ""
    child = None

    def __init__(self, folder, keep):
        self.pg = None

    def start(self, pg):
        self.pg = pg
        self.pg.create_database("frontend")
        return ""

    def relay_dsn(self):
        return self.pg.dsn("frontend", "relay")

    def capture(self, program):
        self.pg.psql(_text("frontend.sql"), "frontend")

    def connect(self):
        return connect(self.pg.dsn("frontend"))

    def insert(self, cursor, values):
        cursor.execute(INSERT + " RETURNING id", values)
        return cursor.fetchone()[0]

    def rows(self):
        return query(self.pg.dsn("frontend"),
                     "SELECT id, email, phone, subdomain, company, username, volume::numeric, retention::int, rate::numeric"
                     " FROM customers ORDER BY id")

    def shell(self):
        return f"psql -h 127.0.0.1 -p {self.pg.port} -U postgres frontend"

    def stop(self):
        pass  # the server is the demo's


class MysqlSource:
    """A private MariaDB; captured by `muskrat install` and `muskrat attach`, as an administrator would. Its commits are flushed
    (fsync), or the relay and `muskrat status` would rightly complain."""
    kind = "mysql"
    own_server = "a private MariaDB, "

    def __init__(self, folder, keep):
        self.folder, self.keep = folder, keep
        self.server = None

    def start(self, pg):
        self.server = MariaDB(os.path.join(self.folder, "mariadb"), fsync=True, keep=self.keep)
        self.server.start()
        self.server.create_database("frontend")
        version = self.server.sql("SELECT VERSION()")[0][0].split("-")[0]
        return f"MariaDB {version} on port {self.server.port}, "

    def relay_dsn(self):
        return self.server.dsn("muskrat", "relay")

    def capture(self, program):
        self.server.script(_text("frontend.mysql.sql"), "frontend")
        administrator = self.server.dsn("frontend")
        program.ok("install", "frontend", "--dsn", administrator)
        program.ok("attach", "frontend", "frontend.customers", OBJECT, "--insert", "Signup", "--update", "Update",
                   "--delete", "Cancel", "--columns", COLUMNS, "--dsn", administrator)
        self.server.script(_text("relay.mysql.sql"))

    def connect(self):
        return self.server.connect("frontend", user="app")

    def insert(self, cursor, values):
        cursor.execute(INSERT, values)
        return cursor.lastrowid

    def rows(self):
        return list(self.server.sql(
            "SELECT id, email, phone, subdomain, company, username, CAST(volume AS DECIMAL(20, 4)),"
            " CAST(retention AS SIGNED), CAST(rate AS DECIMAL(20, 4)) FROM customers ORDER BY id", "frontend"))

    def shell(self):
        return f"mariadb -h 127.0.0.1 -P {self.server.port} -u root frontend"

    @property
    def child(self):
        return self.server.child

    def stop(self):
        if self.server:
            self.server.leave()


SOURCES = {source.kind: source for source in (PostgresSource, MysqlSource)}
