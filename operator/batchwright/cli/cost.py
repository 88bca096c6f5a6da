"""`cost`: what jobs used and what it cost, by share, queue, tag, label or job."""

from __future__ import annotations

from typing import Annotated

import typer

from batchwright.cli import costs, options
from batchwright.cli.formats import now
from batchwright.cli.output import is_table, note, print_grid, print_value
from batchwright.cli.session import Session, open_session, run
from batchwright.cluster.resources import BATCH_JOBS, JOB_QUEUES
from batchwright.errors import BatchwrightError


def cost(
    by: Annotated[costs.By, typer.Option("--by", help="What to tell apart.", case_sensitive=False)] = costs.By.share,
    since: Annotated[
        str,
        typer.Option(
            "--since", metavar="TIME", help="Only jobs that ended since (24h, 7d, 2026-03-01), or have not ended."
        ),
    ] = "",
    queue: options.Queue = None,
    output: options.OutputOption = options.Output.table,
    namespace: options.Namespace = None,
    all_namespaces: options.AllNamespaces = False,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Show what jobs used, and what that cost.

    By share or queue, as the queues have noted it: of all jobs there ever were. With --since, --namespace or
    --all-namespaces, and by tag, label or job, of the jobs there are, not of those that are deleted.
    """
    if output is options.Output.name:
        raise typer.BadParameter("table, json or yaml", param_hint="--output")

    async def work() -> None:
        async with open_session(context, kubeconfig, namespace) as session:
            of_queues = by in (costs.By.share, costs.By.queue) and not (since or namespace or all_namespaces)
            where = None if all_namespaces else session.namespace
            lines = await (_of_queues(session, by, queue) if of_queues else _of_jobs(session, by, queue, since, where))
            if not is_table(output):
                print_value({"by": str(by), "items": [costs.record(line, by) for line in lines]}, output)
            elif lines:
                print_grid(costs.cost_grid(lines, by))
            else:
                note("nothing was used")

    run(work())


async def _of_queues(session: Session, by: costs.By, queue: str | None) -> list[costs.Line]:
    found = await session.api.list_all(JOB_QUEUES)
    if queue is not None:
        found = [each for each in found if each["metadata"]["name"] == queue]
        if not found:
            raise BatchwrightError(f"there is no JobQueue {queue}; `batchwright queues` lists those there are")
    return costs.lines_of_queues(found, by)


async def _of_jobs(
    session: Session, by: costs.By, queue: str | None, since: str, where: str | None
) -> list[costs.Line]:
    at = now()
    begin = costs.parse_since(since, at) if since else None
    found = await session.api.list_all(BATCH_JOBS, where, fields=f"spec.jobQueue={queue}" if queue else None)
    return costs.lines_of_jobs((job for job in found if costs.is_since(job, begin)), by, at)
