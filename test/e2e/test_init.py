"""The first steps: muskrat init looks at a database and writes a configuration; muskrat endpoint ddl prints the target's SQL.

What they print is used as it stands: the commands are run, the SQL goes to the database, and rows must arrive.
"""
import os
import pty
import re
import select
import shlex
import subprocess

import pytest

from harness.processes import wait_until
from world import ATTACH, CUSTOMERS

USERS = """
CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE DOMAIN short AS varchar(20);
CREATE TABLE app_users (id bigint PRIMARY KEY, "Order" short, mood mood, balance numeric(12,2), tags text[], born date,
                        profile jsonb, seen timestamptz, password_hash text, api_token text)
"""


def init(world, *args, user="postgres", **kw):
    return world.program.run("init", "--dsn", world.front.replace("user=postgres", f"user={user}"), "--broker",
                             world.broker.url.replace("guest:guest@", "guest@"), "--analytics", world.target, *args, **kw)


@pytest.fixture
def fresh(world):
    """A world whose configuration is the one that init has written."""
    os.environ["MUSKRAT_BROKER_PASSWORD"] = "guest"
    yield world
    del os.environ["MUSKRAT_BROKER_PASSWORD"]


def test_init_writes_what_leads_to_equal_tables(fresh):
    world = fresh
    world.sql(USERS)
    world.sql(CUSTOMERS)
    world.sql("INSERT INTO customers (id, email) VALUES (0, 'from before@example.com')")
    done = init(world, "--table", "app_users", "--table", "customers", "--source", "frontend", "--output", world.program.config_path)
    assert done.returncode == 0, done.stderr
    text = open(world.program.config_path, encoding="utf-8").read()
    assert "password_hash" in text and re.search(r"left out.*password_hash, api_token", text)
    checked = world.program.run("check")
    assert checked.returncode == 0, checked.stdout
    assert "Frontend.AppUser.*" in checked.stdout and "Frontend.Customer.*" in checked.stdout

    # the steps that it prints, as they stand
    steps = [line.split("   #")[0].strip() for line in done.stdout.splitlines() if line.startswith("  muskrat ")]
    for step in [s for s in steps if s.startswith("muskrat attach")]:
        world.program.ok(*shlex.split(step)[1:])
    world.tsql(ddl(world))
    assert "muskrat endpoint ddl analytics" in done.stdout
    assert steps[-4:] == ["muskrat check --online", "muskrat setup", "muskrat relay", "muskrat consume"]
    world.program.setup()
    with open(world.program.config_path, "w", encoding="utf-8") as f:  # the usual ports may be somebody's here
        f.write(text.replace("127.0.0.1:9464", f"127.0.0.1:{world.program.relay_port}")
                .replace("127.0.0.1:9465", f"127.0.0.1:{world.program.consumer_port}"))
    world.program.relay()
    world.program.consume()
    world.customers(1, 2, company="Ltd")
    world.sql("INSERT INTO app_users (id, balance, password_hash) VALUES (1, 2.50, 'x')")
    wait_until(lambda: world.tsql("SELECT id, email, company FROM customers ORDER BY id") ==
               world.sql("SELECT id, email, company FROM customers WHERE id > 0 ORDER BY id"), 60, "the customers")
    wait_until(lambda: world.tsql("SELECT id, balance::text FROM app_users") == [(1, "2.50")], 60, "the user")


def test_init_as_the_tables_owner_names_the_grant_that_its_steps_take(fresh):
    world = fresh
    world.sql(CUSTOMERS)
    world.sql("DROP ROLE IF EXISTS init_owner")
    world.sql("CREATE ROLE init_owner LOGIN; ALTER TABLE customers OWNER TO init_owner")
    try:
        done = init(world, "--table", "customers", "--source", "frontend", "--output", world.program.config_path, user="init_owner")
        assert done.returncode == 0, done.stderr
        (grant,) = re.findall(r"^  psql .* -c '(GRANT .*)'   # as a superuser$", done.stdout, re.M)
        (attach,) = [shlex.split(line)[1:] for line in done.stdout.splitlines() if line.startswith("  muskrat attach ")]
        assert world.program.run(*attach).returncode == 1
        world.sql(grant)
        world.program.ok(*attach)
        assert "the relay may read the outbox" in world.program.run("check", "--online").stdout
    finally:
        world.sql("DROP OWNED BY init_owner CASCADE; DROP ROLE init_owner")


def test_init_asks_a_person(fresh):
    world = fresh
    world.sql(CUSTOMERS)
    path = os.path.join(world.folder, "asked.yaml")
    master, slave = pty.openpty()
    child = subprocess.Popen([world.program.binary, "init", "--output", path], stdin=slave, stdout=slave, stderr=slave,
                             cwd=world.folder, env=dict(os.environ, TERM="dumb"))
    os.close(slave)
    shown = ""

    def answer(prompt, text):
        nonlocal shown
        while prompt not in shown:
            assert select.select([master], [], [], 60)[0], f"no {prompt!r} in {shown!r}"
            shown += os.read(master, 65536).decode()
        shown = ""
        os.write(master, (text + "\n").encode())
    answer("The database to capture", world.front)
    answer("RabbitMQ", "")
    answer("A database to keep copies in", "")
    answer("Tables to capture", "customers")
    while select.select([master], [], [], 60)[0]:
        try:
            shown += os.read(master, 65536).decode()
        except OSError:
            break
    os.close(master)
    assert child.wait(60) == 0, shown
    assert "muskrat attach" in shown
    assert subprocess.run([world.program.binary, "check", "--config", path], capture_output=True, check=False).returncode == 0
    assert "kind: file" in open(path, encoding="utf-8").read()


@pytest.mark.parametrize("args, says", [
    ((), "which tables"),
    (("--table", "custommers"), "did you mean customers"),
    (("--table", "keyless"), "no primary key"),
    (("--table", "customers", "--source", "a b"), "cannot be a source's name"),
    (("--table", "customers", "--table", "public.customers"), "table public.customers is named twice"),
    (("--table", "customers", "--table", "customer", "--source", "shop"), "customers and customer would both be Shop.Customer"),
])
def test_init_says_what_is_missing(world, args, says):
    world.sql(CUSTOMERS)
    world.sql("CREATE TABLE keyless (a int); CREATE TABLE customer (id int PRIMARY KEY)")
    path = os.path.join(world.folder, "new.yaml")
    done = init(world, *args, "--output", path)
    assert done.returncode == 2 and says in done.stderr, done.stderr
    assert not os.path.exists(path)


def test_init_tells_tables_of_one_name_apart_by_their_schemas(world):
    """Under one object the rows of each would land in the copies of both."""
    for schema in ("tenant_a", "tenant_b"):
        world.sql(f"CREATE SCHEMA {schema}; CREATE TABLE {schema}.users (id int PRIMARY KEY)")
    world.sql(CUSTOMERS)
    path = os.path.join(world.folder, "new.yaml")
    done = init(world, "--table", "tenant_a.users", "--table", "tenant_b.users", "--table", "customers", "--source", "frontend",
                "--output", path)
    assert done.returncode == 0, done.stderr
    text = open(path, encoding="utf-8").read()
    assert "subscribe: ['Frontend.TenantAUser.*', 'Frontend.TenantBUser.*', 'Frontend.Customer.*']" in text, text
    for table, word in (("tenant_a.users", "TenantAUser"), ("tenant_b.users", "TenantBUser"), ("customers", "Customer")):
        assert f"muskrat attach frontend {table} Frontend.{word} " in done.stdout
        assert re.search(rf"- 'on': \['Frontend\.{word}\.\*'\]\n +table: {re.escape(table)}\n", text), text


def test_init_overwrites_nothing_and_takes_no_password(world):
    world.sql(CUSTOMERS)
    path = os.path.join(world.folder, "there.yaml")
    with open(path, "w", encoding="utf-8") as f:
        f.write("mine")
    done = init(world, "--table", "customers", "--output", path)
    assert done.returncode == 2 and "--force" in done.stderr
    assert open(path, encoding="utf-8").read() == "mine"
    for password in ("password=hunter2", "password = hunter2"):
        done = world.program.run("init", "--dsn", f"{world.front} {password}", "--table", "customers", "--output", "-")
        assert done.returncode == 2 and "PGPASSWORD" in done.stderr and "hunter2" not in done.stderr + done.stdout


def ddl(world, *args, **kw):
    return world.program.ok("endpoint", "ddl", "analytics", *args, **kw)


def test_endpoint_ddl_makes_tables_that_the_endpoint_takes(world):
    world.sql(CUSTOMERS)
    world.sql(ATTACH)
    world.configure({"analytics": world.mirror()})
    world.program.setup()
    sql = ddl(world)
    assert "PRIMARY KEY (id)" in sql and "id bigint NOT NULL" in sql and "company_name text" in sql
    world.tsql(sql)
    assert "nothing to add" in ddl(world)
    world.start()
    world.customers(1, 2, company="Ltd", volume="200")
    world.wait_equal()


def test_endpoint_ddl_types_are_the_sources_own(world):
    world.sql(USERS)
    world.sql("SELECT muskrat.attach('app_users', 'Frontend.User', columns => '[\"id\", \"Order\", \"mood\", {\"money\": [\"balance\"]}, "
              "\"tags\", \"born\", \"profile\", {\"last\": \"seen\"}]')")
    columns = ["id", "Order", "mood", {"to": "balance", "from": "money.balance"}, "tags", "born", "profile", "last", "money",
               {"to": "either", "from": ["not.there", "money.balance"]}, {"to": "day", "from": "seen", "as": "date"},
               {"to": "feeling", "from": "mood", "lookup": {"sad": ":(", "glad": ":)"}},
               {"to": "at", "from": "$captured_at"}, {"to": "seq", "from": "$seq"}, {"to": "origin", "value": "web"},
               {"to": "version", "value": 2}, {"to": "nothing", "from": "not.there"}]
    world.configure({"analytics": world.mirror(subscribe=["Frontend.*"], routes=[
        {"table": "public.users", "key": ["id"], "columns": columns},
        {"table": "public.log", "mode": "append", "columns": ["id", {"to": "body", "from": "$body"}]}])})
    world.tsql(ddl(world, "--offline"))
    found = dict(world.tsql("SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'users'::regclass"
                            " AND attnum > 0"))
    assert found == {"id": "bigint", "Order": "character varying(20)", "mood": "text", "balance": "numeric(12,2)", "tags": "text[]",
                     "born": "date", "profile": "jsonb", "last": "timestamp with time zone", "money": "jsonb",
                     "either": "numeric(12,2)", "day": "date", "feeling": "text",
                     "at": "timestamp with time zone", "seq": "bigint", "origin": "text", "version": "bigint", "nothing": "text"}
    world.program.setup()
    world.start()
    world.sql("INSERT INTO app_users VALUES (7, 'a b', 'sad', 12.50, '{x,y}', '2001-02-03', '{\"a\": 1}', '2026-01-02 03:04:05+00')")
    wait_until(lambda: world.tsql("SELECT count(*) FROM users") == [(1,)], 60, "the row")
    assert world.tsql("SELECT \"Order\", mood, balance::text, tags, born::text, profile->>'a', version FROM users") == \
        [("a b", "sad", "12.50", ["x", "y"], "2001-02-03", "1", 2)]
    wait_until(lambda: world.tsql("SELECT (body->'money'->>'balance')::text FROM log") == [("12.50",)], 60, "the log")


def test_endpoint_ddl_says_what_to_add_when_the_mapping_grew(world):
    world.sql(CUSTOMERS)
    world.sql(ATTACH)
    world.configure({"analytics": world.mirror()})
    world.tsql("CREATE TABLE customers (id bigint, email varchar(50), phone text, subdomain text, company_name text, volume text,"
               " retention text, rate text)")
    sql = ddl(world)
    assert "ADD COLUMN username text" in sql and "CREATE UNIQUE INDEX ON public.customers (id)" in sql
    assert "-- column email is character varying(50) here and text at the source" in sql
    world.tsql(sql)
    assert "ADD COLUMN" not in ddl(world)
    world.program.setup()
    world.start()
    world.customers(1)
    world.wait_equal()


def test_endpoint_ddl_refuses_what_has_no_tables(world):
    world.sql(CUSTOMERS)
    world.configure({"archive": {"kind": "file", "path": f"{world.folder}/a", "subscribe": ["#"]}, "analytics": world.mirror()})
    done = world.program.run("endpoint", "ddl", "archive")
    assert done.returncode == 2 and "kind file" in done.stderr
    done = world.program.run("endpoint", "ddl", "analytics")
    assert done.returncode == 2 and "no table is attached" in done.stderr
