"""The operator's image, made of the checkout's Dockerfile without a registry, on Debian's smallest root with Python.

The packages come from the package index that pip and uv use on this machine; its address and certificates are handed to
the build, and are not in the image. Needs root. An image is kept, and made anew when anything that is in it changes.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from batchwright.local.images import build_image, ensure_python

ROOT: Final = Path(__file__).parent.parent
IMAGE: Final = "batchwright.local/batchwright:v1"
_FILES: Final = ("pyproject.toml", "uv.lock", "README.md", "LICENSE", "docs/benchmarks.json")
_DIRECTORIES: Final = ("crds", "operator")
_CERTIFICATES: Final = "/etc/ssl/certs"
_PASSED_ON: Final = ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "PIP_CERT", "SSL_CERT_FILE")


def ensure_operator_image(tag: str = IMAGE, labelled: Mapping[str, str] | None = None) -> Path:
    """The archive of the image, whose labels say VERSION and REVISION as `labelled` has them. Raises LocalError with
    buildah's last words."""
    arguments = {name: os.environ[name] for name in _PASSED_ON if os.environ.get(name)} | dict(labelled or {})
    with tempfile.TemporaryDirectory(prefix="batchwright-image-") as scratch:
        context = Path(scratch)
        for name in _FILES:
            (context / name).parent.mkdir(exist_ok=True)
            shutil.copy2(ROOT / name, context / name)
        for name in _DIRECTORIES:
            shutil.copytree(ROOT / name, context / name, ignore=shutil.ignore_patterns("__pycache__"), symlinks=True)
        return build_image(
            context,
            ROOT / "Dockerfile",
            tag,
            ensure_python(),
            arguments,
            volumes=[f"{_CERTIFICATES}:{_CERTIFICATES}:ro"],
        )
