"""The texts of a directory: which files they are, and the key each gets in S3.

Invariants: every file once, in the order of the paths; links to directories are not followed, and of several names of
one file (the `GPL` that links to `GPL-3`) the first that is no link stands for it. Keys are ASCII whatever the names
are, because file names may hold bytes that no text has.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from batchwright.errors import LocalError

DEFAULT_INPUT: Final = Path("/usr/share/common-licenses")
# Amazon S3's limit of a key, less what the demo puts in front.
_KEY_BYTES: Final = 1024 - 64


@dataclass(frozen=True)
class Text:
    """One file, and its key below the input prefix."""

    path: Path
    key: str


def find_texts(directory: Path) -> list[Text]:
    """The files below `directory`. Raises LocalError when there are none, or one cannot be read."""
    if not directory.exists():
        raise LocalError(f"--input {directory}: there is no such directory")
    if not directory.is_dir():
        raise LocalError(f"--input {directory}: not a directory; name the one the texts are in")
    paths = sorted(Path(folder, name) for folder, _, names in os.walk(directory, onerror=_refuse) for name in names)
    files = [path for path in paths if path.is_file()]
    by_file: dict[Path, Path] = {}
    for path in sorted(files, key=lambda path: (path.is_symlink(), path)):
        by_file.setdefault(path.resolve(), path)
    if not by_file:
        raise LocalError(f"--input {directory}: no files in it, nor in the directories below it")
    return [Text(path, _key(path, directory)) for path in sorted(by_file.values())]


def _refuse(error: OSError) -> None:
    raise LocalError(f"--input: {error.filename} cannot be read: {error.strerror}") from error


def _key(path: Path, directory: Path) -> str:
    if not os.access(path, os.R_OK):
        raise LocalError(f"--input: {path} cannot be read; make it readable or leave it out")
    key = quote(os.fsencode(path.relative_to(directory)), safe="/")
    if len(key) > _KEY_BYTES:
        raise LocalError(f"--input: the path of {path} is too long for an S3 key ({len(key)} of {_KEY_BYTES} bytes)")
    return key
