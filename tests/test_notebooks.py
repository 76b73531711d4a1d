"""Every notebook: short cells, no outputs, and it runs from top to bottom in a fresh kernel."""

from __future__ import annotations

import os
import re
import shutil
import time
from pathlib import Path

import pytest

from l2l_widgets.masks import LABELS
from tests.browser.harness import STARTING, crowd

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MAX_LINES = 25
#: What a teacher hides here: among them what most lessons speak of. In a browser every notebook
#: runs with nothing hidden.
HIDDEN = ("gender", "smile", "glasses", "age")
#: What is hidden from a researcher, whose reports hold every attribute and compare by some.
FROM_RESEARCHERS = ("gender",)
#: Seconds for a whole notebook, start of the kernel included, by the clock on the wall. Twice what
#: a lesson may take where a student runs it, which ``tests/lesson_times.py`` holds: here a browser
#: and other kernels share the cores; where more do, it is as much more.
MAX_SECONDS = 360
#: Seconds after which a cell is held not to end at all.
ENDLESS = 1500
#: Notebooks that are quick enough to be run as a student runs them; ``tests/lesson_times.py`` does
#: that with all of them.
AT_FULL_SIZE = ("researcher_3_figures_for_a_paper", "teacher_2_present")
#: Answers to the exercises of notebooks that are solved nowhere else with what their cells have
#: found: the notebook -> for each exercise what a reader would write, in the notebook's own names.
SOLVED = {
    "researcher_2_your_own_generator": {
        "best_followed": "max(came, key=came.get) if max(came.values()) >= 0.25 else 'none'",
        "two_of_three": "'--class 0,2'",
    },
    "researcher_3_figures_for_a_paper": {"side_effect": "receipts[2]['others']['age']"},
    "student_2_train_a_mapper": {
        "knows": "len(three)",
        "learned_for_the_exam": "max(found, key=lambda name: found[name][0] - found[name][1])",
    },
}


#: How a line begins that says what a check found of a solution.
SOLUTION = "solved here:"


def read(path):
    import nbformat

    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_the_notebooks_are_found():
    names = [path.stem for path in NOTEBOOKS]
    assert len(names) >= 2
    table = (ROOT / "notebooks" / "README.md").read_text()
    assert all(name in table for name in names), "every notebook stands in the table"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_cells_are_short_clean_and_in_order(path):
    import nbformat

    notebook = read(path)
    nbformat.validate(notebook)
    for number, cell in enumerate(code_cells(notebook)):
        lines = cell.source.splitlines()
        assert len(lines) <= MAX_LINES, f"code cell {number} has {len(lines)} lines"
        assert cell.outputs == []
        assert cell.execution_count is None
        assert not cell.source.lstrip().startswith(("!", "%")), "cells are plain Python"
    first = code_cells(notebook)[0].source
    assert 'SMOKE = bool(os.environ.get("L2L_SMOKE"))' in first


def sections_of(notebook):
    """Sections, (heading, what a reader has read of it when its first code comes, or None)."""
    found = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            if found and found[-1][2] is None:
                found[-1][2] = found[-1][1]
            continue
        first, *headed = re.split(r"^## ", cell.source, flags=re.MULTILINE)
        if found:
            found[-1][1] += first
        found += [[text.partition("\n")[0], text.partition("\n")[2], None] for text in headed]
    return [(heading, before) for heading, _, before in found]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_question_stands_before_the_code_of_each_section(path):
    sections = sections_of(read(path))
    assert sections[-1] == ("Questions to take away", None)
    with_code = {heading: before for heading, before in sections if before is not None}
    assert len(with_code) >= 3
    for heading, before in with_code.items():
        if heading in ("Exercise", "Exercises"):  # which ask by themselves
            assert before.strip(), f"{heading}: nothing is asked before its code"
            continue
        _, asked, question = before.partition("**Question.**")
        assert asked, f"{heading}: no question stands before its code"
        assert "?" in question, f"{heading}: its question asks nothing"


def test_a_section_whose_code_comes_before_its_question_is_found():
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    words = ["## 1. A\n\n**Question.** Why?", "...", "So.\n\n## 2. B", "x", "**Question.** Who?"]
    made = [new_code_cell(w) if len(w) < 4 else new_markdown_cell(w) for w in words]
    (_, before), (heading, late) = sections_of(new_notebook(cells=made))
    assert "Why?" in before
    assert (heading, "Question" in late) == ("2. B", False)


def words_of(output):
    """All that a reader can read of an output; pictures are left out, and parts of a mask.

    The classes of a mask are no attributes: one of them is called glasses, too.
    """
    texts = [output.get("text", ""), *output.get("data", {}).values()]
    plain = " ".join(text for text in texts if isinstance(text, str))
    parts = "|".join(map(re.escape, LABELS))
    return re.sub(rf"base64,[^\"']*|<td>(?:{parts})</td>", "", plain)


@pytest.mark.notebook
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_it_runs_in_a_fresh_kernel_and_names_nothing_that_is_hidden(path, tmp_path, monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    # A copy, so that what the cells write does not land in the checkout.
    copy = shutil.copy(path, tmp_path)
    hidden = FROM_RESEARCHERS if path.stem.startswith("researcher") else HIDDEN
    if path.stem in AT_FULL_SIZE:
        monkeypatch.delenv("L2L_SMOKE", raising=False)
    else:
        monkeypatch.setenv("L2L_SMOKE", "1")
    monkeypatch.setenv("L2L_HIDE_ATTRIBUTES", ",".join(hidden))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    before = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *filter(None, [before])]))
    notebook = read(copy)
    for name, answer in SOLVED.get(path.stem, {}).items():
        solve = f"print('{SOLUTION}', {name}.check({answer}))"
        notebook.cells.append(nbformat.v4.new_code_cell(solve))
    client = NotebookClient(
        notebook,
        timeout=ENDLESS,
        startup_timeout=STARTING,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
        store_widget_state=True,
    )
    start = time.monotonic()
    client.execute()
    took = time.monotonic() - start
    limit = MAX_SECONDS * crowd()
    assert took < limit, f"{path.stem}: {took:.0f} s for the whole notebook, allowed {limit:.0f}"
    cells = code_cells(notebook)
    assert all(cell.execution_count for cell in cells)
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error"]
    warned = [o.text for o in outputs if o.output_type == "stream" and o.name == "stderr"]
    assert not [text for text in warned if "Traceback" in text], warned
    datas = [o.data for o in outputs if "data" in o]
    unseen = [d["text/plain"] for d in datas if len(d) == 1 and "text/plain" in d]
    assert not [text for text in unseen if text.startswith("<Figure")], "no picture of a figure"
    widgets = [
        o for o in outputs if "application/vnd.jupyter.widget-view+json" in o.get("data", {})
    ]
    assert widgets, "no widget was shown"
    if not path.stem.startswith("researcher"):  # whose reports hold every attribute
        names = "|".join(hidden)
        named = [re.search(rf"\b({names})\b", words_of(o), re.IGNORECASE) for o in outputs]
        assert not [o.string[max(0, o.start() - 150) : o.end() + 150] for o in named if o]
    said = "\n".join(o.text for o in outputs if o.output_type == "stream")
    told = [line for line in said.splitlines() if line.startswith(SOLUTION)]
    assert len(told) == len(SOLVED.get(path.stem, {}))
    assert all(": passed." in line for line in told), told
