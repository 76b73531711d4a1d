"""Several trainings of one method: made by one command, found by the evaluation, kept apart."""

from __future__ import annotations

import json
import shutil

import pytest
from trained_world import LABELLED, SMALL, run, small, write_open_world

from l2l_widgets.cli import main
from l2l_widgets.evaluation import trained_editors, trained_hashes
from l2l_widgets.models.zoo import load
from l2l_widgets.recipes import RecipeError, list_recipes, publish
from l2l_widgets.recipes.training_seeds import STRIDE, method_recipe, of_seed, train_seeds
from l2l_widgets.storage import sha256_file


def test_every_method_has_a_recipe_and_others_are_named() -> None:
    assert method_recipe("interfacegan-conditional").name == "interfacegan"
    assert method_recipe("mapper").name == "mapper"
    with pytest.raises(RecipeError, match=r"'generator'; allowed with --seeds: mapper, interf"):
        method_recipe("generator")


def test_a_training_seed_draws_everything_anew() -> None:
    recipe = list_recipes()["mapper"]
    assert of_seed(recipe, 0) == recipe
    other = of_seed(recipe, 2)
    assert other.settings.seed == recipe.settings.seed + 2 * STRIDE
    assert other.config.data_seed == recipe.config.data_seed + 2 * STRIDE
    assert other.config_hash() != recipe.config_hash()
    assert other.config.triplets == ""
    placed = of_seed(recipe.replace(triplets="faces"), 2)
    assert placed.config.triplets == "faces-seed2", "other faces need a folder of their own"


def test_a_field_that_no_recipe_has_is_refused_before_anything_is_trained(tmp_path) -> None:
    with pytest.raises(RecipeError, match="stepz"):
        train_seeds(["mapper"], 2, tmp_path, tmp_path / "seeds", changes={"stepz": 3})
    assert list(tmp_path.iterdir()) == []


def seed_folder(folder, models, generator=None):
    """A copy of what ships, as a training seed of its own."""
    own = folder / "seed1"
    own.mkdir(parents=True)
    data = models.file("mapper").read_bytes()
    (own / "mapper.safetensors").write_bytes(data)
    entry = {
        "sha256": sha256_file(own / "mapper.safetensors"),
        "inputs": {"generator.safetensors": generator or models.hashes["generator"]},
    }
    (own / "MANIFEST.json").write_text(json.dumps({"mapper.safetensors": entry}))
    return own


def test_seeds_are_found_without_a_gap_and_checked(tmp_path) -> None:
    models = load()
    assert len(trained_editors(models, "mapper", 3, tmp_path)) == 1
    own = seed_folder(tmp_path, models)
    assert len(trained_editors(models, "mapper", 3, tmp_path)) == 2
    assert trained_hashes(models, "mapper", 3, tmp_path) == [models.hashes["mapper"]]
    assert len(trained_editors(models, "mapper", 1, tmp_path)) == 1
    assert len(trained_editors(models, "interfacegan", 3, tmp_path)) == 1
    own.rename(tmp_path / "seed2")
    assert len(trained_editors(models, "mapper", 3, tmp_path)) == 1
    (tmp_path / "seed2").rename(own)
    (own / "mapper.safetensors").write_bytes(b"other")
    with pytest.raises(ValueError, match=r"mapper\.safetensors: is .*, its manifest says"):
        trained_editors(models, "mapper", 2, tmp_path)
    (own / "MANIFEST.json").write_text("[")
    with pytest.raises(ValueError, match=r"MANIFEST\.json: not readable"):
        trained_editors(models, "mapper", 2, tmp_path)
    seed_folder(tmp_path / "foreign", models, generator="0" * 64)
    with pytest.raises(ValueError, match=r"was trained for generator 000000000000\.\.\."):
        trained_editors(models, "mapper", 2, tmp_path / "foreign")


def test_seeds_and_one_seed_are_not_both_asked_for(capsys) -> None:
    assert main(["train", "mapper", "--seeds", "3", "--seed", "1"]) == 2
    assert "allowed with it: --set, --steps" in capsys.readouterr().err
    assert main(["train", "mapper", "--seeds", "1"]) == 2
    assert "--seeds" in capsys.readouterr().err


@pytest.mark.slow
def test_one_command_trains_the_seeds_and_the_evaluation_counts_them(tmp_path, capsys) -> None:
    world = write_open_world(tmp_path / "tiny-world")
    for name in ("mapper", "interfacegan"):
        recipe = small(name, tmp_path / "triplets")
        outcome = run(recipe, world, tmp_path / "runs" / name)
        publish(recipe, tmp_path / "runs" / name, world, {}, outcome.scores)
    folder = tmp_path / "seeds"
    changes = {
        "steps": 2, "log_every": 1, "checkpoint_every": 1, "device": "cpu", "faces": 200,
        "triplets": tmp_path / "others", "calibration_faces": 0, **SMALL["mapper"],
        "augment": "false",
    }  # fmt: skip
    words = [word for k, v in changes.items() for word in ("--set", f"{k}={v}")]
    command = ["train", "mapper", "--seeds", "3", "--run", str(folder), "--weights", str(world)]
    assert main([*command, *words]) == 0
    files = [folder / f"seed{k}" / "mapper.safetensors" for k in (1, 2)]
    made = [sha256_file(path) for path in files]
    assert len({*made, sha256_file(world / "mapper.safetensors")}) == 3
    capsys.readouterr()
    assert main([*command, *words]) == 0
    assert capsys.readouterr().out.count("there already") == 2
    assert [sha256_file(path) for path in files] == made
    # the boundaries of the second seed were begun and never finished: they are gone on with
    common = {**LABELLED, "faces": 200, "calibration_faces": 16, "chosen": 0.1, "device": "cpu"}
    common["triplets"] = str(tmp_path / "others")
    assert train_seeds(
        ["interfacegan", "interfacegan-conditional"], 2, world, folder,
        changes={**common, "steps": 2, "log_every": 1, "checkpoint_every": 1},
    )  # fmt: skip
    report = tmp_path / "report"
    evaluate = [
        "evaluate", "--methods", "mapper,interfacegan", "--generator", str(world), "--attributes",
        "smile,age", "--faces", "4", "--seeds", "3", "--trained", str(folder), "--parts",
        "request,equal", "--truth-people", "0", "--no-figures", "--out", str(report), "--json",
    ]  # fmt: skip
    assert main(evaluate) == 0
    out, err = capsys.readouterr()
    found = json.loads(out.splitlines()[-1])
    assert found["trained_seeds"] == {"mapper": 3, "interfacegan": 2}
    assert found["trained_hashes"]["mapper"] == made
    assert "interfacegan: 2 of 3 training seeds" in err
    assert "training seeds: mapper 3, interfacegan 2" in found["stamp"]
    assert found["stamp"].startswith("PREVIEW, ")
    rows = {(r["method"], r["reader"]): r for r in found["equal_methods"]}
    assert rows["mapper", "judge"]["seeds"] == 3
    # a report is not verified, nor gone on with, by other seeds
    other = tmp_path / "other"
    shutil.copytree(folder / "seed2", other / "seed1")
    again = ["verify", str(report), "--generator", str(world), "--rows", "3", "--trained"]
    assert main([*again, str(other)]) == 2
    assert "does not hold the training seeds of mapper" in capsys.readouterr().err
    assert main([*again, str(folder)]) == 0
    assert "no row of" not in capsys.readouterr().err
    # who has none of them measures the rows of what ships, and is told
    assert main([*again, str(tmp_path / "none"), "--json"]) == 0
    out, err = capsys.readouterr()
    assert {row["seed"] for row in json.loads(out.splitlines()[-1])["rows"]} == {"0"}
    assert "mapper: no row of training seeds 1 to 2, not in " in err
    assert "interfacegan: no row of training seed 1, not in " in err
