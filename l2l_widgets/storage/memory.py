"""How much room there is before something large is read."""

from __future__ import annotations

from pathlib import Path


def available_memory() -> int | None:
    """Bytes of memory that are free for a process, where the system says so."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        return None
    return None
