"""Starts what a plan says: makes a Kubernetes Job, lets more elements of one go, or resumes one that was preempted.

While the request is on its way the entry is `creating` or `resuming`, so that no pass starts it again. One that fails
makes its job wait for a moment, and says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, TypeVar

import structlog

from batchwright.cluster.client import ApiClient
from batchwright.controllers import acting
from batchwright.controllers.arrays import competitors
from batchwright.controllers.entries import Array, Entry, Pinned
from batchwright.controllers.gangs import placement_in, resume
from batchwright.controllers.gather import refusal
from batchwright.controllers.nodepods import Nodes
from batchwright.controllers.scheduling import Scheduling
from batchwright.controllers.store import Store
from batchwright.domain.actions import Notice, SuspendWork
from batchwright.domain.granting import grant, revoke
from batchwright.domain.observations import Work
from batchwright.domain.texts import bounded
from batchwright.errors import ApiError, ApiUnavailable, Invalid, WorkloadError
from batchwright.joblog import about_job
from batchwright.names import NOT_CREATED
from batchwright.scheduling.snapshot import Start
from batchwright.workloads.job import Placement

logger = structlog.get_logger(__name__)
HINDRANCE_SECONDS = 10.0
RESUME_RETRY_SECONDS = 2.0
UNKNOWN_SECONDS = 1.0
_Answer = TypeVar("_Answer")
# An array that does not fit at once waits so long for arrays that follow on its elements, which are mostly submitted
# along with it: once it has begun without gates, it can yield nothing to them. (creationTimestamp is whole seconds.)
FOLLOWERS_SECONDS = 2.0


class Starting:
    """Carries out the starts of a plan. `clock` says what time it is, `spawn` runs a task, `wake` makes a job look
    again at a time and `touch` at once, `decide` decides about it within the pass, `notify` makes an event, and
    `say_refusal` one of what the API server does not let us do."""

    def __init__(
        self,
        api: ApiClient,
        store: Store,
        scheduling: Scheduling,
        writes_in_flight: int,
        *,
        clock: Callable[[], datetime],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        wake: Callable[[str, Entry, datetime], None],
        touch: Callable[[str], None],
        decide: Callable[[str, Entry, datetime], None],
        notify: Callable[[Entry, Notice], None],
        say_refusal: Callable[[Entry, str, str, ApiError], None],
    ) -> None:
        self._api = api
        self._store = store
        self._scheduling = scheduling
        self._now = clock
        self._slots = asyncio.Semaphore(writes_in_flight)
        self._spawn, self._wake, self._touch, self._decide, self._notify = spawn, wake, touch, decide, notify
        self._say_refusal = say_refusal

    def begin(self, start: Start, now: datetime) -> None:
        """Carries out one start."""
        entry = self._store.entries[start.uid]
        with about_job(start.uid, entry.job.namespace, entry.job.name):
            if entry.work is None:
                self._begin_anew(start, entry, now)
            elif entry.array is not None:
                grant(entry.array.elements, start.count)
                self._decide(start.uid, entry, now)
            else:
                self._resume(start, entry, entry.work, now)

    def _begin_anew(self, start: Start, entry: Entry, now: datetime) -> None:
        if entry.pinned is None:
            raise RuntimeError(f"{entry.job.name}: planned without a definition")
        if entry.array is not None:
            known = entry.job.created_at + timedelta(seconds=FOLLOWERS_SECONDS)
            is_part = start.count < entry.array.elements.unfinished
            entry.array.elements.gated = self._needs_gates(start, entry, entry.array, entry.pinned, is_part=is_part)
            if is_part and not entry.array.elements.gated and now < known:
                entry.not_before = known
                self._scheduling.tell(start.uid, entry, is_runnable=False, now=now)
                self._wake(start.uid, entry, known)
                return
            grant(entry.array.elements, start.count)
        placement = placement_in(start.environment, self._store.environments[("", start.environment)].spec)
        _remember(entry, start)
        entry.creating, entry.start = True, start
        self._scheduling.tell(start.uid, entry, is_runnable=False, now=now)
        self._spawn(self._create(start.uid, entry, entry.pinned, placement))

    def _needs_gates(self, start: Start, entry: Entry, array: Array, pinned: Pinned, *, is_part: bool) -> bool:
        queue = entry.job.spec.job_queue
        if array.edges or array.elements.condemned or pinned.needs_gate or self._scheduling.may_be_preempted(queue):
            return True
        # What starts as a whole has nothing to yield.
        return is_part and (
            bool(pinned.consumables)
            or self._scheduling.has_policy(queue)
            or competitors(self._store, entry, start.environment, self._scheduling.state)
        )

    def _resume(self, start: Start, entry: Entry, work: Work, now: datetime) -> None:
        """A job that was preempted goes on, with the attempts it had."""
        uid = start.uid
        _remember(entry, start)
        entry.resuming, entry.preempting, entry.waits, entry.waits_kind = True, "", "", None
        entry.making_room = False
        entry.doing = {key for key in entry.doing if not key.startswith(SuspendWork.__name__)}
        self._scheduling.tell(uid, entry, is_runnable=False, now=now)
        self._spawn(self._go_on(uid, entry, work))

    async def _go_on(self, uid: str, entry: Entry, work: Work) -> None:
        try:
            if entry.nodes is not None and entry.nodes.machines:
                machines = entry.nodes.machines
                await self._until_known(lambda: resume(self._api, work, machines))
            else:
                await acting.resume_work(self._api, work)
        except ApiError as error:
            self._say_refusal(entry, "job not resumed", "have the job go on", error)
            entry.resuming = False
            entry.not_before = self._now() + timedelta(seconds=RESUME_RETRY_SECONDS)
            self._wake(uid, entry, entry.not_before)
            self._touch(uid)

    @staticmethod
    async def _until_known(request: Callable[[], Coroutine[Any, Any, _Answer]]) -> _Answer:
        """Repeats a request of a multi-node job whose answer was lost: what it has done, if it has, holds machines,
        which are nobody else's before that is known."""
        while True:
            try:
                return await request()
            except ApiUnavailable as error:
                logger.warning("no answer", cause=type(error).__name__, error=str(error))
                await asyncio.sleep(UNKNOWN_SECONDS)

    async def _create(self, uid: str, entry: Entry, pinned: Pinned, placement: Placement) -> None:
        hindrance = "The operator failed to make the job, by a defect of its own; its log says more"
        try:
            async with self._slots:
                if entry.nodes is None:
                    work = await acting.create_work(self._api, entry, pinned, placement)
                else:
                    work = await self._until_known(lambda: acting.create_work(self._api, entry, pinned, placement))
            # The watch may have shown it already, and further along.
            if work.uid not in self._store.works:
                self._store.put_work(work.uid, work)
            hindrance = ""
        except Invalid as error:
            entry.refused, hindrance = f"The API server refused the job: {error}", ""
        except WorkloadError as error:
            entry.refused, hindrance = refusal(error), ""
        except ApiError as error:
            hindrance = bounded(f"The API server does not take the job now: {error}")
        finally:
            entry.creating = False
            entry.not_before = self._now() + timedelta(seconds=HINDRANCE_SECONDS) if hindrance else None
            if entry.work is None:
                entry.start = None
                if entry.array is not None:
                    revoke(entry.array.elements)
            if hindrance:
                entry.waits, entry.waits_kind = hindrance, None
                self._notify(entry, Notice(NOT_CREATED, hindrance, warning=True))
                self._wake(uid, entry, entry.not_before or self._now())
            self._touch(uid)
        if entry.work is not None:
            self._notify(entry, Notice("Started", f"Sent to ComputeEnvironment {placement.environment}"))


def _remember(entry: Entry, start: Start) -> None:
    """Where the nodes of a multi-node job are to run, until its Kubernetes Job says so."""
    if start.machines:
        entry.nodes = entry.nodes or Nodes()
        entry.nodes.machines = start.machines
