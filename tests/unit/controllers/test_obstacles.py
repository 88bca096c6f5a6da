"""One list of events answers every Job without a pod that has asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

import waiting
from batchwright.cluster.resources import EVENTS, Resource
from batchwright.controllers import obstacles
from batchwright.controllers.obstacles import Obstacles, latest_words
from batchwright.errors import ApiUnavailable


def event(uid: str, message: str, at: str = "2026-01-01T00:00:00Z") -> dict[str, Any]:
    return {"involvedObject": {"uid": uid}, "message": message, "lastTimestamp": at}


class FakeApi:
    def __init__(self, *events: dict[str, Any]) -> None:
        self.events, self.lists, self.failures = list(events), 0, 0

    async def list_all(self, resource: Resource, *, fields: str) -> list[dict[str, Any]]:
        assert resource is EVENTS
        assert "reason=FailedCreate" in fields
        self.lists += 1
        if self.failures:
            self.failures -= 1
            raise ApiUnavailable("down")
        return self.events


@asynccontextmanager
async def asking(api: FakeApi) -> AsyncIterator[tuple[Obstacles, dict[str, str]]]:
    told: dict[str, str] = {}
    made = Obstacles(api, told.__setitem__)  # type: ignore[arg-type]
    task = asyncio.create_task(made.run())
    try:
        yield made, told
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_one_list_answers_all_who_asked() -> None:
    api = FakeApi(event("work-1", "exceeded quota"), event("work-9", "not asked for"))
    async with asking(api) as (found, told):
        for number in range(1, 4):
            found.ask(f"job-{number}", f"work-{number}")
        await waiting.until(lambda: len(told) == 3)
    assert told == {"job-1": "Kubernetes makes no pod: exceeded quota", "job-2": "", "job-3": ""}
    assert api.lists == 1


async def test_the_next_list_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    api = FakeApi()
    async with asking(api) as (found, told):
        found.ask("job-1", "work-1")
        await waiting.until(lambda: "job-1" in told)
        found.ask("job-2", "work-2")
        await asyncio.sleep(0.05)
        assert (api.lists, "job-2" in told) == (1, False)
    monkeypatch.setattr(obstacles, "PAUSE_SECONDS", 0.01)
    async with asking(api) as (found, told):
        for number in range(3):
            found.ask(f"job-{number}", f"work-{number}")
            await waiting.until(lambda number=number: f"job-{number}" in told)  # type: ignore[misc]


async def test_a_failed_list_is_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(obstacles, "PAUSE_SECONDS", 0.01)
    api = FakeApi(event("work-1", "denied"))
    api.failures = 1
    async with asking(api) as (found, told):
        found.ask("job-1", "work-1")
        await waiting.until(lambda: api.lists == 1)
        assert told == {}
        found.ask("job-1", "work-1")
        await waiting.until(lambda: told == {"job-1": "Kubernetes makes no pod: denied"})


def test_the_latest_words_win() -> None:
    old, new = event("w", "old", "2026-01-01T00:00:00Z"), event("w", "new", "2026-01-01T00:00:05Z")
    assert latest_words([new, old]) == latest_words([old, new]) == {"w": "Kubernetes makes no pod: new"}
    assert latest_words([]) == {}
