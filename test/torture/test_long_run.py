"""200,000 events while everything is killed: relay and host in turn every 5 s, broker and PostgreSQL once each."""
import time

import pytest
from rig import LONG
from oracle import repeats, report

KILL_EVERY_SECONDS = 5


def run(rig, events, broker_at, postgres_at):
    rig.start()
    began = time.monotonic()
    load = rig.start_load(writers=4, events=events, keys=3000, per_transaction=8, odd_share=0.05, pause=0.008)
    next_kill, turn = KILL_EVERY_SECONDS, 0
    broker_killed = postgres_killed = False
    while not load.done() or not (broker_killed and postgres_killed):
        assert not load.errors and time.monotonic() - began < 1200, f"the load wrote only {load.written} events: {load.errors}"
        time.sleep(0.1)
        if not broker_killed and load.written >= events * broker_at:
            rig.rabbitmq.kill9()
            rig.rabbitmq.start()
            broker_killed = True
        if not postgres_killed and load.written >= events * postgres_at:
            rig.front.crash()
            postgres_killed = True
        if time.monotonic() - began >= next_kill:
            next_kill += KILL_EVERY_SECONDS
            turn += 1
            if turn % 2:
                rig.relay.kill9()
                rig.relay = rig.program.relay(wait=False)
            else:
                rig.consumer.kill9()
                rig.consumer = rig.program.consume(wait=False)
            rig.crashes += 1
    load.wait(60)
    written = time.monotonic() - began
    # the killing goes on until the last event has arrived
    while not rig._arrived() and time.monotonic() - began < 1800:
        time.sleep(KILL_EVERY_SECONDS)
        turn += 1
        if turn % 2:
            rig.relay.kill9()
            rig.relay = rig.program.relay(wait=False)
        else:
            rig.consumer.kill9()
            rig.consumer = rig.program.consume(wait=False)
        rig.crashes += 1
    rig.heal(300)
    found = rig.verdict()
    counts = {rule: sum(v.rule == rule for v in found) for rule in ("C1", "C2", "C3", "C5")}
    seen = rig.seen()
    print(f"{len(rig.front.ledger()):,} events, written in {written:.0f} s, all there after {time.monotonic() - began:.0f} s; "
          f"{rig.crashes} kills of relay and host, one of the broker, one of {rig.front.name}; "
          f"{counts['C1']} lost, {counts['C2']} invented, {counts['C3']} out of order, {counts['C5']} wrong rows or effects; "
          f"{repeats(seen):,} of {len(seen):,} publications were repeats")
    assert not found, report(found)


@pytest.mark.long
def test_long_run_200_000_events_under_kills(rig):
    run(rig, 200_000, 0.3, 0.6)


@pytest.mark.skipif(LONG, reason="the long one runs")
def test_long_run_10_000_events_under_kills(rig):
    run(rig, 10_000, 0.3, 0.6)
