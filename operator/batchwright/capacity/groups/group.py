"""An Auto Scaling group as it is seen: how big it is to be, who is in it, and what it still owes.

Pure. A group is asked for a size, not for instances: what it owes (`unfilled`) is shown as instances that are awaited
(as cluster-autoscaler's placeholders are), so that whoever looks counts them, also after a restart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from batchwright import names
from batchwright.capacity.port import Blueprint, CapacityType, Instance, InstanceType, Kind

JSON = dict[str, Any]
# Between the name of a group and the number of an instance that it owes: no instance's id has one.
MARK = "/"
_LEAVING = ("Terminating", "Terminated", "Detaching", "Detached")


@dataclass(frozen=True, slots=True)
class Member:
    """An instance in a group. One that is not in service yet, or no more, cannot be protected."""

    id: str
    is_leaving: bool
    is_in_service: bool
    is_protected: bool


@dataclass(frozen=True)
class Group:
    """A group with its tags. `types` are those that it is told to start, as far as it says so itself; `template` and
    `configuration` say what else its instances are."""

    name: str
    tags: Mapping[str, str]
    least: int
    most: int
    desired: int
    members: tuple[Member, ...] = ()
    zones: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    template: Mapping[str, str] | None = None
    configuration: str = ""
    is_going: bool = False
    oddity: str = ""
    born: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """Tells it from one of the same name that was there before it."""
        return self.name, self.born

    @property
    def present(self) -> tuple[Member, ...]:
        """Those that are there to stay."""
        return tuple(each for each in self.members if not each.is_leaving)

    @property
    def bare(self) -> tuple[str, ...]:
        """The ids of those that the group may end by its own choice, and that can be kept from it."""
        return tuple(each.id for each in self.members if each.is_in_service and not each.is_protected)

    @property
    def unfilled(self) -> int:
        """How many it is still to start."""
        return max(0, self.desired - len(self.present))

    @property
    def spare(self) -> int:
        """By how many it may get smaller."""
        return max(0, self.desired - self.least)

    @property
    def environment(self) -> str:
        """The uid of the environment that it is of."""
        return self.tags.get(names.TAG_ENVIRONMENT_UID, "")

    @property
    def is_made(self) -> bool:
        """Whether it is ours to delete."""
        return names.TAG_MADE in self.tags

    @property
    def offered(self) -> Kind:
        """What an instance of it is counted as; sizes are left out."""
        capacity, name, zone, pool = (self.tags.get(names.TAG_OFFERED, "").split(" ") + [""] * 4)[:4]
        bought: CapacityType = "SPOT" if capacity == "SPOT" else "ON_DEMAND"
        return Kind(InstanceType(name, 0, 0), zone.strip("-"), bought, pool=pool)

    @property
    def asked(self) -> tuple[int, float]:
        """The size that was asked for last, and when."""
        size, _, when = self.tags.get(names.TAG_ASKED, "").partition(" ")
        return int(size) if size.isdigit() else 0, _number(when)

    def awaited(self, sizes: Mapping[str, InstanceType]) -> tuple[Instance, ...]:
        """What it owes."""
        kind, since = self.offered, self.asked[1]
        size = sizes.get(kind.type.name)
        return tuple(
            Instance(
                id=f"{self.name}{MARK}{number}",
                environment=self.environment,
                type=kind.type.name,
                zone=kind.zone,
                capacity=kind.capacity,
                launched_at=since,
                token=self.tags.get(names.TAG_LAUNCH, ""),
                digest=self.tags.get(names.TAG_BLUEPRINT, ""),
                environment_name=self.tags.get(names.TAG_ENVIRONMENT, ""),
                group=self.name,
                spare=self.spare,
                ordered=kind.key,
                vcpus=size.vcpus if size is not None else 0,
                is_awaited=True,
            )
            for number in range(1, self.unfilled + 1)
        )


def read(item: JSON) -> Group:
    """A group as DescribeAutoScalingGroups shows it."""
    policy = (item.get("MixedInstancesPolicy") or {}).get("LaunchTemplate") or {}
    overrides = policy.get("Overrides") or []
    oddity = ""
    if any("InstanceRequirements" in each for each in overrides):
        oddity = "chooses instance types by their attributes: name types instead"
    elif any(str(each.get("WeightedCapacity") or "1") != "1" for each in overrides):
        oddity = "weighs its instance types: leave WeightedCapacity out"
    elif item.get("DesiredCapacityType", "units") not in ("units", ""):
        oddity = f"counts {item['DesiredCapacityType']}: its DesiredCapacityType must be units"
    return Group(
        name=item["AutoScalingGroupName"],
        tags={each["Key"]: each.get("Value", "") for each in item.get("Tags", [])},
        least=item["MinSize"],
        most=item["MaxSize"],
        desired=item["DesiredCapacity"],
        members=tuple(_member(each) for each in item.get("Instances", [])),
        zones=tuple(sorted(item.get("AvailabilityZones", []))),
        types=tuple(each["InstanceType"] for each in overrides if "InstanceType" in each),
        template=item.get("LaunchTemplate") or policy.get("LaunchTemplateSpecification"),
        configuration=item.get("LaunchConfigurationName") or "",
        is_going=bool(item.get("Status")),
        oddity=oddity,
        born=str(item.get("CreatedTime", "")),
    )


def _member(item: JSON) -> Member:
    state = str(item.get("LifecycleState", ""))
    return Member(
        item["InstanceId"], state.startswith(_LEAVING), state == "InService", bool(item.get("ProtectedFromScaleIn"))
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def offered_as(kind: Kind) -> str:
    """The tag that says what instances of a group are counted as."""
    return " ".join((kind.capacity, kind.type.name, kind.zone or "-", kind.pool)).strip()


def tags_for(cluster: str, provider: str, blueprint: Blueprint) -> dict[str, str]:
    """The tags of a group that its instances get too."""
    return {
        names.TAG_CLUSTER: cluster,
        names.TAG_PROVIDER: provider,
        names.TAG_ENVIRONMENT: blueprint.environment,
        names.TAG_ENVIRONMENT_UID: blueprint.uid,
        names.TAG_BLUEPRINT: blueprint.digest,
    }


def name_for(cluster: str, blueprint: Blueprint, kind: Kind) -> str:
    """The name of a group of ours for this kind: the same for the same, 63 characters at most as EKS has it."""
    content = "/".join((cluster, blueprint.uid, blueprint.digest, *kind.key, kind.place))
    digest = hashlib.sha256(content.encode()).hexdigest()[:12]
    return f"batchwright-{blueprint.environment[:16].strip('-.')}-{kind.type.name.replace('.', '-')[:18]}-{digest}"


def spread(kinds: tuple[Kind, ...], count: int) -> dict[Kind, int]:
    """So many instances over the kinds of the first type, by turns."""
    same = [kind for kind in kinds if kind.type == kinds[0].type and kind.capacity == kinds[0].capacity]
    share, rest = divmod(count, len(same))
    found = {kind: share + (1 if number < rest else 0) for number, kind in enumerate(same)}
    return {kind: number for kind, number in found.items() if number}


def least_type(types: tuple[InstanceType, ...]) -> InstanceType | None:
    """The one that is no bigger in anything than any other: what fits on it fits on whatever comes. None if there is
    no such type."""
    for each in types:
        if all(
            each.vcpus <= other.vcpus
            and each.memory <= other.memory
            and each.gpus <= other.gpus
            and each.pods <= other.pods
            and each.architecture == other.architecture
            for other in types
        ):
            return each
    return None
