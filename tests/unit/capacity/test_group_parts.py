"""What is read from groups, their activities and their health, and how orders are shared among them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright import names
from batchwright.capacity.ec2.client import Clients
from batchwright.capacity.fleet import retire, within_spare
from batchwright.capacity.groups.group import Group, least_type, name_for, offered_as, read, spread
from batchwright.capacity.groups.trouble import Failure, of_activities, of_health
from capacityparts import blueprint, bounds, instance, kind, seen

M5, M5_BIG, C5, R5 = (
    kind("m5.large", 2, 8),
    kind("m5.xlarge", 4, 16),
    kind("c5.xlarge", 4, 8),
    kind("r5.large", 2, 16),
)


def activity(status: str, message: str = "", identity: str = "a") -> dict[str, str]:
    return {"ActivityId": identity, "StatusCode": status, "StatusMessage": message}


SOLD_OUT = "We currently do not have sufficient m5.large capacity in the Availability Zone you requested (us-east-1a)."


@pytest.mark.parametrize(
    ("activities", "want"),
    [
        pytest.param([], None, id="none"),
        pytest.param([activity("Successful")], None, id="it worked"),
        pytest.param([activity("Successful"), activity("Failed", SOLD_OUT)], None, id="it works again"),
        pytest.param([activity("InProgress"), activity("Failed", SOLD_OUT)], None, id="it is tried"),
        pytest.param([activity("Failed", SOLD_OUT), activity("PreInService")], None, id="another is on its way"),
        pytest.param(
            [activity("Failed", SOLD_OUT), activity("Successful")],
            Failure("a", "InsufficientInstanceCapacity", SOLD_OUT, is_capacity=True),
            id="it fails now",
        ),
    ],
)
def test_what_activities_say(activities: list[dict[str, str]], want: Failure | None) -> None:
    assert of_activities(activities) == want


@pytest.mark.parametrize(
    ("message", "want", "want_capacity"),
    [
        pytest.param(SOLD_OUT, "InsufficientInstanceCapacity", True, id="sold out"),
        pytest.param(
            "Could not launch Spot Instances. UnfulfillableCapacity - Unable to fulfill capacity due to your request "
            "configuration. Please adjust your request and try again. Launching EC2 instance failed.",
            "UnfulfillableCapacity",
            True,
            id="spot",
        ),
        pytest.param(
            "Could not launch On-Demand Instances. VcpuLimitExceeded - You have requested more vCPU capacity than your "
            "current vCPU limit of 32 allows. Launching EC2 instance failed.",
            "VcpuLimitExceeded",
            True,
            id="quota with a code",
        ),
        pytest.param(
            "You have requested more vCPU capacity than your current vCPU limit of 32 allows for the instance bucket.",
            "VcpuLimitExceeded",
            True,
            id="quota",
        ),
        pytest.param(
            "There are not enough free addresses in subnet 'subnet-1' to satisfy the requested number of instances.",
            "InsufficientFreeAddressesInSubnet",
            True,
            id="addresses",
        ),
        pytest.param(
            "You are not authorized to perform this operation. Encoded authorization failure message: x.",
            "UnauthorizedOperation",
            False,
            id="rights",
        ),
        pytest.param(
            "The security group 'sg-1' does not exist. Launching EC2 instance failed.", "LaunchFailed", False, id="else"
        ),
    ],
)
def test_what_a_failed_launch_is_about(message: str, want: str, want_capacity: bool) -> None:
    found = of_activities([activity("Failed", message)])
    assert found is not None
    assert (found.code, found.is_capacity, found.message) == (want, want_capacity, message)


@pytest.mark.parametrize(
    ("issue", "want", "want_capacity"),
    [
        pytest.param(
            {"code": "AsgInstanceLaunchFailures", "message": SOLD_OUT, "resourceIds": ["eks-1"]},
            "InsufficientInstanceCapacity",
            True,
            id="a launch that is sold out",
        ),
        pytest.param(
            {"code": "AsgInstanceLaunchFailures", "message": "Instance became unhealthy while waiting"},
            "AsgInstanceLaunchFailures",
            False,
            id="a launch",
        ),
        pytest.param(
            {"code": "InsufficientFreeAddresses", "message": "no more"},
            "InsufficientFreeAddresses",
            True,
            id="addresses",
        ),
        pytest.param({"code": "AccessDenied", "message": "denied"}, "AccessDenied", False, id="rights"),
        pytest.param(
            {"code": "AutoScalingGroupNotFound", "message": "x"}, "AutoScalingGroupNotFound", False, id="gone"
        ),
    ],
)
def test_what_health_says(issue: dict[str, Any], want: str, want_capacity: bool) -> None:
    found = of_health([issue])
    assert found is not None
    assert (found.code, found.is_capacity) == (want, want_capacity)
    assert found.message.startswith(f"{issue['code']}: {issue['message']}")
    assert of_health([]) is None


def item(**over: Any) -> dict[str, Any]:
    return {"AutoScalingGroupName": "g", "MinSize": 1, "MaxSize": 5, "DesiredCapacity": 4, **over}


def member(identity: str, state: str = "InService") -> dict[str, Any]:
    return {"InstanceId": identity, "InstanceType": "m5.large", "LifecycleState": state, "ProtectedFromScaleIn": False}


def test_what_a_group_owes_is_its_size_less_those_that_stay() -> None:
    group = read(item(Instances=[member("i-1"), member("i-2", "Pending"), member("i-3", "Terminating:Wait")]))
    assert (group.unfilled, group.spare) == (2, 3)
    assert [each.id for each in group.present] == ["i-1", "i-2"]


@pytest.mark.parametrize(
    ("over", "want"),
    [
        pytest.param({}, "", id="plain"),
        pytest.param({"DesiredCapacityType": "units"}, "", id="units"),
        pytest.param({"DesiredCapacityType": "vcpu"}, "counts vcpu", id="vcpus"),
        pytest.param(
            {"MixedInstancesPolicy": {"LaunchTemplate": {"Overrides": [{"InstanceRequirements": {}}]}}},
            "by their attributes",
            id="attributes",
        ),
    ],
)
def test_groups_that_do_not_count_instances(over: dict[str, Any], want: str) -> None:
    found = read(item(**over)).oddity
    assert want in found if want else found == ""


@pytest.mark.parametrize(
    "offered", [pytest.param(M5, id="a zone"), pytest.param(kind(zone="", pool="g"), id="no zone, and a pool")]
)
def test_what_is_owed_is_what_was_ordered(offered: Any) -> None:
    group = Group("g", {names.TAG_OFFERED: offered_as(offered), names.TAG_ASKED: "2 17.0"}, 0, 5, 2)
    owed = group.awaited({offered.type.name: offered.type})
    assert [(each.key, each.vcpus, each.launched_at, each.is_awaited) for each in owed] == [
        (offered.key, offered.type.vcpus, 17.0, True)
    ] * 2
    assert len({each.id for each in owed}) == 2


@pytest.mark.parametrize(
    ("types", "want"),
    [
        pytest.param([M5], "m5.large", id="one"),
        pytest.param([M5_BIG, M5, C5], "m5.large", id="the smallest"),
        pytest.param([C5, R5], None, id="more of this, less of that"),
        pytest.param([M5, kind("m6g.large", 2, 8, architecture="arm64")], None, id="architectures"),
        pytest.param([M5, kind("g5.large", 2, 8, gpus=1)], "m5.large", id="gpus"),
    ],
)
def test_the_least_of_types(types: list[Any], want: str | None) -> None:
    found = least_type(tuple(each.type for each in types))
    assert (found.name if found else None) == want


@given(st.integers(1, 500), st.integers(1, 6))
def test_an_order_is_spread_evenly_and_whole(count: int, zones: int) -> None:
    kinds = tuple(kind("m5.large", 2, 8, zone=f"z{number}") for number in range(zones))
    shares = spread((*kinds, C5), count)
    assert sum(shares.values()) == count
    assert max(shares.values()) - min(shares.values()) <= 1
    assert shares.keys() <= set(kinds)


def test_names_of_groups_tell_what_they_are_made_of() -> None:
    made = blueprint("an-environment-with-a-rather-long.name")
    found = {
        name_for("c", made, M5),
        name_for("c", made, C5),
        name_for("d", made, M5),
        name_for("c", blueprint("an-environment-with-a-rather-long.name", imageId="ami-1"), M5),
        name_for("c", made, kind("m5.large", 2, 8, zone="b")),
    }
    assert len(found) == 5
    assert all(len(each) <= 63 and each.replace("-", "").isalnum() for each in found)
    assert name_for("c", made, M5) in found


def test_groups_keep_their_least_size_when_instances_are_idle() -> None:
    of = [instance(f"i-{number}", group="g", spare=2) for number in range(3)]
    fleet = [seen(of=each, idle_since=0.0) for each in of]
    decided = retire(fleet, bounds(), 100.0)
    assert len(decided.cordon) == 2
    cordoned = [seen(of=each, idle_since=0.0, cordoned="idle", cordoned_at=90.0) for each in of]
    decided = retire(cordoned, bounds(), 100.0)
    assert (len(decided.ended), len(decided.uncordon)) == (2, 1)


@pytest.mark.parametrize(("spare", "want"), [pytest.param(0, 0, id="at its least"), pytest.param(1, 1, id="above it")])
def test_a_group_at_its_least_size_replaces_nothing(spare: int, want: int) -> None:
    """It would start another of the old kind, and that would be ended for the same reason, and so on."""
    old = seen(of=instance("i-1", group="g", spare=spare, digest="old"))
    assert len(retire([old], bounds(), 100.0).cordon) == want


def test_of_groups_go_as_many_as_may() -> None:
    listed = [instance(f"i-{number}", group="g", spare=1) for number in range(3)]
    alone = instance("i-9")
    awaited = instance("g/1", group="g", spare=1, is_awaited=True)
    assert [each.id for each in within_spare([*listed, alone, awaited])] == ["g/1", "i-9"]


def test_each_api_has_one_pair_of_buckets_whoever_asks() -> None:
    clients = Clients()
    assert clients.of("eks") is clients.of("eks")
    services = ("ec2", "autoscaling", "eks")
    buckets = {service: (clients.of(service)._reads, clients.of(service)._writes) for service in services}
    assert len({id(each) for pair in buckets.values() for each in pair}) == 6
    rates = {service: (reads._rate, writes._rate) for service, (reads, writes) in buckets.items()}
    assert rates == {"ec2": (20, 5), "autoscaling": (10, 5), "eks": (5, 1)}
