"""Fixtures of the end-to-end tests: real servers, the real program, and SQL on both ends.

One PostgreSQL and one RabbitMQ for each process that shares the files (harness/shared_files.py); for each test two databases
(frontend and target), a vhost, and a folder build/check/e2e/<test> with its muskrat.yaml and logs: a World.
"""
import os
import shutil
import sys

import pytest

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]

from harness.servers import MariaDB, Postgres, RabbitMQ  # noqa: E402
from harness.shared_files import share  # noqa: E402
from mysql_shop import Shop  # noqa: E402
from world import BUILD, World  # noqa: E402


def server_folder(name):
    """build/check/e2e-<name>, with the number of the process where files are shared."""
    return os.path.join(BUILD, "check", "-".join(["e2e", name, *filter(None, [share()[1]])]))


@pytest.fixture(scope="session")
def pg():
    server = Postgres(server_folder("pg"), build=BUILD)
    shutil.rmtree(server.data, ignore_errors=True)
    server.start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def rabbitmq():
    folder = server_folder("rabbitmq")
    shutil.rmtree(os.path.join(folder, "data"), ignore_errors=True)
    server = RabbitMQ(folder).start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def mariadb():
    server = MariaDB(server_folder("mariadb"))
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


@pytest.fixture
def make_shop(world, mariadb):
    """make_shop(rows, **source): see mysql_shop.Shop."""
    made = []

    def make(rows, **source):
        made.append(Shop(world, mariadb, rows, **source))
        return made[-1]

    yield make
    world.program.stop()
    for shop in made:
        shop.drop()
