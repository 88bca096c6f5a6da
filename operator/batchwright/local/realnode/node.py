"""The life of a real node: prepare, start, stop; what it is made of is in the other modules.

Invariants: every function is idempotent and works on what a killed command left behind.  All state is in the
directory `node` below the cluster's, and `stop` removes it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from batchwright.errors import LocalError
from batchwright.local.images import ensure_pause, read_tags
from batchwright.local.realnode import cgroups
from batchwright.local.realnode.configuration import (
    CONTAINERD_SOCKET,
    Node,
    check_binaries,
    check_kubeconfig,
    packet_filter,
    write_configuration,
)
from batchwright.local.realnode.namespace import (
    apply_programs,
    end_init,
    ensure_init,
    enter,
    find_init,
    forget_programs,
    program_states,
)
from batchwright.local.realnode.network import (
    Network,
    has_veth,
    load_network,
    make_veth,
    remove_veth,
    save_network,
)
from batchwright.local.realnode.programs import check_host
from batchwright.local.realnode.readiness import await_node

NODE_LABEL: Final = "batchwright.io/node"
_NODE_LABEL_VALUE: Final = "real"
_STATE: Final = "node"
_READY_SECONDS: Final = 120.0
_CONTAINERD_SECONDS: Final = 60.0
_IMPORT_SECONDS: Final = 600.0


@dataclass(frozen=True)
class NodeStatus:
    """What `batchwright local status` shows: the node's name, and its programs by name → running."""

    name: str
    running: bool
    programs: Mapping[str, bool]


def node_name(name: str) -> str:
    """The Node object's name in the cluster `name`."""
    return f"{name}-real"


def prepare(name: str, directory: Path) -> Network:
    """Make the node's namespaces and its link to the host; return the addresses to build the control plane on.

    `directory` is the cluster's (absolute).  A node that is prepared already is left alone, and one that lost its
    namespaces (a reboot, a kill) gets the same addresses again when they are free.  Raises LocalError when the host
    lacks something.
    """
    check_host()
    state = _state(directory)
    state.mkdir(parents=True, exist_ok=True)
    network = load_network(state)
    if network is not None and find_init(directory) is not None and has_veth(name):
        return network
    _clear_remains(name, directory, state)
    # A new PID 1 would start the programs of its former life at once, before there is a network or an API server.
    forget_programs(state)
    (state / "resolv.conf").touch()
    cgroups.create(name)
    init_pid = ensure_init(directory, state)
    network = make_veth(name, init_pid, network)
    # In place: PID 1 has mounted this very file over /etc/resolv.conf.
    (state / "resolv.conf").write_text(f"nameserver {network.node_address}\n")
    rules = state / "packet-filter.nft"
    rules.write_text(packet_filter(network))
    enter(init_pid, ["nft", "--file", str(rules)], what="setting the node's packet filter")
    save_network(state, network)
    return network


def start(name: str, directory: Path, kubeconfig: Path, binaries: Mapping[str, Path]) -> None:
    """Start containerd, the kubelet, kube-proxy and CoreDNS, and return when pods can run.

    `binaries` has the paths of kubelet, kube-proxy and coredns.  The API server of `kubeconfig` listens on
    `Network.host_address`.  What runs already is left alone.  Raises LocalTimeoutError after two minutes.
    """
    check_binaries(binaries)
    network = prepare(name, directory)
    check_kubeconfig(kubeconfig, network)
    state = _state(directory)
    init_pid = _require_init(name, directory)
    node = Node(
        name=node_name(name),
        label=f"{NODE_LABEL}={_NODE_LABEL_VALUE}",
        state=state,
        network=network,
        kubeconfig=kubeconfig.absolute(),
        binaries={program: path.absolute() for program, path in binaries.items()},
        cgroup_root=cgroups.group_name(name),
        snapshotter=choose_snapshotter(state),
    )
    apply_programs(init_pid, state, write_configuration(node))
    import_image(name, directory, ensure_pause())
    await_node(node, init_pid, _READY_SECONDS)


def stop(name: str, directory: Path) -> None:
    """End the node and remove all it made: processes, mounts, interfaces, control groups, state on disk.

    Nothing to stop is fine.  The Node object is left to the API server.
    """
    state = _state(directory)
    _clear_remains(name, directory, state)
    if state.exists():
        shutil.rmtree(state)


def import_image(name: str, directory: Path, archive: Path) -> None:
    """Give the node the images of an archive in the `docker save` format; one it has already is not read again."""
    init_pid = _require_init(name, directory)
    if not _await_containerd(init_pid):
        raise LocalError(
            f"containerd of {node_name(name)} does not answer; see {_state(directory) / 'logs' / 'containerd.log'}"
        )
    facts = archive.stat()
    key = hashlib.sha256(repr((str(archive.absolute()), facts.st_size, facts.st_mtime_ns)).encode()).hexdigest()
    imported = _state(directory) / "imported"
    imported.mkdir(exist_ok=True)
    # One mark per tag: importing another archive of the same tag makes the first one due again.
    marks = [imported / quote(tag, safe="") for tag in read_tags(archive)]
    if all(mark.exists() and mark.read_text() == key for mark in marks):
        return
    snapshotter = choose_snapshotter(_state(directory))
    command = ["ctr", "--namespace=k8s.io", "images", "import", "--snapshotter", snapshotter, "-"]
    with archive.open("rb") as content:  # not by its path: the node's view of the file system is its own
        enter(init_pid, command, what=f"importing {archive}", timeout=_IMPORT_SECONDS, stdin=content)
    for mark in marks:
        mark.write_text(key)


def is_running(name: str, directory: Path) -> bool:
    """Whether the node's namespaces live and all its programs run."""
    return status(name, directory).running


def status(name: str, directory: Path) -> NodeStatus:
    """The node's programs as its PID 1 sees them; all of them gone when it is not running."""
    alive = find_init(directory) is not None
    programs = {program: alive and facts["running"] for program, facts in program_states(_state(directory)).items()}
    return NodeStatus(node_name(name), alive and bool(programs) and all(programs.values()), programs)


def choose_snapshotter(state: Path) -> str:
    """`overlayfs`, but `native` (slower, copies) where the state lies on an overlay, which cannot carry another."""
    return "native" if _file_system(state) == "overlay" else "overlayfs"


def _file_system(path: Path) -> str:
    device = os.stat(path).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        if fields[2] == wanted:
            return fields[fields.index("-") + 1]
    return ""


def _state(directory: Path) -> Path:
    return directory.absolute() / _STATE


def _require_init(name: str, directory: Path) -> int:
    init_pid = find_init(directory)
    if init_pid is None:
        raise LocalError(f"the node {node_name(name)} is not running; `batchwright local up --real-node` starts it")
    return init_pid


def _clear_remains(name: str, directory: Path, state: Path) -> None:
    """End whatever is left of the node, keeping its files."""
    end_init(directory)
    remove_veth(name)
    cgroups.remove(name)


@retry(
    retry=retry_if_result(lambda answers: not answers),
    stop=stop_after_delay(_CONTAINERD_SECONDS),
    wait=wait_fixed(0.05),
    retry_error_callback=lambda _state: False,
)
def _await_containerd(init_pid: int) -> bool:
    if not Path(f"/proc/{init_pid}/root{CONTAINERD_SOCKET}").is_socket():
        return False
    try:
        enter(init_pid, ["ctr", "version"], what="asking containerd")
    except LocalError:
        return False
    return True
