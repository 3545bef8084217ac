"""Rows 27 to 29 for the kind salesforce: an API that fails in every way it can, and a host that is killed over and over.

The double keeps sessions and sizes, refuses what Salesforce refuses, locks parents while a call is at work, and journals each call. Every
event ends in exactly one state (written to its record, a dead letter, or superseded, where the broker gave back events of a killed host in
another order), and each record holds its row's last state. Some external ids belong to two rows each, written in capitals by one: the lanes
do not keep their events apart, and no two calls at once may have one. All contacts share few accounts, whose locks they must not fight for.
"""
import collections
import json
import random
import threading
import time

import pytest

from accounts import POISON, all_settled, in_place, states
from doubles.salesforce import Salesforce
from doubles.salesforce_org import error
from harness.processes import wait_until
from host_alone import host_alone
from rig import LONG

COLLECTIONS = "/composite/sobjects/Contact/"
SHARED = 20      # external ids that belong to two rows
ACCOUNTS = 400
MOST_RECORDS = 200
RESULTS = ("fewer_results",)
CODES = ("xml", "unavailable", "concurrent_limit", "expire_session")

# Each fault once, at its place; in the long form then by chance too, in a share of all calls.
Form = collections.namedtuple("Form", "events rows kills faults")
SHORT = Form(4_000, 2_000, 2, dict(
    lose={"lose": 1, "skip": 2}, cut={"cut": 1, "skip": 3}, html={"html": 1, "skip": 4}, error={"error": 1, "skip": 5},
    expire_session={"expire_session": 1, "skip": 3}, unavailable={"unavailable": 1, "skip": 6}, xml={"xml": 1, "skip": 7},
    concurrent_limit={"concurrent_limit": 1, "skip": 8}, fewer_results={"fewer_results": 1, "skip": 7}))
LONG_FORM = Form(100_000, 20_000, 8, {
    name: {**SHORT.faults[name], "share": share} for name, share in dict(
        lose=.01, cut=.01, html=.01, error=.01, expire_session=.02, unavailable=.01, xml=.01, concurrent_limit=.01,
        fewer_results=.01).items()})


class Contacts(Salesforce):
    """Notes what it writes, in order; refuses poison, and one record in two hundred for now."""

    def __init__(self, **options):
        self.written, self.chance, self.locked_out = [], random.Random(3), 0
        self.step, self.reached, self.go_on = None, threading.Event(), threading.Event()
        super().__init__(daily_limit=1_000_000, **options)
        for n in range(ACCOUNTS):
            self.org.insert("Account", {"Name": f"A{n}", "Ext_Id__c": f"a-{n}"})
        faults, write = self.org.faults, self.org.write
        self.org.faults = lambda target, values, creating: self.refused(values) or faults(target, values, creating)

        def writing(target, values, key=None):
            self.written.append(int(values["LastName"]))
            return write(target, values, key)
        self.org.write = writing

    def handle(self, request):
        """The first request of a `step` is carried out, and answered when somebody says so."""
        answer = super().handle(request)
        if self.step and request.method == self.step[0] and self.step[1] in request.path:
            self.step = None
            self.reached.set()
            self.go_on.wait(30)
        return answer

    def refused(self, values):
        if int(values["LastName"]) % POISON == 0:
            return error("FIELD_CUSTOM_VALIDATION_EXCEPTION", "poison")
        return error("UNABLE_TO_LOCK_ROW", "for now") if self.chance.random() < .005 else None

    def _locks(self, prepared, field):
        """Locks of others: the double's own, which no call of ours may meet."""
        self.locked_out += any(n in self.locked for target, values in prepared for n in self._lock_names(target, values, field))
        return super()._locks(prepared, field)


def body_of(rows):
    """v → its row's body; the rows take turns, and some share their external id with another, which writes it in capitals."""
    ids = rows - SHARED

    def body(v):
        row = v * 7919 % rows
        return {"id": row, "v": v, "ext": f"c{row}" if row < ids else f"C{row - ids}", "account": f"a-{row % ACCOUNTS}"}
    return body


# ---- what must hold ----

def records(events, contacts):
    there = [(row["Ext_Id__c"], int(row["LastName"])) for row in contacts.org.seen("Contact")]
    return in_place(events, contacts, "ext", there, "records")


def ids_of(entry):
    return {r["Ext_Id__c"].lower() for r in json.loads(entry["body"])["records"]}


def meetings(calls):
    """External ids that two calls had at once."""
    running, found = [], []
    for call in sorted(calls, key=lambda e: e["began"]):
        running = [(end, ids) for end, ids in running if end > call["began"]]
        mine = ids_of(call)
        found += [f"two calls at once with {ext}" for _, ids in running for ext in sorted(ids & mine)[:1]]
        running.append((call["ended"] or float("inf"), mine))
    return found


def void(calls, lives):
    """Calls that had to be made again: a fault hit them, or a kill came before the host had noted what they did."""
    life = [sum(began <= e["began"] for began in lives) for e in calls]
    versions = [[int(r["LastName"]) for r in json.loads(e["body"])["records"]] for e in calls]
    last = {}
    for of, call in zip(life, versions):
        last.update(dict.fromkeys(call, of))
    return sum(bool(e["notes"]) or sum(last[v] > of for v in call) > len(call) / 2 for e, of, call in zip(calls, life, versions))


# ---- the test ----

class Lives:
    """The host, killed and started again; when each of its lives began, by the journal's clock."""

    def __init__(self, stand, contacts):
        self.stand, self.contacts, self.began, self.superseded = stand, contacts, [], set()
        self.start()

    def start(self):
        self.began.append(time.monotonic() - self.contacts.journal.zero)
        self.known = len(self.superseded)
        self.host = self.stand.program.consume(wait=False)

    def kill(self):
        wait_until(self.all_noted, 60, "the superseded events to be noted", 0.1)
        self.host.kill9()
        wait_until(lambda: all(e["ended"] for e in self.contacts.journal.all(COLLECTIONS)), 60, "the calls that it left behind", 0.02)

    def all_noted(self):
        """The list is written once a second: what a kill cut off would look like a loss."""
        listed = self.stand.program.ok("superseded", "salesforce", "--json", "--limit", "10000")
        self.superseded = {json.loads(line)["message_id"] for line in listed.splitlines()}
        return len(self.superseded) - self.known >= (self.host.metric("muskrat_endpoint_superseded_total") or 0)


@pytest.mark.parametrize("form", [pytest.param(LONG_FORM if LONG else SHORT, id="long" if LONG else "short")])
def test_salesforce_that_fails_and_host_that_is_killed_lose_nothing(rabbitmq, request, form):
    chance = random.Random(7)
    endpoint = {
        "kind": "salesforce", "subscribe": ["Load.*"], "login": "client_credentials", "client_id": "consumer-key",
        "client_secret": "consumer-secret", "object": "Contact", "external_id": "Ext_Id__c", "unanswered_rest": "1s", "timeout": "10s",
        "retry_first": "50ms", "retry_most": "1s", "retry_attempts": 100, "circuit_first": "100ms", "circuit_most": "1s",
        "fields": [{"to": "Ext_Id__c", "from": "ext"}, {"to": "LastName", "from": "v", "as": "text"},
                   {"to": "Account.Ext_Id__c", "from": "account"}]}
    with Contacts() as contacts, \
            host_alone(rabbitmq, request.node.name, "salesforce", {**endpoint, "login_url": contacts.url()}) as stand:
        contacts.traps.set(work=0.02)
        for fault in form.faults.values():
            contacts.traps.set(only=COLLECTIONS, **fault)
        events = stand.publish(form.events, body_of(form.rows))
        began = time.monotonic()
        lives = Lives(stand, contacts)
        for kill in range(form.kills):  # spread over the whole run, whenever so many have been written
            mark = form.events * (kill + 1) // (form.kills + 2)
            wait_until(lambda: len(set(contacts.written)) >= mark, 600, f"event {mark}", 0.02)
            contacts.traps.set(error_status=chance.choice([500, 502, 503, 504]))
            lives.kill()
            lives.start()
        try:
            wait_until(lambda: lives.all_noted() and all_settled(events, contacts, lives.superseded), 900, "the rest", 1)
        except TimeoutError:
            pass  # the verdict tells
        stand.stop_with_nothing_in_hand(lives.host)
        letters, calls = stand.letters(), contacts.journal.all(COLLECTIONS)
        sizes = [len(ids_of(e)) for e in calls]
        least, made, lost = -(-form.events // MOST_RECORDS), len(calls), void(calls, lives.began)
        faults = collections.Counter(note for e in calls for note in e["notes"])
        print(f"{form.events:,} events of {form.rows:,} rows, {len(lives.began) - 1} kills, {time.monotonic() - began:.0f} s; "
              f"{made} calls, of which {lost} were made void by a fault or a kill: {made - lost} for at least {least}, "
              f"{(made - lost) / least:.2f}; {sum(n < MOST_RECORDS for n in sizes)} with fewer than {MOST_RECORDS} records, at most "
              f"{max(sizes)}; {contacts.journal.peak(COLLECTIONS)} at once, {contacts.locked_out} that met a lock; "
              f"{contacts.journal.count('/oauth2/token')} logins; {len(contacts.written) - len(set(contacts.written))} writes repeated; "
              f"{len(letters)} dead letters, {len(lives.superseded)} superseded; faults: {dict(faults)}")
        found = states(events, contacts, letters, lives.superseded) + records(events, contacts) + meetings(calls)
        assert not found, "\n".join(found[:20])
        assert max(sizes) <= MOST_RECORDS and contacts.journal.peak(COLLECTIONS) <= 2 and not contacts.locked_out
        missing = set(form.faults) - set(faults)
        assert not missing, f"faults that did not come to pass: {missing}"
        if LONG:
            assert (made - lost) / least <= 1.1


JOBS = "/jobs/ingest"
STEPS = {"create": ("POST", JOBS), "upload": ("PUT", "/batches"), "close": ("PATCH", JOBS), "look": ("GET", JOBS),
         "results": ("GET", "/successfulResults"), "failures": ("GET", "/failedResults"), "delete": ("DELETE", JOBS)}


@pytest.mark.parametrize("step", list(STEPS))
def test_salesforce_host_that_is_killed_at_a_step_of_a_bulk_job_loses_nothing(rabbitmq, request, step):
    """Killed while the step's call is at Salesforce; the job that it leaves goes on there, or stays as it is."""
    endpoint = {
        "kind": "salesforce", "subscribe": ["Load.*"], "login": "client_credentials", "client_id": "consumer-key",
        "client_secret": "consumer-secret", "object": "Contact", "external_id": "Ext_Id__c", "unanswered_rest": "1s", "lanes": 1,
        "batch_size": 2000, "prefetch": 2000, "bulk_from": 300, "retry_first": "50ms", "retry_most": "1s", "retry_attempts": 100,
        "fields": [{"to": "Ext_Id__c", "from": "ext"}, {"to": "LastName", "from": "v", "as": "text"},
                   {"to": "Account.Ext_Id__c", "from": "account"}]}
    with Contacts() as contacts, \
            host_alone(rabbitmq, request.node.name, "salesforce", {**endpoint, "login_url": contacts.url()}) as stand:
        events = stand.publish(1_500, body_of(900))
        contacts.step = STEPS[step]
        lives = Lives(stand, contacts)
        assert contacts.reached.wait(60), f"no {step}"
        lives.kill()
        contacts.go_on.set()
        assert contacts.journal.count(JOBS, "POST") == 1
        contacts.bulk.carry_out()
        lives.start()
        wait_until(lambda: lives.all_noted() and all_settled(events, contacts, lives.superseded), 120, "the rest", 0.5)
        stand.stop_with_nothing_in_hand(lives.host)
        found = states(events, contacts, stand.letters(), lives.superseded) + records(events, contacts)
        assert not found, "\n".join(found[:20])
        assert contacts.journal.count(JOBS, "POST") > 1  # the events came again as a job
