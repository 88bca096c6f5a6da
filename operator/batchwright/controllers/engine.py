"""The engine: watches fill the store; something changed, so one pass decides and acts.

A pass is synchronous over the store (gather, decide, plan), so that no await lets the world change under it; what it
decided is carried out by tasks, whose results come back as changes. At most one pass every `pass_interval_seconds`,
fewer where passes take long.
Hazard: anything slow in a pass delays every job; see `metrics.py` for its duration.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

import structlog

from batchwright import metrics
from batchwright.api.v1alpha1 import BatchJobStatus
from batchwright.cluster.client import JSON, ApiClient
from batchwright.cluster.clock import Clock
from batchwright.cluster.events import EventRecorder, Subject
from batchwright.cluster.resources import BATCH_JOBS
from batchwright.cluster.writes import StatusWrite, StatusWriter
from batchwright.controllers import acting
from batchwright.controllers.arrays import Arrays
from batchwright.controllers.carrying import Carrying
from batchwright.controllers.cycles import break_cycles
from batchwright.controllers.entries import Entry
from batchwright.controllers.explaining import Explaining, note_wait
from batchwright.controllers.gangs import Gangs, stop_node
from batchwright.controllers.gather import gang_view, view_of
from batchwright.controllers.obstacles import Obstacles
from batchwright.controllers.podgroups import PodGroups
from batchwright.controllers.preempting import Preempting
from batchwright.controllers.progress import count_progress
from batchwright.controllers.refusals import refused
from batchwright.controllers.retention import Retention
from batchwright.controllers.scheduling import Scheduling
from batchwright.controllers.starting import Starting
from batchwright.controllers.statuses import compose, finished, is_news
from batchwright.controllers.store import Store
from batchwright.controllers.urgency import WAITING, urgency
from batchwright.domain.actions import (
    Action,
    Notice,
)
from batchwright.domain.arraylife import decide_array
from batchwright.domain.ganglife import decide_gang
from batchwright.domain.lifecycle import Decision, decide
from batchwright.domain.observations import FINAL_STATES, FinishedJob, Job, Pod, Work
from batchwright.errors import ApiError
from batchwright.joblog import about_job
from batchwright.scheduling.cycle import plan
from batchwright.scheduling.snapshot import Demand
from batchwright.settings import Settings

logger = structlog.get_logger(__name__)
SPARE_WAKES = 1000
# Passes take one part in a hundred of the operator's time, so that what changes meanwhile is taken together, unless
# that would keep a job waiting for so long.
PASS_SHARE = 0.01
LONGEST_PAUSE_SECONDS = 0.2


def pause_after(pass_seconds: float, shortest: float) -> float:
    """How long to wait before another pass, in seconds, after one that took so long."""
    return max(shortest, min(LONGEST_PAUSE_SECONDS, pass_seconds / PASS_SHARE))


class Engine:
    """Decides about every BatchJob, one pass after the other."""

    def __init__(
        self,
        api: ApiClient,
        store: Store,
        settings: Settings,
        events: EventRecorder,
        hear_consumables: Callable[[], None] = lambda: None,
        clock: Clock | None = None,
        hear_demand: Callable[[tuple[Demand, ...], frozenset[str]], None] = lambda *_: None,
        hear_end: Callable[[Job, BatchJobStatus], None] = lambda *_: None,
    ) -> None:
        self._clock = clock or Clock()
        store.meters.clock = self._clock.now
        self._api = api
        self._store = store
        self._settings = settings
        self._events = events
        self._changed = asyncio.Event()
        self.scheduling = Scheduling(store, hear_consumables)
        self._planned = -1
        self._plan_again: datetime | None = None
        self._hear_demand, self._hear_end = hear_demand, hear_end
        self._wakes: list[tuple[datetime, str]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.writer = StatusWriter(
            api, self._compose, self._written, self._status_refused, workers=settings.status_writers
        )
        self.obstacles = Obstacles(api, self._hear_obstacle)
        self._arrays = Arrays(api, store, self._spawn, self._wake, self._touch, self._clock.now, self._say_refusal)
        self._preempting = Preempting(api, self._act, self._notify)
        groups = PodGroups(api, wanted=settings.pod_groups)
        self._gangs = Gangs(api, store, self._clock.now, self._act, self._touch, self._spawn, groups, self._refused)
        self._carrying = Carrying(
            api,
            store,
            now=self._clock.now,
            obstacles=self.obstacles,
            gangs=self._gangs,
            preempting=self._preempting,
            spawn=self._spawn,
            wake=self._wake,
            touch=self._touch,
            changed=self.changed,
            say_refusal=self._say_refusal,
        )
        self._starting = Starting(
            api,
            store,
            self.scheduling,
            settings.writes_in_flight,
            clock=self._clock.now,
            spawn=self._spawn,
            wake=self._wake,
            touch=self._touch,
            decide=lambda uid, entry, now: self._decide(uid, entry, store.instances, now),
            notify=self._notify,
            say_refusal=self._say_refusal,
        )
        self._explaining = Explaining(
            store,
            self.scheduling,
            settings.explain_interval_seconds,
            said=lambda uid: self.writer.offer(uid, "RUNNABLE", WAITING),
            notify=self._notify,
            touch=self._touch,
            wake=self._wake,
        )
        self.retention = Retention(api, store, self._refused)
        self.passed_at = time.monotonic()

    def pass_age_seconds(self) -> float:
        """How long ago the last pass was; an idle engine still passes twice a minute."""
        return time.monotonic() - self.passed_at

    def see_job(self, uid: str, record: Job | FinishedJob | None) -> None:
        """A BatchJob was seen, changed, or is gone."""
        known, entry = uid in self._store.finished, self._store.entries.get(uid)
        if isinstance(record, FinishedJob) and entry is not None and entry.is_final:
            # The watch was faster than the answer to what we wrote, which then finds no entry.
            self._end(entry, entry.status)
        self._store.put_job(uid, record)
        if not isinstance(record, Job):
            self.scheduling.forget(uid, self._clock.now())
            self.writer.forget(uid)
            self._store.meters.forget(uid)
        if isinstance(record, FinishedJob) and not known:
            self.retention.schedule(uid)
        self.changed()

    def see_work_of_finished(self, work: Work) -> None:
        """A finished BatchJob's Kubernetes Job: kept for its time, or ended if it came after the BatchJob's end."""
        if work.is_finished:
            self.retention.schedule(work.job_id)
        elif not work.deleting:
            self._spawn(acting.delete_work(self._api, work, propagation="Background"))

    def see_node_of_finished(self, pod: Pod) -> None:
        """A node of a multi-node job that has ended: made by an operator before this one, and too late."""
        job = self._store.finished[pod.job_id]
        with about_job(pod.job_id, pod.namespace, job.name):
            self._spawn(stop_node(self._api, pod, job, self._refused))

    def changed(self) -> None:
        """Something in the store changed: a pass is due."""
        self._changed.set()

    async def run(self) -> None:
        """Passes until cancelled; what is being carried out ends with it."""
        # An operator may have stood by for days.
        self.passed_at = time.monotonic()
        try:
            while True:
                await self._wait()
                self._changed.clear()
                began = time.perf_counter()
                self._pass(self._clock.now())
                self.passed_at = time.monotonic()
                took = time.perf_counter() - began
                metrics.PASS_SECONDS.observe(took)
                await asyncio.sleep(pause_after(took, self._settings.pass_interval_seconds))
        finally:
            for task in self._tasks:
                task.cancel()

    async def _wait(self) -> None:
        now = self._clock.now()
        first = self._wakes[0][0] if self._wakes else None
        due = [when for when in (first, self.retention.next_due, self._plan_again) if when]
        seconds = min(30.0, max(0.0, (min(due) - now).total_seconds())) if due else 30.0
        try:
            # wait_for of Python 3.11 forgets a cancellation that meets a change, and the process would not end.
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return

    def _pass(self, now: datetime) -> None:
        store = self._store
        # 1. Timers that have run out make their jobs look again.
        while self._wakes and self._wakes[0][0] <= now:
            when, uid = heapq.heappop(self._wakes)
            entry = store.entries.get(uid)
            # A job has one wake; those it has replaced are let go by.
            if entry is not None and entry.wake_at == when:
                entry.wake_at = None
                store.dirty.add(uid)
        if len(self._wakes) > SPARE_WAKES + 2 * len(store.entries):
            # Those of jobs that ended long before their timeouts, which may be days ahead.
            self._wakes = [(entry.wake_at, uid) for uid, entry in store.entries.items() if entry.wake_at is not None]
            heapq.heapify(self._wakes)
        # 2. Each job whose view may have changed is decided; a job that ends makes its dependents look again.
        break_cycles(store)
        instances = store.instances
        while store.dirty:
            uid = store.dirty.pop()
            entry = store.entries.get(uid)
            if entry is not None and not entry.creating and not entry.job.deleting:
                with about_job(uid, entry.job.namespace, entry.job.name):
                    self._decide(uid, entry, instances, now)
            elif entry is None:
                self.scheduling.forget(uid, now)
            elif entry.job.deleting:
                # What it holds it holds until it is gone.
                self.scheduling.tell(uid, entry, is_runnable=False, now=now)
        # 3. What is RUNNABLE is placed, or told why not.
        self._plan(now)
        # 4. What has been kept long enough goes.
        if self.retention.next_due is not None and self.retention.next_due <= now:
            self._spawn(self._retire(now))

    def _plan(self, now: datetime) -> None:
        self.scheduling.sync(now.timestamp())
        if self._store.dirty:
            self.changed()
        state = self.scheduling.state
        is_due = self._plan_again is not None and self._plan_again <= now
        if state.changes == self._planned and not is_due:
            return
        is_leaving = any(growth.leaving for growth in state.growth.values())
        if not (state.waiting_uids or is_leaving or (state.growth and state.unbound)):
            self._hear_demand((), frozenset())
            return
        self._planned = state.changes
        placed = plan(state, now.timestamp())
        self._plan_again = None if placed.again_at is None else datetime.fromtimestamp(placed.again_at, UTC)
        self._hear_demand(placed.demand, placed.expecting)
        self._explaining.tell(placed, now)
        if self._explaining.limit(placed, now):
            self._planned = -1
        for start in placed.starts:
            self._starting.begin(start, now)
        for preempt in placed.preempts:
            victim = self._store.entries.get(preempt.uid)
            if victim is not None:
                self._preempting.begin(victim, preempt)
                self._touch(preempt.uid)

    def _decide(self, uid: str, entry: Entry, instances: dict[str, str], now: datetime) -> None:
        try:
            view = view_of(self._store, entry, instances, self._settings.start_grace_seconds)
            layout = entry.pinned.layout if entry.pinned is not None else None
            if entry.array is not None:
                decision = decide_array(view, entry.array.elements, tuple(entry.array.edges.values()), now)
            elif layout is not None:
                decision = decide_gang(view, gang_view(self._store, entry, layout, now), now)
            else:
                decision = decide(view, now)
        except Exception:
            metrics.DECISION_ERRORS.inc()
            logger.exception("decision failed", name=entry.job.name)
            return
        self._settle(uid, entry, decision, now)
        if entry.is_array:
            self._arrays.keep_up(uid, entry, now)

    async def _retire(self, now: datetime) -> None:
        await self.retention.due(now)
        self.changed()

    def _settle(self, uid: str, entry: Entry, decision: Decision, now: datetime) -> None:
        last = entry.status
        before, after = last.state, decision.status.state
        entry.status = decision.status
        count_progress(self._store, entry, last, decision.status)
        if entry.work is not None and not entry.work.suspended:
            entry.resuming = False
        note_wait(entry, is_runnable=decision.runnable, now=now)
        self.scheduling.tell(uid, entry, is_runnable=decision.runnable, now=now)
        if decision.runnable and entry.waits_kind is None:
            self._explaining.fresh.add(uid)
        if decision.wake_at is not None:
            self._wake(uid, entry, decision.wake_at)
        if entry.not_before is not None and now < entry.not_before:
            self._wake(uid, entry, entry.not_before)
        for action in decision.actions:
            self._act(uid, entry, action)
        for notice in decision.notices:
            self._notify(entry, notice)
        if decision.is_final and before != after:
            self._store.touch_dependents(entry.job.namespace, entry.job.name, uid)
        if entry.array is not None and not decision.is_final:
            # Its status is made when it is written: what has changed since is one comparison away.
            known = entry.array
            if known.told != len(known.elements.ended):
                known.told = len(known.elements.ended)
                self._store.touch_dependents(entry.job.namespace, entry.job.name, uid)
            if known.offered != known.elements.version or decision.status != last:
                known.offered = known.elements.version
                self.writer.offer(uid, *urgency(entry))
        elif is_news(decision.status.to_wire(), entry.held):
            self.writer.offer(uid, *urgency(entry))

    def _wake(self, uid: str, entry: Entry, when: datetime) -> None:
        """The job looks again at `when`, or earlier if it was to already."""
        if entry.wake_at is None or when < entry.wake_at:
            entry.wake_at = when
            heapq.heappush(self._wakes, (when, uid))

    def _hear_obstacle(self, uid: str, text: str) -> None:
        entry = self._store.entries.get(uid)
        if entry is not None and text != entry.obstacle:
            entry.obstacle = text
            self._touch(uid)

    def _act(self, uid: str, entry: Entry, action: Action) -> None:
        self._carrying.act(uid, entry, action)

    def _notify(self, entry: Entry, notice: Notice) -> None:
        job = entry.job
        self._spawn(self._events.post(Subject(BATCH_JOBS, job.namespace, job.name, job.uid), notice))

    def _say_refusal(self, entry: Entry, event: str, what: str, error: ApiError) -> None:
        job, cause = entry.job, type(error).__name__
        logger.warning(event, name=job.name, namespace=job.namespace, at=what, cause=cause, error=str(error))
        self._refused(job, what, error)

    def _status_refused(self, uid: str, error: ApiError) -> None:
        entry = self._store.entries.get(uid)
        if entry is not None:
            self._refused(entry.job, "write the status", error)

    def _refused(self, job: Job | FinishedJob, what: str, error: ApiError) -> None:
        if notice := refused(what, error):
            self._spawn(self._events.post(Subject(BATCH_JOBS, job.namespace, job.name, job.uid), notice))

    def _touch(self, uid: str) -> None:
        self._store.dirty.add(uid)
        self.changed()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._reap)

    def _reap(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("task failed", error=repr(task.exception()), exc_info=task.exception())

    def _compose(self, uid: str) -> StatusWrite | None:
        entry = self._store.entries.get(uid)
        return None if entry is None else compose(entry, self._store.meters, self._clock.now())

    def _end(self, entry: Entry, status: BatchJobStatus) -> None:
        """The final status is written, and the entry about to go."""
        with about_job(entry.job.uid, entry.job.namespace, entry.job.name):
            self._gangs.sweep(entry)
        self._hear_end(entry.job, status)

    def _written(self, uid: str, wire: JSON | None) -> None:
        entry = self._store.entries.get(uid)
        if entry is None or wire is None:
            return
        noted, entry.held = entry.noted, wire
        if entry.noted != noted:
            self._touch(uid)
        if wire.get("state") in FINAL_STATES:
            self._end(entry, BatchJobStatus.model_validate(wire))
            self._store.finish(finished(entry.job, wire))
            self._store.meters.forget(uid)
            self.scheduling.forget(uid, self._clock.now())
            self.retention.schedule(uid)
            self.changed()
