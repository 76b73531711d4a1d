"""Training StyleFlow: a conditional flow on the W of labelled faces.

Only codes and scores enter, no picture. Generator and regressors come in at the end, where each
attribute's rows and gain are measured; the second judges are never opened.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from l2l_widgets.editors.continuous_flow import Solver
from l2l_widgets.editors.origins import Origin
from l2l_widgets.editors.styleflow import (
    FlowConfig,
    StyleFlowEditor,
    StyleFlowNetwork,
    published_rows,
)
from l2l_widgets.errors import TooLittleError
from l2l_widgets.recipes.labelled import (
    Labelled,
    LabelledWorld,
    faces_folder,
    load_parts,
    world_table,
)
from l2l_widgets.recipes.registry import Recipe
from l2l_widgets.recipes.watched import FACES, MATRIX_FACES, edit_leakage, edited_pictures
from l2l_widgets.training import Context, Settings, TrainingError, cosine, make_generator, warmup

#: Least change of an attribute that an editor must reach to offer it, in attribute units.
LEAST_REACH = 0.05


@dataclass(frozen=True)
class FlowTraining(Labelled):
    """What `l2l train styleflow --set FIELD=VALUE` may change.

    Parameters
    ----------
    blocks : int
        CNF blocks: 1 as released, 4 as in the paper.
    hidden_dim, hidden_layers, edit_steps
        As ``editors.styleflow.FlowConfig`` has them.
    start : str
        "linear" or "random", see ``editors.styleflow``.
    solver, solver_steps, tolerance
        As ``editors.continuous_flow.Solver`` has them; the authors train with dopri5 at 1e-5.
    batch_size : int
        Codes a step; 5 in the authors' code, over about 10,000.
    learning_rate : float
        Of Adam.
    schedule_steps : int
        Step at which the cosine has brought the learning rate to a tenth.
    held_out : int
        Codes that are not trained on, for the likelihood.
    rows : str
        "published": the authors' rows for their eight attributes. "measured": all rows where the
        published ones do not reach a change of 0.3.
    """

    response_faces: int = 32
    response_rounds: int = 2
    blocks: int = 1
    hidden_dim: int = 0
    hidden_layers: int = 5
    edit_steps: int = 12
    start: str = "linear"
    solver: str = "rk4"
    solver_steps: int = 4
    tolerance: float = 1e-5
    batch_size: int = 128
    learning_rate: float = 1e-3
    schedule_steps: int = 3000
    held_out: int = 1024
    rows: str = "measured"

    def __post_init__(self) -> None:
        if self.rows not in ("published", "measured"):
            raise ValueError(f"rows is {self.rows!r}; allowed: published, measured")


class FlowMaterialError(TooLittleError, TrainingError):
    """A flow has too little to learn from."""


class FlowTask:
    """The flow as the training loop sees it.

    Parameters
    ----------
    config : FlowTraining
        What to train.
    world : LabelledWorld
        On what.

    Raises
    ------
    FlowMaterialError
        No attribute has scores that something can be fitted to, or too few codes are left.
    """

    def __init__(self, config: FlowTraining, world: LabelledWorld) -> None:
        self.config, self.world = config, world
        if len(world.unfit) == len(world.table):
            name, why = next(iter(world.unfit.items()))
            raise FlowMaterialError(f"no attribute can be fitted; {name}: {why}")
        self.trained_on = len(world.codes) - config.held_out
        if self.trained_on < config.batch_size or config.held_out < 2:
            raise FlowMaterialError(
                f"held_out is {config.held_out} of {len(world.codes)} faces; allowed: at least 2, "
                f"and a batch of {config.batch_size} must be left"
            )
        unseen = [world.table.index(name) for name in world.unfit]
        # what says nothing is 0 for everybody, whatever was read
        self.scores = world.scores.clone()
        self.scores[:, unseen] = 0.0
        generator = world.generator
        shape = FlowConfig(
            generator.w_dim, len(world.table), generator.num_ws, config.blocks, config.hidden_dim,
            config.hidden_layers, config.edit_steps,
        )  # fmt: skip
        self.solver = Solver(config.solver, config.solver_steps, config.tolerance)
        known = slice(0, self.trained_on)
        self.network = StyleFlowNetwork(
            shape, world.codes[known], self.scores[known], config.start, unseen
        )
        self.network.train()
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=config.learning_rate)

    def modules(self) -> dict[str, nn.Module]:
        """Return the flow."""
        return {"flow": self.network}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """Return the one optimizer."""
        return {"flow": self.optimizer}

    def prepare(self, device: torch.device) -> None:
        """Move the frozen parts."""
        self.world.to(device)

    def batch(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw codes, their scores, and the noise of the divergence."""
        rows = torch.randint(self.trained_on, (self.config.batch_size,), generator=generator)
        w = self.world.codes[rows]
        noise = torch.randn(w.shape, generator=generator)
        return {"w": w, "readings": self.scores[rows], "noise": noise}

    def train_step(
        self, batch: dict[str, Tensor], step: int, context: Context
    ) -> dict[str, Tensor]:
        """Raise the likelihood of the codes under their scores."""
        likelihood = self.network.nll(batch["w"], batch["readings"], batch["noise"], self.solver)
        loss = likelihood.mean()
        context.backward(loss)
        config = self.config
        rate = config.learning_rate * warmup(step, 100)
        rate *= cosine(step, config.schedule_steps // 2, config.schedule_steps, 0.1)
        context.set_learning_rate("flow", rate)
        context.optimize("flow", max_norm=1.0)
        return {"nll_loss": loss.detach(), "end_time": self.network.end.detach().mean()}

    @torch.no_grad()
    def evaluate(self, step: int) -> dict[str, float]:
        """Return how likely codes are that were not trained on, and how well they come back."""
        w = self.world.codes[self.trained_on :].to(self.world.device)
        readings = self.scores[self.trained_on :].to(w)
        noise = torch.randn(w.shape, generator=make_generator("styleflow", "noise")).to(w)
        self.network.eval()
        nll = self.network.nll(w, readings, noise, self.solver).mean()
        again = self.network.decode(self.network.encode(w, readings), readings)
        self.network.train()
        return {
            "held_out_nll_loss": float(nll),
            "inversion_error": float((again - w).abs().max()),
        }

    def pictures(self) -> dict[str, Tensor]:
        """Return the same faces as they are and edited, for those who watch."""
        world = self.world
        faces, columns = world.fresh(FACES, stream=9), range(len(world.table))
        return edited_pictures(world.generator.synthesis, self._edit, faces, world.table, columns)

    def leakage(self) -> dict[str, dict[str, float]]:
        """Return what the edits of a few attributes move, by the training ensemble."""
        world = self.world
        faces, columns = world.fresh(MATRIX_FACES, stream=9), range(len(world.table))
        return edit_leakage(world.read, self._edit, faces, world.table, columns)

    def _edit(self, w: Tensor, knobs: Tensor) -> Tensor:
        self.network.eval()
        edited = self.network(w, knobs)
        self.network.train()
        return edited

    @torch.no_grad()
    def finish(self, directory: Path) -> dict[str, float]:
        """Choose rows, measure gains, write the editor's file."""
        scores = self.evaluate(0)
        network, world = self.network.eval().requires_grad_(False), self.world
        rows = published_rows(world.table, world.generator.num_ws)
        everywhere = (0, world.generator.num_ws)
        reasons = dict(world.unfit)
        for column, name in enumerate(world.table.names):
            if name in reasons or self.config.calibration_faces == 0:
                continue
            network.set_rows(column, rows[name])
            reached = world.calibrate(network, column, with_current=True)
            if reached < 0.3 and self.config.rows == "measured" and rows[name] != everywhere:
                rows[name] = everywhere
                network.set_rows(column, everywhere)
                reached = world.calibrate(network, column, with_current=True)
            if reached < LEAST_REACH:
                said = share_said_by_others(self.scores[: self.trained_on], column)
                reasons[name] = (
                    f"the flow changes it by {reached:.2f} at most: it holds the other "
                    f"attributes, and they say {said:.0%} of it"
                )
        origin = Origin(world.origin.get("generator", ""), "w", world.described)
        editor = StyleFlowEditor(network, world.table, origin, reasons, world.origin)
        editor.set_rows(rows).to("cpu").save(directory / "styleflow.safetensors")
        return {**scores, "attributes": float(len(editor.attributes))}


def share_said_by_others(scores: Tensor, column: int) -> float:
    """Return how much of an attribute the others determine, 0 to 1: the R2 of a linear regression.

    The flow is given all attributes at once and holds those that are not asked for. What they
    determine cannot be changed then: an expression is little more than smile, mouth and eyes.

    Parameters
    ----------
    scores : Tensor, shape (N, A)
        Readings of faces; the regression is fitted to the first half and judged by the second.
    column : int
        The attribute.
    """
    values = scores.double() - scores.double().mean(dim=0)
    others = torch.cat([values[:, :column], values[:, column + 1 :]], dim=1)
    half = len(values) // 2
    x, y = others[:half], values[:half, column]
    damp = 1e-6 * half * torch.eye(x.shape[1], dtype=x.dtype)
    slope = torch.linalg.solve(x.T @ x + damp, x.T @ y)
    left = values[half:, column] - others[half:] @ slope
    spread = values[half:, column].var(correction=0)
    return float((1 - left.square().mean() / spread.clamp_min(1e-12)).clamp(0, 1))


def build_from(weights: Path, config: FlowTraining) -> FlowTask:
    """Build the task over the frozen parts in a weights folder."""
    generator, regressors, hashes = load_parts(weights, config.ensemble, "recipe 'styleflow'")
    table = world_table(weights)
    cache = faces_folder(weights)
    return FlowTask(config, LabelledWorld(config, generator, regressors, table, hashes, cache))


_SETTINGS = Settings(steps=3000, seed=40, checkpoint_every=500, log_every=25, threads=1)


def _recipe(name: str, summary: str, config: FlowTraining, shipped: bool) -> Recipe:
    return Recipe(
        name=name,
        summary=summary,
        config=config,
        settings=dataclasses.replace(_SETTINGS),
        build=lambda config, weights: build_from(Path(weights), config),
        outputs=("styleflow.safetensors",),
        depends_on=("generator", "regressor", "regressor_b"),
        kind="editor",
        shipped=shipped,
    )


RECIPES = (
    _recipe(
        "styleflow",
        "a conditional flow on W, one block as released (Abdal et al. 2021)",
        FlowTraining(),
        True,
    ),
    _recipe(
        "styleflow-paper",
        "the same with the paper's four blocks",
        FlowTraining(blocks=4),
        False,
    ),
)
