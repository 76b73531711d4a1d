"""A world whose picture is its latent, and editors whose faults are known exactly."""

from __future__ import annotations

import torch

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.latents import to_wplus
from l2l_widgets.models.zoo import Models

A = len(DEFAULT_TABLE)


class OpenWorld:
    """A generator whose picture is its latent, so that every answer is known in closed form.

    Latents are the 35 readings and one number that is the person; nothing is hidden.
    """

    z_dim = w_dim = A + 1
    num_ws, img_resolution = 2, 6
    w_avg = torch.full((A + 1,), 0.5)

    def mapping(self, z, truncation_psi=1.0, truncation_cutoff=None):
        return to_wplus(0.5 + 0.4 * torch.tanh(z), self.num_ws)

    def synthesis(self, ws, noise_mode="const"):
        return ws[:, 0].reshape(-1, 1, 6, 6).expand(-1, 3, -1, -1)


class Reads:
    attributes = DEFAULT_TABLE.names

    def __call__(self, images):
        return images[:, 0].flatten(1)[:, :A]


class Knows:
    embedding_dim = 2

    def __call__(self, images):
        angle = 20 * images[:, 0].flatten(1)[:, A]
        return torch.stack([angle.cos(), angle.sin()], dim=1)


class Moves:
    """Adds ``reach`` of the request to the attribute and ``leak`` of it to every other one."""

    name, space, can_preserve = "moves", "w+", False
    attributes = DEFAULT_TABLE.names

    def __init__(self, reach=1.0, leak=0.0, person=0.0):
        self.reach, self.leak, self.person = reach, leak, person

    def edit(self, w, request):
        delta = request.deltas(DEFAULT_TABLE)
        others = self.leak * delta.sum(dim=1, keepdim=True) * (delta == 0)
        step = torch.cat([self.reach * delta + others, self.person * delta.sum(1, True)], dim=1)
        return w + step[:, None]


def open_models(judge=None, regressor=None, judge_b=None):
    """Models of the open world; another judge, regressor or second judge where one is given."""
    return Models.from_parts(
        OpenWorld(), regressor=regressor or Reads(), embedder=Knows(),
        attribute_judge=judge or Reads(), attribute_judge_b=judge_b, identity_judge=Knows(),
        name="open",
    )  # fmt: skip
