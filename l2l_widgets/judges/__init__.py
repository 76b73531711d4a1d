"""Readers of pictures that you bring: attribute judges, face embedders and face parsers.

A network of your own is described by a small text file, its *declaration* (TOML): which file it is,
how pictures must be cut, scaled and ordered for it, and what its outputs mean. ``load_judge`` reads
the declaration, runs the network once to see that it does what is declared, and gives an object
that keeps :mod:`l2l_widgets.protocols`, so every editor, measure and widget takes it::

    kind = "attributes"          # or "identity", "parser", "landmarks", "detector"
    file = "faces.onnx"          # beside the declaration; .onnx, or a TorchScript .pt
    size = 224                   # side of the pictures it wants, in pixels
    colours = "RGB"              # or "BGR", "GREY"
    range = [0.0, 1.0]           # what black and white are, before mean and std
    mean = [0.485, 0.456, 0.406]
    std = [0.229, 0.224, 0.225]
    outputs = "logits"           # or "scores" as they are, "softmax" over the columns

    [attributes]
    smile = 31                                   # the column; a logit becomes a probability
    age = {column = 0, low = 0, high = 100}      # a number: low becomes 0, high becomes 1

A detector says where in its output the numbers stand::

    kind = "detector"
    file = "detector.onnx"
    size = 640                   # the photo is fitted into this square, or size x height
    boxes = "middle"             # or "corners", "sides": columns 0 to 3
    units = "pixels"             # of the input; or "shares", "signed"
    score = 4                    # the column
    points = [5, 6, 8, 9, 11, 12, 14, 15, 17, 18]   # x, y of eyes, nose, mouth, from the left

An ONNX file is a graph of arithmetic, run by onnxruntime, which knows no operator that leaves the
machine's memory (custom operator libraries are not loaded, external data must lie beside the file).
A TorchScript file is a *program*: it is refused unless whoever loads it says ``trusted=True``. No
file can say so, and a folder that ``l2l_widgets.load`` opens never holds one.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from l2l_widgets.judges.declaration import (
    Column,
    Declaration,
    JudgeError,
    list_declarations,
    published_declaration,
    read_declaration,
)

if TYPE_CHECKING:
    from l2l_widgets.judges.reader import Judge, load_judge, wrap_judge

__all__ = [
    "Column",
    "Declaration",
    "Judge",
    "JudgeError",
    "list_declarations",
    "load_judge",
    "published_declaration",
    "read_declaration",
    "wrap_judge",
]


def __getattr__(name: str) -> Any:
    """What runs a judge needs torch; what reads a declaration does not."""
    if name not in ("Judge", "load_judge", "wrap_judge"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.reader"), name)
