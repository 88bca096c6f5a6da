"""Whom to preempt for a job of a queue of higher priority: on one node, as little and as late work as may be.

Off unless the queue asks for it (AWS Batch never preempts ordinary jobs). Quota shares preempt by `quota.reclaim`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from batchwright.scheduling.nodes import Columns
from batchwright.scheduling.room import Room
from batchwright.scheduling.snapshot import Candidate, Held, Preempt, Queue
from batchwright.scheduling.state import State


def counted(preempts: Iterable[Preempt]) -> Counter[str]:
    """How many pods of each work are preempted."""
    found: Counter[str] = Counter()
    for each in preempts:
        found[each.uid] += each.count
    return found


def by_priority(
    state: State, room: Room, queue: Queue, candidate: Candidate, columns: Columns, before: Iterable[Preempt]
) -> tuple[list[Preempt], int | None]:
    """The pods to take back for one pod of the candidate, and the column of the node they are on; no pods when those
    that were preempted in earlier passes will do once they have gone, and no column when no node gets free enough.
    `before` is what this pass preempts already, for others.
    """
    demand, gone = state.nodes.demand(candidate.shape), counted(before)
    best: tuple[tuple[int, int, float, str], int, list[tuple[Held, int]]] | None = None
    for column in columns.tolist() if demand else ():
        node = state.nodes.names[column]
        lacking = {row: amount - room.free_of(column, row) for row, amount in demand or []}
        victims = _on_node(state, queue, node, lacking, gone)
        if victims is None:
            continue
        if not victims:
            return [], column
        worst = max(_priority(state, held) for held, _ in victims)
        rank = worst, sum(count for _, count in victims), -max(held.started for held, _ in victims), node
        if best is None or rank < best[0]:
            best = rank, column, victims
    if best is None:
        return [], None
    why = f"Preempted for job {candidate.name} of JobQueue {queue.name}, which has priority {queue.priority}"
    node = state.nodes.names[best[1]]
    return [Preempt(held.uid, count, candidate.uid, why, node) for held, count in best[2]], best[1]


def _priority(state: State, held: Held) -> int:
    known = state.queues.get(held.queue)
    return known.priority if known is not None else 0


def _on_node(
    state: State, queue: Queue, node: str, lacking: dict[int, int], gone: Mapping[str, int]
) -> list[tuple[Held, int]] | None:
    """What to take back on a node, of the lowest priority and the latest start first; None if that is not enough."""
    lower = [
        (state.held[uid], left)
        for uid, count in state.on_node.get(node, {}).items()
        if _priority(state, state.held[uid]) < queue.priority
        and not state.held[uid].is_fixed
        and (left := count - gone.get(uid, 0)) > 0
    ]
    # What is on its way out already comes first, and costs nothing more.
    lower.sort(key=lambda each: (not _leaving(each[0], node), _priority(state, each[0]), -each[0].started, each[0].uid))
    taken: list[tuple[Held, dict[int, int], int]] = []
    for held, count in lower:
        given = {state.nodes.rows[name]: amount for name, amount in held.on(node) if name in state.nodes.rows}
        pods = 0
        while pods < count and any(lacking[row] > 0 and given.get(row, 0) > 0 for row in lacking):
            lacking = {row: amount - given.get(row, 0) for row, amount in lacking.items()}
            pods += 1
        taken.append((held, given, pods))
    if any(amount > 0 for amount in lacking.values()):
        return None
    # What was taken for one resource may have become needless by what was taken later for another.
    victims: list[tuple[Held, int]] = []
    for held, given, pods in reversed(taken):
        leaving = _leaving(held, node)
        while pods > leaving and all(amount + given.get(row, 0) <= 0 for row, amount in lacking.items()):
            lacking = {row: amount + given.get(row, 0) for row, amount in lacking.items()}
            pods -= 1
        if pods > leaving:
            victims.append((held, pods - leaving))
    return victims[::-1]


def _leaving(held: Held, node: str) -> int:
    """How many pods of the work on that node are on their way out."""
    return dict(held.leaving).get(node, 0)
