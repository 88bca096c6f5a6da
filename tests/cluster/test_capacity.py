"""MANAGED environments grow from nothing for what waits, and shrink to nothing when it is done.

The operator is this module's own, with short delays; the nodes are simulated.
"""

from __future__ import annotations

import itertools

import pytest

import manifests
from apiserver import Manifest
from cloud import DELAYS, Cloud, bought, nodes_of, status_of, until
from operatorprocess import OperatorProcess
from stage import Stage


def managed(scene: Stage, name: str = "env", **resources: object) -> str:
    """A MANAGED environment of simulated nodes; its full name."""
    full = f"{scene.namespace}-{name}"
    found = {"type": "EC2", "maxvCpus": 64, "instanceTypes": ["m5"], **resources}
    scene.declare(manifests.compute_environment(full, type="MANAGED", provider="SIMULATED", computeResources=found))
    return full


def test_from_zero_to_what_waits_and_back(scene: Stage) -> None:
    environment = managed(scene)
    scene.queue()
    scene.simulated(cpu="1500m", simulate={"seconds": "3"})
    scene.submit("sweep", arrayProperties={"size": 20})

    status = scene.wait_final("sweep", 90)

    assert status["state"] == "SUCCEEDED"
    until(lambda: not nodes_of(scene, environment), "nodes stay though nothing runs")
    shown = until(
        lambda: (found := status_of(scene, environment)).get("instanceCount") == 0 and found, "instances stay in status"
    )
    assert (shown["status"], shown["statusReason"]) == ("VALID", "ComputeEnvironment Healthy")
    assert shown["desiredvCpus"] == 0
    assert "pendingLaunch" not in shown
    launched = scene.wait_cluster_event(environment, "Launched")
    assert "instances launched: m5." in launched


def test_instances_come_and_go(scene: Stage, cloud: Cloud) -> None:
    environment = bought(scene, cloud)
    scene.queue()
    scene.simulated(cpu="1500m", simulate={"seconds": "4"})
    scene.submit("sweep", arrayProperties={"size": 6})

    assert scene.wait_final("sweep", 90)["state"] == "SUCCEEDED"
    made = cloud.instances(environment)
    assert [each["InstanceType"] for each in made] == ["m5.xlarge"] * 3
    until(lambda: not cloud.instances(environment, "pending", "running"), "instances stay though nothing runs")
    until(lambda: not nodes_of(scene, environment), "nodes of ended instances stay")


def test_a_launch_of_which_the_answer_is_lost_is_not_made_twice(scene: Stage, cloud: Cloud) -> None:
    cloud.switch(lost=1)
    environment = bought(scene, cloud)
    scene.queue()
    scene.simulated(cpu="3", simulate={"seconds": "2"})
    scene.submit("sweep", arrayProperties={"size": 3})

    assert scene.wait_final("sweep", 120)["state"] == "SUCCEEDED"
    assert len(cloud.instances(environment)) == 3
    until(lambda: not cloud.instances(environment, "pending", "running"), "instances are left over")


@pytest.mark.parametrize("trouble", ["lost", "throttled"])
def test_trouble_that_passes_buys_nothing_of_the_next_environment(scene: Stage, cloud: Cloud, trouble: str) -> None:
    first = bought(scene, cloud, "first")
    second = bought(scene, cloud, "second", instanceTypes=["c5.xlarge"])
    for environment in (first, second):
        until(lambda name=environment: status_of(scene, name).get("status") == "VALID", "it does not become VALID")
    scene.queue("queue", first, second)
    scene.simulated(cpu="3", simulate={"seconds": "2"})
    cloud.switch(**{trouble: 1})
    scene.submit("sweep", arrayProperties={"size": 3})

    assert scene.wait_final("sweep", 120)["state"] == "SUCCEEDED"
    assert (len(cloud.instances(first)), len(cloud.instances(second))) == (3, 0)


def test_of_a_launch_that_is_filled_in_part_the_rest_is_asked_for_again(scene: Stage, cloud: Cloud) -> None:
    cloud.switch(most=1)
    environment = bought(scene, cloud)
    scene.queue()
    scene.simulated(cpu="3", simulate={"seconds": "30"})
    scene.submit("sweep", arrayProperties={"size": 3})

    # The first one's node works while others are still asked for.
    scene.wait(
        "sweep", lambda status: status.get("arrayProperties", {}).get("statusSummary", {}).get("RUNNING") == 1, 60
    )
    assert scene.wait_final("sweep", 180)["state"] == "SUCCEEDED"
    assert len(cloud.instances(environment)) == 3
    until(lambda: not cloud.instances(environment, "pending", "running"), "instances are left over")


def test_killed_between_launch_and_record_nothing_is_lost_or_bought_twice(
    scene: Stage, cloud: Cloud, buyer: OperatorProcess
) -> None:
    environment = bought(scene, cloud)
    scene.queue()
    until(lambda: status_of(scene, environment).get("status") == "VALID", "the environment does not become VALID")
    scene.simulated(cpu="3", simulate={"seconds": "2"})
    cloud.switch(late_seconds=20.0)
    scene.submit("sweep", arrayProperties={"size": 3})
    try:
        until(lambda: len(cloud.instances(environment)) == 3, "nothing is launched")
        assert status_of(scene, environment)["pendingLaunch"]["count"] == 3
    finally:
        buyer.kill()
        cloud.switch(late_seconds=0.0)
        buyer.start()

    assert scene.wait_final("sweep", 120)["state"] == "SUCCEEDED"
    assert len(cloud.instances(environment)) == 3
    until(lambda: not cloud.instances(environment, "pending", "running"), "instances are left over")


def test_what_is_sold_out_is_said_and_tried_again(scene: Stage, cloud: Cloud) -> None:
    cloud.switch(exhausted=["* *"])
    environment = bought(scene, cloud)
    scene.queue()
    scene.simulated()
    scene.submit("one")

    text = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested for instance type"
    scene.wait("one", lambda status: text in str(status.get("statusReason")), 60)
    shown = status_of(scene, environment)
    assert shown["status"] == "VALID"
    assert {each["reason"] for each in shown["conditions"]} == {"InsufficientCapacity"}
    cloud.switch(exhausted=["m5.xlarge us-east-1a"])
    assert scene.wait_final("one", 90)["state"] == "SUCCEEDED"
    assert {each["Placement"]["AvailabilityZone"] for each in cloud.instances(environment)} == {"us-east-1b"}
    until(
        lambda: {each["reason"] for each in status_of(scene, environment)["conditions"]} & {"Healthy"},
        "the environment still says that there is no capacity",
    )


def test_the_next_environment_is_taken_when_the_first_is_sold_out(scene: Stage, cloud: Cloud) -> None:
    cloud.switch(exhausted=["m5.xlarge *"])
    first = bought(scene, cloud, "first")
    second = bought(scene, cloud, "second", instanceTypes=["c5.xlarge"])
    scene.queue("queue", first, second)
    scene.simulated()
    scene.submit("one")

    assert scene.wait_final("one", 90)["state"] == "SUCCEEDED"
    assert (len(cloud.instances(first)), len(cloud.instances(second))) == (0, 1)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "switch", [pytest.param("deaf", id="never registers"), pytest.param("unready", id="registers, never Ready")]
)
def test_a_node_that_never_comes_does_not_make_a_hundred(scene: Stage, cloud: Cloud, switch: str) -> None:
    """What is launched first is what fifty elements need; then one at a time shows whether nodes come."""
    cloud.switch(**{switch: ["m5.xlarge"]})
    environment = bought(scene, cloud)
    scene.queue()
    scene.simulated()
    scene.submit("sweep", arrayProperties={"size": 50})

    scene.wait("sweep", lambda status: "waiting for nodes" in str(status.get("statusReason")), 60)
    nodes = until(lambda: cloud.instances(environment, "running"), "nothing is launched")
    if switch == "unready":
        until(lambda: len(nodes_of(scene, environment)) >= len(nodes), "the nodes do not register")
    shown = until(
        lambda: (found := status_of(scene, environment)) and "did not become ready" in found["statusReason"] and found,
        "the environment does not say that its nodes never come",
    )
    assert shown["status"] == "VALID"
    first = {each["InstanceId"] for each in cloud.instances(environment)}
    assert len(first) <= 64 / 4, "maxvCpus bounds the first launch"

    def tries() -> list[Manifest]:
        every = cloud.instances(environment)
        live = [each["InstanceId"] for each in every if each["State"]["Name"] in ("pending", "running")]
        assert len(live) <= 1 or set(live) <= first, f"several at once: {live}"
        return [each for each in every if each["InstanceId"] not in first]

    until(lambda: len(tries()) == 3, "it is not tried again", 120)
    times = sorted(each["LaunchTime"].timestamp() for each in tries())
    # Each has its time to start, and the pauses double; EC2 tells whole seconds.
    start, pause = float(DELAYS["capacity_start_seconds"]), float(DELAYS["capacity_pause_seconds"])
    for number, (before, after) in enumerate(itertools.pairwise(times), start=1):
        assert after - before >= start + pause * 2**number - 1
    assert len(cloud.instances(environment)) == len(first) + 3


def test_an_instance_that_ends_before_it_is_a_node_is_not_bought_again_and_again(scene: Stage, cloud: Cloud) -> None:
    cloud.switch(stillborn=["m5.xlarge"])
    environment = bought(scene, cloud)
    scene.queue()
    scene.simulated()
    scene.submit("one")

    why = "Client.InternalError: Client error on launch"
    shown = until(
        lambda: (found := status_of(scene, environment)) and why in found.get("statusReason", "") and found,
        "the environment does not say why its instances end",
    )
    assert shown["status"] == "VALID"
    assert why in scene.wait_cluster_event(environment, "Ended")
    until(lambda: len(cloud.instances(environment)) == 4, "it is given up")
    cloud.switch(stillborn=[])
    assert scene.wait_final("one", 150)["state"] == "SUCCEEDED"
    launched = sorted(each["LaunchTime"].timestamp() for each in cloud.instances(environment))
    assert len(launched) in (4, 5), "the last may have become the node"
    # The pauses double; EC2 tells whole seconds.
    pause = float(DELAYS["capacity_pause_seconds"])
    for number, (before, after) in enumerate(itertools.pairwise(launched)):
        assert after - before >= pause * 2**number - 1


def test_an_interruption_takes_the_node_and_the_job_runs_again(scene: Stage, cloud: Cloud) -> None:
    environment = bought(scene, cloud, type="SPOT")
    scene.queue()
    scene.simulated(simulate={"seconds": "12"}, retryStrategy={"attempts": 2})
    scene.submit("one")
    scene.wait("one", "RUNNING", 90)
    (victim,) = (each["InstanceId"] for each in cloud.instances(environment, "running"))
    cloud.interrupt(victim, 5)
    until(
        lambda: any(each["spec"].get("unschedulable") for each in nodes_of(scene, environment)),
        "the node still takes work",
    )

    status = scene.wait_final("one", 120)
    assert status["state"] == "SUCCEEDED"
    assert len(cloud.instances(environment)) == 2
    assert f"Host EC2 (instance {victim}) terminated." in str(status.get("attempts"))


def test_a_subnet_that_is_none_makes_the_environment_invalid_and_it_can_be_deleted(scene: Stage, cloud: Cloud) -> None:
    environment = bought(scene, cloud, subnets=["subnet-0123456789abcdef0"])
    shown = until(
        lambda: (found := status_of(scene, environment)).get("status") == "INVALID" and found, "it does not get INVALID"
    )
    assert shown["statusReason"].startswith("CLIENT_ERROR - ")
    assert "subnet-0123456789abcdef0" in shown["statusReason"]
    scene.api.delete("ComputeEnvironment", environment)
    until(lambda: scene.api.find("ComputeEnvironment", environment) is None, "it cannot be deleted", 10)


def test_a_deleted_environment_leaves_no_instance(scene: Stage, cloud: Cloud) -> None:
    environment = bought(scene, cloud, minvCpus=8)
    until(lambda: len(cloud.instances(environment, "running")) == 2, "minvCpus are not there")
    hold = {"metadata": {"finalizers": ["example.com/somebody"]}}
    scene.api.patch("ComputeEnvironment", environment, None, hold)
    scene.api.delete("ComputeEnvironment", environment)
    until(lambda: status_of(scene, environment)["status"] == "DELETING", "nobody says that it is going")
    scene.api.patch("ComputeEnvironment", environment, None, {"metadata": {"finalizers": None}})
    until(lambda: not cloud.instances(environment, "pending", "running"), "instances of no environment stay")


def test_nodes_are_launched_for_all_of_a_multi_node_job(scene: Stage, cloud: Cloud) -> None:
    """None of it is made before all machines are there; and they go when it has ended."""
    environment = bought(scene, cloud)
    scene.queue()
    scene.gang(nodes=4, main={"seconds": "3"})
    job_id = scene.submit("train", "gang")
    pods = until(lambda: scene.pods(job_id), "nothing is made", 90)
    assert sum(is_ready(node) for node in nodes_of(scene, environment)) == 4
    assert len(pods) == 1, "the main node first"
    assert scene.wait_final("train", 90)["state"] == "SUCCEEDED"
    assert len(cloud.instances(environment)) == 4
    until(lambda: not cloud.instances(environment, "pending", "running"), "instances stay though nothing runs")


def test_what_an_environment_may_not_grow_to_is_not_begun(scene: Stage, cloud: Cloud) -> None:
    environment = bought(scene, cloud, maxvCpus=12)
    scene.queue()
    scene.gang(nodes=4)
    scene.submit("train", "gang")
    scene.wait("train", lambda status: "vCPU" in str(status.get("statusReason")), 30)
    assert not cloud.instances(environment), "three machines would be no use"


def test_spot_loss_takes_all_nodes_back_to_runnable(scene: Stage, cloud: Cloud) -> None:
    environment = bought(scene, cloud, type="SPOT")
    scene.queue()
    scene.gang(nodes=3, main={"seconds": "15"})
    scene.submit("train", "gang")
    scene.wait("train", "RUNNING", 90)
    victim = cloud.instances(environment, "running")[0]["InstanceId"]
    cloud.interrupt(victim, 5)
    scene.wait_event("train", "GaveBack", 60)
    scene.wait("train", "RUNNABLE", 30)
    status = scene.wait_final("train", 150)
    assert status["state"] == "SUCCEEDED"
    charged = [each for each in status["attempts"] if not each.get("uncharged")]
    assert len(charged) == 1, "a lost machine costs no attempt"


def is_ready(node: Manifest) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in node["status"]["conditions"])
