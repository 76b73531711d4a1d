"""The exercises of student_9: right answers pass, wrong ones are told why; solutions live here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from conftest import build_attribute_net, build_generator

from l2l_widgets.inversion import InversionSettings
from l2l_widgets.models.zoo import Models
from l2l_widgets.photos import invert_picture
from l2l_widgets.teaching.exercises import Exercise, exercise, expect_choice, expect_number

NOTEBOOK = Path(__file__).parent.parent / "notebooks" / "student_9_your_photo.ipynb"


@pytest.fixture(scope="module")
def lesson():
    """What the cells above the exercises have made, at a smaller size."""
    models = Models.from_parts(
        build_generator(), regressor=build_attribute_net(1), attribute_judge=build_attribute_net(3)
    )
    generator = models.generator
    z = torch.randn(1, 16, generator=torch.Generator().manual_seed(8))
    picture = generator.synthesis(generator.mapping(z)).detach().clamp(-1, 1)
    first = invert_picture(models, picture, InversionSettings("w", 0, 4))
    found = {"w+": invert_picture(models, picture, InversionSettings("w+", 12), start=first.ws)}
    space = {
        "torch": torch, "models": models, "picture": picture, "first": first, "found": found,
        "exercise": exercise, "expect_choice": expect_choice, "expect_number": expect_number,
    }  # fmt: skip
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    for c in cells:
        if "exercise" in c["metadata"].get("tags", ()):
            exec("".join(c["source"]), space)
    assert len([v for v in space.values() if isinstance(v, Exercise)]) == 3
    return space


def test_all_wait_for_an_answer(lesson):
    assert {lesson[f"verdict_{x}"].state for x in "abc"} == {"unanswered"}


def test_how_many_times_closer(lesson):
    found = lesson["found"]["w+"]
    assert found.loss < 0.95 * found.start_loss
    check = lesson["times_closer"].check
    assert check(found.start_loss / found.loss)
    assert "the end by the start" in check(found.loss / found.start_loss).message
    assert "another number" in check(2 + found.start_loss / found.loss).message


def test_the_attribute_that_is_missed_most(lesson):
    models, first = lesson["models"], lesson["first"]
    read = models.attribute_judge
    with torch.no_grad():
        apart = (read(lesson["picture"]) - read(first.image)).abs()[0]
    names = models.table.names
    assert lesson["missed_most"].check(names[int(apart.argmax())])
    assert "there is one with" in lesson["missed_most"].check(names[int(apart.argmin())]).message
    assert "expected one of" in lesson["missed_most"].check("halo").message


def test_a_latent_that_is_pulled_back(lesson):
    first, found = lesson["first"], lesson["found"]["w+"]
    check = lesson["pulled_back"].check
    assert check(torch.lerp(found.ws, first.ws, 0.2))
    assert "too near to an end" in check(found.ws).message
    aside = torch.lerp(found.ws, first.ws, 0.3) + torch.randn_like(first.ws)
    assert "does not lie on the way" in check(aside).message
    assert "its shape is" in check(first.ws[:, 0]).message
