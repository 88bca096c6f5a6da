"""What is asked of Auto Scaling and EC2 about groups and their instances, of one cluster and one provider."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import structlog

from batchwright import names
from batchwright.capacity.ec2.client import JSON, Clients
from batchwright.capacity.ec2.fleet import tags_of
from batchwright.capacity.groups.group import Group, read
from batchwright.errors import Misconfigured

logger = structlog.get_logger(__name__)
# DescribeAutoScalingInstances and SetInstanceProtection take so many ids.
_MANY = 50
_PAGE = 100
_LATEST_ACTIVITIES = 10


class Calls:
    """`provider` is what tells the groups of one provider from those of another."""

    def __init__(self, cluster: str, provider: str, clients: Clients) -> None:
        self.cluster, self.provider = cluster, provider
        self._scaling, self._ec2 = clients.of("autoscaling"), clients.of("ec2")

    @property
    def _filters(self) -> list[JSON]:
        return [
            {"Name": f"tag:{names.TAG_CLUSTER}", "Values": [self.cluster]},
            {"Name": f"tag:{names.TAG_PROVIDER}", "Values": [self.provider]},
        ]

    async def ours(self) -> dict[str, Group]:
        """Every group with our tags, by name. Raises CapacityError."""
        return await self._groups(Filters=self._filters)

    async def named(self, wanted: Collection[str]) -> dict[str, Group]:
        """The groups of these names, as far as they exist. Raises CapacityError."""
        return await self._groups(AutoScalingGroupNames=sorted(wanted)) if wanted else {}

    async def _groups(self, **parameters: Any) -> dict[str, Group]:
        pages = self._scaling.pages("describe_auto_scaling_groups", "AutoScalingGroups", MaxRecords=_PAGE, **parameters)
        return {item["AutoScalingGroupName"]: read(item) async for page in pages for item in page}

    async def make(self, name: str, template: str, subnet: str, most: int, tags: Mapping[str, str]) -> None:
        """Makes an empty group. Raises CapacityError."""
        try:
            await self._scaling.call(
                "create_auto_scaling_group",
                AutoScalingGroupName=name,
                LaunchTemplate={"LaunchTemplateName": template, "Version": "$Latest"},
                MinSize=0,
                MaxSize=most,
                DesiredCapacity=0,
                VPCZoneIdentifier=subnet,
                NewInstancesProtectedFromScaleIn=True,
                Tags=_tags(name, tags),
            )
        except Misconfigured as error:
            if error.code != "AlreadyExists":
                raise

    async def follow(self, name: str, template: str) -> None:
        """Has a group start what this template says from now on; what runs stays as it is. Raises CapacityError."""
        await self._scaling.call(
            "update_auto_scaling_group",
            AutoScalingGroupName=name,
            LaunchTemplate={"LaunchTemplateName": template, "Version": "$Latest"},
        )

    async def delete(self, name: str) -> None:
        """Deletes an empty group. Raises CapacityError."""
        await self._scaling.call("delete_auto_scaling_group", AutoScalingGroupName=name)

    async def tag(self, name: str, tags: Mapping[str, str]) -> None:
        """Sets tags of a group. Raises CapacityError."""
        await self._scaling.call("create_or_update_tags", Tags=_tags(name, tags))

    async def untag(self, group: Group) -> None:
        """Takes our tags off a group and its instances. Raises CapacityError."""
        keys = [key for key in group.tags if key.startswith(f"{names.GROUP}/")]
        if group.members:
            ids = [each.id for each in group.members]
            await self._ec2.call("delete_tags", Resources=ids, Tags=[{"Key": key} for key in keys])
        tags = [{"ResourceId": group.name, "ResourceType": "auto-scaling-group", "Key": key} for key in keys]
        await self._scaling.call("delete_tags", Tags=tags)

    async def resize(self, name: str, size: int) -> None:
        """Sets the size that the group shall have. Raises CapacityError, LaunchUncertain too."""
        await self._scaling.call(
            "set_desired_capacity",
            uncertain=True,
            AutoScalingGroupName=name,
            DesiredCapacity=size,
            HonorCooldown=False,
        )

    async def protect(self, name: str, ids: Iterable[str]) -> None:
        """Has the group end none of these by its own choice. Raises CapacityError."""
        rest = sorted(ids)
        for begin in range(0, len(rest), _MANY):
            part = rest[begin : begin + _MANY]
            try:
                await self._scaling.call(
                    "set_instance_protection", AutoScalingGroupName=name, InstanceIds=part, ProtectedFromScaleIn=True
                )
            except Misconfigured as error:
                # One that has just gone has the whole list refused: the others' turn is at the next look.
                logger.info("instances not protected yet", group=name, instances=part, error=str(error))

    async def groups_of(self, ids: Iterable[str]) -> dict[str, str]:
        """The name of the group of each instance that is in one. Raises CapacityError."""
        found: dict[str, str] = {}
        rest = sorted(ids)
        for begin in range(0, len(rest), _MANY):
            pages = self._scaling.pages(
                "describe_auto_scaling_instances",
                "AutoScalingInstances",
                InstanceIds=rest[begin : begin + _MANY],
            )
            async for page in pages:
                found |= {item["InstanceId"]: item["AutoScalingGroupName"] for item in page}
        return found

    async def end(self, instance: str, *, is_smaller: bool) -> None:
        """Ends an instance of a group, which gets smaller by it or starts another. Raises CapacityError; for one that
        is gone it does not."""
        try:
            await self._scaling.call(
                "terminate_instance_in_auto_scaling_group",
                InstanceId=instance,
                ShouldDecrementDesiredCapacity=is_smaller,
            )
        except Misconfigured as error:
            if "not found" not in str(error).lower():
                raise

    async def end_alone(self, ids: Collection[str]) -> None:
        """Ends instances that are in no group. Raises CapacityError."""
        if ids:
            await self._ec2.call("terminate_instances", InstanceIds=sorted(ids))

    async def activities(self, name: str) -> list[JSON]:
        """What the group did last, the newest first. Raises CapacityError."""
        answer = await self._scaling.call(
            "describe_scaling_activities", AutoScalingGroupName=name, MaxRecords=_LATEST_ACTIVITIES
        )
        return list(answer.get("Activities", []))

    async def machines(self, members: Mapping[str, Group]) -> list[JSON]:
        """The instances with our tags, and `members` (by id, with their groups) without, which get them. Raises
        CapacityError."""
        found = await self._machines(Filters=self._filters)
        missing = sorted(members.keys() - {item["InstanceId"] for item in found})
        if not missing:
            return found
        ids = [{"Name": "instance-id", "Values": missing[:200]}]
        others = await self._machines(Filters=ids)
        for item in others:
            group = members[item["InstanceId"]]
            tags = {key: value for key, value in group.tags.items() if key in PROPAGATED}
            # They are nobody's launch of ours, and made of nobody knows what.
            for key in (names.TAG_LAUNCH, names.TAG_BLUEPRINT):
                tags.pop(key, None)
            listed = [{"Key": key, "Value": value} for key, value in tags.items()]
            await self._ec2.call("create_tags", Resources=[item["InstanceId"]], Tags=listed)
            item["Tags"] = [{"Key": key, "Value": value} for key, value in (tags_of(item) | tags).items()]
        return found + others

    async def _machines(self, **parameters: Any) -> list[JSON]:
        pages = self._ec2.pages("describe_instances", "Reservations", MaxResults=1000, **parameters)
        return [item async for page in pages for reservation in page for item in reservation["Instances"]]


PROPAGATED = (
    names.TAG_CLUSTER,
    names.TAG_PROVIDER,
    names.TAG_ENVIRONMENT,
    names.TAG_ENVIRONMENT_UID,
    names.TAG_BLUEPRINT,
    names.TAG_LAUNCH,
)


def _tags(name: str, tags: Mapping[str, str]) -> list[JSON]:
    """Ours that only groups have are not handed on; all others are."""
    own = {names.TAG_OFFERED, names.TAG_ASKED, names.TAG_MADE}
    return [
        {
            "ResourceId": name,
            "ResourceType": "auto-scaling-group",
            "Key": key,
            "Value": value,
            "PropagateAtLaunch": key not in own,
        }
        for key, value in tags.items()
    ]
