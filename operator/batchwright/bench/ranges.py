"""The ranges that figures are to stay in, from a file: what makes a regression visible.

The file is docs/benchmarks.json, which the package carries:

    {"scenarios": {"single": {"sizes": [200, 5000],
                              "figures": {"operatorWritesPerUnit": [1.5, 3.0]},
                              "ratiosToPlain": {"apiServerCpuMsPerUnit": [0.8, 1.9]}}}}

Invariant: a figure that has a range and was not measured is out of it; a scenario without ranges, or at a size they are
not for, is an error, so that a check never passes for want of anything to check.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from batchwright.bench.scenario import BATCHWRIGHT
from batchwright.bench.summary import Summary
from batchwright.errors import BenchmarkError

COMMITTED = Path(__file__).parent / "ranges.json"


class ScenarioRanges(BaseModel):
    """The ranges of one scenario, for sizes from the first to the second: least and most, both within."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True)

    sizes: tuple[int, int]
    figures: dict[str, tuple[float, float]] = {}
    ratios_to_plain: dict[str, tuple[float, float]] = {}


class Ranges(BaseModel):
    """All of the file. `about` is for its readers."""

    model_config = ConfigDict(extra="forbid")

    about: str = ""
    scenarios: dict[str, ScenarioRanges]


@dataclass(frozen=True)
class Deviation:
    """A figure out of its range; `found` None when it was not measured."""

    scenario: str
    size: int
    what: str
    found: float | None
    least: float
    most: float

    def __str__(self) -> str:
        found = "was not measured" if self.found is None else f"is {self.found:.4g}"
        return f"{self.scenario} {self.size:,}: {self.what} {found}, and should be {self.least:g} to {self.most:g}"


def load_ranges(path: Path = COMMITTED) -> Ranges:
    """Raises BenchmarkError when the file cannot be read, or is no such file."""
    try:
        return Ranges.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BenchmarkError(f"{path}: {error.strerror or error}") from error
    except ValidationError as error:
        raise BenchmarkError(f"{path} is not a file of ranges: {error}") from error


def ranges_for(ranges: Ranges, scenario: str, size: int) -> ScenarioRanges:
    """The ranges of a scenario at a size. Raises BenchmarkError when there are none."""
    known = ranges.scenarios.get(scenario)
    if known is None or not (known.figures or known.ratios_to_plain):
        raise BenchmarkError(f"there are no ranges for scenario {scenario}")
    least, most = known.sizes
    if not least <= size <= most:
        raise BenchmarkError(f"the ranges of scenario {scenario} are for sizes {least:,} to {most:,}, not {size:,}")
    return known


def deviations(summary: Summary, known: ScenarioRanges) -> list[Deviation]:
    """Every figure of Batchwright's, and every ratio, that is out of its range."""
    medians = {key: spread.median for key, spread in summary.figures.get(BATCHWRIGHT, {}).items()}
    looked_at = [(key, medians.get(key), bounds) for key, bounds in known.figures.items()]
    looked_at += [
        (f"ratio to plain of {key}", summary.ratios.get(key), bounds) for key, bounds in known.ratios_to_plain.items()
    ]
    return [
        Deviation(summary.outcome.scenario.name, summary.outcome.size, what, found, least, most)
        for what, found, (least, most) in looked_at
        if found is None or not least <= found <= most
    ]
