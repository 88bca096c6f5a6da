"""EKS managed node groups with an Auto Scaling group behind each, as EKS makes one; moto's have none, nor instances.

A node group is CREATING for as long as the switches say. Its instances are told the labels and taints of the node
group, as EKS tells them; its health is what its Auto Scaling group could not do last.
"""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Callable
from typing import Any

import orjson
from moto.autoscaling.models import autoscaling_backends
from moto.core.types import Base64EncodedString
from moto.ec2.models import ec2_backends
from moto.eks.models import Nodegroup, eks_backends

from batchwright.local.ec2.groups import Groups, find
from batchwright.local.ec2.switches import Switches

_PATH = re.compile(r"/clusters/([^/]+)/node-groups(?:/([^/]+)(/update-config)?)?")
_EFFECTS = {"NO_SCHEDULE": "NoSchedule", "NO_EXECUTE": "NoExecute", "PREFER_NO_SCHEDULE": "PreferNoSchedule"}
Answer = tuple[str, list[tuple[str, str]], bytes]


class NodeGroups:
    """The node groups of every cluster of the endpoint."""

    def __init__(self, switches: Switches, groups: Groups) -> None:
        self._switches, self._groups = switches, groups

    def answer(self, method: str, path: str, body: bytes, ask: Callable[[], Answer]) -> Answer | None:
        """The answer to a request; None for one that is not about node groups. `ask` asks moto."""
        found = _PATH.fullmatch(path)
        if found is None:
            return None
        if method == "POST" and not found[2]:
            return self._create(found[1], body, ask)
        node_group = find_node_group(found[1], found[2] or "")
        if node_group is None:
            return ask()
        if method == "GET":
            node_group.health = {"issues": self._issues(node_group)}
        if method == "DELETE" and (group := find(scaling_group(node_group))) is not None:
            self._groups.delete(group)
        answer = ask()
        if found[3] and answer[0].startswith("200"):
            self._follow(node_group)
        return answer

    def _create(self, cluster: str, body: bytes, ask: Callable[[], Answer]) -> Answer:
        answer = ask()
        if not answer[0].startswith("200"):
            return answer
        node_group = find_node_group(cluster, orjson.loads(body)["nodegroupName"])
        if node_group is None:
            return answer
        name, node_group.resources["autoScalingGroups"] = scaling_group(node_group), []
        if self._switches.node_group_seconds:
            node_group.status = "CREATING"
            timer = threading.Timer(self._switches.node_group_seconds, self._finish, [node_group, name])
            timer.daemon = True
            timer.start()
        else:
            self._finish(node_group, name)
        return answer

    def _finish(self, node_group: Nodegroup, name: str) -> None:
        account = next(key for key, each in eks_backends.items() if node_group in _node_groups(each))
        ec2, scaling = ec2_backends[account][node_group.region], autoscaling_backends[account][node_group.region]
        own = node_group.launch_template or {}
        data: dict[str, Any] = dict(ec2.get_launch_template(own["id"]).default_version().data) if own.get("id") else {}
        data["InstanceType"] = node_group.instance_types[0]
        if "ImageId" not in data:
            data["ImageId"] = next(each.id for each in ec2.describe_images() if each.architecture == "x86_64")
        if node_group.capacity_type == "SPOT":
            data["InstanceMarketOptions"] = {"MarketType": "spot"}
        data.setdefault("UserData", Base64EncodedString(base64.b64encode(told(node_group).encode()).decode()))
        template = ec2.create_launch_template(name, "", data, {})
        scaling.create_auto_scaling_group(
            name=name,
            availability_zones=[],
            desired_capacity=0,
            max_size=node_group.scaling_config.get("maxSize", 2),
            min_size=node_group.scaling_config.get("minSize", 0),
            launch_config_name="",
            launch_template={"LaunchTemplateId": template.id, "Version": "$Default"},
            vpc_zone_identifier=",".join(node_group.subnets),
            default_cooldown=None,
            health_check_period=None,
            health_check_type=None,
            load_balancers=[],
            target_group_arns=[],
            placement_group=None,
            termination_policies=[],
            tags=[
                {"Key": key, "Value": value, "PropagateAtLaunch": True}
                for key, value in {
                    "eks:cluster-name": node_group.cluster_name,
                    "eks:nodegroup-name": node_group.nodegroup_name,
                }.items()
            ],
        )
        node_group.resources["autoScalingGroups"] = [{"name": name}]
        node_group.status = "ACTIVE"
        self._follow(node_group)

    def _follow(self, node_group: Nodegroup) -> None:
        """The Auto Scaling group has the bounds and the size of the node group's scalingConfig."""
        group, config = find(scaling_group(node_group)), node_group.scaling_config
        if group is not None:
            group.min_size = config.get("minSize", group.min_size)
            group.max_size = config.get("maxSize", group.max_size)
            self._groups.resize(group, config.get("desiredSize", group.desired_capacity))

    def _issues(self, node_group: Nodegroup) -> list[dict[str, Any]]:
        name = scaling_group(node_group)
        failed = self._groups.last_failure(name)
        if failed is None:
            return []
        return [{"code": "AsgInstanceLaunchFailures", "message": failed, "resourceIds": [name]}]


def scaling_group(node_group: Nodegroup) -> str:
    """The name of its Auto Scaling group."""
    return f"eks-{node_group.nodegroup_name}-{node_group.uuid}"


def told(node_group: Nodegroup) -> str:
    """What EKS adds to the user data of instances."""
    own = {
        "eks.amazonaws.com/nodegroup": node_group.nodegroup_name,
        "eks.amazonaws.com/capacityType": node_group.capacity_type,
    }
    labels = ",".join(f"{key}={value}" for key, value in {**node_group.labels, **own}.items())
    taints = ",".join(f"{each['key']}={each.get('value', '')}:{_EFFECTS[each['effect']]}" for each in node_group.taints)
    return f"kubelet --node-labels={labels} --register-with-taints={taints}"


def _node_groups(backends: Any) -> list[Nodegroup]:
    return [
        node_group
        for backend in backends.values()
        for cluster in backend.clusters.values()
        for node_group in cluster.nodegroups.values()
    ]


def find_node_group(cluster: str, name: str) -> Nodegroup | None:
    """The node group of that name."""
    for account in eks_backends.values():
        for node_group in _node_groups(account):
            if (node_group.cluster_name, node_group.nodegroup_name) == (cluster, name):
                return node_group
    return None
