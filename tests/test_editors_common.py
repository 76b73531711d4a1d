"""One contract for every editor; the contract itself is tested on editors that break it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from conftest import build_generator, write_manifest, write_world
from editor_builders import BUILDERS

from l2l_widgets.attributes import DEFAULT_TABLE, EditRequest
from l2l_widgets.editors import list_editors, make_editor
from l2l_widgets.editors.checks import EditorContractError, check_editor
from l2l_widgets.latents import to_wplus
from l2l_widgets.models.zoo import load
from l2l_widgets.storage import sha256_file
from l2l_widgets.stylegan2 import save_generator


@pytest.fixture
def faces(tiny_generator):
    z = torch.randn(5, tiny_generator.z_dim, generator=torch.Generator().manual_seed(8))
    with torch.no_grad():
        return tiny_generator.mapping(z)


@pytest.fixture(scope="module")
def full_world(tmp_path_factory):
    """A folder of models with a file of every method."""
    folder = write_world(tmp_path_factory.mktemp("full") / "full-world")
    generator = build_generator()
    for name, build in BUILDERS.items():
        editor = build(generator, sha256_file(folder / "generator.safetensors"))
        editor.save(folder / f"{name}.safetensors")
    write_manifest(folder)
    return folder


@pytest.mark.parametrize("name", list_editors())
def test_every_editor_keeps_the_contract(full_world, faces, name) -> None:
    editor = make_editor(name, load(full_world))
    assert editor.name == name
    current = torch.rand(5, len(DEFAULT_TABLE), generator=torch.Generator().manual_seed(9))
    ran = check_editor(editor, faces, current)
    assert len(ran) == 13


def test_the_method_list_is_what_can_be_made(full_world, tiny_world) -> None:
    assert list_editors() == tuple(BUILDERS)
    assert load(full_world).available_editors == list_editors()
    assert load(tiny_world).available_editors == ("mapper",), "a missing file is no method"
    with pytest.raises(ValueError, match="'mapperr' is unknown; did you mean mapper"):
        make_editor("mapperr", load(tiny_world))


@pytest.mark.parametrize("name", [n for n in list_editors() if n != "mapper"])
def test_an_editor_of_another_generator_is_refused(full_world, tmp_path, name) -> None:
    for file in full_world.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    save_generator(tmp_path / "generator.safetensors", build_generator(seed=1))
    write_manifest(tmp_path)
    with pytest.raises(ValueError, match=r"fitted for generator .*allowed: load that generator"):
        load(tmp_path).editor(name)


class _Broken:
    """A correct editor with one fault, by name."""

    name, space, can_preserve = "broken", "w+", False
    attributes = DEFAULT_TABLE.names

    def __init__(self, fault):
        self.fault = fault
        self.can_preserve = fault in ("deaf", "guesses")

    def edit(self, w, request):
        if self.fault == "deaf":
            request.validate(DEFAULT_TABLE)
        elif self.fault == "guesses":
            request = replace(request, preserve=())
        elif request.preserve and self.fault != "preserve":
            raise ValueError("preserve is not possible")
        if w.shape[2] != 16:
            raise ValueError("w_dim is not 16; allowed: 16")
        if self.fault == "nameless" and "no_such_attribute" in request.changes:
            raise ValueError("what is asked for is not known")
        delta = torch.ones(1, 1)
        if self.fault != "validate":
            delta = request.deltas(DEFAULT_TABLE)
            if self.fault == "blind" and request.targets:
                delta = torch.full_like(delta, 0.3)
            if self.fault == "one for all" and request.targets:
                delta = delta.mean(dim=0, keepdim=True).expand_as(delta)
            if len(delta) not in (1, len(w)):
                raise ValueError("readings of another number of faces")
        if request.empty:
            return {"alias": w, "null": w + 1e-3}.get(self.fault, w.clone())
        if self.fault == "mutates":
            return w.add_(1)
        if self.fault == "mixes":
            return w + w.mean(dim=0)
        if self.fault == "random":
            return w + torch.rand(())
        if self.fault == "ordered":
            return w + next(iter(request.changes.values()), 0.3)
        if self.fault == "one way":
            return w + 1
        size = delta.sum(dim=1)[:, None, None]
        if self.fault == "weakens":
            return w + 0.1 / size
        return w - size if self.fault == "backwards" else w + size

    def reach(self, name):
        DEFAULT_TABLE.index(name)
        return (0.5, 1.5 if self.fault == "reach" else 1.0)

    def save(self, path):
        path.write_bytes(b"fault: " + self.fault.encode())

    @classmethod
    def load(cls, path):
        if not path.read_bytes().endswith(b"none") and path.read_bytes() != b"fault: disk":
            raise ValueError("truncated")
        return cls("none")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("mutates", "input is left untouched"),
        ("null", "empty request"),
        ("alias", "returns a copy"),
        ("random", "deterministic"),
        ("mixes", "batch equals its single faces"),
        ("validate", "unknown attribute"),
        ("preserve", "preserve"),
        ("reach", "two sizes from 0 to 1"),
        ("weakens", "no less far than a smaller one"),
        ("one way", "opposite requests"),
        ("nameless", "the refusal of an unknown attribute names it"),
        ("backwards", "the reading of 'age' follows the request"),
        ("deaf", "what is to be preserved makes a difference"),
        ("guesses", "an unknown attribute to preserve is refused"),
        ("blind", "counts from the current readings"),
        ("one for all", "absolute target from its own readings"),
        ("ordered", "the order of the attributes in a request does not matter"),
    ],
)
def test_the_contract_names_the_promise_that_was_broken(faces, fault, message) -> None:
    current = torch.rand(5, len(DEFAULT_TABLE), generator=torch.Generator().manual_seed(9))
    current = current if fault in ("blind", "one for all") else None
    with pytest.raises(EditorContractError, match=message):
        check_editor(_Broken(fault), faces, current, read=lambda ws, name: ws.mean(dim=(1, 2)))


def test_a_correct_editor_of_ones_own_passes(faces) -> None:
    assert "keeps_shape_and_input" in check_editor(_Broken("none"), faces)


def test_one_row_is_enough() -> None:
    from l2l_widgets.editors import MapperConfig, MapperEditor, MapperNetwork

    network = MapperNetwork(
        MapperConfig(1, 16, len(DEFAULT_TABLE)), directions=torch.ones(len(DEFAULT_TABLE), 16)
    )
    ws = to_wplus(torch.randn(3, 16, generator=torch.Generator().manual_seed(1)), 1)
    assert check_editor(MapperEditor(network, DEFAULT_TABLE), ws)
    moved = MapperEditor(network, DEFAULT_TABLE).edit(ws, EditRequest(changes={"age": 0.2}))
    assert moved.shape == ws.shape
