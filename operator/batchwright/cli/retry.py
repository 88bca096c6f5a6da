"""`retry`: what failed runs again, as a new job."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from batchwright.cli import manifests, options
from batchwright.cli.arrays import check_elements, is_array, short_runs
from batchwright.cli.formats import FINISHED, state_of
from batchwright.cli.jobs import find_job
from batchwright.cli.output import is_table, note, print_objects, qualified
from batchwright.cli.references import parse_reference, read_indexes
from batchwright.cli.retrying import build_retry, chosen_elements, retry_name
from batchwright.cli.session import Session, open_session, run
from batchwright.cli.tracking import Goal
from batchwright.cli.waiting import conclude, wait_for
from batchwright.cluster.resources import BATCH_JOBS
from batchwright.domain.indexes import Runs, count
from batchwright.errors import BatchwrightError, NotFound

JSON = dict[str, Any]


def retry(
    job: options.JobOrElements,
    failed: Annotated[bool, typer.Option("--failed", help="The elements that failed: the default.")] = False,
    elements: Annotated[
        str | None,
        typer.Option(
            "--elements", metavar="INDEXES", help="These elements, such as 3,7-9; with --failed those of them that did."
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NEW", help="The new job's name; default: JOB-retry-N.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait for the end: exit code 1 if it FAILED.")] = False,
    wait_timeout: Annotated[
        float | None, typer.Option(min=0, metavar="SECONDS", help="With --wait: give up after so long (code 124).")
    ] = None,
    output: options.OutputOption = options.Output.table,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Run what failed again, as a new job: the failed elements of an array, or a job that FAILED.

    `retry sim`, `retry sim --elements 3,7-9 --wait`, `retry sim:17`. Elements keep their indexes, parameters and the
    array's size. The new job waits for no others. Where nothing failed nothing is made, and the code is 0.
    """
    reference = parse_reference(job)
    if elements is not None and reference.runs is not None:
        raise typer.BadParameter(f"{job!r} names elements already: give one of both", param_hint="--elements")
    if wait_timeout is not None and not wait:
        raise typer.BadParameter("only with --wait", param_hint="--wait-timeout")
    asked = reference.runs if elements is None else _elements(elements)

    async def work() -> None:
        async with open_session(context, kubeconfig, namespace) as session:
            found = await find_job(session, reference.job)
            made = await retry_job(session, found, asked, failed=failed, name=name)
            if made is None:
                return
            if is_table(output):
                print(told(made), flush=True)
            if wait:
                tracker = await wait_for(
                    session, [made], Goal.finished, seconds=wait_timeout, on_stderr=not is_table(output)
                )
                made = next(iter(tracker.jobs.values()))
            if not is_table(output):
                print_objects([(BATCH_JOBS, made)], output, single=True)
            if wait:
                conclude(tracker, Goal.finished)

    run(work())


def _elements(text: str) -> Runs:
    try:
        return read_indexes(text, text)
    except typer.BadParameter as error:
        raise typer.BadParameter(error.message, param_hint="--elements") from error


async def retry_job(session: Session, job: JSON, asked: Runs | None, *, failed: bool, name: str | None) -> JSON | None:
    """Makes the new job; None, with a note, when nothing failed. Raises ApiError, BatchwrightError."""
    chosen = choose(job, asked, failed=failed)
    if chosen == ():
        note(f"nothing of {job['metadata']['name']} failed{'' if asked is None else ' among these'}: nothing to retry")
        return None
    namespace = job["metadata"]["namespace"]
    body = build_retry(job, name or await free_name(session, job), chosen)
    return (await manifests.create_job(session, namespace, body, dry_run=False)).body


def choose(job: JSON, asked: Runs | None, *, failed: bool) -> Runs | None:
    """The elements to run, () for nothing; None: all of a job that is no array. Raises NotFound, BatchwrightError."""
    if asked is not None:
        check_elements(job, asked)
    if is_array(job):
        return chosen_elements(job, asked, failed=failed)
    name, state = job["metadata"]["name"], state_of(job)
    if state not in FINISHED:
        raise BatchwrightError(f"{name} is {state}: `batchwright wait {name}` first, or end it with `terminate`")
    return None if state == "FAILED" else ()


async def free_name(session: Session, job: JSON) -> str:
    """The first name of the row of retries that no job has."""
    number = 1
    while True:
        name = retry_name(job["metadata"]["name"], number)
        try:
            await session.api.get(BATCH_JOBS, job["metadata"]["namespace"], name)
        except NotFound:
            return name
        number += 1


def told(made: JSON) -> str:
    """What to say of the new job."""
    shown = qualified(BATCH_JOBS, made["metadata"]["name"])
    indexes = (made["spec"].get("arrayProperties") or {}).get("indexes")
    if not indexes:
        return f"{shown} created"
    runs = read_indexes(indexes, indexes)
    return f"{shown} created: runs {short_runs(runs)} ({count(runs)} element{'' if count(runs) == 1 else 's'})"
