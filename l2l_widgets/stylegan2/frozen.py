"""Drawing with a StyleGAN2 whose weights rest: the synthesis network's quick path.

`SynthesisNetwork` comes here by itself in eval mode when nothing needs a gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from l2l_widgets.stylegan2.layers import LRELU_GAIN, LRELU_SLOPE, FullyConnectedLayer

if TYPE_CHECKING:
    from l2l_widgets.stylegan2.synthesis import (
        SynthesisBlock,
        SynthesisLayer,
        SynthesisNetwork,
        ToRGBLayer,
    )

__all__ = ["FrozenSynthesis"]


class FrozenSynthesis:
    """A synthesis network's weights, prepared for drawing without gradients.

    Equalised learning rates, activation gains and noise are folded in, convolutions are stored in
    `channels_last`, and the styles of all layers come from two batched products instead of a
    dozen small ones. Draws what the network draws, to rounding. Made by `SynthesisNetwork` in eval
    mode, and dropped when any of its tensors is replaced or changes in place; writes through
    `tensor.data` escape PyTorch's bookkeeping and are not seen.
    """

    def __init__(self, network: SynthesisNetwork) -> None:
        self.blocks: dict[int, tuple[list[_FrozenLayer], _FrozenColour, torch.Tensor | None]] = {}
        affines: list[tuple[int, FullyConnectedLayer, float]] = []
        energies: list[tuple[int, torch.Tensor]] = []
        for side, used in network.rows_of_blocks():
            block: SynthesisBlock = getattr(network, f"b{side}")
            layers: list[_FrozenLayer] = []
            for layer in (block.conv1,) if side == 4 else (block.conv0, block.conv1):
                energies.append((len(affines), layer.weight.detach().square().sum(dim=[2, 3])))
                affines.append((used.start + len(layers), layer.affine, 1.0))
                layers.append(_FrozenLayer(layer, len(affines) - 1, len(energies) - 1))
            affines.append((used.stop - 1, block.torgb.affine, block.torgb.weight_gain))
            colour = _FrozenColour(block.torgb, len(affines) - 1)
            spread = None if side == 4 else _upsampling_matrix(block.resample_filter, side)
            self.blocks[side] = (layers, colour, spread)
        self.const = _channels_last(network.b4.const.detach().unsqueeze(0))

        # A style is `w_row @ weight + bias`, a demodulation `rsqrt(style^2 @ energy + epsilon)`:
        # padded to one width, those of all layers are one product each.
        width = max(layer.weight.shape[0] for _, layer, _ in affines)
        self.rows = torch.tensor([row for row, _, _ in affines], device=self.const.device)
        self.weight = self.const.new_zeros(len(affines), network.w_dim, width)
        self.bias = self.const.new_zeros(len(affines), 1, width)
        for index, (_, affine, gain) in enumerate(affines):
            assert affine.bias is not None
            used_width = affine.weight.shape[0]
            effective = affine.weight.detach() * (affine.weight_gain * gain)
            self.weight[index, :, :used_width] = effective.t()
            self.bias[index, 0, :used_width] = affine.bias.detach() * (affine.bias_gain * gain)
        self.demodulated = torch.tensor([index for index, _ in energies], device=self.rows.device)
        # Where it is padded a demodulation must stay finite, hence ones and not zeros as bias.
        self.energy = self.const.new_zeros(len(energies), width, width)
        self.epsilon = self.const.new_ones(len(energies), 1, width)
        for index, (_, energy) in enumerate(energies):
            outputs, inputs = energy.shape
            # rsqrt(E / 2) is sqrt(2) rsqrt(E): the activation's gain costs nothing here.
            self.energy[index, :inputs, :outputs] = energy.t() / LRELU_GAIN**2
            self.epsilon[index, 0, :outputs] = 1e-8 / LRELU_GAIN**2

    def __call__(
        self, ws: torch.Tensor, noise_mode: str, plan: list[tuple[int, slice]]
    ) -> torch.Tensor:
        """See `SynthesisNetwork.forward`."""
        styles = torch.baddbmm(self.bias, ws.transpose(0, 1)[self.rows], self.weight)
        energy = styles[self.demodulated].square()
        demodulations = torch.baddbmm(self.epsilon, energy, self.energy).rsqrt_()
        x = self.const
        img: torch.Tensor | None = None
        for side, _ in plan:
            layers, colour, spread = self.blocks[side]
            for layer in layers:
                x = layer(x, styles, demodulations, noise_mode)
            added = colour(x, styles)
            if img is not None and spread is not None:
                added = added.add_(spread @ img @ spread.t())
            img = added
        assert img is not None
        return img


class _FrozenLayer:
    # Up to this side noise is kept summed with the bias, at full width: one pass less over the
    # picture. Beyond it the sum would need more memory than it saves time.
    LARGEST_SUMMED_SIDE = 128

    def __init__(self, layer: SynthesisLayer, style: int, demodulation: int) -> None:
        weight = layer.weight.detach()
        self.outputs, self.inputs = weight.shape[:2]
        self.style, self.demodulation = style, demodulation
        self.up = layer.up
        self.clamp = layer.conv_clamp
        self.padding = weight.shape[2] // 2
        self.weight = _channels_last(weight.transpose(0, 1) if self.up == 2 else weight)
        kernel = (layer.resample_filter * 4.0).expand(self.outputs, 1, 4, 4)
        self.lowpass = _channels_last(kernel) if self.up == 2 else None
        self.bias = layer.bias.detach()[None, :, None, None] * LRELU_GAIN
        self.summed = layer.use_noise and layer.resolution <= self.LARGEST_SUMMED_SIDE
        self.noise: torch.Tensor | None = None
        if layer.use_noise:
            self.noise = layer.noise_const * (layer.noise_strength.detach() * LRELU_GAIN)
            if self.summed:
                self.noise = _channels_last(self.bias + self.noise)

    def __call__(
        self,
        x: torch.Tensor,
        styles: torch.Tensor,
        demodulations: torch.Tensor,
        noise_mode: str,
    ) -> torch.Tensor:
        x = x * styles[self.style, :, : self.inputs, None, None]
        if self.lowpass is not None:
            x = F.conv_transpose2d(x, self.weight, stride=2)
            x = F.conv2d(x, self.lowpass, padding=1, groups=self.outputs)
        else:
            x = F.conv2d(x, self.weight, padding=self.padding)
        noise = self.noise if noise_mode == "const" else None
        offset = noise if noise is not None and self.summed else self.bias
        scale = demodulations[self.demodulation, :, : self.outputs, None, None]
        x = torch.addcmul(offset, x, scale)
        if noise is not None and not self.summed:
            x = x.add_(noise)
        x = F.leaky_relu_(x, LRELU_SLOPE)
        return x if self.clamp is None else x.clamp_(-self.clamp, self.clamp)


class _FrozenColour:
    def __init__(self, layer: ToRGBLayer, style: int) -> None:
        self.style = style
        self.weight = layer.weight.detach().flatten(1)
        self.bias = layer.bias.detach()
        self.clamp = layer.conv_clamp

    def __call__(self, x: torch.Tensor, styles: torch.Tensor) -> torch.Tensor:
        batch, inputs, height, width = x.shape
        weight = styles[self.style, :, None, :inputs] * self.weight
        if batch == 1:
            colour = F.conv2d(x, weight[0, :, :, None, None], self.bias)
        else:
            pixels = x.permute(0, 2, 3, 1).reshape(batch, height * width, inputs)
            colour = torch.bmm(weight, pixels.transpose(1, 2)).add_(self.bias[:, None])
            colour = colour.view(batch, -1, height, width)
        return colour if self.clamp is None else colour.clamp_(-self.clamp, self.clamp)


def _upsampling_matrix(taps: torch.Tensor, side: int) -> torch.Tensor:
    """(side, side / 2): what `upsample_image` does to each column, as a product."""
    row = taps.sum(dim=0) * 2.0
    matrix = taps.new_zeros(side + 2, side // 2)
    for index in range(side // 2):
        matrix[2 * index : 2 * index + 4, index] = row
    return matrix[1:-1].contiguous()


def _channels_last(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous(memory_format=torch.channels_last)
