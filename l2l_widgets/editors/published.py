"""Directions that others have published: bare numbers, to which their space is declared.

Published are, as ``.npy``: boundaries of InterFaceGAN (Shen et al., CVPR 2020), one row of ``dim``
numbers, fitted in Z or in W; as ``.pt`` of torch.save: tensors and dictionaries of them, from
encoders' authors, one row or a row for each layer. GANSpace's components (Härkönen et al., NeurIPS
2020) are read by `ganspace.load_components`, SeFa's factors (Shen and Zhou, CVPR 2021) as
rosinality's code saves them here. A file says neither its space nor its generator, so whoever loads
it must, and a use elsewhere is refused. Nothing in a file is executed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from l2l_widgets.editors.origins import Origin, OriginError
from l2l_widgets.storage import StorageError, load_array, load_safetensors

__all__ = ["PublishedDirection", "load_direction"]

#: What a direction of each space may look like.
SHAPES = {"z": "(z_dim,)", "w": "(w_dim,)", "w+": "(num_ws, w_dim)"}
MOST = 2**22  # numbers; the largest published direction has some ten thousand
#: What a file may be.
FILES = ".npy, .npz, .pt of torch.save, .safetensors, or a pickle of arrays"


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
                f"allowed: a direction of this generator, of shape {tail}"
            )
        return codes + strength * self.vector.to(codes)


def load_direction(
    path: str | Path, *, space: str, generator: str = "", name: str | None = None
) -> PublishedDirection:
    """Read a published direction; nothing in the file is executed.

    Parameters
    ----------
    path : path
        A file of one of `FILES`; a direction in it is (dim,), (1, dim), or (num_ws, w_dim).
    space : {"z", "w", "w+"}
        What its publisher says; a file does not tell.
    generator : str
        Hash of the generator that it was fitted for, where that is known: others are then refused.
    name : str, optional
        Which direction, of a file that holds several; of nested dictionaries joined by dots.

    Raises
    ------
    OriginError
        Another space, or a shape that no direction of it has.
    ValueError
        No such file, none of these formats, several directions and no name, or numbers that are
        not finite.
    """
    file = Path(path)
    if space not in SHAPES:
        raise OriginError(
            f"space is {space!r}; allowed: {', '.join(SHAPES)}, as the publisher of {file.name!r} "
            "says (the numbers do not)"
        )
    found = _numbers(file, name)
    shape = tuple(found.shape)
    while found.ndim > (2 if space == "w+" else 1) and found.shape[0] == 1:
        found = found[0]
    if found.ndim != (2 if space == "w+" else 1):
        fits = " (a row for each layer is of 'w+')" if found.ndim == 2 else ""
        raise OriginError(
            f"{str(file)!r} has shape {shape}; allowed in {space!r}: {SHAPES[space]}{fits}"
        )
    if not np.isfinite(found).all() or not found.any():
        raise ValueError(f"{str(file)!r} holds NaN, infinity or only zeros; allowed: a direction")
    vector = torch.from_numpy(found.astype(np.float32))
    label = file.name if name is None else f"{file.name}, {name}"
    return PublishedDirection(vector, Origin(generator, space, label))


def _numbers(file: Path, name: str | None) -> np.ndarray:
    if not file.exists():
        raise ValueError(f"{str(file)!r}: no such file")
    try:
        if file.suffix.lower() == ".npy" and name is not None:
            raise StorageError(f"a .npy holds one array, which has no name such as {name!r}")
        if file.suffix.lower() in (".npy", ".npz"):
            found = load_array(file, MOST, name)
        else:
            found = _chosen(file, _tensors(file), name).numpy()
    except StorageError as error:
        reason = str(error).removeprefix(f"{str(file)!r} ").removeprefix(f"{str(file)!r}: ")
        raise ValueError(
            f"{str(file)!r} is no direction ({reason}); allowed: {FILES}, one of "
            "several by its name"
        ) from None
    if not np.issubdtype(found.dtype, np.floating) or not found.size:
        raise ValueError(
            f"{str(file)!r} holds {found.size} numbers of type {found.dtype}; allowed: floats, at "
            f"most {MOST}"
        )
    return found


def _tensors(file: Path) -> dict[str, Tensor]:
    """All tensors of a file that is none of NumPy's."""
    if file.suffix.lower() == ".safetensors":
        found, _ = load_safetensors(file)
        return {name: tensor.float() for name, tensor in found.items()}
    from l2l_widgets.checkpoints import read_tensors

    return read_tensors(file, MOST)


def _chosen(file: Path, found: Mapping[str, Tensor], name: str | None) -> Tensor:
    """The tensor of a name, or the only one."""
    if name is None and len(found) == 1:
        return next(iter(found.values()))
    listed = ", ".join(f"{n} {tuple(t.shape)}" for n, t in list(found.items())[:8] if n)
    listed += ", ..." * (len(found) > 8)
    if name is None:
        # GANSpace's and SeFa's files: no one of their tensors is a direction
        parts = {"comp", "eigvec"} & set(found)
        ways = "one of its components (component=K, --component K), or " if parts else ""
        raise ValueError(
            f"{str(file)!r} holds {len(found)} tensors; say which: {ways}by its name. There are: "
            f"{listed}"
        )
    if name not in found:
        there = f"there are: {listed}" if listed else "it holds one tensor, which has no name"
        raise ValueError(f"{str(file)!r} holds no tensor {name!r}; {there}")
    return found[name]


def load_any(
    path: str | Path, *, space: str, component: int | None, name: str | None = None
) -> PublishedDirection:
    """A direction, or with ``component`` (from 0) one of several that were found together.

    Components of GANSpace are a standard deviation long. Factors of SeFa, in a ``.pt`` of
    rosinality's with ``eigvec``, (w_dim, w_dim) with a factor in each column, have length 1.
    """
    if component is None:
        return load_direction(path, space=space, name=name)
    if name is not None:
        raise ValueError("a name and a component are given; allowed: one of the two")
    file = Path(path)
    factors = _factors(file)
    if factors is not None:
        steps, origin = factors, Origin("", "w", file.name)
    else:
        from l2l_widgets.editors.ganspace import load_components

        components = load_components(path)
        steps = components.vectors * components.spread[:, None]
        origin = components.origin
    if not 0 <= component < len(steps):
        raise ValueError(
            f"component is {component}; allowed: 0 to {len(steps) - 1}, as {str(path)!r} has"
        )
    origin.require(f"components {file.name!r}", space=space)
    origin = replace(origin, dataset=f"{file.name}, component {component}")
    return PublishedDirection(steps[component], origin)


def _factors(file: Path) -> Tensor | None:
    """Factors of SeFa as rows, (count, w_dim); None where the file holds something else."""
    if file.suffix.lower() in (".npy", ".npz", ".safetensors"):
        return None
    try:
        found = _tensors(file).get("eigvec")
    except StorageError:
        return None  # said by whoever reads it as components
    return found.T.contiguous() if found is not None and found.ndim == 2 else None
