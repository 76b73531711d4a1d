"""Whether a reader's numbers mean what they say: calibration, AUC, R², agreement with another.

A reader of degrees in [0, 1] is calibrated where faces that it reads as 0.7 are 0.7 on average.
Sources: the binned calibration error is that of Naeini et al. (AAAI 2015), with the true degree in
place of the share of a class; AUC by ranks is Mann and Whitney's (1947).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from l2l_widgets.metrics.resampling import resamples

__all__ = ["Reliability", "agreement", "r_squared", "reliability", "roc_auc"]


@dataclass(frozen=True)
class Reliability:
    """Readings against the truth, in bins of the reading.

    Parameters
    ----------
    count : Tensor, shape (A, bins), int64
        Faces in each bin.
    reading, truth : Tensor, shape (A, bins), float64
        Their mean reading and mean true degree, in [0, 1]; NaN where a bin is empty.
    error : Tensor, shape (A,), float64
        Expected calibration error, in [0, 1]: the distance of the two, averaged over faces.
    """

    count: Tensor
    reading: Tensor
    truth: Tensor
    error: Tensor


def reliability(readings: Tensor, truth: Tensor, bins: int = 10) -> Reliability:
    """Bin each attribute's readings at equal widths and compare them with the truth.

    Parameters
    ----------
    readings, truth : Tensor, shape (N, A)
        What was read and what is, in [0, 1].
    bins : int
        Bins between 0 and 1, at least 1.

    Raises
    ------
    ValueError
        Shapes that differ, values that are not in [0, 1], or no bin.
    """
    _check(readings, truth)
    if type(bins) is not int or bins < 1:
        raise ValueError(f"bins is {bins!r}; allowed: a whole number, 1 or more")
    r, t = readings.double().cpu(), truth.double().cpu()
    which = (r * bins).long().clamp_max(bins - 1)  # a reading of 1 belongs to the last bin
    count = torch.zeros(bins, r.shape[1], dtype=torch.float64)
    sums = [count.clone(), count.clone()]
    count.scatter_add_(0, which, torch.ones_like(r))
    for total, values in zip(sums, (r, t), strict=True):
        total.scatter_add_(0, which, values)
    reading, true = (torch.where(count > 0, s / count, torch.nan) for s in sums)
    distance = (reading - true).abs().nan_to_num(0.0)
    error = (distance * count).sum(dim=0) / len(r)
    return Reliability(count.long().T, reading.T, true.T, error)


def r_squared(readings: Tensor, truth: Tensor) -> Tensor:
    """Return the coefficients of determination (A,): 1 is perfect, 0 is as good as the mean.

    Parameters
    ----------
    readings, truth : Tensor, shape (N >= 2, A)
        In [0, 1]; NaN comes out where the truth does not vary.
    """
    _check(readings, truth)
    r, t = readings.double().cpu(), truth.double().cpu()
    left = (r - t).square().sum(dim=0)
    whole = (t - t.mean(dim=0)).square().sum(dim=0)
    return torch.where(whole > 0, 1 - left / whole, torch.nan)


def roc_auc(readings: Tensor, truth: Tensor, threshold: float = 0.5) -> Tensor:
    """Return the areas under the ROC curve (A,): 1 is a perfect order, 0.5 none.

    Parameters
    ----------
    readings, truth : Tensor, shape (N, A)
        In [0, 1].
    threshold : float
        A face has an attribute where its true degree is above this; NaN comes out where all faces
        have it, or none.
    """
    _check(readings, truth)
    areas = []
    for column, has in zip(readings.double().cpu().T, (truth > threshold).cpu().T, strict=True):
        positive = int(has.sum())
        negative = len(has) - positive
        if not positive or not negative:
            areas.append(float("nan"))
            continue
        _, which, count = torch.unique(column, return_inverse=True, return_counts=True)
        # equal readings share the mean of their ranks
        rank = (count.cumsum(0) - (count - 1) / 2)[which]
        areas.append(
            float((rank[has].sum() - positive * (positive + 1) / 2) / (positive * negative))
        )
    return torch.tensor(areas, dtype=torch.float64)


def agreement(
    first: Tensor, second: Tensor, *, seed: int, draws: int = 1000, level: float = 0.95
) -> tuple[Tensor, Tensor, Tensor]:
    """Return Pearson's correlations of two readers' readings of the same faces.

    Parameters
    ----------
    first, second : Tensor, shape (N >= 2, A)
        What each reads.
    seed, draws : int
        Of the bootstrap over faces.
    level : float
        Coverage, between 0 and 1.

    Returns
    -------
    correlation, low, high : Tensor, shape (A,), float64
        In [-1, 1], with the ends of its interval; NaN where a reader reads all faces alike.
    """
    if first.shape != second.shape or first.ndim != 2 or len(first) < 2:
        raise ValueError(
            f"readings have shapes {tuple(first.shape)} and {tuple(second.shape)}; allowed: twice "
            "the same (N >= 2, A)"
        )
    if not bool(torch.isfinite(first).all() and torch.isfinite(second).all()):
        raise ValueError("readings hold NaN or infinity; allowed: finite numbers")
    # near 0, so that no square cancels another
    x, y = (v.double().cpu() - v.double().cpu().mean(dim=0) for v in (first, second))
    rows = torch.cat([x, y, x * x, y * y, x * y], dim=1)
    n = len(x)
    drawn = torch.cat([counts @ rows for counts in resamples(n, seed, draws)]) / n
    found = _correlation(rows.mean(dim=0)[None])[0]
    tail = (1 - level) / 2
    places = torch.tensor([tail, 1 - tail], dtype=torch.float64)
    low, high = _correlation(drawn).nanquantile(places, dim=0)
    return found, low, high


def _correlation(moments: Tensor) -> Tensor:
    """Correlations (D, A) of means (D, 5 A) of x, y, their squares and their product."""
    x, y, xx, yy, xy = moments.chunk(5, dim=1)
    width = ((xx - x * x).clamp_min(0) * (yy - y * y).clamp_min(0)).sqrt()
    known = width > 1e-12
    share = (xy - x * y) / torch.where(known, width, 1.0)
    return torch.where(known, share.clamp(-1, 1), float("nan"))


def _check(readings: Tensor, truth: Tensor) -> None:
    if readings.shape != truth.shape or readings.ndim != 2 or readings.numel() == 0:
        raise ValueError(
            f"readings have shape {tuple(readings.shape)}, truth {tuple(truth.shape)}; "
            "allowed: the same (N >= 1, A >= 1)"
        )
    for name, values in (("readings", readings), ("truth", truth)):
        if not bool(((values >= 0) & (values <= 1)).all()):
            raise ValueError(f"{name} leave [0, 1]; allowed: 0 to 1")
