"""The `python` image: Debian's smallest root with its own Python, for jobs that need more than a shell.

Needs root and a Debian mirror that debootstrap reaches; takes about two minutes, once a month and user.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

from batchwright.errors import LocalError
from batchwright.local.commands import require, run
from batchwright.local.images.archive import Settings, architecture, write_archive
from batchwright.local.images.cache import store

PYTHON_IMAGE = "batchwright.local/python:v1"

_SUITE = "bookworm"
_PACKAGES = ("python3", "ca-certificates")
_TRIM = (
    "var/cache/apt/archives",
    "var/lib/apt/lists",
    "var/log",
    "usr/share/doc",
    "usr/share/man",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/lintian",
)
_DEADLINE_SECONDS = 1200.0

# By hash, unchecked: the layer's files carry no modification times, by which Python would otherwise judge its
# bytecode stale, and each container would compile the standard library at its start.
_COMPILE = (
    *("python3", "-m", "compileall", "-q", "-f"),
    *("--invalidation-mode", "unchecked-hash", "/usr/lib/python3.11"),
)


def ensure_python(progress: Callable[[str], None] = lambda _message: None) -> Path:
    """The archive of `batchwright.local/python:v1`; `progress` is told before each slow step.

    Made anew each calendar month, so that Debian's security updates arrive.
    """
    month = time.strftime("%Y-%m", time.gmtime())
    recipe = repr((_SUITE, _PACKAGES, _TRIM, _COMPILE, architecture(), month))
    fingerprint = hashlib.sha256(recipe.encode()).hexdigest()[:16]
    return store(f"python-{fingerprint}.tar", lambda archive, scratch: _make(archive, scratch, progress))


def _make(archive: Path, scratch: Path, progress: Callable[[str], None]) -> None:
    if os.geteuid() != 0:
        raise LocalError(f"making {PYTHON_IMAGE} needs root: debootstrap changes its root directory")
    debootstrap = require("debootstrap", "debootstrap")
    root = scratch / "root"
    progress(f"making {PYTHON_IMAGE} with debootstrap (about two minutes, once)")
    run(
        [debootstrap, "--variant=minbase", f"--include={','.join(_PACKAGES)}", _SUITE, str(root)],
        what="debootstrap",
        timeout=_DEADLINE_SECONDS,
    )
    for trimmed in _TRIM:
        shutil.rmtree(root / trimmed, ignore_errors=True)
        (root / trimmed).mkdir(parents=True, exist_ok=True)
    (root / "usr/bin/python").symlink_to("python3")
    run(["chroot", str(root), *_COMPILE], what="compileall", timeout=_DEADLINE_SECONDS)
    # debootstrap copies the host's resolver configuration; the kubelet mounts a pod's own.
    (root / "etc/resolv.conf").write_text("")
    progress(f"packing {PYTHON_IMAGE}")
    layer = scratch / "layer.tar"
    with tarfile.open(layer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for child in sorted(root.iterdir()):
            tar.add(child, arcname=child.name, filter=_normalise)
    with layer.open("rb") as content:
        write_archive(archive, PYTHON_IMAGE, content, Settings(command=("python3",)))


def _normalise(header: tarfile.TarInfo) -> tarfile.TarInfo | None:
    if header.ischr() or header.isblk() or header.isfifo():
        return None  # the runtime makes /dev; a device node in a layer needs privileges to unpack
    header.mtime, header.uname, header.gname = 0, "", ""
    return header
