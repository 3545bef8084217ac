"""The ledger oracle: was anything lost, invented, reordered, changed or applied wrongly?

The load's own transactions write, beside the business row, a ledger row (tag, pk, v) that Muskrat does not capture; v grows
under the row's lock. After the fault has healed the ledger is the truth: a commit whose outcome the client never
learned has either left its ledger row or not. Nothing here knows Muskrat's code, and test_oracle.py proves that mutated histories
are caught.

  C1 nothing lost        every ledger row was delivered
  C2 nothing invented    every delivery is in the ledger
  C3 order               per key, first deliveries strictly rise
  C4 repeats             are identical, and no more than allowed
  C5 the endpoint        equals the source, row for row, with one effect per event
"""
from collections import namedtuple

# v counts the states of a row: even = a live version, odd = the deletion of the version before it.
Entry = namedtuple("Entry", "tag pk v")
Seen = namedtuple("Seen", "tag pk v message_id body routing_key seq epoch redelivered")
Violation = namedtuple("Violation", "rule text")


def seen_of(delivery):
    """What an observed event (clients.Delivery) says about the ledger. A deletion carries the old version."""
    body = delivery.json
    v = body["v"] + (1 if delivery.op == "delete" else 0)
    return Seen(body["tag"], body["id"], v, delivery.message_id, delivery.body, delivery.routing_key, delivery.seq,
                delivery.epoch, delivery.redelivered)


def check(ledger, seen, repeats_allowed=None):
    """Violations of C1–C4. `seen` in order of arrival; a broker's own redelivery of a message is no repeat."""
    found = []
    truth = {(e.pk, e.v): e for e in ledger}
    if len(truth) != len(ledger):
        found.append(Violation("ledger", "two ledger rows with the same pk and v: the load is wrong, not Muskrat"))
    first = {}
    by_id = {}
    highest = {}
    repeats = 0
    for s in seen:
        place = (s.pk, s.v)
        entry = truth.get(place)
        if entry is None:
            found.append(Violation("C2", f"invented: pk {s.pk} v {s.v} (message {s.message_id}) is not in the ledger"))
        elif s.v % 2 == 0 and entry.tag != s.tag:
            found.append(Violation("C2", f"invented: pk {s.pk} v {s.v} was written by {entry.tag}, the event says {s.tag}"))
        other = by_id.setdefault(s.message_id, s)
        if other is not s and (other.body, other.routing_key, other.seq) != (s.body, s.routing_key, s.seq):
            found.append(Violation("C4", f"message {s.message_id} came again with other contents"))
        if place in first:
            if first[place].message_id != s.message_id:
                found.append(Violation("C4", f"pk {s.pk} v {s.v} came under two ids"))
            if not s.redelivered:
                repeats += 1
            continue
        first[place] = s
        if s.v <= highest.get(s.pk, -1):
            found.append(Violation("C3", f"out of order: pk {s.pk} v {s.v} first came after v {highest[s.pk]}"))
        highest[s.pk] = max(s.v, highest.get(s.pk, -1))
    for place in sorted(truth.keys() - first.keys()):
        found.append(Violation("C1", f"lost: pk {place[0]} v {place[1]} ({truth[place].tag}) was committed and never delivered"))
    if repeats_allowed is not None and repeats > repeats_allowed:
        found.append(Violation("C4", f"{repeats} repeats, {repeats_allowed} allowed"))
    return found


def repeats(seen):
    """How many publications came again (the broker's own redeliveries not counted)."""
    ids, count = set(), 0
    for s in seen:
        if s.message_id in ids and not s.redelivered:
            count += 1
        ids.add(s.message_id)
    return count


def check_state(source, endpoint):
    """C5: two lists of rows, the key first in each."""
    a, b = {r[0]: tuple(r) for r in source}, {r[0]: tuple(r) for r in endpoint}
    found = []
    if len(b) != len(endpoint):
        found.append(Violation("C5", "the endpoint has two rows of one key"))
    for key in sorted(a.keys() | b.keys()):
        if a.get(key) != b.get(key):
            found.append(Violation("C5", f"row {key}: source {a.get(key)}, endpoint {b.get(key)}"))
    return found


def check_effects(ledger, effects):
    """C5: `effects` are the (pk, v) that an append-only endpoint wrote: each ledger row exactly once."""
    found = []
    counted = {}
    for pk, v in effects:
        counted[pk, v] = counted.get((pk, v), 0) + 1
    truth = {(e.pk, e.v) for e in ledger}
    for place, count in sorted(counted.items()):
        if place not in truth:
            found.append(Violation("C5", f"effect of pk {place[0]} v {place[1]}, which is not in the ledger"))
        elif count > 1:
            found.append(Violation("C5", f"{count} effects of pk {place[0]} v {place[1]}"))
    for place in sorted(truth - counted.keys()):
        found.append(Violation("C5", f"no effect of pk {place[0]} v {place[1]}"))
    return found


def report(violations, limit=15):
    """A text for an assertion: how many of each rule, and the first few."""
    counts = {}
    for v in violations:
        counts[v.rule] = counts.get(v.rule, 0) + 1
    lines = [", ".join(f"{n} of {rule}" for rule, n in sorted(counts.items()))]
    lines += [f"  {v.rule} {v.text}" for v in violations[:limit]]
    return "\n".join(lines)
