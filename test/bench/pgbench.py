"""One run of pgbench; used by capture.py and delivery.py."""
import os
import re
import subprocess


def command(pg, script, clients, seconds, settings, folder, more=()):
    path = os.path.join(folder, "pgbench.sql")
    with open(path, "w", encoding="utf-8") as f:
        f.write(script)
    env = dict(os.environ, PGOPTIONS=" ".join(f"-c {name}={value}" for name, value in settings.items()))
    return [pg.program("pgbench"), "-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-T", str(seconds), "-f", path, *more,
            pg.dsn()], env


def pgbench(pg, script, clients, seconds, settings, folder):
    """Commits a second."""
    argv, env = command(pg, script, clients, seconds, settings, folder)
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=env)
    found = re.search(r"^tps = ([0-9.]+)", done.stdout, re.MULTILINE)
    if done.returncode != 0 or not found:
        raise RuntimeError(f"pgbench: {done.stderr.strip()[-500:]}")
    return float(found.group(1))
