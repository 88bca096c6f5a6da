"""What `bench` prints for a person: a table of figures with targets, and one of API writes for each contender."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from batchwright.bench.figures import FIGURES, Figure
from batchwright.bench.scenario import Scenario
from batchwright.bench.summary import Spread, Summary, Verdict, per_unit

# What happens once or twice in a run is no cost of a job.
_RARE = 0.01


def show(console: Console, summary: Summary) -> None:
    """The tables of one scenario."""
    outcome = summary.outcome
    rounds = max(len(each) for each in outcome.rounds.values())
    loads = f"{min(outcome.loads):.1f} to {max(outcome.loads):.1f}"
    console.print(
        f"{outcome.scenario.name}, {outcome.size:,}: {outcome.scenario.summary}; {rounds} "
        f"round{'s' if rounds > 1 else ''}, median (least to most); load of the machine before each {loads}"
    )
    table = Table("", "unit", *outcome.rounds, "ratio to plain", "target")
    for figure in FIGURES.values():
        spreads = [summary.figures[name].get(figure.key) for name in outcome.rounds]
        if any(spreads):
            ratio = summary.ratios.get(figure.key)
            table.add_row(
                figure.label,
                figure.unit.replace("UNIT", outcome.scenario.unit),
                *(_cell(spread, figure) for spread in spreads),
                "" if ratio is None else f"{ratio:.2f}",
                _targets(verdict for verdict in summary.verdicts if verdict.target.figure == figure.key),
            )
    console.print(table)
    for name, measured in outcome.rounds.items():
        every = per_unit(measured, lambda each: each.writes)
        own = per_unit(measured, lambda each: each.operator_writes)
        if not every:
            continue
        writes = Table(f"API writes, {name}", f"per {outcome.scenario.unit}", "by the operator")
        for what, count in every.items():
            if count >= _RARE:
                writes.add_row(what, f"{count:.2f}", f"{own[what]:.2f}" if what in own else "")
        console.print(writes)


def show_scenarios(console: Console, scenarios: Iterable[Scenario]) -> None:
    """Which there are."""
    table = Table("scenario", "what", "size for a look", "sizes of the targets", "targets")
    for each in scenarios:
        targets = "\n".join(f"{FIGURES[target.figure].label} {target.words}" for target in each.targets)
        table.add_row(
            each.name, each.summary, f"{each.quick:,}", ", ".join(f"{size:,}" for size in each.sizes), targets
        )
    console.print(table)


def _cell(spread: Spread | None, figure: Figure) -> str:
    if spread is None:
        return "–"
    median, least, most = (f"{value:,.{figure.decimals}f}" for value in (spread.median, spread.least, spread.most))
    return median if least == most else f"{median} ({least} to {most})"


def _targets(verdicts: Iterable[Verdict]) -> str:
    words = {True: "met", False: "missed", None: "not measured"}
    return "\n".join(f"{verdict.target.words} ({words[verdict.met]})" for verdict in verdicts)
