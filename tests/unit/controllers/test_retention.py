"""What is deleted when."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import pytest

import builders as b
import waiting
from batchwright.api.v1alpha1 import JobQueueSpec
from batchwright.cluster.resources import Resource
from batchwright.controllers.declared import Declared
from batchwright.controllers.retention import Retention
from batchwright.controllers.store import Store
from batchwright.domain.observations import FinishedJob
from batchwright.errors import ApiError, ApiUnavailable, NotFound


class FakeApi:
    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = 0
        self.deleted: list[tuple[str, str, str | None]] = []
        self.error: ApiError | None = None

    async def delete(
        self, resource: Resource, namespace: str | None, name: str, *, uid: str | None = None, **_: Any
    ) -> None:
        self.asked += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        self.deleted.append((resource.kind, name, uid))


def queue(**retention: int) -> Declared[JobQueueSpec]:
    order = [{"order": 1, "computeEnvironment": "nodes"}]
    spec = JobQueueSpec.model_validate({"computeEnvironmentOrder": order, "retention": retention})
    return Declared("q", "", "normal", 1, spec, {}, {})


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


def finished(api: FakeApi, *, with_work: bool = True, stopped: datetime | None = b.NOW, **kept: int) -> Retention:
    store = Store()
    store.queues["", "normal"] = queue(**kept)
    store.put_job(b.UID, FinishedJob(b.UID, "default", "hello-1", "SUCCEEDED", "normal", stopped))
    if with_work:
        store.put_work("work-1", b.work())
    retention = Retention(api, store, lambda *_: None)  # type: ignore[arg-type]
    retention.schedule(b.UID)
    return retention


WORK = ("Job", "hello-1-11111111", "work-1")
JOB = ("BatchJob", "hello-1", b.UID)


async def test_the_job_goes_after_pod_seconds_and_not_before(api: FakeApi) -> None:
    retention = finished(api, podSeconds=60)
    assert retention.next_due == b.at(60)
    await retention.due(b.at(59.9))
    assert api.deleted == []
    await retention.due(b.at(60))
    assert api.deleted == [WORK]
    assert retention.next_due is None


async def test_the_batch_job_goes_after_job_seconds(api: FakeApi) -> None:
    retention = finished(api, podSeconds=60, jobSeconds=120)
    await retention.due(b.at(120))
    assert api.deleted == [WORK, JOB]


async def test_a_batch_job_is_kept_for_ever_unless_said_otherwise(api: FakeApi) -> None:
    retention = finished(api, with_work=False, podSeconds=60)
    assert retention.next_due is None
    await retention.due(b.at(1e9))
    assert api.deleted == []


async def test_a_queue_that_is_gone_leaves_the_defaults(api: FakeApi) -> None:
    retention = finished(api, podSeconds=1)
    retention._store.queues.clear()
    retention.rebuild()
    assert retention.next_due == b.at(3600)


async def test_another_retention_makes_another_timetable(api: FakeApi) -> None:
    retention = finished(api, podSeconds=60)
    retention._store.queues["", "normal"] = queue(podSeconds=10)
    retention.rebuild()
    assert retention.next_due == b.at(10)


async def test_what_could_not_be_deleted_is_tried_again(api: FakeApi) -> None:
    retention = finished(api, podSeconds=60)
    api.error = ApiUnavailable("down")
    await retention.due(b.at(60))
    assert retention.next_due == b.at(90)
    api.error = None
    await retention.due(b.at(90))
    assert api.deleted == [WORK]


async def test_what_is_gone_already_is_no_trouble(api: FakeApi) -> None:
    retention = finished(api, podSeconds=60, jobSeconds=60)
    api.error = NotFound("gone")
    await retention.due(b.at(60))
    assert retention.next_due is None


async def test_a_job_that_was_deleted_meanwhile_is_left_alone(api: FakeApi) -> None:
    retention = finished(api, podSeconds=60, jobSeconds=60)
    retention._store.put_job(b.UID, None)
    await retention.due(b.at(60))
    assert api.deleted == []


@pytest.mark.parametrize("error", [None, ApiUnavailable("down")], ids=["deleted", "refused"])
async def test_one_at_a_time(api: FakeApi, error: ApiError | None) -> None:
    """What is due is being deleted: until that is done nothing is due, and a second call does nothing."""
    retention = finished(api, podSeconds=60, jobSeconds=120)
    api.error = error
    api.gate.clear()
    first = asyncio.create_task(retention.due(b.at(130)))
    await waiting.until(lambda: api.asked == 1)
    assert retention.next_due is None
    await asyncio.wait_for(retention.due(b.at(130)), 5)
    assert (api.asked, api.deleted) == (1, [])
    api.gate.set()
    await asyncio.wait_for(first, 5)
    assert api.deleted == ([] if error else [WORK, JOB])
    assert retention.next_due == (b.at(160) if error else None)
