"""Networks that imitate the judges of a generator of your own, so that losses can see through them.

A mapper is trained by the gradient of what regressors and embedder see in a picture. A judge of
your own may be an ONNX file or a callable, which has none. So faces are sampled from the generator,
the judge labels them, and small networks learn its answers (Hinton et al. 2015): two regressors of
different families and an embedder, which then enter the losses. The judge itself only measures.
That is the paper's own way of labelling (Khodadadeh et al., WACV 2022, section 3: no human label).

``own_recipes`` are what ``l2l train own`` trains, in order, into a folder that
``own_models.write_world`` made: the three imitations, then every editor.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from l2l_widgets.judges import Judge, load_judge
from l2l_widgets.latents import faces_at_once, to_wplus
from l2l_widgets.perception import TRUNKS, AttributeNet, FaceEmbeddingNet, save_network
from l2l_widgets.recipes.labelled import faces_folder
from l2l_widgets.recipes.perception import degrade, set_rate
from l2l_widgets.recipes.progress import say
from l2l_widgets.recipes.registry import Recipe, RecipeError, list_recipes
from l2l_widgets.storage import load_safetensors, save_safetensors, sha256_file
from l2l_widgets.stylegan2 import load_generator
from l2l_widgets.training import Context, Settings, TrainingError
from l2l_widgets.triplets import sample_latents

SIDE = 64  # pixels; the size that the trunks look at
SHARD = 512  # faces a file
HELD_OUT = 0.1  # share of the faces that is never trained on

#: Kind -> the declaration in a world's folder.
JUDGES = {"attributes": "judge_regressor.toml", "identity": "judge_embedder.toml"}


@dataclass(frozen=True)
class Imitation:
    """What ``l2l train imitate --set FIELD=VALUE`` may change.

    Parameters
    ----------
    kind : {"attributes", "identity"}
        Which judge is imitated.
    family, width, features : str, int, int
        The network; see ``perception``.
    embedding_dim : int
        Length of an imitated identity vector; its cosines, not its numbers, are the judge's.
    faces : int
        Labelled faces.
    psi_low, psi_high : float
        Range of their truncation.
    data_seed : int
        Of the faces.
    labels : str
        Folder of the labelled faces; where empty ``faces/`` in the world's folder. Their files are
        named after what made them, and the imitations of one judge share them.
    batch_size : int
        Faces a step.
    learning_rate, weight_decay : float
        Of AdamW.
    """

    kind: str = "attributes"
    family: str = "residual"
    width: int = 24
    features: int = 192
    embedding_dim: int = 64
    faces: int = 16384
    psi_low: float = 0.6
    psi_high: float = 1.0
    data_seed: int = 40
    labels: str = ""
    batch_size: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.02

    def __post_init__(self) -> None:
        if self.kind not in JUDGES:
            raise ValueError(f"kind is {self.kind!r}; allowed: {', '.join(JUDGES)}")
        if self.family not in TRUNKS:
            raise ValueError(f"family is {self.family!r}; allowed: {', '.join(TRUNKS)}")
        if self.faces < 64:
            raise ValueError(f"faces is {self.faces}; allowed: 64 or more")
        if self.batch_size < 2:
            raise ValueError(f"batch_size is {self.batch_size}; allowed: 2 or more")


class ImitationTask:
    """A network that learns a judge's answers, as the training loop sees it.

    Parameters
    ----------
    config : Imitation
        What to train, on what.
    output : str
        Name of the weights file.
    images : Tensor
        (N, 3, 64, 64) uint8, faces of the generator.
    answers : Tensor
        The judge's, (N, A) in [0, 1] or (N, D) of norm 1.
    attributes : tuple of str
        Names of the columns; empty for an embedder.
    """

    def __init__(
        self,
        config: Imitation,
        output: str,
        images: Tensor,
        answers: Tensor,
        attributes: tuple[str, ...],
    ) -> None:
        self.config, self.output = config, output
        self.images, self.answers = images, answers
        self.split = len(images) - max(32, int(HELD_OUT * len(images)))
        options = {"width": config.width, "features": config.features}
        self.network: AttributeNet | FaceEmbeddingNet
        if config.kind == "attributes":
            self.network = AttributeNet(attributes, config.family, **options)
            spread = answers[: self.split].std(0).clamp_min(0.02)
            self.weight = (0.25 / spread).clamp(0.7, 5.0)
        else:
            self.network = FaceEmbeddingNet(config.embedding_dim, config.family, **options)
            self.weight = torch.ones(1)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), config.learning_rate, weight_decay=config.weight_decay
        )

    def modules(self) -> dict[str, nn.Module]:
        """The one network."""
        return {"network": self.network}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """The one optimizer."""
        return {"network": self.optimizer}

    def prepare(self, device: torch.device) -> None:
        """Channels last is the layout in which convolutions are fast."""
        # PyTorch's own types do not know this form of `to`.
        self.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.weight = self.weight.to(device)

    def batch(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Degraded faces with the judge's answers: an edit must not pay by blurring."""
        rows = torch.randint(self.split, (self.config.batch_size,), generator=generator)
        images = self.images[rows].float() / 127.5 - 1
        return {"image": degrade(images, generator), "answers": self.answers[rows]}

    def train_step(
        self, batch: dict[str, Tensor], step: int, context: Context
    ) -> dict[str, Tensor]:
        """Cross entropy with the judge's scores, or its cosines between the faces of a batch."""
        self.network.train()
        set_rate(self.config.learning_rate, step, context)
        images = batch["image"].contiguous(memory_format=torch.channels_last)
        target = batch["answers"]
        if isinstance(self.network, AttributeNet):
            logits = self.network.logits(images).float()
            loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
            floor = F.binary_cross_entropy(target, target, reduction="none")
            loss = ((loss - floor) * self.weight).mean()
        else:
            own = F.normalize(self.network.project(images).float(), dim=1)
            loss = 10 * _pairs(own @ own.T - target @ target.T).square().mean()
        context.backward(loss)
        context.optimize("network")
        return {"imitation_loss": loss}

    def evaluate(self, step: int) -> dict[str, float]:
        """How much of the judge's answers on held-out faces is explained."""
        return {"r2_score": float(self._explained().mean())}

    def finish(self, directory: Path) -> dict[str, float]:
        """Write the weights; report what share of the judge's variance is explained."""
        save_network(directory / self.output, self.network.eval())
        explained = self._explained()
        scores = {"mean_r2": round(float(explained.mean()), 4)}
        scores["faces"] = len(self.images) - self.split
        if isinstance(self.network, AttributeNet):
            named = zip(self.network.attributes, explained, strict=True)
            scores |= {f"{name}_r2": round(float(value), 4) for name, value in named}
        return scores

    @torch.no_grad()
    def _explained(self) -> Tensor:
        """R2 of each attribute, or of the cosines between pairs of held-out faces."""
        self.network.eval()
        device = self.weight.device
        images = self.images[self.split :].float() / 127.5 - 1
        parts = [
            self.network(b.to(device).contiguous(memory_format=torch.channels_last)).cpu()
            for b in images.split(128)
        ]
        self.network.train()
        read, truth = torch.cat(parts), self.answers[self.split :]
        if isinstance(self.network, FaceEmbeddingNet):
            read, truth = _pairs(read @ read.T)[:, None], _pairs(truth @ truth.T)[:, None]
        return 1 - (read - truth).square().mean(0) / truth.var(0).clamp_min(1e-8)


def _pairs(square: Tensor) -> Tensor:
    """The entries above the diagonal, (N (N - 1) / 2,)."""
    rows, columns = torch.triu_indices(square.shape[0], square.shape[1], offset=1)
    return square[rows, columns]


def label_faces(
    config: Imitation, generator: Any, judge: Judge, named: str, cache: Path | None = None
) -> tuple[Tensor, ...]:
    """Sample faces and keep the judge's answers; whole shards that are there already are kept.

    Parameters
    ----------
    config : Imitation
        How many, and where.
    generator : Generator
        G.
    judge : Judge
        Sees the pictures at their own size.
    named : str
        Hash of the generator: with the judge's it names the folder.
    cache : Path, optional
        Where that folder lies; the system's temporary folder if not given.

    Returns
    -------
    images : Tensor
        (N, 3, 64, 64) uint8.
    answers : Tensor
        (N, A) in [0, 1], or (N, D) of norm 1; float32.
    """
    # the declaration decides the answers as much as the network does
    what = [
        named, judge.sha256, judge.declaration.to_toml(), config.faces, config.psi_low,
        config.psi_high, config.data_seed,
    ]  # fmt: skip
    digest = hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]
    place = cache or Path(tempfile.gettempdir())
    folder = Path(config.labels or place / f"l2l-answers-{digest}")
    images, answers = [], []
    for start in range(0, config.faces, SHARD):
        count = min(SHARD, config.faces - start)
        path = folder / f"{digest}-{start // SHARD:05d}.safetensors"
        if not path.is_file():
            _label_shard(path, config, generator, judge, start, count)
            say(f"answers: {start + count} of {config.faces}")
        tensors, _ = load_safetensors(path)
        images.append(tensors["image"])
        answers.append(tensors["answers"])
    return torch.cat(images), torch.cat(answers)


@torch.no_grad()
def _label_shard(
    path: Path, config: Imitation, generator: Any, judge: Judge, start: int, count: int
) -> None:
    seed = (config.data_seed, start)
    w = sample_latents(generator, count, seed, (config.psi_low, config.psi_high))
    small, read = [], []
    for part in w.split(faces_at_once(generator)):
        pictures = generator.synthesis(to_wplus(part, generator.num_ws), noise_mode="const").float()
        pictures = pictures.clamp(-1, 1)
        read.append(judge(pictures).float())
        if pictures.shape[-1] != SIDE:
            pictures = F.interpolate(pictures, (SIDE, SIDE), mode="bilinear", antialias=True)
        small.append(((pictures + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).cpu())
    path.parent.mkdir(parents=True, exist_ok=True)
    save_safetensors(path, {"image": torch.cat(small), "answers": torch.cat(read).cpu()})


def _build(config: Imitation, weights: Path, output: str) -> ImitationTask:
    declaration = weights / JUDGES[config.kind]
    generator_file = weights / "generator.safetensors"
    for path in (declaration, generator_file):
        if not path.is_file():
            raise TrainingError(
                f"{path} is missing: `l2l world {weights} --generator FILE --judge DECLARATION` "
                "puts it there"
            )
    judge = load_judge(declaration)
    if judge.declaration.kind != config.kind:
        raise TrainingError(
            f"{declaration} is of kind {judge.declaration.kind!r}; allowed: {config.kind!r}"
        )
    generator = load_generator(generator_file).eval().requires_grad_(False)
    named = sha256_file(generator_file)
    images, answers = label_faces(config, generator, judge, named, faces_folder(weights))
    return ImitationTask(config, output, images, answers, judge.attributes)


def _recipe(name: str, part: str, summary: str, steps: int, seed: int, **fields: Any) -> Recipe:
    output = f"{part}.safetensors"
    return Recipe(
        name=name, summary=summary, config=Imitation(**fields),
        settings=Settings(
            steps=steps, seed=seed, checkpoint_every=500, log_every=50, evaluate_every=1000,
            precision="bf16", threads=0,
        ),
        build=lambda config, weights: _build(config, Path(weights), output),
        outputs=(output,), depends_on=("generator",), shipped=False,
        kind="face embedder" if part == "embedder" else "attribute regressor",
    )  # fmt: skip


RECIPES = (
    _recipe(
        "imitate", "regressor", "a regressor that imitates your attribute judge", 5000, 41,
    ),
    _recipe(
        "imitate-b", "regressor_b", "the same of another family, for the ensemble", 4000, 42,
        family="separable", width=32,
    ),
    _recipe(
        "imitate-embedder", "embedder", "an embedder that imitates your identity judge", 4000, 43,
        kind="identity",
    ),
)  # fmt: skip

#: What stands in for a recipe of the embedded world.
IMITATIONS = {
    "regressor": "imitate",
    "regressor_b": "imitate-b",
    "embedder": "imitate-embedder",
}
EDITORS = ("mapper", "interfacegan", "ganspace", "stylespace", "styleflow")


def own_recipes(weights: Path) -> dict[str, Recipe]:
    """Return what ``l2l train own`` trains in a world of your own, in order.

    Parameters
    ----------
    weights : Path
        The world's folder; without an identity judge in it there is no embedder, and no mapper,
        whose losses need one.

    Raises
    ------
    RecipeError
        The folder holds no attribute judge.
    """
    if not (weights / JUDGES["attributes"]).is_file():
        raise RecipeError(
            f"{weights} holds no {JUDGES['attributes']}: "
            f"`l2l world {weights} --generator FILE --judge DECLARATION` makes it a world"
        )
    return recipes_of_world((weights / JUDGES["identity"]).is_file())


def recipes_of_world(has_identity: bool) -> dict[str, Recipe]:
    """Return the same for any world, with an identity judge or without one."""
    known = list_recipes()
    # brought, not trained
    chosen = {"generator": replace(known["generator"], shipped=False, depends_on=())}
    for part, imitation in IMITATIONS.items():
        if part != "embedder" or has_identity:
            chosen[part] = replace(known[imitation], name=part, shipped=True)
    for name in EDITORS:
        if name in known and all(needed in chosen for needed in known[name].depends_on):
            chosen[name] = known[name]
    return chosen
