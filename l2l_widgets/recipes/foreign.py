"""A generator of your own, from file to editors: what is trained, and what that will take.

``l2l train mapper --generator X --judge Y`` makes a world of generator and judges
(`models.own.write_world`), samples and labels faces, trains networks that imitate the judges, then
the editor, and measures it. Everything lies in the world's folder, so that the same command goes on
where it was stopped::

    generator.safetensors, judge_*.toml, MANIFEST.json ...   the world, as ``load`` opens it
    source.json       which generator and judges it was made of
    faces/            labelled faces in shards, kept for whoever trains next
    runs/             one folder a training
    reports/          one folder an evaluation (``l2l verify`` re-measures its rows)
    REPORT.md         how good the editors are

What disk, memory and time it will take is found out by drawing a few faces, before any is taken.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch

from l2l_widgets.judges import Judge
from l2l_widgets.latents import face_bytes, faces_at_once, to_wplus
from l2l_widgets.models.zoo import Models
from l2l_widgets.perception import AttributeNet
from l2l_widgets.recipes.imitation import EDITORS, IMITATIONS, recipes_of_world
from l2l_widgets.recipes.registry import Recipe, RecipeError, in_order
from l2l_widgets.storage import available_memory, write_atomic
from l2l_widgets.triplets import sample_latents

__all__ = ["FACES", "Foreseen", "chosen_recipes", "claim_world", "foresee"]

#: Sampled latents of a foreign generator, as in the paper (Khodadadeh et al. 2022, section 4).
FACES = 400_000
SOURCE = "source.json"
GB = 2**30
#: What Python, torch and the readers take beside everything that is counted.
BASE = 700 * 2**20


def chosen_recipes(
    name: str, has_identity: bool, faces: int, changes: Mapping[str, str]
) -> dict[str, Recipe]:
    """What must be trained for one editor, or for all of them, in order.

    Parameters
    ----------
    name : str
        An editor, or "own" for all.
    has_identity : bool
        Whether there is an identity judge; the mapper's losses need one.
    faces : int
        Sampled latents that the mapper is trained on; no other stage takes more.
    changes : mapping of str to str
        ``FIELD`` of the named recipe, or ``RECIPE.FIELD`` of any stage, to a value as text.

    Raises
    ------
    RecipeError
        Another name, a field that does not exist, or no identity judge where one is needed.
    """
    recipes = recipes_of_world(has_identity)
    if name != "own" and name not in recipes:
        if name in EDITORS:
            raise RecipeError(
                f"{name} needs an identity judge beside the attribute judge, or it would not keep "
                "the person: give a second --judge of kind 'identity'. Without one there are: "
                f"{', '.join(n for n in EDITORS if n in recipes)}"
            )
        raise RecipeError(f"NAME is {name!r}; allowed with --generator: own, {', '.join(EDITORS)}")
    if name in IMITATIONS or name == "generator":
        raise RecipeError(f"NAME is {name!r}; allowed with --generator: own, {', '.join(EDITORS)}")
    wanted = set(recipes) if name == "own" else {name}
    for known in reversed(in_order(recipes)):
        if known in wanted:
            wanted |= set(recipes[known].depends_on)
    chosen = {key: recipe for key, recipe in recipes.items() if key in wanted}
    for key, recipe in chosen.items():
        if key != "generator" and hasattr(recipe.config, "faces"):
            most = faces if key == "mapper" else min(faces, recipe.config.faces)
            least = 64 if key in IMITATIONS else 1
            chosen[key] = recipe.replace(faces=max(most, least))
    for field, value in changes.items():
        stage, dot, rest = field.partition(".")
        stage, rest = (stage, rest) if dot else (name, field)
        if stage not in chosen or stage == "generator":
            known = ", ".join(key for key in chosen if key != "generator")
            raise RecipeError(f"--set {field}: no stage is named {stage!r}; there are: {known}")
        chosen[stage] = chosen[stage].replace(**{rest: value})
    return chosen


@dataclass(frozen=True)
class Foreseen:
    """What a pipeline will take, from a few faces drawn here and now.

    Parameters
    ----------
    disk_bytes : int
        Of labelled faces, networks and checkpoints.
    memory_bytes : int
        Of the stage that takes most.
    seconds : dict of str to float
        Stage -> about how long, on this machine as busy as it is.
    pictures_kept : bool
        Whether the labelled faces' pictures are kept, or drawn again in training.
    faces : int
        Sampled latents.
    """

    disk_bytes: int
    memory_bytes: int
    seconds: dict[str, float]
    pictures_kept: bool
    faces: int

    def text(self) -> str:
        """Say it in a few lines."""
        stages = ", ".join(f"{name} {_duration(s)}" for name, s in self.seconds.items() if s >= 1)
        how = (
            "with pictures" if self.pictures_kept else "latents and readings; pictures are redrawn"
        )
        return (
            f"disk   about {self.disk_bytes / GB:.2f} GB ({self.faces} labelled faces, {how})\n"
            f"memory about {self.memory_bytes / GB:.2f} GB\n"
            f"time   about {_duration(sum(self.seconds.values()))} on this machine as it is now "
            f"({stages})"
        )

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        return asdict(self)

    def refuse_what_does_not_fit(self, folder: Path, on_gpu: bool) -> None:
        """Raise RecipeError where disk or memory are too small; nothing was taken yet."""
        place = folder
        while not place.is_dir():
            place = place.parent
        here = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
        free = shutil.disk_usage(place).free
        if self.disk_bytes - here > free:
            raise RecipeError(
                f"{folder}: about {self.disk_bytes / GB:.1f} GB are needed, the disk has "
                f"{free / GB:.1f} GB free; allowed: fewer --faces, or --weights on another disk"
            )
        memory = available_memory()
        if memory is not None and not on_gpu and self.memory_bytes > memory:
            raise RecipeError(
                f"about {self.memory_bytes / GB:.1f} GB of memory are needed, {memory / GB:.1f} GB "
                "are free; allowed: a smaller --set batch_size=N, or fewer --faces"
            )


def foresee(recipes: Mapping[str, Recipe], models: Models, judges: Iterable[Judge]) -> Foreseen:
    """Draw a few faces, have them judged and differentiated, and work out what all will take."""
    generator = models.generator
    side, rows = generator.img_resolution, generator.num_ws
    by_kind = {judge.declaration.kind: judge for judge in judges}
    few = max(1, min(4, 2**18 // side**2))
    with torch.no_grad():
        ws = to_wplus(sample_latents(generator, few, (1, 2), (0.7, 0.7)), rows)
        images = generator.synthesis(ws, noise_mode="const").float()
        draw = _seconds(lambda: generator.synthesis(ws, noise_mode="const")) / few
        judged = {k: _seconds(partial(j, images)) / few for k, j in by_kind.items()}
        net = AttributeNet(("a",), "residual", width=24, features=192).eval()
        small = torch.nn.functional.interpolate(images, (64, 64)).repeat(4, 1, 1, 1)
        read = _seconds(lambda: net(small)) / len(small)
    gradient, saved = _one_gradient(generator, ws)
    seconds: dict[str, float] = {}
    # faces that are drawn to be labelled, read or measured
    together = faces_at_once(generator) * face_bytes(generator)
    disk, memory, most_faces = 0.0, float(BASE + together), 0
    columns = len(models.table)
    pictures = 3 * side**2 <= 3 * 64**2
    weights = 4 * sum(p.numel() for p in cast(torch.nn.Module, generator).parameters())
    for name, recipe in recipes.items():
        if name == "generator":
            disk += weights
            continue
        config, steps = recipe.config, recipe.settings.steps
        faces = int(getattr(config, "faces", 0))
        seconds[name] = 0.0
        if name in IMITATIONS:
            kind = config.kind
            seconds[name] += steps * config.batch_size * 3 * read
            if name != "regressor_b":  # shares the first one's labels
                seconds[name] += faces * (draw + judged.get(kind, 0.0))
                disk += faces * (3 * 64**2 + 4 * 64)
            memory = max(memory, BASE + weights + together + 2 * faces * 3 * 64**2)
            continue
        if faces > most_faces:  # the smaller set is the beginning of the larger
            seconds[name] += (faces - most_faces) * (draw + 2 * read)
            most_faces = faces
        if name == "mapper":
            redraw = 0.0 if pictures else draw
            seconds[name] += steps * config.batch_size * (gradient + 4 * read + redraw)
            if config.calibration_faces > 0:  # some ten knob values an attribute, then the aims
                drawn = config.calibration_faces + columns * 10 * 64 + 16 * 256
                seconds[name] += drawn * (draw + 2 * read)
            batch = config.batch_size * saved * 1.3
            held = BASE + 2 * weights + faces * 8 * generator.w_dim
            memory = max(memory, held + max(batch, together))
        else:
            probes = int(getattr(config, "response_faces", 16)) * 24
            seconds[name] += columns * probes * (draw + 2 * read)
    disk += most_faces * (4 * generator.w_dim + 4 * columns + (3 * side**2 if pictures else 0))
    return Foreseen(
        int(disk + 2**26), int(memory), {k: round(v, 1) for k, v in seconds.items()}, pictures,
        most_faces,
    )  # fmt: skip


def _seconds(call: Callable[[], Any]) -> float:
    call()  # warm
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _one_gradient(generator: Any, ws: torch.Tensor) -> tuple[float, float]:
    """Seconds of one face with its gradient, and the bytes that it keeps until then."""
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    ws = ws[:1].clone().requires_grad_(True)
    start = time.perf_counter()
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        generator.synthesis(ws, noise_mode="const").square().mean().backward()
    taken = time.perf_counter() - start
    for parameter in generator.parameters():
        kept.pop(parameter.data_ptr(), None)
    return taken, float(sum(kept.values()))


def _duration(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def claim_world(folder: Path, source: Mapping[str, Any]) -> None:
    """Write which generator and judges a world's folder is for, or refuse one of others.

    Raises
    ------
    RecipeError
        The folder was made of something else: its trained files would be lost.
    """
    path = folder / SOURCE
    if path.is_file():
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            found = None
        for key, value in source.items():
            if not isinstance(found, dict) or found.get(key) != value:
                also = ", or for another class of it" if key == "generator" else ""
                raise RecipeError(
                    f"{folder} was made of another {key}{also}; allowed: the same one, or another "
                    "folder with --weights"
                )
        return
    if folder.is_dir() and os.listdir(folder):
        raise RecipeError(
            f"{folder} is there and holds something else ({sorted(os.listdir(folder))[0]}); "
            "allowed: a new folder with --weights"
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(path, (json.dumps(dict(source), indent=1) + "\n").encode())
