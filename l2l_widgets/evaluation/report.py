"""What an evaluation is told and what it found."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass, field
from typing import Any

from l2l_widgets.attributes import PAPER_EIGHT

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
