"""Which world this is: a number that is raised when the renderer draws something else.

Rendered sets, and the recipes that learn from them, carry it: pictures of one version are never
taken for those of another. ``tests/test_faceworld_version.py`` compares what is drawn
now, pictures, masks and landmarks, with what is stored, so that nobody can forget to raise it.
"""

from __future__ import annotations

#: 1: the first portraits. 2: volume in hair, muscles, clothes, four kinds of glasses, hats.
WORLD = 2
