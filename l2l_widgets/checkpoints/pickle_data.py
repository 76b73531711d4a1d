"""A pickle read as data: the stream's values and inert records of what it would have called.

A pickle is a program for a small machine, and the machine of the standard library calls what the
program names. This one has no instruction that calls anything:

- *names* (GLOBAL, STACK_GLOBAL, INST) must stand in `records.ALLOWED`, an exact list, and become a
  `Name`, a record that holds two strings. Nothing is imported.
- *calls* (REDUCE, NEWOBJ, NEWOBJ_EX, OBJ, INST) become a `Call`, a record of a name and arguments;
  BUILD adds a state to that record. There is no `__reduce__`, `__setstate__` or `__new__` to reach.
- *extension codes* and out-of-band buffers are refused; *persistent ids* are refused but where the
  caller expects them (torch.save), and become a record there.

Why not a subclass of `pickle.Unpickler` with an own `find_class`: the C machine still calls what
that returns, applies BUILD to whatever lies on its stack, takes extension codes from a cache
without asking, reserves memory for a memo index or an array length that the file merely claims, and
hashes a deeply nested tuple until the process's own stack ends. Why not `pickletools.genops`: it
copies every argument, and there is still a machine to write.

What bounds it: every instruction costs one of `Budget.steps`, kept strings cost `Budget.text`;
strings of more than `LONG` bytes are stepped over and stay in the file as a `Span`; keys of
dictionaries are short strings and small whole numbers, so that none can be made to collide; nothing
here recurses, and what is built may contain itself, so who reads it must not recurse freely either.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from l2l_widgets.checkpoints.records import ALLOWED, MAPPINGS, Call, Name, Persistent, mapping
from l2l_widgets.checkpoints.source import CheckpointError, Source, Span, brief

__all__ = ["Budget", "read_pickle"]

#: Bytes from which on a string stays in the file.
LONG = 1024
#: Bytes of a line (names and numbers of the old text instructions).
LINE = 512
#: Bytes of a whole number.
INTEGER = 16
#: Whole numbers below it hash to themselves.
KEY_LIMIT = 2**61 - 1


@dataclass
class Budget:
    """What reading one file may cost."""

    #: Instructions. An official file with three networks of 1024 pixels takes some 50,000.
    steps: int = 400_000
    #: Bytes of strings that are kept in memory.
    text: int = 16 * 2**20
    #: Bytes that were written as text, and are turned back in memory; as many as the file has.
    encoded: int = 0


def read_pickle(
    source: Source, start: int, end: int, budget: Budget, persistent: bool = False
) -> tuple[Any, int]:
    """Read one pickle.

    Parameters
    ----------
    source
        Where it is.
    start, end
        First byte, and the byte that it must end before.
    budget
        Shared by all pickles of a file.
    persistent
        Whether persistent ids belong into it.

    Returns
    -------
    value
        Of None, bool, int, float, str, bytes, list, tuple, dict, `Name`, `Call`, `Persistent` and
        `Span`. Sets are lists. It may contain itself.
    position
        The byte after the pickle.

    Raises
    ------
    CheckpointError
        It is damaged, truncated, names something that is not allowed, or costs too much.
    """
    return _Machine(source, start, end, budget, persistent).run()


class _Stop(Exception):  # noqa: N818 - it is no error
    pass


class _Machine:
    """The stack, the memo and the instructions."""

    def __init__(
        self, source: Source, start: int, end: int, budget: Budget, persistent: bool
    ) -> None:
        self.source = source
        self.file = source.file
        self.start = self.position = start
        self.end = min(end, source.size)
        self.budget = budget
        self.persistent = persistent
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> tuple[Any, int]:
        self.source.read(self.start, 0)
        self.file.seek(self.start)
        steps = _STEPS
        left = self.budget.steps
        try:
            while True:
                left -= 1
                if left < 0:
                    raise self.refuse("more instructions than any supported file has")
                code = self.take(1)[0]
                step = steps[code]
                if step is None:
                    raise self.refuse(f"byte {code:#04x} is no instruction of a pickle")
                step(self)
        except _Stop:
            if len(self.stack) != 1 or self.marked:
                raise self.refuse("it ends with something left over") from None
            return self.stack[0], self.position
        except (IndexError, struct.error):
            raise self.refuse("its stack is empty where a value is wanted") from None
        finally:
            self.budget.steps = left

    # -- bytes -------------------------------------------------------------------------------------

    def refuse(self, why: str) -> CheckpointError:
        return CheckpointError(f"{self.source.name!r}: pickle, byte {self.position}: {why}")

    def take(self, count: int) -> bytes:
        self.check(count)
        data = self.file.read(count)
        if len(data) != count:
            raise CheckpointError(f"{self.source.name!r} changed while it was read")
        self.position += count
        return data

    def check(self, count: int) -> None:
        if self.position + count > self.end:
            raise self.refuse(f"{count} more bytes are wanted, the file ends before: truncated?")

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count), "little")

    def line(self) -> str:
        data = self.file.readline(min(LINE, self.end - self.position))
        self.position += len(data)
        if not data.endswith(b"\n"):
            raise self.refuse("a line does not end")
        return data[:-1].decode("latin-1")

    def string(self, length: int, is_text: bool) -> None:
        """Push a string, or where it is if it is long."""
        if length > LONG:
            self.check(length)
            self.stack.append(Span(self.source, self.position, length, is_text))
            self.position += length
            self.file.seek(self.position)
            return
        self.budget.text -= length
        if self.budget.text < 0:
            raise self.refuse("more text than any supported file has")
        data = self.take(length)
        if not is_text:
            self.stack.append(data)
            return
        try:
            self.stack.append(data.decode("utf-8", "surrogatepass"))
        except UnicodeDecodeError:
            raise self.refuse("a text is not UTF-8") from None

    def old_string(self, length: int) -> None:
        # Python 2 did not tell text from bytes.
        self.string(length, is_text=False)
        if isinstance(self.stack[-1], bytes):
            self.stack[-1] = self.stack[-1].decode("latin-1")

    # -- the stack ---------------------------------------------------------------------------------

    def pop(self) -> Any:
        if not self.stack:
            raise self.refuse("its stack is empty where a value is wanted")
        return self.stack.pop()

    def push(self, value: Any) -> None:
        # `m.stack.append(m.to_mark())` would append to the stack that was marked off.
        self.stack.append(value)

    def top(self) -> Any:
        if not self.stack:
            raise self.refuse("its stack is empty where a value is wanted")
        return self.stack[-1]

    def mark(self) -> None:
        self.marked.append(self.stack)
        self.stack = []

    def to_mark(self) -> list[Any]:
        if not self.marked:
            raise self.refuse("a mark is missing")
        items = self.stack
        self.stack = self.marked.pop()
        return items

    def remember(self, index: int) -> None:
        self.memo[index] = self.top()

    def recall(self, index: int) -> None:
        if index not in self.memo:
            raise self.refuse(f"memo {index} is empty")
        self.stack.append(self.memo[index])

    # -- values ------------------------------------------------------------------------------------

    def decimal(self, text: str) -> int:
        text = text.strip().removesuffix("L")
        if len(text) > 2 * INTEGER or not text.removeprefix("-").isdecimal():
            raise self.refuse(f"{text[:40]!r} is no whole number that fits")
        return int(text)

    def int_line(self) -> None:
        text = self.line()
        self.stack.append({"00": False, "01": True}.get(text))
        if self.stack[-1] is None:
            self.stack[-1] = self.decimal(text)

    def float_line(self) -> None:
        text = self.line()
        try:
            self.stack.append(float(text))
        except ValueError:
            raise self.refuse(f"{text[:40]!r} is no number") from None

    def string_line(self) -> None:
        # Python 2's text, quoted; escapes stay as they are written.
        text = self.line().strip()
        if len(text) < 2 or text[0] != text[-1] or text[0] not in "'\"":
            raise self.refuse("a string is not quoted")
        self.stack.append(text[1:-1])

    def long(self, count: int) -> None:
        if count > INTEGER:
            raise self.refuse(f"a whole number of {count} bytes")
        self.stack.append(int.from_bytes(self.take(count), "little", signed=True))

    def frame(self) -> None:
        self.check(self.number(8))

    def proto(self) -> None:
        version = self.number(1)
        if version > 5:
            raise self.refuse(f"protocol {version}; supported: 0 to 5")

    # -- containers --------------------------------------------------------------------------------

    def as_tuple(self, count: int) -> None:
        if len(self.stack) < count:
            raise self.refuse("its stack is empty where a value is wanted")
        items = tuple(self.stack[len(self.stack) - count :])
        del self.stack[len(self.stack) - count :]
        self.stack.append(items)

    def extend(self, items: list[Any]) -> None:
        target = self.top()
        if type(target) is not list:
            raise self.refuse(f"items are added to {brief(target)}; only lists take them")
        target.extend(items)

    def set_items(self, target: Any, pairs: list[Any]) -> None:
        if len(pairs) % 2:
            raise self.refuse("a key lacks its value")
        if isinstance(target, Call) and (target.name.module, target.name.name) in MAPPINGS:
            target = target.items
        if type(target) is not dict:
            raise self.refuse(f"keys are set on {brief(target)}; only dictionaries take them")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            kind = type(key)
            # floats, tuples and records as keys could be made to collide or to recurse
            plain = kind is str or kind is bool or key is None
            if not plain and (kind is not int or abs(key) >= KEY_LIMIT):
                raise self.refuse(f"{brief(key)} is a key; allowed: text and whole numbers")
            target[key] = value

    def new_dict(self, pairs: list[Any]) -> None:
        made: dict[Any, Any] = {}
        self.set_items(made, pairs)
        self.stack.append(made)

    # -- names and records -------------------------------------------------------------------------

    def name(self, module: Any, name: Any) -> Name:
        if (type(module), type(name)) != (str, str) or (module, name) not in ALLOWED:
            asked = f"{brief(module)[1:-1]}.{brief(name)[1:-1]}"
            raise self.refuse(
                f"it asks for {asked!r}, which no supported checkpoint needs. Nothing of the file "
                "was executed; get the file from its authors, or save the weights alone"
            )
        return Name(module, name)

    def record(self, what: Any, args: Any) -> None:
        if not isinstance(what, Name):
            raise self.refuse(f"it calls {brief(what)}; allowed are names of a fixed list")
        self.stack.append(Call(what, args))

    def reduce(self) -> None:
        args = self.pop()
        if type(args) is not tuple:
            raise self.refuse(f"it calls with {brief(args)}; arguments are a tuple")
        self.record(self.pop(), args)

    def new_object(self, with_keywords: bool) -> None:
        if with_keywords and mapping(self.pop(), "keyword arguments"):
            raise self.refuse("it makes an object with keyword arguments; no supported file does")
        self.reduce()

    def instance(self) -> None:
        module = self.line()
        name = self.name(module, self.line())
        self.record(name, tuple(self.to_mark()))

    def old_object(self) -> None:
        items = self.to_mark()
        if not items:
            raise self.refuse("an object lacks its class")
        self.record(items[0], tuple(items[1:]))

    def build(self) -> None:
        state = self.pop()
        target = self.top()
        if not isinstance(target, Call):
            raise self.refuse(f"a state is given to {brief(target)}; only records take one")
        target.state = state

    def persistent_id(self) -> None:
        if not self.persistent:
            raise self.refuse("a reference to something beside the pickle; none belongs here")
        self.stack.append(Persistent(self.pop()))

    def stop(self) -> None:
        raise _Stop

    def forbidden(self, what: str) -> None:
        raise self.refuse(f"it uses {what}, which no supported checkpoint needs")

    def pop_or_mark(self) -> None:
        # As in the standard machine, POP at an empty stack takes a mark away.
        if self.stack:
            self.stack.pop()
        else:
            self.to_mark()


def _append_pair(m: _Machine) -> None:
    value = m.pop()
    key = m.pop()
    m.set_items(m.top(), [key, value])


def _append_pairs(m: _Machine) -> None:
    pairs = m.to_mark()
    m.set_items(m.top(), pairs)


def _append_one(m: _Machine) -> None:
    value = m.pop()
    m.extend([value])


def _stack_name(m: _Machine) -> None:
    name = m.pop()
    m.stack.append(m.name(m.pop(), name))


def _line_name(m: _Machine) -> None:
    module = m.line()
    m.stack.append(m.name(module, m.line()))


def _signed(m: _Machine, layout: str, count: int) -> None:
    m.stack.append(struct.unpack(layout, m.take(count))[0])


_BY_CODE: dict[bytes, Callable[[_Machine], Any]] = {
    b"\x80": _Machine.proto,
    b"\x95": _Machine.frame,
    b".": _Machine.stop,
    b"(": _Machine.mark,
    b"0": _Machine.pop_or_mark,
    b"1": _Machine.to_mark,
    b"2": lambda m: m.stack.append(m.top()),
    b"N": lambda m: m.stack.append(None),
    b"\x88": lambda m: m.stack.append(True),
    b"\x89": lambda m: m.stack.append(False),
    b"I": _Machine.int_line,
    b"L": lambda m: m.stack.append(m.decimal(m.line())),
    b"J": lambda m: _signed(m, "<i", 4),
    b"K": lambda m: m.stack.append(m.number(1)),
    b"M": lambda m: m.stack.append(m.number(2)),
    b"\x8a": lambda m: m.long(m.number(1)),
    b"\x8b": lambda m: m.long(m.number(4)),
    b"F": _Machine.float_line,
    b"G": lambda m: _signed(m, ">d", 8),
    b"S": _Machine.string_line,
    b"V": lambda m: m.stack.append(m.line()),
    b"T": lambda m: m.old_string(m.number(4)),
    b"U": lambda m: m.old_string(m.number(1)),
    b"X": lambda m: m.string(m.number(4), True),
    b"\x8c": lambda m: m.string(m.number(1), True),
    b"\x8d": lambda m: m.string(m.number(8), True),
    b"B": lambda m: m.string(m.number(4), False),
    b"C": lambda m: m.string(m.number(1), False),
    b"\x8e": lambda m: m.string(m.number(8), False),
    b"\x96": lambda m: m.string(m.number(8), False),
    b"]": lambda m: m.stack.append([]),
    b"\x8f": lambda m: m.stack.append([]),
    b"}": lambda m: m.stack.append({}),
    b")": lambda m: m.stack.append(()),
    b"a": _append_one,
    b"e": lambda m: m.extend(m.to_mark()),
    b"\x90": lambda m: m.extend(m.to_mark()),
    b"l": lambda m: m.push(m.to_mark()),
    b"\x91": lambda m: m.push(m.to_mark()),
    b"t": lambda m: m.push(tuple(m.to_mark())),
    b"\x85": lambda m: m.as_tuple(1),
    b"\x86": lambda m: m.as_tuple(2),
    b"\x87": lambda m: m.as_tuple(3),
    b"d": lambda m: m.new_dict(m.to_mark()),
    b"s": _append_pair,
    b"u": _append_pairs,
    b"p": lambda m: m.remember(m.decimal(m.line())),
    b"q": lambda m: m.remember(m.number(1)),
    b"r": lambda m: m.remember(m.number(4)),
    b"\x94": lambda m: m.remember(len(m.memo)),
    b"g": lambda m: m.recall(m.decimal(m.line())),
    b"h": lambda m: m.recall(m.number(1)),
    b"j": lambda m: m.recall(m.number(4)),
    b"c": _line_name,
    b"\x93": _stack_name,
    b"i": _Machine.instance,
    b"o": _Machine.old_object,
    b"\x81": lambda m: m.new_object(with_keywords=False),
    b"\x92": lambda m: m.new_object(with_keywords=True),
    b"R": _Machine.reduce,
    b"b": _Machine.build,
    b"P": lambda m: m.forbidden("a persistent id as text"),
    b"Q": _Machine.persistent_id,
    b"\x82": lambda m: m.forbidden("an extension code"),
    b"\x83": lambda m: m.forbidden("an extension code"),
    b"\x84": lambda m: m.forbidden("an extension code"),
    b"\x97": lambda m: m.forbidden("a buffer outside of the file"),
    b"\x98": lambda m: m.forbidden("a buffer outside of the file"),
}
_STEPS: list[Callable[[_Machine], Any] | None] = [_BY_CODE.get(bytes([c])) for c in range(256)]
