"""Pictures from outside: which formats are opened at all."""

from __future__ import annotations

import subprocess

import pytest
from PIL import EpsImagePlugin

from l2l_widgets.images import load_image, readable_formats
from l2l_widgets.masks import MaskError, read_mask
from l2l_widgets.photos import read_photo
from l2l_widgets.photos.reading import PhotoError

PROGRAM = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 64 64
%%EndComments
(canary) (w) file closefile
showpage
%%EOF
"""


@pytest.fixture
def ghostscript(monkeypatch):
    """A machine with Ghostscript, which notes that it was called."""
    called = []

    def run(*words, **_):
        called.append(words)
        raise OSError("called")

    monkeypatch.setattr(EpsImagePlugin, "gs_binary", "gs")
    monkeypatch.setattr(subprocess, "check_call", run)
    return called


@pytest.mark.parametrize("name", ["me.eps", "me.png", "me.jpg"])
def test_postscript_is_no_picture_whatever_it_is_called(tmp_path, ghostscript, name):
    path = tmp_path / name
    path.write_bytes(PROGRAM)
    for read, error in (
        (lambda: read_photo(path), PhotoError),
        (lambda: load_image(path, 64), ValueError),
        (lambda: read_mask(path, 64), MaskError),
    ):
        with pytest.raises(error):
            read()
    assert ghostscript == []
    assert not {"EPS", "WMF", "PDF"} & set(readable_formats())
    assert {"JPEG", "PNG", "GIF"} <= set(readable_formats())


def test_a_photo_that_is_read_beside_another_leaves_pillows_bound(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    from PIL import Image

    kept = Image.MAX_IMAGE_PIXELS
    Image.new("RGB", (64, 64), "grey").save(tmp_path / "a.png")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: read_photo(tmp_path / "a.png"), range(64)))
    assert kept is not None
    assert kept == Image.MAX_IMAGE_PIXELS
