"""Bulk API 2.0 ingest of Salesforce's double: create, upload, close, poll, results, delete.

A closed job is queued: it is carried out, as one, when it has been looked at `polls` times, or when a test says so (`carry_out`),
whether anyone looks at it or not, unless it was aborted before. Results come in another order than the rows went in, since no order is
promised.
"""
import csv
import io

from doubles.salesforce_org import Malformed, stamp_of
from doubles.service import Answer

MOST_BYTES, MOST_CHARACTERS, MOST_OF_A_RECORD = 150_000_000, 32_000, 400_000
OPERATIONS = ("insert", "update", "upsert", "delete")


def csv_text(header, rows, line_ending):
    out = io.StringIO()
    csv.writer(out, lineterminator={"LF": "\n", "CRLF": "\r\n"}[line_ending]).writerows([header, *rows])
    return out.getvalue()


class Bulk:
    def __init__(self, service, polls=1):
        self.service, self.polls, self.jobs = service, polls, {}

    def handle(self, request, parts, version):
        """`parts`: the path after /jobs/ingest."""
        if not parts:
            return self._create(request, version) if request.method == "POST" else self._listed()
        job = self.jobs.get(parts[0])
        if not job:
            raise Malformed("NOT_FOUND", "The requested resource does not exist")
        if len(parts) == 1:
            ways = {"GET": self._looked_at, "PATCH": self._state, "DELETE": self._delete}
            return ways[request.method](request, job) if request.method in ways else Answer(405, [])
        ways = {("PUT", "batches"): self._upload, ("GET", "successfulResults"): self._results, ("GET", "failedResults"): self._results,
                ("GET", "unprocessedrecords"): self._results}
        way = ways.get((request.method, parts[1])) if len(parts) == 2 else None
        if not way:
            raise Malformed("NOT_FOUND", "The requested resource does not exist")
        return way(request, job)

    def _create(self, request, version):
        asked = self.service.json_of(request)
        target = self.service.org.object(str(asked.get("object", "")))
        operation, field = asked.get("operation"), asked.get("externalIdFieldName")
        if operation not in OPERATIONS:
            raise Malformed("INVALIDJOB", f"Unable to find operation {operation}")
        if operation == "upsert" and (not field or field != "Id" and not target.lookup_field(field)):
            raise Malformed("INVALIDJOB", f"InvalidJob : Field name provided, {field} does not match an External ID, Salesforce Id, or "
                                          f"indexed field for {target.name}")
        if asked.get("contentType", "CSV") != "CSV" or asked.get("lineEnding", "LF") not in ("LF", "CRLF"):
            raise Malformed("INVALIDJOB", "contentType is CSV, lineEnding LF or CRLF")
        key = f"7505f{len(self.jobs) + 1:010d}AAA"
        self.jobs[key] = {"target": target, "field": field, "text": None, "looks": 0, "ok": [], "bad": [], "left": [],
                          "header": [], "info": {
            "id": key, "operation": operation, "object": target.name, "createdById": self.service.org.user,
            "createdDate": stamp_of(self.service.clock.now()), "systemModstamp": stamp_of(self.service.clock.now()), "state": "Open",
            "concurrencyMode": "Parallel", "contentType": "CSV", "apiVersion": float(version), "lineEnding": asked.get("lineEnding", "LF"),
            "columnDelimiter": "COMMA", "contentUrl": f"services/data/v{version}/jobs/ingest/{key}/batches",
            **({"externalIdFieldName": field} if field else {})}}
        return Answer(200, self.jobs[key]["info"])

    def _listed(self):
        return Answer(200, {"done": True, "records": [j["info"] for j in self.jobs.values()], "nextRecordsUrl": None})

    def _upload(self, request, job):
        if job["info"]["state"] != "Open" or job["text"] is not None:
            raise Malformed("INVALIDJOBSTATE", "Found multiple contents for job: a job takes one upload while it is Open")
        if request.content_type() != "text/csv":
            raise Malformed("INVALIDJOB", "the content type of an upload is text/csv")
        if request.size() > MOST_BYTES:
            raise Malformed("CLIENT_REQUEST_TOO_LARGE", "Job content exceeds 150 MB")
        job["text"] = request.body
        return Answer(201)

    def _state(self, request, job):
        wanted, state = self.service.json_of(request).get("state"), job["info"]["state"]
        if wanted == "UploadComplete" and state == "Open" and job["text"] is not None:
            job["info"]["state"] = wanted
        elif wanted == "Aborted" and state in ("Open", "UploadComplete", "InProgress"):
            job["info"]["state"] = wanted
        else:
            raise Malformed("INVALIDJOBSTATE", f"a job that is {state} does not become {wanted}")
        return Answer(200, job["info"])

    def carry_out(self):
        """What is queued, now."""
        with self.service.lock:
            for job in list(self.jobs.values()):
                if job["info"]["state"] in ("UploadComplete", "InProgress"):
                    self._carry_out(job)

    def _looked_at(self, request, job):
        info = job["info"]
        if info["state"] in ("UploadComplete", "InProgress"):
            job["looks"] += 1
            if job["looks"] > self.polls:
                self._carry_out(job, request)
            else:
                info["state"] = "InProgress"
        done = info["state"] in ("JobComplete", "Failed")
        counts = {"numberRecordsProcessed": len(job["ok"]) + len(job["bad"]) if done else 0,
                  "numberRecordsFailed": len(job["bad"]) if done else 0}
        return Answer(200, {**info, **counts, **({"errorMessage": job["failure"]} if info["state"] == "Failed" else {})})

    def _delete(self, _request, job):
        if job["info"]["state"] not in ("UploadComplete", "JobComplete", "Failed", "Aborted"):
            raise Malformed("API_ERROR", f"a job that is {job['info']['state']} cannot be deleted")
        del self.jobs[job["info"]["id"]]
        return Answer(204)

    def _results(self, request, job):
        which = request.path.rsplit("/", 1)[1]
        extra, rows = {"successfulResults": (["sf__Id", "sf__Created"], job["ok"]), "failedResults": (["sf__Id", "sf__Error"], job["bad"]),
                       "unprocessedrecords": ([], job["left"])}[which]
        done = job["info"]["state"] in ("JobComplete", "Failed", "Aborted")
        text = csv_text([*extra, *job["header"]], reversed(rows) if done else [], job["info"]["lineEnding"])
        return Answer(200, text, {"Content-Type": "text/csv"})

    def _carry_out(self, job, request=None):
        self._rows(job, request)
        job["info"]["state"] = job["outcome"]

    def _rows(self, job, request):
        rows = list(csv.reader(io.StringIO(job["text"], newline="")))
        header, rows = (rows[0], [r for r in rows[1:] if r]) if rows else ([], [])
        job["header"], job["outcome"] = header, "JobComplete"
        bad = [c for c in header if not self._known(job["target"], c)]
        if bad or not header:
            job.update(outcome="Failed", left=rows, failure=f"InvalidBatch : Field name not found : {bad[0] if bad else ''}")
            return
        if any(len(cell) > MOST_CHARACTERS for row in rows for cell in row) or any(sum(map(len, row)) > MOST_OF_A_RECORD for row in rows):
            job.update(outcome="Failed", left=rows, failure="ClientInputError : a field or a record is too long")
            return
        if request and self.service.traps.take("job_fails", request):
            job.update(outcome="Failed", failure="InternalServerError : Error processing batch", left=rows[len(rows) // 2:])
            rows = rows[:len(rows) // 2]
        for row in rows:
            key, fault = self._row(job, header, row)
            if fault:
                code = f"{fault['statusCode']}:{self.service.said(fault['message'])}:{' '.join(fault['fields'])} --"
                job["bad"].append([key or "", code, *row])
            else:
                job["ok"].append([*key, *row])

    def _known(self, target, column):
        head, dot, _ = column.partition(".")
        return target.relationship(head) is not None if dot else column in target.fields

    def _row(self, job, header, row):
        """((id, created), None), or (id, its error)."""
        org, target, values = self.service.org, job["target"], {}
        if len(row) != len(header):
            return None, {"statusCode": "INVALID_INPUT", "message": "row has another number of columns than the header", "fields": []}
        if job["info"]["operation"] == "delete":
            key = row[header.index("Id")] if "Id" in header else ""
            fault = org.delete(target, key)
            return (key, fault) if fault else ((key, "false"), None)
        for column, cell in zip(header, row):
            head, dot, rest = column.partition(".")
            if cell == "":
                continue  # leaves the field as it is
            if dot:
                values[head] = {rest: cell}
            else:
                values[column] = None if cell == "#N/A" else self._cell(target.fields[column], cell)
        try:
            key, created, fault = self.service.one(target, org.typed(target, values), job["info"]["operation"], job["field"])
        except Malformed as e:  # a value that does not convert is the row's affair here
            return None, {"statusCode": "INVALID_TYPE_ON_FIELD_IN_RECORD", "message": e.args[1], "fields": []}
        return (key, fault) if fault else ((key, str(created).lower()), None)

    @staticmethod
    def _cell(field, cell):
        return cell.lower() in ("true", "1") if field["type"] == "boolean" else cell
