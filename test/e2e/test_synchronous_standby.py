"""A source that commits to a synchronous standby, with the standby away: what is not replicated is not published."""
import contextlib
import os
import shutil
import signal
import threading

import pytest

from harness import clients
from harness.processes import wait_until
from harness.servers import Postgres
from world import BUILD, World

CANCEL = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@pytest.fixture
def primary():
    server = Postgres(os.path.join(BUILD, "check", "e2e-synchronous"), build=BUILD)
    shutil.rmtree(server.data, ignore_errors=True)
    server.start()
    yield server
    server.remove()


@pytest.fixture
def standby(primary):
    server = primary.standby(os.path.join(BUILD, "check", "e2e-synchronous-standby"))
    wait_until(lambda: clients.query(primary.dsn(), "SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'"), 60, "the standby")
    yield server
    server.remove()


def wait_for_standbys(primary, which):
    clients.execute(primary.dsn(), f"ALTER SYSTEM SET synchronous_standby_names = '{which}'", "SELECT pg_reload_conf()")


@contextlib.contextmanager
def away(standby):
    """The standby takes nothing: its receiver stands still, and the connection stays."""
    receiver = clients.value(standby.dsn(), "SELECT pid FROM pg_stat_wal_receiver")
    os.kill(receiver, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(receiver, signal.SIGCONT)


def test_synchronous_standby_away_nothing_is_published_though_every_wait_is_cancelled(primary, standby, rabbitmq, request):
    world = World(primary, rabbitmq, request.node.name, "synchronous")
    try:
        # Under this setting the server does not say that a wait was cancelled, unless it is asked to.
        clients.execute(primary.dsn(), "ALTER ROLE postgres SET client_min_messages = error")
        world.stand(consume=False)
        world.customers(1)
        world.broker.wait_depth("muskrat.analytics", 1)
        world.published()
        wait_for_standbys(primary, "*")
        wait_until(lambda: clients.query(primary.dsn(), "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"), 60, "sync")
        with away(standby):
            writer = threading.Thread(target=world.customers, args=(2,))
            writer.start()

            def told():
                clients.query(primary.dsn(), CANCEL)
                assert world.relay.metric("muskrat_relay_events_published_total") == 1
                return "synchronous standbys do not confirm commits (waits are cancelled)" in world.relay.log(1000)
            wait_until(told, 60, "the relay to say what it waits for", interval=0.01)
            writer.join(60)
            assert world.sql("SELECT count(*) FROM customers") == [(2,)], "visible, and not replicated"
            assert world.broker.depth("muskrat.analytics") == 1
            assert clients.value(standby.dsn(world.front_db), "SELECT count(*) FROM customers") == 1
        world.broker.wait_depth("muskrat.analytics", 2)
    finally:
        wait_for_standbys(primary, "")
        codes = world.close()
    assert all(code == 0 for code in codes.values()), codes
