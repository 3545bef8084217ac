"""The muskrat program: its configuration file, its verbs, its daemons.

Used by the end-to-end and torture tests and by the demo. A Program is one folder with a muskrat.yaml in it; relay() and
consume() start daemons that cannot outlive us (processes.Child), run() calls a verb and hands back what it said.
"""
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request

import yaml

from .processes import Child, alive, free_port, wait_until

READY_TIMEOUT = 60


class Daemon(Child):
    """A running `muskrat relay` or `muskrat consume`."""

    def __init__(self, argv, log, port, **kw):
        super().__init__(argv, log, **kw)
        self.port = port

    def get(self, path, timeout=15):
        """(status, text) of its HTTP server; (0, why) when it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=timeout) as r:
                return r.status, r.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()
        except OSError as e:
            return 0, str(e)

    def metric(self, name, **labels):
        """The sum of a metric's series that carry the labels; None when there is none."""
        found = None
        for text in self.get("/metrics")[1].splitlines():
            if text.startswith(name) and text[len(name):len(name) + 1] in ("{", " "):
                if all(f'{k}="{v}"' in text for k, v in labels.items()):
                    found = (found or 0) + float(text.rsplit(" ", 1)[1])
        return found

    def wait_ready(self, timeout=READY_TIMEOUT):
        def ready():
            if not self.running():
                raise RuntimeError(f"{self.what} ended with {self.process.returncode}; its log:\n{self.log()}")
            return self.get("/readyz")[0] == 200
        wait_until(ready, timeout, lambda: f"{self.what} to be ready (log: {self.log_path})\n{self.log(10)}")
        return self

    def rss_kib(self, field="VmRSS"):
        with open(f"/proc/{self.target_pid()}/status", encoding="ascii") as f:
            for text in f:
                if text.startswith(field + ":"):
                    return int(text.split()[1])
        return 0

    def target_pid(self):
        """The daemon itself: our child, or, under strace, strace's child."""
        if os.path.basename(self.process.args[0]) != "strace":
            return self.pid
        with open(f"/proc/{self.pid}/task/{self.pid}/children", encoding="ascii") as f:
            pids = f.read().split()
        return int(pids[0]) if pids else self.pid

    def running(self):
        return super().running() and alive(self.pid)


class Program:
    def __init__(self, folder, build, name="muskrat.yaml"):
        self.folder = os.path.abspath(folder)
        self.binary = os.path.join(build, "muskrat")
        self.config_path = os.path.join(self.folder, name)
        self.relay_port, self.consumer_port = free_port(), free_port()
        self.config = {}
        self.daemons = []
        os.makedirs(self.folder, exist_ok=True)

    def configure(self, broker_url, sources=None, endpoints=None, **sections):
        """Writes muskrat.yaml: `sources` and `endpoints` as in the file; further sections as given."""
        self.config = {
            "broker": {"url": broker_url},
            "relay": {"listen": f"127.0.0.1:{self.relay_port}"},
            "consumer": {"listen": f"127.0.0.1:{self.consumer_port}"},
        }
        if sources:
            self.config["sources"] = sources
        if endpoints:
            self.config["endpoints"] = endpoints
        for name, section in sections.items():
            self.config.setdefault(name, {}).update(section)
        self.save()
        return self

    def save(self):
        with open(self.config_path, "w", encoding="utf-8") as f:
            yaml.safe_dump(self.config, f, sort_keys=False)

    def write(self, text):
        """A configuration as raw text, for those that are wrong on purpose."""
        with open(self.config_path, "w", encoding="utf-8") as f:
            f.write(text)

    # ---- verbs ----

    def argv(self, *args):
        return [self.binary, *args[:1], "--config", self.config_path, *args[1:]]

    def run(self, *args, timeout=60, env=None, input=None):
        """Calls a verb; returns the CompletedProcess (text)."""
        return subprocess.run(self.argv(*args), capture_output=True, text=True, timeout=timeout, check=False, input=input,
                              env=dict(os.environ, **(env or {})), stdin=None if input else subprocess.DEVNULL)

    def ok(self, *args, **kw):
        """Calls a verb that must succeed; returns its standard output."""
        done = self.run(*args, **kw)
        if done.returncode != 0:
            raise AssertionError(f"muskrat {' '.join(args)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def measured(self, *args, timeout=60):
        """The same, and the most memory that it held, in bytes."""
        # Its parent is a Python of its own, so that the kernel's figure for waited-for children is this one's.
        code = ("import resource, subprocess, sys; done = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, check=False); "
                "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr); sys.exit(done.returncode)")
        done = subprocess.run([sys.executable, "-c", code, *self.argv(*args)], capture_output=True, text=True, timeout=timeout, check=False)
        if done.returncode != 0:
            raise AssertionError(f"muskrat {' '.join(args)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout, int(done.stderr.split()[-1]) * 1024

    def json(self, *args, **kw):
        return json.loads(self.ok(*args, "--json", **kw))

    def setup(self):
        return self.ok("setup", timeout=60)

    # ---- daemons ----

    def relay(self, *args, wait=True, trace=None, **kw):
        """`trace`: strace's arguments, to kill or fail the process at its Nth system call."""
        return self._daemon("relay", self.relay_port, args, wait, trace, **kw)

    def consume(self, *args, wait=True, trace=None, **kw):
        return self._daemon("consume", self.consumer_port, args, wait, trace, **kw)

    def _daemon(self, verb, port, args, wait, trace, env=None, log=None, **kw):
        argv = self.argv(verb, *args)
        if trace is not None:
            argv = ["strace", *trace, *argv]
        daemon = Daemon(argv, log or os.path.join(self.folder, f"{verb}.log"), port, cwd=self.folder, record=self.folder,
                        env=dict(os.environ, **(env or {})), what=verb, **kw)
        self.daemons.append(daemon)
        return daemon.wait_ready() if wait else daemon

    def stop(self):
        """Stops every daemon that runs; returns {what: exit code}."""
        codes = {}
        for daemon in reversed(self.daemons):
            if daemon.running():
                codes[daemon.what] = daemon.stop()
        self.daemons.clear()
        return codes
