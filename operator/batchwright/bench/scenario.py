"""What a scenario is, and which there are: every module of `scenarios` has one, in SCENARIO."""

from __future__ import annotations

import importlib
import pkgutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from batchwright.bench import scenarios

PLAIN: Final = "plain"
BATCHWRIGHT: Final = "batchwright"
# Plain Jobs with what any operator of this kind does at least: pods are watched, and where there are many jobs, a
# BatchJob of each is made and ended.
FLOOR: Final = "floor"


@dataclass(frozen=True)
class Target:
    """What is to be reached: a figure of Batchwright's, or with `to_plain` its ratio to that of plain Jobs.

    `size` None: at every size.
    """

    figure: str
    at_most: float | None = None
    at_least: float | None = None
    to_plain: bool = False
    size: int | None = None

    @property
    def words(self) -> str:
        """Such as "≤ 1.2 × plain"."""
        sign, limit = ("≤", self.at_most) if self.at_most is not None else ("≥", self.at_least)
        return f"{sign} {limit:g}" + (" × plain" if self.to_plain else "")

    def is_met(self, found: float) -> bool:
        """Whether what was found is within it."""
        return (self.at_most is None or found <= self.at_most) and (self.at_least is None or found >= self.at_least)


@dataclass(frozen=True)
class Run:
    """One run of one contender: how large, on a cluster of which name, with logs kept in which directory.

    `rate`: submissions a second, where the scenario does not say when each comes; None: as fast as they are taken.
    """

    contender: str
    size: int
    cluster: str
    directory: Path
    rate: float | None = None


@dataclass(frozen=True)
class Measured:
    """What one run took: figures by the keys of `figures.FIGURES`, and requests by verb and resource per unit."""

    figures: Mapping[str, float]
    writes: Counter[str] = field(default_factory=Counter)
    operator_writes: Counter[str] = field(default_factory=Counter)
    operator_reads: Counter[str] = field(default_factory=Counter)
    units: int = 1


@dataclass(frozen=True)
class Scenario:
    """A scenario. `unit` is what costs are divided by, `quick` a size for a look, `sizes` those of the targets,
    `rounds` how often each contender is run where nothing else is asked for."""

    name: str
    summary: str
    unit: str
    quick: int
    sizes: tuple[int, ...]
    contenders: tuple[str, ...]
    targets: tuple[Target, ...]
    measure: Callable[[Run], Measured]
    rounds: int = 3


@cache
def all_scenarios() -> dict[str, Scenario]:
    """Every scenario by its name."""
    modules = sorted(module.name for module in pkgutil.iter_modules(scenarios.__path__))
    found = [importlib.import_module(f"{scenarios.__name__}.{name}").SCENARIO for name in modules]
    return {scenario.name: scenario for scenario in found}
