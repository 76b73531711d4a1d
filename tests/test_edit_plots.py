"""Figures of edits: what they draw, in whose axes, and that their type stays type."""

from __future__ import annotations

import io

import pytest
import torch

from l2l_widgets.attributes import label_of
from l2l_widgets.plots.edits import edit_strip, paper_style, receipt_bars

RECEIPT = {
    "requested": {"smile": 0.3},
    "achieved": {"smile": 0.25},
    "others": {"age": -0.12, "hat": 0.02, "glasses": 0.05},
    "band": {n: (-0.04, 0.04) for n in ("smile", "age", "hat", "glasses")},
    "error": None,
}
SECOND = {**RECEIPT, "requested": {"age": 0.4}, "achieved": {"age": 0.5},
          "others": {"smile": 0.3, "hat": -0.2, "glasses": 0.0}}  # fmt: skip


def saved(figure, kind):
    stream = io.BytesIO()
    figure.savefig(stream, format=kind)
    return stream.getvalue()


def test_bars_show_what_came_beside_what_was_asked():
    drawn = receipt_bars(RECEIPT, others=2)
    assert drawn["names"] == ["smile", "age", "glasses"]
    assert drawn["bars"] == {"smile": 0.25, "age": -0.12, "glasses": 0.05}
    axes = drawn["axes"]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        label_of(name) for name in drawn["names"]
    ]
    assert axes.get_xlim() == (-drawn["limit"], drawn["limit"])
    assert axes.get_xlabel() == "change, in % of the attribute's scale"
    (tick,) = [line for line in axes.lines if len(set(line.get_xdata())) == 1 and
               line.get_xdata()[0] == 0.3]  # fmt: skip
    assert tick.get_ydata()[0] < 0 < tick.get_ydata()[1]
    hatched = [patch for patch in axes.patches if patch.get_hatch()]
    assert len(hatched) == 2, "what nobody asked for is told apart without colour"


def test_a_strip_shares_one_axis_and_one_list_of_names():
    faces = [torch.rand(3, 8, 8) * 2 - 1 for _ in range(3)]
    drawn = edit_strip(faces, ["as drawn", "smile", "age"], [None, RECEIPT, SECOND], others=1)
    assert drawn["names"] == ["smile", "age", "hat"]
    assert drawn["receipt_axes"][0] is None
    limits = {axes.get_xlim() for axes in drawn["receipt_axes"][1:]}
    assert len(limits) == 1
    assert drawn["axes"][1].get_title() == "smile"
    assert [axes.get_xlabel() for axes in drawn["receipt_axes"][1:]] == ["change"] * 2
    shown = drawn["axes"][0].images[0].get_array()
    assert shown.shape == (8, 8, 3)
    assert abs(float(shown[2, 3, 1]) - float((faces[0][1, 2, 3] + 1) / 2)) < 1e-6
    plain = edit_strip(faces)
    assert plain["receipt_axes"] == [None] * 3


def test_both_draw_into_axes_that_are_given():
    from matplotlib.figure import Figure

    figure = Figure(layout="constrained")
    left, right = figure.subplots(1, 2)
    assert receipt_bars(RECEIPT, ax=left)["figure"] is figure
    drawn = edit_strip([torch.zeros(3, 4, 4)], receipts=[RECEIPT], ax=right)
    assert drawn["figure"] is figure
    assert len(figure.axes) == 4
    assert saved(figure, "png").startswith(b"\x89PNG")


def test_type_stays_type_in_vector_files():
    import matplotlib

    with matplotlib.rc_context(paper_style(8)):
        figure = receipt_bars(RECEIPT)["figure"]
        svg, pdf = saved(figure, "svg").decode(), saved(figure, "pdf")
    assert ">Smile</text>" in svg
    assert b"/FontFile2" in pdf or b"/Type42" in pdf or b"/TrueType" in pdf
    assert b"/Type3" not in pdf


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: edit_strip([]), "pictures is empty"),
        (lambda: edit_strip([torch.zeros(4, 4)]), r"pictures\[0\] has shape \(4, 4\)"),
        (lambda: edit_strip([torch.zeros(3, 4, 4)], ["a", "b"]), "titles has 2 entries"),
        (lambda: edit_strip([torch.zeros(3, 4, 4)], None, []), "receipts has 0 entries"),
        (lambda: receipt_bars({**RECEIPT, "error": "no judge"}), "no judge"),
        (lambda: receipt_bars(RECEIPT, ["hatt"]), "hatt"),
        (lambda: receipt_bars(RECEIPT, []), "nothing"),
        (lambda: paper_style(0), "size is 0"),
    ],
)
def test_what_cannot_be_drawn_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
