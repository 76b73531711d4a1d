"""What goes wrong below a view is said in German by a German view: every line that is raised there.

A reworded line, or one that is new, comes through in English and fails here.
"""

from __future__ import annotations

import ast
import errno
import io
import json
import re

import pytest
import torch
from german_page import still_english
from PIL import Image
from test_said_lines import GERMAN, PACKAGE, variants

from l2l_widgets import widgets
from l2l_widgets.attributes import DEFAULT_TABLE, EditRequest
from l2l_widgets.face_filter import parse_filter
from l2l_widgets.latents import z_from_seed
from l2l_widgets.many.face_files import face_files
from l2l_widgets.many.seed_lists import parse_seeds
from l2l_widgets.masks import CLASS_COUNT, encode_mask, read_mask
from l2l_widgets.session.presets import PresetShelf
from l2l_widgets.session.replay import parse_recipe
from l2l_widgets.session.rows import parse_rows
from l2l_widgets.storage import write_atomic
from l2l_widgets.widgets.words import Words

#: What raises while a page is used; the training of networks and their files is not among it.
ROOMS = (
    "attributes.py", "face_filter.py", "policy.py", "latents.py", "images.py", "masks.py",
    "storage", "session", "painting", "walks", "many", "widgets", "entanglement", "inversion.py",
    "maps/code_map.py", "maps/files.py", "maps/paths.py", "disentangle/mix_state.py",
    "disentangle/mixer.py", "disentangle/sources.py", "evaluation/one_face.py",
    "editors/stored_editor.py", "photos/detection.py", "photos/eyes.py", "photos/inverting.py",
    "recipes/processes.py", "training/run_directory.py", "training/runs.py", "training/loop.py",
)  # fmt: skip
#: Lines that only a program meets: it hands over an array or an object of another kind.
OF_PROGRAMS = re.compile(
    r"shape|dtype|tensor|attribute table|EditSession|PaintSession|the Models that load\(\) gives"
    r"|as in w$|exactly for kind|low 7 is not below|kind 7 is not one of|which is not in the table"
    r"|keys and values must be text|has no attribute|needs the notebook libraries|feature_maps"
)
#: Parts of a line, put together from what other tests read whole.
PIECES = re.compile(r"7allowed|^7 is 7$|^preserve 7: 7 7$|^method 7 is unknown; 7$|^7\.7 holds")
ENGLISH = re.compile(
    r"\b(?:the|of|not|which|with|that|is|are|its|from|at|it|be|allowed|no|by|to|has|have|such|as|"
    r"and|or|another|number|numbers|whole|there|here|needs|cannot|or)\b"
)


def raised(path):
    """What a module raises, with 7 in each place."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
            yield from variants(node.exc.args[0])


def english_of(lines):
    """Lines that come through in English, whole or in part, with what is said of them."""
    said = {line: GERMAN.said(line) for line in lines}
    return {
        a: b
        for a, b in said.items()
        # commands and file names that stand in a line are the same in every language
        if a == b or ENGLISH.search(re.sub(r"`[^`]*`|l2l [\w-]+.*?--publish|such as 0-3", "", b))
    }


@pytest.mark.parametrize("room", ROOMS)
def test_every_error_that_a_view_may_show_has_german_words(room):
    place = PACKAGE / room
    files = [place] if place.is_file() else sorted(place.rglob("*.py"))
    found = {line for path in files for line in raised(path) if re.search("[a-z] ", line)}
    assert found, "the lint reads nothing"
    lines = {v for v in found if not OF_PROGRAMS.search(v) and not PIECES.search(v)}
    left = english_of(sorted(lines))
    # a German word that is spelt like an English one
    left = {a: b for a, b in left.items() if set(ENGLISH.findall(b)) - {"an", "am"}}
    assert left == {}


def test_the_lint_finds_what_has_no_german_words():
    assert english_of(["the gate is not open; allowed: an open one"])
    assert english_of(["step 7 is forgotten"]) == {}


def picture(kind, side=8, colour=(9, 90, 200)):
    stream = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(stream, kind)
    return stream.getvalue()


def asked(**fields):
    return lambda folder: EditRequest(**fields).validate(DEFAULT_TABLE)


def disk(folder):
    write_atomic(folder / "none" / "face.png", b"7")


def mask(data, side=8):
    return lambda folder: read_mask(data() if callable(data) else data, side, name="mask as chosen")


def bisenet():
    """A face numbered as BiSeNet does: hair 17 above, skin 1, neck 14 and cloth 16 below."""
    drawn = torch.zeros(32, 32, dtype=torch.uint8)
    drawn[2:10, 6:26], drawn[10:24, 8:24] = 17, 1
    drawn[24:27, 12:20], drawn[27:, 4:28] = 14, 16
    return encode_mask(drawn)


GROUP = next(iter(DEFAULT_TABLE.groups().items()))
#: What was done -> what is said, from its beginning.
ERRORS = {
    "an unknown attribute": (
        asked(changes={"smle": 0.1}),
        "Merkmal 'smle' ist unbekannt; meintest",
    ),
    "a value out of range": (
        asked(changes={"age": 40}),
        "Änderung von 'age' ist 40; erlaubt: eine Zahl von -1 bis 1 (age läuft von ",
    ),
    "a target out of range": (
        asked(targets={"smile": -0.5}),
        "Ziel von 'smile' ist -0,5; erlaubt: eine Zahl von 0 bis 1",
    ),
    "two of a group": (
        asked(changes=dict.fromkeys(GROUP[1][:2], 0.3)),
        f"'{GROUP[1][0]}' und '{GROUP[1][1]}' sind beide angehoben; erlaubt: eines der Gruppe ",
    ),
    "held and changed": (
        asked(changes={"age": 0.1}, preserve=("age",)),
        "'age' wird zugleich geändert und festgehalten; erlaubt: eines von beiden",
    ),
    "asked for twice": (
        asked(changes={"age": 0.1}, targets={"age": 0.5}),
        "'age' ist zugleich als Änderung und als Ziel gegeben; erlaubt: eines von beiden",
    ),
    "no filter": (
        lambda f: parse_filter("qqqq", DEFAULT_TABLE),
        "Filter: 'qqqq' wird nicht verstanden; erlaubt: Worte wie „lächelnd“",
    ),
    "a filter beyond the scale": (
        lambda f: parse_filter("smile > 170", DEFAULT_TABLE),
        "Filter: 'smile > 170' verlangt 170; Smile läuft von 0 bis 100 %",
    ),
    "a filter of two ranges": (
        lambda f: parse_filter("not between 30 and 40", DEFAULT_TABLE),
        "Filter: 'not between 30 & 40' lässt zwei Bereiche von Age zu",
    ),
    "no recipe": (lambda f: parse_recipe("x"), "Rezept: kein JSON ("),
    "half a recipe": (lambda f: parse_recipe("{}"), "Rezept: Feld 'format' fehlt"),
    "no folder": (disk, "none/face.png' lässt sich nicht schreiben: Datei oder Ordner gibt es nic"),
    "no picture as a mask": (mask(b"x"), "Maske wie gewählt ist kein Bild; erlaubt: ein PNG"),
    "a JPEG as a mask": (mask(lambda: picture("JPEG")), "Maske wie gewählt ist ein JPEG, das"),
    "a colour that is no class": (
        mask(lambda: picture("PNG")),
        "Maske wie gewählt hat bei x 0, y 0 die Farbe (9, 90, 200), die keine Klasse ist",
    ),
    "a mask of another size": (
        mask(lambda: encode_mask(torch.ones(12, 12, dtype=torch.uint8))),
        "Maske wie gewählt hat 12 x 12 Pixel; erlaubt: 8 x 8, oder ein Quadrat, das ein ganzes",
    ),
    "classes of another order": (mask(bisenet, 32), "Maske wie gewählt scheint in der Reihenfolge"),
    "no seed": (
        lambda f: z_from_seed(-1, 8),
        "Nr. ist -1; erlaubt: eine ganze Zahl von 0 bis 4294967295",
    ),
    "seeds that run backwards": (lambda f: parse_seeds("9-3"), "seeds ist '9-3', darin läuft 9-3"),
    "rows that run backwards": (
        lambda f: parse_rows("7-2", 8),
        "rows ist '7-2', darin läuft 7-2 rückwärts; meintest du 2-7? erlaubt: Zeilen von 0 bis 7",
    ),
    "no such rows": (lambda f: parse_rows("99", 8), "rows ist '99'; erlaubt: Zeilen von 0 bis 7"),
    "no latents": (lambda f: face_files(f / "none"), "Latents: "),
    "no preset": (
        lambda f: PresetShelf(f / "p.json").remove("me"),
        "Vorlage 'me' ist nicht im Reg",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_what_somebody_does_wrong_is_said_in_german(name, tmp_path):
    do, wanted = ERRORS[name]
    with pytest.raises(ValueError, match=r"\w") as refused:
        do(tmp_path)
    said = GERMAN.said(str(refused.value))
    assert wanted in said
    bare = re.sub(r"'[^']*'|\([^)]*\)", "", said.replace(str(tmp_path), ""))
    assert still_english([bare]) == [], said


def test_classes_fit_the_mask_of_the_other_order():
    """The mask of the case above is one that the official order refuses for its numbers alone."""
    assert int(read_mask(bisenet(), 32, "bisenet").max()) < CLASS_COUNT


def test_a_german_view_says_it_in_place(session, tmp_path, monkeypatch):
    view = widgets.FaceEditor(session, folder=tmp_path, language="de")
    numbers = iter(range(1, 99))

    def ask(**message):
        view._handle_custom_msg({**message, "client": "p", "number": next(numbers)}, [])
        assert session.drain(120)
        return view.notice.get("error") or view.after.get("error") or ""

    try:
        recipe = session.recipe()
        recipe["models"]["hashes"] = {"generator": "0" * 64}
        told = {
            "unknown": ask(kind="targets", targets={"smle": 0.4}),
            "range": ask(kind="truncation", psi=9),
            "seed": ask(kind="seed", seed=2**32),
            "step": ask(kind="goto", node=999),
            "foreign": ask(kind="recipe", text=json.dumps(recipe)),
            "recipe": ask(kind="recipe", text="{"),
        }
        assert "; erlaubt: die Modelle, die das Bild gezeichnet haben" in told["foreign"]
        assert "Merkmal 'smle' ist unbekannt" in told["unknown"]
        assert "Nr. ist 4294967296; erlaubt: eine ganze Zahl von 0 bis" in told["seed"]
        assert told["step"] == "Schritt 999 ist vergessen"
        assert "Rezept: kein JSON" in told["recipe"]
        assert "truncation_psi ist 9; erlaubt: eine Zahl von 0 bis 1,5" in told["range"]

        def full(*_, **__):
            raise OSError(errno.ENOSPC, "No space left on device")

        ask(kind="truncation", psi=0.7)
        ask(kind="reset")
        monkeypatch.setattr("os.replace", full)
        assert "Auf dem Datenträger ist kein Platz mehr" in ask(kind="save")
        bare = [re.sub(r"'[^']*'|\([^)]*\)", "", line) for line in told.values()]
        assert still_english(bare) == []
        with pytest.raises(ValueError, match="generator") as other:
            parse_recipe(json.dumps(recipe)).check_models("tiny", {"generator": "1" * 64})
        said = GERMAN.said(str(other.value))
        assert "Modelle 'tiny' haben 111111111111...; erlaubt: die Modelle, die das Bild" in said
    finally:
        view.close()


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("at most 4,294,967,295", "höchstens 4.294.967.295"),
        ("a number from 0.0003 to 1.5", "eine Zahl von 0,0003 bis 1,5"),
        ("'0.3'; allowed: a number from 0 to 0.25", "'0.3'; erlaubt: eine Zahl von 0 bis 0,25"),
        ("crop is 100,200,300; allowed: a side of at least 8 pixels", "Ausschnitt ist 100,200,300"),
        ("cannot write runs/v1.2/x: Is a directory", "runs/v1.2/x lässt sich nicht schreiben"),
        ("faces is [1, 2.5]; allowed: a list", "faces ist [1, 2.5]; erlaubt: eine Liste"),
    ],
)
def test_numbers_in_a_german_line_are_german(line, wanted):
    assert GERMAN.said(line).startswith(wanted)
    assert Words.of("en").said(line) == line


def test_every_number_is_written_by_one_function():
    assert GERMAN.number(1234.5) == "1234,50"
    assert GERMAN.count(4294967295) == "4.294.967.295"
    assert GERMAN.short(0.3) == "0,3"
    assert GERMAN.figures("0.812 (+1.00), 95.5 %, 10,000 faces") == (
        "0,812 (+1,00), 95,5 %, 10.000 faces"
    )
    assert GERMAN.figures("face-0.3.png, 1.2.3, a/0.5 and `0.3`") == (
        "face-0.3.png, 1.2.3, a/0.5 and `0.3`"
    )
    assert Words.of("en").count(4294967295) == "4,294,967,295"


def test_a_number_may_be_typed_with_a_comma_where_it_is_shown_with_one():
    for typed, meant in (("0,3", "0.3"), ("1.024,5", "1024.5"), ("4.294.967.295", "4294967295")):
        assert GERMAN.typed(typed) == meant
    for kept in ("0.3", "1.024", "3", "smile,age", "0,99,1"):
        assert GERMAN.typed(kept) == kept
    assert Words.of("en").typed("0,3") == "0,3"
    table = GERMAN.translate(DEFAULT_TABLE)
    found = parse_filter(GERMAN.asked("Lächeln > 0,5, ohne Brille"), table)
    assert found.conditions == parse_filter("smile > 0.5, no glasses", table).conditions


def test_the_training_form_takes_the_number_that_it_shows(tmp_path):
    monitor = widgets.TrainingMonitor(tmp_path, recipe="mapper-lesson", language="de")
    try:
        monitor._change("field", {"name": "learning_rate", "value": "0,002"})
        assert monitor.form["values"]["learning_rate"] == "0,002"
        assert monitor._values["learning_rate"] == "0.002"
        assert monitor.form["wrong"] == {}
        monitor._change("field", {"name": "seed", "value": "-1"})
        assert "erlaubt: eine ganze Zahl von 0 bis 4.294.967.295" in monitor.form["wrong"]["seed"]
    finally:
        monitor.close()


def test_the_lines_of_a_projection_are_german():
    said = GERMAN.lines(
        "smile with age held:\n  cosines of the normals\n    smile +1.00 +0.20\n"
        "  length left: 0.812\n  predicted: age moves +0.31 for smile +1, +0.00 once held"
    )
    assert said.split("\n")[2:4] == ["    smile +1,00 +0,20", "  Länge, die bleibt: 0,812"]
    assert "moves" not in said
    assert "+0,31 je smile +1, um +0,00" in said
