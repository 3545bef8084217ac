"""Runs the tests, section by section: what `make check`, `make torture` and `make golden` call.

    make check                                   everything, with short torture
    make check ONLY="--only e2e -k blocked"      one section, and in it what matches
    make torture                                 the long fault tests (whole sweeps, seeded bugs, 200,000 events)
    make golden                                  writes the golden files anew from what the program does now

Sections: unit (build/unit/*), integration (build/integration/*, against private servers), regress (pg_regress),
isolation (pg_isolation_regress), doubles, e2e and torture (pytest). e2e and torture wait more than they compute and share nothing,
so they run side by side, in three processes, each with servers of its own: torture in one, e2e's files in the others
(harness/shared_files.py), and in its place, too, when torture has ended. Output goes to build/check/<section>.log. A pytest that says
nothing for long is ended, with a trace of what it hung on. The last line is
`N passed, N failed` (and `, N skipped`); the exit code is 0 when none failed and some ran.
"""
import argparse
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree

TEST = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, TEST)

from harness import build as where  # noqa: E402
from harness.certificates import Certificates  # noqa: E402
from harness.processes import free_port  # noqa: E402
from harness.processes import Child  # noqa: E402
from harness.servers import MariaDB, Postgres, RabbitMQ  # noqa: E402

SECTIONS = ["unit", "doubles", "integration", "regress", "isolation", "e2e", "torture"]
BESIDE = ["torture", "e2e"]
# pytest's processes at a time; more, and on two cores the tests' deadlines are about the machine
PROCESSES = 3
SHARED = "e2e"  # the section whose files several of them share
# seconds without a word; the longest single test takes a minute in check, and half an hour in torture
SILENCE, SILENCE_TORTURE = 600, 3 * 3600


class Tally:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def __str__(self):
        text = f"{self.passed} passed, {self.failed} failed"
        return text + (f", {self.skipped} skipped" if self.skipped else "")


class Run:
    def __init__(self, args):
        self.args = args
        self.build = os.path.abspath(args.build)
        self.out = os.path.join(self.build, "check")
        os.makedirs(self.out, exist_ok=True)
        self.major = where.pg_major(self.build)
        self._pg = self._standby = self._rabbitmq = self._mariadb = None
        self.reasons = []  # why pytest's tests failed, each reason once

    # ---- shared servers, started when a section first asks ----

    def pg(self):
        if not self._pg:
            shutil.rmtree(os.path.join(self.out, "pg", "data"), ignore_errors=True)
            self._pg = Postgres(os.path.join(self.out, "pg"), build=self.build, major=self.major).start()
        return self._pg

    def standby(self):
        if not self._standby:
            self._standby = self.pg().standby(os.path.join(self.out, "pg-standby"))
        return self._standby

    def rabbitmq(self):
        if not self._rabbitmq:
            folder = os.path.join(self.out, "rabbitmq")
            shutil.rmtree(os.path.join(folder, "data"), ignore_errors=True)
            self.certificates = Certificates(os.path.join(self.out, "certificates"))
            self.tls_port = free_port()
            self._rabbitmq = RabbitMQ(folder, settings=self.certificates.rabbitmq_settings(self.tls_port)).start()
        return self._rabbitmq

    def mariadb(self):
        if not self._mariadb:
            folder = os.path.join(self.out, "mariadb")
            shutil.rmtree(os.path.join(folder, "data"), ignore_errors=True)
            self.rabbitmq()  # whose certificates it shows, too
            tls = {"ssl-cert": self.certificates.certificate, "ssl-key": self.certificates.key, "ssl-ca": self.certificates.ca}
            self._mariadb = MariaDB(folder, settings=tls).start()
            self._mariadb.create_database("muskrat_test")
        return self._mariadb

    def stop_servers(self):
        if self._mariadb:
            self._mariadb.leave()
        if self._standby:
            self._standby.remove()
        if self._pg:
            self._pg.leave()
        if self._rabbitmq:
            self._rabbitmq.stop()
        self._pg = self._standby = self._rabbitmq = self._mariadb = None

    # ---- sections ----

    def unit(self):
        return self._programs("unit", dict(os.environ))

    def integration(self):
        if not self._found("integration"):
            return Tally()
        env = dict(os.environ, MUSKRAT_TEST_PG_DSN=self.pg().dsn(), MUSKRAT_TEST_PG_STANDBY_DSN=self.standby().dsn(),
                   MUSKRAT_TEST_AMQP_URL=self.rabbitmq().url(),
                   MUSKRAT_TEST_BROKER_CTL=self.rabbitmq().ctl_command(), MUSKRAT_TEST_BROKER_PID=str(self.rabbitmq().child.pid),
                   MUSKRAT_TEST_AMQPS_PORT=str(self.tls_port), MUSKRAT_TEST_CERTIFICATES=self.certificates.folder,
                   MUSKRAT_TEST_MYSQL_DSN=self.mariadb().dsn("muskrat_test"), MUSKRAT_TEST_MYSQL_PORT=str(self.mariadb().port))
        return self._programs("integration", env)

    def regress(self):
        return self._pg_regress("regress", "pg_regress", "sql", "sql")

    def isolation(self):
        return self._pg_regress("isolation", "pg_isolation_regress", "specs", "spec")

    def doubles(self):
        return self.follow(self.begin("doubles"))

    def beside(self, sections, done):
        """Runs the sections of BESIDE in PROCESSES processes at most. done(section, tally) as each of them ends, last the shared one."""
        alone = [s for s in sections if s != SHARED]
        shared = SHARED in sections
        several = shared and not (self.args.k or self.args.bless)
        if several:
            shutil.rmtree(self._claims(), ignore_errors=True)
            os.makedirs(self._claims())
        # Started by this thread, with which they end.
        following = {s: self._following(self.begin(s)) for s in alone}
        share = [self._following(self.begin_share(n + 1)) for n in range(PROCESSES - len(alone))] if several else \
            [self._following(self.begin(SHARED))] if shared else []
        for section, (thread, tally) in following.items():
            thread.join()
            done(section, tally)
            if several and any(thread.is_alive() for thread, _ in share):
                share.append(self._following(self.begin_share(len(share) + 1)))
        total = Tally()
        for thread, tally in share:
            thread.join()
            total.add(tally)
        if shared:
            done(SHARED, total)

    # ---- how ----

    def _found(self, section):
        """The test programs of a section."""
        found = sorted(p for p in glob.glob(os.path.join(self.build, section, "*")) if os.access(p, os.X_OK) and os.path.isfile(p))
        return [p for p in found if not self.args.k or self.args.k in os.path.basename(p)]

    def _programs(self, section, env):
        tally = Tally()
        env.update(MUSKRAT_BUILD=self.build, **({"MUSKRAT_BLESS": "1"} if self.args.bless else {}))
        with open(os.path.join(self.out, f"{section}.log"), "w", encoding="utf-8") as log:
            for program in self._found(section):
                name = os.path.basename(program)
                began = time.monotonic()
                text, code = run_with_timeout([program], env, where.TOP, 300)
                log.write(f"===== {name}\n{text}\n")
                one = cmocka_tally(text, code)
                tally.add(one)
                line(section, name, one, time.monotonic() - began)
                if one.failed:
                    print(indent(text))
        return tally

    def _pg_regress(self, section, program, folder, suffix):
        """Each test gets a database of its own, with the extension in it unless the test creates it itself."""
        tally = Tally()
        source = os.path.join(TEST, section)
        names = sorted(os.path.basename(p)[:-len(suffix) - 1] for p in glob.glob(f"{source}/{folder}/*.{suffix}"))
        names = [n for n in names if not self.args.k or self.args.k in n]
        out = os.path.join(self.out, section)
        shutil.rmtree(out, ignore_errors=True)
        os.makedirs(out)
        # Specs and scripts see files relative to the input folder on every version (16 and later ask the working folder).
        with open(os.path.join(self.out, f"{section}.log"), "w", encoding="utf-8") as log:
            for name in names:
                began = time.monotonic()
                one = Tally()
                pg = self.pg()
                database = f"muskrat_{section}"
                pg.drop_database(database)
                pg.create_database(database, "template0")
                argv = [where.pgxs_program(self.major, program), "--use-existing", "--inputdir=.", f"--outputdir={out}",
                        f"--bindir={pg.bin}", "--host=127.0.0.1", f"--port={pg.port}", "--user=postgres", f"--dbname={database}"]
                if not creates_extension(f"{source}/{folder}/{name}.{suffix}"):
                    argv.append("--load-extension=muskrat")
                text, code = run_with_timeout([*argv, name], pg_env(), source, 300)
                log.write(text)
                result = f"{out}/results/{name}.out"
                if self.args.bless and os.path.exists(result):
                    os.makedirs(f"{source}/expected", exist_ok=True)
                    shutil.copy(result, f"{source}/expected/{name}.out")
                    code = 0
                one.passed, one.failed = (1, 0) if code == 0 else (0, 1)
                tally.add(one)
                line(section, name, one, time.monotonic() - began)
                diffs = f"{out}/regression.diffs"
                if code != 0:
                    shown = open(diffs, encoding="utf-8", errors="replace").read() if os.path.exists(diffs) else text
                    log.write(shown)
                    print(indent(shown))
                if os.path.exists(diffs):
                    os.rename(diffs, f"{out}/{name}.diffs")
        return tally

    def begin(self, section):
        """Starts pytest over a section, as a Child, so that it and its servers end with us. (name, Child)."""
        return section, self._pytest(section, section, {})

    def begin_share(self, number):
        """The same with one process of those that share SHARED's files."""
        name = f"{SHARED}-{number}"
        return name, self._pytest(SHARED, name, {"MUSKRAT_SHARE": f"{self._claims()}:{number}"})

    def _claims(self):
        return os.path.join(self.out, f"{SHARED}-files")

    def _pytest(self, section, name, env):
        report = self._report(name)
        argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-v", "--tb=short", "-rsP" if self.args.torture else "-rs",
                "--durations=12", "--color=no", f"--junitxml={report}", f"--rootdir={TEST}", os.path.join(TEST, section)]
        chosen = self.args.k or ("golden" if self.args.bless else None)  # other tests have nothing to bless
        if chosen:
            argv += ["-k", chosen]
        env = dict(os.environ, MUSKRAT_BUILD=self.build, PYTHONDONTWRITEBYTECODE="1", **env)
        if self.args.torture:
            env["MUSKRAT_TORTURE"] = "1"
        if self.args.bless:
            env["MUSKRAT_BLESS"] = "1"
        if os.path.exists(report):
            os.unlink(report)
        with open(self._log(name), "w", encoding="utf-8"):
            pass
        return Child(argv, self._log(name), env=env, cwd=where.TOP, stdout=subprocess.PIPE, death_signal=signal.SIGTERM)

    def follow(self, started):
        """Prints what it says until it ends; its tally."""
        thread, tally = self._following(started)
        thread.join()
        return tally

    def _following(self, started):
        tally = Tally()
        # daemons, so that nobody waits for the others when this thread ends
        thread = threading.Thread(target=self._follow_one, args=(*started, tally), daemon=True)
        thread.start()
        return thread, tally

    def _follow_one(self, name, child, tally):
        heard = [time.monotonic()]
        threading.Thread(target=self._end_the_silent, args=(name, child, heard), daemon=True).start()
        with open(self._log(name), "a", encoding="utf-8") as log:
            for raw in child.process.stdout:
                heard[0] = time.monotonic()
                out_line = raw.decode(errors="replace")
                log.write(out_line)
                log.flush()
                print(f"  {name}: {out_line.rstrip()}", flush=True)
            child.wait()
        report = self._report(name)
        if not os.path.exists(report):
            tally.failed = 1
            self.reasons.append(f"{name} ended with {child.process.returncode} and no report; {self._log(name)} ends:\n{child.log(60)}")
            return
        suite = ElementTree.parse(report).getroot().find("testsuite")
        reasons = reasons_of(suite)
        print("".join(f"  {name}: FAILED {reason}\n" for reason in reasons), end="", flush=True)  # here, too: a run may be cut short
        self.reasons += reasons
        count = {what: int(suite.get(what)) for what in ("tests", "failures", "errors", "skipped")}
        tally.failed = count["failures"] + count["errors"]
        tally.skipped = count["skipped"]
        tally.passed = count["tests"] - tally.failed - tally.skipped

    def _end_the_silent(self, name, child, heard):
        """A test that hangs is not waited for until somebody ends us all: SIGABRT, at which pytest shows where it is."""
        limit = SILENCE_TORTURE if self.args.torture else SILENCE
        while child.running():
            if time.monotonic() - heard[0] > limit:
                print(f"  {name}: nothing said for {limit} s, ended", flush=True)
                child.send(signal.SIGABRT)
                return
            time.sleep(1)

    def _report(self, name):
        return os.path.join(self.out, f"{name}.xml")

    def _log(self, name):
        return os.path.join(self.out, f"{name}.log")


def creates_extension(path):
    with open(path, encoding="utf-8") as f:
        return re.search(r"create\s+extension", f.read(), re.IGNORECASE) is not None


def pg_env():
    return {k: v for k, v in os.environ.items() if not k.startswith("PG")}


def run_with_timeout(argv, env, cwd, seconds):
    try:
        done = subprocess.run(argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=seconds, check=False)
        return done.stdout.decode(errors="replace"), done.returncode
    except subprocess.TimeoutExpired as e:
        return (e.stdout or b"").decode(errors="replace") + f"\nended after {seconds} s without an answer\n", -1


def cmocka_tally(text, code):
    """What a CMocka program's output says; a crash counts as one failure."""
    tally = Tally()
    for word, count in re.findall(r"\[  (PASSED|FAILED|SKIPPED) *\] (\d+) test\(s\)", text):
        name = word.lower()
        setattr(tally, name, getattr(tally, name) + int(count))
    if code != 0 and not tally.failed:
        tally.failed = 1
    return tally


def reasons_of(suite, most=5, length=1500):
    """Why tests failed, the commonest first: a server that did not start fails a hundred tests for one reason."""
    tests = {}
    for case in suite.iter("testcase"):
        for trouble in [*case.findall("failure"), *case.findall("error")]:
            tests.setdefault(trouble.get("message", "")[:length], []).append(case.get("name"))
    ordered = sorted(tests.items(), key=lambda item: -len(item[1]))
    found = [f"{len(names)} x {names[0]}{', …' if len(names) > 1 else ''}: {why}" for why, names in ordered[:most]]
    return found + ([f"and {len(ordered) - most} further reasons"] if len(ordered) > most else [])


def indent(text):
    return "\n".join("      " + part for part in text.rstrip().splitlines())


def line(section, name, tally, seconds):
    state = "FAILED" if tally.failed else "ok"
    print(f"  {section}: {name:<42} {state:>6} {tally.passed + tally.failed:>4} tests {seconds:6.1f} s", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=where.default_build())
    parser.add_argument("--only", help="sections, separated by commas: " + ", ".join(SECTIONS))
    parser.add_argument("-k", help="within a section, only what matches (pytest's -k; elsewhere part of the name)")
    parser.add_argument("--torture", action="store_true", help="the long forms in test/torture")
    parser.add_argument("--bless", action="store_true", help="write expected and golden files from what is there now")
    args = parser.parse_args()

    wanted = args.only.split(",") if args.only else (["torture"] if args.torture else SECTIONS)
    if args.bless and not args.only:
        wanted = ["unit", "regress", "isolation", "e2e"]
    unknown = [s for s in wanted if s not in SECTIONS]
    if unknown:
        parser.error(f"unknown section {unknown[0]}; there are {', '.join(SECTIONS)}")

    run = Run(args)
    total = Tally()
    summary = {}
    began = time.monotonic()

    def done(section, tally):
        summary[section] = tally, time.monotonic() - section_began

    try:
        for section in wanted:
            if section in BESIDE:
                continue
            print(f"== {section}", flush=True)
            section_began = time.monotonic()
            try:
                done(section, getattr(run, section)())
            except Exception as e:  # a server that does not start is a failed test, not the end of the run
                print(f"  {section}: {type(e).__name__}: {e}", flush=True)
                failed = Tally()
                failed.failed = 1
                done(section, failed)
    finally:
        run.stop_servers()
    section_began = time.monotonic()
    beside = [s for s in BESIDE if s in wanted]
    print("".join(f"== {s}\n" for s in beside), end="", flush=True)
    run.beside(beside, done)

    for reason in run.reasons:
        print(f"FAILED {reason}")
    print(f"\n{'section':<12} {'result':<40} time")
    for section, (tally, seconds) in summary.items():
        total.add(tally)
        print(f"{section:<12} {tally!s:<40} {seconds:.0f} s")
    print(f"logs: {run.out}; {time.monotonic() - began:.0f} s in all")
    print(total, flush=True)
    sys.exit(0 if total.failed == 0 and total.passed > 0 else 1)


if __name__ == "__main__":
    main()
