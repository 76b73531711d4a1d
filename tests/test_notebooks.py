"""Every notebook: short cells, no outputs, and it runs from top to bottom in a fresh kernel."""

from __future__ import annotations

import os
import re
import resource
import shutil
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MAX_LINES = 25
#: What a teacher hides here. In a browser every notebook runs with nothing hidden.
HIDDEN = "gender"
#: Seconds for a whole notebook in smoke mode, start of the kernel included; of a cell, too.
MAX_SECONDS = 180


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


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_question_stands_before_each_section(path):
    sections = [c.source for c in read(path).cells if c.cell_type == "markdown"]
    asked = [text for text in sections if "**Question.**" in text]
    assert len(asked) >= 4
    assert "## Questions to take away" in sections[-1]


def kernels_seconds():
    """Seconds that the processes which this one started, and which have ended, have computed."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def words_of(output):
    """All that a reader can read of an output; pictures are left out."""
    texts = [output.get("text", ""), *output.get("data", {}).values()]
    plain = " ".join(text for text in texts if isinstance(text, str))
    return re.sub(r"base64,[^\"']*", "", plain)


@pytest.mark.notebook
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_it_runs_in_a_fresh_kernel_and_names_nothing_that_is_hidden(path, tmp_path, monkeypatch):
    from nbclient import NotebookClient

    # A copy, so that what the cells write does not land in the checkout.
    copy = shutil.copy(path, tmp_path)
    monkeypatch.setenv("L2L_SMOKE", "1")
    monkeypatch.setenv("L2L_HIDE_ATTRIBUTES", HIDDEN)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    before = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *filter(None, [before])]))
    notebook = read(copy)
    client = NotebookClient(
        notebook,
        timeout=MAX_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
        store_widget_state=True,
    )
    start, worked = time.monotonic(), kernels_seconds()
    client.execute()
    # Of both the smaller: a busy machine lengthens the wait, several cores the computing.
    took = min(time.monotonic() - start, kernels_seconds() - worked)
    assert 0 < took < MAX_SECONDS, f"{path.stem}: {took:.0f} s for the whole notebook"
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
        named = [re.search(rf"\b{HIDDEN}\b", words_of(o), re.IGNORECASE) for o in outputs]
        assert not [found.string[:300] for found in named if found]
