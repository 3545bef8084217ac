"""One run of pgbench; used by capture.py, latency.py and waiting.py."""
import os
import re
import subprocess
import time


def command(pg, script, clients, seconds, settings, folder, more=()):
    path = os.path.join(folder, "pgbench.sql")
    with open(path, "w", encoding="utf-8") as f:
        f.write(script)
    env = dict(os.environ, PGOPTIONS=" ".join(f"-c {name}={value}" for name, value in settings.items()))
    return [pg.program("pgbench"), "-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-T", str(seconds), "-f", path, *more,
            pg.dsn()], env


def reaped_ms(pid):
    """Processor time of the children that the process has waited for."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) * 1000 / os.sysconf("SC_CLK_TCK")


def pgbench(pg, script, clients, seconds, settings, folder):
    """(commits a second, microseconds of processor time that clients and backends spent on one)."""
    argv, env = command(pg, script, clients, seconds, settings, folder)
    ours, servers = reaped_ms(os.getpid()), reaped_ms(pg.child.pid)
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=env)
    rate = re.search(r"^tps = ([0-9.]+)", done.stdout, re.MULTILINE)
    commits = re.search(r"transactions actually processed: (\d+)", done.stdout)
    if done.returncode != 0 or not rate or not commits:
        raise RuntimeError(f"pgbench: {done.stderr.strip()[-500:]}")
    time.sleep(0.1)  # the last backends are waited for
    spent = reaped_ms(os.getpid()) - ours + reaped_ms(pg.child.pid) - servers
    return float(rate.group(1)), spent * 1000 / int(commits.group(1))
