"""Preemption as the engine carries it out: more than once, and a wake that is not lost."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

import builders as b
from batchwright import names
from batchwright.controllers.engine import Engine
from batchwright.domain.actions import GiveBack
from batchwright.domain.observations import Mark
from batchwright.scheduling.snapshot import Preempt
from batchwright.settings import Settings
from unit.controllers.test_gather import World

PREEMPT = Preempt(b.UID, 1, "big", "Preempted for job big")


@pytest.fixture
def world() -> World:
    return World()


class Api:
    """Remembers its patches."""

    def __init__(self) -> None:
        self.patches: list[dict[str, Any]] = []

    async def patch(self, resource: object, namespace: str, name: str, body: dict[str, Any], **_: object) -> None:
        self.patches.append(body)

    @property
    def suspensions(self) -> list[bool]:
        return [each["spec"]["suspend"] for each in self.patches if "spec" in each]

    @property
    def counts(self) -> list[str]:
        return self._noted(names.ANNOTATION_PREEMPTIONS)

    @property
    def given_back(self) -> list[str]:
        return self._noted(names.ANNOTATION_GIVEN_BACK)

    @property
    def reasons(self) -> list[str]:
        return [
            condition["reason"] for each in self.patches for condition in each.get("status", {}).get("conditions", ())
        ]

    def _noted(self, key: str) -> list[str]:
        annotations = [each.get("metadata", {}).get("annotations", {}) for each in self.patches]
        return [each[key] for each in annotations if key in each]


class Events:
    async def post(self, *_: object) -> None: ...


async def test_a_job_is_preempted_as_often_as_need_be(world: World) -> None:
    api = Api()
    engine = Engine(api, world.store, Settings(), Events())  # type: ignore[arg-type]
    entry = world.submit()
    world.store.put_work("work-1", b.work())
    engine._pass(b.NOW)
    for number in range(2):
        world.store.put_pod(f"p{number}", b.running_pod(uid=f"p{number}", started=number))
        engine._pass(b.NOW)
        assert engine.scheduling.state.held[b.UID].count == 1
        engine._preempting.begin(entry, PREEMPT)
        await asyncio.sleep(0.01)
        assert api.suspensions == [True, False] * number + [True]
        world.store.put_work("work-1", b.work(suspended=True, preemptions=number + 1))
        world.store.put_pod(f"p{number}", None)
        # It waits, and since there is room it goes on at once.
        engine._pass(b.NOW)
        await asyncio.sleep(0.01)
        assert api.suspensions == [True, False] * (number + 1)
        world.store.put_work("work-1", b.work(preemptions=number + 1))
        engine._pass(b.NOW)
    assert entry.status.preemptions == 2
    assert api.counts == ["1", "2"]
    await asyncio.gather(*engine._tasks)


async def test_a_preemption_that_the_operator_before_began_is_counted(world: World) -> None:
    """It marked the pod, and died: neither its status nor the Kubernetes Job says anything of it."""
    api = Api()
    engine = Engine(api, world.store, Settings(), Events())  # type: ignore[arg-type]
    entry = world.submit()
    world.store.put_work("work-1", b.work(preemptions=1))
    marked = b.running_pod(mark=Mark(names.POD_CONDITION_PREEMPTED, "Preempted for job big"))
    world.store.put_pod("p", marked)
    engine._pass(b.NOW)
    await asyncio.sleep(0.01)
    assert (api.suspensions, api.counts) == ([True], ["2"])
    world.store.put_work("work-1", b.work(suspended=True, preemptions=2))
    world.store.put_pod("p", None)
    engine._pass(b.NOW)
    assert entry.status.preemptions == 2
    await asyncio.gather(*engine._tasks)


async def test_what_a_multi_node_job_gives_back_is_no_preemption(world: World) -> None:
    """It has lost a machine: neither its status says preempted, nor does its limit come nearer."""
    api = Api()
    engine = Engine(api, world.store, Settings(), Events())  # type: ignore[arg-type]
    entry = world.submit(preemptionConfiguration={"preemptionRetriesBeforeTermination": 1})
    world.store.put_work("work-1", b.work())
    world.store.put_pod("p", b.running_pod())
    engine._pass(b.NOW)
    engine._act(b.UID, entry, GiveBack(b.work(), "Node 1: its machine is gone"))
    await asyncio.sleep(0.01)
    assert (api.suspensions, api.counts, api.given_back, api.reasons) == ([True], [], ["1"], ["GaveBack"])
    world.store.put_work("work-1", b.work(suspended=True, given_back=1))
    world.store.put_pod("p", None)
    assert entry.not_before is not None
    engine._pass(entry.not_before)
    await asyncio.sleep(0.01)
    assert api.suspensions == [True, False]
    world.store.put_work("work-1", b.work(given_back=1))
    world.store.put_pod("p2", b.running_pod(uid="p2"))
    engine._pass(entry.not_before)
    assert entry.status.preemptions is None
    engine._preempting.begin(entry, PREEMPT)
    await asyncio.sleep(0.01)
    assert (entry.expired, api.counts, api.given_back) == (None, ["1"], ["1"])
    await asyncio.gather(*engine._tasks)


async def test_what_the_operator_before_began_to_give_back_is_no_preemption(world: World) -> None:
    api = Api()
    engine = Engine(api, world.store, Settings(), Events())  # type: ignore[arg-type]
    world.submit()
    world.store.put_work("work-1", b.work(given_back=1))
    marked = b.running_pod(mark=Mark(names.POD_CONDITION_PREEMPTED, "Node 1: its machine is gone", "GaveBack"))
    world.store.put_pod("p", marked)
    engine._pass(b.NOW)
    await asyncio.sleep(0.01)
    assert (api.suspensions, api.counts, api.given_back) == ([True], [], ["2"])
    await asyncio.gather(*engine._tasks)


async def test_how_often_is_too_often_is_counted_over_restarts(world: World) -> None:
    engine = Engine(Api(), world.store, Settings(), Events())  # type: ignore[arg-type]
    entry = world.submit(preemptionConfiguration={"preemptionRetriesBeforeTermination": 1})
    world.store.put_work("work-1", b.work(preemptions=1))
    world.store.put_pod("p", b.running_pod())
    engine._pass(b.NOW)
    engine._preempting.begin(entry, PREEMPT)
    assert entry.expired == "Preempted 2 times, and preemptionRetriesBeforeTermination is 1"
    await asyncio.gather(*engine._tasks)


async def test_what_may_not_start_before_a_time_looks_again_then(world: World) -> None:
    engine = Engine(Api(), world.store, Settings(), Events())  # type: ignore[arg-type]
    entry = world.submit()
    entry.not_before = b.at(10)
    entry.wake_at = b.at(5)
    engine._wakes.append((b.at(5), b.UID))
    engine._pass(b.at(6))
    assert entry.wake_at == b.at(10)
    assert engine._wakes[0] == (b.NOW + timedelta(seconds=10), b.UID)
