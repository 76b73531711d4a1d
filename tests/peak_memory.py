"""How much memory a stretch of a test takes at most, whatever the process took before it.

The high-water mark of a process only rises: after a test that took a gigabyte, one that takes half
of it raises nothing. Linux puts the mark back to what is held now when it is asked to; elsewhere
the rise of the mark is all there is to see.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["Peak", "peak_memory"]


class Peak:
    """What was taken; ``megabytes`` holds it once the stretch is over."""

    megabytes = float("nan")


def _status(field: str) -> float:
    """A line of what the system says of this process, MB."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"/proc/self/status has no {field}")


@contextlib.contextmanager
def peak_memory() -> Iterator[Peak]:
    """Measure resident memory over what is held at the start."""
    found = Peak()
    if sys.platform != "linux":
        import resource

        unit = 2**20 if sys.platform == "darwin" else 2**10
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
        try:
            yield found
        finally:
            after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
            found.megabytes = after - before
        return
    # what was freed and kept would be taken again without being seen
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _status("VmRSS")
    try:
        yield found
    finally:
        found.megabytes = _status("VmHWM") - before
