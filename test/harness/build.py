"""Where things are: the checkout, the build folder, PostgreSQL's programs, the staged extension."""
import glob
import os
import re
import subprocess

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def default_build():
    """The build folder: $MUSKRAT_BUILD or build/ of the checkout."""
    return os.path.abspath(os.environ.get("MUSKRAT_BUILD") or os.path.join(TOP, "build"))


def pg_bindirs():
    """{major: folder of programs} of every PostgreSQL server that is installed."""
    found = {}
    for path in glob.glob("/usr/lib/postgresql/*/bin/postgres") + glob.glob("/usr/local/pgsql/bin/postgres"):
        folder = os.path.dirname(path)
        text = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
        found[int(re.search(r"(\d+)", text).group(1))] = folder
    return found


def pg_major(build=None):
    """The newest PostgreSQL for which the extension is staged; the newest installed when none is."""
    installed = pg_bindirs()
    if not installed:
        raise RuntimeError("no PostgreSQL server is installed; run `make deps`")
    staged = [m for m in installed if build and os.path.isdir(os.path.join(build, f"stage-{m}"))]
    return max(staged or installed)


def stage(build, major):
    return os.path.join(build, f"stage-{major}")


def pgxs_program(major, which):
    """pg_regress or pg_isolation_regress of the server's development package."""
    folder = {"pg_regress": "regress", "pg_isolation_regress": "isolation"}[which]
    pg_config = os.path.join(pg_bindirs()[major], "pg_config")
    pgxs = subprocess.run([pg_config, "--pgxs"], capture_output=True, text=True, check=True).stdout.strip()
    return os.path.join(os.path.dirname(os.path.dirname(pgxs)), "test", folder, which)
