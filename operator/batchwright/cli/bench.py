"""`bench`: what jobs cost, beside plain Jobs, on embedded clusters made for the purpose.

What a program reads goes to stdout, progress to stderr. Exit codes: 0 done, 1 a run failed or `--check` found a figure
out of its range, 2 wrong usage.
"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from batchwright.cli import exits
from batchwright.cli.output import console

if TYPE_CHECKING:
    from batchwright.bench.ranges import ScenarioRanges
    from batchwright.bench.scenario import Scenario
    from batchwright.bench.summary import Summary

_WIDTH = 150


def bench(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[SCENARIO]...", help="Which; default: all. --list says which.")
    ] = None,
    size: Annotated[
        int | None, typer.Option("--size", min=1, help="Jobs or elements; default: enough for a look.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="At the sizes of the targets: this takes hours.")] = False,
    rounds: Annotated[
        int | None, typer.Option("--rounds", min=1, help="Runs of each contender; default: 3, of single jobs 5.")
    ] = None,
    only: Annotated[str, typer.Option("--only", metavar="CONTENDER", help="One contender alone.")] = "",
    rate: Annotated[
        float | None, typer.Option("--rate", min=0.1, help="Submissions a second; default: as fast as they are taken.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Exit with code 1 when a figure is out of its range.")] = False,
    ranges: Annotated[
        Path | None, typer.Option("--ranges", metavar="FILE", help="The ranges; default: docs/benchmarks.json.")
    ] = None,
    logs: Annotated[Path | None, typer.Option("--logs", metavar="DIR", help="Keep the operator's logs here.")] = None,
    json: Annotated[bool, typer.Option("--json", help="JSON on stdout, in place of tables.")] = False,
    listing: Annotated[bool, typer.Option("--list", help="Which scenarios there are, and their targets.")] = False,
) -> None:
    """Measure what jobs cost beside plain Kubernetes Jobs: time, API writes, CPU, memory.

    Each contender has a cluster of its own, made for the run and deleted after it. Linux, no Docker, no root.
    """
    from batchwright.bench.scenario import all_scenarios

    if listing:
        from batchwright.cli.bench_text import show_scenarios

        show_scenarios(console(), all_scenarios().values())
        return
    if full and size is not None:
        raise typer.BadParameter("not together with --size", param_hint="--full")
    if only and check:
        raise typer.BadParameter("ratios need every contender: not together with --only", param_hint="--check")
    chosen = [(scenario, each) for scenario in _scenarios(names, only) for each in _sizes(scenario, size, full)]
    bounds = _bounds(chosen, ranges) if check or ranges is not None else None
    # As Ctrl-C: whoever ends it, as timeout(1) does, leaves no cluster behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    found = [_run(scenario, each, rounds or scenario.rounds, only, rate, logs) for scenario, each in chosen]
    _print(found, json)
    if bounds is not None:
        _judge(found, bounds)


def _scenarios(names: list[str] | None, only: str) -> list[Scenario]:
    from batchwright.bench.scenario import all_scenarios

    known = all_scenarios()
    for name in names or ():
        if name not in known:
            raise typer.BadParameter(f"{name!r} is none of {', '.join(known)}", param_hint="SCENARIO")
    scenarios = [known[name] for name in names or known]
    if only and not any(only in scenario.contenders for scenario in scenarios):
        raise typer.BadParameter(f"{only!r} is no contender here", param_hint="--only")
    return [scenario for scenario in scenarios if not only or only in scenario.contenders]


def _sizes(scenario: Scenario, size: int | None, full: bool) -> tuple[int, ...]:
    if size is not None:
        return (size,)
    return scenario.sizes if full else (scenario.quick,)


def _bounds(chosen: list[tuple[Scenario, int]], file: Path | None) -> list[ScenarioRanges]:
    """Before anything is run: hours later is no time to learn that there is nothing to compare with."""
    from batchwright.bench.ranges import COMMITTED, load_ranges, ranges_for

    known = load_ranges(file or COMMITTED)
    return [ranges_for(known, scenario.name, size) for scenario, size in chosen]


def _run(scenario: Scenario, size: int, rounds: int, only: str, rate: float | None, logs: Path | None) -> Summary:
    from batchwright.bench.rounds import run_rounds
    from batchwright.bench.summary import summarize

    contenders = (only,) if only else scenario.contenders
    screen = console(stderr=True)
    with screen.status(scenario.name) as status:

        def tell(text: str) -> None:
            status.update(text)
            if not screen.is_terminal:
                screen.print(text)

        return summarize(run_rounds(scenario, size, rounds, contenders, rate=rate, logs=logs, tell=tell))


def _print(found: list[Summary], json: bool) -> None:
    from batchwright.bench import machine

    if json:
        import orjson

        from batchwright.bench.summary import as_json

        report = {"machine": machine.describe(), "runs": [as_json(summary) for summary in found]}
        print(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode())
        return
    from rich.console import Console

    from batchwright.cli.bench_text import show

    screen = Console(width=_WIDTH, highlight=False)
    screen.print(", ".join(f"{key} {value}" for key, value in machine.describe().items()))
    for summary in found:
        show(screen, summary)


def _judge(found: list[Summary], bounds: list[ScenarioRanges]) -> None:
    from batchwright.bench.ranges import deviations

    out = [each for summary, known in zip(found, bounds, strict=True) for each in deviations(summary, known)]
    screen = console(stderr=True)
    for each in out:
        screen.print(f"out of range: {each}")
    if out:
        raise exits.Failed(exits.ERROR)
    screen.print(
        f"every figure is in its range ({sum(len(k.figures) + len(k.ratios_to_plain) for k in bounds)} looked at)"
    )
