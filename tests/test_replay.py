import base64
import json
import zlib

import numpy as np
import pytest
import torch
from conftest import LinearEditor, build_directions, build_generator
from PIL import Image

from l2l_widgets.images import to_uint8
from l2l_widgets.models.zoo import Models
from l2l_widgets.session.edit_session import EditSession
from l2l_widgets.session.replay import RecipeError, parse_recipe, read_recipe


@pytest.fixture
def session(tiny_models):
    session = EditSession(tiny_models, method="linear", n_random=8)
    session.update(seed=7, truncation_psi=0.6, targets={"age": 0.8}, changes={"smile": 0.3})
    return session


@pytest.fixture
def recipe(session):
    return session.recipe()


def pixels(result):
    assert result.error is None
    return to_uint8(result.after).numpy()


def test_a_recipe_says_what_made_the_picture(recipe, tiny_models):
    assert recipe == {
        "format": "l2l-recipe/1",
        "models": {
            "name": "tiny",
            "hashes": {k: tiny_models.hashes[k] for k in ("generator", "regressor", "linear")},
        },
        "latent": {"seed": 7},
        "truncation_psi": 0.6,
        "space": "w",
        "edits": [
            {
                "method": "linear",
                "changes": {"smile": 0.3},
                "targets": {"age": 0.8},
                "preserve": [],
            }
        ],
        "noise_mode": "const",
    }
    assert json.loads(json.dumps(recipe)) == recipe


def test_a_replay_has_the_same_pixels(session, tiny_parts):
    wanted = pixels(session.render())
    text = json.dumps(session.recipe())
    # other objects with the same tensors: nothing is handed over but the text
    parts = {**tiny_parts, "generator": build_generator()}
    models = Models.from_parts(**parts, editors={"linear": LinearEditor(build_directions())})
    again = EditSession.from_recipe(models, parse_recipe(text))
    assert np.array_equal(pixels(again.render()), wanted)
    assert again.recipe()["edits"] == session.recipe()["edits"]


@pytest.mark.parametrize("noise_mode", ["const", "none"])
def test_stacked_edits_of_a_latent_replay(tiny_models, noise_mode):
    session = EditSession(tiny_models, method="linear")
    session.set_latent(torch.randn(8, 16, generator=torch.Generator().manual_seed(1)))
    session.update(changes={"smile": 0.3}, noise_mode=noise_mode)
    session.stack()
    session.set_targets({"age": 0.1})
    recipe = session.recipe()
    assert recipe["space"] == "w+"
    assert recipe["latent"]["shape"] == [8, 16]
    assert len(recipe["edits"]) == 2
    again = EditSession.from_recipe(tiny_models, parse_recipe(json.dumps(recipe)))
    assert np.array_equal(pixels(again.render()), pixels(session.render()))
    assert again.recipe() == recipe


def test_one_w_for_all_rows_is_in_w(tiny_models):
    session = EditSession(tiny_models)
    session.set_latent(torch.ones(16))
    recipe = session.recipe()
    assert recipe["space"] == "w"
    assert recipe["edits"] == []
    assert list(recipe["models"]["hashes"]) == ["generator"]
    again = EditSession.from_recipe(tiny_models, parse_recipe(json.dumps(recipe)))
    assert np.array_equal(pixels(again.render()), pixels(session.render()))


def test_measuring_and_dragging_change_nothing_in_the_pixels(session):
    wanted = pixels(session.render())
    session.measure()
    for k in range(5):
        session.set_changes({"smile": 0.1 * k})
        session.render()
    session.update(seed=7, changes={"smile": 0.3}, targets={"age": 0.8})
    assert np.array_equal(pixels(session.render()), wanted)


def test_the_recipe_travels_in_the_picture(session, tmp_path):
    path = tmp_path / "face.png"
    saved = session.save(path, scale=2, compare=True)
    recipe = read_recipe(path)
    assert recipe.to_dict() == saved
    assert dict(recipe.picture) == {"scale": 2, "compare": True}
    again = tmp_path / "again.png"
    EditSession.from_recipe(session.models, recipe).save(again, **recipe.picture)
    with Image.open(path) as a, Image.open(again) as b:
        assert np.array_equal(np.asarray(a), np.asarray(b))


def test_a_json_file_is_read_too(recipe, tmp_path):
    path = tmp_path / "anything.txt"
    path.write_text(json.dumps(recipe))
    assert read_recipe(path).to_dict() == recipe


# -- refusals --------------------------------------------------------------------------------------


def test_another_generator_is_refused_naming_both(session, tiny_parts):
    parts = {**tiny_parts, "generator": build_generator(seed=9)}
    editors = {"linear": LinearEditor(build_directions())}
    other = Models.from_parts(**parts, editors=editors, name="stranger")
    with pytest.raises(RecipeError, match=r"models\.hashes\.generator.*'tiny'.*'stranger'"):
        EditSession.from_recipe(other, parse_recipe(json.dumps(session.recipe())))


def test_another_editor_is_refused_by_name(session, tiny_parts):
    editors = {"linear": LinearEditor(build_directions(seed=8))}
    other = Models.from_parts(**tiny_parts, editors=editors)
    with pytest.raises(RecipeError, match=r"models\.hashes\.linear"):
        EditSession.from_recipe(other, parse_recipe(json.dumps(session.recipe())))
    without = Models.from_parts(**tiny_parts, name="bare")
    with pytest.raises(RecipeError, match=r"models\.hashes\.linear.*'bare' have none"):
        EditSession.from_recipe(without, parse_recipe(json.dumps(session.recipe())))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"method": "styleflow"}, "'styleflow' is not available"),
        ({"changes": {"nose": 0.1}}, r"^recipe: edits\[0\]: attribute 'nose' is unknown"),
        (
            {"changes": {"smile": 0.1}, "targets": {"smile": 0.1}},
            r"^recipe: edits\[0\]: 'smile' is given as a change and as a target; allowed: one",
        ),
    ],
)
def test_an_edit_that_these_models_cannot_make_is_refused(recipe, tiny_models, edit, message):
    recipe["edits"][0].update(edit)
    read = parse_recipe(json.dumps(recipe))
    with pytest.raises(ValueError, match=message):
        EditSession.from_recipe(tiny_models, read)
    session = EditSession(tiny_models, seed=3)
    with pytest.raises(ValueError, match=message):
        session.take(read)
    assert session.state.seed == 3
    assert not session.can_undo


def test_a_latent_of_another_generator_is_refused(recipe, tiny_models):
    data = base64.b64encode(np.zeros((10, 16), "<f4").tobytes()).decode()
    recipe["latent"] = {"w": data, "shape": [10, 16]}
    with pytest.raises(ValueError, match=r"\(1, 10, 16\)"):
        EditSession.from_recipe(tiny_models, parse_recipe(json.dumps(recipe)))


def put(recipe, path, value):
    *where, last = path
    for key in where:
        recipe = recipe[key]
    if value is ...:
        del recipe[last]
    else:
        recipe[last] = value


def latent(array, shape=None):
    array = np.asarray(array, "<f4")
    return {
        "w": base64.b64encode(array.tobytes()).decode(),
        "shape": list(array.shape) if shape is None else shape,
    }


ROW = np.zeros((8, 16))
FAULTS = [
    (("format",), "l2l-recipe/2", r"format is 'l2l-recipe/2'; allowed: 'l2l-recipe/1'"),
    (("format",), ..., "field 'format' is missing"),
    (("mood",), "good", "field 'mood' is unknown; known: format"),
    (("models", "url"), "x", r"field 'models\.url' is unknown"),
    (("models",), [], "models is"),
    (("models", "name"), 7, r"models\.name is 7"),
    (("models", "name"), "x" * 300, r"models\.name is"),
    (("models", "hashes"), {}, r"field 'models\.hashes\.generator' is missing"),
    (("models", "hashes", "generator"), 5, r"models\.hashes\.generator is 5"),
    (("latent",), {}, r"field 'latent\.seed' is missing"),
    (("latent", "seed"), -1, r"latent\.seed is -1; allowed: a whole number from 0"),
    (("latent", "seed"), 2**32, r"latent\.seed is 4294967296"),
    (("latent", "seed"), 2**4000, r"latent\.seed is 1318"),
    (("latent", "seed"), 7.0, r"latent\.seed is 7\.0"),
    (("latent", "seed"), True, r"latent\.seed is True"),
    (("latent", "seed"), None, r"latent\.seed is None"),
    (("latent", "w"), "AAAA", r"field 'latent\.shape' is missing"),
    (("latent",), latent(ROW, [8]), r"latent\.shape is \[8\]"),
    (("latent",), latent(ROW, [8, 17]), r"latent\.w has \d+ characters; allowed: \d+"),
    (("latent",), latent(ROW, [10**6, 10**6]), r"latent\.shape is"),
    (("latent",), latent(ROW, [65536, 65536]), r"latent\.w has"),
    (("latent",), latent(ROW, [8.0, 16]), r"latent\.shape is"),
    (("latent",), latent(ROW + np.nan), r"latent\.w has an entry that is not finite"),
    (("latent",), latent(ROW + 1e30), r"latent\.w has an entry that is not finite or beyond 1000"),
    (("latent",), {"w": "!" * 684, "shape": [8, 16]}, r"latent\.w is not base64"),
    (("latent",), {"w": 7, "shape": [8, 16]}, r"latent\.w is 7"),
    (("latent",), latent(ROW + np.arange(8)[:, None]), r"space is 'w', but the rows"),
    (("truncation_psi",), "0.7", "truncation_psi is '0.7'; allowed: a number from 0 to 1.5"),
    (("truncation_psi",), 2, "truncation_psi is 2"),
    (("truncation_psi",), None, "truncation_psi is None"),
    (("space",), "z", r"space is 'z'; allowed: 'w', 'w\+'"),
    (("noise_mode",), "random", "noise_mode is 'random'; allowed: 'const', 'none'"),
    (("noise_mode",), ["const"], "noise_mode is"),
    (("edits",), {}, "edits is {}; allowed: a list"),
    (("edits",), [None], r"edits\[0\] is None; allowed: an object"),
    (("edits",), [{}] * 65, "edits is"),
    (("edits", 0, "speed"), 1, r"field 'edits\[0\]\.speed' is unknown"),
    (("edits", 0, "method"), ..., r"field 'edits\[0\]\.method' is missing"),
    (("edits", 0, "method"), ["mapper"], r"edits\[0\]\.method is"),
    (("edits", 0, "changes"), [], r"edits\[0\]\.changes is"),
    (("edits", 0, "changes", "smile"), 1.5, r"edits\[0\]\.changes\.smile is 1\.5; allowed"),
    (("edits", 0, "changes", "smile"), "x", r"edits\[0\]\.changes\.smile is 'x'"),
    (("edits", 0, "targets", "age"), -0.1, r"edits\[0\]\.targets\.age is -0\.1"),
    (("edits", 0, "preserve"), "smile", r"edits\[0\]\.preserve is"),
    (("edits", 0, "preserve"), [1], r"edits\[0\]\.preserve is"),
    (("picture",), {"scale": 0, "compare": False}, r"picture\.scale is 0"),
    (("picture",), {"scale": 1e9, "compare": False}, r"picture\.scale is"),
    (("picture",), {"scale": 1, "compare": 1}, r"picture\.compare is 1"),
    (("picture",), {"scale": 1}, r"field 'picture\.compare' is missing"),
]


@pytest.mark.parametrize(("path", "value", "message"), FAULTS, ids=range(len(FAULTS)))
def test_a_fault_is_refused_by_name(recipe, path, value, message):
    put(recipe, path, value)
    text = json.dumps(recipe)
    with pytest.raises(RecipeError, match=message) as caught:
        parse_recipe(text)
    assert str(caught.value).startswith("recipe: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"not JSON \(line 1, column 1: the text ends there\); allowed: a PNG saved by"),
        ("{", r"not JSON \(line 1, column 2: the text ends there\); allowed: a PNG saved by"),
        ('{"format": l2l}', r"not JSON \(line 1, column 12: 'l2l}'\); allowed: a PNG saved by"),
        ("[]", "the text is"),
        ("7", "the text is 7"),
        ("[" * 100_000, "not JSON"),
        ('{"a": ' * 50_000, "not JSON"),
        ('{"format": NaN}', "NaN is no number"),
        ('{"truncation_psi": -Infinity}', "-Infinity is no number"),
        ('{"format": "l2l-recipe/1", "format": "l2l-recipe/1"}', "field 'format' is given twice"),
        (b"\xff\xfe{}", "byte 0 is not UTF-8"),
        (b'{"format": "\xc3"}', "not UTF-8"),
        ('{"seed": ' + "9" * 5000 + "}", "not JSON .a number has too many digits"),
        (" " * 4_000_001, "characters long; allowed"),
    ],
)
def test_text_that_is_no_recipe_is_refused_in_one_line(text, message):
    with pytest.raises(RecipeError, match=message) as caught:
        parse_recipe(text)
    assert "\n" not in str(caught.value)


def test_a_number_beyond_every_range_is_refused(recipe):
    text = json.dumps(recipe).replace('"truncation_psi": 0.6', '"truncation_psi": 1e999')
    with pytest.raises(RecipeError, match="truncation_psi is inf"):
        parse_recipe(text)


# -- pictures from strangers -----------------------------------------------------------------------


def test_a_picture_without_a_recipe_is_refused(tmp_path):
    path = tmp_path / "plain.png"
    Image.new("RGB", (4, 4)).save(path)
    with pytest.raises(RecipeError, match=r"plain\.png: the picture carries no 'l2l-recipe'"):
        read_recipe(path)


def test_a_text_that_is_something_else_is_named_with_what_is_allowed(tmp_path):
    path = tmp_path / "README.md"
    path.write_text("# Faces\n\nand words")
    with pytest.raises(RecipeError) as caught:
        read_recipe(path)
    assert str(caught.value) == (
        f"recipe: {path}: begins with '# Faces', neither a recipe nor a picture; allowed: a PNG "
        "saved by this package, or a recipe as JSON"
    )


@pytest.mark.parametrize("kept", [9, 20, 40, 0.3, 0.6])
def test_a_truncated_picture_is_refused(session, tmp_path, kept):
    path = tmp_path / "face.png"
    session.save(path)
    data = path.read_bytes()
    path.write_bytes(data[: kept if isinstance(kept, int) else int(len(data) * kept)])
    with pytest.raises(RecipeError, match=r"face\.png") as caught:
        read_recipe(path)
    assert "\n" not in str(caught.value)


def chunk(kind, data):
    body = kind + data
    return len(data).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")


@pytest.mark.parametrize(
    "payload",
    [
        b"l2l-recipe\x00\xff\xfe not text",
        b"l2l-recipe\x00{}",
        b"l2l-recipe\x00" + b"[" * 60_000,
    ],
)
def test_a_hostile_text_chunk_is_refused(tmp_path, payload):
    path = tmp_path / "hostile.png"
    Image.new("RGB", (4, 4)).save(path)
    data = path.read_bytes()
    path.write_bytes(data[:33] + chunk(b"tEXt", payload) + data[33:])
    with pytest.raises(RecipeError) as caught:
        read_recipe(path)
    assert "\n" not in str(caught.value)


def test_a_text_bomb_is_refused_quickly(tmp_path):
    path = tmp_path / "bomb.png"
    Image.new("RGB", (4, 4)).save(path)
    data = path.read_bytes()
    bomb = b"l2l-recipe\x00\x00" + zlib.compress(b" " * 30_000_000, 9)
    path.write_bytes(data[:33] + chunk(b"zTXt", bomb) + data[33:])
    with pytest.raises(RecipeError) as caught:
        read_recipe(path)
    assert "\n" not in str(caught.value)


def test_a_file_beyond_any_picture_is_not_read(tmp_path):
    path = tmp_path / "huge.png"
    with open(path, "wb") as stream:
        stream.truncate(1 << 40)  # a sparse file: a terabyte that takes no room
    with pytest.raises(RecipeError, match="larger than 512 MiB"):
        read_recipe(path)


def test_numbers_of_numpy_are_written_as_plain_ones(tiny_models):
    session = EditSession(tiny_models, method="linear", seed=np.int64(7))
    session.set_changes({"smile": np.float64(0.25)})
    recipe = parse_recipe(json.dumps(session.recipe()))
    assert (recipe.seed, dict(recipe.edits[0].changes)) == (7, {"smile": 0.25})


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_an_empty_file_is_called_empty(tmp_path, text):
    (tmp_path / "nothing.json").write_text(text)
    with pytest.raises(
        RecipeError, match=r"nothing\.json: the empty file carries no 'l2l-recipe' text"
    ):
        read_recipe(tmp_path / "nothing.json")


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(RecipeError, match=r"nothing\.json"):
        read_recipe(tmp_path / "nothing.json")
    with pytest.raises(RecipeError, match=tmp_path.name):
        read_recipe(tmp_path)
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0" + b"\0" * 100)
    with pytest.raises(RecipeError, match="neither text nor a picture"):
        read_recipe(tmp_path / "photo.jpg")
