"""A declared network as a judge: pictures in, readings, identity vectors or classes out."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from l2l_widgets.errors import first_line, ignored
from l2l_widgets.judges.declaration import Declaration, JudgeError, read_declaration
from l2l_widgets.judges.detecting import read_faces
from l2l_widgets.storage import StorageError, sha256_file

__all__ = ["Judge", "load_judge", "wrap_judge"]

#: Pictures handed to a network at once: an ArcFace of 65 M weights stays below 1 GB.
BATCH = 16
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
#: Largest network that is read, bytes; nothing that reads a face comes near it.
MAX_FILE = 4 << 30

Network = Callable[[Tensor], Any]


class Judge:
    """A network behind its declaration; keeps the protocol of its kind.

    Kind "attributes" keeps ``AttributeRegressor``: readings, (B, A) in [0, 1], in the order of
    ``attributes``. Kind "identity" keeps ``FaceEmbedder``: vectors of norm 1, (B, D). Kind
    "parser" keeps ``Segmenter``: classes, (B, R, R) of uint8, at the picture's own size. Kind
    "landmarks" gives points, (B, P, 2): x to the right, y down, shares of the picture's side. Kind
    "detector" gives faces, (B, F, 5 or 15), as :func:`~l2l_widgets.judges.detecting.read_faces`
    has them: the surest first, and rows of zeros where a picture has fewer than another.

    Use :func:`load_judge` or :func:`wrap_judge`.

    Parameters
    ----------
    declaration : Declaration
        How pictures enter, and what outputs mean.
    network : callable
        (B, C, S, S) or (B, S, S, C) float32 to the network's own output.
    sha256 : str
        Of the network's file; "" where it has none.
    """

    def __init__(self, declaration: Declaration, network: Network, sha256: str = "") -> None:
        self.declaration = declaration
        self.sha256 = sha256
        self._network = network
        self.attributes: tuple[str, ...] = tuple(declaration.attributes)
        self.embedding_dim = 0
        self._try_once()

    def __repr__(self) -> str:
        what = f"{len(self.attributes)} attributes" if self.attributes else self.declaration.kind
        return f"Judge({what}, {self.declaration.file or 'an object'!r})"

    def __call__(self, images: Tensor) -> Tensor:
        """Read pictures.

        Parameters
        ----------
        images : Tensor
            (B, 3, R, R), RGB in [-1, 1], any R.

        Returns
        -------
        Tensor
            As the class says, on the pictures' device.

        Raises
        ------
        JudgeError
            The network's output has another shape than when it was loaded, or is not finite.
        """
        if images.ndim != 4 or images.shape[1] != 3:
            raise JudgeError(f"images have shape {tuple(images.shape)}; allowed: (B, 3, R, R)")
        if self.declaration.kind == "detector":
            # how many faces there are is another number for each picture
            found = [self._faces(one) for one in images.split(1)]
            return pad_sequence(found, batch_first=True).to(images.device)
        if not len(images):
            return self._read(images.new_zeros(1, *images.shape[1:]))[:0]
        return torch.cat([self._read(part) for part in images.split(BATCH)]).to(images.device)

    def prepare(self, images: Tensor) -> Tensor:
        """Pictures as the network wants them: cut, resized, ordered and scaled; float32."""
        d = self.declaration
        height, width = images.shape[-2:]
        left, top, right, bottom = d.crop
        x = images.detach().float().cpu()
        x = x[
            ...,
            round(top * height) : round(bottom * height),
            round(left * width) : round(right * width),
        ]
        if x.shape[-2:] != d.shape:
            # antialiased, as the image libraries do with which such networks were trained
            x = F.interpolate(x, d.shape, mode="bilinear", antialias=True)
        if d.colours == "BGR":
            x = x.flip(1)
        elif d.colours == "GREY":
            x = (x * torch.tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
        black, white = d.range
        x = black + (white - black) * (x.clamp(-1, 1) + 1) / 2
        if d.mean:
            x = x - torch.tensor(d.mean).view(1, -1, 1, 1)
        if d.std:
            x = x / torch.tensor(d.std).view(1, -1, 1, 1)
        return (x.permute(0, 2, 3, 1) if d.layout == "NHWC" else x).contiguous()

    def _read(self, images: Tensor) -> Tensor:
        with torch.inference_mode():
            out = _first_tensor(self._network(self.prepare(images)), self._name)
        out = out.detach().float().cpu()
        if not out.ndim or out.shape[0] != len(images):
            raise JudgeError(
                f"{self._name}: {len(images)} pictures gave an output of shape {tuple(out.shape)}; "
                "allowed: a row a picture"
            )
        if not bool(torch.isfinite(out).all()):
            raise JudgeError(f"{self._name}: its output holds values that are not finite")
        if self.declaration.kind == "attributes":
            # one reading a picture may come without an axis of its own
            return self._scores(out[:, None] if out.ndim == 1 else out.flatten(1))
        if out.ndim == 1:
            raise JudgeError(
                f"{self._name}: its output is one number a picture; allowed: more for kind "
                f"{self.declaration.kind!r}"
            )
        if self.declaration.kind == "identity":
            return F.normalize(out.flatten(1), dim=1)
        if self.declaration.kind == "landmarks":
            return self._points(out)
        return self._classes(out, images.shape[-1])

    def _faces(self, image: Tensor) -> Tensor:
        d = self.declaration
        with torch.inference_mode():
            out = self._network(self.prepare(image))
            if not d.scores:
                return read_faces([_first_tensor(out, self._name)], d, self._name)
            if isinstance(out, dict) and d.scores in out:
                boxes = out[d.output] if d.output in out else _first_tensor(out, self._name)
                out = [boxes, out[d.scores]]
            if not isinstance(out, (list, tuple)) or len(out) < 2:
                raise JudgeError(
                    f"{self._name}: scores is {d.scores!r}, and there is no second output"
                )
            return read_faces([_first_tensor(o, self._name) for o in out[:2]], d, self._name)

    def _scores(self, out: Tensor) -> Tensor:
        d = self.declaration
        scores = out.softmax(1) if d.outputs == "softmax" else out
        columns = []
        for name, column in d.attributes.items():
            if not -scores.shape[1] <= column.column < scores.shape[1]:
                raise JudgeError(
                    f"{self._name}: attributes.{name} is column {column.column} of an output with "
                    f"{scores.shape[1]} columns; the declaration needs "
                    f"{max(c.column for c in d.attributes.values()) + 1}"
                )
            value = scores[:, column.column]
            if column.low is not None and column.high is not None:
                value = (value - column.low) / (column.high - column.low)
            elif d.outputs == "logits":
                value = value.sigmoid()
            columns.append(value.clamp(0, 1))
        return torch.stack(columns, 1)

    def _classes(self, out: Tensor, side: int) -> Tensor:
        own = torch.tensor(self.declaration.classes, dtype=torch.uint8)
        if out.ndim != 4 or out.shape[1] != len(own):
            raise JudgeError(
                f"{self._name}: its output has shape {tuple(out.shape)}; allowed: "
                f"(B, {len(own)}, S, S), a plane for each of the declared classes"
            )
        out = F.interpolate(out, (side, side), mode="bilinear", align_corners=False)
        return own[out.argmax(1)]

    def _points(self, out: Tensor) -> Tensor:
        d = self.declaration
        if out.ndim != 3:
            out = out.flatten(1)
            out = out.unflatten(1, (-1, 2)) if out.shape[1] % 2 == 0 else out
        if out.ndim != 3 or out.shape[2] not in (2, 3):
            raise JudgeError(
                f"{self._name}: its output has shape {tuple(out.shape)}; allowed: two numbers a "
                "point, (B, 2 P) or (B, P, 2)"
            )
        if d.five and max(d.five) >= out.shape[1]:
            raise JudgeError(
                f"{self._name}: five names point {max(d.five)} of an output with {out.shape[1]}"
            )
        points = out[:, list(d.five), :2] if d.five else out[..., :2]
        if d.units == "pixels":
            points = (points + 0.5) / d.size
        elif d.units == "signed":
            points = (points + 1) / 2
        left, top, right, bottom = d.crop  # of the picture that it saw
        return torch.tensor([left, top]) + points * torch.tensor([right - left, bottom - top])

    def _try_once(self) -> None:
        """Run the network on two plain pictures, so that a wrong declaration shows at once."""
        side = self.declaration.size
        ramp = torch.linspace(-1, 1, side).view(1, 1, 1, -1).expand(2, 3, side, side).clone()
        ramp[1] = -ramp[1]
        if self.declaration.kind == "detector":
            self(ramp)  # no face is there, and none need be found
            return
        read = self._read(ramp)
        if self.declaration.kind == "identity":
            self.embedding_dim = int(read.shape[1])

    @property
    def _name(self) -> str:
        return f"judge {self.declaration.file or self.declaration.about or 'object'!r}"


def load_judge(source: str | os.PathLike[str] | Declaration, *, trusted: bool = False) -> Judge:
    """A judge from its declaration, tried once.

    Parameters
    ----------
    source : str, path or Declaration
        A declaration, its file, or the name of a ready one (see ``read_declaration``).
    trusted : bool
        TorchScript only: the file is a program, you know who wrote it, and let it run. ONNX needs
        no trust.

    Raises
    ------
    JudgeError
        The declaration or the network's file cannot be used, or the network does not do what is
        declared; one line that says which field to change.
    """
    declaration = source if isinstance(source, Declaration) else read_declaration(source)
    path = declaration.path
    if not declaration.file:
        raise JudgeError("file is ''; allowed: the network's .onnx or .pt file")
    try:
        size, sha = path.stat().st_size, sha256_file(path)
    except (OSError, StorageError) as error:
        reason = "no such file" if not path.exists() else str(error)
        hint = f" ({declaration.about})" if declaration.about and not path.exists() else ""
        raise JudgeError(f"file {str(path)!r}: {reason}{hint}") from None
    if size > MAX_FILE:
        raise JudgeError(f"file {str(path)!r} has {size} bytes; allowed: at most {MAX_FILE}")
    _refuse_lookalikes(path)
    if path.suffix == ".onnx":
        return Judge(declaration, _onnx_network(path, declaration), sha)
    if path.suffix in (".pt", ".ts", ".torchscript"):
        return Judge(declaration, _torchscript_network(path, trusted), sha)
    raise JudgeError(f"file is {declaration.file!r}; allowed: .onnx, or TorchScript as .pt")


def wrap_judge(network: Network, declaration: Declaration) -> Judge:
    """A judge from a torch module or any callable, tried once.

    Parameters
    ----------
    network : callable
        Takes the prepared pictures, gives a tensor, an array, or a list or dict of them.
    declaration : Declaration
        As for a file; ``file`` stays empty.
    """
    if not callable(network):
        raise JudgeError(f"network is a {type(network).__name__}; allowed: something to call")
    if isinstance(network, torch.nn.Module):
        network = network.eval()
    return Judge(declaration, network)


def _refuse_lookalikes(path: Path) -> None:
    """Name what people download by mistake."""
    with open(path, "rb") as stream:
        head = stream.read(256)
    if head.startswith(b"version https://git-lfs"):
        raise JudgeError(
            f"file {str(path)!r} is a Git LFS pointer, not the network: run `git lfs pull` there"
        )
    if head.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")):
        raise JudgeError(f"file {str(path)!r} is a web page, not the network: download it again")


def _onnx_network(path: Path, declaration: Declaration) -> Network:
    try:
        import onnxruntime
    except ImportError:
        raise JudgeError(
            "an ONNX file needs onnxruntime; install it with: pip install 'l2l_widgets[onnx]'"
        ) from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    threads = torch.get_num_threads()
    options.intra_op_num_threads = threads
    try:
        session = onnxruntime.InferenceSession(
            os.fspath(path), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's own classes share no base but Exception
        why = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", first_line(error))
        if "INVALID_PROTOBUF" in str(error) or not path.stat().st_size:
            why = f"damaged or truncated at {path.stat().st_size} bytes, or another kind of file"
        raise JudgeError(
            f"file {str(path)!r}: no ONNX network ({why}); allowed: a whole .onnx file"
        ) from None
    inputs = {i.name: i for i in session.get_inputs()}
    outputs = [o.name for o in session.get_outputs()]
    input_name = declaration.input or next(iter(inputs))
    output_name = declaration.output or outputs[0]
    if input_name not in inputs:
        raise JudgeError(f"input is {input_name!r}; the file has: {', '.join(inputs)}")
    wanted = [output_name, *([declaration.scores] if declaration.scores else [])]
    for field, chosen in zip(("output", "scores"), wanted, strict=False):
        if chosen not in outputs:
            raise JudgeError(f"{field} is {chosen!r}; the file has: {', '.join(outputs)}")
    _check_input(inputs[input_name].shape, declaration)
    single = inputs[input_name].shape[0] == 1  # exported without a free batch axis

    def run(x: Tensor) -> Any:
        parts = x.split(1) if single else (x,)
        try:
            out = [session.run(wanted, {input_name: p.numpy()}) for p in parts]
        except Exception as error:
            raise JudgeError(f"file {str(path)!r}: cannot be run ({first_line(error)})") from None
        if declaration.kind == "detector":  # which gets one picture at a time
            return [torch.from_numpy(o) for o in out[0]]
        return torch.cat([torch.from_numpy(o[0]) for o in out])

    return run


def _check_input(shape: list[Any], declaration: Declaration) -> None:
    """Compare an ONNX file's own words on its input with the declaration's."""
    d = declaration
    declared = (d.planes, *d.shape) if d.layout == "NCHW" else (*d.shape, d.planes)
    fixed = list(shape[1:])
    if len(fixed) != 3 or any(
        isinstance(have, int) and have != want for have, want in zip(fixed, declared, strict=True)
    ):
        raise JudgeError(
            f"size, {'height, ' * bool(d.height)}colours and layout give an input of "
            f"{list(declared)}; the file wants {fixed}"
        )


def _torchscript_network(path: Path, trusted: bool) -> Network:
    if not trusted:
        raise JudgeError(
            f"file {str(path)!r} is TorchScript, a program: export it as ONNX, which is only "
            "arithmetic, or load it with trusted=True if you know who wrote it"
        )
    try:
        # PyTorch calls the format deprecated; the files people have are no less there
        with ignored(DeprecationWarning):
            module = torch.jit.load(os.fspath(path), map_location="cpu").eval()
    except (RuntimeError, ValueError) as error:
        raise JudgeError(
            f"file {str(path)!r}: no TorchScript module ({first_line(error)})"
        ) from None

    def run(x: Tensor) -> Any:
        try:
            return module(x)
        except RuntimeError as error:
            raise JudgeError(f"file {str(path)!r}: cannot be run ({first_line(error)})") from None

    return run


def _first_tensor(out: Any, name: str) -> Tensor:
    """The output itself, or the first of a list or dict of them."""
    while isinstance(out, (list, tuple, dict)):
        if not out:
            raise JudgeError(f"{name}: its output is empty; allowed: a tensor or an array")
        out = next(iter(out.values())) if isinstance(out, dict) else out[0]
    try:
        return torch.as_tensor(out)
    except (TypeError, ValueError, RuntimeError):
        raise JudgeError(
            f"{name}: its output is a {type(out).__name__}; allowed: a tensor or an array"
        ) from None
