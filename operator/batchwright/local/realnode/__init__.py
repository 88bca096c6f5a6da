"""A real Kubernetes node without Docker: containerd, the kubelet, kube-proxy and CoreDNS in namespaces of their own.

All of the node lives in one network, one mount and one PID namespace whose PID 1 is `realnode.init`.  Ending that one
process ends every process of the node and takes its mounts, bridges, packet filter tables and pod networks with it, so
nothing is left behind, and several clusters live side by side on one host.

    host                              │ the node's namespaces
    API server ── veth (host_address) ┼── eth0 (node_address): kubelet :10250, CoreDNS :53
                                      │     └── bridge cni0 ── pods, masqueraded to node_address

Order: `prepare` (namespaces and the veth pair), then the control plane on `Network.host_address`, then `start`.

Hazards: needs root.  Pods reach the host's end of the veth pair and nothing beyond it; other addresses are refused at
once, so that a pull from a registry fails promptly.
"""

from __future__ import annotations

from batchwright.local.realnode.network import Network
from batchwright.local.realnode.node import (
    NODE_LABEL,
    NodeStatus,
    import_image,
    is_running,
    node_name,
    prepare,
    start,
    status,
    stop,
)
from batchwright.local.realnode.programs import REQUIRED_PACKAGES, check_host

__all__ = [
    "NODE_LABEL",
    "REQUIRED_PACKAGES",
    "Network",
    "NodeStatus",
    "check_host",
    "import_image",
    "is_running",
    "node_name",
    "prepare",
    "start",
    "status",
    "stop",
]
