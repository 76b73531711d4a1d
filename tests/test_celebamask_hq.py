"""The reader of CelebAMask-HQ: what l2l render writes, the real layout, and folders with gaps."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from l2l_widgets.faceworld import render, sample_factors
from l2l_widgets.faceworld.celebamask import LayoutConfig, portraits
from l2l_widgets.faceworld.layout_run import write_layout
from l2l_widgets.maskgan.celebamask_hq import (
    KNOWN_DEFECTS,
    CelebAMaskHQ,
    DatasetError,
    split_of,
)
from l2l_widgets.maskgan.celebamask_report import look_through
from l2l_widgets.masks import MASK_CLASSES, resize_mask
from l2l_widgets.recipes import mask_faces
from l2l_widgets.recipes.mask_faces import MaskData, MaskFaces
from l2l_widgets.training import TrainingError, make_generator


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set") / "hq"
    write_layout(folder, LayoutConfig(seed=5, size=32), 4)
    return folder


@pytest.fixture
def copy(rendered, tmp_path):
    return shutil.copytree(rendered, tmp_path / "copy")


def part(folder, index, name, on, side=512):
    group = folder / "CelebAMask-HQ-mask-anno" / str(index // 2000)
    group.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((side, side, 3), np.uint8)
    pixels[on] = 255
    Image.fromarray(pixels).save(group / f"{index:05d}_{name}.png")


def test_what_render_writes_is_read_as_it_was_drawn(rendered):
    data = CelebAMaskHQ(rendered)
    drawn = render(portraits(LayoutConfig(seed=5, size=32), 4), 32)
    assert data.indices == [0, 1, 2, 3]
    for i in data.indices:
        mask = data.mask(i)
        assert mask.shape == (512, 512)
        assert torch.equal(resize_mask(mask, 32), drawn.mask[i])
        assert float((data.picture(i, 32) - drawn.image[i]).abs().mean()) < 0.05
    names, rows = data.attributes()
    assert "Smiling" in names
    assert set(rows) == set(data.indices)
    assert len(data.pose()[0]) == 3
    report = look_through(data, read=True)
    assert report.whole, report.to_text()
    assert report.splits == {"train": 4, "val": 0, "test": 0}
    assert report.parts["skin"] == 4
    assert report.defects == {}


def test_splits_go_by_the_number_in_celeba(copy):
    assert [split_of(n) for n in (0, 162770, 162771, 182637, 182638)] == [
        "train", "train", "val", "val", "test",
    ]  # fmt: skip
    text = "idx orig_idx orig_file\n0 5 a.jpg\n1 162771 b.jpg\n2 182638 c.jpg\n3 162770 d.jpg\n"
    mapping = copy / "CelebA-HQ-to-CelebA-mapping.txt"
    mapping.write_text(text)
    data = CelebAMaskHQ(copy)
    assert (data.split("train"), data.split("val"), data.split("test")) == ([0, 3], [1], [2])
    mapping.write_text(text.split("\n", 1)[1])  # as some cut the header away by hand
    assert CelebAMaskHQ(copy).split("val") == [1]
    with pytest.raises(DatasetError, match="split is 'dev'; allowed: train, val, test"):
        data.split("dev")
    mapping.write_text("idx orig_idx orig_file\n0 5 a.jpg\n")
    with pytest.raises(DatasetError, match="does not name picture 1"):
        CelebAMaskHQ(copy).split("train")


def test_later_parts_cover_earlier_ones_and_any_value_counts(copy):
    on = np.zeros((512, 512), bool)
    on[:100, :100] = True
    part(copy, 0, "eye_g", on)
    part(copy, 0, "l_eye", on)
    assert int(CelebAMaskHQ(copy).mask(0)[10, 10]) == MASK_CLASSES.index("l_eye"), (
        "eyes over glasses"
    )
    part(copy, 0, "cloth", on)
    assert int(CelebAMaskHQ(copy).mask(0)[10, 10]) == MASK_CLASSES.index("cloth")
    group = copy / "CelebAMask-HQ-mask-anno" / "0"
    Image.fromarray((on * 1).astype(np.uint8)).save(group / "00000_cloth.png")  # 1, not 255
    assert int(CelebAMaskHQ(copy).mask(0)[10, 10]) == MASK_CLASSES.index("cloth")


def test_gaps_are_reported_by_kind(copy):
    group = copy / "CelebAMask-HQ-mask-anno" / "0"
    for file in group.glob("00001_*.png"):
        file.unlink()
    (group / "00002_skin.png").unlink()
    (group / "00003_hair.png").write_bytes(b"cut")
    (group / "00000_ears.png").write_bytes(b"")
    (copy / "CelebA-HQ-img" / "0.jpg").unlink()
    (copy / "CelebAMask-HQ-pose-anno.txt").unlink()
    report = look_through(CelebAMaskHQ(copy), read=True)
    assert report.missing_files == ["CelebAMask-HQ-pose-anno.txt"]
    assert report.gaps == {
        "pictures without any mask": [1],
        "pictures without skin": [2],
        "masks without a picture": [0],
        "numbers left out": [0],
        "unreadable": [1, 3],
    }
    assert report.strangers == ["0/00000_ears.png"]
    assert not report.whole
    assert "pictures without skin: 1 (2)" in report.to_text()


def test_known_defects_are_listed_for_the_real_set_only(copy):
    source = copy / "CelebA-HQ-img" / "0.jpg"
    shutil.copy(source, copy / "CelebA-HQ-img" / "404.jpg")
    assert look_through(CelebAMaskHQ(copy)).defects == {}
    (copy / "render.json").unlink()
    assert look_through(CelebAMaskHQ(copy)).defects == {404: KNOWN_DEFECTS[404]}
    assert "lips" in KNOWN_DEFECTS[404]
    assert KNOWN_DEFECTS[235] == "the same picture as 234"


def test_known_defects_are_not_learned_from_unless_they_are_wished(copy):
    whole = MaskData(data=str(copy), resolution=32)
    before = CelebAMaskHQ(copy).split("train"), MaskFaces(whole)
    group = copy / "CelebAMask-HQ-mask-anno" / "0"
    shutil.copy(copy / "CelebA-HQ-img" / "0.jpg", copy / "CelebA-HQ-img" / "404.jpg")
    for file in sorted(group.glob("00000_*.png")):
        shutil.copy(file, group / file.name.replace("00000", "00404"))
    with (copy / "CelebA-HQ-to-CelebA-mapping.txt").open("a") as table:
        table.write("404 5 000006.jpg\n")
    assert 404 in CelebAMaskHQ(copy).split("train"), "a rendered folder has no such fault"
    (copy / "render.json").unlink()
    data = CelebAMaskHQ(copy)
    assert data.split("train") == data.usable() == before[0]
    report = look_through(data)
    assert (report.defects, report.left_out) == ({404: KNOWN_DEFECTS[404]}, [404])
    assert f"left out of training and scores for it: 1 of {len(data)}; +defects" in report.to_text()
    faces = MaskFaces(whole)
    assert torch.equal(faces.images, before[1].images)
    assert torch.equal(faces.rows, before[1].rows)
    kept = CelebAMaskHQ(f"{copy}+defects")
    assert kept.folder == copy
    assert kept.split("train") == [*before[0], 404]
    assert look_through(kept).left_out == []
    assert "left out of training and scores for it: 0 of" in look_through(kept).to_text()
    assert CelebAMaskHQ(copy, keep_defects=True).split("train") == kept.split("train")
    more = MaskFaces(MaskData(data=f"{copy}+defects", resolution=32))
    assert len(more.images) == len(faces.images) + 1


def test_the_scripts_folder_name_is_read_as_well(copy):
    (copy / "CelebAMask-HQ-mask-anno").rename(copy / "CelebAMaskHQ-mask-anno")
    assert CelebAMaskHQ(copy).parts(0)


def test_what_is_missing_is_named(copy, tmp_path):
    with pytest.raises(DatasetError, match="has no folder CelebA-HQ-img"):
        CelebAMaskHQ(tmp_path / "nothing")
    data = CelebAMaskHQ(copy)
    with pytest.raises(DatasetError, match="picture 9: no part of it"):
        data.mask(9)
    small = np.ones((64, 64), bool)
    part(copy, 0, "neck_l", small, side=64)
    with pytest.raises(DatasetError, match="part neck_l is 64 x 64 pixels, skin 512 x 512"):
        data.mask(0)
    (copy / "CelebAMask-HQ-attribute-anno.txt").write_text("1\nSmiling\n0.jpg 1 1\n")
    with pytest.raises(DatasetError, match=r"line 3: 2 values of '0\.jpg'; wanted: 1"):
        data.attributes()
    (copy / "CelebAMask-HQ-pose-anno.txt").write_text("1\nYaw Pitch\n0.jpg 1 left\n")
    with pytest.raises(DatasetError, match=r"line 3: 'left'; wanted: a number"):
        data.pose()
    (copy / "CelebA-HQ-to-CelebA-mapping.txt").write_text("0 1 a.jpg\nabc def\n")
    with pytest.raises(DatasetError, match="line 2: 'abc def'; wanted: a picture's number, its"):
        data.mapping()
    shutil.rmtree(copy / "CelebAMask-HQ-mask-anno")
    with pytest.raises(DatasetError, match="has no folder CelebAMask-HQ-mask-anno or"):
        CelebAMaskHQ(copy)


def test_recipes_learn_from_a_folder(copy):
    faces = MaskFaces(MaskData(data=str(copy), resolution=32, batch_size=2))
    batch = faces.draw(make_generator(1))
    assert batch["image"].shape == (2, 3, 32, 32)
    assert batch["mask"].shape == batch["reference"].shape == (2, 32, 32)
    assert len(faces.held) == 1
    (copy / "CelebAMask-HQ-mask-anno" / "0" / "00000_skin.png").write_bytes(b"cut")
    with pytest.raises(
        TrainingError, match=r"00000_skin\.png cannot be read.*; l2l masks .* --read lists"
    ):
        MaskFaces(MaskData(data=str(copy), resolution=32))


def test_a_folder_that_memory_does_not_hold_is_read_as_it_is_needed(copy, monkeypatch):
    config = MaskData(data=str(copy), resolution=32, batch_size=2)
    held = MaskFaces(config)
    monkeypatch.setattr(mask_faces, "IN_MEMORY", 100)
    read = MaskFaces(config)
    assert not isinstance(read.images, torch.Tensor)
    for seed in range(3):
        batches = (faces.draw(make_generator(seed)) for faces in (held, read))
        assert all(torch.equal(a, b) for a, b in zip(*(x.values() for x in batches), strict=True))
    ((image, mask),) = read.held_out(9, 4)
    assert torch.equal(mask, held.masks[held.held])
    assert torch.equal(image, next(held.held_out(9, 4))[0])
    for path in (copy / "CelebAMask-HQ-mask-anno" / "0").glob("00000_*.png"):
        path.unlink()
    with pytest.raises(TrainingError, match=r"picture 0: no part of it .* --read lists every gap"):
        MaskFaces(config)


def test_sample_factors_is_what_the_folder_was_made_of():
    """The seed of a folder is the seed of its portraits, which the comparison above relies on."""
    assert torch.equal(
        portraits(LayoutConfig(seed=5, size=32), 2).latents, sample_factors(2, 5, True).latents
    )
