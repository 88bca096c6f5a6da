"""The host's programs that a real node needs, and how they are run."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from batchwright.errors import LocalError

# Where Debian and the upstream archives put the CNI plugins.
_CNI_DIRECTORIES: Final = (Path("/usr/lib/cni"), Path("/opt/cni/bin"), Path("/usr/libexec/cni"))
_CNI_PLUGINS: Final = ("bridge", "host-local", "loopback", "portmap")

SEARCH_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Program → Debian package.
_PROGRAMS: Final = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "conntrack": "conntrack",
    "iptables": "iptables",
    "nft": "nftables",
    "ip": "iproute2",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "mount": "mount",
    "busybox": "busybox-static",
}

# What a real node needs from Debian; debootstrap and buildah are for images beyond busybox.
REQUIRED_PACKAGES: Final = (
    "buildah",
    "busybox-static",
    "conntrack",
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


def require(program: str) -> str:
    """The full path of a program of the host; LocalError names its package."""
    found = shutil.which(program, path=SEARCH_PATH)
    if found is None:
        raise LocalError(f"the program {program} is missing; install it: apt-get install {_PROGRAMS[program]}")
    return found


def run(command: Sequence[str], *, what: str, timeout: float = 20.0) -> str:
    """Run a program to its end and return its standard output; LocalError carries what it said on standard error."""
    try:
        done = subprocess.run(
            [require(command[0]) if "/" not in command[0] else command[0], *command[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, "PATH": SEARCH_PATH},
        )
    except subprocess.TimeoutExpired as error:
        raise LocalError(f"{what}: no answer within {timeout:.0f} s from {' '.join(command)}") from error
    if done.returncode != 0:
        raise LocalError(f"{what}: exit code {done.returncode} from {' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
