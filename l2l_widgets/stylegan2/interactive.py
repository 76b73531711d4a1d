"""Drawing one face again and again while somebody drags a slider.

Four things make that quicker than a row of full pictures: a pass starts where the latent changed
(`restart`), a draft in bfloat16 stands in while the slider moves, a small picture on the way is
shown enlarged where the rest takes long (`progress`), and a pass that nobody waits for any more
ends at the next block.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from l2l_widgets.stylegan2.progress import BlockTimes
from l2l_widgets.stylegan2.restart import PassMemory

if TYPE_CHECKING:
    from l2l_widgets.stylegan2.synthesis import SynthesisNetwork

__all__ = ["InteractiveDrawing", "draft_is_faster"]

#: Smaller pictures are drawn faster than a screen shows them; they need no draft.
DRAFT_FROM_SIDE = 256


class InteractiveDrawing:
    """Draws pictures that are mostly like the last one.

    Not thread-safe: one picture at a time.

    Parameters
    ----------
    network
        Whose pictures to draw.
    limit
        Bytes of activations that may be kept between pictures, in all.
    """

    def __init__(self, network: SynthesisNetwork, limit: int = 384 * 2**20) -> None:
        self._network = network
        # A draft's numbers take half the room.
        self._memories = {False: PassMemory(limit * 2 // 3), True: PassMemory(limit // 3)}
        self._times = {draft: BlockTimes(network.block_resolutions) for draft in (False, True)}
        self.limit = limit

    @property
    def kept_bytes(self) -> int:
        """Bytes of activations that are kept now, at most `limit`."""
        return sum(memory.nbytes for memory in self._memories.values())

    @property
    def prepared_bytes(self) -> int:
        """Bytes of weights that the network keeps prepared; all who draw with it share them."""
        return self._network.prepared_bytes

    def can_draft(self) -> bool:
        """Whether a draft of this network's pictures is quicker than the picture, and needed."""
        device = self._network.b4.const.device
        return (
            self._network.img_resolution >= DRAFT_FROM_SIDE
            and device.type == "cpu"
            and draft_is_faster()
        )

    def draw(
        self,
        ws: torch.Tensor,
        noise_mode: str = "const",
        *,
        draft: bool = False,
        stale: Callable[[], bool] = lambda: False,
        early: Callable[[torch.Tensor], None] | None = None,
    ) -> torch.Tensor | None:
        """Draw pictures.

        Parameters
        ----------
        ws
            (B, num_ws, w_dim).
        noise_mode
            `const` or `none`.
        draft
            In bfloat16; ask `can_draft` whether that is worth it.
        stale
            Asked between blocks; True ends the pass.
        early
            Gets a smaller picture on the way, enlarged to (B, img_channels, R, R): at most once,
            and only where the earlier passes say that the rest takes long. It must not draw.

        Returns
        -------
        (B, img_channels, R, R) float32, not to be changed in place; None when ended by `stale`

        Raises
        ------
        ValueError
            As `SynthesisNetwork.forward`.
        """
        image = None
        side, times = self._network.img_resolution, self._times[draft]
        times.begin()
        for image in self._network.grow(ws, noise_mode, draft=draft, memory=self._memories[draft]):
            times.reached(image.shape[-1])
            if image.shape[-1] == side:
                break
            if stale():
                return None
            if early is not None and times.is_first(image.shape[-1]):
                early(F.interpolate(image, size=side, mode="bilinear"))
                early = None
            times.resume()
        return image

    def forget(self) -> None:
        """Give back what is kept."""
        for memory in self._memories.values():
            memory.clear()


@functools.cache
def draft_is_faster() -> bool:
    """Whether this processor convolves bfloat16 at 1.5 times the speed of float32 or more.

    Measured once, in some ten milliseconds: processors without such instructions emulate them, a
    hundred times slower in the worst case.
    """
    seconds = {}
    with torch.inference_mode():
        for dtype in (torch.float32, torch.bfloat16):
            x = torch.ones(1, 64, 32, 32, dtype=dtype).contiguous(memory_format=torch.channels_last)
            weight = torch.ones(64, 64, 3, 3, dtype=dtype)
            times = []
            for _ in range(4):
                start = time.perf_counter()
                F.conv2d(x, weight, padding=1)
                times.append(time.perf_counter() - start)
            seconds[dtype] = min(times[1:])
    return seconds[torch.bfloat16] * 1.5 <= seconds[torch.float32]
