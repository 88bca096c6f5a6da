"""`cancel`, `terminate` and `delete`: three ways to end jobs."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from batchwright.cli import exits, options
from batchwright.cli.element_ending import Verb, end_elements
from batchwright.cli.formats import FINISHED, STARTED, state_of
from batchwright.cli.jobs import find_elements, find_job
from batchwright.cli.output import note, qualified
from batchwright.cli.session import Session, open_session, run
from batchwright.cluster.resources import BATCH_JOBS
from batchwright.errors import BatchwrightError

JSON = dict[str, Any]


def cancel(
    jobs: options.JobsOrElements,
    reason: options.EndReason = "Cancelled by user",
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """End jobs that have not started, or elements of an array (`cancel sim:17`). What has started goes on."""
    _end("cancel", jobs, reason, namespace, context, kubeconfig)


def terminate(
    jobs: options.JobsOrElements,
    reason: options.EndReason = "Terminated by user",
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """End jobs, or elements of an array (`terminate sim:3,7-9`), whatever their state."""
    _end("terminate", jobs, reason, namespace, context, kubeconfig)


def _end(
    verb: Verb, jobs: list[str], reason: str, namespace: str | None, context: str | None, kubeconfig: str | None
) -> None:
    if not 1 <= len(reason) <= 1024:
        raise typer.BadParameter(f"1 to 1024 characters, not {len(reason)}", param_hint="--reason")

    async def work() -> None:
        async with open_session(context, kubeconfig, namespace) as session:

            async def one(reference: str) -> None:
                print(await end_job(session, reference, verb, reason), flush=True)

            await exits.for_each(jobs, one)

    run(work())


async def end_job(session: Session, reference: str, verb: Verb, reason: str) -> str:
    """Asks for the job's end; returns what to say. A finished job is no error, as in AWS. Raises NotFound, ApiError."""
    job, wanted = await find_elements(session, reference)
    if wanted.runs is not None:
        return await end_elements(session, job, wanted.runs, verb, reason)
    answer = refusal(job, verb)
    if answer is None:
        name, namespace = job["metadata"]["name"], job["metadata"]["namespace"]
        # The uid makes sure it is the job that was seen, and not a later one of its name.
        body = {"metadata": {"uid": job["metadata"]["uid"]}, "spec": {verb: {"reason": reason}}}
        job = await session.api.patch(BATCH_JOBS, namespace, name, body)
    return answer or outcome(job, verb)


def refusal(job: JSON, verb: Verb) -> str | None:
    """Why nothing is asked of this job; None when it is to be asked."""
    name, state = qualified(BATCH_JOBS, job["metadata"]["name"]), state_of(job)
    if state in FINISHED:
        return f"{name} has already {state}: nothing to {verb}"
    if job["spec"].get(verb):
        return f"{name} was already asked to {verb}: {job['spec'][verb]['reason']}"
    return None


def outcome(job: JSON, verb: Verb) -> str:
    """What the request does to a job in its state."""
    name, state = job["metadata"]["name"], state_of(job)
    shown = qualified(BATCH_JOBS, name)
    if verb == "terminate":
        return f"{shown} is being terminated"
    if state in STARTED:
        return (
            f"{shown} is {state} and goes on: cancel ends only jobs that have not started; "
            f"`batchwright terminate {name}` ends it"
        )
    return f"{shown} is being cancelled"


def delete(
    jobs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="JOB",
            help="Jobs, by name or jobId.",
            autocompletion=options.completion.jobs,
            callback=options.references.whole_jobs_only,
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every job of the namespace.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Delete jobs with their pods, logs and history. One that has not finished is ended by it."""
    if bool(jobs) == every:
        raise typer.BadParameter("give jobs by name or jobId, or --all, and not both", param_hint="JOB")

    async def work() -> None:
        async with open_session(context, kubeconfig, namespace) as session:
            if every:
                found = await session.api.list_all(BATCH_JOBS, session.namespace)
                if not found:
                    note(f"no jobs in namespace {session.namespace}")
                found = found if _agreed(found, session, every=True, yes=yes) else []
                await exits.for_each(found, lambda job: _delete(session, job))
                return

            async def one(reference: str) -> None:
                job = await find_job(session, reference)
                if _agreed([job], session, every=False, yes=yes):
                    await _delete(session, job)

            await exits.for_each(jobs or [], one)

    run(work())


async def _delete(session: Session, job: JSON) -> None:
    metadata = job["metadata"]
    await session.api.delete(BATCH_JOBS, metadata["namespace"], metadata["name"], uid=metadata["uid"])
    print(f"{qualified(BATCH_JOBS, metadata['name'])} deleted", flush=True)


def _agreed(jobs: list[JSON], session: Session, *, every: bool, yes: bool) -> bool:
    """Asks on a terminal before work is lost; elsewhere warns. Raises BatchwrightError when --all has nobody to ask."""
    unfinished = [job["metadata"]["name"] for job in jobs if state_of(job) not in FINISHED]
    if yes or not jobs or not (unfinished or every):
        return True
    what = f"{unfinished[0]} is {state_of(jobs[0])}" if not every else f"{len(unfinished)} of them have not finished"
    if sys.stdin.isatty():
        question = f"Delete all {len(jobs)} jobs of {session.namespace} ({what})?" if every else f"{what}. Delete it?"
        return typer.confirm(question, err=True)
    if every:
        raise BatchwrightError(f"delete --all of {len(jobs)} jobs in namespace {session.namespace}: say --yes")
    note(f"warning: {what}; deleting it ends it")
    return True
