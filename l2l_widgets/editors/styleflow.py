"""StyleFlow: a conditional continuous normalising flow on W.

Abdal, Zhu, Mitra and Wonka, "StyleFlow: Attribute-conditioned Exploration of StyleGAN-Generated
Images using Conditional Continuous Normalizing Flows", ACM TOG 2021 (arXiv 2008.02401, sections
4.2 and 5), and the authors' code (RameenAbdal/StyleFlow). A flow carries w, under the face's
attributes, to a normal prior; carried back under other attributes, it is the edited w.

As in that code: five hidden layers as wide as w, each gated and shifted by time and attributes
(ConcatSquash), tanh between; a moving batch norm before and after; end time trained; one CNF block
in the released model, four in the paper. A released network of 512 numbers and 17 attributes has
1,691,649 parameters, and so has this one.

Its three devices: the face is encoded with *all* attributes at once (joint reverse encoding), is
decoded with the target (conditional forward editing), and only some rows of W+ take the result
(edit specific subset selection). :data:`PUBLISHED_ROWS` are the authors' rows; where one row
belongs to several attributes it is decoded with all their targets. The next edit encodes the edited
face anew with its readings then.

Other than there:

* attributes are divided by their population's spread (there raw, in degrees and years);
* the flow starts as the linear one, which the regression of codes on attributes gives in closed
  form, and is trained from there: minutes on one core instead of hours on a GPU. ``start="random"``
  is the authors' start;
* an edit takes fixed Runge-Kutta steps, so that a face comes out the same alone and in a batch
  (dopri5 chooses its steps for the whole batch), and training may take them too;
* what is not among the attributes is not held, in the paper as here: light is one of theirs, and
  none of ours, and backgrounds drift;
* the gradient goes through the solver's own steps. The adjoint method saves memory that a network
  of this size does not need, and its gradient is of the exact path, not of the one taken.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from l2l_widgets.attributes import AttributeTable, EditRequest
from l2l_widgets.editors.calibration import GainCurve
from l2l_widgets.editors.continuous_flow import Dynamics, MovingBatchNorm, Solver
from l2l_widgets.editors.origins import Origin
from l2l_widgets.editors.stored_editor import EditorFile, StoredEditor

#: Rows [start, end) of W+ that the authors' code changes; "expression" there is our ``smile``.
PUBLISHED_ROWS = {
    "gender": (0, 8), "glasses": (2, 4), "yaw": (0, 4), "pitch": (0, 4), "baldness": (0, 6),
    "beard": (5, 10), "age": (4, 8), "smile": (4, 6),
}  # fmt: skip
STARTS = ("linear", "random")

#: How far beyond a reading, which lies in [0, 1], a condition may go.
BEYOND = 1.0


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
    edit_steps : int
        Runge-Kutta steps through each block in editing.
    """

    w_dim: int
    attributes: int
    num_ws: int
    blocks: int = 1
    hidden_dim: int = 0
    hidden_layers: int = 5
    edit_steps: int = 12

    def __post_init__(self) -> None:
        for name in ("w_dim", "attributes", "num_ws", "blocks", "edit_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"flow {name} is {getattr(self, name)!r}; allowed: at least 1")
        for name in ("hidden_dim", "hidden_layers"):
            if getattr(self, name) < 0:
                raise ValueError(f"flow {name} is {getattr(self, name)!r}; allowed: 0 or more")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FlowConfig:
        """Build from saved values; an unknown key is refused with the known ones."""
        known = [f.name for f in fields(cls)]
        for key in values:
            if key not in known:
                raise ValueError(f"flow config: unknown key {key!r}; known: {', '.join(known)}")
        return cls(**values)


class StyleFlowNetwork(nn.Module):
    """The flow, its population, and the edit that it makes.

    Parameters
    ----------
    config : FlowConfig
        Shape.
    codes : Tensor, shape (N, w_dim), optional
        Of the population: the batch norms start at their moments, and a ridge regression of
        readings on them stands in where an edit comes without current readings.
    readings : Tensor, shape (N, A), optional
        Theirs, finite: mean and spread normalise the condition.
    start : {"linear", "random"}
        See the module's first lines; needs both.
    unseen : sequence of int
        Columns that no condition shows, since their readings say nothing.
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
        start: str = "linear",
        unseen: Sequence[int] = (),
    ) -> None:
        super().__init__()
        if start not in STARTS:
            raise ValueError(f"flow start is {start!r}; allowed: {', '.join(STARTS)}")
        self.config = c = config
        sizes = [c.w_dim, *[c.hidden_dim or c.w_dim] * c.hidden_layers, c.w_dim]
        self.dynamics = nn.ModuleList([Dynamics(sizes, c.attributes) for _ in range(c.blocks)])
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
            self._describe(codes, readings, unseen)
            if start == "linear":
                self._start_linear(codes, readings)

    def _describe(self, codes: Tensor, readings: Tensor, unseen: Sequence[int]) -> None:
        wanted = (self.config.w_dim,), (self.config.attributes,)
        if (codes.shape[1:], readings.shape[1:]) != wanted or len(codes) != len(readings):
            raise ValueError(
                f"codes {tuple(codes.shape)} and readings {tuple(readings.shape)} do not fit; "
                f"allowed: (N, {wanted[0][0]}) and (N, {wanted[1][0]})"
            )
        if not bool(torch.isfinite(codes).all() and torch.isfinite(readings).all()):
            raise ValueError("codes or readings hold NaN or infinity; allowed: finite numbers")
        x, y = codes.double().cpu(), readings.double().cpu()
        self.slopes.copy_(_regression(x - x.mean(dim=0), y - y.mean(dim=0)).T)
        self.w_mean.copy_(x.mean(dim=0))
        self.center.copy_(y.mean(dim=0))
        self.spread.copy_(y.std(dim=0).clamp_min(0.02))
        self.spread[list(unseen)] = 0.0  # whatever is read there, the condition is 0
        self._norms()[0].set_moments(x)

    @torch.no_grad()
    def _start_linear(self, codes: Tensor, readings: Tensor) -> None:
        """Start as x - B a: what the attributes say of a code is taken off, the rest is noise."""
        x = self.norms[0](codes)[0].double().cpu()
        a = self.condition(readings).double().cpu()
        slopes = _regression(a, x)  # (A, w_dim)
        for block in self._blocks():
            last = block.layers[-1]
            last.layer.weight.mul_(0.1)
            last.layer.bias.zero_()
            last.shift.weight.zero_()
            last.shift.weight[:, 1:] = -slopes.T / self.config.blocks
        self._norms()[1].set_moments(x - a @ slopes)

    def _norms(self) -> tuple[Any, Any]:
        return self.norms[0], self.norms[1]

    def _blocks(self) -> list[Any]:
        return list(self.dynamics)

    @property
    def end(self) -> Tensor:
        """End of each block's time interval, (blocks,)."""
        return self.root_of_end.square()

    def set_rows(self, column: int, span: tuple[int, int]) -> None:
        """Let one attribute change the rows [start, end) of W+ alone."""
        start, end = span
        if not 0 <= start < end <= self.config.num_ws:
            raise ValueError(
                f"rows are [{start}, {end}); allowed: 0 <= start < end <= {self.config.num_ws}"
            )
        self.rows[column] = 0
        self.rows[column, start:end] = 1

    def estimate(self, w: Tensor) -> Tensor:
        """Return readings (N, A) that codes (N, w_dim) suggest, by the population's regression."""
        return (self.center + (w - self.w_mean) @ self.slopes.T).clamp(0, 1)

    def condition(self, readings: Tensor) -> Tensor:
        """Return readings (N, A) as the flow sees them; 0 in a column that it does not."""
        seen = (self.spread > 0) & torch.isfinite(self.spread)
        spread = torch.where(seen, self.spread, 1.0)
        return torch.where(seen, (readings - self.center) / spread, 0.0)

    def nll(self, w: Tensor, readings: Tensor, noise: Tensor, solver: Solver) -> Tensor:
        """Return the negative log-likelihood of each code, (N,), in nats for each of its numbers.

        Parameters
        ----------
        w, readings : Tensor, shapes (N, w_dim) and (N, A)
            A batch.
        noise : Tensor, shape (N, w_dim)
            Of mean 0 and variance 1, for the divergence.
        solver : Solver
            How the path is followed; gradients go through its steps.
        """
        x, logdet = self.norms[0](w)
        total = logdet.expand(len(w))
        condition = self.condition(readings)
        for block, end in zip(self._blocks(), self.end, strict=True):
            field = block.under(condition)

            def slope(s: Tensor, state: Any, field: Any = field, end: Tensor = end) -> Any:
                # time runs from 0 to 1, so that the trained end is a factor like any other
                velocity, divergence = field(end * s, state[0], noise)
                return end * velocity, end * divergence

            x, change = solver.integrate(slope, (x, torch.zeros_like(x[:, 0])), (0.0, 1.0))
            total = total + change
        x, logdet = self.norms[1](x)
        normal = -0.5 * x.square().sum(dim=1) - 0.5 * x.shape[1] * math.log(2 * math.pi)
        return -(normal + total + logdet) / x.shape[1]

    def _carry(self, x: Tensor, readings: Tensor, span: tuple[float, float]) -> Tensor:
        condition = self.condition(readings)
        path = list(zip(self._blocks(), self.end, strict=True))
        solver = Solver("rk4", self.config.edit_steps)
        for block, end in path if span[0] < span[1] else path[::-1]:
            field = block.under(condition)
            x = solver.integrate(
                lambda s, x, field=field, end=end: end * field(end * s, x, None)[0], x, span
            )
        return x

    def encode(self, w: Tensor, readings: Tensor) -> Tensor:
        """Carry codes (N, w_dim) under readings (N, A) to the prior, (N, w_dim)."""
        first, last = self._norms()
        return last(self._carry(first(w)[0], readings, (0.0, 1.0)))[0]

    def decode(self, z: Tensor, readings: Tensor) -> Tensor:
        """Carry numbers of the prior (N, w_dim) under readings (N, A) back to codes."""
        first, last = self._norms()
        return first.inverse(self._carry(last.inverse(z), readings, (1.0, 0.0)))

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
        # each row's own target: the attributes that own it
        delta = knobs.to(w)[:, None] * self.rows.T.to(w)  # (B, num_ws, A)
        touched = (delta != 0).any(dim=2)  # (B, num_ws)
        before = readings[:, None].expand_as(delta)[touched]  # (T, A)
        after = (before + delta[touched]).clamp(-BEYOND, 1 + BEYOND)
        # rows of a sampled face are equal: what is asked twice is worked out once
        asked = torch.cat([w[touched], before, after], dim=1)
        once, which = torch.unique(asked, dim=0, return_inverse=True)
        codes, before, after = once.split([w.shape[2], before.shape[1], after.shape[1]], dim=1)
        moved = w.clone()
        moved[touched] = self.decode(self.encode(codes, before), after)[which]
        return moved


def _regression(x: Tensor, y: Tensor) -> Tensor:
    """Return the ridge regression's slopes (X, Y) of y (N, Y) on x (N, X), both centred."""
    covariance = x.T @ x / len(x)
    damp = 0.01 * covariance.diagonal().mean() * torch.eye(x.shape[1], dtype=x.dtype)
    return torch.linalg.solve(covariance + damp, x.T @ y / len(x))


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


class StyleFlowEditor(StoredEditor):
    """A trained flow behind the editor interface.

    Parameters
    ----------
    network : StyleFlowNetwork
        Set to evaluation mode and frozen.
    table : AttributeTable
        Names of the A columns.
    origin : Origin
        Generator, space and set of the training.
    reasons : mapping of str to str, optional
        Why attributes cannot be changed.
    provenance : mapping of str to str, optional
        Hashes of what else went in.
    """

    name = "styleflow"
    space = "w+"
    no_promise = (
        "encodes a face with all its attributes, holds those that are not changed as well as it "
        "can, and takes no list; allowed: an empty list, or the method 'interfacegan-conditional'"
    )

    def __init__(
        self,
        network: StyleFlowNetwork,
        table: AttributeTable,
        origin: Origin,
        reasons: Mapping[str, str] | None = None,
        provenance: Mapping[str, str] | None = None,
    ) -> None:
        config = network.config
        if config.attributes != len(table):
            raise ValueError(
                f"the flow was built for {config.attributes} attributes; the table has {len(table)}"
            )
        able = tuple(name for name in table.names if name not in (reasons or {}))
        super().__init__(table, able, (config.num_ws, config.w_dim), origin, reasons, provenance)
        self.network = network.eval().requires_grad_(False)

    def set_rows(self, rows: Mapping[str, tuple[int, int]]) -> StyleFlowEditor:
        """Give attributes the rows [start, end) of W+ that they change; returns the editor."""
        for name, span in rows.items():
            try:
                self.network.set_rows(self.table.index(name), span)
            except ValueError as error:
                raise ValueError(f"attribute {name!r}: {error}") from None
        return self

    def move(self, w: Tensor, delta: Tensor, request: EditRequest) -> Tensor:
        """Encode with the current readings, those of the request or an estimate; decode changed."""
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
        config = {"flow": asdict(self.network.config), "reasons": self.reasons}
        self.write(path, self.network.state_dict(), config)

    @classmethod
    def from_file(cls, file: EditorFile) -> StyleFlowEditor:
        """Rebuild the editor from what :meth:`save` wrote."""
        network = StyleFlowNetwork(FlowConfig.from_dict(file.config["flow"]))
        network.load_state_dict(file.tensors)
        return cls(network, file.table, file.origin, file.config["reasons"], file.provenance)
