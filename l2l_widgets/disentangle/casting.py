"""Who stands in a mix grid, by a rule: nobody is chosen by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from l2l_widgets.disentangle.mixer import FaceMixer, Signature
from l2l_widgets.latents import to_wplus, z_from_seeds

#: A column: what it is called, which reading, and whether the highest is meant or the lowest.
COLUMNS = (
    ("facing left", "yaw", -1),
    ("facing right", "yaw", 1),
    ("happy", "happiness", 1),
    ("surprised", "surprise", 1),
    ("sad", "sadness", 1),
    ("head down", "pitch", -1),
)
#: What hides the face that it is about.
WORN = ("glasses", "sunglasses", "hat")


def cast_grid(
    models: Any, mixer: FaceMixer, first: int, count: int, people: int
) -> tuple[Tensor, Signature, list[int], list[int]]:
    """Choose the people and the attributes of a grid among the faces of some seeds.

    The half stays that is read as wearing least. The columns are the faces that the regressors
    read as most turned, most surprised, and so on. The people are spread over the embedder's space:
    the first is the one least like the average, each next the one least like those chosen, among
    the half of the faces that the mixer redraws best.

    Parameters
    ----------
    models : Models
        Generator and regressors.
    mixer : FaceMixer
        What mixes.
    first, count : int
        The seeds to choose from.
    people : int
        Rows.

    Returns
    -------
    faces : Tensor, shape (count, 3, R, R)
        In [-1, 1].
    signature : Signature
        Of all faces.
    rows, columns : list of int
        Which of them.
    """
    faces = candidates(models, first, count)
    signature = mixer.signature(faces)
    readings = read(models.regressors, faces)
    worn = readings[:, [models.table.index(name) for name in WORN]].amax(dim=1)
    bare = worn <= worn.median()
    columns = choose_columns(models.table, readings, bare)
    allowed = bare.clone()
    allowed[columns] = False
    return faces, signature, choose_people(mixer, signature, allowed, people), columns


@torch.inference_mode()
def candidates(models: Any, first: int, count: int) -> Tensor:
    """Pictures of some seeds, (count, 3, R, R)."""
    generator, drawn = models.generator, []
    for z in z_from_seeds(first, count, generator.z_dim).split(32):
        ws = to_wplus(generator.mapping(z, truncation_psi=0.7), generator.num_ws)
        drawn.append(generator.synthesis(ws, noise_mode="const"))
    return torch.cat(drawn)


@torch.inference_mode()
def read(regressors: Sequence[Any], faces: Tensor) -> Tensor:
    """Mean readings of all regressors, (N, A)."""
    each = [torch.cat([r(part) for part in faces.split(32)]) for r in regressors]
    return torch.stack(each).mean(dim=0)


def choose_columns(table: Any, readings: Tensor, allowed: Tensor) -> list[int]:
    """The most extreme allowed face of every column, none of them twice.

    Parameters
    ----------
    table : AttributeTable
        Names the columns of ``readings``.
    readings : Tensor, shape (N, A)
        In [0, 1], as :func:`read` gives them.
    allowed : Tensor, shape (N,)
        Whether a face may be chosen, bool.

    Returns
    -------
    list of int
        Rows of ``readings``, one for each of ``COLUMNS``.
    """
    chosen: list[int] = []
    for _, name, sign in COLUMNS:
        order = (sign * readings[:, table.index(name)]).masked_fill(~allowed, -9)
        chosen.append(next(i for i in order.argsort(descending=True).tolist() if i not in chosen))
    return chosen


@torch.inference_mode()
def choose_people(mixer: FaceMixer, signature: Signature, allowed: Tensor, count: int) -> list[int]:
    """People who are least like each other, among those whom the mixer redraws best.

    Parameters
    ----------
    mixer : FaceMixer
        Redraws each person from both of their own inputs.
    signature : Signature
        Of N faces.
    allowed : Tensor, shape (N,)
        Whether a face may be chosen, bool.
    count : int
        How many.

    Returns
    -------
    list of int
        Numbers of faces, 0 to N - 1.
    """
    again = mixer.signature(mixer.draw(mixer.latent(signature, signature))).person
    alike = (again * signature.person).sum(dim=1).masked_fill(~allowed, -1)
    good = alike >= alike[allowed].median()
    middle = torch.nn.functional.normalize(signature.person.mean(dim=0), dim=0)
    nearest = (signature.person @ middle).masked_fill(~good, 2)
    chosen: list[int] = []
    while len(chosen) < count:
        chosen.append(int(nearest.argmin()))
        closeness = signature.person @ signature.person[chosen[-1]]
        nearest = closeness if len(chosen) == 1 else torch.maximum(nearest, closeness)
        nearest = nearest.masked_fill(~good, 2)
    return chosen
