"""The same person with one attribute truly changed: what a perfect edit would look like.

No photograph set has such pairs; this world does. They give the upper end of the identity scale in
``evaluation/requested.py``: an embedder that reads a truly changed age as another person must not
be held against an editor.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.faceworld.factors import EMOTIONS, Factors, factor_index, sample_factors
from l2l_widgets.faceworld.render import render

#: The one latent that moves an attribute and nothing that is another attribute's own.
PRIMARY_FACTOR = {
    "smile": "lip_corner",
    "mouth_open": "jaw",
    "eyes_open": "lids",
    "sunglasses": "dark_lenses",
    "hair_grey": "greyness",
    "hair_red": "hair_redness",
    "hair_black": "hair_tone",
    "hair_brown": "hair_tone",
    "hair_blond": "hair_tone",
    **{emotion: f"emotion_{emotion}" for emotion in EMOTIONS},
}


def with_attribute(factors: Factors, name: str, target: Tensor) -> tuple[Factors, Tensor]:
    """Return the same portraits with one attribute brought as near to a target as it goes.

    Parameters
    ----------
    factors : Factors
        B portraits.
    name : str
        An attribute of ``DEFAULT_TABLE``.
    target : Tensor, shape (B,)
        Wanted values in [0, 1].

    Returns
    -------
    changed : Factors
    reached : Tensor, shape (B,)
        The attribute's values afterwards; far from the target where the portrait does not allow it
        (no beard on a child).
    """
    column = DEFAULT_TABLE.index(name)
    primary = PRIMARY_FACTOR.get(name, name)
    rows = torch.arange(len(factors))
    centre, width = factors.latents[:, factor_index(primary)].clamp(-4, 4), 8.0
    # two rounds of a grid instead of a bisection: shares of one pigment are not monotone
    for _ in range(2):
        offsets = torch.linspace(-0.5, 0.5, 129) * width
        grid = (centre[:, None] + offsets).clamp(-4.5, 4.5)  # (B, 129)
        tried = Factors(factors.latents.repeat_interleave(grid.shape[1], dim=0), factors.gated)
        values = tried.replace(**{primary: grid.flatten()}).attributes()[:, column].view_as(grid)
        # among equals the smallest step: saturated ends would otherwise run off
        cost = (values - target[:, None]).abs() + 1e-4 * (grid - centre[:, None]).abs()
        centre, width = grid[rows, cost.argmin(dim=1)], width / 64
    changed = factors.replace(**{primary: centre})
    return changed, changed.attributes()[:, column]


def rerendered_pairs(
    name: str, request: float, n: int, seed: int, resolution: int
) -> tuple[Tensor, Tensor]:
    """Draw people twice: with less of one attribute, and with more of it by ``request``.

    One of the two is the person as sampled. Which one is the world's to say: whoever took the sign
    of the change from a reader instead would only ever find that the reader sees a rise.

    Parameters
    ----------
    name : str
        An attribute of ``DEFAULT_TABLE``.
    request : float
        Size of the change, in (0, 1]; each sampled person goes in the direction that has room.
    n : int
        People to start from; those whose attribute cannot change by at least 0.8 of the request
        are left out.
    seed : int
        Seed of the people; equal seeds draw equal people whatever the attribute.
    resolution : int
        Side of the pictures, in pixels.

    Returns
    -------
    less, more : Tensor, shape (M, 3, R, R), M <= n
        Pictures in [-1, 1].

    Raises
    ------
    ValueError
        Nobody's attribute could be changed.
    """
    people = sample_factors(n, seed)
    current = people.attributes()[:, DEFAULT_TABLE.index(name)]
    target = torch.where(current + request <= 1, current + request, current - request)
    changed, reached = with_attribute(people, name, target)
    possible = ((reached - current).abs() >= 0.8 * request).nonzero()[:, 0]
    if len(possible) == 0:
        raise ValueError(f"attribute {name!r}: none of {n} portraits can change it by {request}")
    drawn = _render_in_parts(people[possible], resolution)
    redrawn = _render_in_parts(changed[possible], resolution)
    rises = (reached > current)[possible][:, None, None, None]
    return torch.where(rises, drawn, redrawn), torch.where(rises, redrawn, drawn)


def people_again(
    people: int, resolution: int
) -> Callable[[str, float, int], tuple[Tensor, Tensor] | None]:
    """Return what gives an evaluation the same people with less and with more of an attribute.

    Parameters
    ----------
    people : int
        To start from, see :func:`rerendered_pairs`; who they are follows from the seed.
    resolution : int
        Side of the pictures, in pixels.

    Returns
    -------
    callable
        (attribute, request, seed) -> two sets of pictures, or None where nobody can change it:
        identity is then not placed.
    """

    def truth(name: str, request: float, seed: int) -> tuple[Tensor, Tensor] | None:
        try:
            return rerendered_pairs(name, request, people, 700_000 + seed, resolution)
        except ValueError:
            return None

    return truth


def _render_in_parts(factors: Factors, resolution: int, part: int = 16) -> Tensor:
    with torch.inference_mode():
        parts = [
            render(factors[slice(i, i + part)], resolution).image
            for i in range(0, len(factors), part)
        ]
    return torch.cat(parts)
