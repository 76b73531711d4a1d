"""PhotoInverter: a photo, a square on it, and the latent that comes closest, on its way there.

A view of a :class:`~l2l_widgets.photos.work.PhotoWork`, which holds and computes everything. What
it finds goes to the sliders of a `FaceEditor` with one click: a latent like any other.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import traitlets
from PIL import Image
from torch import Tensor

from l2l_widgets.images import encode_jpeg
from l2l_widgets.inversion import Inversion, InversionSettings
from l2l_widgets.models.zoo import Models, list_models
from l2l_widgets.photos import CONSENT, LIKENESS, find_detector, read_photo
from l2l_widgets.photos.detection import Detector
from l2l_widgets.photos.finding import as_tensor
from l2l_widgets.photos.inverting import load_encoder
from l2l_widgets.photos.reading import Photo
from l2l_widgets.photos.work import PhotoWork, Square
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.session.shared_face import POLICY, FaceEvent, SharedFace
from l2l_widgets.widgets.bridge import picture_value
from l2l_widgets.widgets.face_view import FaceView
from l2l_widgets.widgets.requests import NEUTRAL, decoded_file
from l2l_widgets.widgets.still import Still
from l2l_widgets.widgets.stylesheet import scripted, themed

__all__ = ["PhotoInverter"]

#: Largest file that may be dropped, in bytes; and the side at which the page sees the photo.
MAX_FILE, SHOWN_SIDE = 24_000_000, 720
#: Seconds that a moved square rests before it is looked at.
REST = 0.15
BY = "photo inverter"
SPACES = ("w+", "w")


class PhotoInverter(FaceView):
    """From a photo to a face that can be edited.

    The photo stays in the kernel's memory and on the page. The notebook file keeps the likeness
    alone, also where it is saved together with the widgets' state (an option of JupyterLab;
    nbconvert and papermill always do it): what shows the photo, and its name, goes to the page in
    messages that no state holds.

    Parameters
    ----------
    source : SharedFace, EditSession, Models or None
        Whose face the likeness becomes. None loads the embedded models.
    photo : path or bytes, optional
        A photo to begin with.
    detector : str, callable or None
        What finds faces, as :func:`~l2l_widgets.photos.find_detector` takes it; by default
        OpenCV's cascade where it is installed.
    settings : InversionSettings, optional
        Of the descent.

    Attributes
    ----------
    work : PhotoWork
        The photo and the best latent so far.
    photo : dict
        What the page shows of the photo: its name, size and square. Never part of a saved state.
    found : Inversion or None
        The best so far.

    Raises
    ------
    ValueError
        The photo cannot be read, or the detector is not there.

    Examples
    --------
    >>> from l2l_widgets import EditSession, FaceEditor, PhotoInverter, load
    >>> session = EditSession(load())  # doctest: +SKIP
    >>> PhotoInverter(session, "me.jpg"), FaceEditor(session)  # doctest: +SKIP
    """

    _esm = scripted("photo", "shared/choices.js", "photo_square.js", "photo_inverter.js")
    _css = themed("l2l-photo", "photo", "faces/views.css", "photo_inverter.css")

    result = traitlets.Dict(help="the likeness, and how far the descent is").tag(sync=True)

    def __init__(
        self,
        source: SharedFace | EditSession | Models | None = None,
        photo: str | Path | bytes | None = None,
        *,
        detector: str | Detector | None = None,
        settings: InversionSettings | None = None,
        language: str | None = None,
    ) -> None:
        begun = None if photo is None else read_photo(photo)
        self._detector = find_detector(detector)
        self._settings = settings or InversionSettings()
        self._space = self._settings.space
        self._jobs: dict[str, Any] = {}
        self._jobs_lock = threading.Lock()
        self._work_lock = threading.RLock()
        self._running = False
        self._sent = 0
        # Of the person, so no traits: a trait that the page sees is saved with the widgets' state.
        # Each is one tuple, (what the page is told, JPEG), for a page may ask while it changes.
        self._called = ""
        self._photo_shown: tuple[dict[str, Any], bytes] | None = None
        self._cut_shown: tuple[dict[str, Any], bytes] | None = None
        super().__init__(source, None, language=language)
        self.work = PhotoWork(self.face.models, self._detector)
        self._take_models()
        if begun is not None:
            self._take(begun, begun.name)

    # -- from Python -------------------------------------------------------------------------------

    @property
    def photo(self) -> dict[str, Any]:
        """What the page shows of the photo; {} before there is one."""
        shown = self._photo_shown
        return {} if shown is None else dict(shown[0])

    @property
    def found(self) -> Inversion | None:
        """The best so far; None before there is a photo."""
        return self.work.found

    def load_photo(self, source: str | Path | bytes, name: str = "") -> None:
        """Take another photo; ValueError where it cannot be read."""
        photo = read_photo(source, name)
        self._take(photo, photo.name)

    def place(self, square: Square) -> None:
        """Move the square by hand."""
        self._queue(square=square)

    def start(self) -> None:
        """Descend from the first look; :meth:`wait` for the end."""
        self._queue(descend=True)

    def stop(self) -> None:
        """End the descent; the best so far stays."""
        with self._jobs_lock:
            self._jobs.pop("descend", None)
        self.work.stop()

    def send_on(self) -> Tensor:
        """Make the likeness the face of the session.

        Returns
        -------
        Tensor, shape (1, num_ws, w_dim)
            Its latent.
        """
        if self.work.found is None:
            self._serve()  # a view that nobody has scrolled to has looked at nothing yet
        if self.work.found is None:
            raise ValueError("there is no likeness yet; drop or choose a photo first")
        ws = self.work.found.ws
        self.face.load(w=ws, by=BY)
        self._sent += 1
        self.result = {**self.result, "sent": self._sent}
        return ws

    # -- requests ----------------------------------------------------------------------------------

    def _request(self, message: Mapping[str, Any]) -> None:
        if message.get("kind") != "pictures":
            super()._request(message)
            return
        try:  # a page that was opened later, or again: what was wrong before still is
            self._send_photo(whole=True)
            self._send_cut()
        except Exception as error:
            self._say_error(error)
        self._answer(message)

    def _change(self, kind: str, message: Mapping[str, Any]) -> None:
        if kind == "file":
            name, data = str(message["name"]), decoded_file(message["data"], MAX_FILE)
            self._take(read_photo(data, NEUTRAL), name)
        elif kind == "square":
            values = (float(message[key]) for key in ("x", "y", "side", "turn"))
            self.place(Square(*values))
        elif kind == "face":
            self._queue(face=int(message["face"]))
        elif kind == "space":
            if message["space"] not in SPACES:
                raise ValueError(f"space is {message['space']!r}; allowed: {', '.join(SPACES)}")
            self._space = message["space"]
            self._queue(look=True)
        elif kind == "start":
            self.start()
        elif kind == "stop":
            self.stop()
        elif kind == "send":
            self.send_on()
        else:
            raise ValueError("no such request")

    def _take(self, photo: Photo, name: str) -> None:
        """Have a photo looked at; its name goes to the page alone."""
        self._queue(photo=replace(photo, name=NEUTRAL), called=name)

    def _queue(self, **job: Any) -> None:
        """Newer wishes replace older ones: a photo undoes squares, a square undoes a descent."""
        with self._jobs_lock:
            if "photo" in job:
                self._jobs.clear()
            elif "descend" not in job:
                self._jobs.pop("descend", None)
            for newer, older in (("square", "face"), ("face", "square")):
                if newer in job:
                    self._jobs.pop(older, None)
            self._jobs |= job
            self.work.stop()  # what runs is of an older wish; its best so far is shown
        self._ask(REST if "square" in job else 0.0)

    def _on_face(self, event: FaceEvent) -> None:
        """Other models: the photo stays, and is looked at anew."""
        if event.by == POLICY:  # the likeness is as good as before, what it is farthest off may go
            if self.result.get("largest"):
                self.result = {**self.result, "largest": None}
            if self.work.found is not None and not self.result.get("running"):
                with self._jobs_lock:
                    self._jobs.setdefault("read", True)
                self._ask()
        elif event.kind == "models":
            photo = self.work.photo
            self.work = PhotoWork(self.face.models, self._detector)
            self._take_models()
            if photo is not None:
                self._take(photo, self._called)

    def _take_models(self) -> None:
        models, say = self.face.models, self._words
        self.schema = {
            "spaces": {name: say(f"space_photo_{name}") for name in SPACES},
            "space": self._space, "max_file": MAX_FILE, "steps": self._settings.steps,
            "consent": say.said(CONSENT),
            "likeness": say.said(LIKENESS) if models.name in list_models() else "",
            "resolution": models.generator.img_resolution,
            "has_encoder": load_encoder(models) is not None,
            "has_detector": self._detector is not None,
        }  # fmt: skip

    # -- on the worker -----------------------------------------------------------------------------

    def _serve(self) -> None:
        with self._work_lock:
            self._do_jobs()

    def _do_jobs(self) -> None:
        with self._jobs_lock:
            jobs, self._jobs = self._jobs, {}
            work = self.work
            work.go_on()  # a stop from here on is meant for these
        try:
            if "photo" in jobs:
                self._called = jobs["called"]
                work.take(jobs["photo"])
                self._show_photo(whole=True)
            if "face" in jobs:
                work.choose(jobs["face"])
                self._show_photo()
            if "square" in jobs:
                work.place(jobs["square"])
                self._show_photo()
            if work.photo is None or (work.found is not None and not jobs):
                return  # asked again for what was stopped meanwhile
            if set(jobs) == {"read"}:
                self.result = {**self.result, "largest": self._largest(work.read_back())}
                return
            if "descend" in jobs:
                self._descend()
            else:
                self._look()
        except Exception:
            if work is self.work:  # else it is of models that went, and wrong for nobody
                self.result = {**self.result, "running": False}
                raise
        finally:
            if work is not self.work:
                self._take_again(jobs)

    def _take_again(self, jobs: Mapping[str, Any]) -> None:
        """Look anew at a photo whose models went while it was looked at."""
        with self._jobs_lock:
            if "photo" in jobs and "photo" not in self._jobs and self.work.photo is None:
                self._jobs = {name: jobs[name] for name in ("photo", "called")}
        self._ask()

    def _look(self) -> None:
        """The encoder's answer, or the nearest of a few sampled faces: at once."""
        work = self.work
        work.found = None
        settings = InversionSettings(self._space, steps=0, seed=self._settings.seed)
        self._show_result(work.invert(settings), steps=0, running=False)

    def _descend(self) -> None:
        """The rest of the way, shown as it goes."""
        work, settings = self.work, self._settings
        settings = InversionSettings(**{**vars(settings), "space": self._space})
        before = work.found

        def progress(made: int, loss: float, image: Tensor) -> None:
            self.result = {
                **self.result, "likeness": picture_value(image[0]), "steps": made, "loss": loss,
                "running": True,
            }  # fmt: skip

        start_loss = None if before is None else before.start_loss
        self.result = {**self.result, "running": True, "steps": 0, "of": settings.steps}
        left = False

        def stale() -> bool:
            nonlocal left  # and it stays so, whoever has come back before it has stopped
            newer, leaves = self._worker.stale(), self._stale()
            left = left or (leaves and not newer)
            return left or leaves

        found = work.invert(settings, progress, stale)
        if left:
            with self._jobs_lock:  # nobody looks: it goes on from here when somebody does
                if set(self._jobs) <= {"read"}:  # nothing newer, which would undo it
                    self._jobs["descend"] = True
        self._show_result(found, found.steps, running=False, start_loss=start_loss)
        self._show_still()

    # -- to the page -------------------------------------------------------------------------------

    def _show_photo(self, whole: bool = False) -> None:
        work, before = self.work, self._photo_shown
        photo, square = work.photo, work.square
        assert photo is not None
        assert square is not None
        width, height = photo.size
        if whole or before is None:
            image = photo.image.copy()
            image.thumbnail((SHOWN_SIDE, SHOWN_SIDE), Image.Resampling.LANCZOS)
            pixels = encode_jpeg(as_tensor(image)[0])
        else:
            pixels = before[1]
        faces = () if work.aligned is None else work.aligned.faces
        told = {
            "format": "jpeg", "name": self._words.said(self._called),
            "width": width, "height": height,
            "x": square.x, "y": square.y, "side": square.side, "turn": square.turn,
            "how": self._words.said(work.how), "notes": [self._words.said(n) for n in work.notes],
            "faces": [[f.x, f.y, f.width, f.height] for f in faces],
            "chosen": 0 if work.aligned is None else work.aligned.chosen,
            "count": (0 if before is None else before[0]["count"]) + (1 if whole else 0),
        }  # fmt: skip
        self._photo_shown = told, pixels
        self._forget_if_closed()
        self._send_photo(whole)

    def _send_photo(self, whole: bool) -> None:
        if (shown := self._photo_shown) is not None:
            told, pixels = shown
            self.send({"type": "photo", **told}, [pixels] if whole else [])

    def _send_cut(self) -> None:
        if (shown := self._cut_shown) is not None:
            told, pixels = shown
            self.send({"type": "cut", **told}, [pixels])

    def _forget_if_closed(self) -> None:
        """Forget what the worker put up after :meth:`close` had forgotten it."""
        if self.work.photo is None:
            self._photo_shown = self._cut_shown = None

    def _show_result(
        self, found: Inversion, steps: int, running: bool, start_loss: float | None = None
    ) -> None:
        read = self.work.read_back()
        told = picture_value(self.work.picture()[0])
        pixels = told.pop("data")
        self._cut_shown = told, pixels
        self._forget_if_closed()
        self._send_cut()
        self.result = {
            "likeness": picture_value(found.image[0]),
            "loss": found.loss, "start_loss": start_loss or found.start_loss,
            "steps": steps, "of": self._settings.steps, "running": running,
            "stopped": found.stopped, "space": self._space,
            "cloud": found.cloud_distance, "editability": self._words.said(found.editability),
            "identity": read.get("identity"), "attributes": read.get("attributes"),
            "largest": self._largest(read),
            "seconds": found.seconds, "sent": self._sent,
            "count": self.result.get("count", 0) + 1,
        }  # fmt: skip

    def _largest(self, read: Mapping[str, Any]) -> list[Any] | None:
        """The attribute that is farthest off, in the reader's language, and by how much."""
        if (largest := read.get("largest")) is None:
            return None
        table = self._words.translate(self.face.models.table)
        return [table[largest["name"]].label, largest["difference"]]

    def _about(self) -> str:
        return self._words("about_photo")

    def _without_still(self) -> str:
        return self._words("still_photo_nothing", about=self._about())

    def _still_parts(self) -> Still | None:
        found = self.work.found
        if found is None:
            return None
        say = self._words
        far = f"{say.number(found.cloud_distance)}: {say.said(found.editability)}"
        rows = [[say("cloud_distance"), far]]
        for name, key in (("identity", "head_kept"), ("attributes", "attributes_off")):
            if self.result.get(name) is not None:
                rows.append([say(key), say.number(self.result[name])])
        head = (say("head_what"), say("head_how"))
        return Still(found.image[0].detach(), say("still_photo"), head, rows)

    def close(self) -> None:
        """Take the view out of the page and forget the photo; the shared face lives on."""
        if hasattr(self, "work"):
            self.work.stop()
            self.work.photo = self.work.aligned = self.work.found = None
            self._jobs.clear()
            self._photo_shown = self._cut_shown = None
            self._called, self.result = "", {}
        super().close()
