"""Carrying out what was decided, as the engine does it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import builders as b
from batchwright.api.v1alpha1 import JobDefinitionSpec
from batchwright.controllers.engine import Engine
from batchwright.controllers.gather import gang_view
from batchwright.controllers.nodepods import Nodes
from batchwright.controllers.store import Store
from batchwright.domain.actions import GiveBack
from batchwright.domain.observations import Pod
from batchwright.settings import Settings
from batchwright.workloads.nodes import node_layout
from unit.controllers.test_gather import World

THREE = JobDefinitionSpec.model_validate(
    {
        "type": "multinode",
        "nodeProperties": {
            "numNodes": 3,
            "mainNode": 0,
            "nodeRangeProperties": [
                {
                    "targetNodes": "0:",
                    "container": {
                        "image": "i",
                        "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "64"}],
                    },
                }
            ],
        },
    }
)
GATED = b.pod(uid="p", gated=True)


class Api:
    """Takes a patch; something may happen before it answers."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        self.patches = 0
        self._meanwhile = meanwhile

    async def patch(self, *_: object, **__: Any) -> None:
        self.patches += 1
        self._meanwhile()


class Events:
    async def post(self, *_: object) -> None: ...


# The nodes that run in a start before it goes back: also where the main node never had a pod.
ALL, SOME, NONE, UNREADY = "all", "some", "none", "unready"
GOING_BACK = [
    pytest.param([SOME] * 4, [10, 20, 40, 80], id="starts that fail: longer each time"),
    pytest.param([SOME] * 1040, [10, 20, 40, 80, 160, 320, *[600] * 1034], id="for weeks: ten minutes at most"),
    pytest.param([ALL] * 3, [10, 10, 10], id="what is lost later is no start that failed"),
    pytest.param([ALL, SOME, SOME], [10, 10, 20], id="nor does it count for the next"),
    pytest.param([SOME, SOME, ALL, SOME], [10, 20, 10, 10], id="a start that came together begins anew"),
    pytest.param([UNREADY] * 3, [10, 20, 40], id="nor one in which a node does not become ready"),
    pytest.param([ALL, NONE, NONE], [10, 10, 20], id="a main node without a pod is a start that failed"),
]


@pytest.mark.parametrize(("starts", "want"), GOING_BACK)
async def test_how_long_a_multi_node_job_waits_before_the_next_start(starts: list[str], want: list[int]) -> None:
    world = World()
    entry = world.submit()
    world.store.put_work("work-1", b.work())
    engine = Engine(Api(lambda: None), world.store, Settings(), Events())  # type: ignore[arg-type]
    engine._gangs._now = lambda: b.NOW
    layout = node_layout(THREE, b.spec())
    assert layout is not None
    waits = []
    for number, which in enumerate(starts):
        main = b.running_pod(number, uid=f"main-{number}")
        node = b.pod(uid=f"n-{number}", main=main.uid, index=1)
        entry.nodes = entry.nodes or Nodes()
        entry.pods, entry.preempting = {main.uid: main}, ""
        # One of the two has ended before the other runs, or never does.
        entry.nodes.pods = {f"{node.uid}-1": node, f"{node.uid}-2": b.ended_pod(index=2, main=main.uid)}
        if which == NONE:
            entry.pods, entry.nodes.pods = {}, {}
        gang_view(world.store, entry, layout, b.NOW)
        if which in (ALL, UNREADY):
            entry.nodes.pods[f"{node.uid}-1"] = replace(node, started_at=b.NOW, unready=which == UNREADY)
            gang_view(world.store, entry, layout, b.NOW)
            del entry.nodes.pods[f"{node.uid}-1"]
        gang_view(world.store, entry, layout, b.NOW)
        engine._act(b.UID, entry, GiveBack(b.work(), "a machine is gone"))
        assert entry.not_before is not None
        waits.append((entry.not_before - b.NOW).total_seconds())
    assert waits == want
    await asyncio.gather(*engine._tasks)


@pytest.mark.parametrize(
    ("seen", "want"),
    [
        pytest.param(None, replace(GATED, gated=False), id="the watch says nothing of it"),
        pytest.param(b.running_pod(uid="p"), b.running_pod(uid="p"), id="the watch was faster"),
    ],
)
async def test_a_pod_that_was_let_go_is_known_to_be(seen: Pod | None, want: Pod) -> None:
    world = World()
    store: Store = world.store
    api = Api(lambda: None if seen is None else store.put_pod("p", seen))
    engine = Engine(api, store, Settings(), Events())  # type: ignore[arg-type]
    entry = world.submit()
    store.put_work("work-1", b.work())
    store.put_pod("p", GATED)
    engine._pass(b.NOW)
    await asyncio.gather(*engine._tasks)
    assert api.patches == 1
    assert entry.pods["p"] == want
    engine._pass(b.NOW)
    await asyncio.gather(*engine._tasks)
    assert api.patches == 1
