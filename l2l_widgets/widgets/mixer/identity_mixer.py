"""IdentityMixer: two faces, the mix of them, two sliders to travel, and a grid to choose from.

A view of a :class:`~l2l_widgets.disentangle.mix_state.MixState`, which holds and computes
everything. Whatever stands in the grid, or where the sliders are, goes to the sliders of a
`FaceEditor` with one click: a mix is a latent like any other.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import traitlets
from torch import Tensor
from torch.nn.functional import interpolate

from l2l_widgets.consent import CONSENT
from l2l_widgets.disentangle import Face, FaceMixer, read_face
from l2l_widgets.disentangle.mix_state import SIDES, Mix, MixState
from l2l_widgets.disentangle.mixer import SPACES
from l2l_widgets.disentangle.sources import LATENTS
from l2l_widgets.images import grid
from l2l_widgets.models.zoo import Models, load
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.session.shared_face import POLICY, FaceEvent, SharedFace
from l2l_widgets.widgets.bridge import SEED_MAX, picture_value
from l2l_widgets.widgets.requests import decoded_file
from l2l_widgets.widgets.still import Still
from l2l_widgets.widgets.stylesheet import scripted, themed
from l2l_widgets.widgets.taking_home import enlargement, free_path
from l2l_widgets.widgets.view import View

#: Largest file that may be dropped, in bytes.
MAX_FILE = 8_000_000
BY = "identity mixer"


class IdentityMixer(View):
    """The identity of one face on the attributes of another.

    A picture of somebody, dropped or given from Python, stays in the kernel's memory and on the
    page: it goes there in messages that no state holds. The notebook file keeps the mixes alone,
    also where it is saved together with the widgets' state.

    Parameters
    ----------
    source : EditSession, SharedFace, FaceMixer, Models or None
        What to mix with; of a session or a shared face, its models. None loads the embedded ones.
    face : EditSession or SharedFace, optional
        Where a chosen mix goes; ``source`` itself where that is one. Without any, mixes are only
        shown. A face that is loaded there by anybody else becomes the identity face.
    identity, attributes : int, str or Tensor
        The two faces: seeds, files, or pictures (3, R, R) in [-1, 1].
    rows, columns : sequence of int
        Seeds of the grid's further people and attributes, at most 7 each.

    Attributes
    ----------
    state : MixState
        What is mixed; change it from Python, then call :meth:`refresh`.

    Raises
    ------
    ValueError
        There is no mixer beside the generator, or a face cannot be used.

    Examples
    --------
    >>> from l2l_widgets import EditSession, FaceEditor, IdentityMixer, load
    >>> session = EditSession(load())  # doctest: +SKIP
    >>> IdentityMixer(session), FaceEditor(session)  # doctest: +SKIP
    """

    _esm = scripted("mixer", "identity_mixer.js")
    _css = themed("l2l-mixer", "mixer", "identity_mixer.css")

    faces = traitlets.Dict(help="the two faces: name, picture").tag(sync=True)
    mixed = traitlets.Dict(help="the mix: picture, sliders, seconds, error").tag(sync=True)
    cells = traitlets.Dict(help="the grid's pictures and those beside it").tag(sync=True)

    def __init__(
        self,
        source: Any = None,
        *,
        face: Any = None,
        identity: Any = 0,
        attributes: Any = 1,
        rows: Sequence[int] = (2, 3, 4),
        columns: Sequence[int] = (5, 6, 7),
        **kwargs: Any,
    ) -> None:
        mixer, target = _resolve(source)
        target = target if face is None else face
        if target is not None and not isinstance(target, (EditSession, SharedFace)):
            raise ValueError(f"face is {face!r}; allowed: an EditSession or a SharedFace")
        self._target = None if target is None else SharedFace.of(target)
        self.state = MixState(mixer, identity, attributes, rows, columns)
        self._due: set[str] = set()
        self._shown: tuple[int, int] | None = None  # the cell that is up, if it is one
        self._sent = 0
        self._mix: Mix | None = None
        self._wishes = 0  # a mix that was begun before the newest one is not kept
        self._cells_up: list[list[Tensor]] = []
        self._lost = ""  # why the models that draw now cannot mix
        self._news: FaceEvent | None = None  # a face from elsewhere that has not been taken yet
        # Side -> a picture that is in no trait, for those are saved, and the number it is asked by.
        self._own: dict[str, tuple[Face, int]] = {}
        self._own_numbers = itertools.count(1)
        schema = {
            "seed_max": SEED_MAX,
            "spaces": list(SPACES),
            "can_send": self._target is not None,
            "max_file": MAX_FILE,
        }
        super().__init__(**kwargs)
        self.schema = {**schema, "consent": self._words.said(CONSENT)}
        self._due = {"faces", "mixed", "cells"}
        self._draw_due()
        if self._target is not None:
            self._target.subscribe(self._on_face)

    def refresh(self) -> None:
        """Show the state as it is now, after a change from Python."""
        self._want("faces", "mixed", "cells")

    @property
    def mix(self) -> Mix:
        """The mix that is up: its latent ``w`` and its picture."""
        return self._current()

    def send(self) -> Tensor:
        """Make the mix that is up the face of the session.

        Returns
        -------
        Tensor, shape (1, num_ws, w_dim)
            Its latent.

        Raises
        ------
        ValueError
            There is no session to send it to.
        """
        if self._lost:
            raise ValueError(self._lost)
        if self._target is None:
            raise ValueError(
                "there is nowhere to send it; allowed: IdentityMixer(session), or face="
            )
        w = self._current().w
        self._target.load(w=w, by=BY)
        self._sent += 1
        return w

    def save(self) -> Path:
        """Write the mix that is up as a PNG, the recipe that draws it again inside.

        Returns
        -------
        Path
            In the view's folder, under a name that nothing had yet.

        Raises
        ------
        ValueError
            There are no models that a recipe could name.
        StorageError
            It cannot be written.
        """
        if self._lost:
            raise ValueError(self._lost)
        if self._target is None:
            raise ValueError(
                "a recipe names the models that draw it; allowed: IdentityMixer(session), or face="
            )
        session = EditSession(self._target.models, truncation_psi=1.0)
        try:
            session.set_latent(self._current().w)
            path = free_path(self._folder, self._file_stem())
            side = session.models.generator.img_resolution
            session.save(path, scale=enlargement(side))
        finally:
            session.close()
        return path

    def close(self) -> None:
        """Take the mixer out of the page; a session lives on."""
        target = getattr(self, "_target", None)  # lacking where it was refused before it was whole
        if target is not None:
            target.unsubscribe(self._on_face)
        super().close()

    # -- from the page -----------------------------------------------------------------------------

    def _request(self, message: Mapping[str, Any]) -> None:
        if message.get("kind") == "pictures":  # a page that was opened later, or again
            self._send_own()
            self._answer(message)
        else:
            super()._request(message)

    def _change(self, kind: str, message: Mapping[str, Any]) -> None:
        if kind == "save":
            path = self.save()
            self._say(name=path.name, folder=str(path.parent))
        else:
            self._want(*self._taken(kind, message))

    def _taken(self, kind: str, message: Mapping[str, Any]) -> tuple[str, ...]:
        """Take a request; what has to be drawn for it."""
        if self._lost:  # a mix of the old models' latents is no face of the new ones
            raise ValueError(self._lost)
        state = self.state
        if kind == "share":
            self._shown = None
            state.set_share(message["side"], message["share"])
            return ("mixed",)
        if kind == "space":
            state.set_space(message["space"])
            return ("mixed",)
        if kind == "cell":
            state.cell(message["row"], message["column"])
            self._shown = (message["row"], message["column"])
            self._forget_mix()
            if self._target is not None:
                self.send()
            return ("mixed",)
        if kind == "send":
            self.send()
            return ("mixed",)
        if kind == "shuffle":
            draw = random.Random()
            seeds = [draw.randrange(1_000_000) for _ in range(2 * 7)]
            state.set_grid(
                seeds[: len(state.grid_faces("identity")) - 1],
                seeds[7 : 7 + len(state.grid_faces("attributes")) - 1],
            )
            self._shown = None
            return ("mixed", "cells")
        if kind == "seed":
            state.set_face(message["side"], message["seed"])
        elif kind == "file":
            data = decoded_file(message["data"], MAX_FILE)
            # the name of the file may be a person's, and what is shown is saved with the notebook
            called = self._words("your_picture")
            state.set_picture(message["side"], data, str(message["name"]), called)
        elif kind == "swap":
            state.swap()
        else:
            raise ValueError("no such request")
        self._shown = None
        return ("faces", "mixed", "cells")

    # -- the shared face ---------------------------------------------------------------------------

    def _on_face(self, event: FaceEvent) -> None:
        """A face that was loaded elsewhere is the next person; what was sent from here is not."""
        if event.by == POLICY:
            return  # no attribute is named here
        if event.kind == "models":
            self._take_models()
        elif event.kind != "face" or event.by == BY:
            return
        else:
            with self._lock:
                self._news = event
        self._want("faces", "mixed", "cells")

    def _take_models(self) -> None:
        """Mix with the models that draw now; seeds are theirs, pictures stay pictures."""
        assert self._target is not None  # who has none hears of no models
        models, old = self._target.models, self.state
        with self._lock:
            self._news = None
        self._shown = None
        try:
            mixer = FaceMixer.of(models)
            size = mixer.generator.img_resolution
            person, other = (_in_world(old.face(side), size) for side in SIDES)
            rows, columns = ([int(f.name) for f in old.grid_faces(side)[1:]] for side in SIDES)
            state = MixState(mixer, person, other, rows, columns, old.truncation_psi)
            state.shares, state.space = dict(old.shares), old.space
            self.state, self._lost = state, ""
        except ValueError as error:
            self._lost = self._words.said(f"nothing is mixed with these models: {error}")

    def _follow(self, event: FaceEvent) -> None:
        """Take the face of an event, as the session draws it; on the worker."""
        state, mixer = self.state, self.state.mixer
        if event.w is None:
            psi = float(event.state.truncation_psi)
            face = read_face(str(event.seed), mixer, truncation_psi=psi)
        else:
            face = Face(self._words("a_latent"), mixer.draw(event.w.to(mixer.device))[0])
        state.set_face("identity", face)
        self._shown = None

    # -- to the page -------------------------------------------------------------------------------

    def _want(self, *due: str) -> None:
        with self._lock:
            self._due |= set(due)
        self._forget_mix()
        self._ask()

    def _forget_mix(self) -> None:
        """Have the next one mixed anew, whatever the worker is just mixing."""
        with self._lock:
            self._mix, self._wishes = None, self._wishes + 1

    def _serve(self) -> None:
        self._draw_due()
        if not self._worker.stale():
            self._show_still()

    def _current(self) -> Mix:
        with self._lock:
            mix, wish, state, shown = self._mix, self._wishes, self.state, self._shown
        if mix is None:
            mix = state.mix() if shown is None else state.cell(*shown)
            with self._lock:
                if state is self.state and wish == self._wishes:  # else it is of before
                    self._mix = mix
        return mix

    def _draw_due(self) -> None:
        with self._lock:
            due, self._due = self._due, set()
            news, self._news = self._news, None
        if self._lost:
            self.mixed = {**self.mixed, "error": self._lost}
            return
        wrong = None
        self._mix = None  # a face that comes from elsewhere is mixed anew
        try:
            if news is not None:
                self._follow(news)
        except Exception as error:  # nothing may raise here: it would show nowhere in the page
            wrong = self._line(error)
        state = self.state
        values: dict[str, Any] = {}
        if "faces" in due:
            values["faces"] = {side: self._face_value(side, state.face(side)) for side in SIDES}
        mix = self._current()
        values["mixed"] = {
            **picture_value(mix.image),
            "shares": dict(state.shares),
            "space": state.space,
            "shown": None if self._shown is None else list(self._shown),
            "name": self._called(),
            "sent": self._sent,
            "seconds": mix.seconds,
            "error": wrong,
        }
        with self.hold_sync():
            for name, value in values.items():
                setattr(self, name, value)
        if "faces" in due:
            self._send_own()
        if "cells" in due:  # after the mix: it takes longer, and nobody waits for all of it
            mixes = state.grid()
            self._cells_up = [[m.image for m in row] for row in mixes]
            self.cells = {
                "pictures": [[picture_value(m.image) for m in row] for row in mixes],
                "rows": [self._face_value("identity", f) for f in state.grid_faces("identity")],
                "columns": [
                    self._face_value("attributes", f) for f in state.grid_faces("attributes")
                ],
            }

    def _is_own(self, face: Face) -> bool:
        """Whether a face is a picture of somebody's, and not drawn by the generator."""
        name = face.name
        drawn = name == self._words("a_latent") or Path(name).suffix.lower() in LATENTS
        return not (name.isdigit() or drawn)

    def _name_of(self, face: Face) -> str:
        return self._words("your_picture") if self._is_own(face) else face.name

    def _face_value(self, side: str, face: Face) -> dict[str, Any]:
        """A face as the page takes it; of somebody's picture, the number of the message with it."""
        seed = int(face.name) if face.name.isdigit() else None
        value = {"name": self._name_of(face), "seed": seed}
        if not self._is_own(face):
            return {**picture_value(face.image), **value}
        if self._own.get(side, (None, 0))[0] is not face:
            self._own[side] = face, next(self._own_numbers)
        return {**value, "own": self._own[side][1]}

    def _send_own(self) -> None:
        """Tell the pages the pictures that no state may hold."""
        for side in SIDES:
            face, number = self._own.get(side, (None, 0))
            if face is not None and face is self.state.face(side):
                told = picture_value(face.image)
                pixels = told.pop("data")
                # this class's own send() is another: it makes the mix the face of the session
                super().send({"type": "own", "side": side, "number": number, **told}, [pixels])

    def _called(self) -> str:
        row, column = self._shown or (0, 0)
        person = self._name_of(self.state.grid_faces("identity")[row])
        other = self._name_of(self.state.grid_faces("attributes")[column])
        return self._words("person_as", person=person, other=other)

    def _file_stem(self) -> str:
        """What the mix is of: "mix-3-8", or only "mix" where a picture of somebody's is in it."""
        row, column = self._shown or (0, 0)
        faces = self.state.grid_faces("identity")[row], self.state.grid_faces("attributes")[column]
        return "-".join(["mix", *(f.name for f in faces if f.name.isdigit())])

    # -- without a front end -----------------------------------------------------------------------

    def _about(self) -> str:
        names = [self._name_of(self.state.face(side)) for side in SIDES]
        return self._words("about_mixer", first=names[0], second=names[1])

    def _without_still(self) -> str:
        why = self._lost or self._words("nothing_mixed")
        return f"{self._about()}: {why}"

    def _still_parts(self) -> Still | None:
        """The two faces with their mix above the grid of people and attributes.

        A picture that was dropped is left out: it may be of a person, and the still is saved.
        """
        if self._lost:
            return None
        state, mix = self.state, self._current()
        people, others = (state.grid_faces(side) for side in SIDES)
        cells = self._cells_up
        if len(cells) != len(people) or len(cells[0]) != len(others):
            return None  # they are being drawn
        blank = torch.ones_like(mix.image)

        def shown(face: Face) -> Tensor:
            return blank if self._is_own(face) else face.image

        rows = [[blank, *(shown(face) for face in others)]]
        rows += [[shown(face), *line] for face, line in zip(people, cells, strict=True)]
        above = [shown(state.face("identity")), shown(state.face("attributes")), mix.image]
        columns = max(len(rows[0]), len(above))
        sheet = [row + [blank] * (columns - len(row)) for row in (above, *rows)]
        pictures = torch.stack([image.cpu() for row in sheet for image in row])
        say = self._words
        table = [
            [say(f"side_{side}"), self._name_of(state.face(side)), f"{share:.0f}\u202f%"]
            for side, share in ((side, 100 * state.shares[side]) for side in SIDES)
        ]
        words = say("still_mixer", about=self._about(), mix=self._called())
        return Still(
            grid(pictures, columns), words, ("", say("head_face"), say("head_share")), table
        )


def _in_world(face: Face, resolution: int) -> int | Face:
    """A face for other models: its seed where it has one, else its picture in their size."""
    if face.name.isdigit():
        return int(face.name)
    image = face.image[None]
    if image.shape[-1] != resolution:
        size = (resolution, resolution)
        image = interpolate(image, size=size, mode="bilinear", antialias=True)
    return Face(face.name, image[0])


def _resolve(source: Any) -> tuple[FaceMixer, Any]:
    """What mixes, and where mixes go."""
    if source is None:
        source = load()
    if isinstance(source, FaceMixer):
        return source, None
    if isinstance(source, Models):
        return FaceMixer.of(source), None
    if isinstance(source, (EditSession, SharedFace)):
        return FaceMixer.of(source.models), source
    raise ValueError(
        f"source is {source!r}; allowed: an EditSession, a SharedFace, a FaceMixer, the Models "
        "that load() gives, or None"
    )
