"""The scheduler alone, without a cluster: 100,000 jobs in 1,000 shares on 5,000 nodes, or as many shares and nodes in
proportion."""

from __future__ import annotations

from batchwright.bench.scenario import BATCHWRIGHT, Measured, Run, Scenario, Target
from batchwright.bench.scheduler import HELD_PER_NODE, Size, from_scratch_apart, incremental, snapshot

SIZE = Size()
STEPS = 50


def measure(run: Run) -> Measured:
    """Passes from scratch, full and empty, each in a process of its own; then passes that follow on one end each."""
    size = Size(run.size, max(1, run.size * SIZE.shares // SIZE.jobs), max(1, run.size * SIZE.nodes // SIZE.jobs))
    full = from_scratch_apart(size, full=True)
    empty = from_scratch_apart(size, full=False)
    steps = incremental(snapshot(size, full=True), min(STEPS, size.nodes * HELD_PER_NODE))
    return Measured(
        {
            "scratchFullCpuSeconds": full.build + full.plan,
            "scratchEmptyCpuSeconds": empty.build + empty.plan,
            "scratchEmptyStarts": empty.starts,
            "scratchMegabytes": max(full.megabytes, empty.megabytes),
            "incrementalCpuMs": steps.cpu,
            "incrementalMs": steps.median,
            "incrementalWorstMs": steps.worst,
        }
    )


SCENARIO = Scenario(
    name="scheduler",
    summary="the scheduler alone: a pass from scratch, and passes that follow on one end each",
    unit="job",
    quick=SIZE.jobs,
    sizes=(SIZE.jobs,),
    contenders=(BATCHWRIGHT,),
    targets=(
        Target("scratchFullCpuSeconds", at_most=1, size=SIZE.jobs),
        Target("scratchEmptyCpuSeconds", at_most=1, size=SIZE.jobs),
        Target("incrementalCpuMs", at_most=10),
        Target("scratchMegabytes", at_most=300),
    ),
    measure=measure,
)
