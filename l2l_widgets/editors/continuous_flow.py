"""Continuous normalising flows under a condition: velocity, density and the way along it.

The layers are those of FFJORD (Grathwohl et al., ICLR 2019, arXiv 1810.01367) and PointFlow (Yang
et al., ICCV 2019), as StyleFlow uses them; the adaptive ODE solver is torchdiffeq's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

SOLVERS = ("rk4", "dopri5")


@dataclass(frozen=True)
class Solver:
    """How an integration is carried out in training.

    Parameters
    ----------
    method : {"rk4", "dopri5"}
        Fixed Runge-Kutta steps, or steps that keep to ``tolerance``, as the authors have it.
    steps : int
        Of "rk4", through each block.
    tolerance : float
        Of "dopri5", absolute and relative.
    """

    method: str = "rk4"
    steps: int = 4
    tolerance: float = 1e-5

    def __post_init__(self) -> None:
        if self.method not in SOLVERS:
            raise ValueError(f"solver is {self.method!r}; allowed: {', '.join(SOLVERS)}")
        if self.steps < 1:
            raise ValueError(f"solver steps is {self.steps!r}; allowed: at least 1")
        if not self.tolerance > 0:
            raise ValueError(f"solver tolerance is {self.tolerance!r}; allowed: above 0")

    def integrate(self, slope: Callable[..., Any], state: Any, span: tuple[float, float]) -> Any:
        """Return the state, a Tensor or a tuple of them, at the end of ``span``."""
        first = state[0] if isinstance(state, tuple) else state
        if self.method == "dopri5":
            from torchdiffeq import odeint  # brings SciPy's solvers along: only where one is needed

            tolerance = {"rtol": self.tolerance, "atol": self.tolerance}
            times = torch.tensor(span).to(first)
            path = odeint(slope, state, times, method="dopri5", **tolerance)
            return tuple(p[-1] for p in path) if isinstance(state, tuple) else path[-1]
        grid = torch.linspace(*span, self.steps + 1).to(first)
        parts = state if isinstance(state, tuple) else (state,)

        def slopes(t: Tensor, y: Sequence[Tensor]) -> tuple[Tensor, ...]:
            out = slope(t, tuple(y)) if isinstance(state, tuple) else (slope(t, y[0]),)
            return tuple(out)

        for start, end in pairwise(grid):
            parts = _runge_kutta_step(slopes, start, end, parts)
        return tuple(parts) if isinstance(state, tuple) else parts[0]


def _runge_kutta_step(
    slopes: Callable[..., tuple[Tensor, ...]], start: Tensor, end: Tensor, y: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """One step of Kutta's 3/8 rule, whose error is smaller than that of the usual fourth order."""
    h = end - start

    def ahead(*ways: Tensor) -> list[Tensor]:
        return [part + h * way for part, way in zip(y, ways, strict=True)]

    third = 1 / 3
    a = slopes(start, y)
    b = slopes(start + h * third, [p + h * k * third for p, k in zip(y, a, strict=True)])
    c = slopes(start + h * (2 / 3), ahead(*(kb - ka * third for ka, kb in zip(a, b, strict=True))))
    d = slopes(end, ahead(*(ka - kb + kc for ka, kb, kc in zip(a, b, c, strict=True))))
    return tuple(
        part + (ka + 3 * (kb + kc) + kd) * h * 0.125
        for part, ka, kb, kc, kd in zip(y, a, b, c, d, strict=True)
    )


class ConcatSquash(nn.Module):
    """A linear layer whose output is gated and shifted by time and condition (FFJORD)."""

    def __init__(self, inputs: int, outputs: int, context: int) -> None:
        super().__init__()
        self.layer = nn.Linear(inputs, outputs)
        self.shift = nn.Linear(1 + context, outputs, bias=False)
        self.gate = nn.Linear(1 + context, outputs)

    def at(self, condition: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return gate and shift under a condition (N, A) at time 0, and their slopes in time."""
        gate, shift = self.gate.weight, self.shift.weight
        constant = torch.addmm(self.gate.bias, condition, gate[:, 1:].T), condition @ shift[:, 1:].T
        return *constant, gate[:, 0], shift[:, 0]


class Dynamics(nn.Module):
    """dx/dt of one block, and the change of log-density along the way.

    Parameters
    ----------
    sizes : sequence of int
        Widths from x over the hidden layers back to x.
    context : int
        A, the numbers in a condition.
    """

    def __init__(self, sizes: Sequence[int], context: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([ConcatSquash(a, b, context) for a, b in pairwise(sizes)])

    def under(self, condition: Tensor) -> Callable[..., tuple[Tensor, Tensor | None]]:
        """Return the velocity field under a condition (N, A).

        The condition is constant on the way, so what it adds to the layers is worked out once.

        Returns
        -------
        callable
            (t, x (N, w_dim), noise (N, w_dim) or None) to dx/dt (N, w_dim) and, given noise,
            Hutchinson's estimate noise . J . noise of the divergence, (N,). The product with the
            Jacobian is carried forward beside x, so it costs one more pass and no graph.
        """
        layers: list[Any] = list(self.layers)
        prepared = [layer.at(condition) for layer in layers]

        def velocity(t: Tensor, x: Tensor, noise: Tensor | None) -> tuple[Tensor, Tensor | None]:
            along = noise
            for i, (layer, (gate, shift, gate_rate, shift_rate)) in enumerate(
                zip(layers, prepared, strict=True)
            ):
                if i:
                    x = torch.tanh(x)
                    along = None if along is None else along * (1 - x * x)
                open_share = torch.sigmoid(gate + t * gate_rate)
                if along is None:
                    x = nn.functional.linear(x, layer.layer.weight)
                else:
                    x, along = (torch.cat([x, along]) @ layer.layer.weight.T).chunk(2)
                    along = along * open_share
                x = (x + layer.layer.bias) * open_share + shift + t * shift_rate
            if along is None or noise is None:
                return x, None
            return x, (noise * along).sum(dim=1)

        return velocity


class MovingBatchNorm(nn.Module):
    """Normalises by running moments, in training too, so that it can be inverted exactly.

    Both norms start at the moments of all codes, so the average may be a slow one.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, dim: int, momentum: float = 0.01) -> None:
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

    @torch.no_grad()
    def set_moments(self, x: Tensor) -> None:
        """Start at the moments of x (N, dim)."""
        self.mean.copy_(x.mean(dim=0))
        self.variance.copy_(x.var(dim=0))
