"""Measuring MaskGAN: whether pictures obey masks, who is still the same, what else changed.

Every face is drawn twice: from its own mask, and from an edited one. An edit gives a face the
mouth, the hair or the glasses of the next face in the row with which that changes anything (two
faces without glasses have none to give); no network takes part in it, so that no variant is asked
for what it was trained on. The mask that is obtained is what a parser sees; the attributes and the
identity are read by the judges, which trained nothing.

Beside them, where a MaskVAE is given, a third kind of mask: the face's own, moved by the MaskVAE
towards the next face's and away from it, as far as training with simulated edits moves it. These
are the masks that such training is made for.

=====================  =============================================================================
number of a face       what
=====================  =============================================================================
own_iou                overlap of the mask asked for and the one that the parser sees, own mask
own_identity           likeness of drawing and picture, own mask
own_attributes         share of the attributes that the judge reads alike (above or below 0.5)
edited_iou             overlap, edited mask
edited_identity        likeness, edited mask
edited_attributes      1 where the attribute that the edit is about reads as in the face it is from
moved_iou              overlap, mask moved by the MaskVAE, the mean of both ways
moved_identity         likeness, mask moved by the MaskVAE, the mean of both ways
changed_outside        share of the pixels outside the edited area that changed visibly
changed_outside_kept   the same with the outside kept by blending
=====================  =============================================================================
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from l2l_widgets.evaluation.plan import ENOUGH_FACES
from l2l_widgets.maskgan.mask_vae import MaskVAE
from l2l_widgets.maskgan.model import MaskGAN
from l2l_widgets.masks import CLASS_COUNT, MASK_CLASSES, one_hot
from l2l_widgets.metrics.distribution import frechet_distance
from l2l_widgets.metrics.significance import mean_intervals
from l2l_widgets.painting.regions import edited_region, keep_outside, region_change
from l2l_widgets.storage import make_folder, write_atomic, write_together

#: What was measured under another name was measured otherwise: nothing of it is kept.
PROTOCOL = "l2l-painting/4"
#: What an edit takes from the next face, in turn, and the attribute that it is about.
GRAFTS = (("mouth", "u_lip", "l_lip"), ("hair",), ("eye_g",))
GRAFTED = ("smile", "hair_length", "glasses")
#: Numbers of one face, the columns of the table of faces.
PER_FACE = (
    "own_iou", "own_identity", "own_attributes", "edited_iou", "edited_identity",
    "edited_attributes", "moved_iou", "moved_identity", "changed_outside", "changed_outside_kept",
)  # fmt: skip
#: How far the MaskVAE moves a mask, of the way to another's: 1 / lambda_inter of the paper.
MOVED = 1 / 2.5
#: Fréchet distances, each a mean over :data:`SPLITS` random halvings of the faces.
DISTANCES = ("frechet_own", "frechet_edited", "frechet_halves", "frechet_share")
SPLITS = 10


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
    names : tuple of str
        Of the readings' columns; without those of :data:`GRAFTED` there are no
        ``edited_attributes``.
    """

    parser: Callable[[Tensor], Tensor]
    attributes: Callable[[Tensor], Tensor]
    identity: Callable[[Tensor], Tensor]
    features: Callable[[Tensor], Tensor]
    names: tuple[str, ...] = ()


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


def grafts(masks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Edit every mask (N, R, R): the kinds of :data:`GRAFTS` take turns.

    Returns
    -------
    asked : Tensor, shape (N, R, R), uint8
        The edited masks. Each differs from its own, unless no other face could change it at all.
    donors, kinds : Tensor, shape (N,), int64
        Which face each was given a part of, and the row of ``GRAFTS``.
    """
    shown = torch.stack([torch.bincount(m.flatten().long(), minlength=CLASS_COUNT) > 0
                         for m in masks])  # fmt: skip
    labels = [[MASK_CLASSES.index(name) for name in classes] for classes in GRAFTS]
    has = torch.stack([shown[:, own].any(1) for own in labels], dim=1)  # (N, kinds)
    count, made = len(masks), []
    for i, mask in enumerate(masks):
        kinds = [(i + j) % len(GRAFTS) for j in range(len(GRAFTS))]
        found = mask, (i + 1) % count, kinds[0]
        for kind, step in ((k, s) for k in kinds for s in range(1, count)):
            donor = (i + step) % count
            if not bool(has[i, kind] | has[donor, kind]):
                continue  # neither has the part
            edited = graft(mask, masks[donor], GRAFTS[kind])
            if not torch.equal(edited, mask):
                found = edited, donor, kind
                break
        made.append(found)
    asked, donors, turns = zip(*made, strict=True)
    return torch.stack(asked), torch.tensor(donors), torch.tensor(turns)


@torch.no_grad()
def moved_masks(vae: MaskVAE, masks: Tensor, batch: int = 64) -> tuple[Tensor, Tensor]:
    """Move every mask (N, R, R) towards the next one's, and as far away from it.

    Returns
    -------
    towards, away : Tensor, shape (N, R, R), uint8
        The most likely class of each pixel, as the MaskVAE draws them.
    """
    device = next(vae.parameters()).device
    codes = torch.cat([vae.encode(one_hot(m.to(device)))[0] for m in masks.split(batch)])
    gap = MOVED * (codes.roll(-1, 0) - codes)
    towards, away = (
        torch.cat([vae.decode(c).argmax(1).to(torch.uint8).cpu() for c in moved.split(batch)])
        for moved in (codes + gap, codes - gap)
    )
    return towards, away


@torch.no_grad()
def score_painting(
    model: MaskGAN,
    images: Tensor,
    masks: Tensor,
    judges: PaintJudges,
    vae: MaskVAE | None = None,
    batch: int = 32,
    progress: Callable[[int], None] = lambda done: None,
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
    vae : MaskVAE, optional
        Moves masks; without it there are no numbers of moved ones.
    batch : int
        Faces at a time.
    progress : callable
        Told after each batch how many faces are done.

    Returns
    -------
    dict
        ``faces``; ``means`` and ``intervals`` (low, high; 95 % over faces) of each of ``PER_FACE``;
        ``parser_iou``: the parser's own on the true pictures, the most that can be reached;
        ``frechet``: name -> mean, lowest and highest over ``SPLITS`` random halvings. Of each
        halving one half is drawn from its own masks, from edited ones, and as it is, each against
        the true pictures of the other half, so that ``frechet_halves`` is what chance alone gives,
        and ``frechet_share`` is ``frechet_own`` as a multiple of it;
        ``frechet_sets``: how many faces each side of a distance has, and how long their features
        are; with fewer faces than features chance decides most of it, and the share nears 1;
        ``asked_attributes``: ``edited_attributes`` of those faces alone for which the edit asks
        for another reading than their own, mean, low and high, and ``asked_faces``, how many;
        ``rows``: the numbers of each face.
    """
    if len(images) < 4 or len(images) != len(masks):
        raise ValueError(
            f"there are {len(images)} pictures and {len(masks)} masks; allowed: as many of each, "
            "at least 4"
        )
    asked, donors, kinds = grafts(masks)
    # once for all: a face is read for itself, and for the one that has a part of it
    read = torch.cat([judges.attributes(part).cpu() >= 0.5 for part in images.split(batch)])
    about = None
    if {*GRAFTED} <= {*judges.names}:
        about = torch.tensor([judges.names.index(n) for n in GRAFTED])[kinds, None]  # (N, 1)
    moved = () if vae is None else moved_masks(vae, masks)
    columns: dict[str, list[Tensor]] = {}
    parsed: list[Tensor] = []
    features: dict[str, list[Tensor]] = {"true": [], "own": [], "edited": []}
    for k in range(0, len(images), batch):
        rows = torch.arange(k, min(k + batch, len(images)))
        image, mask, edit = images[rows], masks[rows], asked[rows]
        own = model.paint(image, mask, mask).clamp(-1, 1).cpu()
        edited = model.paint(image, edit, mask).clamp(-1, 1).cpu()
        who = judges.identity(image)
        outside, kept = _outside(image, edited, mask, edit)
        found = {
            "own_iou": face_iou(mask, judges.parser(own)),
            "own_identity": (who * judges.identity(own)).sum(1),
            "own_attributes": ((judges.attributes(own).cpu() >= 0.5) == read[rows]).float().mean(1),
            "edited_iou": face_iou(edit, judges.parser(edited)),
            "edited_identity": (who * judges.identity(edited)).sum(1),
            "changed_outside": outside,
            "changed_outside_kept": kept,
        }
        if moved:
            ways = [(m[rows], model.paint(image, m[rows], mask).clamp(-1, 1).cpu()) for m in moved]
            seen = [face_iou(asked_for, judges.parser(drawn)) for asked_for, drawn in ways]
            alike = [(who * judges.identity(drawn)).sum(1) for _, drawn in ways]
            found["moved_iou"] = torch.stack(seen).mean(0)
            found["moved_identity"] = torch.stack(alike).mean(0)
        if about is not None:
            wanted = read[donors[rows]].gather(1, about[rows])
            reads = (judges.attributes(edited).cpu() >= 0.5).gather(1, about[rows])
            found["edited_attributes"] = (reads == wanted)[:, 0]
        for name, values in found.items():
            columns.setdefault(name, []).append(values.cpu().float())
        parsed.append(face_iou(mask, judges.parser(image)))
        for name, pictures in (("true", image), ("own", own), ("edited", edited)):
            features[name].append(judges.features(pictures).cpu())
        progress(int(rows[-1]) + 1)
    names = [name for name in PER_FACE if name in columns]
    table = torch.stack([torch.cat(columns[name]) for name in names], dim=1)
    low, high = mean_intervals(table, seed=0)
    wants = None
    if about is not None:
        wants = (read[donors].gather(1, about) != read.gather(1, about))[:, 0]
    return {
        "faces": len(images),
        "means": {name: float(table[:, i].mean()) for i, name in enumerate(names)},
        "intervals": {n: [float(low[i]), float(high[i])] for i, n in enumerate(names)},
        "parser_iou": float(torch.cat(parsed).mean()),
        "frechet": _distances({name: torch.cat(parts) for name, parts in features.items()}),
        "frechet_sets": [len(images) // 2, features["true"][0].shape[1]],
        **({} if wants is None else _asked_for(table[:, names.index("edited_attributes")], wants)),
        "rows": [dict(zip(names, row, strict=True)) for row in table.tolist()],
    }


def _asked_for(obeyed: Tensor, wants: Tensor) -> dict[str, Any]:
    """Of edits that ask for another reading than the face's own, how many got it."""
    count = int(wants.sum())
    if count < 2:
        return {"asked_faces": count}
    own = obeyed[wants, None]
    low, high = mean_intervals(own, seed=0)
    return {
        "asked_faces": count,
        "asked_attributes": [float(own.mean()), float(low[0]), float(high[0])],
    }


def _distances(sets: Mapping[str, Tensor]) -> dict[str, list[float]]:
    """Mean, lowest and highest of each of ``DISTANCES`` over random halvings."""
    true, half = sets["true"], len(sets["true"]) // 2
    generator = torch.Generator().manual_seed(0)
    found: dict[str, list[float]] = {name: [] for name in DISTANCES}
    for _ in range(SPLITS):
        rows = torch.randperm(len(true), generator=generator)
        # Of as many faces as the floor, and never against the very faces that were redrawn: a
        # distance shrinks with the number of faces, and with a face's own picture on both sides.
        drawn, against = rows[:half], true[rows[half:]]
        own = frechet_distance(against, sets["own"][drawn])
        floor = frechet_distance(against, true[drawn])
        edited = frechet_distance(against, sets["edited"][drawn])
        share = own / floor if floor > 0 else float("inf")
        for name, value in zip(DISTANCES, (own, edited, floor, share), strict=True):
            found[name].append(value)
    return {n: [sum(v) / len(v), min(v), max(v)] for n, v in found.items()}


@torch.no_grad()
def same_person(
    identity: Callable[[Tensor], Tensor], first: Tensor, second: Tensor, batch: int = 64
) -> Tensor:
    """Likeness of pairs of pictures of one person, who is else the same in nothing.

    Parameters
    ----------
    identity : callable
        Pictures (B, 3, R, R) in [-1, 1] to unit vectors.
    first, second : Tensor, shape (N, 3, R, R)
        RGB in [-1, 1].

    Returns
    -------
    Tensor, shape (N,)
    """
    pairs = zip(first.split(batch), second.split(batch), strict=True)
    return torch.cat([(identity(a) * identity(b)).sum(1).cpu() for a, b in pairs])


def share_of(part: Tensor, whole: Tensor, draws: int = 1000) -> list[float]:
    """One mean (N,) as a share of another's (M,): the share, low and high end of its interval.

    95 %, over resamples of both.
    """
    generator = torch.Generator().manual_seed(0)

    def means(x: Tensor) -> Tensor:
        drawn = torch.randint(len(x), (draws, len(x)), generator=generator)
        return x.double()[drawn].mean(1)

    ends = (means(part) / means(whole)).quantile(torch.tensor([0.025, 0.975]).double())
    return [float(part.mean() / whole.mean()), *ends.tolist()]


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
    names = list(scores[against]["means"])

    def table(of: Mapping[str, Any]) -> Tensor:
        return torch.tensor([[row[name] for name in names] for row in of["rows"]])

    found = {}
    for variant, one in scores.items():
        if variant == against:
            continue
        gap = table(scores[against]) - table(one)
        low, high = mean_intervals(gap, seed=0)
        found[variant] = {
            name: [float(gap[:, i].mean()), float(low[i]), float(high[i])]
            for i, name in enumerate(names)
        }
    return found


def painting_table(report: Mapping[str, Any]) -> list[tuple[str, str, float, float, float]]:
    """A report as rows: variant, measure, value, low, high.

    ``parser_iou`` and what was measured once have no interval: low and high are the value. Rows of
    a variant named ``whole - OTHER`` are differences, face by face.
    """
    rows: list[tuple[str, str, float, float, float]] = []

    def add(variant: str, name: str, value: float, low: float, high: float) -> None:
        rows.append((variant, name, value, low, high))

    for variant, scores in report["variants"].items():
        for name, value in scores["means"].items():
            add(variant, name, value, *scores["intervals"][name])
        if "asked_attributes" in scores:
            add(variant, "asked_attributes", *scores["asked_attributes"])
        add(variant, "parser_iou", *[scores["parser_iou"]] * 3)
        for name in DISTANCES:
            add(variant, name, *scores["frechet"][name])
        if "identity_share" in scores:
            add(variant, "identity_share", *scores["identity_share"])
    for other, gaps in report["whole_minus"].items():
        for name, values in gaps.items():
            add(f"whole - {other}", name, *values)
    return rows


def write_painting_report(folder: Path, report: Mapping[str, Any]) -> None:
    """``table.csv``, ``table.md`` and ``report.json``: of one report, or no ``report.json``."""
    make_folder(folder)
    rows = painting_table(report)
    lines = ["variant,measure,mean,low,high"]
    lines += [f"{v},{m},{value:.5f},{low:.5f},{high:.5f}" for v, m, value, low, high in rows]
    preview = "PREVIEW, " if report["faces"] < ENOUGH_FACES else ""
    said = [
        f"{preview}{report['faces']} faces ({report['data']}, seed {report['seed']}); 95 % "
        f"intervals over faces, of Fréchet distances the range over {SPLITS} random halvings into "
        f"{report['faces'] // 2} a side. One training a variant: intervals do not cover another.",
        "", "| variant | measure | value | from | to |", "|---|---|---:|---:|---:|",
    ]  # fmt: skip
    said += [
        f"| {v} | {m} | {value:.3f} | {low:.3f} | {high:.3f} |" for v, m, value, low, high in rows
    ]
    texts = {
        "table.csv": "\n".join(lines), "table.md": "\n".join(said),
        "report.json": json.dumps(report, indent=1),
    }  # fmt: skip
    write_together([(folder / n, f"{t}\n".encode()) for n, t in texts.items()], marked=True)


def kept_scores(
    folder: Path, variant: str, key: Mapping[str, Any], measure: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """What was measured of a variant before, if it is of the same ``key``; else measure and keep.

    Parameters
    ----------
    folder : Path
        Of the report; scores lie in ``variants/NAME.json`` there, so that a stopped command goes
        on where it was.
    variant : str
        A file name.
    key : mapping
        Everything that decides the scores, as JSON values: hashes, faces, seed.
    measure : callable
        Gives the scores.
    """
    path = folder / "variants" / f"{variant}.json"
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["key"] == dict(key):
            scores: dict[str, Any] = kept["scores"]
            return scores
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not measured yet, or half a file of somebody else's
    scores = measure()
    make_folder(path.parent)
    write_atomic(path, json.dumps({"key": dict(key), "scores": scores}).encode())
    return scores
