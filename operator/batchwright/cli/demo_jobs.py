"""The jobs of the demo's acts: submitted as `submit -f --wait` does, and the last words of what failed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from batchwright import names
from batchwright.cli import exits
from batchwright.cli.attempts import find_pod, has_log, main_container
from batchwright.cli.formats import reason_of, state_of
from batchwright.cli.logstream import read_lines
from batchwright.cli.manifests import KINDS, Document, generate_name, write
from batchwright.cli.output import note
from batchwright.cli.session import Session
from batchwright.cli.tracking import Tracker
from batchwright.cluster.resources import PODS
from batchwright.errors import BatchwrightError

if TYPE_CHECKING:
    from batchwright.local.cluster import Cluster

JSON = dict[str, Any]

NAMESPACE: Final = "default"
TAIL_LINES: Final = 20


def new_run() -> str:
    """A name that no run before had; the jobs' names begin with it."""
    return generate_name("run-")


def write_manifests(made: Cluster, run: str, objects: Sequence[JSON]) -> Path:
    """Write the run's objects to a file beside the cluster, for reading and for `batchwright submit -f`."""
    import yaml

    file = made.directory / "demo" / f"{run}.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(yaml.safe_dump_all(objects, sort_keys=False), encoding="utf-8")
    return file


async def write_object(session: Session, body: JSON) -> JSON:
    """Create a BatchJob, apply anything else; return it. Raises ApiError."""
    document = Document(f"the demo's {body['kind']}", KINDS[body["kind"]], body)
    return (await write(session, document, dry_run=False)).body


async def show_failures(session: Session, tracker: Tracker) -> None:
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
