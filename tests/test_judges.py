"""Judges of your own: declarations, ONNX files, callables, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from l2l_widgets.cli import main
from l2l_widgets.judges import (
    Column,
    Declaration,
    JudgeError,
    list_declarations,
    load_judge,
    published_declaration,
    read_declaration,
    wrap_judge,
)
from l2l_widgets.models.own import with_judges
from l2l_widgets.protocols import AttributeRegressor, FaceEmbedder, Segmenter
from l2l_widgets.session.edit_session import EditSession
from tests.open_world import OpenWorld


def write_network(path, weight, side, batch=None, flat=True):
    """An ONNX network: the mean of each of three planes, times ``weight`` (3, N)."""
    values = numpy_helper.from_array(np.asarray(weight, np.float32), "weight")
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["y"]),
    ]
    if not flat:  # the weighted planes themselves, (B, N, S, S)
        values = numpy_helper.from_array(
            np.asarray(weight, np.float32).T[:, :, None, None].copy(), "weight"
        )
        nodes = [helper.make_node("Conv", ["x", "weight"], ["y"])]
    graph = helper.make_graph(
        nodes, "planes",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch or "n", 3, side, side])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [values],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)


def declare(folder, text, name="judge.toml"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


ATTRIBUTES = """
kind = "attributes"
file = "net.onnx"
size = 16
range = [0.0, 255.0]
colours = "{colours}"
outputs = "{outputs}"
[attributes]
smile = 0
age = {{column = 1, low = 10, high = 110}}
brightness = {{column = 2, low = 255, high = 0}}
"""


@pytest.fixture
def attributes(tmp_path):
    write_network(tmp_path / "net.onnx", np.eye(3) * [[0.01], [1], [1]], 16)
    return declare(tmp_path, ATTRIBUTES.format(colours="RGB", outputs="logits"))


def plain(red, green, blue, side=40):
    return (torch.tensor([red, green, blue]).view(1, 3, 1, 1) * 2 - 1).expand(1, 3, side, side)


def test_outputs_become_attribute_units(attributes):
    judge = load_judge(attributes)
    assert isinstance(judge, AttributeRegressor)
    assert judge.attributes == ("smile", "age", "brightness")
    read = judge(plain(1.0, 60 / 255, 0.25))
    wanted = [torch.sigmoid(torch.tensor(2.55)).item(), 0.5, 0.75]
    torch.testing.assert_close(read, torch.tensor([wanted]), atol=1e-4, rtol=0)


def test_colours_are_ordered_as_declared(tmp_path, attributes):
    other = declare(tmp_path, ATTRIBUTES.format(colours="BGR", outputs="logits"), "bgr.toml")
    picture = plain(0.1, 0.2, 0.9)
    swapped = load_judge(other)(picture.flip(1))
    torch.testing.assert_close(load_judge(attributes)(picture), swapped)
    assert not torch.allclose(load_judge(other)(picture), swapped)


def test_the_preprocessing_is_the_plain_arithmetic():
    seen = []
    declaration = Declaration(
        "identity", size=8, crop=(0.5, 0.0, 1.0, 0.5), range=(0, 1), mean=(0.1, 0.2, 0.3),
        std=(2, 4, 8), layout="NHWC", colours="BGR",
    )  # fmt: skip
    judge = wrap_judge(lambda x: seen.append(x) or x.flatten(1) + 1, declaration)
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    judge(images)
    x = ((images[:, :, :8, 8:] + 1) / 2).flip(1).permute(0, 2, 3, 1)
    wanted = (x - torch.tensor([0.1, 0.2, 0.3])) / torch.tensor([2.0, 4.0, 8.0])
    torch.testing.assert_close(seen[-1], wanted)


def test_grey_is_luma():
    seen = []
    declaration = Declaration("identity", size=8, colours="GREY", range=(0, 255))
    judge = wrap_judge(lambda x: seen.append(x) or x.flatten(1) + 1, declaration)
    judge(plain(1.0, 0.0, 0.0))
    assert seen[-1].shape == (1, 1, 8, 8)
    torch.testing.assert_close(seen[-1].mean(), torch.tensor(0.299 * 255), atol=1e-3, rtol=0)


def test_an_embedder_gives_unit_vectors_and_knows_its_length(tmp_path):
    write_network(tmp_path / "id.onnx", np.random.default_rng(0).normal(size=(3, 5)), 16, batch=1)
    path = declare(tmp_path, 'kind = "identity"\nfile = "id.onnx"\nsize = 16\n')
    judge = load_judge(path)
    assert isinstance(judge, FaceEmbedder)
    assert judge.embedding_dim == 5
    images = torch.rand(3, 3, 32, 32) * 2 - 1
    vectors = judge(images)  # the file takes one picture at a time
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(vectors[1:2], judge(images[1:2]))
    assert judge(images[:0]).shape == (0, 5)


def test_a_parser_speaks_the_official_class_order(tmp_path):
    write_network(tmp_path / "parse.onnx", np.eye(3), 16, flat=False)
    path = declare(
        tmp_path, 'kind = "parser"\nfile = "parse.onnx"\nsize = 16\nclasses = [13, 1, 0]\n'
    )
    judge = load_judge(path)
    assert isinstance(judge, Segmenter)
    classes = judge(torch.cat([plain(1.0, 0.0, 0.0), plain(0.0, 1.0, 0.0), plain(0.0, 0.0, 1.0)]))
    assert classes.dtype == torch.uint8
    assert classes.shape == (3, 40, 40)
    assert [int(c.unique()) for c in classes] == [13, 1, 0]


def test_softmax_runs_over_every_column():
    declaration = Declaration(
        "attributes", size=8, outputs="softmax", attributes={"a": Column(0), "b": Column(-1)}
    )
    logits = torch.tensor([[1.0, 2.0, 3.0]])
    judge = wrap_judge(lambda x: logits.expand(len(x), 3), declaration)
    wanted = logits.softmax(1)[:, [0, 2]]
    torch.testing.assert_close(judge(plain(0.5, 0.5, 0.5)), wanted)


def test_the_rows_are_ours_where_the_name_is_known(attributes):
    table = load_judge(attributes).declaration.table
    assert table is not None
    assert table.names == ("smile", "age", "brightness")
    assert table["age"].unit == "years"
    assert table["brightness"].family == "other"


def test_a_row_of_ones_own(tmp_path, attributes):
    text = attributes.read_text() + '\n[table.brightness]\nlabel = "Light"\nfamily = "picture"\n'
    table = read_declaration(declare(tmp_path, text, "own.toml")).table
    assert (table["brightness"].label, table["brightness"].family) == ("Light", "picture")


@pytest.mark.parametrize("name", list_declarations())
def test_ready_declarations_are_sound(name):
    declaration = published_declaration(name)
    assert declaration.about
    assert declaration.file.endswith(".onnx")
    assert read_declaration(f"{name}=elsewhere/net.onnx").path.as_posix() == "elsewhere/net.onnx"
    if declaration.kind == "parser":
        assert sorted(declaration.classes) == list(range(19))
    if name == "celeba_40":
        assert [c.column for c in declaration.attributes.values()] == list(range(40))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"attributes"', '"attribute"', "kind is 'attribute'; allowed: attributes"),
        ("size = 16", "size = 15.5", "size is 15.5"),
        ("size = 16", "size = 24", "the file wants [3, 16, 16]"),
        ("size = 16", "sizes = 16", "field 'sizes'; allowed"),
        ('"RGB"', '"GREY"', "the file wants [3, 16, 16]"),
        ("[0.0, 255.0]", "[1.0, 1.0]", "range is [1.0, 1.0]"),
        ("[0.0, 255.0]", "[0.0, inf]", "range is [0.0, inf]"),
        ("smile = 0", "smile = 7", "attributes.smile is column 7 of an output with 3 columns"),
        ("smile = 0", 'smile = "first"', "attributes.smile is 'first'"),
        ("low = 10, ", "", "age has one of low and high"),
        ("low = 10", "low = 110", "low and high are both 110"),
        ('"net.onnx"', '"../net.onnx"', "allowed: a file in the declaration's folder"),
        ('"net.onnx"', '"none.onnx"', "no such file"),
        ('"net.onnx"', '"net.bin"', "no such file"),
        ("[attributes]", "[attributes", "not readable as TOML"),
        ("size = 16", 'size = 16\ninput = "y"', "input is 'y'; the file has: x"),
        ("size = 16", "size = 16\nstd = [1, 0, 1]", "std is [1, 0, 1]"),
        ("size = 16", "size = 16\ncrop = [0.5, 0, 0.5, 1]", "crop is [0.5, 0, 0.5, 1]"),
    ],
)
def test_a_wrong_declaration_is_one_line_that_names_the_field(attributes, old, new, says):
    text = attributes.read_text()
    assert old in text
    attributes.write_text(text.replace(old, new, 1))
    with pytest.raises(JudgeError) as caught:
        load_judge(attributes)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html>sign in</html>", "web page"),
        (b"", r"no ONNX network \(.*truncated at 0 bytes.*allowed: a whole .onnx file"),
        (b"\x08\x07" * 500, "no ONNX network"),
        (None, r"no ONNX network \(damaged or truncated at \d+ bytes.*allowed: a whole .onnx file"),
    ],
)
def test_what_is_downloaded_by_mistake_is_named(attributes, content, says):
    path = attributes.parent / "net.onnx"
    path.write_bytes(path.read_bytes()[:100] if content is None else content)
    with pytest.raises(JudgeError, match=says) as caught:
        load_judge(attributes)
    assert "ONNXRuntimeError" not in str(caught.value)
    with pytest.raises(JudgeError, match="is a folder; allowed: the declaration in it"):
        load_judge(attributes.parent)


def test_external_data_outside_the_folder_is_not_read(tmp_path):
    folder = tmp_path / "judge"
    folder.mkdir()
    write_network(folder / "id.onnx", np.ones((3, 4)), 16)
    model = onnx.load(folder / "id.onnx")
    secret = tmp_path / "secret.bin"
    secret.write_bytes(np.ones((3, 4), np.float32).tobytes())
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../secret.bin")
    (folder / "id.onnx").write_bytes(model.SerializeToString())
    path = declare(folder, 'kind = "identity"\nfile = "id.onnx"\nsize = 16\n')
    with pytest.raises(JudgeError, match="no ONNX network"):
        load_judge(path)


class Doubles(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=(2, 3)) * 2 + 1


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_torchscript_is_a_program_and_needs_trust(tmp_path):
    torch.jit.script(Doubles()).save(tmp_path / "net.pt")
    text = 'kind = "identity"\nfile = "net.pt"\nsize = 16\n'
    with pytest.raises(JudgeError, match="trusted=True"):
        load_judge(declare(tmp_path, text))
    with pytest.raises(JudgeError, match="field 'trusted'"):  # a file cannot vouch for itself
        load_judge(declare(tmp_path, text + "trusted = true\n"))
    judge = load_judge(declare(tmp_path, text), trusted=True)
    assert judge.embedding_dim == 3


@pytest.mark.parametrize(
    ("network", "says"),
    [
        (lambda x: x.mean(dim=(2, 3))[:1], "a row a picture"),
        (lambda x: x.mean(dim=(2, 3)) / 0, "not finite"),
        (lambda x: [], "its output is empty"),
        (lambda x: "smiling", "its output is a str"),
        (3, "something to call"),
    ],
)
def test_a_network_that_does_not_do_what_is_declared(network, says):
    with pytest.raises(JudgeError, match=says):
        wrap_judge(network, Declaration("identity", size=16))


class Reads:
    """Two readings of the open world's picture, as a network of one's own would."""

    def __call__(self, x):
        return x[:, 0, 0, :2]


def own_judge():
    declaration = Declaration(
        "attributes", size=8, range=(-1, 1), attributes={"smile": Column(0), "age": Column(1)}
    )
    return wrap_judge(Reads(), declaration)


def test_models_of_ones_own_draw_and_say_what_is_missing():
    from l2l_widgets.models.zoo import Models, ZooError

    models = with_judges(Models.from_parts(OpenWorld()), [own_judge(), own_judge()])
    assert models.table.names == ("smile", "age")
    assert models.has("attribute_judge")
    picture = models.generator.synthesis(models.generator.mapping(torch.zeros(1, 36)))
    assert models.regressor(picture).shape == (1, 2)
    assert len(models.hashes["generator"]) == 64
    with pytest.raises(ZooError, match="part 'embedder' is missing"):
        _ = models.embedder
    three = with_judges(models, [own_judge()] * 3)
    assert three.attribute_judge_b(picture).shape == (1, 2)
    with pytest.raises(JudgeError, match="too many; allowed: 3"):
        with_judges(models, [own_judge()] * 4)


def test_columns_are_numbers_and_outputs_have_an_axis_or_none():
    def declared(entry):
        return Declaration("attributes", size=8, range=(-1, 1), attributes={"age": entry})

    one = torch.full((1, 3, 8, 8), 0.5)
    scaled = {"column": 0, "low": 0, "high": 2}
    for entry in (Column(0), 0, Column(0, 0, 2), scaled):
        judge = wrap_judge(lambda x: x[:, 0, 0, 0], declared(entry))
        assert judge(one).tolist() == [[0.25 if judge.declaration.attributes["age"].high else 0.5]]
    for entry in ("0", True, {"row": 1}):
        with pytest.raises(JudgeError, match=r"attributes.age is .*; allowed: a column number"):
            declared(entry)
    with pytest.raises(JudgeError, match="attributes is 3; allowed: name -> column"):
        Declaration("attributes", size=8, attributes=3)
    for out in (torch.ones(()), torch.ones(3)):
        with pytest.raises(JudgeError, match="allowed: a row a picture"):
            wrap_judge(lambda x, out=out: out, declared(0))
    with pytest.raises(JudgeError, match="one number a picture; allowed: more for kind 'identity'"):
        wrap_judge(lambda x: x[:, 0, 0, 0], Declaration("identity", size=8))


def test_two_judges_must_read_the_same():
    other = wrap_judge(Reads(), Declaration("attributes", size=8, attributes={"smile": Column(0)}))
    from l2l_widgets.models.zoo import Models

    with pytest.raises(JudgeError, match="it lacks 'age'"):
        with_judges(Models.from_parts(OpenWorld()), [own_judge(), other])
    with pytest.raises(JudgeError, match="it lacks 'age'"):
        with_judges(Models.from_parts(OpenWorld()), [own_judge(), own_judge(), other])


class Adds:
    name, space, can_preserve = "adds", "w+", False
    attributes = ("smile", "age")

    def __init__(self, table):
        self.table = table

    def edit(self, w, request):
        step = torch.zeros_like(w)
        step[..., :2] = request.deltas(self.table)[:, None]
        return w + step


def test_a_session_edits_with_judges_of_ones_own():
    from l2l_widgets.models.zoo import Models

    models = with_judges(Models.from_parts(OpenWorld()), [own_judge()])
    table = models.table
    parts = {"regressor": models.regressor, "editors": {"adds": Adds(table)}, "table": table}
    session = EditSession(Models.from_parts(models.generator, **parts), method="adds")
    session.set_changes({"smile": 0.25})
    receipt = session.measure()
    assert receipt is not None
    assert receipt.error is None
    assert receipt.achieved["smile"] == pytest.approx(0.125, abs=0.01)  # [-1, 1] is twice [0, 1]
    # the network wants 8 x 8 pixels: enlarging the picture blends the neighbour in
    assert 0 < receipt.others["age"] < receipt.achieved["smile"]
    session.close()


def test_the_command_lists_and_checks(attributes, capsys):
    assert main(["judges", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(listed) == set(list_declarations())
    assert main(["judges"]) == 0
    lines = capsys.readouterr().out.splitlines()[: len(listed)]
    columns = {line.index(d["about"]) for line, d in zip(lines, listed.values(), strict=True)}
    assert len(columns) == 1, "every column holds its longest word"
    assert main(["judges", str(attributes), "--json"]) == 0
    checked = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert checked["attributes"] == ["smile", "age", "brightness"]
    assert main(["judges", str(attributes)]) == 0
    assert "reads 3 attributes" in capsys.readouterr().out
    assert main(["judges", "arcface"]) == 2
    error = capsys.readouterr().err
    assert "is not there; allowed: arcface=FILE" in error
    assert "InsightFace" in error
