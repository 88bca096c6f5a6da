"""What `describe` needs to know about one job, gathered from the API server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from batchwright import names
from batchwright.cli.arrays import is_array, summary_of
from batchwright.cli.element_pods import troubled_pods
from batchwright.cli.formats import by_arrival, state_of
from batchwright.cli.jobs import find_job
from batchwright.cli.session import Session
from batchwright.cluster.resources import BATCH_JOBS, EVENTS, JOB_DEFINITIONS, JOB_QUEUES, PODS, Resource
from batchwright.errors import Forbidden, NotFound

JSON = dict[str, Any]


@dataclass(frozen=True)
class Dependency:
    """One entry of dependsOn and the job it means now; `state` is None while there is none of that name.

    No `name`: SEQUENTIAL within the array itself.
    """

    name: str
    state: str | None
    type: str | None = None
    condition: str = "Succeeded"

    @property
    def is_open(self) -> bool:
        """Whether the whole job is still waited for, or its end has become another than was waited for."""
        if not self.name:
            return False
        met = {"Succeeded": ("SUCCEEDED",), "Failed": ("FAILED",), "Completed": ("SUCCEEDED", "FAILED")}
        return self.state not in met[self.condition]


@dataclass(frozen=True)
class Position:
    """A job's place among the RUNNABLE jobs of its queue, from 1."""

    place: int
    length: int


@dataclass(frozen=True)
class Facts:
    """A job and what stands around it. None: it does not exist, or may not be read. `standing` is lines about its place
    in the queue."""

    job: JSON
    queue: JSON | None = None
    definition: JSON | None = None
    dependencies: Sequence[Dependency] = ()
    position: Position | None = None
    pods: Sequence[JSON] = ()
    events: Sequence[JSON] = ()
    unreadable: Sequence[str] = field(default=())
    standing: Sequence[str] = ()


async def gather_facts(session: Session, job: JSON) -> Facts:
    """Everything about the job; what RBAC hides is listed as unreadable."""
    metadata, spec, status = job["metadata"], job["spec"], job.get("status") or {}
    namespace, uid = metadata["namespace"], metadata["uid"]
    hidden: list[str] = []
    definition = str(status.get("jobDefinition") or spec["jobDefinition"]).partition(":")[0]
    queue, jd, pods, events, position, dependencies = await asyncio.gather(
        _get(session, JOB_QUEUES, None, spec["jobQueue"], hidden),
        _get(session, JOB_DEFINITIONS, namespace, definition, hidden),
        _pods(session, job, hidden),
        _list(session, EVENTS, namespace, hidden, fields=f"involvedObject.uid={uid}"),
        _position(session, job, hidden),
        _dependencies(session, job),
    )
    return Facts(job, queue, jd, dependencies, position, pods, sorted(events, key=event_time), sorted(set(hidden)))


def event_time(event: JSON) -> str:
    """When an event was last seen, as an RFC 3339 text; events carry it in one of four places."""
    series = (event.get("series") or {}).get("lastObservedTime")
    made = event["metadata"].get("creationTimestamp")
    return str(series or event.get("lastTimestamp") or event.get("eventTime") or made or "")


def find_position(job: JSON, runnable: Sequence[JSON]) -> Position | None:
    """The job's place in arrival order among `runnable`; None when it is not one of them (any more)."""
    order = [each["metadata"]["uid"] for each in sorted(runnable, key=by_arrival)]
    uid = job["metadata"]["uid"]
    return Position(order.index(uid) + 1, len(order)) if uid in order else None


async def _get(
    session: Session, resource: Resource, namespace: str | None, name: str, hidden: list[str]
) -> JSON | None:
    try:
        return await session.api.get(resource, namespace, name)
    except NotFound:
        return None
    except Forbidden:
        hidden.append(resource.plural)
        return {}


async def _list(
    session: Session,
    resource: Resource,
    namespace: str | None,
    hidden: list[str],
    labels: str | None = None,
    fields: str | None = None,
) -> list[JSON]:
    try:
        return await session.api.list_all(resource, namespace, labels=labels, fields=fields)
    except Forbidden:
        hidden.append(resource.plural if namespace else f"{resource.plural} of other namespaces")
        return []


async def _pods(session: Session, job: JSON, hidden: list[str]) -> list[JSON]:
    """The job's pods; of an array, which may have 100,000, some of those that do not start."""
    if not is_array(job):
        labels = f"{names.LABEL_JOB_ID}={job['metadata']['uid']}"
        return await _list(session, PODS, job["metadata"]["namespace"], hidden, labels=labels)
    if not summary_of(job)["STARTING"]:
        return []
    try:
        return await troubled_pods(session, job)
    except Forbidden:
        hidden.append(PODS.plural)
        return []


async def _position(session: Session, job: JSON, hidden: list[str]) -> Position | None:
    if state_of(job) != "RUNNABLE":
        return None
    selected = f"spec.jobQueue={job['spec']['jobQueue']},status.state=RUNNABLE"
    return find_position(job, await _list(session, BATCH_JOBS, None, hidden, fields=selected))


async def _dependencies(session: Session, job: JSON) -> list[Dependency]:
    found = {entry["name"]: entry for entry in (job.get("status") or {}).get("dependsOn") or []}
    by_id = {entry["jobId"]: entry["name"] for entry in found.values()}

    async def look(entry: JSON) -> Dependency:
        job_id = entry.get("jobId", "")
        wanted = entry.get("name") or by_id.get(job_id) or job_id
        how = entry.get("type"), entry.get("condition") or "Succeeded"
        if not wanted:
            return Dependency("", None, *how)
        known = found.get(wanted)
        try:
            there = await find_job(session, wanted)
        except NotFound:
            return Dependency(wanted, known["state"] if known else None, *how)
        if known is not None and there["metadata"]["uid"] != known["jobId"]:
            return Dependency(wanted, known["state"], *how)  # deleted, and another of its name made since
        return Dependency(there["metadata"]["name"], state_of(there), *how)

    return list(await asyncio.gather(*(look(entry) for entry in job["spec"].get("dependsOn") or [])))
