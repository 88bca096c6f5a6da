"""Whose turn it is: the order in which a pass tries what waits.

Queues of higher priority first; queues of the same priority by the arrival of what is next in each. Within a queue,
shares by what they have used (fair share), or those within their quota before those that would borrow (quota shares);
within a share, what was preempted, then schedulingPriority, then arrival.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heapreplace
from itertools import groupby
from operator import attrgetter

from batchwright.scheduling.snapshot import Arrival, Candidate, Queue
from batchwright.scheduling.waiting import Entry, Group, Waiting

Rank = tuple[object, ...]


class Cursor:
    """What of one queue is next. Its shares are ordered by `score`; without one those that would not borrow (as
    `borrows` says of what is next in each) come first, and then it is by turn.

    A rank only grows in the course of a pass, as shares are served and what they had first is shut out, so an entry of
    the heap is never too late in it: it is brought up to date when it comes to the top.
    """

    def __init__(
        self,
        queue: Queue,
        waiting: Waiting,
        score: Callable[[str], float] | None = None,
        borrows: Callable[[Candidate], bool] | None = None,
    ) -> None:
        self.queue = queue
        self._waiting = waiting
        self._score = score
        self._borrows = borrows
        self._open = set(waiting.groups)
        self._shut: set[tuple[str, Group]] = set()
        self._positions: dict[tuple[str, Group], int] = {}
        # By share, as heaps: what is next of each group. Made when the share's turn comes.
        self._firsts: dict[str, list[Entry]] = {}
        self._started: dict[str, int] = {}
        self._started_of: Counter[tuple[str, Group]] = Counter()
        # What is next, while nothing has become of it.
        self._next: Entry | None = None
        # Every share has something at first; what that is needs no look before its turn comes, where a score decides.
        self._heap = [(self._rank(share, None), share) for share in waiting.lines]
        heapify(self._heap)

    def peek(self) -> Entry | None:
        """The candidate whose turn it is; None when nothing of the queue may start any more."""
        if self._next is not None:
            return self._next
        while self._heap and self._open:
            rank, share = self._heap[0]
            found = self._first(share)
            if found is None:
                heappop(self._heap)
            elif (now := self._rank(share, found)) == rank:
                self._next = found
                return found
            else:
                heapreplace(self._heap, (now, share))
        return None

    def left(self, candidate: Candidate) -> int:
        """How many pods of the candidate whose turn it is have not been started in this pass."""
        return candidate.count - self._started.get(candidate.uid, 0) if self._started else candidate.count

    def rest(self, group: Group) -> Iterator[tuple[Candidate, int]]:
        """What of the group has not been started in this pass: of each share how many pods, and its first."""
        for share, count in self._waiting.pods[group].items():
            left = count - self._started_of[share, group]
            if left > 0:
                yield self._waiting.lines[share][group][0][1], left

    @property
    def is_shared(self) -> bool:
        """Whether several shares want to start something."""
        return len(self._heap) > 1

    def started(self, candidate: Candidate, group: Group, count: int) -> None:
        """So many more pods of the candidate were started; its share takes its place anew."""
        started = self._started.get(candidate.uid, 0) + count
        self._started[candidate.uid] = started
        self._started_of[candidate.share, group] += count
        if started >= candidate.count:
            self._pass_over(candidate.share, group)
        self._requeue(candidate.share)

    def shut(self, group: Group) -> None:
        """Nothing of the group can start in this pass."""
        self._open.discard(group)
        self._next = None

    def shut_in(self, share: str, group: Group) -> None:
        """Nothing of the group in this share can."""
        self._shut.add((share, group))
        self._requeue(share)

    def shut_share(self, share: str) -> None:
        """Nothing of the share can."""
        self._shut.update((share, group) for group in self._waiting.lines[share])
        self._requeue(share)

    def end(self) -> None:
        """Nothing of the queue can."""
        self._open.clear()
        self._next = None

    def _requeue(self, share: str) -> None:
        """Gives the share whose turn it was its next place."""
        self._next = None
        found = self._first(share)
        if found is None:
            heappop(self._heap)
            return
        heapreplace(self._heap, (self._rank(share, found), share))
        if self._heap[0][1] == share:
            self._next = found

    def _rank(self, share: str, first: Entry | None) -> Rank:
        if self._score is not None:
            return (self._score(share),)
        found = first or self._first(share)
        if found is None:
            return (True,)
        return self._borrows is not None and self._borrows(found[1]), found[0]

    def _pass_over(self, share: str, group: Group) -> None:
        """What is next in the share has all been started: behind it comes the next of the same group."""
        position = self._positions[share, group] = self._positions.get((share, group), 0) + 1
        line = self._waiting.lines[share][group]
        if position < len(line):
            heapreplace(self._firsts[share], line[position])
        else:
            heappop(self._firsts[share])

    def _first(self, share: str) -> Entry | None:
        firsts = self._firsts.get(share)
        if firsts is None:
            firsts = self._firsts[share] = [line[0] for line in self._waiting.lines[share].values()]
            heapify(firsts)
        while firsts:
            group = firsts[0][2]
            if group in self._open and not (self._shut and (share, group) in self._shut):
                return firsts[0]
            heappop(firsts)
        return None


class Turns:
    """The cursors of all queues, merged."""

    def __init__(self, cursors: list[Cursor]) -> None:
        ordered = sorted(cursors, key=lambda cursor: (-cursor.queue.priority, cursor.queue.name))
        self._levels = [list(level) for _, level in groupby(ordered, key=attrgetter("queue.priority"))]
        self._heap: list[tuple[Arrival, int]] = []
        self._fill()

    def next(self) -> tuple[Cursor, Candidate, Group] | None:
        """Whose turn it is; the caller tells the cursor what became of it before it asks again."""
        while self._levels:
            while self._heap:
                arrival, index = self._heap[0]
                cursor = self._levels[0][index]
                found = cursor.peek()
                if found is None:
                    heappop(self._heap)
                elif len(self._heap) == 1 or found[1].arrival == arrival:
                    return cursor, found[1], found[2]
                else:
                    heapreplace(self._heap, (found[1].arrival, index))
            self._levels.pop(0)
            self._fill()
        return None

    def _fill(self) -> None:
        if self._levels:
            peeked = [(cursor.peek(), index) for index, cursor in enumerate(self._levels[0])]
            self._heap = [(found[1].arrival, index) for found, index in peeked if found is not None]
            heapify(self._heap)
