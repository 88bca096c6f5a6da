"""Container images without a registry: archives made on the spot and kept in the per-user cache.

The real node of the embedded cluster imports these archives, so nothing is pulled.  Every archive is in the
`docker save` format, which containerd, buildah and Docker all read, and carries a fully qualified tag under
`batchwright.local/`, so that no client ever looks for it in a registry.

Invariants: a file in the cache is complete (written beside its place and renamed) and its name carries the hash of
what it was made from, so that a changed input is a new file and a cached one is never stale.
"""

from __future__ import annotations

from batchwright.local.images.archive import read_tags
from batchwright.local.images.build import build_image
from batchwright.local.images.busybox import BUSYBOX_IMAGE, PAUSE_IMAGE, ensure_busybox, ensure_pause
from batchwright.local.images.python import PYTHON_IMAGE, ensure_python

__all__ = [
    "BUSYBOX_IMAGE",
    "PAUSE_IMAGE",
    "PYTHON_IMAGE",
    "build_image",
    "ensure_busybox",
    "ensure_pause",
    "ensure_python",
    "read_tags",
]
