"""Latent to Latent: a learned mapper f(w, delta) -> w' (Khodadadeh et al., WACV 2022).

One forward pass through a small tanh network changes any set of attributes, where linear methods
walk along one fixed direction each. From the paper: fully connected layers of the input's size, 1
to 4 of them, tanh (ReLU loses information), delta as the input, f alone trained. The paper leaves
open how the rows of W+ share weights, hence the switch ``topology``.

Ours, each measured against its absence before it became the default: the output is residual; a
linear term ``delta @ D`` starts at directions found in closed form (``editors/directions.py``); the
latent is divided by one global scale, never whitened; a gain curve fitted after the training makes
a request of 0.3 mean 0.3. Not an edit's fault is what its own movement takes along: a smile has no
target for happiness (``correction.held_columns``; `l2l train mapper-variant` measures it among the
other choices). And one structure, ``null="symmetric"``:

    r(m, d) = d D + scale / 2 * (net(m, d) - net(m, -d))        odd in d, so 0 stays 0
    f(w, d) = w + r(w + r(w, d) / 2, d)                         evaluated half way

An edit and its undoing then pass the same half-way point with opposite signs: a null edit is exact
and the cycle error is small before anything is trained. It is smaller still where the half-way
point is looked for again (``halfways`` above 1): it solves m = w + r(m, d) / 2, the implicit
midpoint rule, and where that is solved exactly an edit is undone exactly. ``anchored`` gives only
the exact null edit, ``learned`` leaves both to the losses, as in the paper.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from l2l_widgets.attributes import AttributeTable, EditRequest
from l2l_widgets.editors.calibration import GainCurve
from l2l_widgets.editors.correction import RULES, TargetCorrection
from l2l_widgets.editors.folded_mapper import FoldedMapper, hidden_difference
from l2l_widgets.editors.origins import Origin
from l2l_widgets.editors.stored_editor import EditorFile, StoredEditor
from l2l_widgets.latents import layer_groups

TOPOLOGIES = ("shared", "grouped", "per-style", "flat")
OUTPUTS = ("residual", "linear")
NULLS = ("symmetric", "anchored", "learned")
#: Field -> smallest and largest number, both allowed.
COUNTS = {"layers": (1, 4), "halfways": (1, 4)}
#: The paper's, and the one against which it argues; others would be other methods.
ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU}

#: What the network sees of a change: a few attribute units fill tanh's range.
DELTA_SCALE = 2.0


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"mapper {name} is {value!r}; allowed: {', '.join(allowed)}")


@dataclass(frozen=True)
class MapperConfig:
    """What rebuilds a mapper.

    Parameters
    ----------
    num_ws, w_dim : int
        Shape of W+.
    attributes : int
        A, length of the change vector.
    topology : {"flat", "shared", "grouped", "per-style"}
        One network on the flattened latent; one on every row; one for each of coarse, middle and
        fine rows; one for each row.
    layers : int
        Hidden layers, 1 to 4.
    hidden_dim : int or None
        Their width; the size of the latent that enters, as in the paper, where None.
    output : {"residual", "linear"}
        ``w`` plus the network's output, or the output alone.
    linear : bool
        Whether a linear term ``delta @ D`` is added (residual output only).
    null : {"symmetric", "anchored", "learned"}
        How f(w, 0) = w is ensured; see the module's first lines.
    correction : {"threshold", "nearest", "plausible", "none"}
        How a target is corrected (``editors/correction.py``).
    threshold : float
        From which value on an attribute counts as present.
    editable : tuple of str
        Names that the training changed; all where empty.
    activation : {"tanh", "relu"}
        Between the layers; tanh is the paper's.
    halfways : int
        With ``null`` "symmetric", how often the half-way point is looked for, from 1.
    """

    num_ws: int
    w_dim: int
    attributes: int
    topology: str = "flat"
    layers: int = 2
    hidden_dim: int | None = None
    output: str = "residual"
    linear: bool = True
    null: str = "symmetric"
    correction: str = "threshold"
    threshold: float = 0.5
    editable: tuple[str, ...] = ()
    activation: str = "tanh"
    halfways: int = 1

    def __post_init__(self) -> None:
        _one_of("topology", self.topology, TOPOLOGIES)
        _one_of("output", self.output, OUTPUTS)
        _one_of("null", self.null, NULLS)
        _one_of("correction", self.correction, RULES)
        _one_of("activation", self.activation, tuple(ACTIVATIONS))
        for name, (least, most) in COUNTS.items():
            if getattr(self, name) not in range(least, most + 1):
                raise ValueError(
                    f"mapper {name} is {getattr(self, name)!r}; allowed: {least} to {most}"
                )
        for name in ("num_ws", "w_dim", "attributes", "hidden_dim"):
            value = getattr(self, name)
            if not (value is None and name == "hidden_dim") and value < 1:
                raise ValueError(f"mapper {name} is {value!r}; allowed: at least 1")
        if self.output == "linear" and (self.null != "learned" or self.linear):
            raise ValueError(
                "mapper output 'linear' has no exact null edit and no linear term; "
                "allowed with it: null='learned', linear=False"
            )

    @classmethod
    def from_dict(cls, values: dict[str, object]) -> MapperConfig:
        """Build from saved values; an unknown key is refused with the known ones."""
        known = [f.name for f in fields(cls)]
        for key in values:
            if key not in known:
                raise ValueError(f"mapper config: unknown key {key!r}; known: {', '.join(known)}")
        values = {**values, "editable": tuple(values.get("editable", ()))}  # type: ignore[arg-type]
        return cls(**values)  # type: ignore[arg-type]


def _mlp(inputs: int, hidden: int, outputs: int, layers: int, activation: str) -> nn.Sequential:
    parts: list[nn.Module] = []
    for i in range(layers):
        parts += [nn.Linear(inputs if i == 0 else hidden, hidden), ACTIVATIONS[activation]()]
    last = nn.Linear(hidden, outputs)
    # starts near the linear term alone; not at 0, or the hidden layers would get no gradient
    with torch.no_grad():
        last.weight.mul_(0.1)
        last.bias.zero_()
    return nn.Sequential(*parts, last)


class StackedLinear(nn.Module):
    """N linear layers side by side: (N, B, in) to (N, B, out) in one batched product."""

    def __init__(self, count: int, inputs: int, outputs: int, gain: float = 1.0) -> None:
        super().__init__()
        bound = gain / inputs**0.5
        self.weight = nn.Parameter(torch.empty(count, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(count, 1, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Map x (N, B, in) to (N, B, out)."""
        return torch.baddbmm(self.bias, x, self.weight)


def _push(net: nn.Module, seen: Tensor) -> Tensor:
    """Return what a change ``seen`` (B, A) adds behind the first layer of a network."""
    assert isinstance(net, nn.Sequential)
    first, size = net[0], seen.shape[1]
    if isinstance(first, StackedLinear):
        return torch.matmul(seen, first.weight[:, -size:])  # (num_ws, B, width)
    assert isinstance(first, nn.Linear)
    return nn.functional.linear(seen, first.weight[:, -size:])


def _apart(net: nn.Module, joined: Tensor, push: Tensor, back: float) -> Tensor:
    """Return net(m, d) - net(m, d - back d): both at half the cost of running it twice.

    They share what the first layer makes of m, and the last layer is linear in their difference.

    Parameters
    ----------
    net : nn.Sequential
        Of linear layers and activations.
    joined : Tensor
        m and d side by side, as the first layer takes them.
    push : Tensor
        What :func:`_push` returns for d.
    back : float
        2 for -d, 1 for no change.
    """
    assert isinstance(net, nn.Sequential)
    last, there = net[-1], net[0](joined)
    push = push[:, None] if push.ndim < there.ndim else push
    apart = hidden_difference(net, there, push, back)
    if isinstance(last, StackedLinear):
        return torch.bmm(apart, last.weight)
    assert isinstance(last, nn.Linear)
    return nn.functional.linear(apart, last.weight)


class MapperNetwork(nn.Module):
    """f(w, delta): the trained part of the method.

    Parameters
    ----------
    config : MapperConfig
        Shape and structure.
    center : Tensor, shape (w_dim,)
        Mean of the latent population.
    scale : float
        Its one global standard deviation.
    directions : Tensor, shape (A, w_dim), optional
        Where the linear term starts, in latent units per attribute unit; 0 where not given.
    """

    center: Tensor
    scale: Tensor

    def __init__(
        self,
        config: MapperConfig,
        center: Tensor | None = None,
        scale: float = 1.0,
        directions: Tensor | None = None,
    ) -> None:
        super().__init__()
        if not scale > 0:
            raise ValueError(f"mapper scale is {scale!r}; allowed: above 0")
        self.config = c = config
        self.register_buffer("center", torch.zeros(c.w_dim) if center is None else center.clone())
        self.register_buffer("scale", torch.tensor(float(scale)))
        self.gain = GainCurve(c.attributes)
        if c.topology == "flat":
            size = c.num_ws * c.w_dim
            self.nets = nn.ModuleList([self._network(size)])
        elif c.topology == "per-style":
            width, sizes = c.hidden_dim or c.w_dim, []
            for i in range(c.layers):
                inputs = c.w_dim + c.attributes if i == 0 else width
                sizes += [StackedLinear(c.num_ws, inputs, width), ACTIVATIONS[c.activation]()]
            last = StackedLinear(c.num_ws, width, c.w_dim, gain=0.1)
            self.nets = nn.ModuleList([nn.Sequential(*sizes, last)])
        else:
            self.nets = nn.ModuleList([self._network(c.w_dim) for _ in self.seen_rows()])
        if c.linear:
            rows = 1 if c.topology == "shared" else c.num_ws
            start = torch.zeros(c.attributes, c.w_dim) if directions is None else directions
            if start.shape != (c.attributes, c.w_dim):
                raise ValueError(
                    f"directions have shape {tuple(start.shape)}; allowed: "
                    f"{(c.attributes, c.w_dim)}"
                )
            # in units of scale, so that one learning rate suits both terms
            start = start.to(torch.float32)[:, None].expand(-1, rows, -1) / float(scale)
            self.linear = nn.Parameter(start.contiguous().clone())  # (A, rows, w_dim)

    def _network(self, size: int) -> nn.Sequential:
        c = self.config
        return _mlp(size + c.attributes, c.hidden_dim or size, size, c.layers, c.activation)

    def seen_rows(self) -> list[slice]:
        """Return the rows of W+ that each network of ``nets`` sees."""
        if self.config.topology != "grouped":
            return [slice(0, self.config.num_ws)]
        groups = layer_groups(self.config.num_ws).values()
        return [g for g in groups if len(range(self.config.num_ws)[g])]

    def seen(self, delta: Tensor) -> Tensor:
        """Return changes (B, A) as the networks see them."""
        return delta * DELTA_SCALE

    def straight(self, delta: Tensor) -> Tensor | float:
        """Return the linear term of a step, (B, num_ws or 1, w_dim), in units of the scale."""
        return torch.tensordot(delta, self.linear, dims=1) if self.config.linear else 0.0

    def net(self, x: Tensor, delta: Tensor) -> Tensor:
        """Run the networks.

        Parameters
        ----------
        x : Tensor, shape (B, num_ws, w_dim)
            Centred latents divided by the global scale.
        delta : Tensor, shape (B, A)
            Changes as the network sees them.
        """
        return self._through(x, delta, self.nets)

    def _through(
        self, x: Tensor, delta: Tensor, runs: Iterable[Callable[[Tensor], Tensor]]
    ) -> Tensor:
        c = self.config
        if c.topology == "flat":
            (run,) = runs
            return run(torch.cat([x.flatten(1), delta], dim=1)).view_as(x)
        # (B, num_ws, w_dim + A)
        joined = torch.cat([x, delta[:, None].expand(-1, c.num_ws, -1)], dim=2)
        if c.topology == "per-style":
            (run,) = runs
            return run(joined.transpose(0, 1)).transpose(0, 1)
        groups = zip(runs, self.seen_rows(), strict=True)
        return torch.cat([run(joined[:, g]) for run, g in groups], dim=1)

    def _steps(self, delta: Tensor) -> Callable[[Tensor], Tensor]:
        """Return what gives the step (B, num_ws, w_dim) at scaled latents, in units of the scale.

        What is the same at every latent is computed once.
        """
        seen, straight, null = self.seen(delta), self.straight(delta), self.config.null
        if null == "learned":
            return lambda x: self.net(x, seen) + straight
        back = 2.0 if null == "symmetric" else 1.0
        runs = [partial(_apart, net, push=_push(net, seen), back=back) for net in self.nets]
        return lambda x: self._through(x, seen, runs) / back + straight

    def forward(self, w: Tensor, delta: Tensor) -> Tensor:
        """Edit latents.

        Parameters
        ----------
        w : Tensor, shape (B, num_ws, w_dim)
            Latents, float32.
        delta : Tensor, shape (B, A)
            Knob values: corrected changes a_c' - a, before any gain.

        Returns
        -------
        Tensor, shape (B, num_ws, w_dim)
        """
        x, step = (w - self.center) / self.scale, self._steps(delta)
        if self.config.output == "linear":
            return self.center + self.scale * step(x)
        place = x
        if self.config.null == "symmetric":
            for look in range(self.config.halfways):
                found = x + 0.5 * step(place)
                # where steps are steep, looks swing to and fro: later ones meet in the middle
                place = found if look == 0 else place.lerp(found, 0.5)
        return w + self.scale * step(place)


class MapperEditor(StoredEditor):
    """The learned mapper behind the editor interface.

    Parameters
    ----------
    network : MapperNetwork
        Trained; it is set to evaluation mode and frozen.
    table : AttributeTable
        Names of the A columns.
    correction : TargetCorrection, optional
        By default the rule that the network's config names.
    provenance : dict of str to str, optional
        What the weights file says about its origin: generator hash, recipe, seed.
    """

    name = "mapper"
    space = "w+"
    no_promise = (
        "keeps every attribute that is not changed and takes no list; allowed: an empty list"
    )

    def __init__(
        self,
        network: MapperNetwork,
        table: AttributeTable,
        correction: TargetCorrection | None = None,
        provenance: dict[str, str] | None = None,
    ) -> None:
        if network.config.attributes != len(table):
            raise ValueError(
                f"the mapper was built for {network.config.attributes} attributes; the table "
                f"has {len(table)}"
            )
        for name in network.config.editable:
            table.index(name)
        if correction is None:
            correction = TargetCorrection(
                table, network.config.correction, network.config.threshold
            )
        config, provenance = network.config, dict(provenance or {})
        super().__init__(
            table, config.editable or table.names, (config.num_ws, config.w_dim),
            Origin(provenance.get("generator", ""), "w+", "triplets"), provenance=provenance,
        )  # fmt: skip
        self.network, self.correction = network.eval().requires_grad_(False), correction
        self._run = FoldedMapper(network) if config.null == "symmetric" else network

    def reach(self, name: str) -> tuple[float, float]:
        """Return how far an attribute can be asked down and up before nothing more comes.

        Two sizes in attribute units, in [0, 1]; ValueError on an unknown name.
        """
        return self.network.gain.reach(self.table.index(name))

    def knobs(self, count: int, request: EditRequest) -> Tensor:
        """Return the (count, A) knob values that a request means, gain included.

        The target is corrected where the request carries current readings; without them nobody
        knows which attribute is present. What is out of reach is taken off before: an emotion that
        this mapper can hardly bring must not send the others away as if it came.
        """
        delta = self.network.gain.within_reach(request.deltas(self.table))
        if request.current is not None:
            delta = self.correction(request.current, delta)
        delta = delta.to(self.network.center).expand(count, -1)
        return self.network.gain(delta)

    def move(self, w: Tensor, delta: Tensor, request: EditRequest) -> Tensor:
        """Run the network once, for the corrected change."""
        moved = self._run(w.to(self.network.center.dtype), self.knobs(w.shape[0], request))
        return moved.to(w.dtype)

    def to(self, device: torch.device | str) -> MapperEditor:
        """Move the weights to a device; returns the editor itself."""
        self.network.to(device)
        return self

    def save(self, path: str | Path, half: bool = False) -> None:
        """Write weights, gains, table and config to one safetensors file, atomically.

        With ``half`` the layers' matrices are rounded to float16 (relative error 5e-4), which
        halves the file; what is read back computes in float32 all the same.
        """
        tensors = self.network.state_dict()
        if half:
            large = {k for k in tensors if k == "linear" or k.endswith("weight")}
            tensors = {k: v.half() if k in large else v for k, v in tensors.items()}
        if self.correction.population is not None:
            tensors["correction.population"] = self.correction.population
        self.write(path, tensors, asdict(self.network.config))

    @classmethod
    def from_file(cls, file: EditorFile) -> MapperEditor:
        """Rebuild the editor from what :meth:`save` wrote."""
        config = MapperConfig.from_dict(file.config)
        population = file.tensors.pop("correction.population", None)
        network = MapperNetwork(config, scale=float(file.tensors["scale"]))
        network.load_state_dict(file.tensors)
        correction = TargetCorrection(file.table, config.correction, config.threshold, population)
        return cls(network, file.table, correction, file.provenance)
