"""LatentMap: thousands of faces in the plane, and how far that picture can be believed.

A view of a `CodeMap` and of the face that all views share. The page draws on a canvas of its own
(``static/map_*.js``) inside an anywidget, not in a plotly figure. What decided it: a figure's
bundle of 5 MB travels into every notebook; where points overlap, its click gives the topmost one,
not the one under the pointer; and neither thumbnails nor a point that moves from map to map are
among its traces. The canvas is two-dimensional, not WebGL: ten thousand points are drawn in a few
milliseconds, and it works on remote desktops and virtual machines without a graphics card.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import traitlets

from l2l_widgets.maps.code_map import CodeMap, check_count
from l2l_widgets.models.zoo import Models
from l2l_widgets.policy import visible_table
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.session.shared_face import POLICY, FaceEvent, SharedFace
from l2l_widgets.widgets.face_view import FaceView, shared
from l2l_widgets.widgets.latent_map.map_bridge import MapBridge
from l2l_widgets.widgets.latent_map.map_jobs import BELIEFS, WHY_OPEN, schema_of
from l2l_widgets.widgets.still import Still, figure_jpeg
from l2l_widgets.widgets.stylesheet import scripted, themed
from l2l_widgets.widgets.words import Words

#: Values after whose change the still picture is drawn again.
_IN_STILL = {"points", "colour", "trajectory"}


class _Making:
    """The making of a view's map, for who waits for several things."""

    def __init__(self, view: LatentMap) -> None:
        self._view = view

    def drain(self, timeout: float) -> bool:
        """Wait until the map is there, or it is said why it never will be; whether one of them."""
        try:
            self._view.wait(timeout)
        except ValueError:
            return bool(self._view.progress.get("error"))
        return True


class LatentMap(FaceView):
    """A map of a generator's faces: look, load, compare groups, draw paths, follow edits.

    Its own pictures, of points and along paths, are drawn with the noise "const" whatever that of
    the session is: the thumbnails come from a file that was made with it once, and faces can be
    compared with their neighbours only where all are drawn alike. What is loaded is what was seen:
    with a face of the map the session takes its noise and its truncation.

    Parameters
    ----------
    source : EditSession, SharedFace, Models or None
        Whose face a click loads. Views of one session share it. None loads the embedded models.
    code_map : CodeMap or path, optional
        The map, or a file that ``l2l train map`` wrote. Where not given, the one shipped with the
        models is opened; without one a map is drawn, which takes some twenty seconds.
    count : int, optional
        Faces of a map that has to be drawn, from 64; 4,000 if not given.
    hide : iterable of str
        Attributes that are shown nowhere.
    language : str, optional
        "en", "de", ...: labels and units; that of ``L2L_LANGUAGE``, or English, if not given.
    folder : path, optional
        Where the faces along a path are saved; the kernel's working folder if not given.

    Attributes
    ----------
    session : EditSession
        Whose face is marked.

    Raises
    ------
    ValueError
        ``hide`` names an attribute that does not exist, ``count`` is no number of faces that a map
        can have, or the models cannot be loaded. What is wrong with a map is said in its place.

    Examples
    --------
    >>> from l2l_widgets import EditSession, FaceEditor, LatentMap, load
    >>> session = EditSession(load())  # doctest: +SKIP
    >>> LatentMap(session), FaceEditor(session)  # doctest: +SKIP
    """

    _esm = scripted(
        "latent_map", "shared/taking.js", "map_canvas.js", "map_marks.js", "map_panels.js",
        "map_bar.js", "latent_map.js",
    )  # fmt: skip
    _css = themed("l2l-map", "latent_map", "shared/taking.css", "latent_map.css", "map_panels.css")

    points = traitlets.Dict(help="one layout: coordinates, what is believed").tag(sync=True)
    colour = traitlets.Dict(help="a byte for each point, and its scale").tag(sync=True)
    atlas = traitlets.Dict(help="thumbnails of the first faces").tag(sync=True)
    progress = traitlets.Dict(help="what is being made ready, and how far").tag(sync=True)
    looking = traitlets.Dict(help="which space's faces are looked at, how far").tag(sync=True)
    hover = traitlets.Dict(help="the face under the pointer").tag(sync=True)
    loaded = traitlets.Dict(help="where the loaded face and its edit lie").tag(sync=True)
    grouped = traitlets.Dict(help="rows of the two groups, and whose page drew them").tag(sync=True)
    comparison = traitlets.Dict(help="what sets two groups apart").tag(sync=True)
    strip = traitlets.Dict(help="the faces along a path").tag(sync=True)
    trajectory = traitlets.Dict(help="where an edit goes, by each method").tag(sync=True)

    def __init__(
        self,
        source: EditSession | SharedFace | Models | None = None,
        *,
        code_map: CodeMap | str | Path | None = None,
        count: int | None = None,
        hide: Iterable[str] = (),
        language: str | None = None,
        folder: str | Path | None = None,
        **kwargs: Any,
    ) -> None:
        self._hide = tuple(hide)
        self._setting = threading.RLock()
        text = Words.of(language).said("opening the map")
        progress = {"text": text, "share": 0.0, "ready": False, "error": False}
        progress["why"] = Words.of(language).said(WHY_OPEN)
        face = shared(source)
        models = face.models
        words = Words.of(language)
        # refused before there is a view
        if count is not None:
            check_count(count)
        table = words.translate(visible_table(models.table, self._hide))
        super().__init__(face, folder, progress=progress, language=language, **kwargs)
        self.schema = schema_of(table, models.available_editors, self._words)
        self._bridge = MapBridge(
            self.face, self.audience, code_map, count, self._hide, self._show, words,
            self._folder, self.send,
        )  # fmt: skip
        self._bridge.start()

    def _request(self, message: Mapping[str, Any]) -> None:
        self._bridge.handle(message)

    def _seen_anew(self) -> None:
        if hasattr(self, "_bridge"):
            self._bridge.look_again()

    def _on_face(self, event: FaceEvent) -> None:
        if event.by == POLICY:
            self._bridge.hide_anew()
        elif event.kind == "models":
            self._bridge.take_models()

    # -- from Python -------------------------------------------------------------------------------

    def wait(self, timeout: float = 60.0) -> LatentMap:
        """Wait until the map can be used.

        Raises
        ------
        ValueError
            It could not be made ready, with the reason, or not within ``timeout`` seconds.
        """
        end = self._bridge.ready.wait
        waited = 0.0
        with self._awaited():
            while not end(0.1):
                waited += 0.1
                if self.progress.get("error"):
                    raise ValueError(self.progress["text"])
                if waited > timeout:
                    raise ValueError(f"the map was not ready within {timeout:g} s")
        return self

    def _at_work(self) -> list[Any]:
        return [_Making(self), *super()._at_work(), self._bridge]

    @property
    def code_map(self) -> CodeMap:
        """The map; waits until it is there."""
        self.wait(600.0)
        assert self._bridge.code_map is not None
        return self._bridge.code_map

    @property
    def groups(self) -> dict[str, list[int]]:
        """Points of the map that the two lassos hold, ``a`` and ``b``."""
        return {name: list(rows) for name, rows in self._bridge.groups.items()}

    @property
    def path(self) -> Any:
        """The :class:`l2l_widgets.maps.paths.MapWalk` that is up, or None."""
        return self._bridge.walk

    @property
    def ways(self) -> list[Any]:
        """The :class:`l2l_widgets.maps.paths.MapTrajectory` of each method that is up."""
        return list(self._bridge.trajectories)

    def close(self) -> None:
        """Take the map out of the page; the session lives on."""
        if hasattr(self, "_bridge"):
            self._bridge.close()
        super().close()

    # -- to the page -------------------------------------------------------------------------------

    def _show(self, values: dict[str, Any]) -> None:
        with self._setting, self.hold_sync():
            for name, value in values.items():
                setattr(self, name, value)
        if _IN_STILL & values.keys():
            self._show_still()

    # -- without a front end -----------------------------------------------------------------------

    def _about(self) -> str:
        count = self.points.get("count")
        say, name = self._words, self.face.models.name
        faces = say("the_faces") if count is None else say("faces_count", count=say.count(count))
        return say("about_map", faces=faces, models=name, face=self._whose())

    def _without_still(self) -> str:
        text = self.progress.get("text", "")
        said = f": {text}" if text else ""
        return self._words("still_map_nothing", about=self._about(), text=said)

    def _show_still(self, update: bool = True) -> None:
        if not update:  # an empty place with its words is there at once
            self._put_still(update=False, whole=False)
        if self._has_still and self.points:
            self._put_still_soon()

    def _still_parts(self) -> Still | None:
        if not self._bridge.ready.wait(0) or not self.points:
            return None
        points, colour = self.points, self.colour
        say = self._words
        rows = [
            [say("head_faces"), say.count(points["count"])],
            [say("neighbours"), str(points["neighbours"])],
        ]
        rows += [[say(f"belief_{n}"), say.number(v)] for n, v in points["believed"].items()]
        words = say("still_map", about=self._about(), colour=colour["label"])
        return Still(figure_jpeg(self.plot().figure, dots=90), words, (say("head_map"), ""), rows)

    def plot(self, ax: Any = None) -> Any:
        """Draw what is up as a static figure; see :func:`l2l_widgets.plots.maps.plot_map`."""
        from l2l_widgets.plots.maps import CAVEAT, plot_map

        found, layout = self.code_map, self._bridge.layout
        colour = self.colour
        name = colour["name"]
        if name in BELIEFS:
            believed = layout.quality
            values = None if believed is None else 100 * getattr(believed, name)
        else:
            values = self.face.models.table[name].to_unit(found.values(name))
        paths = {way.method: way.placed.position for way in self.ways}
        marked = self.loaded.get("before")
        return plot_map(
            layout.coordinates, values, label=f"{colour['label']} ({colour['unit']})",
            limits=(colour["low"], colour["high"]), paths=paths, face=marked,
            caveat=self._words.said(CAVEAT), ax=ax,
        )  # fmt: skip

    def linked_plot(self, *attributes: str, colour: str | None = None) -> Any:
        """Draw readings of all faces against each other and the map, for one lasso in all panels.

        See :func:`l2l_widgets.plots.linked.linked_plot`, which draws any other readings as well.

        Parameters
        ----------
        *attributes : str
            One to six; those that were read.
        colour : str, optional
            The one that colours the points; the first if not given.
        """
        from l2l_widgets.plots.linked import linked_plot

        table = self._bridge.table
        for name in attributes:
            if name not in table:
                raise ValueError(f"attribute is {name!r}; allowed: {', '.join(table.names)}")
        found = self.code_map
        values = {name: found.values(name) for name in attributes}
        seeds = [found.seed_of(row) for row in range(found.count)]
        where = self._bridge.layout.coordinates
        return linked_plot(
            values, where, colour=colour, seeds=seeds, table=table, words=self._words.plots
        )
