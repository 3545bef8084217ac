"""What the doubles share: an HTTP server on loopback with a clock, a journal of every request, and traps.

A double is a Service: it says which traps it knows beside those of every HTTP service and answers a Request with an Answer,
or refuses it with a Refusal. Used by the end-to-end tests in their own process (making it starts it, `stop` ends it) and
by the demo or another process over its control paths, which no service has of its own and the journal leaves out:

    GET  /-/journal            every request so far       GET  /-/traps     what is set
    POST /-/traps              {"html": 1, "cut": {"value": 1, "skip": 2, "only": "/stats"}}
    POST /-/clock              {"advance": 3600}          POST /-/answer    {"status": 500, "body": "…", "times": 1}

Any number of threads may ask; a double takes `lock` around what it keeps.
"""
import argparse
import collections
import contextlib
import email.utils
import json
import math
import random
import signal
import threading
import time
import traceback
import urllib.parse

from harness.http_server import HttpServer


class Clock:
    """The double's time, in Unix seconds: real time, moved by a test that does not want to wait for a token's end."""

    def __init__(self):
        self.moved = 0.0

    def now(self):
        return time.time() + self.moved

    def advance(self, seconds):
        self.moved += float(seconds)


class Answer:
    """What goes back; `body` is JSON, text or bytes."""

    def __init__(self, status=200, body=None, headers=None):
        self.status, self.body, self.headers = status, body, dict(headers or {})

    def bytes(self):
        if self.body is None:
            return b""
        if isinstance(self.body, bytes):
            return self.body
        text = self.body if isinstance(self.body, str) else json.dumps(self.body, ensure_ascii=False)
        return text.encode(errors="surrogateescape")  # what came as bytes that are not UTF-8 goes back as it came


class Refusal(Exception):
    """Ends the work on a request with this answer."""

    def __init__(self, answer, note=None):
        super().__init__(note or answer.status)
        self.answer, self.note = answer, note


class Request:
    def __init__(self, raw):
        self.method, self.headers, self.body = raw["method"], raw["headers"], raw["body"]
        self.target = raw["path"]
        split = urllib.parse.urlsplit(raw["path"])
        self.path = split.path
        self.query = urllib.parse.parse_qs(split.query, keep_blank_values=True)
        self.notes = []

    def one(self, name, default=None):
        """A query parameter; the last one when it is repeated."""
        return self.query[name][-1] if name in self.query else default

    def size(self):
        return len(self.body.encode(errors="surrogateescape"))

    def content_type(self):
        return self.headers.get("content-type", "").split(";")[0].strip().lower()

    def form(self):
        return {k: v[-1] for k, v in urllib.parse.parse_qs(self.body, keep_blank_values=True).items()}

    def json(self):
        """The body, or ValueError; numbers that JSON does not have are refused."""
        def refuse(word):
            raise ValueError(f"{word} is not JSON")
        return json.loads(self.body, parse_constant=refuse)

    def bearer(self):
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" and token.strip() else None


Trap = collections.namedtuple("Trap", "kind meaning")  # kind: times, flag, number, text

COMMON = {
    "html": Trap("times", "answers that are a page of HTML with status 200; the request is not carried out"),
    "drop": Trap("times", "requests whose connection is closed without an answer; they are not carried out"),
    "lose": Trap("times", "requests that are carried out and whose connection is closed without an answer"),
    "cut": Trap("times", "answers that end in the middle of their body; the request is carried out"),
    "empty": Trap("times", "answers with status 200 and no body; the request is carried out"),
    "error": Trap("times", "answers of `error_status` with a page of HTML; the request is not carried out"),
    "error_status": Trap("number", "the status of error: 500 when unset"),
    "slow": Trap("number", "seconds over which each body is spread, in up to ten pieces"),
    "delay": Trap("number", "seconds before each answer begins"),
    "throttle": Trap("times", "answers of `throttle_status` with Retry-After; who returns before it is sent away again"),
    "throttle_status": Trap("number", "the status of throttle: 429 when unset, or 503"),
    "retry_after": Trap("number", "seconds that Retry-After asks for: 1 when unset"),
    "retry_after_form": Trap("text", "seconds (when unset) or date"),
}
CHECKS = {
    "times": lambda v: isinstance(v, int) and not isinstance(v, bool) and v >= 0,
    "flag": lambda v: isinstance(v, bool),
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v) and v >= 0,
    "text": lambda v: isinstance(v, str),
}


class Rule:
    """A trap that is set. `skip` requests pass unharmed first; `only` is a part of the target it must have; `share` springs it
    by chance, once its count is used up."""

    def __init__(self, value, skip=0, only=None, share=None):
        self.value, self.skip, self.only, self.share = value, skip, only, share

    def springs(self, target, chance):
        if self.only and self.only not in target:
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.value > 0:
            self.value -= 1
            return True
        return self.share is not None and chance.random() < self.share


class Traps:
    def __init__(self, known, seed=1):
        self.known, self.rules, self.lock, self.chance = known, {}, threading.Lock(), random.Random(seed)

    def set(self, skip=0, only=None, share=None, **values):
        """`set(html=2, skip=1, only="/stats")`; 0, False, "" or None turn a trap off."""
        for name, value in values.items():
            if name not in self.known:
                raise ValueError(f"no trap {name}; there are {', '.join(sorted(self.known))}")
            kind = self.known[name].kind
            if value is not None and not CHECKS[kind](value):
                raise ValueError(f"trap {name} takes {kind}, not {value!r}")
            if kind != "times" and (skip or only or share is not None):
                raise ValueError(f"trap {name} is not counted: skip, only and share are not for it")
            with self.lock:
                self.rules.pop(name, None)
                if value or share is not None:
                    self.rules[name] = Rule(value, skip, only, share)

    def set_all(self, values):
        """From JSON: {name: value} or {name: {"value":…, "skip":…, "only":…, "share":…}}."""
        for name, value in values.items():
            if isinstance(value, dict):
                options = {k: value[k] for k in ("skip", "only", "share") if k in value}
                self.set(**options, **{name: value.get("value", 0 if "share" in options else None)})
            else:
                self.set(**{name: value})

    def get(self, name, default=None):
        with self.lock:
            rule = self.rules.get(name)
            return rule.value if rule else default

    def take(self, name, request):
        """Whether a counted trap springs now; it is noted in the journal."""
        with self.lock:
            sprung = name in self.rules and self.rules[name].springs(request.target, self.chance)
        if sprung:
            request.notes.append(name)
        return sprung

    def shown(self):
        with self.lock:
            return {name: vars(rule) for name, rule in self.rules.items()}


class Journal:
    """Every request: method, path (with its query), headers, body, status, notes (traps and limits it ran into), began and ended
    (seconds since the double started), in_flight (requests at work when it began, itself included)."""

    def __init__(self):
        self.lock, self.entries, self.working, self.zero = threading.Lock(), [], 0, time.monotonic()

    @contextlib.contextmanager
    def entry(self, request):
        with self.lock:
            self.working += 1
            made = {"nth": len(self.entries) + 1, "method": request.method, "path": request.target, "headers": request.headers,
                    "body": request.body, "status": None, "notes": request.notes, "began": time.monotonic() - self.zero,
                    "ended": None, "in_flight": self.working}
            self.entries.append(made)
        try:
            yield made
        finally:
            with self.lock:
                self.working -= 1
                made["ended"] = time.monotonic() - self.zero

    def all(self, part="", method=None):
        """Those whose path has this part."""
        with self.lock:
            return [dict(e) for e in self.entries if part in e["path"] and method in (None, e["method"])]

    def count(self, part="", method=None):
        return len(self.all(part, method))

    def noted(self, note):
        return [e for e in self.all() if note in e["notes"]]

    def peak(self, part=""):
        """The most requests that were at work at one time."""
        steps = sorted([(e["began"], 1) for e in self.all(part)] + [(e["ended"] or math.inf, -1) for e in self.all(part)])
        now = most = 0
        for _, step in steps:
            now += step
            most = max(most, now)
        return most

    def most_within(self, seconds, part=""):
        """The most requests that began within any span of so many seconds."""
        span, most = collections.deque(), 0
        for began in sorted(e["began"] for e in self.all(part)):
            span.append(began)
            while span[0] <= began - seconds:
                span.popleft()
            most = max(most, len(span))
        return most


class Service:
    """A double on a loopback port; `stop()` ends it. Subclasses give `traps_known` and `handle(request)`."""
    name = "service"
    traps_known = {}
    work = 0
    page = "<!DOCTYPE html><html><head><title>Maintenance</title></head><body><h1>We will be back soon</h1></body></html>"

    def __init__(self, port=0, seed=1):
        self.clock, self.journal, self.lock = Clock(), Journal(), threading.RLock()
        self.traps = Traps({**COMMON, **self.traps_known}, seed)
        self._scripted, self._not_before = [], 0.0
        self.prepare()
        self._server = HttpServer(self._answer, port=port, journal=False)
        self.port = self._server.port
        self.origin = f"http://127.0.0.1:{self.port}"

    def url(self, path=""):
        return self.origin + path

    def stop(self):
        self._server.stop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def answer_next(self, status, body=None, headers=None, times=1, skip=0, only=None):
        """The next `times` requests get this answer and are not carried out."""
        with self.lock:
            self._scripted.append((Rule(times, skip, only), Answer(status, body, headers)))

    def prepare(self):
        """What must stand before the first request comes, and needs the clock."""

    def at_work(self):
        """What a write waits for between its look at what is there and its own change: `work` seconds, for those that know the trap. A
        test may put a barrier here, so that two calls meet for certain."""
        time.sleep(self.traps.get("work", self.work))

    def handle(self, request):
        """The Answer to a request, or raises Refusal."""
        raise NotImplementedError

    def unknown(self, request):
        """The answer to what the service has no path for."""
        return Answer(404, {"error": {"code": "not_found", "message": f"there is no {request.path}"}})

    def throttled(self, headers):
        return Answer(int(self.traps.get("throttle_status", 429)), {"error": {"code": "throttled", "message": "slow down"}}, headers)

    # ---- how a request travels ----

    def _answer(self, raw, _nth):
        request = Request(raw)
        if request.path.startswith("/-/"):
            answer = self._control(request)  # to which no trap applies
            return answer.status, answer.headers, answer.bytes()
        with self.journal.entry(request) as entry:
            time.sleep(self.traps.get("delay", 0))
            if self.traps.take("drop", request):
                return None
            answer = self._in_the_way(request)
            if answer is None:
                try:
                    answer = self.handle(request)
                except Refusal as refusal:
                    answer = refusal.answer
                    if refusal.note:
                        request.notes.append(refusal.note)
                except Exception:  # a test must see that the double is wrong, not a connection that ends
                    traceback.print_exc()
                    request.notes.append("broke")
                    answer = Answer(500, f"the double broke:\n{traceback.format_exc()}", {"Content-Type": "text/plain"})
            entry["status"] = answer.status
            return None if self.traps.take("lose", request) else self._wire(answer, request)

    def _in_the_way(self, request):
        """The answer of what stands before the service: a script, a page of HTML, a throttle. None lets the request through."""
        with self.lock:
            for rule, answer in self._scripted:
                if rule.springs(request.target, None):
                    request.notes.append("scripted")
                    return answer
        if self.traps.take("html", request):
            return Answer(200, self.page, {"Content-Type": "text/html; charset=utf-8"})
        if self.traps.take("error", request):
            return Answer(int(self.traps.get("error_status", 500)), self.page, {"Content-Type": "text/html; charset=utf-8"})
        with self.lock:
            early = time.monotonic() < self._not_before
        if early:
            request.notes.append("before Retry-After")
        if early or self.traps.take("throttle", request):
            return self._throttle()
        return None

    def _throttle(self):
        seconds = self.traps.get("retry_after", 1)
        with self.lock:
            self._not_before = max(self._not_before, time.monotonic() + seconds)
            left = self._not_before - time.monotonic()
        if self.traps.get("retry_after_form", "seconds") == "date":  # which has whole seconds, so that it is rounded up
            after = email.utils.formatdate(math.ceil(time.time() + left), usegmt=True)
        else:
            after = str(math.ceil(left))
        return self.throttled({"Retry-After": after})

    def _wire(self, answer, request):
        text = answer.bytes()
        if self.traps.take("empty", request):
            text = b""
        slow = self.traps.get("slow", 0)
        cut = text and self.traps.take("cut", request)
        if not slow and not cut:
            return answer.status, answer.headers, text
        headers = {**answer.headers, "Content-Length": str(len(text))}
        return answer.status, headers, pieces(text[:len(text) // 2] if cut else text, slow)

    def _control(self, request):
        what, sent = request.path[len("/-/"):], request.method == "POST"
        try:
            if what == "journal" and not sent:
                return Answer(200, self.journal.all(request.one("part", "")))
            if what == "traps":
                self.traps.set_all(request.json() if sent else {})
                return Answer(200, self.traps.shown())
            if what == "clock" and sent:
                self.clock.advance(request.json()["advance"])
                return Answer(200, {"now": self.clock.now()})
            if what == "answer" and sent:
                self.answer_next(**request.json())
                return Answer(200, {})
        except (ValueError, TypeError, KeyError, AttributeError) as e:
            return Answer(400, {"error": str(e)})
        return Answer(404, {"error": "control: GET /-/journal, GET|POST /-/traps, POST /-/clock, POST /-/answer"})


def pieces(text, seconds, count=10):
    size = max(1, -(-len(text) // count))
    starts = range(0, len(text), size)
    for start in starts:
        time.sleep(seconds / len(starts))
        yield text[start:start + size]


# ---- the command line ----

def trap_argument(text):
    name, equals, value = text.partition("=")
    if not equals:
        return name, None
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def arguments(description, known):
    listed = "\n".join(f"  {name:<18} {trap.kind:<7} {trap.meaning}" for name, trap in sorted({**COMMON, **known}.items()))
    parser = argparse.ArgumentParser(description=description, epilog=f"traps:\n{listed}",
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="on loopback; default: a free one")
    parser.add_argument("--trap", type=trap_argument, action="append", default=[], metavar="NAME[=VALUE]",
                        help='JSON; a counted one also as {"value": 1, "skip": 2, "only": "/part", "share": 0.1}')
    return parser


def run(service, args, *lines):
    """Until Ctrl-C or SIGTERM. The first line of output is the URL."""
    def end(*_):
        raise KeyboardInterrupt
    signal.signal(signal.SIGTERM, end)
    try:
        for name, value in args.trap:
            on = True if name in service.traps.known and service.traps.known[name].kind == "flag" else 1
            service.traps.set_all({name: on if value is None else value})
    except ValueError as e:
        service.stop()
        raise SystemExit(f"{service.name}: {e}") from None
    try:
        for line in (service.url(), *lines):
            print(line, flush=True)
        signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        service.stop()
