"""What every editor of this package does alike: check a request, and live in one file.

A method adds how it edits, which tensors it keeps, and how it is rebuilt from them.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from l2l_widgets.attributes import AttributeRequestError, AttributeTable, EditRequest
from l2l_widgets.editors.origins import Origin
from l2l_widgets.errors import TooLittleError
from l2l_widgets.latents import check_ws
from l2l_widgets.storage import StorageError, load_safetensors, save_safetensors

FORMAT = "l2l-editor/1"

#: Whichever editor it is: what `to` and `load` return.
Made = TypeVar("Made", bound="StoredEditor")


class EditorFile:
    """What :meth:`StoredEditor.write` wrote, checked as far as it can be without the method.

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
            self.provenance: dict[str, str] = json.loads(metadata.get("provenance", "{}"))
            # the first mappers' files name their generator among the rest
            known = json.loads(metadata.get("origin", "null"))
            self.origin = Origin(**known) if known else Origin("", "w+", "not recorded")
        except (KeyError, TypeError, ValueError) as error:
            raise self.unreadable(name, error) from error

    def unreadable(self, name: str, error: Exception) -> StorageError:
        """Return the error that says why the content does not fit."""
        reason = " ".join(str(error).split())[:300]
        return StorageError(f"{self.path}: no {name} that this version reads: {reason}")


class StoredEditor(ABC):
    """An editor with a table, an origin and a file.

    Abstract: methods give ``name``, ``move``, ``to``, ``save`` and ``from_file``.

    Parameters
    ----------
    table : AttributeTable
        The A attributes.
    attributes : tuple of str
        Those that the method can change.
    shape : tuple of int
        ``(num_ws, w_dim)`` of the latents it edits.
    origin : Origin
        Generator, space and set of the fit.
    reasons : mapping of str to str, optional
        Why it cannot change the others.
    provenance : mapping of str to str, optional
        Hashes of what else went in, such as the regressors that measured the gains.
    """

    name = ""
    can_preserve = False
    #: What the method says to a list of attributes to preserve.
    no_promise = (
        "moves along fixed steps and can promise nothing; allowed: an empty list, or the method "
        "'interfacegan-conditional'"
    )

    def __init__(
        self,
        table: AttributeTable,
        attributes: tuple[str, ...],
        shape: tuple[int, int],
        origin: Origin,
        reasons: Mapping[str, str] | None = None,
        provenance: Mapping[str, str] | None = None,
    ) -> None:
        if not attributes:
            why = next(iter((reasons or {}).values()), "nothing was fitted")
            raise TooLittleError(
                f"{self.name}: no attribute can be changed ({why}); allowed: at least one"
            )
        self.table, self.attributes, self.origin = table, attributes, origin
        self.num_ws, self.w_dim = shape
        self.reasons, self.provenance = dict(reasons or {}), dict(provenance or {})

    def edit(self, w: Tensor, request: EditRequest) -> Tensor:
        """Change attributes of faces.

        Parameters
        ----------
        w : Tensor, shape (B, num_ws, w_dim)
            Latents; left untouched.
        request : EditRequest
            In attribute units; absolute targets need the current readings.

        Returns
        -------
        Tensor
            Shape, dtype and device of ``w``.

        Raises
        ------
        ValueError
            As :meth:`requested_change` says; what a method refuses besides, its class says.
        """
        delta = self.requested_change(w, request)
        return w.clone() if request.empty else self.move(w, delta, request)

    @abstractmethod
    def move(self, w: Tensor, delta: Tensor, request: EditRequest) -> Tensor:
        """Return edited latents for a request that asks for something, once it is checked.

        Parameters
        ----------
        w : Tensor, shape (B, num_ws, w_dim)
            Latents; left untouched.
        delta : Tensor, shape (B, A)
            The change of every attribute that is asked for.
        request : EditRequest
            Where it comes from.
        """

    def requested_change(self, w: Tensor, request: EditRequest) -> Tensor:
        """Check an edit's latents and request; return the change that is asked of every attribute.

        Parameters
        ----------
        w : Tensor, shape (B, num_ws, w_dim)
            Latents to be edited.
        request : EditRequest
            In attribute units.

        Returns
        -------
        Tensor, shape (B, A), float32
            In [-1, 1], on the device of ``w``.

        Raises
        ------
        AttributeRequestError
            On an unknown attribute, an impossible value, one that the method cannot change,
            readings of another number of faces, or something to preserve where the method promises
            nothing.
        ValueError
            On latents of another shape.
        """
        check_ws(w, self.num_ws, self.w_dim)
        request.validate(self.table)
        for name in request.names:
            if name not in self.attributes:
                why = self.reasons.get(name, "it was not fitted")
                raise AttributeRequestError(
                    f"attribute {name!r}: {self.name} cannot change it ({why}); "
                    f"allowed: {', '.join(self.attributes)}"
                )
        if request.preserve and not self.can_preserve:
            raise AttributeRequestError(
                f"preserve {request.preserve[0]!r}: {self.name} {self.no_promise}"
            )
        delta = request.deltas(self.table)
        if delta.shape[0] not in (1, w.shape[0]):
            raise AttributeRequestError(
                f"current readings are of {delta.shape[0]} faces; allowed: {w.shape[0]}, as in w"
            )
        return delta.to(device=w.device, dtype=torch.float32).expand(w.shape[0], -1)

    @abstractmethod
    def to(self: Made, device: torch.device | str) -> Made:
        """Move the tensors to a device; returns the editor itself."""

    def write(
        self, path: str | Path, tensors: Mapping[str, Tensor], config: Mapping[str, Any]
    ) -> None:
        """Write tensors and everything that explains them to one safetensors file, atomically."""
        metadata = {
            "format": FORMAT,
            "editor": self.name,
            "table": self.table.to_json(),
            "config": json.dumps(dict(config)),
            "origin": json.dumps(vars(self.origin)),
            "provenance": json.dumps(self.provenance),
        }
        kept = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
        save_safetensors(Path(path), kept, metadata)

    @classmethod
    @abstractmethod
    def from_file(cls: type[Made], file: EditorFile) -> Made:
        """Rebuild the editor from what its ``save`` wrote."""

    @classmethod
    def load(cls: type[Made], path: str | Path, device: torch.device | str = "cpu") -> Made:
        """Read what ``save`` wrote.

        Raises
        ------
        StorageError
            The file is damaged, or holds another method.
        """
        file = EditorFile(path, cls.name)
        try:
            editor = cls.from_file(file)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise file.unreadable(cls.name, error) from error
        return editor.to(device)
