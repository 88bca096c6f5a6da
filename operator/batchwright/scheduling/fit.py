"""Does a pod fit a node: labels, taints and room, as kube-scheduler's filters judge it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import attrgetter

from batchwright.domain.observations import Node, Taint
from batchwright.domain.quantities import Resources
from batchwright.scheduling.snapshot import Environment, Shape, Shortfall, Snapshot, Toleration

Selector = tuple[tuple[str, str], ...]


def tolerates(tolerations: Iterable[Toleration], taint: Taint) -> bool:
    """Whether one of the tolerations covers the taint (core/v1 ToleratesTaint)."""
    for toleration in tolerations:
        if toleration.effect and toleration.effect != taint.effect:
            continue
        if toleration.key and toleration.key != taint.key:
            continue
        if toleration.operator == "Exists" or (toleration.key and toleration.value == taint.value):
            return True
    return False


def belongs(node: Node, environment: Environment) -> bool:
    """Whether the node is one of the environment's: its labels match and its taints are tolerated."""
    return has_labels(node, environment.node_selector) and admits(node, environment.tolerations)


def has_labels(node: Node, wanted: Iterable[tuple[str, str]]) -> bool:
    """Whether the node has every label."""
    return all(node.labels.get(key) == value for key, value in wanted)


def admits(node: Node, tolerations: Iterable[Toleration]) -> bool:
    """Whether no taint of the node keeps the pod out; PreferNoSchedule keeps nobody out."""
    held = tuple(tolerations)
    return all(taint.effect == "PreferNoSchedule" or tolerates(held, taint) for taint in node.taints)


def missing(request: Iterable[tuple[str, int]], free: Mapping[str, int]) -> Resources:
    """What `free` is short of for the request; empty when it fits. Asking zero of something always fits."""
    return {name: amount - free.get(name, 0) for name, amount in request if amount > 0 and amount > free.get(name, 0)}


class Room:
    """The free room of every node during one pass; it only shrinks, which makes a failed search final for a shape."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._environments = snapshot.environments
        # By name, so that the plan does not hang on the order in which the watch showed the nodes.
        usable = sorted((node for node in snapshot.nodes if node.ready and node.schedulable), key=attrgetter("name"))
        self._free: dict[str, Resources] = {}
        for node in usable:
            taken = snapshot.occupied.get(node.name, {})
            self._free[node.name] = {key: amount - taken.get(key, 0) for key, amount in node.allocatable.items()}
        # Taints are judged with the pod's own tolerations too, so membership here is by label alone.
        self._members = {
            name: tuple(node for node in usable if has_labels(node, environment.node_selector))
            for name, environment in snapshot.environments.items()
        }
        self._eligible: dict[tuple[str, Selector, tuple[Toleration, ...]], tuple[Node, ...]] = {}
        self._could_fit: dict[tuple[str, Shape], bool] = {}
        self._next: dict[tuple[str, Shape], int] = {}

    def take(self, environment: str, shape: Shape) -> str | None:
        """Takes room for the shape on a node of the environment and names the node; None when there is no room."""
        key = (environment, shape)
        nodes = self.eligible(environment, shape)
        # Nodes before this one had no room for this shape earlier in the pass, so they have none now.
        for position in range(self._next.get(key, 0), len(nodes)):
            free = self._free[nodes[position].name]
            if all(amount <= 0 or free.get(name, 0) >= amount for name, amount in shape.resources):
                for name, amount in shape.resources:
                    free[name] = free.get(name, 0) - amount
                self._next[key] = position
                return nodes[position].name
        self._next[key] = len(nodes)
        return None

    def eligible(self, environment: str, shape: Shape) -> tuple[Node, ...]:
        """The environment's nodes that labels and taints let the pod on, room or not."""
        key = (environment, shape.node_selector, shape.tolerations)
        found = self._eligible.get(key)
        if found is None:
            known = self._environments.get(environment)
            held = shape.tolerations + (known.tolerations if known else ())
            found = tuple(
                node
                for node in self._members.get(environment, ())
                if has_labels(node, shape.node_selector) and admits(node, held)
            )
            self._eligible[key] = found
        return found

    def could_fit(self, environment: str, shape: Shape) -> bool:
        """Whether some node of the environment would take the pod if it were empty."""
        key = (environment, shape)
        found = self._could_fit.get(key)
        if found is None:
            found = any(not missing(shape.resources, node.allocatable) for node in self.eligible(environment, shape))
            self._could_fit[key] = found
        return found

    def has_nodes(self, environment: str) -> bool:
        """Whether the environment has any usable node at all."""
        return bool(self._members.get(environment))

    def shortfall(self, environment: str, shape: Shape, *, empty: bool = False) -> Shortfall:
        """The node that comes closest, by what it has free (or, with `empty`, has in all), and what it is short of."""
        nodes = self.eligible(environment, shape)
        total = len(self._members.get(environment, ()))
        asked = dict(shape.resources)
        best: tuple[float, str, Resources, Resources] | None = None
        for node in nodes:
            has = node.allocatable if empty else self._free[node.name]
            lacks = missing(shape.resources, has)
            # Comparable across units: the share of what is asked that is lacking.
            distance = sum(amount / asked[name] for name, amount in lacks.items())
            if best is None or (distance, node.name) < best[:2]:
                best = (distance, node.name, dict(has), lacks)
        if best is None:
            return Shortfall(environment, total)
        return Shortfall(environment, total, best[2], best[3])
