"""Training the embedded StyleGAN2 on rendered portraits.

``generator_base`` runs four phases in one run:

1. *mapping*: portraits' factors, rotated, are the latent z, and the mapping network alone learns a
   w from which a linear map reads what the portrait is to look like. A face either wears glasses or
   does not: such a step lies across all coordinates of z, and pictures teach it only slowly;
2. *distillation*: G learns to draw each rendered picture from its z, at 16, 32 and then 64 pixels;
3. *paired adversarial*: discriminators join, the pictures still paired with their z;
4. *unpaired adversarial*: the StyleGAN2 game on fresh z, with style mixing and path length
   regularisation, so that W becomes the generator's own and not a linear image of the factors.

The first three are a bootstrap, which makes a generator trainable within hours of one CPU core; the
model card says so. Two discriminators play: one looks through the frozen features of the two
attribute regressors (``projected.py``), which learns from few pictures, and at every fourth step
StyleGAN2's own looks at the pixels, whose R1 penalty it keeps. The second judges take no part.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from l2l_widgets.faceworld.factors import (
    FACTORS,
    MIRRORED,
    Factors,
    cholesky_factor,
    sample_factors,
)
from l2l_widgets.faceworld.version import WORLD
from l2l_widgets.masks import MASK_CLASSES
from l2l_widgets.perception import AttributeNet, load_network
from l2l_widgets.projected import ProjectedDiscriminator, hinge_losses
from l2l_widgets.recipes import Recipe
from l2l_widgets.recipes.drawing_losses import edge_loss, match_loss, picture_loss
from l2l_widgets.recipes.rendered import POPULATION, rendered_set
from l2l_widgets.stylegan2 import Generator, path_lengths, save_generator
from l2l_widgets.stylegan2.discriminator import Discriminator, r1_penalty
from l2l_widgets.stylegan2.layers import FullyConnectedLayer, channel_table
from l2l_widgets.training import Context, Settings, cosine, update_average, warmup

#: Parts whose pixels count more in the distillation: small, and what a face is read by.
FEATURES = ("eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "mouth", "u_lip", "l_lip", "nose")


@dataclass(frozen=True)
class GeneratorTraining:
    """What ``l2l train generator_base --set FIELD=VALUE`` may change.

    Parameters
    ----------
    w_dim, mapping_layers, mapping_width, channel_base, channel_max : int
        The network; see ``stylegan2.Generator``.
    mapping_steps, distil_steps, paired_steps : int
        Lengths of the first three phases; the fourth takes the rest.
    batch_size : int
        At the full size; twice as many at lower ones, 32 times as many for the mapping alone.
    portraits : int
        Portraits sampled for the mapping; none of them is rendered.
    mapping_rate, distil_rate, generator_rate, discriminator_rate : float
        Learning rates of Adam.
    feature_weight : float
        Extra weight of :data:`FEATURES` in the distillation.
    paired_weight : float
        Weight of the picture loss beside the adversarial one in phase 3.
    match_weight, distil_match_weight : float
        Weight of the difference of the frozen networks' feature maps in phase 3, and in phase 2 at
        the full size; see :func:`match_loss`.
    head_channels, head_rate : int, float
        Width and learning rate of the projected discriminator's heads.
    pixel_every : int
        Steps between those at which the discriminator of pixels plays too.
    pixel_weight : float
        Its weight in the generator's loss.
    r1_gamma, path_weight : float
        R1 at every 16th step of the discriminator of pixels, path length at every 16th step.
    mixing : float
        Probability of style mixing in phase 4.
    average : float
        Decay of the moving average, which is what is shipped.
    world : int
        Version of the renderer.
    """

    w_dim: int = 128
    mapping_layers: int = 3
    mapping_width: int = 512
    channel_base: int = 2048
    channel_max: int = 128
    mapping_steps: int = 5000
    distil_steps: int = 14000
    paired_steps: int = 4000
    batch_size: int = 16
    portraits: int = 200_000
    mapping_rate: float = 2e-3
    distil_rate: float = 4e-3
    generator_rate: float = 1e-3
    discriminator_rate: float = 2e-3
    head_channels: int = 32
    head_rate: float = 1e-3
    pixel_every: int = 4
    pixel_weight: float = 1.0
    feature_weight: float = 6.0
    paired_weight: float = 2.0
    match_weight: float = 5.0
    distil_match_weight: float = 0.0
    r1_gamma: float = 0.3
    path_weight: float = 1.0
    mixing: float = 0.5
    average: float = 0.998
    world: int = WORLD

    def __post_init__(self) -> None:
        if self.batch_size < 4 or self.batch_size % 4:
            raise ValueError(f"batch_size is {self.batch_size}; allowed: a multiple of 4")
        if self.pixel_every < 1:
            raise ValueError(f"pixel_every is {self.pixel_every}; allowed: 1 or more")
        # before an hour of rendering, not after it
        channel_table(POPULATION.resolution, self.channel_base, self.channel_max)

    @property
    def adversarial_from(self) -> int:
        """The step at which discriminators join."""
        return self.mapping_steps + self.distil_steps


class GeneratorTask:
    """The four phases as the training loop sees them.

    Parameters
    ----------
    config : GeneratorTraining
        The network and its schedule.
    networks : sequence of AttributeNet
        Frozen regressors, through whose features the projected discriminator looks.
    """

    INTERVAL = 16  # steps between applications of the lazy regularisers

    def __init__(self, config: GeneratorTraining, networks: Sequence[AttributeNet]) -> None:
        self.config, self.networks = config, tuple(networks)
        self.data = rendered_set("population")
        network: dict[str, Any] = {
            "channel_base": config.channel_base,
            "channel_max": config.channel_max,
        }
        self.generator = Generator(
            len(FACTORS), 0, config.w_dim, self.data.config.resolution, 3,
            mapping_kwargs={
                "num_layers": config.mapping_layers, "layer_features": config.mapping_width,
                "lr_multiplier": 1.0,
            },
            **network,
        )  # fmt: skip
        self.discriminator = Discriminator(0, self.data.config.resolution, 3, **network)
        self.projected = ProjectedDiscriminator(
            self.networks, self.data.config.resolution, config.head_channels
        )
        # z = R L^-1 g: standard normal, and no single z coordinate is a factor
        rotation, _ = torch.linalg.qr(torch.randn(len(FACTORS), len(FACTORS), generator=_seeded(7)))
        self.to_z = torch.linalg.inv(cholesky_factor()).T @ rotation.T
        start_from_factors(self.generator.mapping.fc0, torch.linalg.inv(self.to_z))
        self.portraits = sample_factors(config.portraits, seed=PORTRAITS_SEED)
        looks = _looks(self.portraits)
        self.looks = (looks - looks.mean(0)) / looks.std(0).clamp_min(1e-4)
        self.reader = nn.Linear(config.w_dim, looks.shape[1])
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.path_mean = _Scalar()
        self._mapping = torch.optim.Adam(
            [*self.generator.mapping.parameters(), *self.reader.parameters()],
            config.mapping_rate, betas=(0.9, 0.99),
        )  # fmt: skip
        self._distil = torch.optim.Adam(
            self.generator.parameters(), config.distil_rate, betas=(0.9, 0.99)
        )
        self._generator = torch.optim.Adam(
            self.generator.parameters(), config.generator_rate, betas=(0.0, 0.99)
        )
        self._discriminator = torch.optim.Adam(
            self.discriminator.parameters(), config.discriminator_rate, betas=(0.0, 0.99)
        )
        self._heads = torch.optim.Adam(
            self.projected.parameters(), config.head_rate, betas=(0.0, 0.99)
        )
        self.weights = torch.zeros(len(MASK_CLASSES))
        self.weights[[MASK_CLASSES.index(n) for n in FEATURES]] = config.feature_weight
        self.mirror = torch.ones(len(FACTORS))
        self.mirror[[FACTORS.index(n) for n in MIRRORED]] = -1

    def modules(self) -> dict[str, nn.Module]:
        """G, both D, the reader of w, the moving average of G, and the mean of path lengths."""
        return {
            "generator": self.generator, "discriminator": self.discriminator,
            "projected": self.projected, "average": self.average, "path_mean": self.path_mean,
            "reader": self.reader,
        }  # fmt: skip

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """One for each network, and two for G before it plays."""
        return {
            "mapping": self._mapping, "distil": self._distil, "generator": self._generator,
            "discriminator": self._discriminator, "projected": self._heads,
        }  # fmt: skip

    def prepare(self, device: torch.device) -> None:
        """Channels last is the layout in which convolutions are fast."""
        networks = (self.generator, self.discriminator, self.projected, self.average, self.reader)
        for network in (*networks, *self.networks):
            # PyTorch's own types do not know this form of `to`.
            network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def resolution(self, step: int) -> int:
        """Side of the pictures at a step: distillation grows from 16 over 32 to the full one."""
        share = (step - self.config.mapping_steps) / max(self.config.distil_steps, 1)
        return min(
            self.data.config.resolution, 16 if share < 0.15 else 32 if share < 0.45 else 4096
        )

    def batch(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Pictures, half of them mirrored, with their z; fresh z for the unpaired phase.

        For the mapping alone: z and what the portrait is to look like.
        """
        if step < self.config.mapping_steps:
            size = 32 * self.config.batch_size
            rows = torch.randint(len(self.portraits), (size,), generator=generator)
            return {"z": self.portraits.latents[rows] @ self.to_z, "looks": self.looks[rows]}
        full = self.resolution(step) == self.data.config.resolution
        size = self.config.batch_size * (1 if full else 2)
        rows = torch.randint(len(self.data), (size,), generator=generator)
        flip = torch.rand(size, generator=generator) < 0.5
        images, masks = self.data.images[rows], self.data.masks[rows]
        latents = self.data.factors.latents[rows]
        images = torch.where(flip[:, None, None, None], images.flip(-1), images)
        masks = torch.where(flip[:, None, None], masks.flip(-1), masks)
        latents = torch.where(flip[:, None], latents * self.mirror, latents)
        return {
            "image": images.float() / 127.5 - 1,
            "weight": self.weights[masks.long()][:, None],
            "z": latents @ self.to_z,
            "fresh": torch.randn(latents.shape, generator=generator),
        }

    def train_step(
        self, batch: dict[str, Tensor], step: int, context: Context
    ) -> dict[str, Tensor]:
        """One step of whichever phase ``step`` lies in."""
        config = self.config
        if step < config.mapping_steps:
            return self._mapping_step(batch, step, context)
        batch["image"] = batch["image"].contiguous(memory_format=torch.channels_last)
        if step < config.adversarial_from:
            losses = self._distil_step(batch, step, context)
        else:
            losses = self._adversarial_step(batch, step, context)
        seen = step - config.mapping_steps
        update_average(self.average, self.generator, min(config.average, (1 + seen) / (10 + seen)))
        return losses

    def _mapping_step(
        self, batch: dict[str, Tensor], step: int, context: Context
    ) -> dict[str, Tensor]:
        config = self.config
        context.set_learning_rate(
            "mapping", config.mapping_rate * cosine(step, 0, config.mapping_steps, 0.02)
        )
        with torch.autocast(batch["z"].device.type, enabled=False):  # steps are sharp: float32
            read = self.reader(self.generator.mapping(batch["z"])[:, 0])
            loss = (read - batch["looks"]).square().mean()
        context.backward(loss)
        context.optimize("mapping")
        return {"mapping_loss": loss}

    def _distil_step(
        self, batch: dict[str, Tensor], step: int, context: Context
    ) -> dict[str, Tensor]:
        config, first = self.config, self.config.mapping_steps
        half = first + config.distil_steps // 2
        rate = config.distil_rate * warmup(step - first, 100)
        rate *= cosine(step, half, config.adversarial_from, 0.03)
        context.set_learning_rate("distil", rate)
        side = self.resolution(step)
        target, weight = _shrink(batch["image"], side), _shrink(batch["weight"], side)
        drawn = self.generator.synthesis(self.generator.mapping(batch["z"]), "none", side).float()
        loss = picture_loss(drawn, target) + edge_loss(drawn, target)
        loss = loss + 0.7 * ((1 + weight) * (drawn - target).abs()).mean()
        losses = {"distil_loss": loss}
        if config.distil_match_weight and side == self.data.config.resolution:
            with torch.no_grad():
                wanted = self.projected.features(target)
            losses["match_loss"] = match_loss(self.projected.features(drawn), wanted)
            loss = loss + config.distil_match_weight * losses["match_loss"]
        context.backward(loss)
        context.optimize("distil")
        return losses

    def _adversarial_step(
        self, batch: dict[str, Tensor], step: int, context: Context
    ) -> dict[str, Tensor]:
        config, first = self.config, self.config.adversarial_from
        paired = step < first + config.paired_steps
        real = batch["image"]
        decay = cosine(step, (first + 3 * context.steps) // 4, context.steps, 0.1)
        context.set_learning_rate(
            "generator", config.generator_rate * warmup(step - first, 100) * decay
        )
        context.set_learning_rate("discriminator", config.discriminator_rate * decay)
        context.set_learning_rate("projected", config.head_rate * decay)
        if paired:
            ws = self.generator.mapping(batch["z"])
        else:
            ws = self.generator.mixed_ws(batch["fresh"], config.mixing)
        drawn = self.generator.synthesis(ws, "random")
        losses = {}
        # the maps of the drawn pictures serve both players: one with the graph, one without
        maps = self.projected.features(drawn)
        with torch.no_grad():
            real_maps = self.projected.features(real)
        fake_logits = self.projected([m.detach() for m in maps])
        losses["projected_loss"] = hinge_losses(self.projected(real_maps), fake_logits)
        context.backward(losses["projected_loss"])
        context.optimize("projected")
        with_pixels = step % config.pixel_every == 0
        if with_pixels:
            losses["discriminator_loss"] = self._train_discriminator(drawn, real, step, context)
        for network in (self.projected, self.discriminator):
            network.requires_grad_(False)
        losses["generator_loss"] = loss = -self.projected(maps).mean()
        if with_pixels:
            seen = F.softplus(-self.discriminator(drawn).float()).mean()
            loss = loss + config.pixel_weight * seen
        for network in (self.projected, self.discriminator):
            network.requires_grad_(True)
        if paired:
            loss = loss + config.paired_weight * picture_loss(drawn.float(), real)
            losses["match_loss"] = match_loss(maps, real_maps)
            loss = loss + config.match_weight * losses["match_loss"]
        context.backward(loss)
        if not paired and config.path_weight and step % self.INTERVAL == self.INTERVAL // 2:
            context.backward(self._path_penalty(batch["fresh"], context) * self.INTERVAL)
        context.optimize("generator")
        return losses

    def _train_discriminator(
        self, drawn: Tensor, real: Tensor, step: int, context: Context
    ) -> Tensor:
        """One step of the discriminator of pixels; its loss."""
        fake_logits, real_logits = self._tell_apart(drawn.detach().to(real.dtype), real)
        loss = F.softplus(fake_logits).mean() + F.softplus(-real_logits).mean()
        context.backward(loss)
        if step % (self.INTERVAL * self.config.pixel_every) == 0:
            penalty = r1_penalty(self.discriminator, real).mean()
            context.backward(penalty * (self.config.r1_gamma / 2 * self.INTERVAL))
        context.optimize("discriminator")
        return loss

    def _tell_apart(self, fake: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of both in one pass, ordered so that no minibatch-std group mixes the two."""
        rows = 4, len(fake) // 4  # a group is every (N / 4)th picture of the batch
        both = torch.cat([x.unflatten(0, rows) for x in (fake, real)], dim=1).flatten(0, 1)
        both = both.contiguous(memory_format=torch.channels_last)
        logits = self.discriminator(both).float().view(4, -1)
        return logits[:, : rows[1]], logits[:, rows[1] :]

    def _path_penalty(self, z: Tensor, context: Context) -> Tensor:
        """Squared distance of path lengths from their running mean (Karras et al. 2020, 3.2)."""
        ws = self.generator.mapping(z[: max(1, len(z) // 2)], skip_w_avg_update=True)
        lengths = path_lengths(self.generator.synthesis(ws, "random").float(), ws).float()
        mean = self.path_mean.value.lerp(
            context.average(lengths.detach().mean()), 0.01 * self.INTERVAL
        )
        self.path_mean.value.copy_(mean)
        return self.config.path_weight * (lengths - mean).square().mean()

    def evaluate(self, step: int) -> dict[str, float]:
        """Nothing while training: the scores need the judges, which are trained beside it."""
        return {}

    def pictures(self) -> dict[str, Tensor]:
        """Faces of the same latents, for those who watch: as drawn, and with a truncated w."""
        network = self.average
        z = torch.randn(6, network.z_dim, generator=torch.Generator().manual_seed(9))
        ws = network.mapping(z.to(network.w_avg.device))
        middle = ws.mean(dim=0, keepdim=True)  # w_avg is measured at the end
        return {
            "as drawn": network.synthesis(ws, "const").float(),
            "halfway to their mean": network.synthesis(ws.lerp(middle, 0.5), "const").float(),
        }

    def finish(self, directory: Path) -> dict[str, float]:
        """Write ``generator_base.safetensors``, with w_avg measured on 20,000 codes."""
        network = self.average.eval()
        generator = torch.Generator().manual_seed(11)
        z = torch.randn(20000, network.z_dim, generator=generator).to(network.w_avg.device)
        with torch.no_grad():
            network.mapping.w_avg.copy_(network.mapping(z)[:, 0].mean(0))
        save_generator(directory / "generator_base.safetensors", network)
        return {}


#: Seed of the portraits of the first phase, which no rendered set has.
PORTRAITS_SEED = 1001


def start_from_factors(layer: FullyConnectedLayer, to_factors: Tensor) -> None:
    """Let a layer's outputs start as the factors themselves, each of both signs, by turns.

    Parameters
    ----------
    layer : FullyConnectedLayer
        The mapping's first, (width, z_dim).
    to_factors : Tensor
        (z_dim, F); ``z @ to_factors`` are a portrait's factors.
    """
    width, count = layer.weight.shape[0], to_factors.shape[1]
    rows = torch.arange(width)
    sign = 1.0 - 2.0 * (rows // count % 2)
    with torch.no_grad():
        layer.weight.copy_(to_factors.T[rows % count] * sign[:, None] / layer.weight_gain)
        if layer.bias is not None:  # where the leaky ReLU bends
            places = torch.rand(width, generator=_seeded(9)) * 2.6 - 1.3
            layer.bias.copy_(places / layer.bias_gain)


def _looks(portraits: Factors) -> Tensor:
    """Everything that portraits are rendered from, and the attributes they are named by, (N, L)."""
    return torch.cat(
        [torch.stack(list(portraits.natural().values()), 1), portraits.attributes()], dim=1
    )


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class _Scalar(nn.Module):
    """A number that is saved with the run."""

    value: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("value", torch.zeros(()))


def _shrink(images: Tensor, side: int) -> Tensor:
    factor = images.shape[-1] // side
    return images if factor == 1 else F.avg_pool2d(images, factor)


def _build(config: GeneratorTraining, weights: Path) -> GeneratorTask:
    files = ("regressor.safetensors", "regressor_b.safetensors")
    return GeneratorTask(config, [load_network(weights / file) for file in files])


RECIPES = (
    Recipe(
        name="generator_base",
        summary="StyleGAN2, 64 px, on rendered portraits: mapped, distilled, paired, then unpaired",
        config=GeneratorTraining(),
        settings=Settings(
            steps=36500, seed=1, checkpoint_every=500, log_every=50, precision="bf16", threads=1
        ),
        build=_build,
        outputs=("generator_base.safetensors",),
        depends_on=("regressor", "regressor_b"),
        kind="generator",
        intermediate=True,
    ),
)
