"""The price of an instance, kept where an operator that starts finds it: an annotation of its node."""

from __future__ import annotations

from collections.abc import Iterable

from batchwright.capacity.fleet import Seen
from batchwright.capacity.launching import launch_price
from batchwright.capacity.port import Instance, Kind
from batchwright.cluster.client import ApiClient
from batchwright.cluster.resources import NODES
from batchwright.controllers.store import Store
from batchwright.domain.metering import Price, price_notes
from batchwright.errors import NotFound


def find_price(instance: Instance, kinds: Iterable[Kind]) -> Price | None:
    """What the instance costs: as its provider noted it, else as one of its kind does now; None if there is none."""
    if instance.price is not None:
        return instance.price
    alike = [kind for kind in kinds if (kind.type.name, kind.capacity) == (instance.type, instance.capacity)]
    here = [kind for kind in alike if kind.zone == instance.zone]
    return launch_price((here or alike)[0]) if alike else None


async def note_prices(api: ApiClient, store: Store, fleet: Iterable[Seen], kinds: Iterable[Kind]) -> None:
    """Tells the meters, and the nodes that do not say it yet, what each costs. Raises ApiError."""
    offered = tuple(kinds)
    for seen in fleet:
        node = store.nodes.get(seen.node)
        if node is None or node.price is not None:
            continue
        price = find_price(seen.instance, offered)
        if price is None:
            continue
        store.meters.tell_price(seen.instance.id, node.name, price, store)
        try:
            body = {"metadata": {"annotations": price_notes(price)}}
            await api.patch(NODES, None, node.name, body, answer=False)
        except NotFound:
            continue
