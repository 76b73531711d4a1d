"""How far one set of features is from another: Fréchet distance, k-NN precision and recall.

Pure functions of features; whose features they are is part of the metric's name where it is
reported.
"""

from __future__ import annotations

import torch
from torch import Tensor


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Fréchet distance between Gaussians fitted to two sets (Heusel et al. 2017); lower is closer.

    Parameters
    ----------
    a, b : Tensor, shape (N, D) and (M, D)
        Features; with fewer rows than D the covariance is singular and the distance biased.
    """
    _check(a, b)
    a, b = a.double(), b.double()
    mean = (a.mean(0) - b.mean(0)).square().sum()
    cov_a, cov_b = torch.cov(a.T), torch.cov(b.T)
    root = _sqrt(cov_a)
    # tr (A B)^1/2 through the symmetric product, whose root is real
    cross = torch.linalg.eigvalsh(root @ cov_b @ root).clamp_min(0).sqrt().sum()
    return max(0.0, float(mean + cov_a.trace() + cov_b.trace() - 2 * cross))


def precision_recall(real: Tensor, fake: Tensor, k: int = 3) -> tuple[float, float]:
    """Improved precision and recall (Kynkäänniemi et al. 2019), both in [0, 1]; higher is better.

    Parameters
    ----------
    real, fake : Tensor, shape (N, D) and (M, D)
        Features.
    k : int
        Neighbours that bound a sample's ball, at least 1.

    Returns
    -------
    precision : float
        Share of ``fake`` inside the balls of ``real``: looks right.
    recall : float
        Share of ``real`` inside the balls of ``fake``: nothing is missing.
    """
    _check(real, fake)
    if not 1 <= k < min(len(real), len(fake)):
        raise ValueError(f"k is {k}; allowed: 1 to {min(len(real), len(fake)) - 1}")

    def radius(x: Tensor) -> Tensor:
        return torch.cdist(x, x).kthvalue(k + 1, dim=1).values

    distance = torch.cdist(fake, real)  # (M, N)
    precision = (distance <= radius(real)[None]).any(1).float().mean()
    recall = (distance <= radius(fake)[:, None]).any(0).float().mean()
    return float(precision), float(recall)


def _sqrt(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ torch.diag(values.clamp_min(0).sqrt()) @ vectors.T


def _check(a: Tensor, b: Tensor) -> None:
    for name, x in (("first", a), ("second", b)):
        if x.ndim != 2 or len(x) < 2:
            raise ValueError(f"the {name} set has shape {tuple(x.shape)}; allowed: (N >= 2, D)")
        if not torch.isfinite(x).all():
            raise ValueError(f"the {name} set holds values that are not finite")
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"features have lengths {a.shape[1]} and {b.shape[1]}; allowed: the same")
