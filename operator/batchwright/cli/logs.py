"""`logs`: what an attempt of a job, or of an element of an array, wrote or writes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from typing import Annotated, Any

import typer

from batchwright.cli import options
from batchwright.cli.arrays import first_failed, is_array, unfinished
from batchwright.cli.attempts import attempt_of, find_pod, has_log, is_over
from batchwright.cli.changes import Listed, follow, merge
from batchwright.cli.formats import FINISHED, STARTED
from batchwright.cli.jobs import find_elements
from batchwright.cli.logstream import read_lines
from batchwright.cli.logview import Subject, View, Wanted, container_of
from batchwright.cli.nodes import check_node
from batchwright.cli.output import note
from batchwright.cli.session import Session, open_session, run
from batchwright.cluster.resources import BATCH_JOBS, PODS
from batchwright.errors import ApiUnavailable, BatchwrightError, NotFound

JSON = dict[str, Any]


def logs(
    job: options.JobOrElement,
    follow_: Annotated[bool, typer.Option("--follow", "-f", help="Go on to the end, over the retries.")] = False,
    attempt: Annotated[int | None, typer.Option(min=1, help="This attempt; default: the last.")] = None,
    container: Annotated[str | None, typer.Option("--container", "-c", help="Default: the main container.")] = None,
    tail: Annotated[int | None, typer.Option(min=0, metavar="LINES", help="Only the last lines.")] = None,
    timestamps: Annotated[bool, typer.Option("--timestamps", help="Begin each line with its time.")] = False,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Print the log of a job, of an element of an array (`logs sim:17`), or of a node of a multi-node job (`logs
    train#2`; of the job itself it is the main node's). With -f, wait for it to start and follow it to its end."""
    wanted = Wanted(attempt, container, tail, timestamps)

    async def work() -> None:
        async with open_session(context, kubeconfig, namespace) as session:
            found, reference = await find_elements(session, job)
            if reference.node is not None:
                check_node(found, reference.node)
            subject = Subject(found, reference.index, reference.node)
            if is_array(found) and reference.index is None:
                raise which_element(found)
            await (_follow(session, subject, wanted) if follow_ else _once(session, subject, wanted))

    run(work())


async def _once(session: Session, subject: Subject, wanted: Wanted) -> None:
    pods = await _pods(session, subject)
    pod = find_pod(subject.recorded, pods, wanted.attempt)
    if pod is None:
        raise no_log(subject, pods, wanted.attempt)
    container = container_of(pod, wanted)
    if is_over(pod, container) and not has_log(pod, container):
        raise _absent(never_ran(pod, container))
    if not has_log(pod, container):
        raise BatchwrightError(
            f"{subject.what} is {subject.state(pods)}: container {container} of pod {pod['metadata']['name']} "
            "has not started; follow it with -f, or see `batchwright describe` for what it waits for"
        )
    await _print(session, pod, container, wanted, follow_it=False)


async def _follow(session: Session, subject: Subject, wanted: Wanted) -> None:
    """Attempt after attempt until all has ended; with --attempt, only that one."""
    metadata = subject.job["metadata"]
    namespace, name = metadata["namespace"], metadata["name"]
    view = View(subject)
    sources = merge(
        follow(session, BATCH_JOBS, namespace, fields=f"metadata.name={name}"),
        follow(session, PODS, namespace, labels=subject.labels),
    )
    shown: set[str] = set()
    state = subject.state(())
    if state not in FINISHED | STARTED:
        note(f"waiting: {subject.what} is {state}" if subject.index is None else f"waiting for {subject.what}")
    async with aclosing(sources) as changes:
        async for change in changes:
            view.take(change)
            ended = view.complete and (view.deleted or view.has_ended)
            if ended:
                # The watch of the pods may be behind that of the job.
                view.take(Listed(PODS, namespace, await _pods(session, subject)))
            await _show_started(session, view, wanted, shown)
            if ended or (wanted.attempt is not None and shown):
                break
    if not shown:
        raise no_log(view.subject, list(view.pods.values()), wanted.attempt)


async def _show_started(session: Session, view: View, wanted: Wanted, shown: set[str]) -> None:
    while (pod := view.next_pod(wanted, shown)) is not None:
        shown.add(pod["metadata"]["uid"])
        if len(shown) > 1:
            note(f"--- attempt {attempt_of(pod)} ---")
        container = container_of(pod, wanted)
        if has_log(pod, container):
            await _print(session, pod, container, wanted, follow_it=not is_over(pod, container))
        else:
            note(never_ran(pod, container))


async def _pods(session: Session, subject: Subject) -> list[JSON]:
    return await session.api.list_all(PODS, subject.job["metadata"]["namespace"], labels=subject.labels)


def which_element(job: JSON) -> BatchwrightError:
    """What to say of an array, which has as many logs as elements."""
    name, failed = job["metadata"]["name"], first_failed(job)
    if failed is not None:
        return BatchwrightError(
            f"job {name} is an array: name an element, such as {name}:{failed}, which failed first "
            f"(`batchwright list --array {name} --status FAILED` has all that failed)"
        )
    left = unfinished(job)
    example = left[0][0] if left else 0
    return BatchwrightError(
        f"job {name} is an array: name an element, such as {name}:{example} (`batchwright list --array {name}` has all)"
    )


def no_log(subject: Subject, pods: Sequence[JSON], attempt: int | None) -> BatchwrightError:
    """Why there is no log to show."""
    what, state, made = subject.what, subject.state(pods), subject.attempts_made(pods)
    if attempt is not None and made is not None and attempt > made:
        return _absent(f"{what} has had {made} attempts (it is {state}): there is no attempt {attempt}")
    if state in FINISHED and made == 0:
        return _absent(
            f"{what} {state} without ever starting: it has no log (see `batchwright describe {subject.name}`)"
        )
    if state in FINISHED or attempt is not None:
        return _absent(
            f"the pod of {what} is gone, and its log with it: a queue keeps pods for spec.retention.podSeconds "
            "after the job's end (default 3600); for longer, collect logs in the cluster"
        )
    return BatchwrightError(f"{what} is {state}: it has no log yet; follow it with -f")


def never_ran(pod: JSON, container: str) -> str:
    """What to say of an attempt that ended before its container ran (an image that cannot be pulled, a lost node)."""
    return f"attempt {attempt_of(pod)} has no log: container {container} of pod {pod['metadata']['name']} never ran"


def _absent(text: str) -> NotFound:
    return NotFound(text, 404, "NotFound")


async def _print(session: Session, pod: JSON, container: str, wanted: Wanted, *, follow_it: bool) -> None:
    namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    lines = read_lines(
        session, namespace, name, container, follow=follow_it, tail=wanted.tail, timestamps=wanted.timestamps
    )
    try:
        async for line in lines:
            print(line, flush=follow_it)
    except NotFound as error:
        raise _absent(
            f"pod {name} has no log to read: it was deleted a moment ago, or its node keeps none (a simulated node)"
        ) from error
    except ApiUnavailable as error:
        raise ApiUnavailable(f"the log of pod {name} cannot be read: {error}", error.status, error.reason) from error
