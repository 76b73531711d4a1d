"""Measure methods side by side, one cell a file, and put the cells together.

A cell is a part of the measurement, a method, a training seed and an attribute. It is measured
once, kept, and found again when the run is resumed; one that cannot be measured is marked with its
reason, and the rest goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from l2l_widgets.evaluation import equal_change, paper_protocol, several, standards
from l2l_widgets.evaluation.bench import Bench, Truth, kept_bench
from l2l_widgets.evaluation.cells import Cells, plain_name
from l2l_widgets.evaluation.groups import agreement_rows, group_rows
from l2l_widgets.evaluation.plan import Plan
from l2l_widgets.evaluation.provenance import provenance_of, used_hashes
from l2l_widgets.evaluation.report import Comparison, EvaluationReport, versions
from l2l_widgets.evaluation.requested import (
    NULL_AND_SPEED,
    add_method,
    identity_scale,
    measure_requested,
    null_and_speed,
)
from l2l_widgets.evaluation.rescoring import rescoring_rows
from l2l_widgets.evaluation.side_by_side import (
    column_intervals,
    equal_faces,
    method_rows,
    pair_rows,
)

if TYPE_CHECKING:
    from l2l_widgets.models.zoo import Models
    from l2l_widgets.protocols import Editor

#: Parts with one cell a method and training seed -> what stands for the attribute.
WHOLE = {"several": several.ALL, "standards": "codes"}
#: Seconds after which a method says how many attributes are done.
SILENT = 10.0


Trained = Mapping[str, Sequence["Editor"]]


@torch.inference_mode()
def compare(
    models: Models,
    methods: Trained,
    plan: Plan,
    out: str | Path,
    *,
    truth: Truth | None = None,
    detector: paper_protocol.Detector | None = None,
    features: paper_protocol.Features | None = None,
    sources: Mapping[str, str] | None = None,
    trained: Mapping[str, Sequence[str]] | None = None,
    progress: Callable[[str], None] | None = None,
    share: tuple[int, int] = (0, 1),
    helpers: Callable[[], Callable[[], None]] | None = None,
) -> Comparison:
    """Measure every method on the same faces, requests and judges, and keep each cell.

    Parameters
    ----------
    models : Models
        Generator, judges and the ensemble of the training.
    methods : mapping of str to sequence of Editor
        Label -> the editor of each training seed, seed 0 first.
    plan : Plan
        What to measure.
    out : path
        Folder of the report; a run that was begun there with the same settings goes on, also with
        more methods, parts or training seeds than it had.
    truth : callable, optional
        The same people with less and with more of an attribute.
    detector : callable, optional
        Whether a picture still shows a face (the paper's protocol).
    features : callable, optional
        In what sets of pictures are compared; identity vectors without it.
    sources : mapping of str to str, optional
        Label -> the name by which :meth:`Models.editor` knows the method, kept for ``verify``.
    trained : mapping of str to sequence of str, optional
        Label -> SHA-256 of the weights of training seeds 1, 2, ...; kept, so that a run is not gone
        on with others.
    progress : callable, optional
        Gets one line for each cell measured.
    share : (int, int)
        Which share of the cells this process measures, of how many; those after the first return
        an empty comparison, and the first puts together what all have measured.
    helpers : callable, optional
        Starts the processes of the other shares, once the faces are there that all need, and
        returns what waits for them.

    Raises
    ------
    ValueError
        An unknown attribute, no method, or a folder that holds a run with other settings, of
        another world, or of another release of this package.
    """
    started, protocol = time.perf_counter(), plan.protocol
    for name in protocol.attributes:
        models.table.index(name)
    if not methods or any(not editors for editors in methods.values()):
        raise ValueError("methods are empty; allowed: at least one editor each")
    _check_labels(methods)
    named = {label: (sources or {}).get(label, label) for label in methods}
    hashes = used_hashes(models, named.values())
    settings = {
        "format": "l2l-evaluation-run/2",
        "plan": {**asdict(plan), "protocol": asdict(protocol)},
        "methods": named,
        "models": models.name,
        "hashes": hashes,
        "l2l_widgets": versions()["l2l_widgets"],
    }
    others = {label: list(found) for label, found in (trained or {}).items() if found}
    if others:
        settings["trained"] = others
    cells = Cells(out, settings, may_grow=True)
    result = Comparison(plan)
    bench = kept_bench(models, protocol, cells)
    truths = _truths(bench, plan, truth, cells) if truth is not None else {}
    bench.regions = {name: cell["region"].bool() for name, cell in truths.items()}
    known = {name: cell for name, cell in truths.items() if "person_less" in cell}
    people = {name: (cell["person_less"], cell["person_more"]) for name, cell in known.items()}
    bench.anchors = identity_scale(bench, people)
    say = progress or (lambda line: None)
    run = _Run(bench, plan, methods, cells, result, truths, say, detector, features)
    if share[1] > 1:
        run.common()
        wait = helpers() if helpers is not None else None
        run.share(*share)
        if share[0]:
            return result
        if wait is not None:
            wait()
        cells.failed.clear()  # what failed is tried again below, and noted once
    result.readers = agreement_rows(bench, protocol)
    if "request" in plan.parts:
        run.requested()
    if "equal" in plan.parts:
        run.equal()
    if "paper" in plan.parts:
        run.paper()
    if "several" in plan.parts:
        run.several()
    if "standards" in plan.parts:
        run.standards()
    result.failed = cells.failed
    result.provenance = provenance_of(
        bench, cells, protocol, hashes=hashes, sources=named, trained=others,
        trained_seeds={
            label: min(plan.seeds, len(editors)) for label, editors in methods.items()
        },
        truth=truth is not None, wall_seconds=time.perf_counter() - started,
    )  # fmt: skip
    return result


def _check_labels(methods: Trained) -> None:
    """Refuse two labels whose cells would lie in the same files."""
    known: dict[str, str] = {}
    for label in methods:
        other = known.setdefault(plain_name(label), label)
        if other != label:
            raise ValueError(
                f"methods are called {other!r} and {label!r}, which is one name for a file; "
                "allowed: labels that differ in letters, digits, '.', '-' or '_'"
            )


def _truths(bench: Bench, plan: Plan, truth: Truth, cells: Cells) -> dict[str, dict[str, Tensor]]:
    """Return what the readers see of true changes, by attribute; those that nobody can are out."""
    found = {}
    for name in plan.protocol.attributes:
        cell = cells.get(
            ("truth", "", "", name),
            partial(equal_change.measure_truth, bench, truth, name, plan.protocol),
        )
        if cell:
            found[name] = cell
    return found


@dataclass
class _Run:
    """One comparison under way."""

    bench: Bench
    plan: Plan
    methods: Trained
    cells: Cells
    result: Comparison
    truths: dict[str, dict[str, Tensor]]
    say: Callable[[str], None]
    detector: paper_protocol.Detector | None
    features: paper_protocol.Features | None

    def trained(self) -> list[tuple[str, int, Editor]]:
        """Return (label, training seed, editor) of all that is measured."""
        return [
            (label, seed, editor)
            for label, editors in self.methods.items()
            for seed, editor in enumerate(editors[: self.plan.seeds])
        ]

    def cell(self, part: str, label: str, seed: int, name: str) -> dict[str, Tensor] | None:
        """Return one cell, measured where it is not at hand; None where it failed."""
        editor, protocol = self.methods[label][seed], self.plan.protocol

        def one() -> dict[str, Tensor]:
            if part == "standards":
                return standards.measure_codes(editor, self.bench, protocol)
            if part == "several":
                return several.measure_several(editor, self.bench, self._five(), protocol)
            if name not in editor.attributes:
                why = getattr(editor, "reasons", {}).get(name)
                raise ValueError(
                    f"method {label!r} cannot change {name!r}"
                    f"{f' ({why})' if why else ''}; allowed: {', '.join(editor.attributes)}"
                )
            if part == "paper":
                return paper_protocol.measure_paper(
                    editor, self._paper_bench(), name, protocol, detector=self.detector,
                    features=self.features, positions=self.plan.positions,
                )  # fmt: skip
            asked = self.bench.requests(name, protocol)
            if part == "request":
                return measure_requested(editor, self.bench, name, asked, protocol)
            return equal_change.measure_equal(
                editor, self.bench, name, asked, protocol, self.plan.sweep_faces
            )

        return self.cells.get((part, label, seed, name), one)

    def over_attributes(self, part: str, label: str, seed: int) -> dict[str, dict[str, Tensor]]:
        """Return the cells of one method, by attribute, without those that failed."""
        found, names, told = {}, self.plan.protocol.attributes, time.monotonic()
        for number, name in enumerate(names, 1):
            cell = self.cell(part, label, seed, name)
            if cell is not None:
                found[name] = cell
            else:
                self.say(f"{part} {label} {seed} {name}: {self.cells.failed[-1]['reason']}")
            if number == len(names) or time.monotonic() - told > SILENT:
                told = time.monotonic()
                say = f"{part}, {label}, training seed {seed}"
                self.say(f"{say}: {number} of {len(names)} attributes")
        return found

    def common(self) -> None:
        """Measure what the cells of several methods need."""
        if "equal" in self.plan.parts:
            self._random_edits()
        if "paper" in self.plan.parts:
            self._reference()

    def share(self, own: int, of: int) -> None:
        """Measure every ``of``-th cell, from the ``own``-th on, and nothing else."""
        if "equal" in self.plan.parts:
            self._keep_pictures()
        wanted = [
            (part, label, seed, name)
            for part in self.plan.parts
            for label, seed, _ in self.trained()
            for name in ((WHOLE[part],) if part in WHOLE else self.plan.protocol.attributes)
            if not (part == "paper" and seed)
        ]
        for part, label, seed, name in wanted[own::of]:
            if self.cell(part, label, seed, name) is not None:
                self.say(f"{part}, {label}, training seed {seed}: {name}")

    def _random_edits(self) -> dict[str, Tensor] | None:
        protocol = self.plan.protocol
        return self.cells.get(
            ("random",), lambda: equal_change.measure_random_edits(self.bench, protocol)
        )

    def _reference(self) -> dict[str, Tensor] | None:
        return self.cells.get(
            ("reference",),
            lambda: paper_protocol.reference_features(
                self.bench, self.plan.protocol, self.features
            ),
        )

    def _paper_bench(self) -> Bench:
        faces = min(self.plan.paper_faces, self.plan.protocol.faces)
        return self.bench.chosen(torch.arange(faces))

    def _keep_pictures(self) -> None:
        if self.bench.regions and self._misses("equal"):
            self.bench.keep_pictures(self.plan.protocol.batch)

    def _misses(self, part: str) -> bool:
        """Whether a cell of a part is not at hand."""
        return any(
            not self.cells.path(part, label, seed, name).is_file()
            for label, seed, _ in self.trained()
            for name in self.plan.protocol.attributes
        )

    def requested(self) -> None:
        """Measure at equal request."""
        protocol = self.plan.protocol
        for label, seed, editor in self.trained():
            cells = self.over_attributes("request", label, seed)
            if cells:
                report = self.result.requested.setdefault(seed, EvaluationReport(protocol))
                before = len(report.measurements)
                add_method(report, label, cells)
                found = rescoring_rows(cells, self.bench.models.table, protocol)
                self.result.rescoring += [{"method": label, "seed": seed, **row} for row in found]
                speed = self.cells.attempt(
                    ("request", label, seed, "null and speed"),
                    partial(null_and_speed, editor, self.bench, list(cells), protocol.request),
                )
                report.methods[-1].update(speed or dict.fromkeys(NULL_AND_SPEED))
                for method, attribute, face, *rest in report.measurements[before:]:
                    row = ("request", method, seed, attribute, face, *rest)
                    self.result.measurements.append(row)
                del report.measurements[before:]  # of a thousand faces there are millions

    def equal(self) -> None:
        """Measure at equal achieved change."""
        protocol, result = self.plan.protocol, self.result
        self._keep_pictures()
        random_edits = self._random_edits()
        if random_edits is None:
            return
        kept: dict[tuple[str, int], dict[str, dict[str, Tensor]]] = {}
        for label, seed, _ in self.trained():
            cells = self.over_attributes("equal", label, seed)
            if not cells:
                continue
            kept[label, seed] = cells
            self._add_equal(label, seed, cells, random_edits)
        for reader in self.bench.kinds:
            result.methods += method_rows(kept, reader, result.leakage, self.bench, protocol)
            result.pairs += pair_rows(kept, reader, self.bench, protocol)
            if reader.startswith("judge"):
                result.groups += group_rows(kept, reader, self.bench, protocol)

    def _add_equal(
        self,
        label: str,
        seed: int,
        cells: dict[str, dict[str, Tensor]],
        random_edits: dict[str, Tensor],
    ) -> None:
        protocol, result, bench = self.plan.protocol, self.result, self.bench
        for reader in bench.kinds:
            own = {"method": label, "seed": seed, "reader": reader}
            for name, cell in cells.items():
                row = equal_change.equal_row(bench, name, reader, cell, protocol)
                result.equal.append({**own, "attribute": name, **row})
            rows = equal_change.leakage_cells(
                bench, reader, cells, random_edits, self.truths, protocol
            )
            result.leakage += [{**own, **row} for row in rows]
        for name, cell in cells.items():
            for reader, quantity, values in equal_faces(bench, name, cell):
                asked = cell["asked"].tolist()
                for face, request, value in zip(
                    protocol.face_seeds(), asked, values.tolist(), strict=True
                ):
                    if request == request and value == value:
                        what = ("equal", label, seed, name, face, round(request, 4), reader)
                        result.measurements.append((*what, quantity, round(value, 5)))
            result.curves.append(
                {
                    "method": label, "seed": seed, "attribute": name,
                    "faces": (~cell["achieved"].isnan()).sum(dim=0).tolist(),
                    "achieved": cell["achieved"].nanmean(dim=0).tolist(),
                    "others": cell["others"].nanmean(dim=0).tolist(),
                    "others_interval": column_intervals(cell["others"], protocol),
                    "identity": (
                        cell["curve"].nanmean(dim=0).tolist() if "curve" in cell else None
                    ),
                    "identity_interval": (
                        column_intervals(cell["curve"], protocol) if "curve" in cell else None
                    ),
                    "identity_faces": (
                        (~cell["curve"].isnan()).sum(dim=0).tolist() if "curve" in cell else None
                    ),
                }
            )  # fmt: skip

    def paper(self) -> None:
        """Measure by the paper's protocol; the shipped weights alone, as the paper does."""
        protocol, reference = self.plan.protocol, self._reference()
        if reference is None:
            return
        part = self._paper_bench()
        for label, seed, editor in self.trained():
            if seed:
                continue
            cells = self.over_attributes("paper", label, seed)
            if not cells:
                continue
            seconds = self.cells.attempt(
                ("paper", label, seed, "seconds"),
                partial(paper_protocol.picture_seconds, editor, part, next(iter(cells))),
            )
            of = "judge" if self.features is not None else "identity"
            rows = paper_protocol.paper_rows(cells, reference, seconds, protocol, of)
            self.result.paper += [{"method": label, **row} for row in rows]
            for name, cell in cells.items():
                distances = cell["distance"].nanmean(dim=1).tolist()
                for face, value in zip(protocol.face_seeds(), distances, strict=False):
                    if value == value:
                        row = ("paper", label, seed, name, face, "", "judge")
                        self.result.measurements.append(
                            (*row, "identity_distance", round(value, 5))
                        )

    def _five(self) -> Tensor:
        """What each face is asked for at once, the same of every method."""
        names = [
            name
            for name in self.bench.models.table.names
            if all(name in editor.attributes for _, _, editor in self.trained())
        ]
        return several.choose_several(self.bench, names, self.plan.protocol)

    def _whole(self, part: str) -> dict[tuple[str, int], dict[str, Tensor]]:
        """The cells of a part that has one a method and training seed."""
        found = {}
        for label, seed, _ in self.trained():
            cell = self.cell(part, label, seed, WHOLE[part])
            if cell is not None:
                found[label, seed] = cell
                self.say(f"{part}, {label}, training seed {seed}")
        return found

    def several(self) -> None:
        """Measure requests for several attributes at once."""
        protocol, table = self.plan.protocol, self.bench.models.table
        found = self._whole("several")
        self.result.several = several.several_rows(found, protocol)
        seeds = protocol.face_seeds()
        for (label, seed), cell in found.items():
            for name, face, request, *read, value in several.several_faces(cell, table):
                row = ("several", label, seed, name, seeds[face], request, *read)
                self.result.measurements.append((*row, round(value, 5)))

    def standards(self) -> None:
        """Measure what papers on latent spaces report."""
        protocol = self.plan.protocol
        spaces = self.cells.get(
            ("standards", "", "", "spaces"),
            lambda: standards.measure_spaces(self.bench, protocol, self.features),
        )
        of = "identity" if self.features is None else "judge"
        found = self._whole("standards")
        self.result.standards = standards.standards_rows(spaces or {}, found, protocol, of)
