"""Rounds over several providers: what each says is for whom it concerns, and what is left over is ended."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import pytest

import builders as b
from batchwright.api.v1alpha1 import ComputeEnvironmentSpec
from batchwright.capacity.port import Blueprint, Instance, Kind, Order, Outcome, Refusal, Warned
from batchwright.controllers.capacity import Capacity
from batchwright.controllers.declared import Declared
from batchwright.controllers.providers import Providers, kubernetes_version
from batchwright.controllers.store import Store
from batchwright.errors import ApiUnavailable, CapacityError, Denied, Forbidden, ProviderUnavailable
from batchwright.names import LABEL_ENVIRONMENT
from batchwright.settings import Settings
from capacityparts import instance, kind

NOW = float(int(time.time()))
FLEET, GROUPS = "EC2_FLEET", "AUTO_SCALING_GROUPS"
SAID = Warned("i-1", "SPOT_INTERRUPTION", "handle")


class Said:
    """A provider that says what it is told to."""

    def __init__(self, name: str, *instances: Instance) -> None:
        self.name, self.instances = name, list(instances)
        self.said: tuple[Warned, ...] = ()
        self.late: tuple[tuple[str, Refusal], ...] = ()
        self.error: CapacityError | None = None
        self.settled: list[Warned] = []
        self.ended: list[str] = []
        self.kept: Mapping[str, str] | None = None

    async def kinds(self, blueprint: Blueprint) -> tuple[Kind, ...]:
        return (kind(),)

    async def launch(self, blueprint: Blueprint, order: Order) -> Outcome:
        return Outcome()

    async def terminate(self, ids: Collection[str]) -> None:
        self.ended += ids

    async def describe(self) -> tuple[Instance, ...]:
        if self.error is not None:
            raise self.error
        return tuple(self.instances)

    async def refused(self) -> tuple[tuple[str, Refusal], ...]:
        if self.late:
            # What is told has been taken back.
            self.instances = [each for each in self.instances if not each.is_awaited]
        late, self.late = self.late, ()
        return late

    async def tidy(self, kept: Mapping[str, str]) -> None:
        self.kept = kept

    async def warnings(self) -> tuple[Warned, ...]:
        return self.said

    async def settle(self, handled: Collection[Warned]) -> None:
        self.settled += handled


class Api:
    """An API server without pods, that takes what it is told, and nobody who reads events."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    async def post(self, *_: object) -> None: ...

    async def patch(self, kind: object, namespace: object, name: str, body: Any, **_: object) -> None:
        self.told.append((name, str(body)))

    async def list_all(self, *_: object, **__: object) -> list[Any]:
        return []


def declared(name: str, provider: str) -> Declared[ComputeEnvironmentSpec]:
    resources = {"type": "EC2", "maxvCpus": 8, "subnets": ["subnet-a"]}
    spec = {"type": "MANAGED", "provider": provider, "computeResources": resources}
    return Declared(f"uid-{name}", "", name, 1, ComputeEnvironmentSpec.model_validate(spec), {}, {})


class World:
    """Two providers, and the environments that there are, each with its provider."""

    def __init__(self, **environments: str) -> None:
        self.store = Store()
        for name, provider in environments.items():
            self.store.environments["", name] = declared(name, provider)
        self.fleet, self.groups, self.api = Said(FLEET), Said(GROUPS), Api()

        async def cluster() -> str:
            return "cluster"

        async def write(_: object) -> None: ...

        makers = {FLEET: lambda _: self.fleet, GROUPS: lambda _: self.groups}
        self.providers = Providers(makers, cluster, (FLEET, GROUPS))
        self.capacity = Capacity(
            self.api,  # type: ignore[arg-type]
            self.store,
            Settings(),
            self.api,  # type: ignore[arg-type]
            self.providers,
            changed=lambda: None,
            publish=lambda _: None,
            write=write,
        )

    def have(self, name: str) -> None:
        """One instance of a group of this environment, which is a ready node."""
        self.groups.instances = [of(name)]
        node = b.node("n1", instance="i-1")
        self.store.put_node("uid-n1", replace(node, labels={**node.labels, LABEL_ENVIRONMENT: name}))

    async def round(self, seconds: float = 0.0) -> None:
        if not self.providers.in_use(()):
            await self.providers.start()
        await self.capacity._round(NOW + seconds)


def of(name: str, identity: str = "i-1", **over: Any) -> Instance:
    return instance(identity, environment=f"uid-{name}", digest="", launched=NOW, **over)


async def test_a_warning_is_for_whoever_has_the_instance() -> None:
    """Providers share a queue, and the one that reads a message need not be the one that it is about."""
    world = World(a=FLEET, b=GROUPS)
    world.have("b")
    world.fleet.said = (SAID,)
    await world.round()
    assert [name for name, body in world.api.told if "'interrupted " in body] == ["n1"]
    assert world.fleet.settled == [SAID]


async def test_a_warning_waits_for_a_provider_that_does_not_answer() -> None:
    world = World(a=FLEET, b=GROUPS)
    world.fleet.said = (SAID,)
    world.groups.error = ProviderUnavailable("away")
    await world.round()
    assert world.fleet.settled == []
    world.groups.error = None
    world.have("b")
    await world.round(5)
    assert world.fleet.settled == [SAID]


async def test_what_was_refused_late_is_told_to_its_environment_and_counts_no_more() -> None:
    world = World(a=GROUPS, b=GROUPS)
    world.groups.instances = [of("a", "g/1", is_awaited=True)]
    await world.round()
    assert world.store.supplies["a"].starting == 1
    world.groups.late = (("uid-a", Refusal("UnauthorizedOperation", "You may not", False)),)
    await world.round(5)
    supply = world.store.supplies["a"]
    assert supply.problem is not None
    assert (supply.problem.message, supply.problem.is_invalid, supply.starting) == ("You may not", True, 0)
    assert world.store.supplies["b"].problem is None


@pytest.mark.parametrize(
    "environments", [pytest.param({}, id="deleted"), pytest.param({"a": FLEET}, id="another provider")]
)
async def test_what_is_left_over_is_ended_as_far_as_its_group_lets_go(environments: dict[str, str]) -> None:
    world = World(**environments)
    world.groups.instances = [of("a", f"i-{number}", group="g", spare=2) for number in range(3)]
    await world.round()
    assert world.groups.ended == []
    assert world.providers.must_look
    await world.round(60)
    assert len(world.groups.ended) == 2
    assert world.groups.kept == {}
    world.groups.instances = []
    await world.round(65)
    assert not world.providers.must_look


async def test_a_provider_that_nobody_names_and_that_may_not_be_asked_is_let_be() -> None:
    world = World(a=FLEET)
    world.groups.error = Denied("You may not")
    await world.round()
    assert world.providers.in_use(world.store.environments.values()) == [FLEET]
    assert not world.providers.must_look


async def test_one_that_somebody_names_is_not() -> None:
    world = World(a=GROUPS)
    world.groups.error = Denied("You may not")
    await world.round()
    assert GROUPS in world.providers.in_use(world.store.environments.values())
    problem = world.store.supplies["a"].problem
    assert problem is not None
    assert problem.is_invalid


class Versioned:
    """An API server that says its version, or something else."""

    def __init__(self, answer: dict[str, str] | Exception) -> None:
        self.answer = answer

    async def request(self, method: str, path: str) -> dict[str, str]:
        assert (method, path) == ("GET", "/version")
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def test_the_version_of_the_cluster() -> None:
    api: Any = Versioned({"major": "1", "minor": "33+", "gitVersion": "v1.33.4-eks-1234567"})
    assert await kubernetes_version(api) == "v1.33.4-eks-1234567"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(ApiUnavailable("away", 503), id="out of reach"),
        pytest.param(Forbidden("no", 403), id="not allowed"),
        pytest.param({}, id="something else"),
    ],
)
async def test_without_the_version_nothing_is_chosen(answer: dict[str, str] | Exception) -> None:
    api: Any = Versioned(answer)
    with pytest.raises(ProviderUnavailable, match="version"):
        await kubernetes_version(api)
