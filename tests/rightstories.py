"""Stories that need every right of the operator between them: what is common, and what is rare enough to be missed.

They end when what they are about has happened; the operator is one with the chart's rights and no others.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import capacityparts
import manifests
import waiting
from apiserver import ApiServer, Manifest
from batchwright.capacity.port import Order
from batchwright.capacity.simulated import Simulated
from batchwright.cluster.client import ApiClient
from batchwright.cluster.resources import BATCH_JOBS
from batchwright.cluster.writes import StatusWrite, StatusWriter, Urgency
from batchwright.names import SIMULATE
from batchwright.workloads.job import work_name
from batchwright.workloads.revision import revision_name
from operatorprocess import OperatorProcess
from watches import until

ROLE = "arn:aws:iam::123456789012:role/reader"
SECONDS = 60


@dataclass(frozen=True)
class Ground:
    """Where the stories are told: a cluster of ten simulated nodes of 32 vCPUs, and a namespace."""

    api: ApiServer
    operator: OperatorProcess
    # The operator's own rights.
    kubeconfig: Path
    namespace: str

    def declare(self) -> None:
        """The environments and queues of the stories."""
        by_order = [{"order": 1, "computeEnvironment": "nodes"}]
        for manifest in (
            manifests.compute_environment("nodes", nodeSelector={"type": "kwok"}),
            manifests.scheduling_policy("fair", shareDecaySeconds=60),
            manifests.consumable_resource("licences", totalQuantity=2),
            manifests.job_queue("normal", schedulingPolicy="fair"),
            manifests.job_queue(
                "brief",
                computeEnvironmentOrder=by_order,
                retention={"podSeconds": 0, "jobSeconds": 1},
                allowedJobRoles=[ROLE],
            ),
            manifests.job_definition("slow", self.namespace, podTemplate=lasting(600)),
            manifests.job_definition("quick", self.namespace),
            manifests.job_definition("whole", self.namespace, podTemplate=lasting(600, cpu="32")),
        ):
            self.api.create(manifest)

    def submit(self, name: str, definition: str = "quick", **spec: object) -> str:
        """A BatchJob; its uid."""
        spec = {"shareIdentifier": "one", **spec} if spec.get("jobQueue", "normal") == "normal" else spec
        made = self.api.create(manifests.batch_job(name, self.namespace, jobDefinition=definition, **spec))
        return str(made["metadata"]["uid"])

    def wait(self, name: str, *states: str) -> Manifest:
        """The job, once it is in one of these states."""
        return self.api.wait_for(
            "BatchJob", name, self.namespace, lambda job: (job.get("status") or {}).get("state") in states, SECONDS
        )

    def wait_count(self, name: str, state: str, count: int) -> None:
        """Returns once so many elements of an array are in a state."""

        def holds(job: Manifest) -> bool:
            properties = (job.get("status") or {}).get("arrayProperties") or {}
            return bool(properties.get("statusSummary", {}).get(state, 0) == count)

        self.api.wait_for("BatchJob", name, self.namespace, holds, SECONDS)

    def terminate(self, name: str) -> None:
        """Asks for the end of a job."""
        self.api.patch("BatchJob", name, self.namespace, {"spec": {"terminate": {"reason": "enough"}}})


def lasting(seconds: float, cpu: str = "1") -> dict[str, Any]:
    """A podTemplate of simulated pods that last so long."""
    container = {"name": "main", "image": "x", "resources": {"requests": {"cpu": cpu}}}
    return {
        "metadata": {"annotations": {f"{SIMULATE}/seconds": str(seconds)}},
        "spec": {"containers": [container]},
    }


def what_ends_jobs(ground: Ground) -> None:
    """Timeout, terminate, a quota that refuses pods, consumable resources."""
    needs = {"consumableResourceList": [{"consumableResource": "licences", "quantity": 1}]}
    ground.submit("late", "slow", timeout={"attemptDurationSeconds": 1})
    ground.submit("ended", "slow", consumableResourcePropertiesOverride=needs)
    ground.wait("ended", "RUNNING")
    ground.terminate("ended")
    for name in ("late", "ended"):
        ground.wait(name, "FAILED")
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    ground.api.request("POST", f"/api/v1/namespaces/{ground.namespace}/resourcequotas", quota)
    ground.submit("refused")
    ground.api.wait_for(
        "BatchJob",
        "refused",
        ground.namespace,
        lambda job: "exceeded quota" in str((job.get("status") or {}).get("statusReason")),
        SECONDS,
    )
    ground.api.request("DELETE", f"/api/v1/namespaces/{ground.namespace}/resourcequotas/none")
    ground.terminate("refused")


def what_aws_jobs_need(ground: Ground) -> None:
    """An IAM role, an EFS volume, and retention, which deletes the job in the end."""
    volume = {"name": "shared", "efsVolumeConfiguration": {"fileSystemId": "fs-0123456789abcdef0"}}
    ground.api.create(
        manifests.job_definition(
            "aws", ground.namespace, containerProperties=manifests.container(jobRoleArn=ROLE, volumes=[volume])
        )
    )
    ground.submit("aws", "aws", jobQueue="brief")
    volumes = f"/api/v1/namespaces/{ground.namespace}/persistentvolumeclaims"
    until(lambda: bool(ground.api.request("GET", volumes)["items"]), "no claim is made", SECONDS)
    ground.submit("gone", jobQueue="brief")
    until(
        lambda: ground.api.find("BatchJob", "gone", ground.namespace) is None, "a job that was not to be kept", SECONDS
    )


def what_arrays_need(ground: Ground) -> None:
    """A ConfigMap that is read, parallelism raised, gates removed, elements ended alone and all together."""
    table = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "table", "namespace": ground.namespace}}
    ground.api.create({**table, "data": {"items": "[a, b, c]"}})
    ground.submit("rows", arrayProperties={"items": {"configMap": {"name": "table"}}})
    ground.submit("pairs", arrayProperties={"size": 3}, dependsOn=[{"name": "rows", "type": "N_TO_N"}])
    for name in ("rows", "pairs"):
        ground.wait(name, "SUCCEEDED")
    # One element a node: the last one gets room when the other job ends, which takes a higher parallelism.
    ground.submit("other", "whole")
    ground.wait("other", "RUNNING")
    ground.submit("sweep", "whole", arrayProperties={"size": 10})
    ground.wait_count("sweep", "RUNNING", 9)
    ground.terminate("other")
    ground.wait_count("sweep", "RUNNING", 10)
    request = {"indexes": "0,3", "reason": "not these"}
    ground.api.patch("BatchJob", "sweep", ground.namespace, {"spec": {"terminateElements": [request]}})
    ground.wait_count("sweep", "FAILED", 2)
    ground.terminate("sweep")
    ground.wait("sweep", "FAILED")


def what_nodes_need(ground: Ground) -> None:
    """A multi-node job: names and hostfile, pods of its other nodes, and their end when the main node's has come."""
    ranges = [
        {"targetNodes": "0", "podTemplate": lasting(1)},
        {"targetNodes": "1:", "podTemplate": lasting(600)},
    ]
    nodes = {"numNodes": 3, "mainNode": 0, "nodeRangeProperties": ranges}
    ground.api.create(manifests.job_definition("gang", ground.namespace, type="multinode", nodeProperties=nodes))
    ground.submit("gang", "gang")
    ground.wait("gang", "SUCCEEDED")


def what_groups_of_pods_need(ground: Ground) -> None:
    """The other nodes of a multi-node job are a PodGroup, which an operator that finds half of them asks for."""
    apart = replace(ground, namespace=f"{ground.namespace}-groups")
    apart.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": apart.namespace}})
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "three", "namespace": apart.namespace}}
    apart.api.create({**quota, "spec": {"hard": {"pods": "3"}}})
    until(lambda: "hard" in apart.api.list("ResourceQuota", apart.namespace)[0].get("status", {}), "no quota", SECONDS)
    nodes = {
        "numNodes": 4,
        "mainNode": 0,
        "nodeRangeProperties": [{"targetNodes": "0:", "podTemplate": lasting(600)}],
    }
    apart.api.create(manifests.job_definition("group", apart.namespace, type="multinode", nodeProperties=nodes))
    apart.submit("group", "group")
    until(lambda: len(apart.api.list("Pod", apart.namespace)) == 3, "no other nodes", SECONDS)
    apart.operator.stop()
    apart.operator.start()
    apart.api.patch("ResourceQuota", "three", apart.namespace, {"spec": {"hard": {"pods": "4"}}})
    apart.wait("group", "RUNNING")
    until(
        lambda: [pod["status"].get("phase") for pod in apart.api.list("Pod", apart.namespace)] == ["Running"] * 4,
        "not all of the nodes run",
        SECONDS,
    )
    apart.terminate("group")
    apart.wait("group", "FAILED")
    apart.api.delete("Namespace", apart.namespace)


def nodes_that_come_and_go(ground: Ground) -> None:
    """An environment of type MANAGED with simulated nodes, until it and they are deleted."""
    resources = {"type": "EC2", "maxvCpus": 8, "instanceTypes": ["m5"]}
    elastic = manifests.compute_environment("elastic", type="MANAGED", provider="SIMULATED", computeResources=resources)
    ground.api.create(elastic)
    ground.api.create(
        manifests.job_queue("elastic", computeEnvironmentOrder=[{"order": 1, "computeEnvironment": "elastic"}])
    )
    ground.submit("grown", jobQueue="elastic")
    ground.wait("grown", "SUCCEEDED")
    mine = "batchwright.io/compute-environment=elastic"
    assert ground.api.list("Node", labelSelector=mine)
    ground.api.delete("ComputeEnvironment", "elastic")
    until(lambda: not ground.api.list("Node", labelSelector=mine), "nodes to go", SECONDS)


def names_that_are_taken(ground: Ground) -> None:
    """What the operator is about to make is there already, as after a crash, or because somebody was quicker."""
    ground.operator.stop()
    what_a_crash_leaves(ground)
    job = ground.submit("forged")
    foreign = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": work_name("forged", job), "namespace": ground.namespace},
        "spec": {
            "suspend": True,
            "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "x"}]}},
        },
    }
    ground.api.create(foreign)
    revision = {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {"name": revision_name("second", 1), "namespace": ground.namespace},
        "data": {},
        "revision": 1,
    }
    ground.api.create(revision)
    ground.api.create(manifests.job_definition("second", ground.namespace))
    ground.operator.start()
    ground.wait("forged", "FAILED")
    found = ground.api.wait_for(
        "JobDefinition", "second", ground.namespace, lambda each: bool((each.get("status") or {}).get("revision")), 30
    )
    assert found["status"]["revision"] == 2


def what_a_crash_leaves(ground: Ground) -> None:
    """A launch that was made and not noted, and a status that another process has gone on to write: the operator's own
    code with its own rights, as no story from outside can time them. No operator runs meanwhile."""
    made = ground.api.create(manifests.batch_job("written", ground.namespace, jobQueue="nobody"))
    written = ground.api.write_status(made | {"status": {"state": "SUBMITTED"}})
    name = "crash"
    blueprint = capacityparts.blueprint(name)

    async def tell() -> None:
        async with await ApiClient.connect(kubeconfig=str(ground.kubeconfig)) as client:
            provider = Simulated(client)
            order = Order("token", 1, (capacityparts.kind(),))
            first = await provider.launch(blueprint, order)
            assert await provider.launch(blueprint, order) == first
            await provider.terminate([each.id for each in await provider.describe() if each.environment_name == name])

            heard: list[object] = []
            held = {"state": "RUNNABLE"}
            uid = written["metadata"]["uid"]
            write = StatusWrite(BATCH_JOBS, ground.namespace, "written", uid, {"state": "STARTING"}, held)
            writer = StatusWriter(client, lambda key: write, lambda key, wire: heard.append(wire))
            task = asyncio.create_task(writer.run())
            writer.offer("written", "STARTING", Urgency(0.0, 0))
            await waiting.until(lambda: bool(heard), what="an answer")
            task.cancel()

    asyncio.run(tell())


STORIES = (
    what_ends_jobs,
    what_aws_jobs_need,
    what_arrays_need,
    what_nodes_need,
    what_groups_of_pods_need,
    nodes_that_come_and_go,
    names_that_are_taken,
)
