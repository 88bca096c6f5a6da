"""The two smallest images: `pause`, which holds a pod's namespaces open, and `busybox`, for jobs that need a shell.

Both are one static binary (Debian's busybox-static) in a hand-made archive, made in well under a second.
"""

from __future__ import annotations

import hashlib
import io
import os
import struct
from collections.abc import Sequence
from pathlib import Path

from batchwright.errors import LocalError
from batchwright.local.commands import require, run
from batchwright.local.images.archive import Entry, Settings, build_layer, write_archive
from batchwright.local.images.cache import store

PAUSE_IMAGE = "batchwright.local/pause:v1"
BUSYBOX_IMAGE = "batchwright.local/busybox:v1"

# PID 1 gets no default signal action, hence the trap; `wait` returns at once on a trapped signal and reaps whatever
# a shared process namespace leaves to PID 1. Ending PID 1 takes the sleeper along.
_PAUSE_SCRIPT = "trap 'exit 0' TERM INT; while :; do sleep 2147483647 & wait $!; done"

_ELF_MAGIC = b"\x7fELF\x02\x01"
_PT_INTERP = 3

_ACCOUNTS = {
    "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": b"root:x:0:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": b"hosts: files dns\n",
}


def ensure_pause() -> Path:
    """The archive of the sandbox image: waits for ever, reaps orphans, and ends at once on SIGTERM."""
    entries = [Entry("bin"), Entry("bin/busybox", content=_static_busybox().read_bytes())]
    entries += [Entry(f"bin/{applet}", link="busybox") for applet in ("sh", "sleep")]
    return _ensure("pause", PAUSE_IMAGE, entries, Settings(entrypoint=("/bin/sh", "-c", _PAUSE_SCRIPT)))


def ensure_busybox() -> Path:
    """The archive of `batchwright.local/busybox:v1`: every applet of Debian's busybox, and a /tmp."""
    busybox = _static_busybox()
    applets = run([str(busybox), "--list-full"], what="listing busybox's applets", timeout=30).split()
    directories = ("bin", "sbin", "usr", "usr/bin", "usr/sbin", "etc", "root")
    entries = [Entry(path) for path in directories]
    entries += [Entry("tmp", mode=0o1777), Entry("bin/busybox", content=busybox.read_bytes())]
    entries += [Entry(path, mode=0o644, content=content) for path, content in _ACCOUNTS.items()]
    entries += [
        Entry(applet, link="/bin/busybox")
        for applet in sorted(applets)
        if applet != "bin/busybox" and os.path.dirname(applet) in directories
    ]
    return _ensure("busybox", BUSYBOX_IMAGE, entries, Settings(command=("/bin/sh",)))


def _ensure(name: str, tag: str, entries: Sequence[Entry], settings: Settings) -> Path:
    layer = build_layer(entries)
    fingerprint = hashlib.sha256(layer + repr((tag, settings)).encode()).hexdigest()[:16]
    return store(
        f"{name}-{fingerprint}.tar",
        lambda archive, _scratch: write_archive(archive, tag, io.BytesIO(layer), settings),
    )


def _static_busybox() -> Path:
    path = Path(require("busybox", "busybox-static"))
    if not is_static(path.read_bytes()):
        raise LocalError(
            f"{path} needs shared libraries, which an image made of it would lack; "
            "install the static one: apt-get install busybox-static"
        )
    return path


def is_static(binary: bytes) -> bool:
    """Whether a 64-bit little-endian ELF file runs without a dynamic loader (no PT_INTERP header, elf(5))."""
    if not binary.startswith(_ELF_MAGIC):
        return False
    (table,) = struct.unpack_from("<Q", binary, 32)
    entry_size, count = struct.unpack_from("<HH", binary, 54)
    kinds = (struct.unpack_from("<I", binary, table + index * entry_size)[0] for index in range(count))
    return _PT_INTERP not in kinds
