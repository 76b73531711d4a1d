"""Recompute random rows of a report and compare: whether a number can be re-run."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from l2l_widgets.evaluation.bench import Bench, Truth
from l2l_widgets.evaluation.cells import plain_name
from l2l_widgets.evaluation.equal_change import measure_equal, measure_truth
from l2l_widgets.evaluation.paper_protocol import measure_paper
from l2l_widgets.evaluation.plan import Plan
from l2l_widgets.evaluation.provenance import used_hashes
from l2l_widgets.evaluation.report import Protocol
from l2l_widgets.evaluation.requested import measure_requested
from l2l_widgets.evaluation.several import measure_several, several_faces
from l2l_widgets.evaluation.side_by_side import equal_faces
from l2l_widgets.storage import load_safetensors

if TYPE_CHECKING:
    from l2l_widgets.evaluation.comparison import Trained
    from l2l_widgets.models.zoo import Models
    from l2l_widgets.protocols import Editor

#: A row is confirmed within this of its value: batches of other sizes round otherwise.
TOLERANCE = 2e-3
_NOT_OF_ONE_FACE = ("identity_placement_score",)


@dataclass(frozen=True)
class Checked:
    """One row of ``measurements.csv``, measured again.

    Parameters
    ----------
    row : dict of str to str
        The row.
    again : float
        What was measured now; NaN where the edit does not reach any more.
    confirmed : bool
        Whether the two agree within :data:`TOLERANCE`.
    """

    row: dict[str, str]
    again: float
    confirmed: bool


def read_report(folder: str | Path) -> dict[str, Any]:
    """Return ``report.json`` of a folder, or say in one line why it is none."""
    path = Path(folder) / "report.json"
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(
            f"{folder}: holds no report.json; allowed: a folder that l2l evaluate finished"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not readable as JSON ({error})") from None
    if not isinstance(report, dict) or report.get("format") != "l2l-evaluation/2":
        found = report.get("format") if isinstance(report, dict) else type(report).__name__
        raise ValueError(f"{path}: format is {found!r}; allowed: 'l2l-evaluation/2'")
    return report


def plan_of(report: Mapping[str, Any]) -> Plan:
    """Return the plan of a report; a field that is unknown or out of range is refused by name."""
    protocol = dict(report["protocol"])
    protocol["attributes"] = tuple(protocol["attributes"])
    # reports from before the sweep was left early followed every face to the end
    plan = {"sweep_faces": protocol["faces"], **report["plan"]}
    plan["parts"] = tuple(plan["parts"])
    try:
        return Plan(Protocol(**protocol), **plan)
    except TypeError as error:
        raise ValueError(f"report.json: the protocol does not fit this release ({error})") from None


@torch.inference_mode()
def verify(
    folder: str | Path,
    models: Models,
    methods: Trained,
    *,
    rows: int = 8,
    seed: int = 0,
    truth: Truth | None = None,
) -> list[Checked]:
    """Measure random rows of a report again.

    Parameters
    ----------
    folder : path
        A report's folder.
    models : Models
        The models it was made with; other hashes of what it used are refused by name.
    methods : mapping of str to sequence of Editor
        Label -> the editor of each training seed, as far as they are at hand: no row of a later
        one is chosen.
    rows : int
        How many rows, at least 1.
    seed : int
        Which rows.
    truth : callable, optional
        As in :func:`l2l_widgets.evaluation.compare`.

    Returns
    -------
    list of Checked

    Raises
    ------
    ValueError
        No report, other models, or a method that is not among ``methods``.
    """
    if isinstance(rows, bool) or rows < 1:
        raise ValueError(f"rows is {rows!r}; allowed: at least 1")
    report = read_report(folder)
    plan = plan_of(report)
    # reports from before named parts as well that no number of theirs depends on
    hashes = used_hashes(models, report["sources"].values())
    for part, expected in report["hashes"].items():
        if hashes.get(part, expected) != expected:
            raise ValueError(
                f"{folder}: {part} is {hashes[part][:12]}..., the report's was {expected[:12]}...; "
                "allowed: the models that the report was made with"
            )
    at_hand = {label: len(editors) for label, editors in methods.items()}
    chosen = _chosen_rows(Path(folder) / "measurements.csv", rows, seed, at_hand)
    again = _Again(Path(folder), models, methods, plan, truth)
    out = []
    for row in chosen:
        value, found = float(row["value"]), again.measure(row)
        agree = abs(value - found) <= TOLERANCE * max(1.0, abs(value))
        out.append(Checked(row, found, bool(agree)))
    return out


def _chosen_rows(
    path: Path, rows: int, seed: int, at_hand: Mapping[str, int]
) -> list[dict[str, str]]:
    """Return random rows of a file, in random order; it may have millions, so it is read twice."""

    def each() -> Iterator[dict[str, str]]:
        with open(path, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                # the identity scale's anchors are not of one face alone
                if row["quantity"] in _NOT_OF_ONE_FACE:
                    continue
                if int(row["seed"]) < at_hand.get(row["method"], int(row["seed"]) + 1):
                    yield row

    count = sum(1 for _ in each())
    if not count:
        raise ValueError(
            f"{path.parent}: measurements.csv holds no row of what is at hand; allowed: at least "
            "one row"
        )
    draw = torch.Generator().manual_seed(seed)
    wanted = torch.randperm(count, generator=draw)[:rows].tolist()
    places = {place: i for i, place in enumerate(wanted)}
    found = {places[place]: row for place, row in enumerate(each()) if place in places}
    return [found[i] for i in range(len(wanted))]


@dataclass
class _Again:
    """Measures one row at a time; the detector is not asked again: the range is the report's."""

    folder: Path
    models: Models
    methods: Trained
    plan: Plan
    truth: Truth | None

    def measure(self, row: Mapping[str, str]) -> float:
        label, seed, name = row["method"], int(row["seed"]), row["attribute"]
        if label not in self.methods or seed >= len(self.methods[label]):
            raise ValueError(f"method {label!r}, seed {seed}: not at hand; allowed: those measured")
        editor, protocol = self.methods[label][seed], self.plan.protocol
        bench = self._bench(int(row["face"]), name, row["quantity"] == "outside")
        if row["part"] == "paper":
            kept, _ = load_safetensors(
                self.folder / "cells" / f"paper--{plain_name(label)}--{seed}--{name}.safetensors"
            )
            where = kept["positions"]
            ends = (float(where[0]), float(where[-1]))
            cell = measure_paper(editor, bench, name, protocol, positions=len(where), ends=ends)
            face = int(row["face"]) - protocol.face_seeds().start
            seen = kept["found"][face].bool()
            return float(cell["distance"][0][seen].mean())
        if row["part"] == "several":
            return self._several(row, editor, bench)
        asked = torch.tensor([float(row["requested"])])
        if row["part"] == "request":
            cell = measure_requested(editor, bench, name, asked, protocol)
            reader = "" if row["reader"] == "latent" else row["reader"]
            return float(cell[f"{reader}:{row['quantity']}"][0])
        place = int(row["face"]) - protocol.face_seeds().start
        whole = 1 if place < self.plan.sweep_faces else 0
        cell = measure_equal(editor, bench, name, asked, protocol, whole)
        for reader, quantity, values in equal_faces(bench, name, cell):
            if (reader, quantity) == (row["reader"], row["quantity"]):
                return float(values[0])
        return float("nan")

    def _several(self, row: Mapping[str, str], editor: Editor, bench: Bench) -> float:
        """What was asked of the face besides stands in the cell of the report."""
        protocol = self.plan.protocol
        name = f"several--{plain_name(row['method'])}--{row['seed']}--all.safetensors"
        kept, _ = load_safetensors(self.folder / "cells" / name)
        place = int(row["face"]) - protocol.face_seeds().start
        cell = measure_several(editor, bench, kept["asked"][place : place + 1], protocol)
        for attribute, _, _, reader, quantity, value in several_faces(cell, self.models.table):
            if (attribute, reader, quantity) == (row["attribute"], row["reader"], row["quantity"]):
                return value
        return float("nan")

    def _bench(self, face: int, name: str, outside: bool) -> Bench:
        protocol = self.plan.protocol
        seeds = protocol.face_seeds()
        if face not in seeds:
            raise ValueError(
                f"face {face} is not of this protocol; allowed: {seeds[0]} to {seeds[-1]}"
            )
        bench = Bench.of_seeds(self.models, protocol, [face])
        if outside and self.truth is not None:
            cell: dict[str, Tensor] | None = measure_truth(bench, self.truth, name, protocol)
            if cell is not None:
                bench.regions = {name: cell["region"]}
        return bench
