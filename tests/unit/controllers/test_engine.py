"""The engine's own bookkeeping: cycles, and one wake per job."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
import structlog

import builders as b
from batchwright.controllers import engine
from batchwright.controllers.cycles import break_cycles
from batchwright.controllers.engine import Engine, pause_after
from batchwright.controllers.entries import Entry
from batchwright.controllers.nodepods import Nodes
from batchwright.controllers.statuses import finished
from batchwright.controllers.store import Store
from batchwright.errors import ApiUnavailable, Forbidden, Invalid, WorkloadError
from batchwright.settings import Settings
from batchwright.workloads.job import Placement


@dataclass
class Desk:
    """An engine over a store that a test fills; no pass of it gets as far as the API."""

    store: Store = field(default_factory=Store)

    def __post_init__(self) -> None:
        self.engine = Engine(None, self.store, Settings(), None)  # type: ignore[arg-type]

    def submit(self, uid: str, name: str, *needs: dict[str, str], second: float = 0, **over: Any) -> Entry:
        made = b.job(uid=uid, name=name, created_at=b.at(second), spec=b.spec(dependsOn=list(needs)), **over)
        self.store.put_job(uid, made)
        return self.store.entries[uid]

    @property
    def cycles(self) -> dict[str, str | None]:
        break_cycles(self.store)
        return {uid: entry.cycle for uid, entry in self.store.entries.items() if entry.cycle is not None}


@pytest.fixture
def desk() -> Desk:
    return Desk()


def named(name: str) -> dict[str, str]:
    return {"name": name}


def by_id(uid: str) -> dict[str, str]:
    return {"jobId": uid}


def pinned(name: str, uid: str) -> Any:
    return b.status("PENDING", dependsOn=[{"name": name, "jobId": uid, "state": "PENDING"}])


@pytest.mark.parametrize(
    ("a_needs", "b_needs"),
    [
        pytest.param(named("b"), named("a"), id="by name"),
        pytest.param(by_id("uid-b"), by_id("uid-a"), id="by jobId"),
        pytest.param(named("b"), by_id("uid-a"), id="by both"),
    ],
)
def test_a_cycle_is_refused_at_its_youngest(desk: Desk, a_needs: dict[str, str], b_needs: dict[str, str]) -> None:
    desk.submit("uid-a", "a", a_needs)
    desk.submit("uid-b", "b", b_needs, second=1)
    desk.submit("uid-c", "c", named("a"), second=2)
    desk.store.dirty.clear()
    assert desk.cycles == {"uid-b": "b → a → b"}
    assert desk.store.dirty == {"uid-b"}
    assert desk.store.cycles_due == set()


@pytest.mark.parametrize("need", [named("a"), by_id("uid-a")], ids=["name", "jobId"])
def test_a_job_that_waits_for_itself(desk: Desk, need: dict[str, str]) -> None:
    desk.submit("uid-a", "a", need)
    assert desk.cycles == {"uid-a": "a → a"}


def test_two_cycles(desk: Desk) -> None:
    desk.submit("uid-a", "a", named("b"))
    desk.submit("uid-b", "b", by_id("uid-a"), second=1)
    desk.submit("uid-c", "c", named("d"), second=2)
    desk.submit("uid-d", "d", named("c"), second=3)
    assert desk.cycles == {"uid-b": "b → a → b", "uid-d": "d → c → d"}


def test_a_name_that_was_pinned_means_that_job_and_no_later_one(desk: Desk) -> None:
    """`b` waited for an `a` that is gone; the new `a` waits for `b`: nobody waits for himself."""
    desk.submit("uid-b", "b", named("a"), status=pinned("a", "uid-old-a"))
    desk.submit("uid-new-a", "a", named("b"), second=1)
    assert desk.cycles == {}


def test_a_name_that_was_pinned_is_a_cycle_with_that_job(desk: Desk) -> None:
    desk.submit("uid-b", "b", named("a"), status=pinned("a", "uid-a"))
    desk.submit("uid-a", "a", named("b"), second=1)
    assert desk.cycles == {"uid-a": "a → b → a"}


@pytest.mark.parametrize(
    "over",
    [
        pytest.param({"namespace": "other"}, id="a namesake in another namespace"),
        pytest.param({"status": b.status("FAILED")}, id="a job that has ended"),
    ],
)
def test_no_cycle(desk: Desk, over: dict[str, Any]) -> None:
    desk.submit("uid-a", "a", named("b"))
    desk.submit("uid-b", "b", named("a"), by_id("uid-a"), second=1, **over)
    assert desk.cycles == {}


def test_a_job_that_has_started_is_in_no_cycle(desk: Desk) -> None:
    desk.submit("uid-a", "a", named("b"))
    desk.submit("uid-b", "b", named("a"), second=1)
    desk.store.put_work("work-1", b.work(job_id="uid-a"))
    assert desk.cycles == {}


@pytest.mark.parametrize(
    ("asked", "want"),
    [
        pytest.param([10], b.at(10), id="one"),
        pytest.param([10, 20], b.at(10), id="a later one is not put beside it"),
        pytest.param([20, 10], b.at(10), id="an earlier one takes its place"),
        pytest.param([10, 10, 10], b.at(10), id="the same again"),
    ],
)
def test_one_wake_per_job(desk: Desk, asked: list[float], want: datetime) -> None:
    entry = desk.submit("uid-a", "a")
    for seconds in asked:
        desk.engine._wake("uid-a", entry, b.at(seconds))
    assert entry.wake_at == want
    assert min(desk.engine._wakes) == (want, "uid-a")
    assert len(desk.engine._wakes) == sum(each < min([*asked[:i], 1e9]) for i, each in enumerate(asked))


async def test_a_wake_that_was_replaced_wakes_nobody(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    decided: list[tuple[str, datetime]] = []
    monkeypatch.setattr(desk.engine, "_decide", lambda uid, entry, instances, now: decided.append((uid, now)))
    entry = desk.submit("uid-a", "a")
    desk.store.dirty.clear()
    desk.engine._wake("uid-a", entry, b.at(20))
    desk.engine._wake("uid-a", entry, b.at(10))
    for seconds in (9, 10, 19, 20, 30):
        desk.engine._pass(b.at(seconds))
    assert decided == [("uid-a", b.at(10))]
    assert (entry.wake_at, desk.engine._wakes) == (None, [])


async def test_a_job_may_ask_to_be_woken_again_once_it_has_been(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    decided: list[datetime] = []

    def again(uid: str, entry: Entry, _: object, now: datetime) -> None:
        decided.append(now)
        desk.engine._wake(uid, entry, now + timedelta(seconds=10))

    monkeypatch.setattr(desk.engine, "_decide", again)
    desk.submit("uid-a", "a")
    for seconds in (0, 5, 10, 15, 20):
        desk.engine._pass(b.at(seconds))
    assert decided == [b.at(0), b.at(10), b.at(20)]
    assert len(desk.engine._wakes) == 1


async def test_a_job_that_is_gone_is_not_woken(desk: Desk) -> None:
    entry = desk.submit("uid-a", "a")
    desk.engine._wake("uid-a", entry, b.at(10))
    desk.store.put_job("uid-a", None)
    desk.engine._pass(b.at(10))
    assert (desk.engine._wakes, desk.store.dirty) == ([], set())


def test_a_status_is_written_to_the_job_it_was_decided_for(desk: Desk) -> None:
    entry = desk.submit("uid-a", "a")
    entry.status = b.status("RUNNABLE")
    write = desk.engine._compose("uid-a")
    assert write is not None
    assert (write.name, write.uid, write.wanted) == ("a", "uid-a", entry.status.to_wire())


@pytest.mark.parametrize(
    ("error", "want_refused", "want_pause"),
    [
        pytest.param(
            WorkloadError("more than 50 tags"),
            "The job cannot be made: more than 50 tags",
            False,
            id="cannot be rendered: for good",
        ),
        pytest.param(Invalid("spec: bad"), "The API server refused the job: spec: bad", False, id="refused: for good"),
        pytest.param(Forbidden("exceeded quota"), None, True, id="not now: after a pause"),
    ],
)
async def test_a_job_that_cannot_be_made_is_not_tried_at_once_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, error: Exception, want_refused: str | None, want_pause: bool
) -> None:
    async def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("batchwright.controllers.acting.create_work", fail)
    monkeypatch.setattr(desk.engine._starting, "_notify", lambda *_: None)
    entry = desk.submit("uid-a", "a")
    entry.creating = True
    await desk.engine._starting._create("uid-a", entry, None, Placement("nodes", {}))  # type: ignore[arg-type]
    assert (entry.creating, entry.refused) == (False, want_refused)
    assert (entry.not_before is not None) == want_pause


async def test_an_answer_that_was_lost_is_waited_for_and_passes_by_itself(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[Exception] = [ApiUnavailable("Server disconnected"), Invalid("spec: bad")]

    async def answer(*_: object) -> None:
        raise answers.pop(0)

    monkeypatch.setattr("batchwright.controllers.starting.UNKNOWN_SECONDS", 0.0)
    monkeypatch.setattr("batchwright.controllers.acting.create_work", answer)
    monkeypatch.setattr(desk.engine._starting, "_notify", lambda *_: None)
    entry = desk.submit("uid-a", "a")
    entry.creating, entry.nodes = True, Nodes()
    with structlog.testing.capture_logs() as logs:
        await desk.engine._starting._create("uid-a", entry, None, Placement("nodes", {}))  # type: ignore[arg-type]
    assert (answers, entry.refused) == ([], "The API server refused the job: spec: bad")
    # By its cause a line is known for one that needs no event.
    assert [(line["event"], line["cause"]) for line in logs] == [("no answer", "ApiUnavailable")]


@pytest.mark.parametrize("steps", range(4))
async def test_an_engine_that_hears_of_a_change_while_it_is_to_end_ends(desk: Desk, steps: int) -> None:
    """Whatever it has heard by then: asyncio.wait_for of Python 3.11 forgets a cancellation that meets an answer."""
    task = asyncio.create_task(desk.engine.run())
    await asyncio.sleep(0.01)
    desk.engine.changed()
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task}, timeout=2)
    assert task.done()


async def test_what_an_engine_carries_out_ends_with_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def hang(*_: object, **__: object) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    monkeypatch.setattr("batchwright.controllers.acting.delete_work", hang)
    running = asyncio.create_task(desk.engine.run())
    desk.engine.see_work_of_finished(b.work())
    async with asyncio.timeout(5):
        await began.wait()
        running.cancel()
        await ended.wait()


@pytest.mark.parametrize("first", ["the watch", "the answer"])
def test_an_end_is_told_once_whatever_shows_first_that_it_is_written(first: str) -> None:
    told: list[tuple[str, str | None]] = []
    store = Store()
    made = Engine(
        None,  # type: ignore[arg-type]
        store,
        Settings(),
        None,  # type: ignore[arg-type]
        hear_end=lambda job, status: told.append((job.uid, status.state)),
    )
    store.put_job("uid-a", b.job(uid="uid-a", name="a"))
    entry = store.entries["uid-a"]
    entry.status = b.status("SUCCEEDED", stoppedAt="2026-01-01T00:00:00Z")
    wire = entry.status.to_wire()
    news = [lambda: made.see_job("uid-a", finished(entry.job, wire)), lambda: made._written("uid-a", wire)]
    for hear in news if first == "the watch" else reversed(news):
        hear()
    assert told == [("uid-a", "SUCCEEDED")]
    assert "uid-a" in store.finished


@pytest.mark.parametrize(
    ("took", "pause"),
    [
        pytest.param(0.0001, 0.05, id="a quick pass: the shortest pause"),
        pytest.param(0.001, 0.1, id="a hundredth of the time"),
        pytest.param(0.5, 0.2, id="a slow pass: nobody waits longer than that"),
    ],
)
def test_passes_take_one_part_in_a_hundred(took: float, pause: float) -> None:
    assert pause_after(took, 0.05) == pytest.approx(pause)


def test_a_longer_interval_that_was_asked_for_is_kept() -> None:
    assert pause_after(0.001, 3.0) == 3.0


async def test_wakes_of_jobs_that_are_gone_are_let_go_long_before_their_time(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Timeouts of days: what is noted for then must not outlive thousands of jobs that ended in seconds."""
    monkeypatch.setattr(engine, "SPARE_WAKES", 10)
    kept = desk.submit("kept", "kept")
    desk.engine._wake("kept", kept, b.at(86400))
    for number in range(100):
        entry = desk.submit(f"uid-{number}", f"j{number}")
        desk.engine._wake(f"uid-{number}", entry, b.at(86400 + number))
        desk.store.put_job(f"uid-{number}", None)
    desk.store.dirty.clear()
    desk.engine._pass(b.NOW)
    assert desk.engine._wakes == [(b.at(86400), "kept")]
