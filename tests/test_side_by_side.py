"""The same request through every method, at equal achieved change."""

from __future__ import annotations

import pytest
import torch
from leaky_world import Follows, world
from open_world import A, Moves

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.evaluation.one_face import SideBySide, blind_labels
from l2l_widgets.plots.entanglement import leakage_plot, trajectory_plot


@pytest.fixture
def face():
    return torch.full((1, 2, A + 1), 0.5)


def compared(face, request, **editors):
    found = SideBySide(world(**editors), n_random=4).answers(face, request)
    return {answer.method: answer for answer in found}


def test_every_method_is_compared_where_it_achieves_the_same(face):
    answers = compared(
        face, {"age": 0.3}, full=Moves(), half=Moves(reach=0.5), follows=Follows(), weak=Moves(0.2)
    )
    assert [a.reached for a in answers.values()] == [True, True, True, False]
    for name, strength in (("full", 1), ("half", 2), ("follows", 1)):
        assert answers[name].share == pytest.approx(1, abs=0.02)
        assert answers[name].strength == pytest.approx(strength, rel=0.03)
        assert answers[name].receipt.achieved["age"] == pytest.approx(0.3, abs=0.01)
        assert answers[name].seconds >= 0
    assert next(iter(answers["follows"].receipt.largest_others())) == "smile"
    assert answers["follows"].receipt.others["smile"] == pytest.approx(0.2, abs=0.01)
    assert answers["full"].receipt.identity == pytest.approx(1, abs=1e-5)
    # at full strength a fifth of a whole scale: two thirds of what was asked
    assert answers["weak"].share == pytest.approx(2 / 3, abs=0.01)
    assert "reaches +16 years of +24 years" in answers["weak"].reason
    assert answers["weak"].image is not None


def test_a_bent_method_is_followed_to_the_change_and_not_to_a_step_of_the_sweep(face):
    class Bent(Moves):
        def edit(self, w, request):
            out = super().edit(w, request)
            change = request.changes["age"]
            out[:, :, DEFAULT_TABLE.index("age")] += abs(change) * change - change
            return out

    answer = compared(face, {"age": 0.3}, bent=Bent())["bent"]
    assert answer.share == pytest.approx(1, abs=0.02)
    assert answer.strength * 0.3 == pytest.approx(0.3**0.5, rel=0.03)


def test_several_attributes_are_one_request(face):
    answer = compared(face, {"age": 0.2, "beard": -0.2}, half=Moves(reach=0.5))["half"]
    assert answer.reached
    assert answer.receipt.achieved["age"] == pytest.approx(0.2, abs=0.01)
    assert answer.receipt.achieved["beard"] == pytest.approx(-0.2, abs=0.01)


def test_who_cannot_says_why_and_the_others_go_on(face):
    class Breaks(Moves):
        def edit(self, w, request):
            raise RuntimeError("no weights\nat hand")

    class Wild(Moves):
        def edit(self, w, request):
            return super().edit(w, request) / 0

    only = Moves()
    only.attributes = ("smile",)
    found = compared(face, {"age": 0.3}, breaks=Breaks(), wild=Wild(), only=only, fine=Moves())
    assert found["breaks"].reason == "no weights at hand"
    assert "NaN or infinity" in found["wild"].reason
    assert "cannot change age" in found["only"].reason
    assert found["fine"].reached
    full = compared(torch.full((1, 2, A + 1), 0.9), {"age": 0.3}, fine=Moves())["fine"]
    assert full.reason.startswith("no room: the judge reads age as")


def test_an_impossible_request_is_refused(face):
    side = SideBySide(world(fine=Moves()))
    for request, message in (
        ({}, "the request is empty"),
        ({"age": 0.0}, "the request is empty"),
        ({"agee": 0.2}, "did you mean age"),
        ({"age": 2.0}, "change of 'age' is 2.0"),
    ):
        with pytest.raises(ValueError, match=message):
            list(side.answers(face, request))
    with pytest.raises(ValueError, match="methods are mapper; allowed: fine"):
        SideBySide(world(fine=Moves()), ["mapper"])
    for methods in (None, ["mapper"]):
        with pytest.raises(ValueError, match=r"have no editing method; allowed: .*`l2l train own "):
            SideBySide(world(), methods)
    assert list(side.answers(face, {"age": 0.2}, stale=lambda: True)) == []


def test_blind_labels_are_a_shuffle_that_a_seed_can_repeat():
    methods = ("one", "two", "three", "four", "five")
    found = blind_labels(methods, 3)
    assert list(found) == ["A", "B", "C", "D", "E"]
    assert sorted(found.values()) == sorted(methods)
    assert found == blind_labels(methods, 3)
    assert len({tuple(blind_labels(methods, s).values()) for s in range(20)}) > 10
    with pytest.raises(ValueError, match="seed is -1; allowed"):
        blind_labels(methods, -1)


def test_the_static_matrix_says_numbers_and_hatches_what_is_undecided():
    values = [[0.3, -0.2], [float("nan"), 0.3]]
    verdicts = [["asked", "leak"], ["untested", "asked"]]
    axes = leakage_plot(values, ["age", "hat"], ["age", "hat"], verdicts=verdicts, stamp="n = 2")
    said = [text.get_text() for text in axes.texts]
    assert said == ["+30", "−20", "+30"]
    assert axes.texts[1].get_fontweight() == "bold"
    assert [patch.get_hatch() for patch in axes.patches if patch.get_hatch()] == ["////"]
    assert leakage_plot(values, ["age", "hat"], ["age", "hat"], ax=axes) is axes
    with pytest.raises(ValueError, match=r"values have shape \(2, 2\); allowed: \(2, 1\)"):
        leakage_plot(values, ["age", "hat"], ["age"])


def test_the_numbers_of_a_whole_matrix_can_be_read_in_a_notebook():
    names = DEFAULT_TABLE.names
    axes = leakage_plot([[0.1] * len(names)], names[:1], names)
    shrunk = min(1.0, 7.5 / axes.figure.get_figwidth())  # to what a page of Lab has room for
    assert shrunk * min(text.get_fontsize() for text in axes.texts) >= 4.5
    assert axes.figure.get_figwidth() >= 0.2 * len(names), "too narrow for +30 in a cell"


def test_the_static_trajectories_name_the_farthest():
    mean = torch.tensor([[-0.3, 0.0, 0.0], [0.0, 0.0, 0.0], [0.3, 0.1, 0.0]])
    names = ["age", "smile", "hat"]
    axes = trajectory_plot(
        [-0.3, 0.0, 0.3], mean, names, low=mean - 0.01, high=mean + 0.01, edited="age", named=1
    )
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert lines["Age"].get_ydata() == pytest.approx([-0.3, 0, 0.3])
    assert lines["Age"].get_linewidth() > lines["Smile"].get_linewidth()
    assert "Hat" not in lines
    assert len(axes.collections) == 2
    with pytest.raises(ValueError, match=r"change has shape \(3, 3\); allowed: \(2, 3\)"):
        trajectory_plot([0.1, 0.2], mean, names)
