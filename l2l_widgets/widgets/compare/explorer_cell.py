"""What lies behind one cell of the matrix: sentences, numbers, faces, two of them as pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from l2l_widgets.entanglement import (
    FaceChange,
    LeakageStudy,
    ReportStudy,
    cell_sentences,
    stored_projection,
)
from l2l_widgets.session.states import Edit, SessionState
from l2l_widgets.widgets.bridge import picture_value
from l2l_widgets.widgets.compare.explorer_values import plain_number

if TYPE_CHECKING:
    from torch import Tensor

    from l2l_widgets.attributes import AttributeTable
    from l2l_widgets.session.shared_face import SharedFace
    from l2l_widgets.widgets.words import Words

#: Dots that a strip can show; of more faces every n-th is drawn.
MOST_DOTS = 400


def fill_cell(
    value: dict[str, Any],
    study: LeakageStudy | ReportStudy,
    reader: str,
    table: AttributeTable,
    say: Words,
    projection: Callable[[], str] | None,
    stale: Callable[[], bool],
) -> bool:
    """Add to a cell what there is to say of it, part by part: what fails leaves those before it.

    Parameters
    ----------
    value : dict
        Its ``method``, ``edited`` and ``read``; gets the rest.
    study : LeakageStudy or ReportStudy
        What was measured.
    reader : str
        By which judge.
    table : AttributeTable
        The attributes that are shown.
    say : Words
        The language.
    projection : callable or None
        Gives the lines about what holding others does to the boundary, where there is one.
    stale : callable
        Asked before a picture is drawn: whether nobody wants the cell any more.

    Returns
    -------
    bool
        Whether it is complete; False where it has become stale.
    """
    method, edited, read = value["method"], value["edited"], value["read"]
    matrix = study.matrix(method, reader)
    value["sentences"] = [say.said(s) for s in cell_sentences(matrix, edited, read, table)]
    value["numbers"] = {
        k: v for k, v in matrix.cells[edited, read].items() if isinstance(v, (int, float))
    }
    faces = study.faces(method, edited, read, reader)
    value["faces"] = faces_value(faces)
    if projection is not None:
        value["projection"] = projection()
    pairs = []
    for key, face in best_and_worst(faces, edited == read):
        if stale():
            return False
        drawn = study.pictures(method, edited, face)
        pairs.append(pair_value(face, drawn, say(key)))
    value["pairs"] = pairs
    return True


def projection_lines(face: SharedFace, edited: str, say: Words, shown: AttributeTable) -> str:
    """Return what holding others does to the boundary of an attribute, or why nobody can say."""
    try:
        return say.lines(stored_projection(face.models, edited).to_text(shown))
    except ValueError as error:
        return say.said(str(error))


def faces_value(faces: list[FaceChange]) -> list[dict[str, Any]]:
    """Return the faces behind a cell; at most :data:`MOST_DOTS` of them."""
    step = -(-len(faces) // MOST_DOTS) or 1
    return [
        {"seed": f.seed, "change": plain_number(f.change), "strength": plain_number(f.strength)}
        for f in faces[::step]
    ]


def pair_value(face: FaceChange, pictures: tuple[Tensor, Tensor], caption: str) -> dict[str, Any]:
    """Return one face before and after."""
    return {
        "seed": face.seed,
        "caption": caption,
        "change": plain_number(face.change),
        "asked": face.asked,
        "strength": plain_number(face.strength),
        "before": picture_value(pictures[0]),
        "after": picture_value(pictures[1]),
    }


def pair_state(
    cell: Mapping[str, Any],
    study: LeakageStudy | ReportStudy,
    reader: str,
    seed: int,
    edited: bool,
) -> tuple[SessionState, Tensor | None]:
    """What draws one face of a pair as it was measured.

    Parameters
    ----------
    cell : mapping
        That is up, with its ``pairs``.
    study : LeakageStudy or ReportStudy
        What was measured.
    reader : str
        By which judge.
    seed : int
        Of the pair.
    edited : bool
        Whether the face after the edit is meant.

    Returns
    -------
    tuple
        A state, and the edited latent that it is to draw, None for the face before.

    Raises
    ------
    ValueError
        There is no such pair.
    """
    if seed not in [pair["seed"] for pair in cell.get("pairs", ())]:
        raise ValueError(f"face {seed} is not there; allowed: one of a pair that is drawn")
    target, method = cell["edited"], cell["method"]
    psi, source = study.protocol.truncation_psi, study.source(method)
    if not edited:
        return SessionState(seed, psi, (Edit(source),)), None
    faces = study.faces(method, target, cell["read"], reader)
    face = next(f for f in faces if f.seed == seed)
    state = SessionState(seed, psi, (Edit(source, {target: face.knob}),))
    return state, study.latents(method, target, face)[1]


def best_and_worst(faces: list[FaceChange], own: bool) -> list[tuple[str, FaceChange]]:
    """Return the two faces that moved least and most, each with the key of its caption.

    Parameters
    ----------
    faces : list of FaceChange
        Those behind a cell.
    own : bool
        Whether the cell is that of the edited attribute itself: its change is what was asked for,
        so the strength that it took stands in its place.
    """
    reached = [face for face in faces if face.reached]
    if not reached:
        return [("never_came", face) for face in faces[:2]]
    ranked = sorted(reached, key=lambda f: f.strength if own else abs(f.change))
    if len(ranked) == 1:
        return [("only_face", ranked[0])]
    words = ("least_strength", "most_strength") if own else ("moved_least", "moved_most")
    return [(words[0], ranked[0]), (words[1], ranked[-1])]
