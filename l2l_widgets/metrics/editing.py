"""How well an edit did: pure functions of readings, embeddings and latents.

They load no model and know no editor. Conventions: readings are attribute values in [0, 1], (N, A);
``changes`` are readings after minus readings before. ``_score`` and ``_similarity`` are better when
higher; ``_error``, ``_distance`` and ``_leak`` when lower.

Sources: the re-scoring matrix is InterFaceGAN's (Shen et al., CVPR 2020, section 4.3); cycle and
null error are the quantities in the losses of Khodadadeh et al. (WACV 2022); the bootstrap is
Efron's percentile interval (1979).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from l2l_widgets.metrics.resampling import resampled_means, resampled_medians


def _check_rows(name: str, first: Tensor, second: Tensor) -> None:
    if first.shape != second.shape:
        raise ValueError(
            f"{name}: shapes {tuple(first.shape)} and {tuple(second.shape)} differ; "
            "allowed: equal shapes"
        )
    if first.shape[0] == 0:
        raise ValueError(f"{name}: there are no faces; allowed: at least one")


def achieved_fraction(before: Tensor, after: Tensor, request: Tensor) -> Tensor:
    """Return the share of the requested change that was read, per face.

    1 is exactly what was asked, 0 nothing, negative the wrong way, above 1 too much.

    Parameters
    ----------
    before, after : Tensor, shape (N,)
        Readings of the edited attribute.
    request : Tensor, shape (N,)
        Requested change; never 0.
    """
    _check_rows("achieved_fraction", before, after)
    _check_rows("achieved_fraction", before, request)
    if bool((request == 0).any()):
        raise ValueError("achieved_fraction: a request is 0; allowed: anything else")
    return (after - before) / request


def others_leak(changes: Tensor, edited: Sequence[int]) -> Tensor:
    """Return the mean absolute change of the attributes that were not to change, per face.

    Parameters
    ----------
    changes : Tensor, shape (N, A)
        Changes of all readings.
    edited : sequence of int
        Columns that the (corrected) request changed on purpose.

    Returns
    -------
    Tensor, shape (N,)
    """
    kept = [i for i in range(changes.shape[1]) if i not in set(edited)]
    if not kept:
        raise ValueError("others_leak: every attribute was edited; allowed: at least one other")
    return changes[:, kept].abs().mean(dim=1)


def entanglement_matrix(changes: Tensor, requests: Tensor) -> Tensor:
    """Return the re-scoring matrix: mean change of each reading per unit of requested change.

    Parameters
    ----------
    changes : Tensor, shape (K, N, A)
        For each of K edited attributes, changes of all readings on N faces.
    requests : Tensor, shape (K, N)
        Requested changes; never 0.

    Returns
    -------
    Tensor, shape (K, A)
        1 on the edited attribute and 0 elsewhere for a perfect editor.
    """
    if changes.ndim != 3 or changes.shape[:2] != requests.shape:
        raise ValueError(
            f"entanglement_matrix: shapes {tuple(changes.shape)} and {tuple(requests.shape)}; "
            "allowed: (K, N, A) and (K, N)"
        )
    # the slope through 0, not a mean of ratios: small requests would dominate that
    numerator = (changes * requests[..., None]).sum(dim=1)
    return numerator / requests.square().sum(dim=1, keepdim=True)


def reachability_score(fractions: Tensor, least: float = 0.5) -> float:
    """Return the share of faces on which at least ``least`` of the request was achieved."""
    if fractions.numel() == 0:
        raise ValueError("reachability_score: there are no faces; allowed: at least one")
    return float((fractions >= least).float().mean())


def identity_similarity(before: Tensor, after: Tensor) -> Tensor:
    """Return the cosine similarity (N,) of face embeddings (N, D), whatever their norm."""
    _check_rows("identity_similarity", before, after)
    return torch.nn.functional.cosine_similarity(before, after, dim=1)


def identity_placement_score(similarity: Tensor, different: float, same: float) -> Tensor:
    """Place similarities on a scale from 0, two different people, to 1, the same person.

    Cosines of different embedders cannot be compared; this can. Above 1 is possible: an edit may
    disturb an embedder less than the truth does.

    Parameters
    ----------
    similarity : Tensor, shape (N,)
        Cosines of faces before and after an edit.
    different : float
        Mean cosine of random pairs of people.
    same : float
        Mean cosine of a person and the same person drawn again with the attribute truly changed.
    """
    if not same > different:
        raise ValueError(
            f"identity_placement_score: 'same' is {same:.3f} and 'different' {different:.3f}; "
            "allowed: 'same' above 'different' (the embedder tells nobody apart)"
        )
    return (similarity - different) / (same - different)


def null_error(w: Tensor, unchanged: Tensor, scale: float) -> Tensor:
    """Return the mean absolute step (N,) of an edit that asked for nothing, over std(w).

    Parameters
    ----------
    w, unchanged : Tensor, shape (N, num_ws, w_dim)
        Latents before and after.
    scale : float
        Standard deviation of the population's latents.
    """
    _check_rows("null_error", w, unchanged)
    if not scale > 0:
        raise ValueError(f"null_error: scale is {scale!r}; allowed: above 0")
    return (w - unchanged).abs().flatten(1).mean(dim=1) / scale


def cycle_error(w: Tensor, edited: Tensor, back: Tensor) -> Tensor:
    """Return ||w - back|| / ||edited - w|| (N,): what an edit and its undoing leave behind.

    0 where the edit moved nothing and came back to the same; infinite where it moved nothing but
    did not come back.
    """
    _check_rows("cycle_error", w, edited)
    _check_rows("cycle_error", w, back)
    length = (edited - w).flatten(1).norm(dim=1)
    left = (back - w).flatten(1).norm(dim=1)
    return torch.where(left == 0, torch.zeros_like(left), left / length)


def monotonicity_score(asked: Tensor, read: Tensor) -> Tensor:
    """Return Spearman's correlation (N,) of asked strengths (S,) and readings (N, S).

    Tied readings share their mean rank; a constant reading scores 0.
    """
    if asked.ndim != 1 or read.ndim != 2 or read.shape[1] != len(asked) or len(asked) < 2:
        raise ValueError(
            f"monotonicity_score: shapes {tuple(asked.shape)} and {tuple(read.shape)}; "
            "allowed: (S >= 2,) and (N, S)"
        )
    x, y = _ranks(asked[None].double()), _ranks(read.double())
    x, y = x - x.mean(dim=1, keepdim=True), y - y.mean(dim=1, keepdim=True)
    spread = (x.square().sum(dim=1) * y.square().sum(dim=1)).sqrt()
    product = (x * y).sum(dim=1)
    return torch.where(spread > 0, product / spread.clamp_min(1e-12), 0.0).float()


def _ranks(values: Tensor) -> Tensor:
    """Return mean ranks along the last dimension."""
    below = (values[..., None, :] < values[..., :, None]).sum(dim=-1)
    equal = (values[..., None, :] == values[..., :, None]).sum(dim=-1)
    return below.double() + (equal.double() - 1) / 2


def bootstrap_interval(
    values: Tensor,
    statistic: str = "mean",
    *,
    seed: int,
    draws: int = 1000,
    level: float = 0.95,
) -> tuple[float, float]:
    """Return the percentile interval of a statistic over faces.

    Parameters
    ----------
    values : Tensor, shape (N,) or (N, K)
        One number, or K numbers, a face; NaN where there is none. Whole faces are resampled: what
        was measured on one face is not independent.
    statistic : {"mean", "median"}
        What the interval is of.
    seed : int
        Seed of the resampling.
    draws : int
        Resamples.
    level : float
        Coverage, between 0 and 1.
    """
    if statistic not in ("mean", "median"):
        raise ValueError(f"statistic is {statistic!r}; allowed: mean, median")
    if values.ndim not in (1, 2) or values.numel() == 0:
        raise ValueError(f"values have shape {tuple(values.shape)}; allowed: (N >= 1,) or (N, K)")
    if bool(values.isnan().all()):
        raise ValueError("values are all NaN; allowed: at least one number")
    if not 0 < level < 1:
        raise ValueError(f"level is {level!r}; allowed: between 0 and 1")
    rows = values.double().cpu().reshape(len(values), -1)  # (N, K)
    resampled = resampled_means if statistic == "mean" else resampled_medians
    found = resampled(rows, seed, draws)
    tail = (1 - level) / 2
    ends = found.nanquantile(torch.tensor([tail, 1 - tail], dtype=torch.float64))
    return float(ends[0]), float(ends[1])
