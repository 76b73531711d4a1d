"""How straight a latent space is: linear separability and perceptual path length.

Both are those of StyleGAN (Karras et al., CVPR 2019, sections 4.1 and 4.2), as pure functions:
sampling latents, labelling them and measuring distances between pictures is the caller's.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def linear_separability_distance(latents: Tensor, scores: Tensor) -> float:
    """Return exp of the summed conditional entropies H(label | side of a plane); 1 is best.

    Per attribute the more confident half of the samples is kept and a linear support vector
    machine fitted; what its sides leave unsaid about the labels is the entropy. A space that says
    nothing about A balanced labels has 2 to the power A.

    Parameters
    ----------
    latents : Tensor, shape (N, D)
        Codes of one space, N >= 20.
    scores : Tensor, shape (N, A)
        Readings in [0, 1]; above 0.5 is yes.

    Raises
    ------
    ValueError
        Shapes that do not fit, values that are not finite, or labels that are constant among the
        confident half.
    """
    if latents.ndim != 2 or scores.ndim != 2 or len(latents) != len(scores) or len(latents) < 20:
        raise ValueError(
            f"latents {tuple(latents.shape)} and scores {tuple(scores.shape)} do not fit; "
            "allowed: (N >= 20, D) and (N, A)"
        )
    if not bool(torch.isfinite(latents).all() and torch.isfinite(scores).all()):
        raise ValueError("latents or scores hold NaN or infinity; allowed: finite numbers")
    total = 0.0
    for column in range(scores.shape[1]):
        score = scores[:, column].double()
        confident = (score - 0.5).abs().argsort(descending=True, stable=True)[: len(score) // 2]
        labels = (score[confident] > 0.5).long()
        if not 0 < int(labels.sum()) < len(labels):
            raise ValueError(
                f"scores of column {column} are constant among the confident half; "
                "allowed: both sides of 0.5"
            )
        total += _left_unsaid(latents[confident], labels)
    return math.exp(total)


def _left_unsaid(latents: Tensor, labels: Tensor) -> float:
    """Return H(label | predicted label) in nats."""
    from sklearn.svm import LinearSVC  # heavy: only where something is fitted

    # in units of its own spread, so that one stopping rule fits every space
    centred = (latents - latents.mean(dim=0)).double().cpu()
    x = (centred / centred.std().clamp_min(1e-12)).numpy()
    machine = LinearSVC(C=1.0, dual=False, tol=1e-4, max_iter=5000)
    predicted = torch.from_numpy(machine.fit(x, labels.cpu().numpy()).predict(x))
    out = 0.0
    for side in (0, 1):
        found = labels.cpu()[predicted == side].double()
        share = len(found) / len(labels)
        for p in (float(found.mean()), 1 - float(found.mean())) if len(found) else ():
            out -= share * p * math.log(p) if p > 0 else 0.0
    return out


def perceptual_path_length(distances: Tensor, epsilon: float) -> float:
    """Return the mean of distances / epsilon^2 without the outer 1 % at each end; lower is better.

    Parameters
    ----------
    distances : Tensor, shape (N,)
        Perceptual distance (quadratic in the step) between the pictures of two latents that lie
        ``epsilon`` apart on a path between two random ones.
    epsilon : float
        The step, as a share of the path; the paper's is 1e-4.
    """
    if distances.ndim != 1 or len(distances) == 0 or not bool((distances >= 0).all()):
        raise ValueError(
            f"distances have shape {tuple(distances.shape)}; allowed: (N >= 1,), none below 0"
        )
    if not epsilon > 0:
        raise ValueError(f"epsilon is {epsilon!r}; allowed: above 0")
    lengths = distances.double() / epsilon**2
    # by rank, as in the official code: a quantile between two values would keep none of few
    low = lengths.quantile(0.01, interpolation="lower")
    high = lengths.quantile(0.99, interpolation="higher")
    return float(lengths[(lengths >= low) & (lengths <= high)].mean())
