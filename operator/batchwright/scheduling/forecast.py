"""When what waits is likely to start: passes in virtual time, over what is known of how long things run.

The state is the caller's to give away: starts and ends are carried out in it. What runs ends when it is expected to,
what starts holds room for as long as it is expected to run, and nobody new comes. Work whose run time nobody knows
never ends here, so what needs its room has no forecast. Preemptions are left out: they make a start earlier, not later.

Invariants: the same state and expectations give the same forecast; none lies before `now`. Hazard: a pass for every
moment at which something ends; moments that lie close together, by a part of how far off they are, are one.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from batchwright.scheduling.cycle import plan
from batchwright.scheduling.gang import reserved
from batchwright.scheduling.snapshot import Held, Start
from batchwright.scheduling.state import State

MOST_PASSES: Final = 500
# Ends that are apart by less than this part of how far off they are count as one.
GRAIN: Final = 0.02


@dataclass(frozen=True, slots=True, order=True)
class End:
    """`count` pods of a work that runs are expected to be gone at `at`; `node` is "" where they have none yet."""

    at: float
    uid: str
    node: str = ""
    count: int = 1


@dataclass
class _Course:
    state: State
    now: float
    seconds: Callable[[str], float | None]
    occupied: dict[str, dict[str, int]]
    due: list[End]
    found: dict[str, float] = field(default_factory=dict)
    made: int = 0

    def start(self, start: Start) -> None:
        """Carries a start out: the room is held by a work of its own, which ends as a whole."""
        state, queue = self.state, self.state.queue_of(start.uid)
        known = state.waiting[queue].get(start.uid) if queue is not None else None
        if queue is None or known is None:
            raise KeyError(start.uid)
        candidate, seconds = known[0], self.seconds(start.uid)
        rest = replace(candidate, count=candidate.count - start.count, environment=start.environment)
        state.put_waiting(start.uid, queue, rest if rest.count else None)
        self.found.setdefault(start.uid, self.now)
        self.made += 1
        held = Held(
            uid=f"{start.uid}+{self.made}",
            queue=queue,
            environment=start.environment,
            shape=candidate.shape,
            count=start.count,
            unbound=0 if start.machines else start.count,
            reserved=reserved(start.machines, candidate.gang),
            share=candidate.share,
            priority=candidate.priority,
            started=self.now,
            consumables=candidate.consumables,
        )
        state.put_held(held.uid, held, self.now)
        if seconds is not None:
            heapq.heappush(self.due, End(self.now + seconds, held.uid, count=start.count))

    def end(self, end: End) -> None:
        """Pods give their room back."""
        held = self.state.held.get(end.uid)
        if held is None:
            return
        count = max(0, held.count - end.count)
        unbound = held.unbound if end.node else max(0, held.unbound - end.count)
        nodes = tuple(
            (name, left) for name, number in held.nodes if (left := number - end.count * (name == end.node)) > 0
        )
        rest = replace(held, count=count, unbound=min(unbound, count), nodes=nodes) if count else None
        self.state.put_held(end.uid, rest, self.now)
        # A multi-node job ends as a whole.
        given = [(node, amounts, 1) for node, amounts in held.amounts]
        if not given and end.node:
            given = [(end.node, held.shape.resources, end.count)]
        for node, amounts, number in given:
            taken = self.occupied.setdefault(node, {})
            for name, amount in amounts:
                taken[name] = max(0, taken.get(name, 0) - amount * number)
            self.state.occupy(node, taken)


def forecast(
    state: State,
    now: float,
    wanted: Collection[str],
    *,
    ends: Iterable[End],
    seconds: Callable[[str], float | None],
    occupied: Mapping[str, Mapping[str, int]],
    enough: Callable[[], bool] = lambda: False,
) -> dict[str, float]:
    """When each of the `wanted` jobs (its first element) is to start, in seconds since the epoch; those that start
    within what is known.

    `ends` are the expected ends of what runs, `seconds` how long a waiting job is expected to run (None: nobody knows),
    `occupied` what is taken of each node; `enough` is asked after each pass whether to leave it at that.
    """
    due = [replace(each, at=max(each.at, now)) for each in ends]
    heapq.heapify(due)
    course = _Course(state, now, seconds, {name: dict(taken) for name, taken in occupied.items()}, due)
    missing = set(wanted)
    for _ in range(MOST_PASSES):
        for start in plan(state, course.now).starts:
            course.start(start)
            missing.discard(start.uid)
        if not missing or not due or enough():
            break
        course.now = due[0].at + GRAIN * (due[0].at - now)
        while due and due[0].at <= course.now:
            course.end(heapq.heappop(due))
    return {uid: at for uid, at in course.found.items() if uid in wanted}
