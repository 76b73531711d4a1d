"""The painter's figures in the texts are those measured of the painter that is shipped."""

from __future__ import annotations

import json
import re
from pathlib import Path

from l2l_widgets.faceworld.version import WORLD
from l2l_widgets.recipes.card_sections import PAINTED, masks_section
from l2l_widgets.recipes.cards import PAINTED as FACES
from l2l_widgets.recipes.manifest_worlds import outdated

ROOT = Path(__file__).resolve().parent.parent
WEIGHTS = ROOT / "l2l_widgets" / "weights" / "faceworld-128"
MANIFEST = json.loads((WEIGHTS / "MANIFEST.json").read_text("utf-8"))
SCORES = json.loads((WEIGHTS / "scores.json").read_text("utf-8"))
MEASURED = SCORES["painting"]


def plain(path):
    return " ".join(path.read_text("utf-8").split())


def test_they_were_measured_of_the_files_that_are_shipped():
    made_by = SCORES["made_by"]["painting"]
    assert {file: MANIFEST[file]["sha256"] for file in made_by["hashes"]} == made_by["hashes"]
    assert {"maskgan.safetensors", "parser.safetensors"} <= made_by["hashes"].keys()
    assert MEASURED["faces"] == made_by["faces"] == FACES
    assert made_by["world"] == WORLD


def test_the_readme_says_what_was_measured():
    text = plain(ROOT / "README.md")
    own, edited = (
        "{:.2f} [{:.2f}, {:.2f}]".format(MEASURED["means"][name], *MEASURED["intervals"][name])
        for name in ("own_iou", "edited_iou")
    )
    said = (
        f"On {MEASURED['faces']} unseen faces (`l2l paint-scores --faces {MEASURED['faces']} "
        "--seed 0 --out report`) the parser finds in the drawing what the mask asked for with a "
        f"mean IoU of {own} ({MEASURED['parser_iou']:.2f} on the true pictures), {edited} after "
        f"edits; the Fréchet distance is {MEASURED['frechet']['frechet_share'][0]:.2f} times that "
        "of two halves of the renders."
    )
    assert said in text
    old = {"maskgan.safetensors", "parser.safetensors"} & outdated(MANIFEST, WORLD).keys()
    warning = "Parser and painter learned from the renderer's older version"
    assert (warning in text) == (len(old) == 2), f"of an older world are: {sorted(old)}"


def test_the_card_says_what_was_measured():
    card = (WEIGHTS / "CARD.md").read_text("utf-8")
    found = re.search(r"^## Mask to face\n.*?(?=^## )", card, flags=re.MULTILINE | re.DOTALL)
    written = masks_section(MANIFEST, SCORES).partition("## Mask to face\n")[2]
    assert found is not None
    assert found.group().strip() == f"## Mask to face\n{written}".strip()
    assert MEASURED["means"].keys() == PAINTED.keys()
