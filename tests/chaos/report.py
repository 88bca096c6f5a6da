"""Verdicts as tables, and as plain data for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from chaos.faults import Fault
from chaos.run import Plan, Verdict

SHOWN = 40


def show(console: Console, verdict: Verdict, known: Mapping[str, Fault]) -> None:
    """One round: what struck how often, and what differed."""
    title = f"{verdict.jobs} jobs, {verdict.pods} pods ran, {verdict.writes} writes of the operator, "
    table = Table("fault", "struck", "times", title=f"{title}{verdict.seconds:.0f} s", title_justify="left")
    for name in verdict.faults:
        struck = verdict.struck.get(name)
        says = known[name].says
        if struck is None or not struck.times:
            table.add_row(name, f"{says}: not once", "0")
            continue
        table.add_row(name, says, str(struck.times))
        if len(struck.counts) > 1:
            for what, count in sorted(struck.counts.items()):
                table.add_row("", f"  {what}", str(count))
        for note in struck.notes:
            table.add_row("", f"  {note}", "")
    console.print(table)
    if verdict.own_ends:
        console.print(f"The operator ended by itself {verdict.own_ends} times, and was started again.")
    problems = [*verdict.differences, *(f"logged: {line}" for line in verdict.errors)]
    for problem in problems[:SHOWN]:
        console.print(f"  {problem}", style="red", markup=False)
    if len(problems) > SHOWN:
        console.print(f"  and {len(problems) - SHOWN} more")
    console.print("nothing lost, nothing repeated\n" if not problems else f"{len(problems)} differences\n")


def as_json(plan: Plan, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Everything, for programs."""
    return {
        "seed": plan.seed,
        "right": all(verdict.is_right for verdict in verdicts),
        "rounds": [
            {
                "faults": list(verdict.faults),
                "seconds": round(verdict.seconds, 1),
                "jobs": verdict.jobs,
                "podsRan": verdict.pods,
                "operatorWrites": verdict.writes,
                "operatorEndedItself": verdict.own_ends,
                "struck": {
                    name: {"times": each.times, "by": dict(each.counts), "notes": each.notes}
                    for name, each in verdict.struck.items()
                },
                "differences": verdict.differences,
                "errors": verdict.errors,
            }
            for verdict in verdicts
        ],
    }
