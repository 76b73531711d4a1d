"""What the training loop is told: the task, the settings, and what it lends to each step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn
from torch.optim import Optimizer

from l2l_widgets.training.run_directory import TrainingError

PRECISIONS = ("no", "bf16")
DEVICES = ("auto", "cpu")
HIGHER_IS_BETTER = ("_score", "_similarity", "_accuracy", "_correlation")
LOWER_IS_BETTER = ("_loss", "_distance", "_error")


@dataclass(frozen=True)
class Settings:
    """How a run is driven, whatever it trains.

    Parameters
    ----------
    steps
        Step to train to.
    seed
        Seed of everything random in the run, initial weights included.
    checkpoint_every
        Steps between checkpoints; a killed run loses at most that many.
    log_every
        Steps between records in the history; each record holds means since the one before.
    evaluate_every
        Steps between calls of `Task.evaluate`; 0 means never.
    best_metric
        Which evaluated number decides the best checkpoint; its ending says which way is better
        (`_score`, `_similarity`, `_accuracy`, `_correlation` up; `_loss`, `_distance`, `_error`
        down). Empty: none is kept.
    keep
        How many of the newest checkpoints stay on disk.
    precision
        "no" (float32) or "bf16" (autocast; weights stay float32).
    device
        "auto" (a GPU where there is one) or "cpu".
    threads
        CPU threads torch may use; 0 leaves torch's own choice.
    """

    steps: int = 1000
    seed: int = 0
    checkpoint_every: int = 500
    log_every: int = 10
    evaluate_every: int = 0
    best_metric: str = ""
    keep: int = 2
    precision: str = "no"
    device: str = "auto"
    threads: int = 0

    def __post_init__(self) -> None:
        for name, least in (
            ("steps", 1),
            ("seed", 0),
            ("checkpoint_every", 1),
            ("log_every", 1),
            ("evaluate_every", 0),
            ("keep", 1),
            ("threads", 0),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise TrainingError(f"{name} must be an integer of at least {least}, not {value!r}")
        if self.precision not in PRECISIONS:
            raise TrainingError(f"precision must be one of {PRECISIONS}, not {self.precision!r}")
        if self.device not in DEVICES:
            raise TrainingError(f"device must be one of {DEVICES}, not {self.device!r}")
        if self.best_metric and not self.best_metric.endswith(HIGHER_IS_BETTER + LOWER_IS_BETTER):
            raise TrainingError(
                f"best_metric must end in one of {HIGHER_IS_BETTER + LOWER_IS_BETTER}, "
                f"not {self.best_metric!r}"
            )


class Task(Protocol):
    """What is trained. Write a class with these methods; there is nothing to inherit."""

    def modules(self) -> dict[str, nn.Module]:
        """Return every network that has state to keep: trained ones, moving averages, counters."""
        ...

    def optimizers(self) -> dict[str, Optimizer]:
        """Return the optimizers by name."""
        ...

    def prepare(self, device: torch.device) -> None:
        """Move whatever `modules` does not name (frozen judges, data tensors) to the device."""
        ...

    def batch(self, step: int, generator: torch.Generator) -> Any:
        """Return the batch of all processes together, drawn only from `step` and `generator`.

        A tensor, or dicts, lists and tuples of tensors, on any device, whose first dimensions are
        all the global batch size.
        """
        ...

    def train_step(self, batch: Any, step: int, context: Context) -> dict[str, torch.Tensor]:
        """Train on this process's slice of the batch; return scalar losses to record."""
        ...

    def evaluate(self, step: int) -> dict[str, float]:
        """Measure; called on the main process every `evaluate_every` steps. May return {}."""
        ...

    def finish(self, directory: Path) -> dict[str, float]:
        """Write the finished weights into `directory`; return the scores that describe them."""
        ...


def map_tensors(function: Callable[[torch.Tensor], Any], tree: Any) -> Any:
    """Apply `function` to every tensor in nested dicts, lists and tuples."""
    if isinstance(tree, torch.Tensor):
        return function(tree)
    if isinstance(tree, Mapping):
        return {key: map_tensors(function, value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(map_tensors(function, value) for value in tree)
    return tree


class Context:
    """What the loop lends to `Task.train_step`.

    Attributes
    ----------
    device
        Where this process computes.
    step
        The step now running, from 0.
    steps
        The step the run trains to, for schedules.
    generator
        A CPU generator seeded by (seed, step), equal on all processes: draw numbers for the
        global batch from it and pass them through `shard`.
    """

    def __init__(self, accelerator: Any, optimizers: Mapping[str, Optimizer], steps: int) -> None:
        self.device: torch.device = accelerator.device
        self.step = 0
        self.steps = steps
        self.generator = torch.Generator()
        self._accelerator = accelerator
        self._optimizers = optimizers

    @property
    def num_processes(self) -> int:
        """How many processes train together."""
        return self._accelerator.num_processes

    def shard(self, tree: Any) -> Any:
        """Return this process's slice of global-batch tensors, on this process's device."""
        count, index = self._accelerator.num_processes, self._accelerator.process_index

        def take(tensor: torch.Tensor) -> torch.Tensor:
            if tensor.ndim == 0 or tensor.shape[0] % count:
                raise TrainingError(
                    f"a batch of shape {tuple(tensor.shape)} does not divide among {count} "
                    "processes"
                )
            size = tensor.shape[0] // count
            return tensor[index * size : (index + 1) * size].to(self.device, non_blocking=True)

        return map_tensors(take, tree)

    def backward(self, loss: torch.Tensor) -> None:
        """Accumulate the gradients of `loss`."""
        loss.backward()

    def optimize(self, name: str, max_norm: float | None = None) -> None:
        """Average the gradients of one optimizer over the processes, step it, clear them.

        Parameters
        ----------
        name
            Which optimizer.
        max_norm
            Clip the averaged gradients to this total L2 norm. (Clipping before the average would
            make the result depend on the number of processes.)
        """
        optimizer = self._optimizers[name]
        if self.num_processes > 1:
            self._average_gradients(optimizer)
        if max_norm is not None:
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            nn.utils.clip_grad_norm_(parameters, max_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def set_learning_rate(self, name: str, rate: float) -> None:
        """Set the learning rate of every parameter group of one optimizer."""
        for group in self._optimizers[name].param_groups:
            group["lr"] = rate

    def average(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the mean of a tensor over the processes (for statistics such as `w_avg`)."""
        if self.num_processes == 1:
            return tensor
        return self._accelerator.reduce(tensor.detach().clone(), reduction="mean")

    def _average_gradients(self, optimizer: Optimizer) -> None:
        gradients = [
            parameter.grad
            for group in optimizer.param_groups
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        if not gradients:
            return
        # one transfer for all of them: many small ones cost far more
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        flat = self._accelerator.reduce(flat, reduction="mean")
        offset = 0
        for gradient in gradients:
            count = gradient.numel()
            gradient.copy_(flat[offset : offset + count].view(gradient.shape))
            offset += count


def batch_size(batch: Any) -> int:
    """Return the global batch size; tensors that disagree about it are refused."""
    sizes: list[int] = []
    map_tensors(lambda tensor: sizes.append(tensor.shape[0] if tensor.ndim else 0), batch)
    if not sizes or any(size != sizes[0] or size == 0 for size in sizes):
        raise TrainingError(
            f"all tensors of a batch must share one first dimension, but they have {sizes}"
        )
    return sizes[0]
