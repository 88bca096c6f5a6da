"""Stories of multi-node jobs on simulated nodes: all nodes start together or none, and the main node decides."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from batchwright.names import LABEL_MAIN_POD
from gangparts import by_node, end_now, machines, wait_ended, wait_nodes
from operatorprocess import OperatorProcess
from stage import Stage, variables_of
from watches import PodObserver, until

ADDRESS = "AWS_BATCH_JOB_MAIN_NODE_PRIVATE_IPV4_ADDRESS"
EXITED = "Essential container in task exited"


@pytest.fixture
def four(stage: Stage) -> Stage:
    """A stage with four nodes of 2 vCPU."""
    machines(stage).queue()
    return stage


@pytest.fixture
def pods(four: Stage) -> Iterator[PodObserver]:
    made = PodObserver(four.api, four.namespace)
    yield made
    made.stop()


def test_three_nodes_start_and_the_main_nodes_end_decides(four: Stage) -> None:
    four.gang(main={"seconds": "3"}, properties={"rendezvous": {"port": 1234}})
    job_id = four.submit("train", "gang")
    found = wait_nodes(four, job_id, 3)
    main, *others = (found[number][0] for number in range(3))
    assert len({pod["spec"]["nodeName"] for pod in (main, *others)}) == 3, "one node a machine"
    work = four.wait("train", lambda status: "jobName" in status)["jobName"]
    address = main["status"]["podIP"]
    variables = variables_of(main)
    assert ADDRESS not in variables, "clients know the main node by its absence"
    assert (variables["MASTER_ADDR"], variables["RANK"]) == ("status.podIP", "0")
    for number, pod in enumerate(others, start=1):
        got = variables_of(pod)
        assert pod["metadata"]["labels"][LABEL_MAIN_POD] == main["metadata"]["uid"]
        assert pod["spec"]["hostname"] == f"{work}-{number}"
        assert "schedulingGroup" not in pod["spec"], "this cluster has no PodGroups"
        assert pod["metadata"]["creationTimestamp"] >= main["status"]["startTime"]
        assert {name: got[name] for name in got if "BATCH_JOB" in name} == {
            "AWS_BATCH_JOB_ID": f"{job_id}#{number}",
            "AWS_BATCH_JOB_ATTEMPT": "1",
            "AWS_BATCH_JOB_NUM_NODES": "3",
            "AWS_BATCH_JOB_NODE_INDEX": str(number),
            "AWS_BATCH_JOB_MAIN_NODE_INDEX": "0",
            ADDRESS: address,
        }
        assert [got[name] for name in ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "RANK")] == [
            address,
            "1234",
            "3",
            str(number),
        ]
    hosts = four.api.find("ConfigMap", work, four.namespace)
    assert hosts is not None
    assert hosts["data"]["hosts"] == "".join(f"{work}-{number}.{work} slots=1\n" for number in range(3))
    four.wait("train", lambda status: status["state"] == "RUNNING" and "statusReason" not in status)
    assert names_of(four, work) == {
        f"{work}-{number}": pod["status"]["podIP"] for number, pod in enumerate((main, *others))
    }, "all are found by name"
    status = four.wait_final("train")
    assert (status["state"], status["statusReason"]) == ("SUCCEEDED", EXITED)
    assert len(status["attempts"]) == 1
    until(lambda: not names_of(four, work), "the names of a job that has ended still lead somewhere")
    assert four.api.list("Endpoints", four.namespace) == [], "no controller writes for its Service"
    assert len(four.api.list("EndpointSlice", four.namespace)) == 1
    assert status["nodeProperties"] == {"numNodes": 3, "mainNode": 0}
    wait_ended(four, job_id)


def names_of(stage: Stage, work: str) -> dict[str, str]:
    """The addresses of the nodes by their names."""
    found = stage.api.find("EndpointSlice", work, stage.namespace)
    assert found is not None
    return {each["hostname"]: address for each in found["endpoints"] or () for address in each["addresses"]}


def test_all_or_nothing(four: Stage) -> None:
    """What needs four machines waits for the one that is taken, and has no pod before; what is behind it waits too."""
    four.simulated("one", cpu="2", simulate={"seconds": "5"})
    four.gang(nodes=4, cpu="2", main={"seconds": "1"})
    four.simulated("small", cpu="1", simulate={"seconds": "1"})
    four.submit("first", "one")
    four.wait("first", "RUNNING")
    job_id = four.submit("train", "gang")
    waits = four.wait("train", lambda status: "waiting for room for all" in (status.get("statusReason") or ""))
    assert "4 nodes at once" in waits["statusReason"]
    assert "has room for 3 of them" in waits["statusReason"]
    small = four.submit("after", "small")
    assert not four.pods(job_id)
    assert four.wait_final("train")["state"] == "SUCCEEDED"
    assert four.wait_final("first")["state"] == "SUCCEEDED"
    four.wait_final("after")
    # Nobody passed the one that waited first, although there was room.
    [late] = four.pods(small)
    starts = [pod["status"]["startTime"] for found in by_node(four, job_id).values() for pod in found]
    assert late["status"]["startTime"] >= max(starts)


def test_more_nodes_than_there_are_machines(four: Stage) -> None:
    four.gang("all", nodes=4, main={"seconds": "0.5"})
    four.submit("first", "all")
    assert four.wait_final("first")["state"] == "SUCCEEDED", "the operator knows all machines"
    four.gang(nodes=5)
    four.submit("train", "gang")
    said = four.wait("train", lambda status: "has room for 4 of them" in (status.get("statusReason") or ""))
    assert "nodesPerHost" in said["statusReason"]
    four.gang("packed", nodes=5, main={"seconds": "4"}, properties={"nodesPerHost": 2})
    job_id = four.submit("packed-1", "packed", queue="queue")
    machines = Counter(each[0]["spec"]["nodeName"] for each in wait_nodes(four, job_id, 5).values())
    assert sorted(machines.values()) == [1, 2, 2], "as few machines as may be"
    assert four.wait_final("packed-1")["state"] == "SUCCEEDED"


def test_the_main_nodes_failure_restarts_all(four: Stage, pods: PodObserver) -> None:
    four.gang(main={"seconds": "3", "exit-code": "7", "fail-attempts": "1"}, retryStrategy={"attempts": 2})
    job_id = four.submit("train", "gang")
    status = four.wait_final("train", seconds=90)
    assert status["state"] == "SUCCEEDED"
    assert [each["container"]["exitCode"] for each in status["attempts"]] == [7, 0]
    assert pods.ran(job_id) == {0: 2, 1: 2, 2: 2}
    assert [pod.failures for pod in pods.of(job_id)] == [0, 1] * 3
    ended = max(pod.ended or 0 for pod in pods.of(job_id) if pod.failures == 0)
    assert all((pod.bound or 0) > ended for pod in pods.of(job_id) if pod.failures == 1), "none before all had ended"


def test_another_nodes_failure_does_nothing(four: Stage) -> None:
    four.gang(main={"seconds": "4"}, others={"seconds": "0.5", "exit-code": "3"})
    job_id = four.submit("train", "gang")
    assert four.wait_final("train")["state"] == "SUCCEEDED"
    assert {pod["status"]["phase"] for number in (1, 2) for pod in by_node(four, job_id)[number]} == {"Failed"}


def test_another_nodes_failure_fails_the_attempt_where_the_policy_says_so(four: Stage) -> None:
    any_node = {"failurePolicy": "AnyNode"}
    four.gang(main={"seconds": "60"}, others={"seconds": "0.5", "exit-code": "3"}, properties=any_node)
    job_id = four.submit("train", "gang")
    status = four.wait_final("train")
    assert status["state"] == "FAILED"
    assert status["statusReason"] in ("Node 1 failed, exit code 3", "Node 2 failed, exit code 3")
    wait_ended(four, job_id)


@pytest.mark.parametrize("number", [0, 2], ids=["the main node", "another"])
def test_a_node_that_is_lost_sends_all_back(four: Stage, number: int, pods: PodObserver) -> None:
    four.nodes(1, cpu=2)
    # It runs until the test has seen what it is about.
    four.gang(nodes=4, cpu="2", main={"seconds": "600"})
    job_id = four.submit("train", "gang")
    machine = wait_nodes(four, job_id, 4)[number][0]["spec"]["nodeName"]
    before = four.wait("train", lambda status: bool(status.get("startedAt")))["startedAt"]
    # What a cluster does to a machine that is to go: its pods are evicted.
    taint = {"key": "out-of-order", "effect": "NoExecute"}
    four.api.patch("Node", machine, None, {"spec": {"taints": [taint]}})
    # Two more controllers are on the way here: the one that evicts, and the one that takes the pod away.
    text = four.wait_event("train", "GaveBack", seconds=60)
    assert "All nodes wait for room again" in text
    four.wait("train", "RUNNABLE")
    four.wait("train", lambda status: status.get("startedAt", "") > before, 90)
    wait_nodes(four, job_id, 4)
    end_now(four, job_id, 0)
    status = four.wait_final("train")
    assert status["state"] == "SUCCEEDED"
    assert len(status["attempts"]) == 1, "a lost machine costs no attempt"
    assert pods.ran(job_id) == {0: 2, 1: 2, 2: 2, 3: 2}


def test_a_machine_that_vanishes_sends_all_back(four: Stage) -> None:
    four.nodes(1, cpu=2)
    four.gang(nodes=4, cpu="2", main={"seconds": "100"})
    job_id = four.submit("train", "gang")
    four.api.delete("Node", wait_nodes(four, job_id, 4)[1][0]["spec"]["nodeName"])
    assert "Node 1: Host EC2 (instance " in four.wait_event("train", "GaveBack")
    four.terminate("train", "seen")
    assert four.wait_final("train")["statusReason"] == "seen"


def test_evaluate_on_exit_ends_the_job_with_a_lost_machine(four: Stage) -> None:
    rules = [{"onStatusReason": "Host EC2*", "action": "EXIT"}]
    four.gang(main={"seconds": "600"}, retryStrategy={"attempts": 3, "evaluateOnExit": rules})
    job_id = four.submit("train", "gang")
    machine = wait_nodes(four, job_id, 3)[1][0]["spec"]["nodeName"]
    four.api.delete("Node", machine)
    status = four.wait_final("train", seconds=90)
    assert status["state"] == "FAILED"
    assert status["statusReason"].startswith("Host EC2 (instance ")
    [attempt] = status["attempts"]
    assert attempt["container"]["reason"] == "Node 1"
    # What was on the machine goes with Kubernetes' pod garbage collector, which waits 40 s and looks every 20 s.
    wait_ended(four, job_id, 100)


def test_a_node_that_has_ended_may_lose_its_pod(four: Stage, operator: OperatorProcess, pods: PodObserver) -> None:
    """It is not made again, nor is the job given back: also by an operator that has never seen it."""
    four.gang(main={"seconds": "600"}, properties={"startTimeoutSeconds": 10})
    job_id = four.submit("train", "gang")
    wait_nodes(four, job_id, 3)
    four.wait("train", lambda status: status.get("state") == "RUNNING" and "statusReason" not in status)
    for number in (1, 2):
        end_now(four, job_id, number)
        wait_nodes(four, job_id, 3 - number)
        if number == 2:
            operator.kill()
        four.api.delete("Pod", by_node(four, job_id)[number][0]["metadata"]["name"], four.namespace)
        if number == 2:
            operator.start()
        # Longer than a node may take to start.
        time.sleep(15)
    end_now(four, job_id, 0)
    status = four.wait_final("train")
    assert status["state"] == "SUCCEEDED"
    assert pods.ran(job_id) == {0: 1, 1: 1, 2: 1}


def test_a_quota_does_not_keep_the_room_of_what_it_keeps_from_starting(four: Stage) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none", "namespace": four.namespace}}
    four.api.create({**quota, "spec": {"hard": {"services": "0"}}})
    until(lambda: "hard" in four.api.list("ResourceQuota", four.namespace)[0].get("status", {}), "no quota")
    four.gang(nodes=4, cpu="2", main={"seconds": "1"}, properties={"startTimeoutSeconds": 10})
    four.simulated("one", cpu="2", simulate={"seconds": "1"})
    four.submit("train", "gang")
    text = four.wait_event("train", "GaveBack", seconds=60)
    assert "The main node was not let start within 10 s. " in text
    assert "exceeded quota" in text
    four.submit("one", "one")
    assert four.wait_final("one")["state"] == "SUCCEEDED", "the room is free"
    four.api.delete("ResourceQuota", "none", four.namespace)
    assert four.wait_final("train", seconds=90)["state"] == "SUCCEEDED"


def test_nodes_that_do_not_start_in_time_give_everything_back(four: Stage) -> None:
    pulls = {"reason": "ImagePullBackOff", "fail-indexes": "2"}
    four.gang(main={"seconds": "60"}, others=pulls, properties={"startTimeoutSeconds": 10})
    four.submit("train", "gang")
    text = four.wait_event("train", "GaveBack", seconds=40)
    assert "Not all of 3 nodes ran within 10 s. Node 2: " in text
    four.simulated("all", cpu="2", simulate={"seconds": "1"})
    for number in range(4):
        four.submit(f"all-{number}", "all")
    assert {four.wait_final(f"all-{number}")["state"] for number in range(4)} == {"SUCCEEDED"}, "the room is free"
    four.terminate("train", "enough")
    assert four.wait_final("train")["statusReason"] == "enough"


def test_terminate_and_timeout_are_the_whole_jobs(four: Stage) -> None:
    four.gang(main={"seconds": "60"})
    job_id = four.submit("train", "gang")
    wait_nodes(four, job_id, 3)
    four.terminate("train", "enough")
    status = four.wait_final("train")
    assert (status["state"], status["statusReason"], status["isTerminated"]) == ("FAILED", "enough", True)
    four.wait_no_pods(job_id)
    late = four.submit("late", "gang", timeout={"attemptDurationSeconds": 3})
    status = four.wait_final("late")
    assert (status["state"], status["statusReason"]) == ("FAILED", "Job attempt duration exceeded timeout")
    wait_ended(four, late)


def test_overrides_of_nodes(four: Stage) -> None:
    four.gang(main={"seconds": "3"}, nodes=2)
    changes = [{"targetNodes": "1", "containerOverrides": {"environment": [{"name": "COLOUR", "value": "red"}]}}]
    job_id = four.submit("train", "gang", nodeOverrides={"numNodes": 4, "nodePropertyOverrides": changes})
    found = wait_nodes(four, job_id, 4)
    assert [variables_of(found[number][0]).get("COLOUR") for number in range(4)] == [None, "red", None, None]
    four.submit("wrong", "gang", nodeOverrides={"numNodes": 1})
    reason = four.wait_final("wrong")["statusReason"]
    assert reason == ("The job cannot be made: nodeOverrides.numNodes 1 must be above 1, where targetNodes 1: begins")


def test_the_operator_killed_while_it_makes_nodes(four: Stage, operator: OperatorProcess, pods: PodObserver) -> None:
    """Killed at moments all along the start: one gang, each node once."""
    four.nodes(8, cpu=2)
    four.gang(nodes=12, cpu="2", main={"seconds": "600"})
    job_id = four.submit("train", "gang")
    for made in (1, 2, 5):
        deadline = time.monotonic() + 30
        while len(four.pods(job_id)) < made:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        operator.kill()
        operator.start()
    wait_nodes(four, job_id, 12, seconds=90)
    end_now(four, job_id, 0)
    status = four.wait_final("train")
    assert status["state"] == "SUCCEEDED"
    assert pods.ran(job_id) == dict.fromkeys(range(12), 1)


def test_the_sizes_of_a_topology(four: Stage) -> None:
    """Two racks of two machines: what must share a rack does, and what does not fit one waits."""
    for number, name in enumerate(four._nodes_of["a"]):
        four.api.patch("Node", name, None, {"metadata": {"labels": {"rack": f"r{number // 2}"}}})
    racks: dict[str, Any] = {"topology": [{"key": "rack", "mode": "Required"}]}
    four.gang("pair", nodes=2, cpu="2", main={"seconds": "15"}, properties=racks)
    four.gang("three", nodes=3, cpu="2", main={"seconds": "2"}, properties=racks)
    rack = {node["metadata"]["name"]: node["metadata"]["labels"].get("rack") for node in four.api.list("Node")}
    used = []
    for job_id in [four.submit(f"pair-{number}", "pair") for number in range(2)]:
        machines = [each[0]["spec"]["nodeName"] for each in wait_nodes(four, job_id, 2).values()]
        used.append({rack[machine] for machine in machines})
    assert used in ([{"r0"}, {"r1"}], [{"r1"}, {"r0"}])
    for number in range(2):
        assert four.wait_final(f"pair-{number}")["state"] == "SUCCEEDED"
    four.submit("three", "three")
    assert "the same rack" in four.wait_event("three", "Unschedulable")


def test_twenty_of_random_sizes_contend_and_all_finish(stage: Stage) -> None:
    chance = Random(20)
    stage.nodes(8, cpu=2)
    stage.environment()
    stage.queue()
    sizes = [chance.randint(1, 8) for _ in range(20)]
    for size in sorted(set(sizes)):
        stage.gang(f"of-{size}", nodes=size, cpu="2", main={"seconds": "600"})
    pods = PodObserver(stage.api, stage.namespace)
    left = {stage.submit(f"gang-{number}", f"of-{size}"): size for number, size in enumerate(sizes)}
    wanted = {job_id: dict.fromkeys(range(size), 1) for job_id, size in left.items()}
    deadline = time.monotonic() + 240
    while left:
        assert time.monotonic() < deadline, f"not all nodes ran: {left}"
        left = {job_id: size for job_id, size in left.items() if not stage.end_if_all_run(job_id, size)}
        time.sleep(0.2)
    found = stage.wait_all_final(20, seconds=60)
    assert {status["state"] for status in found.values()} == {"SUCCEEDED"}
    assert {job_id: pods.ran(job_id) for job_id in wanted} == wanted
    assert pods.gaps == 0
    pods.stop()


def test_a_thousand_nodes_start_within_seconds_of_capacity(stage: Stage) -> None:
    """One job holds the room, and a thousand nodes wait for it."""
    stage.nodes(100, cpu=20)
    stage.environment()
    stage.queue()
    stage.gang("few", nodes=2, cpu="19", main={"seconds": "600"})
    stage.gang("many", nodes=1000, cpu="2", main={"seconds": "600"}, properties={"nodesPerHost": 10})
    stage.submit("first", "few")
    stage.wait("first", "RUNNING")
    job_id = stage.submit("thousand", "many")
    stage.wait("thousand", lambda status: "1000 nodes at once" in (status.get("statusReason") or ""))
    stage.terminate("first", "make room")
    began = time.monotonic()
    stage.wait("thousand", "RUNNING", seconds=60)
    wait_nodes(stage, job_id, 1000, seconds=120)
    took = time.monotonic() - began
    print(f"1,000 nodes ran {took:.1f} s after the room was free")
    assert took < 90
    stage.terminate("thousand", "seen")
    stage.wait_final("thousand", seconds=60)
    stage.wait_no_pods(job_id, seconds=120)
