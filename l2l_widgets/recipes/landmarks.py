"""Training the landmark network: the 51 inner points, small and fast enough to stand in a loss.

It starts from the regressor's trunk, whose features know pose, expression and shape, with the head
that linear algebra gives; a few hundred steps then sharpen it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from l2l_widgets.faceworld.version import WORLD
from l2l_widgets.perception import TRUNKS, LandmarkNet, load_network
from l2l_widgets.recipes import Recipe
from l2l_widgets.recipes.face_readers import FaceReaderTask, eye_shares
from l2l_widgets.recipes.perception import set_rate
from l2l_widgets.recipes.rendered import check_sets
from l2l_widgets.training import Context, Settings, TrainingError

#: Of the usual 68 points, those behind the line of the jaw, which hair covers.
INNER = slice(17, 68)
#: Outer corners of the eyes among the inner points; errors are shares of their distance.
EYE_CORNERS = (19, 28)


@dataclass(frozen=True)
class LandmarkTraining:
    """What ``l2l train landmarks --set FIELD=VALUE`` may change.

    Parameters
    ----------
    start_from : str
        A file whose trunk the network starts from; "" starts from random weights.
    family : str
        Trunk of the network.
    width, features : int
        Size of the trunk.
    head_faces : int
        Renders that the first head is fitted to.
    sets : tuple of str
        Rendered sets to learn from.
    batch_size : int
        Faces a step.
    learning_rate, weight_decay : float
        Of AdamW.
    world : int
        Version of the renderer.
    """

    start_from: str = "regressor.safetensors"
    family: str = "residual"
    width: int = 24
    features: int = 192
    head_faces: int = 3072
    sets: tuple[str, ...] = ("independent", "population")
    batch_size: int = 32
    learning_rate: float = 5e-4
    weight_decay: float = 0.01
    world: int = WORLD

    def __post_init__(self) -> None:
        if self.family not in TRUNKS:
            raise ValueError(f"family is {self.family!r}; allowed: {', '.join(TRUNKS)}")
        for name in ("width", "features", "batch_size", "head_faces"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; allowed: 1 or more")
        check_sets(self.sets)


class LandmarkTask(FaceReaderTask):
    """A :class:`LandmarkNet` as the training loop sees it."""

    network: LandmarkNet

    def __init__(
        self,
        config: LandmarkTraining,
        start: Any | None = None,
        output: str = "landmarks.safetensors",
    ) -> None:
        super().__init__(config, output)
        self.config = config
        points = self.sets[0].landmarks[:, INNER].shape[1]
        network = LandmarkNet(points, config.family, width=config.width, features=config.features)
        if start is not None:
            try:
                network.trunk.load_state_dict(start.trunk.state_dict())
            except (RuntimeError, AttributeError) as error:
                raise TrainingError(
                    f"start_from is {config.start_from!r}: its trunk is not a {config.family} one "
                    f"of width {config.width} and {config.features} features"
                ) from error
        self.take(network)
        self._fit_head(config.head_faces)

    def batch(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Faces of one set, the picture degraded, with their inner landmarks."""
        faces, rows, images = self.drawn(step, generator)
        points = (faces.landmarks[rows][:, INNER] + 0.5) / images.shape[-1]
        return {"image": images, "landmarks": points}

    def train_step(
        self, batch: dict[str, Tensor], step: int, context: Context
    ) -> dict[str, Tensor]:
        """Mean distance along the two axes, in percent of the picture's side."""
        self.network.train()
        set_rate(self.config.learning_rate, step, context)
        images = batch["image"].contiguous(memory_format=torch.channels_last)
        loss = 100 * (self.network(images) - batch["landmarks"]).abs().mean()
        context.backward(loss)
        context.optimize("network", max_norm=5.0)
        return {"landmark_loss": loss}

    def evaluate(self, step: int) -> dict[str, float]:
        """The error on held-out faces."""
        return self.scores()

    def finish(self, directory: Path) -> dict[str, float]:
        """Write the weights; report the error."""
        self.save(directory)
        return {**self.scores(), "faces": len(self.held_rows)}

    @torch.no_grad()
    def _fit_head(self, count: int) -> None:
        """Set the head to the ridge regression of the points on the trunk's features."""
        faces = self.sets[0]
        rows = torch.arange(max(1, min(count, len(faces) - len(self.held_rows))))
        self.network.eval()
        seen = torch.cat(
            [self.network.trunk(faces.images[p].float() / 127.5 - 1) for p in rows.split(64)]
        ).double()
        points = (faces.landmarks[rows][:, INNER] + 0.5) / faces.images.shape[-1] - 0.5
        wanted = points.flatten(1).double()
        mean, middle = seen.mean(0), wanted.mean(0)
        x = seen - mean
        gram = x.T @ x
        gram.diagonal().add_(1e-3 * float(gram.diagonal().mean()) + 1e-9)
        slope = torch.linalg.solve(gram, x.T @ (wanted - middle))  # (features, 2 P)
        self.network.head.weight.copy_(slope.T)
        self.network.head.bias.copy_(middle - mean @ slope)

    @torch.no_grad()
    def scores(self) -> dict[str, float]:
        """``landmark_error``: mean distance as a share of that of the eyes' outer corners."""
        faces = self.sets[0]
        self.network.eval()
        errors = []
        for rows, images in self.held_out(128):
            truth = (faces.landmarks[rows][:, INNER] + 0.5) / images.shape[-1]
            errors.append(eye_shares(self.network(images).cpu(), truth, EYE_CORNERS))
        self.network.train()
        return {"landmark_error": round(float(torch.cat(errors).mean()), 4)}


def _build(config: LandmarkTraining, weights: Path) -> LandmarkTask:
    start = load_network(Path(weights) / config.start_from) if config.start_from else None
    return LandmarkTask(config, start)


RECIPES = (
    Recipe(
        name="landmarks",
        summary="landmark network E_lnd: 51 inner points, for the loss of identity-disentangle",
        config=LandmarkTraining(),
        settings=Settings(
            steps=1500, seed=11, checkpoint_every=250, log_every=50, evaluate_every=500,
            precision="bf16", threads=1,
        ),
        build=_build,
        outputs=("landmarks.safetensors",),
        depends_on=("regressor",),
        kind="landmark network",
        intermediate=True,
    ),
)  # fmt: skip
