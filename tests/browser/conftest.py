"""One server, one browser and one page for the tests of this folder, all closed when they end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from . import evidence, harness

#: Restarting a kernel costs half a minute; the tests share one notebook each and leave it tidy.
SMOKE = {"L2L_SMOKE": "1", "OMP_NUM_THREADS": "1"}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """Let a test that failed leave pictures and words: a run far away cannot be looked at."""
    report = yield
    if report.failed:
        chosen = os.environ.get("L2L_SCREENSHOTS")
        own = item.config._tmp_path_factory.getbasetemp() / "browser-failures"
        folder = Path(chosen) if chosen else own
        report.sections.append(("What the browser showed", evidence.leave(folder, item.name)))
    return report


@pytest.fixture(scope="package")
def chromium():
    found = harness.find_chromium()
    if found is None:
        message = "no Chromium or Chrome was found (apt-get install chromium, or set L2L_CHROMIUM)"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found


@pytest.fixture(scope="package")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("notebooks")


@pytest.fixture(scope="package")
def address(chromium, folder):
    with harness.lab(folder, "student_1", SMOKE) as address:
        yield address


@pytest.fixture(scope="package")
def page(address):
    with harness.page() as page:
        yield page
