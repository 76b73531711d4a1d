"""``l2l paint``, ``paint-scores`` and ``masks``, as typed; and the figures behind them."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import pytest
import torch
from conftest import write_manifest, write_world

from l2l_widgets.cli import main
from l2l_widgets.cli import paint as cli_paint
from l2l_widgets.evaluation.painting import DISTANCES, PER_FACE
from l2l_widgets.evaluation.painting_report import SHARES
from l2l_widgets.faceworld import render, sample_factors
from l2l_widgets.faceworld.dataset import DatasetConfig
from l2l_widgets.images import load_image, read_png_text, save_image
from l2l_widgets.maskgan import DenseMappingNetwork, MappingConfig, MaskGAN
from l2l_widgets.maskgan.celebamask_hq import KEEP_DEFECTS, LEAVE_GAPS
from l2l_widgets.masks import (
    LABELS,
    MASK_CLASSES,
    class_index,
    encode_mask,
    read_mask,
    resize_mask,
    to_order,
)
from l2l_widgets.models.zoo import load
from l2l_widgets.painting import AREA_FORMAT, load_painter
from l2l_widgets.painting.recipe import MAX_FILE, RECIPE, RECIPE_FORMAT
from l2l_widgets.perception import ParsingNet, save_network
from l2l_widgets.recipes import DEFAULT_WEIGHTS, mask_faces, perception, rendered

MOVED = ("moved_iou", "moved_iou_asked", "moved_identity")
NOTED = ("own_annotated", "true_annotated")
#: Of the weights that are shipped; it knows masks and draws nothing.
VAE = str(DEFAULT_WEIGHTS / "mask_vae.safetensors")


@pytest.fixture(scope="module")
def faces():
    return render(sample_factors(8, seed=3), 32)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder of models with an untrained MaskGAN and parser."""
    folder = write_world(tmp_path_factory.mktemp("paint") / "world")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_network(folder / "parser.safetensors", ParsingNet(width=4).eval())
        MaskGAN(DenseMappingNetwork(MappingConfig(32, 4, 2, 2, 4, 1))).save(
            folder / "maskgan.safetensors"
        )
    write_manifest(folder)
    return folder


@pytest.fixture
def files(faces, tmp_path):
    save_image(tmp_path / "a.png", faces.image[0])
    (tmp_path / "a_mask.png").write_bytes(encode_mask(faces.mask[0]))
    (tmp_path / "m.png").write_bytes(encode_mask(resize_mask(faces.mask[1], 512)))
    (tmp_path / "z.png").write_bytes(encode_mask(to_order(faces.mask[1], "bisenet")))
    return tmp_path


def paint(files, world, *words, mask="m.png"):
    return main([
        "paint", "--image", str(files / "a.png"), "--mask", str(files / mask),
        "--out", str(files / "b.png"), "--generator", str(world), *words,
    ])  # fmt: skip


def test_a_face_is_painted_and_replayed(files, world, capsys):
    words = ("--image-mask", str(files / "a_mask.png"), "--json")
    assert paint(files, world, *words) == 0
    anew = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert paint(files, world, *words, "--keep-outside") == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert 0 < told["change"]["area"] == anew["change"]["area"] < 1
    assert told["change"]["inside"] == pytest.approx(anew["change"]["inside"], abs=0.01)
    assert told["change"]["outside"] < 0.6 * anew["change"]["outside"], "what fades is left of it"
    drawn = load_image(files / "b.png", 512)
    again = ["paint", "--replay", str(files / "b.png"), "--out", str(files / "c.png")]
    assert main([*again, "--generator", str(world)]) == 0
    assert torch.equal(load_image(files / "c.png", 512), drawn)
    assert "inside the area" in capsys.readouterr().out


def test_a_mask_that_asks_for_nothing_says_so(files, world, capsys):
    words = ("--image-mask", str(files / "a_mask.png"))
    assert paint(files, world, *words, mask="a_mask.png") == 0
    told = capsys.readouterr().out
    assert "drawn anew by the painter, for " in told
    assert "asks for nothing else than what the face has already" in told
    assert paint(files, world, *words) == 0
    assert capsys.readouterr().out.endswith("outside the area as it was: --keep-outside\n")
    assert paint(files, world, *words, "--keep-outside") == 0
    assert "--keep-outside" not in capsys.readouterr().out


def test_parts_that_a_mask_lacks_are_named(files, faces, world, capsys):
    own = ("--image-mask", str(files / "a_mask.png"))
    bare = faces.mask[0].clone()
    bare[bare == class_index("nose")] = class_index("skin")
    new = next(i for i in range(19) if not (bare == i).any() and i != class_index("nose"))
    bare[:2] = new
    (files / "bare.png").write_bytes(encode_mask(bare))
    assert paint(files, world, *own, mask="bare.png") == 0
    assert f". Parts that the mask lacks: Nose. New parts: {LABELS[new]}" in capsys.readouterr().out
    (files / "blank.png").write_bytes(encode_mask(bare * 0))
    assert paint(files, world, *own, "--json", mask="blank.png") == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["gone"] == [MASK_CLASSES[i] for i in faces.mask[0].unique().tolist() if i]
    assert told["new"] == []
    assert paint(files, world, *own, mask="a_mask.png") == 0
    said = capsys.readouterr().out
    assert "Parts that" not in said
    assert "New parts" not in said


def test_the_parser_finds_the_mask_that_is_not_given(files, world, capsys):
    assert paint(files, world) == 0
    style = ("--style", str(files / "a.png"), "--style-mask", str(files / "a_mask.png"))
    assert paint(files, world, *style) == 0
    assert (files / "b.png").is_file()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("words", "mask", "message"),
    [
        ((), "missing.png", "--mask is"),
        ((), "z.png", "BiSeNet order"),
        ((), "a.png", "is no class"),
        (("--out", "b.txt"), "m.png", "ends in .png"),
        (("--weights", "no.safetensors"), "m.png", "--weights is 'no.safetensors': no such file"),
        (("--image-mask", "no.png"), "m.png", "--image-mask is 'no.png'"),
        (("--order", "bisenet"), "m.png", "m.png looks numbered in the official order"),
        (("--weights", VAE), "m.png", "mask_vae.safetensors', which holds no network that draws"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(files, world, capsys, words, mask, message):
    assert paint(files, world, *words, mask=mask) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (files / "b.png").exists()


def test_an_edit_of_the_sliders_is_seen_through_an_area(files, world, capsys):
    edited = ["edit", "--seed", "3", "--set", "smile=+0.2"]
    assert main([*edited, "--out", str(files / "e.png"), "--generator", str(world)]) == 0
    capsys.readouterr()
    words = ["paint", "--edit", str(files / "e.png"), "--mask", str(files / "a_mask.png")]
    words += ["--out", str(files / "o.png"), "--generator", str(world), "--json"]
    assert main(words) == 0
    seen = json.loads(capsys.readouterr().out.splitlines()[-1])["change"]
    assert main([*words, "--keep-outside"]) == 0
    kept = json.loads(capsys.readouterr().out.splitlines()[-1])["change"]
    assert kept["area"] == seen["area"] > 0
    assert kept["inside"] == pytest.approx(seen["inside"], abs=0.6)
    assert kept["outside"] < seen["outside"]
    drawn = load_image(files / "o.png", 512)
    again = ["paint", "--replay", str(files / "o.png"), "--out", str(files / "c.png")]
    assert main([*again, "--generator", str(world)]) == 0
    assert torch.equal(load_image(files / "c.png", 512), drawn)
    # no painter draws it, so one that is named would be passed over
    weights = ("--weights", str(world / "maskgan.safetensors"))
    (files / "o.json").write_text(read_png_text(files / "o.png")[RECIPE])
    capsys.readouterr()
    for saved in ("o.png", "o.json"):
        words = ["paint", "--replay", str(files / saved), "--out", str(files / "d.png"), *weights]
        assert main([*words, "--generator", str(world)]) == 2
        assert "--replay and --weights are both given; allowed: --replay alone" in (
            capsys.readouterr().err
        )
    assert not (files / "d.png").exists()


def test_the_formats_that_are_known_before_torch_are_those_of_painting():
    assert (cli_paint.CHUNK, cli_paint.PAINTING) == (RECIPE, RECIPE_FORMAT)
    assert (cli_paint.AREA, cli_paint.LARGEST) == (AREA_FORMAT, MAX_FILE)


def test_a_replay_needs_a_painter(files, world, tiny_world, capsys):
    assert paint(files, world, "--image-mask", str(files / "a_mask.png")) == 0
    again = ["paint", "--replay", str(files / "b.png"), "--out", str(files / "c.png")]
    assert main([*again, "--generator", str(tiny_world)]) == 2
    assert "have no MaskGAN" in capsys.readouterr().err
    assert main([*again, "--generator", str(world), "--weights", "no.safetensors"]) == 2
    assert "--weights is 'no.safetensors': no such file" in capsys.readouterr().err
    own = ("--weights", str(world / "maskgan.safetensors"))
    assert main([*again, "--generator", str(world), *own]) == 0
    assert torch.equal(load_image(files / "c.png", 512), load_image(files / "b.png", 512))


def test_the_other_order_is_read_on_request(files, world):
    (files / "a_mask.png").unlink()
    assert paint(files, world, "--order", "bisenet", mask="z.png") == 0


def test_models_without_a_maskgan_say_what_to_train(files, tiny_world, capsys):
    assert paint(files, tiny_world) == 2
    assert "l2l train mask-vae" in capsys.readouterr().err


def test_a_first_stage_that_is_listed_but_not_shipped_is_trained(tmp_path):
    from l2l_widgets.recipes import get_recipe, list_recipes
    from l2l_widgets.recipes.mask_ablations import _take

    known, said = list_recipes(), []
    folder = tmp_path / "shared"
    folder.mkdir()
    bare = tmp_path / "package"
    bare.mkdir()
    for file in ("MANIFEST.json", "regressor.safetensors"):
        shutil.copy(DEFAULT_WEIGHTS / file, bare / file)
    shutil.copy(bare / "regressor.safetensors", folder)
    assert _take(get_recipe("dense-mapping", known), known, bare, folder, said.append) is False
    assert said == []
    assert not (folder / "dense_mapping.safetensors").exists()


class _Faces(SimpleNamespace):
    def __len__(self):
        return len(self.images)


@pytest.fixture
def few(faces, monkeypatch):
    drawn = _Faces(images=((faces.image + 1) * 127.5).round().byte(), masks=faces.mask)
    config = DatasetConfig(count=8, seed=1, resolution=32, per_identity=2)
    few_sets = {"unseen": config, "identities": config}
    monkeypatch.setattr(rendered, "SETS", {**rendered.SETS, **few_sets})
    monkeypatch.setattr(perception, "HELD_OUT", 4)
    monkeypatch.setattr(mask_faces, "rendered_set", lambda name: drawn)
    monkeypatch.setattr(mask_faces, "set_side", lambda name: 32)
    asked = []

    def some(name, rows):
        asked.append((name, rows.tolist()))
        return drawn.images[rows], drawn.masks[rows]

    monkeypatch.setattr(rendered, "rows_of_set", some)
    return asked


def test_scores_are_one_command_and_a_report(few, world, tmp_path, capsys):
    words = ["paint-scores", "--faces", "8", "--out", str(tmp_path / "r")]
    assert main([*words, "--generator", str(world)]) == 0
    report = json.loads((tmp_path / "r" / "report.json").read_text())
    assert report["variants"]["whole"]["faces"] == 8
    assert -1 <= report["same_person_identity"] <= 1
    assert -1 <= report["same_mask_identity"] <= 1
    assert report["versions"]["torch"] == torch.__version__
    assert report["seconds"] > 0
    # one pair of each person whom the judge has not learned from, and none twice
    assert dict(few)["identities"] == [4, 6, 5, 7]
    assert sorted(dict(few)["unseen"]) == list(range(8))
    table = (tmp_path / "r" / "table.csv").read_text().splitlines()
    assert table[0] == "variant,measure,mean,low,high"
    assert {row.split(",")[1] for row in table[1:]} - {"asked_attributes"} == {
        *PER_FACE, "parser_iou", "parser_iou_asked", *DISTANCES, *SHARES,
    } - {*MOVED, *NOTED}, "no MaskVAE is there to move masks, nor notes of renders"  # fmt: skip
    assert "PREVIEW, 8 faces (unseen renders, seed 0)" in (tmp_path / "r" / "table.md").read_text()
    said = capsys.readouterr().out
    assert "edited_iou" in said
    assert "PREVIEW, n = 8 faces, seed 0" in said
    assert "chance decides most of them; --faces" in said, "4 faces a side tell nothing"
    kept = tmp_path / "r" / "variants" / "whole.json"
    scores = json.loads(kept.read_text())
    scores["scores"]["means"]["own_iou"] = 0.125  # no mean of eighths of faces
    kept.write_text(json.dumps(scores))
    assert main([*words, "--generator", str(world)]) == 0
    assert "0.125" in capsys.readouterr().out, "what was measured is not measured again"
    assert len(few) == 2, "and no face is drawn for it"
    assert main([*words, "--generator", str(world), "--seed", "1"]) == 0
    assert "0.125" not in capsys.readouterr().out, "of other faces it is"
    assert main([*words[:2], "9", *words[3:], "--generator", str(world)]) == 2
    assert "--faces is 9; allowed: up to 8" in capsys.readouterr().err


def test_ablations_draw_at_the_size_of_the_painter_or_are_refused_before_they_are_trained(
    few, world, tmp_path, monkeypatch, capsys
):
    from l2l_widgets.recipes import mask_ablations

    def would_train(*_, changes, **__):
        raise ValueError(f"it would train {changes}")

    monkeypatch.setattr(mask_ablations, "train_variants", would_train)
    words = ["paint-scores", "--ablations", "--faces", "8", "--generator", str(world)]
    words += ["--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "r")]
    assert main(words) == 2
    said = capsys.readouterr()
    assert "it would train {'resolution': 32}" in said.err, "the painter's size, not the recipes'"
    assert "draw 32 x 32 pixels" in said.out
    large = DatasetConfig(count=8, seed=1, resolution=64, per_identity=2)
    monkeypatch.setitem(rendered.SETS, "unseen", large)
    assert main(words) == 2
    assert "unseen renders have 64 pixels, the MaskGAN 32" in capsys.readouterr().err


@pytest.mark.slow
def test_ablations_are_trained_and_compared_by_one_command(
    few, world, tmp_path, monkeypatch, capsys
):
    from l2l_widgets.recipes import mask_ablations

    small = {"batch_size": 2, "sets": ["population"], "base": 4, "width": 4}
    train = mask_ablations.train_variants

    def tiny(weights, runs, *, changes, **rest):
        return train(weights, runs, changes={**changes, **small}, **rest)

    monkeypatch.setattr(mask_ablations, "train_variants", tiny)
    words = ["paint-scores", "--ablations", "--steps", "1", "--faces", "8", "--generator"]
    words += [str(world), "--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "r")]
    assert main(words) == 0
    report = json.loads((tmp_path / "r" / "report.json").read_text())
    assert set(report["variants"]) == {"whole", "no-edits", "no-sft", "no-blender"}
    assert set(report["whole_minus"]) == {"no-edits", "no-sft", "no-blender"}
    assert report["training"]["mapping_updates"] == dict.fromkeys(report["variants"], 1 + 2)
    plain = MaskGAN.load(tmp_path / "runs" / "no-sft" / "maskgan.safetensors")
    assert plain.mapping.config.sft is False
    assert MaskGAN.load(tmp_path / "runs" / "no-edits" / "maskgan.safetensors").blender is None
    assert "simulated edits against none" in capsys.readouterr().out
    shutil.rmtree(tmp_path / "r")
    # one of them, beside the whole, which another folder of weights has already: it is taken
    taken = shutil.copytree(tmp_path / "runs" / "whole", tmp_path / "published")
    for file in world.iterdir():
        if not (taken / file.name).exists():
            shutil.copy(file, taken)
    manifest = json.loads((taken / "MANIFEST.json").read_text())
    shared = json.loads((tmp_path / "runs" / "shared" / "MANIFEST.json").read_text())
    own = json.loads((world / "MANIFEST.json").read_text())
    (taken / "MANIFEST.json").write_text(json.dumps({**own, **shared, **manifest}))
    words[words.index("--ablations")] = "--ablations=no-edits"
    words[words.index(str(world))] = str(taken)
    words[words.index(str(tmp_path / "runs"))] = str(tmp_path / "again")
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "maskgan.safetensors taken from" in said
    assert "run-no-edits-mask-edit: trained" in said
    assert sorted(p.name for p in (tmp_path / "again").glob("run-*")) == ["run-no-edits-mask-edit"]
    for bad, message in [("no-such", "--ablations is 'no-such'; allowed: no-edits")]:
        words[words.index("--ablations=no-edits")] = f"--ablations={bad}"
        assert main(words) == 2
        assert message in capsys.readouterr().err


def test_a_folder_is_looked_through(tmp_path, capsys):
    assert main(["masks", str(tmp_path)]) == 2
    assert "has no folder CelebA-HQ-img" in capsys.readouterr().err
    from l2l_widgets.faceworld.celebamask import LayoutConfig
    from l2l_widgets.faceworld.layout_run import write_layout

    write_layout(tmp_path / "hq", LayoutConfig(seed=1, size=16), 1)
    assert main(["masks", str(tmp_path / "hq"), "--read"]) == 0
    assert "1 picture\n" in capsys.readouterr().out
    assert {LEAVE_GAPS, KEEP_DEFECTS} == {*cli_paint.KEPT}
    (tmp_path / "hq" / "CelebA-HQ-img" / "0.jpg").write_bytes(b"cut")
    assert main(["masks", str(tmp_path / "hq+defects+gaps"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["left_out"] == [0]
    assert main(["masks", str(tmp_path / "hq+more")]) == 2
    assert "hq+more'; there is no such folder" in capsys.readouterr().err


def test_the_mask_that_the_parser_sees_is_written_and_obeyed(capsys, tmp_path):
    face, mask = tmp_path / "face.png", tmp_path / "mask.png"
    assert main(["sample", "-n", "1", "--seed", "8", "--scale", "1", "--out", str(face)]) == 0
    assert main(["paint", "--image", str(face), "--read-mask", "--out", str(mask)]) == 0
    _, head, *rows = capsys.readouterr().out.splitlines()
    found = read_mask(mask)
    side = load_painter(load()).resolution
    assert len(found) == side
    assert f"a mask of {side} x {side} pixels, the size that the painter works at" in head
    counts = {i: int((found == i).sum()) for i in range(19)}
    said = [(int(row.split()[0]), row[6:18].strip(), int(row.split()[-1])) for row in rows]
    assert said == [(i, LABELS[i], counts[i]) for i in range(19)]
    words = ["paint", "--image", str(face), "--read-mask", "--out", str(mask), "--json"]
    assert main(words) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["size"] == [side, side]
    assert report["pixels"] == {str(i): count for i, count in counts.items()}
    assert report["classes"]["3"] == "Glasses"
    assert {1, 17} <= set(found.unique().tolist())
    obeyed = ["paint", "--image", str(face), "--mask", str(mask), "--out", str(tmp_path / "o.png")]
    assert main(obeyed) == 0
    assert "asks for nothing else than what the face has already" in capsys.readouterr().out
    assert main(["paint", "--read-mask", "--out", str(mask)]) == 2
    assert "--read-mask needs --image" in capsys.readouterr().err


def test_ablations_are_not_measured_on_what_they_learn_from(world, tmp_path, capsys):
    from l2l_widgets.faceworld.celebamask import LayoutConfig
    from l2l_widgets.faceworld.layout_run import write_layout

    write_layout(tmp_path / "hq", LayoutConfig(seed=1, size=32), 4)
    words = ["paint-scores", "--faces", "4", "--generator", str(world), "--data"]
    words += [str(tmp_path / "hq"), "--out", str(tmp_path / "r")]
    assert main([*words, "--ablations", "--runs", str(tmp_path / "runs")]) == 2
    assert "has no test split, and the ablations" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
    assert main(words) == 0
    assert json.loads((tmp_path / "r" / "report.json").read_text())["split"] == "all"
