"""What can be wrong with a file."""

from __future__ import annotations


class StorageError(ValueError):
    """A file that cannot be written, or that is missing, damaged or not what it should be."""


class InUseError(StorageError):
    """A lock file that another process holds."""
