"""Walks between faces, frame by frame, and what the judges see on the way.

Three kinds of walk, each a list of latents of which every one is drawn and read:

- ``latent``: from face to face in Z (each z through the mapping network), in W, or in W+, where
  only chosen rows may walk while the others stay with the first face (style mixing: Karras et al.
  2019, section 3.1).
- ``attribute``: one face, one attribute swept by an editor; as far as half of the identity is kept
  (:mod:`l2l_widgets.walks.reach`), where no span is given.
- ``identity``: from person to person, with the attributes of the first face. Where the models have
  the network that Nitzan et al. (2020) train for it, through that
  (:mod:`l2l_widgets.walks.persons`); without, through W. Then an editor brings the attributes of
  every frame back to those of the first. How well both succeed is measured, not promised.

Every picture is drawn alone, as in a session, so that a recipe gives the same pixels again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from l2l_widgets.attributes import EditRequest
from l2l_widgets.disentangle import FaceMixer
from l2l_widgets.latents import lerp, slerp, to_wplus, z_from_seed
from l2l_widgets.losses import Cloud
from l2l_widgets.models.zoo import Models
from l2l_widgets.policy import check_visible, visible_table
from l2l_widgets.session.references import Strangers, attribute_judge, identity_judge, judge_names
from l2l_widgets.session.states import MAX_LATENT, NOISE_MODES, SessionState
from l2l_widgets.walks.persons import WAYS, mixed_ends, mixer_of
from l2l_widgets.walks.reach import has_identity, identity_kept, kept_span
from l2l_widgets.walks.walk import (
    CURVES,
    FRAMES,
    KINDS,
    MAX_FACES,
    SPACES,
    Curves,
    Strip,
    Walk,
    check_span,
    columns_of,
    mix_rows,
    row_numbers,
)

__all__ = ["Curves", "Interpolator", "Strip", "Walk", "mix_rows", "row_numbers"]

Stale = Callable[[], bool]

#: Pictures read together: enough to be quick, few enough to be left when nobody waits any more.
CHUNK = 8
#: Attempts to bring the attributes back, and the part of the way that the first of them asks for:
#: many small edits leave a face whole where one large edit of everything breaks it.
HOLD_ROUNDS, HOLD_STEP = 8, 0.3
#: How much of the likeness to the other person (cosine, by the embedder of the mixer's training)
#: holding may cost: the person is what the walk is for.
HOLD_COST = 0.02
#: Faces that show the shape of W, and how many standard deviations a held frame may go.
CLOUD_FACES, CLOUD_LIMIT = 2000, 2.0
#: Half of the sweep of an attribute whose editor does not say how far it reaches.
USUAL_REACH = 0.4


class Interpolator:
    """Draws and measures walks.

    Parameters
    ----------
    models : Models
        What draws, reads and edits.
    """

    def __init__(self, models: Models) -> None:
        self.models = models
        self._strangers = Strangers(models)
        self._mixer: FaceMixer | None = None

    def check(self, walk: Walk) -> None:
        """Raise a ValueError that names the field, the value and what is allowed; draws nothing."""
        models, generator = self.models, self.models.generator
        for name, allowed in (
            ("kind", KINDS), ("space", SPACES), ("curve", CURVES), ("noise_mode", NOISE_MODES),
        ):  # fmt: skip
            value = getattr(walk, name)
            if value not in allowed:
                raise ValueError(f"{name} is {value!r}; allowed: {', '.join(allowed)}")
        if type(walk.frames) is not int or not FRAMES[0] <= walk.frames <= FRAMES[1]:
            raise ValueError(
                f"frames is {walk.frames!r}; "
                f"allowed: a whole number from {FRAMES[0]} to {FRAMES[1]}"
            )
        SessionState(truncation_psi=walk.truncation_psi).check_truncation()
        self._check_faces(walk)
        chosen = row_numbers(walk.rows, generator.num_ws)
        if len(chosen) < generator.num_ws and (walk.space != "w+" or walk.kind != "latent"):
            raise ValueError(
                f"rows is {walk.rows!r} in space {walk.space!r} of a walk of kind {walk.kind!r}; "
                "allowed: 'all', or space 'w+' and kind 'latent', where each row has a w of its own"
            )
        if walk.kind == "identity" and walk.space == "z":
            raise ValueError("space is 'z' for an identity walk; allowed: w, w+")
        if walk.kind == "latent":
            return
        if walk.identity_by not in (None, *WAYS):
            raise ValueError(f"identity_by is {walk.identity_by!r}; allowed: {', '.join(WAYS)}")
        editor = models.editor(self._method(walk))
        if not models.has("regressor"):
            raise ValueError(
                f"kind is {walk.kind!r}, which needs an attribute regressor, which models "
                f"{models.name!r} lack; allowed: latent"
            )
        names = (walk.attribute,) if walk.kind == "attribute" else walk.hold
        check_visible(names, models.table)
        for name in names:
            models.table.index(name)
            if name not in editor.attributes:
                raise ValueError(
                    f"attribute {name!r} cannot be changed by method {editor.name!r}; "
                    f"allowed: {', '.join(editor.attributes)}"
                )
        if walk.span is not None:
            check_span(walk.span)

    def _check_faces(self, walk: Walk) -> None:
        generator = self.models.generator
        fewest, most = (1, 1) if walk.kind == "attribute" else (2, MAX_FACES)
        count = len(walk.faces) if isinstance(walk.faces, tuple) else -1
        if not fewest <= count <= most:
            wanted = "one face" if most == 1 else f"a tuple of {fewest} to {most} faces"
            raise ValueError(
                f"faces is {walk.faces!r}; allowed for kind {walk.kind!r}: {wanted}, "
                "each a seed or a latent"
            )
        for i, face in enumerate(walk.faces):
            if not isinstance(face, Tensor):
                z_from_seed(face, 1)  # refuses what is no seed
                continue
            rows = (generator.num_ws, generator.w_dim)
            sound = face.shape == rows and face.is_floating_point() and bool(face.isfinite().all())
            if not sound or face.abs().max() > MAX_LATENT:
                raise ValueError(
                    f"faces[{i}] is a tensor of shape {tuple(face.shape)}; allowed: {rows}, finite "
                    f"numbers from {-MAX_LATENT:g} to {MAX_LATENT:g}"
                )
            if walk.kind != "attribute" and walk.space == "z":
                raise ValueError(
                    f"space is 'z', and faces[{i}] is a latent of W, which has no z; "
                    "allowed: seeds, or space w or w+"
                )
            if walk.kind == "latent" and walk.space == "w" and not bool((face == face[:1]).all()):
                raise ValueError(
                    f"space is 'w', and the rows of faces[{i}] differ, as after an edit in W+; "
                    "allowed: space 'w+'"
                )

    # -- pictures ----------------------------------------------------------------------------------

    def strip(
        self, walk: Walk, stale: Stale = lambda: False, on_frame: Callable[..., None] | None = None
    ) -> Strip | None:
        """Draw and measure; None when ``stale`` said True meanwhile. As :meth:`draw`."""
        strip = self.draw(walk, stale, on_frame)
        return None if strip is None else self.measure(strip, stale)

    def draw(
        self,
        walk: Walk,
        stale: Stale = lambda: False,
        on_frame: Callable[[int, Tensor], None] | None = None,
    ) -> Strip | None:
        """Draw a walk.

        Parameters
        ----------
        walk : Walk
            What to draw; ValueError where it is impossible.
        stale : callable
            Asked between pictures; True abandons the walk.
        on_frame : callable, optional
            Gets each frame's number and picture, (3, R, R), as soon as it is there.

        Returns
        -------
        Strip or None
            Without curves. None when abandoned.
        """
        self.check(walk)
        with torch.inference_mode():
            ends = [self._face(face, walk) for face in walk.faces]
            t = tuple(i / (walk.frames - 1) for i in range(walk.frames))
            plain = reach = None
            if walk.kind == "attribute":
                swept = self._attribute_path(walk, ends[0], t, stale)
                found, reach = (None, None) if swept is None else (swept[:2], swept[2])
            elif walk.kind == "identity":
                plain = self._path(walk, ends, t)
                found = self._identity_path(walk, ends, plain, t, stale)
            else:
                found = walk, self._path(walk, ends, t)
            if found is None:
                return None
            walk, ws = found
            if not bool(ws.isfinite().all()):
                raise ValueError(f"method {walk.method!r} gave a latent that is not finite")
            images = []
            for i in range(len(ws)):
                if stale():
                    return None
                images.append(self._picture(ws[i : i + 1], walk)[0])
                if on_frame is not None:
                    on_frame(i, images[-1])
        # Ordinary tensors, as everywhere outside: fit for autograd.
        kept = None if plain is None else plain.clone()
        return Strip(walk, t, ws.clone(), torch.stack(images), kept, reach=reach)

    def _face(self, face: int | Tensor, walk: Walk) -> Tensor:
        """(1, num_ws, w_dim) of one face."""
        generator = self.models.generator
        if isinstance(face, Tensor):
            return face.detach()[None].to(self.models.device, torch.float32)
        z = z_from_seed(face, generator.z_dim).to(self.models.device)
        ws = generator.mapping(z, truncation_psi=float(walk.truncation_psi))
        return to_wplus(ws, generator.num_ws)

    def _path(self, walk: Walk, ends: list[Tensor], t: Sequence[float]) -> Tensor:
        """(N, num_ws, w_dim) from face to face."""
        generator = self.models.generator
        chosen = list(row_numbers(walk.rows, generator.num_ws))
        between = slerp if walk.curve == "slerp" else lerp
        centre = generator.w_avg.to(ends[0]) if walk.curve == "slerp" else torch.zeros(())
        frames = []
        for share in t:
            place = share * (len(ends) - 1)
            leg = min(int(place), len(ends) - 2)
            part = place - leg
            a, b = ends[leg], ends[leg + 1]
            if part in (0.0, 1.0):  # the faces themselves, to the last bit
                frames.append(b if part else a)
            elif walk.space == "z":
                seeds = walk.faces[leg], walk.faces[leg + 1]
                z = [z_from_seed(s, generator.z_dim).to(self.models.device) for s in seeds]  # type: ignore[arg-type]
                ws = generator.mapping(
                    between(z[0], z[1], part), truncation_psi=float(walk.truncation_psi)
                )
                frames.append(to_wplus(ws, generator.num_ws))
            else:
                frames.append(centre + between(a - centre, b - centre, part))
        path = torch.cat(frames)
        out = ends[0].repeat(len(path), 1, 1)
        out[:, chosen] = path[:, chosen]
        return out

    def _attribute_path(
        self, walk: Walk, face: Tensor, t: Sequence[float], stale: Stale
    ) -> tuple[Walk, Tensor, tuple[float, float] | None] | None:
        method = self._method(walk)
        editor = self.models.editor(method)
        own = self._read(self.models.regressor, self._picture(face, walk))  # (1, A)
        reach = None

        def edited(target: float) -> Tensor:
            target = min(1.0, max(0.0, target))
            return editor.edit(face, EditRequest(targets={walk.attribute: target}, current=own))

        span = walk.span
        if span is None or isinstance(span, str):
            value = float(own[0, self.models.table.index(walk.attribute)])
            ask = getattr(editor, "reach", None)
            down, up = (USUAL_REACH, USUAL_REACH) if ask is None else ask(walk.attribute)
            ends = max(0.0, value - float(down)), min(1.0, value + float(up))
            if span is None and has_identity(self.models):
                reach = ends
                kept = identity_kept(
                    self.models, lambda ws: self._picture(ws, walk), face, edited,
                    lambda: None if stale() else self._strangers_alike(walk, stale),
                )  # fmt: skip
                span = kept_span(kept, value, *ends)
                if span is None:
                    return None
            else:
                span = ends
        frames = []
        for share in t:
            if stale():
                return None
            frames.append(edited(span[0] + (span[1] - span[0]) * share))
        return replace(walk, span=span, method=method), torch.cat(frames), reach

    def _strangers_alike(self, walk: Walk, stale: Stale) -> float | None:
        """The zero of the identity scale for a walk; None when nobody waits any more."""
        variety = float(walk.truncation_psi), walk.noise_mode
        while self._strangers.missing(*variety) > 0:
            if stale():
                return None
            self._strangers.advance(*variety)
        return self._strangers.similarity(*variety)

    def _identity_path(
        self, walk: Walk, ends: list[Tensor], plain: Tensor, t: Sequence[float], stale: Stale
    ) -> tuple[Walk, Tensor] | None:
        mixer = None if walk.identity_by == "editor" else self._mixer_of()
        if mixer is None:
            if walk.identity_by == "mixer":
                raise ValueError(
                    f"identity_by is 'mixer', and models {self.models.name!r} have none; "
                    "allowed: editor"
                )
            return self._hold(replace(walk, identity_by="editor"), plain, stale)
        images = [self._picture(end, walk) for end in ends]
        person = mixer.signature(images[-1]).person
        path = self._path(walk, mixed_ends(mixer, ends, images), t)
        return self._hold(replace(walk, identity_by="mixer"), path, stale, (mixer, person))

    def _mixer_of(self) -> FaceMixer | None:
        if self._mixer is None:
            self._mixer = mixer_of(self.models)
        return self._mixer

    def _hold(
        self,
        walk: Walk,
        path: Tensor,
        stale: Stale,
        keep: tuple[FaceMixer, Tensor] | None = None,
    ) -> tuple[Walk, Tensor] | None:
        """The path with every frame's attributes brought back to those of the first frame.

        Each round asks the editor for all of them at once. It is kept where the frames came nearer
        on average, as the regressor reads them (the judge takes no part); otherwise the step is
        halved. All frames go the same way, so that neighbours stay neighbours, and none leaves the
        cloud of W: asked for everything at once an editor else finds a latent that the regressor
        likes and that is no face. With a mixer and a person (1, D) to ``keep``, a round that takes
        too much of that person from the last frame is not kept either.
        """
        table, method = self.models.table, self._method(walk)
        editor = self.models.editor(method)
        best, read = path.clone(), self._readings(path, walk, stale)
        if read is None:
            return None
        wanted = read[:1]  # (1, A)
        visible = visible_table(table)
        usual = [name for name in editor.attributes if name in visible]
        held = [name for name in (walk.hold or usual) if name in editor.attributes]
        for members in table.groups().values():
            # At most one member of an exclusive group may be asked to be high.
            high = [n for n in members if n in held and wanted[0, table.index(n)] >= 0.5]
            high.sort(key=lambda n: -float(wanted[0, table.index(n)]))
            held = [n for n in held if n not in high[1:]]
        columns = columns_of(table.names, held)
        fewest = -1.0 if keep is None else self._likeness(best, walk, keep) - HOLD_COST
        targets = {n: float(wanted[0, table.index(n)].clamp(0, 1)) for n in held}
        off = float((read - wanted)[:, columns].abs().mean())
        step = HOLD_STEP
        cloud = Cloud.of(
            self.models.generator, CLOUD_FACES, truncation_psi=float(walk.truncation_psi)
        )
        for _ in range(HOLD_ROUNDS):
            if stale():
                return None
            # A smaller step is asked for by pretending to stand nearer to the goal.
            request = EditRequest(targets=targets, current=wanted + step * (read - wanted))
            trial = cloud.inside(editor.edit(best, request), path, CLOUD_LIMIT)
            seen = self._readings(trial, walk, stale)
            if seen is None:
                return None
            error = float((seen - wanted)[:, columns].abs().mean())
            if error < off and (keep is None or self._likeness(trial, walk, keep) >= fewest):
                best, read, off = trial, seen, error
            else:
                step /= 2
        best[0] = path[0]  # the first frame is the face itself
        return replace(walk, method=method, hold=tuple(held)), best

    def _likeness(self, path: Tensor, walk: Walk, keep: tuple[FaceMixer, Tensor]) -> float:
        """Cosine of the last frame to a person, by the embedder that the mixer was trained with."""
        mixer, person = keep
        return float((mixer.signature(self._picture(path[-1:], walk)).person * person).sum())

    def _method(self, walk: Walk) -> str:
        known = self.models.available_editors
        if walk.method is not None:
            return walk.method
        if not known:
            raise ValueError(f"models {self.models.name!r} have no editor; allowed: kind 'latent'")
        return known[0]

    def _picture(self, ws: Tensor, walk: Walk) -> Tensor:
        image = self.models.generator.synthesis(ws, noise_mode=walk.noise_mode)
        if not bool(image.isfinite().all()):
            raise ValueError("the generator drew a picture that is not finite")
        return image

    def _readings(self, path: Tensor, walk: Walk, stale: Stale) -> Tensor | None:
        """(N, A) by the regressor, drawn a few at a time; None when abandoned."""
        rows = []
        for start in range(0, len(path), CHUNK):
            if stale():
                return None
            rows.append(
                self._read(
                    self.models.regressor, self._picture(path[start : start + CHUNK], walk), start
                )
            )
        return torch.cat(rows)

    def _read(self, network: Any, images: Tensor, first: int = 0) -> Tensor:
        values: Tensor = network(images)
        if values.shape != (len(images), len(self.models.table)):
            raise ValueError(
                f"a judge gives readings of shape {tuple(values.shape)} for {len(images)} "
                f"pictures; allowed: ({len(images)}, {len(self.models.table)}), as the table has "
                "attributes"
            )
        broken = (~values.isfinite()).any(1).nonzero()
        if len(broken):
            raise ValueError(
                f"a judge reads frame {first + int(broken[0]) + 1} as a number that is not finite; "
                "allowed: readings from 0 to 1"
            )
        return values

    # -- measurement -------------------------------------------------------------------------------

    def measure(self, strip: Strip, stale: Stale = lambda: False) -> Strip | None:
        """Have every frame read by the judges that trained nothing.

        Parameters
        ----------
        strip : Strip
            As :meth:`draw` gives it.
        stale : callable
            Asked every few pictures; True abandons the measurement.

        Returns
        -------
        Strip or None
            With curves. None when abandoned. ValueError where a judge gives what is no reading.
        """
        models, walk = self.models, strip.walk
        readings, plain, vectors = [], [], []
        goal = None  # the identity that an identity walk makes for, before its attributes are held
        own = None  # that of the face whose attribute is swept: no frame need be that face itself
        reads = models.has("attribute_judge") or models.has("regressor")
        knows = has_identity(models)
        with torch.inference_mode():
            for start in range(0, len(strip.images), CHUNK):
                if stale():
                    return None
                images = strip.images[start : start + CHUNK]
                if reads:
                    readings.append(self._read(attribute_judge(models), images, start).cpu())
                if knows:
                    vectors.append(identity_judge(models)(images).cpu())
            for start in range(
                0, 0 if strip.plain is None or not reads else len(strip.plain), CHUNK
            ):
                if stale():
                    return None
                assert strip.plain is not None
                images = self._picture(strip.plain[start : start + CHUNK], walk)
                plain.append(self._read(attribute_judge(models), images, start).cpu())
                if knows:
                    goal = identity_judge(models)(images[-1:]).cpu()
            if knows and walk.kind == "attribute":
                face = self._face(walk.faces[0], walk)
                own = identity_judge(models)(self._picture(face, walk)).cpu()
            alike = self._strangers_alike(walk, stale) if knows else None
            if knows and alike is None:
                return None
        to_first = to_last = strangers = None
        if knows:
            every = torch.cat(vectors)  # (N, D), each of norm 1
            if not bool(every.isfinite().all()):
                raise ValueError("the identity judge gives numbers that are not finite")
            to_first = tuple((every @ (every[0] if own is None else own[0])).tolist())
            to_last = tuple((every @ (every[-1] if goal is None else goal[0])).tolist())
            strangers = alike
        moved = (strip.images[1:] - strip.images[:-1]).abs().flatten(1).mean(1)
        return replace(
            strip,
            curves=Curves(
                names=models.table.names,
                readings=torch.cat(readings).clone() if readings else None,
                plain=torch.cat(plain).clone() if plain else None,
                to_first=to_first,
                to_last=to_last,
                strangers=strangers,
                steps=tuple(moved.tolist()),
                judges=judge_names(models),
            ),
        )
