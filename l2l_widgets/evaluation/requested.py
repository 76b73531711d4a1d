"""Measure editors at equal *request*: how much of what was asked comes, and what comes with it.

This is what a user of a slider meets. Every attribute is asked to change by a fixed amount in
attribute units. Read are the share of the request that came, every other attribute's change and
the identity, which is placed between 0, two different people, and 1, the same person drawn again
with the attribute truly changed, which a world that knows its truth can do (``truth``). Every
interval is a bootstrap over faces.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from l2l_widgets.attributes import AttributeRequestError, EditRequest
from l2l_widgets.evaluation import rescoring
from l2l_widgets.evaluation.bench import READERS, Bench, Truth, partners
from l2l_widgets.evaluation.report import EvaluationReport, Protocol, versions
from l2l_widgets.metrics import editing

if TYPE_CHECKING:
    from l2l_widgets.models.zoo import Models
    from l2l_widgets.protocols import Editor


#: What :func:`null_and_speed` measures.
NULL_AND_SPEED = ("null_error", "milliseconds_per_edit")


@torch.inference_mode()
def evaluate(
    models: Models,
    methods: Sequence[str] | Mapping[str, Editor] = ("mapper",),
    protocol: Protocol | None = None,
    *,
    truth: Truth | None = None,
    progress: Callable[[str], None] | None = None,
) -> EvaluationReport:
    """Measure editors on the same faces, requests and judges.

    Parameters
    ----------
    models : Models
        Generator, judges and the ensemble of the training.
    methods : sequence of str, or mapping of str to Editor
        Names that ``models.editor`` knows, or editors by name.
    protocol : Protocol, optional
        What to measure.
    truth : callable, optional
        The same people with less and with more of an attribute (:data:`Truth`); without it,
        identity is reported as a cosine and not placed.
    progress : callable, optional
        Gets one line for each attribute done.

    Raises
    ------
    ValueError
        An unknown attribute or method, or an editor that cannot change an attribute that is asked.
    """
    protocol = protocol or Protocol()
    started = time.perf_counter()
    for name in protocol.attributes:
        models.table.index(name)
    editors = (
        dict(methods)
        if isinstance(methods, Mapping)
        else {name: models.editor(name) for name in methods}
    )
    for method, editor in editors.items():
        missing = [a for a in protocol.attributes if a not in editor.attributes]
        if missing:
            raise AttributeRequestError(
                f"method {method!r} cannot change {missing[0]!r}; allowed: "
                f"{', '.join(editor.attributes)}"
            )
    bench = Bench.of(models, protocol)
    bench.anchors = identity_anchors(bench, protocol, truth)
    report = EvaluationReport(protocol)
    for method, editor in editors.items():
        cells = {
            name: measure_requested(editor, bench, name, bench.requests(name, protocol), protocol)
            for name in protocol.attributes
        }
        add_method(report, method, cells, progress)
        names = protocol.attributes
        report.methods[-1].update(null_and_speed(editor, bench, names, protocol.request))
    report.provenance = {
        "models": models.name,
        "hashes": dict(models.hashes),
        "judges": bench.readers.names,
        "identity_anchors": bench.anchors,
        "versions": versions(),
        "wall_seconds": round(time.perf_counter() - started, 1),
    }
    return report


def identity_anchors(bench: Bench, protocol: Protocol, truth: Truth | None) -> dict[str, Any]:
    """Return the two ends of the identity scale for each attribute, as :func:`identity_scale`."""
    if bench.readers.identity is None:
        return {}
    pairs = {}
    for name in protocol.attributes if truth is not None else ():
        assert truth is not None
        pair = truth(name, protocol.request, protocol.seed)
        if pair is not None:
            less, more = (bench.readers.look_at(side, protocol.batch)["person"] for side in pair)
            pairs[name] = (less, more)
    return identity_scale(bench, pairs)


def identity_scale(bench: Bench, pairs: Mapping[str, tuple[Tensor, Tensor]]) -> dict[str, Any]:
    """Return the two ends of the identity scale for each attribute.

    'Same' is read on renders, which know the truth; 'different' on the generator's faces and on
    those renders, and the more alike of the two counts: a generator whose people resemble each
    other must not make its edits look faithful.

    Parameters
    ----------
    bench : Bench
        The generator's faces.
    pairs : mapping of str to (Tensor, Tensor)
        Attribute -> identity vectors (M, D) of the same people with less and with more of it.
    """
    if "person" not in bench.before:
        return {}
    person = bench.before["person"]
    others = torch.roll(person, 1, dims=0)
    generated = float(editing.identity_similarity(person, others).mean())
    anchors: dict[str, Any] = {"different_generated": generated, "different": {}, "same": {}}
    for name, (first, second) in pairs.items():
        rendered = editing.identity_similarity(first, torch.roll(first, 1, dims=0)).mean()
        anchors["different"][name] = max(generated, float(rendered))
        anchors["same"][name] = float(editing.identity_similarity(first, second).mean())
    return anchors


def measure_requested(
    editor: Editor, bench: Bench, name: str, asked: Tensor, protocol: Protocol
) -> dict[str, Tensor]:
    """Return what one method does to one attribute at a fixed request.

    Parameters
    ----------
    editor : Editor
        The method.
    bench : Bench
        N faces.
    name : str
        The edited attribute.
    asked : Tensor, shape (N,)
        Signed requests, NaN where nothing is asked.
    protocol : Protocol
        For the batch size.

    Returns
    -------
    dict of str to Tensor, shape (N,)
        "reader:quantity" -> one number a face, NaN where nothing was asked; and ``asked``. Beside
        these, of the judges, "changes:reader" -> the changes of all readings, (N, A).
    """
    table, anchors = bench.models.table, bench.anchors
    column = table.index(name)
    edited, cycle = _edit_all(editor, bench.ws, name, asked, bench.before.get("request"))
    after = bench.readers.read(edited, protocol.batch)
    values = _measure_faces(bench.before, after, column, asked, partners(table, name))
    values[":cycle_error"] = cycle
    same, different = (anchors.get(end, {}).get(name) for end in ("same", "different"))
    if same is not None and different is not None and same > different:
        values["judge:identity_placement_score"] = editing.identity_placement_score(
            values["judge:identity_similarity"], different, same
        )
    values = {k: torch.where(asked.isnan(), float("nan"), v).cpu() for k, v in values.items()}
    for reader in (r for r in rescoring.READERS if r in after):
        values[f"{rescoring.CHANGES}{reader}"] = (after[reader] - bench.before[reader]).cpu()
    return {**values, "asked": asked.cpu()}


def add_method(
    report: EvaluationReport,
    method: str,
    cells: Mapping[str, Mapping[str, Tensor]],
    progress: Callable[[str], None] | None = None,
) -> None:
    """Add the rows of one method to the report; ``cells`` holds a measurement an attribute."""
    protocol = report.protocol
    columns: dict[str, list[Tensor]] = {}
    for name, cell in cells.items():
        asked = cell["asked"]
        values = {
            k: v for k, v in cell.items() if k != "asked" and not k.startswith(rescoring.CHANGES)
        }
        for key, value in values.items():
            columns.setdefault(key, []).append(value)
        report.attributes.append(_attribute_row(method, name, asked, values, protocol))
        _add_measurements(report, method, name, asked, values)
        if progress is not None:
            row = report.attributes[-1]
            came, leak = row["achieved_median"], row["others_mean"]
            progress(f"{method} {name}: achieved {came}, others {leak}")
    stacked = {k: torch.stack(v, dim=1) for k, v in columns.items()}
    row = {"method": method, "attributes": len(cells), "faces": protocol.faces}
    report.methods.append({**row, **_statistics(stacked, protocol)})


def null_and_speed(
    editor: Editor, bench: Bench, names: Sequence[str], request: float
) -> dict[str, float]:
    """Return ``null_error`` and ``milliseconds_per_edit`` of a method that can edit ``names``."""
    current = bench.before.get("request")
    error = _null_error(editor, bench.ws, names, bench.scale)
    milliseconds = _milliseconds(editor, bench.ws, names[0], request, current)
    return dict(zip(NULL_AND_SPEED, (error, milliseconds), strict=True))


def _edit_all(
    editor: Editor, ws: Tensor, name: str, asked: Tensor, current: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return edited latents, and the (N,) cycle error; unasked faces come back as they were."""
    edited = ws.clone()
    cycle = torch.full_like(asked, float("nan"))
    for value in asked[~asked.isnan()].unique().tolist():
        rows = (asked == value).nonzero()[:, 0]
        read = None if current is None else current[rows]
        request = EditRequest(changes={name: value}, current=read)
        edited[rows] = editor.edit(ws[rows], request)
        # without readings no target is corrected, so that undoing asks for exactly the opposite
        there = editor.edit(ws[rows], EditRequest(changes={name: value}))
        back = editor.edit(there, EditRequest(changes={name: -value}))
        cycle[rows] = editing.cycle_error(ws[rows], there, back)
    return edited, cycle


def _measure_faces(
    before: Mapping[str, Tensor],
    after: Mapping[str, Tensor],
    column: int,
    asked: Tensor,
    partners: list[int],
) -> dict[str, Tensor]:
    """Return (N,) values by "reader:quantity"; faces without a request hold rubbish."""
    out = {}
    request = torch.nan_to_num(asked, nan=1.0)
    for reader in (r for r in READERS if r in before):
        changes = after[reader] - before[reader]
        out[f"{reader}:achieved"] = editing.achieved_fraction(
            before[reader][:, column], after[reader][:, column], request
        )
        out[f"{reader}:others"] = _others(changes, [column])
        out[f"{reader}:others_unrelated"] = _others(changes, partners)
    if "person" in before:
        out["judge:identity_similarity"] = editing.identity_similarity(
            before["person"], after["person"]
        )
    return out


def _others(changes: Tensor, edited: list[int]) -> Tensor:
    """Return what else moved (N,), NaN where the judge knows nothing else."""
    if len(set(edited)) == changes.shape[1]:
        return torch.full((len(changes),), float("nan"), device=changes.device)
    return editing.others_leak(changes, edited)


def _statistics(values: Mapping[str, Tensor], protocol: Protocol) -> dict[str, Any]:
    """Return the numbers of a table row, with intervals, from (N,) or (N, K) measurements."""
    row: dict[str, Any] = {}
    for key, name, statistic in (
        ("judge:achieved", "achieved_median", "median"),
        ("judge:others", "others_mean", "mean"),
        ("judge:others_unrelated", "others_unrelated_mean", "mean"),
        ("judge:identity_similarity", "identity_similarity", "mean"),
        ("judge:identity_placement_score", "identity_placement_score", "mean"),
        ("judge_b:achieved", "judge_b_achieved_median", "median"),
        ("judge_b:others", "judge_b_others_mean", "mean"),
        ("ensemble:achieved", "ensemble_achieved_median", "median"),
        ("ensemble:others", "ensemble_others_mean", "mean"),
        (":cycle_error", "cycle_error_mean", "mean"),
    ):
        found = values.get(key)
        if found is None and key.startswith("judge_b:"):
            continue  # no column for a reader that is not there
        if found is None or bool(found.isnan().all()):
            row[name] = None
            continue
        middle = found.nanquantile(0.5) if statistic == "median" else found.nanmean()
        low, high = editing.bootstrap_interval(
            found, statistic, seed=protocol.seed, draws=protocol.draws
        )
        row[name] = round(float(middle), 4)
        row[f"{name}_low"], row[f"{name}_high"] = round(low, 4), round(high, 4)
    achieved = values["judge:achieved"]
    known = achieved[~achieved.isnan()]
    row["reached_half_score"] = (
        round(editing.reachability_score(known), 4) if known.numel() else None
    )
    return row


def _attribute_row(
    method: str, name: str, asked: Tensor, values: Mapping[str, Tensor], protocol: Protocol
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "method": method,
        "attribute": name,
        "faces": int((~asked.isnan()).sum()),
        "without_room": int(asked.isnan().sum()),
        "rises": int((asked > 0).sum()),
        **_statistics(values, protocol),
    }
    for label, side in (("rise", asked > 0), ("fall", asked < 0)):
        chosen = values["judge:achieved"][side]
        median = round(float(chosen.quantile(0.5)), 4) if len(chosen) else None
        row[f"achieved_median_{label}"] = median
    return row


def _add_measurements(
    report: EvaluationReport, method: str, name: str, asked: Tensor, values: Mapping[str, Tensor]
) -> None:
    seeds = report.protocol.face_seeds()
    requests = asked.tolist()
    for key, value in values.items():
        reader, _, quantity = key.rpartition(":")
        for seed, request, number in zip(seeds, requests, value.tolist(), strict=True):
            if number == number:  # NaN where nothing was asked
                row = (method, name, seed, round(request, 4), reader or "latent", quantity)
                report.measurements.append((*row, round(number, 5)))


def _null_error(editor: Editor, ws: Tensor, attributes: Sequence[str], scale: float) -> float:
    """Return the mean null error over faces, each attribute asked to change by nothing."""
    part = ws[:64]
    errors = [
        editing.null_error(part, editor.edit(part, EditRequest(changes={name: 0.0})), scale)
        for name in attributes
    ]
    # an editor may shortcut an empty request; one infinitely small cannot be
    tiny = [
        editing.null_error(part, editor.edit(part, EditRequest(changes={name: 1e-6})), scale)
        for name in attributes
    ]
    return float(torch.maximum(torch.stack(errors), torch.stack(tiny)).mean())


def _milliseconds(
    editor: Editor, ws: Tensor, name: str, change: float, current: Tensor | None
) -> float:
    """Return the median time of one edit of one face, in milliseconds.

    With the face's readings (N, A), as a session asks: without them a request is not corrected.
    """
    read = None if current is None else current[:1]
    request = EditRequest(changes={name: change}, current=read)
    one, times = ws[:1], []
    for _ in range(60):
        start = time.perf_counter()
        editor.edit(one, request)
        if one.is_cuda:
            torch.cuda.synchronize(one.device)
        times.append(time.perf_counter() - start)
    return round(1000 * float(torch.tensor(times[10:]).median()), 3)
