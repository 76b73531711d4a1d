"""The tests are shared among processes: those of the browser in one, what takes long at first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
#: Each test tells its name and its process, in the order in which they run.
TELL = """
import os, pytest
{mark}
def test_it(worker_id):
    with open("ran", "a") as ran:
        print("{name}", worker_id, file=ran)
"""
FILES = {
    "test_a": "",
    "test_b": "@pytest.mark.notebook",
    "test_c": "",
    "test_d": "@pytest.mark.slow",
    "browser/test_e": "@pytest.mark.browser",
    "browser/test_f": "@pytest.mark.browser",
    "browser/test_g": "@pytest.mark.browser",
}


def run(folder, *options):
    """The names of the tests of each process, in the order in which they ran there."""
    (folder / "tests" / "browser").mkdir(parents=True)
    for name, mark in FILES.items():
        path = folder / "tests" / f"{name}.py"
        path.write_text(TELL.format(name=path.stem[-1], mark=mark))
    words = ["-p", "sharing", "-p", "no:cacheprovider", *options]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "pytest", *words, "tests"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(HERE), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, str] = {}
    for line in (folder / "ran").read_text().splitlines():
        name, process = line.split()
        found[process] = found.get(process, "") + name
    return found


def test_one_process_drives_the_browser_and_the_small_ones_come_last(tmp_path):
    options = (HERE.parent / "Makefile").read_text("utf-8").partition("SHARED := -n $(WORKERS) ")[2]
    shared = run(tmp_path / "two", "-n", "2", *options.splitlines()[0].split())
    assert sorted(shared) == ["gw0", "gw1"]
    other, first = sorted(shared.values())
    assert first.startswith("efg"), "the browser's are one unit, and begin at once"
    assert other.startswith("bd"), "the other process begins with what takes long"
    assert sorted(first + other) == sorted("abcdefg")
    assert run(tmp_path / "one") == {"master": "efgbdac"}
