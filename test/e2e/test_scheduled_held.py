"""Records of which no event can be made: held, listed, tried again in each run, given up or erased; or they fail the run."""
import contextlib
import glob
import json
import os
import sqlite3
import subprocess

import pytest

from harness.processes import wait_until
from test_scheduled import configure, ids, produce, settled

# No event can be made of a row whose gb is no whole number.
WHOLE = ["id", {"to": "gb", "from": "gb", "as": "integer"}]
ANY = ["id", "gb"]


def row(world, n, gb, changed="2026-01-01T00:00:00Z"):
    world.sql("INSERT INTO usage VALUES (%s, %s, %s)", (n, gb, changed))


def mapped(world, fields):
    world.program.config["sources"]["billing"]["fields"] = fields
    world.program.save()


def end_of(world, *args, code=0):
    return json.loads(produce(world, "--json", *args, code=code).splitlines()[-1])


def held(world, *args):
    return [json.loads(line) for line in world.program.ok("held", "list", "billing", "--json", *args).splitlines()]


@contextlib.contextmanager
def opened(world):
    """The state file as a relay has it open: its log then outlives each of the commands."""
    with contextlib.closing(sqlite3.connect(world.folder + "/relay.sqlite")) as db:
        db.execute("PRAGMA journal_mode = WAL")
        yield


def traces(world, text):
    """The state's files that have these bytes, in whatever part."""
    found = []
    for path in glob.glob(world.folder + "/relay.sqlite*"):
        with open(path, "rb") as f:
            found += [path] if text.encode() in f.read() else []
    return found


def latest(seen):
    """What an endpoint that keeps the newest state of each row has in the end."""
    newest = {}
    for d in seen.deliveries:
        if d.key not in newest or d.seq > newest[d.key].seq:
            newest[d.key] = d
    return {d.json["id"]: d.json["gb"] for d in newest.values()}


def test_held_record_lets_the_others_pass_and_is_named_without_its_values(world):
    seen = configure(world, fields=WHOLE)
    for n, gb in ((1, 1), (2, 2.5), (3, 3), (4, 4.5), (5, 5)):
        row(world, n, gb)
    text = produce(world)
    assert "sent     3 events" in text and "held     2 records of which no event can be made:\n             2 × field gb " in text, text
    assert "2 held in all: muskrat held list billing" in text and "2.5" not in text and "cursor   none -> [" in text, text
    seen.wait(3)
    assert ids(seen) == [1, 3, 5]
    listed = held(world)
    assert [(each["key"], each["op"]) for each in listed] == [("Billing.Usage:[2]", "record"), ("Billing.Usage:[4]", "record")]
    assert sorted([each["number"] for each in listed] + [d.seq for d in seen.deliveries]) == [1, 2, 3, 4, 5]
    text = world.program.ok("held", "list")
    assert "holds 2 records" in text and "2 × field gb " in text and "2.5" not in text, text
    assert '"gb":2.5' in world.program.ok("held", "list", "billing", "--body")
    status = world.program.run("status")
    assert status.returncode == 3 and "see muskrat held list billing" in status.stdout, status.stdout
    assert os.stat(world.folder + "/relay.sqlite").st_mode & 0o077 == 0  # it has values now


def test_held_records_are_sent_with_their_old_numbers_when_the_mapping_is_mended(world):
    seen = configure(world, fields=WHOLE)
    for n, gb in ((1, 1), (2, 2.5), (3, 3.5)):
        row(world, n, gb)
    end = end_of(world)
    assert (end["read"], end["sent"], end["held"], end["holding"]) == (3, 1, 2, 2)
    assert [each["records"] for each in end["held_why"]] == [2]
    end = end_of(world)  # read again in the overlap: held once
    assert (end["sent"], end["held"], end["repeated"], end["holding"]) == (0, 0, 3, 2)
    mapped(world, ANY)
    assert "(2 of records held before)" in produce(world, "--dry-run")
    text = produce(world)
    assert "sent     2 events (2 of records held before)" in text and "held" not in text.split("\n", 3)[3], text
    seen.wait(3)
    assert sorted((d.json["id"], d.seq) for d in seen.deliveries) == [(1, 1), (2, 2), (3, 3)]
    assert not held(world) and end_of(world)["sent"] == 0


def test_held_record_that_is_sent_late_does_not_come_before_newer_state(world):
    seen = configure(world, fields=WHOLE)
    row(world, 1, 1.5)
    end_of(world)
    world.sql("UPDATE usage SET gb = 2, changed = '2026-01-02'")
    end_of(world)
    mapped(world, ANY)
    assert end_of(world)["released"] == 1
    seen.wait(2)
    assert [(d.json["gb"], d.seq) for d in seen.deliveries] == [(2, 2), (1.5, 1)] and latest(seen) == {1: 2}


@pytest.mark.parametrize("mode", [{"mode": "snapshot"}, {"mode": "diff"}])
def test_held_rows_of_a_mode_that_reads_all_are_held_once_for_each_time_they_are_told(world, mode):
    seen = configure(world, fields=WHOLE, cursor=None, overlap=None, **mode)
    row(world, 1, 1)
    row(world, 2, 2.5)
    world.sql("ALTER TABLE usage DROP CONSTRAINT usage_pkey")
    world.sql("ALTER TABLE usage ALTER id DROP NOT NULL")
    row(world, None, 7)
    assert end_of(world)["held"] == 2
    again = 2 if mode["mode"] == "snapshot" else 0  # a snapshot is another one each time
    assert end_of(world)["held"] == again
    whys = [each["why"] for each in held(world)]
    assert len(whys) == 2 + again and sum("null in id" in why for why in whys) == len(whys) // 2, whys
    mapped(world, ANY)
    end = end_of(world)
    assert end["released"] == 1 + again // 2
    seen.wait(end["sent"] + 1 + again // 2)
    assert latest(seen) == {1: 1, 2: 2.5}


def test_held_row_that_was_deleted_stays_deleted_when_it_is_sent_late(world):
    seen = configure(world, mode="diff", cursor=None, overlap=None, fields=WHOLE, deleted="Delete")
    row(world, 1, 1)
    row(world, 2, 2.5)
    end_of(world)
    world.sql("DELETE FROM usage WHERE id = 2")
    assert end_of(world)["deleted"] == 1
    mapped(world, ANY)
    assert end_of(world)["released"] == 1
    seen.wait(3)
    late, gone = seen.deliveries[2], seen.deliveries[1]
    assert (gone.op, late.op, late.key) == ("delete", "record", gone.key) and late.seq < gone.seq


def test_held_row_that_goes_and_of_whose_key_nothing_can_be_made_stops_no_run(world):
    query = "SELECT CASE id WHEN 2 THEN 'a b' ELSE 'c' || id END AS id, gb, changed FROM usage"
    seen = configure(world, mode="diff", cursor=None, overlap=None, query=query, routing_key="Billing.{id}.Record")
    for n in (1, 2, 3):
        row(world, n, n)
    assert end_of(world)["held"] == 1
    world.sql("DELETE FROM usage WHERE id < 3")
    end = end_of(world)
    assert (end["sent"], end["deleted"], end["filtered"]) == (1, 1, 1), end
    end = end_of(world)
    assert (end["sent"], end["filtered"]) == (0, 1), end
    world.program.config["sources"]["billing"]["routing_key"] = "Billing.Usage.Record"
    world.program.save()
    end = end_of(world)  # what was held, and that it is gone
    assert (end["sent"], end["released"], end["deleted"]) == (2, 1, 1), end
    seen.wait(5)
    late, gone = seen.deliveries[3:]
    assert (late.op, gone.op) == ("record", "delete") and late.key == gone.key and late.seq < gone.seq
    assert (end_of(world)["sent"], end_of(world)["filtered"]) == (0, 0)


def test_held_flood_fails_the_run_and_the_cursor_stays(world):
    seen = configure(world, fields=WHOLE, held_max=2)
    for n in range(1, 8):
        row(world, n, n + 0.5)
    text = produce(world, code=1)
    assert "Failed: record 3 of the run: field gb " in text and "with it more than 2 records would be held (held_max)" in text, text
    assert not held(world) and "cursor   none -> none" in text  # nothing of that page
    mapped(world, ANY)
    assert end_of(world)["sent"] == 7
    seen.wait(7)
    assert ids(seen) == list(range(1, 8))


def test_held_flood_over_several_pages_and_runs_holds_no_more_than_it_may(world):
    configure(world, fields=WHOLE, held_max=2, page=1)
    for n in range(1, 5):
        row(world, n, n + 0.5)
    for _ in range(2):
        text = produce(world, code=1)
        assert "more than 2 records would be held" in text and len(held(world)) == 2, text
    mapped(world, ANY)
    end = end_of(world)
    assert (end["sent"], end["released"]) == (4, 2)


def test_held_record_too_large_for_an_event_is_sent_when_it_may_be(world):
    query = "SELECT id, gb, changed, repeat('x', CASE id WHEN 2 THEN 2000 ELSE 1 END) FROM usage"
    seen = configure(world, max_body="1KiB", query=query)
    for n in (1, 2, 3):
        row(world, n, n)
    assert "larger than max_body" in produce(world)
    world.program.config["sources"]["billing"].pop("max_body")
    world.program.save()
    produce(world)
    seen.wait(3)
    assert sorted(ids(seen)) == [1, 2, 3]


def test_held_drop_gives_up_what_is_named_and_asks(world):
    configure(world, fields=WHOLE)
    for n in (1, 2, 3):
        row(world, n, n + 0.5)
    produce(world)
    first, second, _ = (each["number"] for each in held(world))
    drop = lambda *args: world.program.run("held", "drop", "billing", *args)  # noqa: E731
    assert "say --yes" in drop(str(first)).stdout + drop(str(first)).stderr and len(held(world)) == 3
    assert "1 record dropped; 2 left." in drop(str(first), "--yes").stdout
    done = drop(str(first), "--yes")
    assert done.returncode == 3 and "nothing was dropped" in done.stdout
    done = drop(str(first), str(second), "--yes")
    assert done.returncode == 3 and "1 record dropped; 1 left." in done.stdout
    assert drop().returncode == 2 and drop("x").returncode == 2 and drop("1", "--all").returncode == 2
    assert drop("--all", "--yes").returncode == 0 and not held(world)
    assert end_of(world)["repeated"] == 3  # and they are not held again


def test_held_list_of_a_source_without_a_schedule_or_that_never_ran_is_told(world):
    configure(world)
    assert "The source billing holds no record." in world.program.ok("held", "list")
    world.program.config["sources"]["frontend"] = {"kind": "postgres", "dsn": world.front}
    world.program.save()
    done = world.program.run("held", "list", "frontend")
    assert done.returncode == 2 and "only sources with a schedule hold records" in done.stderr, done.stderr


def test_forget_takes_held_records_too(world):
    configure(world, fields=WHOLE)
    with opened(world):
        for n in (1, 12):
            row(world, n, n + 0.5)
        produce(world)
        assert traces(world, '"gb":1.5') and traces(world, '"gb":12.5')
        done = world.program.run("forget", "--key", "Billing.Usage:[1]", "--yes")
        assert done.returncode == 0 and "held records billing: 1 event erased" in done.stdout, done.stdout + done.stderr
        assert "in the relay's state file" in done.stdout
        assert [each["key"] for each in held(world)] == ["Billing.Usage:[12]"]
        assert not traces(world, '"gb":1.5') and traces(world, '"gb":12.5')
        world.program.ok("held", "drop", "billing", "--all", "--yes")
        assert not traces(world, '"gb":12.5')


def test_held_records_are_metered_and_shown_by_the_relay_that_goes_on(world):
    seen = configure(world, fields=WHOLE)
    world.relay = world.program.relay()
    row(world, 1, 1.5)
    row(world, 2, 2)
    settled(world, seen, [2])
    metric = lambda: world.relay.metric("muskrat_scheduled_held", source="billing")  # noqa: E731
    wait_until(lambda: metric() == 1, 60, "the metric to rise")
    assert world.relay.get("/readyz")[0] == 200
    assert "1.5" not in world.wait_log(world.relay, "record held")
    row(world, 3, 3, "2026-01-02T00:00:00Z")
    settled(world, seen, [2, 3])
    world.program.ok("held", "drop", "billing", "--all", "--yes")
    wait_until(lambda: metric() == 0, 60, "the metric to fall")


def test_held_nothing_where_a_bad_record_is_to_fail_the_run(world):
    seen = configure(world, fields=WHOLE, on_bad_record="fail", page=1)
    row(world, 1, 1)
    row(world, 2, 2.5)
    text = produce(world, code=1)
    assert "sent     1 event" in text and "Failed: record 2 of the run: field gb " in text and "2.5" not in text, text
    assert not held(world)
    seen.wait(1)


def test_held_records_and_the_cursor_survive_a_kill_together(world):
    seen = configure(world, fields=WHOLE, rate=100)
    for n in range(1, 41):
        row(world, n, n + (0.5 if n % 4 == 0 else 0))
    for count in (4, 12, 22):
        process = subprocess.Popen(world.program.argv("produce", "billing", "--json"), stdout=subprocess.DEVNULL)
        try:
            wait_until(lambda n=count: len(set(ids(seen))) >= n, 60, f"{count} of the rows")
        finally:
            process.kill()
            process.wait()
    end_of(world)
    assert [each["key"] for each in held(world)] == [f"Billing.Usage:[{n}]" for n in range(4, 41, 4)]
    mapped(world, ANY)
    assert end_of(world)["released"] == 10
    wait_until(lambda: set(ids(seen)) == set(range(1, 41)), 60, "all rows")
    by_id = {}
    for d in seen.deliveries:
        by_id.setdefault(d.json["id"], set()).add((d.message_id, d.body, d.key))
    assert all(len(kinds) == 1 for kinds in by_id.values())
