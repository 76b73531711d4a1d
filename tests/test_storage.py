"""Files are whole or absent, and a damaged one is one clear error."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from l2l_widgets.storage import (
    InUseError,
    StorageError,
    load_safetensors,
    locked,
    save_safetensors,
    sha256_file,
    write_atomic,
)


def test_write_replaces_the_whole_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "a.bin"
    write_atomic(path, b"first, and longer")
    write_atomic(path, b"second")
    assert path.read_bytes() == b"second"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_failed_write_keeps_the_old_file_and_removes_the_temporary(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    write_atomic(path, b"old")

    def full_disk(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(StorageError, match=r"a\.bin.*No space left"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_an_interrupt_removes_the_temporary(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "a.bin", b"new")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["missing/a.bin", "."])
def test_an_impossible_target_is_named(tmp_path, name):
    with pytest.raises(StorageError, match="cannot write"):
        write_atomic(tmp_path / name, b"x")
    assert os.listdir(tmp_path) == []


def test_tensors_and_metadata_survive(tmp_path):
    path = tmp_path / "w.safetensors"
    shared = torch.arange(6.0).reshape(2, 3)
    tensors = {
        "plain": shared,
        "transposed": shared.t(),
        "half": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
        "scalar": torch.tensor(3),
        "channels_last": torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last),
    }
    save_safetensors(path, tensors, {"config": '{"größe": 7}'})
    loaded, metadata = load_safetensors(path)
    assert metadata == {"config": '{"größe": 7}'}
    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name], tensor)


def test_metadata_may_be_absent(tmp_path):
    save_safetensors(tmp_path / "w.safetensors", {"a": torch.zeros(1)})
    assert load_safetensors(tmp_path / "w.safetensors")[1] == {}


@pytest.mark.parametrize(
    ("tensors", "metadata", "message"),
    [
        ({"a": [1.0]}, {}, r"tensors\['a'\] is a list"),
        ({"a": torch.zeros(1)}, {"step": 3}, r"metadata\['step'\] is a int"),
    ],
)
def test_what_cannot_be_saved_is_named(tmp_path, tensors, metadata, message):
    with pytest.raises(StorageError, match=message):
        save_safetensors(tmp_path / "w.safetensors", tensors, metadata)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("damage", ["empty", "truncated", "header", "foreign", "folder", "missing"])
def test_a_damaged_file_is_one_line_that_names_it(tmp_path, damage):
    path = tmp_path / "w.safetensors"
    save_safetensors(path, {"a": torch.zeros(100)})
    whole = path.read_bytes()
    if damage in ("folder", "missing"):
        path.unlink()
        if damage == "folder":
            path.mkdir()
    else:
        broken = {
            "empty": b"",
            "truncated": whole[:-40],
            "header": whole[:4],
            "foreign": b"\x80\x04\x95 a pickle, for instance" * 20,
        }
        path.write_bytes(broken[damage])
    with pytest.raises(StorageError, match=r"w\.safetensors") as error:
        load_safetensors(path)
    assert len(str(error.value).splitlines()) == 1


def test_sha256(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"abc")
    assert sha256_file(path).startswith("ba7816bf8f01cfea414140de5dae2223b00361a3")
    with pytest.raises(StorageError, match=r"nothing\.bin"):
        sha256_file(tmp_path / "nothing.bin")


#: Says when it has the lock, and holds it until its input ends.
HOLDS = """
import sys
from l2l_widgets.storage import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_is_one_process_s_until_it_ends_however_it_ends(tmp_path):
    path = tmp_path / "lock"
    command = [sys.executable, "-c", HOLDS, str(path)]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "held\n"
    with pytest.raises(InUseError, match=r"lock' is held by another process"), locked(path):
        pass
    other.kill()
    other.communicate()
    assert os.listdir(tmp_path) == ["lock"]  # nobody was left to remove it
    with locked(path), pytest.raises(InUseError), locked(path):
        pass
    assert os.listdir(tmp_path) == []
    with (
        pytest.raises(StorageError, match=r"cannot write '.*missing/lock'"),
        locked(tmp_path / "missing" / "lock"),
    ):
        pass


def test_who_waits_for_a_lock_has_it_next(tmp_path):
    path = tmp_path / "lock"
    command = [sys.executable, "-c", HOLDS, str(path)]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "held\n"
    waits = HOLDS.replace("argv[1])", "argv[1], wait=True)")
    third = subprocess.Popen(
        [sys.executable, "-c", waits, str(path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with pytest.raises(subprocess.TimeoutExpired):
        third.wait(2)
    other.communicate()  # its input ends, and it removes the file that the third has open
    assert third.stdout.readline() == "held\n"
    with pytest.raises(InUseError), locked(path):
        pass
    third.communicate()
    assert (other.returncode, third.returncode) == (0, 0)
    assert os.listdir(tmp_path) == []


FULL = """
import resource, sys
from l2l_widgets.storage import StorageError, write_atomic
write_atomic(sys.argv[1], b"old")
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_atomic(sys.argv[1], b"new" * 1000)
except StorageError as error:
    print(error)
"""


def test_a_file_that_the_system_cuts_off_is_no_file(tmp_path):
    target = tmp_path / "file"
    done = subprocess.run(
        [sys.executable, "-c", FULL, target], capture_output=True, text=True, check=True
    )
    assert f"cannot write {str(target)!r}: File too large" in done.stdout
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_the_same_content_is_the_same_file(tmp_path):
    tensors = {name: torch.arange(3.0) for name in ("b", "a", "long" * 9)}
    metadata = {str(i): "ü" * i for i in range(12)}
    files = []
    for i in range(6):
        save_safetensors(tmp_path / "w.safetensors", tensors, metadata if i % 2 else None)
        files.append((tmp_path / "w.safetensors").read_bytes())
        read, notes = load_safetensors(tmp_path / "w.safetensors")
        assert notes == (metadata if i % 2 else {})
        assert all(torch.equal(read[name], tensor) for name, tensor in tensors.items())
    assert len(set(files)) == 2
