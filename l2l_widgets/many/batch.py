"""One edit on many faces: a folder of pictures, and a table with a receipt a row.

    batch = Batch(load(), edits, seeds(range(100)), "out")
    report = batch.run()

The folder holds ``batch.json`` (what is done to every face), a picture a face with its recipe
inside, and ``table.csv``. Every file is written whole or not at all. A run that was stopped goes on
where it was: what stands in the table with its picture is not done again. A face that cannot be
done is a row that says why; the others go on. Only a full disk ends the run early.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from l2l_widgets.many.face_files import face_files, face_of_file
from l2l_widgets.many.seed_lists import MAX_ITEMS, parse_seeds
from l2l_widgets.many.seed_lists import BatchError as BatchError
from l2l_widgets.many.summary import BatchSummary, receipt_of_row, summarized
from l2l_widgets.models.zoo import Models
from l2l_widgets.policy import visible_table
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.session.references import N_RANDOM
from l2l_widgets.session.states import DEFAULT_PSI, Edit
from l2l_widgets.storage import locked, make_folder, write_atomic

__all__ = ["Batch", "BatchItem", "BatchProgress", "BatchReport", "latents", "parse_seeds", "seeds"]

FORMAT = "l2l-batch/1"
SPEC, TABLE, LOCK = "batch.json", "table.csv", ".batch.lock"
#: Seconds between two writings of the table; at the end it is written in any case.
FLUSH = 2.0
_FIRST = ("item", "face", "picture", "status", "error", "seconds")
_MEASURED = ("identity", "identity_kept", "size", "beyond_band")


@dataclass(frozen=True)
class BatchItem:
    """One face of a batch: a seed, or a file.

    Parameters
    ----------
    name : str
        Names the picture and the row.
    seed : int, optional
        Of the face.
    path : Path, optional
        A file that :func:`l2l_widgets.many.face_files.face_of_file` reads.
    """

    name: str
    seed: int | None = None
    path: Path | None = None

    def face(self) -> dict[str, Any]:
        """The face as values of a session's ``update``."""
        return {"seed": self.seed} if self.path is None else face_of_file(self.path)


@dataclass(frozen=True)
class BatchProgress:
    """How far a batch is; given after every face.

    ``done`` counts all that are behind, ``failed`` and ``skipped`` (done before) included;
    ``item`` is the last one, with its ``error``; ``seconds_left`` is a guess from this run's.
    """

    done: int
    total: int
    failed: int
    skipped: int
    item: str
    error: str | None
    seconds_left: float | None


@dataclass(frozen=True)
class BatchReport:
    """What a run did: counts, what failed and why, where the table lies, and what was measured.

    ``summary`` is of all faces that the table has a receipt of, those done before included; None
    where there is none.
    """

    folder: Path
    table: Path
    total: int
    done: int
    skipped: int
    failed: dict[str, str] = field(default_factory=dict)
    stopped: bool = False
    summary: BatchSummary | None = None

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return {
            "out": str(self.folder),
            "table": str(self.table),
            "total": self.total,
            "done": self.done,
            "skipped": self.skipped,
            "items_failed": dict(self.failed),
            "stopped": self.stopped,
            "summary": None if self.summary is None else asdict(self.summary),
        }


def seeds(numbers: Iterable[int]) -> tuple[BatchItem, ...]:
    """The faces of seeds."""
    return tuple(BatchItem(f"seed-{n:0{6 if n < 10**6 else 10}d}", seed=n) for n in numbers)


def latents(folder: str | os.PathLike[str]) -> tuple[BatchItem, ...]:
    """The faces in the files of a folder, by name."""
    files = face_files(folder)
    stems = [path.stem for path in files]
    return tuple(
        BatchItem(p.stem if stems.count(p.stem) == 1 else p.name.replace(".", "-"), path=p)
        for p in files
    )


class Batch:
    """One edit on many faces.

    Parameters
    ----------
    models : Models
        What draws, edits and judges.
    edits : sequence of Edit
        What is done to every face, in this order.
    items : sequence of BatchItem
        From :func:`seeds` or :func:`latents`.
    folder : path
        Empty, missing, or of an earlier run of the same batch.
    truncation_psi : float
        Of the seeds' faces.
    noise_mode : {"const", "none"}
        As in the generator's synthesis.
    scale : int
        Enlargement of the pictures, 1 to 64.
    compare : bool
        Before and after side by side.
    receipts : bool
        Whether every face is measured, which takes longer than drawing it.
    n_random : int
        Random edits behind a receipt's band.

    Raises
    ------
    ValueError
        An edit that these models cannot make; a folder that holds something else.
    """

    def __init__(
        self,
        models: Models,
        edits: Sequence[Edit],
        items: Sequence[BatchItem],
        folder: str | os.PathLike[str],
        *,
        truncation_psi: float = DEFAULT_PSI,
        noise_mode: str = "const",
        scale: int = 1,
        compare: bool = False,
        receipts: bool = True,
        n_random: int = N_RANDOM,
    ) -> None:
        edits = tuple(edit for edit in edits if not edit.empty)
        if not edits:
            raise BatchError("edits: nothing is asked for; allowed: at least one change")
        if not items or len(items) > MAX_ITEMS:
            raise BatchError(f"faces: {len(items)} given; allowed: 1 to {MAX_ITEMS}")
        self.models, self.items = models, tuple(items)
        self.folder = Path(folder)
        self.receipts, self.compare, self.scale = receipts, compare, scale
        self._session = EditSession(models, truncation_psi=truncation_psi, n_random=n_random)
        self._session.update(seed=0, noise_mode=noise_mode)
        self._edits = edits
        self._place(edits)
        recipe = self._session.recipe({"scale": scale, "compare": compare})
        self._spec = {
            "format": FORMAT,
            **{k: recipe[k] for k in ("models", "truncation_psi", "edits", "noise_mode")},
            "picture": recipe["picture"],
            "receipts": n_random if receipts else None,
        }
        self._psi = truncation_psi
        self._rows: dict[str, dict[str, str]] = {}

    def _place(self, edits: tuple[Edit, ...]) -> None:
        for i, edit in enumerate(edits):
            if i:
                self._session.stack(edit.method)
            self._session.update(**{k: getattr(edit, k) for k in Edit.__dataclass_fields__})

    def run(
        self,
        progress: Callable[[BatchProgress], None] = lambda _: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> BatchReport:
        """Do what is not done yet.

        Parameters
        ----------
        progress : callable
            Called after every face, in this thread.
        stop : callable
            Asked between faces, and between the short pieces of a measurement.

        Raises
        ------
        ValueError
            A folder of another batch, or that another run holds; a full disk. What was done stays.
        """
        make_folder(self.folder)
        with locked(self.folder / LOCK):
            self._begin()
            try:
                report = self._all(progress, stop)
            except BaseException:
                with contextlib.suppress(ValueError):  # the first error is the one to report
                    self._write_table()
                raise
            self._write_table()
            return report

    def _begin(self) -> None:
        spec, table = self.folder / SPEC, self.folder / TABLE
        if not spec.exists():
            strange = sorted(p.name for p in self.folder.iterdir() if p.name != LOCK)
            if strange:
                raise BatchError(
                    f"out is {str(self.folder)!r}, which holds {strange[0]!r}; allowed: an empty "
                    "folder, a new one, or that of the same batch"
                )
            write_atomic(spec, json.dumps(self._spec, indent=1).encode())
            return
        try:
            known = json.loads(spec.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise BatchError(f"{spec}: cannot be read ({error}); choose another folder") from None
        for name, value in self._spec.items():
            found = known.get(name) if isinstance(known, dict) else None
            if found != value:
                raise BatchError(
                    f"out is {str(self.folder)!r}, the folder of another batch: its {name} is "
                    f"{_short(found)}, here {_short(value)}; allowed: another folder"
                )
        if table.exists():
            self._read_table(table)

    def _read_table(self, path: Path) -> None:
        try:
            text = path.read_text("utf-8")
            rows = list(csv.DictReader(io.StringIO(text), strict=True))
        except (OSError, ValueError, csv.Error) as error:
            raise BatchError(f"{path}: cannot be read ({error}); remove it to begin anew") from None
        for row in rows:
            if not set(_FIRST) <= row.keys() or None in row or None in row.values():
                raise BatchError(f"{path}: not a table of this batch; remove it to begin anew")
            self._rows[row["item"]] = row

    def _is_done(self, item: BatchItem) -> bool:
        row = self._rows.get(item.name)
        return (
            row is not None
            and row["status"] == "ok"
            and row["face"] == _face_name(item)
            and (self.folder / row["picture"]).is_file()
        )

    def _all(
        self, progress: Callable[[BatchProgress], None], stop: Callable[[], bool]
    ) -> BatchReport:
        skipped = failed = done = 0
        errors: dict[str, str] = {}
        stopped = False
        begun = flushed = time.monotonic()
        left = sum(not self._is_done(item) for item in self.items)
        for item in self.items:
            if stop():
                stopped = True
                break
            error = None
            if self._is_done(item):
                skipped += 1
            else:
                row = self._one(item, stop)
                if row is None:
                    stopped = True
                    break
                self._rows[item.name] = row
                done += row["status"] == "ok"
                if row["status"] != "ok":
                    failed += 1
                    error = errors[item.name] = row["error"]
                if time.monotonic() - flushed > FLUSH:
                    self._write_table()
                    flushed = time.monotonic()
            each = (time.monotonic() - begun) / max(1, done + failed)
            remaining = each * (left - done - failed) if done + failed else None
            progress(
                BatchProgress(
                    done + failed + skipped, len(self.items), failed, skipped, item.name, error,
                    remaining,
                )
            )  # fmt: skip
        return BatchReport(
            self.folder, self.folder / TABLE, len(self.items), done, skipped, errors, stopped,
            self._summary(),
        )  # fmt: skip

    def _one(self, item: BatchItem, stop: Callable[[], bool]) -> dict[str, str] | None:
        start = time.perf_counter()
        row = {"item": item.name, "face": _face_name(item), "picture": f"{item.name}.png"}
        try:
            face = {"truncation_psi": self._psi, **item.face()}
            self._session.update(gesture="batch", **face)
            receipt = None
            result = self._session.render()
            if result.error is not None:
                raise ValueError(result.error)
            if self.receipts:
                receipt = self._session.measure(stop)
                if receipt is None:
                    return None
                if receipt.error is not None:
                    raise ValueError(receipt.error)
                row.update(self._measured(receipt))
            self._session.save(self.folder / row["picture"], self.scale, self.compare)
        except Exception as error:  # a row that says why; the others go on
            if _disk_is_full(error):
                raise BatchError(
                    f"out is {str(self.folder)!r}: the disk is full at {item.name!r}; what was "
                    "done stays, and the same command goes on with the rest"
                ) from error
            line = (str(error).splitlines() or [type(error).__name__])[0]
            row = {**row, "picture": "", "status": "failed", "error": line}
        else:
            row.update(status="ok", error="")
        row["seconds"] = f"{time.perf_counter() - start:.3f}"
        return row

    def _measured(self, receipt: Any) -> dict[str, str]:
        values: dict[str, str] = {
            "identity": _number(receipt.identity),
            "identity_kept": _number(receipt.identity_kept),
            "size": _number(receipt.size),
            "beyond_band": " ".join(receipt.outside_band()),
        }
        for name in visible_table(self.models.table).names:
            if name in receipt.requested:
                values[f"asked.{name}"] = _number(receipt.requested[name])
            values[f"before.{name}"] = _number(receipt.before[name])
            values[f"change.{name}"] = _number(receipt.after[name] - receipt.before[name])
            low, high = receipt.band[name]
            values[f"band_low.{name}"] = _number(low)
            values[f"band_high.{name}"] = _number(high)
        return values

    def _summary(self) -> BatchSummary | None:
        """What the receipts in the table come to, of the faces of this batch."""
        rows = (self._rows[item.name] for item in self.items if self._is_done(item))
        names = visible_table(self.models.table).names
        targets = self._edits[-1].targets
        receipts = []
        for row in rows:
            with contextlib.suppress(KeyError, ValueError):  # drawn only, or another's columns
                receipts.append(receipt_of_row(row, names, targets))
        return summarized(receipts)

    def _write_table(self) -> None:
        if not self._rows:
            return
        columns = list(_FIRST)
        if self.receipts:
            names = visible_table(self.models.table).names
            asked = {n for edit in self._edits for n in (*edit.changes, *edit.targets)}
            columns += _MEASURED
            columns += [f"asked.{n}" for n in names if n in asked]
            columns += [
                f"{kind}.{n}"
                for kind in ("change", "before", "band_low", "band_high")
                for n in names
            ]
        stream = io.StringIO(newline="")
        writer = csv.DictWriter(stream, columns, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(self._rows.values())
        write_atomic(self.folder / TABLE, stream.getvalue().encode())


def _face_name(item: BatchItem) -> str:
    return f"seed {item.seed}" if item.path is None else item.path.name


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _disk_is_full(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__ or error.__context__
    return False
