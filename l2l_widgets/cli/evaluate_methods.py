"""Which editors ``l2l evaluate`` compares: methods of the models, and files of one's own.

``--methods interfacegan,ridge=runs/ridge/final/interfacegan.safetensors`` holds another training of
a method against the shipped one: other settings, an editor of a recipe that does not ship, an older
file. A report knows such a file by its place and its hash.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from l2l_widgets.cli.checks import check_file, check_method

__all__ = ["check_methods", "editors_of", "is_file", "sources_of", "words_of"]

#: Start of what a report says of a method that is a file.
FILE = "file:"


def words_of(text: str) -> tuple[str, ...]:
    """The words between commas."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def is_file(source: str) -> bool:
    """Whether a method of a report is a file."""
    return source.startswith(FILE)


def check_methods(text: str, models: Any) -> None:
    """Refuse a method that the models do not have, and a file that is not there."""
    for word in words_of(text) or ("",):
        label, equals, path = word.partition("=")
        if not equals:
            check_method(word, models, "--methods")
        elif not label or not path:
            raise ValueError(f"--methods holds {word!r}; allowed: NAME, or LABEL=FILE")
        else:
            check_file("--methods", path)


def sources_of(text: str) -> dict[str, str]:
    """Label -> what a report says that it is: a method's name, or ``file:`` and its place.

    Raises
    ------
    ValueError
        A label that stands for two files, or for a file and a method.
    """
    from l2l_widgets import evaluation

    words = words_of(text)
    out = evaluation.labelled([word for word in words if "=" not in word])
    for word in words:
        label, equals, path = word.partition("=")
        if equals and label in out:
            raise ValueError(
                f"--methods names {label!r} twice; allowed: another LABEL for the file"
            )
        if equals:
            out[label] = f"{FILE}{Path(path).as_posix()}"
    return out


def editors_of(
    models: Any, sources: Mapping[str, str], seeds: int, folder: Path
) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Return each label's editors, and the hashes of the files that are not the models' own.

    Of a method these are of training seeds 1, 2, ...; of a file it is its own.

    Raises
    ------
    ValueError
        A file that holds no editor of these models' generator.
    """
    from l2l_widgets import evaluation
    from l2l_widgets.storage import read_metadata, sha256_file

    methods: dict[str, Any] = {}
    hashes: dict[str, list[str]] = {}
    for label, source in sources.items():
        if not is_file(source):
            methods[label] = evaluation.trained_editors(models, source, seeds, folder)
            hashes[label] = evaluation.trained_hashes(models, source, seeds, folder)
            continue
        path = Path(source.removeprefix(FILE))
        check_file(label, path)
        kind = read_metadata(path).get("editor")
        if kind is None:
            raise ValueError(f"{path}: holds no editor; allowed: a file that l2l train wrote")
        editor = evaluation.editor_from(models, kind, path)
        origin = getattr(editor, "origin", None)
        if origin is not None:
            origin.require(str(path), generator=models.hashes["generator"])
        methods[label], hashes[label] = [editor], [sha256_file(path)]
    return methods, hashes
