"""`describe`: all about jobs, and why they wait."""

from __future__ import annotations

from batchwright.cli import exits, options
from batchwright.cli.description import describe as text_of
from batchwright.cli.facts import gather_facts
from batchwright.cli.formats import now
from batchwright.cli.jobs import find_jobs
from batchwright.cli.output import is_table, print_objects
from batchwright.cli.session import open_session, run
from batchwright.cluster.resources import BATCH_JOBS


def describe(
    jobs: options.Jobs,
    output: options.OutputOption = options.Output.table,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Show all about jobs: state and reason, place in the queue, dependencies, attempts, events."""

    async def work() -> None:
        async with open_session(context, kubeconfig, namespace) as session:
            if not is_table(output):
                found = await find_jobs(session, jobs)
                print_objects([(BATCH_JOBS, job) for job in found], output, single=True)
                return
            first = True

            async def one(reference: str) -> None:
                nonlocal first
                facts = await gather_facts(session, reference)
                print(("" if first else "\n") + text_of(facts, now()), flush=True)
                first = False

            await exits.for_each(jobs, one)

    run(work())
