"""Measure editors on unseen faces, by judges that trained nothing, and write a report folder.

Protocol. Faces are drawn from seeds that no training used, at the truncation of a session. Every
attribute is asked to change by a fixed amount in attribute units, in a direction that has room by
the judge and by the regressors (at random where both have). Read are: the share of the request
that came, every other attribute's change, the identity. Identity is placed between 0, two
different people, and 1, the same person drawn again with the attribute truly changed, which a
world that knows its truth can do (``truth``). Every interval is a bootstrap over faces.

``report.py`` says what the report holds.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from l2l_widgets.attributes import AttributeRequestError, EditRequest
from l2l_widgets.latents import truncate, z_from_seed
from l2l_widgets.metrics import editing
from l2l_widgets.report import EvaluationReport, Protocol

if TYPE_CHECKING:
    from l2l_widgets.protocols import Editor
    from l2l_widgets.zoo import Models

#: (attribute, size of the change, seed) -> pictures of people before and after, or None.
Truth = Callable[[str, float, int], tuple[Tensor, Tensor] | None]


@dataclass
class _Readers:
    """The networks that read pictures: the judge, and the ensemble of the training beside it."""

    models: Models
    judge: Callable[[Tensor], Tensor]
    ensemble: Callable[[Tensor], Tensor]
    identity: Callable[[Tensor], Tensor] | None
    names: dict[str, str]

    @classmethod
    def of(cls, models: Models) -> _Readers:
        own = models.has("attribute_judge")
        judge = models.attribute_judge if own else models.regressor
        names = {"attribute": "attribute_judge" if own else "regressor (no second judge at hand)"}
        identity = None
        if models.has("identity_judge"):
            identity, names["identity"] = models.identity_judge, "identity_judge"
        elif models.has("embedder"):
            identity, names["identity"] = models.embedder, "embedder (no second judge at hand)"
        regressors = models.regressors or (judge,)

        def ensemble(images: Tensor) -> Tensor:
            return torch.stack([r(images).float() for r in regressors]).mean(dim=0)

        return cls(models, judge, ensemble, identity, names)

    def read(self, ws: Tensor, batch: int) -> dict[str, Tensor]:
        """Return ``judge`` (N, A), ``ensemble`` (N, A) and ``person`` (N, D) of latents."""
        parts: dict[str, list[Tensor]] = {"judge": [], "ensemble": [], "person": []}
        for part in ws.split(batch):
            images = self.models.generator.synthesis(part, noise_mode="const")
            parts["judge"].append(self.judge(images).float())
            parts["ensemble"].append(self.ensemble(images))
            if self.identity is not None:
                parts["person"].append(self.identity(images).float())
        return {key: torch.cat(found) for key, found in parts.items() if found}


@dataclass
class _Bench:
    """What every method is measured on: the faces, their readings, the identity scale."""

    models: Models
    readers: _Readers
    ws: Tensor
    before: dict[str, Tensor]
    scale: float
    anchors: dict[str, Any]


def choose_requests(
    judge: Tensor, ensemble: Tensor, size: float, generator: torch.Generator
) -> Tensor:
    """Return the signed request of each face, NaN where neither direction has room.

    Parameters
    ----------
    judge, ensemble : Tensor, shape (N,)
        Readings of the attribute by both readers.
    size : float
        Size of the change.
    generator : torch.Generator
        Decides where both directions have room.
    """
    up = torch.maximum(judge, ensemble) + size <= 1
    down = torch.minimum(judge, ensemble) - size >= 0
    coin = (torch.rand(len(judge), generator=generator) < 0.5).to(judge.device)
    rises = up & (~down | coin)
    signed = torch.where(rises, size, -size).to(judge)
    return torch.where(up | down, signed, float("nan"))


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
        Pictures of people before and after a true change (:data:`Truth`); without it, identity is
        reported as a cosine and not placed.
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
    readers = _Readers.of(models)
    ws = _faces(models, protocol)
    before = readers.read(ws, protocol.batch)
    scale = float((ws - models.generator.w_avg).std())
    report = EvaluationReport(protocol)
    anchors = _identity_anchors(readers, before, protocol, truth)
    for method, editor in editors.items():
        bench = _Bench(models, readers, ws, before, scale, anchors)
        _evaluate_method(report, method, editor, bench, progress)
    report.provenance = {
        "models": models.name,
        "hashes": dict(models.hashes),
        "judges": readers.names,
        "identity_anchors": anchors,
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "wall_seconds": round(time.perf_counter() - started, 1),
    }
    return report


def _faces(models: Models, protocol: Protocol) -> Tensor:
    generator = models.generator
    z = torch.cat([z_from_seed(s, generator.z_dim) for s in protocol.face_seeds()])
    w_avg = generator.w_avg
    w = generator.mapping(z.to(w_avg.device))
    return truncate(w, w_avg, protocol.truncation_psi).float()


def _identity_anchors(
    readers: _Readers, before: Mapping[str, Tensor], protocol: Protocol, truth: Truth | None
) -> dict[str, Any]:
    """Return the two ends of the identity scale for each attribute.

    'Same' is read on renders, which know the truth; 'different' on the generator's faces and on
    those renders, and the more alike of the two counts: a generator whose people resemble each
    other must not make its edits look faithful.
    """
    if readers.identity is None:
        return {}
    person = before["person"]
    others = torch.roll(person, 1, dims=0)
    generated = float(editing.identity_similarity(person, others).mean())
    anchors: dict[str, Any] = {"different_generated": generated, "different": {}, "same": {}}
    for name in protocol.attributes if truth is not None else ():
        assert truth is not None
        pair = truth(name, protocol.request, protocol.seed)
        if pair is not None:
            device = person.device
            first, second = (
                torch.cat([readers.identity(p.to(device)).float() for p in side.split(50)])
                for side in pair
            )
            rendered = editing.identity_similarity(first, torch.roll(first, 1, dims=0)).mean()
            anchors["different"][name] = max(generated, float(rendered))
            anchors["same"][name] = float(editing.identity_similarity(first, second).mean())
    return anchors


def _evaluate_method(
    report: EvaluationReport,
    method: str,
    editor: Editor,
    bench: _Bench,
    progress: Callable[[str], None] | None,
) -> None:
    """Add one method's rows to the report."""
    protocol, table = report.protocol, bench.models.table
    readers, ws, before, anchors = bench.readers, bench.ws, bench.before, bench.anchors
    columns: dict[str, list[Tensor]] = {}
    for name in protocol.attributes:
        column = table.index(name)
        draw = torch.Generator().manual_seed(protocol.seed * 1000 + column)
        judge_before, ensemble_before = before["judge"][:, column], before["ensemble"][:, column]
        asked = choose_requests(judge_before, ensemble_before, protocol.request, draw)
        edited, cycle = _edit_all(editor, ws, name, asked, before["ensemble"])
        after = readers.read(edited, protocol.batch)
        values = _measure_faces(before, after, column, asked, _partners(table, name))
        values["cycle_error"] = cycle
        same, different = (anchors.get(end, {}).get(name) for end in ("same", "different"))
        if same is not None and different is not None and same > different:
            values["judge:identity_placement_score"] = editing.identity_placement_score(
                values["judge:identity_similarity"], different, same
            )
        values = {k: torch.where(asked.isnan(), float("nan"), v).cpu() for k, v in values.items()}
        for key, value in values.items():
            columns.setdefault(key, []).append(value)
        report.attributes.append(_attribute_row(method, name, asked.cpu(), values, protocol))
        _add_measurements(report, method, name, asked.cpu(), values)
        if progress is not None:
            row = report.attributes[-1]
            came, leak = row["achieved_median"], row["others_mean"]
            progress(f"{method} {name}: achieved {came}, others {leak}")
    report.methods.append(
        {
            "method": method,
            "attributes": len(protocol.attributes),
            "faces": protocol.faces,
            **_statistics({k: torch.stack(v, dim=1) for k, v in columns.items()}, protocol),
            "null_error": _null_error(editor, ws, protocol.attributes, bench.scale),
            "milliseconds_per_edit": _milliseconds(editor, ws, protocol),
        }
    )


def _edit_all(
    editor: Editor, ws: Tensor, name: str, asked: Tensor, current: Tensor
) -> tuple[Tensor, Tensor]:
    """Return edited latents, and the (N,) cycle error; unasked faces come back as they were."""
    edited = ws.clone()
    cycle = torch.full_like(asked, float("nan"))
    for value in asked[~asked.isnan()].unique().tolist():
        rows = (asked == value).nonzero()[:, 0]
        request = EditRequest(changes={name: value}, current=current[rows])
        edited[rows] = editor.edit(ws[rows], request)
        # without readings no target is corrected, so that undoing asks for exactly the opposite
        there = editor.edit(ws[rows], EditRequest(changes={name: value}))
        back = editor.edit(there, EditRequest(changes={name: -value}))
        cycle[rows] = editing.cycle_error(ws[rows], there, back)
    return edited, cycle


def _partners(table: Any, name: str) -> list[int]:
    """Return the columns that a corrected request for ``name`` may change on purpose."""
    own = table[name]
    found = {name, *own.implies}
    found |= {a.name for a in table if name in a.implies}
    if own.group is not None:
        found |= set(table.groups()[own.group])
    return [table.index(n) for n in found]


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
    for reader in ("judge", "ensemble"):
        changes = after[reader] - before[reader]
        out[f"{reader}:achieved"] = editing.achieved_fraction(
            before[reader][:, column], after[reader][:, column], request
        )
        out[f"{reader}:others"] = editing.others_leak(changes, [column])
        out[f"{reader}:others_unrelated"] = editing.others_leak(changes, partners)
    if "person" in before:
        out["judge:identity_similarity"] = editing.identity_similarity(
            before["person"], after["person"]
        )
    return out


def _statistics(values: Mapping[str, Tensor], protocol: Protocol) -> dict[str, Any]:
    """Return the numbers of a table row, with intervals, from (N,) or (N, K) measurements."""
    row: dict[str, Any] = {}
    for key, name, statistic in (
        ("judge:achieved", "achieved_median", "median"),
        ("judge:others", "others_mean", "mean"),
        ("judge:others_unrelated", "others_unrelated_mean", "mean"),
        ("judge:identity_similarity", "identity_similarity", "mean"),
        ("judge:identity_placement_score", "identity_placement_score", "mean"),
        ("ensemble:achieved", "ensemble_achieved_median", "median"),
        ("ensemble:others", "ensemble_others_mean", "mean"),
        ("cycle_error", "cycle_error_mean", "mean"),
    ):
        found = values.get(key)
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


def _milliseconds(editor: Editor, ws: Tensor, protocol: Protocol) -> float:
    """Return the median time of one edit of one face, in milliseconds."""
    request = EditRequest(changes={protocol.attributes[0]: protocol.request})
    one, times = ws[:1], []
    for _ in range(60):
        start = time.perf_counter()
        editor.edit(one, request)
        if one.is_cuda:
            torch.cuda.synchronize(one.device)
        times.append(time.perf_counter() - start)
    return round(1000 * float(torch.tensor(times[10:]).median()), 3)
