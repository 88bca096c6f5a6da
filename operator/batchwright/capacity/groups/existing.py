"""Groups that somebody else has made and handed over: what they may start, and the tags that make them ours for a time.

What a group starts is its own choice among its types and zones. An environment may count on no more than the least of
them: what fits on that fits on whatever comes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from batchwright import names
from batchwright.capacity.ec2.catalogue import Catalogue
from batchwright.capacity.ec2.client import JSON, Clients
from batchwright.capacity.ec2.prices import SpotPrices
from batchwright.capacity.groups.calls import Calls
from batchwright.capacity.groups.group import Group, least_type, offered_as, tags_for
from batchwright.capacity.port import Blueprint, InstanceType, Kind
from batchwright.errors import Misconfigured


class Existing:
    """Groups by their names."""

    def __init__(self, calls: Calls, clients: Clients, catalogue: Catalogue) -> None:
        self._calls, self._catalogue = calls, catalogue
        self._prices = SpotPrices(clients.of("ec2"))
        self._ec2, self._scaling = clients.of("ec2"), clients.of("autoscaling")

    async def kinds(self, blueprint: Blueprint, types: Mapping[str, tuple[str, ...]]) -> tuple[Kind, ...]:
        """A kind for each group; `types` are the names of the groups, with their types where somebody knows better
        than the group. The groups are ours from then on. Raises Misconfigured for one that cannot be."""
        groups = await self._calls.named(types.keys())
        found: list[Kind] = []
        for name, listed in types.items():
            group = groups.get(name)
            if group is None:
                raise Misconfigured(f"Auto Scaling group {name} does not exist", "AutoScalingGroupNotFound")
            check(group, self._calls.cluster, blueprint)
            kind = kind_of(group, await self._sizes(group, listed), blueprint)
            if blueprint.capacity == "SPOT":
                prices = await self._prices.of([kind.type.name])
                known = [price for (_, zone), price in prices.items() if zone in group.zones]
                kind = replace(kind, price=max(known, default=None))
            wanted = self.tags(blueprint, kind)
            if any(group.tags.get(key) != value for key, value in wanted.items()):
                await self._calls.tag(name, wanted)
            found.append(kind)
        return tuple(found)

    def tags(self, blueprint: Blueprint, kind: Kind) -> dict[str, str]:
        """The tags of a group that is the environment's."""
        offered = {names.TAG_OFFERED: offered_as(kind)}
        return tags_for(self._calls.cluster, self._calls.provider, blueprint) | offered

    async def _sizes(self, group: Group, listed: tuple[str, ...]) -> tuple[InstanceType, ...]:
        known = await self._catalogue.types()
        wanted = listed or group.types or await self._started(group)
        if not wanted:
            text = f"Auto Scaling group {group.name} does not say which instance type it starts"
            raise Misconfigured(f"{text}: name it in its launch template", "UnsupportedGroup")
        for name in wanted:
            if name not in known:
                text = f"No instance type {name} is known here, which Auto Scaling group {group.name} starts"
                raise Misconfigured(text, "InstanceType")
        return tuple(known[name] for name in wanted)

    async def _started(self, group: Group) -> tuple[str, ...]:
        """The type that its template or launch configuration names."""
        if group.template is not None:
            key = "LaunchTemplateId" if group.template.get("LaunchTemplateId") else "LaunchTemplateName"
            which: JSON = {key: group.template[key]}
            answer = await self._ec2.call(
                "describe_launch_template_versions",
                **which,
                Versions=[group.template.get("Version") or "$Default"],
            )
            found = [each["LaunchTemplateData"].get("InstanceType") for each in answer["LaunchTemplateVersions"]]
        else:
            answer = await self._scaling.call(
                "describe_launch_configurations", LaunchConfigurationNames=[group.configuration]
            )
            found = [each.get("InstanceType") for each in answer["LaunchConfigurations"]]
        return tuple(each for each in found if each)


def check(group: Group, cluster: str, blueprint: Blueprint) -> None:
    """Raises Misconfigured for a group that is somebody else's, or that does not go by the number of its instances."""
    its_cluster = group.tags.get(names.TAG_CLUSTER, cluster)
    owner = group.tags.get(names.TAG_ENVIRONMENT, blueprint.environment)
    if its_cluster != cluster or owner != blueprint.environment:
        where = "" if its_cluster == cluster else " of another cluster"
        text = f"Auto Scaling group {group.name} belongs to ComputeEnvironment {owner}{where} already"
        raise Misconfigured(f"{text}: a group is for one environment alone", "GroupInUse")
    if group.oddity:
        raise Misconfigured(f"Auto Scaling group {group.name} {group.oddity}", "UnsupportedGroup")


def kind_of(group: Group, types: tuple[InstanceType, ...], blueprint: Blueprint) -> Kind:
    """What the environment may count on from the group. Raises Misconfigured where that is nothing certain."""
    least = least_type(types)
    if least is None:
        listed = ", ".join(each.name for each in types)
        text = f"Auto Scaling group {group.name} starts {listed}, of which none is the least in everything"
        raise Misconfigured(
            f"{text}, so nobody could say what fits: give it types of one architecture and size", "UnsupportedGroup"
        )
    zone = group.zones[0] if len(group.zones) == 1 else ""
    return Kind(least, zone, blueprint.capacity, place=group.name, pool=group.name)
