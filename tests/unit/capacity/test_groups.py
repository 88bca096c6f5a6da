"""Groups' own ways, against a moto server over HTTP: instances that come late or never, bounds of groups, orders that
are repeated, what is taken back, and what is given up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from awsserver import Network, groups_of_somebody
from batchwright import names
from batchwright.capacity.ec2.catalogue import Catalogue
from batchwright.capacity.ec2.client import Clients
from batchwright.capacity.ec2.fleet import Ec2Fleet
from batchwright.capacity.groups.autoscaling import auto_scaling_groups
from batchwright.capacity.groups.provider import GroupProvider
from batchwright.capacity.port import Order
from batchwright.errors import Denied, LaunchUncertain, Misconfigured
from batchwright.local.ec2.switches import Switches
from capacityparts import blueprint
from groupparts import arrived, launch, ours, refusal_of, shown, theirs


@pytest.fixture(autouse=True)
def calm(network: Network) -> Iterator[None]:
    yield
    network.switches.change(Switches().to_wire())


@pytest.fixture
def scaling(request: pytest.FixtureRequest, catalogue: Catalogue) -> GroupProvider:
    return auto_scaling_groups(request.node.name, Clients(), catalogue)


OF_GROUP = {"ResourceType": "auto-scaling-group", "PropagateAtLaunch": True}

# Instances come when they come.


async def test_what_a_group_owes_is_there_for_whoever_looks(
    network: Network, scaling: GroupProvider, catalogue: Catalogue, request: pytest.FixtureRequest
) -> None:
    network.switches.change({"fill_seconds": 1000.0})
    made = ours(network)
    outcome = await launch(scaling, made, 3)
    assert [(each.is_awaited, each.token, each.type, each.vcpus) for each in outcome.instances] == [
        (True, "t1", "m5.large", 2000)
    ] * 3
    again = auto_scaling_groups(request.node.name, Clients(), catalogue)
    assert {each.id for each in await again.describe()} == {each.id for each in outcome.instances}
    network.switches.change({"fill_seconds": 0.0})
    real = await arrived(again, 3)
    assert all(each.startswith("i-") for each in real)
    assert {each.token for each in await again.describe()} == {"t1"}


async def test_an_operator_killed_after_it_asked_asks_for_nothing_twice(
    network: Network, scaling: GroupProvider, catalogue: Catalogue, request: pytest.FixtureRequest
) -> None:
    """The size is asked for and the answer lost; another operator repeats the order while nothing is there yet."""
    network.switches.change({"fill_seconds": 1000.0, "lost": 1})
    made = ours(network)
    with pytest.raises(LaunchUncertain):
        await launch(scaling, made, 2)
    again = auto_scaling_groups(request.node.name, Clients(), catalogue)
    assert [each.token for each in await again.describe()] == ["t1", "t1"]
    await launch(again, made, 2)
    network.switches.change({"fill_seconds": 0.0})
    assert len(await arrived(again, 2)) == 2


async def test_an_operator_killed_before_it_asked_is_made_good_by_the_same_order(
    network: Network, scaling: GroupProvider, catalogue: Catalogue, request: pytest.FixtureRequest
) -> None:
    """Token and size are written, the size is not asked for: nothing is there, and the same order leads there."""
    made = ours(network)
    kinds = await scaling.kinds(made)
    await scaling.launch(made, Order("t0", 1, kinds))
    (group,) = {each.group for each in await scaling.describe()}
    own = {names.TAG_LAUNCH: "t1", names.TAG_ASKED: "3 1790000000"}
    tags = [OF_GROUP | {"ResourceId": group, "Key": key, "Value": value} for key, value in own.items()]
    network.client("autoscaling").create_or_update_tags(Tags=tags)
    again = auto_scaling_groups(request.node.name, Clients(), catalogue)
    outcome = await again.launch(made, Order("t1", 2, kinds))
    assert (len(outcome.instances), len(await again.describe())) == (2, 3)


async def test_what_is_not_needed_any_more_is_taken_back_and_nobody_else_goes(
    network: Network, scaling: GroupProvider
) -> None:
    made = ours(network)
    first = await launch(scaling, made, 2, "t1")
    network.switches.change({"fill_seconds": 1000.0})
    second = await launch(scaling, made, 3, "t2")
    awaited = [each.id for each in second.instances if each.is_awaited]
    assert len(awaited) == 3
    await scaling.terminate(awaited[:2])
    network.switches.change({"fill_seconds": 0.0})
    assert {each.id for each in first.instances} <= set(await arrived(scaling, 3))


# What a group does not give.


async def test_what_is_sold_out_is_told_once_and_taken_back(network: Network, scaling: GroupProvider) -> None:
    network.switches.change({"exhausted": ["m5.large us-east-1a"]})
    made = ours(network)
    outcome = await launch(scaling, made)
    assert [each.is_awaited for each in outcome.instances] == [True, True]
    uid, refusal = await refusal_of(scaling)
    assert (uid, refusal.code, refusal.is_capacity) == (made.uid, "InsufficientInstanceCapacity", True)
    assert "do not have sufficient m5.large capacity" in refusal.message
    assert [each.key for each in refusal.kinds] == [("ON_DEMAND", "m5.large", "us-east-1a")]
    assert await scaling.describe() == ()
    network.switches.change({"exhausted": []})
    assert (shown(network, outcome.instances[0].group)["DesiredCapacity"], await scaling.refused()) == (0, ())
    # The old failure is not held against the next order.
    assert [each.is_awaited for each in (await launch(scaling, made, 1, "t2")).instances] == [False]


async def test_what_has_come_of_an_order_in_part_stays(network: Network, scaling: GroupProvider) -> None:
    network.switches.change({"most": 2})
    await launch(scaling, ours(network), 5)
    _, refusal = await refusal_of(scaling)
    assert refusal.is_capacity
    assert len(await arrived(scaling, 2)) == 2


async def test_zones_are_told_apart(network: Network, scaling: GroupProvider) -> None:
    network.switches.change({"exhausted": ["m5.large us-east-1b"]})
    await launch(scaling, ours(network, subnets=network.subnets), 3)
    _, refusal = await refusal_of(scaling)
    assert [each.zone for each in refusal.kinds] == ["us-east-1b"]
    assert sorted(each.zone for each in await scaling.describe()) == ["us-east-1a", "us-east-1c"]


async def test_without_the_rights(network: Network, scaling: GroupProvider) -> None:
    made = ours(network)
    await launch(scaling, made, 1)
    network.switches.change({"denied": 1})
    with pytest.raises(Denied, match="not authorized"):
        await launch(scaling, made, 1, "t2")
    assert len(await arrived(scaling, 1)) == 1


# The bounds of groups that somebody has made.


async def test_a_group_gets_no_bigger_than_it_may(network: Network, scaling: GroupProvider) -> None:
    outcome = await launch(scaling, theirs(network, MaxSize=3), 5)
    assert len(outcome.instances) == 3
    (refusal,) = outcome.refusals
    assert (refusal.code, refusal.is_capacity) == ("GroupAtMaxSize", True)
    assert "MaxSize of 3" in refusal.message


async def test_a_group_gets_no_smaller_than_it_may(network: Network, scaling: GroupProvider) -> None:
    made = theirs(network, MinSize=1)
    await scaling.kinds(made)
    assert [each.spare for each in await scaling.describe()] == [0]
    await launch(scaling, made, 1)
    found = await scaling.describe()
    assert [each.spare for each in found] == [1, 1]
    await scaling.terminate([each.id for each in found])
    (left,) = await arrived(scaling, 1)
    assert left not in {each.id for each in found}
    assert shown(network, made.groups[0])["DesiredCapacity"] == 1


async def test_what_was_in_a_group_before_is_counted_and_not_replaced(network: Network, scaling: GroupProvider) -> None:
    made = theirs(network, DesiredCapacity=2)
    await scaling.kinds(made)
    found = await scaling.describe()
    assert [(each.environment, each.digest, each.is_live) for each in found] == [(made.uid, "", True)] * 2
    assert all(each["ProtectedFromScaleIn"] for each in shown(network, made.groups[0])["Instances"])


@pytest.mark.parametrize(
    ("group", "want"),
    [
        pytest.param(
            {"MixedInstancesPolicy": [{"InstanceType": "m5.large"}, {"InstanceType": "m5.xlarge"}]}, None, id="least"
        ),
        pytest.param(
            {"MixedInstancesPolicy": [{"InstanceType": "c5.xlarge"}, {"InstanceType": "r5.large"}]},
            "none is the least in everything",
            id="neither",
        ),
        pytest.param(
            {"MixedInstancesPolicy": [{"InstanceType": "m5.large"}, {"InstanceType": "m6g.large"}]},
            "none is the least in everything",
            id="architectures",
        ),
        pytest.param(
            {"MixedInstancesPolicy": [{"InstanceType": "m5.large", "WeightedCapacity": "2"}]},
            "leave WeightedCapacity out",
            id="weights",
        ),
    ],
)
async def test_types_of_a_group(
    network: Network, scaling: GroupProvider, group: dict[str, Any], want: str | None
) -> None:
    (name,) = groups_of_somebody(network, "m5.large")[:1]
    template = shown(network, name)["LaunchTemplate"]["LaunchTemplateName"]
    network.client("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName=f"{name}-mixed",
        MinSize=0,
        MaxSize=5,
        VPCZoneIdentifier=",".join(network.subnets),
        MixedInstancesPolicy={
            "LaunchTemplate": {
                "LaunchTemplateSpecification": {"LaunchTemplateName": template, "Version": "$Latest"},
                "Overrides": group["MixedInstancesPolicy"],
            }
        },
    )
    made = replace(blueprint(), groups=(f"{name}-mixed",))
    if want is not None:
        with pytest.raises(Misconfigured, match=want):
            await scaling.kinds(made)
        return
    (offered,) = await scaling.kinds(made)
    assert (offered.type.name, offered.zone) == ("m5.large", "")
    network.switches.change({"exhausted": ["m5.large *"]})
    # A bigger one comes, in whatever zone: it is what was ordered all the same.
    (instance,) = (await scaling.launch(made, Order("t1", 1, (offered,)))).instances
    assert (instance.type, instance.key, instance.vcpus) == ("m5.xlarge", offered.key, 4000)


async def test_a_group_is_for_one_environment(network: Network, scaling: GroupProvider) -> None:
    made = theirs(network)
    await scaling.kinds(made)
    with pytest.raises(Misconfigured, match="belongs to ComputeEnvironment env already"):
        await scaling.kinds(replace(made, environment="other", uid="uid-other"))


async def test_a_group_that_does_not_exist(network: Network, scaling: GroupProvider) -> None:
    with pytest.raises(Misconfigured, match="nobodys does not exist"):
        await scaling.kinds(replace(blueprint(), groups=("nobodys",)))


async def test_a_group_that_is_deleted(network: Network, scaling: GroupProvider) -> None:
    made = theirs(network)
    kinds = await scaling.kinds(made)
    network.client("autoscaling").delete_auto_scaling_group(AutoScalingGroupName=made.groups[0], ForceDelete=True)
    with pytest.raises(Misconfigured, match="does not exist") as refused:
        await scaling.launch(made, Order("t1", 1, kinds))
    assert refused.value.code == "AutoScalingGroupNotFound"


async def test_a_group_of_ours_that_is_deleted_is_made_anew(network: Network, scaling: GroupProvider) -> None:
    made = ours(network)
    (first,) = (await launch(scaling, made, 1)).instances
    network.client("autoscaling").delete_auto_scaling_group(AutoScalingGroupName=first.group, ForceDelete=True)
    assert len((await launch(scaling, made, 1, "t2")).instances) == 1


# What is given up.


async def test_groups_of_ours_go_when_nothing_is_made_of_them(network: Network, scaling: GroupProvider) -> None:
    made = ours(network)
    (instance,) = (await launch(scaling, made, 1)).instances
    await scaling.tidy({})
    assert shown(network, instance.group)["DesiredCapacity"] == 1
    await scaling.terminate([instance.id])
    await scaling.describe()
    await scaling.tidy({made.uid: made.digest})
    assert shown(network, instance.group)["DesiredCapacity"] == 0
    await scaling.tidy({made.uid: "another"})
    with pytest.raises(IndexError):
        shown(network, instance.group)


async def test_a_group_of_somebody_is_let_go(network: Network, scaling: GroupProvider) -> None:
    made = theirs(network, MinSize=1)
    await scaling.kinds(made)
    (kept,) = await scaling.describe()
    await scaling.tidy({})
    assert await scaling.describe() == ()
    group = shown(network, made.groups[0])
    assert not [each for each in group["Tags"] if each["Key"].startswith(names.GROUP)]
    assert [each["InstanceId"] for each in group["Instances"]] == [kept.id]


async def test_a_group_that_the_environment_names_no_more_is_let_go(network: Network, scaling: GroupProvider) -> None:
    before = replace(blueprint(), groups=groups_of_somebody(network, "m5.large")[:2])
    await scaling.kinds(before)
    after = replace(before, groups=before.groups[:1])
    await scaling.kinds(after)
    await scaling.describe()
    await scaling.tidy({after.uid: after.digest})
    assert list(await scaling._calls.ours()) == list(after.groups)


async def test_ec2_fleet_leaves_instances_of_groups_alone(
    network: Network, scaling: GroupProvider, catalogue: Catalogue, request: pytest.FixtureRequest
) -> None:
    await launch(scaling, ours(network), 1)
    assert await Ec2Fleet(request.node.name, catalogue=catalogue).describe() == ()


async def test_an_instance_that_has_just_gone_keeps_nobody_from_being_protected(
    network: Network, scaling: GroupProvider
) -> None:
    made = theirs(network, DesiredCapacity=1)
    await scaling.kinds(made)
    (group,) = (await scaling._calls.ours()).values()
    await scaling._calls.protect(group.name, ["i-00000000000000001"])
    await scaling.describe()
    assert [each["ProtectedFromScaleIn"] for each in shown(network, group.name)["Instances"]] == [True]
