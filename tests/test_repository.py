"""What lies around the code: licence, citation, the two commands, nothing of one machine's own."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TEXT = {".py", ".md", ".toml", ".txt", ".json", ".js", ".css", ".cff", ".ipynb", ".yml", ""}
#: Folders that hold something else than the project: environments, caches, a user's runs.
OTHERS = {".git", ".venv", ".mypy_cache", ".ruff_cache", ".pytest_cache", "__pycache__", "runs"}


def text_files():
    """Path -> text of every file of the project, as a source archive has them too."""
    found = {}
    for path in sorted(ROOT.rglob("*")):
        if path.is_file() and path.suffix in TEXT and not OTHERS & set(path.parts):
            found[path.relative_to(ROOT).as_posix()] = path.read_text(encoding="utf-8")
    assert len(found) >= 60
    assert ".ci/run" in found
    return found


def test_no_file_names_one_machine_or_one_package_index():
    # Homes, and the options that point pip at an index of somebody's own.
    patterns = (
        r"(?<![\w.])/(home|root|Users|work)/\w",
        r"--(extra-)?index-url|--find-links|--trusted-host",
    )
    here = "tests/test_repository.py"
    bad = [
        f"{name}: {found.group()!r}"
        for name, text in text_files().items()
        for pattern in patterns
        if name != here and (found := re.search(pattern, text))
    ]
    assert not bad


def test_licence_is_the_whole_apache_text_and_named_everywhere():
    text = (ROOT / "LICENSE").read_text("utf-8")
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert len(text) > 11000
    assert 'license = "Apache-2.0"' in (ROOT / "pyproject.toml").read_text("utf-8")
    assert "license: Apache-2.0" in (ROOT / "CITATION.cff").read_text("utf-8")


def test_every_paper_is_cited():
    text = (ROOT / "CITATION.cff").read_text("utf-8")
    assert text.count("\n  - type: ") == text.count("\n    title: ") >= 10
    known = set()
    for entry in text.split("\n  - type: ")[1:]:
        year = re.search(r"\n    year: (\d{4})", entry)
        first = re.search(r"family-names: ([^,]+),", entry)
        known.add((first.group(1), year.group(1)))
    named = set(papers_in_docstrings())
    assert len(named) >= 30
    assert ("Khodadadeh", "2022") in named
    assert sorted(named - known) == []


def papers_in_docstrings():
    """First author and year of every "NAME et al. YEAR", also with a venue or a title between."""
    for path in sorted((ROOT / "l2l_widgets").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                continue
            text = " ".join((ast.get_docstring(node) or "").split())
            for found in re.finditer(r"([A-Z][\w-]+) et al\.", text):
                year = re.search(r"\b(?:19|20)\d\d\b", text[found.end() : found.end() + 90])
                yield found.group(1), year.group() if year else f"no year in {path.name}"


def test_every_file_of_golden_numbers_names_the_tests_that_read_it():
    golden = ROOT / "tests" / "golden"
    table = (golden / "README.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+\.npz)` \|.*\| ([^|]+) \|$", table, re.MULTILINE)
    assert dict(rows).keys() == {path.name for path in golden.glob("*.npz")}
    for file, named in rows:
        tests = re.findall(r"`(test_\w+\.py)`", named)
        assert tests, file
        for test in tests:
            text = (ROOT / "tests" / test).read_text("utf-8")
            # one imports the place from another that names the file
            assert file.removesuffix(".npz") in text or "GOLDEN" in text, (file, test)


def test_no_file_holds_both_sides_of_a_merge():
    marks = tuple(7 * mark + " " for mark in "<>")
    lines = ((name, line) for name, text in text_files().items() for line in text.splitlines())
    assert [name for name, line in lines if line.startswith(marks)] == []


def test_changelog_has_a_line_for_each_change():
    lines = (ROOT / "CHANGELOG.md").read_text("utf-8").split("## Unreleased")[1].splitlines()
    entries = [line for line in lines if line.startswith("- ")]
    assert entries
    assert all(re.match(r"- (Feat|Fix|Change|Security|Known): \S", e) for e in entries)


def test_make_knows_the_commands_that_contributors_are_told():
    told = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    targets = set(re.findall(r"`make (\w+)`", told))
    assert targets == {"lab", "quick", "test", "format"}
    for target in targets:
        done = subprocess.run(
            ["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_json_files_are_json():
    names = [n for n in text_files() if n.endswith((".json", ".ipynb"))]
    assert len(names) >= 4
    for name in names:
        assert json.loads((ROOT / name).read_text("utf-8")), name


def test_ci_runs_what_a_developer_runs():
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    assert "\nmake test\n" in script
    assert "export CI=true" in script
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o100
