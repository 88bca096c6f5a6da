"""The status of what people declare, decided from what is seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from batchwright.api.v1alpha1.computeenvironment import (
    Capacity,
    ComputeEnvironmentSpec,
    ComputeEnvironmentStatus,
    InstanceStatus,
    PendingLaunch,
)
from batchwright.api.v1alpha1.consumableresource import ConsumableResourceSpec, ConsumableResourceStatus
from batchwright.api.v1alpha1.jobqueue import JobQueueSpec, JobQueueStatus
from batchwright.api.v1alpha1.schedulingpolicy import SchedulingPolicySpec, SchedulingPolicyStatus, find_overlap
from batchwright.domain.conditions import ready, stalled, verdict
from batchwright.domain.observations import Node
from batchwright.domain.quantities import format_cpu
from batchwright.domain.texts import bounded
from batchwright.names import CONDITION_SCALING, GPU_RESOURCE

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a MANAGED environment gets no instances. One that `is_invalid` lasts until somebody mends it."""

    reason: str
    message: str
    is_invalid: bool = False


@dataclass(frozen=True, slots=True)
class Supply:
    """What is known of the instances of a MANAGED environment; `desired` in whole vCPUs, `outdated` how many are made
    of what it was before a change, and are to be replaced."""

    desired: int = 0
    starting: int = 0
    outdated: int = 0
    instances: tuple[InstanceStatus, ...] = ()
    pending: PendingLaunch | None = None
    problem: Problem | None = None
    is_known: bool = False


def environment_status(
    spec: ComputeEnvironmentSpec,
    generation: int,
    members: Iterable[Node],
    held: Mapping[str, Any],
    now: datetime,
    supply: Supply | None = None,
    *,
    is_deleting: bool = False,
) -> ComputeEnvironmentStatus:
    """An UNMANAGED environment is valid as it stands; without a node it says so. `members`: its usable nodes. One that
    is held up while it is deleted says that it is."""
    found = _environment_status(spec, generation, tuple(members), held, now, supply)
    return found.model_copy(update={"status": "DELETING"}) if is_deleting else found


def _environment_status(
    spec: ComputeEnvironmentSpec,
    generation: int,
    nodes: tuple[Node, ...],
    held: Mapping[str, Any],
    now: datetime,
    supply: Supply | None,
) -> ComputeEnvironmentStatus:
    capacity = Capacity(
        nodes=len(nodes),
        vcpus=format_cpu(sum(node.allocatable.get("cpu", 0) for node in nodes)),
        memory_mib=sum(node.allocatable.get("memory", 0) for node in nodes) // MEBIBYTE,
        gpus=sum(node.allocatable.get(GPU_RESOURCE, 0) for node in nodes),
    )
    if spec.type == "MANAGED":
        return _managed_status(spec, generation, capacity, held, now, supply or Supply())
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


def _managed_status(
    spec: ComputeEnvironmentSpec,
    generation: int,
    capacity: Capacity,
    held: Mapping[str, Any],
    now: datetime,
    supply: Supply,
) -> ComputeEnvironmentStatus:
    problem = supply.problem
    is_invalid = problem is not None and problem.is_invalid
    # AWS's own words: "ComputeEnvironment Healthy", and "CLIENT_ERROR - …" for what somebody has to mend.
    message = "ComputeEnvironment Healthy"
    reason = "Disabled" if spec.state == "DISABLED" else "Healthy"
    if problem is not None:
        reason, message = problem.reason, f"CLIENT_ERROR - {problem.message}" if is_invalid else problem.message
    elif not supply.is_known:
        reason, message = "Creating", "The provider has not been asked yet"
    elif supply.outdated:
        reason, message = "Updating", f"{supply.outdated} instances of before the last change are still there"
    is_scaling = problem is None and bool(supply.starting or supply.pending)
    scaling = f"{supply.starting} of {len(supply.instances)} instances are starting" if is_scaling else message
    why = "Launching" if is_scaling else problem.reason if problem else "Steady"
    # CREATING is what never had a verdict (and is to start with desiredvCpus): an operator that has just begun, or
    # whose provider does not answer, does not take one back.
    verdict_before = held.get("status")
    standing = verdict_before if verdict_before in ("VALID", "UPDATING") else "CREATING"
    if supply.is_known:
        standing = "UPDATING" if supply.outdated else "VALID"
    return ComputeEnvironmentStatus(
        observed_generation=generation,
        status="INVALID" if is_invalid else standing,
        status_reason=bounded(message),
        capacity=capacity,
        desired_vcpus=supply.desired,
        instance_count=len(supply.instances),
        starting_count=supply.starting,
        instances=supply.instances[:100],
        pending_launch=supply.pending,
        conditions=(
            ready(held, generation, now, is_ready=not is_invalid, reason=reason, message=message),
            *stalled(held, generation, now, is_stalled=is_invalid, reason=reason, message=message),
            verdict(CONDITION_SCALING, held, generation, now, holds=is_scaling, reason=why, message=scaling),
        ),
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
    is_broken = False
    for each in sorted(spec.compute_environment_order, key=lambda entry: entry.order):
        found = environments.get(each.compute_environment)
        if found is None:
            problems.append(f"ComputeEnvironment {each.compute_environment} not found")
        elif found == "INVALID":
            is_broken = True
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
        conditions=(
            ready(held, generation, now, is_ready=not problems, reason=reason, message=message),
            # What is not there may come: it was applied with the queue, perhaps.
            *stalled(held, generation, now, is_stalled=is_broken, reason=reason, message=message),
        ),
    )


def policy_status(
    spec: SchedulingPolicySpec, generation: int, held: Mapping[str, Any], now: datetime
) -> SchedulingPolicyStatus:
    """A policy is ready unless two of its entries mean the same share, which CEL finds in short lists only."""
    overlap = find_overlap(each.share_identifier for each in spec.fairshare_policy.share_distribution)
    message = f"{overlap[0]} and {overlap[1]} overlap: take one of them out" if overlap else "The policy is in force"
    reason = "Overlap" if overlap else "Ready"
    conditions = (
        ready(held, generation, now, is_ready=overlap is None, reason=reason, message=message),
        *stalled(held, generation, now, is_stalled=overlap is not None, reason=reason, message=message),
    )
    return SchedulingPolicyStatus(observed_generation=generation, conditions=conditions)


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
