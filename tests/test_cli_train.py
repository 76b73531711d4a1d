"""`l2l train`, `l2l resume`, and what holds for every verb of the command line."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from regression_task import RECIPES, RegressionConfig

from l2l_widgets import recipes
from l2l_widgets.cli import VERBS, main
from l2l_widgets.recipes import Recipe, RecipeError
from l2l_widgets.recipes.registry import MANIFEST, refuse_other_run, run_config
from l2l_widgets.recipes.source_commit import source_commit
from l2l_widgets.storage import load_safetensors, sha256_file
from l2l_widgets.training import RunDirectory, Settings, TrainingError

TASKS = str(Path(__file__).resolve().parent / "regression_task.py")


@pytest.fixture
def l2l(capsys, tmp_path, monkeypatch):
    """Run the command line in an empty folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def call(*words, own_recipes=True):
        extra = ["--recipes", TASKS] if own_recipes else []
        code = main([*words, *extra])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def only_line(text):
    lines = text.strip().splitlines()
    assert len(lines) == 1, text
    return lines[0]


# -- every verb --------------------------------------------------------------------------------
def test_every_verb_has_help_and_its_line(l2l):
    code, out, _ = l2l("--help", own_recipes=False)
    assert code == 0
    for verb, (_, summary) in VERBS.items():
        assert verb in out
        assert summary in out
        code, own, _ = l2l(verb, "--help", own_recipes=False)
        assert code == 0
        assert own.startswith(f"usage: l2l {verb}")
        assert "--json" in own


def test_words_that_mean_nothing_are_one_line_and_code_2(l2l):
    code, out, err = l2l("trian", own_recipes=False)
    assert (code, out) == (2, "")
    assert only_line(err).startswith("l2l: there is no verb 'trian'; did you mean train?")
    code, _, err = l2l("train", "--stepz", "3")
    assert code == 2
    assert "--stepz" in only_line(err)
    assert only_line(err).startswith("l2l")
    code, _, err = l2l(own_recipes=False)
    assert code == 2
    assert "VERB" in only_line(err)


# -- saying before doing -----------------------------------------------------------------------
def test_list_shows_the_recipes_in_order(l2l):
    code, out, _ = l2l("train", "--list", "--json")
    assert code == 0
    *lines, last = out.splitlines()
    assert lines[0].split()[:3] == ["regression", "40", "steps"]
    assert lines[1].endswith("(needs regression)")
    listed = json.loads(last)["recipes"]
    assert [recipe["recipe"] for recipe in listed] == ["regression", "second"]
    assert listed[1]["depends_on"] == ["regression"]


def test_dry_run_says_everything_and_creates_nothing(l2l, tmp_path):
    code, out, _ = l2l(
        "train", "regression", "--steps", "7", "--seed", "9", "--set", "width=4",
        "--set", "noise=0", "--set", "precision=bf16", "--dry-run", "--json",
    )  # fmt: skip
    assert code == 0
    plan = json.loads(out.splitlines()[-1])
    assert json.loads("\n".join(out.splitlines()[:-1])) == plan
    assert plan["settings"]["steps"] == 7
    assert plan["settings"]["seed"] == 9
    assert plan["settings"]["precision"] == "bf16"
    assert plan["config"]["width"] == 4
    assert plan["config"]["noise"] == 0.0
    assert plan["run"] == "runs/regression"
    code, out, _ = l2l("train", "all", "--dry-run", "--weights", "w")
    assert code == 0
    assert out.splitlines() == [
        "regression: train: not there",
        "second: train: regression will change",
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["regresion"], "no recipe is named 'regresion'; did you mean regression?"),
        ([], "NAME is missing; there are: all, own, regression, second"),
        (
            ["regression", "--set", "depth=3"],
            "field 'depth' of recipe 'regression' is unknown; did you mean width?",
        ),
        (
            ["regression", "--set", "width=wide"],
            "--set width is 'wide'; allowed: a whole number of",
        ),
        (["regression", "--set", "width=2.5"], "--set width is '2.5'; allowed: a whole number of"),
        (["regression", "--set", "noise=[1]"], "--set noise is '[1]'; allowed: a number"),
        (["regression", "--set", "width"], "--set is 'width'; allowed: FIELD=VALUE"),
        (["regression", "--steps", "many"], "--steps is 'many'; allowed: a whole number from 1"),
        (["regression", "--steps", "0"], "--steps is '0'; allowed: a whole number from 1"),
        (["regression", "--seed", "-3"], "--seed is '-3'; allowed: a whole number from 0"),
        (["second", "--weights", "w"], "needs w/regression.safetensors, which recipe"),
        (["all", "--steps", "3"], "change one recipe: give its name, not all"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(l2l, tmp_path, words, message):
    code, out, err = l2l("train", *words)
    assert (code, out) == (2, "")
    assert only_line(err).startswith("l2l train: ")
    assert message in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("layers=5", "--set layers is '5'; allowed: a whole number from 1 to 4"),
        ("topology=ring", "--set topology is 'ring'; allowed: shared, grouped, per-style, flat"),
        ("correction=guess", "--set correction is 'guess'; allowed: threshold, nearest, plausible"),
        ("faces=0", "--set faces is '0'; allowed: a whole number of at least 1"),
        ("learning_rate=nan", "--set learning_rate is 'nan'; allowed: a number from 0 to 10"),
        ("attributes=smile,nose", "--set attributes: 'nose' is no attribute"),
    ],
)
def test_a_value_is_refused_before_triplets_are_drawn_with_it(l2l, tmp_path, value, message):
    dry = ["--dry-run"] if value == "layers=5" else []  # which must not promise what is refused
    code, out, err = l2l("train", "mapper-lesson", "--set", value, *dry, own_recipes=False)
    assert (code, out) == (2, "")
    assert message in only_line(err)
    assert list(tmp_path.iterdir()) == []


def test_a_field_is_said_to_be_something_once(l2l, tmp_path):
    words = ("train", "mask-vae", "--set", "kl_reduction=max")
    code, _, err = l2l(*words, own_recipes=False)
    assert code == 2
    assert "--set kl_reduction is 'max'; allowed: sum, mean" in only_line(err)


def test_a_file_of_recipes_that_is_none_is_refused(l2l, tmp_path):
    (tmp_path / "empty.py").write_text("x = 1\n")
    for file, message in (("empty.py", "defines no RECIPES"), ("none.py", "no such file")):
        code, _, err = l2l("train", "--list", "--recipes", file, own_recipes=False)
        assert code == 2
        assert message in only_line(err)


# -- training ----------------------------------------------------------------------------------
def test_train_then_resume_further(l2l, tmp_path, monkeypatch):
    code, out, err = l2l("train", "regression", "--steps", "12", "--run", "here", "--json")
    assert code == 0, err
    result = json.loads(out.splitlines()[-1])
    assert result["step"] == 12
    assert result["finished"] is True
    assert result["scores"].keys() == {"test_loss"}
    assert "step" in err  # the progress bar
    tensors, _ = load_safetensors(tmp_path / "here" / "final" / "regression.safetensors")
    assert tensors["0.weight"].shape == (16, 2)
    code, _, err = l2l("train", "regression", "--run", "here")
    assert code == 2
    assert "here already holds a run" in only_line(err)
    code, out, err = l2l("resume", "here", "--steps", "20", "--json")
    assert code == 0, err
    assert json.loads(out.splitlines()[-1])["step"] == 20
    assert [r["step"] for r in RunDirectory("here").history()] == list(range(1, 21))
    assert RunDirectory("here").config()["settings"]["steps"] == 20
    code, _, err = l2l("resume", "nowhere")
    assert code == 2
    line = only_line(err)
    assert f"DIR is 'nowhere': {tmp_path / 'nowhere'} does not exist; runs nearby: here" in line
    monkeypatch.chdir(tmp_path / "here")  # as from a folder of notebooks, or from within a run
    code, _, err = l2l("resume", "runs/mine")
    assert code == 2
    assert only_line(err).endswith("runs nearby: ../here")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "config.json").write_text("{}")  # not every config.json is a run's
    monkeypatch.chdir(elsewhere)
    (tmp_path / "here" / "config.json").unlink()
    code, _, err = l2l("resume", "runs/mine")
    assert code == 2
    assert only_line(err).endswith("there is no run nearby either")


def test_a_stopped_run_says_how_to_go_on(l2l, monkeypatch):
    from l2l_widgets.training import run_directory

    monkeypatch.setattr(run_directory.RunDirectory, "stop_requested", lambda self: True)
    code, out, _ = l2l("train", "regression", "--run", "here", "--json")
    assert code == 0
    assert out.splitlines()[:2] == [
        "stopped and saved at step 1 of 40",
        "go on with: l2l resume here",
    ]
    assert json.loads(out.splitlines()[-1])["finished"] is False


def test_train_all_skips_what_is_current_and_retrains_what_follows(l2l, tmp_path):
    def stages():
        code, out, err = l2l("train", "all", "--weights", "w", "--json")
        assert code == 0, err
        return json.loads(out.splitlines()[-1])["stages"]

    assert stages() == {"regression": "trained", "second": "trained"}
    manifest = json.loads((tmp_path / "w" / "MANIFEST.json").read_text())
    entry = manifest["second.safetensors"]
    assert entry["sha256"] == sha256_file(tmp_path / "w" / "second.safetensors")
    assert entry["inputs"] == {
        "regression.safetensors": manifest["regression.safetensors"]["sha256"]
    }
    assert {"recipe", "kind", "seed", "steps", "commit", "config", "scores"} <= entry.keys()
    assert stages() == {"regression": "current", "second": "current"}
    # a lost file is made again, and equal: what depends on it stays
    (tmp_path / "w" / "regression.safetensors").unlink()
    assert stages() == {"regression": "trained", "second": "current"}
    # another first one: its own run folder, and the second one follows
    changed = {recipe.name: recipe for recipe in RECIPES}
    changed["regression"] = changed["regression"].replace(seed=5)
    plan = recipes.plan_all(changed, Path("w"))
    assert plan == {
        "regression": "train: config or inputs changed",
        "second": "train: regression will change",
    }
    done = list(recipes.train_all(changed, Path("runs"), Path("w")))
    assert [stage.status for stage in done] == ["trained", "trained"]
    assert len(list(Path("runs").iterdir())) == 4
    again = json.loads((tmp_path / "w" / "MANIFEST.json").read_text())
    for file in ("regression.safetensors", "second.safetensors"):
        assert again[file]["sha256"] != manifest[file]["sha256"]
    assert set(recipes.plan_all(changed, Path("w")).values()) == {"current"}


def test_a_file_that_only_training_reads_need_not_be_kept(l2l, tmp_path):
    known = {recipe.name: recipe for recipe in RECIPES}
    known["regression"] = dataclasses.replace(known["regression"], intermediate=True)
    weights, file = Path("w"), Path("w/regression.safetensors")
    list(recipes.train_all(known, Path("runs"), weights))
    assert recipes.read_manifest(weights)[file.name]["intermediate"] is True
    made = file.read_bytes()
    file.unlink()
    assert set(recipes.plan_all(known, weights).values()) == {"current"}
    done = [stage.status for stage in recipes.train_all(known, Path("runs"), weights)]
    assert done == ["current", "current"]
    assert not file.exists()
    # what reads it has to be trained again: so has it
    (weights / "second.safetensors").unlink()
    assert recipes.plan_all(known, weights) == {
        "regression": "train: its file is not kept, and will be read",
        "second": "train: regression will change",
    }
    done = [stage.status for stage in recipes.train_all(known, Path("runs"), weights)]
    assert (done, file.read_bytes()) == (["trained", "trained"], made)
    # another one under its name is not taken for it
    file.write_bytes(made + b" ")
    assert recipes.plan_all(known, weights)["regression"] == "train: config or inputs changed"
    file.unlink()
    with pytest.raises(RecipeError, match=r"needs .*which recipe 'regression' makes"):
        recipes.input_hashes(known["second"], known, weights)


def test_train_all_resumes_what_was_stopped(l2l, monkeypatch, tmp_path):
    from l2l_widgets.training import run_directory

    steps = []

    def stop_once(self):
        steps.append(self.path.name)
        return len(steps) == 15

    monkeypatch.setattr(run_directory.RunDirectory, "stop_requested", stop_once)
    code, out, _ = l2l("train", "all", "--weights", "w")
    assert code == 0
    assert out.splitlines() == ["regression: stopped", "go on with the same command"]
    code, out, _ = l2l("train", "all", "--weights", "w")
    assert out.splitlines() == ["regression: trained", "second: trained"]
    assert len([name for name in steps if name.startswith("regression")]) == 40
    shutil.rmtree(tmp_path / "runs")


def test_resume_refuses_other_inputs(l2l, tmp_path):
    l2l("train", "regression", "--publish", "--weights", "w", "--run", "one")
    l2l("train", "second", "--weights", "w", "--run", "two", "--steps", "10")
    l2l("train", "regression", "--seed", "8", "--publish", "--weights", "w", "--run", "three")
    code, _, err = l2l("resume", "two", "--steps", "20")
    assert code == 2
    assert "was begun with another regression.safetensors" in only_line(err)


# -- recipes -----------------------------------------------------------------------------------
def test_initial_weights_are_a_function_of_the_seed():
    recipe = {recipe.name: recipe for recipe in RECIPES}["regression"]
    torch.manual_seed(0)
    one = recipes.build_task(recipe).modules()["network"].state_dict()
    torch.manual_seed(1)
    two = recipes.build_task(recipe).modules()["network"].state_dict()
    other = recipes.build_task(recipe.replace(seed=4)).modules()["network"].state_dict()
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert not torch.equal(one["0.weight"], other["0.weight"])


def make_recipe(name, **changes):
    values = {
        "summary": "",
        "config": RegressionConfig(),
        "settings": Settings(),
        "build": lambda config, weights: None,
        "outputs": (f"{name}.safetensors",),
    }
    return Recipe(name=name, **{**values, **changes})


def test_recipes_that_do_not_fit_together_are_refused():
    circle = {
        "a": make_recipe("a", depends_on=("b",)),
        "b": make_recipe("b", depends_on=("a",)),
    }
    with pytest.raises(RecipeError, match="a -> b -> a"):
        recipes.in_order(circle)
    with pytest.raises(RecipeError, match="'a' depends on 'c', which does not exist"):
        recipes.in_order({"a": make_recipe("a", depends_on=("c",))})
    twice = {name: make_recipe(name, outputs=("x.safetensors",)) for name in "ab"}
    with pytest.raises(RecipeError, match=r"several shipped recipes make x\.safetensors"):
        recipes.plan_all(twice, Path("w"))
    twice["b"] = make_recipe("b", outputs=("x.safetensors",), shipped=False)
    assert recipes.plan_all(twice, Path("w")) == {"a": "train: not there"}
    with pytest.raises(RecipeError, match=r"config repeats settings: \['seed'\]"):
        make_recipe("a", config=config_with_seed())


def config_with_seed():
    from dataclasses import make_dataclass

    return make_dataclass("Config", [("seed", int, 0)])()


def test_only_what_decides_the_weights_is_in_the_hash():
    recipe = make_recipe("a")
    same = recipe.replace(checkpoint_every=7, log_every=3, device="cpu", threads=2)
    assert same.config_hash() == recipe.config_hash()
    for change in ({"steps": 7}, {"seed": 1}, {"precision": "bf16"}, {"width": 17}):
        assert recipe.replace(**change).config_hash() != recipe.config_hash()


def test_publish_refuses_a_promise_that_was_not_kept(tmp_path):
    with pytest.raises(RecipeError, match=r"promised a\.safetensors"):
        recipes.publish(make_recipe("a"), tmp_path, tmp_path / "w", {}, {})
    assert not (tmp_path / "w").exists()


def finished_run(folder, content, commit=None):
    (folder / "final").mkdir(parents=True)
    (folder / "final" / "a.safetensors").write_bytes(content)
    (folder / "final" / "b.safetensors").write_bytes(content)
    if commit is not None:
        RunDirectory(folder).create({"commit": commit})
    return folder


def test_a_publishing_that_is_killed_leaves_the_world_that_was_there(tmp_path, monkeypatch):
    recipe = make_recipe("a", outputs=("a.safetensors", "b.safetensors"))
    weights = tmp_path / "w"
    hashes = recipes.publish(recipe, finished_run(tmp_path / "old", b"old"), weights, {}, {})
    manifest = (weights / MANIFEST).read_bytes()
    new = finished_run(tmp_path / "new", b"new")
    for fatal in range(3):  # two files and the manifest
        calls = []

        def dies(descriptor, calls=calls, fatal=fatal):
            calls.append(descriptor)
            if len(calls) > fatal:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", dies)
            with pytest.raises(KeyboardInterrupt):
                recipes.publish(recipe, new, weights, {}, {})
        assert (weights / MANIFEST).read_bytes() == manifest
        for file, digest in hashes.items():
            assert sha256_file(weights / file) == digest
        assert len(list(weights.iterdir())) == 3, "nothing half-written stays"
    left = weights / ".a.safetensors.0a1b2c3d.tmp"  # as SIGKILL leaves it
    left.write_bytes(b"half")
    os.utime(left, (1, 1))
    published = recipes.publish(recipe, new, weights, {}, {})
    assert published == {file: sha256_file(weights / file) for file in hashes}
    assert published["a.safetensors"] != hashes["a.safetensors"]
    assert not left.exists()


def test_the_commit_of_a_file_is_the_one_its_run_was_begun_with(tmp_path):
    recipe, weights = make_recipe("a"), tmp_path / "w"
    for name, begun_with, published in (
        ("new", "0123abc-dirty", "0123abc-dirty"),
        ("outside", "", ""),
        ("old", None, source_commit()),  # a run from before this was written down
    ):
        folder = finished_run(tmp_path / name, b"x", begun_with)
        recipes.publish(recipe, folder, weights, {}, {})
        assert recipes.read_manifest(weights)["a.safetensors"]["commit"] == published
    assert run_config(recipe, weights, {"x": "y"})["commit"] == source_commit()


def test_a_run_of_another_recipe_config_or_input_is_refused(tmp_path):
    recipe = make_recipe("a")
    run = RunDirectory(tmp_path / "run")
    run.create(run_config(recipe, tmp_path, {"g.safetensors": "1" * 64}))
    inputs = {"g.safetensors": "1" * 64}
    refuse_other_run(run, recipe, inputs)
    refuse_other_run(run, recipe.replace(steps=7, log_every=2), inputs)
    with pytest.raises(TrainingError, match="begun by recipe 'a', not 'b'"):
        refuse_other_run(run, make_recipe("b"), inputs)
    with pytest.raises(TrainingError, match="begun with width 16, not 17"):
        refuse_other_run(run, recipe.replace(width=17), inputs)
    with pytest.raises(TrainingError, match=r"begun with another g\.safetensors"):
        refuse_other_run(run, recipe, {"g.safetensors": "2" * 64})


def test_the_embedded_recipes_fit_together():
    known = recipes.list_recipes()
    assert {"generator", "mapper"} <= known.keys()
    made = {file for recipe in known.values() if recipe.shipped for file in recipe.outputs}
    assert {"generator.safetensors", "mapper.safetensors"} <= made
    plan = recipes.plan_all(known, recipes.DEFAULT_WEIGHTS)
    assert set(plan) == {name for name, recipe in known.items() if recipe.shipped}
    for recipe in known.values():
        # every default survives the way through text, as --set and config.json send it
        stored = {**recipe.resolved()["config"], **recipe.resolved()["settings"]}
        assert recipe.replace(**stored) == recipe
