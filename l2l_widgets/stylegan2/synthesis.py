"""StyleGAN2's synthesis network: W+ to picture.

The official code multiplies every weight by the style and runs one grouped convolution per
picture. Here the *activations* are scaled by the style before a plain convolution and by the
demodulation after it, which is the same sum in another order: one constant weight serves the whole
batch. Without gradients the network's effective weights are kept between calls (`FrozenSynthesis`),
and a picture can be had as it grows, as a draft, or from where the latent changed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from l2l_widgets.latents import num_ws_for
from l2l_widgets.stylegan2.frozen import FrozenSynthesis
from l2l_widgets.stylegan2.layers import (
    LRELU_GAIN,
    LRELU_SLOPE,
    RESAMPLE_FILTER,
    FullyConnectedLayer,
    channel_table,
    compute_dtype,
    filter_taps,
    lowpass,
    upsample_image,
)
from l2l_widgets.stylegan2.restart import PassMemory

__all__ = ["SynthesisBlock", "SynthesisLayer", "SynthesisNetwork", "ToRGBLayer"]

NOISE_MODES = ("const", "random", "none")


class SynthesisNetwork(nn.Module):
    """W+ to picture: a constant grows through modulated convolutions, each side adding colour."""

    OPTIONS = (
        "channel_base",
        "channel_max",
        "conv_clamp",
        "use_noise",
        "num_fp16_res",
        "architecture",
        "activation",
        "resample_filter",
    )
    b4: SynthesisBlock

    def __init__(
        self,
        w_dim: int,
        img_resolution: int,
        img_channels: int = 3,
        channel_base: int = 32768,
        channel_max: int = 512,
        conv_clamp: float | None = None,
        use_noise: bool = True,
        num_fp16_res: int = 0,
        architecture: str = "skip",
        activation: str = "lrelu",
        resample_filter: object = RESAMPLE_FILTER,
    ) -> None:
        super().__init__()
        # `num_fp16_res` is accepted from official configurations and chooses nothing here:
        # precision is the caller's, through autocast.
        if architecture != "skip":
            raise ValueError(f"architecture is {architecture!r}; only 'skip' is supported")
        if activation != "lrelu":
            raise ValueError(f"activation is {activation!r}; only 'lrelu' is supported")
        filter_taps(resample_filter)
        channels = channel_table(img_resolution, channel_base, channel_max)
        self.w_dim = w_dim
        self.img_resolution = img_resolution
        self.img_channels = img_channels
        self.num_ws = num_ws_for(img_resolution)
        self.block_resolutions = list(channels)
        for side in self.block_resolutions:
            block = SynthesisBlock(
                0 if side == 4 else channels[side // 2],
                channels[side],
                w_dim,
                side,
                img_channels,
                conv_clamp,
                use_noise,
            )
            setattr(self, f"b{side}", block)
        self._frozen: dict[torch.dtype, tuple[list[tuple[int, int]], FrozenSynthesis]] = {}

    def forward(
        self,
        ws: torch.Tensor,
        noise_mode: str = "const",
        max_resolution: int | None = None,
        noise_generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Draw pictures.

        Parameters
        ----------
        ws
            (B, num_ws, w_dim).
        noise_mode
            `const` uses the stored noise (the same picture every time), `random` draws new noise,
            `none` uses none.
        max_resolution
            Stop after the block of this side and return its picture; None means the full side.
        noise_generator
            Source of `random` noise, on any device; None means torch's own.

        Returns
        -------
        images : (B, img_channels, R, R) float32, roughly in [-1, 1], not clipped

        Raises
        ------
        ValueError
            A wrong shape, an unknown noise mode, or a side the network does not have.
        """
        img = None
        for img in self.grow(ws, noise_mode, max_resolution, noise_generator):  # noqa: B007
            pass
        assert img is not None
        return img

    def grow(
        self,
        ws: torch.Tensor,
        noise_mode: str = "const",
        max_resolution: int | None = None,
        noise_generator: torch.Generator | None = None,
        *,
        draft: bool = False,
        memory: PassMemory | None = None,
    ) -> Iterator[torch.Tensor]:
        """Draw pictures block by block: each is the skip output so far, at no extra work.

        Nothing is computed ahead of what is asked for: leave the loop, and the rest is not drawn.

        Parameters
        ----------
        ws, noise_mode, max_resolution, noise_generator
            As for `forward`.
        draft
            Compute in bfloat16, where weights rest: twice the speed on a CPU that has it, and an
            error of about a fiftieth of the picture's spread. Never for the final picture.
        memory
            From the last pass, to start where the first changed row of `ws` enters; the picture is
            the same as that of a full pass, to the bit. Used only where weights rest. What it keeps
            are the tensors that are handed out: do not change them in place.

        Yields
        ------
        images : (B, img_channels, side, side) float32, side 4, 8, ... max_resolution; a pass that
            starts from `memory` leaves out the sides that did not change

        Raises
        ------
        ValueError
            As for `forward`, at the first step.
        """
        plan = self._plan(ws, noise_mode, max_resolution)
        dtype = torch.bfloat16 if draft else torch.float32
        if noise_mode != "random" and (frozen := self._frozen_weights(ws, dtype)) is not None:
            yield from frozen.grow(ws, noise_mode, plan[-1][0], memory)
            return
        img = None
        x = None
        for side, rows in plan:
            block = getattr(self, f"b{side}")
            x, img = block(x, img, ws[:, rows], noise_mode, noise_generator)
            assert img is not None
            yield img

    def _plan(
        self, ws: torch.Tensor, noise_mode: str, max_resolution: int | None
    ) -> list[tuple[int, slice]]:
        """The blocks to run and the rows of W+ that each reads."""
        if ws.ndim != 3 or ws.shape[1:] != (self.num_ws, self.w_dim):
            raise ValueError(
                f"ws has shape {tuple(ws.shape)}; it must be (B, {self.num_ws}, {self.w_dim})"
            )
        if noise_mode not in NOISE_MODES:
            raise ValueError(f"noise_mode is {noise_mode!r}; it must be one of {NOISE_MODES}")
        if max_resolution is None:
            max_resolution = self.img_resolution
        if max_resolution not in self.block_resolutions:
            raise ValueError(
                f"max_resolution is {max_resolution!r}; it must be one of {self.block_resolutions}"
            )
        count = self.block_resolutions.index(max_resolution) + 1
        return self.rows_of_blocks()[:count]

    def rows_of_blocks(self) -> list[tuple[int, slice]]:
        """Each block's side and the rows of W+ that it reads, from small to large.

        Block 4 reads rows 0 and 1; each later block starts at the row whose style coloured the one
        before it, and reads three.
        """
        rows = [(4, slice(0, 2))]
        for side in self.block_resolutions[1:]:
            start = rows[-1][1].stop - 1
            rows.append((side, slice(start, start + 3)))
        return rows

    def _frozen_weights(self, ws: torch.Tensor, dtype: torch.dtype) -> FrozenSynthesis | None:
        """The kept weights where they may be used, made anew after any change to the network."""
        if self.training or torch.is_autocast_enabled(ws.device.type):
            return None
        const = self.b4.const
        if ws.device != const.device or not ws.dtype == const.dtype == torch.float32:
            return None
        tracked = torch.is_grad_enabled()
        if tracked and ws.requires_grad:
            return None
        state = []
        for module in self.modules():
            for tensor in (*module._parameters.values(), *module._buffers.values()):
                if tensor is None:
                    continue
                if (tracked and tensor.requires_grad) or tensor.is_inference():
                    return None
                # In-place changes raise the version; replaced tensors and moves change the address.
                state.append((tensor.data_ptr(), tensor._version))
        # Copies of what the weights were, in the other precision too, are room for nothing.
        self._frozen = {key: kept for key, kept in self._frozen.items() if kept[0] == state}
        kept = self._frozen.get(dtype)
        if kept is None:
            # Normal tensors even when first called in inference mode: they outlive the call.
            with torch.inference_mode(False), torch.no_grad():
                kept = (state, FrozenSynthesis(self, dtype))
            self._frozen[dtype] = kept
        return kept[1]

    @property
    def prepared_bytes(self) -> int:
        """Bytes of the weights kept between calls, beside the network's own.

        At most one copy for pictures and one for drafts. A convolution that takes a quarter of the
        products keeps four numbers for each of its weights; all other tensors are in proportion to
        the network, or one layer's activations in size.
        """
        own = {t.untyped_storage().data_ptr() for t in (*self.parameters(), *self.buffers())}
        kept = {
            t.untyped_storage().data_ptr(): t.untyped_storage().nbytes()
            for _, frozen in list(self._frozen.values())
            for t in frozen.tensors()
        }
        return sum(size for address, size in kept.items() if address not in own)

    def __getstate__(self) -> dict[str, Any]:
        # Copies and pickles make their own: the kept weights outweigh the network.
        return {**self.__dict__, "_frozen": {}}


class SynthesisBlock(nn.Module):
    """One resolution: one or two styled convolutions, and what they add to the picture."""

    const: nn.Parameter
    resample_filter: torch.Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        w_dim: int,
        resolution: int,
        img_channels: int,
        conv_clamp: float | None = None,
        use_noise: bool = True,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.resolution = resolution
        self.register_buffer("resample_filter", filter_taps())
        if in_channels == 0:
            self.const = nn.Parameter(torch.randn(out_channels, resolution, resolution))
        else:
            self.conv0 = SynthesisLayer(
                in_channels,
                out_channels,
                w_dim,
                resolution,
                up=2,
                use_noise=use_noise,
                conv_clamp=conv_clamp,
            )
        self.conv1 = SynthesisLayer(
            out_channels,
            out_channels,
            w_dim,
            resolution,
            use_noise=use_noise,
            conv_clamp=conv_clamp,
        )
        self.torgb = ToRGBLayer(out_channels, img_channels, w_dim, conv_clamp=conv_clamp)

    def forward(
        self,
        x: torch.Tensor | None,
        img: torch.Tensor | None,
        ws: torch.Tensor,
        noise_mode: str = "const",
        noise_generator: torch.Generator | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Features and picture of half the side, with 2 or 3 rows of W+, to those of this side."""
        if x is None:
            dtype = compute_dtype(self.const)
            x = self.const.to(dtype).expand(ws.shape[0], -1, -1, -1)
            x = x.contiguous(memory_format=torch.channels_last)
        else:
            x = self.conv0(x, ws[:, 0], noise_mode, noise_generator)
        x = self.conv1(x, ws[:, -2], noise_mode, noise_generator)
        colour = self.torgb(x, ws[:, -1])
        if img is not None:
            colour = colour + upsample_image(img, self.resample_filter)
        return x, colour


class SynthesisLayer(nn.Module):
    """Modulated 3x3 convolution, demodulation, noise, bias, leaky ReLU; may double the side."""

    resample_filter: torch.Tensor
    noise_const: torch.Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        w_dim: int,
        resolution: int,
        kernel_size: int = 3,
        up: int = 1,
        use_noise: bool = True,
        conv_clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.resolution = resolution
        self.up = up
        self.use_noise = use_noise
        self.conv_clamp = conv_clamp
        self.affine = FullyConnectedLayer(w_dim, in_channels, bias_init=1)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.register_buffer("resample_filter", filter_taps())
        if use_noise:
            self.register_buffer("noise_const", torch.randn(resolution, resolution))
            self.noise_strength = nn.Parameter(torch.zeros([]))

    def forward(
        self,
        x: torch.Tensor,
        w: torch.Tensor,
        noise_mode: str = "const",
        noise_generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """(B, in_channels, H, W) and (B, w_dim) to (B, out_channels, up H, up W)."""
        with torch.autocast(x.device.type, enabled=False):
            style = self.affine.exact(w.to(self.affine.weight.dtype))
            energy = self.weight.square().sum(dim=[2, 3])
            # sqrt(2), the gain of the activation, rides on the demodulation and the bias.
            demodulation = F.linear(style.square(), energy).add(1e-8).rsqrt() * LRELU_GAIN
        x = x * _channels(style, x)
        weight = self.weight.to(x.dtype)
        if self.up == 2:
            x = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
            x = lowpass(x, self.resample_filter, padding=1, gain=4.0)
        else:
            x = F.conv2d(x, weight, padding=weight.shape[2] // 2)
        x = x * _channels(demodulation, x)
        # In place on a tensor of its own: on a view, autograd would copy the gradient twice.
        rows = F.leaky_relu_(self._plus_noise_and_bias(x, noise_mode, noise_generator), LRELU_SLOPE)
        x = rows.view(x.permute(0, 2, 3, 1).shape).permute(0, 3, 1, 2)
        if self.conv_clamp is not None:
            x = x.clamp(-self.conv_clamp, self.conv_clamp)
        return x

    def _plus_noise_and_bias(
        self, x: torch.Tensor, noise_mode: str, generator: torch.Generator | None
    ) -> torch.Tensor:
        """`x` plus its noise and bias, as one row of channels per pixel: (B H W, C)."""
        rows = x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])
        bias = self.bias * LRELU_GAIN
        if not self.use_noise or noise_mode == "none":
            return rows + bias.to(x.dtype)
        shape = (x.shape[0], self.resolution, self.resolution)
        if noise_mode == "random":
            where = x.device if generator is None else generator.device
            noise = torch.randn(shape, generator=generator, device=where).to(x)
        else:
            noise = self.noise_const.to(x.dtype).expand(shape)
        # One product of two columns adds both: [noise, 1] @ [[strength ...], [bias ...]]. It is
        # half the price of two broadcast sums, and its gradient sums over pixels in one product.
        columns = torch.stack([noise.reshape(-1), rows.new_ones(()).expand(len(rows))], dim=1)
        strength = (self.noise_strength * LRELU_GAIN).expand_as(bias)
        return torch.addmm(rows, columns, torch.stack([strength, bias]).to(x.dtype))


class ToRGBLayer(nn.Module):
    """Modulated 1x1 convolution to picture channels, without demodulation."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        w_dim: int,
        kernel_size: int = 1,
        conv_clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.conv_clamp = conv_clamp
        self.affine = FullyConnectedLayer(w_dim, in_channels, bias_init=1)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.weight_gain = 1 / math.sqrt(in_channels * kernel_size**2)

    def forward(self, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, H, W) and (B, w_dim) to (B, out_channels, H, W) float32."""
        with torch.autocast(x.device.type, enabled=False):
            style = self.affine.exact(w.to(self.affine.weight.dtype)) * self.weight_gain
            # With three outputs the modulated weights are tiny: here it is they that are scaled.
            weight = style.unsqueeze(2) * self.weight.flatten(1).t()
        batch, _, height, width = x.shape
        pixels = x.permute(0, 2, 3, 1).reshape(batch, height * width, -1)
        # The picture is a sum over sides: kept in single precision, or bfloat16 would band it.
        colour = torch.bmm(pixels, weight.to(x.dtype)).to(self.bias.dtype) + self.bias
        if self.conv_clamp is not None:
            colour = colour.clamp(-self.conv_clamp, self.conv_clamp)
        return colour.view(batch, height, width, -1).permute(0, 3, 1, 2)


def _channels(factors: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """(B, C) factors, shaped and cast to scale the channels of `x`."""
    return factors.to(x.dtype)[:, :, None, None]
