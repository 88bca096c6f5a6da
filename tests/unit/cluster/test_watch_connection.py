"""What a watch does to its connection is over with it: the next request goes over the same one."""

from __future__ import annotations

import asyncio
import ssl

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from batchwright.cluster.client import ApiClient
from batchwright.cluster.connection import Connection
from batchwright.cluster.resources import PODS
from unit.cluster.fakeapiserver import event


class NoToken:
    """Credentials of a client that needs none."""

    async def get_api_key_with_prefix(self, _: str) -> None:
        """No token."""


async def answer(request: web.Request) -> web.StreamResponse:
    if "watch" not in request.query:
        return web.json_response({"metadata": {"resourceVersion": "9"}, "items": []})
    flood = int(request.query["labelSelector"].removeprefix("events="))
    response = web.StreamResponse()
    response.enable_chunked_encoding()
    await response.prepare(request)
    await response.write(event("ADDED", "first", 1))
    # The client gathers by now. A flood that fills its buffer comes, and the server ends the watch of a slow client.
    await asyncio.sleep(0.1)
    await response.write(b"".join(event("MODIFIED", f"p{number}", number) for number in range(flood)))
    await response.write_eof()
    return response


@pytest.mark.parametrize("events", [1, 1200, 20_000])
async def test_a_request_after_a_watch_that_ended_in_a_flood_is_answered_at_once(events: int) -> None:
    app = web.Application()
    app.router.add_get("/api/v1/pods", answer)
    async with TestServer(app) as server:
        url = str(server.make_url("")).rstrip("/")
        async with ApiClient(Connection(url, ssl.create_default_context(), "default", NoToken()), connections=1) as api:
            watch = api.watch(PODS, "0", labels=f"events={events}", gather_seconds=0.3)
            seen = [each["object"]["metadata"]["name"] async for each in watch]
            assert len(seen) == events + 1
            async with asyncio.timeout(5):
                assert await api.list_all(PODS) == []
