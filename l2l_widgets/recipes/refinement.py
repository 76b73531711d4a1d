"""Doubling the size of a trained StyleGAN2: one more block on top of a network that stays as it is.

``generator`` takes the generator that ``generator_base`` trained, freezes it, and trains the block
that follows. Everything below stays to the bit: the mapping network, so W and every editor trained
in it, and the picture of half the side, which the skip output still gives. What the block adds is
what a larger picture has and a smaller one has not: crisp edges and fine lines. It starts as plain
upsampling, for its colours start at zero.

Two phases in one run. First a small convolutional network learns to double pictures, from renders
of the larger side and their own halves, some of them softened as a generator's pictures are. Then
the block learns to draw, from the features below it, what that network makes of the generator's
small picture; averaged over 2 x 2 pixels the large picture is to be the small one. Both phases
learn from pairs that lie on each other to the pixel, so no discriminator is needed. One was tried:
the block, which sees no pair, answered it with specks along every edge.

The block learns from faces of one w in all rows. A code whose rows differ (W+, style mixing), which
the layers below it know from their own training, is new to it.

Progressive growing is Karras et al. 2018 ("Progressive Growing of GANs"); that the lower layers are
frozen while it grows, and that a doubling network teaches it, is ours, and it is what makes it
affordable on a CPU. The doubling network is of the kind of Lim et al. 2017 ("EDSR").
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from l2l_widgets.faceworld.version import WORLD
from l2l_widgets.perception import AttributeNet, load_network
from l2l_widgets.recipes import Recipe
from l2l_widgets.recipes.drawing_losses import edge_loss, match_loss, picture_loss
from l2l_widgets.recipes.rendered import rendered_set
from l2l_widgets.stylegan2 import Generator, load_generator, save_generator
from l2l_widgets.training import Context, Settings, cosine, update_average, warmup


@dataclass(frozen=True)
class RefinementTraining:
    """What ``l2l train generator --set FIELD=VALUE`` may change.

    Parameters
    ----------
    doubling_steps : int
        Steps of the first phase, at least 1; the rest of ``steps`` is the second.
    width, blocks : int
        Channels and residual blocks of the doubling network.
    batch_size : int
        Pictures a step.
    crop : int
        Side of the pieces of large pictures that the doubling network learns from; even.
    softness : float
        Most that a piece is softened, 0 to 1: at 1 each pixel is the mean of its 5 x 5
        neighbours, weighted as a Gaussian of one pixel's deviation.
    doubling_rate, block_rate : float
        Learning rates of Adam.
    edge_weight, match_weight, kept_weight : float
        Weights beside the L1 over a pyramid: of the differences between neighbouring pixels, of
        the regressor's early feature maps, and (second phase) of the mean absolute difference
        between the averaged large picture and the small one.
    average : float
        Decay of the moving average of either network, which is what is used and shipped.
    world : int
        Version of the renderer.
    """

    doubling_steps: int = 1200
    width: int = 32
    blocks: int = 4
    batch_size: int = 16
    crop: int = 64
    softness: float = 0.8
    doubling_rate: float = 1e-3
    block_rate: float = 4e-3
    edge_weight: float = 1.0
    match_weight: float = 0.1
    kept_weight: float = 1.0
    average: float = 0.995
    world: int = WORLD

    def __post_init__(self) -> None:
        for name in ("doubling_steps", "width", "blocks", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; allowed: 1 or more")
        if self.crop < 8 or self.crop % 2:
            raise ValueError(f"crop is {self.crop}; allowed: an even number, 8 or more")
        for name in ("softness", "average"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; allowed: 0 to 1")


class RefinementTask:
    """Both phases, as the training loop sees them.

    Parameters
    ----------
    config : RefinementTraining
        Rates and weights.
    generator : Generator
        Trained at half the side of the renders; not changed.
    network : AttributeNet
        Frozen regressor, through whose early features pictures are compared.
    output : str
        Name of the weights file.
    """

    def __init__(
        self, config: RefinementTraining, generator: Generator, network: AttributeNet, output: str
    ) -> None:
        self.config, self.output = config, output
        self.data = rendered_set("large")
        self.side = self.data.config.resolution
        if config.crop > self.side:
            raise ValueError(f"crop is {config.crop}; allowed: at most {self.side}")
        self.generator = grown(generator, self.side)
        self.generator.requires_grad_(False)
        self.block = getattr(self.generator.synthesis, f"b{self.side}").requires_grad_(True)
        self.block_average = copy.deepcopy(self.block).requires_grad_(False)
        self.doubler = Doubler(config.width, config.blocks)
        self.doubler_average = copy.deepcopy(self.doubler).requires_grad_(False)
        self.eyes = _EarlyMaps(network)
        self._block = torch.optim.Adam(
            self.block.parameters(), config.block_rate, betas=(0.9, 0.99)
        )
        self._doubler = torch.optim.Adam(
            self.doubler.parameters(), config.doubling_rate, betas=(0.9, 0.99)
        )

    def modules(self) -> dict[str, nn.Module]:
        """The new block and the doubling network, and the moving average of each."""
        return {
            "block": self.block, "average": self.block_average,
            "doubler": self.doubler, "doubler_average": self.doubler_average,
        }  # fmt: skip

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """One for each phase."""
        return {"block": self._block, "doubler": self._doubler}

    def prepare(self, device: torch.device) -> None:
        """Channels last is the layout in which convolutions are fast."""
        networks = (self.generator, self.block_average, self.doubler, self.doubler_average)
        for network in (*networks, self.eyes.network):
            # PyTorch's own types do not know this form of `to`.
            network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def batch(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Pieces of renders, half of them mirrored, and how soft each is; later fresh z."""
        size, crop = self.config.batch_size, self.config.crop
        if step >= self.config.doubling_steps:
            return {"z": torch.randn(size, self.generator.z_dim, generator=generator)}
        rows = torch.randint(len(self.data), (size,), generator=generator)
        # even places, so that a piece of the large picture has its own piece of the small one
        places = torch.randint((self.side - crop) // 2 + 1, (size, 2), generator=generator) * 2
        images = torch.stack(
            [
                self.data.images[row, :, top : top + crop, left : left + crop]
                for row, (top, left) in zip(rows, places.tolist(), strict=True)
            ]
        )
        flip = torch.rand(size, generator=generator) < 0.5
        images = torch.where(flip[:, None, None, None], images.flip(-1), images)
        softness = torch.rand(size, generator=generator) * self.config.softness
        return {"image": images.float() / 127.5 - 1, "softness": softness}

    def train_step(
        self, batch: dict[str, Tensor], step: int, context: Context
    ) -> dict[str, Tensor]:
        """The doubling network on pairs of renders, then the block on what it makes of faces."""
        last = self.config.doubling_steps
        if step < last:
            return self._train_doubler(batch, step, last, context)
        return self._train_block(batch["z"], step - last, context.steps - last, context)

    def _train_doubler(
        self, batch: dict[str, Tensor], step: int, steps: int, context: Context
    ) -> dict[str, Tensor]:
        large = batch["image"].contiguous(memory_format=torch.channels_last)
        small = softened(F.avg_pool2d(large, 2), batch["softness"])
        self._set_rate("doubler", self.config.doubling_rate, step, steps, context)
        losses = self._compare(self.doubler(small).float(), large, "doubling")
        context.backward(losses["doubling_loss"])
        context.optimize("doubler")
        update_average(self.doubler_average, self.doubler, self._decay(step))
        return losses

    def _train_block(self, z: Tensor, step: int, steps: int, context: Context) -> dict[str, Tensor]:
        drawn, small = self.draw(z)
        with torch.no_grad():
            wanted = self.doubler_average(small).float()
        self._set_rate("block", self.config.block_rate, step, steps, context)
        losses = self._compare(drawn, wanted, "block")
        losses["kept_loss"] = (F.avg_pool2d(drawn, 2) - small).abs().mean()
        context.backward(losses["block_loss"] + self.config.kept_weight * losses["kept_loss"])
        context.optimize("block")
        update_average(self.block_average, self.block, self._decay(step))
        return losses

    def _set_rate(self, name: str, rate: float, step: int, steps: int, context: Context) -> None:
        shape = warmup(step, 50) * cosine(step, steps // 2, steps, 0.02)
        context.set_learning_rate(name, rate * shape)

    def _decay(self, step: int) -> float:
        return min(self.config.average, (1 + step) / (10 + step))

    def _compare(self, drawn: Tensor, wanted: Tensor, name: str) -> dict[str, Tensor]:
        """The loss called ``name``, and its parts."""
        edges = edge_loss(drawn, wanted)
        with torch.no_grad():
            seen = self.eyes.feature_maps(wanted)
        match = match_loss(self.eyes.feature_maps(drawn), seen)
        picture = picture_loss(drawn, wanted)
        total = picture + self.config.edge_weight * edges + self.config.match_weight * match
        return {f"{name}_loss": total, "edge_loss": edges.detach(), "match_loss": match.detach()}

    def draw(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Z (B, z_dim) -> pictures (B, 3, R, R), with a graph to the block, and (B, 3, R/2, R/2).

        The part below the block runs without one: that is most of the work saved.
        """
        synthesis = self.generator.synthesis
        x = img = None
        with torch.no_grad():
            ws = self.generator.mapping(z, skip_w_avg_update=True)
            *below, (_, last) = synthesis.rows_of_blocks()
            for side, rows in below:
                block = getattr(synthesis, f"b{side}")
                x, img = block(x, img, ws[:, rows], "random")
        assert img is not None
        drawn = self.block(x, img, ws[:, last], "random")[1]
        return drawn.float(), img.float()

    def evaluate(self, step: int) -> dict[str, float]:
        """Nothing while training: the scores need the judges."""
        return {}

    def finish(self, directory: Path) -> dict[str, float]:
        """Write the whole generator, its new block averaged over the training."""
        network = copy.deepcopy(self.generator).eval()
        block = getattr(network.synthesis, f"b{self.side}")
        block.load_state_dict(self.block_average.state_dict())
        save_generator(directory / self.output, network)
        return {}


class Doubler(nn.Module):
    """Doubles pictures: residual blocks at the small side, then one pixel becomes four.

    Parameters
    ----------
    width : int
        Channels.
    blocks : int
        Residual blocks of two 3 x 3 convolutions; there is no normalisation (Lim et al. 2017).
    """

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, width, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width, width, 3, padding=1),
                nn.LeakyReLU(0.2),
                nn.Conv2d(width, width, 3, padding=1),
            )
            for _ in range(blocks)
        )
        self.last = nn.Conv2d(width, 12, 3, padding=1)
        # it starts as plain interpolation
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, R, R) in [-1, 1] -> (B, 3, 2R, 2R)."""
        x = self.first(images)
        for block in self.blocks:
            x = x + block(x)
        plain = F.interpolate(images, scale_factor=2, mode="bilinear", align_corners=False)
        return plain + F.pixel_shuffle(self.last(x), 2)


def softened(images: Tensor, softness: Tensor) -> Tensor:
    """Blend pictures (B, 3, R, R) with their Gaussian blur of one pixel, each by 0 to 1 (B,)."""
    taps = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
    height, width = images.shape[-2:]
    # sums of shifted pictures: a convolution would be rounded to bfloat16 under autocast
    padded = F.pad(images.float(), (2, 2, 2, 2), mode="replicate")
    parts = [tap * padded[..., k : k + width] for k, tap in enumerate(taps)]
    across = torch.stack(parts).sum(dim=0)
    parts = [tap * across[..., k : k + height, :] for k, tap in enumerate(taps)]
    blurred = torch.stack(parts).sum(dim=0)
    return torch.lerp(images.float(), blurred, softness.view(-1, 1, 1, 1).float())


class _EarlyMaps:
    """A regressor's first maps of a picture twice its own size.

    A convolution does not mind the size of a picture, and what is to be compared here is texture
    and edges, not where the parts of a face lie: the pictures go in unshrunk, and the maps that see
    only a neighbourhood are taken.
    """

    def __init__(self, network: AttributeNet, count: int = 2) -> None:
        self.network, self.count = network, count

    def feature_maps(self, images: Tensor) -> list[Tensor]:
        """(B, 3, R, R) -> ``count`` maps of side R/2, R/4, ..."""
        trunk: Any = self.network.trunk
        return trunk.feature_maps(images)[: self.count]


def grown(generator: Generator, img_resolution: int) -> Generator:
    """A generator of ``img_resolution`` that draws what ``generator`` draws, plainly upsampled.

    Parameters
    ----------
    generator : Generator
        Of half that side.
    img_resolution : int
        Twice ``generator.img_resolution``.

    Raises
    ------
    ValueError
        Another size.
    """
    if img_resolution != 2 * generator.img_resolution:
        raise ValueError(
            f"img_resolution is {img_resolution}; allowed: {2 * generator.img_resolution}, twice "
            "the generator's"
        )
    larger = Generator(**{**generator.config, "img_resolution": img_resolution})
    state = larger.state_dict()
    larger.load_state_dict({**state, **generator.state_dict()})
    larger.faithful_from = generator.faithful_from
    colour = getattr(larger.synthesis, f"b{img_resolution}").torgb
    nn.init.zeros_(colour.weight)
    nn.init.zeros_(colour.bias)
    return larger


OUTPUT = "generator.safetensors"


def _build(config: RefinementTraining, weights: Path) -> RefinementTask:
    generator = load_generator(weights / "generator_base.safetensors")
    return RefinementTask(
        config, generator, load_network(weights / "regressor.safetensors"), OUTPUT
    )


RECIPES = (
    Recipe(
        name="generator",
        summary="StyleGAN2, 128 px: one more block on generator_base, which stays as it is",
        config=RefinementTraining(),
        settings=Settings(
            steps=3000, seed=2, checkpoint_every=500, log_every=50, precision="bf16", threads=1
        ),
        build=_build,
        outputs=(OUTPUT,),
        depends_on=("generator_base", "regressor"),
        kind="generator",
    ),
)
