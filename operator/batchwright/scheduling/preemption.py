"""Whom to preempt for a job of a queue of higher priority: on one node (or on as many as a multi-node job needs), as
little and as late work as may be.

Off unless the queue asks for it (AWS Batch never preempts ordinary jobs). Quota shares preempt by `quota.reclaim`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from batchwright.scheduling.nodes import Columns
from batchwright.scheduling.room import Room
from batchwright.scheduling.snapshot import Candidate, Gang, Held, Preempt, Queue
from batchwright.scheduling.state import State

# Beyond so many, what could be spared after all is not looked for.
MOST_PRUNED: Final = 64


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


def for_gang(
    state: State, room: Room, queue: Queue, candidate: Candidate, gang: Gang, name: str, before: Iterable[Preempt]
) -> tuple[list[Preempt], tuple[str, ...]]:
    """The pods to take back for all nodes of a gang in this environment, and its machines then; nothing if that is not
    enough. What has the lowest priority and started last goes first, and of that only what is on those machines."""
    gone = counted(before)
    units = _units(state, queue, gone)
    low, high = 0, len(units)
    if room.gang_with(name, gang, _freed(units)) is None:
        return [], ()
    while low < high:
        middle = (low + high) // 2
        if room.gang_with(name, gang, _freed(units[:middle])) is None:
            low = middle + 1
        else:
            high = middle
    chosen = units[:high]
    machines = room.gang_with(name, gang, _freed(chosen)) or ()
    where = set(machines)
    chosen = [unit for unit in chosen if where & {node for node, _ in unit.amounts}]
    for unit in list(chosen) if len(chosen) <= MOST_PRUNED else ():
        rest = [each for each in chosen if each is not unit]
        if room.gang_with(name, gang, _freed(rest)) == machines:
            chosen = rest
    why = f"Preempted for job {candidate.name} of JobQueue {queue.name}, which has priority {queue.priority}"
    return [
        Preempt(unit.held.uid, unit.count, candidate.uid, why, "" if unit.held.amounts else unit.amounts[0][0])
        for unit in chosen
        if unit.count
    ], machines


@dataclass(frozen=True, slots=True)
class _Unit:
    """What goes together: all of a multi-node job, or the pods of other work on one node. `count` are those that are
    not on their way out already; `amounts` what is given back, by node."""

    held: Held
    count: int
    amounts: tuple[tuple[str, tuple[tuple[str, int], ...]], ...]


def _units(state: State, queue: Queue, gone: Mapping[str, int]) -> list[_Unit]:
    found: dict[tuple[str, str], _Unit] = {}
    for node, held_there in state.on_node.items():
        for uid, count in held_there.items():
            held = state.held[uid]
            if _priority(state, held) >= queue.priority or held.is_fixed:
                continue
            if held.amounts:
                found[uid, ""] = _Unit(held, max(0, held.count - gone.get(uid, 0)), held.amounts)
            elif (left := count - gone.get(uid, 0)) > 0:
                given = tuple((name, amount * left) for name, amount in held.shape.resources)
                found[uid, node] = _Unit(held, max(0, left - _leaving(held, node)), ((node, given),))
    return sorted(
        found.values(),
        key=lambda unit: (
            unit.count > 0,
            _priority(state, unit.held),
            -unit.held.started,
            unit.held.uid,
            unit.amounts[0][0],
        ),
    )


def _freed(units: Iterable[_Unit]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for unit in units:
        for node, amounts in unit.amounts:
            given = found.setdefault(node, {})
            for name, amount in amounts:
                given[name] = given.get(name, 0) + amount
    return found


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
