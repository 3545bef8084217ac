"""The demo from MariaDB, in a short form: what a first look at Muskrat shows must hold."""
import os
import subprocess
import sys

from harness import build as where
from world import BUILD

DEMO = os.path.join(where.TOP, "examples", "demo", "demo.py")


def test_demo_from_mariadb_ends_with_equal_customers_in_all_places():
    folder = os.path.join(BUILD, "check", "e2e-demo")
    done = subprocess.run([sys.executable, DEMO, "--build", BUILD, "--source", "mysql", "--seconds", "5", "--folder", folder],
                          capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert "customers are equal, field by field, in all four. The consumer was killed once on the way." in done.stdout
    assert "DIFFERENT" not in done.stdout
