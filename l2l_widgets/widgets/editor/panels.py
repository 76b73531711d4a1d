"""What the panels below the picture ask for: history, recipe and code, presets, two recipes.

Nothing of this is computed while its panel is closed or its view out of sight: what was begun then
is answered when it is seen again. What takes time (thumbnails, two faces and
their judges) runs on a worker of its own, where only the newest question of a kind counts; the
answer goes to the page as a message, with pictures beside it. What cannot be done is answered with
one line, shown in the panel that asked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from l2l_widgets.images import encode_jpeg
from l2l_widgets.session.presets import FILE, SHIPPED, PresetShelf
from l2l_widgets.session.recipe_pair import compare_recipes
from l2l_widgets.session.references import Strangers
from l2l_widgets.session.replay import parse_recipe
from l2l_widgets.session.states import Edit
from l2l_widgets.widgets.owing import Owing
from l2l_widgets.widgets.taking_home import text_of_face

if TYPE_CHECKING:
    from l2l_widgets.attributes import AttributeTable
    from l2l_widgets.models.zoo import Models
    from l2l_widgets.session.edit_session import EditSession
    from l2l_widgets.session.history import HistoryNode
    from l2l_widgets.session.states import SessionState
    from l2l_widgets.widgets.words import Words

#: Side of a thumbnail, in pixels.
THUMB = 96
#: Differences of two faces that are listed; a smaller one than this cannot be seen.
LISTED, VISIBLE = 10, 0.02

Send = Callable[[dict[str, Any], list[bytes]], None]


class Panels:
    """Answers the panels of one view.

    Parameters
    ----------
    session : EditSession
        Whose states they speak of.
    send : callable
        Gets a message (``type`` names the panel) and its buffers.
    folder : Path
        Where the shelf of presets lies.
    words : Words
        The language of the view.
    table : callable
        Gives the attributes that the view shows now, in its language.
    unseen : callable, optional
        Whether nobody sees the view now.
    """

    def __init__(
        self,
        session: EditSession,
        send: Send,
        folder: Path,
        words: Words,
        table: Callable[[], AttributeTable],
        unseen: Callable[[], bool] = lambda: False,
    ) -> None:
        self.session, self._send, self._words, self._table = session, send, words, table
        self.shelf = PresetShelf(folder / FILE)
        self._thumbs: dict[tuple[Any, ...], bytes] = {}
        self._drawn_with = session.models
        self._known: tuple[Models, Strangers] | None = None  # what strangers have in common
        self._workers = {
            "history": Owing(self._guarded(self._history), unseen, "l2l-history"),
            "pair": Owing(self._guarded(self._pair), unseen, "l2l-pair"),
        }
        self._direct = {
            "text": self._text,
            "presets": self._presets,
            "keep-preset": self._keep_preset,
            "remove-preset": self._remove_preset,
        }

    def close(self) -> None:
        """Answer nothing any more."""
        for worker in self._workers.values():
            worker.close()

    def handle(self, message: Mapping[str, Any]) -> bool:
        """Answer one question; False where it is none of a panel's."""
        kind = message.get("kind")
        if kind in self._workers:
            self._workers[kind](message)
        elif kind in self._direct:
            self._guarded(self._direct[kind])(message)
        else:
            return False
        return True

    def drain(self, timeout: float = 10.0) -> bool:
        """Wait until every question is answered; False when that took longer."""
        return all(worker.drain(timeout) for worker in self._workers.values())

    def look_again(self) -> None:
        """Answer what was left while nobody looked, once somebody does."""
        for worker in self._workers.values():
            worker.look_again()

    def _hidden(self) -> set[str]:
        """The attributes that these models know and the view does not show."""
        return {*self.session.models.table.names} - {*self._table().names}

    def _guarded(
        self, answer: Callable[[Mapping[str, Any]], None]
    ) -> Callable[[Mapping[str, Any]], None]:
        def run(message: Mapping[str, Any]) -> None:
            try:
                answer(message)
            except Exception as error:  # the panel says so; an exception would show nowhere
                line = (str(error).splitlines() or [type(error).__name__])[0]
                known = isinstance(error, (ValueError, OSError))
                text = line if known else f"{message.get('kind')}: {line}"
                self._send({"type": _panel(message), "error": text}, [])

        return run

    # -- history -----------------------------------------------------------------------------------

    def _history(self, message: Mapping[str, Any]) -> None:
        if self._drawn_with is not self.session.models:  # other models draw other thumbnails
            self._thumbs.clear()
            self._drawn_with = self.session.models
        nodes = self.session.history()
        states = {node.id: node.state for node in nodes}
        table, hidden = self._table(), self._hidden()
        if len(self._thumbs) > 2 * len(nodes):
            self._thumbs.clear()
        left = self._workers["history"].left
        if any(_picture_key(node.state) not in self._thumbs for node in nodes):
            # The steps are there at once; their pictures wait for whatever else is being drawn.
            self._send_history(nodes, states, table, hidden)
        for node in nodes:
            key = _picture_key(node.state)
            if key not in self._thumbs:
                if left():
                    return
                self._thumbs[key] = self._thumb(node.state)
        if not left():
            self._send_history(nodes, states, table, hidden)

    def _send_history(
        self,
        nodes: Sequence[HistoryNode],
        states: Mapping[int, SessionState],
        table: AttributeTable,
        hidden: set[str],
    ) -> None:
        buffers: list[bytes] = []
        listed: list[dict[str, Any]] = []
        for node in nodes:
            known = self._thumbs.get(_picture_key(node.state))
            before = None if node.parent is None else states[node.parent]
            listed.append(
                {
                    "id": node.id,
                    "parent": node.parent,
                    "current": node.current,
                    "label": self._words.step(before, node.state, table, hidden),
                    "picture": len(buffers) if known else None,
                }
            )
            buffers += [known] if known else []
        self._send({"type": "history", "nodes": listed}, buffers)

    def _thumb(self, state: Any) -> bytes:
        result = self.session.render(state)
        image = result.before if result.after is None else result.after
        return b"" if image is None else encode_jpeg(_small(image), quality=85)

    # -- recipe and code ---------------------------------------------------------------------------

    def _text(self, message: Mapping[str, Any]) -> None:
        text = text_of_face(self.session)
        self._send({"type": _panel(message), **text, "slot": message.get("slot")}, [])

    # -- presets -----------------------------------------------------------------------------------

    def preset(self, name: str) -> Edit:
        """A preset by its name; a ValueError where there is none."""
        known = {**SHIPPED, **self.shelf.presets()}
        if name not in known:
            raise ValueError(f"preset is {name!r}; allowed: {', '.join(known)}")
        return known[name]

    def _presets(self, message: Mapping[str, Any]) -> None:
        visible = self._table()

        def able(edit: Edit) -> bool:
            return all(name in visible for name in (*edit.changes, *edit.targets, *edit.preserve))

        shipped = [
            {"name": n, "label": self._words.preset(n)} for n, e in SHIPPED.items() if able(e)
        ]
        answer: dict[str, Any] = {"type": "presets", "shipped": shipped, "own": []}
        answer["file"] = str(self.shelf.path)
        try:
            own, hidden = self.shelf.presets().items(), self._hidden()
            answer["own"] = [
                {"name": n, "label": n}
                for n, e in own
                if not hidden & {*e.changes, *e.targets, *e.preserve}
            ]
        except ValueError as error:  # the shipped ones are there all the same
            answer["error"] = str(error)
        self._send(answer, [])

    def _keep_preset(self, message: Mapping[str, Any]) -> None:
        self.shelf.keep(str(message["name"]), self.session.state.edits[-1])
        self._presets(message)

    def _remove_preset(self, message: Mapping[str, Any]) -> None:
        self.shelf.remove(str(message["name"]))
        self._presets(message)

    # -- two recipes -------------------------------------------------------------------------------

    def _pair(self, message: Mapping[str, Any]) -> None:
        words, models = self._words, self.session.models
        recipes = []
        for slot in ("a", "b"):
            try:
                recipes.append(parse_recipe(str(message[slot])))
            except ValueError as error:
                raise ValueError(f"{slot.upper()}: {error}") from None
        if self._workers["pair"].left():
            return
        pair = compare_recipes(models, recipes[0], recipes[1])
        table = self._table()
        differences = [
            {"name": n, "label": table[n].label, "change": d, "from": pair.readings[0][n]}
            for n, d in pair.differences().items()
            if n in table and abs(d) >= VISIBLE
        ]
        strangers = None
        if pair.identity is not None:
            strangers = self._strangers(models)
            if strangers is None:
                return
        self._send(
            {
                "type": "pair",
                "differences": differences[:LISTED],
                "identity": None if pair.identity is None else words.number(pair.identity),
                "strangers": None if strangers is None else words.number(strangers),
                "fields": {n: [_say(v) for v in both] for n, both in pair.fields().items()},
            },
            [encode_jpeg(_small(image, 256)) for image in pair.images],
        )

    def _strangers(self, models: Models) -> float | None:
        """Return how alike strangers are; None where the answer is left meanwhile."""
        state = self.session.state
        variety = (float(state.truncation_psi), state.noise_mode)
        if self._known is None or self._known[0] is not models:
            self._known = (models, Strangers(models))
        strangers = self._known[1]
        with torch.inference_mode():
            while strangers.missing(*variety) > 0:
                if self._workers["pair"].left():
                    return None
                strangers.advance(*variety)
            return strangers.similarity(*variety)


def _picture_key(state: SessionState) -> tuple[Any, ...]:
    """What a thumbnail is of: a gesture changes the state of its step, whose number stays."""
    return (state.face_key(), *(edit.key() for edit in state.edits))


def _panel(message: Mapping[str, Any]) -> str:
    kind = str(message.get("kind"))
    if kind == "text":
        return str(message.get("panel", "recipe"))
    return "presets" if "preset" in kind else kind


def _small(image: Tensor, side: int = THUMB) -> Tensor:
    """The picture with at most ``side`` pixels a side."""
    if image.shape[-1] <= side:
        return image
    small = torch.nn.functional.interpolate(image[None], size=(side, side), mode="area")
    return small[0]


def _say(value: Any) -> str:
    text = "\u2013" if value is None else json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."
