"""Training the networks that look: attribute regressors, identity embedders, judges of each.

``regressor`` and ``regressor_b``
    Two convolutional families; the ensemble that enters the losses.
``embedder``
    Face identity; enters the losses.
``judge_regressor`` and ``judge_embedder``
    Transformers of another seed, which train nothing: what edits are measured by.
``judge_regressor_b``
    Plain convolutions, which train nothing either: what one judge calls a leak, is it one for
    another that looks with other eyes?

All learn from rendered faces whose truth is known, seen blurred, noisy, shifted and off in colour,
so that a smudge is no attribute. The last faces of each set are held out, and the scores are
theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.faceworld.factors import IDENTITY_FACTORS
from l2l_widgets.faceworld.version import WORLD
from l2l_widgets.perception import (
    TRUNKS,
    AttributeNet,
    FaceEmbeddingNet,
    load_network,
    save_network,
)
from l2l_widgets.recipes import Recipe
from l2l_widgets.recipes.rendered import check_sets, rendered_set
from l2l_widgets.training import Context, Settings, cosine, make_generator, warmup

HELD_OUT = 1024  # faces at the end of each set that are never trained on


@dataclass(frozen=True)
class PerceptionTraining:
    """What ``l2l train NAME --set FIELD=VALUE`` may change.

    Parameters
    ----------
    family : str
        Trunk, see ``perception.TRUNKS``.
    width, features : int
        Size of the trunk.
    sets : tuple of str
        Rendered sets to learn from, see ``recipes.rendered.SETS``.
    batch_size : int
        Faces a step.
    learning_rate, weight_decay : float
        Of AdamW.
    embedding_dim : int
        Length of an embedding while it is trained; embedders only. What is written has one number
        for each factor of identity.
    start_from : str
        Weights file whose trunk is the start; empty for none.
    world : int
        Version of the renderer: another world needs other networks.
    """

    family: str = "residual"
    width: int = 24
    features: int = 192
    sets: tuple[str, ...] = ("independent", "identities", "population")
    batch_size: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    embedding_dim: int = 64
    start_from: str = ""
    world: int = WORLD

    def __post_init__(self) -> None:
        # before an hour of rendering, not after it
        if self.family not in TRUNKS:
            raise ValueError(f"family is {self.family!r}; allowed: {', '.join(TRUNKS)}")
        for name in ("width", "features", "batch_size", "embedding_dim"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; allowed: 1 or more")
        check_sets(self.sets)


class _Faces:
    """The rendered sets as one list of pictures with their truth."""

    def __init__(self, names: tuple[str, ...]) -> None:
        sets = [rendered_set(name) for name in names]
        self.images = torch.cat([s.images for s in sets])
        self.attributes = torch.cat([s.factors.attributes() for s in sets])
        self.identity = torch.cat([s.factors.identity() for s in sets])
        people, start = [], 0
        for s in sets:
            shared = s.config.population == "identities"
            people.append(s.identity.long() + start if shared else torch.full((len(s),), -1))
            start += int(s.identity.max()) + 1 if shared else 0
        self.people = torch.cat(people)
        held = torch.cat([torch.arange(len(s)) >= len(s) - HELD_OUT for s in sets])
        self.train_rows, self.held_rows = (~held).nonzero()[:, 0], held.nonzero()[:, 0]
        self.flip_columns = [DEFAULT_TABLE.index(n) for n in ("yaw", "roll")]

    def batch(self, size: int, generator: torch.Generator) -> dict[str, Tensor]:
        rows = self.train_rows[torch.randint(len(self.train_rows), (size,), generator=generator)]
        flip = torch.rand(size, generator=generator) < 0.5
        images = self.images[rows].float() / 127.5 - 1
        images = torch.where(flip[:, None, None, None], images.flip(-1), images)
        attributes = self.attributes[rows].clone()
        turned = attributes[:, self.flip_columns]
        attributes[:, self.flip_columns] = torch.where(flip[:, None], 1 - turned, turned)
        return {
            "image": degrade(images, generator), "attributes": attributes,
            "identity": self.identity[rows], "people": self.people[rows],
        }  # fmt: skip

    def held(self, start: int = 0, stop: int | None = None) -> tuple[Tensor, Tensor]:
        """Held-out rows: pictures in [-1, 1] and attributes."""
        rows = self.held_rows[start:stop]
        return self.images[rows].float() / 127.5 - 1, self.attributes[rows]


def degrade(images: Tensor, generator: torch.Generator, shift: int = 2) -> Tensor:
    """Shift by up to ``shift`` pixels, blur, change gain and colour, add noise."""
    n, side = len(images), images.shape[-1]

    def draw(*shape: int) -> Tensor:
        return torch.randn(n, *shape, generator=generator)

    if shift > 0:
        dx, dy = torch.randint(0, 2 * shift + 1, (2,), generator=generator).tolist()
        padded = F.pad(images, (shift,) * 4, mode="replicate")
        images = padded[..., dy : dy + side, dx : dx + side]
    soft = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, 1)
    softer = F.interpolate(F.avg_pool2d(images, 2), scale_factor=2, mode="bilinear")
    kind = torch.rand(n, 1, 1, 1, generator=generator)
    images = torch.where(kind < 0.25, soft, torch.where(kind > 0.85, softer, images))
    images = images * (1 + 0.08 * draw(1, 1, 1)) + 0.04 * draw(3, 1, 1)
    level = 0.08 * torch.rand(n, 1, 1, 1, generator=generator) ** 2
    return images + level * draw(3, side, side)


class RegressorTask:
    """An :class:`AttributeNet` as the training loop sees it.

    The identity factors are learned beside the attributes and dropped at the end: they give the
    trunk features from which an embedder can start.
    """

    def __init__(self, config: PerceptionTraining, output: str) -> None:
        self.config, self.output = config, output
        self.data = _Faces(config.sets)
        self.network = AttributeNet(
            DEFAULT_TABLE.names, config.family, width=config.width, features=config.features
        )
        self.identity = nn.Linear(config.features, len(IDENTITY_FACTORS))
        spread = self.data.attributes[self.data.train_rows].std(0)
        self.weight = (0.25 / spread).clamp(0.7, 5.0)
        parameters = [*self.network.parameters(), *self.identity.parameters()]
        self.optimizer = torch.optim.AdamW(
            parameters, config.learning_rate, weight_decay=config.weight_decay
        )

    def modules(self) -> dict[str, nn.Module]:
        """The regressor and its auxiliary head."""
        return {"network": self.network, "identity": self.identity}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """The one optimizer."""
        return {"network": self.optimizer}

    def prepare(self, device: torch.device) -> None:
        """Channels last is the layout in which convolutions are fast."""
        # PyTorch's own types do not know this form of `to`.
        self.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.weight = self.weight.to(device)

    def batch(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Degraded faces with their truth."""
        return self.data.batch(self.config.batch_size, generator)

    def train_step(
        self, batch: dict[str, Tensor], step: int, context: Context
    ) -> dict[str, Tensor]:
        """Cross entropy with the true degree of each attribute, weighted by its spread."""
        self.network.train()
        set_rate(self.config.learning_rate, step, context)
        features = self.network.features(_channels_last(batch["image"]))
        logits = self.network.head(features).float()
        target = batch["attributes"]
        # less the entropy of the target: zero is perfect
        loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
        floor = F.binary_cross_entropy(target, target, reduction="none")
        attribute_loss = ((loss - floor) * self.weight).mean()
        identity_loss = F.smooth_l1_loss(self.identity(features).float(), batch["identity"])
        context.backward(attribute_loss + 0.03 * identity_loss)
        context.optimize("network")
        return {"attribute_loss": attribute_loss, "identity_loss": identity_loss}

    def evaluate(self, step: int) -> dict[str, float]:
        """Mean coefficient of determination over held-out independent faces."""
        return {"r2_score": float(self._r2().mean())}

    def finish(self, directory: Path) -> dict[str, float]:
        """Write the weights; report R2 of every attribute on held-out independent renders."""
        save_network(directory / self.output, self.network.eval())
        r2 = self._r2()
        scores = {
            f"{n}_r2": round(float(v), 4) for n, v in zip(DEFAULT_TABLE.names, r2, strict=True)
        }
        return {"mean_r2": round(float(r2.mean()), 4), "faces": HELD_OUT, **scores}

    @torch.no_grad()
    def _r2(self) -> Tensor:
        images, truth = self.data.held(0, HELD_OUT)
        device = self.weight.device
        self.network.eval()
        read = torch.cat([self.network(_channels_last(b.to(device))) for b in images.split(128)])
        self.network.train()
        return 1 - (read.cpu() - truth).square().mean(0) / truth.var(0)


class EmbedderTask:
    """A :class:`FaceEmbeddingNet` as the training loop sees it.

    The identity factors are regressed from the embedding on every face, and at the end its last
    layer is fitted in closed form: what is shipped is what the trunk's features say of the factors,
    each as large as it can be read, so that the cosine weighs what is seen and passes over what is
    not. Beside this an additive-margin softmax over the people (Wang et al. 2018) was tried: with
    thousands of people of four pictures each it is never learned, and takes from the rest.
    """

    def __init__(self, config: PerceptionTraining, output: str, weights: Path) -> None:
        self.config, self.output = config, output
        self.data = _Faces(config.sets)
        self.network = FaceEmbeddingNet(
            config.embedding_dim, config.family, width=config.width, features=config.features
        )
        if config.start_from:
            trunk = load_network(Path(weights) / config.start_from).trunk.state_dict()
            self.network.trunk.load_state_dict(trunk)
        self.identity = nn.Linear(config.embedding_dim, len(IDENTITY_FACTORS))
        modules = (self.network, self.identity)
        self.optimizer = torch.optim.AdamW(
            [p for m in modules for p in m.parameters()],
            config.learning_rate,
            weight_decay=config.weight_decay,
        )

    def modules(self) -> dict[str, nn.Module]:
        """The embedder and the factor head."""
        return {"network": self.network, "identity": self.identity}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """The one optimizer."""
        return {"network": self.optimizer}

    def prepare(self, device: torch.device) -> None:
        """Channels last is the layout in which convolutions are fast."""
        # PyTorch's own types do not know this form of `to`.
        self.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def batch(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Degraded faces with their identity."""
        return self.data.batch(self.config.batch_size, generator)

    def train_step(
        self, batch: dict[str, Tensor], step: int, context: Context
    ) -> dict[str, Tensor]:
        """One step of the regression of the factors."""
        self.network.train()
        set_rate(self.config.learning_rate, step, context)
        embedding = F.normalize(self.network.project(_channels_last(batch["image"])).float(), dim=1)
        factors = self.identity(embedding * self.config.embedding_dim**0.5).float()
        factor_loss = F.smooth_l1_loss(factors, batch["identity"])
        context.backward(2.0 * factor_loss)
        context.optimize("network")
        return {"factor_loss": factor_loss}

    def evaluate(self, step: int) -> dict[str, float]:
        """True accept rate at 1 % false accepts, on unseen people."""
        return {"tar_score": self.verification()["tar_at_far_1pct"]}

    def finish(self, directory: Path) -> dict[str, float]:
        """Fit the last layer, write the weights; report verification on unseen people."""
        before = self.verification()
        self.network = self._with_fitted_head()
        save_network(directory / self.output, self.network.eval())
        return {**self.verification(), "before_fit_tar": before["tar_at_far_1pct"]}

    @torch.no_grad()
    def _with_fitted_head(self) -> FaceEmbeddingNet:
        """Return the embedder whose last layer is the ridge regression of the identity factors."""
        config, data, rows = self.config, self.data, self.data.train_rows
        self.network.eval()
        device = next(self.network.parameters()).device
        generator, features = make_generator("embedder", "head"), []
        for part in rows.split(256):
            images = degrade(data.images[part].float() / 127.5 - 1, generator)
            features.append(self.network.trunk(_channels_last(images.to(device))).float().cpu())
        weight, bias = ridge(torch.cat(features), data.identity[rows])
        fitted = FaceEmbeddingNet(
            len(IDENTITY_FACTORS), config.family, width=config.width, features=config.features
        )
        fitted.trunk.load_state_dict(self.network.trunk.state_dict())
        fitted.head.weight.copy_(weight)
        fitted.head.bias.copy_(bias)
        return fitted.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.no_grad()
    def verification(self) -> dict[str, float]:
        """Same and different pairs among the held-out people."""
        held = self.data.held_rows
        rows = held[self.data.people[held] >= 0]
        images = self.data.images[rows].float() / 127.5 - 1
        self.network.eval()
        device = next(self.network.parameters()).device
        e = torch.cat([self.network(_channels_last(b.to(device))).cpu() for b in images.split(128)])
        self.network.train()
        return verification_scores(e, self.data.people[rows])


def ridge(x: Tensor, y: Tensor, damping: float = 0.03) -> tuple[Tensor, Tensor]:
    """Linear regression of ``y`` (N, D) on ``x`` (N, K), damped relative to the spread of ``x``.

    Returns
    -------
    weight : Tensor, shape (D, K)
    bias : Tensor, shape (D,)
        ``x @ weight.T + bias`` is 0 where ``x`` is its mean: what is said is the distance from it.
    """
    x, y = x.double(), y.double()
    middle = x.mean(dim=0)
    spread = (x - middle).std(dim=0).clamp_min(1e-3)  # a feature may be dead
    scaled = (x - middle) / spread
    gram = scaled.T @ scaled / len(x) + damping * torch.eye(x.shape[1], dtype=x.dtype)
    slope = torch.linalg.solve(gram, scaled.T @ (y - y.mean(dim=0)) / len(x))
    weight = (slope / spread[:, None]).T
    return weight.float(), -(weight @ middle).float()


def verification_scores(embeddings: Tensor, people: Tensor) -> dict[str, float]:
    """Verification over all pairs of unit embeddings (N, D) of ``people`` (N,)."""
    similarity = embeddings @ embeddings.T
    pairs = torch.triu(torch.ones_like(similarity, dtype=torch.bool), 1)
    same = people[:, None] == people[None]
    true, false = similarity[pairs & same], similarity[pairs & ~same]
    threshold = torch.quantile(false[torch.randperm(len(false))[:1_000_000]], 0.99)
    return {
        "tar_at_far_1pct": round(float((true > threshold).float().mean()), 4),
        "same_similarity": round(float(true.mean()), 4),
        "different_similarity": round(float(false.mean()), 4),
        "people": len(people.unique()),
    }


def set_rate(rate: float, step: int, context: Context) -> None:
    """Warm up to a rate, then fall along a half cosine to nearly nothing."""
    rate = rate * warmup(step, 200) * cosine(step, 0, context.steps, 0.005)
    context.set_learning_rate("network", rate)


def _channels_last(images: Tensor) -> Tensor:
    return images.contiguous(memory_format=torch.channels_last)


def _settings(steps: int, seed: int) -> Settings:
    return Settings(
        steps=steps, seed=seed, checkpoint_every=1000, log_every=200, evaluate_every=1000,
        precision="bf16", threads=1,
    )  # fmt: skip


def _regressor(name: str, summary: str, steps: int, seed: int, **fields: Any) -> Recipe:
    output = f"{name}.safetensors"
    return Recipe(
        name=name, summary=summary, config=PerceptionTraining(**fields),
        settings=_settings(steps, seed), outputs=(output,), kind="attribute regressor",
        build=lambda config, weights: RegressorTask(config, output),
    )  # fmt: skip


def _embedder(name: str, summary: str, steps: int, seed: int, start: str, **fields: Any) -> Recipe:
    output, origin = f"{name}.safetensors", f"{start}.safetensors"
    return Recipe(
        name=name, summary=summary, config=PerceptionTraining(start_from=origin, **fields),
        settings=_settings(steps, seed), outputs=(output,), kind="face embedder",
        depends_on=(start,), build=lambda config, weights: EmbedderTask(config, output, weights),
    )  # fmt: skip


RECIPES = (
    _regressor("regressor", "attribute regressor H: strided residual convolutions", 10000, 5),
    _regressor(
        "regressor_b", "second regressor in the losses: depthwise convolutions", 7000, 6,
        family="separable", width=32,
    ),
    _regressor(
        "judge_regressor", "attribute judge: transformer, trains nothing", 8000, 101,
        family="transformer", width=96,
    ),
    _regressor(
        "judge_regressor_b", "second attribute judge: plain convolutions, trains nothing", 7000,
        105, family="plain", width=12, features=128, sets=("independent", "population"),
    ),
    _embedder("embedder", "identity embedder F, from the regressor's trunk", 7000, 7, "regressor",
              learning_rate=1.5e-3),
    _embedder(
        "judge_embedder", "identity judge: transformer, trains nothing", 5000, 103,
        "judge_regressor", family="transformer", width=96, learning_rate=1.5e-3,
    ),
)  # fmt: skip
