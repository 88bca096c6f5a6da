"""The benchmark: N single jobs, plain Kubernetes Jobs and Batchwright in turns, each on a cluster of its own.

    make bench BENCH="--jobs 1000 --rounds 3"

Where other work shares the machine, times mean little; writes, CPU-seconds and ratios to plain travel.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console

from perf.contenders import CONTENDERS
from perf.report import as_json, show
from perf.scenario import Load, Result, measure


def bench(
    jobs: Annotated[int, typer.Option(min=1, help="Jobs per run.")] = 300,
    rounds: Annotated[int, typer.Option(min=1, help="Runs of each contender; figures are medians.")] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="Simulated nodes.")] = 10,
    rate: Annotated[float | None, typer.Option(min=0.1, help="Submissions per second; none: a flood.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Submissions under way at one time.")] = 16,
    only: Annotated[str, typer.Option(help=f"One contender: {', '.join(CONTENDERS)}.")] = "",
    logs: Annotated[Path | None, typer.Option(help="A directory to keep the operator's log in.")] = None,
    json: Annotated[bool, typer.Option("--json", help="JSON on standard output, in place of tables.")] = False,
) -> None:
    """Measure what a job costs, beside plain Jobs."""
    if only and only not in CONTENDERS:
        raise typer.BadParameter(f"{only!r} is none of {', '.join(CONTENDERS)}", param_hint="--only")
    chosen = [only] if only else list(CONTENDERS)
    load = Load(jobs=jobs, rate=rate, concurrency=concurrency, nodes=nodes)
    progress = Console(stderr=True)
    results: dict[str, list[Result]] = {name: [] for name in chosen}
    for number in range(rounds):
        # In turns, and the other way round every second time: no contender has the quieter machine.
        for name in chosen if number % 2 == 0 else reversed(chosen):
            with progress.status(f"round {number + 1} of {rounds}: {jobs} jobs, {name}"):
                results[name].append(_measure(name, load, logs))
    if json:
        print(orjson.dumps(as_json(results), option=orjson.OPT_INDENT_2).decode())
    else:
        pace = "a flood" if rate is None else f"{rate:g} per second"
        title = f"{jobs} single jobs, {pace}, {rounds} round{'s' * (rounds > 1)}, {nodes} simulated nodes"
        show(Console(width=110), results, title)


def _measure(name: str, load: Load, logs: Path | None) -> Result:
    with tempfile.TemporaryDirectory() as scratch:
        directory = logs or Path(scratch)
        directory.mkdir(parents=True, exist_ok=True)
        return measure(CONTENDERS[name](), load, f"bench-{os.getpid()}", directory)


if __name__ == "__main__":
    typer.run(bench)
