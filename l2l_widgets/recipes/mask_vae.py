"""Training MaskVAE (Lee et al., CVPR 2020): masks back from their codes.

The paper weighs the divergence with 1e-5 and does not say whether it is a sum or a mean; both can
be had, and the sum is the default: with the mean nothing would hold the codes together.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from l2l_widgets.maskgan.mask_vae import KL_REDUCTIONS, MaskVAE, MaskVAEConfig, divergence
from l2l_widgets.maskgan.model import VAE, MaskGAN
from l2l_widgets.masks import CLASS_COUNT, one_hot
from l2l_widgets.recipes.mask_faces import (
    WATCHED,
    MaskData,
    MaskFaces,
    check_amounts,
    linear_end,
    mask_settings,
)
from l2l_widgets.recipes.registry import Recipe
from l2l_widgets.training import Context


@dataclass(frozen=True)
class MaskVAETraining(MaskData):
    """What ``l2l train mask-vae --set FIELD=VALUE`` may change.

    Parameters
    ----------
    width, latent_dim : int
        Of ``maskgan.MaskVAEConfig``; 0 for what suits the resolution (the paper's at 512).
    kl_weight : float
        Of the divergence; 1e-5 in the paper.
    kl_reduction : str
        "sum" or "mean" over a code's numbers, see ``maskgan.divergence``.
    learning_rate : float
        Of Adam.
    """

    width: int = 0
    latent_dim: int = 0
    kl_weight: float = 1e-5
    kl_reduction: str = "sum"
    learning_rate: float = 2e-3
    batch_size: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        check_amounts(self, "kl_weight", "learning_rate", "width", "latent_dim")
        if self.kl_reduction not in KL_REDUCTIONS:
            raise ValueError(
                f"kl_reduction is {self.kl_reduction!r}; allowed: {', '.join(KL_REDUCTIONS)}"
            )


class MaskVAETask:
    """A :class:`MaskVAE` as the training loop sees it."""

    def __init__(self, config: MaskVAETraining) -> None:
        size = MaskVAEConfig.scaled(config.resolution)
        size = MaskVAEConfig(
            config.resolution, config.width or size.width, size.downs,
            config.latent_dim or size.latent_dim,
        )  # fmt: skip
        self.config, self.faces = config, MaskFaces(config)  # read once the size is known to do
        self.network = MaskVAE(size)
        self.optimizer = torch.optim.Adam(self.network.parameters(), config.learning_rate)

    def modules(self) -> dict[str, nn.Module]:
        """The one network."""
        return {"network": self.network}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """The one optimizer."""
        return {"network": self.optimizer}

    def prepare(self, device: torch.device) -> None:
        """Move the network to the device."""
        self.network.to(device)

    def batch(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Masks, and the noise of their codes."""
        mask = self.faces.draw(generator)["mask"]
        shape = (len(mask), self.network.config.latent_dim)
        return {"mask": mask, "noise": torch.randn(shape, generator=generator)}

    def train_step(
        self, batch: dict[str, Tensor], step: int, context: Context
    ) -> dict[str, Tensor]:
        """Cross entropy, a mean over pixels, and the divergence."""
        context.set_learning_rate("network", self.config.learning_rate * linear_end(step, context))
        self.network.train()
        logits, mean, log_variance = self.network(one_hot(batch["mask"]), batch["noise"])
        pixel_loss = F.cross_entropy(logits.float(), batch["mask"].long())
        kl_loss = divergence(mean.float(), log_variance.float(), self.config.kl_reduction)
        context.backward(pixel_loss + self.config.kl_weight * kl_loss)
        context.optimize("network")
        return {"pixel_loss": pixel_loss, "kl_loss": kl_loss}

    def evaluate(self, step: int) -> dict[str, float]:
        """Scores on a few held-out masks."""
        return self.scores(WATCHED)

    def finish(self, directory: Path) -> dict[str, float]:
        """Write the weights; report the scores."""
        MaskGAN(vae=self.network.eval()).save(directory / VAE)
        return self.scores(len(self.faces.held))

    def scores(self, count: int) -> dict[str, float]:
        """On the first held-out masks, see :func:`score_masks`."""
        self.network.eval()
        scores = score_masks(self.network, self.faces.masks[self.faces.held[:count]])
        self.network.train()
        return scores


@torch.no_grad()
def score_masks(network: MaskVAE, masks: Tensor) -> dict[str, float]:
    """How well masks come back from their codes.

    ``mask_accuracy`` is the share of pixels, ``mean_iou_score`` the mean over classes that are
    shown of intersection over union.

    Parameters
    ----------
    network : MaskVAE
        In evaluation mode.
    masks : Tensor, shape (N, R, R), uint8
        Classes.
    """
    device = next(network.parameters()).device
    back = torch.cat([network(one_hot(m).to(device))[0].argmax(1).cpu() for m in masks.split(64)])
    pairs = (masks.long() * CLASS_COUNT + back).flatten()
    table = torch.bincount(pairs, minlength=CLASS_COUNT**2).view(CLASS_COUNT, -1).float()
    hit, shown = table.diagonal(), table.sum(1) > 0
    iou = hit / (table.sum(0) + table.sum(1) - hit).clamp_min(1)
    return {
        "mask_accuracy": float(hit.sum() / table.sum()),
        "mean_iou_score": float(iou[shown].mean()),
    }


RECIPES = (
    Recipe(
        name="mask-vae",
        summary="MaskVAE: a space of face masks (Lee et al.)",
        config=MaskVAETraining(),
        settings=mask_settings(4000, 40),
        build=lambda config, weights: MaskVAETask(config),
        outputs=(VAE,),
        kind="mask autoencoder",
    ),
)
