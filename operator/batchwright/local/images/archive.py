"""Image archives in the `docker save` format, written and read in plain Python.

One format for everything made here: containerd takes the tag of a `docker save` archive as the image's name, while
the reference of an OCI layout made by buildah would be prefixed with the date of the import.

Invariants: same entries, same bytes (no clock, no user names, sorted input is the caller's), hence the same image id.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from batchwright.errors import LocalError

# Machine names of uname(2) to the GOARCH names that image configurations use.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Entry:
    """One path of an image: a file with `content`, a symbolic link to `link`, or else a directory."""

    path: str
    mode: int = 0o755
    content: bytes | None = None
    link: str | None = None

    def header(self) -> tarfile.TarInfo:
        """The tar header: owned by root, dated 1970."""
        header = tarfile.TarInfo(self.path)
        header.mode = self.mode
        if self.link is not None:
            header.type, header.linkname = tarfile.SYMTYPE, self.link
        elif self.content is None:
            header.type = tarfile.DIRTYPE
        else:
            header.size = len(self.content)
        return header


@dataclass(frozen=True)
class Settings:
    """What the image says about running it."""

    command: Sequence[str] = ()
    entrypoint: Sequence[str] = ()
    environment: Mapping[str, str] = field(
        default_factory=lambda: {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    )

    def as_config(self) -> dict[str, Any]:
        """The `config` object of the OCI image specification."""
        config: dict[str, Any] = {"Env": [f"{name}={value}" for name, value in sorted(self.environment.items())]}
        if self.entrypoint:
            config["Entrypoint"] = list(self.entrypoint)
        if self.command:
            config["Cmd"] = list(self.command)
        return config


def architecture() -> str:
    """This machine's architecture as image configurations name it."""
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)


def build_layer(entries: Sequence[Entry]) -> bytes:
    """An uncompressed layer holding `entries`, in their order."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as layer:
        for entry in entries:
            layer.addfile(entry.header(), None if entry.content is None else io.BytesIO(entry.content))
    return buffer.getvalue()


def write_archive(archive: Path, tag: str, layer: io.BufferedReader | io.BytesIO, settings: Settings) -> None:
    """Write an image of one layer, read from the seekable `layer`, under `tag` to `archive`."""
    digest = hashlib.file_digest(layer, "sha256").hexdigest()
    size = layer.seek(0, io.SEEK_END)
    layer.seek(0)
    config = _encode(
        {
            "architecture": architecture(),
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": settings.as_config(),
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
            "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "batchwright"}],
        }
    )
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = _encode([{"Config": config_name, "RepoTags": [tag], "Layers": [f"{digest}.tar"]}])
    with tarfile.open(archive, mode="w", format=tarfile.PAX_FORMAT) as image:
        # The manifest first: who only wants the tag need not read past a layer.
        _add(image, "manifest.json", io.BytesIO(manifest), len(manifest))
        _add(image, config_name, io.BytesIO(config), len(config))
        _add(image, f"{digest}.tar", layer, size)


def read_tags(archive: Path) -> tuple[str, ...]:
    """The names an archive gives its images (`docker save` format); LocalError when it names none."""
    try:
        with tarfile.open(archive) as image:
            manifest = image.extractfile("manifest.json")
            images = json.load(manifest) if manifest is not None else []
    except (KeyError, tarfile.TarError, ValueError) as error:
        raise LocalError(
            f"{archive} is no image archive in the `docker save` format: {error}; "
            "make one with `docker save -o FILE TAG` or `buildah push TAG docker-archive:FILE:TAG`"
        ) from error
    tags = tuple(tag for entry in images for tag in entry.get("RepoTags") or ())
    if not tags:
        raise LocalError(f"{archive} names no image: save it by its tag, not by its id")
    return tags


def _add(image: tarfile.TarFile, name: str, content: IO[bytes], size: int) -> None:
    header = tarfile.TarInfo(name)
    header.size, header.mode = size, 0o644
    image.addfile(header, content)


def _encode(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
