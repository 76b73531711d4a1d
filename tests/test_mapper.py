"""The mapper: its structure, its promises before any training, its objective, its recipe."""

from __future__ import annotations

import dataclasses
import tempfile

import pytest
import torch

from l2l_widgets.attributes import DEFAULT_TABLE, AttributeRequestError, EditRequest
from l2l_widgets.editors import MapperConfig, MapperEditor, MapperNetwork
from l2l_widgets.editors.mapper_objective import LossWeights, MapperObjective, sample_changes
from l2l_widgets.losses import Augmentation, background_kept_loss
from l2l_widgets.metrics import editing
from l2l_widgets.recipes import get_recipe
from l2l_widgets.recipes.labelled import Labelled, LabelledWorld, load_parts
from l2l_widgets.recipes.mapper import MapperTask, MapperTraining, build_from
from l2l_widgets.storage import StorageError, load_safetensors, save_safetensors
from l2l_widgets.training import Settings, train

TOPOLOGIES = ("shared", "grouped", "per-style", "flat")
NUM_WS, W_DIM, ATTRIBUTES = 10, 6, 4


def build(seed=0, **options):
    """A mapper with weights large enough that its steps are no rounding error."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = MapperConfig(NUM_WS, W_DIM, ATTRIBUTES, **options)
        start = torch.randn(ATTRIBUTES, W_DIM) if config.linear else None
        network = MapperNetwork(config, torch.randn(W_DIM), 2.0, start)
        with torch.no_grad():
            for name, value in network.named_parameters():
                if name.startswith("nets"):
                    value.add_(torch.randn_like(value) / value.shape[-1] ** 0.5)
    return network


def draw(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# -- structure ------------------------------------------------------------------------------------


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("layers", [1, 4])
def test_every_topology_and_depth_maps_latents_to_latents(topology, layers) -> None:
    network = build(topology=topology, layers=layers)
    w, delta = draw(3, NUM_WS, W_DIM), draw(3, ATTRIBUTES)
    out = network(w, delta)
    assert out.shape == w.shape
    assert not torch.allclose(out, w)
    # faces do not mix
    assert torch.allclose(network(w[1:2], delta[1:2]), out[1:2], atol=1e-5)


def test_hidden_layers_are_as_wide_as_what_enters() -> None:
    wide = {"flat": NUM_WS * W_DIM, "shared": W_DIM, "grouped": W_DIM, "per-style": W_DIM}
    for topology, width in wide.items():
        network = build(topology=topology, layers=2, linear=False)
        first = next(network.nets.parameters())
        assert width in first.shape, topology
    count = sum(p.numel() for p in build(topology="flat", layers=2, linear=False).parameters())
    size = NUM_WS * W_DIM
    assert count == (size + ATTRIBUTES + 1) * size + 2 * (size + 1) * size


def test_what_rows_share_is_what_the_topology_says() -> None:
    w = draw(1, 1, W_DIM).expand(2, NUM_WS, W_DIM)
    delta = draw(2, ATTRIBUTES)
    groups = {"shared": [range(10)], "grouped": [range(4), range(4, 8), range(8, 10)]}
    for topology, expected in groups.items():
        step = build(topology=topology, linear=False)(w, delta) - w
        for rows in expected:
            same = step[:, rows[0] : rows[0] + 1].expand(-1, len(rows), -1)
            assert torch.allclose(step[:, list(rows)], same, atol=1e-5), topology
    grouped = build(topology="grouped", linear=False)(w, delta)
    assert not torch.allclose(grouped[:, 0], grouped[:, 9])
    per_style = build(topology="per-style", linear=False)(w, delta)
    assert not torch.allclose(per_style[:, 0], per_style[:, 1])


def test_only_flat_lets_one_row_see_another() -> None:
    delta = draw(1, ATTRIBUTES)
    w = draw(1, NUM_WS, W_DIM)
    other = w.clone()
    other[:, 9] += 1
    for topology in TOPOLOGIES:
        network = build(topology=topology)
        moved = not torch.allclose(network(w, delta)[:, 0], network(other, delta)[:, 0], atol=1e-6)
        assert moved == (topology == "flat"), topology


def test_the_linear_term_starts_at_the_given_directions() -> None:
    network = MapperNetwork(
        MapperConfig(NUM_WS, W_DIM, ATTRIBUTES), scale=3.0, directions=draw(ATTRIBUTES, W_DIM)
    )
    with torch.no_grad():
        for value in network.nets.parameters():
            value.zero_()
    w, delta = draw(2, NUM_WS, W_DIM), draw(2, ATTRIBUTES, seed=5)
    expected = w + (delta @ draw(ATTRIBUTES, W_DIM))[:, None]
    assert torch.allclose(network(w, delta), expected, atol=1e-5)


# -- promises -------------------------------------------------------------------------------------


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_a_null_edit_is_exact_before_any_training(topology) -> None:
    w, nothing = draw(4, NUM_WS, W_DIM), torch.zeros(4, ATTRIBUTES)
    for null in ("symmetric", "anchored"):
        assert torch.equal(build(topology=topology, null=null)(w, nothing), w)
    learned = build(topology=topology, null="learned")(w, nothing)
    assert not torch.allclose(learned, w)


def test_the_symmetric_structure_nearly_undoes_itself() -> None:
    w, delta = draw(64, NUM_WS, W_DIM), 0.3 * draw(64, ATTRIBUTES, seed=2)
    errors = {}
    for null, looks in (("symmetric", 1), ("symmetric", 3), ("anchored", 1), ("learned", 1)):
        network = build(null=null, halfways=looks)
        there = network(w, delta)
        errors[null + "+" * (looks > 1)] = (
            editing.cycle_error(w, there, network(there, -delta)).mean().item()
        )
    assert errors["symmetric"] < 0.05
    assert errors["symmetric"] < 0.3 * errors["anchored"] < errors["learned"]
    assert errors["symmetric+"] < 0.5 * errors["symmetric"]


def test_bad_configurations_are_refused_by_field() -> None:
    for options, message in (
        ({"topology": "ring"}, "topology is 'ring'; allowed: shared"),
        ({"layers": 0}, "layers is 0; allowed: 1 to 4"),
        ({"halfways": 5}, "halfways is 5; allowed: 1 to 4"),
        ({"output": "tanh"}, "output is 'tanh'; allowed: residual, linear"),
        ({"null": "none"}, "null is 'none'"),
        ({"output": "linear"}, "allowed with it: null='learned'"),
        ({"correction": "magic"}, "correction is 'magic'"),
        ({"hidden_dim": 0}, "hidden_dim is 0"),
    ):
        with pytest.raises(ValueError, match=message):
            MapperConfig(NUM_WS, W_DIM, ATTRIBUTES, **options)
    with pytest.raises(ValueError, match="unknown key 'depth'; known: num_ws"):
        MapperConfig.from_dict({"depth": 2})


def test_the_papers_plain_network_can_be_had() -> None:
    network = build(output="linear", linear=False, null="learned", topology="shared")
    w = draw(2, NUM_WS, W_DIM)
    assert network(w, torch.zeros(2, ATTRIBUTES)).shape == w.shape


# -- the editor -----------------------------------------------------------------------------------


@pytest.fixture
def editor(tiny_generator):
    config = MapperConfig(tiny_generator.num_ws, 16, len(DEFAULT_TABLE), editable=("smile", "age"))
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = MapperNetwork(config, directions=torch.randn(len(DEFAULT_TABLE), 16))
    return MapperEditor(network, DEFAULT_TABLE, provenance={"generator": "abc"})


def test_an_editor_changes_only_what_it_was_trained_for(editor) -> None:
    ws = draw(2, editor.network.config.num_ws, 16)
    assert editor.attributes == ("smile", "age")
    assert not torch.equal(editor.edit(ws, EditRequest(changes={"smile": 0.2})), ws)
    with pytest.raises(AttributeRequestError, match=r"'hat'.*allowed: smile, age"):
        editor.edit(ws, EditRequest(changes={"hat": 0.2}))
    with pytest.raises(AttributeRequestError, match="readings are of 3 faces; allowed: 2"):
        editor.edit(ws, EditRequest(targets={"age": 0.2}, current=torch.rand(3, 35)))


def test_the_gain_acts_on_the_corrected_change(editor) -> None:
    with torch.no_grad():
        editor.network.gain.knobs.mul_(1.5)
    current = torch.full((1, 35), 0.9)
    knobs = editor.knobs(1, EditRequest(changes={"age": 0.4}, current=current))
    assert knobs[0, 0].item() == pytest.approx(0.15)  # clipped to 1, then the gain
    assert knobs.count_nonzero() == 1


def test_what_is_out_of_reach_does_not_send_the_rest_of_its_group_away() -> None:
    config = MapperConfig(num_ws=4, w_dim=8, attributes=len(DEFAULT_TABLE), hidden_dim=8)
    editor = MapperEditor(MapperNetwork(config), DEFAULT_TABLE)
    anger, happiness = (DEFAULT_TABLE.index(n) for n in ("anger", "happiness"))
    current = torch.zeros(1, 35)
    current[0, happiness] = 0.8
    request = EditRequest(changes={"anger": 0.9}, current=current)
    assert editor.knobs(1, request)[0, happiness] < -0.7
    # the most that this mapper was seen to bring is 0.15: nobody becomes angry by that
    editor.network.gain.fit(anger, torch.tensor([1.0, 2.0]), torch.tensor([0.15, 0.15]))
    knobs = editor.knobs(1, request)
    assert knobs[0, anger] == pytest.approx(1.0)
    assert knobs.count_nonzero() == 1


def test_what_is_saved_is_what_edits(editor, tmp_path) -> None:
    ws, request = draw(2, editor.network.config.num_ws, 16), EditRequest(changes={"age": -0.4})
    editor.save(tmp_path / "m.safetensors")
    again = MapperEditor.load(tmp_path / "m.safetensors")
    assert torch.equal(again.edit(ws, request), editor.edit(ws, request))
    assert again.attributes == ("smile", "age")
    assert again.provenance == {"generator": "abc"}
    editor.save(tmp_path / "half.safetensors", half=True)
    near = MapperEditor.load(tmp_path / "half.safetensors").edit(ws, request)
    assert near.dtype == torch.float32
    assert (near - again.edit(ws, request)).abs().max() < 2e-3 * (near - ws).abs().max()


def test_foreign_files_are_refused_in_one_line(editor, tmp_path) -> None:
    path = tmp_path / "m.safetensors"
    editor.save(path)
    tensors, metadata = load_safetensors(path)
    bad = [
        ({}, tensors, "no editor"),
        ({**metadata, "editor": "ganspace"}, tensors, "'ganspace'"),
        ({**metadata, "config": "[1"}, tensors, "no mapper"),
        ({**metadata, "table": "[]"}, tensors, "no mapper"),
        (metadata, {k: v for k, v in tensors.items() if k != "scale"}, "scale"),
        (metadata, {**tensors, "linear": tensors["linear"][:3]}, "linear"),
    ]
    for other_metadata, other_tensors, message in bad:
        save_safetensors(path, other_tensors, other_metadata)
        with pytest.raises(StorageError, match=message) as caught:
            MapperEditor.load(path)
        assert "\n" not in str(caught.value)


# -- the objective --------------------------------------------------------------------------------


def test_changes_are_few_or_many_or_none_and_stay_in_range() -> None:
    current = torch.rand(4000, 35, generator=torch.Generator().manual_seed(0))
    low, high = torch.full((35,), 0.1), torch.full((35,), 0.6)
    change = sample_changes(current, low, high, torch.Generator().manual_seed(1))
    counts = (change != 0).sum(dim=1)
    shares = [(counts == n).float().mean().item() for n in range(9)]
    assert shares[0] == pytest.approx(0.05, abs=0.02)
    assert sum(shares[1:4]) == pytest.approx(0.80, abs=0.03)
    assert sum(shares[4:]) == pytest.approx(0.15, abs=0.03)
    target = (current + change)[change != 0]
    assert target.min() >= 0.1 - 1e-5
    assert target.max() <= 0.6 + 1e-5
    few = sample_changes(current[:, :2], low[:2], high[:2], torch.Generator().manual_seed(1))
    assert few.shape == (4000, 2)


@pytest.fixture
def objective_batch(tiny_generator):
    z = draw(4, tiny_generator.z_dim)
    with torch.no_grad():
        w = tiny_generator.mapping(z)
        image = tiny_generator.synthesis(w)
    delta = torch.zeros(4, 35)
    delta[:, 2] = 0.3
    augmentation = Augmentation().draw(image.shape, torch.Generator().manual_seed(0))
    return {"w": w, "image": image, "delta": delta, **augmentation}


def test_the_objective_is_its_weighted_parts_and_trains_only_the_mapper(
    tiny_parts, objective_batch
) -> None:
    weights = LossWeights(conservation=2.0)
    objective = MapperObjective(
        tiny_parts["generator"],
        [tiny_parts["regressor"], tiny_parts["regressor"]],
        tiny_parts["embedder"],
        weights,
        objective_batch["w"][:, 0],
        conservation=background_kept_loss,
        augmentation=Augmentation(),
    )
    config = MapperConfig(
        tiny_parts["generator"].num_ws, 16, 35, null="learned", topology="shared", layers=1
    )
    network = MapperNetwork(config, directions=0.1 * torch.randn(35, 16))
    out = objective(network, objective_batch)
    parts = {"cycle", "neighbourhood", "cloud", "identity", "attribute", "face", "conservation"}
    assert set(out) == parts | {"loss"}
    total = sum(getattr(weights, k) * out[k].item() for k in parts)
    assert out["loss"].item() == pytest.approx(total, rel=1e-5)
    out["loss"].backward()
    # the net's first-layer gradient may be tiny, but every part must be connected
    assert all(p.grad is not None for p in network.parameters())
    frozen = [*tiny_parts["generator"].parameters(), *tiny_parts["regressor"].parameters()]
    assert all(p.grad is None for p in frozen)


def test_what_has_no_target_costs_nothing(tiny_parts, objective_batch) -> None:
    objective = MapperObjective(
        tiny_parts["generator"], [tiny_parts["regressor"]], tiny_parts["embedder"], LossWeights(),
        objective_batch["w"][:, 0], augmentation=Augmentation(),
    )  # fmt: skip
    network = MapperNetwork(
        MapperConfig(tiny_parts["generator"].num_ws, 16, 35), directions=0.3 * torch.randn(35, 16)
    )
    out = objective(network, objective_batch)["attribute"].item()
    one = torch.ones(4, 35)
    same = objective(network, {**objective_batch, "held": one})["attribute"].item()
    assert same == pytest.approx(out, rel=1e-6)
    none = objective(network, {**objective_batch, "held": 0 * one})
    assert none["attribute"].item() == 0
    half = one.clone()
    half[:, ::2] = 0
    some = objective(network, {**objective_batch, "held": half})["attribute"].item()
    rest = objective(network, {**objective_batch, "held": 1 - half})["attribute"].item()
    assert 0 < some < out
    assert some + rest == pytest.approx(out, rel=1e-5)


def test_an_edit_that_asks_nothing_and_does_nothing_costs_nothing(
    tiny_parts, objective_batch
) -> None:
    objective = MapperObjective(
        tiny_parts["generator"], [tiny_parts["regressor"]], tiny_parts["embedder"], LossWeights(),
        objective_batch["w"][:, 0], cloud_floor=100.0, augmentation=Augmentation(),
    )  # fmt: skip
    network = MapperNetwork(MapperConfig(tiny_parts["generator"].num_ws, 16, 35))
    batch = {**objective_batch, "delta": torch.zeros(4, 35)}
    out = objective(network, batch)
    assert out["loss"].item() == pytest.approx(0, abs=1e-6)


def test_weights_and_parts_that_do_not_fit_are_refused(tiny_parts) -> None:
    with pytest.raises(ValueError, match=r"weight face is -1\.0; allowed: 0 or more"):
        LossWeights(face=-1.0)
    ws = torch.randn(9, 16)
    with pytest.raises(ValueError, match="at least one regressor"):
        MapperObjective(tiny_parts["generator"], [], tiny_parts["embedder"], LossWeights(), ws)
    with pytest.raises(ValueError, match=r"conservation is 1\.0, but no loss was given"):
        MapperObjective(
            tiny_parts["generator"], [tiny_parts["regressor"]], tiny_parts["embedder"],
            LossWeights(conservation=1.0), ws,
        )  # fmt: skip


# -- the recipe -----------------------------------------------------------------------------------

SMALL = MapperTraining(
    faces=96, batch_size=8, hidden_dim=16, layers=1, calibration_faces=0, schedule_steps=40,
    start="mean-difference",
)  # fmt: skip
QUIET = Settings(steps=4, seed=0, checkpoint_every=2, log_every=2, device="cpu")


def small_task(tiny_world, tmp_path, **changes):
    config = dataclasses.replace(SMALL, triplets=str(tmp_path / "triplets"), **changes)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_from(tiny_world, config, "mapper.safetensors")


@pytest.mark.slow
def test_ten_and_ten_steps_are_twenty(tiny_world, tmp_path) -> None:
    def state(folder):
        """The last checkpoint: what is shipped is rounded to half and would hide a difference."""
        last = max(folder.glob("step-*"))
        found = {p.name: load_safetensors(p)[0] for p in sorted(last.glob("*.safetensors"))}
        found |= torch.load(last / "mapper.optimizer.pt", weights_only=True)["state"]
        return {f"{part}/{name}": t for part, all_of in found.items() for name, t in all_of.items()}

    settings = dataclasses.replace(QUIET, steps=20, checkpoint_every=10)
    train(small_task(tiny_world, tmp_path), settings, tmp_path / "whole", progress=False)
    half = dataclasses.replace(settings, steps=10)
    train(small_task(tiny_world, tmp_path), half, tmp_path / "cut", progress=False)
    train(small_task(tiny_world, tmp_path), settings, tmp_path / "cut", resume=True, progress=False)
    whole, cut = state(tmp_path / "whole"), state(tmp_path / "cut")
    assert {"mapper.safetensors/linear", "average.safetensors/linear", "0/exp_avg"} <= set(whole)
    assert set(whole) == set(cut)
    assert all(torch.equal(torch.as_tensor(whole[k]), torch.as_tensor(cut[k])) for k in whole)


def test_a_training_leaves_what_moves_with_an_edit_without_a_target(tiny_world, tmp_path) -> None:
    for leave_free in (True, False):
        task = small_task(tiny_world, tmp_path, attributes=("smile",), leave_free=leave_free)
        batch = task.batch(0, torch.Generator().manual_seed(0))
        assert ("held" in batch) == leave_free
    held = small_task(tiny_world, tmp_path, attributes=("smile",)).batch(
        0, torch.Generator().manual_seed(0)
    )
    asked = held["delta"][:, DEFAULT_TABLE.index("smile")] != 0
    assert asked.any()
    partners = [DEFAULT_TABLE.index(n) for n in DEFAULT_TABLE["smile"].moves_with]
    rest = [i for i in range(len(DEFAULT_TABLE)) if i not in partners]
    assert (held["held"][asked][:, partners] == 0).all()
    assert (held["held"][:, rest] == 1).all()
    assert (held["held"][~asked] == 1).all()


@pytest.mark.slow
def test_training_lowers_the_loss_and_ships_an_editor(tiny_world, tmp_path) -> None:
    # only the latent part of the objective is known to fall in an untrained world: ask for it
    task = small_task(
        tiny_world, tmp_path, attributes=("smile", "age"), calibration_faces=96,
        neighbourhood_loss_weight=50.0, learning_rate=0.3, attribute_loss_weight=1.0,
    )  # fmt: skip
    records = []
    settings = dataclasses.replace(QUIET, steps=24, log_every=6, checkpoint_every=24)
    outcome = train(task, settings, tmp_path / "run", progress=False, callbacks=(records.append,))
    assert records[-1]["loss"] < 0.7 * records[0]["loss"]
    editor = MapperEditor.load(tmp_path / "run" / "final" / "mapper.safetensors")
    assert editor.attributes == ("smile", "age")
    assert set(editor.provenance) == {"generator", "regressor", "regressor_b", "embedder"}
    assert set(outcome.scores) == {"achieved_score", "others_error", "aim"}
    # the gains of what was not trained stay at 1
    knobs = editor.network.gain.knobs
    assert torch.allclose(knobs[:, DEFAULT_TABLE.index("hat")], editor.network.gain.knots)


def test_batches_depend_on_the_step_alone_and_change_only_the_chosen(tiny_world, tmp_path) -> None:
    task = small_task(tiny_world, tmp_path, attributes=("yaw", "pitch"))
    one = task.batch(3, torch.Generator().manual_seed(5))
    two = task.batch(3, torch.Generator().manual_seed(5))
    assert all(torch.equal(one[k], two[k]) for k in one)
    changed = (one["delta"] != 0).any(dim=0).nonzero()[:, 0].tolist()
    assert set(changed) <= {DEFAULT_TABLE.index("yaw"), DEFAULT_TABLE.index("pitch")}


def test_recipes_name_their_inputs_and_outputs() -> None:
    for name in ("mapper", "mapper-plain", "mapper-lesson"):
        recipe = get_recipe(name)
        assert recipe.outputs == (f"{name}.safetensors",)
        assert recipe.depends_on == ("generator", "regressor", "regressor_b", "embedder")
    assert get_recipe("mapper").config.background_loss_weight > 0
    assert get_recipe("mapper-plain").config.background_loss_weight == 0
    assert len(get_recipe("mapper-lesson").config.attributes) == 3


def test_an_ensemble_larger_than_what_is_there_is_refused(tiny_world, tmp_path) -> None:
    with pytest.raises(ValueError, match="ensemble is 3; allowed: 1 to 2"):
        small_task(tiny_world, tmp_path, ensemble=3)
    with pytest.raises(ValueError, match=r"generator\.safetensors is missing"):
        build_from(tmp_path, SMALL, "mapper.safetensors")


def test_the_faces_are_labelled_once_for_the_mapper_and_for_directions(
    tiny_world, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    config = dataclasses.replace(SMALL, triplets="")
    task = build_from(tiny_world, config, "mapper.safetensors")
    (folder,) = tmp_path.glob("l2l-triplets-*")
    times = {path.name: path.stat().st_mtime_ns for path in folder.glob("shard-*")}
    assert times
    parts = load_parts(tiny_world, config.ensemble, "a direction")
    same = Labelled(
        faces=config.faces, psi_low=config.psi_low, psi_high=config.psi_high,
        data_seed=config.data_seed, ensemble=config.ensemble,
    )  # fmt: skip
    world = LabelledWorld(same, *parts[:2], DEFAULT_TABLE, parts[2])
    assert list(tmp_path.glob("l2l-triplets-*")) == [folder]
    assert {path.name: path.stat().st_mtime_ns for path in folder.glob("shard-*")} == times
    assert torch.equal(world.scores, task.reader.latents()[1])


def test_ones_own_conservation_loss_enters(tiny_parts, tmp_path) -> None:
    seen = []

    def mouths_stay_red(before, after):
        seen.append((before.shape, after.shape))
        return (before - after).square().mean()

    config = dataclasses.replace(
        SMALL, ensemble=1, background_loss_weight=1.0, triplets=str(tmp_path / "t")
    )
    task = MapperTask(
        config, tiny_parts["generator"], [tiny_parts["regressor"]], tiny_parts["embedder"],
        conservation=mouths_stay_red,
    )  # fmt: skip
    train(task, dataclasses.replace(QUIET, steps=1), tmp_path / "run", progress=False)
    assert seen == [((8, 3, 32, 32), (8, 3, 32, 32))]


@pytest.mark.slow
def test_a_training_under_way_gives_a_calibrated_editor_and_goes_on(tiny_parts, tmp_path) -> None:
    """What a stopped lesson is graded by, and what its sliders show."""
    config = dataclasses.replace(
        SMALL, ensemble=1, calibration_faces=96, attributes=("age", "smile", "yaw", "beard"),
        triplets=str(tmp_path / "t"),
    )  # fmt: skip
    task = MapperTask(
        config, tiny_parts["generator"], [tiny_parts["regressor"]], tiny_parts["embedder"]
    )
    train(task, dataclasses.replace(QUIET, steps=1), tmp_path / "run", progress=False)
    fitted = task.average.gain.knobs.clone()
    task.average.gain.knobs.copy_(task.average.gain.knots.expand_as(fitted))
    editor, aim = task.calibrated_editor()
    assert 0 < aim <= 1
    assert torch.equal(editor.network.gain.knobs, fitted), "as the training's own end does it"
    assert not torch.equal(task.average.gain.knobs, fitted), "the training has its network back"
    w = task.reader.latents()[0][:1, None].repeat(1, tiny_parts["generator"].num_ws, 1)
    edited = [editor.edit(w, EditRequest(changes={name: 0.3})) for name in editor.attributes]
    # one step of an untrained regressor may leave some of them without a response, not all
    assert any(not torch.equal(one, w) for one in edited)
