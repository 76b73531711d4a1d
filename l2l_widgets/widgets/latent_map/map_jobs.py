"""What a map's view asks for, answered as plain values: colours, groups, a path, an edit's way.

No widget and no thread is known here: :mod:`l2l_widgets.widgets.latent_map.map_bridge` has them.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from l2l_widgets.attributes import AttributeTable
from l2l_widgets.maps.code_map import SPACES, CodeMap, Layout
from l2l_widgets.maps.paths import MapTrajectory, MapWalk, compare_groups, trajectories, walk
from l2l_widgets.plots.maps import CAVEAT
from l2l_widgets.session.glances import NOISE, Glances
from l2l_widgets.session.states import EditResult
from l2l_widgets.widgets.bridge import picture_value
from l2l_widgets.widgets.words import Words

#: Colours that are no attribute: fields of a map's quality.
BELIEFS = ("kept", "trustworthiness", "continuity")
#: Bytes that stand for "not known yet" and for the largest value.
UNKNOWN, LARGEST = 255, 254
#: Pictures of hovered faces that are kept, and attributes that are named beside one.
KEPT_PICTURES = 512
NAMED = 5
STOPS = 9
#: Why somebody has to wait for a map.
WHY_OPEN = "A saved map is read and checked against the weights of the models: a second or two."
WHY_DRAW = (
    "No map lies beside these models, so one of {count:,} faces is drawn, once: exact neighbours, "
    "then UMAP, which is compiled first. Half a minute on two cores; l2l train map keeps one, and "
    "the other views work meanwhile."
)


def schema_of(table: AttributeTable, methods: Sequence[str], say: Words) -> dict[str, Any]:
    """What a view needs to lay itself out: attributes by family, methods, words."""
    fields = ("name", "label", "definition", "low", "high", "unit")
    families = [
        {"name": name, "rows": [{f: getattr(a, f) for f in fields} for a in rows]}
        for name, rows in table.families().items()
    ]
    beliefs = [
        {"name": n, "label": say(f"belief_{n}"), "definition": say(f"belief_{n}_means")}
        for n in BELIEFS
    ]
    return {
        "families": families,
        "beliefs": beliefs,
        "methods": list(methods),
        "caveat": say.said(CAVEAT),
        "stops": STOPS,
    }


def points_value(code_map: CodeMap, layout: Layout, say: Words) -> dict[str, Any]:
    """One layout as the browser takes it: float32 coordinates, bytes for what is believed."""
    spaces = {}
    for space, (label, _) in SPACES.items():
        spaces[space] = {
            "label": say.said(label),
            "seeds": sorted(seed for s, seed in code_map.layouts if s == space),
        }
    believed: dict[str, Any] = {}
    if layout.quality is not None:
        for name, values in layout.quality._asdict().items():
            believed[name] = float(values.mean())
    return {
        "count": code_map.count,
        "first_seed": code_map.first_seed,
        "neighbours": code_map.neighbours,
        "psi": code_map.truncation_psi,
        "space": layout.space,
        "seed": layout.seed,
        "spaces": spaces,
        "placing": can_place(code_map, layout),
        "coordinates": layout.coordinates.contiguous().numpy().tobytes(),
        "kept": None if layout.quality is None else _bytes(layout.quality.kept),
        "believed": believed,
    }


def _bytes(values: Tensor) -> bytes:
    """Values in [0, 1] as 0 to 254, NaN as 255."""
    scaled = values.mul(LARGEST).round().clamp(0, LARGEST)
    filled: bytes = scaled.nan_to_num(UNKNOWN).to(torch.uint8).numpy().tobytes()
    return filled


def colour_value(
    code_map: CodeMap, layout: Layout, table: AttributeTable, name: str, say: Words
) -> dict[str, Any]:
    """What colours the points: one byte each, and the scale that they are on.

    Trust and its kin are spread over the range that nine of ten points lie in: on a scale from 0 to
    1 all would look alike. Attributes keep their own scale, so that two maps can be compared.
    """
    if name in BELIEFS:
        label, means = say(f"belief_{name}"), say(f"belief_{name}_means")
        scale = {"name": name, "label": label, "definition": means, "unit": "%"}
        if layout.quality is None:
            values = torch.full((code_map.count,), torch.nan)
            return {**scale, "low": 0.0, "high": 100.0, "values": _bytes(values), "known": 0}
        values = getattr(layout.quality, name)
        low, high = values.quantile(torch.tensor([0.02, 0.98])).tolist()
        high = max(high, low + 0.02)
        return {
            **scale, "low": 100 * low, "high": 100 * high, "known": code_map.count,
            "values": _bytes(((values - low) / (high - low)).clamp(0, 1)),
        }  # fmt: skip
    row = table[name]
    return {
        "name": name, "label": row.label, "definition": row.definition, "unit": row.unit,
        "low": row.low, "high": row.high, "known": code_map.known,
        "values": _bytes(code_map.values(name)),
    }  # fmt: skip


class Album:
    """Pictures of a map's faces, drawn when first asked for. Thread-safe.

    Parameters
    ----------
    code_map : CodeMap
        Of the faces.
    """

    def __init__(self, code_map: CodeMap) -> None:
        self._map = code_map
        self._pictures: OrderedDict[int, dict[str, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def known(self, row: int) -> dict[str, Any] | None:
        """The picture of a point, as the browser takes it; None where it was not drawn yet."""
        with self._lock:
            if row in self._pictures:
                self._pictures.move_to_end(row)
            return self._pictures.get(row)

    def picture(self, row: int) -> dict[str, Any]:
        """The picture of a point, as the browser takes it."""
        value = self.known(row)
        if value is None:
            found = self._map
            glances = Glances.of(found.models)  # whoever clicks gets the picture that is seen
            face = glances.draw(found.models, found.seed_of(row), found.truncation_psi)
            value = picture_value(face)
            with self._lock:
                self._pictures[row] = value
                if len(self._pictures) > KEPT_PICTURES:
                    self._pictures.popitem(last=False)
        return value


def draw(code_map: CodeMap, ws: Tensor) -> Tensor:
    """Pictures (M, 3, R, R) of latents (M, num_ws, w_dim)."""
    generator = code_map.models.generator
    with torch.inference_mode():
        return generator.synthesis(ws.to(generator.w_avg.device), noise_mode=NOISE).cpu()


def named_of(code_map: CodeMap, table: AttributeTable, row: int) -> list[list[Any]]:
    """What sets a face apart from the others on the map: name, reading, standard deviations."""
    if code_map.readings is None or row >= code_map.known:
        return []
    columns = [code_map.models.table.index(name) for name in table.names]
    read = code_map.readings[: code_map.known, columns].float() / 255
    apart = (read[row] - read.mean(0)) / read.std(0).clamp_min(0.02)
    most = apart.abs().topk(min(NAMED, len(columns))).indices.tolist()
    return [[table.names[i], float(read[row, i]), float(apart[i])] for i in most]


def words_of(code_map: CodeMap, layout: Layout, table: AttributeTable, row: int) -> dict[str, Any]:
    """What sets a face apart, and how far its place on the map can be believed."""
    believed = {} if layout.quality is None else layout.quality._asdict()
    return {
        "named": named_of(code_map, table, row),
        "believed": {name: float(values[row]) for name, values in believed.items()},
    }


def comparison_value(
    code_map: CodeMap, table: AttributeTable, a: Sequence[int], b: Sequence[int]
) -> dict[str, Any]:
    """Two groups compared, as the browser takes it."""
    rows = [r for r in compare_groups(code_map, a, b) if r.attribute in table]
    fields = ("attribute", "mean_a", "mean_b", "difference", "low", "high", "decided")
    return {
        "counts": [len(set(a)), len(set(b))],
        "rows": [{f: getattr(row, f) for f in fields} for row in rows],
    }


def walk_value(code_map: CodeMap, found: MapWalk, images: Tensor) -> dict[str, Any]:
    """A walk as the browser takes it: its pictures side by side, and where each stop lies."""
    stops = [
        {
            "seed": None if row is None else code_map.seed_of(row),
            "drawn": found.drawn[i].tolist(),
            "placed": found.placed.position[i].tolist(),
            "spread": float(found.placed.spread[i]),
            "strangeness": float(found.strangeness[i]),
            "picture": picture_value(images[i]),
        }
        for i, row in enumerate(found.rows)
    ]
    return {"stops": stops, "usual": list(code_map.usual)}


def make_walk(
    code_map: CodeMap, layout: Layout, points: Sequence[Sequence[float]]
) -> tuple[MapWalk, dict[str, Any]]:
    """Walk along a path that was drawn on a layout."""
    _check_placing(code_map, layout)
    found = walk(code_map, layout, points, STOPS)
    return found, walk_value(code_map, found, draw(code_map, found.ws))


def place_walk(code_map: CodeMap, layout: Layout, found: MapWalk) -> tuple[MapWalk, dict[str, Any]]:
    """The same faces on another layout: the path through where they belong there."""
    placed = code_map.place(found.ws, layout)
    moved = replace(found, placed=placed, drawn=placed.position)
    return moved, walk_value(code_map, moved, draw(code_map, moved.ws))


def make_trajectories(
    code_map: CodeMap, layout: Layout, w: Tensor, attribute: str, stop: Any, say: Words
) -> tuple[list[MapTrajectory], dict[str, Any]]:
    """Follow an edit with every method."""
    _check_placing(code_map, layout)
    found, reasons = trajectories(code_map, layout, w, attribute, stop=stop)
    value = {
        "attribute": attribute,
        "usual": list(code_map.usual),
        "reasons": {name: say.said(why) for name, why in reasons.items()},
        "methods": [
            {
                "name": way.method,
                "asked": _rounded(way.asked),
                "came": None if way.came is None else _rounded(way.came),
                "placed": _rounded(way.placed.position),
                "strangeness": _rounded(way.strangeness),
            }
            for way in found
        ],
    }
    return found, value


def _rounded(values: Tensor) -> Any:
    return np.round(values.double().numpy(), 5).tolist()


def can_place(code_map: CodeMap, layout: Layout) -> bool:
    """Whether new faces have a place: it takes what is seen in all faces, and no file holds it."""
    return layout.space == "w" or code_map.at_hand(layout.space)


def _check_placing(code_map: CodeMap, layout: Layout) -> None:
    if not can_place(code_map, layout):
        raise ValueError(
            f"map of {layout.space!r}: a new face has no place on it before all "
            f"{code_map.count} faces have been looked at; press Look at all faces, or switch to W"
        )


def first_face(
    code_map: CodeMap, layout: Layout, table: AttributeTable, row: int, picture: dict[str, Any]
) -> dict[str, Any]:
    """A point that was just clicked, before the session has drawn it: all of it is known."""
    return {
        "seed": code_map.seed_of(row),
        "row": row,
        "usual": list(code_map.usual),
        "before": layout.coordinates[row].tolist(),
        "named": named_of(code_map, table, row),
        "edited": False,
        "picture": picture,
    }


def loaded_values(
    code_map: CodeMap, layout: Layout, table: AttributeTable, result: EditResult, early: bool
) -> Iterator[dict[str, Any]]:
    """The face of a result on a map; ``early``, of a point, first what is known at once.

    Placing an edit takes about as long as drawing it: its face need not wait for its place.
    """
    state, before, after = result.state, result.w, result.w_edited
    if before is None:
        return
    seed = None if state.w is not None else state.seed
    drawn: dict[str, Any] = {"stamp": result.stamp, "drawn": result.stamp}
    shown = result.after if result.after is not None else result.before
    if shown is not None:
        drawn["picture"] = picture_value(shown)
    ws = {"before": before, "after": before if after is None else after}
    where = (code_map, layout, table, seed, state.truncation_psi, ws)
    known = face_value(*where, place=False)
    if early and known["row"] is not None and known["edited"]:
        yield {**known, **drawn}
    yield {**face_value(*where), **drawn}


def face_value(
    code_map: CodeMap,
    layout: Layout,
    table: AttributeTable,
    seed: int | None,
    psi: float,
    ws: Mapping[str, Tensor],
    place: bool = True,
) -> dict[str, Any]:
    """Where the loaded face and its edit lie.

    Parameters
    ----------
    code_map, layout, table
        The map, and the attributes that may be named.
    seed : int or None
        Of the face.
    psi : float
        Its truncation: at another one than the map's it is another latent.
    ws : mapping
        ``before`` and ``after``, (1, num_ws, w_dim).
    place : bool
        Whether what is no point of the map is placed on it.
    """
    row = code_map.row_of(seed) if psi == code_map.truncation_psi else None
    value: dict[str, Any] = {"seed": seed, "row": row, "usual": list(code_map.usual)}
    if place and can_place(code_map, layout):
        both = torch.cat([ws["before"], ws["after"]]).float().cpu()
        placed, strange = code_map.place(both, layout), code_map.strangeness(both)
        for i, name in enumerate(("before", "after")):
            value[name] = placed.position[i].tolist()
            value[f"{name}_strangeness"] = float(strange[i])
            value[f"{name}_spread"] = float(placed.spread[i])
    if row is not None:
        value["before"] = layout.coordinates[row].tolist()
    value["edited"] = not torch.equal(ws["before"], ws["after"])
    if row is not None and not value["edited"]:  # the map knows the unedited face alone
        value["named"] = named_of(code_map, table, row)
    return value
