"""StyleGAN2's synthesis as the paper writes it down: slow, plain, and what the rest is held to.

Every picture of a batch modulates and demodulates weights of its own, which one grouped convolution
applies; resampling filters go through padding and a depthwise convolution; tensors keep PyTorch's
usual layout. The official code does the same on a machine without its CUDA kernels. Nothing draws
with it: `l2l bench` and the tests compare.

Source: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", section 2.2.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from l2l_widgets.stylegan2.layers import LRELU_GAIN, LRELU_SLOPE
from l2l_widgets.stylegan2.synthesis import SynthesisLayer, SynthesisNetwork, ToRGBLayer

__all__ = ["draw"]


def draw(
    network: SynthesisNetwork, ws: torch.Tensor, noise_mode: str = "const"
) -> tuple[torch.Tensor, dict[int, torch.Tensor]]:
    """Draw pictures the textbook's way.

    Parameters
    ----------
    network
        Whose weights to use.
    ws
        (B, num_ws, w_dim).
    noise_mode
        `const` or `none`.

    Returns
    -------
    images : (B, img_channels, R, R), roughly in [-1, 1], not clipped
    features : side -> (B, C, side, side), what each block hands to the next
    """
    x = network.b4.const.expand(ws.shape[0], -1, -1, -1)
    img: torch.Tensor | None = None
    features = {}
    for side, rows in network.rows_of_blocks():
        block = getattr(network, f"b{side}")
        own = ws[:, rows]
        if side > 4:
            x = _styled(block.conv0, x, own[:, 0], noise_mode)
        x = features[side] = _styled(block.conv1, x, own[:, -2], noise_mode)
        colour = _colour(block.torgb, x, own[:, -1])
        img = colour if img is None else _upsample(img, block.resample_filter) + colour
    assert img is not None
    return img, features


def _styled(
    layer: SynthesisLayer, x: torch.Tensor, w: torch.Tensor, noise_mode: str
) -> torch.Tensor:
    style = layer.affine(w)
    weight = layer.weight[None] * style[:, None, :, None, None]  # (B, out, in, 3, 3)
    demodulation = (weight.square().sum(dim=[2, 3, 4]) + 1e-8).rsqrt()
    x = _grouped(x, weight * demodulation[:, :, None, None, None], layer.up)
    if layer.up == 2:
        x = _filter(x, layer.resample_filter * 4.0, (1, 1, 1, 1))
    if layer.use_noise and noise_mode == "const":
        x = x + layer.noise_const * layer.noise_strength
    x = F.leaky_relu(x + layer.bias[:, None, None], LRELU_SLOPE) * LRELU_GAIN
    return x if layer.conv_clamp is None else x.clamp(-layer.conv_clamp, layer.conv_clamp)


def _colour(layer: ToRGBLayer, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    style = layer.affine(w) * layer.weight_gain
    x = _grouped(x, layer.weight[None] * style[:, None, :, None, None], up=1)
    x = x + layer.bias[:, None, None]
    return x if layer.conv_clamp is None else x.clamp(-layer.conv_clamp, layer.conv_clamp)


def _grouped(x: torch.Tensor, weight: torch.Tensor, up: int) -> torch.Tensor:
    """One convolution for the batch, a group for each picture; twice the side where `up` is 2."""
    batch, outputs, inputs, size, _ = weight.shape
    x = x.reshape(1, batch * inputs, *x.shape[2:])
    if up == 2:
        kernels = weight.transpose(1, 2).reshape(batch * inputs, outputs, size, size)
        x = F.conv_transpose2d(x, kernels, stride=2, groups=batch)
    else:
        kernels = weight.reshape(batch * outputs, inputs, size, size)
        x = F.conv2d(x, kernels, padding=size // 2, groups=batch)
    return x.reshape(batch, outputs, *x.shape[2:])


def _filter(
    x: torch.Tensor, taps: torch.Tensor, padding: tuple[int, int, int, int]
) -> torch.Tensor:
    channels = x.shape[1]
    return F.conv2d(F.pad(x, padding), taps.expand(channels, 1, -1, -1), groups=channels)


def _upsample(image: torch.Tensor, taps: torch.Tensor) -> torch.Tensor:
    """Twice the side: zeros between the pixels, then the filter."""
    batch, channels, height, width = image.shape
    spread = image.reshape(batch, channels, height, 1, width, 1)
    spread = F.pad(spread, (0, 1, 0, 0, 0, 1)).reshape(batch, channels, 2 * height, 2 * width)
    return _filter(spread, taps * 4.0, (2, 1, 2, 1))
