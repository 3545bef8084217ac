"""The main job, on private servers, in half a minute: customers travel from one PostgreSQL database to another, and to a CRM.

    make demo                 shows it, compares what arrived row by row, and stops what it started
    make demo SOURCE=mysql    the same from a MariaDB (sources.py)
    make demo KEEP=1          leaves it running and says what to try next

On the way the CRM goes down, the consumer is killed, and a record comes that the CRM's mapping does not know. Everything lies in
build/demo; ports are free ones on loopback. The exit code is 0 when both endpoints have what the source has.
"""
import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "test"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from crm import NEW_PLAN, Crm  # noqa: E402
from customers import Customers  # noqa: E402
from display import Display  # noqa: E402
from harness import processes  # noqa: E402
from harness.clients import Broker, query  # noqa: E402
from harness.processes import wait_until  # noqa: E402
from harness.program import Program  # noqa: E402
from harness.servers import Postgres, RabbitMQ  # noqa: E402
from sources import SOURCES  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
CATCH_UP_SECONDS = 45
ENDPOINTS = ("analytics", "crm", "archive")

# The same columns as the source's rows(), in the same order.
ANALYTICS = """SELECT id, email, phone, subdomain, company_name, login, plan_volume, plan_retention, plan_rate
                 FROM customers ORDER BY id"""


class Demo:
    def __init__(self, build, source, keep, seconds):
        self.build, self.keep, self.seconds = build, keep, seconds
        self.folder = os.path.join(build, "demo")
        self.source = SOURCES[source](self.folder, keep)
        self.show = Display()
        self.pg = self.rabbitmq = self.program = self.tail = self.crm = None
        self.consumer_up = True
        self.crm_away = None  # (since when, until when)
        self.worst_lag = 0.0  # of analytics, while the CRM was away
        self.applied_before = 0  # by consumers that have ended

    # ---- the stage ----

    def prepare(self):
        """Ends what an earlier run left behind, and begins with empty folders."""
        left = []
        for sub in ("", "pg", "mariadb", "rabbitmq"):
            left += processes.clear_leftovers(os.path.join(self.folder, sub))
        if left:
            self.show.say("ended what an earlier run left running: " + ", ".join(left))
        for sub in ("pg/data", "mariadb", "rabbitmq", "archive", "state"):
            shutil.rmtree(os.path.join(self.folder, sub), ignore_errors=True)
        os.makedirs(self.folder, exist_ok=True)

    def start_servers(self):
        self.show.say(f"starting {self.source.own_server}a private PostgreSQL and a private RabbitMQ …")
        self.pg = Postgres(os.path.join(self.folder, "pg"), build=self.build, keep=self.keep).start()
        self.rabbitmq = RabbitMQ(os.path.join(self.folder, "rabbitmq"), keep=self.keep).start()
        self.broker = Broker(self.rabbitmq, "/")
        own = self.source.start(self.pg)
        self.show.say(f"{own}PostgreSQL {self.pg.major} on port {self.pg.port}, "
                      f"RabbitMQ {self.rabbitmq.version} on port {self.rabbitmq.port}")

    def fill(self):
        self.source.capture(self.program)
        self.pg.create_database("analytics")
        with open(os.path.join(HERE, "analytics.sql"), encoding="utf-8") as f:
            self.pg.psql(f.read(), "analytics")
        self.show.say("frontend: table customers attached as Frontend.Customer (Signup, Update, Cancel)")

    def configure(self):
        self.analytics = self.pg.dsn("analytics")
        self.program = Program(self.folder, self.build)
        self.crm = Crm()
        with open(os.path.join(HERE, "muskrat.yaml"), encoding="utf-8") as f:
            text = f.read().split("\n", 1)[1]
        for name, real in {
            "BROKER_URL": self.rabbitmq.url(), "FRONTEND_KIND": self.source.kind, "FRONTEND_DSN": self.source.relay_dsn(),
            "ANALYTICS_DSN": self.analytics, "ARCHIVE": os.path.join(self.folder, "archive", "events.jsonl"),
            "CRM_PORT": str(self.crm.port), "STATE": os.path.join(self.folder, "state", "host.sqlite"),
            "RELAY_PORT": str(self.program.relay_port), "CONSUMER_PORT": str(self.program.consumer_port),
        }.items():
            text = text.replace(f"@{name}@", real)
        self.program.write("# Written by examples/demo/demo.py; examples/demo/muskrat.yaml is where it comes from.\n" + text)
        for sub in ("archive", "state"):
            os.makedirs(os.path.join(self.folder, sub), exist_ok=True)
        for log in ("relay.log", "consume.log", "tail.log"):
            open(os.path.join(self.folder, log), "w", encoding="utf-8").close()

    def start_muskrat(self):
        self.program.setup()
        self.relay = self.program.relay(keep=self.keep)
        self.consumer = self.program.consume(keep=self.keep)
        self.show.say("muskrat setup, relay and consume: running")

    def start_tail(self):
        """`muskrat tail` is where the last events on the screen come from."""
        self.tail = processes.Child(self.program.argv("tail", "Frontend.Customer.*", "--json"), os.path.join(self.folder, "tail.log"),
                                    cwd=self.folder, stdout=subprocess.PIPE, record=self.folder, what="tail")
        threading.Thread(target=self._read_tail, daemon=True).start()

    def _read_tail(self):
        for text in self.tail.process.stdout:
            self.show.event(text.decode(errors="replace"))

    # ---- the play ----

    def acts(self):
        """What happens on the way: (part of the run's time, what is done then)."""
        return [(0.08, self.sell_new_plan), (0.15, self.crm_goes), (0.40, self.crm_comes_back), (0.55, self.kill_consumer),
                (0.68, self.restart_consumer)]

    def play(self):
        self.customers = customers = Customers(self.source)
        customers.start()
        began = time.monotonic()
        acts = self.acts()
        try:
            while (elapsed := time.monotonic() - began) < self.seconds:
                while acts and elapsed >= acts[0][0] * self.seconds:
                    acts.pop(0)[1]()
                self.draw(elapsed)
                time.sleep(0.25 if self.show.tty else 1.0)
        finally:
            customers.stop()
        for _, act in acts:
            act()
        self.catch_up(began)

    def sell_new_plan(self):
        self.customers.sign_up(NEW_PLAN)
        self.show.say("a customer takes a plan that the CRM's mapping does not know: a dead letter of the CRM's, for nobody else")

    def crm_goes(self):
        self.crm.go()
        self.crm_away = (time.monotonic(), float("inf"))
        self.show.say("the CRM goes down; its events wait in its queue, analytics goes on")

    def crm_comes_back(self):
        waiting = self.broker.depth("muskrat.crm") or 0
        self.crm.come_back()
        self.crm_away = (self.crm_away[0], time.monotonic())
        self.show.say(f"the CRM comes back; {waiting:,} events have waited for it")

    def kill_consumer(self):
        self.applied_before += self.applied_now()
        self.consumer_up = False
        self.consumer.kill9()
        self.show.say("kill -9 of the consumer; its queues wait in RabbitMQ")

    def restart_consumer(self):
        self.consumer = self.program.consume(wait=False, keep=self.keep)
        self.consumer_up = True
        self.show.say("the consumer is started again and goes on where the other one was")

    def catch_up(self, began):
        self.show.say("the application rests; waiting until the last event has arrived …")
        deadline = time.monotonic() + CATCH_UP_SECONDS
        while not self.all_arrived() and time.monotonic() < deadline:
            time.sleep(0.25 if self.show.tty else 1.0)
            self.draw(time.monotonic() - began)
        self.show.done()

    def all_arrived(self):
        """But for the dead letter."""
        return self.source.rows() == query(self.analytics, ANALYTICS) and self.broker.depth("muskrat.crm") == 0

    def applied_now(self):
        """Events that the running consumer has brought into the analytics database."""
        if not self.consumer_up:
            return 0
        return int(self.consumer.metric("muskrat_endpoint_delivered_total", endpoint="analytics", outcome="done") or 0)

    def draw(self, elapsed):
        lag = self.show.draw(
            elapsed=elapsed, of=self.seconds, written=self.customers.written, kinds=dict(self.customers.kinds),
            applied=self.applied_before + self.applied_now(), queued=self.broker.depth("muskrat.analytics") or 0,
            consumer="up" if self.consumer_up else "down", crm="up" if self.crm.up else "down", in_crm=len(self.crm.customers),
            crm_queued=self.broker.depth("muskrat.crm") or 0)
        if self.crm_away and self.crm_away[0] < time.monotonic() < self.crm_away[1]:
            self.worst_lag = max(self.worst_lag, lag)

    # ---- mending ----

    def mend(self):
        """The dead letter is shown, the mapping gets the line that it lacks, and the letter is sent again."""
        def listed():
            return [letter for letter in map(json.loads, self.program.ok("dead", "list", "crm", "--json").splitlines()) if letter]
        letters = wait_until(listed, 20, "the dead letter")
        self.show.say(f"muskrat dead list crm: {letters[0]['reason']}")
        with open(self.program.config_path, encoding="utf-8") as f:
            text = f.read()
        self.program.write(text.replace("          200: small\n", "          50: trial\n          200: small\n"))
        rounds = self.consumer_rounds()
        self.consumer.send(signal.SIGHUP)
        wait_until(lambda: self.consumer_rounds() > rounds, 20, "the consumer to take the mended mapping")
        self.show.say("the mapping in muskrat.yaml gets the line that it lacked; the consumer reloads it (SIGHUP)")
        self.show.say("muskrat dead retry crm: " + self.program.ok("dead", "retry", "crm").strip().replace("\n", " "))
        rows = self.source.rows()
        wait_until(lambda: self.crm.equals(rows), 20, "the CRM to have it")

    def consumer_rounds(self):
        """How often the consumer has begun: at its start, and with each new configuration."""
        return self.consumer.log(tail=1_000_000).count("started")

    # ---- the outcome ----

    def compare(self):
        """Prints the outcome; true when both endpoints have what the source has."""
        ours, theirs = self.source.rows(), query(self.analytics, ANALYTICS)
        a, b = {r[0]: r for r in ours}, {r[0]: r for r in theirs}
        different = [k for k in sorted(a.keys() | b.keys()) if a.get(k) != b.get(k)]
        kinds = self.customers.kinds
        print(f"\n{kinds['Signup']:,} sign-ups, {kinds['Update']:,} updates and {kinds['Cancel']:,} cancellations were committed.")
        print(f"frontend has {len(ours):,} customers, analytics has {len(theirs):,}, the CRM has {len(self.crm.customers):,}.")
        print("dead letters: " + ", ".join(f"{name} {self.broker.depth(f'muskrat.{name}.dead')}" for name in ENDPOINTS)
              + f"; unrouted: {self.broker.depth('muskrat.unrouted')}")
        print(f"While the CRM was down, analytics was at most {self.worst_lag:.1f} s behind.")
        same_crm = self.crm.equals(ours)
        if not different and ours and same_crm:
            print(f"All {len(ours):,} rows are equal, column by column, in both. The consumer was killed once on the way.")
            return True
        if not same_crm:
            print("DIFFERENT: the CRM")
        print(f"DIFFERENT in analytics: {len(different):,} rows")
        for key in different[:10]:
            print(f"  {key}: frontend {a.get(key)}\n  {' ' * len(str(key))}  analytics {b.get(key)}")
        print(f"logs: {self.folder}/relay.log, {self.folder}/consume.log")
        return False

    def hints(self):
        config = os.path.relpath(self.program.config_path)
        muskrat = os.path.relpath(self.program.binary)
        psql = f"psql -h 127.0.0.1 -p {self.pg.port} -U postgres"
        pids = [c.pid for c in (self.consumer, self.relay, self.rabbitmq.child, self.rabbitmq.epmd, self.source.child, self.pg.child) if c]
        print(f"""
It is all still running but the CRM, which ended with this program: its events wait. Try:

  {self.source.shell()}
      INSERT INTO customers (email, subdomain, username, volume, retention, rate)
      VALUES ('you@example.com', 'you', 'you', '200', '7', '0.0');
  {psql} analytics -c "SELECT * FROM customers ORDER BY id DESC LIMIT 3"

  {muskrat} tail 'Frontend.Customer.*' --config {config}
  {muskrat} status --config {config}
  {muskrat} check --config {config}
  http://127.0.0.1:{self.program.relay_port}/ (relay) and http://127.0.0.1:{self.program.consumer_port}/ (consumer)
  tail -n 3 {os.path.relpath(self.folder)}/archive/events.jsonl

Stop it:  kill {' '.join(str(p) for p in pids)}
   (the next `make demo` does that too, whatever its SOURCE)""")

    def stop(self):
        """What was started, in the order in which a stop is clean."""
        if self.tail:
            self.tail.stop()
        if self.program:
            self.program.stop()
        if self.crm:
            self.crm.leave()
        if self.rabbitmq:
            self.rabbitmq.stop()
        self.source.stop()
        if self.pg:
            self.pg.leave()

    def run(self):
        equal = kept = False
        try:
            self.prepare()
            self.start_servers()
            self.configure()
            self.fill()
            self.start_muskrat()
            self.start_tail()
            self.play()
            self.mend()
            equal = self.compare()
            if self.keep:
                self.tail.stop()
                self.tail = None
                self.hints()
                kept = True
        finally:
            if not kept:
                self.show.done()
                self.keep = False
                self.stop()
        return 0 if equal else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(TOP, "build"))
    parser.add_argument("--source", choices=sorted(SOURCES), default="postgres", help="the frontend database (default: postgres)")
    parser.add_argument("--keep", action="store_true", help="leave everything running")
    parser.add_argument("--seconds", type=float, default=24, help="how long the application writes (default: 24)")
    args = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        sys.exit(Demo(os.path.abspath(args.build), args.source, args.keep, args.seconds).run())
    except KeyboardInterrupt:
        print("\ninterrupted; everything that was started is stopped", file=sys.stderr)
        sys.exit(130)
    except (RuntimeError, TimeoutError, AssertionError) as e:
        print(f"\ndemo: {e}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
