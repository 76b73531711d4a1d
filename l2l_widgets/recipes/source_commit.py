"""Which commit of the source a training runs from."""

from __future__ import annotations

import subprocess
from pathlib import Path


def _git(*words: str) -> str | None:
    """Return what git says of this source file's repository, or None where it says nothing."""
    try:
        done = subprocess.run(
            ["git", *words],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def source_commit() -> str:
    """Return the commit of the source tree, with "-dirty" after it where changed; "" outside one.

    An installed package may lie in an environment inside somebody else's repository: that commit
    says nothing about this code, so the file itself must be tracked.
    """
    if _git("ls-files", "--error-unmatch", Path(__file__).name) is None:
        return ""
    return _git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*") or ""
