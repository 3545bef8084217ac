"""muskrat pause and resume: an endpoint that takes nothing for now, its queue, its neighbours, and what is said about it."""
import json
import os
import signal
import subprocess

import pytest

from harness.processes import wait_until

HISTORY = "CREATE TABLE history (n bigserial, id bigint, email text)"
ROUTE = {"table": "public.history", "mode": "append", "columns": ["id", "email"]}
SLOW = """CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.004); RETURN new; END';
CREATE TRIGGER slow BEFORE INSERT ON history FOR EACH ROW EXECUTE FUNCTION slow()"""
QUEUE = "muskrat.history"


@pytest.fixture(params=["sqlite", "postgresql"])
def state(world, request):
    """The `consumer:` section, with the host's state in either."""
    return {"state": f"{world.folder}/state.sqlite"} if request.param == "sqlite" else {"state_dsn": world.target}


@pytest.fixture
def sqlite(world):
    return {"state": f"{world.folder}/state.sqlite"}


def stand(world, consumer, consume=True, **history):
    """`history` gets a row for each event, in the order of delivery; `analytics` is the neighbour."""
    world.tsql(HISTORY)
    world.stand(endpoints={"history": world.mirror(routes=[ROUTE], **history), "analytics": world.mirror()}, consume=consume,
                consumer=consumer)


def row(world, name="history"):
    rows = json.loads(world.consumer.get("/status")[1])
    return next(r for r in rows["components"] if r["name"] == f"endpoint {name}")


def wait_state(world, word):
    return wait_until(lambda: row(world)["state"] == word and row(world), 60, f"history to be {word}")


def paused(world):
    return world.consumer.metric("muskrat_endpoint_paused", endpoint="history")


def emails(world):
    return [email for (email,) in world.tsql("SELECT email FROM history ORDER BY n")]


def updates(world, *words):
    for word in words:
        world.sql("UPDATE customers SET email = %s WHERE id = 1", (word,))


def test_pause_holds_one_endpoint_in_order_and_its_neighbours_go_on(world, state):
    stand(world, state)
    world.customers(1)
    wait_until(lambda: emails(world) == ["c1@example.com"], 60, "the first event")
    assert f"events wait in the queue {QUEUE}" in world.program.ok("pause", "history", "--why", "the server moves")
    shown = wait_state(world, "paused")
    assert shown["ready"] and shown["why"].startswith("since 20") and shown["why"].endswith(": the server moves")
    assert world.consumer.get("/readyz")[0] == 200, "what an operator wants is no failure"
    assert paused(world) == 1 and world.consumer.metric("muskrat_endpoint_paused", endpoint="analytics") == 0
    world.wait_log(world.consumer, '"event":"paused".*the server moves')
    updates(world, "v1", "v2", "v3")
    world.wait_equal()
    world.broker.wait_depth(QUEUE, 3)
    assert emails(world) == ["c1@example.com"]
    assert "goes on; it was paused since" in world.program.ok("resume", "history")
    wait_until(lambda: emails(world) == ["c1@example.com", "v1", "v2", "v3"], 60, "the rest, in order")
    assert wait_state(world, "consuming")["why"] == "" and paused(world) == 0
    world.wait_log(world.consumer, '"event":"resumed"')


def test_pause_of_an_endpoint_at_work_repeats_nothing_and_loses_nothing(world, sqlite):
    stand(world, sqlite, consume=False, batch_size=20)
    world.tsql(SLOW)
    rows = 4000  # four seconds of work for four lanes: a host looks for pauses once a second
    world.sql("INSERT INTO customers (id, email) SELECT n, 'c' FROM generate_series(1, %s) n", (rows,))
    world.broker.wait_depth(QUEUE, rows)
    world.start(relay=False)
    for _ in range(2):
        before = len(emails(world))
        wait_until(lambda: len(emails(world)) > before + 40, 60, "the host to be at work")
        world.program.ok("pause", "history")
        wait_state(world, "paused")
        world.broker.wait_depth(QUEUE, rows - len(emails(world)))  # what was not done is back in the queue
        world.program.ok("resume", "history")
    world.wait_target("SELECT count(*), count(DISTINCT id) FROM history", [(rows, rows)])
    assert world.consumer.metric("muskrat_endpoint_repeated_total", endpoint="history") == 0


def test_pause_survives_restarts_and_reloads_of_the_host(world, state):
    stand(world, state, consume=False)
    world.program.ok("pause", "history")  # no host runs
    world.customers(1, 2)
    world.start(relay=False)
    world.wait_equal()
    wait_state(world, "paused")
    world.consumer.kill9()
    world.start(relay=False)
    wait_state(world, "paused")
    world.consumer.send(signal.SIGHUP)
    world.wait_log(world.consumer, "reloaded")
    wait_state(world, "paused")
    assert world.broker.depth(QUEUE) == 2 and emails(world) == []
    assert "consuming" not in [json.loads(text)["event"] for text in world.consumer.log(1000).splitlines()
                               if '"endpoint":"history"' in text]
    assert world.consumer.stop(timeout=15) == 0
    world.program.ok("resume", "history")  # none again
    world.start(relay=False)
    wait_until(lambda: len(emails(world)) == 2, 60, "both events")


def test_pause_verbs_say_what_they_found_and_change_nothing_twice(world, state):
    stand(world, state, consume=False)
    assert "is not paused: nothing was changed" in world.program.ok("resume", "history")
    world.program.ok("pause", "history", "--why", "first", env={"SUDO_USER": "ann"})
    again = world.program.ok("pause", "history", "--why", "once more", env={"SUDO_USER": "bob"})
    assert "was paused already, since" in again and "by ann@" in again and ": first." in again and "once more" not in again
    assert ": first." in world.program.ok("resume", "history")
    assert "is not paused: nothing was changed" in world.program.ok("resume", "history")
    for verb in ("pause", "resume"):
        done = world.program.run(verb, "histroy")
        assert done.returncode == 2 and "did you mean history?" in done.stderr and not done.stdout
        assert world.program.run(verb).returncode == 2


def test_pause_with_a_reason_for_no_status_page_is_refused_or_made_harmless(world, sqlite):
    stand(world, sqlite, consume=False)
    assert world.program.run("pause", "history", "--why", "x" * 501).returncode == 2
    assert not os.path.exists(sqlite["state"])
    world.program.ok("pause", "history", "--why", "two\nlines \033[31m<b>")
    text = world.program.run("status").stdout
    assert ": two?lines ?[31m<b>" in text and "\033" not in text


def test_pause_of_a_relative_state_file_warns_where_it_counts_from(world):
    stand(world, {}, consume=False)

    def pause(**env):
        return subprocess.run(world.program.argv("pause", "history"), cwd=world.folder, capture_output=True, text=True, timeout=30,
                              check=True, env={**os.environ, **env})
    assert pause(STATE_DIRECTORY=world.folder).stderr == ""
    done = pause()
    assert "STATE_DIRECTORY" in done.stderr and f"SQLite file {world.folder}/muskrat-state.sqlite" in done.stdout


def test_pause_is_shown_by_status_and_is_no_problem(world, state):
    stand(world, state)
    world.customers(1)
    world.wait_equal()
    world.program.ok("pause", "history", "--why", "the server moves")
    wait_state(world, "paused")
    text = world.program.ok("status")
    assert "paused since 20" in text and ": the server moves" in text and "nobody consumes" not in text and "All is well." in text
    history, analytics = world.program.json("status")["queues"]
    assert history["problem"] is None and history["consumers"] == 0 and history["paused"]["why"] == "the server moves"
    assert history["paused"]["since"].endswith("Z") and "@" in history["paused"]["by"] and analytics["paused"] is None
    assert world.consumer.stop() == 0
    done = world.program.run("status")
    assert done.returncode == 3 and done.stdout.count("nobody consumes") == 1, "the neighbour has no host"


def test_pause_made_elsewhere_is_missed_by_status_which_says_so(world):
    """As under systemd, which sets STATE_DIRECTORY for the daemon and not for who asks."""
    daemon = {"STATE_DIRECTORY": world.folder}
    world.stand(relay=False, consume=False, consumer={"state": "host-elsewhere.sqlite"})
    world.program.config["relay"]["state"] = "relay-elsewhere.sqlite"
    world.program.save()
    world.program.ok("pause", "analytics", env=daemon)
    there, here = world.program.run("status", env=daemon), world.program.run("status")
    assert "paused since" in there.stdout and "relative path" not in there.stderr
    assert "paused since" not in here.stdout
    assert "consumer.state is a relative path" in here.stderr and "STATE_DIRECTORY" in here.stderr
    assert "relay.state" not in here.stderr, "no source needs it"
    world.program.config["sources"]["nightly"] = {
        "kind": "sql-query", "dsn": world.front, "query": "SELECT id, email FROM customers", "cursor": "id", "key": "id", "overlap": 0,
        "every": "1d", "routing_key": "Nightly.Customer.Record"}
    world.program.save()
    assert "relay.state is a relative path" in world.program.run("status").stderr
    world.program.config["relay"]["state"] = world.program.config["consumer"]["state"] = f"{world.folder}/none.sqlite"
    world.program.save()
    assert "relative path" not in world.program.run("status").stderr, "a path that is the same for all"


def test_pause_of_a_parked_endpoint_is_shown_and_leaves_it_parked(world, sqlite):
    stand(world, sqlite, consume=False, circuit_first="1h", circuit_most="1h")
    world.tsql("ALTER TABLE history RENAME TO gone")
    world.consumer = world.program.consume(wait=False)
    world.wait_log(world.consumer, '"event":"parked"')
    world.program.ok("pause", "history")
    wait_state(world, "paused")
    world.program.ok("resume", "history")
    assert "public.history does not exist" in wait_state(world, "parked")["why"]


def test_pause_unreadable_state_leaves_running_hosts_as_they_are_and_keeps_new_ones_waiting(world):
    files = {name: {"kind": "file", "path": f"{world.folder}/{name}", "subscribe": ["Frontend.*"]} for name in ("archive", "history")}
    world.stand(endpoints=files, consume=False, consumer={"state_dsn": world.target})
    world.program.ok("pause", "history")
    world.start(relay=False)
    world.pg.psql(f'ALTER DATABASE "{world.target_db}" ALLOW_CONNECTIONS false')
    world.pg.psql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{world.target_db}'")
    world.wait_log(world.consumer, "pauses cannot be read")
    world.customers(1)

    def archived():
        with open(f"{world.folder}/archive", encoding="utf-8") as f:
            return f.read().count("\n")
    wait_until(lambda: archived() == 1, 60, "the other endpoint to go on")
    assert row(world)["state"] == "paused"
    done = world.program.run("status")
    assert done.returncode == 3 and "which endpoints are paused is not known" in done.stdout
    assert world.consumer.stop() == 0
    assert world.consumer.log(1000).count("pauses cannot be read") == 1
    world.consumer = world.program.consume(wait=False)
    wait_until(lambda: "whether it is paused could not be read" in world.consumer.get("/readyz")[1], 60, "the host to say so")
    world.customers(2)
    world.broker.wait_depth("muskrat.archive", 1)
    assert archived() == 1
    world.pg.psql(f'ALTER DATABASE "{world.target_db}" ALLOW_CONNECTIONS true')
    wait_until(lambda: archived() == 2, 60, "the one that is not paused")
    wait_state(world, "paused")
    assert not os.path.exists(f"{world.folder}/history") or os.path.getsize(f"{world.folder}/history") == 0
