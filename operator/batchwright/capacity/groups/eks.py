"""The provider EKS_NODE_GROUPS: managed node groups that the environment names, or some of ours, one for each type.

A node group is an Auto Scaling group that EKS makes, with a name, tags and a health of its own: it is sized and its
instances are ended as any group's are, which EKS follows (as with cluster-autoscaler). One for each type and not for
each subnet too, because a cluster has thirty of them unless AWS is asked for more; so zones are the group's choice.

A node group takes minutes to be made. It is made empty, and asked for instances when it is there: what is killed
in between leaves an empty node group, which the next launch finds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from batchwright import names
from batchwright.capacity.ec2.catalogue import Catalogue
from batchwright.capacity.ec2.client import JSON, Clients
from batchwright.capacity.ec2.fleet import Ec2Fleet
from batchwright.capacity.ec2.pricelist import PriceList
from batchwright.capacity.ec2.templates import Templates, with_tags
from batchwright.capacity.ec2.userdata import kubelet_labels
from batchwright.capacity.ec2.warnings import Warnings
from batchwright.capacity.groups.calls import Calls
from batchwright.capacity.groups.existing import Existing
from batchwright.capacity.groups.group import Group, name_for, offered_as, tags_for
from batchwright.capacity.groups.provider import GroupProvider
from batchwright.capacity.groups.trouble import Failure, of_health
from batchwright.capacity.port import Blueprint, InstanceType, Kind
from batchwright.errors import Misconfigured, ProviderUnavailable

PROVIDER = "EKS_NODE_GROUPS"
# Nodes of a node group, as EKS has it unless AWS is asked for more.
MOST_INSTANCES = 450
_EFFECTS = {"NoSchedule": "NO_SCHEDULE", "NoExecute": "NO_EXECUTE", "PreferNoSchedule": "PREFER_NO_SCHEDULE"}
# What AWS Batch calls an image, in EKS's words (EKS API reference, amiType).
_AMI = {"EKS_AL2": "AL2", "EKS_AL2023": "AL2023", "EKS_BOTTLEROCKET": "BOTTLEROCKET"}
# What a template of a node group must not say.
EKS_FORBIDS = ("IamInstanceProfile", "InstanceType", "InstanceMarketOptions", "InstanceInitiatedShutdownBehavior")
CLUSTER_TAG, NODE_GROUP_TAG = "eks:cluster-name", "eks:nodegroup-name"


class EksSource:
    """Node groups of EKS clusters in one region."""

    def __init__(self, calls: Calls, clients: Clients, catalogue: Catalogue, prices: PriceList | None = None) -> None:
        self._calls, self._eks = calls, clients.of("eks")
        self._ec2 = Ec2Fleet(calls.cluster, clients.of("ec2"), catalogue=catalogue, price_list=prices)
        self._existing = Existing(calls, clients, catalogue)
        self._templates = Templates(clients.of("ec2"), calls.cluster)

    async def kinds(self, blueprint: Blueprint) -> tuple[Kind, ...]:
        """Those of the node groups that are named; else the types that are, in whichever of the subnets."""
        if not blueprint.groups:
            await self._eks.call("describe_cluster", name=blueprint.eks)
            for each in await self._ec2.types(blueprint):
                ami_type(blueprint, each)
            pools = await self._ec2.pools(blueprint, await self._ec2.types(blueprint))
            return by_type(pools, blueprint)
        types: dict[str, tuple[str, ...]] = {}
        for name in blueprint.groups:
            found = await self._describe(blueprint.eks, name)
            types[scaling_group(found)] = tuple(found.get("instanceTypes") or ())
        return await self._existing.kinds(blueprint, types)

    async def _describe(self, cluster: str, name: str) -> JSON:
        answer = await self._eks.call("describe_nodegroup", clusterName=cluster, nodegroupName=name)
        return dict(answer["nodegroup"])

    async def group_for(self, blueprint: Blueprint, kind: Kind) -> tuple[str, Mapping[str, str]]:
        """The Auto Scaling group of the node group of this type. ProviderUnavailable while it is being made."""
        tags = self._existing.tags(blueprint, kind)
        if blueprint.groups:
            return kind.place, tags
        name = name_for(self._calls.cluster, blueprint, kind)
        try:
            found = await self._describe(blueprint.eks, name)
        except Misconfigured as error:
            if error.code != "ResourceNotFoundException":
                raise
            await self._make(blueprint, kind, name)
            found = await self._describe(blueprint.eks, name)
        return scaling_group(found), tags | {names.TAG_MADE: "true"}

    async def _make(self, blueprint: Blueprint, kind: Kind, name: str) -> None:
        tags = (blueprint.resources.tags or {}) | tags_for(self._calls.cluster, self._calls.provider, blueprint)
        content = await self._content(blueprint, kind, tags)
        image = "CUSTOM" if "ImageId" in content else ami_type(blueprint, kind.type)
        labels = kubelet_labels(blueprint.labels) | {names.LABEL_CAPACITY: kind.capacity}
        taints = [{"key": each.key, "value": each.value, "effect": _EFFECTS[each.effect]} for each in blueprint.taints]
        try:
            await self._eks.call(
                "create_nodegroup",
                clusterName=blueprint.eks,
                nodegroupName=name,
                clientRequestToken=name,
                scalingConfig={"minSize": 0, "maxSize": MOST_INSTANCES, "desiredSize": 0},
                subnets=list(blueprint.resources.subnets or ()),
                instanceTypes=[kind.type.name],
                capacityType=kind.capacity,
                amiType=image,
                nodeRole=blueprint.resources.instance_role,
                labels=labels,
                taints=taints,
                tags=tags | {names.TAG_OFFERED: offered_as(kind)},
                launchTemplate={"name": await self._templates.make(content)},
            )
        except ProviderUnavailable as error:
            # Somebody before us has made it.
            if error.code != "ResourceInUseException":
                raise

    async def _content(self, blueprint: Blueprint, kind: Kind, tags: Mapping[str, str]) -> JSON:
        """What CreateNodegroup takes no word for. The nodes' role and the market are not for templates of EKS."""
        content = dict(await self._templates.content(blueprint, kind.type, needs_image=False))
        for word in EKS_FORBIDS:
            content.pop(word, None)
        listed = {"Name": f"batchwright/{blueprint.environment}", **tags}
        return with_tags(with_tags(content, "instance", listed), "volume", listed)

    async def trouble(self, group: Group) -> Failure | None:
        """What EKS says of the node group's health."""
        cluster, name = group.tags.get(CLUSTER_TAG), group.tags.get(NODE_GROUP_TAG)
        if not cluster or not name:
            return None
        found = await self._describe(cluster, name)
        return of_health(found.get("health", {}).get("issues", []))

    async def delete(self, group: Group) -> None:
        """Deletes the node group, and with it the Auto Scaling group."""
        await self._eks.call(
            "delete_nodegroup", clusterName=group.tags[CLUSTER_TAG], nodegroupName=group.tags[NODE_GROUP_TAG]
        )


def scaling_group(node_group: JSON) -> str:
    """The name of a node group's Auto Scaling group. Raises ProviderUnavailable while there is none, and Misconfigured
    where there will be none."""
    name, status = node_group["nodegroupName"], node_group["status"]
    groups = node_group.get("resources", {}).get("autoScalingGroups", [])
    if status in ("CREATE_FAILED", "DELETE_FAILED"):
        issue = of_health(node_group.get("health", {}).get("issues", []))
        why = issue.message if issue is not None else "EKS does not say why"
        raise Misconfigured(f"Node group {name} is {status}: {why}", issue.code if issue is not None else status)
    if status in ("CREATING", "DELETING") or not groups:
        word = f"NodeGroup{status.title()}"
        raise ProviderUnavailable(f"Node group {name} is {status}, which takes EKS minutes", word)
    return str(groups[0]["name"])


def by_type(pools: Iterable[Kind], blueprint: Blueprint) -> tuple[Kind, ...]:
    """One kind for each type: in its zone if that is one, else nobody knows where, at the price of the dearest."""
    found: dict[InstanceType, list[Kind]] = {}
    for kind in pools:
        found.setdefault(kind.type, []).append(kind)
    kinds = []
    for each, listed in found.items():
        zones = {kind.zone for kind in listed}
        price = max((kind.price for kind in listed if kind.price is not None), default=None)
        zone = zones.pop() if len(zones) == 1 else ""
        kinds.append(Kind(each, zone, blueprint.capacity, price, pool=f"{blueprint.eks}/{blueprint.environment}"))
    return tuple(kinds)


def ami_type(blueprint: Blueprint, of: InstanceType) -> str:
    """EKS's word for the image of this type. Raises Misconfigured where there is none."""
    asked = [each.image_type.upper() for each in blueprint.resources.ec2_configuration] or ["EKS_AL2023"]
    for_gpus = [each for each in asked if "NVIDIA" in each]
    word = (for_gpus or asked)[0] if of.gpus else next((each for each in asked if each not in for_gpus), asked[0])
    base, variant = word.partition("_NVIDIA")[0], "NVIDIA" if of.gpus or "NVIDIA" in word else ""
    if base not in _AMI:
        known = ", ".join(sorted(_AMI))
        raise Misconfigured(f"EKS has no image for imageType {word}: take one of {known}, or with _NVIDIA", "ImageType")
    architecture = "ARM_64" if of.architecture == "arm64" else "x86_64"
    if base == "EKS_AL2":
        return f"AL2_{architecture}" + ("_GPU" if variant else "")
    plain = "STANDARD" if base == "EKS_AL2023" else ""
    return "_".join(part for part in (_AMI[base], architecture, variant or plain) if part)


def eks_node_groups(
    cluster: str,
    clients: Clients,
    catalogue: Catalogue,
    warnings: Warnings | None = None,
    prices: PriceList | None = None,
) -> GroupProvider:
    """The provider for one cluster."""
    calls = Calls(cluster, PROVIDER, clients)
    return GroupProvider(PROVIDER, calls, EksSource(calls, clients, catalogue, prices), catalogue, warnings)
