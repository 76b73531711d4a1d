"""Small networks that look at faces: attribute regressors (H), embedders (F), a parser, encoders.

All take pictures (B, 3, R, R) in [-1, 1]; another size than the network's own is resampled first.
"""

from l2l_widgets.perception.networks import (
    AttributeNet,
    FaceEmbeddingNet,
    LandmarkNet,
    LatentEncoder,
)
from l2l_widgets.perception.parsing import ParsingNet, expected_positions
from l2l_widgets.perception.stored import FORMAT, load_network, save_network
from l2l_widgets.perception.trunks import (
    TRUNKS,
    PlainTrunk,
    ResidualTrunk,
    SeparableTrunk,
    TransformerTrunk,
    resampled,
)

__all__ = [
    "FORMAT",
    "TRUNKS",
    "AttributeNet",
    "FaceEmbeddingNet",
    "LandmarkNet",
    "LatentEncoder",
    "ParsingNet",
    "PlainTrunk",
    "ResidualTrunk",
    "SeparableTrunk",
    "TransformerTrunk",
    "expected_positions",
    "load_network",
    "resampled",
    "save_network",
]
