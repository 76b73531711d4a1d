"""Training the mixer of identity and attributes (Nitzan et al., ACM TOG 39(6), 2020).

The authors' losses, weights and schedule, with some things of our own, each a field of the config:
a teacher in closed form for the first steps, which need no picture (``warm_steps``), a loss on what
the training regressors read of pose, expression and what is worn (``reading_weight``), one on the
background (``background_weight``), the identity weighed more towards the end (``identity_rise``),
and an encoder that starts from the regressor's trunk (``start_from``), as theirs starts from
ImageNet. Everything that the
frozen networks say of an input is computed once and kept in shards, so that a step costs one pass
of the generator and of what reads its output.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from l2l_widgets.attributes import DEFAULT_TABLE, AttributeTable
from l2l_widgets.disentangle import MIXER_FILE, MixerConfig, MixerNetwork, save_mixer
from l2l_widgets.disentangle.networks import LatentDiscriminator, load_trunk
from l2l_widgets.disentangle.objective import (
    LinearSwap,
    discriminator_distance,
    identity_distance,
    landmark_distance,
    mapper_distance,
    r1_distance,
    reconstruction_distance,
)
from l2l_widgets.latents import to_wplus
from l2l_widgets.losses import background_kept_loss
from l2l_widgets.recipes.identity_fields import FOLLOWED, MixerTraining
from l2l_widgets.recipes.labelled import load_parts, open_labelled
from l2l_widgets.recipes.registry import Recipe
from l2l_widgets.recipes.signatures import signatures
from l2l_widgets.storage import sha256_file
from l2l_widgets.training import Context, Settings, TrainingError
from l2l_widgets.training.schedules import cosine, update_average, warmup
from l2l_widgets.triplets import sample_latents


class MixerTask:
    """The mixer as the training loop sees it.

    Parameters
    ----------
    config : MixerTraining
        What to train, on what.
    generator, embedder : nn.Module
        G and E_id; frozen here.
    regressors : sequence of nn.Module
        Label the set, and read pose and expression in the loss; frozen here.
    landmarks : nn.Module or None
        E_lnd; may be None where ``landmark_weight`` is 0.
    table : AttributeTable
        Columns of the readings.
    origin : mapping of str to str
        Hashes of the frozen parts.
    start : nn.Module, optional
        The network whose trunk the attribute encoder starts from.
    output : str
        Name of the weights file.
    """

    def __init__(
        self,
        config: MixerTraining,
        generator: Any,
        embedder: Any,
        regressors: Sequence[Any],
        landmarks: Any | None = None,
        table: AttributeTable = DEFAULT_TABLE,
        origin: Mapping[str, str] | None = None,
        start: nn.Module | None = None,
        output: str = MIXER_FILE,
    ) -> None:
        if config.landmark_weight > 0 and landmarks is None:
            raise TrainingError(
                "landmark_weight is above 0 and there is no landmark network; allowed: 0, or one "
                "from `l2l train landmarks --publish`"
            )
        self.config, self.origin, self.output = config, dict(origin or {}), output
        self.generator, self.embedder, self.landmarks = generator, embedder, landmarks
        self.regressors = tuple(regressors[: config.ensemble])
        for part in (generator, embedder, landmarks, *self.regressors):
            if isinstance(part, nn.Module):
                part.eval().requires_grad_(False)
        # landmarks label nothing: without their hash the set is the mapper's own
        labelled_by = {k: v for k, v in self.origin.items() if k != "landmarks"}
        self.reader = open_labelled(config, generator, self.regressors, table, labelled_by)
        self.w, self.readings = self.reader.latents()
        self.person, self.points = signatures(self.reader, embedder, landmarks, self.origin)
        self.columns = [table.index(name) for name in FOLLOWED if name in table]
        # a reading that hardly ever changes must not weigh without bound
        self.spread = self.readings[:, self.columns].std(dim=0).clamp_min(0.03)
        self.teacher = LinearSwap(self.w, self.person, self.readings[:, self.columns])
        cloud = _spread(self.w)
        self.network = MixerNetwork(
            MixerConfig(
                self.person.shape[1], self.w.shape[1], config.family, config.width,
                config.features, config.hidden,
            ),
            _spread(self.person), cloud,
        )  # fmt: skip
        if start is not None:
            load_trunk(self.network, start)
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.judge = LatentDiscriminator(cloud)
        rate, parts = config.learning_rate, list(self.network.parameters())
        self._optimizers: dict[str, torch.optim.Optimizer] = {
            "pictures": torch.optim.Adam(parts, rate),
            # a second one for the same weights, as the authors have it
            "adversarial": torch.optim.Adam(parts, rate * config.adversarial_rate),
            "judge": torch.optim.Adam(self.judge.parameters(), rate * config.discriminator_rate),
        }
        self.device = torch.device("cpu")

    # -- what the loop asks for --------------------------------------------------------------------
    def modules(self) -> dict[str, nn.Module]:
        """The mixer, its moving average, and D_W."""
        return {"mixer": self.network, "average": self.average, "judge": self.judge}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """One for each of the three kinds of step."""
        return self._optimizers

    def prepare(self, device: torch.device) -> None:
        """Move the frozen parts; channels last is the layout in which convolutions are fast."""
        self.device = device
        for part in (self.generator, self.embedder, self.landmarks, *self.regressors):
            if isinstance(part, nn.Module):
                # PyTorch's own types do not know this form of `to`.
                part.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def is_cross(self, step: int) -> bool:
        """Whether this step's two inputs are different pictures."""
        return step % self.config.cross_every == 0

    def asks_judge(self, step: int) -> bool:
        """Whether D_W takes part: for whole rounds, so that it meets both kinds of pairs."""
        return (step // self.config.cross_every) % self.config.adversarial_every == 0

    def turn(self, step: int) -> int:
        """Which regressor reads: each through rounds with D_W and without, on both kinds."""
        rounds = step // (self.config.cross_every * self.config.adversarial_every)
        return rounds % len(self.regressors)

    def batch(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw pairs for all processes together."""
        size, config = self.config.batch_size, self.config
        rows = torch.randint(len(self.reader), (size,), generator=generator)
        people = rows
        if step < config.warm_steps:  # both kinds at once: such a step is cheap
            people = torch.cat([rows[: size // 2].roll(1), rows[size // 2 :]])
        elif self.is_cross(step):
            people = rows.roll(1)
        real = torch.randint(len(self.reader), (size,), generator=generator)
        batch = {
            "image": self.reader.batch(rows)["image"],
            "person": self.person[people],
            "landmarks": self.points[rows],
            "readings": self.readings[rows][:, self.columns],
            "real": self.w[real],
        }
        if step < config.warm_steps:
            swapped = self.teacher(self.w[rows], self.person[people])
            same = (people == rows)[:, None]
            batch["target"] = torch.where(same, self.w[rows], swapped)
        return batch

    def train_step(
        self, batch: dict[str, Tensor], step: int, context: Context
    ) -> dict[str, Tensor]:
        """Take one step; return its losses."""
        config = self.config
        self.network.train()
        rate = warmup(step, 100) * cosine(step, config.warm_steps, config.schedule_steps, 0.1)
        rate *= config.learning_rate
        context.set_learning_rate("pictures", rate)
        context.set_learning_rate("adversarial", rate * config.adversarial_rate)
        context.set_learning_rate("judge", rate * config.discriminator_rate)
        batch["image"] = batch["image"].contiguous(memory_format=torch.channels_last)
        warm = step < config.warm_steps
        losses = self._warm_step(batch) if warm else self._picture_step(batch, step)
        context.backward(losses["loss"])
        context.optimize("pictures", max_norm=5.0)
        if config.adversarial_weight > 0 and self.asks_judge(step):
            losses |= self._adversarial_step(batch, context, warm)
        update_average(self.average, self.network, min(config.average, (1 + step) / (10 + step)))
        return losses

    def evaluate(self, step: int) -> dict[str, float]:
        """Cross pairs of faces that no shard holds, read by the training networks."""
        return self.scores(64)

    def finish(self, directory: Path) -> dict[str, float]:
        """Write the mixer's file; score it on other faces."""
        mixer = copy.deepcopy(self.average).eval().cpu()
        kept = {k: v for k, v in self.origin.items() if k in ("generator", "embedder")}
        save_mixer(directory / self.output, mixer, kept)
        return self.scores(256, stream=2)

    # -- the three kinds of step -------------------------------------------------------------------
    def _warm_step(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        w = self.network(batch["person"], batch["image"])
        loss = ((w - batch["target"]) / self.network.cloud[1]).abs().mean()
        return {"loss": loss, "teacher": loss}

    def _picture_step(self, batch: dict[str, Tensor], step: int) -> dict[str, Tensor]:
        config = self.config
        w = self.network(batch["person"], batch["image"])
        ws = to_wplus(w, self.generator.num_ws)
        drawn = self.generator.synthesis(ws, noise_mode="const")
        terms: dict[str, Tensor] = {}
        if config.identity_weight > 0:
            terms["identity"] = identity_distance(self.embedder(drawn).float(), batch["person"])
        if config.landmark_weight > 0 and self.landmarks is not None:
            terms["landmark"] = landmark_distance(self.landmarks(drawn), batch["landmarks"])
        if config.reading_weight > 0:
            # the regressors take turns: nothing that only one of them reads is worth painting
            reads = self.regressors[self.turn(step)]
            read = reads(drawn).float()[:, self.columns]
            away = (read - batch["readings"]) / self.spread.to(read)
            terms["reading"] = away.square().mean()
        if config.background_weight > 0:
            terms["background"] = background_kept_loss(batch["image"].float(), drawn.float())
        if config.reconstruction_weight > 0 and not self.is_cross(step):
            with torch.autocast(self.device.type, enabled=False):
                terms["reconstruction"] = reconstruction_distance(
                    drawn.float(), batch["image"].float()
                )
        late = 3 * step >= 2 * config.schedule_steps
        weights = {name: getattr(config, f"{name}_weight") for name in terms}
        if late and "identity" in weights:
            weights["identity"] *= config.identity_rise
        loss = sum(
            (weights[name] * value for name, value in terms.items()),
            torch.zeros((), device=w.device),
        )
        kind = "cross" if self.is_cross(step) else "same"
        named = {f"{name}_{kind}": value for name, value in terms.items()}
        return {"loss": loss + 0 * w.sum(), **named}

    def _adversarial_step(
        self, batch: dict[str, Tensor], context: Context, warm: bool
    ) -> dict[str, Tensor]:
        """D_W learns, and where pictures are drawn already, M hears of it."""
        config, spread = self.config, self.network.cloud[1]
        if warm:
            with torch.no_grad():
                fake = self.network(batch["person"], batch["image"])
        else:
            fake = self.network(batch["person"], batch["image"])
        with torch.autocast(self.device.type, enabled=False):
            out: dict[str, Tensor] = {}
            if not warm:
                self.judge.requires_grad_(False)
                pushed = mapper_distance(self.judge(fake))
                self.judge.requires_grad_(True)
                context.backward(config.adversarial_weight * pushed)
                context.optimize("adversarial", max_norm=5.0)
                out["adversarial"] = pushed
            real = batch["real"].detach().clone().requires_grad_(True)
            logits = self.judge(real)
            told = discriminator_distance(logits, self.judge(fake.detach()))
            penalty = r1_distance(logits, real, spread)
            context.backward(told + config.r1_gamma * penalty)
            context.optimize("judge", max_norm=10.0)
        return {**out, "judge": told, "penalty": penalty}

    # -- measuring ---------------------------------------------------------------------------------
    @torch.no_grad()
    def scores(self, pairs: int, stream: int = 1) -> dict[str, float]:
        """Cross pairs by the training networks.

        ``disentanglement_score`` is the output's similarity to the identity input less that to the
        attribute input; ``closer_score`` the share of pairs in which it is positive;
        ``reading_error`` the mean absolute error of pose and expression.
        """
        network = copy.deepcopy(self.average).eval()
        seed = (self.config.data_seed, 1 << 29, stream)
        psi = (self.config.psi_low, self.config.psi_high)
        w = sample_latents(self.generator, 2 * pairs, seed, psi).to(self.device)
        images = self._draw(w)
        second = images[pairs:]
        person = torch.cat([self.embedder(p).float() for p in images.split(32)])
        mixed = [
            self._draw(network(e, p))
            for e, p in zip(person[:pairs].split(32), second.split(32), strict=True)
        ]
        out = torch.cat(mixed)
        found = torch.cat([self.embedder(p).float() for p in out.split(32)])
        kept = (found * person[:pairs]).sum(dim=1)
        leaked = (found * person[pairs:]).sum(dim=1)
        reads = self.regressors[0]
        readings = [
            torch.cat([reads(p).float() for p in part.split(32)])[:, self.columns]
            for part in (out, second)
        ]
        scores = {
            "identity_similarity": float(kept.mean()),
            "attribute_similarity": float(leaked.mean()),
            "stranger_similarity": float((person[:pairs] * person[pairs:]).sum(dim=1).mean()),
            "disentanglement_score": float((kept - leaked).mean()),
            "closer_score": float((kept > leaked).float().mean()),
            "reading_error": float((readings[0] - readings[1]).abs().mean()),
        }
        if self.landmarks is not None:
            points = [
                torch.cat([self.landmarks(p) for p in part.split(32)]) for part in (out, second)
            ]
            scores["landmark_error"] = float((points[0] - points[1]).norm(dim=2).mean())
        return {name: round(value, 4) for name, value in scores.items()}

    def _draw(self, w: Tensor) -> Tensor:
        ws = to_wplus(w.float(), self.generator.num_ws)
        return torch.cat(
            [self.generator.synthesis(p, noise_mode="const").float() for p in ws.split(32)]
        )


def _spread(rows: Tensor) -> Tensor:
    """Mean and standard deviation of the columns of (N, K), as (2, K)."""
    return torch.stack([rows.mean(dim=0), rows.std(dim=0).clamp_min(1e-4)]).float()


def build_from(weights: Path, config: MixerTraining, output: str = MIXER_FILE) -> MixerTask:
    """Build the task over the frozen parts in a weights folder."""
    from l2l_widgets.perception import load_network

    generator, regressors, origin = load_parts(weights, config.ensemble, "the mixer")
    networks: dict[str, Any] = {}
    for name in ("embedder", *(["landmarks"] if config.landmark_weight > 0 else [])):
        path = weights / f"{name}.safetensors"
        if not path.is_file():
            raise TrainingError(f"{path} is missing: run `l2l train {name} --publish` first")
        networks[name] = load_network(path)
        origin[name] = sha256_file(path)
    start = load_network(weights / config.start_from) if config.start_from else None
    return MixerTask(
        config, generator, networks["embedder"], regressors, networks.get("landmarks"),
        origin=origin, start=start, output=output,
    )  # fmt: skip


#: A mixer for a lesson: few faces, no landmark network, mostly the cheap first steps.
LESSON = MixerTraining(
    faces=2048,
    ensemble=1,
    batch_size=16,
    learning_rate=1e-3,
    warm_steps=500,
    landmark_weight=0.0,
    schedule_steps=700,
    average=0.98,
)

_INPUTS = ("generator", "regressor", "regressor_b", "embedder", "landmarks")
_SETTINGS = Settings(
    steps=12000, seed=60, checkpoint_every=500, log_every=50, evaluate_every=1000,
    precision="bf16", threads=1,
)  # fmt: skip


def _recipe(
    name: str, summary: str, config: MixerTraining, settings: Settings, inputs: tuple[str, ...]
) -> Recipe:
    return Recipe(
        name=name,
        summary=summary,
        config=config,
        settings=settings,
        build=lambda config, weights: build_from(Path(weights), config),
        outputs=(MIXER_FILE,),
        depends_on=inputs,
        kind="identity mixer",
        shipped=name == "identity-disentangle",
    )


RECIPES = (
    _recipe(
        "identity-disentangle",
        "identity of one face, attributes of another (Nitzan et al. 2020)",
        MixerTraining(),
        _SETTINGS,
        _INPUTS,
    ),
    _recipe(
        "identity-disentangle-paper",
        "the same with the authors' losses alone: no teacher, no readings, one in three cross",
        MixerTraining(
            warm_steps=0,
            reading_weight=0.0,
            background_weight=0.0,
            identity_rise=1.0,
            cross_every=3,
        ),
        _SETTINGS,
        _INPUTS,
    ),
    _recipe(
        "identity-disentangle-lesson",
        "a small mixer for a lesson of a minute or two",
        LESSON,
        replace(
            _SETTINGS, steps=700, checkpoint_every=100, log_every=5, evaluate_every=0, threads=0
        ),
        tuple(name for name in _INPUTS if name not in ("landmarks", "regressor_b")),
    ),
)
