"""StyleSpace: single channels of the styles that modulate the convolutions.

Wu, Lischinski and Shechtman, "StyleSpace Analysis: Disentangled Controls for StyleGAN Image
Generation", CVPR 2021 (arXiv 2011.12799, sections 3 and 5), and the authors' code
(betterze/StyleSpace). Each row of W+ passes through the affine layers that read it; their outputs
are the styles, S. Channels are ranked for an attribute from positive examples: deviations from the
population's mean in units of its standard deviation, ordered by |mean| over standard deviation
across the examples; channels that only colour (ToRGB) are left out.

An editor gives latents, and S is not W+: how the contract holds
    The picture depends on W+ through the styles alone, and each row is read by one convolution and,
    every other row, by one ToRGB layer besides. A step in S becomes the step in that row whose
    styles come closest, by least squares in units of each channel's spread (the pseudo-inverse of
    the row's stacked affine layers). Where the row's channels are independent in w, as on a row
    with one layer and no more channels than ``w_dim``, the styles, and so the picture, are exactly
    those of the edit in S (``with_style_shift`` draws it, and the tests compare). Where they are
    not, ``fidelity`` says which share of the channel's move is realised; channels below
    :data:`FAITHFUL` are not used. The rows of such a W+ lie off the cloud of mapped codes, which
    the picture does not show but a method that reads w afterwards would meet.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from l2l_widgets.attributes import AttributeTable
from l2l_widgets.editors.effects import Read, choose_for_all, measure_effects, why_unfit
from l2l_widgets.editors.linear_steps import CalibratedSteps, LinearEditor
from l2l_widgets.editors.origins import Origin
from l2l_widgets.errors import TooLittleError

#: Share of a channel's move that W+ must realise for the channel to be used.
FAITHFUL = 0.9
#: How far an edit moves a channel, in standard deviations; the authors show up to 20.
LONGEST = 30.0
#: Price of a squared deviation beside disturbance, see ``choose_steps``.
DAMPING = 0.1
#: Singular values below this share of the largest are not inverted.
CUTOFF = 1e-3


@dataclass(frozen=True)
class StyleLayer:
    """One affine layer: ``style = w @ weight.T + bias``.

    Parameters
    ----------
    name : str
        Where it is, as in ``b8.conv0``.
    row : int
        Row of W+ that it reads.
    weight, bias : Tensor, shapes (C, w_dim) and (C,), float64
        With the layer's own gains applied.
    colours : bool
        Whether it belongs to a ToRGB layer.
    """

    name: str
    row: int
    weight: Tensor
    bias: Tensor
    colours: bool


def style_layers(generator: Any) -> list[StyleLayer]:
    """Return the affine layers of a StyleGAN2's synthesis network, in the order of their rows.

    Raises
    ------
    ValueError
        A generator whose styles cannot be seen, such as a callable of one's own.
    """
    out = []
    for name, row, affine, colours in _affines(generator):
        weight = affine.weight.detach().cpu().double() * affine.weight_gain
        bias = affine.bias.detach().cpu().double() * affine.bias_gain
        out.append(StyleLayer(name, row, weight, bias, colours))
    return out


def _affines(generator: Any) -> list[tuple[str, int, Any, bool]]:
    synthesis = getattr(generator, "synthesis", None)
    if not isinstance(synthesis, torch.nn.Module) or not hasattr(synthesis, "rows_of_blocks"):
        raise ValueError(
            f"generator is a {type(generator).__name__} whose styles cannot be seen; allowed for "
            "StyleSpace: the package's StyleGAN2, into which official weights load"
        )
    network: Any = synthesis  # torch's own types take every attribute of a module for a tensor
    found = []
    for side, rows in network.rows_of_blocks():
        block = getattr(synthesis, f"b{side}")
        # the first block has one convolution, each later one two; the last row only colours
        parts = ["conv1", "torgb"] if side == 4 else ["conv0", "conv1", "torgb"]
        for row, part in zip(range(rows.start, rows.stop), parts, strict=True):
            found.append((f"b{side}.{part}", row, getattr(block, part).affine, part == "torgb"))
    return found


def with_style_shift(generator: Any, name: str, channel: int, amount: float) -> Any:
    """Return a copy of a generator that draws every face with one style channel moved.

    A move in S that is the same for all faces is a shift of the affine layer's bias: this is the
    edit in S itself, with no W+ in between.

    Parameters
    ----------
    generator : Generator
        Left untouched.
    name, channel : str, int
        As in :class:`StyleLayer`.
    amount : float
        In units of the style.
    """
    shifted = copy.deepcopy(generator)
    known = {place: affine for place, _, affine, _ in _affines(shifted)}
    if name not in known:
        raise ValueError(f"style layer {name!r} is unknown; allowed: {', '.join(known)}")
    bias = known[name].bias
    if not 0 <= channel < len(bias):
        raise ValueError(f"channel of {name!r} is {channel}; allowed: 0 to {len(bias) - 1}")
    with torch.no_grad():
        bias[channel] += amount / known[name].bias_gain
    return shifted


class StyleSpace:
    """The channels of S over a population of W: mean, spread, and their preimages in W+.

    Parameters
    ----------
    layers : sequence of StyleLayer
        Of one generator.
    codes : Tensor, shape (N, w_dim)
        The population; 100,000 in the paper.
    """

    def __init__(self, layers: Sequence[StyleLayer], codes: Tensor) -> None:
        if codes.ndim != 2 or len(codes) < 2 or codes.shape[1] != layers[0].weight.shape[1]:
            raise ValueError(
                f"codes have shape {tuple(codes.shape)}; allowed: (at least 2, "
                f"{layers[0].weight.shape[1]})"
            )
        self.layers = list(layers)
        #: (S,) layer and channel of each channel of S
        self.places = [(i, c) for i, layer in enumerate(layers) for c in range(len(layer.bias))]
        weight, bias = self._stacked()
        w = codes.detach().cpu().double()
        # styles are affine in w: their moments follow from those of w, without drawing any
        covariance = torch.cov(w.T)
        self.mean = weight @ w.mean(dim=0) + bias  # (S,)
        variance = ((weight @ covariance) * weight).sum(dim=1)
        self.spread = variance.clamp_min(1e-12).sqrt()  # (S,)
        self.fidelity, self._inverse = self._preimages(weight)

    def _stacked(self) -> tuple[Tensor, Tensor]:
        weight = torch.cat([layer.weight for layer in self.layers])
        return weight, torch.cat([layer.bias for layer in self.layers])

    def _preimages(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        rows = torch.tensor([self.layers[i].row for i, _ in self.places])
        inverse = torch.zeros_like(weight)  # (S, w_dim): the step in its row for one sigma
        fidelity = torch.zeros(len(rows), dtype=torch.float64)
        for row in rows.unique().tolist():
            mine = (rows == row).nonzero()[:, 0]
            scaled = weight[mine] / self.spread[mine, None]
            pseudo = torch.linalg.pinv(scaled, rtol=CUTOFF)  # (w_dim, C)
            inverse[mine] = pseudo.T
            # a projection: one minus its diagonal is the squared error of each channel's move
            fidelity[mine] = (scaled * pseudo.T).sum(dim=1)
        return fidelity, inverse

    def styles(self, w: Tensor) -> Tensor:
        """Return the styles (N, S) of codes (N, w_dim)."""
        weight, bias = self._stacked()
        return w.detach().cpu().double() @ weight.T + bias

    def step(self, channel: int, num_ws: int) -> Tensor:
        """Return one standard deviation of a channel of S as a step in W+, (num_ws, w_dim)."""
        out = torch.zeros(num_ws, self._inverse.shape[1])
        out[self.layers[self.places[channel][0]].row] = self._inverse[channel].float()
        return out

    def usable(self) -> Tensor:
        """Return which channels (S,) an edit may use: no ToRGB, and faithful in W+."""
        shapes = torch.tensor([not self.layers[i].colours for i, _ in self.places])
        return shapes & (self.fidelity >= FAITHFUL)

    def rank(self, positives: Tensor) -> tuple[Tensor, Tensor]:
        """Order the channels by how consistently positive examples deviate in them.

        Parameters
        ----------
        positives : Tensor, shape (P, w_dim)
            Codes of faces that plainly have the attribute, at least 2; 10 to 30 in the paper.

        Returns
        -------
        order : Tensor, shape (S,)
            Channels, the most telling first.
        score : Tensor, shape (S,)
            |mean| / standard deviation of each channel's normalised deviations.
        """
        if positives.ndim != 2 or len(positives) < 2:
            raise ValueError(
                f"positives have shape {tuple(positives.shape)}; allowed: (at least 2, w_dim)"
            )
        deviation = (self.styles(positives) - self.mean) / self.spread
        score = deviation.mean(dim=0).abs() / deviation.std(dim=0).clamp_min(1e-6)
        return score.argsort(descending=True), score


class StyleSpaceEditor(LinearEditor):
    """Channels of S behind the editor interface.

    A request moves, for each attribute, the one or few channels that were chosen for it, as far as
    the gain curve says. ``details["terms"]`` holds the choice: layer, channel and standard
    deviations for one attribute unit; ``origin.space`` is "s".
    """

    name = "stylespace"

    @classmethod
    def from_codes(
        cls,
        layers: Sequence[StyleLayer],
        codes: Tensor,
        scores: Tensor,
        table: AttributeTable,
        read: Read,
        ws: Tensor,
        origin: Origin,
        *,
        most: int = 3,
        candidates: int = 8,
        positives: int = 100,
        size: float = 5.0,
        provenance: Mapping[str, str] | None = None,
    ) -> StyleSpaceEditor:
        """Rank channels for each attribute, measure the best, and choose.

        Parameters
        ----------
        layers : sequence of StyleLayer
            Of this generator.
        codes, scores : Tensor, shapes (N, w_dim) and (N, A)
            The population and its readings.
        table : AttributeTable
            The A attributes.
        read : callable
            The training ensemble: latents (B, num_ws, w_dim) to readings (B, A).
        ws : Tensor, shape (F, num_ws, w_dim)
            Faces on which effects are measured.
        origin : Origin
            Generator and set; its space is "s".
        most : int
            Channels of one attribute at most; 1 is the paper's single-channel edit.
        candidates : int
            Channels of each attribute's ranking, from either end of its scores, that are measured.
        positives : int
            Examples, those with the most extreme scores; N // 20 at most.
        size : float
            Standard deviations at which effects are measured.
        provenance : mapping of str to str, optional
            Hashes of what else went in.

        Raises
        ------
        ValueError
            Shapes that do not fit; no channel that W+ realises; no attribute that has examples.
        """
        origin.require("channels of S", space="s")
        if len(codes) != len(scores) or scores.shape[1:] != (len(table),):
            raise ValueError(
                f"codes {tuple(codes.shape)} and scores {tuple(scores.shape)} do not fit; allowed: "
                f"(N, w_dim) and (N, {len(table)})"
            )
        space = StyleSpace(layers, codes)
        usable = space.usable()
        if not bool(usable.any()):
            raise TooLittleError(
                f"no channel of S is realised in W+ by {FAITHFUL:.0%}: w_dim is smaller than the "
                "layers; allowed: a generator with w_dim of at least its channels"
            )
        reasons: dict[str, str] = {}
        wanted: list[int] = []
        count = max(2, min(positives, len(codes) // 20))
        for name, column in zip(table.names, scores.T, strict=True):
            extremes = column.argsort(descending=True)
            ends = extremes[:count], extremes[-count:]
            if why := why_unfit(column, *ends):
                reasons[name] = why
                continue
            for examples in ends:
                order, _ = space.rank(codes[examples])
                wanted += order[usable[order]][:candidates].tolist()
        if not wanted:
            name, why = next(iter(reasons.items()))
            raise TooLittleError(f"no attribute ranks the channels of S; {name}: {why}")
        measured = sorted(set(wanted))
        steps = [space.step(c, ws.shape[1]) for c in measured]
        effects = measure_effects(steps, read, ws, size)
        chosen, reasons = choose_for_all(
            effects, scores.std(dim=0), table.names, reasons, most, LONGEST, DAMPING, "channel"
        )
        total = torch.zeros(len(table), *ws.shape[1:])
        terms: dict[str, list[dict[str, object]]] = {}
        for name, parts in chosen.items():
            terms[name] = [
                {
                    "layer": layers[space.places[measured[i]][0]].name,
                    "channel": space.places[measured[i]][1],
                    "deviations": round(x, 4),
                    "fidelity": round(float(space.fidelity[measured[i]]), 4),
                }
                for i, x in parts
            ]
            total[table.index(name)] = sum(x * steps[i] for i, x in parts)
        details = {"terms": terms, "channels": len(space.places), "usable": int(usable.sum())}
        return cls(
            CalibratedSteps(total), table, origin, ws.shape[1], reasons, details, {}, provenance
        )
