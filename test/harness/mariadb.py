"""A private MariaDB server for tests, the demo and the benchmarks; used through servers.py.

It is our child, listens on loopback alone, and keeps everything in its folder. root logs in without a password.
"""
import os
import shutil
import signal
import subprocess

import pymysql

from .processes import Child, clear_leftovers, free_port, wait_until

SETTINGS = {
    "bind-address": "127.0.0.1",
    "max-connections": "100",
    "innodb-buffer-pool-size": "128M",
    "innodb-log-file-size": "256M",
    "performance-schema": "OFF",
    "default-time-zone": "+00:00",
    "log-bin-trust-function-creators": "1",
}


class MariaDB:
    def __init__(self, folder, fsync=False, settings=None, port=None, keep=False, program="mariadbd"):
        """`settings`: further options, as on mariadbd's command line. `fsync`: survive a crash of the machine."""
        self.folder = os.path.abspath(folder)
        self.data = os.path.join(self.folder, "data")
        self.log_path = os.path.join(self.folder, "mariadb.log")
        # A socket's path has room for 107 bytes; a deep checkout does without one.
        socket = os.path.join(self.folder, "s")
        self.socket = socket if len(socket) < 100 else f"/tmp/muskrat-mariadb-{os.getpid()}-{free_port()}"
        self.port = port or free_port()
        self.program = program
        self.keep = keep
        self.child = None
        self.settings = dict(SETTINGS, **({} if fsync else {"innodb-flush-log-at-trx-commit": "2"}), **(settings or {}))
        os.makedirs(self.folder, exist_ok=True)
        clear_leftovers(self.folder)

    # ---- life ----

    def start(self, timeout=60):
        if not os.path.isdir(os.path.join(self.data, "mysql")):
            self._install()
        argv = [shutil.which(self.program, path=os.environ.get("PATH", "") + ":/usr/sbin") or self.program, "--no-defaults",
                f"--datadir={self.data}", f"--socket={self.socket}", f"--port={self.port}", *self._user(),
                f"--pid-file={self.folder}/mariadbd.pid"]
        argv += [f"--{name}={value}" for name, value in self.settings.items()]
        self.child = Child(argv, self.log_path, cwd="/", record=self.folder, death_signal=signal.SIGKILL, keep=self.keep,
                           what="mariadbd")
        self.wait_ready(timeout)
        return self

    def wait_ready(self, timeout=60):
        def answers():
            if not self.child.running():
                raise RuntimeError(f"MariaDB did not start; its log {self.log_path} ends:\n{self.child.log(15)}")
            try:
                self.connect("mysql").close()
                return True
            except pymysql.err.OperationalError:
                return False
        wait_until(answers, timeout, f"MariaDB on port {self.port} (log: {self.log_path})")

    def stop(self, timeout=60):
        if self.child:
            self.child.stop(signal.SIGTERM, timeout)
            self.child = None

    def kill9(self):
        self.child.kill9()
        self.child = None

    def leave(self):
        self.stop()

    # ---- use ----

    def dsn(self, dbname="mysql", user="root"):
        return f"mysql://{user}@127.0.0.1:{self.port}/{dbname}"

    def connect(self, dbname="mysql", user="root", password="", **options):
        options = {"autocommit": True, "charset": "utf8mb4", **options}
        return pymysql.connect(host="127.0.0.1", port=self.port, user=user, password=password, database=dbname, **options)

    def sql(self, text, dbname="mysql", **options):
        """Runs one statement as root; its rows."""
        connection = self.connect(dbname, **options)
        try:
            with connection.cursor() as cursor:
                cursor.execute(text)
                return cursor.fetchall()
        finally:
            connection.close()

    def script(self, text, dbname="mysql"):
        """Runs a script of the client's (DELIMITER is known to it)."""
        done = subprocess.run(["mariadb", "--no-defaults", "-u", "root", "-h", "127.0.0.1", "-P", str(self.port), "--batch",
                               "--skip-column-names", dbname], input=text, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"mariadb: {done.stderr.strip()}")
        return done.stdout.strip()

    def create_database(self, name):
        self.sql(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")

    def drop_database(self, name):
        self.sql(f"DROP DATABASE IF EXISTS `{name}`")

    # ---- inside ----

    def _user(self):
        return ["--user=root"] if os.geteuid() == 0 else []

    def _install(self):
        shutil.rmtree(self.data, ignore_errors=True)
        argv = ["mariadb-install-db", "--no-defaults", f"--datadir={self.data}", "--auth-root-authentication-method=normal",
                "--skip-test-db", *self._user()]
        with open(self.log_path, "ab") as log:
            done = subprocess.run(argv, stdout=log, stderr=log, check=False, cwd="/")
        if done.returncode != 0:
            raise RuntimeError(f"mariadb-install-db failed; see {self.log_path}")
