"""What a file says of its size is judged before room is taken for it, wherever files come in."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from l2l_widgets import images, masks
from l2l_widgets.editors.ganspace import load_components
from l2l_widgets.images import load_image
from l2l_widgets.maskgan.part_files import DatasetError, read_part
from l2l_widgets.masks import COLOURS, MaskError, read_mask
from l2l_widgets.painting import recipe as paint_recipe
from l2l_widgets.storage import StorageError, load_array


def claiming(width, height):
    """A PNG whose head claims a size, and that holds hardly any pixels."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(bytes(64))), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_a_mask_is_refused_by_its_head(tmp_path):
    data = claiming(9000, 9000)
    with pytest.raises(MaskError, match="mask claims 9000 x 9000 pixels; allowed: 16,777,216"):
        read_mask(data)
    (tmp_path / "part.png").write_bytes(data)
    with pytest.raises(DatasetError, match="claims 9000 x 9000 pixels"):
        read_part(tmp_path / "part.png")


@pytest.mark.parametrize("module", [masks, images])
def test_a_file_of_too_many_bytes_is_not_read(tmp_path, monkeypatch, module):
    Image.new("L", (64, 64)).save(tmp_path / "m.png")
    assert read_mask(tmp_path / "m.png").shape == (64, 64)
    monkeypatch.setattr(module, "MAX_FILE", 20)
    monkeypatch.setattr(Image, "open", None)  # nobody gets as far as this
    read = read_mask if module is masks else lambda path: load_image(path, 8)
    with pytest.raises(ValueError, match=r"m\.png.* has 0 MiB; allowed: 0"):
        read(tmp_path / "m.png")


def test_a_recipe_of_too_many_bytes_is_not_read(tmp_path, monkeypatch):
    (tmp_path / "r.json").write_text("{}" + " " * 100)
    assert paint_recipe.read_paint_recipe(tmp_path / "r.json") == {}
    monkeypatch.setattr(paint_recipe, "MAX_FILE", 50)
    with pytest.raises(paint_recipe.PaintError, match="too large for a recipe"):
        paint_recipe.read_paint_recipe(tmp_path / "r.json")


def test_colours_are_told_apart_as_before():
    indices = np.arange(19 * 4, dtype=np.uint8).reshape(4, 19) % 19
    stream = io.BytesIO()
    Image.fromarray(np.array(COLOURS, np.uint8)[indices]).save(stream, "PNG")
    assert torch.equal(read_mask(stream.getvalue(), order="official"), torch.from_numpy(indices))


def npz(path, **claims):
    """An archive of arrays that claim shapes, with sixteen bytes behind each."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, shape in claims.items():
            stream = io.BytesIO()
            head = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(stream, head)
            archive.writestr(f"{name}.npy", stream.getvalue() + bytes(16))


def test_published_components_that_claim_too_much_are_refused(tmp_path):
    path = tmp_path / "c.npz"
    npz(path, lat_comp=(1 << 20, 1 << 20), lat_stdev=(4,), lat_mean=(4,))
    with pytest.raises(ValueError, match=r"c\.npz: no components .*has shape \(1048576, 1048576\)"):
        load_components(path)
    npz(path, lat_comp=(1000, 1, 4), lat_stdev=(4,), lat_mean=(4,))
    with pytest.raises(ValueError, match="breaks off: 16 bytes of 16000"):
        load_components(path)
    view = torch.zeros(1).expand(1 << 14, 1 << 14)
    torch.save({"comp": view, "mean": torch.zeros(1, 4), "std": torch.ones(1)}, tmp_path / "c.pt")
    with pytest.raises(ValueError, match=r"a tensor of 268435456 numbers .* a storage of 1"):
        load_components(tmp_path / "c.pt")


def test_one_array_of_several_is_read_by_its_name(tmp_path):
    np.savez(tmp_path / "a.npz", one=np.arange(4.0), two=np.ones((2, 2)))
    assert load_array(tmp_path / "a.npz", 100, "one").tolist() == [0, 1, 2, 3]
    with pytest.raises(StorageError, match="holds no array 'three'"):
        load_array(tmp_path / "a.npz", 100, "three")
    with pytest.raises(StorageError, match="holds 2 arrays"):
        load_array(tmp_path / "a.npz", 100)
