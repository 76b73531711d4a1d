"""Verification: how well an embedder tells two pictures of one person from two of two people."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from l2l_widgets.metrics.resampling import resamples


def true_accept_rate(embeddings: Tensor, people: Tensor, false_accept_rate: float = 0.01) -> float:
    """Return the share of same pairs that are accepted where so few different pairs are.

    Parameters
    ----------
    embeddings : Tensor, shape (N, D)
        Unit vectors.
    people : Tensor, shape (N,)
        Whose picture each is of; at least one pair of one person and one of two.
    false_accept_rate : float
        Share of the different pairs that are accepted, between 0 and 1.

    Returns
    -------
    float
        In [0, 1].
    """
    same, different = _pairs(embeddings, people, false_accept_rate)
    threshold = torch.quantile(different[0], 1 - false_accept_rate)
    return float((same[0] > threshold).double().mean())


def true_accept_interval(
    embeddings: Tensor,
    people: Tensor,
    false_accept_rate: float = 0.01,
    *,
    seed: int,
    draws: int = 1000,
    level: float = 0.95,
) -> tuple[float, float]:
    """Return the percentile interval of :func:`true_accept_rate` over people.

    Whole people are resampled, and the threshold is found anew in each resample: the pairs of one
    person's pictures are not independent, nor are all pairs with one person. A person who is drawn
    twice is not compared with himself: a picture beside its own copy would always be accepted.

    Parameters
    ----------
    embeddings, people, false_accept_rate
        As in :func:`true_accept_rate`.
    seed : int
        Seed of the resampling.
    draws : int
        Resamples; one in which no two people are is left out.
    level : float
        Coverage, between 0 and 1.

    Returns
    -------
    low, high : float
        In [0, 1].
    """
    if not 0 < level < 1:
        raise ValueError(f"level is {level!r}; allowed: between 0 and 1")
    same, different = _pairs(embeddings, people, false_accept_rate)
    alike, order = different[0].sort(descending=True)
    first, second = different[1][order], different[2][order]
    found = []
    for block in resamples(len(people.unique()), seed, draws):
        for counts in block:
            reached = (counts[first] * counts[second]).cumsum(dim=0)  # accepted so far
            if reached[-1] == 0:
                continue
            at = int(torch.searchsorted(reached, false_accept_rate * reached[-1]))
            drawn = counts[same[1]]
            accepted = drawn[same[0] > alike[min(at, len(alike) - 1)]].sum()
            found.append(float(accepted / drawn.sum()) if drawn.sum() > 0 else math.nan)
    tail = (1 - level) / 2
    ends = torch.tensor(found, dtype=torch.float64).nanquantile(
        torch.tensor([tail, 1 - tail], dtype=torch.float64)
    )
    return float(ends[0]), float(ends[1])


def _pairs(
    embeddings: Tensor, people: Tensor, false_accept_rate: float
) -> tuple[tuple[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]:
    """Similarity and both people, counted from 0, of all same pairs and of all different ones."""
    if embeddings.ndim != 2 or people.shape != embeddings.shape[:1]:
        raise ValueError(
            f"embeddings have shape {tuple(embeddings.shape)}, people {tuple(people.shape)}; "
            "allowed: (N, D) and (N,)"
        )
    if not 0 < false_accept_rate < 1:
        raise ValueError(f"false_accept_rate is {false_accept_rate!r}; allowed: between 0 and 1")
    who = people.unique(return_inverse=True)[1]
    rows, columns = torch.triu_indices(len(who), len(who), 1)
    similarity = (embeddings @ embeddings.T)[rows, columns]
    first, second = who[rows], who[columns]
    alike = first == second
    if bool(alike.all()) or not bool(alike.any()):
        raise ValueError(
            "people hold no pair of one person and one of two; allowed: several pictures of each "
            "of several people"
        )
    return (
        (similarity[alike], first[alike], second[alike]),
        (similarity[~alike], first[~alike], second[~alike]),
    )
