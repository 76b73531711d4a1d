"""The mapper's fast path: looking for the half-way point without leaving the hidden layer.

The implicit midpoint rule (``editors/mapper.py``) evaluates r at one place after the other, each
the start plus half a step. A network's first layer is linear in the place, and its last layer in
what comes before it, so what the first layer makes of the next place follows by one product of the
two layers, hidden x hidden, taken once for all edits. Only the first look reads the latent and only
the last step writes it: three looks cost little more than none. Same weights, same result, but for
rounding.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from l2l_widgets.editors.mapper import MapperNetwork

__all__ = ["FoldedMapper", "hidden_difference"]


def hidden_difference(net: nn.Sequential, there: Tensor, push: Tensor, back: float) -> Tensor:
    """Return how what enters the last layer differs between a change d and d - back d.

    Parameters
    ----------
    net : nn.Sequential
        Of linear layers and activations.
    there : Tensor
        What the first layer makes of a latent and d, bias included.
    push : Tensor
        What of that comes from d.
    back : float
        2 for -d, 1 for no change.
    """
    batch = int(_is_stacked(net))
    both = torch.cat([there, there - back * push], dim=batch)
    for layer in islice(net, 1, len(net) - 1):
        both = layer(both)
    up, down = both.chunk(2, dim=batch)
    return up - down


class FoldedMapper:
    """What ``network(w, delta)`` returns, without gradients and in fewer products.

    Parameters
    ----------
    network : MapperNetwork
        With ``null="symmetric"``. Its weights may change: they are read anew when they have.

    Raises
    ------
    ValueError
        The network's ``null`` is another: it takes one step, and nothing can be folded.
    """

    def __init__(self, network: MapperNetwork) -> None:
        if network.config.null != "symmetric":
            raise ValueError(f"mapper null is {network.config.null!r}; allowed: 'symmetric'")
        self.network = network
        self._made_of: tuple[tuple[int, int], ...] = ()
        self._parts: list[_Part] = []

    @torch.no_grad()
    def __call__(self, w: Tensor, delta: Tensor) -> Tensor:
        """Edit latents w (B, num_ws, w_dim) by knob values delta (B, A)."""
        network = self.network
        made_of = tuple(_version(p) for p in network.parameters())
        if made_of != self._made_of:
            rows = zip(network.nets, network.seen_rows(), strict=True)
            self._parts = [_Part(network, net, own) for net, own in rows]
            self._made_of = made_of
        x, seen = (w - network.center) / network.scale, network.seen(delta)
        steps = torch.cat([part.step(x, seen, delta) for part in self._parts], dim=1)
        return w + network.scale * (steps + network.straight(delta))


def _version(parameter: Tensor) -> tuple[int, int]:
    # a tensor of inference mode keeps no count of its changes; nor is one trained
    return parameter.data_ptr(), -1 if parameter.is_inference() else parameter._version


def _is_stacked(net: nn.Sequential) -> bool:
    """Whether each row of W+ has layers of its own, side by side."""
    first: Any = net[0]
    return bool(first.weight.ndim == 3)


class _Part:
    """One network of a mapper, with the rows that it sees and its two outer layers multiplied."""

    def __init__(self, network: MapperNetwork, net: nn.Module, rows: slice) -> None:
        assert isinstance(net, nn.Sequential)
        self.net, self.rows, self.looks = net, rows, network.config.halfways
        self.flat, self.stacked = network.config.topology == "flat", _is_stacked(net)
        first: Any = net[0]
        # as matrices on the right, (in, out); one a row where stacked
        enters, self.bias = self._matrix(first), first.bias.detach()
        self.writes = self._matrix(net[-1])
        self.reads, self.pushes = enters.split(
            [self.writes.shape[-1], enters.shape[-2] - self.writes.shape[-1]], dim=-2
        )
        self.loop = self.writes @ self.reads
        self.drift: Tensor | None = None
        if network.config.linear:
            linear = network.linear if network.linear.shape[1] == 1 else network.linear[:, rows]
            linear = linear.flatten(1) if self.flat else linear
            self.drift = (linear.transpose(0, 1) if self.stacked else linear) @ self.reads

    def _matrix(self, layer: Any) -> Tensor:
        weight: Tensor = layer.weight.detach()
        return weight if self.stacked else weight.T.contiguous()

    def step(self, x: Tensor, seen: Tensor, delta: Tensor) -> Tensor:
        """Return what the network adds to its rows, without the linear term, (B, rows, w_dim)."""
        own = x[:, self.rows]
        entering = own.flatten(1) if self.flat else own.transpose(0, 1) if self.stacked else own
        start, push = entering @ self.reads, self._of_change(seen, self.pushes)
        drift: Tensor | float = 0.0
        if self.drift is not None:
            # (A, hidden), (A, rows, hidden) or, stacked, (rows, A, hidden)
            drift = delta @ self.drift if self.stacked else torch.tensordot(delta, self.drift, 1)
        place = start  # what the first layer makes of the places, without change and bias
        for look in range(self.looks):
            found = start + 0.5 * (self._hidden(place, push) @ self.loop / 2 + drift)
            place = found if look == 0 else place.lerp(found, 0.5)
        moved = self._hidden(place, push) @ self.writes / 2
        return moved.transpose(0, 1) if self.stacked else moved.view_as(own)

    def _of_change(self, seen: Tensor, pushes: Tensor) -> Tensor:
        push = seen @ pushes
        return push if self.flat or self.stacked else push[:, None]

    def _hidden(self, place: Tensor, push: Tensor) -> Tensor:
        return hidden_difference(self.net, place + push + self.bias, push, 2.0)
