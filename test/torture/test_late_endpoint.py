"""An endpoint that comes late, while the load writes and the relay dies: backfilled, it is equal. Row by row, and as `muskrat verify`
has it."""
import time

from harness.clients import query
from harness.processes import Child, wait_until
from oracle import report
from rig import LONG


def test_endpoint_added_under_load_is_backfilled_and_equal(rig):
    rig.start()
    rig.start_load(writers=3, pause=0.003, keys=400)
    wait_until(lambda: len(rig.seen()) > 300, 60, "the load")
    query(rig.target.dsn, "CREATE TABLE late (LIKE account INCLUDING ALL)")
    mirror = rig.program.config["endpoints"]["mirror"]
    route = {**mirror["routes"][0], "table": "late"}
    rig.program.config["endpoints"]["late"] = {**mirror, "subscribe": ["Load.Account.*"], "routes": [route]}
    rig.program.save()
    assert rig.consumer.stop() == 0
    rig.program.setup()
    rig.consumer = rig.program.consume()
    backfill = Child(rig.program.argv("backfill", "account", "--to", "late", "--chunk", "10", "--rate", "300"),
                     f"{rig.folder}/backfill.log", record=rig.folder)
    for _ in range(6 if LONG else 1):
        time.sleep(0.3)
        rig.relay.kill9()
        rig.crashes += 1
        rig.relay = rig.program.relay()
    assert backfill.wait(60) == 0, backfill.log()
    under_load = rig.program.run("verify", "account", "late", "--no-extra", "--grace", "500", timeout=150)
    rig.load.stop()
    rig.heal()
    wait_until(lambda: query(rig.target.dsn, "SELECT id, v, tag, note FROM late ORDER BY id") == rig.front.rows(), 60, "the late endpoint")
    print(rig.figures())
    found = rig.verdict()
    assert not found, report(found)
    assert under_load.returncode == 0, under_load.stdout + under_load.stderr
    at_rest = rig.program.run("verify", "account", "late")
    assert at_rest.returncode == 0 and ": equal." in at_rest.stdout, at_rest.stdout + at_rest.stderr
