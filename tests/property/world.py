"""A small world for one BatchJob: the API server's truth, a Job controller and kubelet, and watches that lag.

The operator under test is the real store, gather and lifecycle; it sees the world only through the two watches (each
in order, neither in step with the other) and acts only by the actions it asks for. Its memory goes with a restart; what
it has written stays.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from datetime import timedelta

import builders as b
from batchwright import names
from batchwright.api.v1alpha1 import BatchJobSpec, BatchJobStatus, JobQueueSpec
from batchwright.controllers.declared import Declared
from batchwright.controllers.entries import Entry, Pinned
from batchwright.controllers.gather import view_of
from batchwright.controllers.store import Store
from batchwright.domain.actions import Action, DeleteWork, EndAttempt, ReadPods, ReleasePod
from batchwright.domain.lifecycle import Decision, Rules, decide
from batchwright.domain.observations import FINAL_STATES, FinishedJob, Mark, Pod, Work
from batchwright.domain.retry import retry_plan

QUEUE = JobQueueSpec.model_validate({"computeEnvironmentOrder": [{"order": 1, "computeEnvironment": "nodes"}]})


@dataclass
class World:
    """The truth, and what the operator makes of it."""

    rules: Rules
    now: float = 0.0
    spec: BatchJobSpec = field(default_factory=b.spec)
    generation: int = 1
    held: BatchJobStatus = field(default_factory=b.status)
    work: Work | None = None
    pods: dict[str, Pod] = field(default_factory=dict)
    works_made: int = 0
    pods_made: int = 0
    ran: list[str] = field(default_factory=list)  # names of the pods that ended after they were let run
    lost: bool = False  # a pod went before the operator can have seen its end
    meddled: bool = False  # somebody deleted the Job
    ended_by_us: bool = False  # the operator deleted the Job
    timed_out: bool = False  # the last pod that ended had been ended for its time
    work_events: deque[Work | None] = field(default_factory=deque)
    pod_events: deque[tuple[str, Pod | None]] = field(default_factory=deque)
    store: Store = field(default_factory=Store)
    history: list[tuple[BatchJobStatus, BatchJobStatus]] = field(default_factory=list)
    finals: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.plan = retry_plan(self.rules.evaluate_on_exit, self.rules.attempts)
        self.restart()

    # The API server.

    def put_pod(self, pod: Pod) -> None:
        self.pods[pod.uid] = pod
        self.pod_events.append((pod.uid, pod))

    def remove_pod(self, uid: str) -> None:
        del self.pods[uid]
        self.pod_events.append((uid, None))

    def put_work(self, work: Work | None) -> None:
        self.work = work
        self.work_events.append(work)

    # The Job controller.

    @property
    def last_pod(self) -> Pod | None:
        return max(self.pods.values(), key=lambda pod: pod.failures, default=None)

    def control(self) -> None:
        """One sync of the Job controller: counts what ended, ends the Job, or makes the next pod."""
        work = self.work
        if work is None or work.is_finished:
            return
        pod = self.last_pod
        if pod is None:
            if self.pods_made == 0 and not work.deleting:
                self._make_pod()
            elif work.deleting:
                self.put_work(None)
            return
        if not pod.is_finished:
            return
        if pod.phase == "Succeeded":
            self.put_work(replace(work, succeeded=1, complete=True))
            return
        failed = self.pods_made
        if failed >= self.rules.attempts or not self._retries(pod):
            self.put_work(replace(work, failed=failed, failure="Job has failed indexes"))
        elif work.deleting:
            for uid in list(self.pods):
                self.remove_pod(uid)
            self.put_work(None)
        else:
            self.put_work(replace(work, failed=failed))
            self._make_pod()

    def _retries(self, pod: Pod) -> bool:
        """The podFailurePolicy of workloads/failurepolicy.py."""
        if pod.mark is not None:
            return pod.mark.type == names.POD_CONDITION_START_FAILED and self.plan.retry_start_failure
        if pod.disruption:
            return self.plan.retry_host_loss
        return pod.exit_code not in self.plan.fail_exit_codes

    def _make_pod(self) -> None:
        gated = not self.plan.exact
        self.put_pod(replace(b.pod(self.pods_made, gated=gated), created_at=b.at(self.now)))
        self.pods_made += 1

    # The kubelet.

    def live(self) -> Pod | None:
        return next((pod for pod in self.pods.values() if not pod.is_finished), None)

    def end(self, pod: Pod, exit_code: int | None, **over: object) -> None:
        """The pod ends; without an exit code, it never had a container."""
        phase = "Succeeded" if exit_code == 0 else "Failed"
        stopped = b.at(self.now) if pod.started_at else None
        self.put_pod(
            replace(pod, phase=phase, running=False, exit_code=exit_code, stopped_at=stopped, waiting_reason="", **over)  # type: ignore[arg-type]
        )
        if not pod.gated:
            self.ran.append(pod.name)
            self.timed_out = pod.mark is not None and pod.mark.type == names.POD_CONDITION_TIMEOUT

    # The operator.

    def restart(self) -> None:
        """Memory is lost; the status as written, the Job and the pods are listed in this order."""
        kept = {pod.name for pod in self.pods.values()} | {each.container.pod_name for each in self.held.attempts}
        self.lost = self.lost or not kept.issuperset(self.ran)
        self.work_events.clear()
        self.pod_events.clear()
        self.store = Store()
        self.store.queues["", "normal"] = Declared("q", "", "normal", 1, QUEUE, {}, {})
        if self.held.state in FINAL_STATES:
            self.store.put_job(b.UID, FinishedJob(b.UID, "default", "hello-1", self.held.state, "normal", None))
        else:
            self._list_job(self.held)
        if self.work is not None:
            self.store.put_work(self.work.uid, self.work)
        for pod in self.pods.values():
            self.store.put_pod(pod.uid, pod)

    def _list_job(self, status: BatchJobStatus) -> None:
        job = b.job(spec=self.spec, status=status, generation=self.generation)
        self.store.put_job(b.UID, job)
        if self.entry is not None:
            self.entry.pinned = Pinned("hello:1", None, self.rules, None)  # type: ignore[arg-type]

    @property
    def entry(self) -> Entry | None:
        return self.store.entries.get(b.UID)

    def change_spec(self, **wire: object) -> None:
        """The user sets terminate or cancel."""
        wanted = b.spec(**wire)
        self.spec = self.spec.model_copy(update={name: getattr(wanted, name) for name in wire})
        self.generation += 1
        if self.entry is not None:
            self._list_job(self.entry.status)

    def see_work(self) -> None:
        if self.work_events:
            self.store.put_work("work-1", self.work_events.popleft())

    def see_pod(self) -> None:
        if self.pod_events:
            self.store.put_pod(*self.pod_events.popleft())

    def look(self, *, act: bool = True) -> Decision | None:
        """One decision; with `act` False the operator dies before it acts."""
        entry = self.entry
        if entry is None:
            return None
        if entry.work_seen and entry.work is None and self.pod_events:
            self.lost = True  # the Job watch is ahead of the pods', and what is gone cannot be read
        before = entry.status
        noted = frozenset(each.container.pod_name or "" for each in self.held.attempts)
        decision = decide(replace(view_of(self.store, entry, {}, b.GRACE_SECONDS), noted=noted), b.at(self.now))
        entry.status = decision.status
        self.history.append((before, decision.status))
        if decision.is_final:
            self.finals.add(decision.status.state or "")
        if not act:
            self.restart()
            return decision
        if decision.runnable:
            self._create(entry)
        for action in decision.actions:
            self._carry_out(entry, action)
        return decision

    def _create(self, entry: Entry) -> None:
        if self.work is None:
            self.works_made += 1
            self.put_work(b.work())
        if self.work is not None and "work-1" not in self.store.works:
            self.store.put_work("work-1", self.work)
        assert entry.work is not None

    def _carry_out(self, entry: Entry, action: Action) -> None:
        match action:
            case EndAttempt(pod=seen):
                pod = self.pods.get(seen.uid)
                if pod is None or pod.is_finished or pod.deleting:
                    return
                marked = replace(pod, mark=Mark(action.mark, action.message))
                if pod.gated:
                    self.end(marked, None)
                else:
                    self.put_pod(replace(marked, deleting=True))
            case ReleasePod(pod=seen):
                pod = self.pods.get(seen.uid)
                if pod is not None and not pod.is_finished:
                    self.put_pod(replace(pod, gated=False))
            case DeleteWork():
                if self.work is not None and not self.work.is_finished:
                    self.ended_by_us = True
                    self.put_work(replace(self.work, deleting=True))
            case ReadPods():
                for pod in self.pods.values():
                    entry.pods[pod.uid] = pod
                entry.pods_complete = True

    def write(self) -> None:
        """The status writer's turn."""
        entry = self.entry
        if entry is None or entry.status == self.held:
            return
        self.held = entry.status
        if self.held.state in FINAL_STATES:
            self.store.finish(FinishedJob(b.UID, "default", "hello-1", self.held.state, "normal", None))

    # Everybody.

    def run_down(self) -> None:
        """Everything goes on in good order, until the status is final; containers exit with 1 from here on."""
        for _ in range(200):
            if self.held.state in FINAL_STATES:
                return
            pod = self.live()
            if pod is not None and not pod.gated:
                if pod.started_at is None and not pod.deleting and not self.deleting:
                    self.put_pod(replace(pod, phase="Running", running=True, node="n1", started_at=b.at(self.now)))
                else:
                    self.end(pod, 143 if pod.started_at else None)
            elif pod is not None and self.deleting:
                self.end(pod, None)
            self.control()
            while self.work_events:
                self.see_work()
            while self.pod_events:
                self.see_pod()
            self.look()
            self.write()
            self.now += 1
        raise AssertionError(f"not final after all: {self.held}, work {self.work}, pods {self.pods}")

    @property
    def want_final(self) -> str:
        """How the finished Kubernetes Job makes the BatchJob end."""
        work = self.work
        assert work is not None
        assert work.is_finished
        stopped = work.deleting and self.spec.terminate is not None
        return "SUCCEEDED" if work.complete and not self.timed_out and not stopped else "FAILED"

    @property
    def deleting(self) -> bool:
        return self.work is not None and self.work.deleting


def pass_time(world: World, seconds: float) -> None:
    """The clock of everybody."""
    world.now += timedelta(seconds=seconds).total_seconds()
