"""The source kind salesforce against the double: what is new, changed, late or deleted, and what its own endpoint wrote.

Most runs are `muskrat produce`'s: one run each, with its figures.
"""
import contextlib
import json
import os
import sqlite3
import time

import pytest

from doubles.salesforce import Salesforce
from doubles.salesforce_org import stamp_of
from harness.processes import wait_until

OLD = "2026-03-01T00:00:00.000+0000"
DAY = 86400


@pytest.fixture
def salesforce():
    with Salesforce() as double:
        yield double


def source(server, **more):
    made = {"kind": "salesforce", "login_url": server.url(), "login": "client_credentials", "client_id": "consumer-key",
            "client_secret": "consumer-secret", "object": "Contact", "select": ["LastName", "Email"], "every": "1d", "retry": "1s",
            "requests": 1000, **more}
    return {name: value for name, value in made.items() if value is not None}


def configure(world, server, endpoints=None, **more):
    sections = {"endpoints": endpoints, "consumer": {"state": world.folder + "/state.sqlite"}} if endpoints else {}
    world.program.configure(world.broker.url, sources={"crm": source(server, **more)}, relay={"state": world.folder + "/relay.sqlite"},
                            **sections)
    world.program.setup()
    return world.observe()


def produce(world, *args, code=0):
    done = world.program.run("produce", "crm", "--json", *args, timeout=60)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def figures(end):
    return end["read"], end["sent"], end["repeated"]


def failure(world):
    return produce(world, code=1)["failure"]


def insert(server, *names, stamp=OLD, **more):
    with server.lock:
        rows = [{"LastName": name, "Email": None, "Ext_Id__c": name} for name in names]
        return [server.org.insert("Contact", row, stamp=stamp, **more) for row in rows]


def edit(server, key, by=None, **values):
    """A change, now, by whom; by default the user as whom the source and the endpoint log in."""
    with server.lock:
        server.org.change("Contact", key, values, by=by or server.org.user)


def names(seen, count):
    seen.wait(count)
    return [d.json["LastName"] for d in seen.deliveries]


def changes(seen, count):
    seen.wait(count)
    return [(d.routing_key.rsplit(".", 1)[1], d.json["LastName"]) for d in seen.deliveries]


def test_salesforce_records_are_told_once_and_changes_and_deletions_again(world, salesforce):
    seen = configure(world, salesforce)
    keys = insert(salesforce, "a", "b", "c")
    assert figures(produce(world)) == (3, 3, 0)
    first = seen.wait(1)[0]
    assert first.body == (f'{{"object":"Contact","change":"Created","Id":"{keys[0]}","LastName":"a","Email":null,'
                          f'"SystemModstamp":"{OLD}"}}')
    assert (first.op, first.routing_key, first.key) == ("record", "Salesforce.Contact.Created", f'Salesforce.Contact:["{keys[0]}"]')
    assert produce(world)["sent"] == 0
    edit(salesforce, keys[0], LastName="A")
    salesforce.org.delete(salesforce.org.objects["Contact"], keys[1])
    assert produce(world)["sent"] == 2
    assert produce(world)["sent"] == 0
    assert changes(seen, 5)[3:] == [("Updated", "A"), ("Deleted", "b")]
    assert [d.op for d in seen.deliveries[3:]] == ["record", "delete"]


def test_salesforce_since_behind_the_cursor_leaves_what_lies_between_to_the_next_run(world, salesforce):
    seen = configure(world, salesforce)
    key = insert(salesforce, "a")[0]
    cursor = produce(world)["cursor"]
    edit(salesforce, key, LastName="A")
    end = produce(world, "--since", "2099-01-01")
    assert (end["sent"], end["cursor_before"], end["cursor"]) == (0, cursor, cursor)
    assert produce(world)["sent"] == 1
    assert names(seen, 2) == ["a", "A"]


def test_salesforce_equal_stamps_across_pages_are_each_told_once_though_the_locator_expires(world, salesforce):
    seen = configure(world, salesforce)
    insert(salesforce, *(f"n{n}" for n in range(20)))
    salesforce.traps.set(page_size=3)
    salesforce.traps.set(expire_locator=2, skip=2)
    end = produce(world)
    assert end["sent"] == 20
    assert sorted(names(seen, 20)) == sorted(f"n{n}" for n in range(20))


def test_salesforce_row_that_becomes_visible_late_is_told_since_the_cursor_waits_for_its_transaction(world, salesforce):
    seen = configure(world, salesforce)
    now = salesforce.clock.now()
    insert(salesforce, "late", stamp=stamp_of(now - 7200), visible_at=float("inf"))
    insert(salesforce, "a", "b", stamp=stamp_of(now - 60))
    assert figures(produce(world)) == (2, 2, 0)
    assert figures(produce(world)) == (2, 0, 2)
    salesforce.org.reveal("Contact")
    assert figures(produce(world)) == (3, 1, 2)
    assert names(seen, 3) == ["a", "b", "late"]


@pytest.mark.parametrize("ahead", [-3600, 3600])
def test_salesforce_whose_clock_is_another_than_ours_is_read_by_its_own(world, salesforce, ahead):
    salesforce.clock.advance(ahead)
    seen = configure(world, salesforce)
    insert(salesforce, "a", stamp=stamp_of(salesforce.clock.now() - 60))
    assert figures(produce(world))[1] == 1
    insert(salesforce, "b", stamp=stamp_of(salesforce.clock.now()))
    assert figures(produce(world))[1] == 1
    assert names(seen, 2) == ["a", "b"]


def test_salesforce_without_covered_what_is_late_by_less_than_the_overlap_is_told(world, salesforce):
    seen = configure(world, salesforce, covered=False, overlap="2h")
    now = salesforce.clock.now()
    insert(salesforce, "a", stamp=stamp_of(now - 10))
    assert produce(world)["sent"] == 1
    insert(salesforce, "late", stamp=stamp_of(now - 3600))
    assert produce(world)["sent"] == 1
    assert names(seen, 2) == ["a", "late"] and salesforce.journal.count("/updated") == 0


def test_salesforce_row_that_changes_while_its_query_is_read_takes_the_cursor_past_no_other(world, salesforce, monkeypatch):
    seen = configure(world, salesforce, page=200)
    keys = insert(salesforce, *"abcdefgh")
    salesforce.traps.set(page_size=2)
    following = salesforce.source.next

    def changed_first(*args):
        edit(salesforce, keys[3], LastName="D")
        return following(*args)
    monkeypatch.setattr(salesforce.source, "next", changed_first)
    salesforce.traps.set(html=1, only="/query/", skip=1)  # the third page
    assert "what is no JSON object" in failure(world)
    monkeypatch.undo()
    produce(world)
    assert sorted(set(names(seen, 8))) == ["D", *"abcefgh"]


def test_salesforce_session_that_ends_in_mid_run_is_renewed(world, salesforce):
    configure(world, salesforce)
    insert(salesforce, *(f"n{n}" for n in range(10)))
    salesforce.traps.set(page_size=2)
    salesforce.traps.set(expire_session=1, only="/query/")
    assert produce(world)["sent"] == 10
    assert salesforce.journal.count("/oauth2/token") == 2


def test_salesforce_refresh_token_that_is_replaced_in_mid_run_is_kept(world, salesforce):
    path = os.path.join(world.folder, "refresh")
    with open(path, "w", encoding="utf-8") as f:
        f.write(salesforce.oauth.refresh_token())
    os.chmod(path, 0o600)
    configure(world, salesforce, login="refresh_token", refresh_token_file=path)
    insert(salesforce, *(f"n{n}" for n in range(10)))
    salesforce.traps.set(page_size=2, rotate=True)
    salesforce.traps.set(expire_session=1, only="/query/", skip=1)
    assert produce(world)["sent"] == 10
    assert produce(world)["sent"] == 0


@pytest.mark.parametrize("trap", ["html", "empty", "error", "drop", "cut", "unavailable", "xml", "lose", "throttle", "query_timeout"])
def test_salesforce_answer_that_is_none_is_asked_for_again_or_fails_the_run_and_nothing_is_lost(world, salesforce, trap):
    seen = configure(world, salesforce)
    insert(salesforce, *(f"n{n}" for n in range(6)))
    salesforce.traps.set(page_size=2)
    salesforce.traps.set(**{trap: 1}, only="/queryAll" if trap == "query_timeout" else "/query/")
    if trap in ("html", "empty"):
        assert "what is no JSON object; look at login_url" in failure(world)
    produce(world)
    assert sorted(names(seen, 6)) == sorted(f"n{n}" for n in range(6))
    produce(world)
    assert len(seen.quiet()) == 6


def test_salesforce_field_without_read_rights_is_named_by_check_and_by_the_run(world, salesforce):
    configure(world, salesforce, select=["LastName", "Levl__c", "Account.Nam", "Owner.Name", "Emial"])
    why = failure(world)
    for part in ("object Contact: it has no readable field Levl__c", "it has no readable field Nam (did you mean Name?)",
                 "it has no readable field Emial (did you mean Email?)"):
        assert part in why
    assert "it has no readable field Levl__c" in world.program.run("check", "--online").stdout
    assert salesforce.journal.count("/query") == 0


def test_salesforce_field_that_goes_while_the_relay_runs_fails_its_runs_with_its_name_until_it_is_back(world, salesforce):
    salesforce.org.add_field("Contact", "Plan__c")
    seen = configure(world, salesforce, select=["LastName", "Plan__c"], every="1s")
    insert(salesforce, "a")
    relay = world.program.relay()
    seen.wait(1)
    salesforce.org.remove_field("Contact", "Plan__c")
    wait_until(lambda: "Plan__c" in world.program.run("status").stdout, 60, "status to name the field")
    salesforce.org.add_field("Contact", "Plan__c")
    insert(salesforce, "b", stamp=None)
    assert names(seen, 2) == ["a", "b"]
    assert relay.stop() == 0


def test_salesforce_query_that_is_refused_fails_the_run_with_its_code_and_no_text_of_it(world, salesforce):
    configure(world, salesforce, where="LastName = = 'secret'")
    why = failure(world)
    assert "MALFORMED_QUERY; look at where" in why and "secret" not in why


def test_salesforce_condition_holds_for_all_that_is_told(world, salesforce):
    seen = configure(world, salesforce, where="LastName = 'a' OR LastName = 'O\\'Neill (x'")
    insert(salesforce, "a", "b", "O'Neill (x")
    assert produce(world)["sent"] == 2
    assert sorted(names(seen, 2)) == ["O'Neill (x", "a"]


def test_salesforce_source_rests_at_its_share_of_the_calls_and_goes_on(world, salesforce):
    seen = configure(world, salesforce, every="1s", quota_rest="1s", quota_share=50)
    insert(salesforce, *(f"n{n}" for n in range(20)))
    salesforce.traps.set(page_size=2)
    salesforce.daily_limit = 8
    relay = world.program.relay(wait=False)  # it is not ready while it rests, which it may before anybody has looked
    wait_until(lambda: "of its 8 API calls of 24 hours, and quota_share is 50" in relay.get("/readyz")[1], 60, "the relay to say so")
    wait_until(lambda: salesforce.journal.noted("REQUEST_LIMIT_EXCEEDED"), 60, "the day's calls to be used up")
    assert len(seen.deliveries) < 20
    salesforce.daily_limit = 10000
    assert sorted(names(seen, 20)) == sorted(f"n{n}" for n in range(20))
    assert relay.stop() == 0


def test_salesforce_deletions_of_the_log_are_told_in_parts_that_salesforce_takes(world, salesforce):
    seen = configure(world, salesforce, deletes="log")
    keys = insert(salesforce, *"abcdefgh")
    produce(world)
    remember(world, known=salesforce.clock.now() - 900)
    salesforce.source.id_limit = 2
    for n, key in enumerate(keys[:5]):
        salesforce.org.change("Contact", key, {"IsDeleted": True}, stamp=stamp_of(salesforce.clock.now() - 700 + 120 * n))
    salesforce.org.empty_bin("Contact")
    assert produce(world)["sent"] == 5
    assert produce(world)["sent"] == 0
    seen.wait(13)
    gone = seen.deliveries[8:]
    assert sorted(d.json["Id"] for d in gone) == sorted(keys[:5]) and {d.routing_key for d in gone} == {"Salesforce.Contact.Deleted"}
    assert salesforce.journal.count("/queryAll") == 0 and salesforce.journal.noted("EXCEEDED_ID_LIMIT")


def remember(world, known):
    """As if deletions were known up to then."""
    with contextlib.closing(sqlite3.connect(world.folder + "/relay.sqlite")) as state, state:
        stamp, key, _ = json.loads(state.execute("SELECT cursor FROM scheduled").fetchone()[0])
        text = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(known))
        state.execute("UPDATE scheduled SET cursor = ?", (json.dumps([stamp, key, text]),))


@pytest.mark.parametrize("deletes", ["query", "log"])
def test_salesforce_deletions_that_may_be_lost_fail_the_run_until_all_is_told_anew(world, salesforce, deletes):
    seen = configure(world, salesforce, deletes=deletes)
    insert(salesforce, "a", "b")
    produce(world)
    remember(world, known=salesforce.clock.now() - 16 * DAY)
    assert "some deletions may be lost. Run muskrat produce crm --since 1970-01-01" in failure(world)
    assert produce(world, "--since", "1970-01-01")["sent"] == 2
    assert figures(produce(world))[1] == 0
    assert names(seen, 4) == ["a", "b", "a", "b"]


def test_salesforce_log_that_was_cut_short_fails_the_run(world, salesforce):
    configure(world, salesforce, deletes="log")
    insert(salesforce, "a")
    produce(world)
    remember(world, known=salesforce.clock.now() - 7200)
    salesforce.org.purge_log("Contact", stamp_of(salesforce.clock.now() - 3600))
    assert "and Salesforce's list begins at" in failure(world)
    salesforce.traps.set(refuse_old_start=True)
    assert "some deletions may be lost. Run muskrat produce crm --since" in failure(world)
    assert produce(world, "--since", "1970-01-01")["sent"] == 1
    assert produce(world)["sent"] == 0


def test_salesforce_what_our_endpoint_wrote_is_not_told_and_what_others_changed_is(world, salesforce):
    person = salesforce.org.someone
    seen = configure(world, salesforce, select=["LastName", "Email", "Phone"], own_fields=["lastname", "Email"])
    theirs, = insert(salesforce, "theirs")
    mine, = insert(salesforce, "mine", by=salesforce.org.user)
    assert figures(produce(world))[1] == 1  # `mine` is as the endpoint made it
    edit(salesforce, theirs, LastName="ours now")
    edit(salesforce, mine, LastName="ours again")
    assert figures(produce(world))[1] == 0
    # A person changes what the endpoint does not write, and the endpoint writes before the source reads.
    edit(salesforce, mine, by=person, Phone="1")
    edit(salesforce, mine, LastName="ours once more")
    edit(salesforce, theirs, by=person, Email="p@example.com")
    assert figures(produce(world))[1] == 2
    edit(salesforce, mine, LastName="and again")
    assert figures(produce(world))[1] == 0
    salesforce.org.delete(salesforce.org.objects["Contact"], mine)
    assert figures(produce(world))[1] == 1
    told = changes(seen, 4)
    assert sorted(told[1:3]) == [("Updated", "ours now"), ("Updated", "ours once more")]
    assert (told[0], told[3]) == (("Created", "theirs"), ("Deleted", "and again"))


@pytest.mark.parametrize("own", [["LastName"], ["LastName", "Email"]], ids=["some", "all"])
@pytest.mark.parametrize("deletes", ["query", "log"])
def test_salesforce_record_that_is_brought_back_is_told_whoever_did_it(world, salesforce, deletes, own):
    """With `all` there is nothing that the endpoint does not write."""
    seen = configure(world, salesforce, deletes=deletes, own_fields=own)
    key, = insert(salesforce, "a")
    produce(world)
    remember(world, known=salesforce.clock.now() - 900)
    salesforce.org.change("Contact", key, {"IsDeleted": True}, stamp=stamp_of(salesforce.clock.now() - 300), by=salesforce.org.user)
    assert produce(world)["sent"] == 1
    edit(salesforce, key, IsDeleted=False)
    assert produce(world)["sent"] == 1
    edit(salesforce, key, LastName="A")  # an echo, as before
    assert produce(world)["sent"] == 0
    seen.wait(3)
    assert [d.routing_key.rsplit(".", 1)[1] for d in seen.deliveries] == ["Created", "Deleted", "Updated"]


def test_salesforce_record_that_is_brought_back_in_mid_run_is_told(world, salesforce, monkeypatch):
    """By the user whose changes are echoes, between what is asked of deletions and the query; the page of deletions is still under way."""
    seen = configure(world, salesforce, deletes="log", own_fields=["LastName"])
    key, = insert(salesforce, "a")
    produce(world)
    remember(world, known=salesforce.clock.now() - 900)
    salesforce.org.change("Contact", key, {"IsDeleted": True}, stamp=stamp_of(salesforce.clock.now() - 300), by=salesforce.org.user)
    asked = salesforce.source.changes

    def changes(request, target, what):
        answer = asked(request, target, what)
        if what == "deleted":
            time.sleep(0.3)  # longer than the pause between two calls, in which the page would be settled
            edit(salesforce, key, IsDeleted=False)
        return answer

    monkeypatch.setattr(salesforce.source, "changes", changes)
    assert produce(world)["sent"] == 2
    seen.wait(3)
    assert [d.routing_key.rsplit(".", 1)[1] for d in seen.deliveries] == ["Created", "Deleted", "Updated"]


def test_salesforce_snapshot_has_all_records_each_time(world, salesforce):
    seen = configure(world, salesforce, mode="snapshot")
    insert(salesforce, *"abcde")
    salesforce.traps.set(page_size=2)
    salesforce.traps.set(expire_locator=1, skip=1)
    assert produce(world)["sent"] == 5
    assert produce(world)["sent"] == 5
    names(seen, 10)
    bodies = [d.json for d in seen.deliveries]
    assert {b["change"] for b in bodies} == {"Snapshot"} and len({b["as_of"] for b in bodies}) == 2
    assert [b["LastName"] for b in bodies] == [*"abcde", *"abcde"]


def test_salesforce_object_without_a_system_modstamp_is_read_by_another(world, salesforce):
    salesforce.org.remove_field("Contact", "SystemModstamp")
    seen = configure(world, salesforce)
    assert "it has no SystemModstamp; let stamp name a time" in failure(world)
    os.unlink(world.folder + "/relay.sqlite")  # whose cursor is of the other stamp
    configure(world, salesforce, stamp="LastModifiedDate")
    keys = insert(salesforce, "a")
    produce(world)
    edit(salesforce, keys[0], LastName="A")
    produce(world)
    assert names(seen, 2) == ["a", "A"] and "SystemModstamp" not in seen.deliveries[0].json


def test_salesforce_fields_of_related_records_are_told_without_their_attributes(world, salesforce):
    account = salesforce.org.insert("Account", {"Name": "A", "Ext_Id__c": "a-9"}, stamp=OLD)
    seen = configure(world, salesforce, select=["LastName", "account.name", "Account.Ext_Id__c"], key=["Ext_Id__c"], on_bad_record="fail")
    assert "key: it has no Ext_Id__c" in produce_after_insert(world, salesforce, account)
    configure(world, salesforce, select=["LastName", "account.name", "Account.Ext_Id__c", "ext_id__c"], key=["Ext_Id__c"])
    produce(world)
    body = seen.wait(1)[0]
    assert body.json["Account"] == {"Name": "A", "Ext_Id__c": "a-9"} and "attributes" not in body.body
    assert body.key == 'Salesforce.Contact:["c"]'


def produce_after_insert(world, server, account):
    server.org.insert("Contact", {"LastName": "c", "Ext_Id__c": "c", "AccountId": account}, stamp=OLD)
    return failure(world)


def lines(path):
    """The file endpoint's events, last one by id."""
    if not os.path.exists(path):
        return [], {}
    with open(path, encoding="utf-8") as f:
        events = [json.loads(text) for text in f]
    return events, {e["body"]["Id"]: e for e in events}


def test_salesforce_with_every_trap_each_change_gets_to_a_file_and_its_last_state_is_right(world, salesforce):
    path = os.path.join(world.folder, "out.jsonl")
    sink = {"out": {"kind": "file", "path": path, "subscribe": ["Salesforce.Contact.*"]}}
    person = salesforce.org.someone
    configure(world, salesforce, endpoints=sink, every="1s", select=["LastName", "Phone"], own_fields=["LastName"], page=200)
    salesforce.traps.set(page_size=7, rotate=True, limit_info="per-app")
    for trap in ("expire_locator", "expire_session", "html", "drop", "lose", "cut", "unavailable", "xml", "empty"):
        salesforce.traps.set(**{trap: 0}, share=0.02)
    relay, _ = world.program.relay(wait=False), world.program.consume(wait=False)
    told, silent = {}, []
    for step in range(12):
        keys = insert(salesforce, *(f"{step}-{n}" for n in range(10)), stamp=None)
        silent += insert(salesforce, f"own-{step}", stamp=None, by=salesforce.org.user)
        late = insert(salesforce, f"late-{step}", stamp=stamp_of(salesforce.clock.now() - 200), visible_at=salesforce.clock.now() + 1)
        told.update({k: False for k in [*keys, *late]})
        edit(salesforce, keys[0], by=person, Phone=str(step))
        edit(salesforce, keys[1], LastName="ours")  # told or not: before the first run it is a person's record, new
        with salesforce.lock:
            salesforce.org.delete(salesforce.org.objects["Contact"], keys[2])
        told[keys[2]] = True
        wait_until(lambda: len(lines(path)[1]) >= len(told) // 2, 60, "half of them")
    rows = salesforce.org.objects["Contact"].rows

    def right():
        _, last = lines(path)
        return all(k in last and (last[k]["body"]["change"] == "Deleted") == gone and last[k]["body"]["Phone"] == rows[k].get("Phone")
                   for k, gone in told.items())
    wait_until(right, 90, "every record in its last state")
    _, last = lines(path)
    assert not set(silent) & set(last), "an endpoint's own records were told"
    faults = "expire_locator", "expire_session", "html", "drop", "lose", "cut", "unavailable", "xml", "empty"
    salesforce.traps.set(**dict.fromkeys(faults, 0))
    assert relay.stop() == 0
