"""The second act's result on the screen: what each stage did when, how they overlapped, and the check's verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from batchwright import names
from batchwright.cli import exits
from batchwright.cli.output import Grid, note, print_grid

if TYPE_CHECKING:
    from batchwright.local.demo.apiwrites import Cost
    from batchwright.local.demo.witness import Witness

JSON = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """A finished run: what was seen of it, the seconds it took, its cost, its Kubernetes Jobs by stage."""

    witness: Witness
    seconds: float
    cost: Cost
    jobs: Mapping[str, JSON]

    @property
    def gates(self) -> int:
        """Pods that were made with a gate and ran: each has cost one write to lift it."""
        gated = [stage for stage in self.witness.stages if _is_gated(self.jobs.get(stage.job))]
        return sum(self.witness.ran(stage) for stage in gated)


def print_run(run: Run) -> None:
    """Print the report to stdout. Raises Failed(1) when the check found something."""
    stages = run.witness.stages
    elements = sum(stage.elements for stage in stages)
    failed = sum(run.witness.failures(stage) for stage in stages)
    recovered = sum(run.witness.recovered(stage) for stage in stages)
    print()
    print_grid(_table(run.witness))
    print(f"\n{elements:,} elements in {run.seconds:.1f} s: {elements / run.seconds:.1f} elements a second")
    overlap = run.witness.overlap()
    if overlap is not None:
        before, last = stages[-2].job, stages[-1].job
        print(
            f"streaming: the first element of {last} ran {overlap.after_seconds:.0f} s after the first of {before}, "
            f"while {overlap.waiting:,} of the {overlap.of:,} elements of {before} had not started"
        )
    print(f"retries: {failed:,} attempts failed; {recovered:,} elements succeeded on a later attempt")
    cost = run.cost
    print(
        f"writes to the API server meanwhile: {cost.total:,}, {cost.total / elements:.1f} an element; of the operator: "
        f"{run.gates:,} gates lifted, {cost.statuses:,} statuses of jobs, {cost.jobs:,} of Kubernetes Jobs"
    )
    _print_check(run.witness.differences(run.jobs), elements)


def _is_gated(job: JSON | None) -> bool:
    return job is not None and (job["metadata"].get("annotations") or {}).get(names.ANNOTATION_GATED) == "true"


def _table(witness: Witness) -> Grid:
    spans = {stage.job: witness.span(stage) for stage in witness.stages}
    zero = min((span[0] for span in spans.values() if span), default=None)
    rows = [
        (stage.job, stage.queue, f"{stage.elements:,}", *_since(zero, spans[stage.job]), f"{witness.failures(stage):,}")
        for stage in witness.stages
    ]
    return Grid(("JOB", "MACHINES", "ELEMENTS", "FIRST START", "LAST END", "FAILED ATTEMPTS"), rows)


def _since(zero: datetime | None, span: tuple[datetime, datetime] | None) -> tuple[str, str]:
    if zero is None or span is None:
        return "-", "-"
    first, last = ((moment - zero).total_seconds() for moment in span)
    return f"{first:.0f} s", f"{last:.0f} s"


def _print_check(found: Sequence[str], elements: int) -> None:
    if not found:
        print(
            f"checked: each of the {elements:,} elements succeeded exactly once, and started after what it waits for "
            "had ended; so say the pods, and the Kubernetes Jobs count the same",
            flush=True,
        )
        return
    print("checked: NOT every element succeeded exactly once, after what it waits for", flush=True)
    for difference in found:
        note(f"  {difference}")
    raise exits.Failed(exits.ERROR)
