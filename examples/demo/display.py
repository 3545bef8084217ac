"""What the demo shows: a live panel on a terminal, plain lines when piped."""
import collections
import json
import shutil
import sys
import time

EVENTS_SHOWN = 6
RATE_SECONDS = 2.0


class Display:
    def __init__(self):
        self.tty = sys.stdout.isatty()
        self.events = collections.deque(maxlen=EVENTS_SHOWN)
        self.history = collections.deque(maxlen=1000)  # (time, written, applied)
        self._drawn = 0
        self._began = time.monotonic()

    def say(self, text):
        """One line that stays."""
        self._erase()
        print(f"[{time.monotonic() - self._began:5.1f} s] {text}", flush=True)

    def event(self, text):
        """A line of `muskrat tail --json`."""
        try:
            event = json.loads(text)
        except ValueError:
            return
        body = event.get("body", "")
        if not isinstance(body, str):
            body = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        self.events.append((event.get("routing_key", "?"), body))

    def draw(self, elapsed, of, written, kinds, applied, queued, consumer, crm, in_crm, crm_queued, leads, contacts):
        """Returns the lag of analytics, in seconds."""
        self.history.append((time.monotonic(), written, applied))
        lag = self._lag()
        figures = [f"captured {written:,} ({self._rate(1):,.0f}/s)  consumer {consumer}",
                   f"analytics {applied:,} events ({self._rate(2):,.0f}/s)  waiting {queued:,}  lag {lag:.1f} s",
                   f"crm {crm}, {in_crm:,} customers  waiting {crm_queued:,}  marketo {leads:,} leads  salesforce {contacts:,} contacts"]
        if not self.tty:
            last = self.events[-1] if self.events else ("-", "")
            print(f"[{time.monotonic() - self._began:5.1f} s] {'  '.join(figures)}  last {last[0]} {last[1][:60]}", flush=True)
            return lag
        width = shutil.get_terminal_size((100, 24)).columns - 1
        bar = int(min(1.0, elapsed / of) * 30)
        lines = [f"  [{'█' * bar}{'·' * (30 - bar)}] " + "  ".join(f"{k} {n:,}" for k, n in kinds.items()),
                 *("  " + figure for figure in figures), ""]
        lines += [f"  {key:<26} {body}" for key, body in list(self.events)]
        self._erase()
        sys.stdout.write("".join(line[:width] + "\n" for line in lines))
        sys.stdout.flush()
        self._drawn = len(lines)
        return lag

    def done(self):
        """The panel stays as it is."""
        self._drawn = 0

    def _erase(self):
        if self._drawn:
            sys.stdout.write(f"\x1b[{self._drawn}F\x1b[J")
            self._drawn = 0

    def _rate(self, which):
        """Per second, over the last moments; `which`: 1 written, 2 applied."""
        now = self.history[-1]
        for then in self.history:
            if now[0] - then[0] <= RATE_SECONDS and now[0] > then[0]:
                return max(0.0, (now[which] - then[which]) / (now[0] - then[0]))
        return 0.0

    def _lag(self):
        """For how long as many events have been captured as are applied now."""
        now, written, applied = self.history[-1]
        if applied >= written:
            return 0.0
        then = next((t for t, w, _ in self.history if w > applied), now)
        return now - then
