"""Maps of a cloud of points in the plane, and how far each can be believed.

The layout is UMAP (McInnes, Healy and Melville 2018, arXiv:1802.03426) by umap-learn. Its own
search for neighbours is approximate and has to be compiled in every process; here the neighbours
are exact, found by torch, and handed over. Seeds are fixed, so a map is the same whenever it is
drawn on one machine (not on every machine: the order of floating-point sums differs).

A map of many dimensions in two has to lie. How much is measured for each point, as Venna and Kaski
(2001, "Neighborhood preservation in nonlinear projection methods") do: *trustworthiness* falls with
neighbours on the map that are none in the cloud, *continuity* with neighbours in the cloud that the
map has torn away. *Kept* is the plain share of its map neighbours that are neighbours in the cloud.

A new point is placed among its nearest neighbours (:func:`place`), not by ``UMAP.transform``: that
needs the index of umap-learn's own search, compiles for seconds when it is first called, and moves
the point by a random optimization, so that a dragged slider would make it jitter.
"""

from __future__ import annotations

import contextlib
import threading
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from l2l_widgets.errors import ignored

__all__ = [
    "INITS",
    "Neighbours",
    "Placement",
    "Quality",
    "align",
    "cloud_distance",
    "exact_neighbours",
    "fit_layout",
    "map_neighbours",
    "place",
    "quality",
    "warm_up",
    "warm_up_quietly",
]

#: Where a layout starts: the two widest directions, a spectral embedding, or anywhere.
INITS = ("pca", "spectral", "random")
#: A layout of fewer points says nothing, and umap-learn refuses it.
LEAST_POINTS = 32
#: Rows of a distance matrix at a time: 512 x 10,000 numbers are 20 MB.
CHUNK = 512
#: A point this much nearer than its farthest neighbour is the new point itself.
ITSELF = 1e-4

_WARMING = threading.Lock()


class Neighbours(NamedTuple):
    """Nearest points of each point, itself left out.

    Attributes
    ----------
    rows : Tensor, shape (N, k), int64
        Nearest first.
    distances : Tensor, shape (N, k), float32
        Euclidean, in units of the features.
    """

    rows: Tensor
    distances: Tensor


class Quality(NamedTuple):
    """How far each point's surroundings on a map can be believed; all in [0, 1], 1 is best.

    Attributes
    ----------
    kept : Tensor, shape (N,), float32
        Share of its k map neighbours that are among its k nearest in the cloud.
    trustworthiness : Tensor, shape (N,), float32
        Falls with false neighbours, more the further away they really are.
    continuity : Tensor, shape (N,), float32
        Falls with neighbours that the map has torn away, more the further away they lie on it.
    """

    kept: Tensor
    trustworthiness: Tensor
    continuity: Tensor


class Placement(NamedTuple):
    """Where new points belong on a map.

    Attributes
    ----------
    position : Tensor, shape (M, 2), float32
        On the map.
    rows : Tensor, shape (M, k), int64
        The nearest points of the cloud, nearest first.
    distance : Tensor, shape (M,), float32
        Mean distance to its k nearest other points, in units of the features; a point of the cloud
        is not its own neighbour, as in :func:`exact_neighbours`.
    spread : Tensor, shape (M,), float32
        How far apart these neighbours lie on the map: the median of their distances to
        ``position``. Where it is large, the map has no one place for the point.
    """

    position: Tensor
    rows: Tensor
    distance: Tensor
    spread: Tensor


# -- neighbours ------------------------------------------------------------------------------------


def exact_neighbours(x: Tensor, k: int = 15) -> Neighbours:
    """Find the k nearest other points of every point, by comparing all pairs.

    Parameters
    ----------
    x : Tensor, shape (N, D)
        Finite numbers.
    k : int
        From 2 to N - 1.

    Raises
    ------
    ValueError
        Another shape, a number that is not finite, or an impossible k.
    """
    x = _checked("x", x)
    if type(k) is not int or not 2 <= k < len(x):
        raise ValueError(f"neighbours is {k!r}; allowed: 2 to {len(x) - 1} for {len(x)} points")
    found = []
    for start in range(0, len(x), CHUNK):
        part = x[start : start + CHUNK]
        found.append(_nearest(part, x, _distances(part, x, exclude_from=start), k))
    return Neighbours(torch.cat([n.rows for n in found]), torch.cat([n.distances for n in found]))


def _nearest(part: Tensor, x: Tensor, distances: Tensor, k: int) -> Neighbours:
    """The k nearest of the rows of x, their distances once more without the loss of digits."""
    rows = distances.topk(k, largest=False).indices
    exact = (part[:, None] - x[rows]).norm(dim=2)
    exact, order = exact.sort(dim=1, stable=True)
    return Neighbours(rows.gather(1, order), exact)


def map_neighbours(coordinates: Tensor, k: int) -> Tensor:
    """Return the k nearest other points on a map of each point, (N, k) int64, nearest first."""
    from scipy.spatial import cKDTree

    points = coordinates.double().cpu().numpy()
    _, rows = cKDTree(points).query(points, k + 1)
    # Where points lie on top of each other, a point need not be its own first neighbour.
    own = rows == np.arange(len(points))[:, None]
    own[~own.any(axis=1), -1] = True
    return torch.from_numpy(rows[~own].reshape(len(points), k)).long()


def _distances(part: Tensor, x: Tensor, exclude_from: int | None = None) -> Tensor:
    # By products: several times faster than differences, and exact enough for these lengths,
    # because the cloud's mean is taken away first.
    mean = x.mean(dim=0)
    a, b = part - mean, x - mean
    squared = a.square().sum(1, keepdim=True) + b.square().sum(1) - 2 * a @ b.T
    d = squared.clamp_min_(0).sqrt_()
    if exclude_from is not None:
        own = torch.arange(len(part))
        d[own, exclude_from + own] = torch.inf
    return d


# -- the layout ------------------------------------------------------------------------------------


def fit_layout(
    x: Tensor,
    neighbours: Neighbours,
    seed: int = 0,
    *,
    init: str = "pca",
    epochs: int = 200,
    min_dist: float = 0.1,
) -> Tensor:
    """Lay a cloud out in the plane.

    Parameters
    ----------
    x : Tensor, shape (N, D)
        The cloud, at least 32 points.
    neighbours : Neighbours
        Of its points, from :func:`exact_neighbours`.
    seed : int
        From 0. The same seed gives the same map; what differs between seeds is not in the data.
    init : {"pca", "spectral", "random"}
        Where the points start.
    epochs : int
        Rounds of the optimization, 1 to 5000.
    min_dist : float
        How close neighbours may lie, in [0, 1).

    Returns
    -------
    Tensor, shape (N, 2), float32
        Centred on 0, with a root-mean-square distance of 1 from it.

    Raises
    ------
    ValueError
        An argument is out of its range, or the neighbours are not those of so many points.
    """
    x = _checked("x", x)
    count = len(x)
    if count < LEAST_POINTS:
        raise ValueError(f"x holds {count} points; allowed: at least {LEAST_POINTS}")
    if len(neighbours.rows) != count:
        raise ValueError(
            f"neighbours are of {len(neighbours.rows)} points; allowed: of the {count} that x holds"
        )
    if init not in INITS:
        raise ValueError(f"init is {init!r}; allowed: {', '.join(INITS)}")
    if type(epochs) is not int or not 1 <= epochs <= 5000:
        raise ValueError(f"epochs is {epochs!r}; allowed: 1 to 5000")
    if not 0 <= min_dist < 1:
        raise ValueError(f"min_dist is {min_dist!r}; allowed: 0 to below 1")
    with _WARMING:  # two first calls at once would both compile
        return _fit(x, neighbours, seed, init, epochs, min_dist)


def _fit(
    x: Tensor, neighbours: Neighbours, seed: int, init: str, epochs: int, min_dist: float
) -> Tensor:
    rows = torch.cat([torch.arange(len(x))[:, None], neighbours.rows], dim=1)
    distances = torch.cat([torch.zeros(len(x), 1), neighbours.distances], dim=1)
    start = _principal_plane(x, seed) if init == "pca" else init
    # Notes to its authors' other users: about numba, n_jobs and the transform we do not use.
    with ignored(module=r"(umap|numba|pynndescent|sklearn|scipy)\b"):
        from umap import UMAP

        fitted = UMAP(
            n_neighbors=rows.shape[1],
            n_epochs=epochs,
            min_dist=min_dist,
            init=start,
            random_state=seed,
            n_jobs=1,
            precomputed_knn=(rows.numpy().astype(np.int32), distances.numpy()),
            force_approximation_algorithm=True,
        ).fit(x.numpy())
    coordinates = torch.from_numpy(np.array(fitted.embedding_, dtype=np.float32))
    coordinates = coordinates - coordinates.mean(dim=0)
    return coordinates / coordinates.square().sum(dim=1).mean().sqrt().clamp_min(1e-12)


def _principal_plane(x: Tensor, seed: int) -> np.ndarray:
    """Each point in the two widest directions, with a little noise that is the seed's own."""
    centred = (x - x.mean(dim=0)).double()
    _, vectors = torch.linalg.eigh(centred.T @ centred)
    plane = centred @ vectors[:, -2:].flip(1)  # (N, 2)
    plane = 10 * plane / plane.abs().max().clamp_min(1e-12)
    noise = torch.from_numpy(np.random.default_rng([seed, 2]).standard_normal(plane.shape))
    return (plane + 1e-1 * noise).float().numpy()


def warm_up() -> None:
    """Import umap-learn and have numba compile it, which takes many seconds in every process.

    Call it on a thread while something else is being computed; the second call costs nothing.
    """
    global _warm
    if _warm:
        return
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((64, 4), dtype=np.float32))
    fit_layout(x, exact_neighbours(x, 4), epochs=2)
    _warm = True


def warm_up_quietly() -> None:
    """As :func:`warm_up`, as a thread's whole work."""
    # What is wrong with umap is said where a layout is asked for, not from a thread.
    with contextlib.suppress(Exception):
        warm_up()


_warm = False


def align(coordinates: Tensor, reference: Tensor) -> Tensor:
    """Turn and mirror one map of a cloud so that it lies as nearly as possible on another.

    Parameters
    ----------
    coordinates, reference : Tensor, shape (N, 2)
        Two maps of the same points. UMAP's axes mean nothing, so nothing is lost by turning them.
    """
    u, _, v = torch.linalg.svd(coordinates.double().T @ reference.double())
    return (coordinates.double() @ (u @ v)).float()


# -- how far it can be believed --------------------------------------------------------------------


def quality(x: Tensor, neighbours: Neighbours, coordinates: Tensor) -> Quality:
    """Measure how far each point's surroundings on a map can be believed.

    Parameters
    ----------
    x : Tensor, shape (N, D)
        The cloud.
    neighbours : Neighbours
        Of its points; their number is the k of all three measures.
    coordinates : Tensor, shape (N, 2)
        The map.

    Raises
    ------
    ValueError
        The shapes disagree, or k is not below half the number of points.
    """
    x, coordinates = _checked("x", x), _checked("coordinates", coordinates)
    count, k = len(x), neighbours.rows.shape[1]
    if len(coordinates) != count or len(neighbours.rows) != count:
        raise ValueError(
            f"x, neighbours and coordinates are of {count}, {len(neighbours.rows)} and "
            f"{len(coordinates)} points; allowed: the same"
        )
    if 2 * k >= count:
        raise ValueError(f"k is {k}; allowed: below half of the {count} points")
    near = map_neighbours(coordinates, k)
    kept = (near[:, :, None] == neighbours.rows[:, None, :]).any(dim=2).float().mean(dim=1)
    # The largest sum of excess ranks that k points can have.
    worst = k * (2 * count - 3 * k - 1) / 2

    def belief(space: Tensor, others: Tensor) -> Tensor:
        excess = []
        for start in range(0, count, CHUNK):
            d = _distances(space[start : start + CHUNK], space, exclude_from=start)
            own = d.gather(1, others[start : start + CHUNK])  # (chunk, k)
            # A rank is how many points are nearer. Sorted by NumPy, which is several times faster.
            rank = torch.searchsorted(torch.from_numpy(np.sort(d.numpy(), axis=1)), own) + 1
            excess.append((rank - k).clamp_min(0).sum(dim=1))
        return (1 - torch.cat(excess).float() / worst).clamp(0, 1)

    return Quality(kept, belief(x, near), belief(coordinates, neighbours.rows))


# -- new points ------------------------------------------------------------------------------------


def place(points: Tensor, x: Tensor, coordinates: Tensor, k: int = 15) -> Placement:
    """Place new points on a map, each among its nearest points of the cloud.

    The place is their geometric median, weighted by nearness. A mean would put a point whose
    neighbours the map has torn apart into the empty middle between them; the median goes to the
    side where most of them are. It takes milliseconds, moves nobody else, and gives the same point
    the same place.

    Parameters
    ----------
    points : Tensor, shape (M, D)
        New points.
    x : Tensor, shape (N, D)
        The cloud.
    coordinates : Tensor, shape (N, 2)
        Its map.
    k : int
        Neighbours, 1 to N.
    """
    points, x = _checked("points", points), _checked("x", x)
    if points.shape[1] != x.shape[1]:
        raise ValueError(
            f"points have {points.shape[1]} numbers each; allowed: {x.shape[1]}, as the cloud has"
        )
    if not 1 <= k <= len(x):
        raise ValueError(f"k is {k!r}; allowed: 1 to {len(x)}")
    wanted = min(k + 1, len(x))  # one more, where the nearest is the point itself
    parts = [_nearest(part, x, _distances(part, x), wanted) for part in points.split(CHUNK)]
    found = torch.cat([p.distances for p in parts])  # (M, k + 1), nearest first
    distances, rows = found[:, :k], torch.cat([p.rows for p in parts])[:, :k]
    # In many dimensions all neighbours are about equally far: so are their votes.
    weight = torch.exp(-distances / distances.mean(dim=1, keepdim=True).clamp_min(1e-12))
    near = coordinates[rows]  # (M, k, 2)
    position = (weight[..., None] * near).sum(1) / weight.sum(1, keepdim=True)
    for _ in range(20):  # Weiszfeld's iteration
        gap = (near - position[:, None]).norm(dim=2).clamp_min(1e-4)
        share = weight / gap
        position = (share[..., None] * near).sum(1) / share.sum(1, keepdim=True)
    # A point of the cloud itself lies where the map has it.
    known = _is_itself(found)
    position = torch.where(known[:, None], near[:, 0], position)
    spread = (near - position[:, None]).norm(dim=2).median(dim=1).values
    return Placement(position, rows, _mean_to_others(found, k), spread)


def cloud_distance(ws: Tensor, x: Tensor, k: int = 15) -> Tensor:
    """Mean distance of latents to their k nearest other points of a cloud, (M,).

    A point of the cloud is not its own neighbour, as in :func:`exact_neighbours`.

    Parameters
    ----------
    ws : Tensor, shape (M, D) or (M, rows, D)
        Latents; in W+ the distance to a point is the root mean square over the rows, so that rows
        that have drifted apart count as distance too.
    x : Tensor, shape (N, D)
        The cloud.
    k : int
        Neighbours.
    """
    rows = ws if ws.ndim == 3 else ws[:, None]
    middle = rows.mean(dim=1)
    apart = (rows - middle[:, None]).square().sum(dim=2).mean(dim=1, keepdim=True)  # (M, 1)
    wanted = min(k + 1, len(x))
    near = torch.cat(
        [_nearest(p, x, _distances(p, x), wanted).distances for p in middle.split(CHUNK)]
    )
    return _mean_to_others((near.square() + apart).sqrt(), k)


def _is_itself(distances: Tensor) -> Tensor:
    """Whether the nearest of (M, k) distances, nearest first, is to the point itself, (M,)."""
    return distances[:, 0] <= ITSELF * distances[:, -1].clamp_min(1e-12)


def _mean_to_others(distances: Tensor, k: int) -> Tensor:
    """Mean of k of (M, k + 1) distances, nearest first: without the point itself, or the last."""
    others = distances[:, 1:].sum(dim=1) / max(1, distances.shape[1] - 1)
    return torch.where(_is_itself(distances), others, distances[:, :k].mean(dim=1))


def _checked(name: str, x: Tensor) -> Tensor:
    if not isinstance(x, Tensor) or x.ndim != 2 or 0 in x.shape:
        shape = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"{name} has shape {shape}; allowed: a tensor (N >= 1, D >= 1)")
    # The sum is not finite where a number is not: asked first, for it takes a tenth of the time.
    if not bool(torch.isfinite(x.sum())) and not bool(torch.isfinite(x).all()):
        raise ValueError(f"{name} holds NaN or infinity; allowed: finite numbers")
    return x.detach().float().cpu()
