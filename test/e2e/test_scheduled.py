"""Scheduled sources: what is true of every kind, and the kind sql-query against PostgreSQL."""
import contextlib
import datetime
import fcntl
import json
import signal
import sqlite3
import subprocess
import zoneinfo

import pytest

from harness.processes import wait_until
from harness.shifted_clock import before_midnight

USAGE = "CREATE TABLE usage (id int PRIMARY KEY, gb numeric, changed timestamptz)"


def configure(world, **more):
    world.sql(USAGE)
    source = {"kind": "sql-query", "dsn": world.front, "query": "SELECT * FROM usage -- all of it", "cursor": "changed", "key": "id",
              "every": "1s", "retry": "1s", "routing_key": "Billing.Usage.Record", "page": 3, "overlap": "1h", **more}
    source = {name: value for name, value in source.items() if value is not None}
    world.program.configure(world.broker.url, sources={"billing": source}, relay={"state": world.folder + "/relay.sqlite"})
    world.program.setup()
    return world.observe()


def stand(world, **more):
    seen = configure(world, **more)
    world.relay = world.program.relay()
    return seen


def insert(world, *ids, changed="2026-01-01T00:00:00Z"):
    for n in ids:
        world.sql("INSERT INTO usage VALUES (%s, 77.50, %s)", (n, changed))


def runs(world):
    return world.relay.metric("muskrat_scheduled_runs_total", source="billing") or 0


def after_a_whole_run(world):
    """A run that began after this call has ended, and everything that was confirmed has been seen."""
    before = runs(world)
    wait_until(lambda: runs(world) >= before + 2, 60, "a run after this one")


def ids(seen):
    return [d.json["id"] for d in seen.deliveries]


def settled(world, seen, expected):
    """What was sent, when another run has passed: `expected` and nothing else."""
    wait_until(lambda: len(seen.deliveries) >= len(expected), 60, lambda: f"{expected}, not {ids(seen)}")
    after_a_whole_run(world)
    sent = int(world.relay.metric("muskrat_relay_events_confirmed_total", source="billing") or 0)  # another may have sent all
    wait_until(lambda: len(seen.deliveries) >= sent, 60, "all that was confirmed")
    assert ids(seen) == list(expected)


def test_sql_query_equal_cursors_across_pages_are_each_sent_once(world):
    seen = configure(world)
    insert(world, *range(1, 9))
    world.relay = world.program.relay()
    settled(world, seen, range(1, 9))
    first = seen.deliveries[0]
    assert first.body == '{"id":1,"gb":77.50,"changed":"2026-01-01T00:00:00+00:00"}'
    assert (first.op, first.key, first.routing_key) == ("record", "Billing.Usage:[1]", "Billing.Usage.Record")
    assert [d.seq for d in seen.deliveries] == list(range(1, 9))


def test_sql_query_row_that_becomes_visible_late_is_sent(world):
    seen = stand(world)
    insert(world, 1, changed="2026-01-01T01:00:00Z")
    settled(world, seen, [1])
    insert(world, 2, changed="2026-01-01T00:30:00Z")
    settled(world, seen, [1, 2])


def test_sql_query_row_that_changes_is_sent_again_and_one_that_is_deleted_says_nothing(world):
    seen = stand(world)
    insert(world, 1, 2)
    settled(world, seen, [1, 2])
    world.sql("DELETE FROM usage WHERE id = 2")
    world.sql("UPDATE usage SET gb = 2, changed = '2026-01-02' WHERE id = 1")
    settled(world, seen, [1, 2, 1])
    assert len({d.message_id for d in seen.deliveries}) == 3


def test_sql_query_number_as_cursor_with_an_overlap_in_numbers(world):
    seen = stand(world, cursor="id", overlap=5)
    insert(world, 10)
    settled(world, seen, [10])
    insert(world, 3, 7)  # 3 lies further back than the overlap
    settled(world, seen, [10, 7])


def test_sql_query_rows_at_infinity_stop_nothing(world):
    seen = stand(world)
    insert(world, 1, changed="infinity")
    insert(world, 2)
    settled(world, seen, [2])
    insert(world, 3, changed="2026-01-02T00:00:00Z")
    settled(world, seen, [2, 3])


@pytest.mark.parametrize("overlap", ["1h", 0])
def test_sql_query_rows_ahead_of_the_clock_are_told_and_stop_nothing(world, overlap):
    seen = stand(world, overlap=overlap)
    insert(world, *range(1, 6), changed="9999-12-31T00:00:00Z")
    settled(world, seen, range(1, 6))
    insert(world, 6)
    settled(world, seen, range(1, 7))
    insert(world, 7, changed="2026-01-02T00:00:00Z")
    world.sql("UPDATE usage SET gb = 1 WHERE id = 3")
    settled(world, seen, [*range(1, 7), 7, 3])
    soon, now = ("SELECT now() + interval '4 seconds'", "SELECT now()")
    insert(world, 8, changed=world.sql(soon)[0][0])
    insert(world, 9, changed=world.sql(now)[0][0])
    settled(world, seen, [*range(1, 7), 7, 3, 9, 8])


def test_scheduled_relay_killed_in_mid_run_skips_nothing_and_repeats_identically(world):
    seen = configure(world, rate=100)
    insert(world, *range(1, 61))
    for count in (4, 13, 31, 50):
        relay = world.program.relay()
        wait_until(lambda n=count: len(set(ids(seen))) >= n, 60, f"{count} of the rows")
        relay.kill9()
        world.program.daemons.remove(relay)
    world.relay = world.program.relay()
    wait_until(lambda: set(ids(seen)) == set(range(1, 61)), 60, "all rows")
    after_a_whole_run(world)
    by_id = {}
    for d in seen.deliveries:
        by_id.setdefault(d.json["id"], set()).add((d.message_id, d.body, d.key, d.routing_key))
    assert set(by_id) == set(range(1, 61)) and all(len(kinds) == 1 for kinds in by_id.values())


def test_scheduled_source_remembers_over_a_restart_of_the_relay(world):
    seen = stand(world)
    insert(world, 1, 2)
    settled(world, seen, [1, 2])
    assert world.relay.stop() == 0
    insert(world, 3, changed="2026-01-01T00:00:01Z")
    world.relay = world.program.relay()
    wait_until(lambda: len(seen.deliveries) >= 3, 60, "the new row")
    after_a_whole_run(world)
    assert ids(seen) == [1, 2, 3] and seen.deliveries[-1].seq == 3


def test_scheduled_second_relay_on_the_machine_runs_nothing_twice(world):
    seen = stand(world)
    other = world.program.__class__(world.folder, world.program.binary.rsplit("/", 1)[0], "second.yaml")
    other.config = {**world.program.config, "relay": {**world.program.config["relay"], "listen": f"127.0.0.1:{other.relay_port}"}}
    other.save()
    second = other.relay(log=f"{world.folder}/second.log")
    insert(world, *range(1, 8))
    settled(world, seen, range(1, 8))
    assert second.stop() == 0


def test_scheduled_endpoint_gets_the_mapped_record_and_the_condition_leaves_out(world):
    seen = stand(world, fields=["id", {"to": "usage.gb", "from": "gb", "as": "text"}], when={"field": "id", "is": ["1", "3"]})
    insert(world, 1, 2, 3)
    settled(world, seen, [1, 3])
    assert seen.deliveries[0].body == '{"id":1,"usage":{"gb":"77.50"}}'
    assert world.relay.metric("muskrat_scheduled_filtered_total", source="billing") == 1


def failed(world, **more):
    """The log line of a run that fails, and the trouble as `muskrat status` tells it."""
    configure(world, on_bad_record="fail", **more)
    insert(world, 1)
    world.relay = world.program.relay(wait=False)
    line = world.wait_log(world.relay, "run failed")
    wait_until(lambda: (world.relay.metric("muskrat_scheduled_failures_total", source="billing") or 0) >= 2, 60, "it to be tried again")
    wait_until(lambda: (world.relay.metric("muskrat_scheduled_lag_seconds", source="billing") or 0) > 0, 60, "the lag to rise")
    assert world.relay.get("/readyz")[0] == 503
    return line


def test_scheduled_run_that_fails_is_tried_again_and_the_cursor_stays(world):
    line = failed(world, cursor="nothing")
    assert "the query lacks a column" in line and "nothing, id" in line
    status = world.program.run("status")
    assert status.returncode == 3 and "lacks a column" in status.stdout, status.stdout


def test_scheduled_source_that_a_reload_removed_alarms_no_longer(world):
    stand(world)
    wait_until(lambda: runs(world), 60, "a run")
    world.sql("ALTER TABLE usage RENAME TO usage_away")
    wait_until(lambda: world.relay.metric("muskrat_scheduled_lag_seconds", source="billing"), 60, "the next run to be late")
    world.program.config["sources"]["costs"] = world.program.config["sources"].pop("billing")
    world.program.save()
    world.relay.send(signal.SIGHUP)
    wait_until(lambda: world.relay.metric("muskrat_scheduled_failures_total", source="costs"), 60, "the source under its new name")
    for gauge in ("lag_seconds", "held", "next_run_seconds"):
        assert world.relay.metric(f"muskrat_scheduled_{gauge}", source="billing") == 0, gauge


def test_scheduled_run_that_nobody_makes_is_a_problem_of_status(world):
    stand(world)
    wait_until(lambda: runs(world), 60, "a run")
    world.program.ok("status")
    world.relay.kill9()
    world.program.daemons.remove(world.relay)
    wait_until(lambda: "no relay runs it here" in world.program.run("status").stdout, 60, "status to miss the next one")
    assert world.program.run("status").returncode == 3
    with open(world.folder + "/relay.sqlite.billing.lock", "rb") as lock:  # as who makes a run has it
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "late" in world.program.ok("status")


def test_scheduled_run_goes_on_when_what_failed_is_mended(world):
    seen = configure(world)
    world.sql("ALTER TABLE usage RENAME TO usage_away")
    world.relay = world.program.relay(wait=False)
    world.wait_log(world.relay, "run failed")
    world.sql("ALTER TABLE usage_away RENAME TO usage")
    insert(world, 1)
    settled(world, seen, [1])
    assert world.relay.get("/readyz")[0] == 200


def test_scheduled_record_too_large_for_an_event_fails_the_run_where_that_is_asked_and_the_cursor_stays_before_it(world):
    query = "SELECT id, gb, changed, repeat('x', CASE id WHEN 3 THEN 2000 ELSE 1 END) FROM usage"
    seen = configure(world, page=1, max_body="1KiB", overlap=0, query=query, on_bad_record="fail")
    for n in range(1, 6):
        insert(world, n, changed=f"2026-01-0{n}T00:00:00Z")
    text = produce(world, code=1)
    assert "record 3 of the run: its body of" in text and "larger than max_body" in text, text
    world.program.config["sources"]["billing"].pop("max_body")
    world.program.save()
    produce(world)
    wait_until(lambda: set(ids(seen)) >= set(range(1, 6)), 60, "all rows")
    assert ids(seen).count(3) == ids(seen).count(4) == 1


@pytest.mark.parametrize("more, says", [
    ({"key": "missing"}, "lacks a column"),
    ({"query": "SELECT 1/(id - 1) AS id, gb, changed FROM usage"}, "SQLSTATE 22012"),
    ({"query": "SELECT pg_sleep(9) IS NULL AS id, changed FROM usage", "statement_timeout": "1s"}, "statement timeout"),
    ({"query": "DELETE FROM usage RETURNING *"}, "refused"),
    ({"query": "SELECT NULL AS id, gb, changed FROM usage"}, "NULL in id"),
    ({"routing_key": "Billing.{none}.Record"}, "record 1 of the run: routing_key: it has no none"),
    ({"routing_key": "Billing.{changed}.Record"}, "record 1 of the run: routing_key: the template makes of it no three words"),
    ({"fields": [{"to": "gb", "as": "integer"}]}, "record 1 of the run: "),
    ({"dsn": "host=127.0.0.1 port=1 dbname=x"}, "127.0.0.1"),
    ({"overlap": 5}, "give a duration such as 5m"),
])
def test_scheduled_bad_input_is_named_and_no_value_of_a_record_is(world, more, says):
    line = failed(world, **more)
    assert says in line, line
    assert "77.5" not in line and "2026-01-01" not in line, line


@pytest.mark.parametrize("options, says", [
    ({"cron": "0 0 30 2 *"}, "muskrat.yaml:4: error: sources.billing: cron: it never fires"),
    ({"cron": "0 25 * * *"}, 'muskrat.yaml:4: error: sources.billing: cron: "25" is no hour'),
    ({"every": "1h", "time_zone": "Europe/Nowhere"}, "time_zone: there is no zone Europe/Nowhere"),
    ({"every": "1h", "cron": "0 0 * * *"}, "give every or cron, one of the two"),
    ({}, "give every or cron, one of the two"),
    ({"every": "1h", "cursor": None}, "cursor"),
    ({"every": "1h", "routing_key": "A.{b.C"}, "routing_key: a { or } without the other"),
    ({"every": "1h", "routing_key": "A.B"}, "routing_key: "),
    ({"every": "1h", "overlap": "soon"}, "overlap: give a duration"),
    ({"every": "1h", "key": ["a", "a"]}, "key: it names a column twice"),
])
def test_scheduled_wrong_configuration_is_found_by_check(tmp_path, options, says):
    from harness import build as where
    from harness.program import Program
    program = Program(str(tmp_path), where.default_build())
    source = {"kind": "sql-query", "dsn": "dbname=x", "query": "SELECT 1", "cursor": "a", "key": "b", "routing_key": "A.B.C", **options}
    lines = ["broker: {url: 'amqp://u@h/'}", "sources:", "  billing:"]
    # What is looked at stands first, in line 4.
    ordered = [*options, *(name for name in source if name not in options)]
    lines += [f"    {name}: {json.dumps(source[name])}" for name in ordered if source[name] is not None]
    program.write("\n".join(lines) + "\n")
    done = program.run("check")
    assert done.returncode == 2 and says in done.stdout, done.stdout


def test_scheduled_check_online_names_file_and_line_of_a_source_whose_query_lacks_its_cursor(world):
    configure(world, cursor="updated_at")
    done = world.program.run("check", "--online")
    assert done.returncode == 3 and "lacks a column" in done.stdout and "muskrat.yaml:" in done.stdout, done.stdout
    world.program.config["sources"]["billing"]["cursor"] = "changed"
    world.program.save()
    assert "the query has its columns changed, id" in world.program.ok("check", "--online")


def test_scheduled_cursor_of_other_columns_is_refused(world):
    seen = stand(world)
    insert(world, 1)
    settled(world, seen, [1])
    world.relay.stop()
    world.program.config["sources"]["billing"].update(cursor="id", overlap=0)
    world.program.save()
    world.relay = world.program.relay(wait=False)
    assert "is one of (changed, id) and not of (id, id)" in world.wait_log(world.relay, "run failed.*shape|run failed.*is one of")


# ---- muskrat produce ----


def produce(world, *args, code=0):
    done = world.program.run("produce", "billing", *args)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def test_produce_runs_once_from_where_the_last_run_ended_and_says_what_it_did(world):
    seen = configure(world, when={"field": "id", "is_not": "2"})
    insert(world, 1, 2, 3)
    text = produce(world)
    assert "read     3 records in 1 page" in text and "sent     2 events, confirmed" in text, text
    assert "skipped  0 that were sent before, 1 that the mapping leaves out" in text and "cursor   none -> [" in text, text
    seen.wait(2)
    insert(world, 4, changed="2026-01-02T00:00:00Z")
    end = json.loads(produce(world, "--json").splitlines()[-1])
    assert (end["state"], end["read"], end["repeated"], end["sent"], end["failure"]) == ("done", 4, 3, 1, None)
    seen.wait(3)
    assert ids(seen) == [1, 3, 4]


def test_produce_dry_run_sends_and_remembers_nothing(world):
    seen = configure(world)
    insert(world, *range(1, 6))
    for _ in range(2):
        text = produce(world, "--dry-run")
        assert "to send  5 events" in text and "cursor   none, stays" in text, text
    produce(world)
    assert "to send  0 events" in produce(world, "--dry-run")
    seen.wait(5)
    assert ids(seen) == list(range(1, 6))


def test_produce_since_sends_again_with_the_old_ids_and_leaves_the_cursor(world):
    seen = configure(world)
    insert(world, 1, changed="2026-01-01T00:00:00Z")
    insert(world, 2, changed="2026-01-03T00:00:00Z")
    produce(world)
    text = produce(world, "--since", "2026-01-02")
    assert "sent     1 event," in text and "skipped  0" in text, text
    seen.wait(3)
    assert ids(seen) == [1, 2, 2] and len({d.message_id for d in seen.deliveries}) == 2
    assert "sent     0 events" in produce(world)
    assert "sent     0 events" in produce(world, "--since", "1h")
    assert "does not convert" in produce(world, "--since", "yesterday week", code=1)


@pytest.mark.parametrize("overlap", ["1h", 0])
def test_produce_since_behind_the_cursor_leaves_what_lies_between_to_the_next_run(world, overlap):
    seen = configure(world, overlap=overlap, page=1)
    insert(world, 1, changed="2026-01-01T00:00:00Z")
    before = json.loads(produce(world, "--json").splitlines()[-1])["cursor"]
    insert(world, 2, changed="2026-01-05T00:00:00Z")
    insert(world, 3, changed="2026-01-10T00:00:00Z")
    end = json.loads(produce(world, "--since", "2026-01-08", "--json").splitlines()[-1])
    assert (end["sent"], end["cursor_before"], end["cursor"]) == (1, before, before)
    end = json.loads(produce(world, "--json").splitlines()[-1])
    assert end["sent"] == 1 and end["cursor"] != before  # what was sent is known
    seen.wait(2 + end["sent"])
    assert sorted(set(ids(seen))) == [1, 2, 3] and len({d.message_id for d in seen.deliveries}) == 3
    assert "sent     0 events" in produce(world)


def test_produce_counts_as_the_sources_last_run_and_the_relay_sends_nothing_again(world):
    seen = configure(world, every="1d")
    insert(world, 1)
    produce(world)
    seen.wait(1)
    world.relay = world.program.relay()
    wait_until(lambda: "the next run is due" in world.relay.get("/")[1], 60, "the relay to sleep")
    insert(world, 2, changed="2026-01-02T00:00:00Z")
    assert "sent     1 event" in produce(world)  # while the relay sleeps
    seen.wait(2)
    assert ids(seen) == [1, 2] and runs(world) == 0


def test_produce_that_ends_well_ends_the_failure_of_the_relays_run(world):
    configure(world, every="1d", retry="1h")
    world.sql("ALTER TABLE usage RENAME TO usage_away")
    world.relay = world.program.relay(wait=False)
    world.wait_log(world.relay, "run failed")
    world.sql("ALTER TABLE usage_away RENAME TO usage")
    assert world.relay.get("/readyz")[0] == 503
    produce(world)
    wait_until(lambda: world.relay.get("/readyz")[0] == 200, 30, lambda: world.relay.get("/readyz")[1])
    assert "the next run is due" in world.relay.get("/")[1]
    assert world.relay.metric("muskrat_scheduled_last_success_seconds", source="billing") > 0
    assert world.relay.metric("muskrat_scheduled_lag_seconds", source="billing") == 0 and runs(world) == 0


def test_produce_that_fails_says_what_was_done_before_and_exits_1(world):
    configure(world, fields=["id", {"to": "n", "from": "gb", "as": "integer"}], page=1, on_bad_record="fail")
    world.sql("INSERT INTO usage VALUES (1, 1, '2026-01-01'), (2, 1.5, '2026-01-01')")
    text = produce(world, code=1)
    assert "sent     1 event" in text and "Failed: record 2 of the run: " in text and "1.5" not in text, text


def test_produce_whose_state_cannot_be_written_keeps_the_cursor_that_it_had(world):
    seen = configure(world, rate=1)  # it rests after a whole page, and writes meanwhile
    insert(world, 1, 2)
    before = json.loads(produce(world, "--json").splitlines()[-1])["cursor"]
    insert(world, 3, changed="2026-01-02T00:00:00Z")
    state = world.folder + "/relay.sqlite"
    with contextlib.closing(sqlite3.connect(state)) as db:
        db.execute("CREATE TRIGGER refuse BEFORE UPDATE OF cursor ON scheduled WHEN NEW.cursor <> '' "
                   "BEGIN SELECT RAISE(ABORT, 'no more of this'); END")
    text = produce(world, code=1)
    assert "no more of this" in text and "sent     0 events" in text, text
    with contextlib.closing(sqlite3.connect(state)) as db:
        assert db.execute("SELECT cursor FROM scheduled").fetchall() == [(before,)]
        db.execute("DROP TRIGGER refuse")
    assert "sent     1 event" in produce(world)
    seen.wait(4)
    assert ids(seen) == [1, 2, 3, 3] and len({d.message_id for d in seen.deliveries}) == 3


def test_produce_is_refused_while_the_relay_is_in_a_run_and_for_a_source_without_a_schedule(world):
    configure(world, rate=1)
    insert(world, *range(1, 10))
    world.relay = world.program.relay(wait=False)
    world.wait_log(world.relay, "run started")
    done = world.program.run("produce", "billing")
    assert done.returncode == 1 and "another process is in a run of billing" in done.stderr, done.stderr
    world.program.config["sources"]["frontend"] = {"kind": "postgres", "dsn": world.front}
    world.program.save()
    done = world.program.run("produce", "frontend")
    assert done.returncode == 2 and "is of kind postgres" in done.stderr, done.stderr


# ---- the mode snapshot ----


def snapshot(world, **more):
    return configure(world, mode="snapshot", cursor=None, overlap=None, every="1d", **more)


def test_sql_query_snapshot_has_all_rows_as_of_one_instant_each_time(world):
    seen = snapshot(world)
    insert(world, *range(1, 8))
    end = json.loads(produce(world, "--json").splitlines()[-1])
    assert (end["read"], end["sent"], end["pages"]) == (7, 7, 3)
    world.sql("DELETE FROM usage WHERE id = 2")
    produce(world)
    seen.wait(13)
    first, second = seen.deliveries[:7], seen.deliveries[7:]
    assert sorted(d.json["id"] for d in first) == list(range(1, 8))
    assert sorted(d.json["id"] for d in second) == [1, 3, 4, 5, 6, 7]
    (one,), (two,) = {d.json["as_of"] for d in first}, {d.json["as_of"] for d in second}
    assert one < two and end["cursor"] == one
    assert {d.properties.headers["timestamp_in_ms"] for d in first} == {first[0].headers["timestamp_in_ms"]}
    assert len({d.message_id for d in seen.deliveries}) == 13


def test_sql_query_snapshot_sees_nothing_that_was_committed_after_it_began(world):
    seen = snapshot(world, page=1, rate=4)
    insert(world, *range(1, 9))
    process = subprocess.Popen(world.program.argv("produce", "billing", "--json"), stdout=subprocess.PIPE, text=True)
    try:
        seen.wait(1)
        world.sql("UPDATE usage SET gb = 99")
        insert(world, 100)
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert json.loads(out.splitlines()[-1])["state"] == "done"
    seen.wait(8)
    assert sorted(ids(seen)) == list(range(1, 9)) and {d.json["gb"] for d in seen.deliveries} == {77.5}


def test_sql_query_snapshot_with_a_cursor_or_since_is_refused(world):
    snapshot(world)
    source = world.program.config["sources"]["billing"]
    source["cursor"] = "changed"
    world.program.save()
    done = world.program.run("check")
    assert done.returncode == 2 and "cursor: it belongs to mode incremental, and the mode is snapshot" in done.stdout, done.stdout
    source.pop("cursor")
    world.program.save()
    assert "a snapshot has all rows, and nothing to begin from" in produce(world, "--since", "1h", code=1)
    assert "the query runs and has its key" in world.program.ok("check", "--online")


def test_scheduled_runs_that_a_cron_expression_missed_are_caught_up_once(world):
    seen = configure(world, every=None, cron="30 12 1 1 *", time_zone="America/Chicago", jitter="1h")
    insert(world, 1)
    produce(world)
    insert(world, 2, changed="2026-01-01T00:00:01Z")
    relay = world.relay = world.program.relay(env=ahead(world, 3 * 366 * 24))  # three first days of January lie between
    seen.wait(2)
    wait_until(lambda: runs(world) == 1, 60, "the run to end")
    wait_until(lambda: "the next run is due" in relay.get("/")[1], 60, "the relay to sleep")
    success, following = (relay.metric(f"muskrat_scheduled_{name}_seconds", source="billing") for name in ("last_success", "next_run"))
    assert 0 < following - success <= 366 * 86400 + 3600 and runs(world) == 1
    assert relay.metric("muskrat_scheduled_lag_seconds", source="billing") == 0
    due = datetime.datetime.fromtimestamp(following, zoneinfo.ZoneInfo("America/Chicago"))
    assert (due.month, due.day) == (1, 1) and 12.5 * 60 <= due.hour * 60 + due.minute <= 13.5 * 60
    assert ids(seen) == [1, 2]


def test_produce_keeps_to_its_rate_and_shows_how_far_it_is(world):
    configure(world, page=2, rate=4)
    insert(world, *range(1, 13))
    *progress, end = (json.loads(line) for line in produce(world, "--json").splitlines())
    assert end["read"] == end["sent"] == 12 and end["ms"] >= 2500  # the last rows come no sooner
    assert progress and all(line["state"] == "running" and line["read"] <= 12 and line["pages"] * 2 >= line["read"] for line in progress)
    assert any(line["read"] > 0 and line["expected"] > 0 for line in progress)


# ---- long rests ----


def test_scheduled_source_that_rests_for_long_in_mid_run_keeps_its_connection_to_the_broker(world):
    seen = configure(world, page=12, rate=1, every="1d")
    world.program.config["broker"]["heartbeat"] = "3s"
    world.program.save()
    insert(world, *range(1, 16))
    world.relay = world.program.relay()
    seen.wait(15)
    wait_until(lambda: runs(world) == 1, 60, "the run to end")
    assert world.relay.metric("muskrat_relay_connections_total", source="billing", to="broker") == 1


# ---- clocks that jump ----


def ahead(world, hours):
    """The environment of a process whose wall clock is so far ahead; behind where that is negative."""
    return {"LD_PRELOAD": before_midnight(world.folder, 60)["LD_PRELOAD"], "SHIFTED_BY_US": str(hours * 3600 * 1000000)}


@pytest.mark.parametrize("hours", [3, -3])
@pytest.mark.parametrize("mode", [{}, {"mode": "diff", "cursor": None, "overlap": None}])
def test_scheduled_clock_that_jumps_holds_up_no_run_and_sends_nothing_twice(world, hours, mode):
    seen = configure(world, every="2s", **mode)
    insert(world, 1)
    done = world.program.run("produce", "billing", env=ahead(world, hours))
    assert done.returncode == 0, done.stderr
    seen.wait(1)
    world.relay = world.program.relay()
    insert(world, 2, changed="2026-01-01T00:00:01Z")
    wait_until(lambda: len(seen.deliveries) >= 2, 60, "the row that came after the jump")
    after_a_whole_run(world)
    assert ids(seen) == [1, 2]
