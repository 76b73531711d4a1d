"""The one writer and the one reader of films: what browsers play, what a head is judged by."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import l2l_widgets
from l2l_widgets import films
from l2l_widgets.films import Film, FilmError, FilmWriter, check_film_name, picture_files


def frames(count=4, size=(48, 33)):
    colours = np.random.default_rng(0).integers(0, 255, (count, 3))
    return [Image.new("RGB", size, tuple(int(c) for c in colour)) for colour in colours]


@pytest.mark.parametrize(("name", "size"), [("a.mp4", (96, 66)), ("a.gif", (96, 66))])
def test_what_is_written_is_read_again(tmp_path, name, size):
    with FilmWriter(tmp_path / "new" / name, 10, "a likeness", scale=2) as writer:
        for frame in frames():
            writer.write(frame)
    film = Film(tmp_path / "new" / name)
    assert (film.size, film.total, film.fps) == (size, 4, pytest.approx(10))
    for shown, frame in zip(film, frames(), strict=True):
        away = np.abs(np.asarray(shown, float).mean((0, 1)) - np.asarray(frame, float).mean((0, 1)))
        assert away.max() < 6
    assert film.broken == ""
    assert [p.name for p in (tmp_path / "new").iterdir()] == [name]
    assert len(list(Film(tmp_path / "new" / name, limit=2))) == 2


def test_a_film_is_h264_with_even_sides_and_its_comment(tmp_path):
    import av

    with FilmWriter(tmp_path / "a.mp4", 12, "what was done") as writer:
        for frame in frames():
            writer.write(frame)
    with av.open(str(tmp_path / "a.mp4")) as film:
        stream = film.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height) == (48, 32)
        assert film.metadata["comment"] == "what was done"


def test_nothing_is_written_without_a_frame_and_what_came_is_kept(tmp_path):
    for name in ("a.mp4", "a.gif"):
        with FilmWriter(tmp_path / name, 12):
            pass
    assert list(tmp_path.iterdir()) == []
    with contextlib.suppress(KeyboardInterrupt), FilmWriter(tmp_path / "b.mp4", 12) as writer:
        writer.write(frames()[0])
        raise KeyboardInterrupt
    assert [p.name for p in tmp_path.iterdir()] == ["b.mp4"]
    assert len(list(Film(tmp_path / "b.mp4"))) == 1


def test_a_name_is_refused_before_anything_is_drawn(tmp_path, monkeypatch):
    with pytest.raises(FilmError, match=r"--out is 'x\.avi'; allowed: .* ends in \.gif, \.mp4"):
        check_film_name("x.avi", "--out")
    monkeypatch.setattr(films.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FilmError, match=r"an \.mp4 needs PyAV; .*l2l-widgets\[video\]"):
        check_film_name("x.mp4")
    check_film_name("x.gif")


def test_a_failure_leaves_the_film_that_stood_there_and_no_other_file(tmp_path):
    for name in ("a.mp4", "a.gif"):
        with FilmWriter(tmp_path / name, 12) as writer:
            writer.write(frames()[0])
        before = (tmp_path / name).read_bytes()
        with contextlib.suppress(MemoryError), FilmWriter(tmp_path / name, 12) as writer:
            writer.write(frames()[1])
            raise MemoryError
        assert (tmp_path / name).read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.gif", "a.mp4"]


FULL = """
import resource, signal, sys
import numpy as np
from PIL import Image
from l2l_widgets.films import FilmError, FilmWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
noise = np.random.default_rng(0).integers(0, 255, (6, 64, 64, 3), dtype=np.uint8)
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
try:
    with FilmWriter(sys.argv[1], 12) as writer:
        for frame in noise:
            writer.write(Image.fromarray(frame))
except FilmError as error:
    print(error)
"""


def test_a_film_that_the_system_cuts_off_is_no_file_and_the_reason_names_the_one_wanted(tmp_path):
    target = tmp_path / "a.mp4"
    done = subprocess.run(
        [sys.executable, "-c", FULL, target], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == f"out is {str(target)!r}: cannot be written (File too large)"
    assert list(tmp_path.iterdir()) == []


def test_a_film_is_as_readable_as_any_new_file(tmp_path):
    old = os.umask(0o077)
    try:
        with FilmWriter(tmp_path / "a.mp4", 12) as writer:
            writer.write(frames()[0])
    finally:
        os.umask(old)
    assert (tmp_path / "a.mp4").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("fps", [1e-4, 0, 1e6, float("nan")])
def test_a_rate_that_no_film_has_is_refused(tmp_path, fps):
    with pytest.raises(FilmError, match=r"fps is .*; allowed: 0\.001 to 1000"):
        FilmWriter(tmp_path / "a.gif", fps)


def test_an_animation_that_is_cut_short_says_so(tmp_path):
    with FilmWriter(tmp_path / "a.gif", 12) as writer:
        for frame in frames():
            writer.write(frame)
    data, ways = (tmp_path / "a.gif").read_bytes(), set()
    for end in range(1, len(data), 7):
        (tmp_path / "cut.gif").write_bytes(data[:end])
        try:
            film = Film(tmp_path / "cut.gif")
        except FilmError:
            ways.add("refused")
            continue
        shown = len(list(film))
        assert film.broken or shown <= 4
        ways.add("broken" if film.broken else "shown")
    assert "refused" in ways


def test_a_later_frame_of_an_animation_may_not_grow(tmp_path):
    with FilmWriter(tmp_path / "a.gif", 12) as writer:
        for frame in frames(2):
            writer.write(frame)
    data = bytearray((tmp_path / "a.gif").read_bytes())
    with Image.open(tmp_path / "a.gif") as picture:
        box = b"\x2c" + bytes(4) + picture.width.to_bytes(2, "little")
    second = data.index(box, data.index(box) + 1)
    for side in (7_000, 20_000):
        data[second + 5 : second + 9] = side.to_bytes(2, "little") * 2
        (tmp_path / "grows.gif").write_bytes(data)
        film = Film(tmp_path / "grows.gif")
        assert len(list(film)) == 1
        assert "frame 2" in film.broken


def test_the_head_of_an_animation_is_judged_before_a_frame_is_decoded(tmp_path):
    Image.new("P", (8, 8)).save(tmp_path / "a.gif")
    data = bytearray((tmp_path / "a.gif").read_bytes())
    for width in (30_000, 8_000):  # Pillow would refuse the first with an error of its own
        data[6:10] = width.to_bytes(2, "little") * 2
        (tmp_path / "large.gif").write_bytes(data)
        with pytest.raises(FilmError, match=r"large\.gif: its frames claim .* allowed: 40,000,000"):
            Film(tmp_path / "large.gif")


def test_the_head_of_a_clip_is_judged_before_a_frame_is_decoded(tmp_path, monkeypatch):
    with FilmWriter(tmp_path / "a.mp4", 12) as writer:
        writer.write(frames(1, (64, 64))[0])
    monkeypatch.setattr(films, "MAX_PIXELS", 64 * 64)
    assert len(list(Film(tmp_path / "a.mp4"))) == 1
    monkeypatch.setattr(films, "MAX_PIXELS", 64 * 64 - 1)
    with pytest.raises(FilmError, match=r"a\.mp4"):
        Film(tmp_path / "a.mp4")


def test_a_list_of_addresses_is_no_film(tmp_path):
    with FilmWriter(tmp_path / "secret.mp4", 12) as writer:
        writer.write(frames(1)[0])
    (tmp_path / "list.mp4").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.mp4\n#EXT-X-ENDLIST\n"
    )
    with pytest.raises(FilmError, match=r"list\.mp4: not a film that can be read"):
        Film(tmp_path / "list.mp4")
    (tmp_path / "concat.mkv").write_text("ffconcat version 1.0\nfile secret.mp4\n")
    with pytest.raises(FilmError, match=r"concat\.mkv: not a film that can be read"):
        Film(tmp_path / "concat.mkv")


def test_frame_ten_comes_after_frame_nine(tmp_path):
    for name in ("f10.png", "f9.png", "f1.JPG", "note.txt"):
        (tmp_path / name).touch()
    assert [p.name for p in picture_files(tmp_path)] == ["f1.JPG", "f9.png", "f10.png"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(FilmError, match="holds no picture"):
        picture_files(tmp_path / "empty")


def test_nothing_else_in_the_package_reads_or_writes_films():
    package = Path(l2l_widgets.__file__).parent
    does = re.compile(r"import av\b|VideoWriter|VideoCapture|save_all=")
    users = {p.name for p in package.rglob("*.py") if does.search(p.read_text("utf-8"))}
    assert users == {"films.py"}
