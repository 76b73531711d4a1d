"""What the views of a shared face have in common.

A view hears which face is loaded, computes on a worker of its own where the newest request wins,
computes nothing while no page shows it, and leaves a still picture and a table beside itself for
the reader who opens the notebook without its kernel.
"""

from __future__ import annotations

import base64
import html
import itertools
import logging
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anywidget
import traitlets
from torch import Tensor

from l2l_widgets.images import encode_png
from l2l_widgets.latest_wins import LatestWins
from l2l_widgets.models.zoo import Models, load
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.session.shared_face import FaceEvent, SharedFace
from l2l_widgets.widgets.bridge import static_text
from l2l_widgets.widgets.stylesheet import scoped

#: Seconds that another view's change rests before this view follows: a picture under somebody's
#: finger comes first, and a slider is not followed picture by picture.
REST, REST_OF_SLIDER = 0.12, 0.4

_log = logging.getLogger(__name__)
_NUMBERS = itertools.count(1)


def themed(root: str, *names: str) -> str:
    """The common theme for a view whose outermost element has the class ``root``, and more sheets.

    Parameters
    ----------
    root : str
        CSS class.
    names : str
        Files of ``static/`` that follow the theme.
    """
    # The theme speaks of the training cell's class; a view of its own takes the same place.
    theme = static_text("theme.css").replace(".l2l-training", f".{root}")
    return scoped(root, theme + static_text(*names), "l2l-view")


class FaceView(anywidget.AnyWidget):
    """A view of a shared face; subclasses say what they compute and how they stand still.

    Parameters
    ----------
    source : SharedFace, EditSession, Models or None
        Whose face. Views of one session share it: what one loads, all show. None loads the
        embedded models.
    folder : path, optional
        Where saved files go; the kernel's working folder if not given.
    """

    schema = traitlets.Dict(help="layout; changes only with the models").tag(sync=True)
    notice = traitlets.Dict(help="what was saved, or what is wrong").tag(sync=True)
    answers = traitlets.Dict(help="client -> number of its newest request").tag(sync=True)

    def __init__(
        self,
        source: SharedFace | EditSession | Models | None,
        folder: str | Path | None,
        **kwargs: Any,
    ) -> None:
        self.face = SharedFace.of(load() if source is None else source)
        self._folder = Path.cwd() if folder is None else Path(folder)
        self._still = f"l2l-still-{secrets.token_hex(8)}"
        self._has_still = False
        self._lock = threading.RLock()
        self._pages: dict[str, bool] = {}  # client -> whether it shows the view
        self._owed = False
        self._rest_until = 0.0
        self._notices = 0
        self._name = f"{type(self).__name__}-{next(_NUMBERS)}"
        super().__init__(**kwargs)
        self._worker = LatestWins(self._serve_safely, name=f"l2l-{self._name}")
        self._end = self.face.subscribe(self._on_face)
        self.on_msg(lambda _, content, buffers: self._handle(content))

    # -- for subclasses ----------------------------------------------------------------------------

    def _serve(self) -> None:
        """Compute what is asked for, on the worker; asks :meth:`_stale` often."""
        raise NotImplementedError

    def _change(self, kind: str, message: Mapping[str, Any]) -> None:
        """Take a request of the page; a ValueError is shown in place."""
        raise NotImplementedError

    def _on_face(self, event: FaceEvent) -> None:
        """Hear that a face was loaded, here or elsewhere."""
        raise NotImplementedError

    def _still_parts(self) -> tuple[Tensor, str, Sequence[str], Sequence[Sequence[str]]] | None:
        """Picture (3, H, W), its words, and a table's head and rows; None before there is any."""
        raise NotImplementedError

    # -- asking ------------------------------------------------------------------------------------

    @property
    def session(self) -> EditSession:
        """Whose face it is."""
        return self.face.session

    @property
    def is_hidden(self) -> bool:
        """Whether pages know this view and none of them shows it now."""
        with self._lock:
            return bool(self._pages) and not any(self._pages.values())

    def _ask(self, rest: float = 0.0) -> None:
        """Have it computed, after ``rest`` seconds without another wish; put off while hidden."""
        with self._lock:
            self._rest_until = time.monotonic() + rest
            if self.is_hidden:
                self._owed = True
                return
            self._owed = False
        self._worker(None)

    def _stale(self) -> bool:
        """Whether the worker should leave what it does: something newer waits, or nobody looks."""
        if self._worker.stale():
            return True
        if self.is_hidden:
            self._owed = True
            return True
        return False

    def wait(self, timeout: float = 30.0) -> bool:
        """Wait until nothing is being computed; False when that took longer (seconds)."""
        return self._worker.drain(timeout)

    def _serve_safely(self, _: None) -> None:
        while (left := self._rest_until - time.monotonic()) > 0:
            if self._stale():
                return
            time.sleep(min(0.04, left))
        try:
            self._serve()
        except Exception as error:  # errors are data: the line stands in the view
            self._say_error(error)

    def _say_error(self, error: Exception) -> None:
        line = (str(error).strip().splitlines() or [""])[0]
        if not isinstance(error, (ValueError, OSError)) or not line:
            _log.error("unexpected error in %s", self._name, exc_info=error)
            line = f"{type(error).__name__}: {line}"
        self._say(error=line)

    def _say(self, **values: Any) -> None:
        with self._lock:  # the count makes two equal notices differ, so that both are shown
            self._notices += 1
            self.notice = {"error": None, **values, "count": self._notices}

    # -- from the page -----------------------------------------------------------------------------

    def _handle(self, message: Mapping[str, Any]) -> None:
        """Take one message; nothing raises, for an exception here shows nowhere in the page."""
        kind, client = str(message.get("kind")), str(message.get("client", ""))
        try:
            if kind == "visible":
                self._set_visible(client, bool(message.get("visible")))
            elif kind == "gone":
                with self._lock:
                    self._pages.pop(client, None)
            else:
                self._change(kind, message)
        except KeyError as error:
            self._say(error=f"{kind}: {error.args[0]!r} is missing")
        except Exception as error:
            self._say_error(error)
        # Taken, not done: what is done shows itself, and the worker drops what is out of date.
        number = message.get("number")
        if isinstance(number, int):
            with self._lock:
                self.answers = {**self.answers, client: max(number, self.answers.get(client, 0))}

    def _set_visible(self, client: str, visible: bool) -> None:
        with self._lock:
            self._pages[client] = visible
            owed = self._owed and visible
        if owed:
            self._ask()

    # -- without a front end -----------------------------------------------------------------------

    def __repr__(self) -> str:
        # What a notebook that is opened again shows until its cells are run.
        return f"{type(self).__name__}: Run \u2192 Run All Cells brings it back"

    def _ipython_display_(self) -> None:
        from IPython.display import display

        bundle = self._repr_mimebundle_()
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        display(data, raw=True, metadata=metadata)
        self._show_still(update=False)

    def _show_still(self, update: bool = True) -> None:
        """Put what is up where a reader without a kernel will find it."""
        from IPython.display import HTML, display

        if update and not self._has_still:
            return
        parts = self._still_parts()
        # An empty place first, where there is nothing to show yet: it can be filled later.
        text = "" if parts is None else still_html(*parts, self._still)
        display(HTML(text), display_id=self._still, update=update)
        self._has_still = True

    def close(self) -> None:
        """Take the view out of the page; the shared face lives on."""
        if hasattr(self, "_worker"):
            self._end()
            self._worker.close()
        super().close()


def still_html(
    image: Tensor, words: str, head: Sequence[str], rows: Sequence[Sequence[str]], key: str
) -> str:
    """A picture and a table, plain HTML, for where no script runs.

    Parameters
    ----------
    image : Tensor, shape (3, H, W)
        RGB in [-1, 1].
    words : str
        What it shows.
    head, rows : sequences of str
        The table.
    key : str
        What the page finds both by.
    """
    text = html.escape(f"{words} Run \u2192 Run All Cells brings the view back. ({key})")
    data = base64.b64encode(encode_png(image)).decode("ascii")
    cells = [[f"<td>{html.escape(value)}</td>" for value in row] for row in rows]
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in cells)
    heads = "".join(f"<th>{html.escape(value)}</th>" for value in head)
    return (
        f'<div><img alt="{text}" title="{text}" style="max-width:100%" '
        f'src="data:image/png;base64,{data}"><p>{html.escape(words)}</p>'
        f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def free_name(folder: Path, stem: str, ending: str) -> Path:
    """A path in ``folder`` that nothing has yet: ``stem.gif``, ``stem-2.gif``, ..."""
    path, count = folder / f"{stem}{ending}", 1
    while path.exists():
        count += 1
        path = folder / f"{stem}-{count}{ending}"
    return path
