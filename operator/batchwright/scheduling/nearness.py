"""Which labels the machines that are to come for a multi-node job share: so that what its topology asks for is bought,
and what cannot satisfy it is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from batchwright.domain.observations import Node
from batchwright.scheduling.snapshot import Gang, Shape, Topology

Labels = tuple[tuple[str, str], ...]
Kinds = Mapping[Shape, Collection[Node]]


def options(topology: Sequence[Topology], kinds: Kinds, near: Iterable[Mapping[str, str]] = ()) -> Iterator[Labels]:
    """The labels that some node for every shape has, the best first: of each level, the widest first, the value that
    most of the machines have that are to be had already, of which `near` has the labels. A level that is preferred is
    left out in the end; nothing is found where one that is required has no value."""
    known = Counter((level.key, labels.get(level.key, "")) for labels in near for level in topology)
    return _within(topology, kinds, known)


def missing(topology: Sequence[Topology], kinds: Kinds) -> str:
    """The first label that is required and that no nodes for all shapes share; empty for none."""
    required = tuple(level for level in topology if level.is_required)
    found = (level.key for n, level in enumerate(required, 1) if next(options(required[:n], kinds), None) is None)
    return next(found, "")


def apart(shape: Shape, gang: Gang, labels: Labels = ()) -> Shape:
    """The shape of a node of the gang as it is asked for: on machines of its own, which have these labels."""
    return replace(shape, node_selector=tuple(sorted({*shape.node_selector, *labels})), apart=gang.per_node)


def alike(shape: Shape, gang: Gang, labels: Mapping[str, str]) -> Shape:
    """The same for one that is to take the place of a machine with these labels."""
    required = [level.key for level in gang.topology if level.is_required]
    return apart(shape, gang, tuple((key, labels[key]) for key in required if key in labels))


def _within(topology: Sequence[Topology], kinds: Kinds, known: Counter[tuple[str, str]]) -> Iterator[Labels]:
    if not topology:
        yield ()
        return
    level, rest = topology[0], topology[1:]
    each = [{value for node in held if (value := node.labels.get(level.key))} for held in kinds.values()]
    for value in sorted(set.intersection(*each) if each else (), key=lambda value: (-known[level.key, value], value)):
        inside = {shape: _having(held, level.key, value) for shape, held in kinds.items()}
        for found in _within(rest, inside, known):
            yield (level.key, value), *found
    # Where nothing is asked for, nothing stands in the way.
    if not level.is_required or not each:
        yield from _within(rest, kinds, known)


def _having(nodes: Iterable[Node], key: str, value: str) -> tuple[Node, ...]:
    return tuple(node for node in nodes if node.labels.get(key) == value)
