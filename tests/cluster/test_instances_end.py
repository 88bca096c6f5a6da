"""Instances that end while jobs run on them: EC2 takes them back, their hosts are due for maintenance, or somebody
changes what they are made of. What runs there runs on elsewhere, and costs no attempt unless its rules say so.
"""

from __future__ import annotations

from typing import Any

import pytest

from apiserver import Manifest
from batchwright.local.aws import INTERRUPTION_QUEUE
from cloud import Cloud, bought, nodes_of, status_of, until
from operatorprocess import OperatorProcess
from stage import Stage

HOST = "Host EC2 (instance {}) terminated."
SPOT: dict[str, Any] = {"type": "SPOT", "instanceTypes": ["m5.xlarge"]}


def running_on(scene: Stage, cloud: Cloud, environment: str, job: str) -> str:
    """The one instance of the environment, once the job runs."""
    scene.wait(job, "RUNNING", 90)
    (found,) = (each["InstanceId"] for each in cloud.instances(environment, "running"))
    return str(found)


def node_of(scene: Stage, environment: str, instance: str) -> Manifest | None:
    nodes = nodes_of(scene, environment)
    return next((node for node in nodes if node["spec"]["providerID"].endswith(instance)), None)


def is_closed(scene: Stage, environment: str, instance: str) -> bool:
    node = node_of(scene, environment, instance)
    return node is not None and bool(node["spec"].get("unschedulable"))


def live_pods(scene: Stage, job_id: str) -> list[Manifest]:
    pods = scene.pods(job_id)
    return [pod for pod in pods if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]]


def runs_elsewhere(scene: Stage, environment: str, job_id: str, instance: str) -> bool:
    nodes = {node["metadata"]["name"]: node["spec"]["providerID"] for node in nodes_of(scene, environment)}
    return any(not nodes.get(pod["spec"]["nodeName"], instance).endswith(instance) for pod in live_pods(scene, job_id))


def messages(cloud: Cloud) -> int:
    """How many are in the queue, whether somebody reads them or not."""
    sqs = cloud.client("sqs")
    url = sqs.get_queue_url(QueueName=INTERRUPTION_QUEUE)["QueueUrl"]
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(found[name]) for name in names)


def attempts_of(status: Manifest) -> list[tuple[str, bool]]:
    return [(each["statusReason"], bool(each.get("uncharged"))) for each in status.get("attempts") or ()]


def test_another_node_is_there_before_the_one_that_is_taken_back_is_gone(scene: Stage, cloud: Cloud) -> None:
    """Though maxvCpus are used up."""
    environment = bought(scene, cloud, **SPOT, maxvCpus=4)
    scene.queue()
    scene.simulated(cpu="3", simulate={"seconds": "1000"})
    job = scene.submit("one")
    victim = running_on(scene, cloud, environment, "one")
    cloud.client("sqs").send_message(
        QueueUrl=cloud.client("sqs").get_queue_url(QueueName=INTERRUPTION_QUEUE)["QueueUrl"], MessageBody="junk"
    )
    cloud.interrupt(victim, 50)

    def replaced() -> bool:
        nodes = [node["spec"] for node in nodes_of(scene, environment)]
        return len(nodes) == 2 and sum(bool(spec.get("unschedulable")) for spec in nodes) == 1

    until(replaced, "no second node", 18)
    (pod,) = live_pods(scene, job)
    old = node_of(scene, environment, victim)
    assert old is not None
    assert pod["spec"]["nodeName"] == old["metadata"]["name"], "the job was not let run on meanwhile"
    assert old["metadata"]["annotations"]["batchwright.io/cordoned"].startswith("interrupted ")

    until(lambda: runs_elsewhere(scene, environment, job, victim), "the job does not run on the other node")
    status = scene.wait("one", "RUNNING", 30)
    assert attempts_of(status) == [(HOST.format(victim), True)]
    assert len(cloud.instances(environment)) == 2, "one instance was enough to replace it"
    until(lambda: not messages(cloud), "messages stay, though they were handled or are junk", 30)
    assert f"{HOST.format(victim)} 1 of its pods ran there" in scene.wait_event("one", "HostTerminated")


def test_elements_wait_again_and_none_fails(scene: Stage, cloud: Cloud) -> None:
    environment = bought(scene, cloud, **SPOT)
    scene.queue()
    scene.simulated(cpu="1", simulate={"seconds": "15"})
    scene.submit("sweep", arrayProperties={"size": 5})
    until(lambda: len(nodes_of(scene, environment)) == 2, "the nodes do not come", 90)
    scene.wait(
        "sweep",
        lambda status: "5 running" in str(status) or status["arrayProperties"]["statusSummary"].get("RUNNING") == 5,
        60,
    )
    victim = cloud.instances(environment, "running")[0]["InstanceId"]
    cloud.interrupt(victim, 4)

    status = scene.wait_final("sweep", 120)
    assert status["state"] == "SUCCEEDED"
    assert status["arrayProperties"]["statusSummary"]["SUCCEEDED"] == 5
    assert HOST.format(victim) in scene.wait_event("sweep", "HostTerminated")


@pytest.mark.parametrize(
    "action", [pytest.param("RETRY", id="charged, and it was the last"), pytest.param("EXIT", id="the end of it")]
)
def test_the_rules_may_charge_it(scene: Stage, cloud: Cloud, action: str) -> None:
    environment = bought(scene, cloud, **SPOT)
    scene.queue()
    attempts = 1 if action == "RETRY" else 3
    retry = {"attempts": attempts, "evaluateOnExit": [{"action": action, "onStatusReason": "Host EC2*"}]}
    scene.simulated(cpu="3", simulate={"seconds": "1000"}, retryStrategy=retry)
    scene.submit("one")
    victim = running_on(scene, cloud, environment, "one")
    cloud.interrupt(victim, 3)

    status = scene.wait_final("one", 90)
    assert (status["state"], status["statusReason"]) == ("FAILED", HOST.format(victim))
    assert attempts_of(status) == [(HOST.format(victim), False)]


def test_a_notice_that_is_lost_shows_in_the_instance(scene: Stage, cloud: Cloud) -> None:
    environment = bought(scene, cloud, **SPOT)
    scene.queue()
    scene.simulated(cpu="3", simulate={"seconds": "6"})
    scene.submit("one")
    victim = running_on(scene, cloud, environment, "one")
    cloud.interrupt(victim, 0, "SILENT")

    status = scene.wait_final("one", 90)
    assert status["state"] == "SUCCEEDED"
    assert attempts_of(status)[0] == (HOST.format(victim), True)
    until(lambda: node_of(scene, environment, victim) is None, "the node of an instance that is gone stays")


def test_a_node_that_may_be_taken_back_gets_no_new_work(scene: Stage, cloud: Cloud) -> None:
    environment = bought(scene, cloud, **SPOT)
    scene.queue()
    scene.simulated(cpu="1", simulate={"seconds": "12"})
    scene.submit("one")
    first = running_on(scene, cloud, environment, "one")
    cloud.interrupt(first, 0, "REBALANCE")
    until(lambda: is_closed(scene, environment, first), "it still takes work")
    scene.submit("two")

    status = scene.wait_final("two", 90)
    assert status["state"] == scene.wait_final("one", 30)["state"] == "SUCCEEDED"
    assert [reason for reason, _ in attempts_of(scene.status("one"))] == ["Essential container in task exited"]
    ended = until(lambda: cloud.instances(environment, "terminated"), "the instance stays when its jobs have ended")
    assert first in [each["InstanceId"] for each in ended]
    assert len(cloud.instances(environment)) == 2


def test_maintenance_is_not_waited_for(scene: Stage, cloud: Cloud, buyer: OperatorProcess) -> None:
    """Jobs are moved before its date, by an operator too that was started after its message was gone."""
    environment = bought(scene, cloud)
    scene.queue()
    scene.simulated(cpu="3", simulate={"seconds": "1000"})
    job = scene.submit("one")
    victim = running_on(scene, cloud, environment, "one")
    cloud.interrupt(victim, 320, "MAINTENANCE")
    until(lambda: is_closed(scene, environment, victim), "it still takes work")
    until(lambda: not messages(cloud), "the message stays")
    buyer.kill()
    buyer.start()

    until(lambda: runs_elsewhere(scene, environment, job, victim), "the job is not moved")
    assert attempts_of(scene.status("one")) == [(HOST.format(victim), True)]
    until(lambda: victim in _ids(cloud, environment, "terminated"), "the instance stays until its date")


def _ids(cloud: Cloud, environment: str, *states: str) -> list[str]:
    return [each["InstanceId"] for each in cloud.instances(environment, *states)]


def change(scene: Stage, environment: str, **resources: object) -> None:
    scene.api.patch("ComputeEnvironment", environment, None, {"spec": {"computeResources": resources}})


def test_a_scaling_update_replaces_nothing(scene: Stage, cloud: Cloud) -> None:
    environment = bought(scene, cloud, minvCpus=4)
    (first,) = until(lambda: _ids(cloud, environment, "running"), "minvCpus are not there")
    until(lambda: nodes_of(scene, environment), "no node")
    change(scene, environment, minvCpus=8, maxvCpus=32)
    both = until(lambda: len(found := _ids(cloud, environment, "running")) == 2 and found, "minvCpus were raised")
    assert first in both
    change(scene, environment, minvCpus=0)
    until(lambda: not _ids(cloud, environment, "running"), "idle instances stay")
    assert len(cloud.instances(environment)) == 2


def test_any_other_update_lets_jobs_end_on_the_old_nodes(scene: Stage, cloud: Cloud) -> None:
    environment = bought(scene, cloud)
    scene.queue()
    scene.simulated(cpu="1", simulate={"seconds": "10"})
    scene.submit("one")
    first = running_on(scene, cloud, environment, "one")
    change(scene, environment, instanceTypes=["c5.xlarge"])
    until(lambda: is_closed(scene, environment, first), "old nodes take new work")
    until(lambda: status_of(scene, environment)["status"] == "UPDATING", "nobody says that it is being changed")
    scene.submit("two")

    assert scene.wait_final("one", 60)["state"] == scene.wait_final("two", 60)["state"] == "SUCCEEDED"
    assert [reason for reason, _ in attempts_of(scene.status("one"))] == ["Essential container in task exited"]
    until(lambda: first in _ids(cloud, environment, "terminated"), "the old instance stays")
    assert sorted(each["InstanceType"] for each in cloud.instances(environment)) == ["c5.xlarge", "m5.xlarge"]
    until(lambda: status_of(scene, environment)["status"] == "VALID", "the change has no end")


def test_an_update_may_end_jobs(scene: Stage, cloud: Cloud) -> None:
    environment = bought(scene, cloud, policy={"terminateJobsOnUpdate": True})
    scene.queue()
    scene.simulated(cpu="1", simulate={"seconds": "15"})
    scene.submit("one")
    first = running_on(scene, cloud, environment, "one")
    change(scene, environment, instanceTypes=["c5.xlarge"])

    status = scene.wait_final("one", 90)
    assert status["state"] == "SUCCEEDED"
    assert attempts_of(status) == [(HOST.format(first), True), ("Essential container in task exited", False)]
