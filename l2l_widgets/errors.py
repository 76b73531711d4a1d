"""Errors as data: one line for a person, the rest for the log."""

from __future__ import annotations

import logging

_log = logging.getLogger(__name__)


def error_line(error: BaseException) -> str:
    """One line for a person; an error that is not about bad input is logged in full."""
    line = (str(error).strip().splitlines() or [""])[0]
    if isinstance(error, (ValueError, OSError)) and line:
        return line
    _log.error("unexpected error in a session", exc_info=error)
    return f"{type(error).__name__}: {line}"
