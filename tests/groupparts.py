"""Environments of groups in a moto server, and what becomes of their orders."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from awsserver import ROLE, Network, eks_cluster, groups_of_somebody
from batchwright.capacity.groups.provider import GroupProvider
from batchwright.capacity.port import Blueprint, Order, Outcome, Refusal
from capacityparts import blueprint


def ours(network: Network, **resources: object) -> Blueprint:
    """An environment of groups of ours, of m5.large in one subnet unless it says otherwise."""
    found = {"subnets": network.subnets[:1], "imageId": network.image, "instanceTypes": ["m5.large"]}
    return blueprint(**{**found, **resources})


def theirs(network: Network, instance_type: str = "m5.large", **group: Any) -> Blueprint:
    """An environment of one group that exists already."""
    return replace(blueprint(), groups=groups_of_somebody(network, instance_type, **group)[:1])


def nodes_of(network: Network, **resources: object) -> Blueprint:
    """An environment of EKS node groups of ours."""
    return replace(ours(network, **{"imageId": None, "instanceRole": ROLE, **resources}), eks=eks_cluster(network))


async def launch(provider: GroupProvider, made: Blueprint, count: int = 2, token: str = "t1") -> Outcome:
    return await provider.launch(made, Order(token, count, await provider.kinds(made)))


def shown(network: Network, name: str) -> dict[str, Any]:
    """The group, as whoever asks AWS sees it."""
    found = network.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])
    return dict(found["AutoScalingGroups"][0])


async def arrived(provider: GroupProvider, count: int, seconds: float = 15) -> list[str]:
    """The ids of instances, once so many are there and nothing is awaited."""
    async with asyncio.timeout(seconds):
        while True:
            found = [each for each in await provider.describe() if each.is_live]
            if len(found) == count and not any(each.is_awaited for each in found):
                return sorted(each.id for each in found)
            await asyncio.sleep(0.1)


async def refusal_of(provider: GroupProvider, seconds: float = 15) -> tuple[str, Refusal]:
    """The first refusal that comes after launch has answered."""
    async with asyncio.timeout(seconds):
        while True:
            await provider.describe()
            if found := await provider.refused():
                (only,) = found
                return only
            await asyncio.sleep(0.1)
