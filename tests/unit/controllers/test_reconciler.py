"""The work queue: every touch leads to a look, failures to another one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

import waiting
from batchwright import metrics
from batchwright.controllers import reconciler
from batchwright.controllers.reconciler import Key, Reconciler
from batchwright.errors import ApiUnavailable

A, B = ("default", "a"), ("default", "b")


class Looks:
    """Records what was reconciled; fails for as often as it is told, and may be held."""

    def __init__(self) -> None:
        self.keys: list[Key] = []
        self.failures = 0
        self.error: Exception = ApiUnavailable("down")
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, key: Key) -> None:
        self.keys.append(key)
        await self.gate.wait()
        if self.failures:
            self.failures -= 1
            raise self.error


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


def failed() -> float:
    return metrics.RECONCILE_ERRORS.labels("JobQueue")._value.get()


@pytest.mark.parametrize(
    ("error", "counted"),
    [
        pytest.param(ApiUnavailable("down"), 0, id="the API server was away"),
        pytest.param(ZeroDivisionError(), 2, id="a defect: counted"),
    ],
)
async def test_whatever_failed_is_looked_at_again(
    error: Exception, counted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciler, "RETRY_SECONDS", 0.02)
    looks, before = Looks(), failed()
    looks.failures, looks.error = 2, error
    async with working(looks) as worker:
        worker.touch(A)
        await waiting.until(lambda: looks.keys == [A, A, A])
    assert failed() - before == counted


@pytest.mark.parametrize(("failures", "seconds"), [(1, 2), (2, 4), (5, 32), (30, 300)])
def test_a_defect_is_met_again_less_and_less_often(failures: int, seconds: float) -> None:
    assert reconciler.back_off(failures) == seconds


async def test_after_a_success_it_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciler, "RETRY_SECONDS", 0.001)
    looks = Looks()
    looks.failures, looks.error = 3, ZeroDivisionError()
    async with working(looks) as worker:
        worker.touch(A)
        await waiting.until(lambda: len(looks.keys) == 4)
        assert worker._failures == {}
