"""Which world this is: a number that is raised when the renderer draws something else.

Rendered sets, and the recipes that learn from them, carry it: pictures of one version are never
taken for those of another. ``tests/test_faceworld_version.py`` compares what is drawn
now, pictures, masks and landmarks, with what is stored, so that nobody can forget to raise it.
"""

from __future__ import annotations

from pathlib import Path

#: 1: the first portraits. 2: volume in hair, muscles, clothes, four kinds of glasses, hats.
#: 3: rounder, friendlier faces with larger eyes, more of them calm or happy; softer folds and
#: thicker brows and frames; smooth outlines; room above the head.
WORLD = 3


def known_flaws() -> tuple[str, ...]:
    """What a look at a contact sheet of this world still finds wrong, for the model cards."""
    text = (Path(__file__).parent / "known_flaws.txt").read_text(encoding="utf-8")
    return tuple(line for line in text.splitlines() if line)
