"""Words around the sliders: what people type to find one, and what the two ends of a scale are.

They belong to the view: no model and no file knows them.
"""

from __future__ import annotations

#: Everyday words by which an attribute is found, beside its name, label, family and definition.
SEARCH_WORDS = {
    "age": "old older young younger years child elderly wrinkles",
    "gender": "man male masculine woman female feminine sex",
    "smile": "happy smiling grin laugh lips mouth sad frown",
    "beard": "bearded stubble shave goatee",
    "moustache": "mustache shave lip",
    "sideburns": "whiskers cheeks shave",
    "yaw": "turn left right profile look head",
    "pitch": "nod up down look head",
    "roll": "tilt lean head",
    "glasses": "spectacles eyewear",
    "sunglasses": "sunglasses shades dark",
    "anger": "angry mad furious",
    "contempt": "smirk scorn",
    "disgust": "disgusted",
    "fear": "afraid scared",
    "happiness": "happy joy glad smile",
    "neutral": "calm plain expressionless",
    "sadness": "sad unhappy cry",
    "surprise": "surprised astonished",
    "baldness": "bald balding hairless",
    "hair_black": "dark",
    "hair_brown": "brunette",
    "hair_blond": "blonde fair yellow",
    "hair_red": "ginger",
    "hair_grey": "gray white silver old",
    "hair_length": "long short",
    "hair_curl": "curly wavy straight",
    "hair_volume": "thick bushy flat",
    "fringe": "bangs forehead",
    "eye_makeup": "make-up cosmetics mascara eyeshadow",
    "lip_makeup": "make-up cosmetics red lips",
    "hat": "cap headwear",
    "earrings": "jewellery jewelry ears",
    "mouth_open": "open yawn teeth",
    "eyes_open": "blink closed wide eyes",
}

#: The two ends of a scale, where the label alone does not tell them apart.
ENDS = {
    "gender": ("feminine", "masculine"),
    "smile": ("corners down", "up"),
    "yaw": ("left", "right"),
    "pitch": ("down", "up"),
}
