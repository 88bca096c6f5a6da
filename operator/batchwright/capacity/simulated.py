"""Nodes without machines: Node objects that kwok keeps ready, as the simulated nodes of `batchwright local` are.

The instance is the Node itself, so nothing can leak. Names follow from the order's token: the same order twice makes
the same nodes. Types, prices and zones are like EC2's, so that what an environment would do can be tried out.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Collection, Mapping

from batchwright import names
from batchwright.capacity.launching import launch_price
from batchwright.capacity.nodes import allocatable, labels_of
from batchwright.capacity.port import Blueprint, Instance, InstanceType, Kind, Order, Outcome, Refusal, Warned
from batchwright.capacity.types import select
from batchwright.cluster.client import JSON, ApiClient
from batchwright.cluster.resources import NODES
from batchwright.domain.metering import noted_price, price_notes
from batchwright.domain.quantities import CPU
from batchwright.domain.texts import moment
from batchwright.errors import AlreadyExists, ApiError, NotFound, ProviderUnavailable

PROVIDER = "simulated"
LABEL = f"{names.GROUP}/provider"
ZONES = ("local-a", "local-b", "local-c")
_GIB = 1 << 30
_IN_FLIGHT = 16
# Families of vCPUs, GiB for each, and dollars an hour for one vCPU On-Demand; Spot at about a third.
_FAMILIES = (("m5", 4, 0.048), ("c5", 2, 0.0425), ("r5", 8, 0.063), ("m6g", 4, 0.0385), ("c6g", 2, 0.034))
_SIZES = (("large", 2), ("xlarge", 4), ("2xlarge", 8), ("4xlarge", 16), ("8xlarge", 32), ("16xlarge", 64))
_SPOT = 0.35


def catalogue() -> tuple[tuple[InstanceType, float], ...]:
    """The types there are, with On-Demand prices."""
    found = []
    for family, gib, price in _FAMILIES:
        architecture = "arm64" if family.endswith("g") else "amd64"
        for size, cores in _SIZES:
            pods = 29 if cores == 2 else 58 if cores < 16 else 234
            made = InstanceType(f"{family}.{size}", 1000 * cores, cores * gib * _GIB, architecture, 0, pods)
            found.append((made, round(price * cores, 4)))
    gpu = InstanceType("g4dn.xlarge", 4000, 16 * _GIB, "amd64", 1, 29)
    return (*found, (gpu, 0.526))


class Simulated:
    """The provider SIMULATED."""

    name = "SIMULATED"

    def __init__(self, api: ApiClient) -> None:
        self._api = api
        self._slots = asyncio.Semaphore(_IN_FLIGHT)

    async def kinds(self, blueprint: Blueprint) -> tuple[Kind, ...]:
        """Every type of the catalogue that the environment names, in every zone."""
        known = {found.name: (found, price) for found, price in catalogue()}
        chosen = select(blueprint.resources.instance_types, [found for found, _ in known.values()])
        factor = _SPOT if blueprint.capacity == "SPOT" else 1.0
        return tuple(
            Kind(found, zone, blueprint.capacity, round(known[found.name][1] * factor, 4))
            for found in chosen
            for zone in ZONES
        )

    async def launch(self, blueprint: Blueprint, order: Order) -> Outcome:
        """Makes the nodes of the order, of its first kind, in its zones by turns."""
        first = order.kinds[0].type
        kinds = [kind for kind in order.kinds if kind.type == first]
        bodies = [_node(blueprint, order, kinds[number % len(kinds)], number) for number in range(order.count)]
        return Outcome(tuple(await asyncio.gather(*(self._create(body) for body in bodies))))

    async def _create(self, body: JSON) -> Instance:
        async with self._slots:
            try:
                return _instance(await self._api.create(NODES, None, body))
            except AlreadyExists:
                return _instance(await self._api.get(NODES, None, body["metadata"]["name"]))
            except ApiError as error:
                raise ProviderUnavailable(str(error)) from error

    async def terminate(self, ids: Collection[str]) -> None:
        """Deletes the nodes."""
        for found in await self._list():
            if found.id in ids:
                try:
                    await self._api.delete(NODES, None, node_name(found.environment_name, found.id))
                except NotFound:
                    continue

    async def describe(self) -> tuple[Instance, ...]:
        """The nodes there are."""
        return tuple(await self._list())

    async def _list(self) -> list[Instance]:
        try:
            return [_instance(item) for item in await self._api.list_all(NODES, labels=f"{LABEL}={PROVIDER}")]
        except ApiError as error:
            raise ProviderUnavailable(str(error)) from error

    async def refused(self) -> tuple[tuple[str, Refusal], ...]:
        """Nothing: the nodes are made at once."""
        return ()

    async def tidy(self, kept: Mapping[str, str]) -> None:
        """There is nothing but nodes."""

    async def warnings(self) -> tuple[Warned, ...]:
        """Nobody takes a simulated node back."""
        return ()

    async def settle(self, handled: Collection[Warned]) -> None:
        """Nothing is to be settled."""


def node_name(environment: str, instance: str) -> str:
    """The name of an instance's node."""
    return f"{environment[:40]}-{instance[2:14]}"


def _node(blueprint: Blueprint, order: Order, kind: Kind, number: int) -> JSON:
    identity = "i-" + hashlib.sha256(f"{order.token}/{number}".encode()).hexdigest()[:17]
    name = node_name(blueprint.environment, identity)
    resources = {key: f"{amount}m" if key == CPU else str(amount) for key, amount in allocatable(kind.type).items()}
    own = {"type": "kwok", LABEL: PROVIDER, "kubernetes.io/hostname": name}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": labels_of(kind, blueprint) | own,
            "annotations": {
                names.TAG_ENVIRONMENT: blueprint.environment,
                names.TAG_ENVIRONMENT_UID: blueprint.uid,
                names.TAG_LAUNCH: order.token,
                names.TAG_BLUEPRINT: blueprint.digest,
                **price_notes(launch_price(kind)),
            },
        },
        "spec": {
            "providerID": f"simulated:///{kind.zone}/{identity}",
            "taints": [{"key": each.key, "value": each.value, "effect": each.effect} for each in blueprint.taints],
        },
        "status": {
            "capacity": resources,
            "allocatable": resources,
            "addresses": [{"type": "InternalIP", "address": "10.33.0.1"}, {"type": "Hostname", "address": name}],
        },
    }


def _instance(item: JSON) -> Instance:
    metadata = item["metadata"]
    labels, notes = metadata.get("labels") or {}, metadata.get("annotations") or {}
    return Instance(
        id=item["spec"]["providerID"].rsplit("/", 1)[-1],
        environment=notes.get(names.TAG_ENVIRONMENT_UID, ""),
        type=labels.get(names.INSTANCE_TYPE, ""),
        zone=labels.get(names.ZONE, ""),
        capacity="SPOT" if labels.get(names.LABEL_CAPACITY) == "SPOT" else "ON_DEMAND",
        launched_at=moment(metadata["creationTimestamp"]).timestamp(),
        state="shutting-down" if "deletionTimestamp" in metadata else "running",
        token=notes.get(names.TAG_LAUNCH, ""),
        digest=notes.get(names.TAG_BLUEPRINT, ""),
        environment_name=notes.get(names.TAG_ENVIRONMENT, ""),
        price=noted_price(notes),
    )
