"""What a walk between faces is asked to be, and what it turned out to be: plain values.

:mod:`l2l_widgets.walks.interpolation` draws and measures them, :mod:`l2l_widgets.walks.files`
writes them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from l2l_widgets.attributes import AttributeTable
from l2l_widgets.policy import visible_table
from l2l_widgets.session.rows import parse_rows
from l2l_widgets.session.states import DEFAULT_PSI, tensor_key

__all__ = ["Curves", "Strip", "Walk", "mix_rows", "row_numbers"]

KINDS = ("latent", "attribute", "identity")
SPACES = ("z", "w", "w+")
CURVES = ("slerp", "lerp")
FRAMES = (2, 600)
MAX_FACES = 64
#: Of the identity scale (0: strangers, 1: the same face): from here on it is more one person than
#: anybody else.
HALF = 0.5
#: The span of a sweep that asks for all that the method reaches, whoever the face is by then.
REACH = "reach"


@dataclass(frozen=True, eq=False)
class Walk:
    """What decides the frames of a walk.

    Parameters
    ----------
    faces : tuple of int or Tensor
        Seeds, or latents of shape (num_ws, w_dim) that are taken as they are. Two or more, up to
        64, for a walk from face to face; one for an attribute.
    kind : {"latent", "attribute", "identity"}
        See :mod:`l2l_widgets.walks.interpolation`.
    space : {"z", "w", "w+"}
        Where to walk from face to face; an identity walk goes through W or W+.
    curve : {"slerp", "lerp"}, optional
        A great circle (in W around the average face) or the straight line; the great circle in Z
        and the straight line elsewhere, if not given.
    rows : str
        Rows of W+ that walk, the others stay with the first face: "all", "coarse", "middle",
        "fine", or numbers as in "0-3,8". Others than "all" need space "w+".
    frames : int
        2 to 600, the first and the last face included.
    attribute : str
        What is swept, for kind "attribute".
    span : (float, float) or "reach", optional
        From which value to which, in attribute units; "reach" is as far as the editor reaches. If
        not given, the part of that in which the face keeps at least half of its identity.
    method : str, optional
        The editor for kinds "attribute" and "identity"; the models' first, if not given.
    hold : tuple of str
        What an identity walk holds; all that the method can change where empty.
    identity_by : {"mixer", "editor"}, optional
        What brings an identity walk to the other person: the trained mixer where the models have
        one, if not given, or the way to the other face's latent, all attributes brought back.
    truncation_psi : float
        In [0, 1.5]; does not apply to latents.
    noise_mode : {"const", "none"}
        As in the generator's synthesis.
    """

    faces: tuple[int | Tensor, ...]
    kind: str = "latent"
    space: str = "w"
    curve: str | None = None
    rows: str = "all"
    frames: int = 9
    attribute: str = ""
    span: tuple[float, float] | str | None = None
    method: str | None = None
    hold: tuple[str, ...] = ()
    truncation_psi: float = DEFAULT_PSI
    noise_mode: str = "const"
    identity_by: str | None = None

    def __post_init__(self) -> None:
        faces = self.faces
        if isinstance(faces, (list, tuple)):
            object.__setattr__(self, "faces", tuple(faces))
        if self.curve is None:
            object.__setattr__(self, "curve", "slerp" if self.space == "z" else "lerp")
        if isinstance(self.span, Sequence) and not isinstance(self.span, str):
            object.__setattr__(self, "span", tuple(self.span))

    def key(self) -> tuple[Any, ...]:
        """A hashable form; equal for walks that draw the same."""
        faces = tuple(f if isinstance(f, int) else tensor_key(f) for f in self.faces)
        return (
            faces, self.kind, self.space, self.curve, self.rows, self.frames, self.attribute,
            self.span, self.method, self.hold, self.truncation_psi, self.noise_mode,
            self.identity_by,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Curves:
    """What the judges read on a walk of N frames.

    Parameters
    ----------
    names : tuple of str
        Attributes, the columns of the readings.
    readings : Tensor, shape (N, A), or None
        In attribute units, [0, 1]; None without a judge of attributes.
    plain : Tensor, shape (N, A), or None
        For an identity walk, the same without the editor: what holding is held against.
    to_first, to_last : tuple of float, or None
        Cosine similarity to the identity of the first and the last frame, in [-1, 1]; for an
        identity walk to that of the last face itself, before its attributes were held, for an
        attribute walk in ``to_first`` to that of the face before any edit.
    strangers : float or None
        Mean similarity of different faces at this truncation: the zero of the identity scale.
    steps : tuple of float
        Mean absolute change of the pixels from frame to frame, N - 1 values in [0, 2].
    judges : mapping of str to str
        Who read.
    """

    names: tuple[str, ...]
    readings: Tensor | None
    plain: Tensor | None
    to_first: tuple[float, ...] | None
    to_last: tuple[float, ...] | None
    strangers: float | None
    steps: tuple[float, ...]
    judges: Mapping[str, str]

    def of(self, name: str) -> list[float]:
        """One attribute's reading in every frame; ValueError for an unknown name."""
        if self.readings is None or name not in self.names:
            known = ", ".join(self.names) if self.readings is not None else "none, without a judge"
            raise ValueError(f"curve is {name!r}; known: {known}")
        return [float(v) for v in self.readings[:, self.names.index(name)]]

    def kept(self, end: str = "first") -> list[float] | None:
        """Identity in every frame: 1 as the first (or "last") face, 0 as alike as strangers."""
        values = self.to_first if end == "first" else self.to_last
        return None if values is None else kept_shares(values, self.strangers)

    def ranked(self) -> list[str]:
        """Attributes, those that move most on the way first."""
        if self.readings is None:
            return []
        moved = self.readings.amax(0) - self.readings.amin(0)  # (A,)
        return [self.names[i] for i in moved.argsort(descending=True).tolist()]


@dataclass(frozen=True, eq=False)
class Strip:
    """The frames of a walk.

    Parameters
    ----------
    walk : Walk
        With everything filled in that was left to the models.
    t : tuple of float
        Position of each frame, 0 to 1.
    ws : Tensor, shape (N, num_ws, w_dim)
        Their latents.
    images : Tensor, shape (N, 3, R, R)
        RGB in [-1, 1].
    plain : Tensor, shape (N, num_ws, w_dim), or None
        For an identity walk, the straight way to the other face, nothing brought back.
    reach : (float, float) or None
        For an attribute walk that was to keep the identity, how far the method would have gone.
    curves : Curves or None
        None until measured.
    """

    walk: Walk
    t: tuple[float, ...]
    ws: Tensor
    images: Tensor
    plain: Tensor | None = None
    curves: Curves | None = None
    reach: tuple[float, float] | None = None

    def __repr__(self) -> str:
        return f"Strip({self.walk.kind} walk, {len(self.t)} frames)"

    def asked(self) -> list[float] | None:
        """For an attribute walk, the value asked for in every frame, in attribute units."""
        if self.walk.span is None or isinstance(self.walk.span, str):
            return None
        low, high = self.walk.span
        return [low + (high - low) * t for t in self.t]

    def to_text(self, table: AttributeTable) -> str:
        """What the curves say, for a terminal, in signs that each has; empty until measured."""
        text = " ".join(self.sentences(table))
        return text.replace("\u2212", "-").replace("\u202f", " ")

    def sentences(self, table: AttributeTable) -> list[str]:
        """The same as a list; only attributes of ``table`` that are not hidden are mentioned."""
        curves, table = self.curves, visible_table(table)
        if curves is None or curves.readings is None:
            return []
        first, last = curves.readings[0], curves.readings[-1]
        change = {n: float(last[i] - first[i]) for i, n in enumerate(curves.names) if n in table}
        swept = self.walk.attribute if self.walk.kind == "attribute" else ""
        out = []
        if swept in change:
            row = table[swept]
            own = curves.of(swept)
            ends = [row.value_text(value, fine=True) for value in (own[0], own[-1])]
            out.append(f"{row.label} goes from {ends[0]} to {ends[1]}.")
            if self.reach is not None and self.walk.span == self.reach:
                out.append("That is all that the method reaches; half of the identity is kept.")
            elif self.reach is not None:
                ends = [row.value_text(value, fine=True) for value in self.reach]
                out.append(
                    "It stops where less than half of the identity is kept; the method would ask "
                    f"for {ends[0]} to {ends[1]}."
                )
        others = sorted((n for n in change if n != swept), key=lambda n: -abs(change[n]))[:3]
        if self.walk.kind == "identity" and curves.plain is not None:
            held = columns_of(curves.names, self.walk.hold or table.names)
            kept = (last - first)[held].abs().mean()
            free = (curves.plain[-1] - curves.plain[0])[held].abs().mean()
            out.append(
                f"At the end the held attributes are {100 * float(kept):.1f} points off on "
                f"average; without holding, {100 * float(free):.1f}."
            )
        words = ", ".join(
            f"{table[n].label} {table[n].change_text(change[n], fine=True)}" for n in others
        )
        out.append(f"{'What else' if swept else 'What'} moved most: {words}.")
        kept_first, kept_last = curves.kept("first"), curves.kept("last")
        if kept_first is not None and kept_last is not None:
            if self.walk.kind == "identity":
                out.append(
                    f"At the end the identity is {_percent(kept_first[-1])} that of the first face "
                    f"and {_percent(kept_last[-1])} that of the other (0\u202f%: two strangers)."
                )
                if kept_last[-1] < HALF:
                    out.append("So the walk does not reach the other person.")
                if self.walk.identity_by == "editor":
                    out.append(
                        "It went without an identity mixer, which is trained to reach the other."
                    )
            elif self.walk.kind == "attribute":
                worst = min(kept_first)
                out.append(
                    f"At its lowest, the identity is {_percent(worst)} that of the face itself."
                )
            else:
                half = len(self.t) // 2
                out.append(
                    f"Half way the identity is {_percent(kept_first[half])} that of the first "
                    f"face and {_percent(kept_last[half])} that of the last (0\u202f%: two "
                    "strangers)."
                )
        return out


def row_numbers(rows: str, num_ws: int) -> tuple[int, ...]:
    """Rows of W+ by name or number.

    Parameters
    ----------
    rows : str
        "all", "coarse", "middle", "fine", or numbers and ranges as in "0-3,8".
    num_ws : int
        Rows of W+.

    Raises
    ------
    ValueError
        Another text, a row that is not there, or no row at all.
    """
    return parse_rows(rows, num_ws, ("all",))


def mix_rows(first: Tensor, second: Tensor, rows: str) -> Tensor:
    """The first latent with some rows of the second: style mixing.

    Parameters
    ----------
    first, second : Tensor, shape (num_ws, w_dim) or (B, num_ws, w_dim)
        Latents of W+ of the same shape.
    rows : str
        What comes from the second, as for :func:`row_numbers`.
    """
    if first.shape != second.shape or first.ndim not in (2, 3):
        raise ValueError(
            f"latents have shapes {tuple(first.shape)} and {tuple(second.shape)}; "
            "allowed: the same, (num_ws, w_dim) or (B, num_ws, w_dim)"
        )
    chosen = list(row_numbers(rows, first.shape[-2]))
    out = first.clone()
    out[..., chosen, :] = second[..., chosen, :]
    return out


def check_span(span: Any) -> None:
    if isinstance(span, str) and span == REACH:
        return
    numbers = isinstance(span, tuple) and len(span) == 2
    numbers = numbers and all(
        isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v) for v in span
    )
    if not numbers or not all(0 <= v <= 1 for v in span) or span[0] == span[1]:
        raise ValueError(
            f"span is {span!r}; allowed: two different numbers from 0 to 1, or {REACH!r}"
        )


def kept_shares(alike: Sequence[float], strangers: float | None) -> list[float] | None:
    """Cosines as shares of an identity: 1 the same face, 0 as alike as strangers."""
    if strangers is None or strangers >= 1:
        return None
    return [(v - strangers) / (1 - strangers) for v in alike]


def columns_of(names: Sequence[str], wanted: Sequence[str]) -> list[int]:
    return [i for i, name in enumerate(names) if name in wanted]


def _percent(share: float) -> str:
    return f"{100 * share:.0f}\u202f%".replace("-", "\u2212")
