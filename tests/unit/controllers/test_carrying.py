"""Carrying out what was decided, as the engine does it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import builders as b
from batchwright.controllers.engine import Engine
from batchwright.controllers.store import Store
from batchwright.domain.observations import Pod
from batchwright.settings import Settings
from unit.controllers.test_gather import World

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
