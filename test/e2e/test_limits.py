"""Rate, concurrency, quota: what an endpoint may have, who waits for it, and what is said about it."""
import contextlib
import datetime
import json
import sqlite3
import time

import pytest

from harness.http_server import HttpServer
from harness.processes import wait_until
from harness.shifted_clock import ahead, before_midnight
from test_pause import row  # the status page's row of an endpoint


@pytest.fixture
def server():
    server = HttpServer()
    yield server
    if server.running:
        server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def state(world, request):
    return {"state": f"{world.folder}/state.sqlite"} if request.param == "sqlite" else {"state_dsn": world.target}


@pytest.fixture
def sqlite(world):
    return {"state": f"{world.folder}/state.sqlite"}


def hook(server, **more):
    return {"kind": "http", "subscribe": ["Frontend.Customer.*"], "url": server.url("/hook"), **more}


def stand(world, server, consumer, consume=True, **more):
    """`hook` under limits, `analytics` its neighbour."""
    world.stand(endpoints={"hook": hook(server, **more), "analytics": world.mirror()}, consume=consume, consumer=consumer)


def parked(world, reason):
    return world.consumer.metric("muskrat_endpoint_parked", endpoint="hook", reason=reason)


def wait_parked(world, why):
    return wait_until(lambda: row(world, "hook")["state"] == "parked" and why in row(world, "hook")["why"] and row(world, "hook"),
                      60, f"hook to be parked: {why}")


def seen(server):
    return [body["id"] for body in server.bodies()]


def test_limits_rate_is_kept_and_all_arrive_in_order(world, server, sqlite):
    times = []

    def answer(request, nth):
        times.append(time.monotonic())
        return 200, {}, b"{}"

    server.answer = answer
    stand(world, server, sqlite, rate="5 per 2s")
    world.customers(*range(1, 11))
    for word in ("a", "b", "c"):
        world.sql("UPDATE customers SET email = %s WHERE id = 1", (word,))
    world.wait_equal()  # the neighbour waits for nobody
    wait_until(lambda: len(times) == 13, 60, "all of them")
    # the server sees a call a little later than it was let through; a burst beyond the rate would be seen at once
    assert all(later - earlier > 1.3 for earlier, later in zip(times, times[5:])), times
    assert [body["email"] for body in server.bodies() if body["id"] == 1] == ["c1@example.com", "a", "b", "c"]
    assert world.consumer.metric("muskrat_endpoint_calls_total", endpoint="hook") == 13
    assert world.consumer.metric("muskrat_endpoint_parked", endpoint="hook") == 0, "a short wait parks nobody"


def test_limits_concurrency_bounds_the_calls_under_way(world, server, sqlite):
    under_way, most = [], []

    def answer(request, nth):
        under_way.append(nth)
        most.append(len(under_way))
        time.sleep(0.05)
        under_way.remove(nth)
        return 200, {}, b"{}"

    server.answer = answer
    stand(world, server, sqlite, consume=False, lanes=8, concurrency=2, batch_size=2)
    world.customers(*range(1, 31))
    world.broker.wait_depth("muskrat.hook", 30)
    world.start(relay=False)
    wait_until(lambda: set(seen(server)) == set(range(1, 31)), 60, "all of them")
    assert max(most) == 2


def test_limits_rate_used_up_for_long_parks_the_endpoint_and_its_neighbour_goes_on(world, server, sqlite):
    stand(world, server, sqlite, rate="3 per 1h")
    world.customers(*range(1, 8))
    world.wait_equal()
    assert wait_parked(world, "the rate of 3 calls per 1h is used up")["why"].startswith("until 20")
    world.broker.wait_depth("muskrat.hook", 4)
    assert parked(world, "rate") == 1 and parked(world, "trouble") == 0
    assert world.consumer.metric("muskrat_endpoint_circuit_open", endpoint="hook") == 0
    assert 3000 < world.consumer.metric("muskrat_endpoint_parked_until_seconds", endpoint="hook") - time.time() <= 3600
    assert world.consumer.stop(timeout=15) == 0, "a park ends at SIGTERM"
    assert len(server.requests()) == 3
    world.broker.wait_depth("muskrat.hook", 4)


def test_limits_rate_that_opens_soon_is_waited_for_and_sigterm_does_not_wait(world, server, sqlite):
    stand(world, server, sqlite, rate="1 per 20s", hold_for="1m")
    world.customers(1, 2)
    world.wait_equal()
    wait_until(lambda: "used up" in row(world, "hook")["why"], 60, "the status page to say what is waited for")
    assert row(world, "hook")["state"] == "consuming"
    assert world.consumer.stop(timeout=15) == 0
    assert seen(server) == [1]
    world.broker.wait_depth("muskrat.hook", 1)


def test_limits_quota_used_up_parks_until_its_midnight_and_survives_a_restart(world, server, state):
    # A zone whose midnight is not just now; Kiritimati's is at ten in UTC.
    zone, hours = ("Pacific/Kiritimati", 14) if datetime.datetime.now(datetime.timezone.utc).hour != 9 else ("Asia/Tokyo", 9)
    stand(world, server, state, quota="3 calls per day", quota_zone=zone)
    world.customers(*range(1, 8))
    world.wait_equal()
    why = wait_parked(world, f"because the quota of 3 calls per day ({zone}) is used up")["why"]
    tomorrow = (datetime.datetime.now(datetime.timezone(datetime.timedelta(hours=hours))) + datetime.timedelta(days=1)).date()
    midnight = datetime.datetime.combine(tomorrow, datetime.time()) - datetime.timedelta(hours=hours)
    assert why.startswith(f"until {midnight:%Y-%m-%dT%H:%M:%SZ}")
    world.broker.wait_depth("muskrat.hook", 4)
    assert parked(world, "quota") == 1
    wait_until(lambda: world.consumer.metric("muskrat_endpoint_quota_used", endpoint="hook") == 3, 60, "the metric")
    wait_until(lambda: row(world, "hook")["figures"]["quota"] == "3 of 3", 60, "the status page")
    text = wait_until(lambda: "because the quota" in world.program.run("status").stdout and world.program.run("status").stdout, 60,
                      "muskrat status to know")
    assert "nobody consumes" not in text
    (status,) = [q for q in json.loads(world.program.run("status", "--json").stdout)["queues"] if q["endpoint"] == "hook"]
    assert status["parked"]["reason"] == "quota" and status["parked"]["until"].startswith(f"{midnight:%Y-%m-%dT%H:%M:%S}")

    world.consumer.kill9()
    world.consumer = world.program.consume(wait=False)
    wait_until(lambda: world.consumer.get("/status")[0] == 200, 60, "the host to answer")
    wait_parked(world, "the quota of 3 calls per day")
    world.customers(8)
    world.wait_equal()
    assert len(server.requests()) == 3
    # of both lives: said once in each, and the second took nothing
    log = [json.loads(line) for line in world.consumer.log(1000).splitlines() if '"endpoint":"hook"' in line]
    assert [entry["event"] for entry in log if entry["event"] in ("parked", "consuming")] == ["consuming", "parked", "parked"]

    assert world.consumer.stop(timeout=15) == 0
    world.configure({"hook": hook(server, quota="100 calls per day"), "analytics": world.mirror()}, consumer=state)
    world.start(relay=False)
    wait_until(lambda: sorted(seen(server)) == list(range(1, 9)), 60, "the rest, under a larger quota")


def test_limits_quota_of_a_day_is_whole_again_after_midnight(world, server, sqlite):
    stand(world, server, sqlite, consume=False, quota="3 calls per day", quota_zone="UTC", hold_for="1s")
    world.customers(*range(1, 8))
    world.broker.wait_depth("muskrat.hook", 7)
    world.consumer = world.program.consume(wait=False, env=before_midnight(world.folder, 20))
    wait_until(lambda: world.consumer.get("/status")[0] == 200, 60, "the host to answer")
    today = wait_parked(world, "the quota of 3 calls per day (UTC) is used up")["why"]
    assert len(server.requests()) == 3 and today.startswith("until ") and "T00:00:00Z" in today
    wait_until(lambda: len(server.requests()) == 6, 60, "the next day's three calls")
    tomorrow = wait_until(lambda: row(world, "hook")["state"] == "parked" and row(world, "hook")["why"] != today and
                          row(world, "hook")["why"], 60, "the next day's quota to be used up")
    assert "T00:00:00Z" in tomorrow
    world.broker.wait_depth("muskrat.hook", 1)
    assert len(set(seen(server))) == 6, "nothing went twice"


def test_limits_endpoint_that_asks_for_a_rest_is_parked_and_resumes_by_itself(world, server, sqlite):
    def answer(request, nth):
        return (429, {"Retry-After": "6"}, b"") if nth == 2 else (200, {}, b"{}")

    server.answer = answer
    stand(world, server, sqlite, lanes=1, hold_for="1s", batch_age="0ms")
    world.customers(1, 2, 3, 4)
    wait_parked(world, "answer 429 Too Many Requests")
    assert parked(world, "asked") == 1
    world.wait_equal()
    wait_until(lambda: sorted(set(seen(server))) == [1, 2, 3, 4], 60, "the rest")
    wait_until(lambda: row(world, "hook")["state"] == "consuming", 60, "the endpoint to go on")
    assert len(seen(server)) == 5 and world.consumer.metric("muskrat_endpoint_retries_total", endpoint="hook") == 0


@pytest.mark.parametrize("end", ["stop", "kill9"])
def test_limits_rest_that_was_asked_for_outlives_the_host_until_it_is_resumed(world, server, state, end):
    server.answer = lambda request, nth: (429, {"Retry-After": "86400"}, b"") if nth == 2 else (200, {}, b"{}")
    stand(world, server, state, lanes=1, batch_age="0ms")
    world.customers(1, 2, 3, 4)
    until = wait_parked(world, "answer 429 Too Many Requests")["why"].split(",")[0]
    wait_until(lambda: "answer 429" in world.program.run("status").stdout, 60, "the state database to know")

    if end == "stop":
        assert world.consumer.stop(timeout=15) == 0
        assert "parked" not in world.program.run("status").stdout, "nobody is there who is parked"
    else:
        world.consumer.kill9()
    world.consumer = world.program.consume(wait=False)
    wait_until(lambda: world.consumer.get("/status")[0] == 200, 60, "the host to answer")
    again = wait_parked(world, "answer 429 Too Many Requests")["why"].split(",")[0]
    assert again[:-4] == until[:-4], "until the same minute"
    assert parked(world, "asked") == 1
    world.customers(5)
    world.wait_equal()
    assert len(server.requests()) == 2, "the second host asked nothing"

    told = world.program.run("resume", "hook")
    assert told.returncode == 0 and "had asked itself for a rest" in told.stdout
    wait_until(lambda: sorted(set(seen(server))) == [1, 2, 3, 4, 5], 60, "the rest")
    wait_until(lambda: row(world, "hook")["state"] == "consuming", 60, "the endpoint to go on")
    assert "nothing was changed" in world.program.run("resume", "hook").stdout


def test_limits_rest_is_no_longer_than_was_asked_for_though_the_clock_was_put_back(world, server, sqlite):
    server.answer = lambda request, nth: (429, {"Retry-After": "600"}, b"")
    stand(world, server, sqlite, consume=False, lanes=1)
    world.customers(1)
    world.consumer = world.program.consume(wait=False, env=ahead(world.folder, datetime.timedelta(days=1)))
    wait_until(lambda: world.consumer.get("/status")[0] == 200, 60, "the host to answer")
    wait_parked(world, "answer 429 Too Many Requests")
    with contextlib.closing(sqlite3.connect(sqlite["state"])) as notes:
        wait_until(lambda: notes.execute("SELECT 1 FROM parked").fetchall(), 60, "the state database to know")
    world.consumer.kill9()
    assert "parked" not in world.program.run("status").stdout, "nobody said so just now"
    world.consumer = world.program.consume(wait=False)
    wait_until(lambda: world.consumer.get("/status")[0] == 200, 60, "the host to answer")
    wait_parked(world, "answer 429 Too Many Requests")
    assert world.consumer.metric("muskrat_endpoint_parked_until_seconds", endpoint="hook") - time.time() <= 600
    assert len(server.requests()) == 1


def test_limits_short_rest_is_held_without_giving_back(world, server, sqlite):
    def answer(request, nth):
        return (429, {"Retry-After": "1"}, b"") if nth == 2 else (200, {}, b"{}")

    server.answer = answer
    stand(world, server, sqlite, lanes=1)
    world.customers(1, 2, 3, 4)
    wait_until(lambda: sorted(set(seen(server))) == [1, 2, 3, 4], 60, "all of them")
    assert '"event":"parked"' not in world.consumer.log(1000)


def test_limits_held_bytes_bound_what_waits_for_retries(world, server, sqlite):
    server.answer = lambda request, nth: (500, {}, b"")
    stand(world, server, sqlite, held_bytes="64KiB", retry_first="10s", circuit_after=1000, lanes=1, batch_size=1)
    world.customers(*range(1, 8), company="x" * 20_000)
    assert "bytes) wait for a retry" in wait_parked(world, "wait for a retry")["why"]
    wait_until(lambda: parked(world, "trouble") == 1, 60, "the metric")
    world.wait_equal()


def test_limits_are_checked_and_shown_by_check(world, server, sqlite):
    stand(world, server, sqlite, consume=False, rate=["100 per 20s", "10/s"], quota="50000 calls per day",
          quota_zone="America/Chicago")
    assert ("limits of hook: 100 calls per 20s; 10 calls per 1s; the quota of 50000 calls per day (America/Chicago)"
            in world.program.ok("check"))
    world.configure({"hook": hook(server, rate="fast", quota="1 per week", quota_zone="Chicago")}, consumer=sqlite)
    done = world.program.run("check")
    assert done.returncode == 2
    for text in ('rate: "fast": expected an amount', 'quota: "1 per week": expected an amount', "no time zone"):
        (line,) = [line for line in done.stdout.splitlines() if text in line]
        assert "muskrat.yaml:" in line and "endpoints.hook" in line
