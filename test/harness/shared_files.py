"""A pytest plugin: several pytest processes share the test files of one folder.

Each goes through all of them in the same order and takes the next one that nobody has (a file's tests stay together, for
they may share what they made). MUSKRAT_SHARE=<folder>:<number> names the folder that remembers who has what, and which of
the processes this is. Tests run in the main thread, as they do alone: children's parent-death signals and handlers need it.
"""
import os

import pytest


def share():
    """(folder, number) of this process; (None, None) when nothing is shared."""
    folder, _, number = os.environ.get("MUSKRAT_SHARE", "").rpartition(":")
    return (folder, number) if folder else (None, None)


class Claims:
    def __init__(self, folder, number):
        self.folder, self.number = folder, number
        self.known = {}

    def mine(self, path):
        if path not in self.known:
            try:
                claim = os.open(os.path.join(self.folder, os.path.basename(path)), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
                os.write(claim, self.number.encode())
                os.close(claim)
                self.known[path] = True
            except FileExistsError:
                self.known[path] = False
        return self.known[path]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item):
        # True: somebody has seen to it. Fixtures of a session or a file end with the next test of ours, or with the session.
        return None if self.mine(str(item.path)) else True


def pytest_configure(config):
    folder, number = share()
    if folder:
        config.pluginmanager.register(Claims(folder, number), "shared-files")
