"""The leakage of methods as a folder of ``l2l evaluate`` holds it: nothing is measured again."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torch import Tensor

from l2l_widgets.entanglement.matrix import NUMBERS, FaceChange, LeakageMatrix
from l2l_widgets.entanglement.study import LeakageStudy, faces_of_row
from l2l_widgets.evaluation.cells import plain_name
from l2l_widgets.evaluation.report_folder import NOT_MEASURED
from l2l_widgets.evaluation.verification import plan_of, read_report
from l2l_widgets.models.zoo import Models
from l2l_widgets.storage import StorageError, load_safetensors

__all__ = ["ReportStudy"]


class ReportStudy:
    """Answers of a report's folder, in the form of :class:`LeakageStudy`.

    Parameters
    ----------
    folder : path
        What ``l2l evaluate`` wrote.
    models : Models, optional
        The models it was made with; without them there are numbers but no pictures.

    Raises
    ------
    ValueError
        No report, one without a leakage matrix, or one of a release that this one cannot read.
    """

    def __init__(self, folder: str | Path, models: Models | None = None) -> None:
        self.folder = Path(folder)
        self.report = read_report(folder)
        self.protocol = plan_of(self.report).protocol
        self._models = models
        rows = _read_rows(self.folder / "leakage.csv")
        # a line that could not be measured has no cells; report.json says why
        rows = [row for row in rows if row["verdict"] != NOT_MEASURED]
        self._cells: dict[tuple[str, str], dict[tuple[str, str], dict[str, Any]]] = {}
        for row in rows:
            if row["seed"] == "0":
                own = self._cells.setdefault((row["method"], row["reader"]), {})
                own[row["edited"], row["read"]] = _as_cell(row)
        if not self._cells:
            raise ValueError(
                f"{folder}: leakage.csv is empty; allowed: a report whose parts include 'equal'"
            )
        self.columns = tuple(dict.fromkeys(row["read"] for row in rows))

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods of the report."""
        return tuple(dict.fromkeys(method for method, _ in self._cells))

    @property
    def readers(self) -> tuple[str, ...]:
        """Who read the report's matrices, the judge first."""
        return tuple(dict.fromkeys(reader for _, reader in self._cells))

    @property
    def judges(self) -> dict[str, str]:
        """Names of the readers."""
        return dict(self.report.get("judges", {}))

    @property
    def failed(self) -> dict[tuple[str, str], str]:
        """(method, attribute) -> why it was not measured."""
        return {
            (row["method"], row["attribute"]): row["reason"]
            for row in self.report.get("failed", [])
            if row.get("part") == "equal" and str(row.get("seed")) == "0"
        }

    def measured(self, method: str, name: str) -> bool:
        """Whether the report knows this row; what it does not know will not be measured."""
        return True

    def matrix(self, method: str, reader: str = "judge") -> LeakageMatrix:
        """Return the matrix of a method as :meth:`LeakageStudy.matrix` does.

        Raises
        ------
        ValueError
            A method or reader that the report lacks.
        """
        if (method, reader) not in self._cells:
            known = ", ".join(" by ".join(key) for key in self._cells)
            raise ValueError(f"{self.folder}: holds no {method} by {reader}; allowed: {known}")
        failed = {n: why for (m, n), why in self.failed.items() if m == method}
        cells = self._cells[method, reader]
        return LeakageMatrix(
            method, reader, self.protocol, self.columns, cells, self.judges, failed
        )

    def faces(self, method: str, edited: str, read: str, reader: str = "judge") -> list[FaceChange]:
        """Return the faces behind a cell, from the report's own measurements.

        Raises
        ------
        ValueError
            A row that was not measured, or whose file is missing or damaged.
        """
        if read not in self.columns:
            raise ValueError(f"read is {read!r}; allowed: {', '.join(self.columns)}")
        row = self.row(method, edited)
        return faces_of_row(row, reader, self.columns.index(read), self.protocol)

    def row(self, method: str, name: str) -> dict[str, Tensor]:
        """Return the single faces of one row, as :meth:`LeakageStudy.row` does."""
        path = self.folder / "cells" / f"equal--{plain_name(method)}--0--{name}.safetensors"
        try:
            tensors, _ = load_safetensors(path)
        except (OSError, StorageError) as error:
            raise ValueError(f"{path}: {error}; allowed: a row that the report measured") from None
        return tensors

    def source(self, method: str) -> str:
        """Name of the editor of a method of the report."""
        return str(self.report["sources"].get(method, method))

    def latents(self, method: str, edited: str, face: FaceChange) -> tuple[Tensor, Tensor]:
        """Return one face before and after, as :meth:`LeakageStudy.latents` does."""
        return self._drawn(method).latents(self.source(method), edited, face)

    def pictures(self, method: str, edited: str, face: FaceChange) -> tuple[Tensor, Tensor]:
        """Draw one face before and after, as :meth:`LeakageStudy.pictures` does.

        Raises
        ------
        ValueError
            No models were given, or not those of the report.
        """
        return self._drawn(method).pictures(self.source(method), edited, face)

    def _drawn(self, method: str) -> LeakageStudy:
        """What draws the faces of a method of the report."""
        if self._models is None:
            raise ValueError("pictures need the models; allowed: ReportStudy(folder, load())")
        differs = self._differs(self._models, ("generator", self.source(method)))
        if differs:
            raise ValueError(
                f"{differs}; allowed: the models that the report was made with (its numbers still "
                "hold)"
            )
        return LeakageStudy(self._models, self.protocol)

    def take_models(self, models: Models) -> str:
        """Draw with these models from now on.

        Returns
        -------
        str
            In a line, why they are not those that the report was made with; "" where they are.
        """
        self._models = models
        if self.report["hashes"]:
            why = self._differs(models, ("generator", *self.report["sources"].values()))
        else:  # of parts that no file holds, the name is all that is known
            held = self.report["models"]
            why = "" if held == models.name else f"these are {models.name}, the report's {held}"
        return why and f"the report is of other models: {why}; its numbers stand, no face is drawn"

    def _differs(self, models: Models, parts: Iterable[str]) -> str:
        """Name the first part that is not the report's, with both hashes; "" where none is."""
        for part in parts:
            held, found = self.report["hashes"].get(part), models.hashes.get(part)
            if held is not None and found != held:
                return f"{part} is {str(found)[:12]}..., the report's was {held[:12]}..."
        return ""


def _read_rows(path: Path) -> list[dict[str, str]]:
    try:
        with open(path, newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: not readable as CSV ({error})") from None


def _as_cell(row: dict[str, str]) -> dict[str, Any]:
    numbers = {k: float(row[k]) if row.get(k) else None for k in NUMBERS}
    known = {k: v for k, v in numbers.items() if v is not None}
    return {
        "edited": row["edited"], "read": row["read"], "faces": int(row["faces"]),
        "verdict": row["verdict"], **known,
    }  # fmt: skip
