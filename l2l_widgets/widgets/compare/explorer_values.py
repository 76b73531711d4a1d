"""What the explorer's page is given: matrices, cells and trajectories as plain values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from l2l_widgets.attributes import PAPER_EIGHT
from l2l_widgets.entanglement import (
    LeakageMatrix,
    LeakageStudy,
    Progress,
    ReportStudy,
    Trajectories,
    paired_difference,
)
from l2l_widgets.evaluation.bench import face_latents
from l2l_widgets.widgets.still import Still, figure_jpeg

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from l2l_widgets.attributes import AttributeTable
    from l2l_widgets.evaluation.report import Protocol
    from l2l_widgets.models.zoo import Models
    from l2l_widgets.session.edit_session import EditSession
    from l2l_widgets.widgets.words import Words

#: What the page draws of every cell.
NUMBERS = ("signed", "signed_low", "signed_high", "drift", "q", "band", "world", "truth")
#: Faces behind the bands of trajectories; each is drawn at nine strengths.
TRAJECTORY_FACES = 16
#: Leaks that the still's table names, the largest first; and changes where nothing is decided.
MOST_LEAKS, MOST_UNDECIDED = 12, 5


def attribute_values(table: AttributeTable) -> list[dict[str, Any]]:
    """Return name, label, family and unit of every attribute, one family after the other."""
    fields = ("name", "label", "definition", "family", "low", "high", "unit")
    rows = [row for family in table.families().values() for row in family]
    return [{field: getattr(row, field) for field in fields} for row in rows]


def explorer_schema(
    study: LeakageStudy | ReportStudy, table: AttributeTable, models: Models
) -> dict[str, Any]:
    """Return what does not change while the same models draw; ``table`` holds what is shown."""
    report = study.folder if isinstance(study, ReportStudy) else None
    return {
        "attributes": attribute_values(table),
        "columns": list(table.names),
        "methods": list(models.available_editors if report is None else study.methods),
        "readers": list(study.readers),
        "editable": report is None,
        "report": None if report is None else str(report),
        "eight": [n for n in PAPER_EIGHT if n in table],
    }


def usual_rows(table: AttributeTable) -> tuple[str, ...]:
    """Return the paper's attributes, or the first eight of models that know none of these."""
    return tuple(n for n in PAPER_EIGHT if n in table) or table.names[:8]


def visible_matrix(matrix: LeakageMatrix, table: AttributeTable) -> LeakageMatrix:
    """Return a matrix without the rows and columns that a table lacks."""
    shown = tuple(n for n in matrix.read if n in table)
    cells = {k: v for k, v in matrix.cells.items() if k[0] in table and k[1] in shown}
    failed = {n: why for n, why in matrix.failed.items() if n in table}
    return replace(matrix, read=shown, cells=cells, failed=failed)


def matrix_value(matrix: LeakageMatrix, say: Words) -> dict[str, Any]:
    """Return a matrix with its words; numbers that are not there are None."""
    arrays = {
        name: [[plain_number(value) for value in row] for row in matrix.array(name).tolist()]
        for name in NUMBERS
    }
    faces = [int(matrix.cells[e, matrix.read[0]]["faces"]) for e in matrix.edited]
    return {
        "method": matrix.method,
        "edited": list(matrix.edited),
        "read": list(matrix.read),
        "verdicts": matrix.verdicts(),
        "faces": faces,
        "failed": {name: say.said(why) for name, why in matrix.failed.items()},
        "stamp": say.said(matrix.stamp()),
        "preview": matrix.preview,
        "request": matrix.protocol.request,
        **arrays,
    }


def matrices_value(
    shown: LeakageStudy | ReportStudy,
    study: LeakageStudy | ReportStudy,
    methods: tuple[str, str],
    reader: str,
    table: AttributeTable,
    say: Words,
) -> dict[str, Any]:
    """Return the matrix of a method, the one that it is held against, and their difference.

    Parameters
    ----------
    shown, study : LeakageStudy or ReportStudy
        Whose numbers of the first method are up, and those that are planned.
    methods : tuple of str
        The one that is shown, and the one against it; "" for none.
    reader : str
        Of both.
    table : AttributeTable
        The attributes that may be shown.
    say : Words
        The language of the view.
    """
    method, against = methods

    def value(matrix: LeakageMatrix) -> dict[str, Any]:
        return matrix_value(visible_matrix(matrix, table), say)

    values: dict[str, Any] = {"matrix": value(shown.matrix(method, reader))}
    values["matrix"]["first_look"] = shown is not study
    values["against"] = values["difference"] = {}
    if against:
        other = study.matrix(against, reader)
        values["against"] = value(other)
        if set(other.edited) & set(values["matrix"]["edited"]):
            values["difference"] = value(paired_difference(study, method, against, reader))
    return values


def status_value(
    progress: Progress, first: Progress, table: AttributeTable, said: Callable[[str], str]
) -> dict[str, Any]:
    """Return how far a study is, and the first look beside it."""
    return {
        "state": progress.state, "done": progress.done, "total": progress.total,
        "doing": doing_words(progress, table, said), "faces": progress.faces,
        "faces_total": progress.faces_total, "seconds_left": progress.seconds_left,
        "first_look": first.state == "running", "first_done": first.done,
        "first_total": first.total,
    }  # fmt: skip


def doing_words(progress: Progress, table: AttributeTable, said: Callable[[str], str]) -> str:
    """Return what is being measured, "mapper: smile", with the attribute's label."""
    method, colon, name = progress.doing.partition(": ")
    if colon and name in table:
        return f"{method}: {table[name].label}"
    return said(progress.doing)


def followed_faces(
    session: EditSession | None, models: Models, protocol: Protocol, say: Words
) -> tuple[Tensor, str]:
    """Return whose trajectories are drawn, (M, num_ws, w_dim), and what they are called.

    The face of a session; without one, faces of the protocol.
    """
    if session is None:
        seeds = list(protocol.face_seeds())[:TRAJECTORY_FACES]
        ws = face_latents(models, seeds, protocol.truncation_psi)
        return ws, say("faces_with_interval", count=len(seeds))
    result = session.render()
    if result.w is None:
        raise ValueError(result.error or "the face cannot be drawn")
    if result.state.w is None:
        return result.w, say("face_number", seed=result.state.seed)
    return result.w, say("this_face_label")


def trajectory_value(
    found: Trajectories, label: str, names: Sequence[str], shown: AttributeTable
) -> dict[str, Any]:
    """Return the changes from the unedited face, mean and interval, by attribute that is shown.

    ``names`` are the readings' columns.
    """
    columns = [names.index(name) for name in shown.names]
    low, high = found.interval()
    identity = None if found.identity is None else found.identity.double().mean(dim=0)
    return {
        "method": found.method,
        "edited": found.edited,
        "faces": found.faces,
        "label": label,
        "strengths": list(found.strengths),
        "mean": _table(found.changes().double().mean(dim=0)[:, columns]),
        "low": _table(low[:, columns]),
        "high": _table(high[:, columns]),
        "identity": None if identity is None else [plain_number(v) for v in identity.tolist()],
    }


def matrix_still(matrix: LeakageMatrix, about: str, say: Words, shown: AttributeTable) -> Still:
    """Return a leakage matrix as a picture with its largest leaks in words; it has rows.

    Where none is decided, with few faces, the largest changes stand there and are called that.
    """
    from l2l_widgets.plots.entanglement import leakage_plot

    axes = leakage_plot(
        matrix.array(), matrix.edited, matrix.read, limit=matrix.protocol.request,
        verdicts=matrix.verdicts(), title=matrix.method, stamp=say.said(matrix.stamp()),
        table=shown, axes=(say("axis_read"), say("head_edited")),
    )  # fmt: skip
    rows, leaks = [], matrix.leaks()[:MOST_LEAKS]
    for edited, read in leaks or _largest_undecided(matrix):
        cell = matrix.cells[edited, read]
        numbers = (cell["signed"], cell["signed_low"], cell["signed_high"])
        labels = (shown[name].label if name in shown else name for name in (edited, read))
        signed = (f"{value:+.3f}".replace(".", say.decimal) for value in numbers)
        q = say.number(cell["q"], 3)
        rows.append((*labels, *signed, q if leaks else f"{q}, {say('undecided')}"))
    head = [say(f"head_{w}") for w in ("edited", "also", "mean")]
    return Still(
        figure_jpeg(axes.figure), about, (*head, say("from_small"), say("to_small"), "q"), rows
    )


def _largest_undecided(matrix: LeakageMatrix) -> list[tuple[str, str]]:
    found = [k for k, cell in matrix.cells.items() if cell["verdict"] in ("clear", "pending")]
    return sorted(found, key=lambda k: -abs(matrix.cells[k]["signed"]))[:MOST_UNDECIDED]


def chosen(field: str, value: Any, known: Sequence[str], default: str) -> str:
    """Return a value that is known, or the default where none is given; ValueError otherwise."""
    if value is None or value == "":
        return default
    if value not in known:
        raise ValueError(f"{field} is {value!r}; allowed: {', '.join(known)}")
    return str(value)


def plain_number(value: float) -> float | None:
    """Return a number that a page can take: rounded, and None where there is none."""
    return None if math.isnan(value) else round(value, 5)


def _table(values: Tensor) -> list[list[float | None]]:
    return [[plain_number(v) for v in row] for row in values.tolist()]
