"""Detectors of one's own: declared in a text file, tried on load, and used on photos.

The network here is a true one, if a small one: it finds what is red, cell by cell.
"""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
import torch
from conftest import build_attribute_net, build_generator
from onnx import TensorProto, helper, numpy_helper
from PIL import Image, ImageDraw

from l2l_widgets.cli import main
from l2l_widgets.judges import (
    Declaration,
    JudgeError,
    load_judge,
    published_declaration,
    read_declaration,
    wrap_judge,
)
from l2l_widgets.models.own import with_judges
from l2l_widgets.models.zoo import Models
from l2l_widgets.photos import Photo, PhotoError, align_photo, find_detector
from l2l_widgets.photos.detection import declared_detector

CELL = 8


def cells(height, width):
    """Corners of all cells, (N, 4) in pixels."""
    y, x = np.mgrid[0:height:CELL, 0:width:CELL]
    return np.stack([x, y, x + CELL, y + CELL], -1).reshape(-1, 4).astype(np.float32)


def write_detector(path, height, width, apart):
    """Cell means of a picture in [0, 1]: its red less its green and blue is how sure it is.

    ``apart``: two outputs, scores (1, N, 2) and boxes (1, N, 4) in shares, as UltraFace has them;
    otherwise one of rows, boxes in pixels and the score.
    """
    boxes = cells(height, width)
    red = np.array([1, -1, -1], np.float32).reshape(1, 3, 1, 1)
    constants = {"red": red, "rows": np.array([1, len(boxes), 1], np.int64)}
    nodes = [
        helper.make_node("AveragePool", ["x"], ["means"], kernel_shape=[CELL] * 2,
                         strides=[CELL] * 2),
        helper.make_node("Conv", ["means", "red"], ["redness"]),
        helper.make_node("Reshape", ["redness", "rows"], ["sure"]),
    ]  # fmt: skip
    if apart:
        constants["one"] = np.ones(1, np.float32)
        constants["all"] = (boxes / np.array([width, height] * 2))[None].astype(np.float32)
        nodes += [
            helper.make_node("Sub", ["one", "sure"], ["other"]),
            helper.make_node("Concat", ["other", "sure"], ["scores"], axis=2),
            helper.make_node("Identity", ["all"], ["boxes"]),
        ]
    else:
        constants["all"] = boxes[None]
        nodes.append(helper.make_node("Concat", ["all", "sure"], ["faces"], axis=2))
    graph = helper.make_graph(
        nodes, "cells",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, height, width])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
         for name in (("scores", "boxes") if apart else ("faces",))],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)


DECLARED = """
kind = "detector"
file = "cells.onnx"
size = 32
boxes = "corners"
units = "pixels"
score = 4
"""


@pytest.fixture
def declared(tmp_path):
    write_detector(tmp_path / "cells.onnx", 32, 32, apart=False)
    path = tmp_path / "cells.toml"
    path.write_text(DECLARED, encoding="utf-8")
    return path


def photo_with(*boxes, size=(320, 200)):
    image = Image.new("RGB", size, "grey")
    draw = ImageDraw.Draw(image)
    for left, top, side in boxes:
        draw.rectangle((left, top, left + side - 1, top + side - 1), fill="red")
    return image


def test_a_declared_network_finds_what_it_finds_where_it_lies_in_the_photo(declared):
    detector = find_detector(str(declared))
    # a cell of the input is 80 pixels of this photo, which is not squeezed
    (face,) = detector(photo_with((160, 80, 80)))
    assert (face.x, face.y) == pytest.approx((160, 80), abs=0.5)
    assert (face.width, face.height) == pytest.approx((80, 80), abs=0.5)
    assert face.score > 0.9
    assert detector(photo_with()) == []
    assert len(detector(photo_with((0, 0, 80), (240, 80, 80)))) == 2
    models = Models.from_parts(build_generator())
    cut = align_photo(Photo(photo_with((160, 80, 80)), "red.png"), models, detector)
    assert cut.faces[0] == face
    assert cut.how == "placed by the face's box"


def test_ultraface_has_a_ready_declaration(tmp_path):
    """Another output for the scores, and an input that is no square."""
    path = tmp_path / "version-RFB-320.onnx"
    write_detector(path, 240, 320, apart=True)
    declaration = published_declaration("ultraface_320", path)
    assert declaration.shape == (240, 320)
    detector = find_detector(f"ultraface_320={path}")
    (face,) = detector(photo_with((160, 80, 8), size=(320, 240)))
    assert (face.x, face.y, face.width, face.height) == pytest.approx((160, 80, 8, 8), abs=0.1)


def rows(*found, points=()):
    """A network that gives these rows for every picture."""
    table = torch.tensor([[*row, *points] for row in found])
    return lambda x: table[None]


@pytest.mark.parametrize(
    ("boxes", "units", "row"),
    [
        ("corners", "shares", (0.25, 0.5, 0.5, 0.75)),
        ("corners", "pixels", (16.0, 16.0, 32.0, 24.0)),
        ("corners", "signed", (-0.5, 0.0, 0.0, 0.5)),
        ("sides", "shares", (0.25, 0.5, 0.25, 0.25)),
        ("sides", "pixels", (16.0, 16.0, 16.0, 8.0)),
        ("middle", "shares", (0.375, 0.625, 0.25, 0.25)),
        ("middle", "signed", (-0.25, 0.25, 0.5, 0.5)),
    ],
)
def test_boxes_are_read_as_declared(boxes, units, row):
    declaration = Declaration("detector", size=64, height=32, boxes=boxes, units=units)
    judge = wrap_judge(rows((*row, 0.9)), declaration)
    found = judge(torch.zeros(2, 3, 32, 64))
    assert found.shape == (2, 1, 5)
    torch.testing.assert_close(found[1, 0], torch.tensor([0.25, 0.5, 0.5, 0.75, 0.9]))


def test_points_have_columns_of_their_own_and_align_the_face():
    points = (0.4, 0.4, 9.0, 0.6, 0.5, 9.0, 0.5, 0.6, 9.0, 0.4, 0.7, 9.0, 0.6, 0.8, 9.0)
    columns = (5, 6, 8, 9, 11, 12, 14, 15, 17, 18)
    declaration = Declaration("detector", size=64, points=columns)
    judge = wrap_judge(rows((0.2, 0.2, 0.8, 0.9, 0.9), points=points), declaration)
    (face,) = declared_detector(judge)(Image.new("RGB", (300, 200)))
    # the sheet is a square of the photo's longer side
    assert face.points[1] == pytest.approx((180, 150))
    models = Models.from_parts(build_generator())
    cut = align_photo(Photo(Image.new("RGB", (300, 200)), "p"), models, declared_detector(judge))
    assert cut.how == "aligned by the detector's 5 points"
    assert cut.turned > 10, "the right eye lies lower"


def test_of_overlapping_boxes_the_surest_is_kept_and_logits_become_scores():
    twice = rows((0.1, 0.1, 0.5, 0.5, 0.0), (0.12, 0.1, 0.5, 0.5, 3.0), (0.6, 0.6, 0.9, 0.9, -3.0))
    declaration = Declaration("detector", size=64, outputs="logits")
    (found,) = wrap_judge(twice, declaration)(torch.zeros(1, 3, 64, 64))
    assert len(found) == 1
    assert found[0, 0] == pytest.approx(0.12)
    assert found[0, 4] == pytest.approx(torch.sigmoid(torch.tensor(3.0)).item())
    every = Declaration("detector", size=64, outputs="logits", overlap=1.0, certain=0.01)
    assert wrap_judge(twice, every)(torch.zeros(1, 3, 64, 64)).shape == (1, 3, 5)


def test_scores_may_be_a_second_output_or_a_named_one():
    box, score = torch.tensor([[[0.1, 0.1, 0.5, 0.5]]]), torch.tensor([[[0.0, 2.0]]])
    declaration = Declaration("detector", size=64, scores="s", score=1, outputs="softmax")
    wanted = torch.tensor([0.0, 2.0]).softmax(0)[1].item()
    for network in (lambda x: (box, score), lambda x: {"s": score, "b": box}):
        declared = declaration if isinstance(network(0), tuple) else Declaration(
            "detector", size=64, scores="s", score=1, outputs="softmax", output="b"
        )  # fmt: skip
        found = wrap_judge(network, declared)(torch.zeros(1, 3, 64, 64))
        assert found[0, 0, 4] == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("score = 4", "score = 7", "score is 7; allowed: a column of the 5 that there are"),
        ("score = 4", "score = 4.5", "score is 4.5; allowed: the number of a column"),
        ('"corners"', '"edges"', "boxes is 'edges'; allowed: corners, sides, middle"),
        ("score = 4", "points = [5, 6]", "allowed: the numbers of ten columns"),
        ("score = 4", f"points = {list(range(5, 15))}", "5 columns; boxes and points need 15"),
        ("score = 4", "transposed = true", "16 columns"),
        ("score = 4", 'transposed = "yes"', "transposed is 'yes'; allowed: true or false"),
        ("score = 4", "certain = 2", "certain is 2; allowed: 0 to 1"),
        ("score = 4", 'overlap = "half"', "overlap is ['half']; allowed: one finite number"),
        ("score = 4", 'scores = "sure"', "scores is 'sure'; the file has: faces"),
        ("score = 4", "height = 4", "height is 4; allowed: a whole number from 8 to 2048"),
        ("score = 4", "height = 24", "the file wants [3, 32, 32]"),
        ('kind = "detector"', 'kind = "identity"', "units"),
    ],
)
def test_a_wrong_declaration_is_refused_on_load_by_its_field(declared, old, new, says):
    text = declared.read_text()
    assert old in text
    declared.write_text(text.replace(old, new))
    if says == "units":  # a field that other kinds have too says nothing; a detector's own does
        declared.write_text(declared.read_text() + "certain = 0.9\n")
        says = "certain is given; allowed: only with kind 'detector'"
    elif says == "16 columns":  # 5 rows of 16 numbers are read, their fifth column as the score
        declared.write_text(declared.read_text() + "score = 16\n")
        says = "score is 16; allowed: a column of the 16 that there are"
    with pytest.raises(JudgeError) as caught:
        load_judge(declared)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("network", "fields", "says"),
    [
        (lambda x: torch.zeros(1, 5, 5, 9), {}, r"shape \(5, 5, 9\) for one picture"),
        (lambda x: torch.full((3, 5), torch.nan), {}, "not finite"),
        (lambda x: torch.zeros(3, 2), {}, "2 columns; boxes and points need 4"),
        (lambda x: torch.zeros(5, 3), {}, "allowed: transposed = true"),
        (lambda x: torch.zeros(3, 5), {"scores": "s"}, "there is no second output"),
        (lambda x: (torch.zeros(3, 4), torch.zeros(2, 1)), {"scores": "s", "score": 0},
         "3 boxes and 2 scores"),
    ],
)  # fmt: skip
def test_a_network_that_gives_something_else_is_refused_on_load(network, fields, says):
    with pytest.raises(JudgeError, match=says):
        wrap_judge(network, Declaration("detector", size=64, **fields))


def test_a_declaration_comes_back_from_its_own_text(tmp_path):
    made = Declaration(
        "detector", file="n.onnx", size=640, boxes="middle", units="pixels", transposed=True,
        points=tuple(range(5, 15)), certain=0.6, folder=tmp_path,
    )  # fmt: skip
    path = tmp_path / "again.toml"
    path.write_text(made.to_toml(), encoding="utf-8")
    assert read_declaration(path) == made


def test_commands_take_it_where_photos_are_and_nowhere_else(declared, tmp_path, capsys):
    assert main(["judges", str(declared)]) == 0
    out = capsys.readouterr().out
    assert "the faces in a photo, for l2l invert --detector" in out
    assert "one picture of 32 x 32 pixels" in out
    photo_with((0, 0, 20)).save(tmp_path / "p.png")
    other = tmp_path / "other.toml"
    other.write_text('kind = "landmarks"\nfile = "cells.onnx"\nsize = 32\n', encoding="utf-8")
    words = ["invert", str(tmp_path / "p.png"), "--out", str(tmp_path / "o"), "--detector"]
    for word, says in (
        (str(other), "declares kind 'landmarks'; allowed: 'detector'"),
        (str(tmp_path / "none.toml"), "no such file"),
        ("ultraface_320", "allowed: ultraface_320=FILE"),
        ("mtcnn", "a declaration (.toml) of kind 'detector'"),
    ):
        assert main([*words, word]) == 2
        assert says in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
    assert main(["world", str(tmp_path / "w"), "--generator", "x", "--judge", str(declared)]) == 2
    assert "for l2l invert: --detector" in capsys.readouterr().err
    assert main(["judges", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert listed["ultraface_320"]["kind"] == "detector"
    models = Models.from_parts(build_generator(), regressor=build_attribute_net(1))
    with pytest.raises(JudgeError, match="of kind 'detector', which looks at photos"):
        with_judges(models, [load_judge(declared)])
    with pytest.raises(PhotoError, match="declares kind 'landmarks'"):
        declared_detector(
            wrap_judge(lambda x: torch.zeros(len(x), 10), Declaration("landmarks", size=32))
        )
