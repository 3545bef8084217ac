"""The same faults with MariaDB as the source, and as the target. Rows 1, 2, 3, 4, 14, 20, 26, 27, 37 of the matrix in README.md."""
import pytest
import schedules
from rig import LONG
from oracle import repeats, report
from test_long_run import run


def test_mysql_relay_killed_at_every_call_loses_nothing_and_repeats_at_most_the_window(make_rig, mariadb):
    rig = make_rig(consumer=False, front=mariadb)
    found, kills = schedules.relay_kill_sweep(rig, step=1 if LONG else 8)
    print(rig.figures())
    assert not found, report(found)
    assert kills >= (60 if LONG else 8), f"the sweep killed only {kills} relays"
    if LONG:
        assert repeats(rig.seen()), "no kill fell between a publication and its mark: the sweep does not reach it"


def test_mysql_relay_sigterm_drains_without_repeats(maria_rig):
    found = schedules.stops_under_load(maria_rig, rounds=200 if LONG else 10)
    print(maria_rig.figures())
    assert not found, report(found)


def test_mysql_relay_paused_leader_finds_that_another_leads(maria_rig):
    found = schedules.paused_leader(maria_rig, rounds=30 if LONG else 2)
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


def test_mysql_commits_shown_before_they_are_written_are_not_published(make_rig, mariadb):
    rig = make_rig(consumer=False, front=mariadb)
    found = schedules.commits_shown_before_they_are_written(rig, rounds=5 if LONG else 1)
    print(rig.figures())
    assert not found, report(found)


def test_mysql_broker_killed_under_load_loses_nothing(maria_rig):
    found = schedules.broker_kills(maria_rig, rounds=50 if LONG else 1)
    print(maria_rig.figures())
    assert not found, report(found)


def test_mysql_consumer_killed_at_every_call_has_each_effect_once(make_rig, mariadb):
    rig = make_rig(front=mariadb, target=mariadb)
    found, kills, repeats = schedules.consumer_kill_sweep(rig, step=1 if LONG else 4)
    print(f"{rig.figures()}, {repeats} effects were in place already when they came again")
    assert not found, report(found)
    if LONG:
        assert repeats, "no kill fell between an effect and its acknowledgement: the sweep does not reach it"
    assert kills >= (30 if LONG else 6), f"the sweep killed only {kills} hosts"


def test_mysql_consumer_killed_within_effects_has_each_once(make_rig, mariadb):
    rig = make_rig(front=mariadb, target=mariadb)
    found = schedules.consumer_kills_in_time(rig, rounds=80 if LONG else 10)
    print(rig.figures())
    assert not found, report(found)


@pytest.mark.long
def test_mysql_200_000_events_under_kills(maria_rig):
    run(maria_rig, 200_000, 0.3, 0.6)
