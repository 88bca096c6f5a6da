"""The provider AUTO_SCALING_GROUPS: groups that the environment names, or groups of ours, one for each type and subnet.

One for each, so that a group gives what was planned and where, and what is sold out is known by type and zone.
"""

from __future__ import annotations

from collections.abc import Mapping

from batchwright import names
from batchwright.capacity.ec2.catalogue import Catalogue
from batchwright.capacity.ec2.client import JSON, Clients
from batchwright.capacity.ec2.fleet import Ec2Fleet
from batchwright.capacity.ec2.images import Images
from batchwright.capacity.ec2.pricelist import PriceList
from batchwright.capacity.ec2.templates import Templates, with_tags
from batchwright.capacity.ec2.warnings import Warnings
from batchwright.capacity.groups.calls import Calls
from batchwright.capacity.groups.existing import Existing
from batchwright.capacity.groups.group import Group, name_for, offered_as, tags_for
from batchwright.capacity.groups.provider import GroupProvider
from batchwright.capacity.groups.trouble import Failure
from batchwright.capacity.port import Blueprint, Kind

PROVIDER = "AUTO_SCALING_GROUPS"
# Of groups of ours; what bounds them is the environment's maxvCpus.
MOST_INSTANCES = 1000


class AutoScalingSource:
    """Groups of one cluster in one region."""

    def __init__(
        self,
        calls: Calls,
        clients: Clients,
        catalogue: Catalogue,
        images: Images | None = None,
        prices: PriceList | None = None,
    ) -> None:
        self._calls = calls
        self._ec2 = Ec2Fleet(calls.cluster, clients.of("ec2"), catalogue=catalogue, price_list=prices, images=images)
        self._existing = Existing(calls, clients, catalogue)
        self._templates = Templates(clients.of("ec2"), calls.cluster, images)

    async def kinds(self, blueprint: Blueprint) -> tuple[Kind, ...]:
        """Those of the groups that are named; else what EC2 offers of the types that are, in each subnet."""
        if blueprint.groups:
            return await self._existing.kinds(blueprint, dict.fromkeys(blueprint.groups, ()))
        return await self._ec2.kinds(blueprint)

    async def group_for(self, blueprint: Blueprint, kind: Kind) -> tuple[str, Mapping[str, str]]:
        """The group of this type and subnet."""
        if blueprint.groups:
            return kind.place, self._existing.tags(blueprint, kind)
        name = name_for(self._calls.cluster, blueprint, kind)
        tags = {
            "Name": f"batchwright/{blueprint.environment}",
            **(blueprint.resources.tags or {}),
            **tags_for(self._calls.cluster, self._calls.provider, blueprint),
            names.TAG_OFFERED: offered_as(kind),
            names.TAG_MADE: "true",
        }
        found = (await self._calls.named([name])).get(name)
        if found is None:
            template = await self._template(blueprint, kind, tags)
            await self._calls.make(name, template, kind.place, MOST_INSTANCES, tags)
        elif not found.is_going and await self._templates.newest(blueprint, kind.type) is not None:
            # A newer image may have come out since the group was made, which is for what it starts from now on.
            template = await self._template(blueprint, kind, tags)
            if (found.template or {}).get("LaunchTemplateName") != template:
                await self._calls.follow(name, template)
        return name, tags

    async def _template(self, blueprint: Blueprint, kind: Kind, tags: Mapping[str, str]) -> str:
        return await self._templates.make(with_tags(await self._content(blueprint, kind), "volume", tags))

    async def _content(self, blueprint: Blueprint, kind: Kind) -> JSON:
        """What EC2 Fleet is told besides its template, in the template."""
        content = {**await self._templates.content(blueprint, kind.type), "InstanceType": kind.type.name}
        if kind.capacity == "SPOT":
            bid, options = blueprint.resources.bid_percentage, {}
            if bid is not None and bid < 100:
                options = {"SpotOptions": {"MaxPrice": f"{self._ec2.on_demand_price(kind.type) * bid / 100:.4f}"}}
            content["InstanceMarketOptions"] = {"MarketType": "spot", **options}
        return content

    async def trouble(self, group: Group) -> Failure | None:
        """Nothing that its activities do not say."""
        return None

    async def delete(self, group: Group) -> None:
        """Deletes the group."""
        await self._calls.delete(group.name)


def auto_scaling_groups(
    cluster: str,
    clients: Clients,
    catalogue: Catalogue,
    warnings: Warnings | None = None,
    images: Images | None = None,
    prices: PriceList | None = None,
) -> GroupProvider:
    """The provider for one cluster."""
    calls = Calls(cluster, PROVIDER, clients)
    source = AutoScalingSource(calls, clients, catalogue, images, prices)
    return GroupProvider(PROVIDER, calls, source, catalogue, warnings)
