"""A map of a generator's faces: many codes laid out in the plane, with what is known of each.

Code number i of a map is the face of seed ``first_seed + i`` at the map's truncation: a point on
the map has a name that every view, recipe and command knows. So a saved map needs no latents; the
mapping network draws ten thousand of them again in a fifth of a second.

Three spaces can be laid out: ``w``, the codes themselves; ``identity``, what the identity embedder
sees in the faces; ``attributes``, what the attribute judge reads in them. The last two ask for a
picture of every face.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from l2l_widgets.images import encode_jpeg, grid
from l2l_widgets.latents import faces_at_once, to_wplus, z_from_seeds
from l2l_widgets.maps.layout import (
    Neighbours,
    Placement,
    Quality,
    align,
    cloud_distance,
    exact_neighbours,
    fit_layout,
    place,
    quality,
    warm_up_quietly,
)
from l2l_widgets.maps.seeing import check_seen, shown_to
from l2l_widgets.models.zoo import Models

__all__ = ["SPACES", "CodeMap", "Layout", "check_count"]

#: Space -> what a person reads, and the part that sees it; None for the codes themselves.
SPACES = {
    "w": ("W, the codes", None),
    "identity": ("who it is, as the embedder sees it", "embedder"),
    "attributes": ("attributes, as the judge reads them", "attribute_judge"),
}
COUNT = 10_000
LAYOUTS = 5
NEIGHBOURS = 15
#: Faces drawn at a time, between two questions whether to stop.
BATCH = 64
#: Of the JPEG that holds all thumbnails: they are shown at about their own size.
THUMBNAIL_QUALITY = 75
#: Of the codes' own distances to their neighbours: the cloud's edges and middle.
QUANTILES = (0.05, 0.5, 0.95)

Progress = Callable[[str, float], None]


def _silent(text: str, share: float) -> None:
    pass


def check_count(count: object) -> None:
    """Raise ValueError for a number of faces that no map can have."""
    if type(count) is not int or not 64 <= count <= 1_000_000:
        raise ValueError(f"count is {count!r}; allowed: 64 to 1000000")


@dataclass(frozen=True)
class Layout:
    """One map of one space.

    Parameters
    ----------
    space : str
        A key of :data:`SPACES`.
    seed : int
        Of the layout.
    coordinates : Tensor, shape (N, 2), float32
        Centred, root-mean-square distance 1; turned so that it lies on the space's first map.
    quality : Quality or None
        How far each point's surroundings can be believed; None until it has been measured.
    """

    space: str
    seed: int
    coordinates: Tensor
    quality: Quality | None = None


class CodeMap:
    """Faces of a generator, laid out in the plane. Thread-safe.

    Parameters
    ----------
    models : Models
        What draws and reads the faces.
    count : int
        How many faces.
    truncation_psi : float
        Of all of them, in (0, 1.5].
    first_seed : int
        Seed of the first one; the others follow.
    neighbours : int
        How many nearest faces are a face's neighbours, from 2.

    Attributes
    ----------
    layouts : dict
        (space, seed) -> :class:`Layout`, as far as they are there.
    readings : Tensor, shape (N, A), uint8, or None
        The regressor's readings, 0 to 255 for 0 to 1; rows from ``known`` on are not read yet.
    known : int
        How many faces have been read.
    edges : tuple of float
        Mean distance of a code to its neighbours in W: 5 %, 50 % and 95 % quantile.
    """

    def __init__(
        self,
        models: Models,
        count: int = COUNT,
        truncation_psi: float = 0.7,
        first_seed: int = 0,
        neighbours: int = NEIGHBOURS,
    ) -> None:
        check_count(count)
        for name, value, low, high in (
            ("neighbours", neighbours, 2, 100),
            ("first_seed", first_seed, 0, 2**32 - 1),
        ):
            if type(value) is not int or not low <= value <= high:
                raise ValueError(f"{name} is {value!r}; allowed: {low} to {high}")
        if first_seed + count > 2**32:
            raise ValueError(f"first_seed is {first_seed}; allowed: at most {2**32 - count}")
        if 2 * neighbours >= count:
            raise ValueError(f"neighbours is {neighbours}; allowed: below half of {count} faces")
        if not 0 < truncation_psi <= 1.5:
            raise ValueError(
                f"truncation_psi is {truncation_psi!r}; allowed: above 0, at most 1.5 "
                "(at 0 all faces are one)"
            )
        self.models, self.count, self.truncation_psi = models, count, float(truncation_psi)
        self.first_seed, self.neighbours = first_seed, neighbours
        self.layouts: dict[tuple[str, int], Layout] = {}
        self.readings: Tensor | None = None
        self.known = 0
        self.edges: tuple[float, ...] = ()
        self.atlas: dict[str, Any] = {}
        self._features: dict[str, Tensor] = {}
        self._neighbours: dict[str, Neighbours] = {}
        # One a space: a look at ten thousand faces must not hold up a click on the map of W.
        self._locks = {space: threading.RLock() for space in SPACES}
        self._reading = threading.RLock()
        # Of the dictionaries: held for an assignment, never while something is computed.
        self._tables = threading.Lock()

    def __repr__(self) -> str:
        there = ", ".join(f"{space}/{seed}" for space, seed in self.layouts) or "nothing yet"
        return (
            f"CodeMap({self.count} faces of {self.models.name!r}, "
            f"seeds {self.first_seed} to {self.first_seed + self.count - 1}, laid out: {there})"
        )

    # -- the cloud ---------------------------------------------------------------------------------

    def seed_of(self, row: int) -> int:
        """Return the seed of a point of the map."""
        if not 0 <= row < self.count:
            raise ValueError(f"row is {row!r}; allowed: 0 to {self.count - 1}")
        return self.first_seed + row

    def row_of(self, seed: int | None) -> int | None:
        """Return the point of a seed, or None where the map does not hold it."""
        inside = seed is not None and 0 <= seed - self.first_seed < self.count
        return seed - self.first_seed if inside and seed is not None else None

    @property
    def codes(self) -> Tensor:
        """The latents in W, (N, w_dim), truncated."""
        return self.features("w")

    def ws(self, rows: Sequence[int]) -> Tensor:
        """Return latents of W+, (B, num_ws, w_dim), of points of the map."""
        return to_wplus(self.codes[list(rows)], self.models.generator.num_ws)

    def features(
        self, space: str, progress: Progress = _silent, stop: Callable[[], bool] = lambda: False
    ) -> Tensor:
        """Return every face as the space sees it, (N, D); computed once, and kept.

        Parameters
        ----------
        space : str
            A key of :data:`SPACES`. All but ``w`` draw every face: minutes for 10,000 on one core.
        progress : callable
            Gets a text and the share done.
        stop : callable
            Asked every few faces; True ends it with an InterruptedError.

        Raises
        ------
        ValueError
            No such space, or the models lack the part that sees it.
        """
        part = self._part_of(space)
        with self._locks[space]:
            if space not in self._features:
                if part is None:
                    self._features[space] = self._draw_codes()
                else:
                    see = self.models.part(part)
                    self._features[space] = self._look([see], "looking at the faces", progress,
                                                       stop)[0]  # fmt: skip
            return self._features[space]

    def at_hand(self, space: str) -> bool:
        """Whether the features of a space have been computed: new faces can be placed by them."""
        return space in self._features

    def _part_of(self, space: str) -> str | None:
        if space not in SPACES:
            raise ValueError(f"space is {space!r}; allowed: {', '.join(SPACES)}")
        part = SPACES[space][1]
        if part is not None and not self.models.has(part):
            raise ValueError(
                f"space is {space!r}; allowed with models {self.models.name!r}: w "
                f"(they have no {part})"
            )
        return part

    @torch.inference_mode()
    def _draw_codes(self) -> Tensor:
        generator = self.models.generator
        z = z_from_seeds(self.first_seed, self.count, generator.z_dim)
        z = z.to(generator.w_avg.device)
        parts = [
            generator.mapping(part, truncation_psi=self.truncation_psi)[:, 0].float().cpu()
            for part in z.split(2048)
        ]
        return torch.cat(parts).clone()

    def _look(
        self,
        eyes: Sequence[Callable[[Tensor], Tensor]],
        what: str,
        progress: Progress,
        stop: Callable[[], bool],
        each: Callable[[int, list[Tensor]], None] | None = None,
        pictures: Callable[[int, Tensor], None] | None = None,
        start: int = 0,
    ) -> list[Tensor]:
        """Draw faces in batches and show each to all eyes; what they see, one tensor an eye."""
        generator, seen = self.models.generator, []
        step = faces_at_once(generator, BATCH)
        for begin in range(start, self.count, step):
            if stop():
                raise InterruptedError(f"{what}: stopped at face {begin} of {self.count}")
            progress(f"{what}: {begin} of {self.count}", begin / self.count)
            with torch.inference_mode():
                ws = self.ws(range(begin, min(begin + step, self.count)))
                images = generator.synthesis(ws.to(generator.w_avg.device), noise_mode="const")
                views = [shown_to(eye, images) for eye in eyes]
            if each is not None:
                each(begin, views)
            for view in views:
                check_seen(view, self.first_seed + begin)
            seen.append([v.clone() for v in views])
            if pictures is not None:
                pictures(begin, images.cpu())
        return [torch.cat([views[i] for views in seen]) for i in range(len(eyes))]

    # -- what is known of each ---------------------------------------------------------------------

    def read(
        self,
        progress: Progress = _silent,
        stop: Callable[[], bool] = lambda: False,
        thumbnails: int = 0,
        side: int = 24,
        spaces: Sequence[str] = (),
    ) -> None:
        """Read the attributes of every face; goes on where an earlier call was stopped.

        A second call waits for the first, and has nothing to do where all faces have been read.

        Parameters
        ----------
        progress, stop
            As for :meth:`features`.
        thumbnails : int
            Of so many faces, the first ones, small pictures are kept as one atlas.
        side : int
            Their side in pixels.
        spaces : sequence of str
            Spaces whose features are taken from the same pictures.

        Raises
        ------
        ValueError
            A face is read as a number that is not finite: its seed. What was read before it stays.
        """
        parts = [self._part_of(space) for space in spaces]
        while not self._reading.acquire(timeout=0.2):
            if stop():
                raise InterruptedError("reading the faces: stopped before it began")
        try:
            if spaces or thumbnails or self.known < self.count:
                self._read(progress, stop, thumbnails, side, spaces, parts)
        finally:
            self._reading.release()

    def _read(
        self, progress: Progress, stop: Callable[[], bool], thumbnails: int, side: int,
        spaces: Sequence[str], parts: Sequence[str | None],
    ) -> None:  # fmt: skip
        table = self.models.table
        reader = partial(shown_to, self.models.regressor, width=len(table))
        eyes = [reader, *(self.models.part(p) for p in parts if p is not None)]
        if self.readings is None or spaces or thumbnails:
            self.readings, self.known = torch.zeros(self.count, len(table), dtype=torch.uint8), 0
        small: list[Tensor] = []

        def each(begin: int, views: list[Tensor]) -> None:
            assert self.readings is not None
            check_seen(views[0], self.first_seed + begin, table.names)
            values = views[0].clamp(0, 1).mul(255).round().to(torch.uint8)
            self.readings[begin : begin + len(values)] = values
            self.known = begin + len(values)

        def pictures(begin: int, images: Tensor) -> None:
            if begin < thumbnails:
                small.append(
                    torch.nn.functional.interpolate(
                        images[: thumbnails - begin].float(), (side, side), mode="area"
                    )
                )

        start = self.known
        seen = self._look(eyes, "reading the faces", progress, stop, each, pictures, start)
        with self._tables:
            self._features.update(dict(zip(spaces, seen[1:], strict=True)))
        if small:
            self._make_atlas(torch.cat(small), side)

    def _make_atlas(self, images: Tensor, side: int) -> None:
        columns = max(1, int(len(images) ** 0.5))
        missing = -len(images) % columns
        rows = torch.cat([images, images.new_zeros(missing, 3, side, side)])
        sheet = grid(rows, columns, gap=0)
        data = encode_jpeg(sheet, THUMBNAIL_QUALITY)
        self.atlas = {"count": len(images), "side": side, "columns": columns, "data": data}

    def values(self, name: str) -> Tensor:
        """Return the readings of an attribute, (N,) in [0, 1]; NaN where a face is not read yet."""
        column = self.models.table.index(name)
        values = torch.full((self.count,), torch.nan)
        if self.readings is not None:
            values[: self.known] = self.readings[: self.known, column].float() / 255
        return values

    # -- layouts -----------------------------------------------------------------------------------

    def near(self, space: str) -> Neighbours:
        """Return the exact nearest neighbours in a space; computed once, and kept."""
        self._part_of(space)
        with self._locks[space]:
            if space not in self._neighbours:
                found = exact_neighbours(self.features(space), self.neighbours)
                self._neighbours[space] = found
                if space == "w":
                    own = found.distances.mean(dim=1)
                    self.edges = tuple(own.quantile(torch.tensor(QUANTILES)).tolist())
            return self._neighbours[space]

    def lay_out(
        self, space: str = "w", seed: int = 0, *, measure: bool = True, **options: Any
    ) -> Layout:
        """Return a layout; made where it is not there yet.

        Parameters
        ----------
        space : str
            A key of :data:`SPACES`.
        seed : int
            From 0.
        measure : bool
            Whether its quality is measured as well, which takes as long as the layout.
        **options
            ``init``, ``epochs``, ``min_dist`` of :func:`l2l_widgets.maps.layout.fit_layout`.
        """
        self._part_of(space)
        with self._locks[space]:
            layout = self.layouts.get((space, seed))
            if layout is not None and (layout.quality is not None or not measure):
                return layout
            x, near = self.features(space), self.near(space)
            if layout is None:
                coordinates = fit_layout(x, near, seed, **options)
                first = next((v for (s, _), v in self.layouts.items() if s == space), None)
                if first is not None:
                    coordinates = align(coordinates, first.coordinates)
                layout = Layout(space, seed, coordinates)
            if measure:
                believed = quality(x, near, layout.coordinates)
                layout = Layout(space, seed, layout.coordinates, believed)
            with self._tables:
                # Another dict, not another entry: who goes through the old one is not disturbed.
                self.layouts = {**self.layouts, (space, seed): layout}
            return layout

    @classmethod
    def draw(
        cls, models: Models, count: int = COUNT, *, layouts: int = 1, measure: bool = True,
        progress: Progress = _silent,
        **options: Any,
    ) -> CodeMap:  # fmt: skip
        """Draw a map of W from nothing; the faces are not looked at (:meth:`read` does).

        Parameters
        ----------
        models : Models
            Their generator.
        count : int
            Faces.
        layouts : int
            How many seeds, from 1.
        measure : bool
            Whether it is measured how far they can be believed.
        progress : callable
            Gets a text and the share done.
        **options
            Of :class:`CodeMap`.
        """
        # Compiling takes longer than anything else and needs nothing of what is drawn meanwhile.
        warming = threading.Thread(target=warm_up_quietly, name="l2l-warm-up", daemon=True)
        warming.start()
        new = cls(models, count, **options)
        progress(f"drawing {count} codes", 0.05)
        _ = new.codes
        progress("finding exact neighbours", 0.1)
        new.near("w")
        progress("preparing UMAP (once in a process)", 0.25)
        warming.join()
        for seed in range(layouts):
            progress(f"map {seed + 1} of {layouts}", 0.5 + 0.5 * seed / layouts)
            new.lay_out("w", seed, measure=measure)
        return new

    # -- new faces ---------------------------------------------------------------------------------

    def place(self, ws: Tensor, layout: Layout) -> Placement:
        """Place latents (M, num_ws, w_dim) on a map; a few milliseconds on a map of W.

        On a map of what is seen in the faces they are drawn and looked at first.
        """
        if layout.space == "w":
            return place(ws.mean(dim=1), self.codes, layout.coordinates, self.neighbours)
        see, generator = self.models.part(SPACES[layout.space][1] or ""), self.models.generator
        with torch.inference_mode():
            images = generator.synthesis(ws.to(generator.w_avg.device), noise_mode="const")
            seen = shown_to(see, images)
        check_seen(seen, None)
        return place(seen.clone(), self.features(layout.space), layout.coordinates, self.neighbours)

    def strangeness(self, ws: Tensor) -> Tensor:
        """How far latents (M, num_ws, w_dim) lie from the cloud of codes, (M,).

        Mean distance to the nearest codes over what is usual among the codes themselves: 1 for a
        face like any other, far above 1 for one that the generator never draws from a seed.
        """
        if not self.edges:
            self.near("w")
        return cloud_distance(ws, self.codes, self.neighbours) / self.edges[1]

    @property
    def usual(self) -> tuple[float, float]:
        """The range of :meth:`strangeness` that nine of ten codes of the map lie in."""
        if not self.edges:
            self.near("w")
        low, middle, high = self.edges
        return low / middle, high / middle
