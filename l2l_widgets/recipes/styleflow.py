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

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.editors.origins import Origin
from l2l_widgets.editors.styleflow import (
    FlowConfig,
    StyleFlowEditor,
    StyleFlowNetwork,
    published_rows,
    solvers,
)
from l2l_widgets.recipes.labelled import Labelled, LabelledWorld, load_parts
from l2l_widgets.recipes.registry import Recipe
from l2l_widgets.training import Context, Settings, cosine, make_generator


@dataclass(frozen=True)
class FlowTraining(Labelled):
    """What `l2l train styleflow --set FIELD=VALUE` may change.

    Parameters
    ----------
    blocks : int
        CNF blocks: 1 as released, 4 as in the paper.
    hidden_dim, hidden_layers, tolerance, edit_steps
        As ``editors.styleflow.FlowConfig`` has them.
    batch_size : int
        Codes a step; 5 in the authors' code, over about 10,000.
    learning_rate : float
        Of Adam.
    rows : str
        "published": the authors' rows for their eight attributes. "measured": all rows where the
        published ones do not reach a change of 0.3.
    """

    blocks: int = 1
    hidden_dim: int = 0
    hidden_layers: int = 5
    tolerance: float = 1e-5
    edit_steps: int = 8
    batch_size: int = 64
    learning_rate: float = 1e-3
    rows: str = "measured"

    def __post_init__(self) -> None:
        if self.rows not in ("published", "measured"):
            raise ValueError(f"rows is {self.rows!r}; allowed: published, measured")


class FlowTask:
    """The flow as the training loop sees it.

    Parameters
    ----------
    config : FlowTraining
        What to train.
    world : LabelledWorld
        On what.
    """

    def __init__(self, config: FlowTraining, world: LabelledWorld) -> None:
        solvers()  # before anything is labelled or trained
        self.config, self.world = config, world
        generator = world.generator
        shape = FlowConfig(
            generator.w_dim, len(world.table), generator.num_ws, config.blocks, config.hidden_dim,
            config.hidden_layers, config.tolerance, config.edit_steps,
        )  # fmt: skip
        self.network = StyleFlowNetwork(shape, world.codes, world.scores)
        self.network.train()
        self.optimizer = torch.optim.Adam(
            self.flow_parameters(), lr=config.learning_rate, betas=(0.9, 0.999)
        )

    def flow_parameters(self) -> list[nn.Parameter]:
        """Return what is trained."""
        return list(self.network.parameters())

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
        rows = torch.randint(len(self.world.codes), (self.config.batch_size,), generator=generator)
        w = self.world.codes[rows]
        noise = torch.randn(w.shape, generator=generator)
        return {"w": w, "readings": self.world.scores[rows], "noise": noise}

    def train_step(
        self, batch: dict[str, Tensor], step: int, context: Context
    ) -> dict[str, Tensor]:
        """Raise the likelihood of the codes under their scores."""
        loss = self.network.nll(batch["w"], batch["readings"], batch["noise"]).mean()
        context.backward(loss)
        rate = self.config.learning_rate * cosine(step, context.steps // 2, context.steps, 0.1)
        context.set_learning_rate("flow", rate)
        context.optimize("flow", max_norm=10.0)
        return {"nll_loss": loss.detach(), "end_time": self.network.end.detach().mean()}

    def evaluate(self, step: int) -> dict[str, float]:
        """Return the likelihood of fixed codes, with fixed noise."""
        w = self.world.codes[:512].to(self.world.device)
        noise = torch.randn(w.shape, generator=make_generator("styleflow", "noise")).to(w)
        self.network.eval()
        nll = self.network.nll(w, self.world.scores[:512].to(w), noise).detach().mean()
        self.network.train()
        return {"nll_loss": float(nll)}

    def finish(self, directory: Path) -> dict[str, float]:
        """Choose rows, measure gains, write the editor's file."""
        network, world = self.network.eval().requires_grad_(False), self.world
        origin = Origin(world.origin.get("generator", ""), "w", world.described)
        editor = StyleFlowEditor(network, world.table, origin, world.origin)
        rows = published_rows(world.table, world.generator.num_ws)
        editor.set_rows(rows)
        everywhere = (0, world.generator.num_ws)
        reached = 0
        for column, name in enumerate(world.table.names):
            if self.config.calibration_faces == 0:
                break
            if world.calibrate(network, column) < 0.3 and self.config.rows == "measured":
                editor.set_rows({name: everywhere})
                if rows[name] != everywhere:
                    world.calibrate(network, column)
            reached += float(network.gain.knobs[0, column, -1]) > 0
        editor.to("cpu").save(directory / "styleflow.safetensors")
        return {"nll_loss": self.evaluate(0)["nll_loss"], "attributes": float(reached)}


def build_from(weights: Path, config: FlowTraining) -> FlowTask:
    """Build the task over the frozen parts in a weights folder."""
    solvers()
    generator, regressors, hashes = load_parts(weights, config.ensemble, "recipe 'styleflow'")
    return FlowTask(config, LabelledWorld(config, generator, regressors, DEFAULT_TABLE, hashes))


_SETTINGS = Settings(steps=3000, seed=40, checkpoint_every=500, log_every=25)


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
