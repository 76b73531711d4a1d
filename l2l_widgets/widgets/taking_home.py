"""What a view lets one take home of a face: a picture with its recipe inside, or a text.

Whatever drew the face, the text is the recipe of a session's state and the Python that makes the
state again, and the picture replays to the same pixels.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2l_widgets.session.as_code import python_code
from l2l_widgets.session.replay import SCALES
from l2l_widgets.walks.as_code import walk_name
from l2l_widgets.walks.files import save_walk

if TYPE_CHECKING:
    from l2l_widgets.models.zoo import Models
    from l2l_widgets.session.edit_session import EditSession
    from l2l_widgets.session.states import SessionState
    from l2l_widgets.walks.walk import Strip

__all__ = [
    "enlargement", "frame_enlargement", "free_path", "save_face", "save_strip", "text_of_face",
]  # fmt: skip

#: Side that a saved picture should at least have, so that it can be shown without squinting; half
#: of it where it is a frame of a strip, which lies beside others.
SAVED_SIDE, FRAME_SIDE = 512, 256


def save_face(
    session: EditSession, folder: Path, state: SessionState | None = None
) -> dict[str, Any]:
    """Write a face into a folder, its recipe inside; what was there stays.

    Parameters
    ----------
    session : EditSession
        What draws it.
    folder : Path
        Where it goes, under a name that says the face and what was asked for.
    state : SessionState, optional
        Another face than the session's, with the edits on it.

    Returns
    -------
    dict
        What a page is told: ``path``, ``name``, ``folder``, ``recipe`` as text, no ``error``.

    Raises
    ------
    ValueError
        It cannot be drawn, or the file not be written.
    """
    path = free_path(folder, _picture_name(session.state if state is None else state))
    scale = enlargement(session.models.generator.img_resolution)
    # that of the picture: asked for afterwards, it could be that of a slider moved meanwhile
    recipe = session.save(path, scale=scale, state=state)
    return {**_told(path), "recipe": json.dumps(recipe, indent=1)}


def save_strip(
    models: Models, strip: Strip, folder: Path, ending: str = "png", seconds: float | None = None
) -> dict[str, Any]:
    """Write a walk into a folder, its recipe inside; what was there stays.

    Parameters
    ----------
    models : Models
        What drew it.
    strip : Strip
        The frames.
    folder : Path
        Where it goes, under a name that says the faces.
    ending : {"png", "gif", "mp4"}
        A strip, or a film that goes there and back.
    seconds : float, optional
        How long a film lasts, one way.

    Returns
    -------
    dict
        As of :func:`save_face`, without the recipe.

    Raises
    ------
    ValueError
        The file cannot be written.
    """
    path = free_path(folder, walk_name(strip.walk), f".{ending}")
    picture = ending == "png"
    scale = frame_enlargement(strip.images.shape[-1]) if picture else None
    save_walk(path, models, strip, scale=scale, seconds=seconds, there_and_back=not picture)
    return _told(path)


def text_of_face(session: EditSession, state: SessionState | None = None) -> dict[str, str]:
    """A face as ``recipe`` and as ``code``; a ValueError where it cannot be drawn.

    Parameters
    ----------
    session, state
        As for :func:`save_face`, which writes the picture that the code writes.
    """
    state = session.state if state is None else state
    scale = enlargement(session.models.generator.img_resolution)
    recipe = session.recipe(state=state)
    return {
        "recipe": json.dumps(recipe, indent=1),
        "code": python_code(session.models, state, scale),
    }


def enlargement(side: int) -> int:
    """By how much a picture of ``side`` pixels is enlarged when it is saved."""
    return min(SCALES[1], max(1, -(-SAVED_SIDE // side)))


def frame_enlargement(side: int) -> int:
    """By how much a frame of ``side`` pixels is enlarged in a strip that is saved."""
    return max(1, FRAME_SIDE // side)


def free_path(folder: Path, stem: str, ending: str = ".png") -> Path:
    """A path in ``folder`` that nothing has yet: ``stem.png``, ``stem-2.png``, ..."""
    path, count = folder / f"{stem}{ending}", 1
    while path.exists():
        count += 1
        path = folder / f"{stem}-{count}{ending}"
    return path


def _told(path: Path) -> dict[str, Any]:
    return {"path": str(path), "name": path.name, "folder": str(path.parent), "error": None}


def _picture_name(state: SessionState) -> str:
    face = "face" if state.seed is None else f"face-{state.seed}"
    edit = state.edits[-1]
    return "-".join([face, *list({**edit.changes, **edit.targets})[:3]])
