"""SOQL for Salesforce's double: SELECT fields FROM object WHERE … ORDER BY … LIMIT … OFFSET ….

Knows fields of related records (Account.Name), COUNT(), AND, OR, NOT, brackets, = != < <= > >= LIKE IN NOT IN, null, booleans,
numbers, text, dates and datetimes. Not: sub-selects, GROUP BY, date literals such as TODAY, functions. What it does not know is
MALFORMED_QUERY, like what Salesforce does not know. Text compares without regard to case, ids with it and by their first 15 characters.
Rows that the query puts in no order come newest first.

A condition is a function of a row; of one that is not known whole it may be UNKNOWN, as in logic of three values.
"""
import array
import bisect
import operator
import re

from doubles.salesforce_org import Malformed, seconds_of, stamp_of, usable
from doubles.salesforce_rows import STAMPS, UNKNOWN, Outline, long_id, number_of

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
MOST_OFFSET = 2000


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
        self.breaks = []  # (field, value, how it folds) of what is compared with the fields that ascend in a series
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
            if self.offset > MOST_OFFSET:
                raise Malformed("NUMBER_OUTSIDE_VALID_RANGE", f"Maximum SOQL offset allowed is {MOST_OFFSET}")
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
        twice = next((".".join(path) for n, path in enumerate(self.fields) if path in self.fields[:n]), None)
        if twice:
            raise Malformed("INVALID_FIELD", f"duplicate field selected: {twice}")

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
            path, descending = self._usable(self._path(self._name()), "sorted"), False
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
        return parts[0] if len(parts) == 1 else lambda row: joined(parts, row, True)

    def _all(self):
        parts = [self._one()]
        while self._word("AND"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else lambda row: joined(parts, row, False)

    def _one(self):
        if self._word("NOT"):
            inner = self._one()
            return known(inner, operator.not_)
        if self._word("("):
            inner = self._any()
            self._expect(")")
            return inner
        path = self._usable(self._path(self._name()), "filtered")
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

    def _owner(self, path):
        target = self.object
        for name in path[:-1]:
            target = self.org.objects[target.relationship(name)["referenceTo"][0]]
        return target

    def _type(self, path):
        return self._owner(path).fields[path[-1]]["type"]

    def _usable(self, path, how):
        """A path that may be filtered or sorted: long text may not."""
        target = self._owner(path)
        if not usable(target.fields[path[-1]]):
            raise Malformed("INVALID_FIELD", f"field '{path[-1]}' can not be {how} in a query call")
        return path

    def _fold(self, path):
        """How a field's values are made comparable: text without its case, but ids differ by theirs."""
        return short if self._type(path) in ("id", "reference") else folded

    def _broken(self, path, value, fold):
        if len(path) == 1 and value is not None and path[0] in (*STAMPS, "Id"):
            self.breaks.append((path[0], value, fold))

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
            return known(lambda row: self.value(row, path), lambda value: compare(value, None))
        self._broken(path, wanted, fold)
        folded_wanted = fold(wanted)

        def holds(value):
            return compare is operator.ne if value is None else compare(fold(value), folded_wanted)
        return known(lambda row: self.value(row, path), holds)

    def _among(self, path, negated):
        self._expect("(")
        fold = self._fold(path)
        wanted = [self._literal(path)]
        while self._word(","):
            wanted.append(self._literal(path))
        self._expect(")")
        for value in wanted:
            self._broken(path, value, fold)
        among = {fold(value) for value in wanted}
        return known(lambda row: self.value(row, path), lambda value: (fold(value) in among) != negated)

    def _like(self, path):
        pattern = str(self._literal(path))
        compiled = re.compile("".join({"%": ".*", "_": "."}.get(c, re.escape(c)) for c in pattern), re.IGNORECASE | re.DOTALL)
        return known(lambda row: self.value(row, path), lambda value: compiled.fullmatch(str(value or "")) is not None)

    # ---- rows ----

    def value(self, row, path):
        for name in path[:-1]:
            row = self._parent(row, name)
            if row is None or row is UNKNOWN:
                return row
        return row.get(path[-1])

    def _parent(self, row, relationship):
        """The related row, of whichever object its id belongs to."""
        key = row.get(self.org.by_id(row["Id"]).relationship(relationship)["name"])
        return key if key is UNKNOWN else self._by_id(key)

    def _by_id(self, key):
        target = self.org.by_id(key)
        return target.rows.get(key) if target else None

    def rows(self, deleted=False):
        """What it finds, in order: a sequence of ids."""
        kept = [r for r in self.org.seen(self.object.name, deleted) if self.where is None or self.where(r)]
        numbers = self._ordered(kept, self._of_series())
        start = self.offset or 0
        return Ids(self.object.prefix, numbers[start:None if self.limit is None else start + self.limit])

    def _of_series(self):
        """Numbers of the rows of the series that it finds, ascending; each run of rows that compare alike is looked at once."""
        rows, found = self.object.rows, array.array("q")
        if not rows.series:
            return found
        for start, end in rows.series.pieces(self.breaks):
            held = True if self.where is None else self.where(Outline(rows.series.outline(start)))
            for first, last in rows.untouched(start, end) if held is not False else ():
                run = range(first, last) if held is True else (n for n in range(first, last) if self.where(rows.series.row(n)))
                found.extend(array.array("q", (rows.series.first + n for n in run)))
        return found

    def _ordered(self, kept, made):
        """Numbers of kept rows and those of a series, whose order by SystemModstamp and Id need not be looked for."""
        names = [None if descending or len(path) > 1 else path[0] for path, descending, _, _ in self.order]
        if names in ([], ["Id"]):
            made.extend(number_of(row["Id"]) for row in kept)
            return array.array("q", sorted(made, reverse=not names))
        if made and names == ["SystemModstamp", "Id"]:
            for row in kept:
                made.insert(bisect.bisect_left(made, stamp_and_id(row), key=lambda n: stamp_and_id(self._row(n))), number_of(row["Id"]))
            return made
        found = sorted(kept + [self._row(n) for n in made], key=lambda row: row["Id"], reverse=True)
        for path, descending, last, fold in reversed(self.order):
            found.sort(key=self._sort_key(path, fold, -1 if last == descending else 1), reverse=descending)
        return array.array("q", (number_of(row["Id"]) for row in found))

    def _row(self, number):
        return self.object.rows[long_id(self.object.prefix, number)]

    def _sort_key(self, path, fold, rank_of_null):
        def key(row):
            value = fold(self.value(row, path))
            return (rank_of_null, 0) if value is None else (0, value)
        return key

    def shown(self, row, version):
        made = self._head(row, version)
        for path in self.fields:
            if len(path) == 1:
                made[path[0]] = row.get(path[0])
            else:
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


class Ids:
    """A sequence of ids, made of their numbers as they are asked for."""

    def __init__(self, prefix, numbers):
        self.prefix, self.numbers = prefix, numbers

    def __len__(self):
        return len(self.numbers)

    def __getitem__(self, span):
        return [long_id(self.prefix, number) for number in self.numbers[span]]


def stamp_and_id(row):
    return row["SystemModstamp"], row["Id"]


def known(value, what):
    """A function of a row: what is made of its value, if that is known."""
    def of(row):
        found = value(row)
        return UNKNOWN if found is UNKNOWN else what(found)
    return of


def joined(parts, row, decisive):
    """OR (decided by True) and AND (by False) of what may be unknown."""
    unknown = False
    for part in parts:
        held = part(row)
        if held is decisive:
            return decisive
        unknown = unknown or held is UNKNOWN
    return UNKNOWN if unknown else not decisive


def folded(value):
    return value.lower() if isinstance(value, str) else value


def short(key):
    return key[:15] if isinstance(key, str) else key
