"""Events: each once, warnings always, ordinary ones within a budget."""

from __future__ import annotations

from typing import Any

import pytest

import waiting
from batchwright.cluster import events
from batchwright.cluster.events import EventRecorder, Subject
from batchwright.cluster.resources import BATCH_JOBS, JOB_QUEUES, Resource
from batchwright.domain.actions import Notice
from batchwright.errors import AlreadyExists, ApiError, ApiUnavailable, Forbidden, Invalid

JOB = Subject(BATCH_JOBS, "team", "hello-1", "uid-1")


class FakeApi:
    def __init__(self) -> None:
        self.created: list[dict[str, Any]] = []
        self.namespaces: list[str | None] = []
        self.error: ApiError | None = None

    async def create(self, _: Resource, namespace: str | None, body: dict[str, Any]) -> dict[str, Any]:
        if self.error is not None:
            raise self.error
        self.namespaces.append(namespace)
        self.created.append(body)
        return body


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(events, "time", found)
    return found


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


def recorder(api: FakeApi, **over: Any) -> EventRecorder:
    return EventRecorder(api, **over)  # type: ignore[arg-type]


async def test_an_event_names_its_object(api: FakeApi) -> None:
    await recorder(api).post(JOB, Notice("Started", "Sent to nodes"))
    (event,) = api.created
    assert event["involvedObject"] == {
        "apiVersion": "batchwright.io/v1alpha1",
        "kind": "BatchJob",
        "name": "hello-1",
        "uid": "uid-1",
        "namespace": "team",
    }
    assert (event["type"], event["reason"], event["message"]) == ("Normal", "Started", "Sent to nodes")
    assert api.namespaces == ["team"]


async def test_events_of_cluster_scoped_objects_live_in_default(api: FakeApi) -> None:
    await recorder(api).post(Subject(JOB_QUEUES, None, "normal", "uid-q"), Notice("Invalid", "x", warning=True))
    (event,) = api.created
    assert api.namespaces == ["default"]
    assert event["type"] == "Warning"
    assert "namespace" not in event["involvedObject"]


async def test_the_same_is_said_once(api: FakeApi) -> None:
    posting = recorder(api)
    for _ in range(3):
        await posting.post(JOB, Notice("Failed", "exit code 1", warning=True))
    await posting.post(JOB, Notice("Failed", "exit code 2", warning=True))
    assert [each["message"] for each in api.created] == ["exit code 1", "exit code 2"]


async def test_a_restarted_operator_gives_the_same_event_the_same_name(api: FakeApi) -> None:
    for _ in range(2):
        await recorder(api).post(JOB, Notice("Failed", "exit code 1"))
    first, second = api.created
    assert first["metadata"]["name"] == second["metadata"]["name"]


async def test_ordinary_events_share_a_budget_and_warnings_do_not(api: FakeApi, clock: Clock) -> None:
    posting = recorder(api, per_second=2.0, burst=3)
    for number in range(10):
        await posting.post(JOB, Notice("Started", str(number)))
    assert len(api.created) == 3
    for number in range(10):
        await posting.post(JOB, Notice("Failed", str(number), warning=True))
    assert len(api.created) == 13
    clock.now += 1.0
    for number in range(10):
        await posting.post(JOB, Notice("Started", f"later {number}"))
    assert len(api.created) == 15


async def test_a_flood_of_one_reason_does_not_silence_another(api: FakeApi, clock: Clock) -> None:
    posting = recorder(api, burst=3)
    for number in range(10):
        await posting.post(JOB, Notice("Started", str(number)))
    await posting.post(JOB, Notice("Retrying", "attempt 2 of 3"))
    assert [each["reason"] for each in api.created] == ["Started"] * 3 + ["Retrying"]


async def test_the_budget_does_not_grow_beyond_the_burst(api: FakeApi, clock: Clock) -> None:
    posting = recorder(api, per_second=2.0, burst=3)
    clock.now += 3600
    for number in range(10):
        await posting.post(JOB, Notice("Started", str(number)))
    assert len(api.created) == 3


async def test_what_the_budget_refused_may_come_later(api: FakeApi, clock: Clock) -> None:
    posting = recorder(api, per_second=1.0, burst=1)
    await posting.post(JOB, Notice("Started", "a"))
    await posting.post(JOB, Notice("Started", "b"))
    clock.now += 1.0
    await posting.post(JOB, Notice("Started", "b"))
    assert [each["message"] for each in api.created] == ["a", "b"]


async def test_an_ordinary_event_that_failed_may_be_posted_again(api: FakeApi) -> None:
    posting = recorder(api)
    api.error = ApiUnavailable("down")
    await posting.post(JOB, Notice("Started", "x"))
    api.error = None
    await posting.post(JOB, Notice("Started", "x"))
    assert len(api.created) == 1


@pytest.mark.parametrize(
    ("error", "posted"),
    [
        pytest.param(ApiUnavailable("down"), 1, id="the API server was away"),
        pytest.param(Forbidden("events is forbidden"), 1, id="a right was missing"),
        pytest.param(Forbidden("unable to create new content in namespace team: it is being terminated"), 0, id="gone"),
        pytest.param(Invalid("message too long"), 0, id="refused for good"),
    ],
)
async def test_a_warning_that_failed_is_posted_later_and_once(
    api: FakeApi, error: ApiError, posted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "PAUSES_SECONDS", (0.001,) * 1000)
    posting = recorder(api)
    api.error = error
    await posting.post(JOB, Notice("Failed", "x", warning=True))
    assert len(posting._waiting) == posted
    api.error = None
    if posted:
        await posting.post(JOB, Notice("Failed", "x", warning=True))
    await waiting.until(lambda: not posting._waiting)
    assert len(api.created) == posted


async def test_an_event_that_is_there_is_not_posted_again(api: FakeApi) -> None:
    posting = recorder(api)
    api.error = AlreadyExists("there", 409, "AlreadyExists")
    await posting.post(JOB, Notice("Failed", "x", warning=True))
    api.error = None
    await posting.post(JOB, Notice("Failed", "x", warning=True))
    assert api.created == []


async def test_messages_are_bounded(api: FakeApi) -> None:
    await recorder(api).post(JOB, Notice("Failed", "x" * 5000, warning=True))
    assert len(api.created[0]["message"]) == 1024
