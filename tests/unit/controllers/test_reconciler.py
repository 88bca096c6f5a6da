"""The work queue: every touch leads to a look, failures to another one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

import waiting
from batchwright.controllers import reconciler
from batchwright.controllers.reconciler import Key, Reconciler
from batchwright.errors import ApiUnavailable

A, B = ("default", "a"), ("default", "b")


class Looks:
    """Records what was reconciled; fails for as often as it is told, and may be held."""

    def __init__(self) -> None:
        self.keys: list[Key] = []
        self.failures = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, key: Key) -> None:
        self.keys.append(key)
        await self.gate.wait()
        if self.failures:
            self.failures -= 1
            raise ApiUnavailable("down")


@asynccontextmanager
async def working(looks: Looks) -> AsyncIterator[Reconciler]:
    worker = Reconciler("JobQueue", looks)
    task = asyncio.create_task(worker.run())
    try:
        yield worker
        assert not task.done(), task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_touch_leads_to_one_look() -> None:
    looks = Looks()
    async with working(looks) as worker:
        for key in (A, A, B, A):
            worker.touch(key)
        await waiting.until(lambda: len(looks.keys) == 2)
        assert looks.keys == [A, B]


async def test_a_touch_during_a_look_leads_to_another() -> None:
    looks = Looks()
    looks.gate.clear()
    async with working(looks) as worker:
        worker.touch(A)
        await waiting.until(lambda: looks.keys == [A])
        worker.touch(A)
        looks.gate.set()
        await waiting.until(lambda: looks.keys == [A, A])


async def test_a_failure_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciler, "RETRY_SECONDS", 0.02)
    looks = Looks()
    looks.failures = 2
    async with working(looks) as worker:
        worker.touch(A)
        await waiting.until(lambda: looks.keys == [A, A, A])
