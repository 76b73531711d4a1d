"""What the two training widgets send to their pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

#: Points of a curve that a screen can show; longer histories are thinned.
MAX_POINTS = 300
#: What a history record holds besides losses and scores.
NOT_LOSSES = ("step", "seconds", "images_per_second")


def history_value(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The curves of a run.

    Parameters
    ----------
    records : sequence of mapping
        History records, as ``RunDirectory.history`` gives them.

    Returns
    -------
    dict
        ``steps`` (list of int) and ``losses``: name -> values, None where a record has none. At
        most about :data:`MAX_POINTS` points, the last one among them.
    """
    stride = -(-len(records) // MAX_POINTS) or 1
    kept = list(records[::stride])
    if records and kept[-1] is not records[-1]:
        kept.append(records[-1])
    names = list(dict.fromkeys(name for r in kept for name in r if name not in NOT_LOSSES))
    return {
        "steps": [record["step"] for record in kept],
        "losses": {name: [record.get(name) for record in kept] for name in names},
    }
