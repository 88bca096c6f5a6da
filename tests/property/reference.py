"""The scheduler's rules said the slow and obvious way: nothing is cached, every question is asked anew."""

from __future__ import annotations

from batchwright.domain.observations import Node
from batchwright.domain.quantities import Resources
from batchwright.scheduling.fit import admits, has_labels
from batchwright.scheduling.snapshot import Candidate, Queue, Shape, Snapshot


def suits(snapshot: Snapshot, environment: str, node: Node, shape: Shape) -> bool:
    """Whether the node is one of the environment's and lets the pod on, room or not."""
    known = snapshot.environments.get(environment)
    return (
        known is not None
        and node.ready
        and node.schedulable
        and has_labels(node, known.node_selector + shape.node_selector)
        and admits(node, known.tolerations + shape.tolerations)
    )


def holds(shape: Shape, room: Resources) -> bool:
    """Whether the room is enough."""
    return all(amount <= 0 or room.get(name, 0) >= amount for name, amount in shape.resources)


def free_room(snapshot: Snapshot) -> dict[str, Resources]:
    """What pods on nodes leave over."""
    return {
        node.name: {
            name: amount - snapshot.occupied.get(node.name, {}).get(name, 0)
            for name, amount in node.allocatable.items()
        }
        for node in snapshot.nodes
    }


def could_fit(snapshot: Snapshot, environment: str, shape: Shape) -> bool:
    """Whether an empty node of the environment would do."""
    return any(suits(snapshot, environment, node, shape) and holds(shape, node.allocatable) for node in snapshot.nodes)


def possible_nodes(snapshot: Snapshot, environments: list[str], shape: Shape) -> set[str]:
    """The nodes of these environments that would take the pod if they were empty."""
    return {
        node.name
        for name in environments
        for node in snapshot.nodes
        if suits(snapshot, name, node, shape) and holds(shape, node.allocatable)
    }


def put(
    snapshot: Snapshot, free: dict[str, Resources], environment: str, shape: Shape, claimed: set[str]
) -> str | None:
    """The first node by name with room that is not claimed; its room is taken."""
    for node in sorted(snapshot.nodes, key=lambda each: each.name):
        if node.name in claimed:
            continue
        if suits(snapshot, environment, node, shape) and holds(shape, free[node.name]):
            for name, amount in shape.resources:
                free[node.name][name] = free[node.name].get(name, 0) - amount
            return node.name
    return None


def in_order(queues: tuple[Queue, ...]) -> list[tuple[Queue, Candidate]]:
    """Priority, then arrival, then uid."""
    pairs = [(queue, candidate) for queue in queues for candidate in queue.waiting]
    return sorted(pairs, key=lambda pair: (-pair[0].priority, pair[1].created_at, pair[1].uid))


def put_up_to(
    snapshot: Snapshot, free: dict[str, Resources], environment: str, shape: Shape, claimed: set[str], count: int
) -> list[str]:
    """As many pods as have room, one by one; their nodes."""
    nodes: list[str] = []
    while len(nodes) < count and (node := put(snapshot, free, environment, shape, claimed)) is not None:
        nodes.append(node)
    return nodes


def open_environments(snapshot: Snapshot, queue: Queue, candidate: Candidate) -> list[str]:
    """Where the candidate may start; an array under way goes on where it is."""
    names = queue.environments if candidate.environment is None else (candidate.environment,)
    return [name for name in names if name in snapshot.environments and snapshot.environments[name].is_open]


def starts(snapshot: Snapshot) -> list[tuple[str, str, str, int]]:
    """Who starts in which environment, the first of them on which node, and how many."""
    free = free_room(snapshot)
    for sent in sorted(snapshot.unbound, key=lambda each: (each.environment, each.shape)):
        put_up_to(snapshot, free, sent.environment, sent.shape, set(), sent.count)
    found: list[tuple[str, str, str, int]] = []
    blocked: set[str] = set()
    claimed: set[str] = set()
    for queue, candidate in in_order(snapshot.queues):
        if queue.name in blocked:
            continue
        usable = open_environments(snapshot, queue, candidate)
        nodes: list[str] = []
        for name in usable:
            nodes = put_up_to(snapshot, free, name, candidate.shape, claimed, candidate.count)
            if nodes:
                found.append((candidate.uid, name, nodes[0], len(nodes)))
                usable = [name]
                break
        if len(nodes) < candidate.count:
            possible = possible_nodes(snapshot, usable, candidate.shape)
            if possible:
                blocked.add(queue.name)
                claimed.update(possible)
    return found
