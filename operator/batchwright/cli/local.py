"""`batchwright local`: make, look at and delete an embedded cluster.

Exit codes: 0 done (for `status`: all runs), 1 it could not be done, 2 wrong usage, 3 `status` found something dead, or
there is no such cluster.
What a program reads goes to stdout, what a person follows to stderr.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from batchwright.cli import local_aws
from batchwright.errors import BatchwrightError, NoClusterError
from batchwright.local import binaries, images, paths
from batchwright.local.cluster import Options, describe, environment
from batchwright.local.cluster import down as take_down
from batchwright.local.cluster import up as bring_up
from batchwright.local.nodes import NodeShape
from batchwright.local.progress import loud
from batchwright.local.state import load_state
from batchwright.local.status import ClusterStatus, statuses
from batchwright.local.status import status as look_at

EXIT_UNHEALTHY = 3

app = typer.Typer(
    name="local",
    help="A Kubernetes cluster on this machine: for trying, testing and measuring Batchwright, without Docker.",
    no_args_is_help=True,
)
app.add_typer(local_aws.app)


class Runtime(StrEnum):
    """How the cluster is made."""

    AUTO = "auto"
    BINARY = "binary"
    KIND = "kind"
    EXISTING = "existing"


class Output(StrEnum):
    """The form of what is printed."""

    TEXT = "text"
    JSON = "json"


Name = Annotated[str, typer.Option("--name", help="The cluster's name; several live side by side.")]
Form = Annotated[Output, typer.Option("-o", "--output", help="text, or json for programs.")]


@app.command()
def up(
    name: Name = paths.DEFAULT_NAME,
    runtime: Annotated[
        Runtime, typer.Option(help="auto: kind if Docker runs, else binaries; existing: the current context.")
    ] = Runtime.AUTO,
    nodes: Annotated[
        int | None, typer.Option(min=0, help="Simulated nodes in all. Default 4, or 0 with --real-node.")
    ] = None,
    node_cpu: Annotated[str, typer.Option(help="CPUs of a simulated node.")] = "32",
    node_memory: Annotated[str, typer.Option(help="Memory of a simulated node.")] = "128Gi",
    node_gpus: Annotated[int, typer.Option(min=0, help="NVIDIA GPUs of a simulated node.")] = 0,
    real_node: Annotated[
        bool, typer.Option("--real-node", help="Add a node that runs containers (root, Linux).")
    ] = False,
    aws: Annotated[bool, typer.Option("--aws", help="Add an AWS endpoint (moto).")] = False,
    operator: Annotated[bool, typer.Option("--operator", help="Install the CRDs and run the operator.")] = False,
    audit: Annotated[bool, typer.Option("--audit", help="Keep an API server audit log (Metadata level).")] = False,
) -> None:
    """Make the cluster, or add to it what is missing; safe to repeat."""
    with _errors():
        options = Options(
            name=name,
            runtime=runtime.value,
            nodes=nodes,
            shape=NodeShape(node_cpu, node_memory, node_gpus),
            real_node=real_node,
            aws=aws,
            operator=operator,
            audit=audit,
        )
        reporter = loud()
        cluster = bring_up(options, reporter)
        suffix = "" if name == paths.DEFAULT_NAME else f" --name {name}"
        reporter.note(f"kubeconfig {cluster.kubeconfig}")
        reporter.note(f'use it: eval "$(batchwright local env{suffix})"')


@app.command()
def build(
    real_node: Annotated[
        bool, typer.Option("--real-node", help="Also what a node that runs containers needs, its images included.")
    ] = False,
) -> None:
    """Find or build the cluster's binaries ahead of time; `up` does the same when it needs them."""
    with _errors():
        reporter = loud()
        found = binaries.ensure((*binaries.CONTROL_PLANE, *(binaries.REAL_NODE if real_node else ())), reporter)
        reporter.note(f"{len(found)} binaries are ready")
        if real_node:
            for ensure in (images.ensure_pause, images.ensure_busybox, images.ensure_python):
                reporter.note(f"image {ensure().name}")


@app.command()
def down(name: Name = paths.DEFAULT_NAME) -> None:
    """End and delete the cluster, whatever state it is in."""
    with _errors():
        reporter = loud()
        if not take_down(name, reporter):
            reporter.note(f"there is no cluster {name}")


@app.command()
def env(name: Name = paths.DEFAULT_NAME, output: Form = Output.TEXT) -> None:
    """Print the shell exports that make kubectl, the AWS SDKs and Batchwright use the cluster."""
    with _errors():
        look_at(name)  # says so when there is no such cluster
        directory = paths.cluster_directory(name)
        state = load_state(directory)
        variables = environment(describe(directory, state)) if state else {}
        if output is Output.JSON:
            _print_json(variables)
        else:
            for variable, value in variables.items():
                typer.echo(f"export {variable}={shlex.quote(value)}")


@app.command()
def status(name: Name = paths.DEFAULT_NAME, output: Form = Output.TEXT) -> None:
    """Show what runs of the cluster; exit 0 if all does, 3 if not."""
    with _errors():
        found = look_at(name)
        if output is Output.JSON:
            _print_json(found.model_dump(mode="json"))
        else:
            for line in _describe(found):
                Console().print(line, highlight=False, soft_wrap=True)
        if not found.healthy:
            raise typer.Exit(EXIT_UNHEALTHY)


@app.command("list")
def list_clusters(output: Form = Output.TEXT) -> None:
    """List the clusters of this user."""
    with _errors():
        found = statuses()
        if output is Output.JSON:
            _print_json([item.model_dump(mode="json") for item in found])
            return
        table = Table("NAME", "STATE", "RUNTIME", "VERSION", "SERVER", "NODES", box=None)
        for item in found:
            nodes = str(item.simulated_nodes + item.real_nodes)
            table.add_row(item.name, _state(item), item.runtime, item.version, item.server, nodes)
        Console().print(table)


def _describe(found: ClusterStatus) -> list[str]:
    nodes = f"{found.simulated_nodes} simulated, {found.real_nodes} real"
    rows = [
        ("Name", found.name),
        ("State", _state(found)),
        ("Runtime", found.runtime),
        ("Version", found.version),
        ("API server", found.server),
        ("Kubeconfig", str(found.kubeconfig)),
        ("Nodes", "those of your cluster" if found.runtime == "existing" else nodes),
        ("AWS endpoint", found.aws_endpoint or "none"),
        ("Operator", f"pid {found.operator_pid}" if found.operator_pid else "not running"),
        ("Up for", _duration(found.uptime_seconds)),
    ]
    rows += [("Audit log", str(found.audit_log))] if found.audit_log else []
    for component in found.components:
        mark = "[green]running[/]" if component.running else "[red]dead[/]"
        rows.append((f"  {component.name}", mark + (f" (pid {component.pid})" if component.pid else "")))
    width = max(len(key) for key, _ in rows)
    return [f"{key:<{width}}  {value}" for key, value in rows]


def _state(found: ClusterStatus) -> str:
    if found.phase == "creating":
        return "[yellow]half made: run up again, or down[/]"
    return "[green]running[/]" if found.healthy else "[red]not all runs: run up again[/]"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _print_json(value: object) -> None:
    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


@contextmanager
def _errors() -> Iterator[None]:
    """Turn our errors into one message on stderr and exit code 1, or 3 when there is no such cluster."""
    try:
        yield
    except BatchwrightError as error:
        Console(stderr=True).print(f"[red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(EXIT_UNHEALTHY if isinstance(error, NoClusterError) else 1) from error


if __name__ == "__main__":
    app()
