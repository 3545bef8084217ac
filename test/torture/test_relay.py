"""Faults of the relay: killed at every step, paused, stopped. Rows 1, 2, 3, 26, 37 of the matrix in README.md."""
import time

import pytest
import schedules
from rig import LONG
from oracle import repeats, report


def test_relay_killed_at_every_call_loses_nothing_and_repeats_at_most_the_window(make_rig):
    rig = make_rig(consumer=False)
    found, kills = schedules.relay_kill_sweep(rig, step=1 if LONG else 5)
    print(rig.figures())
    assert not found, report(found)
    assert kills >= (60 if LONG else 10), f"the sweep killed only {kills} relays"
    if LONG:
        assert repeats(rig.seen()), "no kill fell between a publication and the cursor's move: the sweep does not reach it"


def test_relay_sigterm_drains_without_repeats(rig):
    found = schedules.stops_under_load(rig, rounds=200 if LONG else 20)
    print(rig.figures())
    assert not found, report(found)


def test_relay_paused_leader_finds_that_another_leads(rig):
    found = schedules.paused_leader(rig, rounds=30 if LONG else 4)
    print(rig.figures())
    assert not found, report(found)


@pytest.mark.long
def test_relay_two_million_events_waiting_stay_below_40_mb(make_rig):
    from harness import clients
    rig = make_rig(consumer=False)
    rig.program.relay().stop()  # the cursor's beginning
    connection = clients.connect(rig.front.dsn)
    with connection.cursor() as c:
        for chunk in range(20):
            first = chunk * 100_000 + 1
            c.execute("INSERT INTO account SELECT g, 2, 'bulk', repeat('x', 100) FROM generate_series(%s, %s) g",
                      (first, first + 99_999))
    connection.close()
    relay = rig.program.relay()
    peak, began = 0, time.monotonic()
    while time.monotonic() - began < 60:
        peak = max(peak, relay.rss_kib("VmHWM"))
        time.sleep(0.5)
    published = relay.metric("muskrat_relay_events_confirmed_total")
    print(f"relay's peak RSS with 2,000,000 events waiting: {peak / 1024:.1f} MB; {published:,.0f} published in 60 s")
    rig.observer.stop()
    assert published > 1000
    assert peak < 40 * 1024
