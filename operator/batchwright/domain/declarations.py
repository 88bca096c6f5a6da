"""The status of what people declare, decided from what is seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from batchwright.api.v1alpha1.computeenvironment import (
    Capacity,
    ComputeEnvironmentSpec,
    ComputeEnvironmentStatus,
)
from batchwright.api.v1alpha1.consumableresource import ConsumableResourceSpec, ConsumableResourceStatus
from batchwright.api.v1alpha1.jobqueue import JobQueueSpec, JobQueueStatus
from batchwright.api.v1alpha1.schedulingpolicy import SchedulingPolicySpec, SchedulingPolicyStatus, find_overlap
from batchwright.domain.conditions import ready
from batchwright.domain.observations import Node
from batchwright.domain.quantities import format_cpu
from batchwright.domain.texts import bounded
from batchwright.names import GPU_RESOURCE

MEBIBYTE = 1024 * 1024


def environment_status(
    spec: ComputeEnvironmentSpec, generation: int, members: Iterable[Node], held: Mapping[str, Any], now: datetime
) -> ComputeEnvironmentStatus:
    """An UNMANAGED environment is valid as it stands; without a node it says so. `members`: its usable nodes."""
    nodes = tuple(members)
    capacity = Capacity(
        nodes=len(nodes),
        vcpus=format_cpu(sum(node.allocatable.get("cpu", 0) for node in nodes)),
        memory_mib=sum(node.allocatable.get("memory", 0) for node in nodes) // MEBIBYTE,
        gpus=sum(node.allocatable.get(GPU_RESOURCE, 0) for node in nodes),
    )
    wanted = ", ".join(f"{key}={value}" for key, value in sorted(spec.node_selector.items())) or "any labels"
    message = (
        f"{len(nodes)} ready nodes"
        if nodes
        else f"No ready node has {wanted} and only taints that spec.tolerations cover: jobs wait until one does"
    )
    reason = "Disabled" if spec.state == "DISABLED" else "NodesReady" if nodes else "NoNodes"
    return ComputeEnvironmentStatus(
        observed_generation=generation,
        status="VALID",
        status_reason=bounded(message),
        capacity=capacity,
        conditions=(ready(held, generation, now, is_ready=True, reason=reason, message=message),),
    )


def queue_status(
    spec: JobQueueSpec,
    generation: int,
    environments: Mapping[str, str],
    held: Mapping[str, Any],
    now: datetime,
    *,
    has_policy: bool = True,
) -> JobQueueStatus:
    """A queue is valid when its environments exist and are valid, and so does its SchedulingPolicy. `environments`:
    their status by name."""
    problems = [] if has_policy else [f"SchedulingPolicy {spec.scheduling_policy} not found"]
    for each in sorted(spec.compute_environment_order, key=lambda entry: entry.order):
        found = environments.get(each.compute_environment)
        if found is None:
            problems.append(f"ComputeEnvironment {each.compute_environment} not found")
        elif found == "INVALID":
            problems.append(f"ComputeEnvironment {each.compute_environment} is INVALID")
    message = "; ".join(problems) or ("JobQueue takes jobs" if spec.state == "ENABLED" else "JobQueue is DISABLED")
    reason = (
        "PolicyProblem"
        if not has_policy
        else "EnvironmentProblem"
        if problems
        else "Disabled"
        if spec.state == "DISABLED"
        else "Ready"
    )
    return JobQueueStatus(
        observed_generation=generation,
        status="INVALID" if problems else "VALID",
        status_reason=bounded(message),
        conditions=(ready(held, generation, now, is_ready=not problems, reason=reason, message=message),),
    )


def policy_status(
    spec: SchedulingPolicySpec, generation: int, held: Mapping[str, Any], now: datetime
) -> SchedulingPolicyStatus:
    """A policy is ready unless two of its entries mean the same share, which CEL finds in short lists only."""
    overlap = find_overlap(each.share_identifier for each in spec.fairshare_policy.share_distribution)
    message = f"{overlap[0]} and {overlap[1]} overlap: take one of them out" if overlap else "The policy is in force"
    condition = ready(
        held, generation, now, is_ready=overlap is None, reason="Overlap" if overlap else "Ready", message=message
    )
    return SchedulingPolicyStatus(observed_generation=generation, conditions=(condition,))


def consumable_status(
    spec: ConsumableResourceSpec,
    generation: int,
    total: int,
    taken: int,
    spent: int,
    held: Mapping[str, Any],
    now: datetime,
) -> ConsumableResourceStatus:
    """How much is left of `total`, of which running jobs have `taken`; `spent` is gone for good."""
    left = max(0, total - taken)
    message = f"{left} of {spec.total_quantity} available"
    return ConsumableResourceStatus(
        observed_generation=generation,
        available_quantity=left,
        in_use_quantity=taken,
        used_quantity=spent if spec.resource_type == "NON_REPLENISHABLE" else None,
        conditions=(ready(held, generation, now, is_ready=True, reason="Counted", message=message),),
    )
