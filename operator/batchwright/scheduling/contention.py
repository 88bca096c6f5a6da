"""Whether somebody else may get a better claim to an array's room while it runs.

Where nobody can, an array's Kubernetes Job goes on by itself from one element to the next. Where somebody can, every
element needs leave to start (a scheduling gate, one more write each), so that the array yields as its elements end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from batchwright.domain.observations import Node
from batchwright.scheduling.fit import belongs, has_labels
from batchwright.scheduling.snapshot import Environment, Queue, Shape


def is_shared(
    queue: str,
    environment: str,
    queues: Iterable[Queue],
    environments: Mapping[str, Environment],
    nodes: Iterable[Node],
) -> bool:
    """Whether jobs of another queue may run on nodes of this environment."""
    ours = environments.get(environment)
    others = {name for other in queues if other.name != queue for name in other.environments}
    if ours is None or environment in others:
        return environment in others
    theirs = [environments[name] for name in others if name in environments]
    return any(belongs(node, ours) and any(belongs(node, other) for other in theirs) for node in nodes)


def meet(
    nodes: Iterable[Node], one: tuple[Shape, Iterable[Environment]], other: tuple[Shape, Iterable[Environment]]
) -> bool:
    """Whether pods of these two shapes, each in one of its environments, may come to the same node."""
    return any(_suits(node, *one) and _suits(node, *other) for node in nodes)


def _suits(node: Node, shape: Shape, environments: Iterable[Environment]) -> bool:
    return any(has_labels(node, environment.node_selector + shape.node_selector) for environment in environments)
