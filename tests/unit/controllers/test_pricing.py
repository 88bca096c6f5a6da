"""What an instance costs, and where that is kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import builders as b
import capacityparts as parts
from batchwright.capacity.port import Instance, Kind
from batchwright.controllers.pricing import find_price, note_prices
from batchwright.controllers.store import Store
from batchwright.domain.metering import Price
from batchwright.errors import NotFound

KINDS = (
    parts.kind(price=0.192),
    parts.kind(zone="b", price=0.2),
    parts.kind(price=0.05, capacity="SPOT"),
    parts.kind("m5.large", 2, 8),
)


@pytest.mark.parametrize(
    ("instance", "kinds", "want"),
    [
        pytest.param(parts.instance(price=Price(0.1)), KINDS, Price(0.1), id="as noted at its launch"),
        pytest.param(parts.instance(), KINDS, Price(0.192), id="as its kind costs now"),
        pytest.param(parts.instance(zone="b"), KINDS, Price(0.2), id="in its zone"),
        pytest.param(parts.instance(zone="c"), KINDS, Price(0.192), id="in a zone that is not offered any more"),
        pytest.param(parts.instance(capacity="SPOT"), KINDS, Price(0.05), id="as Spot"),
        pytest.param(parts.instance(type="m5.large"), KINDS, Price(0.1016, True), id="estimated"),
        pytest.param(parts.instance(type="c5.large"), KINDS, None, id="of a type that is not offered any more"),
    ],
)
def test_the_price_of_an_instance(instance: Instance, kinds: tuple[Kind, ...], want: Price | None) -> None:
    assert find_price(instance, kinds) == want


class FakeApi:
    """Takes patches of nodes; those named are gone."""

    def __init__(self, *gone: str) -> None:
        self.gone = gone
        self.patched: dict[str, Any] = {}

    async def patch(self, resource: Any, namespace: Any, name: str, body: Any, **_: Any) -> None:
        if name in self.gone:
            raise NotFound("gone", 404, "NotFound")
        self.patched[name] = body["metadata"]["annotations"]


def store_of(*names: str, **over: Any) -> Store:
    store = Store()
    for name in names:
        store.put_node(name, b.node(name, **over))
    return store


async def test_nodes_are_told_once() -> None:
    store = store_of("node-i-1", "node-i-2")
    store.put_node("node-i-3", b.node("node-i-3", price=Price(7.0)))
    api = FakeApi("node-i-2")
    fleet = [parts.seen(f"i-{number}") for number in (1, 2, 3)] + [parts.starting("i-4")]
    await note_prices(api, store, fleet, KINDS)  # type: ignore[arg-type]
    assert api.patched == {"node-i-1": {"batchwright.io/hourly-price": "0.192"}}
    store.put_node("node-i-1", b.node("node-i-1", price=Price(0.192)))
    api.patched.clear()
    await note_prices(api, store, [replace(fleet[0])], KINDS)  # type: ignore[arg-type]
    assert api.patched == {}


async def test_an_estimate_is_told_as_one() -> None:
    api, store = FakeApi(), store_of("node-i-1")
    fleet = [parts.seen(of=parts.instance(type="m5.large"))]
    await note_prices(api, store, fleet, KINDS)  # type: ignore[arg-type]
    want = {"batchwright.io/hourly-price": "0.1016", "batchwright.io/price-source": "ESTIMATED"}
    assert api.patched == {"node-i-1": want}
