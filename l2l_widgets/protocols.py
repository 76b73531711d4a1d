"""What each part must offer, whoever made it: the package's own networks or a user's callables.

Editors, sessions and metrics ask for nothing beyond these; a part needs to inherit nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from torch import Tensor

from l2l_widgets.attributes import EditRequest

__all__ = [
    "AttributeRegressor",
    "Drawing",
    "Editor",
    "FaceEmbedder",
    "Generator",
    "InteractiveGenerator",
    "Segmenter",
]


@runtime_checkable
class Generator(Protocol):
    """G: latents to images, in the words of the official StyleGAN2.

    ``z_dim``, ``w_dim``, ``num_ws`` and ``img_resolution`` are whole numbers; ``w_avg`` is the mean
    of w, (w_dim,), towards which truncation goes.
    """

    z_dim: int
    w_dim: int
    num_ws: int
    img_resolution: int

    @property
    def w_avg(self) -> Tensor:
        """Mean of w, shape (w_dim,)."""
        ...

    def mapping(
        self, z: Tensor, truncation_psi: float = 1.0, truncation_cutoff: int | None = None
    ) -> Tensor:
        """``z``, (B, z_dim), to W+, (B, num_ws, w_dim)."""
        ...

    def synthesis(self, ws: Tensor, noise_mode: str = "const") -> Tensor:
        """``ws``, (B, num_ws, w_dim), to images, (B, 3, R, R), RGB in [-1, 1]."""
        ...


class Drawing(Protocol):
    """Draws one picture after another, each mostly like the last; see `InteractiveGenerator`."""

    @property
    def kept_bytes(self) -> int:
        """Bytes kept between pictures."""
        ...

    @property
    def prepared_bytes(self) -> int:
        """Bytes of weights in the form that drawing wants them, beside the generator's own."""
        ...

    def can_draft(self) -> bool:
        """Whether a draft is worth asking for."""
        ...

    def draw(
        self,
        ws: Tensor,
        noise_mode: str = "const",
        *,
        draft: bool = False,
        stale: Callable[[], bool] = lambda: False,
        early: Callable[[Tensor], None] | None = None,
    ) -> Tensor | None:
        """As ``synthesis``, roughly where ``draft``; None when ``stale`` said True meanwhile.

        ``early`` may be given one rough picture of the same shape first, where the picture takes
        long.
        """
        ...


@runtime_checkable
class InteractiveGenerator(Generator, Protocol):
    """A generator that may be left half way, and starts again where the latent changed."""

    def interactive(self) -> Drawing:
        """A new line of pictures; for one thread at a time."""
        ...


@runtime_checkable
class AttributeRegressor(Protocol):
    """H: images to attributes. ``attributes`` names the columns."""

    attributes: tuple[str, ...]

    def __call__(self, images: Tensor) -> Tensor:
        """``images``, (B, 3, R, R) in [-1, 1], to readings, (B, A) in [0, 1]."""
        ...


@runtime_checkable
class FaceEmbedder(Protocol):
    """F: images to identity vectors of length ``embedding_dim``."""

    embedding_dim: int

    def __call__(self, images: Tensor) -> Tensor:
        """``images``, (B, 3, R, R) in [-1, 1], to vectors, (B, D) of norm 1."""
        ...


@runtime_checkable
class Segmenter(Protocol):
    """Images to the 19 classes of CelebAMask-HQ (Lee et al., CVPR 2020)."""

    def __call__(self, images: Tensor) -> Tensor:
        """``images``, (B, 3, R, R) in [-1, 1], to classes, (B, R, R) of uint8, 0 to 18."""
        ...


@runtime_checkable
class Editor(Protocol):
    """A method that edits latents, and never sees an image.

    ``name`` is the method's; ``attributes`` what it can change; ``space`` is "w" or "w+";
    ``can_preserve`` says whether it honours ``request.preserve`` (otherwise it refuses it).
    An editor may also say how far each attribute can be asked: ``reach(name)`` gives two sizes in
    attribute units, down and up, beyond which nothing more comes: on average over faces, for it
    sees none. Sliders mark the rest.
    :func:`l2l_widgets.check_editor` checks all of this.
    """

    name: str
    attributes: tuple[str, ...]
    space: str
    can_preserve: bool

    def edit(self, w: Tensor, request: EditRequest) -> Tensor:
        """``w``, (B, num_ws, w_dim), to latents of the same shape; the input stays untouched.

        An empty request gives a copy of ``w``; an impossible one raises ValueError.
        """
        ...

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write tensors and configuration as one safetensors file."""
        ...
