"""The engine: watches fill the store; something changed, so one pass decides and acts.

A pass is synchronous over the store (gather, decide, plan), so that no await lets the world change under it; what it
decided is carried out by tasks, whose results come back as changes. At most one pass every `pass_interval_seconds`.
Hazard: anything slow in a pass delays every job; see `metrics.py` for its duration.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from batchwright import metrics
from batchwright.cluster.client import JSON, ApiClient
from batchwright.cluster.events import EventRecorder, Subject
from batchwright.cluster.resources import BATCH_JOBS
from batchwright.cluster.writes import StatusWrite, StatusWriter
from batchwright.controllers import acting
from batchwright.controllers.arrays import Arrays, competitors
from batchwright.controllers.cycles import break_cycles
from batchwright.controllers.gather import refusal, snapshot_of, unbound_of, view_of
from batchwright.controllers.obstacles import Obstacles
from batchwright.controllers.retention import Retention
from batchwright.controllers.statuses import compose, finished
from batchwright.controllers.store import Entry, Pinned, Store
from batchwright.controllers.urgency import WAITING, urgency
from batchwright.domain.actions import (
    Action,
    DeleteWork,
    EndAttempt,
    EndWork,
    Notice,
    ReadObstacle,
    ReadPods,
    ReleasePod,
)
from batchwright.domain.arraylife import decide_array
from batchwright.domain.granting import grant, revoke
from batchwright.domain.lifecycle import Decision, decide
from batchwright.domain.observations import FINAL_STATES, FinishedJob, Job, Work
from batchwright.domain.texts import bounded
from batchwright.errors import ApiError, Invalid, WorkloadError
from batchwright.scheduling.cycle import plan
from batchwright.scheduling.explain import explain
from batchwright.scheduling.snapshot import Snapshot, Start, Wait, WaitKind
from batchwright.settings import Settings
from batchwright.workloads.job import Placement

logger = structlog.get_logger(__name__)
HINDRANCE_SECONDS = 10.0
# Waits that somebody must end.
LASTING = (WaitKind.NEVER_FITS, WaitKind.UNSUITABLE)
ACTION_RETRY_SECONDS = 2.0
# An array that does not fit at once waits so long for arrays that follow on its elements, which are mostly submitted
# along with it: once it has begun without gates, it can yield nothing to them. (creationTimestamp is whole seconds.)
FOLLOWERS_SECONDS = 2.0


class Engine:
    """Decides about every BatchJob, one pass after the other."""

    def __init__(self, api: ApiClient, store: Store, settings: Settings, events: EventRecorder) -> None:
        self._api = api
        self._store = store
        self._settings = settings
        self._events = events
        self._changed = asyncio.Event()
        self._runnable: dict[str, Entry] = {}
        self._started: dict[str, Entry] = {}
        self._wakes: list[tuple[datetime, str]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._create_slots = asyncio.Semaphore(settings.writes_in_flight)
        self.writer = StatusWriter(api, self._compose, self._written, workers=settings.status_writers)
        self.obstacles = Obstacles(api, self._hear_obstacle)
        self._arrays = Arrays(api, store, self._spawn, self._wake, self._touch)
        self.retention = Retention(api, store)
        self.passed_at = time.monotonic()

    def pass_age_seconds(self) -> float:
        """How long ago the last pass was; an idle engine still passes twice a minute."""
        return time.monotonic() - self.passed_at

    def see_job(self, uid: str, record: Job | FinishedJob | None) -> None:
        """A BatchJob was seen, changed, or is gone."""
        known = uid in self._store.finished
        self._store.put_job(uid, record)
        if not isinstance(record, Job):
            self._runnable.pop(uid, None)
            self._started.pop(uid, None)
            self.writer.forget(uid)
        if isinstance(record, FinishedJob) and not known:
            self.retention.schedule(uid)
        self.changed()

    def see_work_of_finished(self, work: Work) -> None:
        """A finished BatchJob's Kubernetes Job: kept for its time, or ended if it came after the BatchJob's end."""
        if work.is_finished:
            self.retention.schedule(work.job_id)
        elif not work.deleting:
            self._spawn(acting.delete_work(self._api, work, propagation="Background"))

    def changed(self) -> None:
        """Something in the store changed: a pass is due."""
        self._changed.set()

    async def run(self) -> None:
        """Passes until cancelled."""
        while True:
            await self._wait()
            self._changed.clear()
            began = time.perf_counter()
            self._pass(datetime.now(UTC))
            self.passed_at = time.monotonic()
            metrics.PASS_SECONDS.observe(time.perf_counter() - began)
            await asyncio.sleep(self._settings.pass_interval_seconds)

    async def _wait(self) -> None:
        now = datetime.now(UTC)
        due = [when for when in (self._wakes[0][0] if self._wakes else None, self.retention.next_due) if when]
        seconds = min(30.0, max(0.0, (min(due) - now).total_seconds())) if due else 30.0
        try:
            await asyncio.wait_for(self._changed.wait(), seconds)
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
        # 2. Each job whose view may have changed is decided; a job that ends makes its dependents look again.
        break_cycles(store)
        instances = {node.name: node.instance for node in store.nodes.values()}
        while store.dirty:
            uid = store.dirty.pop()
            entry = store.entries.get(uid)
            if entry is not None and not entry.creating and not entry.job.deleting:
                self._decide(uid, entry, instances, now)
            elif entry is None or entry.job.deleting:
                self._runnable.pop(uid, None)
                self._started.pop(uid, None)
        # 3. What is RUNNABLE is placed, or told why not.
        ready = {
            uid: entry for uid, entry in self._runnable.items() if entry.not_before is None or entry.not_before <= now
        }
        if ready:
            snapshot = snapshot_of(store, ready, self._started)
            placed = plan(snapshot)
            for start in placed.starts:
                self._start(start, snapshot, now)
            for uid, wait in placed.waits.items():
                self._explain(uid, wait, now)
        metrics.RUNNABLE.set(len(self._runnable))
        # 4. What has been kept long enough goes.
        if self.retention.next_due is not None and self.retention.next_due <= now:
            self._spawn(self._retire(now))

    def _decide(self, uid: str, entry: Entry, instances: dict[str, str], now: datetime) -> None:
        try:
            view = view_of(self._store, entry, instances, self._settings.start_grace_seconds)
            if entry.array is not None:
                decision = decide_array(view, entry.array.elements, tuple(entry.array.edges.values()), now)
            else:
                decision = decide(view, now)
        except Exception:
            metrics.DECISION_ERRORS.inc()
            logger.exception("decision failed", namespace=entry.job.namespace, job=entry.job.name, job_id=uid)
            return
        self._settle(uid, entry, decision)
        if entry.is_array:
            self._arrays.keep_up(uid, entry, now)

    async def _retire(self, now: datetime) -> None:
        await self.retention.due(now)
        self.changed()

    def _settle(self, uid: str, entry: Entry, decision: Decision) -> None:
        last = entry.status
        before, after = last.state, decision.status.state
        entry.status = decision.status
        if decision.runnable:
            self._runnable[uid] = entry
        else:
            self._runnable.pop(uid, None)
        # Once its pod has a node, the ledger counts it: passes need not look at it any more.
        if not decision.is_final and (entry.work or entry.creating) and unbound_of(entry) is not None:
            self._started[uid] = entry
        elif not entry.creating:
            self._started.pop(uid, None)
        if decision.wake_at is not None:
            self._wake(uid, entry, decision.wake_at)
        for action in decision.actions:
            self._act(uid, entry, action)
        for notice in decision.notices:
            self._notify(entry, notice)
        if decision.is_final and before != after:
            metrics.JOBS_FINISHED.labels(after).inc()
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
        elif decision.status.to_wire() != entry.held:
            self.writer.offer(uid, *urgency(entry))

    def _grant(self, uid: str, entry: Entry, count: int, now: datetime) -> None:
        """More elements of an array that is under way may start."""
        if entry.array is not None:
            grant(entry.array.elements, count)
            instances = {node.name: node.instance for node in self._store.nodes.values()}
            self._decide(uid, entry, instances, now)

    def _start(self, start: Start, snapshot: Snapshot, now: datetime) -> None:
        entry = self._store.entries[start.uid]
        if entry.array is not None and entry.work is not None:
            self._grant(start.uid, entry, start.count, now)
            return
        environment = self._store.environments[("", start.environment)].spec
        placement = Placement(
            environment=start.environment,
            node_selector=environment.node_selector,
            tolerations=tuple(each.to_wire() for each in environment.tolerations),
        )
        if entry.pinned is None:
            raise RuntimeError(f"{entry.job.name}: planned without a definition")
        if entry.array is not None:
            elements, known = entry.array.elements, entry.job.created_at + timedelta(seconds=FOLLOWERS_SECONDS)
            # What starts as a whole has nothing to yield.
            is_part = start.count < elements.unfinished
            elements.gated = (
                bool(entry.array.edges or elements.condemned)
                or entry.pinned.needs_gate
                or (is_part and competitors(self._store, entry, start.environment, snapshot))
            )
            if is_part and not elements.gated and now < known:
                self._wake(start.uid, entry, known)
                return
            grant(elements, start.count)
        entry.creating, entry.start = True, start
        self._runnable.pop(start.uid, None)
        self._started[start.uid] = entry
        self._spawn(self._create(start.uid, entry, entry.pinned, placement))

    async def _create(self, uid: str, entry: Entry, pinned: Pinned, placement: Placement) -> None:
        hindrance = "The operator failed to make the job, by a defect of its own; its log says more"
        try:
            async with self._create_slots:
                work = await acting.create_work(self._api, entry, pinned, placement)
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
            entry.not_before = datetime.now(UTC) + timedelta(seconds=HINDRANCE_SECONDS) if hindrance else None
            if entry.work is None:
                entry.start = None
                self._started.pop(uid, None)
                if entry.array is not None:
                    revoke(entry.array.elements)
            if hindrance:
                entry.waits, entry.waits_kind = hindrance, None
                self._notify(entry, Notice("NotCreated", hindrance, warning=True))
                self._wake(uid, entry, entry.not_before or datetime.now(UTC))
            self._touch(uid)
        if entry.work is not None:
            self._notify(entry, Notice("Started", f"Sent to ComputeEnvironment {placement.environment}"))

    def _explain(self, uid: str, wait: Wait, now: datetime) -> None:
        entry = self._store.entries[uid]
        changed = entry.waits_kind is not wait.kind
        fresh = entry.waits_at is not None and (now - entry.waits_at).total_seconds() < (
            self._settings.explain_interval_seconds
        )
        if not changed and (fresh or wait.kind is WaitKind.BEHIND):
            return
        if entry.pinned is None or entry.pinned.shape is None:
            return
        text = bounded(explain(wait, entry.pinned.shape, entry.job.spec.job_queue))
        entry.waits_kind, entry.waits_at = wait.kind, now
        if text == entry.waits:
            return
        entry.waits = text
        if entry.array is not None and entry.work is not None:
            self._touch(uid)
            return  # Some of it runs: that the rest waits is the way of arrays.
        entry.status = entry.status.model_copy(update={"status_reason": text})
        if wait.kind is not WaitKind.BEHIND:
            self._notify(entry, Notice("Unschedulable", text, warning=wait.kind in LASTING))
        self.writer.offer(uid, "RUNNABLE", WAITING)

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
        if isinstance(action, ReadObstacle):
            self.obstacles.ask(uid, action.work.uid)
            return
        key = f"{type(action).__name__}/{action.pod.uid if isinstance(action, EndAttempt | ReleasePod) else ''}"
        if key not in entry.doing:
            entry.doing.add(key)
            self._spawn(self._carry_out(uid, entry, action, key))

    async def _carry_out(self, uid: str, entry: Entry, action: Action, key: str) -> None:
        try:
            match action:
                case EndAttempt():
                    await acting.end_attempt(self._api, action)
                case ReleasePod():
                    await acting.release_pod(self._api, action)
                case DeleteWork():
                    await acting.delete_work(self._api, action.work, propagation="Foreground")
                case EndWork():
                    await acting.end_work(self._api, action.work)
                case ReadPods():
                    for pod in await acting.read_pods(self._api, action.work):
                        self._store.put_pod(pod.uid, pod)
                    entry.pods_complete = True
                    self._touch(uid)
        except ApiError as error:
            logger.warning("action failed", job=entry.job.name, action=key, error=str(error))
            self._retry_action(uid, entry, action, key)
        except Exception:
            self._retry_action(uid, entry, action, key)
            raise

    def _retry_action(self, uid: str, entry: Entry, action: Action, key: str) -> None:
        entry.doing.discard(key)
        if entry.array is not None and isinstance(action, EndAttempt | ReleasePod):
            entry.array.elements.look_again(action.pod)
        self._wake(uid, entry, datetime.now(UTC) + timedelta(seconds=ACTION_RETRY_SECONDS))
        self.changed()

    def _notify(self, entry: Entry, notice: Notice) -> None:
        job = entry.job
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
        return None if entry is None else compose(entry, datetime.now(UTC))

    def _written(self, uid: str, wire: JSON | None) -> None:
        entry = self._store.entries.get(uid)
        if entry is None or wire is None:
            return
        entry.held = wire
        if wire.get("state") in FINAL_STATES:
            self._store.finish(finished(entry.job, wire))
            self._runnable.pop(uid, None)
            self._started.pop(uid, None)
            self.retention.schedule(uid)
            self.changed()
