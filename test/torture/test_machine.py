"""What a PostgreSQL server runs out of: transaction numbers of 32 bits, and room for its write-ahead log. Each on a server of its own."""
import os
import shutil
import subprocess

import psycopg2
import pytest
from harness import clients
from harness.processes import wait_until
from harness.servers import Postgres
from oracle import report
from rig import BUILD, Rig

pytestmark = pytest.mark.long

WRAPAROUND = 2**32


@pytest.fixture
def own_pg(request):
    """A server, not yet started, whose data are there."""
    server = Postgres(os.path.join(BUILD, "check", request.node.name), build=BUILD, fsync=True, settings={"autovacuum": "off"})
    shutil.rmtree(server.data, ignore_errors=True)
    server.start()
    server.stop()
    yield server
    server.remove()


@pytest.fixture
def small_log(own_pg):
    """The server's write-ahead log in a file system of its own, of 64 MB."""
    log, aside = os.path.join(own_pg.data, "pg_wal"), os.path.join(own_pg.data, "pg_wal.aside")
    os.rename(log, aside)
    os.mkdir(log)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", log], capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        shutil.copytree(aside, log, dirs_exist_ok=True)
        subprocess.run(["chown", "-R", own_pg.user or str(os.getuid()), log], check=True)
        own_pg.extra.update(min_wal_size="32MB", max_wal_size="2GB", checkpoint_timeout="1h")
        yield log
    finally:
        own_pg.stop("immediate")
        subprocess.run(["umount", log], check=True)


@pytest.fixture
def rig_on(request, rabbitmq, pg):
    made = []

    def make(front, **how):
        folder = os.path.join(BUILD, "check", "torture", request.node.name)
        made.append(Rig(pg, rabbitmq, folder, 950 + len(made), BUILD, front=front, **how))
        return made[-1]

    yield make
    for rig in made:
        if rig.front.server.child is None or not rig.front.server.child.running():
            rig.front.server.start()
        rig.close()


def next_transaction_is(server, number):
    """Of a stopped server, in steps in which no row that is there comes to lie in the future."""
    step = 1_400_000_000
    for at in [*range(step, number, step), number]:
        server.start()
        server.psql("UPDATE pg_database SET datallowconn = true")
        for database in server.psql("SELECT datname FROM pg_database").split():
            server.psql("VACUUM FREEZE", database)
        server.stop()
        segment, pages = at // (32 * 32768), 32 * 8192  # a file of the commit log has 32 pages, of 32,768 transactions each
        path = os.path.join(server.data, "pg_xact", f"{segment:04X}")
        with open(path, "ab") as f:
            f.truncate(max(pages, f.tell()))
        if server.user:
            shutil.chown(path, server.user, server.user)
        subprocess.run(server._as_user([server.program("pg_resetwal"), "-x", str(at), "-D", server.data]), check=True, capture_output=True,
                       cwd="/")


def transaction(rig):
    return int(clients.value(rig.front.dsn, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text"))


def test_transaction_numbers_that_wrap_around_lose_and_reorder_nothing(own_pg, rig_on):
    """Past 2^32, with events on both sides of it in one read that is half confirmed, a prepared transaction open meanwhile, and segments
    that are switched."""
    next_transaction_is(own_pg, WRAPAROUND - 3000)
    own_pg.start()
    rig = rig_on(own_pg, source={"window": 16, "segment_bytes": "64KiB", "retention": "0s"})
    assert transaction(rig) < WRAPAROUND
    rig.start()
    rig.start_load(writers=2, events=1000, keys=50).wait()
    rig.observer.wait(1000)
    prepared = rig.front.open_step([777], "prepared before")
    with prepared.cursor() as cursor:
        cursor.execute("PREPARE TRANSACTION 'across'")
    prepared.close()
    wait_until(rig.front.at_rest, 60, "the relay to catch up")
    rig.relay.kill9()
    rig.crashes += 1
    seed = 2
    while transaction(rig) < WRAPAROUND + 100:
        rig.start_load(writers=4, events=500, keys=50, seed=seed, odd_share=0).wait()
        seed += 1
    # Half of what was written since is read and confirmed, and the cursor says so, when the next relay dies.
    straddles = (f"SELECT current_id IS NOT NULL AND pg_snapshot_xmax(last)::text::numeric < {WRAPAROUND}"
                 f" AND pg_snapshot_xmax(current)::text::numeric > {WRAPAROUND} FROM muskrat.cursor")
    rig.relay = rig.program.relay(wait=False)
    wait_until(lambda: clients.value(rig.front.dsn, straddles), 60, "a read across the wraparound to be half confirmed", 0.01)
    rig.relay.kill9()
    rig.crashes += 1
    assert clients.value(rig.front.dsn, straddles)
    rig.relay = rig.program.relay()
    rig.start_load(writers=4, events=1000, keys=50, seed=seed).wait()
    clients.execute(rig.front.dsn, "COMMIT PREPARED 'across'")
    rig.heal()
    print(rig.figures())
    found = rig.verdict(repeats_allowed=2 * 16)
    assert not found, report(found)
    assert "outbox rotated" in rig.relay.log(10_000)


def test_log_of_postgresql_that_has_no_room_left_stops_writers_and_loses_nothing(own_pg, small_log, rig_on):
    """PostgreSQL ends over a write-ahead log that cannot grow, and comes back when there is room."""
    own_pg.start()
    rig = rig_on(own_pg)
    rig.start()
    rig.start_load(writers=3, pause=0.002, keys=200)
    rig.observer.wait(200)
    other = clients.connect(own_pg.dsn())
    with other.cursor() as cursor, pytest.raises(psycopg2.Error):
        cursor.execute("CREATE TABLE other (t text)")
        for _ in range(100):
            cursor.execute("INSERT INTO other SELECT repeat('x', 1500) FROM generate_series(1, 2000)")
    wait_until(lambda: rig.load.broken, 60, "the writers to fail")
    wait_until(lambda: not own_pg.child.running(), 60, "the server to give up")
    rig.crashes += 1
    own_pg.child = None
    subprocess.run(["mount", "-o", "remount,size=512m", small_log], check=True)
    own_pg.start()
    at = len(rig.observer.deliveries)
    wait_until(lambda: len(rig.observer.deliveries) > at, 60, "events after the server's return")
    rig.load.stop()
    rig.heal()
    print(rig.figures())
    found = rig.verdict()
    assert not found, report(found)
