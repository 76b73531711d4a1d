"""The layers that StyleGAN2's generator and discriminator share.

Names, parameter shapes and numbers follow the official PyTorch code, so that its weights load
as they are. What differs is how the work is done, for the sake of a CPU: plain convolutions in
`channels_last`, and the binomial low-pass filter as a depthwise convolution, which is the fastest
form forward and backward there: faster than three 2x2 mean pools, and than sums of shifted slices.
What all of it comes to beside the textbook's way is measured by `l2l bench synthesis`.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

__all__ = [
    "Conv2dLayer",
    "FullyConnectedLayer",
    "channel_table",
    "check_size",
    "compute_dtype",
    "filter_taps",
    "lowpass",
    "upsample_image",
]

LRELU_SLOPE = 0.2
LRELU_GAIN = math.sqrt(2.0)
RESAMPLE_FILTER = (1, 3, 3, 1)


def filter_taps(resample_filter: object = RESAMPLE_FILTER) -> torch.Tensor:
    """The 4x4 low-pass kernel, sum 1: the outer product of [1, 3, 3, 1] with itself over 64.

    Raises
    ------
    ValueError
        Another filter is asked for.
    """
    try:
        taps = [float(tap) for tap in resample_filter]  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        taps = []
    if taps != [float(tap) for tap in RESAMPLE_FILTER]:
        raise ValueError(f"resample_filter is {resample_filter!r}; it must be [1, 3, 3, 1]")
    row = torch.tensor(taps)
    return torch.outer(row, row) / row.sum().square()


def channel_table(img_resolution: int, channel_base: int, channel_max: int) -> dict[int, int]:
    """Channels at each resolution: min(channel_base // resolution, channel_max).

    Raises
    ------
    ValueError
        The resolution is not a power of two, or the table would hold an empty layer.
    """
    for name, value in (
        ("img_resolution", img_resolution),
        ("channel_base", channel_base),
        ("channel_max", channel_max),
    ):
        check_size(name, value, 1)
    if img_resolution < 4 or img_resolution & (img_resolution - 1):
        raise ValueError(
            f"img_resolution is {img_resolution}; it must be a power of two, at least 4"
        )
    if channel_base < img_resolution:
        raise ValueError(
            f"channel_base is {channel_base}; it must be at least img_resolution ({img_resolution})"
        )
    sides = [2**level for level in range(2, img_resolution.bit_length())]
    return {side: min(channel_base // side, channel_max) for side in sides}


def check_size(name: str, value: object, low: int) -> None:
    """Raise ValueError unless `value` is a whole number of at least `low`."""
    if type(value) is not int or value < low:
        raise ValueError(f"{name} is {value!r}; it must be a whole number of at least {low}")


def compute_dtype(like: torch.Tensor) -> torch.dtype:
    """The precision convolutions run in at this moment: autocast's if it is on, else `like`'s."""
    kind = like.device.type
    if torch.is_autocast_enabled(kind):
        return torch.get_autocast_dtype(kind)
    return like.dtype


def lowpass(
    x: torch.Tensor, taps: torch.Tensor, padding: int, stride: int = 1, gain: float = 1.0
) -> torch.Tensor:
    """Low-pass filter every channel of `x` (B, C, H, W) apart, zero-padded by `padding`."""
    # The products 1, 3, 9 over 64 are exact in bfloat16, so half precision filters exactly.
    return _Lowpass.apply(x, (taps * gain).to(x.dtype), padding, stride)


class _Lowpass(torch.autograd.Function):
    """The filter is symmetric, so its gradient is the same filter with the opposite padding.

    PyTorch's own gradient of a depthwise convolution with stride 2 runs through slow general code,
    and its second gradient loops over channels.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: torch.Tensor, kernel: torch.Tensor, padding: int, stride: int) -> torch.Tensor:
        channels = x.shape[1]
        weight = kernel.expand(channels, 1, 4, 4).contiguous(memory_format=torch.channels_last)
        return F.conv2d(x, weight, stride=stride, padding=padding, groups=channels)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        _, kernel, ctx.padding, ctx.stride = inputs
        ctx.save_for_backward(kernel)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        (kernel,) = ctx.saved_tensors
        if ctx.stride > 1:
            batch, channels, height, width = grad.shape
            spread = torch.zeros(
                (batch, channels, height * ctx.stride - 1, width * ctx.stride - 1),
                dtype=grad.dtype,
                device=grad.device,
            ).contiguous(memory_format=torch.channels_last)
            spread[:, :, :: ctx.stride, :: ctx.stride] = grad
            grad = spread
        grad = grad.contiguous(memory_format=torch.channels_last)
        return _Lowpass.apply(grad, kernel, 3 - ctx.padding, 1), None, None, None


def upsample_image(image: torch.Tensor, taps: torch.Tensor) -> torch.Tensor:
    """Double an image (B, C, H, W) with the low-pass filter, zeros beyond its edge."""
    channels = image.shape[1]
    kernel = (taps * 4.0).to(image.dtype).expand(channels, 1, 4, 4).contiguous()
    return F.conv_transpose2d(image, kernel, stride=2, padding=1, groups=channels)


class FullyConnectedLayer(nn.Module):
    """Linear layer with an equalised learning rate, linear or leaky ReLU.

    The stored weight has unit scale divided by `lr_multiplier`; the effective one is
    `weight * lr_multiplier / sqrt(in_features)`. Always computed in single precision: latent codes
    and styles do not survive bfloat16's eight bits.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        activation: str = "linear",
        lr_multiplier: float = 1.0,
        bias_init: float = 0.0,
    ) -> None:
        super().__init__()
        self.activation = _known_activation(activation)
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((out_features,), float(bias_init))) if bias else None
        self.weight_gain = lr_multiplier / math.sqrt(in_features)
        self.bias_gain = lr_multiplier

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, in_features) to (B, out_features)."""
        with torch.autocast(x.device.type, enabled=False):
            return self.exact(x.to(self.weight.dtype))

    def exact(self, x: torch.Tensor) -> torch.Tensor:
        """`forward` for a caller that has already left autocast."""
        gain = LRELU_GAIN if self.activation == "lrelu" else 1.0
        bias = None if self.bias is None else self.bias * (self.bias_gain * gain)
        x = F.linear(x, self.weight * (self.weight_gain * gain), bias)
        return F.leaky_relu(x, LRELU_SLOPE) if self.activation == "lrelu" else x


class Conv2dLayer(nn.Module):
    """Convolution with an equalised learning rate, optional halving, linear or leaky ReLU."""

    resample_filter: torch.Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        bias: bool = True,
        activation: str = "linear",
        down: int = 1,
        conv_clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.activation = _known_activation(activation)
        self.kernel_size = kernel_size
        self.down = down
        self.conv_clamp = conv_clamp
        self.weight_gain = 1 / math.sqrt(in_channels * kernel_size**2)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.register_buffer("resample_filter", filter_taps())

    def forward(self, x: torch.Tensor, gain: float = 1.0) -> torch.Tensor:
        """(B, in_channels, H, W) to (B, out_channels, H / down, W / down).

        `gain` scales the output. Leaky ReLU lets a positive factor through, so every gain is
        folded into the small weight and never costs a pass over the activations.
        """
        scale = gain * LRELU_GAIN if self.activation == "lrelu" else gain
        weight = (self.weight * (self.weight_gain * scale)).to(x.dtype)
        bias = None if self.bias is None else (self.bias * scale).to(x.dtype)
        stride, padding = 1, self.kernel_size // 2
        if self.down == 2 and self.kernel_size == 1:
            x = lowpass(x, self.resample_filter, padding=1, stride=2)
        elif self.down == 2:
            x = lowpass(x, self.resample_filter, padding=2)
            stride, padding = 2, 0
        x = F.conv2d(x, weight, bias, stride=stride, padding=padding)
        if self.activation == "lrelu":
            x = F.leaky_relu_(x, LRELU_SLOPE)
        if self.conv_clamp is not None:
            x = x.clamp(-self.conv_clamp * gain, self.conv_clamp * gain)
        return x


def _known_activation(activation: str) -> str:
    if activation not in ("linear", "lrelu"):
        raise ValueError(f"activation is {activation!r}; it must be 'linear' or 'lrelu'")
    return activation
