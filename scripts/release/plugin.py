"""The kubectl plugin as krew takes it: an archive with the program and all its packages, and a manifest.

krew unpacks the archive and links one file of it into its own directory of programs. That file is a script which finds
its packages beside itself; it needs the Python that they were chosen for, for some of them are compiled.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import platform
import sys
import tarfile
from pathlib import Path
from typing import Final

import yaml

NAME: Final = "kubectl-batchwright"
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
_PYTHON: Final = f"python{sys.version_info.major}.{sys.version_info.minor}"
_SCRIPT: Final = f"""\
#!/usr/bin/env {_PYTHON}
import os
import site
import sys

site.addsitedir(os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))

from batchwright.cli.main import main

sys.exit(main())
"""
_DESCRIPTION: Final = """\
Submits, lists, describes, follows and ends batch jobs and arrays of Batchwright, AWS Batch's model on Kubernetes; says
why a job waits, what a queue will do next, and what jobs cost. The cluster needs Batchwright's operator.
"""


def archive_name(version: str) -> str:
    """The archive of this machine's kind."""
    return f"{NAME}-{version}-{sys.platform}-{_architecture()}-{_PYTHON}.tar.gz"


def pack(packages: Path, licence: Path, target: Path, when: int) -> None:
    """Write the archive of what is installed in `packages`; `when`, in seconds of Unix time, is every file's date."""
    files = {NAME: _SCRIPT.encode(), "LICENSE": licence.read_bytes()}
    for path in sorted(packages.rglob("*")):
        relative = path.relative_to(packages)
        if path.is_file() and "__pycache__" not in relative.parts:
            files[f"lib/{relative.as_posix()}"] = path.read_bytes()
    with (
        target.open("wb") as raw,
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=6, mtime=when) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode = len(content), when, 0o755 if name == NAME else 0o644
            archive.addfile(entry, io.BytesIO(content))


def manifest(version: str, archive: Path, base_url: str) -> str:
    """The manifest of the archive, which is to be had below `base_url`; without one krew has to be given it."""
    uri = f"{base_url.rstrip('/')}/{archive.name}" if base_url else archive.name
    return yaml.safe_dump(
        {
            "apiVersion": "krew.googlecontainertools.github.com/v1alpha2",
            "kind": "Plugin",
            "metadata": {"name": "batchwright"},
            "spec": {
                "version": f"v{version}",
                "shortDescription": "Batch jobs, arrays and queues of Batchwright",
                "description": _DESCRIPTION,
                "caveats": f"It needs {_PYTHON} on the PATH.\n",
                "platforms": [
                    {
                        "selector": {"matchLabels": {"os": sys.platform, "arch": _architecture()}},
                        "uri": uri,
                        "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
                        "bin": NAME,
                        "files": [{"from": "*", "to": "."}],
                    }
                ],
            },
        },
        sort_keys=False,
        width=120,
    )


def _architecture() -> str:
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)
