"""Objects that cannot be read say so themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import ValidationError

import builders as b
import waiting
from batchwright.api.v1alpha1 import BatchJobSpec, JobQueueSpec
from batchwright.cluster.resources import BATCH_JOBS, CONSUMABLE_RESOURCES, JOB_QUEUES, Resource
from batchwright.controllers.misreading import Misreading, explain, misread_status
from batchwright.domain.actions import Notice
from batchwright.errors import ApiUnavailable

BODY = {"metadata": {"name": "normal", "uid": "u", "generation": 3}, "spec": {"priority": "high"}}


def unreadable() -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        JobQueueSpec.model_validate(BODY["spec"])
    return caught.value


class Desk:
    """What was written and posted."""

    def __init__(self) -> None:
        self.written: list[tuple[str, str | None, str, list[dict[str, Any]]]] = []
        self.posted: list[tuple[str, Notice]] = []
        self.failures = 0

    async def patch(self, resource: Resource, namespace: str | None, name: str, body: Any, **_: object) -> None:
        if self.failures:
            self.failures -= 1
            raise ApiUnavailable("away")
        self.written.append((resource.kind, namespace, name, body))

    async def post(self, subject: Any, notice: Notice) -> None:
        self.posted.append((subject.name, notice))


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
async def misreading(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Misreading]:
    monkeypatch.setattr("batchwright.controllers.reconciler.RETRY_SECONDS", 0.01)
    made = Misreading(desk, desk, lambda: b.NOW)  # type: ignore[arg-type]
    task = asyncio.create_task(made.worker.run())
    yield made
    task.cancel()


async def test_a_queue_says_it_in_its_status_and_in_an_event(desk: Desk, misreading: Misreading) -> None:
    desk.failures = 2
    misreading.tell(JOB_QUEUES, BODY, unreadable())
    await waiting.until(lambda: len(desk.posted) == 1)
    [(kind, namespace, name, [tested, written])] = desk.written
    assert (kind, namespace, name) == ("JobQueue", None, "normal")
    assert tested == {"op": "test", "path": "/metadata/uid", "value": "u"}
    status = written["value"]
    assert (status["status"], status["conditions"][0]["status"]) == ("INVALID", "False")
    assert "priority" in status["statusReason"]
    assert desk.posted == [("normal", Notice("NotUnderstood", status["statusReason"], warning=True))]
    await waiting.until(lambda: misreading._misread == {})


async def test_a_batchjob_says_it_in_an_event(desk: Desk, misreading: Misreading) -> None:
    with pytest.raises(ValidationError) as caught:
        BatchJobSpec.model_validate({"jobQueue": "q", "jobDefinition": "d", "arrayProperties": {"size": "many"}})
    misreading.tell_by_event(BATCH_JOBS, BODY, caught.value)
    await waiting.until(lambda: len(desk.posted) == 1)
    assert "arrayProperties.size" in desk.posted[0][1].message
    assert desk.written == []


async def test_one_that_was_mended_meanwhile_says_nothing(desk: Desk, misreading: Misreading) -> None:
    misreading.tell(JOB_QUEUES, BODY, unreadable())
    misreading.forget("u")
    misreading.tell(JOB_QUEUES, BODY | {"metadata": BODY["metadata"] | {"uid": "v"}}, unreadable())  # type: ignore[dict-item,operator]
    await waiting.until(lambda: len(desk.posted) == 1)
    assert [written[3][0]["value"] for written in desk.written] == ["v"]


def test_what_else_the_status_holds_stays_and_the_spec_counts_as_not_observed() -> None:
    held = {"usedQuantity": 3, "observedGeneration": 3, "conditions": [{"type": "Other", "status": "True"}]}
    body = BODY | {"status": held}
    told = misread_status(CONSUMABLE_RESOURCES, body, "why", b.NOW)
    assert told["usedQuantity"] == 3
    assert "observedGeneration" not in told
    assert [(each["type"], each["status"]) for each in told["conditions"]] == [
        *(("Ready", "False"), ("Stalled", "True"), ("Other", "True")),
    ]
    assert misread_status(CONSUMABLE_RESOURCES, body | {"status": told}, "why", b.at(60)) == told


def test_the_fields_are_named() -> None:
    assert explain(unreadable()).startswith("This operator cannot read the spec: ")
    assert explain(ValueError("no owner")) == "This operator cannot read it: no owner"
