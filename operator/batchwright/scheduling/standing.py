"""The line in front of a queue: in which order a pass would start what waits, if there were room for all of it.

The order is that of `turns`, with what would start counted against its share as the pass does, so that shares take
turns here as they do there. Nothing of the state is changed. The cost grows with the place that is asked for: this is
for a person who asks, not for a pass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from batchwright.scheduling.fairshare import HORIZON_SECONDS
from batchwright.scheduling.room import cpu_of
from batchwright.scheduling.snapshot import Candidate
from batchwright.scheduling.state import State
from batchwright.scheduling.turns import Cursor


@dataclass(frozen=True, slots=True)
class Standing:
    """A job's place: `position` in its queue, from 1, is that of its first element; `ahead` counts the jobs of its own
    share that come before it."""

    candidate: Candidate
    position: int
    ahead: int


def standings(state: State, name: str, now: float) -> Iterator[Standing]:
    """What waits in the queue, in order, worked out as it is asked for; nothing for a queue that does not exist."""
    queue = state.queues.get(name)
    if queue is None or name not in state.waiting:
        return
    waiting, policy, usage = state.waiting[name], queue.fair_share, state.usage.get(name)
    scores = (
        {share: usage.score(policy, share, now) for share in waiting.lines}
        if usage is not None and policy is not None
        else None
    )
    known = state.books.get(name)
    book = known.copy() if known is not None else None

    def borrows(one: Candidate) -> bool:
        return book is not None and one.share in book and not book.is_nominal(one.share, one.shape.resources)

    cursor = Cursor(
        queue, waiting, scores.__getitem__ if scores is not None else None, borrows if book is not None else None
    )
    found: set[str] = set()
    seen: Counter[str] = Counter()
    while (entry := cursor.peek()) is not None:
        _, one, group = entry
        if one.uid not in found:
            found.add(one.uid)
            yield Standing(one, len(found), seen[one.share])
            seen[one.share] += 1
        count = cursor.left(one)
        is_nominal = book is not None and one.share in book and book.is_nominal(one.share, one.shape.resources, count)
        if cursor.is_shared and not (scores is None and (book is None or is_nominal)):
            # A share with an array gives way to the others, element by element (cycle).
            count = min(count, max(1, count // 100))
        if scores is not None and policy is not None:
            scores[one.share] += count * cpu_of(one.shape) * HORIZON_SECONDS / 1000 * policy.weight(one.share)
        if book is not None and one.share in book:
            book.add(one.share, one.shape.resources, count)
        cursor.started(one, group, count)
