"""The contract of an editor, as code: run it on your own before you trust its numbers.

``check_editor`` needs no test framework; each failed promise raises :class:`EditorContractError`
that says which one and what was seen.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from l2l_widgets.attributes import EditRequest

Read = Callable[[Tensor, str], Tensor]
#: A larger request may move a face so much less far than a smaller one, as a share, and readings
#: may waver so much, in attribute units, before strength counts as not monotone.
SHORTER, WAVERING = 0.02, 0.01


class EditorContractError(AssertionError):
    """An editor broke a promise; the message names it."""


def _promise(kept: bool, text: str) -> None:
    if not kept:
        raise EditorContractError(text)


def check_editor(
    editor: Any,
    ws: Tensor,
    current: Tensor | None = None,
    tolerance: float = 1e-4,
    read: Read | None = None,
) -> tuple[str, ...]:
    """Check every promise of the editor interface.

    Parameters
    ----------
    editor : Editor
        Ready to edit.
    ws : Tensor, shape (B >= 3, num_ws, w_dim)
        Latents of faces, distinct.
    current : Tensor, shape (B, A), optional
        Their readings; absolute targets are checked where given.
    tolerance : float
        Allowed difference between a batch and its single faces, in units of std(ws).
    read : callable, optional
        Latents (B, num_ws, w_dim) and an attribute's name to its readings (B,); where given, the
        reading must follow the request, and not the latent alone.

    Returns
    -------
    tuple of str
        Names of the checks that ran.

    Raises
    ------
    EditorContractError
        The first broken promise.
    """
    if ws.ndim != 3 or ws.shape[0] < 3:
        raise ValueError(f"ws has shape {tuple(ws.shape)}; allowed: (B >= 3, num_ws, w_dim)")
    case = _Case(editor, ws, current, tolerance * float(ws.std()), read)
    checks = [c for c in _CHECKS if current is not None or c is not _reaches_absolute_targets]
    for check in checks:
        check(case)
    return tuple(check.__name__.lstrip("_") for check in checks)


def _refused(call: Callable[[], Any], what: str, named: str = "") -> None:
    try:
        call()
    except ValueError as error:
        _promise(len(str(error)) > 0, f"the refusal of {what} says why")
        _promise(named in str(error), f"the refusal of {what} names it")
    else:
        raise EditorContractError(f"{what} is refused with a ValueError, but went through")


@dataclass(frozen=True)
class _Case:
    """What every check is given."""

    editor: Any
    ws: Tensor
    current: Tensor | None
    close: float
    read: Read | None

    @property
    def name(self) -> str:
        return self.editor.attributes[0]

    @property
    def change(self) -> EditRequest:
        return EditRequest(changes={self.name: 0.3})


def _describes_itself(case: _Case) -> None:
    editor = case.editor
    _promise(isinstance(editor.name, str) and bool(editor.name), "name is a non-empty text")
    _promise(editor.space in ("w", "w+"), f"space is 'w' or 'w+', not {editor.space!r}")
    _promise(isinstance(editor.can_preserve, bool), "can_preserve is True or False")
    names = editor.attributes
    _promise(len(set(names)) == len(names) > 0, "attributes are distinct names")


def _states_a_reach_it_has(case: _Case) -> None:
    # Optional: an editor without the method makes no statement.
    reach = getattr(case.editor, "reach", None)
    if reach is None:
        return
    for name in case.editor.attributes:
        down, up = reach(name)
        _promise(0 <= down <= 1 and 0 <= up <= 1, f"reach({name!r}) is two sizes from 0 to 1")
    _refused(lambda: reach("no_such_attribute"), "the reach of an unknown attribute")


def _keeps_shape_and_input(case: _Case) -> None:
    copy = case.ws.clone()
    out = case.editor.edit(case.ws, case.change)
    _promise(out.shape == case.ws.shape, f"the shape stays {tuple(case.ws.shape)}")
    _promise(out.dtype == case.ws.dtype and out.device == case.ws.device, "dtype and device stay")
    _promise(torch.equal(case.ws, copy), "the input is left untouched")
    _promise(bool(torch.isfinite(out).all()), "the result is finite")
    _promise(not torch.equal(out, case.ws), "a request of 0.3 moves the latent")
    if case.editor.space == "w" and torch.equal(case.ws, case.ws[:, :1].expand_as(case.ws)):
        same = torch.equal(out, out[:, :1].expand_as(out))
        _promise(same, "an editor in 'w' keeps all rows equal")


def _grows_with_the_request(case: _Case) -> None:
    sizes = (-0.4, -0.2, -0.1, 0.1, 0.2, 0.4)
    edited = [case.editor.edit(case.ws, EditRequest(changes={case.name: s})) for s in sizes]
    lengths = [float((e - case.ws).flatten(1).norm(dim=1).mean()) for e in edited]
    for side in (lengths[2::-1], lengths[3:]):
        far = all(b >= a * (1 - SHORTER) for a, b in pairwise(side))
        _promise(far, "a larger request moves a face no less far than a smaller one")
    _promise(not torch.equal(edited[0], edited[-1]), "opposite requests give other faces")
    if case.read is None:
        return
    edited[3:3] = [case.ws]
    readings = [float(case.read(e, case.name).float().mean()) for e in edited]
    follows = all(b >= a - WAVERING for a, b in pairwise(readings))
    _promise(
        follows and readings[-1] > readings[0] + WAVERING,
        f"the reading of {case.name!r} follows the request",
    )


def _returns_the_same_for_nothing(case: _Case) -> None:
    for request in (EditRequest(), EditRequest(changes={case.name: 0.0})):
        out = case.editor.edit(case.ws, request)
        near = float((out - case.ws).abs().max()) <= 1e-5
        _promise(near, "an empty request returns w within 1e-5")
        _promise(out.data_ptr() != case.ws.data_ptr(), "an empty request returns a copy")


def _is_deterministic(case: _Case) -> None:
    twice = case.editor.edit(case.ws, case.change), case.editor.edit(case.ws, case.change)
    _promise(torch.equal(*twice), "it is deterministic")


def _does_not_mix_faces(case: _Case) -> None:
    whole = case.editor.edit(case.ws, case.change)
    singles = torch.cat([case.editor.edit(w[None], case.change) for w in case.ws])
    _promise(float((whole - singles).abs().max()) <= case.close, "a batch equals its single faces")
    flipped = case.editor.edit(case.ws.flip(0), case.change).flip(0)
    apart = float((whole - flipped).abs().max())
    _promise(apart <= case.close, "the order of a batch does not matter")


def _ignores_the_order_of_names(case: _Case) -> None:
    if len(case.editor.attributes) < 2:
        return
    pairs = [(case.name, 0.2), (case.editor.attributes[1], -0.1)]
    both = [case.editor.edit(case.ws, EditRequest(changes=dict(p))) for p in (pairs, pairs[::-1])]
    apart = float((both[0] - both[1]).abs().max())
    _promise(apart <= case.close, "the order of the attributes in a request does not matter")


def _refuses_what_it_cannot_do(case: _Case) -> None:
    unknown = EditRequest(changes={"no_such_attribute": 0.1})
    _refused(
        lambda: case.editor.edit(case.ws, unknown), "an unknown attribute", "no_such_attribute"
    )
    for bad, reason in (
        (EditRequest(changes={case.name: float("nan")}), "NaN"),
        (EditRequest(changes={case.name: 1.5}), "a change above 1"),
        (EditRequest(targets={case.name: 0.5}), "an absolute target without current readings"),
    ):
        _refused(partial(case.editor.edit, case.ws, bad), reason)
    _refused(lambda: case.editor.edit(case.ws[..., :-1], case.change), "latents of another width")


def _honours_or_refuses_preserve(case: _Case) -> None:
    if len(case.editor.attributes) < 2:
        return
    others = case.editor.attributes[1:]

    def holding(name: str) -> Tensor:
        request = EditRequest(changes={case.name: 0.3}, preserve=(name,))
        return case.editor.edit(case.ws, request)

    if not case.editor.can_preserve:
        _refused(lambda: holding(others[0]), "preserve, as can_preserve is False")
        return
    _refused(
        lambda: holding("no_such_attribute"), "an unknown attribute to preserve",
        "no_such_attribute",
    )  # fmt: skip
    plain, held = case.editor.edit(case.ws, case.change), []
    for name in others:
        # some it cannot hold while the other changes, and says so
        with contextlib.suppress(ValueError):
            held.append(holding(name))
    heard = any(not torch.equal(edited, plain) for edited in held)
    _promise(heard, "what is to be preserved makes a difference")


def _reaches_absolute_targets(case: _Case) -> None:
    assert case.current is not None
    request = EditRequest(targets={case.name: 0.5}, current=case.current)
    out = case.editor.edit(case.ws, request)
    _promise(out.shape == case.ws.shape, "absolute targets are possible")
    singles = [
        case.editor.edit(w[None], EditRequest(targets={case.name: 0.5}, current=readings[None]))
        for w, readings in zip(case.ws, case.current, strict=True)
    ]
    apart = float((out - torch.cat(singles)).abs().max())
    _promise(apart <= case.close, "each face goes to an absolute target from its own readings")
    ends = [torch.full_like(case.current, value) for value in (0.2, 0.8)]
    below, above = (
        case.editor.edit(case.ws, EditRequest(targets={case.name: 0.5}, current=end))
        for end in ends
    )
    _promise(not torch.equal(below, above), "an absolute target counts from the current readings")
    short = EditRequest(targets={case.name: 0.5}, current=case.current[:2])
    _refused(lambda: case.editor.edit(case.ws, short), "readings of another number of faces")


def _survives_inference_mode(case: _Case) -> None:
    with torch.inference_mode():
        out = case.editor.edit(case.ws, case.change)
    apart = float((out - case.editor.edit(case.ws, case.change)).abs().max())
    _promise(apart <= case.close, "inference_mode changes nothing")


def _survives_disk(case: _Case) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "editor.safetensors"
        case.editor.save(path)
        again = type(case.editor).load(path)
        _promise(
            torch.equal(again.edit(case.ws, case.change), case.editor.edit(case.ws, case.change)),
            "it edits the same after save and load",
        )
        path.write_bytes(path.read_bytes()[:-8])
        _refused(lambda: type(case.editor).load(path), "a truncated file")


_CHECKS = (
    _describes_itself,
    _states_a_reach_it_has,
    _keeps_shape_and_input,
    _returns_the_same_for_nothing,
    _is_deterministic,
    _does_not_mix_faces,
    _ignores_the_order_of_names,
    _refuses_what_it_cannot_do,
    _honours_or_refuses_preserve,
    _reaches_absolute_targets,
    _survives_inference_mode,
    _grows_with_the_request,
    _survives_disk,
)
