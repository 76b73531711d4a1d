"""The painter's figures in the texts are those measured of the painter that is shipped."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from pathlib import Path

import pytest

import l2l_widgets
from l2l_widgets.evaluation.painting import PER_FACE, PROTOCOL
from l2l_widgets.faceworld import render, sample_factors
from l2l_widgets.faceworld.version import WORLD
from l2l_widgets.images import save_image
from l2l_widgets.maskgan import MaskGAN
from l2l_widgets.recipes.card_sections import masks_section
from l2l_widgets.recipes.cards import plan_cards
from l2l_widgets.recipes.manifest_worlds import outdated
from l2l_widgets.recipes.mask_scores import PAINTED as FACES
from l2l_widgets.recipes.painter_text import PAINTED, ablation_text, painting_section, readme_text
from l2l_widgets.storage import sha256_tensors
from tests import painting_figures as figures

WEIGHTS = figures.DEFAULT_WEIGHTS
MANIFEST = json.loads((WEIGHTS / "MANIFEST.json").read_text("utf-8"))
SCORES = json.loads((WEIGHTS / "scores.json").read_text("utf-8"))
KEPT = figures.read_json(figures.KEPT)
COMMAND = "l2l paint-scores --out DIR, then python -m tests.painting_figures --report DIR"


def test_they_were_measured_of_the_files_that_are_shipped():
    painter = MaskGAN.load(WEIGHTS / "maskgan.safetensors")
    assert KEPT["weights"]["whole"] == sha256_tensors(painter.state_dict()), COMMAND
    for part, file in (
        ("parser", "parser"), ("attribute_judge", "judge_regressor"),
        ("identity_judge", "judge_embedder"),
    ):  # fmt: skip
        assert KEPT["judges"][part] == MANIFEST[f"{file}.safetensors"]["sha256"], COMMAND
    assert (KEPT["protocol"], KEPT["faces"], KEPT["seed"]) == (PROTOCOL, FACES, 0)
    assert KEPT["data"] == "unseen renders"
    assert "rows" not in KEPT["variants"]["whole"], "the file stays small"


def test_page_and_readme_say_what_was_measured():
    page, readme = (path.read_text("utf-8") for path in (figures.PAGE, figures.README))
    latency = figures.read_json(figures.LATENCY)
    again = "python -m tests.painting_figures"
    assert figures.page_of(page, KEPT) == page, again
    assert figures.readme_of(readme, KEPT, latency) == readme, again
    old = {"maskgan.safetensors", "parser.safetensors"} & outdated(MANIFEST, WORLD).keys()
    warning = "Parser and painter learned from the renderer's older version"
    assert (warning in readme) == (len(old) == 2), f"of an older world are: {sorted(old)}"


def test_the_readmes_lines_open_a_painter(tmp_path, monkeypatch):
    readme = figures.README.read_text("utf-8")
    section = readme.partition("### Paint a face")[2].partition("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
    *lines, last = code.strip().splitlines()
    monkeypatch.chdir(tmp_path)
    save_image("face.png", render(sample_factors(1, seed=3), 64).image[0], scale=2)
    names = {"l2l": l2l_widgets}  # as the README's first lines import it
    exec("\n".join([*lines, f"view = {last}"]), names)
    view = names["view"]
    assert view.result["error"] is None
    assert view.schema["can_draw"]
    assert view.schema["can_walk"]
    assert len(set(view.mask["data"])) > 5, "the parser has found the parts"
    view.close()
    view.session.close()


def test_milliseconds_are_of_the_painter_that_is_shipped():
    found = figures.read_json(figures.LATENCY)
    now = {file: entry["sha256"] for file, entry in MANIFEST.items()}
    if found is not None:
        assert {file: now[file] for file in found["measured_with"]} == found["measured_with"]
    made = {"n": 60, "median_ms": 93.2, "p95_ms": 131.0, "limit_ms": 150.0}
    row = figures.latency_row(made)
    assert "| 93 / 131 ms | `python -m tests.browser.painter_latency` |" in row
    assert "asked" not in row
    assert "more than the 150 asked" in figures.latency_row({**made, "median_ms": 150.4})
    readme = figures.README.read_text("utf-8")
    with_row = figures.readme_of(readme, KEPT, made)
    assert with_row.count(figures.ROW) == 1
    assert figures.readme_of(with_row, KEPT, made) == with_row, "the row is replaced"
    assert figures.ROW not in figures.readme_of(with_row, KEPT, None)


def test_the_card_says_what_was_measured():
    made_by = SCORES["made_by"]["painting"]
    if made_by["protocol"] != PROTOCOL:  # then the card's own command knows that it is stale
        assert plan_cards(WEIGHTS)["painting"] == "measure"
        return
    assert {file: MANIFEST[file]["sha256"] for file in made_by["hashes"]} == made_by["hashes"]
    card = (WEIGHTS / "CARD.md").read_text("utf-8")
    found = re.search(r"^## Mask to face\n.*?(?=^## )", card, flags=re.MULTILINE | re.DOTALL)
    written = masks_section(MANIFEST, SCORES).partition("## Mask to face\n")[2]
    assert found is not None
    assert found.group().strip() == f"## Mask to face\n{written}".strip()
    whole = KEPT["variants"]["whole"]
    assert SCORES["painting"]["means"] == pytest.approx(whole["means"], abs=2e-3)


def report_of(**gaps):
    """A report of several variants, of figures that are easy to follow."""
    means = dict.fromkeys(PER_FACE, 0.8)
    one = {
        "faces": 1000, "means": means, "intervals": {n: [0.79, 0.81] for n in means},
        "frechet_sets": [500, 192], "parser_iou": 0.9, "parser_iou_asked": 0.91, "asked_faces": 612,
        "asked_attributes": [0.7, 0.6, 0.75], "identity_share": [1.2, 1.1, 1.3],
        "identity_share_same_mask": [0.8, 0.75, 0.85],
        "frechet": {n: [2.0, 1.5, 2.5] for n in
                    ("frechet_own", "frechet_edited", "frechet_halves", "frechet_share")},
    }  # fmt: skip
    variants = {"whole": one, **{name: deepcopy(one) for name in gaps}}
    return {"faces": 1000, "seed": 0, "variants": variants, "whole_minus": gaps}


def test_any_number_of_variants_gives_as_many_columns():
    ahead, behind, level = [0.02, 0.01, 0.03], [-0.02, -0.03, -0.01], [0.0, -0.01, 0.01]
    gaps = {
        "own_iou": ahead, "edited_iou": behind, "moved_iou": level, "changed_outside": behind,
    }  # fmt: skip
    report = report_of(**{"no-edits": gaps, "no-sft": gaps, "mine": gaps})
    text = ablation_text(report)
    head, *_ = text.splitlines()
    for title in ("shipped", "without simulated edits", "without SFT", "mine"):
        assert f"| {title} |" in head
    assert "| than without SFT |" in text
    flat = " ".join(text.split())
    assert (
        "against one without SFT. better: `own_iou`, `changed_outside`; worse: `edited_iou`; "
        "no difference is shown: `moved_iou`."
    ) in flat
    assert "**+0.020 [+0.010, +0.030]**" in text
    assert "| +0.000 [-0.010, +0.010] |" in text
    assert "0.700 [0.600, 0.750], n = 612" in text
    assert set(PER_FACE) == set(PAINTED)
    assert "masks: -0.020 [-0.030, -0.010] (above 0).** Not measured: without the blender" in flat
    alone = ablation_text(report_of())
    assert "than without" not in alone
    assert "Not measured: without simulated edits (`no-edits`), without SFT" in alone


def test_the_card_has_every_figure_and_what_falls_short():
    one = report_of()["variants"]["whole"]
    text = painting_section(one)
    for key in (*PER_FACE, "asked_attributes", "frechet_edited", "identity_share_same_mask"):
        assert f"(`{key}`) |" in text
    flat = " ".join(text.split())
    assert "612 of the edits ask for another reading" in flat
    assert "one pose and mask | >= 0.9 | 0.8 [0.75, 0.85] | - | no |" in flat
    bare = {key: value for key, value in one.items() if not key.startswith("asked_")}
    assert "ask for another reading" not in painting_section(bare)


def test_what_falls_short_is_said():
    report = report_of()
    flat = " ".join(ablation_text(report).split())
    assert (
        "Asked for and not reached: likeness, as a share of two renders of one person with" in flat
    )
    assert "one pose and mask: 0.800 (>= 0.9).**" in flat
    said = readme_text(report)
    assert "other light and colours, below the 0.9 asked." in said
    assert "below the 0.75" not in said
    report["variants"]["whole"]["means"]["edited_iou"] = 0.68
    assert "0.680 [0.790, 0.810] after edits, below the 0.75 asked." in readme_text(report)


def test_how_much_of_the_distances_is_chance_is_said():
    report = report_of()
    report["variants"]["whole"]["frechet"].update(
        frechet_own=[13.5, 12.0, 15.0], frechet_halves=[7.0, 6.0, 8.0], frechet_share=[1.93, 1.6, 2]
    )
    flat = " ".join(ablation_text(report).split())
    assert "The multiple of 1.93 is of 500 faces a side" in flat
    assert "true renders are 7.0 apart for no other reason than that they are small." in flat
    assert "The multiple would be" not in flat
    flat = " ".join(ablation_text(report, (0.25, 10_000)).split())
    assert "above it is about 6.5, and two sets of 10,000 renders are 0.25 apart" in flat
    assert "the multiple would be some 26." in flat
    assert "1.93 times that of two halves of the renders, 500 faces each, where chance" in (
        readme_text(report)
    )


def test_the_written_part_alone_is_replaced(tmp_path):
    text = f"before\n{figures.BEGIN}\n\nold\n\n{figures.END}\nafter\n"
    assert figures.between(text, "new\n") == text.replace("old", "new")
    with pytest.raises(SystemExit, match="there is no"):
        figures.between("nothing", "new")
    kept = figures.kept_of({"variants": {"whole": {"rows": [1], "faces": 4}}, "seed": 0})
    assert kept == {"variants": {"whole": {"faces": 4}}, "seed": 0}
    assert Path(figures.KEPT).stat().st_size < 64_000
