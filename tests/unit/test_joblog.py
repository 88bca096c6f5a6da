"""Every line of the log that is about a job says which."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

import builders as b
import waiting
from batchwright.cluster.clock import Clock
from batchwright.cluster.events import EventRecorder, Subject
from batchwright.cluster.resources import BATCH_JOBS, JOB_QUEUES
from batchwright.cluster.writes import StatusWrite, StatusWriter, Urgency
from batchwright.controllers import engine as engine_module
from batchwright.controllers.engine import Engine
from batchwright.controllers.misreading import Misreading
from batchwright.controllers.retention import Retention
from batchwright.controllers.store import Store
from batchwright.domain.actions import EndWork, Notice
from batchwright.domain.lifecycle import Decision
from batchwright.domain.observations import FinishedJob
from batchwright.errors import Forbidden, Invalid
from batchwright.joblog import about_job, add_job
from batchwright.process import configure_logging
from batchwright.settings import Settings

ABOUT = {"job_id": b.UID, "namespace": "default", "job": "hello-1"}
Lines = list[Any]


class RefusingApi:
    """Refuses every write."""

    def __init__(self) -> None:
        self.clock = Clock()

    async def patch(self, *_: object, **__: object) -> None:
        raise Forbidden("no right", 403, "Forbidden")

    create = delete = patch


class Events:
    """Whoever posts one, fails."""

    async def post(self, *_: object) -> None:
        raise Forbidden("no right", 403, "Forbidden")


@pytest.fixture
def lines() -> Iterator[Lines]:
    with structlog.testing.capture_logs([add_job]) as found:
        yield found


@pytest.fixture
def desk() -> Engine:
    """An engine that knows one job, whose API server refuses everything."""
    store = Store()
    store.put_job(b.UID, b.job())
    posted = asyncio.Event()

    class Posting:
        async def post(self, *_: object) -> None:
            posted.set()

    return Engine(RefusingApi(), store, Settings(), Posting())  # type: ignore[arg-type]


def about(lines: Lines, event: str) -> dict[str, Any]:
    [line] = [each for each in lines if each["event"] == event]
    return {key: line.get(key) for key in ABOUT}


async def test_a_decision_that_fails(desk: Engine, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(engine_module, "view_of", defect)
    desk._pass(b.NOW)
    assert about(lines, "decision failed") == ABOUT


async def decided(desk: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """One pass, in which the job's Kubernetes Job is to be ended."""
    decision = Decision(b.status("RUNNING"), actions=(EndWork(b.work()),))
    monkeypatch.setattr(engine_module, "view_of", lambda *_: None)
    monkeypatch.setattr(engine_module, "decide", lambda *_: decision)
    desk._pass(b.NOW)


async def test_an_action_that_is_refused(desk: Engine, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    await decided(desk, monkeypatch)
    await waiting.until(lambda: any(each["event"] == "action failed" for each in lines))
    assert about(lines, "action failed") == ABOUT


async def test_an_event_that_is_refused(lines: Lines) -> None:
    recorder = EventRecorder(RefusingApi())  # type: ignore[arg-type]
    await recorder.post(Subject(BATCH_JOBS, "default", "hello-1", b.UID), Notice("Unschedulable", "no room"))
    assert about(lines, "event not posted") == ABOUT
    await recorder.post(Subject(JOB_QUEUES, None, "normal", "uid-q"), Notice("Invalid", "no environment"))
    assert "job_id" not in lines[-1]


async def test_a_job_that_is_not_understood(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    api = RefusingApi()
    misreading = Misreading(api, Events(), lambda: b.NOW)  # type: ignore[arg-type]
    body = {"metadata": {"name": "hello-1", "namespace": "default", "uid": b.UID, "generation": 1}}
    task = asyncio.create_task(misreading.worker.run())
    misreading.tell_by_event(BATCH_JOBS, body, ValueError("no spec"))
    await waiting.until(lambda: any(each["event"] == "reconcile failed" for each in lines))
    task.cancel()
    assert about(lines, "object not understood") == ABOUT
    assert about(lines, "reconcile failed") == ABOUT


async def test_what_is_left_of_a_job_that_has_ended(desk: Engine, lines: Lines) -> None:
    desk._store.put_job(b.UID, FinishedJob(b.UID, "default", "hello-1", "SUCCEEDED", "normal", b.NOW))
    desk.see_node_of_finished(b.pod(main="m"))
    await waiting.until(lambda: any(each["event"] == "node not stopped" for each in lines))
    assert about(lines, "node not stopped") == ABOUT


async def test_a_task_that_fails_by_a_defect(desk: Engine, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    async def defect(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(engine_module.acting, "end_work", defect)
    await decided(desk, monkeypatch)
    await waiting.until(lambda: any(each["event"] == "task failed" for each in lines))
    assert about(lines, "task failed") == ABOUT


@pytest.mark.parametrize(
    ("error", "event"), [(Invalid("no", 422), "status refused"), (Forbidden("no", 403), "status refused")]
)
async def test_a_status_that_is_refused(error: Exception, event: str, lines: Lines) -> None:
    class Api:
        async def patch(self, *_: object, **__: object) -> None:
            raise error

        async def get(self, *_: object) -> dict[str, Any]:
            return {"metadata": {"uid": b.UID}, "status": {"state": "RUNNABLE"}}

    write = StatusWrite(BATCH_JOBS, "default", "hello-1", b.UID, {"state": "RUNNING"}, {"state": "RUNNABLE"})
    writer = StatusWriter(Api(), lambda _: write, lambda *_: None)  # type: ignore[arg-type]
    task = asyncio.create_task(writer.run())
    writer.offer(b.UID, "RUNNING", Urgency(0, 0))
    await waiting.until(lambda: any(each["event"] == event for each in lines))
    task.cancel()
    assert about(lines, event) == ABOUT


async def test_a_job_that_is_not_deleted_in_time(lines: Lines) -> None:
    store = Store()
    store.put_job(b.UID, FinishedJob(b.UID, "default", "hello-1", "SUCCEEDED", "normal", b.NOW))
    said: list[str] = []
    retention = Retention(RefusingApi(), store, lambda job, what, _: said.append(f"{job.name}: {what}"))  # type: ignore[arg-type]
    retention._timetable.append((b.NOW, "job", b.UID))
    await retention.due(b.at(1))
    assert about(lines, "retention: not deleted") == ABOUT
    assert said == ["hello-1: delete the job, which is due"]


async def test_a_task_takes_its_job_along_and_others_do_not() -> None:
    async def line() -> dict[str, Any]:
        await asyncio.sleep(0)
        return dict(add_job(None, "info", {"event": "x"}))

    with about_job("one", "ns", "a"):
        first = asyncio.create_task(line())
        with about_job("two", "ns", "b"):
            second = asyncio.create_task(line())
        third = asyncio.create_task(line())
    fourth = asyncio.create_task(line())
    found = [each.get("job_id") for each in await asyncio.gather(first, second, third, fourth)]
    assert found == ["one", "two", "one", None]


def test_what_a_line_says_itself_stands() -> None:
    with about_job("one", "ns", "a"):
        assert add_job(None, "info", {"job_id": "two"}) == {"job_id": "two", "namespace": "ns", "job": "a"}


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Where the process logs to, as JSON."""
    found = io.StringIO()
    monkeypatch.setattr("sys.stderr", found)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in ("kopf", "aiohttp", "asyncio")}
    root.handlers.clear()
    configure_logging(verbose=False, json_logs=True)
    yield found
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def test_each_line_is_one_object_whoever_wrote_it(stream: io.StringIO) -> None:
    with about_job(b.UID, "default", "hello-1"):
        structlog.get_logger("ours").warning("ours", error="no")
        logging.getLogger("kopf.somewhere").warning("theirs: %s", 7)
    try:
        raise ZeroDivisionError("by nothing")
    except ZeroDivisionError:
        logging.getLogger("asyncio").exception("broken")
    ours, theirs, broken = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert ours.items() >= {"event": "ours", "level": "warning", "error": "no", **ABOUT}.items()
    assert theirs.items() >= {"event": "theirs: 7", "level": "warning", "logger": "kopf.somewhere", **ABOUT}.items()
    assert "ZeroDivisionError: by nothing" in broken["exception"]
    assert all(each["timestamp"].endswith("Z") for each in (ours, theirs, broken))
