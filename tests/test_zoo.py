import pytest
import torch
from conftest import (
    W_DIM,
    LinearEditor,
    build_attribute_net,
    build_directions,
    build_generator,
    write_manifest,
    write_world,
)

from l2l_widgets.attributes import DEFAULT_TABLE, EditRequest
from l2l_widgets.models import zoo
from l2l_widgets.models.zoo import Models, ZooError, list_models, load
from l2l_widgets.perception import save_network
from l2l_widgets.storage import sha256_file


@pytest.fixture
def world(tmp_path):
    """A folder of its own for each test, without an identity judge."""
    folder = write_world(tmp_path / "my-world")
    (folder / "judge_embedder.safetensors").unlink()
    write_manifest(folder)
    return folder


def test_parts_are_loaded_when_first_used_and_only_then(world):
    models = load(world)
    assert models.name == "my-world"
    assert models.loaded == ()
    assert models.has("regressor")
    assert not models.has("identity_judge")
    z = torch.zeros(1, 16)
    picture = models.generator.synthesis(models.generator.mapping(z))
    assert picture.shape == (1, 3, 32, 32)
    assert models.loaded == ("generator",)
    assert models.generator is models.generator
    assert not any(p.requires_grad for p in models.generator.parameters())


def test_loaded_weights_are_those_that_were_saved(world):
    z = torch.randn(2, 16, generator=torch.Generator().manual_seed(0))
    made, loaded = build_generator(), load(world).generator
    torch.testing.assert_close(loaded.mapping(z), made.mapping(z))
    torch.testing.assert_close(loaded.synthesis(loaded.mapping(z)), made.synthesis(made.mapping(z)))


def test_the_ensemble_starts_with_the_regressor(world):
    models = load(world)
    assert len(models.regressors) == 2
    assert models.regressors[0] is models.regressor
    assert models.attribute_judge not in models.regressors


def test_a_missing_part_is_named(world):
    with pytest.raises(ZooError, match=r"my-world.*identity_judge.*present: generator"):
        _ = load(world).identity_judge


@pytest.mark.parametrize("damage", ["truncated", "other bytes", "missing"])
def test_a_damaged_file_is_refused_in_one_line(world, damage):
    path = world / "generator.safetensors"
    data = path.read_bytes()
    if damage == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "other bytes":
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    else:
        path.unlink()
    with pytest.raises(ZooError, match=r"generator\.safetensors") as caught:
        _ = load(world).generator
    assert "\n" not in str(caught.value)
    wanted = "missing" if damage == "missing" else "manifest says"
    assert wanted in str(caught.value)


def test_a_foreign_file_with_the_right_hash_is_refused(world):
    (world / "generator.safetensors").write_bytes(b"PK\x03\x04 a zip, not weights")
    write_manifest(world)
    with pytest.raises(ZooError, match=r"generator\.safetensors") as caught:
        _ = load(world).generator
    assert "\n" not in str(caught.value)


def test_a_network_in_the_generators_place_is_refused(world):
    save_network(world / "generator.safetensors", build_attribute_net(1))
    write_manifest(world)
    with pytest.raises(ZooError, match=r"generator\.safetensors"):
        _ = load(world).generator


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not readable as JSON"),
        ("[" * 20_000, "not readable as JSON"),
        ("[]", "allowed: an object"),
        ('{"generator.safetensors": {}}', "sha256"),
        ('{"generator.safetensors": {"sha256": 7}}', "64 hexadecimal digits"),
        ('{"../generator.safetensors": {"sha256": "' + "0" * 64 + '"}}', "plain file name"),
        ('{"mapper.safetensors": {"sha256": "' + "0" * 64 + '"}}', "generator.safetensors"),
    ],
)
def test_a_broken_manifest_is_refused(world, text, message):
    (world / "MANIFEST.json").write_text(text)
    with pytest.raises(ZooError, match=message):
        load(world)


def test_a_folder_without_a_manifest_is_refused(tmp_path):
    with pytest.raises(ZooError, match=r"there is no MANIFEST\.json"):
        load(tmp_path)


def test_an_unknown_name_is_refused_with_what_there_is():
    with pytest.raises(ZooError, match=r"'faceworld-65'.*no embedded world, folder or file"):
        load("faceworld-65")
    with pytest.raises(ZooError, match=r"'faceworld-64'.*did you mean faceworld-128\?"):
        load("faceworld-64")  # as the embedded world was called when it drew 64 pixels


def test_an_unknown_device_is_refused(world):
    with pytest.raises(ZooError, match="device 'abacus'"):
        load(world, device="abacus")


def test_the_default_is_the_first_embedded_world(world, monkeypatch):
    monkeypatch.setattr(zoo, "WEIGHTS", world.parent)
    assert list_models() == ("my-world",)
    assert load().name == "my-world"
    assert load("my-world").name == "my-world"


def test_without_any_embedded_world_the_error_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    with pytest.raises(ZooError, match="no embedded models"):
        load()


def test_one_generator_file_can_be_sampled_but_not_judged(world):
    models = load(world / "generator.safetensors")
    assert models.hashes == {"generator": sha256_file(world / "generator.safetensors")}
    assert models.generator.img_resolution == 32
    with pytest.raises(ZooError, match="'regressor' is missing"):
        _ = models.regressor


def test_a_world_brings_its_own_table(world):
    table = DEFAULT_TABLE.subset(("age", "smile"))
    (world / "attributes.json").write_text(table.to_json())
    entry = {"sha256": sha256_file(world / "attributes.json"), "kind": "table"}
    write_manifest(world, **{"attributes.json": entry})
    models = load(world)
    assert models.table.names == ("age", "smile")
    with pytest.raises(ZooError, match="regressor reads 35 attributes"):
        _ = models.regressor


def test_hashes_name_files_by_part(world):
    hashes = load(world).hashes
    assert hashes["generator"] == sha256_file(world / "generator.safetensors")
    assert hashes["attribute_judge"] == sha256_file(world / "judge_regressor.safetensors")


def test_hashes_of_parts_follow_their_tensors(tiny_parts):
    def hashes(directions):
        editors = {"linear": LinearEditor(directions)}
        return Models.from_parts(**tiny_parts, editors=editors).hashes

    same, again, other = (hashes(build_directions(s)) for s in (3, 3, 4))
    assert same == again
    assert same["generator"] == other["generator"]
    assert same["linear"] != other["linear"]
    parts = {**tiny_parts, "generator": build_generator(1)}
    assert Models.from_parts(**parts).hashes["generator"] != same["generator"]


def test_a_plain_callable_generator_has_a_hash(counting_generator, tiny_parts):
    first = Models.from_parts(counting_generator).hashes["generator"]
    second = Models.from_parts(counting_generator).hashes["generator"]
    assert first == second
    assert len(first) == 64


def test_editors_come_as_objects_as_modules_and_as_makers(tiny_parts):
    class ModuleEditor(torch.nn.Module):
        name, space, can_preserve, attributes = "module", "w", False, DEFAULT_TABLE.names

        def edit(self, w, request):
            return w + 1

        def forward(self, w):
            raise AssertionError("an editor that is a module must not be called as a maker")

    made = []

    def maker(models):
        made.append(models)
        return LinearEditor(build_directions())

    models = Models.from_parts(**tiny_parts, editors={"module": ModuleEditor(), "linear": maker})
    assert set(models.available_editors) == {"module", "linear"}
    w = torch.zeros(1, models.generator.num_ws, W_DIM)
    assert float(models.editor("module").edit(w, EditRequest()).mean()) == 1
    assert made == []
    assert models.editor("linear") is models.editor("linear")
    assert made == [models]
    with pytest.raises(ZooError, match=r"'styleflow' is not available; available: module, linear"):
        models.editor("styleflow")


def test_a_regressor_with_other_columns_is_refused(tiny_generator):
    other = build_attribute_net(0)
    other.attributes = tuple(reversed(other.attributes))
    models = Models.from_parts(tiny_generator, regressor=other)
    with pytest.raises(ZooError, match="the table's names in its order"):
        _ = models.regressor
