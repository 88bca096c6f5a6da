"""The informer against a server on loopback that does all an API server may do to a client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import pytest

import waiting
from batchwright.cluster.client import ApiClient
from batchwright.cluster.informer import Informer
from batchwright.cluster.resources import NODES
from batchwright.errors import QuantityError
from unit.cluster import fakeapiserver as fake
from unit.cluster.fakeapiserver import FakeApiServer, Script, bookmark, event, expired, item

Labels = dict[str, str]


class Sink:
    """What the informer told: the objects by uid, and every call in order."""

    def __init__(self) -> None:
        self.held: dict[str, Labels] = {}
        self.calls: list[tuple[str, Labels | None]] = []

    def __call__(self, uid: str, record: Labels | None) -> None:
        self.calls.append((uid, record))
        if record is None:
            self.held.pop(uid, None)
        else:
            self.held[uid] = record


def labels_of(body: dict[str, Any]) -> Labels:
    found: Labels = body["metadata"]["labels"]
    if "broken" in found:
        raise QuantityError("cpu: 'x' is not a quantity")
    return found


@asynccontextmanager
async def informing(
    server: FakeApiServer,
    prepare: Callable[[ApiClient], None] = lambda _: None,
    is_settled: Callable[[Labels], bool] | None = None,
    says_nothing: Callable[[bytes], bool] | None = None,
) -> AsyncIterator[tuple[Sink, Informer[Labels]]]:
    sink = Sink()
    async with fake.serving(server) as api:
        prepare(api)
        informer = Informer(api, NODES, labels_of, sink, is_settled=is_settled, says_nothing=says_nothing)
        task = asyncio.create_task(informer.run())
        try:
            yield sink, informer
            assert not task.done(), task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_lists_every_page() -> None:
    server = FakeApiServer(lists=[[[item("a"), item("b")], [item("c")], []]])
    async with informing(server) as (sink, informer):
        await asyncio.wait_for(informer.synced.wait(), 10)
        assert set(sink.held) == {"a", "b", "c"}
        await waiting.until(lambda: server.watched_from == ["10"])


async def test_follows_the_watch() -> None:
    lines = [event("ADDED", "b", 11), event("MODIFIED", "a", 12, x="1"), event("DELETED", "b", 13)]
    server = FakeApiServer(lists=[[[item("a")]]], watches=[Script(lines)])
    async with informing(server) as (sink, _):
        await waiting.until(lambda: len(sink.calls) == 4)
        assert sink.calls == [("a", {}), ("b", {}), ("a", {"x": "1"}), ("b", None)]


async def test_what_changes_about_a_settled_object_is_passed_by_and_its_end_is_told() -> None:
    lines = [
        event("MODIFIED", "a", 11, done="1"),
        event("MODIFIED", "a", 12, done="1", finalizer="gone"),
        event("MODIFIED", "b", 13, x="1"),
        event("MODIFIED", "listed", 14, x="1"),
        event("DELETED", "a", 15, done="1"),
        event("ADDED", "a", 16),
        event("MODIFIED", "a", 17, x="2"),
    ]
    server = FakeApiServer(lists=[[[item("a"), item("b"), item("listed", done="1")]]], watches=[Script(lines)])
    async with informing(server, is_settled=lambda labels: "done" in labels) as (sink, _):
        await waiting.until(lambda: sink.held.get("a") == {"x": "2"})
        assert sink.calls[3:] == [("a", {"done": "1"}), ("b", {"x": "1"}), ("a", None), ("a", {}), ("a", {"x": "2"})]


async def test_a_change_that_says_nothing_is_passed_by() -> None:
    lines = [
        event("ADDED", "a", 11, quiet="1"),
        event("MODIFIED", "a", 12, quiet="2"),
        event("MODIFIED", "a", 13, x="1"),
        event("DELETED", "a", 14, quiet="3"),
    ]
    server = FakeApiServer(lists=[[[]]], watches=[Script(lines)])
    async with informing(server, says_nothing=lambda line: b"quiet" in line) as (sink, _):
        await waiting.until(lambda: len(sink.calls) == 3)
        assert sink.calls == [("a", {"quiet": "1"}), ("a", {"x": "1"}), ("a", None)]


async def test_goes_on_from_the_last_bookmark() -> None:
    scripts = [Script([event("ADDED", "b", 11), bookmark(40)], "end"), Script([event("ADDED", "c", 41)])]
    server = FakeApiServer(lists=[[[item("a")]]], watches=scripts)
    async with informing(server) as (sink, _):
        await waiting.until(lambda: set(sink.held) == {"a", "b", "c"})
        assert server.watched_from == ["10", "40"]


@pytest.mark.parametrize("passed_by", ["settled", "says nothing"])
async def test_goes_on_behind_what_was_passed_by_which_counts_as_heard(passed_by: str) -> None:
    scripts = [Script([event("MODIFIED", "a", 40, done="1")], "end"), Script([event("ADDED", "c", 41)])]
    server = FakeApiServer(lists=[[[item("a", done="1")]]], watches=scripts)
    passes: dict[str, Any] = {
        "settled": {"is_settled": lambda labels: "done" in labels},
        "says nothing": {"says_nothing": lambda line: b"done" in line},
    }[passed_by]
    async with informing(server, **passes) as (sink, informer):
        await asyncio.wait_for(informer.synced.wait(), 10)
        before = informer.heard_at
        await waiting.until(lambda: set(sink.held) == {"a", "c"})
        assert server.watched_from == ["10", "40"]
        assert informer.heard_at > before


async def test_lists_again_when_the_version_is_too_old_and_tells_of_what_has_gone() -> None:
    server = FakeApiServer(
        lists=[[[item("a"), item("b")]], [[item("b"), item("c")]]],
        watches=[Script([event("ADDED", "d", 11), expired()]), Script()],
    )
    async with informing(server) as (sink, _):
        await waiting.until(lambda: set(sink.held) == {"b", "c"})
        assert ("a", None) in sink.calls
        assert ("d", None) in sink.calls


async def test_lists_again_when_the_watch_is_refused_with_410() -> None:
    server = FakeApiServer(lists=[[[item("a")]], [[item("b")]]], watches=[Script(status=410), Script()])
    async with informing(server) as (sink, _):
        await waiting.until(lambda: set(sink.held) == {"b"})


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(Script([event("ADDED", "b", 11)], "cut"), id="cut between events"),
        pytest.param(Script([event("ADDED", "b", 11), event("ADDED", "x", 12)[:20]], "cut"), id="cut within a line"),
        pytest.param(
            Script([event("ADDED", "b", 11), event("ADDED", "x", 12)[:20]], "end", chunked=False),
            id="ended within a line",
        ),
        pytest.param(Script([event("ADDED", "b", 11)], "end"), id="ended in order"),
    ],
)
async def test_resumes_after_a_broken_connection(broken: Script) -> None:
    server = FakeApiServer(lists=[[[item("a")]]], watches=[broken, Script([event("ADDED", "c", 12)])])
    async with informing(server) as (sink, _):
        await waiting.until(lambda: set(sink.held) == {"a", "b", "c"})
        assert server.watched_from == ["10", "11"]


async def test_a_server_in_trouble_does_not_end_it() -> None:
    server = FakeApiServer(
        lists=[403, 404, [[item("a")]]],
        watches=[Script(status=503), Script(status=429), Script([event("ADDED", "b", 11)])],
    )
    async with informing(server) as (sink, _):
        await waiting.until(lambda: set(sink.held) == {"a", "b"}, 20)


async def test_objects_of_any_length() -> None:
    server = FakeApiServer(
        lists=[[[item("a")]]],
        watches=[Script([event("ADDED", "b", 11, x="y" * 400_000), event("ADDED", "c", 12, x="z" * 150_000)])],
    )
    async with informing(server) as (sink, _):
        await waiting.until(lambda: set(sink.held) == {"a", "b", "c"})
        assert len(sink.held["b"]["x"]) == 400_000


async def test_silence_is_an_error() -> None:
    def impatient(api: ApiClient) -> None:
        api.watch = partial(api.watch, idle_seconds=0.3)  # type: ignore[method-assign]

    server = FakeApiServer(lists=[[[item("a")]]], watches=[Script(), Script([event("ADDED", "b", 11)])])
    async with informing(server, impatient) as (sink, _):
        await waiting.until(lambda: set(sink.held) == {"a", "b"})
        assert len(server.watched_from) == 2


async def test_an_object_that_cannot_be_read_stops_nobody() -> None:
    lines = [event("ADDED", "x", 11, broken="1"), event("ADDED", "b", 12)]
    server = FakeApiServer(lists=[[[item("a"), item("y", broken="1")]]], watches=[Script(lines)])
    async with informing(server) as (sink, _):
        await waiting.until(lambda: set(sink.held) == {"a", "b"})


async def test_a_list_that_breaks_off_shows_nothing() -> None:
    """The first list breaks off at its second page; `a` is deleted before the second list."""
    server = FakeApiServer(lists=[[[item("a")], [{"error": 410}]], [[item("b")], [item("c")]]])
    async with informing(server) as (sink, informer):
        await asyncio.wait_for(informer.synced.wait(), 10)
        assert sink.calls == [("b", {}), ("c", {})]


async def test_a_list_that_breaks_off_takes_nothing_back() -> None:
    """The second list breaks off at its second page, after one that was whole: what is held stays until the third."""
    server = FakeApiServer(
        lists=[[[item("a"), item("b")]], [[item("c")], [{"error": 410}]], [[item("b", 2)]]],
        watches=[Script([expired()]), Script()],
    )
    async with informing(server) as (sink, _):
        await waiting.until(lambda: set(sink.held) == {"b"})
        assert sink.calls == [("a", {}), ("b", {}), ("b", {}), ("a", None)]


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(Script((), "end"), id="ends every watch at once"),
        pytest.param(Script((expired(),), "end"), id="finds every version too old"),
    ],
)
async def test_a_server_that_serves_nothing_is_not_flooded(script: Script) -> None:
    server = FakeApiServer(lists=[[[item("a")]]], watches=[script] * 1000)
    async with informing(server):
        await waiting.until(lambda: len(server.watched_from) >= 3)
        # 0.2 s, 0.4 s, ... between them: without a pause these would be thousands.
        before = len(server.asked)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + 0.5
        await waiting.until(lambda: loop.time() > deadline)
        assert len(server.asked) - before <= 6


async def test_heard_at_moves_with_bookmarks() -> None:
    server = FakeApiServer(lists=[[[]]], watches=[Script([bookmark(11)])])
    async with informing(server) as (_, informer):
        await asyncio.wait_for(informer.synced.wait(), 10)
        before = informer.heard_at
        await waiting.until(lambda: informer.heard_at > before)
