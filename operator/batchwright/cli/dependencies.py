"""Refusing jobs that would close a dependency cycle: gathers what exists, and asks `cycles`.

Only what the new jobs lead to is read, and a finished job is a leaf: it waits for nothing any more. Two submissions at
the same instant can still close a cycle together; the operator's statusReason says so then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from batchwright.cli.cycles import find_cycle, say_cycle
from batchwright.cli.formats import FINISHED, state_of
from batchwright.cli.session import JSON, Session
from batchwright.cluster.resources import BATCH_JOBS
from batchwright.errors import BatchwrightError, NotFound


async def refuse_cycles(session: Session, namespace: str, jobs: Sequence[JSON]) -> None:
    """Raises BatchwrightError when one of `jobs` (not yet created) would wait for itself, naming the cycle."""
    named = {job["metadata"]["name"]: job for job in jobs if job["metadata"].get("name")}
    # Nothing that exists can name a job whose name is still to be generated.
    graph = await _gather(session, namespace, named)
    cycle = find_cycle(graph, named)
    if cycle is not None:
        raise BatchwrightError(
            f"dependsOn would close a cycle, and none of its jobs could ever run: {say_cycle(cycle)} "
            "(each waits for the next); leave one dependency out"
        )


async def _gather(session: Session, namespace: str, new: dict[str, JSON]) -> dict[str, list[str]]:
    known = dict(new)
    graph: dict[str, list[str]] = {}
    names_of: dict[str, str] | None = None
    todo = list(new)
    while todo:
        for name in todo:
            depends_on = known[name]["spec"].get("dependsOn") or []
            if names_of is None and any("jobId" in entry for entry in depends_on):
                names_of = await _names_by_id(session, namespace)
            resolved = [entry.get("name") or (names_of or {}).get(entry.get("jobId", "")) for entry in depends_on]
            graph[name] = [entry for entry in resolved if entry]
        wanted = {name for done in todo for name in graph[done]} - known.keys()
        found = await asyncio.gather(*(_waiting_job(session, namespace, name) for name in sorted(wanted)))
        fresh = {job["metadata"]["name"]: job for job in found if job is not None}
        known |= fresh
        todo = list(fresh)
    return graph


async def _waiting_job(session: Session, namespace: str, name: str) -> JSON | None:
    try:
        job = await session.api.get(BATCH_JOBS, namespace, name)
    except NotFound:
        return None  # dependsOn may name a job that does not exist yet
    return None if state_of(job) in FINISHED else job


async def _names_by_id(session: Session, namespace: str) -> dict[str, str]:
    jobs = await session.api.list_all(BATCH_JOBS, namespace)
    return {job["metadata"]["uid"]: job["metadata"]["name"] for job in jobs}
