"""The same trace on instances bought On-Demand and as Spot: what each costs, and how long jobs wait."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from batchwright.capacity.nodes import allocatable
from batchwright.capacity.port import CapacityType, InstanceType, Kind
from batchwright.capacity.types import select
from batchwright.domain.quantities import CPU
from batchwright.errors import Misconfigured, SimulationError
from batchwright.simulation.elastic import Bill, ElasticScheduler, Market
from batchwright.simulation.metrics import Waits, compute_waits
from batchwright.simulation.policy import Policy
from batchwright.simulation.replay import replay
from batchwright.simulation.workload import Job, Machines

JSON = dict[str, Any]
# More processors than any market sells: what there is, is what was bought.
_UNBOUNDED: Final = Machines(1, 10**9)


@dataclass(frozen=True)
class Offers:
    """Types with their prices an hour, On-Demand and as Spot."""

    types: tuple[tuple[InstanceType, float, float], ...]

    def kinds(self, capacity: CapacityType) -> tuple[Kind, ...]:
        """What may be bought in one way."""
        return tuple(
            Kind(each, "a", capacity, spot if capacity == "SPOT" else price) for each, price, spot in self.types
        )

    @property
    def widest(self) -> int:
        """The most whole processors that one node has for jobs."""
        return max(allocatable(each)[CPU] // 1000 for each, *_ in self.types)


def choose(names: Sequence[str], catalogue: Sequence[tuple[InstanceType, float]], spot: float) -> Offers:
    """The types that are named, as an environment's instanceTypes; Spot at this part of the price. Raises
    SimulationError for one that is none."""
    prices = {each.name: price for each, price in catalogue}
    try:
        chosen = select(names, [each for each, _ in catalogue])
    except Misconfigured as error:
        families = sorted({each.name.partition(".")[0] for each, _ in catalogue})
        raise SimulationError(f"--instances: {error}; there are {', '.join(families)}") from error
    return Offers(tuple((each, prices[each.name], round(prices[each.name] * spot, 6)) for each in chosen))


@dataclass(frozen=True, slots=True)
class Purchase:
    """A replay on instances that were bought in one way."""

    capacity: CapacityType
    bill: Bill
    waits: Waits
    begin: float
    end: float
    lost: float
    unfinished: int

    def json(self) -> JSON:
        """Everything, in dollars, seconds and CPU-seconds."""
        return {
            "capacity": self.capacity,
            "cost": round(self.bill.cost, 6),
            "costOfJobs": round(self.bill.of_jobs, 6),
            "instances": self.bill.instances,
            "instanceSeconds": round(self.bill.seconds, 1),
            "takenBack": self.bill.taken,
            "cpuSecondsLost": round(self.lost, 1),
            "jobs": self.waits.jobs,
            "neverStarted": self.unfinished,
            "waitSeconds": {"mean": round(self.waits.mean, 1), "p95": round(self.waits.p95, 1)},
            "seconds": round(self.end - self.begin, 1),
        }


def compare(
    jobs: Sequence[Job],
    policy: Policy,
    offers: Offers,
    market: Market,
    progress: Callable[[int], None] | None = None,
) -> tuple[Purchase, Purchase]:
    """The jobs On-Demand and as Spot; `market` says the rest, and instances are taken back only as Spot."""
    plain = replace(market, capacity="ON_DEMAND", kinds=offers.kinds("ON_DEMAND"), taken_percent=0.0)
    spot = replace(market, capacity="SPOT", kinds=offers.kinds("SPOT"))
    return buy(jobs, policy, plain, progress), buy(jobs, policy, spot, progress)


def buy(jobs: Sequence[Job], policy: Policy, market: Market, progress: Callable[[int], None] | None = None) -> Purchase:
    """The jobs on instances of one market."""
    scheduler = ElasticScheduler(policy, market, jobs)
    result = replay(jobs, scheduler, _UNBOUNDED, progress)
    end = max((*(run.end for run in result.runs), *(each.until for each in result.unrun)))
    return Purchase(
        capacity=market.capacity,
        bill=scheduler.close(end),
        waits=compute_waits(result.runs),
        begin=min(each.submit for each in result.jobs),
        end=end,
        lost=math.fsum(each.cpus * (high - low) for each in result.jobs for low, high in each.lost),
        unfinished=len(result.unrun),
    )
