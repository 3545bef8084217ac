"""The checker is worth its word only if it finds bugs: programs with one bug built in (make BUG=…) must be found out."""
import os
import subprocess

import pytest
import schedules
from rig import BUILD
from harness import build as where
from oracle import report

pytestmark = pytest.mark.long

# bug → (what triggers it, the rules of which at least one must be broken, whether a consumer takes part)
BUGS = {
    "cursor_before_confirm": (schedules.stalled_broker_dies, {"C1"}, False),
    "no_mandatory": (schedules.unroutable, {"C1"}, False),
    "cursor_on_id": (schedules.late_low_ids, {"C1"}, False),
    "order_by_xid": (schedules.lower_xid_writes_later, {"C3"}, False),
    "no_barrier": (lambda rig: schedules.async_commit_crashes(rig, 8), {"C2"}, False),
    "ack_before_effect": (schedules.consumer_dies_while_effects_wait, {"C5"}, True),
}


def build_with(bug):
    folder = os.path.join(BUILD, f"bug-{bug}")
    jobs = str(os.cpu_count() or 1)
    done = subprocess.run(["make", "-s", "-j", jobs, f"BUILD={folder}", f"BUG={bug}", "program"], cwd=where.TOP, capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("bug", BUGS)
def test_seeded_bug_is_caught(make_rig, bug):
    schedule, rules, consumer = BUGS[bug]
    rig = make_rig(build=build_with(bug), consumer=consumer)
    found = schedule(rig)
    print(f"{bug}: {report(found)}" if found else f"{bug}: nothing was found")
    assert rules & {v.rule for v in found}, f"the seeded bug {bug} was not caught"
