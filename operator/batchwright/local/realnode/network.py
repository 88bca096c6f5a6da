"""The veth pair between the host and a node: its names, its addresses, its making and its end.

Invariants: each node has a /30 of its own that overlaps no address and no route of the host; interface names are
derived from the cluster's name and fit the kernel's 15 characters.  Choosing and taking an address is one step under a
host-wide lock, so two clusters that start together do not take the same.

Hazard: the pair dies with the network namespace, but the kernel does that some time after the last process of the
node is gone; `remove_veth` does not wait for it.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from batchwright.errors import LocalError
from batchwright.local.commands import run

# All clusters share these: they exist only inside a node's network namespace.
POD_SUBNET: Final = "10.244.0.0/16"
POD_GATEWAY: Final = "10.244.0.1"

_NODE_INTERFACE: Final = "eth0"
_LINKS: Final = ipaddress.IPv4Network("10.190.0.0/15")
_FILE: Final = "network.json"
# An abstract socket is a lock that belongs to no directory and dies with its holder.
_LOCK: Final = "\0batchwright-real-node-network"


@dataclass(frozen=True)
class Network:
    """Addresses of a node's link: the API server binds `host_address`, the kubelet `node_address`."""

    host_address: str
    node_address: str
    prefix_length: int
    host_interface: str


def interface_name(name: str) -> str:
    """The host's end of the cluster `name`'s veth pair: at most 15 characters, the same each time."""
    return f"bw{hashlib.sha256(name.encode()).hexdigest()[:10]}"


def load_network(directory: Path) -> Network | None:
    """The network of a node prepared before; None when there is none."""
    try:
        return Network(**json.loads((directory / _FILE).read_text()))
    except FileNotFoundError:
        return None


def save_network(directory: Path, network: Network) -> None:
    """Remember the network beside the node's other state."""
    temporary = directory / f".{_FILE}"
    temporary.write_text(json.dumps(asdict(network)) + "\n")
    temporary.replace(directory / _FILE)


def make_veth(name: str, init_pid: int, preferred: Network | None) -> Network:
    """Make the veth pair between the host and the namespaces of `init_pid`, with addresses.

    `preferred`, the node's network before a restart, is taken again when it is free: the API server's certificate and
    the kubeconfig name its address.
    """
    interface = interface_name(name)
    with _host_wide_lock():
        remove_veth(name)
        taken = _taken_networks()
        link = choose_link(name, taken, preferred.host_address if preferred else None)
        host, node = link.network_address + 1, link.network_address + 2
        network = Network(str(host), str(node), link.prefixlen, interface)
        add = ["ip", "link", "add", interface, "type", "veth", "peer", "name", _NODE_INTERFACE, "netns", str(init_pid)]
        run(add, what="making the node's network link")
        run(["ip", "address", "add", f"{host}/{link.prefixlen}", "dev", interface], what="setting the host's address")
        run(["ip", "link", "set", interface, "up"], what="raising the node's network link")
    inside = ["nsenter", "--target", str(init_pid), "--net", "--", "ip"]
    for command in (
        ["link", "set", "lo", "up"],
        ["address", "add", f"{node}/{link.prefixlen}", "dev", _NODE_INTERFACE],
        ["link", "set", _NODE_INTERFACE, "up"],
        # Needed for hostNetwork pods: a Service's address is looked up before it is translated.
        ["route", "add", "default", "via", str(host)],
    ):
        run([*inside, *command], what="configuring the node's network")
    return network


def remove_veth(name: str) -> None:
    """Remove the host's end (and with it the pair), if it is there."""
    interface = interface_name(name)
    if has_veth(name):
        try:
            run(["ip", "link", "delete", interface], what="removing the node's network link")
        except LocalError:
            if has_veth(name):  # the kernel may have been faster
                raise


def has_veth(name: str) -> bool:
    """Whether the host's end of the cluster's veth pair exists."""
    return Path("/sys/class/net", interface_name(name)).exists()


def choose_link(
    name: str, taken: list[ipaddress.IPv4Network], preferred_host: str | None = None
) -> ipaddress.IPv4Network:
    """A /30 that overlaps nothing in `taken`: the preferred one, or the first free from a place given by the name."""
    links = 2 ** (30 - _LINKS.prefixlen)
    first = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % links
    candidates = [(int(_LINKS.network_address) + 4 * ((first + step) % links)) for step in range(links)]
    if preferred_host is not None:
        candidates.insert(0, int(ipaddress.IPv4Address(preferred_host)) & ~3)
    for address in candidates:
        link = ipaddress.IPv4Network((address, 30))
        if not any(link.overlaps(network) for network in taken):
            return link
    raise LocalError(
        f"no free network of four addresses in {_LINKS}: every one is covered by a route or an address of this host "
        "(see `ip route`); stop other clusters or the VPN that routes this range"
    )


def _taken_networks() -> list[ipaddress.IPv4Network]:
    """Every IPv4 network this host has an address in or a route to, but the default route."""
    addresses = json.loads(run(["ip", "-4", "-json", "address"], what="listing addresses"))
    routes = json.loads(run(["ip", "-4", "-json", "route", "show", "table", "all"], what="listing routes"))
    texts = [f"{info['local']}/{info['prefixlen']}" for entry in addresses for info in entry.get("addr_info", ())]
    texts += [route["dst"] for route in routes if route["dst"] != "default"]
    networks = [ipaddress.IPv4Network(text, strict=False) for text in texts]
    return [network for network in networks if network.prefixlen > 0]


@retry(retry=retry_if_exception_type(BlockingIOError), stop=stop_after_delay(30), wait=wait_fixed(0.1), reraise=True)
def _take_lock() -> socket.socket:
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        lock.bind(_LOCK)
    except OSError as error:
        lock.close()
        raise BlockingIOError("another cluster has been choosing its network for 30 s; try again") from error
    return lock


@contextmanager
def _host_wide_lock() -> Iterator[None]:
    try:
        lock = _take_lock()
    except BlockingIOError as error:
        raise LocalError(str(error)) from error
    with lock:
        yield
