"""Training the face parser: 19 classes a pixel and 68 landmarks, from renders that know both."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from l2l_widgets.faceworld.dataset import FaceDataset
from l2l_widgets.faceworld.version import WORLD
from l2l_widgets.masks import MASK_CLASSES
from l2l_widgets.perception import ParsingNet, expected_positions
from l2l_widgets.recipes import Recipe
from l2l_widgets.recipes.face_readers import FaceReaderTask, eye_shares
from l2l_widgets.recipes.perception import set_rate
from l2l_widgets.recipes.rendered import check_sets
from l2l_widgets.training import Context, Settings

#: The outer corners of the two eyes among the 68 points: errors are given as shares of their
#: distance, as in the 300-W challenge.
EYE_CORNERS = (36, 45)


@dataclass(frozen=True)
class ParserTraining:
    """What ``l2l train parser --set FIELD=VALUE`` may change.

    Parameters
    ----------
    width : int
        Channels of the network at full size.
    sets : tuple of str
        Rendered sets to learn from.
    batch_size : int
        Faces a step.
    learning_rate, weight_decay : float
        Of AdamW.
    overlap_weight : float
        Weight of the classes' overlap beside their cross entropy, in which small parts (brows,
        earrings) count by their few pixels.
    landmark_weight : float
        Weight of the landmarks' error beside them.
    world : int
        Version of the renderer.
    """

    width: int = 16
    sets: tuple[str, ...] = ("independent", "population")
    batch_size: int = 32
    learning_rate: float = 3e-3
    weight_decay: float = 0.01
    overlap_weight: float = 0.5
    landmark_weight: float = 20.0
    world: int = WORLD

    def __post_init__(self) -> None:
        for name in ("width", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; allowed: 1 or more")
        check_sets(self.sets)


class ParserTask(FaceReaderTask):
    """A :class:`ParsingNet` as the training loop sees it."""

    network: ParsingNet

    def __init__(self, config: ParserTraining, output: str = "parser.safetensors") -> None:
        super().__init__(config, output)
        self.config = config
        points = self.sets[0].landmarks.shape[1]
        self.take(ParsingNet(len(MASK_CLASSES), points, config.width))

    def batch(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Faces of one set, the picture degraded, with the class of each pixel and landmarks."""
        faces, rows, images = self.drawn(step, generator)
        return {
            "image": images,
            "mask": faces.masks[rows].long(),
            "landmarks": (faces.landmarks[rows] + 0.5) / images.shape[-1],
        }

    def train_step(
        self, batch: dict[str, Tensor], step: int, context: Context
    ) -> dict[str, Tensor]:
        """Cross entropy and overlap of the classes, and distance of the landmarks."""
        self.network.train()
        set_rate(self.config.learning_rate, step, context)
        images = batch["image"].contiguous(memory_format=torch.channels_last)
        logits, heat = self.network.maps(images)
        mask = batch["mask"]
        mask = F.interpolate(mask[:, None].float(), logits.shape[-2:], mode="nearest")[:, 0].long()
        mask_loss = F.cross_entropy(logits.float(), mask)
        overlap_loss = missing_overlap(logits.float(), mask)
        landmark_loss = (expected_positions(heat) - batch["landmarks"]).abs().mean()
        config = self.config
        context.backward(
            mask_loss
            + config.overlap_weight * overlap_loss
            + config.landmark_weight * landmark_loss
        )
        context.optimize("network")
        return {
            "mask_loss": mask_loss, "overlap_loss": overlap_loss, "landmark_loss": landmark_loss,
        }  # fmt: skip

    def evaluate(self, step: int) -> dict[str, float]:
        """Scores on held-out faces."""
        scores = self.scores()
        return {name: scores[name] for name in ("mean_iou_score", "landmark_error")}

    def pictures(self) -> dict[str, Tensor]:
        """Held-out faces, and their classes as read and as they are, for those who watch."""
        faces = self.sets[0]
        rows, images = next(self.held_out(4))
        self.network.eval()
        read = self.network(images).long().cpu()
        self.network.train()
        # one colour a class, far apart; the same at every look
        colours = torch.rand(len(MASK_CLASSES), 3, generator=torch.Generator().manual_seed(4))
        classes = {"read": read, "true": faces.masks[rows].long()}
        painted = {k: (colours[v] * 2 - 1).permute(0, 3, 1, 2) for k, v in classes.items()}
        side = images.shape[-2:]
        shown = {k: F.interpolate(v, side) for k, v in painted.items()}
        return {"held out": images.cpu().contiguous(), **shown}

    def finish(self, directory: Path) -> dict[str, float]:
        """Write the weights; report the scores."""
        self.save(directory)
        return self.scores()

    def scores(self) -> dict[str, float]:
        """On the held-out faces of the first set, see :func:`score_parser`."""
        self.network.eval()
        scores = score_parser(self.network, self.sets[0], self.held_out(64))
        self.network.train()
        return scores


@torch.no_grad()
def score_parser(
    network: ParsingNet, faces: FaceDataset, pictures: Iterable[tuple[Tensor, Tensor]]
) -> dict[str, float]:
    """Hold a parser against true masks and landmarks.

    ``mean_iou_score`` is the mean over classes of intersection over union, classes that no
    face shows left out; ``landmark_error`` the mean distance of the landmarks as a share of the
    distance of the eyes' outer corners; ``faces`` how many there are.

    Parameters
    ----------
    network : ParsingNet
        In evaluation mode.
    faces : FaceDataset
        Whose masks and landmarks are true.
    pictures : iterable of (Tensor, Tensor)
        Rows (B,) of the set, and their pictures (B, 3, R, R) in [-1, 1] on the network's device.
    """
    count = len(MASK_CLASSES)
    confusion = torch.zeros(count, count)
    errors = []
    for rows, images in pictures:
        read = network(images).long().cpu()
        pairs = faces.masks[rows].long() * count + read
        confusion += torch.bincount(pairs.flatten(), minlength=count**2).view(count, count)
        found = network.landmarks(images).cpu()
        errors.append(eye_shares(found, faces.landmarks[rows], EYE_CORNERS))
    hit = confusion.diagonal()
    union = confusion.sum(0) + confusion.sum(1) - hit
    shown = confusion.sum(1) > 0
    iou = hit / union.clamp_min(1)
    scores = {
        f"{name}_iou": round(float(v), 4)
        for name, v, s in zip(MASK_CLASSES, iou, shown, strict=True)
        if s
    }
    return {
        "mean_iou_score": round(float(iou[shown].mean()), 4),
        "landmark_error": round(float(torch.cat(errors).mean()), 4),
        "faces": sum(len(part) for part in errors),
        **scores,
    }


def missing_overlap(logits: Tensor, mask: Tensor) -> Tensor:
    """Return 1 less the mean soft Dice overlap (Milletari et al. 2016) of the classes shown.

    Parameters
    ----------
    logits : Tensor, shape (B, C, H, W)
        Of the classes.
    mask : Tensor, shape (B, H, W), int64
        The true class of each pixel. Pixels of a class are counted over the batch: many faces have
        no earring.

    Returns
    -------
    Tensor
        A number in [0, 1]; 0 is perfect.
    """
    share = logits.softmax(dim=1).transpose(0, 1).flatten(1)  # (C, B H W)
    truth = F.one_hot(mask.flatten(), len(share)).T.to(share)
    pixels = truth.sum(dim=1)
    overlap = 2 * (share * truth).sum(dim=1) / (share.sum(dim=1) + pixels)
    return 1 - overlap[pixels > 0].mean()


RECIPES = (
    Recipe(
        name="parser",
        summary="face parser: 19 classes a pixel and 68 landmarks",
        config=ParserTraining(),
        settings=Settings(
            steps=6000, seed=9, checkpoint_every=1000, log_every=200, evaluate_every=2000,
            precision="bf16", threads=1,
        ),
        build=lambda config, weights: ParserTask(config),
        outputs=("parser.safetensors",),
        kind="face parser",
    ),
)  # fmt: skip
