"""Drawing with a StyleGAN2 whose weights rest: the synthesis network's quick path.

`SynthesisNetwork` comes here by itself in eval mode when nothing needs a gradient. The same sums as
in `l2l_widgets.stylegan2.textbook`, in another order:

- activations are scaled by the style before a convolution and by the demodulation after it, so one
  constant, prepared weight serves every face and every batch;
- the styles of all layers come from two batched products, demodulation is one of them;
- pixels lie next to their channels (B, H, W, C), which a CPU convolves and filters quickest;
- where channels are many, a convolution takes a quarter of the products (`winograd`);
- large layers are worked on in strips of rows, so that filter, noise, bias and activation find
  their input in the cache.

A polyphase form of the upsampling (one convolution for the transposed one and its filter) takes
four times the products and was slower at every size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from l2l_widgets.allocator import keep_memory
from l2l_widgets.stylegan2.layers import LRELU_GAIN, LRELU_SLOPE, FullyConnectedLayer
from l2l_widgets.stylegan2.winograd import WinogradKernel

if TYPE_CHECKING:
    from l2l_widgets.stylegan2.restart import PassMemory
    from l2l_widgets.stylegan2.synthesis import (
        SynthesisBlock,
        SynthesisLayer,
        SynthesisNetwork,
        ToRGBLayer,
    )

__all__ = ["FrozenSynthesis"]

#: From this many channels and pixels a side on, fewer products outweigh the way there and back.
WINOGRAD_CHANNELS, WINOGRAD_SIDE = 64, 16
#: Bytes of a layer's output that are worked on together; a few of them fit in a CPU's cache.
STRIP_BYTES = 2**23
#: From this side on activations outgrow what malloc recycles by itself.
LARGE_SIDE = 256


class FrozenSynthesis:
    """A synthesis network's weights, prepared for drawing without gradients.

    Draws what the network draws: in float32 to rounding, in bfloat16 as a draft. Made by
    `SynthesisNetwork` in eval mode, and dropped when any of its tensors is replaced or changes in
    place; writes through `tensor.data` escape PyTorch's bookkeeping and are not seen.

    Parameters
    ----------
    network
        Whose weights to prepare.
    dtype
        float32 or bfloat16; styles and the picture itself stay in float32.
    """

    def __init__(self, network: SynthesisNetwork, dtype: torch.dtype = torch.float32) -> None:
        self.dtype = dtype
        #: (row of W+, side, layer) in the order of drawing; a block ends with its colour.
        self.steps: list[tuple[int, int, _FrozenLayer | _FrozenColour]] = []
        affines: list[tuple[FullyConnectedLayer, float]] = []
        energies: list[tuple[int, torch.Tensor]] = []
        for side, used in network.rows_of_blocks():
            block: SynthesisBlock = getattr(network, f"b{side}")
            row = used.start
            for layer in (block.conv1,) if side == 4 else (block.conv0, block.conv1):
                energies.append((len(affines), layer.weight.detach().square().sum(dim=[2, 3])))
                frozen = _FrozenLayer(layer, len(affines), len(energies) - 1, dtype)
                self.steps.append((row, side, frozen))
                affines.append((layer.affine, 1.0))
                row += 1
            self.steps.append((row, side, _FrozenColour(block, len(affines), dtype)))
            affines.append((block.torgb.affine, block.torgb.weight_gain))
        const = network.b4.const.detach()
        self.const = const.permute(1, 2, 0).contiguous()[None].to(dtype)  # (1, 4, 4, C)

        # A style is `w_row @ weight + bias`, a demodulation `rsqrt(style^2 @ energy + epsilon)`:
        # padded to one width, those of all layers are one product each.
        width = max(affine.weight.shape[0] for affine, _ in affines)
        self.rows = torch.tensor([row for row, _, _ in self.steps], device=const.device)
        self.weight = const.new_zeros(len(affines), network.w_dim, width)
        self.bias = const.new_zeros(len(affines), 1, width)
        for index, (affine, gain) in enumerate(affines):
            assert affine.bias is not None
            used_width = affine.weight.shape[0]
            effective = affine.weight.detach() * (affine.weight_gain * gain)
            self.weight[index, :, :used_width] = effective.t()
            self.bias[index, 0, :used_width] = affine.bias.detach() * (affine.bias_gain * gain)
        self.demodulated = torch.tensor([index for index, _ in energies], device=const.device)
        # Where it is padded a demodulation must stay finite, hence ones and not zeros as bias.
        self.energy = const.new_zeros(len(energies), width, width)
        self.epsilon = const.new_ones(len(energies), 1, width)
        for index, (_, energy) in enumerate(energies):
            outputs, inputs = energy.shape
            # rsqrt(E / 2) is sqrt(2) rsqrt(E): the activation's gain costs nothing here.
            self.energy[index, :inputs, :outputs] = energy.t() / LRELU_GAIN**2
            self.epsilon[index, 0, :outputs] = 1e-8 / LRELU_GAIN**2

    def tensors(self) -> Iterator[torch.Tensor]:
        """All that was prepared; some of it may be a view of the network's own weights."""
        kernels = [layer.kernel for _, _, layer in self.steps if isinstance(layer, _FrozenLayer)]
        for part in (self, *(step for _, _, step in self.steps), *filter(None, kernels)):
            yield from (value for value in vars(part).values() if isinstance(value, torch.Tensor))

    @torch.no_grad()
    def grow(
        self,
        ws: torch.Tensor,
        noise_mode: str,
        largest: int,
        memory: PassMemory | None = None,
    ) -> Iterator[torch.Tensor]:
        """Draw block by block; who stops asking stops the work.

        Parameters
        ----------
        ws
            (B, num_ws, w_dim) float32.
        noise_mode
            `const` or `none`.
        largest
            Side of the last block to draw.
        memory
            Keeps activations, from which the next pass with it starts again.

        Yields
        ------
        (B, img_channels, side, side) float32, each twice the side of the one before. Restarted
        passes leave out the pictures that did not change.
        """
        if largest >= LARGE_SIDE and ws.device.type == "cpu":
            keep_memory()
        styles = torch.baddbmm(self.bias, ws.transpose(0, 1)[self.rows], self.weight)
        energy = styles[self.demodulated].square()
        demodulations = torch.baddbmm(self.epsilon, energy, self.energy).rsqrt_()
        styles, scales = styles.to(self.dtype), demodulations.to(self.dtype)

        steps = [step for step in self.steps if step[1] <= largest]
        x: torch.Tensor = self.const.expand(ws.shape[0], -1, -1, -1).contiguous()
        img: torch.Tensor | None = None
        start = 0
        if memory is not None:
            start, kept = memory.begin((self, noise_mode), ws, steps)
            if kept is not None:
                x, img = kept
            if start == len(steps):
                assert img is not None
                yield img
                return
        for index, (_, _, step) in enumerate(steps[start:], start):
            if memory is not None:
                memory.keep(index, x, img)
            if isinstance(step, _FrozenLayer):
                x = step(x, styles, scales, noise_mode)
                continue
            img = step(x, styles, img)
            if memory is not None and index == len(steps) - 1:
                memory.keep(index + 1, img.new_empty(0), img)
            yield img


class _FrozenLayer:
    # Up to this side noise is kept summed with the bias, at full width: one pass less over the
    # picture. Beyond it the sum would need more memory than it saves time.
    LARGEST_SUMMED_SIDE = 128

    def __init__(
        self, layer: SynthesisLayer, style: int, demodulation: int, dtype: torch.dtype
    ) -> None:
        weight = layer.weight.detach()
        self.outputs, self.inputs, size = weight.shape[:3]
        self.style, self.demodulation = style, demodulation
        self.up = layer.up
        self.clamp = layer.conv_clamp
        self.side = layer.resolution
        #: Products of one picture, which is what a restart saves.
        self.work = weight.numel() * (self.side // self.up) ** 2
        self.kernel: WinogradKernel | None = None
        if (
            self.up == 1
            and size == 3
            and self.side >= WINOGRAD_SIDE
            and min(weight.shape[:2]) >= WINOGRAD_CHANNELS
            and weight.device.type == "cpu"
        ):
            self.kernel = WinogradKernel(weight, dtype)
        else:
            weight = weight.transpose(0, 1) if self.up == 2 else weight
            self.weight = _channels_last(weight.to(dtype))
        if self.up == 2:
            taps = (layer.resample_filter * 4.0).to(dtype)
            self.lowpass = _channels_last(taps.expand(self.outputs, 1, 4, 4))
        self.bias = layer.bias.detach() * LRELU_GAIN
        self.noise: torch.Tensor | None = None  # (side, side, 1), or (side, side, C) with the bias
        self.summed = layer.use_noise and self.side <= self.LARGEST_SUMMED_SIDE
        if layer.use_noise:
            strength = layer.noise_strength.detach() * LRELU_GAIN
            noise = (layer.noise_const * strength)[:, :, None]
            self.noise = (self.bias + noise if self.summed else noise).to(dtype)
        self.bias = self.bias.to(dtype)

    def __call__(
        self, x: torch.Tensor, styles: torch.Tensor, scales: torch.Tensor, noise_mode: str
    ) -> torch.Tensor:
        """(B, H, W, inputs) to (B, up H, up W, outputs)."""
        style = styles[self.style, :, : self.inputs]
        scale = scales[self.demodulation, :, : self.outputs]
        noise = self.noise if noise_mode == "const" else None

        def finish(
            first: int, row: int, strip: torch.Tensor, target: torch.Tensor | None = None
        ) -> None:
            target = strip if target is None else target
            rows = slice(row, row + strip.shape[1])
            offset = self.bias if noise is None or not self.summed else noise[rows]
            own = scale[first : first + len(strip), None, None, :]
            torch.addcmul(offset, strip, own, out=target)
            if noise is not None and not self.summed:
                target.add_(noise[rows])
            F.leaky_relu_(target, LRELU_SLOPE)
            if self.clamp is not None:
                target.clamp_(-self.clamp, self.clamp)

        if self.kernel is not None:
            return self.kernel(x, style, finish)
        return self._direct(x, style, finish)

    def _direct(
        self, x: torch.Tensor, style: torch.Tensor, finish: Callable[..., None]
    ) -> torch.Tensor:
        batch, height, width, _ = x.shape
        height, width = self.up * height, self.up * width
        size = height * width * self.outputs * x.element_size()
        rows = max(8, height // max(1, -(-size // STRIP_BYTES)))
        if self.up == 1:
            y = self._modulated(x, style)
            for first in range(batch):
                for row in range(0, height, rows):
                    finish(first, row, y[first : first + 1, row : row + rows])
            return y
        out = x.new_empty(batch, height, width, self.outputs)
        together = max(1, min(batch, STRIP_BYTES // size))
        for first in range(0, batch, together):
            part = slice(first, first + together)
            y = self._modulated(x[part], style[part]).permute(0, 3, 1, 2)
            for row in range(0, height, rows):
                # One row of neighbours above and two below; the zeros around them are the
                # picture's edge, or fall on rows that are not taken.
                low = max(row - 1, 0)
                strip = F.conv2d(
                    y[:, :, low : row + rows + 2], self.lowpass, padding=1, groups=self.outputs
                )
                strip = strip[:, :, row - low : row - low + rows].permute(0, 2, 3, 1)
                finish(first, row, strip, out[part, row : row + rows])
        return out

    def _modulated(self, x: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        """The convolution of `x * style`; for one picture whichever of x and weight is smaller."""
        weight = self.weight
        if len(x) == 1 and weight.numel() < x.numel():
            weight = weight * (style.view(-1, 1, 1, 1) if self.up == 2 else style[:, :, None, None])
        else:
            x = x * style[:, None, None, :]
        x = x.permute(0, 3, 1, 2)
        if self.up == 2:
            y = F.conv_transpose2d(x, weight, stride=2)
        else:
            y = F.conv2d(x, weight, padding=weight.shape[2] // 2)
        return y.permute(0, 2, 3, 1)


class _FrozenColour:
    # Below this side one small matrix doubles the picture quickest, beyond it sums of shifted rows.
    LARGEST_MATRIX_SIDE = 64

    def __init__(self, block: SynthesisBlock, style: int, dtype: torch.dtype) -> None:
        layer: ToRGBLayer = block.torgb
        self.style = style
        self.weight = layer.weight.detach().flatten(1).to(dtype)
        self.bias = layer.bias.detach()
        self.clamp = layer.conv_clamp
        self.inputs, self.up = layer.weight.shape[1], 1
        self.work = layer.weight.numel() * block.resolution**2
        self.spread: torch.Tensor | None = None
        if 4 < block.resolution <= self.LARGEST_MATRIX_SIDE:
            self.spread = _upsampling_matrix(block.resample_filter, block.resolution)

    def __call__(
        self, x: torch.Tensor, styles: torch.Tensor, img: torch.Tensor | None
    ) -> torch.Tensor:
        """(B, H, W, inputs) and the picture of half the side, to (B, img_channels, H, W)."""
        batch, height, width, inputs = x.shape
        weight = styles[self.style, :, None, :inputs] * self.weight
        if batch == 1:
            pixels = x.permute(0, 3, 1, 2)
            colour = F.conv2d(pixels, weight[0, :, :, None, None]).float()
            colour = colour.contiguous().add_(self.bias[:, None, None])
        else:
            pixels = x.view(batch, height * width, inputs).transpose(1, 2)
            colour = torch.bmm(weight, pixels).float().add_(self.bias[:, None])
            colour = colour.view(batch, -1, height, width)
        if self.clamp is not None:
            colour.clamp_(-self.clamp, self.clamp)
        if img is None:
            return colour
        if self.spread is not None:
            return colour.add_(self.spread @ img @ self.spread.t())
        return colour.add_(_doubled(_doubled(img, 2), 3))


def _doubled(img: torch.Tensor, axis: int) -> torch.Tensor:
    """What the filter [1, 3, 3, 1] / 4 makes of an axis with zeros between its samples."""
    shape = list(img.shape)
    shape[axis : axis + 1] = [shape[axis], 2]
    out = (img * 0.75).unsqueeze(axis + 1).expand(shape).contiguous()
    count = img.shape[axis] - 1
    even, odd = out.select(axis + 1, 0), out.select(axis + 1, 1)
    even.narrow(axis, 1, count).add_(img.narrow(axis, 0, count), alpha=0.25)
    odd.narrow(axis, 0, count).add_(img.narrow(axis, 1, count), alpha=0.25)
    return out.flatten(axis, axis + 1)


def _upsampling_matrix(taps: torch.Tensor, side: int) -> torch.Tensor:
    """(side, side / 2): what `upsample_image` does to each column, as a product."""
    row = taps.sum(dim=0) * 2.0
    matrix = taps.new_zeros(side + 2, side // 2)
    for index in range(side // 2):
        matrix[2 * index : 2 * index + 4, index] = row
    return matrix[1:-1].contiguous()


def _channels_last(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous(memory_format=torch.channels_last)
