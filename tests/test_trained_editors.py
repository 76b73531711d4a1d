"""The contract, and the ways to an edit, over files that the recipes wrote and over the shipped."""

from __future__ import annotations

import json

import pytest
import torch
from conftest import good
from trained_world import publish_all, write_open_world

from l2l_widgets.attributes import EditRequest
from l2l_widgets.cli import main
from l2l_widgets.editors import list_editors
from l2l_widgets.editors.checks import check_editor
from l2l_widgets.models.zoo import load
from l2l_widgets.session.edit_session import EditSession

#: A file that a download of the whole set should not feel.
LARGEST = 1_500_000


#: Every editor is trained first.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    world = write_open_world(folder / "tiny-world")
    return publish_all(world, folder / "triplets", folder / "runs")


def faces_of(models, count=4):
    """Latents of fresh faces, and the regressor's readings."""
    generator = models.generator
    z = torch.randn(count, generator.z_dim, generator=torch.Generator().manual_seed(8))
    with torch.inference_mode():
        ws = generator.mapping(z, truncation_psi=0.7)
        readings = models.regressor(generator.synthesis(ws, noise_mode="const"))
    return ws.clone(), readings.clone()


@pytest.mark.parametrize("name", list_editors())
def test_what_a_recipe_wrote_keeps_the_contract(trained, name) -> None:
    models = load(trained)
    editor = models.editor(name)
    assert editor.origin.generator == models.hashes["generator"]
    assert len(check_editor(editor, *faces_of(models))) == 13


@pytest.mark.parametrize("name", load().available_editors)
def test_what_is_shipped_keeps_the_contract(name) -> None:
    models = load()
    editor = models.editor(name)

    def read(ws, attribute):
        pictures = models.generator.synthesis(ws, noise_mode="const")
        return models.attribute_judge(pictures)[:, models.table.index(attribute)]

    assert len(check_editor(editor, *faces_of(models), read=read)) == 13
    size = models.file(name).stat().st_size
    assert size <= (4_000_000 if name == "mapper" else LARGEST)


def test_the_zoo_lists_what_files_serve(trained, tmp_path) -> None:
    assert load(trained).available_editors == list_editors()
    for file in trained.iterdir():
        if file.name != "ganspace.safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    models = load(tmp_path)
    assert set(list_editors()) - set(models.available_editors) == {"ganspace"}
    with pytest.raises(ValueError, match=r"'ganspace' is not available; available: mapper, inter"):
        models.editor("ganspace")
    # one's own generator may be called like a method, and is none
    (tmp_path / "alone").mkdir()
    lone = tmp_path / "alone" / "mapper.safetensors"
    lone.write_bytes((trained / "generator.safetensors").read_bytes())
    assert load(lone).available_editors == ()
    for name in load().available_editors:
        assert load().file(name).is_file()


@pytest.mark.parametrize("name", list_editors())
def test_a_session_edits_with_it(trained, name) -> None:
    models = load(trained)
    attribute = models.editor(name).attributes[0]
    session = EditSession(models, method=name, n_random=2)
    session.set_changes({attribute: 0.4})
    relative = good(session.render())
    session.set_targets({attribute: 0.9})
    absolute = good(session.render())
    reading = float(relative.request.current[0, models.table.index(attribute)])
    assert absolute.requested == pytest.approx({attribute: 0.9 - reading}, abs=1e-6)
    for result in (relative, absolute):
        assert not torch.equal(result.after, result.before)


@pytest.mark.parametrize("name", ["styleflow", "ganspace", "stylespace"])
def test_the_command_line_edits_with_it(trained, tmp_path, capsys, name) -> None:
    attribute = load(trained).editor(name).attributes[0]
    out = tmp_path / "out.png"
    words = ["edit", "--generator", str(trained), "--seed", "5", "--method", name, "--json"]
    assert main([*words, "--set", f"{attribute}=0.8", "--out", str(out)]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["method"] == name
    assert out.stat().st_size > 0


def test_the_flow_returns_to_the_face(trained) -> None:
    models = load(trained)
    editor = models.editor("styleflow")
    ws, readings = faces_of(models, 16)
    network = editor.network
    with torch.no_grad():
        again = network.decode(network.encode(ws[:, 0], readings), readings)
    assert float((again - ws[:, 0]).abs().max()) < 1e-3
    still = editor.edit(ws, EditRequest(targets={"hat": 0.5}, current=_with(readings, "hat", 0.5)))
    assert torch.allclose(still, ws, atol=1e-3), "a target that is met already moves nothing"


def _with(readings, name, value):
    from l2l_widgets.attributes import DEFAULT_TABLE

    readings = readings.clone()
    readings[:, DEFAULT_TABLE.index(name)] = value
    return readings
