"""What is seen of one environment's instances: the provider's word, the nodes, and who is on them.

What is remembered between two looks is when something began (to be idle, to be lost): an operator that has just
started takes it to have begun now, which errs on the side of the instance.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from batchwright.api.v1alpha1 import ComputeEnvironmentSpec
from batchwright.api.v1alpha1.computeenvironment import InstanceStatus
from batchwright.api.v1alpha1.computeresources import UpdatePolicy
from batchwright.capacity.fleet import Bounds, Seen, Why
from batchwright.capacity.nodes import Learnt
from batchwright.capacity.port import Blueprint, Instance
from batchwright.controllers.declared import Declared
from batchwright.controllers.membership import node_labels
from batchwright.controllers.store import Store
from batchwright.domain.observations import Node, Taint
from batchwright.domain.quantities import Resources
from batchwright.domain.texts import moment, timestamp
from batchwright.names import LABEL_ENVIRONMENT, label_value
from batchwright.settings import Settings

_WHYS: dict[str, Why] = {"idle": "idle", "update": "update", "interrupted": "interrupted", "deleted": "deleted"}


@dataclass
class Memory:
    """When things began, by instance id, in seconds since the epoch."""

    idle: dict[str, float] = field(default_factory=dict)
    lost: dict[str, float] = field(default_factory=dict)
    ready: set[str] = field(default_factory=set)
    interrupted: set[str] = field(default_factory=set)

    def keep(self, ids: set[str]) -> None:
        """Forgets all other instances."""
        for known in (self.idle, self.lost):
            for gone in known.keys() - ids:
                del known[gone]
        self.ready &= ids
        self.interrupted &= ids


def see(
    instances: Iterable[Instance],
    nodes: Mapping[str, Node],
    store: Store,
    vcpus: Mapping[str, int],
    memory: Memory,
    now: float,
) -> tuple[Seen, ...]:
    """The instances with what the cluster shows of them. `nodes` are by instance id, `vcpus` by type."""
    return tuple(_see(each, nodes.get(each.id), store, vcpus, memory, now) for each in instances)


def _see(
    instance: Instance, node: Node | None, store: Store, vcpus: Mapping[str, int], memory: Memory, now: float
) -> Seen:
    if node is None:
        lost = _since(memory.lost, instance.id, instance.id in memory.ready and instance.is_live, now)
        is_interrupted = instance.id in memory.interrupted
        size = vcpus.get(instance.type, 0) or instance.vcpus
        return Seen(instance, size, lost_since=lost, is_interrupted=is_interrupted)
    if node.ready:
        memory.ready.add(instance.id)
    ours, others = store.tenants.ours(node.name), store.tenants.others(node.name)
    word, _, when = node.cordoned.partition(" ")
    why = _WHYS.get(word)
    is_foreign = not node.schedulable and why is None
    is_expected = node.name in store.expecting
    is_idle = node.ready and not ours and not others and not is_foreign and not is_expected
    was_ready = instance.id in memory.ready
    return Seen(
        instance,
        vcpus.get(instance.type, 0) or -(-node.allocatable.get("cpu", 0) // 1000) * 1000,
        node.name,
        is_ready=node.ready,
        ours=ours,
        others=others,
        was_used=node.name in store.tenants.used,
        idle_since=_since(memory.idle, instance.id, is_idle, now),
        lost_since=_since(memory.lost, instance.id, was_ready and not node.ready, now),
        cordoned=why,
        cordoned_at=_time(when, now),
        is_interrupted=instance.id in memory.interrupted or why == "interrupted",
    )


def _since(known: dict[str, float], key: str, holds: bool, now: float) -> float | None:
    if not holds:
        known.pop(key, None)
        return None
    return known.setdefault(key, now)


def _time(text: str, now: float) -> float:
    try:
        return moment(text).timestamp()
    except ValueError:
        return now


def bounds_of(spec: ComputeEnvironmentSpec, blueprint: Blueprint | None, settings: Settings) -> Bounds:
    """What an environment wants; without a blueprint it is deleted."""
    found, policy = spec.compute_resources, spec.update_policy or UpdatePolicy()
    delay = 60.0 * found.scaling_policy.min_scale_down_delay_minutes if found.scaling_policy else 0.0
    return Bounds(
        minimum=1000 * (found.min_vcpus or 0),
        maximum=1000 * (found.max_vcpus or 0),
        digest=None if blueprint is None else blueprint.digest,
        idle_seconds=delay or settings.capacity_idle_seconds,
        start_seconds=settings.capacity_start_seconds,
        update_seconds=60.0 * policy.job_execution_timeout_minutes,
        ends_jobs_on_update=policy.terminate_jobs_on_update,
    )


def blueprint_of(known: Declared[ComputeEnvironmentSpec]) -> Blueprint:
    """What the environment's instances are made of."""
    value = label_value(known.name)
    eks = known.spec.eks
    return Blueprint(
        known.name,
        known.uid,
        known.spec.compute_resources,
        dict(node_labels(known.name, known.spec)),
        (Taint(LABEL_ENVIRONMENT, value, "NoSchedule"),),
        known.spec.node_join,
        (eks.node_groups if eks else known.spec.auto_scaling_groups) or (),
        eks.cluster_name if eks else "",
    )


def learn(fleet: Iterable[Seen], store: Store) -> Learnt:
    """What the environment's nodes show of their kind: what is allocatable, and the most that daemons take."""
    allocatable: dict[str, Resources] = {}
    daemons: Resources = {}
    for seen in fleet:
        node = store.nodes.get(seen.node)
        if node is None or not seen.is_ready:
            continue
        known = allocatable.get(seen.instance.type)
        allocatable[seen.instance.type] = (
            dict(node.allocatable)
            if known is None
            else {name: min(amount, known.get(name, 0)) for name, amount in node.allocatable.items()}
        )
        for name, amount in store.tenants.daemons(seen.node).items():
            daemons[name] = max(amount, daemons.get(name, 0))
    return Learnt(allocatable, daemons)


def instance_status(seen: Seen) -> InstanceStatus:
    """The instance as the environment's status shows it."""
    if not seen.instance.is_live:
        state = "TERMINATING"
    elif seen.cordoned or seen.is_interrupted:
        state = "DRAINING"
    else:
        state = "READY" if seen.is_ready else "STARTING"
    return InstanceStatus.model_validate(
        {
            "id": seen.instance.id,
            "instanceType": seen.instance.type or "unknown",
            "zone": seen.instance.zone,
            "state": state,
            "node": seen.node or None,
            "launchedAt": timestamp(_moment(seen.instance.launched_at)),
        }
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
