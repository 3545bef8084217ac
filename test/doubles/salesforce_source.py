"""Salesforce's double as a source: describe, queries page by page, updated and deleted records.

Parts of Salesforce (salesforce.py), which holds its lock around each call. A query's ids are those of its first page; their values are read
when a page is. Its locator lives for two days, so that a page whose answer was lost can be asked for again.
"""
import re
import secrets

from doubles.salesforce_org import Malformed, seconds_of, stamp_of
from doubles.salesforce_soql import Query
from doubles.service import Answer

LOCATOR_LIFE, DAY = 2 * 86400, 86400


class Source:
    def __init__(self, service, id_limit):
        self.service, self.id_limit, self.locators = service, id_limit, {}

    @staticmethod
    def describe(target):
        fields = [{"externalId": False, "idLookup": False, "defaultedOnCreate": False, "length": 0, "referenceTo": [],
                   "relationshipName": None, "filterable": True, "sortable": True, **f} for f in target.fields.values()]
        return Answer(200, {"name": target.name, "label": target.label, "keyPrefix": target.prefix, "createable": True, "updateable": True,
                            "deletable": True, "queryable": True, "replicateable": True, "fields": fields})

    def query(self, request, deleted, version):
        if set(request.query) != {"q"}:
            raise Malformed("MALFORMED_QUERY", "the parameter is q, and no other")
        query = Query(request.one("q"), self.service.org)
        ids = query.rows(deleted)
        if query.count:
            return Answer(200, {"totalSize": len(ids), "done": True, "records": []})
        now = self.service.clock.now()
        self.locators = {key: kept for key, kept in self.locators.items() if kept[2] > now}
        locator = f"01g5f{secrets.token_hex(5)}AAA"
        self.locators[locator] = (query, ids, now + LOCATOR_LIFE)
        return self._rows(request, locator, 0, version)

    def next(self, request, name, version):
        found = re.fullmatch(r"(01g\w+)-(\d+)", name)
        if found and found[1] in self.locators and self.service.traps.take("expire_locator", request):
            del self.locators[found[1]]
        if not found or found[1] not in self.locators or self.locators[found[1]][2] <= self.service.clock.now():
            raise Malformed("INVALID_QUERY_LOCATOR", "invalid query locator")
        return self._rows(request, found[1], int(found[2]), version)

    def _rows(self, request, locator, at, version):
        query, ids, _ = self.locators[locator]
        following = at + self._page_size(request)
        more = following < len(ids)
        body = {"totalSize": len(ids), "done": not more, "records": [query.shown(i, version) for i in ids[at:following]]}
        if more:
            body["nextRecordsUrl"] = f"/services/data/v{version}/query/{locator}-{following}"
        return Answer(200, body)

    def _page_size(self, request):
        found = re.fullmatch(r"\s*batchSize\s*=\s*(\d+)\s*", request.headers.get("sforce-query-options", "batchSize=2000"))
        if not found:
            raise Malformed("INVALID_QUERY_OPTIONS", "Sforce-Query-Options is batchSize=200 to 2000")
        return int(self.service.traps.get("page_size", min(2000, max(200, int(found[1])))))

    def changes(self, request, target, what):
        """getUpdated and getDeleted: whole minutes, [start, end], 30 and 15 days back."""
        if set(request.query) != {"start", "end"}:
            raise Malformed("MISSING_ARGUMENT", "the parameters are start and end")
        try:
            start, end = (seconds_of(request.one(n)) // 60 * 60 for n in ("start", "end"))
        except ValueError:
            raise Malformed("INVALID_REPLICATION_DATE", "start and end are date-times with an offset (+ is %2B)") from None
        now = self.service.clock.now()
        if end - start < 60:
            raise Malformed("INVALID_REPLICATION_DATE", "endDate must be at least one minute greater than startDate")
        if start > now or what == "updated" and start < now - 30 * DAY:
            raise Malformed("INVALID_REPLICATION_DATE", "startDate before 30 days ago or later than now")
        seen = self.service.org.seen(target.name, deleted=True)
        running = [seconds_of(target.rows[i]["SystemModstamp"]) for i in target.unseen]
        covered = stamp_of(min([end, now, *running]) // 60 * 60)
        earliest = max(now - 15 * DAY, target.purged_until)
        first, last = stamp_of(start if what == "updated" else max(start, earliest)), stamp_of(end)
        within = [r for r in seen if first <= r["SystemModstamp"] < last and r["IsDeleted"] == (what == "deleted")]
        if len(within) > self.id_limit:
            raise Malformed("EXCEEDED_ID_LIMIT", f"more than {self.id_limit} ids")
        if what == "updated":
            return Answer(200, {"ids": [r["Id"] for r in within], "latestDateCovered": covered})
        return Answer(200, {"deletedRecords": [{"id": r["Id"], "deletedDate": r["SystemModstamp"]} for r in within],
                            "earliestDateAvailable": stamp_of(earliest // 60 * 60), "latestDateCovered": covered})
