"""How long finished work is kept: Jobs with their pods by podSeconds, BatchJobs by jobSeconds of their queue.

Kubernetes' own ttlSecondsAfterFinished is not used: it would delete a Job that finished while the operator was down,
before its result was recorded.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog

from batchwright.api.v1alpha1.jobqueue import Retention as RetentionSpec
from batchwright.cluster.client import ApiClient
from batchwright.cluster.resources import BATCH_JOBS
from batchwright.controllers.acting import delete_work
from batchwright.controllers.store import Store
from batchwright.domain.observations import FinishedJob
from batchwright.errors import ApiError, NotFound

logger = structlog.get_logger(__name__)
BATCH = 50
_WORDS = {"work": "delete the Kubernetes Job, which is due", "job": "delete the job, which is due"}


class Retention:
    """A timetable of what is to be deleted when; finished jobs cost nothing until their time comes. `say` tells on a
    job what was refused."""

    def __init__(self, api: ApiClient, store: Store, say: Callable[[FinishedJob, str, ApiError], None]) -> None:
        self._api = api
        self._store = store
        self._say = say
        self._timetable: list[tuple[datetime, str, str]] = []
        self._busy = False

    @property
    def next_due(self) -> datetime | None:
        """When something is next due; None while what is due is being deleted."""
        return self._timetable[0][0] if self._timetable and not self._busy else None

    def schedule(self, uid: str) -> None:
        """Puts a finished job (and its Kubernetes Job) on the timetable."""
        job = self._store.finished.get(uid)
        if job is None:
            return
        rule = self._rule(job)
        stopped = job.stopped_at or datetime.now(UTC)
        if uid in self._store.work_of_job:
            heapq.heappush(self._timetable, (stopped + timedelta(seconds=rule.pod_seconds), "work", uid))
        if rule.job_seconds is not None:
            heapq.heappush(self._timetable, (stopped + timedelta(seconds=rule.job_seconds), "job", uid))

    def rebuild(self) -> None:
        """A queue's retention changed: the timetable is made anew."""
        self._timetable.clear()
        for uid in self._store.finished:
            self.schedule(uid)

    def _rule(self, job: FinishedJob) -> RetentionSpec:
        queue = self._store.queues.get(("", job.queue))
        return queue.spec.retention if queue else RetentionSpec()

    async def due(self, now: datetime) -> None:
        """Deletes what is due, a few at a time; a call while another is at it does nothing."""
        if self._busy:
            return
        self._busy = True
        try:
            await self._delete_due(now)
        finally:
            self._busy = False

    async def _delete_due(self, now: datetime) -> None:
        for _ in range(BATCH):
            if not self._timetable or self._timetable[0][0] > now:
                return
            _, what, uid = heapq.heappop(self._timetable)
            job = self._store.finished.get(uid)
            if what == "job" and job is not None and self._store.dependents_of(job):
                # Its elements' results are what others' elements wait for.
                heapq.heappush(self._timetable, (now + timedelta(seconds=30), what, uid))
                continue
            try:
                await self._delete(what, uid)
            except ApiError as error:
                namespace, name = (job.namespace, job.name) if job is not None else ("", "")
                logger.warning(
                    "retention: not deleted",
                    job_id=uid,
                    namespace=namespace,
                    job=name,
                    cause=type(error).__name__,
                    error=str(error),
                )
                if job is not None:
                    self._say(job, _WORDS[what], error)
                heapq.heappush(self._timetable, (now + timedelta(seconds=30), what, uid))

    async def _delete(self, what: str, uid: str) -> None:
        job = self._store.finished.get(uid)
        if job is None:
            return
        if what == "work":
            work = self._store.works.get(self._store.work_of_job.get(uid, ""))
            if work is not None:
                await delete_work(self._api, work, propagation="Background")
            return
        try:
            await self._api.delete(BATCH_JOBS, job.namespace, job.name, uid=uid)
        except NotFound:
            return
