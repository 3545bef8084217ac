"""Servers that lose what they had: a broker its data folder, a database its newest commits. Rows 5 and 18 of the matrix.

Each has servers of its own: they are wiped.
"""
import os
import re
import shutil
import subprocess
import time

import oracle
import pytest
from harness import clients
from harness.processes import wait_until
from harness.servers import Postgres, RabbitMQ
from oracle import report
from rig import BUILD, LONG, SETTLE_SECONDS, Rig


@pytest.fixture
def own_broker():
    folder = os.path.join(BUILD, "check", "torture-wiped-rabbitmq")
    shutil.rmtree(os.path.join(folder, "data"), ignore_errors=True)
    server = RabbitMQ(folder).start()
    yield server
    server.remove()


@pytest.fixture
def own_pg():
    folder = os.path.join(BUILD, "check", "torture-restored-pg")
    archive = os.path.join("/var/tmp", f"muskrat-archive-{os.getpid()}")
    server = Postgres(folder, build=BUILD, fsync=True, settings={
        "wal_level": "replica", "archive_mode": "on", "archive_command": f"cp %p {archive}/%f"})
    server.archive = archive
    os.makedirs(archive, exist_ok=True)
    if server.user:
        shutil.chown(archive, server.user)
    shutil.rmtree(server.data, ignore_errors=True)
    server.start()
    yield server
    server.remove()
    shutil.rmtree(archive, ignore_errors=True)


@pytest.fixture
def rig_on(request):
    made = []

    def make(pg, rabbitmq, **how):
        folder = os.path.join(BUILD, "check", "torture", request.node.name)
        made.append(Rig(pg, rabbitmq, folder, 900 + len(made), BUILD, **how))
        return made[-1]

    yield make
    for rig in made:
        rig.close()


def test_broker_that_lost_its_data_is_made_whole_by_replay(pg, own_broker, rig_on):
    """Row 5. Wiped under load, while the host is away: what was confirmed and not yet consumed is gone with it."""
    rig = rig_on(pg, own_broker)
    rig.start()
    rig.start_load(writers=2, pause=0.005, keys=50)
    rig.observer.wait(200)
    rig.consumer.stop()
    rig.consumer = None
    lost_from = len(rig.observer.deliveries)
    rig.observer.wait(lost_from + 200)
    assert rig.broker.depth("muskrat.mirror") >= 100, "queues hold what is about to be lost"
    own_broker.kill9()
    shutil.rmtree(os.path.join(own_broker.folder, "data"))
    own_broker.start()
    own_broker.create_vhost(rig.vhost)
    # No queue is there. The relay waits and says so; it does not make them itself.
    time.sleep(1)
    assert rig.relay.running()
    rig.program.setup()
    rig.broker.queue("observer", "muskrat", ("Load.#",), x_single_active_consumer=True)
    time.sleep(SETTLE_SECONDS)
    at = len(rig.observer.deliveries)
    wait_until(lambda: len(rig.observer.deliveries) > at, 60, "events after the broker's return")
    rig.load.stop()
    wait_until(rig.front.at_rest, 60, "the relay to catch up")
    rig.consumer = rig.program.consume()
    wait_until(lambda: rig.broker.depth("muskrat.effects") == 0, 60, "the host to catch up")
    ledger = rig.front.ledger()
    assert oracle.check_effects(ledger, rig.target.effects()), "nothing was lost, so nothing is shown"

    said = rig.program.ok("replay", "load", "--all", "--to-all", "--yes", timeout=120)
    print(said)
    assert f"{len(ledger)} events sent" in said
    rig.heal()
    print(rig.figures())
    # The replay repeats, once, everything; order of first deliveries is judged by the state, for the observer lost some too.
    found = oracle.check_state(rig.front.rows(), rig.target.rows()) + oracle.check_effects(ledger, rig.target.effects())
    delivered = {(s.pk, s.v) for s in rig.seen()}
    assert {(e.pk, e.v) for e in ledger} == delivered
    assert not found, report(found)


def test_database_restored_to_a_point_in_time_is_not_published_from_before_accept(own_pg, pg, rabbitmq, rig_on):
    """Row 18. Events of the commits that the restore took back were published; their numbers are used again."""
    rig = rig_on(pg, rabbitmq, front=own_pg, endpoint={"subscribe": ["Load.Account.*"]})
    rig.start()
    rig.start_load(writers=2, pause=0.005, keys=40)
    rig.observer.wait(100)
    write_before(rig)
    base = base_backup(own_pg)
    rig.observer.wait(300)
    in_doubt = prepare(rig, 7)
    clients.query(own_pg.dsn(), "SELECT pg_create_restore_point('before the mistake')")
    clients.execute(rig.front.dsn, f"COMMIT PREPARED '{in_doubt}'")
    write_what_is_lost(rig)
    rig.observer.wait(len(rig.observer.deliveries) + 200)
    rig.load.stop()
    rig.heal()
    old_epoch = max(d.epoch for d in rig.observer.deliveries)
    clients.query(own_pg.dsn(), "SELECT pg_switch_wal()")
    taken_back = len(rig.front.ledger())
    own_pg.stop()
    restore(own_pg, base)
    assert len(rig.front.ledger()) < taken_back, "the restore took nothing back"

    # Prepared transactions came back with their row locks: it is for their coordinator to end them.
    assert in_doubt in rig.load.end_prepared()

    # Writes after the restore use numbers again that the lost ones had; nothing leaves.
    write_and_accept(rig, old_epoch)
    # C5: the rows that were written again under the new epoch are equal: nothing of the lost history outranks them.
    make_whole(rig)


@pytest.mark.long
def test_standby_that_is_promoted_is_not_published_from_before_accept(own_pg, pg, rabbitmq, rig_on):
    """The relay's dsn names both servers. The standby lacks what was written last, as after an asynchronous failover."""
    standby = own_pg.standby(os.path.join(BUILD, "check", "torture-promoted-pg"))
    rig = rig_on(pg, rabbitmq, front=own_pg, endpoint={"subscribe": ["Load.Account.*"]})
    rig.program.config["sources"]["load"]["dsn"] = (f"host=127.0.0.1,127.0.0.1 port={own_pg.port},{standby.port} user=postgres "
                                                    f"dbname={rig.front.database} target_session_attrs=read-write")
    rig.program.save()
    try:
        rig.start()
        rig.start_load(writers=2, pause=0.005, keys=40)
        write_before(rig)
        rig.observer.wait(200)
        at = clients.value(rig.front.dsn, "SELECT pg_current_wal_lsn()")
        wait_until(lambda: clients.value(standby.dsn(), "SELECT pg_last_wal_replay_lsn() >= %s", (at,)), 60, "the standby to have it")
        standby.stop()
        write_what_is_lost(rig)
        rig.observer.wait(len(rig.observer.deliveries) + 100)
        rig.load.stop()
        rig.heal()
        old_epoch = max(d.epoch for d in rig.observer.deliveries)
        own_pg.kill9()
        standby.start()
        assert clients.value(standby.dsn(), "SELECT pg_promote()")
        rig.front.server, rig.front.dsn = standby, standby.dsn(rig.front.database)
        rig.load.dsn = rig.front.dsn
        rig.load.end_prepared()
        write_and_accept(rig, old_epoch)
        make_whole(rig)
        rig.program.stop()
    finally:
        standby.remove()
        own_pg.start()  # for the rig to remove its database from
        rig.front.server = own_pg


# Rows that no writer of the load touches: what is written to them, and in which history, is the test's alone.
KEPT, LOST = [201, 202, 203, 204, 205], [301, 302]


def write_before(rig):
    rig.write(*KEPT, tag="before")


def write_what_is_lost(rig):
    """Changes, and two new rows, in a history that will be no more."""
    rig.write(*KEPT, tag="lost")
    rig.write(*LOST, tag="lost")
    wait_until(lambda: {(s.pk, s.tag) for s in rig.seen()} >= {(pk, "lost") for pk in KEPT + LOST}, 60, "what will be lost to be published")


def accept(rig):
    """Nothing leaves until the operator has said so; then all of it."""
    before = len(rig.observer.deliveries)
    wait_until(lambda: rig.relay.get("/readyz")[0] != 200 or not rig.relay.running(), 60, "the refusal to show")
    with open(rig.relay.log_path, encoding="utf-8") as log:
        wait_until(lambda: "muskrat accept" in log.read(), 30, "the relay to say what is to be done")
    time.sleep(1)
    assert len(rig.observer.deliveries) == before, "published without the operator's word"
    said = rig.program.ok("accept", "load", "--yes", "--note", "restored")
    assert "epoch" in said and "extra" in said
    if rig.relay.running():
        rig.relay.stop()
    rig.relay = rig.program.relay()
    wait_until(rig.front.at_rest, 60, "the relay to catch up")


def write_and_accept(rig, old_epoch):
    for pk in range(1, 41):
        rig.write(pk, tag="after what was lost")
    before = len(rig.observer.deliveries)
    accept(rig)
    rig.observer.quiet(1)
    assert all(d.epoch > old_epoch for d in rig.observer.deliveries[before:]) and len(rig.observer.deliveries) >= before + 40


def make_whole(rig):
    """What the manual says of rows that nobody writes again: a backfill mends those that are there; those that are not are named."""
    def mirrored(rows):
        return [row for row in rows if row[0] not in KEPT + LOST]
    wait_until(lambda: mirrored(rig.target.rows()) == mirrored(rig.front.rows()), 60, "the rows that were written again to be equal")
    at_target = {row[0]: row[2] for row in rig.target.rows()}
    assert all(at_target[pk] == "lost" for pk in KEPT + LOST), "nothing differs, so nothing is shown"

    rig.program.ok("backfill", "account", "--to", "mirror", timeout=120)
    wait_until(lambda: [row for row in rig.target.rows() if row[0] not in LOST] == rig.front.rows(), 60, "the mirror after the backfill")
    if not LONG:
        return
    done = rig.program.run("verify", "account", "mirror", "--repair", timeout=120)
    told = [line.split()[0] + line[line.index("["):] for line in done.stdout.splitlines() if re.match("(missing|different|extra) ", line)]
    assert done.returncode == 1 and sorted(told) == [f'extra["{pk}"]' for pk in LOST], done.stdout + done.stderr
    at_target = {row[0] for row in rig.target.rows()}
    assert at_target >= set(LOST), "an extra row is for a person to delete"


def prepare(rig, pk):
    """A two-phase commit between its phases; its name."""
    gid = "load-in-doubt"
    connection = rig.front.open_step([pk], "in doubt")
    with connection.cursor() as cursor:
        cursor.execute("PREPARE TRANSACTION %s", (gid,))
    connection.close()
    return gid


def base_backup(server):
    """A copy of the running server, beside its data."""
    copy = server.data + "-base"
    shutil.rmtree(copy, ignore_errors=True)
    subprocess.run([server.program("pg_basebackup"), "-d", server.dsn(), "-D", copy, "-X", "none", "-c", "fast"], check=True,
                   capture_output=True)
    return copy


def restore(server, base):
    """The data folder from the base backup and the archive, up to the restore point."""
    shutil.rmtree(server.data)
    shutil.move(base, server.data)
    server.extra.update(restore_command=f"cp {server.archive}/%f %p", recovery_target_name="before the mistake",
                        recovery_target_action="promote")
    with open(os.path.join(server.data, "recovery.signal"), "w", encoding="ascii"):
        pass
    if server.user:
        subprocess.run(["chown", "-R", server.user, server.data], check=True)
    os.chmod(server.data, 0o700)
    server.start()
    wait_until(lambda: clients.value(server.dsn(), "SELECT NOT pg_is_in_recovery()"), 60, "the end of recovery")
