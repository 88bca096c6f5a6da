"""Execution faked by the harness: it plays the part of the Job controller, and no pods are made.

For what the scheduler is measured by, pods are in the way: kwok and the Job controller would take most of two cores. A
Job that is not suspended is written as running, and after the seconds that its template's annotation says as Complete;
one that is suspended meanwhile stops, and starts anew. The cluster runs without the controller itself.

Invariant: one task at a time for each Job, and a completion that has begun is not taken back. No pods are counted in
the status (`succeeded`), since there are none: whoever reads it would look for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from batchwright import names
from batchwright.bench.lanes import first_error
from batchwright.cluster.client import MERGE_PATCH, ApiClient
from batchwright.cluster.connection import Connection
from batchwright.cluster.informer import Informer
from batchwright.cluster.resources import JOBS
from batchwright.domain.texts import timestamp
from batchwright.errors import NotFound

JSON = dict[str, Any]

EXECUTION_AGENT: Final = "batchwright-bench-execution"
WRITES_IN_FLIGHT: Final = 24


@dataclass(frozen=True, slots=True)
class Task:
    """A Job as far as it matters here."""

    namespace: str
    name: str
    seconds: float
    suspended: bool
    over: bool


def task_of(item: JSON) -> Task:
    """From a Job. Raises ValueError when its annotation is no number."""
    metadata, spec = item["metadata"], item["spec"]
    conditions = item.get("status", {}).get("conditions", ())
    notes = spec["template"]["metadata"].get("annotations", {})
    return Task(
        metadata["namespace"],
        metadata["name"],
        float(notes.get(names.SIMULATE_SECONDS, 0)),
        bool(spec.get("suspend")),
        "deletionTimestamp" in metadata
        or any(each["type"] in ("Complete", "Failed") and each["status"] == "True" for each in conditions),
    )


class Execution:
    """Plays the Job controller until cancelled; use as an async context manager, which opens its own connection."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api
        self._informer = Informer(api, JOBS, task_of, self._see)
        self._slots = asyncio.Semaphore(WRITES_IN_FLIGHT)
        self._running: dict[str, asyncio.Task[None]] = {}
        self._completing: set[str] = set()
        self._started: dict[str, str] = {}
        self._group: asyncio.TaskGroup | None = None

    @classmethod
    def connect(cls, connection: Connection) -> Execution:
        """With a client of its own, by whose name the audit log tells its writes from others."""
        return cls(ApiClient(connection, user_agent=EXECUTION_AGENT))

    async def __aenter__(self) -> Execution:
        await self._api.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._api.close()

    async def run(self) -> None:
        """Works until cancelled; raises what any of its writes met with."""
        with first_error():
            async with asyncio.TaskGroup() as group:
                self._group = group
                await self._informer.run()

    def _see(self, uid: str, task: Task | None) -> None:
        if task is None or task.over:
            self._running.pop(uid, None)
            self._completing.discard(uid)
            self._started.pop(uid, None)
        elif task.suspended and uid in self._running and uid not in self._completing:
            self._running.pop(uid).cancel()
            self._spawn(self._write(task, _suspended()))
        elif not task.suspended and uid not in self._running:
            self._running[uid] = self._spawn(self._execute(uid, task))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        if self._group is None:
            raise RuntimeError("the execution does not run")
        return self._group.create_task(work)

    async def _execute(self, uid: str, task: Task) -> None:
        # The API server takes no other startTime of a Job that is not suspended, and one may be suspended and resumed
        # before the status says so.
        start = self._started.setdefault(uid, _now())
        await self._write(task, {"active": 1, "ready": 1, "startTime": start, "conditions": []})
        await asyncio.sleep(task.seconds)
        self._completing.add(uid)
        await self._write(task, _complete())

    async def _write(self, task: Task, status: JSON) -> None:
        path = JOBS.path(task.namespace, task.name, "status")
        # A Job that was deleted meanwhile needs no status.
        async with self._slots:
            with suppress(NotFound):
                await self._api.send("PATCH", path, body={"status": status}, content_type=MERGE_PATCH)


def _now() -> str:
    """In whole seconds: the API server compares what is sent, fractions included, with what it has stored without."""
    return timestamp(datetime.now(UTC).replace(microsecond=0))


def _condition(kind: str, status: str = "True") -> JSON:
    return {"type": kind, "status": status, "lastTransitionTime": _now()}


def _suspended() -> JSON:
    return {"active": 0, "ready": 0, "conditions": [_condition("Suspended")]}


def _complete() -> JSON:
    conditions = [_condition("SuccessCriteriaMet"), _condition("Complete")]
    return {"active": 0, "ready": 0, "completionTime": _now(), "conditions": conditions}
