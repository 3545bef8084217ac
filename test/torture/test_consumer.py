"""Faults of the host: killed at every step between delivery, effect and acknowledgement. Row 27 of the matrix."""
import random
import time

import schedules
from rig import LONG
from oracle import report


def test_consumer_killed_at_every_call_has_each_effect_once(rig):
    found, kills, repeats = schedules.consumer_kill_sweep(rig, step=1 if LONG else 2)
    print(f"{rig.figures()}, {repeats} effects were in place already when they came again")
    assert not found, report(found)
    if LONG:
        assert repeats, "no kill fell between an effect and its acknowledgement: the sweep does not reach it"
    assert kills >= (30 if LONG else 8), f"the sweep killed only {kills} hosts"


def test_consumer_killed_within_effects_has_each_once(rig):
    found = schedules.consumer_kills_in_time(rig, rounds=80 if LONG else 12)
    print(rig.figures())
    assert not found, report(found)


def test_consumer_that_dies_before_its_effects_gets_everything_again(rig):
    found = schedules.consumer_dies_while_effects_wait(rig)
    assert not found, report(found)


def test_consumer_killed_under_load_ends_equal(rig):
    rng = random.Random(3)
    rig.start()
    rig.start_load(writers=2, pause=0.003, keys=60)
    for _ in range(30 if LONG else 5):
        time.sleep(0.3 + rng.random())
        rig.consumer.kill9()
        rig.consumer = rig.program.consume(wait=False)
        rig.crashes += 1
    rig.load.stop()
    rig.heal()
    print(rig.figures())
    found = rig.verdict(repeats_allowed=0)
    assert not found, report(found)
