"""A moto server on loopback with a network to start instances in; botocore finds it by AWS_ENDPOINT_URL."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
import pytest

from batchwright.local.ec2.server import serve
from batchwright.local.ec2.switches import Switches

REGION = "us-east-1"


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
