"""Stories of multi-node jobs beside others, on simulated nodes: preempted, in each other's way, with GPUs, near each
other where that can be; and the examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from batchwright.names import SIMULATE_SECONDS
from gangparts import end_now, machines, wait_ended, wait_nodes
from stage import Stage
from watches import PodObserver

GPU = "nvidia.com/gpu"
EXAMPLES = sorted((Path(__file__).parents[2] / "examples/multinode").glob("*.yaml"))


@pytest.fixture
def four(stage: Stage) -> Stage:
    """A stage with four nodes of 2 vCPU."""
    return machines(stage)


@pytest.fixture
def pods(stage: Stage) -> Iterator[PodObserver]:
    made = PodObserver(stage.api, stage.namespace)
    yield made
    made.stop()
    assert not made.gaps


def test_preemption_takes_all_nodes_back(four: Stage, pods: PodObserver) -> None:
    """Room for one node is asked for, and the whole gang goes: it is RUNNABLE, and is charged no attempt."""
    four.queue("low", priority=1)
    four.queue("high", priority=10, preemption={"lowerPriorityQueues": "ENABLED"})
    four.gang(nodes=4, cpu="2", main={"seconds": "600"})
    four.simulated("long", cpu="2", simulate={"seconds": "600"})
    job_id = four.submit("train", "gang", queue="low")
    wait_nodes(four, job_id, 4)
    before = four.wait("train", "RUNNING")["startedAt"]
    four.submit("urgent", "long", queue="high")
    four.wait("urgent", "RUNNING")
    wait_ended(four, job_id)
    assert four.wait("train", "RUNNABLE").get("preemptions") == 1
    assert any(reason == "Preempted" for _, reason, _ in four.events("train"))
    assert pods.ran(job_id) == dict.fromkeys(range(4), 1)
    four.terminate("urgent", "seen")
    wait_nodes(four, job_id, 4, seconds=60)
    assert four.wait("train", "RUNNING")["startedAt"] > before
    end_now(four, job_id, 0)
    status = four.wait_final("train")
    assert (status["state"], status["preemptions"]) == ("SUCCEEDED", 1)
    assert [each["container"].get("exitCode") for each in status["attempts"]] == [0], "no attempt was charged"
    assert pods.ran(job_id) == dict.fromkeys(range(4), 2)


def test_two_that_each_need_all_machines_run_one_after_the_other(four: Stage, pods: PodObserver) -> None:
    """Were each let have what it can get, both would hold half of what they need for ever."""
    four.queue()
    four.gang(nodes=4, cpu="2", main={"seconds": "4"})
    jobs = [four.submit(f"all-{number}", "gang") for number in range(2)]
    for number in range(2):
        assert four.wait_final(f"all-{number}", seconds=90)["state"] == "SUCCEEDED"
    for job_id in jobs:
        assert pods.ran(job_id) == dict.fromkeys(range(4), 1)
        assert pods.most[job_id] == 4
    first, second = sorted((pods.of(job_id) for job_id in jobs), key=lambda each: each[0].bound or 0)
    assert max(pod.ended or 0 for pod in first) < min(pod.bound or 0 for pod in second), "both had machines at once"


def test_nodes_with_gpus(stage: Stage) -> None:
    stage.nodes(2, cpu=8, **{GPU: "4"})
    stage.nodes(1, cpu=8)
    stage.environment()
    stage.queue()
    container = {"name": "main", "image": "simulated", "resources": {"limits": {"cpu": "1", GPU: "4"}}}
    template = {"metadata": {"annotations": {SIMULATE_SECONDS: "600"}}, "spec": {"containers": [container]}}
    ranges = [{"targetNodes": "0:", "podTemplate": template}]

    def gang(name: str, nodes: int) -> None:
        given = {"numNodes": nodes, "mainNode": 0, "nodesPerHost": nodes, "nodeRangeProperties": ranges}
        stage.define(name, type="multinode", nodeProperties=given)

    gang("pair", 2)
    gang("three", 3)
    job_id = stage.submit("first", "pair")
    found = wait_nodes(stage, job_id, 2)
    work = stage.wait("first", "RUNNING")["jobName"]
    machines = {pods[0]["spec"]["nodeName"] for pods in found.values()}
    assert machines == set(stage._nodes_of["a"][:2]), "each on a machine that has GPUs"
    for pods in found.values():
        assert pods[0]["spec"]["containers"][0]["resources"]["limits"][GPU] == "4"
    hosts = stage.api.find("ConfigMap", work, stage.namespace)
    assert hosts is not None
    assert hosts["data"]["hosts"] == "".join(f"{work}-{number}.{work} slots=4\n" for number in range(2))
    late = stage.submit("second", "pair")
    reason = stage.wait("second", lambda status: "nodes at once" in (status.get("statusReason") or ""))["statusReason"]
    assert "2 nodes at once: 2 of 1 vCPU, 4 GPU" in reason
    assert "has room for 0 of them" in reason, "it has CPUs"
    assert not stage.pods(late)
    stage.terminate("first", "seen")
    wait_nodes(stage, late, 2)
    stage.submit("third", "three")
    said = stage.wait_event("third", "Unschedulable")
    assert "3 of 1 vCPU, 4 GPU" in said, said
    assert "has room for 2 of them" in said, said
    stage.terminate("second", "seen")


def test_nodes_are_near_each_other_where_that_can_be(four: Stage) -> None:
    """Two racks of two machines: a topology that is Preferred is kept where one rack has room for all, and lets the
    job start all the same where none has."""
    machines = four._nodes_of["a"]
    rack = {name: f"r{number % 2}" for number, name in enumerate(machines)}
    for name, value in rack.items():
        four.api.patch("Node", name, None, {"metadata": {"labels": {"rack": value}}})
    four.queue()
    near = {"topology": [{"key": "rack", "mode": "Preferred"}]}
    four.gang("pair", nodes=2, cpu="2", main={"seconds": "600"}, properties=near)

    def racks_of(job_id: str) -> Counter[str]:
        return Counter(rack[pods[0]["spec"]["nodeName"]] for pods in wait_nodes(four, job_id, 2).values())

    ids = [four.submit(f"near-{number}", "pair") for number in range(2)]
    assert {next(iter(racks_of(job_id).items())) for job_id in ids} == {("r0", 2), ("r1", 2)}
    for number, job_id in enumerate(ids):
        four.terminate(f"near-{number}", "seen")
        four.wait_no_pods(job_id)
    four.simulated("one", cpu="2", simulate={"seconds": "600"}, pod={"nodeSelector": {"once": "yes"}})
    for number in (0, 1):
        four.api.patch("Node", machines[number], None, {"metadata": {"labels": {"once": "yes"}}})
        four.submit(f"one-{number}", "one")
    for number in (0, 1):
        four.wait(f"one-{number}", "RUNNING")
    assert racks_of(four.submit("apart", "pair")) == {"r0": 1, "r1": 1}


@pytest.mark.parametrize("example", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_an_example_is_valid(stage: Stage, example: Path) -> None:
    """Its image is not to be had here: the operator has the API server check all of its pods, as a strict dry run. Its
    job is taken, and waits for machines."""
    stage.environment()
    queue = stage.queue()
    definition, job = yaml.safe_load_all(example.read_text())
    assert job["spec"]["jobDefinition"] == definition["metadata"]["name"]
    job["spec"]["jobQueue"] = queue
    for manifest in (definition, job):
        manifest["metadata"]["namespace"] = stage.namespace
        stage.api.create(manifest)
    found = stage.api.wait_for(
        "JobDefinition", definition["metadata"]["name"], stage.namespace, lambda item: "status" in item, 30
    )
    assert found["status"]["status"] == "ACTIVE", found["status"]
    waits = stage.wait(job["metadata"]["name"], lambda status: "nodes at once" in (status.get("statusReason") or ""))
    assert waits["state"] == "RUNNABLE"


def test_what_no_node_may_have_is_refused_with_the_definition(stage: Stage) -> None:
    """A volume of the name that the hostfile's has: the API server would refuse it when all room is taken."""
    volume = {"name": "batchwright-hosts", "emptyDir": {}}
    container = {"name": "main", "image": "simulated", "resources": {"requests": {"cpu": "1"}}}
    ranges = [
        {"targetNodes": "0", "podTemplate": {"spec": {"containers": [container]}}},
        {"targetNodes": "1:", "podTemplate": {"spec": {"containers": [container], "volumes": [volume]}}},
    ]
    given = {"numNodes": 3, "mainNode": 0, "nodeRangeProperties": ranges}
    stage.define("clash", type="multinode", nodeProperties=given)
    found = stage.api.wait_for("JobDefinition", "clash", stage.namespace, lambda item: "status" in item, 30)["status"]
    assert found["status"] == "INVALID"
    assert found["statusReason"].startswith("nodeProperties.nodeRangeProperties[1]: ")
    assert 'Duplicate value: "batchwright-hosts"' in found["statusReason"]
