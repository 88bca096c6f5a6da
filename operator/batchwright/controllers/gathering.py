"""What is seen of one environment's instances: the provider's word, the nodes, and who is on them.

What is remembered between two looks is when something began (to be idle, to be lost): an operator that has just
started takes it to have begun now, which errs on the side of the instance.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from math import inf
from typing import Any, get_args

from batchwright.api.v1alpha1 import ComputeEnvironmentSpec
from batchwright.api.v1alpha1.computeenvironment import InstanceStatus, PendingLaunch
from batchwright.api.v1alpha1.computeresources import UpdatePolicy
from batchwright.capacity.fleet import REPLACE_SECONDS, Alert, Bounds, Seen, Why
from batchwright.capacity.nodes import Learnt
from batchwright.capacity.port import Blueprint, Instance, Kind, Warned
from batchwright.controllers.declared import Declared
from batchwright.controllers.entries import Entry
from batchwright.controllers.membership import node_labels
from batchwright.controllers.store import Store
from batchwright.domain.declarations import Problem, Supply
from batchwright.domain.observations import Node, Taint
from batchwright.domain.quantities import Resources
from batchwright.domain.texts import moment, timestamp
from batchwright.names import GPU_RESOURCE, LABEL_ENVIRONMENT, LABEL_PLACEMENT_GROUP, label_value
from batchwright.scheduling.nearness import alike
from batchwright.scheduling.snapshot import Gang, Shape
from batchwright.settings import Settings
from batchwright.workloads.nodes import NodeLayout

_WHYS: dict[str, Why] = {why: why for why in get_args(Why)}
_WARNINGS: dict[str, Alert] = {
    "SPOT_INTERRUPTION": "interrupted",
    "STATE_CHANGE": "interrupted",
    "MAINTENANCE": "maintenance",
    "REBALANCE": "rebalance",
}
# The most urgent first: an instance that is due for maintenance may be taken back before.
_URGENCY: tuple[Alert, ...] = ("interrupted", "maintenance", "rebalance")
# EC2 says so: an instance ends two minutes after it was warned of (User Guide, Spot interruption notices).
WARNING_SECONDS = 120.0
Said = tuple[Alert, float | None]


@dataclass
class Memory:
    """When things began, by instance id, in seconds since the epoch; `warned` is what was said of an instance, and when
    it ends; `nodes` the node it was; `guilty` are those that we ended because of what became of their nodes, `ended`
    all of which it is no news that they end, as we ended them or said so; `coming` were seen on their way to be nodes,
    before anybody said that they would end; `learnt` is what nodes of each type turned out to have, also when none of
    it is left: what did not fit then would be bought again, and not fit again."""

    idle: dict[str, float] = field(default_factory=dict)
    lost: dict[str, float] = field(default_factory=dict)
    ready: set[str] = field(default_factory=set)
    warned: dict[str, Said] = field(default_factory=dict)
    nodes: dict[str, str] = field(default_factory=dict)
    guilty: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    coming: set[str] = field(default_factory=set)
    learnt: Learnt = field(default_factory=Learnt)

    def keep(self, ids: set[str]) -> None:
        """Forgets all other instances."""
        known: dict[str, Any]
        for known in (self.idle, self.lost, self.warned, self.nodes):
            for gone in known.keys() - ids:
                del known[gone]
        for marked in (self.ready, self.guilty, self.ended, self.coming):
            marked &= ids

    def warn(self, warned: Warned, now: float) -> Alert | None:
        """Somebody says that the instance is to go. Which warning it is, if that is news."""
        default = {"SPOT_INTERRUPTION": now + WARNING_SECONDS, "STATE_CHANGE": now}.get(warned.kind)
        leaves_at = default if warned.leaves_at is None else warned.leaves_at
        before = self.warned.get(warned.instance)
        if warned.kind != "STATE_CHANGE":
            # That it has ended already is no warning.
            self.coming.discard(warned.instance)
        self._note(warned.instance, (_WARNINGS[warned.kind], leaves_at))
        after = self.warned[warned.instance][0]
        return after if before is None or before[0] != after else None

    def remember(self, instance: str, why: Why | None, leaves_at: float | None) -> None:
        """What the node says that somebody said, perhaps to an operator before this one."""
        for warning in _URGENCY:
            if warning == why:
                self._note(instance, (warning, leaves_at))

    def _note(self, instance: str, said: Said) -> None:
        known = self.warned.get(instance, said)
        self.warned[instance] = min(known, said, key=lambda each: (_URGENCY.index(each[0]), each[1] or inf))


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
    if instance.id in memory.ready or instance.id in memory.ended:
        memory.coming.discard(instance.id)
    elif instance.is_live and instance.id not in memory.warned:
        memory.coming.add(instance.id)
    was_coming = instance.id in memory.coming
    if node is None:
        lost = _since(memory.lost, instance.id, instance.id in memory.ready and instance.is_live, now)
        # Of one that has ended its pods may be left, though its Node is gone already.
        was = "" if instance.is_live else memory.nodes.get(instance.id, "")
        warned, leaves_at = memory.warned.get(instance.id, (None, None))
        size = vcpus.get(instance.type, 0) or instance.vcpus
        return Seen(instance, size, was, lost_since=lost, warned=warned, leaves_at=leaves_at, was_coming=was_coming)
    memory.nodes[instance.id] = node.name
    was_used = node.name in store.tenants.used
    if was_used or (node.ready and not node.pressed):
        # What has had pods of ours was ready once, perhaps before this operator began.
        memory.ready.add(instance.id)
    was_ready = instance.id in memory.ready
    # A new node that takes nothing yet (it has no network, say) is still starting.
    is_ready = node.ready and (was_ready or not node.pressed)
    ours, others = store.tenants.ours(node.name), store.tenants.others(node.name)
    word, when, end = (*node.cordoned.split(" "), "", "", "")[:3]
    why = _WHYS.get(word)
    memory.remember(instance.id, why, _time(end, now) if end else None)
    warned, leaves_at = memory.warned.get(instance.id, (None, None))
    is_foreign = not node.schedulable and why is None
    is_expected = node.name in store.expecting
    is_idle = is_ready and not ours and not others and not is_foreign and not is_expected
    return Seen(
        instance,
        vcpus.get(instance.type, 0) or -(-node.allocatable.get("cpu", 0) // 1000) * 1000,
        node.name,
        is_ready=is_ready,
        ours=ours,
        others=others,
        was_used=was_used,
        idle_since=_since(memory.idle, instance.id, is_idle, now),
        lost_since=_since(memory.lost, instance.id, was_ready and not node.ready, now),
        cordoned=why,
        cordoned_at=_time(when, now),
        warned=warned,
        leaves_at=leaves_at,
        was_coming=was_coming and not was_ready,
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
    eks, resources = known.spec.eks, known.spec.compute_resources
    group = resources.placement_group
    near = {LABEL_PLACEMENT_GROUP: group_label(group)} if group else {}
    return Blueprint(
        known.name,
        known.uid,
        resources,
        node_labels(known.name, known.spec) | near,
        (Taint(LABEL_ENVIRONMENT, value, "NoSchedule"),),
        known.spec.node_join,
        (eks.node_groups if eks else known.spec.auto_scaling_groups) or (),
        eks.cluster_name if eks else "",
    )


def group_label(group: str) -> str:
    """The placement group's name as a label value, which takes fewer characters: no kubelet starts with one that is
    malformed."""
    cut = re.sub("[^A-Za-z0-9._-]", "-", group).strip("._-")
    return label_value(group) if cut == group else f"{cut[:54] or 'group'}-{sha256(group.encode()).hexdigest()[:8]}"


def learn(fleet: Iterable[Seen], store: Store, memory: Memory, kinds: Iterable[Kind] = ()) -> Learnt:
    """What the environment's nodes show of their kind, or have shown: what is allocatable, and the most that daemons
    take."""
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
    before = memory.learnt
    now = Learnt(dict(before.allocatable) | allocatable, daemons or before.daemons)
    # A node without its GPUs may only be new: what makes them before comes after the kubelet.
    gpus = {kind.type.name for kind in kinds if kind.type.gpus}
    lasting = {name: has for name, has in allocatable.items() if name not in gpus or has.get(GPU_RESOURCE)}
    memory.learnt = Learnt(dict(before.allocatable) | lasting, now.daemons)
    return now


def leaving(fleet: Iterable[Seen], store: Store, now: float) -> tuple[tuple[Shape, int], ...]:
    """The pods of ours on instances that end soon, by what they ask."""
    nodes = {seen.node for seen in fleet if seen.node and seen.instance.is_live and seen.is_due(REPLACE_SECONDS, now)}
    found: Counter[Shape] = Counter()
    for entry in store.entries.values() if nodes else ():
        if entry.pinned is None or entry.pinned.shape is None:
            continue
        if entry.pinned.gang is not None and entry.pinned.layout is not None:
            found.update(_gang_leaving(entry, entry.pinned.gang, entry.pinned.layout, nodes, store))
            continue
        pods = entry.pods.values() if entry.array is None else entry.array.elements.live.values()
        found[entry.pinned.shape] += sum(pod.node in nodes and not pod.is_finished for pod in pods)
    return tuple(sorted((shape, count) for shape, count in found.items() if count))


def unheeded(fleet: Iterable[Seen], cordoned: Mapping[str, Why], memory: Memory) -> list[str]:
    """Live instances that somebody warned of, and whose nodes do not say so yet: an operator that is started now would
    know nothing of it. What has not been looked at since is not heeded either."""
    seen_ids, found = set(), []
    for seen in fleet:
        seen_ids.add(seen.instance.id)
        why = cordoned.get(seen.instance.id, seen.cordoned)
        is_said = why == seen.warned or (why is not None and seen.warned == "rebalance")
        if seen.instance.is_live and seen.warned is not None and not is_said:
            found.append(seen.instance.id)
    return found + sorted(memory.warned.keys() - seen_ids)


def supply_of(
    fleet: Iterable[Seen], pending: PendingLaunch | None, problem: Problem | None, *, is_known: bool, digest: str
) -> Supply:
    """What the environment's status is made of. `digest` is that of its blueprint."""
    # EC2 shows instances for an hour after their end: those whose nodes are gone too are past.
    there = [seen for seen in fleet if seen.node or seen.instance.state != "terminated"]
    live = [seen for seen in there if seen.instance.is_live]
    shown = sorted(there, key=lambda seen: (seen.instance.launched_at, seen.instance.id))
    return Supply(
        desired=sum(seen.vcpus for seen in live) // 1000,
        starting=sum(not seen.is_ready and not seen.was_used for seen in live),
        # What a group at its least size has is not replaced.
        outdated=sum(seen.instance.digest not in ("", digest) and seen.instance.spare != 0 for seen in live),
        instances=tuple(instance_status(seen) for seen in shown),
        pending=pending,
        problem=problem,
        is_known=is_known,
    )


def _gang_leaving(
    entry: Entry, gang: Gang, layout: NodeLayout, nodes: Collection[str], store: Store
) -> Iterator[Shape]:
    """What the nodes of a multi-node job on these machines ask, each of a machine like its own: the others stay where
    they are, and all start together again."""
    shapes = [shape for shape, count in gang.parts for _ in range(count)]
    others = entry.nodes.pods.values() if entry.nodes is not None else ()
    ranked = [(0, pod) for pod in entry.pods.values()] + [(layout.rank_of(pod.index), pod) for pod in others]
    for rank, pod in ranked:
        if pod.node in nodes and not pod.is_finished:
            node = store.nodes.get(pod.node)
            has = node.labels if node is not None else {}
            yield alike(shapes[rank], gang, has)


def instance_status(seen: Seen) -> InstanceStatus:
    """The instance as the environment's status shows it."""
    if not seen.instance.is_live:
        state = "TERMINATING"
    elif seen.cordoned or seen.warned:
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
