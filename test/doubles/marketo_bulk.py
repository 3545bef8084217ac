"""Bulk import of Marketo's double: a file is queued, looked at until it is complete, and its failures and warnings are fetched.

Jobs are a queue, first in, first out: two are at work at a time, ten are the most, those two included. Time passes with each look: one at a
job at work moves it on (Queued, Importing, Complete); one at a job behind them moves the first of the queue on, whoever started that.
`hazards`: keys that were in two jobs at once, or in a job and a call, which may make two leads of one.
"""
import collections
import csv
import io
import re

from doubles.marketo_store import COMPANY, Skipped
from doubles.service import Answer

MOST_BYTES, LIFE = 10_000_000, 7 * 86400
AT_WORK, MOST_JOBS = 2, 10
DELIMITERS = {"csv": ",", "tsv": "\t", "ssv": ";"}
PARAMETERS = {"leads": {"format", "lookupField", "partitionName", "listId"}, "objects": {"format"}}


def parts_of(request):
    """The parts of a multipart body by name, as RFC 7578 has them; {} when it is none, or does not end."""
    boundary = re.search(r'boundary="?([^";]+)"?', request.headers.get("content-type", ""))
    sections = f"\r\n{request.body}".split(f"\r\n--{boundary[1]}") if boundary else []
    if len(sections) < 3 or not sections[-1].startswith("--"):
        return {}
    split = [section.partition("\r\n\r\n") for section in sections[1:-1]]
    named = [(re.search(r'\bname="([^"]*)"', head), text) for head, _, text in split]
    return {name[1]: text for name, text in named if name}


def rows_of(text, delimiter):
    """The rows of a file, or none when it is not one."""
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error:
        return []


def table_text(rows, delimiter):
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return out.getvalue()


def without_empty_end(header, rows):
    """A header and its rows without the last columns, as far as no row has a value in them: so a file of failures is seen to come."""
    kept = max((n + 1 for row in rows for n, cell in enumerate(row[:len(header)]) if cell), default=len(header))
    return header[:kept], [[*row[:kept], row[-1]] for row in rows]


class Job:
    def __init__(self, table, object_name, by, delimiter, rows, at):
        self.table, self.object, self.by, self.delimiter, self.at = table, object_name, by, delimiter, at
        self.header, self.rows = (rows[0], rows[1:]) if rows else ([], [])
        self.status, self.done, self.failed, self.warned = "Queued", 0, [], []  # of the row and its reason
        self.looks, self.message, self.keys = 0, None, set()

    def ended(self):
        return self.status in ("Complete", "Failed")

    def wrong(self):
        """What is wrong with its header, so that no row is carried out; or None."""
        allowed = {n for n, f in self.table.fields.items() if n != self.table.key and not f["rest"]["readOnly"]}
        unknown = [n for n in self.header if n not in allowed]
        if unknown or len(set(self.header)) < len(self.header) or not set(self.by) <= set(self.header):
            return f"Import failed: the header has an unknown or repeated field, or lacks one of {', '.join(self.by)}"
        return None


class Bulk:
    def __init__(self, service):
        self.service, self.jobs, self.hazards = service, {}, []
        self.in_flight = collections.Counter()  # keys of the jobs that have not ended

    def start(self, request, table, object_name=None):
        service = self.service
        if request.size() >= MOST_BYTES:
            raise service.refused(413, "Request Entity Too Large")
        if request.content_type() != "multipart/form-data":
            raise service.failure("612", "Invalid Content Type")
        parts = parts_of(request)
        if "file" not in parts:
            raise service.failure("613", "Invalid Multipart Request")
        asked = {**{n: v for n, v in parts.items() if n != "file"}, **{n: request.one(n) for n in request.query}}
        delimiter, by = self._asked(asked, table, object_name)
        if len(self._queue()) >= MOST_JOBS:
            self._move_on(request, self._queue()[0])
            raise service.failure("1016", "Too many imports")
        key = 3404 + len(self.jobs)
        self.jobs[key] = Job(table, object_name, by, delimiter, rows_of(parts["file"], delimiter), service.clock.now())
        self._begin(request, self.jobs[key])
        made = {"batchId": key, "status": "Queued"}
        return service.success([{**made, "objectApiName": object_name, "operation": "import"} if object_name
                                else {**made, "importId": str(key)}])

    def _asked(self, asked, table, object_name):
        """(delimiter, the fields of the key) of the parameters, which may be in the URI or in the form."""
        service, known = self.service, PARAMETERS["objects" if object_name else "leads"]
        if not set(asked) <= known:
            raise service.failure("1003", f"Invalid parameter: {sorted(set(asked) - known)[0]}")
        if "format" not in asked:
            raise service.failure("1002", "Missing value for required parameter 'format'")
        if asked["format"] not in DELIMITERS:
            raise service.failure("1003", f"Invalid value for format: {asked['format']}")
        lookup = asked.get("lookupField", "email")
        if not object_name and lookup not in table.fields:
            raise service.failure("1006", f"Field '{lookup}' not found")
        if asked.get("partitionName", service.partitions[0]) not in service.partitions:
            raise service.failure("1008", f"Access denied to partition '{asked['partitionName']}'")
        return DELIMITERS[asked["format"]], table.dedupe_fields if object_name else [lookup]

    def look(self, request, key, what="status", object_name=None):
        job = self.jobs.get(int(key)) if key.isdigit() else None
        lost = job and what == "status" and self.service.traps.take("import_gone", request)
        if not job or lost or job.object != object_name or job.at + LIFE < self.service.clock.now():
            raise self.service.failure("1013", f"Import job '{key}' not found")
        if what == "status":
            return self._status(request, int(key), job)
        rows, reason = (job.warned, "Import Warning Reason") if what == "warnings" else (job.failed, "Import Failure Reason")
        header, rows = without_empty_end(job.header, rows)
        text = table_text([[*header, reason], *rows[::-1]], job.delimiter) if rows or what == "failures" else ""
        return Answer(200, text, {"Content-Type": "text/csv"})

    def _status(self, request, key, job):
        queue = self._queue()
        if not job.ended():
            self._move_on(request, job if job in queue[:AT_WORK] else queue[0])
        counted = "numOfObjectsProcessed" if job.object else "numOfLeadsProcessed"
        made = {"batchId": key, "status": job.status, counted: job.done, "numOfRowsFailed": len(job.failed),
                "numOfRowsWithWarning": len(job.warned),
                "message": job.message or f"Import {job.status.lower()}, {job.done} records imported"}
        return self.service.success([{**made, "objectApiName": job.object, "operation": "import"} if job.object
                                     else {**made, "importId": str(key)}])

    # ---- the queue ----

    def _queue(self):
        return [job for job in self.jobs.values() if not job.ended()]

    def _move_on(self, request, job):
        if job.status == "Queued":
            job.status = "Importing"
        elif job.looks < self.service.traps.get("import_looks", 0):
            job.looks += 1
        else:
            self._carry_out(request, job)
            self.in_flight.subtract(job.keys)

    def _begin(self, request, job):
        """Its keys are in it until it ends."""
        keys = {self.service.key_of(job.table, dict(zip(job.header, row)), job.by) for row in job.rows}
        job.keys = {key for key in keys if None not in key[1]}
        self.meet(request, job.keys, self.service.in_flight)
        self.in_flight.update(job.keys)

    def meet(self, request, keys, elsewhere=None):
        """Notes which of the keys of a job or a call are in a job now, or elsewhere."""
        met = [key[1] for key in keys if self.in_flight[key] > 0 or elsewhere and elsewhere[key] > 0]
        self.hazards += met
        request.notes += ["concurrent import"] if met else []

    def _carry_out(self, request, job):
        fails = self.service.traps.take("import_fails", request)
        job.message = job.wrong() or ("Import failed: a problem of the platform" if fails else None)
        rows = [] if job.wrong() else job.rows[:len(job.rows) // 2] if fails else job.rows
        for row in rows:
            try:
                warning = self._row(job, row)
                job.done += 1
                if warning:
                    job.warned.append([*row, warning])
            except Skipped as e:
                job.failed.append([*row, e.args[1]])
        job.status = "Failed" if job.message else "Complete"

    def _row(self, job, row):
        """Writes it; returns its warning, if there is one."""
        store, table = self.service.store, job.table
        if len(row) != len(job.header):
            raise Skipped("1003", "Row has another number of columns than the header")
        if any("\udc80" <= c <= "\udcff" for cell in row for c in cell):
            raise Skipped("1003", "Row is not UTF-8")
        record = dict(zip(job.header, row))
        if self.service.traps.get("keep_empty"):
            record = {n: v for n, v in record.items() if v != ""}
        values = table.checked(record, COMPANY)
        store.check_refusals(values)
        store.check_link(table, values)
        key = [values.get(n) for n in job.by]
        if None in key:
            raise Skipped("1003", f"Value for lookup field '{job.by[0]}' not found")
        found = table.found(job.by, key)
        if len(found) > 1:
            raise Skipped("1007", "Multiple lead match lookup criteria")
        if found:
            store.change(table, found[0], values)
        else:
            store.create(table, values)
        return store.warning_of(values)
