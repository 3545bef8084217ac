"""The rows of one object of Salesforce's double: those that are kept, and a series of any length that is made as it is read.

A series is rows whose stamps and ids ascend together, so that what a query asks of these two cuts it into pieces: a million rows are
neither kept nor looked at, unless a condition is about a field that only `make` knows. A row of it that changes is kept from then on.
"""
import bisect
import functools

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
HALF, PLACES = 62 ** 5, {c: n for n, c in enumerate(DIGITS)}
STAMPS = ("SystemModstamp", "LastModifiedDate", "CreatedDate")


def long_id(prefix, number):
    """An id of 18 characters: three of the object, twelve of the record, three that tell upper from lower case."""
    high, low = divmod(number, HALF)
    parts = prefix + "5f", five_digits(high), five_digits(low)
    return "".join((*parts, *map(check, parts)))


@functools.lru_cache(1 << 17)
def five_digits(number):
    text = ""
    while number:
        number, digit = divmod(number, 62)
        text = DIGITS[digit] + text
    return text.rjust(5, "0")


@functools.lru_cache(1 << 17)
def check(part):
    return ALPHABET[sum(1 << n for n, c in enumerate(part) if c.isupper())]


def number_of(key):
    """The number that an id was made of, or None."""
    number = 0
    for c in key[5:15]:
        digit = PLACES.get(c)
        if digit is None:
            return None
        number = number * 62 + digit
    return number


class Unknown:
    """What a condition is when it needs a field that is not known; neither true nor false."""
    def __bool__(self):
        raise TypeError("neither true nor false")


UNKNOWN = Unknown()


class Outline(dict):
    """A row of a series without what `make` knows."""
    def get(self, name, default=None):
        return self[name] if name in self else UNKNOWN


class Series:
    """`stamp(n)` is the stamp of its nth row; `make(n)` its values."""

    def __init__(self, prefix, first, count, stamp, make, fixed):
        self.prefix, self.first, self.count, self.stamp, self.make, self.fixed = prefix, first, count, stamp, make, fixed

    def outline(self, n):
        at = self.stamp(n)
        return {"Id": long_id(self.prefix, self.first + n), "IsDeleted": False, **self.fixed, **dict.fromkeys(STAMPS, at)}

    def row(self, n):
        return {**self.outline(n), **self.make(n)}

    def place(self, key):
        """n of an id, or None."""
        number = number_of(key) if isinstance(key, str) and len(key) == 18 and key.startswith(self.prefix) else None
        inside = number is not None and self.first <= number < self.first + self.count
        return number - self.first if inside and long_id(self.prefix, number) == key else None

    def pieces(self, breaks):
        """(start, end) of the runs of rows that compare alike with each (field, value, how it folds) of the breaks."""
        cuts = {0, self.count}
        for name, value, fold in breaks:
            def key(n, name=name, fold=fold):
                return fold(self.stamp(n) if name in STAMPS else long_id(self.prefix, self.first + n))
            cuts |= {find(range(self.count), fold(value), key=key) for find in (bisect.bisect_left, bisect.bisect_right)}
        ordered = sorted(cuts)
        return list(zip(ordered, ordered[1:]))


class Rows(dict):
    """Rows by id. Those of a series are found like the others; going through all of it gives the kept ones alone."""
    series = None

    def __init__(self):
        super().__init__()
        self.gone = set()  # ids of a series that are no more

    def __contains__(self, key):
        return super().__contains__(key) or self._place(key) is not None

    def __missing__(self, key):
        place = self._place(key)
        if place is None:
            raise KeyError(key)
        return self.series.row(place)

    def get(self, key, default=None):
        try:
            return self[key]
        except KeyError:
            return default

    def drop(self, key):
        self.pop(key, None)
        self.gone.add(key)

    def untouched(self, start, end):
        """Runs of a series between two of its rows, without those that are kept or gone."""
        places = sorted(p for p in map(self.series.place, [*self, *self.gone]) if p is not None and start <= p < end)
        for place in [*dict.fromkeys(places), end]:
            if start < place:
                yield start, place
            start = place + 1

    def _place(self, key):
        return self.series.place(key) if self.series and key not in self.gone else None
