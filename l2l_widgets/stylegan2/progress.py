"""Which of the pictures on the way is worth showing before the last one.

Each block of a StyleGAN2 ends with a picture of its own size, the skip output; enlarged, it says
where the face is long before the details are there. Whether somebody should see it is a question of
time, not of size: where the whole picture comes at once, a rough one before it would only flicker.
So the blocks are timed, and the times decide.
"""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable, Sequence

__all__ = ["BlockTimes"]

#: Seconds of a pass from which on a first picture is shown: what comes sooner feels immediate.
WORTH = 0.1
#: Share of a pass after which the first picture should be there. To enlarge and send it takes time
#: as well, so that this is less than the 15 % that are promised.
SHARE = 0.12
#: Later than after this share of a pass it is no first picture any more.
LATEST = 0.5
#: Smaller pictures show no face.
LEAST_SIDE = 16


class BlockTimes:
    """Seconds that each block takes, from the passes so far.

    Parameters
    ----------
    sides
        Sides of the pictures on the way, the last one included, from small to large.
    clock
        Seconds since any moment.
    """

    def __init__(
        self, sides: Sequence[int], clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._sides = tuple(sides)
        self._clock = clock
        # The median of a few: one pass that the system interrupted must not decide.
        self._seconds: dict[int, deque[float]] = {side: deque(maxlen=5) for side in sides}
        self._begun = self._last = 0.0
        self._whole = False

    def begin(self) -> None:
        """A pass begins."""
        self._begun = self._last = self._clock()
        self._whole = False

    def reached(self, side: int) -> None:
        """The picture of this side is there."""
        now = self._clock()
        # The first block of a pass may have begun half way, or have prepared the weights.
        if self._whole:
            self._seconds[side].append(now - self._last)
        self._whole = True
        self._last = now

    def resume(self) -> None:
        """The pass goes on; what was done with the picture meanwhile is no block's time."""
        spent = self._clock() - self._last
        self._begun += spent
        self._last += spent

    def is_first(self, side: int) -> bool:
        """Whether the picture of this side, just reached, is the one to show before the last.

        False for all until every block has been timed once.
        """
        later = [other for other in self._sides if other > side]
        if side < LEAST_SIDE or not later or not all(self._seconds[other] for other in later):
            return False
        seconds = [statistics.median(self._seconds[other]) for other in later]
        elapsed = self._last - self._begun
        whole = elapsed + sum(seconds)
        if whole < WORTH or elapsed > LATEST * whole:
            return False
        # The one before the picture that would be too late; the last one is no first picture.
        return len(later) == 1 or elapsed + seconds[0] > SHARE * whole
