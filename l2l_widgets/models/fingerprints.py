"""What a part without a file is known by: a hash of what it holds."""

from __future__ import annotations

import hashlib
from typing import Any

import torch

from l2l_widgets.storage import sha256_tensors

__all__ = ["content_hash", "object_hash"]


def content_hash(part: Any, name: str) -> str:
    """Identity of a part without a file: its tensors, or a callable generator's average face."""
    if isinstance(part, torch.nn.Module):
        return sha256_tensors(part.state_dict())
    if name == "generator":
        with torch.inference_mode():
            ws = part.w_avg.reshape(1, 1, -1).repeat(1, part.num_ws, 1)
            picture = part.synthesis(ws, noise_mode="const")
        return hashlib.sha256(picture.cpu().float().numpy().tobytes()).hexdigest()
    return object_hash(part)


def object_hash(part: Any) -> str:
    """Identity of a plain object: its type and the tensors and modules that it holds."""
    digest = hashlib.sha256(f"{type(part).__module__}.{type(part).__qualname__}".encode())
    for name, value in sorted(getattr(part, "__dict__", {}).items()):
        if isinstance(value, torch.Tensor):
            digest.update(sha256_tensors({name: value}).encode())
        elif isinstance(value, torch.nn.Module):
            digest.update(f"{name}{sha256_tensors(value.state_dict())}".encode())
    return digest.hexdigest()
