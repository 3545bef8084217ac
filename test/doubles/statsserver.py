"""A statistics server: records of a metric in windows of time, page by page.

    GET /v1/stats/{metric}?from=<RFC 3339>&to=<RFC 3339>[&limit=][&step=<seconds>][&cursor= | &offset= | &page=]

The window is half open, [from, to). Records have `key`, `ts`, `value` and ascend by `ts`; `step` adds them up by key in spans of so
many seconds. One server has one kind of pagination: cursor (`next_cursor` in the body), link (RFC 8288), offset, or page.

    cd test && python3 -m doubles.statsserver --port 8090 --pagination link --auth bearer
"""
import base64
import calendar
import hashlib
import json
import random
import re
import secrets
import time

from doubles.service import Answer, Refusal, Service, Trap, arguments, run

PAGINATIONS = {"cursor": "cursor", "link": "cursor", "offset": "offset", "page": "page"}  # kind: its parameter
STAMP = re.compile(r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")

TRAPS = {
    "ignore_limit": Trap("number", "records a page has, whatever the limit asks for"),
    "repeat_page": Trap("times", "pages after the first that bring the records of the page before them; the next one goes on"),
    "endless": Trap("flag", "the last page names itself as the next, or the totals promise ever more"),
    "empty_page": Trap("times", "pages without records that name a next page where the data goes on (cursor and link)"),
    "expire_cursor": Trap("times", "requests whose cursor has expired just then"),
    "empty_window": Trap("times", "windows that are answered as if they had no records"),
    "shuffle": Trap("flag", "records of one page are in no order"),
    "link_relative": Trap("flag", "Link has a relative reference"),
    "link_elsewhere": Trap("text", "the next page lies at this origin"),
    "no_etag": Trap("flag", "answers have no ETag"),
    "reshape": Trap("times", "answers whose records are not where they belong: {\"result\": {\"rows\": […]}}"),
    "null_data": Trap("times", "answers whose `data` is null"),
    "bad_record": Trap("times", "answers whose first record has no `ts`"),
    "forbidden": Trap("flag", "the token is good but has no right: 403"),
    "expire_token": Trap("times", "requests whose token has expired just then; it stays expired"),
}


def seconds_of(text):
    """Unix seconds of an RFC 3339 date-time with its offset, or ValueError."""
    found = STAMP.fullmatch(text)
    if not found:
        raise ValueError(text)
    day, clock, fraction, offset = found.groups()
    base = calendar.timegm(time.strptime(f"{day}T{clock}", "%Y-%m-%dT%H:%M:%S"))
    shift = 0
    if offset not in "Zz":
        shift = (int(offset[1:3]) * 3600 + int(offset[4:6]) * 60) * (1 if offset[0] == "+" else -1)
    seconds = base - shift
    return seconds + float(fraction) if fraction and float(fraction) else seconds


def stamp_of(seconds):
    whole = int(seconds // 1)
    micros = round((seconds - whole) * 1e6)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + (f".{micros:06d}" if micros else "") + "Z"


def refuse(status, code, message, headers=None):
    return Refusal(Answer(status, {"error": {"code": code, "message": message}}, headers), code)


class Metric:
    def __init__(self, granularity):
        self.granularity, self.records = granularity, []  # of (seconds, visible at, record)


class Statsserver(Service):
    """`auth` is none, bearer (tokens from `issue`) or basic (`user`, `password`)."""
    name = "statsserver"
    traps_known = TRAPS

    def __init__(self, port=0, pagination="cursor", auth="none", user="stats", password="secret", default_limit=100, max_limit=1000,
                 max_window=31 * 86400, seed=1):
        if pagination not in PAGINATIONS or auth not in ("none", "bearer", "basic"):
            raise ValueError(f"pagination {pagination}, auth {auth}")
        self.pagination, self.auth, self.user, self.password = pagination, auth, user, password
        self.default_limit, self.max_limit, self.max_window = default_limit, max_limit, max_window
        self.metrics, self.tokens, self.cursors = {}, {}, {}
        self.order = random.Random(seed)
        super().__init__(port, seed)

    # ---- what a test does ----

    def define(self, metric, granularity=1):
        """A metric; windows and steps are whole multiples of its granularity, in seconds."""
        with self.lock:
            return self.metrics.setdefault(metric, Metric(granularity))

    def add(self, metric, records, visible_at=None, hidden=False):
        """Records become visible at once, at a time of the double's clock, or (hidden) with `reveal`."""
        kept = [(seconds_of(r["ts"]), float("inf") if hidden else visible_at or 0, dict(r)) for r in records]
        with self.lock:
            self.define(metric).records += kept
            self.metrics[metric].records.sort(key=lambda r: r[0])  # stable: equal stamps stay in the order they came

    def reveal(self, metric):
        with self.lock:
            found = self.metrics[metric]
            found.records = [(ts, 0, record) for ts, _, record in found.records]

    def remove(self, metric, key):
        with self.lock:
            found = self.metrics[metric]
            found.records = [r for r in found.records if r[2]["key"] != key]

    def issue(self, life=3600):
        """A token that is good for so many seconds of the double's clock."""
        token = secrets.token_urlsafe(24)
        with self.lock:
            self.tokens[token] = self.clock.now() + life
        return token

    # ---- requests ----

    def handle(self, request):
        found = re.fullmatch(r"/v1/stats/([A-Za-z0-9_.-]+)", request.path)
        if not found:
            return self.unknown(request)
        if request.method != "GET":
            raise refuse(405, "method_not_allowed", "GET alone", {"Allow": "GET"})
        self._authorise(request)
        with self.lock:
            metric = self.metrics.get(found[1])
            if metric is None:
                raise refuse(404, "unknown_metric", f"there is no metric {found[1]}")
            window = self._window(request, metric)
            limit = self._limit(request)
            answer = self._page(request, found[1], self._records(request, metric, window), window, limit)
        return self._tagged(request, answer)

    def _authorise(self, request):
        if self.auth == "basic":
            expected = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
            if request.headers.get("authorization") != f"Basic {expected}":
                raise refuse(401, "unauthorized", "wrong user or password", {"WWW-Authenticate": 'Basic realm="stats"'})
        elif self.auth == "bearer":
            self._check_token(request)
        if self.traps.get("forbidden"):
            raise refuse(403, "forbidden", "this client may not read statistics")

    def _check_token(self, request):
        token = request.bearer()
        if token is None:
            raise refuse(401, "unauthorized", "a bearer token is needed", {"WWW-Authenticate": 'Bearer realm="stats"'})
        with self.lock:
            if token in self.tokens and self.traps.take("expire_token", request):
                self.tokens[token] = 0
            if self.tokens.get(token, 0) > self.clock.now():
                return
            text = "The access token expired" if token in self.tokens else "The access token is unknown"
        raise refuse(401, "invalid_token", text, {
            "WWW-Authenticate": f'Bearer realm="stats", error="invalid_token", error_description="{text}"'})

    def _window(self, request, metric):
        """from, to and step of a request that has nothing wrong with its parameters."""
        known = {"from", "to", "limit", "step", PAGINATIONS[self.pagination]}
        unknown = sorted(set(request.query) - known)
        if unknown:
            raise refuse(400, "unknown_parameter", f"unknown parameter {unknown[0]}")
        repeated = [name for name, values in request.query.items() if len(values) > 1]
        if repeated:
            raise refuse(400, "repeated_parameter", f"{repeated[0]} is given more than once")
        start, end = (self._instant(request, name) for name in ("from", "to"))
        if start >= end:
            raise refuse(400, "bad_window", "from must lie before to")
        if end - start > self.max_window:
            raise refuse(400, "bad_window", f"a window has at most {self.max_window} seconds")
        step = self._whole(request, "step", None)
        if step is not None and step % metric.granularity:
            raise refuse(400, "bad_step", f"step must be a multiple of {metric.granularity} seconds")
        unit = step or metric.granularity
        if unit > 1 and (start % unit or end % unit):
            raise refuse(400, "bad_window", f"from and to must be multiples of {unit} seconds")
        return start, end, step

    def _instant(self, request, name):
        text = request.one(name)
        try:
            return seconds_of(text or "")
        except ValueError:
            what = f"{name} is missing" if text is None else f"{name} is not an RFC 3339 date-time with an offset"
            raise refuse(400, "bad_window", what) from None

    def _whole(self, request, name, default, least=1):
        text = request.one(name)
        if text is None:
            return default
        if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < least:
            raise refuse(400, f"bad_{name}", f"{name} must be a whole number, at least {least}")
        return int(text)

    def _limit(self, request):
        limit = min(self._whole(request, "limit", self.default_limit), self.max_limit)
        return int(self.traps.get("ignore_limit", limit))

    def _records(self, request, metric, window):
        start, end, step = window
        now = self.clock.now()
        first_page = request.one(PAGINATIONS[self.pagination]) is None
        if first_page and self.traps.take("empty_window", request):
            return []
        seen = [(ts, record) for ts, visible, record in metric.records if start <= ts < end and visible <= now]
        return [record for _, record in seen] if step is None else summed(seen, step)

    # ---- pages ----

    def _page(self, request, name, records, window, limit):
        at = self._position(request, name, window, limit)
        shown_from = at
        if at and self.traps.take("repeat_page", request):
            shown_from = max(0, at - limit)
        page, following, total = records[shown_from:shown_from + limit], at + limit, len(records)
        if page and PAGINATIONS[self.pagination] == "cursor" and self.traps.take("empty_page", request):
            page, following = [], at
        elif following >= total and self.traps.get("endless"):
            page, following, total = records[-limit:], at, following + 1
        if self.traps.get("shuffle"):
            self.order.shuffle(page)
        return self._paged(request, name, page, total, window, limit, following)

    def _position(self, request, name, window, limit):
        parameter = PAGINATIONS[self.pagination]
        if parameter == "offset":
            return self._whole(request, "offset", 0, 0)
        if parameter == "page":
            return (self._whole(request, "page", 1) - 1) * limit
        cursor = request.one("cursor")
        if cursor is None:
            return 0
        if self.traps.take("expire_cursor", request):
            self.cursors.pop(cursor, None)
        if cursor not in self.cursors:
            raise refuse(400, "bad_cursor", "this cursor is unknown or has expired")
        of, at = self.cursors[cursor]
        if of != (name, *window):
            raise refuse(400, "bad_cursor", "this cursor belongs to another query")
        return at

    def _paged(self, request, name, page, total, window, limit, following):
        headers, body, more = {}, {"data": page}, following < total
        if self.pagination == "cursor":
            body["next_cursor"] = self._cursor(request, name, window, following) if more else None
        elif self.pagination == "offset":
            body["total"] = total
        elif self.pagination == "page":
            body.update(page=int(request.one("page", 1)), pages=-(-total // limit))
        elif more:
            headers["Link"] = self._link(request, self._cursor(request, name, window, following))
        return Answer(200, self._spoilt(request, body), headers)

    def _cursor(self, request, name, window, at):
        """The same for the same place, so that ETags hold; another one after an empty page, which goes on at its own place."""
        of = (name, *window)
        after = request.one("cursor", "") if "empty_page" in request.notes else ""
        cursor = hashlib.sha256(repr((of, at, after, "empty_page" in request.notes)).encode()).hexdigest()[:24]
        self.cursors[cursor] = (of, at)
        return cursor

    def _link(self, request, cursor):
        """RFC 8288, as awkward as it may be: several targets in one field, commas and parameters before rel."""
        kept = [part for part in request.target.partition("?")[2].split("&") if not part.startswith("cursor=")]
        target = f"{request.path}?{'&'.join([*kept, f'cursor={cursor}'])}"
        origin = "" if self.traps.get("link_relative") else self.traps.get("link_elsewhere", self.origin)
        return f'<{self.origin}/v1/help>; rel="help"; title="windows, steps", <{origin}{target}>; type="application/json"; rel="next"'

    def _spoilt(self, request, body):
        if self.traps.take("reshape", request):
            return {"result": {"rows": body["data"]}}
        if self.traps.take("null_data", request):
            return {**body, "data": None}
        if body["data"] and self.traps.take("bad_record", request):
            first = {k: v for k, v in body["data"][0].items() if k != "ts"}
            return {**body, "data": [first, *body["data"][1:]]}
        return body

    def _tagged(self, request, answer):
        """With an ETag; 304 when the client has this already (RFC 9110, If-None-Match)."""
        if self.traps.get("no_etag"):
            return answer
        text = answer.bytes() + answer.headers.get("Link", "").encode()
        tag = f'"{hashlib.sha256(text).hexdigest()[:16]}"'
        answer.headers["ETag"] = tag
        asked = [part.strip().removeprefix("W/") for part in request.headers.get("if-none-match", "").split(",")]
        return Answer(304, None, answer.headers) if tag in asked or "*" in asked else answer


def summed(records, step):
    """Added up by key in spans of `step` seconds, ascending by (ts, key)."""
    sums = {}
    for ts, record in records:
        at = int(ts // step * step)
        sums[at, record["key"]] = sums.get((at, record["key"]), 0) + record["value"]
    return [{"key": key, "ts": stamp_of(at), "value": value} for (at, key), value in sorted(sums.items())]


def volumes(customers, start, end, step, seed=1):
    """Data volumes of customers, one record each at every step: what the demo collects."""
    chance = random.Random(seed)
    return [{"key": f"customer-{n}", "ts": stamp_of(ts), "value": chance.randrange(1 << 20, 1 << 34), "unit": "bytes"}
            for ts in range(int(start), int(end), step) for n in range(1, customers + 1)]


def main():
    parser = arguments(__doc__, TRAPS)
    parser.add_argument("--pagination", choices=list(PAGINATIONS), default="cursor")
    parser.add_argument("--auth", choices=["none", "bearer", "basic"], default="none",
                        help="bearer prints a token; basic is stats:secret")
    parser.add_argument("--token-life", type=float, default=3600, metavar="SECONDS")
    parser.add_argument("--customers", type=int, default=20, help="of the metric `volume`")
    parser.add_argument("--hours", type=int, default=48, help="of data up to now, and a day ahead that becomes visible as it comes")
    parser.add_argument("--late", type=float, default=0, metavar="SECONDS", help="every seventh record of today appears so late")
    parser.add_argument("--data", help="instead: a JSON file, {metric: [{key, ts, value}, …]}")
    args = parser.parse_args()
    server = Statsserver(args.port, args.pagination, args.auth)
    if args.data:
        with open(args.data, encoding="utf-8") as f:
            for metric, records in json.load(f).items():
                server.add(metric, records)
    else:
        fill(server, args)
    run(server, args, *([f"token {server.issue(args.token_life)}"] if args.auth == "bearer" else []))


def fill(server, args, step=3600):
    now = time.time()
    hour = int(now // step * step)
    records = volumes(args.customers, hour - args.hours * 3600, hour + 86400, step)
    for n, record in enumerate(records):
        ts = seconds_of(record["ts"])
        server.add("volume", [record], visible_at=ts + (args.late if args.late and n % 7 == 0 else 0))


if __name__ == "__main__":
    main()
