"""A generator that the package has never seen, through the whole pipeline, by its commands."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from l2l_widgets import cli
from l2l_widgets.checkpoints import CheckpointError, GeneratorFile, describe
from l2l_widgets.errors import TooLittleError
from l2l_widgets.judges import JudgeError, load_judge
from l2l_widgets.models.own import with_judges, write_world
from l2l_widgets.models.zoo import load
from l2l_widgets.recipes import RecipeError
from l2l_widgets.recipes.foreign import FACES, chosen_recipes, claim_world, foresee
from l2l_widgets.recipes.foreign_report import explained_line, verdict
from l2l_widgets.recipes.publishing import Stage
from l2l_widgets.storage import StorageError
from l2l_widgets.stylegan2 import load_generator, save_generator
from l2l_widgets.training import TrainingError
from l2l_widgets.triplets import TripletError, TripletReader, write_triplets
from tests.foreign_world import CLASSES, SIDE, W_DIM, foreign_generator, write_foreign
from tests.trained_world import LABELLED, SMALL

Z = torch.randn(900, 24, generator=torch.Generator().manual_seed(2))


@pytest.fixture(scope="module")
def brought(tmp_path_factory):
    """The generator's file and the two declarations."""
    return write_foreign(tmp_path_factory.mktemp("brought"))


def words(brought, *more):
    generator, attributes, identity = map(str, brought)
    return ["--generator", generator, "--judge", attributes, "--judge", identity, *map(str, more)]


def refused(capsys, *typed):
    assert cli.main([str(word) for word in typed]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


# -- classes ---------------------------------------------------------------------------------------


def test_a_chosen_class_is_the_label_and_stays_in_the_file(tmp_path):
    generator = foreign_generator()
    wanted = generator.mapping(Z[:4], 0.7, c=torch.eye(CLASSES)[[2] * 4])
    generator.choose_classes((2,))
    assert torch.equal(generator.mapping(Z[:4], 0.7), wanted)
    save_generator(tmp_path / "g.safetensors", generator)
    assert torch.equal(load_generator(tmp_path / "g.safetensors").mapping(Z[:4], 0.7), wanted)
    # opened by whoever finds the file, nobody has to know the class
    again = GeneratorFile(tmp_path / "g.safetensors")
    assert again.classes == (2,)
    assert torch.equal(again.load().mapping(Z[:4], 0.7), wanted)


def test_a_mixture_has_equal_shares_that_a_seed_decides():
    mapping = foreign_generator().mapping
    mapping.choose_classes((0, 2))
    labels = mapping.labels(Z)
    shares = labels.mean(0)
    assert shares[1] == 0
    assert shares[0].item() == pytest.approx(0.5, abs=0.06)
    assert torch.equal(mapping.labels(Z[7:9]), labels[7:9]), "the batch decides the class"
    # the class lies on neither side of any number of z
    aside = [abs(torch.corrcoef(torch.stack([z, labels[:, 0]]))[0, 1].item()) for z in Z.T]
    assert max(aside) < 0.15
    assert torch.equal(mapping(Z[:5]), mapping(Z[:5], c=labels[:5]))


def test_classes_that_are_not_there_are_named(brought):
    generator = foreign_generator()
    for wrong in ((3,), (-1,), (), (True,)):
        with pytest.raises(ValueError, match="allowed: 0 to 2"):
            generator.choose_classes(wrong)
    with pytest.raises(ValueError, match="c_dim is 0"):
        foreign_generator(classes=0).choose_classes((0,))
    with pytest.raises(CheckpointError, match=r"class is 5; allowed: 0 to 2, or all"):
        GeneratorFile(f"{brought[0]}#class=0,5")
    with pytest.raises(CheckpointError, match="'class=1;2' after '#' is not"):
        GeneratorFile(f"{brought[0]}#class=1;2")
    assert GeneratorFile(f"{brought[0]}#class=all").classes == (0, 1, 2)


def test_the_class_reaches_sheets_conversions_and_recipes(brought, capsys, tmp_path):
    path, kept = brought[0], tmp_path / "dogs1.safetensors"
    assert cli.main(["convert", f"{path}#class=1", str(kept), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["provenance"]["classes"] == [1]
    sheets = []
    for source in (kept, f"{path}#class=1", f"{path}#class=0"):
        typed = ["sample", "-n", "1", "--generator", str(source), "--out", str(tmp_path / "s.png")]
        assert cli.main([*typed, "--json"]) == 0
        sheets.append(json.loads(capsys.readouterr().out.splitlines()[-1])["pixels_sha256"])
    assert sheets[0] == sheets[1] != sheets[2]
    face = tmp_path / "face.png"
    typed = ["edit", "--generator", str(path), "--seed", "3", "--out", str(face)]
    assert cli.main([*typed, "--class", "0,2", "--json"]) == 0
    recipe = json.loads(capsys.readouterr().out.splitlines()[-1])["recipe"]
    assert recipe["models"]["name"] == "dogs-class0+2"
    again = ["replay", str(face), "--generator", str(path), "--out", str(tmp_path / "again.png")]
    assert "dogs-class0+2" in refused(capsys, *again, "--class", "1")
    assert cli.main([*again, "--class", "0,2"]) == 0


def test_a_world_needs_a_class(brought, capsys, tmp_path):
    world = tmp_path / "world"
    with pytest.raises(JudgeError, match="has 3 classes and none is chosen"):
        write_world(world, foreign_generator(), brought[1:])
    assert "which of its 3 classes" in refused(capsys, "world", world, *words(brought))
    assert not world.exists()
    assert cli.main(["world", str(world), *words(brought, "--class", "1")]) == 0
    models = load(world)
    wanted = foreign_generator().mapping(Z[:2], c=torch.eye(CLASSES)[[1, 1]])
    torch.testing.assert_close(models.generator.mapping(Z[:2]), wanted)
    capsys.readouterr()
    err = refused(capsys, "sample", "--generator", world, "--class", "0", "--out", "s.png")
    assert "whose class was chosen when it was made" in err


# -- labelled faces --------------------------------------------------------------------------------


def test_faces_without_pictures_are_drawn_again(tmp_path):
    generator = foreign_generator(classes=0)

    def read(images):
        return images.mean((2, 3)).clamp(0, 1)

    def draw(ws):
        return generator.synthesis(ws, noise_mode="const")

    bare = write_triplets(tmp_path / "bare", generator, read, 10, 3, shard=4, pictures=False)
    whole = write_triplets(tmp_path / "whole", generator, read, 10, 3, shard=4)
    rows = torch.tensor([9, 0, 5])
    found, wanted = TripletReader(bare, draw=draw).batch(rows), TripletReader(whole).batch(rows)
    assert torch.equal(found["a"], wanted["a"])
    torch.testing.assert_close(found["image"], wanted["image"], atol=1.01 / 127.5, rtol=0)
    with pytest.raises(TripletError, match="holds no pictures"):
        TripletReader(bare).batch(rows)
    with pytest.raises(TripletError, match="without pictures; asked for with"):
        write_triplets(bare, generator, read, 10, 3, shard=4)
    assert sum(p.stat().st_size for p in bare.iterdir()) < 0.3 * sum(
        p.stat().st_size for p in whole.iterdir()
    )


def test_a_smaller_set_is_the_beginning_of_a_larger(tmp_path):
    generator = foreign_generator(classes=0)

    def read(images):
        return images.mean((2, 3)).clamp(0, 1)

    write_triplets(tmp_path, generator, read, 10, 3, shard=4)
    first = (tmp_path / "shard-00002.safetensors").read_bytes()
    write_triplets(tmp_path, generator, read, 5, 3, shard=4)
    assert (tmp_path / "shard-00002.safetensors").read_bytes() == first
    reader = TripletReader(tmp_path, 5)
    assert len(reader) == 5
    assert [len(part) for part in reader.latents()] == [5, 5]
    with pytest.raises(TripletError, match="count is 11; allowed: 1 to 10"):
        TripletReader(tmp_path, 11)


# -- what is trained, and what it takes ------------------------------------------------------------


def test_one_editor_brings_what_it_needs():
    recipes = chosen_recipes("mapper", True, FACES, {"steps": "9", "regressor.steps": "7"})
    assert list(recipes) == ["generator", "regressor", "regressor_b", "embedder", "mapper"]
    assert recipes["mapper"].config.faces == 400_000
    assert recipes["regressor"].config.faces < 400_000
    assert (recipes["mapper"].settings.steps, recipes["regressor"].settings.steps) == (9, 7)
    assert "embedder" not in chosen_recipes("interfacegan", True, 100, {})
    few = chosen_recipes("own", True, 100, {})
    assert {"mapper", "interfacegan", "ganspace", "stylespace", "styleflow"} <= set(few)
    assert all(few[n].config.faces <= 100 for n in few if n != "generator")
    for name, identity, changes, message in (
        ("mapper", False, {}, "needs an identity judge"),
        ("maskgan", True, {}, "allowed with --generator: own, mapper"),
        ("regressor", True, {}, "allowed with --generator: own, mapper"),
        ("mapper", True, {"ganspace.steps": "3"}, "no stage is named 'ganspace'"),
        ("mapper", True, {"nonsense": "3"}, "field 'nonsense' of recipe"),
    ):
        with pytest.raises(RecipeError, match=message):
            chosen_recipes(name, identity, 100, changes)


def test_what_it_takes_is_said_and_refused_before_it_is_taken(brought, tmp_path, monkeypatch):
    judges = [load_judge(path) for path in brought[1:]]
    models = with_judges(load(f"{brought[0]}#class=1"), judges)
    # one second a call: whatever else the machine does, more faces take longer
    monkeypatch.setattr("l2l_widgets.recipes.foreign._seconds", lambda call: 1.0)
    monkeypatch.setattr("l2l_widgets.recipes.foreign._one_gradient", lambda *_: (1.0, 1e6))
    plans = [
        foresee(chosen_recipes("mapper", True, faces, {}), models, judges) for faces in (100, FACES)
    ]
    assert plans[1].disk_bytes > FACES * 3 * SIDE**2 > plans[0].disk_bytes
    assert plans[1].memory_bytes - plans[0].memory_bytes > 4 * FACES * W_DIM
    assert plans[1].seconds["mapper"] > plans[0].seconds["mapper"]
    assert all(part in plans[1].text() for part in ("disk ", "memory ", "time "))
    world = tmp_path / "not" / "yet"
    plans[0].refuse_what_does_not_fit(world, on_gpu=False)
    with pytest.raises(RecipeError, match=r"the disk has .* allowed: fewer --faces"):
        replace(plans[0], disk_bytes=10**17).refuse_what_does_not_fit(world, on_gpu=False)
    monkeypatch.setattr("l2l_widgets.recipes.foreign.available_memory", lambda: 10**6)
    with pytest.raises(RecipeError, match="of memory are needed"):
        plans[0].refuse_what_does_not_fit(world, on_gpu=False)
    plans[0].refuse_what_does_not_fit(world, on_gpu=True)
    assert not world.exists()


def test_a_view_of_rows_takes_the_attributes_that_there_are(brought):
    from l2l_widgets import EditSession, EntanglementExplorer

    judges = [load_judge(path) for path in brought[1:]]
    session = EditSession(with_judges(load(f"{brought[0]}#class=1"), judges))
    explorer = EntanglementExplorer(session)  # none of the paper's eight is judged here
    assert explorer.study.protocol.attributes == ("redness", "greenness", "blueness")
    explorer.close()
    session.close()


def test_a_world_keeps_to_its_generator(tmp_path):
    claim_world(tmp_path / "w", {"generator": "a", "judges": ["b"]})
    claim_world(tmp_path / "w", {"generator": "a", "judges": ["b"]})
    with pytest.raises(RecipeError, match="made of another generator"):
        claim_world(tmp_path / "w", {"generator": "c", "judges": ["b"]})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("x")
    with pytest.raises(RecipeError, match=r"holds something else \(thesis.tex\)"):
        claim_world(tmp_path / "other", {"generator": "a"})


def test_verdicts_go_by_what_the_judge_saw():
    said = [verdict(s, r) for s, r in ((0.9, 0.9), (0.4, 0.9), (0.1, 0.9), (0.1, 0.1), (None, 1))]
    assert [text.split(":")[0] for text in said] == [
        "follows", "moves, but less than asked", "hardly moves", "not learned", "not measured",
    ]  # fmt: skip
    assert verdict(0.9, 0.9, 0.05) == "follows"
    assert verdict(0.9, 0.9, 0.2).startswith("takes others along")
    assert verdict(2.5, 0.9, 0.05).startswith("goes too far")


def test_bad_words_are_answered_before_anything_is_written(brought, capsys, tmp_path):
    where = ("--weights", tmp_path / "w")
    both = words(brought, "--class", "1", *where)
    for typed, answer in (
        (["mapper", "--judge", brought[1]], "--judge is given without --generator"),
        (["mapper", "--faces", "100"], "--faces is given without --generator"),
        (["mapper", "--generator", brought[0]], "--judge is missing"),
        (["mapper", *both, "--faces", "9"], "--faces is '9'"),
        (["mapper", *both, "--report-faces", "2"], "--report-faces is '2'; allowed: 0, or 3"),
        (["mapper", *words(brought)], "which of its 3 classes"),
        (["mapper", *words(brought, "--class", "7")], "class is 7; allowed: 0 to 2"),
        (
            ["mapper", "--generator", brought[0], "--class", "1", "--judge", brought[2]],
            "reads attributes",
        ),
        (["hairdresser", *both], "NAME is 'hairdresser'"),
    ):
        assert answer in refused(capsys, "train", *typed)
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    ("share", "known"), [(0.95, "95%"), (0.004, "nothing"), (-1.123, "nothing"), (1.0, "100%")]
)
def test_an_imitation_worse_than_a_constant_explains_nothing(share, known):
    assert f"explains {known} of the judge's variance on 32" in explained_line("r", share, 32.0)


def test_a_dry_run_says_what_it_would_take(brought, capsys, tmp_path):
    where = ("--weights", tmp_path / "w", "--class", "all", "--dry-run")
    assert cli.main(["train", "mapper", *words(brought, *where)]) == 0
    out = capsys.readouterr().out
    assert "32 px, 3 attributes; trains regressor, regressor_b, embedder, mapper" in out
    assert "400000 labelled faces" in out
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("kind", [TooLittleError, TrainingError, StorageError])
def test_only_too_little_to_learn_from_is_passed_over(brought, capsys, tmp_path, monkeypatch, kind):
    def train(recipes, runs, world):
        for name, recipe in recipes.items():
            if recipe.kind == "editor" and name != "mapper":
                raise kind(f"{name} breaks")
            if name != "generator":
                yield Stage(recipe, "current", runs / name)

    monkeypatch.setattr("l2l_widgets.recipes.train_all", train)
    where = ("--weights", tmp_path / "w", "--class", "1", "--faces", "100", "--report-faces", "0")
    typed = ["train", "own", *words(brought, *where, "--json")]
    if kind is not TooLittleError:
        assert "breaks" in refused(capsys, *typed), "nothing says that it is finished"
        return
    assert cli.main(typed) == 0
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert answer["finished"]
    assert answer["stages"]["interfacegan"] == "not possible: interfacegan breaks"
    assert answer["stages"]["mapper"] == "current"


# -- all of it -------------------------------------------------------------------------------------


def settings_of(names):
    """What makes each stage take a moment, as words of the command line."""
    changes = {
        name: {"steps": 40, "width": 8, "features": 32, "batch_size": 16, "precision": "no"}
        | {"learning_rate": 2e-2}  # forty steps are all warm-up
        for name in ("regressor", "regressor_b", "embedder")
    }
    changes |= {name: {**SMALL[name], **LABELLED, "calibration_faces": 16} for name in SMALL}
    changes["mapper"] = {**SMALL["mapper"], "calibration_faces": 0, "precision": "no", "steps": 2}
    changes["styleflow"] |= {"steps": 2}
    changes["ganspace"] |= {"components": 12}
    out = []
    for name in names:
        for key, value in changes[name].items():
            text = value if isinstance(value, str) else json.dumps(value)
            out.append(f"--set={name}.{key}={text}")
    return out


@pytest.mark.slow
def test_classes_go_the_whole_way(brought, capsys, tmp_path):
    """One editor; tests/test_foreign_large.py has all of them, the map and the views."""
    world = tmp_path / "world"
    common = words(brought, "--class", "0,2", "--faces", 200, "--weights", world, "--json")
    stages = ("regressor", "regressor_b", "interfacegan")
    typed = ["train", "interfacegan", *common, "--report-faces", "3", *settings_of(stages)]
    assert cli.main(typed) == 0
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert answer["stages"] == dict.fromkeys(stages, "trained")
    models = load(world)
    told = describe(world / "generator.safetensors")
    assert told["provenance"]["source"] == "dogs.pkl"
    assert told["classes_drawn"] == [0, 2]
    generator = models.generator
    assert (generator.img_resolution, generator.w_dim, generator.c_dim) == (SIDE, W_DIM, CLASSES)
    assert generator.mapping.classes == (0, 2)
    assert set(models.available_editors) == {"interfacegan", "interfacegan-conditional"}
    assert "attributes follow.**" in (world / "REPORT.md").read_text(encoding="utf-8")
    name = models.editor("interfacegan").attributes[0]  # two hundred blots are few for some
    typed = ["edit", "--generator", str(world), "--method", "interfacegan", "--seed", "3"]
    typed += ["--set", f"{name}=+0.1", "--out", str(tmp_path / "face.png"), "--json"]
    assert cli.main(typed) == 0
    receipt = json.loads(capsys.readouterr().out.splitlines()[-1])["receipt"]
    assert set(receipt["others"]) == {"redness", "greenness", "blueness"} - {name}
