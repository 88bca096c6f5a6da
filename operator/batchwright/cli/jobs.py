"""Finding jobs by what a person types: a name, a jobId, or `batchjob.batchwright.io/name` as `-o name` prints it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from batchwright.cli.arrays import check_elements
from batchwright.cli.references import Reference, is_job_id, parse_reference, plain_name
from batchwright.cli.session import JSON, Session
from batchwright.cluster.resources import BATCH_JOBS
from batchwright.errors import NotFound


async def find_job(session: Session, reference: str) -> JSON:
    """The job of that name or jobId in the session's namespace. Raises NotFound."""
    wanted = plain_name(reference)
    try:
        return await session.api.get(BATCH_JOBS, session.namespace, wanted)
    except NotFound as error:
        if error.reason != "NotFound":
            raise
    if is_job_id(wanted):
        async for page in session.api.pages(BATCH_JOBS, session.namespace):
            for job in page["items"]:
                if job["metadata"]["uid"] == wanted:
                    return dict(job)
    raise NotFound(
        f'job "{wanted}" not found in namespace "{session.namespace}" (other namespaces: -n NAMESPACE)', 404, "NotFound"
    )


async def find_jobs(session: Session, references: Sequence[str]) -> list[JSON]:
    """The jobs, each once, in the order given. Raises NotFound for the first that is missing."""
    found = await asyncio.gather(*(find_job(session, reference) for reference in references))
    return list({job["metadata"]["uid"]: job for job in found}.values())


async def find_elements(session: Session, reference: str) -> tuple[JSON, Reference]:
    """The job of a reference that may name elements of it, all of which it has; nodes are the caller's to check. Raises
    NotFound."""
    wanted = parse_reference(reference)
    job = await find_job(session, wanted.job)
    if wanted.runs is not None:
        check_elements(job, wanted.runs)
    return job, wanted
