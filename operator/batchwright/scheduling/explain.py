"""A wait in words: what was asked, what each environment has, and what a person can do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from batchwright.domain.quantities import format_bytes, format_cpu
from batchwright.names import GPU_RESOURCE, ZONE
from batchwright.scheduling.snapshot import Gang, Shape, Shortfall, Wait, WaitKind

# AWS Batch User Guide, "Jobs stuck in RUNNABLE": clients match this text.
RESOURCE_REQUIREMENT = (
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job resource requirement (vCPU/memory/GPU) is higher than "
    "that can be met by the CE(s) attached to the job queue."
)
INSUFFICIENT_CAPACITY = (
    "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested for instance type"
)
ENVIRONMENT_MAXIMUM = (
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - CE(s) associated with the job queue cannot meet the CPU "
    "requirement of the job."
)
_LIMITS = {
    WaitKind.QUEUE_FULL: "Waiting in JobQueue {queue} for others of it to end",
    WaitKind.QUOTA: "Waiting in JobQueue {queue} for quota",
    WaitKind.RESERVED: "Waiting in JobQueue {queue}",
    WaitKind.CONSUMABLE: "Next in JobQueue {queue}, waiting for consumable resources",
}
_ORDER = ("cpu", "memory", GPU_RESOURCE)


def describe(resources: Mapping[str, int] | Iterable[tuple[str, int]]) -> str:
    """Resources in words, such as `4 vCPU, 2048 MiB, 1 GPU`; the pod count is left out."""
    held = dict(resources)
    names = [name for name in _ORDER if name in held]
    names += sorted(name for name in held if name not in _ORDER and name != "pods")
    return ", ".join(_amount(name, held[name]) for name in names) or "nothing"


def _amount(name: str, amount: int) -> str:
    if name == "cpu":
        return f"{format_cpu(amount)} vCPU"
    if name in ("memory", "ephemeral-storage"):
        return format_bytes(amount) + ("" if name == "memory" else " disk")
    return f"{amount} GPU" if name == GPU_RESOURCE else f"{amount} {name}"


def explain(wait: Wait, shape: Shape, queue: str) -> str:
    """The wait as a job's statusReason."""
    asked = f"It asks {describe(shape.resources)}"
    if wait.gang is not None:
        asked = f"It asks {_nodes(wait.gang)}"
        shape = shape if wait.kind in (WaitKind.OVER_MAXIMUM, WaitKind.AT_MAXIMUM) else wait.gang.largest
        if wait.kind in (WaitKind.NO_ROOM, WaitKind.TOO_FEW):
            return _gang(wait, wait.gang, asked, queue)
    if wait.kind is WaitKind.BEHIND:
        return f"Waiting in JobQueue {queue} behind earlier jobs or a queue of higher priority"
    if wait.kind in _LIMITS:
        return f"{_LIMITS[wait.kind].format(queue=queue)}: {wait.detail}. {asked}"
    if wait.kind is WaitKind.NODES_COMING:
        return f"Next in JobQueue {queue}, waiting for nodes. {wait.detail}. {asked}"
    if wait.kind is WaitKind.INSUFFICIENT:
        return f"{INSUFFICIENT_CAPACITY} {wait.detail}. {asked}. It is tried again within minutes"
    if wait.kind is WaitKind.OVER_MAXIMUM:
        detail = "; ".join(_maximum(shortfall) for shortfall in wait.shortfalls)
        return f"{ENVIRONMENT_MAXIMUM} {asked}. {detail}. Ask for less, or raise maxvCpus"
    if wait.kind is WaitKind.AT_MAXIMUM:
        detail = "; ".join(_maximum(shortfall) for shortfall in wait.shortfalls)
        return f"Next in JobQueue {queue}, waiting for vCPUs. {asked}. {detail}"
    if wait.kind is WaitKind.NO_NODES:
        listed = ", ".join(shortfall.environment for shortfall in wait.shortfalls) or "none that is ENABLED"
        return f"No environment of JobQueue {queue} has a ready node ({listed}). {asked}"
    if wait.kind is WaitKind.NODES_AWAY:
        detail = "; ".join(_never(shortfall, shape) for shortfall in wait.shortfalls)
        return f"Only nodes of JobQueue {queue} that are not ready or cordoned are big enough. {asked}. {detail}"
    if wait.kind is WaitKind.UNSUITABLE and wait.detail:
        return (
            f"No nodes of JobQueue {queue} take the job. {asked}. {wait.detail}. Ask there for a label that "
            f"they have, such as {ZONE}, or set its mode to Preferred"
        )
    if wait.kind is WaitKind.UNSUITABLE:
        detail = "; ".join(_unsuitable(shortfall, shape) for shortfall in wait.shortfalls)
        return f"No node of JobQueue {queue} takes the pod. {detail}. Label or untaint nodes, or change the definition"
    if wait.kind is WaitKind.NEVER_FITS:
        detail = "; ".join(_never(shortfall, shape) for shortfall in wait.shortfalls)
        return f"{RESOURCE_REQUIREMENT} {asked}. {detail}. Ask for less, or add bigger nodes"
    detail = "; ".join(_now(shortfall, shape) for shortfall in wait.shortfalls)
    return f"Next in JobQueue {queue}, waiting for room. {asked}. {detail}"


def _nodes(gang: Gang) -> str:
    """The nodes of a gang in words: `3 nodes at once: 1 of 2 vCPU, 2 of 1 vCPU`."""
    listed = gang.counts.items()
    of_each = ", ".join(f"{count} of {describe(shape.resources)}" for shape, count in listed)
    return f"{gang.size} nodes at once: {of_each}"


def _gang(wait: Wait, gang: Gang, asked: str, queue: str) -> str:
    """Why not all nodes of a multi-node job start."""
    found = "; ".join(f"{name} has room for {min(space, gang.size)} of them" for name, space in wait.spaces)
    close = [f"the same {level.key}" for level in gang.topology if level.is_required]
    where = f", on machines with {' and '.join(close)}" if close else ""
    share = "one a machine" if gang.per_node == 1 else f"at most {gang.per_node} a machine"
    if wait.kind is WaitKind.TOO_FEW:
        return (
            f"{RESOURCE_REQUIREMENT} {asked}, {share}{where}. With nothing else running {found}. Ask for fewer nodes, "
            "let more of them share a machine (nodesPerHost), or add machines"
        )
    return f"Next in JobQueue {queue}, waiting for room for all of its nodes. {asked}, {share}{where}. Now {found}"


def _maximum(shortfall: Shortfall) -> str:
    if shortfall.limit is None:
        return f"{shortfall.environment} has no maxvCpus"
    left = max(0, shortfall.limit - shortfall.used)
    return (
        f"{shortfall.environment} runs {format_cpu(shortfall.used)} of at most {format_cpu(shortfall.limit)} vCPU: "
        f"{format_cpu(left)} left"
    )


def _never(shortfall: Shortfall, shape: Shape) -> str:
    if shortfall.best is None:
        return _unsuitable(shortfall, shape)
    names = [name for name, _ in shape.resources if name != "pods"]
    has = describe({name: shortfall.best.get(name, 0) for name in names})
    return (
        f"In {shortfall.environment} the largest of {shortfall.nodes} {shortfall.of} has {has}: "
        f"short by {describe(shortfall.missing)}"
    )


def _now(shortfall: Shortfall, shape: Shape) -> str:
    if shortfall.best is None:
        return _unsuitable(shortfall, shape)
    names = [name for name, _ in shape.resources if name != "pods"]
    free = describe({name: max(0, shortfall.best.get(name, 0)) for name in names})
    lacking = {name: amount for name, amount in shortfall.missing.items() if name != "pods"}
    short = f"short by {describe(lacking)}" if lacking else "full of pods" if shortfall.missing else "kept for others"
    return f"In {shortfall.environment} the freest of {shortfall.nodes} nodes has {free} free: {short}"


def _unsuitable(shortfall: Shortfall, shape: Shape) -> str:
    if shortfall.nodes == 0:
        return f"{shortfall.environment} has no {'ready node' if shortfall.of == 'nodes' else shortfall.of}"
    wanted = ", ".join(f"{key}={value}" for key, value in shape.node_selector)
    needs = f"the labels {wanted}, or tolerations for taints" if wanted else "tolerations for their taints"
    return f"None of the {shortfall.nodes} {shortfall.of} of {shortfall.environment} suits the pod, which needs {needs}"
