"""What capture costs an application on MariaDB: the same INSERT without a trigger, and with a trigger as people write it."""
import os
import shutil
import statistics
import subprocess

from harness.mariadb import MariaDB

from measure import in_turn, ratio_figure

TABLE = """
CREATE TABLE {table} (id bigint PRIMARY KEY, email text NOT NULL, phone text, subdomain text, company text, username text, volume int,
                      retention int, rate decimal(12,2), updated_at datetime(3) NOT NULL) CHARACTER SET utf8mb4
"""
COLUMNS = "id, email, phone, subdomain, company, username, volume, retention, rate, updated_at"
BY_HAND = """
CREATE TRIGGER by_hand AFTER INSERT ON hand FOR EACH ROW INSERT INTO hand_outbox (op, body) VALUES ('i', JSON_OBJECT({members}))
"""
FILL = """
INSERT INTO {table} SELECT seq, CONCAT('customer.number.', seq, '@mail.example.com'), '(555)555-5555',
 CONCAT('subdomain-of-customer-', seq),
 CONCAT('The ', seq, 'th Example Trading and Transport Company of Springfield, Inc.'), CONCAT('awesome_logger_', seq), 200, 7, 0.25,
 '2026-01-01 12:34:56.789' FROM seq_{first}_to_{last}
"""
CONFIG = """
broker: {{url: "amqp://guest@127.0.0.1:5672/"}}
sources: {{bench: {{kind: mysql, dsn: "{dsn}"}}}}
endpoints: {{nowhere: {{kind: "null", subscribe: ["Frontend.*"]}}}}
"""


class Stage:
    def __init__(self, bench):
        folder = os.path.join(bench.folder, "capture-mysql")
        shutil.rmtree(folder, ignore_errors=True)
        self.server = MariaDB(folder, fsync=True, settings={"innodb-buffer-pool-size": "512M", "innodb-log-file-size": "1G"}).start()
        self.server.create_database("bench")
        self.connection = self.server.connect("bench")
        for table in ("plain", "capture", "hand"):
            self.sql(TABLE.format(table=table))
        self.sql("CREATE TABLE hand_outbox (id bigint AUTO_INCREMENT PRIMARY KEY, at timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), "
                 "op char(1), body json)")
        self.sql(BY_HAND.format(members=", ".join(f"'{c}', NEW.{c}" for c in COLUMNS.split(", "))))
        self.config = os.path.join(folder, "muskrat.yaml")
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(CONFIG.format(dsn=self.server.dsn("bench")))
        program = os.path.join(bench.build, "muskrat")
        for words in (["install", "bench"], ["attach", "bench", "capture", "Frontend.Customer", "--columns", "*"]):
            subprocess.run([program, *words, "--config", self.config], check=True, stdout=subprocess.DEVNULL)

    def sql(self, text):
        with self.connection.cursor() as cursor:
            cursor.execute(text)
            return cursor.fetchall()

    def empty(self):
        for table in ("plain", "capture", "hand", "hand_outbox", "muskrat.outbox"):
            self.sql(f"TRUNCATE {table}")

    def close(self):
        self.connection.close()
        self.server.stop()


def bulk(bench):
    stage, rows = Stage(bench), 100_000

    def run(table):
        stage.empty()
        stage.sql(FILL.format(table=table, first=1, last=100))
        began = bench.clock()
        stage.sql(FILL.format(table=table, first=101, last=rows + 100))
        return (bench.clock() - began) * 1000

    try:
        results = in_turn({v: lambda v=v: run(v) for v in ("plain", "capture", "hand")}, bench.rounds(3, 7), "ms")
    finally:
        stage.close()
    ms = {v: statistics.median(r) for v, r in results.items()}
    note = f"{rows} rows, {ms['capture']:.0f} ms / {ms['plain']:.0f} ms; MariaDB"
    yield ratio_figure("capture_mysql_bulk_ratio", results, "capture", "plain", against="the same INSERT without trigger", note=note)
    yield ratio_figure("capture_mysql_bulk_ratio.by_hand", results, "hand", "plain", against="the same INSERT without trigger",
                       note=f"peer: a trigger that inserts JSON_OBJECT; {ms['hand']:.0f} ms")
