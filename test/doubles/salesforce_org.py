"""The records of Salesforce's double: objects with described fields, what a write is refused for, and when a row is seen.

Used by salesforce.py (REST), salesforce_soql.py (queries) and salesforce_bulk.py (jobs). A row is a dict of its fields; datetimes are
kept as Salesforce shows them, 2026-03-01T00:00:00.000+0000, which sort as text. Whoever calls holds the double's lock.
"""
import calendar
import functools
import json
import os
import re
import time

from doubles.salesforce_rows import Rows, Series, long_id

FIELDS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "salesforce_fields.json")
EMAIL = re.compile(r"[^@\s,;<>()\"]+@[^@\s,;<>()\"]+\.[A-Za-z]{2,}")
STAMP = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:?\d\d)")
NUMBERS = ("int", "double", "currency", "percent")
BIN_LIFE = 15 * 86400
TEXTS = ("string", "textarea", "email", "phone", "url", "picklist")


def seconds_of(text):
    found = STAMP.fullmatch(text)
    if not found:
        raise ValueError(text)
    day, clock, fraction, offset = found.groups()
    base = calendar.timegm(time.strptime(f"{day}T{clock}", "%Y-%m-%dT%H:%M:%S")) + float(f"0.{fraction or 0}")
    digits = offset.replace(":", "")
    return base if offset == "Z" else base - int(digits[0] + "1") * (int(digits[1:3]) * 3600 + int(digits[3:5]) * 60)


def stamp_of(seconds):
    millis = int(round(seconds * 1000))
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(millis // 1000)) + f".{millis % 1000:03d}+0000"


def error(code, message, fields=()):
    """A record's error, as in the answers of collections."""
    return {"statusCode": code, "message": message, "fields": list(fields)}


def usable(field):
    """Whether a query may filter or sort by a field: long text it may not."""
    return not (field["type"] == "textarea" and field.get("length", 255) > 255)


class Malformed(Exception):
    """A request that is refused as a whole: (errorCode, message)."""


def is_id(text):
    return isinstance(text, str) and re.fullmatch(r"[0-9A-Za-z]{15}([0-9A-Za-z]{3})?", text) is not None


class Object:
    def __init__(self, name, described):
        self.name, self.label, self.prefix = name, described["label"], described["keyPrefix"]
        self.fields = {f["name"]: {"nillable": True, "createable": True, "updateable": True, **f} for f in described["fields"]}
        self.rows, self.unseen = Rows(), {}  # by id; id: visible at
        self.pending = []  # of (visible at, row): changes that are not seen yet
        self.by_external = {}  # (field, value in lower case): ids
        self.emptied, self.purged_until = [], 0  # of the recycle bin: (id, when deleted); of the delete log

    def relationship(self, name):
        return next((f for f in self.fields.values() if f.get("relationshipName") == name), None)

    def lookup_field(self, name):
        field = self.fields.get(name)
        return field if field and (field.get("externalId") or field.get("idLookup")) and field["type"] != "id" else None

    def ids_with(self, field, value):
        """Of rows that are not deleted. Matching is without regard to case, as for fields not declared otherwise."""
        ids = self.by_external.get((field, str(value).lower()), ())
        return [i for i in ids if not self.rows[i]["IsDeleted"]]

    def keep(self, row):
        old = self.rows.get(row["Id"], {})
        for name, field in self.fields.items():
            if field.get("externalId") or field.get("idLookup"):
                before, after = old.get(name), row.get(name)
                if before != after and before is not None:
                    self.by_external.get((name, str(before).lower()), set()).discard(row["Id"])  # one of a series is not listed
                if after is not None:
                    self.by_external.setdefault((name, str(after).lower()), set()).add(row["Id"])
        self.rows[row["Id"]] = row


class Org:
    def __init__(self, clock):
        self.clock, self.count, self.refusals = clock, 0, []
        with open(FIELDS, encoding="utf-8") as f:
            self.objects = {name: Object(name, described) for name, described in json.load(f).items()}
        self.hidden = {}
        self.user = self.someone = None
        self.user = self.insert("User", {"Username": "muskrat@example.com", "LastName": "Muskrat", "Email": "muskrat@example.com"})
        self.someone = self.insert("User", {"Username": "ann@example.com", "LastName": "Ann", "Email": "ann@example.com"})

    def object(self, name):
        found = next((o for o in self.objects.values() if o.name.lower() == name.lower()), None)
        if not found:
            raise Malformed("NOT_FOUND", "The requested resource does not exist")
        return found

    # ---- what a test does ----

    def add_field(self, object_name, name, kind="string", **attributes):
        self.objects[object_name].fields[name] = {"name": name, "label": name, "type": kind, "nillable": True, "createable": True,
                                                  "updateable": True, **({"length": 255} if kind == "string" else {}), **attributes}

    def remove_field(self, object_name, name):
        del self.objects[object_name].fields[name]

    def hide(self, object_name):
        """The user may no longer see an object: to him it is not there. `show` gives the right back."""
        self.hidden[object_name] = self.objects.pop(object_name)

    def show(self, object_name):
        self.objects[object_name] = self.hidden.pop(object_name)

    def insert(self, object_name, values, stamp=None, visible_at=None, by=None):
        """A row without any check, by someone else unless `by` says who; with an own SystemModstamp, and seen only from a time of the
        double's clock on (float("inf"): until `reveal`). Until then its transaction counts as running: latestDateCovered stays before
        its stamp."""
        target = self.objects[object_name]
        self.count += 1
        now = stamp_of(self.clock.now()) if stamp is None else stamp_of(seconds_of(stamp))
        who = by or self.someone
        owner = {"OwnerId": who} if "OwnerId" in target.fields else {}
        row = {"Id": long_id(target.prefix, self.count), "IsDeleted": False, **owner, **values, "CreatedDate": now, "LastModifiedDate": now,
               "SystemModstamp": now, "CreatedById": who, "LastModifiedById": who}
        target.keep(row)
        if visible_at is not None:
            target.unseen[row["Id"]] = visible_at
        return row["Id"]

    def generate(self, object_name, count, make, start, step=1.0, per_stamp=1, by=None):
        """So many rows that are not kept: the values of the nth are `make(n)`, every `per_stamp` of them have one stamp, `step` seconds
        after those before them, the first at `start`. One series an object; what changes of it is kept."""
        target, began = self.objects[object_name], seconds_of(start)
        fixed = {"CreatedById": by or self.someone, "LastModifiedById": by or self.someone}
        stamp = functools.lru_cache(4096)(lambda group: stamp_of(began + group * step))
        target.rows.series = Series(target.prefix, self.count + 1, count, lambda n: stamp(n // per_stamp), make, fixed)
        self.count += count

    def change(self, object_name, key, values, stamp=None, visible_at=None, by=None):
        """Like `insert`, for a row that is there. `IsDeleted` deletes it, or brings it back."""
        target, at = self.objects[object_name], stamp_of(self.clock.now() if stamp is None else seconds_of(stamp))
        row = {**target.rows[key], **values, "LastModifiedDate": at, "SystemModstamp": at, "LastModifiedById": by or self.someone}
        if visible_at is None:
            target.keep(row)
        else:
            target.pending.append((visible_at, row))

    def empty_bin(self, object_name):
        """What is deleted is no longer found by queryAll, but is in the delete log."""
        target = self.objects[object_name]
        for row in [r for r in target.rows.values() if r["IsDeleted"]]:
            target.emptied.append((row["Id"], row["SystemModstamp"]))
            target.rows.drop(row["Id"])

    def purge_log(self, object_name, until):
        """The delete log before this stamp is no more."""
        self.objects[object_name].purged_until = seconds_of(until)

    def reveal(self, object_name):
        self.objects[object_name].unseen.clear()
        self._settle(self.objects[object_name], float("inf"))

    @staticmethod
    def _settle(target, now):
        """What is due is seen from now on."""
        due = [row for at, row in target.pending if at <= now]
        target.pending = [(at, row) for at, row in target.pending if at > now]
        for row in due:
            target.keep(row)
        for key in [k for k, at in target.unseen.items() if at <= now]:
            del target.unseen[key]

    def refuse(self, code, message, times=None, **match):
        """Writes of records with these values fail so: a validation rule, a trigger, a lock. `times` bounds it."""
        self.refusals.append({"error": error(code, message), "left": float("inf") if times is None else times, "match": match})

    def seen(self, object_name, deleted=False):
        """The rows that are kept and seen. What was deleted stays in the recycle bin for fifteen days."""
        target, now = self.objects[object_name], self.clock.now()
        self._settle(target, now)
        bin_from = stamp_of(now - BIN_LIFE)
        return [r for r in target.rows.values()
                if r["Id"] not in target.unseen and (not r["IsDeleted"] or deleted and r["SystemModstamp"] >= bin_from)]

    def running(self, target):
        """Stamps of what is not seen yet."""
        return [target.rows[key]["SystemModstamp"] for key in target.unseen] + [row["SystemModstamp"] for _, row in target.pending]

    # ---- writes ----

    def typed(self, target, record):
        """A record's values in the form they are kept. Malformed when JSON does not fit: that refuses the whole request."""
        values = {}
        for name, value in record.items():
            if name == "attributes":
                continue
            if isinstance(value, dict) and target.relationship(name):
                values[name] = value
                continue
            field = target.fields.get(name)
            if not field:
                raise Malformed("INVALID_FIELD", f"No such column '{name}' on sobject of type {target.name}")
            values[name] = self._converted(field, value)
        return values

    def _converted(self, field, value):
        kind = field["type"]
        wrong = Malformed("JSON_PARSER_ERROR",
                          f"Cannot deserialize instance of {kind} from {type(value).__name__} value for {field['name']}")
        if value is None:
            return None
        if kind == "boolean" and not isinstance(value, bool):
            raise wrong
        if kind in NUMBERS and (isinstance(value, (bool, dict, list)) or not re.fullmatch(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", str(value))):
            raise wrong
        if kind in TEXTS + ("date", "datetime", "reference", "id") and isinstance(value, (dict, list, bool)):
            raise wrong
        if kind == "int" and not re.fullmatch(r"-?\d+", str(value)):
            raise wrong
        try:
            if kind == "datetime":
                return stamp_of(seconds_of(str(value)))
            if kind == "date":
                return time.strftime("%Y-%m-%d", time.strptime(str(value), "%Y-%m-%d"))  # with a time it is none
        except ValueError:
            raise wrong from None
        if kind in NUMBERS:
            return float(value) if kind != "int" else int(value)
        return str(value) if kind in TEXTS else value

    def faults(self, target, values, creating):
        """The first error of a record, or None. Relationships by external id become ids in `values`."""
        for check in (self._read_only, self._related, self._missing, self._contents, self._refused):
            found = check(target, values, creating)
            if found:
                return found
        return None

    def _read_only(self, target, values, creating):
        right = "createable" if creating else "updateable"
        names = [n for n in values if n in target.fields and not target.fields[n][right] and n != "Id"]
        text = (f"Unable to create/update fields: {', '.join(names)}. Please check the security settings of this field and verify that "
                "it is read/write for your profile or permission set.")
        return error("INVALID_FIELD_FOR_INSERT_UPDATE", text, names) if names else None

    def _related(self, target, values, _creating):
        for name in [n for n, v in values.items() if isinstance(v, dict)]:
            keys = [(k, v) for k, v in values[name].items() if k != "attributes"]
            field = target.relationship(name)
            if len(keys) != 1:
                return error("INVALID_FIELD", f"relationship {name} needs one external id field")
            parent = self.objects.get(field["referenceTo"][0])
            ids = parent.ids_with(*keys[0]) if parent and parent.lookup_field(keys[0][0]) else []
            if len(ids) != 1:
                return error("INVALID_FIELD", f"Foreign key external ID: {keys[0][1]} not found for field {keys[0][0]} in entity "
                                              f"{field['referenceTo'][0]}")
            del values[name]
            values[field["name"]] = ids[0]
        return None

    def _missing(self, target, values, creating):
        def due(name, field):
            if field["nillable"] or field["type"] == "boolean":
                return False
            if creating:
                return field["createable"] and not field.get("defaultedOnCreate") and values.get(name) in (None, "")
            return name in values and values[name] in (None, "") and field["updateable"]
        names = [n for n, f in target.fields.items() if due(n, f)]
        return names and error("REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(names)}]", names)

    def _contents(self, target, values, _creating):
        for name, value in values.items():
            field = target.fields[name]
            kind = field["type"]
            if value in (None, ""):
                continue
            if kind == "email" and not EMAIL.fullmatch(value):
                return error("INVALID_EMAIL_ADDRESS", f"{field['label']}: invalid email address: {value}", [name])
            if kind in TEXTS and len(value) > field.get("length", 255):
                most = field.get("length", 255)
                return error("STRING_TOO_LONG", f"{field['label']}: data value too large: {value} (max length={most})", [name])
            if kind in ("reference", "id") and not is_id(value):
                return error("MALFORMED_ID", f"{field['label']}: id value of incorrect type: {value}", [name])
        if target.name == "Lead" and values.get("Id") and self._converted_lead(target, values["Id"]):
            return error("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead")
        return None

    @staticmethod
    def _converted_lead(target, key):
        return target.rows.get(key, {}).get("IsConverted")

    def _refused(self, _target, values, _creating):
        for refusal in self.refusals:
            if refusal["left"] > 0 and all(values.get(k) == v for k, v in refusal["match"].items()):
                refusal["left"] -= 1
                return refusal["error"]
        return None

    def write(self, target, values, key=None):
        """Keeps a checked record; returns its id. `key`: the row to change."""
        now = stamp_of(self.clock.now())
        changed = {k: None if v == "" else v for k, v in values.items() if k != "Id"}
        if key is None:
            empty = {n: False for n, f in target.fields.items() if f["type"] == "boolean"}
            key = self.insert(target.name, {**empty, **changed}, by=self.user)
        target.keep({**target.rows[key], **changed, "LastModifiedDate": now, "SystemModstamp": now, "LastModifiedById": self.user})
        return key

    def delete(self, target, key):
        """The error, or None. The row stays, as deleted, for queryAll and `deleted`."""
        if not is_id(key):
            return error("MALFORMED_ID", f"malformed id {key}")
        row = target.rows.get(key)
        if not row or row["IsDeleted"]:
            return error("ENTITY_IS_DELETED" if row else "INVALID_CROSS_REFERENCE_KEY", "entity is deleted" if row
                         else "invalid cross reference id")
        now = stamp_of(self.clock.now())
        target.keep({**row, "IsDeleted": True, "LastModifiedDate": now, "SystemModstamp": now, "LastModifiedById": self.user})
        return None

    def by_id(self, key):
        """The object that an id belongs to."""
        return next((o for o in self.objects.values() if o.prefix == str(key)[:3]), None)
