"""What parser, mask autoencoder and painter score on renders that nothing was trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from l2l_widgets.maskgan.model import VAE, WHOLE

if TYPE_CHECKING:
    from l2l_widgets.models.zoo import Models

#: Faces that the mask networks are held against.
PAINTED = 1000
#: Factors that give a render other light, colours and background, and leave person, pose and mask.
LIGHT_AND_COLOUR = (
    "blush", "background_hue", "background_light", "background_gradient", "cloth_hue",
    "cloth_light", "light_azimuth", "light_elevation", "light_softness", "rim_light", "key_warmth",
    "frame_hue", "hat_hue",
)  # fmt: skip


class NotMeasurableError(ValueError):
    """A part that cannot be measured here; the card says so, and the rest goes on."""


def score_own_parser(models: Models) -> dict[str, float]:
    """Hold the parser against true masks and landmarks, as its recipe does, on today's renders.

    Raises
    ------
    NotMeasurableError
        It is not one of ours.
    """
    from l2l_widgets.perception import ParsingNet
    from l2l_widgets.recipes.parser import score_parser
    from l2l_widgets.recipes.perception import HELD_OUT
    from l2l_widgets.recipes.rendered import rendered_set

    parser = models.parser
    if not isinstance(parser, ParsingNet):
        raise NotMeasurableError("the parser has no landmarks")
    faces = rendered_set("independent")
    rows = torch.arange(len(faces))[-HELD_OUT:]
    pictures = (
        (part, (faces.images[part].float() / 127.5 - 1).to(models.device))
        for part in rows.split(64)
    )
    return score_parser(parser, faces, pictures)


def score_own_masks(models: Models) -> dict[str, float]:
    """Send masks of renders that nothing was trained on through the mask autoencoder and back."""
    from l2l_widgets.maskgan import MaskGAN
    from l2l_widgets.recipes.mask_vae import score_masks

    vae = MaskGAN.load(models.check_file(VAE), models.device).vae
    if vae is None:
        raise NotMeasurableError(f"{VAE} holds no mask autoencoder")
    masks = _unseen(vae.config.resolution)[1]
    return {"faces": len(masks), **score_masks(vae, masks)}


def score_painter(models: Models) -> dict[str, Any]:
    """Measure the painter, as ``l2l paint-scores --faces 1000 --seed 0`` does."""
    from l2l_widgets.evaluation.painting import judges_of, score_painting
    from l2l_widgets.maskgan import MaskGAN

    judges = judges_of(models, models.parser) if models.has("identity_judge") else None
    if judges is None:
        raise NotMeasurableError("there is no second judge of attributes and identity")
    painter = MaskGAN.load(models.check_file(WHOLE), models.device)
    vae = MaskGAN.load(models.check_file(VAE)).vae if VAE in models.manifest else None
    found = score_painting(painter, *_unseen(painter.resolution), judges, vae)
    shares = identity_shares(found["rows"], same_person_likeness(judges.identity))
    return {**{name: value for name, value in found.items() if name != "rows"}, **shares}


def same_person_likeness(identity: Callable[[Tensor], Tensor]) -> dict[str, list[float]]:
    """How alike two renders of one person are, for each person whom no judge has learned from.

    Returns
    -------
    dict
        ``else_different``: the person's first two pictures, which share nothing else.
        ``same_mask``: the first one, and the same pose, expression and mask in the light, the
        colours and before the background of the second.
    """
    from l2l_widgets.evaluation.painting import same_person
    from l2l_widgets.faceworld.batches import render_batches
    from l2l_widgets.recipes import perception, rendered

    people = rendered.SETS["identities"]
    first = torch.arange(people.count - perception.HELD_OUT, people.count, people.per_identity)
    pictures = rendered.rows_of_set("identities", torch.cat([first, first + 1]))[0]
    one, two = (pictures.float() / 127.5 - 1).chunk(2)
    factors = [rendered.factors_of_set("identities", rows) for rows in (first, first + 1)]
    lit = factors[0].replace(**{name: factors[1].column(name) for name in LIGHT_AND_COLOUR})
    again = torch.cat([image for image, _, _ in render_batches(lit, people.resolution)])
    pairs = {"else_different": two, "same_mask": again.float() / 127.5 - 1}
    return {name: same_person(identity, one, other).tolist() for name, other in pairs.items()}


def identity_shares(
    rows: Sequence[Mapping[str, float]], likeness: Mapping[str, Sequence[float]]
) -> dict[str, list[float]]:
    """A painter's likeness on own masks as a share of that of two renders of one person.

    Parameters
    ----------
    rows : sequence of mapping
        As ``score_painting`` gives them.
    likeness : mapping
        As :func:`same_person_likeness` gives it.

    Returns
    -------
    dict
        ``identity_share``, ``identity_share_same_mask``: share, low and high end of its interval.
    """
    from l2l_widgets.evaluation.painting import share_of
    from l2l_widgets.evaluation.painting_report import SHARES

    own = torch.tensor([row["own_identity"] for row in rows])
    kinds = zip(SHARES, ("else_different", "same_mask"), strict=True)
    return {name: share_of(own, torch.tensor(likeness[kind])) for name, kind in kinds}


def _unseen(side: int) -> tuple[Tensor, Tensor]:
    """Pictures in [-1, 1] and masks of the first unseen renders that ``paint-scores`` draws."""
    from l2l_widgets.recipes.rendered import UNSEEN, rows_of_set

    rows = torch.randperm(UNSEEN.count, generator=torch.Generator().manual_seed(0))[:PAINTED]
    images, masks = rows_of_set("unseen", rows)
    if images.shape[-1] != side:
        raise NotMeasurableError(
            f"the mask networks are of {side} px, the renders of {images.shape[-1]}"
        )
    return images.float() / 127.5 - 1, masks
