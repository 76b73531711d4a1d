"""How the tests are shared among processes, and in which order they come."""

from __future__ import annotations

import pytest

#: Where the tests are that drive a browser.
BROWSER = "tests/browser/"


def pytest_collection_modifyitems(items):
    """Begin what takes long: the browser, then modules with slow tests; the small ones fill up."""
    long = {i.path for i in items if {"slow", "notebook"} & {m.name for m in i.iter_markers()}}

    def rank(item):
        return 0 if item.nodeid.startswith(BROWSER) else 1 if item.path in long else 2

    items.sort(key=rank)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A module's tests stay in one process, and so do those of all the browser's modules.

    Two browsers would wait for each other's pictures. While the one waits for a kernel or a page,
    the other processes have the cores.
    """
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid):
            return BROWSER if nodeid.startswith(BROWSER) else super()._split_scope(nodeid)

    return Scheduling(config, log)
