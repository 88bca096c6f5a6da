"""A cluster as far as arrays see of it: an API server that may fail, a Job controller, a kube-scheduler, kubelets.

The Job controller makes an Indexed Job's lowest missing indexes first, up to its parallelism, counts failures by index
and reads the podFailurePolicy that the operator wrote. All truth is here; what the operator sees comes by `events`, in
order for each kind, and as late as the test likes.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field, replace
from datetime import UTC
from itertools import islice
from random import Random
from typing import Any

import builders as b
from batchwright import names
from batchwright.cluster import projections
from batchwright.cluster.client import JSON
from batchwright.cluster.resources import JOBS, PODS, Resource
from batchwright.domain.observations import Mark, Node, Pod, Work
from batchwright.domain.texts import timestamp
from batchwright.errors import AlreadyExists, ApiUnavailable, Invalid, NotFound
from property.arrayplans import LOST, OUT_OF_MEMORY, JobPlan

NAMESPACE = "default"


@dataclass
class SimulatedJob:
    """The truth about one Kubernetes Job. Positions, not indexes, but for `plan`."""

    body: JSON
    plan: JobPlan
    work: Work
    succeeded: set[int] = field(default_factory=set)
    failed: set[int] = field(default_factory=set)
    failures: Counter[int] = field(default_factory=Counter)
    counted: set[str] = field(default_factory=set)

    @property
    def completions(self) -> int:
        return int(self.body["spec"]["completions"])

    def acts_on(self, pod: Pod) -> str:
        """What the podFailurePolicy says of a failed pod; Count where it says nothing."""
        conditions = {pod.mark.type} if pod.mark is not None else set()
        if pod.disruption:
            conditions.add(names.POD_CONDITION_DISRUPTED)
        for rule in self.body["spec"]["podFailurePolicy"]["rules"]:
            wanted = {each["type"] for each in rule.get("onPodConditions", ())}
            if wanted & conditions:
                return str(rule["action"])
            codes = rule.get("onExitCodes")
            if codes is None or not pod.exit_code or pod.disruption:
                continue
            if (pod.exit_code in codes["values"]) == (codes["operator"] == "In"):
                return str(rule["action"])
        return "Count"


class Cluster:
    """The truth. `made` is called for each Job, `let_run` when a pod may run, `started` when its container does."""

    def __init__(self, plans: tuple[JobPlan, ...], random: Random, trouble: int) -> None:
        self.now = 0.0
        self.random = random
        self.trouble = trouble
        self.plans = {plan.uid: plan for plan in plans}
        self.jobs: dict[str, SimulatedJob] = {}  # by name
        self.pods: dict[str, Pod] = {}
        self.nodes: dict[str, Node] = {}
        self.work_events: deque[tuple[str, Work | None]] = deque()
        self.pod_events: deque[tuple[str, Pod | None]] = deque()
        self.node_events: deque[tuple[str, Node]] = deque()
        self.attempts: Counter[tuple[int, int]] = Counter()  # by job and index: containers started
        self.most_slots = 0
        self.element_writes = 0
        self.closed: set[int] = set()
        self.made: Any = None
        self.let_run: Any = None
        self.started: Any = None

    # The API server.

    def fail_sometimes(self) -> None:
        if self.random.randrange(100) < self.trouble:
            raise ApiUnavailable("the API server is away", 503)

    def put_pod(self, pod: Pod) -> None:
        self.pods[pod.uid] = pod
        self.pod_events.append((pod.uid, pod))

    def remove_pod(self, uid: str) -> None:
        del self.pods[uid]
        self.pod_events.append((uid, None))

    def put_job(self, job: SimulatedJob) -> None:
        job.work = projections.work(job.body)
        self.work_events.append((job.work.uid, job.work))

    def put_node(self, node: Node) -> None:
        self.nodes[node.name] = node
        self.most_slots = max(self.most_slots, sum(slots(each) for each in self.nodes.values()))
        self.node_events.append((node.name, node))

    async def create(self, resource: Resource, namespace: str | None, body: JSON) -> JSON:
        assert resource is JOBS
        self.fail_sometimes()
        name = body["metadata"]["name"]
        if name in self.jobs:
            raise AlreadyExists("there is one", 409)
        metadata = body["metadata"] | {"uid": f"uid-{name}", "creationTimestamp": timestamp(b.at(self.now))}
        made = body | {"metadata": metadata, "status": {}}
        plan = self.plans[metadata["ownerReferences"][0]["uid"]]
        self.made(plan)
        self.jobs[name] = SimulatedJob(made, plan, projections.work(made))
        self.put_job(self.jobs[name])
        self.fail_sometimes()
        return made

    async def get(self, resource: Resource, namespace: str, name: str) -> JSON:
        assert resource is JOBS
        self.fail_sometimes()
        return self.jobs[name].body

    async def patch(self, resource: Resource, namespace: str, name: str, body: JSON, **how: Any) -> None:
        self.fail_sometimes()
        if resource is JOBS:
            self._patch_job(name, body)
        else:
            self.element_writes += 1
            self._patch_pod(self._pod(name), body)
        self.fail_sometimes()

    def _patch_job(self, name: str, body: Any) -> None:
        if name not in self.jobs:
            raise NotFound("it is gone", 404)
        job = self.jobs[name]
        if isinstance(body, list):
            _, seen, change = (each["value"] for each in body)
            if seen != job.body["spec"]["parallelism"]:
                raise Invalid("a test failed", 422)
            spec = {"parallelism": change}
        else:
            spec = body["spec"]
        if "parallelism" in spec and job.plan.number not in self.closed:
            ungated = [pod for pod in self.live(job) if not pod.gated]
            assert spec["parallelism"] >= len(ungated), "a parallelism that ends running pods"
        job.body["spec"].update(spec)
        self.put_job(job)

    def _patch_pod(self, pod: Pod, body: JSON) -> None:
        if pod.is_finished:
            return
        if "status" in body:
            [condition] = body["status"]["conditions"]
            marked = replace(pod, mark=Mark(condition["type"], condition["message"]))
            phase = body["status"].get("phase")
            self.put_pod(replace(marked, phase=phase, running=False) if phase else marked)
        elif pod.gated:
            self.put_pod(replace(pod, gated=False))
            self.let_run(self.job_of(pod), pod)

    def _pod(self, name: str) -> Pod:
        if name not in self.pods:
            raise NotFound("it is gone", 404)
        return self.pods[name]

    async def delete(self, resource: Resource, namespace: str, name: str, **how: Any) -> None:
        self.fail_sometimes()
        if resource is PODS:
            self._delete_pod(self._pod(name))
            return
        if name not in self.jobs:
            raise NotFound("it is gone", 404)
        job = self.jobs[name]
        job.body["metadata"]["deletionTimestamp"] = timestamp(b.at(self.now))
        self.put_job(job)

    def _delete_pod(self, pod: Pod) -> None:
        if not pod.is_finished and not pod.deleting:
            self.put_pod(replace(pod, deleting=True))

    # The Job controller.

    def job_of(self, pod: Pod) -> SimulatedJob:
        return next(job for job in self.jobs.values() if job.work.uid == pod.owner)

    def live(self, job: SimulatedJob) -> list[Pod]:
        return [pod for pod in self.pods.values() if pod.owner == job.work.uid and not pod.is_finished]

    def control(self, job: SimulatedJob) -> None:
        """One sync: counts what ended, ends the Job, or makes pods."""
        if job.work.deleting:
            self._take_away(job)
            return
        if job.work.is_finished:
            return
        before = self._results(job)
        ended = [
            p for p in self.pods.values() if p.owner == job.work.uid and p.is_finished and p.uid not in job.counted
        ]
        for pod in ended:
            self._count(job, pod)
        live = self.live(job)
        if job.work.ending:
            for pod in live:
                self._delete_pod(pod)
            if not live:
                job.body["status"]["conditions"] = [
                    _condition("Failed", "Job was active longer than specified deadline")
                ]
        elif len(job.succeeded) + len(job.failed) == job.completions:
            kind, text = ("Failed", "Job has failed indexes") if job.failed else ("Complete", "")
            job.body["status"]["conditions"] = [_condition(kind, text)]
        else:
            self._make_pods(job, live)
        if before != self._results(job):
            job.body["status"] |= {
                "succeeded": len(job.succeeded),
                "failed": sum(job.failures.values()),
                "completedIndexes": ",".join(map(str, sorted(job.succeeded))),
                "failedIndexes": ",".join(map(str, sorted(job.failed))),
            }
            self.put_job(job)

    @staticmethod
    def _results(job: SimulatedJob) -> object:
        return len(job.counted), str(job.body["status"].get("conditions"))

    def _count(self, job: SimulatedJob, pod: Pod) -> None:
        job.counted.add(pod.uid)
        if pod.phase == "Succeeded":
            job.succeeded.add(pod.index)
            return
        action = job.acts_on(pod)
        job.failures[pod.index] += 1
        if action == "FailIndex" or job.failures[pod.index] > job.body["spec"]["backoffLimitPerIndex"]:
            job.failed.add(pod.index)

    def _make_pods(self, job: SimulatedJob, live: list[Pod]) -> None:
        active = {pod.index for pod in live}
        missing = (p for p in range(job.completions) if p not in job.succeeded | job.failed | active)
        spec = job.body["spec"]
        gates = {gate["name"] for gate in spec["template"]["spec"].get("schedulingGates", ())}
        if len(live) > spec["parallelism"]:
            # Those that run least go first.
            surplus = sorted(live, key=lambda pod: (pod.started_at is not None, bool(pod.node)))
            for pod in surplus[: len(live) - spec["parallelism"]]:
                self._delete_pod(pod)
        for position in list(islice(missing, max(0, spec["parallelism"] - len(live)))):
            failures = job.failures[position]
            name = f"{job.work.name}-{position}-{failures}-{len(self.pods)}"
            pod = Pod(
                uid=name,
                namespace=NAMESPACE,
                name=name,
                job_id=job.plan.uid,
                created_at=b.at(self.now),
                owner=job.work.uid,
                index=position,
                failures=failures,
                gated=names.GATE_ADMISSION in gates,
                request=job.work.request,
            )
            self.put_pod(pod)
            if not pod.gated:
                self.let_run(job, pod)

    def _take_away(self, job: SimulatedJob) -> None:
        for pod in self.live(job):
            self._delete_pod(pod)
        if not self.live(job):
            for pod in [pod for pod in self.pods.values() if pod.owner == job.work.uid]:
                self.remove_pod(pod.uid)
            del self.jobs[job.work.name]
            self.work_events.append((job.work.uid, None))

    # The kube-scheduler and the kubelets.

    def bind(self, pod: Pod) -> None:
        for node in self.nodes.values():
            used = sum(1 for other in self.pods.values() if other.node == node.name and not other.is_finished)
            if node.ready and used < slots(node):
                self.put_pod(replace(pod, node=node.name))
                return

    def move(self, pod: Pod) -> None:
        """The next thing in the life of a pod."""
        if pod.deleting:
            code = None if pod.started_at is None else self.random.choice([143, 143, 0])
            self._end(pod, code)
        elif pod.gated:
            return
        elif not pod.node:
            self.bind(pod)
        elif pod.started_at is None:
            self.put_pod(replace(pod, phase="Running", running=True, started_at=b.at(self.now)))
            job = self.job_of(pod)
            index = job.plan.present[pod.index]
            self.attempts[job.plan.number, index] += 1
            self.started(job, self.pods[pod.uid])
        else:
            plan = self.job_of(pod).plan
            self._end(pod, plan.code(plan.present[pod.index], pod.failures))

    def _end(self, pod: Pod, code: int | None) -> None:
        disruption = "DeletionByPodGC" if code == LOST else ""
        self.put_pod(
            replace(
                pod,
                phase="Succeeded" if code == 0 else "Failed",
                running=False,
                exit_code=None if code == LOST else code,
                stopped_at=b.at(self.now).astimezone(UTC),
                container_reason="OOMKilled" if code == OUT_OF_MEMORY else "Error" if code else "",
                disruption=disruption,
            )
        )


def _condition(kind: str, message: str) -> JSON:
    return {"type": kind, "status": "True", "message": message}


def slots(node: Node) -> int:
    """How many pods of these tests a node has room for."""
    return node.allocatable.get("cpu", 0) // 1000
