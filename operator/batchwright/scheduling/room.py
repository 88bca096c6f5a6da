"""The free room of every node during one pass.

It only shrinks, which makes a failed search final for what asked: the pass never looks there again for the like. A
claim keeps a node for a job that waits for it, until the time it is to start there at the latest: others may use the
node only if they end before that.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from math import inf

import numpy as np

from batchwright.domain.quantities import CPU
from batchwright.names import GPU_RESOURCE
from batchwright.scheduling.gang import Spaces, place, slots
from batchwright.scheduling.nodes import MOST, Amounts, Columns, Nodes
from batchwright.scheduling.snapshot import Environment, Gang, Shape, Shortfall


@dataclass(slots=True)
class _Search:
    """Where the next pod of one shape is looked for: columns before `position` had no room for it, so have none now, or
    were kept for others and are in `barred`."""

    columns: list[int]
    demand: list[tuple[int, int]]
    position: int = 0
    barred: list[int] = field(default_factory=list)


class Kept:
    """What of something counted is kept for jobs that wait first, and until when: what ends by then may have it."""

    def __init__(self) -> None:
        self._amounts: list[tuple[int, float]] = []

    def put(self, amount: int, until: float) -> None:
        """So much more is kept until then, -inf for nobody knows when."""
        self._amounts.append((amount, until))

    def beside(self, ends: float) -> int:
        """What is kept from work that ends then."""
        return sum(amount for amount, until in self._amounts if until < ends)


def cpu_of(shape: Shape) -> int:
    """The milli-CPU a pod of the shape asks."""
    for name, amount in shape.resources:
        if name == CPU:
            return amount
    return 0


class Room:
    """What is free, by node and by environment. `vcpus` is what each environment holds now, in milli-CPU."""

    def __init__(self, nodes: Nodes, environments: Mapping[str, Environment], vcpus: Mapping[str, int]) -> None:
        self._nodes = nodes
        self._environments = environments
        self._free = nodes.free.copy()
        # Single amounts are read and written through these, which costs a third of what numpy takes for one.
        self._rows = [row.data for row in self._free]
        # The latest time at which a newcomer on the node must have ended: never, unless somebody has a claim.
        self._claims = np.full(len(nodes.names), inf)
        self._until = self._claims.data
        self._vcpus = dict(vcpus)
        self._kept: defaultdict[str, Kept] = defaultdict(Kept)
        self._searches: dict[tuple[str, Shape], _Search] = {}

    def take(self, name: str, shape: Shape, count: int = 1, ends: float = inf) -> tuple[int, str]:
        """Takes room for up to `count` pods of the shape, which end at `ends` at the latest, in the environment: for
        how many there was room, and the node of the first."""
        cpu, left = cpu_of(shape), self.vcpus_left(name, ends)
        if left is not None and cpu:
            count = min(count, max(0, left) // cpu)
        taken, first = self._place(name, shape, count, ends)
        self._vcpus[name] = self._vcpus.get(name, 0) + cpu * taken
        return taken, first

    def hold(self, name: str, shape: Shape, count: int) -> int:
        """Takes room for pods that were sent to the environment and have no node yet, for how many there was; its vCPUs
        count them already."""
        return self._place(name, shape, count, inf)[0]

    def take_gang(self, name: str, gang: Gang, total: Shape, ends: float = inf) -> tuple[str, ...] | None:
        """Takes room for all nodes of a gang in the environment: the machine of each, by rank; None if there is not
        room for all."""
        cpu, left = cpu_of(total), self.vcpus_left(name, ends)
        if left is not None and cpu > max(0, left):
            return None
        found = self._placed(name, gang, self._free, ends)
        if found is None:
            return None
        ranked = [shape for shape, count in gang.parts for _ in range(count)]
        for column, shape in zip(found, ranked, strict=True):
            self._fill(column, self._nodes.demand(shape) or [], 1)
        self._vcpus[name] = self._vcpus.get(name, 0) + cpu
        return tuple(self._nodes.names[column] for column in found)

    def gang_with(self, name: str, gang: Gang, freed: Mapping[str, Mapping[str, int]]) -> tuple[str, ...] | None:
        """Where the gang would go if this were given back besides, by node; nothing is taken."""
        amounts = self._free.copy()
        for node, given in freed.items():
            column = self._nodes.column(node)
            for resource, amount in given.items() if column is not None else ():
                if resource in self._nodes.rows:
                    amounts[self._nodes.rows[resource], column] += amount
        found = self._placed(name, gang, amounts, inf)
        return None if found is None else tuple(self._nodes.names[column] for column in found)

    def could_take(self, name: str, gang: Gang) -> bool:
        """Whether the environment's nodes would take the gang if they were empty."""
        return self._placed(name, gang, self._nodes.allocatable, -inf) is not None

    def space_for(self, name: str, gang: Gang, *, empty: bool = False) -> int:
        """How many nodes of the gang the environment's machines would take at most, close to each other or not."""
        amounts = self._nodes.allocatable if empty else self._free
        return slots(gang, self.spaces(name, gang, amounts, -inf))

    def lacking(self, name: str, gang: Gang, without: Collection[str]) -> tuple[dict[Shape, int], set[str]]:
        """How many nodes of each shape would find no room now, on all machines of the environment but these; and the
        machines where the others would."""
        spaces = self.spaces(name, gang, self._free, inf)
        barred = {column for node in without if (column := self._nodes.column(node)) is not None}
        left: dict[Shape, int] = {}
        taken: set[int] = set(barred)
        takers = Counter(column for fits in spaces.fits.values() for column in fits)
        # As `gang` gives machines out: what fits the fewest first, and of them what the fewest others fit.
        for shape, count in sorted(gang.counts.items(), key=lambda each: (len(spaces.fits[each[0]]), each)):
            found = 0
            for column, fits in sorted(spaces.fits[shape].items(), key=lambda each: (takers[each[0]], each)):
                if found < count and column not in taken:
                    found += min(fits, count - found)
                    taken.add(column)
            left[shape] = count - found
        used = {self._nodes.names[column] for column in taken - barred}
        return {shape: count for shape, count in left.items() if count}, used

    def _placed(self, name: str, gang: Gang, amounts: Amounts, ends: float) -> tuple[int, ...] | None:
        return place(gang, self.spaces(name, gang, amounts, ends), self._nodes.label)

    def spaces(self, name: str, gang: Gang, amounts: Amounts, ends: float) -> Spaces:
        """Which nodes of the environment take pods of the gang, by these amounts, as far as claims let what ends then
        on them."""
        environment, nodes = self._environments[name], self._nodes
        fits: dict[Shape, dict[int, int]] = {}
        asked: dict[Shape, list[tuple[int, int]]] = {}
        for shape in gang.counts:
            demand = asked[shape] = nodes.demand(shape) or []
            columns = nodes.holding(amounts, nodes.possible(environment, shape), shape)
            columns = columns[self._claims[columns] >= ends]
            most = np.full(len(columns), gang.per_node, dtype=np.int64)
            for row, amount in demand:
                most = np.minimum(most, amounts[row, columns] // amount)
            fits[shape] = dict(zip(columns.tolist(), most.tolist(), strict=True))
        extended = {name for shape in gang.counts for name, _ in shape.resources if "/" in name}
        rows = [nodes.rows[name] for name in sorted(extended | {GPU_RESOURCE}) if name in nodes.rows]
        every = sorted({column for found in fits.values() for column in found})
        left = amounts[rows][:, every].sum(axis=0).tolist() if rows else []
        scarce = dict(zip(every, left, strict=False))
        return Spaces(fits, scarce, lambda column: dict(enumerate(amounts[:, column].tolist())), asked)

    def reserve(self, node: str, shape: Shape, count: int) -> None:
        """Takes room on this node for pods that are to come to it, there or not."""
        column, demand = self._nodes.column(node), self._nodes.demand(shape)
        if column is None or demand is None:
            return
        for row, amount in demand:
            self._rows[row][column] -= amount * count

    def _place(self, name: str, shape: Shape, count: int, ends: float) -> tuple[int, str]:
        search = self._searches.get((name, shape)) or self._search(self._environments[name], shape)
        columns, until = search.columns, self._until
        taken, first = 0, ""
        for column in search.barred:
            # What is barred for one may be open for another that ends earlier.
            if taken < count and until[column] >= ends:
                fits = self._fill(column, search.demand, count - taken)
                taken += fits
                if fits and not first:
                    first = self._nodes.names[column]
        while taken < count and search.position < len(columns):
            column = columns[search.position]
            if until[column] < ends:
                search.barred.append(column)
                search.position += 1
                continue
            fits = self._fill(column, search.demand, count - taken)
            taken += fits
            if fits and not first:
                first = self._nodes.names[column]
            if taken < count:
                search.position += 1
        return taken, first

    def _fill(self, column: int, demand: list[tuple[int, int]], count: int) -> int:
        """Takes room on one node for up to so many pods: for how many there was."""
        rows = self._rows
        for row, amount in demand:
            room = rows[row][column] // amount
            if room < count:
                count = room
        if count <= 0:
            return 0
        for row, amount in demand:
            rows[row][column] -= amount * count
        return count

    def _search(self, environment: Environment, shape: Shape) -> _Search:
        columns = self._nodes.holding(self._free, self._nodes.possible(environment, shape), shape)
        search = _Search(columns.tolist(), self._nodes.demand(shape) or [])
        self._searches[environment.name, shape] = search
        return search

    def close(self, name: str) -> None:
        """Nothing more starts in the environment in this pass."""
        self._kept[name].put(max(0, self.vcpus_left(name) or 0), -inf)

    def keep(self, name: str, cpu: int, until: float) -> None:
        """So many milli-CPU of the environment's maxvCpus are kept for a job that starts at `until` at the latest."""
        self._kept[name].put(cpu, until)

    def vcpus_of(self, name: str) -> int:
        """What the environment holds, in milli-CPU."""
        return self._vcpus.get(name, 0)

    def claim(self, columns: Columns, until: float, uid: str) -> None:
        """Keeps these nodes for the job; `until` is when it starts there at the latest, -inf if nobody knows."""
        self._claims[columns] = np.minimum(self._claims[columns], until)

    def is_claimed(self, columns: Columns, ends: float) -> bool:
        """Whether all of these nodes are kept for others."""
        return bool((self._claims[columns] < ends).all())

    def free(self, columns: Columns, shape: Shape) -> Columns:
        """Of these nodes, those with room for a pod of the shape, claims apart."""
        return self._nodes.holding(self._free, columns, shape)

    def free_of(self, column: int, row: int) -> int:
        """What a node has free of one resource."""
        return int(self._rows[row][column])

    def is_untouched(self, node: str) -> bool:
        """Whether nothing was given room on the node in this pass."""
        column = self._nodes.column(node)
        return column is None or bool((self._free[:, column] == self._nodes.free[:, column]).all())

    def expecting(self) -> frozenset[str]:
        """The nodes on which something was given room in this pass: what starts, and what has started and is not there
        yet."""
        columns = np.flatnonzero((self._free != self._nodes.free).any(axis=0))
        return frozenset(self._nodes.names[column] for column in columns.tolist())

    def vcpus_left(self, name: str, ends: float = inf) -> int | None:
        """What the environment may hold more, in milli-CPU, of work that ends so; None without a limit."""
        most = self._environments[name].max_vcpus
        if most is None:
            return None
        return most - self._vcpus.get(name, 0) - self._kept[name].beside(ends)

    def is_at_maximum(self, name: str, cpu: int, ends: float = inf) -> bool:
        """Whether so much more milli-CPU would be above the environment's maxvCpus."""
        left = self.vcpus_left(name, ends)
        return left is not None and cpu > left

    def shortfall(self, name: str, shape: Shape, *, empty: bool = False) -> Shortfall:
        """The node that comes closest, by what it has free (or, with `empty`, has in all), and what it is short of."""
        environment, nodes = self._environments.get(name), self._nodes
        if environment is None:
            return Shortfall(name, 0)
        total = len(nodes.members(environment))
        used, limit = self._vcpus.get(name, 0), environment.max_vcpus
        columns = nodes.eligible(environment, shape)
        if not len(columns):
            return Shortfall(name, total, used=used, limit=limit)
        amounts = nodes.allocatable if empty else self._free
        # Comparable across units: the share of what is asked that is lacking.
        distance = np.zeros(len(columns))
        for resource, amount in shape.resources:
            if amount > 0:
                row = nodes.rows.get(resource)
                has = amounts[row, columns] if row is not None else np.zeros(len(columns), dtype=np.int64)
                distance += np.maximum(0, min(amount, MOST) - has) / amount
        best = nodes.amounts_of(amounts, int(columns[int(distance.argmin())]))
        missing = {
            resource: amount - best.get(resource, 0)
            for resource, amount in shape.resources
            if amount > 0 and amount > best.get(resource, 0)
        }
        return Shortfall(name, total, best, missing, used, limit)
