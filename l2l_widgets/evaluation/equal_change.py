"""Measure editors at equal *achieved* change: what else moved when the target has moved as much.

Every face is edited at rising strengths; where the reader sees the target moved by the protocol's
request, everything else is read, interpolated between strengths. A face that never comes so far is
unreached: it counts in the reach, and in nothing else. Each reader has its own crossing: the judge,
a second judge of another family (``judge_b``) where there is one, the ensemble of the training, and
its mean with the judge (``consensus``), as a mapper may learn to paint what its own readers look
for.

Strengths go up to a whole attribute unit and carry no readings: a target that is corrected, and
clipped to [0, 1], could not be pushed to an equal change.

What counts as nothing is the band of random edits of the same size; what the population's own
regression slope explains is reported apart (``world``), and what the same readers see when the
attribute is truly changed as well (``truth``), where the world knows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from l2l_widgets.evaluation.bench import Bench, Truth, moved, partners
from l2l_widgets.evaluation.report import Protocol
from l2l_widgets.evaluation.sweep import KNOBS, follow
from l2l_widgets.metrics import editing, leakage, significance

if TYPE_CHECKING:
    from l2l_widgets.protocols import Editor

#: Achieved changes at which identity is read, for the curve.
CURVE = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
#: Random edits: directions, faces for each, lengths in units of a step between two faces.
RANDOM_DIRECTIONS, RANDOM_FACES = 24, 12
RANDOM_LENGTHS = (0.125, 0.25, 0.5, 1.0)
#: False discoveries allowed among the cells that are called leaks.
FALSE_DISCOVERIES = 0.05


def measure_equal(
    editor: Editor,
    bench: Bench,
    name: str,
    asked: Tensor,
    protocol: Protocol,
    sweep_faces: int | None = None,
) -> dict[str, Tensor]:
    """Return what one method does to one attribute along a sweep, and at equal change.

    Parameters
    ----------
    editor : Editor
        The method.
    bench : Bench
        N faces.
    name : str
        The edited attribute.
    asked : Tensor, shape (N,)
        Signed requests, all of one size, NaN where nothing is asked.
    protocol : Protocol
        The request is the change to be achieved.
    sweep_faces : int, optional
        The first so many faces are followed to the largest strength; all of them if not given.

    Returns
    -------
    dict of str to Tensor
        For each reader r: ``r:position`` (N,), the strength at the crossing, NaN where unreached;
        ``r:changes`` (N, A), plain changes there; ``r:length`` (N,), how far the latent went. By
        the judge alone: ``similarity`` and ``outside`` (N,). On the faces that are followed to the
        largest strength, NaN elsewhere: ``monotonicity`` (N,), ``curve`` (N, G), and the sweep's
        ``achieved`` and ``others`` (N, S). And ``asked`` (N,).
    """
    column = bench.models.table.index(name)
    rows = (~asked.isnan()).nonzero()[:, 0]
    part = bench.chosen(rows)
    signs = asked[rows].sign()
    kept = None if bench.unedited is None else bench.unedited[rows]
    whole = rows.cpu() < (len(asked) if sweep_faces is None else sweep_faces)
    sweep = follow(editor, part, name, signs, protocol, whole, kept)
    signs = signs.cpu()
    knobs = torch.tensor(KNOBS, dtype=torch.float64)
    full: dict[str, Tensor] = {}
    for reader in part.kinds:
        changes = sweep[reader]  # (n, S, A)
        achieved = changes[:, :, column] * signs[:, None]
        position = leakage.matched_position(knobs, achieved, protocol.request)
        full[f"{reader}:position"] = position
        full[f"{reader}:changes"] = leakage.read_at(knobs, changes, position)
        full[f"{reader}:length"] = leakage.read_at(knobs, sweep["length"], position)
    changes = sweep["judge"]
    achieved = changes[:, :, column] * signs[:, None]
    others = [i for i in range(changes.shape[2]) if i != column]
    along = {"achieved": achieved, "others": changes[:, :, others].abs().mean(dim=2)}
    for quantity in ("similarity", "outside"):
        if quantity in sweep:
            full[quantity] = leakage.read_at(knobs, sweep[quantity], full["judge:position"])
    along["monotonicity"] = editing.monotonicity_score(knobs, achieved)
    if "similarity" in sweep:
        along["curve"] = leakage.identity_curve(
            knobs, achieved, sweep["similarity"], torch.tensor(CURVE)
        )
    for key, value in along.items():
        followed = whole.view(-1, *[1] * (value.ndim - 1))
        full[key] = torch.where(followed, value.double(), float("nan"))
    out = {"asked": asked.cpu()}
    for key, value in full.items():
        spread = torch.full((len(asked), *value.shape[1:]), float("nan"))
        spread[rows.cpu()] = value.float().cpu()
        out[key] = spread
    return out


# -- what chance, the population and the truth do --------------------------------------------------


def measure_random_edits(
    bench: Bench, protocol: Protocol, directions: int = RANDOM_DIRECTIONS
) -> dict[str, Tensor]:
    """Return what random edits of several sizes change: the zero of every leakage matrix.

    A random edit is one direction for all faces, the difference of two faces of the generator, as a
    linear method's is.

    Parameters
    ----------
    bench : Bench
        Faces; the first of them are edited.
    protocol : Protocol
        Its seed chooses the directions.
    directions : int
        How many, at least 2; the fewer, the less is known of what chance can do.

    Returns
    -------
    dict of str to Tensor
        ``lengths`` (L,), rising from 0; ``r:band`` (L, A) for each reader r, as
        :func:`l2l_widgets.metrics.leakage.random_direction_band` gives it.
    """
    draw = torch.Generator().manual_seed(protocol.seed + 17)
    generator = bench.models.generator
    z = torch.randn(2 * directions, generator.z_dim, generator=draw)
    w = generator.mapping(z.to(bench.ws.device)).float()
    steps = w[:directions] - w[directions:]  # (R, num_ws, w_dim)
    typical = float(steps.flatten(1).norm(dim=1).mean())
    steps = steps / steps.flatten(1).norm(dim=1)[:, None, None]
    rows = torch.arange(min(RANDOM_FACES, len(bench.ws)))
    part = bench.chosen(rows)
    lengths = torch.tensor((0.0, *RANDOM_LENGTHS)) * typical
    width = len(bench.models.table)
    out = {"lengths": lengths}
    for reader in part.kinds:
        out[f"{reader}:band"] = torch.zeros(len(lengths), width)
    for i, length in enumerate(lengths.tolist()[1:], start=1):
        found: dict[str, list[Tensor]] = {reader: [] for reader in part.kinds}
        for step in steps:
            after = part.readers.read(part.ws + length * step, protocol.batch)
            for reader, changes in moved(part.before, after).items():
                found[reader].append(changes.cpu())
        for reader in part.kinds:
            changes = torch.stack(found[reader])  # (R, N, A)
            out[f"{reader}:band"][i] = leakage.random_direction_band(changes).float()
    return out


def measure_truth(
    bench: Bench, truth: Truth, name: str, protocol: Protocol
) -> dict[str, Tensor] | None:
    """Return what the readers see when an attribute is truly changed, or None where nobody can.

    Returns
    -------
    dict of str to Tensor
        ``r:signed`` (M, A) for each reader r, the change that goes with a true rise; ``region``
        (R, R), bool: where at least one in twenty of the true changes moves a pixel by more than
        0.05 of the range [-1, 1]; and,
        where somebody reads identity, ``person_less`` and ``person_more`` (M, D).
    """
    pair = truth(name, protocol.request, protocol.seed)
    if pair is None:
        return None
    less, more = (bench.readers.look_at(side, protocol.batch) for side in pair)
    out = {f"{reader}:signed": changes.cpu() for reader, changes in moved(less, more).items()}
    pixels = (pair[1] - pair[0]).abs().mean(dim=1)  # (M, R, R)
    out["region"] = (pixels > 0.1).float().mean(dim=0) >= 0.05
    if "person" in less:
        out |= {"person_less": less["person"].cpu(), "person_more": more["person"].cpu()}
    return out


# -- tables ----------------------------------------------------------------------------------------


def equal_row(
    bench: Bench, name: str, reader: str, cell: Mapping[str, Tensor], protocol: Protocol
) -> dict[str, Any]:
    """Return one row: a method's edit of one attribute, by one reader, at equal change."""
    table = bench.models.table
    column = table.index(name)
    asked, position = cell["asked"], cell[f"{reader}:position"]
    reached = ~position.isnan()
    n = int((~asked.isnan()).sum())
    row: dict[str, Any] = {"faces": n, "reached": int(reached.sum()), "reach_score": None}
    if n:
        _add_means(row, {"reach_score": reached[~asked.isnan()].double()}, protocol)
    if not bool(reached.any()):
        return row
    changes = cell[f"{reader}:changes"][reached]
    signs = asked[reached].sign()[:, None]
    own = set(partners(table, name))
    unrelated = [i for i in range(len(table)) if i not in own]
    others = [i for i in range(len(table)) if i != column]
    spread = bench_readings(bench, reader).std(dim=0).cpu()
    numbers: dict[str, Tensor] = {}
    if others:  # a judge of a single attribute has nothing else to see move
        numbers["leak_mean"] = changes[:, others].abs().mean(dim=1)
        numbers["leak_max"] = changes[:, others].abs().amax(dim=1)
    if unrelated:
        numbers["leak_unrelated_mean"] = changes[:, unrelated].abs().mean(dim=1)
    if float(spread[column]) > 0 and any(float(spread[i]) > 0 for i in others):
        mean, largest, _ = leakage.attribute_dependency(changes, spread, column)
        numbers |= {"attribute_dependency_mean": mean, "attribute_dependency_max": largest}
    numbers["edit_length"] = cell[f"{reader}:length"][reached]
    if reader == "judge":
        for quantity, label in (
            ("similarity", "identity_similarity"),
            ("outside", "outside_region_error"),
        ):
            if quantity in cell:
                numbers[label] = cell[quantity][reached]
    _add_means(row, numbers, protocol)
    if reader == "judge" and "monotonicity" in cell:
        steady = cell["monotonicity"][reached]
        steady = steady[~steady.isnan()]
        row["monotonicity_faces"] = len(steady)
        if len(steady):
            _add_means(row, {"monotonicity_score": steady}, protocol)
    signed = changes * signs
    if others:
        row["bias"] = round(float(signed[:, others].mean(dim=0).abs().mean()), 4)
        row["drift"] = round(float(changes[:, others].mean(dim=0).abs().mean()), 4)
    row["strength_median"] = round(float(position[reached].quantile(0.5)), 4)
    return row


def _add_means(row: dict[str, Any], numbers: Mapping[str, Tensor], protocol: Protocol) -> None:
    """Add the mean of each (n,) and its interval over faces to a row."""
    together = torch.stack([values.double() for values in numbers.values()], dim=1)  # (n, Q)
    low, high = significance.mean_intervals(together, seed=protocol.seed, draws=protocol.draws)
    for i, label in enumerate(numbers):
        row[label] = round(float(together[:, i].mean()), 4)
        row[f"{label}_low"], row[f"{label}_high"] = (
            round(float(low[i]), 4),
            round(float(high[i]), 4),
        )


def bench_readings(bench: Bench, reader: str) -> Tensor:
    """Return what a reader says of the unedited faces, (N, A)."""
    if reader == "consensus":
        return (bench.before["judge"] + bench.before["ensemble"]) / 2
    return bench.before[reader]


def leakage_cells(
    bench: Bench,
    reader: str,
    cells: Mapping[str, Mapping[str, Tensor]],
    random_edits: Mapping[str, Tensor],
    truths: Mapping[str, Mapping[str, Tensor]],
    protocol: Protocol,
) -> list[dict[str, Any]]:
    """Return the leakage matrix of one method as rows: one an edited and a read attribute.

    ``signed`` is the mean change per rise of the target, ``drift`` the mean change whichever way
    the edit goes; both are tested against 0 and the larger surprise counts, doubled. ``verdict`` is
    ``leak`` where the false-discovery rate over all cells of the method holds and one of the two
    leaves the band of random edits; ``asked`` on the target itself, ``partner`` where a corrected
    request may change it on purpose, ``untested`` with fewer than two faces.
    ``band_extrapolated`` says that the edit is longer than any random edit that was measured.
    """
    table = bench.models.table
    slopes = leakage.regression_slopes(bench_readings(bench, reader)).cpu()
    rows: list[dict[str, Any]] = []
    for name, cell in cells.items():
        column = table.index(name)
        reached = ~cell[f"{reader}:position"].isnan()
        changes = cell[f"{reader}:changes"][reached].double()
        if len(changes) < 2:
            rows += [
                {"edited": name, "read": other, "faces": len(changes), "verdict": "untested"}
                for other in table.names
            ]
            continue
        signs = cell["asked"][reached].sign().double()[:, None]
        signed = changes * signs
        low, high = significance.mean_intervals(signed, seed=protocol.seed, draws=protocol.draws)
        p = torch.minimum(significance.mean_p_values(signed), significance.mean_p_values(changes))
        length = float(cell[f"{reader}:length"][reached].mean())
        band, longer = leakage.band_at(
            random_edits["lengths"], random_edits[f"{reader}:band"], length
        )
        known = truths.get(name)
        truth = known[f"{reader}:signed"].mean(dim=0) if known is not None else None
        own = set(partners(table, name))
        for b, other in enumerate(table.names):
            kind = "asked" if b == column else "partner" if b in own else ""
            rows.append(
                {
                    "edited": name,
                    "read": other,
                    "faces": len(changes),
                    "signed": float(signed[:, b].mean()),
                    "signed_low": float(low[b]),
                    "signed_high": float(high[b]),
                    "drift": float(changes[:, b].mean()),
                    "p": min(1.0, 2 * float(p[b])),
                    "band": float(band[b]),
                    "band_extrapolated": longer,
                    "world": float(slopes[column, b]) * protocol.request,
                    "truth": None if truth is None else float(truth[b]),
                    "verdict": kind,
                }
            )
    _judge_cells(rows)
    return rows


def _judge_cells(rows: list[dict[str, Any]]) -> None:
    """Fill in ``q`` and the verdicts that depend on all cells together."""
    tested = [row for row in rows if row["verdict"] in ("", "partner")]
    q = significance.false_discovery_q_values(torch.tensor([row["p"] for row in tested]))
    for row, value in zip(tested, q.tolist(), strict=True):
        row["q"] = value
        beyond = max(abs(row["signed"]), abs(row["drift"])) > row["band"]
        if row["verdict"] == "":
            row["verdict"] = "leak" if beyond and value < FALSE_DISCOVERIES else "clear"
