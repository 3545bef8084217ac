"""Salesforce's REST API, as far as Muskrat speaks it: OAuth, collections, single records, describe, queries, deletions, bulk ingest.

What it refuses and what each trap does: README.md. A record is locked with the parents it names while its request is at work
(`work` seconds); whoever wants one of them meanwhile gets UNABLE_TO_LOCK_ROW at once, where Salesforce would wait for ten seconds.

    cd test && python3 -m doubles.salesforce --port 8091 --daily-limit 1000
"""
import contextlib
import email.utils
import re
import urllib.parse

from doubles import salesforce_oauth
from doubles.salesforce_bulk import Bulk
from doubles.salesforce_org import Malformed, Org, error, is_id
from doubles.salesforce_source import Source
from doubles.service import Answer, Refusal, Service, Trap, arguments, run

TRAPS = {
    "no_token": Trap("times", "token answers without access_token"),
    "rotate": Trap("flag", "each refresh brings a new refresh_token and ends the old one"),
    "not_approved": Trap("flag", "JWT: user hasn't approved this consumer"),
    "no_run_as_user": Trap("flag", "client credentials: no client credentials user enabled"),
    "expire_session": Trap("times", "calls whose session has expired just then"),
    "not_for_rest": Trap("times", "401s that no new session cures"),
    "api_disabled": Trap("flag", "403 API_DISABLED_FOR_ORG"),
    "limit_info": Trap("text", "bursts or per-app: the longer forms of Sforce-Limit-Info"),
    "concurrent_limit": Trap("times", "403 REQUEST_LIMIT_EXCEEDED though the day's calls are not used up"),
    "unavailable": Trap("times", "503 SERVER_UNAVAILABLE"),
    "xml": Trap("times", "500 with an XML body"),
    "bare_error": Trap("flag", "errors of a request are one object, not an array"),
    "null_id": Trap("flag", "failed results have \"id\": null"),
    "fewer_results": Trap("times", "collections whose last result is missing"),
    "work": Trap("number", "seconds a write takes, and holds its locks"),
    "page_size": Trap("number", "rows a query's page has, whatever was asked"),
    "short_page": Trap("times", "pages with a third of the rows they might have, though more follow"),
    "expire_locator": Trap("times", "next pages whose locator has expired"),
    "query_timeout": Trap("times", "queries that are not done in time: 400 QUERY_TIMEOUT"),
    "refuse_old_start": Trap("flag", "deleted: 400 INVALID_REPLICATION_DATE when the log does not reach back to start"),
    "translate": Trap("flag", "messages of errors in the user's language, Japanese"),
    "job_fails": Trap("times", "bulk jobs that fail half way"),
}
DAY, URI_LENGTH = 86400, 16_384
FILE_ENDING = ".inc"  # an external id in a URL that ends so is taken for a file
STATUS = {"NOT_FOUND": 404, "REQUEST_LIMIT_EXCEEDED": 403, "API_DISABLED_FOR_ORG": 403, "METHOD_NOT_ALLOWED": 405,
          "UNSUPPORTED_MEDIA_TYPE": 415, "SERVER_UNAVAILABLE": 503, "INVALIDJOBSTATE": 409}
ROLLED_BACK = error("ALL_OR_NONE_OPERATION_ROLLED_BACK",
                    "Record rolled back because not all records were valid and the request was using AllOrNone header")


class Salesforce(Service):
    """`org` is what it keeps (salesforce_org.py), `oauth` the tokens, `bulk` the jobs, `source` the queries.
    `certificate`: a PEM file, for JWT bearer."""
    name = "salesforce"
    traps_known = TRAPS

    def __init__(self, port=0, consumer_key="consumer-key", consumer_secret="consumer-secret", username="muskrat@example.com",
                 certificate=None, audience="https://login.salesforce.com", session_life=7200, daily_limit=15000, bulk_polls=1,
                 id_limit=600_000, seed=1):
        self.daily_limit, self.calls, self.locked = daily_limit, [], set()
        self.oauth = salesforce_oauth.OAuth(self, consumer_key, consumer_secret, username, certificate, audience, session_life)
        self.bulk, self.source = Bulk(self, bulk_polls), Source(self, id_limit)
        super().__init__(port, seed)

    def prepare(self):
        self.org = Org(self.clock)
        for name in ("Account", "Contact", "Lead", "Opportunity"):
            self.org.add_field(name, "Ext_Id__c", externalId=True)

    # ---- requests ----

    def handle(self, request):
        if request.path == "/services/oauth2/token":
            return self.oauth.token(request)
        if len(request.target) > URI_LENGTH:
            return Answer(414, [{"errorCode": "URI_TOO_LONG", "message": "The URI of the request is too long"}])
        if request.path == "/services/oauth2/userinfo":
            return self.oauth.userinfo(request)
        found = re.fullmatch(r"/services/data/v(\d\d\.0)/(.+)", request.path)
        if not found or not 46 <= float(found[1]) <= 68:
            return Answer(404, [{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}])
        try:
            self._enter(request)
            answer = self._routed(request, found[1], [urllib.parse.unquote(p) for p in found[2].strip("/").split("/")])
        except Malformed as e:
            answer = self.failed(*e.args)
            request.notes.append(e.args[0])
        answer.headers["Sforce-Limit-Info"] = self._limit_info()
        if self.clock.moved:
            answer.headers["Date"] = email.utils.formatdate(self.clock.now(), usegmt=True)
        return answer

    def failed(self, code, message):
        body = {"message": self.said(message), "errorCode": code}
        return Answer(STATUS.get(code, 400), body if self.traps.get("bare_error") else [body])

    def said(self, message):
        """A message in the user's language."""
        return "指定された値が正しくありません。" if self.traps.get("translate") else message

    def _enter(self, request):
        """What stands before each call: the session, the day's limit, the moods of the platform."""
        if self.traps.take("xml", request):
            raise Refusal(Answer(500, '<?xml version="1.0" encoding="UTF-8"?><Errors><Error><errorCode>UNKNOWN_EXCEPTION</errorCode>'
                                 "<message>An unexpected error occurred</message></Error></Errors>", {"Content-Type": "application/xml"}))
        if self.traps.take("unavailable", request):
            raise Malformed("SERVER_UNAVAILABLE", "Server unavailable")
        self.oauth.check(request)
        if self.traps.get("api_disabled"):
            raise Malformed("API_DISABLED_FOR_ORG", "API is disabled for this User")
        if self.traps.take("concurrent_limit", request):
            raise Malformed("REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded.")
        with self.lock:
            if self._used() >= self.daily_limit:
                raise Malformed("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
            self.calls.append(self.clock.now())

    def _used(self):
        """Calls of the last 24 hours."""
        with self.lock:
            self.calls = [at for at in self.calls if at > self.clock.now() - DAY]
            return len(self.calls)

    def _limit_info(self):
        text = f"api-usage={self._used()}/{self.daily_limit}"
        return text + {"bursts": "; api-bursts=1/750", "per-app": "; per-app-api-usage=17/250(appName=Muskrat)"}.get(
            self.traps.get("limit_info"), "")

    def _routed(self, request, version, parts):
        head = parts[0]
        if head == "composite" and parts[1:2] == ["sobjects"] and len(parts) in (2, 4):
            return self._collection(request, parts[2:])
        with self.lock:
            if head == "jobs" and parts[1:2] == ["ingest"]:
                return self.bulk.handle(request, parts[2:], version)
            if head in ("query", "queryAll") and request.method == "GET" and len(parts) <= 2:
                if len(parts) == 2:
                    return self.source.next(request, parts[1], version)
                return self.source.query(request, head == "queryAll", version)
            if head == "limits" and request.method == "GET":
                return Answer(200, {"DailyApiRequests": {"Max": self.daily_limit, "Remaining": self.daily_limit - self._used()}})
            if head == "sobjects" and request.method == "GET" and len(parts) == 3 and parts[2] in ("describe", "updated", "deleted"):
                target = self.org.object(parts[1])
                return self.source.describe(target) if parts[2] == "describe" else self.source.changes(request, target, parts[2])
        if head == "sobjects" and len(parts) in (2, 3, 4):
            return self._single(request, version, *parts[1:])
        raise Malformed("NOT_FOUND", "The requested resource does not exist")

    @staticmethod
    def json_of(request):
        if request.content_type() != "application/json":
            raise Malformed("UNSUPPORTED_MEDIA_TYPE", "Content type of the request is not application/json")
        try:
            body = request.json()
        except ValueError as e:
            raise Malformed("JSON_PARSER_ERROR", str(e)) from None
        if not isinstance(body, dict):
            raise Malformed("JSON_PARSER_ERROR", "The HTTP entity body is required to be a JSON object")
        return body

    # ---- collections ----

    def _collection(self, request, parts):
        if request.method == "DELETE" and not parts:
            return self._delete_many(request)
        operation = "upsert" if parts and request.method == "PATCH" else {"POST": "insert", "PATCH": "update"}.get(request.method)
        if not operation or (parts and operation != "upsert"):
            raise Malformed("METHOD_NOT_ALLOWED", f"HTTP Method '{request.method}' not allowed.")
        body = self.json_of(request)
        unknown = set(body) - {"allOrNone", "records"}
        if unknown or not isinstance(body.get("records"), list) or not isinstance(body.get("allOrNone", False), bool):
            raise Malformed("JSON_PARSER_ERROR", "a collection is {\"allOrNone\": boolean, \"records\": [...]}")
        records = body["records"]
        if not 1 <= len(records) <= 200:
            raise Malformed("INVALID_INPUT", f"a collection has 1 to 200 records, not {len(records)}")
        with self.lock:
            prepared = [self._prepared(r, operation, *parts) for r in records]
        return self._answered(request, prepared, body.get("allOrNone", False), operation, parts[1] if parts else None)

    def _prepared(self, record, operation, object_name=None, field=None):
        """(its object, its typed values), or Malformed for the whole request."""
        attributes = record.get("attributes") if isinstance(record, dict) else None
        if not isinstance(attributes, dict) or not isinstance(attributes.get("type"), str):
            raise Malformed("INVALID_INPUT", "each record needs attributes with a type")
        target = self.org.object(attributes["type"])
        if object_name and target is not self.org.object(object_name):
            raise Malformed("INVALID_INPUT", f"type {target.name} is not the type of the request, {object_name}")
        if field and not target.lookup_field(field):
            raise Malformed("NOT_FOUND", f"Provided external ID field does not exist or is not accessible: {field}")
        has_id = any(k.lower() == "id" for k in record)
        if has_id and operation != "update":
            raise Malformed("INVALID_FIELD", f"the id is not given when records are {operation}ed")
        return target, self.org.typed(target, {"Id" if k.lower() == "id" else k: v for k, v in record.items()})

    def _answered(self, request, prepared, all_or_none, operation, field):
        with self._locks(prepared, field) as conflicts:
            with self.lock:
                results = self._written(prepared, conflicts, all_or_none, operation, field)
        if self.traps.take("fewer_results", request):
            results.pop()
        return Answer(200, results)

    @contextlib.contextmanager
    def _locks(self, prepared, field):
        """Locks each record and the parents it names for `work` seconds; yields, per record, a lock that another request holds."""
        wanted = [self._lock_names(target, values, field) for target, values in prepared]
        with self.lock:
            conflicts = [next((n for n in names if n in self.locked), None) for names in wanted]
            mine = {n for names, conflict in zip(wanted, conflicts) if not conflict for n in names}
            self.locked |= mine
        try:
            self.at_work()
            yield conflicts
        finally:
            with self.lock:
                self.locked -= mine

    def _lock_names(self, target, values, field):
        """Every parent by its id, however it was named, so that two names of one parent are one lock."""
        names = [(target.name, str(values.get(field or "Id")).lower())]
        for name, value in values.items():
            if isinstance(value, dict):
                related = self.org.objects.get(target.relationship(name)["referenceTo"][0])
                pairs = [(k, v) for k, v in value.items() if k != "attributes"]
                ids = related.ids_with(*pairs[0]) if related and pairs else []
                names += [("parent", i) for i in ids]
            elif target.fields[name]["type"] == "reference" and name != "OwnerId" and value:
                names.append(("parent", value))
        return names

    def _written(self, prepared, conflicts, all_or_none, operation, field):
        keys = [str(values.get(field)).lower() for _, values in prepared] if field else []
        before = {o.name: dict(o.rows) for o in {t for t, _ in prepared}} if all_or_none else {}
        results = []
        for n, (target, values) in enumerate(prepared):
            if conflicts[n]:
                result = None, False, error("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record or 1 records: "
                                            f"{conflicts[n][1]}")
            elif field and values.get(field) is not None and keys.count(keys[n]) > 1:
                result = None, False, error("DUPLICATE_VALUE", f"Duplicate external id specified: {values[field]}", [field])
            else:
                result = self.one(target, values, operation, field)
            results.append(result)
        if all_or_none and any(fault for _, _, fault in results):
            self._undo(before)
            results = [(None, False, fault or ROLLED_BACK) for _, _, fault in results]
        return [self._result(key, fault, created if operation == "upsert" else None) for key, created, fault in results]

    def _undo(self, before):
        for name, rows in before.items():
            target = self.org.objects[name]
            target.rows.clear()
            target.by_external = {}
            for row in rows.values():
                target.keep(row)

    def _result(self, key, fault, created):
        if fault:
            return {**({"id": None} if self.traps.get("null_id") else {}), "success": False,
                    "errors": [{**fault, "message": self.said(fault["message"])}]}
        return {"id": key, "success": True, "errors": [], **({} if created is None else {"created": created})}

    def one(self, target, values, operation, field=None):
        """(id, whether it was created, its error) of one record; also for single calls and bulk rows."""
        key = None
        if operation == "upsert":
            if values.get(field) in (None, ""):
                return None, False, error("MISSING_ARGUMENT", f"{field} not specified", [field])
            ids = target.ids_with(field, values[field]) if field != "Id" else [values["Id"]]
            if len(ids) > 1:
                return None, False, error("DUPLICATE_EXTERNAL_ID",
                                          f"more than one record found for external id field: {sorted(ids)}", [field])
            key = ids[0] if ids else None
        elif operation == "update":
            key = values.get("Id")
            if not is_id(key):
                return None, False, error("MISSING_ARGUMENT" if key is None else "MALFORMED_ID", "Id not specified" if key is None else
                                          f"malformed id {key}")
            if key not in target.rows or target.rows[key]["IsDeleted"]:
                return None, False, error("ENTITY_IS_DELETED" if key in target.rows else "INVALID_CROSS_REFERENCE_KEY",
                                          "entity is deleted" if key in target.rows else "invalid cross reference id")
        values = {**values, **({"Id": key} if key else {})}
        fault = self.org.faults(target, values, key is None)
        if fault:
            return key, False, fault
        return self.org.write(target, values, key), key is None, None

    def _delete_many(self, request):
        unknown = set(request.query) - {"ids", "allOrNone"}
        ids = [i for i in request.one("ids", "").split(",") if i]
        if unknown or not 1 <= len(ids) <= 200:
            raise Malformed("INVALID_INPUT", f"1 to 200 ids, not {len(ids)}; parameters are ids and allOrNone")
        with self.lock:
            all_or_none = request.one("allOrNone", "false").lower() == "true"
            before = {o.name: dict(o.rows) for o in self.org.objects.values()} if all_or_none else {}
            faults = [self._deleted(key) for key in ids]
            if all_or_none and any(faults):
                self._undo(before)
                faults = [fault or ROLLED_BACK for fault in faults]
            return Answer(200, [self._result(key, fault, None) for key, fault in zip(ids, faults)])

    def _deleted(self, key):
        target = self.org.by_id(key)
        return self.org.delete(target, key) if target else error("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")

    # ---- one record ----

    def _single(self, request, version, object_name, field_or_id=None, value=None):
        with self.lock:
            target = self.org.object(object_name)
            if field_or_id is None:
                return self._create_one(request, target)
            if value is not None and value.lower().endswith(FILE_ENDING):
                raise Malformed("NOT_FOUND", "The requested resource does not exist")
            if value is None:
                keys = [field_or_id] if field_or_id in target.rows and not target.rows[field_or_id]["IsDeleted"] else []
            elif target.lookup_field(field_or_id):
                keys = target.ids_with(field_or_id, value)
            else:
                raise Malformed("NOT_FOUND", f"Provided external ID field does not exist or is not accessible: {field_or_id}")
            if len(keys) > 1:
                return Answer(300, [f"/services/data/v{version}/sobjects/{target.name}/{k}" for k in sorted(keys)])
            if request.method == "PATCH":
                return self._patch_one(request, target, keys, field_or_id if value is not None else None, value)
            if not keys:
                raise Malformed("NOT_FOUND", "The requested resource does not exist")
            if request.method == "DELETE":
                self.org.delete(target, keys[0])
                return Answer(204)
            if request.method == "GET":
                row = target.rows[keys[0]]
                url = f"/services/data/v{version}/sobjects/{target.name}/{keys[0]}"
                return Answer(200, {"attributes": {"type": target.name, "url": url}, **{n: row.get(n) for n in target.fields}})
        raise Malformed("METHOD_NOT_ALLOWED", f"HTTP Method '{request.method}' not allowed.")

    def _create_one(self, request, target):
        if request.method != "POST":
            raise Malformed("METHOD_NOT_ALLOWED", f"HTTP Method '{request.method}' not allowed.")
        key, _, fault = self.one(target, self.org.typed(target, self.json_of(request)), "insert")
        self._raise(fault)
        return Answer(201, {"id": key, "success": True, "errors": []})

    def _patch_one(self, request, target, keys, field, value):
        values = self.org.typed(target, self.json_of(request))
        if "Id" in values or (field and field in values):
            raise Malformed("INVALID_FIELD", "the key stands in the URL alone")
        if not keys and (not field or request.one("updateOnly") == "true"):
            raise Malformed("NOT_FOUND", "The requested resource does not exist")
        if field:
            values[field] = value
        key, created, fault = self.one(target, {**values, **({"Id": keys[0]} if not field else {})}, "upsert" if field else "update", field)
        self._raise(fault)
        if not field:
            return Answer(204)
        return Answer(201 if created else 200, {"id": key, "success": True, "errors": [], "created": created})

    @staticmethod
    def _raise(fault):
        if fault:
            raise Refusal(Answer(400, [{"message": fault["message"], "errorCode": fault["statusCode"], "fields": fault["fields"]}]),
                          fault["statusCode"])


def main():
    parser = arguments(__doc__, TRAPS)
    parser.add_argument("--certificate", help="PEM file of the connected app, for JWT bearer")
    parser.add_argument("--audience", default="https://login.salesforce.com")
    parser.add_argument("--session-life", type=float, default=7200, metavar="SECONDS")
    parser.add_argument("--daily-limit", type=int, default=15000)
    args = parser.parse_args()
    server = Salesforce(args.port, certificate=args.certificate, audience=args.audience, session_life=args.session_life,
                        daily_limit=args.daily_limit)
    run(server, args, "client consumer-key consumer-secret muskrat@example.com", f"refresh_token {server.oauth.refresh_token()}")


if __name__ == "__main__":
    main()
