"""What a receipt says of the person: near a stranger, and beside what random edits keep."""

from __future__ import annotations

import pytest

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.session.receipt import Receipt
from l2l_widgets.widgets.words import Words

STRANGERS = 0.2


def cosine(share):
    """The similarity that lies at a share of the way from two strangers to the same face."""
    return STRANGERS + share * (1 - STRANGERS)


def made(kept, band=None, **fields):
    """An edit of the age that does what was asked, and keeps a share of the identity."""
    ends = None if band is None else tuple(map(cosine, band))
    values = {
        "requested": {"age": 0.5}, "achieved": {"age": 0.5}, "band": {"age": (-0.1, 0.1)},
        "before": {"age": 0.2}, "after": {"age": 0.7}, "seconds": {"total": 1.0},
        "strangers": STRANGERS, "identity": cosine(kept), "identity_band": ends, **fields,
    }  # fmt: skip
    return Receipt(**values)


def test_a_face_that_is_nearer_to_a_stranger_is_said_to_drift():
    receipt = made(0.3)
    assert receipt.identity_kept == pytest.approx(0.3)
    assert receipt.identity_against_band is None, "nothing to hold it against"
    assert "The face drifts towards another person." in receipt.sentences(DEFAULT_TABLE)
    assert "kept 30 %" in receipt.identity_text()
    assert not any("drifts" in s for s in made(0.9).sentences(DEFAULT_TABLE))


@pytest.mark.parametrize(
    ("kept", "band", "where", "said"),
    [
        (0.3, (0.4, 0.8), "below", "The face drifts towards another person: 30 % of the identity "
         "is kept, less than random edits of this size keep (40 to 80 %)."),
        (0.3, (0.1, 0.8), "inside", "The face drifts towards another person, no more than a random "
         "edit of this size would: 30 % of the identity is kept, random edits keep 10 to 80 %."),
        (0.3, (-0.2, 0.2), "above", "The face drifts towards another person, less than a random "
         "edit of this size would: 30 % of the identity is kept, random edits keep 0 to 20 %."),
        (0.7, (0.8, 0.95), "below", "70 % of the identity is kept, less than random edits of this "
         "size keep (80 to 95 %)."),
        (0.7, (0.7, 0.95), "inside", None),
        (0.7, (0.1, 0.4), "above", None),
        (0.703, (0.704, 0.9), "inside", None),  # both are shown as 70 %
    ],
)  # fmt: skip
def test_identity_is_judged_beside_what_random_edits_of_the_size_keep(kept, band, where, said):
    receipt = made(kept, band)
    data = receipt.to_dict()
    assert data["identity_kept_band"] == pytest.approx(list(band))
    assert data["identity_against_band"] == where
    lines = [line for line in receipt.sentences(DEFAULT_TABLE) if "identity" in line]
    assert lines == ([] if said is None else [said])
    low, high = (round(100 * max(0.0, end)) for end in band)
    assert f"  random edits of this size keep {low} to {high} %\n" in receipt.to_text(DEFAULT_TABLE)
    spoken = Words.of("en").line(receipt, DEFAULT_TABLE)
    assert spoken.endswith(", less than random edits of this size keep") == (where == "below")
    german = Words.of("de")
    told = german.sentences(receipt, german.translate(DEFAULT_TABLE))
    assert any(f"zu {100 * kept:.0f} % erhalten" in line for line in told) == (said is not None)


def test_without_a_scale_or_a_judge_there_is_nothing_to_hold_it_against():
    alike = made(0.3, (0.4, 0.8), strangers=0.995)
    unjudged = made(0.3, (0.4, 0.8), identity=None)
    for receipt in (alike, unjudged):
        data = receipt.to_dict()
        assert data["identity_against_band"] is data["identity_kept_band"] is None
        assert not any("random edits" in s for s in receipt.sentences(DEFAULT_TABLE))


def test_a_real_receipt_is_held_against_the_edits_of_its_band(session):
    session.set_changes({"smile": 0.3})
    data = session.measure().to_dict()
    strangers, (low, high) = data["strangers"], data["identity_band"]
    assert data["identity_kept_band"] == pytest.approx(
        [(end - strangers) / (1 - strangers) for end in (low, high)]
    )
    assert data["identity_against_band"] in ("below", "inside", "above")
