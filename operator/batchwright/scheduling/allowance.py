"""What a pass may still start by the queues' own limits: less what has started in it, and what it keeps for those that
wait first."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from batchwright.scheduling import preemption, quota
from batchwright.scheduling.fairshare import HORIZON_SECONDS, FairShare, reserved_milli
from batchwright.scheduling.growing import Growing
from batchwright.scheduling.room import Kept, Room, cpu_of
from batchwright.scheduling.snapshot import Candidate, Preempt, Queue, WaitKind
from batchwright.scheduling.state import State


@dataclass(slots=True)
class Limits:
    """What a queue's policies let start: how many, and the kind of limit that stops the next one."""

    count: int
    kind: WaitKind | None = None

    def lower(self, count: int, kind: WaitKind) -> None:
        """To so many, if they are more."""
        if count < self.count:
            self.count, self.kind = count, kind


class Allowance:
    """The books of one pass; `preempts` grows with what it takes back."""

    def __init__(self, state: State, room: Room, growing: Growing, preempts: list[Preempt], now: float) -> None:
        self._state, self._room, self._growing, self._now = state, room, growing, now
        self._preempts = preempts
        self.running = Counter(state.running)
        self.left = state.consumables_left()
        self.books = {name: book.copy() for name, book in state.books.items()}
        # The books as they will be: without what this pass preempts, with one pod of each that waits first.
        self._later: dict[str, quota.QuotaBook] = {}
        # What is kept for jobs that wait first, by name: of queues (maxConcurrency), of consumable resources.
        self._kept_running: defaultdict[str, Kept] = defaultdict(Kept)
        self._kept_consumables: defaultdict[str, Kept] = defaultdict(Kept)
        self._scores: dict[str, dict[str, float]] = {}
        self._started_vcpus: Counter[tuple[str, str]] = Counter()
        self._capacity: dict[str, int] = {}

    def limits(self, queue: Queue, candidate: Candidate, count: int, ends: float = inf) -> Limits:
        """How many of so many pods of the candidate, which end by `ends`, the queue lets start."""
        limits = Limits(count)
        if queue.max_running is not None:
            taken = self.running[queue.name] + self._kept_running[queue.name].beside(ends)
            limits.lower(max(0, queue.max_running - taken), WaitKind.QUEUE_FULL)
        for name, quantity in candidate.consumables:
            limits.lower(max(0, self.left_of(name, ends)) // quantity, WaitKind.CONSUMABLE)
        if queue.quota_shares and limits.count:
            book = self.books[queue.name]
            known = candidate.share in book
            room = book.room(candidate.share, candidate.shape.resources, limits.count) if known else 0
            if room and queue.name in self._later:
                room = self._later[queue.name].room(candidate.share, candidate.shape.resources, room)
            limits.lower(room, WaitKind.QUOTA)
        if queue.fair_share is not None and queue.fair_share.reservation and limits.count:
            limits.lower(self._unreserved(queue, candidate), WaitKind.RESERVED)
        return limits

    def left_of(self, name: str, ends: float) -> int:
        """Of the consumable resource, for a job that ends by then."""
        return self.left.get(name, 0) - self._kept_consumables[name].beside(ends)

    def _unreserved(self, queue: Queue, candidate: Candidate) -> int:
        """How many such pods the share may start beside what is kept for shares that use nothing yet."""
        cpu = cpu_of(candidate.shape)
        if not cpu:
            return candidate.count
        usage, share = self._state.usage[queue.name], candidate.share
        if not usage.held(share) and not self._started_vcpus[queue.name, share]:
            return 1
        used = sum(self._room.vcpus_of(name) for name in queue.environments if self.is_open(name))
        return max(0, self._most(queue, queue.fair_share) - used) // cpu

    def _most(self, queue: Queue, policy: FairShare | None) -> int:
        """The milli-CPU of the queue's environments in all, less what is kept for shares that use nothing yet. A start
        makes no share active that was not: it had a job that waited."""
        found = self._capacity.get(queue.name)
        if found is None:
            known = [self._state.environments[name] for name in queue.environments if self.is_open(name)]
            found = sum(self._growing.most_cpu(each.name) or self._state.nodes.most_cpu(each) for each in known)
            if policy is not None:
                waiting = self._state.waiting[queue.name].lines
                active = len(self._state.usage[queue.name].active(waiting, self._now))
                found -= reserved_milli(policy, found, active)
            self._capacity[queue.name] = found
        return found

    def is_open(self, name: str) -> bool:
        """Whether the environment takes jobs."""
        return name in self._state.environments and self._state.environments[name].is_open

    def scored_by(self, queue: Queue) -> Callable[[str], float] | None:
        """Of a queue of fair share the scores of its shares, to which what starts in this pass is added."""
        policy = queue.fair_share
        if policy is None:
            return None
        usage, shares = self._state.usage[queue.name], self._state.waiting[queue.name].lines
        scores = self._scores[queue.name] = {share: usage.score(policy, share, self._now) for share in shares}
        return scores.__getitem__

    def lent_by(self, queue: Queue) -> Callable[[Candidate], bool] | None:
        """Of a queue with quota shares whether the candidate's would borrow for it."""
        book = self.books.get(queue.name)
        if book is None:
            return None
        return lambda one: one.share in book and not book.is_nominal(one.share, one.shape.resources)

    def start(self, queue: Queue, candidate: Candidate, count: int) -> None:
        """Notes that so many pods start."""
        self.running[queue.name] += count
        for book in (self.books.get(queue.name), self._later.get(queue.name)):
            if book is not None and candidate.share in book:
                book.add(candidate.share, candidate.shape.resources, count)
        for name, quantity in candidate.consumables:
            self.left[name] -= quantity * count
        if queue.fair_share is not None:
            cpu = cpu_of(candidate.shape) * count
            self._started_vcpus[queue.name, candidate.share] += cpu
            weight = queue.fair_share.weight(candidate.share)
            self._scores[queue.name][candidate.share] += cpu * HORIZON_SECONDS / 1000 * weight

    def keep(self, queue: Queue, candidate: Candidate) -> None:
        """Keeps for the candidate, which waits first, its part of all that is counted. Nobody else may have it, even
        for a time: the candidate would wait for that next, and lose its node."""
        self._kept_running[queue.name].put(1, -inf)
        for name, quantity in candidate.consumables:
            self._kept_consumables[name].put(quantity, -inf)
        if queue.quota_shares:
            self.later(queue).add(candidate.share, candidate.shape.resources)

    def later(self, queue: Queue) -> quota.QuotaBook:
        """The queue's book as it will be when what was preempted has gone."""
        book = self._later.get(queue.name)
        if book is None:
            book = self._later[queue.name] = self.books[queue.name].copy()
            for uid, count in preemption.counted(self._preempts).items():
                held = self._state.held[uid]
                if held.queue == queue.name and held.share in book:
                    book.remove(held.share, held.shape.resources, count)
        return book
