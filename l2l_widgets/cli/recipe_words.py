"""The names of the recipes and of their fields, read from the recipes' source.

Importing the recipes imports torch and all that trains, which takes seconds; a mistyped name
should not. What is found here only ever says that a word is wrong: where the source is written in a
way that is not understood, nothing is said, and the recipes themselves answer.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
#: Where the fields of every run's settings stand, beside the recipes' own.
SETTINGS = PACKAGE / "training" / "task.py"


def recipe_modules(folder: Path = PACKAGE / "recipes") -> dict[str, Path] | None:
    """Name -> module of the recipes of a folder; None where one of them is not understood."""
    found: dict[str, Path] = {}
    for path in sorted(folder.glob("*.py")):
        for statement in _parsed(path).body:
            if not _assigns(statement, "RECIPES"):
                continue
            value = statement.value  # type: ignore[attr-defined]
            names = [_name_of(made) for made in value.elts] if isinstance(value, ast.Tuple) else []
            if not names or None in names:
                return None
            found |= {name: path for name in names if name is not None}
    return found or None


def field_names(*paths: Path) -> tuple[str, ...]:
    """Names of the fields of the dataclasses in some modules, and of the settings of a run."""
    found: dict[str, None] = {}
    for path in (SETTINGS, *paths):
        for statement in _parsed(path).body:
            if isinstance(statement, ast.ClassDef):
                found |= {
                    part.target.id: None
                    for part in statement.body
                    if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)
                }
    return tuple(found)


def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def _assigns(statement: ast.stmt, name: str) -> bool:
    targets = (
        statement.targets
        if isinstance(statement, ast.Assign)
        else [statement.target]
        if isinstance(statement, ast.AnnAssign)
        else []
    )
    return any(isinstance(target, ast.Name) and target.id == name for target in targets)


def _name_of(made: ast.expr) -> str | None:
    """The name in ``Recipe(name="mapper", ...)`` or ``_recipe("mapper", ...)``."""
    if not isinstance(made, ast.Call):
        return None
    words = [key.value for key in made.keywords if key.arg == "name"] or made.args[:1]
    name = words[0] if words else None
    if isinstance(name, ast.Constant) and isinstance(name.value, str):
        return name.value
    return None


def changed_fields(assignments: Iterable[str]) -> dict[str, str]:
    """Return the fields that FIELD=VALUE words of --set change, as text."""
    changes: dict[str, str] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not name:
            raise ValueError(f"--set is {assignment!r}; allowed: FIELD=VALUE, such as steps=100")
        changes[name] = value
    return changes
