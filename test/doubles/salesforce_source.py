"""Salesforce's double as a source: describe, queries page by page, updated and deleted records.

Parts of Salesforce (salesforce.py), which holds its lock around each call. A query's ids are those of its first page; their values are read
when a page is. Its locator lives for two days, so that a page whose answer was lost can be asked for again.
"""
import re
import secrets

from doubles.salesforce_org import Malformed, seconds_of, stamp_of, usable
from doubles.salesforce_rows import long_id
from doubles.salesforce_soql import Query
from doubles.service import Answer

LOCATOR_LIFE, DAY = 2 * 86400, 86400


class Source:
    def __init__(self, service, id_limit):
        self.service, self.id_limit, self.locators = service, id_limit, {}

    @staticmethod
    def describe(target):
        fields = [{"externalId": False, "idLookup": False, "defaultedOnCreate": False, "length": 0, "referenceTo": [],
                   "relationshipName": None, "filterable": usable(f), "sortable": usable(f), **f} for f in target.fields.values()]
        return Answer(200, {"name": target.name, "label": target.label, "keyPrefix": target.prefix, "createable": True, "updateable": True,
                            "deletable": True, "queryable": True, "replicateable": True, "fields": fields})

    def query(self, request, deleted, version):
        if set(request.query) != {"q"}:
            raise Malformed("MALFORMED_QUERY", "the parameter is q, and no other")
        query = Query(request.one("q"), self.service.org)
        if self.service.traps.take("query_timeout", request):
            raise Malformed("QUERY_TIMEOUT", "Your query request was running for too long.")
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
        if following < len(ids) and self.service.traps.take("short_page", request):
            following = at + max(1, (following - at) // 3)
        more, there = following < len(ids), query.object.rows
        rows = [there.get(key) for key in ids[at:following]]
        records = [query.shown(row, version) for row in rows if row is not None]  # what was purged meanwhile is left out
        body = {"totalSize": len(ids), "done": not more, "records": records}
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
        if end - start <= 60:
            raise Malformed("INVALID_REPLICATION_DATE", "startDate must precede endDate by more than one minute")
        if start > now or what == "updated" and start < now - 30 * DAY:
            raise Malformed("INVALID_REPLICATION_DATE", "startDate before 30 days ago or later than now")
        earliest = max(now - 15 * DAY, target.purged_until)
        if what == "deleted" and start < earliest // 60 * 60 and self.service.traps.get("refuse_old_start"):
            raise Malformed("INVALID_REPLICATION_DATE", "startDate before the delete log begins")
        first, last = stamp_of(start if what == "updated" else max(start, earliest)), stamp_of(end)
        found = (self._updated if what == "updated" else self._deleted)(target, first, last)
        covered = stamp_of(min([end, now, *map(seconds_of, self.service.org.running(target))]) // 60 * 60)
        if len(found) > self.id_limit:
            raise Malformed("EXCEEDED_ID_LIMIT", f"more than {self.id_limit} ids")
        if what == "updated":
            return Answer(200, {"ids": found, "latestDateCovered": covered})
        return Answer(200, {"deletedRecords": [{"id": key, "deletedDate": at} for key, at in found],
                            "earliestDateAvailable": stamp_of(earliest // 60 * 60), "latestDateCovered": covered})

    def _updated(self, target, first, last):
        kept = [r["Id"] for r in self.service.org.seen(target.name) if first <= r["SystemModstamp"] < last]
        series = target.rows.series
        pieces = series.pieces([("SystemModstamp", first, str), ("SystemModstamp", last, str)]) if series else []
        within = [piece for piece in pieces if first <= series.stamp(piece[0]) < last]
        return kept + [long_id(series.prefix, series.first + n) for piece in within for run in target.rows.untouched(*piece)
                       for n in range(*run)]

    def _deleted(self, target, first, last):
        """From the delete log, which the recycle bin does not matter to."""
        rows = [(r["Id"], r["SystemModstamp"]) for r in self.service.org.seen(target.name, deleted=True) if r["IsDeleted"]]
        return [(key, at) for key, at in rows + target.emptied if first <= at < last]
