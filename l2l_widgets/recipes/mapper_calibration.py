"""The last step of the mapper's recipe: gains fitted and chosen by the training ensemble alone.

The curves that decide how strong an edit comes out are fitted here to what the regressors that
trained the mapper read, on faces that no triplet holds. The second judges read nothing here. The
budget for side effects, which the curves keep to, is a person's choice: it was lowered once after a
second judge had read more than it allows, so the model card reports on faces of another seed.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from l2l_widgets.attributes import AttributeTable
from l2l_widgets.editors.calibration import (
    GainCurve,
    Response,
    faces_with_room,
    measure_response,
    responses,
)
from l2l_widgets.editors.mapper import MapperNetwork
from l2l_widgets.recipes.progress import say

Read = Callable[[Tensor], Tensor]  # latents (B, num_ws, w_dim) -> readings (B, A)
Kept = Callable[[Tensor, Tensor], Tensor]  # latents before and after -> what is kept of each person

#: The change that the report asks for, and that no gain curve stops short of for a person's sake.
REQUEST = 0.3

#: Shares of a request that are tried, the fullest first.
AIMS = tuple(round(1.0 - 0.02 * i, 2) for i in range(16))
#: Seconds after which a calibration says how far it is.
SILENT = 10.0


@torch.no_grad()
def calibrate(
    network: MapperNetwork,
    read: Read,
    faces: Tensor,
    population: Tensor,
    table: AttributeTable,
    columns: Sequence[int],
    others_budget: float,
    sure_faces: float = 0.9,
    symmetric: bool = True,
    enough: float = 1.0,
    kept: Kept | None = None,
    identity_floor: float = 0.0,
) -> float:
    """Fit the network's gain curves in place.

    The curves aim at the whole of a request, or at the largest share of it at which the other
    attributes move no more than ``others_budget`` on average; where no share of :data:`AIMS` keeps
    to it, at the smallest. A full request for something that is
    there or not (glasses) goes further, which leaves requests up to half the range as they are: see
    :func:`worn_reading`.

    Parameters
    ----------
    network : MapperNetwork
        Trained; its ``gain`` is set.
    read : callable
        The training ensemble.
    faces : Tensor, shape (N, num_ws, w_dim)
        To measure on.
    population : Tensor, shape (M, A)
        Readings of the training set.
    table : AttributeTable
        Kinds and names of the A attributes.
    columns : sequence of int
        The attributes that are edited.
    others_budget : float
        Mean absolute change of the attributes that were not asked for, in attribute units, at
        requests of 0.3.
    sure_faces : float
        Share of the faces on which a full request for a binary attribute must come.
    symmetric : bool
        One curve for rises and falls, which keeps the cycle error small.
    enough : float
        Share of the largest response that is asked for at most, see ``GainCurve.fit``: past it a
        face is bent for next to nothing, and clear lenses come out dark.
    kept : callable, optional
        What the training embedder finds left of each person, see :func:`while_kept`.
    identity_floor : float
        How much that must be in the middle of the faces, for changes above 0.3 of something that
        comes by degrees.

    Returns
    -------
    float
        The share that the curves aim at, one of :data:`AIMS`.
    """
    before = torch.cat([read(part) for part in faces.split(64)])
    measure = partial(measure_response, network, read, faces, before)
    fits: list[Response] = []
    told = time.monotonic()
    for number, column in enumerate(columns):
        if time.monotonic() - told > SILENT:  # minutes, where the generator is a large one
            told = time.monotonic()
            say(f"calibration: {number} of {len(columns)} attributes")
        worn = worn_in(population, column, table)
        for found in responses(
            measure, column, symmetric=symmetric, worn=worn, sure_faces=sure_faces
        ):
            if worn is None and kept is not None:
                cut = while_kept(
                    network, kept, faces, before, column, found.sides, *found.typical,
                    identity_floor,
                )  # fmt: skip
                found = replace(found, typical=cut)
            fits.append(found)
    plain = copy.deepcopy(network.gain)
    chosen = AIMS[-1]
    for aim in AIMS:
        if time.monotonic() - told > SILENT:
            told = time.monotonic()
            say(f"calibration: what comes along when {aim:.0%} is aimed at")
        for found in fits:
            found.fit(plain, aim, enough)
        others = single_changes(network, plain, read, faces[:256], before[:256], columns)[1]
        if float(others.mean()) <= others_budget:
            chosen = aim
            break
    for found in fits:
        found.raise_top(plain, enough)
    network.gain.load_state_dict(plain.state_dict())
    return chosen


@torch.no_grad()
def while_kept(
    network: MapperNetwork,
    kept: Kept,
    faces: Tensor,
    before: Tensor,
    column: int,
    sides: tuple[int, ...],
    knobs: Tensor,
    response: Tensor,
    floor: float,
) -> tuple[Tensor, Tensor]:
    """Cut a measured response where the edit begins to make another person of the face.

    A knob value far beyond the changes that the mapper was trained on still moves the attribute,
    and takes the latent out of the cloud of W. What is greyed on a slider is then what the face
    cannot do and be the same.

    Parameters
    ----------
    network : MapperNetwork
        The mapper; its gains are not used.
    kept : callable
        (latents before, latents after) -> what is kept of each person (B,), from 0 for a stranger
        to 1.
    faces, before : Tensor, shapes (N, num_ws, w_dim) and (N, A)
        To measure on, and their readings.
    column : int
        The attribute.
    sides : tuple of int
        1 for rises, -1 for falls, or both.
    knobs, response : Tensor, shape (M,)
        What ``measure_response`` found.
    floor : float
        What must be kept in the middle of the faces. A response of :data:`REQUEST` may cost more.

    Returns
    -------
    knobs, response : Tensor, shape (L,), L at most M + 1
        Up to the last knob value that keeps to it.
    """
    row, sign = (part[:64] for part in faces_with_room(before, column, sides))
    low, low_response, low_kept = 0.0, 0.0, 1.0
    for index, (knob, reached) in enumerate(zip(knobs.tolist(), response.tolist(), strict=True)):
        delta = torch.zeros(len(row), before.shape[1], device=faces.device)
        delta[:, column] = sign * knob
        left = float(kept(faces[row], network(faces[row], delta)).median())
        if left < floor and reached > REQUEST:
            person = (low_kept - floor) / max(low_kept - left, 1e-6)
            asked = (REQUEST - low_response) / max(reached - low_response, 1e-6)
            share = min(max(person, asked, 0.0), 1.0)
            stop = (low + share * (knob - low), low_response + share * (reached - low_response))
            ends = knobs.new_tensor(stop[0])[None], response.new_tensor(stop[1])[None]
            return torch.cat([knobs[:index], ends[0]]), torch.cat([response[:index], ends[1]])
        low, low_response, low_kept = knob, reached, left
    return knobs, response


def worn_in(population: Tensor, column: int, table: AttributeTable) -> float | None:
    """Return :func:`worn_reading` of one attribute; None for what comes by degrees."""
    binary = table[table.names[column]].kind == "binary"
    return worn_reading(population[:, column]) if binary else None


def worn_reading(readings: Tensor) -> float:
    """Return what counts as "there" for a binary attribute, from its readings (M,) in a population.

    The lower quartile among faces that are read as wearing it: an edit is to look as plainly so as
    three of four that came that way. Where next to nobody wears it, 0.75.
    """
    worn = readings[readings > 0.5]
    return float(worn.quantile(0.25)) if len(worn) >= 16 else 0.75


@torch.no_grad()
def single_changes(
    network: MapperNetwork,
    gain: GainCurve,
    read: Read,
    ws: Tensor,
    before: Tensor,
    columns: Sequence[int],
    request: float = REQUEST,
) -> tuple[Tensor, Tensor]:
    """Ask every face for a change of one attribute, the attributes taking turns from face to face.

    Parameters
    ----------
    network, gain, read
        The mapper, its gains, and who reads.
    ws, before : Tensor, shapes (B, num_ws, w_dim) and (B, A)
        Faces and their readings.
    columns : sequence of int
        Whose turn it may be.
    request : float
        Upwards where there is room for it, else downwards.

    Returns
    -------
    achieved : Tensor, shape (B,)
        Share of the request that was read.
    others : Tensor, shape (B,)
        Mean absolute change of the attributes that were not asked for.
    """
    turn = torch.arange(len(ws), device=ws.device) % len(columns)
    column = torch.tensor(list(columns), device=ws.device)[turn][:, None]
    up = before.gather(1, column) + request <= 1
    asked = torch.where(up, request, -request).to(before)
    delta = torch.zeros_like(before).scatter(1, column, asked)
    pairs = zip(ws.split(64), delta.split(64), strict=True)
    after = torch.cat([read(network(w, gain(d))) for w, d in pairs])
    change = after - before
    achieved = (change.gather(1, column) / asked)[:, 0]
    others = change.scatter(1, column, 0.0).abs().sum(dim=1) / (change.shape[1] - 1)
    return achieved, others
