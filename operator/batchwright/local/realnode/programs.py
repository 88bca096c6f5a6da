"""What a real node needs of its host: root, Linux, and the programs of a few Debian packages."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from batchwright.errors import LocalError
from batchwright.local.commands import SEARCH_PATH

# Where Debian and the upstream archives put the CNI plugins.
_CNI_DIRECTORIES: Final = (Path("/usr/lib/cni"), Path("/opt/cni/bin"), Path("/usr/libexec/cni"))
_CNI_PLUGINS: Final = ("bridge", "host-local", "loopback", "portmap")

# Program → Debian package.
_PROGRAMS: Final = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "nft": "nftables",
    "ip": "iproute2",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "busybox": "busybox-static",
}

# What a real node needs from Debian; debootstrap and buildah are for images beyond busybox.
REQUIRED_PACKAGES: Final = (
    "buildah",
    "busybox-static",
    "containerd",
    "containernetworking-plugins",
    "debootstrap",
    "iproute2",
    "iptables",
    "nftables",
    "runc",
    "util-linux",
)


def check_host() -> None:
    """LocalError, with the line that helps, when this machine cannot run a real node."""
    if os.uname().sysname != "Linux":
        raise LocalError("a real node needs Linux; use `batchwright local up` without --real-node here")
    if os.geteuid() != 0:
        raise LocalError("a real node needs root: run the same command with sudo -E, or leave out --real-node")
    missing = {package for program, package in _PROGRAMS.items() if shutil.which(program, path=SEARCH_PATH) is None}
    if find_cni_plugins() is None:
        missing.add("containernetworking-plugins")
    if missing:
        raise LocalError(
            f"a real node needs Debian packages that are missing: {', '.join(sorted(missing))}; "
            f"install them: apt-get install {' '.join(sorted(missing))}"
        )


def find_cni_plugins() -> Path | None:
    """The directory that holds all the CNI plugins a node needs."""
    for directory in _CNI_DIRECTORIES:
        if all((directory / plugin).exists() for plugin in _CNI_PLUGINS):
            return directory
    return None
