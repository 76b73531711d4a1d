"""Files that are either whole or absent.

Everything the package writes goes through `write_atomic`: the bytes go to a temporary name in the
same folder, are synced, and are then renamed over the target. A reader, a crash or a full disk
therefore meets the old file or the new one, never a half. Weights are safetensors, a format that
holds numbers and text only: no code in a foreign file can run.
"""

from l2l_widgets.storage.arrays import load_array
from l2l_widgets.storage.digests import sha256_file, sha256_tensors
from l2l_widgets.storage.faults import InUseError, StorageError
from l2l_widgets.storage.locks import locked
from l2l_widgets.storage.memory import available_memory
from l2l_widgets.storage.safetensors_files import (
    MAX_HEADER,
    damage_of,
    load_safetensors,
    read_metadata,
    save_safetensors,
)
from l2l_widgets.storage.writing import (
    LEFTOVER,
    make_folder,
    remove_leftovers,
    sync_folder,
    write_atomic,
    write_together,
)

__all__ = [
    "LEFTOVER",
    "MAX_HEADER",
    "InUseError",
    "StorageError",
    "available_memory",
    "damage_of",
    "load_array",
    "load_safetensors",
    "locked",
    "make_folder",
    "read_metadata",
    "remove_leftovers",
    "save_safetensors",
    "sha256_file",
    "sha256_tensors",
    "sync_folder",
    "write_atomic",
    "write_together",
]
