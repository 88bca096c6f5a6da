"""The third act's surroundings: a network of the embedded AWS endpoint, and an environment that buys Spot there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import boto3
from botocore.config import Config

from batchwright import names
from batchwright.local import aws

JSON = dict[str, Any]

ENVIRONMENT: Final = "demo-spot"
QUEUE: Final = "demo-spot"
DEFINITION: Final = "demo-spot-work"
ELEMENTS: Final = 40
ELEMENT_SECONDS: Final = 12
TYPES: Final = ("m5.2xlarge", "m5.4xlarge", "c5.4xlarge")
MOST_VCPUS: Final = 64
# From the warning to the end of the instance; EC2 gives 120 s, of which nothing would be seen for most.
WARNING_SECONDS: Final = 36.0
_VPC: Final = "batchwright-demo"
_ZONES: Final = ("a", "b")
# What a node is told by its user data; the embedded endpoint's joiner reads it.
_KUBELET: Final = "kubelet --node-labels=@LABELS@ --register-with-taints=@TAINTS@"


@dataclass(frozen=True)
class Network:
    """Where instances start, and from what."""

    subnets: tuple[str, ...]
    image: str


def connect(endpoint: str) -> Any:
    """A client of the embedded EC2. A proxy of the machine's environment has no way to it, so none is used."""
    settings = aws.environment(endpoint)
    return boto3.client(
        "ec2",
        endpoint_url=endpoint,
        region_name=settings["AWS_REGION"],
        aws_access_key_id=settings["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=settings["AWS_SECRET_ACCESS_KEY"],
        config=Config(proxies={}),
    )


def ensure_network(ec2: Any) -> Network:
    """The demo's subnets, made where they are missing. Raises ClientError and BotoCoreError."""
    mine = [{"Name": "tag:Name", "Values": [_VPC]}]
    found = ec2.describe_subnets(Filters=mine)["Subnets"]
    if not found:
        vpc = ec2.create_vpc(CidrBlock="10.40.0.0/16")["Vpc"]["VpcId"]
        tags = [{"ResourceType": "subnet", "Tags": [{"Key": "Name", "Value": _VPC}]}]
        found = [
            ec2.create_subnet(
                VpcId=vpc,
                CidrBlock=f"10.40.{number}.0/24",
                AvailabilityZone=f"{aws.REGION}{zone}",
                TagSpecifications=tags,
            )["Subnet"]
            for number, zone in enumerate(_ZONES)
        ]
    images = ec2.describe_images(Owners=["amazon"])["Images"]
    image = next(each["ImageId"] for each in images if each["Architecture"] == "x86_64")
    return Network(tuple(sorted(each["SubnetId"] for each in found)), image)


def list_instances(ec2: Any) -> Mapping[str, JSON]:
    """Every instance that the environment ever had, by id, as EC2 shows it."""
    filters = [{"Name": f"tag:{names.TAG_ENVIRONMENT}", "Values": [ENVIRONMENT]}]
    found = ec2.describe_instances(Filters=filters)["Reservations"]
    return {each["InstanceId"]: each for reservation in found for each in reservation["Instances"]}


def render_declarations(network: Network) -> list[JSON]:
    """The environment, its queue, and what its jobs do."""
    environment = {
        "type": "MANAGED",
        "computeResources": {
            "type": "SPOT",
            "minvCpus": 0,
            "maxvCpus": MOST_VCPUS,
            "instanceTypes": list(TYPES),
            "subnets": list(network.subnets),
            "imageId": network.image,
        },
        "nodeJoin": {"type": "USER_DATA", "userData": _KUBELET},
    }
    queue = {"priority": 1, "computeEnvironmentOrder": [{"order": 1, "computeEnvironment": ENVIRONMENT}]}
    container = {
        "name": "work",
        "image": "simulated",
        "resources": {"requests": {"cpu": "1", "memory": "1Gi"}},
    }
    pod = {
        "metadata": {"annotations": {names.SIMULATE_SECONDS: str(ELEMENT_SECONDS)}},
        "spec": {"containers": [container]},
    }
    return [
        _object("ComputeEnvironment", ENVIRONMENT, environment),
        _object("JobQueue", QUEUE, queue),
        _object("JobDefinition", DEFINITION, {"podTemplate": pod}),
    ]


def render_job(run: str) -> JSON:
    """The array of a run; each element has one attempt."""
    spec = {"jobQueue": QUEUE, "jobDefinition": DEFINITION, "arrayProperties": {"size": ELEMENTS}}
    return _object("BatchJob", f"{run}-sweep", spec)


def _object(kind: str, name: str, spec: JSON) -> JSON:
    return {"apiVersion": names.API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
