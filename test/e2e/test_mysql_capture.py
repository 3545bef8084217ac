"""Capture in MariaDB: install, attach, detach, refresh, what the triggers write, and who may do what.

A private MariaDB for the file and a database for each test; the outbox is read by hand, without a relay. Values by type
run on PostgreSQL too, and both databases must write the same text.
"""
import json
import os
import random
import re
import shutil
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import pymysql
import pytest

from harness.processes import wait_until
from harness.servers import MariaDB
from world import BUILD

MUSKRAT = os.path.join(BUILD, "muskrat")
CONFIG = """
broker: {url: "amqp://guest@127.0.0.1:5672/"}
sources: {shop: {kind: mysql, dsn: "mysql://root@127.0.0.1:1/shop"}}
endpoints: {nowhere: {kind: "null", subscribe: ["Shop.*"]}}
"""


@pytest.fixture(scope="module")
def maria():
    folder = os.path.join(BUILD, "check", "e2e-mysql-capture")
    shutil.rmtree(folder, ignore_errors=True)
    server = MariaDB(folder).start()
    with open(os.path.join(folder, "muskrat.yaml"), "w", encoding="utf-8") as f:
        f.write(CONFIG)
    yield server
    server.stop()


class Shop:
    """One test's database, and the verbs run against it as the administrator."""

    def __init__(self, server, name):
        self.server, self.db = server, name
        self.config = os.path.join(server.folder, "muskrat.yaml")
        server.drop_database(name)
        server.create_database(name)
        server.sql("DROP DATABASE IF EXISTS muskrat")
        self.good("install", "shop")

    def run(self, verb, *args, user="root", env=None):
        return subprocess.run([MUSKRAT, verb, "--config", self.config, "--dsn", self.server.dsn(self.db, user), *args],
                              capture_output=True, text=True, check=False, timeout=60, env=dict(os.environ, **(env or {})))

    def good(self, verb, *args, **how):
        done = self.run(verb, *args, **how)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def bad(self, verb, *args, **how):
        done = self.run(verb, *args, **how)
        assert done.returncode not in (0, 139, 134), done.stdout
        return done.stderr

    def sql(self, text, **options):
        return self.server.sql(text, self.db, **options)

    def attach(self, table, *args, obj="Shop.Thing", columns="*"):
        return self.good("attach", "shop", table, obj, "--columns", columns, *args)

    def events(self):
        """(op, action word, key, body) in order; the outbox is empty afterwards."""
        rows = self.sql("SELECT op, SUBSTRING_INDEX(routing_key, '.', -1), ordering_key, body FROM muskrat.outbox ORDER BY id")
        self.sql("DELETE FROM muskrat.outbox")
        return list(rows)

    def bodies(self):
        return [row[3] for row in self.events()]


@pytest.fixture(scope="module")
def imitation(maria):
    """A MariaDB that calls itself MySQL, so that the program treats it as one. It says nothing of what MySQL takes."""
    server = MariaDB(os.path.join(maria.folder, "imitation"), settings={"version": "8.0.36"}).start()
    shutil.copy(os.path.join(maria.folder, "muskrat.yaml"), server.folder)
    yield server
    server.stop()


@pytest.fixture
def shop(maria, request):
    return Shop(maria, "t_" + str(abs(hash(request.node.name)) % 10**8))


# ---- values ----

# type in PostgreSQL, in MariaDB, and literals (one for both, or a pair)
GOLDEN = [
    ("smallint", "smallint", ["-32768", "0", "NULL"]),
    ("integer", "int", ["-2147483648", "7"]),
    ("bigint", "bigint", ["9007199254740993", "-9223372036854775808"]),
    ("numeric(20,0)", "bigint unsigned", ["18446744073709551615"]),
    ("integer", "int(9) zerofill", ["42"]),
    ("numeric(30,3)", "decimal(30,3)", ["12345678901234567890.123", "0", "-0.100", "1.50"]),
    ("boolean", "boolean", ["true", "false", "NULL"]),
    ("boolean", "bit(1)", [("true", "b'1'"), ("false", "b'0'")]),
    ("bit(5)", "bit(5)", ["b'10110'", "b'00001'"]),
    ("real", "float", ["0.1", "16777217", "3.4028234e38", "1e-5", "1234.5", "0.3", "1e-45", "123456789", "1e15", "0"]),
    ("double precision", "double", ["0.1", "1.7976931348623157e308", "5e-324", "123456789012345680", "1e15", "1e14", "1e-4",
                                    "1e-5", "-2.5e-7", "0.30000000000000004", "0", "100", "1e22", "123456.789e3"]),
    ("text", "text", [r"""'a"b/c'""", "'Löwe 😀'", "''", "'  x '", ("E'a\\\\b'", "'a\\\\b'"), ("E'\\n\\t\\r\\b'", "'\\n\\t\\r\\b'"),
                      ("E'\\x0c\\x01\\x7f'", "x'0c017f'")]),
    ("varchar(20)", "varchar(20) character set latin1", ["'Löwe'", "'ÿ'"]),
    ("varchar(20)", "varchar(20) character set utf16", ["'Löwe 😀'"]),
    ("char(6)", "char(6)", ["'ab'"]),
    ("bytea", "blob", [("'\\x00ff10'", "x'00ff10'"), ("''", "''"),
                       ("decode(repeat('00', 100), 'hex')", "unhex(repeat('00', 100))")]),
    ("bytea", "varbinary(10)", [("'\\x7f'", "x'7f'")]),
    ("date", "date", ["'2026-11-23'", "NULL"]),
    ("timestamp", "datetime(6)", ["'2026-11-23 10:11:12.345678'", "'2026-11-23 10:11:12.5'", "'2026-11-23 10:10:10'"]),
    ("timestamp", "datetime", ["'2026-11-20 10:00:00'"]),
    ("timestamptz", "timestamp(6) null", ["'2026-11-23 10:11:12.34'", "'2026-10-25 01:30:00'", "NULL"]),
    ("timestamptz", "timestamp null", ["'2026-11-20 10:00:00'"]),
    ("time", "time(6)", ["'23:59:59.5'", "'00:00:00'"]),
    ("time", "time", ["'10:20:30'"]),
    ("integer", "year", ["2026", ("0", "0000")]),
    ("text", "enum('happy','sad')", ["'happy'"]),
    ("text", "set('a','b','c')", [("'a,c'", "'c,a'")]),
    ("json", "json", ["""'{"b" : 1.50, "a":[ 12345678901234567890.123, "x y"], "é": null }'""", "'[]'", "'3'", "NULL"]),
    ("uuid", "uuid", ["'0188d3a0-0000-7000-8000-000000000001'"]),
]

SESSIONS = [
    "SET time_zone = 'Europe/Berlin', sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT'",
    "SET time_zone = '-11:30', lc_time_names = 'de_DE', group_concat_max_len = 4, div_precision_increment = 0",
    "SET NAMES latin1",
]


def pairs(literals):
    return [x if isinstance(x, tuple) else (x, x) for x in literals]


def maria_bodies(shop, setup):
    """What MariaDB writes for every literal of every type, under a session's settings."""
    found = []
    with shop.server.connect(shop.db) as db, db.cursor() as cursor:
        cursor.execute("SET time_zone = '+00:00'")
        for i, (_, kind, literals) in enumerate(GOLDEN):
            cursor.execute(f"CREATE TABLE g{i} (id int PRIMARY KEY, v {kind}) CHARACTER SET utf8mb4")
            shop.attach(f"g{i}")
            for n, (_, literal) in enumerate(pairs(literals)):
                cursor.execute(f"INSERT INTO g{i} VALUES ({n}, {literal})")
        cursor.execute("DELETE FROM muskrat.outbox")
        cursor.execute(setup)
        for i, (_, _, literals) in enumerate(GOLDEN):  # deletes say what is stored, whatever the session
            for n in range(len(literals)):
                cursor.execute(f"DELETE FROM g{i} WHERE id = {n}")
    for body in shop.bodies():
        found.append(body)
    return found


def postgres_bodies(pg):
    pg.drop_database("golden")
    pg.create_database("golden", "template0")
    script = ["CREATE EXTENSION muskrat; SET timezone = 'UTC';"]
    for i, (kind, _, literals) in enumerate(GOLDEN):
        script.append(f"CREATE TABLE g{i} (id int PRIMARY KEY, v {kind}); SELECT muskrat.attach('g{i}', 'Shop.Thing', '*');")
        for n, (literal, _) in enumerate(pairs(literals)):
            script.append(f"INSERT INTO g{i} VALUES ({n}, {literal});")
    pg.psql("\n".join(script), "golden")
    return pg.psql("SELECT body FROM muskrat.outbox ORDER BY id", "golden").splitlines()


@pytest.mark.parametrize("session", range(len(SESSIONS)))
def test_mysql_golden_types_same_json_as_postgresql(shop, pg, session):
    setup = SESSIONS[session]
    if "Berlin" in setup:
        shop.server.sql("REPLACE INTO mysql.time_zone_name VALUES ('Europe/Berlin', 9001)")
        shop.server.sql("REPLACE INTO mysql.time_zone VALUES (9001, 'N')")
        shop.server.sql("REPLACE INTO mysql.time_zone_transition_type VALUES (9001, 0, 7200, 1, 'CEST'), (9001, 1, 3600, 0, 'CET')")
        shop.server.sql("REPLACE INTO mysql.time_zone_transition VALUES (9001, 0, 0), (9001, 1792890000, 1)")
    ours, theirs = maria_bodies(shop, setup), postgres_bodies(pg)
    named = [f"{kind} / {maria} {pair}" for kind, maria, literals in GOLDEN for pair in pairs(literals)]
    assert len(ours) == len(theirs) == len(named)
    for name, mine, other in zip(named, ours, theirs):
        assert json.loads(mine) == json.loads(other), name
        assert mine == other, name


def test_mysql_values_of_its_own_types_are_json(shop):
    shop.sql("CREATE TABLE v (id int PRIMARY KEY, d date, m datetime(3), t time(3), flag tinyint(1), g int AS (id + 1) VIRTUAL, "
             "s varchar(20) AS (CONCAT('s', id)) STORED, hidden int INVISIBLE, ip inet6, n varchar(9) COLLATE utf8mb4_general_ci)")
    shop.attach("v")
    shop.sql("INSERT INTO v (id, d, m, t, flag, hidden, ip, n) VALUES (1, '0000-00-00', '0000-00-00', '-12:30:00.5', 2, 3, '::1', 'n')",
             init_command="SET sql_mode = ''")
    assert shop.bodies() == ['{"id":1,"d":null,"m":null,"t":"-12:30:00.5","flag":2,"g":2,"s":"s1","ip":"::1","n":"n"}']


def test_mysql_json_that_is_none_becomes_a_string(shop):
    shop.sql("CREATE TABLE v (id int PRIMARY KEY, j json)")
    shop.attach("v")
    shop.sql("INSERT INTO v VALUES (1, '{broken')", init_command="SET check_constraint_checks = 0")
    assert shop.bodies() == ['{"id":1,"j":"{broken"}']


def test_mysql_large_body_loses_its_largest_columns(shop):
    shop.sql("CREATE TABLE v (id int PRIMARY KEY, a text, b longtext, c longblob, `q\"` longtext)")
    shop.attach("v", columns='["id", {"in": ["a", "b"]}, "c", "q\\""]')
    with shop.server.connect(shop.db, max_allowed_packet=64 << 20) as db, db.cursor() as cursor:
        cursor.execute("INSERT INTO v VALUES (1, 'small', REPEAT('x', 9000000), 'y', 'z')")
        cursor.execute("INSERT INTO v VALUES (2, 'small', REPEAT('x', 3000000), REPEAT('y', 3000000), REPEAT('z', 3000000))")
        cursor.execute("SELECT body, headers FROM muskrat.outbox ORDER BY id")
        rows = cursor.fetchall()
    assert rows[0] == ('{"id":1,"in":{"a":"small"},"c":"eQ==","q\\"":"z"}', '{"omitted":["in.b"]}')
    assert rows[1] == ('{"id":2,"in":{"a":"small"}}', '{"omitted":["in.b","c","q\\""]}')


def test_mysql_small_packet_leaves_out_columns_and_fails_no_write(shop):
    """Each column fits into the packet; the body of both does not, and is below what goes in unmeasured."""
    shop.sql("CREATE TABLE v (id int PRIMARY KEY, a longtext, b longtext)")
    shop.attach("v")
    packet = shop.sql("SELECT @@GLOBAL.max_allowed_packet")[0][0]
    shop.sql(f"SET GLOBAL max_allowed_packet = {256 << 10}")
    try:
        with shop.server.connect(shop.db) as db, db.cursor() as cursor:
            cursor.execute("INSERT INTO v VALUES (1, REPEAT('x', 80000), REPEAT('y', 80000))")
            cursor.execute("INSERT INTO v VALUES (2, REPEAT('x', 140000), REPEAT('y', 140000))")
            cursor.execute("INSERT INTO v VALUES (3, REPEAT('x', 140000), 'y')")
            cursor.execute("UPDATE v SET b = 'z' WHERE id = 2")
            cursor.execute("SELECT body, headers FROM muskrat.outbox ORDER BY id")
            rows = cursor.fetchall()
    finally:
        shop.sql(f"SET GLOBAL max_allowed_packet = {packet}")
    assert [len(body) > 140_000 for body, _ in rows] == [True, False, True, True]
    assert rows[1] == ('{"id":2}', '{"omitted":["a","b"]}')
    assert [headers for _, headers in rows if headers] == ['{"omitted":["a","b"]}']


def test_mysql_value_whose_text_outgrows_the_packet_is_left_out_and_fails_no_write(shop):
    """Base64 and escapes are longer than what they stand for: beyond the server's max_allowed_packet, 16 MB here."""
    shop.sql("CREATE TABLE v (id int PRIMARY KEY, a longblob, b longtext)")
    shop.attach("v")
    with shop.server.connect(shop.db) as db, db.cursor() as cursor:
        cursor.execute("SELECT @@max_allowed_packet")
        assert cursor.fetchall() == ((16 << 20,),)
        cursor.execute("INSERT INTO v VALUES (1, REPEAT('b', 13000000), 'y')")
        cursor.execute("INSERT INTO v VALUES (2, 'b', REPEAT(x'01', 7000000))")
        cursor.execute("SELECT body, headers FROM muskrat.outbox ORDER BY id")
        rows = cursor.fetchall()
    assert rows == (('{"id":1,"b":"y"}', '{"omitted":["a"]}'), ('{"id":2,"a":"Yg=="}', '{"omitted":["b"]}'))


def test_mysql_both_ways_through_the_trigger_write_the_same_body(shop):
    """Small bodies go in at once; large ones, and those with a trace context, are measured first."""
    shop.sql("CREATE TABLE v (id int PRIMARY KEY, a longtext, b longblob, d datetime(3), n decimal(8,2)) CHARACTER SET utf8mb4")
    shop.attach("v")
    row = "INSERT INTO v VALUES (%s, REPEAT(x'01', {0}), REPEAT('b', {0}), '2026-01-01 10:11:12.500', 1.50)"
    with shop.server.connect(shop.db) as db, db.cursor() as cursor:
        for n, length in enumerate([0, 10, 20_000, 200_000]):
            cursor.execute("SET @muskrat_traceparent = NULL")
            cursor.execute(row.format(length), (2 * n,))
            cursor.execute("SET @muskrat_traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'")
            cursor.execute(row.format(length), (2 * n + 1,))
        cursor.execute("SELECT body, headers FROM muskrat.outbox ORDER BY id")
        rows = cursor.fetchall()
    for n in range(0, len(rows), 2):
        assert rows[n + 1][0] == rows[n][0].replace(f'"id":{n},', f'"id":{n + 1},')
        assert rows[n][1] is None and "traceparent" in rows[n + 1][1]
    assert len(json.loads(rows[6][0])["a"]) == 200_000


# ---- which change gives which event ----

def by_key(events):
    """Each key's events in order; one statement's rows come in whatever order the database takes them."""
    found = {}
    for event in events:
        found.setdefault(event.split("|")[2], []).append(event)
    return found


def test_mysql_changes_become_the_same_events_as_in_postgresql(shop, pg):
    table = "CREATE TABLE c (id int PRIMARY KEY, plan varchar(20), spare int)"
    changes = ["INSERT INTO c VALUES (1, 'free', 0), (2, 'gold', 0)", "UPDATE c SET plan = 'silver' WHERE id = 1",
               "UPDATE c SET spare = 9", "UPDATE c SET plan = 'Silver' WHERE id = 1", "UPDATE c SET plan = 'free'",
               "UPDATE c SET id = 3, plan = 'gold' WHERE id = 1", "UPDATE c SET id = 4 WHERE id = 3", "UPDATE c SET plan = NULL",
               "UPDATE c SET plan = 'gold'", "DELETE FROM c WHERE id = 4", "DELETE FROM c"]
    words = ["Insert", "Update", "Delete"]
    for left_out in ["", "i", "u", "d", "id", "iu", "ud"]:
        for condition in (None, "plan <> 'free'"):
            chosen = [w for w in words if w[0].lower() not in left_out]
            shop.sql("DROP TABLE IF EXISTS c")
            shop.sql("DELETE FROM muskrat.attachments")
            shop.sql(table)
            options = [x for w in words for x in ("--" + w.lower(), w if w in chosen else "-")]
            shop.attach("c", *options, *(["--condition", condition] if condition else []), columns="id,plan")
            pg.drop_database("words")
            pg.create_database("words", "template0")
            named = ", ".join(f"on_{w.lower()} => " + (f"'{w}'" if w in chosen else "NULL") for w in words)
            where = f", condition => $${condition}$$" if condition else ""
            pg.psql(f"CREATE EXTENSION muskrat; {table}; SELECT muskrat.attach('c', 'Shop.Thing', '[\"id\", \"plan\"]', {named}{where})",
                    "words")
            for change in changes:
                shop.sql(change)
            pg.psql(";\n".join(changes), "words")
            theirs = pg.psql("SELECT op::text || '|' || split_part(routing_key, '.', 3) || '|' || ordering_key || '|' || body "
                             "FROM muskrat.outbox ORDER BY id", "words").splitlines()
            assert by_key(["|".join(row) for row in shop.events()]) == by_key(theirs), (left_out, condition)


def test_mysql_several_attachments_and_changes_of(shop):
    shop.sql("CREATE TABLE c (id int PRIMARY KEY, email text, plan text)")
    shop.attach("c", "--insert", "Signup", "--update", "-", "--delete", "-", columns="id,email")
    shop.attach("c", "--insert", "-", "--update", "PlanChange", "--delete", "-", "--name", "plans", "--changes-of", "plan",
                columns="id,plan")
    shop.sql("INSERT INTO c VALUES (1, 'a', 'x')")
    shop.sql("UPDATE c SET email = 'b'")
    shop.sql("UPDATE c SET plan = 'y'")
    assert [(e[1], e[3]) for e in shop.events()] == [("Signup", '{"id":1,"email":"a"}'), ("PlanChange", '{"id":1,"plan":"y"}')]
    assert "has an attachment" in shop.bad("attach", "shop", "c", "Shop.Thing", "--columns", "*")
    shop.sql("CREATE TABLE d (id int PRIMARY KEY)")
    same = shop.run("attach", "shop", "d", "Shop.Thing", "--columns", "*")
    assert same.returncode == 0 and f"{shop.db}.c is attached as Shop.Thing too: rows of both with equal keys are one row" in same.stderr
    assert "too" not in shop.run("attach", "shop", "d", "Shop.Other", "--columns", "*").stderr
    shop.good("detach", "shop", "d")
    shop.good("detach", "shop", "c", "plans")
    shop.sql("UPDATE c SET plan = 'z'")
    assert shop.events() == []
    shop.good("detach", "shop", "c")
    shop.sql("INSERT INTO c VALUES (2, 'a', 'x')")
    assert shop.events() == []
    assert shop.sql("SHOW TRIGGERS") == ()


def test_mysql_key_is_canonical_hashed_when_long_and_may_be_another(shop):
    shop.sql("CREATE TABLE k (a decimal(9,2), b varchar(3000) CHARACTER SET latin1, c binary(2), note int, PRIMARY KEY (a, b(500), c))")
    shop.attach("k", columns="note")
    shop.attach("k", "--name", "by note", "--key", "note", columns="a")
    shop.sql("INSERT INTO k VALUES (1.50, 'é\"', x'00ff', 7), (2, REPEAT('k', 2000), x'0000', NULL)")
    keys = [e[2] for e in shop.events()]
    assert keys[0:2] == ['Shop.Thing:[1.5,"é\\"","AP8="]', "Shop.Thing:[7]"]
    assert keys[3] == "Shop.Thing:[null]"
    assert keys[2].startswith("Shop.Thing:#") and len(keys[2]) == len("Shop.Thing:#") + 64


def test_mysql_rolled_back_writes_leave_no_events(shop):
    shop.sql("CREATE TABLE c (id int PRIMARY KEY)")
    shop.attach("c")
    with shop.server.connect(shop.db, autocommit=False) as db, db.cursor() as cursor:
        cursor.execute("INSERT INTO c VALUES (1)")
        cursor.execute("SAVEPOINT s")
        cursor.execute("INSERT INTO c VALUES (2)")
        cursor.execute("ROLLBACK TO s")
        db.commit()
        cursor.execute("INSERT INTO c VALUES (3)")
        db.rollback()
        with pytest.raises(pymysql.err.IntegrityError):
            cursor.execute("INSERT INTO c VALUES (4), (1)")
    assert shop.bodies() == ['{"id":1}']


def test_mysql_deadlocks_retried_events_in_order_of_each_row(shop):
    shop.sql("CREATE TABLE c (id int PRIMARY KEY, n int NOT NULL)")
    shop.sql("INSERT INTO c VALUES (1, 0), (2, 0)")
    shop.attach("c")
    shop.sql("DELETE FROM muskrat.outbox")
    deadlocks, rounds = [], 60

    def writer(rows):
        done = 0
        with shop.server.connect(shop.db, autocommit=False) as db, db.cursor() as cursor:
            while done < rounds:
                try:
                    for row in rows:
                        cursor.execute(f"UPDATE c SET n = n + 1 WHERE id = {row}")
                    db.commit()
                    done += 1
                except pymysql.err.OperationalError as error:
                    assert error.args[0] == 1213, error
                    deadlocks.append(error)
                    db.rollback()

    threads = [threading.Thread(target=writer, args=(order,)) for order in ((1, 2), (2, 1), (1, 2))]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    seen = {1: [], 2: []}
    for body in shop.bodies():
        row = json.loads(body)
        seen[row["id"]].append(row["n"])
    assert seen == {1: list(range(1, 3 * rounds + 1)), 2: list(range(1, 3 * rounds + 1))}


def test_mysql_last_insert_id_and_row_count_stay_the_applications(shop):
    shop.sql("CREATE TABLE a (id int AUTO_INCREMENT PRIMARY KEY, x int)")
    shop.sql("INSERT INTO a VALUES (99, 0)")
    shop.attach("a")
    with shop.server.connect(shop.db) as db, db.cursor() as cursor:
        for expected in (100, 101):
            assert cursor.execute("INSERT INTO a (x) VALUES (1)") == 1
            assert cursor.lastrowid == expected
            cursor.execute("SELECT LAST_INSERT_ID()")
            assert cursor.fetchone() == (expected,)
        assert cursor.execute("UPDATE a SET x = 5") == 3


# ---- emit, traceparent ----

def test_mysql_emit_and_traceparent(shop):
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    with shop.server.connect(shop.db) as db, db.cursor() as cursor:
        cursor.execute(f"SET @muskrat_traceparent = '{trace}'")
        cursor.execute("""CALL muskrat.emit('Shop.Bill.Paid', '{"id":7}', 'k"1')""")
        for none in ("nonsense", trace.upper(), trace + "\\n"):
            cursor.execute(f"SET @muskrat_traceparent = '{none}'")
            cursor.execute("CALL muskrat.emit('Shop.Bill.Paid', '[]', NULL)")
        for wrong in ("CALL muskrat.emit('Shop.Bill', '{}', NULL)", "CALL muskrat.emit('a.b.c d', '{}', NULL)",
                      "CALL muskrat.emit('a.b.c\\n', '{}', NULL)", "CALL muskrat.emit('a.b.ć', '{}', NULL)",
                      "CALL muskrat.emit('a.b.c', '{no', NULL)", "CALL muskrat.emit(NULL, '{}', NULL)",
                      "CALL muskrat.emit('a.b.c', NULL, NULL)"):
            with pytest.raises(pymysql.err.OperationalError, match="Muskrat"):
                cursor.execute(wrong)
        cursor.execute("SELECT op, routing_key, ordering_key, body, headers FROM muskrat.outbox ORDER BY id")
        rows = cursor.fetchall()
    assert rows[0] == ("e", "Shop.Bill.Paid", 'Shop.Bill:["k\\"1"]', '{"id":7}', f'{{"traceparent":"{trace}"}}')
    assert rows[1:] == (("e", "Shop.Bill.Paid", "", "[]", None),) * 3


def test_mysql_sql_matches_no_binary_text(shop):
    """MySQL refuses that from 8.0.22 on, with error 3995; MariaDB takes it, so running it there shows nothing."""
    shop.sql("CREATE TABLE c (id int PRIMARY KEY, t longtext)")
    shop.attach("c", "--condition", "t <> 'x'")
    triggers = "\n".join(row[2] for row in shop.sql("SHOW TRIGGERS"))
    sql = shop.good("install", "shop", "--dry-run") + triggers
    matches = [line for line in sql.splitlines() if re.search("REGEXP|RLIKE", line, re.I)]
    assert len(matches) == 2
    for line in matches:
        assert "BINARY" not in line.upper() and " COLLATE utf8mb4_bin " in line


# ---- privileges ----

def test_mysql_application_user_fires_the_trigger_and_cannot_touch_the_outbox(shop):
    shop.sql("CREATE TABLE c (id int PRIMARY KEY, f double)")
    shop.attach("c")
    for user in ("app", "stranger"):
        shop.sql(f"DROP USER IF EXISTS {user}@'%'")
        shop.sql(f"CREATE USER {user}@'%'")
    shop.sql(f"GRANT INSERT ON `{shop.db}`.c TO app@'%'")
    shop.sql("INSERT INTO c VALUES (1, 0.1)", user="app")
    assert shop.bodies() == ['{"id":1,"f":0.1}']
    for wrong in ("SELECT * FROM muskrat.outbox",
                  "INSERT INTO muskrat.outbox (op, routing_key, ordering_key, body) VALUES ('i', 'a', '', '')",
                  "DELETE FROM muskrat.outbox", "CALL muskrat.emit('a.b.c', '{}', NULL)", "SELECT muskrat.float_text(1)",
                  f"SELECT * FROM `{shop.db}`.c"):
        with pytest.raises(pymysql.err.OperationalError, match="denied"):
            shop.sql(wrong, user="app")
    with pytest.raises(pymysql.err.OperationalError):
        shop.server.connect("muskrat", user="muskrat_capture")
    shop.sql("GRANT EXECUTE ON PROCEDURE muskrat.emit TO app@'%'")
    shop.sql("CALL muskrat.emit('a.b.c', '{}', NULL)", user="app")
    shop.sql(f"GRANT SELECT ON `{shop.db}`.* TO stranger@'%'")
    assert "install" in shop.bad("attach", "shop", "c", "Shop.Thing", "--columns", "*", user="stranger")
    shop.sql("GRANT ALL ON muskrat.* TO stranger@'%'")
    assert "install as an administrator" in shop.bad("install", "shop", user="stranger")
    assert "attach as an administrator" in shop.bad("attach", "shop", "c", "Shop.Thing", "--columns", "*", "--name", "x", user="stranger")


ATTACHER = ["SELECT, INSERT, DELETE ON muskrat.attachments", "LOCK TABLES ON muskrat.*", "SELECT, TRIGGER ON {}.c", "LOCK TABLES ON {}.*",
            "SET USER ON *.*"]  # what docs/mysql.md names for MariaDB; the third WITH GRANT OPTION


def test_mysql_attacher_and_monitor_need_no_more_than_the_documented_grants(shop):
    shop.sql("CREATE TABLE c (id int PRIMARY KEY, j json)")
    for user in ("attacher", "monitor"):
        shop.sql(f"CREATE OR REPLACE USER {user}@'%'")
    attach = ("attach", "shop", f"{shop.db}.c", "Shop.Thing", "--columns", "*")
    for grant in ATTACHER:
        assert shop.sql("SHOW TRIGGERS") == () and shop.sql("SELECT * FROM muskrat.attachments") == ()
        text = shop.bad(*attach, user="attacher")
        reasons = ("attach as an administrator", "install", "there is no table", "Access denied")
        assert any(reason in text for reason in reasons), (grant, text)
        option = " WITH GRANT OPTION" if "TRIGGER" in grant else ""
        shop.sql(f"GRANT {grant.format('`' + shop.db + '`')} TO attacher@'%'{option}")
    shop.good(*attach, user="attacher")
    shop.sql("INSERT INTO c VALUES (1, '[1.50]')")
    assert shop.bodies() == ['{"id":1,"j":[1.50]}']
    shop.sql("GRANT SELECT ON muskrat.attachments TO monitor@'%'")
    shop.sql(f"GRANT SELECT, TRIGGER ON `{shop.db}`.c TO monitor@'%'")
    assert "Shop.Thing" in shop.good("attached", "shop", user="monitor"), "a type that it may not see would be drift"
    shop.good("attach", "shop", f"{shop.db}.c", "Shop.Thing", "--refresh", user="attacher")
    shop.good("detach", "shop", f"{shop.db}.c", user="attacher")
    assert shop.sql("SHOW TRIGGERS") == ()


# ---- what Muskrat keeps, by version ----

def test_mysql_install_brings_an_older_schema_up_to_date_and_keeps_what_is_there(shop):
    shop.sql("CREATE TABLE c (id int PRIMARY KEY, f float)")
    shop.attach("c")
    shop.sql("INSERT INTO c VALUES (1, 0.5)")
    for older in ("DROP TABLE muskrat.backfill, muskrat.backfill_later", "DROP FUNCTION muskrat.float_text",
                  "UPDATE muskrat.relay SET version = 1"):
        shop.sql(older)
    with pytest.raises(pymysql.err.OperationalError):
        shop.sql("INSERT INTO c VALUES (2, 0.5)")
    assert "run muskrat install again" in shop.bad("backfill", "--list", "--source", "shop")
    assert "of version 3 (they were of version 1)" in shop.good("install", "shop")
    shop.sql("INSERT INTO c VALUES (2, 0.5)")
    assert shop.bodies() == ['{"id":1,"f":0.5}', '{"id":2,"f":0.5}']
    shop.good("attached", "shop")
    assert "There was no backfill" in shop.good("backfill", "--list", "--source", "shop")
    assert "they were" not in shop.good("install", "shop")
    shop.sql("UPDATE muskrat.relay SET version = 99")
    assert "made by a newer Muskrat" in shop.bad("install", "shop")
    assert shop.sql("SELECT version FROM muskrat.relay") == ((99,),)


# ---- drift ----

def test_mysql_altered_table_is_reported_and_refreshed(shop):
    shop.sql("CREATE TABLE c (id int PRIMARY KEY, a int, b int)")
    shop.attach("c")
    shop.good("attached", "shop")
    shop.sql("ALTER TABLE c MODIFY a varchar(10), ADD d int")
    told = shop.run("attached", "shop")
    assert told.returncode == 3
    assert "`a` int(11) is now varchar(10)" in told.stdout and "new columns are not captured yet: `d`" in told.stdout
    shop.good("attach", "shop", "c", "Shop.Thing", "--refresh")
    shop.good("attached", "shop")
    shop.sql("INSERT INTO c VALUES (1, 'x', 2, 3)")
    assert shop.bodies() == ['{"id":1,"a":"x","b":2,"d":3}']
    shop.sql("ALTER TABLE c DROP b")
    with pytest.raises(pymysql.err.OperationalError, match="Unknown column"):
        shop.sql("INSERT INTO c VALUES (2, 'x', 3)")
    told = shop.run("attached", "shop", "--json")
    assert told.returncode == 3 and "EVERY WRITE TO THE TABLE FAILS" in json.loads(told.stdout)["problem"]
    shop.good("attach", "shop", "c", "Shop.Thing", "--refresh")
    shop.sql("INSERT INTO c VALUES (2, 'x', 3)")
    assert shop.bodies() == ['{"id":2,"a":"x","d":3}']
    trigger = shop.sql("SHOW TRIGGERS")[0][0]
    shop.sql(f"DROP TRIGGER `{trigger}`")
    assert "triggers are gone" in shop.run("attached", "shop").stdout
    shop.good("attach", "shop", "c", "Shop.Thing", "--refresh")
    assert len(shop.sql("SHOW TRIGGERS")) == 3
    shop.good("attached", "shop")


@pytest.mark.parametrize("given", [["--columns", "id"], ["--insert", "Signup"], ["--update", "-"], ["--delete", "-"], ["--truncate", "-"],
                                   ["--key", "a"], ["--condition", "a > 1"], ["--changes-of", "a"], ["--always"], ["--replace"]])
def test_mysql_refresh_passes_over_no_option_in_silence(shop, given):
    shop.sql("CREATE TABLE c (id int PRIMARY KEY, a int)")
    shop.attach("c", "--name", "n")
    done = shop.run("attach", "shop", "c", "Shop.Thing", "--name", "n", "--refresh", *given)
    assert (done.returncode, given[0] in done.stderr) == (2, True), done.stderr
    assert "is of Shop.Thing" in shop.bad("attach", "shop", "c", "Shop.Other", "--name", "n", "--refresh")
    shop.good("attach", "shop", "c", "Shop.Thing", "--name", "n", "--refresh")


def test_mysql_replace_keeps_the_old_attachment_when_the_new_one_is_wrong(shop):
    shop.sql("CREATE TABLE c (id int PRIMARY KEY, a int)")
    shop.attach("c")
    before = shop.sql("SHOW TRIGGERS")
    shop.bad("attach", "shop", "c", "Shop.Thing", "--columns", "id", "--replace", "--condition", "no_such_function(a)")
    shop.bad("attach", "shop", "c", "Shop.Thing", "--columns", "id", "--replace", "--condition", "a >")
    assert shop.sql("SHOW TRIGGERS") == before
    shop.good("attach", "shop", "c", "Shop.Thing", "--columns", "id", "--replace")
    shop.sql("INSERT INTO c VALUES (1, 2)")
    assert shop.bodies() == ['{"id":1}']


def test_mysql_no_write_escapes_while_triggers_are_replaced(shop):
    shop.sql("CREATE TABLE c (id int AUTO_INCREMENT PRIMARY KEY, a int)")
    shop.attach("c")
    ended, written = threading.Event(), []

    def writer():
        with shop.server.connect(shop.db) as db, db.cursor() as cursor:
            while not ended.is_set():
                cursor.execute("INSERT INTO c (a) VALUES (1)")
                written.append(cursor.lastrowid)

    thread = threading.Thread(target=writer)
    thread.start()
    wait_until(lambda: len(written) > 20, 60, "writes")
    for n in range(6):
        shop.good("attach", "shop", "c", "Shop.Thing", "--columns", "id,a" if n % 2 else "id", "--replace")
    ended.set()
    thread.join(30)
    assert [json.loads(body)["id"] for body in shop.bodies()] == written


# ---- bad input ----

@pytest.mark.parametrize("args, why", [
    (["nothere", "Shop.Thing", "--columns", "*"], "there is no table"),
    (["custmers", "Shop.Thing", "--columns", "*"], "did you mean customers?"),
    (["customers", "Shop.Thing", "--columns", "id,emial"], "did you mean email?"),
    (["customers", "Shop.Thing"], "no columns are named"),
    (["customers", "Shop.Thing", "--columns", "[1]"], "is no column"),
    (["customers", "Shop.Thing", "--columns", "id,id"], "twice"),
    (["customers", "Shop", "--columns", "*"], "is no routing key"),
    (["customers", "Shop.Thing", "--columns", "*", "--insert", "Sign Up"], "is no routing key"),
    (["customers", "Shop.Thing", "--columns", "*", "--key", "nokey"], "has no column `nokey`"),
    (["customers", "Shop.Thing", "--columns", "*", "--insert", "-", "--update", "-", "--delete", "-"], "nothing of Shop.Thing"),
    (["customers", "Shop.Thing", "--columns", "*", "--truncate", "T"], "no triggers for TRUNCATE"),
    (["customers", "Shop.Thing", "--columns", "*", "--always"], "--always"),
    (["customers", "Shop.Thing", "--columns", "*", "--condition", "id = (SELECT 1)"], "a subquery"),
    (["customers", "Shop.Thing", "--columns", "*", "--condition", "id = 1; DROP TABLE customers"], "a semicolon"),
    (["customers", "Shop.Thing", "--columns", "*", "--condition", "1) THEN END IF"], "parentheses"),
    (["customers", "Shop.Thing", "--columns", "*", "--condition", "id = @x"], "a variable"),
    (["customers", "Shop.Thing", "--columns", "*", "--condition", "nothing(id) = 1"], "muskrat.nothing does not exist"),
    (["customers", "Shop.Thing", "--columns", "*", "--condition", "customers.id = 1"], "a name with a dot"),
    (["customers", "Shop.Thing", "--columns", "*", "--condition", "id = 'x"], "a string does not end"),
    (["customers", "Shop.Thing", "--refresh"], "no attachment"),
    (["isam", "Shop.Thing", "--columns", "*"], "its engine is MyISAM"),
    (["keyless", "Shop.Thing", "--columns", "*"], "has no primary key"),
    (["looks", "Shop.Thing", "--columns", "*"], "it is a view"),
    (["places", "Shop.Thing", "--columns", "*"], "is of type point"),
    (["muskrat.outbox", "Shop.Thing", "--columns", "*"], "own tables"),
    (["a.b.c", "Shop.Thing", "--columns", "*"], "names no table"),
])
def test_mysql_attach_refuses_and_says_why(shop, args, why):
    shop.sql("CREATE TABLE customers (id int PRIMARY KEY, email text)")
    shop.sql("CREATE TABLE isam (id int PRIMARY KEY) ENGINE = MyISAM")
    shop.sql("CREATE TABLE keyless (id int)")
    shop.sql("CREATE VIEW looks AS SELECT 1 AS id")
    shop.sql("CREATE TABLE places (id int PRIMARY KEY, p point)")
    assert why in shop.bad("attach", "shop", *args)
    assert shop.sql("SHOW TRIGGERS") == ()
    assert shop.sql("SELECT COUNT(*) FROM muskrat.attachments") == ((0,),)


def test_mysql_cascades_are_warned_of_by_name(shop):
    shop.sql("CREATE TABLE p (id int PRIMARY KEY)")
    shop.sql("CREATE TABLE c (id int PRIMARY KEY, p int, CONSTRAINT to_p FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE)")
    done = shop.run("attach", "shop", "c", "Shop.Thing", "--columns", "*")
    assert done.returncode == 0
    assert "foreign key to_p (ON DELETE CASCADE from p) writes this table without firing its triggers" in done.stderr


def test_mysql_statement_binlog_and_missing_trust_are_explained(shop):
    folder = os.path.join(shop.server.folder, "binlog")
    server = MariaDB(folder, settings={"log-bin": "b", "binlog-format": "STATEMENT", "log-bin-trust-function-creators": "0"}).start()
    try:
        other = Shop.__new__(Shop)
        other.server, other.db, other.config = server, "shop", shop.config
        server.drop_database("shop")
        server.create_database("shop")
        assert "binlog_format is STATEMENT" in other.bad("install", "shop")
        other.sql("SET GLOBAL binlog_format = 'ROW'")
        other.good("install", "shop")
        other.sql("CREATE TABLE c (id int PRIMARY KEY)")
        other.sql("SET GLOBAL binlog_format = 'STATEMENT'")
        assert "binlog_format is STATEMENT" in other.bad("attach", "shop", "c", "Shop.Thing", "--columns", "*")
        other.sql("SET GLOBAL binlog_format = 'ROW'")
        other.sql("CREATE USER owner@'%'")
        other.sql("GRANT ALL ON shop.* TO owner@'%' WITH GRANT OPTION")
        other.sql("GRANT ALL ON muskrat.* TO owner@'%'")
        other.sql("GRANT SET USER ON *.* TO owner@'%'")
        assert "log_bin_trust_function_creators" in other.bad("attach", "shop", "c", "Shop.Thing", "--columns", "*", user="owner")
        assert other.sql("SHOW TRIGGERS") == ()
        other.sql("GRANT CREATE USER ON *.* TO owner@'%'")
        other.sql("ALTER FUNCTION muskrat.headers COMMENT 'of before'")  # else it stays
        assert "connect as one, with --dsn, or set log_bin_trust_function_creators" in other.bad("install", "shop", user="owner")
        other.attach("c")
        other.sql("INSERT INTO c VALUES (1)")
        assert other.bodies() == ['{"id":1}']
    finally:
        server.stop()


def test_mysql_install_again_changes_nothing_and_dry_run_prints_sql(shop):
    shop.sql("CREATE TABLE c (id int PRIMARY KEY)")
    shop.attach("c")
    shop.sql("INSERT INTO c VALUES (1)")
    epoch = shop.sql("SELECT epoch FROM muskrat.relay")
    assert "Brought up to date" in shop.good("install", "shop")
    assert shop.sql("SELECT epoch FROM muskrat.relay") == epoch
    assert shop.bodies() == ['{"id":1}']
    sql = shop.good("install", "shop", "--dry-run")
    shop.sql("DROP DATABASE muskrat")
    assert "muskrat install shop" in shop.bad("attached", "shop")
    shop.server.script(sql)
    shop.sql("DELETE FROM c")
    assert shop.bodies() == ['{"id":1}']


def test_mysql_install_again_keeps_what_was_granted_and_fails_no_write(shop):
    shop.sql("CREATE TABLE c (name varchar(20) PRIMARY KEY, f float)")  # whose triggers call functions
    shop.attach("c")
    shop.sql("CREATE OR REPLACE USER app@'%'")
    shop.sql("GRANT EXECUTE ON PROCEDURE muskrat.emit TO app@'%'")
    ended, written, errors = threading.Event(), [], []

    def writer():
        try:
            with shop.server.connect(shop.db) as db, db.cursor() as cursor:
                while not ended.is_set():
                    cursor.execute("INSERT INTO c VALUES (%s, 0.5)", (f"n{len(written)}",))
                    written.append(1)
        except pymysql.err.Error as e:
            errors.append(e)

    thread = threading.Thread(target=writer)
    thread.start()
    for _ in range(3):
        before = len(written)
        shop.good("install", "shop")
        wait_until(lambda: len(written) > before or errors, 30, "another write")
    shop.server.script(shop.good("install", "shop", "--dry-run"))
    ended.set()
    thread.join(30)
    assert not errors
    assert len(shop.events()) == len(written)
    shop.server.sql("CALL muskrat.emit('a.b.c', '{}', NULL)", "muskrat", user="app")


def test_mysql_install_again_keeps_no_writer_waiting_behind_an_open_transaction(shop):
    shop.sql("CREATE TABLE c (name varchar(20) PRIMARY KEY)")
    shop.attach("c")
    shop.server.sql("ALTER FUNCTION muskrat.headers COMMENT 'of before'")
    with shop.server.connect(shop.db, autocommit=False) as db, db.cursor() as cursor:
        cursor.execute("INSERT INTO c VALUES ('open')")
        with ThreadPoolExecutor() as beside:
            installing = beside.submit(shop.bad, "install", "shop")
            written = 0
            while not installing.done():
                shop.sql(f"SET STATEMENT lock_wait_timeout = 10 FOR INSERT INTO c VALUES ('n{written}')")
                written += 1
        assert "muskrat.headers cannot be made anew while a transaction is open" in installing.result()
        assert written > 0
        db.rollback()
        shop.good("install", "shop")
        cursor.execute("INSERT INTO c VALUES ('open')")
        shop.good("install", "shop")  # nothing is made anew
        db.commit()
    assert len(shop.events()) == written + 1


def test_mysql_owner_of_the_triggers_has_a_password_that_nobody_knows_and_is_locked(shop):
    """A server that checks passwords takes no account without."""
    account = shop.sql("SELECT authentication_string <> '' FROM mysql.user WHERE user = 'muskrat_capture'")
    assert account == ((1,),)
    assert "ACCOUNT LOCK" in shop.sql("SHOW CREATE USER muskrat_capture@localhost")[0][0]


# ---- what the program does where it meets MySQL ----

def test_mysql_routines_stay_while_they_are_as_they_should_be_and_keep_what_was_granted(imitation):
    shop = Shop(imitation, "stay")
    shop.sql("CREATE OR REPLACE USER app@'%'")
    shop.sql("GRANT EXECUTE ON PROCEDURE muskrat.emit TO app@'%'")
    shop.sql("GRANT EXECUTE, ALTER ROUTINE ON FUNCTION muskrat.headers TO app@'%' WITH GRANT OPTION")
    state = ("SELECT routine_name, security_type, routine_comment FROM information_schema.routines "
             "WHERE routine_schema = 'muskrat' ORDER BY routine_name")
    grants, made = sorted(shop.sql("SHOW GRANTS FOR app@'%'")), shop.sql(state)
    assert len(made) == 5
    shop.sql("ALTER FUNCTION muskrat.headers SQL SECURITY INVOKER")
    shop.good("install", "shop")
    assert ("headers", "INVOKER") in [row[:2] for row in shop.sql(state)], "it was made anew"
    for routine in ("FUNCTION muskrat.headers", "PROCEDURE muskrat.emit"):
        shop.sql(f"ALTER {routine} COMMENT 'of an older version'")
    shop.good("install", "shop")
    assert shop.sql(state) == made
    assert sorted(shop.sql("SHOW GRANTS FOR app@'%'")) == grants
    shop.server.sql("CALL muskrat.emit('a.b.c', '{}', NULL)", "muskrat", user="app")


def test_mysql_generated_columns_are_left_out_of_star_and_refused_by_name(imitation):
    shop = Shop(imitation, "generated")
    shop.sql("CREATE TABLE c (id int PRIMARY KEY, made timestamp(3) NOT NULL DEFAULT '2026-11-27 10:00:00.25', "
             "v int AS (id + 1), s int AS (id + 2) STORED)")
    for args in (["--columns", "id,v"], ["--columns", "id", "--changes-of", "s"], ["--columns", "id", "--key", "v"],
                 ["--columns", "id", "--condition", "s > 1"]):
        assert "is generated, and MySQL's triggers may not read such columns" in shop.bad("attach", "shop", "c", "Shop.Thing", *args)
    shop.attach("c")
    shop.sql("INSERT INTO c (id) VALUES (1)")
    assert shop.bodies() == ['{"id":1,"made":"2026-11-27T10:00:00.25Z"}']
    shop.good("attached", "shop")


def test_mysql_of_a_version_too_old_is_refused(imitation):
    shop = Shop(imitation, "old")
    shop.sql("CREATE TABLE c (id int PRIMARY KEY)")
    imitation.stop()
    imitation.settings["version"] = "8.0.16"
    imitation.start()
    try:
        assert "is of version 8.0.16: Muskrat needs MySQL 8.0.17 or later" in shop.bad("install", "shop")
        assert "8.0.17" in shop.bad("attach", "shop", "c", "Shop.Thing", "--columns", "*")
    finally:
        imitation.stop()
        imitation.settings["version"] = "8.0.36"
        imitation.start()


# ---- names: every generated trigger parses and captures ----

WORDS = ["select", "group", "key", "order", "`", "``", "'", '"', "\\", "a`b", "x.y", "ö", "日本", "-- ", "/*", "*/", "muskrat_body",
         "NEW", "OLD", "a b", "$", "{", "}", ",", ":", "%s", "?", ";", "#", "null", "\t", "end", "é", "😺"]


def a_name(rng, identifier=True):
    """What the server takes as an identifier (no character beyond the BMP, no space at the end), or any text."""
    name = "".join(rng.choice(WORDS) for _ in range(rng.randint(1, 3)))[:30]
    name = "".join(c for c in name if ord(c) < 0x10000) if identifier else name
    return name + "x" if name != name.rstrip() or not name else name


def quoted(name):
    return "`" + name.replace("`", "``") + "`"


@pytest.mark.parametrize("seed", range(25))
def test_mysql_any_names_give_triggers_that_capture(shop, seed):
    rng = random.Random(seed)
    table, columns = a_name(rng), []
    while len(columns) < 5:
        name = a_name(rng)
        if name.lower() not in [c.lower() for c in columns]:
            columns.append(name)
    kinds = ["int", "varchar(50)", "text", "decimal(8,2)", "varbinary(20)"]
    made = ", ".join(f"{quoted(c)} {kind}" for c, kind in zip(columns, kinds))
    shop.sql(f"CREATE TABLE {quoted(table)} ({made}, PRIMARY KEY ({quoted(columns[0])})) CHARACTER SET utf8mb4")
    body = [columns[0], {a_name(rng, False): columns[1:3]}, {"renamed " + a_name(rng, False): columns[3]}, columns[4] + "2"]
    body[3] = {columns[4] + "2": columns[4]}
    name = a_name(rng, False)
    shop.attach(quoted(table), "--name", name, "--condition", f"{quoted(columns[3])} <> 13 OR {quoted(columns[1])} = 'it''s \\\\'",
                columns=json.dumps(body, ensure_ascii=False))
    texts = ["".join(rng.choice(WORDS) for _ in range(8))[:50] for _ in range(2)]
    with shop.server.connect(shop.db) as db, db.cursor() as cursor:
        cursor.execute("INSERT INTO " + quoted(table).replace("%", "%%") + " VALUES (7, %s, %s, 1.5, 'bin')", texts)
        cursor.execute("UPDATE " + quoted(table) + " SET " + quoted(columns[0]) + " = 8")
        cursor.execute("DELETE FROM " + quoted(table))
    events = shop.events()
    assert [e[0] for e in events] == ["i", "d", "i", "d"]
    nested, renamed = next(iter(body[1])), next(iter(body[2]))
    expected = {columns[0]: 7, nested: dict(zip(columns[1:3], texts)), renamed: 1.5, columns[4] + "2": "Ymlu"}
    assert json.loads(events[0][3]) == expected
    shop.good("attached", "shop")
    shop.good("attach", "shop", quoted(table), "Shop.Thing", "--name", name, "--refresh")
    shop.good("detach", "shop", quoted(table), name)
