"""Why each job waits: worked out for those that somebody asks about, from what one pass has judged.

A pass judges groups of equal requests, not jobs, so that a hundred thousand that wait cost it nothing; the answer for
one of them is put together here, with the arithmetic of every environment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from batchwright.scheduling.explain import describe
from batchwright.scheduling.growing import Growing
from batchwright.scheduling.quota import QuotaBook
from batchwright.scheduling.room import Room
from batchwright.scheduling.snapshot import Answers, Candidate, Gang, Shape, Shortfall, Start, Wait, WaitKind
from batchwright.scheduling.state import State
from batchwright.scheduling.waiting import Group

# By queue, share ("" for all) and group (None for all of the queue).
Judgements = dict[tuple[str, str, Group | None], WaitKind]
_EMPTY = (WaitKind.NEVER_FITS, WaitKind.UNSUITABLE, WaitKind.NODES_AWAY, WaitKind.OVER_MAXIMUM)


class Waits(Answers):
    """The wait of every job that was not started, or of which only some elements were."""

    def __init__(
        self,
        state: State,
        room: Room,
        growing: Growing,
        judged: Judgements,
        heads: Mapping[str, str],
        starts: Mapping[str, Start],
        books: Mapping[str, QuotaBook],
    ) -> None:
        self._state = state
        self._room = room
        self._growing = growing
        self._judged = judged
        self._heads = set(heads.values())
        self._started = starts
        self._books = books

    def kind(self, queue: str, candidate: Candidate, group: Group) -> WaitKind:
        """What stands in the way of the candidate."""
        for key in ((queue, "", group), (queue, candidate.share, group), (queue, "", None)):
            kind = self._judged.get(key)
            if kind is WaitKind.NO_ROOM and candidate.uid not in self._heads:
                return WaitKind.BEHIND
            if kind is not None:
                return kind
        return WaitKind.BEHIND

    def _find(self, uid: str) -> tuple[str, Candidate, Group] | None:
        queue = self._state.queue_of(uid)
        found = self._state.waiting[queue].get(uid) if queue in self._state.queues else None
        if queue is None or found is None:
            return None
        start = self._started.get(uid)
        return None if start is not None and start.count >= found[0].count else (queue, *found)

    def kind_of(self, uid: str) -> WaitKind | None:
        """What stands in the job's way, without the arithmetic; None if it does not wait."""
        found = self._find(uid)
        return None if found is None else self.kind(*found)

    def __getitem__(self, uid: str) -> Wait:
        found = self._find(uid)
        if found is None:
            raise KeyError(uid)
        queue, candidate, group = found
        start = self._started.get(uid)
        kind = self.kind(queue, candidate, group)
        gang = candidate.gang
        return Wait(
            kind,
            self._shortfalls(queue, candidate, kind, start),
            self._detail(queue, candidate, kind),
            gang,
            () if gang is None else tuple(self._spaces(queue, candidate, gang, kind)),
        )

    def _spaces(self, queue: str, candidate: Candidate, gang: Gang, kind: WaitKind) -> Iterator[tuple[str, int]]:
        known = self._state.environments
        names = self._state.queues[queue].environments if candidate.environment is None else (candidate.environment,)
        for name in names:
            if name in known and known[name].is_open:
                yield name, self._room.space_for(name, gang, empty=kind in (*_EMPTY, WaitKind.TOO_FEW))

    def _shortfalls(
        self, queue: str, candidate: Candidate, kind: WaitKind, start: Start | None
    ) -> tuple[Shortfall, ...]:
        bound = start.environment if start is not None else candidate.environment
        names = self._state.queues[queue].environments if bound is None else (bound,)
        opened = [name for name in names if (found := self._state.environments.get(name)) and found.is_open]
        gang = candidate.gang
        # Of a gang that may run more vCPUs than there are, the total; else what the largest of its nodes lacks.
        is_total = gang is None or kind in (WaitKind.OVER_MAXIMUM, WaitKind.AT_MAXIMUM)
        shape = candidate.shape if gang is None or is_total else gang.largest
        return tuple(self._shortfall(name, shape, kind) for name in opened)

    def _shortfall(self, name: str, shape: Shape, kind: WaitKind) -> Shortfall:
        if self._growing.has(name) and kind in (WaitKind.NEVER_FITS, WaitKind.UNSUITABLE):
            return self._growing.shortfall(name, shape)
        return self._room.shortfall(name, shape, empty=kind in _EMPTY)

    def _detail(self, queue: str, candidate: Candidate, kind: WaitKind) -> str:
        known = self._state.queues[queue]
        match kind:
            case WaitKind.QUEUE_FULL:
                return f"{self._state.running[queue]} of at most {known.max_running} run (maxConcurrency)"
            case WaitKind.CONSUMABLE:
                left = self._state.consumables_left()
                lacking = [
                    f"ConsumableResource {name} has {max(0, left[name])} of {self._state.consumables[name]} left, "
                    f"{quantity} asked"
                    if name in left
                    else f"ConsumableResource {name} does not exist"
                    for name, quantity in candidate.consumables
                    if left.get(name, 0) < quantity
                ]
                return "; ".join(lacking) or "earlier jobs wait for the same consumable resources"
            case WaitKind.RESERVED:
                return "what is free is kept for share identifiers that use nothing yet (computeReservation)"
            case WaitKind.NODES_COMING:
                names = known.environments if candidate.environment is None else (candidate.environment,)
                told = [(name, self._growing.describe(name)) for name in names if self._growing.has(name)]
                return "; ".join(f"ComputeEnvironment {name}: {text}" for name, text in told if text)
            case WaitKind.INSUFFICIENT:
                names = known.environments if candidate.environment is None else (candidate.environment,)
                shapes = (candidate.shape,) if candidate.gang is None else candidate.gang.counts
                kinds = {kind for name in names for each in shapes for kind in self._growing.barred(name, each)}
                return f"[{', '.join(sorted(kinds)[:10])}]"
            case WaitKind.UNSUITABLE if candidate.gang is not None:
                return "; ".join(self._apart(known.environments, candidate, candidate.gang))
            case WaitKind.QUOTA:
                return self._quota(queue, candidate)
        return ""

    def _apart(self, names: tuple[str, ...], candidate: Candidate, gang: Gang) -> Iterator[str]:
        """Which environments cannot give all nodes of the gang a label that they must share."""
        for name in names if candidate.environment is None else (candidate.environment,):
            key = self._growing.unshared(name, gang) if self._growing.has(name) else ""
            if key:
                yield (
                    f"ComputeEnvironment {name} may start no nodes that share the label {key}, which "
                    "nodeProperties.topology requires"
                )

    def _quota(self, queue: str, candidate: Candidate) -> str:
        book = self._books.get(queue)
        if book is None or candidate.share not in book:
            names = ", ".join(share.name for share in self._state.queues[queue].quota_shares)
            asked = (
                f"has no quota share {candidate.share}" if candidate.share else "takes only jobs with a quotaShareName"
            )
            return f"JobQueue {queue} {asked}; it has {names}"
        why = book.why(candidate.share, candidate.shape.resources)
        if why is None:
            return "earlier jobs of the quota share have taken what it may hold"
        amounts = {
            "limit": why.limit,
            "used": why.used,
            "to borrow": why.borrowable,
            "lent": why.lent,
            "asked": why.asked,
            "short by": why.short,
        }
        told = ", ".join(f"{name} {describe({why.resource: amount})}" for name, amount in amounts.items() if amount)
        return f"quota share {why.share}: {told}"

    def __iter__(self) -> Iterator[str]:
        for name in self._state.queues:
            for candidate, _ in self._state.waiting[name].candidates():
                start = self._started.get(candidate.uid)
                if start is None or start.count < candidate.count:
                    yield candidate.uid

    def __len__(self) -> int:
        return sum(1 for _ in self)
