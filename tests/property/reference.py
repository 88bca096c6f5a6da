"""The scheduler's rules said the slow and obvious way: plain dicts, one pod at a time, every question asked anew."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import inf

from batchwright.domain.observations import Node
from batchwright.domain.quantities import Resources
from batchwright.scheduling.fairshare import HORIZON_SECONDS, Usage, reserved_milli
from batchwright.scheduling.fit import admits, has_labels, matches
from batchwright.scheduling.quota import QuotaBook
from batchwright.scheduling.snapshot import Candidate, Held, Queue, Shape, Snapshot


def suits(snapshot: Snapshot, environment: str, node: Node, shape: Shape) -> bool:
    """Whether the node is one of the environment's and lets the pod on, room or not."""
    known = snapshot.environments.get(environment)
    return (
        known is not None
        and node.ready
        and node.schedulable
        and has_labels(node, known.node_selector + shape.node_selector)
        and matches(node, shape.affinity)
        and admits(node, known.tolerations + shape.tolerations)
    )


def holds(shape: Shape, room: Resources) -> bool:
    """Whether the room is enough."""
    return all(amount <= 0 or room.get(name, 0) >= amount for name, amount in shape.resources)


def possible_nodes(snapshot: Snapshot, environments: list[str], shape: Shape) -> set[str]:
    """The nodes of these environments that would take the pod if they were empty."""
    return {
        node.name
        for name in environments
        for node in snapshot.nodes
        if suits(snapshot, name, node, shape) and holds(shape, node.allocatable)
    }


def open_environments(snapshot: Snapshot, queue: Queue, candidate: Candidate) -> list[str]:
    """Where the candidate may start; an array under way goes on where it is."""
    names = queue.environments if candidate.environment is None else (candidate.environment,)
    return [name for name in names if name in snapshot.environments and snapshot.environments[name].is_open]


def cpu(shape: Shape) -> int:
    """The milli-CPU that a pod of the shape asks."""
    return dict(shape.resources).get("cpu", 0)


Kept = list[tuple[int, float]]


def beside(kept: dict[str, Kept], name: str, ends: float) -> int:
    """What is kept from work that ends then."""
    return sum(amount for amount, until in kept.get(name, []) if until < ends)


@dataclass
class Reference:
    """A pass over a snapshot without preemption. Nothing of the quota queues may be held by others than their shares'
    reservation-free books know: what is reclaimed is judged elsewhere."""

    snapshot: Snapshot
    starts: dict[str, tuple[str, str, int]] = field(default_factory=dict)  # uid → environment, first node, how many
    heads: dict[str, str] = field(default_factory=dict)
    reserved: dict[str, tuple[str, str, float]] = field(default_factory=dict)

    def run(self) -> Reference:
        """The pass; what it decided is in the fields."""
        snapshot = self.snapshot
        self.free = {
            node.name: {
                name: amount - snapshot.occupied.get(node.name, {}).get(name, 0)
                for name, amount in node.allocatable.items()
            }
            for node in snapshot.nodes
        }
        self.claims: dict[str, float] = {}
        self.used = {name: self._sum(environment=name) for name in snapshot.environments}
        self.running = {
            queue.name: sum(held.count for held in snapshot.held if held.queue == queue.name)
            for queue in snapshot.queues
        }
        self.left = dict(snapshot.consumables)
        for held in snapshot.held:
            for name, quantity in held.consumables:
                self.left[name] = self.left.get(name, 0) - quantity * held.count
        self.usage = {queue.name: Usage() for queue in snapshot.queues}
        self.books: dict[str, QuotaBook] = {}
        self.later: dict[str, QuotaBook] = {}
        for queue in snapshot.queues:
            for share in {held.share for held in snapshot.held if held.queue == queue.name}:
                self.usage[queue.name].hold(share, self._sum(queue=queue.name, share=share), snapshot.now)
            for books in (self.books, self.later):
                book = books[queue.name] = QuotaBook(queue.quota_shares)
                for held in snapshot.held:
                    if held.queue == queue.name and held.share in book:
                        book.add(held.share, held.shape.resources, held.count)
        self.kept_vcpus: dict[str, Kept] = {}
        self.kept_running: dict[str, Kept] = {}
        self.kept_consumables: dict[str, Kept] = {}
        self.shut: set[str] = set()
        for held in sorted(snapshot.held, key=lambda each: each.uid):
            for _ in range(held.unbound):
                self._put(held.environment, held.shape, inf)
        while (found := self._next()) is not None:
            self._try(*found)
        return self

    def _sum(self, **wanted: str) -> int:
        fits = [held for held in self.snapshot.held if all(getattr(held, key) == wanted[key] for key in wanted)]
        return sum(held.count * cpu(held.shape) for held in fits)

    # Whose turn it is.

    def _next(self) -> tuple[Queue, Candidate] | None:
        firsts = [(queue, found) for queue in self.snapshot.queues if (found := self._first(queue)) is not None]
        return min(firsts, key=lambda pair: (-pair[0].priority, pair[1].arrival), default=None)

    def _first(self, queue: Queue) -> Candidate | None:
        waiting = [each for each in queue.waiting if each.uid not in self.shut and self._left(each) > 0]
        by_share: dict[str, Candidate] = {}
        for each in sorted(waiting, key=lambda each: each.turn):
            by_share.setdefault(each.share, each)
        if queue.fair_share is not None:
            return min(by_share.values(), key=lambda each: (self._score(queue, each.share), each.share), default=None)
        return min(by_share.values(), key=lambda each: (self._borrows(queue, each), each.turn), default=None)

    def _left(self, candidate: Candidate) -> int:
        return candidate.count - self._started(candidate.uid)

    def _started(self, uid: str) -> int:
        return self.starts[uid][2] if uid in self.starts else 0

    def _started_cpu(self, queue: Queue, share: str) -> int:
        return sum(self._started(each.uid) * cpu(each.shape) for each in queue.waiting if each.share == share)

    def _score(self, queue: Queue, share: str) -> float:
        policy = queue.fair_share
        assert policy is not None
        started = self._started_cpu(queue, share) * HORIZON_SECONDS / 1000 * policy.weight(share)
        return self.usage[queue.name].score(policy, share, self.snapshot.now) + started

    def _borrows(self, queue: Queue, candidate: Candidate) -> bool:
        book = self.books[queue.name]
        return candidate.share in book and not book.is_nominal(candidate.share, candidate.shape.resources)

    # One pod.

    def _try(self, queue: Queue, candidate: Candidate) -> None:
        ends = inf if candidate.seconds is None else self.snapshot.now + candidate.seconds
        if queue.max_running is not None:
            if self.running[queue.name] >= queue.max_running:
                self.shut.update(each.uid for each in queue.waiting)
                return
            if self.running[queue.name] + beside(self.kept_running, queue.name, ends) >= queue.max_running:
                self._shut(queue, candidate)
                return
        if any(self._lacks(name, quantity, ends) for name, quantity in candidate.consumables):
            for name, quantity in candidate.consumables:
                if self._lacks(name, quantity, inf):
                    self.left[name] = 0
            self._shut(queue, candidate)
            return
        if not self._within_quota(queue, candidate) or not self._unreserved(queue, candidate):
            self._claim_quota(queue, candidate)
            return
        where = self.starts.get(candidate.uid)
        environments = open_environments(self.snapshot, queue, candidate) if where is None else [where[0]]
        for name in environments:
            if self._at_maximum(name, candidate.shape, ends):
                continue
            node = self._put(name, candidate.shape, ends)
            if node is not None:
                self._start(queue, candidate, name, node)
                return
        self._shut(queue, candidate)
        if queue.name not in self.heads:
            self._keep_place(queue, candidate, environments)

    def _claim_quota(self, queue: Queue, candidate: Candidate) -> None:
        self._shut(queue, candidate, candidate.share)
        if self._within_quota(queue, candidate) or candidate.share not in self.books[queue.name]:
            return
        request, book = candidate.shape.resources, self.later[queue.name]
        if book.room(candidate.share, request) or book.is_nominal(candidate.share, request):
            book.add(candidate.share, request)
        elif book.is_within(candidate.share, request):
            self.shut.update(each.uid for each in queue.waiting if each.share == candidate.share)

    def _lacks(self, name: str, quantity: int, ends: float) -> bool:
        return self.left.get(name, 0) - beside(self.kept_consumables, name, ends) < quantity

    def _within_quota(self, queue: Queue, candidate: Candidate) -> bool:
        if not queue.quota_shares:
            return True
        books = self.books[queue.name], self.later[queue.name]
        return all(candidate.share in book and book.room(candidate.share, candidate.shape.resources) for book in books)

    def _unreserved(self, queue: Queue, candidate: Candidate) -> bool:
        policy, usage = queue.fair_share, self.usage[queue.name]
        if policy is None or not policy.reservation or not cpu(candidate.shape):
            return True
        if not usage.held(candidate.share) and not self._started_cpu(queue, candidate.share):
            return True
        names = [name for name in queue.environments if name in self.snapshot.environments]
        names = [name for name in names if self.snapshot.environments[name].is_open]
        most = sum(self._capacity(name) for name in names)
        active = usage.active({each.share for each in queue.waiting}, self.snapshot.now)
        free = most - reserved_milli(policy, most, len(active)) - sum(self.used[name] for name in names)
        return free >= cpu(candidate.shape)

    def _capacity(self, name: str) -> int:
        known = self.snapshot.environments[name]
        members = [node for node in self.snapshot.nodes if node.ready and node.schedulable]
        has = sum(node.allocatable.get("cpu", 0) for node in members if has_labels(node, known.node_selector))
        return has if known.max_vcpus is None else min(has, known.max_vcpus)

    def _at_maximum(self, name: str, shape: Shape, ends: float) -> bool:
        most = self.snapshot.environments[name].max_vcpus
        if most is None or not cpu(shape):
            return False
        return self.used[name] + beside(self.kept_vcpus, name, ends) + cpu(shape) > most

    def _put(self, environment: str, shape: Shape, ends: float) -> str | None:
        """The first node by name with room and no claim in the way; its room is taken."""
        for node in sorted(self.snapshot.nodes, key=lambda each: each.name):
            if self.claims.get(node.name, inf) < ends:
                continue
            if suits(self.snapshot, environment, node, shape) and holds(shape, self.free[node.name]):
                if not holds(shape, node.allocatable):
                    continue
                for name, amount in shape.resources:
                    self.free[node.name][name] = self.free[node.name].get(name, 0) - amount
                return node.name
        return None

    def _start(self, queue: Queue, candidate: Candidate, environment: str, node: str) -> None:
        _, first, count = self.starts.get(candidate.uid, (environment, node, 0))
        self.starts[candidate.uid] = environment, first, count + 1
        self.running[queue.name] += 1
        self.used[environment] += cpu(candidate.shape)
        for name, quantity in candidate.consumables:
            self.left[name] -= quantity
        for book in (self.books[queue.name], self.later[queue.name]):
            if candidate.share in book:
                book.add(candidate.share, candidate.shape.resources)

    def _shut(self, queue: Queue, candidate: Candidate, share: str | None = None) -> None:
        """Equal requests get one answer a pass."""
        asked = ("shape", "environment", "seconds", "consumables")
        self.shut.update(
            each.uid
            for each in queue.waiting
            if all(getattr(each, key) == getattr(candidate, key) for key in asked) and share in (None, each.share)
        )

    # What waits first.

    def _keep_place(self, queue: Queue, candidate: Candidate, environments: list[str]) -> None:
        snapshot, shape = self.snapshot, candidate.shape
        possible = [name for name in environments if possible_nodes(snapshot, [name], shape)]
        limits = [snapshot.environments[name].max_vcpus for name in possible]
        if all(limit is not None and cpu(shape) > limit for limit in limits):
            return
        self.heads[queue.name] = candidate.uid
        full = [name for name in possible if self._at_maximum(name, shape, inf)]
        for name in full:
            most = snapshot.environments[name].max_vcpus or 0
            room = max(0, most - self.used[name] - beside(self.kept_vcpus, name, inf))
            self.kept_vcpus.setdefault(name, []).append((room, -inf))
        rest = [name for name in possible if name not in full]
        until = -inf
        if rest:
            nodes = possible_nodes(snapshot, rest, shape)
            when, node = min((self._fits_at(node, shape), node) for node in nodes)
            if snapshot.now < when < inf:
                until, nodes = when, {node}
                self.reserved[queue.name] = candidate.uid, node, when
            for name in nodes:
                self.claims[name] = min(until, self.claims.get(name, inf))
        for name in rest:
            self.kept_vcpus.setdefault(name, []).append((cpu(shape), -inf))
        self.kept_running.setdefault(queue.name, []).append((1, -inf))
        for name, quantity in candidate.consumables:
            self.kept_consumables.setdefault(name, []).append((quantity, -inf))
        if candidate.share in self.later[queue.name]:
            self.later[queue.name].add(candidate.share, shape.resources)

    def _fits_at(self, node: str, shape: Shape) -> float:
        """When enough will have ended on the node for sure; inf if nobody knows, or if it has room already."""
        if holds(shape, self.free[node]):
            return inf
        ends = sorted({held.ends_at for held in self._on(node) if held.ends_at})
        return next((when for when in ends if holds(shape, self._free_at(node, when))), inf)

    def _on(self, node: str) -> list[Held]:
        return [held for held in self.snapshot.held if node in dict(held.nodes)]

    def _free_at(self, node: str, when: float) -> Resources:
        free = dict(self.free[node])
        for held in self._on(node):
            if held.ends_at and held.ends_at <= when:
                for name, amount in held.shape.resources:
                    free[name] = free.get(name, 0) + amount * dict(held.nodes)[node]
        return free


def scheduled(snapshot: Snapshot) -> Reference:
    """The pass over the snapshot, whatever the order of what is in it."""
    return Reference(replace(snapshot, queues=tuple(sorted(snapshot.queues, key=lambda queue: queue.name)))).run()
