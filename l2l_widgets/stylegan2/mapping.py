"""StyleGAN2's mapping network: z to w.

Source: Karras et al. 2019, "A Style-Based Generator Architecture for Generative Adversarial
Networks", section 2; names and numbers as in the official PyTorch code of StyleGAN2.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from l2l_widgets.latents import truncate
from l2l_widgets.stylegan2.layers import FullyConnectedLayer, check_size

__all__ = ["MappingNetwork"]


class MappingNetwork(nn.Module):
    """z (and condition) to w, repeated over the rows of W+.

    Parameters
    ----------
    num_ws
        Rows to repeat over; None returns w itself, (B, w_dim).
    num_layers
        Linear layers with leaky ReLU.
    embed_features, layer_features
        Widths of the condition's embedding and of the inner layers; None means w_dim.
    lr_multiplier
        Learning rate of these layers relative to the rest.
    w_avg_beta
        Decay of the running mean of w, which training mode updates; None keeps no mean.
    classes
        Of a conditional network: what it draws where no condition is given; see `choose_classes`.
    """

    OPTIONS = (
        "num_layers",
        "embed_features",
        "layer_features",
        "activation",
        "lr_multiplier",
        "w_avg_beta",
        "classes",
    )
    w_avg: torch.Tensor
    fc0: FullyConnectedLayer

    def __init__(
        self,
        z_dim: int,
        c_dim: int,
        w_dim: int,
        num_ws: int | None,
        num_layers: int = 8,
        embed_features: int | None = None,
        layer_features: int | None = None,
        activation: str = "lrelu",
        lr_multiplier: float = 0.01,
        w_avg_beta: float | None = 0.995,
        classes: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        check_size("num_layers", num_layers, 1)
        self.z_dim = z_dim
        self.c_dim = c_dim
        self.w_dim = w_dim
        self.num_ws = num_ws
        self.num_layers = num_layers
        self.w_avg_beta = w_avg_beta
        embedded = 0 if c_dim == 0 else w_dim if embed_features is None else embed_features
        inner = w_dim if layer_features is None else layer_features
        if c_dim > 0:
            self.embed = FullyConnectedLayer(c_dim, embedded)
        widths = [z_dim + embedded] + [inner] * (num_layers - 1) + [w_dim]
        for index in range(num_layers):
            layer = FullyConnectedLayer(
                widths[index],
                widths[index + 1],
                activation=activation,
                lr_multiplier=lr_multiplier,
            )
            setattr(self, f"fc{index}", layer)
        if num_ws is not None and w_avg_beta is not None:
            self.register_buffer("w_avg", torch.zeros(w_dim))
        self.choose_classes(classes)

    def choose_classes(self, classes: Sequence[int] | None) -> None:
        """Say which classes are drawn where no condition is given.

        Parameters
        ----------
        classes
            One class, from 0, or several that get equal shares (a class that stands there twice
            gets two). Which of them a z becomes is read off its bits, so that a seed is the same
            face everywhere, and classes do not lie on different sides of z. None chooses nothing.

        Raises
        ------
        ValueError
            A class that is not there, or a network without classes.
        """
        wrong = [c for c in classes or () if type(c) is not int or not 0 <= c < self.c_dim]
        if classes is not None and (wrong or not classes):
            allowed = f"0 to {self.c_dim - 1}" if self.c_dim else "none, as c_dim is 0"
            raise ValueError(f"classes are {list(classes)!r}; allowed: {allowed}")
        self.classes = None if classes is None else tuple(classes)

    def forward(
        self,
        z: torch.Tensor | None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        c: torch.Tensor | None = None,
        skip_w_avg_update: bool = False,
    ) -> torch.Tensor:
        """Map latent codes.

        Parameters
        ----------
        z
            (B, z_dim); each code is scaled to unit mean square first.
        truncation_psi, truncation_cutoff
            See `l2l_widgets.latents.truncate`.
        c
            (B, c_dim) when the network is conditional; where it is missing, the chosen classes.
        skip_w_avg_update
            Leave the running mean alone in training mode.

        Returns
        -------
        ws : (B, num_ws, w_dim) float32

        Raises
        ------
        ValueError
            A wrong shape, or truncation without a running mean.
        """
        device = self.fc0.weight.device
        with torch.autocast(device.type, enabled=False):
            x = self._inputs(z, c)
            for index in range(self.num_layers):
                x = getattr(self, f"fc{index}").exact(x)
            if self.num_ws is None:
                return x
            if self.training and self.w_avg_beta is not None and not skip_w_avg_update:
                with torch.no_grad():
                    self.w_avg.copy_(x.mean(dim=0).lerp(self.w_avg, self.w_avg_beta))
            ws = x.unsqueeze(1).repeat(1, self.num_ws, 1)
            if truncation_psi == 1:
                return ws
            if self.w_avg_beta is None:
                raise ValueError(
                    f"truncation_psi is {truncation_psi}; it must be 1, as this network was built "
                    "with w_avg_beta=None and keeps no average w"
                )
            return truncate(ws, self.w_avg, truncation_psi, truncation_cutoff)

    def _inputs(self, z: torch.Tensor | None, c: torch.Tensor | None) -> torch.Tensor:
        parts = []
        dtype = self.fc0.weight.dtype
        if self.z_dim > 0:
            parts.append(_unit_mean_square(_rows("z", z, self.z_dim).to(dtype)))
        if c is None and self.classes is not None and z is not None:
            c = self.labels(z)
        if self.c_dim > 0:
            embedded = self.embed.exact(_rows("c", c, self.c_dim).to(dtype))
            parts.append(_unit_mean_square(embedded))
        elif c is not None and c.numel() > 0:
            raise ValueError(
                f"c has shape {tuple(c.shape)}; this network takes no condition (c_dim 0)"
            )
        if len({part.shape[0] for part in parts}) > 1:
            raise ValueError(
                f"z and c must have the same number of rows; they have {parts[0].shape[0]} "
                f"and {parts[1].shape[0]}"
            )
        return torch.cat(parts, dim=1)

    def labels(self, z: torch.Tensor) -> torch.Tensor:
        """The condition (B, c_dim) that each z (B, z_dim) gets by the chosen classes, one-hot."""
        if self.classes is None:
            raise ValueError("no classes are chosen; allowed: after choose_classes")
        where = torch.zeros(len(z), dtype=torch.long, device=z.device)
        if len(self.classes) > 1:
            bits = z.detach().float().contiguous().view(torch.int32).long() % 65521
            odd = torch.arange(1, 2 * z.shape[1], 2, device=z.device)
            where = (bits * odd).sum(dim=1) % 2147483647 % len(self.classes)
        chosen = torch.tensor(self.classes, device=z.device)[where]
        return nn.functional.one_hot(chosen, self.c_dim).to(self.fc0.weight.dtype)


def _rows(name: str, value: torch.Tensor | None, length: int) -> torch.Tensor:
    if not isinstance(value, torch.Tensor):
        raise ValueError(f"{name} is {value!r}; it must be a (B, {length}) tensor")
    if value.ndim != 2 or value.shape[1] != length:
        raise ValueError(f"{name} has shape {tuple(value.shape)}; it must be (B, {length})")
    return value


def _unit_mean_square(x: torch.Tensor) -> torch.Tensor:
    return x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
