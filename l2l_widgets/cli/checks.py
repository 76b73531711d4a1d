"""What is wrong with the words of a command, found before anything heavy is imported or loaded.

Everything here works without torch: numbers, names, files, and what a folder of models holds
according to its manifest. What only a loaded network can know is said later, by the network.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from l2l_widgets.errors import suggestion

if TYPE_CHECKING:
    from l2l_widgets.attributes import AttributeTable
    from l2l_widgets.models.zoo import Models

SEED_MAX = 2**32 - 1
#: Truncation of a session's faces, as `l2l_widgets.session.states` has it.
PSI = (0.0, 1.5)
_DEVICE = re.compile(r"(cpu|cuda|mps|xpu)(:\d{1,3})?")


def number(
    field: str, text: str | float, low: float | None = None, high: float | None = None
) -> float:
    """Read a number; the error names the field, the value and the range where there is one."""
    ranged = low is not None and high is not None
    allowed = f"a number from {low:g} to {high:g}" if ranged else "a number"
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{field} is {text!r}; allowed: {allowed}") from None
    inside = low <= value <= high if low is not None and high is not None else True
    if not (inside and math.isfinite(value)):
        raise ValueError(f"{field} is {text!r}; allowed: {allowed}")
    return value


def whole_number(field: str, text: str | int, low: int, high: int) -> int:
    """Read a whole number in a range; the error names field, value and range."""
    try:
        value = int(text) if len(str(text)) <= 20 else high + 1
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise ValueError(f"{field} is {text!r}; allowed: a whole number from {low} to {high}")
    return value


def check_device(device: str | None) -> None:
    """Refuse what is no device at all; whether a card is there, torch knows."""
    if device is not None and not _DEVICE.fullmatch(device):
        raise ValueError(f"--device is {device!r}; allowed: cpu, or cuda where torch finds a card")


def check_file(field: str, path: Path | str) -> None:
    """Refuse a file that is not there, with the ones beside it that may be meant."""
    path = Path(path)
    if path.is_file():
        return
    if path.is_dir():
        raise ValueError(f"{field} is {str(path)!r}, which is a folder; allowed: a file")
    if path.parts[:1] in (("http:",), ("https:",)):  # a path has lost one of its slashes
        raise ValueError(f"{field} is an address; allowed: a file on this machine")
    if not path.parent.is_dir():
        raise ValueError(f"{field} is {str(path)!r}: {path.parent}: no such file or folder")
    beside = [child.name for child in sorted(path.parent.iterdir())[:1000] if child.is_file()]
    meant = suggestion(path.name, beside)
    hint = f"; {meant}" if meant.startswith("did") else ""
    raise ValueError(f"{field} is {str(path)!r}: no such file{hint}")


def check_png(path: Path, field: str = "--out") -> None:
    """Refuse a picture's name that could not be written."""
    if path.suffix.lower() != ".png":
        raise ValueError(f"{field} is {str(path)!r}; allowed: a name that ends in .png")
    check_place(path, field)


def check_place(path: Path, field: str = "--out") -> None:
    """Refuse a name below something that is a file, or a file's name that is a folder."""
    above = next(place for place in path.absolute().parents if place.exists())
    if not above.is_dir():
        raise ValueError(f"{field} is {str(path)!r}; {above} is a file, not a folder")
    if path.suffix and path.is_dir():
        raise ValueError(f"{field} is {str(path)!r}, which is a folder; allowed: a file's name")


def check_folder(path: Path, field: str = "--out") -> None:
    """Refuse a folder's name that is a file, or that lies below one."""
    if path.exists() and not path.is_dir():
        raise ValueError(f"{field} is {str(path)!r}, which is a file; allowed: a folder")
    above = next(place for place in path.absolute().parents if place.exists())
    if not above.is_dir():
        raise ValueError(f"{field} is {str(path)!r}; {above} is a file, not a folder")


def models_of(
    generator: str | None, device: str | None = None, field: str = "--generator"
) -> Models:
    """The models of ``--generator``; nothing of them is in memory yet, nor is torch.

    ``field`` is what errors call it, of a verb that takes models by another word.

    A lone generator's file is another matter: its format is read at once.
    """
    check_device(device)
    from l2l_widgets.models.zoo import ZooError, load

    try:
        return load(generator, device=device or "cpu")
    except ZooError as error:
        text = str(error)
        if text.startswith("models "):
            text = f"{field} {text.removeprefix('models ')}"
        elif text.startswith("device "):
            text = f"--{text}"
        elif generator is not None:
            text = f"{field}: {text}"
        raise ValueError(text) from None


def check_method(method: str | None, models: Models, field: str = "--method") -> None:
    """Refuse a method that the models do not have."""
    if method is None or method in models.available_editors or not models.available_editors:
        return  # where there are none at all, the session says what the models lack
    there = suggestion(method, models.available_editors, "available")
    also = f" (available: {', '.join(models.available_editors)})" if "mean" in there else ""
    raise ValueError(f"{field} is {method!r}: no such method; {there}{also}")


def check_names(names: Iterable[str], table: AttributeTable, field: str) -> None:
    """Refuse attributes that do not exist, or that are hidden here."""
    from l2l_widgets.policy import check_visible

    names = tuple(names)
    try:
        for name in names:
            table.index(name)
        check_visible(names, table)
    except ValueError as error:
        # a guess is one of the names that are allowed, and need not be the one that was meant
        all_names = " (l2l attributes lists all)" if str(error).endswith("?") else ""
        raise ValueError(f"{field}: {error}{all_names}") from None


def check_request(
    changes: Mapping[str, float], targets: Mapping[str, float], preserve: Iterable[str],
    table: AttributeTable,
) -> None:  # fmt: skip
    """Refuse what ``--set`` and ``--preserve`` ask for where no face could have it."""
    from l2l_widgets.attributes import EditRequest

    preserve = tuple(preserve)
    check_names((*changes, *targets), table, "--set")
    check_names(preserve, table, "--preserve")
    try:
        EditRequest(changes, targets, preserve).validate(table)
    except ValueError as error:
        raise ValueError(f"--set: {error}") from None


def check_rows(text: str | None, models: Models, words: tuple[str, ...] = ()) -> None:
    """Refuse rows of W+ that the generator does not have, where its file says how many it has."""
    num_ws = rows_of(models)
    if text is None or num_ws is None:
        return
    from l2l_widgets.session.rows import parse_rows

    parse_rows(text, num_ws, words)


def rows_of(models: Models) -> int | None:
    """How many rows W+ has, by the header of the generator's file; None where it is another's."""
    file = "generator.safetensors"
    if models.folder is None or file not in models.manifest:
        return None
    from l2l_widgets.storage import read_metadata

    try:
        side = json.loads(read_metadata(models.folder / file)["config"])["img_resolution"]
        return 2 * int(math.log2(side)) - 2
    except (ValueError, KeyError, TypeError):
        return None


def given_options(args: argparse.Namespace, parser: argparse.ArgumentParser) -> frozenset[str]:
    """The options (longest names) and positional words whose values are not their defaults'."""
    found = set()
    for action in parser._actions:
        value = getattr(args, action.dest, action.default)
        if value != action.default:
            found.add(max(action.option_strings, key=len, default=str(action.metavar)))
    return frozenset(found)


def check_ignored(
    args: argparse.Namespace, option: str, ignored: Iterable[str], allowed: str
) -> None:
    """Refuse options that another one would pass over in silence.

    Parameters
    ----------
    args : Namespace
        With ``given``, as :func:`given_options` finds it.
    option : str
        What decides, as it is typed; nothing is refused where it is not given.
    ignored : iterable of str
        What means nothing beside it.
    allowed : str
        What to give instead.

    Raises
    ------
    ValueError
        Both are given.
    """
    for other in ignored:
        if option in args.given and other in args.given:
            raise ValueError(f"{option} and {other} are both given; allowed: {allowed}")


def check_needed(args: argparse.Namespace, options: Iterable[str], needed: str) -> None:
    """Refuse options that mean nothing without another one, which is not given."""
    for option in options:
        if option in args.given and needed not in args.given:
            raise ValueError(f"{option} is given without {needed}; allowed: with it")


def in_options(message: str, parser: argparse.ArgumentParser) -> str:
    """The message with the field it begins with written as the option that was typed.

    Parameters
    ----------
    message : str
        As the package raised it: "faces is 1; allowed: ...".
    parser : ArgumentParser
        Of the verb: "--faces" is said where it has that option.
    """
    found = re.match(r"([a-z][a-z_]*)(?= (is|are|has|holds) |: | ')", message)
    if found is None or found[1] == "recipe":  # is named by NAME; --recipes is a file of them
        return message
    word = found[1]
    options = parser._option_string_actions
    for name in (word, f"{word}s", word.rstrip("s"), _OTHER_WORDS.get(word, word)):
        option = f"--{name.replace('_', '-')}"
        if option in options:
            return option + message[len(word) :]
    return message


#: What the package calls a field, and the option where it goes by another name.
_OTHER_WORDS = {"truncation_psi": "truncation"}
