"""What is known of kopf's watches: when something was last heard of each of them, in seconds of a clock of ours."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from batchwright.cluster.connection import Connection
from batchwright.cluster.hearing import Hearing
from batchwright.cluster.resources import JOB_DEFINITIONS, JOB_QUEUES
from batchwright.handlers import make_session

QUEUES = JOB_QUEUES.path()


@dataclass
class Clock:
    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class Configuration:
    async def get_api_key_with_prefix(self, _: str) -> str | None:
        return None


@dataclass
class Watched:
    """An API server whose watch of the queues sends what is put into `lines`, None for its end."""

    lines: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)

    async def watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while line := await self.lines.get():
            await response.write(line)
        return response

    def app(self, prefix: str = "") -> web.Application:
        app = web.Application()
        app.router.add_get(prefix + QUEUES, self.watch)
        return app


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def hearing(clock: Clock) -> Hearing:
    return Hearing((JOB_QUEUES, JOB_DEFINITIONS), clock)


async def session_of(url: str, hearing: Hearing) -> aiohttp.ClientSession:
    connection = Connection(url, ssl.create_default_context(), "default", Configuration())
    return (await make_session(connection, hearing)).aiohttp_session


def test_nothing_is_known_before_anything_was_asked(hearing: Hearing) -> None:
    assert hearing.ages() == {}


def test_from_a_beginning_on_those_age_too_that_were_never_asked_for(hearing: Hearing, clock: Clock) -> None:
    hearing.hear(QUEUES)
    clock.seconds += 10
    hearing.begin()
    clock.seconds += 5
    assert hearing.ages() == {"jobqueues": 15, "jobdefinitions": 5}


@pytest.mark.parametrize(
    "path",
    ["/", "/api/v1/pods", f"{QUEUES}/one", QUEUES.replace("jobqueues", "batchjobs"), "/version"],
    ids=["root", "pods", "one object", "another kind", "version"],
)
def test_other_paths_are_of_no_interest(hearing: Hearing, path: str) -> None:
    hearing.hear(path)
    assert hearing.ages() == {}


@pytest.mark.parametrize("prefix", ["", "/k8s/clusters/c-1"], ids=["of its own", "behind a proxy"])
async def test_each_sign_of_a_watch_is_heard(hearing: Hearing, clock: Clock, prefix: str) -> None:
    watched = Watched()
    async with (
        TestServer(watched.app(prefix)) as server,
        await session_of(str(server.make_url(prefix)), hearing) as session,
        session.get(server.make_url(prefix + QUEUES), params={"watch": "true"}) as response,
    ):
        clock.seconds += 100
        assert hearing.ages() == {"jobqueues": 100}
        parts = response.content.iter_chunked(1000)
        # A bookmark, half a line that comes late, and its other half.
        for text in (b'{"type":"BOOKMARK"}\n{"n":', b"1}\n"):
            clock.seconds += 70
            await watched.lines.put(text)
            assert await anext(parts)
            assert hearing.ages() == {"jobqueues": 0}
        clock.seconds += 300
        assert hearing.ages() == {"jobqueues": 300}


async def test_a_question_without_an_answer_is_a_sign_of_life_of_the_watch(hearing: Hearing, clock: Clock) -> None:
    """As with our own watches: an API server that is away is no reason to restart the operator."""
    url = f"http://127.0.0.1:{unused_port()}"
    async with await session_of(url, hearing) as session:
        for _ in range(2):
            clock.seconds += 500
            with pytest.raises(aiohttp.ClientConnectionError):
                await session.get(url + QUEUES)
            assert hearing.ages() == {"jobqueues": 0}


async def test_a_new_session_goes_on_where_the_one_before_was(hearing: Hearing, clock: Clock) -> None:
    watched = Watched()
    async with TestServer(watched.app()) as server:
        for _ in range(2):
            clock.seconds += 500
            await watched.lines.put(None)
            async with await session_of(str(server.make_url("")), hearing) as session:
                await (await session.get(server.make_url(QUEUES))).read()
            assert hearing.ages() == {"jobqueues": 0}
