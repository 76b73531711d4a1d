"""A face that is changed by painting its mask: state in, picture out, errors as data.

``PaintSession`` is plain Python; the widget, the command line and the tests use the same object.
Everything that changes the picture is an operation in one list, in the order it was done: strokes,
another face's style, keeping the outside. Undo takes back the last one, whatever it was.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from l2l_widgets.images import encode_png, load_image, picture_bytes, save_image
from l2l_widgets.latest_wins import LatestWins
from l2l_widgets.maskgan.model import MaskGAN
from l2l_widgets.masks import MaskError, fit_side, read_mask
from l2l_widgets.painting.checks import (
    check_feather,
    check_model,
    check_operation,
    check_photo,
    check_switch,
    checked_image,
    one_image,
    one_mask,
)
from l2l_widgets.painting.full_size import in_photo
from l2l_widgets.painting.painter import TRAIN
from l2l_widgets.painting.parsing import ParserSource, find_mask, load_parser, read_face
from l2l_widgets.painting.recipe import (
    RECIPE,
    RECIPE_FORMAT,
    PaintError,
    as_base64,
    bytes_of,
    model_hash,
    painting_in,
    png_text,
)
from l2l_widgets.painting.regions import edited_region, fade, keep_outside, region_change
from l2l_widgets.painting.states import Face, PaintResult, State, Step
from l2l_widgets.painting.strokes import apply_operation, replacing, touched
from l2l_widgets.painting.walk import Walk, share_of

#: Side that a saved picture should at least have.
SAVED_SIDE = 512


class PaintSession:
    """A face, its mask, and what was done to it.

    Parameters
    ----------
    model : MaskGAN or None
        Draws. Without one masks can be painted, and every picture says what is missing.
    image : Tensor, shape (3, R, R) or (1, 3, R, R)
        RGB in [-1, 1], of the model's size; a larger square, such as a face of a generator that
        draws larger ones, is averaged down to it.
    mask : Tensor, shape (R, R), optional
        Its mask, class indices in the official order. Default: what ``parser`` sees.
    parser : Segmenter, Declaration, str or path, optional
        Pictures to masks, for pictures without one: see :func:`load_parser`.
    feather : float
        Pixels over which a kept outside fades into the edit.
    photo : bytes, optional
        The picture file that ``image`` is the middle square of. Where the outside is kept, what is
        saved has its size, and outside the edit its pixels. No recipe holds it.

    Raises
    ------
    PaintError, MaskError
        A smaller picture, one that is not square, a mask that is none, or neither mask nor parser.
    """

    def __init__(
        self,
        model: MaskGAN | None,
        image: Tensor,
        mask: Tensor | None = None,
        parser: ParserSource | None = None,
        feather: float = 3.0,
        photo: bytes | None = None,
    ) -> None:
        self.model, self.parser = check_model(model), load_parser(parser)
        self._margin = 2.0  # pixels around the strokes that belong to the edited region
        #: What a picture says where there is no model.
        self.missing = f"there is no MaskGAN to draw with; train it: {TRAIN}"
        one = one_image(image)
        self.side = model.resolution if model is not None else int(one.shape[-1])
        self.image = self._checked_image(one)
        self.original = self._mask_for(self.image, mask)
        self.photo = check_photo(photo)
        self._first = State(self.original, None, False, check_feather(feather, self.side))
        self._done: list[Step] = []
        self._undone: list[Step] = []
        self._left: list[Face] = []  # faces that were painted before this one was opened
        self._ahead: list[Face] = []  # faces that undo has left again
        self._lock = threading.RLock()
        self._stamp = 0
        self._listeners: list[tuple[Callable[[PaintResult], None], Callable[[], bool]]] = []
        self._worker = LatestWins(self._draw_newest, name="l2l-paint")

    # -- state -------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """What the operations so far have left."""
        return self._done[-1][1] if self._done else self._first

    @property
    def mask(self) -> Tensor:
        """The mask as it is now, (R, R) uint8."""
        return self.state.mask

    @property
    def region(self) -> Tensor:
        """Where it was painted, and a little around it: bool (R, R)."""
        return edited_region(self.original, self.mask, self._margin)

    @property
    def operations(self) -> list[dict[str, Any]]:
        """What was done, in order."""
        return [operation for operation, _, _ in self._done]

    @property
    def can_undo(self) -> bool:
        """Whether there is something to take back."""
        return bool(self._done or self._left)

    @property
    def can_redo(self) -> bool:
        """Whether something was taken back."""
        return bool(self._undone or self._ahead)

    @property
    def can_draw(self) -> bool:
        """Whether a picture comes of what is painted."""
        return self.model is not None and self.model.mapping is not None

    @property
    def stamp(self) -> int:
        """Counts the changes of the state."""
        return self._stamp

    # -- changes -----------------------------------------------------------------------------------

    def apply(self, operation: Mapping[str, Any], gesture: Any = None) -> None:
        """Do one operation.

        Parameters
        ----------
        operation : mapping
            As in :mod:`l2l_widgets.painting.strokes`, or "style" (``png``, ``mask``: another face's
            picture and mask, base64; neither gives the own style back), "keep" (``on``,
            ``feather``), "between" (``png``: another mask, ``share`` 0 to 1, ``anew``: from the
            mask as it is now), or "reset".
        gesture : hashable, optional
            While it stays the same, an operation takes the place of the one before: a stroke that
            grows is one step of undo.

        Raises
        ------
        MaskError, PaintError
            Nothing has changed then.
        """
        check_operation(operation)
        with self._lock:
            again = gesture is not None and bool(self._done) and self._done[-1][2] == gesture
            base = self._done[:-1] if again else self._done
            before = base[-1][1] if base else self._first
            state = self._after(before, operation)
            self._done = [*base, (dict(operation), state, gesture)]
            self._undone, self._ahead = [], []
            self._stamp += 1

    def cancel(self, gesture: Any) -> None:
        """Drop what a gesture has done so far, if it was the last; redo does not bring it back."""
        with self._lock:
            if gesture is not None and self._done and self._done[-1][2] == gesture:
                self._done = self._done[:-1]
                self._stamp += 1

    def undo(self) -> None:
        """Take back what was done last, the opening of a face as well, if there is anything."""
        with self._lock:
            if self._done:
                self._undone.append(self._done.pop())
            elif self._left:
                self._ahead.append(self._face())
                self._show_face(self._left.pop())
            else:
                return
            self._stamp += 1

    def redo(self) -> None:
        """Do again what was taken back last."""
        with self._lock:
            if self._undone:
                self._done.append(self._undone.pop())
            elif self._ahead:
                self._left.append(self._face())
                self._show_face(self._ahead.pop())
            else:
                return
            self._stamp += 1

    def reset(self) -> None:
        """Back to the original; a step that undo takes back."""
        self.apply({"kind": "reset"})

    def set_mask(self, mask: Tensor) -> None:
        """Put another mask (R, R) in place of this one."""
        self.apply(replacing(one_mask(mask, self.side)))

    def copy_style(self, image: Tensor, mask: Tensor | None = None) -> None:
        """Draw in the style of another face; the parser finds its mask where none is given."""
        picture = self._checked_image(image)
        own = self._mask_for(picture, mask)
        self.apply({"kind": "style", "png": as_base64(encode_png(picture)), "mask": png_text(own)})

    def keep_outside(self, on: bool = True, feather: float | None = None) -> None:
        """Keep the original picture outside the painted area, or no longer."""
        width = self.state.feather if feather is None else feather
        self.apply({"kind": "keep", "on": on, "feather": width})

    def between(self, other: Tensor, share: float, gesture: Any = None, anew: bool = False) -> None:
        """Walk towards another mask: share 0 to 1, as the MaskVAE sees it.

        The walk starts at the mask as it is when the other one is named first, and what is painted
        afterwards stays on top of it. A mask that is set, a reset, and ``anew`` begin it again.
        """
        own = png_text(one_mask(other, self.side, "other"))
        begun = {"anew": True} if anew else {}
        self.apply({"kind": "between", "png": own, "share": share, **begun}, gesture)

    def open(self, source: str | Path | bytes) -> None:
        """Begin with another face: a saved painting with its mask, or any picture, parsed.

        Undo comes back to this one, and to all that was done to it.

        Raises
        ------
        PaintError, MaskError
            No picture, or one without a mask where there is no parser; nothing has changed then.
        """
        recipe = painting_in(source)
        if recipe is None:
            image, mask = read_face(source, self.side, self.parser)
            if mask is None:
                mask = self._mask_for(image, None)
            photo = source if isinstance(source, bytes) else picture_bytes(source)
            face = PaintSession(self.model, image, mask, self.parser, photo=photo)
        else:
            plain = {**recipe, "operations": [], "model": None}
            saved = PaintSession.from_recipe(None, plain)  # of whatever size
            mask = fit_side(saved.original, self.side)
            width = saved.state.feather
            face = PaintSession(self.model, saved.image, mask, self.parser, width)
        self.adopt(face)

    def adopt(self, other: PaintSession) -> None:
        """Take over another session's face and everything that was done to it; a step of undo.

        Raises
        ------
        PaintError
            It is of another size.
        """
        if not isinstance(other, PaintSession):
            raise PaintError(f"other is {type(other).__name__}; allowed: a PaintSession")
        if other.side != self.side:
            raise PaintError(f"the other face has {other.side} pixels; allowed: {self.side}")
        with self._lock:
            self._undone, self._ahead = [], []
            self._left.append(self._face())
            own = other._face()
            self._show_face(replace(own, done=list(own.done), undone=[]))
            self._stamp += 1

    def _face(self) -> Face:
        return Face(
            self.image, self.original, self._first, self._done, self._undone, self.photo
        )  # fmt: skip

    def _show_face(self, face: Face) -> None:
        self.image, self.original, self._first = face.image, face.original, face.first
        self._done, self._undone, self.photo = face.done, face.undone, face.photo

    def _after(self, before: State, operation: Mapping[str, Any]) -> State:
        kind = operation.get("kind")
        walk = before.walk
        if kind == "reset":
            again = None if walk is None else Walk.begin(self.original, walk.other)
            return State(self.original, None, False, before.feather, again)
        if kind == "keep":
            width = check_feather(operation.get("feather", before.feather), self.side)
            return replace(before, keep=check_switch(operation.get("on")), feather=width)
        if kind == "style":
            return replace(before, style=self._style(operation))
        if kind == "between":
            return self._walked(before, operation)
        mask = apply_operation(before.mask, self.original, operation)
        if walk is not None and kind == "mask":
            walk = Walk.begin(mask, walk.other)
        elif walk is not None:
            walk = walk.with_painted(touched(before.mask, mask, operation))
        return replace(before, mask=mask, walk=walk)

    def _style(self, operation: Mapping[str, Any]) -> tuple[Tensor, Tensor] | None:
        if not operation.get("png"):
            return None
        picture = self._checked_image(load_image(bytes_of(operation, "png"), self.side)[0])
        given = None
        if operation.get("mask"):
            given = read_mask(
                bytes_of(operation, "mask"), self.side, "official", "mask of the style"
            )
        return picture, self._mask_for(picture, given)

    def _walked(self, before: State, operation: Mapping[str, Any]) -> State:
        share = share_of(operation)
        other = read_mask(bytes_of(operation, "png"), self.side, "official", "other mask")
        walk = before.walk
        if walk is None or not walk.leads_to(other) or operation.get("anew"):
            walk = Walk.begin(before.mask, other)
        walk = replace(walk, share=share)
        return replace(before, mask=walk.mask(self.model, before.mask), walk=walk)

    # -- pictures ----------------------------------------------------------------------------------

    def render(self) -> PaintResult:
        """Draw the state as it is now, on this thread."""
        with self._lock:
            state, stamp, face = self.state, self._stamp, self._face()
        start, source, image, error = time.perf_counter(), face.image, None, None
        region = edited_region(face.original, state.mask, self._margin)
        try:
            source, drawn = self._drawn(state, face)
            image = keep_outside(source, drawn, region, state.feather) if state.keep else drawn
        except (ValueError, RuntimeError) as problem:
            error = str(problem).splitlines()[0]
        change = None
        if image is not None and bool(region.any()):
            change = region_change(source, image, region)
        seconds = time.perf_counter() - start
        styled = state.style is not None
        return PaintResult(image, state.mask, change, error, seconds, stamp, source, styled)

    def _drawn(self, state: State, face: Face) -> tuple[Tensor, Tensor]:
        """The picture that is changed, and what is drawn of it."""
        if self.model is None:
            raise PaintError(self.missing)
        picture, mask = state.style or (face.image, face.original)
        return face.image, self.model.paint(picture, state.mask, mask).cpu().clamp(-1, 1)

    def subscribe(
        self, listener: Callable[[PaintResult], None], wanted: Callable[[], bool] = lambda: True
    ) -> Callable[[], None]:
        """Have each picture that :meth:`request` asked for; returns what ends it.

        ``wanted`` says whether a picture that nobody asked for would be looked at now.
        """
        entry = listener, wanted
        self._listeners.append(entry)
        return lambda: self._listeners.remove(entry) if entry in self._listeners else None

    def _is_wanted(self) -> bool:
        """Ask every listener, as each that does not look now notes that it missed something."""
        return any([wanted() for _, wanted in list(self._listeners)])

    def request(self) -> None:
        """Have the newest state drawn in the background; older ones that wait are dropped."""
        self._worker(self._stamp)

    def drain(self, timeout: float = 10.0) -> bool:
        """Wait until everything that was asked for is drawn."""
        return self._worker.drain(timeout)

    def close(self) -> None:
        """End the background thread."""
        self._worker.close()

    def _draw_newest(self, _: int) -> None:
        result = self.render()
        for listener, _wanted in list(self._listeners):
            listener(result)

    # -- recipes -----------------------------------------------------------------------------------

    def recipe(self) -> dict[str, Any]:
        """Everything that decides the picture, as JSON values."""
        return {
            "format": RECIPE_FORMAT,
            "model": None if self.model is None else model_hash(self.model),
            "side": self.side,
            "feather": self._first.feather,
            "image": as_base64(encode_png(self.image)),
            "mask": png_text(self.original),
            "operations": self.operations,
        }

    def save(self, path: str | Path, scale: int | None = None) -> None:
        """Write the picture as PNG, its recipe inside.

        A kept outside is that of the photo, at the photo's size, where there is one. The recipe
        says that size, and replays the face alone.

        Raises
        ------
        PaintError
            Nothing could be drawn.
        """
        result = self.render()
        if result.image is None:
            raise PaintError(result.error or "there is no picture")
        factor, recipe = scale or max(1, -(-SAVED_SIDE // self.side)), self.recipe()
        image, whole = result.image, self._in_photo()
        if whole is not None:
            image, factor, recipe["photo"] = whole, scale or 1, [*reversed(whole.shape[1:])]
        save_image(path, image, {RECIPE: json.dumps(recipe)}, factor)

    def _in_photo(self) -> Tensor | None:
        """The edit in the photo that it was cut from; None where none is asked for, or there."""
        with self._lock:
            state, face = self.state, self._face()
        if face.photo is None or not state.keep:
            return None
        region = edited_region(face.original, state.mask, self._margin)
        return in_photo(face.photo, self._drawn(state, face)[1], fade(region, state.feather))

    @classmethod
    def from_recipe(
        cls, model: MaskGAN | None, recipe: Mapping[str, Any], parser: ParserSource | None = None
    ) -> PaintSession:
        """A session in which everything has been done that a recipe says.

        Raises
        ------
        PaintError, MaskError
            Another format, another model, or an operation that cannot be.
        """
        if recipe.get("format") != RECIPE_FORMAT:
            raise PaintError(f"format is {recipe.get('format')!r}; allowed: {RECIPE_FORMAT!r}")
        if model is not None and recipe.get("model") not in (None, model_hash(model)):
            raise PaintError(
                f"model is {str(recipe['model'])[:12]}..., the one here is "
                f"{model_hash(model)[:12]}...; allowed: the same, or the picture would differ"
            )
        side = recipe.get("side")
        if type(side) is not int or not 1 <= side <= 4096:
            raise PaintError(f"side is {side!r}; allowed: a whole number of pixels")
        image = load_image(bytes_of(recipe, "image"), side)[0]
        mask = read_mask(bytes_of(recipe, "mask"), side, "official", "mask")
        session = cls(model, image, mask, parser, recipe.get("feather", 3.0))
        session.follow(recipe)
        return session

    def follow(self, recipe: Mapping[str, Any]) -> None:
        """Do the operations of a recipe, one after the other; PaintError names what cannot be."""
        operations = recipe.get("operations")
        if not isinstance(operations, list):
            raise PaintError(f"operations are {type(operations).__name__}; allowed: a list")
        for number, operation in enumerate(operations, start=1):
            if not isinstance(operation, Mapping):
                raise PaintError(f"operation {number} is {operation!r}; allowed: an object")
            try:
                self.apply(operation)
            except ValueError as error:
                raise PaintError(f"operation {number}: {error}") from None

    # -- checks ------------------------------------------------------------------------------------

    def _checked_image(self, image: Tensor) -> Tensor:
        return checked_image(image, self.side)

    def _mask_for(self, image: Tensor, mask: Tensor | None) -> Tensor:
        if mask is not None:
            return one_mask(mask, self.side)
        if self.parser is None:
            raise MaskError(
                "there is no mask, and no parser to find one; give the picture's mask, a parser of "
                "your own (an ONNX file's declaration), or train one: l2l train parser --publish"
            )
        return find_mask(self.parser, image, self.side)
