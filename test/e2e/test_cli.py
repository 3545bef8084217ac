"""The command line: help, exit codes, wrong usage, wrong configurations, and each verb against real servers.

The first half needs no server. Golden texts (test/golden/help.txt, docs/configuration.md) are written anew by
`make golden`; the diff is read before it is committed.
"""
import contextlib
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest
from test_dead_verbs import bury

from harness import build as where
from harness.certificates import Certificates
from harness.clients import connect
from harness.golden import golden
from harness.processes import Child, free_port, wait_until
from harness.program import Program
from world import ATTACH, CUSTOMERS

BUILD = where.default_build()
MUSKRAT = os.path.join(BUILD, "muskrat")
VERBS = ["init", "check", "setup", "install", "attach", "detach", "attached", "endpoint ddl", "relay", "consume", "produce", "backfill",
         "verify", "status", "tail", "explain", "test", "dead list", "dead show", "dead export", "superseded", "held list", "docs options",
         "dead retry", "dead drop", "held drop", "pause", "resume", "replay", "forget", "accept"]


def muskrat(*args, cwd=None, env=None, input=None):
    clean = {k: v for k, v in os.environ.items() if k != "MUSKRAT_CONFIG"}
    return subprocess.run([MUSKRAT, *args], capture_output=True, text=True, timeout=60, check=False, cwd=cwd, input=input,
                          env={**clean, **(env or {})}, stdin=None if input else subprocess.DEVNULL)


@pytest.fixture
def program(tmp_path):
    return Program(str(tmp_path), BUILD)


# ---- no server needed ----


def test_cli_help_of_every_verb_is_golden():
    texts = []
    for verb in ["", *VERBS]:
        done = muskrat(*verb.split(), "--help")
        assert (done.returncode, done.stderr) == (0, "")
        texts.append(f"$ muskrat {verb} --help\n".replace("  ", " ") + done.stdout)
    golden("test/golden/help.txt", "\n".join(texts))


def test_cli_overview_names_every_verb_that_has_help():
    overview = muskrat("--help").stdout
    assert re.findall(r"^  ([a-z]+(?: [a-z]+)?)  ", overview, re.M) == VERBS


def test_cli_reference_of_options_is_golden():
    done = muskrat("docs", "options")
    assert done.returncode == 0
    golden("docs/configuration.md", done.stdout)


def test_cli_version():
    done = muskrat("--version")
    assert done.returncode == 0 and re.fullmatch(r"muskrat \d+\.\d+\.\d+\n", done.stdout)


@pytest.mark.parametrize("args, says", [
    (["chek"], "unknown verb chek (did you mean check?); known are init, check"),
    (["dead"], "muskrat dead needs one of list"),
    (["dead", "lst"], "unknown verb dead lst (did you mean list?)"),
    (["tail", "--jsn"], "--jsn (did you mean --json?); see muskrat tail --help"),
    (["tail", "--count", "0"], "see muskrat tail --help"),
    (["tail", "--count", "x"], "see muskrat tail --help"),
    (["attach", "frontend"], "TABLE is required"),
    (["--nonsense"], "see muskrat --help"),
    (["setup", "--unbind", "Frontend.*"], "--unbind and --endpoint go together"),
    (["setup", "--remove", "a", "--endpoint", "a", "--unbind", "#"], "leave out --unbind"),
    (["setup", "--yes"], "--yes goes with --remove"),
    (["tail", "Frontend"], "can match no event: it has 1 word and a routing key has three; did you mean Frontend.*?"),
])
def test_cli_wrong_usage_exits_2_and_says_what_to_do(args, says, tmp_path):
    done = muskrat(*args, cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("muskrat: ") and says in done.stderr


def test_cli_without_arguments_prints_help_and_exits_2():
    done = muskrat()
    assert done.returncode == 2 and done.stdout == muskrat("--help").stdout


@pytest.mark.parametrize("verb", [["check"], ["relay"], ["consume"], ["setup"], ["status"], ["tail"], ["attached"]])
def test_cli_without_configuration_says_where_it_looked(verb, tmp_path):
    if os.path.exists("/etc/muskrat/muskrat.yaml"):
        pytest.skip("this machine has a configuration")
    done = muskrat(*verb, cwd=tmp_path)
    assert done.returncode == 2 and "neither --config nor $MUSKRAT_CONFIG names one" in done.stderr
    done = muskrat(*verb, "--config", "not-there.yaml", cwd=tmp_path)
    assert done.returncode == 2 and "cannot read the configuration not-there.yaml" in done.stderr


def test_cli_configuration_is_found_in_its_four_places(tmp_path):
    text = 'broker: {url: "amqp://u@h/"}\nendpoints:\n  %s: {kind: "null", subscribe: "#"}\n'
    for name in ("muskrat", "env", "flag"):
        (tmp_path / f"{name}.yaml").write_text(text % name)
    assert " muskrat.muskrat " in muskrat("check", cwd=tmp_path).stdout
    env = {"MUSKRAT_CONFIG": str(tmp_path / "env.yaml")}
    assert " muskrat.env " in muskrat("check", cwd=tmp_path, env=env).stdout
    for args in (["check", "-c", "flag.yaml"], ["-c", "flag.yaml", "check"], ["check", "--config=flag.yaml"]):
        assert " muskrat.flag " in muskrat(*args, cwd=tmp_path, env=env).stdout


TEN_MISTAKES = """broker:
  url: http://rabbit
  heartbeat: 10
sources:
  "front end": {kind: postgres, dsn: x}
  shop: {kind: postgress, dsn: x}
endpoints:
  analytics:
    kind: file
    subscribe: [Frontend, a.b.c.d]
    path: ${NOT_SET_ANYWHERE}
    lanes: 1000
    lanse: 4
    on_dead: drop
log: {level: loud}
relay: {listen: "0.0.0.0:9464"}
"""


def test_cli_check_tells_ten_mistakes_at_once_with_file_and_line(program):
    program.write(TEN_MISTAKES)
    done = program.run("check")
    assert done.returncode == 2
    found = [int(n) for n in re.findall(r"^\S+/muskrat\.yaml:(\d+): error: ", done.stdout, re.M)]
    assert found == [2, 3, 5, 6, 10, 10, 11, 12, 13, 14, 15, 16]
    assert "12 errors, 0 warnings" in done.stdout
    assert "lanse: unknown key (did you mean lanes?)" in done.stdout


@pytest.mark.parametrize("args", [["attached"], ["attached", "one", "two"], ["endpoint", "ddl", "analytics"], ["forget", "--key", "k"]])
def test_cli_dsn_for_several_sources_is_refused(program, args):
    """One database would be shown as that of each; none of these is there to be asked."""
    source = {"kind": "postgres", "dsn": "host=127.0.0.1 port=1"}
    route = {"table": "t", "key": ["id"], "columns": ["id"]}
    program.configure("amqp://u@h/", sources={"one": source, "two": source},
                      endpoints={"analytics": {**source, "subscribe": "#", "routes": [route]}})
    done = muskrat(*args, "--config", program.config_path, "--dsn", "host=127.0.0.1 port=1")
    assert done.returncode == 2 and done.stderr.startswith("muskrat: of which source is --dsn? "), done.stderr


@pytest.mark.parametrize("verb", ["relay", "consume", "setup", "status", "tail"])
def test_cli_verbs_refuse_a_wrong_configuration_before_they_do_anything(program, verb):
    program.write(TEN_MISTAKES)
    done = program.run(verb)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count(": error: ") == 12


def test_cli_check_shows_each_binding_and_never_a_secret(program):
    program.write('broker: {url: "amqp://u:${PW}@h/", password: "${PW}"}\n'
                  'sources:\n  f: {kind: postgres, dsn: "dbname=x password=${PW}", password: "${PW}"}\n'
                  'endpoints:\n  a: {kind: "null", subscribe: ["Frontend.*", "Frontend.Customer.*", "*", "#.Signup"]}\n')
    done = program.run("check", env={"PW": "hunter2"})
    assert done.returncode == 0
    bindings = {"Frontend.*": "Frontend.#", "Frontend.Customer.*": "Frontend.Customer.*", "*": "#", "#.Signup": "#.Signup"}
    for pattern, binding in bindings.items():
        assert re.search(rf"  {re.escape(pattern)} +{re.escape(binding)}$", done.stdout, re.M)
    assert "hunter2" not in done.stdout + done.stderr


def test_cli_check_warns_of_secrets_in_clear_text(program):
    program.write('broker: {url: "amqp://u@h/", password: hunter2}\n')
    os.chmod(program.config_path, 0o644)
    done = program.run("check")
    assert done.returncode == 0 and "hunter2" not in done.stdout
    assert "1: warning: broker.password: a secret stands here in clear text" in done.stdout
    assert "others may read it: chmod o= " in done.stdout


def test_cli_check_tells_of_a_dsn_that_is_none_with_file_and_line_and_shows_nothing_of_it(program):
    program.write("""broker: {url: "amqp://u@h/"}
sources:
  frontend: {kind: postgres, dsn: "host=h password=${PW} dbnmae=x"}
  shop: {kind: mysql, dsn: "mysql://u:${PW}%@h/x"}
  billing: {kind: sql-query, every: 1h, dsn: "host=h dbnmae=${PW}", query: SELECT 1, cursor: a, key: b, routing_key: A.B.C}
  volumes: {kind: sql-query, every: 1h, dsn: "mysql://u:${PW}@h:x/d", query: SELECT 1, cursor: a, key: b, routing_key: A.B.C}
endpoints:
  analytics: {kind: postgres, subscribe: "#", dsn: "host=h password=two ${PW}", routes: [{table: t, key: [id], columns: [id]}]}
consumer:
  state_dsn: dbnmae=${PW}
""")
    done = program.run("check", env={"PW": "hunter2"})
    found = {int(n): text for n, text in re.findall(r"^\S+/muskrat\.yaml:(\d+): error: (.*)", done.stdout, re.M)}
    assert done.returncode == 2 and sorted(found) == [3, 4, 5, 6, 8, 10], done.stdout
    assert found[3].startswith("sources.frontend: dsn: the PostgreSQL DSN cannot be parsed"), found[3]
    assert found[10].startswith("consumer: state_dsn: the PostgreSQL DSN cannot be parsed"), found[10]
    assert "hunter2" not in done.stdout + done.stderr


def test_cli_example_configuration_is_right(tmp_path):
    example = shutil.copy(os.path.join(where.TOP, "examples", "muskrat.yaml"), tmp_path)
    for secret in ("muskrat", "frontend", "analytics"):
        (tmp_path / f"{secret}.password").write_text("x\n")
    done = muskrat("check", "--config", example)
    assert done.returncode == 0 and "warning" not in done.stdout, done.stdout
    done = muskrat("check", "--config", example, env={"MUSKRAT_BROKER_USER": "another"})
    assert done.returncode == 2 and "cannot read the file" in done.stdout and "another.password" in done.stdout


def test_cli_only_with_an_unknown_name_suggests(program):
    program.configure("amqp://h/", endpoints={"analytics": {"kind": "null", "subscribe": "#"}})
    done = program.run("consume", "--only", "analytcs")
    assert done.returncode == 2 and "no endpoint analytcs (did you mean analytics?)" in done.stderr
    done = program.run("relay")
    assert done.returncode == 2 and "has no source" in done.stderr


CUT_SHORT = "muskrat: cut short, for standard output was closed. "


def unread(program, *args):
    """The exit code and standard error of a verb whose standard output nobody reads, from its first word on."""
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(program.argv(*args), stdout=write, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
                              stdin=subprocess.DEVNULL)
    finally:
        os.close(write)
    return done.returncode, done.stderr


@pytest.mark.parametrize("args", [["docs", "options"], ["--help"], ["verify", "--help"], ["--version"]])
def test_cli_broken_pipe_is_no_error(program, args):
    assert subprocess.run(f"{MUSKRAT} docs options | head -1; echo ${{PIPESTATUS[0]}}", shell=True, executable="/bin/bash",
                          capture_output=True, text=True, timeout=30, check=True).stdout == "# Configuration\n0\n"
    program.argv = lambda *words: [MUSKRAT, *words]
    assert unread(program, *args) == (0, "")


def test_cli_broken_pipe_of_a_check_is_not_taken_for_all_is_well(program):
    program.write(TEN_MISTAKES)
    assert unread(program, "check") == (141, "")


def test_cli_broken_pipe_before_anything_is_done_says_so(world):
    world.stand({"analytics": world.mirror(), "archive": {"kind": "null", "subscribe": "Frontend.*"}})
    world.customers(1, 2, 3)
    world.settled()
    world.program.stop()
    bury(world, [{}])
    for says, *args in [("The comparison has no result; run it again.", "verify", "customers", "analytics"),
                        ("Nothing was erased.", "forget", "--key", "Frontend.Customer:[1]", "--yes"),
                        ("Nothing was done.", "backfill", "customers", "--yes"),
                        ("Nothing was sent.", "replay", "frontend", "--all", "--to", "archive", "--yes"),
                        ("Nothing was dropped.", "dead", "drop", "analytics", "--all", "--yes")]:
        code, said = unread(world.program, *args)
        assert code == 141 and said.endswith(CUT_SHORT + says + "\n"), (args, code, said)
    assert world.sql("SELECT count(*) FROM muskrat.outbox WHERE ordering_key = 'Frontend.Customer:[1]'") == [(1,)]
    assert world.sql("SELECT count(*) FROM muskrat.outbox") == [(3,)] and world.broker.depth("muskrat.analytics.dead") == 1
    assert unread(world.program, "attached") == (141, "")


def until_the_plan(program, *args):
    """A verb of whose output its plan is read, and then nothing any more."""
    child = subprocess.Popen(program.argv(*args), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    plan = json.loads(child.stdout.readline())["plan"]
    child.stdout.close()
    return child, plan


def ended(child):
    said = child.stderr.read()
    child.stderr.close()
    return child.wait(60), said


def test_cli_broken_pipe_in_the_middle_of_a_replay_says_how_to_go_on(world):
    world.stand({"archive": {"kind": "null", "subscribe": "Frontend.*"}})
    world.customers(*range(20))
    world.settled()
    # Slow, so that it is not done before the next word of its progress.
    child, plan = until_the_plan(world.program, "replay", "frontend", "--all", "--to", "archive", "--yes", "--json", "--rate", "1/s")
    assert plan["events"] == 20
    code, said = ended(child)
    assert code == 141 and CUT_SHORT + "The same command may be given again" in said, said


def test_cli_broken_pipe_in_the_middle_of_a_forget_says_what_is_gone(world):
    world.stand({"archive": {"kind": "null", "subscribe": "Frontend.*"}})
    world.customers(1, 2)
    world.settled()
    world.program.stop()
    with connect(world.front, autocommit=False) as holder:
        for segment in (1, 2, 3):
            holder.cursor().execute(f"SELECT FROM muskrat.outbox_{segment} FOR UPDATE")  # it waits for these, and only to erase them
        child, _ = until_the_plan(world.program, "forget", "--key", "Frontend.Customer:[1]", "--yes", "--json")
    holder.close()
    code, said = ended(child)
    assert code == 141 and CUT_SHORT + "1 event erased, for good. Run it again" in said, said
    assert world.sql("SELECT ordering_key FROM muskrat.outbox") == [("Frontend.Customer:[2]",)]


def test_cli_full_disk_is_an_error():
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([MUSKRAT, "--help"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=30, check=False)
    assert done.returncode == 1 and "cannot write to standard output" in done.stderr


def in_terminal(*args, env=None):
    """What the program prints on a terminal."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execvpe(MUSKRAT, [MUSKRAT, *args], {**os.environ, "TERM": "xterm", **(env or {})})
    out = b""
    while select.select([fd], [], [], 60)[0]:
        try:
            part = os.read(fd, 4096)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        out += part
    os.waitpid(pid, 0)
    os.close(fd)
    return out.decode()


def test_cli_colours_only_on_a_terminal_and_not_against_no_color(program):
    program.configure("amqp://h/", endpoints={"a": {"kind": "null", "subscribe": "#"}})
    args = ["check", "--config", program.config_path]
    assert "\033[" in in_terminal(*args)
    assert "\033[" not in in_terminal(*args, env={"NO_COLOR": "1"})
    assert "\033[" not in in_terminal(*args, env={"TERM": "dumb"})
    assert "\033[" not in program.run("check").stdout


def test_cli_unreachable_servers_are_problems_not_hangs(program):
    nowhere = f"host=127.0.0.1 port={free_port()} dbname=x user=postgres"
    program.configure(f"amqp://guest:hunter2@127.0.0.1:{free_port()}/", sources={"f": {"kind": "postgres", "dsn": nowhere}})
    for verb in (["check", "--online"], ["status"]):
        done = program.run(*verb)
        assert done.returncode == 3, done.stdout + done.stderr
        assert "hunter2" not in done.stdout + done.stderr
    for verb in (["setup"], ["tail"]):
        done = program.run(*verb)
        assert done.returncode == 1 and done.stderr.startswith("muskrat: ") and "hunter2" not in done.stderr


# ---- with servers ----


def test_cli_certificate_that_nobody_vouches_for_says_how_to_name_who_does(program):
    """Of a PostgreSQL server beyond this machine; Linux connects 0.0.0.0 to it, but it is none of loopback's names."""
    certificates = Certificates(os.path.join(program.folder, "tls"))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificates.certificate, certificates.key)

    def shake_hands(connection):
        with connection:
            connection.recv(8)  # SSLRequest
            connection.sendall(b"S")
            with contextlib.suppress(OSError):  # the client's refusal
                server.wrap_socket(connection, server_side=True).close()

    def says(more):
        source = {"kind": "postgres", "dsn": f"host=0.0.0.0 port={listener.getsockname()[1]} dbname=d user=u {more}"}
        program.configure("amqp://h/", sources={"frontend": source})
        greeter = threading.Thread(target=lambda: shake_hands(listener.accept()[0]))
        greeter.start()
        done = program.run("attached")
        greeter.join(60)
        assert done.returncode == 1 and "certificate verify failed" in done.stderr, done.stderr
        return done.stderr

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        assert "give it sslrootcert=FILE" in says("")
        assert "sslrootcert=FILE" not in says(f"sslmode=verify-full sslrootcert={certificates.other_ca}")


def test_cli_check_online_says_what_is_missing_and_then_that_all_is_there(world):
    world.sql("CREATE TABLE customers (id bigint PRIMARY KEY, email text NOT NULL)")
    world.tsql("CREATE TABLE customers (id bigint PRIMARY KEY, email text NOT NULL)")
    world.configure({"analytics": world.mirror(routes=[{"table": "customers", "key": ["id"], "columns": ["id", "email"]}])})
    done = world.program.run("check", "--online")
    assert done.returncode == 3
    assert world.broker.depth("muskrat.analytics") is None, "it declares nothing"
    assert "PROBLEM  exchange muskrat: missing; run muskrat setup" in done.stdout
    assert "PROBLEM  queue muskrat.analytics.dead: missing" in done.stdout
    assert "PROBLEM  source frontend: no table is attached" in done.stdout
    world.program.setup()
    world.program.ok("attach", "frontend", "customers", "Frontend.Customer", "--columns", "id,email")
    out = world.program.ok("check", "--online")
    assert "PROBLEM" not in out and "customers is attached as Frontend.Customer" in out and "endpoint analytics: reached" in out


def test_cli_check_online_warns_of_attachments_that_the_hosts_guard_would_mix_up(world):
    world.sql("CREATE TABLE customers (id bigint PRIMARY KEY, email text, plan text)")
    world.sql("CREATE TABLE orders (id bigint PRIMARY KEY, code text NOT NULL UNIQUE, customer bigint NOT NULL, parts bigint UNIQUE)")
    attach = ["attach", "frontend", "customers", "Frontend.Customer"]
    world.program.configure(world.broker.url, sources=world.source())
    world.program.ok(*attach, "--columns", "id,email")
    for name, *key in [("Code", "customer", "code"), ("Order", "id", "customer"), ("Buyer", "customer"), ("Part", "parts")]:
        world.program.ok("attach", "frontend", "orders", f"Frontend.{name}", "--columns", "*",
                         *(word for column in key for word in ("--key", column)))
    hook = {"kind": "http", "url": "http://127.0.0.1:1/", "subscribe": ["#"]}
    world.configure({"crm": hook, "told": {**hook, "guard_key": "id"}, "plans": {**hook, "guard": "events"}},
                    consumer={"state": f"{world.folder}/state.sqlite"})
    world.program.setup()

    def warnings():
        out = world.program.ok("check", "--online")
        return [re.sub(r"^warning +\S+muskrat.yaml:\d+: ", "", text) for text in out.splitlines() if "guard: state" in text]
    assert [re.search("endpoint crm: .* events of (.*) are ordered by (.*), which", text).groups() for text in warnings()] == [
        ("Frontend.Buyer", "customer"), ("Frontend.Part", "parts")]
    world.program.ok(*attach, "--columns", "id,plan", "--name", "plan changes", "--insert", "-", "--update", "PlanChange")
    assert [text.split(": guard")[0] for text in warnings() if "different columns" in text] == ["endpoint crm", "endpoint told"]


def test_cli_check_online_finds_an_extension_of_another_version(world):
    world.configure({})
    assert "PROBLEM  source frontend: the extension" not in world.program.run("check", "--online").stdout
    world.sql("UPDATE pg_extension SET extversion = '0.0.9' WHERE extname = 'muskrat'")
    done = world.program.run("check", "--online")
    assert done.returncode == 3 and "PROBLEM  source frontend: the extension muskrat is of version 0.0.9" in done.stdout, done.stdout
    assert "ALTER EXTENSION muskrat UPDATE" in done.stdout


def test_cli_check_online_takes_the_lock_of_a_running_host_for_well_and_of_another_for_a_problem(world):
    archive = f"{world.folder}/archive.jsonl"
    world.stand(endpoints={"archive": {"kind": "file", "path": archive, "subscribe": ["#"]}}, relay=False)
    assert "endpoint archive: in use, and a host consumes its queue" in world.program.ok("check", "--online")
    assert world.consumer.stop() == 0
    with open(archive, "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = world.program.run("check", "--online")
    assert done.returncode == 3 and "PROBLEM  endpoint archive: another process writes to" in done.stdout


def test_cli_check_online_finds_an_exchange_of_another_type(world):
    world.broker.call(lambda c: c.exchange_declare("muskrat", "direct", durable=True))
    world.configure({"a": {"kind": "null", "subscribe": "#"}})
    done = world.program.run("check", "--online")
    assert done.returncode == 3 and "exchange muskrat: is not the topic exchange it should be" in done.stdout


def test_cli_check_online_finds_queues_that_setup_would_declare_otherwise(world):
    def by_hand(channel):
        channel.queue_declare("muskrat.a", durable=True)  # classic
        channel.queue_declare("muskrat.b", durable=True, arguments={
            "x-queue-type": "quorum", "x-delivery-limit": 2**31 - 1, "x-dead-letter-exchange": "muskrat.dead",
            "x-dead-letter-routing-key": "b"})  # many active consumers
    world.broker.call(by_hand)
    world.configure({name: {"kind": "null", "subscribe": "#"} for name in "abc"})
    world.program.run("setup")
    done = world.program.run("check", "--online")
    assert done.returncode == 3
    # Of all that differs the broker names what it compares first.
    assert re.search(r"PROBLEM  queue muskrat\.a: x-\S+ is .+ on the broker, .+ in this configuration; nothing was changed", done.stdout)
    assert "PROBLEM  queue muskrat.b: x-single-active-consumer is none on the broker" in done.stdout
    assert "queue muskrat.c: 0 messages, 0 consumers" in done.stdout and "queue muskrat.a.dead: 0 messages" in done.stdout

    # One that may not declare is told that they are there.
    with world.user_with_rights("the host"):
        out = world.program.run("check", "--online").stdout
    assert "queue muskrat.a: 0 messages, 0 consumers" in out and "PROBLEM  queue" not in out


def test_cli_setup_dry_run_changes_nothing(world):
    world.configure({"a": {"kind": "null", "subscribe": "Frontend.*"}})
    out = world.program.ok("setup", "--dry-run")
    assert "missing  queue muskrat.a\n" in out and "muskrat -> muskrat.a: Frontend.#" in out
    assert world.broker.depth("muskrat.a") is None
    world.program.setup()
    assert "missing" not in world.program.ok("setup", "--dry-run")


def test_cli_wrong_broker_password_names_user_and_vhost_and_no_secret(world):
    world.configure({"a": {"kind": "null", "subscribe": "#"}}, broker={"password": "hunter2"})
    done = world.program.run("setup")
    assert done.returncode == 1 and "guest" in done.stderr and world.vhost in done.stderr
    assert "hunter2" not in done.stderr


def test_cli_attach_attached_detach(world):
    world.sql('CREATE TABLE "Odd, ""Name" (id int PRIMARY KEY, a int, "b""c" text)')
    world.configure({})
    run, ok = world.program.run, world.program.ok
    table = '"Odd, ""Name"'
    ok("attach", "frontend", table, "Frontend.Odd", "--insert", "Made", "--truncate", "-", "--columns", '["id", {"x": ["a"]}, "b\\"c"]',
       "--changes-of", "a", "--changes-of", 'b"c', "--key", "id", "--condition", "a > 1")
    shown = [json.loads(text) for text in ok("attached", "--json").splitlines()]
    assert len(shown) == 1
    found = shown[0]
    assert (found["source"], found["object"], found["on_insert"], found["on_update"], found["on_truncate"]) == \
        ("frontend", "Frontend.Odd", "Made", "Update", None)
    assert found["changes_of"] == ["a", 'b"c'] and found["key"] == ["id"] and found["problem"] is None
    assert json.loads(found["columns"]) == ["id", {"x": ["a"]}, 'b"c']
    assert "object: Frontend.Odd" in ok("attached", "frontend")
    again = run("attach", "frontend", table, "Frontend.Odd", "--columns", "id")
    assert again.returncode == 1
    ok("attach", "frontend", table, "Frontend.Odd", "--columns", "*", "--replace")
    world.sql("CREATE TABLE even (id int PRIMARY KEY)")
    same = run("attach", "frontend", "even", "Frontend.Odd", "--columns", "*")
    assert same.returncode == 0 and "is attached as Frontend.Odd too: rows of both with equal keys are one row" in same.stderr
    ok("detach", "frontend", "even")
    assert "Frontend.Odd" in ok("detach", "frontend", table, "Frontend.Odd")
    assert ok("attached", "--json") == ""


def test_cli_attached_shows_a_trigger_made_by_hand_beside_the_others_and_exits_3(world):
    world.sql("CREATE TABLE good (id int PRIMARY KEY); CREATE TABLE odd (id int PRIMARY KEY)")
    world.configure({})
    world.program.ok("attach", "frontend", "good", "Frontend.Good", "--columns", "*")
    world.sql("CREATE TRIGGER by_hand AFTER INSERT ON odd FOR EACH ROW EXECUTE FUNCTION muskrat.capture('what=x')")
    told = world.program.run("attached", "--json")
    problems = {found["relation"]: found["problem"] for found in map(json.loads, told.stdout.splitlines())}
    assert told.returncode == 3 and problems["good"] is None
    assert 'the trigger by_hand fails: muskrat does not know the trigger argument "what=x"; drop that trigger' in problems["odd"]
    online = world.program.run("check", "--online")
    assert "odd is attached as by_hand: every write that fires" in online.stdout + online.stderr


@pytest.mark.parametrize("args, says", [
    (["frontend", "customrs", "Frontend.Customer", "--columns", "id"], 'Did you mean "customers"?'),
    (["frontend", "customers", "Frontend.Customer", "--columns", "id,emial"], 'no column "emial"'),
    (["frontend", "customers", "Frontend", "--columns", "id"], '"Frontend" is no object'),
    (["frontend", "customers", "Frontend.Customer"], "no columns are named"),
    (["frontend", "customers", "Frontend.Customer", "--columns", "id", "--insert", "Sign up"], "Sign up"),
    (["frontend", "customers'; DROP TABLE customers; --", "Frontend.Customer", "--columns", "id"], "there is no table"),
    (["frontend", "customers", "Frontend.Customer", "--columns", "id", "--condition", "true; DROP TABLE customers"], ""),
])
def test_cli_attach_refuses_and_says_why(world, args, says):
    world.sql("CREATE TABLE customers (id bigint PRIMARY KEY, email text)")
    world.configure({})
    done = world.program.run("attach", *args)
    assert done.returncode == 1 and says in done.stderr, done.stderr
    assert world.sql("SELECT count(*) FROM customers") == [(0,)]
    assert world.program.ok("attached", "--json") == ""


def test_cli_tail_prints_events_and_ends_cleanly(world):
    world.stand({"a": {"kind": "null", "subscribe": "#"}}, consume=False)
    log = os.path.join(world.folder, "tail.log")
    everything = Child(world.program.argv("tail"), log, what="tail")
    signups = subprocess.Popen(world.program.argv("tail", "--json", "--count", "2", "*.Customer.Signup", "Frontend.Order.*"),
                               stdout=subprocess.PIPE, text=True)
    world.broker.wait_temporary_bindings(3)
    world.customers(1, 2, 3, company="a\tb")
    world.sql("UPDATE customers SET company = 'c' WHERE id = 1")
    out, _ = signups.communicate(timeout=60)
    assert signups.returncode == 0
    events = [json.loads(text) for text in out.splitlines()]
    assert [(e["routing_key"], e["op"], e["key"], e["body"]["id"]) for e in events] == \
        [("Frontend.Customer.Signup", "insert", f"Frontend.Customer:[{n}]", n) for n in (1, 2)]
    assert events[0]["body"]["company"] == "a\tb" and events[0]["source"] == "frontend" and events[0]["message_id"]
    wait_until(lambda: everything.log().count("\n") == 4, 60, "four lines")
    assert re.search(r"^\d\d:\d\d:\d\d\.\d{3}  Frontend\.Customer\.Update +update +\[1\] +\{\"id\":1,", everything.log(), re.M)
    assert everything.stop(signal.SIGINT) == 0
    assert world.broker.depth("muskrat.a") == 4, "tail takes nothing from anybody"


def test_cli_tail_without_the_exchange_says_setup(world):
    world.configure({})
    done = world.program.run("tail")
    assert done.returncode == 1 and "run muskrat setup" in done.stderr


def test_cli_status_shows_sources_queues_and_problems(world):
    world.stand({"a": {"kind": "null", "subscribe": "Frontend.Customer.*"}}, consume=False)
    world.customers(1, 2)
    world.broker.wait_depth("muskrat.a", 2)
    done = world.program.run("status", "--json")
    assert done.returncode == 3
    status = json.loads(done.stdout)
    assert status["queues"] == [{"endpoint": "a", "queue": "muskrat.a", "messages": 2, "consumers": 0, "dead": 0, "paused": None,
                                 "parked": None, "jobs": [], "problem": "nobody consumes: start muskrat consume"}]
    assert status["unrouted"] == {"messages": 0, "problem": None} and status["problems"] == 1
    items = {item["item"]: item["value"] for item in status["sources"][0]["items"]}
    assert items["attached tables"] == "1" and items["held events"] == "0"
    world.start(relay=False)
    world.broker.wait_depth("muskrat.a", 0)
    text = world.program.ok("status")
    assert "All is well." in text and "\033" not in text


def test_cli_dead_letters_are_listed_and_given_back(world):
    world.stand({"analytics": world.mirror(retry_attempts=1)}, consume=False)
    world.tsql("ALTER TABLE customers ADD CONSTRAINT no_evens CHECK (id % 2 = 1)")
    world.start(relay=False)
    world.customers(1, 2, 3, 4, company="Secret Ltd")
    world.broker.wait_depth("muskrat.analytics.dead", 2)
    seen = []
    for _ in range(2):  # looking changes nothing, not even the order
        out = world.program.ok("dead", "list", "analytics", "--json")
        letters = [json.loads(text) for text in out.splitlines()]
        assert {(x["routing_key"], x["key"]) for x in letters} == \
            {("Frontend.Customer.Signup", f"Frontend.Customer:[{n}]") for n in (2, 4)}
        seen.append(out)
        assert "no_evens" in letters[0]["reason"] and letters[0]["attempts"] >= 1 and letters[0]["dead_at"] and "Secret" not in out
    assert seen[0] == seen[1]
    world.broker.wait_depth("muskrat.analytics.dead", 2)
    text = world.program.ok("dead", "list", "analytics", "--limit", "1")
    assert "has 2 dead letters" in text and "Shown: 1" in text and "Secret" not in text
    assert "Secret Ltd" in world.program.ok("dead", "list", "analytics", "--body")
    assert world.program.run("dead", "list", "anlytics").returncode == 2


def test_cli_accept_explains_and_asks(world):
    world.stand({})
    world.wait_log(world.relay, "leading")
    world.program.stop()
    before = world.sql("SELECT epoch FROM muskrat.cursor")
    done = world.program.run("accept", "frontend")
    assert done.returncode == 2 and "there is nobody to ask: say --yes" in done.stderr and "A new epoch begins" in done.stdout
    assert world.sql("SELECT epoch FROM muskrat.cursor") == before
    out = world.program.ok("accept", "frontend", "--yes", "--note", "it's a test")
    after = world.sql("SELECT epoch FROM muskrat.cursor")
    assert after > before and f"Epoch {after[0][0]} has begun" in out
    assert world.sql("SELECT note FROM muskrat.history ORDER BY epoch DESC LIMIT 1") == [("it's a test",)]


def test_cli_verbs_for_which_the_relays_role_is_too_little_say_what_they_take(world):
    world.sql(CUSTOMERS)
    world.sql(ATTACH)
    world.sql("DROP ROLE IF EXISTS relay_alone")
    world.sql("CREATE ROLE relay_alone LOGIN IN ROLE muskrat_relay")
    world.configure({"analytics": world.mirror()}, source={"dsn": f"{world.front} user=relay_alone"})

    def refused(*args):
        done = world.program.run(*args)
        assert done.returncode == 1 and done.stdout == "" and world.front_db in done.stderr, done.stdout + done.stderr
        return done.stderr
    try:
        text = refused("accept", "frontend")  # before it explains and asks
        for says in ("relay_alone may not", "takes the owner of the extension", "SELECT muskrat.accept_history('why')"):
            assert says in text
        for args in (["attach", "frontend", "customers", "Frontend.Other", "--columns", "id"], ["detach", "frontend", "customers"]):
            text = refused(*args)
            assert "the rights of the table's owner and the role muskrat_attach: name such a user with --dsn" in text, text
        for args in (["attached"], ["endpoint", "ddl", "analytics"]):
            assert "GRANT muskrat_monitor TO the user of the source frontend" in refused(*args)
        world.sql("GRANT muskrat_monitor TO relay_alone")  # as README.md has it
        assert "Frontend.Customer" in world.program.ok("attached") and "CREATE TABLE" in world.program.ok("endpoint", "ddl", "analytics")
    finally:
        world.sql("DROP OWNED BY relay_alone")
        world.sql("DROP ROLE relay_alone")


def test_cli_hangup_applies_a_right_configuration_and_refuses_a_wrong_one(world):
    def file_endpoint(name):
        return {"kind": "file", "path": f"{world.folder}/{name}.jsonl", "subscribe": "Frontend.*"}

    def count(name):
        path = f"{world.folder}/{name}.jsonl"
        return len(open(path, encoding="utf-8").read().splitlines()) if os.path.exists(path) else 0

    world.stand({"one": file_endpoint("one"), "two": file_endpoint("two")})
    world.customers(1)
    wait_until(lambda: count("one") == 1 and count("two") == 1, 60, "the first event")
    consumer, program = world.consumer, world.program

    good = program.config
    program.write("broker: {}\n")
    consumer.send(signal.SIGHUP)
    world.wait_log(consumer, "reload refused")
    world.customers(2)
    wait_until(lambda: count("one") == 2, 60, "the old configuration to go on")

    program.config = good
    program.config["endpoints"]["one"]["path"] = f"{world.folder}/moved.jsonl"
    program.save()
    consumer.send(signal.SIGHUP)
    world.wait_log(consumer, '"reloaded"|reloaded')
    consumer.wait_ready()
    world.customers(3)
    wait_until(lambda: count("moved") == 1 and count("two") == 3 and count("one") == 2, 60, "the new configuration to hold")

    # A port that is taken shows only when it is tried.
    program.config["consumer"]["listen"] = f"127.0.0.1:{program.relay_port}"
    program.save()
    consumer.send(signal.SIGHUP)
    wait_until(lambda: consumer.log(200).count("reload refused") == 2, 60, "the refusal")
    consumer.wait_ready()
    world.customers(4)
    wait_until(lambda: count("moved") == 2, 60, "the configuration before it to go on")
    assert consumer.stop() == 0


def test_cli_hangup_with_a_dsn_that_is_none_is_refused(world):
    world.stand({"one": {"kind": "file", "path": f"{world.folder}/one.jsonl", "subscribe": "Frontend.*"}})
    world.program.config["sources"]["frontend"]["dsn"] = "dbnmae=x"
    world.program.config["consumer"]["state_dsn"] = "dbnmae=x"
    world.program.save()
    for daemon in (world.relay, world.consumer):
        daemon.send(signal.SIGHUP)
        world.wait_log(daemon, "reload refused")
    world.customers(1)
    wait_until(lambda: os.path.exists(f"{world.folder}/one.jsonl"), 60, "the old configuration to go on")


@pytest.mark.parametrize("side", ["source", "endpoint"])
def test_cli_password_that_breaks_its_dsn_stops_nothing_for_good(world, side):
    """A password with a blank is no part of a connection string; the file is mended a moment later."""
    secret = os.path.join(world.folder, "password")

    def change(password):
        with open(secret, "w", encoding="utf-8") as f:
            f.write(password + "\n")
        world.pg.psql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                      f" WHERE datname IN ('{world.front_db}', '{world.target_db}') AND pid <> pg_backend_pid()")

    change("first")
    reference = f" password=${{file:{secret}}}"
    dsn = (world.front if side == "source" else world.target) + reference
    world.stand({"analytics": world.mirror(**({"dsn": dsn} if side == "endpoint" else {}))}, {"dsn": dsn} if side == "source" else {})
    world.customers(1)
    world.wait_equal()
    change("hunter2 isn't")
    world.customers(2)
    daemon = world.relay if side == "source" else world.consumer
    assert "hunter2" not in world.wait_log(daemon, "DSN cannot be parsed")
    change("second")
    world.wait_equal()


def test_cli_rotated_broker_password_is_taken_up_without_restart(world):
    secret = os.path.join(world.folder, "password")

    def change_at_broker(password):
        world.rabbitmq.eval(f'ok = rabbit_auth_backend_internal:change_password(<<"rotating">>, <<"{password}">>, <<"muskrat">>)')

    def change(password):
        with open(secret, "w", encoding="utf-8") as f:
            f.write(password + "\n")

    world.rabbitmq.ctl("add_user", "rotating", "first", check=False)
    world.rabbitmq.ctl("set_permissions", "-p", world.vhost, "rotating", ".*", ".*", ".*")
    os.makedirs(world.folder, exist_ok=True)
    change("first")
    change_at_broker("first")  # the user may be of an earlier run
    url = world.broker.url.replace("guest:guest@", "rotating@")
    world.stand({"a": {"kind": "null", "subscribe": "#"}}, broker={"url": url, "password": f"${{file:{secret}}}"})
    world.customers(1)
    world.settled()
    change_at_broker("second")
    change("second")
    world.broker.close_connections()
    time.sleep(0.5)
    world.customers(2, 3)
    for daemon in (world.relay, world.consumer):
        daemon.wait_ready()
    world.settled()
    assert "ACCESS_REFUSED" not in world.relay.log(200) + world.consumer.log(200)
    # The other way round, the broker's first: what is refused meanwhile is tried again.
    change_at_broker("third")
    world.broker.close_connections()
    world.customers(4)
    world.wait_log(world.relay, "ACCESS_REFUSED")
    world.wait_log(world.consumer, '"event":"connecting".*ACCESS_REFUSED')
    change("third")
    for daemon in (world.relay, world.consumer):
        daemon.wait_ready()
    world.settled()
