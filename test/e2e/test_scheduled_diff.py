"""The kind sql-query's mode diff: what changed and what was deleted since the run before, by hashes of all rows."""
import contextlib
import json
import os
import sqlite3
import subprocess

import pytest

from harness.processes import wait_until
from test_scheduled import configure, insert, produce


def diff(world, **more):
    return configure(world, **{"mode": "diff", "cursor": None, "overlap": None, "every": "1d", **more})


def change(world, text, *parameters):
    world.sql(text, parameters)


def told(seen):
    """Op and id of each event, in the order of their sequence numbers."""
    return [(d.op, d.json["id"]) for d in sorted(seen.deliveries, key=lambda d: d.seq)]


def run(world, seen, expected):
    """One run, and what it told: `expected` (op, id) and nothing else, in any order."""
    before = len(seen.deliveries)
    end = json.loads(produce(world, "--json").splitlines()[-1])
    assert end["sent"] == len(expected), end
    seen.wait(before + len(expected))
    assert sorted((d.op, d.json["id"]) for d in seen.deliveries[before:]) == sorted(expected)
    return end


def record(*ids):
    return [("record", n) for n in ids]


def delete(*ids):
    return [("delete", n) for n in ids]


def test_diff_tells_new_changed_and_deleted_rows_and_of_the_others_nothing(world):
    seen = diff(world)
    insert(world, *range(1, 9))
    run(world, seen, record(*range(1, 9)))
    end = run(world, seen, [])
    assert (end["read"], end["repeated"], end["deleted"]) == (8, 8, 0)
    change(world, "UPDATE usage SET gb = 1 WHERE id = 2")
    change(world, "DELETE FROM usage WHERE id IN (4, 8)")
    insert(world, 9)
    end = run(world, seen, record(2, 9) + delete(4, 8))
    assert (end["read"], end["repeated"], end["deleted"]) == (7, 5, 2)
    gone = next(d for d in seen.deliveries if d.op == "delete" and d.json["id"] == 4)
    first = next(d for d in seen.deliveries if d.json["id"] == 4)
    assert (gone.body, gone.routing_key, gone.key) == ('{"id":4}', "Billing.Usage.Delete", "Billing.Usage:[4]")
    assert gone.headers["x-muskrat-omitted"] == '["gb","changed"]'
    assert gone.key == first.key and gone.seq > first.seq
    run(world, seen, [])


def test_diff_row_that_returns_to_what_it_was_or_is_inserted_again_is_told_with_another_id(world):
    seen = diff(world)
    for step in ("INSERT INTO usage VALUES (1, 1)", "UPDATE usage SET gb = 2", "UPDATE usage SET gb = 1", "UPDATE usage SET gb = 2",
                 "DELETE FROM usage", "INSERT INTO usage VALUES (1, 1)", "DELETE FROM usage", "INSERT INTO usage VALUES (1, 1)"):
        change(world, step)
        run(world, seen, delete(1) if step.startswith("DELETE") else record(1))
    assert len({d.message_id for d in seen.deliveries}) == 8


def test_diff_null_is_a_content_like_any_other(world):
    seen = diff(world)
    change(world, "INSERT INTO usage VALUES (1, NULL, NULL), (2, 5, NULL)")
    run(world, seen, record(1, 2))
    run(world, seen, [])
    change(world, "UPDATE usage SET gb = CASE id WHEN 1 THEN 0 END")
    run(world, seen, record(1, 2))
    assert [d.json["gb"] for d in seen.deliveries[-2:]] in ([0, None], [None, 0])
    run(world, seen, [])


def test_diff_key_of_several_columns_and_of_every_script(world):
    seen = diff(world, query="SELECT id::text || ' \"ü\\' AS id, gb AS part, changed FROM usage", key=["id", "part"])
    insert(world, 1, 2)
    produce(world)
    change(world, "DELETE FROM usage WHERE id = 1")
    produce(world)
    seen.wait(3)
    gone = seen.deliveries[-1]
    assert gone.op == "delete" and gone.json == {"id": '1 "ü\\', "part": 77.5}
    assert gone.key == next(d.key for d in seen.deliveries if d.op == "record" and d.json["id"] == '1 "ü\\')


def test_diff_baseline_takes_note_and_tells_what_happens_later(world):
    seen = diff(world, first_run="baseline")
    insert(world, 1, 2, 3)
    end = run(world, seen, [])
    assert end["read"] == 3
    change(world, "UPDATE usage SET gb = 1 WHERE id = 2")
    change(world, "DELETE FROM usage WHERE id = 3")
    insert(world, 4)
    run(world, seen, record(2, 4) + delete(3))


def test_diff_run_that_is_cut_takes_no_unread_row_for_deleted(world):
    seen = diff(world)
    insert(world, *range(1, 31))
    run(world, seen, record(*range(1, 31)))
    change(world, "DELETE FROM usage WHERE id = 30")
    change(world, "UPDATE usage SET gb = gb + 1 WHERE id < 25")
    world.program.config["sources"]["billing"]["rate"] = 15
    world.program.save()
    process = subprocess.Popen(world.program.argv("produce", "billing", "--json"), stdout=subprocess.DEVNULL)
    try:
        seen.wait(33)
    finally:
        process.kill()
        process.wait()
    world.program.config["sources"]["billing"].pop("rate")
    world.program.save()
    json.loads(produce(world, "--json").splitlines()[-1])
    wait_until(lambda: set(told(seen)) == set(record(*range(1, 31)) + delete(30)), 60, lambda: told(seen))
    assert told(seen).count(("delete", 30)) == 1
    by_id = {}
    for d in seen.deliveries[30:]:
        by_id.setdefault((d.op, d.json["id"]), set()).add((d.message_id, d.body))
    assert set(by_id) == set(record(*range(1, 25)) + delete(30)) and all(len(each) == 1 for each in by_id.values())


def cut_before_it_is_written_down(world, seen, change_of, expected):
    """One run that tells `expected`, and ends before it has written down that the broker has it."""
    change(world, change_of)
    before = len(seen.deliveries)
    with contextlib.closing(sqlite3.connect(world.folder + "/relay.sqlite")) as db:
        db.executescript("CREATE TRIGGER put BEFORE INSERT ON known WHEN NEW.digest NOT LIKE '?%' BEGIN SELECT RAISE(ABORT, 'cut'); END;"
                         "CREATE TRIGGER gone BEFORE DELETE ON known BEGIN SELECT RAISE(ABORT, 'cut'); END")
        assert "cut" in produce(world, code=1)
        db.executescript("DROP TRIGGER put; DROP TRIGGER gone")
    seen.wait(before + len(expected))
    assert [(d.op, d.json["id"]) for d in seen.deliveries[before:]] == expected


@pytest.mark.parametrize("done, undone, told_first, told_then", [
    ("UPDATE usage SET gb = 1 WHERE id = 2", "UPDATE usage SET gb = 77.50 WHERE id = 2", record(2), record(2)),
    ("DELETE FROM usage WHERE id = 2", "INSERT INTO usage VALUES (2, 77.50, '2026-01-01T00:00:00Z')", delete(2), record(2)),
    ("INSERT INTO usage VALUES (4, 1)", "DELETE FROM usage WHERE id = 4", record(4), delete(4)),
])
def test_diff_what_a_run_that_was_cut_told_is_told_to_be_undone(world, done, undone, told_first, told_then):
    seen = diff(world)
    insert(world, 1, 2, 3)
    run(world, seen, record(1, 2, 3))
    cut_before_it_is_written_down(world, seen, done, told_first)
    cut_before_it_is_written_down(world, seen, undone, told_then)
    cut_before_it_is_written_down(world, seen, done, told_first)
    change(world, undone)
    run(world, seen, told_then)
    assert len({d.message_id for d in seen.deliveries}) == 7
    run(world, seen, [])


@pytest.mark.parametrize("done, told", [("UPDATE usage SET gb = 1 WHERE id = 2", record(2)), ("DELETE FROM usage WHERE id = 2", delete(2)),
                                        ("INSERT INTO usage VALUES (4, 1)", record(4))])
def test_diff_what_a_run_that_was_cut_told_is_repeated_with_its_id(world, done, told):
    seen = diff(world)
    insert(world, 1, 2, 3)
    run(world, seen, record(1, 2, 3))
    for step in (done, "SELECT 1"):
        cut_before_it_is_written_down(world, seen, step, told)
    run(world, seen, told)
    assert len({d.message_id for d in seen.deliveries[3:]}) == 1
    run(world, seen, [])


def test_diff_two_rows_of_one_key_fail_the_run_with_what_to_do(world):
    diff(world, query="SELECT id / 2 AS id, gb, changed FROM usage")
    insert(world, 2, 3)
    text = produce(world, code=1)
    assert "record 2 of the run: key: the query has two rows with this key; name columns that tell every row apart" in text, text
    assert "77.5" not in text


def test_diff_rows_left_out_by_the_mapping_are_not_told_as_deleted(world):
    seen = diff(world, when={"field": "gb", "is_not": "0"}, fields=[{"to": "usage.id", "from": "id", "as": "text"}, "gb"])
    change(world, "INSERT INTO usage VALUES (1, 0), (2, 5)")
    produce(world)
    change(world, "DELETE FROM usage")
    end = json.loads(produce(world, "--json").splitlines()[-1])
    seen.wait(2)
    assert (end["sent"], end["deleted"]) == (1, 1)
    assert [d.body for d in seen.deliveries] == ['{"usage":{"id":"2"},"gb":5}', '{"usage":{"id":"2"}}']
    assert seen.deliveries[1].headers["x-muskrat-omitted"] == '["gb"]'


def test_diff_of_which_most_rows_are_gone_fails_before_it_tells_of_one(world):
    seen = diff(world, page=500)
    change(world, "INSERT INTO usage SELECT g, 1 FROM generate_series(1, 300) g")
    run(world, seen, record(*range(1, 301)))
    change(world, "ALTER TABLE usage RENAME TO hidden")
    change(world, "CREATE VIEW usage AS SELECT * FROM hidden WHERE id <= 100")
    text = produce(world, code=1)
    assert "most_deleted: 200 of 300 known rows are gone, more than 50 %, and none was told" in text, text
    world.program.config["sources"]["billing"]["most_deleted"] = 70
    world.program.save()
    run(world, seen, delete(*range(101, 301)))


def test_diff_dry_run_says_what_would_be_told_and_remembers_nothing(world):
    seen = diff(world)
    insert(world, 1, 2, 3)
    assert "to send  3 events" in produce(world, "--dry-run")
    run(world, seen, record(1, 2, 3))
    change(world, "DELETE FROM usage WHERE id = 1")
    for _ in range(2):
        assert "to send  1 event (1 of deleted rows)" in produce(world, "--dry-run")
    run(world, seen, delete(1))


def test_diff_goes_on_in_the_relay_on_its_schedule(world):
    seen = diff(world, every="1s")
    insert(world, 1, 2)
    world.relay = world.program.relay()
    wait_until(lambda: len(seen.deliveries) >= 2, 60, "the first run")
    change(world, "DELETE FROM usage WHERE id = 1")
    wait_until(lambda: len(seen.deliveries) >= 3, 60, "the deletion")
    wait_until(lambda: world.relay.metric("muskrat_scheduled_deleted_total", source="billing") == 1, 60, "it to be counted")
    assert told(seen)[2:] == delete(1)


def test_diff_to_a_table_makes_it_a_mirror(world):
    diff(world)
    world.tsql("CREATE TABLE usage (id int PRIMARY KEY, gb numeric)")
    world.program.config["endpoints"] = {"copy": {"kind": "postgres", "dsn": world.target, "subscribe": ["Billing.*"], "routes": [
        {"table": "public.usage", "key": ["id"], "columns": ["id", "gb"]}]}}
    world.program.save()
    world.program.setup()
    world.start(relay=False)
    insert(world, 1, 2, 3)
    for step in ("SELECT 1", "UPDATE usage SET gb = 2 WHERE id = 2", "DELETE FROM usage WHERE id = 1"):
        change(world, step)
        produce(world)
        world.wait_target("SELECT id, gb FROM usage ORDER BY id", world.sql("SELECT id, gb FROM usage ORDER BY id"))


@pytest.mark.parametrize("options, says", [
    ({"cursor": "changed"}, "cursor: it belongs to mode incremental, and the mode is diff; leave it out"),
    ({"routing_key": "Billing.{gb}.Record"}, "routing_key: before the last dot only columns of the key may stand"),
    ({"deleted": "Is gone"}, "deleted: "),
    ({"jq": "{id}"}, "jq: in mode diff"),
    ({"fields": ["id", {"to": "gb", "required": True}]}, "field gb: it is required, and in mode diff"),
    ({"fields": ["id", {"to": "gb", "when": {"field": "changed", "present": True}}]}, "field gb: its condition looks at more"),
    ({"mode": "snapshot", "deleted": "Gone"}, "deleted: it belongs to mode diff, and the mode is snapshot"),
])
def test_diff_what_a_key_alone_cannot_make_is_found_by_check(world, options, says):
    diff(world)
    world.program.config["sources"]["billing"].update(options)
    world.program.save()
    done = world.program.run("check")
    assert done.returncode == 2 and says in done.stdout, done.stdout


def test_diff_fails_where_its_key_is_not_in_the_query_and_says_so_in_check_online(world):
    diff(world, key="none")
    done = world.program.run("check", "--online")
    assert done.returncode == 3 and "lacks a column" in done.stdout, done.stdout
    world.program.config["sources"]["billing"]["key"] = "id"
    world.program.save()
    assert "the query runs and has its key" in world.program.ok("check", "--online")


def test_diff_since_is_refused_and_a_lost_state_tells_all_with_the_old_ids(world):
    seen = diff(world)
    insert(world, 1)
    assert "a difference is one from the run before" in produce(world, "--since", "1h", code=1)
    run(world, seen, record(1))
    for name in os.listdir(world.folder):
        if name.startswith("relay.sqlite"):
            os.unlink(os.path.join(world.folder, name))
    run(world, seen, record(1))
    assert len({d.message_id for d in seen.deliveries}) == 1
