"""The nodes as arrays: what each has, what is free on it, and which of them take pods of which kind.

A pass looks at thousands of nodes for each kind of request, so amounts are rows of numpy arrays: one row a resource,
one column a node. Kept up to date node by node; what hangs on labels and taints is worked out once for each kind of
request and forgotten when a node changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from batchwright.domain.observations import Node
from batchwright.domain.quantities import CPU, Resources
from batchwright.scheduling.fit import admits, has_labels, matches
from batchwright.scheduling.snapshot import Environment, Shape

Amounts = NDArray[np.int64]
Columns = NDArray[np.intp]
_NONE: Columns = np.empty(0, dtype=np.intp)


# Sums of amounts that are each within 63 bits need not be: beyond this, nothing is told apart.
MOST = 1 << 61


class Nodes:
    """Every node, usable or not. `free` may be copied and written to by a pass."""

    def __init__(self, nodes: Iterable[Node] = ()) -> None:
        self.rows: dict[str, int] = {}
        self.names: list[str] = []
        self.free: Amounts = np.zeros((0, 0), dtype=np.int64)
        self.allocatable: Amounts = np.zeros((0, 0), dtype=np.int64)
        # Told, and taken over by `settle`: between passes the arrays and what is asked of them stay as they were.
        self._told: dict[str, Node] = {}
        self._known: dict[str, Node] = {}
        self._occupied: dict[str, Resources] = {}
        self._column: dict[str, int] = {}
        self._stale = True
        self._touched: set[str] = set()
        self._members: dict[tuple[object, ...], Columns] = {}
        self._could_fit: dict[tuple[object, ...], Columns] = {}
        for node in nodes:
            self.put(node.name, node)

    def put(self, name: str, node: Node | None) -> bool:
        """A node was seen, changed, or is gone; whether that is news."""
        if self._told.get(name) == node:
            return False
        if node is None:
            del self._told[name]
        else:
            self._told[name] = node
        self._stale = True
        return True

    def occupy(self, name: str, taken: Mapping[str, int]) -> None:
        """What bound pods take from a node, in all."""
        self._occupied[name] = {key: min(amount, MOST) for key, amount in taken.items()}
        self._touched.add(name)

    def settle(self) -> None:
        """Takes over what has changed; before each pass."""
        if self._stale or any(key not in self.rows for name in self._touched for key in self._occupied[name]):
            self._rebuild()
        for name in self._touched:
            column = self._column.get(name)
            if column is not None:
                self._set_free(column, name)
        self._touched.clear()

    def _rebuild(self) -> None:
        # By name, so that the plan does not hang on the order in which the watch showed the nodes.
        self._known = dict(self._told)
        known = sorted(self._known.values(), key=attrgetter("name"))
        amounts = [node.allocatable for node in known]
        held = [self._occupied[node.name] for node in known if node.name in self._occupied]
        self.rows = {name: row for row, name in enumerate(sorted({key for each in amounts + held for key in each}))}
        self.names = [node.name for node in known]
        self._column = {name: column for column, name in enumerate(self.names)}
        self.allocatable = np.zeros((len(self.rows), len(known)), dtype=np.int64)
        for column, amount in enumerate(amounts):
            for name, value in amount.items():
                self.allocatable[self.rows[name], column] = min(value, MOST)
        self.free = self.allocatable.copy()
        for name in self._occupied.keys() - self._known.keys():
            if not self._occupied[name]:
                del self._occupied[name]
        self._touched.update(name for name in self._occupied if name in self._column)
        self._members.clear()
        self._could_fit.clear()
        self._stale = False

    def _set_free(self, column: int, name: str) -> None:
        self.free[:, column] = self.allocatable[:, column]
        for key, value in self._occupied[name].items():
            self.free[self.rows[key], column] -= value

    def column(self, name: str) -> int | None:
        """Where a node stands in the arrays; None for one that is not known."""
        return self._column.get(name)

    def label(self, column: int, key: str) -> str:
        """A label of a node; empty for none."""
        return self._known[self.names[column]].labels.get(key, "")

    def demand(self, shape: Shape) -> list[tuple[int, int]] | None:
        """The rows and amounts that the shape asks; None when there is a resource that no node has."""
        asked = [(name, amount) for name, amount in shape.resources if amount > 0]
        if any(name not in self.rows for name, _ in asked):
            return None
        return [(self.rows[name], min(amount, MOST)) for name, amount in asked]

    def members(self, environment: Environment) -> Columns:
        """The usable nodes of an environment, by label: taints are judged with the pod's own tolerations too."""
        key = (environment.name, environment.node_selector)
        found = self._members.get(key)
        if found is None:
            usable = [
                self._column[name]
                for name in self.names
                if (node := self._known[name]).usable and has_labels(node, environment.node_selector)
            ]
            found = self._members[key] = np.array(usable, dtype=np.intp)
        return found

    def eligible(self, environment: Environment, shape: Shape) -> Columns:
        """The environment's nodes that labels, affinity and taints let the pod on, room or not."""
        key = (environment, shape.node_selector, shape.tolerations, shape.affinity)
        found = self._members.get(key)
        if found is None:
            held = shape.tolerations + environment.tolerations
            suited = [
                column
                for column in self.members(environment).tolist()
                if self._suits(self._known[self.names[column]], shape) and admits(self._known[self.names[column]], held)
            ]
            found = self._members[key] = np.array(suited, dtype=np.intp)
        return found

    @staticmethod
    def _suits(node: Node, shape: Shape) -> bool:
        return has_labels(node, shape.node_selector) and matches(node, shape.affinity)

    def possible(self, environment: Environment, shape: Shape) -> Columns:
        """The environment's nodes that would take the pod if they were empty."""
        key = (environment, shape)
        found = self._could_fit.get(key)
        if found is None:
            columns = self.eligible(environment, shape)
            found = self._could_fit[key] = self.holding(self.allocatable, columns, shape)
        return found

    def most_cpu(self, environment: Environment) -> int:
        """The milli-CPU of the environment: what its nodes have, or its maxvCpus if that is less."""
        row = self.rows.get(CPU)
        has = int(self.allocatable[row, self.members(environment)].sum()) if row is not None else 0
        return has if environment.max_vcpus is None else min(has, environment.max_vcpus)

    def holding(self, amounts: Amounts, columns: Columns, shape: Shape) -> Columns:
        """Of these columns, those where the amounts cover what the shape asks."""
        demand = self.demand(shape)
        if demand is None:
            return _NONE
        for row, amount in demand:
            columns = columns[amounts[row, columns] >= amount]
        return columns

    def absent_could(self, environment: Environment, shape: Shape) -> bool:
        """Whether a node that is not ready, or cordoned, would take the pod if it came back."""
        return any(
            has_labels(node, environment.node_selector)
            and self._suits(node, shape)
            and all(node.allocatable.get(name, 0) >= amount for name, amount in shape.resources)
            for node in self._known.values()
            if not node.usable
        )

    def amounts_of(self, amounts: Amounts, column: int) -> Resources:
        """One node's amounts by name; zeros left out, as Kubernetes does."""
        return {name: int(amounts[row, column]) for name, row in self.rows.items() if amounts[row, column]}
