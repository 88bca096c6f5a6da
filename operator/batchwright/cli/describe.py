"""`describe`: all about jobs, or elements of an array, and why they wait."""

from __future__ import annotations

from typing import Any

from batchwright.cli import exits, options
from batchwright.cli.description import describe as text_of
from batchwright.cli.element_pods import pods_of
from batchwright.cli.element_text import element_page
from batchwright.cli.elements import Element, build_element, record
from batchwright.cli.facts import gather_facts
from batchwright.cli.formats import now
from batchwright.cli.jobs import find_elements
from batchwright.cli.nodes import check_node, node_page, node_record, read_node
from batchwright.cli.output import complete, gathered, is_table, print_value, qualified
from batchwright.cli.session import Session, open_session, run
from batchwright.cli.standings import Standings
from batchwright.cluster.resources import BATCH_JOBS
from batchwright.domain.indexes import Runs, count, expand
from batchwright.errors import BatchwrightError

JSON = dict[str, Any]
MOST_ELEMENTS = 100


def describe(
    jobs: options.JobsOrParts,
    output: options.OutputOption = options.Output.table,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Show all about jobs: state and reason, place in the queue, dependencies, attempts, events.

    Of an array: counts, ranges and first failures. Of an element (`describe sim:17`): parameters and attempts. A node
    of a multi-node job is `describe train#2`.
    """

    async def work() -> None:
        async with open_session(context, kubeconfig, namespace) as session:
            if is_table(output):
                await _pages(session, jobs)
            else:
                await _objects(session, jobs, output)

    run(work())


async def _pages(session: Session, references: list[str]) -> None:
    first = True
    standings = Standings(session)

    async def one(reference: str) -> None:
        nonlocal first
        job, wanted = await find_elements(session, reference)
        if wanted.node is not None:
            check_node(job, wanted.node)
            pages = [node_page(await read_node(session, job, wanted.node))]
        elif wanted.runs is None:
            pages = [text_of(await standings.add(await gather_facts(session, job)), now())]
        else:
            pages = [element_page(element, now()) for element in await read_elements(session, job, wanted.runs)]
        for page in pages:
            print(("" if first else "\n") + page, flush=True)
            first = False

    await exits.for_each(references, one)


async def _objects(session: Session, references: list[str], output: options.Output) -> None:
    """Each job and each element once, in the order given; nothing when one is missing."""
    found: dict[str, tuple[str, JSON]] = {}
    for reference in references:
        job, wanted = await find_elements(session, reference)
        if wanted.node is not None:
            check_node(job, wanted.node)
            node = await read_node(session, job, wanted.node)
            found[node.job_id] = node.name, node_record(node)
            continue
        if wanted.runs is None:
            shown = qualified(BATCH_JOBS, job["metadata"]["name"])
            found[job["metadata"]["uid"]] = shown, complete(BATCH_JOBS, job)
            continue
        for element in await read_elements(session, job, wanted.runs):
            made = record(element)
            found[made["jobId"]] = element.name, made
    if output is options.Output.name:
        print("\n".join(name for name, _ in found.values()))
    else:
        print_value(gathered([value for _, value in found.values()], single=True), output)


async def read_elements(session: Session, job: JSON, runs: Runs) -> list[Element]:
    """The elements with their pods. Raises BatchwrightError for more than can be read."""
    if count(runs) > MOST_ELEMENTS:
        name = job["metadata"]["name"]
        raise BatchwrightError(
            f"{count(runs)} elements of {name}: describe takes {MOST_ELEMENTS} at a time; "
            f"`batchwright list --array {name}` has all"
        )
    indexes = list(expand(runs))
    pods = await pods_of(session, job, indexes)
    return [build_element(job, index, pods[index]) for index in indexes]
