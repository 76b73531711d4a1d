"""What an evaluation is told and what it found."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from l2l_widgets.attributes import PAPER_EIGHT

if TYPE_CHECKING:
    from l2l_widgets.evaluation.plan import Plan

#: Evaluation faces start here: far from the small seeds that people type and tests use.
FIRST_FACE = 1_000_000


def versions() -> dict[str, str]:
    """Return the releases that a number was made with: of this package, Python and torch."""
    import torch

    import l2l_widgets

    return {
        "l2l_widgets": l2l_widgets.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


@dataclass(frozen=True)
class Protocol:
    """What is measured; kept in the report.

    Parameters
    ----------
    attributes : tuple of str
        Attributes that are edited, one at a time.
    faces : int
        Number of faces.
    seed : int
        Chooses the faces, the directions and the resampling; at most 999.
    request : float
        Size of the requested change, in (0, 0.5] so that one direction always has room.
    truncation_psi : float
        Truncation of the faces.
    batch : int
        Faces computed at a time.
    draws : int
        Bootstrap resamples.
    """

    attributes: tuple[str, ...] = PAPER_EIGHT
    faces: int = 500
    seed: int = 0
    request: float = 0.3
    truncation_psi: float = 0.7
    batch: int = 50
    draws: int = 1000

    def __post_init__(self) -> None:
        for name, least, most in (
            ("faces", 2, 4000), ("seed", 0, 999), ("batch", 1, 4000), ("draws", 10, 100_000),
        ):  # fmt: skip
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise ValueError(f"{name} is {value!r}; allowed: an integer from {least} to {most}")
        if not 0 < self.request <= 0.5:
            raise ValueError(f"request is {self.request!r}; allowed: above 0, at most 0.5")
        if not 0 <= self.truncation_psi <= 2:
            raise ValueError(f"truncation_psi is {self.truncation_psi!r}; allowed: 0 to 2")
        if not self.attributes or len(set(self.attributes)) != len(self.attributes):
            raise ValueError("attributes are empty or repeat a name; allowed: distinct names")

    def face_seeds(self) -> range:
        """Return the seeds of the faces: each can be typed into a session."""
        start = FIRST_FACE + self.seed * 4000
        return range(start, start + self.faces)


@dataclass
class EvaluationReport:
    """What :func:`evaluate` found.

    Parameters
    ----------
    protocol : Protocol
        What was measured.
    provenance : dict
        Models, hashes, judges, versions, wall time.
    methods, attributes : list of dict
        One row a method; one row a method and attribute.
    measurements : list of tuple
        Long form: method, attribute, face, requested, reader, quantity, value.
    """

    protocol: Protocol
    provenance: dict[str, Any] = field(default_factory=dict)
    methods: list[dict[str, Any]] = field(default_factory=list)
    attributes: list[dict[str, Any]] = field(default_factory=list)
    measurements: list[tuple[Any, ...]] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """Return everything but the single measurements, as JSON values."""
        return {
            "format": "l2l-evaluation/1",
            "protocol": {**asdict(self.protocol), "attributes": list(self.protocol.attributes)},
            **self.provenance,
            "methods": self.methods,
            "attributes": self.attributes,
        }


@dataclass
class Comparison:
    """What a comparison found; each table is a list of rows.

    Parameters
    ----------
    plan : Plan
        What was measured.
    provenance : dict
        Models, hashes, judges, versions, wall time, whether it is a preview.
    failed : list of dict
        Cells that could not be measured, each with its reason.
    requested : dict of int to EvaluationReport
        Training seed -> the part at equal request; its single faces are in ``measurements``.
    rescoring : list of dict
        At equal request: one row a method, seed, reader, edited and read attribute.
    readers : list of dict
        One row a pair of readers and attribute: how far they agree on the unedited faces.
    groups : list of dict
        One row a method, reader and group of faces, at equal achieved change.
    equal : list of dict
        At equal achieved change: one row a method, seed, reader and attribute.
    methods : list of dict
        The same over all attributes.
    leakage : list of dict
        One row a method, seed, reader, edited and read attribute.
    pairs : list of dict
        One row a pair of methods, reader and quantity.
    paper : list of dict
        One row a method and row of the paper's table.
    several : list of dict
        One row a method, seed and reader.
    standards : list of dict
        One row a number of :mod:`l2l_widgets.evaluation.standards`.
    measurements : list of tuple
        Single faces: part, method, seed, attribute, face, requested, reader, quantity, value.
    curves : list of dict
        Identity and leakage along the sweep, for figures: means over the faces, and their 95 %
        bootstrap intervals (``others_interval``, ``identity_interval``: [lows, highs]); of how
        many faces each is (``faces``, ``identity_faces``).
    """

    plan: Plan
    provenance: dict[str, Any] = field(default_factory=dict)
    failed: list[dict[str, Any]] = field(default_factory=list)
    requested: dict[int, EvaluationReport] = field(default_factory=dict)
    rescoring: list[dict[str, Any]] = field(default_factory=list)
    readers: list[dict[str, Any]] = field(default_factory=list)
    groups: list[dict[str, Any]] = field(default_factory=list)
    equal: list[dict[str, Any]] = field(default_factory=list)
    methods: list[dict[str, Any]] = field(default_factory=list)
    leakage: list[dict[str, Any]] = field(default_factory=list)
    pairs: list[dict[str, Any]] = field(default_factory=list)
    paper: list[dict[str, Any]] = field(default_factory=list)
    several: list[dict[str, Any]] = field(default_factory=list)
    standards: list[dict[str, Any]] = field(default_factory=list)
    measurements: list[tuple[Any, ...]] = field(default_factory=list)
    curves: list[dict[str, Any]] = field(default_factory=list)
