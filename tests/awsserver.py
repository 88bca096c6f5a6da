"""A moto server on loopback with a network to start instances in; botocore finds it by AWS_ENDPOINT_URL."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
import pytest

from batchwright.local.ec2.server import serve
from batchwright.local.ec2.switches import Switches

REGION = "us-east-1"
ROLE = "arn:aws:iam::123456789012:role/nodes"


@dataclass(frozen=True)
class Network:
    """What a test may name in an environment. `subnets` are of zones a, b, c in this order."""

    url: str
    switches: Switches
    subnets: tuple[str, ...]
    group: str
    image: str
    arm_image: str

    def client(self, service: str = "ec2") -> Any:
        return boto3.client(service, endpoint_url=self.url, region_name=REGION)  # type: ignore[call-overload]


@contextmanager
def aws_server() -> Iterator[Network]:
    """Runs the server for as long as the context lasts."""
    switches = Switches()
    server = serve("127.0.0.1", 0, switches)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    patch = pytest.MonkeyPatch()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        for name, value in {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        }.items():
            patch.setenv(name, value)
        yield _network(url, switches)
    finally:
        patch.undo()
        server.shutdown()


def _network(url: str, switches: Switches) -> Network:
    ec2: Any = boto3.client("ec2", endpoint_url=url, region_name=REGION)
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnets = tuple(
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{number}.0/24", AvailabilityZone=f"{REGION}{zone}")["Subnet"][
            "SubnetId"
        ]
        for number, zone in enumerate("abc")
    )
    group = ec2.create_security_group(GroupName="nodes", Description="nodes", VpcId=vpc)["GroupId"]
    images = ec2.describe_images(Owners=["amazon"])["Images"]
    x86 = next(each["ImageId"] for each in images if each["Architecture"] == "x86_64")
    arm = next((each["ImageId"] for each in images if each["Architecture"] == "arm64"), "")
    return Network(url, switches, subnets, group, x86, arm)


def groups_of_somebody(
    network: Network, instance_type: str, capacity: str = "ON_DEMAND", **group: Any
) -> tuple[str, ...]:
    """An empty group in each subnet, as somebody has made it who knows nothing of us."""
    scaling, name = network.client("autoscaling"), f"somebodys-{uuid.uuid4().hex[:8]}"
    data = {"ImageId": network.image, "InstanceType": instance_type}
    market = {"InstanceMarketOptions": {"MarketType": "spot"}} if capacity == "SPOT" else {}
    network.client().create_launch_template(LaunchTemplateName=name, LaunchTemplateData={**data, **market})
    for number, subnet in enumerate(network.subnets):
        scaling.create_auto_scaling_group(
            **{
                "AutoScalingGroupName": f"{name}-{number}",
                "LaunchTemplate": {"LaunchTemplateName": name},
                "MinSize": 0,
                "MaxSize": 10,
                "VPCZoneIdentifier": subnet,
                **group,
            }
        )
    return tuple(f"{name}-{number}" for number in range(len(network.subnets)))


def eks_cluster(network: Network, name: str = "batch") -> str:
    """An EKS cluster of that name."""
    eks = network.client("eks")
    if name not in eks.list_clusters()["clusters"]:
        eks.create_cluster(name=name, roleArn=ROLE, resourcesVpcConfig={"subnetIds": list(network.subnets)})
    return name


def node_groups_of_somebody(
    network: Network, instance_type: str, capacity: str = "ON_DEMAND", **scaling: int
) -> tuple[str, ...]:
    """An empty node group in each subnet, as somebody has made it who knows nothing of us."""
    name = f"somebodys-{uuid.uuid4().hex[:8]}"
    for number, subnet in enumerate(network.subnets):
        network.client("eks").create_nodegroup(
            clusterName=eks_cluster(network),
            nodegroupName=f"{name}-{number}",
            scalingConfig={"minSize": 0, "maxSize": 10, "desiredSize": 0, **scaling},
            subnets=[subnet],
            instanceTypes=[instance_type],
            capacityType=capacity,
            nodeRole=ROLE,
        )
    return tuple(f"{name}-{number}" for number in range(len(network.subnets)))
