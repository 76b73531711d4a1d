"""Learning-rate schedules and seeds, all pure functions of the step.

Nothing here carries state, so a resumed run needs only its step number to continue exactly where
it stopped.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Iterator

import torch
from torch import nn


def warmup(step: int, steps: int) -> float:
    """Return a factor that rises linearly from 1/steps (at step 0) to 1; 0 before, 1 after."""
    # never below 0: a rate below it would climb the loss
    return max(0.0, min(1.0, (step + 1) / max(steps, 1)))


def cosine(step: int, start: int, end: int, floor: float = 0.0) -> float:
    """Return 1 until `start`, then half a cosine that falls to `floor` at `end` and stays there."""
    if step <= start:
        return 1.0
    if step >= end:
        return floor
    progress = (step - start) / (end - start)
    return floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * progress))


def derive_seed(*parts: int | str) -> int:
    """Return a 63-bit seed that depends on all `parts`, so that streams never share numbers."""
    text = "/".join(str(part) for part in parts).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "little") >> 1


def make_generator(*parts: int | str) -> torch.Generator:
    """Return a CPU `torch.Generator` seeded with `derive_seed(*parts)`."""
    return torch.Generator().manual_seed(derive_seed(*parts))


@contextlib.contextmanager
def seeded(*parts: int | str, device: torch.device | None = None) -> Iterator[None]:
    """Run a block with torch's global random numbers seeded, and put them back afterwards.

    Dropout and `torch.randn` without a generator use the global stream. Seeding it anew for every
    step makes them a function of (seed, step), so no random state has to be stored for a resume,
    and training in a notebook leaves the user's own random numbers alone.
    """
    on_cuda = device is not None and device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if on_cuda else []):
        seed = derive_seed(*parts)
        torch.default_generator.manual_seed(seed)
        if on_cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


@torch.no_grad()
def update_average(average: nn.Module, source: nn.Module, decay: float) -> None:
    """Set the parameters of `average` to decay * average + (1 - decay) * source.

    Buffers (such as StyleGAN's `w_avg`) are copied, as in the official StyleGAN2 training loop.
    Networks of another shape, and a `decay` outside [0, 1], raise ValueError.
    """
    if not 0 <= decay <= 1:
        raise ValueError(f"decay is {decay}; allowed: 0 to 1")
    mean: list[torch.Tensor] = list(average.parameters())
    new = [p.detach().to(old) for p, old in zip(source.parameters(), mean, strict=True)]
    torch._foreach_lerp_(mean, new, 1.0 - decay)
    for kept, newest in zip(average.buffers(), source.buffers(), strict=True):
        kept.copy_(newest)
