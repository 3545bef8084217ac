"""Bulk import of Marketo's double: a file is queued, looked at until it is complete, and its failures are fetched.

Two imports run at a time; ten are the most, those two included. Each look moves an import on: Queued, Importing, Complete.
"""
import csv
import email.parser
import email.policy
import io

from doubles.marketo_store import Skipped
from doubles.service import Answer

MOST_BYTES, LIFE = 10_000_000, 7 * 86400
DELIMITERS = {"csv": ",", "tsv": "\t", "ssv": ";"}


def file_of(request):
    """The part `file` of a multipart body, or None."""
    head = f"Content-Type: {request.headers.get('content-type', '')}\r\n\r\n"
    message = email.parser.Parser(policy=email.policy.HTTP).parsestr(head + request.body)
    if not message.is_multipart():
        return None
    for part in message.iter_parts():
        if part.get_param("name", header="content-disposition") == "file":
            return part.get_payload()
    return None


class Bulk:
    def __init__(self, service):
        self.service, self.jobs = service, {}

    def start(self, request, table, object_name=None):
        service = self.service
        form, lookup = request.one("format", "csv"), request.one("lookupField", "email")
        if request.content_type() != "multipart/form-data":
            raise service.failure("612", "Invalid Content Type")
        text = file_of(request)
        if text is None:
            raise service.failure("613", "Invalid Multipart Request")
        if request.size() > MOST_BYTES:
            raise service.refused(413, "Request Entity Too Large")
        if form not in DELIMITERS:
            raise service.failure("1003", f"Invalid value for format: {form}")
        if not object_name and lookup not in table.fields:
            raise service.failure("1006", f"Field '{lookup}' not found")
        waiting = [j for j in self.jobs.values() if j["status"] in ("Queued", "Importing")]
        if len(waiting) >= 10:
            raise service.failure("1016", "Too many imports")
        key = 3404 + len(self.jobs)
        self.jobs[key] = {"status": "Queued", "table": table, "object": object_name,
                          "by": table.dedupe_fields if object_name else [lookup],
                          "rows": list(csv.reader(io.StringIO(text, newline=""), delimiter=DELIMITERS[form])), "failed": [], "done": 0,
                          "at": service.clock.now()}
        made = {"batchId": key, "status": "Queued"}
        return service.success([{**made, "objectApiName": object_name, "operation": "import"} if object_name
                                else {**made, "importId": str(key)}])

    def look(self, request, key, what="status", object_name=None):
        job = self.jobs.get(int(key)) if key.isdigit() else None
        if not job or job["object"] != object_name or job["at"] + LIFE < self.service.clock.now():
            raise self.service.failure("1013", f"Import job '{key}' not found")
        if what == "status":
            return self._status(request, int(key), job)
        if what == "warnings":
            return Answer(200, "", {"Content-Type": "text/csv"})
        out = io.StringIO()
        header = job["rows"][0] if job["rows"] else []
        csv.writer(out, lineterminator="\n").writerows([[*header, "Import Failure Reason"], *job["failed"]])
        return Answer(200, out.getvalue(), {"Content-Type": "text/csv"})

    def _status(self, request, key, job):
        if job["status"] == "Importing":
            self._carry_out(request, job)
        elif job["status"] == "Queued" and sum(j["status"] == "Importing" for j in self.jobs.values()) < 2:
            job["status"] = "Importing"
        counted = "numOfObjectsProcessed" if job["object"] else "numOfLeadsProcessed"
        made = {"batchId": key, "status": job["status"], counted: job["done"], "numOfRowsFailed": len(job["failed"]),
                "numOfRowsWithWarning": 0, "message": f"Import {job['status'].lower()}, {job['done']} records imported"}
        return self.service.success([{**made, "objectApiName": job["object"], "operation": "import"} if job["object"]
                                     else {**made, "importId": str(key)}])

    def _carry_out(self, request, job):
        if self.service.traps.take("import_fails", request):
            job["status"] = "Failed"
            return
        header = job["rows"][0] if job["rows"] else []
        for row in job["rows"][1:]:
            try:
                if len(row) != len(header):
                    raise Skipped("1003", "Row has another number of columns than the header")
                self._row(job, dict(zip(header, row)))
                job["done"] += 1
            except Skipped as e:
                job["failed"].append([*row, e.args[1]])
        job["status"] = "Complete"

    def _row(self, job, record):
        store, table = self.service.store, job["table"]
        values = table.checked(record)
        store.check_refusals(values)
        store.check_link(table, values)
        key = [values.get(n) for n in job["by"]]
        if None in key:
            raise Skipped("1003", f"Value for lookup field '{job['by'][0]}' not found")
        found = table.found(job["by"], key)
        if len(found) > 1:
            raise Skipped("1007", "Multiple lead match lookup criteria")
        if found:
            store.change(table, found[0], values)
        else:
            store.create(table, values)
