"""Marketo's REST API, as far as Muskrat speaks it: identity, leads, custom objects, describe, usage, bulk import.

What it refuses and what each trap does: README.md. A sync looks its keys up, takes `work` seconds (5 ms when unset), and then writes: two
concurrent calls with one new key make two leads, as they do at Adobe. `hazards` lists the keys that were in two calls at once.

    cd test && python3 -m doubles.marketo --port 8092 --daily-limit 1000
"""
import collections
import contextlib
import datetime
import itertools
import re
import secrets
import time
import zoneinfo

from doubles.marketo_bulk import Bulk
from doubles.marketo_store import Skipped, Store, text_of
from doubles.service import Answer, Refusal, Service, Trap, arguments, run

TRAPS = {
    "no_token": Trap("times", "token answers without access_token"),
    "expires_in_zero": Trap("times", "token answers whose expires_in is 0"),
    "expire_token": Trap("times", "calls whose token has expired just then: 602"),
    "invalid_token": Trap("times", "calls whose token is not known: 601; it is good again afterwards"),
    "access_denied": Trap("flag", "603: the user may not"),
    "rate_exceeded": Trap("times", "606, though the limit is not reached: another app used it up"),
    "concurrency_exceeded": Trap("times", "615, likewise"),
    "quota_exceeded": Trap("flag", "607, likewise"),
    "int_codes": Trap("flag", "codes of errors are numbers"),
    "fewer_results": Trap("times", "syncs whose last result is missing"),
    "work": Trap("number", "seconds between a sync's look-up and its write: 0.005 when unset"),
    "hang": Trap("times", "syncs that take `hang_seconds` between their look-up and their write, for which a caller may not wait"),
    "hang_seconds": Trap("number", "how long a hang takes: 1 when unset"),
    "import_fails": Trap("times", "imports that end as Failed, half of their rows carried out"),
    "import_looks": Trap("number", "looks at which an import is still Importing: 0 when unset"),
    "import_gone": Trap("times", "looks at an import that is not known: 1013"),
    "keep_empty": Trap("flag", "an empty cell of an import leaves the value as it is, instead of clearing it"),
}
MOST_RECORDS, MOST_BYTES, MOST_URI = 300, 1_000_000, 8192
FOUND_BY = ("string", "email", "integer")  # the types of fields by which leads are found
NOT_CHARGED = ("600", "601", "602", "604", "605", "608", "611")
ACTIONS = ("createOnly", "updateOnly", "createOrUpdate", "createDuplicate")
MEMBERS = {"leads": {"action", "lookupField", "partitionName", "asyncProcessing", "input"}, "objects": {"action", "dedupeBy", "input"}}


class Marketo(Service):
    """`store` is what it keeps (marketo_store.py)."""
    name = "marketo"
    traps_known = TRAPS
    work = 0.005

    def __init__(self, port=0, client_id="client-id", client_secret="client-secret", token_life=3600, rate=100, window=20, concurrency=10,
                 daily_limit=50_000, partitions=("Default",), seed=1):
        self.client, self.token_life, self.partitions = (client_id, client_secret), token_life, partitions
        self.rate, self.window, self.concurrency, self.daily_limit = rate, window, concurrency, daily_limit
        self.tokens, self.recent, self.working, self.used = {}, collections.deque(), 0, collections.Counter()
        self.store, self.bulk, self.requests = Store(), Bulk(self), itertools.count(1)
        self.in_flight, self.hazards, self.errors = collections.Counter(), [], []
        super().__init__(port, seed)

    # ---- what a test does ----

    def fail_next(self, code, message="", times=1):
        """The next calls fail as a whole with this code."""
        self.errors += [(str(code), message)] * times

    # ---- the forms of an answer ----

    def success(self, result, **more):
        return Answer(200, {"requestId": self._request_id(), "success": True, "result": result, **more})

    def failure(self, code, message):
        shown = int(code) if self.traps.get("int_codes") else code
        errors = [{"code": shown, "message": message}]
        return Refusal(Answer(200, {"requestId": self._request_id(), "success": False, "errors": errors}), code)

    def refused(self, status, message):
        return Refusal(Answer(status, f"<html><body><h1>{status} {message}</h1></body></html>", {"Content-Type": "text/html"}), str(status))

    def _request_id(self):
        return f"{next(self.requests):x}#{secrets.token_hex(6)}"

    def reason(self, skipped):
        code = int(skipped.args[0]) if self.traps.get("int_codes") else skipped.args[0]
        return {"status": "skipped", "reasons": [{"code": code, "message": skipped.args[1]}]}

    # ---- requests ----

    def handle(self, request):
        if request.path == "/identity/oauth/token":
            return self._token(request)
        if len(request.target) > MOST_URI:
            raise self.refused(414, "Request-URI Too Long")
        with self._counted():
            return self._routed(request)

    def _token(self, request):
        if request.method not in ("GET", "POST"):
            raise self.refused(405, "Method Not Allowed")
        if request.one("grant_type") != "client_credentials":
            raise Refusal(Answer(400, {"error": "unsupported_grant_type", "error_description": "Unsupported grant type"}))
        if (request.one("client_id"), request.one("client_secret")) != self.client:
            raise Refusal(Answer(401, {"error": "invalid_client", "error_description": "Bad client credentials"}))
        now = self.clock.now()
        with self.lock:
            token = next((t for t, end in self.tokens.items() if end > now), None)  # the same one while it lives
            if not token:
                token = f"{secrets.token_hex(16)}:int"
                self.tokens[token] = now + self.token_life
            left = int(self.tokens[token] - now)
        body = {"access_token": token, "token_type": "bearer", "scope": "apis@acme.example",
                "expires_in": 0 if self.traps.take("expires_in_zero", request) else left}
        if self.traps.take("no_token", request):
            del body["access_token"]
        return Answer(200, body, {"Cache-Control": "no-store", "Content-Type": "application/json;charset=UTF-8"})

    @contextlib.contextmanager
    def _counted(self):
        """Calls at work: one more than `concurrency` is refused by _limits."""
        with self.lock:
            self.working += 1
        try:
            yield
        finally:
            with self.lock:
                self.working -= 1

    def _enter(self, request):
        """Token, rights and limits, in this order; a call that gets through is charged."""
        token = request.bearer()
        if "access_token" in request.query or token is None:
            raise self.failure("600", "Empty access token")
        with self.lock:
            if self.traps.take("expire_token", request) and token in self.tokens:
                self.tokens[token] = 0
            if token not in self.tokens or self.traps.take("invalid_token", request):
                raise self.failure("601", "Access token invalid")
            if self.tokens[token] <= self.clock.now():
                raise self.failure("602", "Access token expired")
            scripted = self.errors.pop(0) if self.errors else None
            if scripted and scripted[0] in NOT_CHARGED:
                raise self.failure(*scripted)
            self._limits(request)
            self.used[self._day()] += 1
        if scripted:
            raise self.failure(*scripted)
        if self.traps.get("access_denied"):
            raise self.failure("603", "Access denied")

    def _limits(self, request):
        now = time.monotonic()
        while self.recent and self.recent[0] <= now - self.window:
            self.recent.popleft()
        if self.used[self._day()] >= self.daily_limit or self.traps.get("quota_exceeded"):
            raise self.failure("607", "Daily quota reached")
        if len(self.recent) >= self.rate or self.traps.take("rate_exceeded", request):
            raise self.failure("606", f"Max rate limit '{self.rate}' exceeded with in '{self.window}' secs")
        if self.working > self.concurrency or self.traps.take("concurrency_exceeded", request):
            raise self.failure("615", "Concurrent access limit reached")
        self.recent.append(now)

    def _day(self):
        """The day of the quota, which begins at midnight in US Central time."""
        return datetime.datetime.fromtimestamp(self.clock.now(), zoneinfo.ZoneInfo("America/Chicago")).date().isoformat()

    def _routed(self, request):
        self._enter(request)
        method, path = request.method, request.path
        if request.one("_method") == "GET" and method == "POST":
            method = "GET"
            request.query.update({k: [v] for k, v in request.form().items()})
        calls = [("POST", r"/rest/v1/leads\.json", self._sync_leads), ("GET", r"/rest/v1/leads\.json", self._find_leads),
                 ("POST", r"/rest/v1/leads/delete\.json", self._delete_leads),
                 ("GET", r"/rest/v1/leads/describe\.json", self._describe_leads), ("GET", r"/rest/v1/stats/usage\.json", self._usage),
                 ("GET", r"/rest/v1/customobjects/(\w+)/describe\.json", self._describe),
                 ("POST", r"/rest/v1/customobjects/(\w+)\.json", self._sync_objects),
                 ("POST", r"/rest/v1/customobjects/(\w+)/delete\.json", self._delete_objects),
                 ("POST", r"/bulk/v1/leads\.json", self._import_leads), ("GET", r"/bulk/v1/leads/batch/(\d+)\.json", self._look_leads),
                 ("GET", r"/bulk/v1/leads/batch/(\d+)/(failures|warnings)\.json", self._look_leads),
                 ("POST", r"/bulk/v1/customobjects/(\w+)/import\.json", self._import_objects),
                 ("GET", r"/bulk/v1/customobjects/(\w+)/import/(\d+)/(status|failures|warnings)\.json", self._look_objects)]
        for wanted, pattern, call in calls:
            found = re.fullmatch(pattern, path)
            if found and wanted == method:
                return call(request, *found.groups())
        raise self.failure("610", "Requested resource not found")

    def _body(self, request, members):
        if request.size() > MOST_BYTES:
            raise self.refused(413, "Request Entity Too Large")
        if request.content_type() != "application/json":
            raise self.failure("612", "Invalid Content Type")
        try:
            body = request.json()
        except ValueError:
            raise self.failure("609", "Invalid JSON") from None
        if not isinstance(body, dict) or set(body) - members or not isinstance(body.get("input"), list):
            raise self.failure("609", "Invalid JSON")
        records = body["input"]
        if not records or not all(isinstance(r, dict) for r in records):
            raise self.failure("1002", "Missing value for required parameter 'input'")
        if len(records) > MOST_RECORDS:
            raise self.failure("1003", f"'input' has {len(records)} records, {MOST_RECORDS} are the most")
        return body

    def _table(self, name):
        if name not in self.store.objects:
            raise self.failure("1013", f"Object '{name}' not found")
        return self.store.objects[name]

    # ---- syncs ----

    def _sync_leads(self, request):
        body = self._body(request, MEMBERS["leads"])
        action, lookup, table = body.get("action", "createOrUpdate"), body.get("lookupField", "email"), self.store.leads
        self._known_action(action, ACTIONS)
        if lookup not in table.fields:
            raise self.failure("1006", f"Field '{lookup}' not found")
        if table.fields[lookup]["dataType"] not in FOUND_BY:
            raise self.failure("1003", f"Invalid value for lookupField '{lookup}'")
        if lookup == "id" and action != "updateOnly":
            raise self.failure("1011", "Field 'id' not supported")
        if "partitionName" in body and action not in ("createOnly", "createOrUpdate"):
            raise self.failure("1010", "Partition update not allowed")
        if body.get("partitionName", self.partitions[0]) not in self.partitions:
            raise self.failure("1008", f"Access denied to partition '{body['partitionName']}'")
        if not isinstance(body.get("asyncProcessing", False), bool):
            raise self.failure("1001", "Invalid value for asyncProcessing. Required of type 'Boolean'")
        return self._synced(request, table, body["input"], action, [lookup])

    def _sync_objects(self, request, name):
        table, body = self._table(name), self._body(request, MEMBERS["objects"])
        action, by = body.get("action", "createOrUpdate"), body.get("dedupeBy", "dedupeFields")
        self._known_action(action, ACTIONS[:3])
        if by not in ("dedupeFields", "idField") or by == "idField" and action != "updateOnly":
            raise self.failure("1003", f"dedupeBy '{by}' does not go with action '{action}'")
        return self._synced(request, table, body["input"], action, table.dedupe_fields if by == "dedupeFields" else ["marketoGUID"])

    def _known_action(self, action, actions):
        if action not in actions:
            raise self.failure("1003", f"Invalid value for action: {action}")

    def _synced(self, request, table, records, action, by):
        """In the order of the input. What is found is what was there before the pause, or what this call has made since."""
        keys = [self.key_of(table, record, by) for record in records]
        with self.lock:
            found = {key: [] if None in key[1] else table.found(by, key[1]) for key in keys}
            self._begin(request, keys)
        try:
            if self.traps.take("hang", request):
                time.sleep(self.traps.get("hang_seconds", 1))
            self.at_work()
            with self.lock:
                results = [self._one(table, record, action, by, key, found) for record, key in zip(records, keys)]
        finally:
            with self.lock:
                self.in_flight.subtract(set(keys))
        results = [{"seq": n, **r} for n, r in enumerate(results)] if table is not self.store.leads else results
        if self.traps.take("fewer_results", request):
            results.pop()
        return self.success(results)

    @staticmethod
    def key_of(table, record, by):
        """(which table, the key's values in the form they are compared); None for what cannot be a key."""
        values = [record.get(n) for n in by]
        return id(table), tuple(None if v is None or isinstance(v, (dict, list)) else v if n == table.key else text_of(v).lower()
                                for n, v in zip(by, values))

    def _begin(self, request, keys):
        self.bulk.meet(request, set(keys))
        for key in set(keys):
            if self.in_flight[key] > 0 and None not in key[1]:
                request.notes.append("concurrent key")
                self.hazards.append(key[1])
            self.in_flight[key] += 1

    def _one(self, table, record, action, by, key, found):
        try:
            values = table.checked(record, [table.key] if by == [table.key] else ())
            if any(values.get(n) is None for n in by):
                raise Skipped("1003", f"Value for lookup field '{by[0]}' not found")
            self.store.check_refusals(values)
            self.store.check_link(table, values)
            existing = [i for i in found[key] if i in table.rows]
            if len(existing) > 1 and action != "createDuplicate":
                raise Skipped("1007", "Multiple lead match lookup criteria")
            return self._carried_out(table, values, action, key, existing, found)
        except Skipped as e:
            return self.reason(e)

    def _carried_out(self, table, values, action, key, existing, found):
        if action == "createOnly" and existing:
            raise Skipped("1005", "Lead already exists") if table is self.store.leads else Skipped("1017", "Object already exists")
        if action == "updateOnly" and not existing:
            raise Skipped("1004", "Lead not found") if table is self.store.leads else Skipped("1013", "Object not found")
        if existing and action != "createDuplicate":
            self.store.change(table, existing[0], values)
            return {table.key: existing[0], "status": "updated"}
        made = self.store.create(table, values)
        found[key] = [*found[key], made]
        return {table.key: made, "status": "created"}

    # ---- other calls ----

    def _find_leads(self, request):
        name, values = request.one("filterType"), request.one("filterValues", "")
        fields = request.one("fields", "id,email,firstName,lastName,updatedAt,createdAt").split(",")
        if not name or not values:
            raise self.failure("1002", "Missing value for required parameter 'filterType' or 'filterValues'")
        if self.store.leads.fields.get(name, {"dataType": None})["dataType"] not in FOUND_BY or len(values.split(",")) > 300:
            raise self.failure("1003", f"Invalid value for filterType '{name}', or more than 300 values")
        with self.lock:
            wanted = [int(v) if name == "id" and v.isdigit() else v for v in values.split(",")]
            rows = [self.store.leads.rows[i] for v in wanted for i in self.store.leads.found([name], [v])]
            if len(rows) > 1000:
                raise self.failure("1003", "Too many results match the filter")
            if not request.one("nextPageToken", "0").isdigit() or not request.one("batchSize", "300").isdigit():
                raise self.failure("1003", "Invalid value for nextPageToken or batchSize")
            start, size = int(request.one("nextPageToken", "0")), min(300, int(request.one("batchSize", "300")))
            more = {"nextPageToken": str(start + size)} if start + size < len(rows) else {}
            return self.success([{f: r.get(f) for f in {"id", *fields}} for r in rows[start:start + size]], **more)

    def _delete_leads(self, request):
        body = self._body(request, {"input"})
        with self.lock:
            return self.success([self._deleted(self.store.leads, [r.get("id")], "1004", "Lead not found") for r in body["input"]])

    def _delete_objects(self, request, name):
        table, body = self._table(name), self._body(request, {"deleteBy", "input"})
        by = {"dedupeFields": table.dedupe_fields, "idField": ["marketoGUID"]}.get(body.get("deleteBy", "dedupeFields"))
        if not by:
            raise self.failure("1003", f"Invalid value for deleteBy: {body['deleteBy']}")
        with self.lock:
            results = []
            for n, record in enumerate(body["input"]):
                found = table.found(by, [record.get(f) for f in by])
                results.append({"seq": n, **self._deleted(table, found or [None], "1013", "Object not found")})
            return self.success(results)

    def _deleted(self, table, keys, code, message):
        if isinstance(keys[0], (dict, list)) or keys[0] not in table.rows:
            return self.reason(Skipped(code, message))
        table.drop(keys[0])
        return {table.key: keys[0], "status": "deleted"}

    def _describe_leads(self, _request):
        return self.success(list(self.store.leads.fields.values()))

    def _describe(self, _request, name):
        table = self._table(name)
        fields = [{"name": n, "displayName": n, "dataType": f["dataType"], "length": f.get("length"), "crmManaged": False,
                   "updateable": not f["rest"]["readOnly"]} for n, f in table.fields.items()]
        return self.success([{"name": name, "displayName": name, "idField": "marketoGUID", "dedupeFields": table.dedupe_fields,
                              "searchableFields": [table.dedupe_fields, ["marketoGUID"]], "fields": fields}])

    def _usage(self, _request):
        return self.success([{"date": self._day(), "total": self.used[self._day()], "users": []}])

    def _import_leads(self, request):
        with self.lock:
            return self.bulk.start(request, self.store.leads)

    def _import_objects(self, request, name):
        with self.lock:
            return self.bulk.start(request, self._table(name), name)

    def _look_leads(self, request, key, what="status"):
        with self.lock:
            return self.bulk.look(request, key, what)

    def _look_objects(self, request, name, key, what):
        with self.lock:
            return self.bulk.look(request, key, what, name)


def main():
    parser = arguments(__doc__, TRAPS)
    parser.add_argument("--token-life", type=float, default=3600, metavar="SECONDS")
    parser.add_argument("--daily-limit", type=int, default=50_000)
    parser.add_argument("--rate", type=int, default=100, help="calls in 20 seconds")
    args = parser.parse_args()
    server = Marketo(args.port, token_life=args.token_life, daily_limit=args.daily_limit, rate=args.rate)
    run(server, args, "client client-id client-secret")


if __name__ == "__main__":
    main()
