"""helm, helm-unittest, kubeconform and promtool, as pinned below scripts/, built once into the user's cache.

`python -m charttools` builds them and prints where they are.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from batchwright.errors import LocalBuildError
from batchwright.local import paths
from batchwright.local.locks import exclusive
from batchwright.local.toolchain import BUILD_SECONDS, build, check_toolchain

ROOT: Final = Path(__file__).parent.parent
MODULES: Final = ROOT / "scripts"
# By name: the module that pins it, and its package.
PACKAGES: Final = {
    "helm": ("chart-tools", "helm.sh/helm/v4/cmd/helm"),
    "helm-unittest": ("chart-tools", "github.com/helm-unittest/helm-unittest/cmd/helm-unittest"),
    "kubeconform": ("chart-tools", "github.com/yannh/kubeconform/cmd/kubeconform"),
    "promtool": ("prometheus-tools", "github.com/prometheus/prometheus/cmd/promtool"),
}
# Without the clients of every cloud that Prometheus finds targets in: most of what would be built.
_TAGS: Final = {"promtool": "remove_all_sd"}
# No program: its module has the CRDs of the Prometheus Operator.
PROMETHEUS_OPERATOR: Final = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
DOWNLOAD_SECONDS: Final = 300


def ensure(name: str) -> Path:
    """The program, built if need be. LocalBuildError when that cannot be done."""
    module, package = PACKAGES[name]
    pins = hashlib.sha256((MODULES / module / "go.mod").read_bytes()).hexdigest()[:12]
    target = paths.cache_root() / "bin" / f"chart-{pins}" / name
    if target.is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(target.with_suffix(".lock"), BUILD_SECONDS, f"building {name}"):
        if not target.is_file():
            go = check_toolchain(MODULES, target.parent, module=module)
            build(go, MODULES / module, package, target, tags=_TAGS.get(name, ""))
    return target


def prometheus_crds() -> Path:
    """The directory of the CRDs of the Prometheus Operator, from the Go module proxy or Go's own cache."""
    go = shutil.which("go")
    if go is None:
        raise LocalBuildError("the CRDs of the Prometheus Operator come with `go mod download`: put `go` on PATH")
    done = subprocess.run(
        [go, "mod", "download", "-json", PROMETHEUS_OPERATOR],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=DOWNLOAD_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise LocalBuildError(f"`go mod download {PROMETHEUS_OPERATOR}` failed: {done.stderr or done.stdout}")
    return Path(json.loads(done.stdout)["Dir"]) / "example/prometheus-operator-crd"


if __name__ == "__main__":
    for each in PACKAGES:
        began = time.monotonic()
        sys.stdout.write(f"{ensure(each)} ({time.monotonic() - began:.0f} s)\n")
