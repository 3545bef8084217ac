"""Child processes that cannot outlive us.

Used by the servers and by program.py. A child gets a process group of its own and a parent-death signal, so that it ends
with us however we end; what it is and when it started is also written to a `pids` file in its directory, so that a later
run can clear what survived all the same (a machine's reboot and a reused pid are told apart by the start time).

The parent-death signal is tied to the *thread* that starts the child: start children from the main thread.
"""
import atexit
import ctypes
import json
import os
import pwd
import random
import signal
import socket
import subprocess
import sys
import time

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_children = []
_handlers_installed = False
_used_up = []


_block = {"claim": None, "ports": iter(())}


def free_port():
    """A loopback port that nobody listens on now, and that nobody else will be given while we live.

    Not one of the kernel's choosing: from that range outgoing connections get theirs too, and one of them may sit on the
    port by the time its server starts. Ours lie below it. Blocks of them are claimed by processes of this harness through
    the name of an abstract socket, which the kernel frees with the process.
    """
    while True:
        for port in _block["ports"]:
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                    return port
                except OSError:
                    continue
        _claim_block()


def _claim_block(size=100, lowest=12000):
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as f:
        highest = int(f.read().split()[0])
    starts = list(range(lowest, max(highest, lowest + 2 * size) - size, size))
    random.shuffle(starts)
    for start in starts:
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0muskrat-test-ports-{start}")
        except OSError:
            claim.close()
            continue
        if _block["claim"]:
            _used_up.append(_block["claim"])  # its servers may still run
        _block.update(claim=claim, ports=iter(range(start, start + size)))
        return
    raise RuntimeError(f"no block of {size} ports between {lowest} and {highest} is free")


def start_time(pid):
    """When the process started, in clock ticks since boot; None when there is no such process (or only its zombie)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            fields = f.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else int(fields[19])


def watched(process, kill_after=None, every=0.02):
    """Waits for the process, which is killed after so many seconds; the most memory that it was seen to hold, in MB.

    (The kernel's ru_maxrss of a child begins with what we held ourselves at the fork.)
    """
    peak, began = 0.0, time.monotonic()
    while process.poll() is None:
        try:
            with open(f"/proc/{process.pid}/status", encoding="ascii") as f:
                peak = max([peak, *(int(text.split()[1]) / 1024 for text in f if text.startswith("VmHWM"))])
        except (FileNotFoundError, ProcessLookupError):
            pass
        if kill_after is not None and time.monotonic() - began > kill_after:
            process.kill()
        time.sleep(every)
    return peak


def boot_id():
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as f:
        return f.read().strip()


def alive(pid, started=None):
    now = start_time(pid)
    return now is not None and (started is None or now == started)


def wait_until(condition, timeout, what, interval=0.05):
    """Calls `condition` until it is true; TimeoutError naming `what`, a text or what makes it, after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {timeout:g} s still waiting for {what() if callable(what) else what}")
        time.sleep(interval)


class Child:
    """One child process. `record` is the folder whose `pids` file remembers it; `user` runs it as somebody else."""

    def __init__(self, argv, log, env=None, cwd=None, user=None, record=None, death_signal=signal.SIGKILL, keep=False,
                 stdout=None, what=None):
        install_handlers()
        self.what = what or os.path.basename(argv[0])
        self.log_path = log
        self.record = record
        self.keep = keep
        ids = {}
        if user:
            entry = pwd.getpwnam(user)
            ids = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": os.getgrouplist(user, entry.pw_gid)}
        parent = os.getpid()

        def prepare():  # after setuid, which would clear the parent-death signal
            if not keep:
                _libc.prctl(PR_SET_PDEATHSIG, int(death_signal))
                if os.getppid() != parent:
                    os._exit(1)

        with open(log, "ab") as out:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=stdout or out, stderr=out, env=env,
                                            cwd=cwd, start_new_session=True, preexec_fn=prepare, **ids)
        self.pid = self.process.pid
        self.started = start_time(self.pid)
        if record:
            remember(record, self.pid, self.what)
        _children.append(self)

    def running(self):
        return self.process.poll() is None

    def send(self, number):
        if self.running():
            self.process.send_signal(number)

    def wait(self, timeout=60):
        """The exit code, negative for a signal."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{self.what} (pid {self.pid}) did not end within {timeout:g} s; its log: {self.log_path}") from None

    def kill9(self):
        self.send(signal.SIGKILL)
        self.process.wait(60)

    def stop(self, number=signal.SIGTERM, timeout=60):
        """Asks it to end; kills its whole group when it does not. Returns the exit code."""
        self.send(signal.SIGCONT)
        self.send(number)
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            kill_group(self.pid)
            code = self.process.wait(30)
        if self in _children:
            _children.remove(self)
        return code

    def log(self, tail=40):
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as f:
                return "".join(f.readlines()[-tail:])
        except FileNotFoundError:
            return ""


def kill_group(pid):
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def remember(folder, pid, what):
    with open(os.path.join(folder, "pids"), "a", encoding="utf-8") as f:
        f.write(json.dumps({"pid": pid, "started": start_time(pid), "boot": boot_id(), "what": what}) + "\n")


def clear_leftovers(folder):
    """Ends what an earlier run recorded in `folder`/pids and what is still the same process. Returns their names."""
    path = os.path.join(folder, "pids")
    try:
        with open(path, encoding="utf-8") as f:
            lines = f.read().splitlines()
    except FileNotFoundError:
        return []
    ended = []
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:  # a line cut short by a crash
            continue
        pid = entry["pid"]
        same = entry["started"] is not None and entry["boot"] == boot_id() and alive(pid, entry["started"])
        if not same:
            continue
        kill_group(pid)
        wait_until(lambda p=pid, s=entry["started"]: not alive(p, s), 60, f"the end of pid {pid}")
        ended.append(f"{entry['what']} ({pid})")
    os.unlink(path)
    return ended


def end_all():
    """Ends every child that still runs, the youngest first."""
    for child in reversed(list(_children)):
        if not child.keep and child.running():
            kill_group(child.pid)
            try:
                child.process.wait(10)
            except subprocess.TimeoutExpired:
                pass
    _children.clear()


def _on_signal(number, _frame):
    # As an exception, so that `finally` and atexit run.
    sys.exit(128 + number)


def install_handlers():
    """SIGTERM and SIGHUP end us as an exception does, so that what we started is ended too."""
    global _handlers_installed
    if _handlers_installed:
        return
    _handlers_installed = True
    atexit.register(end_all)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _on_signal)
