"""The harness as the Job controller: Jobs run for their time, stop when suspended, and start anew."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from batchwright import names
from batchwright.bench.execution import Execution
from batchwright.cluster.client import ApiClient
from batchwright.errors import Invalid, NotFound

JSON = dict[str, Any]


class Server:
    """An API server with one watch, which takes statuses."""

    def __init__(self) -> None:
        self.statuses: asyncio.Queue[tuple[str, JSON]] = asyncio.Queue()
        self.events: asyncio.Queue[JSON] = asyncio.Queue()
        self.refusal: Exception | None = None

    async def pages(self, *_: object, **__: object) -> AsyncIterator[JSON]:
        """An empty list."""
        yield {"metadata": {"resourceVersion": "1"}, "items": []}

    async def watch(self, *_: object, **__: object) -> AsyncIterator[JSON]:
        """What tests put there."""
        while True:
            yield await self.events.get()

    async def send(self, method: str, path: str, *, body: JSON, content_type: str) -> bytes:
        """A status."""
        if self.refusal is not None:
            raise self.refusal
        await self.statuses.put((path.split("/")[-2], body["status"]))
        return b""

    def show(
        self, name: str, seconds: float, *, suspend: bool = False, kind: str = "MODIFIED", done: bool = False
    ) -> None:
        """A Job as it is now."""
        template = {"metadata": {"annotations": {names.SIMULATE_SECONDS: f"{seconds:g}"}}}
        conditions = [{"type": "Complete", "status": "True"}] if done else []
        item = {
            "metadata": {"uid": name, "name": name, "namespace": "default", "resourceVersion": "2"},
            "spec": {"suspend": suspend, "template": template},
            "status": {"conditions": conditions},
        }
        self.events.put_nowait({"type": "MODIFIED", "object": item})

    async def next(self) -> tuple[str, JSON]:
        """The next status that is written."""
        return await asyncio.wait_for(self.statuses.get(), 5)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    running = asyncio.create_task(Execution(cast(ApiClient, made)).run())
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def types(status: JSON) -> list[str]:
    """The conditions that are true."""
    return [each["type"] for each in status["conditions"] if each["status"] == "True"]


async def test_a_job_runs_for_its_time(server: Server) -> None:
    loop = asyncio.get_running_loop()
    server.show("a", 0.2)
    name, running = await server.next()
    began = loop.time()
    assert (name, running["active"], types(running)) == ("a", 1, [])
    server.show("a", 0.2)  # Its own status comes back, and changes nothing.
    name, complete = await server.next()
    assert loop.time() - began >= 0.19
    assert (name, complete["active"], types(complete)) == ("a", 0, ["SuccessCriteriaMet", "Complete"])
    server.show("a", 0.2, done=True)
    server.show("b", 0)
    assert [(await server.next())[0] for _ in range(2)] == ["b", "b"]


async def test_a_suspended_job_stops_and_starts_anew(server: Server) -> None:
    server.show("a", 3600)
    _, first = await server.next()
    server.show("a", 3600, suspend=True)
    _, suspended = await server.next()
    assert (suspended["active"], types(suspended)) == (0, ["Suspended"])
    server.show("a", 0)
    _, second = await server.next()
    # The API server refuses another startTime.
    assert (second["active"], second["startTime"]) == (1, first["startTime"])
    assert types((await server.next())[1]) == ["SuccessCriteriaMet", "Complete"]


async def test_a_job_that_is_made_suspended_waits(server: Server) -> None:
    server.show("a", 0, suspend=True)
    server.show("b", 3600)
    assert (await server.next())[0] == "b"


@pytest.mark.parametrize(
    ("refusal", "ends"),
    [pytest.param(NotFound("gone"), False, id="deleted"), pytest.param(Invalid("wrong"), True, id="refused")],
)
async def test_refusals(refusal: Exception, ends: bool) -> None:
    server = Server()
    server.refusal = refusal
    running = asyncio.create_task(Execution(cast(ApiClient, server)).run())
    server.show("a", 0)
    done, _ = await asyncio.wait({running}, timeout=5 if ends else 0.3)
    assert bool(done) is ends
    if ends:
        assert running.exception() is refusal
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
