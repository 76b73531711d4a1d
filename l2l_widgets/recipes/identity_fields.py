"""The fields of a mixer's training: what ``l2l train identity-disentangle --set`` may change."""

from __future__ import annotations

from dataclasses import dataclass

from l2l_widgets.recipes.labelled import TrunkOnFaces

#: Pose, expression and what is worn, as the table names them; a table without some of them is read
#: without them. Hair, beard and makeup are left out: embedders take them for a part of the person.
FOLLOWED = (
    "yaw", "pitch", "roll", "smile", "mouth_open", "eyes_open", "anger", "contempt", "disgust",
    "fear", "happiness", "neutral", "sadness", "surprise",
    "glasses", "sunglasses", "hat", "earrings",
)  # fmt: skip


@dataclass(frozen=True)
class MixerTraining(TrunkOnFaces):
    """What ``l2l train identity-disentangle --set FIELD=VALUE`` may change.

    The faces are shared with the mapper's training; the authors have 70,000.

    Parameters
    ----------
    hidden : tuple of int
        Layers of M, as in ``disentangle.MixerConfig``.
    learning_rate : float
        Of M and E_attr on the losses of pictures.
    adversarial_rate, discriminator_rate : float
        Of M and E_attr on D_W's verdict, and of D_W, as shares of ``learning_rate``.
    warm_steps : int
        First steps, against the teacher in latent space; 0 is the authors' way.
    cross_every : int
        Every so many steps the two inputs are different pictures (3 with the authors); else they
        are one picture, which must come back.
    adversarial_every : int
        Every so many rounds of ``cross_every`` steps D_W is trained and asked, in all steps of the
        round: so it meets both kinds of pairs, as often as they come.
    adversarial_weight, identity_weight, landmark_weight, reconstruction_weight : float
        Of the authors' losses; 0 leaves one out. Theirs are 1, 1, 0.001 and 0.02, for identity
        vectors of length 512 and a reconstruction that is summed over the batch.
    reading_weight : float
        Of the readings of pose, expression and what is worn; 0 leaves them out. The error is taken
        in units of each reading's spread, or eyes that open by a tenth would count for nothing
        beside a mouth.
    background_weight : float
        Of the picture's upper corners against the attribute input's; 0 leaves them out. Nothing
        else asks for the background of a cross pair.
    identity_rise : float
        Times ``identity_weight`` from two thirds of ``schedule_steps`` on.
    r1_gamma : float
        Of D_W's gradient penalty.
    schedule_steps : int
        Step at which the learning rate has fallen to a tenth.
    average : float
        Decay of the moving average of the weights, which is what is shipped.
    """

    hidden: tuple[int, ...] = (256, 256, 128)
    learning_rate: float = 5e-4
    adversarial_rate: float = 0.1
    discriminator_rate: float = 0.4
    warm_steps: int = 2500
    cross_every: int = 2
    adversarial_every: int = 2
    adversarial_weight: float = 1.0
    identity_weight: float = 10.0
    landmark_weight: float = 0.005
    reconstruction_weight: float = 0.3
    reading_weight: float = 0.4
    background_weight: float = 0.5
    identity_rise: float = 2.0
    r1_gamma: float = 10.0
    schedule_steps: int = 12000
    average: float = 0.998

    def __post_init__(self) -> None:
        least = {"faces": 2, "batch_size": 2, "cross_every": 1, "adversarial_every": 1}
        for name, low in {**least, "warm_steps": 0, "schedule_steps": 1, "ensemble": 1}.items():
            if getattr(self, name) < low:
                raise ValueError(f"{name} is {getattr(self, name)}; allowed: {low} or more")
        terms = ("adversarial", "identity", "landmark", "reconstruction", "reading", "background")
        for name in (*(f"{term}_weight" for term in terms), "identity_rise"):
            weight = getattr(self, name)
            if not weight >= 0:
                raise ValueError(f"{name} is {weight}; allowed: 0 or more")
