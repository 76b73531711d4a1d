"""Have the C library keep the memory of large activations instead of giving it back.

glibc maps every block of 32 MB and more anew and returns it when it is freed; each time the kernel
hands out zeroed pages one by one, a large part of the time of a large picture (`l2l bench
synthesis --size 1024 --allocator default`, and again with `kept`, say how large here). Three
settings of `mallopt` end that: they hold for the whole process, and it keeps the memory of its
largest picture (the same command prints it) until it ends.

Nothing is set at import. The first picture of 256 px or more sets them, once, on Linux with glibc;
`L2L_KEEP_MEMORY=0` in the environment leaves the C library as it is.
"""

from __future__ import annotations

import ctypes
import os
import platform
import threading

__all__ = ["SWITCH", "keep_memory", "keeps_memory"]

#: Set to 0, in the environment, to leave the C library's settings alone.
SWITCH = "L2L_KEEP_MEMORY"

# Names and numbers of malloc.h.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
_lock = threading.Lock()
_done: bool | None = None


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
            _done = os.environ.get(SWITCH, "1") != "0" and _set()
        return _done


def keeps_memory() -> bool:
    """Whether `keep_memory` was called and has set the allocator; sets nothing."""
    return bool(_done)


def _set() -> bool:
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    wanted = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 2**26))
    return all(mallopt(name, value) == 1 for name, value in wanted)
