"""The third act's result on the screen: the instances and their times, the interruption, and the check's verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batchwright.cli import exits
from batchwright.cli.output import Grid, note, print_grid

if TYPE_CHECKING:
    from batchwright.local.demo.growth import Growth

JSON = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """A finished run: what was seen of it, the job at its end, and after how many seconds it and the last node went."""

    growth: Growth
    job: JSON
    seconds: float
    empty_seconds: float


def print_run(run: Run, instances: Mapping[str, JSON]) -> None:
    """Print the report to stdout; `instances` are EC2's own words. Raises Failed(1) when the check found something."""
    growth = run.growth
    elements = growth.succeeded.total()
    print()
    print_grid(_table(growth))
    spot = sum(each.get("InstanceLifecycle") == "spot" for each in instances.values())
    print(
        f"\n{elements} elements in {run.seconds:.1f} s on {len(instances)} instances, {spot} of them Spot; "
        f"none was there before, and none was left after {run.empty_seconds:.1f} s"
    )
    if growth.victim and growth.moved_at is not None:
        _print_interruption(growth)
    found = growth.differences(run.job, instances)
    if not found:
        print(
            f"checked: each of the {elements} elements succeeded exactly once, what was lost was lost with the "
            "interrupted instance alone, and EC2 shows no instance of the environment any more",
            flush=True,
        )
        return
    print("checked: NOT every element succeeded exactly once and every instance ended", flush=True)
    for difference in found:
        note(f"  {difference}")
    raise exits.Failed(exits.ERROR)


def _print_interruption(growth: Growth) -> None:
    moved = (growth.moved_at or 0.0) - growth.warned_at
    replaced = growth.replaced_after
    other = "the others had room for them" if replaced is None else f"another node was there after {replaced:.0f} s"
    print(
        f"interruption: {growth.victim} was warned of; its {len(growth.lost)} elements ran on for {moved:.0f} s, "
        f"{other}; they ran again, though each has one attempt"
    )


def _table(growth: Growth) -> Grid:
    rows = [
        (each.name, each.instance, each.type, each.zone, f"{each.ready_at:.0f} s", _time(each.gone_at), each.cordoned)
        for each in sorted(growth.machines.values(), key=lambda each: (each.ready_at, each.name))
    ]
    return Grid(("NODE", "INSTANCE", "TYPE", "ZONE", "READY", "GONE", "CORDONED AS"), rows)


def _time(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.0f} s"
