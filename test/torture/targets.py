"""The analytics databases that a rig can have: PostgreSQL or MariaDB, each behind the endpoint kind of its name.

Both hold `account`, which is to equal the front's, and `effects`, to which every event adds one row.
"""
from harness import clients
from harness.mariadb import MariaDB

ROWS = "SELECT id, v, tag, note FROM account ORDER BY id"


class PostgresTarget:
    kind = "postgres"
    tables = """
CREATE TABLE account (id bigint PRIMARY KEY, v bigint NOT NULL, tag text NOT NULL, note text);
CREATE TABLE effects (n bigserial, id bigint, v bigint, op text);
"""
    slow = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_sleep(0.02); RETURN COALESCE(new, old); END $$;
CREATE TRIGGER slow BEFORE INSERT OR UPDATE OR DELETE ON account FOR EACH ROW EXECUTE FUNCTION slow();
CREATE TRIGGER slow BEFORE INSERT ON effects FOR EACH ROW EXECUTE FUNCTION slow();
"""

    def __init__(self, server, number):
        self.server, self.database = server, f"mirror_{number}"
        self.drop()
        server.create_database(self.database, "template0")
        self.dsn = server.dsn(self.database)
        clients.execute(self.dsn, self.tables)

    def rows(self):
        return clients.query(self.dsn, ROWS)

    def effects(self):
        """(pk, v) of each effect, as the ledger has them."""
        return clients.query(self.dsn, "SELECT id, v + (op = 'delete')::int FROM effects")

    def count(self):
        return clients.value(self.dsn, "SELECT count(*) FROM effects")

    def make_slow(self):
        clients.execute(self.dsn, self.slow)

    def drop(self):
        self.server.drop_database(self.database)


class MariaTarget:
    kind = "mysql"
    tables = """
CREATE TABLE account (id bigint PRIMARY KEY, v bigint NOT NULL, tag text NOT NULL, note text) ENGINE = InnoDB;
CREATE TABLE effects (n bigint AUTO_INCREMENT PRIMARY KEY, id bigint, v bigint, op varchar(20)) ENGINE = InnoDB;
"""
    slow = "".join(f"CREATE TRIGGER slow_{table}_{event} BEFORE {event} ON {table} FOR EACH ROW SET @slow = SLEEP(0.02);\n"
                   for table, event in [("account", "INSERT"), ("account", "UPDATE"), ("account", "DELETE"), ("effects", "INSERT")])

    def __init__(self, server, number):
        self.server, self.database = server, f"mirror_{number}"
        self.drop()
        server.create_database(self.database)
        self.dsn = server.dsn(self.database)
        server.script(self.tables, self.database)

    def rows(self):
        return list(self.server.sql(ROWS, self.database))

    def effects(self):
        return list(self.server.sql("SELECT id, v + (op = 'delete') FROM effects", self.database))

    def count(self):
        return self.server.sql("SELECT COUNT(*) FROM effects", self.database)[0][0]

    def make_slow(self):
        self.server.script(self.slow, self.database)

    def drop(self):
        self.server.drop_database(self.database)


def target_of(server, number):
    return (MariaTarget if isinstance(server, MariaDB) else PostgresTarget)(server, number)
