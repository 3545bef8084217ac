"""How many events a second one core maps: by the field table, and by jq in its process beside the host."""
import os
import statistics
import subprocess

from measure import Figure, in_turn


def rates(bench):
    binary = os.path.join(bench.build, "bench", "mapping_rate")
    if not os.path.exists(binary):
        raise RuntimeError(f"{binary} is not built; run this through make bench")
    events = bench.size(40_000, 400_000)

    def of(kind):
        done = subprocess.run([binary, kind, str(events)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"mapping_rate {kind}: {done.stderr.strip()}")
        return float(done.stdout)
    kinds = ["body", "table", "jq_field", "jq"]
    results = in_turn({kind: lambda kind=kind: of(kind) for kind in kinds}, bench.rounds(5, 7), "mapping")
    read = statistics.median(results["body"])
    field = statistics.median(results["jq_field"])
    yield Figure("mapping_table_rate", statistics.median(results["table"]), "/s", results["table"],
                 note=f"{events} events of 320 bytes to ten fields, by processor time; the body as it came: {read:.0f}/s")
    yield Figure("mapping_jq_rate", statistics.median(results["jq"]), "/s", results["jq"],
                 note=f"the same document by jq, host and evaluator together; the table with one jq field: {field:.0f}/s")
