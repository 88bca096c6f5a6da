"""The contenders: who turns N submissions into N pods. Each submits by the same client and is watched by the same one.

`plain` is Kubernetes alone: an Indexed Job of one pod, as the operator would make it. `batchwright` submits BatchJobs,
and the operator makes the same Jobs of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import manifests
from batchwright import names
from batchwright.cluster.client import JSON, ApiClient
from batchwright.cluster.resources import (
    BATCH_JOBS,
    COMPUTE_ENVIRONMENTS,
    JOB_DEFINITIONS,
    JOB_QUEUES,
    JOBS,
    Resource,
)
from operatorprocess import OperatorProcess

NAMESPACE = "default"
POD_SECONDS = "0.1"
FINAL = ("SUCCEEDED", "FAILED")


class Contender(Protocol):
    """One way to run jobs."""

    name: str
    resource: Resource

    async def prepare(self, api: ApiClient, kubeconfig: Path, directory: Path) -> None:
        """What is there before the first submission. Nothing here is measured."""

    def submission(self, number: int) -> JSON:
        """The object that is one job."""

    def verdict(self, item: JSON) -> bool | None:
        """Whether the job succeeded; None while it has not finished."""

    def pid(self) -> int | None:
        """The contender's own process, if it has one."""

    def close(self) -> None:
        """Ends what `prepare` started."""


def pod_template() -> dict[str, Any]:
    """The pod of every job: simulated, a tenth of a second, a tenth of a CPU."""
    container = {"name": "main", "image": "simulated", "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}}
    return {
        "metadata": {"annotations": {names.SIMULATE_SECONDS: POD_SECONDS}},
        "spec": {"restartPolicy": "Never", "containers": [container]},
    }


class Plain:
    """Indexed Jobs of one pod, and nobody but Kubernetes."""

    name = "plain"
    resource = JOBS

    async def prepare(self, api: ApiClient, kubeconfig: Path, directory: Path) -> None:
        """Nothing to prepare."""

    def submission(self, number: int) -> JSON:
        """An Indexed Job of one pod, one attempt."""
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": f"bench-{number}", "namespace": NAMESPACE},
            "spec": {
                "completionMode": "Indexed",
                "completions": 1,
                "parallelism": 1,
                "backoffLimitPerIndex": 0,
                "template": pod_template(),
            },
        }

    def verdict(self, item: JSON) -> bool | None:
        """By the Job's conditions."""
        conditions = {c["type"] for c in item.get("status", {}).get("conditions", ()) if c["status"] == "True"}
        if "Complete" in conditions:
            return True
        return False if "Failed" in conditions else None

    def pid(self) -> int | None:
        """Kubernetes has no process of ours."""
        return None

    def close(self) -> None:
        """Nothing was started."""


class Batchwright:
    """BatchJobs, and the operator."""

    name = "batchwright"
    resource = BATCH_JOBS

    def __init__(self) -> None:
        self._operator: OperatorProcess | None = None

    async def prepare(self, api: ApiClient, kubeconfig: Path, directory: Path) -> None:
        """The operator, a queue over all nodes, and the definition, once it is ACTIVE."""
        self._operator = OperatorProcess(kubeconfig, directory / "operator.log")
        self._operator.start()
        selector = {"type": "kwok"}
        await api.create(COMPUTE_ENVIRONMENTS, None, manifests.compute_environment("nodes", nodeSelector=selector))
        await api.create(JOB_QUEUES, None, manifests.job_queue("normal"))
        definition = manifests.job_definition("hello", NAMESPACE, podTemplate=pod_template())
        made = await api.create(JOB_DEFINITIONS, NAMESPACE, definition)
        version = made["metadata"]["resourceVersion"]
        async for event in api.watch(JOB_DEFINITIONS, version, namespace=NAMESPACE, seconds=30):
            if event["object"].get("status", {}).get("status") == "ACTIVE":
                return
        raise RuntimeError(f"the definition did not become ACTIVE:\n{self._operator.log[-2000:]}")

    def submission(self, number: int) -> JSON:
        """A BatchJob."""
        return manifests.batch_job(f"bench-{number}", NAMESPACE)

    def verdict(self, item: JSON) -> bool | None:
        """By the BatchJob's state."""
        state = item.get("status", {}).get("state")
        return state == "SUCCEEDED" if state in FINAL else None

    def pid(self) -> int | None:
        """The operator's."""
        return None if self._operator is None else self._operator.pid

    def close(self) -> None:
        """Stops the operator."""
        if self._operator is not None:
            self._operator.stop()


CONTENDERS: dict[str, type[Plain] | type[Batchwright]] = {"plain": Plain, "batchwright": Batchwright}
