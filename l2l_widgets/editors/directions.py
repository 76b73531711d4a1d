"""Linear directions: one step in W per attribute, found without training a network.

``svm``
    The unit normal of a linear support vector machine between the faces with the highest and the
    lowest readings: InterFaceGAN (Shen et al., CVPR 2020, arXiv 1907.10786, section 3).
``mean-difference``
    From the mean of the lowest to the mean of the highest.
``ridge``
    All readings regressed on w at once; the step is the one of smallest Mahalanobis length that
    moves one predicted reading by 1 and the other predicted readings by 0.

Each step is scaled to attribute units by the population's own regression slope, so that ``delta``
times a step asks for the same change whatever the method. The learned mapper starts its linear
term here (``editors/mapper.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from l2l_widgets.editors.effects import all_finite
from l2l_widgets.errors import TooLittleError

METHODS = ("svm", "mean-difference", "ridge")

#: Longest step for a whole attribute unit, in standard deviations of the population along it.
LONGEST = 12.0


@dataclass(frozen=True)
class LinearDirections:
    """Steps in W, one an attribute, in latent units per attribute unit.

    Parameters
    ----------
    names : tuple of str
        Attributes, in the order of the rows.
    steps : Tensor, shape (A, w_dim)
        ``w + delta * step`` changes the attribute by ``delta`` where the world is linear; zero
        where nothing could be fitted.
    method : str
        One of :data:`METHODS`.
    explained : Tensor, shape (A,)
        Share of the reading's variance along the step that the linear fit explains, in [0, 1].
    """

    names: tuple[str, ...]
    steps: Tensor
    method: str
    explained: Tensor


def fit_directions(
    ws: Tensor,
    values: Tensor,
    names: Sequence[str],
    method: str = "svm",
    share: float = 0.05,
    ridge: float = 0.01,
) -> LinearDirections:
    """Fit one step per attribute.

    Parameters
    ----------
    ws : Tensor, shape (N, w_dim)
        Latents of unedited faces.
    values : Tensor, shape (N, A)
        Their readings in [0, 1].
    names : sequence of str
        A names.
    method : {"svm", "mean-difference", "ridge"}
        See the module's first lines.
    share : float
        Share of the faces taken from each end (``svm``, ``mean-difference``).
    ridge : float
        Regularisation as a share of the mean variance (``ridge``).

    Raises
    ------
    ValueError
        On shapes that do not fit, readings that are not finite, an unknown method.
    """
    if method not in METHODS:
        raise ValueError(f"direction method {method!r} is unknown; allowed: {', '.join(METHODS)}")
    if ws.ndim != 2 or values.ndim != 2 or ws.shape[0] != values.shape[0]:
        raise ValueError(
            f"latents {tuple(ws.shape)} and readings {tuple(values.shape)} do not fit; "
            "allowed: (N, w_dim) and (N, A)"
        )
    if values.shape[1] != len(names):
        raise ValueError(f"{values.shape[1]} readings for {len(names)} names")
    if ws.shape[0] < 20:
        raise TooLittleError(f"{ws.shape[0]} faces are too few; allowed: at least 20")
    if not (all_finite(values) and all_finite(ws)):
        raise ValueError("latents or readings hold NaN or infinity; allowed: finite numbers")
    x = (ws - ws.mean(dim=0)).double().cpu()
    y = (values - values.mean(dim=0)).double().cpu()
    if method == "ridge":
        steps = _ridge_steps(x, y, ridge)
    else:
        normal = _svm_normal if method == "svm" else _mean_difference_normal
        steps = torch.stack([_scaled(x, column, normal(x, column, share)) for column in y.T])
    return LinearDirections(tuple(names), steps.to(ws), method, _explained(x, y, steps).to(values))


def _ends(y: Tensor, share: float) -> tuple[Tensor, Tensor]:
    count = max(5, round(share * len(y)))
    order = y.argsort()
    return order[:count], order[-count:]


def _mean_difference_normal(x: Tensor, y: Tensor, share: float) -> Tensor:
    low, high = _ends(y, share)
    return torch.nn.functional.normalize(x[high].mean(dim=0) - x[low].mean(dim=0), dim=0)


def _svm_normal(x: Tensor, y: Tensor, share: float) -> Tensor:
    from sklearn.svm import LinearSVC  # heavy: only where a direction is fitted

    low, high = _ends(y, share)
    scale = x.std()
    features = torch.cat([x[low], x[high]]) / scale
    labels = torch.cat([torch.zeros(len(low)), torch.ones(len(high))])
    machine = LinearSVC(C=1.0, dual=False, tol=1e-3, max_iter=500)
    machine.fit(features.numpy(), labels.numpy())
    return torch.nn.functional.normalize(torch.from_numpy(machine.coef_[0]), dim=0)


def unit_length(along: Tensor, y: Tensor) -> Tensor:
    """Return how long a step must be so that the regression slope along it is 1.

    Parameters
    ----------
    along : Tensor, shape (N, ...)
        Centred codes projected on a unit normal (or on several, in the columns).
    y : Tensor, shape (N, ...)
        Centred readings, one column for each normal.

    Returns
    -------
    Tensor, shape (...)
        In latent units per attribute unit: at most :data:`LONGEST` standard deviations, as a slope
        near nothing would make an endless step off the map; 0 where the reading does not vary or
        does not rise along the normal.
    """
    energy, others = along.square().sum(dim=0), max(1, len(along) - 1)
    slope = (along * y).sum(dim=0) / energy.clamp_min(1e-12)
    longest = LONGEST * (energy / others).sqrt()  # both are centred: no mean to take off
    length = 1 / torch.maximum(slope, 1 / longest.clamp_min(1e-12))
    known = ((y.square().sum(dim=0) / others).sqrt() > 1e-6) & (slope > 0)
    return torch.where(known, length, 0.0)


def _scaled(x: Tensor, y: Tensor, normal: Tensor) -> Tensor:
    """Scale a unit normal so that one reading's slope along it is 1; zero where there is none."""
    return normal * unit_length(x @ normal, y)


def _ridge_steps(x: Tensor, y: Tensor, ridge: float) -> Tensor:
    covariance = x.T @ x / len(x)
    eye = torch.eye(x.shape[1], dtype=x.dtype)
    slopes = torch.linalg.solve(
        covariance + ridge * covariance.diagonal().mean() * eye, x.T @ y / len(x)
    )  # (w_dim, A)
    # readings in units of their own spread, so that a rare attribute does not dominate
    spread = y.std(dim=0).clamp_min(1e-6)
    slopes = slopes / spread
    predicted = slopes.T @ covariance @ slopes  # (A, A)
    damp = 0.02 * torch.eye(len(spread), dtype=x.dtype) * predicted.diagonal().mean()
    steps = covariance @ slopes @ torch.linalg.inv(predicted + damp)  # (w_dim, A)
    steps = (steps / spread).T
    # the same bound as for a normal: an attribute that w does not hold gets no endless step
    width = LONGEST * (covariance.diagonal() * len(x) / (len(x) - 1)).sum().sqrt()
    return steps * (width / steps.norm(dim=1, keepdim=True).clamp_min(1e-12)).clamp(max=1)


def _explained(x: Tensor, y: Tensor, steps: Tensor) -> Tensor:
    along = x @ steps.T  # (N, A)
    covariance = (along * y).mean(dim=0)
    variance = along.square().mean(dim=0) * y.square().mean(dim=0)
    return (covariance.square() / variance.clamp_min(1e-12)).clamp(0, 1)
