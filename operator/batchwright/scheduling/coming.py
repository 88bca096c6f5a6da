"""Nodes that are to come to one environment, during one pass: in runs of equal ones, so that a thousand cost what one
does, and in order of size.

A pod goes to the smallest that takes it: what the large ones were launched for may come after it in the pass, and would
be bought another. So, where one kind of node has more of everything than the next, there is never a node too many:
no more of them than pods (property-tested with capacity.launching).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from operator import attrgetter

from batchwright.domain.observations import Node
from batchwright.domain.quantities import CPU
from batchwright.names import GPU_RESOURCE
from batchwright.scheduling.room import cpu_of
from batchwright.scheduling.snapshot import Shape

_order = attrgetter("order")


@dataclass(slots=True, eq=False)
class Run:
    """So many equal nodes that are to come, with this free on each. `order` sorts the smallest first, GPUs last."""

    node: Node
    free: dict[str, int]
    count: int
    order: tuple[object, ...]


class Runs:
    """Nodes that are to come, the smallest first."""

    def __init__(self, nodes: Iterable[tuple[Node, int]] = ()) -> None:
        self._runs: list[Run] = []
        for node, count in nodes:
            self.put(node, dict(node.allocatable), count)

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs)

    def copy(self) -> Runs:
        """One of its own for each run, as it is now."""
        found = Runs()
        found._runs = [replace(run) for run in self._runs]
        return found

    def put(self, node: Node, free: dict[str, int], count: int) -> None:
        """So many nodes more with this free on each."""
        if count <= 0:
            return
        order = _order_of(node, free)
        place = bisect_left(self._runs, order, key=_order)
        for run in self._like(place, order):
            if run.node is node:
                run.count += count
                return
        self._runs.insert(place, Run(node, free, count, order))

    def take(self, run: Run, count: int) -> None:
        """So many nodes of the run are not as they were."""
        run.count -= count
        if not run.count:
            place = bisect_left(self._runs, run.order, key=_order)
            del self._runs[place + next(n for n, each in enumerate(self._like(place, run.order)) if each is run)]

    def could_take(self, shape: Shape) -> list[Run]:
        """The runs with CPU enough for a pod, in the order in which it goes to them; what is full is not looked at."""
        cpu, runs = cpu_of(shape), self._runs
        with_gpu = bisect_left(runs, (True,), key=_order)
        return (
            runs[bisect_left(runs, (False, cpu), key=_order) : with_gpu]
            + runs[bisect_left(runs, (True, cpu), key=_order) :]
        )

    def _like(self, place: int, order: tuple[object, ...]) -> Iterator[Run]:
        while place < len(self._runs) and self._runs[place].order == order:
            yield self._runs[place]
            place += 1


def _order_of(node: Node, free: Mapping[str, int]) -> tuple[object, ...]:
    return free.get(GPU_RESOURCE, 0) > 0, free.get(CPU, 0), sorted(free.items()), node.name
