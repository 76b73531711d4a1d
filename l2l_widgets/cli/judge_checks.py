"""What is wrong with a judge or a detector that was named, found before torch is imported."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from l2l_widgets.cli.checks import check_file

#: Kinds that look at photos -> the option that takes them.
OF_PHOTOS = {"landmarks": "--landmarks", "detector": "--detector"}

if TYPE_CHECKING:
    from l2l_widgets.judges import Declaration


def check_judge(field: str, word: str | Path | None, kind: str | None = None) -> Declaration | None:
    """Read a declaration and see that its network is there; no network is opened.

    Parameters
    ----------
    field : str
        The option, as errors call it.
    word : str, path or None
        What was typed; None where nothing was.
    kind : str, optional
        The only kind that will do.

    Raises
    ------
    ValueError
        A declaration that cannot be read, another kind, a network that is not there.
    """
    if word is None:
        return None
    from l2l_widgets.judges import read_declaration

    try:
        found = read_declaration(word)
    except ValueError as error:
        text = str(error)
        colon = "" if text.startswith("judge ") else ":"
        raise ValueError(f"{field}{colon} {text.removeprefix('judge ')}") from None
    if kind is not None and found.kind != kind:
        raise ValueError(f"{field} is {str(word)!r}, which declares kind {found.kind!r}; allowed: "
                         f"{kind!r}")  # fmt: skip
    if not found.file:
        raise ValueError(
            f"{field} is {str(word)!r}, which names no network; allowed: {word}=FILE, or a "
            "declaration with a field file"
        )
    if not found.path.is_file():
        about = f" (wanted: {found.about})" if found.about else ""
        given = "" if "=" in str(word) or Path(word).is_file() else f"; allowed: {word}=FILE"
        raise ValueError(
            f"{field} is {str(word)!r}: its network {str(found.path)!r} is not there{given}{about}"
        )
    return found


def check_judges(words: Iterable[str]) -> set[str]:
    """Check every ``--judge``: one that reads attributes, at most one of each kind.

    Returns
    -------
    set of str
        The kinds that are there.
    """
    found: dict[str, str] = {}
    for word in words:
        declaration = check_judge("--judge", word)
        assert declaration is not None  # a word was given
        if declaration.kind in OF_PHOTOS:
            raise ValueError(
                f"--judge is {word!r}, which declares kind {declaration.kind!r}; allowed: "
                f"attributes, identity, parser; for l2l invert: {OF_PHOTOS[declaration.kind]}"
            )
        if declaration.kind in found:
            raise ValueError(
                f"--judge is {word!r}, a second one of kind {declaration.kind!r} beside "
                f"{found[declaration.kind]!r}; allowed: one of each kind"
            )
        found[declaration.kind] = word
    if "attributes" not in found:
        kinds = ", ".join(found) or "no kind"
        raise ValueError(f"--judge: of kind {kinds}; allowed: one that reads attributes among them")
    return set(found)


def check_detector(name: str | None) -> None:
    """Refuse a ``--detector`` whose name or file there is not."""
    if name is None:
        return
    kind, equals, file = name.partition("=")
    if kind == "yunet" and file:
        check_file("--detector yunet", file)
        return
    from l2l_widgets.judges import list_declarations

    if name.endswith(".toml") or kind in list_declarations():
        check_judge("--detector", name, "detector")
    elif equals or kind not in ("cascade", "none"):
        raise ValueError(
            f"--detector is {name!r}; allowed: cascade, yunet=FILE.onnx (the OpenCV Zoo's "
            "face_detection_yunet), a declaration (.toml) of kind 'detector', or none"
        )
