"""What the mapper is trained for: the sum of losses of Khodadadeh et al. (WACV 2022, section 3).

The paper reads the target attribute through one regressor H. A mapper trained that way learns to
paint what that one network reads; so here every regressor of an ensemble judges, each compared with
its own reading of the unedited face, both pictures seen through the same random blur, noise, crop
and contrast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from l2l_widgets import losses
from l2l_widgets.editors.mapper import MapperNetwork
from l2l_widgets.losses import Augmentation, ConservationLoss

if TYPE_CHECKING:
    from l2l_widgets.protocols import AttributeRegressor, FaceEmbedder, Generator


@dataclass(frozen=True)
class LossWeights:
    """Weight of each loss; 0 switches it off.

    Latent losses are in units of the population's standard deviation, ``attribute`` is the squared
    L2 distance over all attributes that have a target, ``face`` the squared L2 distance of unit
    embeddings over that of two different people, as embedders differ in how far apart they place
    people.
    """

    attribute: float = 30.0
    cycle: float = 0.5
    identity: float = 0.5
    neighbourhood: float = 1.0
    face: float = 5.0
    cloud: float = 0.3
    conservation: float = 0.0

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if not 0 <= value < float("inf"):
                raise ValueError(f"loss weight {f.name} is {value!r}; allowed: 0 or more")


def sample_changes(
    current: Tensor,
    low: Tensor,
    high: Tensor,
    generator: torch.Generator,
    null_share: float = 0.05,
    many_share: float = 0.15,
) -> Tensor:
    """Draw the changes that a batch of faces is trained on.

    Most rows change 1 to 3 attributes, each to a target uniform in the population's range; some
    change 4 to 8 at once, some none.

    Parameters
    ----------
    current : Tensor, shape (B, A)
        Readings in [0, 1].
    low, high : Tensor, shape (A,)
        The population's range of each attribute.
    generator : torch.Generator
        CPU generator; all randomness comes from it.
    null_share, many_share : float
        Shares of rows that change nothing, and that change 4 to 8.

    Returns
    -------
    Tensor, shape (B, A)
        In [-1, 1]; not yet corrected.
    """
    batch, attributes = current.shape
    kind = torch.rand(batch, generator=generator)
    few = torch.randint(1, 4, (batch,), generator=generator)
    many = torch.randint(4, 9, (batch,), generator=generator)
    count = torch.where(kind < null_share + many_share, many, few)
    count = torch.where(kind < null_share, 0, count)
    rank = torch.rand(batch, attributes, generator=generator).argsort(dim=1).argsort(dim=1)
    chosen = (rank < count[:, None]).to(current.device)
    share = torch.rand(batch, attributes, generator=generator).to(current)
    target = low.to(current) + (high - low).to(current) * share
    return torch.where(chosen, target - current, torch.zeros_like(current)).clamp(-1, 1)


class MapperObjective:
    """The weighted sum, over frozen parts.

    Parameters
    ----------
    generator : Generator
        G, frozen.
    regressors : sequence of AttributeRegressor
        The ensemble H, frozen.
    embedder : FaceEmbedder
        F, frozen.
    weights : LossWeights
        Weight of each loss.
    ws : Tensor, shape (N, w_dim)
        Latents of the population: the cloud that edits stay near.
    attribute_weight : Tensor, shape (A,), optional
        Importance of each attribute in the attribute loss.
    conservation : ConservationLoss, optional
        The user's own loss on (images before, images after).
    cloud_floor : float
        Squared Mahalanobis distance per dimension that costs nothing.
    people_apart : float
        Mean squared distance of the embeddings of two different people.
    augmentation : Augmentation or None
        What the judges see through; None shows them the pictures as they are.
    """

    def __init__(
        self,
        generator: Generator,
        regressors: Sequence[AttributeRegressor],
        embedder: FaceEmbedder,
        weights: LossWeights,
        ws: Tensor,
        attribute_weight: Tensor | None = None,
        conservation: ConservationLoss | None = None,
        cloud_floor: float = 1.5,
        people_apart: float = 1.0,
        augmentation: Augmentation | None = None,
    ) -> None:
        if not regressors:
            raise ValueError("the mapper's objective needs at least one regressor; none was given")
        if not people_apart > 0:
            raise ValueError(
                f"people_apart is {people_apart!r}; allowed: above 0 (or nobody is told apart)"
            )
        if weights.conservation > 0 and conservation is None:
            raise ValueError(
                f"loss weight conservation is {weights.conservation}, but no loss was given"
            )
        self.generator, self.regressors, self.embedder = generator, tuple(regressors), embedder
        self.weights, self.conservation = weights, conservation
        self.cloud_floor, self.augmentation = cloud_floor, augmentation
        self.people_apart = people_apart
        self.attribute_weight = attribute_weight
        self.mean, self.whiten = losses.cloud_whitening(ws)

    def to(self, device: torch.device) -> MapperObjective:
        """Move the tensors held here (not the networks) to a device."""
        self.mean, self.whiten = self.mean.to(device), self.whiten.to(device)
        if self.attribute_weight is not None:
            self.attribute_weight = self.attribute_weight.to(device)
        return self

    def __call__(
        self, network: MapperNetwork, batch: dict[str, Tensor], turn: int | None = None
    ) -> dict[str, Tensor]:
        """Return every loss unweighted, and their weighted sum as ``loss``.

        Parameters
        ----------
        network : MapperNetwork
            The one part that is trained.
        batch : dict of Tensor
            ``w`` (B, num_ws, w_dim); ``image`` (B, 3, R, R) in [-1, 1], the unedited faces;
            ``delta`` (B, A), corrected changes; the keys of ``Augmentation.draw``; and where some
            attributes have no target, ``held`` (B, A), 0 for those
            (``correction.held_columns``).
        turn : int, optional
            Only this regressor judges, modulo their number: cheaper, and over the steps the same
            objective. All judge where it is not given.
        """
        w, delta, before = batch["w"], batch["delta"], batch["image"]
        # the mapper stays in float32: its steps are small beside the latents they are added to
        with torch.autocast(w.device.type, enabled=False):
            edited = network(w, delta)
            back = network(edited, -delta)
            out = self._latent_losses(network, w, edited, back)
        after = self.generator.synthesis(edited, noise_mode="const")
        seen_before, seen_after = before.to(after), after
        if self.augmentation is not None:
            draw = {k: batch[k] for k in ("theta", "gain", "sigma", "grain")}
            seen_before, seen_after = self.augmentation(draw, seen_before, after)
        judges = self.regressors
        if turn is not None:
            judges = (judges[turn % len(judges)],)
        weight = self.attribute_weight
        if "held" in batch:
            weight = batch["held"] if weight is None else weight * batch["held"]
        out["attribute"] = self._attribute_loss(judges, seen_before, seen_after, delta, weight)
        if self.weights.face > 0:
            with torch.no_grad():
                person = self.embedder(seen_before).float()
            moved = losses.face_identity_loss(person, self.embedder(seen_after).float())
            out["face"] = moved / self.people_apart
        if self.weights.conservation > 0:
            assert self.conservation is not None
            out["conservation"] = self.conservation(before.float(), after.float())
        out["loss"] = torch.stack([getattr(self.weights, k) * v for k, v in out.items()]).sum()
        return out

    def _latent_losses(
        self, network: MapperNetwork, w: Tensor, edited: Tensor, back: Tensor
    ) -> dict[str, Tensor]:
        scale = network.scale
        out = {
            "cycle": losses.cycle_loss(w / scale, back / scale),
            "neighbourhood": losses.neighbourhood_loss(w / scale, edited / scale),
            "cloud": losses.cloud_loss(edited, self.mean, self.whiten, self.cloud_floor),
        }
        if network.config.null == "learned":  # exact by structure otherwise
            zero = torch.zeros(w.shape[0], network.config.attributes, device=w.device)
            out["identity"] = losses.identity_loss(w / scale, network(w, zero) / scale)
        return out

    def _attribute_loss(
        self,
        regressors: tuple[AttributeRegressor, ...],
        before: Tensor,
        after: Tensor,
        delta: Tensor,
        weight: Tensor | None,
    ) -> Tensor:
        total = torch.zeros((), device=delta.device)
        for regressor in regressors:
            with torch.no_grad():
                target = (regressor(before).float() + delta).clamp(0, 1)
            reached = regressor(after).float()
            total = total + losses.attribute_loss(reached, target, weight)
        return total / len(regressors)
