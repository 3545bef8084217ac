"""`muskrat backfill` from MariaDB: the bytes of the triggers, beside live changes, killed and gone on with, refused."""
import json

import pytest
from harness.processes import Child, wait_until
from mysql_shop import COLUMNS, FILL, StatementWriters, Writers


def test_mysql_backfill_writes_the_bytes_of_the_triggers(make_shop):
    shop = make_shop(0)
    shop.attach("--name", "few", "--condition", "plan = 'small'", "--insert", "Signup")
    shop.sql(FILL.format(50))
    shop.sql("UPDATE customers SET plan = 'large' WHERE id > 40")
    shop.sql("UPDATE customers SET note = REPEAT('x', 9000000) WHERE id = 7")
    shop.sql("UPDATE customers SET note = REPEAT('y\\'\\\\', 50000) WHERE id = 1")  # whose body stays in the server
    shop.sql("DELETE FROM muskrat.outbox")
    shop.sql("INSERT INTO customers SELECT 'copy', id, email, plan, at, note FROM customers WHERE id IN (1, 7, 50)")
    events = "SELECT SUBSTRING_INDEX(routing_key, '.', 2), ordering_key, body, JSON_EXTRACT(headers, '$.omitted') FROM muskrat.outbox"
    told = sorted(shop.sql(events), key=str)
    assert len(told) == 5
    shop.sql("DELETE FROM muskrat.outbox")
    text = shop.backfill("customers", "--yes", "--where", "region = 'copy'", "--chunk", "7")
    assert "Frontend.Customer.Backfill" in text and "5 events told" in text, text
    assert sorted(shop.sql(events), key=str) == told
    heads = shop.sql("SELECT DISTINCT op, routing_key, JSON_VALUE(headers, '$.as'), JSON_VALUE(headers, '$.to') FROM muskrat.outbox")
    assert sorted(heads, key=str) == [("b", "Frontend.Customer.Backfill", "Insert Update", None),
                                      ("b", "Frontend.Customer.Backfill", "Signup Update", None)]
    listed = json.loads(shop.backfill("--list", "--json"))
    assert (listed["state"], listed["rows"], listed["events"]) == ("done", 53, 5)


def test_mysql_backfill_beside_writers_killed_and_gone_on_with_makes_the_mirror_equal(make_shop, world):
    shop = make_shop(3000)
    world.start()
    writers = Writers(shop)
    kills = 0
    try:
        wait_until(lambda: writers.commits > 50, 60, "the writers")
        for _ in range(5):
            before = shop.sql("SELECT COALESCE(SUM(passed), 0) FROM muskrat.backfill")[0][0]
            child = Child(world.program.argv("backfill", "customers", "--to", "mirror", "--chunk", "40", "--rate", "1000/s"),
                          f"{world.folder}/backfill.log", record=world.folder)
            wait_until(lambda b=before, c=child: shop.sql("SELECT COALESCE(SUM(passed), 0) FROM muskrat.backfill")[0][0] > b
                       or not c.running(), 60, "some rows to be told")
            kills += child.running()
            child.kill9()
        shop.backfill("--resume")
    finally:
        writers.end()
    assert kills >= 3 and writers.commits > 200
    assert shop.sql("SELECT COUNT(*), MIN(state) FROM muskrat.backfill") == [(1, "done")]
    assert shop.sql("SELECT COUNT(*) FROM muskrat.backfill_later") == [(0,)]
    shop.wait_equal()


def test_mysql_backfill_deadlocks_with_no_statement_of_many_rows(make_shop):
    """Its INSERT must not lock the outbox's ids: a trigger that waits for them keeps them to the end of its own statement."""
    shop = make_shop(1000)
    shop.attach("--name", "again")
    assert shop.sql("SELECT @@innodb_autoinc_lock_mode") == [(1,)]
    writers = StatementWriters(shop)
    try:
        wait_until(lambda: writers.commits > 20, 60, "the writers")
        shop.backfill("customers", "--yes", "--chunk", "50", "--rate", "max", "--backlog", "10000000")
    finally:
        writers.end()
    assert shop.sql("SELECT COUNT(*) FROM muskrat.outbox WHERE op = 'b'") == [(2000,)]


def test_mysql_backfill_killed_at_every_chunk_tells_each_row_once(make_shop, world):
    shop = make_shop(600)
    world.start()
    kills = passed = 0
    while passed < 600:
        child = Child(world.program.argv("backfill", "customers", "--to", "mirror", "--chunk", "50", "--rate", "50/s"),
                      f"{world.folder}/backfill.log", record=world.folder)

        def moved(child=child, before=passed):
            return shop.sql("SELECT COALESCE(MAX(passed), 0) FROM muskrat.backfill")[0][0] > before or not child.running()
        wait_until(moved, 60, "a chunk to be told")
        kills += child.running()
        child.kill9()
        passed = shop.sql("SELECT MAX(passed) FROM muskrat.backfill")[0][0]
    shop.backfill("--resume")
    assert kills >= 6
    shop.sql("UPDATE muskrat.backfill SET state = 'running', passed = 550, moved_at = moved_at - INTERVAL 10 MINUTE")
    status = world.program.run("status").stdout
    assert "customers to mirror: 550 of about" in status and "muskrat backfill --resume goes on, --cancel" in status, status
    shop.sql("UPDATE muskrat.backfill SET state = 'done', passed = 600")
    assert "customers to mirror" not in world.program.run("status").stdout
    assert shop.sql("SELECT COUNT(*), MAX(state), MAX(passed), MAX(events) FROM muskrat.backfill") == [(1, "done", 600, 600)]
    shop.wait_equal()


def test_mysql_backfill_tells_a_locked_row_when_its_lock_is_free(make_shop, world):
    shop = make_shop(20)
    world.start()
    holder = shop.connect()
    child = None
    try:
        with holder.cursor() as c:
            c.execute("UPDATE customers SET email = 'held' WHERE region = 'west''s' AND id = 5")  # by the whole key: that row's lock alone
        child = Child(world.program.argv("backfill", "customers", "--to", "mirror"), f"{world.folder}/backfill.log", record=world.folder)
        wait_until(lambda: shop.sql("SELECT walked, events FROM muskrat.backfill") == [(1, 19)], 60, "all rows but one")
        assert child.running()
        holder.commit()
        assert child.wait(60) == 0
    finally:  # an open transaction would hold up the DROP of its table
        holder.close()
        if child is not None and child.running():
            child.kill9()
    shop.wait_equal()


GRANTS = [  # what docs/backfill.md names
    "SELECT, TRIGGER, LOCK TABLES ON mk_shop.customers", "SELECT, INSERT ON muskrat.outbox", "SELECT ON muskrat.attachments",
    "SELECT ON muskrat.relay", "SELECT, INSERT, UPDATE ON muskrat.backfill", "SELECT, INSERT, UPDATE, DELETE ON muskrat.backfill_later",
    "EXECUTE ON muskrat.*"]


def test_mysql_backfill_by_a_user_with_the_documented_rights_alone(make_shop, world, mariadb):
    """LOCK TABLES is a right on databases and nothing less."""
    shop = make_shop(200)
    shop.sql("ALTER TABLE customers ADD COLUMN more json")
    shop.sql("UPDATE customers SET more = '{\"a\": [1.50, null]}'")
    world.program.ok("attach", "frontend", "customers", "Frontend.Customer", "--columns", ",".join([*COLUMNS, "more"]), "--replace")
    mariadb.sql("CREATE OR REPLACE USER filler@'127.0.0.1'")
    dsn = mariadb.dsn("mk_shop", "filler")
    try:
        for grant in GRANTS:
            if grant != GRANTS[0]:
                text = shop.backfill("customers", "--yes", "--dsn", dsn, code=1)
                assert "may not see" in text or "a backfill needs SELECT" in text, (grant, text)
            if "LOCK TABLES" in grant:
                mariadb.sql("GRANT LOCK TABLES ON mk_shop.* TO filler@'127.0.0.1'")
                grant = grant.replace(", LOCK TABLES", "")
            mariadb.sql(f"GRANT {grant} TO filler@'127.0.0.1'")
        shop.sql("DELETE FROM muskrat.backfill")  # begun, and refused later
        shop.backfill("customers", "--yes", "--dsn", dsn)
        assert json.loads(shop.backfill("--list", "--json", "--dsn", dsn))["started_by"] == "filler@127.0.0.1"
    finally:
        mariadb.sql("DROP USER filler@'127.0.0.1'")
    told = [json.loads(body)["more"] for body, in shop.sql("SELECT body FROM muskrat.outbox WHERE op = 'b'")]
    assert told == [{"a": [1.5, None]}] * 200  # the type is not hidden from such a user


def test_mysql_backfill_that_cannot_be_says_why(make_shop):
    shop = make_shop(5)
    assert "there is no table" in shop.backfill("customer", "--yes", code=1)
    shop.sql("CREATE TABLE bare (id int PRIMARY KEY)")
    shop.sql("CREATE TABLE loose (id int NOT NULL UNIQUE)")
    shop.world.program.ok("attach", "frontend", "loose", "Frontend.Loose", "--columns", "id", "--key", "id")
    assert "has no primary key" in shop.backfill("loose", "--yes", code=1)
    assert "is not attached" in shop.backfill("bare", "--yes", code=1)
    assert "cannot be used" in shop.backfill("customers", "--yes", "--where", "nothing > 1", code=1)
    assert "subquery" in shop.backfill("customers", "--yes", "--where", "id = (SELECT 1)", code=1)
    assert 'no attachment "Other"' in shop.backfill("customers", "--yes", "--attachment", "Other", code=1)
    shop.sql("ALTER TABLE customers MODIFY plan varchar(50)")
    assert "is not sound" in shop.backfill("customers", "--yes", code=1)
    assert shop.sql("SELECT COUNT(*) FROM muskrat.backfill") == [(0,)]


KEYS = {  # type of the key: values, given in an order that is not the key's
    "varchar(20) CHARACTER SET latin1 COLLATE latin1_german2_ci": ["'z'", "'ä'", "'B'", "'a''\\\\'", "''", "'ß'", "'ae1'"],
    "varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci": ["'b'", "'A'", "'ö1'", "'日本'", "'🙂'", "'%_'", "'o2'"],
    "char(5) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin": ["'b'", "'B'", "'a'", "''", "'1'"],
    "decimal(20,5)": ["1.5", "-2", "0", "100000000000000.00001", "3"],
    "bigint unsigned": ["18446744073709551615", "0", "9223372036854775808", "7", "8"],
    "datetime(6)": ["'2026-03-29 02:30:00.000001'", "'2026-03-29 02:30:00'", "'1999-01-01'", "'9999-12-31'"],
    "timestamp": ["'2026-10-25 02:30:00'", "'2026-10-25 01:30:00'", "'2001-01-01'", "'2020-01-01'"],
    "enum('z','a','m')": ["'m'", "'z'", "'a'"],
    "varbinary(10)": ["X'00'", "X''", "X'FF27'", "X'5C'", "X'0000'"],
    "year": ["2026", "0", "1901", "2001"],
    "bit(10)": ["b'1000000000'", "b'0'", "b'1'", "b'11'"],
    "uuid": ["'00000000-0000-7000-8000-000000000001'", "'ffffffff-0000-4000-8000-000000000001'", "UUID()"],
}


@pytest.mark.parametrize("kind", KEYS)
def test_mysql_backfill_walks_a_key_of_any_type_row_by_row(make_shop, kind):
    shop = make_shop(0)
    shop.sql(f"CREATE TABLE walked (k {kind} NOT NULL, n int, PRIMARY KEY (k))")
    shop.sql("INSERT INTO walked (k, n) VALUES " + ", ".join(f"({value}, {n})" for n, value in enumerate(KEYS[kind])))
    shop.world.program.ok("attach", "frontend", "walked", "Frontend.Walked", "--columns", "*")
    shop.backfill("walked", "--yes", "--chunk", "2")
    told = [json.loads(body)["n"] for body, in shop.sql("SELECT body FROM muskrat.outbox ORDER BY id")]
    assert told == [n for n, in shop.sql("SELECT n FROM walked ORDER BY k")]


def test_mysql_backfill_in_chunks_of_thousands_tells_each_row_once(make_shop):
    shop = make_shop(9000)  # fewer than --backlog: no relay runs
    shop.backfill("customers", "--yes", "--chunk", "5000")
    assert shop.sql("SELECT COUNT(*), COUNT(DISTINCT ordering_key) FROM muskrat.outbox") == [(9000, 9000)]
