"""Measure the leakage of methods attribute by attribute, on the same faces and requests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor

from l2l_widgets.attributes import EditRequest
from l2l_widgets.entanglement.matrix import FaceChange, LeakageMatrix
from l2l_widgets.evaluation import equal_change
from l2l_widgets.evaluation.bench import Bench, Truth, face_latents, reader_names, readers_of
from l2l_widgets.evaluation.cells import Cells
from l2l_widgets.evaluation.provenance import used_hashes
from l2l_widgets.evaluation.report import Protocol, versions
from l2l_widgets.metrics import leakage
from l2l_widgets.models.zoo import Models
from l2l_widgets.policy import check_visible

__all__ = ["LeakageStudy"]

#: Until chance has been measured nothing is called a leak: no reading moves by more than all of it.
_WHOLE_SCALE = (0.0, 0.5, 1.0)


class Interrupted(BaseException):
    """Nobody waits for this row now; who notes what fails must let it pass."""


class LeakageStudy:
    """What methods leak, measured one attribute at a time; every answer is kept.

    Parameters
    ----------
    models : Models
        Generator, judges and editors.
    protocol : Protocol
        Faces, seed, the change to be achieved, and the attributes that may be measured.
    truth : callable, optional
        The same people with less and with more of an attribute, where the world knows them.
    chance : int
        Random edits that say what chance does, 2 to 1000.
    folder : path, optional
        Where each measured row is kept; a study with the same settings goes on from there.

    Raises
    ------
    ValueError
        An attribute that the table lacks; a folder that holds a study with other settings.
    """

    def __init__(
        self,
        models: Models,
        protocol: Protocol,
        *,
        truth: Truth | None = None,
        chance: int = equal_change.RANDOM_DIRECTIONS,
        folder: str | Path | None = None,
    ) -> None:
        for name in protocol.attributes:
            models.table.index(name)
        if isinstance(chance, bool) or not isinstance(chance, int) or not 2 <= chance <= 1000:
            raise ValueError(f"chance is {chance!r}; allowed: an integer from 2 to 1000")
        self.models, self.protocol, self.chance = models, protocol, chance
        self.failed: dict[tuple[str, str], str] = {}
        self._truth, self._truths = truth, dict[str, dict[str, Tensor]]()
        self._rows: dict[tuple[str, str], dict[str, Tensor]] = {}
        self._bench: Bench | None = None
        self._random: dict[str, Tensor] | None = None
        self._lock = threading.RLock()
        # Held while the faces are drawn and judged, which no answer may wait for.
        self._drawing = threading.RLock()
        self._kept = None if folder is None else Cells(folder, _settings(models, protocol))

    # -- measuring ---------------------------------------------------------------------------------

    @property
    def bench(self) -> Bench:
        """The faces and what is read of them unedited; drawn when first asked for."""
        self.draw_faces()
        assert self._bench is not None
        return self._bench

    def draw_faces(self, heard: Callable[[int], None] = lambda count: None) -> None:
        """Draw and read the unedited faces, where that is not done; ``heard`` as for a row."""
        with self._drawing, torch.inference_mode():
            if self._bench is None:
                drawn = Bench.of(self.models, self.protocol, heard)
                with self._lock:  # another study's may have been taken over meanwhile
                    self._bench = self._bench or drawn

    @property
    def methods(self) -> tuple[str, ...]:
        """Methods that can be measured."""
        return self.models.available_editors

    @property
    def judges(self) -> dict[str, str]:
        """Names of the readers, for the stamp."""
        return reader_names(self.models)

    @property
    def readers(self) -> tuple[str, ...]:
        """Who can read a matrix, the judge first."""
        return readers_of(self.models)

    def measured(self, method: str, name: str) -> bool:
        """Whether an attribute needs no more work: it was measured, or cannot be."""
        return (method, name) in self._rows or (method, name) in self.failed

    @property
    def pictures_of_row(self) -> int:
        """Pictures that one row draws and reads at most: each face at each strength but none."""
        return self.protocol.faces * sum(knob != 0 for knob in equal_change.KNOBS)

    @property
    def pictures_of_chance(self) -> int:
        """Pictures behind what chance does."""
        faces = min(equal_change.RANDOM_FACES, self.protocol.faces)
        return self.chance * faces * len(equal_change.RANDOM_LENGTHS)

    def measure(
        self, method: str, name: str, heard: Callable[[int], None] = lambda count: None
    ) -> bool:
        """Measure one attribute of one method, where that is not done yet.

        Parameters
        ----------
        method, name : str
            Which row.
        heard : callable
            Gets how many more pictures have been drawn and read, while it lasts; may rest there, or
            raise :class:`Interrupted` to leave the row.

        Returns
        -------
        bool
            False where it cannot be measured; :attr:`failed` then holds the reason.

        Raises
        ------
        ValueError
            An attribute that is not in the protocol, or that is hidden.
        """
        if name not in self.protocol.attributes:
            raise ValueError(
                f"attribute is {name!r}; allowed: {', '.join(self.protocol.attributes)}"
            )
        check_visible((name,), self.models.table)
        if self.measured(method, name):
            return (method, name) in self._rows
        bench = _counted(self.bench, heard)
        key = ("equal", method, 0, name)
        try:
            editor = self.models.editor(method)
            if name not in editor.attributes:
                why = getattr(editor, "reasons", {}).get(name, "it did not learn to")
                raise ValueError(f"{method} cannot change {name!r}: {why}")
            with torch.inference_mode():
                asked = bench.requests(name, self.protocol)

                def row() -> dict[str, Tensor]:
                    with torch.inference_mode():
                        return equal_change.measure_equal(editor, bench, name, asked, self.protocol)

                cell = row() if self._kept is None else self._kept.get(key, row)
            if cell is None:  # only a kept one: its reason is in the folder's list
                assert self._kept is not None
                raise ValueError(self._kept.failed[-1]["reason"])
            if self._truth is not None and name not in self._truths:
                with torch.inference_mode():
                    known = equal_change.measure_truth(bench, self._truth, name, self.protocol)
                if known is not None:
                    self._truths[name] = known
        except Exception as error:  # whatever a foreign editor or judge raises is that row's
            with self._lock:
                self.failed[method, name] = " ".join(str(error).split()) or type(error).__name__
            return False
        with self._lock:
            self._rows[method, name] = {k: v.clone() for k, v in cell.items()}
        return True

    @property
    def knows_chance(self) -> bool:
        """Whether random edits have been measured; until then no cell is called a leak."""
        return self._random is not None

    def measure_chance(self, heard: Callable[[int], None] = lambda count: None) -> None:
        """Measure what random edits do, once for all methods; ``heard`` as for a row."""
        if self._random is None:
            bench = _counted(self.bench, heard)
            with torch.inference_mode():
                found = equal_change.measure_random_edits(bench, self.protocol, self.chance)
            self._random = {key: value.clone() for key, value in found.items()}

    def run(self, method: str) -> LeakageMatrix:
        """Measure all that is missing of one method, in the calling thread, and return it."""
        for name in self.protocol.attributes:
            self.measure(method, name)
        self.measure_chance()
        return self.matrix(method)

    def take_over(self, other: LeakageStudy) -> None:
        """Take what another study of the same faces has measured: its attributes may differ.

        Raises
        ------
        ValueError
            A study of other models or other faces.
        """
        if other.models is not self.models or _faces_of(other.protocol) != _faces_of(self.protocol):
            raise ValueError("the other study has other models or faces; allowed: the same")
        with other._lock, self._lock:
            self._bench = other._bench or self._bench
            self._random = other._random or self._random
            self._rows.update(other._rows)
            self._truths.update(other._truths)
            self.failed.update(other.failed)

    # -- answers -----------------------------------------------------------------------------------

    def matrix(self, method: str, reader: str = "judge") -> LeakageMatrix:
        """Return what is known of a method so far.

        Parameters
        ----------
        method : str
            Also one of which nothing is known yet: the matrix has no rows then.
        reader : str
            Who reads, one of :attr:`readers`; each has its own crossing.
        """
        self._check_reader(reader)
        with self._lock:
            rows = {n: c for (m, n), c in self._rows.items() if m == method}
            failed = {n: why for (m, n), why in self.failed.items() if m == method}
        names = [n for n in self.protocol.attributes if n in rows]
        found = {n: rows[n] for n in names}
        cells: dict[tuple[str, str], dict] = {}
        if found:
            random = self._random or _all_may_be_chance(reader, len(self.models.table))
            listed = equal_change.leakage_cells(
                self.bench, reader, found, random, self._truths, self.protocol
            )
            means = leakage.leakage_matrix(_signed(list(found.values()), reader))
            columns = self.models.table.names
            for cell in listed:
                row, column = names.index(cell["edited"]), columns.index(cell["read"])
                if "signed" in cell:
                    cell["signed"] = float(means[row, column])
                if cell["verdict"] == "clear" and self._random is None:
                    cell["verdict"] = "pending"
                cells[cell["edited"], cell["read"]] = cell
        return LeakageMatrix(
            method, reader, self.protocol, self.models.table.names, cells, self.judges, failed,
            self.chance,
        )  # fmt: skip

    def _check_reader(self, reader: str) -> None:
        if reader not in self.readers:
            raise ValueError(f"reader is {reader!r}; allowed: {', '.join(self.readers)}")

    def faces(self, method: str, edited: str, read: str, reader: str = "judge") -> list[FaceChange]:
        """Return the faces behind a cell; those that never came so far are among them.

        Raises
        ------
        ValueError
            A row that was not measured, or an attribute that the table lacks.
        """
        self._check_reader(reader)
        column = self.models.table.index(read)
        return faces_of_row(self.row(method, edited), reader, column, self.protocol)

    def row(self, method: str, name: str) -> dict[str, Tensor]:
        """Return one measured row, as :func:`l2l_widgets.evaluation.equal_change.measure_equal`.

        Raises
        ------
        ValueError
            It was not measured, or could not be.
        """
        with self._lock:
            row = self._rows.get((method, name))
        if row is None:
            reason = self.failed.get((method, name), "it has not been measured")
            raise ValueError(f"row {name!r} of {method}: {reason}; allowed: a measured row")
        return row

    def source(self, method: str) -> str:
        """Name of the editor of a method."""
        return method

    @torch.inference_mode()
    def latents(self, method: str, edited: str, face: FaceChange) -> tuple[Tensor, Tensor]:
        """Return one face before and after, as :meth:`pictures` draws it.

        Returns
        -------
        before, after : Tensor, shape (1, num_ws, w_dim)
            In W+.
        """
        check_visible((edited,), self.models.table)
        ws = face_latents(self.models, [face.seed], self.protocol.truncation_psi)
        after = self.models.editor(method).edit(ws, EditRequest(changes={edited: face.knob}))
        return ws.clone(), after.to(ws).clone()

    @torch.inference_mode()
    def pictures(self, method: str, edited: str, face: FaceChange) -> tuple[Tensor, Tensor]:
        """Draw one face before and after, at the strength that gave it the achieved change.

        Returns
        -------
        before, after : Tensor, shape (3, R, R)
            In [-1, 1]. A face that was never reached is drawn at full strength.
        """
        both = torch.cat(self.latents(method, edited, face))
        both = self.models.generator.synthesis(both, noise_mode="const")
        return both[0].cpu().clone(), both[1].cpu().clone()


def _counted(bench: Bench, heard: Callable[[int], None]) -> Bench:
    """The same bench, whose judge says how many pictures it has read."""
    judge = bench.readers.judge

    def read(images: Tensor) -> Tensor:
        readings = judge(images)
        heard(len(images))
        return readings

    return replace(bench, readers=replace(bench.readers, judge=read))


def faces_of_row(
    row: Mapping[str, Tensor], reader: str, column: int, protocol: Protocol
) -> list[FaceChange]:
    """Return the faces of a measured row that something was asked of."""
    asked, position = row["asked"], row[f"{reader}:position"]
    signed = row[f"{reader}:changes"][:, column] * asked.sign()
    return [
        FaceChange(seed, want, strength, change)
        for seed, want, strength, change in zip(
            protocol.face_seeds(), asked.tolist(), position.tolist(), signed.tolist(), strict=True
        )
        if want == want
    ]


def _signed(rows: list[dict[str, Tensor]], reader: str) -> Tensor:
    """Return changes per rise of the target, (K, N, A), NaN for faces that are unreached."""
    return torch.stack(
        [row[f"{reader}:changes"] * row["asked"].sign().nan_to_num()[:, None] for row in rows]
    )


def _all_may_be_chance(reader: str, width: int) -> dict[str, Tensor]:
    lengths = torch.tensor(_WHOLE_SCALE)
    return {"lengths": lengths, f"{reader}:band": torch.ones(len(lengths), width)}


def _faces_of(protocol: Protocol) -> dict[str, object]:
    """Return all of a protocol but which attributes are asked for: rows do not depend on those."""
    return {k: v for k, v in asdict(protocol).items() if k != "attributes"}


def _settings(models: Models, protocol: Protocol) -> dict[str, object]:
    return {
        "format": "l2l-leakage-study/1",
        "protocol": _faces_of(protocol),
        "models": models.name,
        "hashes": used_hashes(models, models.available_editors),
        "l2l_widgets": versions()["l2l_widgets"],
    }
