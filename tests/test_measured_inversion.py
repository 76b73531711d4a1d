"""How inversion is measured: stage by stage, kept on disk, gone on with."""

from __future__ import annotations

import json

import pytest
import torch
from conftest import build_attribute_net, build_embedder, build_generator

from l2l_widgets.cli import main
from l2l_widgets.inversion import InversionSettings
from l2l_widgets.models.zoo import Models
from l2l_widgets.photos import invert_picture
from l2l_widgets.photos.measuring import MeasuredFaces, measure_inversion
from l2l_widgets.photos.reading import PhotoError

FEW = InversionSettings(steps=3, candidates=8)


@pytest.fixture(scope="module")
def models():
    return Models.from_parts(
        build_generator(), regressor=build_attribute_net(1),
        attribute_judge=build_attribute_net(3), identity_judge=build_embedder(4),
    )  # fmt: skip


@pytest.fixture(scope="module")
def picture_of(models):
    asked = []

    def draw(number):
        asked.append(number)
        z = torch.randn(1, 16, generator=torch.Generator().manual_seed(number))
        return models.generator.synthesis(models.generator.mapping(z)).detach().clamp(-1, 1)

    draw.asked = asked
    return draw


def test_each_stage_has_its_figures_and_a_second_call_goes_on(models, picture_of, tmp_path):
    kept, told = tmp_path / "faces.json", []
    first = measure_inversion(
        models, picture_of, 2, FEW, named="x", kept=kept, progress=lambda *at: told.append(at)
    )
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert set(first["ways"]) == {"w", "w+"}, "there is no encoder"
    for row in first["ways"].values():
        for name in ("attribute_error", "identity", "seconds", "processor_seconds"):
            spread = row[name]
            assert spread["low"] <= spread["mean"] <= spread["high"]
            assert spread["quartiles"] == sorted(spread["quartiles"])
        assert 0 <= row["seconds_reached"] <= 1
        assert row["worst_attribute"]["name"] in models.table.names
    whole = json.loads(kept.read_text(encoding="utf-8"))
    # killed before the last stage of the second face: that one alone is done again
    lost = whole["rows"].pop("1/w+")
    kept.write_text(json.dumps(whole), encoding="utf-8")
    picture_of.asked.clear()
    again = measure_inversion(models, picture_of, 2, FEW, named="x", kept=kept)
    assert picture_of.asked == [1]
    found = json.loads(kept.read_text(encoding="utf-8"))["rows"]
    timed = ("seconds", "processor")
    assert {k: v for k, v in found["1/w+"].items() if k not in timed} == {
        k: v for k, v in lost.items() if k not in timed
    }
    assert again["ways"]["w+"]["identity"] == first["ways"]["w+"]["identity"]
    # more faces: the first are kept
    more = measure_inversion(models, picture_of, 3, FEW, named="x", kept=kept, spaces=("w",))
    assert picture_of.asked == [1, 2]
    assert more["n"] == 3
    assert set(more["ways"]) == {"w"}


def test_a_distance_of_ones_own_is_what_is_descended(models, picture_of):
    asked = []

    def red(first, second):
        asked.append(len(first))
        return 50 * (first[:, 0] - second[:, 0]).square().mean((1, 2))

    few = InversionSettings("w+", 12, 8, pixel_weight=0.0)
    found = invert_picture(models, picture_of(5), few, distance=red)
    assert asked
    assert 0 < found.loss < found.start_loss


def test_rows_of_something_else_are_refused(models, picture_of, tmp_path):
    kept = tmp_path / "faces.json"
    measure_inversion(models, picture_of, 1, FEW, named="x", kept=kept, spaces=("w",))
    before = kept.read_bytes()
    with pytest.raises(PhotoError, match="measured with other models or settings"):
        measure_inversion(models, picture_of, 1, FEW, named="another seed", kept=kept)
    assert kept.read_bytes() == before
    kept.write_text("[]", encoding="utf-8")
    with pytest.raises(PhotoError, match="no measured faces"):
        measure_inversion(models, picture_of, 1, FEW, named="x", kept=kept)
    with pytest.raises(PhotoError, match="count is 0"):
        measure_inversion(models, picture_of, 0, FEW)
    bare = Models.from_parts(build_generator())
    with pytest.raises(PhotoError, match="no attribute_judge"):
        measure_inversion(bare, picture_of, 1, FEW)


def test_seconds_of_another_number_of_threads_are_not_gone_on_with(
    models, picture_of, tmp_path, monkeypatch
):
    kept = tmp_path / "faces.json"
    first = measure_inversion(models, picture_of, 1, FEW, named="x", kept=kept, spaces=("w",))
    before, others = kept.read_bytes(), first["threads"] + 1
    monkeypatch.setattr(torch, "get_num_threads", lambda: others)
    with pytest.raises(PhotoError, match="another number of threads"):
        measure_inversion(models, picture_of, 1, FEW, named="x", kept=kept, spaces=("w",))
    assert kept.read_bytes() == before


ROW = {"apart": [0.1, 0.2], "identity": 1, "seconds": 1.0, "processor": 1.0, "cloud": 1.0}


@pytest.mark.parametrize(
    "row",
    [
        3, None, [], {}, {**ROW, "apart": []}, {**ROW, "apart": [0.1]}, {**ROW, "apart": "12"},
        {**ROW, "apart": [0.1, None]}, {**ROW, "cloud": None}, {**ROW, "seconds": float("nan")},
        {**ROW, "identity": True},
    ],
)  # fmt: skip
def test_a_kept_row_that_is_none_is_refused_by_its_name(row, tmp_path):
    kept = tmp_path / "faces.json"
    kept.write_text(json.dumps({"key": "k", "rows": {"0/w": ROW, "1/w": row}}), encoding="utf-8")
    with pytest.raises(PhotoError, match=r"row 1/w is .*; allowed: apart, identity"):
        MeasuredFaces(kept, "k")
    kept.write_text(json.dumps({"key": "k", "rows": {"0/w": ROW}}), encoding="utf-8")
    assert MeasuredFaces(kept, "k").get(0, "w") == ROW


@pytest.mark.slow
def test_the_command_says_n_seed_judges_and_quartiles(tmp_path, capsys):
    typed = ["invert", "--evaluate", "2", "--steps", "2", "--out", str(tmp_path / "e")]
    assert main(typed) == 0
    said = capsys.readouterr().out
    assert "n = 2 renders of seed 7000" in said
    assert all(f"{way}:" in said for way in ("encoder alone", "w", "w+"))
    assert "identity_judge" in said
    assert "at least 0.8 in" in said
    assert said.count(" / ") == 18, "three quartiles of three figures of three stages"
    assert main([*typed, "--json"]) == 0  # the same faces, read from disk
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert answer == json.loads((tmp_path / "e" / "inversions.json").read_text(encoding="utf-8"))
    assert main([*typed, "--seed", "1"]) == 2
    assert "another --out" in capsys.readouterr().err
