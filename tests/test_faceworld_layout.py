"""``l2l render``: the layout of CelebAMask-HQ, stopped and hindered runs, impossible requests."""

import csv
import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from l2l_widgets.attributes import DEFAULT_TABLE
from l2l_widgets.cli import main
from l2l_widgets.cli.world import Progress
from l2l_widgets.faceworld import FACTORS, render
from l2l_widgets.faceworld.celebamask import (
    CELEBA_NAMES,
    LayoutConfig,
    claim,
    mask_png,
    portraits,
)

SMALL = ("--size", 16, "--seed", 4, "--jobs", 1, "--device", "cpu")
TABLES = {
    "CelebAMask-HQ-attribute-anno.txt", "CelebAMask-HQ-pose-anno.txt",
    "CelebA-HQ-to-CelebA-mapping.txt", "factors.csv", "landmarks.csv",
}  # fmt: skip


def run(capsys, *words):
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def files_of(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("render") / "out"
    words = ("render", 3, "--size", 32, "--seed", 4, "--jobs", 1, "--out", out, "--json")
    assert main([str(word) for word in words]) == 0
    return out


def read_as_maskgan_does(root, index):
    """The official assembly of one label map: parts in this order, later ones over earlier ones."""
    order = (
        "skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear", "mouth",
        "u_lip", "l_lip", "hair", "hat", "ear_r", "neck_l", "neck", "cloth",
    )  # fmt: skip
    labels = np.zeros((512, 512))
    for number, part in enumerate(order, start=1):
        path = root / "CelebAMask-HQ-mask-anno" / str(index // 2000) / f"{index:05d}_{part}.png"
        if path.exists():
            with Image.open(path) as picture:
                pixels = np.asarray(picture)[:, :, 0]  # the official parts have three channels
            labels[pixels != 0] = number
    return labels.astype(np.uint8)


def test_pictures_and_masks_are_what_the_renderer_draws(folder):
    drawn = render(portraits(LayoutConfig(seed=4, size=32), 3), 32)
    for i in range(3):
        with Image.open(folder / "CelebA-HQ-img" / f"{i}.jpg") as picture:
            pixels = np.asarray(picture).astype(float)
        wanted = ((drawn.image[i] + 1) * 127.5).permute(1, 2, 0).numpy()
        assert pixels.shape == (32, 32, 3)
        assert np.abs(pixels - wanted).mean() < 6  # JPEG
        labels = read_as_maskgan_does(folder, i)
        assert np.array_equal(labels, np.kron(drawn.mask[i].numpy(), np.ones((16, 16), np.uint8)))


def test_masks_are_white_in_the_palette_that_other_loaders_read(folder):
    # a widespread face parser reads parts through Pillow's mode P and looks for 225
    with Image.open(folder / "CelebAMask-HQ-mask-anno" / "0" / "00000_skin.png") as picture:
        assert (picture.mode, picture.size) == ("RGB", (512, 512))
        assert set(np.unique(np.asarray(picture))) == {0, 255}
        assert set(np.unique(np.asarray(picture.convert("P")))) == {0, 225}


@pytest.mark.parametrize("side", [16, 64, 512])
def test_a_packed_mask_is_the_mask(side):
    seen = np.random.default_rng(side).random((side, side)) > 0.5
    with Image.open(io.BytesIO(mask_png(seen))) as picture:
        pixels = np.asarray(picture)
    wanted = np.kron(seen, np.ones((512 // side, 512 // side))) * 255
    assert np.array_equal(pixels, np.repeat(wanted[:, :, None], 3, 2))


def test_the_annotations_are_read_as_the_official_ones_are(folder):
    values = portraits(LayoutConfig(seed=4, size=32), 3).attributes()
    lines = (folder / "CelebAMask-HQ-attribute-anno.txt").read_text().splitlines()
    assert (lines[0], len(lines)) == ("3", 5)
    names = lines[1].split()
    assert names == list(CELEBA_NAMES)
    for i, line in enumerate(lines[2:]):
        file, *signs = line.split()
        assert file == f"{i}.jpg"
        assert set(signs) <= {"1", "-1"}
        male = float(values[i, DEFAULT_TABLE.index("gender")]) >= 0.5
        assert (signs[names.index("Male")] == "1") == male
        old = float(values[i, DEFAULT_TABLE.index("age")]) >= 0.5
        assert (signs[names.index("Young")] == "-1") == old
    lines = (folder / "CelebAMask-HQ-pose-anno.txt").read_text().splitlines()
    assert lines[:2] == ["3", "Yaw Pitch Roll"]
    yaw = float(lines[2].split()[1])
    assert yaw == pytest.approx(-45 + 90 * float(values[0, DEFAULT_TABLE.index("yaw")]), abs=1e-3)
    lines = (folder / "CelebA-HQ-to-CelebA-mapping.txt").read_text().splitlines()
    assert lines[0].split() == ["idx", "orig_idx", "orig_file"]
    assert [line.split() for line in lines[1:]] == [
        [str(i), str(i), f"00000{i}.jpg"] for i in range(3)
    ]


def test_the_tables_hold_the_truth(folder):
    factors = portraits(LayoutConfig(seed=4, size=32), 3)
    with open(folder / "factors.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["idx"] for row in rows] == ["0", "1", "2"]
    assert rows[0]["seed"] == "4"
    assert rows[2]["image"] == "2.jpg"
    natural = factors.natural()
    for i, row in enumerate(rows):
        for names, truth in (
            (DEFAULT_TABLE.names, factors.attributes()[i]),
            ([f"latent_{n}" for n in FACTORS], factors.latents[i]),
            ([f"natural_{n}" for n in natural], torch.stack([v[i] for v in natural.values()])),
        ):
            read = torch.tensor([float(row[name]) for name in names])
            torch.testing.assert_close(read, truth, atol=1e-5, rtol=0)
    with open(folder / rows[0]["landmarks"], newline="") as stream:
        points = [[float(x) for x in row[1:]] for row in list(csv.reader(stream))[1:]]
    wanted = render(factors, 32).landmarks.flatten(1)
    torch.testing.assert_close(torch.tensor(points), wanted, atol=2e-3, rtol=0)


def test_a_folder_grows_and_mends(capsys, folder, tmp_path):
    whole = files_of(folder)
    out = tmp_path / "out"
    words = ("render", "--size", 32, "--seed", 4, "--jobs", 1, "--out", out)
    code, text, err = run(capsys, *words, 1, "--json")
    assert code == 0, err
    assert json.loads(text.splitlines()[-1])["rendered"] == 1
    assert "3 portraits, 2 of them new" in run(capsys, *words, 3)[1]
    assert files_of(out) == whole
    # a picture lost, one cut off, a mask emptied by a power cut, a temporary file left by a kill
    pictures, masks = out / "CelebA-HQ-img", out / "CelebAMask-HQ-mask-anno" / "0"
    (pictures / "0.jpg").unlink()
    (pictures / "1.jpg").write_bytes((pictures / "1.jpg").read_bytes()[:-200])
    (masks / "00002_skin.png").write_bytes(b"")
    (masks / ".00002_nose.png.abcd.tmp").write_bytes(b"half")
    assert "3 of them new" in run(capsys, *words, 3)[1]
    assert files_of(out) == whole
    assert "0 of them new" in run(capsys, *words, 1)[1]
    assert files_of(out) == whole


@pytest.mark.slow
def test_a_killed_run_leaves_only_whole_pictures_and_goes_on(capsys, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "l2l_widgets", "render", "400", *map(str, SMALL), "--out", out]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    pictures = out / "CelebA-HQ-img"
    deadline = time.monotonic() + 400
    while time.monotonic() < deadline and process.poll() is None:
        if pictures.is_dir() and sum(1 for _ in pictures.glob("*.jpg")) >= 5:
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    there = sorted(pictures.glob("*.jpg"))
    assert len(there) >= 5
    for path in there:
        with Image.open(path) as picture:
            picture.load()
        assert (out / "CelebAMask-HQ-mask-anno" / "0" / f"{int(path.stem):05d}_skin.png").exists()
    for path in out.rglob("*.png"):
        if not path.name.endswith(".tmp"):
            with Image.open(path) as picture:
                picture.load()
    count = max(int(path.stem) for path in there) + 3
    code, text, _ = run(capsys, "render", count, *SMALL, "--out", out)
    assert code == 0
    assert f"{count} portraits, {count - len(there)} of them new" in text
    assert not list(out.rglob("*.tmp"))
    fresh = tmp_path / "fresh"
    assert run(capsys, "render", count, *SMALL, "--out", fresh)[0] == 0
    assert files_of(out) == files_of(fresh)


@pytest.mark.slow
def test_two_processes_write_what_one_writes(capsys, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    assert run(capsys, "render", 6, *SMALL, "--out", one)[0] == 0
    code, text, err = run(capsys, "render", 6, *SMALL, "--jobs", 2, "--out", two, "--json")
    assert code == 0, err
    assert json.loads(text.splitlines()[-1])["rendered"] == 6
    assert files_of(one) == files_of(two)


@pytest.mark.slow
def test_the_trouble_of_another_process_is_one_line(capsys, tmp_path):
    (tmp_path / "out" / "CelebA-HQ-img" / "1.jpg").mkdir(parents=True)
    (tmp_path / "out" / "render.json").write_text(json.dumps(asdict(LayoutConfig(4, 16))))
    code, out, err = run(capsys, "render", 2, *SMALL, "--jobs", 2, "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert "cannot write" in err
    assert "1.jpg" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["0"], "N is '0'; allowed: a whole number from 1"),
        (["-3"], "N is '-3'; allowed: a whole number from 1"),
        (["many"], "N is 'many'"),
        (["1.5"], "N is '1.5'"),
        (["9" * 400], "N is '999"),
        (["2", "--size", "100"], "--size is '100'; allowed: a power of two from 16 to 1024"),
        (["2", "--size", "2048"], "--size is '2048'; allowed: a whole number from 16 to 1024"),
        (["2", "--size", "0"], "--size is '0'"),
        (["2", "--size", "-128"], "--size is '-128'"),
        (["2", "--size", "big"], "--size is 'big'"),
        (["2", "--seed", "-1"], "--seed is '-1'"),
        (["2", "--jobs", "0"], "--jobs is '0'"),
        (["2", "--device", "toaster"], "--device is 'toaster'; allowed: cpu, or cuda"),
    ],
)
def test_an_impossible_set_is_refused_and_nothing_is_written(capsys, tmp_path, words, message):
    code, out, err = run(capsys, "render", *words, "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert os.listdir(tmp_path) == []


def test_a_folder_of_another_kind_is_refused(capsys, folder, tmp_path):
    before = files_of(folder)
    for other in (("--seed", 5), ("--seed", 4, "--size", 16), ("--seed", 4, "--independent")):
        words = ("render", 1, "--size", 32, *other, "--out", folder)
        code, _, err = run(capsys, *words)
        assert code == 2
        assert "holds portraits with seed=4" in err
        assert err.count("\n") == 1
        assert files_of(folder) == before
    earlier = tmp_path / "earlier"
    earlier.mkdir()
    (earlier / "render.json").write_text('{"seed": 4, "size": 32, "correlated": true}')
    code, _, err = run(capsys, "render", 1, "--size", 32, "--seed", 4, "--out", earlier)
    assert code == 2
    assert "world=1" in err
    shutil.rmtree(earlier)
    (tmp_path / "diary.txt").write_text("dear diary")
    code, _, err = run(capsys, "render", 1, "--size", 32, "--out", tmp_path)
    assert code == 2
    assert "holds other files" in err
    assert os.listdir(tmp_path) == ["diary.txt"]
    (tmp_path / "render.json").write_text("{")
    code, _, err = run(capsys, "render", 1, "--size", 32, "--out", tmp_path)
    assert code == 2
    assert "damaged" in err


def test_a_folder_that_cannot_be_written_is_refused_in_one_line(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        code, out, err = run(capsys, "render", 1, *SMALL, "--out", place)
        assert (code, out) == (2, "")
        assert str(tmp_path / "file") in err
        assert err.count("\n") == 1


def test_a_folder_without_permission_is_refused_in_one_line(capsys, tmp_path, monkeypatch):
    def forbidden(path, *args, **kwargs):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    # by a stand-in: a superuser, as in a container, may write anywhere
    monkeypatch.setattr(Path, "mkdir", forbidden)
    code, out, err = run(capsys, "render", 1, *SMALL, "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert f"cannot write into {tmp_path / 'out'}: Permission denied" in err
    assert err.count("\n") == 1


def test_a_disk_without_room_is_seen_before_the_first_picture(capsys, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=70_000_000))
    code, out, err = run(capsys, "render", 30_000, *SMALL, "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert "30000 portraits of 16 pixels need" in err
    assert "70 MB free; make room or ask for fewer" in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_ends_the_run_cleanly(capsys, tmp_path, monkeypatch):
    out, left = tmp_path / "out", [20]
    write_bytes = Path.write_bytes

    def until_full(path, data):
        left[0] -= 1
        if left[0] < 0:
            write_bytes(path, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write_bytes(path, data)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", until_full)
        code, text, err = run(capsys, "render", 8, *SMALL, "--out", out)
    assert (code, text) == (2, "")
    assert "No space left on device; what is there is whole" in err
    assert err.count("\n") == 1
    assert not list(out.rglob("*.tmp"))
    for path in [*out.rglob("*.png"), *out.rglob("*.jpg")]:
        with Image.open(path) as picture:
            picture.load()
    assert run(capsys, "render", 8, *SMALL, "--out", out)[0] == 0
    assert len(list(out.rglob("*.jpg"))) == 8
    assert set(os.listdir(out)) >= TABLES


def test_two_runs_in_one_folder_are_refused(capsys, tmp_path):
    with claim(tmp_path / "out", LayoutConfig(seed=4, size=16)):
        code, _, err = run(capsys, "render", 1, *SMALL, "--out", tmp_path / "out")
    assert code == 2
    assert "is being written by another run" in err


#: Claims one new folder after another, each at the moment when another process does, and lets go of
#: it only when the other has tried too.
CLAIMS = """
import sys, time
from pathlib import Path
from l2l_widgets.faceworld.celebamask import LayoutConfig, claim

root, me, other = Path(sys.argv[1]), *sys.argv[2:]

def meet(what):
    (root / f"{what}-{me}").touch()
    while not (root / f"{what}-{other}").exists():
        time.sleep(0.001)

for k in range(20):
    meet(f"ready-{k}")
    try:
        with claim(root / str(k), LayoutConfig(seed=4, size=16)):
            meet(f"tried-{k}")
        print("won", flush=True)
    except ValueError as error:
        meet(f"tried-{k}")
        print(error, flush=True)
"""


@pytest.mark.slow
def test_of_two_processes_that_claim_a_new_folder_at_once_one_has_it(tmp_path):
    both = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIMS, str(tmp_path), *names],
            stdout=subprocess.PIPE, text=True,
        )
        for names in (("a", "b"), ("b", "a"))
    ]  # fmt: skip
    try:
        said = [process.communicate(timeout=600)[0].splitlines() for process in both]
    finally:
        for process in both:
            process.kill()
    assert [len(lines) for lines in said] == [20, 20]
    for k, pair in enumerate(zip(*said, strict=True)):
        told = f"{tmp_path / str(k)} is being written by another run; wait for its end"
        assert sorted(pair) == sorted(["won", told])
        assert os.listdir(tmp_path / str(k)) == ["render.json"]


@pytest.mark.slow
def test_of_two_renders_started_at_once_one_draws_and_one_is_told(tmp_path):
    out = tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "l2l_widgets",
        "render",
        "10000",  # the one that draws must not be done before the other is told
        *map(str, SMALL),
        "--out",
        out,
    ]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        deadline = time.monotonic() + 400
        while all(process.poll() is None for process in both) and time.monotonic() < deadline:
            time.sleep(0.05)
        told = next(process for process in both if process.poll() is not None)
        _, error = told.communicate()
        assert told.returncode == 2
        assert error.splitlines()[-1].endswith("is being written by another run; wait for its end")
        (other,) = (process for process in both if process is not told)
        assert other.poll() is None
    finally:
        for process in both:
            process.kill()
            process.communicate()


def test_what_a_kill_left_at_the_very_beginning_is_no_other_file(capsys, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / ".lock").write_bytes(b"")
    (out / ".render.json.12ab34cd.tmp").write_bytes(b"{")
    assert run(capsys, "render", 1, *SMALL, "--out", out)[0] == 0
    assert not (out / ".lock").exists()


def test_independent_factors_are_another_set():
    independent = portraits(LayoutConfig(seed=4, correlated=False), 3)
    assert not torch.equal(independent.latents, portraits(LayoutConfig(seed=4), 3).latents)
    many = portraits(LayoutConfig(seed=4), 70)
    assert torch.equal(many.latents[:3], portraits(LayoutConfig(seed=4), 3).latents)
    assert not torch.equal(many.latents[:3], portraits(LayoutConfig(seed=5), 3).latents)


def test_the_rate_is_of_what_was_drawn_lately():
    now = [0.0]
    line = Progress(1000, io.StringIO(), clock=lambda: now[0])
    line(100)  # there before
    now[0] = 200.0  # the compiler
    line(110)
    for k in range(1, 11):
        now[0] = 200.0 + k
        line(110 + 20 * k)
    assert line.rate == pytest.approx(20.0)
    now[0] = 241.0
    line(340)
    text = line.stream.getvalue().splitlines()[-1]
    assert text.startswith("340 of 1000 portraits, ")
    assert line.rate < 20.0
    assert "left" in text
