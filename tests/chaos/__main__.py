"""`python -m chaos`: faults strike, and the verdict says what was lost or repeated, which should be nothing.

Exit code 1 when something was.
"""

from __future__ import annotations

from typing import Annotated

import orjson
import typer
from rich.console import Console

from chaos.faults import all_faults
from chaos.report import as_json, show
from chaos.run import Plan, Run


def chaos(
    seed: Annotated[int, typer.Option(help="Of the workload and of every choice by chance.")] = 1,
    faults: Annotated[str, typer.Option(help="Names of faults, by commas; all of them where nothing is said.")] = "",
    kills: Annotated[int, typer.Option(min=1, help="How often the operator is killed.")] = 60,
    objects: Annotated[int, typer.Option(min=1, help="How many hostile objects are sent.")] = 10_000,
    together: Annotated[bool, typer.Option(help="All faults in one round, not a round for each.")] = False,
    bounded: Annotated[bool, typer.Option(help="Each fault as short as still makes sense.")] = False,
    json: Annotated[bool, typer.Option(help="Everything as JSON.")] = False,
    keep_log: Annotated[str | None, typer.Option(help="Where the operator's log is to be kept.")] = None,
) -> None:
    """Runs a workload of every kind of job while faults strike, and counts from the outside what ran."""
    known = all_faults()
    names = [name for name in faults.split(",") if name] or list(known)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise typer.BadParameter(f"{', '.join(unknown)}: no such fault; there are {', '.join(known)}")
    chosen = [known[name] for name in names]
    plan = Plan([chosen] if together else [[fault] for fault in chosen], seed, kills, objects, bounded)
    console = Console(stderr=True)
    verdicts = []
    with Run(plan) as run:
        for number, each in enumerate(plan.rounds):
            with console.status(f"round {number + 1} of {len(plan.rounds)}: {', '.join(fault.name for fault in each)}"):
                verdicts.append(run.round(number, each))
            if not json:
                show(Console(), verdicts[-1], known)
        if keep_log is not None:
            run.keep_log(keep_log)
    if json:
        print(orjson.dumps(as_json(plan, verdicts), option=orjson.OPT_INDENT_2).decode())
    if not all(verdict.is_right for verdict in verdicts):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(chaos)
