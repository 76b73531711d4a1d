"""What the linear editors share: one calibrated step in W+ per attribute, and how it is kept.

InterFaceGAN, GANSpace and StyleSpace differ in how they find a step. Once found, an edit is
``w + knob * step``, and a :class:`~l2l_widgets.editors.calibration.GainCurve`, measured by the
training ensemble, says which knob value a request in attribute units needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from l2l_widgets.attributes import AttributeTable, EditRequest
from l2l_widgets.editors.calibration import GainCurve
from l2l_widgets.editors.origins import Origin
from l2l_widgets.editors.stored_editor import EditorFile, StoredEditor

#: Whichever editor it is: what `to` and `load` return.
Made = TypeVar("Made", bound="StepsEditor")


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


class StepsEditor(StoredEditor):
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
        count, rows, w_dim = steps.steps.shape
        if count != len(table) or rows not in (1, num_ws):
            raise ValueError(
                f"steps have shape {tuple(steps.steps.shape)}; allowed: ({len(table)}, 1 or "
                f"{num_ws}, w_dim)"
            )
        able = tuple(n for n, f in zip(table.names, steps.found, strict=True) if f)
        super().__init__(table, able, (num_ws, w_dim), origin, reasons, provenance)
        self.steps = steps.eval()
        self.details, self.extras = dict(details or {}), dict(extras or {})

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
        self.write(path, tensors, config)

    @classmethod
    def from_file(cls: type[Made], file: EditorFile) -> Made:
        """Rebuild the editor from what :meth:`save` wrote."""
        parts: dict[str, dict[str, Tensor]] = {"gain": {}, "extra": {}}
        for key, tensor in file.tensors.items():
            kind, _, rest = key.partition(".")
            if kind in parts:
                parts[kind][rest] = tensor
        steps = CalibratedSteps(file.tensors["steps"])
        steps.gain = GainCurve(len(steps.steps), points=parts["gain"]["knots"].shape[0])
        steps.gain.load_state_dict(parts["gain"])
        known = file.config
        return cls(
            steps, file.table, file.origin, known["num_ws"], known["reasons"], known["details"],
            parts["extra"], file.provenance,
        )  # fmt: skip


class LinearEditor(StepsEditor):
    """Adds the steps that are asked for; methods give a name and say how they find theirs."""

    def move(self, w: Tensor, delta: Tensor, request: EditRequest) -> Tensor:
        """Add the steps, each as far as its gain curve says."""
        return self.steps(w, self.steps.gain(delta))
