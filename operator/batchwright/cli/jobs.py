"""Finding jobs by what a person types: a name, a jobId, or `batchjob.batchwright.io/name` as `-o name` prints it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

from batchwright import names
from batchwright.cli.session import JSON, Session
from batchwright.cluster.resources import BATCH_JOBS
from batchwright.errors import NotFound

_UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PREFIXES = (f"batchjob.{names.GROUP}/", f"batchjobs.{names.GROUP}/", "batchjob/", "batchjobs/", "bj/")


def is_job_id(text: str) -> bool:
    """Whether text has the form of a jobId (a uid)."""
    return _UID.fullmatch(text) is not None


def plain_name(reference: str) -> str:
    """The reference without a leading kind."""
    for prefix in _PREFIXES:
        if reference.startswith(prefix):
            return reference.removeprefix(prefix)
    return reference


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
