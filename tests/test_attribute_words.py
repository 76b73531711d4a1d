"""One way to write an attribute, its reading and its change, for receipts, figures and views."""

from __future__ import annotations

import pytest

from l2l_widgets.attributes import DEFAULT_TABLE, Attribute, label_of
from l2l_widgets.plots.edits import receipt_bars
from l2l_widgets.plots.entanglement import leakage_plot, trajectory_plot
from l2l_widgets.session.receipt import change_text
from l2l_widgets.widgets.words import Words


@pytest.mark.parametrize(
    ("name", "value", "text", "fine"),
    [
        ("age", 0.5, "45 years", "45\u202fyears"),
        ("smile", 0.314, "31 %", "31\u202f%"),
        ("yaw", 0.0, "-45°", "\u221245°"),
        ("yaw", 1.0, "+45°", "+45°"),
        ("yaw", 0.5, "0°", "0°"),
    ],
)
def test_a_reading_has_its_unit(name, value, text, fine):
    row = DEFAULT_TABLE[name]
    assert row.value_text(value) == text
    assert row.value_text(value, fine=True) == fine


@pytest.mark.parametrize(
    ("name", "change", "text"),
    [("smile", 0.47, "+47 %"), ("yaw", -0.03, "-3°"), ("age", 0.1, "+8 years"), ("hat", 0, "0 %")],
)
def test_a_change_has_its_sign_and_unit(name, change, text):
    assert DEFAULT_TABLE[name].change_text(change) == text
    assert change_text(DEFAULT_TABLE[name], change) == text
    assert Attribute("own", "Own", "x", "y", unit="").change_text(0.5) == "+50"


def test_halves_are_rounded_as_people_do():
    row = Attribute("a", "A", "x", "y", low=0, high=1000, unit="%")
    assert [row.value_text(v) for v in (0.0005, 0.0015, 0.0025)] == ["1 %", "2 %", "3 %"]
    assert row.change_text(-0.0025) == "-3 %"


def test_labels_are_those_of_the_sliders_in_every_language():
    assert label_of("hair_black") == "Black hair"
    assert label_of("sunglasses") == "Dark lenses"
    assert label_of("some_thing") == "Some thing"
    german = Words.of("de").translate(DEFAULT_TABLE)
    assert label_of("smile", german) == "Lächeln"
    assert german["age"].value_text(0.5) == "45 Jahre"


def test_figures_show_labels_and_per_cent():
    names = ["hair_black", "sunglasses"]
    receipt = {
        "requested": {"hair_black": 0.3}, "achieved": {"hair_black": 0.2},
        "others": {"sunglasses": 0.1}, "band": {n: (-0.05, 0.05) for n in names},
    }  # fmt: skip
    axes = receipt_bars(receipt)["axes"]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["Black hair", "Dark lenses"]
    assert axes.xaxis.get_major_formatter()(0.3) in ("30 %", "30.0 %")
    axes = leakage_plot([[0.1, 0.2]], names[:1], names)
    assert [t.get_text() for t in axes.get_xticklabels()] == ["Black hair", "Dark lenses"]
    axes = trajectory_plot(
        [0, 0.1], [[0, 0], [0.1, 0.05]], names, edited="hair_black",
        low=[[0, 0], [0.05, 0]], high=[[0, 0], [0.2, 0.1]],
    )  # fmt: skip
    assert axes.get_xlabel() == "Black hair asked for"
    assert axes.yaxis.get_major_formatter()(0.1) in ("10 %", "10.0 %")
    assert len(axes.collections) == 2, "an interval a curve"
