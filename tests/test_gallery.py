"""The filter language and the search through seeds."""

from __future__ import annotations

import pytest
import torch
from conftest import CountingGenerator

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.face_filter import Condition, FaceFilter, FilterError, parse_filter
from l2l_widgets.images import to_uint8
from l2l_widgets.many.search import FaceSearch
from l2l_widgets.models.zoo import Models
from l2l_widgets.session.edit_session import EditSession


def ranges(text, table=DEFAULT_TABLE):
    return {c.name: (round(c.low, 3), round(c.high, 3)) for c in parse_filter(text, table)}


SIXTY, THIRTY, TWENTY = 0.688, 0.312, 0.188  # of a scale from 5 to 85 years


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("smiling, no hat, over 60", {"smile": (0.5, 1), "hat": (0, 0.5), "age": (SIXTY, 1)}),
        ("Smiling and without glasses", {"smile": (0.5, 1), "glasses": (0, 0.5)}),
        ("smile > 70", {"smile": (0.7, 1)}),
        ("smile > 0.7", {"smile": (0.7, 1)}),
        ("smile at most 20 %", {"smile": (0, 0.2)}),
        ("0.2 <= smile <= 0.5", {"smile": (0.2, 0.5)}),
        ("age 20-30", {"age": (TWENTY, THIRTY)}),
        ("between 20 and 30, hat", {"age": (TWENTY, THIRTY), "hat": (0.5, 1)}),
        ("60+", {"age": (SIXTY, 1)}),
        ("woman in her 20s", {"gender": (0, 0.5), "age": (TWENTY, 0.312)}),
        ("men over 60", {"gender": (0.5, 1), "age": (SIXTY, 1)}),
        ("not old", {"age": (0, SIXTY)}),
        ("clean-shaven", {"beard": (0, 0.5), "moustache": (0, 0.5)}),
        ("very happy young man", {"happiness": (0.75, 1), "age": (0, THIRTY), "gender": (0.5, 1)}),
        ("old man with grey hair",
         {"age": (SIXTY, 1), "gender": (0.5, 1), "hair_grey": (0.5, 1)}),
        ("yaw -10 to 10", {"yaw": (0.389, 0.611)}),
        ("yaw over 9", {"yaw": (0.6, 1)}),
        ("over 20, under 30", {"age": (TWENTY, THIRTY)}),
    ],
)  # fmt: skip
def test_words_become_ranges(text, expected):
    assert ranges(text) == expected
    again = ranges(parse_filter(text, DEFAULT_TABLE).to_text(DEFAULT_TABLE))
    assert list(again) == list(expected)
    for name, ends in expected.items():
        assert again[name] == pytest.approx(ends, abs=2e-3)


@pytest.mark.parametrize("row", list(DEFAULT_TABLE), ids=lambda row: row.name)
def test_every_attribute_has_a_threshold_by_name_and_by_label(row):
    for word in (row.name, row.label):
        assert ranges(word) == {row.name: (0.5, 1)}
        assert ranges(f"no {word}") == {row.name: (0, 0.5)}
    quarter = row.to_unit(0.25)
    assert ranges(f"{row.label} at most {quarter:g}") == {row.name: (0, 0.25)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("smyling", "did you mean smiling"),
        ("over 600", "Age runs from 5 to 85"),
        ("over 60, under 30", "at least 60 and at most 30"),
        ("not 20-30", "two ranges of Age"),
        ("no clean-shaven", "two ways"),
        ("purple", "'purple' is not understood"),
        ("beard glasses purple", "'purple' is not understood"),
        ("age > nan", "not understood"),
        ("x" * 501, "501 characters"),
        (7, "filter is 7"),
    ],
)
def test_what_is_not_understood_is_named(text, said):
    with pytest.raises(FilterError, match=said):
        parse_filter(text, DEFAULT_TABLE)


def test_a_hidden_attribute_is_not_understood():
    table = DEFAULT_TABLE.hide(["gender", "age"])
    for text in ("woman", "gender", "over 60"):
        with pytest.raises(FilterError):
            parse_filter(text, table)
    assert ranges("smiling", table) == {"smile": (0.5, 1)}


@pytest.mark.parametrize(("low", "high"), [(0.6, 0.5), (-0.1, 1), (float("nan"), 1), (0, 2)])
def test_controls_cannot_ask_for_a_range_that_is_none(low, high):
    with pytest.raises(ValueError, match="Smile is asked to be"):
        FaceFilter.of([Condition("smile", low, high)], DEFAULT_TABLE)


def test_matching_is_by_all_conditions_and_never_by_what_is_no_number():
    readings = torch.full((4, len(DEFAULT_TABLE)), 0.5)
    smile, age = DEFAULT_TABLE.index("smile"), DEFAULT_TABLE.index("age")
    readings[:, smile] = torch.tensor([0.4, 0.6, 0.6, 0.6])
    readings[:, age] = torch.tensor([0.9, 0.1, 0.9, 0.9])
    readings[3, 0 if smile else 1] = torch.nan
    met = parse_filter("smiling, over 60", DEFAULT_TABLE).matches(readings, DEFAULT_TABLE)
    assert met.tolist() == [False, False, True, False]


# -- search ----------------------------------------------------------------------------------------


@pytest.fixture
def counted_models(tiny_parts, tiny_generator):
    generator = CountingGenerator(tiny_generator)
    return generator, Models.from_parts(**{**tiny_parts, "generator": generator})


def median_filter(models, name="smile", seeds=64):
    """A filter that about half of the faces of an untrained world meet."""
    search = FaceSearch(models)
    search.find(FaceFilter(), seeds)
    column = search.readings()[:, DEFAULT_TABLE.index(name)]
    return FaceFilter((Condition(name, float(column.median()), 1.0),))


def test_what_is_found_is_what_the_sliders_would_show(tiny_models):
    wanted = median_filter(tiny_models)
    search = FaceSearch(tiny_models)
    found = search.find(wanted, 6)
    session = EditSession(tiny_models, method="linear")
    met = []
    for seed in range(found.seeds[-1] + 1):
        session.set_seed(seed)
        if session.readings()["smile"] >= wanted.conditions[0].low - 1e-5:
            met.append(seed)
    assert list(found.seeds) == met
    session.set_seed(found.seeds[0])
    picture = search.pictures(found.seeds)[0]
    shown = to_uint8(session.render().before)
    assert (picture.int() - shown.int()).abs().max() <= 1
    assert search.reading(met[0])["smile"] == pytest.approx(session.readings()["smile"], abs=1e-4)


def test_what_is_known_is_not_drawn_again(counted_models):
    generator, models = counted_models
    search = FaceSearch(models)
    first = search.find(FaceFilter(), 20)
    drawn = generator.faces
    assert first.seeds == tuple(range(20))
    again = search.find(FaceFilter(), 10, skip=10, limit=0)
    assert again.seeds == first.seeds[10:]
    search.pictures(again.seeds)
    assert generator.faces == drawn
    assert again.progress.fresh == 0


def test_a_search_for_nobody_ends_at_its_limit_and_can_be_stopped(tiny_models):
    nobody = FaceFilter((Condition("smile", 0.999999, 1.0), Condition("age", 0.0, 0.0)))
    search = FaceSearch(tiny_models)
    seen = []
    found = search.find(nobody, 1, limit=20, on_batch=lambda p: seen.append(p.seen))
    assert (found.ended, found.seeds, found.progress.seen) == ("limit", (), 20)
    assert seen == sorted(seen)
    assert len(seen) >= 3
    asked = []
    stopped = search.find(nobody, 1, stale=lambda: len(asked) == 2 or bool(asked.append(1)))
    assert stopped.ended == "stopped"
    assert 20 < stopped.progress.seen < 60


def test_pictures_that_were_given_up_are_drawn_again(tiny_models, monkeypatch):
    monkeypatch.setattr("l2l_widgets.many.search.PICTURE_BYTES", 4 * 3 * 32 * 32)
    search = FaceSearch(tiny_models)
    search.find(FaceFilter(), 12)
    pictures = search.pictures(tuple(range(12)))
    assert len(search._pictures) <= 4
    plain = FaceSearch(tiny_models)
    plain.find(FaceFilter(), 1)
    assert len(pictures) == 12
    assert (pictures[0].int() - plain.pictures((0,))[0].int()).abs().max() <= 1


def test_the_last_seed_ends_a_search(tiny_models):
    search = FaceSearch(tiny_models, first=2**32 - 3)
    found = search.find(FaceFilter(), 10)
    assert found.seeds == (2**32 - 3, 2**32 - 2, 2**32 - 1)
    assert found.ended == "last seed"


def test_without_a_reader_faces_can_be_seen_and_not_filtered(tiny_generator):
    search = FaceSearch(Models.from_parts(generator=tiny_generator))
    assert len(search.find(FaceFilter(), 3).seeds) == 3
    with pytest.raises(ValueError, match="something that reads faces"):
        search.find(FaceFilter((Condition("smile", 0.5, 1.0),)), 1)


@pytest.mark.parametrize(
    "options", [{"truncation_psi": 2}, {"first": -1}, {"noise_mode": "random"}]
)
def test_impossible_searches_are_refused(tiny_models, options):
    with pytest.raises(ValueError, match=next(iter(options)).replace("first", "seed")):
        FaceSearch(tiny_models, **options)
