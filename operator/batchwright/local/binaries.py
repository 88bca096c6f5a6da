"""The binaries of the embedded cluster: found on the machine if new enough, else built once into the user's cache.

Looked for in $KUBEBUILDER_ASSETS, then PATH, then the cache. kwok and kwokctl are only taken from the cache: their
configuration is bound to the version pinned in modules/kwok/go.mod.

Invariants: only what a command needs is built; two commands never build at once; the cache directory's name is made of
the pins, so that another version of Batchwright never runs old binaries.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from batchwright.local import paths
from batchwright.local.locks import exclusive
from batchwright.local.progress import Reporter
from batchwright.local.toolchain import BUILD_SECONDS, KUBERNETES_VERSION, build, check_toolchain, copy_modules

CONTROL_PLANE: Final = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubectl",
    "kwok",
    "kwokctl",
)
REAL_NODE: Final = ("kubelet", "kube-proxy", "coredns")


@dataclass(frozen=True)
class _Source:
    module: str
    package: str
    oldest: tuple[int, ...] | None = None  # of a binary found on the machine; None: never taken from there


_KUBERNETES_OLDEST: Final = (1, 36)
_SOURCES: Final[Mapping[str, _Source]] = {
    "etcd": _Source("kubernetes", "go.etcd.io/etcd/server/v3", (3, 5)),
    **{
        name: _Source("kubernetes", f"k8s.io/kubernetes/cmd/{name}", _KUBERNETES_OLDEST)
        for name in (
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
            "kubectl",
            "kubelet",
            "kube-proxy",
        )
    },
    "kwok": _Source("kwok", "sigs.k8s.io/kwok/cmd/kwok"),
    "kwokctl": _Source("kwok", "sigs.k8s.io/kwok/cmd/kwokctl"),
    "coredns": _Source("coredns", "github.com/coredns/coredns"),
}


def locate(names: Iterable[str]) -> dict[str, Path]:
    """Those of `names` that are ready to run, on the machine or in the cache."""
    found = {}
    cached = cache_directory()
    for name in names:
        path = _on_machine(name, _SOURCES[name].oldest) or _executable(cached / name)
        if path is not None:
            found[name] = path
    return found


def ensure(names: Iterable[str], reporter: Reporter) -> dict[str, Path]:
    """Every one of `names`, built if need be. LocalBuildError when that cannot be done."""
    wanted = list(names)
    found = locate(wanted)
    missing = [name for name in wanted if name not in found]
    if missing:
        found |= _build_missing(missing, reporter)
    return found


def cache_directory() -> Path:
    """Where this version's binaries are built to; its name changes with every pin."""
    pins = hashlib.sha256()
    source = Path(__file__).parent / "modules"
    for go_mod in sorted(source.glob("*/go.mod")):
        pins.update(go_mod.read_bytes())
    return paths.cache_root() / "bin" / f"{KUBERNETES_VERSION}-{pins.hexdigest()[:12]}"


def _build_missing(missing: list[str], reporter: Reporter) -> dict[str, Path]:
    target = cache_directory()
    target.mkdir(parents=True, exist_ok=True)
    with exclusive(target.with_suffix(".lock"), BUILD_SECONDS, "building the cluster's binaries"):
        still = [name for name in missing if _executable(target / name) is None]
        if still:
            reporter.note(
                f"building {len(still)} of the cluster's binaries from source (Kubernetes {KUBERNETES_VERSION}): "
                "neither in $KUBEBUILDER_ASSETS nor on PATH. Once per version; minutes the first time."
            )
            modules = copy_modules(target / "modules")
            go = check_toolchain(modules, target)
            with reporter.counted("building", still) as now:
                for name in still:
                    source = _SOURCES[name]
                    now(name)
                    started = time.monotonic()
                    build(go, modules / source.module, source.package, target / name)
                    reporter.done(f"build {name}", time.monotonic() - started)
    return {name: target / name for name in missing}


def _on_machine(name: str, oldest: tuple[int, ...] | None) -> Path | None:
    if oldest is None:
        return None
    assets = os.environ.get("KUBEBUILDER_ASSETS", "")
    candidates = [Path(assets) / name] if assets else []
    on_path = shutil.which(name)
    candidates += [Path(on_path)] if on_path else []
    for candidate in candidates:
        path = _executable(candidate)
        if path is not None and _version(path) >= oldest:
            return path
    return None


def _executable(path: Path) -> Path | None:
    return path if path.is_file() and os.access(path, os.X_OK) else None


def _version(path: Path) -> tuple[int, ...]:
    """The version a binary says it has; () when it says none (then it is never new enough)."""
    arguments = ["version", "--client"] if path.name == "kubectl" else ["--version"]
    try:
        done = subprocess.run([str(path), *arguments], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    match = re.search(r"v?(\d+)\.(\d+)(?:\.(\d+))?", done.stdout)
    return tuple(int(part) for part in match.groups(default="0")) if match else ()
