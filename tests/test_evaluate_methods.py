"""A file of one's own beside the models' methods: measured, known by its hash, verified."""

from __future__ import annotations

import json
import shutil

import pytest
from conftest import build_generator
from editor_builders import BUILDERS

from l2l_widgets.cli import main
from l2l_widgets.cli.evaluate_methods import editors_of, sources_of
from l2l_widgets.models.zoo import load
from l2l_widgets.storage import sha256_file


def test_labels_of_methods_and_files() -> None:
    assert sources_of("mapper, mapper ,ridge=runs/a.safetensors") == {
        "mapper": "mapper", "mapper (2)": "mapper", "ridge": "file:runs/a.safetensors",
    }  # fmt: skip
    for text in ("mapper,mapper=a.safetensors", "x=a.safetensors,x=b.safetensors"):
        with pytest.raises(ValueError, match="twice; allowed: another LABEL"):
            sources_of(text)


def test_a_file_that_cannot_be_compared_is_one_line(tiny_world, tmp_path, capsys) -> None:
    base = ["evaluate", "--generator", str(tiny_world), "--out", str(tmp_path / "r"), "--methods"]
    for word, message in (
        ("=x.safetensors", "--methods holds '=x.safetensors'; allowed: NAME, or LABEL=FILE"),
        ("mine=", "--methods holds 'mine='"),
        (f"mine={tmp_path / 'none.safetensors'}", "no such file"),
    ):
        assert main([*base, word]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "r").exists()
    models = load(tiny_world)
    with pytest.raises(ValueError, match="holds no editor; allowed: a file that l2l train wrote"):
        editors_of(models, {"g": f"file:{tiny_world / 'generator.safetensors'}"}, 1, tmp_path)
    foreign = tmp_path / "interfacegan.safetensors"
    BUILDERS["interfacegan"](build_generator(), "0" * 64).save(foreign)
    with pytest.raises(ValueError, match="fitted for generator 000000000000"):
        editors_of(models, {"g": f"file:{foreign}"}, 1, tmp_path)


@pytest.mark.slow
def test_a_file_is_measured_beside_a_method_and_verified_by_its_hash(
    tiny_world, tmp_path, capsys
) -> None:
    file, out = tmp_path / "ridge.safetensors", tmp_path / "report"
    held = sha256_file(tiny_world / "generator.safetensors")
    BUILDERS["interfacegan"](build_generator(), held).save(file)
    words = [
        "evaluate", "--generator", str(tiny_world), "--methods", f"mapper,ridge={file}",
        "--attributes", "smile", "--faces", "3", "--parts", "request", "--truth-people", "0",
        "--no-figures", "--out", str(out), "--json",
    ]  # fmt: skip
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [row["method"] for row in found["methods"]] == ["mapper", "ridge"]
    assert found["trained_hashes"] == {"ridge": [sha256_file(file)]}
    assert found["command"].startswith("l2l evaluate --generator")
    again = ["verify", str(out), "--generator", str(tiny_world), "--rows", "20"]
    assert main(again) == 0
    assert "request, ridge, training seed 0" in capsys.readouterr().out
    shutil.copyfile(tiny_world / "mapper.safetensors", file)
    assert main(again) == 2
    assert "allowed: the file that it was made with" in capsys.readouterr().err
    # another file is not gone on with, either
    (out / "report.json").unlink()
    assert main(words) == 2
    assert "holds a run whose trained" in capsys.readouterr().err
