"""Notebooks as they are committed: no outputs, short cells, nothing of one machine; see also the
tests that execute them."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
MAX_CELL_LINES = 25


def cells(path, kind):
    found = json.loads(path.read_text("utf-8"))["cells"]
    return ["".join(c["source"]) for c in found if c["cell_type"] == kind]


def test_the_known_notebooks_are_there():
    assert [p.stem for p in NOTEBOOKS] == ["student_1_edit_a_face", "student_2_train_a_mapper"]
    table = (FOLDER / "README.md").read_text("utf-8")
    assert [p.name for p in NOTEBOOKS if f"`{p.name}`" not in table] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_committed_without_outputs_and_for_any_python(path):
    notebook = json.loads(path.read_text("utf-8"))
    assert notebook["nbformat"] == 4
    assert notebook["metadata"].get("kernelspec", {}).get("name", "python3") == "python3"
    assert "widgets" not in notebook["metadata"]
    code = [c for c in notebook["cells"] if c["cell_type"] == "code"]
    assert len(code) >= 4
    for cell in code:
        assert cell["outputs"] == []
        assert cell["execution_count"] is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_cells_are_short_python_without_shell_commands(path):
    for source in cells(path, "code"):
        assert len(source.splitlines()) <= MAX_CELL_LINES, source
        assert not re.search(r"^\s*[!%]", source, flags=re.MULTILINE), source
        assert ast.parse(source).body, "an empty cell"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_first_cell_knows_smoke_mode_and_the_last_one_asks(path):
    first = cells(path, "code")[0]
    assert "L2L_SMOKE" in first
    assert "import" in first
    prose = cells(path, "markdown")
    assert prose[0].startswith("# ")
    assert prose[-1].count("?") >= 2


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_every_code_cell_is_introduced_by_words(path):
    kinds = [c["cell_type"] for c in json.loads(path.read_text("utf-8"))["cells"]]
    assert kinds[0] == "markdown"
    longest = max(len(run) for run in re.findall("c+", "".join(k[0] for k in kinds)))
    assert longest <= 2, "more than two code cells in a row without a word between them"
