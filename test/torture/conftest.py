"""Fixtures of the torture tests: one PostgreSQL (with fsync) and one RabbitMQ for the session, a Rig per test.

MUSKRAT_TORTURE=1 (make torture) asks for the long forms: every step of a sweep, the large runs, the seeded bugs.
"""
import os
import shutil
import sys

import pytest

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]

from harness.servers import MariaDB, Postgres, RabbitMQ  # noqa: E402
from rig import BUILD, LONG, Rig  # noqa: E402

_number = 0


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("long") and not LONG:
            item.add_marker(pytest.mark.skip(reason="long form: make torture"))


def pytest_configure(config):
    config.addinivalue_line("markers", "long: runs in `make torture` only")


@pytest.fixture(scope="session")
def pg():
    # wal_writer_delay: what is not flushed by a commit stays unflushed for long enough to be lost in a crash (row 15).
    server = Postgres(os.path.join(BUILD, "check", "torture-pg"), build=BUILD, fsync=True,
                      settings={"wal_writer_delay": "10s", "restart_after_crash": "on"})
    shutil.rmtree(server.data, ignore_errors=True)
    server.start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def rabbitmq():
    folder = os.path.join(BUILD, "check", "torture-rabbitmq")
    shutil.rmtree(os.path.join(folder, "data"), ignore_errors=True)
    server = RabbitMQ(folder).start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def mariadb():
    server = MariaDB(os.path.join(BUILD, "check", "torture-mariadb"), fsync=True)
    shutil.rmtree(server.data, ignore_errors=True)
    server.start()
    yield server
    server.leave()


@pytest.fixture
def make_rig(pg, rabbitmq, request):
    """make_rig(**how) → a Rig that is taken down after the test."""
    made = []

    def make(build=None, **how):
        global _number
        _number += 1
        name = request.node.name.replace("[", "-").replace("]", "")
        made.append(Rig(pg, rabbitmq, os.path.join(BUILD, "check", "torture", name), _number, build or BUILD, **how))
        return made[-1]

    yield make
    for rig in made:
        for server in (pg, rabbitmq, rig.front.server):
            if server.child is None or not server.child.running():
                server.start()
        rig.close()


@pytest.fixture
def maria_rig(make_rig, mariadb):
    return make_rig(front=mariadb)


@pytest.fixture
def rig(make_rig):
    return make_rig()
