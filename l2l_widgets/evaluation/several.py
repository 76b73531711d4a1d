"""Several attributes in one request: how much of each comes, and what else moves.

A step along a direction of its own adds up; a request for five attributes may be more than any face
holds. Every face is asked for five attributes that it has room for by both readers, chosen at
random among those that every method can change, none of which changes another on purpose: the same
five for all methods.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from l2l_widgets.attributes import AttributeTable, EditRequest
from l2l_widgets.evaluation.bench import READERS, Bench, partners
from l2l_widgets.evaluation.report import Protocol
from l2l_widgets.metrics import editing

if TYPE_CHECKING:
    from l2l_widgets.protocols import Editor

__all__ = [
    "ALL", "AT_ONCE", "ENOUGH", "choose_several", "measure_several", "several_faces",
    "several_rows",
]  # fmt: skip

#: Attributes in one request, and the share of each that counts as achieved.
AT_ONCE, ENOUGH = 5, 0.7
#: Attribute of what is of the whole request.
ALL = "all"


def choose_several(
    bench: Bench, names: Sequence[str], protocol: Protocol, count: int = AT_ONCE
) -> Tensor:
    """Return what each face is asked for.

    Parameters
    ----------
    bench : Bench
        N faces.
    names : sequence of str
        Attributes that may be asked for.
    protocol : Protocol
        Size of each change, and the seed.
    count : int
        Attributes in a request.

    Returns
    -------
    Tensor, shape (N, A)
        Signed changes, 0 where nothing is asked; a row of zeros for a face without so many.

    Raises
    ------
    ValueError
        No face has so many.
    """
    table = bench.models.table
    asked = torch.stack([bench.requests(name, protocol).cpu() for name in names], dim=1)
    related = {name: set(partners(table, name)) for name in names}
    draw = torch.Generator().manual_seed(protocol.seed + 41)
    out = torch.zeros(len(asked), len(table))
    for face, row in enumerate(asked):
        taken: list[int] = []
        for i in torch.randperm(len(names), generator=draw).tolist():
            if len(taken) == count:
                break
            own = related[names[i]]
            apart = all(not own & related[names[other]] for other in taken)
            if apart and row[i] == row[i]:
                taken.append(i)
        if len(taken) == count:
            for i in taken:
                out[face, table.index(names[i])] = row[i]
    if not bool(out.any()):
        raise ValueError(
            f"{len(names)} attributes can be changed by every method, and no face has room for "
            f"{count} of them at once; allowed: more attributes, or a smaller request"
        )
    return out


def measure_several(
    editor: Editor, bench: Bench, asked: Tensor, protocol: Protocol
) -> dict[str, Tensor]:
    """Return what one method makes of requests for several attributes.

    Parameters
    ----------
    editor : Editor
        The method.
    bench : Bench
        N faces.
    asked : Tensor, shape (N, A)
        As :func:`choose_several` gives it.
    protocol : Protocol
        For the batch size.

    Returns
    -------
    dict of str to Tensor
        ``asked`` (N, A); for each reader r that is a network, ``r:achieved`` (N, A), the share of
        each request that came, NaN where nothing was asked, and ``r:others`` (N,), the mean change
        of what no request may change on purpose; ``judge:identity_similarity`` (N,).
    """
    table, kept = bench.models.table, asked.any(dim=1)
    edited = bench.ws.clone()
    current = bench.before.get("request")
    for face in kept.nonzero()[:, 0].tolist():
        row = asked[face]
        changes = {table.names[i]: float(row[i]) for i in row.nonzero()[:, 0].tolist()}
        read = None if current is None else current[face : face + 1]
        one = slice(face, face + 1)
        edited[one] = editor.edit(bench.ws[one], EditRequest(changes=changes, current=read))
    if not bool(torch.isfinite(edited).all()):
        raise ValueError("edited latents hold NaN or infinity")
    after = bench.readers.read(edited, protocol.batch)
    wanted = asked != 0
    free = torch.ones_like(wanted)  # what no request of the face touches on purpose
    for i, name in enumerate(table.names):
        free[:, partners(table, name)] &= ~wanted[:, i : i + 1]
    out = {"asked": asked}
    for reader in (r for r in bench.kinds if r in after):
        changes_read = (after[reader] - bench.before[reader]).cpu()
        share = changes_read / torch.where(wanted, asked, 1.0)
        out[f"{reader}:achieved"] = torch.where(wanted, share, float("nan"))
        moved = (changes_read.abs() * free).sum(dim=1) / free.sum(dim=1).clamp_min(1)
        out[f"{reader}:others"] = torch.where(kept, moved, float("nan"))
    if "person" in after:
        similarity = editing.identity_similarity(bench.before["person"], after["person"]).cpu()
        out["judge:identity_similarity"] = torch.where(kept, similarity, float("nan"))
    return out


def several_faces(
    cell: Mapping[str, Tensor], table: AttributeTable
) -> Iterator[tuple[str, int, float | str, str, str, float]]:
    """Yield the single faces of one cell of :func:`measure_several`.

    Yields
    ------
    attribute : str
        One that was asked for, or :data:`ALL`.
    face : int
        Row of the cell.
    requested : float or str
        The change that was asked of this attribute; "" for :data:`ALL`.
    reader, quantity : str
        Who read what: ``achieved``, ``others`` or ``identity_similarity``.
    value : float
    """
    asked = cell["asked"]
    for key in (k for k in cell if k.endswith(":achieved")):
        reader = key.partition(":")[0]
        for face, i in asked.nonzero().tolist():
            request = round(float(asked[face, i]), 4)
            yield table.names[i], face, request, reader, "achieved", float(cell[key][face, i])
    for key in (k for k in cell if k.endswith((":others", ":identity_similarity"))):
        reader, _, quantity = key.partition(":")
        for face, value in enumerate(cell[key].tolist()):
            if value == value:  # NaN where nothing was asked
                yield ALL, face, "", reader, quantity, value


def several_rows(
    cells: Mapping[tuple[str, int], Mapping[str, Tensor]], protocol: Protocol
) -> list[dict[str, Any]]:
    """Return one row a method, training seed and reader.

    ``achieved_median`` is over all attributes of all faces. Of the ``attributes`` that two faces or
    more were asked for (beside others), ``attributes_enough`` come by at least :data:`ENOUGH` in
    the median over those faces. ``least_median`` is the median of each face's least one,
    ``all_enough_score`` the share of the faces of which every attribute came by so much.
    """
    rows = []
    for (label, seed), cell in cells.items():
        kept = cell["asked"].any(dim=1)
        for reader in (r for r in READERS if f"{r}:achieved" in cell):
            achieved = cell[f"{reader}:achieved"][kept]
            least = torch.where(achieved.isnan(), torch.inf, achieved).amin(dim=1)
            row: dict[str, Any] = {
                "method": label, "seed": seed, "reader": reader, "faces": int(kept.sum()),
                "at_once": int((cell["asked"][kept][0] != 0).sum()),
            }  # fmt: skip
            often = achieved[:, (~achieved.isnan()).sum(dim=0) > 1]
            row["attributes"] = often.shape[1]
            row["attributes_enough"] = int((often.nanquantile(0.5, dim=0) >= ENOUGH).sum())
            numbers = [
                ("achieved_median", achieved, "median"),
                ("least_median", least, "median"),
                ("all_enough_score", (least >= ENOUGH).double(), "mean"),
                ("others_mean", cell[f"{reader}:others"][kept], "mean"),
            ]
            if reader == "judge" and "judge:identity_similarity" in cell:
                same = cell["judge:identity_similarity"][kept]
                numbers.append(("identity_similarity", same, "mean"))
            for name, values, statistic in numbers:
                low, high = editing.bootstrap_interval(
                    values, statistic, seed=protocol.seed, draws=protocol.draws
                )
                middle = values.nanquantile(0.5) if statistic == "median" else values.nanmean()
                row[name] = round(float(middle), 4)
                row[f"{name}_low"], row[f"{name}_high"] = round(low, 4), round(high, 4)
            rows.append(row)
    return rows
