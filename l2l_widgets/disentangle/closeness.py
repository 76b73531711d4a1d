"""How close a mix is to the face whose person it took, and to the one whose attributes.

Read by the second embedder, which trained nothing: the mixer was taught by the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from l2l_widgets.protocols import FaceEmbedder

#: Pictures read at a time.
BATCH = 32


@dataclass(frozen=True)
class Closeness:
    """Cosine similarities of one mix, 1 for the same face.

    Parameters
    ----------
    identity : float
        To the face whose person was asked for.
    attributes : float
        To the face whose pose and expression were.
    inputs : float
        Of these two faces to each other: what strangers may have in common.
    """

    identity: float
    attributes: float
    inputs: float

    @property
    def nearer(self) -> str:
        """Which of the two faces the mix is nearer to: "identity" or "attributes"."""
        return "identity" if self.identity > self.attributes else "attributes"

    def to_dict(self) -> dict[str, float]:
        """The similarities under the names that ``l2l mix-report`` gives their means."""
        return {
            "identity_similarity": round(self.identity, 4),
            "attribute_similarity": round(self.attributes, 4),
            "inputs_similarity": round(self.inputs, 4),
        }

    def to_text(self) -> str:
        """The three numbers in one sentence."""
        return (
            f"close to the identity face by {self.identity:.2f}, to the attribute face by "
            f"{self.attributes:.2f}; those two to each other by {self.inputs:.2f} (1 is the same "
            "face)"
        )


@torch.inference_mode()
def closeness(
    judge: FaceEmbedder, mixes: Tensor, identity: Tensor, attributes: Tensor
) -> list[Closeness]:
    """Read mixes beside the faces that they were made of.

    Parameters
    ----------
    judge : FaceEmbedder
        Pictures to unit vectors.
    mixes : Tensor, shape (B, 3, R, R)
        In [-1, 1].
    identity, attributes : Tensor, shape (B, 3, R, R) or (1, 3, R, R)
        The faces behind each mix, or one for all.
    """

    def read(images: Tensor) -> Tensor:
        return torch.cat([judge(part).float().cpu() for part in images.split(BATCH)])

    found, person, other = (read(images) for images in (mixes, identity, attributes))
    # (B,) each: a single face stands beside every mix
    columns = ((found * person).sum(1), (found * other).sum(1), (person * other).sum(1))
    rows = torch.stack([column.expand(len(found)) for column in columns], dim=1)
    return [Closeness(*row) for row in rows.tolist()]
