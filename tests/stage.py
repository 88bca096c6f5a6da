"""A stage for stories about jobs: nodes, an environment and a queue of the test's own on the shared cluster."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import manifests
from apiserver import ApiServer, Manifest, Refused
from batchwright.local.images import BUSYBOX_IMAGE
from batchwright.names import LABEL_MAIN_POD, POD_FAILURE_COUNT, POD_INDEX, SIMULATE, SIMULATE_SECONDS

FINAL = ("SUCCEEDED", "FAILED")
STATES = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", *FINAL)
MEMORY = 64 * 1024


def position_of(pod: Manifest) -> int:
    """The completion index of a pod."""
    return int(pod["metadata"]["annotations"][POD_INDEX])


def failures_of(pod: Manifest) -> int:
    """How many pods of its index failed before this one."""
    return int(pod["metadata"]["annotations"].get(POD_FAILURE_COUNT, "0"))


def variables_of(pod: Manifest) -> dict[str, str]:
    """The environment of a pod's first container as it is written there; what is a reference has its field's path."""
    listed = pod["spec"]["containers"][0]["env"]
    return {
        each["name"]: each.get("value", each.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath", ""))
        for each in listed
    }


def count_of(status: dict[str, Any], state: str) -> int:
    """How many elements a status of an array says are in the state; 0 as long as it says nothing of them."""
    return int((status.get("arrayProperties") or {}).get("statusSummary", {}).get(state, 0))


def summary(**counts: int) -> dict[str, int]:
    """A statusSummary: all seven states, those not given 0."""
    return {**dict.fromkeys(STATES, 0), **counts}


class Stage:
    """Everything made here carries the namespace's name, so that tests do not meet."""

    def __init__(self, api: ApiServer, namespace: str) -> None:
        self.api = api
        self.namespace = namespace
        self._cluster_scoped: list[tuple[str, str]] = []
        self._nodes_of: defaultdict[str, list[str]] = defaultdict(list)

    def nodes(self, count: int = 1, *, cpu: int = 4, group: str = "a", **extended: str) -> list[str]:
        """Simulated nodes, beside those there are, that only environments of this group use."""
        made = []
        first = len(self._nodes_of[group])
        for number in range(first, first + count):
            name = f"{self.namespace}-{group}{number}"
            capacity = {"cpu": str(cpu), "memory": f"{MEMORY}Mi", "pods": "500", **extended}
            node: Manifest = {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {
                    "name": name,
                    "labels": {"type": "kwok", "kubernetes.io/hostname": name, "group": self._group(group)},
                    "annotations": {"kwok.x-k8s.io/node": "fake"},
                },
                "status": {"capacity": capacity, "allocatable": capacity},
            }
            self.api.create(node)
            self._cluster_scoped.append(("Node", name))
            self._nodes_of[group].append(name)
            made.append(name)
        return made

    def _group(self, group: str) -> str:
        return f"{self.namespace}-{group}"

    def environment(self, name: str = "env", *, group: str = "a", **spec: object) -> str:
        """A ComputeEnvironment of the group's nodes; its full name."""
        full = f"{self.namespace}-{name}"
        selector = {"group": self._group(group)}
        self.declare(manifests.compute_environment(full, nodeSelector=selector, **spec))
        return full

    def queue(self, name: str = "queue", *environments: str, **spec: object) -> str:
        """A JobQueue over the environments, by default the one named `env`; its full name."""
        full = f"{self.namespace}-{name}"
        order = [
            {"order": number, "computeEnvironment": environment}
            for number, environment in enumerate(environments or (f"{self.namespace}-env",), start=1)
        ]
        self.declare(manifests.job_queue(full, computeEnvironmentOrder=order, **spec))
        return full

    def declare(self, manifest: Manifest) -> None:
        """Creates a cluster-scoped object that goes with the stage."""
        self.api.create(manifest)
        self._cluster_scoped.append((manifest["kind"], manifest["metadata"]["name"]))

    def simulated(
        self, name: str = "hello", *, cpu: str = "1", simulate: dict[str, str] | None = None, **spec: Any
    ) -> str:
        """A JobDefinition whose pods are simulated as told (`seconds`, `exit-code`, …)."""
        template = {
            "metadata": {"annotations": {f"{SIMULATE}/{key}": value for key, value in (simulate or {}).items()}},
            "spec": {
                "containers": [{"name": "main", "image": "simulated", "resources": {"requests": {"cpu": cpu}}}],
                **spec.pop("pod", {}),
            },
        }
        return self.define(name, podTemplate=template, **spec)

    def gang(
        self,
        name: str = "gang",
        *,
        nodes: int = 3,
        cpu: str = "1",
        main: dict[str, str] | None = None,
        others: dict[str, str] | None = None,
        properties: dict[str, Any] | None = None,
        **spec: Any,
    ) -> str:
        """A multi-node JobDefinition whose main node, and whose other nodes, are simulated as told; the others run on
        where nothing is said of them."""

        def template(simulate: dict[str, str] | None) -> Manifest:
            return {
                "metadata": {"annotations": {f"{SIMULATE}/{key}": value for key, value in (simulate or {}).items()}},
                "spec": {
                    "containers": [{"name": "main", "image": "simulated", "resources": {"requests": {"cpu": cpu}}}]
                },
            }

        ranges = [{"targetNodes": "0", "podTemplate": template(main)}]
        ranges += [{"targetNodes": "1:", "podTemplate": template(others)}] if nodes > 1 else []
        given = {"numNodes": nodes, "mainNode": 0, "nodeRangeProperties": ranges, **(properties or {})}
        return self.define(name, type="multinode", nodeProperties=given, **spec)

    def define(self, name: str, **spec: object) -> str:
        """A JobDefinition."""
        self.api.create(manifests.job_definition(name, self.namespace, **spec))
        return name

    def submit(self, name: str, definition: str = "hello", *, queue: str = "queue", **spec: object) -> str:
        """A BatchJob in the stage's queue; its jobId."""
        full = f"{self.namespace}-{queue}"
        job = manifests.batch_job(name, self.namespace, jobQueue=full, jobDefinition=definition, **spec)
        return str(self.api.create(job)["metadata"]["uid"])

    def job(self, name: str) -> Manifest:
        """The BatchJob as it is."""
        found = self.api.find("BatchJob", name, self.namespace)
        assert found is not None, f"there is no BatchJob {name}"
        return found

    def status(self, name: str) -> dict[str, Any]:
        """The BatchJob's status as it is."""
        return dict(self.job(name).get("status") or {})

    def wait(self, name: str, condition: str | Callable[[dict[str, Any]], bool], seconds: int = 40) -> dict[str, Any]:
        """The BatchJob's status once it is in a state, or a condition holds of its status."""

        def holds(job: Manifest) -> bool:
            status = job.get("status") or {}
            return status.get("state") == condition if isinstance(condition, str) else condition(status)

        return dict(self.api.wait_for("BatchJob", name, self.namespace, holds, seconds)["status"])

    def wait_final(self, name: str, seconds: int = 60) -> dict[str, Any]:
        """The BatchJob's status once it has finished."""
        return self.wait(name, lambda status: status.get("state") in FINAL, seconds)

    def wait_all_final(self, count: int, seconds: int) -> dict[str, dict[str, Any]]:
        """The statuses of the namespace's BatchJobs by name, once `count` of them have finished."""
        deadline = time.monotonic() + seconds
        while True:
            jobs = {
                job["metadata"]["name"]: job.get("status") or {} for job in self.api.list("BatchJob", self.namespace)
            }
            if sum(status.get("state") in FINAL for status in jobs.values()) >= count:
                return jobs
            assert time.monotonic() < deadline, (
                f"not finished: {[n for n, s in jobs.items() if s.get('state') not in FINAL]}"
            )
            time.sleep(0.5)

    def pods(self, job_id: str) -> list[Manifest]:
        """The pods of a job."""
        return self.api.list("Pod", self.namespace, labelSelector=f"batchwright.io/job-id={job_id}")

    def end_if_all_run(self, job_id: str, size: int) -> bool:
        """Ends the main node of a simulated multi-node job, however long it was to run, if all of its nodes run;
        whether they did."""
        running = [
            pod
            for pod in self.pods(job_id)
            if pod["status"].get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]
        ]
        mains = [pod["metadata"] for pod in running if LABEL_MAIN_POD not in pod["metadata"]["labels"]]
        others = Counter(pod["metadata"]["labels"].get(LABEL_MAIN_POD) for pod in running)
        for main in mains:
            if others[main["uid"]] == size - 1:
                change = {"metadata": {"annotations": {SIMULATE_SECONDS: "0"}}}
                self.api.patch("Pod", main["name"], self.namespace, change)
                return True
        return False

    def element_pods(self, job_id: str) -> dict[int, list[Manifest]]:
        """The pods of an array by position (completion index), the first attempt first."""
        found: dict[int, list[Manifest]] = {}
        for pod in sorted(self.pods(job_id), key=failures_of):
            found.setdefault(position_of(pod), []).append(pod)
        return found

    def terminate(self, name: str, reason: str) -> None:
        """Asks for the end of a job."""
        self.api.patch("BatchJob", name, self.namespace, {"spec": {"terminate": {"reason": reason}}})

    def end_elements(self, field: str, name: str, requests: dict[str, str]) -> None:
        """Asks by `terminateElements` or `cancelElements` for the end of elements: reasons by indexes."""
        asked = [{"indexes": indexes, "reason": reason} for indexes, reason in requests.items()]
        self.api.patch("BatchJob", name, self.namespace, {"spec": {field: asked}})

    def real_environment(self) -> None:
        """An environment of the cluster's real node, and a queue to it."""
        name = f"{self.namespace}-real"
        self.declare(manifests.compute_environment(name, nodeSelector={"batchwright.io/node": "real"}))
        self.queue("queue", name)

    def events(self, name: str, kind: str = "BatchJob") -> list[tuple[str, str, str]]:
        """(type, reason, message) of the events on an object."""
        found = self.api.list(
            "Event", self.namespace, fieldSelector=f"involvedObject.name={name},involvedObject.kind={kind}"
        )
        return [(event["type"], event["reason"], event["message"]) for event in found]

    def wait_event(self, name: str, reason: str, seconds: int = 20, kind: str = "BatchJob", *, text: str = "") -> str:
        """The message of an event with this reason, and with `text` in its message."""
        deadline = time.monotonic() + seconds
        while True:
            for _, found, message in self.events(name, kind):
                if found == reason and text in message:
                    return message
            assert time.monotonic() < deadline, f"no event {reason} on {name}: {self.events(name, kind)}"
            time.sleep(0.2)

    def wait_cluster_event(self, name: str, reason: str, seconds: int = 20) -> str:
        """The message of an event with this reason on an object that has no namespace."""
        deadline = time.monotonic() + seconds
        while True:
            found = self.api.list("Event", "default", fieldSelector=f"involvedObject.name={name},reason={reason}")
            if found:
                return str(found[0]["message"])
            assert time.monotonic() < deadline, f"no event {reason} on {name}"
            time.sleep(0.2)

    def wait_none(self, kind: str, name: str, seconds: int = 40) -> None:
        """Returns once the namespace has no such object."""
        deadline = time.monotonic() + seconds
        while self.api.find(kind, name, self.namespace) is not None:
            assert time.monotonic() < deadline, f"{kind} {name} stays"
            time.sleep(0.2)

    def wait_no_pods(self, job_id: str, seconds: int = 40) -> None:
        """Returns once the job has no pods."""
        deadline = time.monotonic() + seconds
        while self.pods(job_id):
            assert time.monotonic() < deadline, f"pods of {job_id} stay"
            time.sleep(0.2)

    def close(self) -> None:
        """Removes what is not the namespace's."""
        for kind, name in reversed(self._cluster_scoped):
            try:
                self.api.delete(kind, name)
            except Refused as refused:
                if refused.status != 404:
                    raise


def shell(script: str, *arguments: str, **properties: object) -> Manifest:
    """containerProperties of a small shell script in a real container; `arguments` are its $1, $2, …"""
    asked = [{"type": "VCPU", "value": "0.1"}, {"type": "MEMORY", "value": "32"}]
    command = ["sh", "-c", script, *(("sh", *arguments) if arguments else ())]
    return {"image": BUSYBOX_IMAGE, "command": command, "resourceRequirements": asked, **properties}


def sharing(directory: Path) -> dict[str, object]:
    """containerProperties that give the container a directory of the host as /shared."""
    return {
        "volumes": [{"name": "shared", "host": {"sourcePath": str(directory)}}],
        "mountPoints": [{"sourceVolume": "shared", "containerPath": "/shared"}],
    }
