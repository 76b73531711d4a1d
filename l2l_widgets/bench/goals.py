"""What the figures should be, at the sizes for which it was said, and whether they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["GOALS", "Goal", "check_goals"]

Report = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Goal:
    """A figure of one subject, at one size.

    Parameters
    ----------
    what : str
        In words, with the limit.
    sizes : mapping of str to int
        Options at which it holds; at others nothing is said.
    side : str
        Whose figure it is.
    found : callable
        Gets the report of the sides; the figure.
    limit : float
        What is allowed.
    most : bool
        Whether the limit is the most that is allowed; otherwise it is the least.
    """

    what: str
    sizes: Mapping[str, int]
    side: str
    found: Callable[[Report], float]
    limit: float
    most: bool = False


_FULL = {"codes": 100_000, "attributes": 35}
_MANY = {"codes": 1_000_000}


def _of(side: str, key: str) -> Callable[[Report], float]:
    return lambda report: float(report[side][key])


def _gain(side: str, key: str) -> Callable[[Report], float]:
    """How much a side is above the first, the reference."""
    return lambda report: float(report[side][key]) - float(next(iter(report.values()))[key])


def _slowest_added(report: Report) -> float:
    own = report["exact neighbours"]
    return max(float(own["add_first_seconds"]), float(own["add_seconds"]))


#: Subject -> its goals.
GOALS: dict[str, tuple[Goal, ...]] = {
    "directions": (
        *(
            Goal("at most 20 s on two cores", _FULL, side, _of(side, "seconds"), 20.0, most=True)
            for side in ("svm", "ridge")
        ),
        Goal("at least 10 times as fast as the script", _FULL, "ridge",
             _of("ridge", "ratio"), 10.0),
        Goal("a cosine not below", _FULL, "ridge", _gain("ridge", "cosine_median"), 0.0),
    ),
    "components": (
        Goal("at least 5 times as fast", _MANY, "streamed covariance",
             _of("streamed covariance", "ratio"), 5.0),
        Goal("a cosine not below", _MANY, "streamed covariance",
             _gain("streamed covariance", "cosine_median"), 0.0),
    ),
    "mapper": (
        Goal("at most 0.05 s on two cores", {"batch": 1000}, "editor", _of("editor", "seconds"),
             0.05, most=True),
    ),
    "map": (
        Goal("at most 25 s in a fresh process on two cores", {"codes": 10_000}, "exact neighbours",
             _of("exact neighbours", "first_seconds"), 25.0, most=True),
        Goal("at most 0.1 s to add a point, the first one too", {"codes": 10_000},
             "exact neighbours", _slowest_added, 0.1, most=True),
    ),
}  # fmt: skip


def check_goals(subject: str, options: Mapping[str, Any], report: Report) -> list[dict[str, Any]]:
    """Return what was asked at this size and what was found.

    Returns
    -------
    list of dict
        ``side``, ``what``, ``limit``, ``found`` and ``met`` of each goal; none at other sizes.
    """
    rows = []
    for goal in GOALS.get(subject, ()):
        if any(options.get(name) != size for name, size in goal.sizes.items()):
            continue
        found = goal.found(report)
        met = found <= goal.limit if goal.most else found >= goal.limit
        rows.append(
            {"side": goal.side, "what": goal.what, "limit": goal.limit, "found": found, "met": met}
        )
    return rows
