"""Intervals of what no mean is: distances of sets, scores of fitted models.

A bootstrap repeats rows, and a distance between sets takes repeated pictures for a narrower set:
resampled Fréchet distances lie above the one that was measured. The delete-a-group jackknife leaves
rows out instead (Quenouille 1956; Shao and Tu, The Jackknife and Bootstrap, 1995, chapter 2).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["GROUPS", "groups_of", "interval_around", "jackknife_interval"]

#: Of rows; one is left out at a time.
GROUPS = 10
#: 97.5 % quantile of Student's t with ``GROUPS - 1`` degrees of freedom.
_T = 2.2622


def jackknife_interval(
    statistic: Callable[[Tensor], float],
    count: int,
    value: float | None = None,
    *,
    low: float = -float("inf"),
    high: float = float("inf"),
) -> tuple[float, float]:
    """Return the 95 % interval of a statistic of rows.

    Parameters
    ----------
    statistic : callable
        Rows that are kept, bool (``count``,), to the number.
    count : int
        Rows (faces, not pictures: what was measured on one face is left out together); at least
        two a group.
    value : float, optional
        The number of all rows, where it is known.
    low, high : float
        The interval is cut where the statistic cannot be.

    Returns
    -------
    (float, float)
        NaN where the rows are too few, or too alike once a group is gone.
    """
    nothing = float("nan"), float("nan")
    if count < 2 * GROUPS:
        return nothing
    group = groups_of(count)
    try:
        left = torch.tensor([statistic(group != out) for out in range(GROUPS)], dtype=torch.float64)
        middle = statistic(torch.ones(count, dtype=torch.bool)) if value is None else value
    except ValueError:
        return nothing
    return interval_around(middle, left, low=low, high=high)


def interval_around(
    value: float, left: Tensor, *, low: float = -float("inf"), high: float = float("inf")
) -> tuple[float, float]:
    """Return the same of a value and of ``left`` (GROUPS,), what it is without each group."""
    error = ((left - left.mean()).square().sum() * (GROUPS - 1) / GROUPS).sqrt()
    ends = float(value - _T * error), float(value + _T * error)
    return max(low, ends[0]), min(high, ends[1])


def groups_of(count: int) -> Tensor:
    """Return the group of each of ``count`` rows, (count,) int64."""
    return torch.arange(count) % GROUPS
