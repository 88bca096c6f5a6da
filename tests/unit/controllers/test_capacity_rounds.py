"""Rounds over what a provider says: warnings are settled when nodes say what they said, and not before."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import REGISTRY

import builders as b
from batchwright import metrics
from batchwright.api.v1alpha1 import ComputeEnvironmentSpec
from batchwright.capacity.port import Blueprint, Instance, Kind, Order, Outcome, Provider, Refusal, Warned
from batchwright.controllers.capacity import QUIET_SECONDS, Capacity
from batchwright.controllers.declared import Declared
from batchwright.controllers.entries import Pinned
from batchwright.controllers.environment import ManagedEnvironment
from batchwright.controllers.gathering import blueprint_of
from batchwright.controllers.store import Store
from batchwright.domain.observations import Occupant
from batchwright.domain.texts import moment
from batchwright.errors import ApiUnavailable, NotLeading, ProviderUnavailable
from batchwright.names import ANNOTATION_CORDONED, LABEL_ENVIRONMENT
from batchwright.scheduling.snapshot import Demand
from batchwright.settings import Settings
from capacityparts import instance, kind

# Rounds look at the clock themselves when they end.
NOW = float(int(time.time()))


class Fake:
    """A provider that says what it is told to."""

    name = "EC2_FLEET"

    def __init__(self, *instances: Instance) -> None:
        self.instances = instances
        self.said: tuple[Warned, ...] = ()
        self.settled: list[Warned] = []
        self.terminated: list[str] = []
        self.launched: list[Order] = []
        self.queue_error: Exception | None = None
        self.launch_error: Exception | None = None
        self.kinds_error: Exception | None = None

    async def kinds(self, blueprint: Blueprint) -> tuple[Kind, ...]:
        if self.kinds_error is not None:
            raise self.kinds_error
        return (kind(),)

    async def launch(self, blueprint: Blueprint, order: Order) -> Outcome:
        if self.launch_error is not None:
            raise self.launch_error
        self.launched.append(order)
        return Outcome()

    async def terminate(self, ids: Collection[str]) -> None:
        self.terminated += ids

    async def describe(self) -> tuple[Instance, ...]:
        return self.instances

    async def refused(self) -> tuple[tuple[str, Refusal], ...]:
        return ()

    async def tidy(self, kept: Mapping[str, str]) -> None:
        """There is nothing but instances."""

    async def warnings(self) -> tuple[Warned, ...]:
        if self.queue_error is not None:
            raise self.queue_error
        return self.said

    async def settle(self, handled: Collection[Warned]) -> None:
        self.settled += handled


class Api:
    """Notes what nodes are told."""

    def __init__(self) -> None:
        self.notes: dict[str, str] = {}
        self.is_down = False
        self.pods: list[Any] = []

    async def delete(self, *_: object) -> None: ...

    async def patch(self, resource: Any, namespace: str | None, name: str, body: Any, **_: object) -> None:
        if self.is_down:
            raise ApiUnavailable("no answer")
        note = body["metadata"].get("annotations", {}).get(ANNOTATION_CORDONED)
        if note is not None:
            self.notes[name] = note

    async def list_all(self, *_: object, labels: str = "", **__: object) -> list[Any]:
        return [] if labels else self.pods


class Events:
    def __init__(self) -> None:
        self.posted: list[tuple[Any, Any]] = []

    async def post(self, subject: Any, notice: Any) -> None:
        self.posted.append((subject, notice))


class Providers:
    """Has the one."""

    must_look = False

    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    def get(self, name: str) -> Provider:
        return self.provider

    def in_use(self, managed: object) -> list[str]:
        return ["EC2_FLEET"]

    def note(self, name: str, is_unfinished: bool) -> None: ...


SPEC = {"type": "MANAGED", "computeResources": {"type": "SPOT", "maxvCpus": 8, "subnets": ["subnet-a"]}}
SHAPE = b.shape(tolerations=(b.toleration(LABEL_ENVIRONMENT, value="env"),))
SAID = Warned("i-1", "SPOT_INTERRUPTION", "handle", NOW + 120)


class World:
    """One environment with one instance that is a ready node."""

    def __init__(self) -> None:
        spec = ComputeEnvironmentSpec.model_validate(SPEC)
        self.known = declared(spec)
        digest = blueprint_of(self.known).digest
        self.store = Store()
        self.store.environments["", "env"] = self.known
        node = b.node("n1", instance="i-1")
        self.store.put_node("uid-n1", replace(node, labels={**node.labels, LABEL_ENVIRONMENT: "env"}))
        self.store.tenants.put("pod", "n1")
        self.provider = Fake(instance(capacity="SPOT", digest=digest, launched=NOW))
        self.api, self.events = Api(), Events()

        async def write(_: object) -> None: ...

        self.capacity = Capacity(
            self.api,  # type: ignore[arg-type]
            self.store,
            Settings(),
            self.events,  # type: ignore[arg-type]
            Providers(self.provider),  # type: ignore[arg-type]
            changed=lambda: None,
            publish=lambda _: None,
            write=write,
        )

    async def round(self, now: float = NOW) -> None:
        await self.capacity._round(now)

    def pause(self, began: float, now: float, *, is_done: bool = True) -> float:
        return self.capacity._pause(began, now, is_done=is_done)

    @property
    def environment(self) -> ManagedEnvironment:
        return self.capacity._environments["uid-env"]


def declared(spec: ComputeEnvironmentSpec) -> Declared[ComputeEnvironmentSpec]:
    return Declared(uid="uid-env", namespace="", name="env", generation=1, spec=spec, raw_spec={}, status={})


async def test_a_warning_is_settled_when_its_node_says_so() -> None:
    world = World()
    world.provider.said = (SAID,)
    await world.round()
    assert world.api.notes["n1"].startswith("interrupted ")
    # When it ends, for an operator that is started when the message is gone.
    assert moment(world.api.notes["n1"].split(" ")[2]).timestamp() == NOW + 120
    assert world.provider.settled == [SAID]


async def test_it_is_not_while_the_api_server_does_not_take_it() -> None:
    world = World()
    world.provider.said = (SAID,)
    world.api.is_down = True
    await world.round()
    assert world.provider.settled == []
    world.api.is_down = False
    await world.round(NOW + 5)
    assert world.provider.settled == [SAID]


async def test_nor_while_its_instance_is_no_node_yet() -> None:
    world = World()
    world.store.put_node("uid-n1", None)
    world.provider.said = (SAID,)
    await world.round()
    assert world.provider.settled == []
    world.provider.instances = (replace(world.provider.instances[0], state="terminated"),)
    await world.round(NOW + 5)
    assert world.provider.settled == [SAID]


async def test_what_concerns_nobody_is_settled() -> None:
    world = World()
    stranger = Warned("i-9", "REBALANCE", "handle")
    world.provider.said = (stranger,)
    await world.round()
    assert world.provider.settled == [stranger]
    assert world.api.notes == {}


async def test_what_is_wanted_is_launched_as_long_as_nothing_else_has_changed() -> None:
    """Demand that was worked out with another version of what the environment has is passed over."""
    world = World()
    world.provider.instances = ()
    await world.round()
    version = world.store.growth["env"].version
    await world.round(NOW + 1)
    assert world.store.growth["env"].version == version
    world.capacity.see_demand((Demand("env", SHAPE, 1, version - 1),), frozenset())
    await world.round(NOW + 2)
    assert world.provider.launched == []
    world.capacity.see_demand((Demand("env", SHAPE, 1, version),), frozenset())
    await world.round(NOW + 3)
    assert [order.count for order in world.provider.launched] == [1]


async def test_a_provider_that_did_not_answer_is_asked_again_soon() -> None:
    """Also where nothing waits yet: what there is decides whether anything can be asked for."""
    world = World()
    world.provider.instances = ()
    world.provider.kinds_error = ProviderUnavailable("connection closed")
    await world.round()
    assert world.pause(NOW, NOW + 1) == 9
    # Something else caused a round meanwhile: the pause is not over for that.
    await world.round(NOW + 4)
    assert world.pause(NOW + 4, NOW + 5) == 5
    world.provider.kinds_error = None
    await world.round(NOW + 10)
    assert world.store.growth["env"].offers
    assert world.pause(NOW + 10, NOW + 11) == QUIET_SECONDS


async def test_a_pause_that_ended_while_the_round_still_went_on_is_over() -> None:
    """Another provider's call may take as long as its timeout: the next look is due then, and not a minute later."""
    world = World()
    world.provider.instances = ()
    world.provider.kinds_error = ProviderUnavailable("connection closed")
    await world.round()
    assert world.pause(NOW, NOW + 30) == 0


async def test_a_round_that_failed_is_made_again_soon() -> None:
    world = World()
    world.provider.instances = ()
    await world.round()
    assert world.pause(NOW, NOW + 1) == QUIET_SECONDS
    assert world.pause(NOW, NOW + 1, is_done=False) == Settings().capacity_interval_seconds


async def test_without_the_queue_all_else_goes_on() -> None:
    world = World()
    world.provider.queue_error = ProviderUnavailable("no such queue")
    await world.round()
    assert [seen.instance.id for seen in world.environment.fleet] == ["i-1"]
    assert "env" in world.store.growth


@pytest.mark.parametrize(
    ("minutes", "want"), [pytest.param(60, 0, id="some day"), pytest.param(10, 1, id="in time for another node")]
)
async def test_maintenance_is_replaced_in_time(minutes: float, want: int) -> None:
    world = World()
    world.store.put_job(b.UID, b.job())
    entry = world.store.entries[b.UID]
    entry.pinned = Pinned("hello:1", None, b.rules(), b.shape())  # type: ignore[arg-type]
    entry.pods = {"pod": b.running_pod()}
    world.provider.said = (Warned("i-1", "MAINTENANCE", "handle", NOW + 60 * minutes),)
    await world.round()
    growth = world.store.growth["env"]
    assert sum(count for _, count in growth.leaving) == want
    assert world.api.notes["n1"].startswith("maintenance ")


async def test_an_operator_that_leads_no_more_takes_nothing_back_from_its_note() -> None:
    """The next one looks for what may have been launched."""
    world = World()
    spec = {**SPEC, "computeResources": {**SPEC["computeResources"], "minvCpus": 8}}  # type: ignore[dict-item]
    world.store.environments["", "env"] = declared(ComputeEnvironmentSpec.model_validate(spec))
    world.provider.launch_error = NotLeading("not sent")
    await world.round()
    assert world.provider.launched == []
    assert world.store.supplies["env"].pending is not None


async def test_a_warning_is_counted_once_however_often_it_comes() -> None:
    metrics.forget_environment("env")
    world = World()
    world.api.is_down = True
    for said in ("REBALANCE", "SPOT_INTERRUPTION", "SPOT_INTERRUPTION", "REBALANCE"):
        world.provider.said = (replace(SAID, kind=said),)
        await world.round()

    def counted(warning: str) -> float | None:
        labels = {"environment": "env", "warning": warning}
        return REGISTRY.get_sample_value("batchwright_instances_warned_total", labels)

    assert [counted(each) for each in ("rebalance", "interrupted", "maintenance")] == [1, 1, 0]


async def test_a_message_is_settled_when_all_that_it_names_is_seen_to() -> None:
    """AWS Health names many instances in one, and to delete it for one of them is to forget the others."""
    world = World()
    first, second = world.provider.instances[0], replace(world.provider.instances[0], id="i-2")
    world.provider.instances = (first, second)
    health = [Warned(each, "MAINTENANCE", "both", NOW + 9000) for each in ("i-1", "i-2")]
    world.provider.said = (*health, Warned("i-9", "REBALANCE", "other"))
    await world.round()
    assert world.api.notes["n1"].startswith("maintenance ")
    assert world.provider.settled == [world.provider.said[2]]
    world.store.put_node("uid-n2", b.node("n2", instance="i-2", labels={LABEL_ENVIRONMENT: "env"}))
    await world.round(NOW + 5)
    assert world.provider.settled[1:] == list(world.provider.said)


async def test_a_warning_is_heeded_though_nobody_says_what_may_be_had() -> None:
    world = World()
    world.provider.said = (SAID,)
    world.provider.kinds_error = ProviderUnavailable("connection closed")
    world.api.is_down = True
    await world.round()
    assert world.provider.settled == []
    world.api.is_down = False
    await world.round(NOW + 5)
    assert world.api.notes["n1"].startswith("interrupted ")
    assert world.provider.settled == [SAID]
    supply = world.store.supplies["env"]
    assert (supply.problem is not None, [each.id for each in supply.instances]) == (True, ["i-1"])


def deserted(world: World, **over: Any) -> None:
    """Its environment is deleted, and has been for long."""
    world.store.environments.clear()
    world.provider.instances = (replace(world.provider.instances[0], **over),)


@pytest.mark.parametrize("is_seen", [pytest.param(True, id="seen"), pytest.param(False, id="not seen yet")])
async def test_somebody_elses_pods_keep_a_node_of_a_deleted_environment(is_seen: bool) -> None:
    world = World()
    world.store.tenants.put("pod", "")
    deserted(world)
    if is_seen:
        world.store.tenants.put_other("o", Occupant("o", "n1", {}))
    theirs = {"metadata": {"uid": "o"}, "spec": {"nodeName": "n1"}}
    world.api.pods = [theirs]
    for seconds in (0, 40, 80):
        await world.round(NOW + seconds)
    assert world.provider.terminated == []
    assert [(subject.name, notice.reason) for subject, notice in world.events.posted] == [("n1", "KeptForOthers")] * 2
    world.store.tenants.put_other("o", None)
    world.api.pods = [{"metadata": {"uid": "d", "ownerReferences": [{"kind": "DaemonSet", "controller": True}]}}]
    await world.round(NOW + 120)
    assert world.provider.terminated == ["i-1"]


async def test_a_stopped_instance_of_a_deleted_environment_ends() -> None:
    world = World()
    deserted(world, state="terminated", is_stopped=True)
    for seconds in (0, 40):
        await world.round(NOW + seconds)
    assert world.provider.terminated == ["i-1"]


async def test_a_round_ends_when_all_of_it_has() -> None:
    """What one environment meets with stops no other; and nothing of a round goes on in the next."""
    world = World()
    other = replace(world.known, uid="uid-other", name="other")
    world.store.environments["", "other"] = other
    ended = []

    async def slow(*_: object) -> None:
        await asyncio.sleep(0.01)
        ended.append("other")

    async def broken(*_: object) -> None:
        raise ApiUnavailable("no answer")

    for known, act in ((world.known, broken), (other, slow)):
        world.capacity._environment(known).round = act  # type: ignore[method-assign]
    with pytest.raises(ApiUnavailable):
        await world.round()
    assert ended == ["other"]
