"""A private PostgreSQL on loopback, with the staged extension found in place.

Used through servers.py. The server is our child and runs as `postgres` when we are root. Its data lies in the folder
given, or, where that user cannot reach the folder (a checkout in /root), in one of its own under /var/tmp, together with
a copy of the stage; a file `elsewhere` then says where, so that a later run removes it.
"""
import os
import pwd
import shutil
import signal
import subprocess
import tempfile

from . import build as where
from .processes import Child, alive, clear_leftovers, free_port, wait_until

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "max_prepared_transactions": "10",
    "max_wal_size": "2GB",
    "log_line_prefix": "%m [%p] %d ",
    "log_lock_waits": "on",
    "timezone": "UTC",
    "lc_messages": "C",
}


class Postgres:
    def __init__(self, folder, build=None, major=None, fsync=False, settings=None, keep=False, port=None):
        """`settings`: further lines of postgresql.conf. `keep`: survives us (for people who want to look around)."""
        self.build = build or where.default_build()
        self.major = major or where.pg_major(self.build)
        self.bin = where.pg_bindirs()[self.major]
        self.folder = os.path.abspath(folder)
        self.user = "postgres" if os.geteuid() == 0 else None
        self.port = port or free_port()
        self.fsync = fsync
        self.extra = dict(settings or {})
        self.keep = keep
        self.child = None
        os.makedirs(self.folder, exist_ok=True)
        clear_leftovers(self.folder)
        self._remove_elsewhere()
        self._place()

    # ---- life ----

    def start(self, timeout=60):
        """Initialises the data folder when it is empty, starts, and waits until it answers."""
        if not os.path.exists(os.path.join(self.data, "PG_VERSION")):
            self._initdb()
        self._write_conf()
        env = self._env()
        self.child = Child([self._program("postgres"), "-D", self.data], self.log_path, env=env, cwd="/", user=self.user,
                           record=self.folder, death_signal=signal.SIGQUIT, keep=self.keep, what="postgres")
        self.wait_ready(timeout)
        return self

    def wait_ready(self, timeout=60):
        def answers():
            if not self.child.running():
                raise RuntimeError(f"PostgreSQL did not start; its log {self.log_path} ends:\n{self.child.log(15)}")
            return subprocess.run([self._program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres"],
                                  check=False, env=self._env()).returncode == 0
        wait_until(answers, timeout, f"PostgreSQL on port {self.port} (log: {self.log_path})")

    def stop(self, mode="fast", timeout=60):
        """`smart`, `fast` or `immediate`, as pg_ctl has it."""
        if self.child:
            self.child.stop({"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode], timeout)
            self.child = None

    def kill9(self):
        """kill -9 of the postmaster; returns when its backends are gone too."""
        backends = self._family()
        self.child.kill9()
        for pid in backends:
            wait_until(lambda p=pid: not alive(p), 30, f"the end of backend {pid}")
        self.child = None

    def restart(self, mode="fast"):
        self.stop(mode)
        self.start()

    def postmaster_pid(self):
        with open(os.path.join(self.data, "postmaster.pid"), encoding="ascii") as f:
            return int(f.readline())

    def leave(self):
        """Stops; nothing stays outside the folder."""
        self.stop()
        self._remove_elsewhere()

    def remove(self):
        """Stops and deletes everything."""
        self.stop("immediate")
        self._remove_elsewhere()
        shutil.rmtree(self.data, ignore_errors=True)

    def standby(self, folder):
        """A hot standby of this server, started; to be removed by who asked for it."""
        other = Postgres(folder, build=self.build, major=self.major, settings={"primary_conninfo": self.dsn(), "hot_standby": "on"})
        shutil.rmtree(other.data, ignore_errors=True)
        subprocess.run([self._program("pg_basebackup"), "-d", self.dsn(), "-D", other.data, "-X", "stream", "-c", "fast"],
                       check=True, capture_output=True, env=self._env())
        if other.user:
            subprocess.run(["chown", "-R", other.user, other.data], check=True)
        with open(os.path.join(other.data, "standby.signal"), "w", encoding="ascii"):
            pass
        return other.start()

    def upgraded(self, folder, major=None):
        """What pg_upgrade makes of this server, which must be stopped, for another major version or the same; started. To be
        removed by who asked for it."""
        other = Postgres(folder, build=self.build, major=major or self.major, fsync=self.fsync, settings=self.extra)
        other._initdb()
        other._write_conf()
        argv = [other.program("pg_upgrade"), "-b", self.bin, "-B", other.bin, "-d", self.data, "-D", other.data, "-U", "postgres",
                "-p", str(self.port), "-P", str(other.port), "-s", other.data]
        done = subprocess.run(other._as_user(argv), capture_output=True, text=True, check=False, cwd=other.data, env=self._env())
        if done.returncode != 0:
            raise RuntimeError(f"pg_upgrade failed:\n{done.stdout}{done.stderr}")
        return other.start()

    # ---- use ----

    def dsn(self, dbname="postgres", user="postgres"):
        return f"host=127.0.0.1 port={self.port} dbname={dbname} user={user}"

    def psql(self, sql, dbname="postgres", check=True, variables=()):
        """Runs SQL through psql; returns its bare output (-At)."""
        argv = [self._program("psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", self.dsn(dbname)]
        for v in variables:
            argv += ["-v", v]
        done = subprocess.run(argv, input=sql, capture_output=True, text=True, check=False, env=self._env())
        if check and done.returncode != 0:
            raise RuntimeError(f"psql: {done.stderr.strip()}")
        return done.stdout.strip() if check else done

    def create_database(self, name, template="template1"):
        self.psql(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')

    def drop_database(self, name):
        self.psql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def program(self, name):
        return self._program(name)

    # ---- inside ----

    def _program(self, name):
        return os.path.join(self.bin, name)

    def _env(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        env.update(LC_ALL="C.UTF-8", PGTZ="UTC")
        return env

    def _place(self):
        """Decides where data, socket and stage are, so that the server's user can reach them."""
        stage = where.stage(self.build, self.major)
        if self._reachable(self.folder) and (not os.path.isdir(stage) or self._reachable(stage)):
            self.home, self.stage = self.folder, stage
        else:
            self.home = tempfile.mkdtemp(prefix="muskrat-pg-", dir="/var/tmp")
            os.chmod(self.home, 0o755)
            self.stage = os.path.join(self.home, "stage")
            if os.path.isdir(stage):
                shutil.copytree(stage, self.stage, symlinks=True)
            with open(os.path.join(self.folder, "elsewhere"), "w", encoding="utf-8") as f:
                f.write(self.home)
        self.data = os.path.join(self.home, "data")
        self.log_path = os.path.join(self.folder, "postgres.log")
        # A socket's path has room for 107 bytes; a deep checkout does without one.
        self.socket_dir = self.data if len(self.data) < 80 else ""

    def _reachable(self, path):
        if not self.user:
            return True
        return subprocess.run(self._as_user(["test", "-x", path]), check=False, cwd="/").returncode == 0

    def _as_user(self, argv):
        """The same command line, run as the server's user."""
        return ["setpriv", "--reuid", self.user, "--regid", self.user, "--init-groups", *argv] if self.user else argv

    def _remove_elsewhere(self):
        note = os.path.join(self.folder, "elsewhere")
        if not os.path.exists(note):
            return
        with open(note, encoding="utf-8") as f:
            home = f.read().strip()
        if home.startswith("/var/tmp/muskrat-pg-"):
            shutil.rmtree(home, ignore_errors=True)
        os.unlink(note)

    def _initdb(self):
        shutil.rmtree(self.data, ignore_errors=True)
        os.mkdir(self.data, 0o700)
        if self.user:
            entry = pwd.getpwnam(self.user)
            os.chown(self.data, entry.pw_uid, entry.pw_gid)
        argv = [self._program("initdb"), "-D", self.data, "-U", "postgres", "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8",
                "--no-sync"]
        with open(self.log_path, "ab") as log:
            done = subprocess.run(self._as_user(argv), stdout=log, stderr=log, check=False, cwd="/", env=self._env())
        if done.returncode != 0:
            raise RuntimeError(f"initdb failed; see {self.log_path}")

    def _write_conf(self):
        conf = dict(SETTINGS, port=self.port, unix_socket_directories=self.socket_dir)
        if not self.fsync:
            conf.update(fsync="off", full_page_writes="off")
        lib = f"{self.stage}/usr/lib/postgresql/{self.major}/lib"
        share = f"{self.stage}/usr/share/postgresql/{self.major}"
        if self.major >= 18:
            conf["extension_control_path"] = f"{share}:$system"
            conf["dynamic_library_path"] = f"{lib}:$libdir"
        else:
            conf["extension_destdir"] = self.stage  # Debian's patch
        conf.update(self.extra)
        path = os.path.join(self.data, "muskrat.conf")
        with open(path, "w", encoding="utf-8") as f:
            for name, value in conf.items():
                quoted = str(value).replace("'", "''")
                f.write(f"{name} = '{quoted}'\n")
        os.chmod(path, 0o644)
        main = os.path.join(self.data, "postgresql.conf")
        with open(main, encoding="utf-8") as f:
            included = "include 'muskrat.conf'" in f.read()
        if not included:
            with open(main, "a", encoding="utf-8") as f:
                f.write("include 'muskrat.conf'\n")

    def _family(self):
        """The postmaster's children."""
        try:
            with open(f"/proc/{self.child.pid}/task/{self.child.pid}/children", encoding="ascii") as f:
                return [int(p) for p in f.read().split()]
        except FileNotFoundError:
            return []


