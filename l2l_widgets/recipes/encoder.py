"""Training the inversion encoder: a picture in, the latent that would draw it out.

It starts from the regressor's trunk with the head that linear algebra gives, learns the generator's
own latents from pairs of latent and picture (which cost no pass of the generator), and is then
judged by its pictures: pixels, what the regressors see, and who the embedder sees (Richardson et
al. 2021, "pSp"; Tov et al. 2021, "e4e"). Half of those pictures are ones that the generator did not
draw and that have no latent: an encoder that met only the generator's own would be at a loss with a
photo.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from l2l_widgets.attributes import AttributeTable
from l2l_widgets.inversion import perceptual_distance, pixel_distance
from l2l_widgets.latents import to_wplus
from l2l_widgets.losses import cloud_loss, cloud_whitening
from l2l_widgets.perception import TRUNKS, LatentEncoder, load_network, save_network
from l2l_widgets.recipes import Recipe
from l2l_widgets.recipes.labelled import TrunkOnFaces, load_parts, open_labelled, world_table
from l2l_widgets.recipes.perception import HELD_OUT, degrade
from l2l_widgets.recipes.rendered import check_sets, rendered_set
from l2l_widgets.storage import sha256_file
from l2l_widgets.training import Context, Settings, TrainingError
from l2l_widgets.training.schedules import cosine, update_average, warmup
from l2l_widgets.triplets import sample_latents

ENCODER_FILE = "encoder.safetensors"
#: Squared distance to the cloud per dimension that costs nothing, as in `inversion`.
TYPICAL = 1.0
#: Faces that the finished encoder is scored on.
SCORED = 256


@dataclass(frozen=True)
class EncoderTraining(TrunkOnFaces):
    """What ``l2l train encoder --set FIELD=VALUE`` may change.

    Parameters
    ----------
    sets : tuple of str
        Rendered sets whose pictures must come back; none for a generator of another world.
    warm_steps : int
        First steps, on latents alone.
    warm_batch : int
        Pairs a step then; of the ``batch_size`` pictures a step after, half are rendered.
    learning_rate : float
        At the start of each of the two; each falls along half a cosine.
    degraded : float
        Share of the pictures that are blurred, tinted and made noisy before they are read.
    latent_weight : float
        Of the distance to the true w, in standard deviations of the cloud (smooth L1).
    pixel_weight, feature_weight, identity_weight : float
        Of the pictures' distances: pixels, what the regressors see, 1 - the embedder's cosine.
    cloud_weight, offset_weight : float
        Of the way outside the cloud of W, and of the rows' squared offsets, which keep it editable.
    schedule_steps : int
        Step at which the learning rate has fallen to a twentieth.
    average : float
        Decay of the moving average of the weights, which is what is shipped.
    """

    sets: tuple[str, ...] = ("population",)
    warm_steps: int = 3000
    warm_batch: int = 32
    learning_rate: float = 1e-3
    degraded: float = 0.5
    latent_weight: float = 0.5
    pixel_weight: float = 1.0
    feature_weight: float = 1.0
    identity_weight: float = 1.0
    cloud_weight: float = 0.3
    offset_weight: float = 0.1
    schedule_steps: int = 6500
    average: float = 0.995

    def __post_init__(self) -> None:
        if self.family not in TRUNKS:
            raise ValueError(f"family is {self.family!r}; allowed: {', '.join(TRUNKS)}")
        least = {"faces": 64, "warm_batch": 2, "batch_size": 2, "ensemble": 1, "warm_steps": 0}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise ValueError(f"{name} is {getattr(self, name)}; allowed: {low} or more")
        for name in ("latent", "pixel", "feature", "identity", "cloud", "offset"):
            weight = getattr(self, f"{name}_weight")
            if not weight >= 0:
                raise ValueError(f"{name}_weight is {weight}; allowed: 0 or more")
        if not 0 <= self.degraded <= 1:
            raise ValueError(f"degraded is {self.degraded}; allowed: 0 to 1")
        if self.sets:
            check_sets(self.sets)


class EncoderTask:
    """The encoder as the training loop sees it.

    Parameters
    ----------
    config : EncoderTraining
        What to train, on what.
    generator : nn.Module
        G; frozen here.
    regressors : sequence of nn.Module
        Label the set, and see the pictures in the loss; frozen here.
    embedder : nn.Module or None
        Who is in the pictures; without one identity enters no loss.
    table : AttributeTable
        Columns of the readings.
    origin : mapping of str to str
        Hashes of the frozen parts.
    start : nn.Module, optional
        The network whose trunk the encoder starts from.
    """

    def __init__(
        self,
        config: EncoderTraining,
        generator: Any,
        regressors: Sequence[Any],
        embedder: Any | None,
        table: AttributeTable,
        origin: Mapping[str, str] | None = None,
        start: Any | None = None,
    ) -> None:
        if not 1 <= config.ensemble <= len(regressors):
            raise TrainingError(
                f"ensemble is {config.ensemble}; allowed: 1 to {len(regressors)}, the regressors "
                "at hand"
            )
        self.config, self.origin = config, dict(origin or {})
        self.generator, self.embedder = generator, embedder
        self.regressors = tuple(regressors[: config.ensemble])
        for part in self._frozen():
            part.eval().requires_grad_(False)
        self.reader = open_labelled(config, generator, self.regressors, table, self.origin)
        w = self.reader.latents()[0]
        self.mean, self.whiten = cloud_whitening(w)
        self.network = LatentEncoder(
            w.shape[1], generator.num_ws, config.family, self.mean, _basis(w, self.mean),
            width=config.width, features=config.features,
        )  # fmt: skip
        if start is not None:
            try:
                self.network.trunk.load_state_dict(start.trunk.state_dict())
            except (RuntimeError, AttributeError) as error:
                raise TrainingError(
                    f"start_from is {config.start_from!r}: its trunk is not a {config.family} one "
                    f"of width {config.width} and {config.features} features"
                ) from error
            self._fit_head()
        sets = [rendered_set(name).images for name in config.sets]
        #: Pictures that nobody has a latent of: the last ones are for measuring alone.
        self.renders = [s[: max(1, len(s) - HELD_OUT)] for s in sets]
        self.unseen = sets[0][-HELD_OUT:] if sets else None
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.optimizer = torch.optim.Adam(self.network.parameters(), config.learning_rate)
        self.device = torch.device("cpu")

    # -- what the loop asks for --------------------------------------------------------------------
    def modules(self) -> dict[str, nn.Module]:
        """The encoder and its moving average."""
        return {"network": self.network, "average": self.average}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """The one optimizer."""
        return {"network": self.optimizer}

    def prepare(self, device: torch.device) -> None:
        """Move everything; channels last is the layout in which convolutions are fast."""
        self.device = device
        self.mean, self.whiten = self.mean.to(device), self.whiten.to(device)
        for part in (*self._frozen(), self.network, self.average):
            part.to(device, memory_format=torch.channels_last)

    def batch(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Pairs, and where pictures are judged rendered ones after them."""
        config = self.config
        warm = step < config.warm_steps
        size = config.warm_batch if warm else config.batch_size
        pairs = size if warm or not self.renders else size - size // 2
        drawn = self.reader.batch(torch.randint(len(self.reader), (pairs,), generator=generator))
        images = drawn["image"]
        if pairs < size:
            faces = self.renders[step % len(self.renders)]
            rows = torch.randint(len(faces), (size - pairs,), generator=generator)
            rendered = faces[rows].float() / 127.5 - 1
            images = torch.cat([images, self._fit(rendered)])
        spoilt = degrade(images, generator, shift=0)
        kept = torch.rand(size, 1, 1, 1, generator=generator) >= config.degraded
        # rendered pictures have no w: known is 0 for them
        w = F.pad(drawn["w"][:, 0], (0, 0, 0, size - pairs))
        known = (torch.arange(size) < pairs).float()
        read = torch.where(kept, images, spoilt)
        return {"image": images, "read": read, "w": w, "known": known}

    def train_step(
        self, batch: dict[str, Tensor], step: int, context: Context
    ) -> dict[str, Tensor]:
        """Take one step; return its losses."""
        config = self.config
        warm = step < config.warm_steps
        start, end = (0, config.warm_steps)
        if not warm:
            start, end = config.warm_steps, max(config.warm_steps + 1, config.schedule_steps)
        rate = warmup(step - start, 100) * cosine(step, start, end, 0.05)
        context.set_learning_rate("network", config.learning_rate * rate * (1.0 if warm else 0.5))
        self.network.train()
        one, offsets = self.network.coordinates(_channels_last(batch["read"]))
        w = self.network.mean + one @ self.network.basis
        far = (w - batch["w"]) @ self.whiten
        far = F.smooth_l1_loss(far, torch.zeros_like(far), reduction="none").mean(dim=1)
        known = batch["known"]
        losses = {"latent": (far * known).sum() / known.sum().clamp_min(1)}
        if not warm:
            ws = w[:, None] + offsets @ self.network.basis
            losses |= self._picture_losses(ws, batch["image"], step)
            losses["cloud"] = cloud_loss(ws, self.mean, self.whiten, TYPICAL)
            losses["offset"] = offsets.square().mean()
        loss = sum(
            (getattr(config, f"{name}_weight") * value for name, value in losses.items()),
            torch.zeros((), device=w.device),
        )
        # in the first steps the offsets take no part: processes wait for every gradient
        context.backward(loss + 0 * offsets.sum())
        context.optimize("network", max_norm=5.0)
        update_average(self.average, self.network, min(config.average, (1 + step) / (10 + step)))
        return {"loss": loss, **losses}

    def evaluate(self, step: int) -> dict[str, float]:
        """Faces that no shard holds, read by the training networks."""
        return self.scores(64)

    def finish(self, directory: Path) -> dict[str, float]:
        """Write the encoder; score it on other faces."""
        encoder = copy.deepcopy(self.average).eval().cpu()
        made_for = {k: v for k, v in self.origin.items() if k == "generator"}
        save_network(directory / ENCODER_FILE, encoder, {"origin": json.dumps(made_for)})
        return self.scores(SCORED, stream=2)

    # -- parts of it -------------------------------------------------------------------------------
    def _frozen(self) -> list[Any]:
        return [p for p in (self.generator, self.embedder, *self.regressors) if p is not None]

    def _fit(self, images: Tensor) -> Tensor:
        side = self.generator.img_resolution
        if images.shape[-1] == side:
            return images
        return F.interpolate(images, (side, side), mode="bilinear", antialias=True)

    def _picture_losses(self, ws: Tensor, images: Tensor, step: int) -> dict[str, Tensor]:
        config = self.config
        drawn = self.generator.synthesis(ws, noise_mode="const")
        with torch.autocast(self.device.type, enabled=False):
            losses = {"pixel": pixel_distance(drawn.float(), images.float()).mean()}
        # the regressors take turns: nothing that only one of them sees is worth painting
        seeing = self.regressors[step % len(self.regressors)]
        if config.feature_weight > 0 and hasattr(seeing, "feature_maps"):
            losses["feature"] = perceptual_distance([seeing])(drawn, images).mean()
        if config.identity_weight > 0 and self.embedder is not None:
            cosine_ = (self.embedder(drawn).float() * self.embedder(images).float()).sum(dim=1)
            losses["identity"] = (1 - cosine_).mean()
        return losses

    @torch.no_grad()
    def _fit_head(self, count: int = 4096) -> None:
        """Set the head to the ridge regression of the coordinates on the trunk's features."""
        network = self.network.eval()
        rows = torch.arange(min(count, len(self.reader)))
        seen, wanted = [], []
        back = torch.linalg.inv(network.basis.double())
        for part in rows.split(64):
            batch = self.reader.batch(part)
            seen.append(network.trunk(self._read(batch["image"])).double())
            wanted.append((batch["w"][:, 0].double() - network.mean) @ back)
        x, y = torch.cat(seen), torch.cat(wanted)
        middle, mean = y.mean(0), x.mean(0)
        x = x - mean
        gram = x.T @ x
        gram.diagonal().add_(3e-3 * float(gram.diagonal().mean()) + 1e-9)
        slope = torch.linalg.solve(gram, x.T @ (y - middle))  # (features, w_dim)
        network.head.weight.copy_(slope.T)
        network.head.bias.copy_(middle - mean @ slope)

    def _read(self, images: Tensor) -> Tensor:
        """Pictures at the trunk's size."""
        side = self.network.trunk.resolution
        if images.shape[-1] == side:
            return images
        return F.interpolate(images, (side, side), mode="bilinear", antialias=True)

    # -- measuring ---------------------------------------------------------------------------------
    @torch.no_grad()
    def scores(self, faces: int, stream: int = 1) -> dict[str, float]:
        """The encoder alone, by the training networks.

        ``w_r2_score`` is the share of the variance of w, in whitened coordinates, that it finds;
        ``identity_similarity`` and ``reading_error`` compare its pictures with those it read;
        ``render_...`` the same on rendered pictures that nothing was trained on.
        """
        encoder = copy.deepcopy(self.average).eval()
        seed = (self.config.data_seed, 1 << 29, stream)
        psi = (self.config.psi_low, self.config.psi_high)
        w = sample_latents(self.generator, faces, seed, psi).to(self.device).float()
        images = self._draw(to_wplus(w, self.generator.num_ws))
        found = torch.cat([encoder(_channels_last(p)).float() for p in images.split(32)])
        missed = ((found - w) @ self.whiten).square().sum()
        spread = ((w - w.mean(0)) @ self.whiten).square().sum()
        scores = {"w_r2_score": float(1 - missed / spread), **self._compare(encoder, images)}
        if self.unseen is not None:
            renders = self._fit(self.unseen[:faces].float().to(self.device) / 127.5 - 1)
            named = self._compare(encoder, renders)
            scores |= {f"render_{name}": value for name, value in named.items()}
        return {name: round(value, 4) for name, value in scores.items()}

    def _compare(self, encoder: LatentEncoder, images: Tensor) -> dict[str, float]:
        parts = images.split(32)
        drawn = self._draw(torch.cat([encoder.rows(_channels_last(p)).float() for p in parts]))
        reads = self.regressors[0]
        pairs = list(zip(drawn.split(32), parts, strict=True))
        apart = torch.cat([(reads(a).float() - reads(b).float()).abs() for a, b in pairs])
        found = {
            "reading_error": float(apart.mean()),
            "pixel_error": float(torch.cat([pixel_distance(a, b) for a, b in pairs]).mean()),
        }
        if self.embedder is not None:
            same = [(self.embedder(a) * self.embedder(b)).sum(dim=1) for a, b in pairs]
            found["identity_similarity"] = float(torch.cat(same).mean())
        return found

    def _draw(self, ws: Tensor) -> Tensor:
        parts = [self.generator.synthesis(p, noise_mode="const") for p in ws.split(32)]
        return torch.cat(parts).float().clamp(-1, 1)


def _basis(w: Tensor, mean: Tensor) -> Tensor:
    """Principal directions of latents (N, w_dim) as rows, each as long as its deviation."""
    values, vectors = torch.linalg.eigh(torch.cov((w - mean).T.double()))
    # directions without any spread keep a little, so that coordinates exist for every latent
    spread = values.clamp_min(1e-6 * float(values.max()) + 1e-12).sqrt()
    return (vectors * spread).T.flip(0).float()


def _channels_last(images: Tensor) -> Tensor:
    return images.contiguous(memory_format=torch.channels_last)


def build_from(weights: Path, config: EncoderTraining) -> EncoderTask:
    """Build the task over the frozen parts in a weights folder."""
    generator, regressors, origin = load_parts(weights, config.ensemble, "the encoder")
    embedder, path = None, weights / "embedder.safetensors"
    if config.identity_weight > 0:
        if not path.is_file():
            raise TrainingError(
                f"{path} is missing: run `l2l train embedder --publish` first, or leave identity "
                "out with --set identity_weight=0"
            )
        embedder, origin = load_network(path), {**origin, "embedder": sha256_file(path)}
    start = load_network(weights / config.start_from) if config.start_from else None
    return EncoderTask(config, generator, regressors, embedder, world_table(weights), origin, start)


RECIPES = (
    Recipe(
        name="encoder",
        summary="inversion encoder: from a picture to w and W+, in one pass",
        config=EncoderTraining(),
        settings=Settings(
            steps=6500, seed=70, checkpoint_every=500, log_every=50, evaluate_every=1000,
            precision="bf16", threads=1,
        ),
        build=lambda config, weights: build_from(Path(weights), config),
        outputs=(ENCODER_FILE,),
        depends_on=("generator", "regressor", "regressor_b", "embedder"),
        kind="inversion encoder",
    ),
)  # fmt: skip
