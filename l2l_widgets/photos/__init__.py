"""Photos of people: read safely, found, aligned as the generator has its faces, and inverted.

The steps stand apart, so that each can be replaced::

    photo = read_photo("me.jpg")                   # upright, 8 bits, sRGB; refused before decoding
    aligned = align_photo(photo, models, find_detector("cascade"))
    found = invert_picture(models, aligned.image)  # encoder start, then descent

Nothing leaves the machine, and nothing is kept that is not asked for.
"""

from l2l_widgets.consent import CONSENT, LIKENESS
from l2l_widgets.photos.alignment import alignment_quad, cut_quad
from l2l_widgets.photos.detection import DETECTORS, DetectedFace, find_detector
from l2l_widgets.photos.finding import Aligned, align_photo
from l2l_widgets.photos.inverting import (
    invert_picture,
    load_encoder,
    picture_distance,
)
from l2l_widgets.photos.reading import Photo, PhotoError, read_photo

__all__ = [
    "CONSENT",
    "DETECTORS",
    "LIKENESS",
    "Aligned",
    "DetectedFace",
    "Photo",
    "PhotoError",
    "align_photo",
    "alignment_quad",
    "cut_quad",
    "find_detector",
    "invert_picture",
    "load_encoder",
    "picture_distance",
    "read_photo",
]
