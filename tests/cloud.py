"""The embedded AWS endpoint with a network to start instances in, and environments that buy there."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3

import manifests
from apiserver import Manifest
from batchwright.local.aws import INTERRUPTION_QUEUE
from batchwright.names import TAG_ENVIRONMENT
from stage import Stage

# Of an operator that looks at instances twice a second.
DELAYS = {
    "capacity_interval_seconds": "0.5",
    "capacity_idle_seconds": "2",
    "capacity_gather_seconds": "0.2",
    "capacity_start_seconds": "12",
    "capacity_pause_seconds": "2",
    "capacity_sold_out_seconds": "4",
    "explain_interval_seconds": "1",
    "interruption_queue": INTERRUPTION_QUEUE,
}
REGION = "us-east-1"


@dataclass(frozen=True)
class Cloud:
    """The embedded AWS endpoint, with a network to start instances in."""

    url: str
    subnets: list[str]
    image: str

    def client(self, service: str = "ec2") -> Any:
        return boto3.client(  # type: ignore[call-overload]
            service, endpoint_url=self.url, region_name=REGION, aws_access_key_id="x", aws_secret_access_key="x"
        )

    def switch(self, **switches: object) -> None:
        request = urllib.request.Request(f"{self.url}/batchwright/switches", json.dumps(switches).encode())
        urllib.request.urlopen(request, timeout=10).read()

    def switches(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/batchwright/switches", timeout=10) as answer:
            return dict(json.load(answer))

    def interrupt(self, instance: str, seconds: float, how: str = "INTERRUPTION") -> None:
        body = json.dumps({"instance": instance, "seconds": seconds, "how": how}).encode()
        request = urllib.request.Request(f"{self.url}/batchwright/interruptions", body)
        urllib.request.urlopen(request, timeout=10).read()

    def instances(self, environment: str, *states: str) -> list[Manifest]:
        filters = [{"Name": f"tag:{TAG_ENVIRONMENT}", "Values": [environment]}]
        found = self.client().describe_instances(Filters=filters)["Reservations"]
        every = [each for reservation in found for each in reservation["Instances"]]
        return [each for each in every if not states or each["State"]["Name"] in states]

    def groups(self, *environments: str) -> list[dict[str, Any]]:
        """The Auto Scaling groups of these environments."""
        filters = [{"Name": f"tag:{TAG_ENVIRONMENT}", "Values": list(environments)}]
        found = self.client("autoscaling").describe_auto_scaling_groups(Filters=filters)["AutoScalingGroups"]
        return [dict(each) for each in found]


def make_network(url: str) -> Cloud:
    """Makes two subnets, of zones a and b."""
    ec2 = Cloud(url, [], "").client()
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{number}.0/24", AvailabilityZone=f"{REGION}{zone}")["Subnet"]
        for number, zone in enumerate("ab")
    ]
    images = ec2.describe_images(Owners=["amazon"])["Images"]
    image = next(each["ImageId"] for each in images if each["Architecture"] == "x86_64")
    return Cloud(url, [each["SubnetId"] for each in subnets], image)


def bought(
    scene: Stage,
    cloud: Cloud,
    name: str = "env",
    policy: Manifest | None = None,
    provider: str = "EC2_FLEET",
    **resources: object,
) -> str:
    """A MANAGED environment of instances that the endpoint starts, with that updatePolicy; its full name."""
    full = f"{scene.namespace}-{name}"
    found = {
        "type": "EC2",
        "maxvCpus": 64,
        "instanceTypes": ["m5.xlarge"],
        "subnets": cloud.subnets,
        "imageId": cloud.image,
        **resources,
    }
    join = {"type": "USER_DATA", "userData": "kubelet --node-labels=@LABELS@ --register-with-taints=@TAINTS@"}
    spec: dict[str, Any] = {"type": "MANAGED", "provider": provider, "computeResources": found, "nodeJoin": join}
    scene.declare(manifests.compute_environment(full, **spec, **({"updatePolicy": policy} if policy else {})))
    return full


def nodes_of(scene: Stage, environment: str) -> list[Manifest]:
    """The nodes of an environment."""
    return scene.api.list("Node", labelSelector=f"batchwright.io/compute-environment={environment}")


def until(holds: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """What comes to hold, in time."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, what
        time.sleep(0.2)
    return found


def status_of(scene: Stage, environment: str) -> dict[str, Any]:
    """The environment's status."""
    found = scene.api.find("ComputeEnvironment", environment)
    assert found is not None
    return dict(found.get("status") or {})
