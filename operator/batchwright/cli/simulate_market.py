"""`simulate --instances`: what a trace costs on instances that come and go, On-Demand and as Spot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchwright.cli.output import Grid, print_grid
from batchwright.cli.simulate_progress import progress_bar
from batchwright.simulation.workload import Machines, ShareBy

if TYPE_CHECKING:
    from batchwright.simulation.market import Purchase
    from batchwright.simulation.policy import Policy


@dataclass(frozen=True)
class Asked:
    """The flags: instance types, vCPUs, Spot's part of the price, percent of it taken back an hour, seconds to boot."""

    types: Sequence[str]
    max_vcpus: int
    spot_price: float
    taken_percent: float
    boot_seconds: float
    seed: int


def run(source: str, trace: bytes, policy: Policy | None, share_by: ShareBy, asked: Asked, *, as_json: bool) -> None:
    """Replays the trace twice and prints what came of it. Raises SimulationError."""
    from batchwright.capacity.simulated import catalogue
    from batchwright.simulation.elastic import Market
    from batchwright.simulation.market import choose, compare
    from batchwright.simulation.policy import Policy
    from batchwright.simulation.trace import parse
    from batchwright.simulation.workload import build_workload

    offers = choose(asked.types, catalogue(), asked.spot_price)
    # No job is divided: what is wider than the largest instance is left out, and counted.
    found = build_workload(parse(source, trace), Machines(1, offers.widest), share_by)
    market = Market("SPOT", (), asked.max_vcpus, asked.boot_seconds, taken_percent=asked.taken_percent, seed=asked.seed)
    with progress_bar(2 * len(found.jobs)) as tell:
        purchases = compare(found.jobs, policy or Policy(), offers, market, tell)
    if as_json:
        left_out = {"replayed": len(found.jobs), "leftOut": found.left_out}
        told = {"trace": source, "instances": list(asked.types), "maxvCpus": asked.max_vcpus, "jobs": left_out}
        print(json.dumps(told | {"purchases": [each.json() for each in purchases]}, indent=2, ensure_ascii=False))
        return
    print(heading(source, len(found.jobs), found.left_out, asked), end="\n\n")
    print_grid(grid(purchases))
    print(f"\n{verdict(*purchases)}")


def heading(source: str, jobs: int, left_out: dict[str, int], asked: Asked) -> str:
    """What was replayed, on what."""
    lines = [
        f"Trace:       {source}: {jobs:,} jobs",
        f"Instances:   {', '.join(asked.types)}, up to {asked.max_vcpus} vCPUs, nodes after {asked.boot_seconds:g} s",
        f"Spot:        {asked.spot_price:.0%} of the price, {asked.taken_percent:g} % taken back in an hour",
    ]
    lines += [f"Left out:    {count:,} jobs: {reason}" for reason, count in left_out.items()]
    return "\n".join(lines)


def grid(purchases: Sequence[Purchase]) -> Grid:
    """A line for each way of buying."""
    bill = ("CAPACITY", "COST", "OF JOBS", "INSTANCES", "HOURS", "TAKEN BACK")
    titles = (*bill, "LOST CPU-H", "WAIT", "WAIT P95", "TOOK")
    rows = [
        (
            each.capacity,
            f"${each.bill.cost:,.2f}",
            f"${each.bill.of_jobs:,.2f}",
            f"{each.bill.instances:,}",
            f"{each.bill.seconds / 3600:,.1f}",
            f"{each.bill.taken:,}",
            f"{each.lost / 3600:,.1f}",
            f"{each.waits.mean:,.0f}s",
            f"{each.waits.p95:,.0f}s",
            f"{(each.end - each.begin) / 3600:,.1f}h",
        )
        for each in purchases
    ]
    return Grid(titles, rows)


def verdict(plain: Purchase, spot: Purchase) -> str:
    """The comparison in a sentence."""
    part = spot.bill.cost / plain.bill.cost if plain.bill.cost else 0.0
    less = plain.bill.cost - spot.bill.cost
    said = f"${less:,.2f} less" if less >= 0 else f"${-less:,.2f} more"
    return f"Spot costs {part:.0%} of On-Demand, {said}; {spot.lost / 3600:,.1f} CPU-hours ran in vain."
