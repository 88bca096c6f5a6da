"""Instance types and where they are offered, from DescribeInstanceTypes and DescribeInstanceTypeOfferings."""

from __future__ import annotations

import asyncio

from batchwright.capacity.ec2.client import JSON, Aws
from batchwright.capacity.port import InstanceType

_ARCHITECTURES = {"x86_64": "amd64", "arm64": "arm64"}
_MEBIBYTE = 1 << 20
MOST_PODS = 250


class Catalogue:
    """What a region has. Asked once; types hardly change while an operator runs."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._types: dict[str, InstanceType] = {}
        self._offered: dict[str, frozenset[str]] = {}
        # Environments ask at the same time as a rule, and the answer is one of the longest there is.
        self._asking = asyncio.Lock()

    async def types(self) -> dict[str, InstanceType]:
        """Every type of the present generation that a node can be, by name. Raises CapacityError."""
        async with self._asking:
            self._types = self._types or await self._ask_types()
        return self._types

    async def offered(self) -> dict[str, frozenset[str]]:
        """The zones in which each type is offered. Raises CapacityError."""
        async with self._asking:
            self._offered = self._offered or await self._ask_offered()
        return self._offered

    async def _ask_types(self) -> dict[str, InstanceType]:
        found = {}
        async for page in self._aws.pages("describe_instance_types", "InstanceTypes"):
            for item in page:
                made = instance_type(item)
                if made is not None:
                    found[made.name] = made
        return found

    async def _ask_offered(self) -> dict[str, frozenset[str]]:
        zones: dict[str, set[str]] = {}
        pages = self._aws.pages(
            "describe_instance_type_offerings", "InstanceTypeOfferings", LocationType="availability-zone"
        )
        async for page in pages:
            for item in page:
                zones.setdefault(item["InstanceType"], set()).add(item["Location"])
        return {name: frozenset(found) for name, found in zones.items()}


def instance_type(item: JSON) -> InstanceType | None:
    """One type as DescribeInstanceTypes tells of it; None for one that no node can be."""
    architectures = [
        _ARCHITECTURES[each]
        for each in item.get("ProcessorInfo", {}).get("SupportedArchitectures", [])
        if each in _ARCHITECTURES
    ]
    vcpus = item.get("VCpuInfo", {}).get("DefaultVCpus", 0)
    memory = item.get("MemoryInfo", {}).get("SizeInMiB", 0)
    if not architectures or not vcpus or not memory:
        return None
    gpus = sum(
        gpu.get("Count", 0)
        for gpu in item.get("GpuInfo", {}).get("Gpus", [])
        if str(gpu.get("Manufacturer", "")).upper() == "NVIDIA"
    )
    disk = item.get("InstanceStorageInfo", {}).get("TotalSizeInGB", 0)
    return InstanceType(
        name=item["InstanceType"],
        vcpus=1000 * vcpus,
        memory=memory * _MEBIBYTE,
        architecture=architectures[0],
        gpus=gpus,
        pods=pods(item.get("NetworkInfo", {})),
        disk=max(20, disk) * 10**9,
    )


def pods(network: JSON) -> int:
    """How many pods the network of an instance has addresses for (Amazon VPC CNI: interfaces x (addresses - 1) + 2)."""
    interfaces, addresses = network.get("MaximumNetworkInterfaces", 0), network.get("Ipv4AddressesPerInterface", 0)
    if not interfaces or not addresses:
        return 110
    return int(min(MOST_PODS, interfaces * (addresses - 1) + 2))
