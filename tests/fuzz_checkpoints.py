"""Mutated checkpoints: `python -m tests.fuzz_checkpoints --count 100000`.

Small files of every layout, and of published directions, are damaged at random: bits, bytes,
lengths, whole stretches, and the instructions with which pickles call things. Each mutant is
opened, and built if it opens. It must end in a generator (a direction's file: in tensors) or in a
`CheckpointError`, in two seconds, within its size and 200 MB of memory,
without an import, a process, a connection or a file that is opened for writing: an audit hook of
Python's own watches all of that while a mutant is read.
"""

from __future__ import annotations

import argparse
import pickle
import random
import signal
import struct
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch

from l2l_widgets.checkpoints import CheckpointError, open_checkpoint, read_tensors
from l2l_widgets.stylegan2 import save_generator
from tests import checkpoint_files as files
from tests.peak_memory import peak_memory

SECONDS, MEGABYTES = 2.0, 200
#: What no reading of a file may do.
FORBIDDEN = (
    *("exec", "compile", "import", "pickle.find_class", "marshal.loads", "code.__new__"),
    *("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "socket.connect"),
    *("os.remove", "os.rename", "os.mkdir", "os.symlink", "os.link", "os.chmod", "shutil.copyfile"),
)
COMMAND = b"touch /tmp/l2l-fuzz-canary"
#: Stretches that are put where they do most harm.
TOKENS = (
    b"cposix\nsystem\n",
    b"cos\nsystem\n",
    b"cbuiltins\neval\n",
    b"X" + struct.pack("<I", len(COMMAND)) + COMMAND + b"\x85R",
    b"\x8c\x05posix\x8c\x06system\x93",
    b"(X" + struct.pack("<I", len(COMMAND)) + COMMAND + b"iposix\nsystem\n",
    b"\x82\x01",
    b"Q",
    b"b",
    b"\x81",
    b"\x92",
    b"o",
    b"R",
    b"(",
    b"u",
    b"2",
    b"h\x00",
    b"q\x00",
    b".",
    b"\x95" + b"\xff" * 8,
    b"\x8e" + struct.pack("<Q", 2**40),
    b"\x96" + struct.pack("<Q", 2**40),
    b"r\xff\xff\xff\xff",
    b"\xff" * 8,
    b"\x00" * 8,
    b"PK\x05\x06",
    b"../../",
)


def _own():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "g.safetensors"
        save_generator(path, files.make_generator(side=16), {"recipe": "fuzz"})
        return path.read_bytes()


def _small(**options):
    return files.make_generator(side=8, mapping={"num_layers": 1}, **options)


def _directions():
    ones = torch.ones(1, 16)
    return {"age": ones, "more": {"pose": torch.ones(4, 16, dtype=torch.half), "n": 3}, "w": [ones]}


#: Layout -> what makes a small file of it; those of directions are read as such.
SEEDS = {
    "nvlabs": lambda: files.nvlabs_bytes(_small(conv_clamp=256.0), keys=("D", "G_ema")),
    "nvlabs with classes": lambda: files.nvlabs_bytes(_small(c_dim=2), 4, True, keys=("G_ema",)),
    "tensorflow": lambda: files.tensorflow_bytes(_small()),
    "rosinality zip": lambda: files.rosinality_bytes(_small()),
    "rosinality legacy": lambda: files.rosinality_bytes(_small(), zipped=False, training=True),
    "own": _own,
    "direction zip": lambda: files.torch_bytes(_directions()),
    "direction legacy": lambda: files.torch_bytes(_directions(), zipped=False),
    "direction pickle": lambda: pickle.dumps({"age": np.ones((1, 16)), "w": torch.ones(16)}),
}


def _read(name: str, path: Path) -> None:
    if name.startswith("direction"):
        read_tensors(path, 2**20)
        return
    with open_checkpoint(path) as opened:
        opened.generator()


_watching = _hooked = False
_seen: list[str] = []


def _watch(event: str, arguments: tuple) -> None:
    if not _watching:
        return
    if event == "open":
        mode, flags = arguments[1], arguments[2]
        writes = isinstance(mode, str) and set(mode) & set("wax+")
        if writes or (mode is None and isinstance(flags, int) and flags & 3):
            _seen.append(f"open for writing: {arguments[0]}")
    elif event in FORBIDDEN:
        _seen.append(f"{event} {str(arguments)[:120]}")


def mutate(data: bytes, source: random.Random) -> bytes:
    """Damage a file in one to six places."""
    out = bytearray(data)
    for _ in range(source.choice((1, 1, 1, 2, 3, 6))):
        at = source.randrange(len(out)) if out else 0
        kind = source.randrange(9)
        if kind == 0 and out:
            out[at] ^= 1 << source.randrange(8)
        elif kind == 1 and out:
            out[at] = source.randrange(256)
        elif kind == 2:
            out[at:at] = source.choice(TOKENS)
        elif kind == 3:
            token = source.choice(TOKENS)
            out[at : at + len(token)] = token
        elif kind == 4:
            del out[at : at + source.choice((1, 1, 2, 4, 16, 256))]
        elif kind == 5:
            length = source.choice((1, 2, 8, 64, 1024))
            there = source.randrange(len(out)) if out else 0
            out[there:there] = out[at : at + length]
        elif kind == 6:
            layout, most = source.choice((("<H", 2**16), ("<I", 2**32), ("<Q", 2**64)))
            number = source.choice((0, 1, 2**7, 2**15, 2**31 - 1, most - 1, source.randrange(most)))
            packed = struct.pack(layout, number % most)
            out[at : at + len(packed)] = packed
        elif kind == 7:
            # an instruction for another: pickles are mostly these few
            swap = source.choice(
                b"(.0123QRVXZ]abcdeghijloqrstu}\x81\x85\x86\x87\x88\x8c\x8e\x93\x94"
            )
            out[at : at + 1] = bytes([swap])
        else:
            del out[at:]
    return bytes(out)


def run(count: int, seed: int, folder: Path, seconds: float = float("inf")) -> dict:
    """Read `count` mutants, or as many as fit into `seconds` of processor time."""
    global _watching, _hooked
    seeds = {name: make() for name, make in SEEDS.items()}
    path = Path(folder) / "mutant"
    for name, data in seeds.items():  # what is imported at first use is imported now
        path.write_bytes(data)
        _read(name, path)
    if not _hooked:  # a hook stays for good
        sys.addaudithook(_watch)
        _hooked = True
    source = random.Random(seed)
    names = list(seeds)
    outcomes: Counter[str] = Counter()
    problems: list[str] = []
    slowest, largest, begun = 0.0, 0.0, time.process_time()
    done = 0
    stopped: list[int] = []
    # Ctrl-C ends the run after the mutant at hand: what was done counts.
    before = signal.signal(signal.SIGINT, lambda *_: stopped.append(1))
    for number in range(count):
        if stopped or time.process_time() - begun > seconds:
            break
        name = names[number % len(names)]
        data = mutate(seeds[name], source)
        path.write_bytes(data)
        start = time.thread_time()
        with peak_memory() as taken:
            _watching = True
            try:
                _read(name, path)
                outcomes["read"] += 1
            except CheckpointError as error:
                outcomes["refused"] += 1
                if error.__cause__ is not None:
                    # refused as well, but by the last net: worth a look
                    outcomes["surprised"] += 1
                    outcomes[f"surprise: {error.__cause__!r}"[:160]] += 1
            except Exception as error:
                problems.append(f"{name} {number}: {type(error).__name__}: {str(error)[:200]}")
            finally:
                _watching = False
        took = time.thread_time() - start
        slowest = max(slowest, took)
        if took > SECONDS:
            problems.append(f"{name} {number}: {took:.1f} s")
        largest = max(largest, taken.megabytes)
        if taken.megabytes > MEGABYTES + len(data) / 2**20:
            problems.append(f"{name} {number}: {taken.megabytes:.0f} MB")
        if _seen:
            problems.append(f"{name} {number}: {_seen[:3]}")
            _seen.clear()
        done += 1
    signal.signal(signal.SIGINT, before)
    if Path("/tmp/l2l-fuzz-canary").exists():
        problems.append("the canary was touched")
    return {
        "mutants": done,
        "read": outcomes["read"],
        "refused": outcomes["refused"],
        "surprised": outcomes["surprised"],
        "surprises": {k: n for k, n in outcomes.items() if k.startswith("surprise:")},
        "problems": problems,
        "slowest_s": slowest,
        "memory_mb": largest,
        "cpu_s": time.process_time() - begun,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100_000, help="mutants")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="of processor time")
    args = parser.parse_args()
    memory = Path("/dev/shm")  # so that a disk is not worn out
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        report = run(args.count, args.seed, Path(folder), args.seconds)
    for problem in report["problems"][:20]:
        print(problem)
    for surprise, number in sorted(report["surprises"].items(), key=lambda item: -item[1])[:20]:
        print(f"{number} x {surprise}")
    print(
        f"{report['mutants']} mutants: {report['read']} read, {report['refused']} refused "
        f"({report['surprised']} of them by the last net), {len(report['problems'])} problems; "
        f"slowest {report['slowest_s']:.2f} s, {report['memory_mb']:.0f} MB more memory, "
        f"{report['cpu_s']:.0f} CPU s"
    )
    return 1 if report["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
