"""Rounds as one: medians with their spread, ratios to plain Jobs, targets met or missed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from batchwright.bench.figures import FIGURES
from batchwright.bench.rounds import Outcome
from batchwright.bench.scenario import BATCHWRIGHT, PLAIN, Measured, Target


@dataclass(frozen=True)
class Spread:
    """A figure over rounds: the median, the least and the most."""

    median: float
    least: float
    most: float


@dataclass(frozen=True)
class Verdict:
    """A target, and what was found; None when the run has no such figure."""

    target: Target
    found: float | None

    @property
    def met(self) -> bool | None:
        """Whether it is met; None when that cannot be said."""
        return None if self.found is None else self.target.is_met(self.found)


@dataclass(frozen=True)
class Summary:
    """A scenario at one size: figures by contender, and the ratios of Batchwright's medians to plain Jobs'."""

    outcome: Outcome
    figures: dict[str, dict[str, Spread]]
    ratios: dict[str, float]

    @property
    def verdicts(self) -> list[Verdict]:
        """Every target that is for this size."""
        own = self.figures.get(BATCHWRIGHT, {})
        found = []
        for target in self.outcome.scenario.targets:
            if target.size in (None, self.outcome.size):
                spread = own.get(target.figure)
                value = self.ratios.get(target.figure) if target.to_plain else spread.median if spread else None
                found.append(Verdict(target, value))
        return found


def summarize(outcome: Outcome) -> Summary:
    """Medians and ratios of an outcome."""
    figures = {name: _spreads(rounds) for name, rounds in outcome.rounds.items()}
    own, plain = figures.get(BATCHWRIGHT, {}), figures.get(PLAIN, {})
    ratios = {
        key: own[key].median / plain[key].median for key in FIGURES if key in own and key in plain and plain[key].median
    }
    return Summary(outcome, figures, ratios)


def _spreads(rounds: Sequence[Measured]) -> dict[str, Spread]:
    found = {}
    for key in FIGURES:
        values = [each.figures[key] for each in rounds if key in each.figures]
        if values:
            found[key] = Spread(median(values), min(values), max(values))
    return found


def per_unit(rounds: Sequence[Measured], counts: Callable[[Measured], Mapping[str, int]]) -> dict[str, float]:
    """The mean number of requests of each verb and resource per unit, the most frequent first."""
    total: Counter[str] = Counter()
    for each in rounds:
        total.update(counts(each))
    units = sum(each.units for each in rounds)
    return {what: count / units for what, count in sorted(total.items(), key=lambda pair: (-pair[1], pair[0]))}


def as_json(summary: Summary) -> dict[str, Any]:
    """Everything measured, for programs."""
    outcome = summary.outcome
    return {
        "scenario": outcome.scenario.name,
        "summary": outcome.scenario.summary,
        "size": outcome.size,
        "unit": outcome.scenario.unit,
        "loadAverages": outcome.loads,
        "contenders": {
            name: {
                "figures": {key: vars(spread) for key, spread in summary.figures[name].items()},
                "writesPerUnit": per_unit(rounds, lambda each: each.writes),
                "operatorWritesPerUnit": per_unit(rounds, lambda each: each.operator_writes),
                "operatorReadsPerUnit": per_unit(rounds, lambda each: each.operator_reads),
                "rounds": [dict(each.figures) for each in rounds],
            }
            for name, rounds in outcome.rounds.items()
        },
        "ratiosToPlain": summary.ratios,
        "targets": [
            {
                "figure": verdict.target.figure,
                "target": verdict.target.words,
                "found": verdict.found,
                "met": verdict.met,
            }
            for verdict in summary.verdicts
        ],
    }
