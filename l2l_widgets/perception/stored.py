"""Networks of perception as files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from l2l_widgets.perception.networks import (
    AttributeNet,
    FaceEmbeddingNet,
    LandmarkNet,
    LatentEncoder,
)
from l2l_widgets.perception.parsing import ParsingNet
from l2l_widgets.storage import StorageError, load_safetensors, save_safetensors

FORMAT = "l2l-perception/1"

NETWORKS: dict[str, type[nn.Module]] = {
    "AttributeNet": AttributeNet,
    "FaceEmbeddingNet": FaceEmbeddingNet,
    "LandmarkNet": LandmarkNet,
    "LatentEncoder": LatentEncoder,
    "ParsingNet": ParsingNet,
}


def save_network(
    path: str | os.PathLike[str], network: nn.Module, metadata: Mapping[str, str] | None = None
) -> None:
    """Write a network of this module with its configuration, atomically.

    Weights are stored in half precision: the error is far below a network's own.
    """
    name = type(network).__name__
    if name not in NETWORKS:
        raise ValueError(f"network is a {name}; allowed: {', '.join(NETWORKS)}")
    tensors = {k: v.half() if v.is_floating_point() else v for k, v in network.state_dict().items()}
    entries = {**(metadata or {}), "format": FORMAT, "network": name}
    save_safetensors(path, tensors, {**entries, "config": json.dumps(network.config)})


def load_network(path: str | os.PathLike[str]) -> Any:
    """Read what :func:`save_network` wrote; in eval mode, without gradients.

    Raises
    ------
    StorageError
        The file is missing, damaged, or not a network of this package.
    """
    tensors, metadata = load_safetensors(path)
    if metadata.get("format") != FORMAT or metadata.get("network") not in NETWORKS:
        field, wanted = "format", repr(FORMAT)
        if metadata.get("format") == FORMAT:
            field, wanted = "network", f"one of {', '.join(NETWORKS)}"
        raise StorageError(
            f"{str(Path(path))!r} is not a perception network of this package: its metadata field "
            f"{field!r} is {metadata.get(field)!r}, wanted {wanted}"
        )
    try:
        network = NETWORKS[metadata["network"]](**json.loads(metadata["config"]))
        network.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        first = str(error).splitlines()[0]
        raise StorageError(f"{str(Path(path))!r} does not build its network: {first}") from error
    return network.eval().requires_grad_(False)
