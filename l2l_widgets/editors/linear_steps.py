"""What the linear editors share: one calibrated step in W+ per attribute, and how it is kept.

InterFaceGAN, GANSpace and StyleSpace differ in how they find a step. Once found, an edit is
``w + knob * step``, and a :class:`~l2l_widgets.editors.calibration.GainCurve`, measured by the
training ensemble, says which knob value a request in attribute units needs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from l2l_widgets.attributes import AttributeRequestError, AttributeTable, EditRequest
from l2l_widgets.editors.calibration import GainCurve
from l2l_widgets.editors.origins import Origin
from l2l_widgets.latents import check_ws
from l2l_widgets.storage import StorageError, load_safetensors, save_safetensors

#: Whichever editor it is: what `to` and `load` return.
Made = TypeVar("Made", bound="StepsEditor")

FORMAT = "l2l-editor/1"


class CalibratedSteps(nn.Module):
    """One step per attribute, and the gain curve that gives it attribute units.

    Parameters
    ----------
    steps : Tensor, shape (A, 1, w_dim) or (A, num_ws, w_dim)
        In latent units for a knob value of 1; one row moves every row of W+ alike. All 0 where the
        method found nothing for an attribute.
    """

    steps: Tensor

    def __init__(self, steps: Tensor) -> None:
        super().__init__()
        if steps.ndim != 3 or not bool(torch.isfinite(steps).all()):
            raise ValueError(
                f"steps have shape {tuple(steps.shape)}; allowed: finite, (A, 1, w_dim) or "
                "(A, num_ws, w_dim)"
            )
        self.register_buffer("steps", steps.detach().float().clone())
        self.gain = GainCurve(len(steps))

    def forward(self, w: Tensor, knobs: Tensor) -> Tensor:
        """Move w (B, num_ws, w_dim) by knob values (B, A), each in steps."""
        # (B, A) x (A, rows, w_dim) -> (B, rows, w_dim)
        return w + torch.tensordot(knobs.to(w), self.steps.to(w), dims=1)

    @property
    def found(self) -> tuple[bool, ...]:
        """Whether there is a step, per attribute."""
        return tuple(bool(step.abs().max() > 0) for step in self.steps)


def requested_change(
    request: EditRequest,
    table: AttributeTable,
    w: Tensor,
    shape: tuple[int, int],
    allowed: Sequence[str],
    reasons: Mapping[str, str],
    method: str,
    can_preserve: bool = False,
) -> Tensor:
    """Check an edit's latents and request; return the change that is asked of every attribute.

    Parameters
    ----------
    request : EditRequest
        In attribute units.
    table : AttributeTable
        The A attributes.
    w : Tensor, shape (B, num_ws, w_dim)
        Latents to be edited.
    shape : tuple of int
        The ``(num_ws, w_dim)`` that is wanted.
    allowed : sequence of str
        What the method can change.
    reasons : mapping of str to str
        Why it cannot change the others.
    method : str
        Its name, for messages.
    can_preserve : bool
        Whether ``request.preserve`` may name attributes.

    Returns
    -------
    Tensor, shape (B, A), float32
        In [-1, 1], on the device of ``w``.

    Raises
    ------
    AttributeRequestError
        On an unknown attribute, an impossible value, one that the method cannot change, readings of
        another number of faces, or something to preserve where the method promises nothing.
    ValueError
        On latents of another shape.
    """
    check_ws(w, *shape)
    request.validate(table)
    for name in request.names:
        if name not in allowed:
            why = reasons.get(name, "it was not fitted")
            raise AttributeRequestError(
                f"attribute {name!r}: {method} cannot change it ({why}); "
                f"allowed: {', '.join(allowed)}"
            )
    if request.preserve and not can_preserve:
        raise AttributeRequestError(
            f"preserve {request.preserve[0]!r}: {method} moves along fixed steps and can promise "
            "nothing; allowed: an empty list, or the method 'interfacegan-conditional'"
        )
    delta = request.deltas(table)
    if delta.shape[0] not in (1, w.shape[0]):
        raise AttributeRequestError(
            f"current readings are of {delta.shape[0]} faces; allowed: {w.shape[0]}, as in w"
        )
    return delta.to(device=w.device, dtype=torch.float32).expand(w.shape[0], -1)


def write_editor(
    path: str | Path,
    name: str,
    table: AttributeTable,
    tensors: Mapping[str, Tensor],
    config: Mapping[str, Any],
    origin: Origin,
    provenance: Mapping[str, str],
) -> None:
    """Write an editor's tensors and everything that explains them to one safetensors file."""
    metadata = {
        "format": FORMAT,
        "editor": name,
        "table": table.to_json(),
        "config": json.dumps(dict(config)),
        "origin": json.dumps(vars(origin)),
        "provenance": json.dumps(dict(provenance)),
    }
    save_safetensors(path, {k: v.detach().cpu() for k, v in tensors.items()}, metadata)


class EditorFile:
    """What :func:`write_editor` wrote, checked as far as it can be without knowing the method.

    Parameters
    ----------
    path : path
        A safetensors file.
    name : str
        The method that it must hold.

    Raises
    ------
    StorageError
        The file is damaged, or holds another method.
    """

    def __init__(self, path: str | Path, name: str) -> None:
        self.path = Path(path)
        self.tensors, metadata = load_safetensors(self.path)
        if metadata.get("editor") != name:
            raise StorageError(
                f"{path}: holds {metadata.get('editor', 'no editor')!r}; allowed: {name!r}"
            )
        try:
            self.table = AttributeTable.from_json(metadata["table"])
            self.config: dict[str, Any] = json.loads(metadata["config"])
            self.origin = Origin(**json.loads(metadata["origin"]))
            self.provenance: dict[str, str] = json.loads(metadata["provenance"])
        except (KeyError, TypeError, ValueError) as error:
            raise self.unreadable(name, error) from error

    def unreadable(self, name: str, error: Exception) -> StorageError:
        """Return the error that says why the content does not fit."""
        reason = " ".join(str(error).split())[:300]
        return StorageError(f"{self.path}: no {name} that this version reads: {reason}")

    def steps(self) -> CalibratedSteps:
        """Return the calibrated steps, with their gain curve."""
        steps = CalibratedSteps(self.tensors["steps"])
        gain = {k.removeprefix("gain."): v for k, v in self.tensors.items() if "gain." in k}
        steps.gain = GainCurve(len(steps.steps), points=gain["knots"].shape[0])
        steps.gain.load_state_dict(gain)
        return steps


class StepsEditor:
    """What every editor with one calibrated step per attribute keeps, and its file.

    Abstract: it has neither a name nor ``edit``.

    Parameters
    ----------
    steps : CalibratedSteps
        One per attribute of the table; what has none cannot be changed.
    table : AttributeTable
        The A attributes.
    origin : Origin
        Generator, space and set of the fit.
    num_ws : int
        Rows of W+.
    reasons : mapping of str to str, optional
        Why an attribute has no step.
    details : mapping, optional
        What the method wants to remember of its fit, as JSON values.
    extras : mapping of str to Tensor, optional
        The same, as tensors.
    provenance : mapping of str to str, optional
        Hashes of what else went in, such as the regressors that measured the gains.
    """

    name = ""

    def __init__(
        self,
        steps: CalibratedSteps,
        table: AttributeTable,
        origin: Origin,
        num_ws: int,
        reasons: Mapping[str, str] | None = None,
        details: Mapping[str, Any] | None = None,
        extras: Mapping[str, Tensor] | None = None,
        provenance: Mapping[str, str] | None = None,
    ) -> None:
        count, rows, self.w_dim = steps.steps.shape
        if count != len(table) or rows not in (1, num_ws):
            raise ValueError(
                f"steps have shape {tuple(steps.steps.shape)}; allowed: ({len(table)}, 1 or "
                f"{num_ws}, w_dim)"
            )
        self.steps, self.table, self.origin, self.num_ws = steps.eval(), table, origin, num_ws
        self.attributes = tuple(n for n, f in zip(table.names, steps.found, strict=True) if f)
        if not self.attributes:
            raise ValueError(f"{self.name}: no attribute has a step; allowed: at least one")
        self.reasons, self.details = dict(reasons or {}), dict(details or {})
        self.extras, self.provenance = dict(extras or {}), dict(provenance or {})

    def reach(self, name: str) -> tuple[float, float]:
        """Return how far an attribute can be asked down and up before nothing more comes.

        Two sizes in attribute units, in [0, 1]; ValueError on an unknown name.
        """
        return self.steps.gain.reach(self.table.index(name))

    @property
    def space(self) -> str:
        """Say "w" where all rows of W+ move alike, else "w+"."""
        return "w" if self.steps.steps.shape[1] == 1 else "w+"

    def to(self: Made, device: torch.device | str) -> Made:
        """Move the steps to a device; returns the editor itself."""
        self.steps.to(device)
        return self

    def save(self, path: str | Path) -> None:
        """Write everything to one safetensors file, atomically."""
        tensors = {**self.steps.state_dict(), **{f"extra.{k}": v for k, v in self.extras.items()}}
        config = {"num_ws": self.num_ws, "reasons": self.reasons, "details": self.details}
        write_editor(path, self.name, self.table, tensors, config, self.origin, self.provenance)

    @classmethod
    def load(cls: type[Made], path: str | Path, device: torch.device | str = "cpu") -> Made:
        """Read what :meth:`save` wrote; StorageError for a damaged file or another method's."""
        file = EditorFile(path, cls.name)
        try:
            extras = {k.removeprefix("extra."): v for k, v in file.tensors.items() if "extra." in k}
            editor = cls(
                file.steps(), file.table, file.origin, file.config["num_ws"],
                file.config["reasons"], file.config["details"], extras, file.provenance,
            )  # fmt: skip
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise file.unreadable(cls.name, error) from error
        return editor.to(device)


class LinearEditor(StepsEditor):
    """Adds the steps that are asked for; methods give a name and say how they find theirs."""

    can_preserve = False

    def edit(self, w: Tensor, request: EditRequest) -> Tensor:
        """Change attributes of faces.

        Parameters
        ----------
        w : Tensor, shape (B, num_ws, w_dim)
            Latents; left untouched.
        request : EditRequest
            In attribute units; absolute targets need the current readings. ``preserve`` is refused.

        Returns
        -------
        Tensor
            Shape, dtype and device of ``w``.

        Raises
        ------
        ValueError
            As :func:`requested_change` says.
        """
        shape = self.num_ws, self.w_dim
        delta = requested_change(
            request, self.table, w, shape, self.attributes, self.reasons, self.name
        )
        if request.empty:
            return w.clone()
        return self.steps(w, self.steps.gain(delta))
