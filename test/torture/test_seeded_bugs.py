"""The checker is worth its word only if it finds bugs: programs with one bug built in (make BUG=…) must be found out."""
import os
import subprocess

import pytest
import schedules
from rig import BUILD
from harness import build as where
from oracle import report

pytestmark = pytest.mark.long

# (bug, the front in which it is, what triggers it, the rules of which at least one must be broken, whether a consumer takes part)
BUGS = [
    ("cursor_before_confirm", "postgres", schedules.stalled_broker_dies, {"C1"}, False),
    ("cursor_before_confirm", "mariadb", schedules.stalled_broker_dies, {"C1"}, False),
    ("no_mandatory", "postgres", schedules.unroutable, {"C1"}, False),
    ("nack_is_ack", "postgres", schedules.full_queue, {"C1"}, False),
    ("cursor_on_id", "postgres", schedules.late_low_ids, {"C1"}, False),
    ("order_by_xid", "postgres", schedules.lower_xid_writes_later, {"C3"}, False),
    ("no_barrier", "postgres", lambda rig: schedules.async_commit_crashes(rig, 8), {"C2"}, False),
    ("no_barrier", "mariadb", lambda rig: schedules.commits_shown_before_they_are_written(rig, 4), {"C2"}, False),
    ("ack_before_effect", "postgres", schedules.consumer_dies_while_effects_wait, {"C5"}, True),
]


def build_with(bug):
    folder = os.path.join(BUILD, f"bug-{bug}")
    jobs = str(os.cpu_count() or 1)
    done = subprocess.run(["make", "-s", "-j", jobs, f"BUILD={folder}", f"BUG={bug}", "program"], cwd=where.TOP, capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize(("bug", "front", "schedule", "rules", "consumer"), BUGS, ids=[f"{bug}-{front}" for bug, front, *_ in BUGS])
def test_seeded_bug_is_caught(make_rig, request, bug, front, schedule, rules, consumer):
    server = request.getfixturevalue("mariadb") if front == "mariadb" else None
    rig = make_rig(build=build_with(bug), consumer=consumer, front=server)
    found = schedule(rig)
    print(f"{bug}: {report(found)}" if found else f"{bug}: nothing was found")
    assert rules & {v.rule for v in found}, f"the seeded bug {bug} was not caught"
