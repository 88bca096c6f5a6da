"""Images built from a Dockerfile by buildah, on a base archive, without a daemon or a registry.

Hazards: RUN steps are executed as root in a chroot (`--isolation chroot`) with the host's network, so that a build
may use the host's package mirrors: build only Dockerfiles that are trusted as much as a shell script run as root.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from batchwright.errors import LocalError
from batchwright.local.commands import require, run
from batchwright.local.images.archive import read_tags
from batchwright.local.images.cache import store

_DEADLINE_SECONDS = 1800.0
# buildah wants a policy and a registry list even where nothing is pulled; these two say "take the archive I name".
_POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}\n'
_REGISTRIES = "unqualified-search-registries = []\n"


def build_image(
    context: Path,
    dockerfile: Path,
    tag: str,
    base: Path,
    build_args: Mapping[str, str] | None = None,
    progress: Callable[[str], None] = lambda _message: None,
    volumes: Sequence[str] = (),
) -> Path:
    """Build `dockerfile` over `context` as `tag` and return its archive; cached by the hash of all that goes in.

    The Dockerfile starts with `ARG BASE_IMAGE` and `FROM $BASE_IMAGE`: BASE_IMAGE becomes the image in the archive
    `base`.  `tag` is fully qualified (`batchwright.local/name:tag`).  `volumes` (`HOST:CONTAINER:ro`) are there
    during the build and not in the image: the host's certificates, say.  Raises LocalError with buildah's last words.
    """
    if "/" not in tag or ":" not in tag.rsplit("/", 1)[-1]:
        raise LocalError(f"tag {tag!r} is not fully qualified: write it as batchwright.local/NAME:TAG")
    arguments = dict(build_args or {})
    fingerprint = _fingerprint(context, dockerfile, tag, base, arguments)
    name = tag.rsplit("/", 1)[-1].replace(":", "-")
    return store(
        f"{name}-{fingerprint}.tar",
        lambda archive, scratch: _build(archive, scratch, context, dockerfile, tag, base, arguments, progress, volumes),
    )


def _build(
    archive: Path,
    scratch: Path,
    context: Path,
    dockerfile: Path,
    tag: str,
    base: Path,
    arguments: Mapping[str, str],
    progress: Callable[[str], None],
    volumes: Sequence[str],
) -> None:
    if os.geteuid() != 0:
        raise LocalError(f"building {tag} needs root: the steps of the Dockerfile run in a chroot")
    policy, registries, temporary = scratch / "policy.json", scratch / "registries.conf", scratch / "tmp"
    policy.write_text(_POLICY)
    registries.write_text(_REGISTRIES)
    temporary.mkdir()
    buildah = [
        *(require("buildah", "buildah"), "--storage-driver", "vfs"),
        *("--root", str(scratch / "root"), "--runroot", str(scratch / "runroot")),
        *("--registries-conf", str(registries)),
    ]
    environment = {"TMPDIR": str(temporary), "BUILDAH_ISOLATION": "chroot"}
    base_tag = read_tags(base)[0]

    progress(f"loading {base_tag}")
    pull = ["pull", "--quiet", "--signature-policy", str(policy), f"docker-archive:{base}"]
    run([*buildah, *pull], what=f"loading {base_tag}", timeout=_DEADLINE_SECONDS, environment=environment)

    progress(f"building {tag}")
    options = ["--isolation", "chroot", "--pull-never", "--layers=false", "--squash", "--timestamp", "0"]
    for argument, value in sorted({**arguments, "BASE_IMAGE": base_tag}.items()):
        options += ["--build-arg", f"{argument}={value}"]
    for volume in volumes:
        options += ["--volume", volume]
    bud = ["bud", "--signature-policy", str(policy), *options, "-t", tag, "-f", str(dockerfile), str(context)]
    run([*buildah, *bud], what=f"building {tag}", timeout=_DEADLINE_SECONDS, environment=environment)

    progress(f"packing {tag}")
    push = ["push", "--quiet", "--signature-policy", str(policy), tag, f"docker-archive:{archive}:{tag}"]
    run([*buildah, *push], what=f"packing {tag}", timeout=_DEADLINE_SECONDS, environment=environment)


def _fingerprint(context: Path, dockerfile: Path, tag: str, base: Path, arguments: Mapping[str, str]) -> str:
    digest = hashlib.sha256(repr((tag, sorted(arguments.items()), base.name)).encode())
    digest.update(hashlib.sha256(dockerfile.read_bytes()).digest())
    for path in sorted(context.rglob("*")):
        relative = path.relative_to(context).as_posix()
        mode = path.lstat().st_mode
        digest.update(repr((relative, mode)).encode())
        if path.is_symlink():
            digest.update(os.readlink(path).encode())
        elif path.is_file():
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]
