"""The provider EC2_FLEET: one CreateFleet call of type `instant` for each batch, with types x subnets as overrides.

The call is synchronous and says of each override why it gave nothing, which is what other ways of asking do not. The
order's token is the ClientToken and a tag of every instance, so a launch of which the answer was lost is found again.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import structlog

from batchwright import names
from batchwright.capacity.ec2.catalogue import Catalogue
from batchwright.capacity.ec2.client import JSON, Aws
from batchwright.capacity.ec2.images import NO_SUCH_IMAGE, Images
from batchwright.capacity.ec2.pricelist import PriceList
from batchwright.capacity.ec2.prices import SpotPrices
from batchwright.capacity.ec2.templates import Templates, image_for, with_tags
from batchwright.capacity.ec2.warnings import Warnings
from batchwright.capacity.launching import launch_price, worth
from batchwright.capacity.port import Blueprint, Instance, InstanceType, Kind, Order, Outcome, Refusal, Scope, Warned
from batchwright.capacity.types import select
from batchwright.domain.metering import Price, noted_price, price_notes
from batchwright.domain.quantities import CPU, MEMORY
from batchwright.errors import CapacityError, Misconfigured
from batchwright.names import GPU_RESOURCE

logger = structlog.get_logger(__name__)
# EC2 Fleet takes at most 300 overrides in all of a request's templates.
MOST_OVERRIDES = 300
_TERMINATED_AT_ONCE = 500
# Codes of which the reason passes by itself, and what they say nothing is to be had of: the one pool, the one pool for
# who bids so little or has such an image, all of the subnet, or all that the order asks for.
_POOL = {"InsufficientInstanceCapacity", "UnfulfillableCapacity", "InsufficientCapacity"}
_LASTING = {"Unsupported"}
_OWN = {"SpotMaxPriceTooLow"} | _LASTING
_PLACE = {"InsufficientFreeAddressesInSubnet", "InsufficientAddressCapacity"}
_ACCOUNT = {
    "MaxSpotInstanceCountExceeded",
    "VcpuLimitExceeded",
    "InstanceLimitExceeded",
    "MaxScheduledInstanceCapacityExceeded",
}
CAPACITY_CODES = _POOL | _OWN | _PLACE | _ACCOUNT
# Of instances that have ended: somebody wanted it so, or EC2 took them back (EC2 API, StateReason).
_TAKEN = {
    "Client.UserInitiatedShutdown",
    "Client.UserInitiatedHibernate",
    "Server.ScheduledStop",
    "Server.SpotInstanceShutdown",
    "Server.SpotInstanceTermination",
}
_SPOT = {
    "SPOT_CAPACITY_OPTIMIZED": "capacity-optimized",
    "SPOT_PRICE_CAPACITY_OPTIMIZED": "price-capacity-optimized",
    "SPOT_CAPACITY_OPTIMIZED_PRIORITIZED": "capacity-optimized-prioritized",
}


class Ec2Fleet:
    """Instances of one cluster in one region. `cluster` is the id that they are tagged with."""

    name = "EC2_FLEET"

    def __init__(
        self,
        cluster: str,
        aws: Aws | None = None,
        warnings: Warnings | None = None,
        catalogue: Catalogue | None = None,
        price_list: PriceList | None = None,
        images: Images | None = None,
    ) -> None:
        self._cluster = cluster
        self._aws = aws or Aws()
        self._catalogue = catalogue or Catalogue(self._aws)
        self._prices = SpotPrices(self._aws)
        self._list = price_list or PriceList()
        self._templates = Templates(self._aws, cluster, images)
        self._warnings = warnings
        self._architectures: dict[str, str] = {}

    async def kinds(self, blueprint: Blueprint) -> tuple[Kind, ...]:
        """The types that the environment names, in the zones of its subnets, as far as they are offered there."""
        places = await self._places(blueprint)
        chosen = [found for found in await self.types(blueprint) if await self._runs(blueprint, found)]
        if not chosen:
            raise Misconfigured(
                "computeResources.instanceTypes: there is an image for none of them, or of another architecture. Give "
                "other types, or another imageId, imageType or imageIdOverride",
                NO_SUCH_IMAGE,
            )
        return await self.pools(blueprint, chosen, places)

    async def types(self, blueprint: Blueprint) -> tuple[InstanceType, ...]:
        """The types that the environment names, whatever image they take."""
        return select(blueprint.resources.instance_types, list((await self._catalogue.types()).values()))

    async def pools(
        self, blueprint: Blueprint, chosen: Iterable[InstanceType], places: list[tuple[str, str]] | None = None
    ) -> tuple[Kind, ...]:
        """These types in the zones of the environment's subnets, as far as they are offered there."""
        places = await self._places(blueprint) if places is None else places
        chosen = tuple(chosen)
        offered = await self._catalogue.offered()
        await self._list.refresh()
        is_spot = blueprint.capacity == "SPOT"
        prices = await self._prices.of([each.name for each in chosen]) if is_spot else {}
        return tuple(
            Kind(
                found,
                zone,
                blueprint.capacity,
                prices.get((found.name, zone)) if is_spot else self._list.of(found.name),
                place,
            )
            for found in chosen
            for place, zone in places
            if zone in offered.get(found.name, ())
        )

    async def _places(self, blueprint: Blueprint) -> list[tuple[str, str]]:
        asked = list(blueprint.resources.subnets or ())
        found = await self._aws.call("describe_subnets", SubnetIds=asked)
        places = {each["SubnetId"]: each["AvailabilityZone"] for each in found["Subnets"]}
        if blueprint.resources.security_group_ids:
            await self._aws.call("describe_security_groups", GroupIds=list(blueprint.resources.security_group_ids))
        return [(subnet, places[subnet]) for subnet in asked if subnet in places]

    async def _runs(self, blueprint: Blueprint, found: InstanceType) -> bool:
        """Whether there is an image for this type, of its architecture; that of a template is taken on trust."""
        image = image_for(blueprint, found)
        if image is None:
            try:
                await self._templates.newest(blueprint, found)
            except Misconfigured as error:
                if error.code != NO_SUCH_IMAGE:
                    raise
                return False
            return True
        if image not in self._architectures:
            answer = await self._aws.call("describe_images", ImageIds=[image])
            if not answer["Images"]:
                raise Misconfigured(f"The image {image} does not exist", "InvalidAMIID.NotFound")
            self._architectures[image] = answer["Images"][0].get("Architecture", "x86_64")
        return self._architectures[image] == ("arm64" if found.architecture == "arm64" else "x86_64")

    async def launch(self, blueprint: Blueprint, order: Order) -> Outcome:
        """One CreateFleet call; a template that has vanished is made anew, once."""
        try:
            answer = await self._create(blueprint, order)
        except Misconfigured as error:
            if "LaunchTemplate" not in error.code or "NotFound" not in error.code:
                raise
            self._templates.forget()
            answer = await self._create(blueprint, order)
        outcome = self._outcome(blueprint, order, answer)
        await self._note_prices(outcome.instances)
        return outcome

    async def template(self, blueprint: Blueprint, of: InstanceType) -> str:
        """The name of the launch template for instances of this type. Raises CapacityError."""
        # What shuts itself down would stop, and its volumes be paid for; somebody's own template may want that.
        content = {"InstanceInitiatedShutdownBehavior": "terminate", **await self._templates.content(blueprint, of)}
        # CreateFleet itself tags instances only.
        return await self._templates.make(with_tags(content, "volume", self._own(blueprint)))

    async def _note_prices(self, instances: Iterable[Instance]) -> None:
        """Tags instances with what they cost: CreateFleet tags all of them alike, whatever type they turn out to be."""
        by_price: defaultdict[Price, list[str]] = defaultdict(list)
        for each in instances:
            if each.price is not None:
                by_price[each.price].append(each.id)
        for price, ids in by_price.items():
            tags = [{"Key": key, "Value": value} for key, value in price_notes(price).items()]
            try:
                await self._aws.call("create_tags", Resources=ids, Tags=tags)
            except CapacityError as error:
                # It is known in memory, and told to the node.
                logger.warning("prices of instances not noted", instances=ids, error=str(error))

    async def _create(self, blueprint: Blueprint, order: Order) -> JSON:
        prioritized = blueprint.strategy in ("BEST_FIT_PROGRESSIVE_ORDERED", "SPOT_CAPACITY_OPTIMIZED_PRIORITIZED")
        overrides: defaultdict[str, list[JSON]] = defaultdict(list)
        ranks = {name: rank for rank, name in enumerate(dict.fromkeys(kind.type.name for kind in order.kinds))}
        # To EC2 all subnets of a zone are one pool, which a request must not name twice.
        pools = {(kind.type.name, kind.zone): kind for kind in reversed(order.kinds)}
        for kind in [kind for kind in order.kinds if pools[kind.type.name, kind.zone] is kind][:MOST_OVERRIDES]:
            template = await self.template(blueprint, kind.type)
            override: JSON = {"InstanceType": kind.type.name, "SubnetId": kind.place}
            if prioritized:
                override["Priority"] = float(ranks[kind.type.name])
            bid = blueprint.resources.bid_percentage
            if bid is not None and bid < 100:
                override["MaxPrice"] = f"{self.on_demand_price(kind.type) * bid / 100:.4f}"
            overrides[template].append(override)
        is_spot = blueprint.capacity == "SPOT"
        options: JSON = (
            {"SpotOptions": {"AllocationStrategy": _SPOT.get(blueprint.strategy, "lowest-price")}}
            if is_spot
            else {"OnDemandOptions": {"AllocationStrategy": "prioritized" if prioritized else "lowest-price"}}
        )
        own = self._own(blueprint) | {names.TAG_LAUNCH: order.token}
        tags = [{"Key": key, "Value": value} for key, value in own.items()]
        return await self._aws.call(
            "create_fleet",
            uncertain=True,
            Type="instant",
            ClientToken=order.token,
            LaunchTemplateConfigs=[
                {
                    "LaunchTemplateSpecification": {"LaunchTemplateName": template, "Version": "$Latest"},
                    "Overrides": listed,
                }
                for template, listed in overrides.items()
            ],
            TargetCapacitySpecification={
                "TotalTargetCapacity": order.count,
                "DefaultTargetCapacityType": "spot" if is_spot else "on-demand",
            },
            TagSpecifications=[
                {"ResourceType": "instance", "Tags": tags},
                {"ResourceType": "fleet", "Tags": tags},
            ],
            **options,
        )

    def on_demand_price(self, found: InstanceType) -> float:
        """What an hour costs On-Demand, or about that where the price list does not say."""
        price = self._list.of(found.name)
        return (
            worth(((CPU, found.vcpus), (MEMORY, found.memory), (GPU_RESOURCE, found.gpus))) if price is None else price
        )

    def _own(self, blueprint: Blueprint) -> dict[str, str]:
        """The tags of what is the environment's."""
        return {
            "Name": f"batchwright/{blueprint.environment}",
            **(blueprint.resources.tags or {}),
            names.TAG_CLUSTER: self._cluster,
            names.TAG_ENVIRONMENT: blueprint.environment,
            names.TAG_ENVIRONMENT_UID: blueprint.uid,
            names.TAG_BLUEPRINT: blueprint.digest,
        }

    def _outcome(self, blueprint: Blueprint, order: Order, answer: JSON) -> Outcome:
        zones = {kind.place: kind.zone for kind in order.kinds}
        costs = {(kind.type.name, kind.zone): launch_price(kind) for kind in order.kinds}
        made: list[Instance] = []
        for group in answer.get("Instances", []):
            override = group.get("LaunchTemplateAndOverrides", {}).get("Overrides", {})
            zone = zones.get(override.get("SubnetId", ""), override.get("AvailabilityZone", ""))
            made += [
                Instance(
                    id=identity,
                    environment=blueprint.uid,
                    type=group["InstanceType"],
                    zone=zone,
                    capacity="SPOT" if group.get("Lifecycle") == "spot" else "ON_DEMAND",
                    launched_at=_now(),
                    token=order.token,
                    digest=blueprint.digest,
                    environment_name=blueprint.environment,
                    price=costs.get((group["InstanceType"], zone)),
                )
                for identity in group["InstanceIds"]
            ]
        errors = {(each.get("ErrorCode", ""), _pool(each)): each for each in answer.get("Errors", [])}
        return Outcome(tuple(made), tuple(refusal(order, each) for each in errors.values()))

    async def terminate(self, ids: Collection[str]) -> None:
        """TerminateInstances; EC2 refuses a whole list for one id that it does not know, which is then left out."""
        rest = sorted(ids)
        for begin in range(0, len(rest), _TERMINATED_AT_ONCE):
            part = rest[begin : begin + _TERMINATED_AT_ONCE]
            try:
                await self._aws.call("terminate_instances", InstanceIds=part)
            except Misconfigured as error:
                if error.code != "InvalidInstanceID.NotFound":
                    raise
                known = {each.id for each in await self.describe()}
                left = [identity for identity in part if identity in known]
                if left:
                    await self._aws.call("terminate_instances", InstanceIds=left)

    async def describe(self) -> tuple[Instance, ...]:
        """Every instance with this cluster's tag; EC2 shows those that ended for about an hour."""
        found: list[Instance] = []
        filters = [{"Name": f"tag:{names.TAG_CLUSTER}", "Values": [self._cluster]}]
        async for page in self._aws.pages("describe_instances", "Reservations", Filters=filters, MaxResults=1000):
            items = [item for reservation in page for item in reservation["Instances"]]
            # Those of groups are another provider's: to end one of them would only have its group start the next.
            found += [instance_of(item) for item in items if names.TAG_PROVIDER not in tags_of(item)]
        return tuple(found)

    async def refused(self) -> tuple[tuple[str, Refusal], ...]:
        """Nothing: CreateFleet says it all in its answer."""
        return ()

    async def tidy(self, kept: Mapping[str, str]) -> None:
        """There is nothing but instances, and launch templates that others may share."""

    async def warnings(self) -> tuple[Warned, ...]:
        """What EventBridge has put into the queue, if there is one."""
        return await self._warnings.read() if self._warnings is not None else ()

    async def settle(self, handled: Collection[Warned]) -> None:
        """Deletes the messages."""
        if self._warnings is not None:
            await self._warnings.delete(handled)


def refusal(order: Order, error: JSON) -> Refusal:
    """One of CreateFleet's errors, with the kinds that it is about."""
    code, message = error.get("ErrorCode", ""), error.get("ErrorMessage", "")
    name, place = _pool(error)
    if code in _ACCOUNT:
        about = order.kinds
    elif code in _PLACE:
        about = tuple(kind for kind in order.kinds if kind.place == place)
    else:
        about = tuple(kind for kind in order.kinds if kind.type.name == name and (not place or kind.place == place))
    return refusal_of(code, message, about, is_capacity=code in CAPACITY_CODES)


def refusal_of(code: str, message: str, about: tuple[Kind, ...], *, is_capacity: bool) -> Refusal:
    """A refusal with this code of AWS's."""
    scope: Scope = "place" if code in _PLACE else "own" if code in _OWN else "pool"
    return Refusal(code, message, is_capacity, about, scope, code in _LASTING)


def _pool(error: JSON) -> tuple[str, str]:
    override = error.get("LaunchTemplateAndOverrides", {}).get("Overrides", {})
    return override.get("InstanceType", ""), override.get("SubnetId", "")


def tags_of(item: JSON) -> dict[str, str]:
    """The tags of something that AWS describes."""
    return {each["Key"]: each["Value"] for each in item.get("Tags", [])}


def instance_of(item: JSON) -> Instance:
    """An instance as DescribeInstances shows it."""
    tags = tags_of(item)
    shown = item["State"]["Name"]
    # To what runs there it is the same; but its volumes are paid for, and somebody may start it again.
    state: Any = {"stopping": "shutting-down", "stopped": "terminated"}.get(shown, shown)
    reason = item.get("StateReason", {})
    return Instance(
        id=item["InstanceId"],
        environment=tags.get(names.TAG_ENVIRONMENT_UID, ""),
        type=item["InstanceType"],
        zone=item.get("Placement", {}).get("AvailabilityZone", ""),
        capacity="SPOT" if item.get("InstanceLifecycle") == "spot" else "ON_DEMAND",
        launched_at=item["LaunchTime"].timestamp(),
        state=state,
        token=tags.get(names.TAG_LAUNCH, ""),
        digest=tags.get(names.TAG_BLUEPRINT, ""),
        environment_name=tags.get(names.TAG_ENVIRONMENT, ""),
        reason=reason.get("Message") or item.get("StateTransitionReason", ""),
        price=noted_price(tags),
        is_stopped=shown in ("stopping", "stopped"),
        was_taken=reason.get("Code", "") in _TAKEN,
    )


def _now() -> float:
    return time.time()
