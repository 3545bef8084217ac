"""A daemon whose name server never answers for the hosts *.hole.

Used by the end-to-end tests of what hangs then; black_hole.c is loaded into the daemon's process alone.
"""
import os
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))


def black_hole(folder):
    """The environment of such a process."""
    library = os.path.join(folder, "black_hole.so")
    subprocess.run([os.environ.get("CC", "gcc"), "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-o", library,
                    os.path.join(HERE, "black_hole.c")], check=True)
    return {"LD_PRELOAD": library}
