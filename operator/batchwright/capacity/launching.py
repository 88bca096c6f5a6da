"""What to launch for what waits: nodes as full as may be, at the least cost, in few requests.

One kind of node at a time: the largest request that is left is put on a node of each type, which the others then fill
(first fit, decreasing); the type that does most for its price is taken as often as that filling repeats. Types on which
it fits too, and that cost and hold no more than twice as much, are alternatives of the same request, so that one
CreateFleet call finds its way around what is sold out.

Nodes of a multi-node job come first, each on a machine of its own or with its like: machines for all of them, or none.

Invariants, property-tested: every batch has a node that each of its pods fits; no more nodes than pods; the instances
stay within what is left of maxvCpus but for the last one, and BEST_FIT stays within it (AWS Batch API, maxvCpus).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from batchwright.api.v1alpha1.computeresources import AllocationStrategy
from batchwright.capacity.port import Kind
from batchwright.domain.metering import Price
from batchwright.domain.observations import Node
from batchwright.domain.quantities import CPU, MEMORY
from batchwright.names import GPU_RESOURCE
from batchwright.scheduling.offers import Bill, bill, room_for, suits
from batchwright.scheduling.snapshot import Environment, Shape

MOST_BATCHES = 20
MOST_SHAPES = 60
# EC2 Fleet takes 300 overrides; Karpenter asks for at most 60 types.
MOST_TYPES = 60
ALTERNATIVE = 2
# Dollars an hour by which unlike things are compared: about what a vCPU, a GiB and a GPU cost On-Demand.
_PER_VCPU, _PER_GIB, _PER_GPU = 0.034, 0.0042, 0.45


@dataclass(frozen=True, slots=True)
class Choice:
    """A kind that may be launched, with the node it becomes."""

    kind: Kind
    node: Node


@dataclass(frozen=True, slots=True)
class Batch:
    """So many instances of any of these kinds, the preferred first. `vcpus` is the milli-vCPUs of one of the first."""

    count: int
    kinds: tuple[Kind, ...]
    vcpus: int


@dataclass(frozen=True, slots=True)
class _Filling:
    """A node of one type with pods on it: which, by their place in the list, and of which of its kinds."""

    pods: tuple[tuple[int, int], ...]
    kinds: tuple[Choice, ...]
    rank: tuple[object, ...]


def worth(resources: Iterable[tuple[str, int]]) -> float:
    """What resources are about worth, in dollars an hour."""
    held = dict(resources)
    gib = held.get(MEMORY, 0) / (1 << 30)
    return held.get(CPU, 0) / 1000 * _PER_VCPU + gib * _PER_GIB + held.get(GPU_RESOURCE, 0) * _PER_GPU


def price_of(kind: Kind) -> float:
    """What an hour costs, or is about worth where nobody says."""
    if kind.price is not None:
        return kind.price
    found = kind.type
    return worth(((CPU, found.vcpus), (MEMORY, found.memory), (GPU_RESOURCE, found.gpus)))


def launch_price(kind: Kind) -> Price:
    """What an hour of an instance of this kind costs that is launched now."""
    return Price(round(price_of(kind), 6), kind.price is None)


def plan_launches(
    asked: Iterable[tuple[Shape, int]],
    choices: Sequence[Choice],
    environment: Environment,
    strategy: AllocationStrategy,
    left: int,
) -> tuple[Batch, ...]:
    """The batches for these pods, as far as `left` (milli-vCPUs of instances) goes. `choices` are in the order of the
    environment's instanceTypes."""
    rest = [(shape, count) for shape, count in asked if count > 0][:MOST_SHAPES]
    rest.sort(key=lambda each: (-worth(each[0].resources), each[0]))
    shapes = [shape for shape, _ in rest]
    counts = [count for _, count in rest]
    by_type: dict[str, list[Choice]] = {}
    for choice in choices:
        by_type.setdefault(choice.kind.type.name, []).append(choice)
    fits = _Fits(environment)
    batches, spent = _for_gangs(shapes, counts, by_type, choices, fits, strategy, left)
    left -= spent
    counts = [0 if shape.apart else count for shape, count in zip(shapes, counts, strict=True)]
    while left > 0 and len(batches) < MOST_BATCHES:
        seed = next((number for number, count in enumerate(counts) if count > 0), None)
        if seed is None:
            break
        found = [
            filling
            for position, options in enumerate(by_type.values())
            if (filling := _fill(options, shapes, counts, seed, fits, _Order(strategy, position, left))) is not None
        ]
        if not found:
            counts[seed] = 0
            continue
        best = min(found, key=lambda filling: filling.rank)
        repeats = min(counts[number] // count for number, count in best.pods)
        batch = _batch(best, repeats, shapes, choices, fits, strategy, left)
        if batch is None:
            break
        for number, count in best.pods:
            counts[number] -= count * batch.count
        left -= batch.count * batch.vcpus
        batches.append(batch)
    return _merged(batches)


def _for_gangs(
    shapes: list[Shape],
    counts: list[int],
    by_type: Mapping[str, list[Choice]],
    choices: Sequence[Choice],
    fits: _Fits,
    strategy: AllocationStrategy,
    left: int,
) -> tuple[list[Batch], int]:
    """The batches for nodes of multi-node jobs, and the most milli-vCPUs they are: machines for all of them within what
    is left or, if there is no other way, but for one; or none, for some of them would be of no use. A kind that would
    leave too little for the others is not taken, however cheap it is."""
    bills: dict[int, dict[str, Bill]] = {}
    for number, shape in enumerate(shapes):
        if shape.apart and counts[number]:
            kinds = {name: [choice for choice in known if fits(choice, shape)] for name, known in by_type.items()}
            costs = {name: _bill(known, shape, counts[number]) for name, known in kinds.items()}
            bills[number] = {name: cost for name, cost in costs.items() if cost is not None}
    # What fits nowhere stops nobody.
    rest = {number: min(costs.values(), key=_least) for number, costs in bills.items() if costs}
    batches: list[Batch] = []
    spent = Bill()
    for number in sorted(rest):
        shape, count = shapes[number], counts[number]
        del rest[number]
        others = sum(rest.values(), spent)
        within = {name: cost for name, cost in bills[number].items() if (others + cost).is_within(left, exactly=True)}
        if not within and strategy != "BEST_FIT":
            within = {name: cost for name, cost in bills[number].items() if (others + cost).is_within(left)}
        found = []
        for position, (name, known) in enumerate(by_type.items()):
            if name in within:
                able = tuple(choice for choice in known if fits(choice, shape))
                each = min(count, room_for(dict(able[0].node.allocatable), shape))
                price = min(price_of(choice.kind) for choice in able)
                rank = _Order(strategy, position, left).rank(price, worth(shape.resources) * each, able[0])
                found.append(_Filling(((number, each),), able, rank))
        if not found:
            return [], 0
        best = min(found, key=lambda filling: filling.rank)
        machines = -(-count // best.pods[0][1])
        batch = _with_others(best, machines, shapes, choices, fits, strategy, left - others.total)
        batches.append(batch)
        most = max(kind.type.vcpus for kind in batch.kinds)
        spent += Bill(machines * most, most)
    return batches, spent.total


def _bill(known: Sequence[Choice], shape: Shape, count: int) -> Bill | None:
    return bill(dict(known[0].node.allocatable), known[0].kind.type.vcpus, shape, count) if known else None


def _least(cost: Bill) -> tuple[int, int]:
    return cost.total, cost.largest


def plan_floor(vcpus: int, choices: Sequence[Choice], left: int) -> tuple[Batch, ...]:
    """Instances of so many milli-vCPUs, for minvCpus and desiredvCpus: what costs least for it."""
    able = [choice.kind for choice in choices if 0 < choice.kind.type.vcpus <= max(left, vcpus)]
    if not able or vcpus <= 0:
        return ()

    def cost(kind: Kind) -> tuple[float, int, str, str]:
        count = -(-vcpus // kind.type.vcpus)
        return count * price_of(kind), count, kind.type.name, kind.zone

    best = min(able, key=cost)
    same = sorted((kind for kind in able if kind.type.vcpus == best.type.vcpus), key=cost)
    return (Batch(-(-vcpus // best.type.vcpus), tuple(same[:MOST_TYPES]), best.type.vcpus),)


@dataclass(frozen=True, slots=True)
class _Order:
    strategy: AllocationStrategy
    position: int
    left: int

    def rank(self, price: float, value: float, choice: Choice) -> tuple[object, ...]:
        """Sorts the least cost for what is done first; where the order of instanceTypes says so, that order."""
        kind = choice.kind.type
        costs = round(price / value, 9) if value else float("inf")
        if self.strategy in ("BEST_FIT_PROGRESSIVE_ORDERED", "SPOT_CAPACITY_OPTIMIZED_PRIORITIZED"):
            return self.position, costs, kind.name
        return costs, kind.vcpus, kind.name


class _Fits:
    """Which kinds let which shapes on, each looked at once."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._known: dict[tuple[int, Shape], bool] = {}

    def __call__(self, choice: Choice, shape: Shape) -> bool:
        key = (id(choice), shape)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = suits(choice.node, self._environment, shape)
        return found


def _fill(
    options: list[Choice], shapes: list[Shape], counts: list[int], seed: int, fits: _Fits, order: _Order
) -> _Filling | None:
    kinds = [choice for choice in options if fits(choice, shapes[seed])]
    if not kinds or (order.strategy == "BEST_FIT" and kinds[0].kind.type.vcpus > order.left):
        return None
    free = dict(kinds[0].node.allocatable)
    pods: list[tuple[int, int]] = []
    value = 0.0
    for number in range(seed, len(shapes)):
        shape = shapes[number]
        if counts[number] <= 0:
            continue
        count = min(counts[number], room_for(free, shape))
        able = [choice for choice in kinds if fits(choice, shape)] if count else []
        if not able:
            if number == seed:
                return None
            continue
        kinds = able
        pods.append((number, count))
        value += worth(shape.resources) * count
        for name, amount in shape.resources:
            free[name] = free.get(name, 0) - amount * count
    price = min(price_of(choice.kind) for choice in kinds)
    return _Filling(tuple(pods), tuple(kinds), order.rank(price, value, kinds[0]))


def _batch(
    best: _Filling,
    repeats: int,
    shapes: list[Shape],
    choices: Sequence[Choice],
    fits: _Fits,
    strategy: AllocationStrategy,
    left: int,
) -> Batch | None:
    first = best.kinds[0].kind.type
    # The last instance may exceed what is left; with BEST_FIT none does.
    count = min(repeats, left // first.vcpus if strategy == "BEST_FIT" else -(-left // first.vcpus))
    return _with_others(best, count, shapes, choices, fits, strategy, left) if count > 0 else None


def _with_others(
    best: _Filling,
    count: int,
    shapes: list[Shape],
    choices: Sequence[Choice],
    fits: _Fits,
    strategy: AllocationStrategy,
    left: int,
) -> Batch:
    """So many of the kind, or of others that would do and stay within what is left."""
    first = best.kinds[0].kind.type
    preferred = tuple(choice.kind for choice in sorted(best.kinds, key=lambda each: price_of(each.kind)))
    if strategy == "BEST_FIT":
        return Batch(count, preferred, first.vcpus)
    # Alternatives may be bigger only as long as all of them together still are within what is left.
    most = min(ALTERNATIVE * first.vcpus, max(first.vcpus, left // count))
    dearest = ALTERNATIVE * min(price_of(kind) for kind in preferred)
    others = [
        choice.kind
        for choice in choices
        if choice.kind.type.name != first.name
        and choice.kind.type.vcpus <= most
        and price_of(choice.kind) <= dearest
        and _holds(choice, best, shapes, fits)
    ]
    if strategy not in ("BEST_FIT_PROGRESSIVE_ORDERED", "SPOT_CAPACITY_OPTIMIZED_PRIORITIZED"):
        others.sort(key=lambda kind: (price_of(kind), kind.type.name, kind.zone))
    types = list(dict.fromkeys(kind.type.name for kind in others))[: MOST_TYPES - 1]
    return Batch(count, preferred + tuple(kind for kind in others if kind.type.name in types), first.vcpus)


def _holds(choice: Choice, filling: _Filling, shapes: list[Shape], fits: _Fits) -> bool:
    free = dict(choice.node.allocatable)
    for number, count in filling.pods:
        shape = shapes[number]
        if not fits(choice, shape) or room_for(free, shape) < count:
            return False
        for name, amount in shape.resources:
            free[name] = free.get(name, 0) - amount * count
    return True


def available(batches: Iterable[Batch], barred: Collection[Kind]) -> tuple[Batch, ...]:
    """What of these can be asked for now. What cannot waits for the very kinds it was planned for, as BEST_FIT does
    (AWS Batch, allocation strategies), which plans with what is sold out too."""
    found = [replace(each, kinds=tuple(kind for kind in each.kinds if kind not in barred)) for each in batches]
    return tuple(each for each in found if each.kinds)


def _merged(batches: list[Batch]) -> tuple[Batch, ...]:
    """Batches of the same kinds are one request."""
    found: dict[tuple[Kind, ...], Batch] = {}
    for batch in batches:
        known = found.get(batch.kinds)
        count = batch.count + (known.count if known else 0)
        found[batch.kinds] = Batch(count, batch.kinds, batch.vcpus)
    return tuple(found.values())
