"""Faults of the servers: broker and PostgreSQL killed, queues gone or full. Rows 4, 7, 8, 14, 15, 20 of the matrix."""
import pytest
import schedules
from rig import LONG
from oracle import report


def test_broker_killed_republishes_in_order(rig):
    found = schedules.broker_kills(rig, rounds=50 if LONG else 2)
    print(rig.figures())
    assert not found, report(found)


def test_broker_that_stalls_and_dies_had_confirmed_nothing(make_rig):
    rig = make_rig(consumer=False)
    found = schedules.stalled_broker_dies(rig)
    print(rig.figures())
    assert not found, report(found)


def test_broker_unroutable_is_kept_then_held(make_rig):
    rig = make_rig(consumer=False)
    found = schedules.unroutable(rig)
    assert not found, report(found)


def test_broker_unroutable_key_waits_and_others_go_on(make_rig):
    rig = make_rig(consumer=False)
    found = schedules.one_binding_missing(rig)
    assert not found, report(found)


def test_broker_nack_is_tried_again_in_order(make_rig):
    rig = make_rig(consumer=False)
    found = schedules.full_queue(rig)
    print(rig.figures())
    assert not found, report(found)


@pytest.mark.long
def test_network_that_swallows_everything_is_given_up_and_nothing_is_lost(rig):
    found = schedules.network_swallows(rig)
    print(rig.figures())
    assert not found, report(found)


def test_postgres_killed_neither_loses_nor_invents(rig):
    found = schedules.database_crashes(rig, rounds=20 if LONG else 3)
    print(rig.figures())
    assert not found, report(found)


def test_postgres_asynchronous_commits_lost_in_a_crash_were_never_published(make_rig):
    rig = make_rig(consumer=False)
    found = schedules.async_commit_crashes(rig, rounds=30 if LONG else 4)
    print(rig.figures())
    assert not found, report(found)


def test_postgres_late_low_ids_are_delivered_after_their_commit(make_rig):
    found = schedules.late_low_ids(make_rig(consumer=False))
    assert not found, report(found)


def test_postgres_lower_xid_that_writes_later_keeps_the_order(make_rig):
    found = schedules.lower_xid_writes_later(make_rig(consumer=False))
    assert not found, report(found)


def test_postgres_slow_writers_savepoints_and_two_phase_commits(rig):
    rig.start()
    rig.start_load(writers=8, events=20_000 if LONG else 3_000, keys=100, odd_share=0.3).wait()
    rig.heal()
    print(rig.figures())
    found = rig.verdict(repeats_allowed=0)
    assert not found, report(found)
