"""What the two training widgets send to their pages."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.plots.training import NOT_LOSSES, plot_losses
from l2l_widgets.policy import hidden_attributes
from l2l_widgets.training import Look
from l2l_widgets.training.watch import GAP
from l2l_widgets.widgets.still import figure_jpeg
from l2l_widgets.widgets.words import Words

#: Points of a curve that a screen can show; longer histories are thinned.
MAX_POINTS = 300


def history_value(records: Sequence[Mapping[str, Any]], words: Words) -> dict[str, Any]:
    """The curves of a run.

    Parameters
    ----------
    records : sequence of mapping
        History records, as ``RunDirectory.history`` gives them.
    words : Words
        The language of the losses' labels.

    Returns
    -------
    dict
        ``steps`` (list of int), ``losses``: name -> values, None where a record has none, and
        ``labels``: name -> what it is called. At most about :data:`MAX_POINTS` points, the last
        one among them.
    """
    stride = -(-len(records) // MAX_POINTS) or 1
    kept = list(records[::stride])
    if records and kept[-1] is not records[-1]:
        kept.append(records[-1])
    names = list(dict.fromkeys(name for r in kept for name in r if name not in NOT_LOSSES))
    return {
        "steps": [record["step"] for record in kept],
        "losses": {name: [record.get(name) for record in kept] for name in names},
        "labels": {name: words.loss(name) for name in names},
    }


def attribute_label(name: str, words: Words) -> str:
    """What an attribute is called on the page; one that is not shipped keeps its name."""
    table = words.translate(DEFAULT_TABLE)
    return table[name].label if name in table else name.replace("_", " ")


def row_caption(caption: str, words: Words) -> str:
    """What stands beside a row of watched faces: "as drawn", or an edit such as "smile +1"."""
    name, space, amount = caption.rpartition(" ")
    if space and name in DEFAULT_TABLE and amount[:1] in "+-":
        return f"{attribute_label(name, words)} {amount}"
    return words.said(caption)


def look_value(look: Look) -> dict[str, Any]:
    """A look at a training as the page takes it, without what the policy hides.

    Returns
    -------
    dict
        ``captions`` of the rows, ``columns``, ``side``, ``leakage`` (asked -> what moved -> by how
        much) and ``sheet``, the pictures. A row whose caption names a hidden attribute is cut out.
    """
    hidden = hidden_attributes()
    data = look.path.read_bytes()
    kept = [i for i, caption in enumerate(look.captions) if not names_hidden(caption)]
    if hidden:  # the file says in its text what was watched, and that must not go along
        data = _rows_of(data, kept, look.side[0] + GAP)
    return {
        "captions": [look.captions[i] for i in kept],
        "columns": look.columns,
        "side": list(look.side),
        "leakage": {
            asked: {name: value for name, value in moved.items() if name not in hidden}
            for asked, moved in look.leakage.items()
            if asked not in hidden
        },
        "sheet": {"format": "png", "data": data},
    }


def shown_names(value: Any) -> Any:
    """A field's value; of a list, what the policy does not hide."""
    if not isinstance(value, (list, tuple)):
        return value
    hidden = hidden_attributes()
    return [entry for entry in value if entry not in hidden]


def names_hidden(text: str) -> bool:
    """Whether a text has a hidden attribute's name as a word: sunglasses are no glasses."""
    names = [re.escape(name.lower().replace("_", " ")) for name in hidden_attributes()]
    plain = text.lower().replace("_", " ")
    return any(re.search(rf"\b{name}\b", plain) for name in names)


def _rows_of(data: bytes, rows: Sequence[int], pitch: int) -> bytes:
    """Some rows of a sheet, without the text of its file; PNG. ``pitch``: a row and its gap."""
    sheet = Image.open(io.BytesIO(data)).convert("RGB")
    rest = Image.new("RGB", (sheet.width, max(1, pitch * len(rows) - GAP)), "white")
    for place, row in enumerate(rows):
        strip = sheet.crop((0, row * pitch, sheet.width, (row + 1) * pitch - GAP))
        rest.paste(strip, (0, place * pitch))
    stream = io.BytesIO()
    rest.save(stream, "PNG")
    return stream.getvalue()


def curves_png(history: Mapping[str, Any], words: Words) -> bytes | None:
    """The losses of a run as a picture; None while there are fewer than two steps.

    Parameters
    ----------
    history : mapping
        As :func:`history_value` gives it.
    words : Words
        The language of the axes.
    """
    steps, losses = history.get("steps", []), history.get("losses", {})
    if len(steps) < 2:
        return None
    records = [
        {"step": step, **{name: values[i] for name, values in losses.items()}}
        for i, step in enumerate(steps)
    ]
    axes = (words("head_step"), words("head_loss"))
    labels = {name: words.loss(name) for name in losses}
    return figure_jpeg(plot_losses(records, axes=axes, words=labels).figure)


def losses_rows(history: Mapping[str, Any], words: Words) -> list[list[str]]:
    """First and last value of every loss, for a table: what it is called, first, last."""
    rows = []
    for name, values in history.get("losses", {}).items():
        known = [value for value in values if value is not None]
        if known:
            ends = (f"{known[i]:.4g}".replace(".", words.decimal) for i in (0, -1))
            rows.append([words.loss(name), *ends])
    return rows
