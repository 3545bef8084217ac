"""The same faults with MariaDB as the source. Rows 1, 2, 3, 4, 14, 20, 26, 37 of the matrix in README.md."""
import pytest
import schedules
from rig import BUILD, LONG
from harness.program import Program
from oracle import report
from test_long_run import run


def test_mysql_relay_killed_at_every_call_loses_nothing_and_repeats_at_most_the_window(make_rig, mariadb):
    rig = make_rig(consumer=False, front=mariadb)
    found, kills = schedules.relay_kill_sweep(rig, step=1 if LONG else 8)
    print(rig.figures())
    assert not found, report(found)
    assert kills >= (60 if LONG else 8), f"the sweep killed only {kills} relays"


def test_mysql_relay_sigterm_drains_without_repeats(maria_rig):
    found = schedules.stops_under_load(maria_rig, rounds=200 if LONG else 10)
    print(maria_rig.figures())
    assert not found, report(found)


def test_mysql_relay_paused_leader_changes_nothing(maria_rig):
    def second():
        other = Program(maria_rig.folder, BUILD, "second.yaml")
        other.config = {**maria_rig.program.config, "relay": {"listen": f"127.0.0.1:{other.relay_port}"}}
        other.save()
        maria_rig.program.daemons.append(other.relay(log=f"{maria_rig.folder}/second.log"))
        return other.daemons[-1]

    found = schedules.paused_leader(maria_rig, second, rounds=30 if LONG else 2)
    print(maria_rig.figures())
    assert not found, report(found)


def test_mysql_late_low_ids_are_delivered(make_rig, mariadb):
    rig = make_rig(consumer=False, front=mariadb)
    found = schedules.late_low_ids(rig, rounds=50 if LONG else 5)
    assert not found, report(found)


def test_mysql_server_killed_under_load_loses_and_invents_nothing(maria_rig):
    found = schedules.database_crashes(maria_rig, rounds=20 if LONG else 2)
    print(maria_rig.figures())
    assert not found, report(found)


def test_mysql_broker_killed_under_load_loses_nothing(maria_rig):
    found = schedules.broker_kills(maria_rig, rounds=50 if LONG else 1)
    print(maria_rig.figures())
    assert not found, report(found)


@pytest.mark.long
def test_mysql_200_000_events_under_kills(maria_rig):
    run(maria_rig, 200_000, 0.3, 0.6)
