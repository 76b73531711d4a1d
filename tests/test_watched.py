"""What the recipes' trainings show of themselves, drawn by the real tasks."""

from __future__ import annotations

import pytest
import torch
from trained_world import SMALL, small, write_open_world

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.recipes import build_task
from l2l_widgets.recipes.watched import FACES, MATRIX, ROWS, watched_columns
from l2l_widgets.training import Watch, read_look, steps_seen


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return write_open_world(tmp_path_factory.mktemp("weights") / "tiny-world")


@pytest.fixture(scope="module")
def triplets(tmp_path_factory):
    return tmp_path_factory.mktemp("labelled") / "triplets"


@pytest.mark.parametrize("name", SMALL)
def test_an_editor_shows_the_same_faces_edited_and_what_that_moves(name, world, triplets, tmp_path):
    task = build_task(small(name, triplets), world)
    cpu = torch.device("cpu")
    task.prepare(cpu)
    modes = [module.training for module in task.modules().values()]
    tmp_path.mkdir(exist_ok=True)
    watch = Watch(task, tmp_path)
    assert watch.look(0, 0.0, cpu, always=True), watch.error
    look = read_look(tmp_path, *steps_seen(tmp_path))
    assert look.captions[0] == "as drawn"
    assert 2 <= len(look.captions) <= 1 + ROWS
    assert all(caption.endswith(" +1") for caption in look.captions[1:])
    assert look.columns == FACES
    assert look.side == (32, 32)
    assert 1 <= len(look.leakage) <= MATRIX
    for asked, moved in look.leakage.items():
        assert set(moved) == set(look.leakage), asked
    assert any(abs(v) > 0 for moved in look.leakage.values() for v in moved.values())
    with torch.no_grad():
        rows = task.pictures()
    assert torch.equal(rows["as drawn"], task.pictures()["as drawn"]), "the same faces every time"
    edited = [row for caption, row in rows.items() if caption != "as drawn"]
    assert any(not torch.equal(row, rows["as drawn"]) for row in edited)
    assert [module.training for module in task.modules().values()] == modes


def test_plain_attributes_come_first_and_only_trained_ones():
    table = DEFAULT_TABLE

    everything = watched_columns(table, range(len(table)), 3)
    assert [table.names[c] for c in everything] == ["smile", "glasses", "age"]
    hat, fear = table.index("hat"), table.index("fear")
    assert watched_columns(table, [fear, hat], 3) == [fear, hat]
