"""Which kinds of node an environment may start would take a pod: as `nodes` says of those that are there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from batchwright.domain.observations import Node
from batchwright.scheduling.fit import admits, has_labels, matches
from batchwright.scheduling.snapshot import Environment, Growth, Offer, Shape


def suits(node: Node, environment: Environment, shape: Shape) -> bool:
    """Whether labels, affinity and taints let the pod on, as a pod of the environment."""
    return (
        has_labels(node, shape.node_selector)
        and matches(node, shape.affinity)
        and admits(node, shape.tolerations + environment.tolerations)
    )


def room_for(free: dict[str, int], shape: Shape) -> int:
    """How many pods of the shape what is free has room for."""
    most = shape.apart or 1 << 30
    fits = min((free.get(name, 0) // amount for name, amount in shape.resources if amount > 0), default=most)
    return min(most, fits)


@dataclass(frozen=True, slots=True)
class Bill:
    """What machines cost in all, in milli-vCPUs of instances, and the largest of them."""

    total: int = 0
    largest: int = 0

    def __add__(self, other: Bill) -> Bill:
        return Bill(self.total + other.total, max(self.largest, other.largest))

    def is_within(self, left: int, *, exactly: bool = False) -> bool:
        """Whether no more than one instance goes beyond what is left; with `exactly`, none."""
        return self.total - (0 if exactly else self.largest) < left + exactly


def bill(allocatable: dict[str, int], vcpus: int, shape: Shape, count: int) -> Bill | None:
    """What machines of one kind cost for so many pods; None where it takes none."""
    room = room_for(allocatable, shape)
    return Bill(-(-count // room) * vcpus, vcpus if count else 0) if room > 0 else None


@dataclass(frozen=True, slots=True)
class Fitting:
    """The offers that would take a pod of one shape. `cost` is the least that one such pod costs in milli-vCPUs of
    instances; `suited` whether any offer, also of those that are too small or barred, suits it by labels and taints."""

    offers: tuple[Offer, ...]
    barred: tuple[Offer, ...]
    suited: bool
    cost: int


def fitting(growth: Growth, environment: Environment, shape: Shape) -> Fitting:
    """What of the environment's offers would take the pod."""
    suited = [offer for offer in growth.offers if suits(offer.node, environment, shape)]
    barred = [offer for offer in growth.barred if suits(offer.node, environment, shape)]
    offers = _holding(suited, shape)
    costs = [-(-offer.vcpus // room_for(offer.node.allocatable, shape)) for offer in offers]
    return Fitting(offers, _holding(barred, shape), bool(suited or barred), max(1, min(costs, default=1)))


def _holding(offers: Iterable[Offer], shape: Shape) -> tuple[Offer, ...]:
    return tuple(offer for offer in offers if room_for(offer.node.allocatable, shape) > 0)
