"""What every method is measured on: the same faces, the same readers, the same requests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from l2l_widgets.attributes import AttributeTable
from l2l_widgets.evaluation.quick_readers import common_side, prepared
from l2l_widgets.evaluation.report import Protocol
from l2l_widgets.latents import truncate, z_from_seed
from l2l_widgets.models.drawing import request_reader
from l2l_widgets.perception import AttributeNet, resampled

if TYPE_CHECKING:
    from l2l_widgets.evaluation.cells import Cells
    from l2l_widgets.models.zoo import Models

#: (attribute, size of the change, seed) -> pictures (M, 3, R, R) of the same people with less of
#: the attribute and with more of it, or None where nobody can change it.
Truth = Callable[[str, float, int], tuple[Tensor, Tensor] | None]


#: Unedited pictures of all faces are kept up to this size: 1,000 faces of 128 pixels take 200 MB.
KEPT_BYTES = 256 << 20

#: Who reads, in the order of the tables: the judge; a second one of another family, where there is
#: one; the ensemble of the training; and the mean of the judge and the ensemble.
READERS = ("judge", "judge_b", "ensemble", "consensus")


def reader_names(models: Models) -> dict[str, str]:
    """Return what each reader of some models is, for a report; a missing judge is named so."""
    none = "(no second judge at hand)"
    own = models.has("attribute_judge")
    names = {"attribute": "attribute_judge" if own else f"regressor {none}"}
    if models.has("attribute_judge_b"):
        names["attribute_b"] = "attribute_judge_b"
    if models.has("identity_judge"):
        names["identity"] = "identity_judge"
    elif models.has("embedder"):
        names["identity"] = f"embedder {none}"
    return names


def readers_of(models: Models) -> tuple[str, ...]:
    """Return those of :data:`READERS` that some models have."""
    return tuple(r for r in READERS if r != "judge_b" or models.has("attribute_judge_b"))


@dataclass
class Readers:
    """The networks that read pictures: the judges, and the ensemble of the training beside them.

    Parameters
    ----------
    models : Models
        Where they come from.
    judge, ensemble : callable
        Pictures (B, 3, R, R) to readings (B, A).
    judge_b : callable or None
        A second judge, of another family, that trained nothing either.
    identity : callable or None
        Pictures to identity vectors (B, D).
    names : dict
        What each reader is, for the report.
    side : int or None
        At which all of them look; pictures are brought to it once.
    """

    models: Models
    judge: Callable[[Tensor], Tensor]
    ensemble: Callable[[Tensor], Tensor]
    identity: Callable[[Tensor], Tensor] | None
    names: dict[str, str]
    side: int | None = None
    judge_b: Callable[[Tensor], Tensor] | None = None

    @classmethod
    def of(cls, models: Models) -> Readers:
        """Return the readers that these models have; a missing judge is replaced."""
        own = models.has("attribute_judge")
        judge = models.attribute_judge if own else models.regressor
        judge_b = prepared(models.attribute_judge_b) if models.has("attribute_judge_b") else None
        identity = None
        if models.has("identity_judge"):
            identity = models.identity_judge
        elif models.has("embedder"):
            identity = models.embedder
        regressors = [prepared(r) for r in models.regressors or (judge,)]
        judge, identity = prepared(judge), prepared(identity)
        asked = [judge, *regressors, *(r for r in (judge_b, identity) if r is not None)]

        def ensemble(images: Tensor) -> Tensor:
            return torch.stack([r(images).float() for r in regressors]).mean(dim=0)

        names, side = reader_names(models), common_side(asked)
        return cls(models, judge, ensemble, identity, names, side, judge_b)

    def look(
        self, images: Tensor, ensemble: bool = True, features: bool = False
    ) -> dict[str, Tensor]:
        """Return ``judge``, ``judge_b``, ``ensemble`` (B, A) and ``person`` (B, D) of pictures.

        Without ``ensemble`` the first judge alone reads attributes; with ``features`` its own
        (B, F) are there as well, from the same pass, where it is one of the package's networks.

        Raises
        ------
        ValueError
            A reader gives another width than the table has, or numbers that are not finite.
        """
        if self.side is not None:
            images = resampled(images, self.side)
        own: dict[str, Tensor] = {}
        if features and isinstance(self.judge, AttributeNet):
            own["features"] = self.judge.features(images)
            found = {"judge": torch.sigmoid(self.judge.head(own["features"]).float())}
        else:
            found = {"judge": self.judge(images).float()}
        if ensemble:
            if self.judge_b is not None:
                found["judge_b"] = self.judge_b(images).float()
            found["ensemble"] = self.ensemble(images)
        width = len(self.models.table)
        for name, readings in found.items():
            if readings.shape != (len(images), width):
                raise ValueError(
                    f"{name}: readings of {len(images)} pictures have shape "
                    f"{tuple(readings.shape)}; allowed: ({len(images)}, {width})"
                )
        if self.identity is not None:
            found["person"] = person = self.identity(images).float()
            if person.ndim != 2 or len(person) != len(images):
                raise ValueError(
                    f"identity: vectors of {len(images)} pictures have shape "
                    f"{tuple(person.shape)}; allowed: ({len(images)}, D)"
                )
        for name, readings in found.items():
            if not bool(torch.isfinite(readings).all()):
                bad = (~torch.isfinite(readings)).any(dim=0).nonzero()[:, 0].tolist()
                of = ""
                if name != "person" and len(bad) < width:
                    of = f" of {', '.join(repr(self.models.table.names[i]) for i in bad)}"
                raise ValueError(
                    f"{name}: readings{of} hold NaN or infinity; allowed: finite numbers"
                )
        return found | own

    def read(self, ws: Tensor, batch: int) -> dict[str, Tensor]:
        """Return what :meth:`look` says of the pictures of latents, ``batch`` at a time."""
        return _joined(self.look(self.draw(part)) for part in ws.split(batch))

    def look_at(self, images: Tensor, batch: int) -> dict[str, Tensor]:
        """Return what :meth:`look` says of many pictures, ``batch`` at a time.

        They may lie on another device than the models.
        """
        device = self.models.generator.w_avg.device
        return _joined(self.look(part.to(device)) for part in images.split(batch))

    def draw(self, ws: Tensor) -> Tensor:
        """Return the pictures (B, 3, R, R) of latents, without chance in them."""
        return self.models.generator.synthesis(ws, noise_mode="const")


def _joined(parts: Iterable[dict[str, Tensor]]) -> dict[str, Tensor]:
    parts = list(parts)
    return {key: torch.cat([part[key] for part in parts]) for key in parts[0]}


def moved(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return by how much each of :data:`READERS` saw faces change, (N, A) each."""
    found = {key: after[key] - before[key] for key in READERS if key in before}
    found["consensus"] = (found["judge"] + found["ensemble"]) / 2
    return found


@dataclass
class Bench:
    """The faces, what is read of them unedited, and what the world says about identity.

    Parameters
    ----------
    models : Models
        Generator and table.
    readers : Readers
        What reads its pictures.
    ws : Tensor, shape (N, num_ws, w_dim)
        The faces.
    before : dict of str to Tensor
        Readings of the unedited faces, as :meth:`Readers.read` gives them; and ``request``, the
        readings (N, A) that a request carries in a session, where the models have a reader.
    scale : float
        Standard deviation of the latents.
    anchors : dict
        Two ends of the identity scale for each attribute, where the truth is known.
    regions : dict of str to Tensor
        Attribute -> bool (R, R), where its true change moves pixels.
    unedited : Tensor or None, shape (N, 3, R, R)
        The faces' own pictures, where they are kept: every method is compared with them.
    """

    models: Models
    readers: Readers
    ws: Tensor
    before: dict[str, Tensor]
    scale: float
    anchors: dict[str, Any] = field(default_factory=dict)
    regions: dict[str, Tensor] = field(default_factory=dict)
    unedited: Tensor | None = None

    @property
    def kinds(self) -> tuple[str, ...]:
        """Those of :data:`READERS` that read here."""
        return tuple(r for r in READERS if r in self.before or r == "consensus")

    @classmethod
    def of(
        cls, models: Models, protocol: Protocol, heard: Callable[[int], None] = lambda count: None
    ) -> Bench:
        """Draw the faces of a protocol and read them; ``heard`` gets how many more there are."""
        return cls.of_seeds(models, protocol, protocol.face_seeds(), heard)

    @classmethod
    def of_seeds(
        cls,
        models: Models,
        protocol: Protocol,
        seeds: Sequence[int],
        heard: Callable[[int], None] = lambda count: None,
    ) -> Bench:
        """Draw the faces of some seeds, as a protocol draws them, and read them."""
        readers, ws = Readers.of(models), face_latents(models, seeds, protocol.truncation_psi)
        reader, parts = request_reader(models), []
        for part in ws.split(protocol.batch):
            images = readers.draw(part)
            asks = {} if reader is None else {"request": reader(images).float()}
            parts.append({**readers.look(images), **asks})
            heard(len(part))
        before = _joined(parts)
        return cls(models, readers, ws, before, float((ws - models.generator.w_avg).std()))

    def chosen(self, rows: Tensor) -> Bench:
        """Return the bench with some of its faces alone, their pictures not kept."""
        before = {key: value[rows] for key, value in self.before.items()}
        return replace(self, ws=self.ws[rows], before=before, unedited=None)

    def keep_pictures(self, batch: int) -> None:
        """Draw the unedited faces once for all methods, where they take little memory."""
        side = self.models.generator.img_resolution
        if self.unedited is None and len(self.ws) * 3 * side**2 * 4 <= KEPT_BYTES:
            self.unedited = torch.cat([self.readers.draw(part) for part in self.ws.split(batch)])

    def requests(self, name: str, protocol: Protocol) -> Tensor:
        """Return the signed request (N,) of every face for one attribute, NaN without room."""
        column = self.models.table.index(name)
        draw = torch.Generator().manual_seed(protocol.seed * 1000 + column)
        judge, ensemble = self.before["judge"][:, column], self.before["ensemble"][:, column]
        return choose_requests(judge, ensemble, protocol.request, draw)


def kept_bench(models: Models, protocol: Protocol, cells: Cells) -> Bench:
    """Return the bench of a run; its readings are kept, as they take as long as a cell.

    Raises
    ------
    ValueError
        The faces cannot be drawn or read; without them there is nothing to measure.
    """
    bench: list[Bench] = []

    def measure() -> dict[str, Tensor]:
        bench.append(Bench.of(models, protocol))
        return {"ws": bench[0].ws, **bench[0].before}

    kept = cells.get(("faces",), measure)
    if kept is None:
        raise ValueError(cells.failed[-1]["reason"])
    if bench:
        return bench[0]
    device = models.generator.w_avg.device
    kept = {key: value.to(device) for key, value in kept.items()}
    ws = kept.pop("ws")
    scale = float((ws - models.generator.w_avg).std())
    return Bench(models, Readers.of(models), ws, kept, scale)


def face_latents(models: Models, seeds: Sequence[int], truncation_psi: float) -> Tensor:
    """Return the latents (N, num_ws, w_dim) of the faces of some seeds, truncated."""
    generator = models.generator
    z = torch.cat([z_from_seed(s, generator.z_dim) for s in seeds])
    w_avg = generator.w_avg
    w = generator.mapping(z.to(w_avg.device))
    return truncate(w, w_avg, truncation_psi).float()


def choose_requests(
    judge: Tensor, ensemble: Tensor, size: float, generator: torch.Generator
) -> Tensor:
    """Return the signed request of each face, NaN where neither direction has room.

    Parameters
    ----------
    judge, ensemble : Tensor, shape (N,)
        Readings of the attribute by both readers.
    size : float
        Size of the change.
    generator : torch.Generator
        Decides where both directions have room.
    """
    up = torch.maximum(judge, ensemble) + size <= 1
    down = torch.minimum(judge, ensemble) - size >= 0
    coin = (torch.rand(len(judge), generator=generator) < 0.5).to(judge.device)
    rises = up & (~down | coin)
    signed = torch.where(rises, size, -size).to(judge)
    return torch.where(up | down, signed, float("nan"))


def partners(table: AttributeTable, name: str) -> list[int]:
    """Return the columns that a request for ``name`` may change on purpose.

    What a correction changes with it, and what shares its movement.
    """
    own = table[name]
    found = {name, *own.implies, *own.moves_with}
    found |= {a.name for a in table if name in a.implies}
    if own.group is not None:
        found |= set(table.groups()[own.group])
    return [table.index(n) for n in found]
