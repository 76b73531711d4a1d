"""Where each attribute may change the picture, and whether it does: there, and only there.

:data:`REGIONS` declares for each of the 35 attributes which part of a portrait it belongs to, in
terms of the mask classes and landmarks of the low and the high picture. :func:`visibility` draws
faces twice, the attribute low and high and all else fixed, and measures how much of the change lies
in the region and how many pixels change visibly: on bare calm faces, and on faces with a hat, a
beard or glasses and on turned heads (:data:`FACES`). ``python -m l2l_widgets.faceworld.regions``
prints that for all of them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.faceworld.factors import EMOTIONS, Factors, factor_index, sample_factors
from l2l_widgets.faceworld.render import MASK_CLASSES, Render, render
from l2l_widgets.faceworld.truth import with_attribute

#: Share of the changed energy (squared difference of RGB) that must lie in the region.
INSIDE = 0.95
#: A pixel has visibly changed when a channel moves by this much, in [0, 1]: 20 of 255 levels.
VISIBLE = 20 / 255
#: Visibly changed pixels that an attribute must have at 128 px, as a share of the picture: 40.
LEAST_AREA = 40 / 128**2

FACE = ("skin", "nose", "l_brow", "r_brow", "l_eye", "r_eye", "mouth", "u_lip", "l_lip", "eye_g")
EYES = ("l_eye", "r_eye")
LIPS = ("mouth", "u_lip", "l_lip")
EARS = ("l_ear", "r_ear", "ear_r")
PERSON = MASK_CLASSES[1:]


@dataclass(frozen=True)
class Region:
    """Part of a portrait.

    Parameters
    ----------
    classes : tuple of str
        Mask classes, as they are in the low picture or in the high one.
    margin : int
        By how many pixels of 128 they are widened: soft edges, and the shadow that a thing casts.
    band : {"", "upper", "lower"}
        Of this, only what is above the tip of the nose, or below the middle of the eyes.
    also : tuple of Region
        Further parts.
    """

    classes: tuple[str, ...]
    margin: int = 2
    band: str = ""
    also: tuple[Region, ...] = ()

    def mask(self, low: Render, high: Render) -> Tensor:
        """The part in pixels, (B, R, R) bool."""
        labels = torch.tensor([MASK_CLASSES.index(c) for c in self.classes])
        inside = torch.isin(low.mask, labels) | torch.isin(high.mask, labels)
        margin = max(1, round(self.margin * inside.shape[-1] / 128))
        wide = F.max_pool2d(inside[:, None].float(), 2 * margin + 1, 1, margin)[:, 0] > 0
        if self.band:
            wide &= _band(self.band, low, high)
        for other in self.also:
            wide = wide | other.mask(low, high)
        return wide


def _band(band: str, low: Render, high: Render) -> Tensor:
    rows = torch.arange(low.mask.shape[-1])[None, :, None]
    if band == "upper":
        ends = [drawn.landmarks[:, 30, 1] for drawn in (low, high)]
        return rows <= torch.maximum(*ends)[:, None, None]
    ends = [drawn.landmarks[:, 36:48, 1].mean(1) for drawn in (low, high)]
    return rows >= torch.minimum(*ends)[:, None, None]


_LOWER_FACE = Region(("skin", "nose", *LIPS, "neck", "eye_g"), 3, "lower")
_WHOLE_FACE = Region(FACE, 3, also=(Region(("neck",), 2),))
_HAIR = Region(("hair",), 4)
_HAIR_COLOUR = Region(("hair", "l_brow", "r_brow", *EYES), 2)

REGIONS: dict[str, Region] = {
    "age": Region(PERSON, 3),  # a child's shoulders are narrow
    "gender": Region(PERSON, 3),
    "smile": _LOWER_FACE,
    "mouth_open": Region(("skin", "nose", *LIPS, "neck", "eye_g", "cloth"), 3, "lower"),
    "eyes_open": Region(EYES, 6),
    "beard": Region(("skin", "nose", *LIPS, "neck", *EARS), 7, "lower"),
    "moustache": Region((*LIPS, "nose"), 7, "lower"),
    "sideburns": Region(("skin", *EARS), 3, also=(Region(("hair",), 3, "lower"),)),
    **{name: Region(PERSON, 3) for name in ("yaw", "pitch", "roll")},
    "glasses": Region(("eye_g",), 5),
    "sunglasses": Region(("eye_g",), 3),
    **{emotion: _WHOLE_FACE for emotion in EMOTIONS},
    "baldness": _HAIR,
    **{f"hair_{c}": _HAIR_COLOUR for c in ("black", "brown", "blond", "red", "grey")},
    **{name: _HAIR for name in ("hair_length", "hair_curl", "hair_volume", "fringe")},
    "eye_makeup": Region((*EYES, "l_brow", "r_brow"), 5),
    "lip_makeup": Region(LIPS, 3),
    "hat": Region(("hat", "hair"), 4, also=(Region(FACE, 2, "upper"),)),
    "earrings": Region(("ear_r",), 4),
}

#: Latents of a face on which every attribute can show: nothing worn, nothing grown, hair in sight.
_BARE = {
    "glasses": -2.5, "dark_lenses": -2.5, "hat": -2.5, "earrings": -2.5, "fringe": -2.5,
    "beard": -2.5, "moustache": -2.5, "sideburns": -2.5, "greyness": -2.5, "hair_redness": -2.5,
    "baldness": -2.5, "jaw": -1.5, "lids": 0.3, "eye_makeup": -2.5, "lip_makeup": -2.5,
    "lip_corner": 0.0,
}  # fmt: skip
#: What else an attribute needs to be seen: hair for its shape, ears for what hangs there.
_NEEDS = {
    "sunglasses": {"glasses": 2.5},
    "earrings": {"hair_length": -1.5, "hair_volume": -1.0},
    "sideburns": {"hair_length": -1.5},
    "hair_curl": {"hair_length": 1.0, "hair_volume": 0.5},
}


#: Kinds of faces, by the latents that make them out of bare ones. A turned head looks aside by
#: about 26 degrees and up by 7.
FACES: dict[str, dict[str, float]] = {
    "bare": {},
    "hat": {"hat": 2.5},
    "beard": {"beard": 1.5, "moustache": 1.0},
    "glasses": {"glasses": 2.5},
    "turned": {"yaw": 1.8, "pitch": 0.8},
}

_UNDER_HAT = Region(("hat",), 4)  # a hat is as large as the hair below it
_THROUGH_LENSES = Region(("eye_g",), 2)
_BEARD = Region(("skin", "neck", *LIPS), 3, "lower")  # hair of a face, shaved or not, is skin there
_COLOURS = tuple(f"hair_{c}" for c in ("black", "brown", "blond", "red", "grey"))

#: What belongs to an attribute on such faces besides its region.
_ALSO: dict[str, dict[str, Region]] = {
    "hat": {
        **{name: _BEARD for name in _COLOURS},
        **{f"hair_{name}": _UNDER_HAT for name in ("length", "curl", "volume")},
        **{name: _UNDER_HAT for name in ("baldness", "fringe")},
    },
    "beard": {name: _BEARD for name in _COLOURS},
    "glasses": {name: _THROUGH_LENSES for name in (*_COLOURS, "eyes_open", "eye_makeup")},
}

#: What need not be seen there: of two earrings one is behind the head.
HIDDEN: dict[str, tuple[str, ...]] = {"turned": ("earrings",)}


@dataclass(frozen=True)
class Visibility:
    """What a change of one attribute from low to high does.

    Attributes
    ----------
    inside : Tensor, shape (B,)
        Share of the changed energy that lies in the declared region; 1 where nothing changes.
    area : Tensor, shape (B,)
        Share of the picture's pixels that change visibly inside it.
    low, high : Render
        The pictures.
    region : Tensor, shape (B, R, R), bool
    """

    inside: Tensor
    area: Tensor
    low: Render
    high: Render
    region: Tensor

    @property
    def holds(self) -> bool:
        """Whether every face passes both bars."""
        return bool((self.inside >= INSIDE).all() and (self.area >= LEAST_AREA).all())


def visibility(
    name: str, faces: int = 4, seed: int = 1, size: int = 128, kind: str = "bare"
) -> Visibility:
    """Draw faces with an attribute low and high, all else fixed, and compare.

    Parameters
    ----------
    name : str
        An attribute of ``DEFAULT_TABLE``.
    faces : int
        How many, from the independent population.
    seed : int
        Which.
    size : int
        Side of the pictures in pixels.
    kind : str
        One of :data:`FACES`.
    """
    index = DEFAULT_TABLE.index(name)
    if kind not in FACES:
        raise ValueError(f"kind is {kind!r}; allowed: {', '.join(FACES)}")
    people = sample_factors(faces, seed, correlated=False)
    people = people.replace(**{
        k: people.latents[:, factor_index(k)].clamp(-1, 1) for k in ("yaw", "pitch", "roll")
    })  # fmt: skip
    calm = {f"emotion_{e}": 1.2 if e == "neutral" else -0.3 for e in EMOTIONS}
    people = people.replace(**calm, **{**_BARE, **FACES[kind], **_NEEDS.get(name, {})})
    drawn: list[Render] = []
    for value in (0.0, 1.0):
        changed, _ = with_attribute(people, name, torch.full((faces,), value))
        drawn.append(_draw(changed, size))
    low, high = drawn
    change = (high.image - low.image) / 2  # (B, 3, R, R), in [0, 1]
    energy = change.square().sum(1)
    region = REGIONS[DEFAULT_TABLE.names[index]].mask(low, high)
    if name in _ALSO.get(kind, {}):
        region = region | _ALSO[kind][name].mask(low, high)
    inside = 1 - (energy * ~region).sum((1, 2)) / energy.sum((1, 2)).clamp_min(1e-9)
    seen = (change.abs().amax(1) >= VISIBLE) & region
    return Visibility(inside, seen.float().mean((1, 2)), low, high, region)


def _draw(factors: Factors, size: int) -> Render:
    parts = [render(factors[k : k + 1], size) for k in range(len(factors))]
    return Render(
        **{f: torch.cat([getattr(p, f) for p in parts]) for f in Render.__dataclass_fields__}
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Print the measurements; exit code 1 when an attribute falls short."""
    parser = argparse.ArgumentParser(description="Does each attribute show where it should?")
    parser.add_argument("names", nargs="*", help="attributes (default: all)")
    parser.add_argument("--faces", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--kind", choices=FACES, default="bare", help="of faces (default: bare)")
    parser.add_argument("--sheet", default=None, help="picture to write: low, high, region")
    args = parser.parse_args(argv)
    torch.set_flush_denormal(True)
    failing, rows = [], []
    sys.stdout.write(f"{'attribute':<14}{'inside: least':>14}{'mean':>7}{'pixels: least':>15}\n")
    for name in args.names or DEFAULT_TABLE.names:
        found = visibility(name, args.faces, args.seed, args.size, args.kind)
        pixels = found.area.min() * args.size**2
        sys.stdout.write(
            f"{name:<14}{found.inside.min():>14.3f}{found.inside.mean():>7.3f}{pixels:>15.0f}"
            f"{'' if found.holds else '  falls short'}\n"
        )
        sys.stdout.flush()
        if not found.holds:
            failing.append(name)
        shown = torch.where(found.region[:, None], found.high.image, -1.0)
        rows.append(torch.cat([found.low.image, found.high.image, shown], 3))
    if args.sheet:
        from l2l_widgets.images import save_image

        save_image(args.sheet, torch.cat([torch.cat([*row], 2) for row in rows], 1))
    sys.stdout.write(f"{len(failing)} fall short: {', '.join(failing) or 'none'}\n")
    return 1 if failing else 0


if __name__ == "__main__":
    sys.exit(main())
