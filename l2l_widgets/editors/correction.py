"""Target correction a' -> a_c': a request made plausible before an editor sees it.

Khodadadeh et al. (WACV 2022, section 3) correct the requested attribute vector, so that nobody is
asked to be "a bearded man with no facial hair"; the rule itself was not published beyond "elements
if above threshold". The named rules here are ours:

``none``
    Only clipped to [0, 1].
``threshold``
    An edited member of an exclusive group that rises above the threshold sends the other members
    to 0; an attribute above the threshold lifts what it implies to at least its own value (dark
    lenses are glasses), and one that is lowered below the threshold lowers what implies it.
``nearest``
    The attributes nobody edited are taken from the population's member that is nearest to the
    requested vector. Believable vectors, at the price of changes that nobody asked for.
``plausible``
    The attributes nobody edited take their conditional mean in the population: what usually comes
    along comes along. By design this entangles; it is offered for believable whole faces.
"""

from __future__ import annotations

import torch
from torch import Tensor

from l2l_widgets.attributes import AttributeTable

RULES = ("threshold", "nearest", "plausible", "none")


def held_columns(table: AttributeTable, delta: Tensor) -> Tensor:
    """Return 1 where an attribute has a target, 0 where the movement asked for takes it along.

    A target vector that asks for a smile and for the same happiness contradicts itself: no face has
    both, and an editor that is trained on it bends whatever else moves the mouth.

    Parameters
    ----------
    table : AttributeTable
        Which attributes move together (``Attribute.moves_with``).
    delta : Tensor, shape (B, A)
        Requested change, before any correction; 0 means "not edited".

    Returns
    -------
    Tensor, shape (B, A)
        What was asked for is always 1.
    """
    edited = delta != 0
    free = torch.zeros_like(edited)
    for row in table:
        for other in row.moves_with:
            free[:, table.index(other)] |= edited[:, table.index(row.name)]
    return (edited | ~free).to(delta)


class TargetCorrection:
    """One named rule, bound to a table and (where it needs one) to a population.

    Parameters
    ----------
    table : AttributeTable
        Names, groups and implications; the columns of every vector below.
    rule : {"threshold", "nearest", "plausible", "none"}
        See the module's first lines.
    threshold : float
        From which value on an attribute counts as present.
    population : Tensor, shape (N, A), optional
        Readings of unedited faces; needed by ``nearest`` and ``plausible``.
    """

    def __init__(
        self,
        table: AttributeTable,
        rule: str = "threshold",
        threshold: float = 0.5,
        population: Tensor | None = None,
    ) -> None:
        if rule not in RULES:
            raise ValueError(f"correction rule {rule!r} is unknown; allowed: {', '.join(RULES)}")
        if not 0 < threshold < 1:
            raise ValueError(f"correction threshold is {threshold}; allowed: between 0 and 1")
        if rule in ("nearest", "plausible"):
            if population is None or population.ndim != 2 or population.shape[1] != len(table):
                raise ValueError(
                    f"correction rule {rule!r} needs a population of readings (N, {len(table)})"
                )
            if population.shape[0] < 2:
                raise ValueError(f"correction rule {rule!r} needs at least 2 faces")
        self.table, self.rule, self.threshold, self.population = table, rule, threshold, population
        self._groups = [[table.index(n) for n in g] for g in table.groups().values()]
        self._implications = [
            (table.index(a.name), table.index(i)) for a in table for i in a.implies
        ]
        if rule == "plausible":
            assert population is not None
            self._mean = population.mean(dim=0)
            self._covariance = torch.cov(population.T.double())

    def __call__(self, current: Tensor, delta: Tensor) -> Tensor:
        """Return the corrected change a_c' - a.

        Parameters
        ----------
        current : Tensor, shape (B, A)
            Readings before the edit, in [0, 1].
        delta : Tensor, shape (B, A) or (1, A)
            Requested change, in [-1, 1]; 0 means "not edited".

        Returns
        -------
        Tensor, shape (B, A)
            Rows without any request stay exactly 0.
        """
        if current.ndim != 2 or current.shape[1] != len(self.table):
            raise ValueError(
                f"current readings have shape {tuple(current.shape)}; allowed: "
                f"(B, {len(self.table)})"
            )
        delta = delta.to(current).expand_as(current)
        edited = delta != 0
        target = (current + delta).clamp(0, 1)
        if self.rule == "threshold":
            target = self._by_threshold(current, target, edited)
        elif self.rule == "nearest":
            target = self._by_nearest(target, edited)
        elif self.rule == "plausible":
            target = self._by_conditional_mean(current, target, edited)
        asked = edited.any(dim=1, keepdim=True)
        return torch.where(asked, target - current, torch.zeros_like(current))

    def _by_threshold(self, current: Tensor, target: Tensor, edited: Tensor) -> Tensor:
        target = target.clone()
        present, risen = target > self.threshold, target > current
        # an edit touches one or two columns: looking only at those keeps it under a millisecond
        touched = set(edited.any(dim=0).nonzero()[:, 0].tolist())
        for columns in self._groups:
            for one in touched.intersection(columns):
                wins = edited[:, one] & present[:, one] & risen[:, one]
                for other in columns:
                    if other != one:
                        loses = wins & ~(edited[:, other] & risen[:, other])
                        target[:, other] = torch.where(loses, 0.0, target[:, other])
        for one, implied in self._implications:
            if touched.intersection((one, implied)):
                lifts = edited[:, one] & present[:, one] & risen[:, one] & ~edited[:, implied]
                lifted = torch.maximum(target[:, implied], target[:, one])
                target[:, implied] = torch.where(lifts, lifted, target[:, implied])
                falls = target[:, implied] < current[:, implied]
                lowers = edited[:, implied] & falls & ~present[:, implied] & ~edited[:, one]
                lowered = torch.minimum(target[:, one], target[:, implied])
                target[:, one] = torch.where(lowers, lowered, target[:, one])
        return target

    def _by_nearest(self, target: Tensor, edited: Tensor) -> Tensor:
        assert self.population is not None
        population = self.population.to(target)
        nearest = population[torch.cdist(target, population).argmin(dim=1)]  # (B, A)
        return torch.where(edited, target, nearest)

    def _by_conditional_mean(self, current: Tensor, target: Tensor, edited: Tensor) -> Tensor:
        out = target.clone()
        covariance = self._covariance.to(target.device)
        ridge = 1e-3 * covariance.diagonal().mean()
        for i in range(target.shape[0]):
            on = edited[i].nonzero()[:, 0]
            off = (~edited[i]).nonzero()[:, 0]
            if len(on) == 0 or len(off) == 0:
                continue
            inner = covariance[on][:, on] + ridge * torch.eye(len(on), device=target.device)
            step = (target[i, on] - current[i, on]).double()
            along = covariance[off][:, on] @ torch.linalg.solve(inner, step)
            # the face keeps what is its own: only the mean change that comes along is added
            out[i, off] = (current[i, off] + along.to(target)).clamp(0, 1)
        return out
