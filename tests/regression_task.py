"""A small real task for the training tests: an MLP learns a smooth function, with everything that
makes resuming hard: Adam, a moving average, dropout, per-sample noise, a schedule of the step."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from l2l_widgets.recipes import Recipe
from l2l_widgets.storage import load_safetensors, save_safetensors
from l2l_widgets.training import Context, Settings, cosine, seeded, update_average


@dataclass(frozen=True)
class RegressionConfig:
    """What the test task trains with."""

    width: int = 16
    batch_size: int = 32
    learning_rate: float = 1e-2
    dropout: float = 0.1
    noise: float = 0.1
    pause_seconds: float = 0.0
    decay_steps: int = 200


class RegressionTask:
    """y = sin(3 x0) * x1, learned by an MLP."""

    def __init__(self, config: RegressionConfig, output: str = "regression.safetensors") -> None:
        self.config = config
        self.output = output
        width = config.width
        self.network = nn.Sequential(
            nn.Linear(2, width),
            nn.Tanh(),
            nn.Dropout(config.dropout),
            nn.Linear(width, width),
            nn.Tanh(),
            nn.Linear(width, 1),
        )
        self.average = copy.deepcopy(self.network).requires_grad_(False).eval()
        self.optimizer = torch.optim.Adam(self.network.parameters(), config.learning_rate)
        self.device = torch.device("cpu")

    def modules(self) -> dict[str, nn.Module]:
        return {"network": self.network, "average": self.average}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"network": self.optimizer}

    def prepare(self, device: torch.device) -> None:
        self.device = device

    def batch(self, step: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
        x = torch.rand(self.config.batch_size, 2, generator=generator) * 2 - 1
        return {"x": x, "y": torch.sin(3 * x[:, :1]) * x[:, 1:]}

    def train_step(self, batch: Any, step: int, context: Context) -> dict[str, torch.Tensor]:
        time.sleep(self.config.pause_seconds)
        rate = self.config.learning_rate * cosine(step, 5, self.config.decay_steps)
        context.set_learning_rate("network", rate)
        noise = torch.randn(self.config.batch_size, 2, generator=context.generator)
        x = batch["x"] + self.config.noise * context.shard(noise)
        loss = (self.network(x) - batch["y"]).square().mean()
        context.backward(loss)
        # a second backward pass into the same gradients, as GAN regularisers do
        penalty = 1e-3 * self.network(batch["x"]).abs().mean()
        context.backward(penalty)
        context.optimize("network")
        update_average(self.average, self.network, 0.9)
        return {"loss": loss, "penalty": penalty}

    @torch.no_grad()
    def evaluate(self, step: int) -> dict[str, float]:
        x = torch.rand(256, 2, generator=torch.Generator().manual_seed(5)) * 2 - 1
        y = torch.sin(3 * x[:, :1]) * x[:, 1:]
        error = (self.average(x.to(self.device)).cpu() - y).square().mean()
        return {"test_loss": float(error)}

    def finish(self, directory: Path) -> dict[str, float]:
        save_safetensors(directory / self.output, self.average.state_dict(), {})
        return self.evaluate(0)


def build(config: RegressionConfig, weights: Path) -> RegressionTask:
    """Build the task of the test recipe."""
    return RegressionTask(config)


def make_task(seed: int = 0, **config: Any) -> RegressionTask:
    """Return a task whose initial weights depend only on the seed."""
    with seeded(seed, "build"):
        return RegressionTask(RegressionConfig(**config))


def build_second(config: RegressionConfig, weights: Path) -> RegressionTask:
    """Build a task that starts from what the first recipe trained."""
    task = RegressionTask(config, output="second.safetensors")
    tensors, _ = load_safetensors(weights / "regression.safetensors")
    task.network.load_state_dict(tensors)
    return task


SETTINGS = Settings(steps=40, seed=3, checkpoint_every=10, log_every=1, device="cpu", threads=1)
RECIPES = (
    Recipe(
        name="second",
        summary="the same, from the first one's weights",
        config=RegressionConfig(learning_rate=1e-3),
        settings=SETTINGS,
        build=build_second,
        outputs=("second.safetensors",),
        depends_on=("regression",),
        kind="regressor",
    ),
    Recipe(
        name="regression",
        summary="an MLP learns sin(3x)y",
        config=RegressionConfig(),
        settings=SETTINGS,
        build=build,
        outputs=("regression.safetensors",),
        kind="regressor",
    ),
)
