"""The kind runtime: where Docker runs, `kind` makes the cluster; simulated nodes are kept by a kwok process of ours."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

import yaml

from batchwright.errors import LocalError
from batchwright.local import controlplane, processes
from batchwright.local.stages import all_stages

_CREATE_SECONDS: Final = 900.0
KWOK: Final = "kwok-controller"


def why_unavailable() -> str | None:
    """None when kind can make clusters here, else what is missing."""
    if shutil.which("kind") is None:
        return "there is no `kind` on PATH"
    if shutil.which("docker") is None:
        return "there is no `docker` on PATH"
    try:
        done = _run("docker", "version", "--format", "{{.Server.Version}}", seconds=15)
    except subprocess.TimeoutExpired:
        return "Docker does not answer within 15 s"
    if done.returncode != 0:
        return "Docker does not answer: " + (done.stderr.strip().splitlines() or ["no message"])[-1]
    return None


def create(name: str, kubeconfig: Path) -> None:
    """Make the kind cluster and write its kubeconfig; LocalError with kind's complaint."""
    done = _run(
        "kind", "create", "cluster", "--name", name, "--kubeconfig", str(kubeconfig), "--wait", "180s",
        seconds=_CREATE_SECONDS,
    )  # fmt: skip
    if done.returncode != 0:
        raise LocalError(f"`kind create cluster` failed:\n{done.stderr.strip()[-2000:]}")


def delete(name: str, kubeconfig: Path) -> None:
    """Delete the kind cluster; nothing to do where there is none."""
    done = _run("kind", "delete", "cluster", "--name", name, "--kubeconfig", str(kubeconfig), seconds=180)
    if done.returncode != 0:
        raise LocalError(f"`kind delete cluster` failed:\n{done.stderr.strip()[-2000:]}")


def start_kwok(directory: Path, kubeconfig: Path, kwok: Path, port: int) -> None:
    """Run kwok against the cluster, for its simulated nodes only; nothing to do where it runs already."""
    if processes.find(directory, KWOK):
        return
    config = directory / "kwok.yaml"
    config.write_text(yaml.safe_dump_all([controlplane.kwok_configuration(), *all_stages()]))
    argv = [
        str(kwok),
        f"--kubeconfig={kubeconfig}",
        f"--config={config}",
        "--manage-all-nodes=false",
        "--manage-nodes-with-label-selector=type=kwok",
        f"--server-address=127.0.0.1:{port}",
    ]
    processes.spawn(KWOK, argv, directory, {})


def _run(*argv: str, seconds: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False)
