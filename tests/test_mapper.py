"""The mapper: its structure, its promises before any training, its objective, its recipe."""

from __future__ import annotations

import pytest
import torch

from l2l_widgets.attributes import DEFAULT_TABLE, AttributeRequestError, EditRequest
from l2l_widgets.editors import MapperConfig, MapperEditor, MapperNetwork
from l2l_widgets.editors.folded_mapper import FoldedMapper
from l2l_widgets.editors.mapper_objective import LossWeights, MapperObjective, sample_changes
from l2l_widgets.losses import Augmentation, background_kept_loss
from l2l_widgets.metrics import editing
from l2l_widgets.storage import StorageError, load_safetensors, save_safetensors

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


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize(
    "options",
    [{"layers": 1}, {"layers": 4, "activation": "relu"}, {"linear": False, "hidden_dim": 5}],
    ids=["one", "four", "no linear term"],
)
def test_the_fast_path_is_the_network_but_for_rounding(topology, options) -> None:
    w, delta = draw(3, NUM_WS, W_DIM), draw(3, ATTRIBUTES)
    for looks in (1, 2, 4):
        network = build(topology=topology, halfways=looks, **options)
        fast, expected = FoldedMapper(network), network(w, delta)
        assert (expected - w).abs().max() > 0.1
        assert torch.allclose(fast(w, delta), expected, atol=1e-5)
        assert torch.equal(fast(w, torch.zeros(3, ATTRIBUTES)), w), "a null edit is exact"


def test_the_fast_path_follows_its_weights() -> None:
    w, delta = draw(3, NUM_WS, W_DIM), draw(3, ATTRIBUTES)
    network = build(halfways=3)
    fast = FoldedMapper(network)
    before = fast(w, delta)
    with torch.no_grad():
        network.nets[0][0].weight.mul_(1.5)
        network.linear.mul_(0.5)
    assert not torch.allclose(fast(w, delta), before, atol=1e-3)
    assert torch.allclose(fast(w, delta), network(w, delta), atol=1e-5)
    network.load_state_dict(build(seed=3, halfways=3).state_dict())
    assert torch.allclose(fast(w, delta), network(w, delta), atol=1e-5)
    double = fast.network.double()(w.double(), delta.double())
    assert torch.allclose(fast(w.double(), delta.double()), double, atol=1e-9)
    with torch.inference_mode():
        born = FoldedMapper(build(halfways=2))
        assert torch.allclose(born(w, delta), born.network(w, delta), atol=1e-5)
    with pytest.raises(ValueError, match="null is 'anchored'; allowed: 'symmetric'"):
        FoldedMapper(build(null="anchored"))


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
