"""What every provider must do (capacity.port), each tried against what it really talks to: EC2 Fleet and groups against
a moto server over HTTP, simulated nodes against an API server's Nodes."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import pytest

from awsserver import ROLE, Network, eks_cluster, groups_of_somebody, node_groups_of_somebody
from batchwright.capacity.ec2.catalogue import Catalogue
from batchwright.capacity.ec2.client import Clients
from batchwright.capacity.ec2.fleet import Ec2Fleet
from batchwright.capacity.groups.autoscaling import auto_scaling_groups
from batchwright.capacity.groups.eks import eks_node_groups
from batchwright.capacity.port import Blueprint, Order, Provider
from batchwright.capacity.simulated import Simulated
from batchwright.errors import CapacityError, ProviderUnavailable
from capacityparts import blueprint
from fakenodes import FakeNodes


@dataclass
class Bench:
    """A provider, what makes an environment for it, another provider of the same cluster (an operator started anew),
    what takes its other side away, and whether an order says which zone it is for."""

    provider: Provider
    again: Callable[[], Provider]
    blueprint: Callable[..., Blueprint]
    cut: Callable[[], None]
    chooses_zone: bool = True
    token: str = field(default_factory=lambda: uuid.uuid4().hex)


@pytest.fixture(
    params=[
        "EC2_FLEET",
        "SIMULATED",
        "AUTO_SCALING_GROUPS",
        "AUTO_SCALING_GROUPS of somebody",
        "EKS_NODE_GROUPS",
        "EKS_NODE_GROUPS of somebody",
    ]
)
def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    if request.param == "SIMULATED":
        api = FakeNodes()

        def simulated(**resources: object) -> Blueprint:
            return blueprint(**{"instanceTypes": ["m5"], **resources})

        def away() -> None:
            api.is_away = True

        yield Bench(Simulated(api), lambda: Simulated(api), simulated, away)  # type: ignore[arg-type]
        return
    network: Network = request.getfixturevalue("network")
    catalogue: Catalogue = request.getfixturevalue("catalogue")
    cluster = request.node.name

    def ec2(**resources: object) -> Blueprint:
        found = {"subnets": network.subnets, "securityGroupIds": [network.group], "imageId": network.image}
        return blueprint(**{"instanceTypes": ["m5"], **found, **resources})

    def eks(**resources: object) -> Blueprint:
        return replace(ec2(**{"imageId": None, "instanceRole": ROLE, **resources}), eks=eks_cluster(network))

    def existing(**resources: object) -> Blueprint:
        (family,) = resources.pop("instanceTypes", ["m5"])  # type: ignore[misc]
        made = blueprint(**resources)
        if "EKS" in request.param:
            made = replace(made, eks=eks_cluster(network))
            return replace(made, groups=node_groups_of_somebody(network, f"{family}.large", made.capacity))
        return replace(made, groups=groups_of_somebody(network, f"{family}.large", made.capacity))

    def cut() -> None:
        # A client that is made now finds nobody there.
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")

    def made() -> Provider:
        if request.param == "EC2_FLEET":
            return Ec2Fleet(cluster, catalogue=catalogue)
        make = eks_node_groups if "EKS" in request.param else auto_scaling_groups
        return make(cluster, Clients(), catalogue)

    environment = existing if "somebody" in request.param else eks if "EKS" in request.param else ec2
    yield Bench(made(), made, environment, cut, chooses_zone="EKS" not in request.param or "some" in request.param)


async def test_kinds_are_of_the_types_that_are_asked_for_and_of_each_zone(bench: Bench) -> None:
    found = await bench.provider.kinds(bench.blueprint())
    assert {each.type.name.partition(".")[0] for each in found} == {"m5"}
    zones = {each.zone for each in found if each.type.name == "m5.large"}
    assert len(zones) == 3 if bench.chooses_zone else zones == {""}
    large = next(each.type for each in found if each.type.name == "m5.large")
    assert (large.vcpus, large.memory, large.architecture, large.gpus) == (2000, 8 << 30, "amd64", 0)


async def test_an_order_makes_instances_that_are_listed(bench: Bench) -> None:
    environment = bench.blueprint()
    kinds = await bench.provider.kinds(environment)
    made = await bench.provider.launch(environment, Order(bench.token, 3, kinds[:1]))
    assert (len(made.instances), made.refusals) == (3, ())
    listed = await bench.again().describe()
    assert {each.id for each in listed} == {each.id for each in made.instances}
    for each in listed:
        assert (each.environment, each.environment_name) == (environment.uid, environment.environment)
        assert (each.key, each.type, each.capacity) == (kinds[0].key, kinds[0].type.name, "ON_DEMAND")
        assert kinds[0].zone == each.zone or not bench.chooses_zone
        assert (each.token, each.digest, each.is_live) == (bench.token, environment.digest, True)


async def test_the_same_order_twice_makes_one(bench: Bench) -> None:
    environment = bench.blueprint()
    kinds = await bench.provider.kinds(environment)
    first = await bench.provider.launch(environment, Order(bench.token, 2, kinds[:1]))
    second = await bench.again().launch(environment, Order(bench.token, 2, kinds[:1]))
    assert {each.id for each in first.instances} == {each.id for each in second.instances}
    assert len(await bench.provider.describe()) == 2


async def test_spot_is_spot(bench: Bench) -> None:
    environment = bench.blueprint(type="SPOT")
    kinds = await bench.provider.kinds(environment)
    assert {each.capacity for each in kinds} == {"SPOT"}
    assert all(each.price is not None for each in kinds)
    await bench.provider.launch(environment, Order(bench.token, 1, kinds[:1]))
    assert [each.capacity for each in await bench.provider.describe()] == ["SPOT"]


async def test_what_is_ended_is_not_live(bench: Bench) -> None:
    environment = bench.blueprint()
    kinds = await bench.provider.kinds(environment)
    made = await bench.provider.launch(environment, Order(bench.token, 2, kinds[:1]))
    first, second = (each.id for each in made.instances)
    await bench.provider.terminate([first])
    assert [each.id for each in await bench.provider.describe() if each.is_live] == [second]


async def test_to_end_what_is_gone_is_no_error(bench: Bench) -> None:
    environment = bench.blueprint()
    kinds = await bench.provider.kinds(environment)
    made = await bench.provider.launch(environment, Order(bench.token, 1, kinds[:1]))
    ids = [each.id for each in made.instances]
    await bench.provider.terminate([*ids, "i-00000000000000001"])
    await bench.provider.terminate(ids)
    assert [each for each in await bench.provider.describe() if each.is_live] == []


async def test_a_type_that_nobody_offers_is_said(bench: Bench) -> None:
    with pytest.raises(CapacityError, match="No instance type m99"):
        await bench.provider.kinds(bench.blueprint(instanceTypes=["m99"]))


async def test_the_other_side_is_away(bench: Bench) -> None:
    bench.cut()
    with pytest.raises(ProviderUnavailable):
        await bench.again().describe()


async def test_there_are_no_warnings_where_nobody_warns(bench: Bench) -> None:
    assert await bench.provider.warnings() == ()
    await bench.provider.settle(())


async def test_an_instance_says_what_it_was_launched_at(bench: Bench) -> None:
    made = bench.blueprint()
    found = await bench.provider.kinds(made)
    (launched,) = (await bench.provider.launch(made, Order(bench.token, 1, found[:1]))).instances
    assert launched.price is not None
    assert launched.price.hourly > 0
    assert [each.price for each in await bench.again().describe() if each.token == bench.token] == [launched.price]
