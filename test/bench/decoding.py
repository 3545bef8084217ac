"""The other way to learn of changes: logical decoding with wal2json. The application pays for wal_level = logical, the server for the
decoding; one after the other here, so that both are in the time."""
import os
import shutil

import psycopg2

from harness.clients import connect
from harness.postgres import Postgres
from harness.processes import wait_until

import customers


class Decoded:
    """A server of its own, since wal_level holds for the whole of one, with a table and a slot."""

    def __init__(self, bench, settings):
        folder = os.path.join(bench.folder, "decoding")
        shutil.rmtree(os.path.join(folder, "data"), ignore_errors=True)
        self.clock = bench.clock
        self.pg = Postgres(folder, build=bench.build, fsync=True, settings={**settings, "wal_level": "logical"}).start()
        self.connection = connect(self.pg.dsn())
        self.sql(customers.TABLE.format(table="decoded"))
        self.trust_plugin()
        try:
            self.sql("SELECT pg_create_logical_replication_slot('bench', 'wal2json')")
        except psycopg2.Error as e:
            self.close()
            raise LookupError(f"postgresql-{self.pg.major}-wal2json") from e

    def trust_plugin(self):
        """Newer minor releases load only the plugins that a setting names."""
        setting = "output_plugin_libraries"
        if self.sql("SELECT name FROM pg_settings WHERE name = %s", (setting,)):
            self.sql(f"ALTER SYSTEM SET {setting} = 'wal2json'")
            self.sql("SELECT pg_reload_conf()")
            wait_until(lambda: self.sql(f"SHOW {setting}") == ("wal2json",), 20, "the setting", 0.05)

    def sql(self, text, args=None):
        with self.connection.cursor() as cursor:
            cursor.execute(text, args)
            return cursor.fetchone() if cursor.description else None

    def changes(self):
        """How many lines the slot gives, counted and thrown away."""
        return self.sql("SELECT count(*) FROM pg_logical_slot_get_changes('bench', NULL, NULL, 'format-version', '2')")[0]

    def bulk(self, rows):
        """Milliseconds for one INSERT of so many rows and the reading of what became of them."""
        self.sql("TRUNCATE decoded")
        self.sql("CHECKPOINT")
        self.sql(customers.bulk_insert("decoded", 1, 100))
        self.changes()
        began = self.clock()
        self.sql(customers.bulk_insert("decoded", 101, rows + 100))
        seen = self.changes()
        took = (self.clock() - began) * 1000
        if seen != rows + 2:  # BEGIN and COMMIT
            raise RuntimeError(f"wal2json told of {seen} lines for {rows} rows")
        return took

    def close(self):
        self.connection.close()
        self.pg.remove()
