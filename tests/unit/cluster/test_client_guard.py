"""The client sends no write that its process may not make (cluster.lease)."""

from __future__ import annotations

import ssl
from contextlib import nullcontext
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from batchwright.cluster.client import ApiClient
from batchwright.cluster.connection import Connection
from batchwright.cluster.resources import JOBS, PODS
from batchwright.errors import ApiError, ApiUnavailable, NotLeading


class Sent(ApiClient):
    """Counts what would have been sent, and fails each time; `allowed` writes may be sent."""

    def __init__(self, allowed: int) -> None:
        super().__init__(Connection("http://127.0.0.1:1", ssl.create_default_context(), "default", None))
        self.sent: list[str] = []
        self.may_write = lambda: len(self.sent) < allowed

    async def open(self, method: str, path: str, **_: Any) -> Any:
        self.sent.append(method)
        raise ApiUnavailable("no route", 503)


@pytest.mark.parametrize("allowed", [pytest.param(0, id="none"), pytest.param(1, id="not again")])
async def test_a_write_is_not_sent_without_leave(allowed: int) -> None:
    api = Sent(allowed)
    with pytest.raises(NotLeading, match="does not lead"):
        await api.create(JOBS, "default", {})
    with pytest.raises(NotLeading):
        await api.patch(JOBS, "default", "j", {})
    with pytest.raises(NotLeading):
        await api.delete(JOBS, "default", "j")
    assert api.sent == ["POST"] * allowed


async def test_reads_need_no_leave() -> None:
    api = Sent(0)
    with pytest.raises(ApiUnavailable):
        await api.request("GET", "/api/v1/pods", attempts=1)
    assert api.sent == ["GET"]


async def test_each_try_of_a_write_is_told_with_its_error_and_no_read_is() -> None:
    api, told = Sent(2), []
    api.hear_write = lambda *said: told.append(said)
    with pytest.raises(NotLeading):
        await api.patch(JOBS, "default", "j", {}, subresource="status")
    with pytest.raises(ApiUnavailable):
        await api.request("GET", "/api/v1/pods", attempts=1)
    # A third try was not made.
    assert told == [("PATCH", "jobs/status", 503)] * 2


@pytest.mark.parametrize(("status", "failed"), [(201, None), (403, 403), (409, 409)], ids=["taken", "refused", "there"])
async def test_what_a_server_answers_is_told(status: int, failed: int | None) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"kind": "Status", "code": status, "reason": "Why", "metadata": {}}, status=status)

    app, told = web.Application(), []
    app.router.add_post("/apis/batch/v1/namespaces/default/jobs", answer)
    async with TestServer(app) as server:
        connection = Connection(
            str(server.make_url("")).rstrip("/"), ssl.create_default_context(), "default", NoToken()
        )
        async with ApiClient(connection) as api:
            api.hear_write = lambda *said: told.append(said)
            with nullcontext() if failed is None else pytest.raises(ApiError):
                await api.create(JOBS, "default", {})
    assert told == [("POST", "jobs", failed)]


class NoToken:
    """Credentials of a client that needs none."""

    async def get_api_key_with_prefix(self, _: str) -> None:
        """No token."""


@pytest.mark.parametrize(
    ("asks", "want"),
    [
        pytest.param("delete", {"labelSelector": "a=b", "resourceVersion": "0"}, id="deleted by labels"),
        pytest.param("small", {"labelSelector": "a=b"}, id="a few of many"),
        pytest.param("many", {"labelSelector": "a=b", "limit": "500"}, id="many"),
    ],
)
async def test_what_is_selected_comes_from_the_watch_cache_where_it_is_little(asks: str, want: dict[str, str]) -> None:
    """With a limit, and for a deletion without a version, the API server reads and decodes all that etcd has there."""
    asked = list[dict[str, str]]()

    async def answer(request: web.Request) -> web.Response:
        asked.append(dict(request.query))
        return web.json_response({"metadata": {}, "items": []})

    app = web.Application()
    app.router.add_route("*", "/api/v1/namespaces/default/pods", answer)
    async with TestServer(app) as server:
        connection = Connection(
            str(server.make_url("")).rstrip("/"), ssl.create_default_context(), "default", NoToken()
        )
        async with ApiClient(connection) as api:
            if asks == "delete":
                await api.delete_all(PODS, "default", labels="a=b")
            else:
                assert [page async for page in api.pages(PODS, "default", labels="a=b", is_small=asks == "small")]
    assert asked == [want]
