"""What order by key costs: as much work over one key, ten keys, and as many keys as events."""
import statistics

from harness.clients import query

import customers
import delivery
from stage import stage_of
from measure import Figure, in_turn

# Each in a transaction of its own, as changes of one row come.
CHANGES = """DO $$
BEGIN
    FOR n IN 1..{times} LOOP
        UPDATE customers SET volume = n;
        COMMIT;
    END LOOP;
END $$"""


def rates(stage, keys, events):
    """(relay, host): events a second of each."""
    world = stage.world()
    try:
        query(world.dsn, "SET session_replication_role = replica; " + customers.bulk_insert("customers", 1, keys))
        query(world.dsn, CHANGES.format(times=events // keys))
        world.written = events
        relay, _ = world.drain()
        host, _ = delivery.host_rate(world, events)
        return relay, host
    finally:
        world.close()


def keys(bench):
    stage = stage_of(bench)
    events = {1: bench.size(3_000, 20_000), 10: bench.size(20_000, 100_000), 100_000: bench.size(100_000, 500_000)}
    runs = {count: [] for count in events}

    def one(count):
        relay, host = rates(stage, count, events[count])
        runs[count].append((relay, host))
        return relay

    in_turn({f"{count:,} keys": lambda c=count: one(c) for count in events}, bench.rounds(3, 5), "events/s of the relay")
    for place, name in enumerate(("relay", "host")):
        for count in events:
            rate = [run[place] for run in runs[count]]
            yield Figure(f"{name}_keys_{count}", statistics.median(rate), "events/s", rate,
                         note=f"{events[count]:,} events of {count:,} key{'s' if count > 1 else ''}, in order within each")
