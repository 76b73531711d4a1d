"""Files that want to run something, to take all memory or all time, or are something else.

Every file here is refused with one line, in less than two seconds and within its own size and
200 MB of memory, and no canary is ever touched.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import stat
import struct
import sys
import tarfile
import time
import zipfile

import numpy as np
import pytest
import torch

from l2l_widgets.checkpoints import CheckpointError, open_checkpoint
from tests import checkpoint_files as files
from tests.peak_memory import peak_memory
from tests.refused_files import MEGABYTES, check_refused


def text(value):
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def test_what_a_file_takes_is_seen_after_something_larger():
    """Measured against the process's own record, a bomb after a large test would be invisible."""
    np.ones(2 * MEGABYTES << 17).sum()  # taken and given back
    with peak_memory() as taken:
        np.ones(MEGABYTES << 17).sum()
    seen = MEGABYTES if sys.platform == "linux" else 0  # elsewhere the mark cannot be put back
    assert taken.megabytes == pytest.approx(seen, abs=20)


# -- code that wants to run ------------------------------------------------------------------------


def routes(command):
    """os.system by every instruction that can name, make or call something: leaves one object."""
    word = text(command)
    stacked = text("posix") + text("system") + b"\x93"
    return {
        "GLOBAL, REDUCE": b"cposix\nsystem\n" + word + b"\x85R",
        "STACK_GLOBAL, REDUCE": stacked + word + b"\x85R",
        "INST": b"(" + word + b"iposix\nsystem\n",
        "OBJ": b"(cposix\nsystem\n" + word + b"o",
        "NEWOBJ": b"cposix\nsystem\n" + word + b"\x85\x81",
        "NEWOBJ_EX": b"csubprocess\nPopen\n" + word + b"\x85}" + text("shell") + b"\x88s\x92",
        "BUILD with __setstate__": b"ccollections\nOrderedDict\n)R}"
        + text("__setstate__") + b"cposix\nsystem\nsb" + word + b"b",
        "BUILD with __reduce__": b"cargparse\nNamespace\n)\x81}"
        + text("__reduce__") + stacked + b"s" + word + b"sb",
        "EXT1": b"\x82\x01" + word + b"\x85R",
        "EXT2": b"\x83\x01\x00" + word + b"\x85R",
        "EXT4": b"\x84\x01\x00\x00\x00" + word + b"\x85R",
        "PERSID": b"Pposix.system\n",
        "BINPERSID of a name": b"cposix\nsystem\nQ",
        "eval": b"cbuiltins\neval\n" + text(f"__import__('os').system({command!r})") + b"\x85R",
        "exec": b"c__builtin__\nexec\n" + text(f"import os; os.system({command!r})") + b"\x85R",
        "getattr chain": b"cbuiltins\ngetattr\ncos\nsystem\n" + word + b"\x86R",
        "dots in a name": text("torch") + text("os.system") + b"\x93" + word + b"\x85R",
        "operator": b"coperator\nattrgetter\n" + text("system") + b"\x85R",
        "torch.load again": b"ctorch\nload\n" + word + b"\x85R",
        "torch.hub": b"ctorch.hub\nload\n" + word + b"\x85R",
        "numpy's own loader": b"cnumpy\nload\n" + word + b"\x85R",
        "runpy": b"crunpy\nrun_path\n" + word + b"\x85R",
        "a call of what was returned": b"ccollections\nOrderedDict\n)R" + word + b"\x85R",
        "a name as its own argument": b"ccollections\nOrderedDict\ncposix\nsystem\n\x85R",
        "copyreg": b"ccopyreg\n_reconstructor\ncposix\nsystem\nc__builtin__\nobject\nN\x87R",
    }  # fmt: skip


ROUTES = sorted(routes(""))


def legacy(body):
    """A legacy torch.save file whose object is `body`."""
    parts = [
        pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
    ]
    return b"".join([*parts, b"\x80\x02" + body + b".", pickle.dumps([], 2)])


class Raw:
    """Pickles as a call of an allowed name, with what one likes as arguments."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def nested(content, size=(3,), stride=(1,), offset=0):
    """An official file with one more buffer, whose storage has the given bytes."""
    return with_buffer(storage_tensor(content, size, stride, offset))


def storage_tensor(content, size=(3,), stride=(1,), offset=0):
    storage = Raw(torch.storage._load_from_bytes, content)
    return Raw(torch._utils._rebuild_tensor_v2, storage, offset, size, stride, False, {})


def with_buffer(*tensors, name="evil"):
    """An official file whose mapping network has more buffers."""
    return changed_module(
        lambda root: (
            root.state["_modules"]["mapping"]
            .state["_buffers"]
            .update({f"{name}{i}": tensor for i, tensor in enumerate(tensors)})
        )
    )


def changed_module(change, generator=None):
    with files.fake_modules():
        root = files.persistent(generator or files.make_generator(), {})
        change(root)
        return pickle.dumps({"G_ema": root}, protocol=3)


PLACES = {
    "alone": lambda body: b"\x80\x04" + body + b".",
    "in a dictionary": lambda body: b"\x80\x04}(" + text("G_ema") + body + b"u.",
    "in a storage": lambda body: nested(legacy(body)),
    "in torch.save": legacy,
    "in a zip": lambda body: zip_of({"a/data.pkl": b"\x80\x02" + body + b"."}),
}


def zip_of(parts, method=zipfile.ZIP_STORED):
    import io

    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return stream.getvalue()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("route", ROUTES)
def test_nothing_runs(tmp_path, route, place):
    canary = tmp_path / "canary"
    body = routes(f"touch {canary}")[route]
    check_refused(tmp_path / "evil.pkl", PLACES[place](body))
    assert not canary.exists()


def test_the_canary_sings_where_pickles_are_executed(tmp_path):
    """The files above are dangerous: what reads them as pickles runs their command."""
    canary = tmp_path / "canary"
    command = f"touch {canary}"
    bite = 0
    for route in ROUTES:
        body = PLACES["alone"](routes(command)[route])
        with contextlib.suppress(Exception):
            pickle.loads(body)
        for _ in range(50):
            if canary.exists() or route != "NEWOBJ_EX":
                break
            time.sleep(0.02)  # Popen does not wait
        bite += canary.exists()
        canary.unlink(missing_ok=True)
    assert bite >= 7


def test_source_text_in_a_file_is_not_executed(tmp_path):
    """Every official module carries its source, which the official reader executes."""
    assert "SystemError" in files.SOURCE_TEXT
    for data in (
        files.nvlabs_bytes(files.make_generator()),
        files.tensorflow_bytes(files.make_generator()),
    ):
        path = tmp_path / "g.pkl"
        path.write_bytes(data)
        assert b"raise SystemError" in data
        with open_checkpoint(path) as opened:
            assert opened.generator().z_dim == 8


# -- memory and time -------------------------------------------------------------------------------

DEEP = 150_000
BOMBS = {
    "bytes of 2**62": b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"x",
    "bytearray of 2**40": b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"x",
    "text of 2**63": b"\x80\x04\x8d" + struct.pack("<Q", 2**63) + b"x",
    "bytes of 4 GB": b"\x80\x03B" + struct.pack("<I", 2**32 - 1) + b"x",
    "frame of 2**62": b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"N.",
    "whole number of 2 GB": b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"x",
    "whole number of -1 bytes": b"\x80\x02\x8b" + struct.pack("<i", -1) + b"x",
    "whole number of 1e6 digits": b"(L" + b"9" * 1_000_000 + b"L\n.",
    "line without end": b"(c" + b"a" * 2_000_000,
    "memo index 2**32": b"\x80\x02Nr" + b"\xff" * 4 + b".",
    "memo index of digits": b"(Np" + b"9" * 400 + b"\n.",
    "memo never written": b"\x80\x02h\x07.",
    "deep lists": b"\x80\x02" + b"]" * DEEP + b"a" * (DEEP - 1) + b".",
    "deep tuples": b"\x80\x02)" + b"\x85" * DEEP + b".",
    "deep marks": b"\x80\x02" + b"(" * DEEP + b"t" * (DEEP - 1) + b".",
    "deep records": b"\x80\x02)" + b"ccollections\nOrderedDict\nq\x000" + b"0)"
    + b"0h\x00)R" + b"q\x01h\x00h\x01\x85R" * 40_000 + b".",
    "deep tuple as a key": b"\x80\x02}(" + b")" + b"\x85" * DEEP + b"Nu.",
    "a list that holds itself": b"\x80\x02]q\x00h\x00a.",
    "a dictionary that holds itself": b"\x80\x02}q\x00" + text("G_ema") + b"h\x00s.",
    "a record that holds itself": b"\x80\x02ccollections\nOrderedDict\n)Rq\x00h\x00b.",
    "a billion laughs": b"\x80\x02]" + b"2\x86" * 200 + b".",
    "a million dictionaries": b"\x80\x02(" + b"}" * 1_000_000 + b"t.",
    "a million sets": b"\x80\x04(" + b"\x8f" * 1_000_000 + b"t.",
    "a million memos": b"\x80\x04N" + b"\x94" * 1_000_000 + b".",
    "keys that collide": b"\x80\x02}(" + b"".join(
        b"\x8a\x0a" + (i * (2**61 - 1)).to_bytes(10, "little") + b"N" for i in range(1, 9000)
    ) + b"u.",
    "floats as keys": b"\x80\x02}(G" + struct.pack(">d", 1e300) + b"Nu.",
    "not a number": b"\x80\x02}" + text("G_ema") + b"G\x7f\xf8\0\0\0\0\0\0s.",
    "empty stack": b"\x80\x02RRRR.",
    "pop of nothing": b"\x80\x020000.",
    "no mark": b"\x80\x02te.",
    "two things left": b"\x80\x02NN.",
    "protocol 200": b"\x80\xc8N.............",
    "unknown instruction": b"\x80\x02\xff\xff\xff.............",
    "buffers out of band": b"\x80\x05\x97\x98.............",
    "append to a number": b"\x80\x02K\x01N" + b"a.........",
    "set on a list": b"\x80\x02]NNs..........",
    "build on a list": b"\x80\x02]}b..........",
    "a text that is none": b"\x80\x02X\x02\0\0\0\xff\xfe..........",
    "much text": b"\x80\x02(" + (b"X\x00\x04\0\0" + b"x" * 1024) * 20_000 + b"t.",
}  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_do_not_go_off(tmp_path, bomb):
    # after something harmless, so that none is refused for being short
    check_refused(tmp_path / "bomb.pkl", b"\x80\x02" + b"N0" * 10 + BOMBS[bomb], match="pickle")


def saved(count=8):
    """Bytes of torch.save of a storage, as they lie in official pickles."""
    return torch.arange(count, dtype=torch.float32)._typed_storage().__reduce__()[1][0]


def with_count(data, count):
    """The same with another number of items claimed in front of the numbers."""
    at = len(data) - 4 * 8 - 8
    return data[:at] + struct.pack("<Q", count) + data[at + 8 :]


STORAGES = {
    "size beyond the storage": (saved(), (9,), (1,), 0),
    "offset beyond the storage": (saved(), (3,), (1,), 7),
    "a size of 2**50": (saved(), (2**50,), (1,), 0),
    "a negative size": (saved(), (-3,), (1,), 0),
    "a negative stride": (saved(), (3,), (-1,), 4),
    "a negative offset": (saved(), (3,), (1,), -1),
    "repeating by stride 0": (saved(), (2**20, 2**20), (0, 0), 0),
    "300 dimensions": (saved(), (1,) * 300, (1,) * 300, 0),
    "sides and steps of two lengths": (saved(), (3, 1), (1,), 0),
    "a size that is text": (saved(), ("8",), (1,), 0),
    "a size of True": (saved(), (True,), (1,), 0),
    "a storage of 2**62": (with_count(saved(), 2**62), (3,), (1,), 0),
    "a storage of one too many": (with_count(saved(), 9), (3,), (1,), 0),
    "no torch.save inside": (b"just bytes" * 200, (3,), (1,), 0),
    "a truncated storage": (saved()[:-9], (3,), (1,), 0),
    "an empty storage": (b"", (3,), (1,), 0),
}


@pytest.mark.parametrize("case", STORAGES)
def test_storages_that_lie(tmp_path, case):
    content, size, stride, offset = STORAGES[case]
    check_refused(tmp_path / "g.pkl", nested(content, size, stride, offset))


def test_tensors_that_show_the_same_numbers_again_and_again(tmp_path):
    shared = Raw(torch.storage._load_from_bytes, saved(100_000))
    views = [
        Raw(torch._utils._rebuild_tensor_v2, shared, 0, (100_000,), (1,), False, {})
        for _ in range(400)
    ]
    check_refused(tmp_path / "g.pkl", with_buffer(*views), match="again and again")


def test_a_tensor_that_is_spread_over_the_file(tmp_path):
    data = nested(saved(100_000), (2,), (99_999,))
    check_refused(tmp_path / "g.pkl", data, match="spread over")


def test_one_tensor_under_very_many_names(tmp_path):
    tensor = storage_tensor(saved())
    data = with_buffer(*[tensor] * 90_000)
    check_refused(tmp_path / "g.pkl", data, match="more than 4000 tensors")
    names = {f"convs.{i}.weight": tensor for i in range(90_000)}
    check_refused(tmp_path / "g.pkl", pickle.dumps(names, 2), match="not of a generator")
    parameter = torch.ones(3)
    whole = {"g": {f"convs.{i}.weight": parameter for i in range(20_000)}}
    check_refused(tmp_path / "g.pt", files.torch_bytes(whole), match="more than 4000 tensors")


def test_bytes_as_text_are_paid_for(tmp_path):
    long = "\x80" * 2_000_000
    with files.fake_modules():
        root = files.persistent(files.make_generator(), {})
        for i in range(60):
            content = Raw(__import__("_codecs").encode, long, "latin1")
            root.state["_buffers"][f"b{i}"] = storage_tensor(content)
        data = pickle.dumps({"G_ema": root}, protocol=3)
    assert len(data) < 5e6
    check_refused(tmp_path / "g.pkl", data)


def by_hand(class_name, modules, memo):
    """A module's record, opcode by opcode; its children's dictionary and itself in the memo."""
    record = b"ctorch_utils.persistence\n_reconstruct_persistent_obj\n}(" + text("class_name")
    record += text(class_name) + text("state") + b"}" + text("_modules") + b"}q" + bytes([modules])
    return record + b"su\x85Rq" + bytes([memo])


def test_modules_that_contain_themselves(tmp_path):
    data = b"\x80\x02" + by_hand("Generator", 1, 0) + by_hand("SynthesisNetwork", 2, 3) + b"00"
    data += b"h\x01" + text("synthesis") + b"h\x03s0h\x02" + text("b4") + b"h\x00s0"
    data += b"h\x01" + text("mapping") + b"h\x00s0}" + text("G_ema") + b"h\x00s."
    check_refused(tmp_path / "g.pkl", data, match="contain each other")


def test_arrays_that_lie(tmp_path):
    generator = files.make_generator()
    for variable in (
        np.array([{"a": 1}, None], dtype=object),
        np.array(["text", "more"]),
        np.zeros(3, dtype=">f4"),
        np.zeros(3, dtype=[("a", "f4"), ("b", "i4")]),
        np.zeros(3, dtype="datetime64[s]"),
        "no array at all",
    ):
        data = files.tensorflow_bytes(generator, extra={"4x4/Conv/bias": variable})
        check_refused(tmp_path / "g.pkl", data)


# -- archives and places ---------------------------------------------------------------------------


def zip_with(parts, change=None):
    """A zip file whose directory was changed by `change(data, position)`."""
    data = bytearray(zip_of(parts))
    if change is not None:
        change(data, data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06"))
    return bytes(data)


def put(layout, offset, value, from_end=False):
    def change(data, entry, end):
        struct.pack_into(layout, data, (end if from_end else entry) + offset, value)

    return change


GOOD = {"a/data.pkl": pickle.dumps({"g_ema": {}}, 2)}
ZIPS = {
    "compressed": zip_of({"a/data.pkl": b"\x80\x02" + b"]" * 10**7}, zipfile.ZIP_DEFLATED),
    "a path that climbs": zip_of({**GOOD, "a/../../../etc/cron.d/x": b"x"}),
    "an absolute path": zip_of({**GOOD, "/etc/passwd": b"x"}),
    "a path for Windows": zip_of({**GOOD, "a\\..\\..\\x": b"x"}),
    "a link": zip_with(GOOD, put("<L", 38, (stat.S_IFLNK | 0o777) << 16)),
    "encrypted": zip_with(GOOD, put("<H", 8, 1)),
    "a part of 4 GB": zip_with(GOOD, put("<L", 24, 2**32 - 2)),
    "a part beyond the end": zip_with(GOOD, put("<L", 42, 2**31)),
    "a header elsewhere": zip_with(GOOD, put("<L", 42, 1)),
    "65,000 parts": zip_with(GOOD, put("<Q", 8, 0xFDE8FDE8, from_end=True)),
    "a directory of 4 GB": zip_with(GOOD, put("<L", 12, 2**32 - 2, from_end=True)),
    "a directory beyond the end": zip_with(GOOD, put("<L", 16, 2**31, from_end=True)),
    "two disks": zip_with(GOOD, put("<H", 4, 1, from_end=True)),
    "zip64 without its record": zip_with(GOOD, put("<L", 16, 2**32 - 1, from_end=True)),
    "two pickles": zip_of({**GOOD, "a/b/data.pkl": b"\x80\x02N."}),
    "two folders": zip_of({**GOOD, "b/data/0": b"x"}),
    "no pickle": zip_of({"a/data/0": b"x"}),
    "NumPy arrays": zip_of({"w.npy": b"\x93NUMPY"}),
    "TorchScript": zip_of({**GOOD, "a/code/__torch__.py": b"import os"}),
    "no end": zip_of(GOOD)[:-30],
    "big-endian": zip_of({**GOOD, "a/byteorder": b"big"}),
    "a name that is no text": zip_of(GOOD).replace(b"a/data.pkl", b"a/data\xff\xfe\xfd\xfc"),
    "an empty archive": zip_of({}) + b" " * 20,
}


@pytest.mark.parametrize("case", ZIPS)
def test_zip_tricks(tmp_path, case):
    before = set(os.listdir("/etc"))
    check_refused(tmp_path / "evil.pt", ZIPS[case])
    assert os.listdir(tmp_path) == ["evil.pt"]
    assert set(os.listdir("/etc")) == before


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_part_that_is_there_twice(tmp_path):
    with zipfile.ZipFile(tmp_path / "evil.pt", "w") as archive:
        archive.writestr("a/data.pkl", b"\x80\x02N.")
        archive.writestr("a/data.pkl", b"\x80\x02}.")
    check_refused(tmp_path / "evil.pt", match="there twice")


def test_places_that_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    with tarfile.open(tmp_path / "g.tar", "w") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    for name, match in [
        ("pipe", "no regular file"),
        ("dangling", "No such file"),
        ("circle", "symbolic links"),
        ("nowhere", "No such file"),
        ("", "a folder"),
        ("g.tar", "a tar archive: unpack it first"),
        ("a\0b", "cannot read"),
    ]:
        refused_place(str(tmp_path / name), match)
    refused_place("/dev/zero", "no regular file")
    generator = files.make_generator()
    (tmp_path / "real.pkl").write_bytes(files.nvlabs_bytes(generator))
    (tmp_path / "link.pkl").symlink_to(tmp_path / "real.pkl")
    with open_checkpoint(tmp_path / "link.pkl") as opened:  # caches of downloads are full of links
        assert opened.generator().z_dim == 8


def refused_place(path, match):
    with pytest.raises(CheckpointError, match=match):
        open_checkpoint(path)
