"""`operator run`: the operator itself, in this process."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from batchwright.cli import options

app = typer.Typer(help="The operator.", no_args_is_help=True)


class LogFormat(StrEnum):
    """How the operator logs."""

    text = "text"
    json = "json"


@app.callback()
def operator() -> None:
    """The operator."""


@app.command("run")
def run_here(
    liveness: Annotated[
        str | None,
        typer.Option(help="Serve a liveness probe here.", metavar="URL", show_default=False),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            help="Serve metrics for Prometheus here (default: /metrics beside the liveness probe; '' for nowhere).",
            metavar="URL",
            show_default=False,
        ),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log debug messages.")] = False,
    log_format: Annotated[LogFormat, typer.Option(help="Log as text or as one JSON object a line.")] = LogFormat.text,
    leader_election: Annotated[
        bool | None,
        typer.Option(
            "--leader-election/--no-leader-election",
            help="Work only while holding a Lease, so that several operators may run (default: "
            "$BATCHWRIGHT_LEADER_ELECTION, or else yes).",
            show_default=False,
        ),
    ] = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Run the operator until SIGTERM or Ctrl-C, for example with --liveness http://127.0.0.1:8080/healthz."""
    from batchwright.cluster.kubeconfig import spare_the_package

    # Before kopf, which looks whether objects of that library might be handed to it, and would import all of it.
    spare_the_package()
    from batchwright.process import run_operator
    from batchwright.settings import Settings

    settings = Settings()
    if leader_election is not None:
        settings = settings.model_copy(update={"leader_election": leader_election})

    run_operator(
        liveness=liveness,
        metrics=metrics,
        verbose=verbose,
        json_logs=log_format is LogFormat.json,
        context=context,
        kubeconfig=kubeconfig,
        settings=settings,
    )
