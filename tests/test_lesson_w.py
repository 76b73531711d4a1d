"""The exercises of student_3: solved as a student would, and wrong in the ways students are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from l2l_widgets.latents import z_from_seed
from l2l_widgets.walks.files import save_walk
from l2l_widgets.walks.interpolation import Walk, mix_rows

NOTEBOOK = Path(__file__).resolve().parent.parent / "notebooks" / "student_3_what_is_w.ipynb"


@pytest.fixture(scope="module")
def lesson():
    """What the notebook defines: its first cell, and the cells of its exercises, unsolved."""
    import nbformat

    cells = [c.source for c in nbformat.read(NOTEBOOK, as_version=4).cells if c.cell_type == "code"]
    namespace = {}
    for source in [cells[0], *(c for c in cells if "@exercise" in c)]:
        exec(compile(source, NOTEBOOK.name, "exec"), namespace)
    return namespace


def w_of(lesson, seed, psi=0.7):
    generator = lesson["G"]
    return generator.mapping(z_from_seed(seed, generator.z_dim), truncation_psi=psi)[0]


def passes(exercise, answer):
    verdict = exercise.check(answer)
    assert verdict, verdict.message


def fails(exercise, answer, why):
    verdict = exercise.check(answer)
    assert verdict.state == "failed"
    assert why in verdict.message


def test_nothing_is_solved_in_the_notebook(lesson):
    verdicts = [lesson[name] for name in ("first", "second", "third", "fourth")]
    assert [v.state for v in verdicts] == ["unanswered"] * 4


def test_the_truncated_distance(lesson):
    centre = lesson["G"].w_avg
    near, far = ((w_of(lesson, 21, psi)[0] - centre).norm() for psi in (0.5, 1.0))
    passes(lesson["truncated_distance"], near / far)
    fails(lesson["truncated_distance"], float(near), "divide the first by the second")
    fails(lesson["truncated_distance"], "half", "expected a number")


def test_the_more_even_walk(lesson):
    verdicts = {s: lesson["more_even"].check(s) for s in ("z", "w")}
    right = [s for s, v in verdicts.items() if v]
    assert len(right) == 1
    passes(lesson["more_even"], right[0])
    wrong = "w" if right == ["z"] else "z"
    fails(lesson["more_even"], wrong, "less in the other")
    fails(lesson["more_even"], "x", "expected one of 'z', 'w'")


def test_the_mixed_latent(lesson):
    a, b = w_of(lesson, 3), w_of(lesson, 8)
    passes(lesson["mixed_latent"], mix_rows(a, b, "coarse"))
    passes(lesson["mixed_latent"], mix_rows(a, b, "coarse")[None])
    fails(lesson["mixed_latent"], mix_rows(b, a, "coarse"), "should be those of seed 8")
    fails(lesson["mixed_latent"], mix_rows(a, b, "middle"), "should be those of seed 8")
    fails(lesson["mixed_latent"], torch.zeros(3), "its shape is (3,)")
    fails(lesson["mixed_latent"], [1, 2], "no tensor")


def test_the_walk_of_the_fine_rows(lesson, tmp_path):
    def saved(name, *faces, **fields):
        strip = lesson["walker"].draw(Walk(faces, **fields))
        save_walk(tmp_path / name, lesson["models"], strip)
        return str(tmp_path / name)

    fine = {"space": "w+", "rows": "fine"}
    passes(lesson["fine_walk"], saved("good.png", 3, 11, frames=5, **fine))
    strip = lesson["walker"].draw(Walk((3, 11), frames=5, **fine))
    passes(lesson["fine_walk"], save_walk(tmp_path / "recipe.png", lesson["models"], strip))
    fails(lesson["fine_walk"], saved("all.png", 3, 11, frames=5), "do what they should not")
    fails(lesson["fine_walk"], saved("short.png", 3, 11, frames=3, **fine), "five are wanted")
    fails(lesson["fine_walk"], saved("back.png", 11, 3, frames=5, **fine), "goes from 11 to 3")
    fails(lesson["fine_walk"], str(tmp_path / "none.png"), "No such file")
