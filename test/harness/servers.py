"""Private servers: Postgres, MariaDB and RabbitMQ, for tests, the demo and the benchmarks.

By hand:  python3 test/harness/servers.py pg|mariadb|rabbitmq --dir FOLDER [--build BUILD] [--fsync]
runs one in the foreground until Ctrl-C and prints how to reach it. The data stays in FOLDER.
"""
import argparse
import os
import signal
import sys

if __package__ in (None, ""):
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from harness import build as where  # noqa: E402
from harness.mariadb import MariaDB  # noqa: E402
from harness.postgres import Postgres  # noqa: E402
from harness.rabbitmq import RabbitMQ  # noqa: E402

__all__ = ["MariaDB", "Postgres", "RabbitMQ"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", choices=["pg", "mariadb", "rabbitmq"])
    parser.add_argument("--dir", required=True, help="where its data lies")
    parser.add_argument("--build", default=where.default_build(), help="the build folder whose stage-<major> holds the extension")
    parser.add_argument("--port", type=int, help="default: a free one")
    parser.add_argument("--fsync", action="store_true", help="PostgreSQL, MariaDB: survive a crash of the machine")
    args = parser.parse_args()
    if args.which == "pg":
        server = Postgres(args.dir, build=os.path.abspath(args.build), fsync=args.fsync, port=args.port).start()
        print(f"PostgreSQL {server.major}: {server.dsn()}", flush=True)
    elif args.which == "mariadb":
        server = MariaDB(args.dir, fsync=args.fsync, port=args.port).start()
        print(f"MariaDB: {server.dsn()}", flush=True)
    else:
        server = RabbitMQ(args.dir, port=args.port).start()
        print(f"RabbitMQ {server.version}: {server.url()}", flush=True)
    print("Ctrl-C stops it", flush=True)
    try:
        signal.pause()
    except (KeyboardInterrupt, SystemExit):
        pass
    finally:
        server.stop()


if __name__ == "__main__":
    main()
