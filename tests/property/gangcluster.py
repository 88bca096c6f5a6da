"""A cluster as far as multi-node jobs see of it: an API server that may fail, a Job controller, a kube-scheduler,
kubelets and the garbage collector, all as slow as chance has it.

Objects are as on the wire, and reach the operator through its own projections, in order for each kind and late. What
must hold is asserted where it would be broken: no machine has more than it has room for, no two attempts of a job run
at one time, no two nodes of one job share a machine unless they may.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from math import inf
from random import Random
from typing import Any

import builders as b
from batchwright import names
from batchwright.cluster.client import JSON
from batchwright.cluster.resources import (
    BATCH_JOBS,
    CONFIG_MAPS,
    ENDPOINT_SLICES,
    JOBS,
    POD_GROUPS,
    PODS,
    SERVICES,
    Resource,
)
from batchwright.domain.observations import Node
from batchwright.domain.texts import timestamp
from batchwright.errors import AlreadyExists, ApiUnavailable, Forbidden, NotFound
from property.gangnames import Names
from property.gangpods import (
    CPU,
    begun,
    bound_together,
    copy_of,
    cpu_of,
    ended,
    group_of,
    is_of_its_group,
    is_over,
    is_ready,
    machine_of,
    owner_of,
    pod_of,
)

# A pod that has ended is taken away by one in so many looks, of which there are some eight a second.
COLLECTED = 10


class GangCluster:
    """The truth. `exits` says what the main node of a job exits with, and after how long, by its uid and attempt;
    `groups` whether it has PodGroups, all pods of which are bound at once."""

    def __init__(
        self, random: Random, trouble: int, exits: Callable[[str, int], tuple[float, int]], *, groups: bool = False
    ) -> None:
        self.random, self.trouble, self._exits, self.groups = random, trouble, exits, groups
        self.jobs: dict[str, JSON] = {}
        self.pods: dict[str, JSON] = {}
        self.others: dict[tuple[str, str], JSON] = {}
        self.nodes: dict[str, Node] = {}
        self.statuses: dict[str, JSON] = {}
        self.attempts: Counter[str] = Counter()
        self.writes: Counter[str] = Counter()
        self.made_nodes: Counter[str] = Counter()
        self.names = Names()
        self.bound_groups: set[str] = set()  # by the uid of the main node's pod
        # What a quota lets nobody make: objects of a kind of a job (kind/uid), main nodes' pods of jobs (uid).
        self.refused: set[str] = set()
        self.podless: set[str] = set()
        # Whether nodes but the main one run until they are stopped.
        self.lasting = False
        self._counted: set[str] = set()
        self._made = 0
        self._ends: dict[str, float] = {}
        self.hear: Callable[[str, str, Any], None] = lambda *_: None
        self._queues: dict[str, deque[tuple[str, Any]]] = {kind: deque() for kind in ("job", "pod", "node")}

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    # What the operator sees.

    def _show(self, kind: str, uid: str, item: Any) -> None:
        self._queues[kind].append((uid, item if item is None or isinstance(item, Node) else copy_of(item)))
        asyncio.get_running_loop().call_later(self.random.choice([0.01, 0.1, 0.6]), self._deliver, kind)

    def _deliver(self, kind: str) -> None:
        if self._queues[kind]:
            self.hear(kind, *self._queues[kind].popleft())

    def forget_events(self) -> None:
        """Nobody watches any more."""
        for queue in self._queues.values():
            queue.clear()

    # The API server.

    async def _answer(self) -> None:
        await asyncio.sleep(self.random.choice([0.001, 0.01, 0.1]))
        if self.random.randrange(100) < self.trouble:
            raise ApiUnavailable("the API server is away", 503)

    async def create(self, resource: Resource, namespace: str | None, body: JSON, **_: Any) -> JSON:
        await self._answer()
        name = body["metadata"]["name"]
        if f"{resource.kind}/{body['metadata']['labels'][names.LABEL_JOB_ID]}" in self.refused:
            raise Forbidden("exceeded quota", 403)
        known = {JOBS.kind: self.jobs, PODS.kind: {p["metadata"]["name"]: p for p in self.pods.values()}}
        if name in known.get(resource.kind, {}) or (resource.kind, name) in self.others:
            raise AlreadyExists("there is one", 409)
        self._made += 1
        made = copy_of(body)
        made["metadata"] |= {"uid": f"{resource.kind}-{self._made}", "creationTimestamp": timestamp(b.at(self.now))}
        self.writes[resource.kind] += 1
        if resource is PODS:
            owner = made["metadata"]["ownerReferences"][0]["uid"]
            assert owner in self.pods, "a node of a main node that is gone"
            assert is_of_its_group(made, [pod for pod in self.pods.values() if owner_of(pod) == owner])
            assert not group_of(made) or ("PodGroup", group_of(made)) in self.others
            self.made_nodes[name] += 1
            self.put_pod(made | {"status": {"phase": "Pending"}})
        elif resource is JOBS:
            self.jobs[name] = made | {"status": {}}
            self.put_job(self.jobs[name])
        else:
            if resource is POD_GROUPS and not self.groups:
                raise NotFound("no such kind", 404)
            assert resource in (SERVICES, CONFIG_MAPS, POD_GROUPS, ENDPOINT_SLICES)
            if resource is ENDPOINT_SLICES:
                self.names.create(body)
            self.others[resource.kind, name] = made
        await self._answer()
        return copy_of(made)

    async def request(self, method: str, path: str) -> JSON:
        await self._answer()
        assert (method, path) == ("GET", "/apis/scheduling.k8s.io/v1beta1")
        if not self.groups:
            raise NotFound("no such version", 404)
        return {"resources": [{"name": "workloads"}, {"name": "podgroups"}, {"name": "podgroups/status"}]}

    async def get(self, resource: Resource, namespace: str, name: str) -> JSON:
        await self._answer()
        if resource is POD_GROUPS:
            if (resource.kind, name) not in self.others:
                raise NotFound("there is none", 404)
            return copy_of(self.others[resource.kind, name])
        if resource is BATCH_JOBS:
            return {"metadata": {"uid": name}, "status": self.statuses.get(name)}
        return copy_of(self.jobs[name])

    async def pages(self, resource: Resource, namespace: str | None = None, **how: Any) -> AsyncIterator[JSON]:
        await self._answer()
        label, _, wanted = how["labels"].partition("=")
        found = [pod for pod in self.pods.values() if pod["metadata"]["labels"].get(label) == wanted]
        yield {"items": copy_of(found), "metadata": {}}

    async def patch(self, resource: Resource, namespace: str, name: str, body: Any, **how: Any) -> None:
        await self._answer()
        self.writes[resource.kind] += 1
        if resource is BATCH_JOBS:
            uid = body[0]["value"]
            self.statuses[uid] = copy_of(body[2]["value"])
            self.names.check(uid, self.statuses[uid], self.pods.values())
        elif resource is ENDPOINT_SLICES:
            self.names.patch(name, body)
        elif resource is JOBS:
            job = self.jobs.get(name)
            if job is None:
                raise NotFound("it is gone", 404)
            job["spec"] |= body["spec"]
            job["metadata"]["annotations"] |= body["metadata"].get("annotations", {})
            self.put_job(job)
        else:
            self._patch_pod(self._named(name), body)
        await self._answer()

    def _patch_pod(self, pod: JSON, body: JSON) -> None:
        if is_over(pod):
            return
        status, spec = body.get("status"), body.get("spec")
        if status is not None:
            pod["status"].setdefault("conditions", []).extend(status["conditions"])
            pod["status"]["phase"] = status.get("phase", pod["status"]["phase"])
        if spec is not None:
            pod["spec"]["schedulingGates"] = []
            pod["spec"]["affinity"] = spec["affinity"]
        self.put_pod(pod)

    def _named(self, name: str) -> JSON:
        found = next((pod for pod in self.pods.values() if pod["metadata"]["name"] == name), None)
        if found is None:
            raise NotFound("it is gone", 404)
        return found

    async def delete(self, resource: Resource, namespace: str, name: str, **how: Any) -> None:
        await self._answer()
        if resource is PODS:
            self._delete_pod(self._named(name))
        elif name in self.jobs:
            self.jobs[name]["metadata"]["deletionTimestamp"] = timestamp(b.at(self.now))
            self.put_job(self.jobs[name])

    async def delete_all(self, resource: Resource, namespace: str, *, labels: str, fields: str | None = None) -> None:
        await self._answer()
        assert resource is PODS
        assert fields == "status.phase!=Succeeded,status.phase!=Failed"
        mains = labels.partition(" in (")[2].removesuffix(")").split(",")
        for pod in list(self.pods.values()):
            if pod["metadata"]["labels"].get(names.LABEL_MAIN_POD) in mains and not is_over(pod):
                self._delete_pod(pod)
        await self._answer()

    def put_pod(self, pod: JSON) -> None:
        self.pods[pod["metadata"]["uid"]] = pod
        self._show("pod", pod["metadata"]["uid"], pod)

    def put_job(self, job: JSON) -> None:
        self._show("job", job["metadata"]["uid"], job)

    def _delete_pod(self, pod: JSON) -> None:
        if "deletionTimestamp" not in pod["metadata"]:
            pod["metadata"]["deletionTimestamp"] = timestamp(b.at(self.now))
            self.put_pod(pod)

    def _remove_pod(self, pod: JSON) -> None:
        del self.pods[pod["metadata"]["uid"]]
        self._show("pod", pod["metadata"]["uid"], None)

    # Nodes.

    def add_node(self, name: str, cpu: int) -> None:
        self.nodes[name] = b.node(name, cpu=CPU * cpu)
        self._show("node", name, self.nodes[name])

    def lose_node(self, name: str) -> None:
        """The machine is gone, and with it its pods: the pod garbage collector says so of each."""
        del self.nodes[name]
        self._show("node", name, None)
        for pod in list(self.pods.values()):
            if pod["spec"].get("nodeName") == name and not is_over(pod):
                lost = {"type": names.POD_CONDITION_DISRUPTED, "status": "True", "reason": "DeletionByPodGC"}
                pod["status"] |= {"phase": "Failed", "conditions": [*pod["status"].get("conditions", ()), lost]}
                pod["metadata"].setdefault("deletionTimestamp", timestamp(b.at(self.now)))
                self.put_pod(pod)

    async def run(self) -> None:
        """The controllers, each of which looks again and again: everybody moves, in any order."""
        while True:
            await asyncio.sleep(self.random.choice([0.05, 0.2]))
            for job in list(self.jobs.values()):
                if self.random.randrange(3):
                    self._control(job)
            for pod in list(self.pods.values()):
                if self.random.randrange(4):
                    self._move(pod)

    def _control(self, job: JSON) -> None:
        """One sync of the Job controller, for an Indexed Job of one completion."""
        uid, spec, status = job["metadata"]["uid"], job["spec"], job["status"]
        own = [pod for pod in self.pods.values() if owner_of(pod) == uid]
        live = [pod for pod in own if not is_over(pod)]
        if "deletionTimestamp" in job["metadata"]:
            for pod in live:
                self._delete_pod(pod)
            if not live:
                for pod in own:
                    self._remove_pod(pod)
                del self.jobs[job["metadata"]["name"]]
                self._show("job", uid, None)
            return
        if status.get("conditions"):
            return
        for pod in own:
            if is_over(pod) and pod["metadata"]["uid"] not in self._counted:
                self._count(job, pod)
        if spec.get("suspend"):
            for pod in live:
                # What is stopped by a suspension counts for nothing.
                self._counted.add(pod["metadata"]["uid"])
                self._delete_pod(pod)
        elif status.get("succeeded") or status.get("failedIndexes"):
            kind = "Complete" if status.get("succeeded") else "Failed"
            status["conditions"] = [{"type": kind, "status": "True", "message": "Job has failed indexes"}]
            self.put_job(job)
        elif not live:
            self._make_pod(job)

    def _count(self, job: JSON, pod: JSON) -> None:
        self._counted.add(pod["metadata"]["uid"])
        status = job["status"]
        if pod["status"]["phase"] == "Succeeded":
            status["succeeded"] = 1
        else:
            conditions = {each["type"] for each in pod["status"].get("conditions", ())}
            rules = job["spec"]["podFailurePolicy"]["rules"]
            action = next(
                (
                    rule["action"]
                    for rule in rules
                    if conditions & {each["type"] for each in rule.get("onPodConditions", ())}
                ),
                "Count",
            )
            if action != "Ignore":
                status["failed"] = status.get("failed", 0) + 1
            if action == "FailIndex" or status.get("failed", 0) > job["spec"]["backoffLimitPerIndex"]:
                status["failedIndexes"] = "0"
        if "deletionTimestamp" in pod["metadata"]:
            self._remove_pod(pod)
        self.put_job(job)

    def _make_pod(self, job: JSON) -> None:
        if job["spec"]["template"]["metadata"]["labels"][names.LABEL_JOB_ID] in self.podless:
            return
        self._made += 1
        self.put_pod(pod_of(job, self._made, self.now))

    def _move(self, pod: JSON) -> None:
        """The next thing in the life of a pod: by the garbage collector, the kube-scheduler or its kubelet."""
        metadata, spec, status = pod["metadata"], pod["spec"], pod["status"]
        if metadata["uid"] not in self.pods:
            return
        is_node = names.LABEL_MAIN_POD in metadata["labels"]
        if is_node and metadata["labels"][names.LABEL_MAIN_POD] not in self.pods:
            self._delete_pod(pod)
        if is_over(pod):
            # The pod garbage collector takes what has ended, with its Node or because there is too much of it.
            if is_node and ("deletionTimestamp" in metadata or self.random.randrange(COLLECTED) == 0):
                self._remove_pod(pod)
        elif "deletionTimestamp" in metadata:
            status |= {"phase": "Failed", **ended(143, self.now)} if "startTime" in status else {"phase": "Failed"}
            self.put_pod(pod)
        elif spec.get("schedulingGates"):
            return
        elif "nodeName" not in spec:
            self._schedule(pod)
        elif "startTime" not in status:
            self._start(pod)
        elif not is_ready(pod):
            status["containerStatuses"][0]["ready"] = True
            self.put_pod(pod)
        elif self.now >= self._ends[metadata["uid"]]:
            job_id = metadata["labels"][names.LABEL_JOB_ID]
            code = self._exits(job_id, int(metadata["annotations"][names.POD_FAILURE_COUNT]))[1]
            if is_node:
                code = self.random.choice([0, 3])
            status |= {"phase": "Failed" if code else "Succeeded", **ended(code, self.now)}
            self.put_pod(pod)

    def _schedule(self, pod: JSON) -> None:
        group = self.others.get(("PodGroup", group_of(pod)))
        for each in [pod] if group is None else bound_together(group, self.pods.values(), self.nodes):
            if group is not None:
                self.bound_groups.add(owner_of(group))
            self._bind(each)

    def _bind(self, pod: JSON) -> None:
        machine = machine_of(pod)
        if machine not in self.nodes:
            return
        there = [each for each in self.pods.values() if each["spec"].get("nodeName") == machine and not is_over(each)]
        asked = sum(cpu_of(each) for each in (*there, pod))
        assert asked <= self.nodes[machine].allocatable["cpu"], f"{machine} has no room for {pod['metadata']['name']}"
        job_id = pod["metadata"]["labels"][names.LABEL_JOB_ID]
        assert job_id not in [each["metadata"]["labels"][names.LABEL_JOB_ID] for each in there], "two on one machine"
        pod["spec"]["nodeName"] = machine
        self.put_pod(pod)

    def _start(self, pod: JSON) -> None:
        metadata = pod["metadata"]
        job_id, main = metadata["labels"][names.LABEL_JOB_ID], metadata["labels"].get(names.LABEL_MAIN_POD)
        pod["status"] |= begun(self.now, is_ready=self.random.randrange(3) > 0)
        running = [
            each
            for each in self.pods.values()
            if each["metadata"]["labels"][names.LABEL_JOB_ID] == job_id
            and "startTime" in each["status"]
            and not is_over(each)
            and each is not pod
        ]
        attempts = {each["metadata"]["labels"].get(names.LABEL_MAIN_POD, each["metadata"]["uid"]) for each in running}
        assert attempts <= {main or metadata["uid"]}, "nodes of two attempts run at one time"
        if main is None:
            self.attempts[job_id] += 1
            seconds = self._exits(job_id, int(metadata["annotations"][names.POD_FAILURE_COUNT]))[0]
            self._ends[metadata["uid"]] = self.now + seconds
        else:
            assert self.pods[main]["status"]["phase"] != "Pending", "the main node starts first"
            # What it ends with is of no consequence, nor when.
            self._ends[metadata["uid"]] = self.now + (inf if self.lasting else self.random.choice([0.1, 3.0, inf, inf]))
        self.put_pod(pod)
