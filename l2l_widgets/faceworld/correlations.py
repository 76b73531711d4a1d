"""Which attributes of the correlated population go together, and how closely.

Three tables:

* :data:`ASKED` holds the correlations between attributes that the population was asked to have:
  figures of photographs where there are published ones, our own choice elsewhere.
* ``attribute_correlations.csv`` holds all 595 pairs of the 35 attributes as they come out of the
  population, gates and all: what 20,000 sampled portraits give back to within 0.02. It is the
  documented correlation matrix; :func:`attribute_correlations` reads it.
* ``latent_correlations.csv`` holds the correlations of the normal latents that bring this about.
  They are one possible (positive definite) matrix, so the attributes' table is jointly possible by
  construction; the asked-for figures need not be.

``python -m l2l_widgets.faceworld.planting`` says how asked-for and planted compare; with
``--write`` it computes both files anew, which is needed whenever a map in ``factors.py`` changes.
"""

from __future__ import annotations

import csv
import functools
from pathlib import Path

import torch
from torch import Tensor

from l2l_widgets.attributes import DEFAULT_TABLE

HERE = Path(__file__).parent
ATTRIBUTE_TABLE = HERE / "attribute_correlations.csv"
LATENT_TABLE = HERE / "latent_correlations.csv"

#: Attribute, attribute, correlation, source. "FFHQ": 69,471 photographs labelled by Face API, as
#: published with the labels; "own": no published figure, chosen for a believable crowd.
ASKED = (
    ("gender", "beard", 0.591, "FFHQ"), ("gender", "eye_makeup", -0.587, "FFHQ"),
    ("age", "beard", 0.350, "FFHQ"), ("age", "glasses", 0.294, "FFHQ"),
    ("age", "baldness", 0.267, "FFHQ"), ("age", "gender", 0.229, "FFHQ"),
    ("gender", "smile", -0.169, "FFHQ"), ("gender", "glasses", 0.148, "FFHQ"),
    ("age", "hair_grey", 0.62, "own"), ("age", "hair_length", -0.12, "own"),
    ("gender", "moustache", 0.56, "own"), ("gender", "sideburns", 0.56, "own"),
    ("gender", "baldness", 0.44, "own"), ("gender", "hair_length", -0.58, "own"),
    ("gender", "hair_volume", -0.15, "own"), ("gender", "lip_makeup", -0.60, "own"),
    ("gender", "earrings", -0.40, "own"), ("beard", "moustache", 0.66, "own"),
    ("beard", "sideburns", 0.55, "own"), ("moustache", "sideburns", 0.48, "own"),
    ("eye_makeup", "lip_makeup", 0.62, "own"), ("lip_makeup", "earrings", 0.38, "own"),
    ("hair_length", "baldness", -0.38, "own"), ("hair_length", "fringe", 0.20, "own"),
    ("hair_volume", "baldness", -0.25, "own"), ("glasses", "hat", -0.06, "own"),
)  # fmt: skip

#: Correlations asked of factors that are not attributes, or not only: taken over as they are.
ASKED_OF_FACTORS = (
    ("age", "fullness", 0.15), ("gender", "jaw_width", 0.35), ("gender", "brow_thickness", 0.35),
    ("gender", "brow_ridge", 0.35), ("gender", "eye_depth", 0.20), ("gender", "chin_length", 0.20),
    ("age", "hairline", -0.15), ("skin", "hair_tone", -0.55), ("skin", "hair_curl", 0.30),
    ("skin", "freckles", -0.30), ("skin", "eye_hue", -0.35), ("hair_redness", "freckles", 0.35),
    ("hair_tone", "eye_hue", 0.35),
)  # fmt: skip


@functools.lru_cache(maxsize=1)
def latent_correlations() -> dict[tuple[str, str], float]:
    """Planted correlations of the latents; a pair of factors that is not named has none."""
    with open(LATENT_TABLE, newline="", encoding="utf-8") as stream:
        return {(row["a"], row["b"]): float(row["r"]) for row in csv.DictReader(stream)}


def attribute_correlations() -> Tensor:
    """The documented correlation matrix, (35, 35) float64, in the order of ``DEFAULT_TABLE``."""
    with open(ATTRIBUTE_TABLE, newline="", encoding="utf-8") as stream:
        rows = list(csv.reader(stream))
    if tuple(rows[0][1:]) != DEFAULT_TABLE.names:
        raise ValueError(
            f"{ATTRIBUTE_TABLE.name} was written for other attributes; "
            "write it anew with python -m l2l_widgets.faceworld.planting --write"
        )
    return torch.tensor([[float(r) for r in row[1:]] for row in rows[1:]], dtype=torch.float64)
