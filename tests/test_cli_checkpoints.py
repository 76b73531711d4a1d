"""`l2l info`, `l2l convert`, and foreign generators on the verbs that draw."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from l2l_widgets import cli
from l2l_widgets.models import zoo
from l2l_widgets.models.zoo import ZooError, load
from l2l_widgets.protocols import Generator as GeneratorProtocol
from l2l_widgets.protocols import InteractiveGenerator
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.stylegan2 import save_generator
from tests import checkpoint_files as files


@pytest.fixture
def official(tmp_path):
    path = tmp_path / "faces.pkl"
    path.write_bytes(files.nvlabs_bytes(files.make_generator(side=32)))
    return path


@pytest.fixture
def classes(tmp_path):
    path = tmp_path / "dogs.pkl"
    path.write_bytes(files.nvlabs_bytes(files.make_generator(c_dim=3)))
    return path


def run(capsys, *words):
    code = cli.main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def run_json(capsys, *words):
    code, out, err = run(capsys, *words, "--json")
    assert (code, err) == (0, "")
    return json.loads(out.splitlines()[-1])


def fails(capsys, *words):
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    return err


def test_info_as_text_and_as_json(capsys, official):
    report = run_json(capsys, "info", official)
    assert report["sha256"] == hashlib.sha256(official.read_bytes()).hexdigest()
    assert report["layout"] == "nvlabs"
    code, out, _ = run(capsys, "info", official)
    assert code == 0
    for words in ("StyleGAN2, skip generator, 32 px", "w+ (8 rows of 12)", report["sha256"]):
        assert words in out
    assert "needs an editing method" in out
    assert "it holds G, D, G_ema" in out


LAYOUTS = {
    "nvlabs": lambda path, g: path.write_bytes(files.nvlabs_bytes(g)),
    "tensorflow": lambda path, g: path.write_bytes(files.tensorflow_bytes(g)),
    "rosinality": lambda path, g: path.write_bytes(files.rosinality_bytes(g, zipped=False)),
    "state_dict": lambda path, g: path.write_bytes(files.torch_bytes(g.state_dict())),
    "own": save_generator,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_info_tells_of_every_layout_what_it_is_and_what_can_be_done(
    capsys, tmp_path, monkeypatch, layout
):
    monkeypatch.chdir(tmp_path)
    endings = {"rosinality": ".pt", "state_dict": ".pt", "own": ".safetensors"}
    path = tmp_path / f"my faces{endings.get(layout, '.pkl')}"
    LAYOUTS[layout](path, files.make_generator(side=16))
    report = run_json(capsys, "info", path.name)
    assert (report["layout"], report["architecture"]) == (layout, "StyleGAN2, skip generator")
    sizes = {"z_dim": 8, "w_dim": 12, "num_ws": 6, "img_resolution": 16, "img_channels": 3}
    assert {name: report[name] for name in sizes} == sizes
    assert report["spaces"] == {"z": [8], "w": [12], "w+": [6, 12]}
    assert report["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert report["provenance"] is None
    assert "its sha256 alone says whose it is" in run(capsys, "info", path.name)[1]
    # what it says can be done is done, by the very words
    can = report["can"]
    assert can["draw"]
    assert can["convert"]
    assert can["directions"]
    assert not can["edit"]
    np.save("FILE", np.ones((1, 12), np.float32))
    shutil.move("FILE.npy", "direction.npy")
    for ability, typed in can["commands"].items():
        words = shlex.split(typed.replace("FILE", "direction.npy"))
        assert words[0] == "l2l"
        code, _, err = run(capsys, *words[1:])
        if ability == "train":  # it wants judges of the reader's own
            assert (code, "--judge 'ATTRIBUTES': no such file" in err) == (2, True)
        else:
            assert (code, err) == (0, ""), typed
    made = {"sheet.png", "strip.png", "my faces.safetensors"}
    assert made <= {p.name for p in tmp_path.iterdir()}


def test_info_on_a_file_beside_a_manifest(capsys, tiny_world, tmp_path):
    report = run_json(capsys, "info", "faceworld-128")
    embedded = zoo.WEIGHTS / "faceworld-128" / "generator.safetensors"
    found = run_json(capsys, "info", embedded)
    assert found["sha256"] == report["hashes"]["generator"]
    told = found["provenance"]
    assert told["manifest"] == str(embedded.parent / "MANIFEST.json")
    assert (told["recipe"], told["sha256"]) == ("generator", found["sha256"])
    text = run(capsys, "info", embedded)[1]
    assert f"made by      recipe generator, seed {told['seed']}, steps {told['steps']}" in text
    # another file of the same name is not of that manifest
    path = tmp_path / "generator.safetensors"
    shutil.copy(embedded.parent / "MANIFEST.json", tmp_path)
    save_generator(path, files.make_generator())
    found = run_json(capsys, "info", path)
    assert found["provenance"] is None
    assert "is of another file of this name" in found["notes"][-1]
    for broken in ("[]", "{", '{"generator.safetensors": 3}', "[" * 100_000):
        (tmp_path / "MANIFEST.json").write_text(broken, encoding="utf-8")
        assert run_json(capsys, "info", path)["notes"] == []


def test_errors_call_a_generator_by_the_word_that_was_typed(capsys, tmp_path):
    assert "info: PATH: " in fails(capsys, "info", tmp_path)
    assert "convert: SRC: " in fails(capsys, "convert", tmp_path, tmp_path / "x.safetensors")
    err = fails(capsys, "sample", "--generator", tmp_path, "--out", tmp_path / "s.png")
    assert "sample: --generator: " in err


def test_memory_is_stated_before_it_is_taken(capsys, official, monkeypatch, tmp_path):
    report = run_json(capsys, "info", official)
    assert report["available_mb"] > report["drawing_mb"] > report["weights_mb"]
    assert "memory " not in run(capsys, "info", official)[1]
    for place in ("describing", "generator_file"):
        monkeypatch.setattr(f"l2l_widgets.checkpoints.{place}.available_memory", lambda: 50 << 20)
    said = f"about {report['drawing_mb']} MB"
    out = run(capsys, "info", official)[1]
    assert said in out
    assert "too little for that: 50 MB are free" in out
    models = load(official)
    assert "generator" not in models.loaded
    with pytest.warns(UserWarning, match=f"{said} of memory, 50 MB are free"):
        assert models.generator.img_resolution == 32  # said, and done all the same
    with warnings.catch_warnings():
        warnings.simplefilter("always")  # as outside of tests, where none is an error
        code, _, err = run(capsys, "sample", "--generator", official, "--out", tmp_path / "s.png")
    assert code == 0
    assert err.count("50 MB are free") == 1
    assert "generator_file.py" not in err, "the line is for people"


def test_info_on_models(capsys, tiny_world):
    report = run_json(capsys, "info", tiny_world)
    assert report["can"]["edit"] is True
    assert "mapper" in report["editors"]
    text = run(capsys, "info", tiny_world)[1]
    assert text.startswith("tiny-world: ")
    rows, width = report["latents"]["w+"]
    assert f"w+ ({rows} rows of {width})" in text
    assert f"draws        {report['resolution']} x {report['resolution']} pixels" in text
    assert report["attributes"] == 35
    assert report["bytes"]["generator.safetensors"] > 0
    # the names of these models, not of the embedded ones
    assert f"their names: l2l attributes --generator {tiny_world})" in text
    assert "(their names: l2l attributes)" in run(capsys, "info", "faceworld-128")[1]


def test_info_on_the_embedded_models_names_every_network(capsys):
    report = run_json(capsys, "info", "faceworld-128")
    named = {*report["parts"], *report["editors"], *report["more"], *report["only_trained"]}
    files = {
        "judge_regressor.safetensors": "attribute_judge",
        "judge_regressor_b.safetensors": "attribute_judge_b",
        "judge_embedder.safetensors": "identity_judge",
    }
    listed = [file for file in load("faceworld-128").manifest if file.endswith(".safetensors")]
    assert len(listed) > 12
    assert {files.get(file, file.removesuffix(".safetensors")) for file in listed} == named
    text = run(capsys, "info", "faceworld-128")[1]
    assert [name for name in sorted(named) if name not in text] == []


def test_convert_takes_the_generator_of_models_by_name_or_folder(capsys, tiny_world, tmp_path):
    for name in ("faceworld-128", tiny_world):
        target = tmp_path / "generator.safetensors"
        report = run_json(capsys, "convert", name, target, "--overwrite")
        assert report["provenance"]["source"] == "generator.safetensors"
        latents = run_json(capsys, "info", name)["latents"]
        assert run_json(capsys, "info", target)["spaces"] == latents
    err = fails(capsys, "convert", "faceworld-63", tmp_path / "x.safetensors")
    assert "no models are called so (did you mean faceworld-128?)" in err


def test_convert_and_draw_the_same_picture(capsys, official, tmp_path):
    target = tmp_path / "faces.safetensors"
    report = run_json(capsys, "convert", official, target)
    assert report["bytes"] == target.stat().st_size
    told = run_json(capsys, "info", target)
    assert told["provenance"] == report["provenance"]
    assert "from faces.pkl" in run(capsys, "info", target)[1]
    sheets = [
        run_json(capsys, "sample", "-n", 2, "--generator", path, "--out", tmp_path / "s.png")
        for path in (official, target)
    ]
    assert sheets[0]["pixels_sha256"] == sheets[1]["pixels_sha256"]
    assert "is there already" in fails(capsys, "convert", official, target)
    code, out, _ = run(capsys, "convert", official, target, "--overwrite")
    assert code == 0
    assert "read back equal to the bit" in out


def test_a_foreign_generator_draws_what_its_network_draws(capsys, official, tmp_path):
    report = run_json(
        capsys, "edit", "--generator", official, "--seed", 4, "--scale", 1,
        "--out", tmp_path / "face.png",
    )  # fmt: skip
    assert report["receipt"] is None
    generator = files.make_generator(side=32)
    session = EditSession(zoo.Models.from_parts(generator), seed=4)
    wanted = session.render().after.clamp(-1, 1).add(1).mul(127.5).round().permute(1, 2, 0)
    found = np.asarray(Image.open(tmp_path / "face.png"))
    assert np.abs(found.astype(int) - wanted.numpy()).max() <= 1
    assert found.std() > 5


def test_edits_on_a_lone_generator_name_what_is_missing(capsys, official, tmp_path):
    out = tmp_path / "x.png"
    err = fails(capsys, "edit", "--generator", official, "--set", "age=+0.3", "--out", out)
    for words in ("'faces' lack", "an editing method", "a judge of attributes", "of identity"):
        assert words in err
    err = fails(capsys, "edit", "--generator", official, "--set", "age=0.8", "--out", out)
    assert "needs an attribute regressor" in err
    code, text, _ = run(capsys, "edit", "--generator", official, "--out", out)
    assert code == 0
    assert "no receipt: 'faces' lacks a judge of attributes and a judge of identity" in text


def test_classes_are_chosen(capsys, classes, tmp_path):
    sheet = tmp_path / "sheet.png"
    words = ("sample", "-n", 1, "--generator")
    assert "which of its 3 classes, 0 to 2" in fails(capsys, *words, classes, "--out", sheet)
    assert "allowed: 0 to 2" in fails(capsys, *words, f"{classes}#class=3", "--out", sheet)
    first = run_json(capsys, *words, f"{classes}#class=0", "--out", sheet)
    same = run_json(capsys, *words, classes, "--class", 0, "--out", sheet)
    other = run_json(capsys, *words, classes, "--class", 2, "--out", sheet)
    assert first["pixels_sha256"] == same["pixels_sha256"] != other["pixels_sha256"]
    assert other["models"] == "dogs-class2"
    err = fails(capsys, "sample", "--class", 1, "--out", sheet)
    assert "--class is for a --generator that has classes" in err


def test_a_class_has_no_place_where_there_are_none(capsys, official, tmp_path):
    words = ("sample", "--generator", official, "--class", 1, "--out", tmp_path / "s.png")
    assert "this generator has no classes" in fails(capsys, *words)


def test_one_class_keeps_the_protocol(classes):
    models = load(f"{classes}#class=1")
    generator = models.generator
    assert isinstance(generator, GeneratorProtocol)
    assert isinstance(generator, InteractiveGenerator)
    z = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    c = torch.eye(3)[[1, 1]]
    wanted = files.make_generator(c_dim=3).mapping(z, 0.6, c=c)
    assert torch.allclose(generator.mapping(z, truncation_psi=0.6), wanted, atol=1e-6)
    assert models.hashes != load(f"{classes}#class=2").hashes


def test_recipes_of_a_foreign_generator_replay(capsys, official, tmp_path):
    face = tmp_path / "face.png"
    first = run_json(capsys, "edit", "--generator", official, "--seed", 9, "--out", face)
    again = run_json(
        capsys, "replay", face, "--generator", official, "--out", tmp_path / "again.png"
    )
    assert again["pixels_sha256"] == first["pixels_sha256"]


def test_a_file_that_changes_or_is_another_is_not_drawn(official):
    models = load(official)
    sha = models.hashes["generator"]
    assert load(f"{official}#sha256={sha.upper()}").hashes["generator"] == sha
    official.write_bytes(files.nvlabs_bytes(files.make_generator(seed=2, side=32)))
    with pytest.raises(ValueError, match="has changed since it was opened"):
        _ = models.generator
    with pytest.raises(ZooError, match="it is another file"):
        load(f"{official}#sha256={sha}")


def test_bad_files_are_one_line(capsys, tmp_path):
    page = tmp_path / "page.pkl"
    page.write_text("<html>Sign in</html>")
    for words in (
        ("info", page),
        ("convert", page, tmp_path / "x.safetensors"),
        ("sample", "--generator", page, "--out", tmp_path / "s.png"),
    ):
        assert "a web page, not a model" in fails(capsys, *words)
    assert not (tmp_path / "x.safetensors").exists()
    assert "no such file" in fails(capsys, "info", tmp_path / "none.pkl")
    assert "it is another file" in fails(capsys, "info", f"{page}#sha256={'0' * 64}")
    err = fails(capsys, "convert", page, tmp_path / "x.pt")
    assert "ends in .safetensors" in err
