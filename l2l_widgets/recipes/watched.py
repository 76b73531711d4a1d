"""What trainings show of themselves: the same faces edited, and what the edits disturb.

Tasks answer `training.watch` with these; all of it is read by the regressors that train, on faces
that no training set holds, and says how a run develops, not how good an editor is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from l2l_widgets.attributes import AttributeTable

#: Edits network(w, knobs) -> w: latents (B, num_ws, w_dim) and one column a knob, (B, A).
Network = Callable[[Tensor, Tensor], Tensor]

#: Faces in a row, rows of edits, attributes in the small matrix, and faces behind its cells:
#: as few as will do, for a training pays for them.
FACES, ROWS, MATRIX, MATRIX_FACES = 4, 3, 6, 8
#: Attributes that a person sees at once come first.
PLAIN = ("smile", "glasses", "age", "hair_length", "yaw", "beard")


def watched_columns(table: AttributeTable, columns: Sequence[int], count: int) -> list[int]:
    """Some of the trained attributes, the plain ones first."""
    plain = [table.index(name) for name in PLAIN if name in table]
    first = [column for column in plain if column in columns]
    return [*first, *(c for c in columns if c not in first)][:count]


def edited_pictures(
    draw: Callable[[Tensor], Tensor],
    network: Network,
    faces: Tensor,
    table: AttributeTable,
    columns: Sequence[int],
) -> dict[str, Tensor]:
    """Rows of faces: as drawn, then each with one attribute raised as far as can be asked.

    Parameters
    ----------
    draw : callable
        Latents (B, num_ws, w_dim) -> pictures (B, 3, R, R).
    network : callable
        Edits.
    faces : Tensor, shape (B, num_ws, w_dim)
        The same at every look.
    table : AttributeTable
        Names of the columns.
    columns : sequence of int
        The attributes that are trained.
    """
    rows = {"as drawn": draw(faces)}
    for column in watched_columns(table, columns, ROWS):
        rows[f"{table.names[column]} +1"] = draw(_edited(network, faces, table, column))
    return rows


def edit_leakage(
    read: Callable[[Tensor], Tensor],
    network: Network,
    faces: Tensor,
    table: AttributeTable,
    columns: Sequence[int],
) -> dict[str, dict[str, float]]:
    """What each of a few attributes, asked for alone, moves among them: mean changes.

    Parameters
    ----------
    read : callable
        Latents (B, num_ws, w_dim) -> readings (B, A) of the training regressors.
    network, faces, table, columns
        As for :func:`edited_pictures`.

    Returns
    -------
    dict
        Asked -> moved -> mean change, in attribute units.
    """
    chosen = watched_columns(table, columns, MATRIX)
    before = read(faces)
    out = {}
    for asked in chosen:
        change = (read(_edited(network, faces, table, asked)) - before).mean(dim=0)
        out[table.names[asked]] = {table.names[c]: float(change[c]) for c in chosen}
    return out


def _edited(network: Network, faces: Tensor, table: AttributeTable, column: int) -> Tensor:
    knobs = torch.zeros(len(faces), len(table), device=faces.device)
    knobs[:, column] = 1.0
    return network(faces, knobs)
