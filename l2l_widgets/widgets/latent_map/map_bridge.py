"""Between a map and its view: requests in, values out, everything slow on threads of its own.

A request carries its sender and a number, as the face editor's do. It is acknowledged when it has
been taken; one that follows the pointer (``hover``) when it has been answered, so that a slow
kernel is never flooded. Of each kind only the newest request counts.

Nothing is computed while no page shows the map: pages say when they appear and disappear.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2l_widgets.latest_wins import LatestWins, drain_all
from l2l_widgets.maps.code_map import CodeMap, Layout
from l2l_widgets.policy import visible_table
from l2l_widgets.session.glances import NOISE
from l2l_widgets.session.shared_face import SharedFace
from l2l_widgets.session.subscribers import never
from l2l_widgets.widgets.audience import Audience
from l2l_widgets.widgets.face_view import REST
from l2l_widgets.widgets.latent_map.map_jobs import (
    BELIEFS,
    Album,
    can_place,
    colour_value,
    comparison_value,
    first_face,
    loaded_values,
    make_trajectories,
    make_walk,
    place_walk,
    points_value,
    schema_of,
    words_of,
)
from l2l_widgets.widgets.latent_map.map_looking import Looking
from l2l_widgets.widgets.latent_map.map_maker import MapMaker
from l2l_widgets.widgets.latent_map.map_strip import save_path, text_of_path
from l2l_widgets.widgets.requests import Requests
from l2l_widgets.widgets.words import Words

if TYPE_CHECKING:
    from l2l_widgets.attributes import AttributeTable
    from l2l_widgets.maps.paths import MapTrajectory, MapWalk
    from l2l_widgets.session.states import EditResult


class MapBridge:
    """One map's line to its pages.

    Parameters
    ----------
    face : SharedFace
        What a click loads into, and whose face is marked.
    audience : Audience
        Who looks at the map.
    code_map : CodeMap, path or None
        The map, or a file of it; None opens the one beside the models, or draws one.
    count : int or None
        Faces of a map that has to be drawn.
    hide : sequence of str
        Attributes that are shown nowhere.
    publish : callable
        Gets a dict of values by name; called from any thread.
    words : Words, optional
        The language of the view.
    folder : Path, optional
        Where a path's strip is saved; the working folder if not given.
    send : callable, optional
        Gets a message to the pages, which no state holds.
    """

    def __init__(
        self,
        face: SharedFace,
        audience: Audience,
        code_map: Any,
        count: int | None,
        hide: Sequence[str],
        publish: Callable[[dict[str, Any]], None],
        words: Words | None = None,
        folder: Path | None = None,
        send: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self._words = Words.of() if words is None else words
        self.face, self.audience = face, audience
        self.table = self._words.translate(visible_table(face.models.table, hide))
        self._hide = tuple(hide)
        self.code_map: CodeMap | None = code_map if isinstance(code_map, CodeMap) else None
        self.ready = threading.Event()
        self.walk: MapWalk | None = None
        self.trajectories: list[MapTrajectory] = []
        self.groups: dict[str, list[int]] = {"a": [], "b": []}
        self._source, self._count = code_map, count
        self._publish = publish
        self._folder, self._send = folder or Path.cwd(), send or (lambda message: None)
        self._lock = threading.RLock()
        self._requests = Requests()
        self._closed = threading.Event()
        self._notices, self._wrong = 0, False
        self._layout: Layout | None = None
        self._album: Album | None = None
        self._colour = ""
        self._result: EditResult | None = None
        self._face_waits = self._way_waits = False
        self._marked: tuple[Any, ...] = ()  # the face that the map shows
        self._up: tuple[Any, ...] = ()  # which picture of it, and where
        self._attribute = ""
        self._way_of: tuple[Any, ...] = ()
        self._workers: dict[str, LatestWins] = {}
        self._looking = Looking(audience, publish, self._looked, self._show_points)
        self._end = face.session.subscribe(self._on_result, receipts=never)
        self._maker: MapMaker | None = None

    # -- life --------------------------------------------------------------------------------------

    def start(self) -> None:
        """Open or draw the map on a thread; returns at once."""
        with self._lock:
            self._maker = MapMaker(
                self.face.models, self._source, self.code_map, self._count,
                audience=self.audience, words=self._words, publish=self._publish,
                ready=self.ready, closed=self._closed,
                first=self._show_first, measured=self._refresh, more=self._show_points,
                read=self._show_read,
            )  # fmt: skip
            self._maker.start()

    def close(self) -> None:
        """Stop what runs, and hear nothing any more."""
        self._closed.set()
        self._looking.close()  # which wakes the maker as well
        self._end()
        for worker in self._workers.values():
            worker.close()

    def drain(self, timeout: float) -> bool:
        """Wait until nothing is being worked out on the map; False when that took longer."""
        return drain_all(list(self._workers.values()), timeout)

    def look_again(self) -> None:
        """Do what was left undone while nobody looked, once somebody does."""
        if self.audience.is_there and self.ready.is_set():
            if self._face_waits:
                self._worker("face")(None)
            if self._way_waits:
                self._follow_again()

    def _show_first(self, found: CodeMap, go_on: Callable[[], None]) -> None:
        """Show a map that has just been opened or drawn, unless nobody wants it any more."""
        read = found.known == found.count
        with self._lock:
            go_on()
            self.code_map, self._album = found, Album(found)
            self._layout = next(iter(found.layouts.values()))
            self._colour = self._usual_colour(read)
        self._publish({"atlas": dict(found.atlas)})
        self._show_points()
        with self._lock:
            go_on()
            self.ready.set()
        go_on()
        self._worker("face")(None)

    # -- from the browser --------------------------------------------------------------------------

    def handle(self, message: Mapping[str, Any]) -> None:
        """Take one request; what is wrong with it is answered with a notice, nothing raises."""
        kind = message.get("kind")
        try:
            if not self.ready.is_set():
                raise ValueError("the map is not ready yet")
            elif kind in ("load", "edit"):
                (self._load if kind == "load" else self._edit)(message)
            elif kind in ("look", "look away"):
                self._looking.take(kind == "look", self._map, self.layout.space)
            elif kind == "clear":  # what is drawn over the map need not be kept up to date
                if message["what"] == "trajectory":
                    self.trajectories, self._way_waits = [], False
                self.walk = None if message["what"] == "strip" else self.walk
                self._publish({str(message["what"]): {}})
            elif kind in _JOBS:
                self._worker(kind)(dict(message))
            else:
                raise ValueError(f"request {kind!r}: there is no such request")
        except Exception as error:
            self._notice(self._words.said(str(error)))
        if kind != "hover" or not self.ready.is_set():
            self._answer(message)

    def _answer(self, message: Mapping[str, Any]) -> None:
        self._publish({"answered": self._requests.notice(message, {})["answers"]})

    def _notice(self, error: str | None, **said: Any) -> None:
        with self._lock:
            self._notices += 1
            count, self._wrong = self._notices, error is not None
        line = None if error is None else " ".join(error.split())
        self._publish({"notice": {**said, "error": line, "count": count}})

    def _worker(self, kind: str) -> LatestWins:
        with self._lock:
            if kind not in self._workers:
                job = getattr(self, f"_do_{kind}")

                def run(message: Any) -> None:
                    try:
                        job(message)
                    except Exception as error:
                        self._notice(self._words.said(str(error)))
                        if kind == "hover":
                            self._answer(message)

                self._workers[kind] = LatestWins(run, name=f"l2l-map-{kind}")
            return self._workers[kind]

    def _load(self, message: Mapping[str, Any]) -> None:
        """A face of the map, or a stop of the path, becomes the face of the session."""
        found, session = self._map, self.face.session
        gesture = f"{message.get('client')}/{message.get('number')}"
        row = message.get("row")
        if row is None:
            stop = int(message["stop"])
            if self.walk is None or not 0 <= stop < len(self.walk.rows):
                raise ValueError(f"stop is {stop}; allowed: a stop of the path that is up")
            row = self.walk.rows[stop]
            if row is None:
                w = self.walk.ws[stop : stop + 1]
                self.face.load(w=w, noise_mode=NOISE, by="map", gesture=gesture)
                return
        seed = found.seed_of(int(row))
        picture = self._album.known(int(row)) if self._album is not None else None
        # The map shows faces at a truncation and with a noise of its own; loaded is what was seen.
        self.face.load(
            seed=seed, truncation_psi=found.truncation_psi, noise_mode=NOISE,
            by="map", gesture=gesture,
        )  # fmt: skip
        if picture is not None and session.state.edits[-1].empty:
            # It was looked at a moment ago: there is nothing to wait for.
            value = first_face(found, self.layout, self.table, int(row), picture)
            self._publish({"loaded": {**value, "stamp": session.stamp}})

    def _edit(self, message: Mapping[str, Any]) -> None:
        """A point on an edit's way becomes the edit of the session."""
        way = next((t for t in self.trajectories if t.method == message["method"]), None)
        if way is None:
            raise ValueError(f"method is {message['method']!r}; allowed: one that is drawn")
        size = float(way.asked[int(message["step"])])
        attribute = str(message["attribute"])
        changes = {} if abs(size) < 1e-9 else {attribute: size}
        session, self._marked = self.face.session, ()  # shown at once: it was asked for here
        session.update(method=way.method, changes=changes, targets={}, preserve=())
        session.request()

    # -- jobs, each on its worker ------------------------------------------------------------------

    @property
    def _map(self) -> CodeMap:
        found = self.code_map
        if found is None:
            raise ValueError("the map is not ready yet")
        return found

    @property
    def layout(self) -> Layout:
        """The map that is up."""
        assert self._layout is not None
        return self._layout

    def _do_hover(self, message: Mapping[str, Any]) -> None:
        row = int(message["row"])
        assert self._album is not None
        hover = {"row": row, "seed": self._map.seed_of(row), "picture": self._album.picture(row)}
        with self._lock:  # words and place in one message, and of what may be named now
            hover |= words_of(self._map, self.layout, self.table, row)
            answered = self._requests.notice(message, {})["answers"]  # it is waited for
            self._publish({"hover": hover, "answered": answered})

    def _do_points(self, message: Mapping[str, Any]) -> None:
        key = (str(message["space"]), int(message["seed"]))
        layout = self._map.layouts.get(key)
        if layout is None:
            there = ", ".join(f"{space}/{seed}" for space, seed in self._map.layouts)
            raise ValueError(f"map is {key[0]}/{key[1]}; allowed: {there}")
        self._layout = layout
        self._show_points()
        self._worker("face")(None)
        # What was drawn on the old map lies elsewhere on this one, or nowhere.
        self._publish({"strip": {}, "trajectory": {}})
        if can_place(self._map, layout):
            if self.walk is not None:
                self.walk, value = place_walk(self._map, layout, self.walk)
                self._publish({"strip": value})
            if self.trajectories:
                self._follow_again()

    def _do_colour(self, message: Mapping[str, Any]) -> None:
        self._show_colour(str(message["name"]))

    def _do_compare(self, message: Mapping[str, Any]) -> None:
        groups = self.groups = {name: [int(r) for r in message[name]] for name in ("a", "b")}
        self._publish({"grouped": {**groups, "by": str(message.get("client"))}, "comparison": {}})
        if all(groups.values()):
            table = self.table
            value = comparison_value(self._map, table, groups["a"], groups["b"])
            self._publish_of(table, {"comparison": value})

    def _do_path(self, message: Mapping[str, Any]) -> None:
        self.walk, value = make_walk(self._map, self.layout, message["points"])
        self._publish({"strip": value})

    @property
    def _path(self) -> MapWalk:
        if self.walk is None:
            raise ValueError("there is no path; allowed: draw one first")
        return self.walk

    def _do_save(self, message: Mapping[str, Any]) -> None:
        self._notice(**save_path(self._map, self._path, self._folder))

    def _do_text(self, message: Mapping[str, Any]) -> None:
        self._send({**text_of_path(self._map, self._path), "client": message.get("client")})

    def _follow_again(self) -> None:
        """Follow the edit that is up: of another face, on another map, or for who came back."""
        self._worker("trajectory")({"attribute": self._attribute, "again": True})

    def _may_show(self, attribute: str) -> bool:
        return attribute in self.table and attribute in visible_table(self.face.models.table)

    def _do_trajectory(self, message: Mapping[str, Any]) -> None:
        attribute = str(message["attribute"])
        if not self._may_show(attribute):
            if message.get("again"):  # nobody asked for it: it was hidden meanwhile
                return
            raise ValueError(f"attribute {attribute!r} is not shown; allowed: those that are")
        self._attribute = attribute
        result = self._result or self.face.session.render()
        if result.w is None:
            raise ValueError(result.error or "the face cannot be drawn")
        worker, left = self._worker("trajectory"), False

        def stale() -> bool:
            nonlocal left  # and it stays so, for what was left is not whole
            left = left or self.audience.has_left
            return left or worker.stale() or not self._may_show(attribute)

        self._way_waits = False
        try:
            found, value = make_trajectories(
                self._map, self.layout, result.w, attribute, stale, self._words
            )
        except ValueError:
            if self._may_show(attribute):
                raise
            return  # hidden since it was asked for: its place is empty by now
        with self._lock:
            if not stale():
                self.trajectories, self._way_of = found, result.state.face_key()
                self._publish({"trajectory": {**value, "seed": result.state.seed}})
                return
            self._way_waits = left and self._may_show(attribute)
        self.look_again()  # who has come back meanwhile did not find it owed

    def _do_face(self, _: Any) -> None:
        self._face_waits = True  # first: who comes to look while it is asked must find it owed
        if not self.audience.is_there:
            return
        self._face_waits = False
        result = self._result or self.face.session.render()
        if result.w is None:
            return
        key, placed = result.state.face_key(), can_place(self._map, self.layout)
        up = (result.stamp, result.preview, self.layout.space, self.layout.seed, placed)
        if up == self._up:  # drawn again to be measured
            return
        other = key != self._marked
        if not other and not self._worker("face").rested(REST):
            return  # a slider is not followed picture by picture: the one under the finger is first
        with self._lock:
            self._marked, self._up, table = key, up, self.table
        for value in loaded_values(self._map, self.layout, table, result, early=other):
            self._publish_of(table, {"loaded": value})
        if self.trajectories and self._way_of != key and placed:
            self._follow_again()

    # -- what is up --------------------------------------------------------------------------------

    def _publish_of(self, table: AttributeTable, values: dict[str, Any]) -> None:
        """Publish what names attributes of ``table``, if those are still the ones to show."""
        with self._lock:
            if self.table is table:
                self._publish(values)

    def _show_points(self) -> None:
        self._show_colour(points=points_value(self._map, self.layout, self._words))

    def _show_colour(self, name: str | None = None, **more: Any) -> None:
        while True:
            with self._lock:
                table, chosen = self.table, self._colour if name is None else name
            # one that there is not is refused, and the old one stays
            colour = colour_value(self._map, self.layout, table, chosen, self._words)
            with self._lock:
                if self.table is table:
                    self._colour = chosen
                    self._publish({**more, "colour": colour})
                    return
            name = None  # what may be shown changed meanwhile, and the colour may have with it

    def _show_read(self, thumbnails: dict[str, Any] | None) -> None:
        """Colour the map by what has been read so far; at the end there are thumbnails as well."""
        if thumbnails is not None:
            self._publish({"atlas": thumbnails})
        elif self._colour in BELIEFS:
            return
        self._show_colour()

    def _looked(self, space: str, why: str | None) -> None:
        """Put what was drawn before on the map on which it has a place now."""
        if why:
            self._notice(self._words.said(why))
        elif why is None and self.ready.is_set() and self.layout.space == space:
            self._worker("points")({"space": space, "seed": self.layout.seed})

    def _refresh(self, key: tuple[str, int]) -> None:
        if (self.layout.space, self.layout.seed) == key:
            self._layout = self._map.layouts[key]
            self._show_points()

    # -- from the session --------------------------------------------------------------------------

    def _on_result(self, kind: str, value: Any) -> None:
        if kind == "result" and value.error is None:
            self._result = value
            if self.ready.is_set() and not self._closed.is_set():
                with contextlib.suppress(RuntimeError):  # closed meanwhile
                    self._worker("face")(None)

    def take_models(self) -> None:
        """Make the map of other models: they have other faces, perhaps other attributes."""
        if self._closed.is_set():
            return
        with self._lock:
            self._looking.close()
            if self._maker is not None:
                self._maker.stop()  # what it still makes belongs to the models that went
            self.ready.clear()
            self.code_map, self._source, self._result = None, None, None
            self.walk, self.trajectories, self.groups = None, [], {"a": [], "b": []}
            self._way_waits = False
        gone = ("points", "strip", "trajectory", "comparison", "hover", "loaded", "atlas")
        self._publish({name: {} for name in (*gone, "grouped")})
        # by which the page begins anew, from what is there now
        self._publish({"schema": self._new_schema()})
        self.start()

    def hide_anew(self) -> None:
        """Show what may be shown now, on the same map."""
        if self._closed.is_set():
            return
        values: dict[str, Any] = {"hover": {}, "comparison": {}, "loaded": {}}
        with self._lock:
            self._up, found, layout = (), self.code_map, self._layout
            schema = self._new_schema()
            if self._attribute not in self.table:
                self.trajectories, self._attribute, self._way_waits = [], "", False
                values["trajectory"] = {}
            if found is not None and layout is not None and self._colour not in BELIEFS:
                if self._colour not in self.table:
                    self._colour = self._usual_colour(found.known == found.count)
                table, name = self.table, self._colour
                values["colour"] = colour_value(found, layout, table, name, self._words)
            # All at once: the page begins anew with the layout, from what is there by then.
            self._publish({**values, "schema": schema})
            wrong, self._wrong = self._wrong, False
        if wrong:
            self._notice(None)  # it may name what is hidden, or that is shown again
        if not self.ready.is_set():
            return  # what is being made takes the new table
        self._worker("compare")(dict(self.groups))
        self._worker("face")(None)

    def _new_schema(self) -> dict[str, Any]:
        models = self.face.models
        hidden = [name for name in self._hide if name in models.table]
        self.table = self._words.translate(visible_table(models.table, hidden))
        return schema_of(self.table, models.available_editors, self._words)

    def _usual_colour(self, read: bool) -> str:
        return "age" if read and "age" in self.table else "kept"


_JOBS = ("hover", "points", "colour", "compare", "path", "trajectory", "save", "text")
