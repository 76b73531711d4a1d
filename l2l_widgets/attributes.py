"""The 35 named attributes, and what it means to ask for a change of them.

Every value is in *attribute units*: what an attribute regressor reports, in [0, 1]. ``low`` and
``high`` say what the two ends mean in a unit a person reads (years, degrees, percent). Nothing in
the package indexes an attribute by a number; names are the only key.

The families are those of the label source used by Khodadadeh et al. (WACV 2022): age, gender
presentation, smile, facial hair, head pose, glasses, emotion, baldness and hair, makeup,
accessories. Their list of 35 was never published; this one is ours.
"""

from __future__ import annotations

import json
import math
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from l2l_widgets.errors import suggestion

# The command line reads the table before anything is computed: torch is imported where it is used.
if TYPE_CHECKING:
    from torch import Tensor

Amount = TypeVar("Amount", float, "Tensor")
KINDS = ("continuous", "binary", "member")


class AttributeRequestError(ValueError):
    """A request that cannot be honoured: field, value and what is allowed are named."""


@dataclass(frozen=True)
class Attribute:
    """One row of the table.

    Parameters
    ----------
    name : str
        The key, lower case with underscores.
    label : str
        What a slider shows.
    definition : str
        What the two ends mean, in one sentence.
    family : str
        Heading under which it is listed.
    kind : {"continuous", "binary", "member"}
        A degree, a yes or no, or one member of an exclusive ``group``.
    group : str or None
        Exclusive group: at most one member should be high.
    implies : tuple of str
        Attributes that must be high when this one is (dark glasses are glasses).
    moves_with : tuple of str
        Attributes that cannot be asked to stay when this one moves, as their definitions share the
        movement: a smile and happiness both lift the lip corners. Surprise drops the jaw, while an
        open mouth need not be surprised: the relation may go one way. It says nothing about what a
        column holds, so tables that differ in it alone are equal.
    low, high : float
        What 0 and 1 mean in ``unit``.
    unit : str
        Unit of ``low`` and ``high``.
    shown : bool
        Whether an editor shows it before the user asks for more.
    """

    name: str
    label: str
    definition: str
    family: str
    kind: str = "continuous"
    group: str | None = None
    implies: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 100.0
    unit: str = "%"
    shown: bool = True
    moves_with: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"attribute {self.name!r}: kind {self.kind!r} is not one of {KINDS}")
        if (self.kind == "member") != (self.group is not None):
            raise ValueError(f"attribute {self.name!r}: a group is given exactly for kind 'member'")
        if not self.low < self.high:
            raise ValueError(
                f"attribute {self.name!r}: low {self.low} is not below high {self.high}"
            )

    def among(self, names: Container[str]) -> Attribute:
        """The row as it stands in a table of these names: what it says of others is left out."""
        implies = tuple(other for other in self.implies if other in names)
        moves_with = tuple(other for other in self.moves_with if other in names)
        return replace(self, implies=implies, moves_with=moves_with)

    def to_unit(self, value: Amount) -> Amount:
        """Attribute units in [0, 1] to the display unit, for a number or a tensor."""
        return self.low + (self.high - self.low) * value

    def value_text(self, value: float, *, fine: bool = False) -> str:
        """A reading as everybody is shown it: "52 years", "-12°", "+12°", "31 %".

        Parameters
        ----------
        value : float
            In attribute units.
        fine : bool
            For a page: a minus sign as long as a plus, and a space that no line breaks at.
        """
        return self._with_unit(_whole(self.to_unit(value)), self.low < 0, fine)

    def change_text(self, change: float, *, fine: bool = False) -> str:
        """A difference of two readings as everybody is shown it: "+47 %", "-3°", "0 years".

        Parameters
        ----------
        change : float
            In attribute units.
        fine : bool
            As for :meth:`value_text`.
        """
        return self._with_unit(_whole((self.high - self.low) * change), True, fine)

    def _with_unit(self, number: int, signed: bool, fine: bool) -> str:
        sign = ("\u2212" if fine else "-") if number < 0 else "+" if signed and number > 0 else ""
        space = "" if self.unit in ("°", "") else "\u202f" if fine else " "
        return f"{sign}{abs(number)}{space}{self.unit}"

    def from_unit(self, value: Amount) -> Amount:
        """Display unit to attribute units, for a number or a tensor."""
        return (value - self.low) / (self.high - self.low)

    def unit_hint(self, value: float, kind: str) -> str:
        """What a number beyond the attribute units means if it was meant in the display unit.

        Parameters
        ----------
        value : float
            What was asked for.
        kind : {"target", "change"}
            How.

        Returns
        -------
        str
            The rest of an error's sentence; empty where the number fits the display unit no better.
        """
        span = self.high - self.low
        # hardly anybody who writes 1.5 means one and a half per cent
        if not math.isfinite(value) or abs(value) < 2:
            return ""
        unit = f" {self.unit}"
        if kind == "target" and self.low <= value <= self.high:
            means = f"{value:g}{unit} is {self.from_unit(value):.2g}"
        elif kind == "change" and abs(value) <= span:
            means = f"{value:+g}{unit} is {value / span:+.2g}"
        else:
            means = ""
        runs = f" ({self.name} runs from {self.low:g} to {self.high:g}{unit}"
        return f"{runs}: {means})" if means else f"{runs})"


class AttributeTable:
    """An ordered set of attributes, looked up by name.

    Parameters
    ----------
    attributes : iterable of Attribute
        The rows, in the order in which a regressor reports them.
    families : iterable of str
        Headings in the order in which they stand, of which some may have no row here; further ones
        follow in table order. All of them do if not given.
    """

    def __init__(self, attributes: Iterable[Attribute], families: Iterable[str] = ()) -> None:
        self._rows = tuple(attributes)
        self.headings = tuple(dict.fromkeys([*families, *(a.family for a in self._rows)]))
        self.names: tuple[str, ...] = tuple(a.name for a in self._rows)
        if len(set(self.names)) != len(self.names):
            raise ValueError("attribute table: two rows share a name")
        self._index = {name: i for i, name in enumerate(self.names)}
        for a in self._rows:
            for word, others in (("implies", a.implies), ("moves with", a.moves_with)):
                for other in others:
                    if other not in self._index:
                        raise ValueError(
                            f"attribute {a.name!r} {word} {other!r}, which is not in the table"
                        )

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Attribute]:
        return iter(self._rows)

    def __contains__(self, name: object) -> bool:
        return name in self._index

    def __getitem__(self, name: str) -> Attribute:
        return self._rows[self.index(name)]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AttributeTable) and self._rows == other._rows

    def __hash__(self) -> int:
        return hash(self._rows)

    def index(self, name: str) -> int:
        """Column of an attribute; an unknown name is refused with the nearest known ones."""
        if name not in self._index:
            raise AttributeRequestError(self._unknown(name))
        return self._index[name]

    def _unknown(self, name: object) -> str:
        typed = str(name).strip().lower()
        labels = {row.label.lower(): row for row in self._rows}
        if typed in labels:
            row = labels[typed]
            return f"attribute {str(name)!r} is unknown; did you mean {row.name} ({row.label!r})?"
        # what is only similar is found by the label that a slider shows as well
        words = {row.label: row.name for row in self._rows}
        hint = suggestion(typed, self.names, "known", words)
        return f"attribute {str(name)!r} is unknown; {hint}"

    def families(self) -> dict[str, tuple[Attribute, ...]]:
        """Family heading -> its rows; a row that is left out moves no heading to another place."""
        rows = {heading: tuple(a for a in self if a.family == heading) for heading in self.headings}
        return {heading: members for heading, members in rows.items() if members}

    def groups(self) -> dict[str, tuple[str, ...]]:
        """Exclusive group -> names of its members."""
        out: dict[str, list[str]] = {}
        for a in self._rows:
            if a.group is not None:
                out.setdefault(a.group, []).append(a.name)
        return {k: tuple(v) for k, v in out.items()}

    def moved_with(self, names: Iterable[str]) -> tuple[str, ...]:
        """What shares the movement of the named rows, those left out, in table order."""
        asked = set(names)
        shared = {other for n in asked if n in self for other in self[n].moves_with}
        return tuple(n for n in self.names if n in shared and n not in asked)

    def subset(self, names: Iterable[str]) -> AttributeTable:
        """The named rows, in table order; what names a row outside the subset is dropped."""
        wanted = {self.names[self.index(n)] for n in names}
        rows = [a for a in self._rows if a.name in wanted]
        return AttributeTable((a.among(wanted) for a in rows), self.headings)

    def hide(self, names: Iterable[str]) -> AttributeTable:
        """The table without the named rows: a teacher's policy list."""
        hidden = {self.names[self.index(n)] for n in names}
        return self.subset(n for n in self.names if n not in hidden)

    def to_json(self) -> str:
        """The table as JSON text, one object a row."""
        return json.dumps([asdict(a) for a in self._rows])

    @classmethod
    def from_json(cls, text: str) -> AttributeTable:
        """Read what :meth:`to_json` wrote; an unknown field is refused by name."""
        rows = json.loads(text)
        known = set(Attribute.__dataclass_fields__)
        for row in rows:
            extra = set(row) - known
            if extra:
                raise ValueError(f"attribute table: unknown field {sorted(extra)[0]!r}")
        several = ("implies", "moves_with")
        return cls(Attribute(**{**r, **{k: tuple(r.get(k, ())) for k in several}}) for r in rows)


@dataclass(frozen=True)
class EditRequest:
    """What an edit asks for, in attribute units.

    Parameters
    ----------
    changes : mapping of str to float
        Relative: by how much, in [-1, 1].
    targets : mapping of str to float
        Absolute: to which value, in [0, 1]. Needs ``current``.
    preserve : tuple of str
        Attributes that must not move.
    current : Tensor, shape (B, A), optional
        Readings of the faces that are edited, columns as in the table.
    """

    changes: Mapping[str, float] = field(default_factory=dict)
    targets: Mapping[str, float] = field(default_factory=dict)
    preserve: tuple[str, ...] = ()
    current: Tensor | None = field(default=None, compare=False, repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """Names that the request changes."""
        return (*self.changes, *self.targets)

    @property
    def empty(self) -> bool:
        """Whether nothing is asked for."""
        return not self.targets and all(v == 0 for v in self.changes.values())

    def validate(self, table: AttributeTable) -> None:
        """Raise :class:`AttributeRequestError` unless the request is possible in ``table``."""
        for label, values, low, high in (
            ("change", self.changes, -1.0, 1.0),
            ("target", self.targets, 0.0, 1.0),
        ):
            for name, value in values.items():
                table.index(name)
                number = _as_number(name, value)
                if not math.isfinite(number) or not low <= number <= high:
                    raise AttributeRequestError(
                        f"{label} of {name!r} is {value!r}; "
                        f"allowed: a number from {low:g} to {high:g}"
                        f"{table[name].unit_hint(number, label)}"
                    )
        both = sorted(set(self.changes) & set(self.targets))
        if both:
            raise AttributeRequestError(
                f"{both[0]!r} is given as a change and as a target; allowed: one of the two"
            )
        for name in self.preserve:
            table.index(name)
            if name in self.changes or name in self.targets:
                raise AttributeRequestError(
                    f"{name!r} is both changed and preserved; allowed: one of the two"
                )
        for group, members in table.groups().items():
            raised = [m for m in members if self._raises(m)]
            if len(raised) > 1:
                raise AttributeRequestError(
                    f"{' and '.join(repr(m) for m in raised)} are both raised; allowed: one of the "
                    f"exclusive group {group!r}"
                )

    def _raises(self, name: str) -> bool:
        return self.changes.get(name, 0.0) > 0 or self.targets.get(name, 0.0) >= 0.5

    def deltas(self, table: AttributeTable) -> Tensor:
        """The requested change of every attribute.

        Returns
        -------
        Tensor, shape (B, A) or (1, A)
            In [-1, 1]; 0 where nothing is asked for. One row unless ``current`` has more.
        """
        import torch

        self.validate(table)
        if self.targets and self.current is None:
            name = next(iter(self.targets))
            raise AttributeRequestError(
                f"target of {name!r} is absolute; give the current readings, or ask for a change"
            )
        rows = 1 if self.current is None else self.current.shape[0]
        out = torch.zeros(rows, len(table))
        if self.current is not None:
            if self.current.ndim != 2 or self.current.shape[1] != len(table):
                raise AttributeRequestError(
                    f"current readings have shape {tuple(self.current.shape)}; "
                    f"allowed: (B, {len(table)})"
                )
            out = out.to(self.current.device)
        for name, value in self.changes.items():
            out[:, table.index(name)] = float(value)
        for name, value in self.targets.items():
            assert self.current is not None
            now = self.current[:, table.index(name)]
            step = float(value) - now
            if table[name].kind == "binary" and value >= 0.5:
                # somebody who wears glasses more surely than asked for is not to lose them
                step = step.clamp_min(0.0)
            out[:, table.index(name)] = step
        return out


def label_of(name: str, table: AttributeTable | None = None) -> str:
    """What a reader is shown for an attribute's name: the label of its row, in every figure.

    Parameters
    ----------
    name : str
        Of an attribute, or of something else that stands among them, such as "identity".
    table : AttributeTable, optional
        Whose labels; :data:`DEFAULT_TABLE` where not given.
    """
    rows = DEFAULT_TABLE if table is None else table
    return rows[name].label if name in rows else name[:1].upper() + name[1:].replace("_", " ")


def _whole(number: float) -> int:
    """The nearest whole number, halves away from zero: what a person who rounds would write."""
    return int(math.copysign(math.floor(abs(number) + 0.5 + 1e-9), number))


def _as_number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise AttributeRequestError(f"value of {name!r} is {value!r}; allowed: a number")
    return float(value)


def _emotion(
    name: str, definition: str, moves_with: tuple[str, ...] = (), *, shown: bool = True
) -> Attribute:
    return Attribute(
        name, name.capitalize(), definition, "Emotion", "member", "emotion", shown=shown,
        moves_with=moves_with,
    )  # fmt: skip


def _hair_colour(name: str, definition: str) -> Attribute:
    label = name.split("_")[1].capitalize() + " hair"
    return Attribute(name, label, definition, "Hair colour", "member", "hair_colour")


DEFAULT_TABLE = AttributeTable(
    [
        Attribute("age", "Age", "Apparent age.", "Person", low=5, high=85, unit="years"),
        Attribute(
            "gender", "Gender", "Presentation, from feminine (0) to masculine (1).", "Person"
        ),
        Attribute(
            "smile",
            "Smile",
            "Lip corners, from down (0) over level to up (1).",
            "Expression",
            moves_with=("happiness", "neutral", "sadness", "contempt"),
        ),
        Attribute("beard", "Beard", "Hair on chin and jaw, from none to full.", "Facial hair"),
        Attribute("moustache", "Moustache", "Hair on the upper lip, none to full.", "Facial hair"),
        Attribute("sideburns", "Sideburns", "Hair before the ears, none to full.", "Facial hair"),
        Attribute(
            "yaw",
            "Yaw",
            "Head turned to the picture's left or right.",
            "Pose",
            low=-45,
            high=45,
            unit="°",
        ),
        Attribute("pitch", "Pitch", "Head down or up.", "Pose", low=-25, high=25, unit="°"),
        Attribute("roll", "Roll", "Head tilted to a side.", "Pose", low=-15, high=15, unit="°"),
        Attribute("glasses", "Glasses", "Wears glasses of any kind.", "Glasses", "binary"),
        Attribute(
            "sunglasses",
            "Dark lenses",
            "The glasses have dark lenses.",
            "Glasses",
            "binary",
            implies=("glasses",),
        ),
        _emotion("anger", "Brows down and together, lips pressed."),
        _emotion("contempt", "One lip corner up.", ("smile",), shown=False),
        _emotion("disgust", "Nose wrinkled, upper lip raised.", shown=False),
        _emotion(
            "fear", "Brows up and together, eyes wide, lips stretched.", ("eyes_open",), shown=False
        ),
        _emotion("happiness", "Lip corners up, cheeks raised.", ("smile",)),
        _emotion("neutral", "No emotion.", ("smile",)),
        _emotion("sadness", "Inner brows up, lip corners down.", ("smile",)),
        _emotion("surprise", "Brows up, eyes wide, jaw dropped.", ("eyes_open", "mouth_open")),
        Attribute("baldness", "Baldness", "Scalp without hair, from none to bald.", "Hair"),
        _hair_colour("hair_black", "Black hair."),
        _hair_colour("hair_brown", "Brown hair."),
        _hair_colour("hair_blond", "Blond hair."),
        _hair_colour("hair_red", "Red hair."),
        _hair_colour("hair_grey", "Grey or white hair."),
        Attribute("hair_length", "Hair length", "From cropped to below the shoulder.", "Hair"),
        Attribute("hair_curl", "Curl", "From straight to curly.", "Hair"),
        Attribute("hair_volume", "Hair volume", "From flat to full.", "Hair"),
        Attribute("fringe", "Fringe", "Hair over the forehead.", "Hair"),
        Attribute("eye_makeup", "Eye makeup", "Eyeshadow and liner, none to strong.", "Makeup"),
        Attribute("lip_makeup", "Lipstick", "Lip colour, none to strong.", "Makeup"),
        Attribute("hat", "Hat", "Wears a hat.", "Accessories", "binary"),
        Attribute("earrings", "Earrings", "Wears earrings.", "Accessories", "binary"),
        Attribute("mouth_open", "Mouth open", "From closed to wide open.", "Expression"),
        Attribute("eyes_open", "Eyes open", "From closed to wide open.", "Expression"),
    ]
)

#: The eight that Khodadadeh et al. evaluate; their "expression" is our ``smile``.
PAPER_EIGHT = ("age", "baldness", "beard", "smile", "gender", "glasses", "pitch", "yaw")
