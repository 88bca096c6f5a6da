"""What a pass asks of environments that grow: for all that waits of a kind, as far as its queue would let it start.

What waits behind a limit of its queue (maxConcurrency, a quota, a licence) is no demand: the node would come, and stand
idle. `Growing` knows the environments, this the queues.
"""

from __future__ import annotations

from collections import Counter

from batchwright.scheduling import quota
from batchwright.scheduling.allowance import Allowance
from batchwright.scheduling.growing import Growing
from batchwright.scheduling.room import cpu_of
from batchwright.scheduling.snapshot import Candidate, Gang, Queue, Shape, WaitKind
from batchwright.scheduling.state import State
from batchwright.scheduling.turns import Cursor
from batchwright.scheduling.waiting import Group

# The kinds of waiting that pass by themselves before those that somebody must end.
_PASSING = (
    WaitKind.AT_MAXIMUM,
    WaitKind.INSUFFICIENT,
    WaitKind.NO_NODES,
    WaitKind.OVER_MAXIMUM,
    WaitKind.NEVER_FITS,
    WaitKind.UNSUITABLE,
)


class Asking:
    """Of one pass."""

    def __init__(self, state: State, growing: Growing, allowance: Allowance) -> None:
        self._state, self._growing, self._allowance = state, growing, allowance
        # What pods whose nodes are to come will have: of a queue's maxConcurrency, of a consumable resource, of quotas.
        self._queued: Counter[str] = Counter()
        self._consumed: Counter[str] = Counter()
        self._later: dict[str, quota.QuotaBook] = {}

    def grow(self, cursor: Cursor, candidate: Candidate, group: Group, environments: list[str]) -> bool:
        """Has the environments grow, the first that can before the others; whether for any of it they do."""
        names, shape = [name for name in environments if self._growing.has(name)], candidate.shape
        if candidate.gang is not None:
            return any(self._grow_for(name, cursor, candidate, candidate.gang, group) for name in names)
        provided = False
        for first, count in cursor.rest(group) if names else ():
            left = self._startable(cursor.queue, first, count)
            for name in names:
                taken = self._growing.take(name, shape, left)
                left -= taken
                provided |= taken > 0
                self._count(cursor.queue, first, taken)
        return provided

    def _grow_for(self, name: str, cursor: Cursor, first: Candidate, gang: Gang, group: Group) -> bool:
        """Has the environment grow for as many gangs of the group as it can, each as a whole; whether for any. What is
        free already, and would take some nodes of the first, is not asked for again."""
        provided = False
        for one, count in cursor.rest(group):
            for _ in range(self._startable(cursor.queue, one, count)):
                asked, there = gang.counts, set[str]()
                if not provided and not gang.has_required:
                    asked, there = self._growing.lacking(name, gang)
                if not self._growing.take_gang(name, gang, asked, there):
                    return provided
                provided = True
                self._count(cursor.queue, one, 1)
        return provided

    def _startable(self, queue: Queue, candidate: Candidate, count: int) -> int:
        count = self._allowance.limits(queue, candidate, count).count
        if queue.max_running is not None:
            count = min(count, queue.max_running - self._allowance.running[queue.name] - self._queued[queue.name])
        for name, quantity in candidate.consumables:
            count = min(count, (self._allowance.left.get(name, 0) - self._consumed[name]) // quantity)
        book = self._later.get(queue.name)
        if book is not None and candidate.share in book:
            count = min(count, book.room(candidate.share, candidate.shape.resources, max(0, count)))
        return max(0, count)

    def _count(self, queue: Queue, candidate: Candidate, count: int) -> None:
        if not count:
            return
        self._queued[queue.name] += count
        for name, quantity in candidate.consumables:
            self._consumed[name] += quantity * count
        book = self._allowance.books.get(queue.name)
        if book is not None and candidate.share in book:
            later = self._later.setdefault(queue.name, book.copy())
            later.add(candidate.share, candidate.shape.resources, count)

    def why_no_gang(self, environments: list[str], gang: Gang) -> WaitKind:
        """Why none of these environments, which grow, grows for all nodes of the gang."""
        total, known = cpu_of(gang.total), self._state.environments
        # What stands in the way of one node stands in that of all; of environments, what may pass is said first.
        kinds = {
            next(kind for kind in reversed(_PASSING) if kind in self._growing.why_no_gang(name, gang))
            for name in environments
        }
        if all((most := known[name].max_vcpus) is not None and total > most for name in environments):
            kinds = {WaitKind.OVER_MAXIMUM} if kinds <= {WaitKind.AT_MAXIMUM, WaitKind.OVER_MAXIMUM} else kinds
        return next(kind for kind in _PASSING if kind in kinds)

    def why_not(self, environments: list[str], shape: Shape) -> WaitKind:
        """Of environments of which some grow and none has a node that would do. What may pass is said first: while it
        may, nothing is misconfigured."""
        state = self._state
        if any(state.nodes.absent_could(state.environments[name], shape) for name in environments):
            return WaitKind.NODES_AWAY
        found = {self._growing.why_not(name, shape) for name in environments if self._growing.has(name)}
        for name in environments:
            if not self._growing.has(name) and not len(state.nodes.members(state.environments[name])):
                found.add(WaitKind.NO_NODES)
        return next(kind for kind in _PASSING if kind in found)
