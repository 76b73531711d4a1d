"""Opening a generator's file of any supported layout, and saying clearly what any other file is."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from l2l_widgets.checkpoints.networks import FoundGenerator, build, configuration
from l2l_widgets.checkpoints.nvlabs import is_nvlabs, read_nvlabs
from l2l_widgets.checkpoints.pickle_data import Budget, read_pickle
from l2l_widgets.checkpoints.rosinality import read_torch_file
from l2l_widgets.checkpoints.source import CheckpointError, Source, brief
from l2l_widgets.checkpoints.tensorflow import is_tensorflow, read_tensorflow
from l2l_widgets.checkpoints.tensors import MAGIC, KeyedStorages, read_legacy
from l2l_widgets.checkpoints.zip_archive import Archive
from l2l_widgets.storage import MAX_HEADER, StorageError, damage_of, sha256_file
from l2l_widgets.stylegan2 import Generator, load_generator

__all__ = [
    "LAYOUTS",
    "SUPPORTED",
    "Checkpoint",
    "Refusals",
    "open_checkpoint",
    "refuse_strangers",
    "torch_zip",
]

#: Layout -> what a person calls it.
LAYOUTS = {
    "nvlabs": "pickle of NVIDIA's stylegan2-ada-pytorch or stylegan3",
    "tensorflow": "pickle of NVIDIA's TensorFlow StyleGAN2",
    "rosinality": "torch.save file of rosinality's stylegan2-pytorch",
    "state_dict": "torch.save file of a state_dict with the official names",
    "own": "safetensors of l2l_widgets",
}
SUPPORTED = (
    "StyleGAN2 as .pkl of NVIDIA's PyTorch or TensorFlow code, as .pt of rosinality's, or as "
    ".safetensors of this package"
)
#: What a file begins with -> what it is. Looked at in this order.
_STRANGERS: tuple[tuple[bytes, str], ...] = (
    (
        b"version https://git-lfs",
        "a Git LFS pointer, not the file it points to: run 'git lfs pull'",
    ),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"\x89HDF", "an HDF5 file (Keras?)"),
    (b"\x1f\x8b", "compressed (gzip): unpack it first"),
    (b"BZh", "compressed (bzip2): unpack it first"),
    (b"\xfd7zXZ", "compressed (xz): unpack it first"),
    (b"7z\xbc\xaf", "compressed (7-zip): unpack it first"),
    (b"Rar!", "compressed (RAR): unpack it first"),
    (b"\x28\xb5\x2f\xfd", "compressed (zstandard): unpack it first"),
    (b"\x93NUMPY", "a NumPy array (a published direction? 'l2l direction' reads those)"),
    (b"%PDF", "a PDF"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
)


#: How a page begins, whatever its first element is; no pickle begins with "<".
_TAG = re.compile(rb"<(!doctype|!--|[a-z][a-z0-9]*[\s/>])")
_SIZES = ("z_dim", "c_dim", "w_dim", "img_resolution", "img_channels")


class Checkpoint:
    """An open file with a generator in it; close it, or use it in a ``with`` block.

    Attributes
    ----------
    path : Path
    layout : str
        A key of `LAYOUTS`.
    config : dict
        Arguments of `stylegan2.Generator`.
    shapes : dict of str to tuple of int
        Of the generator's tensors in the file, by our names.
    network, networks
        Which network of the file is read, and all that are in it.
    notes : list of str
        What is missing in the file and how it is made up.
    metadata : dict of str to str
        Of a safetensors file.
    """

    def __init__(
        self,
        path: Path,
        size: int,
        found: FoundGenerator | None,
        metadata: dict[str, str],
        shapes: dict[str, tuple[int, ...]],
        source: Source | None = None,
    ) -> None:
        self.path = path
        self.size = size
        self.metadata = metadata
        self.shapes = shapes
        self._found = found
        self._source = source
        self.layout = "own" if found is None else found.layout
        self.network = "generator" if found is None else found.network
        self.networks = ("generator",) if found is None else found.networks
        self.notes = [] if found is None else list(found.notes)
        self.config: dict[str, Any] = (
            json.loads(metadata["config"]) if found is None else found.config
        )

    def generator(self) -> Generator:
        """The generator with its weights: on the CPU, in eval mode, without gradients.

        Raises
        ------
        CheckpointError
            The file is damaged, or holds something that is no StyleGAN2 after all.
        """
        with Refusals(self.path):
            return load_generator(self.path) if self._found is None else build(self._found)

    def sha256(self) -> str:
        """SHA-256 of the file."""
        return sha256_file(self.path)

    def close(self) -> None:
        """Close the file; what was not read cannot be read any more."""
        if self._source is not None:
            self._source.close()

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Refusals:
    """Turns what goes wrong with a file into a CheckpointError that names the file.

    Parameters
    ----------
    path
        The file.
    supported
        What it should have been.
    """

    def __init__(self, path: Path, supported: str = SUPPORTED) -> None:
        self.path = path
        self.supported = supported

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is None or not isinstance(error, Exception):
            return
        text = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, StorageError):
            if str(self.path) in text and isinstance(error, CheckpointError):
                return
            if str(self.path) not in text:
                text = f"{str(self.path)!r}: {text}"
            raise CheckpointError(text) from None
        # A foreign file may surprise us; it must not surprise the user. The fuzz run counts these.
        raise CheckpointError(
            f"{str(self.path)!r} is damaged, or no file of a supported kind "
            f"({type(error).__name__}: {text[:200]}); supported: {self.supported}"
        ) from error


def open_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Open a generator's file; nothing in it is executed, and no weights are read yet.

    Parameters
    ----------
    path
        A file of one of `LAYOUTS`. Its name does not matter, its content does.

    Raises
    ------
    CheckpointError
        It cannot be read, or is something else; what it is, and what is supported.
    """
    where = Path(path)
    with Refusals(where):
        source = Source.open(where)
        try:
            return _open(where, source)
        except BaseException:
            source.close()
            raise
    raise AssertionError("unreachable")


def _open(path: Path, source: Source) -> Checkpoint:
    head = source.read(0, min(source.size, 512))
    refuse_strangers(path, head)
    if _is_safetensors(head):
        source.close()
        return _open_own(path)
    budget = Budget(encoded=source.size)
    if head.startswith(b"PK"):
        found = _read_zip(source, budget)
    elif head[:1] not in (b"\x80", b"(", b"}", b"]", b"c") or source.size < 16:
        small = f" ({source.size} bytes: truncated?)" if source.size < 16 else ""
        raise CheckpointError(f"{str(path)!r} is no checkpoint{small}; supported: {SUPPORTED}")
    else:
        found = _read_pickles(source, budget)
    shapes = {name: tensor.shape for name, tensor in found.tensors.items()}
    return Checkpoint(path, source.size, found, {}, shapes, source)


def refuse_strangers(path: Path, head: bytes, supported: str = SUPPORTED) -> None:
    """Name what a file is by its first 512 bytes, where it is something else altogether."""
    if not head:
        raise CheckpointError(f"{str(path)!r} is empty; supported: {supported}")
    what = next((name for start, name in _STRANGERS if head.startswith(start)), None)
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<?xml", b'{"', b"{\n", b'["', b"[{", b"[\n")):
        what = "text (XML or JSON), perhaps a server's error"
    elif _TAG.match(text):
        what = (
            "a web page, not a model: the download gave a page (a login, a quota, a preview). "
            "Use the link that gives the file itself"
        )
    elif head[257:262] == b"ustar":
        what = "a tar archive: unpack it first"
    elif what is None and _reads_as_text(head):
        what = "text"
    if what is not None:
        raise CheckpointError(f"{str(path)!r} is {what}; supported: {supported}")


def _reads_as_text(head: bytes) -> bool:
    """Whether it is words in lines; pickles of the oldest protocol have lines, but no words."""
    plain = not head[:64].translate(None, bytes(range(32, 127)) + b"\t\r\n")
    return plain and len(head.split()) > 3 and not head.startswith((b"(", b"}", b"]", b"c"))


def _is_safetensors(head: bytes) -> bool:
    """Whether it begins as one, be it cut within its header: none is larger than that."""
    return len(head) > 9 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= MAX_HEADER


def _open_own(path: Path) -> Checkpoint:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt", device="cpu") as stream:
            metadata = dict(stream.metadata() or {})
            names = list(stream.keys())
            shapes = {name: tuple(stream.get_slice(name).get_shape()) for name in names}
    except (SafetensorError, OSError):
        raise CheckpointError(
            f"{str(path)!r}: not a whole safetensors file ({damage_of(path)})"
        ) from None
    kind = metadata.get("format")
    if kind != "l2l-stylegan2-generator/1":
        raise CheckpointError(
            f"{str(path)!r} is a safetensors file of kind {brief(kind)}, not a generator of this "
            f"package; supported: {SUPPORTED}"
        )
    try:
        config = json.loads(metadata.get("config", ""))
    except (ValueError, RecursionError):
        config = None
    if type(config) is not dict:
        raise CheckpointError(f"{str(path)!r}: its metadata field 'config' is no JSON object")
    mapping = config.get("mapping_kwargs")
    told = {**config, **(mapping if type(mapping) is dict else {})}
    for name, value in configuration(shapes, told).items():
        if name in _SIZES and config.get(name, 3 if name == "img_channels" else None) != value:
            raise CheckpointError(
                f"{str(path)!r}: its metadata field 'config' has {name} {brief(config.get(name))}, "
                f"by its tensors it is {value}"
            )
    return Checkpoint(path, path.stat().st_size, None, metadata, shapes)


def _read_zip(source: Source, budget: Budget) -> FoundGenerator:
    return read_torch_file(*torch_zip(source, budget))


def torch_zip(
    source: Source, budget: Budget, supported: str = SUPPORTED
) -> tuple[Any, KeyedStorages]:
    """What torch.save wrote into a zip file, and where its tensors' numbers are."""
    archive = Archive.read(source)
    pickles = [name for name in archive.parts if name.split("/")[-1] == "data.pkl"]
    folders = {name.partition("/")[0] for name in archive.parts}
    if len(pickles) != 1 or len(folders) != 1:
        what = f"other files ({_named(archive.parts)}): unpack it first"
        if any(name.endswith(".npy") for name in archive.parts):
            what = "NumPy arrays, not of torch.save"
        raise CheckpointError(f"{source.name!r} is a zip file of {what}; supported: {supported}")
    prefix = pickles[0].removesuffix("data.pkl")
    order = archive.place(f"{prefix}byteorder")
    if order is not None and source.read(order[1], min(order[2], 8)) != b"little":
        raise CheckpointError(f"{source.name!r}: its numbers are big-endian; save it anew")
    place = archive.place(pickles[0])
    assert place is not None
    value, _ = read_pickle(source, place[1], place[1] + place[2], budget, persistent=True)
    places = {}
    for name in archive.parts:
        if name.startswith(f"{prefix}data/") and (found := archive.place(name)) is not None:
            places[name.removeprefix(f"{prefix}data/")] = found
    return value, KeyedStorages(places)


def _named(parts: Iterable[str]) -> str:
    names = [name[:60] for name in parts]
    return ", ".join(names[:3]) + ", ..." * (len(names) > 3) or "none"


def _read_pickles(source: Source, budget: Budget) -> FoundGenerator:
    value, end = read_pickle(source, 0, source.size, budget)
    if type(value) is int and value == MAGIC:
        value, storages = read_legacy(source, 0, source.size, budget)
        return read_torch_file(value, storages)
    if is_nvlabs(value):
        return read_nvlabs(value, budget)
    if is_tensorflow(value):
        return read_tensorflow(value, budget)
    del end
    raise CheckpointError(
        f"{source.name!r} is a pickle of {_contents(value)}, not of a generator; supported: "
        f"{SUPPORTED}"
    )


def _contents(value: Any) -> str:
    if type(value) is dict:
        return f"a dictionary of {', '.join(brief(key) for key in list(value)[:5]) or 'nothing'}"
    return brief(value)
