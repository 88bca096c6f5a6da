"""`plan` and `queue top`: what the next pass would do, and the line in front of a queue, worked out on this machine.

Both list what the operator watches and run its scheduler over it; nothing is written, and no operator need run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from batchwright.cli import completion, exits, options
from batchwright.cli.output import is_table, note, print_grid, print_value
from batchwright.cli.session import Session, open_session, run
from batchwright.errors import NotFound

if TYPE_CHECKING:
    from batchwright.controllers.rehearsal import Rehearsal

JSON = dict[str, Any]
FIRST = 1000

app = typer.Typer(help="Job queues: what waits in them, and why.", no_args_is_help=True)

QueueName = Annotated[
    str, typer.Argument(metavar="QUEUE", help="Name of the JobQueue.", autocompletion=completion.queues)
]
Limit = Annotated[int, typer.Option("--limit", min=1, help="Show so many, from the head of the line.")]


def plan(
    output: options.OutputOption = options.Output.table,
    namespace: options.Namespace = None,
    all_namespaces: options.AllNamespaces = False,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Print what the next scheduling pass would start and preempt, and what waits first and why; do nothing of it.

    The pass is that of the whole cluster, and you must be allowed to list its pods and nodes. Shown are the jobs of one
    namespace, or of all with -A.
    """
    _check_output(output)

    async def work() -> None:
        async with open_session(context, kubeconfig, namespace) as session:
            rehearsal = await rehearse(session)
            await show_plan(session, rehearsal, output, all_namespaces=all_namespaces)

    run(work())


@app.command("top", epilog=exits.EPILOG)
def top(
    queue: QueueName,
    output: options.OutputOption = options.Output.table,
    limit: Limit = FIRST,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Show what waits in a queue, in the order it is to start: share, what it asks, why it waits, and a forecast.

    Jobs of all namespaces are in the line. A forecast is there where the ends of what runs are known by timeouts.
    """
    _check_output(output)

    async def work() -> None:
        async with open_session(context, kubeconfig, namespace) as session:
            show_queue(await rehearse(session), queue, limit, output)

    run(work())


def _check_output(output: options.Output) -> None:
    """A plan has no objects of its own. Raises typer.BadParameter."""
    if output is options.Output.name:
        raise typer.BadParameter("is table, json or yaml here", param_hint="--output")


async def rehearse(session: Session) -> Rehearsal:
    """The next pass; remarks on stderr about objects that could not be understood."""
    from batchwright.controllers.rehearsal import rehearse as of_cluster
    from batchwright.settings import Settings

    rehearsal = await of_cluster(session.api, Settings().start_grace_seconds)
    for text in rehearsal.unread:
        note(f"not understood, and left out: {text}")
    return rehearsal


async def show_plan(session: Session, rehearsal: Rehearsal, output: options.Output, *, all_namespaces: bool) -> None:
    """Prints the plan."""
    from batchwright.cli.plan_text import plan_page, plan_record

    record = plan_record(rehearsal, None if all_namespaces else session.namespace)
    if not is_table(output):
        print_value(record, output)
        return
    print(plan_page(record, namespaces=all_namespaces))
    elsewhere = len(rehearsal.plan.starts) - len(record["starts"])
    if elsewhere:
        note(f"{elsewhere} more start in other namespaces (-A)")


def show_queue(rehearsal: Rehearsal, queue: str, limit: int, output: options.Output) -> None:
    """Prints the line of the queue. Raises NotFound."""
    from batchwright.cli.plan_text import queue_grid, queue_records

    if queue not in rehearsal.state.queues:
        raise NotFound(f'job queue "{queue}" not found (see `batchwright queues`)', 404, "NotFound")
    records, length = queue_records(rehearsal, queue, limit)
    if not is_table(output):
        print_value({"queue": queue, "length": length, "waiting": records}, output)
    elif records:
        print_grid(queue_grid(records, rehearsal.at))
    else:
        note(f"nothing waits in job queue {queue}")
    if length > len(records):
        note(f"{length - len(records)} more wait (--limit)")
