"""Where the job that waits first is to start, and when at the latest: what others must not delay.

A node on which everything that has to end first has a known end is kept for it alone, and others may run past it
wherever they like, and on that node if they end in time (EASY backfill; Lifka 1995). Without such a node every node
that could take it is kept: what gets free there is nobody else's. Either way nothing that comes later delays it.
"""

from __future__ import annotations

from math import inf
from typing import Final

from batchwright.scheduling.nodes import Columns
from batchwright.scheduling.room import Room
from batchwright.scheduling.snapshot import Gang, Shape
from batchwright.scheduling.state import State

# How far ahead is looked for a gang: each look is at all of these ends.
MOST_ENDS: Final = 2000


def earliest(state: State, room: Room, columns: Columns, shape: Shape) -> tuple[int, float] | None:
    """Of these nodes, which could all take the pod when empty: the one where it is sure to fit first, and when."""
    demand = state.nodes.demand(shape)
    if not demand or not state.ends:
        return None
    among = set(columns.tolist())
    lacking: dict[int, dict[int, int]] = {}
    best, when = None, inf
    # What ends first is given back first, until a node has enough; the rest is not looked at.
    for end, uid in state.ends:
        if end > when:
            break
        held = state.held[uid]
        for node, count in held.nodes:
            given = [(state.nodes.rows[name], amount) for name, amount in held.on(node) if name in state.nodes.rows]
            column = state.nodes.column(node)
            if column is None or column not in among:
                continue
            short = lacking.get(column)
            if short is None:
                short = lacking[column] = {
                    row: over for row, amount in demand if (over := amount - room.free_of(column, row)) > 0
                }
                if not short:
                    # There is room already, which is kept for somebody else: no end here says when it gets free.
                    among.discard(column)
                    continue
            for row, amount in given:
                if row in short:
                    short[row] -= amount * count
            if all(amount <= 0 for amount in short.values()) and (best is None or column < best):
                best, when = column, end
    return None if best is None else (best, when)


def earliest_for_gang(state: State, room: Room, name: str, gang: Gang) -> tuple[tuple[str, ...], float] | None:
    """Where all nodes of a gang are sure to fit first in this environment, and when; None where that hangs on work of
    which nobody knows the end. Looked for anew in each pass: what was kept is still free by then."""
    low, high = 1, min(len(state.ends), MOST_ENDS)
    if not high or room.gang_with(name, gang, _given_back(state, high)) is None:
        return None
    while low < high:
        middle = (low + high) // 2
        if room.gang_with(name, gang, _given_back(state, middle)) is None:
            low = middle + 1
        else:
            high = middle
    machines = room.gang_with(name, gang, _given_back(state, high))
    return None if machines is None else (machines, state.ends[high - 1][0])


def _given_back(state: State, count: int) -> dict[str, dict[str, int]]:
    """What the first so many ends give back, by node."""
    found: dict[str, dict[str, int]] = {}
    for _, uid in state.ends[:count]:
        held = state.held[uid]
        for node, pods in held.nodes:
            given = found.setdefault(node, {})
            for resource, amount in held.on(node):
                given[resource] = given.get(resource, 0) + amount * pods
    return found
