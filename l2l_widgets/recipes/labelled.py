"""Faces that the training ensemble has labelled: what mapper, directions and flow are fitted to.

One set serves all of them. Its folder is named after what made it, so that whoever comes second
finds it there, and a killed writer goes on where it stopped.
"""

from __future__ import annotations

import functools
import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from l2l_widgets.attributes import DEFAULT_TABLE, AttributeTable
from l2l_widgets.editors.calibration import measure_response, responses
from l2l_widgets.editors.effects import FEWEST, select_ends, why_unfit
from l2l_widgets.latents import faces_at_once, to_wplus
from l2l_widgets.models.zoo import TABLE_FILE
from l2l_widgets.recipes.mapper_calibration import worn_in
from l2l_widgets.recipes.progress import say
from l2l_widgets.recipes.reading import draw_as_read
from l2l_widgets.storage import sha256_file
from l2l_widgets.training import TrainingError
from l2l_widgets.triplets import TripletReader, sample_latents, write_triplets

#: Bytes of pictures that a set may keep; those of a larger one are drawn again when needed.
PICTURES_KEPT = 2**33


@dataclass(frozen=True)
class LabelledFaces:
    """Which faces, labelled by whom.

    Parameters
    ----------
    faces : int
        Labelled faces.
    psi_low, psi_high : float
        Range of their truncation.
    triplets : str
        Their folder; where empty one in the system's temporary folder, named after what made it, so
        that recipes, runs and processes share it.
    data_seed : int
        Seed of the faces.
    ensemble : int
        Regressors that label them; their mean is the score.
    """

    faces: int = 16384
    psi_low: float = 0.6
    psi_high: float = 1.0
    triplets: str = ""
    data_seed: int = 20
    ensemble: int = 2


@dataclass(frozen=True)
class TrunkOnFaces(LabelledFaces):
    """The faces, and the trunk that learns from their pictures.

    Parameters
    ----------
    family, width, features
        Of the trunk, as ``perception`` has them.
    start_from : str
        A file whose trunk it starts from; "" starts from random weights.
    batch_size : int
        Pictures a step.
    """

    family: str = "residual"
    width: int = 24
    features: int = 192
    start_from: str = "regressor.safetensors"
    batch_size: int = 16


@dataclass(frozen=True)
class Labelled(LabelledFaces):
    """The faces, and on how many others gains are measured.

    Parameters
    ----------
    calibration_faces : int
        Other faces, on which each attribute's gain is measured.
    response_faces, response_rounds : int
        As ``editors.calibration.measure_response`` has ``faces`` and ``rounds``.
    sure_faces : float
        Share of the faces on which a full request for a binary attribute must come.
    enough : float
        Share of the largest change that is reached which edits go for at most, see
        ``editors.calibration.GainCurve.fit``.
    symmetric_gain : bool
        One gain curve for rises and falls, so that an edit and its undoing ask for the same step.
    """

    calibration_faces: int = 512
    response_faces: int = 64
    response_rounds: int = 3
    sure_faces: float = 0.9
    enough: float = 0.9
    symmetric_gain: bool = True


class LabelledWorld:
    """The frozen parts, the labelled faces, and how the ensemble reads edited ones.

    Parameters
    ----------
    config : Labelled
        Which faces.
    generator : nn.Module
        G; frozen here.
    regressors : sequence of nn.Module
        H; frozen here.
    table : AttributeTable
        Columns of the readings.
    origin : mapping of str to str
        Part -> hash of its file.
    cache : Path, optional
        As for :func:`open_labelled`.

    Raises
    ------
    TrainingError
        The ensemble is larger than what is there, or reads another number of attributes.
    """

    def __init__(
        self,
        config: Labelled,
        generator: Any,
        regressors: Sequence[Any],
        table: AttributeTable,
        origin: Mapping[str, str],
        cache: Path | None = None,
    ) -> None:
        if not 1 <= config.ensemble <= len(regressors):
            raise TrainingError(
                f"ensemble is {config.ensemble}; allowed: 1 to {len(regressors)}, the regressors "
                "at hand"
            )
        self.config, self.generator, self.table = config, generator, table
        self.regressors = tuple(regressors[: config.ensemble])
        self.origin = dict(origin)
        self.device = torch.device("cpu")
        for part in (generator, *self.regressors):
            part.eval().requires_grad_(False)
        self.codes, self.scores = open_labelled(
            config, generator, self.regressors, table, self.origin, cache
        ).latents()
        if self.scores.shape[1] != len(table):
            raise TrainingError(
                f"the regressors read {self.scores.shape[1]} attributes of a face; allowed: "
                f"{len(table)}, as the table has"
            )
        ends = max(FEWEST, int(0.02 * len(self.scores)))
        #: attribute -> why its scores are nothing to fit to
        self.unfit = {
            name: why
            for name, column in zip(table.names, self.scores.T, strict=True)
            if (why := why_unfit(column, *select_ends(column, ends)[:2]))
        }
        self._before: Tensor | None = None

    @property
    def described(self) -> str:
        """Say which set this is, for an origin."""
        config = self.config
        return (
            f"{len(self.codes)} codes, psi {config.psi_low:g} to {config.psi_high:g}, seed "
            f"{config.data_seed}, scores of {config.ensemble} regressors"
        )

    def to(self, device: torch.device) -> None:
        """Move the frozen parts."""
        self.device = device
        for part in (self.generator, *self.regressors):
            if isinstance(part, nn.Module):
                part.to(device)

    @torch.no_grad()
    def read(self, ws: Tensor) -> Tensor:
        """Return the ensemble's mean readings (B, A) of latents (B, num_ws, w_dim)."""
        return read_in_parts(self.generator, self.regressors, ws.to(self.device))

    def fresh(self, count: int, stream: int) -> Tensor:
        """Return latents (count, num_ws, w_dim) that the labelled set does not hold."""
        config = self.config
        with torch.no_grad():
            w = sample_latents(
                self.generator, count, (config.data_seed, 1 << 30, stream),
                (config.psi_low, config.psi_high),
            )  # fmt: skip
        return to_wplus(w.float(), self.generator.num_ws).to(self.device)

    def calibrate(self, network: Any, column: int, with_current: bool = False) -> float:
        """Fit one attribute's gain curve in place, by the training ensemble.

        Parameters
        ----------
        network : nn.Module
            ``network(w, knobs)`` edits, ``network.gain`` is its curve.
        column : int
            The attribute.
        with_current : bool
            Whether the network is given the faces' readings too.

        Returns
        -------
        float
            The largest median change that was reached, in attribute units.
        """
        config = self.config
        faces = self.fresh(max(config.calibration_faces, 16), stream=3)
        if self._before is None:
            self._before = torch.cat([self.read(part) for part in faces.split(64)])
        measure = functools.partial(
            measure_response, network, self.read, faces, self._before,
            faces=config.response_faces, rounds=config.response_rounds, with_current=with_current,
        )  # fmt: skip
        reached = 0.0
        for found in responses(
            measure, column, symmetric=config.symmetric_gain,
            worn=worn_in(self.scores, column, self.table), sure_faces=config.sure_faces,
        ):  # fmt: skip
            found.fit(network.gain, enough=config.enough)
            found.raise_top(network.gain, config.enough)
            reached = max([reached, *found.typical[1].tolist()])
        return reached


def open_labelled(
    config: Any,
    generator: Any,
    regressors: Sequence[Any],
    table: AttributeTable,
    origin: Mapping[str, str],
    cache: Path | None = None,
) -> TripletReader:
    """Label faces, or find them labelled.

    Parameters
    ----------
    config : dataclass
        With ``faces``, ``psi_low``, ``psi_high``, ``triplets``, ``data_seed`` and ``ensemble`` as
        in :class:`Labelled`.
    generator, regressors, table
        As in :class:`LabelledWorld`.
    origin : mapping of str to str
        Part -> hash; they name the set, the embedder excepted, which labels nothing.
    cache : Path, optional
        Folder for the set's folder; the system's temporary folder if not given. There, sets of
        different sizes are one, and the smaller is the beginning of the larger.
    """
    models = {k: v for k, v in origin.items() if k != "embedder"}
    made_by = {
        **models,
        **({"faces": config.faces} if cache is None else {}),
        "psi": [config.psi_low, config.psi_high],
        "seed": config.data_seed,
        "ensemble": config.ensemble,
    }
    name = hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()[:16]
    place = cache or Path(tempfile.gettempdir())
    folder = Path(config.triplets or place / f"l2l-triplets-{name}")
    size = 3 * generator.img_resolution**2
    pictures = config.faces * size <= PICTURES_KEPT
    if cache is not None:  # whoever comes first may want few, and whoever comes last many
        pictures = size <= 3 * 64**2
    device = next(generator.parameters()).device

    def ensemble(images: Tensor) -> Tensor:
        return torch.stack([r(images).float() for r in regressors]).mean(dim=0)

    def draw(ws: Tensor) -> Tensor:
        device = next(generator.parameters()).device
        with torch.autocast(device.type, torch.bfloat16):
            parts = ws.to(device).split(faces_at_once(generator))
            return torch.cat([generator.synthesis(p, noise_mode="const") for p in parts])

    with torch.autocast(device.type, torch.bfloat16):
        write_triplets(
            folder, generator, ensemble, config.faces, config.data_seed, attributes=table.names,
            psi=(config.psi_low, config.psi_high), batch=faces_at_once(generator),
            pictures=pictures, origin=models, named_after_origin=not config.triplets,
            progress=_say_progress,
        )  # fmt: skip
    return TripletReader(folder, config.faces, draw)


@torch.no_grad()
def read_in_parts(generator: Any, regressors: Sequence[Any], ws: Tensor) -> Tensor:
    """The mean readings (B, A) of latents (B, num_ws, w_dim), of no more faces at once than fit."""
    read = []
    with torch.autocast(ws.device.type, torch.bfloat16):
        for part in ws.split(faces_at_once(generator)):
            images = generator.synthesis(part, noise_mode="const")
            read.append(torch.stack([r(images).float() for r in regressors]).mean(dim=0))
    return torch.cat(read)


def _say_progress(done: int, total: int) -> None:
    say(f"triplets: {done} of {total}")


def faces_folder(weights: Path) -> Path | None:
    """Where a world's labelled faces lie: in it, if ``l2l world`` made it; else None."""
    return weights / "faces" if (weights / "judge_regressor.toml").is_file() else None


def load_parts(
    weights: Path, ensemble: int, what: str, others: tuple[str, ...] = ()
) -> tuple[Any, list[Any], dict[str, str]]:
    """Return generator, networks and their hashes from a weights folder.

    The networks are the regressors, and after them the ``others``, by name. The generator draws no
    larger than they all look.

    Raises
    ------
    TrainingError
        A file is missing; ``what`` says who needs it.
    """
    from l2l_widgets.perception import load_network
    from l2l_widgets.stylegan2 import load_generator

    regressors = ("regressor", "regressor_b")[: 2 if ensemble > 1 else 1]
    names = ("generator", *regressors, *others)
    paths = {name: weights / f"{name}.safetensors" for name in names}
    for name, path in paths.items():
        if not path.is_file():
            raise TrainingError(f"{path} is missing: {what} needs a trained {name}")
    networks = [load_network(paths[name]) for name in names[1:]]
    hashes = {name: sha256_file(path) for name, path in paths.items()}
    generator = load_generator(paths["generator"])
    draw_as_read(generator, networks)
    return generator, networks, hashes


def world_table(weights: Path) -> AttributeTable:
    """Return what the readings of a weights folder mean: its own table, or the embedded world's.

    Raises
    ------
    TrainingError
        Its ``attributes.json`` is no attribute table.
    """
    path = weights / TABLE_FILE
    if not path.is_file():
        return DEFAULT_TABLE
    try:
        return AttributeTable.from_json(path.read_text(encoding="utf-8"))
    except (ValueError, TypeError, KeyError) as error:
        raise TrainingError(f"{path} is no attribute table ({error})") from None
