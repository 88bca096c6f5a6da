"""Who was served while there was not enough for all.

Over a whole trace every share gets what it asked, whatever the scheduler does; what differs is who gets it first. So
service is measured while somebody waits and at least two shares ask. A share's entitlement then is its part by weight
of the processors in use, never more than it asks, the rest going to the others in the same way (weighted max-min
fairness; Bertsekas & Gallager, Data Networks, §6.5.2). Jain's index (DEC-TR-301, 1984) is 1 when all get the same, and
1/n when one of n gets all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import fsum

from batchwright.simulation.replay import Result, Run, Unrun


@dataclass(frozen=True, slots=True)
class Service:
    """What one share got, in CPU-seconds, while there was not enough, and what it was entitled to at each moment.

    Entitlements add up for as long as a share waits, so that one kept waiting is entitled to more than it ever asked:
    only their relation to what was served means something.
    """

    weight: float
    served: float
    entitled: float

    @property
    def satisfaction(self) -> float | None:
        """The part it got of its entitlement: 1 is its due; None where it had none."""
        return self.served / self.entitled if self.entitled > 0 else None


@dataclass(frozen=True, slots=True)
class Fairness:
    """`contended` is how many seconds there was not enough for two shares or more.

    `by_weight` is Jain's index of served / weight: it falls short of 1 also where a share did not ask for its part.
    `by_entitlement` is that of the shares' satisfaction, which does not. Both are None where nothing was contended.
    """

    contended: float
    by_weight: float | None
    by_entitlement: float | None
    shares: Mapping[str, Service]


def compute_fairness(result: Result, weight_of: Callable[[str], float]) -> Fairness:
    """How fairly the shares were served; a share of weight 2 should have twice what one of weight 1 has."""
    served: defaultdict[str, float] = defaultdict(float)
    entitled: defaultdict[str, float] = defaultdict(float)
    weights = {each.share: weight_of(each.share) for each in result.jobs}
    contended = 0.0
    for seconds, running, waiting in _intervals(result):
        asked = {share: running.get(share, 0) + waiting.get(share, 0) for share in running.keys() | waiting.keys()}
        if not waiting or len(asked) < 2:
            continue
        contended += seconds
        for share, cpus in running.items():
            served[share] += cpus * seconds
        for share, part in divide(sum(running.values()), asked, weights).items():
            entitled[share] += part * seconds
    shares = {
        share: Service(weights[share], served[share], entitled[share])
        for share in sorted(served.keys() | entitled.keys())
    }
    return Fairness(
        contended,
        jain([each.served / each.weight for each in shares.values()]),
        jain([each.satisfaction for each in shares.values() if each.satisfaction is not None]),
        shares,
    )


def jain(values: Sequence[float]) -> float | None:
    """Jain's index of fairness; None when there is nothing to divide."""
    squares = sum(value * value for value in values)
    return sum(values) ** 2 / (len(values) * squares) if squares else None


def divide(amount: float, asked: Mapping[str, float], weights: Mapping[str, float]) -> dict[str, float]:
    """An amount divided by weight, nobody getting more than asked: weighted max-min fairness."""
    if fsum(asked.values()) <= amount:
        return dict(asked)
    # Who asks less than the level is satisfied, and what that leaves raises the level for the others, until it stays.
    parts: dict[str, float] = {}
    left = dict(asked)
    while True:
        # fsum is exact, so that the order of a dict does not matter.
        level = (amount - fsum(parts.values())) / fsum(weights[share] for share in left)
        satisfied = {share: ask for share, ask in left.items() if ask < level * weights[share]}
        if not satisfied:
            return parts | {share: level * weights[share] for share in left}
        parts |= satisfied
        for share in satisfied:
            del left[share]
        if not left:
            # Only rounding can bring it here: the shares ask for more than there is.
            return parts


def _intervals(result: Result) -> Iterator[tuple[float, dict[str, int], dict[str, int]]]:
    """The seconds between changes, with the processors each share has and waits for; the same two dicts each time."""
    changes: defaultdict[float, list[tuple[bool, str, int]]] = defaultdict(list)
    for each in result.jobs:
        for is_running, begin, end in phases(each):
            if end > begin:
                changes[begin].append((is_running, each.share, each.cpus))
                changes[end].append((is_running, each.share, -each.cpus))
    running: dict[str, int] = {}
    waiting: dict[str, int] = {}
    before = 0.0
    for time in sorted(changes):
        yield time - before, running, waiting
        for is_running, share, cpus in changes[time]:
            counts = running if is_running else waiting
            counts[share] = counts.get(share, 0) + cpus
            if not counts[share]:
                del counts[share]
        before = time


def phases(each: Run | Unrun) -> Iterator[tuple[bool, float, float]]:
    """The life of a job as (does it run, from, to), without gaps."""
    time = each.submit
    for begin, end in each.lost:
        yield False, time, begin
        yield True, begin, end
        time = end
    if isinstance(each, Run):
        yield False, time, each.start
        yield True, each.start, each.end
    else:
        yield False, time, each.until
