"""`wait`: until jobs have finished, or reached a state."""

from __future__ import annotations

from typing import Annotated

import typer

from batchwright.cli import options
from batchwright.cli.jobs import find_jobs
from batchwright.cli.output import is_table, print_objects
from batchwright.cli.session import open_session, run
from batchwright.cli.tracking import Goal
from batchwright.cli.waiting import conclude, wait_for
from batchwright.cluster.resources import BATCH_JOBS


def wait(
    jobs: options.Jobs,
    goal: Annotated[
        Goal, typer.Option("--for", case_sensitive=False, help="The state to wait for; finished is either end.")
    ] = Goal.finished,
    timeout: Annotated[
        float | None, typer.Option(min=0, metavar="SECONDS", help="Give up after so many seconds (exit code 124).")
    ] = None,
    output: options.OutputOption = options.Output.table,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Wait for jobs. Exit code 0 when all SUCCEEDED (or reached --for), 1 when one ended otherwise."""

    async def work() -> None:
        async with open_session(context, kubeconfig, namespace) as session:
            found = await find_jobs(session, jobs)
            tracker = await wait_for(session, found, goal, seconds=timeout, on_stderr=not is_table(output))
            if not is_table(output):
                print_objects([(BATCH_JOBS, job) for job in tracker.jobs.values()], output, single=True)
            conclude(tracker, goal)

    run(work())
