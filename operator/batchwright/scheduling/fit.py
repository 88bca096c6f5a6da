"""Does a pod fit a node: labels, taints and room, as kube-scheduler's filters judge it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
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


@dataclass(slots=True)
class _Group:
    """The nodes of an environment that let pods of one selector and one set of tolerations on."""

    nodes: tuple[Node, ...]
    # One node of each size: most clusters have few sizes and many nodes.
    sizes: tuple[Node, ...]


@dataclass(slots=True)
class _Search:
    """Where the next pod of one shape is looked for: nodes before `position` had no room for it, so have none now."""

    nodes: tuple[Node, ...]
    position: int = 0


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
        self._absent = [node for node in snapshot.nodes if not (node.ready and node.schedulable)]
        self._claimed: set[str] = set()
        self._groups: dict[tuple[str, Selector, tuple[Toleration, ...]], _Group] = {}
        self._could_fit: dict[tuple[str, Shape], bool] = {}
        self._searches: dict[tuple[str, Shape], _Search] = {}

    def take(self, environment: str, shape: Shape, count: int = 1) -> tuple[int, str]:
        """Takes room for up to `count` pods of the shape on nodes of the environment: for how many there was room, and
        the node of the first."""
        search = self._searches.get((environment, shape))
        if search is None:
            nodes = self.eligible(environment, shape) if self.could_fit(environment, shape) else ()
            search = self._searches[environment, shape] = _Search(nodes)
        nodes = search.nodes
        taken, first = 0, ""
        for position in range(search.position, len(nodes)):
            node = nodes[position].name
            if node in self._claimed:
                continue
            free = self._free[node]
            fits = count - taken
            for name, amount in shape.resources:
                if amount > 0:
                    fits = min(fits, free.get(name, 0) // amount)
            if fits <= 0:
                continue
            for name, amount in shape.resources:
                free[name] = free.get(name, 0) - amount * fits
            taken, first = taken + fits, first or node
            if taken == count:
                search.position = position
                return taken, first
        search.position = len(nodes)
        return taken, first

    def eligible(self, environment: str, shape: Shape) -> tuple[Node, ...]:
        """The environment's nodes that labels and taints let the pod on, room or not."""
        return self._group(environment, shape).nodes

    def _group(self, environment: str, shape: Shape) -> _Group:
        key = (environment, shape.node_selector, shape.tolerations)
        found = self._groups.get(key)
        if found is None:
            known = self._environments.get(environment)
            held = shape.tolerations + (known.tolerations if known else ())
            nodes = tuple(
                node
                for node in self._members.get(environment, ())
                if has_labels(node, shape.node_selector) and admits(node, held)
            )
            sizes = {tuple(sorted(node.allocatable.items())): node for node in reversed(nodes)}
            found = self._groups[key] = _Group(nodes, tuple(sizes.values()))
        return found

    def could_fit(self, environment: str, shape: Shape) -> bool:
        """Whether some node of the environment would take the pod if it were empty."""
        key = (environment, shape)
        found = self._could_fit.get(key)
        if found is None:
            sizes = self._group(environment, shape).sizes
            found = any(not missing(shape.resources, node.allocatable) for node in sizes)
            self._could_fit[key] = found
        return found

    def claim(self, environment: str, shape: Shape) -> None:
        """Keeps the nodes that could take the pod for it: what gets free there is nobody else's in this pass.

        By node, since environments may share nodes; a node too small for the pod stays open to others.
        """
        self._claimed.update(node.name for node in self._possible(environment, shape))

    def is_claimed(self, environment: str, shape: Shape) -> bool:
        """Whether every node that could take the pod is kept for an earlier one."""
        return all(node.name in self._claimed for node in self._possible(environment, shape))

    def _possible(self, environment: str, shape: Shape) -> Iterator[Node]:
        nodes = self.eligible(environment, shape)
        return (node for node in nodes if not missing(shape.resources, node.allocatable))

    def could_fit_later(self, environment: str, shape: Shape) -> bool:
        """Whether a node that is not ready, or cordoned, would take the pod if it came back."""
        known = self._environments.get(environment)
        return known is not None and any(
            has_labels(node, known.node_selector + shape.node_selector)
            and not missing(shape.resources, node.allocatable)
            for node in self._absent
        )

    def has_nodes(self, environment: str) -> bool:
        """Whether the environment has any usable node at all."""
        return bool(self._members.get(environment))

    def shortfall(self, environment: str, shape: Shape, *, empty: bool = False) -> Shortfall:
        """The node that comes closest, by what it has free (or, with `empty`, has in all), and what it is short of."""
        group = self._group(environment, shape)
        total = len(self._members.get(environment, ()))
        asked = dict(shape.resources)
        best: tuple[float, str, Resources, Resources] | None = None
        for node in group.sizes if empty else group.nodes:
            has = node.allocatable if empty else self._free[node.name]
            lacks = missing(shape.resources, has)
            # Comparable across units: the share of what is asked that is lacking.
            distance = sum(amount / asked[name] for name, amount in lacks.items())
            if best is None or (distance, node.name) < best[:2]:
                best = (distance, node.name, has, lacks)
        if best is None:
            return Shortfall(environment, total)
        return Shortfall(environment, total, dict(best[2]), best[3])
