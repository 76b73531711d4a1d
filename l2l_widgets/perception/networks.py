"""Trunks with heads: attributes, identity, landmarks, and the latents that would draw a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from l2l_widgets.perception.trunks import make_trunk, resampled, stage_maps


class AttributeNet(nn.Module):
    """Attribute regressor, H in the paper: pictures (B, 3, R, R) in [-1, 1] -> (B, A) in [0, 1].

    Parameters
    ----------
    attributes : sequence of str
        Names of the outputs, in order.
    family : {"residual", "separable", "transformer", "plain"}
        Which trunk.
    **options
        Given to the trunk.
    """

    def __init__(self, attributes: Sequence[str], family: str = "residual", **options: Any) -> None:
        super().__init__()
        self.attributes = tuple(attributes)
        self.config = {"attributes": list(attributes), "family": family, **options}
        self.trunk = make_trunk(family, options)
        self.head = nn.Linear(self.trunk.hidden.out_features, len(self.attributes))

    def features(self, images: Tensor) -> Tensor:
        """Penultimate features, (B, D): what Fréchet distances are measured on."""
        return self.trunk(resampled(images, self.trunk.resolution))

    def feature_maps(self, images: Tensor) -> list[Tensor]:
        """What each convolutional stage ends with: for a discriminator that looks through H."""
        return stage_maps(self.trunk, images)

    def logits(self, images: Tensor) -> Tensor:
        """Readings before the sigmoid, (B, A)."""
        return self.head(self.features(images))

    def forward(self, images: Tensor) -> Tensor:
        """Readings, (B, A) float32 in [0, 1]."""
        return torch.sigmoid(self.logits(images).float())


class FaceEmbeddingNet(nn.Module):
    """Identity embedder, F in the paper: pictures (B, 3, R, R) in [-1, 1] -> (B, D), unit length.

    Parameters
    ----------
    embedding_dim : int
        D.
    family, **options
        As in :class:`AttributeNet`.
    """

    def __init__(self, embedding_dim: int = 64, family: str = "residual", **options: Any) -> None:
        super().__init__()
        self.embedding_dim = embedding_dim
        self.config = {"embedding_dim": embedding_dim, "family": family, **options}
        self.trunk = make_trunk(family, options)
        self.head = nn.Linear(self.trunk.hidden.out_features, embedding_dim)

    def feature_maps(self, images: Tensor) -> list[Tensor]:
        """What each convolutional stage ends with, as for :class:`AttributeNet`."""
        return stage_maps(self.trunk, images)

    def project(self, images: Tensor) -> Tensor:
        """The embedding before it is normalised, (B, D)."""
        return self.head(self.trunk(resampled(images, self.trunk.resolution)))

    def forward(self, images: Tensor) -> Tensor:
        """Unit vectors, (B, D) float32; their dot product is the identity similarity."""
        return F.normalize(self.project(images).float(), dim=1)


class LandmarkNet(nn.Module):
    """Landmarks straight from a trunk: a fraction of a parser's cost, for use inside a loss.

    Parameters
    ----------
    points : int
        Landmarks; 51 are the inner ones of the usual 68, without the line of the jaw.
    family, **options
        As in :class:`AttributeNet`.
    """

    def __init__(self, points: int = 51, family: str = "residual", **options: Any) -> None:
        super().__init__()
        if points < 1:
            raise ValueError(f"points is {points}; allowed: 1 or more")
        self.points = points
        self.config = {"points": points, "family": family, **options}
        self.trunk = make_trunk(family, options)
        self.head = nn.Linear(self.trunk.hidden.out_features, 2 * points)

    def forward(self, images: Tensor) -> Tensor:
        """(B, points, 2) float32: x to the right, y down, shares of the picture's side."""
        features = self.trunk(resampled(images, self.trunk.resolution))
        return 0.5 + self.head(features).float().unflatten(1, (self.points, 2))


class LatentEncoder(nn.Module):
    """Inversion encoder: pictures (B, 3, R, R) in [-1, 1] to the latents that would draw them.

    One w a picture, and for each row of W+ an offset from it (Tov et al. 2021, "e4e", section 4).
    The head speaks in principal coordinates of the cloud of W, all of variance 1, so that an
    untrained encoder draws the average face and every coordinate weighs alike.

    Parameters
    ----------
    w_dim, num_ws : int
        Sizes of the generator's latents.
    mean : Tensor, shape (w_dim,), optional
        Middle of the cloud.
    basis : Tensor, shape (w_dim, w_dim), optional
        Principal directions of the cloud as rows, each as long as its standard deviation.
    family, **options
        As in :class:`AttributeNet`.
    """

    mean: Tensor
    basis: Tensor

    def __init__(
        self,
        w_dim: int,
        num_ws: int,
        family: str = "residual",
        mean: Tensor | None = None,
        basis: Tensor | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self.w_dim, self.num_ws = w_dim, num_ws
        self.config = {"w_dim": w_dim, "num_ws": num_ws, "family": family, **options}
        self.trunk = make_trunk(family, options)
        self.head = nn.Linear(self.trunk.hidden.out_features, w_dim)
        self.offsets = nn.Linear(self.trunk.hidden.out_features, num_ws * w_dim)
        for layer in (self.head, self.offsets):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.register_buffer("mean", torch.zeros(w_dim) if mean is None else mean.clone().float())
        self.register_buffer("basis", torch.eye(w_dim) if basis is None else basis.clone().float())

    def coordinates(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Principal coordinates: of the one w, (B, w_dim), and of the offsets, (B, num_ws, w_dim).

        Float32; in standard deviations of the cloud along each direction.
        """
        features = self.trunk(resampled(images, self.trunk.resolution))
        offsets = self.offsets(features).float().unflatten(1, (self.num_ws, self.w_dim))
        return self.head(features).float(), offsets

    def rows(self, images: Tensor) -> Tensor:
        """W+ with an offset for each row, (B, num_ws, w_dim): draws the picture best."""
        one, offsets = self.coordinates(images)
        return self.mean + (one[:, None] + offsets) @ self.basis

    def forward(self, images: Tensor) -> Tensor:
        """The one w of each picture, (B, w_dim): edits best."""
        return self.mean + self.coordinates(images)[0] @ self.basis
