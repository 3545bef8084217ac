"""A daemon whose wall clock shows another time of day.

Used by the end-to-end tests of what happens at midnight, or when a clock is set; shifted_clock.c is loaded into the
daemon's process alone.
"""
import datetime
import os
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))


def ahead(folder, shift):
    """The environment of a process whose clock is ahead by so much, a timedelta."""
    library = os.path.join(folder, "shifted_clock.so")
    subprocess.run([os.environ.get("CC", "gcc"), "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-o", library,
                    os.path.join(HERE, "shifted_clock.c")], check=True)
    return {"LD_PRELOAD": library, "SHIFTED_BY_US": str(shift // datetime.timedelta(microseconds=1))}


def before_midnight(folder, seconds):
    """The environment of a process for which UTC's midnight is so many seconds away."""
    now = datetime.datetime.now(datetime.timezone.utc)
    midnight = datetime.datetime.combine(now.date() + datetime.timedelta(days=1), datetime.time(), datetime.timezone.utc)
    return ahead(folder, midnight - datetime.timedelta(seconds=seconds) - now)
