"""Simulated nodes: plain Node objects that kwok keeps ready (label `type: kwok`).

Invariants: names are kwok-0, kwok-1, …; a node that is there is never changed: asking again adds what is missing.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchwright import names
from batchwright.errors import AlreadyExists, LocalError
from batchwright.local.api import Api

_QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?")
_CONNECTIONS = 8
_ZONES = ("local-a", "local-b", "local-c")


@dataclass(frozen=True)
class NodeShape:
    """What one simulated node offers; quantities as Kubernetes writes them."""

    cpu: str = "32"
    memory: str = "128Gi"
    gpus: int = 0

    def __post_init__(self) -> None:
        for flag, value in (("--node-cpu", self.cpu), ("--node-memory", self.memory)):
            if not _QUANTITY.fullmatch(value):
                raise LocalError(f"{flag} {value!r} is not a Kubernetes quantity such as 32, 500m or 128Gi")
        if self.gpus < 0:
            raise LocalError(f"--node-gpus {self.gpus} must not be negative")


def ensure_nodes(kubeconfig: Path, count: int, shape: NodeShape) -> int:
    """Create the missing ones of kwok-0 … kwok-<count-1>; return how many were made. LocalError when refused."""
    with Api(kubeconfig) as api:
        there = {item["metadata"]["name"] for item in _list(api)}
    missing = [number for number in range(count) if f"kwok-{number}" not in there]
    if not missing:
        return 0
    lanes = [missing[lane::_CONNECTIONS] for lane in range(min(_CONNECTIONS, len(missing)))]
    with ThreadPoolExecutor(len(lanes)) as pool:
        list(pool.map(lambda lane: _create(kubeconfig, lane, shape), lanes))
    return len(missing)


def count_nodes(kubeconfig: Path) -> tuple[int, int]:
    """How many nodes the cluster has: simulated, and real."""
    with Api(kubeconfig) as api:
        everything = api.request("GET", "/api/v1/nodes")["items"]
    simulated = sum(item["metadata"].get("labels", {}).get("type") == "kwok" for item in everything)
    return simulated, len(everything) - simulated


def build_node(number: int, shape: NodeShape) -> dict[str, Any]:
    """The Node object of kwok-<number>."""
    name = f"kwok-{number}"
    resources = {"cpu": shape.cpu, "memory": shape.memory, "pods": "250", "ephemeral-storage": "1Ti"}
    if shape.gpus:
        resources[names.GPU_RESOURCE] = str(shape.gpus)
    labels = {
        "type": "kwok",
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "node.kubernetes.io/instance-type": f"simulated.{shape.cpu}cpu",
        "topology.kubernetes.io/region": "local",
        "topology.kubernetes.io/zone": _ZONES[number % len(_ZONES)],
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "status": {
            "capacity": resources,
            "allocatable": resources,
            "addresses": [
                {"type": "InternalIP", "address": _address(number)},
                {"type": "Hostname", "address": name},
            ],
        },
    }


def _address(number: int) -> str:
    host = number + 1
    return f"10.32.{host // 256}.{host % 256}" if host < 65536 else "10.32.255.255"


def _list(api: Api) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = api.request("GET", "/api/v1/nodes?labelSelector=type%3Dkwok")["items"]
    return items


def _create(kubeconfig: Path, numbers: list[int], shape: NodeShape) -> None:
    with Api(kubeconfig) as api:
        for number in numbers:
            with suppress(AlreadyExists):  # another command made it meanwhile
                api.request("POST", "/api/v1/nodes", build_node(number, shape))
