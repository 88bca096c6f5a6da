"""Simulated machines of three kinds for the pipeline: Nodes that kwok keeps ready, told apart by a label.

Invariant: a machine that is there is never changed: asking again adds what is missing.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from batchwright.errors import AlreadyExists
from batchwright.local.api import Api
from batchwright.local.nodes import NodeShape, build_node

NODE_LABEL: Final = "batchwright.io/node"
# Each kind's number and shape: room for 16 elements of the network stage at one time, for 128 of the CPU stage and
# for 128 of the memory stage.
KINDS: Final = {
    "network": (2, NodeShape(cpu="16", memory="32Gi")),
    "cpu": (4, NodeShape(cpu="32", memory="64Gi")),
    "memory": (4, NodeShape(cpu="16", memory="256Gi")),
}
# Numbers, hence addresses, that the cluster's other simulated nodes do not have.
_FIRST_NUMBER: Final = 30_000


def ensure_machines(kubeconfig: Path) -> int:
    """Create the missing machines; return how many were made. ApiError when refused."""
    made = 0
    with Api(kubeconfig) as api:
        for machine in build_machines():
            with suppress(AlreadyExists):
                api.request("POST", "/api/v1/nodes", machine)
                made += 1
    return made


def build_machines() -> list[dict[str, Any]]:
    """The Node objects of all machines: network-0, network-1, cpu-0, …"""
    kinds = [(f"{kind}-{number}", kind, shape) for kind, (count, shape) in KINDS.items() for number in range(count)]
    return [_machine(_FIRST_NUMBER + place, *each) for place, each in enumerate(kinds)]


def _machine(number: int, name: str, kind: str, shape: NodeShape) -> dict[str, Any]:
    node = build_node(number, shape)
    node["metadata"]["name"] = name
    node["metadata"]["labels"] |= {"kubernetes.io/hostname": name, NODE_LABEL: kind}
    for address in node["status"]["addresses"]:
        if address["type"] == "Hostname":
            address["address"] = name
    return node
