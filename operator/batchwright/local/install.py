"""Putting Batchwright's CustomResourceDefinitions into a cluster.

They are applied with kubectl, so that a cluster of the user's own works with whatever login its kubeconfig asks for.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

from batchwright.errors import LocalError
from batchwright.local import binaries

_ESTABLISHED_SECONDS: Final = 60


def crds_directory() -> Path:
    """The directory of the generated CRDs: in an installed package, or in the source tree. LocalError if neither."""
    package = Path(__file__).parents[1]
    candidates = (package / "_crds", package.parents[1] / "crds")
    for candidate in candidates:
        if any(candidate.glob("*.yaml")):
            return candidate
    looked = " nor in ".join(str(candidate) for candidate in candidates)
    raise LocalError(f"there are no CRDs in {looked}: the installation is damaged, install batchwright again")


def apply_crds(kubeconfig: Path) -> None:
    """Apply every CRD and wait until all are established. LocalError says what the API server objects to."""
    directory = crds_directory()
    kubectl = find_kubectl()
    # Server-side: large schemas do not fit client-side apply's annotation, and repeats are cheap.
    run_kubectl(kubectl, kubeconfig, "apply", "--server-side", "--force-conflicts", "-f", str(directory))
    run_kubectl(
        kubectl,
        kubeconfig,
        "wait",
        "--for=condition=Established",
        f"--timeout={_ESTABLISHED_SECONDS}s",
        "-f",
        str(directory),
    )


def find_kubectl() -> Path:
    """kubectl on the machine or in the cache; LocalError when there is none."""
    found = binaries.locate(["kubectl"])
    if not found:
        raise LocalError(
            "there is no kubectl (1.36 or newer) on PATH: install it, https://kubernetes.io/docs/tasks/tools"
        )
    return found["kubectl"]


def run_kubectl(kubectl: Path, kubeconfig: Path | None, *arguments: str) -> str:
    """Run kubectl and return its output; LocalError with its complaint when it fails."""
    environment = dict(os.environ)
    if kubeconfig is not None:
        environment["KUBECONFIG"] = str(kubeconfig)
    try:
        done = subprocess.run(
            [str(kubectl), *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_ESTABLISHED_SECONDS + 60,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise LocalError(f"`kubectl {' '.join(arguments[:2])}` did not end within {error.timeout:.0f} s") from error
    if done.returncode != 0:
        raise LocalError(f"`kubectl {' '.join(arguments[:2])}` failed:\n{done.stderr.strip()[-2000:]}")
    return done.stdout
