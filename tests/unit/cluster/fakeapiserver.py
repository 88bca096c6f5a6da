"""A small API server on loopback, for one collection: lists by page, and watches that a test feeds and cuts.

`watches` are the answers to the watches in order: a list of steps, and how it ends.
Objects are plain JSON; `Status` errors are sent as the API server sends them.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from batchwright.cluster.client import ApiClient
from batchwright.cluster.connection import Connection

JSON = dict[str, Any]
PATH = "/api/v1/nodes"


def item(uid: str, version: int = 1, **labels: str) -> JSON:
    """An object of the collection."""
    return {"metadata": {"name": uid, "uid": uid, "resourceVersion": str(version), "labels": labels}}


def event(kind: str, uid: str, version: int, **labels: str) -> bytes:
    """One line of a watch, written as the API server does: without blanks, the uid before the resourceVersion."""
    body = {"type": kind, "object": item(uid, version, **labels)}
    return json.dumps(body, separators=(",", ":")).encode() + b"\n"


def bookmark(version: int) -> bytes:
    """A bookmark."""
    return json.dumps({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(version)}}}).encode() + b"\n"


def expired() -> bytes:
    """The ERROR event of a resourceVersion that is too old."""
    gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
    return json.dumps({"type": "ERROR", "object": gone}).encode() + b"\n"


@dataclass
class Script:
    """One watch: the lines to send, and how it ends: "end", "cut" (without the last chunk), or "hang"."""

    lines: Sequence[bytes] = ()
    ending: str = "hang"
    status: int = 200
    chunked: bool = True


@dataclass
class FakeApiServer:
    """Its state, to be changed by the test while it serves."""

    lists: list[list[list[JSON]] | int] = field(default_factory=list)  # pages per list, or an HTTP status
    watches: list[Script] = field(default_factory=list)
    version: int = 10
    asked: list[dict[str, str]] = field(default_factory=list)
    _pages: list[list[JSON]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """A list or a watch."""
        query = dict(request.query)
        self.asked.append(query)
        return await self._watch(request) if query.get("watch") else self._list(query)

    @property
    def watched_from(self) -> list[str]:
        """The resourceVersions of the watches so far."""
        return [query["resourceVersion"] for query in self.asked if query.get("watch")]

    def _list(self, query: dict[str, str]) -> web.Response:
        if "continue" not in query:
            # The last list given answers all that follow.
            answer = self.lists.pop(0) if len(self.lists) > 1 else self.lists[0]
            if isinstance(answer, int):
                return _refusal(answer)
            self._pages = answer
        position = int(query.get("continue", "0"))
        page = self._pages[position]
        if page and "error" in page[0]:
            return _refusal(page[0]["error"])
        metadata = {"resourceVersion": str(self.version)}
        if position + 1 < len(self._pages):
            metadata["continue"] = str(position + 1)
        return web.json_response({"metadata": metadata, "items": page})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        script = self.watches.pop(0) if self.watches else Script()
        if script.status != 200:
            return _refusal(script.status)
        response = web.StreamResponse()
        if script.chunked:
            response.enable_chunked_encoding()
        else:
            response.force_close()
        await response.prepare(request)
        for line in script.lines:
            await response.write(line)
        if script.ending == "hang":
            await asyncio.Event().wait()
        if script.ending == "cut":
            assert request.transport is not None
            request.transport.close()
        return response


def _refusal(status: int) -> web.Response:
    return web.json_response({"kind": "Status", "code": status, "message": f"refused with {status}"}, status=status)


class _NoCredentials:
    async def get_api_key_with_prefix(self, _: str) -> None:
        return None


@asynccontextmanager
async def serving(server: FakeApiServer) -> AsyncIterator[ApiClient]:
    """A client of the server, which listens on loopback while the context lasts."""
    application = web.Application()
    application.router.add_get(PATH, server.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    connection = Connection(f"http://{host}:{port}", ssl.create_default_context(), "default", _NoCredentials())
    try:
        async with ApiClient(connection) as api:
            yield api
    finally:
        await runner.cleanup()
