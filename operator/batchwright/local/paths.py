"""Where the embedded clusters keep their files (XDG base directories), and which names they may have.

Invariants: a cluster's directory holds everything of that cluster and is deleted with it; the cache holds only what
can be built again.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from batchwright.errors import LocalError

DEFAULT_NAME = "batchwright"
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?")


def check_name(name: str) -> str:
    """Return `name`; LocalError when it cannot name a cluster (it becomes part of file and interface names)."""
    if not _NAME.fullmatch(name):
        raise LocalError(
            f"--name {name!r}: a cluster's name is 1 to 30 lower-case letters, digits and dashes, "
            "and begins and ends with a letter or digit"
        )
    return name


def cache_root() -> Path:
    """The directory of built binaries and sources, shared by all clusters of this user."""
    return _xdg("XDG_CACHE_HOME", ".cache")


def state_root() -> Path:
    """The directory of all embedded clusters of this user."""
    return _xdg("XDG_STATE_HOME", ".local/state")


def clusters_root() -> Path:
    """The parent of every cluster's directory."""
    return state_root() / "clusters"


def cluster_directory(name: str) -> Path:
    """The directory of the cluster `name`, whether it exists or not."""
    return clusters_root() / check_name(name)


def _xdg(variable: str, fallback: str) -> Path:
    base = os.environ.get(variable, "")
    # The XDG specification: a relative path is invalid and must be ignored.
    root = Path(base) if base.startswith("/") else Path.home() / fallback
    return root / "batchwright"
