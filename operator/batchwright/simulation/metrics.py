"""What a replay was like for those who waited, and for those who own the machines.

Wait: from the submission to the start of the run that counted (one that was preempted did not). Bounded slowdown:
max(1, (wait + run) / max(run, 10 s)), by which short jobs do not drown the rest (Feitelson et al., Theory and Practice
in Parallel Job Scheduling, 1997). Percentiles are of the nearest rank: a wait that a job really had.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from batchwright.simulation.fairness import Fairness, compute_fairness, phases
from batchwright.simulation.replay import Result, Run
from batchwright.simulation.steps import Steps, steps
from batchwright.simulation.workload import Machines

SLOWDOWN_BOUND: Final = 10.0


@dataclass(frozen=True, slots=True)
class Waits:
    """Of some finished jobs: their waits in seconds, their bounded slowdowns, and the CPU-seconds they used."""

    jobs: int
    mean: float
    median: float
    p95: float
    longest: float
    slowdown_mean: float
    slowdown_p95: float
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Measures:
    """A whole replay, from the first submission to the last end.

    `utilisation` is the part of all processors that ran something, `lost` the CPU-seconds of runs that were preempted;
    `in_use` and `queued` are processors in use and jobs waiting over time.
    """

    begin: float
    end: float
    utilisation: float
    lost: float
    in_use: Steps
    queued: Steps
    all: Waits
    by_share: dict[str, Waits]
    by_queue: dict[str, Waits]
    fairness: Fairness
    unfinished: int
    cancelled: int


def _equal_weight(share: str) -> float:
    return 1.0


def measure(result: Result, machines: Machines, weight_of: Callable[[str], float] = _equal_weight) -> Measures:
    """All measures of a replay of at least one job. `weight_of` a share: 2 for one that should have twice as much."""
    everything = result.jobs
    begin = min(each.submit for each in everything)
    end = max((*(run.end for run in result.runs), *(each.until for each in result.unrun)))
    spans = [(each, is_running, low, high) for each in everything for is_running, low, high in phases(each)]
    in_use = steps(
        change
        for each, is_running, low, high in spans
        if is_running
        for change in ((low, each.cpus), (high, -each.cpus))
    )
    queued = steps(change for _, is_running, low, high in spans if not is_running for change in ((low, 1), (high, -1)))
    capacity = machines.cpus * (end - begin)
    return Measures(
        begin=begin,
        end=end,
        utilisation=in_use.integral(begin, end) / capacity if capacity else 0.0,
        lost=sum(each.cpus * (high - low) for each in everything for low, high in each.lost),
        in_use=in_use,
        queued=queued,
        all=compute_waits(result.runs),
        by_share=_grouped(result.runs, lambda run: run.share),
        by_queue=_grouped(result.runs, lambda run: run.queue),
        fairness=compute_fairness(result, weight_of),
        unfinished=sum(not each.cancelled for each in result.unrun),
        cancelled=sum(each.cancelled for each in result.unrun),
    )


def compute_waits(runs: Sequence[Run]) -> Waits:
    """The waits of some runs; all 0 for none."""
    if not runs:
        return Waits(0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    waits = sorted(run.start - run.submit for run in runs)
    slowdowns = sorted(bounded_slowdown(run) for run in runs)
    return Waits(
        jobs=len(runs),
        mean=math.fsum(waits) / len(waits),
        median=percentile(waits, 50),
        p95=percentile(waits, 95),
        longest=waits[-1],
        slowdown_mean=math.fsum(slowdowns) / len(slowdowns),
        slowdown_p95=percentile(slowdowns, 95),
        cpu_seconds=sum(run.cpus * (run.end - run.start) for run in runs),
    )


def bounded_slowdown(run: Run) -> float:
    """How many times as long as its run the job took, short runs counting as 10 s."""
    return max(1.0, (run.end - run.submit) / max(run.end - run.start, SLOWDOWN_BOUND))


def percentile(ascending: Sequence[float], percent: int) -> float:
    """The smallest value that at least `percent` of the values do not exceed."""
    return ascending[max(0, math.ceil(len(ascending) * percent / 100) - 1)]


def _grouped(runs: Iterable[Run], key: Callable[[Run], str]) -> dict[str, Waits]:
    groups: defaultdict[str, list[Run]] = defaultdict(list)
    for run in runs:
        groups[key(run)].append(run)
    return {name: compute_waits(groups[name]) for name in sorted(groups, key=natural)}


def natural(name: str) -> tuple[str, int, str]:
    """Sorts user2 before user10."""
    stem = name.rstrip("0123456789")
    digits = name[len(stem) :]
    return stem, int(digits or -1), name
