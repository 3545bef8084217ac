"""What Marketo's double keeps: leads and custom objects, and which value is refused for what.

Used by marketo.py (calls) and marketo_bulk.py (imports). Whoever calls holds the double's lock, except where a call pauses between its
look-up and its write: that gap is the hazard of two concurrent calls with one key, and it is real here.
"""
import json
import os
import re
import time
import uuid

FIELDS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "marketo_fields.json")
EMAIL = re.compile(r"[!-?A-~]+@[!-?A-~]+\.[!-?A-~]{2,}")  # ASCII alone
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)")


COMPANY = ("company", "site", "billingStreet", "billingCity", "billingState", "billingCountry", "billingPostalCode", "website", "mainPhone",
           "annualRevenue", "numberOfEmployees", "industry", "sicCode", "mktoCompanyNotes")


class Skipped(Exception):
    """(code, message): the reason why one record is not carried out."""


def invalid(name, value):
    return Skipped("1003", f"Invalid value for field '{name}' and value '{value}'")


def text_of(value):
    return value if isinstance(value, str) else json.dumps(value)


def checked(field, value):
    """The value as it is kept. "" and null write null."""
    name, kind = field["rest"]["name"], field["dataType"]
    if value is None or value == "":
        return None
    if isinstance(value, (dict, list)):
        raise invalid(name, json.dumps(value))
    text = text_of(value)
    if kind == "email" and not EMAIL.fullmatch(text):
        raise invalid(name, text)
    if kind in ("integer", "score", "reference", "percent") and not re.fullmatch(r"-?\d{1,10}", text):
        raise invalid(name, text)
    if kind in ("float", "currency") and not re.fullmatch(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", text):
        raise invalid(name, text)
    if kind == "boolean" and text.lower() not in ("true", "false", "1", "0"):
        raise invalid(name, text)
    if kind == "datetime" and not MOMENT.fullmatch(text) or kind == "date" and not is_date(text):
        raise invalid(name, text)
    if field.get("length") and len(text) > field["length"]:
        raise invalid(name, text)
    return value


def is_date(text):
    try:
        time.strptime(text, "%Y-%m-%d")
        return True
    except ValueError:
        return False


def described(name, kind="string", length=255, read_only=False):
    return {"displayName": name, "dataType": kind, **({"length": length} if kind in ("string", "email") else {}),
            "rest": {"name": name, "readOnly": read_only}}


class Table:
    """Leads, or the objects of one custom object: rows by id, found by any field without regard to case."""

    elsewhere = ()  # fields that another call writes

    def __init__(self, fields, key):
        self.fields = {f["rest"]["name"]: f for f in fields}
        self.key, self.rows, self.index = key, {}, {}

    def found(self, names, values):
        """Ids of rows that have these values."""
        ids = None
        for name, value in zip(names, values):
            if name == self.key:
                some = {value} if value in self.rows else set()
            else:
                if name not in self.index:
                    self.index[name] = {}
                    for row in self.rows.values():
                        self._enter(name, row)
                some = self.index[name].get(text_of(value).lower(), set())
            ids = some if ids is None else ids & some
        return sorted(ids or ())

    def _enter(self, name, row):
        if row.get(name) is not None:
            self.index[name].setdefault(text_of(row[name]).lower(), set()).add(row[self.key])

    def keep(self, row):
        self.drop(row[self.key])
        self.rows[row[self.key]] = row
        for name in self.index:
            self._enter(name, row)

    def drop(self, key):
        row = self.rows.pop(key, None)
        for name, entries in self.index.items():
            if row and row.get(name) is not None:
                entries.get(text_of(row[name]).lower(), set()).discard(key)

    def checked(self, record, allowed=()):
        """A record's values, or Skipped."""
        values = {}
        for name, value in record.items():
            field = self.fields.get(name)
            if not field:
                raise Skipped("1006", f"Field '{name}' not found")
            if (field["rest"]["readOnly"] or name == self.key or name in self.elsewhere) and name not in allowed:
                raise Skipped("1011", f"Field '{name}' not supported")
            values[name] = checked(field, value)
        return values


class Store:
    def __init__(self):
        with open(FIELDS, encoding="utf-8") as f:
            fields = json.load(f)
        self.leads, self.objects, self.count = Table(fields, "id"), {}, 0
        self.leads.elsewhere = COMPANY
        self.refusals, self.warnings = [], []

    def define(self, name, dedupe_fields, fields, link=None):
        """A custom object. `fields`: {name: kind}; `link`: (its field, the lead's field that it names)."""
        table = Table([described("marketoGUID", read_only=True), *[described(n, kind) for n, kind in fields.items()]], "marketoGUID")
        table.dedupe_fields, table.link = list(dedupe_fields), link
        self.objects[name] = table
        return table

    def insert_lead(self, **values):
        """A lead without any check, also a second one with the same key."""
        self.count += 1
        self.leads.keep({"id": self.count, **values})
        return self.count

    def refuse(self, code, message, times=None, **match):
        """Records with these values are skipped for this reason. `times` bounds it."""
        self.refusals.append({"reason": Skipped(str(code), message), "left": float("inf") if times is None else times, "match": match})

    def warn(self, message, **match):
        """Rows of an import with these values are carried out, with this warning."""
        self.warnings.append((message, match))

    def warning_of(self, values):
        return next((text for text, match in self.warnings if all(values.get(k) == v for k, v in match.items())), None)

    def check_refusals(self, values):
        for refusal in self.refusals:
            if refusal["left"] > 0 and all(values.get(k) == v for k, v in refusal["match"].items()):
                refusal["left"] -= 1
                raise refusal["reason"]

    def create(self, table, values):
        self.count += 1
        key = self.count if table is self.leads else str(uuid.UUID(int=self.count + (1 << 120)))
        table.keep({table.key: key, **values})
        return key

    def change(self, table, key, values):
        table.keep({**table.rows[key], **values, table.key: key})

    def check_link(self, table, values):
        """A custom object belongs to a lead that is there."""
        if table is not self.leads and table.link and values.get(table.link[0]) is not None:
            if not self.leads.found([table.link[1]], [values[table.link[0]]]):
                raise Skipped("1004", "Lead not found")
