"""LatentMap: thousands of faces in the plane, and how far that picture can be believed.

A view of a `CodeMap` and of the face that all views share. The page draws on a canvas of its own
(``static/map_*.js``) inside an anywidget, not in a plotly figure. What decided it: a figure's
bundle of 5 MB travels into every notebook; where points overlap, its click gives the topmost one,
not the one under the pointer; and neither thumbnails nor a point that moves from map to map are
among its traces. The canvas is two-dimensional, not WebGL: ten thousand points are drawn in a few
milliseconds, and it works on remote desktops and virtual machines without a graphics card.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from l2l_widgets.latest_wins import LatestWins
from l2l_widgets.maps.code_map import CodeMap
from l2l_widgets.models.zoo import Models, load
from l2l_widgets.policy import visible_table
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.session.shared_face import SharedFace
from l2l_widgets.widgets.bridge import static_text
from l2l_widgets.widgets.map_bridge import MapBridge
from l2l_widgets.widgets.map_jobs import BELIEFS, schema_of
from l2l_widgets.widgets.still import picture_html
from l2l_widgets.widgets.stylesheet import scoped
from l2l_widgets.widgets.words import Words

#: Values after whose change the still picture is drawn again.
_IN_STILL = {"points", "colour", "trajectory"}


class LatentMap(anywidget.AnyWidget):
    """A map of a generator's faces: look, load, compare groups, draw paths, follow edits.

    Parameters
    ----------
    source : EditSession, SharedFace, Models or None
        Whose face a click loads. Views of one session share it. None loads the embedded models.
    code_map : CodeMap or path, optional
        The map, or a file that ``l2l train map`` wrote. Where not given, the one shipped with the
        models is opened; without one a map is drawn, which takes some twenty seconds.
    count : int, optional
        Faces of a map that has to be drawn; 4,000 if not given.
    hide : iterable of str
        Attributes that are shown nowhere.
    language : str, optional
        "en", "de", ...: labels and units; that of ``L2L_LANGUAGE``, or English, if not given.

    Attributes
    ----------
    session : EditSession
        Whose face is marked.

    Raises
    ------
    ValueError
        ``hide`` names an attribute that does not exist, or the models cannot be loaded. What is
        wrong with a map is said in its place.

    Examples
    --------
    >>> from l2l_widgets import EditSession, FaceEditor, LatentMap, load
    >>> session = EditSession(load())  # doctest: +SKIP
    >>> LatentMap(session), FaceEditor(session)  # doctest: +SKIP
    """

    _esm = static_text(
        "elements.js", "link.js", "pictures.js", "map_canvas.js", "map_marks.js", "map_panels.js",
        "latent_map.js",
    )  # fmt: skip
    _css = scoped("l2l-map", static_text("latent_map.css", "map_panels.css"))

    schema = traitlets.Dict(help="attributes, methods, words").tag(sync=True)
    points = traitlets.Dict(help="one layout: coordinates, what is believed").tag(sync=True)
    colour = traitlets.Dict(help="a byte for each point, and its scale").tag(sync=True)
    atlas = traitlets.Dict(help="thumbnails of the first faces").tag(sync=True)
    progress = traitlets.Dict(help="what is being made ready, and how far").tag(sync=True)
    hover = traitlets.Dict(help="the face under the pointer").tag(sync=True)
    face = traitlets.Dict(help="where the loaded face and its edit lie").tag(sync=True)
    comparison = traitlets.Dict(help="what sets two groups apart").tag(sync=True)
    strip = traitlets.Dict(help="the faces along a path").tag(sync=True)
    trajectory = traitlets.Dict(help="where an edit goes, by each method").tag(sync=True)
    answers = traitlets.Dict(help="page -> number of its newest answered request").tag(sync=True)
    notice = traitlets.Dict(help="why a request could not be honoured").tag(sync=True)

    def __init__(
        self,
        source: EditSession | SharedFace | Models | None = None,
        *,
        code_map: CodeMap | str | Path | None = None,
        count: int | None = None,
        hide: Iterable[str] = (),
        language: str | None = None,
        **kwargs: Any,
    ) -> None:
        self._face = SharedFace.of(load() if source is None else source)
        self.session = self._face.session
        self._key = f"l2l-still-{secrets.token_hex(8)}"
        self._hide = tuple(hide)
        self._has_still = False
        # Drawing a still takes a tenth of a second: never on the thread that answers.
        self._stills = LatestWins(self._draw_still, name="l2l-map-still")
        models = self._face.models
        words = Words.of(language)
        table = words.translate(visible_table(models.table, self._hide))
        schema = {**schema_of(table, models.available_editors), "still": self._key}
        progress = {"text": "opening the map", "share": 0.0, "ready": False, "error": False}
        super().__init__(schema=schema, progress=progress, **kwargs)
        self._setting = threading.RLock()
        self._bridge = MapBridge(self._face, code_map, count, self._hide, self._show, words)
        self.on_msg(lambda _, content, buffers: self._bridge.handle(content))
        self._bridge.start()

    def __repr__(self) -> str:
        # What a notebook that is opened again shows until its cells are run.
        return "LatentMap: Run → Run All Cells brings it back"

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
        while not end(0.1):
            waited += 0.1
            if self.progress.get("error"):
                raise ValueError(self.progress["text"])
            if waited > timeout:
                raise ValueError(f"the map was not ready within {timeout:g} s")
        return self

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
        if hasattr(self, "_stills"):  # not where the arguments were refused
            self._stills.close()
        super().close()

    # -- to the page -------------------------------------------------------------------------------

    def _show(self, values: dict[str, Any]) -> None:
        if "schema" in values:
            values = {**values, "schema": {**values["schema"], "still": self._key}}
        with self._setting, self.hold_sync():
            for name, value in values.items():
                setattr(self, name, value)
        if self._has_still and _IN_STILL & values.keys():
            self._stills(None)

    def _ipython_display_(self) -> None:
        from IPython.display import HTML, display

        bundle = self._repr_mimebundle_()
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        display(data, raw=True, metadata=metadata)
        display(HTML(f'<span title="{self._key}"></span>'), display_id=self._key)
        self._has_still = True
        if self.points:
            self._stills(None)

    def _draw_still(self, _: Any) -> None:
        """Put a picture of the map where a reader without a kernel will find it."""
        from IPython.display import HTML, display

        if not self._bridge.ready.wait(0) or not self.points:
            return
        ax = self.plot()
        rows = [("faces", f"{self.points['count']:,}"), ("neighbours", self.points["neighbours"])]
        rows += [(BELIEFS[n][0], f"{share:.2f}") for n, share in self.points["believed"].items()]
        cells = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows)
        text = f"Map of {self.points['count']} faces. Run → Run All Cells brings it back."
        still = f"{picture_html(ax.figure, text, self._key)}<table>{cells}</table>"
        display(HTML(still), display_id=self._key, update=True)

    def plot(self, ax: Any = None) -> Any:
        """Draw what is up as a static figure; see :func:`l2l_widgets.plots.maps.plot_map`."""
        from l2l_widgets.plots.maps import plot_map

        found, layout = self.code_map, self._bridge.layout
        colour = self.colour
        name = colour["name"]
        if name in BELIEFS:
            believed = layout.quality
            values = None if believed is None else 100 * getattr(believed, name)
        else:
            values = self._face.models.table[name].to_unit(found.values(name))
        paths = {way.method: way.placed.position for way in self.ways}
        marked = self.face.get("before")
        return plot_map(
            layout.coordinates, values, label=f"{colour['label']} ({colour['unit']})",
            limits=(colour["low"], colour["high"]), paths=paths, face=marked, ax=ax,
        )  # fmt: skip
