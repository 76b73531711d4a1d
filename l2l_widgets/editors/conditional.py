"""Conditional manipulation: change one attribute along what is left when others are held.

Shen et al., CVPR 2020 (arXiv 1907.10786, section 3.2): a primal normal is projected onto the
complement of the span of the condition normals, and made a unit vector again. The authors' code
does it in closed form for one and two conditions; here the span's basis comes from a factorisation
that reveals its rank, so that any number of conditions, near-parallel ones among them, is one case.

Whether the projection helps is another question. It removes what the *normals* share. Where they
are nearly orthogonal, as the boundaries of W are (cosine of age and glasses: 0.72 in Z, 0.10 in W;
genforce/idinvert_pytorch, issue 33), nothing is left to remove although the attributes still move
together. :func:`check_projection` says so before anything is edited.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from l2l_widgets.attributes import AttributeRequestError, AttributeTable, EditRequest
from l2l_widgets.editors.effects import Read, measure_effects
from l2l_widgets.editors.interfacegan import Boundary, BoundarySet, InterFaceGANEditor
from l2l_widgets.editors.linear_steps import CalibratedSteps, StepsEditor

#: Conditions closer together than this sine (0.06 degrees) are one: their difference is noise.
PARALLEL = 1e-3
#: Length below which nothing meaningful is left of a primal direction.
LEAST = 0.2
#: Length above which a projection (less than 6 degrees) changes nothing that one could see.
UNCHANGED = 0.995


def span_basis(
    conditions: Tensor, parallel: float = PARALLEL
) -> tuple[Tensor, list[int], dict[int, int]]:
    """Return an orthonormal basis of the span of some directions, and which of them it took.

    Gram-Schmidt, always taking the direction with the longest part outside the span so far, and
    twice over, which keeps it orthogonal to the last digit (Björck 1994; "twice is enough").

    Parameters
    ----------
    conditions : Tensor, shape (C, dim)
        Any length but 0.
    parallel : float
        A direction with less than this share of its length outside the span adds nothing.

    Returns
    -------
    basis : Tensor, shape (R, dim), float64
        R <= C.
    taken : list of int
        Rows behind the basis, in order.
    redundant : dict of int to int
        Each other row -> the taken row that it is closest to.
    """
    unit = _units(conditions, "condition")
    rest = unit.clone()
    basis: list[Tensor] = []
    taken: list[int] = []
    while len(taken) < len(unit):
        lengths = rest.norm(dim=1)
        lengths[taken] = 0
        row = int(lengths.argmax())
        if float(lengths[row]) < parallel:
            break
        vector = rest[row] / lengths[row]
        for known in basis:
            vector = vector - (vector @ known) * known
        vector = vector / vector.norm()
        basis.append(vector)
        taken.append(row)
        for _ in range(2):
            rest = rest - (rest @ vector)[:, None] * vector
    left = [i for i in range(len(unit)) if i not in taken]
    nearest = (unit @ unit[taken].T).abs().argmax(dim=1) if taken else torch.zeros(0)
    stacked = torch.stack(basis) if basis else unit[:0]
    return stacked, taken, {i: taken[int(nearest[i])] for i in left}


def project(primals: Tensor, conditions: Tensor, parallel: float = PARALLEL) -> Tensor:
    """Return unit vectors along what is left of primal directions outside the conditions' span.

    Parameters
    ----------
    primals : Tensor, shape (P, dim)
        Each is projected by itself; several primals are not conditions of one another.
    conditions : Tensor, shape (C, dim)
        None of them changes anything.
    parallel : float
        As in :func:`span_basis`.

    Returns
    -------
    Tensor, shape (P, dim), float64

    Raises
    ------
    ValueError
        Less than a millionth of a primal is left: it lies in the span.
    """
    unit = _units(primals, "primal")
    if len(conditions) == 0:
        return unit
    if conditions.shape[1] != unit.shape[1]:
        raise ValueError(
            f"conditions have {conditions.shape[1]} numbers each; allowed: {unit.shape[1]}, as "
            "the primals"
        )
    rest = _outside(unit, conditions, parallel)
    lengths = rest.norm(dim=1)
    if float(lengths.min()) < 1e-6:
        raise ValueError(
            f"primal {int(lengths.argmin())} lies in the span of the conditions; allowed: fewer "
            "conditions, or others"
        )
    return rest / lengths[:, None]


def _outside(vectors: Tensor, conditions: Tensor, parallel: float = PARALLEL) -> Tensor:
    basis, _, _ = span_basis(conditions, parallel)
    vectors = vectors.double()
    for _ in range(2):
        vectors = vectors - vectors @ basis.T @ basis
    return vectors


def _units(vectors: Tensor, what: str) -> Tensor:
    if vectors.ndim != 2:
        raise ValueError(f"{what}s have shape {tuple(vectors.shape)}; allowed: (N, dim)")
    vectors = vectors.detach().cpu().double()
    lengths = vectors.norm(dim=1)
    bad = (~(lengths > 0) | ~torch.isfinite(lengths)).nonzero()[:, 0]
    if len(bad):
        raise ValueError(
            f"{what} {int(bad[0])} has length {float(lengths[bad[0]])}; allowed: finite, above 0"
        )
    return vectors / lengths[:, None]


@dataclass(frozen=True)
class ProjectionCheck:
    """What a projection would do, before it is used.

    Parameters
    ----------
    names : tuple of str
        The primal, then its conditions.
    cosines : Tensor, shape (1 + C, 1 + C)
        Of their normals.
    length_left : float
        Of the primal's unit normal after the projection, in [0, 1].
    redundant : dict of str to str
        Conditions that add nothing -> the one that stands for them.
    predicted : dict of str to tuple of float
        Condition -> its change for one unit of the primal, before and after, by the population's
        regression on the codes.
    measured : dict of str to tuple of float
        The same, read by a judge; empty where it was not measured.
    """

    names: tuple[str, ...]
    cosines: Tensor
    length_left: float
    redundant: dict[str, str]
    predicted: dict[str, tuple[float, float]]
    measured: dict[str, tuple[float, float]]

    @property
    def changes_nothing(self) -> bool:
        """Whether the projected direction is the old one, to within 6 degrees."""
        return self.length_left > UNCHANGED

    def to_text(self, table: AttributeTable | None = None) -> str:
        """Say all of it in plain words.

        Parameters
        ----------
        table : AttributeTable, optional
            Whose labels stand for the names; what it lacks is counted and not named. Without one
            everything has its own name.
        """
        label = {n: n if table is None else table[n].label for n in self.names if _has(table, n)}
        shown = [i for i, name in enumerate(self.names) if name in label]
        primal = label.get(self.names[0], "")
        held = ", ".join(label[n] for n in self.names[1:] if n in label)
        lines = [f"{primal} with {held} held:"] if held else []
        if unsaid := len(self.names) - len(shown):
            lines.append(f"  held and not shown here: {unsaid}")
        width = max((len(words) for words in label.values()), default=0)
        lines.append("  cosines of the normals")
        for i in shown:
            row = " ".join(f"{float(self.cosines[i, k]):+.2f}" for k in shown)
            lines.append(f"    {label[self.names[i]]:<{width}} {row}")
        lines.append(f"  length left: {self.length_left:.3f}")
        for name, other in self.redundant.items():
            if name in label and other in label:
                lines.append(f"  {label[name]} adds nothing: its normal is that of {label[other]}")
        for how, changes in (("predicted", self.predicted), ("measured", self.measured)):
            for name in (n for n in changes if n in label):
                before, after = changes[name]
                lines.append(
                    f"  {how}: {label[name]} moves {before:+.2f} for {primal} +1, {after:+.2f} "
                    "once held"
                )
        if self.changes_nothing:
            lines.append(
                "  Projecting changes nothing: these normals are at right angles already. What "
                "still moves together does so for another reason."
            )
        elif self.length_left < LEAST:
            lines.append(
                f"  Hardly anything of {primal} is left: the conditions mean nearly the same."
            )
        return "\n".join(lines)


def _has(table: AttributeTable | None, name: str) -> bool:
    return table is None or name in table


def check_projection(
    found: BoundarySet,
    primal: str,
    conditions: Sequence[str],
    read: Read | None = None,
    ws: Tensor | None = None,
) -> ProjectionCheck:
    """Work out what holding some attributes does to the direction of another.

    Parameters
    ----------
    found : BoundarySet
        Fitted boundaries and the population's slopes.
    primal : str
        The attribute that is to change.
    conditions : sequence of str
        Those that are to stay.
    read : callable, optional
        Latents (B, num_ws, w_dim) to readings (B, A): the leakage is then measured as well.
    ws : Tensor, shape (F, num_ws, w_dim), optional
        Faces to measure on; needed with ``read``, and boundaries of W or W+.

    Raises
    ------
    ValueError
        An attribute without a boundary, a primal among its conditions, no condition.
    """
    names = (primal, *dict.fromkeys(conditions))
    if len(names) < 2 or primal in conditions:
        raise ValueError(
            f"conditions of {primal!r} are {list(conditions)}; allowed: at least one other "
            "attribute"
        )
    normals = torch.stack([_boundary(found, name).normal.reshape(-1) for name in names])
    rest = _outside(normals[:1], normals[1:])[0]
    left = float(rest.norm())
    _, _, redundant = span_basis(normals[1:])
    columns = [found.names.index(name) for name in names]
    before, after = normals[0], rest / max(left, 1e-12)
    slopes = found.slopes.double().flatten(1)
    effects = torch.stack([slopes @ before, slopes @ after])
    measured: dict[str, tuple[float, float]] = {}
    if read is not None:
        if ws is None or _boundary(found, primal).origin.space == "z":
            raise ValueError(
                "measuring leakage needs faces (ws) and boundaries of W or W+; allowed: both"
            )
        length = float(found.steps[columns[0]].norm())
        rows = torch.stack([before, after]).reshape(2, -1, ws.shape[2]).float()
        read_effects = measure_effects(rows, read, ws, size=0.2 * length)
        measured = _per_unit(read_effects.double(), names, columns)
    return ProjectionCheck(
        names,
        normals @ normals.T,
        left,
        {names[1 + i]: names[1 + j] for i, j in redundant.items()},
        _per_unit(effects, names, columns),
        measured,
    )


def _per_unit(
    effects: Tensor, names: Sequence[str], columns: Sequence[int]
) -> dict[str, tuple[float, float]]:
    """Changes (2, A) of readings -> each condition's, per unit of the primal's."""
    out = {}
    for name, column in zip(names[1:], columns[1:], strict=True):
        pair = [
            float(row[column] / row[columns[0]])
            if float(row[columns[0]].abs()) > 1e-9
            else math.nan
            for row in effects
        ]
        out[name] = (pair[0], pair[1])
    return out


def _boundary(found: BoundarySet, name: str) -> Boundary:
    if name not in found.boundaries:
        why = found.reasons.get(name, "it is not among the attributes")
        raise ValueError(
            f"attribute {name!r} has no boundary ({why}); allowed: {', '.join(found.boundaries)}"
        )
    return found.boundaries[name]


def usual_conditions(
    found: BoundarySet, table: AttributeTable, count: int = 3, least: float = 0.5
) -> dict[str, list[str]]:
    """Return the attributes that are held with each one where a request names none.

    Those whose change is predicted to be the largest, in standard deviations, when the attribute
    itself moves by one; members of its own exclusive group, what it implies and what shares its
    movement are no conditions, nor is one that would leave less than ``least`` of the direction.
    """
    names = list(found.boundaries)
    slopes = found.slopes.double().flatten(1) / found.spread.double().clamp_min(1e-3)[:, None]
    out: dict[str, list[str]] = {}
    for name in names:
        own = table[name]
        normal = found.boundaries[name].normal.reshape(1, -1)
        predicted = (slopes @ normal[0]).abs()
        held: list[str] = []
        for other in sorted(names, key=lambda n: -float(predicted[found.names.index(n)])):
            related = other in (*own.implies, *own.moves_with)
            related |= name in (*table[other].implies, *table[other].moves_with)
            if other == name or related or (own.group and table[other].group == own.group):
                continue
            trial = [found.boundaries[n].normal.reshape(-1) for n in (*held, other)]
            if len(held) == count:
                break
            if float(_outside(normal, torch.stack(trial)).norm()) >= least:
                held.append(other)
        out[name] = held
    return out


class ConditionalEditor(StepsEditor):
    """InterFaceGAN that holds other attributes: those that a request names, or the usual ones.

    Parameters
    ----------
    As :class:`StepsEditor`; ``extras["plain"]`` are the steps before any projection, (A, rows,
    w_dim), and ``details["conditions"]`` the usual conditions of each attribute.
    """

    name = "interfacegan-conditional"
    can_preserve = True

    @classmethod
    def from_boundaries(
        cls,
        found: BoundarySet,
        table: AttributeTable,
        num_ws: int,
        provenance: Mapping[str, str] | None = None,
        conditions: Mapping[str, Sequence[str]] | None = None,
    ) -> ConditionalEditor:
        """Build the editor, its gains not yet measured.

        Parameters
        ----------
        found, table, num_ws, provenance
            As :meth:`InterFaceGANEditor.from_boundaries`.
        conditions : mapping of str to sequence of str, optional
            What is held with each attribute; :func:`usual_conditions` where not given.

        Raises
        ------
        ValueError
            As :meth:`InterFaceGANEditor.from_boundaries`; also where a condition has no boundary,
            or where holding it leaves less than a fifth of a direction.
        """
        plain = InterFaceGANEditor.from_boundaries(found, table, num_ws, provenance)
        held = conditions if conditions is not None else usual_conditions(found, table)
        raw = plain.steps.steps
        steps = torch.zeros_like(raw)
        for name in plain.attributes:
            others = tuple(held.get(name, ()))
            for other in others:
                _boundary(found, other)
            steps[table.index(name)] = _with_held(raw, table, name, others, "hold")
        details = {**plain.details, "conditions": {k: list(v) for k, v in held.items()}}
        return cls(
            CalibratedSteps(steps), table, plain.origin, num_ws, found.reasons, details,
            {**plain.extras, "plain": raw}, provenance,
        )  # fmt: skip

    def move(self, w: Tensor, delta: Tensor, request: EditRequest) -> Tensor:
        """Move along what is left when others are held.

        The normals of ``request.preserve`` are projected out of every step; where it is empty, the
        usual conditions of each attribute are. The gain curve was measured with the usual ones;
        with others, a step still crosses the boundary's distance that the curve asks for.

        Raises
        ------
        AttributeRequestError
            An attribute to preserve has no boundary, or holding it leaves less than a fifth of a
            direction.
        """
        for name in request.preserve:
            if name not in self.attributes:
                why = self.reasons.get(name, "it was not fitted")
                raise AttributeRequestError(
                    f"preserve {name!r}: it has no boundary ({why}); allowed: "
                    f"{', '.join(self.attributes)}"
                )
        steps = self.steps.steps
        if request.preserve:
            steps = steps.clone()
            for name in request.names:
                step = _with_held(self.extras["plain"], self.table, name, request.preserve)
                steps[self.table.index(name)] = step.to(steps)
        knobs = self.steps.gain(delta)
        return w + torch.tensordot(knobs.to(w), steps.to(w), dims=1)


def _with_held(
    plain: Tensor, table: AttributeTable, name: str, held: Sequence[str], verb: str = "preserve"
) -> Tensor:
    """Return a step with others projected out that crosses the same distance.

    Where little of the direction is left, that step is long and goes nowhere in particular: less
    than `LEAST` is refused.
    """
    step = plain[table.index(name)].double().cpu()
    if not held:
        return step.float()
    others = plain[[table.index(other) for other in held]].double().cpu().flatten(1)
    flat = step.reshape(1, -1)
    rest = _outside(flat, others)
    left = float(rest.norm() / flat.norm())
    if left < LEAST:
        raise AttributeRequestError(
            f"{verb} {', '.join(map(repr, held))}: that leaves {100 * left:.0f} % of the direction "
            f"of {name!r}; allowed: at least {100 * LEAST:.0f} %, so {verb} fewer"
        )
    # a unit along the rest gains only `left` of a distance: longer by that, to cross the whole
    return (rest / left**2).reshape(step.shape).float()
