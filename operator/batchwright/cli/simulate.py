"""`simulate`: a trace replayed in virtual time, and what it was like for each share.

No cluster is needed, and nothing is written but the report: the table and the plots, or one JSON object, on stdout.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from batchwright.cli import simulate_market as market
from batchwright.cli import simulate_text as text
from batchwright.cli.manifests import read_text
from batchwright.cli.output import console, print_grid
from batchwright.cli.simulate_progress import progress_bar
from batchwright.errors import SimulationError
from batchwright.simulation.workload import Machines, ShareBy, Workload

if TYPE_CHECKING:
    from batchwright.simulation.policy import Policy
    from batchwright.simulation.replay import Scheduler
    from batchwright.simulation.report import Report


MARKET_PANEL = "Instances"


class Output(StrEnum):
    """How the report is printed."""

    table = "table"
    json = "json"


def simulate(
    trace: Annotated[
        str,
        typer.Argument(
            metavar="TRACE", help="A trace in the Standard Workload Format (SWF), or one in gzip; - is stdin."
        ),
    ],
    policy: Annotated[
        str,
        typer.Option(
            "--policy",
            metavar="FILE",
            help="What Batchwright's scheduler goes by: SchedulingPolicy, JobQueue, ComputeEnvironment, "
            "ConsumableResource as YAML. Without it: first come, first served.",
        ),
    ] = "",
    nodes: Annotated[
        int | None, typer.Option("--nodes", min=1, help="How many machines; default: the trace's MaxNodes.")
    ] = None,
    cpus_per_node: Annotated[
        int | None,
        typer.Option("--cpus-per-node", min=1, help="Processors of each; default: MaxProcs over the machines."),
    ] = None,
    share_by: Annotated[
        ShareBy, typer.Option("--share-by", help="What of the trace is a job's share.", case_sensitive=False)
    ] = ShareBy.user,
    instances: Annotated[
        str,
        typer.Option(
            "--instances",
            metavar="TYPES",
            help="In place of machines: compare what the trace costs on instances that come and go, On-Demand and as "
            "Spot. Families or types, such as m5,c5.",
            rich_help_panel=MARKET_PANEL,
        ),
    ] = "",
    max_vcpus: Annotated[
        int,
        typer.Option(
            "--max-vcpus", min=1, help="How many vCPUs instances may have in all.", rich_help_panel=MARKET_PANEL
        ),
    ] = 256,
    spot_price: Annotated[
        float,
        typer.Option(
            "--spot-price",
            min=0.01,
            max=1.0,
            help="The price of Spot as a part of On-Demand.",
            rich_help_panel=MARKET_PANEL,
        ),
    ] = 0.35,
    taken_back: Annotated[
        float,
        typer.Option(
            "--taken-back",
            min=0.0,
            max=100.0,
            metavar="PERCENT",
            help="How many of a hundred Spot instances are taken back in an hour.",
            rich_help_panel=MARKET_PANEL,
        ),
    ] = 1.0,
    boot: Annotated[
        float,
        typer.Option("--boot", min=0.0, help="Seconds until an instance is a node.", rich_help_panel=MARKET_PANEL),
    ] = 60.0,
    seed: Annotated[
        int, typer.Option("--seed", help="Draws when instances are taken back.", rich_help_panel=MARKET_PANEL)
    ] = 1,
    output: Annotated[
        Output, typer.Option("--output", "-o", help="How to print.", case_sensitive=False)
    ] = Output.table,
    plot: Annotated[
        bool | None,
        typer.Option("--plot/--no-plot", help="Draw use, waiting jobs and waits too; default: on a terminal."),
    ] = None,
) -> None:
    """Replay a trace of a batch system in virtual time: waits, utilisation and fairness for each share.

    Try it with examples/traces/synthetic.swf; real traces: https://www.cs.huji.ac.il/labs/parallel/workload/logs.html
    """
    if instances:
        if nodes or cpus_per_node or plot:
            raise typer.BadParameter("not together with --nodes, --cpus-per-node or --plot", param_hint="--instances")
        asked = market.Asked(instances.split(","), max_vcpus, spot_price, taken_back, boot, seed)
        market.run(trace, _read(trace), _policy(policy), share_by, asked, as_json=output is Output.json)
        return
    if plot and output is Output.json:
        raise typer.BadParameter("not together with -o json", param_hint="--plot")
    report = run(trace, _policy(policy), nodes, cpus_per_node, share_by)
    if output is Output.json:
        print_json(report)
        return
    print(text.heading(report), end="\n\n")
    print_grid(text.share_grid(report))
    if len(report.measures.by_queue) > 1:
        print()
        print_grid(text.queue_grid(report))
    screen = console()
    if screen.is_terminal if plot is None else plot:
        from batchwright.simulation.plot import draw

        # Not through rich, which would take the colours away again.
        print(
            "\n"
            + draw(report.measures, report.machines, screen.width, color=screen.is_terminal and not screen.no_color)
        )


def run(source: str, policy: Policy | None, nodes: int | None, cpus_per_node: int | None, share_by: ShareBy) -> Report:
    """Reads, replays and measures a trace. Raises SimulationError."""
    from batchwright.simulation.metrics import measure
    from batchwright.simulation.replay import replay
    from batchwright.simulation.report import Report
    from batchwright.simulation.trace import parse
    from batchwright.simulation.workload import build_machines, build_workload

    found = parse(source, _read(source))
    machines = build_machines(found, nodes, cpus_per_node)
    workload = build_workload(found, machines, share_by)
    name, scheduler = build_scheduler(policy, machines, workload)
    with progress_bar(len(workload.jobs)) as tell:
        result = replay(workload.jobs, scheduler, machines, tell)
    measures = measure(result, machines, policy.weight_of) if policy else measure(result, machines)
    return Report(source, name, machines, workload, measures)


def build_scheduler(policy: Policy | None, machines: Machines, workload: Workload) -> tuple[str, Scheduler]:
    """The scheduler for a policy, and its name in the report; without one, the order all others are compared with."""
    if policy is None:
        from batchwright.simulation.baseline import FirstComeFirstServed

        return "first come, first served", FirstComeFirstServed(machines)
    from batchwright.simulation.adapter import PolicyScheduler

    scheduler = PolicyScheduler(policy, machines, workload.jobs)
    return scheduler.description, scheduler


def print_json(report: Report) -> None:
    """The report as one JSON object on stdout."""
    import json

    print(json.dumps(report.json(), indent=2, ensure_ascii=False))


def _policy(file: str) -> Policy | None:
    if not file:
        return None
    from batchwright.simulation.policy import parse

    return parse(f"--policy {file}", read_text(file, "--policy"))


def _read(source: str) -> bytes:
    try:
        return typer.get_binary_stream("stdin").read() if source == "-" else Path(source).read_bytes()
    except OSError as error:
        raise SimulationError(f"TRACE {source}: {error.strerror or error}") from error
