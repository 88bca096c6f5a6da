"""The seam to the real node (`realnode`), which is imported only when one is asked for: it needs root and Linux."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from batchwright.errors import LocalError

if TYPE_CHECKING:
    from batchwright.local.realnode import Network


def check_privileges() -> None:
    """LocalError unless we are root: namespaces, mounts and the kubelet need it."""
    if os.geteuid() != 0:
        raise LocalError("--real-node needs root (network namespaces, mounts, the kubelet): run as root, or without it")


def prepare(directory: Path) -> Network:
    """The node's network, made if need be."""
    from batchwright.local import realnode

    return realnode.prepare(directory.name, directory)


def start(directory: Path, kubeconfig: Path, binaries: Mapping[str, Path]) -> None:
    """Start what does not run of containerd, kubelet, kube-proxy and CoreDNS; returns when the node is Ready."""
    from batchwright.local import realnode

    realnode.start(directory.name, directory, kubeconfig, binaries)


def stop(directory: Path) -> None:
    """End the node and take its mounts and interfaces away; nothing to do where there is none."""
    if os.geteuid() != 0:
        return  # without root there never was one
    from batchwright.local import realnode

    realnode.stop(directory.name, directory)


def programs(directory: Path) -> dict[str, bool]:
    """The node's programs by name, and whether each runs."""
    from batchwright.local import realnode

    return dict(realnode.status(directory.name, directory).programs)
