"""The main job, on private servers, in a minute: customers travel from one PostgreSQL database to another, to a CRM, to
Marketo and to Salesforce.

    make demo                 shows it, compares what arrived row by row, and stops what it started
    make demo SOURCE=mysql    the same from a MariaDB (sources.py)
    make demo KEEP=1          leaves it running and says what to try next

Beside them, data volumes are collected from a statistics server on a schedule, once, and received by two (volumes.py), and Braintree
sends a webhook, which the archive receives. On the way the CRM goes down, the consumer is killed, and a record comes that the CRM's
mapping does not know. Everything lies in build/demo; ports are free ones on loopback. The exit code is 0 when all of them have what the
source has.
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

from apis import Apis  # noqa: E402
from crm import NEW_PLAN, Crm  # noqa: E402
from customers import Customers  # noqa: E402
from display import Display  # noqa: E402
from harness import processes  # noqa: E402
from harness.clients import Broker, query  # noqa: E402
from harness.processes import wait_until  # noqa: E402
from harness.program import Program  # noqa: E402
from harness.servers import Postgres, RabbitMQ  # noqa: E402
from sources import SOURCES  # noqa: E402
from volumes import ANALYTICS as SNAPSHOTS, BILLING, Volumes  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
CATCH_UP_SECONDS = 45
ENDPOINTS = ("analytics", "crm", "marketo", "salesforce", "analytics-volumes", "billing", "archive")

# The same columns as the source's rows(), in the same order.
ANALYTICS = """SELECT id, email, phone, subdomain, company_name, login, plan_volume, plan_retention, plan_rate
                 FROM customers ORDER BY id"""


def private(path, flags):
    return os.open(path, flags, 0o600)


class Demo:
    def __init__(self, build, source, keep, seconds, folder=None):
        self.build, self.keep, self.seconds = build, keep, seconds
        self.folder = os.path.abspath(folder or os.path.join(build, "demo"))
        self.source = SOURCES[source](self.folder, keep)
        self.show = Display()
        self.pg = self.rabbitmq = self.program = self.tail = self.crm = self.apis = self.volumes = None
        self.consumer_up = True
        self.webhook = None  # what Braintree's was answered with
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
            self.pg.psql(f.read() + SNAPSHOTS, "analytics")
        self.pg.create_database("billing")
        self.pg.psql(BILLING, "billing")
        self.show.say("frontend: table customers attached as Frontend.Customer (Signup, Update, Cancel)")

    def configure(self):
        self.analytics, self.billing = self.pg.dsn("analytics"), self.pg.dsn("billing")
        self.program = Program(self.folder, self.build)
        self.crm, self.apis = Crm(), Apis(self.folder)
        self.volumes = Volumes()
        with open(os.path.join(HERE, "muskrat.yaml"), encoding="utf-8") as f:
            text = f.read().split("\n", 1)[1]
        for name, real in {
            "BROKER_URL": self.rabbitmq.url(), "FRONTEND_KIND": self.source.kind, "FRONTEND_DSN": self.source.relay_dsn(),
            "ANALYTICS_DSN": self.analytics, "BILLING_DSN": self.billing, "STATS_URL": self.volumes.url(),
            "STATS_TOKEN": os.path.join(self.folder, "state", "stats-token"),
            "RELAY_STATE": os.path.join(self.folder, "state", "relay.sqlite"),
            "ARCHIVE": os.path.join(self.folder, "archive", "events.jsonl"),
            "CRM_PORT": str(self.crm.port), "MARKETO_URL": self.apis.marketo.url(), "SALESFORCE_URL": self.apis.salesforce.url(),
            "WEBHOOKS_PORT": str(self.apis.webhooks_port), "SECRETS": self.apis.secrets,
            "STATE": os.path.join(self.folder, "state", "host.sqlite"),
            "RELAY_PORT": str(self.program.relay_port), "CONSUMER_PORT": str(self.program.consumer_port),
        }.items():
            text = text.replace(f"@{name}@", real)
        self.program.write("# Written by examples/demo/demo.py; examples/demo/muskrat.yaml is where it comes from.\n" + text)
        for sub in ("archive", "state"):
            os.makedirs(os.path.join(self.folder, sub), exist_ok=True)
        with open(os.path.join(self.folder, "state", "stats-token"), "w", encoding="utf-8", opener=private) as f:
            f.write(self.volumes.token)
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
        return [(0.08, self.sell_new_plan), (0.15, self.crm_goes), (0.30, self.correct_volumes),
                (0.40, self.crm_comes_back), (0.48, self.a_webhook_comes), (0.55, self.kill_consumer), (0.68, self.restart_consumer)]

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

    def correct_volumes(self):
        self.volumes.correct()
        self.show.say("the statistics server shows records of the last hour late, and corrects one that was read already")

    def crm_comes_back(self):
        waiting = self.broker.depth("muskrat.crm") or 0
        self.crm.come_back()
        self.crm_away = (self.crm_away[0], time.monotonic())
        self.show.say(f"the CRM comes back; {waiting:,} events have waited for it")

    def a_webhook_comes(self):
        self.webhook = self.apis.past_due()
        self.show.say(f"Braintree's webhook says that a subscription is past due; it is answered with {self.webhook}: the broker has it")

    def archived(self):
        path = os.path.join(self.folder, "archive", "events.jsonl")
        if not os.path.exists(path):
            return False
        with open(path, encoding="utf-8") as f:
            return "subscription_went_past_due" in f.read()

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
        rows = self.source.rows()
        return (rows == query(self.analytics, ANALYTICS) and self.broker.depth("muskrat.crm") == 0 and not self.apis.different(rows)
                and self.archived())

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
            crm_queued=self.broker.depth("muskrat.crm") or 0, leads=len(self.apis.leads()), contacts=len(self.apis.contacts()))
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
        """Prints the outcome; true when all endpoints have what the source has."""
        ours, theirs = self.source.rows(), query(self.analytics, ANALYTICS)
        a, b = {r[0]: r for r in ours}, {r[0]: r for r in theirs}
        different = [k for k in sorted(a.keys() | b.keys()) if a.get(k) != b.get(k)]
        kinds = self.customers.kinds
        print(f"\n{kinds['Signup']:,} sign-ups, {kinds['Update']:,} updates and {kinds['Cancel']:,} cancellations were committed.")
        print(f"frontend has {len(ours):,} customers, analytics has {len(theirs):,}, the CRM has {len(self.crm.customers):,}, "
              f"Marketo {len(self.apis.leads()):,}, Salesforce {len(self.apis.contacts()):,}.")
        print("dead letters: " + ", ".join(f"{name} {self.broker.depth(f'muskrat.{name}.dead')}" for name in ENDPOINTS)
              + f"; unrouted: {self.broker.depth('muskrat.unrouted')}")
        print(f"While the CRM was down, analytics was at most {self.worst_lag:.1f} s behind.")
        elsewhere = self.apis.different(ours) + ([] if self.crm.equals(ours) else ["the CRM"])
        if not self.volumes.outcome(self.relay, self.analytics, self.billing):
            elsewhere.append("the volumes")
        if self.webhook != 200 or not self.archived():
            elsewhere.append("Braintree's webhook")
        if not different and ours and not elsewhere:
            self.follow(ours[-1], theirs[-1])
            print(f"All {len(ours):,} customers are equal, field by field, in all four. The consumer was killed once on the way.")
            return True
        if elsewhere:
            print("DIFFERENT: " + ", ".join(elsewhere))
        print(f"DIFFERENT in analytics: {len(different):,} rows")
        for key in different[:10]:
            print(f"  {key}: frontend {a.get(key)}\n  {' ' * len(str(key))}  analytics {b.get(key)}")
        print(f"logs: {self.folder}/relay.log, {self.folder}/consume.log")
        return False

    def follow(self, ours, theirs):
        """One sign-up, as each has it by its own mapping."""
        crm, lead, contact = self.crm.customers[ours[0]], self.apis.leads()[ours[1]], self.apis.contacts()[str(ours[0])]
        print(f"""The last of them, in each place:
  frontend    id {ours[0]}, email {ours[1]}, username {ours[5]}, volume {int(ours[6])}
  analytics   id {theirs[0]}, email {theirs[1]}, login {theirs[5]}, plan_volume {theirs[6]}
  the CRM     /customers/{ours[0]}: email {crm[0]}, plan {crm[1]}
  Marketo     lead {ours[1]}: firstName {lead[0]}, leadScore {lead[1]}
  Salesforce  Contact {ours[0]}: LastName {contact[0]}, Email {contact[1]}""")

    def hints(self):
        config = os.path.relpath(self.program.config_path)
        muskrat = os.path.relpath(self.program.binary)
        psql = f"psql -h 127.0.0.1 -p {self.pg.port} -U postgres"
        pids = [c.pid for c in (self.consumer, self.relay, self.rabbitmq.child, self.rabbitmq.epmd, self.source.child, self.pg.child) if c]
        print(f"""
It is all still running but the CRM, Marketo, Salesforce and the statistics server, which ended with this program. Try:

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
        if self.apis:
            self.apis.stop()
        if self.volumes:
            self.volumes.leave()
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
    parser.add_argument("--folder", help="where servers and logs live (default: demo in the build folder)")
    parser.add_argument("--seconds", type=float, default=24, help="how long the application writes (default: 24)")
    args = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        sys.exit(Demo(os.path.abspath(args.build), args.source, args.keep, args.seconds, args.folder).run())
    except KeyboardInterrupt:
        print("\ninterrupted; everything that was started is stopped", file=sys.stderr)
        sys.exit(130)
    except (RuntimeError, TimeoutError, AssertionError) as e:
        print(f"\ndemo: {e}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
