"""Instances by the size of groups: to launch is to ask a group to be bigger, to end is to end one instance of it and to
have it be smaller by that one.

A size is a level: to ask for it twice makes nothing twice. The order's token and the size that it leads to are written
into the group's tags before the size is asked for, so the same order leads to the same size whoever repeats it, and
what the group owes carries the token until it is there. What a group fails to give is taken back before anybody is
told, so that it does not come when nobody needs it any more.

Hazard: a group that gets smaller chooses whom to end, but for those that are protected; hence protection before that.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Protocol

import structlog

from batchwright import names
from batchwright.capacity.ec2.catalogue import Catalogue
from batchwright.capacity.ec2.fleet import instance_of, refusal_of, tags_of
from batchwright.capacity.ec2.warnings import Warnings
from batchwright.capacity.groups.calls import Calls
from batchwright.capacity.groups.group import MARK, Group, spread
from batchwright.capacity.groups.trouble import Failure, of_activities
from batchwright.capacity.launching import launch_price
from batchwright.capacity.port import Blueprint, Instance, InstanceType, Kind, Order, Outcome, Refusal, Warned
from batchwright.domain.metering import price_notes
from batchwright.errors import CapacityError, Misconfigured, ProviderUnavailable

logger = structlog.get_logger(__name__)
GROUP_TAG = "aws:autoscaling:groupName"
# For so long a group that shows a smaller size than it was just told is taken not to know it yet.
SETTLE_SECONDS = 15.0
# A group that is deleted is not deleted again for this long.
DELETE_SECONDS = 120.0


class Source(Protocol):
    """Where groups come from. Every method may raise CapacityError."""

    async def kinds(self, blueprint: Blueprint) -> tuple[Kind, ...]:
        """What the environment's groups may start."""
        ...

    async def group_for(self, blueprint: Blueprint, kind: Kind) -> tuple[str, Mapping[str, str]]:
        """The name of the group that gives the kind, which is made if it has to be, and the tags it shall have."""
        ...

    async def trouble(self, group: Group) -> Failure | None:
        """What the source knows of a group that owes instances, besides its activities."""
        ...

    async def delete(self, group: Group) -> None:
        """Deletes an empty group of ours."""
        ...


class GroupProvider:
    """The provider `name`, of groups that `source` makes or finds."""

    def __init__(
        self, name: str, calls: Calls, source: Source, catalogue: Catalogue, warnings: Warnings | None = None
    ) -> None:
        self.name = name
        self._calls, self._source, self._catalogue, self._warnings = calls, source, catalogue, warnings
        self._groups: dict[str, Group] = {}
        self._asked: dict[tuple[str, str], tuple[int, float]] = {}
        self._told: set[str] = set()
        self._deleted: dict[str, float] = {}

    async def kinds(self, blueprint: Blueprint) -> tuple[Kind, ...]:
        """What the source says."""
        return await self._source.kinds(blueprint)

    # What there is.

    async def describe(self) -> tuple[Instance, ...]:
        """The instances of every group of this provider, and what the groups owe."""
        self._groups = self._settled(await self._calls.ours())
        members = {each.id: group for group in self._groups.values() for each in group.members}
        sizes = await self._sizes()
        found: list[Instance] = []
        come: Counter[str] = Counter()
        for item in await self._calls.machines(members):
            instance = instance_of(item)
            group = members.get(instance.id) or self._groups.get(tags_of(item).get(GROUP_TAG, ""))
            found.append(_instance(instance, group, sizes))
            if group is not None and instance.id not in members and instance.is_live:
                # It has come since the groups were asked.
                come[group.name] += 1
        for group in self._groups.values():
            found += group.awaited(sizes)[come[group.name] :]
        await self._protect()
        return tuple(found)

    def _settled(self, groups: dict[str, Group]) -> dict[str, Group]:
        """The groups, with the sizes that were asked for while they may not show them yet."""
        now = time.monotonic()
        self._asked = {key: each for key, each in self._asked.items() if now - each[1] < SETTLE_SECONDS}
        return {
            name: replace(group, desired=max(group.desired, self._asked.get(group.key, (0, 0.0))[0]))
            for name, group in groups.items()
        }

    async def _sizes(self) -> Mapping[str, InstanceType]:
        return await self._catalogue.types() if self._groups else {}

    async def _protect(self) -> None:
        """Groups that balance their zones, or that somebody makes smaller, end instances with jobs: they may not."""
        for group in self._groups.values():
            if not group.is_going:
                await self._calls.protect(group.name, group.bare)

    # What comes.

    async def launch(self, blueprint: Blueprint, order: Order) -> Outcome:
        """Has groups be bigger. LaunchUncertain when one may or may not be."""
        wanted: Counter[str] = Counter()
        tags: dict[str, Mapping[str, str]] = {}
        about: dict[str, list[Kind]] = {}
        for kind, count in spread(order.kinds, order.count).items():
            name, tags_of_group = await self._source.group_for(blueprint, kind)
            wanted[name] += count
            tags[name] = tags_of_group
            about.setdefault(name, []).append(kind)
        groups = self._settled(await self._calls.named(wanted.keys()))
        refusals: list[Refusal] = []
        for name, count in wanted.items():
            if name not in groups:
                raise Misconfigured(f"Auto Scaling group {name} does not exist", "AutoScalingGroupNotFound")
            if groups[name].is_going:
                raise ProviderUnavailable(f"Auto Scaling group {name} is being deleted", "GroupDeleting")
            refused = await self._grow(groups[name], order, count, tags[name], tuple(about[name]))
            refusals += [refused] if refused is not None else []
        made = [each for each in await self.describe() if each.token == order.token and each.is_live]
        return Outcome(tuple(made), tuple(refusals))

    async def _grow(
        self, group: Group, order: Order, count: int, tags: Mapping[str, str], about: tuple[Kind, ...]
    ) -> Refusal | None:
        if group.tags.get(names.TAG_LAUNCH) == order.token:
            # It has been asked already, by us or by one before us.
            size = group.asked[0]
        else:
            size = min(group.desired + count, group.most)
        if size > group.desired:
            asked = {names.TAG_LAUNCH: order.token, names.TAG_ASKED: f"{size} {time.time():.0f}"}
            # Instances bear it as they bear the rest; a group that may start several types says the dearest's.
            price = price_notes(max(map(launch_price, about), key=lambda each: each.hourly))
            await self._calls.tag(group.name, {**tags, **price, **asked})
            await self._calls.resize(group.name, size)
            self._asked[group.key] = (size, time.monotonic())
        if size < group.desired + count and group.tags.get(names.TAG_LAUNCH) != order.token:
            text = f"Auto Scaling group {group.name} has its MaxSize of {group.most}"
            return Refusal("GroupAtMaxSize", text, is_capacity=True, kinds=about)
        return None

    async def refused(self) -> tuple[tuple[str, Refusal], ...]:
        """What groups could not start since they were asked, which they are then asked for no more."""
        found: list[tuple[str, Refusal]] = []
        for group in self._groups.values():
            if not group.unfilled or group.is_going:
                continue
            failure = of_activities(await self._calls.activities(group.name))
            if failure is None or failure.id in self._told:
                failure = await self._source.trouble(group)
            if failure is None or failure.id in self._told:
                continue
            await self._take_back(group, group.unfilled)
            self._told.add(failure.id)
            about = (group.offered,)
            refusal = refusal_of(failure.code, failure.message, about, is_capacity=failure.is_capacity)
            found.append((group.environment, refusal))
        return tuple(found)

    # What goes.

    async def terminate(self, ids: Collection[str]) -> None:
        """Ends instances of groups, each group getting smaller as far as it may; what a group owes is asked for no
        more."""
        owed = Counter(each.partition(MARK)[0] for each in ids if MARK in each)
        real = [each for each in ids if MARK not in each]
        where = await self._calls.groups_of(real)
        groups = self._settled(await self._calls.named(where.values() | owed.keys()))
        for name, count in owed.items():
            if name in groups:
                groups[name] = await self._take_back(groups[name], count)
        for identity, name in where.items():
            group = groups.get(name)
            await self._calls.end(identity, is_smaller=group is not None and group.spare > 0)
            if group is not None and group.spare > 0:
                groups[name] = replace(group, desired=group.desired - 1)
                self._asked.pop(group.key, None)
        alone = set(real) - where.keys()
        if alone:
            live = {each.id for each in await self.describe() if each.is_live}
            await self._calls.end_alone(alone & live)

    async def _take_back(self, group: Group, count: int) -> Group:
        """The group is to be smaller by so many of those that it owes, and by none of those that are there."""
        size = max(group.least, len(group.present), group.desired - min(count, group.unfilled))
        if size >= group.desired:
            return group
        await self._calls.protect(group.name, group.bare)
        self._asked.pop(group.key, None)
        await self._calls.resize(group.name, size)
        return replace(group, desired=size)

    async def tidy(self, kept: Mapping[str, str]) -> None:
        """Deletes empty groups of ours, and lets go of others, that no environment is made of any more."""
        now = time.monotonic()
        self._deleted = {name: when for name, when in self._deleted.items() if now - when < DELETE_SECONDS}
        for group in list(self._groups.values()):
            is_current = kept.get(group.environment) == group.tags.get(names.TAG_BLUEPRINT)
            if is_current or group.is_going or group.name in self._deleted or group.spare or group.unfilled:
                continue
            try:
                if group.is_made and not group.members:
                    self._deleted[group.name] = now
                    await self._source.delete(group)
                elif not group.is_made:
                    await self._calls.untag(group)
            except CapacityError as error:
                # Nothing is lost but tidiness: it is tried again later, and the others are not kept from it.
                self._deleted[group.name] = now
                logger.warning("group not given up", group=group.name, error=str(error))

    # What is told.

    async def warnings(self) -> tuple[Warned, ...]:
        """What EventBridge has put into the queue, if there is one."""
        return await self._warnings.read() if self._warnings is not None else ()

    async def settle(self, handled: Collection[Warned]) -> None:
        """Deletes the messages."""
        if self._warnings is not None:
            await self._warnings.delete(handled)


def _instance(instance: Instance, group: Group | None, sizes: Mapping[str, InstanceType]) -> Instance:
    """The instance as one of its group, which sees itself to what was stopped (and keeps some so, as a warm pool)."""
    instance = replace(instance, is_stopped=False)
    if group is None:
        return instance
    size = sizes.get(instance.type)
    is_leaving = any(each.id == instance.id and each.is_leaving for each in group.members)
    return replace(
        instance,
        state="shutting-down" if is_leaving and instance.is_live else instance.state,
        environment=group.environment,
        environment_name=group.tags.get(names.TAG_ENVIRONMENT, ""),
        group=group.name,
        spare=group.spare,
        ordered=group.offered.key,
        vcpus=size.vcpus if size is not None else 0,
    )
