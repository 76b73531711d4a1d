"""What one drawing keeps so that the next may start where the first changed row of W+ enters.

Row r of W+ reaches the picture through the layers that read it and everything after them; what
comes before is the same as last time, to the bit. Layers are read in the order of rows, except that
a block's colour shares its row with the next block's first convolution, so the restart is at that
colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from l2l_widgets.stylegan2.frozen import FrozenSynthesis, _FrozenColour, _FrozenLayer

    Step = tuple[int, int, "_FrozenLayer | _FrozenColour"]

__all__ = ["PassMemory"]


class PassMemory:
    """Activations of the last pass, within a limit.

    Not thread-safe: one pass at a time. A pass that is given up half way leaves what it has
    reached; the next one starts from there.

    Parameters
    ----------
    limit
        Bytes that may be kept. Where that is too little for all layers, those stay whose restart
        saves most work for their size.
    """

    def __init__(self, limit: int = 384 * 2**20) -> None:
        self.limit = limit
        #: Step at which the last pass began; 0 means that it was drawn from the start.
        self.started_at = 0
        self._network: FrozenSynthesis | None = None
        self._noise_mode = ""
        self._steps = 0
        self._ws: torch.Tensor | None = None
        self._kept: dict[int, tuple[torch.Tensor, torch.Tensor | None]] = {}
        self._wanted: frozenset[int] = frozenset()

    @property
    def nbytes(self) -> int:
        """Bytes that are kept now."""
        # The picture before a colour and before the next convolution is one tensor.
        tensors = {id(t): t for pair in self._kept.values() for t in pair if t is not None}
        return sum(t.numel() * t.element_size() for t in tensors.values())

    def clear(self) -> None:
        """Keep nothing."""
        self._kept.clear()
        self._network = self._ws = None

    def begin(
        self, key: tuple[FrozenSynthesis, str], ws: torch.Tensor, steps: Sequence[Step]
    ) -> tuple[int, tuple[torch.Tensor, torch.Tensor | None] | None]:
        """The step to begin a pass with, and features and picture before it.

        Parameters
        ----------
        key
            Prepared weights and noise mode; others than last time mean a pass from the start.
        ws
            (B, num_ws, w_dim).
        steps
            What will be drawn.
        """
        network, noise_mode = key
        same = (
            self._network is network
            and self._noise_mode == noise_mode
            and self._ws is not None
            and self._ws.shape == ws.shape
            and self._steps == len(steps)
        )
        start = 0
        if same:
            assert self._ws is not None
            changed = (self._ws != ws).any(dim=2).any(dim=0).tolist()
            first = next((i for i, (row, _, _) in enumerate(steps) if changed[row]), len(steps))
            start = max((i for i in self._kept if i <= first), default=0)
        for index in [i for i in self._kept if i > start or not same]:
            del self._kept[index]
        self._network, self._noise_mode, self._ws = network, noise_mode, ws.detach().clone()
        self._steps = len(steps)
        self._wanted = _worth_keeping(steps, ws.shape[0], network.dtype.itemsize, self.limit)
        self.started_at = start
        return start, self._kept.get(start)

    def keep(self, index: int, x: torch.Tensor, img: torch.Tensor | None) -> None:
        """Take features and picture before step `index`; nothing may change them afterwards."""
        if index in self._wanted:
            self._kept[index] = (x, img)


def _worth_keeping(steps: Sequence[Step], batch: int, item: int, limit: int) -> frozenset[int]:
    """The steps whose input fits in `limit`, those that save most work per byte first."""
    saved = 0
    offers = []
    for index, (_, side, step) in enumerate(steps):
        picture = 3 * 4 * (side // step.up) ** 2
        size = batch * ((side // step.up) ** 2 * step.inputs * item + picture)
        # A first convolution shares its row with the colour before it, which restarts sooner.
        if index and step.up == 1:
            offers.append((saved / size, size, index))
        saved += step.work
    size = batch * 3 * 4 * steps[-1][1] ** 2
    offers.append((saved / size, size, len(steps)))
    wanted = set()
    for _, size, index in sorted(offers, reverse=True):
        if size <= limit:
            wanted.add(index)
            limit -= size
    return frozenset(wanted)
