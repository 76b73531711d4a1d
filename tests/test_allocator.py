"""Memory that a page at rest gives back: what the threads of its views have freed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# Small pieces stay in the arena of their thread; the last lives on, and keeps the rest there.
WORK = """
import re, threading
from l2l_widgets.allocator import give_back

def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024

kept = []
def work():
    pieces = [bytearray(60_000) for _ in range(300)]
    kept.append(pieces[-1])

for _ in range(6):
    thread = threading.Thread(target=work)
    thread.start(); thread.join()
before = resident()
done = give_back()
print(done, give_back(), before - resident())
"""


def run(**environ):
    done = subprocess.run(
        [sys.executable, "-c", WORK], env={**os.environ, **environ},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.split()


@pytest.mark.parametrize(("setting", "gives"), [("1", sys.platform == "linux"), ("0", False)])
def test_what_threads_have_freed_is_given_back_once_and_can_be_kept(setting, gives):
    done, again, saved = run(L2L_KEEP_MEMORY=setting)
    assert done == str(gives)
    assert again == "False", "nor twice at once: many views come to rest together"
    assert (float(saved) > 8) == gives, "MB"
