"""What the scheduler knows between passes: kept up to date change by change, so that a pass costs what has changed.

`State.of` makes it from a snapshot, from scratch; both ways give the same plan (property-tested). It holds no clock and
does no I/O: `now` comes with what is told to it, in seconds since the epoch.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np

from batchwright.domain.observations import Node
from batchwright.scheduling import quota
from batchwright.scheduling.fairshare import Usage
from batchwright.scheduling.nodes import Columns, Nodes
from batchwright.scheduling.offers import Fitting
from batchwright.scheduling.room import cpu_of
from batchwright.scheduling.snapshot import Candidate, Environment, Growth, Held, Queue, Shape, Snapshot
from batchwright.scheduling.waiting import Waiting


class State:
    """Nodes, queues, what waits and what is held. Callers read the attributes and change them by the methods alone."""

    def __init__(self) -> None:
        self.nodes = Nodes()
        self.environments: dict[str, Environment] = {}
        self.growth: dict[str, Growth] = {}
        # Which offers would take a shape, by environment: as long as the environment grows by the same.
        self.offers_for: dict[tuple[str, Shape], Fitting] = {}
        self.queues: dict[str, Queue] = {}
        self.waiting: defaultdict[str, Waiting] = defaultdict(Waiting)
        self.held: dict[str, Held] = {}
        self.unbound: set[str] = set()
        self.running: Counter[str] = Counter()
        self.vcpus: Counter[str] = Counter()
        self.usage: dict[str, Usage] = {}
        self.books: dict[str, quota.QuotaBook] = {}
        self.consumables: dict[str, int] = {}
        self.taken: Counter[str] = Counter()
        self.share_vcpus: Counter[tuple[str, str]] = Counter()
        self.on_node: defaultdict[str, dict[str, int]] = defaultdict(dict)
        # What is held with a known end, the first to end first.
        self.ends: list[tuple[float, str]] = []
        # Where the first that waits in a queue is to start at the latest, kept from pass to pass: (uid, node, when).
        self.reservations: dict[str, tuple[str, str, float]] = {}
        # Since when jobs wait for what others would have to be preempted for, by uid.
        self.claims: dict[str, float] = {}
        # Counts what has changed: a pass over the same state would say the same again.
        self.changes = 0
        self._queue_of: dict[str, str] = {}

    @classmethod
    def of(cls, snapshot: Snapshot) -> State:
        """The state that a snapshot describes."""
        state = cls()
        state.environments = dict(snapshot.environments)
        state.growth = dict(snapshot.growth)
        for node in snapshot.nodes:
            state.nodes.put(node.name, node)
        for name, taken in snapshot.occupied.items():
            state.nodes.occupy(name, taken)
        state.consumables = dict(snapshot.consumables)
        for queue in snapshot.queues:
            state.put_queue(queue.name, queue, snapshot.now)
        for held in snapshot.held:
            state.put_held(held.uid, held, snapshot.now)
        for queue in snapshot.queues:
            for candidate in queue.waiting:
                state.put_waiting(candidate.uid, queue.name, candidate)
        return state

    def put_queue(
        self,
        name: str,
        queue: Queue | None,
        now: float,
        noted: tuple[tuple[tuple[str, float], ...], float] = ((), 0.0),
    ) -> None:
        """A queue was seen, changed, or is gone; what waits in it is told apart.

        `noted` is the usage of its shares that somebody before us has noted, and as of when: what is held now is taken
        to have been held since then."""
        self.changes += 1
        if queue is None:
            for known in (self.queues, self.usage, self.books, self.reservations):
                known.pop(name, None)
            return
        queue = replace(queue, waiting=())
        before = self.queues.get(name)
        if before == queue:
            return
        self.queues[name] = queue
        holders = [held for held in self.held.values() if held.queue == name]
        if queue.fair_share is None:
            self.usage.pop(name, None)
        elif name not in self.usage:
            values, since = noted
            self.usage[name] = Usage(queue.fair_share.decay_seconds)
            self.usage[name].restore(values, since)
            for held in holders:
                self._charge(held, max(since, held.started) if values else now)
        else:
            self.usage[name].change_decay(queue.fair_share.decay_seconds, now)
        self.books.pop(name, None)
        if queue.quota_shares:
            book = self.books[name] = quota.QuotaBook(queue.quota_shares)
            for held in holders:
                if held.share in book:
                    book.add(held.share, held.shape.resources, held.count)

    def put_waiting(self, uid: str, queue: str, candidate: Candidate | None) -> None:
        """A job waits in a queue, or no more."""
        before = self._queue_of.get(uid)
        if before is not None and (candidate is None or before != queue):
            self.waiting[before].remove(uid)
            del self._queue_of[uid]
            self.changes += 1
        if candidate is not None:
            self.changes += self.waiting[queue].put(candidate)
            self._queue_of[uid] = queue

    @property
    def waiting_uids(self) -> Collection[str]:
        """The jobs that wait."""
        return self._queue_of.keys()

    def queue_of(self, uid: str) -> str | None:
        """The queue that the job waits in."""
        return self._queue_of.get(uid)

    def put_held(self, uid: str, held: Held | None, now: float) -> None:
        """A job holds room, other room than before, or none."""
        before = self.held.get(uid)
        if before == held:
            return
        self.changes += 1
        if before is not None:
            self._count(before, -1)
            del self.held[uid]
        if held is not None:
            self.held[uid] = held
            self._count(held, 1)
        # Usage is of time: what a share holds is said once, when all of the change is known.
        for each in {one.share: one for one in (before, held) if one is not None}.values():
            self._charge(each, now)

    def _count(self, held: Held, sign: int) -> None:
        self.running[held.queue] += sign * held.count
        cpu = held.count * cpu_of(held.shape)
        self.vcpus[held.environment] += sign * cpu
        self.share_vcpus[held.queue, held.share] += sign * cpu
        for name, quantity in held.consumables:
            self.taken[name] += sign * quantity * held.count
        book = self.books.get(held.queue)
        if book is not None and held.share in book:
            (book.add if sign > 0 else book.remove)(held.share, held.shape.resources, held.count)
        for node, count in held.nodes:
            if sign > 0:
                self.on_node[node][held.uid] = count
            else:
                self.on_node[node].pop(held.uid, None)
                if not self.on_node[node]:
                    del self.on_node[node]
        if held.ends_at is not None and held.nodes:
            end = held.ends_at, held.uid
            if sign > 0:
                insort(self.ends, end)
            else:
                del self.ends[bisect_left(self.ends, end)]
        if sign > 0 and (held.unbound or held.reserved):
            self.unbound.add(held.uid)
        else:
            self.unbound.discard(held.uid)

    def _charge(self, held: Held, now: float) -> None:
        usage = self.usage.get(held.queue)
        if usage is not None:
            usage.hold(held.share, self.share_vcpus[held.queue, held.share], now)

    def consumables_left(self) -> dict[str, int]:
        """What is left of each consumable resource."""
        return {name: total - self.taken[name] for name, total in self.consumables.items()}

    def tell(self, environments: Mapping[str, Environment], consumables: Mapping[str, int]) -> None:
        """The environments, and the totals of what is counted, as they are now."""
        if (self.environments, self.consumables) != (environments, consumables):
            if self.environments != environments:
                self.offers_for.clear()
            self.environments, self.consumables = dict(environments), dict(consumables)
            self.changes += 1

    def tell_growth(self, growth: Mapping[str, Growth]) -> None:
        """What environments are to have, and may have besides, as it is now."""
        if self.growth != growth:
            self.growth = dict(growth)
            self.offers_for.clear()
            self.changes += 1

    def put_node(self, name: str, node: Node | None) -> None:
        """A node was seen, changed, or is gone."""
        self.changes += self.nodes.put(name, node)

    def occupy(self, name: str, taken: Mapping[str, int]) -> None:
        """What bound pods take from a node, in all."""
        self.nodes.occupy(name, taken)
        self.changes += 1

    def possible(self, environments: list[str], candidate: Candidate) -> Columns:
        """The nodes of the environments that could take the candidate, or a node of it, if they were empty."""
        nodes, known = self.nodes, self.environments
        shapes = [candidate.shape] if candidate.gang is None else list(candidate.gang.counts)
        every = [nodes.possible(known[name], shape) for name in environments for shape in shapes]
        return every[0] if len(every) == 1 else np.unique(np.concatenate(every))
