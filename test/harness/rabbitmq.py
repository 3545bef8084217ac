"""A private RabbitMQ on loopback: own node name, cookie, folders and epmd, so that it meets no other on the machine.

Used through servers.py. Started from RabbitMQ's lib folder (Debian's wrapper in /usr/sbin insists on its own user). The
Erlang VM is our direct child, and so is its epmd: Erlang would start one as a daemon, and that would outlive us.
"""
import glob
import logging
import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess

import pika

from .processes import Child, clear_leftovers, free_port, wait_until

logging.getLogger("pika").setLevel(logging.CRITICAL)  # each refused connection while we wait would be a page of log

DEFAULTS = {
    "log.console": "false",
    "log.file.level": "info",
    "disk_free_limit.absolute": "20MB",
    "loopback_users": "none",
    "raft.wal_max_size_bytes": "33554432",
    "tcp_listen_options.nodelay": "true",
}


def server_program():
    """…/sbin of the newest installed RabbitMQ."""
    found = sorted(glob.glob("/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin"),
                   key=lambda p: [int(n) for n in p.split("rabbitmq_server-")[1].split("/")[0].split(".") if n.isdigit()])
    if not found:
        raise RuntimeError("no RabbitMQ server is installed; run `make deps`")
    return found[-1]


class RabbitMQ:
    def __init__(self, folder, settings=None, keep=False, port=None):
        """`settings`: further lines of rabbitmq.conf."""
        self.folder = os.path.abspath(folder)
        self.sbin = server_program()
        self.version = self.sbin.split("rabbitmq_server-")[1].split("/")[0]
        self.port = port or free_port()
        self.dist_port = free_port()
        self.epmd_port = free_port()
        self.node = f"muskrat{self.port}@localhost"
        self.extra = dict(settings or {})
        self.keep = keep
        self.child = self.epmd = None
        os.makedirs(self.folder, exist_ok=True)
        clear_leftovers(self.folder)
        self.log_path = os.path.join(self.folder, "rabbitmq.out")
        self._vhosts = 0

    # ---- life ----

    def start(self, timeout=120):
        """Starts on whatever data the folder holds, and waits until clients are served."""
        self._write_files()
        if not (self.epmd and self.epmd.running()):
            self.epmd = Child(["epmd", "-port", str(self.epmd_port), "-address", "127.0.0.1"], self.log_path, env=self._env(),
                              cwd=self.folder, record=self.folder, keep=self.keep, what="epmd")
        # RABBITMQ_ALLOW_INPUT makes the script exec the VM, which thus is our child; -noinput takes the input back.
        self.child = Child([f"{self.sbin}/rabbitmq-server", "-noinput"], self.log_path,
                           env=dict(self._env(), RABBITMQ_ALLOW_INPUT="1"), cwd=self.folder, record=self.folder,
                           keep=self.keep, what="rabbitmq")
        self.wait_ready(timeout)
        return self

    def wait_ready(self, timeout=120):
        def answers():
            if not self.child.running():
                raise RuntimeError(f"RabbitMQ did not start; {self.log_path} ends:\n{self.child.log(15)}")
            try:
                self.connect().close()
                return True
            except (pika.exceptions.AMQPError, OSError):
                return False
        wait_until(answers, timeout, f"RabbitMQ on port {self.port} (log: {self.folder}/log)", interval=0.2)

    def stop(self, timeout=60):
        """A clean stop: the VM shuts the node down on SIGTERM."""
        if self.child:
            self.child.stop(signal.SIGTERM, timeout)
            self.child = None
        if self.epmd:
            self.epmd.stop(signal.SIGKILL)
            self.epmd = None

    def kill9(self):
        """kill -9 of the Erlang VM. start() brings the node back on the same data."""
        self.child.kill9()
        self.child = None

    def restart(self):
        self.stop()
        self.start()

    def remove(self):
        if self.child:
            self.kill9()
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- use ----

    def url(self, vhost="/", user="guest", password="guest"):
        return f"amqp://{user}:{password}@127.0.0.1:{self.port}/{vhost.replace('/', '%2F')}"

    def connect(self, vhost="/", heartbeat=0):
        """A pika connection."""
        return pika.BlockingConnection(pika.ConnectionParameters(
            "127.0.0.1", self.port, vhost, pika.PlainCredentials("guest", "guest"), heartbeat=heartbeat,
            socket_timeout=15, blocked_connection_timeout=30))

    def ctl(self, *args, timeout=60, check=True):
        """rabbitmqctl; returns its output."""
        done = subprocess.run([f"{self.sbin}/rabbitmqctl", "-q", "-n", self.node, *args], capture_output=True, text=True,
                              env=self._env(), cwd=self.folder, timeout=timeout, check=False, stdin=subprocess.DEVNULL)
        if check and done.returncode != 0:
            raise RuntimeError(f"rabbitmqctl {' '.join(args)}: {(done.stderr or done.stdout).strip()}")
        return done.stdout.strip()

    def ctl_command(self):
        """The words that begin a rabbitmqctl command, for a shell: tests that are not in Python use them."""
        env = [f"{name}={value}" for name, value in self._env().items()]
        return shlex.join(["env", *env, f"{self.sbin}/rabbitmqctl", "-q", "-n", self.node])

    def eval(self, expression, timeout=60):
        """The value of an Erlang expression in the broker, as text (binaries do not show). rabbitmqctl takes a second for it, which
        is a new virtual machine's."""
        with open(os.path.join(self.folder, ".erlang.cookie"), encoding="ascii") as f:
            cookie = f.read().strip()
        done = subprocess.run(["erl_call", "-sname", self.node, "-c", cookie, "-e"], input=expression + ".\n", capture_output=True,
                              text=True, env=self._env(), cwd=self.folder, timeout=timeout, check=False)
        found = re.fullmatch(r"\{ok, (.*)\}", done.stdout.strip(), re.S)
        if done.returncode != 0 or not found:
            raise RuntimeError(f"{expression}: {done.stdout.strip()} {done.stderr.strip()}")
        return found.group(1)

    def create_vhost(self, name=None):
        """A new vhost that guest may use."""
        self._vhosts += 1
        name = name or f"v{self._vhosts}"
        self.eval(f'ok = rabbit_vhost:add(<<"{name}">>, <<"muskrat">>), ok = rabbit_auth_backend_internal:set_permissions(<<"guest">>, '
                  f'<<"{name}">>, <<".*">>, <<".*">>, <<".*">>, <<"muskrat">>)')
        return name

    def delete_vhost(self, name):
        self.eval(f'ok = rabbit_vhost:delete(<<"{name}">>, <<"muskrat">>)')

    # ---- inside ----

    def _env(self):
        path = os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin:/sbin:/bin"
        local = "-kernel inet_dist_use_interface {127,0,0,1}"
        return {
            "PATH": path, "HOME": self.folder, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8",
            "ERL_EPMD_PORT": str(self.epmd_port), "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self.node, "RABBITMQ_NODE_PORT": str(self.port), "RABBITMQ_DIST_PORT": str(self.dist_port),
            "RABBITMQ_CONF_ENV_FILE": f"{self.folder}/env.conf", "RABBITMQ_CONFIG_FILE": f"{self.folder}/rabbitmq",
            "RABBITMQ_CONFIG_FILES": f"{self.folder}/conf.d/*.conf",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{self.folder}/advanced.config",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{self.folder}/enabled_plugins",
            "RABBITMQ_MNESIA_BASE": f"{self.folder}/data", "RABBITMQ_LOG_BASE": f"{self.folder}/log",
            "RABBITMQ_PID_FILE": f"{self.folder}/rabbitmq.pid", "RABBITMQ_FEATURE_FLAGS_FILE": f"{self.folder}/feature_flags",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-start_epmd false {local} +S 2:2",
            "RABBITMQ_CTL_ERL_ARGS": f"-start_epmd false {local} +S 1:1",
            "RABBITMQ_CTL_DIST_PORT_MIN": "40000", "RABBITMQ_CTL_DIST_PORT_MAX": "59999",
            "ERL_CRASH_DUMP": "/dev/null",
        }

    def _write_files(self):
        for sub in ("data", "log", "conf.d"):
            os.makedirs(os.path.join(self.folder, sub), exist_ok=True)
        cookie = os.path.join(self.folder, ".erlang.cookie")
        if not os.path.exists(cookie):
            with open(os.open(cookie, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w", encoding="ascii") as f:
                f.write(secrets.token_hex(16))
        conf = dict(DEFAULTS, **{"listeners.tcp.1": f"127.0.0.1:{self.port}"}, **self.extra)
        files = {
            "rabbitmq.conf": "".join(f"{k} = {v}\n" for k, v in conf.items()),
            "env.conf": "",
            "advanced.config": "[].\n",
            "enabled_plugins": "[].\n",
        }
        for name, text in files.items():
            with open(os.path.join(self.folder, name), "w", encoding="utf-8") as f:
                f.write(text)
