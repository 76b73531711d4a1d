"""Pictures from outside: which formats are opened at all."""

from __future__ import annotations

import io
import struct
import subprocess
import zlib

import pytest
from PIL import EpsImagePlugin, Image

from l2l_widgets.images import load_image, readable_formats
from l2l_widgets.masks import MaskError, read_mask
from l2l_widgets.photos import read_photo
from l2l_widgets.photos.reading import PhotoError
from l2l_widgets.widgets.words import Words

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


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def damaged(kind):
    """A PNG that claims a huge side, one whose text unpacks to 8 MB, or the first half of one."""
    stream = io.BytesIO()
    Image.effect_noise((64, 64), 80).save(stream, format="PNG")
    whole = stream.getvalue()
    text = chunk(b"zTXt", b"recipe\0\0" + zlib.compress(b"a" * 8_000_000))
    claim = whole[16:24] if kind != "claim" else struct.pack(">II", 60_000, 60_000)
    head = whole[:8] + chunk(b"IHDR", claim + whole[24:29])
    rest = {"text": text + whole[33:], "half": whole[33:700], "claim": whole[33:]}[kind]
    return head + rest


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("claim", "claims too many pixels; allowed:"),
        ("text", "the text in it unpacks to too much"),
        ("half", "it is damaged or cut off"),
    ],
)
@pytest.mark.parametrize("read", [lambda d: load_image(d, 32), read_mask], ids=["face", "mask"])
def test_a_damaged_picture_is_refused_in_our_words_and_in_the_readers_language(read, kind, reason):
    with pytest.raises(ValueError, match=reason) as caught:
        read(damaged(kind))
    line = str(caught.value)
    assert not any(word in line for word in ("PngImagePlugin", "DOS", "processed"))
    german = Words.of("de").said(line)
    assert not any(word in german for word in ("claims", "unpacks", "damaged"))
