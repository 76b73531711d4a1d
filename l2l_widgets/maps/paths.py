"""What can be asked of a map: what sets groups apart, what lies on a path, where an edit goes.

Plain values in and out; a widget draws them, a script may print them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from l2l_widgets.attributes import EditRequest
from l2l_widgets.maps.code_map import CodeMap, Layout
from l2l_widgets.maps.layout import Placement
from l2l_widgets.maps.seeing import shown_to
from l2l_widgets.metrics.significance import false_discovery_q_values
from l2l_widgets.policy import check_visible, visible_table

__all__ = ["Difference", "MapTrajectory", "MapWalk", "compare_groups", "trajectories", "walk"]

#: Resamples behind an interval of a difference.
DRAWS = 1000
#: Rate of false discoveries at which a difference counts as decided.
FALSE_DISCOVERIES = 0.05
#: What is asked of a method that does not say how far it reaches.
PLAIN_REACH = 0.5


# -- two groups ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """What sets two groups of faces apart in one attribute; all in attribute units.

    Parameters
    ----------
    attribute : str
        Its name.
    mean_a, mean_b : float
        Of the groups, in [0, 1].
    difference, low, high : float
        ``mean_b - mean_a`` with its 95 % bootstrap interval over the faces.
    decided : bool
        Whether it is a discovery at a false-discovery rate of 5 % over all attributes. What a map's
        groups were chosen by, by eye, no test can take into account.
    """

    attribute: str
    mean_a: float
    mean_b: float
    difference: float
    low: float
    high: float
    decided: bool


def compare_groups(code_map: CodeMap, a: Sequence[int], b: Sequence[int]) -> list[Difference]:
    """Compare two groups of a map's faces in every attribute that is not hidden.

    The largest difference comes first.

    Parameters
    ----------
    code_map : CodeMap
        Its faces' readings are used; those not read yet are left out.
    a, b : sequence of int
        Points of the map; at least 2 in each that have been read.

    Raises
    ------
    ValueError
        A group is too small, or holds a point that the map does not have.
    """
    groups = []
    for name, rows in (("a", a), ("b", b)):
        wrong = next((r for r in rows if type(r) is not int or not 0 <= r < code_map.count), None)
        if wrong is not None:
            raise ValueError(f"group {name} holds {wrong!r}; allowed: 0 to {code_map.count - 1}")
        known = sorted({r for r in rows if r < code_map.known})
        if len(known) < 2 or code_map.readings is None:
            raise ValueError(
                f"group {name} has {len(known)} faces that have been read; allowed: at least 2"
            )
        groups.append(code_map.readings[known].double() / 255)
    means = [g.mean(dim=0) for g in groups]
    # Each group is resampled by itself, with its own draws.
    drawn = _resampled_means(groups[1], 1) - _resampled_means(groups[0], 0)  # (draws, A)
    difference = means[1] - means[0]
    low, high = torch.quantile(drawn, torch.tensor([0.025, 0.975], dtype=torch.float64), dim=0)
    q = false_discovery_q_values(_welch(groups[0], groups[1]))
    visible = visible_table(code_map.models.table)
    rows_out = [
        Difference(
            name, float(means[0][i]), float(means[1][i]), float(difference[i]), float(low[i]),
            float(high[i]), bool(q[i] < FALSE_DISCOVERIES),
        )
        for i, name in enumerate(code_map.models.table.names)
        if name in visible
    ]  # fmt: skip
    return sorted(rows_out, key=lambda row: -abs(row.difference))


def _resampled_means(values: Tensor, seed: int) -> Tensor:
    """Means of resampled rows of (N, K), (draws, K)."""
    generator, n = torch.Generator().manual_seed(seed), len(values)
    drawn = torch.randint(n, (DRAWS, n), generator=generator)
    counts = torch.zeros(DRAWS, n, dtype=torch.float64)
    counts.scatter_add_(1, drawn, torch.ones(DRAWS, n, dtype=torch.float64))
    return counts @ values / n


def _welch(a: Tensor, b: Tensor) -> Tensor:
    """Two-sided p-values (K,) that the columns' means are equal, whatever their variances."""
    from scipy.special import stdtr  # heavy: only where something is tested

    parts = [g.var(dim=0) / len(g) for g in (a, b)]
    error = sum(parts, torch.zeros(a.shape[1], dtype=torch.float64))
    gap = b.mean(dim=0) - a.mean(dim=0)
    freedom = error.square() / sum(
        (p.square() / (len(g) - 1) for p, g in zip(parts, (a, b), strict=True)), 1e-300 * error
    ).clamp_min(1e-300)
    t = gap.abs() / error.sqrt().clamp_min(1e-150)
    p = torch.from_numpy(2 * stdtr(freedom.clamp_min(1).numpy(), -t.numpy()))
    constant = torch.where(gap == 0, 1.0, 0.0).double()
    return torch.where(error > 0, p, constant)


# -- a path ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MapWalk:
    """The faces along a path that was drawn on a map.

    Parameters
    ----------
    ws : Tensor, shape (S, num_ws, w_dim)
        Their latents.
    rows : tuple of (int or None)
        The point of the map that a stop is; None in between two of them.
    drawn : Tensor, shape (S, 2)
        Where on the path the stop was asked for.
    placed : Placement
        Where it belongs on the map.
    strangeness : Tensor, shape (S,)
        As :meth:`CodeMap.strangeness` has it.
    """

    ws: Tensor
    rows: tuple[int | None, ...]
    drawn: Tensor
    placed: Placement
    strangeness: Tensor


def walk(
    code_map: CodeMap, layout: Layout, points: Sequence[Sequence[float]], stops: int = 9
) -> MapWalk:
    """Turn a path on a map into faces.

    Every other stop is the face of the map that lies nearest to the path there; between two of
    them lies the face half way in W, on the straight line. The map cannot say what lies between its
    points, and need not have the half-way face anywhere near the path: ``placed`` says where it is.

    Parameters
    ----------
    code_map : CodeMap
        Of the faces.
    layout : Layout
        The map that was drawn on.
    points : sequence of (x, y)
        The path, in the map's units; at least two different points.
    stops : int
        Faces, odd, 3 to 99.
    """
    path = torch.tensor(points, dtype=torch.float32)
    if path.ndim != 2 or path.shape[1] != 2 or not bool(torch.isfinite(path).all()):
        raise ValueError(f"points have shape {tuple(path.shape)}; allowed: (P >= 2, 2), finite")
    if type(stops) is not int or not 3 <= stops <= 99 or stops % 2 == 0:
        raise ValueError(f"stops is {stops!r}; allowed: an odd number from 3 to 99")
    drawn = _evenly(path, stops)
    rows: list[int | None] = [None] * stops
    taken: set[int] = set()
    for i in range(0, stops, 2):  # a face that stands on the path already is passed over
        order = (layout.coordinates - drawn[i]).norm(dim=1).topk(stops, largest=False).indices
        rows[i] = next(r for r in order.tolist() if r not in taken)
        taken.add(int(rows[i] or 0))
    anchors = code_map.ws([r for r in rows if r is not None])  # (A, num_ws, w_dim)
    ws = anchors.repeat_interleave(2, dim=0)[:-1].clone()
    ws[1::2] = (anchors[:-1] + anchors[1:]) / 2
    return MapWalk(ws, tuple(rows), drawn, code_map.place(ws, layout), code_map.strangeness(ws))


def _evenly(path: Tensor, stops: int) -> Tensor:
    """Points at equal distances along a path (P, 2), (stops, 2)."""
    lengths = (path[1:] - path[:-1]).norm(dim=1)
    way = torch.cat([torch.zeros(1), lengths.cumsum(0)])
    if float(way[-1]) <= 0:
        raise ValueError("points are all the same; allowed: a path with a length")
    goals = torch.linspace(0, float(way[-1]), stops)
    after = torch.searchsorted(way, goals).clamp(1, len(path) - 1)
    share = ((goals - way[after - 1]) / (way[after] - way[after - 1]).clamp_min(1e-12))[:, None]
    return path[after - 1] * (1 - share) + path[after] * share


# -- an edit ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MapTrajectory:
    """Where one method takes a face as an attribute is asked for more and more.

    Parameters
    ----------
    method : str
        Its name.
    asked : Tensor, shape (S,)
        Changes in attribute units, from the most negative to the most positive.
    came : Tensor, shape (S,), or None
        The change that the attribute judge reads (the regressor where there is none); None where
        nothing can read.
    placed : Placement
        Of the edited latents on the map.
    strangeness : Tensor, shape (S,)
        Whether it stays in the cloud, as :meth:`CodeMap.strangeness` has it.
    ws : Tensor, shape (S, num_ws, w_dim)
        The latents.
    """

    method: str
    asked: Tensor
    came: Tensor | None
    placed: Placement
    strangeness: Tensor
    ws: Tensor


def trajectories(
    code_map: CodeMap,
    layout: Layout,
    w: Tensor,
    attribute: str,
    *,
    methods: Sequence[str] | None = None,
    steps: int = 13,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[list[MapTrajectory], dict[str, str]]:
    """Follow an edit with every method, each as far as it says it reaches.

    Parameters
    ----------
    code_map, layout
        The map to draw on.
    w : Tensor, shape (1, num_ws, w_dim)
        The face.
    attribute : str
        What is changed.
    methods : sequence of str, optional
        Editors; all that the models have where not given.
    steps : int
        Sizes of the change for each method, from 3; one of them is the nearest to no change.
    stop : callable
        Asked before each size of each method; True ends it with the methods that are there.

    Returns
    -------
    trajectories : list of MapTrajectory
    reasons : dict
        Method -> why it has none.
    """
    models = code_map.models
    models.table.index(attribute)  # an unknown name is refused, with the one that was meant
    check_visible((attribute,), models.table)
    found: list[MapTrajectory] = []
    reasons: dict[str, str] = {}
    for method in models.available_editors if methods is None else methods:
        if stop():
            break
        try:
            asked, ws = _sweep(code_map, w, attribute, method, steps, stop)
            if len(ws) < len(asked):  # stopped in its midst
                break
            came = _came(code_map, ws, w, attribute)
        except (ValueError, OSError) as error:
            reasons[method] = str(error)
            continue
        found.append(
            MapTrajectory(
                method, asked, came, code_map.place(ws, layout), code_map.strangeness(ws), ws,
            )
        )  # fmt: skip
    return found, reasons


def _sweep(
    code_map: CodeMap,
    w: Tensor,
    attribute: str,
    method: str,
    steps: int,
    stop: Callable[[], bool],
) -> tuple[Tensor, Tensor]:
    editor = code_map.models.editor(method)
    if attribute not in editor.attributes:
        why = getattr(editor, "reasons", {}).get(attribute, "it was not made for it")
        raise ValueError(f"{method} cannot change {attribute!r}: {why}")
    reach = getattr(editor, "reach", None)
    down, up = (PLAIN_REACH, PLAIN_REACH) if reach is None else reach(attribute)
    asked = torch.linspace(-min(1.0, down), min(1.0, up), steps)
    with torch.inference_mode():
        edited = []
        for size in asked.tolist():
            if stop():
                break
            edited.append(w if size == 0 else editor.edit(w, EditRequest({attribute: size})))
        ws = torch.cat(edited) if edited else w[:0]
    return asked, ws.float().cpu().clone()


def _came(code_map: CodeMap, ws: Tensor, w: Tensor, attribute: str) -> Tensor | None:
    models = code_map.models
    reader = next((p for p in ("attribute_judge", "regressor") if models.has(p)), None)
    if reader is None:
        return None
    with torch.inference_mode():
        latents = torch.cat([w.to(ws), ws]).to(models.generator.w_avg.device)
        images = models.generator.synthesis(latents, noise_mode="const")
        values = shown_to(models.part(reader), images, len(models.table))
        read = values[:, models.table.index(attribute)]
    if not bool(read.isfinite().all()):
        wrong = float(read[~read.isfinite()][0])
        raise ValueError(f"the {reader} reads {attribute!r} as {wrong}; allowed: finite numbers")
    return (read[1:] - read[0]).clone()
