"""3x3 convolutions with a quarter of the multiplications, in strips that stay in the cache.

Winograd's way: an input tile and a kernel are carried to another basis, where the convolution is
one product per entry (one matrix product over channels), and the result is carried back. A tile of
4x4 outputs takes 36 products where the sum takes 144.

Source: Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks" (arXiv:1509.09308).
The points 0, ±1/√2, ±√2, ∞ lose half as many digits as their 0, ±1, ±2, ∞ (the choice of points is
discussed by Barabasz et al. 2020, "Error Analysis and Improving the Accuracy of Winograd
Convolution for Deep Neural Networks").
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch

__all__ = ["WinogradKernel"]

#: Outputs of a tile along each axis.
TILE = 4
#: Pixels that are worked on together. Enough for the matrix products to run at full speed, few
#: enough that a strip's tensors (some MB) are still in the cache when they are read again.
STRIP_PIXELS = 4096
_A, _B = math.sqrt(0.5), math.sqrt(2.0)

#: Takes output rows r to r + h of picture i (or of several pictures), (g, h, W, O), as they are
#: finished: `finish(first picture, first row, strip)`; it may change the strip in place.
Finish = Callable[[int, int, torch.Tensor], None]


class WinogradKernel:
    """A constant 3x3 kernel in the transformed basis.

    Parameters
    ----------
    weight
        (O, I, 3, 3) float32.
    dtype
        float32, or bfloat16 for a draft.
    """

    def __init__(self, weight: torch.Tensor, dtype: torch.dtype) -> None:
        outputs, inputs = weight.shape[:2]
        self.outputs = outputs
        rows = _kernel_rows().to(weight.device)
        # (b, a, I, O): b belongs to columns, a to rows, as in the transformed input.
        packed = torch.einsum("ay,oiyx,bx->baio", rows, weight.double(), rows)
        self.weight = packed.reshape(-1, inputs, outputs).to(dtype).contiguous()

    def __call__(self, x: torch.Tensor, scale: torch.Tensor, finish: Finish) -> torch.Tensor:
        """Convolve `x * scale`, zeros beyond its edge.

        Parameters
        ----------
        x
            (B, H, W, I) contiguous; H and W powers of two, not smaller than the tile.
        scale
            (B, I), multiplies the channels of `x`.
        finish
            Is given each strip of the output while it is in the cache.

        Returns
        -------
        (B, H, W, O)
        """
        batch, height, width, inputs = x.shape
        outputs = self.outputs
        across = width // TILE
        rows = min(height, max(TILE, STRIP_PIXELS // width)) // TILE
        together = max(1, min(batch, STRIP_PIXELS // (height * width)))

        out = x.new_empty(batch, height, width, outputs)
        for first in range(0, batch, together):
            g = min(together, batch - first)
            own = scale[first : first + g, None, None, :]
            padded = x.new_zeros(g, TILE * rows + 2, width + 2, inputs)
            lines = x.new_empty(TILE + 2, g, rows, width + 2, inputs)
            tiles = x.new_empty(TILE + 2, TILE + 2, g, rows, across, inputs)
            products = x.new_empty(TILE + 2, TILE + 2, g, rows, across, outputs)
            columns = x.new_empty(TILE, TILE + 2, g, rows, across, outputs)
            for row in range(0, height, TILE * rows):
                top, bottom = max(row - 1, 0), min(row + TILE * rows + 1, height)
                if row == 0:
                    padded[:, 0] = 0
                if bottom == height:
                    padded[:, -1] = 0
                inside = padded[:, top - row + 1 : bottom - row + 1, 1:-1]
                torch.mul(x[first : first + g, top:bottom], own, out=inside)
                last = TILE * (rows - 1) + 1
                _into_basis([padded[:, k : k + last : TILE] for k in range(TILE + 2)], lines)
                last = TILE * (across - 1) + 1
                _into_basis([lines[:, :, :, k : k + last : TILE] for k in range(TILE + 2)], tiles)
                torch.bmm(
                    tiles.view(len(self.weight), -1, inputs),
                    self.weight,
                    out=products.view(len(self.weight), -1, outputs),
                )
                _out_of_basis(products, columns)
                strip = out[first : first + g, row : row + TILE * rows]
                spots = strip.view(g, rows, TILE, across, TILE, outputs)
                # (b, a, g, rows, across, O) to (a, g, rows, across, b, O)
                turned = columns.permute(1, 2, 3, 4, 0, 5)
                _out_of_basis(turned, [spots[:, :, k] for k in range(TILE)])
                finish(first, row, strip)
        return out


def _kernel_rows() -> torch.Tensor:
    """(6, 3) float64: a kernel's values at the points, scaled as the two functions below need."""
    points, gains = [0.0, _A, -_A, _B, -_B], [1.0, _A, _A, _B, _B]
    rows = []
    for i, (point, gain) in enumerate(zip(points, gains, strict=True)):
        rest = math.prod(point - other for j, other in enumerate(points) if j != i)
        rows.append([gain * point**power / rest for power in range(3)])
    return torch.tensor([*rows, [0.0, 0.0, 1.0]], dtype=torch.float64)


def _into_basis(d: Sequence[torch.Tensor], v: torch.Tensor) -> None:
    """Six samples to the basis; the polynomials with all points but one as roots."""
    torch.sub(d[4], d[2], alpha=0.5, out=v[3])
    odd = torch.sub(d[3], d[1], alpha=0.5)
    torch.sub(v[3], d[2], alpha=2.0, out=v[0]).add_(d[0])
    torch.sub(v[3], odd, alpha=_B, out=v[4])
    v[3].add_(odd, alpha=_B)
    torch.sub(d[4], d[2], alpha=2.0, out=v[1])
    torch.sub(d[3], d[1], alpha=2.0, out=odd)
    torch.sub(v[1], odd, alpha=_A, out=v[2])
    v[1].add_(odd, alpha=_A)
    torch.sub(d[5], d[3], alpha=2.5, out=v[5]).add_(d[1])


def _out_of_basis(m: torch.Tensor, y: Sequence[torch.Tensor] | torch.Tensor) -> None:
    """Six products to four outputs."""
    even, odd = m[1] + m[2], m[1] - m[2]
    far_even, far_odd = m[3] + m[4], m[3] - m[4]
    torch.add(m[0], even, alpha=_B, out=y[0]).add_(far_even, alpha=_A)
    torch.add(odd, far_odd, out=y[1])
    torch.mul(even, _A, out=y[2]).add_(far_even, alpha=_B)
    torch.add(m[5], odd, alpha=0.5, out=y[3]).add_(far_odd, alpha=2.0)
