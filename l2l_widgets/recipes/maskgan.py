"""Training MaskGAN (Lee et al., CVPR 2020): MaskVAE, dense mapping, then both stages together.

The authors never released their training script; this one follows their slides and the parts of
their code that exist, and says where the two disagree. ``mask-vae`` and ``dense-mapping`` train
what the paper calls pre-trained; ``mask-edit`` is the editing-behaviour simulated training: for
each picture the MaskVAE walks ``1 / 2.5`` of the way towards, and away from, a stranger's mask,
both masks are drawn, and their blend must be the picture again.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from l2l_widgets.maskgan.celebamask_hq import CelebAMaskHQ
from l2l_widgets.maskgan.model import MAPPING, VAE, WHOLE, MaskGAN
from l2l_widgets.maskgan.networks import AlphaBlender, DenseMappingNetwork, MappingConfig
from l2l_widgets.maskgan.objective import (
    ADVERSARIES,
    VGG19,
    MultiscaleDiscriminator,
    PerceptualLoss,
    adversarial_loss,
    feature_matching_loss,
)
from l2l_widgets.masks import one_hot
from l2l_widgets.perception import load_network
from l2l_widgets.recipes.mask_faces import (
    WATCHED,
    MaskData,
    MaskFaces,
    check_amounts,
    linear_end,
    mask_settings,
)
from l2l_widgets.recipes.registry import Recipe
from l2l_widgets.storage import load_safetensors
from l2l_widgets.training import Context, TrainingError


@dataclass(frozen=True)
class MappingTraining(MaskData):
    """What ``l2l train dense-mapping --set FIELD=VALUE`` may change.

    Parameters
    ----------
    base, style_base : int
        Of ``maskgan.MappingConfig``; 0 for what suits the resolution (the paper's at 512).
    sft : bool
        Whether the mask modulates the style encoder; False is an ablation.
    adversary : str
        "lsgan", as in the authors' code, or "log", as in their slides.
    reader : str
        Whose features the perceptual loss compares: "own", the regressor that enters losses, never
        the judge; or the path of torchvision's vgg19 weights, as the paper has them.
    feature_weight, perceptual_weight : float
        Of the discriminator's features and the reader's; 10 and 10.
    pixel_weight : float
        Of the pictures' L1 distance. 0 in the paper, where VGG-19's first maps are nearly pixels;
        our reader has learned to look past colour and noise, and holds neither. (240 steps at 32
        pixels left an L1 of 0.36 with 10 and 0.29 with 100, at the same distance of features.)
    adversary_after : int
        Step from which the mapping listens to its adversary; 0 in the paper. A young network that
        listens from the start spends its steps on a discriminator that it cannot yet follow.
    discriminator_width : int
        Channels; 64 in the paper.
    learning_rate : float
        Of Adam with betas (0.5, 0.999); 5e-5 in the authors' code, at a batch of 1.
    """

    base: int = 0
    style_base: int = 0
    sft: bool = True
    adversary: str = "lsgan"
    reader: str = "own"
    feature_weight: float = 10.0
    perceptual_weight: float = 10.0
    pixel_weight: float = 100.0
    adversary_after: int = 1000
    discriminator_width: int = 32
    learning_rate: float = 4e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_amounts(
            self, "feature_weight", "perceptual_weight", "pixel_weight", "learning_rate", "base",
            "style_base",
        )  # fmt: skip
        if self.adversary not in ADVERSARIES:
            raise ValueError(f"adversary is {self.adversary!r}; allowed: {', '.join(ADVERSARIES)}")
        if self.discriminator_width < 1 or self.adversary_after < 0:
            raise ValueError(
                f"discriminator_width is {self.discriminator_width}, adversary_after is "
                f"{self.adversary_after}; allowed: 1 or more, 0 or more"
            )


def perceptual_loss(reader: str, weights: Path) -> PerceptualLoss:
    """The loss through our regressor, or through VGG-19 where ``reader`` names its weights."""
    if reader != "own":
        path = Path(reader)
        if not path.is_file():
            what = "which is a folder" if path.is_dir() else "no such file"
            raise TrainingError(
                f"reader is {reader!r}: {what}; allowed: own, or torchvision's vgg19 weights"
            )
        if path.suffix == ".safetensors":
            state = load_safetensors(path)[0]
        else:
            try:
                state = torch.load(path, map_location="cpu", weights_only=True)
            except Exception as error:  # torch raises many kinds; all mean that it cannot be read
                # not its own words: they advise to run whatever the file holds
                raise TrainingError(
                    f"reader {reader!r} cannot be read as tensors and nothing else; allowed: "
                    "torchvision's vgg19 state dict, whole, as .pth or .safetensors"
                ) from error
        try:
            return PerceptualLoss(VGG19.load(state))
        except ValueError as error:
            raise TrainingError(f"reader {reader!r}: {error}") from None
    network = load_network(weights / "regressor.safetensors")
    return PerceptualLoss(network.feature_maps, relative=True, network=network)


class MappingTask:
    """A :class:`DenseMappingNetwork` and its adversary, as the training loop sees them."""

    def __init__(
        self, config: MappingTraining, weights: Path, mapping: DenseMappingNetwork | None = None
    ) -> None:
        size = MappingConfig.scaled(config.resolution)
        size = MappingConfig(
            config.resolution, config.base or size.base, size.downs, size.blocks,
            config.style_base or size.style_base, size.style_downs, config.sft,
        )  # fmt: skip
        if config.reader != "own":
            with torch.random.fork_rng(devices=[]):  # read again below, where its turn is
                perceptual_loss(config.reader, weights)  # before an hour of rendering, not after
        elif config.data and not CelebAMaskHQ(config.data).rendered:
            warnings.warn(
                f"data is {config.data!r}, which holds no renders, and the perceptual loss looks "
                "through regressor.safetensors, which may have seen renders alone; "
                "reader=FILE takes torchvision's vgg19 weights",
                stacklevel=1,
            )
        self.config, self.faces = config, MaskFaces(config)
        self.mapping = mapping or DenseMappingNetwork(size)
        self.adversary = MultiscaleDiscriminator(config.discriminator_width)
        self.reader = perceptual_loss(config.reader, weights)
        self.optimizer = {
            "mapping": self._adam(self.mapping.parameters()),
            "adversary": self._adam(self.adversary.parameters()),
        }

    def _adam(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, self.config.learning_rate, betas=(0.5, 0.999))

    def modules(self) -> dict[str, nn.Module]:
        """The mapping and the adversary."""
        return {"mapping": self.mapping, "adversary": self.adversary}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """One each."""
        return dict(self.optimizer)

    def prepare(self, device: torch.device) -> None:
        """Move the frozen reader as well."""
        for part in (*self.modules().values(), self.reader):
            part.to(device)

    def batch(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Pictures, their masks, and masks of strangers."""
        return self.faces.draw(generator)

    def train_step(
        self, batch: dict[str, Tensor], step: int, context: Context
    ) -> dict[str, Tensor]:
        """Draw each picture again from its own mask."""
        self._begin(step, context)
        mask = one_hot(batch["mask"])
        losses, real, drawn = self._draw_again(batch["image"], mask, step, context)
        losses["adversary_loss"] = self._train_adversary(real, [drawn], mask, context)
        return losses

    def _draw_again(
        self, image: Tensor, mask: Tensor, step: int, context: Context
    ) -> tuple[dict[str, Tensor], list[list[Tensor]], Tensor]:
        """Update the mapping by one batch; its losses, the adversary's view of it, the drawing."""
        real = self.adversary(mask, image)
        drawn = self.mapping(mask, mask, image)
        losses = self.drawn_losses(drawn, image, mask, real)
        context.backward(self._weighted(losses, step))
        context.optimize("mapping")
        return losses, real, drawn

    def _begin(self, step: int, context: Context) -> None:
        rate = self.config.learning_rate * linear_end(step, context)
        for name in self.optimizer:
            context.set_learning_rate(name, rate)
        self.mapping.train()

    def drawn_losses(
        self, drawn: Tensor, image: Tensor, mask: Tensor, real: list[list[Tensor]]
    ) -> dict[str, Tensor]:
        """The terms for one drawing (B, 3, R, R); the adversary's weights get no gradient of it."""
        self.adversary.requires_grad_(False)
        seen = self.adversary(mask, drawn)
        self.adversary.requires_grad_(True)
        return {
            "fooling_loss": adversarial_loss(seen, True, self.config.adversary),
            "feature_loss": feature_matching_loss(real, seen),
            # resampling, where the reader has another size, knows no bfloat16
            "perceptual_loss": self.reader(drawn.float(), image.float()),
            "pixel_loss": F.l1_loss(drawn.float(), image.float()),
        }

    def _weighted(self, losses: dict[str, Tensor], step: int) -> Tensor:
        config = self.config
        shown = (
            config.perceptual_weight * losses["perceptual_loss"]
            + config.pixel_weight * losses["pixel_loss"]
        )
        if step < config.adversary_after:
            return shown
        return shown + losses["fooling_loss"] + config.feature_weight * losses["feature_loss"]

    def _train_adversary(
        self, real: list[list[Tensor]], drawn: list[Tensor], mask: Tensor, context: Context
    ) -> Tensor:
        """Real pictures against every kind of drawing, each side with half the weight."""
        kind = self.config.adversary
        wrong = [adversarial_loss(self.adversary(mask, d.detach()), False, kind) for d in drawn]
        loss = 0.5 * (adversarial_loss(real, True, kind) + torch.stack(wrong).mean())
        context.backward(loss)
        context.optimize("adversary")
        return loss

    def evaluate(self, step: int) -> dict[str, float]:
        """Scores on a few held-out faces."""
        return self.scores(WATCHED)

    def finish(self, directory: Path) -> dict[str, float]:
        """Write the weights; report the scores."""
        MaskGAN(self.mapping.eval()).save(directory / MAPPING)
        return self.scores(len(self.faces.held))

    @torch.no_grad()
    def scores(self, count: int) -> dict[str, float]:
        """How near held-out faces come when drawn again from their own masks.

        ``picture_error`` is the mean L1 of pixels in [-1, 1], ``reading_error`` the perceptual
        loss.
        """
        device = next(self.mapping.parameters()).device
        self.mapping.eval()
        pixels, readings = [], []
        for image, mask in self.faces.held_out(count, 32):
            image, plane = image.to(device), one_hot(mask).to(device)
            drawn = self.mapping(plane, plane, image).float()
            pixels.append((drawn - image).abs().mean((1, 2, 3)))
            readings.append(self.reader(drawn, image).reshape(1).repeat(len(image)))
        self.mapping.train()
        return {
            "picture_error": float(torch.cat(pixels).mean()),
            "reading_error": float(torch.cat(readings).mean()),
        }


@dataclass(frozen=True)
class EditTraining(MappingTraining):
    """What ``l2l train mask-edit --set FIELD=VALUE`` may change.

    The mapping is that of the first stage: ``base``, ``style_base`` and ``sft`` are its own.

    Parameters
    ----------
    lambda_inter : float
        The simulated edits go ``1 / lambda_inter`` of the way to a stranger's mask and away from
        it; 2.5 in the paper.
    edits : bool
        Whether edits are simulated at all; False trains on in the first stage only. The mapping
        moves twice a step either way: without edits the second time on a fresh batch.
    blender : bool
        Whether the two drawings are blended by a learned alpha; False takes their mean.
    """

    lambda_inter: float = 2.5
    edits: bool = True
    blender: bool = True
    adversary_after: int = 200
    learning_rate: float = 2e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.lambda_inter < math.inf:
            raise ValueError(f"lambda_inter is {self.lambda_inter}; allowed: a number above 0")


def _check_size(config: EditTraining, own: MappingConfig) -> None:
    """Refuse another size than that of the first stage's mapping, which is trained on."""
    for name in ("base", "style_base"):
        asked, there = getattr(config, name), getattr(own, name)
        if asked not in (0, there):
            raise TrainingError(
                f"{name} is {asked}, and the mapping of {MAPPING} has {there}; allowed: {there}, "
                "or 0 for what it has"
            )
    if own.sft and not config.sft:
        raise TrainingError(
            f"sft is {config.sft}, and the mapping of {MAPPING} has it; allowed: true, or a "
            "mapping without it: l2l train dense-mapping --set sft=false"
        )


class EditTask(MappingTask):
    """Editing-behaviour simulated training, from a trained mapping and a trained MaskVAE.

    Attributes
    ----------
    mapping_updates : int
        Updates of the mapping in one step, of every variant.
    """

    mapping_updates = 2

    def __init__(self, config: EditTraining, weights: Path) -> None:
        trained = MaskGAN.load(weights / MAPPING).mapping
        vae = MaskGAN.load(weights / VAE).vae
        if trained is None or vae is None:
            raise TrainingError(f"{weights}: {MAPPING} holds no mapping, or {VAE} no MaskVAE")
        sides = (trained.config.resolution, vae.config.resolution, config.resolution)
        if len(set(sides)) > 1:
            raise TrainingError(
                f"the mapping draws {sides[0]} pixels, the MaskVAE {sides[1]}, and resolution is "
                f"{sides[2]}; allowed: the same"
            )
        _check_size(config, trained.config)
        super().__init__(config, weights, trained.float().requires_grad_(True))
        self.edit_config, self.vae = config, vae.float()
        small = config.resolution < 256
        self.blender = AlphaBlender(*((16, 2, 2) if small else (32, 3, 3)))
        if config.edits:
            learned = [self.mapping, *([self.blender] if config.blender else [])]
            self.optimizer["edit"] = self._adam(
                list(itertools.chain.from_iterable(part.parameters() for part in learned))
            )

    def modules(self) -> dict[str, nn.Module]:
        """The mapping, the adversary and the blender."""
        return {**super().modules(), "blender": self.blender}

    def prepare(self, device: torch.device) -> None:
        """Move the frozen MaskVAE as well."""
        super().prepare(device)
        self.vae.to(device)

    def train_step(
        self, batch: dict[str, Tensor], step: int, context: Context
    ) -> dict[str, Tensor]:
        """Stage one as before; stage two draws both simulated edits, whose blend is the picture."""
        self._begin(step, context)
        if not self.edit_config.edits:
            return self._plain_step(batch, step, context)
        self.blender.train()
        mask, image = one_hot(batch["mask"]), batch["image"]
        losses, real, drawn = self._draw_again(image, mask, step, context)
        inner, outer = self.simulated_edits(batch["mask"], batch["reference"])
        style = self.mapping.style(image, mask)
        inside = self.mapping.draw(one_hot(inner), style)
        outside = self.mapping.draw(one_hot(outer), style)
        blend = self.blend(inside, outside)
        blended = self.drawn_losses(blend, image, mask, real)
        context.backward(self._weighted(blended, step))
        context.optimize("edit")
        losses |= {f"blend_{name}": value for name, value in blended.items()}
        losses["adversary_loss"] = self._train_adversary(real, [drawn, blend], mask, context)
        return losses

    def batch(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Pictures, their masks, and masks of strangers; two batches where no edits are made."""
        first = super().batch(step, generator)
        if self.edit_config.edits:
            return first
        second = super().batch(step, generator)
        return {name: torch.cat([first[name], second[name]]) for name in first}

    def _plain_step(
        self, batch: dict[str, Tensor], step: int, context: Context
    ) -> dict[str, Tensor]:
        """Stage one on both halves; the adversary learns once, from two drawings as with edits."""
        masks = one_hot(batch["mask"]).chunk(2)
        pairs = zip(batch["image"].chunk(2), masks, strict=True)
        found = [self._draw_again(*pair, step, context) for pair in pairs]
        losses = {n: torch.stack([one[n] for one, *_ in found]).mean() for n in found[0][0]}
        real = [
            [torch.cat(maps) for maps in zip(*scales, strict=True)]
            for scales in zip(*(real for _, real, _ in found), strict=True)
        ]
        drawn = torch.cat([drawn.detach() for *_, drawn in found])
        losses["adversary_loss"] = self._train_adversary(real, [drawn], torch.cat(masks), context)
        return losses

    def blend(self, inside: Tensor, outside: Tensor) -> Tensor:
        """The two drawings (B, 3, R, R) as one."""
        if self.edit_config.blender:
            return self.blender(inside, outside)[0]
        return (inside + outside) / 2

    @torch.no_grad()
    def simulated_edits(self, masks: Tensor, references: Tensor) -> tuple[Tensor, Tensor]:
        """Masks (B, R, R) moved towards references and away from them, as the MaskVAE draws them.

        Cut to whole classes, as the masks were that the authors computed beforehand.
        """
        own = self.vae.encode(one_hot(masks))[0]
        gap = (self.vae.encode(one_hot(references))[0] - own) / self.edit_config.lambda_inter
        inner, outer = self.vae.decode(own + gap), self.vae.decode(own - gap)
        return inner.argmax(1), outer.argmax(1)

    def finish(self, directory: Path) -> dict[str, float]:
        """Write mapping and blender as one; report the scores.

        A blender that has learned nothing is not written: it would pass for a part of the model.
        """
        learned = self.edit_config.edits and self.edit_config.blender
        blender = self.blender.eval() if learned else None
        MaskGAN(self.mapping.eval(), None, blender).save(directory / WHOLE)
        return self.scores(len(self.faces.held))


RECIPES = (
    Recipe(
        name="dense-mapping",
        summary="MaskGAN's Dense Mapping Network, before edits are simulated",
        config=MappingTraining(),
        settings=mask_settings(8000, 41),
        build=MappingTask,
        outputs=(MAPPING,),
        depends_on=("regressor",),
        kind="mask to face, first stage",
        intermediate=True,
    ),
    Recipe(
        name="mask-edit",
        summary="MaskGAN with editing-behaviour simulated training",
        config=EditTraining(),
        settings=mask_settings(2200, 42),
        build=EditTask,
        outputs=(WHOLE,),
        depends_on=("mask-vae", "dense-mapping", "regressor"),
        kind="mask to face",
    ),
)
