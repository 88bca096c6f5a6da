"""The node's control groups: one directory of our own in every hierarchy, under which the kubelet keeps its pods.

Works on cgroup v1 (a hierarchy per controller), v2 (one) and hybrid hosts: the mounted hierarchies are read from
mountinfo.  Invariants: `remove` is called when no process of the node lives; it removes directories only, deepest
first, and waits for the kernel to let go of groups whose last process has just ended.
"""

from __future__ import annotations

import errno
from pathlib import Path

from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from batchwright.errors import LocalError

_REMOVAL_SECONDS = 20.0
# Those the kubelet insists on, where the machine has them (its `getSupportedUnifiedControllers`).
_CONTROLLERS = {"cpu", "cpuset", "hugetlb", "memory", "pids"}


def group_name(name: str) -> str:
    """The control group of the cluster `name`'s node, as the kubelet's `cgroupRoot` wants it."""
    return f"/batchwright-{name}"


def create(name: str) -> None:
    """Make the node's group in every hierarchy (the kubelet refuses a cgroupRoot that is not there)."""
    for hierarchy in hierarchies():
        if (hierarchy / "cgroup.controllers").exists():
            _enable_controllers(hierarchy)
        group = hierarchy / group_name(name).lstrip("/")
        group.mkdir(exist_ok=True)
        _inherit_cpuset(group)


def remove(name: str) -> None:
    """Remove the node's group and all below it from every hierarchy; nothing to do is fine."""
    for group in existing(name):
        try:
            for attempt in Retrying(
                retry=retry_if_exception_type(OSError), stop=stop_after_delay(_REMOVAL_SECONDS), wait=wait_fixed(0.05)
            ):
                with attempt:
                    _remove_tree(group)
        except RetryError as error:
            raise LocalError(
                f"the control group {group} cannot be removed: processes still live in it (see its cgroup.procs)"
            ) from error


def existing(name: str) -> list[Path]:
    """The node's groups that exist, one per hierarchy."""
    groups = (hierarchy / group_name(name).lstrip("/") for hierarchy in hierarchies())
    return [group for group in groups if group.exists()]


def hierarchies() -> list[Path]:
    """The mount points of the control group hierarchies, without double mounts of the same one."""
    found: dict[str, Path] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        separator = fields.index("-")
        device, root, mount_point, kind = fields[2], fields[3], fields[4], fields[separator + 1]
        if kind in ("cgroup", "cgroup2") and root == "/":
            found.setdefault(device, Path(mount_point))
    if not found:
        raise LocalError("no control group hierarchy is mounted under /sys/fs/cgroup: the kubelet cannot run here")
    return list(found.values())


def _enable_controllers(hierarchy: Path) -> None:
    """cgroup v2: a group has the controllers its parent hands down, and the kubelet refuses a root that lacks any."""
    available = set((hierarchy / "cgroup.controllers").read_text().split()) & _CONTROLLERS
    handed_down = set((hierarchy / "cgroup.subtree_control").read_text().split())
    for controller in sorted(available - handed_down):
        try:
            (hierarchy / "cgroup.subtree_control").write_text(f"+{controller}")
        except OSError as error:
            raise LocalError(
                f"the control group controller {controller} cannot be enabled in {hierarchy}: {error.strerror}; "
                "inside a container, run it with the host's control groups (--cgroupns=host)"
            ) from error


def _inherit_cpuset(group: Path) -> None:
    """A v1 cpuset starts empty and refuses processes until it has processors and memory nodes (cpuset(7))."""
    for file in ("cpuset.cpus", "cpuset.mems"):
        own = group / file
        if own.exists() and (group / "cpuset.memory_pressure").exists() and not own.read_text().strip():
            own.write_text((group.parent / file).read_text())


def _remove_tree(group: Path) -> None:
    # Only directories matter: control files go with their group.
    for child in [entry for entry in group.iterdir() if entry.is_dir()] if group.exists() else []:
        _remove_tree(child)
    try:
        group.rmdir()
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
