"""Directions that others have published: bare numbers, to which their space is declared.

Published are, as ``.npy``: boundaries of InterFaceGAN (Shen et al., CVPR 2020), one row of ``dim``
numbers, fitted in Z or in W; and directions of StyleGAN2 encoders' authors, a row for each layer.
GANSpace's components (Härkönen et al., NeurIPS 2020) are read by `ganspace.load_components`. A file
says neither its space nor its generator, so whoever loads it must, and a use elsewhere is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from l2l_widgets.editors.origins import Origin, OriginError
from l2l_widgets.storage import StorageError, load_array

__all__ = ["PublishedDirection", "load_direction"]

#: What a direction of each space may look like.
SHAPES = {"z": "(z_dim,)", "w": "(w_dim,)", "w+": "(num_ws, w_dim)"}
MOST = 2**22  # numbers; the largest published direction has some ten thousand


@dataclass(frozen=True)
class PublishedDirection:
    """A step in a latent space, and where it was fitted.

    Parameters
    ----------
    vector : Tensor
        (dim,) in Z or W, (num_ws, w_dim) in W+; as it was published, not scaled.
    origin : Origin
        Space, generator and file.
    """

    vector: Tensor
    origin: Origin

    def move(self, codes: Tensor, strength: float, generator: str = "") -> Tensor:
        """Add ``strength`` times the direction.

        Parameters
        ----------
        codes : Tensor
            (B, z_dim) for a direction of Z, (B, num_ws, w_dim) for one of W or W+.
        strength : float
            In the direction's own units: boundaries of length 1 are usually walked from -3 to 3.
        generator : str
            Hash of the generator whose codes they are, where it is known.

        Raises
        ------
        OriginError
            Codes of another space, of another length or number of rows, or of another generator.
        """
        name = f"direction {self.origin.dataset!r}"
        space = {2: "z", 3: "w+"}.get(codes.ndim)
        if space is None:
            raise OriginError(
                f"{name}: codes have shape {tuple(codes.shape)}; allowed: (B, z_dim) or "
                "(B, num_ws, w_dim)"
            )
        declared = self.origin
        if declared.space == "w" and space == "w+":
            space = "w"  # one step for all rows, as it is meant
        declared.require(name, space=space, generator=generator)
        tail = tuple(codes.shape[-self.vector.ndim :])
        if tail != tuple(self.vector.shape):
            raise OriginError(
                f"{name}: has shape {tuple(self.vector.shape)}, the codes {tuple(codes.shape)}; "
                "allowed: a direction of this generator"
            )
        return codes + strength * self.vector.to(codes)


def load_direction(path: str | Path, *, space: str, generator: str = "") -> PublishedDirection:
    """Read a published direction; nothing in the file is executed.

    Parameters
    ----------
    path : path
        ``.npy``, or ``.npz`` with one array: (dim,), (1, dim), or (num_ws, w_dim).
    space : {"z", "w", "w+"}
        What its publisher says; a file does not tell.
    generator : str
        Hash of the generator that it was fitted for, where that is known: others are then refused.

    Raises
    ------
    OriginError
        Another space, or a shape that no direction of it has.
    ValueError
        No such file, none of these formats, or numbers that are not finite.
    """
    file = Path(path)
    if space not in SHAPES:
        raise OriginError(
            f"space is {space!r}; allowed: {', '.join(SHAPES)}, as the publisher of {file.name!r} "
            "says (the numbers do not)"
        )
    found = _numbers(file)
    while found.ndim > (2 if space == "w+" else 1) and found.shape[0] == 1:
        found = found[0]
    if found.ndim != (2 if space == "w+" else 1):
        fits = " (a row for each layer is of 'w+')" if found.ndim == 2 else ""
        raise OriginError(
            f"{str(file)!r} has shape {tuple(found.shape)}; allowed in {space!r}: "
            f"{SHAPES[space]}{fits}"
        )
    if not np.isfinite(found).all() or not found.any():
        raise ValueError(f"{str(file)!r} holds NaN, infinity or only zeros; allowed: a direction")
    vector = torch.from_numpy(found.astype(np.float32))
    return PublishedDirection(vector, Origin(generator, space, file.name))


def _numbers(file: Path) -> np.ndarray:
    if not file.exists():
        raise ValueError(f"{str(file)!r}: no such file")
    try:
        found = load_array(file, MOST)
    except StorageError as error:
        raise ValueError(
            f"{str(file)!r} is no direction ({error}); allowed: .npy, or .npz with one array"
        ) from None
    if not np.issubdtype(found.dtype, np.floating) or not found.size:
        raise ValueError(
            f"{str(file)!r} holds {found.size} numbers of type {found.dtype}; allowed: floats, at "
            f"most {MOST}"
        )
    return found


def load_any(path: str | Path, *, space: str, component: int | None) -> PublishedDirection:
    """A direction, or with ``component`` (from 0) one of GANSpace's, a standard deviation long."""
    if component is None:
        return load_direction(path, space=space)
    from l2l_widgets.editors.ganspace import load_components

    components = load_components(path)
    if not 0 <= component < len(components.vectors):
        raise ValueError(
            f"component is {component}; allowed: 0 to {len(components.vectors) - 1}, as "
            f"{str(path)!r} has"
        )
    step = components.vectors[component] * components.spread[component]
    components.origin.require(f"components {Path(path).name!r}", space=space)
    origin = replace(components.origin, dataset=f"{Path(path).name}, component {component}")
    return PublishedDirection(step, origin)
