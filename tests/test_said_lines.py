"""Lines that the parts below say in English, against the templates by which a view translates them.

A reworded line would come through untranslated, and a template of a line that is gone would stay.
"""

from __future__ import annotations

import ast
import base64
import errno
import json
import os
import re
from pathlib import Path

import pytest

import l2l_widgets
from l2l_widgets.films import FilmError, check_film_name, picture_files
from l2l_widgets.photos.reading import PhotoError, read_photo
from l2l_widgets.session.replay import Recipe, RecipeError
from l2l_widgets.widgets.requests import decoded_file
from l2l_widgets.widgets.words import LANGUAGES, Words, languages

PACKAGE = Path(l2l_widgets.__file__).parent
GERMAN = Words.of("de")
#: What says something of a photo or a film that a view shows.
MODULES = (
    "photos/reading.py", "photos/finding.py", "photos/work.py", "photos/alignment.py",
    "films.py", "widgets/requests.py",
)  # fmt: skip
ENGLISH = re.compile(r"\b(the|of|not|which|with|that|is|are|its|from|at|it|be|allowed|no)\b")


def variants(node):
    """The texts that an expression may give, with 7 in each place of it."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    if isinstance(node, ast.IfExp):
        return [*variants(node.body), *variants(node.orelse)] or ["7"]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = variants(node.left) or ["7"], variants(node.right) or ["7"]
        return [a + b for a in left for b in right]
    if isinstance(node, ast.JoinedStr):
        texts = [""]
        for value in node.values:
            inner = value.value if isinstance(value, ast.FormattedValue) else value
            known = isinstance(inner, (ast.Constant, ast.IfExp))
            texts = [a + b for a in texts for b in (variants(inner) if known else ["7"])]
        return texts
    return []


def spoken(path):
    """The lines of a module that a person may read: what is raised, and what is noted."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            owner = getattr(getattr(node.func, "value", None), "id", "")
            if name in ("PhotoError", "FilmError", "ValueError") or (
                (owner, name) == ("notes", "append")
            ):
                yield from variants(node.args[0])
        elif isinstance(node, ast.Assign) and path.name in ("finding.py", "work.py"):
            values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
            for value in values:
                # what ends in a space is a part of a line
                yield from (t for t in variants(value) if " " in t and not t.endswith(" "))


@pytest.mark.parametrize("module", MODULES)
def test_every_line_about_a_photo_or_a_film_has_german_words(module):
    lines = sorted({line for line in spoken(PACKAGE / module) if re.search("[a-z] ", line)})
    assert len(lines) >= 2, "the lint reads nothing"
    said = {line: GERMAN.said(line) for line in lines}
    assert {a: b for a, b in said.items() if a == b or ENGLISH.search(b)} == {}


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (b"\0\0\0\x18ftypheic" + bytes(64), "HEIC, was hier nicht gelesen wird"),
        (b"\0\0\0\x18ftypisom" + bytes(64), "ein Film; erlaubt: ein Bild"),
        (b"no picture", "kein Bild, das sich lesen lässt; erlaubt: JPEG"),
        (b"", "die Datei ist leer"),
        (b"<!DOCTYPE html>", "eine Webseite, nicht das Bild"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), ""),
    ],
    ids=["heic", "film", "text", "nothing", "page", "head"],
)
def test_a_refused_photo_is_refused_in_german(data, wanted):
    with pytest.raises(PhotoError) as refused:
        read_photo(data, "as chosen")
    said = GERMAN.said(str(refused.value))
    assert said.startswith(f"Foto wie gewählt: {wanted}")
    assert not ENGLISH.search(said.partition("(")[0]), "in brackets stand the decoder's words"


def test_a_refused_file_or_film_is_refused_in_german(tmp_path):
    with pytest.raises(ValueError, match="about") as large:
        decoded_file(base64.b64encode(bytes(999)).decode(), 9)
    assert GERMAN.said(str(large.value)) == "die Datei hat etwa 999 Bytes; erlaubt: höchstens 9"
    with pytest.raises(FilmError) as named:
        check_film_name("film.xyz")
    assert GERMAN.said(str(named.value)) == (
        "out ist 'film.xyz'; erlaubt: ein Name, der endet mit .gif, .mp4"
    )
    with pytest.raises(FilmError) as empty:
        picture_files(tmp_path)
    assert "Der Ordner enthält kein Bild; erlaubt: .png" in GERMAN.said(str(empty.value))


def strings():
    """Every string of the package, with a mark in each place of it."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            kinds = (ast.JoinedStr, ast.Constant, ast.BinOp)
            for text in variants(node) if isinstance(node, kinds) else ():
                yield re.sub(r"\s+", " ", text)


@pytest.mark.parametrize("name", [name for name in languages() if name != "en"])
def test_no_template_is_of_a_line_that_nobody_says(name):
    content = json.loads((LANGUAGES / f"{name}.json").read_text(encoding="utf-8"))
    of_system = (os.strerror(number) for number in errno.errorcode)
    all_lines = "\n".join([*strings(), *of_system])
    said = [*content["said"], *content.get("said_within", {})]
    assert len(said) > 100
    gone = {}
    for line in said:
        pieces = (re.sub(r"\s+", " ", p).strip(" '") for p in re.split(r"\{\w+\}", line))
        # the unit comes with the number, not with the sentence
        pieces = (re.sub(r"^(%|years)\s*", "", p) for p in pieces)
        if missing := [p for p in pieces if len(p) > 3 and p not in all_lines]:
            gone[line] = missing
    assert gone == {}, "nothing in the package says these pieces: follow its words"


def test_a_recipe_of_another_generator_is_refused_in_german():
    recipe = Recipe("faceworld-64", {"generator": "7" * 64})
    with pytest.raises(RecipeError) as refused:
        recipe.check_models("faceworld-128", {"generator": "8" * 64})
    said = GERMAN.said(str(refused.value))
    assert said.startswith("Rezept: von einem anderen Generator gezeichnet: ")
    assert "'faceworld-64'" in said
    assert not ENGLISH.search(said)
