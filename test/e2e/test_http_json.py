"""The source kind http-json against the double of Statsserver: windows, pages, good manners, and every trap.

Most runs are `muskrat produce`'s: one run each, with its figures.
"""
import json
import os
import subprocess
import time

import pytest

from doubles.statsserver import Statsserver, stamp_of
from harness.processes import wait_until

HOUR = 3600
NOW = int(time.time()) // HOUR * HOUR  # whole windows lie before it
PAGES = {"cursor": {"pagination": "cursor"}, "link": {"pagination": "link"}, "offset": {"pagination": "offset", "total": "total"},
         "page": {"pagination": "page", "total": "pages"}}


def records(count, hours_ago=2, same_instant=False, name="c"):
    base = NOW - hours_ago * HOUR
    return [{"key": f"{name}{n}", "ts": stamp_of(base + (0 if same_instant else n * 60)), "value": n} for n in range(count)]


@pytest.fixture
def stats():
    made = []

    def make(**options):
        server = Statsserver(**options)
        server.define("volume")
        made.append(server)
        return server
    yield make
    for server in made:
        server.stop()


def configure(world, server, **more):
    source = {"kind": "http-json", "url": server.url("/v1/stats/volume"), "key": ["key", "ts"], "every": "1d", "retry": "1s", "limit": 10,
              "routing_key": "Statsserver.Volume.Snapshot", "start": stamp_of(NOW - 4 * HOUR), "lookback": "6h", "requests": 100,
              **PAGES[server.pagination], **more}
    world.program.configure(world.broker.url, sources={"stats": source}, relay={"state": world.folder + "/relay.sqlite"})
    world.program.setup()
    return world.observe()


def produce(world, *args, code=0):
    done = world.program.run("produce", "stats", "--json", *args, timeout=60)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def figures(end):
    return end["read"], end["sent"], end["repeated"]


def keys(seen, count):
    seen.wait(count)
    return [d.json["key"] for d in seen.deliveries]


def expect(seen, count, name="c"):
    """So many records, each once."""
    assert sorted(keys(seen, count)) == sorted(f"{name}{n}" for n in range(count))


@pytest.mark.parametrize("pagination", list(PAGES))
def test_http_json_equal_times_across_pages_are_each_sent_once_and_a_polled_window_is_a_no_op(world, stats, pagination):
    server = stats(pagination=pagination)
    server.add("volume", records(25, same_instant=True))
    seen = configure(world, server)
    assert figures(produce(world)) == (25, 25, 0)
    expect(seen, 25)
    first = seen.deliveries[0]
    assert first.body == f'{{"key":"c0","ts":"{stamp_of(NOW - 2 * HOUR)}","value":0}}'
    assert (first.op, first.routing_key) == ("record", "Statsserver.Volume.Snapshot")
    assert first.key == f'Statsserver.Volume:["c0","{stamp_of(NOW - 2 * HOUR)}"]'
    assert figures(produce(world)) == (25, 0, 25)
    assert all("limit=10" in e["path"] for e in server.journal.all())


def test_http_json_makes_no_more_requests_a_second_than_it_may(world, stats):
    server = stats()
    server.add("volume", records(25))
    configure(world, server, requests=4)
    end = produce(world)
    made = server.journal.count()
    assert end["sent"] == 25 and made >= 5
    assert end["ms"] >= (made - 1) * 250, "the last request comes no sooner"


def test_http_json_etag_saves_windows_that_have_not_changed(world, stats):
    server = stats()
    server.add("volume", records(5))
    seen = configure(world, server)
    produce(world)
    before = server.journal.count()
    assert figures(produce(world)) == (0, 0, 0)
    statuses = [e["status"] for e in server.journal.all()[before:]]
    assert 304 in statuses and statuses.count(304) >= 3, statuses
    server.add("volume", records(1, name="late"))
    assert figures(produce(world)) == (6, 1, 5)
    assert keys(seen, 6)[-1] == "late0"


def test_http_json_record_that_changes_is_sent_again_and_a_late_one_too(world, stats):
    server = stats()
    server.add("volume", records(3))
    server.add("volume", records(2, hours_ago=3, name="late"), hidden=True)
    seen = configure(world, server)
    assert produce(world)["sent"] == 3
    server.remove("volume", "c1")
    server.add("volume", [{**records(3)[1], "value": 99}])
    server.reveal("volume")
    assert figures(produce(world)) == (5, 3, 2)
    seen.wait(6)
    assert len({d.message_id for d in seen.deliveries}) == 6


def test_http_json_record_later_than_the_lookback_is_missed(world, stats):
    server = stats()
    server.add("volume", records(1, hours_ago=3, name="late"), hidden=True)
    configure(world, server, lookback="1h")
    produce(world)
    server.reveal("volume")
    assert produce(world)["read"] == 0
    assert produce(world, "--since", stamp_of(NOW - 4 * HOUR))["sent"] == 1


def test_http_json_since_behind_the_cursor_leaves_what_lies_between_to_the_next_run(world, stats):
    server = stats()
    seen = configure(world, server, start=stamp_of(NOW - 10 * HOUR), delay="7h", lookback="1h")
    cursor = produce(world)["cursor"]
    world.program.config["sources"]["stats"].pop("delay")
    world.program.save()
    server.add("volume", records(1, hours_ago=5, name="between") + records(1))
    end = produce(world, "--since", stamp_of(NOW - 3 * HOUR))
    assert (end["sent"], end["cursor_before"], end["cursor"]) == (1, cursor, cursor)
    assert produce(world)["sent"] == 1
    assert keys(seen, 2) == ["c0", "between0"]


def test_http_json_records_without_a_time_are_known_in_a_window_that_each_run_begins_elsewhere(world, stats):
    server = stats()
    server.add("volume", [{"key": "c0", "ts": stamp_of(NOW - 62 * 60), "value": 1}])
    configure(world, server, time="", lookback=f"{int(time.time()) - NOW + 90 * 60}s")
    assert figures(produce(world)) == (1, 1, 0)
    for _ in range(3):
        assert figures(produce(world)) == (1, 0, 1)
        time.sleep(1)


def test_http_json_window_without_records_moves_the_cursor(world, stats):
    configure(world, stats())
    end = produce(world)
    assert (end["read"], end["cursor_before"]) == (0, "") and end["cursor"] >= stamp_of(NOW)


def test_http_json_windows_are_whole_steps_and_half_open(world, stats):
    server = stats()
    server.define("volume").granularity = HOUR
    server.add("volume", records(4, hours_ago=3))
    configure(world, server, url=server.url(f"/v1/stats/volume?step={HOUR}"), granularity="1h", window="2h")
    assert produce(world)["sent"] == 4
    assert all(e["status"] == 200 for e in server.journal.all())
    assert produce(world, "--since", "1d")["sent"] == 4


def test_http_json_cursor_never_passes_the_servers_clock(world, stats):
    """Ours is two hours ahead: of the time between, the server has told nothing."""
    server = stats()
    seen = configure(world, server, lookback="0s")
    env = {"LD_PRELOAD": shifted(world), "SHIFTED_BY_US": str(2 * HOUR * 1000000)}
    done = world.program.run("produce", "stats", "--json", env=env)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["cursor"] <= stamp_of(int(time.time()) + 6)
    server.add("volume", [{"key": "c0", "ts": stamp_of(time.time()), "value": 1}])
    wait_until(lambda: produce(world)["sent"] == 1, 60, "the record of this moment")
    expect(seen, 1)


def shifted(world):
    from harness import shifted_clock
    return shifted_clock.before_midnight(world.folder, 60)["LD_PRELOAD"]


@pytest.mark.parametrize("pagination, trap, requests", [
    ("cursor", {"ignore_limit": 3}, 9),      # less than asked for
    ("offset", {"ignore_limit": 3}, 9),
    ("cursor", {"ignore_limit": 50}, 1),     # more
    ("cursor", {"empty_page": 1}, 4),
    ("link", {"empty_page": 1}, 4),
    ("link", {"link_relative": True}, 3),
    ("cursor", {"shuffle": True}, 3),
    ("cursor", {"no_etag": True}, 3),
    ("cursor", {"drop": 1}, 4),
    ("cursor", {"cut": 2}, 5),
    ("cursor", {"throttle": 1}, 4),
    ("cursor", {"throttle": 1, "throttle_status": 503, "retry_after_form": "date", "retry_after": 2}, 4),
])
def test_http_json_trap_loses_nothing_and_sends_nothing_twice(world, stats, pagination, trap, requests):
    server = stats(pagination=pagination)
    server.add("volume", records(25))
    seen = configure(world, server)
    server.traps.set(**trap)
    end = produce(world)
    assert end["sent"] == 25 and end["state"] == "done", end
    expect(seen, 25)
    window = stamp_of(NOW - 2 * HOUR).replace(":", "%3A")
    assert server.journal.count(f"from={window}") <= requests + 2  # the first windows may have met it


@pytest.mark.parametrize("pagination, trap, says", [
    ("cursor", {"repeat_page": 1}, "brings once more the records of the page before it"),
    ("offset", {"repeat_page": 1}, "brings once more the records of the page before it"),
    ("offset", {"endless": True}, "brings once more the records of the page before it"),
    ("cursor", {"reshape": 1}, "records: the answer has no array at data"),
    ("cursor", {"null_data": 1}, "records: the answer has no array at data"),
    ("cursor", {"bad_record": 1}, "time: a record has no ts"),
    ("cursor", {"html": 1}, "sent a page that is not JSON"),
    ("cursor", {"empty": 1}, "sent a page that is not JSON"),
    ("cursor", {"endless": True}, "a page that was read already"),
    ("link", {"endless": True}, "a page that was read already"),
    ("link", {"link_elsewhere": "http://127.0.0.1:1"}, "another origin"),
    ("cursor", {"expire_cursor": 1}, "answered with status 400"),
    ("cursor", {"forbidden": True}, "answered with status 403"),
])
def test_http_json_trap_fails_the_run_and_the_next_one_goes_on(world, stats, pagination, trap, says):
    server = stats(pagination=pagination)
    server.add("volume", records(25))
    seen = configure(world, server)
    server.traps.set(**trap)
    end = produce(world, code=1)
    assert end["state"] == "failed" and says in end["failure"], end
    assert "c0" not in end["failure"] and "from=" not in end["failure"]
    assert end["cursor"] <= stamp_of(NOW - 2 * HOUR)  # before the window that failed
    server.traps.set(**{name: None for name in trap})
    produce(world)
    expect(seen, 25)


def test_http_json_many_pages_are_bounded(world, stats):
    server = stats()
    server.add("volume", records(25))
    configure(world, server, max_pages=2)
    assert "more than max_pages pages (2)" in produce(world, code=1)["failure"]
    configure_again(world, max_pages=1000, response_bytes="1KiB", limit=1000)
    assert "a page larger than response_bytes" in produce(world, code=1)["failure"]


def configure_again(world, **more):
    world.program.config["sources"]["stats"].update(more)
    world.program.save()


def test_http_json_server_that_knows_no_windows_is_found_out(world, stats):
    server = stats()
    server.add("volume", records(5))
    url = server.url(f"/v1/stats/volume?from={stamp_of(NOW - 9 * HOUR)}&to={stamp_of(NOW)}")
    configure(world, server, url=url, from_parameter="", to_parameter="")
    assert "time: a record lies outside of the window" in produce(world, code=1)["failure"]


def test_http_json_basic_authentication(world, stats):
    server = stats(auth="basic")
    server.add("volume", records(3))
    configure(world, server, username="stats", password="secret")
    assert produce(world)["sent"] == 3
    configure_again(world, password="wrong-one")
    end = produce(world, code=1)
    assert "answered with status 401" in end["failure"] and "wrong-one" not in json.dumps(end)


def test_http_json_token_that_expires_in_mid_run_is_read_anew(world, stats):
    server = stats(auth="bearer")
    server.add("volume", records(25))
    old, new = server.issue(), server.issue()
    path = os.path.join(world.folder, "token")
    with open(path, "w", encoding="utf-8") as f:
        f.write(old)
    seen = configure(world, server, bearer="${file:" + path + "}", requests=2)
    process = subprocess.Popen(world.program.argv("produce", "stats", "--json"), stdout=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: server.journal.count() >= 2, 60, "the run to begin")
        with open(path, "w", encoding="utf-8") as f:
            f.write(new)
        server.tokens[old] = 0
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert json.loads(out.splitlines()[-1])["sent"] == 25
    assert [e["status"] for e in server.journal.all()].count(401) == 1
    expect(seen, 25)


def test_http_json_token_that_expired_fails_the_run_until_there_is_another(world, stats):
    server = stats(auth="bearer")
    server.add("volume", records(3))
    path = os.path.join(world.folder, "token")
    with open(path, "w", encoding="utf-8") as f:
        f.write(server.issue(life=-1))
    seen = configure(world, server, bearer="${file:" + path + "}", every="1s")
    world.relay = world.program.relay(wait=False)
    line = world.wait_log(world.relay, "run failed")
    assert "answered with status 401" in line and "the token or password is wrong, or has expired" in line
    wait_until(lambda: (world.relay.metric("muskrat_scheduled_failures_total", source="stats") or 0) >= 2, 60, "another try")
    with open(path, "w", encoding="utf-8") as f:
        f.write(server.issue())
    expect(seen, 3)
    wait_until(lambda: world.relay.metric("muskrat_scheduled_lag_seconds", source="stats") == 0, 60, "the alarm to end")


def test_http_json_check_online_looks_at_the_answer(world, stats):
    server = stats()
    configure(world, server)
    assert "answers" in world.program.ok("check", "--online")
    configure_again(world, records="items")
    done = world.program.run("check", "--online")
    assert done.returncode == 3 and "no array at items" in done.stdout and "muskrat.yaml:" in done.stdout, done.stdout
    server.stop()
    assert world.program.run("check", "--online").returncode == 3


@pytest.mark.parametrize("more, says", [
    ({"url": "stats.example.com"}, "url: it is no http:// or https:// URL"),
    ({"window": "90m", "granularity": "1h"}, "window: it must be a whole multiple of granularity"),
    ({"start": "long ago"}, "start: give a duration"),
    ({"bearer": "${TOKEN:-x}", "username": "u"}, "give one of the two"),
    ({"cron": "0 0 31 2 *", "every": None}, "it never fires"),
])
def test_http_json_wrong_configuration_is_found_by_check(tmp_path, more, says):
    from harness import build as where
    from harness.program import Program
    source = {"kind": "http-json", "url": "http://h/x", "key": "k", "routing_key": "A.B.C", "every": "1h", **more}
    program = Program(str(tmp_path), where.default_build())
    program.configure("amqp://u@h/", sources={"stats": {k: v for k, v in source.items() if v is not None}})
    done = program.run("check")
    assert done.returncode == 2 and says in done.stdout, done.stdout
