"""Foreign generators: their files read as data, described, converted, fetched.

A StyleGAN2 usually arrives as a pickle, and a pickle is a program: whoever un-pickles a file runs
what its author wrote, or what somebody put in its place. Nothing here does. `open_checkpoint` reads
the formats by hand and hands over numbers.

Formats, by content and not by name (docs/checkpoints.md has the tables):

======== ===========================================================================================
nvlabs       pickle of stylegan2-ada-pytorch, or of a StyleGAN2 of the stylegan3 code (`nvlabs`)
tensorflow   pickle of the TensorFlow code, StyleGAN2 and ADA (`tensorflow`)
rosinality   torch.save, zip or legacy, of rosinality's stylegan2-pytorch (`rosinality`)
state_dict   torch.save of a state_dict with the official names (`rosinality`)
own          safetensors of this package (`stylegan2.save_generator`)
======== ===========================================================================================

`read_tensors` reads what others save beside generators, directions for instance, by the same rules.

Threat model. The file is the attacker's from the first byte to the last; so is the server that it
comes from, unless a SHA-256 is given. The machine, Python, NumPy, torch and safetensors are
trusted. It must hold that

- no code of the file runs: nothing is imported, called or executed at a file's request, by any
  instruction of a pickle (`pickle_data`), nor by pickles inside storages (`tensors`);
- nothing is written, and nothing but the file is read: archives are never unpacked (`zip_archive`);
- memory stays below the size of the file and a constant: sizes are compared with the file before
  anything is reserved, and a tensor never shows a number twice;
- time is bounded by the number of instructions, which is bounded; nothing recurses freely;
- what goes wrong is one `CheckpointError` of one line.

It does not hold that a network draws what its name promises: only a SHA-256 says whose it is.
"""

from __future__ import annotations

from l2l_widgets.checkpoints.conversion import convert
from l2l_widgets.checkpoints.describing import describe, needs
from l2l_widgets.checkpoints.generator_file import GeneratorFile, is_generator_file
from l2l_widgets.checkpoints.reading import LAYOUTS, SUPPORTED, Checkpoint, open_checkpoint
from l2l_widgets.checkpoints.source import CheckpointError
from l2l_widgets.checkpoints.tensor_file import read_tensors

__all__ = [
    "LAYOUTS",
    "SUPPORTED",
    "Checkpoint",
    "CheckpointError",
    "GeneratorFile",
    "convert",
    "describe",
    "is_generator_file",
    "needs",
    "open_checkpoint",
    "read_tensors",
]
