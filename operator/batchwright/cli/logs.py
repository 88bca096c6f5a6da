"""`logs`: what a job's attempt wrote, or writes."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer

from batchwright import names
from batchwright.cli import options
from batchwright.cli.attempts import attempt_of, containers, find_pod, has_log, has_started, is_over, main_container
from batchwright.cli.changes import Change, Listed, follow, merge
from batchwright.cli.formats import FINISHED, STARTED, state_of
from batchwright.cli.jobs import find_job
from batchwright.cli.logstream import read_lines
from batchwright.cli.output import note
from batchwright.cli.session import Session, open_session, run
from batchwright.cluster.resources import BATCH_JOBS, PODS
from batchwright.errors import ApiUnavailable, BatchwrightError, NotFound

JSON = dict[str, Any]


@dataclass(frozen=True)
class Wanted:
    """Which log, and how."""

    attempt: int | None
    container: str | None
    tail: int | None
    timestamps: bool


def logs(
    job: options.Job,
    follow_: Annotated[bool, typer.Option("--follow", "-f", help="Go on to the job's end, over its retries.")] = False,
    attempt: Annotated[int | None, typer.Option(min=1, help="This attempt; default: the last.")] = None,
    container: Annotated[str | None, typer.Option("--container", "-c", help="Default: the main container.")] = None,
    tail: Annotated[int | None, typer.Option(min=0, metavar="LINES", help="Only the last lines.")] = None,
    timestamps: Annotated[bool, typer.Option("--timestamps", help="Begin each line with its time.")] = False,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Print a job's log. With -f, wait for the job to start and follow it to its end."""
    wanted = Wanted(attempt, container, tail, timestamps)

    async def work() -> None:
        async with open_session(context, kubeconfig, namespace) as session:
            found = await find_job(session, job)
            await (_follow(session, found, wanted) if follow_ else _once(session, found, wanted))

    run(work())


async def _once(session: Session, job: JSON, wanted: Wanted) -> None:
    pod = find_pod(job, await _pods(session, job), wanted.attempt)
    if pod is None:
        raise no_log(job, wanted.attempt)
    container = _container(pod, wanted)
    if is_over(pod, container) and not has_log(pod, container):
        raise _absent(never_ran(pod, container))
    if not has_log(pod, container):
        raise BatchwrightError(
            f"job {job['metadata']['name']} is {state_of(job)}: container {container} of pod {pod['metadata']['name']} "
            "has not started; follow it with -f, or see `batchwright describe` for what it waits for"
        )
    await _print(session, pod, container, wanted, follow_it=False)


async def _follow(session: Session, job: JSON, wanted: Wanted) -> None:
    """Attempt after attempt until the job has ended; with --attempt, only that one."""
    metadata = job["metadata"]
    namespace, name = metadata["namespace"], metadata["name"]
    view = View(job)
    sources = merge(
        follow(session, BATCH_JOBS, namespace, fields=f"metadata.name={name}"),
        follow(session, PODS, namespace, labels=f"{names.LABEL_JOB_ID}={metadata['uid']}"),
    )
    shown: set[str] = set()
    if state_of(job) not in FINISHED | STARTED:
        note(f"waiting: job {name} is {state_of(job)}")
    async with aclosing(sources) as changes:
        async for change in changes:
            view.take(change)
            ended = view.complete and (view.deleted or state_of(view.job) in FINISHED)
            if ended:
                # The watch of the pods may be behind that of the job.
                view.take(Listed(PODS, namespace, await _pods(session, job)))
            await _show_started(session, view, wanted, shown)
            if ended or (wanted.attempt is not None and shown):
                break
    if not shown:
        raise no_log(view.job, wanted.attempt)


async def _show_started(session: Session, view: View, wanted: Wanted, shown: set[str]) -> None:
    while (pod := view.next_pod(wanted, shown)) is not None:
        shown.add(pod["metadata"]["uid"])
        if len(shown) > 1:
            note(f"--- attempt {attempt_of(pod)} ---")
        container = _container(pod, wanted)
        if has_log(pod, container):
            await _print(session, pod, container, wanted, follow_it=not is_over(pod, container))
        else:
            note(never_ran(pod, container))


async def _pods(session: Session, job: JSON) -> list[JSON]:
    metadata = job["metadata"]
    return await session.api.list_all(PODS, metadata["namespace"], labels=f"{names.LABEL_JOB_ID}={metadata['uid']}")


@dataclass
class View:
    """The job and its pods as last seen."""

    job: JSON
    pods: dict[str, JSON] = field(default_factory=dict)
    deleted: bool = False
    pods_listed: bool = False
    job_listed: bool = False

    @property
    def complete(self) -> bool:
        """Whether both have been seen at least once."""
        return self.pods_listed and self.job_listed

    def take(self, change: Change) -> None:
        """Takes a change in."""
        items = change.items if isinstance(change, Listed) else [change.item]
        gone = not isinstance(change, Listed) and change.deleted
        if change.resource is BATCH_JOBS:
            self.job_listed = True
            same = [item for item in items if item["metadata"]["uid"] == self.job["metadata"]["uid"]]
            self.job = same[0] if same else self.job
            self.deleted = self.deleted or (isinstance(change, Listed) and not same) or (bool(same) and gone)
            return
        self.pods_listed = True
        if isinstance(change, Listed):
            self.pods = {}
        for pod in items:
            self.pods[pod["metadata"]["uid"]] = pod
            if gone:
                del self.pods[pod["metadata"]["uid"]]

    def next_pod(self, wanted: Wanted, shown: set[str]) -> JSON | None:
        """The pod to show next: the last attempt's at first, then the one after it, once its container has started."""
        if not self.complete or (wanted.attempt is not None and shown):
            return None
        if not shown:
            pod = find_pod(self.job, list(self.pods.values()), wanted.attempt)
        else:
            newest = max((attempt_of(pod) for uid, pod in self.pods.items() if uid in shown), default=0)
            later = [p for uid, p in self.pods.items() if uid not in shown and attempt_of(p) > newest]
            pod = min(later, key=attempt_of, default=None)
        return pod if pod is not None and has_started(pod, _container(pod, wanted)) else None


def no_log(job: JSON, attempt: int | None) -> BatchwrightError:
    """Why there is no log to show."""
    name, state = job["metadata"]["name"], state_of(job)
    made = len((job.get("status") or {}).get("attempts") or []) + (1 if state in STARTED else 0)
    if attempt is not None and attempt > made:
        return _absent(f"job {name} has had {made} attempts (it is {state}): there is no attempt {attempt}")
    if state in FINISHED and not made:
        return _absent(f"job {name} {state} without ever starting: it has no log (see `batchwright describe {name}`)")
    if state in FINISHED or attempt is not None:
        return _absent(
            f"the pod of job {name} is gone, and its log with it: a queue keeps pods for spec.retention.podSeconds "
            "after the job's end (default 3600); for longer, collect logs in the cluster"
        )
    return BatchwrightError(f"job {name} is {state}: it has no log yet; follow it with -f")


def never_ran(pod: JSON, container: str) -> str:
    """What to say of an attempt that ended before its container ran (an image that cannot be pulled, a lost node)."""
    return f"attempt {attempt_of(pod)} has no log: container {container} of pod {pod['metadata']['name']} never ran"


def _absent(text: str) -> NotFound:
    return NotFound(text, 404, "NotFound")


def _container(pod: JSON, wanted: Wanted) -> str:
    if wanted.container is None:
        return main_container(pod)
    if wanted.container not in containers(pod):
        raise BatchwrightError(f"--container {wanted.container}: the pod has {', '.join(containers(pod))}")
    return wanted.container


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
