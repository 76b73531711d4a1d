"""Files are whole or absent, and a damaged one is one clear error."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch

from l2l_widgets.storage import (
    InUseError,
    StorageError,
    load_array,
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
    # in our words, not in those of a library that speaks of its own insides
    assert "deserializ" not in str(error.value)
    if damage not in ("folder", "missing"):
        assert "allowed: the whole file, copied or fetched again" in str(error.value)


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


def _head(shape, descr="<f4", rest=b""):
    stream = io.BytesIO()
    head = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, head)
    return stream.getvalue() + rest


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (_head((1 << 40, 1 << 40)), "allowed: at most 100 numbers"),
        (_head((-1, 4), rest=bytes(16)), "allowed: at most 100 numbers"),
        (_head((101,), rest=bytes(404)), "allowed: at most 100 numbers"),
        (_head((100,), rest=bytes(399)), "breaks off: 399 bytes of 400"),
        (_head((1,), "|O", rest=bytes(8)), "holds object; allowed: numbers"),
        (_head((1,), "|V2000000000"), "allowed: numbers"),
        (b"PK\x03\x04 and no more", "no whole array"),
        (b"<html>", "no whole array"),
        (b"", "no whole array"),
    ],
)
def test_an_arrays_head_is_judged_before_it_is_believed(tmp_path, data, says):
    (tmp_path / "a.npy").write_bytes(data)
    with pytest.raises(StorageError, match=says):
        load_array(tmp_path / "a.npy", 100)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", data)
    with pytest.raises(StorageError, match="no whole array" if data[:2] == b"PK" else says):
        load_array(tmp_path / "a.npz", 100)


def test_arrays_come_back_and_packed_ones_are_one_and_not_large(tmp_path):
    wanted = np.arange(12, dtype=">f8").reshape(3, 4)
    for file, array in (("a.npy", wanted), ("f.npy", np.asfortranarray(wanted))):
        np.save(tmp_path / file, array)
        found = load_array(tmp_path / file, 12)
        np.testing.assert_array_equal(found, wanted)
        assert found.dtype.isnative
        assert found.flags.writeable
    np.savez_compressed(tmp_path / "one.npz", a=wanted)
    np.testing.assert_array_equal(load_array(tmp_path / "one.npz", 12), wanted)
    np.savez_compressed(tmp_path / "bomb.npz", a=np.zeros(1 << 20))
    with pytest.raises(StorageError, match="unpacks to 8388"):
        load_array(tmp_path / "bomb.npz", 12)
    np.savez(tmp_path / "two.npz", a=wanted, b=wanted)
    with pytest.raises(StorageError, match=r"holds 2 arrays \(a, b\); allowed: one"):
        load_array(tmp_path / "two.npz", 12)
    with pytest.raises(StorageError, match="no such file"):
        load_array(tmp_path / "none.npy", 12)
