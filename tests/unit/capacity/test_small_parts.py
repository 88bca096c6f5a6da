"""Reserves of a node, instanceTypes in words, buckets, what is sold out, the catalogue, who is on a node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from batchwright.capacity.buckets import TokenBucket
from batchwright.capacity.ec2.catalogue import Catalogue
from batchwright.capacity.nodes import Learnt, allocatable, kube_reserved_cpu, node_of
from batchwright.capacity.port import InstanceType
from batchwright.capacity.soldout import SoldOut
from batchwright.capacity.types import select
from batchwright.controllers.tenants import Tenants
from batchwright.domain.observations import Occupant
from batchwright.errors import Misconfigured, ProviderUnavailable
from capacityparts import GIB, blueprint, kind

MIB = 1 << 20


@pytest.mark.parametrize(("milli", "want"), [(1000, 60), (2000, 70), (4000, 80), (8000, 90), (96000, 310)])
def test_what_the_kubelet_keeps_of_cores(milli: int, want: int) -> None:
    """The steps of EKS images: 6 % of the first core, 1 % of the second, 0.5 % of two more, 0.25 % of the rest."""
    assert kube_reserved_cpu(milli) == want


def test_what_is_left_of_an_m5_large() -> None:
    found = allocatable(InstanceType("m5.large", 2000, 8 * GIB, pods=29))
    assert (found["cpu"], found["pods"]) == (1930, 29)
    assert found["memory"] == 8 * GIB * 925 // 1000 - (255 + 11 * 29 + 100) * MIB


def test_what_real_nodes_have_goes_before_and_daemons_are_taken_off() -> None:
    learnt = Learnt({"m5.xlarge": {"cpu": 3900, "memory": 10 * GIB, "pods": 58}}, {"cpu": 150, "pods": 2})
    node = node_of(kind(), blueprint(), learnt)
    assert node.allocatable == {"cpu": 3750, "memory": 10 * GIB, "pods": 56}
    assert node.labels["node.kubernetes.io/instance-type"] == "m5.xlarge"
    assert node.labels["batchwright.io/capacity-type"] == "ON_DEMAND"
    assert [taint.value for taint in node.taints] == ["env"]


KNOWN = [
    InstanceType(name, cores * 1000, GIB)
    for name, cores in [("m5.xlarge", 4), ("m5.large", 2), ("m5.metal", 96), ("c7g.large", 2), ("c5.large", 2)]
]


@pytest.mark.parametrize(
    ("asked", "want"),
    [
        pytest.param(None, ["c5.large", "m5.large", "m5.xlarge"], id="optimal by default"),
        pytest.param(["m5"], ["m5.large", "m5.xlarge"], id="a family, from small to large, without metal"),
        pytest.param(["m5.xlarge", "m5"], ["m5.xlarge", "m5.large"], id="in the order in which they are asked for"),
        pytest.param(["m5.metal"], ["m5.metal"], id="metal by name"),
        pytest.param(["default_arm64"], ["c7g.large"], id="a word for families"),
    ],
)
def test_instance_types(asked: list[str] | None, want: list[str]) -> None:
    assert [found.name for found in select(asked, KNOWN)] == want


def test_a_type_that_is_none() -> None:
    with pytest.raises(Misconfigured, match="No instance type x9"):
        select(["m5", "x9"], KNOWN)


async def test_a_bucket_lets_a_burst_through_and_then_so_many_a_second() -> None:
    bucket, loop = TokenBucket(3, 50), asyncio.get_running_loop()
    began = loop.time()
    for _ in range(3):
        await bucket.take()
    assert loop.time() - began < 0.015
    await asyncio.gather(*(bucket.take() for _ in range(5)))
    assert loop.time() - began >= 0.09


async def test_a_bucket_that_is_drained_is_empty() -> None:
    bucket, loop = TokenBucket(10, 50), asyncio.get_running_loop()
    bucket.drain()
    began = loop.time()
    await bucket.take()
    assert loop.time() - began >= 0.015


def test_what_is_sold_out_is_so_for_a_while_and_in_one_zone() -> None:
    sold_out, here, there = SoldOut(), kind(), kind(zone="b")
    sold_out.bar([here], 100.0)
    assert (sold_out.has(here, 279.9), sold_out.has(there, 101.0)) == (True, False)
    assert sold_out.next_end(200.0) == 280.0
    assert not sold_out.has(here, 280.0)
    assert sold_out.next_end(280.0) is None


@pytest.mark.parametrize(
    ("scope", "over", "owner", "want"),
    [
        pytest.param("pool", {}, "another", True, id="a pool: for everybody"),
        pytest.param("pool", {"place": "subnet-2"}, "another", True, id="a pool: in whatever subnet"),
        pytest.param("pool", {"zone": "b", "place": "subnet-a"}, "mine", False, id="a pool: not the next"),
        pytest.param("place", {}, "another", True, id="a subnet: for everybody"),
        pytest.param("place", {"place": "subnet-2"}, "another", False, id="a subnet: not the next in its zone"),
        pytest.param("own", {}, "mine", True, id="a bid: for who made it"),
        pytest.param("own", {"place": "subnet-2"}, "mine", True, id="a bid: in whatever subnet"),
        pytest.param("own", {}, "another", False, id="a bid: for nobody else"),
    ],
)
def test_for_whom_it_is_sold_out(scope: Any, over: dict[str, Any], owner: str, want: bool) -> None:
    sold_out = SoldOut()
    sold_out.bar([kind()], 100.0, scope=scope, owner="mine")
    assert sold_out.has(kind(**over), 101.0, owner) is want
    assert not sold_out.has(kind(**over), 300.0, owner)


def test_a_subnet_that_is_full_is_so_for_every_type() -> None:
    sold_out = SoldOut()
    sold_out.bar([kind()], 100.0, scope="place")
    assert sold_out.has(kind("c5.large"), 101.0)


def test_what_is_sold_out_for_long_is_not_so_for_shorter() -> None:
    sold_out = SoldOut()
    sold_out.bar([kind()], 100.0, 3600.0)
    sold_out.bar([kind()], 200.0, 180.0)
    assert sold_out.has(kind(), 3000.0)


def test_who_is_on_a_node() -> None:
    tenants = Tenants()
    tenants.put("a", "n1")
    tenants.put("b", "n1")
    tenants.put_other("d", Occupant("d", "n1", {"cpu": 100}, is_daemon=True))
    tenants.put_other("e", Occupant("e", "n1", {"cpu": 300}, is_daemon=True))
    tenants.put_other("o", Occupant("o", "n1", {"cpu": 1}))
    assert (tenants.ours("n1"), tenants.others("n1"), tenants.daemons("n1")) == (2, 1, {"cpu": 400})
    tenants.put("a", "")
    tenants.put("b", "n2")
    tenants.put_other("o", None)
    assert (tenants.ours("n1"), tenants.ours("n2"), tenants.others("n1")) == (0, 1, 0)
    assert tenants.used == {"n1", "n2"}


class Region:
    """Two types, in one page each, told after a moment."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.error: Exception | None = None

    async def pages(self, operation: str, key: str, **_: object) -> AsyncIterator[list[Any]]:
        self.asked.append(operation)
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        for name in ("m5.large", "m5.xlarge"):
            yield [
                {
                    "InstanceType": name,
                    "Location": "us-east-1a",
                    "ProcessorInfo": {"SupportedArchitectures": ["x86_64"]},
                    "VCpuInfo": {"DefaultVCpus": 2},
                    "MemoryInfo": {"SizeInMiB": 8192},
                }
            ]


async def test_a_region_is_asked_once_however_many_environments_want_to_know() -> None:
    region = Region()
    catalogue = Catalogue(region)  # type: ignore[arg-type]
    found = await asyncio.gather(catalogue.types(), catalogue.types(), catalogue.offered(), catalogue.offered())
    assert [sorted(each) for each in found] == [["m5.large", "m5.xlarge"]] * 4
    assert region.asked == ["describe_instance_types", "describe_instance_type_offerings"]


async def test_a_region_that_did_not_answer_is_asked_again() -> None:
    region = Region()
    catalogue = Catalogue(region)  # type: ignore[arg-type]
    region.error = ProviderUnavailable("connection closed")
    with pytest.raises(ProviderUnavailable):
        await catalogue.types()
    region.error = None
    assert sorted(await catalogue.types()) == ["m5.large", "m5.xlarge"]
