"""What reaches AWS of what an environment says: the requests themselves, as EC2 would be sent them."""

from __future__ import annotations

from typing import Any

import pytest

from batchwright.capacity.ec2.catalogue import Catalogue
from batchwright.capacity.ec2.client import Aws
from batchwright.capacity.ec2.fleet import Ec2Fleet
from batchwright.capacity.port import Blueprint, Kind, Order
from capacityparts import blueprint, kind

M5, C5, R5 = kind("m5.large"), kind("c5.large"), kind("r5.large")


class Asked(Aws):
    """EC2 that notes what it is asked, and has launch templates of one's own: each with a key of its name."""

    def __init__(self) -> None:
        super().__init__("ec2", "us-east-1")
        self.fleets: list[dict[str, Any]] = []
        self.templates: dict[str, dict[str, Any]] = {}

    async def call(self, operation: str, *, uncertain: bool = False, **parameters: Any) -> dict[str, Any]:
        if operation == "describe_launch_template_versions":
            name = parameters.get("LaunchTemplateName") or parameters["LaunchTemplateId"]
            data = {"KeyName": f"{name}@{parameters['Versions'][0]}"}
            return {"LaunchTemplateVersions": [{"LaunchTemplateData": data}]}
        if operation == "create_launch_template":
            self.templates[parameters["LaunchTemplateName"]] = parameters["LaunchTemplateData"]
        elif operation == "create_fleet":
            self.fleets.append(parameters)
        else:
            raise AssertionError(operation)
        return {}

    @property
    def configs(self) -> list[dict[str, Any]]:
        """The templates of the only fleet with their overrides."""
        (only,) = self.fleets
        found: list[dict[str, Any]] = only["LaunchTemplateConfigs"]
        return found

    @property
    def launched(self) -> dict[str, dict[str, Any]]:
        """The content of the template that each type was asked for with."""
        return {
            override["InstanceType"]: self.templates[each["LaunchTemplateSpecification"]["LaunchTemplateName"]]
            for each in self.configs
            for override in each["Overrides"]
        }


async def ordered(made: Blueprint, *kinds: Kind, count: int = 1) -> Asked:
    aws = Asked()
    await Ec2Fleet("c", aws, catalogue=Catalogue(aws)).launch(made, Order("token", count, kinds))
    return aws


def environment(**resources: object) -> Blueprint:
    return blueprint(**{"imageId": "ami-1", **resources})


# Ranks are by the order's types, which is instanceTypes' own for these strategies.
RANKED = [("m5.large", 0.0), ("c5.large", 1.0), ("r5.large", 2.0)]
PLAIN = [("m5.large", None), ("c5.large", None), ("r5.large", None)]


@pytest.mark.parametrize(
    ("bought", "strategy", "want", "want_priorities"),
    [
        pytest.param("EC2", None, "lowest-price", PLAIN, id="on-demand default"),
        pytest.param("EC2", "BEST_FIT", "lowest-price", PLAIN, id="on-demand BEST_FIT"),
        pytest.param("EC2", "BEST_FIT_PROGRESSIVE", "lowest-price", PLAIN, id="on-demand BEST_FIT_PROGRESSIVE"),
        pytest.param("EC2", "BEST_FIT_PROGRESSIVE_ORDERED", "prioritized", RANKED, id="on-demand ORDERED"),
        pytest.param("SPOT", None, "price-capacity-optimized", PLAIN, id="spot default"),
        pytest.param("SPOT", "BEST_FIT", "lowest-price", PLAIN, id="spot BEST_FIT"),
        pytest.param("SPOT", "BEST_FIT_PROGRESSIVE", "lowest-price", PLAIN, id="spot BEST_FIT_PROGRESSIVE"),
        pytest.param("SPOT", "SPOT_CAPACITY_OPTIMIZED", "capacity-optimized", PLAIN, id="spot capacity"),
        pytest.param("SPOT", "SPOT_PRICE_CAPACITY_OPTIMIZED", "price-capacity-optimized", PLAIN, id="spot price"),
        pytest.param(
            "SPOT",
            "SPOT_CAPACITY_OPTIMIZED_PRIORITIZED",
            "capacity-optimized-prioritized",
            RANKED,
            id="spot capacity by order",
        ),
    ],
)
async def test_allocation_strategies(
    bought: str, strategy: str | None, want: str, want_priorities: list[tuple[str, float | None]]
) -> None:
    aws = await ordered(environment(type=bought, allocationStrategy=strategy), M5, C5, R5, count=2)
    (fleet,) = aws.fleets
    mine, other = ("SpotOptions", "OnDemandOptions") if bought == "SPOT" else ("OnDemandOptions", "SpotOptions")
    assert (fleet[mine], other in fleet) == ({"AllocationStrategy": want}, False)
    assert fleet["TargetCapacitySpecification"] == {
        "TotalTargetCapacity": 2,
        "DefaultTargetCapacityType": "spot" if bought == "SPOT" else "on-demand",
    }
    (config,) = fleet["LaunchTemplateConfigs"]
    assert [(each["InstanceType"], each.get("Priority")) for each in config["Overrides"]] == want_priorities


async def test_subnets_of_a_type_have_its_rank() -> None:
    other = kind("m5.large", zone="b")
    aws = await ordered(environment(allocationStrategy="BEST_FIT_PROGRESSIVE_ORDERED"), M5, other, C5)
    assert [each["Priority"] for each in aws.configs[0]["Overrides"]] == [0.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("resources", "want"),
    [
        pytest.param({}, None, id="none"),
        pytest.param({"placementGroup": "near"}, {"GroupName": "near"}, id="one"),
    ],
)
async def test_a_placement_group(resources: dict[str, str], want: dict[str, str] | None) -> None:
    aws = await ordered(environment(**resources), M5)
    assert aws.launched["m5.large"].get("Placement") == want


def own(*overrides: tuple[str, list[str]]) -> dict[str, Any]:
    listed = [
        {"launchTemplateName": name, "version": "3", "targetInstanceTypes": targets} for name, targets in overrides
    ]
    return {"launchTemplateId": "lt-own", "version": "$Latest", "overrides": listed}


REST = "lt-own@$Latest"


@pytest.mark.parametrize(
    ("template", "want"),
    [
        pytest.param(own(), [REST, REST, REST], id="none"),
        pytest.param(own(("a", ["m5.large"])), ["a@3", REST, REST], id="a type"),
        pytest.param(own(("a", ["m5"])), ["a@3", REST, REST], id="a family"),
        pytest.param(own(("a", ["m5.xlarge"])), [REST, REST, REST], id="another size"),
        pytest.param(own(("a", ["m5.large", "r5"])), ["a@3", REST, "a@3"], id="several"),
        pytest.param(own(("a", ["c5"]), ("b", ["c5.large", "m5"])), ["b@3", "a@3", REST], id="the first that matches"),
    ],
)
async def test_templates_of_ones_own_by_type(template: dict[str, Any], want: list[str]) -> None:
    aws = await ordered(environment(launchTemplate=template), M5, C5, R5)
    found = aws.launched
    assert [found[name]["KeyName"] for name in ("m5.large", "c5.large", "r5.large")] == want
    # One config for each content, with the types that it is for.
    assert len(aws.configs) == len(set(want))
