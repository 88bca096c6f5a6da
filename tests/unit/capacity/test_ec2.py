"""EC2's own ways, against a moto server over HTTP: what is sold out, what is refused, answers that are lost, templates,
user data, the queue of warnings."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from awsserver import Network
from batchwright.api.v1alpha1.nodejoin import NodeJoin
from batchwright.capacity.ec2.catalogue import Catalogue
from batchwright.capacity.ec2.client import Aws
from batchwright.capacity.ec2.fleet import Ec2Fleet, instance_of, refusal
from batchwright.capacity.ec2.userdata import labels_flag, user_data
from batchwright.capacity.ec2.warnings import Warnings, parse
from batchwright.capacity.port import Blueprint, Order, Outcome, Warned
from batchwright.errors import Denied, LaunchUncertain, Misconfigured, NotLeading, ProviderThrottled
from batchwright.local.ec2.switches import Switches
from capacityparts import blueprint, kind


@pytest.fixture(autouse=True)
def calm(network: Network) -> Iterator[None]:
    yield
    network.switches.change(Switches().to_wire())


@pytest.fixture
def fleet(request: pytest.FixtureRequest, catalogue: Catalogue) -> Ec2Fleet:
    return Ec2Fleet(request.node.name, catalogue=catalogue)


def environment(network: Network, **resources: object) -> Blueprint:
    found = {"subnets": network.subnets, "securityGroupIds": [network.group], "imageId": network.image}
    return blueprint(**{"instanceTypes": ["m5.large", "c5.large"], **found, **resources})


async def launch(fleet: Ec2Fleet, made: Blueprint, count: int = 2, token: str = "t1") -> Outcome:
    # Tokens are the account's, which these tests share.
    return await fleet.launch(made, Order(f"{fleet._cluster}/{token}", count, await fleet.kinds(made)))


async def test_what_is_sold_out_in_one_zone_comes_from_the_next(network: Network, fleet: Ec2Fleet) -> None:
    network.switches.change({"exhausted": ["m5.large us-east-1a"]})
    found = await launch(fleet, environment(network))
    assert [each.zone for each in found.instances] == ["us-east-1b", "us-east-1b"]
    (refused,) = found.refusals
    assert (refused.code, refused.is_capacity) == ("InsufficientInstanceCapacity", True)
    assert [each.key for each in refused.kinds] == [("ON_DEMAND", "m5.large", "us-east-1a")]


@pytest.mark.parametrize(
    ("code", "want"),
    [
        pytest.param("Client.InternalError", False, id="a key, say"),
        pytest.param("Client.InstanceInitiatedShutdown", False, id="its bootstrap"),
        pytest.param("Client.UserInitiatedShutdown", True, id="somebody"),
        pytest.param("Server.SpotInstanceTermination", True, id="EC2 itself"),
    ],
)
def test_who_ended_an_instance(code: str, want: bool) -> None:
    shown = {
        "InstanceId": "i-1",
        "InstanceType": "m5.large",
        "LaunchTime": datetime.now(UTC),
        "State": {"Name": "terminated"},
        "StateTransitionReason": "User initiated",
    }
    found = instance_of(shown | {"StateReason": {"Code": code, "Message": f"{code}: so it was"}})
    assert (found.reason, found.was_taken) == (f"{code}: so it was", want)
    assert (instance_of(shown).reason, instance_of(shown).was_taken) == ("User initiated", False)


async def test_of_two_subnets_in_a_zone_one_is_asked_for(network: Network, fleet: Ec2Fleet) -> None:
    """EC2 takes them for one pool, and refuses a request that names it twice."""
    ec2 = network.client()
    vpc = ec2.describe_subnets(SubnetIds=[network.subnets[0]])["Subnets"][0]["VpcId"]
    made = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.77.0/24", AvailabilityZone="us-east-1a")
    both = [network.subnets[0], made["Subnet"]["SubnetId"]]
    for first, second in (both, both[::-1]):
        found = await launch(fleet, environment(network, subnets=[first, second]), count=1, token=first)
        (instance,) = found.instances
        shown = ec2.describe_instances(InstanceIds=[instance.id])["Reservations"][0]["Instances"][0]
        assert (found.refusals, shown["SubnetId"]) == ((), first)


async def test_everything_is_sold_out(network: Network, fleet: Ec2Fleet) -> None:
    network.switches.change({"exhausted": ["* *"]})
    found = await launch(fleet, environment(network))
    assert found.instances == ()
    assert len({each.key for refused in found.refusals for each in refused.kinds}) == 6
    assert await fleet.describe() == ()


async def test_an_order_is_filled_in_part(network: Network, fleet: Ec2Fleet) -> None:
    network.switches.change({"most": 2})
    found = await launch(fleet, environment(network), count=5)
    assert len(found.instances) == len(await fleet.describe()) == 2
    assert all(refused.is_capacity for refused in found.refusals)


async def test_an_answer_that_is_lost_is_no_launch_that_failed(network: Network, fleet: Ec2Fleet) -> None:
    network.switches.change({"lost": 1})
    with pytest.raises(LaunchUncertain):
        await launch(fleet, environment(network))
    assert {each.token.rpartition("/")[2] for each in await fleet.describe()} == {"t1"}
    again = await launch(fleet, environment(network))
    assert {each.id for each in again.instances} == {each.id for each in await fleet.describe()}


async def test_an_instance_that_was_stopped_is_past_and_to_be_ended(network: Network, fleet: Ec2Fleet) -> None:
    (instance,) = (await launch(fleet, environment(network), count=1)).instances
    network.client().stop_instances(InstanceIds=[instance.id])
    (found,) = await fleet.describe()
    assert (found.is_live, found.is_stopped) == (False, True)
    await fleet.terminate([instance.id])
    (found,) = await fleet.describe()
    assert (found.state, found.is_stopped) == ("terminated", False)


async def test_asked_too_often(network: Network, fleet: Ec2Fleet) -> None:
    made = environment(network)
    kinds = await fleet.kinds(made)
    network.switches.change({"throttled": 1})
    with pytest.raises(ProviderThrottled):
        await fleet.describe()
    assert len((await fleet.launch(made, Order("throttled", 1, kinds))).instances) == 1


async def test_without_the_rights(network: Network, fleet: Ec2Fleet) -> None:
    network.switches.change({"denied": 1})
    with pytest.raises(Denied, match="not authorized") as refused:
        await launch(fleet, environment(network))
    assert refused.value.code == "UnauthorizedOperation"


@pytest.mark.parametrize(
    ("resources", "want_code"),
    [
        pytest.param({"subnets": ["subnet-0123456789abcdef0"]}, "InvalidSubnetID.NotFound", id="subnet"),
        pytest.param({"securityGroupIds": ["sg-0123456789abcdef0"]}, "InvalidGroup.NotFound", id="security group"),
        pytest.param({"imageId": "ami-0123456789abcdef0"}, "InvalidAMIID.NotFound", id="image"),
        pytest.param({"imageId": None}, "MissingImage", id="no image"),
        pytest.param(
            {"imageId": None, "launchTemplate": {"launchTemplateName": "nobody"}},
            "InvalidLaunchTemplateName.NotFoundException",
            id="launch template",
        ),
    ],
)
async def test_what_does_not_exist_is_said(
    network: Network, fleet: Ec2Fleet, resources: dict[str, Any], want_code: str
) -> None:
    with pytest.raises(Misconfigured) as refused:
        await launch(fleet, environment(network, **resources))
    assert refused.value.code == want_code


async def test_an_instance_is_what_the_environment_says(network: Network, fleet: Ec2Fleet) -> None:
    join = NodeJoin.model_validate({"type": "USER_DATA", "userData": "join @LABELS@ @TAINTS@"})
    network.client().create_key_pair(KeyName="mine")
    made = environment(network, ec2KeyPair="mine", tags={"team": "weather"})
    made = Blueprint(made.environment, made.uid, made.resources, made.labels, made.taints, join)
    (instance,) = (await launch(fleet, made, count=1)).instances
    ec2 = network.client()
    shown = ec2.describe_instances(InstanceIds=[instance.id])["Reservations"][0]["Instances"][0]
    tags = {each["Key"]: each["Value"] for each in shown["Tags"]}
    assert (shown["ImageId"], shown["KeyName"], tags["team"], tags["Name"]) == (
        network.image,
        "mine",
        "weather",
        "batchwright/env",
    )
    told = ec2.describe_instance_attribute(InstanceId=instance.id, Attribute="userData")["UserData"]["Value"]
    assert base64.b64decode(told).decode() == (
        "join batchwright.io/capacity-type=ON_DEMAND,batchwright.io/compute-environment=env "
        "batchwright.io/compute-environment=env:NoSchedule"
    )


def templates(ec2: Any) -> set[str]:
    """The names of all launch templates; other tests have made many, and moto gives 15 where no more are asked for."""
    found = ec2.describe_launch_templates(MaxResults=200)["LaunchTemplates"]
    return {each["LaunchTemplateName"] for each in found}


async def test_a_template_is_made_once_and_anew_when_it_is_gone(network: Network, fleet: Ec2Fleet) -> None:
    made, ec2 = environment(network, tags={"test": "templates"}, ec2KeyPair="other"), network.client()
    before = templates(ec2)
    await launch(fleet, made, token="t1")
    await launch(fleet, made, token="t2")
    (name,) = templates(ec2) - before
    ec2.delete_launch_template(LaunchTemplateName=name)
    assert len((await launch(fleet, made, token="t3")).instances) == 2


async def test_a_template_of_ones_own_says_the_rest(network: Network, fleet: Ec2Fleet) -> None:
    ec2 = network.client()
    ec2.create_key_pair(KeyName="theirs")
    ec2.create_launch_template(
        LaunchTemplateName="own", LaunchTemplateData={"ImageId": network.image, "KeyName": "theirs"}
    )
    made = environment(network, imageId=None, launchTemplate={"launchTemplateName": "own"})
    (instance,) = (await launch(fleet, made, count=1)).instances
    shown = ec2.describe_instances(InstanceIds=[instance.id])["Reservations"][0]["Instances"][0]
    assert (shown["ImageId"], shown["KeyName"]) == (network.image, "theirs")


async def test_an_image_is_for_its_architecture(network: Network, fleet: Ec2Fleet) -> None:
    kinds = await fleet.kinds(environment(network, instanceTypes=["m5", "m6g"]))
    assert {each.type.architecture for each in kinds} == {"amd64"}


@pytest.mark.parametrize(
    ("code", "want", "want_kinds"),
    [
        pytest.param("InsufficientInstanceCapacity", (True, "pool", False), ["m5.large a"], id="a pool"),
        pytest.param(
            "InsufficientFreeAddressesInSubnet", (True, "place", False), ["m5.large a", "c5.large a"], id="a subnet"
        ),
        pytest.param(
            "MaxSpotInstanceCountExceeded",
            (True, "pool", False),
            ["m5.large a", "c5.large a", "m5.large b"],
            id="an account",
        ),
        pytest.param("SpotMaxPriceTooLow", (True, "own", False), ["m5.large a"], id="a bid"),
        pytest.param("Unsupported", (True, "own", True), ["m5.large a"], id="a type that is not to be had there"),
        pytest.param("UnauthorizedOperation", (False, "pool", False), ["m5.large a"], id="no capacity at all"),
    ],
)
def test_what_a_refusal_is_about(code: str, want: tuple[bool, str, bool], want_kinds: list[str]) -> None:
    order = Order("t", 1, (kind("m5.large"), kind("c5.large"), kind("m5.large", zone="b")))
    overrides = {"InstanceType": "m5.large", "SubnetId": "subnet-a"}
    found = refusal(order, {"ErrorCode": code, "LaunchTemplateAndOverrides": {"Overrides": overrides}})
    assert (found.is_capacity, found.scope, found.is_lasting) == want
    assert [f"{each.type.name} {each.zone}" for each in found.kinds] == want_kinds


def test_nodeadm_is_told_of_the_cluster_and_the_node() -> None:
    join = NodeJoin.model_validate(
        {
            "type": "EKS_NODEADM",
            "clusterName": "c",
            "apiServerEndpoint": "https://c.example",
            "certificateAuthority": "Y2E=",
            "serviceCidr": "10.0.0.0/16",
        }
    )
    told = user_data(blueprint(join=join)) or ""
    assert "Content-Type: application/node.eks.aws" in told
    assert "name: c" in told
    assert "--node-labels=batchwright.io/capacity-type=ON_DEMAND,batchwright.io/compute-environment=env" in told
    assert "--register-with-taints=batchwright.io/compute-environment=env:NoSchedule" in told


@pytest.mark.parametrize(
    ("key", "want"),
    [
        ("team", True),
        ("example.com/team", True),
        ("notkubernetes.io/x", True),
        ("kubernetes.io/arch", True),
        ("topology.kubernetes.io/zone", True),
        ("node.kubernetes.io/instance-type", True),
        ("deep.node.kubernetes.io/x", True),
        ("kubelet.kubernetes.io/x", True),
        ("kubernetes.io/role", False),
        ("node-role.kubernetes.io/batch", False),
        ("node-restriction.kubernetes.io/team", False),
        ("k8s.io/x", False),
        ("cluster.k8s.io/x", False),
    ],
)
def test_labels_that_a_kubelet_starts_with(key: str, want: bool) -> None:
    flag = labels_flag({key: "1"}, "SPOT")
    assert (f"{key}=1" in flag.split(",")) is want
    assert "batchwright.io/capacity-type=SPOT" in flag


EKS_JOIN = NodeJoin.model_validate(
    {
        "type": "EKS_BOOTSTRAP_SH",
        "clusterName": "c",
        "apiServerEndpoint": "https://c.example",
        "certificateAuthority": "Y2E=",
    }
)


def test_older_images_are_told_by_bootstrap_sh() -> None:
    told = user_data(blueprint(join=EKS_JOIN)) or ""
    assert 'Content-Type: text/x-shellscript; charset="us-ascii"' in told
    (line,) = (each for each in told.splitlines() if each.startswith("/etc/eks/bootstrap.sh"))
    assert shlex.split(line) == [
        "/etc/eks/bootstrap.sh",
        "c",
        "--apiserver-endpoint",
        "https://c.example",
        "--b64-cluster-ca",
        "Y2E=",
        "--kubelet-extra-args",
        "--node-labels=batchwright.io/capacity-type=ON_DEMAND,batchwright.io/compute-environment=env "
        "--register-with-taints=batchwright.io/compute-environment=env:NoSchedule",
    ]


def test_a_launch_templates_userdata_type_goes_first() -> None:
    whole = EKS_JOIN.model_copy(update={"service_cidr": "10.0.0.0/16"})
    assert "application/node.eks.aws" in (user_data(blueprint(join=whole), "EKS_NODEADM") or "")
    with pytest.raises(Misconfigured, match=r"EKS_NODEADM needs nodeJoin\.serviceCidr"):
        user_data(blueprint(join=EKS_JOIN), "EKS_NODEADM")


def event(kind: str, time: str = "", **detail: Any) -> str:
    return json.dumps({"source": "aws.ec2", "detail-type": kind, "detail": detail, **({"time": time} if time else {})})


def health(**detail: Any) -> str:
    """A change that AWS Health has scheduled."""
    own = {"service": "EC2", "eventTypeCategory": "scheduledChange", "statusCode": "upcoming"}
    affected = [{"entityValue": "i-1"}, {"entityValue": "i-2"}, "junk"]
    return event("AWS Health Event", **{**own, "affectedEntities": affected, **detail})


NOON = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()
SPOT = "EC2 Spot Instance Interruption Warning"
STATE = "EC2 Instance State-change Notification"


@pytest.mark.parametrize(
    ("body", "want"),
    [
        pytest.param(event(SPOT, **{"instance-id": "i-1"}), [("i-1", "SPOT_INTERRUPTION")], id="interruption"),
        pytest.param(
            event("EC2 Instance Rebalance Recommendation", **{"instance-id": "i-1"}),
            [("i-1", "REBALANCE")],
            id="rebalance",
        ),
        pytest.param(event(STATE, **{"instance-id": "i-1", "state": "stopping"}), [("i-1", "STATE_CHANGE")], id="ends"),
        pytest.param(event(STATE, **{"instance-id": "i-1", "state": "running"}), [], id="runs"),
        pytest.param(health(), [("i-1", "MAINTENANCE"), ("i-2", "MAINTENANCE")], id="maintenance"),
        pytest.param(health(service="RDS"), [], id="maintenance of something else"),
        pytest.param(health(eventTypeCategory="issue"), [], id="an issue that is there already"),
        pytest.param(health(statusCode="closed"), [], id="maintenance that is over"),
        pytest.param(health(affectedEntities="all"), [], id="maintenance of nobody knows what"),
        pytest.param(event("Other"), [], id="another event"),
        pytest.param(event(SPOT), [], id="no instance"),
        pytest.param(event(SPOT, **{"instance-id": 3}), [], id="an instance that is none"),
    ],
)
def test_what_a_message_says(body: str, want: list[tuple[str, str]]) -> None:
    assert [(each.instance, each.kind) for each in parse({"Body": body, "ReceiptHandle": "r"})] == want


@pytest.mark.parametrize("junk", ["", "no json", "[]", '{"detail-type": "Other"}', '{"detail": 3}'])
def test_what_is_no_event_is_said_to_be_none(junk: str) -> None:
    with pytest.raises(ValueError, match=r"expected|unexpected|empty"):
        parse({"Body": junk, "ReceiptHandle": "r"})


@pytest.mark.parametrize(
    ("body", "want"),
    [
        pytest.param(event(SPOT, **{"instance-id": "i-1"}), None, id="no time"),
        pytest.param(event(SPOT, "2026-03-01T12:00:00Z", **{"instance-id": "i-1"}), NOON + 120, id="interruption"),
        pytest.param(event(SPOT, "at noon", **{"instance-id": "i-1"}), None, id="no such time"),
        pytest.param(
            event(STATE, "2026-03-01T12:00:00Z", **{"instance-id": "i-1", "state": "stopping"}), NOON, id="state"
        ),
        pytest.param(health(startTime="Sun, 01 Mar 2026 12:00:00 GMT"), NOON, id="maintenance"),
    ],
)
def test_when_an_instance_leaves(body: str, want: float | None) -> None:
    assert parse({"Body": body, "ReceiptHandle": "r"})[0].leaves_at == want


async def test_an_operator_without_the_lease_asks_and_changes_nothing(network: Network) -> None:
    leads = True
    ec2, sqs = (Aws(service, may_write=lambda: leads) for service in ("ec2", "sqs"))
    url = (await sqs.call("create_queue", QueueName="led"))["QueueUrl"]
    await sqs.call("send_message", QueueUrl=url, MessageBody="kept")
    leads = False
    assert (await ec2.call("describe_subnets", SubnetIds=[network.subnets[0]]))["Subnets"]
    for call in (
        ec2.call("create_fleet", uncertain=True),
        ec2.call("terminate_instances", InstanceIds=["i-1"]),
        ec2.call("create_launch_template", LaunchTemplateName="none", LaunchTemplateData={}),
        sqs.call("delete_message_batch", QueueUrl=url, Entries=[]),
    ):
        with pytest.raises(NotLeading, match="does not lead"):
            await call
    templates = network.client().describe_launch_templates()["LaunchTemplates"]
    assert "none" not in {each["LaunchTemplateName"] for each in templates}


async def test_messages_go_when_they_have_been_acted_upon(network: Network) -> None:
    sqs = network.client("sqs")
    url = sqs.create_queue(QueueName="warnings")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=event(SPOT, **{"instance-id": "i-1"}))
    sqs.send_message(QueueUrl=url, MessageBody="junk")
    warnings = Warnings("warnings", Aws("sqs"))
    found = await warnings.read()
    assert [(each.instance, each.kind) for each in found] == [("i-1", "SPOT_INTERRUPTION")]
    count = "ApproximateNumberOfMessagesNotVisible"
    assert sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[count])["Attributes"][count] == "1"
    await warnings.delete(found)
    assert sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[count])["Attributes"][count] == "0"
    assert await warnings.read() == ()
    assert isinstance(found[0], Warned)
