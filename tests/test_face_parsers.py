"""A face parser of your own, an ONNX file by its declaration: in sessions, page, command line.

The network here is real and small: it reads the class off the grey value of each pixel, numbered as
the common BiSeNet numbers them, so that what it should find is known to the pixel.
"""

from __future__ import annotations

import base64

import numpy as np
import onnx
import pytest
import torch
from conftest import write_manifest, write_world
from onnx import TensorProto, helper, numpy_helper

from l2l_widgets.cli import main
from l2l_widgets.faceworld import render, sample_factors
from l2l_widgets.images import save_image
from l2l_widgets.maskgan import DenseMappingNetwork, MappingConfig, MaskGAN
from l2l_widgets.masks import MaskError, encode_mask, resize_mask, to_order
from l2l_widgets.painting import (
    PaintError,
    PaintSession,
    load_parser,
    read_face,
    read_paint_recipe,
)
from l2l_widgets.painting.parsing import BISENET_NUMBERS
from l2l_widgets.widgets.paint.mask_painter import MaskPainter

SIDE = 32


@pytest.fixture(scope="module")
def masks():
    """Official masks at twice the painter's side, which is the size the parser is made for."""
    return render(sample_factors(2, seed=3), 2 * SIDE).mask


@pytest.fixture(scope="module")
def folder(masks, tmp_path_factory):
    """A network, declarations of it, and pictures that it reads."""
    folder = tmp_path_factory.mktemp("parser")
    # 2 k x - k^2 is largest for the k that is nearest to x
    numbers = np.arange(19, dtype=np.float32)
    weight = np.zeros((19, 3, 1, 1), np.float32)
    weight[:, 0, 0, 0] = 2 * numbers
    values = [
        numpy_helper.from_array(weight, "weight"),
        numpy_helper.from_array(-(numbers**2), "bias"),
    ]
    shape = ["n", 3, 2 * SIDE, 2 * SIDE]
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "weight", "bias"], ["y"])], "greys",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], values,
    )  # fmt: skip
    opset = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), folder / "net.onnx")
    text = f'kind = "parser"\nfile = "net.onnx"\nsize = {2 * SIDE}\nrange = [0.0, 18.0]\n'
    (folder / "right.toml").write_text(f"{text}classes = {BISENET_NUMBERS}\n")
    (folder / "wrong.toml").write_text(f"{text}classes = {list(range(19))}\n")
    for name, mask in zip("ab", masks, strict=True):
        grey = to_order(mask, "bisenet").float() / 9 - 1
        save_image(folder / f"{name}.png", grey[None].repeat(3, 1, 1))
    return folder


@pytest.fixture(scope="module")
def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        mapping = DenseMappingNetwork(MappingConfig(SIDE, 4, 2, 2, 4, 1))
        return MaskGAN(mapping).eval().requires_grad_(False)


def test_an_onnx_parser_finds_the_mask_at_its_own_size(folder, masks, model):
    parser = load_parser(folder / "right.toml")
    image, mask = read_face(folder / "a.png", SIDE, parser)
    assert image.shape == (3, SIDE, SIDE)
    assert torch.equal(mask, resize_mask(masks[0], SIDE))
    assert read_face(folder / "a.png", SIDE, None)[1] is None
    session = PaintSession(model, image, parser=folder / "right.toml")
    assert session.original.shape == (SIDE, SIDE)
    session.open(folder / "b.png")
    assert torch.equal(session.original, resize_mask(masks[1], SIDE))
    assert session.render().error is None
    session.close()


def test_the_other_class_order_is_named(folder, model):
    image, _ = read_face(folder / "a.png", SIDE, None)
    with pytest.raises(MaskError, match=r"BiSeNet order .*state classes = \[0, 1, 6, 7, 4, 5, 3"):
        read_face(folder / "a.png", SIDE, load_parser(folder / "wrong.toml"))
    seen = PaintSession(model, image, torch.zeros(SIDE, SIDE, dtype=torch.uint8))
    seen.parser = load_parser(folder / "wrong.toml")
    with pytest.raises(MaskError, match="BiSeNet order"):
        seen.open(folder / "a.png")
    assert torch.equal(seen.image, image), "a refused face changes nothing"
    seen.close()


def test_what_is_no_parser_is_refused(folder, tmp_path):
    with pytest.raises(PaintError, match="parser is 7; allowed: a declaration"):
        load_parser(7)
    values = numpy_helper.from_array(np.ones((3, 4), np.float32), "w")
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "who",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], [values],
    )  # fmt: skip
    opset = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / "id.onnx")
    (tmp_path / "id.toml").write_text('kind = "identity"\nfile = "id.onnx"\nsize = 16\n')
    with pytest.raises(PaintError, match=r"declares kind 'identity'; allowed: 'parser'"):
        load_parser(tmp_path / "id.toml")
    with pytest.raises(ValueError, match="no such file"):
        load_parser("face_parsing_bisenet=nowhere.onnx")
    with pytest.raises(MaskError, match=r"the parser's mask is \(1, 3, 8, 8\)"):
        read_face(folder / "a.png", 8, lambda images: images.long())
    assert load_parser(None) is None


def test_a_face_is_opened_in_the_page(folder, masks, model, tmp_path):
    def sent(path):
        return base64.b64encode(path.read_bytes()).decode()

    image, mask = read_face(folder / "a.png", SIDE, load_parser(folder / "right.toml"))
    session = PaintSession(model, image, mask)
    widget = MaskPainter(session, parser=folder / "right.toml", folder=tmp_path)
    assert widget.schema["can_parse"]
    first = bytes(widget.picture["original"])
    message = {"kind": "file", "use": "face", "name": "b.png", "client": "c", "number": 1}
    widget._handle_custom_msg({**message, "data": sent(folder / "b.png")}, [])
    assert session.drain(120)
    found = resize_mask(masks[1], SIDE)
    assert bytes(widget.picture["original"]) == found.numpy().tobytes() != first
    session.apply({"kind": "brush", "class": 13, "size": 6, "points": [[4, 4], [20, 4]]})
    session.save(tmp_path / "saved.png")
    message = {**message, "number": 2, "data": sent(tmp_path / "saved.png")}
    widget._handle_custom_msg(message, [])
    assert session.drain(120)
    assert torch.equal(session.original, found), "a saved painting brings its own mask"
    assert session.mask.equal(session.original), "what was painted on it stays behind"
    session.undo()
    assert not session.mask.equal(session.original), "undo comes back to the face before, as it was"
    widget.close()
    session.close()


def test_the_command_line_takes_a_parser(folder, masks, model, tmp_path, capsys):
    world = write_world(tmp_path / "world")
    model.save(world / "maskgan.safetensors")
    write_manifest(world)
    (tmp_path / "m.png").write_bytes(encode_mask(resize_mask(masks[1], SIDE)))
    words = ["paint", "--image", str(folder / "a.png"), "--mask", str(tmp_path / "m.png"),
             "--out", str(tmp_path / "o.png"), "--generator", str(world)]  # fmt: skip
    assert main(words) == 2
    assert "a parser of your own" in capsys.readouterr().err
    assert main([*words, "--parser", str(folder / "wrong.toml")]) == 2
    assert "BiSeNet order" in capsys.readouterr().err
    assert not (tmp_path / "o.png").exists()
    assert main([*words, "--parser", str(folder / "right.toml")]) == 0
    recipe = read_paint_recipe(tmp_path / "o.png")
    assert recipe["format"] == "l2l-paint/1"
    session = PaintSession.from_recipe(model, {**recipe, "model": None})
    assert torch.equal(session.original, resize_mask(masks[0], SIDE))
    session.close()
