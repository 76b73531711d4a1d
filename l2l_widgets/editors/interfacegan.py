"""InterFaceGAN: the normal of a hyperplane between faces with and without an attribute.

Shen, Gu, Tang and Zhou, "Interpreting the Latent Space of GANs for Semantic Face Editing", CVPR
2020 (arXiv 1907.10786, section 3.1), and the authors' code (genforce/interfacegan):

* scores are sorted; a share of the codes is taken from either end (0.02 of 500,000 there), 70 % of
  them to train on and 30 % to validate, and the codes between are labelled by the midpoint of the
  extreme scores for a third accuracy;
* a linear support vector machine with C = 1 separates the ends; the direction is its coefficient
  divided by its length. The original drops the intercept; here it is kept, so that a distance of 0
  is the boundary;
* distances are absolute in Z and W, ``x + (d - distance(x)) n``, and relative in W+, ``x + d n``.

Beside it, two rules in closed form: ``ridge``, all scores regressed on all codes at once, in the
covariance metric, and ``mean-difference`` (both in ``editors/directions.py``). They use every score
instead of the confident ends, and one solve serves all attributes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from l2l_widgets.attributes import AttributeTable
from l2l_widgets.editors.directions import fit_directions, unit_length
from l2l_widgets.editors.effects import FEWEST, all_finite, cut_ends, select_ends, why_unfit
from l2l_widgets.editors.linear_steps import CalibratedSteps, LinearEditor
from l2l_widgets.editors.origins import Origin
from l2l_widgets.errors import TooLittleError

RULES = ("svm", "ridge", "mean-difference")
SOLVERS = ("liblinear", "libsvm")


@dataclass(frozen=True)
class Boundary:
    """A hyperplane between codes with and without one attribute.

    Parameters
    ----------
    name : str
        The attribute.
    normal : Tensor, shape (dim,) or (num_ws, w_dim), float64
        Unit length; the second form in W+.
    intercept : float
        ``codes . normal + intercept`` is the signed distance, in latent units.
    origin : Origin
        Generator, space and set.
    accuracies : mapping of str to float
        ``train``, ``validation`` and ``remaining``, as shares in [0, 1]; NaN of an empty set.
    counts : mapping of str to int
        Codes behind each accuracy.
    """

    name: str
    normal: Tensor
    intercept: float
    origin: Origin
    accuracies: Mapping[str, float] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)

    def distance(self, codes: Tensor) -> Tensor:
        """Return the signed distances (N,) of codes (N, ...), in latent units."""
        flat = codes.reshape(len(codes), -1)
        return flat @ self.normal.reshape(-1).to(flat) + self.intercept

    def move(
        self, codes: Tensor, distance: float, *, space: str, generator: str | None = None
    ) -> Tensor:
        """Move codes along the normal.

        Parameters
        ----------
        codes : Tensor, shape (N, dim) or (N, num_ws, w_dim)
            Left untouched.
        distance : float
            In Z and W the distance from the boundary where the codes end up; in W+ by how much
            they move, as the rows of an inverted face stand anywhere (genforce/interfacegan,
            issue 1).
        space : {"z", "w", "w+"}
            Which codes these are.
        generator : str, optional
            Hash of the generator whose codes they are.

        Returns
        -------
        Tensor
            Shape of ``codes``.

        Raises
        ------
        OriginError
            Codes of another space or generator.
        """
        self.origin.require(f"boundary of {self.name!r}", space=space, generator=generator)
        if codes.shape[1:] != self.normal.shape:
            raise ValueError(
                f"codes have shape {tuple(codes.shape)}; allowed: (N, "
                f"{', '.join(map(str, self.normal.shape))})"
            )
        step = torch.full((len(codes),), float(distance)).to(codes)
        if space != "w+":
            step = step - self.distance(codes)
        return codes + step.reshape(-1, *[1] * self.normal.ndim) * self.normal.to(codes)


@dataclass(frozen=True)
class BoundarySet:
    """The boundaries of a set of attributes.

    Parameters
    ----------
    names : tuple of str
        A attributes.
    boundaries : mapping of str to Boundary
        Those that were found.
    reasons : mapping of str to str
        Why the others were not.
    steps : Tensor, shape (A, ...), float32
        The normals in latent units per attribute unit, by the population's regression slope; 0
        where there is none.
    slopes : Tensor, shape (A, ...), float32
        Gradient of each reading on the codes by ridge regression, in attribute units per latent
        unit: what a step is predicted to do to all the others.
    spread : Tensor, shape (A,), float32
        Standard deviation of each reading.
    """

    names: tuple[str, ...]
    boundaries: Mapping[str, Boundary]
    reasons: Mapping[str, str]
    steps: Tensor
    slopes: Tensor
    spread: Tensor


def fit_boundaries(
    codes: Tensor,
    scores: Tensor,
    names: Sequence[str],
    origin: Origin,
    *,
    rule: str = "svm",
    chosen: float = 0.02,
    split: float = 0.7,
    penalty: float = 1.0,
    solver: str = "liblinear",
    ridge: float = 0.01,
    seed: int = 0,
) -> BoundarySet:
    """Fit one boundary per attribute.

    Parameters
    ----------
    codes : Tensor, shape (N, dim) or (N, num_ws, w_dim)
        Of unedited faces; W+ codes are flattened for the fit.
    scores : Tensor, shape (N, A)
        Readings in [0, 1].
    names : sequence of str
        A names.
    origin : Origin
        Generator, space and set of the codes.
    rule : {"svm", "ridge", "mean-difference"}
        See the module's first lines. With the closed forms the last tenth of the codes is held out
        for ``validation``; they have no use for ``split`` and ``penalty``.
    chosen, split : float
        Share (or number) of codes from each end, and the part of them that is trained on.
    penalty : float
        C of the support vector machine.
    solver : {"liblinear", "libsvm"}
        ``libsvm`` is the original's ``SVC(kernel="linear")``; ``liblinear`` (``LinearSVC``) finds
        nearly the same plane in a fraction of the time.
    ridge : float
        Regularisation of the regressions, as a share of the mean variance.
    seed : int
        Of the shuffle before the split.

    Returns
    -------
    BoundarySet
        An attribute whose scores are not finite, constant, or the same at both ends is left out
        with its reason; the others are fitted all the same.

    Raises
    ------
    ValueError
        Shapes that do not fit, codes that are not finite, an unknown rule or solver, or fewer than
        20 codes.
    """
    for label, value, allowed in (("rule", rule, RULES), ("solver", solver, SOLVERS)):
        if value not in allowed:
            raise ValueError(f"{label} is {value!r}; allowed: {', '.join(allowed)}")
    if not 0 < split < 1:
        raise ValueError(f"split is {split!r}; allowed: between 0 and 1")
    x, y = _checked(codes, scores, names, origin)
    mean = x.mean(dim=0)
    centred = x - mean
    usable = torch.isfinite(y).all(dim=0)
    y = torch.where(usable, y, 0.0)
    reasons = {
        n: "its scores hold NaN or infinity" for n, u in zip(names, usable, strict=True) if not u
    }
    columns = y.T.contiguous()  # each is walked along many times
    joint = None if rule == "svm" else _closed_form(centred, y, names, rule, ridge)
    normals = torch.zeros(len(names), x.shape[1], dtype=torch.float64)
    offsets: dict[str, float] = {}
    sets: dict[str, _Sets] = {}
    for i, name in enumerate(names):
        if name in reasons:
            continue
        ends = select_ends(columns[i], chosen)
        reason = why_unfit(columns[i], *ends[:2])
        if reason:
            reasons[name] = reason
        elif joint is None:
            sets[name] = _shuffled(columns[i], ends, split, seed)
            normals[i], offsets[name] = _svm(centred, sets[name]["train"], penalty, solver)
        else:
            sets[name] = _held_out(columns[i], ends, chosen)
            normals[i] = joint[i]
    along = centred @ normals.T  # (N, A), in one product
    lengths = unit_length(along, y - y.mean(dim=0))
    along = along.T.contiguous()
    boundaries = {}
    shape = codes.shape[1:]
    for i, name in enumerate(names):
        if name in sets and not float(lengths[i]) > 0:
            reasons[name] = "its direction does not raise it in the population"
        elif name in sets:
            distance = along[i]
            offset = offsets.get(name, _halfway(distance, sets[name]["train"]))
            right = {k: (distance[r] + offset > 0) == truth for k, (r, truth) in sets[name].items()}
            accuracies = {k: float(v.double().mean()) for k, v in right.items()}
            counts = {k: len(v) for k, v in right.items()}
            intercept = offset - float(mean @ normals[i])
            normal = normals[i].reshape(shape)
            boundaries[name] = Boundary(name, normal, intercept, origin, accuracies, counts)
    steps = normals * lengths[:, None]
    slopes = _slopes(centred, y - y.mean(dim=0), ridge)
    return BoundarySet(
        tuple(names),
        boundaries,
        reasons,
        steps.float().reshape(-1, *shape),
        slopes.float().reshape(-1, *shape),
        y.std(dim=0).float(),
    )


def _checked(
    codes: Tensor, scores: Tensor, names: Sequence[str], origin: Origin
) -> tuple[Tensor, Tensor]:
    wanted = 3 if origin.space == "w+" else 2
    if codes.ndim != wanted or scores.ndim != 2 or len(codes) != len(scores):
        raise ValueError(
            f"codes {tuple(codes.shape)} and scores {tuple(scores.shape)} do not fit; allowed in "
            f"{origin.space!r}: {'(N, num_ws, w_dim)' if wanted == 3 else '(N, dim)'} and (N, A)"
        )
    if scores.shape[1] != len(names):
        raise ValueError(
            f"scores have {scores.shape[1]} columns; allowed: {len(names)}, one for each of "
            f"{', '.join(list(names)[:3])}, ..."
        )
    if len(codes) < 2 * FEWEST:
        raise TooLittleError(f"{len(codes)} codes are too few; allowed: at least {2 * FEWEST}")
    if not all_finite(codes):
        raise ValueError("codes hold NaN or infinity; allowed: finite numbers")
    return codes.detach().cpu().double().flatten(1), scores.detach().cpu().double()


_Sets = dict[str, tuple[Tensor, Tensor]]  # name -> rows, and whether they have the attribute


def _remaining(column: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
    return rest, column[rest] >= (column.max() + column.min()) / 2


def _shuffled(
    column: Tensor, ends: tuple[Tensor, Tensor, Tensor], split: float, seed: int
) -> _Sets:
    """Shuffle both ends, and divide them into what is trained on and what validates."""
    stream = torch.Generator().manual_seed(seed)
    high, low = (end[torch.randperm(len(end), generator=stream)] for end in ends[:2])
    count = min(max(int(len(high) * split), 1), len(high) - 1)
    sets = {"remaining": _remaining(column, ends[2])}
    for key, cut in (("train", slice(0, count)), ("validation", slice(count, None))):
        rows = torch.cat([high[cut], low[cut]])
        sets[key] = (rows, torch.arange(len(rows)) < len(high[cut]))
    return sets


def _svm(x: Tensor, train: tuple[Tensor, Tensor], penalty: float, solver: str) -> Any:
    """Return the unit normal (dim,) and the offset of the plane between two sets of rows."""
    from sklearn.svm import SVC, LinearSVC  # heavy: only where a boundary is fitted

    rows, truth = train
    if solver == "libsvm":
        machine = SVC(kernel="linear", C=penalty)
    else:
        # the primal form: there are far more codes than numbers in a code
        machine = LinearSVC(C=penalty, dual=False, tol=1e-3, max_iter=1000)
    machine.fit(x[rows].numpy(), truth.numpy())
    normal = torch.tensor(machine.coef_[0], dtype=torch.float64)
    length = normal.norm().clamp_min(1e-12)
    return normal / length, float(machine.intercept_[0]) / float(length)


def _closed_form(x: Tensor, y: Tensor, names: Sequence[str], rule: str, ridge: float) -> Tensor:
    """Return the unit normals (A, dim) of a rule that needs no machine, without the held-out."""
    fitted = slice(0, len(x) - len(x) // 10)
    steps = fit_directions(x[fitted], y[fitted], names, rule, ridge=ridge).steps
    return torch.nn.functional.normalize(steps.double(), dim=1)


def _held_out(column: Tensor, ends: tuple[Tensor, Tensor, Tensor], chosen: float) -> _Sets:
    """Return the ends of the codes that were regressed on, and those of the held-out tenth."""
    cut = len(column) - len(column) // 10
    sets = {"remaining": _remaining(column, ends[2])}
    share = chosen if chosen <= 1 else chosen / len(column)
    # a part of what is sorted is sorted: once is enough
    order = torch.cat([ends[0], ends[2], ends[1]])
    for key, inside in (("train", order < cut), ("validation", order >= cut)):
        high, low, _ = cut_ends(order[inside], share)
        rows = torch.cat([high, low])
        sets[key] = (rows, torch.arange(len(rows)) < len(high))
    return sets


def _halfway(along: Tensor, train: tuple[Tensor, Tensor]) -> float:
    """Return the offset that puts a known plane half way between the two ends."""
    rows, truth = train
    return -float(along[rows[truth]].mean() + along[rows[~truth]].mean()) / 2


def _slopes(x: Tensor, y: Tensor, ridge: float) -> Tensor:
    """Return the ridge regression's gradient (A, dim) of readings y on codes x, both centred."""
    covariance = x.T @ x / len(x)
    damp = ridge * covariance.diagonal().mean() * torch.eye(x.shape[1], dtype=x.dtype)
    return torch.linalg.solve(covariance + damp, x.T @ y / len(x)).T


class InterFaceGANEditor(LinearEditor):
    """Boundaries behind the editor interface: a request is a change of distance.

    An editor is handed w, so only boundaries of W and W+ can serve it. A relative request moves by
    the distance that the gain curve measured for it; an absolute one first subtracts the current
    reading, which is the published ``d - distance(x)`` with a judge in the place of the plane.
    """

    name = "interfacegan"

    @classmethod
    def from_boundaries(
        cls,
        found: BoundarySet,
        table: AttributeTable,
        num_ws: int,
        provenance: Mapping[str, str] | None = None,
    ) -> InterFaceGANEditor:
        """Build the editor, its gains not yet measured.

        Parameters
        ----------
        found : BoundarySet
            Of all attributes of the table, in W or W+.
        table : AttributeTable
            The columns.
        num_ws : int
            Rows of W+.
        provenance : mapping of str to str, optional
            Hashes of what else went in.

        Raises
        ------
        OriginError
            Boundaries of Z.
        ValueError
            Another list of names than the table's.
        """
        if found.names != table.names:
            raise ValueError(
                f"boundaries of {len(found.names)} attributes for a table of {len(table)}; "
                "allowed: the table's names in its order"
            )
        origin = next((b.origin for b in found.boundaries.values()), None)
        if origin is None:
            why = next(iter(found.reasons.items()), ("", "nothing was fitted"))
            raise TooLittleError(f"no attribute has a boundary; {why[0]}: {why[1]}")
        if origin.space == "z":
            origin.require("the boundaries of an editor", space="w")
        steps = found.steps if found.steps.ndim == 3 else found.steps[:, None]
        details = {
            name: {
                "intercept": b.intercept,
                "accuracies": {k: round(v, 4) for k, v in b.accuracies.items()},
                "counts": dict(b.counts),
            }
            for name, b in found.boundaries.items()
        }
        return cls(
            CalibratedSteps(steps), table, origin, num_ws, found.reasons,
            {"boundaries": details}, {"slopes": found.slopes, "spread": found.spread}, provenance,
        )  # fmt: skip

    def boundary_set(self) -> BoundarySet:
        """Return all boundaries as they were fitted, as :func:`check_projection` takes them."""
        return BoundarySet(
            self.table.names,
            {name: self.boundary(name) for name in self.attributes},
            dict(self.reasons),
            self.steps.steps if self.space == "w+" else self.steps.steps[:, 0],
            self.extras["slopes"],
            self.extras["spread"],
        )

    def boundary(self, name: str) -> Boundary:
        """Return one boundary as it was fitted; ValueError for an attribute without one."""
        known = self.details["boundaries"]
        if name not in known:
            why = self.reasons.get(name, "it is not in the table")
            raise ValueError(
                f"boundary of {name!r}: there is none ({why}); allowed: {', '.join(known)}"
            )
        step = self.steps.steps[self.table.index(name)].double().cpu()
        normal = step / step.norm()
        row = known[name]
        return Boundary(
            name,
            normal[0] if self.space == "w" else normal,
            row["intercept"],
            self.origin,
            row["accuracies"],
            row["counts"],
        )
