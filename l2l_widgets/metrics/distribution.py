"""How far one set of features is from another: Fréchet and kernel distance, precision, recall.

Pure functions of features; whose features they are is part of the metric's name where it is
reported. Only with those of the official Inception network are they plain FID, KID and IS.
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
        rows = [torch.cdist(part, x).kthvalue(k + 1, dim=1).values for part in x.split(1024)]
        return torch.cat(rows)

    # In parts: at ten thousand pictures a side one matrix of distances is 400 MB.
    ball_real, ball_fake = radius(real), radius(fake)
    inside, covered = [], torch.zeros(len(real), dtype=torch.bool, device=real.device)
    for part, ball in zip(fake.split(1024), ball_fake.split(1024), strict=True):
        distance = torch.cdist(part, real)
        inside.append((distance <= ball_real[None]).any(1))
        covered |= (distance <= ball[:, None]).any(0)
    return float(torch.cat(inside).float().mean()), float(covered.float().mean())


def kernel_distance(
    a: Tensor, b: Tensor, *, subsets: int = 100, subset_size: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Kernel distance, the MMD of KID (Binkowski et al. 2018); unbiased, so about 0 for equals.

    The polynomial kernel is ``(x.y / D + 1)^3``. Unlike a Fréchet distance it may be compared
    between sets of different sizes, and is the one to read below 2,000 pictures.

    Parameters
    ----------
    a, b : Tensor, shape (N, D) and (M, D)
        Features.
    subsets : int
        Random subsets over which to average.
    subset_size : int
        Rows of a subset; where a set has no more rows than that, the whole set is one subset.
    seed : int
        Of the subsets.

    Returns
    -------
    mean, deviation : float
        Mean over the subsets, and their standard deviation (0 for one subset).
    """
    _check(a, b)
    if subsets < 1 or subset_size < 2:
        raise ValueError(
            f"subsets is {subsets} and subset_size {subset_size}; allowed: at least 1 and 2"
        )
    a, b = a.double().cpu(), b.double().cpu()
    size = min(len(a), len(b), subset_size)
    if size == len(a) == len(b):
        subsets = 1  # every subset is the whole
    generator = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(subsets):
        x = a[torch.randperm(len(a), generator=generator)[:size]]
        y = b[torch.randperm(len(b), generator=generator)[:size]]
        within = _kernel(x, x) + _kernel(y, y)
        same = (within.sum() - within.diagonal().sum()) / (size * (size - 1))
        found.append(same - 2 * _kernel(x, y).mean())
    values = torch.stack(found)
    return float(values.mean()), float(values.std(correction=0))


def kernel_distances_without(
    a: Tensor, b: Tensor, group_a: Tensor, group_b: Tensor, groups: int
) -> Tensor:
    """Return the kernel distance of whole sets without each of their groups, for a jackknife.

    Parameters
    ----------
    a, b : Tensor, shape (N, D) and (M, D)
        Features.
    group_a, group_b : Tensor, shape (N,) and (M,), int64
        Group of each row, from 0; one group goes from both sets at once.
    groups : int
        G, how many there are.

    Returns
    -------
    Tensor, shape (G,), float64
    """
    _check(a, b)
    sets = [(x.double().cpu(), torch.eye(groups, dtype=torch.float64)[group.cpu()])
            for x, group in ((a, group_a), (b, group_b))]  # fmt: skip

    def sums(first: int, second: int) -> Tensor:
        """Kernel summed over pairs of groups, (G, G); nobody is a pair with himself."""
        (x, of_x), (y, of_y) = sets[first], sets[second]
        found = torch.zeros(groups, groups, dtype=torch.float64)
        for rows in torch.arange(len(x)).split(1024):
            values = _kernel(x[rows], y)
            if first == second:
                values[torch.arange(len(rows)), rows] = 0
            found += of_x[rows].T @ (values @ of_y)
        return found

    def without(pairs: Tensor) -> Tensor:
        return pairs.sum() - pairs.sum(dim=0) - pairs.sum(dim=1) + pairs.diagonal()

    n, m = (len(x) - of.sum(dim=0) for x, of in sets)  # (G,) each
    within = without(sums(0, 0)) / (n * (n - 1)) + without(sums(1, 1)) / (m * (m - 1))
    return within - 2 * without(sums(0, 1)) / (n * m)


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T / x.shape[1] + 1) ** 3


def inception_score(
    probabilities: Tensor, *, splits: int = 10, seed: int = 0
) -> tuple[float, float]:
    """Return the Inception Score (Salimans et al. 2016), from 1 to K; higher is sharper and varied.

    Parameters
    ----------
    probabilities : Tensor, shape (N, K)
        Class probabilities of each picture; rows sum to 1.
    splits : int
        Parts over which to average, at most N.
    seed : int
        Of the order in which pictures are dealt to the parts.

    Returns
    -------
    mean, deviation : float
        Over the parts.
    """
    p = probabilities.double().cpu()
    if p.ndim != 2 or not 1 <= splits <= len(p):
        raise ValueError(
            f"probabilities have shape {tuple(p.shape)} and splits is {splits}; "
            "allowed: (N, K) and 1 to N"
        )
    if not bool(((p >= 0).all()) & ((p.sum(dim=1) - 1).abs() < 1e-3).all()):
        raise ValueError("probabilities are not distributions; allowed: rows >= 0 that sum to 1")
    order = torch.randperm(len(p), generator=torch.Generator().manual_seed(seed))
    scores = []
    for part in p[order].chunk(splits):
        marginal = part.mean(dim=0, keepdim=True)
        divergence = torch.special.xlogy(part, part) - torch.special.xlogy(part, marginal)
        scores.append(divergence.sum(dim=1).mean().exp())
    values = torch.stack(scores)
    return float(values.mean()), float(values.std(correction=0))


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
