"""EKS node groups' own ways, against a moto server over HTTP with an Auto Scaling group behind each."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from awsserver import Network, eks_cluster, node_groups_of_somebody
from batchwright.capacity.ec2.catalogue import Catalogue
from batchwright.capacity.ec2.client import Clients
from batchwright.capacity.groups.eks import ami_type, eks_node_groups
from batchwright.capacity.groups.provider import GroupProvider
from batchwright.capacity.port import Order
from batchwright.errors import Misconfigured, ProviderUnavailable
from batchwright.local.ec2.switches import Switches
from capacityparts import blueprint, kind
from groupparts import launch, nodes_of, refusal_of, shown


@pytest.fixture(autouse=True)
def calm(network: Network) -> Iterator[None]:
    yield
    network.switches.change(Switches().to_wire())


@pytest.fixture
def eks(request: pytest.FixtureRequest, catalogue: Catalogue) -> GroupProvider:
    return eks_node_groups(request.node.name, Clients(), catalogue)


async def test_the_health_of_a_node_group_is_told(network: Network, eks: GroupProvider) -> None:
    network.switches.change({"exhausted": ["m5.large *"]})
    await launch(eks, nodes_of(network))
    _, refusal = await refusal_of(eks)
    assert (refusal.code, refusal.is_capacity) == ("InsufficientInstanceCapacity", True)
    assert await eks.describe() == ()


async def test_node_groups_of_ours_go_too(network: Network, eks: GroupProvider) -> None:
    made = nodes_of(network)
    (instance,) = (await launch(eks, made, 1)).instances
    before = len(network.client("eks").list_nodegroups(clusterName=made.eks)["nodegroups"])
    await eks.terminate([instance.id])
    await eks.describe()
    await eks.tidy({})
    assert len(network.client("eks").list_nodegroups(clusterName=made.eks)["nodegroups"]) == before - 1
    with pytest.raises(IndexError):
        shown(network, instance.group)


async def test_a_node_group_takes_its_time(network: Network, eks: GroupProvider) -> None:
    network.switches.change({"node_group_seconds": 3.0})
    made = nodes_of(network)
    kinds = await eks.kinds(made)
    order = Order("t1", 2, kinds)
    with pytest.raises(ProviderUnavailable, match="is CREATING") as refused:
        await eks.launch(made, order)
    assert refused.value.code == "NodeGroupCreating"
    async with asyncio.timeout(15):
        while True:
            try:
                outcome = await eks.launch(made, order)
                break
            except ProviderUnavailable:
                await asyncio.sleep(0.1)
    assert len(outcome.instances) == 2


async def test_a_node_group_is_what_the_environment_says(network: Network, eks: GroupProvider) -> None:
    made = nodes_of(network, type="SPOT", tags={"team": "weather"}, securityGroupIds=[network.group])
    (instance,) = (await launch(eks, made, 1)).instances
    client = network.client("eks")
    name = next(
        each for each in client.list_nodegroups(clusterName=made.eks)["nodegroups"] if f"eks-{each}-" in instance.group
    )
    found = client.describe_nodegroup(clusterName=made.eks, nodegroupName=name)["nodegroup"]
    assert (found["capacityType"], found["amiType"], found["instanceTypes"]) == (
        "SPOT",
        "AL2023_x86_64_STANDARD",
        ["m5.large"],
    )
    assert (found["labels"]["batchwright.io/compute-environment"], found["tags"]["team"]) == ("env", "weather")
    assert found["taints"] == [{"key": "batchwright.io/compute-environment", "value": "env", "effect": "NO_SCHEDULE"}]
    assert instance.capacity == "SPOT"


@pytest.mark.parametrize(
    ("asked", "over", "want"),
    [
        pytest.param([], {}, "AL2023_x86_64_STANDARD", id="nothing said"),
        pytest.param([], {"architecture": "arm64"}, "AL2023_ARM_64_STANDARD", id="arm"),
        pytest.param([], {"gpus": 1}, "AL2023_x86_64_NVIDIA", id="gpus"),
        pytest.param(["EKS_AL2"], {}, "AL2_x86_64", id="al2"),
        pytest.param(["EKS_AL2"], {"gpus": 1}, "AL2_x86_64_GPU", id="al2 with gpus"),
        pytest.param(["EKS_BOTTLEROCKET"], {"architecture": "arm64"}, "BOTTLEROCKET_ARM_64", id="bottlerocket"),
        pytest.param(["EKS_AL2023", "EKS_BOTTLEROCKET_NVIDIA"], {"gpus": 1}, "BOTTLEROCKET_x86_64_NVIDIA", id="both"),
        pytest.param(["EKS_AL2023", "EKS_BOTTLEROCKET_NVIDIA"], {}, "AL2023_x86_64_STANDARD", id="both without gpus"),
    ],
)
def test_images_in_eks_words(asked: list[str], over: dict[str, Any], want: str) -> None:
    made = blueprint(ec2Configuration=[{"imageType": each} for each in asked])
    assert ami_type(made, kind(**over).type) == want


def test_an_image_that_eks_has_not() -> None:
    with pytest.raises(Misconfigured, match="ECS_AL2023"):
        ami_type(blueprint(ec2Configuration=[{"imageType": "ECS_AL2023"}]), kind().type)


@pytest.mark.parametrize("name", ["nobodys", "gone"])
async def test_a_node_group_that_does_not_exist(network: Network, eks: GroupProvider, name: str) -> None:
    made = replace(blueprint(), eks=eks_cluster(network), groups=(name,))
    with pytest.raises(Misconfigured, match=name):
        await eks.kinds(made)


async def test_a_cluster_that_does_not_exist(network: Network, eks: GroupProvider) -> None:
    with pytest.raises(Misconfigured, match="nowhere"):
        await eks.kinds(replace(nodes_of(network), eks="nowhere"))


async def test_node_groups_of_somebody_keep_their_bounds(network: Network, eks: GroupProvider) -> None:
    (name, *_) = node_groups_of_somebody(network, "m5.large", maxSize=2)
    made = replace(blueprint(), eks=eks_cluster(network), groups=(name,))
    outcome = await launch(eks, made, 3)
    assert (len(outcome.instances), [each.code for each in outcome.refusals]) == (2, ["GroupAtMaxSize"])
