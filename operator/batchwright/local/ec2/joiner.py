"""Makes each instance of the embedded AWS endpoint a simulated node, as a machine would make itself one: it reads its
user data, waits a while, and registers with the labels and taints that the kubelet's flags there say.

What has ended joins no more; its Node is the operator's to delete, as on a cluster without a cloud controller.
"""

from __future__ import annotations

import base64
import re
import threading
import time
from pathlib import Path
from typing import Any

import boto3
import structlog
from botocore.exceptions import BotoCoreError, ClientError
from moto.ec2.models import ec2_backends
from moto.ec2.models.instances import StateReason

from batchwright import names
from batchwright.capacity.ec2.catalogue import instance_type
from batchwright.capacity.nodes import allocatable
from batchwright.capacity.port import InstanceType
from batchwright.domain.quantities import CPU
from batchwright.errors import AlreadyExists, ApiError
from batchwright.local.api import Api
from batchwright.local.aws import ANY_KEY
from batchwright.local.ec2.switches import Switches

logger = structlog.get_logger(__name__)
_LOOK_SECONDS = 0.5
STILLBORN = "Client.InternalError: Client error on launch"
_FLAG = re.compile(r"--(node-labels|register-with-taints)=([^\s'\"]+)")
JSON = dict[str, Any]


class Joiner:
    """One joiner for one endpoint and one cluster."""

    def __init__(self, url: str, region: str, kubeconfig: Path, switches: Switches) -> None:
        self._kubeconfig, self._switches = kubeconfig, switches
        self._ec2: Any = boto3.client(
            "ec2", endpoint_url=url, region_name=region, aws_access_key_id=ANY_KEY, aws_secret_access_key=ANY_KEY
        )
        self._joined: set[str] = set()
        self._seen: dict[str, float] = {}
        self._types: dict[str, InstanceType] = {}
        self.stopped = threading.Event()

    def run(self) -> None:
        """Works until `stopped` is set."""
        while not self.stopped.wait(_LOOK_SECONDS):
            try:
                self.look()
            except (ClientError, BotoCoreError, ApiError, OSError) as error:
                logger.warning("instances not joined", error=str(error))

    def look(self) -> None:
        """Has those join whose time has come."""
        filters = [{"Name": "tag-key", "Values": [names.TAG_CLUSTER]}]
        found = self._ec2.describe_instances(Filters=filters)["Reservations"]
        now = time.monotonic()
        for item in (each for reservation in found for each in reservation["Instances"]):
            identity, kind = item["InstanceId"], item["InstanceType"]
            since = self._seen.setdefault(identity, now)
            if item["State"]["Name"] != "running" or identity in self._joined or kind in self._switches.deaf:
                continue
            if kind in self._switches.stillborn:
                self._end(identity)
                continue
            if now - since >= self._switches.join_seconds:
                self._join(item)
                self._joined.add(identity)

    def _end(self, identity: str) -> None:
        """As EC2 ends one of which it cannot make the volumes, say: nobody has asked for it."""
        self._ec2.terminate_instances(InstanceIds=[identity])
        for account in ec2_backends.values():
            for backend in account.values():
                for reservation in backend.reservations.values():
                    for each in reservation.instances:
                        if each.id == identity:
                            each.state_reason = StateReason(STILLBORN, STILLBORN.partition(":")[0])

    def _join(self, item: JSON) -> None:
        told = self._ec2.describe_instance_attribute(InstanceId=item["InstanceId"], Attribute="userData")
        text = base64.b64decode(told["UserData"].get("Value", "")).decode(errors="replace")
        flags = dict(_FLAG.findall(text))
        is_kept_ready = item["InstanceType"] not in self._switches.unready
        body = node(item, flags, self._type(item["InstanceType"]), is_kept_ready=is_kept_ready)
        with Api(self._kubeconfig) as api:
            try:
                api.request("POST", "/api/v1/nodes", body)
            except AlreadyExists:
                return

    def _type(self, name: str) -> InstanceType:
        if name not in self._types:
            answer = self._ec2.describe_instance_types(InstanceTypes=[name])["InstanceTypes"]
            found = instance_type(answer[0])
            if found is None:
                raise OSError(f"moto knows nothing of {name}")
            self._types[name] = found
        return self._types[name]


def node(item: JSON, flags: dict[str, str], found: InstanceType, *, is_kept_ready: bool = True) -> JSON:
    """The Node that the instance registers as; kwok keeps those ready that bear its label."""
    zone = item["Placement"]["AvailabilityZone"]
    name = f"ip-{item['PrivateIpAddress'].replace('.', '-')}-{item['InstanceId'][2:8]}"
    resources = {key: f"{amount}m" if key == CPU else str(amount) for key, amount in allocatable(found).items()}
    labels = dict(pair.split("=", 1) for pair in flags.get("node-labels", "").split(",") if "=" in pair)
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": labels
            | ({"type": "kwok"} if is_kept_ready else {})
            | {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                names.ARCHITECTURE: found.architecture,
                names.INSTANCE_TYPE: found.name,
                names.ZONE: zone,
            },
        },
        "spec": {
            "providerID": f"aws:///{zone}/{item['InstanceId']}",
            "taints": [_taint(each) for each in flags.get("register-with-taints", "").split(",") if each],
        },
        "status": {
            "capacity": resources,
            "allocatable": resources,
            "addresses": [
                {"type": "InternalIP", "address": item["PrivateIpAddress"]},
                {"type": "Hostname", "address": name},
            ],
        },
    }


def _taint(text: str) -> JSON:
    pair, _, effect = text.rpartition(":")
    key, _, value = pair.partition("=")
    return {"key": key, "value": value, "effect": effect}
