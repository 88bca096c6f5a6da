"""An API server in this process that does what a test tells it to: broken watches, forgotten versions, cut logs.

Every answer is scripted beforehand; a request that nothing was scripted for fails the test by way of a 500.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from batchwright.cli.session import Session
from batchwright.cluster.client import ApiClient
from batchwright.cluster.connection import Connection

JSON = dict[str, Any]
PLURALS = ("batchjobs", "jobqueues", "jobdefinitions", "computeenvironments", "pods", "configmaps")
REASONS = {404: "NotFound", 409: "Conflict", 422: "Invalid"}


@dataclass(frozen=True)
class Watch:
    """Events a watch sends, once the log of pod `after` was read; then it ends, breaks within a line, or hangs."""

    events: Sequence[JSON] = ()
    ending: str = "end"  # or "break", "hang"
    after: str | None = None


@dataclass(frozen=True)
class Log:
    """Lines a log request answers; `broken` cuts the connection after them."""

    lines: Sequence[str]
    broken: bool = False


@dataclass
class FakeApi:
    """Scripts by plural (lists, watches), by pod (logs), by `plural/name` (objects) and of writes; and what came.

    An object is answered again and again by the last of its script; a write by the script's next, or by what was sent.
    """

    lists: dict[str, deque[Sequence[JSON] | int]] = field(default_factory=lambda: defaultdict(deque))
    watches: dict[str, deque[Watch | int]] = field(default_factory=lambda: defaultdict(deque))
    logs: dict[str, deque[Log]] = field(default_factory=lambda: defaultdict(deque))
    objects: dict[str, deque[JSON | int]] = field(default_factory=lambda: defaultdict(deque))
    answers: deque[JSON | int] = field(default_factory=deque)
    writes: list[tuple[str, str, Any]] = field(default_factory=list)
    queries: list[dict[str, str]] = field(default_factory=list)
    read: dict[str, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answers one request by the script."""
        parts = request.path.strip("/").split("/")
        self.queries.append({"path": request.path, **request.query})
        if parts[-1] == "log":
            self.read[parts[-2]].set()
            return await self._log(request, self.logs[parts[-2]].popleft())
        if request.method != "GET":
            return await self._write(request)
        if parts[-2] in PLURALS:
            return self._object("/".join(parts[-2:]))
        plural = parts[-1]
        if request.query.get("watch"):
            scripted = self.watches[plural].popleft() if self.watches[plural] else Watch(ending="hang")
            return refusal(scripted) if isinstance(scripted, int) else await self._watch(request, scripted)
        listed = self.lists[plural].popleft()
        if isinstance(listed, int):
            return refusal(listed)
        return web.json_response({"metadata": {"resourceVersion": "100"}, "items": list(listed)})

    def _object(self, key: str) -> web.Response:
        script = self.objects[key]
        if not script:
            return refusal(404)
        found = script.popleft() if len(script) > 1 else script[0]
        return refusal(found) if isinstance(found, int) else web.json_response(found)

    async def _write(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.writes.append((request.method, request.path.rpartition("/")[2], body))
        answer = self.answers.popleft() if self.answers else body
        return refusal(answer) if isinstance(answer, int) else web.json_response(answer)

    async def _watch(self, request: web.Request, scripted: Watch) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        if scripted.after is not None:
            await self.read[scripted.after].wait()
        for event in scripted.events:
            await response.write(json.dumps(event).encode() + b"\n")
        if scripted.ending == "hang":
            await asyncio.Event().wait()
        if scripted.ending == "break":
            await response.write(b'{"type": "MODI')
            await _cut(request)
        return response

    async def _log(self, request: web.Request, log: Log) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for line in log.lines:
            await response.write(line.encode() + b"\n")
        if log.broken:
            await _cut(request)
        return response


def refusal(code: int) -> web.Response:
    """A Status object of an error."""
    body = {"kind": "Status", "code": code, "reason": REASONS.get(code, ""), "message": f"scripted {code}"}
    return web.json_response(body, status=code)


def event(kind: str, item: JSON, version: str = "101") -> JSON:
    """A watch event."""
    return {"type": kind, "object": item | {"metadata": item["metadata"] | {"resourceVersion": version}}}


async def _cut(request: web.Request) -> None:
    # What was written must be on its way before the connection is torn down.
    assert request.transport is not None
    await request.writer.drain()
    request.transport.close()


class _NoToken:
    async def get_api_key_with_prefix(self, _: str) -> None:
        return None


@asynccontextmanager
async def serve(fake: FakeApi) -> AsyncIterator[Session]:
    """A session of the command line with the fake."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", fake.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    connection = Connection(f"http://{host}:{port}", ssl.create_default_context(), "lab", _NoToken())
    try:
        async with ApiClient(connection) as api:
            yield Session(api, "lab")
    finally:
        await runner.cleanup()
