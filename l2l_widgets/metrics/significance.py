"""How sure a mean is, for many means at once: intervals over faces and false-discovery control.

A leakage matrix has hundreds of cells; at 5 % each, dozens of empty ones would look full. The
intervals are Efron's percentile bootstrap (1979) with whole faces resampled; the control is that
of Benjamini and Hochberg (1995).
"""

from __future__ import annotations

import torch
from torch import Tensor

from l2l_widgets.metrics.resampling import resamples


def mean_intervals(
    values: Tensor, *, seed: int, draws: int = 1000, level: float = 0.95
) -> tuple[Tensor, Tensor]:
    """Return percentile intervals of the column means.

    Parameters
    ----------
    values : Tensor, shape (N, K)
        K numbers a face. One resample of the faces serves every column, so that differences of
        columns keep what they share.
    seed : int
        Seed of the resampling.
    draws : int
        Resamples.
    level : float
        Coverage, between 0 and 1.

    Returns
    -------
    low, high : Tensor, shape (K,), float64
    """
    _check(values)
    if not 0 < level < 1:
        raise ValueError(f"level is {level!r}; allowed: between 0 and 1")
    rows, n = values.double().cpu(), len(values)
    means = torch.cat([counts @ rows for counts in resamples(n, seed, draws)]) / n  # (draws, K)
    tail = (1 - level) / 2
    low, high = torch.quantile(means, torch.tensor([tail, 1 - tail], dtype=torch.float64), dim=0)
    return low, high


def mean_p_values(values: Tensor) -> Tensor:
    """Return the two-sided p-values (K,) of Student's t-test that the column means are 0.

    A bootstrap of 1,000 draws cannot resolve the small p-values that hundreds of cells ask for.

    Parameters
    ----------
    values : Tensor, shape (N, K), N >= 2
        K numbers a face. A column that is constantly 0 has p = 1, another constant p = 0.
    """
    _check(values)
    if len(values) < 2:
        raise ValueError("values have 1 face; allowed: at least 2")
    from scipy.special import stdtr  # heavy: only where something is tested

    rows, n = values.double().cpu(), len(values)
    mean, error = rows.mean(dim=0), rows.std(dim=0) / n**0.5
    t = torch.where(error > 0, mean.abs() / error.clamp_min(1e-300), 0.0)
    p = torch.from_numpy(2 * stdtr(n - 1, -t.numpy())).reshape(mean.shape)
    constant = torch.where(mean == 0, 1.0, 0.0).double()
    return torch.where(error > 0, p, constant)


def false_discovery_q_values(p_values: Tensor) -> Tensor:
    """Return Benjamini-Hochberg q-values: the smallest false-discovery rate that keeps a cell.

    Parameters
    ----------
    p_values : Tensor, any shape
        In [0, 1]; NaN where nothing was tested, and the answer is then NaN as well.

    Returns
    -------
    Tensor
        Of the same shape; cells below 0.05 are discoveries at a rate of 5 %.
    """
    known = ~p_values.isnan()
    p = p_values[known].double()
    if bool(((p < 0) | (p > 1)).any()):
        raise ValueError("p_values leave [0, 1]; allowed: 0 to 1, or NaN")
    out = torch.full(p_values.shape, float("nan"), dtype=torch.float64)
    if p.numel() == 0:
        return out
    order = p.argsort(descending=True)
    m = len(p)
    rank = torch.arange(m, 0, -1, dtype=torch.float64)
    # from the largest p down, so that a smaller p never gets a larger q
    q = torch.cummin(p[order] * m / rank, dim=0).values.clamp(max=1)
    found = torch.empty_like(q)
    found[order] = q
    out[known] = found
    return out


def _check(values: Tensor) -> None:
    if values.ndim != 2 or values.numel() == 0:
        raise ValueError(f"values have shape {tuple(values.shape)}; allowed: (N >= 1, K >= 1)")
    if not bool(torch.isfinite(values).all()):
        raise ValueError("values hold NaN or infinity; allowed: finite numbers")
