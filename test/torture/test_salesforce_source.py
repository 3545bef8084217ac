"""A first run of the source kind salesforce over a whole org: a million records, while locators expire, sessions end and answers are lost.

Each record is told, few of them twice, in memory that does not grow with their number, and with few more calls than their pages.
"""
import collections
import math
import os
import shutil

import pytest

from doubles.salesforce import Salesforce
from harness import clients
from harness.processes import wait_until
from harness.program import Program
from rig import BUILD, LONG

PAGE = 2000
MEMORY = 200 << 20

Form = collections.namedtuple("Form", "records traps")  # traps: how often in a row; a session that was made anew is not refused
SHORT = Form(30_000, {"expire_locator": 1})
LONG_FORM = Form(1_000_000, {"expire_locator": 4, "expire_session": 1, "lose": 4, "cut": 4, "unavailable": 4})


@pytest.fixture
def stand(rabbitmq):
    folder = os.path.join(BUILD, "check", "torture-salesforce-source")
    shutil.rmtree(folder, ignore_errors=True)
    vhost = rabbitmq.create_vhost("salesforce-source")
    program = Program(folder, BUILD)
    with Salesforce(daily_limit=1_000_000) as server:
        program.configure(
            clients.Broker(rabbitmq, vhost).url, relay={"state": f"{folder}/relay.sqlite"}, consumer={"state": f"{folder}/host.sqlite"},
            endpoints={"out": {"kind": "file", "path": f"{folder}/out.jsonl", "subscribe": ["Salesforce.#"], "fields": ["Id"],
                               "rotate_bytes": "1TiB"}},
            sources={"crm": {"kind": "salesforce", "login_url": server.url(), "login": "client_credentials", "client_id": "consumer-key",
                             "client_secret": "consumer-secret", "object": "Contact", "select": ["LastName"], "every": "1d",
                             "requests": 1000, "timeout": "45s"}})
        program.setup()
        yield server, program, f"{folder}/out.jsonl"
    program.stop()
    rabbitmq.delete_vhost(vhost)


def test_salesforce_a_whole_org_is_told_in_bounded_memory_with_few_calls(stand):
    server, program, path = stand
    form = LONG_FORM if LONG else SHORT
    server.org.generate("Contact", form.records, lambda n: {"LastName": f"c{n}"}, "2025-03-01T00:00:00Z", per_stamp=100)
    pages = math.ceil(form.records / PAGE)
    for n, (trap, times) in enumerate(form.traps.items()):  # each at a place of its own: a call is tried eight times
        server.traps.set(**{trap: times}, only="/query/", skip=pages * (n + 1) // (len(form.traps) + 1))
    text, memory = program.measured("produce", "crm", "--json", timeout=1800)
    calls = server.journal.count("/services/data")
    print(f"{form.records} records, {calls} calls where {pages} are the least, {memory >> 20} MiB; {text.splitlines()[-1]}")
    host = program.consume()
    wait_until(lambda: lines(path) >= form.records, 1200, "the events")
    with open(path, encoding="utf-8") as f:
        told = collections.Counter(text.partition('"Id":"')[2][:18] for text in f)
    assert host.stop() == 0
    assert len(told) == form.records and sum(told.values()) - form.records <= PAGE
    assert memory <= MEMORY
    assert calls <= max(1.1 * pages, pages + 8)


def lines(path):
    if not os.path.exists(path):
        return 0
    with open(path, "rb") as f:
        return sum(block.count(b"\n") for block in iter(lambda: f.read(1 << 20), b""))
