"""The operator over a simulated cluster, one move at a time: the real engine, of which nothing runs by itself.

Its watches are the cluster's queues, its tasks wait in a list until the test runs them, and its statuses are written
when the test says so. A restart loses all of that but what is written.
"""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import datetime
from random import Random
from typing import Any

import builders as b
import manifests
from batchwright import metrics
from batchwright.api.v1alpha1 import (
    BatchJobSpec,
    BatchJobStatus,
    ComputeEnvironmentSpec,
    JobDefinitionSpec,
    JobQueueSpec,
)
from batchwright.cluster.client import JSON
from batchwright.cluster.clock import Clock
from batchwright.controllers import engine as engine_module
from batchwright.controllers.declared import declared
from batchwright.controllers.engine import Engine
from batchwright.controllers.entries import Entry
from batchwright.controllers.store import Store
from batchwright.domain.actions import Notice
from batchwright.domain.elements import FAILED, SUCCEEDED
from batchwright.domain.indexes import expand, parse_indexes
from batchwright.domain.observations import FINAL_STATES, FinishedArray, FinishedJob, Job, Pod, Revision, Work
from batchwright.errors import ApiError
from batchwright.settings import Settings
from property.arraycluster import NAMESPACE, Cluster, SimulatedJob
from property.arrayplans import Ask, JobPlan, Scenario
from property.arrayreference import MET_BY, is_elementwise, needed_indexes

DEFINITION = JobDefinitionSpec.model_validate(manifests.job_definition()["spec"])
SETTINGS = Settings()
STATES = {SUCCEEDED: "SUCCEEDED", FAILED: "FAILED"}


class ClusterClock(Clock):
    """The time of the cluster."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        self._cluster = cluster

    def now(self) -> datetime:
        return b.at(self._cluster.now)


class _Writer:
    """Stands for the status writer: who has something to write."""

    def __init__(self) -> None:
        self.offered: dict[str, None] = {}

    def offer(self, uid: str, *urgency: object) -> None:
        self.offered[uid] = None

    def forget(self, uid: str) -> None:
        self.offered.pop(uid, None)


class _Silent:
    """Stands for what arrays do not hang on: retention, and the search for obstacles."""

    next_due = None

    def schedule(self, uid: str) -> None: ...

    def ask(self, uid: str, work_uid: str) -> None: ...


class _Shuffled(set[str]):
    """A set that gives up its members in any order, and in the same one each time the test runs."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self.random = random

    def pop(self) -> str:
        chosen = self.random.choice(sorted(self))
        self.remove(chosen)
        return chosen


class Driven(Engine):
    """The engine, its tasks kept back."""

    def __init__(self, cluster: Cluster, store: Store) -> None:
        super().__init__(cluster, store, SETTINGS, None, clock=ClusterClock(cluster))  # type: ignore[arg-type]
        self.cluster = cluster
        self.waiting: list[Coroutine[Any, Any, None]] = []
        self.writer = _Writer()  # type: ignore[assignment]
        self.retention = self.obstacles = _Silent()  # type: ignore[assignment]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self.waiting.append(work)

    def _notify(self, entry: Entry, notice: Notice) -> None: ...

    def run_task(self, number: int) -> None:
        """One task, from its beginning to its end: the cluster answers at once."""
        try:
            self.waiting.pop(number).send(None)
        except (StopIteration, ApiError):  # the engine logs what its tasks do not mend, and goes on
            return
        raise AssertionError("a task waits for something")


class World:
    """A scenario, its cluster and its operator."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.random = Random(scenario.seed)
        self.cluster = Cluster(scenario.jobs, self.random, scenario.trouble)
        self.cluster.made = self.check_made
        self.cluster.let_run, self.cluster.started = self.check_let_run, self.check_started
        self.specs: dict[str, dict[str, Any]] = {}
        self.born: dict[str, float] = {}
        self.generation: dict[str, int] = {}
        self.held: dict[str, JSON] = {}
        self.finals: dict[tuple[str, int], int] = {}
        self.set_slots(scenario.slots)
        self.restart()

    # What the test does.

    def set_slots(self, number: int) -> None:
        """So many pods have room, on two nodes."""
        for name, share in (("n1", (number + 1) // 2), ("n2", number // 2)):
            self.cluster.put_node(b.node(name, cpu=1000 * share, ready=share > 0))

    def submit(self, plan: JobPlan) -> None:
        self.specs[plan.uid], self.generation[plan.uid] = plan.spec(), 1
        self.born[plan.uid], self.held[plan.uid] = self.cluster.now, {}
        self.engine.see_job(plan.uid, self.job(plan))

    def ask(self, ask: Ask) -> None:
        """A request, seen at once; nothing if there is no such job yet, or no more."""
        plan = self.scenario.jobs[ask.job]
        if plan.uid not in self.specs or self.held[plan.uid].get("state") in FINAL_STATES:
            return
        spec = self.specs[plan.uid]
        if ask.indexes:
            spec[ask.field] = [*spec.get(ask.field, ()), {"indexes": ask.indexes, "reason": ask.reason}]
        else:
            spec[ask.field] = {"reason": ask.reason}
            self.cluster.closed.add(plan.number)
        self.generation[plan.uid] += 1
        self.engine.see_job(plan.uid, self.job(plan))

    def restart(self) -> None:
        """The operator dies, and comes again: it lists BatchJobs, then Jobs, then pods."""
        if hasattr(self, "engine"):
            for task in self.engine.waiting:
                task.close()
        cluster = self.cluster
        for queue in (cluster.work_events, cluster.pod_events, cluster.node_events):
            queue.clear()
        self.store = store = Store(dirty=_Shuffled(self.random))
        self.engine = Driven(cluster, store)
        self.finals = {}
        _declare(store)
        for node in cluster.nodes.values():
            store.put_node(node.name, node)
        for plan in self.scenario.jobs:
            if plan.uid in self.specs:
                self.engine.see_job(plan.uid, self.job(plan))
        for job in cluster.jobs.values():
            self._see_work(job.work.uid, job.work)
        for pod in cluster.pods.values():
            store.put_pod(pod.uid, pod)

    def job(self, plan: JobPlan) -> Job | FinishedJob:
        """The BatchJob as the API server has it."""
        held, spec = self.held[plan.uid], self.specs[plan.uid]
        if held.get("state") in FINAL_STATES:
            array = FinishedArray.of(held.get("arrayProperties"))
            return FinishedJob(plan.uid, NAMESPACE, plan.name, held["state"], plan.queue, None, array)
        return Job(
            plan.uid,
            NAMESPACE,
            plan.name,
            self.generation[plan.uid],
            b.at(self.born[plan.uid]),
            BatchJobSpec.model_validate(spec),
            BatchJobStatus.model_validate(held),
        )

    # The watches.

    def see_works(self, number: int) -> None:
        for _ in range(min(number, len(self.cluster.work_events))):
            self._see_work(*self.cluster.work_events.popleft())

    def _see_work(self, uid: str, record: Any) -> None:
        self.store.put_work(uid, record)
        if record is not None and record.job_id in self.store.finished:
            self.engine.see_work_of_finished(record)

    def see_pods(self, number: int) -> None:
        for _ in range(min(number, len(self.cluster.pod_events))):
            self.store.put_pod(*self.cluster.pod_events.popleft())

    def see_nodes(self) -> None:
        while self.cluster.node_events:
            self.store.put_node(*self.cluster.node_events.popleft())

    # The operator.

    def look(self) -> None:
        """One pass, and what must hold after it."""
        errors = metrics.DECISION_ERRORS._value.get()
        self.engine._pass(b.at(self.cluster.now))
        assert metrics.DECISION_ERRORS._value.get() == errors, "a decision failed"
        for entry in self.store.entries.values():
            if entry.array is not None:
                self.check_elements(entry)

    def write(self, uid: str) -> None:
        """The status writer's turn, for one job."""
        self.engine.writer.forget(uid)
        wanted = self.engine._compose(uid)
        if wanted is None or wanted.wanted == self.held[uid]:
            return
        self.check_write(self.held[uid], wanted.wanted)
        self.held[uid] = wanted.wanted
        self.engine._written(uid, wanted.wanted)

    # What must hold at every moment.

    def check_elements(self, entry: Entry) -> None:
        elements = entry.array.elements  # type: ignore[union-attr]
        assert sum(elements.counts) == elements.total
        for state in range(6):
            assert elements.counts[state] == elements.states.count(state)
        for index, state in enumerate(elements.states):
            known = self.finals.get((entry.job.uid, index))
            assert known is None or known == state, f"element {index} of {entry.job.name} had a final state"
            if state in STATES:
                self.finals[entry.job.uid, index] = state

    def check_write(self, before: JSON, after: JSON) -> None:
        assert before.get("state") not in FINAL_STATES
        told, now = before.get("arrayProperties"), after.get("arrayProperties")
        if now is None:
            assert told is None
            return
        counts = now["statusSummary"]
        assert sum(counts.values()) == len(_indexes(now, "all") or ()) or sum(counts.values()) > 0
        for key in ("succeededIndexes", "failedIndexes"):
            assert told is None or _indexes(told, key) <= _indexes(now, key)

    def check_made(self, plan: JobPlan) -> None:
        """What the job waits for as a whole has ended as asked."""
        plans = self.scenario.jobs
        for need in plan.needs:
            if need.job is not None and not is_elementwise(plan, need, plans):
                needed = plans[need.job]
                entry = self.store.entries.get(needed.uid)
                state = entry.status.state if entry is not None else self.held[needed.uid].get("state")
                assert state in MET_BY[need.condition or "Succeeded"]

    def check_let_run(self, job: SimulatedJob, pod: Pod) -> None:
        """Its dependencies have ended as asked."""
        plan, plans = job.plan, self.scenario.jobs
        index = plan.present[pod.index]
        if self.state_of(plan, index) is not None:
            return  # It has ended already, and the pod is about to be stopped.
        for need in plan.needs:
            met_by = MET_BY[need.condition or "Succeeded"]
            if need.type == "SEQUENTIAL" and index - 1 in plan.present:
                assert self.state_of(plan, index - 1) in met_by
            if need.job is not None and is_elementwise(plan, need, plans):
                needed = plans[need.job]
                for other in needed_indexes(plan, needed, index):
                    assert other not in needed.present or self.state_of(needed, other) in met_by

    def state_of(self, plan: JobPlan, index: int) -> str | None:
        """The final state of an element, as the operator has it."""
        entry = self.store.entries.get(plan.uid)
        if entry is not None and entry.array is not None:
            return STATES.get(entry.array.elements.states[index])
        detail = self.held.get(plan.uid, {}).get("arrayProperties")
        if detail is None:
            return None
        found = [state for state in ("succeeded", "failed") if index in _indexes(detail, f"{state}Indexes")]
        return found[0].upper() if found else None

    def check_started(self, job: SimulatedJob, pod: Pod) -> None:
        """A container has started."""
        plan = job.plan
        index = plan.present[pod.index]
        running = [each for each in self.cluster.live(job) if each.started_at is not None]
        assert [each.index for each in running].count(pod.index) == 1
        assert self.cluster.attempts[plan.number, index] <= plan.attempts
        counting = [each for each in running if self.state_of(plan, plan.present[each.index]) is None]
        assert plan.limit is None or len(counting) <= plan.limit, "maxConcurrency"

    def check_room(self) -> None:
        """Never more let run than there ever was room for."""
        let_run = [pod for pod in self.cluster.pods.values() if not pod.is_finished and not pod.gated]
        assert len(let_run) <= self.cluster.most_slots


def _indexes(detail: JSON, key: str) -> set[int]:
    return set(expand(parse_indexes(detail.get(key, ""))))


def _declare(store: Store) -> None:
    for name in ("normal", "other"):
        queue = declared(JobQueueSpec, _body(manifests.job_queue(name)))
        store.queues[queue.key] = queue
    environment = declared(ComputeEnvironmentSpec, _body(manifests.compute_environment()))
    store.environments[environment.key] = environment
    definition = declared(
        JobDefinitionSpec,
        _body(manifests.job_definition()) | {"status": {"observedGeneration": 1, "status": "ACTIVE", "revision": 1}},
    )
    store.definitions[definition.key] = definition
    store.revisions[NAMESPACE, "hello", 1] = Revision("uid-1", NAMESPACE, "hello", 1, "uid-hello", DEFINITION)


def _body(manifest: JSON) -> JSON:
    return manifest | {
        "metadata": manifest["metadata"] | {"uid": f"uid-{manifest['metadata']['name']}", "generation": 1}
    }


async def _read_pods(cluster: Cluster, work: Work, *, is_array: bool) -> list[Pod]:
    cluster.fail_sometimes()
    return [pod for pod in cluster.pods.values() if pod.owner == work.uid]


def reads_pods_of_the_cluster(patch: Any) -> None:
    """The engine reads pods as the cluster has them."""
    patch.setattr(engine_module.acting, "read_pods", _read_pods)
