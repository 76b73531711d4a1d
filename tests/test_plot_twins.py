"""Static twins of what views show: a page of faces, the faces behind a cell, a training's edits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.text import Text

from l2l_widgets.plots.faces_behind import plot_faces_behind
from l2l_widgets.plots.gallery import plot_page
from l2l_widgets.plots.training import plot_training_leakage
from l2l_widgets.widgets.words import Words

GERMAN = Words.of("de").plots
SEEDS = (3, 14, 15, 92, 65)
CHANGES = np.array([0.1, -0.05, 0.3, np.nan, 0.02])
CELL = {"signed": 0.09, "signed_low": 0.02, "signed_high": 0.2, "band": 0.04, "world": 0.12}
LEAKAGE = {"smile": {"smile": 0.6, "age": -0.2}, "age": {"smile": 0.1, "age": 0.5}}


def faces(count):
    return torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1


def texts(figure):
    return [found.get_text() for found in figure.findobj(Text)]


def draw_page(ax=None, **options):
    readings = [{"smile": 0.314, "age": 0.5}, *[{"smile": 0.2, "age": float("nan")}] * 4]
    return plot_page(faces(5), SEEDS, readings, columns=3, ax=ax, **options)


def draw_behind(ax=None, **options):
    two = faces(4)
    options = {"edited": "smile", "read": "age", "cell": CELL, **options}
    pairs = {15: (two[0], two[1]), 14: (two[2], two[3])}
    return plot_faces_behind(SEEDS, CHANGES, pairs=pairs, ax=ax, **options)


def draw_leakage(ax=None, **options):
    return {"figure": plot_training_leakage(LEAKAGE, step=20, ax=ax, **options).figure}


@pytest.mark.parametrize("draw", [draw_page, draw_behind, draw_leakage])
def test_a_twin_is_drawn_in_the_place_of_the_axes_it_is_given(draw):
    figure = Figure(figsize=(10, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1])
    assert draw(right)["figure"] is figure
    figure.canvas.draw()
    middle = left.get_position().x1
    own = [ax for ax in figure.axes if ax is not left]
    assert sum(len(ax.images) + len(ax.collections) for ax in own) >= 1
    assert all(ax.get_position().x0 > middle for ax in own)
    assert len(left.lines) == 1
    assert not left.images


@pytest.mark.parametrize("draw", [draw_page, draw_behind, draw_leakage])
def test_without_axes_a_twin_makes_its_own_and_speaks_german(draw, tmp_path):
    plain, german = draw()["figure"], draw(words=GERMAN)["figure"]
    plain.savefig(tmp_path / "plain.pdf")
    for english in ("Smile", "Age", "face", "random", "moved", "mean"):
        assert not any(english in text for text in texts(german)), english
    assert any("Lächeln" in text for text in texts(german))
    assert any("Smile" in text for text in texts(plain))


def test_a_page_shows_each_face_with_its_seed_and_readings():
    drawn = draw_page(title="smiling")
    assert drawn["captions"][0] == "face 3\nSmile 31 %\nAge 45 years"
    assert drawn["captions"][1] == "face 14\nSmile 20 %", "what nobody read is not said"
    assert [ax.get_xlabel() for ax in drawn["axes"]] == drawn["captions"]
    shown = drawn["axes"][4].images[0].get_array()
    assert np.allclose(shown, (faces(5)[4].permute(1, 2, 0).numpy() + 1) / 2, atol=1e-6)
    drawn["figure"].draw_without_rendering()
    tops = [round(ax.get_position().y0, 3) for ax in drawn["axes"]]
    assert tops[0] == tops[1] == tops[2] > tops[3] == tops[4], "three in a row"
    assert "smiling" in texts(drawn["figure"])
    assert plot_page(faces(1), [7])["captions"] == ["face 7"]


def test_the_faces_behind_a_cell_are_dots_with_their_mean_and_what_chance_does():
    drawn = draw_behind(stamp="n = 5 faces", captions={15: "worst: moved most"})
    strip = drawn["axes"]
    (dots,) = [c for c in strip.collections if len(c.get_offsets()) == 4]
    assert np.allclose(dots.get_offsets()[:, 0], [0.1, -0.05, 0.3, 0.02])
    assert (drawn["seeds"], drawn["missing"]) == ([3, 14, 15, 65], 1)
    assert strip.get_title() == "Smile \u2192 Age (1 more never came so far)"
    sizes = dict(zip(drawn["seeds"], dots.get_sizes(), strict=True))
    assert sizes[15] == sizes[14] > sizes[3] == sizes[65], "those with pictures stand out"
    assert sorted(drawn["picture_axes"]) == [14, 15]
    before, after = drawn["picture_axes"][15]
    assert np.allclose(after.images[0].get_array(), (faces(4)[1].permute(1, 2, 0) + 1) / 2)
    assert before.get_title(loc="left") == "face 15\nworst: moved most"
    named = [text.get_text() for text in strip.get_legend().get_texts()]
    assert named == ["random edits", "the world's slope", "mean, interval"]
    low, high = strip.get_xlim()
    assert low == -high <= -0.3
    assert strip.get_xlabel() == "change of Age, of its scale"
    assert "n = 5 faces" in texts(drawn["figure"])


def test_a_cell_of_what_was_asked_shows_the_strength_it_took():
    drawn = plot_faces_behind([1, 2], [0.5, 0.7], edited="smile", read="smile", cell=CELL)
    strip = drawn["axes"]
    assert strip.get_xlim()[0] == 0
    assert strip.get_xlabel() == "strength that it took"
    assert strip.get_legend() is None, "chance and slope are of changes"
    assert drawn["picture_axes"] == {}


def test_a_trainings_leakage_has_the_asked_in_rows():
    axes = plot_training_leakage({**LEAKAGE, "hat": {"hat": 0.4}}, step=20)
    assert [t.get_text() for t in axes.get_yticklabels()] == ["Smile", "Age", "Hat"]
    values = np.ma.filled(axes.images[0].get_array(), np.nan)
    assert np.allclose(values[0], [0.6, -0.2, np.nan], equal_nan=True)
    assert axes.get_title() == "step 20"
    assert "\u221220" in [text.get_text() for text in axes.texts]


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: plot_page([], []), "pictures is empty; allowed: at least one"),
        (lambda: plot_page(faces(2), [1]), "seeds has 1 entries; allowed: 2, as pictures"),
        (lambda: plot_page(faces(1), [1], []), "readings has 0 entries; allowed: 1"),
        (lambda: plot_page(faces(1), [1], columns=0), "columns is 0; allowed: a whole number"),
        (lambda: plot_page(torch.zeros(1, 2, 8, 8), [1]), r"pictures\[0\] has shape"),
        (
            lambda: plot_faces_behind([1], [0.1, 0.2], edited="age", read="hat"),
            r"changes have shape \(2,\); allowed: \(1,\)",
        ),
        (
            lambda: plot_faces_behind(
                [1], [0.1], edited="age", read="hat", pairs={2: tuple(faces(2))}
            ),
            "pairs holds face 2; allowed: those in seeds",
        ),
        (lambda: plot_training_leakage({}), "leakage is empty; allowed: at least one attribute"),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw, words):
    with pytest.raises(ValueError, match=words):
        draw()
