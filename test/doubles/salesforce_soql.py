"""SOQL for Salesforce's double: SELECT fields FROM object WHERE … ORDER BY … LIMIT … OFFSET ….

Knows fields of related records (Account.Name), COUNT(), AND, OR, NOT, brackets, = != < <= > >= LIKE IN NOT IN, null, booleans,
numbers, text, dates and datetimes. Not: sub-selects, GROUP BY, date literals such as TODAY, functions. What it does not know is
MALFORMED_QUERY, like what Salesforce does not know. Text compares without regard to case, ids with it.
"""
import operator
import re

from doubles.salesforce_org import Malformed, seconds_of, stamp_of

TOKEN = re.compile(r"""\s*(?:
    (?P<text>'(?:[^'\\]|\\.)*') |
    (?P<moment>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)) |
    (?P<date>\d{4}-\d\d-\d\d(?![\dT])) |
    (?P<number>-?\d+(?:\.\d+)?(?![\w:])) |
    (?P<name>[A-Za-z_][\w.]*) |
    (?P<sign><=|>=|!=|<>|[=<>(),])
)""", re.VERBOSE)
ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
SIGNS = {"=": operator.eq, "!=": operator.ne, "<>": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def malformed(what):
    return Malformed("MALFORMED_QUERY", what)


def tokens(text):
    found, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = TOKEN.match(text, at)
        if not match:
            raise malformed(f"unexpected token: '{text[at:at + 20].strip()}'")
        found.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    return found


class Query:
    """`fields`, `object_name`, `where(row)`, `order` [(field, descending, nulls last, how it folds)], `limit`, `offset`, `count`."""

    def __init__(self, text, org):
        self.org, self.tokens, self.at = org, tokens(text), 0
        self.limit = self.offset = None
        self.order, self.where, self.count = [], None, False
        self._select()
        if self._word("WHERE"):
            self.where = self._any()
        if self._word("ORDER"):
            self._expect("BY")
            self._order()
        if self._word("LIMIT"):
            self.limit = self._whole()
        if self._word("OFFSET"):
            self.offset = self._whole()
        if self.at < len(self.tokens):
            raise malformed(f"unexpected token: '{self.tokens[self.at][1]}'")

    # ---- reading ----

    def _peek(self, ahead=0):
        return self.tokens[self.at + ahead] if self.at + ahead < len(self.tokens) else ("end", "")

    def _take(self):
        token = self._peek()
        self.at += 1
        return token

    def _word(self, word):
        kind, text = self._peek()
        if kind in ("name", "sign") and text.upper() == word:
            self.at += 1
            return True
        return False

    def _expect(self, word):
        if not self._word(word):
            raise malformed(f"expecting {word}, found '{self._peek()[1] or 'end of query'}'")

    def _name(self):
        kind, text = self._take()
        if kind != "name":
            raise malformed(f"unexpected token: '{text or 'end of query'}'")
        return text

    def _whole(self):
        kind, text = self._take()
        if kind != "number" or not text.isdigit():
            raise malformed(f"unexpected token: '{text}'")
        return int(text)

    def _select(self):
        self._expect("SELECT")
        names = [self._name()]
        if names[0].upper() == "COUNT" and self._word("("):
            self._expect(")")
            self.count, names = True, []
        while self._word(","):
            names.append(self._name())
        self._expect("FROM")
        wanted = self._name()
        self.object = next((o for o in self.org.objects.values() if o.name.lower() == wanted.lower()), None)
        if not self.object:
            raise Malformed("INVALID_TYPE", f"sObject type '{wanted}' is not supported.")
        self.fields = [self._path(n) for n in names]

    def _path(self, text, target=None):
        """['Account', 'Name'], each known, in the case of its description."""
        target = target or self.object
        head, dot, rest = text.partition(".")
        if not dot:
            found = next((n for n in target.fields if n.lower() == head.lower()), None)
            if found:
                return [found]
        else:
            field = next((f for f in target.fields.values() if f.get("relationshipName", "").lower() == head.lower()), None)
            parent = field and self.org.objects.get(field["referenceTo"][0])
            if parent:
                return [field["relationshipName"], *self._path(rest, parent)]
        raise Malformed("INVALID_FIELD", f"No such column '{head}' on entity '{target.name}'. If you are attempting to use a custom field, "
                        "be sure to append the '__c' after the custom field name.")

    def _order(self):
        while True:
            path, descending = self._path(self._name()), False
            if self._word("DESC"):
                descending = True
            else:
                self._word("ASC")
            last = descending
            if self._word("NULLS"):
                last = not self._word("FIRST")
                if last:
                    self._expect("LAST")
            self.order.append((path, descending, last, self._fold(path)))
            if not self._word(","):
                return

    # ---- conditions ----

    def _any(self):
        parts = [self._all()]
        while self._word("OR"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else lambda row: any(p(row) for p in parts)

    def _all(self):
        parts = [self._one()]
        while self._word("AND"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else lambda row: all(p(row) for p in parts)

    def _one(self):
        if self._word("NOT"):
            inner = self._one()
            return lambda row: not inner(row)
        if self._word("("):
            inner = self._any()
            self._expect(")")
            return inner
        path = self._path(self._name())
        kind, sign = self._take()
        if sign.upper() == "LIKE":
            return self._like(path)
        negated = sign.upper() == "NOT" and self._word("IN")
        if negated or sign.upper() == "IN":
            return self._among(path, negated)
        if kind != "sign" or sign not in SIGNS:
            raise malformed(f"unexpected token: '{sign}'")
        return self._compared(path, sign)

    def _literal(self, path):
        kind, text = self._take()
        if kind == "text":
            found = re.sub(r"\\(.)", lambda m: ESCAPES.get(m[1], m[1]), text[1:-1])
        elif kind == "moment":
            found = stamp_of(seconds_of(text))
        elif kind == "date":
            found = text
        elif kind == "number":
            found = float(text)
        elif kind == "name" and text.lower() in ("true", "false", "null"):
            found = {"true": True, "false": False, "null": None}[text.lower()]
        else:
            raise malformed(f"unexpected token: '{text or 'end of query'}'")
        self._fits(path, kind, found)
        return found

    def _type(self, path):
        target = self.object
        for name in path[:-1]:
            target = self.org.objects[target.relationship(name)["referenceTo"][0]]
        return target.fields[path[-1]]["type"]

    def _fold(self, path):
        """How a field's values are made comparable: text without its case, but ids differ by theirs."""
        return (lambda value: value) if self._type(path) in ("id", "reference") else folded

    def _fits(self, path, kind, found):
        wanted = self._type(path)
        right = {"datetime": "moment", "date": "date", "boolean": "name", "int": "number", "double": "number", "currency": "number",
                 "percent": "number"}.get(wanted, "text")
        if found is not None and kind != right:
            raise Malformed("INVALID_FIELD", f"value of filter criterion for field '{path[-1]}' must be of type {wanted} and "
                            "should not be enclosed in quotes" if kind == "text" else
                            f"value of filter criterion for field '{path[-1]}' must be of type {wanted}")

    def _compared(self, path, sign):
        wanted, compare, fold = self._literal(path), SIGNS[sign], self._fold(path)
        if wanted is None:
            if compare not in (operator.eq, operator.ne):
                raise malformed("null compares with = and != alone")
            return lambda row: compare(self.value(row, path), None)

        def holds(row):
            value = self.value(row, path)
            if value is None:
                return compare is operator.ne
            return compare(fold(value), fold(wanted))
        return holds

    def _among(self, path, negated):
        self._expect("(")
        fold = self._fold(path)
        wanted = [fold(self._literal(path))]
        while self._word(","):
            wanted.append(fold(self._literal(path)))
        self._expect(")")
        return lambda row: (fold(self.value(row, path)) in wanted) != negated

    def _like(self, path):
        pattern = str(self._literal(path))
        compiled = re.compile("".join({"%": ".*", "_": "."}.get(c, re.escape(c)) for c in pattern), re.IGNORECASE | re.DOTALL)
        return lambda row: compiled.fullmatch(str(self.value(row, path) or "")) is not None

    # ---- rows ----

    def value(self, row, path):
        for name in path[:-1]:
            row = self._parent(row, name)
            if row is None:
                return None
        return row.get(path[-1])

    def _parent(self, row, relationship):
        """The related row, of whichever object its id belongs to."""
        owner = self.org.by_id(row["Id"])
        return self._by_id(row.get(owner.relationship(relationship)["name"]))

    def _by_id(self, key):
        target = self.org.by_id(key)
        return target.rows.get(key) if target else None

    def rows(self, deleted=False):
        """Ids of what it finds, in order."""
        found = [r for r in self.org.seen(self.object.name, deleted) if self.where is None or self.where(r)]
        for path, descending, last, fold in reversed(self.order):
            found.sort(key=self._sort_key(path, fold, -1 if last == descending else 1), reverse=descending)
        start = self.offset or 0
        return [r["Id"] for r in found[start:None if self.limit is None else start + self.limit]]

    def _sort_key(self, path, fold, rank_of_null):
        def key(row):
            value = fold(self.value(row, path))
            return (rank_of_null, 0) if value is None else (0, value)
        return key

    def shown(self, key, version):
        row = self._by_id(key)
        made = self._head(row, version)
        for path in self.fields:
            self._show(made, row, path, version)
        return made

    def _head(self, row, version):
        name = self.org.by_id(row["Id"]).name
        return {"attributes": {"type": name, "url": f"/services/data/v{version}/sobjects/{name}/{row['Id']}"}}

    def _show(self, made, row, path, version):
        if len(path) == 1:
            made[path[0]] = row.get(path[0])
            return
        parent = self._parent(row, path[0])
        if parent is None:
            made[path[0]] = None
            return
        inner = made.setdefault(path[0], self._head(parent, version))
        self._show(inner, parent, path[1:], version)


def folded(value):
    return value.lower() if isinstance(value, str) else value
