import base64
import errno
import io
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.cli import main
from l2l_widgets.cli.counts import counted
from l2l_widgets.cli.edit import edits_text, parse_settings, receipt_text
from l2l_widgets.cli.waiting import STAGES, Waiting
from l2l_widgets.models import zoo
from l2l_widgets.session.receipt import Receipt
from l2l_widgets.session.replay import read_recipe
from l2l_widgets.session.states import Edit


@pytest.fixture(autouse=True)
def embedded(tiny_world, monkeypatch):
    """The tiny world takes the place of the embedded ones, on a machine that is never slow."""
    monkeypatch.setattr(zoo, "WEIGHTS", tiny_world.parent)
    monkeypatch.setattr(Waiting, "AFTER", 600.0)


def run(capsys, *words):
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def run_json(capsys, *words):
    code, out, err = run(capsys, *words, "--json")
    assert code == 0, err
    return json.loads(out.splitlines()[-1])


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_an_edit_is_drawn_and_accounted_for(capsys, tmp_path):
    out = tmp_path / "out.png"
    report = run_json(
        capsys, "edit", "--seed", 7, "--set", "smile=+0.4", "--set", "glasses=1", "--out", out
    )
    picture = pixels(out)
    assert picture.shape == (512, 512, 3)  # 32 px, enlarged until it can be seen
    receipt = report["receipt"]
    assert receipt["requested"]["smile"] == pytest.approx(0.4)
    assert set(receipt["requested"]) == {"smile", "glasses"}
    assert len(receipt["others"]) == 33
    assert set(receipt["band"]) == set(receipt["others"]) | {"smile", "glasses"}
    assert -1 <= receipt["identity"] <= 1
    assert receipt["judges"]["attribute"] == "judge_regressor-recipe (attribute_judge)"
    assert report["recipe"]["edits"][0]["targets"] == {"glasses": 1.0}
    assert report["recipe"]["latent"] == {"seed": 7}
    assert report["recipe"]["picture"] == {"scale": 16, "compare": False}
    assert report["seconds"]["total"] > 0
    assert os.listdir(tmp_path) == ["out.png"]


def test_the_receipt_is_a_table_on_the_terminal(capsys, tmp_path):
    code, out, err = run(capsys, "edit", "--set", "age=0.8", "--out", tmp_path / "out.png")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert "seed 0, mapper" in lines[0]
    assert lines[0].endswith(" ms to load the networks, edit and draw")
    assert any(line.startswith("Age") and "years" in line for line in lines)
    assert any(line.startswith("identity") for line in lines)
    assert any(line.startswith("judges: attribute: judge_regressor-recipe") for line in lines)
    assert max(map(len, lines[1:])) <= 110


def test_the_edited_face_differs_from_the_plain_one(capsys, tmp_path):
    run_json(capsys, "edit", "--seed", 3, "--no-receipt", "--out", tmp_path / "plain.png")
    report = run_json(
        capsys, "edit", "--seed", 3, "--set", "yaw=-0.4", "--no-receipt",
        "--out", tmp_path / "turned.png",
    )  # fmt: skip
    assert report["receipt"] is None
    plain, turned = pixels(tmp_path / "plain.png"), pixels(tmp_path / "turned.png")
    assert np.abs(plain.astype(int) - turned).mean() > 0.5


@pytest.mark.parametrize("options", [(), ("--compare",), ("--scale", "3"), ("--truncation", "1")])
def test_a_saved_edit_replays_to_the_same_pixels(capsys, tmp_path, options):
    first, second = tmp_path / "first.png", tmp_path / "second.png"
    edited = run_json(
        capsys, "edit", "--seed", 7, "--set", "smile=+0.4", "--set", "age=0.9", "--out", first,
        *options,
    )  # fmt: skip
    replayed = run_json(capsys, "replay", first, "--out", second)
    assert np.array_equal(pixels(first), pixels(second))
    assert replayed["pixels_sha256"] == edited["pixels_sha256"]
    assert read_recipe(second).to_dict() == read_recipe(first).to_dict()
    text = tmp_path / "recipe.json"
    text.write_text(json.dumps(edited["recipe"]))
    third = tmp_path / "third.png"
    code, out, _ = run(capsys, "replay", text, "--out", third)
    assert code == 0
    assert out == f"{third}: replayed on tiny-world: smile=+0.4, age=0.9 by mapper\n"
    assert np.array_equal(pixels(first), pixels(third))


def test_before_and_after_lie_side_by_side(capsys, tmp_path):
    one, two = tmp_path / "one.png", tmp_path / "two.png"
    run_json(capsys, "edit", "--set", "smile=+0.2", "--scale", 1, "--no-receipt", "--out", one)
    run_json(
        capsys, "edit", "--set", "smile=+0.2", "--scale", 1, "--no-receipt", "--out", two,
        "--compare",
    )  # fmt: skip
    after, pair = pixels(one), pixels(two)
    assert pair.shape[1] > 2 * after.shape[1]
    windows = np.lib.stride_tricks.sliding_window_view(pair, after.shape)
    assert bool((windows == after).all(axis=(-3, -2, -1)).any())


def test_a_sheet_shows_consecutive_seeds(capsys, tmp_path):
    sheet, face = tmp_path / "sheet.png", tmp_path / "face.png"
    report = run_json(
        capsys, "sample", "-n", 6, "--seed", 5, "--columns", 3, "--scale", 1, "--out", sheet
    )
    assert report["seeds"] == [5, 6, 7, 8, 9, 10]
    assert report["columns"] == 3
    picture = pixels(sheet)
    assert picture.shape[1] > 3 * 32
    assert picture.shape[0] < picture.shape[1]
    run_json(capsys, "edit", "--seed", 8, "--scale", 1, "--no-receipt", "--out", face)
    windows = np.lib.stride_tricks.sliding_window_view(picture, (32, 32, 3))
    assert bool((windows == pixels(face)).all(axis=(-3, -2, -1)).any())


def test_a_folder_of_ones_own_is_a_generator(capsys, tmp_path, tiny_world):
    report = run_json(
        capsys, "sample", "-n", 1, "--generator", tiny_world, "--out", tmp_path / "a.png"
    )
    assert report["models"] == "tiny-world"


def test_one_is_counted_as_one(capsys, tmp_path, tiny_world):
    words = ("--generator", tiny_world, "--out", tmp_path / "a.png")
    code, out, _ = run(capsys, "sample", "-n", 1, "--seed", 3, *words)
    assert (code, out) == (0, f"{tmp_path / 'a.png'}: seed 3\n")
    _, out, _ = run(capsys, "sample", "-n", 2, "--seed", 3, *words)
    assert out == f"{tmp_path / 'a.png'}: seeds 3 to 4, row by row\n"
    assert counted(1, "identity", "identities") == "1 identity"
    assert [counted(n, "face") for n in (0, 1, 2)] == ["0 faces", "1 face", "2 faces"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "smlie=0.5"], "did you mean smile? (l2l attributes lists all)"),
        (["--set", "dark lenses=1"], "did you mean sunglasses ('Dark lenses')?"),
        (["--set", "lipstik=1"], "did you mean lip_makeup"),
        (["--set", "age=60"], "(age runs from 5 to 85 years: 60 years is 0.69)"),
        (["--set", "yaw=-20"], "(yaw runs from -45 to 45 °: -20 ° is -0.22)"),
        (["--set", "smile=50"], "(smile runs from 0 to 100 %: 50 % is 0.5)"),
        (["--set", "age=200"], "(age runs from 5 to 85 years)"),
        (["--set", "smile=1.5"], "target of 'smile' is 1.5; allowed: a number from 0 to 1"),
        (["--set", "smile=+1.5"], "change of 'smile' is 1.5; allowed: a number from -1 to 1"),
        (["--set", "smile=nan"], "--set smile is 'nan'; allowed: a number from 0 to 1 (a target)"),
        (
            ["--set", "smile=+inf"],
            "--set smile is '+inf'; allowed: a number from -1 to 1 (a change)",
        ),
        (["--set", "smile=+nan"], "--set smile is '+nan'; allowed: a number from -1 to 1"),
        (["--set", "smile=much"], "--set smile is 'much'; allowed: a number from 0 to 1"),
        (["--set", "smile"], "--set is 'smile'; allowed: NAME=0.8"),
        (["--set", "=0.3"], "--set is '=0.3'"),
        (["--set", "smile="], "--set is 'smile='"),
        (["--set", "smile=0.3", "--set", "smile=+0.1"], "--set gives 'smile' twice"),
        (["--set", "hair_black=1", "--set", "hair_blond=1"], "exclusive group 'hair_colour'"),
        (["--set", "anger=+0.3", "--set", "fear=+0.3"], "exclusive group 'emotion'"),
        (["--set", "smile=0.3", "--preserve", "agee"], "did you mean age"),
        (["--set", "smile=0.3", "--preserve", "smile"], "'smile' is both changed and preserved"),
        (["--set", "smile=0.3", "--rows", "top"], "rows is 'top'; allowed: coarse, middle, fine"),
        (["--set", "smile=0.3", "--rows", "5-99"], "rows is '5-99'; allowed: rows from 0 to"),
        (["--set", "smile=0.3", "--space", "s"], "--space is 's'; allowed with --method mapper"),
        (
            ["--set", "smile=0.3", "--method", "magic"],
            "--method is 'magic': no such method",
        ),
        (["--seed", "1.5"], "--seed is '1.5'; allowed: a whole number from 0 to 4294967295"),
        (["--seed", "seven"], "--seed is 'seven'"),
        (["--seed", "-1"], "--seed is '-1'"),
        (["--seed", "4294967296"], "--seed is '4294967296'"),
        (["--seed", "9" * 5000], "allowed: a whole number from 0"),
        (["--truncation", "x"], "--truncation is 'x'; allowed: a number"),
        (["--truncation", "7"], "--truncation is '7'; allowed: a number from 0 to 1.5"),
        (["--truncation", "nan"], "--truncation is 'nan'"),
        (["--scale", "0"], "--scale is '0'; allowed: a whole number from 1 to 64"),
        (["--generator", "nowhere"], "--generator 'nowhere'"),
        (["--device", "abacus"], "--device is 'abacus'"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(capsys, tmp_path, words, message):
    code, out, err = run(capsys, "edit", *words, "--out", tmp_path / "out.png")
    assert code == 2
    assert out == ""
    assert message in err
    assert err.startswith("l2l edit: ")
    assert err.count("\n") == 1
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-n", "0"], "-n is '0'; allowed: a whole number from 1 to 1024"),
        (["-n", "many"], "-n is 'many'"),
        (["--columns", "0"], "--columns is '0'"),
        (["--seed", "4294967295", "-n", "2"], "--seed is '4294967295'"),
    ],
)
def test_an_impossible_sheet_is_refused(capsys, tmp_path, words, message):
    code, out, err = run(capsys, "sample", *words, "--out", tmp_path / "sheet.png")
    assert (code, out) == (2, "")
    assert message in err
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("words", [["sample", "-n", "2"], ["evaluate", "--faces", "2"]])
def test_a_folder_that_cannot_be_made_is_said_before_any_work(capsys, tmp_path, words, monkeypatch):
    def refuse(folder, *args, **kwargs):
        raise OSError(errno.EROFS, "Read-only file system", str(folder))

    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr("l2l_widgets.session.edit_session.EditSession.__init__", None)
    monkeypatch.setattr("l2l_widgets.evaluation.usable_detector", None)
    code, out, err = run(capsys, *words, "--out", tmp_path / "new" / "x.png")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"cannot make the folder '{tmp_path / 'new'}" in err
    assert "Read-only file system; it must name a place where you may write" in err
    assert "Errno" not in err


def test_files_that_hold_no_face_at_all_are_one_line_and_no_folder(capsys, tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.new("RGB", (8, 8)).save(pictures / "a.png")
    (pictures / "b.json").write_text("{}")
    asked = ["--set", "smile=+0.3", "--out", tmp_path / "out"]
    for given, says in ((pictures / "a.png", "--latents: "), (pictures, "none of the 2 files")):
        code, out, err = run(capsys, "edit", "--latents", given, *asked)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert says in err
        assert "a.png: the picture carries no" in err
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("out", ["face.jpg", "file/face.png", "face"])
def test_a_file_name_is_refused_before_any_work(capsys, tmp_path, out, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path / "none")  # loading would fail with another error
    code, _, err = run(capsys, "edit", "--out", tmp_path / out)
    assert code == 2
    assert "--out is" in err


def test_missing_folders_are_made_by_every_verb_that_draws(capsys, tmp_path):
    one = tmp_path / "new" / "deep" / "one.png"
    run_json(capsys, "edit", "--scale", 1, "--no-receipt", "--out", one)
    run_json(capsys, "replay", one, "--out", tmp_path / "again" / "two.png")
    run_json(capsys, "sample", "-n", 1, "--out", tmp_path / "sheets" / "three.png")
    assert sorted(p.name for p in tmp_path.rglob("*.png")) == ["one.png", "three.png", "two.png"]
    for verb in ("edit", "sample", "replay"):
        code, out, _ = run(capsys, verb, "--help")
        assert code == 0
        assert "a folder that is missing is made" in " ".join(out.split())


def test_every_attribute_beyond_the_band_is_listed():
    names = DEFAULT_TABLE.names
    moved = {name: 0.5 if i < 9 else 0.0 for i, name in enumerate(names[1:])}
    values = dict.fromkeys(names, 0.5)
    receipt = Receipt(
        requested={names[0]: 0.3}, achieved={names[0]: 0.3}, others=moved, before=values,
        after=values, band=dict.fromkeys(names, (-0.1, 0.1)), seconds={"total": 1.0},
        judges={"attribute": "a judge"},
    )  # fmt: skip
    text = receipt_text(receipt, DEFAULT_TABLE)
    assert all(f"\n{DEFAULT_TABLE[name].label} " in text for name in names[:10])
    least = "the other 25 stayed within the band of random edits, or moved by less than 2 %"
    assert least in text
    calm = replace(receipt, others=dict.fromkeys(names[1:], 0.0))
    assert "the other 28 stayed within the band" in receipt_text(calm, DEFAULT_TABLE)
    assert ", all of them within the band of random edits" in calm.to_text(DEFAULT_TABLE)


class Stream(io.StringIO):
    def __init__(self, terminal):
        super().__init__()
        self.terminal = terminal

    def isatty(self):
        return self.terminal


def test_a_long_measurement_says_what_is_computed_after_two_seconds(monkeypatch):
    monkeypatch.undo()
    assert Waiting.AFTER == 2.0
    for terminal in (True, False):
        stream, clock = Stream(terminal), iter([0.0, 1.0, 2.5, 4.0, 5.0]).__next__
        with Waiting("measuring", stream, clock) as waiting:
            assert waiting() is False
            assert stream.getvalue() == ""  # what is quick needs no line
            waiting.begins("random edits")
            assert waiting() is False
            assert waiting() is False
            waiting.begins("no stage of a receipt")
            waiting.begins("strangers")
            assert waiting() is False
        first, second = STAGES["random edits"], STAGES["strangers"]
        wide = len(second) + 5
        expected = f"\r{first}: 2 s\r{first}: 4 s\r{second}: 5 s\r{' ' * wide}\r"
        assert stream.getvalue() == (expected if terminal else f"{first} ...\n{second} ...\n")


def test_a_shorter_line_leaves_nothing_of_the_longer_one(monkeypatch):
    monkeypatch.undo()
    stream, clock = Stream(True), iter([0.0, 3.0, 4.0]).__next__
    with Waiting("a long thing", stream, clock) as waiting:
        waiting()
        waiting.what = "short"
        waiting()
    assert stream.getvalue().split("\r")[1:3] == ["a long thing: 3 s", "short: 4 s".ljust(17)]


def test_a_receipt_that_takes_long_says_so_on_standard_error(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(Waiting, "AFTER", -1.0)
    code, out, err = run(capsys, "edit", "--set", "age=0.8", "--out", tmp_path / "out.png")
    assert code == 0
    assert "measuring" not in out
    said = [line.removesuffix(" ...") for line in err.splitlines()]
    assert said[-2:] == [STAGES["random edits"], STAGES["strangers"]]


def test_a_face_on_a_sheet_is_at_least_192_pixels_wide(capsys, tmp_path):
    run_json(capsys, "sample", "-n", 2, "--columns", 1, "--out", tmp_path / "sheet.png")
    assert pixels(tmp_path / "sheet.png").shape[1] == 192
    code, out, _ = run(capsys, "sample", "--help")
    assert code == 0
    assert "at least 192 pixels wide" in " ".join(out.split())


def test_a_full_disk_is_one_line_and_keeps_the_old_file(capsys, tmp_path, monkeypatch):
    import errno

    out = tmp_path / "out.png"
    run_json(capsys, "edit", "--no-receipt", "--out", out)
    old = out.read_bytes()

    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    code, text, err = run(capsys, "edit", "--seed", 1, "--no-receipt", "--out", out)
    assert (code, text) == (2, "")
    assert "No space left" in err
    assert err.count("\n") == 1
    assert out.read_bytes() == old
    assert os.listdir(tmp_path) == ["out.png"]


def test_a_recipe_of_another_generator_is_refused(capsys, tmp_path):
    out = tmp_path / "out.png"
    recipe = run_json(capsys, "edit", "--no-receipt", "--out", out)["recipe"]
    recipe["models"]["hashes"]["generator"] = "0" * 64
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(recipe))
    code, text, err = run(capsys, "replay", path, "--out", tmp_path / "again.png")
    assert (code, text) == (2, "")
    assert "drawn by another generator: models.hashes.generator is 000000000000..." in err
    assert "'tiny-world'" in err
    assert not (tmp_path / "again.png").exists()
    # as an older version of the package wrote it: another name, another number of rows
    recipe["models"]["name"] = "faceworld-64"
    recipe["latent"] = {"w": base64.b64encode(bytes(4 * 3 * 16)).decode(), "shape": [3, 16]}
    path.write_text(json.dumps(recipe))
    assert run(capsys, "replay", path, "--out", tmp_path / "again.png")[0] == 2
    said = run(capsys, "replay", path, "--out", tmp_path / "again.png")[2]
    assert said.count("\n") == 1
    assert re.search(r"drawn by another generator: .*'faceworld-64'.*'tiny-world'", said)


def test_a_recipe_cannot_choose_a_path(capsys, tmp_path, tiny_world, monkeypatch):
    out = tmp_path / "out.png"
    recipe = run_json(capsys, "edit", "--no-receipt", "--out", out)["recipe"]
    loaded = []
    real = zoo.load
    monkeypatch.setattr(zoo, "load", lambda name=None, **o: loaded.append(name) or real(name, **o))
    recipe["models"]["name"] = str(tiny_world)
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(recipe))
    assert run(capsys, "replay", path, "--out", out)[0] == 0
    assert loaded == [None]


def test_a_picture_without_a_recipe_cannot_be_replayed(capsys, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.png")
    code, _, err = run(capsys, "replay", tmp_path / "plain.png", "--out", tmp_path / "x.png")
    assert code == 2
    assert "the picture carries no 'l2l-recipe' text" in err
    allowed = "allowed: a PNG saved by this package, or a recipe as JSON"
    for ending, kind in (("jpg", "a JPEG picture"), ("gif", "a GIF picture")):
        path = tmp_path / f"plain.{ending}"
        Image.new("RGB", (8, 8)).save(path)
        code, _, err = run(capsys, "replay", path, "--out", tmp_path / "x.png")
        assert code == 2
        assert f"{kind} carries no 'l2l-recipe' text; {allowed}" in err
    (tmp_path / "noise.bin").write_bytes(bytes(range(256)))
    code, _, err = run(capsys, "replay", tmp_path / "noise.bin", "--out", tmp_path / "x.png")
    assert code == 2
    assert allowed in err


def test_what_was_replayed_is_said_change_by_change():
    assert edits_text([]) == "the face as it is, for nothing is asked for"
    assert edits_text([Edit("mapper")]) == edits_text([])
    first = Edit("mapper", {"smile": 0.4, "yaw": -0.25}, {"age": 0.6}, ("glasses",), rows=(3, 0))
    second = Edit("stylespace", {"beard": 0.3}, space="s")
    assert edits_text([first, Edit("mapper"), second]) == (
        "smile=+0.4, yaw=-0.25, age=0.6 by mapper, preserving glasses, in rows 0,3; then "
        "beard=+0.3 by stylespace, in S"
    )


def test_the_sign_decides_between_change_and_target():
    settings = ["age=0.8", "smile=+0.3", "yaw=-0.2", " pitch = 0.5 ", "glasses=1", "roll=+0"]
    changes, targets = parse_settings(settings)
    assert changes == {"smile": 0.3, "yaw": -0.2, "roll": 0.0}
    assert targets == {"age": 0.8, "pitch": 0.5, "glasses": 1.0}
