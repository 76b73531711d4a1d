"""Measuring MaskGAN: whether pictures obey masks, who is still the same, what else changed.

Every face is drawn twice: from its own mask, and from an edited one. An edit gives a face the
mouth, the hair or the glasses of the next face in the row with which that changes anything (two
faces without glasses have none to give); no network takes part in it, so that no variant is asked
for what it was trained on. The mask that is obtained is what a parser sees; the attributes and the
identity are read by the judges, which trained nothing.

Beside them, where a MaskVAE is given, a third kind of mask: the face's own, moved by the MaskVAE
towards the next face's and away from it, as far as training with simulated edits moves it. These
are the masks that such training is made for.

Overlap is the mean over the classes that are asked for or seen: one that nobody asked for, such as
glasses that were to be taken off, counts as 0. ``..._asked`` is the mean over those asked for.

=====================  =============================================================================
number of a face       what
=====================  =============================================================================
own_iou                overlap of the mask asked for and the one that the parser sees, own mask
own_iou_asked          the same, over the classes asked for alone
own_identity           likeness of drawing and picture, own mask
own_attributes         share of the attributes that the judge reads alike (above or below 0.5)
own_annotated          share of what a data set's people noted of the picture that the judge reads
                       in the drawing
true_annotated         the same, read in the picture itself: the most that can be reached
edited_iou             overlap, edited mask
edited_iou_asked       the same, over the classes asked for alone
edited_identity        likeness, edited mask
edited_attributes      1 where the attribute that the edit is about reads as in the face it is from
moved_iou              overlap, mask moved by the MaskVAE, the mean of both ways
moved_iou_asked        the same, over the classes asked for alone
moved_identity         likeness, mask moved by the MaskVAE, the mean of both ways
changed_outside        share of the pixels outside the edited area that changed visibly
changed_outside_kept   the same with the outside kept by blending
=====================  =============================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from l2l_widgets.evaluation.paper_protocol import judge_features
from l2l_widgets.maskgan.mask_vae import MaskVAE
from l2l_widgets.maskgan.model import MaskGAN
from l2l_widgets.masks import CLASS_COUNT, MASK_CLASSES, one_hot
from l2l_widgets.metrics.distribution import frechet_distance
from l2l_widgets.metrics.significance import mean_intervals
from l2l_widgets.painting.regions import edited_region, keep_outside, region_change
from l2l_widgets.protocols import Segmenter

if TYPE_CHECKING:
    from l2l_widgets.models.zoo import Models

#: What was measured under another name was measured otherwise: nothing of it is kept.
PROTOCOL = "l2l-painting/5"
#: What an edit takes from the next face, in turn, and the attribute that it is about.
GRAFTS = (("mouth", "u_lip", "l_lip"), ("hair",), ("eye_g",))
GRAFTED = ("smile", "hair_length", "glasses")
#: Numbers of one face, the columns of the table of faces.
PER_FACE = (
    "own_iou", "own_iou_asked", "own_identity", "own_attributes", "own_annotated",
    "true_annotated", "edited_iou", "edited_iou_asked", "edited_identity", "edited_attributes",
    "moved_iou", "moved_iou_asked", "moved_identity", "changed_outside", "changed_outside_kept",
)  # fmt: skip
#: How far the MaskVAE moves a mask, of the way to another's: 1 / lambda_inter of the paper.
MOVED = 1 / 2.5
#: Fréchet distances, each a mean over :data:`SPLITS` random halvings of the faces.
DISTANCES = ("frechet_own", "frechet_edited", "frechet_halves", "frechet_share")
SPLITS = 10


@dataclass(frozen=True)
class PaintJudges:
    """Who looks at what was drawn; each takes pictures (B, 3, R, R) in [-1, 1].

    Pictures are given, and answers wanted, in the processor's memory: see :func:`judges_of` for
    networks that lie on another device.

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


def judges_of(models: Models, parser: Segmenter) -> PaintJudges | None:
    """The judges of loaded models, wherever these compute, and a parser.

    Returns
    -------
    PaintJudges or None
        None where the judge of attributes is none of the package's, whose features distances are
        measured on.
    """
    features = judge_features(models)
    if features is None:
        return None

    def brought(reader: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        return lambda pictures: reader(pictures.to(models.device)).cpu()

    return PaintJudges(
        brought(parser), brought(models.attribute_judge), brought(models.identity_judge),
        brought(features), models.table.names,
    )  # fmt: skip


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


def face_iou(asked: Tensor, obtained: Tensor, uninvited: bool = True) -> Tensor:
    """Intersection over union of masks (B, R, R), the mean over classes, (B,).

    Over the classes that either mask shows, so that one that nobody asked for counts as 0; without
    ``uninvited`` over those that are asked for.
    """
    found = []
    for a, b in zip(asked.long(), obtained.long(), strict=True):
        pairs = torch.bincount((a * CLASS_COUNT + b).flatten(), minlength=CLASS_COUNT**2)
        table = pairs.view(CLASS_COUNT, CLASS_COUNT).float()
        hit, wanted, seen = table.diagonal(), table.sum(1), table.sum(0)
        union = wanted + seen - hit
        found.append((hit / union.clamp_min(1))[(union if uninvited else wanted) > 0].mean())
    return torch.stack(found)


@dataclass(frozen=True)
class Annotations:
    """What people noted of the pictures of a data set, and how a reading is held against it.

    Parameters
    ----------
    columns : tuple of int
        Columns of the judge's readings, one for each note.
    above : Tensor, shape (A,)
        A note holds where the reading is at least so much,
    reverse : Tensor, shape (A,), bool
        or, where this is set, where it is less.
    holds : Tensor, shape (N, A), bool
        Whether each was noted of each picture.
    """

    columns: tuple[int, ...]
    above: Tensor
    reverse: Tensor
    holds: Tensor

    def agree(self, readings: Tensor, rows: Tensor) -> Tensor:
        """Share of the notes of some pictures that their readings (B, ...) bear out, (B,)."""
        read = (readings[:, list(self.columns)] >= self.above) != self.reverse
        return (read == self.holds[rows]).float().mean(1)


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
    annotations: Annotations | None = None,
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
    annotations : Annotations, optional
        What is noted of the pictures; without it nothing is held against notes.
    progress : callable
        Told after each batch how many faces are done.

    Returns
    -------
    dict
        ``faces``; ``means`` and ``intervals`` (low, high; 95 % over faces) of each of ``PER_FACE``;
        ``parser_iou`` and ``parser_iou_asked``: the parser's own on the true pictures, the most
        that can be reached;
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
    readings = torch.cat([judges.attributes(part).cpu() for part in images.split(batch)])
    read = readings >= 0.5
    about = None
    if {*GRAFTED} <= {*judges.names}:
        about = torch.tensor([judges.names.index(n) for n in GRAFTED])[kinds, None]  # (N, 1)
    moved = () if vae is None else moved_masks(vae, masks)
    columns: dict[str, list[Tensor]] = {}
    parsed: dict[str, list[Tensor]] = {"parser_iou": [], "parser_iou_asked": []}
    features: dict[str, list[Tensor]] = {"true": [], "own": [], "edited": []}
    for k in range(0, len(images), batch):
        rows = torch.arange(k, min(k + batch, len(images)))
        image, mask, edit = images[rows], masks[rows], asked[rows]
        own = model.paint(image, mask, mask).clamp(-1, 1).cpu()
        edited = model.paint(image, edit, mask).clamp(-1, 1).cpu()
        who, drawn_reads = judges.identity(image), judges.attributes(own).cpu()
        outside, kept = _outside(image, edited, mask, edit)
        found = {
            **_overlaps("own_iou", mask, judges.parser(own)),
            "own_identity": (who * judges.identity(own)).sum(1),
            "own_attributes": ((drawn_reads >= 0.5) == read[rows]).float().mean(1),
            **_overlaps("edited_iou", edit, judges.parser(edited)),
            "edited_identity": (who * judges.identity(edited)).sum(1),
            "changed_outside": outside,
            "changed_outside_kept": kept,
        }
        if moved:
            ways = [(m[rows], model.paint(image, m[rows], mask).clamp(-1, 1).cpu()) for m in moved]
            seen = [_overlaps("moved_iou", want, judges.parser(drawn)) for want, drawn in ways]
            alike = [(who * judges.identity(drawn)).sum(1) for _, drawn in ways]
            found |= {n: torch.stack([one[n] for one in seen]).mean(0) for n in seen[0]}
            found["moved_identity"] = torch.stack(alike).mean(0)
        if annotations is not None:
            found["own_annotated"] = annotations.agree(drawn_reads, rows)
            found["true_annotated"] = annotations.agree(readings[rows], rows)
        if about is not None:
            wanted = read[donors[rows]].gather(1, about[rows])
            reads = (judges.attributes(edited).cpu() >= 0.5).gather(1, about[rows])
            found["edited_attributes"] = (reads == wanted)[:, 0]
        for name, values in found.items():
            columns.setdefault(name, []).append(values.cpu().float())
        for name, values in _overlaps("parser_iou", mask, judges.parser(image)).items():
            parsed[name].append(values.cpu())
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
        **{name: float(torch.cat(parts).mean()) for name, parts in parsed.items()},
        "frechet": _distances({name: torch.cat(parts) for name, parts in features.items()}),
        "frechet_sets": [len(images) // 2, features["true"][0].shape[1]],
        **({} if wants is None else _asked_for(table[:, names.index("edited_attributes")], wants)),
        "rows": [dict(zip(names, row, strict=True)) for row in table.tolist()],
    }


def _overlaps(name: str, asked: Tensor, obtained: Tensor) -> dict[str, Tensor]:
    """Overlap over all classes that are there, and over those asked for."""
    return {
        name: face_iou(asked, obtained),
        f"{name}_asked": face_iou(asked, obtained, uninvited=False),
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
    """Likeness of pairs of pictures of one person.

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
