"""Faces from seeds, latents, pictures, folders and clips, and what is refused on the way."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mixing_world import build_mixer, face
from PIL import Image

from l2l_widgets.disentangle import MixError, read_face, read_faces
from l2l_widgets.disentangle.mix_state import MixState
from l2l_widgets.disentangle.problems import in_short
from l2l_widgets.disentangle.sources import count_frames, face_counter, is_clip, read_frames
from l2l_widgets.images import encode_png, save_image
from l2l_widgets.storage import save_safetensors


@pytest.fixture(scope="module")
def mixer():
    return build_mixer()


@pytest.fixture
def pictures(tmp_path):
    """A folder of three usable pictures, a grey one, a tiny one and one that is none."""
    folder = tmp_path / "faces"
    for seed in range(3):
        save_image(folder / f"{seed}.png", face(seed), scale=4)
    Image.new("RGB", (128, 128), (90, 90, 90)).save(folder / "grey.png")
    save_image(folder / "tiny.png", face(3)[:, :16, :16])
    (folder / "text.png").write_text("no picture")
    return folder


def test_a_seed_and_its_latent_are_the_same_face(mixer, tmp_path):
    from l2l_widgets.latents import z_from_seed

    by_seed = read_face("7", mixer).image
    w = mixer.generator.mapping(z_from_seed(7, 16), truncation_psi=0.7)
    np.save(tmp_path / "w.npy", w[0].numpy())
    save_safetensors(tmp_path / "w.safetensors", {"w": w[:, 0]})
    for file in ("w.npy", "w.safetensors"):
        assert torch.allclose(read_face(tmp_path / file, mixer).image, by_seed, atol=1e-4)


def test_a_picture_comes_back_at_the_generators_size(mixer, tmp_path):
    save_image(tmp_path / "f.png", face(1))
    read = read_face(tmp_path / "f.png", mixer)
    assert read.name.endswith("f.png")
    assert torch.allclose(read.image, face(1), atol=0.01)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("-1", "-1: seed is -1; allowed: a whole number from 0 to 4294967295"),
        ("nobody", "'nobody' is no seed, and there is no such file; allowed: a whole number"),
        ("w.npy", "no latent of this generator"),
        ("short.npy", "no latent of this generator"),
        ("x.safetensors", "holds no tensor 'w'"),
    ],
)
def test_what_is_no_face_is_refused_by_name(mixer, tmp_path, monkeypatch, word, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.npy").write_bytes(b"nothing")
    np.save(tmp_path / "short.npy", np.zeros(3, dtype=np.float32))
    save_safetensors(tmp_path / "x.safetensors", {"v": torch.zeros(2)})
    with pytest.raises(MixError, match=message):
        read_face(word, mixer)


def test_a_batch_goes_on_without_what_cannot_be_used(mixer, pictures):
    problems = []
    faces = read_faces([str(pictures), "5"], mixer, problems=problems)
    assert [f.name.rsplit("/")[-1] for f in faces] == ["0.png", "1.png", "2.png", "5"]
    assert len(problems) == 3
    text = "; ".join(problems)
    assert "grey.png: is grey; allowed: a colour picture" in text
    assert "tiny.png: has 16 x 16 pixels; allowed: at least 32 a side" in text
    assert "text.png: not a picture file" in text
    with pytest.raises(MixError, match="is grey"):
        read_faces([str(pictures)], mixer)


def test_a_reason_that_holds_for_many_is_said_once():
    problems = [f"{i}.png: no face was found; allowed: one" for i in range(5)]
    problems.insert(2, "grey.png: is grey")
    assert in_short(problems) == [
        "5 of them (0.png, 1.png, 2.png and 2 more): no face was found; allowed: one",
        "grey.png: is grey",
    ]
    assert in_short(["broken", "broken", "x: y", "z: y"]) == [
        "broken (2 times)", "2 of them (x, z): y",
    ]  # fmt: skip
    assert in_short([]) == []


def test_an_empty_folder_is_refused(mixer, tmp_path):
    with pytest.raises(MixError, match=r"the folder holds no picture; allowed: \.png"):
        read_faces([str(tmp_path)], mixer)


def test_a_picture_without_a_face_or_with_several_is_refused(mixer, tmp_path):
    save_image(tmp_path / "f.png", face(1), scale=4)
    for count, words in ((0, "no face was found"), (2, "2 faces were found")):
        with pytest.raises(MixError, match=f"f.png: {words}; allowed: exactly one"):
            read_face(tmp_path / "f.png", mixer, counter=lambda pixels, n=count: n)
    assert read_face(tmp_path / "f.png", mixer, counter=lambda pixels: 1).image.shape[0] == 3
    save_image(tmp_path / "own.png", face(1))  # this generator's own kind is not searched
    assert read_face(tmp_path / "own.png", mixer, counter=lambda pixels: 0).image.shape[0] == 3


def test_the_real_counter_finds_one_two_and_no_face():
    from skimage.data import astronaut

    counter = face_counter()
    assert counter is not None
    portrait = astronaut()[:256, 96:352]
    assert counter(portrait) == 1
    assert counter(np.concatenate([portrait, portrait[:, ::-1]], axis=1)) == 2
    noise = np.random.default_rng(0).integers(0, 255, (128, 128, 3), dtype=np.uint8)
    assert counter(noise) == 0


def test_frames_come_from_folders_and_animations(pictures, tmp_path):
    problems = []
    frames = list(read_frames(pictures, 32, problems))
    assert len(frames) == 3
    assert len(problems) == 3
    stills = [Image.open(pictures / f"{i}.png") for i in range(3)]
    stills[0].save(tmp_path / "a.gif", save_all=True, append_images=stills[1:])
    assert is_clip(tmp_path / "a.gif")
    assert not is_clip(pictures / "0.png")
    problems = []
    assert len(list(read_frames(tmp_path / "a.gif", 32, problems))) == 3
    assert problems == []
    data = (tmp_path / "a.gif").read_bytes()
    (tmp_path / "cut.gif").write_bytes(data[: int(len(data) * 0.6)])
    left = list(read_frames(tmp_path / "cut.gif", 32, problems))
    assert len(left) < 3
    assert any(line.startswith("cut.gif: breaks off (frame") for line in problems), problems
    (tmp_path / "none.gif").write_bytes(b"GIF nothing")
    with pytest.raises(MixError, match=r"none\.gif: not an animation"):
        list(read_frames(tmp_path / "none.gif", 32, problems))


def test_a_video_is_read_and_one_that_breaks_off_is_named(tmp_path):
    import cv2

    path = tmp_path / "v.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 12, (64, 64))
    colours = np.random.default_rng(0).integers(0, 255, (6, 1, 1, 3), dtype=np.uint8)
    for colour in colours:
        writer.write(np.ascontiguousarray(np.broadcast_to(colour, (64, 64, 3))))
    writer.release()
    problems = []
    assert len(list(read_frames(path, 32, problems))) == 6
    assert problems == []
    whole = path.read_bytes()
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole[: len(whole) * 2 // 3])
    try:
        frames = list(read_frames(cut, 32, problems))
    except MixError as error:
        problems.append(str(error))
        frames = []
    assert len(frames) < 6
    assert "cut.avi: " in problems[0]
    (tmp_path / "no.mp4").write_bytes(b"nothing")
    with pytest.raises(MixError, match=r"no\.mp4: not a film"):
        list(read_frames(tmp_path / "no.mp4", 32, []))
    with pytest.raises(MixError, match="no such clip"):
        list(read_frames(tmp_path / "gone.mp4", 32, []))


# -- what a view holds ---------------------------------------------------------------------------


def test_the_sliders_span_the_square_of_two_faces(mixer):
    state = MixState(mixer, 1, 2, rows=(3,), columns=(4,))
    one, two = (mixer.signature(read_face(str(seed), mixer).image[None]) for seed in (1, 2))
    mixed = state.mix()
    assert mixed.w.shape == (1, 8, 16)
    assert torch.allclose(mixed.w[:, 0], mixer.latent(one, two), atol=1e-4)
    state.set_share("identity", 0)
    assert torch.allclose(state.mix().w[:, 0], mixer.latent(two, two), atol=1e-4)
    state.set_share("attributes", 0.0)
    assert torch.allclose(state.mix().w[:, 0], mixer.latent(two, one), atol=1e-4)
    state.set_space("z")
    state.swap()
    assert torch.allclose(state.mix().w[:, 0], mixer.latent(one, two), atol=1e-4)


def test_a_grid_begins_with_the_two_faces(mixer):
    state = MixState(mixer, 1, 2, rows=(3,), columns=(4, 5))
    grid = state.grid()
    assert [len(row) for row in grid] == [3, 3]
    assert torch.allclose(grid[0][0].w, state.mix().w, atol=1e-4)
    assert torch.allclose(grid[1][2].w, state.cell(1, 2).w, atol=1e-4)
    assert [f.name for f in state.grid_faces("identity")] == ["1", "3"]


def test_what_a_view_may_not_ask_leaves_the_state_as_it_was(mixer):
    state = MixState(mixer, 1, 2, rows=(), columns=())
    before = state.mix().w
    for call, message in (
        (lambda: state.set_face("identity", -4), "seed is -4"),
        (lambda: state.set_face("hair", 4), "side is 'hair'; allowed: identity, attributes"),
        (lambda: state.set_face("identity", 1.5), "identity is 1.5; allowed: a seed, a file"),
        (lambda: state.set_share("identity", 2), "identity is 2; allowed: a number from 0 to 1"),
        (lambda: state.set_space("s"), "space is 's'; allowed: w, z"),
        (lambda: state.cell(1, 0), "row is 1; allowed: a whole number from 0 to 0"),
        (lambda: state.set_grid(range(8), ()), "rows has 8 faces; allowed: at most 7"),
        (lambda: state.set_picture("identity", b"x", "x.png"), "x.png: not a picture file"),
    ):
        with pytest.raises(MixError, match=message):
            call()
    assert torch.equal(state.mix().w, before)
    state.set_picture("identity", encode_png(face(9)), "own.png")
    assert state.face("identity").name == "own.png"
    assert not torch.allclose(state.mix().w, before)


def test_what_a_video_holds_before_it_breaks_off_is_used(tmp_path):
    import cv2

    source = np.random.RandomState(0)
    for name, code in (("whole.avi", "MJPG"), ("whole.mp4", "mp4v")):
        size = (64, 64)
        writer = cv2.VideoWriter(str(tmp_path / name), cv2.VideoWriter.fourcc(*code), 10, size)
        for _ in range(12):
            writer.write(source.randint(0, 255, (64, 64, 3), np.uint8))
        writer.release()
        data = (tmp_path / name).read_bytes()
        (tmp_path / name.replace("whole", "cut")).write_bytes(data[: int(0.6 * len(data))])
    assert count_frames(tmp_path / "whole.avi") == 12
    problems = []
    left = list(read_frames(tmp_path / "cut.avi", 32, problems))
    assert 3 < len(left) < 12
    assert problems == [f"cut.avi: breaks off (it ends after {len(left)} of 12 frames)"]
    with pytest.raises(MixError, match=r"cut\.mp4: not a film .* allowed: a whole one"):
        list(read_frames(tmp_path / "cut.mp4", 32, []))
    assert count_frames(tmp_path / "cut.mp4") is None


def test_a_frame_that_cannot_be_read_is_named_and_the_rest_goes_on(tmp_path):
    save_image(tmp_path / "0.png", face(1))
    (tmp_path / "1.png").mkdir()
    save_image(tmp_path / "2.png", face(2))
    problems = []
    assert len(list(read_frames(tmp_path, 32, problems))) == 2
    assert len(problems) == 1
    assert problems[0].startswith("1.png: cannot be read")
    assert count_frames(tmp_path) == 3
