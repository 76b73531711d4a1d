"""The model card: measured on a small world, written whole, and measured once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from conftest import write_manifest, write_world

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.cli import main
from l2l_widgets.evaluation.detection import DetectorError
from l2l_widgets.evaluation.report import Protocol
from l2l_widgets.faceworld import sample_factors
from l2l_widgets.faceworld.dataset import DatasetConfig, FaceDataset, render_dataset
from l2l_widgets.faceworld.version import WORLD, known_flaws
from l2l_widgets.images import load_image
from l2l_widgets.maskgan import MaskGAN
from l2l_widgets.maskgan.mask_vae import MaskVAE, MaskVAEConfig
from l2l_widgets.maskgan.networks import DenseMappingNetwork, MappingConfig
from l2l_widgets.models.zoo import load
from l2l_widgets.perception import ParsingNet, save_network
from l2l_widgets.recipes import cards, mask_scores, rendered
from l2l_widgets.recipes.card_sections import TRAINING
from l2l_widgets.recipes.card_text import _history, _limits, _shares, card
from l2l_widgets.recipes.manifest_worlds import outdated, worlds
from l2l_widgets.recipes.mapper_text import command, mapper_section, misses
from l2l_widgets.storage import save_safetensors

#: File -> the recipe that makes it, where that is not its name.
RECIPES = {"mask_vae": "mask-vae", "maskgan": "mask-edit"}


class _Set(SimpleNamespace):
    def __len__(self):
        return len(self.images)


def small(name, resolution=32):
    """A set of noise with true factors; as large as the tiny world's networks."""
    source = torch.Generator().manual_seed(len(name))
    size = (48, resolution, resolution)
    return _Set(
        images=torch.randint(256, (48, 3, *size[1:]), dtype=torch.uint8, generator=source),
        masks=torch.randint(19, size, dtype=torch.uint8, generator=source),
        landmarks=torch.rand(48, 68, 2, generator=source) * resolution,
        factors=sample_factors(48, seed=len(name)),
    )


def some(name, rows):
    """Pictures and masks of such a set."""
    faces = small(name)
    return faces.images[rows % 48], faces.masks[rows % 48]


def write_card_world(folder):
    """Untrained weights of every kind, and the manifest that recipes publish, of two worlds."""
    write_world(folder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_network(folder / "parser.safetensors", ParsingNet(width=4).eval())
        vae = MaskVAE(MaskVAEConfig(32, 4, 2, 8))
        MaskGAN(vae=vae).save(folder / "mask_vae.safetensors")
        MaskGAN(DenseMappingNetwork(MappingConfig(32, 4, 2, 2, 4, 1))).save(
            folder / "maskgan.safetensors"
        )
    write_manifest(folder)
    manifest = json.loads((folder / "MANIFEST.json").read_text())
    for file, entry in manifest.items():
        name = file.removesuffix(".safetensors")
        entry |= {
            "recipe": RECIPES.get(name, name), "steps": 3, "seed": 1, "scores": {},
            "config": {"world": WORLD}, "inputs": {},
        }  # fmt: skip
    steps = {"mapping_steps": 1, "distil_steps": 1, "paired_steps": 1, "world": WORLD}
    manifest["generator_base.safetensors"] = {
        "recipe": "generator_base", "steps": 21, "seed": 1, "scores": {}, "config": steps,
        "kind": "generator", "sha256": "0" * 64, "intermediate": True,
    }  # fmt: skip
    own = {name: entry["sha256"] for name, entry in manifest.items()}
    manifest["mapper.safetensors"] |= {
        "config": {
            "topology": "flat", "layers": 2, "hidden_dim": 256, "output": "residual",
            "null": "symmetric", "others_budget": 0.0375,
        },
        "inputs": {name: own[name] for name in ("generator.safetensors", "regressor.safetensors")},
    }  # fmt: skip
    manifest["parser.safetensors"]["config"] = {"world": WORLD - 1}
    manifest["mask_vae.safetensors"]["config"] = {"sets": ["population"]}
    manifest["maskgan.safetensors"] |= {
        "config": {"sets": ["population"]}, "inputs": {"regressor.safetensors": "another"},
    }  # fmt: skip
    (folder / "MANIFEST.json").write_text(json.dumps(manifest))
    return folder


def report_of(**changes):
    """What a comparison says of a mapper that misses some goals."""
    row = {
        "attribute": "age", "faces": 2, "achieved_median": 0.6, "achieved_median_low": 0.5,
        "achieved_median_high": 0.65, "others_mean": 0.06, "others_mean_low": 0.04,
        "others_mean_high": 0.07, "identity_similarity": 0.9, "cycle_error_mean": 0.02,
        "cycle_error_mean_low": 0.01, "cycle_error_mean_high": 0.03,
        "ensemble_achieved_median": 0.8, "ensemble_others_mean": 0.03,
        "identity_placement_score": None,
    }  # fmt: skip
    good = {**row, "attribute": "hat", "achieved_median": 0.9, "others_mean": 0.01}
    method = {
        **row, "method": "mapper", "others_mean": 0.0512, "null_error": 0.001,
        "milliseconds_per_edit": 0.7,
    }  # fmt: skip
    return {
        "protocol": {"faces": 2, "seed": 1, "request": 0.3, "draws": 1000},
        "plan": {"parts": ["request"], "truth_people": 60}, "stamp": "PREVIEW, n = 2 faces",
        "identity_anchors": {"same": {"age": 0.9}}, "methods": [method],
        "attributes": [row, good], **changes,
    }  # fmt: skip


@pytest.fixture
def world(tmp_path, monkeypatch):
    """The folder, small sets, and few faces."""
    monkeypatch.setattr(rendered, "rendered_set", small)
    monkeypatch.setattr(rendered, "rows_of_set", some)
    people = (small("identities").images, torch.arange(48) // 4)
    monkeypatch.setattr(rendered, "end_of_set", lambda name, count: people)
    monkeypatch.setattr(cards, "SEARCHED", 2)
    for module in (cards, mask_scores):
        monkeypatch.setattr(module, "PAINTED", 4)
    alike = {"else_different": [0.5, 0.6], "same_mask": [0.8, 0.9]}
    monkeypatch.setattr(mask_scores, "same_person_likeness", lambda identity: alike)
    monkeypatch.setattr(cards, "PAPER_EIGHT", ("age", "smile"))
    really = cards.score_mapper
    monkeypatch.setattr(
        cards, "score_mapper",
        lambda models, attributes, faces, people, *rest: really(
            models, attributes[:2], 2, min(people, 2), *rest
        ),
    )  # fmt: skip
    return write_card_world(tmp_path / "weights")


PARTS = (
    "readers", "embedders", "detection", "parser", "mask_vae", "painting", "mapper_all", "mapper",
    "generator",
)  # fmt: skip


def measured(said):
    return [line for line in said if line.startswith("measuring")]


@pytest.mark.slow
def test_a_card_carries_every_figure_and_is_measured_once(world, monkeypatch):
    said = []
    scores = cards.make_cards(world, said.append, faces=40)
    assert len(measured(said)) == len(PARTS)
    assert set(PARTS) == set(scores["made_by"])
    assert json.loads((world / "scores.json").read_text()) == scores
    text = (world / "CARD.md").read_text(encoding="utf-8")
    for title in (
        "Files", "Generator", "Regressors and their judge", "Embedders", "Parser",
        "Mask autoencoder", "Mask to face", "The mapper", "In the browser", "Training", "Limits",
    ):  # fmt: skip
        assert f"## {title}\n" in text
    assert (
        cards.card("w", json.loads((world / "MANIFEST.json").read_text()), {}).count(
            "Not measured: `l2l train cards`"
        )
        == len(PARTS) - 1
    ), "detection is named in its own words"
    own = scores["generator"]
    assert own["faces"] == 40
    assert f"`frechet_judge_32px_0.04k` | {own['frechet_distance']} |" in text
    assert f"| ratio of the two | {own['frechet_ratio']} |" in text
    assert set(own["share"]) == set(own["spread_ratio"]) == set(DEFAULT_TABLE.names)
    assert f"{own['share']['hat']['real']:.3f} |" in text
    assert f"{own['memorisation']['population']['features']['ratio']:.3f} [" in text
    assert scores["detection"]["faces"] == 2
    assert set(scores["readers"]) == {"attribute_judge", "regressor", "regressor_b"}
    for name, reader in scores["readers"].items():
        assert f"- {name}: R² of at least 0.9" in text
        assert sum(reader["attributes"]["age"]["count"]) == 48
    assert set(scores["embedders"]) == {"embedder", "identity_judge"}
    for name, found in scores["embedders"].items():
        assert (found["people"], found["pictures"]) == (12, 48)
        rate = f"{found['true_accept_rate']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"
        assert f"| {name} | {rate} |" in text
    assert "12 people whom no recipe learned from, in 48 renders" in text
    assert scores["parser"]["faces"] == 48
    assert f"mean error {scores['parser']['landmark_error']:.4f} of the distance" in text
    assert f"{scores['mask_vae']['mask_accuracy']:.3f} of the pixels keep" in " ".join(text.split())
    assert f"| {scores['painting']['means']['own_iou']:.3f} [" in text
    assert "--seed 1 --parts request --truth-people 2 --out report`" in text
    assert "PREVIEW, n = 2 faces, face seed 1" in " ".join(text.split())
    # two spaces, two rows each of twelve pairs, twice as large
    sheet = load_image(world / "neighbours.png", 64)
    assert sheet.shape == (1, 3, 64, 64)
    assert (world / "reliability.png").stat().st_size > 10_000
    said.clear()
    assert cards.make_cards(world, said.append, faces=40) == scores
    assert said == []
    # one file changes: what was measured without it stays
    manifest = json.loads((world / "MANIFEST.json").read_text())
    with torch.random.fork_rng():
        torch.manual_seed(5)
        save_network(world / "parser.safetensors", ParsingNet(width=4).eval())
    write_manifest(world)
    again = json.loads((world / "MANIFEST.json").read_text())
    manifest["parser.safetensors"]["sha256"] = again["parser.safetensors"]["sha256"]
    (world / "MANIFEST.json").write_text(json.dumps(manifest))
    cards.make_cards(world, said.append, faces=40)
    assert measured(said) == ["measuring the parser", "measuring the painter"]
    # and so does what was there when a run was stopped
    said.clear()
    known = json.loads((world / "scores.json").read_text())
    del known["mask_vae"]
    known["made_by"]["detection"]["world"] = 0
    (world / "scores.json").write_text(json.dumps(known))
    cards.make_cards(world, said.append, faces=40)
    assert measured(said) == ["measuring faces and eyes", "measuring the mask autoencoder"]


@pytest.mark.slow
def test_without_a_detector_the_card_says_so_and_the_rest_is_measured(world, monkeypatch):
    def missing(*_):
        raise DetectorError("counting faces needs a library")

    monkeypatch.setattr(cards, "score_detection", missing)
    said = []
    scores = cards.make_cards(world, said.append, faces=40)
    assert "not measured: counting faces needs a library" in said
    assert "detection" not in scores
    assert "mapper_all" in scores
    assert "not measured (needs `l2l-widgets[detect]`)" in (world / "CARD.md").read_text()


def test_a_fault_in_the_text_shows_before_anything_is_measured(world, monkeypatch):
    def broken(*_):
        raise RuntimeError("a word is missing")

    monkeypatch.setattr(cards, "card", broken)
    said = []
    with pytest.raises(RuntimeError, match="a word is missing"):
        cards.make_cards(world, said.append, faces=40)
    assert said == []
    assert not (world / "scores.json").exists()


@pytest.mark.slow
def test_the_command_beside_a_figure_gives_that_figure(tmp_path, capsys):
    """By one code path, at the same settings; a name of faceworld lets the command draw people."""
    folder = write_card_world(tmp_path / "faceworld-tiny")
    report = cards.score_mapper(load(folder), ("smile",), 4, 2)
    words = command("smile", report).split()[1:]
    words[words.index("report")] = str(tmp_path / "report")
    assert main([*words, "--generator", str(folder), "--no-figures", "--json"]) == 0
    typed = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert typed["protocol"] == report["protocol"]
    assert typed["identity_anchors"] == report["identity_anchors"]
    assert typed["attributes"] == report["attributes"]
    took = "milliseconds_per_edit"
    for one, other in zip(typed["methods"], report["methods"], strict=True):
        assert {**one, took: 0} == {**other, took: 0}


def test_the_cards_protocol_is_what_the_command_uses_when_it_is_not_told():
    assert Protocol(("age",), 500, seed=cards.FACE_SEED).draws == Protocol().draws
    assert command("paper", report_of()) == (
        "l2l evaluate --attributes paper --faces 2 --seed 1 --parts request --out report"
    )


# -- words -----------------------------------------------------------------------------------------


def test_a_mapper_is_held_against_its_goals_with_intervals_and_misses():
    report = report_of()
    text = mapper_section("Title", "paper", report)
    assert "PREVIEW, n = 2 faces." in text
    assert "| age | 2 | 0.60 [0.50, 0.65] | - | - | 0.060 [0.040, 0.070] | - | 0.90 | - |" in text
    assert "| all together |" in text
    assert "| achieved | >= 0.7 | 0.6 [0.5, 0.65] | - | no |" in text
    assert "| milliseconds of one edit | <= 1 | 0.7 | - | yes |" in text
    # 0.7 is outside age's interval, 0.05 inside it
    assert misses(report) == {
        "achieved >= 0.7": ["age 0.60"], "others <= 0.05": ["age 0.060 (within chance)"],
    }  # fmt: skip
    hidden = {**report["attributes"][1], "achieved_median_rise": 0.63, "achieved_median_fall": 2.9}
    assert misses(report_of(attributes=[hidden])) == {"achieved >= 0.7 on rises": ["hat 0.63"]}
    assert "Of 2 attributes, those that miss a goal:\n\n- Not achieved >= 0.7: age 0.60." in text
    fine = report_of(attributes=report["attributes"][1:])
    assert "Every attribute reaches every goal." in mapper_section("Title", "paper", fine)
    assert "at most n = 60 people" in " ".join(text.split())
    unplaced = report_of(plan={"parts": ["request"], "truth_people": 0})
    assert "was not asked for" in mapper_section("Title", "all", unplaced)


def test_files_of_another_world_are_named_by_what_the_manifest_says(tmp_path):
    manifest = json.loads((write_card_world(tmp_path / "w") / "MANIFEST.json").read_text())
    found = worlds(manifest)
    assert found["mapper.safetensors"] == WORLD, "what it was made from tells its world"
    assert found["parser.safetensors"] == WORLD - 1
    assert found["mask_vae.safetensors"] is None
    assert outdated(manifest, WORLD) == {
        "parser.safetensors": f"world {WORLD - 1}",
        "mask_vae.safetensors": "its settings name no world",
        "maskgan.safetensors": "its settings name no world; made with another "
        "`regressor.safetensors` than the one here",
    }
    text = " ".join(card("w", manifest, {}).split())
    assert f"today's renderer draws world {WORLD}" in text
    assert f"`parser.safetensors` (world {WORLD - 1})" in text
    assert "generator (not shipped: only recipes read it)" in text
    for file in outdated(manifest, WORLD):
        del manifest[file]
    assert "Every file is of that world" in " ".join(card("w", manifest, {}).split())


def test_an_input_of_an_older_world_makes_a_file_older():
    old = {"sha256": "1", "config": {"world": 2}, "inputs": {}}
    new = {"sha256": "2", "config": {}, "inputs": {"old": "1"}}
    photos = {"sha256": "3", "config": {"data": "photos"}, "inputs": {}}
    assert outdated({"old": old, "new": new, "photos": photos}, 3) == {
        "old": "world 2", "new": "world 2",
    }  # fmt: skip


def test_a_dry_run_of_the_card_measures_and_writes_nothing(world, capsys):
    before = {path: path.read_bytes() for path in sorted(world.iterdir())}
    assert main(["train", "cards", "--dry-run", "--weights", str(world), "--json"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["parts"]["readers"] == said["parts"]["generator"] == "measure"
    assert {path: path.read_bytes() for path in sorted(world.iterdir())} == before


@pytest.mark.parametrize("option", [["--steps", "3"], ["--set", "faces=3"], ["--publish"]])
def test_what_says_nothing_to_a_card_is_refused(world, option, capsys):
    assert main(["train", "cards", *option, "--weights", str(world)]) == 2
    assert f"{option[0]} says nothing to cards" in capsys.readouterr().err
    assert not (world / cards.SCORES).exists()


def test_the_tests_that_the_card_names_are_there():
    named = [word.strip("`.:") for word in TRAINING.split() if "::" in word]
    assert len(named) == 2
    for name in named:
        file, test = name.split("::")
        assert f"def {test}(" in (Path(__file__).parents[1] / file).read_text()


@pytest.mark.slow
def test_copies_of_the_larger_renders_are_looked_for_too(world, monkeypatch):
    models = load(world)
    sets = {"large": SimpleNamespace(resolution=models.generator.img_resolution)}
    monkeypatch.setattr(rendered, "SETS", sets)
    monkeypatch.setattr(cards, "NEIGHBOURS", 12)
    found = cards.score_generator(models, world, 16)["memorisation"]
    assert set(found) == {"population", "large"}
    assert found["large"]["training_faces"] == 48
    assert found["large"]["pixels"] != found["population"]["pixels"]


def test_shares_that_are_off_are_named():
    share = {"fake": 0.1, "low": 0.05, "high": 0.15, "real": 0.2, "ratio": 0.5}
    near = {"fake": 0.1, "low": 0.05, "high": 0.18, "real": 0.2, "ratio": 0.5}
    never = {"fake": 0.1, "low": 0.05, "high": 0.18, "real": 0.0, "ratio": None}
    text = _shares({"age": share, "hat": near, "fear": never})
    assert ": age 0.50, hat 0.50 (within chance) (0 of 3 are within it)" in text
    assert "No render has: fear." in text


def test_a_card_says_how_the_generator_grew_and_at_which_size_figures_are_taken():
    steps = {"mapping_steps": 11, "distil_steps": 12, "paired_steps": 13, "world": 3}
    block = {"recipe": "generator", "steps": 22, "config": {"world": 3, "doubling_steps": 7}}
    base = {"recipe": "generator_base", "steps": 21, "config": steps, "intermediate": True}
    text = " ".join(_history({"generator.safetensors": block, "base": base}).split())
    for part in (
        "of world 3", "11 steps in which", "13 adversarial", "at 64 px, 21 steps", "22",
        "not adversarial: a small network learns to double renders, 7 steps",
        "of codes whose rows differ (W+, style mixing), which the layers below it have met",
    ):  # fmt: skip
        assert part in text
    assert "every figure of quality in this card is taken of pictures of 64 px" in text
    alone = _history({"generator.safetensors": {**block, "config": steps}})
    assert "In two recipes" not in alone
    assert "12 steps of distillation" in " ".join(alone.split())
    assert "does not list" in _history({"mapper.safetensors": {"recipe": "mapper"}})


def test_limits_name_the_flaws_of_the_world_and_what_was_measured():
    mapper = {"recipe": "mapper", "config": {"others_budget": 0.04}}
    scores = {"world": 3, "side": 128, "mapper": {"methods": [{"others_mean": 0.0512}]}}
    text = " ".join(_limits({"mapper.safetensors": mapper}, scores).split())
    assert "renders of world 3" in text
    assert [flaw for flaw in known_flaws() if flaw not in text] == []
    assert "The generator draws 128 px" in text
    assert "a budget of 0.04 for" in text
    assert "reads 0.0512" in text


# -- rendered sets ---------------------------------------------------------------------------------


def test_a_set_grows_without_drawing_what_is_there(tmp_path):
    small, large = DatasetConfig(count=2, seed=4), DatasetConfig(count=500, seed=4)
    folder = tmp_path / "held_out"
    folder.mkdir()
    tensors = {
        "image": torch.zeros(512, 3, 64, 64, dtype=torch.uint8),
        "mask": torch.zeros(512, 64, 64, dtype=torch.uint8),
        "landmarks": torch.zeros(512, 68, 2),
        "latents": sample_factors(512, seed=4).latents.contiguous(),
        "identity": torch.arange(512, dtype=torch.int32),
    }
    save_safetensors(folder / "shard-00000.safetensors", tensors)
    render_dataset(folder, small)
    assert len(FaceDataset(folder)) == 2
    render_dataset(folder, large)
    assert len(FaceDataset(folder)) == 500
    render_dataset(folder, small)  # what holds more is left as it is
    assert len(FaceDataset(folder)) == 500
    assert len(FaceDataset(folder, limit=2)) == 2
    with pytest.raises(ValueError, match="holds another set"):
        render_dataset(folder, DatasetConfig(count=2, seed=5))


@pytest.mark.parametrize("text", ["{", "[1]", '{"colour": 3}'])
def test_a_damaged_folder_is_refused_by_name(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    for use in (FaceDataset, lambda folder: render_dataset(folder, DatasetConfig(2, 4))):
        with pytest.raises(ValueError, match=r"config\.json cannot be read: .*choose an empty"):
            use(tmp_path)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ValueError, match="cannot write into"):
        render_dataset(tmp_path / "file" / "set", DatasetConfig(count=2, seed=4))


LIMITED = """
import resource, sys
from l2l_widgets.faceworld.dataset import DatasetConfig, render_dataset
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
render_dataset(sys.argv[1], DatasetConfig(count=512, seed=4, resolution=16))
"""


@pytest.mark.slow
def test_a_shard_that_does_not_fit_is_not_there(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, tmp_path], capture_output=True, text=True, check=False
    )
    said = done.stderr.splitlines()[-1]
    assert said.startswith("ValueError: shard 0 of folder")
    assert "File too large" in said
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


PARENT = """
import signal, sys
from l2l_widgets.faceworld.dataset import DatasetConfig, render_dataset
if __name__ == "__main__":
    # a shell that puts the tests in the background has Ctrl-C ignored, which children inherit
    signal.signal(signal.SIGINT, signal.default_int_handler)
    render_dataset(sys.argv[1], DatasetConfig(count=100_000, seed=4, resolution=16), workers=2)
"""


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_rendering_leaves_no_process(tmp_path, sent):
    import psutil

    script = tmp_path / "script.py"
    script.write_text(PARENT)
    run = subprocess.Popen([sys.executable, script, tmp_path / "set"], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 300
        children: list = []
        while len(children) < 3 and time.monotonic() < deadline:  # two, and the one that cleans up
            time.sleep(0.05)
            children = psutil.Process(run.pid).children(recursive=True)
        assert len(children) == 3
        run.send_signal(sent)
        assert run.wait(400) != 0
        _, alive = psutil.wait_procs(children, timeout=300)
        assert not alive
    finally:
        run.kill()
        run.wait()
