"""What a judge of your own must be told: the text file beside it, read and checked."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from l2l_widgets.attributes import DEFAULT_TABLE, Attribute, AttributeTable
from l2l_widgets.errors import suggestion

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = [
    "Column",
    "Declaration",
    "JudgeError",
    "list_declarations",
    "published_declaration",
    "read_declaration",
]

PUBLISHED = Path(__file__).parent / "published"
KINDS = ("attributes", "identity", "parser", "landmarks", "detector")
COLOURS = ("RGB", "BGR", "GREY")
LAYOUTS = ("NCHW", "NHWC")
OUTPUTS = ("logits", "scores", "softmax")
#: What a detector's first four numbers are: left, top, right, bottom; left, top, width, height; or
#: the middle, width and height.
BOXES = ("corners", "sides", "middle")
#: What a landmark's numbers are: shares of the input's side, its pixels, or -1 to 1 across it.
UNITS = ("shares", "pixels", "signed")
#: Fields that only a detector has.
DETECTOR_FIELDS = (
    "height", "boxes", "transposed", "scores", "score", "points", "certain", "overlap",
)  # fmt: skip
CLASSES = 19  # of CelebAMask-HQ
MAX_TEXT = 200_000  # characters; the longest honest declaration has some thousands


class JudgeError(ValueError):
    """A judge that cannot be used: field, value and what is allowed are named."""


@dataclass(frozen=True)
class Column:
    """Where an attribute stands in a network's output.

    Parameters
    ----------
    column : int
        Position in the output's last axis; from its end where negative.
    low, high : float or None
        Output that means 0 and 1 in attribute units; ``high`` may be the smaller one. None for an
        output that already is a score, or becomes one by ``Declaration.outputs``.
    """

    column: int
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Declaration:
    """How pictures enter a network, and what its outputs mean.

    Parameters
    ----------
    kind : {"attributes", "identity", "parser", "landmarks", "detector"}
        Attribute scores in [0, 1], an identity vector, the 19 classes of CelebAMask-HQ, points of a
        face, or the faces in a photo.
    file : str
        The network, relative to the declaration's folder: ``.onnx`` or a TorchScript ``.pt``.
        Empty where the network is handed over as an object (:func:`wrap_judge`).
    size : int
        Side of the square pictures the network wants, pixels; of a detector's the width.
    height : int
        Detector: height of the pictures it wants; 0 where they are square.
    crop : tuple of 4 float
        Left, top, right, bottom of the part that it sees, as shares of the picture.
    colours : {"RGB", "BGR", "GREY"}
        Order of the planes; GREY is one plane of luma (ITU-R BT.601).
    range : tuple of 2 float
        What black and white are, before ``mean`` and ``std``: (0, 1), (0, 255), (-1, 1).
    mean, std : tuple of float
        Subtracted and divided by, a number a plane, in the order of ``colours``.
    layout : {"NCHW", "NHWC"}
        Order of the input's axes.
    input, output : str
        Names inside an ONNX file; empty for the first.
    outputs : {"logits", "scores", "softmax"}
        Attributes, detector: what turns outputs into scores. "logits" through the logistic
        function, "softmax" over all columns, "scores" not at all.
    attributes : mapping of str to Column
        Attributes: name -> column; a number, or what a file's table holds, becomes a Column.
    classes : tuple of int
        Parser: class of CelebAMask-HQ's official order for each class of the network's own.
    units : {"shares", "pixels", "signed"}
        Landmarks, detector: what their numbers are.
    five : tuple of int
        Landmarks: which points are the eyes, the nose and the corners of the mouth, each pair from
        the picture's left. Without it the network must give 5, 51 or 68 points in the usual order.
    boxes : {"corners", "sides", "middle"}
        Detector: what the first four columns of ``output`` are, a row a face: left, top, right,
        bottom; left, top, width, height; or the middle's x and y, width, height.
    transposed : bool
        Detector: whether the faces are the columns of ``output`` instead.
    scores : str
        Detector: name of the output that holds the scores, where it is another one. Of a network
        that is no ONNX file, not empty for the second of two outputs.
    score : int
        Detector: which column is the score; from the end where negative.
    points : tuple of int
        Detector: ten columns, x and y of the five points in the order of ``five``; may be empty.
    certain : float
        Detector: scores below are no faces, 0 to 1.
    overlap : float
        Detector: of two boxes that share more than this of their union the better is kept, 0 to 1.
    table : AttributeTable, optional
        Rows of ``attributes`` in their order. Without it the package's own where a name is known
        there, a plain one otherwise; a file says it as ``[table.NAME]``.
    about : str
        What the network is and where it comes from, for reports.
    """

    kind: str
    file: str = ""
    size: int = 0
    crop: tuple[float, ...] = (0.0, 0.0, 1.0, 1.0)
    colours: str = "RGB"
    range: tuple[float, ...] = (0.0, 1.0)
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    layout: str = "NCHW"
    input: str = ""
    output: str = ""
    outputs: str = "scores"
    attributes: Mapping[str, Column] = field(default_factory=dict)
    classes: tuple[int, ...] = ()
    units: str = "shares"
    five: tuple[int, ...] = ()
    height: int = 0
    boxes: str = "corners"
    transposed: bool = False
    scores: str = ""
    score: int = 4
    points: tuple[int, ...] = ()
    certain: float = 0.5
    overlap: float = 0.4
    table: AttributeTable | None = None
    about: str = ""
    folder: Path = Path()

    def __post_init__(self) -> None:
        _one_of("kind", self.kind, KINDS)
        _one_of("colours", self.colours, COLOURS)
        _one_of("layout", self.layout, LAYOUTS)
        _one_of("outputs", self.outputs, OUTPUTS)
        _one_of("units", self.units, UNITS)
        self._check_detector()
        if self.five and (len(self.five) != 5 or not all(type(i) is int for i in self.five)):
            raise JudgeError(f"five is {list(self.five)}; allowed: the numbers of five points")
        if not isinstance(self.size, int) or not 8 <= self.size <= 2048:
            raise JudgeError(f"size is {self.size!r}; allowed: a whole number from 8 to 2048")
        left, top, right, bottom = _numbers("crop", self.crop, 4)
        if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
            raise JudgeError(
                f"crop is {list(self.crop)}; allowed: left < right and top < bottom in [0, 1]"
            )
        black, white = _numbers("range", self.range, 2)
        if black == white:
            raise JudgeError(f"range is {list(self.range)}; allowed: two different numbers")
        for name in ("mean", "std"):
            if getattr(self, name):
                _numbers(name, getattr(self, name), self.planes)
        if any(s == 0 for s in self.std):
            raise JudgeError(f"std is {list(self.std)}; allowed: numbers other than 0")
        if not isinstance(self.attributes, Mapping):
            raise JudgeError(f"attributes is {self.attributes!r}; allowed: name -> column")
        columns = {
            name: entry if isinstance(entry, Column) else _column(name, entry)
            for name, entry in self.attributes.items()
        }
        object.__setattr__(self, "attributes", columns)
        if (self.kind == "attributes") != bool(self.attributes):
            raise JudgeError(
                f"attributes has {len(self.attributes)} names; allowed: at least one for kind "
                "'attributes', none for the others"
            )
        if self.table is None and self.attributes:
            object.__setattr__(self, "table", _table(self.attributes, {}))
        if self.table is not None and self.table.names != tuple(self.attributes):
            raise JudgeError("table has other names than attributes; allowed: the same, in order")
        if self.kind == "parser":
            bad = [c for c in self.classes if not isinstance(c, int) or not 0 <= c < CLASSES]
            if not self.classes or bad:
                raise JudgeError(
                    f"classes is {list(self.classes)[:20]}; allowed: for each class of the network "
                    f"the number 0 to {CLASSES - 1} of the official one"
                )

    def _check_detector(self) -> None:
        """The fields of a detector, which mean nothing for the other kinds."""
        if self.kind != "detector":
            own = [f for f in fields(self) if f.name in DETECTOR_FIELDS]
            stray = [f.name for f in own if getattr(self, f.name) != f.default]
            if stray:
                raise JudgeError(f"{stray[0]} is given; allowed: only with kind 'detector'")
            return
        _one_of("boxes", self.boxes, BOXES)
        if self.height and (type(self.height) is not int or not 8 <= self.height <= 2048):
            raise JudgeError(f"height is {self.height!r}; allowed: a whole number from 8 to 2048")
        if type(self.transposed) is not bool:
            raise JudgeError(f"transposed is {self.transposed!r}; allowed: true or false")
        if type(self.score) is not int:
            raise JudgeError(f"score is {self.score!r}; allowed: the number of a column")
        whole = all(type(i) is int and i >= 0 for i in self.points)
        if self.points and (len(self.points) != 10 or not whole):
            raise JudgeError(
                f"points is {list(self.points)}; allowed: the numbers of ten columns, x and y of "
                "eye, eye, nose and the corners of the mouth, or none"
            )
        for name in ("certain", "overlap"):
            value = getattr(self, name)
            _numbers(name, (value,), 1)
            if not 0 <= value <= 1:
                raise JudgeError(f"{name} is {value!r}; allowed: 0 to 1")

    def to_toml(self) -> str:
        """The declaration as a file's text, which :func:`read_declaration` reads back."""
        lines = []
        for f in fields(self):
            value = getattr(self, f.name)
            if f.name in ("folder", "attributes", "table") or value == f.default:
                continue
            # JSON's text, numbers, booleans and lists are TOML's
            written = list(value) if isinstance(value, tuple) else value
            lines.append(f"{f.name} = {json.dumps(written)}")
        if self.attributes:
            lines += ["", "[attributes]"]
        for name, column in self.attributes.items():
            entry = str(column.column)
            if column.low is not None:
                ends = f"low = {float(column.low)!r}, high = {float(column.high or 0)!r}"
                entry = f"{{column = {column.column}, {ends}}}"
            lines.append(f"{json.dumps(name)} = {entry}")
        for row in self.table or ():
            lines += ["", f"[table.{json.dumps(row.name)}]"]
            values = {f.name: getattr(row, f.name) for f in fields(row) if f.name != "name"}
            lines += [f"{k} = {json.dumps(v)}" for k, v in values.items() if v is not None]
        return "\n".join(lines) + "\n"

    @property
    def planes(self) -> int:
        """Colour planes of the input."""
        return 1 if self.colours == "GREY" else 3

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the pictures that the network wants, pixels."""
        return (self.height or self.size, self.size)

    @property
    def path(self) -> Path:
        """The network's file."""
        return self.folder / self.file


def read_declaration(source: str | os.PathLike[str]) -> Declaration:
    """A declaration from a TOML file, or a ready one by name.

    Parameters
    ----------
    source : str or path
        A file; or a name of :func:`list_declarations` for a published model, optionally followed by
        ``=FILE``, where the network's file lies (``arcface=models/w600k_r50.onnx``).

    Raises
    ------
    JudgeError
        No such file or name, no TOML, an unknown field, a value that is not allowed.
    """
    if not isinstance(source, (str, os.PathLike)):
        raise JudgeError(
            f"judge is {source!r}; allowed: a declaration (.toml), or NAME=FILE with NAME one of: "
            f"{', '.join(list_declarations())}"
        )
    text = os.fspath(source)
    name, _, file = text.partition("=")
    if name in list_declarations():
        return published_declaration(name, file or None)
    if file and not Path(text).exists():
        raise JudgeError(
            f"judge {name!r} is no published one; "
            f"{suggestion(name, list_declarations(), 'allowed before =')}"
        )
    path = Path(text)
    if path.suffix == ".onnx":
        raise JudgeError(
            f"judge {text!r}: a network alone does not say what its outputs mean; write a "
            f"declaration (.toml) beside it, or use NAME={text} with one of: "
            f"{', '.join(list_declarations())}"
        )
    try:
        content = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise JudgeError(
            f"judge {text!r}: no such file, and no published declaration of that name; "
            f"{suggestion(text, list_declarations(), 'published')}"
        ) from None
    except IsADirectoryError:
        raise JudgeError(f"judge {text!r} is a folder; allowed: the declaration in it") from None
    except UnicodeDecodeError:
        raise JudgeError(f"judge {text!r} is no text; allowed: a declaration (.toml)") from None
    except OSError as error:
        raise JudgeError(f"judge {text!r}: cannot be read ({error.strerror})") from None
    return _parse(content, path)


def list_declarations() -> tuple[str, ...]:
    """Names of published models whose declarations are ready; their files are not shipped."""
    return tuple(sorted(p.stem for p in PUBLISHED.glob("*.toml")))


def published_declaration(name: str, file: str | os.PathLike[str] | None = None) -> Declaration:
    """The ready declaration of a published model.

    Parameters
    ----------
    name : str
        One of :func:`list_declarations`.
    file : path, optional
        Where you put the network; without it, the published file name in the working folder.
    """
    if name not in list_declarations():
        raise JudgeError(f"declaration {name!r}; allowed: {', '.join(list_declarations())}")
    path = PUBLISHED / f"{name}.toml"
    found = _parse(path.read_text(encoding="utf-8"), path)
    values = {f.name: getattr(found, f.name) for f in fields(found)}
    # a published file never lies inside the package
    return Declaration(**values | {"folder": Path(), "file": os.fspath(file or found.file)})


def _parse(content: str, path: Path) -> Declaration:
    if len(content) > MAX_TEXT:
        raise JudgeError(f"{path}: {len(content)} characters; allowed: at most {MAX_TEXT}")
    try:
        raw = tomllib.loads(content)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise JudgeError(f"{path}: not readable as TOML ({error})") from None
    known = {f.name for f in fields(Declaration)} - {"folder"}
    unknown = sorted(set(raw) - known)
    if unknown:
        raise JudgeError(f"{path}: field {unknown[0]!r}; allowed: {', '.join(sorted(known))}")
    values: dict[str, Any] = {"folder": path.parent}
    try:
        if "kind" not in raw:
            raise JudgeError(f"kind is missing; allowed: {', '.join(KINDS)}")
        rows = raw.pop("table", {})
        for name, value in raw.items():
            values[name] = _value(name, value)
        if values.get("attributes"):
            values["table"] = _table(values["attributes"], rows)
        elif rows:
            raise JudgeError("table is given; allowed: only with attributes")
        return Declaration(**values)
    except JudgeError as error:
        raise JudgeError(f"{path}: {error}") from None


def _value(name: str, value: Any) -> Any:
    """A TOML value as the field's type; JudgeError names the field."""
    if name == "attributes":
        if not isinstance(value, dict):
            raise JudgeError(f"attributes is {value!r}; allowed: a table, name = column")
        return {attribute: _column(attribute, entry) for attribute, entry in value.items()}
    wanted = {f.name: f.type for f in fields(Declaration)}[name]
    if wanted == "str" and not isinstance(value, str):
        raise JudgeError(f"{name} is {value!r}; allowed: text")
    if str(wanted).startswith("tuple"):
        if not isinstance(value, list):
            raise JudgeError(f"{name} is {value!r}; allowed: a list of numbers")
        return tuple(value)
    if name == "file" and (Path(value).is_absolute() or ".." in Path(value).parts):
        raise JudgeError(f"file is {value!r}; allowed: a file in the declaration's folder")
    return value


def _column(attribute: str, entry: Any) -> Column:
    if isinstance(entry, int) and not isinstance(entry, bool):
        return Column(entry)
    allowed = "a column number, or {column = N, low = NUMBER, high = NUMBER}"
    if not isinstance(entry, dict) or set(entry) - {"column", "low", "high"}:
        raise JudgeError(f"attributes.{attribute} is {entry!r}; allowed: {allowed}")
    column = entry.get("column")
    if not isinstance(column, int) or isinstance(column, bool):
        raise JudgeError(f"attributes.{attribute}.column is {column!r}; allowed: a whole number")
    if ("low" in entry) != ("high" in entry):
        raise JudgeError(f"attributes.{attribute} has one of low and high; allowed: both or none")
    if "low" not in entry:
        return Column(column)
    low, high = _numbers(f"attributes.{attribute} low and high", (entry["low"], entry["high"]), 2)
    if low == high:
        raise JudgeError(f"attributes.{attribute}: low and high are both {low:g}")
    return Column(column, low, high)


def _table(attributes: Mapping[str, Column], rows: Any) -> AttributeTable:
    """The rows of the named attributes; the package's own unless the declaration has another."""
    if not isinstance(rows, dict) or not all(isinstance(row, dict) for row in rows.values()):
        raise JudgeError("table is no table of tables; allowed: [table.NAME] with label = TEXT ...")
    stray = sorted(set(rows) - set(attributes))
    if stray:
        raise JudgeError(f"table.{stray[0]} describes no attribute of attributes")
    options = {f.name for f in fields(Attribute)} - {"name"}
    made = []
    for name in attributes:
        row = dict(rows.get(name, {}))
        wrong = sorted(set(row) - options)
        if wrong:
            raise JudgeError(f"table.{name}.{wrong[0]}; allowed: {', '.join(sorted(options))}")
        if not row and name in DEFAULT_TABLE:
            known = DEFAULT_TABLE[name].among(attributes)
            # a group whose other members this judge cannot read is none
            mates = [a.name for a in DEFAULT_TABLE if known.group and a.group == known.group]
            alone = known.group is not None and not set(mates) <= set(attributes)
            row = {f: getattr(known, f) for f in options}
            if alone:
                row |= {"group": None, "kind": "continuous"}
        row.setdefault("label", name.replace("_", " "))
        row.setdefault("definition", f"What the judge calls {name}, from absent to present.")
        row.setdefault("family", "other")
        for several in ("implies", "moves_with"):
            if isinstance(row.get(several), list):
                row[several] = tuple(row[several])
        try:
            made.append(Attribute(name=name, **row))
        except (ValueError, TypeError) as error:
            raise JudgeError(f"table.{name}: {error}") from None
    try:
        return AttributeTable(made)
    except ValueError as error:
        raise JudgeError(str(error)) from None


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise JudgeError(f"{name} is {value!r}; allowed: {', '.join(allowed)}")


def _numbers(name: str, values: Any, count: int) -> tuple[float, ...]:
    """``values`` as floats; JudgeError where they are not ``count`` finite numbers."""
    good = len(values) == count and all(
        isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v) for v in values
    )
    if not good:
        numbers = "one finite number" if count == 1 else f"{count} finite numbers"
        raise JudgeError(f"{name} is {list(values)!r}; allowed: {numbers}")
    return tuple(float(v) for v in values)
