"""Folders in CelebAMask-HQ's layout with gaps: they are named, and left out on request."""

from __future__ import annotations

import shutil

import pytest
import torch

from l2l_widgets.faceworld.celebamask import LayoutConfig
from l2l_widgets.faceworld.layout_run import write_layout
from l2l_widgets.maskgan.celebamask_hq import MAPPING, CelebAMaskHQ, DatasetError
from l2l_widgets.maskgan.celebamask_report import look_through
from l2l_widgets.recipes import build_task, get_recipe, mask_faces
from l2l_widgets.recipes.mask_faces import MaskData, MaskFaces
from l2l_widgets.recipes.measured_faces import MeasuredFaces
from l2l_widgets.recipes.progress import heard_by
from l2l_widgets.recipes.registry import run
from l2l_widgets.training import TrainingError, make_generator


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set") / "hq"
    write_layout(folder, LayoutConfig(seed=5, size=32), 5)
    return folder


@pytest.fixture
def copy(rendered, tmp_path):
    return shutil.copytree(rendered, tmp_path / "copy")


def parts_of(folder):
    return folder / "CelebAMask-HQ-mask-anno" / "0"


def cut(path, share=0.5):
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])


def dent(path):
    """Damage the middle of a file, whose both ends stay as they are."""
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 9] = bytes(255 - b for b in data[middle : middle + 9])
    path.write_bytes(bytes(data))


def test_names_that_only_look_like_those_of_the_data_set_are_strangers(copy):
    """What is listed as a picture or a part is what is read as one."""
    pictures, parts = copy / "CelebA-HQ-img", parts_of(copy)
    for name in ("001.jpg", "20240101120000.jpg", "٣.jpg", "1.png", "4.JPG"):
        shutil.copy(pictures / "1.jpg", pictures / name)
    (pictures / ".thumbs").write_bytes(b"")
    for name in ("5_skin.png", "00001_hat", "0000001_hat.png", "00001_horns.png"):
        shutil.copy(parts / "00001_skin.png", parts / name)
    (parts.parent / "1").mkdir()
    shutil.copy(parts / "00001_skin.png", parts.parent / "1" / "00001_skin.png")
    data = CelebAMaskHQ(copy)
    assert data.indices == [0, 1, 2, 3, 4]
    shown, strangers = data.shown()
    assert {i: sorted(n) for i, n in shown.items()} == {i: sorted(data.parts(i)) for i in range(5)}
    assert sorted(strangers) == sorted([
        "0/00001_hat", "0/00001_horns.png", "0/0000001_hat.png", "0/5_skin.png", "1/00001_skin.png",
    ])  # fmt: skip
    report = look_through(data)
    assert report.strangers[:5] == [
        f"CelebA-HQ-img/{n}" for n in ("001.jpg", "1.png", "20240101120000.jpg", "4.JPG", "٣.jpg")
    ]
    assert len(report.strangers) == 10
    assert not report.whole
    assert report.gaps == {}
    assert "neither a picture nor a part: CelebA-HQ-img/001.jpg" in report.to_text()


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        (MAPPING, "0 1 a.jpg\nabc def\n", "line 2: 'abc def'"),
        (MAPPING, f"0 1 a.jpg\n1 {'9' * 5000} b.jpg\n", "line 2: '1 999"),
        ("CelebAMask-HQ-attribute-anno.txt", "many\n", "the first line must be the number"),
        ("CelebAMask-HQ-pose-anno.txt", "1\nYaw Pitch\n0.jpg 1 left\n", "line 3: 'left'"),
        ("CelebAMask-HQ-pose-anno.txt", f"1\nYaw\n{'9' * 5000}.jpg 1\n", "line 3: 1 values of"),
    ],
)
def test_a_table_that_cannot_be_used_is_reported_beside_the_rest(copy, name, text, words):
    (copy / name).write_text(text)
    report = look_through(CelebAMaskHQ(copy))
    (why,) = report.damaged
    assert words in why
    assert f"cannot be used: {why}" in report.to_text()
    assert not report.whole
    assert report.parts["skin"] == 5, "the rest is reported all the same"


def test_the_report_says_whose_left_it_is_by_where_the_eyes_lie(copy):
    report = look_through(CelebAMaskHQ(copy))
    assert report.sides["l_eye"] < 0.5 < report.sides["r_eye"]
    assert 1 <= report.sides_of <= 5
    assert f"(n = {report.sides_of}): l_ is the side on the left" in report.to_text()
    both = dict(report.sides)
    for file in sorted(parts_of(copy).glob("*_l_eye.png")):
        other = file.with_name(file.name.replace("l_eye", "r_eye"))
        if other.is_file():
            spare = file.rename(file.with_suffix(".spare"))
            other.rename(file)
            spare.rename(other)
    report = look_through(CelebAMaskHQ(copy))
    assert report.sides == {"l_eye": both["r_eye"], "r_eye": both["l_eye"]}
    assert report.to_text().splitlines()[2].startswith("SIDES SWAPPED: l_eye lies at 0.")
    for file in parts_of(copy).glob("*_l_eye.png"):
        file.unlink()
    assert look_through(CelebAMaskHQ(copy)).sides == {}


def test_gaps_are_named_before_a_training_begins_and_left_out_on_request(copy, monkeypatch):
    config = {"resolution": 32, "batch_size": 2}
    clean = MaskFaces(MaskData(data=str(copy), **config))
    for file in parts_of(copy).glob("00001_*.png"):
        file.unlink()
    cut(parts_of(copy) / "00003_skin.png", 0.9)
    for memory in (mask_faces.IN_MEMORY, 100):  # held in memory, or read as it is needed
        monkeypatch.setattr(mask_faces, "IN_MEMORY", memory)
        with pytest.raises(TrainingError) as refused:
            MaskFaces(MaskData(data=str(copy), **config))
        said = str(refused.value)
        assert said.startswith("2 of 5 pictures cannot be learned from: picture 1: no part of it")
        assert "00003_skin.png cannot be read: it is no PNG, or cut off" in said
        assert "--read lists every gap of the folder, and +gaps at the end of its name" in said
        heard = []
        with heard_by(heard.append):
            faces = MaskFaces(MaskData(data=f"{copy}+gaps", **config))
        assert len(heard) == 1
        assert "pictures left out: 2: picture 1: no part of it" in heard[0]
        assert len(faces.images) == 3
        rows = torch.arange(3)
        assert torch.equal(faces.masks[rows], clean.masks[torch.tensor([0, 2, 4])])
        assert torch.equal(faces.images[rows], clean.images[torch.tensor([0, 2, 4])])
        assert faces.held.tolist() == [2]
        assert faces.draw(make_generator(1))["image"].shape == (2, 3, 32, 32)
    report = look_through(CelebAMaskHQ(copy), read=True)
    assert report.unusable == [1, 3]
    assert "cannot be learned from: 2 of 5; +gaps at the end" in report.to_text()
    assert look_through(CelebAMaskHQ(f"{copy}+gaps")).left_out == [1, 3]


def test_damage_that_only_reading_shows_is_left_out_where_all_is_read(copy):
    dent(parts_of(copy) / "00002_skin.png")
    cut(copy / "CelebA-HQ-img" / "4.jpg")
    assert list(CelebAMaskHQ(copy).gaps()) == [4], "seen without reading"
    with pytest.raises(TrainingError, match=r"1 of 5 .*4\.jpg cannot be read"):
        MaskFaces(MaskData(data=str(copy), resolution=32))
    heard = []
    with heard_by(heard.append):
        faces = MaskFaces(MaskData(data=f"{copy}+gaps", resolution=32))
    assert ["4.jpg cannot be read" in heard[0], "00002_skin.png cannot be" in heard[1]] == [
        True
    ] * 2
    assert (len(faces.images), len(faces.masks), len(faces.held)) == (3, 3, 1)


def test_a_long_reading_says_how_far_it_is(copy, monkeypatch):
    heard = []
    with heard_by(heard.append):
        MaskFaces(MaskData(data=str(copy), resolution=32))
        assert heard == [], "a short one does not"
        monkeypatch.setattr(mask_faces, "SAY_EVERY", 0.0)
        MaskFaces(MaskData(data=str(copy), resolution=32))
    assert heard == [f"{copy}: pictures read: {n} of 5, about 1 min more" for n in (1, 2, 3, 4)]


@pytest.mark.parametrize("side", [0, -64])
def test_a_size_that_cannot_be_is_refused_by_its_own_name(copy, side):
    with pytest.raises(ValueError, match=rf"resolution is {side}; allowed: 1 or more pixels"):
        get_recipe("mask-vae").replace(data=str(copy), resolution=side)


def test_a_size_that_no_network_has_is_refused_before_the_folder_is_read(copy, monkeypatch):
    def read(*_):
        raise AssertionError("half an hour of reading, before the size was looked at")

    monkeypatch.setattr(mask_faces, "_from_folder", read)
    for name in ("mask-vae", "dense-mapping"):
        recipe = get_recipe(name).replace(data=str(copy), resolution=100)
        with pytest.raises(ValueError, match=r"at resolution 100; allowed: .*halvings"):
            build_task(recipe, copy)


def test_a_picture_that_the_mapping_does_not_name_is_a_gap(copy):
    table = copy / MAPPING
    lines = table.read_text().splitlines()
    table.write_text("\n".join(lines[:-2]) + "\n")
    with pytest.raises(DatasetError, match=r"name picture 3 and 1 more; \+gaps at the end"):
        CelebAMaskHQ(copy).split("train")
    assert CelebAMaskHQ(f"{copy}+gaps").split("train") == [0, 1, 2]
    assert CelebAMaskHQ(copy, leave_gaps=True).split("train") == [0, 1, 2]


def test_scores_say_what_was_left_out_of_them(copy):
    cut(copy / "CelebA-HQ-img" / "4.jpg")
    data = CelebAMaskHQ(f"{copy}+gaps")
    faces = MeasuredFaces((data, "all", data.usable()), 4, 0, 32)
    assert faces.origin == f"{copy.resolve()}, 1 with gaps left out"
    assert len(faces.of(32)[0]) == 4
    with pytest.raises(DatasetError, match=r"picture 4: .*4\.jpg"):
        MeasuredFaces((CelebAMaskHQ(copy), "all", [0, 1, 2, 4]), 4, 0, 32)


def test_both_words_may_follow_a_folder_in_either_order(copy):
    (copy / "render.json").unlink()
    shutil.copy(copy / "CelebA-HQ-img" / "0.jpg", copy / "CelebA-HQ-img" / "404.jpg")
    for file in sorted(parts_of(copy).glob("00000_*.png")):
        shutil.copy(file, file.with_name(file.name.replace("00000", "00404")))
    with (copy / MAPPING).open("a") as table:
        table.write("404 5 000006.jpg\n")
    (parts_of(copy) / "00002_skin.png").write_bytes(b"")
    for words, usable in (
        ("", [0, 1, 2, 3, 4]), ("+gaps", [0, 1, 3, 4]), ("+defects", [0, 1, 2, 3, 4, 404]),
        ("+gaps+defects", [0, 1, 3, 4, 404]), ("+defects+gaps", [0, 1, 3, 4, 404]),
    ):  # fmt: skip
        assert CelebAMaskHQ(f"{copy}{words}").usable() == usable, words
    copy.rename(copy.with_name("mine+gaps"))
    assert not CelebAMaskHQ(copy.with_name("mine+gaps")).leave_gaps, "that is its own name"


def test_a_training_that_a_gap_stops_leaves_nothing_behind(copy, tmp_path, monkeypatch):
    data, runs = tmp_path / "data", tmp_path / "runs"
    data.mkdir()
    runs.mkdir()
    monkeypatch.setenv("L2L_DATA", str(data))
    before = sorted(p.relative_to(copy) for p in copy.rglob("*"))
    recipe = get_recipe("mask-vae").replace(data=str(copy), resolution=32, steps=1)
    dent(parts_of(copy) / "00000_skin.png")  # found when most of the folder has been read
    with pytest.raises(TrainingError, match=r"00000_skin\.png cannot be read"):
        run(recipe, runs / "one", weights=tmp_path / "weights")
    left = [p for folder in (data, runs, tmp_path / "weights") for p in folder.rglob("*")]
    assert [p for p in left if p.is_file()] == []
    assert sorted(p.relative_to(copy) for p in copy.rglob("*")) == before
