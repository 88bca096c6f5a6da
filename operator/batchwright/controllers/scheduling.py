"""What the scheduler is told: from the store's records to its state, change by change.

Two halves: records of one kind as the scheduler sees them (pure functions), and `Scheduling`, which keeps the state up
to date, so that a pass costs what has changed since the last one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from batchwright.api.v1alpha1 import ComputeEnvironmentSpec, ConsumableResourceSpec, JobQueueSpec, SchedulingPolicySpec
from batchwright.controllers.declared import Declared
from batchwright.controllers.entries import Array, Entry, Pinned
from batchwright.controllers.gangroom import gang_held
from batchwright.controllers.membership import node_labels, pod_tolerations
from batchwright.controllers.store import Store
from batchwright.domain.elements import Elements
from batchwright.domain.granting import held as unbound_elements
from batchwright.domain.granting import wanted
from batchwright.domain.quantities import CPU, MEBIBYTE, MEMORY
from batchwright.domain.texts import moment
from batchwright.scheduling.fairshare import FairShare
from batchwright.scheduling.quota import QuotaShare
from batchwright.scheduling.snapshot import Candidate, Environment, Held, Queue, Shape, Toleration
from batchwright.scheduling.state import State
from batchwright.scheduling.waiting import Consumables

# Back-off between attempts and the grace of a pod that is stopped, so that a known end is one.
SLACK_SECONDS = 60.0
NON_REPLENISHABLE = "NON_REPLENISHABLE"


class Scheduling:
    """Keeps the scheduler's state like the store's."""

    def __init__(self, store: Store, hear_consumables: Callable[[], None] = lambda: None) -> None:
        self.state = State()
        self._store = store
        self._hear_consumables = hear_consumables
        self._queues: dict[str, tuple[str, JobQueueSpec, SchedulingPolicySpec | None]] = {}
        self._charged: dict[str, tuple[int, Consumables]] = {}
        # Whether some queue preempts by priority, which asks who is on which node.
        self._by_node = False

    def sync(self, now: float) -> None:
        """Takes over what people declare, the nodes and what is taken of them; before each pass."""
        store, state = self._store, self.state
        state.tell(
            {known.name: environment_of(known) for known in store.environments.values()},
            {known.name: self.total_of(known) for known in store.consumables.values()},
        )
        state.tell_growth(store.growth)
        for name in store.ledger.drain():
            state.occupy(name, store.ledger.occupied.get(name, {}))
        for name in store.drain_nodes():
            state.put_node(name, store.nodes.get(name))
        present = {known.name: known for known in store.queues.values()}
        for name in self._queues.keys() - present.keys():
            state.put_queue(name, None, now)
            del self._queues[name]
        by_node = any(known.spec.preemption.lower_priority_queues == "ENABLED" for known in present.values())
        if by_node != self._by_node:
            self._by_node = by_node
            store.dirty.update(store.entries)
        for name, known in present.items():
            policy = store.policy_of(known.spec)
            kept = known.uid, known.spec, policy.spec if policy is not None else None
            before = self._queues.get(name)
            if before is not None and before[0] != known.uid:
                # Deleted and made anew: what the first one's shares have used is not this one's.
                state.put_queue(name, None, now)
            if before != kept:
                self._queues[name] = kept
                state.put_queue(name, queue_of(known, policy), now, usage_of(known.status))

    def tell(self, uid: str, entry: Entry, *, is_runnable: bool, now: datetime) -> None:
        """How the job stands after a decision about it."""
        at = now.timestamp()
        pinned = entry.pinned
        waits = (
            is_runnable
            and not entry.creating
            and not entry.resuming
            and (entry.not_before is None or entry.not_before <= now)
        )
        candidate = candidate_of(uid, entry, pinned, pinned.shape) if waits and pinned and pinned.shape else None
        self.state.put_waiting(uid, entry.job.spec.job_queue, candidate)
        held = None if entry.is_final else held_of(uid, entry, by_node=self._by_node)
        before = self.state.held.get(uid)
        self.state.put_held(uid, held, at)
        if pinned is not None and pinned.consumables:
            self._charge(uid, entry, pinned)
            if (before.count if before else 0) != (held.count if held else 0):
                self._hear_consumables()

    def _charge(self, uid: str, entry: Entry, pinned: Pinned) -> None:
        """Notes how many units of the job have ever started: what is not replenishable is gone with each, once."""
        started = int(entry.work is not None) if entry.array is None else entry.array.elements.started
        units, _ = self._charged.get(uid, (0, ()))
        self._charged[uid] = max(units, started), pinned.consumables

    def forget(self, uid: str, now: datetime) -> None:
        """The job has ended, or is gone."""
        self.state.put_waiting(uid, "", None)
        self.state.put_held(uid, None, now.timestamp())
        units, consumables = self._charged.pop(uid, (0, ()))
        for name, quantity in consumables:
            self._store.spent[name] = self._store.spent.get(name, 0) + units * quantity
            self._hear_consumables()

    def total_of(self, known: Declared[ConsumableResourceSpec]) -> int:
        """How much of a consumable resource there is, in use or not: less what is gone for good."""
        total = known.spec.total_quantity
        if known.spec.resource_type != NON_REPLENISHABLE:
            return total
        return max(0, total - self.spent_of(known.name) + self.state.taken[known.name])

    def spent_of(self, name: str) -> int:
        """How much of a consumable resource jobs have started with, those that have ended and those that have not."""
        under_way = sum(
            units * quantity
            for units, consumables in self._charged.values()
            for each, quantity in consumables
            if each == name
        )
        return self._store.spent.get(name, 0) + max(under_way, self.state.taken[name])

    def may_be_preempted(self, queue: str) -> bool:
        """Whether elements of this queue may have to make room one by one: then each needs a gate."""
        known = self.state.queues.get(queue)
        if known is None:
            return False
        others = (
            other
            for other in self.state.queues.values()
            if other.preempts and other.priority > known.priority and set(other.environments) & set(known.environments)
        )
        return bool(known.quota_shares) or next(others, None) is not None

    def has_policy(self, queue: str) -> bool:
        """Whether who is next in the queue changes with what runs, so that an array cannot just go on by itself."""
        known = self.state.queues.get(queue)
        return known is not None and (
            known.fair_share is not None or bool(known.quota_shares) or bool(known.max_running)
        )


def candidate_of(uid: str, entry: Entry, pinned: Pinned, shape: Shape) -> Candidate:
    """A RUNNABLE job as the scheduler sees it."""
    job, known = entry.job, entry.array
    count, environment, depth, arrival = 1, None, 0, job.created_at
    if entry.work is not None:
        environment = entry.work.environment
    if known is not None:
        limit = job.spec.array_properties.max_concurrency if job.spec.array_properties else None
        count = wanted(known.elements, limit, is_sent=entry.work is not None)
        depth, arrival = known.depth, known.arrival or job.created_at
    return Candidate(
        uid,
        job.name,
        arrival,
        shape,
        count,
        environment,
        depth,
        share=share_of(entry),
        priority=pinned.priority,
        returning=known is None and entry.work is not None,
        seconds=_longest(pinned),
        consumables=pinned.consumables,
        gang=pinned.gang,
    )


def share_of(entry: Entry) -> str:
    """The job's share of its queue: its shareIdentifier or its quotaShareName."""
    return entry.job.spec.share_identifier or entry.job.spec.quota_share_name or ""


def _longest(pinned: Pinned) -> float | None:
    """How long a job of this definition holds its room at most, in seconds; None without a timeout."""
    timeout = pinned.rules.timeout_seconds
    return None if timeout is None else pinned.rules.attempts * (timeout + SLACK_SECONDS)


def held_of(uid: str, entry: Entry, *, by_node: bool = True) -> Held | None:
    """What the job holds; None for nothing. `by_node`: with its elements' nodes, though their ends are unknown."""
    work, pinned = entry.work, entry.pinned
    if pinned is not None and pinned.gang is not None and pinned.layout is not None:
        return gang_held(uid, entry, pinned, share_of(entry), _longest(pinned))
    environment = work.environment if work is not None else entry.start.environment if entry.start else None
    if environment is None or (work is not None and work.is_finished):
        return None
    if pinned is not None and pinned.shape is not None:
        shape = pinned.shape
    elif work is not None:
        shape = Shape(tuple(sorted(work.request.items())))
    else:
        return None
    leaving: Counter[str] = Counter()
    if entry.array is not None:
        count, unbound, nodes, ends_at = _elements_held(entry.array.elements, pinned, by_node=by_node)
        leaving = _leaving(entry.array)
        count -= min(count, leaving.total())
    else:
        count, unbound, nodes, ends_at = _single_held(entry, pinned)
        if not count:
            leaving.update(dict(nodes))
    if not count and not leaving:
        return None
    return Held(
        uid,
        entry.job.spec.job_queue,
        environment,
        shape,
        count,
        unbound,
        share_of(entry),
        pinned.priority if pinned is not None else 0,
        nodes,
        (work.created_at if work is not None else entry.job.created_at).timestamp(),
        ends_at,
        tuple(sorted(leaving.items())),
        consumables=pinned.consumables if pinned is not None else (),
        is_fixed=entry.array is not None and not entry.array.elements.gated,
    )


_Holding = tuple[int, int, tuple[tuple[str, int], ...], float | None]


def _single_held(entry: Entry, pinned: Pinned | None) -> _Holding:
    pod = next((pod for pod in entry.pods.values() if pod.node and not pod.is_finished), None)
    is_suspended = entry.work is not None and entry.work.suspended and not entry.resuming
    if entry.preempting or is_suspended:
        # Its room is given back, but for the node that its pod has not left yet.
        return 0, 0, ((pod.node, 1),) if pod is not None else (), None
    if pod is None:
        return 1, 1, (), None
    longest = _longest(pinned) if pinned is not None else None
    ends_at = None if longest is None or pod.started_at is None else pod.started_at.timestamp() + longest
    return 1, 0, ((pod.node, 1),), ends_at


def _leaving(known: Array) -> Counter[str]:
    """How many of the pods that were preempted are still there, by node: by our word, or by an operator's before us."""
    elements = known.elements
    if not known.leaving and not elements.preempted:
        # To look through thousands of pods in each pass is not for nothing.
        return Counter()
    live = elements.live.values()
    known.leaving.intersection_update(pod.uid for pod in live)
    return Counter(pod.node for pod in live if pod.uid in known.leaving or pod.is_preempted)


def _elements_held(elements: Elements, pinned: Pinned | None, *, by_node: bool) -> _Holding:
    unbound = unbound_elements(elements)
    count = elements.active if elements.gated else min(elements.parallelism, elements.unfinished)
    if not elements.gated:
        # The next element takes the place of each that ends.
        return count, min(unbound, count), (), None
    longest = _longest(pinned) if pinned is not None else None
    if longest is None and not by_node:
        # To count thousands of pods by node in each pass is not for nothing.
        return count, min(unbound, count), (), None
    live = [pod for pod in elements.live.values() if pod.node and not pod.gated and not pod.is_finished]
    nodes = Counter(pod.node for pod in live)
    starts = [pod.started_at.timestamp() for pod in live if pod.started_at is not None]
    ends_at = max(starts) + longest if longest is not None and starts and len(starts) == len(live) else None
    return count, min(unbound, count), tuple(sorted(nodes.items())), ends_at


def environment_of(known: Declared[ComputeEnvironmentSpec]) -> Environment:
    """A ComputeEnvironment as the scheduler sees it."""
    most = known.spec.compute_resources.max_vcpus
    return Environment(
        name=known.name,
        is_open=known.spec.state == "ENABLED",
        node_selector=tuple(sorted(node_labels(known.name, known.spec).items())),
        tolerations=tuple(toleration(each) for each in pod_tolerations(known.name, known.spec)),
        max_vcpus=None if most is None else 1000 * most,
    )


def toleration(wire: Mapping[str, object]) -> Toleration:
    """A toleration from its wire form."""
    return Toleration(
        key=str(wire.get("key") or ""),
        operator=str(wire.get("operator") or "Equal"),
        value=str(wire.get("value") or ""),
        effect=str(wire.get("effect") or ""),
    )


def queue_of(known: Declared[JobQueueSpec], policy: Declared[SchedulingPolicySpec] | None) -> Queue:
    """A JobQueue as the scheduler sees it, with its SchedulingPolicy."""
    spec = known.spec
    order = sorted(spec.compute_environment_order, key=lambda each: each.order)
    return Queue(
        name=known.name,
        priority=spec.priority,
        environments=tuple(each.compute_environment for each in order),
        fair_share=fair_share_of(policy.spec) if policy is not None else None,
        quota_shares=tuple(_quota_share(each) for each in spec.quota_shares),
        max_running=spec.max_concurrency,
        preempts=spec.preemption.lower_priority_queues == "ENABLED",
        preempts_after=spec.preemption.after_seconds,
    )


def fair_share_of(spec: SchedulingPolicySpec) -> FairShare:
    """A SchedulingPolicy as the scheduler sees it."""
    policy = spec.fairshare_policy
    return FairShare(
        policy.share_decay_seconds,
        policy.compute_reservation,
        tuple((each.share_identifier, each.weight_factor) for each in policy.share_distribution),
    )


def _quota_share(each: Any) -> QuotaShare:
    sharing = each.resource_sharing_configuration
    return QuotaShare(
        each.name,
        each.state == "ENABLED",
        tuple(_limit(limit.capacity_unit, limit.max_capacity) for limit in each.capacity_limits),
        sharing.strategy,
        sharing.borrow_percent,
        sharing.lend_percent,
        each.preemption_configuration.in_share_preemption == "ENABLED",
    )


def _limit(unit: str, amount: int) -> tuple[str, int]:
    if unit == "vcpu":
        return CPU, 1000 * amount
    return (MEMORY, MEBIBYTE * amount) if unit == "memoryMiB" else (unit, amount)


def usage_of(status: Mapping[str, Any]) -> tuple[tuple[tuple[str, float], ...], float]:
    """The usage of shares that a queue's status has noted, and as of when."""
    noted = status.get("fairshare") or ()
    values = tuple((each["shareIdentifier"], _number(each.get("usage", "0"))) for each in noted)
    return values, min((moment(each["updatedAt"]).timestamp() for each in noted if each.get("updatedAt")), default=0.0)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
