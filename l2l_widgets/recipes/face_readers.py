"""What the trainings of networks share that say where things are in a rendered face.

Parts and landmarks lie at places: a picture may be degraded, but not shifted under its labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from l2l_widgets.faceworld.dataset import FaceDataset
from l2l_widgets.perception import save_network
from l2l_widgets.recipes.perception import HELD_OUT, degrade
from l2l_widgets.recipes.rendered import rendered_set


class Reading(Protocol):
    """What the settings of such a training have in common."""

    @property
    def sets(self) -> tuple[str, ...]:
        """Rendered sets to learn from."""
        ...

    @property
    def batch_size(self) -> int:
        """Faces a step."""
        ...

    @property
    def learning_rate(self) -> float:
        """Of AdamW."""
        ...

    @property
    def weight_decay(self) -> float:
        """Of AdamW."""
        ...


class FaceReaderTask:
    """Hooks of the training loop around one network; what it learns is its subclass's.

    Parameters
    ----------
    config : Reading
        Sets, batch and rates.
    output : str
        File that the network is written to.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer

    def __init__(self, config: Reading, output: str) -> None:
        self.reading, self.output = config, output
        self.sets: list[FaceDataset] = [rendered_set(name) for name in config.sets]

    def take(self, network: nn.Module) -> None:
        """Set what is trained, and its optimizer."""
        self.network = network
        self.optimizer = torch.optim.AdamW(
            network.parameters(), self.reading.learning_rate,
            weight_decay=self.reading.weight_decay,
        )  # fmt: skip

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

    def drawn(self, step: int, generator: torch.Generator) -> tuple[FaceDataset, Tensor, Tensor]:
        """Faces to learn from: their set, which rows of it, and the pictures, degraded.

        The sets take turns. The pictures are not shifted: that would leave the labels behind.
        """
        faces = self.sets[step % len(self.sets)]
        count = max(1, len(faces) - HELD_OUT)
        rows = torch.randint(count, (self.reading.batch_size,), generator=generator)
        return faces, rows, degrade(_pictures(faces, rows), generator, shift=0)

    def held_out(self, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Rows of the first set that are never learned from, and their pictures on the device."""
        device = next(self.network.parameters()).device
        for rows in self.held_rows.split(batch):
            images = _pictures(self.sets[0], rows).to(device)
            yield rows, images.contiguous(memory_format=torch.channels_last)

    @property
    def held_rows(self) -> Tensor:
        """Which rows of the first set are never learned from."""
        return torch.arange(len(self.sets[0]))[-HELD_OUT:]

    def save(self, directory: Path) -> None:
        """Write the network's file."""
        save_network(directory / self.output, self.network.eval())


def eye_shares(found: Tensor, truth: Tensor, corners: tuple[int, int]) -> Tensor:
    """Mean distance of landmarks, as a share of that of the eyes' outer corners (as in 300-W).

    Parameters
    ----------
    found, truth : Tensor, shape (B, P, 2)
        In the same unit.
    corners : tuple of int
        The two corners among the points.

    Returns
    -------
    Tensor, shape (B,)
    """
    eyes = (truth[:, corners[0]] - truth[:, corners[1]]).norm(dim=1)
    return (found - truth).norm(dim=2).mean(dim=1) / eyes


def _pictures(faces: FaceDataset, rows: Tensor) -> Tensor:
    return faces.images[rows].float() / 127.5 - 1
