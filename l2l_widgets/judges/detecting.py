"""What a detector's numbers mean: rows of boxes and scores to the faces in a picture."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from l2l_widgets.judges.declaration import Declaration, JudgeError

__all__ = ["read_faces"]

#: The best so many are compared with each other; a photo has fewer faces.
MOST = 1000


def read_faces(outputs: Sequence[Tensor], declaration: Declaration, name: str) -> Tensor:
    """Faces from a detector's outputs for one picture.

    Parameters
    ----------
    outputs : sequence of Tensor
        Boxes, (N, C) or (1, N, C); then the scores, (N,) or (N, K), where they are declared apart.
    declaration : Declaration
        Of kind "detector".
    name : str
        What errors call the network.

    Returns
    -------
    Tensor, shape (F, 5) or (F, 15)
        Left, top, right, bottom and score, and x and y of five points where they are declared; the
        surest first. Shares of the picture's sides.

    Raises
    ------
    JudgeError
        Outputs of another shape than declared, or that are not finite.
    """
    d = declaration
    rows = _table(outputs[0], name, "output")
    rows = rows.T if d.transposed else rows
    needed = max(4, *(p + 1 for p in d.points), 0)
    if rows.shape[1] < needed:
        turned = "; allowed: transposed = true" if rows.shape[0] >= needed > rows.shape[1] else ""
        raise JudgeError(
            f"{name}: its output has {rows.shape[1]} columns; boxes and points need {needed}"
            f"{turned}"
        )
    scores = _scores(rows if len(outputs) == 1 else _table(outputs[1], name, "scores"), d, name)
    if len(scores) != len(rows):
        raise JudgeError(
            f"{name}: {len(rows)} boxes and {len(scores)} scores; allowed: as many of both"
        )
    kept = (scores >= d.certain).nonzero()[:, 0]
    kept = kept[scores[kept].argsort(descending=True)][:MOST]
    rows, scores = rows[kept], scores[kept]
    places = torch.cat([_corners(rows[:, :4], d.boxes), rows[:, list(d.points)]], 1)
    places = _shares(places.unflatten(1, (-1, 2)), d).flatten(1)
    # a box without an inside is none; comparisons with it would divide by nothing
    whole = (places[:, 2] > places[:, 0]) & (places[:, 3] > places[:, 1])
    faces = torch.cat([places[:, :4], scores[:, None], places[:, 4:]], 1)[whole]
    return faces[_apart(faces[:, :4], d.overlap)]


def _table(values: Tensor, name: str, what: str) -> Tensor:
    """An output as rows, float32; a row of one number each where it is a plain list."""
    while values.ndim > 2 and values.shape[0] == 1:
        values = values[0]
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2:
        raise JudgeError(
            f"{name}: its {what} has shape {tuple(values.shape)} for one picture; allowed: (N, C), "
            "a row a face"
        )
    values = values.detach().float().cpu()
    if not bool(torch.isfinite(values).all()):
        raise JudgeError(f"{name}: its {what} holds values that are not finite")
    return values


def _scores(table: Tensor, d: Declaration, name: str) -> Tensor:
    if not -table.shape[1] <= d.score < table.shape[1]:
        raise JudgeError(
            f"{name}: score is {d.score}; allowed: a column of the {table.shape[1]} that there are"
        )
    if d.outputs == "softmax":
        table = table.softmax(1)
    column = table[:, d.score]
    return column.sigmoid() if d.outputs == "logits" else column


def _corners(box: Tensor, kind: str) -> Tensor:
    """(N, 4) as left, top, right, bottom."""
    if kind == "corners":
        return box
    first, size = box[:, :2], box[:, 2:]
    first = first - size / 2 if kind == "middle" else first
    return torch.cat([first, first + size], 1)


def _shares(places: Tensor, d: Declaration) -> Tensor:
    """Points (N, P, 2) of the network's input as shares of the picture that it was cut from."""
    if d.units == "pixels":
        height, width = d.shape
        places = places / torch.tensor([width, height])
    elif d.units == "signed":
        places = (places + 1) / 2
    left, top, right, bottom = d.crop
    return torch.tensor([left, top]) + places * torch.tensor([right - left, bottom - top])


def _apart(boxes: Tensor, overlap: float) -> list[int]:
    """Boxes (N, 4), the best first, that share at most ``overlap`` with a better one."""
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept: list[int] = []
    for i in range(len(boxes)):
        better = boxes[kept]
        low = torch.maximum(boxes[i, :2], better[:, :2])
        high = torch.minimum(boxes[i, 2:], better[:, 2:])
        shared = (high - low).clamp_min(0).prod(1)
        if not bool((shared > overlap * (area[i] + area[kept] - shared)).any()):
            kept.append(i)
    return kept
