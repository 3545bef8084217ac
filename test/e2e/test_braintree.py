"""The source kind braintree against the double of the gateway: searches in two steps, caps, whole minutes, XML that lies.

All runs are `muskrat produce`'s: one run each, with its figures.
"""
import contextlib
import datetime
import json
import sqlite3

import pytest

from doubles.braintree import Braintree

NOW = None  # of each test anew: pytest reads this file long before it runs it
TRAPS = {  # what the run says; None: it is asked again, and nobody notices
    "not_well_formed": "what is no good XML: no element found", "doctype": "it has a document type",
    "external_entity": "it has a document type",
    "entity_bomb": "it has a document type", "reshape": "what is no", "html": "what is no good XML", "empty": "what is no good XML",
    "search_timeout": None, "vanish": None, "no_id": "one of its transactions without id", "drop": None, "lose": None, "cut": None,
    "error": None, "throttle": None}
TRAPS_AT_ONCE = ("search_timeout", "reshape", "vanish", "no_id")  # which count only the answers that they could spoil


def at(**ago):
    return (NOW - datetime.timedelta(**ago)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture(autouse=True)
def begun():
    global NOW
    NOW = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None, microsecond=0)


@pytest.fixture
def gateway():
    made = []

    def make(**options):
        made.append(Braintree(**options))
        return made[-1]
    yield make
    for server in made:
        server.stop()


def configure(world, server, **more):
    source = {"kind": "braintree", "gateway": server.url(), "merchant": "merchant", "public_key": "public", "private_key": "private",
              "object": "transactions", "every": "1d", "retry": "1s", "requests": 1000, **more}
    world.program.configure(world.broker.url, sources={"shop": source}, relay={"state": world.folder + "/relay.sqlite"})
    world.program.setup()
    return world.observe()


def produce(world, *args, code=0):
    done = world.program.run("produce", "shop", "--json", *args, timeout=300)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def failure(world):
    return produce(world, code=1)["failure"]


def told(seen, count):
    """(id, status) of each event."""
    seen.wait(count)
    return [(d.json["id"], d.json.get("status")) for d in seen.deliveries]


def scanned_long_ago(world):
    """As if the last whole scan, and all that was seen, had been two days ago."""
    with contextlib.closing(sqlite3.connect(world.folder + "/relay.sqlite")) as state, state:
        cursor = json.loads(state.execute("SELECT cursor FROM scheduled").fetchone()[0])
        state.execute("UPDATE scheduled SET cursor = ?", (json.dumps([cursor[0], at(days=2), *cursor[2:]]),))
        state.execute("UPDATE known SET digest = ?", (at(days=2),))


def test_braintree_transactions_are_told_and_each_change_of_status_again(world, gateway):
    server = gateway()
    seen = configure(world, server)
    server.vault.customer("c1", at(days=3), email="a@example.com")
    server.vault.sale("t1", at(days=40), "12.50", customer="c1")
    server.vault.sale("t2", at(minutes=3))
    assert produce(world)["sent"] == 2
    assert produce(world)["sent"] == 0
    seen.wait(2)
    first = seen.deliveries[1]  # what is new comes before what the scan finds
    assert (first.routing_key, first.key, first.op) == ("Braintree.Transaction.Changed", 'Braintree.Transaction:["t1"]', "record")
    body = first.json
    assert body["object"] == "Transaction" and body["amount"] == "12.50" and body["order_id"] is None and body["recurring"] is False
    assert body["status_history"][0]["status"] == "authorized" and body["customer"]["email"] == "a@example.com" and body["disputes"] == []
    server.vault.transition("t1", "settled", at(minutes=1))
    server.vault.transition("t2", "voided", at(minutes=1))
    assert produce(world)["sent"] == 2
    assert produce(world)["sent"] == 0
    assert sorted(told(seen, 4)[2:]) == [("t1", "settled"), ("t2", "voided")]


def test_braintree_what_no_search_finds_is_found_by_the_scan(world, gateway):
    server = gateway()
    seen = configure(world, server)
    server.vault.sale("t1", at(days=5))
    server.vault.sale("t2", at(days=50))
    produce(world)
    server.vault.transition("t1", "settlement_declined", at(minutes=1))  # has no time that can be searched for
    server.vault.dispute("t2", "d1", at(days=1)[:10], at(minutes=1))
    assert produce(world)["sent"] == 0
    scanned_long_ago(world)
    assert produce(world)["sent"] == 2
    assert produce(world)["sent"] == 0
    assert told(seen, 4)[2] == ("t1", "settlement_declined") and seen.deliveries[3].json["disputes"][0]["id"] == "d1"


@pytest.mark.parametrize("kind", ["customers", "subscriptions"])
def test_braintree_customers_and_subscriptions_are_told_and_their_changes_by_the_scan(world, gateway, kind):
    server = gateway()
    seen = configure(world, server, object=kind)
    make = {"customers": server.vault.customer, "subscriptions": server.vault.subscription}[kind]
    make("a", at(days=400))
    make("b", at(minutes=2))
    assert produce(world)["sent"] == 2
    make("c", at(minutes=1))
    server.vault.change(kind, "a", at(minutes=1), company="A & B <i>") if kind == "customers" else server.vault.change(
        kind, "a", at(minutes=1), status="Past Due", days_past_due=3)
    assert produce(world)["sent"] == 1
    scanned_long_ago(world)
    assert produce(world)["sent"] == 1
    seen.wait(4)
    last = seen.deliveries[3].json
    assert last["id"] == "a" and (last["company"] == "A & B <i>" if kind == "customers" else last["days_past_due"] == 3)
    assert {d.routing_key for d in seen.deliveries} == {f"Braintree.{kind[:-1].capitalize()}.Changed"}


def test_braintree_customers_that_are_deleted_are_told_by_the_scan(world, gateway):
    server = gateway(page_size=2)
    seen = configure(world, server, object="customers")
    for name in "abcde":
        server.vault.customer(name, at(days=9))
    assert produce(world)["sent"] == 5
    for name in "bd":
        server.vault.remove("customers", name)
    assert produce(world)["sent"] == 0
    scanned_long_ago(world)
    end = produce(world)
    assert (end["sent"], end["deleted"]) == (2, 2)
    seen.wait(7)
    gone = seen.deliveries[5:]
    assert [(d.routing_key, d.key, d.op) for d in gone] == [
        ("Braintree.Customer.Deleted", f'Braintree.Customer:["{name}"]', "delete") for name in "bd"]
    assert gone[0].body == '{"object":"Customer","change":"Deleted","id":"b"}'
    server.vault.customer("b", at(minutes=0))  # another one of the same id
    scanned_long_ago(world)
    end = produce(world)
    assert (end["sent"], end["deleted"]) == (1, 0)
    seen.wait(8)
    assert (seen.deliveries[7].json["id"], seen.deliveries[7].op) == ("b", "record")


def test_braintree_customers_out_of_a_scans_reach_are_not_deleted(world, gateway):
    server = gateway()
    configure(world, server, object="customers")
    server.vault.customer("old", at(days=90))
    server.vault.customer("new", at(days=1))
    assert produce(world)["sent"] == 2
    world.program.config["sources"]["shop"]["start"] = "30d"
    world.program.save()
    scanned_long_ago(world)
    end = produce(world)
    assert (end["sent"], end["deleted"]) == (0, 0)
    assert produce(world, "--since", "30d")["deleted"] == 0


def test_braintree_since_behind_a_scan_that_did_not_end_leaves_the_scan_as_it_is(world, gateway):
    server = gateway()
    seen = configure(world, server)
    produce(world)
    server.vault.sale("old", at(days=90))
    with contextlib.closing(sqlite3.connect(world.folder + "/relay.sqlite")) as state, state:
        reached = json.loads(state.execute("SELECT cursor FROM scheduled").fetchone()[0])[0]
        state.execute("UPDATE scheduled SET cursor = ?", (json.dumps([reached, "", reached, at(days=100)]),))
    end = produce(world, "--since", "30d")
    assert end["sent"] == 0 and end["cursor"] == end["cursor_before"]
    assert produce(world)["sent"] == 1
    assert [each for each, _ in told(seen, 1)] == ["old"]


def test_braintree_where_most_customers_are_gone_none_is_told_as_deleted(world, gateway):
    server = gateway()
    seen = configure(world, server, object="customers")
    for n in range(150):
        server.vault.customer(f"c{n}", at(days=9))
    assert produce(world)["sent"] == 150
    for n in range(110):
        server.vault.remove("customers", f"c{n}")
    scanned_long_ago(world)
    assert "most_deleted: 110 of 150 known rows are gone" in failure(world)
    world.program.config["sources"]["shop"]["most_deleted"] = 80
    world.program.save()
    assert produce(world)["deleted"] == 110
    assert len([d for d in seen.wait(260) if d.op == "delete"]) == 110


def test_braintree_deletes_none_leaves_deletions_out(world, gateway):
    server = gateway()
    configure(world, server, object="customers", deletes="none", key=["id", "created_at"])
    server.vault.customer("a", at(days=9))
    assert produce(world)["sent"] == 1
    server.vault.remove("customers", "a")
    scanned_long_ago(world)
    end = produce(world)
    assert (end["sent"], end["deleted"]) == (0, 0)
    del world.program.config["sources"]["shop"]["deletes"]
    world.program.save()
    assert "let key be id, or deletes be none" in world.program.run("check").stdout


def test_braintree_more_than_a_search_tells_is_read_in_halves_though_all_lies_within_minutes(world, gateway):
    """Upper bounds count the whole minute: halves that overlapped would tell twice, and such that left a gap would lose."""
    server = gateway(transaction_cap=8, page_size=3)
    seen = configure(world, server, search_limit=8)
    for n in range(60):
        server.vault.sale(f"t{n}", at(minutes=40, seconds=-20 * n))
    for n in range(15):
        server.vault.sale(f"u{n}", at(days=100 * n + 1))
    end = produce(world)
    assert end["sent"] == 75
    assert len({key for key, _ in told(seen, 75)}) == 75
    assert produce(world)["sent"] == 0


def test_braintree_more_than_a_search_tells_in_one_minute_fails_the_run_with_that_minute(world, gateway):
    server = gateway(transaction_cap=5)
    configure(world, server, search_limit=5)
    for n in range(6):
        server.vault.sale(f"t{n}", at(days=3)[:17] + "30Z")
    assert f"Braintree has 5 or more transactions by created-at in the minute of {at(days=3)[:17]}00Z" in failure(world)


def test_braintree_cap_of_20000_loses_nothing(world, gateway):
    server = gateway()
    configure(world, server)
    for n in range(20_050):
        server.vault.sale(f"t{n}", at(days=20, minutes=-n))
    assert produce(world)["sent"] == 20_050
    assert server.journal.noted("capped")


def test_braintree_row_that_is_seen_late_is_told(world, gateway):
    server = gateway()
    seen = configure(world, server)
    server.vault.sale("t1", at(minutes=8))
    server.vault.sale("late", at(minutes=9), hidden=True)
    server.vault.transition("t1", "settled", at(minutes=5), hidden=True)
    assert produce(world)["sent"] == 1
    server.vault.reveal()
    assert produce(world)["sent"] == 2
    assert sorted(told(seen, 3)[1:]) == [("late", "submitted_for_settlement"), ("t1", "settled")]


@pytest.mark.parametrize("trap", list(TRAPS))
def test_braintree_answer_that_is_none_is_asked_for_again_or_fails_the_run_and_nothing_is_lost(world, gateway, trap):
    server = gateway(page_size=2)
    seen = configure(world, server)
    for n in range(6):
        server.vault.sale(f"t{n}", at(days=1, minutes=-n))
    server.traps.set(**{trap: 1}, only="/advanced_search", skip=0 if trap in TRAPS_AT_ONCE else 12)
    why = TRAPS[trap]
    if why is not None:
        said = failure(world)
        assert why in said and "t0" not in said
    produce(world)
    assert sorted(key for key, _ in told(seen, 6)) == [f"t{n}" for n in range(6)]
    assert produce(world)["sent"] == 0
    assert len(seen.quiet()) == 6


def test_braintree_keys_that_are_rotated_in_mid_run_are_read_anew(world, gateway, monkeypatch):
    server = gateway(page_size=2)
    paths = {name: f"{world.folder}/{name}" for name in ("public", "private")}

    def keep(suffix):
        for name, path in paths.items():
            with open(path, "w", encoding="utf-8") as f:
                f.write(name + suffix)
    keep("")
    seen = configure(world, server, public_key=f"${{file:{paths['public']}}}", private_key=f"${{file:{paths['private']}}}")
    for n in range(6):
        server.vault.sale(f"t{n}", at(days=1, minutes=-n))
    page = server._page

    def rotated_first(*args):
        if server.public_key == "public":
            keep("-2")
            server.rotate("public-2", "private-2")
        return page(*args)
    monkeypatch.setattr(server, "_page", rotated_first)
    assert produce(world)["sent"] == 6
    told(seen, 6)
    keep("-3")
    assert "Braintree answered 401: the keys are wrong" in failure(world)


def test_braintree_check_online_says_whether_the_keys_may_search(world, gateway):
    server = gateway()
    configure(world, server)
    assert "Braintree lets us search for transactions" in world.program.run("check", "--online").stdout
    server.traps.set(forbidden=True)
    assert "403: these keys may not search" in world.program.run("check", "--online").stdout
    assert "403: these keys may not search" in failure(world)
