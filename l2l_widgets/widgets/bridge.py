"""Between a session and a view: what the browser sends becomes state, results become plain values.

Requests arrive on the kernel's main thread or on a subshell of it, results come from the session's
worker. The bridge takes both: it changes the state at once, so that no click is lost, and leaves
drawing to the worker, where the newest state wins.

A request carries the sender (``client``) and a running ``number``. Results name, for each client,
the newest request that they answer; the browser keeps no more than two under way, so a slow kernel
is never flooded.

The receipt waits for a short rest of the finger. Measuring between two pictures of one drag would
make the second late, and nobody reads numbers that change twenty times a second.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from l2l_widgets.images import encode_jpeg, to_uint8
from l2l_widgets.latents import layer_groups, z_from_seed
from l2l_widgets.latest_wins import LatestWins
from l2l_widgets.policy import visible_table
from l2l_widgets.session.replay import parse_recipe
from l2l_widgets.session.scope import own_names, spaces_of
from l2l_widgets.session.shared_face import SharedFace
from l2l_widgets.session.states import Edit
from l2l_widgets.widgets.requests import Requests
from l2l_widgets.widgets.taking_home import save_face
from l2l_widgets.widgets.words import Words

if TYPE_CHECKING:
    from l2l_widgets.attributes import Attribute, AttributeTable
    from l2l_widgets.models.zoo import Models
    from l2l_widgets.session.edit_session import EditSession
    from l2l_widgets.session.receipt import Receipt
    from l2l_widgets.session.states import EditResult, SessionState

#: Pictures up to this side travel as raw pixels: no artefacts that upscaling would show, nothing to
#: decode, and still a small message.
RAW_UP_TO = 128
SEED_MAX = 2**32 - 1
#: What the truncation slider offers; the session allows more, at the price of broken faces.
PSI_SLIDER = (0.0, 1.0)
#: Seconds without a request after which the receipt is measured.
REST = 0.15
#: Families of sliders that are unfolded at first.
OPEN_FAMILIES = 2
#: A small picture enlarged, a draft, and the picture; a better one of the same state replaces it.
EARLY, DRAFT, WHOLE = 0, 1, 2
#: What of a receipt has a value an attribute.
BY_ATTRIBUTE = (
    "requested", "targets", "achieved", "others", "band", "before", "after", "by_regressor",
    "inside_band", "along", "slipped",
)  # fmt: skip


def picture_value(image: Tensor) -> dict[str, Any]:
    """A picture as the browser takes it.

    Parameters
    ----------
    image : Tensor, shape (3, H, W)
        RGB in [-1, 1].

    Returns
    -------
    dict
        ``width``, ``height``, ``format`` ("rgb" or "jpeg") and ``data`` (bytes).
    """
    height, width = image.shape[-2:]
    value = {"width": width, "height": height}
    if max(height, width) > RAW_UP_TO:
        return {**value, "format": "jpeg", "data": encode_jpeg(image)}
    pixels = to_uint8(image).permute(1, 2, 0).contiguous()  # (H, W, 3)
    return {**value, "format": "rgb", "data": pixels.cpu().numpy().tobytes()}


def schema_value(
    table: AttributeTable, models: Models, words: Words | None = None
) -> dict[str, Any]:
    """What a view needs to lay itself out; it changes only when the models do.

    Parameters
    ----------
    table : AttributeTable
        The attributes that may be shown, in the language of the view.
    models : Models
        What draws and edits.
    words : Words, optional
        The language of the view; that of the environment if not given.
    """
    words = Words.of() if words is None else words
    families = [
        {"name": name, "open": i < OPEN_FAMILIES, "rows": [_row(a, words) for a in rows]}
        for i, (name, rows) in enumerate(table.families().items())
    ]
    num_ws = models.generator.num_ws
    groups = {name: list(range(num_ws)[rows]) for name, rows in layer_groups(num_ws).items()}
    return {
        "families": families,
        "methods": list(models.available_editors),
        "psi": {"low": PSI_SLIDER[0], "high": PSI_SLIDER[1]},
        "seed_max": SEED_MAX,
        "num_ws": num_ws,
        "groups": groups,
    }


def _row(attribute: Attribute, words: Words) -> dict[str, Any]:
    fields = ("name", "label", "definition", "family", "kind", "group", "low", "high", "unit")
    return {
        **{field: getattr(attribute, field) for field in fields},
        "words": words.search(attribute.name),
        "ends": words.ends(attribute.name),
    }


def abilities_value(session: EditSession, method: str) -> dict[str, Any]:
    """What the sliders must know of a method.

    Returns
    -------
    dict
        ``method``; ``attributes`` that it can change, None where it is not there to be asked;
        ``reasons`` why not the others; ``reach``, name -> sizes down and up, where it says so;
        ``spaces`` in which its step is another one than in its ``own``, and what an edit may call
        that; ``holds``, what can be held still with it.
    """
    try:
        editor = session.models.editor(method)
    except Exception:  # whatever a foreign one raises: drawing says why, in one line
        unknown: dict[str, Any] = {"attributes": None, "reasons": {}, "reach": {}}
        unknown |= {"spaces": [], "own": [], "holds": []}
        return {"method": method, **unknown}
    reach = getattr(editor, "reach", None)
    holds = editor.can_preserve or session.models.has("regressor")
    return {
        "spaces": list(spaces_of(editor)[1:]),
        "own": list(own_names(editor)),
        "holds": list(editor.attributes) if holds else [],
        "method": method,
        "attributes": list(editor.attributes),
        "reasons": dict(getattr(editor, "reasons", {})),
        "reach": {} if reach is None else {name: list(reach(name)) for name in editor.attributes},
    }


class SessionBridge:
    """One view's line to a session.

    Parameters
    ----------
    session : EditSession
        Several bridges may share one; each hears every change once.
    publish : callable
        Gets a dict with any of ``abilities``, ``settings``, ``before``, ``after``, ``receipt``,
        ``notice``; called on the session's worker thread, or on the thread of :meth:`handle`.
    folder : Path
        Where saved pictures go.
    table : AttributeTable, optional
        The attributes that the view shows, and that a receipt's words may mention; all by default.
    words : Words, optional
        The language of the view.
    unseen : callable, optional
        Whether nobody sees the view now: nothing is published then, read or measured.
    """

    def __init__(
        self,
        session: EditSession,
        publish: Callable[[dict[str, Any]], None],
        folder: Path,
        table: AttributeTable | None = None,
        words: Words | None = None,
        unseen: Callable[[], bool] = lambda: False,
    ) -> None:
        self.session = session
        self._unseen, self._owed = unseen, False
        self._words = Words.of() if words is None else words
        self._table = visible_table(session.models.table) if table is None else table
        self._publish = publish
        self._folder = folder
        # What names attributes is published under it, if those are still the ones to show. Nobody
        # asks for readings under it: whoever draws publishes early pictures in the midst of it.
        self._lock = threading.RLock()
        self._since = -1  # stamp of the first state that the models draw which draw now
        self._drawn_by = session.models
        self._requests = Requests()
        self._shown: tuple[Any, ...] | None = None  # key of the face whose picture is "before"
        self._after_of: tuple[Any, ...] | None = None  # key of the face whose edit is "after"
        self._stamp = -1  # of the picture that is up
        self._quality = 0  # of that picture: early, draft or whole
        self._read: tuple[Any, ...] | None = None  # key of the face that was read
        self._readings: dict[str, float] = {}
        self._settings: dict[str, Any] = {}
        self.state: SessionState | None = None  # of which the settings were told last
        self._abilities: dict[str, Any] = {}
        self._known: dict[str, dict[str, Any]] = {}  # method -> its abilities
        # What was asked of another method and this one does not know: it must not block the rest.
        self._aside: dict[str, float] = {}
        self._rest = LatestWins(self._measure_after_rest, name="l2l-rest")
        self._unsubscribe = session.subscribe(self._on_event, receipts=self._is_seen)

    def start(self) -> None:
        """Publish the first picture from the calling thread, and have it measured."""
        self._publish_result(self.session.render())
        self._rest(None)

    def look_again(self) -> None:
        """Show what was drawn while nobody looked, once somebody does."""
        if self._owed and not self._unseen():
            self._owed = False
            self.session.request()

    def _is_seen(self) -> bool:
        self._owed = True  # first: who comes to look while it is asked must find it owed
        self._owed = self._unseen()
        return not self._owed

    def reset(self, table: AttributeTable) -> None:
        """Forget what was known of other models; the next result is published whole."""
        with self._lock:
            self._table = table
            if self.session.models is not self._drawn_by:
                self._drawn_by, self._since = self.session.models, self.session.stamp
            old = {"abilities": self._abilities, "settings": self._settings}
            self._known, self._abilities, self._settings = {}, {}, {}
            self._shown = self._after_of = self._read = None
            self._readings, self._aside = {}, {}
            self._stamp = -1
            # Until then the page keeps the old ones, but for what may not be shown any more.
            self._publish({name: self._visible(value) for name, value in old.items() if value})

    def close(self) -> None:
        """Hear nothing any more; the session goes on."""
        self._unsubscribe()
        self._rest.close()

    # -- from the browser --------------------------------------------------------------------------

    def handle(self, message: Mapping[str, Any]) -> None:
        """Take one request.

        One that cannot be honoured is answered with a notice; nothing raises, because an exception
        in a message handler shows nowhere in the page.
        """
        try:
            if message.get("kind") == "save":
                self._save(message)
            else:
                self._change(message)
        except ValueError as error:
            self._answer(message, {"error": self._words.said(str(error))})
        except Exception as error:
            self._answer(message, {"error": self._words.said(f"{message.get('kind')}: {error}")})

    def _change(self, message: Mapping[str, Any]) -> None:
        session, kind = self.session, message.get("kind")
        gesture = f"{message.get('client')}/{message['gesture']}" if "gesture" in message else None
        if kind == "targets":
            # The sliders show relative changes as targets, so what they send stands for both.
            edit = session.state.edits[-1]
            known, self._aside = self._divide(edit.method, message["targets"])
            # The page does not know what this view alone hides; what a script asked of it stays.
            table = session.models.table
            visible = visible_table(table)
            unseen = {n for n in visible.names if n not in self._table}
            changes = {n: v for n, v in edit.changes.items() if n in unseen}
            known |= {n: v for n, v in edit.targets.items() if n in unseen}
            # What is hidden everywhere cannot be asked for, nor taken back by hand: it is let go.
            may = [n for n in edit.preserve if n in visible or n not in table]
            free = tuple(name for name in may if name not in known)
            session.update(targets=known, changes=changes, preserve=free, gesture=gesture)
        elif kind == "hold":
            self._hold(message["names"], bool(message["on"]))
        elif kind == "scope":
            rows = message.get("rows")
            rows = None if rows is None else tuple(rows)
            session.update(rows=rows, space=message.get("space"))
        elif kind == "again":
            pass  # what changed is drawn
        elif kind == "goto":
            if not session.goto(message["node"]):
                raise ValueError(f"step {message['node']!r} is forgotten")
            self._aside = {}
        elif kind == "recipe":
            session.take(parse_recipe(message["text"]))
            self._aside = {}
        elif kind == "truncation":
            session.set_truncation(message["psi"], gesture=gesture)
        elif kind == "seed":
            # Refused before it is taken: a face that cannot be would refuse all that follows.
            z_from_seed(message["seed"], session.models.generator.z_dim)
            edits = SharedFace.of(session).visible_edits(session.state.edits)
            session.update(seed=message["seed"], edits=edits)
        elif kind == "method":
            self._set_method(message["method"])
        elif kind in ("undo", "redo", "reset"):
            getattr(session, kind)()
            self._aside = {} if kind == "reset" else self._aside
        else:
            raise ValueError("no such request")
        self._requests.begin(session.stamp, message)
        session.request(measure=False, preview=True)
        self._rest(None)

    def ask(self, edit: Edit) -> None:
        """Ask for what a preset asks for, with the method that is chosen."""
        method = self.session.state.edits[-1].method
        able = self._abilities_of(method)
        targets, aside = self._divide(method, edit.targets)
        changes, more = self._divide(method, edit.changes)
        self._aside = aside | self._as_targets(more)
        holds = tuple(name for name in edit.preserve if name in able["holds"])
        space = edit.space if edit.space in able["spaces"] else None
        self.session.update(
            targets=targets, changes=changes, preserve=holds, rows=edit.rows, space=space
        )

    def _hold(self, names: list[str], on: bool) -> None:
        edit = self.session.state.edits[-1]
        rest = tuple(name for name in edit.preserve if name not in names)
        self.session.update(
            preserve=(*rest, *names) if on else rest,
            targets={n: v for n, v in edit.targets.items() if n not in names},
            changes={n: v for n, v in edit.changes.items() if n not in names},
        )

    def _as_targets(self, changes: Mapping[str, float]) -> dict[str, float]:
        own = self._readings
        return {n: min(1.0, max(0.0, own.get(n, 0.5) + c)) for n, c in changes.items()}

    def _set_method(self, method: str) -> None:
        edit = self.session.state.edits[-1]
        targets, self._aside = self._divide(method, {**self._aside, **edit.targets})
        changes, more = self._divide(method, edit.changes)
        self._aside |= self._as_targets(more)
        able = self._abilities_of(method)
        space = edit.space if edit.space in able["spaces"] else None
        holds = tuple(n for n in edit.preserve if able["attributes"] is None or n in able["holds"])
        self.session.update(
            method=method, targets=targets, changes=changes, space=space, preserve=holds
        )

    def _divide(
        self, method: str, values: Mapping[str, float]
    ) -> tuple[dict[str, float], dict[str, float]]:
        """Divide a request into what a method can change, or nobody knows, and the rest."""
        able = self._abilities_of(method)["attributes"]
        table = self.session.models.table
        known = {n: v for n, v in values.items() if able is None or n in able or n not in table}
        return known, {n: v for n, v in values.items() if n not in known}

    def _abilities_of(self, method: str) -> dict[str, Any]:
        known = self._known  # of these models: other ones begin another
        if method not in known:
            known[method] = abilities_value(self.session, method)
        return known[method]

    def _visible(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Settings or abilities without hidden attributes; names that no table has stay."""
        known, out = self.session.models.table, dict(values)
        for field in {"targets", "aside", "readings", "reasons", "reach"} & out.keys():
            out[field] = {k: v for k, v in out[field].items() if k in self._table or k not in known}
        for field in ("held", "attributes", "holds"):
            if out.get(field):
                out[field] = [k for k in out[field] if k in self._table or k not in known]
        return out

    def _measure_after_rest(self, _: None) -> None:
        if self._rest.rested(REST):
            with contextlib.suppress(RuntimeError):  # the session was closed meanwhile
                self.session.request()

    def _save(self, message: Mapping[str, Any]) -> None:
        self._answer(message, save_face(self.session, self._folder))

    def _answer(self, message: Mapping[str, Any], notice: dict[str, Any]) -> None:
        self._publish({"notice": self._requests.notice(message, notice)})

    # -- from the session --------------------------------------------------------------------------

    def _on_event(self, kind: str, value: Any) -> None:
        if not self._is_seen():
            return
        if kind == "result":
            self._publish_result(value)
        elif kind == "early":  # in the midst of drawing: the settings, which ask for readings, wait
            self._publish_pictures(value, EARLY)
        elif kind == "receipt" and value.stamp >= self._since:
            table = self._table
            self._publish_of(table, {"receipt": receipt_value(value, table, self._words)})

    def _publish_of(self, table: AttributeTable, values: dict[str, Any]) -> bool:
        """Publish what names attributes of a table, if those are still shown; whether they are."""
        with self._lock:
            if self._table is not table:
                return False
            self._publish(values)
            return True

    def _publish_pictures(self, result: EditResult, quality: int) -> None:
        with self._lock:
            if result.stamp >= self._since and (values := self._pictures(result, quality)):
                self._publish(values)

    def _publish_result(self, result: EditResult) -> None:
        table = self._table
        self._publish_pictures(result, DRAFT if result.preview else WHOLE)
        # After the picture, because a new face has to be read first.
        abilities = self._visible(self._abilities_of(result.state.edits[-1].method))
        with self._lock:
            if abilities != self._abilities and self._publish_of(table, {"abilities": abilities}):
                self._abilities = abilities
        settings, self.state = self._visible(self._settings_of(result, table)), result.state
        with self._lock:
            if settings != self._settings and self._publish_of(table, {"settings": settings}):
                self._settings = settings

    def _pictures(self, result: EditResult, quality: int) -> dict[str, Any]:
        answers, answered = self._requests.answered(result.stamp)
        if result.stamp == self._stamp and not answered and quality <= self._quality:
            return {}
        self._stamp, self._quality = result.stamp, quality
        values: dict[str, Any] = {}
        if result.before is not None and self._shown != result.state.face_key():
            self._shown = result.state.face_key()
            values["before"] = {**picture_value(result.before), "seed": result.state.seed}
        values["after"] = {
            "stamp": result.stamp,
            "answers": answers,
            "error": self._words.said(result.error) if result.error else None,
            "seconds": dict(result.seconds),
        }
        # An impossible request leaves the last picture up and says why in words, but never that
        # of another face than the one beside it.
        after, face = result.after, result.state.face_key()
        if after is None and self._after_of != face:
            after = result.before
        if after is not None:
            self._after_of = face
            values["after"].update(picture_value(after))
        return values

    def _settings_of(self, result: EditResult, table: AttributeTable) -> dict[str, Any]:
        state = result.state
        if self._read != state.face_key():
            readings = self.session.readings()
            if readings or result.error is None:
                own = {k: round(v, 4) for k, v in readings.items() if k in table}
                with self._lock:
                    if self._table is table:  # else they are of what was shown before
                        self._readings, self._read = own, state.face_key()
        edit = state.edits[-1]
        targets = self._as_targets(edit.changes)
        return {
            "seed": state.seed,
            "psi": state.truncation_psi,
            "method": edit.method,
            "targets": {**targets, **edit.targets},
            "aside": {n: v for n, v in self._aside.items() if n not in edit.targets},
            "readings": self._readings,
            "can_undo": self.session.can_undo,
            "can_redo": self.session.can_redo,
            # also what the page does not show, as where it is hidden
            "can_reset": bool(self._aside) or state.edits != (Edit(edit.method),),
            "held": list(edit.preserve),
            "rows": None if edit.rows is None else sorted(edit.rows),
            "space": None if edit.space in self._abilities_of(edit.method)["own"] else edit.space,
        }


def receipt_value(receipt: Receipt, table: AttributeTable, words: Words) -> dict[str, Any]:
    """A receipt as the page takes it, with its words about the attributes of ``table``."""
    plain = receipt.to_dict()
    for name in BY_ATTRIBUTE:
        plain[name] = {n: v for n, v in plain[name].items() if n in table}
    for name in ("outside_band", "shortfalls", "moved_away", "nearly_there", "held"):
        plain[name] = [n for n in plain[name] if n in table]
    plain["missed"] = [entry for entry in plain["missed"] if entry["attribute"] in table]
    return {
        **plain,
        "error": words.said(receipt.error) if receipt.error else None,
        "sentences": words.sentences(receipt, table),
        # the first sentences, one for all that was held and one for each; only these are bold
        "failed": sum(name in table for name in receipt.shortfalls()) + bool(plain["slipped"]),
        "stands_out": list(receipt.stands_out(table)),
        "line": words.line(receipt, table),
        "identity_text": receipt.identity_text(words.phrases, words.decimal),
        "strangers_text": "" if receipt.strangers is None else words.number(receipt.strangers),
        "identity_number": "" if receipt.identity is None else words.number(receipt.identity),
        "drifts": receipt.drifts,
        "stamp": receipt.stamp,
    }
