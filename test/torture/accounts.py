"""The account of a host alone: each event in exactly one state, each record of the service in its row's last state.

Events are {message id: body}; a body has `id` (its row), `v` (the event's number, which grows) and the key by which the service tells
records apart, without regard to case; rows may share one. The service is a double that lists, in `written`, the v of each write in the
order it was carried out. Every event whose v is a multiple of POISON is one that the service never takes. Used by test_marketo.py and
test_salesforce.py; test_accounts.py proves that what is wrong is found.
"""
import collections

POISON = 1009


def states(events, service, letters, passed_over):
    """Each event in exactly one state. What was written and not noted before a kill may be superseded when it comes again."""
    versions = {message_id: body["v"] for message_id, body in events.items()}
    dead, written = {versions.get(d.message_id) for d in letters}, set(service.written)
    superseded = {versions.get(message_id) for message_id in passed_over}
    poison = {v for v in versions.values() if v % POISON == 0}
    return [f"{what}: {sorted(found, key=str)[:5]}" for what, found in {
        "lost": set(versions.values()) - written - dead - superseded, "invented": (written | dead) - set(versions.values()),
        "in two states": (written | superseded) & dead, "a dead letter without cause": dead - poison}.items() if found]


def all_settled(events, service, passed_over):
    written = set(service.written)
    return all(body["v"] in written or body["v"] % POISON == 0 or message_id in passed_over for message_id, body in events.items())


def in_place(events, service, key, there, what):
    """Each row's writes in order; each record, `there` as (key, v) of all of them, in its row's last state, and there once."""
    rows, last, found = {body["v"]: body for body in events.values()}, {}, []
    for v in service.written:
        row = rows[v]["id"]
        if v < last.get(row, 0):
            found.append(f"out of order: row {row}, {v} after {last[row]}")
        last[row] = max(v, last.get(row, 0))
    wanted, kept = collections.defaultdict(set), collections.defaultdict(list)
    newest = {body["id"]: body for body in sorted(events.values(), key=lambda b: b["v"]) if body["v"] % POISON}
    for body in newest.values():
        wanted[body[key].lower()].add(body["v"])
    for name, v in there:
        kept[name.lower()].append(v)
    found += [f"{len(versions)} {what} {name}" for name, versions in kept.items() if len(versions) > 1]
    return found + [f"{name} has {kept.get(name)}, not {versions}" for name, versions in wanted.items()
                    if not set(kept.get(name, [])) & versions]
