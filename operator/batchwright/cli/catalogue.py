"""`queues`, `definitions`, `environments`: what jobs can be sent to and made of."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer

from batchwright import names
from batchwright.cli import catalogue_text as text
from batchwright.cli import completion, options
from batchwright.cli.formats import now
from batchwright.cli.output import Grid, is_table, note, print_grid, print_objects
from batchwright.cli.session import Session, open_session, run
from batchwright.cluster.resources import (
    BATCH_JOBS,
    COMPUTE_ENVIRONMENTS,
    CONTROLLER_REVISIONS,
    JOB_DEFINITIONS,
    JOB_QUEUES,
    Resource,
)
from batchwright.errors import Forbidden, NotFound

JSON = dict[str, Any]

QueueName = Annotated[str | None, typer.Argument(help="All about this one.", autocompletion=completion.queues)]
DefinitionName = Annotated[
    str | None, typer.Argument(help="All about this one, with its revisions.", autocompletion=completion.definitions)
]
EnvironmentName = Annotated[
    str | None, typer.Argument(help="All about this one.", autocompletion=completion.environments)
]


def queues(
    name: QueueName = None,
    output: options.OutputOption = options.Output.table,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """List job queues with their jobs by state, or show one and the head of its line."""

    async def work() -> None:
        async with open_session(context, kubeconfig, namespace) as session:
            found = await _find(session, JOB_QUEUES, None, name)
            if not is_table(output):
                _print(JOB_QUEUES, found, output, name)
                return
            jobs = await _jobs(session, fields=f"spec.jobQueue={name}" if name else None)
            if name:
                print(text.queue_page(found[0], jobs, now()))
            else:
                _grid(text.queue_grid(found, jobs, now(), wide=output is options.Output.wide), "job queues")

    run(work())


def definitions(
    name: DefinitionName = None,
    output: options.OutputOption = options.Output.table,
    namespace: options.Namespace = None,
    all_namespaces: options.AllNamespaces = False,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """List job definitions, or show one and its revisions."""
    if name and all_namespaces:
        raise typer.BadParameter("not together with a name", param_hint="--all-namespaces")

    async def work() -> None:
        async with open_session(context, kubeconfig, namespace) as session:
            where = None if all_namespaces else session.namespace
            found = await _find(session, JOB_DEFINITIONS, where, name)
            if not is_table(output):
                _print(JOB_DEFINITIONS, found, output, name)
            elif name:
                labels = f"{names.LABEL_DEFINITION}={name}"
                revisions = await session.api.list_all(CONTROLLER_REVISIONS, where, labels=labels)
                print(text.definition_page(found[0], revisions, now()))
            else:
                grid = text.definition_grid(found, now(), wide=output is options.Output.wide, namespaces=where is None)
                _grid(grid, "job definitions" + (f" in namespace {where}" if where else ""))

    run(work())


def environments(
    name: EnvironmentName = None,
    output: options.OutputOption = options.Output.table,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """List compute environments with their capacity, or show one."""

    async def work() -> None:
        async with open_session(context, kubeconfig) as session:
            found, queues_ = await asyncio.gather(
                _find(session, COMPUTE_ENVIRONMENTS, None, name), session.api.list_all(JOB_QUEUES)
            )
            if not is_table(output):
                _print(COMPUTE_ENVIRONMENTS, found, output, name)
                return
            jobs = await _jobs(session)
            if name:
                print(text.environment_page(found[0], queues_, jobs, now()))
            else:
                _grid(text.environment_grid(found, queues_, jobs, now()), "compute environments")

    run(work())


async def _find(session: Session, resource: Resource, namespace: str | None, name: str | None) -> list[JSON]:
    if name is None:
        found = await session.api.list_all(resource, namespace)
        return sorted(found, key=lambda item: (item["metadata"].get("namespace", ""), item["metadata"]["name"]))
    try:
        return [await session.api.get(resource, namespace, name)]
    except NotFound as error:
        if error.reason != "NotFound":
            raise
        where = f' in namespace "{namespace}"' if namespace else ""
        raise NotFound(f'{text.WORDS[resource.kind]} "{name}" not found{where}', 404, "NotFound") from error


async def _jobs(session: Session, fields: str | None = None) -> list[JSON]:
    """The jobs of all namespaces, or of this one where no more may be read."""
    try:
        return await session.api.list_all(BATCH_JOBS, fields=fields)
    except Forbidden:
        note(f"jobs of namespace {session.namespace} only: you may not list those of others")
        return await session.api.list_all(BATCH_JOBS, session.namespace, fields=fields)


def _print(resource: Resource, found: list[JSON], output: options.Output, name: str | None) -> None:
    print_objects([(resource, item) for item in found], output, single=name is not None)


def _grid(grid: Grid, what: str) -> None:
    if grid.rows:
        print_grid(grid)
    else:
        note(f"no {what}")
