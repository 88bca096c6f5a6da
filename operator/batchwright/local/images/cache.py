"""Where image archives are kept, and how one gets there.

Invariants: `store` renames a finished file into place, so that a reader never sees half an archive and two makers of
the same one do not disturb each other: the last rename wins, with the same content.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from batchwright.local.paths import cache_root


def images_directory() -> Path:
    """The per-user cache of image archives, made when missing."""
    directory = cache_root() / "images"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def store(file_name: str, make: Callable[[Path, Path], None]) -> Path:
    """Return the cached archive `file_name`, made by `make(archive, scratch)` when it is not there yet.

    `scratch` is an empty directory on the cache's file system, removed afterwards.
    """
    path = images_directory() / file_name
    if path.exists():
        return path
    scratch = Path(tempfile.mkdtemp(prefix=".making-", dir=images_directory()))
    try:
        (scratch / "work").mkdir()
        make(scratch / "archive.tar", scratch / "work")
        (scratch / "archive.tar").replace(path)
    finally:
        shutil.rmtree(scratch)
    return path
