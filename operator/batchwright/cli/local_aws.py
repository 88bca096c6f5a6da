"""`batchwright local aws`: what goes wrong at the embedded AWS endpoint, switched on and off.

Exit codes: 0 done, 1 it could not be done, 2 wrong usage.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from batchwright.errors import BatchwrightError, LocalError
from batchwright.local import aws, paths
from batchwright.local.cluster import describe
from batchwright.local.ec2.switches import parse
from batchwright.local.state import load_state

app = typer.Typer(
    name="aws",
    help="What goes wrong at the embedded AWS endpoint of `local up --aws`.",
    no_args_is_help=True,
)
Name = Annotated[str, typer.Option("--name", help="The cluster's name.")]


@app.command()
def exhaust(instance_type: str, zone: Annotated[str, typer.Argument()] = "*", name: Name = paths.DEFAULT_NAME) -> None:
    """Nothing of this type is to be had in the zone any more; * is every one."""
    _change_exhausted(name, f"{instance_type} {zone}", present=True)


@app.command()
def restock(instance_type: str, zone: Annotated[str, typer.Argument()] = "*", name: Name = paths.DEFAULT_NAME) -> None:
    """There is some of it again."""
    _change_exhausted(name, f"{instance_type} {zone}", present=False)


@app.command()
def interrupt(
    instance: str,
    seconds: Annotated[float, typer.Option(min=0, help="From the warning to the end.")] = 120.0,
    silent: Annotated[bool, typer.Option("--silent", help="The warning is lost.")] = False,
    name: Name = paths.DEFAULT_NAME,
) -> None:
    """EC2 takes a Spot instance back: a warning now, its end after that."""
    _ask(
        name, "interruptions", {"instance": instance, "seconds": seconds, "how": "SILENT" if silent else "INTERRUPTION"}
    )


@app.command()
def rebalance(instance: str, name: Name = paths.DEFAULT_NAME) -> None:
    """EC2 says that it may take a Spot instance back soon."""
    _ask(name, "interruptions", {"instance": instance, "how": "REBALANCE"})


@app.command()
def maintain(
    instance: str,
    seconds: Annotated[float, typer.Option(min=0, help="From the announcement to the end.")] = 1200.0,
    name: Name = paths.DEFAULT_NAME,
) -> None:
    """AWS announces that an instance is retired."""
    _ask(name, "interruptions", {"instance": instance, "seconds": seconds, "how": "MAINTENANCE"})


@app.command()
def switches(name: Name = paths.DEFAULT_NAME) -> None:
    """Show what is switched on (docs/capacity.md says what each does)."""
    typer.echo(json.dumps(_ask(name, "switches"), indent=2))


@app.command()
def switch(
    changes: Annotated[list[str], typer.Argument(metavar="NAME=VALUE...", help="What `switches` shows.")],
    name: Name = paths.DEFAULT_NAME,
) -> None:
    """Switch any of it, by name: lost=1, join_seconds=30, deaf=m5.large,c5.large; nothing after = for none."""
    try:
        parsed = parse(changes)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    typer.echo(json.dumps(_ask(name, "switches", parsed), indent=2))


def _change_exhausted(name: str, pool: str, *, present: bool) -> None:
    pools = set(_ask(name, "switches")["exhausted"])
    _ask(name, "switches", {"exhausted": sorted(pools | {pool} if present else pools - {pool})})


def _ask(name: str, what: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    try:
        return _request(name, what, body)
    except BatchwrightError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error


def _request(name: str, what: str, body: dict[str, Any] | None) -> dict[str, Any]:
    directory = paths.cluster_directory(name)
    state = load_state(directory)
    endpoint = describe(directory, state).aws_endpoint if state is not None else None
    if endpoint is None:
        raise LocalError(f"cluster {name} has no AWS endpoint: batchwright local up --aws")
    return aws.ask(endpoint, what, body)
