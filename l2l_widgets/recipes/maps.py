"""Making the map of the embedded generator's faces that is shipped with it.

When the task is built every face is drawn once: its attributes are read, and what the embedder and
the judge see in it is kept for their own maps. Each step then makes one layout, so that a killed
run goes on with the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from l2l_widgets.maps.code_map import CodeMap, Layout
from l2l_widgets.maps.files import MAP_FILE, save_map
from l2l_widgets.models.zoo import PART_FILES, Models
from l2l_widgets.recipes.progress import say
from l2l_widgets.recipes.reading import draw_as_read
from l2l_widgets.recipes.registry import Recipe
from l2l_widgets.training import Context, Settings, TrainingError


@dataclass(frozen=True)
class MapDrawing:
    """What ``l2l train map --set FIELD=VALUE`` may change.

    Parameters
    ----------
    count : int
        Faces on the map, seeds 0 and up.
    truncation_psi : float
        Of all of them.
    neighbours : int
        How many nearest faces are a face's neighbours.
    seeds, feature_seeds : int
        Layouts of W, and of each of what embedder and judge see.
    epochs : int
        Rounds of a layout's optimization.
    thumbnails, side : int
        How many small pictures are kept, and their side in pixels.
    """

    count: int = 10_000
    truncation_psi: float = 0.7
    neighbours: int = 15
    seeds: int = 5
    feature_seeds: int = 3
    epochs: int = 200
    thumbnails: int = 1200
    side: int = 24

    def __post_init__(self) -> None:
        for name, low, high in (
            ("seeds", 1, 50), ("feature_seeds", 0, 50), ("thumbnails", 0, self.count),
            ("side", 8, 64), ("epochs", 1, 5000),
        ):  # fmt: skip
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} is {getattr(self, name)}; allowed: {low} to {high}")

    @property
    def layouts(self) -> list[tuple[str, int]]:
        """Space and seed of each layout, in the order in which they are made."""
        spaces = [("w", self.seeds), ("identity", self.feature_seeds)]
        spaces.append(("attributes", self.feature_seeds))
        return [(space, seed) for space, count in spaces for seed in range(count)]


class _Coordinates(nn.Module):
    """The layouts made so far, as a checkpoint keeps them."""

    coordinates: Tensor
    there: Tensor

    def __init__(self, layouts: int, count: int) -> None:
        super().__init__()
        self.register_buffer("coordinates", torch.zeros(layouts, count, 2))
        self.register_buffer("there", torch.zeros(layouts, dtype=torch.bool))


class MapTask:
    """A map as the training loop sees it.

    Parameters
    ----------
    config : MapDrawing
        What to make.
    models : Models
        Of what.
    """

    def __init__(self, config: MapDrawing, models: Models) -> None:
        self.config = config
        self.map = CodeMap(
            models, config.count, truncation_psi=config.truncation_psi,
            neighbours=config.neighbours,
        )  # fmt: skip
        self.made = _Coordinates(len(config.layouts), config.count)
        spaces = [s for s in ("identity", "attributes") if (s, 0) in config.layouts]
        said = -1

        def progress(text: str, share: float) -> None:
            nonlocal said
            if int(10 * share) > said:
                said = int(10 * share)
                say(text)

        self.map.read(progress, thumbnails=config.thumbnails, side=config.side, spaces=spaces)

    def modules(self) -> dict[str, nn.Module]:
        """Return the layouts made so far."""
        return {"layouts": self.made}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """Return none: umap-learn descends by itself."""
        return {}

    def prepare(self, device: torch.device) -> None:
        """Nothing to move: a layout is computed where umap-learn computes."""

    def batch(self, step: int, generator: torch.Generator) -> Tensor:
        """Return the number of the layout whose turn it is, (1,)."""
        return torch.tensor([step])

    @torch.no_grad()
    def train_step(self, batch: Tensor, step: int, context: Context) -> dict[str, Tensor]:
        """Make one layout and measure how it lies; steps beyond the last have nothing to do."""
        layouts = self.config.layouts
        if step >= len(layouts):
            return {"nothing_to_lay_out": torch.tensor(1.0)}
        self._restore(step)
        made = self.map.lay_out(*layouts[step], epochs=self.config.epochs)
        self.made.coordinates[step] = made.coordinates
        self.made.there[step] = True
        assert made.quality is not None
        return {f"lost_{k}": 1 - v.mean() for k, v in made.quality._asdict().items()}

    def _restore(self, steps: int) -> None:
        """After a resume the map does not know what the checkpoint holds."""
        for i, (space, seed) in enumerate(self.config.layouts[:steps]):
            if (space, seed) not in self.map.layouts and bool(self.made.there[i]):
                coordinates = self.made.coordinates[i].cpu().clone()
                self.map.layouts[space, seed] = Layout(space, seed, coordinates)

    def evaluate(self, step: int) -> dict[str, float]:
        """Return nothing: a layout is measured once."""
        return {}

    def finish(self, directory: Path) -> dict[str, float]:
        """Write the map; return how far its layouts can be believed, each space's first."""
        self._restore(len(self.config.layouts))
        scores: dict[str, float] = {}
        for space, seed in list(self.map.layouts):
            found = self.map.lay_out(space, seed).quality
            if seed == 0 and found is not None:
                for name, values in found._asdict().items():
                    scores[f"{space}_{name}"] = round(float(values.mean()), 4)
        save_map(self.map, directory / MAP_FILE)
        scores["bytes"] = float((directory / MAP_FILE).stat().st_size)
        return scores


def build(config: MapDrawing, weights: Path) -> MapTask:
    """Build the task over the parts in a weights folder, whether they are published or not."""
    from l2l_widgets.perception import load_network
    from l2l_widgets.storage import sha256_file
    from l2l_widgets.stylegan2 import load_generator

    parts: dict[str, Any] = {}
    for name in ("generator", "regressor", "embedder", "attribute_judge"):
        path = weights / PART_FILES[name]
        if not path.is_file():
            raise TrainingError(f"{path} is missing: recipe 'map' needs a trained {name}")
        network = load_generator(path) if name == "generator" else load_network(path)
        parts[name] = network.eval().requires_grad_(False)
    draw_as_read(parts["generator"], [p for name, p in parts.items() if name != "generator"])
    hashes = {"generator": sha256_file(weights / PART_FILES["generator"])}
    models = Models.from_parts(parts.pop("generator"), **parts, name=weights.name, hashes=hashes)
    return MapTask(config, models)


_DEFAULT = MapDrawing()

RECIPES = (
    Recipe(
        name="map",
        summary="the map of 10,000 faces: of W, of who they are and of how they look",
        config=_DEFAULT,
        settings=Settings(
            steps=len(_DEFAULT.layouts), seed=50, checkpoint_every=1, log_every=1, threads=0
        ),
        build=build,
        outputs=(MAP_FILE,),
        depends_on=("generator", "regressor", "embedder", "judge_regressor"),
        kind="map",
    ),
)  # fmt: skip
