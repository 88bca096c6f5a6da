"""Environments of Auto Scaling groups and EKS node groups, of ours and of somebody's, grow from nothing for what waits
and shrink to nothing when it is done. Groups start instances a second after they were asked to, as AWS does later."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

import manifests
from cloud import Cloud, nodes_of, status_of, until
from operatorprocess import OperatorProcess
from stage import Stage

ROLE = "arn:aws:iam::123456789012:role/nodes"
JOIN = {"type": "USER_DATA", "userData": "kubelet --node-labels=@LABELS@ --register-with-taints=@TAINTS@"}
EKS = "batch"


@pytest.fixture(autouse=True)
def by_and_by(cloud: Cloud, scene: Stage) -> None:
    cloud.switch(fill_seconds=1.0)


def declare(scene: Stage, name: str, **spec: Any) -> str:
    """A MANAGED environment with these fields; its full name."""
    full = f"{scene.namespace}-{name}"
    resources = {"type": "EC2", "maxvCpus": 64, **spec.pop("computeResources", {})}
    scene.declare(manifests.compute_environment(full, type="MANAGED", computeResources=resources, **spec))
    return full


def made(cloud: Cloud, **resources: Any) -> dict[str, Any]:
    return {"instanceTypes": ["m5.xlarge"], "subnets": cloud.subnets, **resources}


def scaling_groups(scene: Stage, cloud: Cloud, name: str = "env") -> str:
    """Auto Scaling groups of ours."""
    resources = made(cloud, imageId=cloud.image)
    return declare(scene, name, provider="AUTO_SCALING_GROUPS", computeResources=resources, nodeJoin=JOIN)


def somebodys_scaling_group(scene: Stage, cloud: Cloud, name: str = "env", **over: Any) -> str:
    """An Auto Scaling group that is there already, over both zones."""
    group = f"group-{uuid.uuid4().hex[:8]}"
    data = {"ImageId": cloud.image, "InstanceType": "m5.xlarge"}
    cloud.client().create_launch_template(LaunchTemplateName=group, LaunchTemplateData=data)
    cloud.client("autoscaling").create_auto_scaling_group(
        **{
            "AutoScalingGroupName": group,
            "LaunchTemplate": {"LaunchTemplateName": group},
            "MinSize": 0,
            "MaxSize": 10,
            "VPCZoneIdentifier": ",".join(cloud.subnets),
            **over,
        }
    )
    return declare(scene, name, provider="AUTO_SCALING_GROUPS", autoScalingGroups=[group])


def eks_cluster(cloud: Cloud) -> str:
    eks = cloud.client("eks")
    if EKS not in eks.list_clusters()["clusters"]:
        eks.create_cluster(name=EKS, roleArn=ROLE, resourcesVpcConfig={"subnetIds": cloud.subnets})
    return EKS


def node_groups(scene: Stage, cloud: Cloud, name: str = "env") -> str:
    """EKS node groups of ours, which take two seconds to be made."""
    cloud.switch(node_group_seconds=2.0)
    eks, resources = {"clusterName": eks_cluster(cloud)}, made(cloud, instanceRole=ROLE)
    return declare(scene, name, provider="EKS_NODE_GROUPS", eks=eks, computeResources=resources)


def somebodys_node_group(scene: Stage, cloud: Cloud, name: str = "env") -> str:
    """An EKS node group that is there already."""
    node_group = f"group-{uuid.uuid4().hex[:8]}"
    cloud.client("eks").create_nodegroup(
        clusterName=eks_cluster(cloud),
        nodegroupName=node_group,
        scalingConfig={"minSize": 0, "maxSize": 10, "desiredSize": 0},
        subnets=cloud.subnets,
        instanceTypes=["m5.xlarge"],
        nodeRole=ROLE,
    )
    return declare(scene, name, provider="EKS_NODE_GROUPS", eks={"clusterName": EKS, "nodeGroups": [node_group]})


Maker = Callable[[Stage, Cloud], str]
EVERY = [
    pytest.param(maker, id=maker.__name__)
    for maker in (scaling_groups, somebodys_scaling_group, node_groups, somebodys_node_group)
]
BOTH = [pytest.param(maker, id=maker.__name__) for maker in (scaling_groups, somebodys_node_group)]


@pytest.mark.parametrize("maker", EVERY)
def test_from_zero_to_what_waits_and_back(scene: Stage, cloud: Cloud, maker: Maker) -> None:
    environment = maker(scene, cloud)
    scene.queue()
    scene.simulated(cpu="1500m", simulate={"seconds": "4"})
    scene.submit("sweep", arrayProperties={"size": 6})

    assert scene.wait_final("sweep", 120)["state"] == "SUCCEEDED"
    instances = cloud.instances(environment)
    assert [each["InstanceType"] for each in instances] == ["m5.xlarge"] * 3
    until(lambda: not cloud.instances(environment, "pending", "running"), "instances stay though nothing runs")
    until(lambda: not nodes_of(scene, environment), "nodes of ended instances stay")
    # They were ended one by one, and their groups got smaller with them: nothing came in their place.
    assert {each["DesiredCapacity"] for each in cloud.groups(environment)} == {0}
    assert len(cloud.instances(environment)) == 3
    shown = until(
        lambda: (found := status_of(scene, environment)).get("instanceCount") == 0 and found, "instances stay in status"
    )
    assert (shown["status"], shown["statusReason"]) == ("VALID", "ComputeEnvironment Healthy")


@pytest.mark.parametrize("maker", BOTH)
def test_killed_between_launch_and_record_nothing_is_lost_or_bought_twice(
    scene: Stage, cloud: Cloud, buyer: OperatorProcess, maker: Maker
) -> None:
    environment = maker(scene, cloud)
    scene.queue()
    until(lambda: status_of(scene, environment).get("status") == "VALID", "the environment does not become VALID")
    scene.simulated(cpu="3", simulate={"seconds": "2"})
    cloud.switch(late_seconds=20.0)
    scene.submit("sweep", arrayProperties={"size": 3})
    try:
        until(
            lambda: sum(each["DesiredCapacity"] for each in cloud.groups(environment)) > 0,
            "no group is asked for anything",
        )
    finally:
        buyer.kill()
        cloud.switch(late_seconds=0.0)
        buyer.start()

    assert scene.wait_final("sweep", 150)["state"] == "SUCCEEDED"
    # Killed between the groups of two zones, what was asked of the first may do for all three.
    assert 2 <= len(cloud.instances(environment)) <= 3
    until(lambda: not cloud.instances(environment, "pending", "running"), "instances are left over")


@pytest.mark.parametrize("maker", BOTH)
def test_what_is_sold_out_is_said_and_taken_back(scene: Stage, cloud: Cloud, maker: Maker) -> None:
    cloud.switch(exhausted=["* *"])
    environment = maker(scene, cloud)
    scene.queue()
    scene.simulated()
    scene.submit("one")

    text = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested for instance type"
    scene.wait("one", lambda status: text in str(status.get("statusReason")), 60)
    told = scene.wait_cluster_event(environment, "InsufficientInstanceCapacity")
    assert "We currently do not have sufficient m5.xlarge capacity" in told
    assert status_of(scene, environment)["status"] == "VALID"
    cloud.switch(exhausted=[])
    assert scene.wait_final("one", 90)["state"] == "SUCCEEDED"
    assert len(cloud.instances(environment)) == 1


def test_a_group_that_may_get_no_bigger_leaves_the_rest_to_the_next_environment(scene: Stage, cloud: Cloud) -> None:
    first = somebodys_scaling_group(scene, cloud, "first", MaxSize=1)
    second = scaling_groups(scene, cloud, "second")
    scene.queue("queue", first, second)
    scene.simulated(cpu="3", simulate={"seconds": "8"})
    scene.submit("one")
    scene.submit("two")

    assert [scene.wait_final(name, 120)["state"] for name in ("one", "two")] == ["SUCCEEDED"] * 2
    assert len(cloud.instances(first)) == 1
    assert cloud.instances(second)
    assert "MaxSize of 1" in scene.wait_cluster_event(first, "GroupAtMaxSize")


def test_a_group_that_is_deleted_makes_the_environment_invalid(scene: Stage, cloud: Cloud) -> None:
    environment = somebodys_scaling_group(scene, cloud)
    scene.queue()
    (group,) = until(lambda: cloud.groups(environment), "the group is not taken over")
    until(lambda: status_of(scene, environment).get("status") == "VALID", "the environment does not become VALID")
    cloud.client("autoscaling").delete_auto_scaling_group(AutoScalingGroupName=group["AutoScalingGroupName"])
    scene.simulated()
    scene.submit("one")

    shown = until(
        lambda: (found := status_of(scene, environment)).get("status") == "INVALID" and found, "it does not get INVALID"
    )
    assert f"Auto Scaling group {group['AutoScalingGroupName']} does not exist" in shown["statusReason"]
    scene.api.delete("ComputeEnvironment", environment)
    until(lambda: scene.api.find("ComputeEnvironment", environment) is None, "it cannot be deleted", 10)


def test_a_deleted_environment_leaves_nothing_of_its_own_and_what_is_somebodys(scene: Stage, cloud: Cloud) -> None:
    mine = scaling_groups(scene, cloud, "mine")
    theirs = somebodys_scaling_group(scene, cloud, "theirs", MinSize=1)
    (theirs_group,) = until(lambda: cloud.groups(theirs), "the group is not taken over")
    scene.queue("queue", mine)
    scene.simulated(cpu="3", simulate={"seconds": "2"})
    scene.submit("one")
    assert scene.wait_final("one", 90)["state"] == "SUCCEEDED"
    assert len(cloud.groups(mine)) == 1
    scene.api.delete("ComputeEnvironment", mine)
    scene.api.delete("ComputeEnvironment", theirs)

    until(lambda: not cloud.instances(mine, "pending", "running"), "instances of no environment stay")
    until(lambda: not cloud.groups(mine), "groups of ours stay")
    until(lambda: not cloud.groups(theirs), "tags of ours stay on somebody's group")
    found = cloud.client("autoscaling").describe_auto_scaling_groups(
        AutoScalingGroupNames=[theirs_group["AutoScalingGroupName"]]
    )["AutoScalingGroups"]
    assert [(each["DesiredCapacity"], len(each["Instances"])) for each in found] == [(1, 1)]
