"""Where image archives are kept, and how one gets there.

Invariants: `store` renames a finished file into place, so that a reader never sees half an archive and two makers of
the same one do not disturb each other: the last rename wins, with the same content.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from batchwright.errors import LocalError
from batchwright.local.paths import cache_root

_ERROR_LINES = 15


class ImageError(LocalError):
    """An image could not be made; the message says what failed and what to do about it."""


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


def require_program(program: str, package: str) -> str:
    """The full path of `program`; ImageError names the Debian package that carries it."""
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        raise ImageError(f"the program {program} is missing; install it: apt-get install {package}")
    return found


def run(command: Sequence[str], *, what: str, timeout: float, environment: dict[str, str] | None = None) -> str:
    """Run a program to its end and return its standard output, stripped; ImageError carries its last words."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            env=None if environment is None else {**os.environ, **environment},
        )
    except subprocess.TimeoutExpired as error:
        raise ImageError(f"{what} did not finish within {timeout:.0f} s: {' '.join(command)}") from error
    if done.returncode != 0:
        last_words = "\n".join((done.stdout + done.stderr).strip().splitlines()[-_ERROR_LINES:])
        raise ImageError(f"{what} failed with exit code {done.returncode}: {' '.join(command)}\n{last_words}")
    return done.stdout.strip()
