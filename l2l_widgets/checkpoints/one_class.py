"""One class of a class-conditional generator, which draws like any other generator."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from l2l_widgets.checkpoints.source import CheckpointError
from l2l_widgets.stylegan2 import Generator

__all__ = ["OneClass", "check_class"]


def check_class(name: str, c_dim: int, class_index: int | None) -> None:
    """Raise CheckpointError unless a class is given where there are classes, and only there."""
    if c_dim == 0 and class_index is not None:
        raise CheckpointError(f"{name}: class is {class_index}; this generator has no classes")
    if c_dim and class_index is None:
        raise CheckpointError(
            f"{name} is class-conditional: say which of its {c_dim} classes, 0 to {c_dim - 1}, as "
            f"in '{name}#class=0' (or --class 0)"
        )
    if class_index is not None and not 0 <= class_index < c_dim:
        raise CheckpointError(f"{name}: class is {class_index}; allowed: 0 to {c_dim - 1}")


class OneClass(nn.Module):
    """A class-conditional generator with its class chosen; keeps `protocols.Generator`.

    Parameters
    ----------
    generator
        With ``c_dim`` classes.
    class_index
        0 to ``c_dim - 1``.
    """

    c: torch.Tensor

    def __init__(self, generator: Generator, class_index: int) -> None:
        super().__init__()
        self.base = generator
        self.class_index = class_index
        self.register_buffer("c", torch.eye(generator.c_dim)[class_index : class_index + 1])

    def __getattr__(self, name: str) -> Any:
        # Sizes and the synthesis network are the generator's own.
        if name in _SHARED:
            return getattr(super().__getattr__("base"), name)
        return super().__getattr__(name)

    def mapping(
        self,
        z: torch.Tensor,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        **options: Any,
    ) -> torch.Tensor:
        """``z``, (B, z_dim), to W+, (B, num_ws, w_dim), in the class."""
        c = self.c.expand(len(z), -1)
        return self.base.mapping(z, truncation_psi, truncation_cutoff, c=c, **options)

    def forward(self, z: torch.Tensor, truncation_psi: float = 1.0, **options: Any) -> torch.Tensor:
        """``z`` to pictures, (B, img_channels, R, R)."""
        return self.base.synthesis(self.mapping(z, truncation_psi), **options)


_SHARED = frozenset(
    (
        *("z_dim", "c_dim", "w_dim", "num_ws", "img_resolution", "img_channels", "config"),
        *("w_avg", "synthesis", "interactive"),
    )
)
