"""StyleFlow: a conditional continuous normalising flow on W.

Abdal, Zhu, Mitra and Wonka, "StyleFlow: Attribute-conditioned Exploration of StyleGAN-Generated
Images using Conditional Continuous Normalizing Flows", ACM TOG 2021 (arXiv 2008.02401, sections
4.2 and 5), and the authors' code (RameenAbdal/StyleFlow). A flow carries w, under the face's
attributes, to a normal prior; carried back under other attributes, it is the edited w.

As in that code: five hidden layers as wide as w, each gated and shifted by time and attributes
(ConcatSquash), tanh between; a moving batch norm before and after; end time trained; dopri5 with
tolerances of 1e-5 and the adjoint; one CNF block in the released model, four in the paper. A
released network of 512 numbers and 17 attributes has 1,691,649 parameters, and so has this one.

Its three devices: the face is encoded with *all* attributes at once (joint reverse encoding), is
decoded with the target (conditional forward editing), and only some rows of W+ take the result
(edit specific subset selection). :data:`PUBLISHED_ROWS` are the authors' rows; where one row
belongs to several attributes it is decoded with all their targets. The next edit encodes the edited
face anew with its readings then.

Other than there: attributes are divided by their population's spread (there raw, in degrees and
years), and editing uses fixed Runge-Kutta steps, so that a face comes out the same alone and in a
batch (dopri5 chooses its steps for the whole batch).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from l2l_widgets.attributes import AttributeTable, EditRequest
from l2l_widgets.editors.calibration import GainCurve
from l2l_widgets.editors.linear_steps import EditorFile, requested_change, write_editor
from l2l_widgets.editors.origins import Origin

#: Rows [start, end) of W+ that the authors' code changes; "expression" there is our ``smile``.
PUBLISHED_ROWS = {
    "gender": (0, 8), "glasses": (2, 4), "yaw": (0, 4), "pitch": (0, 4), "baldness": (0, 6),
    "beard": (5, 10), "age": (4, 8), "smile": (4, 6),
}  # fmt: skip


@dataclass(frozen=True)
class FlowConfig:
    """What rebuilds a flow.

    Parameters
    ----------
    w_dim, attributes : int
        Numbers in a code and in its condition.
    num_ws : int
        Rows of W+.
    blocks : int
        CNF blocks: 1 released, 4 in the paper.
    hidden_dim : int
        Width of the hidden layers; that of w where 0.
    hidden_layers : int
        How many.
    tolerance : float
        Absolute and relative, of dopri5 in training.
    edit_steps : int
        Runge-Kutta steps through each block in editing.
    """

    w_dim: int
    attributes: int
    num_ws: int
    blocks: int = 1
    hidden_dim: int = 0
    hidden_layers: int = 5
    tolerance: float = 1e-5
    edit_steps: int = 8

    def __post_init__(self) -> None:
        for name in ("w_dim", "attributes", "num_ws", "blocks", "edit_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"flow {name} is {getattr(self, name)!r}; allowed: at least 1")
        for name in ("hidden_dim", "hidden_layers"):
            if getattr(self, name) < 0:
                raise ValueError(f"flow {name} is {getattr(self, name)!r}; allowed: 0 or more")
        if not self.tolerance > 0:
            raise ValueError(f"flow tolerance is {self.tolerance!r}; allowed: above 0")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FlowConfig:
        """Build from saved values; an unknown key is refused with the known ones."""
        known = [f.name for f in fields(cls)]
        for key in values:
            if key not in known:
                raise ValueError(f"flow config: unknown key {key!r}; known: {', '.join(known)}")
        return cls(**values)


def solvers() -> Any:
    """Return torchdiffeq, or say in one line how to get it."""
    try:
        import torchdiffeq
    except ImportError:
        raise ValueError(
            "method 'styleflow' needs the package torchdiffeq, which is not installed; install it "
            "with: python -m pip install 'l2l-widgets[styleflow]'"
        ) from None
    return torchdiffeq


class ConcatSquash(nn.Module):
    """A linear layer whose output is gated and shifted by time and condition (FFJORD)."""

    def __init__(self, inputs: int, outputs: int, context: int) -> None:
        super().__init__()
        self.layer = nn.Linear(inputs, outputs)
        self.shift = nn.Linear(1 + context, outputs, bias=False)
        self.gate = nn.Linear(1 + context, outputs)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Map x (N, inputs) with context (N, 1 + A) to (N, outputs)."""
        return self.layer(x) * torch.sigmoid(self.gate(context)) + self.shift(context)


class Dynamics(nn.Module):
    """dx/dt of one block, and the change of log-density along the way.

    ``condition`` (N, A) and ``noise`` (N, w_dim) are set before an integration: they are constant
    on the way, and an ODE library passes on time and state alone. Without noise no divergence is
    estimated.
    """

    def __init__(self, config: FlowConfig) -> None:
        super().__init__()
        width = config.hidden_dim or config.w_dim
        sizes = [config.w_dim, *[width] * config.hidden_layers, config.w_dim]
        self.layers = nn.ModuleList(
            [ConcatSquash(a, b, config.attributes) for a, b in pairwise(sizes)]
        )
        self.condition = torch.zeros(0)
        self.noise: Tensor | None = None

    def velocity(self, t: Tensor, x: Tensor) -> Tensor:
        """Return dx/dt (N, w_dim)."""
        context = torch.cat([t.to(x).expand(len(x), 1), self.condition], dim=1)
        for i, layer in enumerate(self.layers):
            x = layer(torch.tanh(x) if i else x, context)
        return x

    def forward(self, t: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return the derivatives of (x,) or of (x, log-determinant)."""
        if self.noise is None:
            return (self.velocity(t, state[0]),)
        # the adjoint method calls this without gradients: the divergence needs its own
        with torch.enable_grad():
            x = state[0] if state[0].requires_grad else state[0].detach().requires_grad_(True)
            v = self.velocity(t, x)
            # Hutchinson's estimate of the trace: noise . J . noise
            (along,) = torch.autograd.grad(v, x, self.noise, create_graph=True)
            divergence = (along * self.noise).sum(dim=1)
        return v, divergence


class MovingBatchNorm(nn.Module):
    """Normalises by running moments, in training too, so that it can be inverted exactly."""

    mean: Tensor
    variance: Tensor

    def __init__(self, dim: int, momentum: float = 0.1) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(dim))
        self.shift = nn.Parameter(torch.zeros(dim))
        self.momentum = momentum
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("variance", torch.ones(dim))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the normalised x (N, dim) and the log-determinant, a scalar."""
        if self.training:
            with torch.no_grad():
                self.mean.lerp_(x.detach().mean(dim=0), self.momentum)
                self.variance.lerp_(x.detach().var(dim=0), self.momentum)
        log_scale = self.log_scale - 0.5 * torch.log(self.variance + 1e-4)
        return (x - self.mean) * log_scale.exp() + self.shift, log_scale.sum()

    def inverse(self, y: Tensor) -> Tensor:
        """Undo ``forward``."""
        log_scale = self.log_scale - 0.5 * torch.log(self.variance + 1e-4)
        return (y - self.shift) * (-log_scale).exp() + self.mean


class StyleFlowNetwork(nn.Module):
    """The flow, its population, and the edit that it makes.

    Parameters
    ----------
    config : FlowConfig
        Shape.
    readings : Tensor, shape (N, A), optional
        Of the population: their mean and spread normalise the condition.
    codes : Tensor, shape (N, w_dim), optional
        Theirs: the first batch norm starts at their moments, and a ridge regression of readings on
        them stands in where an edit comes without current readings.
    """

    center: Tensor
    spread: Tensor
    slopes: Tensor
    w_mean: Tensor
    rows: Tensor

    def __init__(
        self,
        config: FlowConfig,
        codes: Tensor | None = None,
        readings: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.config = c = config
        self.dynamics = nn.ModuleList([Dynamics(c) for _ in range(c.blocks)])
        # each block's end time, as its root, which keeps it positive
        self.root_of_end = nn.Parameter(torch.ones(c.blocks))
        self.norms = nn.ModuleList([MovingBatchNorm(c.w_dim), MovingBatchNorm(c.w_dim)])
        self.register_buffer("center", torch.full((c.attributes,), 0.5))
        self.register_buffer("spread", torch.ones(c.attributes))
        self.register_buffer("slopes", torch.zeros(c.attributes, c.w_dim))
        self.register_buffer("w_mean", torch.zeros(c.w_dim))
        self.register_buffer("rows", torch.ones(c.attributes, c.num_ws))
        self.gain = GainCurve(c.attributes)
        if codes is not None and readings is not None:
            self._describe(codes, readings)

    def _describe(self, codes: Tensor, readings: Tensor) -> None:
        wanted = (self.config.w_dim,), (self.config.attributes,)
        if (codes.shape[1:], readings.shape[1:]) != wanted or len(codes) != len(readings):
            raise ValueError(
                f"codes {tuple(codes.shape)} and readings {tuple(readings.shape)} do not fit; "
                f"allowed: (N, {wanted[0][0]}) and (N, {wanted[1][0]})"
            )
        if not bool(torch.isfinite(codes).all() and torch.isfinite(readings).all()):
            raise ValueError("codes or readings hold NaN or infinity; allowed: finite numbers")
        x, y = codes.double().cpu(), readings.double().cpu()
        x0, y0 = x - x.mean(dim=0), y - y.mean(dim=0)
        covariance = x0.T @ x0 / len(x)
        damp = 0.01 * covariance.diagonal().mean() * torch.eye(x.shape[1]).double()
        self.slopes.copy_(torch.linalg.solve(covariance + damp, x0.T @ y0 / len(x)).T)
        self.w_mean.copy_(x.mean(dim=0))
        self.center.copy_(y.mean(dim=0))
        self.spread.copy_(y.std(dim=0).clamp_min(0.02))
        first = self._norms()[0]
        first.mean.copy_(x.mean(dim=0))
        first.variance.copy_(x.var(dim=0))

    def _norms(self) -> tuple[Any, Any]:
        return self.norms[0], self.norms[1]

    @property
    def end(self) -> Tensor:
        """End of each block's time interval, (blocks,)."""
        return self.root_of_end.square()

    def estimate(self, w: Tensor) -> Tensor:
        """Return readings (N, A) that codes (N, w_dim) suggest, by the population's regression."""
        return (self.center + (w - self.w_mean) @ self.slopes.T).clamp(0, 1)

    def condition(self, readings: Tensor) -> Tensor:
        """Return readings (N, A) as the flow sees them."""
        return (readings - self.center) / self.spread

    def nll(self, w: Tensor, readings: Tensor, noise: Tensor) -> Tensor:
        """Return the negative log-likelihood of each code, (N,), in nats for each of its numbers.

        Parameters
        ----------
        w, readings : Tensor, shapes (N, w_dim) and (N, A)
            A batch.
        noise : Tensor, shape (N, w_dim)
            Of mean 0 and variance 1, for the divergence.
        """
        x, logdet = self.norms[0](w)
        total = logdet.expand(len(w))
        tolerance = self.config.tolerance
        for block, end in zip(self._blocks(), self.end, strict=True):
            block.condition, block.noise = self.condition(readings), noise
            times = torch.stack([torch.zeros_like(end), end])
            # condition and noise stay until the next call: the adjoint's way back needs them
            ends = solvers().odeint_adjoint(
                block, (x, torch.zeros_like(x[:, 0])), times, atol=tolerance, rtol=tolerance,
                method="dopri5",
            )  # fmt: skip
            x, total = ends[0][1], total + ends[1][1]
        x, logdet = self.norms[1](x)
        normal = -0.5 * x.square().sum(dim=1) - 0.5 * x.shape[1] * math.log(2 * math.pi)
        return -(normal + total + logdet) / x.shape[1]

    def _blocks(self) -> list[Any]:
        return list(self.dynamics)

    def _carry(self, x: Tensor, condition: Tensor, forward: bool) -> Tensor:
        path = list(zip(self._blocks(), self.end.tolist(), strict=True))
        for block, end in path if forward else path[::-1]:
            block.condition, block.noise = condition, None
            times = torch.tensor([0.0, end] if forward else [end, 0.0]).to(x)
            step = {"step_size": end / self.config.edit_steps}
            states = solvers().odeint(block, (x,), times, method="rk4", options=step)
            x = states[0][1]
        return x

    def encode(self, w: Tensor, readings: Tensor) -> Tensor:
        """Carry codes (N, w_dim) under readings (N, A) to the prior, (N, w_dim)."""
        x = self._carry(self.norms[0](w)[0], self.condition(readings), forward=True)
        return self.norms[1](x)[0]

    def decode(self, z: Tensor, readings: Tensor) -> Tensor:
        """Carry numbers of the prior (N, w_dim) under readings (N, A) back to codes."""
        first, last = self._norms()
        x = self._carry(last.inverse(z), self.condition(readings), forward=False)
        return first.inverse(x)

    def forward(self, w: Tensor, knobs: Tensor, current: Tensor | None = None) -> Tensor:
        """Edit latents.

        Parameters
        ----------
        w : Tensor, shape (B, num_ws, w_dim)
            Latents.
        knobs : Tensor, shape (B, A)
            Changes of the condition, after any gain.
        current : Tensor, shape (B, A), optional
            Readings of the faces; estimated from the mean row where not given.

        Returns
        -------
        Tensor, shape (B, num_ws, w_dim)
            Rows that no changed attribute owns are those of ``w``, bit for bit.
        """
        readings = self.estimate(w.mean(dim=1)) if current is None else current.to(w)
        count, rows, dim = w.shape
        # each row's own target: the attributes that own it
        delta = knobs.to(w)[:, None] * self.rows.T.to(w)  # (B, num_ws, A)
        touched = (delta != 0).any(dim=2)  # (B, num_ws)
        before = readings[:, None].expand(-1, rows, -1)
        after = (before + delta).clamp(-0.5, 1.5)
        flat = (count * rows, -1)
        z = self.encode(w.reshape(flat), before.reshape(flat))
        moved = self.decode(z, after.reshape(flat)).view(count, rows, dim)
        return torch.where(touched[..., None], moved, w)


def published_rows(table: AttributeTable, num_ws: int) -> dict[str, tuple[int, int]]:
    """Return the rows of each attribute: the authors' for their eight, all rows for the others.

    They were chosen by eye at 1024 pixels (18 rows). Rows keep their resolution in a smaller
    network, so the same numbers hold there, clipped to the rows there are.
    """
    out = {}
    for name in table.names:
        start, end = PUBLISHED_ROWS.get(name, (0, num_ws))
        out[name] = (start, min(end, num_ws)) if start < num_ws else (0, num_ws)
    return out


class StyleFlowEditor:
    """A trained flow behind the editor interface.

    Parameters
    ----------
    network : StyleFlowNetwork
        Set to evaluation mode and frozen.
    table : AttributeTable
        Names of the A columns.
    origin : Origin
        Generator, space and set of the training.
    provenance : mapping of str to str, optional
        Hashes of what else went in.
    """

    name = "styleflow"
    space = "w+"
    can_preserve = False

    def __init__(
        self,
        network: StyleFlowNetwork,
        table: AttributeTable,
        origin: Origin,
        provenance: Mapping[str, str] | None = None,
    ) -> None:
        if network.config.attributes != len(table):
            raise ValueError(
                f"the flow was built for {network.config.attributes} attributes; the table has "
                f"{len(table)}"
            )
        self.network = network.eval().requires_grad_(False)
        self.table, self.attributes, self.origin = table, table.names, origin
        self.provenance = dict(provenance or {})

    def set_rows(self, rows: Mapping[str, tuple[int, int]]) -> StyleFlowEditor:
        """Give attributes the rows [start, end) of W+ that they change; returns the editor."""
        num_ws = self.network.config.num_ws
        for name, (start, end) in rows.items():
            if not 0 <= start < end <= num_ws:
                raise ValueError(
                    f"rows of {name!r} are [{start}, {end}); allowed: 0 <= start < end <= {num_ws}"
                )
            column = self.table.index(name)
            self.network.rows[column] = 0
            self.network.rows[column, start:end] = 1
        return self

    def edit(self, w: Tensor, request: EditRequest) -> Tensor:
        """Change attributes of faces.

        Parameters
        ----------
        w : Tensor, shape (B, num_ws, w_dim)
            Latents; left untouched.
        request : EditRequest
            In attribute units. Its current readings are what the face is encoded with; without
            them they are estimated from w. ``preserve`` is refused: the encoding holds what is not
            changed as well as it can, and has no stronger promise to give.

        Returns
        -------
        Tensor
            Shape, dtype and device of ``w``.

        Raises
        ------
        ValueError
            As :func:`requested_change` says, and where torchdiffeq is not installed.
        """
        config = self.network.config
        delta = requested_change(
            request, self.table, w, (config.num_ws, config.w_dim), self.attributes, {}, self.name
        )
        if request.empty:
            return w.clone()
        kind = self.network.center.dtype
        current = None
        if request.current is not None:
            current = request.current.to(delta).expand(len(w), -1)
        with torch.no_grad():
            moved = self.network(w.to(kind), self.network.gain(delta), current)
        return moved.to(w.dtype)

    def to(self, device: torch.device | str) -> StyleFlowEditor:
        """Move the weights to a device; returns the editor itself."""
        self.network.to(device)
        return self

    def save(self, path: str | Path) -> None:
        """Write weights, gains, table, rows and config to one safetensors file, atomically."""
        config = {"flow": json.loads(json.dumps(asdict(self.network.config)))}
        write_editor(
            path, self.name, self.table, self.network.state_dict(), config, self.origin,
            self.provenance,
        )  # fmt: skip

    @classmethod
    def load(cls, path: str | Path, device: torch.device | str = "cpu") -> StyleFlowEditor:
        """Read what :meth:`save` wrote; StorageError for a damaged file or another method's."""
        solvers()  # say what is missing now, and not in the middle of an edit
        file = EditorFile(path, cls.name)
        try:
            network = StyleFlowNetwork(FlowConfig.from_dict(file.config["flow"]))
            network.load_state_dict(file.tensors)
            editor = cls(network, file.table, file.origin, file.provenance)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise file.unreadable(cls.name, error) from error
        return editor.to(device)
