"""Contenders in turns, round after round: neither has the quieter hours of a machine that has other work too."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from batchwright.bench import machine
from batchwright.bench.scenario import Measured, Run, Scenario


@dataclass(frozen=True)
class Outcome:
    """A scenario at one size: what each contender took in each round, and the load average before each."""

    scenario: Scenario
    size: int
    rounds: dict[str, list[Measured]]
    loads: list[float] = field(default_factory=list)


def run_rounds(
    scenario: Scenario,
    size: int,
    rounds: int,
    contenders: Sequence[str],
    *,
    rate: float | None = None,
    logs: Path | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Every contender `rounds` times, the other way round in every second round. Raises BenchmarkError, LocalError."""
    outcome = Outcome(scenario, size, {name: [] for name in contenders})
    for number in range(rounds):
        for name in contenders if number % 2 == 0 else reversed(contenders):
            tell(f"{scenario.name} {size:,}, round {number + 1} of {rounds}, {name}")
            outcome.loads.append(machine.load())
            with tempfile.TemporaryDirectory(prefix="batchwright-bench-") as scratch:
                directory = (logs or Path(scratch)) / f"{scenario.name}-{size}-{name}-{number + 1}"
                directory.mkdir(parents=True, exist_ok=True)
                run = Run(name, size, f"bench-{os.getpid()}", directory, rate)
                outcome.rounds[name].append(scenario.measure(run))
    return outcome
