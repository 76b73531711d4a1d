"""Measured effects of steps on attributes, and the few steps whose sum changes one attribute.

GANSpace and StyleSpace find many steps and know the meaning of none. A person tries them and names
some by eye. Here the training ensemble reads what each does to every attribute, and a step for one
attribute is chosen by forward selection: starting with the best single candidate, one more is
added as long as it lowers the disturbance noticeably, the weights being those of the constrained
least squares below (forward selection: Efroymson 1960; orthogonal matching pursuit, Pati et al.,
Asilomar 1993, is the same search without the constraint).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

Read = Callable[[Tensor], Tensor]  # latents (B, num_ws, w_dim) -> readings (B, A) in [0, 1]

#: Least change of an attribute, in its units, for which steps are worth choosing.
REACH = 0.3
#: Ends that are closer together than this, in attribute units, show no attribute.
APART = 0.02
#: Fewest codes in an end: below it a validation accuracy says nothing.
FEWEST = 10


def why_unfit(column: Tensor, high: Tensor, low: Tensor) -> str:
    """Say why nothing can be fitted to an attribute's scores; "" where it can.

    Parameters
    ----------
    column : Tensor, shape (N,)
        Its scores.
    high, low : Tensor
        Rows of the highest and of the lowest scores.
    """
    if not all_finite(column):
        return "its scores hold NaN or infinity"
    if float(column.max() - column.min()) < 1e-6:
        return f"its scores are constant ({float(column[0]):.3f})"
    if len(high) < FEWEST:
        return f"{len(high)} codes in each end are too few; allowed: at least {FEWEST}"
    apart = float(column[high].mean() - column[low].mean())
    if apart < APART:
        return f"its highest and lowest scores differ by {apart:.3f} on average; allowed: {APART}"
    # three hats among thousands of faces fill no end: the others in it were taken by chance
    positives = int((column[high] > column[low].mean() + APART).sum())
    if positives < FEWEST:
        return f"{positives} codes plainly have it; allowed: at least {FEWEST}"
    negatives = int((column[low] < column[high].mean() - APART).sum())
    if negatives < FEWEST:
        return f"{negatives} codes plainly lack it; allowed: at least {FEWEST}"
    return ""


def select_ends(scores: Tensor, chosen: float = 0.02) -> tuple[Tensor, Tensor, Tensor]:
    """Return the indices of the highest, the lowest and the remaining scores.

    Parameters
    ----------
    scores : Tensor, shape (N,)
        Confidence that a code has the attribute.
    chosen : float
        Share of N taken from each end where it is at most 1, else the number; N // 2 at most.

    Returns
    -------
    tuple of Tensor
        Highest first in each.
    """
    if not chosen > 0:
        raise ValueError(f"chosen is {chosen!r}; allowed: a share of the codes or a number above 0")
    return cut_ends(torch.argsort(scores.contiguous(), descending=True, stable=True), chosen)


def cut_ends(order: Tensor, chosen: float) -> tuple[Tensor, Tensor, Tensor]:
    """Divide sorted indices (N,) into ends and the rest, as :func:`select_ends` does."""
    count = min(int(chosen * len(order)) if chosen <= 1 else int(chosen), len(order) // 2)
    return order[:count], order[len(order) - count :], order[count : len(order) - count]


def all_finite(values: Tensor) -> bool:
    """Whether no value is NaN or infinite: a sum, which either would spoil, says it quicker."""
    return bool(torch.isfinite(values.sum())) or bool(torch.isfinite(values).all())


@torch.no_grad()
def measure_effects(
    steps: Sequence[Tensor] | Tensor, read: Read, ws: Tensor, size: float = 1.0, batch: int = 64
) -> Tensor:
    """Read what each step does to the attributes.

    Parameters
    ----------
    steps : sequence of Tensor, each (1, w_dim) or (num_ws, w_dim)
        Candidates.
    read : callable
        Latents (B, num_ws, w_dim) to readings (B, A), by the training ensemble.
    ws : Tensor, shape (F, num_ws, w_dim)
        Faces to measure on.
    size : float
        Faces are moved by ``-size`` and ``size`` times a step.
    batch : int
        Faces read at a time.

    Returns
    -------
    Tensor, shape (C, A)
        Mean change of each reading for one step: half the difference of the two ends, over
        ``size``.
    """
    if not size > 0:
        raise ValueError(f"size is {size!r}; allowed: above 0")
    rows = []
    for step in steps:
        move = size * step.to(ws)
        ends = torch.cat([ws + move, ws - move])
        readings = torch.cat([read(part).float().cpu() for part in ends.split(batch)])
        up, down = readings.chunk(2)
        rows.append((up - down).mean(dim=0) / (2 * size))
    return torch.stack(rows)


def choose_for_all(
    effects: Tensor,
    spread: Tensor,
    names: Sequence[str],
    reasons: Mapping[str, str],
    most: int,
    longest: float,
    damping: float,
    what: str,
) -> tuple[dict[str, list[tuple[int, float]]], dict[str, str]]:
    """Choose the steps of every attribute; what cannot be read is left out of all of them.

    Parameters
    ----------
    effects, spread, most, longest, damping
        As :func:`choose_steps`; columns that nobody could read may hold NaN. Weights that would
        take a candidate further than ``longest`` at the end of a gain curve are made shorter.
    names : sequence of str
        A attributes.
    reasons : mapping of str to str
        Attributes that are known to be unfit, and why.
    what : str
        What the candidates are called where none serves, such as "component".

    Returns
    -------
    chosen : dict of str to list of (int, float)
        Attribute -> (candidate, weight), the best first.
    reasons : dict of str to str
        Why the others have none.
    """
    reasons = dict(reasons)
    for name, column in zip(names, effects.T, strict=True):
        if name not in reasons and not bool(torch.isfinite(column).all()):
            reasons[name] = f"its readings under a moved {what} hold NaN or infinity"
    legible = torch.tensor([name not in reasons for name in names])
    effects, spread = torch.where(legible, effects, 0.0), torch.where(legible, spread, 1.0)
    out = {}
    for column, name in enumerate(names):
        if name in reasons:
            continue
        # together they must reach it, so each need only reach its part
        chosen, weights = choose_steps(
            effects, spread, column, most=most, reach=REACH / most, longest=longest,
            damping=damping,
        )  # fmt: skip
        # a knob value ends at 2: no candidate goes further than `longest` by it
        share = min(1.0, longest / (2 * float(weights.abs().max()))) if chosen else 0.0
        if 2 * share >= REACH:
            out[name] = list(zip(chosen, (share * weights).tolist(), strict=True))
        else:
            reasons[name] = (
                f"no sum of {most} {what}s changes it by {REACH} within {longest:g} standard "
                "deviations of each"
            )
    return out, reasons


def choose_steps(
    effects: Tensor,
    spread: Tensor,
    column: int,
    *,
    most: int = 3,
    reach: float = REACH,
    longest: float = 10.0,
    damping: float = 0.01,
    gain: float = 0.1,
) -> tuple[list[int], Tensor]:
    """Choose the candidates whose weighted sum changes one attribute and disturbs the others least.

    With readings in units of their spread, E the (C, A) effects, a the wanted column and x the
    weights of the chosen candidates, x minimises ``sum_j!=a (x E)_j^2 + damping |x|^2`` under
    ``(x E)_a = 1``.

    Parameters
    ----------
    effects : Tensor, shape (C, A)
        Of :func:`measure_effects`.
    spread : Tensor, shape (A,)
        Standard deviation of each reading in the population.
    column : int
        The wanted attribute.
    most : int
        Candidates at most; 1 is a single component or channel.
    reach, longest : float
        A candidate counts only if a change of ``reach`` attribute units takes at most ``longest``
        steps of it.
    damping : float
        Price of long weights beside disturbance.
    gain : float
        Share by which one more candidate must lower the objective.

    Returns
    -------
    indices : list of int
        Chosen, the best first; empty where no candidate reaches the attribute.
    weights : Tensor, shape (len(indices),)
        For a change of one attribute unit, in steps of the candidates.
    """
    if most < 1:
        raise ValueError(f"most is {most!r}; allowed: at least 1")
    if effects.ndim != 2 or spread.shape != effects.shape[1:]:
        raise ValueError(
            f"effects {tuple(effects.shape)} and spread {tuple(spread.shape)} do not fit; "
            "allowed: (C, A) and (A,)"
        )
    scaled = effects.double() / spread.double().clamp_min(1e-3)  # (C, A)
    wanted = scaled[:, column]
    others = scaled.clone()
    others[:, column] = 0
    able = (effects[:, column].abs() * longest >= reach).nonzero()[:, 0].tolist()
    # the product of every pair once: a subset's problem is a corner of it
    gram = others @ others.T + damping * torch.eye(len(scaled), dtype=torch.float64)
    chosen: list[int] = []
    best = float("inf")
    weights = torch.empty(0, dtype=torch.float64)
    while len(chosen) < most:
        trials = [(_constrained(gram, wanted, [*chosen, c]), c) for c in able if c not in chosen]
        if not trials:
            break
        (cost, found), candidate = min(trials, key=lambda trial: trial[0][0])
        if cost > best * (1 - gain):
            break
        chosen, best, weights = [*chosen, candidate], cost, found
    return chosen, (weights / spread[column].double().clamp_min(1e-3)).float()


def _constrained(gram: Tensor, wanted: Tensor, subset: list[int]) -> tuple[float, Tensor]:
    """Minimise x G x under x . e = 1: x = G^-1 e / (e G^-1 e), at the cost 1 / (e G^-1 e)."""
    rows = torch.tensor(subset)
    e = wanted[rows]
    solved = torch.linalg.solve(gram[rows][:, rows], e)
    power = float(e @ solved)
    return 1 / power, solved / power
