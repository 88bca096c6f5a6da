"""The demo's jobs: submitted as `submit -f --wait` does, and the last words of what failed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from batchwright import names
from batchwright.cli import exits
from batchwright.cli.attempts import find_pod, has_log, main_container
from batchwright.cli.formats import reason_of, state_of
from batchwright.cli.logstream import read_lines
from batchwright.cli.manifests import KINDS, Document, generate_name, write
from batchwright.cli.output import note
from batchwright.cli.session import Session, open_session
from batchwright.cli.tracking import Goal, Tracker
from batchwright.cli.waiting import conclude, wait_for
from batchwright.cluster.resources import PODS, Resource
from batchwright.errors import BatchwrightError

if TYPE_CHECKING:
    from batchwright.local.cluster import Cluster

JSON = dict[str, Any]

NAMESPACE: Final = "default"
TAIL_LINES: Final = 20
_SECRETS: Final = Resource("", "v1", "secrets", "Secret")


def new_run() -> str:
    """A name that no run before had; the jobs' names begin with it."""
    return generate_name("run-")


def write_manifests(made: Cluster, run: str, workers: int) -> Path:
    """Write the run's objects to a file beside the cluster, for reading and for `batchwright submit -f`."""
    import yaml

    from batchwright.local.demo import manifests

    file = made.directory / "demo" / f"{run}.yaml"
    file.parent.mkdir(exist_ok=True)
    objects = [*manifests.render_declarations(_endpoint(made)), *manifests.render_jobs(run, workers)]
    file.write_text(yaml.safe_dump_all(objects, sort_keys=False), encoding="utf-8")
    return file


async def run_jobs(made: Cluster, run: str, workers: int, seconds: float) -> None:
    """Submit the jobs of the run and show them until their end.

    Raises Failed after printing the logs of what failed, WaitTimeout after `seconds`, ApiError.
    """
    from batchwright.local.demo import manifests

    async with open_session(None, str(made.kubeconfig), NAMESPACE) as session:
        await session.api.apply(_SECRETS, NAMESPACE, manifests.render_secret(_endpoint(made)))
        for body in manifests.render_declarations(_endpoint(made)):
            await _write(session, body)
        jobs = [await _write(session, body) for body in manifests.render_jobs(run, workers)]
        tracker = await wait_for(session, jobs, Goal.finished, seconds=seconds)
        await _show_failures(session, tracker)
        conclude(tracker, Goal.finished)


async def _write(session: Session, body: JSON) -> JSON:
    document = Document(f"the demo's {body['kind']}", KINDS[body["kind"]], body)
    return (await write(session, document, dry_run=False)).body


async def _show_failures(session: Session, tracker: Tracker) -> None:
    """The end of the log of each job that failed by itself; those that failed for its sake have none."""
    for job in tracker.jobs.values():
        if state_of(job) == "FAILED":
            note(f"\n{job['metadata']['name']} FAILED: {reason_of(job)}{_exit_code(job)}")
            try:
                await _show_log(session, job)
            except BatchwrightError as error:
                note(f"  (its log cannot be read: {exits.text_of(error)})")


def _exit_code(job: JSON) -> str:
    attempts = (job.get("status") or {}).get("attempts") or [{}]
    code = (attempts[-1].get("container") or {}).get("exitCode")
    return "" if code is None else f" (exit code {code}, attempt {len(attempts)})"


async def _show_log(session: Session, job: JSON) -> None:
    labels = f"{names.LABEL_JOB_ID}={job['metadata']['uid']}"
    pod = find_pod(job, await session.api.list_all(PODS, NAMESPACE, labels=labels), None)
    if pod is None or not has_log(pod, main_container(pod)):
        return
    name, container = pod["metadata"]["name"], main_container(pod)
    lines = read_lines(session, NAMESPACE, name, container, follow=False, tail=TAIL_LINES, timestamps=False)
    async for line in lines:
        note(f"  {line}")


def _endpoint(made: Cluster) -> str:
    if made.aws_endpoint is None:
        raise BatchwrightError(f"cluster {made.name} has no AWS endpoint: `batchwright local up --aws` adds one")
    return made.aws_endpoint
