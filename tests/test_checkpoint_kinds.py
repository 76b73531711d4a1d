"""Files that are no supported generator: each is named, with what is supported."""

from __future__ import annotations

import json
import pickle
import zipfile

import numpy as np
import pytest
import torch

from l2l_widgets.checkpoints import CheckpointError, open_checkpoint
from l2l_widgets.storage import save_safetensors
from l2l_widgets.stylegan2 import save_generator
from tests import checkpoint_files as files

LFS = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:a205a346e86a9ddaae702e118097d014b7b8bd719491396a162cca438f2f524c\nsize 381673535\n"
)


def named(path, data, *words):
    path.write_bytes(data)
    with pytest.raises(CheckpointError) as caught, open_checkpoint(path) as opened:
        opened.generator()
    message = str(caught.value)
    assert path.name in message
    assert "supported" in message
    for word in words:
        assert word in message, message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (LFS, "Git LFS pointer"),
        (b"<!DOCTYPE html>\n<html><title>Google Drive - Quota exceeded</title>", "a web page"),
        (b"\n  <html lang='en'><head>Sign in</head></html>", "a web page"),
        (b"\xef\xbb\xbf<script>location='/login'</script><html>", "a web page"),
        (b"<body class='gone'>Moved</body>", "a web page"),
        (b'{"error": "not found"}', "a server's error"),
        (b'[{"error":"x"}]', "a server's error"),
        (b"\x93NUMPY\x01\x00" + bytes(60), "'l2l direction' reads those"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "a server's error"),
        (b"Not Found: the file that you asked for is gone.\n", "is text"),
        (b"", "is empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(60), "a picture"),
        (b"\xff\xd8\xff\xe0" + bytes(60), "a picture"),
        (b"\x89HDF\r\n\x1a\n" + bytes(60), "HDF5"),
        (b"\x1f\x8b\x08" + bytes(60), "gzip"),
        (b"Rar!\x1a\x07" + bytes(60), "RAR"),
        (bytes(4096), "no checkpoint"),
        (pickle.dumps({"boundary": [1.0, 2.0], "intercept": 0.5}), "'boundary', 'intercept'"),
        (pickle.dumps(list(range(50))), "a pickle of a list"),
    ],
)
def test_what_is_no_checkpoint_at_all(tmp_path, data, word):
    named(tmp_path / "ffhq.pkl", data, word)


def stylegan3():
    def change(root):
        synthesis = root.state["_modules"]["synthesis"]
        layer = synthesis.state["_modules"]["b4"]
        synthesis.state["_modules"] = {"input": layer, "L0_36_512": layer, "L1_36_512": layer}

    return change


def changed(change, keys=("G_ema",)):
    with files.fake_modules():
        root = files.persistent(files.make_generator(), {})
        change(root)
        return pickle.dumps({**dict.fromkeys(keys, root), "D": files.discriminator()}, protocol=3)


def test_relatives_of_stylegan2_are_named(tmp_path):
    path = tmp_path / "g.pkl"
    named(path, changed(stylegan3()), "it is a StyleGAN3 generator")
    tf, generator = files.tensorflow_bytes, files.make_generator()
    style = {"4x4/Const/StyleMod/weight": np.zeros((12, 16), np.float32)}
    named(path, tf(generator, function="G_style", extra=style), "it is a StyleGAN1 generator")
    named(path, tf(generator, function="G_paper"), "it is a ProGAN generator")
    grows = {"ToRGB_lod0/weight": np.zeros((1, 1, 8, 3), np.float32)}
    named(path, tf(generator, extra=grows), "one that grows")
    named(path, tf(generator, version=3), "of version 3")
    state = {f"progression.{i}.conv.weight": torch.ones(3) for i in range(9)}
    named(path, files.torch_bytes({"g_running": state}), "a StyleGAN1 of rosinality's")
    state = {"synthesis.input.weight": torch.ones(3), "synthesis.L0_36_512.bias": torch.ones(3)}
    more = {f"mapping.fc{i}.weight": torch.ones(3, 3) for i in range(4)}
    named(path, files.torch_bytes({**state, **more}), "StyleGAN3")
    named(path, files.torch_bytes({"state_dict": more, "opts": {}}), "as encoders")


def test_other_networks_of_torch_are_named(tmp_path):
    path = tmp_path / "g.pt"
    ones = torch.ones(3, 3)
    styles = {f"g_synthesis.blocks.{n}.epi1.style_mod.lin.weight": ones for n in range(9)}
    named(path, files.torch_bytes(styles), "it is a StyleGAN1 generator")
    layers = {f"synthesis.layer{n}.weight": ones for n in range(9)}
    named(path, files.torch_bytes({"generator_smooth": layers}), "as genforce's code")
    named(path, files.torch_bytes({"models": {"generator": layers}}), "as genforce's code")
    other = {f"decoder.{n}.weight": ones for n in range(9)}
    named(path, files.torch_bytes(other), "of another network ('decoder.0.weight'")
    named(path, files.torch_bytes(ones), "it holds one tensor", "'l2l direction'")
    with zipfile.ZipFile(path, "w") as archive:  # torch.jit.save packs its code, and nothing else
        archive.writestr("g/code/__torch__.py", "class G: ...\n" * 9, zipfile.ZIP_DEFLATED)
        archive.writestr("g/data.pkl", pickle.dumps({}))
    named(path, path.read_bytes(), "is a TorchScript module, a program")


def test_a_packed_file_is_to_be_unpacked(tmp_path):
    path = tmp_path / "ffhq.zip"
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(path, "w", method) as archive:
            archive.writestr("ffhq.pkl", files.nvlabs_bytes(files.make_generator()))
        with pytest.raises(CheckpointError, match=r"ffhq\.pkl.*npack it first"):
            open_checkpoint(path)


def test_a_discriminator_without_a_generator(tmp_path):
    path = tmp_path / "d.pkl"
    with files.fake_modules():
        data = pickle.dumps({"D": files.discriminator(), "training_set_kwargs": None}, protocol=3)
    named(path, data, "it holds D and no generator", "'G_ema'")
    state = {f"convs.{i}.0.weight": torch.ones(3) for i in range(9)}
    named(path, files.torch_bytes({"d": state}), "it holds a discriminator ('d') and no generator")
    with files.fake_modules():
        lone = files.Network()
        lone.__dict__.update(name="D", version=4, static_kwargs={}, components={}, variables=[])
        data = pickle.dumps((lone,), protocol=4)
    named(path, data, "it holds D and no generator")


def test_variants_that_would_draw_something_else_are_refused(tmp_path):
    """Silently wrong pictures are worse than none."""

    def state_of(root, *path):
        for name in path:
            root = root.state["_modules"][name]
        return root.state

    def architecture(root):
        state_of(root, "synthesis", "b8")["architecture"] = "resnet"

    def clamp(root):
        state_of(root, "synthesis", "b8", "conv1")["conv_clamp"] = 7.0

    def relu(root):
        state_of(root, "mapping", "fc0")["activation"] = "relu"

    def low_pass(root):
        buffers = state_of(root, "synthesis", "b8", "conv0")["_buffers"]
        buffers["resample_filter"] = torch.ones(4, 4) / 16

    def missing(root):
        del state_of(root, "synthesis", "b16", "conv0")["_parameters"]["weight"]

    def more(root):
        state_of(root, "synthesis", "b16")["_parameters"]["extra"] = torch.ones(3)

    def shape(root):
        state_of(root, "synthesis", "b16", "conv0")["_parameters"]["bias"] = torch.ones(9)

    for change, words in [
        (architecture, ("architecture is 'resnet'",)),
        (clamp, ("conv_clamp differs",)),
        (relu, ("activation is 'relu'",)),
        (low_pass, ("low-pass filter is not",)),
        (missing, ("synthesis.b16.conv0.weight",)),
        (more, ("synthesis.b16.extra",)),
        (shape, ("synthesis.b16.conv0.bias", "(9,)")),
    ]:
        path = tmp_path / "g.pkl"
        path.write_bytes(changed(change))
        with pytest.raises(CheckpointError) as caught, open_checkpoint(path) as opened:
            opened.generator()
        assert all(word in str(caught.value) for word in words), str(caught.value)


def test_safetensors_that_are_not_ours_or_lie(tmp_path):
    path = tmp_path / "x.safetensors"
    save_safetensors(path, {"weight": torch.ones(3)})
    named(path, path.read_bytes(), "kind None, not a generator of this package")
    save_generator(path, files.make_generator())
    whole = path.read_bytes()
    for old, new in ((r"\"z_dim\": 8", r"\"z_dim\": 9"), (r"tion\": 16", r"tion\": 32")):
        lie = whole.replace(old.encode(), new.encode())
        assert lie != whole
        path.write_bytes(lie)
        with pytest.raises(CheckpointError, match="by its tensors it is"):
            open_checkpoint(path)
    again = "allowed: the whole file, copied or fetched again"
    for cut, said in (
        (whole[:-100], f"bytes, .* are there: truncated; {again}"),
        (whole[:300], f"it ends after 300 bytes, within its header of .*: truncated; {again}"),
        (whole[:10], f"it ends after 10 bytes, within its header of .*: truncated; {again}"),
        (whole[:9], r"no checkpoint \(9 bytes: truncated\?\); supported: StyleGAN2"),
        (whole + b"xx", f"its tensors take .* are there; {again}"),
        (whole[:30] + b"\xff" + whole[31:], f"its header is damaged; {again}"),
        (whole.replace(b'"F32"', b'"F16"', 1), f"header says of the tensors cannot be; {again}"),
    ):
        path.write_bytes(cut)
        with pytest.raises(CheckpointError, match=rf"x\.safetensors'.*{said}"):
            open_checkpoint(path)
    metadata = {"format": "l2l-stylegan2-generator/1", "config": json.dumps([1])}
    save_safetensors(path, {"a": torch.ones(1)}, metadata)
    with pytest.raises(CheckpointError, match="no JSON object"):
        open_checkpoint(path)
