"""The status writer against an API that records patches and may be held, slow or refusing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

import waiting
from batchwright.api.v1alpha1 import BatchJobStatus
from batchwright.cluster import writes
from batchwright.cluster.client import JSON_PATCH
from batchwright.cluster.resources import BATCH_JOBS, Resource
from batchwright.cluster.writes import StatusWrite, StatusWriter, Urgency, merge_patch
from batchwright.errors import ApiError, ApiUnavailable, Forbidden, Invalid, NotFound

JSON = dict[str, Any]
NOW = Urgency(0.0, 0)
LATER = Urgency(0.0, 3)


class FakeApi:
    """Records patches; `errors` are raised in order, one per patch; patches wait while `gate` is closed.

    The uid of an object is `uid-` and its name, unless `uids` says otherwise; a test of another uid is refused, as the
    API server does it.
    """

    def __init__(self) -> None:
        self.patches: list[tuple[str, JSON]] = []
        self.errors: list[ApiError] = []
        self.uids: dict[str, str | None] = {}
        self.statuses: dict[str, JSON] = {}
        self.lost: set[str] = set()
        self.tested: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.at_once: dict[str, int] = {}
        self.most_at_once = 0
        self.under_way = 0

    async def patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: list[JSON],
        *,
        subresource: str,
        content_type: str,
        answer: bool,
    ) -> JSON:
        assert not answer
        assert (resource, namespace, subresource, content_type) == (BATCH_JOBS, "default", "status", JSON_PATCH)
        mine, before, status = body
        assert (mine["op"], mine["path"]) == ("test", "/metadata/uid")
        assert before["op"] == "test"
        assert (status["op"], status["path"]) == ("add", "/status")
        self.at_once[name] = self.at_once.get(name, 0) + 1
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.at_once[name])
        try:
            await self.gate.wait()
            await asyncio.sleep(0)
            if self.errors:
                raise self.errors.pop(0)
            if mine["value"] != self._uid(name):
                raise Invalid("the server rejected our request due to an error in our request")
            present = self.statuses.get(name)
            held = {"/status": present, "/status/state": (present or {}).get("state")}[before["path"]]
            self.tested.append(name)
            if present is None and before["path"] == "/status/state":
                raise Invalid("the server rejected our request due to an error in our request")
            if held != before["value"]:
                raise Invalid("the server rejected our request due to an error in our request")
            self.patches.append((name, status["value"]))
            self.statuses[name] = status["value"]
            if name in self.lost:
                self.lost.remove(name)
                raise ApiUnavailable("the answer was lost")
            return {}
        finally:
            self.at_once[name] -= 1
            self.under_way -= 1

    async def get(self, resource: Resource, namespace: str | None, name: str) -> JSON:
        assert (resource, namespace) == (BATCH_JOBS, "default")
        status = {"status": self.statuses[name]} if name in self.statuses else {}
        return {"metadata": {"name": name, "uid": self._uid(name)}, **status}

    def _uid(self, name: str) -> str:
        uid = self.uids.get(name, f"uid-{name}")
        if uid is None:
            raise NotFound(f"{name} not found")
        return uid


class Board:
    """The statuses wanted and held, as the engine keeps them."""

    def __init__(self) -> None:
        self.wanted: dict[str, JSON] = {}
        self.held: dict[str, JSON] = {}
        self.heard: list[tuple[str, JSON | None]] = []

    def compose(self, key: str) -> StatusWrite | None:
        if key not in self.wanted:
            return None
        return StatusWrite(BATCH_JOBS, "default", key, f"uid-{key}", dict(self.wanted[key]), self.held.get(key, {}))

    def written(self, key: str, wire: JSON | None) -> None:
        self.heard.append((key, wire))
        if wire is not None:
            self.held[key] = wire


class Bench:
    """A writer with its API and board."""

    def __init__(self, workers: int) -> None:
        self.api, self.board = FakeApi(), Board()
        self.writer = StatusWriter(self.api, self.board.compose, self.board.written, workers=workers)  # type: ignore[arg-type]

    def want(self, key: str, state: str, urgency: Urgency = NOW) -> None:
        self.board.wanted[key] = {"state": state}
        self.writer.offer(key, state, urgency)

    async def idle(self) -> None:
        await waiting.until(lambda: self.writer.waiting == 0, what="an idle writer")

    @property
    def states(self) -> list[tuple[str, str]]:
        return [(name, patch["state"]) for name, patch in self.api.patches]


@asynccontextmanager
async def working(workers: int = 4) -> AsyncIterator[Bench]:
    bench = Bench(workers)
    task = asyncio.create_task(bench.writer.run())
    try:
        yield bench
        assert not task.done(), task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_writes_what_is_offered() -> None:
    async with working() as bench:
        bench.want("a", "RUNNABLE")
        await bench.idle()
        assert bench.states == [("a", "RUNNABLE")]
        assert bench.board.heard == [("a", {"state": "RUNNABLE"})]


async def test_a_state_that_is_overtaken_is_never_written() -> None:
    async with working() as bench:
        bench.want("a", "RUNNABLE", Urgency(0.2, 3))
        bench.want("a", "STARTING", Urgency(0.2, 2))
        bench.want("a", "RUNNING", Urgency(0.05, 1))
        await bench.idle()
        assert bench.states == [("a", "RUNNING")]


async def test_the_latest_text_of_a_state_is_written_in_its_first_turn() -> None:
    async with working() as bench:
        for number in range(5):
            bench.board.wanted["a"] = {"state": "RUNNABLE", "statusReason": str(number)}
            bench.writer.offer("a", "RUNNABLE", Urgency(0.05, 3))
        await bench.idle()
        assert bench.api.patches == [("a", {"state": "RUNNABLE", "statusReason": "4"})]


async def test_nothing_new_is_no_write() -> None:
    async with working() as bench:
        bench.board.held["a"] = {"state": "RUNNING"}
        bench.want("a", "RUNNING")
        await bench.idle()
        assert bench.api.patches == []


async def test_the_urgent_ones_come_first() -> None:
    async with working(workers=1) as bench:
        bench.api.gate.clear()
        bench.want("first", "RUNNABLE")
        await waiting.until(lambda: bench.api.under_way == 1)
        for key in ("x", "y", "z"):
            bench.want(key, "RUNNABLE", LATER)
        bench.want("done", "FAILED", NOW)
        bench.api.gate.set()
        await bench.idle()
        assert [name for name, _ in bench.api.patches] == ["first", "done", "x", "y", "z"]


async def test_a_waiting_write_becomes_urgent() -> None:
    async with working() as bench:
        bench.want("a", "RUNNABLE", Urgency(3600, 3))
        bench.want("a", "FAILED", NOW)
        await waiting.until(lambda: bench.states == [("a", "FAILED")])


async def test_one_write_of_a_key_at_a_time() -> None:
    async with working(workers=8) as bench:
        bench.api.gate.clear()
        bench.want("a", "STARTING")
        await waiting.until(lambda: bench.api.under_way == 1)
        bench.want("a", "RUNNING")
        bench.want("b", "RUNNING")
        await waiting.until(lambda: bench.api.under_way == 2)
        bench.api.gate.set()
        await bench.idle()
        assert bench.api.most_at_once == 1
        assert [state for name, state in bench.states if name == "a"] == ["STARTING", "RUNNING"]


async def test_tries_again_when_the_server_is_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writes, "RETRY_SECONDS", 0.02)
    async with working() as bench:
        bench.api.errors = [ApiUnavailable("down"), ApiUnavailable("down")]
        bench.want("a", "RUNNABLE")
        await waiting.until(lambda: len(bench.api.patches) == 1)
        await bench.idle()
        assert bench.states == [("a", "RUNNABLE")]


async def test_a_later_state_is_what_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writes, "RETRY_SECONDS", 0.02)
    async with working() as bench:
        bench.api.errors = [ApiUnavailable("down")]
        bench.api.gate.clear()
        bench.want("a", "RUNNABLE")
        await waiting.until(lambda: bench.api.under_way == 1)
        bench.want("a", "FAILED")
        bench.api.gate.set()
        await bench.idle()
        assert bench.states == [("a", "FAILED")]


async def test_an_object_that_is_gone_is_not_tried_again() -> None:
    async with working() as bench:
        bench.api.errors = [NotFound("gone")]
        bench.want("a", "RUNNABLE")
        await bench.idle()
        assert bench.api.patches == []
        assert bench.board.heard == [("a", None)]


async def test_a_status_is_replaced_whole() -> None:
    async with working() as bench:
        bench.board.held["a"] = {"state": "RUNNABLE", "statusReason": "waits for room"}
        bench.want("a", "STARTING")
        await bench.idle()
        assert bench.api.patches == [("a", {"state": "STARTING"})]


@pytest.mark.parametrize("now_of", ["uid-of-a-later-one", None], ids=["made again", "gone since"])
async def test_a_name_that_is_another_objects_now_is_left_alone(now_of: str | None) -> None:
    """Deleted and submitted again before the watch has shown either: the old status must not land on the new job."""
    async with working() as bench:
        bench.api.uids["a"] = now_of
        bench.want("a", "FAILED")
        await bench.idle()
        assert bench.api.patches == []
        assert bench.board.heard == [("a", None)]


@pytest.mark.parametrize(
    ("held", "present", "wanted", "stands"),
    [
        pytest.param(None, "RUNNABLE", "RUNNING", "RUNNING", id="begun by another"),
        pytest.param("STARTING", "RUNNABLE", "RUNNING", "RUNNING", id="set back by another"),
        pytest.param("RUNNING", "SUCCEEDED", "RUNNING", "SUCCEEDED", id="ended, and that stays"),
        pytest.param(None, "FAILED", "RUNNABLE", "FAILED", id="ended before it was heard of"),
        pytest.param("RUNNING", "FAILED", "SUCCEEDED", "SUCCEEDED", id="two ends: the later word"),
    ],
)
async def test_a_status_that_another_operator_has_written(
    held: str | None, present: str, wanted: str, stands: str
) -> None:
    async with working() as bench:
        if held is not None:
            bench.board.held["a"] = {"state": held}
        bench.api.statuses["a"] = {"state": present}
        bench.board.wanted["a"] = {"state": wanted, "statusReason": "ours"}
        bench.writer.offer("a", wanted, NOW)
        await bench.idle()
        assert bench.api.statuses["a"]["state"] == stands
        assert bench.board.heard == [("a", bench.api.statuses["a"])]


@pytest.mark.parametrize(
    ("held", "present"),
    [
        pytest.param({}, None, id="nothing known"),
        pytest.param(BatchJobStatus().to_wire(), None, id="read from an object without a status"),
        pytest.param({"state": "RUNNABLE", "attempts": []}, {"state": "RUNNABLE"}, id="the next"),
    ],
)
async def test_a_status_that_is_as_it_was_takes_one_request(held: JSON, present: JSON | None) -> None:
    async with working() as bench:
        bench.board.held["a"] = held
        if present is not None:
            bench.api.statuses["a"] = present
        bench.want("a", "RUNNING")
        await bench.idle()
        assert bench.states == [("a", "RUNNING")]
        assert bench.api.tested == ["a"]


async def test_a_write_that_was_done_and_not_answered_is_known_as_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writes, "RETRY_SECONDS", 0.02)
    async with working() as bench:
        bench.api.lost.add("a")
        bench.want("a", "RUNNING")
        await bench.idle()
        await waiting.until(lambda: bench.board.heard == [("a", {"state": "RUNNING"})])
        assert bench.states == [("a", "RUNNING")]


@pytest.mark.parametrize("error", [Invalid("bad"), Forbidden("no")], ids=["invalid", "forbidden"])
async def test_a_refused_status_waits_and_does_not_stop_the_others(error: ApiError) -> None:
    async with working(workers=1) as bench:
        bench.api.errors = [error]
        bench.want("a", "RUNNABLE")
        await waiting.until(lambda: not bench.api.errors)
        bench.want("b", "RUNNING")
        await waiting.until(lambda: bench.states == [("b", "RUNNING")])
        assert bench.writer.waiting == 1
        # A new state does not wait for the old one's turn.
        bench.want("a", "FAILED")
        await waiting.until(lambda: ("a", "FAILED") in bench.states)


async def test_in_a_crowd_what_may_wait_waits_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writes, "CROWD", 1)
    async with working() as bench:
        for number in range(20):
            bench.want(str(number), "STARTING", Urgency(3600, 2))
        bench.want("a", "RUNNING", Urgency(0.05, 1))
        await asyncio.sleep(0.2)
        assert bench.states == []
        bench.want("a", "SUCCEEDED", NOW)
        await waiting.until(lambda: bench.states == [("a", "SUCCEEDED")])


async def test_what_is_forgotten_is_not_written() -> None:
    async with working() as bench:
        bench.want("a", "RUNNABLE", Urgency(0.05, 3))
        bench.writer.forget("a")
        bench.want("b", "RUNNABLE", Urgency(0.1, 3))
        await bench.idle()
        assert bench.states == [("b", "RUNNABLE")]


async def test_a_thousand_keys_are_written_once_each() -> None:
    async with working(workers=16) as bench:
        for number in range(1000):
            bench.want(str(number), "RUNNING", Urgency(0.0, number % 4))
        await bench.idle()
        assert sorted(int(name) for name, _ in bench.api.patches) == list(range(1000))


@pytest.mark.parametrize(
    ("wanted", "held", "want"),
    [
        pytest.param({}, {}, {}, id="empty"),
        pytest.param({"a": 1}, {"a": 1}, {}, id="same"),
        pytest.param({"a": 2}, {"a": 1}, {"a": 2}, id="changed"),
        pytest.param({}, {"a": 1}, {"a": None}, id="gone"),
        pytest.param({"a": {"b": 1, "c": 3}}, {"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}, id="nested"),
        pytest.param({"a": [1, 2]}, {"a": [1]}, {"a": [1, 2]}, id="lists whole"),
        pytest.param({"a": {}}, {"a": {"b": 1}}, {"a": {"b": None}}, id="emptied"),
        pytest.param({"a": {"b": 1}}, {"a": 1}, {"a": {"b": 1}}, id="scalar becomes an object"),
    ],
)
def test_merge_patch(wanted: JSON, held: JSON, want: JSON) -> None:
    assert merge_patch(wanted, held) == want
