"""A World: one test's databases, vhost, configuration and daemons, and the words that the tests speak with."""
import contextlib
import os
import re
import shutil

from harness import build as where
from harness import clients
from harness.processes import wait_until
from harness.program import Program

BUILD = where.default_build()
OPERATIONS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "operations.md")

CUSTOMERS = """
CREATE TABLE customers (id bigint PRIMARY KEY, email text NOT NULL, phone text, subdomain text, company text, username text,
                        volume text, retention text, rate text)
"""
ATTACH = """
SELECT muskrat.attach('customers', 'Frontend.Customer', on_insert => 'Signup', on_update => 'Update', on_delete => 'Cancel',
    columns => '["id", "email", "phone", "subdomain", "company", "username", {"subscription": ["volume", "retention", "rate"]}]')
"""
MIRROR = """
CREATE TABLE customers (id bigint PRIMARY KEY, email text NOT NULL, phone text, subdomain text, company_name text,
                        username text, volume text, retention text, rate text)
"""
COLUMNS = ["id", "email", "phone", "subdomain", {"to": "company_name", "from": "company"}, "username",
           {"to": "volume", "from": "subscription.volume"}, {"to": "retention", "from": "subscription.retention"},
           {"to": "rate", "from": "subscription.rate"}]


class World:
    def __init__(self, pg, rabbitmq, name, number):
        self.pg, self.rabbitmq, self.name = pg, rabbitmq, name
        self.folder = os.path.join(BUILD, "check", "e2e", name)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.front_db, self.target_db = f"front_{number}", f"target_{number}"
        for db in (self.front_db, self.target_db):
            pg.drop_database(db)
            pg.create_database(db, "template0")
        self.front, self.target = pg.dsn(self.front_db), pg.dsn(self.target_db)
        self.vhost = rabbitmq.create_vhost(f"e2e{number}")
        self.broker = clients.Broker(rabbitmq, self.vhost)
        self.program = Program(self.folder, BUILD)
        self.observers = []
        self.sql("CREATE EXTENSION muskrat")

    # ---- SQL ----

    def sql(self, text, args=None):
        return clients.query(self.front, text, args)

    def tsql(self, text, args=None):
        return clients.query(self.target, text, args)

    def customers(self, *ids, table="customers", **columns):
        """Signs customers up, one transaction each."""
        names = ["id", "email", *columns]
        for n in ids:
            row = [n, f"c{n}@example.com", *columns.values()]
            self.sql(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(['%s'] * len(row))})", row)

    # ---- the usual set-up ----

    def source(self, **more):
        return {"frontend": {"kind": "postgres", "dsn": self.front, **more}}

    def mirror(self, table="public.customers", subscribe=("Frontend.Customer.*",), **more):
        """An endpoint that keeps public.customers of the target database."""
        routes = more.pop("routes", None) or [{"table": table, "key": ["id"], "columns": COLUMNS}]
        return {"kind": "postgres", "subscribe": list(subscribe), "dsn": self.target, "routes": routes, **more}

    def stand(self, endpoints=None, source=None, relay=True, consume=True, **sections):
        """customers attached, the target's table made, everything set up and running."""
        self.sql(CUSTOMERS)
        self.sql(ATTACH)
        self.tsql(MIRROR)
        self.configure(endpoints if endpoints is not None else {"analytics": self.mirror()}, source, **sections)
        self.program.setup()
        self.start(relay, consume and bool(self.program.config.get("endpoints")))
        return self

    def configure(self, endpoints, source=None, **sections):
        self.program.configure(self.broker.url, sources=self.source(**(source or {})), endpoints=endpoints, **sections)

    def start(self, relay=True, consume=True):
        if relay:
            self.relay = self.program.relay()
        if consume:
            self.consumer = self.program.consume()

    def observe(self, *patterns, queue="observer"):
        """Sees the events that the patterns take (all by default), beside the endpoints."""
        observer = clients.Observer(self.broker, queue, patterns or ("#",))
        self.observers.append(observer)
        return observer

    @staticmethod
    def manual(what):
        """The cells behind `what` in its row of docs/operations.md, without the bars."""
        with open(OPERATIONS, encoding="utf-8") as f:
            rows = [re.split(r"(?<!\\)\|", text) for text in f if text.startswith("|")]
        (row,) = [row for row in rows if row[1].strip().strip("`") == what]
        return [cell.strip() for cell in row[2:-1]]

    @contextlib.contextmanager
    def user_with_rights(self, who):
        """The configuration has a broker user with the rights that docs/operations.md names for `who`, and no others."""
        rights = self.manual(who)
        user, url = f"rights{self.vhost}", self.program.config["broker"]["url"]
        self.rabbitmq.ctl("add_user", user, "rights")
        try:
            self.rabbitmq.ctl("set_permissions", "-p", self.vhost, user,
                              *(cell.strip("`").replace("\\|", "|") for cell in rights))
            self.program.config["broker"]["url"] = self.broker.url.replace("guest:guest", f"{user}:rights")
            self.program.save()
            yield
        finally:
            self.program.config["broker"]["url"] = url
            self.program.save()
            self.rabbitmq.ctl("delete_user", user)

    # ---- waiting ----

    def published(self):
        """Until the cursor is past every event: only then are they in their queues, and may be replayed."""
        wait_until(lambda: self.sql("""
            SELECT NOT EXISTS (SELECT FROM muskrat.outbox o, muskrat.cursor c
                                WHERE c.current IS NOT NULL OR o.xid >= pg_snapshot_xmax(c.last)
                                   OR o.xid IN (SELECT pg_snapshot_xip(c.last)))
               FROM muskrat.cursor""") == [(True,)], 60, "the cursor to be at rest")

    def delivered(self):
        """Until each endpoint is done with everything in its queue and in its hands."""
        prefix = self.program.config["broker"].get("prefix", "muskrat")
        self.broker.wait_settled(*(f"{prefix}.{name}" for name in self.program.config["endpoints"]))

    def settled(self):
        """Until nothing more can change. Equal rows do not say so: a row's event may come again, or another one of it."""
        self.published()
        self.delivered()

    def wait_equal(self, timeout=60):
        """Until the target's customers are the source's, column by column."""
        a = "SELECT id, email, phone, subdomain, company, username, volume, retention, rate FROM customers ORDER BY id"
        b = a.replace("company", "company_name")
        wait_until(lambda: self.sql(a) == self.tsql(b), timeout, "source and target to be equal; logs in " + self.folder)

    def wait_target(self, sql, expected, timeout=60):
        def reached():
            return self.tsql(sql) == expected
        try:
            wait_until(reached, timeout, "the target")
        except TimeoutError:
            assert self.tsql(sql) == expected

    def wait_log(self, daemon, pattern, timeout=60):
        """A line of the daemon's log."""
        def found():
            with open(daemon.log_path, encoding="utf-8", errors="replace") as f:
                return next((text for text in f if re.search(pattern, text)), None)
        return wait_until(found, timeout, f"/{pattern}/ in {daemon.log_path}")

    def close(self):
        for observer in self.observers:
            observer.stop()
        codes = self.program.stop()
        for db in (self.front_db, self.target_db):
            self.pg.drop_database(db)
        self.rabbitmq.delete_vhost(self.vhost)
        return codes
