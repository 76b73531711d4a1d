"""Nearest neighbours among the training pictures: whether a generator has memorised any.

A generator that replays its training set lies nearer to it than unseen pictures of the same kind
do. The comparison with held-out pictures is that of Meehan et al. (AISTATS 2020), "A
Non-Parametric Test to Detect Data-Copying in Generative Models", here as a ratio of distances.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["NeighbourRatio", "nearest_rows", "neighbour_ratio"]


class NeighbourRatio(NamedTuple):
    """How near generated pictures lie to the training set; see :func:`neighbour_ratio`.

    Attributes
    ----------
    ratio : float
        Median distance of the generated over that of the held-out; below 1 is nearer.
    low, high : float
        Its 95 % bootstrap interval over pictures of both sets.
    closer_share : float
        Share of the generated nearer than all but 1 % of the held-out: 0.01 where nothing is
        memorised.
    """

    ratio: float
    low: float
    high: float
    closer_share: float


def nearest_rows(queries: Tensor, references: Tensor, chunk: int = 256) -> tuple[Tensor, Tensor]:
    """Return each query's distance to its nearest reference, and which that is.

    Parameters
    ----------
    queries, references : Tensor, shape (N, D) and (M, D)
        Features or pixels.
    chunk : int
        Queries at a time: bounds the memory at chunk x M distances.

    Returns
    -------
    distance : Tensor, shape (N,)
        Euclidean, in units of the features.
    row : Tensor, shape (N,), int64
        Rows of ``references``.
    """
    for name, x in (("queries", queries), ("references", references)):
        if x.ndim != 2 or len(x) == 0 or not bool(torch.isfinite(x).all()):
            raise ValueError(
                f"{name} have shape {tuple(x.shape)}; allowed: (N >= 1, D), finite numbers"
            )
    if queries.shape[1] != references.shape[1]:
        raise ValueError(
            f"queries have length {queries.shape[1]}, references {references.shape[1]}; allowed: "
            "the same"
        )
    found = [torch.cdist(part, references).min(dim=1) for part in queries.split(chunk)]
    return torch.cat([f.values for f in found]), torch.cat([f.indices for f in found])


def neighbour_ratio(
    generated: Tensor, held_out: Tensor, *, seed: int = 0, draws: int = 1000
) -> NeighbourRatio:
    """Compare distances to the training set.

    Parameters
    ----------
    generated, held_out : Tensor, shape (N,) and (M,)
        Distance of each picture to its nearest training picture, at least 0.
    seed : int
        Of the resampling.
    draws : int
        Resamples, at least 1.

    Raises
    ------
    ValueError
        Distances that are no distances, or held-out pictures that lie in the training set: half of
        them at distance 0.
    """
    for name, x in (("generated", generated), ("held_out", held_out)):
        if x.ndim != 1 or len(x) == 0 or not bool(((x >= 0) & x.isfinite()).all()):
            raise ValueError(f"{name} hold values below 0, or none; allowed: distances (N >= 1,)")
    if draws < 1:
        raise ValueError(f"draws is {draws}; allowed: 1 or more")
    ours, unseen = generated.double().cpu(), held_out.double().cpu()
    middle = unseen.quantile(0.5)
    if middle == 0:
        raise ValueError("held_out has a median distance of 0; allowed: pictures never trained on")
    generator = torch.Generator().manual_seed(seed)

    def medians(x: Tensor) -> Tensor:
        rows = torch.randint(len(x), (draws, len(x)), generator=generator)
        return x[rows].quantile(0.5, dim=1)

    ratios = medians(ours) / medians(unseen).clamp_min(1e-300)
    low, high = ratios.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    closer = float((ours < unseen.quantile(0.01)).double().mean())
    return NeighbourRatio(float(ours.quantile(0.5) / middle), low, high, closer)
