"""What an alarm sees: through a standstill its metric says so at every look, and not only between two tries."""
import threading

import pytest

from harness.http_server import HttpServer
from harness.processes import wait_until


@pytest.fixture
def server():
    server = HttpServer()
    yield server
    server.stop()


def hook(server, **more):
    return {"kind": "http", "subscribe": ["Frontend.Customer.*"], "url": server.url("/hook"), "circuit_first": "100ms",
            "circuit_most": "200ms", **more}


def told(world, endpoint):
    """What an endpoint's three gauges of a standstill say: circuit, parked for trouble, ready."""
    metric = world.consumer.metric
    return (metric("muskrat_endpoint_circuit_open", endpoint=endpoint),
            metric("muskrat_endpoint_parked", endpoint=endpoint, reason="trouble"), metric("muskrat_ready", endpoint=endpoint))


DOWN, WELL = (1, 1, 0), (0, 0, 1)


def watch(world, endpoint, parks):
    """Looks until the host has parked the endpoint so many times more; what it saw."""
    def parked():
        return world.consumer.log(10_000).count('"event":"parked"')
    until, seen = parked() + parks, set()

    def enough():
        seen.add(told(world, endpoint))
        return parked() >= until
    wait_until(enough, 60, f"{endpoint} to be parked {parks} times more", 0.005)
    return seen


def test_watch_endpoint_whose_server_is_gone_is_down_at_every_look(world):
    world.stand(endpoints={"analytics": world.mirror(circuit_first="100ms", circuit_most="200ms")},
                consumer={"state": f"{world.folder}/state.sqlite"})
    world.customers(1)
    world.wait_equal()
    assert told(world, "analytics") == WELL
    world.pg.psql(f'ALTER DATABASE "{world.target_db}" ALLOW_CONNECTIONS false')
    world.pg.psql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{world.target_db}'")
    world.customers(2)
    wait_until(lambda: told(world, "analytics") == DOWN, 60, "the host to see it")
    assert watch(world, "analytics", 6) == {DOWN}
    # a host that never knew it otherwise
    assert world.consumer.stop() == 0
    world.consumer = world.program.consume(wait=False)
    wait_until(lambda: told(world, "analytics") == DOWN, 60, "the next host to see it")
    assert watch(world, "analytics", 3) == {DOWN}
    # paused, nobody tries
    world.program.ok("pause", "analytics")
    wait_until(lambda: told(world, "analytics") == WELL, 60, "the pause")
    world.program.ok("resume", "analytics")
    wait_until(lambda: told(world, "analytics") == DOWN, 60, "the trouble again")
    world.pg.psql(f'ALTER DATABASE "{world.target_db}" ALLOW_CONNECTIONS true')
    world.wait_equal()
    wait_until(lambda: told(world, "analytics") == WELL, 60, "the end of it")


@pytest.mark.parametrize("how", ["hangs up", "503"])
def test_watch_endpoint_that_takes_nothing_is_down_in_the_middle_of_each_try(world, server, how):
    """Looked at while the request is with the server: the park is over, its reason may not be."""
    seen, down = [], threading.Event()

    def answer(request, nth):
        if not down.is_set():
            return 200, {}, b"{}"
        if "event\":\"parked" in world.consumer.log(1000):
            seen.append((*told(world, "hook"), world.consumer.metric("muskrat_endpoint_parked", endpoint="hook", reason="asked")))
        return None if how == "hangs up" else (503, {"Retry-After": "1"}, b"")

    server.answer = answer
    # With no patience at all each rest that a 503 asks for parks.
    world.stand(endpoints={"hook": hook(server, hold_for="0s", lanes=1)}, consumer={"state": f"{world.folder}/state.sqlite"})
    world.customers(1)
    wait_until(lambda: len(server.requests()) == 1, 60, "the first")
    down.set()
    world.customers(*range(2, 30))
    wait_until(lambda: len(seen) >= 2, 60, "tries")
    assert set(seen) == {(*DOWN, 0) if how == "hangs up" else (0, 0, 0, 1)}
    down.clear()
    world.delivered()
    wait_until(lambda: told(world, "hook") == WELL, 60, "the end of it")
    assert world.consumer.metric("muskrat_endpoint_parked", endpoint="hook") == 0


def test_watch_lag_grows_while_an_event_is_not_done(world, server):
    go = threading.Event()
    server.answer = lambda request, nth: (go.wait(60), (200, {}, b"{}"))[1]

    def lag():
        return world.consumer.metric("muskrat_endpoint_lag_seconds", endpoint="hook")
    world.stand(endpoints={"hook": hook(server)}, consumer={"state": f"{world.folder}/state.sqlite"})
    try:
        world.customers(1)
        first = wait_until(lag, 60, "the lag to show")
        wait_until(lambda: lag() > first, 60, "the lag to grow")
    finally:
        go.set()
    world.delivered()
    wait_until(lambda: lag() == 0, 60, "nothing in hand")


def test_watch_source_that_waits_for_a_person_is_not_ready_and_has_no_leader(world):
    world.stand(endpoints={})

    def says():
        return (world.relay.metric("muskrat_ready", source="frontend"), world.relay.metric("muskrat_relay_leader", source="frontend"))
    wait_until(lambda: says() == (1, 1), 60, "the relay to lead")
    assert world.relay.metric("muskrat_relay_connections_total", source="frontend", to="source") == 1
    world.sql("UPDATE muskrat.cursor SET timeline = timeline + 1")  # as if a standby had been promoted
    world.wait_log(world.relay, "source stopped.*timeline")
    wait_until(lambda: says() == (0, 0), 60, "the metrics to say so")
    world.program.ok("accept", "frontend", "--yes")
    wait_until(lambda: says() == (1, 1), 60, "the relay to lead again")
