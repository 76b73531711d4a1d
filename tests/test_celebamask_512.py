"""The commands of `docs/painting.md` for the real data set, at its size, with narrow networks."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from PIL import Image

from l2l_widgets.cli import _build_parser, main
from l2l_widgets.faceworld.celebamask import LayoutConfig
from l2l_widgets.faceworld.layout_run import write_layout
from l2l_widgets.recipes import DEFAULT_WEIGHTS, build_task, get_recipe

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "painting.md").read_text("utf-8")
SECTION = PAGE.partition("## On the real CelebAMask-HQ")[2]
#: Numbers in CelebA: two to train on, one to watch, four to measure.
NUMBERS = (1, 2, 162_771, 182_638, 182_639, 182_640, 182_641)
NARROW = {
    "mask-vae": {"width": 2, "latent_dim": 4, "batch_size": 1},
    "dense-mapping": {"base": 2, "style_base": 2, "discriminator_width": 2},
    "mask-edit": {"base": 2, "style_base": 2, "discriminator_width": 2},
}


def commands():
    (block,) = re.findall(r"```text\n(.*?)```", SECTION, flags=re.DOTALL)
    return [shlex.split(line)[1:] for line in block.splitlines()]


def test_every_command_and_every_option_of_the_table_is_one_that_there_is():
    lines = commands()
    assert [words[0] for words in lines] == ["masks", "train", "train", "train", "paint-scores"]
    for words in lines:
        assert _build_parser(words[0]).parse_args(words).verb == words[0]
    configs = [get_recipe(name).config for name in ("dense-mapping", "mask-vae")]
    rows = re.findall(r"^\| [^|]+ \| ([^|]*) \| ([^|]*) \|", SECTION, flags=re.MULTILINE)
    found = {}
    for options, default in rows[1:]:  # below the head
        for name in re.findall(r"`(\w+)(?:=\w+)?`", options):
            owner = next((config for config in configs if hasattr(config, name)), None)
            if owner is not None:
                found[name] = getattr(owner, name), default.replace("`", "")
    assert {"adversary", "kl_reduction", "reader", "pixel_weight", "adversary_after"} < found.keys()
    for name, (value, said) in found.items():
        if name != "learning_rate":  # stands beside the batch's size
            text = f"{value:g}" if isinstance(value, float) else str(value).lower()
            assert re.split("[,;]", said)[0] == text, name


@pytest.fixture
def folder(tmp_path):
    """A folder as the real one is: pictures of 1,024 pixels, parts of 512, no sign of renders."""
    write_layout(tmp_path / "hq", LayoutConfig(seed=1, size=32), len(NUMBERS))
    for path in (tmp_path / "hq" / "CelebA-HQ-img").glob("*.jpg"):
        Image.open(path).resize((1024, 1024)).save(path)
    (tmp_path / "hq" / "render.json").unlink()
    rows = [f"{i} {number} {number:06d}.jpg" for i, number in enumerate(NUMBERS)]
    table = tmp_path / "hq" / "CelebA-HQ-to-CelebA-mapping.txt"
    table.write_text("\n".join(["idx orig_idx orig_file", *rows]) + "\n")
    return tmp_path


def test_a_reader_that_has_seen_renders_alone_is_named_before_it_looks_at_photographs(folder):
    changes = {"data": str(folder / "hq"), "resolution": 32, **NARROW["dense-mapping"]}
    with pytest.warns(UserWarning, match=r"holds no renders, and the perceptual loss looks"):
        build_task(get_recipe("dense-mapping").replace(**changes), DEFAULT_WEIGHTS)
    (folder / "hq" / "render.json").write_text("{}")
    build_task(get_recipe("dense-mapping").replace(**changes), DEFAULT_WEIGHTS)  # no warning


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_the_commands_run_at_512_pixels(folder, capsys):
    mine, runs = folder / "mine", folder / "runs"
    mine.mkdir()
    shutil.copy(DEFAULT_WEIGHTS / "regressor.safetensors", mine)
    for words in commands():
        words = [w.replace("DIR", str(folder / "hq")).replace("MINE", str(mine)) for w in words]
        if words[0] == "train":
            words = [w for w in words if w != "reader=vgg19.pth"]
            words = [w for w, after in zip(words, [*words[1:], ""], strict=True)
                     if not (w == "--set" and after == "--set")]  # fmt: skip
            for name, value in {**NARROW[words[1]], "precision": "no", "device": "cpu"}.items():
                words += ["--set", f"{name}={value}"]
            words += ["--steps", "1", "--run", str(runs / words[1])]
        if words[0] == "paint-scores":
            words[words.index("1000")] = "4"
            words[words.index("report")] = str(folder / "report")
        assert main(words) == 0, words
        said = capsys.readouterr()
        assert ("reader=FILE" in said.err) == (words[1] in ("dense-mapping", "mask-edit"))
        if words[0] == "masks":
            assert "train 2, val 1, test 4" in said.out
    assert "learned from renders alone" in said.err
    report = json.loads((folder / "report" / "report.json").read_text())
    assert (report["split"], report["resolution"], report["faces"]) == ("test", 512, 4)
    means = report["variants"]["whole"]["means"]
    assert means["own_annotated"] >= 0
    assert "moved_iou" in means, "the MaskVAE of 512 pixels beside the weights, not the models'"
    (code,) = re.findall(r"```python\n(.*?)```", SECTION, flags=re.DOTALL)
    code = code.replace("MINE", str(mine)).replace("DIR", str(folder / "hq"))
    *lines, last = code.strip().splitlines()
    names: dict = {}
    exec("\n".join([*lines, f"view = {last}"]), names)  # the page's own lines
    assert names["view"].schema["side"] == 512
    assert names["view"].schema["can_walk"]
    names["view"].close()
