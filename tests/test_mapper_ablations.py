"""The mapper without its parts: each choice taken back alone, trained and measured in one go."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
import torch
from torch import nn
from trained_world import SMALL, write_open_world

from l2l_widgets.cli import main
from l2l_widgets.editors.correction import RULES
from l2l_widgets.editors.mapper import MapperConfig, MapperNetwork
from l2l_widgets.evaluation import Plan
from l2l_widgets.evaluation.report import Protocol
from l2l_widgets.models.zoo import load
from l2l_widgets.recipes import RecipeError, get_recipe
from l2l_widgets.recipes.mapper_ablations import VARIANTS, ablate, train_variants


def test_each_variant_takes_back_one_choice_and_the_whole_none() -> None:
    whole, plain = get_recipe("mapper-variant"), get_recipe("mapper")
    own = asdict(whole.config)
    assert own.pop("activation") == "tanh"
    assert own == asdict(plain.config)
    hashes = {whole.replace(**changes).config_hash() for changes in VARIANTS.values()}
    assert len(hashes) == len(VARIANTS)
    weights = {name for name in own if name.endswith("_loss_weight")}
    switched_off = {f for c in VARIANTS.values() for f in c if f.endswith("_weight")}
    assert switched_off == weights, "with and without each loss"
    layers = {whole.config.layers, *(c["layers"] for c in VARIANTS.values() if "layers" in c)}
    assert layers == {1, 2, 3, 4}
    rules = {
        whole.config.correction,
        *(c["correction"] for c in VARIANTS.values() if "correction" in c),
    }
    assert rules == set(RULES)
    assert not [name for name in VARIANTS if "," in name], "each can be named on the command line"
    assert not whole.shipped


@pytest.mark.parametrize("topology", ["flat", "shared", "per-style"])
def test_relu_is_another_network_and_its_null_edit_stays_exact(topology) -> None:
    sizes = {"num_ws": 4, "w_dim": 6, "attributes": 3, "hidden_dim": 8, "topology": topology}
    with torch.random.fork_rng():
        torch.manual_seed(3)  # of eight units some live
        network = MapperNetwork(MapperConfig(**sizes, activation="relu"))
    kinds = {type(m) for m in network.modules()}
    assert nn.ReLU in kinds
    assert nn.Tanh not in kinds
    draw = torch.Generator().manual_seed(0)
    w = torch.randn(5, 4, 6, generator=draw)
    with torch.no_grad():
        assert torch.equal(network(w, torch.zeros(5, 3)), w)
        assert not torch.equal(network(w, torch.ones(5, 3)), w)
    # a file from before there was a choice is tanh
    known = asdict(MapperConfig(**sizes))
    known.pop("activation")
    assert MapperConfig.from_dict(known).activation == "tanh"
    with pytest.raises(ValueError, match="mapper activation is 'gelu'; allowed: tanh, relu"):
        MapperConfig(**sizes, activation="gelu")


def test_an_unknown_variant_is_named_before_anything_is_trained(tmp_path, capsys) -> None:
    with pytest.raises(RecipeError, match="allowed: whole, and any of whole, relu"):
        train_variants(tmp_path, tmp_path / "runs", ("whole", "sigmoid"))
    assert list(tmp_path.iterdir()) == []
    words = ["evaluate", "--faces", "4", "--out", str(tmp_path / "report")]
    assert main([*words, "--steps", "3"]) == 2
    assert "--steps is given without --ablations" in capsys.readouterr().err
    assert main([*words, "--set", "faces=9"]) == 2
    assert "--set is given without --ablations" in capsys.readouterr().err
    assert main([*words, "--ablations", "relu", "--set", "faces"]) == 2
    assert "--set is 'faces'; allowed: FIELD=VALUE" in capsys.readouterr().err


@pytest.mark.slow
def test_variants_are_trained_measured_verified_and_put_into_a_table(tmp_path, capsys) -> None:
    write_open_world(tmp_path / "tiny-world")
    models = load(tmp_path / "tiny-world")
    changes = {
        "steps": 2, "log_every": 1, "checkpoint_every": 1, "device": "cpu", "faces": 200,
        "triplets": str(tmp_path / "triplets"), "calibration_faces": 0, **SMALL["mapper"],
    }  # fmt: skip
    plan = Plan(
        Protocol(attributes=("smile", "age"), faces=4, draws=20), parts=("request", "equal")
    )
    names = ("whole", "relu", "3 layers")
    lines = []
    out = tmp_path / "report"
    found = ablate(models, out, plan, names, changes=changes, figures=False, say=lines.append)
    assert [line for line in lines if "training, 2 steps" in line] == [
        f"{name}: training, 2 steps" for name in names
    ]
    assert {row["method"] for row in found.equal} == set(names)
    table = (out / "ablations.md").read_text()
    assert table.startswith("PREVIEW, n = 4 faces, face seed 0, 1 training seed (another ")
    assert "; 2 steps each; log_every = 1;" in table.splitlines()[0]
    for name, changed in (("relu", "activation = relu"), ("3 layers", "layers = 3")):
        assert f"| {name} | {changed} | judge |" in table
    assert "| whole |  | judge |" in table
    # each is a network of its own, and the same command finds them all again
    weights = {path.read_bytes() for path in (out / "runs").glob("*/final/*.safetensors")}
    assert len(weights) == 3
    (out / "report.json").unlink()
    lines.clear()
    ablate(models, out, plan, names, changes=changes, figures=False, say=lines.append)
    assert [line for line in lines if "there already" in line] == [
        f"{name}: there already" for name in names
    ]
    # its rows are measured again with the very networks
    words = ["verify", str(out), "--generator", str(tmp_path / "tiny-world"), "--rows", "6"]
    assert main([*words, "--json"]) == 0, capsys.readouterr().err
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["confirmed"] == 6
    for path in (out / "runs").glob("*/final/*.safetensors"):
        path.unlink()
    assert main(words) == 2
    assert "holds no training of the variant 'whole'" in capsys.readouterr().err


def test_a_variant_has_the_mappers_settings_and_inputs() -> None:
    variant, plain = get_recipe("mapper-variant"), get_recipe("mapper")
    assert (variant.settings, variant.depends_on) == (plain.settings, plain.depends_on)
