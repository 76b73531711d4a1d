"""``l2l mix`` on a tiny world: faces, pairs, grids, travels, frames, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from mixing_world import face, write_mixing_world
from PIL import Image

from l2l_widgets.cli import main
from l2l_widgets.images import load_image, save_image
from l2l_widgets.models.zoo import load
from l2l_widgets.storage import load_safetensors


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_mixing_world(tmp_path_factory.mktemp("cli-mix") / "world")


@pytest.fixture
def l2l(folder, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*words, verb="mix"):
        code = main([verb, *map(str, words), "--generator", str(folder)])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def test_one_mix_is_a_picture_and_its_latent(l2l, tmp_path):
    save_image(tmp_path / "b.png", face(3))
    code, out, err = l2l(
        "--identity", 1, "--attributes", "b.png", "--out", "sub/c.png", "--latents",
        "w.safetensors", "--scale", 2, "--inputs",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert "sub/c.png: 1 face, mixed" in out
    with Image.open(tmp_path / "sub/c.png") as picture:
        assert picture.size == (2 * (3 * 32 + 2), 2 * 32)
    w = load_safetensors(tmp_path / "w.safetensors")[0]["w"]
    assert w.shape == (1, 8, 16)
    assert torch.equal(w[:, 0], w[:, 7]), "one w for all rows"
    # the latent is a face of its own: mixed with itself it may be used again
    code, out, _ = l2l(
        "--identity", "w.safetensors", "--attributes", "w.safetensors", "--out", "d.png", "--json"
    )
    assert code == 0
    assert json.loads(out.splitlines()[-1])["mixes"] == 1


def test_pairs_grids_and_travels_have_their_shapes(l2l, tmp_path):
    for words, size in (
        (("--identity", 1, 2, "--attributes", 3, 4), (2, 1)),
        (("--identity", 1, "--attributes", 3, 4, 5), (3, 1)),
        (("--identity", 1, 2, "--attributes", 3, 4, 5, "--grid"), (3, 2)),
        (("--identity", 1, 2, "--attributes", 3, 4, 5, "--grid", "--inputs"), (4, 3)),
        (("--identity", 1, "--attributes", 2, "--travel", "identity", "--steps", 5), (5, 1)),
        (
            (
                "--identity", 1, "--attributes", 2, "--travel", "attributes", "--space", "z",
                "--steps", 3, "--inputs",
            ),
            (5, 1),
        ),
    ):  # fmt: skip
        code, _, err = l2l(*words, "--out", "x.png", "--scale", 1)
        assert (code, err) == (0, "")
        with Image.open(tmp_path / "x.png") as picture:
            assert picture.size == (size[0] * 33 - 1, size[1] * 33 - 1), words


def test_closeness_is_read_by_the_second_embedder_of_the_saved_picture(l2l, folder, tmp_path):
    words = ("--identity", 1, "--attributes", 2, "--out", "x.png", "--inputs", "--scale", 1)
    code, out, _ = l2l(*words, "--json")
    assert code == 0
    (found,) = json.loads(out.splitlines()[-1])["closeness"]
    with Image.open(tmp_path / "x.png") as picture:
        pixels = torch.from_numpy(np.array(picture.convert("RGB")))
    sheet = pixels.permute(2, 0, 1).float()[None] / 127.5 - 1
    one, two, mixed = (sheet[..., 33 * i : 33 * i + 32] for i in range(3))
    judge = load(str(folder)).identity_judge
    one, two, mixed = (judge(part)[0] for part in (one, two, mixed))
    # the picture has 8 bits a channel
    assert found.pop("identity_similarity") == pytest.approx(float(mixed @ one), abs=0.02)
    assert found.pop("attribute_similarity") == pytest.approx(float(mixed @ two), abs=0.02)
    assert found.pop("inputs_similarity") == pytest.approx(float(one @ two), abs=0.02)
    assert found == {"identity": "1", "attributes": "2"}
    code, out, _ = l2l(*words)
    assert "the second embedder finds it close to the identity face by " in out.splitlines()[1]


def test_every_mix_of_a_grid_or_of_pairs_has_its_closeness(l2l):
    two = ("--identity", 1, 2, "--attributes", 3, 4, "--out", "x.png")
    code, out, _ = l2l(*two, "--grid")
    assert code == 0
    rows = [line.split()[:3] for line in out.splitlines() if " as " in line]
    assert rows == [[a, "as", b] for a in "12" for b in "34"]
    assert " of 4 nearer to the identity face" in out
    _, out, _ = l2l(*two, "--json")
    found = json.loads(out.splitlines()[-1])["closeness"]
    assert [(one["identity"], one["attributes"]) for one in found] == [("1", "3"), ("2", "4")]
    grid = ("--identity", *range(1, 6), "--attributes", *range(6, 10), "--grid", "--out", "y.png")
    _, out, _ = l2l(*grid)
    assert out.splitlines()[-1] == "  and 4 more, which --json lists"
    words = ("--identity", 1, "--attributes", 2, "--travel", "identity", "--out", "z.png", "--json")
    assert json.loads(l2l(*words)[1].splitlines()[-1])["closeness"] == []


def test_a_bad_picture_of_a_folder_is_named_and_the_rest_goes_on(l2l, tmp_path):
    for seed in range(2):
        save_image(tmp_path / "people" / f"{seed}.png", face(seed))
    (tmp_path / "people" / "bad.png").write_text("none")
    code, out, err = l2l(
        "--identity", "people", "--attributes", 5, "--out", "x.png", "--grid", "--json"
    )
    assert code == 0
    assert "left out: bad.png: not a picture file" in err
    report = json.loads(out.splitlines()[-1])
    assert report["mixes"] == 2
    assert len(report["left_out"]) == 1
    # a pair is two places in two lists: nothing moves up into the place of what is missing
    code, _, err = l2l(
        "--identity", "people/bad.png", 1, "--attributes", 2, 3, "--out", "pairs.png"
    )  # fmt: skip
    assert code == 2
    assert "bad.png: not a picture file" in err
    assert "the pairs would shift" in err
    assert not (tmp_path / "pairs.png").exists()


@pytest.mark.parametrize("out", ["frames", "clip.gif", "clip.mp4"])
def test_every_frame_gets_the_person(l2l, tmp_path, out):
    for seed in range(3):
        save_image(tmp_path / "in" / f"{seed}.png", face(seed))
    code, text, err = l2l(
        "--identity", 9, "--attributes", "in", "--frames", "--out", out, "--scale", 2
    )
    assert (code, err) == (0, "")
    assert "3 frames of in as 9" in text
    path = tmp_path / out
    if out == "frames":
        assert sorted(p.name for p in path.iterdir()) == [f"frame-0000{i}.png" for i in range(3)]
        first = load_image(path / "frame-00000.png", 64)
        assert not torch.equal(first, load_image(path / "frame-00001.png", 64))
    elif out == "clip.gif":
        with Image.open(path) as clip:
            assert (clip.n_frames, clip.size) == (3, (64, 64))
        words = ("--identity", 8, "--attributes", "clip.gif", "--out", "again")
        code, _, err = l2l(*words)
        assert code == 2
        assert err.count("no face was found; allowed: exactly one, seen from the front") == 1
        assert "no frame could be used: 3 of them (clip.gif frame 0, clip.gif frame 1, " in err
        assert err.endswith("; where you see one yourself: --any-picture\n")
        assert "counter" not in err
        code, text, _ = l2l(*words, "--any-picture")
        assert code == 0
        assert "3 frames of clip.gif as 8" in text
    else:
        import av

        with av.open(str(path)) as film:
            assert film.streams.video[0].codec_context.name == "h264", "what browsers play"
            assert len(list(film.decode(video=0))) == 3
        assert path.stat().st_mode == (tmp_path / "in" / "0.png").stat().st_mode, "who may read it"
        assert [p.name for p in tmp_path.iterdir() if p.suffix == ".mp4"] == ["clip.mp4"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--identity", "gone.png", "--attributes", 1, "--out", "x.png"), "there is no such file"),
        (("--identity", 1, "--attributes", 1, "--out", "x.jpg"), "allowed: a name that ends in"),
        (("--identity", 1, 2, "--attributes", 1, 2, 3, "--out", "x.png"), "--identity has 2 faces"),
        (
            ("--identity", 1, 2, "--attributes", 3, "--out", "x.png", "--travel", "identity"),
            "--travel goes between two faces; 2 and 1 were given",
        ),
        (
            ("--identity", 1, "--attributes", 2, "--out", "x.png", "--steps", "x"),
            "--steps is 'x'; allowed: a whole number from 2 to 1024",
        ),
        (
            ("--identity", 1, "--attributes", "in.mp4", "--out", "x.png"),
            "allowed for frames: a folder, .gif, .mp4",
        ),
        (("--identity", 1, "--attributes", "in.mp4", "--out", "x"), "no such file"),
        (("--identity", 1, "--attributes", "e", "--out", "x.png"), "the folder holds no picture"),
        (
            (
                "--identity",
                1,
                "--attributes",
                2,
                "--out",
                "x.png",
                "--grid",
                "--travel",
                "identity",
            ),
            "--grid and --travel are both given",
        ),
    ],
)
def test_bad_input_is_one_clear_line_and_writes_nothing(l2l, tmp_path, words, message):
    (tmp_path / "e").mkdir()
    code, out, err = l2l(*words)
    assert code == 2
    assert out == ""
    assert len(err.strip().splitlines()) == 1
    assert message in err
    assert not [p for p in tmp_path.iterdir() if p.name != "e"]


def test_a_world_without_a_mixer_and_a_full_report_folder_are_refused(l2l, tiny_world, tmp_path):
    code = main(
        ["mix", "--identity", "1", "--attributes", "2", "--out", "x.png", "--generator",
         str(tiny_world)]
    )  # fmt: skip
    assert code == 2
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "report.json").write_text("{}")
    code, _, err = l2l("--out", "r", verb="mix-report")
    assert code == 2
    assert "holds a report already; allowed: another folder" in err
    code, _, err = l2l("--out", "q", "--pairs", "3", verb="mix-report")
    assert "--pairs is '3'; allowed: a whole number from 8" in err


def test_a_report_without_truth_measures_and_draws(l2l, tmp_path):
    code, out, _ = l2l("--out", "r", "--pairs", "8", "--no-truth", "--json", verb="mix-report")
    assert code == 0
    scores = json.loads(out.splitlines()[-1])["scores"]["shipped"]
    assert 0 <= scores["closer_share"] <= 1
    assert scores["landmark_error"] >= 0
    assert scores["seconds"] > 0
    assert {p.name for p in (tmp_path / "r").iterdir()} == {
        "report.json", "REPORT.md", "scores.csv", "grid.png", "parts",
    }  # fmt: skip
