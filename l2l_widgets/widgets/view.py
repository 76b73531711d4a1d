"""What every view has in common.

A view computes on a worker of its own, where the newest request wins, and nothing while no page
shows it. It says in its place what is wrong. Beside itself it leaves a still picture and a table,
in words where there is no picture yet, for the reader who opens the notebook without its kernel.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from l2l_widgets.allocator import give_back
from l2l_widgets.latest_wins import LatestWins, drain_all
from l2l_widgets.widgets.audience import Audience
from l2l_widgets.widgets.still import Still, still_html
from l2l_widgets.widgets.words import Words

_log = logging.getLogger(__name__)
_NUMBERS = itertools.count(1)
#: Seconds without a change after which a page's still is put, and after which it is put anyhow. The
#: page hides it, but takes it in: JupyterLab parses every still of a cell again where one changes.
STILL_REST, STILL_AT_LAST = 1.5, 10.0


class _Whole(traitlets.MetaHasTraits):
    """Opens a view's line to its page when the whole constructor has run, not in the midst of it.

    ipywidgets opens it in the innermost ``__init__``: a page could draw a view before it heard of
    the layout and the first picture, which the outer ones set.
    """

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:  # noqa: N805  (a class is made here)
        view = super().__call__(*args, **kwargs)
        view.open_whole()
        return view


class View(anywidget.AnyWidget, metaclass=_Whole):
    """The base of all views; subclasses say what they compute and how they stand still.

    The first message to a page carries all that the constructor set.

    Parameters
    ----------
    folder : path, optional
        Where saved files go; the kernel's working folder if not given.
    language : str, optional
        Of what is shown and read aloud, "en" or "de"; the environment's ``L2L_LANGUAGE``, or else
        English, if not given.
    """

    schema = traitlets.Dict(help="layout; changes only with the models").tag(sync=True)
    notice = traitlets.Dict(help="what was saved, or what is wrong").tag(sync=True)
    answered = traitlets.Dict(help="page -> number of its newest request").tag(sync=True)
    words = traitlets.Dict(help="what the page says, and how it writes numbers").tag(sync=True)
    still = traitlets.Unicode(help="what the page finds the still by, to hide it").tag(sync=True)

    _is_whole = False

    def __init__(
        self, folder: str | Path | None = None, language: str | None = None, **kwargs: Any
    ) -> None:
        self._words = Words.of(language)
        self.audience = Audience()
        self._folder = Path.cwd() if folder is None else Path(folder)
        self._has_still = False
        self._still_asked: float | None = None  # since when a newer one is owed
        self._lock = threading.RLock()
        self._owed = False
        self._rest_until = 0.0
        self._notices = 0
        self._unsent: set[str] = set()  # what threads change while the first message is made
        self._name = f"{type(self).__name__}-{next(_NUMBERS)}"
        still = f"l2l-still-{secrets.token_hex(8)}"
        super().__init__(
            model_id=still,  # by which a script finds its own model
            still=still,
            words=self._words.of_script(str(self._esm)),
            **kwargs,
        )
        self._worker = LatestWins(self._serve_safely, name=f"l2l-{self._name}")
        self._stills = LatestWins(self._put_rested_still, name="l2l-still")
        self.on_msg(lambda _, content, buffers: self._handle(content))

    # -- the first message -------------------------------------------------------------------------

    def open(self) -> None:
        """Open the line to the page, with all that is set; nothing before the view is whole."""
        if self._is_whole:
            super().open()

    def open_whole(self) -> None:
        """Open the line, and send after it what changed while the first message was made."""
        self._is_whole = True
        self.open()
        late = self._unsent.copy() & set(self.keys)
        if late:
            self.send_state(late)

    def notify_change(self, change: Any) -> None:
        """Hear of a change; what cannot be sent yet is noted before it is known that it cannot."""
        if self._is_whole and self.comm is None:
            self._unsent.add(change["name"])
        super().notify_change(change)

    # -- for subclasses ----------------------------------------------------------------------------

    def _about(self) -> str:
        """What this view is and of whom, in a few words, without a full stop."""
        raise NotImplementedError

    def _still_parts(self) -> Still | None:
        """What stands still beside the view; None before there is anything to show."""
        raise NotImplementedError

    def _without_still(self) -> str:
        """What the still says while :meth:`_still_parts` gives none."""
        return self._words("still_nothing", about=self._about())

    def _serve(self) -> None:
        """Compute what is asked for, on the worker; asks :meth:`_stale` often."""
        raise NotImplementedError

    def _change(self, kind: str, message: Mapping[str, Any]) -> None:
        """Take a request of the page; a ValueError is shown in place."""
        raise NotImplementedError

    def _seen_anew(self) -> None:
        """Hear that the view is looked at or waited for, or neither any more."""

    # -- asking ------------------------------------------------------------------------------------

    @property
    def is_hidden(self) -> bool:
        """Whether pages know this view, none of them shows it now, and no script waits for it."""
        return self.audience.has_left

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
        return self._worker.stale() or self._left()

    def _left(self) -> bool:
        """Whether nobody looks; what the worker leaves then is owed to who comes back."""
        if not self.is_hidden:
            return False
        with (
            self._lock
        ):  # under which pages and scripts come back: they find it owed, or it goes on
            hidden = self.is_hidden
            self._owed = self._owed or hidden
        return hidden

    @contextlib.contextmanager
    def _awaited(self) -> Iterator[None]:
        """Have nothing put off meanwhile: who waits in Python looks, as a page does."""
        with self._lock:
            self.audience.wait_begins()
        try:
            self._look_again()
            yield
        finally:
            self.audience.wait_ends()
            self._look_again()

    def _look_again(self) -> None:
        """Do what was put off, if anybody looks now; rest, if nobody does any more."""
        if not self.audience.was_met:  # nothing is ever put off in a script
            return
        with self._lock:
            owed = self._owed and not self.is_hidden
        if owed:
            self._ask()
        try:
            self._seen_anew()
        except Exception as error:
            self._say_error(error)

    def wait(self, timeout: float = 30.0) -> Any:
        """Wait until nothing is being computed; False when that took longer (seconds).

        What was put off because no page shows the view is computed for who waits.
        """
        with self._awaited():
            return self._worker.drain(timeout)

    def settle(self, timeout: float = 60.0) -> bool:
        """Wait until the view shows what was asked of it (seconds); whether it does.

        Voila asks the kernel for a page's views when the last cell has ended, and gives it four
        seconds: on a page of many views that cell settles them, ``for v in views: v.settle()``.
        """
        with self._awaited():
            return drain_all(self._at_work(), timeout)

    def _at_work(self) -> list[Any]:
        """What :meth:`settle` waits for, in this order."""
        session = getattr(self, "session", None)
        return [self._worker] if session is None else [session, self._worker]

    def _serve_safely(self, _: None) -> None:
        while (left := self._rest_until - time.monotonic()) > 0:
            if self._stale():
                return
            time.sleep(min(0.04, left))
        try:
            self._serve()
        except Exception as error:  # errors are data: the line stands in the view
            self._say_error(error)

    # -- what is wrong -----------------------------------------------------------------------------

    def _say_error(self, error: Exception) -> None:
        self._say(error=self._line(error))

    def _line(self, error: Exception) -> str:
        """An error as one line; one that nobody expected is logged with its way."""
        if isinstance(error, KeyError):
            return self._words("is_missing", name=repr(error.args[0]))
        line = " ".join(str(error).split())
        if not isinstance(error, (ValueError, OSError)) or not line:
            _log.error("unexpected error in %s", self._name, exc_info=error)
            line = f"{type(error).__name__}: {line}"
        return self._words.said(line)

    def _say(self, **values: Any) -> None:
        with self._lock:  # the count makes two equal notices differ, so that both are shown
            self._notices += 1
            self.notice = {"error": None, **values, "count": self._notices}

    def _forget_error(self) -> None:
        """Take down what was wrong with an earlier request."""
        if self.notice.get("error"):
            self._say()

    # -- from the page -----------------------------------------------------------------------------

    def _handle(self, message: Mapping[str, Any]) -> None:
        """Take one message; nothing raises, for an exception here shows nowhere in the page."""
        kind, client = str(message.get("kind")), str(message.get("client", ""))
        if kind in ("visible", "gone"):
            self._set_visible(client, kind == "visible" and bool(message.get("visible")))
            self._answer(message)
        else:
            self._request(message)

    def _request(self, message: Mapping[str, Any]) -> None:
        """Take what somebody did on the page."""
        self._forget_error()
        try:
            self._change(str(message.get("kind")), message)
        except Exception as error:
            self._say_error(error)
        # Taken, not done: what is done shows itself, and the worker drops what is out of date.
        self._answer(message)

    def _answer(self, message: Mapping[str, Any]) -> None:
        client, number = str(message.get("client", "")), message.get("number")
        if isinstance(number, int):
            with self._lock:
                known = self.answered.get(client, 0)
                self.answered = {**self.answered, client: max(number, known)}

    def _set_visible(self, client: str, visible: bool) -> None:
        with self._lock:
            self.audience.hear(client, visible)
        self._look_again()

    # -- without a front end -----------------------------------------------------------------------

    def __repr__(self) -> str:
        # What a notebook that is opened again shows until its cells are run.
        return f"{self._about()}: {self._words('still_back')}"

    def _ipython_display_(self) -> None:
        from IPython.display import display

        bundle = self._repr_mimebundle_()
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        display(data, raw=True, metadata=metadata)
        self._has_still = True
        self._show_still(update=False)

    def _show_still(self, update: bool = True) -> None:
        """Put what is up where a reader without a kernel will find it; soon, where pages live."""
        if self._has_still and update and self.audience.was_met:
            self._put_still_soon()
        elif self._has_still:
            self._put_still(update)

    def _put_still_soon(self) -> None:
        """Have it put by a thread of its own: drawing one may take a tenth of a second."""
        if self._still_asked is None:
            self._still_asked = time.monotonic()
        with contextlib.suppress(RuntimeError):  # closed meanwhile
            self._stills(None)

    def _put_rested_still(self, _: None) -> None:
        now = time.monotonic()
        at_last = (now if self._still_asked is None else self._still_asked) + STILL_AT_LAST
        end = min(now + STILL_REST, at_last) if self.audience.was_met else now
        while (left := end - time.monotonic()) > 0:
            if self._stills.stale():
                return
            time.sleep(min(0.1, left))
        self._still_asked = None
        self._put_still(update=True)
        give_back()

    def _put_still(self, update: bool, whole: bool = True) -> None:
        """Draw the still, or only its words, into its place."""
        from IPython.display import HTML, display

        try:
            parts = self._still_parts() if whole else None
            still = Still(None, self._without_still()) if parts is None else Still(*parts)
            block = HTML(still_html(still, self.still, self._words("still_back")))
            display(block, display_id=self.still, update=update)
        except Exception:  # a still that cannot be drawn must not take the living view with it
            _log.exception("the still of %s was not drawn", self._name)

    def close(self) -> None:
        """Take the view out of the page; what it showed lives on."""
        self._owed = False  # who waits for it later waits for nothing
        if hasattr(self, "_worker"):  # refused before it was whole
            self._worker.close()
            self._stills.close()
        super().close()
