"""Training the latent-to-latent mapper: data, model, step and what is shipped.

``mapper``
    All 35 attributes; the embedded editor. Besides the paper's losses it has a conservation loss:
    background and clothes are kept, which no attribute would notice.
``mapper-plain``
    The same without it.
``mapper-lesson``
    Three attributes and a small network, for a lesson: it learns visibly within a minute on two
    cores.

Generator, regressors and embedder are frozen; the second judges are never opened here.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from l2l_widgets.attributes import DEFAULT_TABLE, AttributeTable
from l2l_widgets.editors.correction import TargetCorrection, held_columns
from l2l_widgets.editors.directions import fit_directions
from l2l_widgets.editors.mapper import MapperConfig, MapperEditor, MapperNetwork
from l2l_widgets.editors.mapper_objective import LossWeights, MapperObjective, sample_changes
from l2l_widgets.latents import to_wplus
from l2l_widgets.losses import Augmentation, ConservationLoss, surroundings_kept_loss
from l2l_widgets.recipes import Recipe
from l2l_widgets.recipes.labelled import (
    LabelledFaces,
    faces_folder,
    load_parts,
    open_labelled,
    read_in_parts,
    world_table,
)
from l2l_widgets.recipes.mapper_calibration import calibrate, single_changes
from l2l_widgets.recipes.progress import say
from l2l_widgets.recipes.watched import FACES, MATRIX_FACES, edit_leakage, edited_pictures
from l2l_widgets.training import Context, Settings, TrainingError, cosine, update_average, warmup
from l2l_widgets.triplets import TripletReader, sample_latents

#: Latents that the cloud and the start of the linear term are fitted to, at most.
FITTED = 65536


@dataclass(frozen=True)
class MapperTraining(LabelledFaces):
    """What `l2l train mapper --set FIELD=VALUE` may change, beside which faces it learns from.

    Parameters
    ----------
    attributes : tuple of str
        Attributes that are trained to change; all of the table where empty. The others are kept.
    topology, layers, hidden_dim, output, linear, null, correction
        See ``MapperConfig``; ``hidden_dim`` 0 is the paper's width, that of the input.
    leave_free : bool
        Whether what moves with an edited attribute (``Attribute.moves_with``) has no target of its
        own; otherwise a smile is to come with the happiness that the face had.
    start : str
        Where the linear term starts: svm, mean-difference, ridge (``editors/directions.py``), or
        zero.
    batch_size : int
        Faces a step. Few: for the faces seen, many small steps learn more than few large ones.
    learning_rate : float
        Of Adam.
    schedule_steps : int
        Step at which the cosine has brought the learning rate to a tenth.
    faces : int
        Triplets in the training set.
    ensemble : int
        Regressors in the loss: 1 is the paper's single H.
    take_turns : bool
        Whether one of them judges each step, in turn; otherwise all judge every step.
    augment : bool
        Whether they see blurred, noisy, shifted pictures.
    cloud_floor : float
        Squared Mahalanobis distance per dimension that the cloud loss lets pass; 1 is the mean of
        the population.
    attribute_loss_weight ... background_loss_weight : float
        See ``LossWeights``; the last switches on ``losses.surroundings_kept_loss``. The identity
        loss acts with ``null`` "learned" only: other forms have an exact null edit by structure.
    average : float
        Decay of the moving average of the weights, which is what is shipped.
    calibration_faces : int
        Faces on which the gains are measured after the training; 0 leaves them at 1.
    others_budget, sure_faces, enough, identity_floor : float
        How gentle and how sure the calibrated edits are, and where they stop; see
        ``mapper_calibration.calibrate``. A floor of 0 measures no identity, which takes less time.
    halfways : int
        How often the shipped editor looks for the half-way point (``MapperConfig.halfways``); the
        network is trained with one look, which takes less time.
    symmetric_gain : bool
        One gain curve for rises and falls, which keeps the cycle error small.
    """

    attributes: tuple[str, ...] = ()
    topology: str = "flat"
    layers: int = 2
    hidden_dim: int = 256
    output: str = "residual"
    linear: bool = True
    null: str = "symmetric"
    correction: str = "threshold"
    leave_free: bool = True
    start: str = "svm"
    batch_size: int = 8
    learning_rate: float = 1e-3
    schedule_steps: int = 20000
    take_turns: bool = True
    augment: bool = True
    attribute_loss_weight: float = 30.0
    cycle_loss_weight: float = 0.5
    identity_loss_weight: float = 0.5
    neighbourhood_loss_weight: float = 1.0
    face_loss_weight: float = 12.0
    cloud_loss_weight: float = 6.0
    cloud_floor: float = 1.2
    background_loss_weight: float = 60.0
    average: float = 0.999
    calibration_faces: int = 1024
    others_budget: float = 0.0375
    sure_faces: float = 0.8
    enough: float = 0.9
    identity_floor: float = 0.75
    halfways: int = 3
    symmetric_gain: bool = True

    def loss_weights(self) -> LossWeights:
        """Return the weights in the objective's own words."""
        return LossWeights(
            attribute=self.attribute_loss_weight,
            cycle=self.cycle_loss_weight,
            identity=self.identity_loss_weight,
            neighbourhood=self.neighbourhood_loss_weight,
            face=self.face_loss_weight,
            cloud=self.cloud_loss_weight,
            conservation=self.background_loss_weight,
        )


class MapperTask:
    """The mapper as the training loop sees it.

    Parameters
    ----------
    config : MapperTraining
        What to train, on what.
    generator : nn.Module
        G; frozen here.
    regressors : sequence of nn.Module
        The ensemble H; frozen here.
    embedder : nn.Module
        F; frozen here.
    table : AttributeTable
        Columns of the regressors' readings.
    origin : dict of str to str
        Hashes of the frozen parts; they name the triplets and travel with the weights.
    conservation : ConservationLoss, optional
        A loss of your own instead of keeping background and clothes; its weight is
        ``background_loss_weight``.
    output : str
        Name of the weights file.
    cache : Path, optional
        Folder for the triplets' folder, see ``labelled.open_labelled``.
    """

    def __init__(
        self,
        config: MapperTraining,
        generator: Any,
        regressors: Sequence[Any],
        embedder: Any,
        table: AttributeTable = DEFAULT_TABLE,
        origin: dict[str, str] | None = None,
        conservation: ConservationLoss | None = None,
        output: str = "mapper.safetensors",
        cache: Path | None = None,
    ) -> None:
        if not 1 <= config.ensemble <= len(regressors):
            raise TrainingError(
                f"ensemble is {config.ensemble}; allowed: 1 to {len(regressors)}, the regressors "
                "at hand"
            )
        self.config, self.table, self.origin = config, table, dict(origin or {})
        self.output = output
        self.generator, self.embedder = generator, embedder
        self.regressors = tuple(regressors[: config.ensemble])
        for part in (generator, embedder, *self.regressors):
            if isinstance(part, nn.Module):
                part.eval().requires_grad_(False)
        self.reader = open_labelled(config, generator, self.regressors, table, self.origin, cache)
        # cloud and directions know no more from more, and double precision takes room
        ws, readings = (part[:FITTED] for part in self.reader.latents())
        self.low, self.high = _population_range(readings)
        self.columns = [table.index(name) for name in config.attributes or table.names]
        say("fitting a straight line for each attribute")
        self.network = self._build_network(ws, readings)
        # a separate copy that follows: what is evaluated and shipped
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.correction = TargetCorrection(table, config.correction, population=readings[:4096])
        if conservation is None and config.background_loss_weight > 0:
            conservation = surroundings_kept_loss
        self.augmentation = Augmentation() if config.augment else None
        say("measuring how far two persons are apart")
        self.objective = MapperObjective(
            generator,
            self.regressors,
            embedder,
            config.loss_weights(),
            ws,
            conservation=conservation,
            cloud_floor=config.cloud_floor,
            augmentation=self.augmentation,
            people_apart=_people_apart(embedder, self.reader),
        )
        self.optimizer = torch.optim.Adam(
            self.network.parameters(), lr=config.learning_rate, betas=(0.9, 0.99)
        )
        self.device = torch.device("cpu")

    # -- what the loop asks for --------------------------------------------------------------------
    def modules(self) -> dict[str, nn.Module]:
        """Return the mapper and its moving average."""
        return {"mapper": self.network, "average": self.average}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """Return the one optimizer."""
        return {"mapper": self.optimizer}

    def prepare(self, device: torch.device) -> None:
        """Move the frozen parts; channels last is the layout in which convolutions are fast."""
        self.device = device
        for part in (self.generator, self.embedder, *self.regressors):
            if isinstance(part, nn.Module):
                # PyTorch's own types do not know this form of `to`.
                part.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.objective.to(device)

    def batch(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw faces, changes and augmentation for all processes together."""
        indices = torch.randint(len(self.reader), (self.config.batch_size,), generator=generator)
        batch = self.reader.batch(indices)
        readings = batch.pop("a")
        low, high = self.low[self.columns], self.high[self.columns]
        change = torch.zeros_like(readings)
        change[:, self.columns] = sample_changes(readings[:, self.columns], low, high, generator)
        batch["delta"] = self.correction(readings, change)
        if self.config.leave_free:
            batch["held"] = held_columns(self.table, change)
        if self.augmentation is not None:
            batch.update(self.augmentation.draw(batch["image"].shape, generator))
        return batch

    def train_step(
        self, batch: dict[str, Tensor], step: int, context: Context
    ) -> dict[str, Tensor]:
        """Take one step; return all losses."""
        batch["image"] = batch["image"].contiguous(memory_format=torch.channels_last)
        losses = self.objective(self.network, batch, step if self.config.take_turns else None)
        context.backward(losses["loss"])
        config = self.config
        rate = config.learning_rate * warmup(step, 50)
        rate *= cosine(step, config.schedule_steps // 2, config.schedule_steps, 0.1)
        context.set_learning_rate("mapper", rate)
        context.optimize("mapper", max_norm=5.0)
        # the first steps are not averaged: the start is a thing to leave
        update_average(self.average, self.network, min(config.average, (1 + step) / (10 + step)))
        return losses

    @torch.no_grad()
    def evaluate(self, step: int) -> dict[str, float]:
        """Ask for single changes of 0.3 on a fixed set of faces, read by the training ensemble."""
        return self.scores(_fixed_faces(self, count=4 * len(self.columns)))

    def pictures(self) -> dict[str, Tensor]:
        """Return the same faces as they are and edited, for those who watch."""
        faces = _fixed_faces(self, count=FACES, stream=9)
        return edited_pictures(
            self.generator.synthesis, self.average, faces, self.table, self.columns
        )

    def leakage(self) -> dict[str, dict[str, float]]:
        """Return what the edits of a few attributes move, by the training ensemble."""
        faces = _fixed_faces(self, count=MATRIX_FACES, stream=9)
        return edit_leakage(self.read, self.average, faces, self.table, self.columns)

    def calibrated_editor(self) -> tuple[MapperEditor, float]:
        """Return the editor that the training has come to, and the share that its gains aim at.

        A copy, on the CPU; the training may go on. Without calibration (``calibration_faces`` 0) a
        request is a bare knob value, which half-trained networks answer with next to nothing.
        """
        config, aim = self.config, 1.0
        network = copy.deepcopy(self.average).eval()
        network.config = replace(network.config, halfways=config.halfways)
        if config.calibration_faces > 0:
            faces = _fixed_faces(self, count=max(config.calibration_faces, 96))
            aim = calibrate(
                network, self.read, faces, self.reader.latents()[1], self.table, self.columns,
                config.others_budget, config.sure_faces, config.symmetric_gain, config.enough,
                self.kept if config.identity_floor > 0 else None, config.identity_floor,
            )  # fmt: skip
        editor = MapperEditor(network.cpu(), self.table, self._editor_correction(), self.origin)
        return editor, aim

    def finish(self, directory: Path) -> dict[str, float]:
        """Calibrate, write the editor's file, and score the calibrated editor."""
        editor, aim = self.calibrated_editor()
        editor.save(directory / self.output, half=True)
        self.average.eval().gain.load_state_dict(editor.network.gain.state_dict())
        self.average.config = editor.network.config
        held_out = _fixed_faces(self, count=8 * len(self.columns), stream=2)
        return {**self.scores(held_out), "aim": aim}

    # -- parts -----------------------------------------------------------------------------------
    @torch.no_grad()
    def read(self, ws: Tensor) -> Tensor:
        """Return the ensemble's mean readings (B, A) of latents (B, num_ws, w_dim)."""
        return read_in_parts(self.generator, self.regressors, ws.to(self.device))

    @torch.no_grad()
    def kept(self, ws: Tensor, edited: Tensor) -> Tensor:
        """Return what F finds left of each person (B,): 1 for the same, 0 as between strangers."""
        people = []
        for side in (ws, edited):
            parts = [w.to(self.device) for w in side.split(32)]
            people += [
                torch.cat([self.embedder(self.generator.synthesis(w)).float() for w in parts])
            ]
        return 1 - (people[0] - people[1]).square().sum(dim=1) / self.objective.people_apart

    @torch.no_grad()
    def scores(self, ws: Tensor, request: float = 0.3) -> dict[str, float]:
        """Return what single changes achieve and disturb, by the training ensemble.

        ``achieved_score`` is the median share of the request that was read, ``others_error`` the
        mean absolute change of the attributes that were not asked for.
        """
        before = torch.cat([self.read(part) for part in ws.split(64)])
        achieved, others = single_changes(
            self.average, self.average.gain, self.read, ws, before, self.columns, request
        )
        return {"achieved_score": float(achieved.median()), "others_error": float(others.mean())}

    def _build_network(self, ws: Tensor, readings: Tensor) -> MapperNetwork:
        config = self.config
        start = None
        if config.linear and config.start != "zero":
            start = fit_directions(ws, readings, self.table.names, config.start).steps
        return MapperNetwork(
            MapperConfig(
                num_ws=self.generator.num_ws,
                w_dim=self.generator.w_dim,
                attributes=len(self.table),
                topology=config.topology,
                layers=config.layers,
                hidden_dim=config.hidden_dim or None,
                output=config.output,
                linear=config.linear,
                null=config.null,
                correction=config.correction,
                editable=config.attributes,
                activation=getattr(config, "activation", "tanh"),
            ),
            center=ws.mean(dim=0),
            scale=float((ws - ws.mean(dim=0)).std()),
            directions=start,
        )

    def _editor_correction(self) -> TargetCorrection:
        rule = self.config.correction
        population = self.correction.population if rule in ("nearest", "plausible") else None
        return TargetCorrection(self.table, rule, population=population)


def _population_range(readings: Tensor) -> tuple[Tensor, Tensor]:
    """Return the (A,) range from which targets are drawn: nearly all the population reaches."""
    quantiles = torch.tensor([0.005, 0.995])
    low, high = torch.quantile(readings[:16384], quantiles, dim=0)
    # an attribute the generator hardly draws is still asked for a little, and says so by its gain
    return low.clamp(0, 1), torch.maximum(high, low + 0.1).clamp(0, 1)


@torch.no_grad()
def _people_apart(embedder: Any, reader: TripletReader, pairs: int = 192) -> float:
    """Return the mean squared distance of the embeddings of two faces of the training set."""
    device = torch.device("cpu")
    if isinstance(embedder, nn.Module) and any(True for _ in embedder.parameters()):
        device = next(embedder.parameters()).device
    # a few at a time: where the set keeps no pictures, they are drawn, and may be large
    parts = torch.arange(min(2 * pairs, len(reader))).split(64)
    people = torch.cat([embedder(reader.batch(p)["image"].to(device)).float() for p in parts])
    first, second = people[: len(people) // 2], people[len(people) // 2 :][: len(people) // 2]
    return max(float((first - second).square().sum(dim=1).mean()), 1e-4)


def _fixed_faces(task: MapperTask, count: int, stream: int = 1) -> Tensor:
    """Return latents (count, num_ws, w_dim) that no triplet holds."""
    seed = (task.config.data_seed, 1 << 30, stream)
    psi = (task.config.psi_low, task.config.psi_high)
    with torch.no_grad():
        w = sample_latents(task.generator, count, seed, psi)
    return to_wplus(w.float(), task.generator.num_ws).to(task.device)


def build_from(weights: Path, config: MapperTraining, output: str) -> MapperTask:
    """Build the task over the frozen parts in a weights folder."""
    generator, networks, origin = load_parts(
        weights, config.ensemble, "the mapper", others=("embedder",)
    )
    return MapperTask(
        config,
        generator,
        networks[:-1],
        networks[-1],
        world_table(weights),
        origin=origin,
        output=output,
        cache=faces_folder(weights),
    )


LESSON = MapperTraining(
    attributes=("smile", "glasses", "age"),
    topology="shared",
    layers=1,
    hidden_dim=0,
    batch_size=16,
    schedule_steps=400,
    faces=2048,
    ensemble=1,
    augment=False,
    average=0.98,
    face_loss_weight=5.0,
    background_loss_weight=10.0,
    calibration_faces=256,
    identity_floor=0.0,
    halfways=1,
)

INPUTS = ("generator", "regressor", "regressor_b", "embedder")

SETTINGS = Settings(
    steps=20000, seed=20, checkpoint_every=1000, log_every=100, precision="bf16", threads=1
)


def _recipe(name: str, summary: str, config: MapperTraining, settings: Settings) -> Recipe:
    file = f"{name}.safetensors"
    return Recipe(
        name=name,
        summary=summary,
        config=config,
        settings=settings,
        build=lambda config, weights: build_from(Path(weights), config, file),
        outputs=(file,),
        depends_on=INPUTS,
        kind="editor",
        shipped=name == "mapper",
    )


RECIPES = (
    _recipe(
        "mapper",
        "the latent-to-latent mapper for all attributes (Khodadadeh et al. 2022)",
        MapperTraining(),
        SETTINGS,
    ),
    _recipe(
        "mapper-plain",
        "the mapper without a conservation loss: nothing of its own asks it to keep the background",
        MapperTraining(background_loss_weight=0.0),
        SETTINGS,
    ),
    _recipe(
        "mapper-lesson",
        "a small mapper for smile, glasses and age, for a lesson of a minute",
        LESSON,
        replace(SETTINGS, steps=400, checkpoint_every=100, log_every=5, threads=0),
    ),
)
