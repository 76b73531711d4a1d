"""Films: frames in, edited frames out, smooth over time; one that breaks off keeps what came."""

from __future__ import annotations

import json

import pytest
import torch
from conftest import LinearEditor, build_attribute_net, build_directions, build_generator
from PIL import Image

from l2l_widgets.cli import main
from l2l_widgets.films import FilmError, FilmWriter
from l2l_widgets.images import load_image, save_image, to_pil
from l2l_widgets.models.zoo import Models
from l2l_widgets.photos import DetectedFace, PhotoError, film
from l2l_widgets.photos.film import FilmSettings, edit_film, smooth
from l2l_widgets.photos.frames import Frames
from l2l_widgets.session.states import Edit

FEW = {"first_steps": 3, "next_steps": 1, "space": "w"}
EDIT = Edit(method="linear", changes={"smile": 0.5})
COUNT = 5


@pytest.fixture(scope="module")
def models():
    generator, directions = build_generator(), build_directions()
    return Models.from_parts(
        generator, regressor=build_attribute_net(1), editors={"linear": LinearEditor(directions)}
    )


@pytest.fixture(scope="module")
def faces(models):
    """A face of the tiny generator that turns into another."""
    generator = models.generator
    z = torch.randn(2, 16, generator=torch.Generator().manual_seed(4))
    ends = generator.mapping(z)
    shares = torch.linspace(0, 1, COUNT)[:, None, None]
    return generator.synthesis(torch.lerp(ends[:1], ends[1:], shares)).detach().clamp(-1, 1)


@pytest.fixture
def folder(faces, tmp_path):
    for i, face in enumerate(faces):
        save_image(tmp_path / "frames" / f"frame-{i + 8}.png", face, scale=2)  # 9 before 10
    return tmp_path / "frames"


@pytest.fixture
def clip(faces, tmp_path):
    with FilmWriter(tmp_path / "clip.mp4", 12.5) as writer:
        for face in faces:
            writer.write(to_pil(face, 4))
    return tmp_path / "clip.mp4"


def test_a_folder_is_read_in_the_order_of_its_numbers(folder, faces):
    frames = Frames(folder)
    assert frames.total == COUNT
    for image, face in zip(frames, faces, strict=True):
        assert image.size == (64, 64)
        small = load_image(folder / "frame-8.png", 32)
        assert small.shape == face[None].shape
    last = list(frames)[-1]
    last.save(folder.parent / "last.png")
    close = (load_image(folder.parent / "last.png", 32)[0] - faces[-1]).abs().mean()
    assert close < 0.05


def test_a_clip_comes_back_as_it_was_written(clip, faces):
    frames = Frames(clip)
    assert frames.fps == pytest.approx(12.5)
    pictures = list(frames)
    assert len(pictures) == frames.total == COUNT
    assert frames.broken == ""
    pictures[2].save(clip.parent / "two.png")
    assert (load_image(clip.parent / "two.png", 32)[0] - faces[2]).abs().mean() < 0.12
    assert len(list(Frames(clip, limit=2))) == 2


def test_constant_values_stay_and_trembling_goes():
    constant = torch.full((7, 2, 3), 4.0)
    torch.testing.assert_close(smooth(constant, 2.0), constant)
    trembling = torch.tensor([1.0, -1.0]).repeat(20)[:, None]
    assert smooth(trembling, 1.5).abs().max() < 0.1
    ramp = torch.arange(30.0)[:, None]
    torch.testing.assert_close(smooth(ramp, 1.5)[8:-8], ramp[8:-8])  # no delay
    torch.testing.assert_close(smooth(ramp, 0.0), ramp)
    assert smooth(ramp[:1], 3.0).shape == (1, 1)


def test_a_film_is_edited_and_smoothed(models, folder, tmp_path):
    heard = []
    settings = FilmSettings(**FEW, smoothing=1.0, aligned=True, compare=True)
    report = edit_film(
        models, folder, [EDIT], tmp_path / "out.mp4", settings,
        progress=lambda *words: heard.append(words),
    )  # fmt: skip
    assert (report.frames, report.total, report.lost, report.broken) == (COUNT, COUNT, 0, "")
    assert report.trembling < 1
    assert report.beyond == 0
    made = list(Frames(tmp_path / "out.mp4"))
    assert len(made) == COUNT
    assert made[0].size == (64, 32), "before and after side by side"
    assert ("invert", COUNT, COUNT) in heard
    assert ("edit", COUNT, COUNT) in heard
    assert heard[-1] == ("draw", COUNT, COUNT)


def test_a_square_that_leaves_the_frames_is_told(models, folder, tmp_path):
    with Image.open(sorted(folder.iterdir())[0]) as first:
        width, height = first.size
    settings = FilmSettings(**FEW, crop=(-width / 2, 0, width))
    report = edit_film(models, folder, [], tmp_path / "out.mp4", settings, limit=1)
    assert width == height
    assert report.beyond == pytest.approx(0.5, abs=0.02)


def test_the_face_is_followed_and_a_lost_one_is_counted(models, folder, tmp_path):
    calls = []

    def detector(image):
        calls.append(image.size)
        there = [DetectedFace(20, 20, 24, 24), DetectedFace(2, 2, 10, 10)]
        return [] if len(calls) == 3 else there

    report = edit_film(
        models, folder, [], tmp_path / "out.mp4", FilmSettings(**FEW), detector=detector
    )
    assert (report.frames, report.lost) == (COUNT, 1)


def test_landmarks_of_ones_own_place_every_frame(models, folder, tmp_path):
    asked = []

    def landmarks(images):
        asked.append(len(images))
        five = torch.tensor([[0.4, 0.45], [0.6, 0.45], [0.5, 0.55], [0.42, 0.65], [0.58, 0.65]])
        return five.expand(len(images), -1, -1)

    report = edit_film(
        models, folder, [], tmp_path / "out.mp4", FilmSettings(**FEW), landmarks=landmarks,
        detector=lambda image: [DetectedFace(20, 20, 24, 24)], limit=2,
    )  # fmt: skip
    assert report.frames == 2
    assert len(asked) >= 2 * 2, "each frame is read, and the generator's own faces before"
    with pytest.raises(PhotoError, match="landmarks have shape"):
        edit_film(
            models, folder, [], tmp_path / "out.mp4", FilmSettings(**FEW),
            landmarks=lambda images: torch.zeros(len(images), 3, 2),
            detector=lambda image: [DetectedFace(20, 20, 24, 24)],
        )  # fmt: skip


def test_a_clip_that_breaks_off_keeps_what_came(models, clip, folder, tmp_path):
    (folder / "frame-10.png").write_bytes((folder / "frame-10.png").read_bytes()[:200])
    settings = FilmSettings(**FEW, aligned=True)
    report = edit_film(models, folder, [EDIT], tmp_path / "out.mp4", settings)
    assert report.frames == 2
    assert "frame-10.png" in report.broken
    assert len(list(Frames(tmp_path / "out.mp4"))) == 2
    asked = iter([False] * COUNT + [False, True])
    report = edit_film(
        models, clip, [], tmp_path / "stopped.mp4", settings, stop=lambda: next(asked, True)
    )
    assert 1 <= report.frames < COUNT


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda p: p / "none.mp4", "no such clip or folder"),
        (lambda p: p, "holds no picture"),
        (lambda p: (p / "x.mp4").write_bytes(b"no film") and p / "x.mp4", "not a film"),
    ],
)
def test_what_is_no_film_is_named(models, tmp_path, make, says):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(FilmError, match=says):
        edit_film(models, make(empty), [], tmp_path / "out.mp4", FilmSettings(aligned=True))
    assert not (tmp_path / "out.mp4").exists()


def test_bad_settings_and_edits_are_refused_before_the_frames(models, folder, tmp_path):
    with pytest.raises(PhotoError, match="smoothing is -1"):
        FilmSettings(smoothing=-1)
    with pytest.raises(ValueError, match="steps is -3"):
        FilmSettings(next_steps=-3)
    with pytest.raises(FilmError, match=r"ends in \.gif, \.mp4"):
        edit_film(models, folder, [], tmp_path / "out.avi", FilmSettings(aligned=True))
    wrong = Edit(method="linear", changes={"smlie": 0.1})
    with pytest.raises(ValueError, match="smlie"):
        edit_film(models, folder, [wrong], tmp_path / "out.mp4", FilmSettings(aligned=True))
    with pytest.raises(PhotoError, match="--crop"):
        edit_film(models, folder, [], tmp_path / "out.mp4")


def test_the_command_names_what_is_wrong(capsys, tmp_path):
    for words, says in (
        (["--smoothing", "much"], "--smoothing is 'much'"),
        (["--crop", "1"], "--crop is '1'"),
        (["--frames", "0"], "--frames"),
        (["--landmarks", "arcface"], "declares kind 'identity'; allowed: 'landmarks'"),
        (["--aligned", "--landmarks", "pfld_68"], "--aligned and --landmarks are both given"),
    ):
        assert main(["film", str(tmp_path), "--out", str(tmp_path / "o.mp4"), *words]) == 2
        assert says in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_writes_a_film(models, folder, capsys, tmp_path):
    from l2l_widgets.stylegan2 import save_generator

    save_generator(tmp_path / "g.safetensors", models.generator)
    words = ["film", str(folder), "--out", str(tmp_path / "out.mp4"), "--aligned", "--steps", "1"]
    words += ["--first-steps", "2", "--generator", str(tmp_path / "g.safetensors"), "--json"]
    assert main(words) == 0
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert answer["frames"] == COUNT
    assert (tmp_path / "out.mp4").stat().st_size > 500


def test_a_film_is_stopped_while_it_is_edited_and_keeps_no_frames_unasked(
    models, folder, tmp_path, monkeypatch
):
    kept, track = [], film._track

    def watched(*words):
        found = track(*words)
        kept.append(found[1])
        return found

    monkeypatch.setattr(film, "_track", watched)
    done = []
    for compare, stage in ((False, "edit"), (True, "invert")):
        asked = []

        def progress(what, count, total, stage=stage, asked=asked):
            if (what, count) == (stage, 2):
                asked.append(what)

        report = edit_film(
            models, folder, [EDIT], tmp_path / "out.mp4",
            FilmSettings(**FEW, aligned=True, compare=compare), progress=progress,
            stop=lambda asked=asked: bool(asked),
        )  # fmt: skip
        done.append(report.frames)
    assert done == [2, 2], "what was found before the stop is edited"
    assert kept[0] == []
    assert [picture.dtype for picture in kept[1]] == [torch.uint8] * 2
