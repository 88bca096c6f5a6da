"""What is measured: every figure's key in JSON, its name and unit for a person, and how many decimals say something."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Figure:
    """One figure. In `unit`, UNIT stands for what the scenario counts: a job, or an element."""

    key: str
    label: str
    unit: str
    decimals: int = 2


FIGURES: Final = {
    figure.key: figure
    for figure in (
        Figure("makespanSeconds", "makespan", "s", 1),
        Figure("submitSeconds", "submitting", "s", 1),
        Figure("jobsPerSecond", "jobs per second", "1/s", 1),
        Figure("podsPerSecond", "pods per second", "1/s", 1),
        Figure("submitToRunningP50Seconds", "submit → running, median", "s"),
        Figure("submitToRunningP99Seconds", "submit → running, 99 %", "s"),
        Figure("writesPerUnit", "API writes, all", "per UNIT"),
        Figure("operatorWritesPerUnit", "API writes, operator", "per UNIT", 3),
        Figure("operatorReadsPerUnit", "API reads, operator", "per UNIT", 3),
        Figure("statusWritesPerSecond", "status writes of one job", "1/s"),
        # The same number is CPU-seconds per 1,000.
        Figure("operatorCpuMsPerUnit", "CPU operator", "ms per UNIT"),
        Figure("apiServerCpuMsPerUnit", "CPU kube-apiserver", "ms per UNIT"),
        Figure("clusterCpuMsPerUnit", "CPU of all components", "ms per UNIT"),
        Figure("operatorCpuSeconds", "CPU operator, in all", "s", 1),
        Figure("clientCpuSeconds", "CPU of the harness", "s", 1),
        Figure("othersCpuPercent", "CPU of other work", "% of a core", 0),
        Figure("operatorPeakMiB", "peak memory operator", "MiB", 0),
        Figure("apiServerPeakMiB", "peak memory kube-apiserver", "MiB", 0),
        Figure("startUpSeconds", "start-up of the operator", "s", 1),
        Figure("firstPassMs", "its first pass", "ms", 1),
        Figure("passP50Ms", "pass, median", "ms", 1),
        Figure("passP99Ms", "pass, 99 %", "ms", 1),
        Figure("passWorstMs", "pass, worst", "ms", 1),
        Figure("scratchFullCpuSeconds", "from scratch, full", "CPU s", 3),
        Figure("scratchEmptyCpuSeconds", "from scratch, empty", "CPU s", 3),
        Figure("scratchEmptyStarts", "starts of it", "", 0),
        Figure("scratchMegabytes", "memory, with the snapshot", "MB", 0),
        Figure("incrementalCpuMs", "incremental, median", "CPU ms", 2),
        Figure("incrementalMs", "incremental, median by the clock", "ms", 2),
        Figure("incrementalWorstMs", "incremental, worst by the clock", "ms", 1),
    )
}


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of `values` that so many percent of them do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -int(-len(ordered) * percent // 100) - 1)]
