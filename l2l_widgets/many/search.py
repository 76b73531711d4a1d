"""Seeds by what their faces look like: read once, in batches, and searched with a filter.

A search is a stream. What has been read is searched at once, then new seeds are drawn and read, a
batch at a time, until enough are found, or nobody wants more. Readings of every seed seen are kept
(a few hundred bytes each), so the next filter starts where the last one ended.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from l2l_widgets.face_filter import FaceFilter
from l2l_widgets.images import to_uint8
from l2l_widgets.latents import to_wplus, z_from_seed
from l2l_widgets.models.zoo import Models
from l2l_widgets.session.references import attribute_judge
from l2l_widgets.session.states import DEFAULT_PSI, NOISE_MODES, SessionState

__all__ = ["FaceSearch", "Found", "Progress"]

#: Faces drawn and read together: few, so that a search can be stopped between two batches.
BATCH = 8
#: Bytes of pictures that are kept; a seed whose picture is gone is drawn again when it is shown.
PICTURE_BYTES = 48 << 20
#: Seeds after which a search asks whether to go on: a filter may fit nobody.
LIMIT = 5000
SEED_END = 2**32


@dataclass(frozen=True)
class Progress:
    """How far a search is.

    Parameters
    ----------
    seen : int
        Seeds that were looked at, from the first on.
    found : int
        Those that meet the filter.
    fresh : int
        Seeds drawn and read by this search; the others were known.
    """

    seen: int
    found: int
    fresh: int

    @property
    def share(self) -> float:
        """Part of the seeds seen that was found, in [0, 1]; 0 where none was seen."""
        return self.found / self.seen if self.seen else 0.0


@dataclass(frozen=True)
class Found:
    """What a search found.

    Parameters
    ----------
    seeds : tuple of int
        That meet the filter, in order.
    progress : Progress
        Counts.
    ended : {"enough", "limit", "stopped", "last seed"}
        Why it ended.
    """

    seeds: tuple[int, ...]
    progress: Progress
    ended: str


class FaceSearch:
    """Draws and reads seeds, and finds those that meet a filter. Thread-safe.

    Parameters
    ----------
    models : Models
        What draws and reads: the regressor, as the sliders do, or else the judge.
    truncation_psi : float
        Of every face, in [0, 1.5].
    noise_mode : {"const", "none"}
        As in the generator's synthesis.
    first : int
        The seed to begin with; those before it are never looked at.
    """

    def __init__(
        self,
        models: Models,
        truncation_psi: float = DEFAULT_PSI,
        noise_mode: str = "const",
        first: int = 0,
    ) -> None:
        SessionState(truncation_psi=truncation_psi).check_truncation()
        if noise_mode not in NOISE_MODES:
            raise ValueError(f"noise_mode is {noise_mode!r}; allowed: {', '.join(NOISE_MODES)}")
        z_from_seed(first, 1)  # refuses what is no seed
        self.models = models
        self.truncation_psi = float(truncation_psi)
        self.noise_mode = noise_mode
        self.first = int(first)
        self._lock = threading.RLock()
        self._chunks: list[Tensor] = []  # (b, A) each, of consecutive seeds
        self._seen = 0
        self._pictures: OrderedDict[int, Tensor] = OrderedDict()  # seed -> (3, R, R) uint8

    @property
    def can_read(self) -> bool:
        """Whether there is anything that reads faces; without it only the empty filter works."""
        return self.models.has("regressor") or self.models.has("attribute_judge")

    @property
    def seen(self) -> int:
        """Seeds that have been drawn and read."""
        return self._seen

    def readings(self) -> Tensor:
        """Of all seeds seen, (seen, A) in attribute units, from the first seed on."""
        with self._lock:
            if len(self._chunks) > 1:
                self._chunks = [torch.cat(self._chunks)]
            return self._chunks[0] if self._chunks else torch.zeros(0, len(self.models.table))

    def reading(self, seed: int) -> dict[str, float]:
        """One seed's reading, name -> value in [0, 1]; empty where it was not read yet."""
        place = seed - self.first
        if not 0 <= place < self._seen or not self.can_read:
            return {}
        names = self.models.table.names
        return dict(zip(names, self.readings()[place].tolist(), strict=True))

    def find(
        self,
        wanted: FaceFilter,
        count: int,
        *,
        skip: int = 0,
        limit: int = LIMIT,
        stale: Callable[[], bool] = lambda: False,
        on_batch: Callable[[Progress], None] | None = None,
    ) -> Found:
        """Seeds that meet a filter, in their order.

        Parameters
        ----------
        wanted : FaceFilter
            An empty one is met by every face.
        count, skip : int
            How many to return, after how many: a page of them.
        limit : int
            New seeds to draw at most; 0 searches what is known.
        stale : callable
            Asked between batches; True stops the search, what it has read is kept.
        on_batch : callable
            Gets a :class:`Progress` after every batch.

        Returns
        -------
        Found
            Fewer than ``count`` where the limit was reached, or it was stopped.

        Raises
        ------
        ValueError
            A filter, and nothing that reads, or a reading that is not finite; or counts that are
            none.
        """
        for name, value in (("count", count), ("skip", skip), ("limit", limit)):
            if type(value) is not int or value < 0:
                raise ValueError(f"{name} is {value!r}; allowed: a whole number of at least 0")
        if wanted and not self.can_read:
            raise ValueError(
                f"a filter needs something that reads faces; models {self.models.name!r} hold "
                "neither a regressor nor an attribute judge"
            )
        fresh = 0
        while True:
            places = self._known(wanted)
            progress = Progress(self._seen, len(places), fresh)
            if on_batch is not None:
                on_batch(progress)
            if len(places) >= skip + count:
                ended = "enough"
            elif self.first + self._seen >= SEED_END:
                ended = "last seed"
            elif fresh >= limit:
                ended = "limit"
            elif stale():
                ended = "stopped"
            else:
                fresh += self._read_on(min(BATCH, limit - fresh))
                continue
            seeds = tuple(self.first + p for p in places[skip : skip + count])
            return Found(seeds, progress, ended)

    def _known(self, wanted: FaceFilter) -> list[int]:
        if not wanted:
            return list(range(self._seen))
        readings, table = self.readings(), self.models.table
        asked = readings[:, [table.index(one.name) for one in wanted]]
        broken = (~asked.isfinite()).nonzero()  # (n, 2): face, condition
        if len(broken):  # no face would ever meet it, and the search would look like a long one
            place, column = broken[0].tolist()
            name = [one.name for one in wanted][column]
            raise ValueError(
                f"seed {self.first + place} is read as {name} {float(asked[place, column])}, which "
                "is not finite; allowed: a judge that gives numbers from 0 to 1"
            )
        met = wanted.matches(readings, table)
        return [int(i) for i in met.nonzero()[:, 0]]

    def _read_on(self, count: int) -> int:
        """Draw and read the next seeds; how many."""
        with self._lock, torch.inference_mode():
            start = self.first + self._seen
            seeds = range(start, min(SEED_END, start + count))
            images = self._draw(seeds)
            values = torch.zeros(len(seeds), len(self.models.table))
            if self.can_read:
                models = self.models
                reader = models.regressor if models.has("regressor") else attribute_judge(models)
                values = reader(images).cpu()
                if values.shape != (len(seeds), len(models.table)):
                    raise ValueError(
                        f"a judge gives readings of shape {tuple(values.shape)} for {len(seeds)} "
                        f"pictures; allowed: ({len(seeds)}, {len(models.table)})"
                    )
            self._keep(seeds, images)
            self._chunks.append(values.clone())
            self._seen += len(seeds)
            return len(seeds)

    def _draw(self, seeds: range | list[int]) -> Tensor:
        generator = self.models.generator
        z = torch.cat([z_from_seed(seed, generator.z_dim) for seed in seeds])
        ws = generator.mapping(z.to(self.models.device), truncation_psi=self.truncation_psi)
        images = generator.synthesis(to_wplus(ws, generator.num_ws), noise_mode=self.noise_mode)
        if not bool(images.isfinite().all()):
            raise ValueError(f"a face of seeds {seeds[0]} to {seeds[-1]} is not finite")
        return images

    def _keep(self, seeds: range | list[int], images: Tensor) -> None:
        for seed, image in zip(seeds, to_uint8(images).cpu(), strict=True):
            self._pictures[seed] = image.clone()
        while len(self._pictures) * image.numel() > PICTURE_BYTES:
            self._pictures.popitem(last=False)

    def pictures(self, seeds: tuple[int, ...]) -> list[Tensor]:
        """The faces of some seeds, each (3, R, R) uint8; drawn again where they were given up."""
        with self._lock, torch.inference_mode():
            shown: dict[int, Tensor] = {}
            for seed in seeds:
                if seed in self._pictures:  # what is asked for now is given up last
                    self._pictures.move_to_end(seed)
                    shown[seed] = self._pictures[seed]
            missing = [seed for seed in seeds if seed not in shown]
            for start in range(0, len(missing), BATCH):
                part = missing[start : start + BATCH]
                images = self._draw(part)
                self._keep(part, images)
                shown |= zip(part, to_uint8(images).cpu(), strict=True)
            return [shown[seed].clone() for seed in seeds]
