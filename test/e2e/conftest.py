"""Fixtures of the end-to-end tests: real servers, the real program, and SQL on both ends.

One PostgreSQL and one RabbitMQ for the session; for each test two databases (frontend and target), a vhost, and a folder
build/check/e2e/<test> with its muskrat.yaml and logs: a World.
"""
import os
import shutil
import sys

import pytest

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]

from harness.servers import MariaDB, Postgres, RabbitMQ  # noqa: E402
from world import BUILD, World  # noqa: E402


@pytest.fixture(scope="session")
def pg():
    server = Postgres(os.path.join(BUILD, "check", "e2e-pg"), build=BUILD)
    shutil.rmtree(server.data, ignore_errors=True)
    server.start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def rabbitmq():
    folder = os.path.join(BUILD, "check", "e2e-rabbitmq")
    shutil.rmtree(os.path.join(folder, "data"), ignore_errors=True)
    server = RabbitMQ(folder).start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def mariadb():
    server = MariaDB(os.path.join(BUILD, "check", "e2e-mariadb"))
    shutil.rmtree(server.data, ignore_errors=True)
    server.start()
    yield server
    server.leave()


_number = 0


@pytest.fixture
def world(pg, rabbitmq, request):
    global _number
    _number += 1
    made = World(pg, rabbitmq, request.node.name.replace("[", "-").replace("]", ""), _number)
    yield made
    codes = made.close()
    # Whatever a test was about: a daemon that it left running ends cleanly.
    assert all(code == 0 for code in codes.values()), f"exit codes at the end: {codes}; logs in {made.folder}"
