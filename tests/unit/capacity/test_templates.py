"""What launch templates of ours say: what somebody's own says, as far as EC2 takes it back, with the environment over
it."""

from __future__ import annotations

from typing import Any

import pytest

from awsserver import Network
from batchwright import names
from batchwright.capacity.ec2.catalogue import Catalogue
from batchwright.capacity.ec2.client import Aws
from batchwright.capacity.ec2.fleet import Ec2Fleet
from batchwright.capacity.ec2.templates import Templates
from batchwright.capacity.groups.eks import EKS_FORBIDS
from batchwright.capacity.port import Blueprint, Instance, Order
from batchwright.errors import Misconfigured
from capacityparts import blueprint, kind


class Told(Aws):
    """EC2 that has one launch template, and shows it as EC2 does: with more than it takes."""

    def __init__(self, data: dict[str, Any]) -> None:
        super().__init__("ec2", "us-east-1")
        self.data = data

    async def call(self, operation: str, *, uncertain: bool = False, **parameters: Any) -> dict[str, Any]:
        assert operation == "describe_launch_template_versions"
        return {"LaunchTemplateVersions": [{"LaunchTemplateData": self.data}]}


OWN = {"imageId": "ami-1", "launchTemplate": {"launchTemplateName": "own"}}


async def content(data: dict[str, Any], **resources: Any) -> dict[str, Any]:
    made = await Templates(Told(data), "c").content(blueprint(**{**OWN, **resources}), kind().type)
    return {key: value for key, value in made.items() if key not in ("ImageId", "TagSpecifications")}


async def test_an_update_of_the_environment_reads_its_template_again() -> None:
    """$Latest and $Default are what they are when the environment is made or updated, as in AWS."""
    aws = Told({"KeyName": "old"})
    templates = Templates(aws, "c")

    async def key(**resources: Any) -> str:
        return str((await templates.content(blueprint(**{**OWN, **resources}), kind().type))["KeyName"])

    assert await key() == "old"
    aws.data = {"KeyName": "new"}
    assert await key(maxvCpus=7) == "old", "what replaces no instance changes none"
    assert await key(imageId="ami-2") == "new"
    assert await key() == "new", "nor is it forgotten when the update is taken back"


METADATA = {"HttpTokens": "required", "HttpPutResponseHopLimit": 2}


@pytest.mark.parametrize(
    ("data", "resources", "want"),
    [
        pytest.param(
            {"MetadataOptions": {"State": "applied", "HttpTokens": "optional"}},
            {},
            {"MetadataOptions": {"HttpTokens": "optional"}},
            id="what only an answer has",
        ),
        pytest.param(
            {"Operator": {"Managed": True, "HiddenByDefault": True, "Principal": "p"}},
            {},
            {"MetadataOptions": METADATA, "Operator": {"Principal": "p"}},
            id="an operator",
        ),
        pytest.param(
            {"NetworkInterfaces": [{"Ipv6Addresses": [{"Ipv6Address": "::1", "IsPrimaryIpv6": True}]}], "New": 1},
            {},
            {"MetadataOptions": METADATA, "NetworkInterfaces": [{"Ipv6Addresses": [{"Ipv6Address": "::1"}]}]},
            id="in a list, and what is newer than we are",
        ),
        pytest.param(
            {"SecurityGroupIds": ["sg-theirs"]},
            {"securityGroupIds": ["sg-1"]},
            {"MetadataOptions": METADATA, "SecurityGroupIds": ["sg-1"]},
            id="security groups",
        ),
        pytest.param(
            {"SecurityGroups": ["theirs"]},
            {"securityGroupIds": ["sg-1"]},
            {"MetadataOptions": METADATA, "SecurityGroupIds": ["sg-1"]},
            id="security groups by name",
        ),
        pytest.param(
            {
                "NetworkInterfaces": [
                    {"DeviceIndex": 0, "SubnetId": "subnet-theirs", "Groups": ["sg-theirs"]},
                    {"DeviceIndex": 1, "NetworkInterfaceId": "eni-1"},
                ],
                "SecurityGroupIds": ["sg-theirs"],
            },
            {"securityGroupIds": ["sg-1"], "subnets": ["subnet-1"]},
            {
                "MetadataOptions": METADATA,
                "NetworkInterfaces": [
                    {"DeviceIndex": 0, "Groups": ["sg-1"]},
                    {"DeviceIndex": 1, "NetworkInterfaceId": "eni-1"},
                ],
            },
            id="security groups belong to the interfaces where there are any",
        ),
        pytest.param(
            {"NetworkInterfaces": [{"DeviceIndex": 0, "Groups": ["sg-theirs"]}]},
            {},
            {"MetadataOptions": METADATA, "NetworkInterfaces": [{"DeviceIndex": 0, "Groups": ["sg-theirs"]}]},
            id="interfaces with groups of their own",
        ),
    ],
)
async def test_what_a_template_says(data: dict[str, Any], resources: dict[str, Any], want: dict[str, Any]) -> None:
    before = repr(data)
    assert await content(data, **resources) == want
    assert repr(data) == before


async def test_what_ec2s_own_api_does_not_take_is_said_and_is_nothing_that_passes(network: Network) -> None:
    with pytest.raises(Misconfigured, match=r"Unknown parameter.*HttpToken") as refused:
        await Templates(Aws(), "c").make({"MetadataOptions": {"HttpToken": "required"}})
    assert refused.value.code == "ParamValidationError"


async def launched(network: Network, fleet: Ec2Fleet, name: str, **resources: Any) -> tuple[Blueprint, Instance]:
    found = {"subnets": network.subnets, "securityGroupIds": [network.group], "imageId": network.image}
    made = blueprint(name, **{"instanceTypes": ["m5.large"], **found, **resources})
    (instance,) = (await fleet.launch(made, Order(name, 1, await fleet.kinds(made)))).instances
    return made, instance


async def template_of(network: Network, fleet: Ec2Fleet, made: Blueprint) -> dict[str, Any]:
    name = await fleet.template(made, kind("m5.large").type)
    asked = network.client().describe_launch_template_versions(LaunchTemplateName=name, Versions=["$Latest"])
    found: dict[str, Any] = asked["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    return found


async def test_volumes_are_tagged_as_their_instances_are(network: Network, catalogue: Catalogue) -> None:
    fleet = Ec2Fleet("volumes", catalogue=catalogue)
    made, instance = await launched(network, fleet, "tagged", tags={"team": "weather"})
    # moto adds what CreateFleet said of instances.
    found = {each["ResourceType"]: each for each in (await template_of(network, fleet, made))["TagSpecifications"]}
    tags = {each["Key"]: each["Value"] for each in found["volume"]["Tags"]}
    assert tags == {
        "Name": "batchwright/tagged",
        "team": "weather",
        names.TAG_CLUSTER: "volumes",
        names.TAG_ENVIRONMENT: "tagged",
        names.TAG_ENVIRONMENT_UID: "uid-env",
        names.TAG_BLUEPRINT: made.digest,
    }
    assert instance.environment_name == "tagged"


async def test_a_templates_own_tags_stay_and_ours_go_before_them(network: Network, catalogue: Catalogue) -> None:
    fleet = Ec2Fleet("merged", catalogue=catalogue)
    specifications = [
        {"ResourceType": "volume", "Tags": [{"Key": "team", "Value": "sea"}, {"Key": "own", "Value": "1"}]},
        {"ResourceType": "network-interface", "Tags": [{"Key": "own", "Value": "2"}]},
    ]
    network.client().create_launch_template(
        LaunchTemplateName="tags", LaunchTemplateData={"TagSpecifications": specifications}
    )
    own = {"launchTemplateName": "tags"}
    made, _ = await launched(network, fleet, "merged", tags={"team": "weather"}, launchTemplate=own)
    found = {
        each["ResourceType"]: each["Tags"] for each in (await template_of(network, fleet, made))["TagSpecifications"]
    }
    assert found["network-interface"] == specifications[1]["Tags"]
    tags = {each["Key"]: each["Value"] for each in found["volume"]}
    assert (tags["team"], tags["own"], tags[names.TAG_CLUSTER]) == ("weather", "1", "merged")


@pytest.mark.parametrize(
    ("own", "want"),
    [
        pytest.param({}, "terminate", id="nobody says otherwise"),
        pytest.param({"InstanceInitiatedShutdownBehavior": "stop"}, "stop", id="somebody's own template does"),
    ],
)
async def test_an_instance_that_shuts_itself_down_ends(
    network: Network, catalogue: Catalogue, own: dict[str, Any], want: str
) -> None:
    fleet, name = Ec2Fleet("shutdown", catalogue=catalogue), f"shutdown-{want}"
    network.client().create_launch_template(LaunchTemplateName=name, LaunchTemplateData={"KeyName": "k", **own})
    network.client().create_key_pair(KeyName=f"k-{want}")
    made = blueprint("env", imageId=network.image, launchTemplate={"launchTemplateName": name}, ec2KeyPair=f"k-{want}")
    assert (await template_of(network, fleet, made))["InstanceInitiatedShutdownBehavior"] == want


def test_eks_says_itself_what_a_shutdown_does() -> None:
    assert "InstanceInitiatedShutdownBehavior" in EKS_FORBIDS
