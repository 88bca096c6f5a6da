"""The node that an instance becomes: what is left for pods when the kubelet and the system have theirs, and its labels.

The reserves are those of EKS images (awslabs/amazon-eks-ami, nodeadm: kube-reserved by cores and pods, 100Mi before
eviction), and what a hypervisor keeps of the memory (Karpenter: 7.5 %). What real nodes turn out to have goes before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from batchwright import names
from batchwright.capacity.port import Blueprint, InstanceType, Kind
from batchwright.domain.observations import Node
from batchwright.domain.quantities import CPU, MEBIBYTE, MEMORY, PODS, Resources

HYPERVISOR_PERMILLE = 75
EVICTION = 100 * MEBIBYTE
# Of the first core, the second, the third and fourth, and every other, in tenths of a milli-CPU per milli-CPU.
_CPU_STEPS = ((1000, 600), (1000, 100), (2000, 50))
_CPU_REST = 25


@dataclass(frozen=True)
class Learnt:
    """What real nodes have shown: allocatable by instance type, and what daemons take of each node."""

    allocatable: Mapping[str, Resources] = field(default_factory=dict)
    daemons: Resources = field(default_factory=dict)


def kube_reserved_cpu(milli: int) -> int:
    """The milli-CPU that kubelet and runtime keep."""
    kept, rest = 0, milli
    for width, share in _CPU_STEPS:
        part = min(rest, width)
        kept, rest = kept + part * share, rest - part
    return -(-(kept + rest * _CPU_REST) // 10_000)


def allocatable(found: InstanceType) -> Resources:
    """What a node of the type has for pods."""
    memory = found.memory * (1000 - HYPERVISOR_PERMILLE) // 1000
    kept = (255 + 11 * found.pods) * MEBIBYTE + EVICTION
    amounts = {
        CPU: found.vcpus - kube_reserved_cpu(found.vcpus),
        MEMORY: max(0, memory - kept),
        PODS: found.pods,
        "ephemeral-storage": found.disk * 9 // 10,
    }
    return amounts | ({names.GPU_RESOURCE: found.gpus} if found.gpus else {})


def node_of(kind: Kind, blueprint: Blueprint, learnt: Learnt | None = None) -> Node:
    """The node, as it is when it has just come; what daemons take is taken off."""
    known = learnt or Learnt()
    has = dict(known.allocatable.get(kind.type.name) or allocatable(kind.type))
    for name, amount in known.daemons.items():
        has[name] = max(0, has.get(name, 0) - amount)
    return Node(
        name=f"{kind.type.name}/{kind.zone}",
        instance="",
        labels=labels_of(kind, blueprint),
        taints=blueprint.taints,
        allocatable=has,
        ready=True,
        schedulable=True,
    )


def labels_of(kind: Kind, blueprint: Blueprint) -> dict[str, str]:
    """The labels of the node: the environment's, and those that the cloud controller gives."""
    # Where the zone is chosen by others, nothing can be promised to those who ask for one.
    return blueprint.labels | {
        **({names.ZONE: kind.zone} if kind.zone else {}),
        names.INSTANCE_TYPE: kind.type.name,
        names.ARCHITECTURE: kind.type.architecture,
        "kubernetes.io/os": "linux",
        names.LABEL_CAPACITY: kind.capacity,
    }
