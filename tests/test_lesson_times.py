"""The command that times lessons: what it finds too long, unfinished or broken, and what not."""

from __future__ import annotations

import json
import os

import lesson_times
import pytest
from nbformat import write
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

ROW = lesson_times.Lesson("student_1", 41.3, 180, 60.2, (("cell-04", 30.4),))


@pytest.fixture
def own_cores():
    """The command keeps to two cores; the tests after it get theirs back."""
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    yield
    if before is not None:
        os.sched_setaffinity(0, before)


def lesson(folder, name, *cells):
    notebook = new_notebook(cells=[new_markdown_cell("# A lesson"), *map(new_code_cell, cells)])
    write(notebook, folder / f"{name}.ipynb")


def test_names_are_found_by_their_beginning_and_slips_are_refused():
    folder = lesson_times.ROOT / "notebooks"
    every = [path.stem for path in lesson_times.chosen([], folder)]
    assert len(every) == len(list(folder.glob("*.ipynb")))
    assert [p.stem for p in lesson_times.chosen(["student_5", "teacher"], folder)] == [
        name for name in every if name.startswith(("student_5", "teacher"))
    ]
    with pytest.raises(ValueError, match="lesson is 'studnt'; allowed: how one of these begins"):
        lesson_times.chosen(["student_1", "studnt"], folder)


def test_a_kernel_gets_no_short_cut_and_nothing_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("L2L_SMOKE", "1")
    monkeypatch.setenv("L2L_HIDE_ATTRIBUTES", "age")
    monkeypatch.setenv("L2L_CACHE", "/somewhere")
    around = lesson_times.environment(tmp_path, 2)
    assert "L2L_SMOKE" not in around
    assert "L2L_HIDE_ATTRIBUTES" not in around
    assert around["OMP_NUM_THREADS"] == "2"
    kept = [around[name] for name in ("L2L_CACHE", "L2L_DATA", "NUMBA_CACHE_DIR")]
    assert all(folder.startswith(str(tmp_path)) for folder in kept)


@pytest.mark.parametrize(
    ("text", "is_unfinished"),
    [
        ("Still measuring: the rows below are those that are done.", True),
        ("Only 12 of 400 steps. Too few steps to judge it by. Press Resume", True),
        ("No training: the disk is full", True),
        ("Trained to the end: 400 of 400 steps.", False),
    ],
)
def test_a_lesson_that_says_it_has_not_finished_is_found(text, is_unfinished):
    cell = new_code_cell("print(1)", outputs=[new_output("stream", text=f"a line\n{text}\n")])
    found = lesson_times.unfinished(new_notebook(cells=[new_markdown_cell("x"), cell]))
    assert (text in found) == is_unfinished
    assert bool(found) == is_unfinished


def test_the_words_of_a_view_that_mean_unfinished_are_still_those():
    from l2l_widgets.widgets.words import Words

    words = Words.of("en")
    for key in ("too_early", "no_training"):
        assert lesson_times.UNFINISHED.search(words.ui[key]), key


def test_the_table_names_what_is_too_long():
    late = lesson_times.Lesson("student_2", 190.0, 180, 200.0, ())
    broken = lesson_times.Lesson("student_3", 12.0, 180, 2.0, (), "NameError: x")
    assert [one.is_fine for one in (ROW, late, broken)] == [True, False, False]
    rows = lesson_times.table([ROW, late, broken]).splitlines()
    assert rows[2] == "| student_1 | 41 | 180 | 60 | cell-04 30 s |  |"
    assert "TOO LONG" in rows[3]
    assert "NameError: x" in rows[4]


@pytest.mark.slow
@pytest.mark.usefixtures("own_cores")
def test_lessons_are_run_in_kernels_of_their_own_and_timed(tmp_path, capsys):
    folder, out = tmp_path / "lessons", tmp_path / "times.json"
    folder.mkdir()
    plain = "import os\nassert not os.environ.get('L2L_SMOKE')\nopen('left.txt', 'w').close()"
    lesson(folder, "a_fine", plain, "import time\ntime.sleep(0.4)")
    lesson(folder, "b_broken", "1 / 0", "print('never reached')")
    asked = ["--folder", str(folder), "--out", str(out)]
    assert lesson_times.main([*asked, "--limit", "400"]) == 1
    fine, broken = json.loads(out.read_text())["lessons"]
    assert fine["is_fine"]
    assert fine["wrong"] == ""
    assert 0.4 <= fine["seconds"] < 400
    assert fine["slowest"][0][1] >= 0.4
    assert "ZeroDivisionError" in broken["wrong"]
    assert not broken["is_fine"]
    assert sorted(p.name for p in folder.iterdir()) == ["a_fine.ipynb", "b_broken.ipynb"]
    assert "ZeroDivisionError" in capsys.readouterr().out
    # one that never ends is given up, and said to be too long
    lesson(folder, "c_endless", "import time\ntime.sleep(600)")
    assert lesson_times.main([*asked, "c_", "--limit", "2"]) == 1
    (endless,) = json.loads(out.read_text())["lessons"]
    assert endless["wrong"] == "not finished after 6 s"
