"""What a session holds and what it answers: edits, the state that decides a picture, the result.

Plain values without behaviour; :mod:`l2l_widgets.session.rendering` draws them and
:mod:`l2l_widgets.session.replay` writes them down.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from l2l_widgets.attributes import EditRequest
from l2l_widgets.images import grid
from l2l_widgets.latents import to_wplus
from l2l_widgets.session.arguments import must_be, named_values, row_numbers, several_names

if TYPE_CHECKING:
    from l2l_widgets.models.zoo import Models

#: Where a fresh session starts: the usual compromise between variety and quality.
DEFAULT_PSI = 0.7
PSI_RANGE = (0.0, 1.5)
#: What can be repeated; fresh random noise cannot.
NOISE_MODES = ("const", "none")
MAX_EDITS = 64
#: No latent of a StyleGAN2 comes near this; larger numbers are damage, or an attack on arithmetic.
MAX_LATENT = 1e3
#: By how much two latents of one face may differ: those of a batch are computed in another order.
SAME = 1e-4
#: What a session's update may give: of the face, of the last edit.
_FACE_FIELDS = frozenset({"seed", "w", "truncation_psi", "noise_mode"})
_EDIT_FIELDS = frozenset({"method", "changes", "targets", "preserve", "rows", "space"})


@dataclass(frozen=True)
class Edit:
    """One edit: a method and what it is asked for, in attribute units.

    Parameters
    ----------
    method : str
        Editor name.
    changes : mapping of str to float
        Relative, in [-1, 1].
    targets : mapping of str to float
        Absolute, in [0, 1]; read against the face that this edit starts from.
    preserve : tuple of str
        Attributes that must not move.
    rows : tuple of int or None
        Rows of W+ that may change, 0 to num_ws - 1; None for all.
    space : {"w", "w+", "s"} or None
        Where the step is taken (:mod:`l2l_widgets.session.scope`); None for the method's own space.
    """

    method: str = "mapper"
    changes: Mapping[str, float] = field(default_factory=dict)
    targets: Mapping[str, float] = field(default_factory=dict)
    preserve: tuple[str, ...] = ()
    rows: tuple[int, ...] | None = None
    space: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "changes", named_values("changes", self.changes))
        object.__setattr__(self, "targets", named_values("targets", self.targets))
        object.__setattr__(self, "preserve", several_names("preserve", self.preserve))
        object.__setattr__(self, "rows", row_numbers(self.rows))

    @property
    def empty(self) -> bool:
        """Whether nothing is asked for."""
        return not self.targets and all(v == 0 for v in self.changes.values())

    def replaced(self, part: str, given: Any) -> dict[str, dict[str, float]]:
        """``changes`` and ``targets`` with one of them replaced; the other gives up its names."""
        other = {"changes": "targets", "targets": "changes"}[part]
        values = named_values(part, given)
        kept = {k: v for k, v in getattr(self, other).items() if k not in values}
        return {part: values, other: kept}

    def key(self) -> tuple[Any, ...]:
        """A hashable form; equal for edits that ask for the same."""
        return (
            self.method,
            tuple(sorted(self.changes.items())),
            tuple(sorted(self.targets.items())),
            tuple(sorted(self.preserve)),
            None if self.rows is None else tuple(sorted(self.rows)),
            self.space,
        )

    def to_dict(self) -> dict[str, Any]:
        """The edit as it stands in a recipe; rows and space only where they were chosen."""
        out: dict[str, Any] = {
            "method": self.method,
            "changes": {name: float(value) for name, value in self.changes.items()},
            "targets": {name: float(value) for name, value in self.targets.items()},
            "preserve": list(self.preserve),
        }
        if self.rows is not None:
            out["rows"] = sorted(self.rows)
        if self.space is not None:
            out["space"] = self.space
        return out


@dataclass(frozen=True)
class SessionState:
    """Everything that decides the picture.

    Values are kept as they were given; :meth:`Renderer.check` says what is wrong with them.

    Parameters
    ----------
    seed : int or None
        Seed of the face, 0 to 2**32 - 1, or None where ``w`` gives it.
    truncation_psi : float
        In [0, 1.5]; does not apply to ``w``.
    edits : tuple of Edit
        Applied in this order; the last one is the one that setters change.
    noise_mode : {"const", "none"}
        As in the generator's synthesis.
    w : Tensor, shape (1, num_ws, w_dim), or None
        The face as a latent.
    w_key : str
        Stands for ``w`` in comparisons.
    """

    seed: Any = 0
    truncation_psi: Any = DEFAULT_PSI
    edits: tuple[Edit, ...] = (Edit(),)
    noise_mode: str = "const"
    w: Any = field(default=None, compare=False)
    w_key: str = ""

    def face_key(self) -> tuple[Any, ...]:
        """Hashable name of the unedited face."""
        if self.w is not None:
            return ("w", self.w_key, self.noise_mode)
        return ("seed", self.seed, self.truncation_psi, self.noise_mode)

    def check_truncation(self) -> None:
        """Raise a ValueError unless the truncation is a number in its range."""
        psi, (low, high) = self.truncation_psi, PSI_RANGE
        if not _is_number(psi) or not low <= psi <= high:
            raise ValueError(
                f"truncation_psi is {psi!r}; allowed: a number from {low:g} to {high:g}"
            )

    def line(self, name: str, error: str | None = None) -> str:
        """One line for a person: the face, what is asked of it, and what cannot be done."""
        face = "a latent" if self.w is not None else f"seed {self.seed}"
        asked = []
        for edit in self.edits:
            words = [f"{name} {_signed(value)}" for name, value in edit.changes.items()]
            words += [f"{name} to {value}" for name, value in edit.targets.items()]
            asked += [f"{edit.method}: {', '.join(words)}"] if words else []
        wrong = [] if error is None else [f"ERROR: {error}"]
        return f"{name}({'; '.join([face, *asked, *wrong])})"


def check_state(state: Any) -> SessionState:
    """The state that was given; a ValueError where something else was."""
    found: SessionState = must_be("state", state, SessionState, "a session's state, or None")
    return found


def _signed(value: Any) -> str:
    return f"{value:+g}" if _is_number(value) else repr(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


@dataclass(frozen=True)
class EditResult:
    """One answer of a session.

    Parameters
    ----------
    before : Tensor, shape (3, R, R), or None
        The unedited face, RGB in [-1, 1]. None when even that cannot be drawn.
    after : Tensor, shape (3, R, R), or None
        The edited face; None when ``error`` is set.
    w, w_edited : Tensor, shape (1, num_ws, w_dim), or None
        Their latents.
    request : EditRequest
        What the current edit asks for; ``current`` holds the readings that targets refer to.
    requested : mapping of str to float
        Asked-for change of each edited attribute, over all edits, targets turned into changes.
    error : str or None
        One line when the request cannot be honoured.
    seconds : mapping of str to float
        ``mapping``, ``read``, ``edit``, ``synthesis`` and ``total``; what was known takes 0.
    state : SessionState
        What was drawn.
    stamp : int
        Number of the request; larger is newer.
    preview : bool
        Whether ``after`` is a draft: good to look at while a slider moves, not to keep or measure.
    """

    before: Tensor | None
    after: Tensor | None
    w: Tensor | None
    w_edited: Tensor | None
    request: EditRequest
    requested: Mapping[str, float]
    error: str | None
    seconds: Mapping[str, float]
    state: SessionState
    stamp: int = 0
    preview: bool = False

    def __repr__(self) -> str:
        # a notebook shows this: the error must not hide behind the numbers of two latents
        return self.state.line("EditResult", self.error)

    def compare(self, gap: int = 2) -> Tensor:
        """Before and after side by side.

        Parameters
        ----------
        gap : int
            Pixels between the two.

        Returns
        -------
        Tensor, shape (3, R, 2 R + gap)
            RGB in [-1, 1]. ValueError when the result holds an error.
        """
        if self.before is None or self.after is None:
            raise ValueError(self.error or "there is no picture to compare")
        return grid(torch.stack([self.before, self.after]), columns=2, gap=gap)


def tensor_key(w: Any) -> str:
    """A short name of a tensor's content."""
    if not isinstance(w, Tensor):
        return f"{type(w).__name__}"
    data = w.detach().cpu().contiguous().numpy().tobytes()
    return hashlib.sha256(data + str(tuple(w.shape)).encode()).hexdigest()[:32]


def face_values(face: Mapping[str, Any], models: Models) -> dict[str, Any]:
    """Fields of a face that go together: a latent has no seed, and a seed no latent.

    Parameters
    ----------
    face : mapping
        Some fields of a :class:`SessionState`, ``w`` as :func:`latent_face` takes it.
    models : Models
        Whose generator says how many rows a latent has; a seed does not load it.
    """
    if face.get("w") is not None:
        w = latent_face(face["w"], models.generator.num_ws)
        return {**face, "seed": None, "w": w, "w_key": tensor_key(w)}
    return {**face, "w": None, "w_key": ""} if "seed" in face else dict(face)


def changed(state: SessionState, values: Mapping[str, Any], models: Models) -> SessionState:
    """A state with other values: of the face, of its last edit, or all ``edits``.

    Parameters
    ----------
    state : SessionState
        What there is, with at least one edit.
    values : mapping
        Field -> value; a TypeError names one that does not exist.
    models : Models
        As for :func:`face_values`.
    """
    unknown = sorted(set(values) - _FACE_FIELDS - _EDIT_FIELDS - {"edits"})
    if unknown:
        known = ", ".join(sorted(_FACE_FIELDS | _EDIT_FIELDS | {"edits"}))
        raise TypeError(f"update: unknown field {unknown[0]!r}; known: {known}")
    face = face_values({k: v for k, v in values.items() if k in _FACE_FIELDS}, models)
    edit = {k: v for k, v in values.items() if k in _EDIT_FIELDS}
    edits = edits_asked(values.get("edits"), state.edits)
    if edit:
        edits = (*edits[:-1], replace(edits[-1], **edit))
    return replace(state, edits=edits, **face)


def edits_asked(given: Any, edits: tuple[Edit, ...]) -> tuple[Edit, ...]:
    """The edits that take the place of others: those given; an empty one where none are.

    Parameters
    ----------
    given : sequence of Edit or None
        None leaves those that there are.
    edits : tuple of Edit
        Those that there are, at least one.
    """
    if given is None:
        return edits
    allowed = "a list of Edit, or None"
    chosen = tuple(must_be("edits", given, (tuple, list), allowed))
    for edit in chosen:
        must_be("edits", edit, Edit, allowed)
    return chosen or (Edit(edits[-1].method),)


def let_go(edits: tuple[Edit, ...], names: Collection[str]) -> tuple[Edit, ...]:
    """The edits without what they ask of some attributes; the same object where that is nothing."""
    kept = tuple(
        replace(
            edit,
            changes={name: v for name, v in edit.changes.items() if name not in names},
            targets={name: v for name, v in edit.targets.items() if name not in names},
            preserve=tuple(name for name in edit.preserve if name not in names),
        )
        for edit in edits
    )
    return edits if kept == edits else kept


def same_latent(one: Tensor | None, other: Tensor | None) -> bool:
    """Whether two latents draw the same face: equal but for the last bits of the arithmetic."""
    if one is None or other is None or one.shape != other.shape:
        return False
    return torch.allclose(one.float().cpu(), other.float().cpu(), rtol=SAME, atol=SAME)


def latent_face(w: Any, num_ws: int) -> Any:
    """A copy in W+ where the shape allows it; the renderer's check names what it does not."""
    if not isinstance(w, Tensor):
        return w
    w = w.detach().clone().to(torch.float32)
    if w.ndim == 1:
        return to_wplus(w, num_ws)
    return w[None] if w.ndim == 2 else w


def plain_request(request: EditRequest) -> EditRequest:
    """The request with its readings as an ordinary tensor, not one of inference mode."""
    if request.current is None:
        return request
    return EditRequest(request.changes, request.targets, request.preserve, request.current.clone())
