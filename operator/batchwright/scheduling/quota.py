"""Quota shares of a queue: how much each may hold, what it lends and borrows, and whom to preempt to get it back.

The model, for each resource that a share lists, with `max` its maxCapacity:

    lendable   = 0 for RESERVE, else max × lendLimit %          what others may use while the share does not
    guaranteed = max − lendable                                 what stays free for the share whatever others do
    pool       = Σ lendable,  of which each share uses max(0, used − guaranteed)
    ceiling    = max, for LEND_AND_BORROW + max × borrowLimit % (none if −1)

A share may hold up to its ceiling, and beyond what is guaranteed only what the pool has free. A resource that a share
does not list is neither limited for it nor lent by it. Percentages are rounded down.

Who knows Kueue finds: a share is a ClusterQueue and the shares of a queue are its cohort; maxCapacity is nominalQuota,
lendLimit is lendingLimit, borrowLimit is borrowingLimit (there an amount), and `reclaim` is reclaimWithinCohort: Any,
that is whatever the priorities. RESERVE is a lendingLimit of 0, LEND a borrowingLimit of 0. There is no
borrowWithinCohort: nobody is preempted so that somebody else may borrow.

Invariants: `room` never lets use grow beyond a ceiling or the pool; a share that asks within its maxCapacity gets it by
`reclaim` whenever the runs of those that borrow are all known. No answer changes the book.
Hazards: `add` records what is the case and judges nothing. Limits that were lowered leave shares above them: these may
start nothing and count as borrowers, whatever their strategy (AWS Batch User Guide, "Preemption", says the same). A
closed share starts what it has: AWS's DISABLED refuses submissions only. Methods raise KeyError for a share that the
queue does not have; ask `in` first.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from math import inf
from typing import Final, Literal

Strategy = Literal["RESERVE", "LEND", "LEND_AND_BORROW"]
# What one pod takes, by resource.
Request = tuple[tuple[str, int], ...]
UNLIMITED: Final = -1


@dataclass(frozen=True, slots=True)
class QuotaShare:
    """One of a queue's quotaShares. `limits` are maxCapacity by resource; percentages are of these.

    `borrow_percent` is read for LEND_AND_BORROW only (-1: no limit), `lend_percent` for all but RESERVE.
    """

    name: str
    is_open: bool = True
    limits: tuple[tuple[str, int], ...] = ()
    strategy: Strategy = "RESERVE"
    borrow_percent: int = UNLIMITED
    lend_percent: int = 100
    preempts_in_share: bool = False


@dataclass(frozen=True, slots=True)
class QuotaShortfall:
    """Why a share cannot start a pod: `short` = `asked` − (`limit` + `borrowable` − `lent` − `used`).

    `borrowable` is what the share could hold beyond its limit if nothing but the pool and its own borrowLimit counted;
    `lent` is what of its own limit others hold. One of the two is 0.
    """

    share: str
    resource: str
    limit: int
    used: int
    borrowable: int
    lent: int
    asked: int
    short: int


@dataclass(frozen=True, slots=True)
class Held:
    """`count` pods of one job that hold quota of a share, since `started`; one record per `uid`."""

    uid: str
    share: str
    request: Request
    count: int
    priority: int
    started: float

    @property
    def turn(self) -> tuple[int, float, str]:
        """Sorts victims in the order they are taken: lowest priority, then least work lost."""
        return self.priority, -self.started, self.uid


Victims = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class _Limit:
    maximum: int
    guaranteed: int
    ceiling: int | None

    @classmethod
    def of(cls, share: QuotaShare, maximum: int) -> _Limit:
        lendable = 0 if share.strategy == "RESERVE" else maximum * share.lend_percent // 100
        ceiling: int | None = maximum
        if share.strategy == "LEND_AND_BORROW":
            unlimited = share.borrow_percent == UNLIMITED
            ceiling = None if unlimited else maximum + maximum * share.borrow_percent // 100
        return cls(maximum, maximum - lendable, ceiling)


class QuotaBook:
    """What the shares of one queue hold, against what they may hold."""

    def __init__(self, shares: Iterable[QuotaShare]) -> None:
        self._shares = {share.name: share for share in sorted(shares, key=lambda share: share.name)}
        self._limits = {
            name: {resource: _Limit.of(share, maximum) for resource, maximum in share.limits}
            for name, share in self._shares.items()
        }
        self._used = {name: dict.fromkeys(limits, 0) for name, limits in self._limits.items()}
        self._pool: dict[str, int] = {}
        for limits in self._limits.values():
            for resource, limit in limits.items():
                self._pool[resource] = self._pool.get(resource, 0) + limit.maximum - limit.guaranteed
        self._pooled = dict.fromkeys(self._pool, 0)

    def __contains__(self, share: str) -> bool:
        return share in self._shares

    def share(self, name: str) -> QuotaShare:
        """The share of that name."""
        return self._shares[name]

    def copy(self) -> QuotaBook:
        """A book for a trial: what it is told is not told to this one."""
        other = QuotaBook.__new__(QuotaBook)
        other._shares, other._limits, other._pool = self._shares, self._limits, self._pool
        other._used = {name: dict(used) for name, used in self._used.items()}
        other._pooled = dict(self._pooled)
        return other

    def used(self, share: str) -> dict[str, int]:
        """What the share holds of each resource that it lists."""
        return dict(self._used[share])

    def room(self, share: str, request: Request, count: int = 1) -> int:
        """How many of `count` such pods the share may start now."""
        used = self._used[share]
        for resource, amount in self._limited(share, request):
            count = min(count, max(0, self._allowed(share, resource) - used[resource]) // amount)
        return count

    def add(self, share: str, request: Request, count: int = 1) -> None:
        """So many pods of the share hold quota from now on."""
        for resource, amount in self._limited(share, request):
            self._set(share, resource, self._used[share][resource] + amount * count)

    def remove(self, share: str, request: Request, count: int = 1) -> None:
        """So many pods of the share hold quota no more. Raises ValueError when the share does not hold so much."""
        for resource, amount in self._limited(share, request):
            left = self._used[share][resource] - amount * count
            if left < 0:
                raise ValueError(f"quota share {share} gives back {-left} of {resource} more than it holds")
            self._set(share, resource, left)

    def borrowed(self, share: str) -> dict[str, int]:
        """What the share holds beyond its maxCapacity, of the resources where it does."""
        over = {resource: self._over(share, resource) for resource in self._limits[share]}
        return {resource: amount for resource, amount in over.items() if amount > 0}

    def is_borrowing(self, share: str, resource: str) -> bool:
        """Whether the share holds more of the resource than its maxCapacity."""
        return resource in self._limits[share] and self._over(share, resource) > 0

    def overuse(self, share: str, resource: str) -> float:
        """What the share holds beyond its maxCapacity, in maxCapacities; 0 when it does not borrow."""
        if not self.is_borrowing(share, resource):
            return 0.0
        maximum = self._limits[share][resource].maximum
        return self._over(share, resource) / maximum if maximum else inf

    def is_nominal(self, share: str, request: Request, count: int = 1) -> bool:
        """Whether the share would borrow nothing with so many pods more."""
        return self.nominal_room(share, request, count) == count

    def nominal_room(self, share: str, request: Request, count: int = 1) -> int:
        """How many of `count` such pods are within the share's maxCapacities, whatever others have borrowed."""
        used, limits = self._used[share], self._limits[share]
        for resource, amount in self._limited(share, request):
            count = min(count, max(0, limits[resource].maximum - used[resource]) // amount)
        return count

    def is_within(self, share: str, request: Request) -> bool:
        """Whether one such pod is within the share's maxCapacities when the share holds nothing else."""
        limits = self._limits[share]
        return all(amount <= limits[resource].maximum for resource, amount in self._limited(share, request))

    def shortage(self, share: str, request: Request, count: int = 1) -> dict[str, int]:
        """By how much the share may hold too little of each resource for so many pods more; empty when they fit."""
        used = self._used[share]
        short = {
            resource: used[resource] + amount * count - self._allowed(share, resource)
            for resource, amount in self._limited(share, request)
        }
        return {resource: amount for resource, amount in short.items() if amount > 0}

    def why(self, share: str, request: Request, count: int = 1) -> QuotaShortfall | None:
        """The resource that the share is shortest of for so many pods, by what they ask; None when they fit."""
        short = self.shortage(share, request, count)
        if not short:
            return None
        asked = {resource: amount * count for resource, amount in request}
        resource = min(short, key=lambda name: (-short[name] / asked[name], name))
        limit = self._limits[share][resource].maximum
        beyond = self._allowed(share, resource) - limit
        return QuotaShortfall(
            share,
            resource,
            limit=limit,
            used=self._used[share][resource],
            borrowable=max(0, beyond),
            lent=max(0, -beyond),
            asked=asked[resource],
            short=short[resource],
        )

    def _limited(self, share: str, request: Request) -> Iterator[tuple[str, int]]:
        limits = self._limits[share]
        return ((resource, amount) for resource, amount in request if amount > 0 and resource in limits)

    def _allowed(self, share: str, resource: str) -> int:
        """What the share may hold now, what it holds already included."""
        limit = self._limits[share][resource]
        own = max(0, self._used[share][resource] - limit.guaranteed)
        free = self._pool[resource] - (self._pooled[resource] - own)
        reach = limit.guaranteed + max(0, free)
        return reach if limit.ceiling is None else min(reach, limit.ceiling)

    def _over(self, share: str, resource: str) -> int:
        return self._used[share][resource] - self._limits[share][resource].maximum

    def _set(self, share: str, resource: str, amount: int) -> None:
        guaranteed = self._limits[share][resource].guaranteed
        before = self._used[share][resource]
        self._pooled[resource] += max(0, amount - guaranteed) - max(0, before - guaranteed)
        self._used[share][resource] = amount


def reclaim(book: QuotaBook, share: str, request: Request, count: int, held: Sequence[Held]) -> Victims:
    """Whom to preempt, (uid, pods) in the order taken, so that `count` such pods fit within the share's maxCapacities.

    Only from shares that borrow what is short, the one most over its maxCapacity (relative to it) first, pod by pod;
    within it by `Held.turn`. Nothing more is taken from a share that borrows no more: its last pod may bring it below
    its maxCapacity only as far as that pod reaches across it. No victim is needless. Empty when the pods would not be
    within the maxCapacities, when they fit as it is, and when what is asked for cannot be had in full.
    """
    if not book.is_nominal(share, request, count):
        return ()
    trial = book.copy()
    return _choose(trial, share, request, count, _Borrowers(trial, held).next)


def in_share(book: QuotaBook, share: str, request: Request, count: int, priority: int, held: Sequence[Held]) -> Victims:
    """Whom to preempt, (uid, pods) in the order taken, in the same share for `count` such pods of this priority.

    Only runs of strictly lower priority, by `Held.turn`, and only if the share wants that (inSharePreemption); else as
    `reclaim`.
    """
    if not book.share(share).preempts_in_share:
        return ()
    lower = _Line(run for run in held if run.share == share and run.priority < priority)
    return _choose(book.copy(), share, request, count, lower.next)


def _choose(
    trial: QuotaBook,
    share: str,
    request: Request,
    count: int,
    next_victim: Callable[[Collection[str]], Held | None],
) -> Victims:
    """Takes pods until the request fits, then gives back what turned out needless; all or nothing."""
    taken: dict[str, int] = {}
    runs: dict[str, Held] = {}
    while short := trial.shortage(share, request, count):
        victim = next_victim(short)
        if victim is None:
            return ()
        trial.remove(victim.share, victim.request)
        runs[victim.uid] = victim
        taken[victim.uid] = taken.get(victim.uid, 0) + 1
    # A pod taken for one resource may be made needless by one taken later for another. More use never makes room, so
    # one walk leaves no needless victim; from the last one back, since those are the rightest to take first.
    for uid, run in reversed(runs.items()):
        while taken[uid]:
            trial.add(run.share, run.request)
            if trial.shortage(share, request, count):
                trial.remove(run.share, run.request)
                break
            taken[uid] -= 1
    return tuple((uid, pods) for uid, pods in taken.items() if pods)


class _Line:
    """The pods of some runs, one by one in the order they are taken."""

    def __init__(self, runs: Iterable[Held]) -> None:
        self._runs = sorted((run for run in runs if run.count > 0), key=lambda run: run.turn, reverse=True)
        self._left = self._runs[-1].count if self._runs else 0

    def next(self, short: Collection[str]) -> Held | None:
        """Takes a pod of the next run that holds any of what is short.

        What holds nothing of it is passed over for good: less and less is short while pods are taken.
        """
        while self._runs and not (self._left and _holds(self._runs[-1], short)):
            self._runs.pop()
            self._left = self._runs[-1].count if self._runs else 0
        if not self._runs:
            return None
        self._left -= 1
        return self._runs[-1]


def _holds(run: Held, resources: Collection[str]) -> bool:
    return any(amount > 0 and name in resources for name, amount in run.request)


class _Borrowers:
    """The pods of shares that borrow, from the share most over its limits; a heap, since victims may be thousands."""

    def __init__(self, book: QuotaBook, held: Sequence[Held]) -> None:
        self._book = book
        runs: dict[str, list[Held]] = {}
        for run in held:
            if run.share in book and book.borrowed(run.share):
                runs.setdefault(run.share, []).append(run)
        self._lines = {share: _Line(found) for share, found in runs.items()}
        self._heap = [(-inf, share) for share in self._lines]
        heapify(self._heap)

    def next(self, short: Collection[str]) -> Held | None:
        """A pod of the share most over in what is short.

        How far a share is over only falls while pods are taken, so an entry of the heap is never too low a claim: it
        is brought up to date when it comes to the top.
        """
        while self._heap:
            claim, share = heappop(self._heap)
            borrowed = {name: over for name in short if (over := self._book.overuse(share, name)) > 0}
            if not borrowed:
                continue
            now = -max(borrowed.values())
            if now > claim:
                heappush(self._heap, (now, share))
                continue
            victim = self._lines[share].next(borrowed)
            if victim is not None:
                heappush(self._heap, (now, share))
                return victim
        return None
