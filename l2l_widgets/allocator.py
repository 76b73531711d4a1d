"""What the C library does with the memory of pictures: kept for the next one, or given back.

glibc maps every block of 32 MB and more anew and returns it when it is freed; each time the kernel
hands out zeroed pages one by one, a large part of the time of a large picture (`l2l bench
synthesis --size 1024 --allocator default`, and again with `kept`, say how large here). Three
settings of `mallopt` end that: they hold for the whole process, and it keeps the memory of its
largest picture (the same command prints it) until it ends.

Small pictures leave that alone, and then something else counts: each thread that allocates has an
arena of its own, up to eight to a core, and each arena keeps what its thread's largest work has
freed. A page of views draws on a dozen threads, one after the other, and keeps a dozen times what
one of them needs; `give_back` ends that, when the page has come to rest.

Nothing is set at import: the first picture of 256 px or more sets the three, once, on Linux with
glibc. `L2L_KEEP_MEMORY=0` in the environment leaves the C library as it is.
"""

from __future__ import annotations

import ctypes
import os
import platform
import threading
import time

__all__ = ["SWITCH", "give_back", "keep_memory", "keeps_memory"]

#: Set to 0, in the environment, to leave the C library's settings alone.
SWITCH = "L2L_KEEP_MEMORY"

# Names and numbers of malloc.h.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
_lock = threading.Lock()
_done: bool | None = None
#: Seconds between two times that memory is given back: many views come to rest together.
GIVE_EVERY = 3.0
_given = -GIVE_EVERY


def keep_memory() -> bool:
    """Set the C library's allocator to keep memory, the first time it is called.

    Returns
    -------
    bool
        Whether the process keeps its memory; False where there is no glibc or it is switched off.
    """
    global _done
    with _lock:
        if _done is None:
            _done = _set((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 2**26))
        return _done


def keeps_memory() -> bool:
    """Whether `keep_memory` was called and has set the allocator; sets nothing."""
    return bool(_done)


def give_back() -> bool:
    """Return to the system what all arenas have free, for who has come to rest.

    Returns
    -------
    bool
        Whether it was done; not where the memory of large pictures is kept on purpose, nor again
        within a few seconds, nor where there is no glibc or it is switched off.
    """
    global _given
    with _lock:
        if keeps_memory() or time.monotonic() - _given < GIVE_EVERY:
            return False
        library = _library()
        if library is None:
            return False
        _given = time.monotonic()
    trim = library.malloc_trim
    trim.argtypes, trim.restype = (ctypes.c_size_t,), ctypes.c_int
    trim(0)
    return True


def _set(*wanted: tuple[int, int]) -> bool:
    library = _library()
    if library is None:
        return False
    mallopt = library.mallopt
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    return all(mallopt(name, value) == 1 for name, value in wanted)


def _library() -> ctypes.CDLL | None:
    """The C library, where it is glibc and may be told what to do."""
    if os.environ.get(SWITCH, "1") == "0":
        return None
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return None
    try:
        return ctypes.CDLL(None)
    except OSError:
        return None
