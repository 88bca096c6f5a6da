"""Where the nodes of a multi-node job go: all of them at once, or none.

At most `per_node` of them share a machine; where topology asks for it they go to machines that share a label. Several
values that would do: the one with the least room that does, so that the large ones stay whole.

Hazard: nodes of different shapes are given machines one shape after the other, the one that fits the fewest machines
first, and each the machines that fit the fewest other shapes. That is exact where the shapes are equal, or where what
takes one takes the other; else a gang may wait for room that a search of all possibilities would have found.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from batchwright.scheduling.snapshot import Gang, Shape, Topology


@dataclass(frozen=True, slots=True)
class Spaces:
    """Machines by number, and for each shape how many such pods each could take now (none: left out)."""

    fits: dict[Shape, dict[int, int]]
    # What each has free of what is scarce (GPUs, and what else of that sort the gang asks for).
    scarce: dict[int, int]
    # What is free on a machine, for gangs of several shapes: by row of the resource.
    free: Callable[[int], dict[int, int]]
    demand: dict[Shape, list[tuple[int, int]]]


def place(gang: Gang, spaces: Spaces, label_of: Callable[[int, str], str]) -> tuple[int, ...] | None:
    """The machine of every node by rank; None when they do not all fit. `label_of` gives a machine's label."""
    machines = sorted({machine for fits in spaces.fits.values() for machine in fits})
    # Those with the least of what is scarce, so that the others keep all of theirs.
    machines.sort(key=lambda machine: spaces.scarce.get(machine, 0))
    if gang.per_node > 1:
        # As few machines as may be.
        machines.sort(key=lambda machine: -max(fits.get(machine, 0) for fits in spaces.fits.values()))
    # What is preferred is had where it can be, the widest before the narrower.
    levels = gang.topology
    for kept in range(len(levels), -1, -1):
        strict = tuple(Topology(level.key, is_required=True) for level in levels[:kept]) + levels[kept:]
        if strict != levels or not kept:
            found = _within(gang, spaces, machines, strict if kept else levels, label_of)
            if found is not None:
                return found
    return None


def slots(gang: Gang, spaces: Spaces) -> int:
    """How many nodes of the gang there is room for at most, without a look at topology."""
    machines = sorted({machine for fits in spaces.fits.values() for machine in fits})
    return min(gang.size, _slots(gang, spaces, machines))


def reserved(machines: Sequence[str], gang: Gang | None) -> tuple[tuple[str, Shape, int], ...]:
    """The nodes of a gang on their machines, none of which has a pod yet."""
    if gang is None or not machines:
        return ()
    ranked = [shape for shape, count in gang.parts for _ in range(count)]
    return tuple((machine, shape, 1) for machine, shape in zip(machines, ranked, strict=True))


def _within(
    gang: Gang,
    spaces: Spaces,
    machines: Sequence[int],
    levels: tuple[Topology, ...],
    label_of: Callable[[int, str], str],
) -> tuple[int, ...] | None:
    if not levels:
        return _fill(gang, spaces, machines)
    level, rest = levels[0], levels[1:]
    domains: defaultdict[str, list[int]] = defaultdict(list)
    for machine in machines:
        value = label_of(machine, level.key)
        if value or not level.is_required:
            domains[value].append(machine)
    sizes = {value: _slots(gang, spaces, found) for value, found in domains.items()}
    wanted = gang.size
    for value in sorted(domains, key=lambda each: (sizes[each], each)):
        if value and sizes[value] >= wanted:
            found = _within(gang, spaces, domains[value], rest, label_of)
            if found is not None:
                return found
    if level.is_required:
        return None
    spread = sorted(domains, key=lambda each: (not each, -sizes[each], each))
    return _within(gang, spaces, [machine for value in spread for machine in domains[value]], rest, label_of)


def _slots(gang: Gang, spaces: Spaces, machines: Sequence[int]) -> int:
    """How many nodes of the gang the machines could take at most."""
    fits = list(spaces.fits.values())
    if len(fits) == 1:
        return sum(min(gang.per_node, fits[0].get(machine, 0)) for machine in machines)
    return sum(min(gang.per_node, sum(each.get(machine, 0) for each in fits)) for machine in machines)


def _fill(gang: Gang, spaces: Spaces, machines: Sequence[int]) -> tuple[int, ...] | None:
    counts = gang.counts
    if len(counts) == 1:
        [(shape, count)] = counts.items()
        chosen = {shape: _equal(gang.per_node, spaces.fits[shape], machines, count)}
    else:
        chosen = _different(gang, spaces, machines, counts)
    if any(len(chosen[shape]) < count for shape, count in counts.items()):
        return None
    left = {shape: iter(found) for shape, found in chosen.items()}
    return tuple(next(left[shape]) for shape, count in gang.parts for _ in range(count))


def _equal(per_node: int, fits: dict[int, int], machines: Sequence[int], count: int) -> list[int]:
    found: list[int] = []
    for machine in machines:
        if len(found) >= count:
            break
        found += [machine] * min(per_node, fits.get(machine, 0), count - len(found))
    return found


def _different(gang: Gang, spaces: Spaces, machines: Sequence[int], counts: dict[Shape, int]) -> dict[Shape, list[int]]:
    choices = {machine: sum(machine in fits for fits in spaces.fits.values()) for machine in machines}
    order = sorted(machines, key=lambda machine: choices[machine])
    free: dict[int, dict[int, int]] = {}
    used: defaultdict[int, int] = defaultdict(int)
    chosen: dict[Shape, list[int]] = {}
    for shape in sorted(counts, key=lambda each: (sum(machine in spaces.fits[each] for machine in machines), each)):
        found = chosen[shape] = []
        for machine in order:
            if machine not in spaces.fits[shape]:
                continue
            has = free.setdefault(machine, spaces.free(machine))
            while (
                len(found) < counts[shape]
                and used[machine] < gang.per_node
                and all(has[row] >= amount for row, amount in spaces.demand[shape])
            ):
                for row, amount in spaces.demand[shape]:
                    has[row] -= amount
                used[machine] += 1
                found.append(machine)
    return chosen
