"""The client sends no write that its process may not make (cluster.lease)."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from batchwright.cluster.client import ApiClient
from batchwright.cluster.connection import Connection
from batchwright.cluster.resources import JOBS
from batchwright.errors import ApiUnavailable, NotLeading


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
