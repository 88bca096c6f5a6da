"""On-Demand prices from AWS's price list, and what is done where nobody tells them; against the embedded endpoint."""

from __future__ import annotations

from typing import Any

import pytest

from awsserver import Network
from batchwright.capacity.ec2.catalogue import Catalogue
from batchwright.capacity.ec2.fleet import Ec2Fleet
from batchwright.capacity.ec2.pricelist import PriceList, endpoint_region, prices
from batchwright.capacity.launching import launch_price
from batchwright.capacity.port import Order
from batchwright.capacity.simulated import catalogue as simulated
from batchwright.controllers.providers import make_providers
from batchwright.domain.metering import Price, noted_price
from batchwright.local.ec2 import pricelist as endpoint
from batchwright.settings import Settings
from capacityparts import blueprint, kind

M5_LARGE, C5_LARGE = 0.096, 0.085


async def test_prices_are_read_page_by_page_and_once_a_day(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    answer = endpoint.get_products

    def few(request: dict[str, Any]) -> dict[str, Any]:
        asked.append(request)
        return answer(request | {"MaxResults": 7})

    monkeypatch.setattr(endpoint, "get_products", few)
    found = PriceList()
    for _ in range(3):
        await found.refresh()
    assert {each.name: found.of(each.name) for each, _ in simulated()} == {
        each.name: price for each, price in simulated()
    }
    assert len(asked) == -(-len(simulated()) // 7)
    assert {"Type": "TERM_MATCH", "Field": "regionCode", "Value": "us-east-1"} in asked[0]["Filters"]


class Api:
    """A cluster, which has an id."""

    async def list_all(self, *_: object, **__: object) -> list[Any]:
        return [{"metadata": {"uid": "prices"}}]

    def may_write(self) -> bool:
        return True


async def test_all_providers_of_an_operator_read_it_once(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    answer = endpoint.get_products

    def noting(request: dict[str, Any]) -> dict[str, Any]:
        asked.append(request)
        return answer(request)

    monkeypatch.setattr(endpoint, "get_products", noting)
    providers = make_providers(Api(), Settings())  # type: ignore[arg-type]
    await providers.start()
    made = blueprint(instanceTypes=["m5.large"], subnets=network.subnets, imageId=network.image)
    kinds = [await providers.get(name).kinds(made) for name in ("EC2_FLEET", "AUTO_SCALING_GROUPS")]
    assert {each.price for found in kinds for each in found} == {M5_LARGE}
    assert len(asked) == 1


async def test_where_the_price_list_is_out_of_reach_prices_are_estimated(
    network: Network, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = Ec2Fleet("estimated", catalogue=catalogue, price_list=PriceList())
    made = blueprint(instanceTypes=["m5.large"], subnets=network.subnets, imageId=network.image)
    monkeypatch.setenv("AWS_ENDPOINT_URL_PRICING", "http://127.0.0.1:1")
    found = await fleet.kinds(made)
    assert {each.price for each in found} == {None}
    assert {launch_price(each).is_estimated for each in found} == {True}
    (instance,) = (await fleet.launch(made, Order("estimated/1", 1, found))).instances
    assert instance.price is not None
    assert instance.price.is_estimated
    assert [each.price for each in await fleet.describe()] == [instance.price]


async def test_an_instance_keeps_the_price_that_it_was_launched_at(network: Network, catalogue: Catalogue) -> None:
    fleet = Ec2Fleet("kept", catalogue=catalogue)
    made = blueprint(instanceTypes=["m5.large"], subnets=network.subnets, imageId=network.image)
    (instance,) = (await fleet.launch(made, Order("kept/1", 1, await fleet.kinds(made)))).instances
    assert instance.price == Price(M5_LARGE)
    shown = network.client().describe_instances(InstanceIds=[instance.id])["Reservations"][0]["Instances"][0]
    assert noted_price({each["Key"]: each["Value"] for each in shown["Tags"]}) == Price(M5_LARGE)
    # Another operator, which could have other prices by now, goes by the tag.
    (again,) = await Ec2Fleet("kept", catalogue=catalogue).describe()
    assert again.price == Price(M5_LARGE)


async def test_a_bid_is_a_part_of_the_on_demand_price(
    network: Network, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = Ec2Fleet("bids", catalogue=catalogue)
    found = {"subnets": network.subnets, "imageId": network.image, "bidPercentage": 40}
    made = blueprint(type="SPOT", instanceTypes=["m5.large", "c5.large"], **found)
    sent: list[dict[str, Any]] = []
    call = fleet._aws.call

    async def noting(operation: str, **parameters: Any) -> Any:
        if operation == "create_fleet":
            sent.append(parameters)
        return await call(operation, **parameters)

    monkeypatch.setattr(fleet._aws, "call", noting)
    await fleet.launch(made, Order("bids/1", 1, await fleet.kinds(made)))
    overrides = [each for config in sent[0]["LaunchTemplateConfigs"] for each in config["Overrides"]]
    assert {(each["InstanceType"], each["MaxPrice"]) for each in overrides} == {
        ("m5.large", f"{M5_LARGE * 0.4:.4f}"),
        ("c5.large", f"{C5_LARGE * 0.4:.4f}"),
    }


@pytest.mark.parametrize(
    ("product", "want"),
    [
        pytest.param(endpoint.product("m5.large", 0.096, "eu-west-1"), {"m5.large": 0.096}, id="as it is"),
        pytest.param({"product": {"attributes": {"instanceType": "m5.large"}}}, {}, id="no terms"),
        pytest.param(endpoint.product("m5.large", 0.0, "eu-west-1"), {}, id="a reservation's instance, for nothing"),
    ],
)
def test_a_product_is_a_price(product: dict[str, Any], want: dict[str, float]) -> None:
    assert prices([product]) == want


@pytest.mark.parametrize(
    ("region", "want"),
    [
        pytest.param("us-west-2", "us-east-1", id="America"),
        pytest.param("eu-west-1", "eu-central-1", id="Europe"),
        pytest.param("ap-southeast-2", "ap-south-1", id="Asia and Pacific"),
        pytest.param("sa-east-1", "us-east-1", id="elsewhere"),
    ],
)
def test_the_price_list_is_asked_in_the_nearest_of_its_regions(region: str, want: str) -> None:
    assert endpoint_region(region) == want


def test_a_kind_without_a_price_is_worth_about_what_it_has() -> None:
    assert launch_price(kind()) == Price(pytest.approx(4 * 0.034 + 16 * 0.0042), True)  # type: ignore[arg-type]
