"""The protocol of Khodadadeh et al. (WACV 2022), and their figures to stand beside ours.

Eight attributes, 50 faces, 41 positions for each method. The range of a method's strength for an
attribute ends where a face detector no longer finds a face; it is cut into 40 intervals and the 41
boundaries are drawn. Identity is the mean cosine distance between the edited and the unedited face
by a recogniser that trained nothing; picture quality compares all edited pictures with the
generator's own.

What the paper leaves open, and how it is read here: the range is one for all faces, and ends where
fewer than nine in ten of the faces that are found unedited are still found; a face that is not
found at a position is left out there and counted. The paper's "ISD" is read as the difference of
the Inception Scores of edited and unedited pictures. Features and classes are the judge's, not
Inception's, and the names say so: these numbers compare methods here, and are no one else's.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from l2l_widgets.attributes import EditRequest
from l2l_widgets.evaluation.bench import Bench
from l2l_widgets.evaluation.report import Protocol
from l2l_widgets.metrics import distribution, editing
from l2l_widgets.metrics.jackknife import (
    GROUPS,
    groups_of,
    interval_around,
    jackknife_interval,
)

if TYPE_CHECKING:
    from l2l_widgets.models.zoo import Models
    from l2l_widgets.protocols import Editor

#: Pictures (B, 3, R, R) in [-1, 1] -> bool (B,): whether a face is found.
Detector = Callable[[Tensor], Tensor]
#: Pictures (B, 3, R, R) -> features (B, D) in which sets of pictures are compared.
Features = Callable[[Tensor], Tensor]

FACES, POSITIONS = 50, 41
#: Share of the faces found unedited that must still be found at the ends of the range.
STILL_FOUND = 0.9

#: Our attribute -> the paper's row.
ROWS = {
    "age": "Age", "baldness": "Baldness", "beard": "Beard", "smile": "Expression",
    "gender": "Gender", "glasses": "Glasses", "pitch": "Pitch", "yaw": "Yaw",
}  # fmt: skip
#: The paper's own methods and figures: StyleGAN2 at 1024 pixels, another generator than ours.
PAPER_METHODS = ("InterFaceGAN", "StyleFlow", "GANSpace", "L2L")
PAPER_FIGURES = {
    "Age": (0.77, 0.65, 0.46, 0.57),
    "Baldness": (0.53, 0.64, 0.46, 0.21),
    "Beard": (0.57, 0.55, 0.53, 0.28),
    "Expression": (0.60, 0.21, 0.23, 0.14),
    "Gender": (0.54, 0.52, 0.58, 0.28),
    "Glasses": (0.59, 0.46, 0.24, 0.25),
    "Pitch": (0.54, 0.51, 0.51, 0.51),
    "Yaw": (0.39, 0.46, 0.41, 0.46),
    "FID": (43.16, 41.64, 45.44, 39.83),
    "KID": (0.0118, 0.0086, 0.0122, 0.0062),
    "ISD": (0.0025, 0.0014, 0.0044, 0.0085),
    "Time (s)": (0.1080, 0.6783, 0.1095, 0.1654),
}
#: The paper's rows of Inception's features -> the start of ours of a judge's features: those are
#: other quantities, and never stand in one row.
OF_FEATURES = {"FID": "frechet", "KID": "kernel", "ISD": "inception_score"}


def measure_paper(
    editor: Editor,
    bench: Bench,
    name: str,
    protocol: Protocol,
    *,
    detector: Detector | None = None,
    features: Features | None = None,
    positions: int = POSITIONS,
    ends: tuple[float, float] | None = None,
) -> dict[str, Tensor]:
    """Return one method's edits of one attribute at every position of its range.

    Parameters
    ----------
    editor : Editor
        The method.
    bench : Bench
        F faces.
    name : str
        The edited attribute.
    protocol : Protocol
        For the batch size.
    detector : callable, optional
        Whether a face is found; without one the range is all that a request may ask.
    features : callable, optional
        In what sets of pictures are compared; identity vectors, or readings, without it.
    positions : int
        Positions in the range, at least 2.
    ends : (float, float), optional
        The range, where it is known already.

    Returns
    -------
    dict of str to Tensor
        ``positions`` (P,), ``distance`` (F, P) in [0, 2], NaN where no face was found, ``found``
        (F, P), ``readings`` (F, P, A) and ``features`` (F, P, D).
    """
    if positions < 2:
        raise ValueError(f"positions is {positions}; allowed: at least 2")
    if "person" not in bench.before:
        raise ValueError("there is no identity judge or embedder; allowed: models with one")
    own = _are_judges(features, bench)
    low, high = ends or _range(editor, bench, name, detector, protocol.batch)
    where = torch.linspace(low, high, positions, dtype=torch.float64)
    columns: dict[str, list[Tensor]] = {"distance": [], "found": [], "readings": [], "features": []}
    for position in where.tolist():
        parts: dict[str, list[Tensor]] = {key: [] for key in columns}
        for rows in torch.arange(len(bench.ws)).split(protocol.batch):
            images = _drawn(editor, bench, name, position, rows)
            seen = bench.readers.look(images, ensemble=False, features=own)
            found = _found(detector, images)
            cosine = editing.identity_similarity(bench.before["person"][rows], seen["person"])
            parts["distance"].append(torch.where(found, 1 - cosine, float("nan")))
            parts["found"].append(found)
            parts["readings"].append(seen["judge"])
            parts["features"].append(_features(features, images, seen))
        for key, values in parts.items():
            columns[key].append(torch.cat(values).cpu())
    return {"positions": where, **{key: torch.stack(v, dim=1) for key, v in columns.items()}}


def reference_features(
    bench: Bench, protocol: Protocol, features: Features | None = None
) -> dict[str, Tensor]:
    """Return ``features`` (N, D) and ``readings`` (N, A) of the generator's unedited pictures."""
    parts: list[Tensor] = []
    own = _are_judges(features, bench)
    for ws in bench.ws.split(protocol.batch):
        images = bench.readers.draw(ws)
        seen = bench.readers.look(images, ensemble=False, features=own)
        parts.append(_features(features, images, seen).cpu())
    return {"features": torch.cat(parts), "readings": bench.before["judge"].cpu()}


def judge_features(models: Models) -> Features | None:
    """Return the attribute judge's own features where it is one of the package's networks."""
    from l2l_widgets.perception import AttributeNet

    if not models.has("attribute_judge"):
        return None
    judge = models.attribute_judge
    return judge.features if isinstance(judge, AttributeNet) else None


def _range(
    editor: Editor, bench: Bench, name: str, detector: Detector | None, batch: int
) -> tuple[float, float]:
    """Return the lowest and highest change at which faces are still found, within [-1, 1]."""
    if detector is None:
        return -1.0, 1.0
    start = _found_at(editor, bench, name, 0.0, detector, batch)
    if not bool(start.any()):
        raise ValueError("the face detector finds no unedited face; allowed: at least one")
    ends = []
    for side in (-1, 1):
        for tenth in range(10, -1, -1):
            still = _found_at(editor, bench, name, side * tenth / 10, detector, batch)
            if tenth == 0 or float(still[start].float().mean()) >= STILL_FOUND:
                ends.append(side * tenth / 10)
                break
    if ends[0] == ends[1]:
        raise ValueError("the face detector finds no edited face; allowed: some strength with one")
    return ends[0], ends[1]


def _found_at(
    editor: Editor, bench: Bench, name: str, change: float, detector: Detector, batch: int
) -> Tensor:
    parts = torch.arange(len(bench.ws)).split(batch)
    return torch.cat(
        [_found(detector, _drawn(editor, bench, name, change, rows)) for rows in parts]
    )


def _found(detector: Detector | None, images: Tensor) -> Tensor:
    if detector is None:
        return torch.ones(len(images), dtype=torch.bool, device=images.device)
    found = detector(images)
    if found.shape != (len(images),) or found.dtype != torch.bool:
        raise ValueError(
            f"detector gives {found.dtype} of shape {tuple(found.shape)}; "
            f"allowed: bool of shape ({len(images)},)"
        )
    return found.to(images.device)


def _drawn(editor: Editor, bench: Bench, name: str, change: float, rows: Tensor) -> Tensor:
    request = EditRequest(changes={name: change})
    return bench.readers.draw(editor.edit(bench.ws[rows], request))


def _are_judges(features: Features | None, bench: Bench) -> bool:
    """Whether these are the judge's own features, which its readings come from anyway."""
    return features is not None and features == judge_features(bench.models)


def _features(features: Features | None, images: Tensor, seen: Mapping[str, Tensor]) -> Tensor:
    if "features" in seen:
        return seen["features"].float()
    return seen_features(features, images) if features is not None else seen["person"].float()


def seen_features(features: Features, images: Tensor) -> Tensor:
    """Return features (B, D) of pictures.

    Raises
    ------
    ValueError
        Not one row a picture, or numbers that are not finite: no distance could be taken of them.
    """
    found = features(images).float()
    if found.ndim != 2 or len(found) != len(images) or not bool(torch.isfinite(found).all()):
        raise ValueError(
            f"features of {len(images)} pictures have shape {tuple(found.shape)}"
            f"{'' if bool(torch.isfinite(found).all()) else ' and hold NaN or infinity'}; "
            f"allowed: ({len(images)}, D), finite numbers"
        )
    return found


def paper_rows(
    cells: Mapping[str, Mapping[str, Tensor]],
    reference: Mapping[str, Tensor],
    seconds: float | None,
    protocol: Protocol,
    of: str = "judge",
) -> list[dict[str, Any]]:
    """Return one method's column of the paper's table, as rows with intervals over faces.

    Those of distances of sets are the jackknife's (:mod:`l2l_widgets.metrics.jackknife`): a face is
    left out of both sets, with all its edits.

    Parameters
    ----------
    cells : mapping of str to dict
        Attribute -> what :func:`measure_paper` found.
    reference : dict
        As :func:`reference_features` gives it.
    seconds : float or None
        For one edited picture, where that could be measured.
    protocol : Protocol
        For the resampling.
    of : str
        Whose features those are.
    """
    rows: list[dict[str, Any]] = []
    for name, cell in cells.items():
        distance = cell["distance"].nanmean(dim=1)  # (F,)
        known = distance[~distance.isnan()]
        low, high = editing.bootstrap_interval(known, seed=protocol.seed, draws=protocol.draws)
        rows.append(
            {
                "row": ROWS.get(name, name), "quantity": "identity distance",
                "value": float(known.mean()), "low": low, "high": high, "faces": len(known),
                "range_low": float(cell["positions"][0]),
                "range_high": float(cell["positions"][-1]),
                "found_score": float(cell["found"].float().mean()),
            }
        )  # fmt: skip
    if not cells:
        return rows
    edited = torch.stack([cell["features"] for cell in cells.values()])  # (A, F, P, D)
    judged = torch.stack([cell["readings"] for cell in cells.values()])
    sets = _Sets(
        reference, edited.transpose(0, 1).flatten(1, 2), judged.transpose(0, 1).flatten(1, 2)
    )
    counts = {"faces": len(sets.own), "pictures": sets.edited[..., 0].numel()}
    for row, quantity, (value, low, high) in (
        (f"frechet_{of}", f"Fréchet distance of {of} features", sets.frechet()),
        (f"kernel_{of}", f"kernel distance of {of} features", sets.kernel(protocol.seed)),
        ("inception_score_judge", "difference of judged Inception Scores", sets.scores()),
    ):
        rows.append(
            {"row": row, "quantity": quantity, "value": value, "low": low, "high": high, **counts}
        )
    if seconds is not None:
        own = {"row": "Time (s)", "quantity": "seconds an edited picture", "value": seconds}
        rows.append({**own, **counts})
    return rows


@dataclass(frozen=True)
class _Sets:
    """The unedited faces beside all edits of some of them; each number with its interval.

    Parameters
    ----------
    reference : mapping of str to Tensor
        As :func:`reference_features` gives it, of N faces.
    edited : Tensor, shape (F, K, D)
        Features of every edit of the first F of these faces.
    readings : Tensor, shape (F, K, A)
        What the judge reads of them.
    """

    reference: Mapping[str, Tensor]
    edited: Tensor
    readings: Tensor

    @property
    def own(self) -> Tensor:
        """Features of the unedited, (N, D)."""
        return self.reference["features"]

    def frechet(self) -> tuple[float, float, float]:
        """Fréchet distance of the two sets."""

        def distance(kept: Tensor) -> float:
            return distribution.frechet_distance(self.own[kept], self._of(self.edited, kept))

        return self._with_interval(distance)

    def kernel(self, seed: int) -> tuple[float, float, float]:
        """Kernel distance of the two sets."""
        edited, group = self.edited.flatten(0, 1), groups_of(len(self.own))
        value, _ = distribution.kernel_distance(self.own, edited, seed=seed)
        if len(self.edited) < 2 * GROUPS:
            return value, math.nan, math.nan
        of_edits = group[: len(self.edited)].repeat_interleave(self.edited.shape[1])
        left = distribution.kernel_distances_without(self.own, edited, group, of_edits, GROUPS)
        return value, *interval_around(value, left)

    def scores(self) -> tuple[float, float, float]:
        """Difference of the judged Inception Scores."""

        def difference(kept: Tensor) -> float:
            edited = judged_inception_score(self._of(self.readings, kept))
            return abs(edited - judged_inception_score(self.reference["readings"][kept]))

        return self._with_interval(difference)

    def _with_interval(self, measure: Callable[[Tensor], float]) -> tuple[float, float, float]:
        value = measure(torch.ones(len(self.own), dtype=torch.bool))
        if len(self.edited) < 2 * GROUPS:
            return value, math.nan, math.nan
        return value, *jackknife_interval(measure, len(self.own), value, low=0)

    @staticmethod
    def _of(values: Tensor, kept: Tensor) -> Tensor:
        return values[kept[: len(values)]].flatten(0, 1)


def picture_seconds(editor: Editor, bench: Bench, name: str) -> float:
    """Return the median seconds of one edit of one face and its picture."""
    request, times = EditRequest(changes={name: 0.3}), []
    for _ in range(12):
        start = time.perf_counter()
        bench.readers.draw(editor.edit(bench.ws[:1], request)).cpu()
        times.append(time.perf_counter() - start)
    return float(torch.tensor(times[2:]).median())


def judged_inception_score(readings: Tensor) -> float:
    """Return the mean over attributes of the Inception Score of yes or no, from 1 to 2.

    Parameters
    ----------
    readings : Tensor, shape (N, A)
        In [0, 1]; each is read as the probability of one of two classes.
    """
    scores = [
        distribution.inception_score(torch.stack([p, 1 - p], dim=1), splits=1)[0]
        for p in readings.double().clamp(0, 1).T
    ]
    return sum(scores) / len(scores)
