import dataclasses
import json
import re
import threading
from pathlib import Path

import pytest
import torch
from conftest import LinearEditor, build_directions, good, make_session

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.latents import z_from_seed
from l2l_widgets.models.zoo import Models
from l2l_widgets.session.receipt import PHRASES, Receipt, is_shown
from l2l_widgets.session.references import CHUNK, FIRST_STRANGER, N_STRANGERS


def test_the_receipt_is_the_second_judges_reading(session, tiny_parts):
    session.set_changes({"smile": 0.3, "age": -0.2})
    result = good(session.render())
    receipt = session.measure()
    assert receipt.error is None
    judge, face = tiny_parts["attribute_judge"], tiny_parts["identity_judge"]
    change = (judge(result.after[None]) - judge(result.before[None]))[0]
    expected = dict(zip(DEFAULT_TABLE.names, change.tolist(), strict=True))
    assert receipt.requested == pytest.approx({"smile": 0.3, "age": -0.2})
    assert receipt.achieved == pytest.approx({k: expected[k] for k in ("smile", "age")}, abs=1e-6)
    assert set(receipt.others) == set(DEFAULT_TABLE.names) - {"smile", "age"}
    assert receipt.others["yaw"] == pytest.approx(expected["yaw"], abs=1e-6)
    cosine = float((face(result.after[None]) * face(result.before[None])).sum())
    assert receipt.identity == pytest.approx(cosine, abs=1e-5)
    regressor = tiny_parts["regressor"]
    moved = (regressor(result.after[None]) - regressor(result.before[None]))[0]
    assert receipt.by_regressor["age"] == pytest.approx(float(moved[0]), abs=1e-6)
    assert receipt.size == pytest.approx(float((result.w_edited - result.w).norm()), rel=1e-5)
    assert receipt.judges["attribute"] == "AttributeNet (attribute_judge)"
    assert receipt.seconds["total"] > 0
    assert receipt.stamp == result.stamp


def test_the_band_is_what_random_edits_of_that_size_do(session, tiny_models, tiny_parts):
    session.set_changes({"smile": 0.3})
    result = good(session.render())
    session.set_changes({"smile": 0.3 * 2.0 / float((result.w_edited - result.w).norm())})
    receipt = session.measure()
    assert receipt.size == pytest.approx(2.0, rel=1e-4)  # a size that is measured, not scaled
    generator = tiny_models.generator
    z = torch.randn(16, 16, generator=torch.Generator().manual_seed(0))
    w = generator.mapping(z)[:, 0]
    steps = (w[:8] - w[8:])[:, None].repeat(1, 8, 1)
    steps = 2.0 * steps / steps.flatten(1).norm(dim=1)[:, None, None]
    judge = tiny_parts["attribute_judge"]
    changes = judge(generator.synthesis(result.w + steps)) - judge(result.before[None])
    low, high = torch.quantile(changes, torch.tensor([0.05, 0.95]), dim=0)
    for i, name in enumerate(DEFAULT_TABLE.names):
        assert receipt.band[name] == pytest.approx((float(low[i]), float(high[i])), abs=1e-4)
    face = tiny_parts["identity_judge"]
    cosines = face(generator.synthesis(result.w + steps)) @ face(result.before[None])[0]
    expected = torch.quantile(cosines, torch.tensor([0.05, 0.95])).tolist()
    assert receipt.identity_band == pytest.approx(expected, abs=1e-4)


def test_a_band_is_scaled_from_the_nearest_measured_size(counted):
    generator = counted.models.generator
    counted.set_changes({"smile": 0.30})
    first = counted.measure()
    drawn = generator.faces
    counted.set_changes({"smile": 0.305})
    second = counted.measure()
    assert generator.faces == drawn + 1  # the edited face, and no random edit
    ratio = second.size / first.size
    for name, (low, high) in first.band.items():
        assert second.band[name] == pytest.approx((low * ratio, high * ratio), rel=1e-3)


def test_an_empty_edit_moves_nothing(session):
    receipt = session.measure()
    assert receipt.error is None
    assert receipt.size == 0
    assert receipt.requested == {}
    assert set(receipt.others.values()) == {0.0}
    assert receipt.identity == pytest.approx(1, abs=1e-5)
    assert receipt.outside_band() == {}


def test_what_left_the_band_is_named_farthest_first(session):
    session.set_changes({"smile": 1.0})
    receipt = session.measure()
    outside = receipt.outside_band()
    for name, change in receipt.others.items():
        low, high = receipt.band[name]
        assert (name in outside) == (not low <= change <= high)
    sizes = [abs(change) for change in outside.values()]
    assert sizes == sorted(sizes, reverse=True)


def test_the_receipt_is_plain_data_and_readable_text(session):
    session.set_changes({"smile": 0.5})
    session.set_targets({"age": 0.8})
    receipt = session.measure()
    again = json.loads(json.dumps(receipt.to_dict(), allow_nan=False))
    assert again["requested"].keys() == {"smile", "age"}
    assert len(again["band"]) == 35
    # an untrained network moves nothing that a table would show
    others = {name: 100 * change for name, change in receipt.others.items()}
    band = {name: (100 * low, 100 * high) for name, (low, high) in receipt.band.items()}
    receipt = dataclasses.replace(receipt, others=others, band=band)
    text = receipt.to_text(DEFAULT_TABLE)
    lines = text.splitlines()
    assert any(line.startswith("Age") and "years" in line for line in lines)
    assert any(line.startswith("identity") for line in lines)
    assert max(map(len, lines)) <= 100
    marked = [  # what is shown as "0 %" has not moved
        DEFAULT_TABLE[name].label
        for name, change in receipt.outside_band().items()
        if is_shown(DEFAULT_TABLE[name], change)
    ]
    assert marked
    start = next(i for i, line in enumerate(lines) if line.lstrip().startswith("before")) + 3
    rows = lines[start : start + min(6, len(marked))]
    assert [row[:17].strip() for row in rows] == marked[:6]
    assert all(row.endswith(("*", "+")) for row in rows)


def test_a_target_that_was_nearly_reached_is_said_in_words():
    names = DEFAULT_TABLE.names
    receipt = Receipt(
        requested={"smile": 0.02, "age": 0.4}, targets={"smile": 1.0, "age": 0.7},
        achieved={"smile": 0.01, "age": 0.35}, others=dict.fromkeys(names[9:], 0.0),
        band=dict.fromkeys(names, (-0.1, 0.1)),
        before={**dict.fromkeys(names, 0.5), "smile": 0.97, "age": 0.3},
        after={**dict.fromkeys(names, 0.5), "smile": 0.98, "age": 0.65}, seconds={"total": 1.0},
    )  # fmt: skip
    assert receipt.nearly_there() == ("smile",)
    assert receipt.sentences(DEFAULT_TABLE)[0] == (
        "Smile: asked to be 100 %; the reader that guides the edit saw 98 % before, so hardly "
        "anything was left to change."
    )
    text = receipt.to_text(DEFAULT_TABLE)
    assert "to 100 %" in text
    assert "to 61 years" in text
    assert receipt.to_dict()["targets"] == {"smile": 1.0, "age": 0.7}


def test_targets_travel_from_the_session_to_the_receipt(session):
    session.set_targets({"age": 0.8})
    receipt = session.measure()
    assert receipt.targets == {"age": 0.8}
    session.update(targets={}, changes={"age": 0.1})
    assert session.measure().targets == {}


def test_without_second_judges_the_receipt_says_who_read(tiny_parts):
    parts = {k: tiny_parts[k] for k in ("generator", "regressor", "embedder")}
    models = Models.from_parts(**parts, editors={"linear": LinearEditor(build_directions())})
    session = make_session(models)
    session.set_changes({"smile": 0.3})
    receipt = session.measure()
    assert receipt.error is None
    assert receipt.judges["attribute"] == "AttributeNet (regressor, also in the losses)"
    assert receipt.judges["identity"] == "FaceEmbeddingNet (embedder, also in the losses)"


def test_two_threads_may_measure_the_same_face_at_once(tiny_models):
    session = make_session(tiny_models, n_random=3 * CHUNK)
    outcomes = []
    for seed in range(4):
        session.update(seed=seed, changes={"smile": 0.3})
        start = threading.Barrier(3)

        def measure(start=start):
            start.wait()
            outcomes.append(session.measure())

        threads = [threading.Thread(target=measure) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(outcomes) == 12
    assert [receipt.error for receipt in outcomes] == [None] * 12


def test_a_stale_measurement_is_abandoned_and_goes_on_later(counted):
    generator = counted.models.generator
    counted.set_changes({"smile": 0.3})
    asked = []

    def stale():
        asked.append(None)
        return len(asked) > 3

    assert counted.measure(stale) is None
    assert generator.faces == 2 + CHUNK
    assert counted.measure().error is None
    assert generator.faces == 2 + 8 + N_STRANGERS


def test_identity_stands_between_strangers_and_the_same_face(session, tiny_models, tiny_parts):
    session.set_changes({"smile": 0.5})
    receipt = session.measure()
    generator, face = tiny_models.generator, tiny_parts["identity_judge"]
    z = torch.cat([z_from_seed(FIRST_STRANGER + i, generator.z_dim) for i in range(N_STRANGERS)])
    ws = generator.mapping(z, truncation_psi=0.7)
    vectors = face(generator.synthesis(ws))
    pairs = (vectors @ vectors.T)[~torch.eye(N_STRANGERS, dtype=torch.bool)]
    assert receipt.strangers == pytest.approx(float(pairs.mean()), abs=1e-4)
    expected = (receipt.identity - receipt.strangers) / (1 - receipt.strangers)
    assert receipt.identity_kept == pytest.approx(expected, abs=1e-6)
    assert receipt.to_dict()["identity_kept"] == receipt.identity_kept
    assert receipt.to_dict()["strangers"] == receipt.strangers
    assert f"raw {receipt.identity:.2f}" in receipt.identity_text()


def test_strangers_are_drawn_once_for_each_truncation(counted):
    generator = counted.models.generator
    counted.set_changes({"smile": 0.3})
    counted.measure()
    drawn = generator.faces
    counted.set_seed(5)
    assert counted.measure().strangers is not None
    assert generator.faces == drawn + 2 + 8  # two faces and the random edits, no stranger
    counted.set_truncation(0.5)
    other = counted.measure().strangers
    assert generator.faces == drawn + 2 * (2 + 8) + N_STRANGERS
    assert counted.measure().strangers == other


def test_where_all_faces_are_alike_there_is_no_identity_scale(session):
    session.update(truncation_psi=0.0, changes={"smile": 0.3})
    receipt = session.measure()
    assert receipt.strangers == pytest.approx(1, abs=1e-3)
    assert receipt.identity_kept is None
    assert receipt.identity_against_band is receipt.identity_kept_band is None
    assert not receipt.drifts
    assert f"{receipt.identity:.3f}" in receipt.identity_text()


def made(requested, achieved, others, band=0.1, **fields):
    names = (*requested, *others)
    limits = dict.fromkeys(names, (-band, band))
    return Receipt(requested=requested, achieved=achieved, others=others, band=limits, **fields)


def test_the_largest_movers_are_named_whether_or_not_they_leave_the_band():
    others = {"age": 0.01, "yaw": -0.04, "beard": 0.47, "moustache": 0.2, "roll": 0.05}
    text = " ".join(made({"smile": 0.4}, {"smile": 0.4}, others, 0.3).sentences(DEFAULT_TABLE))
    assert "Beard +47 %, Moustache +20 %, Roll +2°" in text
    assert "More than a random edit of this size would: Beard." in text
    assert "noise" not in text
    wide = " ".join(made({"smile": 0.4}, {"smile": 0.4}, others, 0.9).sentences(DEFAULT_TABLE))
    assert "Beard +47 %" in wide
    assert "No more than a random edit of this size would." in wide
    tight = " ".join(made({"smile": 0.4}, {"smile": 0.4}, others, 0.03).sentences(DEFAULT_TABLE))
    assert "Beard, Moustache, Roll and 1 smaller change." in tight


def test_what_did_not_come_is_said_first():
    receipt = made({"anger": 0.91, "age": 0.3}, {"anger": 0.02, "age": 0.25}, {"beard": 0.5})
    assert receipt.shortfalls() == {"anger": 0.02}
    first = receipt.sentences(DEFAULT_TABLE)[0]
    assert first == (
        "Anger: asked +91 %, came +2 %: less than half of it, for this request on this face."
    )
    assert receipt.missed() == {"anger": "short"}
    wrong = made({"yaw": -0.3}, {"yaw": 0.2}, {})
    assert wrong.sentences(DEFAULT_TABLE)[0] == (
        "Yaw: asked -27°, came +18°: the other way, for this request on this face."
    )
    # another size of request, or another beside it, may bring more: nothing is said of a limit
    assert "cannot" not in " ".join(PHRASES.values())
    assert made({"smile": 0.03}, {"smile": 0.0}, {}).shortfalls() == {}, "too small to grade"
    rows = made({"anger": 0.91}, {"anger": 0.02}, {}, narrowed=True).sentences(DEFAULT_TABLE)[0]
    assert rows == "Anger: asked +91 %, came +2 %: the chosen rows do not bring it on this face."
    assert "shortfalls" in receipt.to_dict()


def test_a_receipt_knows_whether_the_edit_was_held_to_some_rows(session):
    session.set_changes({"smile": 0.3})
    assert not session.measure().narrowed
    session.update(rows=(0, 1))
    assert session.measure().narrowed


def test_what_the_table_shows_as_nothing_has_no_star():
    others = {"yaw": 0.0051, "hair_length": 0.004, "age": 0.02}
    read = dict.fromkeys((*others, "smile"), 0.5)
    receipt = made(
        {"smile": 0.4}, {"smile": 0.4}, others, 0.001, before=read, after=read,
        seconds={"total": 1.0},
    )  # fmt: skip
    rows = {line[:17].strip(): line for line in receipt.to_text(DEFAULT_TABLE).splitlines()}
    assert not rows["Yaw"].endswith("*"), "half a degree is shown as 0°"
    assert not rows["Hair length"].endswith("*")
    assert rows["Age"].endswith("*")


def test_a_target_that_the_edit_left_is_a_shortfall_however_little_was_left_to_ask():
    before, after = {"smile": 0.42, "glasses": 0.88}, {"smile": 0.64, "glasses": 0.75}
    fields = {"targets": {"glasses": 1.0}, "before": before, "after": after}
    achieved = {"smile": 0.22, "glasses": -0.13}
    receipt = made({"smile": 0.4, "glasses": 0.02}, achieved, {"beard": 0.5}, **fields)
    assert receipt.moved_away() == ("glasses",)
    assert receipt.shortfalls() == {"glasses": -0.13}
    said = receipt.sentences(DEFAULT_TABLE)
    assert said[0] == (
        "Glasses: asked to be 100 %; the judge read 88 % before and reads 75 % now, which is "
        "farther away."
    )
    assert said[1] == "Smile: asked +40 %, came only +22 %."
    assert said[2].startswith("Glasses: asked to be 100 %; the reader that guides the edit saw 98")
    assert receipt.to_dict()["shortfalls"] == receipt.to_dict()["moved_away"] == ["glasses"]
    # most of the way by the guiding reader, little more than half of it by the judge
    aged = made(
        {"age": 0.14}, {"age": 0.22}, {}, targets={"age": 0.6}, before={"age": 0.21},
        after={"age": 0.43},
    )  # fmt: skip
    assert (aged.shortfalls(), aged.partly()) == ({}, {"age": 0.22})
    assert aged.sentences(DEFAULT_TABLE)[0] == (
        "Age: asked to be 53 years; the judge read 22 years before and reads 39 years now."
    )
    # beyond the target by more than it stood short of it is no better
    fields["after"] = {**after, "glasses": 0.98}
    fields["targets"] = {"glasses": 0.9}
    over = made({"glasses": 0.02}, {"glasses": 0.1}, {}, **fields)
    assert over.shortfalls() == {"glasses": 0.1}
    # two readings of a still face differ by less than is graded
    fields["after"] = {**after, "glasses": 0.86}
    assert made({"glasses": 0.02}, {"glasses": -0.02}, {}, **fields).shortfalls() == {}


def test_a_value_that_was_missed_is_told_by_the_judge_alone_as_in_the_table():
    # the guiding reader saw 46 years before, and asks for +7; the judge sees 37
    aged = made(
        {"age": 0.0875}, {"age": 0.0625}, {}, targets={"age": 0.6}, before={"age": 0.4},
        after={"age": 0.4625}, seconds={"total": 1.0},
    )  # fmt: skip
    assert aged.missed() == {"age": "short"}
    assert aged.sentences(DEFAULT_TABLE)[0] == (
        "Age: asked to be 53 years; the judge read 37 years before and reads 42 years now, less "
        "than half of the way."
    )
    (entry,) = aged.to_dict()["missed"]
    assert entry.pop("share") == pytest.approx(0.3125)
    assert entry.pop("asked") == pytest.approx(0.2)
    assert entry == {
        "attribute": "age", "why": "short", "target": 0.6, "before": 0.4, "after": 0.4625,
        "came": 0.0625,
    }  # fmt: skip
    rows = {line[:17].strip(): line for line in aged.to_text(DEFAULT_TABLE).splitlines()}
    row = " ".join(rows["Age"].split())
    assert row.startswith("Age 37 years 42 years to 53 years +5 years ")
    # the judge sees it reached, whatever the guiding reader had asked for
    fields = {"targets": {"age": 0.6}, "before": {"age": 0.5}, "after": {"age": 0.58}}
    reached = made({"age": 0.4}, {"age": 0.08}, {}, **fields)
    assert reached.missed() == {}


def test_what_the_sentences_say_is_data_as_well():
    requested = {"anger": 0.9, "yaw": -0.3, "smile": 0.4, "age": 0.2}
    achieved = {"anger": 0.02, "yaw": 0.2, "smile": 0.24, "age": 0.2}
    receipt = made(requested, achieved, {"beard": 0.5, "roll": 0.01}, identity=0.3, strangers=0.2)
    found = json.loads(json.dumps(receipt.to_dict(), allow_nan=False))
    assert [(entry["attribute"], entry["why"]) for entry in found["missed"]] == [
        ("anger", "short"), ("yaw", "opposite"), ("smile", "partly"),
    ]  # fmt: skip
    assert [(entry["asked"], entry["came"]) for entry in found["missed"]] == [
        (0.9, 0.02), (-0.3, 0.2), (0.4, 0.24),
    ]  # fmt: skip
    assert found["missed"][2]["share"] == pytest.approx(0.6)
    assert found["drifts"] is True
    assert found["inside_band"] == {
        "anger": True, "yaw": False, "smile": False, "age": False, "beard": False, "roll": True,
    }  # fmt: skip
    assert found["outside_band"] == ["beard"]


def test_every_field_of_a_receipt_is_documented():
    page = (Path(__file__).resolve().parent.parent / "docs" / "receipt.md").read_text("utf-8")
    first = page.partition("An entry of")[0]
    named = re.findall(r"^\| `([a-z_]+)` \|", first, flags=re.MULTILINE)
    assert named == list(Receipt().to_dict())
    receipt = made({"anger": 0.9}, {"anger": 0.0}, {}, targets={})
    valued = made(
        {"age": 0.2}, {"age": 0.0}, {}, targets={"age": 0.7}, before={"age": 0.5},
        after={"age": 0.5},
    )  # fmt: skip
    for one in (receipt, valued):
        assert [k for k in one.to_dict()["missed"][0] if f"`{k}`" not in page] == []
    whys = ("away", "opposite", "short", "partly")
    assert [why for why in whys if f'"{why}"' not in page] == []


def test_what_the_judge_cannot_tell_from_what_was_asked_is_no_shortfall():
    near = {"targets": {"age": 0.6}, "before": {"age": 0.58}}
    for after in (0.56, 0.6, 0.64):  # left or overshot, but within the tolerance
        came = {"age": after - 0.58}
        receipt = made({"age": 0.14}, came, {}, **near, after={"age": after})
        assert receipt.is_reached("age")
        assert (receipt.shortfalls(), receipt.moved_away(), receipt.partly()) == ({}, (), {})
    receipt = made({"age": 0.14}, {"age": -0.04}, {}, **near, after={"age": 0.54})
    assert receipt.missed() == {"age": "partly"}
    # of a change too, which more of fulfils as well
    assert made({"smile": 0.07}, {"smile": 0.03}, {}).shortfalls() == {}
    assert made({"smile": 0.09}, {"smile": 0.03}, {}).shortfalls() == {"smile": 0.03}
    more = made({"smile": -0.3}, {"smile": -0.9}, {})
    assert more.is_reached("smile")
    assert not made({"smile": -0.3}, {"smile": 0.9}, {}).is_reached("smile")


def test_hidden_attributes_are_not_mentioned():
    receipt = made({"smile": 0.4}, {"smile": 0.4}, {"gender": 0.5, "age": 0.1})
    text = " ".join(receipt.sentences(DEFAULT_TABLE.hide(["gender"])))
    assert "Gender" not in text
    assert "Age +8 years" in text


def test_what_shares_the_movement_is_no_side_effect_but_a_part_of_it():
    moved = {"happiness": 0.5, "neutral": -0.3, "sadness": -0.01, "beard": 0.1}
    shares = DEFAULT_TABLE.moved_with(["smile"])
    read = dict.fromkeys(["smile", *moved], 0.5)
    receipt = made(
        {"smile": 0.4}, {"smile": 0.4}, moved, shares=shares, before=read, after=read,
        seconds={"total": 1.0},
    )  # fmt: skip
    assert receipt.along() == {"happiness": 0.5, "neutral": -0.3}
    rows = {line[:17].strip(): line[-3:] for line in receipt.to_text(DEFAULT_TABLE).splitlines()}
    assert rows["Happiness"] == rows["Neutral"] == "  +"
    assert "+" not in rows["Beard"]
    assert "+ part of the movement that was asked for" in receipt.to_text(DEFAULT_TABLE)
    part, others = receipt.sentences(DEFAULT_TABLE)[-2:]
    assert part == "Part of the movement that was asked for: Happiness +50 %, Neutral -30 %."
    assert others.startswith("Also moved: Beard +10 %.")
    assert "Happiness" not in others
    assert made({"age": 0.4}, {"age": 0.4}, moved).along() == {}


def judged(change, band, **options):
    names = DEFAULT_TABLE.names
    return Receipt(
        requested={"age": 0.1},
        achieved={"age": 0.1},
        others={n: change if n == "hat" else 0.0 for n in names if n != "age"},
        band=dict.fromkeys(names, band),
        before=dict.fromkeys(names, 0.5),
        after=dict.fromkeys(names, 0.5),
        **options,
    )


@pytest.mark.parametrize(
    ("change", "band", "stands_out"),
    [
        (0.062, (-0.058, 0.058), False),  # both are shown as 6 %
        (-0.062, (-0.058, 0.058), False),
        (0.068, (-0.058, 0.058), True),
        (-0.068, (-0.058, 0.058), True),
        (0.004, (-0.1, -0.05), False),  # shown as 0 %
        (0.018, (-0.1, 0.01), False),  # too small to be pointed at, in words as in the table
        (-0.012, (0.0, 0.1), False),
        (0.021, (-0.1, 0.01), True),
        (0.04, (-0.058, 0.058), False),
    ],
)
def test_what_stands_out_is_seen_to_in_the_numbers_that_are_shown(change, band, stands_out):
    receipt = judged(change, band)
    assert (list(receipt.stands_out(DEFAULT_TABLE)) == ["hat"]) is stands_out
    said = " ".join(receipt.sentences(DEFAULT_TABLE))
    assert ("More than a random edit of this size would: Hat" in said) is stands_out
    row = next(x for x in receipt.to_text(DEFAULT_TABLE).splitlines() if x.startswith("Hat "))
    assert row.endswith("*") is stands_out


def test_what_was_held_and_moved_is_said_first_and_once():
    receipt = judged(0.08, (-0.2, 0.2), held=("hat", "beard"))
    assert receipt.slipped() == {"hat": 0.08}
    lines = receipt.sentences(DEFAULT_TABLE)
    assert lines[0] == "Held, and moved nevertheless: Hat +8 %."
    assert "Hat" not in "".join(lines[1:])
    text = receipt.to_text(DEFAULT_TABLE)
    row = next(x for x in text.splitlines() if x.startswith("Hat "))
    assert row.endswith("!")
    assert "! held, and moved nevertheless" in text
    assert receipt.to_dict()["slipped"] == {"hat": 0.08}
    # within the tolerance the judge reads no finer, and part of a movement it was not to be
    assert judged(0.05, (-0.2, 0.2), held=("hat",)).slipped() == {}
    assert judged(0.08, (-0.2, 0.2), held=("hat",), shares=("hat",)).along() == {}


def test_a_measured_receipt_knows_what_was_held(session):
    session.update(changes={"smile": 0.3}, preserve=("age", "hat"))
    receipt = session.measure()
    assert receipt.held == ("age", "hat")
    moved = {n: c for n, c in receipt.others.items() if n in receipt.held and abs(c) > 0.05}
    assert receipt.slipped() == moved
