"""jq in mappings: what the shell shows of it, and what becomes of expressions that run away inside a real host."""
import glob
import json
import os
import re
import signal
import subprocess

import pytest

from harness import build as where
from harness.processes import wait_until

BUILD = where.default_build()
MUSKRAT = os.path.join(BUILD, "muskrat")

CONFIG = """
broker: {url: "amqp://u@h/"}
endpoints:
  hook:
    kind: http
    url: https://hook.example.com/
    subscribe: [Frontend.Customer.*]
    when:
      jq: .email | test("@")
    fields:
      - {to: id, from: id, as: text}
      - {to: tags, jq: '[.tags[]? | ascii_downcase]'}
      - {to: name, from: [company, username], jq: 'split(" ") | first'}
      - {to: at, jq: '$event.captured_at'}
    tests:
      - name: tags are in small letters
        event: {routing_key: Frontend.Customer.Signup, captured_at: "2026-11-23T21:12:14.5Z",
                body: {id: 7, email: a@b, tags: [A, b], company: Ann Smith}}
        expect: {id: "7", tags: [a, b], name: Ann, at: "2026-11-23T21:12:14.500000Z"}
      - {name: no address, event: {routing_key: Frontend.Customer.Signup, body: {id: 7, email: x}}, expect_skip: true}
      - {name: no text, event: {routing_key: Frontend.Customer.Signup, body: {id: 7, email: 12}}, expect_dead: cannot be matched}
      - name: an id that jq does not hold
        event: {routing_key: Frontend.Customer.Signup, body: {id: 9007199254740993, email: a@b}}
        expect_dead: a number of 2^53 or beyond
"""


def muskrat(folder, *args, input=None):
    return subprocess.run([MUSKRAT, *args, "--config", str(folder / "muskrat.yaml")], capture_output=True, text=True, timeout=60,
                          check=False, cwd=folder, input=input)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "muskrat.yaml").write_text(CONFIG)
    return tmp_path


# ---- no server needed ----


def test_jq_test_and_explain_show_what_it_makes(folder):
    done = muskrat(folder, "test")
    assert (done.returncode, done.stderr) == (0, "")
    assert "4 passed, 0 failed" in done.stdout
    event = {"routing_key": "Frontend.Customer.Signup", "body": {"id": 7, "email": "a@b", "tags": ["X"], "username": "u v"}}
    done = muskrat(folder, "explain", "-", "--json", input=json.dumps(event))
    assert json.loads(done.stdout)["endpoints"][0]["sends"] == {"id": "7", "tags": ["x"], "name": "u", "at": None}
    event["body"]["company"] = ["secret"]
    done = muskrat(folder, "explain", "-", input=json.dumps(event))
    assert done.returncode == 3 and "secret" not in done.stdout
    assert "dead letter: field name cannot be computed: split input and separator must be strings" in done.stdout


def test_jq_check_finds_syntax_errors_and_refused_builtins_each_with_its_line(folder):
    text = CONFIG.replace(".email | test(\"@\")", ".email | test(").replace("$event.captured_at", "now") \
                 .replace("[.tags[]? | ascii_downcase]", "[.tags[] | lower]").replace('split(" ") | first', "[$ENV.HOME, .]")
    (folder / "muskrat.yaml").write_text(text)
    done = muskrat(folder, "check")
    assert done.returncode == 2
    for says in ("muskrat.yaml:9: error: endpoints.hook: when: jq: syntax error",
                 "muskrat.yaml:12: error: endpoints.hook: field tags: jq: lower/0 is not defined, line 1",
                 "muskrat.yaml:13: error: endpoints.hook: field name: jq: $ENV is refused: an expression sees the event alone",
                 "muskrat.yaml:14: error: endpoints.hook: field at: jq: now is refused"):
        assert says in done.stdout, done.stdout


def test_jq_definitions_in_the_home_folder_do_not_count(folder, monkeypatch):
    """jq reads ~/.jq: what an expression means would hang on who checks it."""
    monkeypatch.setenv("HOME", str(folder))
    (folder / ".jq").write_text("def ascii_downcase: \"mine\";\ndef shout: ascii_upcase;\n")
    assert "4 passed, 0 failed" in muskrat(folder, "test").stdout
    (folder / "muskrat.yaml").write_text(CONFIG.replace("[.tags[]? | ascii_downcase]", ".email | shout"))
    assert "shout/0 is not defined" in muskrat(folder, "check").stdout


def test_jq_of_the_whole_document_skips_what_it_makes_nothing_of(folder):
    (folder / "muskrat.yaml").write_text("""
broker: {url: "amqp://u@h/"}
endpoints:
  hook:
    kind: http
    url: https://hook.example.com/
    subscribe: ['#']
    jq: |
      # customers alone
      select($event.object == "Customer")
      | {customer: {id, state: (if $event.op == "delete" then "gone" else "known" end)}}
    tests:
      - {name: known, event: {routing_key: A.Customer.B, body: {id: 7}}, expect: {customer: {id: 7, state: known}}}
      - {name: gone, event: {routing_key: A.Customer.B, op: delete, body: {id: 7}}, expect: {customer: {id: 7, state: gone}}}
      - {name: other, event: {routing_key: A.Order.B, body: {id: 7}}, expect_skip: true}
""")
    done = muskrat(folder, "test")
    assert done.returncode == 0 and "3 passed" in done.stdout, done.stdout


# ---- in a real host ----


def lines(path):
    """What the host has written; not a line at which it is just now."""
    with open(path, encoding="utf-8") as f:
        return [json.loads(line)["body"] for line in f if line.endswith("\n")]


def evaluators(host):
    """The host's children that run jq."""
    found = []
    for stat in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(stat, encoding="ascii", errors="replace") as f:
                pid, name, parent = re.match(r"(\d+) \((.*)\) \S (\d+) ", f.read()).groups()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
        if name == "muskrat jq" and int(parent) == host:
            found.append(int(pid))
    return found


def stand_with(world, jq, **more):
    out = os.path.join(world.folder, "out.jsonl")
    archive = {"kind": "file", "subscribe": ["Frontend.Customer.*"], "path": out, "jq": jq, **more}
    world.stand({"analytics": world.mirror(), "archive": archive})
    return out


def test_jq_runaways_become_dead_letters_and_nobody_waits_for_them(world):
    out = stand_with(world, """
        if .company == "endless" then (def f: f; f)
        elif .company == "memory" then reduce range(40) as $i ("xxxxxxxx"; . + .)
        elif .company == "wrong" then .email + 1
        else {id} end""")
    companies = {2: "endless", 4: "memory", 6: "wrong"}
    for n in range(1, 9):
        world.customers(n, company=companies.get(n, "fine"))
    world.wait_equal()
    wait_until(lambda: len(lines(out)) == 5, 60, "the five others")
    assert sorted(line["id"] for line in lines(out)) == [1, 3, 5, 7, 8]
    world.broker.wait_depth("muskrat.archive.dead", 3)
    letters = [json.loads(line) for line in world.program.ok("dead", "list", "archive", "--json").splitlines()]
    assert sorted(letter["reason"] for letter in letters) == [
        "the document cannot be computed: jq ran for more than 1 s of processor time and was stopped",
        "the document cannot be computed: jq took more than 256 MiB of memory and was stopped",
        "the document cannot be computed: string (…) and number (…) cannot be added"]
    # The host itself was never in it: no memory taken, the same process.
    assert world.consumer.running() and world.consumer.rss_kib("VmHWM") < 150 * 1024
    world.customers(9, company="fine")
    wait_until(lambda: len(lines(out)) == 6, 60, "one more")


def test_jq_expression_that_runs_away_over_every_event_makes_its_endpoint_wait(world):
    """Not a dead letter for each of a million events: the endpoint stands and says why."""
    stand_with(world, "def f: f; f", circuit_first="100ms", circuit_most="500ms")
    world.customers(*range(1, 12))
    world.wait_equal()
    world.wait_log(world.consumer, "event after event, jq ran for more than 1 s")
    page = world.consumer.get("/")[1]
    assert "archive" in (page if isinstance(page, str) else page.decode())


def test_jq_evaluator_killed_again_and_again_loses_nothing(world):
    out = stand_with(world, "{id, name: (.company | ascii_upcase)}", circuit_first="100ms", circuit_most="200ms", batch_size=20)
    world.customers(1, company="first")
    wait_until(lambda: os.path.exists(out) and len(lines(out)) == 1, 60, "the first")
    world.sql("INSERT INTO customers (id, email, company) SELECT n, 'x', 'c' || n FROM generate_series(2, 3000) n")
    killed = set()

    def killing():
        # Not for ever: on a busy machine one might never come to its first event.
        for pid in set(evaluators(world.consumer.pid)) - killed if len(killed) < 30 else ():
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
        return len(lines(out)) >= 3000
    wait_until(killing, 90, "every event", 0.3)
    assert sorted(line["id"] for line in lines(out)) == list(range(1, 3001))
    assert all(line["name"] in ("FIRST", f"C{line['id']}") for line in lines(out))
    assert killed and world.broker.depth("muskrat.archive.dead") == 0
    world.wait_equal()


def test_jq_evaluators_end_with_their_host(world):
    out = stand_with(world, "{id}")
    world.customers(1)
    wait_until(lambda: os.path.exists(out) and len(lines(out)) == 1, 60, "the first")
    pids = evaluators(world.consumer.pid)
    assert len(pids) == 1
    os.kill(world.consumer.pid, signal.SIGKILL)
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), 60, "the evaluator to end")
