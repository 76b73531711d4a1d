"""Measuring MaskGAN: whether pictures obey masks, who is still the same, what else changed.

Every face is drawn twice: from its own mask, and from an edited one. An edit gives a face the
mouth, the hair or the glasses of the next face in the row; no network takes part in it, so that no
variant is asked for what it was trained on. The mask that is obtained is what a parser sees; the
attributes and the identity are read by the judges, which trained nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from l2l_widgets.maskgan.model import MaskGAN
from l2l_widgets.maskgan.regions import edited_region, keep_outside, region_change
from l2l_widgets.masks import CLASS_COUNT, MASK_CLASSES
from l2l_widgets.metrics.distribution import frechet_distance
from l2l_widgets.metrics.significance import mean_intervals
from l2l_widgets.storage import make_folder, write_atomic

#: What an edit takes from the next face, in turn.
GRAFTS = (("mouth", "u_lip", "l_lip"), ("hair",), ("eye_g",))
#: Numbers of one face, the columns of the table of faces.
PER_FACE = (
    "own_iou", "own_identity", "own_attributes", "edited_iou", "edited_identity",
    "changed_outside", "changed_outside_kept",
)  # fmt: skip


@dataclass(frozen=True)
class PaintJudges:
    """Who looks at what was drawn; each takes pictures (B, 3, R, R) in [-1, 1].

    Parameters
    ----------
    parser : callable
        To masks (B, R, R) uint8.
    attributes : callable
        To readings (B, A) in [0, 1].
    identity : callable
        To unit vectors (B, D).
    features : callable
        To features (B, F) for Fréchet distances.
    """

    parser: Callable[[Tensor], Tensor]
    attributes: Callable[[Tensor], Tensor]
    identity: Callable[[Tensor], Tensor]
    features: Callable[[Tensor], Tensor]


def graft(mask: Tensor, donor: Tensor, classes: tuple[str, ...]) -> Tensor:
    """A mask (R, R) that has some classes from another face's mask instead of its own.

    Where its own were, the class that was nearest around them takes their place.
    """
    from scipy import ndimage  # heavy: only where something is measured

    labels = torch.tensor([MASK_CLASSES.index(name) for name in classes], dtype=torch.uint8)
    own, given = torch.isin(mask, labels), torch.isin(donor, labels)
    out = mask.clone()
    if bool(own.any()) and not bool(own.all()):
        places = ndimage.distance_transform_edt(
            own.numpy(), return_distances=False, return_indices=True
        )
        rows, columns = torch.from_numpy(places)
        out = mask[rows.long(), columns.long()]
    return torch.where(given, donor, out)


def face_iou(asked: Tensor, obtained: Tensor) -> Tensor:
    """Intersection over union, the mean over the classes that are asked for, (B,) of (B, R, R)."""
    found = []
    for a, b in zip(asked.long(), obtained.long(), strict=True):
        pairs = torch.bincount((a * CLASS_COUNT + b).flatten(), minlength=CLASS_COUNT**2)
        table = pairs.view(CLASS_COUNT, CLASS_COUNT).float()
        hit, shown = table.diagonal(), table.sum(1) > 0
        found.append((hit / (table.sum(0) + table.sum(1) - hit).clamp_min(1))[shown].mean())
    return torch.stack(found)


@torch.no_grad()
def score_painting(
    model: MaskGAN, images: Tensor, masks: Tensor, judges: PaintJudges, batch: int = 32
) -> dict[str, Any]:
    """Measure one set of weights on faces that it has never seen.

    Parameters
    ----------
    model : MaskGAN
        Draws.
    images : Tensor, shape (N, 3, R, R)
        RGB in [-1, 1], N at least 4.
    masks : Tensor, shape (N, R, R), uint8
        Their true masks.
    judges : PaintJudges
        Who looks.
    batch : int
        Faces at a time.

    Returns
    -------
    dict
        ``faces``; ``means`` and ``intervals`` (low, high; 95 % over faces) of each of ``PER_FACE``;
        ``parser_iou``: the parser's own on the true pictures, the most that can be reached;
        ``frechet_own``, ``frechet_edited`` and ``frechet_halves``: the first half of the faces,
        drawn from their own masks, from edited ones, and as they are, each against the true
        pictures of the second half, so that ``frechet_halves`` is what chance alone gives;
        ``rows``: the numbers of each face.
    """
    if len(images) < 4 or len(images) != len(masks):
        raise ValueError(
            f"there are {len(images)} pictures and {len(masks)} masks; allowed: as many of each, "
            "at least 4"
        )
    asked = torch.stack([
        graft(mask, masks[(i + 1) % len(masks)], GRAFTS[i % len(GRAFTS)])
        for i, mask in enumerate(masks)
    ])  # fmt: skip
    rows: list[list[float]] = []
    parsed: list[Tensor] = []
    features: dict[str, list[Tensor]] = {"true": [], "own": [], "edited": []}
    for k in range(0, len(images), batch):
        image, mask, edit = images[k : k + batch], masks[k : k + batch], asked[k : k + batch]
        own = model.paint(image, mask, mask).clamp(-1, 1).cpu()
        edited = model.paint(image, edit, mask).clamp(-1, 1).cpu()
        who = judges.identity(image)
        said = judges.attributes(image) >= 0.5
        columns = [
            face_iou(mask, judges.parser(own)),
            (who * judges.identity(own)).sum(1),
            ((judges.attributes(own) >= 0.5) == said).float().mean(1),
            face_iou(edit, judges.parser(edited)),
            (who * judges.identity(edited)).sum(1),
            *_outside(image, edited, mask, edit),
        ]
        rows += torch.stack([c.cpu().float() for c in columns], dim=1).tolist()
        parsed.append(face_iou(mask, judges.parser(image)))
        for name, pictures in (("true", image), ("own", own), ("edited", edited)):
            features[name].append(judges.features(pictures).cpu())
    values = torch.tensor(rows)
    low, high = mean_intervals(values, seed=0)
    sets = {name: torch.cat(parts) for name, parts in features.items()}
    half = len(images) // 2
    return {
        "faces": len(images),
        "means": _named(values.mean(0)),
        "intervals": {n: [float(low[i]), float(high[i])] for i, n in enumerate(PER_FACE)},
        "parser_iou": float(torch.cat(parsed).mean()),
        # Of as many faces as the floor, and never against the very faces that were redrawn: a
        # distance shrinks with the number of faces, and with a face's own picture on both sides.
        "frechet_own": frechet_distance(sets["true"][half:], sets["own"][:half]),
        "frechet_edited": frechet_distance(sets["true"][half:], sets["edited"][:half]),
        "frechet_halves": frechet_distance(sets["true"][half:], sets["true"][:half]),
        "rows": [dict(zip(PER_FACE, row, strict=True)) for row in rows],
    }


def _outside(image: Tensor, edited: Tensor, mask: Tensor, asked: Tensor) -> list[Tensor]:
    """Share of pixels outside the edited area that changed, as drawn and with the outside kept."""
    drawn, kept = [], []
    for before, after, old, new in zip(image, edited, mask, asked, strict=True):
        region = edited_region(old, new)
        drawn.append(region_change(before, after, region).changed_outside)
        blended = keep_outside(before, after, region)
        kept.append(region_change(before, blended, region).changed_outside)
    return [torch.tensor(drawn), torch.tensor(kept)]


def compare_painting(scores: Mapping[str, Mapping[str, Any]], against: str) -> dict[str, Any]:
    """How far one variant is ahead of each other one, face by face.

    Parameters
    ----------
    scores : mapping
        Variant -> what :func:`score_painting` gave for the same faces.
    against : str
        The variant that the others are compared with.

    Returns
    -------
    dict
        Other variant -> number of ``PER_FACE`` -> mean difference, low and high end of its 95 %
        interval. An interval without 0 is a difference.
    """
    base = _table(scores[against])
    found = {}
    for name, one in scores.items():
        if name == against:
            continue
        gap = base - _table(one)
        low, high = mean_intervals(gap, seed=0)
        found[name] = {
            column: [float(gap[:, i].mean()), float(low[i]), float(high[i])]
            for i, column in enumerate(PER_FACE)
        }
    return found


def write_painting_report(folder: Path, report: Mapping[str, Any]) -> None:
    """``report.json`` and ``table.csv``, whole or not at all."""
    make_folder(folder)
    lines = ["variant,measure,mean,low,high"]
    for variant, scores in report["variants"].items():
        for name in PER_FACE:
            low, high = scores["intervals"][name]
            lines.append(f"{variant},{name},{scores['means'][name]:.5f},{low:.5f},{high:.5f}")
        for name in ("parser_iou", "frechet_own", "frechet_edited", "frechet_halves"):
            lines.append(f"{variant},{name},{scores[name]:.5f},,")
    write_atomic(folder / "table.csv", ("\n".join(lines) + "\n").encode())
    write_atomic(folder / "report.json", (json.dumps(report, indent=1) + "\n").encode())


def _table(scores: Mapping[str, Any]) -> Tensor:
    return torch.tensor([[row[name] for name in PER_FACE] for row in scores["rows"]])


def _named(values: Tensor) -> dict[str, float]:
    return {name: float(values[i]) for i, name in enumerate(PER_FACE)}
