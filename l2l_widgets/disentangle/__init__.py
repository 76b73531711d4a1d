"""Identity of one face, attributes of another (Nitzan et al., ACM TOG 39(6), 2020).

``networks.py``   the attribute encoder, the mapper M and the discriminator D_W
``objective.py``  the losses
``mixer.py``      a trained mixer at work: pairs, grids, travels, frames
``sources.py``    faces from seeds, latents, pictures, folders and clips
``mix_state.py``  what a view of a mix holds: two faces, two sliders, a grid
"""

from __future__ import annotations

from l2l_widgets.disentangle.mixer import MIXER_FILE, FaceMixer, MixError, Signature
from l2l_widgets.disentangle.networks import (
    LatentDiscriminator,
    MixerConfig,
    MixerNetwork,
    load_mixer,
    save_mixer,
)
from l2l_widgets.disentangle.sources import Face, read_face, read_faces

__all__ = [
    "MIXER_FILE",
    "Face",
    "FaceMixer",
    "LatentDiscriminator",
    "MixError",
    "MixerConfig",
    "MixerNetwork",
    "Signature",
    "load_mixer",
    "read_face",
    "read_faces",
    "save_mixer",
]
