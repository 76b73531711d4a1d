"""What else moved when one attribute changed: pure functions of readings along strength sweeps.

Methods are compared at equal *achieved* change of the target, never at equal knob: a method that
under-reaches would look clean. A sweep is a face at several strengths; where the target's reading
has come by the wanted change, everything else is read, interpolated between strengths. Faces that
never come so far are unreached, and marked, never dropped in silence.

Signs: ``signed`` changes are multiplied by the direction of the edit, so that they mean "per rise
of the target". The mean of signed changes is the leak that follows the edit; the mean of plain
changes, the ``drift``, is what the method does whichever way it edits.

Sources: the re-scoring matrix is that of InterFaceGAN (Shen et al., CVPR 2020); Attribute
Dependency that of StyleSpace (Wu et al., CVPR 2021, section 5.2), at equal achieved change.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: Share of the random edits that a band holds.
BAND = 0.95


def matched_position(knobs: Tensor, achieved: Tensor, change: float) -> Tensor:
    """Return the strength at which each face first has the wanted change, NaN where it never has.

    Parameters
    ----------
    knobs : Tensor, shape (S,), S >= 2
        Strengths, rising from 0.
    achieved : Tensor, shape (N, S)
        Change of the target's reading in the asked direction at each strength; column 0 is the
        unedited face, 0.
    change : float
        Wanted change, above 0, in the units of ``achieved``.

    Returns
    -------
    Tensor, shape (N,), float64
        Linear between neighbouring strengths.
    """
    _check_sweep(knobs, achieved)
    if not change > 0:
        raise ValueError(f"change is {change!r}; allowed: above 0")
    x, y = knobs.double(), achieved.double()
    beyond = y >= change  # (N, S)
    reached = beyond[:, 1:].any(dim=1)
    right = beyond[:, 1:].float().argmax(dim=1) + 1  # first strength at or beyond the change
    rows = torch.arange(len(y), device=y.device)
    low, high = y[rows, right - 1], y[rows, right]
    share = ((change - low) / (high - low).clamp_min(1e-12)).clamp(0, 1)
    position = x[right - 1] + share * (x[right] - x[right - 1])
    return torch.where(reached, position, float("nan"))


def read_at(knobs: Tensor, values: Tensor, position: Tensor) -> Tensor:
    """Return what a sweep reads at given strengths, linear between neighbours, NaN at NaN.

    Parameters
    ----------
    knobs : Tensor, shape (S,)
        Strengths, rising from 0.
    values : Tensor, shape (N, S) or (N, S, A)
        Readings along the sweep.
    position : Tensor, shape (N,)
        Strengths within the sweep, or NaN.

    Returns
    -------
    Tensor, shape (N,) or (N, A), float64
    """
    _check_sweep(knobs, values)
    x, y = knobs.double(), values.double()
    known = ~position.isnan()
    where = torch.where(known, position.double(), 0.0)
    if bool(((where < x[0]) | (where > x[-1])).any()):
        raise ValueError(f"position leaves the sweep; allowed: {float(x[0])} to {float(x[-1])}")
    right = torch.searchsorted(x, where).clamp(1, len(x) - 1)
    share = (where - x[right - 1]) / (x[right] - x[right - 1])
    rows = torch.arange(len(y), device=y.device)
    low, high = y[rows, right - 1], y[rows, right]
    known = known.view(-1, *[1] * (low.ndim - 1))
    share = share.view(-1, *[1] * (low.ndim - 1))
    return torch.where(known, low + share * (high - low), float("nan"))


def identity_curve(knobs: Tensor, achieved: Tensor, similarity: Tensor, changes: Tensor) -> Tensor:
    """Return identity at a row of achieved changes, NaN where a face never has that change.

    Parameters
    ----------
    knobs, achieved : Tensor, shape (S,) and (N, S)
        As in :func:`matched_position`.
    similarity : Tensor, shape (N, S)
        Cosine to the unedited face at each strength; column 0 is 1.
    changes : Tensor, shape (G,)
        Achieved changes at which to read, above 0.

    Returns
    -------
    Tensor, shape (N, G), float64
    """
    columns = [
        read_at(knobs, similarity, matched_position(knobs, achieved, float(change)))
        for change in changes
    ]
    return torch.stack(columns, dim=1)


def leakage_matrix(signed: Tensor) -> Tensor:
    """Return the mean signed change of every reading for every edited attribute.

    Parameters
    ----------
    signed : Tensor, shape (K, N, A)
        Signed changes of all A readings on N faces at equal achieved change, for K edited
        attributes; NaN for faces that are unreached.

    Returns
    -------
    Tensor, shape (K, A), float64
        The achieved change on the edited attribute and 0 elsewhere for a perfect editor; NaN in
        the row of an attribute that no face reached.
    """
    if signed.ndim != 3 or 0 in signed.shape:
        raise ValueError(f"signed has shape {tuple(signed.shape)}; allowed: (K, N, A)")
    return signed.double().nanmean(dim=1)


def regression_slopes(readings: Tensor) -> Tensor:
    """Return the population's own slopes: by how much b differs where a differs by 1.

    A leak of this slope times the achieved change is the world's own, not the method's fault.

    Parameters
    ----------
    readings : Tensor, shape (N, A), N >= 3
        Readings of unedited faces.

    Returns
    -------
    Tensor, shape (A, A), float64
        Row a, column b; 1 on the diagonal; NaN in the row of a reading that never varies.
    """
    if readings.ndim != 2 or len(readings) < 3:
        raise ValueError(f"readings have shape {tuple(readings.shape)}; allowed: (N >= 3, A)")
    if not bool(torch.isfinite(readings).all()):
        raise ValueError("readings hold NaN or infinity; allowed: finite numbers")
    centred = readings.double() - readings.double().mean(dim=0)
    covariance = centred.T @ centred
    variance = covariance.diagonal()[:, None]
    # rounding leaves a constant reading a variance of about 1e-32
    constant = variance <= 1e-14 * len(readings)
    slopes = covariance / variance.clamp_min(1e-300)
    return torch.where(constant, float("nan"), slopes)


def random_direction_band(changes: Tensor, level: float = BAND) -> Tensor:
    """Return the largest mean change that chance gives each reading: the zero of a leakage matrix.

    Parameters
    ----------
    changes : Tensor, shape (R, N, A), R >= 2
        Changes of all readings on N faces under R random edits of the same size.
    level : float
        Share of the random edits that the band holds, between 0 and 1.

    Returns
    -------
    Tensor, shape (A,), float64
        Half-widths: a random edit changes reading b by no more than this in the mean over faces.
    """
    if changes.ndim != 3 or changes.shape[0] < 2 or 0 in changes.shape:
        raise ValueError(f"changes have shape {tuple(changes.shape)}; allowed: (R >= 2, N, A)")
    if not 0 < level < 1:
        raise ValueError(f"level is {level!r}; allowed: between 0 and 1")
    return changes.double().mean(dim=1).abs().quantile(level, dim=0)


def band_at(lengths: Tensor, bands: Tensor, length: float) -> tuple[Tensor, bool]:
    """Return the band of random edits of one length, and whether that is beyond what was measured.

    Between two measured lengths it is linear. Beyond the longest it goes on as it grew between the
    last two, with the power of the length that they show; the last band alone would be too narrow
    there, and a long edit would seem to leak what any edit of its length does.

    Parameters
    ----------
    lengths : Tensor, shape (L,), L >= 3
        Rising from 0.
    bands : Tensor, shape (L, A)
        Half-widths, as :func:`random_direction_band` gives them; the first row is 0.
    length : float
        0 or more.

    Returns
    -------
    band : Tensor, shape (A,), float64
    extrapolated : bool
    """
    _check_sweep(lengths, bands[None])
    if len(lengths) < 3 or not length >= 0:
        raise ValueError(
            f"length is {length!r}, of {len(lengths)} known; allowed: 0 or more, of at least 3"
        )
    last = float(lengths[-1])
    if length <= last:
        where = torch.tensor([length], dtype=torch.float64)
        return read_at(lengths, bands[None], where)[0], False
    shorter, longest = bands[-2:].double()
    growth = torch.log((longest / shorter.clamp_min(1e-12)).clamp_min(1e-12))
    # A reading saturates: it grows no faster than the step. Nor does it shrink but by chance.
    power = (growth / torch.log(lengths[-1] / lengths[-2]).double()).clamp(0, 1)
    return longest * (length / last) ** power, True


def attribute_dependency(
    changes: Tensor, spread: Tensor, edited: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return Attribute Dependency: how many standard deviations the other attributes moved.

    Parameters
    ----------
    changes : Tensor, shape (N, A)
        Changes of all readings (the paper: of logits), NaN for faces that are unreached.
    spread : Tensor, shape (A,)
        Standard deviation of each reading over unedited faces; readings without any are left out.
    edited : int
        Column of the edited attribute.

    Returns
    -------
    mean, largest, target : Tensor, shape (N,), float64
        Mean and maximum over the other attributes, and how far the edited one moved, all in
        standard deviations.
    """
    if changes.ndim != 2 or spread.shape != changes.shape[1:]:
        raise ValueError(
            f"changes {tuple(changes.shape)} and spread {tuple(spread.shape)} do not fit; "
            "allowed: (N, A) and (A,)"
        )
    if not 0 <= edited < changes.shape[1]:
        raise ValueError(f"edited is {edited!r}; allowed: 0 to {changes.shape[1] - 1}")
    if not float(spread[edited]) > 0:
        raise ValueError("the edited reading is constant over unedited faces; allowed: any spread")
    moved = changes.double().abs() / spread.double().clamp_min(1e-12)
    others = [i for i in range(len(spread)) if i != edited and float(spread[i]) > 0]
    if not others:
        raise ValueError("no other reading varies; allowed: at least one")
    return moved[:, others].mean(dim=1), moved[:, others].amax(dim=1), moved[:, edited]


def outside_region_error(before: Tensor, after: Tensor, region: Tensor) -> Tensor:
    """Return the mean absolute change (N,) of pixels outside a region, 0 where there is none.

    Parameters
    ----------
    before, after : Tensor, shape (N, 3, R, R)
        Pictures in [-1, 1].
    region : Tensor of bool, shape (N, R, R) or (R, R)
        Where the attribute may change pixels.
    """
    if before.shape != after.shape or before.ndim != 4:
        raise ValueError(
            f"pictures have shapes {tuple(before.shape)} and {tuple(after.shape)}; "
            "allowed: twice (N, C, R, R)"
        )
    if region.dtype != torch.bool or region.shape[-2:] != before.shape[-2:] or region.ndim > 3:
        raise ValueError(
            f"region is {region.dtype} of shape {tuple(region.shape)}; "
            f"allowed: bool of (N, R, R) or (R, R) with R x R = {tuple(before.shape[-2:])}"
        )
    moved = (after - before).abs().mean(dim=1)  # (N, R, R)
    outside = (~region).expand(moved.shape)
    count = outside.flatten(1).sum(dim=1)
    return (moved * outside).flatten(1).sum(dim=1) / count.clamp_min(1)


def _check_sweep(knobs: Tensor, values: Tensor) -> None:
    if knobs.ndim != 1 or len(knobs) < 2 or values.ndim not in (2, 3):
        raise ValueError(
            f"a sweep has shapes {tuple(knobs.shape)} and {tuple(values.shape)}; "
            "allowed: (S >= 2,) and (N, S) or (N, S, A)"
        )
    if values.shape[1] != len(knobs):
        raise ValueError(f"a sweep has {values.shape[1]} readings for {len(knobs)} strengths")
    if not bool((knobs[1:] > knobs[:-1]).all()) or float(knobs[0]) != 0:
        raise ValueError("knobs are not rising from 0; allowed: 0 < ... < largest")
    if not bool(torch.isfinite(values).all()):
        raise ValueError("a sweep holds NaN or infinity; allowed: finite numbers")
