"""How things are measured: interleaved runs, medians, and what is written down.

Used by bench.py and the comparisons. A comparison runs its variants in turn (A B C A B C …), so that whatever else
the machine does meets all of them; a ratio is taken within each turn, and the median of the turns is the figure.
"""
import os
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field

HERE = os.path.dirname(os.path.abspath(__file__))


@dataclass
class Figure:
    """One line of the table, one entry of bench.json."""
    name: str
    value: float
    unit: str
    runs: list = field(default_factory=list)
    against: str = ""
    goal: str = ""
    note: str = ""  # the size of the run, and what else one must know

    def json(self):
        entry = {"value": round(self.value, 4), "unit": self.unit, "runs": [round(r, 4) for r in self.runs], "against": self.against}
        if self.goal:
            entry.update(goal=self.goal, reached=self.reached())
        if self.note:
            entry["note"] = self.note
        return entry

    def reached(self):
        """None when nothing is asked of it."""
        if not self.goal:
            return None
        comparison, bound = self.goal.split()
        return self.value <= float(bound) if comparison == "≤" else self.value >= float(bound)

    def row(self):
        spread = f"{min(self.runs):.3g} – {max(self.runs):.3g}" if len(self.runs) > 1 else ""
        mark = {None: "", True: "reached", False: "NOT reached"}[self.reached()]
        return [self.name, f"{self.value:.4g} {self.unit}", spread, self.goal, mark, self.against, self.note]


def say(text):
    print(text, file=sys.stderr, flush=True)


def in_turn(variants, rounds, what):
    """{name: [one measurement per round]} of {name: callable}. The order turns round with each round."""
    results = {name: [] for name in variants}
    for n in range(rounds):
        names = list(variants)
        if n % 2:
            names.reverse()
        for name in names:
            results[name].append(variants[name]())
        say(f"    {what}: round {n + 1} of {rounds}: " + ", ".join(f"{v} {results[v][-1]:.4g}" for v in variants))
    return results


def ratios(results, numerator, denominator):
    return [a / b for a, b in zip(results[numerator], results[denominator])]


def ratio_figure(name, results, numerator, denominator, **more):
    runs = ratios(results, numerator, denominator)
    return Figure(name, statistics.median(runs), "ratio", runs, **more)


def cpu_ms(pid):
    """Processor time that the process's main thread has had, in milliseconds."""
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as f:
        return int(f.read().split()[0]) / 1e6


def process_cpu_ms(pid):
    """The same of all its threads."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as f:
            total += int(f.read().split()[0])
    return total / 1e6


class PeakMemory:
    """The largest private memory of a process, in MB, by looking every 20 ms until end(); shared buffers do not count."""

    def __init__(self, pid):
        self.pid, self.peak, self.over = pid, 0.0, threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()

    def _look(self):
        while not self.over.wait(0.02):
            try:
                with open(f"/proc/{self.pid}/status", encoding="ascii") as f:
                    self.peak = max(self.peak, next(int(line.split()[1]) for line in f if line.startswith("RssAnon")) / 1024)
            except (FileNotFoundError, StopIteration):
                return

    def end(self):
        self.over.set()
        self.thread.join()
        return self.peak


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class Instructions:
    """Instructions that processes carry out while the block runs, in `count`; None where perf is missing or may not count. What
    else the machine does changes them little, and caches that it takes from us not at all."""

    def __init__(self, *pids):
        self.pids, self.count, self.perf = pids, None, None

    def __enter__(self):
        argv = ["perf", "stat", "-x", ",", "-e", "instructions", "-p", ",".join(map(str, self.pids))]
        if shutil.which("perf"):
            self.perf = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
            time.sleep(0.3)  # until it counts
        return self

    def __exit__(self, *exc):
        if self.perf is None:
            return
        self.perf.send_signal(signal.SIGINT)
        first = self.perf.communicate(timeout=30)[1].split(",")[0]
        self.count = float(first) if first.isdigit() else None


class Bare:
    """The bare programs, compiled when first asked for."""

    def __init__(self, folder):
        self.folder = folder

    def binary(self, name, *libraries):
        path = os.path.join(self.folder, name)
        if not os.path.exists(path) or os.path.getmtime(path) < os.path.getmtime(os.path.join(HERE, name + ".c")):
            subprocess.run([os.environ.get("CC", "gcc"), "-O2", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-o", path,
                            os.path.join(HERE, name + ".c"), *libraries], check=True)
        return path

    def run(self, name, *args, libraries=("-lrabbitmq",)):
        """Seconds, as the program prints them."""
        return self.numbers(name, *args, libraries=libraries)[0]

    def numbers(self, name, *args, libraries=("-lrabbitmq",)):
        binary = self.binary(name, *libraries)
        done = subprocess.run([binary, *map(str, args)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{name}: {done.stderr.strip()}")
        return [float(number) for number in done.stdout.split()]
