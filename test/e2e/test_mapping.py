"""Mapping: explain and test from the shell, the manual's own examples, and a mapping through real endpoints."""
import json
import os
import re
import subprocess

import pytest

from harness import build as where
from harness.processes import wait_until
from harness.program import Program

BUILD = where.default_build()
MUSKRAT = os.path.join(BUILD, "muskrat")

CONFIG = """
broker: {url: "amqp://u@h/"}
endpoints:
  analytics:
    kind: postgres
    subscribe: [Frontend.Customer.*]
    dsn: host=/nowhere
    routes:
      - {table: public.customers, key: [id], columns: [id, {to: email, required: true}]}
  hook:
    kind: http
    url: https://hook.example.com/
    subscribe: [Frontend.Customer.Signup]
    when: {op: insert}
    fields: [{to: customer.id, from: id}]
%s
"""
SIGNUP = {"routing_key": "Frontend.Customer.Signup", "op": "insert", "body": {"id": 7, "email": "a@b.example"}}


def muskrat(folder, *args, input=None):
    return subprocess.run([MUSKRAT, *args, "--config", str(folder / "muskrat.yaml")], capture_output=True, text=True, timeout=60,
                          check=False, cwd=folder, input=input)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "muskrat.yaml").write_text(CONFIG % "")
    return tmp_path


# ---- no server needed ----


def test_mapping_explain_shows_rows_documents_and_nobody_else(folder):
    done = muskrat(folder, "explain", "-", "--json", input=json.dumps(SIGNUP))
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {"routing_key": "Frontend.Customer.Signup", "endpoints": [
        {"endpoint": "analytics", "kind": "postgres", "fate": "sends",
         "sends": [{"table": "public.customers", "effect": "upsert", "values": {"id": 7, "email": "a@b.example"}}]},
        {"endpoint": "hook", "kind": "http", "fate": "sends", "sends": {"customer": {"id": 7}}}]}
    text = muskrat(folder, "explain", "-", input=json.dumps(SIGNUP)).stdout
    assert "upsert public.customers" in text and '"a@b.example"' in text and "hook (http) sends" in text
    other = muskrat(folder, "explain", "-", input=json.dumps(SIGNUP | {"routing_key": "Shop.Order.New"}))
    assert other.returncode == 0 and "no endpoint subscribes to it" in other.stdout


def test_mapping_explain_of_a_dead_letter_exits_3_and_names_the_field(folder):
    done = muskrat(folder, "explain", "-", "--only", "analytics", input=json.dumps(SIGNUP | {"body": {"id": 7}}))
    assert done.returncode == 3
    assert "analytics (postgres) dead letter: field email is required, but the body has no email" in done.stdout


def test_mapping_explain_keeps_every_digit(folder):
    line = '{"routing_key":"Frontend.Customer.Signup","body":{"id":12345678901234567890.10,"email":"x"}}'
    assert '"id":12345678901234567890.10' in muskrat(folder, "explain", "-", "--json", input=line).stdout


@pytest.mark.parametrize("line, says", [
    ("{", "standard input:1: not JSON"),
    ("", "standard input holds no event"),
    ('{"body":{}}', "routing_key is missing"),
    ('{"routing_key":"a.b","body":{}}', "routing_key: it has 2 words"),
    ('{"routing_key":"a.b.c"}', "body is missing"),
    ('{"routing_key":"a.b.c","body":{},"op":"upsert"}', "op is none of insert"),
    ('{"routing_key":"a.b.c","bdy":{}}', "unknown member bdy (did you mean body?)"),
    ('{"routing_key":"a.b.c","body":{},"seq":"x"}', "seq is not a whole number"),
    ('{"routing_key":"a.b.c","body":{}}\n{"routing_key":1}', "standard input:2: routing_key is not a text"),
])
def test_mapping_explain_of_what_is_no_event_exits_2_and_says_why(folder, line, says):
    done = muskrat(folder, "explain", "-", input=line)
    assert done.returncode == 2 and says in done.stderr, done.stderr


CASES = """
    tests:
      - {name: signs up, event: {routing_key: Frontend.Customer.Signup, body: {id: 7}}, expect: {customer: {id: 7}}}
      - {name: is skipped, event: {routing_key: Frontend.Customer.Signup, op: update, body: {id: 7}}, expect_skip: true}
      - {name: is no body, event: {routing_key: Frontend.Customer.Signup, text: "x"}, expect_dead: not JSON}
"""


def test_mapping_test_runs_the_cases_and_reports_each(folder):
    (folder / "muskrat.yaml").write_text(CONFIG % CASES)
    done = muskrat(folder, "test")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "ok      hook: signs up\nok      hook: is skipped\nok      hook: is no body\n3 passed, 0 failed\n"


def test_mapping_test_shows_how_expected_and_got_differ_and_exits_3(folder):
    (folder / "muskrat.yaml").write_text(CONFIG % CASES.replace("{customer: {id: 7}}", "{customer: {id: 7.0, name: x}}"))
    done = muskrat(folder, "test")
    assert done.returncode == 3 and "2 passed, 1 failed" in done.stdout
    assert re.search(r"FAILED  hook: signs up  \(\S+muskrat.yaml:18\)\n +customer.id: expected 7.0, got 7\n"
                     r" +customer.name: expected \"x\", got nothing\n", done.stdout), done.stdout
    (folder / "muskrat.yaml").write_text(CONFIG % CASES.replace("op: update, ", ""))
    assert "expected that it is skipped, but it sends" in muskrat(folder, "test").stdout


def test_mapping_test_without_cases_says_so(folder):
    done = muskrat(folder, "test")
    assert done.returncode == 3 and "There are no cases" in done.stderr


def test_mapping_test_runs_the_chosen_cases_alone_and_quietly(folder):
    (folder / "muskrat.yaml").write_text(CONFIG % CASES.replace("op: update, ", ""))
    done = muskrat(folder, "test", "--match", "signs")
    assert (done.returncode, done.stdout) == (0, "ok      hook: signs up\n1 passed, 0 failed\n")
    done = muskrat(folder, "test", "-q")
    assert done.returncode == 3 and done.stdout.startswith("FAILED  hook: is skipped") and "ok " not in done.stdout
    assert "2 passed, 1 failed" in done.stdout
    done = muskrat(folder, "test", "--only", "analytics")
    assert done.returncode == 3 and "None of the 3 cases is chosen" in done.stderr


def test_mapping_explain_of_a_url_that_cannot_be_filled_is_a_dead_letter(folder):
    (folder / "muskrat.yaml").write_text(CONFIG.replace("hook.example.com/", "hook.example.com/{nr}") % "")
    done = muskrat(folder, "explain", "-", "--only", "hook", input=json.dumps(SIGNUP))
    assert done.returncode == 3 and "dead letter: url: " in done.stdout


def test_mapping_explain_of_a_backfill_asks_who_subscribes_to_what_it_stands_for(folder):
    event = SIGNUP | {"routing_key": "Frontend.Customer.Backfill", "op": "backfill", "as": "Signup Update"}
    done = muskrat(folder, "explain", "-", "--only", "hook", input=json.dumps(event))
    assert done.returncode == 0 and "hook (http) skips it" in done.stdout


def test_mapping_test_takes_cases_from_files(folder):
    (folder / "cases.yaml").write_text("tests:\n  - {name: a row, endpoint: analytics, event: %s,\n     expect: {table: public.customers, "
                                       "effect: upsert, values: {id: 7, email: a@b.example}}}\n" % json.dumps(SIGNUP))
    done = muskrat(folder, "test", "cases.yaml")
    assert done.returncode == 0 and "ok      analytics: a row\n1 passed, 0 failed" in done.stdout
    (folder / "cases.yaml").write_text("tests: [{name: x, event: {}, expect: 1}]\n")
    done = muskrat(folder, "test", "cases.yaml")
    assert done.returncode == 2 and "cases.yaml:1: error: tests: the case \"x\": event: routing_key is missing" in done.stderr


def test_mapping_check_finds_mistakes_in_mapping_and_cases_at_once_with_their_lines(folder):
    (folder / "muskrat.yaml").write_text((CONFIG % CASES.replace("expect_skip: true", "expect_skip: false"))
                                         .replace("[{to: customer.id, from: id}]", "[{to: a, from: id}, {to: a.b, from: $nonsense}]"))
    done = muskrat(folder, "check")
    assert done.returncode == 2
    for says in ("muskrat.yaml:15: error: endpoints.hook: field a.b: $nonsense is no part of an event",
                 "muskrat.yaml:15: error: endpoints.hook: field a.b: it cannot be both a value and an object",
                 "muskrat.yaml:19: error: endpoints.hook: tests: the case \"is skipped\" needs one of expect"):
        assert says in done.stdout, done.stdout


def test_mapping_manual_examples_pass(tmp_path):
    with open(os.path.join(where.TOP, "docs", "mapping.md"), encoding="utf-8") as f:
        example = re.search(r"```yaml\n(broker:.*?)```", f.read(), re.S).group(1)
    (tmp_path / "muskrat.yaml").write_text(example)
    done = muskrat(tmp_path, "check")
    assert done.returncode == 0, done.stdout
    done = muskrat(tmp_path, "test")
    assert done.returncode == 0 and " 0 failed" in done.stdout and "passed" in done.stdout, done.stdout


# ---- through real endpoints ----


def test_mapping_reaches_database_and_file_and_what_fails_is_dead_alone(world):
    world.tsql("CREATE TABLE mapped (id bigint PRIMARY KEY, email text, volume int, plan text)")
    columns = ["id", {"to": "email", "lower": True, "trim": True}, {"to": "volume", "from": "subscription.volume", "as": "integer"},
               {"to": "plan", "from": "subscription.rate", "lookup": {"0.0": "free"}, "default": "paid"}]
    out = os.path.join(world.folder, "out.jsonl")
    endpoints = {
        "analytics": world.mirror(routes=[{"table": "mapped", "key": ["id"], "columns": columns}]),
        "archive": {"kind": "file", "subscribe": ["Frontend.Customer.*"], "path": out, "when": {"op": ["insert"]},
                    "fields": [{"to": "customer.id", "from": "id"}, {"to": "customer.name", "from": ["company", "username"]}]},
    }
    world.stand(endpoints)
    world.customers(1, volume="200", rate="0.0", username="u1")
    world.customers(2, volume="lots", rate="1.5", company="c2")
    world.customers(3, volume="007", rate="1.5")
    world.sql("UPDATE customers SET email = ' Other@Example.com ' WHERE id = 1")
    world.wait_target("SELECT id, email, volume, plan FROM mapped ORDER BY id",
                      [(1, "other@example.com", 200, "free"), (3, "c3@example.com", 7, "paid")])
    world.broker.wait_depth("muskrat.analytics.dead", 1)
    letters = world.program.ok("dead", "list", "analytics", "--json", "--body")
    letter = json.loads(letters)
    assert letter["reason"] == "field volume is not a whole number"

    def lines():
        with open(out, encoding="utf-8") as f:
            return [json.loads(line)["body"] for line in f]
    wait_until(lambda: len(lines()) == 3, 60, "three lines: the update is skipped")
    assert lines() == [{"customer": {"id": 1, "name": "u1"}}, {"customer": {"id": 2, "name": "c2"}}, {"customer": {"id": 3, "name": None}}]
    # The dead letter as it is listed says why; and what the mended mapping would do.
    program = Program(world.folder + "/mended", BUILD)
    program.config = json.loads(json.dumps(world.program.config))
    program.save()
    path = os.path.join(world.folder, "letter.json")
    with open(path, "w", encoding="utf-8") as f:
        f.write(letters)
    done = program.run("explain", path, "--only", "analytics")
    assert done.returncode == 3 and "field volume is not a whole number" in done.stdout
    program.config["endpoints"]["analytics"]["routes"][0]["columns"][2] = {"to": "volume", "value": 0}
    program.save()
    assert "upsert mapped" in program.ok("explain", path, "--only", "analytics")
